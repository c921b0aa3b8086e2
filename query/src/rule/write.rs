//! How is written what rules give? As messages of remote write 2.

use super::template::Found;
use crate::prometheus::protobuf::{Histogram, Sample, WriteRequest, WrittenSeries};
use crate::series::{Labels, Value, stale};
use bytes::Bytes;
use prost::Message as _;
use std::collections::HashMap;

/// Series of one message: some megabytes.
const MOST_SERIES: usize = 20_000;

/// Messages of samples at a moment, and of series that end there.
pub(super) fn messages<'a>(
    samples: impl IntoIterator<Item = &'a Found>,
    ended: impl IntoIterator<Item = &'a Labels>,
    time: i64,
) -> Vec<Bytes> {
    let ends = Value::Float(stale());
    let samples = samples.into_iter().map(|found| (&found.labels, &found.value));
    let all: Vec<(&Labels, &Value)> = samples.chain(ended.into_iter().map(|labels| (labels, &ends))).collect();
    all.chunks(MOST_SERIES).map(|part| message(part, time)).collect()
}

fn message(series: &[(&Labels, &Value)], time: i64) -> Bytes {
    let mut symbols = Symbols { places: HashMap::from([("", 0)]), list: vec![String::new()] };
    let written = series.iter().map(|(labels, value)| {
        let labels = labels.iter().flat_map(|(name, value)| [name, value]).map(|text| symbols.place(text)).collect();
        let (mut samples, mut histograms) = (Vec::new(), Vec::new());
        match value {
            Value::Float(value) => samples.push(Sample { value: *value, timestamp: time }),
            Value::Histogram(histogram) => histograms.push(Histogram::computed(histogram, time)),
        }
        WrittenSeries { labels, samples, histograms }
    });
    let series = written.collect();
    WriteRequest { symbols: symbols.list, series }.encode_to_vec().into()
}

/// Texts, each once.
struct Symbols<'t> {
    places: HashMap<&'t str, u32>,
    list: Vec<String>,
}

impl<'t> Symbols<'t> {
    fn place(&mut self, text: &'t str) -> u32 {
        let next = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        *self.places.entry(text).or_insert_with(|| {
            self.list.push(text.to_owned());
            next
        })
    }
}
