//! How do the series of a classic histogram become one native histogram with custom buckets, as Prometheus 3 converts them (NHCB)?
//!
//! H1  A histogram is what the `_bucket`, `_sum` and `_count` of one family, of one moment and with the same other labels say, wherever they
//!     stand in an answer. Every other series passes as it is, so does a bucket whose `le` is no number.
//! H2  Where no bucket is `+Inf`, the count is that of it; where no count is told, it is that of the last bucket. Of two buckets with one
//!     bound the first counts. Counts that are whole stay whole; else they are floats.
//! H3  A histogram whose counts are negative, fall, do not add up or are not told at all is left out, and why is told.
//! H4  Where a histogram is native already, its classic form is not converted: they would be one series.
//!
//! Not here: formats (`text`, `families`); what is stored (`remote`).

#[cfg(test)]
mod tests;

use super::exposition::{Exemplar, Family, Found, HISTOGRAM, Labels, Measured, Sample};
use super::remote::MAX_BUCKETS;
use super::remote::writer::{put_deltas, put_double, put_doubles, put_number, put_span, put_whole, zigzag};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use storage::model::record::put_bytes;

const BUCKET_LABEL: &str = "le";
/// The schema of histograms with bounds of their own.
const CUSTOM_SCHEMA: i64 = -53;
/// Above it a float may stand for several whole numbers.
const MOST_WHOLE: f64 = 9_007_199_254_740_992.0;

/// What becomes of the classic series of a histogram that is converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClassicForm {
    /// They are not told any more.
    Replaced,
    /// They are told, too.
    Kept,
}

/// The classic histograms of one answer.
#[derive(Debug)]
pub(crate) struct Conversion {
    classic: ClassicForm,
    places: HashMap<Box<[u8]>, usize>,
    histograms: Vec<Classic>,
    native: HashSet<Box<[u8]>>,
}

/// One histogram, as far as it was told.
#[derive(Debug)]
struct Classic {
    family: Arc<Family>,
    labels: Labels<'static>,
    timestamp: Option<i64>,
    start: i64,
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
    exemplars: Vec<Exemplar<'static>>,
}

/// What a series is of its histogram.
#[derive(Debug, Clone, Copy)]
enum Part {
    Bucket(f64),
    Sum,
    Count,
}

impl Conversion {
    pub(crate) fn new(classic: ClassicForm) -> Self {
        Conversion { classic, places: HashMap::new(), histograms: Vec::new(), native: HashSet::new() }
    }

    /// Takes a series of the answer, and gives it back where it is told as it is.
    pub(crate) fn pass<'a, 'f>(&mut self, found: Found<'a, 'f>) -> Option<Found<'a, 'f>> {
        let value = match found.sample.value {
            Measured::Number(value) => value,
            Measured::Native(_) => {
                self.native.insert(key(&found.sample.name, &found.sample));
                return Some(found);
            }
        };
        let Some(part) = part(&found) else { return Some(found) };
        let key = key(&found.family.name, &found.sample);
        if self.native.contains(&key) {
            return Some(found);
        }
        let place = *self.places.entry(key).or_insert(self.histograms.len());
        if place == self.histograms.len() {
            self.histograms.push(Classic::new(&found));
        }
        if let Some(histogram) = self.histograms.get_mut(place) {
            histogram.take(part, value, &found);
        }
        (self.classic == ClassicForm::Kept).then_some(found)
    }

    /// Calls back for each histogram that the answer held, and tells of the first that is left out why it is (H3).
    pub(crate) fn finish(self, mut found: impl FnMut(Found<'_, '_>)) -> Option<String> {
        let mut first = None;
        for histogram in self.histograms {
            let Classic { family, labels, timestamp, start, buckets, count, sum, exemplars } = histogram;
            match fields(buckets, count, sum) {
                Ok(fields) => {
                    let name = Cow::Borrowed(family.name.as_str());
                    let sample = Sample { name, labels, value: Measured::Native(&fields), timestamp, exemplars };
                    found(Found { sample, family: &family, start });
                }
                Err(what) => drop(first.get_or_insert_with(|| format!("{:?}: {what}", family.name))),
            }
        }
        first
    }
}

impl Classic {
    fn new(found: &Found<'_, '_>) -> Self {
        let sample = &found.sample;
        let others = sample.labels.iter().filter(|(name, _)| name != BUCKET_LABEL);
        Classic {
            family: Arc::clone(found.family),
            labels: owned(others),
            timestamp: sample.timestamp,
            start: found.start,
            buckets: Vec::new(),
            count: None,
            sum: 0.0,
            exemplars: Vec::new(),
        }
    }

    fn take(&mut self, part: Part, value: f64, found: &Found<'_, '_>) {
        match part {
            // One past the limit, which is told.
            Part::Bucket(bound) if self.buckets.len() <= MAX_BUCKETS => self.buckets.push((bound, value)),
            Part::Bucket(_) => {}
            Part::Sum => self.sum = value,
            Part::Count => self.count = Some(value),
        }
        // Those of a native histogram have times of their own.
        let timed = found.sample.exemplars.iter().filter(|exemplar| exemplar.timestamp.is_some());
        self.exemplars.extend(timed.map(|exemplar| Exemplar {
            labels: owned(exemplar.labels.iter()),
            value: exemplar.value,
            timestamp: exemplar.timestamp,
        }));
    }
}

fn owned<'l>(labels: impl Iterator<Item = &'l (Cow<'l, str>, Cow<'l, str>)>) -> Labels<'static> {
    labels.map(|(name, value)| (Cow::Owned(name.to_string()), Cow::Owned(value.to_string()))).collect()
}

/// Which part of its family's histogram a series is, if it is one.
fn part(found: &Found<'_, '_>) -> Option<Part> {
    if found.family.r#type != HISTOGRAM {
        return None;
    }
    match found.sample.name.strip_prefix(found.family.name.as_str())? {
        "_bucket" => {
            let (_, bound) = found.sample.labels.iter().find(|(name, _)| name == BUCKET_LABEL)?;
            bound.parse().ok().filter(|bound: &f64| !bound.is_nan()).map(Part::Bucket)
        }
        "_sum" => Some(Part::Sum),
        "_count" => Some(Part::Count),
        _ => None,
    }
}

/// What the series of one histogram have in common (H1).
fn key(family: &str, sample: &Sample<'_>) -> Box<[u8]> {
    let mut own: Vec<_> = sample.labels.iter().filter(|(name, _)| name != BUCKET_LABEL).collect();
    own.sort_unstable();
    let mut packed = Vec::new();
    put_bytes(&mut packed, family.as_bytes());
    put_bytes(&mut packed, &sample.timestamp.map_or(Vec::new(), |time| time.to_le_bytes().to_vec()));
    for (name, value) in own {
        put_bytes(&mut packed, name.as_bytes());
        put_bytes(&mut packed, value.as_bytes());
    }
    packed.into()
}

/// The fields of remote write's message but its times, of cumulative counts by bound.
fn fields(mut buckets: Vec<(f64, f64)>, count: Option<f64>, sum: f64) -> Result<Vec<u8>, String> {
    if buckets.len() > MAX_BUCKETS {
        return Err(format!("it has more than {MAX_BUCKETS} buckets"));
    }
    buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    buckets.dedup_by(|(bound, _), (before, _)| bound == before);
    let count = count.or(buckets.last().map(|(_, count)| *count)).ok_or("it has neither a count nor buckets")?;
    if buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
        buckets.push((f64::INFINITY, count));
    }
    if let Some((bound, count)) = buckets.iter().find(|(_, count)| *count < 0.0) {
        return Err(format!("its bucket le={bound} has the negative count {count}"));
    }
    if let Some([(_, before), (bound, count)]) = buckets.array_windows().find(|[(_, one), (_, next)]| next < one) {
        return Err(format!("its bucket le={bound} has the count {count}, the one before {before}"));
    }
    match buckets.last() {
        Some((_, last)) if *last == count => {}
        last => return Err(format!("its count is {count}, its last bucket has {}", last.map_or(0.0, |(_, all)| *all))),
    }
    let mut out = Vec::with_capacity(buckets.len() * 12 + 64);
    let is_whole = buckets.iter().all(|(_, count)| count.fract() == 0.0 && *count <= MOST_WHOLE);
    if is_whole {
        put_whole(&mut out, 1, whole(count).cast_unsigned());
    } else {
        put_double(&mut out, 2, count);
    }
    put_double(&mut out, 3, sum);
    put_number(&mut out, 4, zigzag(CUSTOM_SCHEMA));
    put_span(&mut out, 11, 0, i64::try_from(buckets.len()).unwrap_or(i64::MAX));
    let below = std::iter::once(0.0).chain(buckets.iter().map(|(_, count)| *count));
    let own = buckets.iter().zip(below).map(|((_, count), below)| (*count, below));
    if is_whole {
        put_deltas(&mut out, 12, own.map(|(count, below)| whole(count) - whole(below)));
    } else {
        put_doubles(&mut out, 13, own.map(|(count, below)| count - below));
    }
    put_doubles(&mut out, 16, buckets.iter().map(|(bound, _)| *bound).filter(|bound| *bound != f64::INFINITY));
    Ok(out)
}

#[expect(clippy::cast_possible_truncation, reason = "it is whole, and its size was looked at")]
fn whole(count: f64) -> i64 {
    count as i64
}
