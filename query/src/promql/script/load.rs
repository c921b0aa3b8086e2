//! Which samples does a `load` bring?

use super::read::Load;
use crate::series::{Bucket, CUSTOM_SCHEMA, Histogram, Labels, NAME, Sample};
use std::collections::BTreeMap;

impl Load {
    /// In the order in which they are written.
    pub(super) fn samples(&self) -> Vec<(Labels, Sample)> {
        let mut samples = Vec::new();
        let mut classic: BTreeMap<Labels, BTreeMap<i64, Histogram>> = BTreeMap::new();
        for loaded in &self.series {
            for (step, point) in (0i64..).zip(&loaded.points) {
                let Some(point) = point else { continue };
                let time = step * self.step;
                let start = loaded.starts.get(usize::try_from(step).unwrap()).copied().flatten();
                let start = start.map_or(0, |start| time + start);
                samples.push((loaded.labels.clone(), Sample { time, start, value: point.value.clone() }));
                if let (true, Some(value)) = (self.with_custom_buckets, point.value.float()) {
                    collect_classic(&mut classic, &loaded.labels, time, value);
                }
            }
        }
        for (labels, histograms) in classic {
            let histograms = histograms.into_iter();
            let of_time = |(time, collected)| Sample { time, start: 0, value: custom(&collected).into() };
            samples.extend(histograms.map(|own| (labels.clone(), of_time(own))));
        }
        samples
    }
}

/// Cumulative counts are kept as buckets of their bounds until all are there.
fn collect_classic(classic: &mut BTreeMap<Labels, BTreeMap<i64, Histogram>>, labels: &Labels, time: i64, value: f64) {
    let name = labels.name();
    let Some((base, part)) =
        ["_bucket", "_sum", "_count"].iter().find_map(|part| Some((name.strip_suffix(part)?, *part)))
    else {
        return;
    };
    let le: Option<f64> = labels.get("le").parse().ok();
    if part == "_bucket" && le.is_none() {
        return;
    }
    let labels = labels.with(NAME, base).without_label("le");
    let histogram = classic.entry(labels).or_default().entry(time).or_default();
    match part {
        "_sum" => histogram.sum = value,
        "_count" => histogram.count = value,
        _ => {
            let le = le.unwrap();
            let mut bounds = histogram.bounds.to_vec();
            let place = bounds.partition_point(|bound| *bound < le);
            // The first of two that say the same counts.
            if bounds.get(place) == Some(&le) {
                return;
            }
            bounds.insert(place, le);
            histogram.bounds = bounds.into();
            histogram.positive.insert(place, Bucket { index: 0, count: value });
        }
    }
}

fn custom(collected: &Histogram) -> Histogram {
    let mut bounds = collected.bounds.to_vec();
    let mut counts: Vec<f64> = collected.positive.iter().map(|bucket| bucket.count).collect();
    let count = if collected.count == 0.0 { counts.last().copied().unwrap_or_default() } else { collected.count };
    if bounds.last() == Some(&f64::INFINITY) {
        bounds.pop();
    } else {
        counts.push(count);
    }
    let mut before = 0.0;
    let positive = (0..).zip(counts).map(|(index, count)| {
        let bucket = Bucket { index, count: count - before };
        before = count;
        bucket
    });
    let positive = positive.collect();
    let mut histogram = Histogram {
        schema: CUSTOM_SCHEMA,
        count,
        sum: collected.sum,
        positive,
        bounds: bounds.into(),
        ..Histogram::default()
    };
    histogram.compact();
    histogram
}
