//! Which samples is one metric? One, or those of a summary's or histogram's parts.

use super::super::exposition::{Exemplar, Family, Found, Labels, Measured, Names, Sample, open_float};
use super::super::remote::MAX_LABELS;
use super::super::remote::writer::{put_double, put_number, put_whole, zigzag};
use super::super::wire::{Reader, Result as Walk, Within, bytes, fields, fixed64, varint};
use super::{Forms, Kind, Unfit};
use std::borrow::Cow;
use std::sync::Arc;
use storage::model::record::{put_bytes, put_varint};

mod key {
    use super::{bytes, fields, fixed64, varint};
    pub(super) const LABEL: u32 = bytes(1);
    pub(super) const GAUGE: u32 = bytes(2);
    pub(super) const COUNTER: u32 = bytes(3);
    pub(super) const SUMMARY: u32 = bytes(4);
    pub(super) const UNTYPED: u32 = bytes(5);
    pub(super) const TIMESTAMP: u32 = varint(6);
    pub(super) const HISTOGRAM: u32 = bytes(7);
    pub(super) const ALL: u64 = fields(&[1, 2, 3, 4, 5, 6, 7]);

    pub(super) const PAIR_NAME: u32 = bytes(1);
    pub(super) const PAIR_VALUE: u32 = bytes(2);
    pub(super) const PAIR_ALL: u64 = fields(&[1, 2]);

    /// Of a gauge, a counter and what has no type.
    pub(super) const VALUE: u32 = fixed64(1);
    pub(super) const COUNTER_EXEMPLAR: u32 = bytes(2);
    pub(super) const COUNTER_CREATED: u32 = bytes(3);
    pub(super) const COUNTER_ALL: u64 = fields(&[1, 2, 3]);

    pub(super) const SUMMARY_QUANTILE: u32 = bytes(3);
    pub(super) const SUMMARY_CREATED: u32 = bytes(4);
    pub(super) const SUMMARY_ALL: u64 = fields(&[1, 2, 3, 4]);
    pub(super) const QUANTILE: u32 = fixed64(1);
    pub(super) const QUANTILE_VALUE: u32 = fixed64(2);
    pub(super) const QUANTILE_ALL: u64 = fields(&[1, 2]);

    /// Of a summary and of a histogram.
    pub(super) const COUNT: u32 = varint(1);
    pub(super) const SUM: u32 = fixed64(2);

    pub(super) const BUCKET: u32 = bytes(3);
    pub(super) const COUNT_FLOAT: u32 = fixed64(4);
    pub(super) const SCHEMA: u32 = varint(5);
    pub(super) const ZERO_THRESHOLD: u32 = fixed64(6);
    pub(super) const ZERO_COUNT: u32 = varint(7);
    pub(super) const ZERO_COUNT_FLOAT: u32 = fixed64(8);
    pub(super) const NEGATIVE_SPAN: u32 = bytes(9);
    pub(super) const NEGATIVE_DELTA: u32 = varint(10);
    pub(super) const NEGATIVE_DELTAS: u32 = bytes(10);
    pub(super) const NEGATIVE_COUNT: u32 = fixed64(11);
    pub(super) const NEGATIVE_COUNTS: u32 = bytes(11);
    pub(super) const POSITIVE_SPAN: u32 = bytes(12);
    pub(super) const POSITIVE_DELTA: u32 = varint(13);
    pub(super) const POSITIVE_DELTAS: u32 = bytes(13);
    pub(super) const POSITIVE_COUNT: u32 = fixed64(14);
    pub(super) const POSITIVE_COUNTS: u32 = bytes(14);
    pub(super) const HISTOGRAM_CREATED: u32 = bytes(15);
    pub(super) const EXEMPLARS: u32 = bytes(16);
    pub(super) const HISTOGRAM_ALL: u64 = fields(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);

    pub(super) const BUCKET_COUNT: u32 = varint(1);
    pub(super) const BUCKET_BOUND: u32 = fixed64(2);
    pub(super) const BUCKET_EXEMPLAR: u32 = bytes(3);
    pub(super) const BUCKET_COUNT_FLOAT: u32 = fixed64(4);
    pub(super) const BUCKET_ALL: u64 = fields(&[1, 2, 3, 4]);

    pub(super) const EXEMPLAR_LABEL: u32 = bytes(1);
    pub(super) const EXEMPLAR_VALUE: u32 = fixed64(2);
    pub(super) const EXEMPLAR_TIME: u32 = bytes(3);
    pub(super) const EXEMPLAR_ALL: u64 = fields(&[1, 2, 3]);

    pub(super) const SECONDS: u32 = varint(1);
    pub(super) const NANOS: u32 = varint(2);
    pub(super) const TIME_ALL: u64 = fields(&[1, 2]);
}

/// Remote write's number of "this is no counter", among what is known of resets.
const GAUGE_HINT: i64 = 3;

/// The metrics of one family.
pub(super) struct Metrics<'a, 'f> {
    name: &'a str,
    kind: Kind,
    forms: Forms,
    family: &'f Arc<Family>,
    /// Of the metric at hand.
    labels: Labels<'a>,
    timestamp: Option<i64>,
    start: i64,
}

/// One bucket.
#[derive(Debug, Clone, Default)]
struct Bucket<'a> {
    bound: f64,
    count: f64,
    exemplar: Option<Exemplar<'a>>,
}

/// A histogram in both forms.
#[derive(Debug, Default)]
struct Histogram<'a> {
    count: u64,
    count_float: f64,
    sum: f64,
    schema: i32,
    zero_threshold: f64,
    zero_count: u64,
    zero_count_float: f64,
    has_spans: bool,
    /// Spans, deltas and counts with remote write's keys.
    sides: Vec<u8>,
    buckets: Vec<Bucket<'a>>,
    exemplars: Vec<Exemplar<'a>>,
}

impl<'a, 'f> Metrics<'a, 'f> {
    pub(super) fn new(name: &'a str, kind: Kind, forms: Forms, family: &'f Arc<Family>) -> Self {
        Metrics { name, kind, forms, family, labels: Labels::new(), timestamp: None, start: 0 }
    }

    /// Reads a metric.
    pub(super) fn read(&mut self, message: &'a [u8], found: &mut impl FnMut(Found<'_, '_>)) -> Walk<Result<(), Unfit>> {
        (self.labels, self.timestamp, self.start) = (Labels::new(), None, 0);
        let mut names = Names::default();
        // The value is that of the family's type; what else is there must be well-formed all the same.
        let mut value: &[u8] = &[];
        let wanted = match self.kind {
            Kind::Counter => key::COUNTER,
            Kind::Gauge => key::GAUGE,
            Kind::Summary => key::SUMMARY,
            Kind::Untyped => key::UNTYPED,
            Kind::Histogram | Kind::GaugeHistogram => key::HISTOGRAM,
        };
        let mut reader = Reader::new(message);
        while let Some(key) = reader.key()? {
            match key {
                key::LABEL => {
                    let label = pair(reader.bytes()?).within("label")?;
                    if let Err(unfit) = keep(&mut self.labels, &mut names, label) {
                        return Ok(Err(unfit));
                    }
                }
                key::TIMESTAMP => self.timestamp = Some(reader.varint()?.cast_signed()).filter(|time| *time != 0),
                key::GAUGE | key::COUNTER | key::SUMMARY | key::UNTYPED | key::HISTOGRAM => {
                    let message = reader.bytes()?;
                    if key == wanted {
                        value = message;
                    }
                }
                _ => reader.other(key, key::ALL)?,
            }
        }
        if self.timestamp.is_some_and(|time| time.checked_mul(1_000_000).is_none()) {
            return Ok(Err("a timestamp is outside the years 1677 to 2262".to_owned()));
        }
        match self.kind {
            Kind::Gauge | Kind::Untyped | Kind::Counter => self.number(value, found).within("value"),
            Kind::Summary => self.summary(value, found).within("summary"),
            Kind::Histogram | Kind::GaugeHistogram => self.histogram(value, found).within("histogram"),
        }
    }

    fn tell(
        &self,
        name: Cow<'a, str>,
        extra: Option<(&'static str, f64)>,
        value: Measured<'_>,
        exemplars: Vec<Exemplar<'a>>,
        found: &mut impl FnMut(Found<'_, '_>),
    ) {
        let mut labels = self.labels.clone();
        if let Some((key, number)) = extra {
            labels.retain(|(name, _)| name != key);
            labels.push((Cow::Borrowed(key), Cow::Owned(open_float(number))));
        }
        let sample = Sample { name, labels, value, timestamp: self.timestamp, exemplars };
        found(Found { sample, family: self.family, start: self.start });
    }

    fn suffixed(&self, suffix: &str) -> Cow<'a, str> {
        Cow::Owned(format!("{}{suffix}", self.name))
    }

    fn number(&mut self, message: &'a [u8], found: &mut impl FnMut(Found<'_, '_>)) -> Walk<Result<(), Unfit>> {
        let known = if self.kind == Kind::Counter { key::COUNTER_ALL } else { fields(&[1]) };
        let (mut value, mut exemplars) = (0.0, Vec::new());
        let mut reader = Reader::new(message);
        while let Some(key) = reader.key()? {
            match key {
                key::VALUE => value = reader.double()?,
                key::COUNTER_EXEMPLAR if self.kind == Kind::Counter => match exemplar(reader.bytes()?)? {
                    Ok(exemplar) => exemplars = vec![exemplar],
                    Err(unfit) => return Ok(Err(unfit)),
                },
                key::COUNTER_CREATED if self.kind == Kind::Counter => self.start = time(reader.bytes()?)?,
                _ => reader.other(key, known)?,
            }
        }
        self.tell(Cow::Borrowed(self.name), None, Measured::Number(value), exemplars, found);
        Ok(Ok(()))
    }

    fn summary(&mut self, message: &'a [u8], found: &mut impl FnMut(Found<'_, '_>)) -> Walk<Result<(), Unfit>> {
        let (mut count, mut sum, mut quantiles) = (0, 0.0, Vec::new());
        let mut reader = Reader::new(message);
        while let Some(key) = reader.key()? {
            match key {
                key::COUNT => count = reader.varint()?,
                key::SUM => sum = reader.double()?,
                key::SUMMARY_QUANTILE => quantiles.push(quantile(reader.bytes()?).within("quantile")?),
                key::SUMMARY_CREATED => self.start = time(reader.bytes()?)?,
                _ => reader.other(key, key::SUMMARY_ALL)?,
            }
        }
        self.tell(self.suffixed("_count"), None, Measured::Number(count as f64), Vec::new(), found);
        self.tell(self.suffixed("_sum"), None, Measured::Number(sum), Vec::new(), found);
        for (quantile, value) in quantiles {
            let extra = Some(("quantile", quantile));
            self.tell(Cow::Borrowed(self.name), extra, Measured::Number(value), Vec::new(), found);
        }
        Ok(Ok(()))
    }

    fn histogram(&mut self, message: &'a [u8], found: &mut impl FnMut(Found<'_, '_>)) -> Walk<Result<(), Unfit>> {
        let mut histogram = Histogram::default();
        if let Err(unfit) = histogram.read(message, &mut self.start)? {
            return Ok(Err(unfit));
        }
        let is_native = histogram.is_native() && self.forms != Forms::Classic;
        if is_native {
            let exemplars = histogram.native_exemplars();
            let fields = histogram.native(self.kind == Kind::GaugeHistogram);
            self.tell(Cow::Borrowed(self.name), None, Measured::Native(&fields), exemplars, found);
        }
        if !is_native || (self.forms == Forms::Both && !histogram.buckets.is_empty()) {
            self.classic(histogram, found);
        }
        Ok(Ok(()))
    }

    fn classic(&self, histogram: Histogram<'a>, found: &mut impl FnMut(Found<'_, '_>)) {
        let count = histogram.whole_count();
        self.tell(self.suffixed("_count"), None, Measured::Number(count), Vec::new(), found);
        self.tell(self.suffixed("_sum"), None, Measured::Number(histogram.sum), Vec::new(), found);
        let bucket = self.suffixed("_bucket");
        let mut has_last = false;
        for Bucket { bound, count, exemplar } in histogram.buckets {
            has_last |= bound == f64::INFINITY;
            let exemplars = exemplar.into_iter().collect();
            self.tell(bucket.clone(), Some(("le", bound)), Measured::Number(count), exemplars, found);
        }
        if !has_last {
            self.tell(bucket, Some(("le", f64::INFINITY)), Measured::Number(count), Vec::new(), found);
        }
    }
}

impl<'a> Histogram<'a> {
    fn read(&mut self, message: &'a [u8], start: &mut i64) -> Walk<Result<(), Unfit>> {
        let mut reader = Reader::new(message);
        while let Some(key) = reader.key()? {
            match key {
                key::COUNT => self.count = reader.varint()?,
                key::COUNT_FLOAT => self.count_float = reader.double()?,
                key::SUM => self.sum = reader.double()?,
                key::SCHEMA => self.schema = reader.sint32()?,
                key::ZERO_THRESHOLD => self.zero_threshold = reader.double()?,
                key::ZERO_COUNT => self.zero_count = reader.varint()?,
                key::ZERO_COUNT_FLOAT => self.zero_count_float = reader.double()?,
                key::HISTOGRAM_CREATED => *start = time(reader.bytes()?)?,
                key::BUCKET => match Bucket::read(reader.bytes()?).within("bucket")? {
                    Ok(bucket) => self.buckets.push(bucket),
                    Err(unfit) => return Ok(Err(unfit)),
                },
                key::EXEMPLARS => match exemplar(reader.bytes()?)? {
                    Ok(exemplar) => self.exemplars.push(exemplar),
                    Err(unfit) => return Ok(Err(unfit)),
                },
                _ if is_side(key) => self.side(key, &mut reader)?,
                _ => reader.other(key, key::HISTOGRAM_ALL)?,
            }
        }
        Ok(Ok(()))
    }

    /// Copies a field of the native form. Remote write has the same fields, each under the number before.
    fn side(&mut self, key: u32, reader: &mut Reader<'a>) -> Walk<()> {
        put_varint(&mut self.sides, u64::from(key - (1 << 3)));
        match key {
            key::NEGATIVE_DELTA | key::POSITIVE_DELTA => put_varint(&mut self.sides, reader.varint()?),
            key::NEGATIVE_COUNT | key::POSITIVE_COUNT => {
                self.sides.extend_from_slice(&reader.fixed64()?.to_le_bytes());
            }
            _ => {
                self.has_spans |= matches!(key, key::NEGATIVE_SPAN | key::POSITIVE_SPAN);
                put_bytes(&mut self.sides, reader.bytes()?);
            }
        }
        Ok(())
    }

    /// Whether it has a native form. One without observations says so by an empty span.
    fn is_native(&self) -> bool {
        self.has_spans || self.zero_threshold > 0.0 || self.zero_count > 0 || self.zero_count_float > 0.0
    }

    fn whole_count(&self) -> f64 {
        if self.count_float > 0.0 { self.count_float } else { self.count as f64 }
    }

    /// The fields of remote write's message, but for its times.
    fn native(&self, is_gauge: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.sides.len() + 64);
        let is_float = self.count_float > 0.0 || self.zero_count_float > 0.0;
        if is_float {
            put_double(&mut out, 2, self.count_float);
            put_double(&mut out, 7, self.zero_count_float);
        } else {
            put_whole(&mut out, 1, self.count);
            put_whole(&mut out, 6, self.zero_count);
        }
        put_double(&mut out, 3, self.sum);
        put_number(&mut out, 4, zigzag(self.schema.into()));
        put_double(&mut out, 5, self.zero_threshold);
        out.extend_from_slice(&self.sides);
        if is_gauge {
            put_number(&mut out, 14, GAUGE_HINT);
        }
        out
    }

    /// Its own, else those of its buckets; without a time they could be told every time anew, and are not.
    fn native_exemplars(&self) -> Vec<Exemplar<'a>> {
        let of_buckets = || self.buckets.iter().filter_map(|bucket| bucket.exemplar.as_ref());
        let timed = |exemplar: &&Exemplar<'a>| exemplar.timestamp.is_some();
        if self.exemplars.is_empty() {
            of_buckets().filter(timed).cloned().collect()
        } else {
            self.exemplars.iter().filter(timed).cloned().collect()
        }
    }
}

fn is_side(key: u32) -> bool {
    matches!(
        key,
        key::NEGATIVE_SPAN
            | key::NEGATIVE_DELTA
            | key::NEGATIVE_DELTAS
            | key::NEGATIVE_COUNT
            | key::NEGATIVE_COUNTS
            | key::POSITIVE_SPAN
            | key::POSITIVE_DELTA
            | key::POSITIVE_DELTAS
            | key::POSITIVE_COUNT
            | key::POSITIVE_COUNTS
    )
}

impl<'a> Bucket<'a> {
    fn read(message: &'a [u8]) -> Walk<Result<Self, Unfit>> {
        let (mut bucket, mut float) = (Bucket::default(), 0.0);
        let mut reader = Reader::new(message);
        while let Some(key) = reader.key()? {
            match key {
                key::BUCKET_COUNT => bucket.count = reader.varint()? as f64,
                key::BUCKET_COUNT_FLOAT => float = reader.double()?,
                key::BUCKET_BOUND => bucket.bound = reader.double()?,
                key::BUCKET_EXEMPLAR => match exemplar(reader.bytes()?)? {
                    Ok(exemplar) => bucket.exemplar = Some(exemplar),
                    Err(unfit) => return Ok(Err(unfit)),
                },
                _ => reader.other(key, key::BUCKET_ALL)?,
            }
        }
        if float > 0.0 {
            bucket.count = float;
        }
        Ok(Ok(bucket))
    }
}

fn quantile(message: &[u8]) -> Walk<(f64, f64)> {
    let (mut quantile, mut value) = (0.0, 0.0);
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key::QUANTILE => quantile = reader.double()?,
            key::QUANTILE_VALUE => value = reader.double()?,
            _ => reader.other(key, key::QUANTILE_ALL)?,
        }
    }
    Ok((quantile, value))
}

fn exemplar(message: &[u8]) -> Walk<Result<Exemplar<'_>, Unfit>> {
    let mut exemplar = Exemplar { labels: Labels::new(), value: 0.0, timestamp: None };
    let mut names = Names::default();
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key::EXEMPLAR_LABEL => {
                let label = pair(reader.bytes()?).within("exemplar.label")?;
                if let Err(unfit) = keep(&mut exemplar.labels, &mut names, label) {
                    return Ok(Err(format!("an exemplar: {unfit}")));
                }
            }
            key::EXEMPLAR_VALUE => exemplar.value = reader.double()?,
            key::EXEMPLAR_TIME => exemplar.timestamp = Some(time(reader.bytes()?)?),
            _ => reader.other(key, key::EXEMPLAR_ALL)?,
        }
    }
    let fits = exemplar.timestamp.is_none_or(|time| time >= 0 && time.checked_mul(1_000_000).is_some());
    Ok(if fits { Ok(exemplar) } else { Err("an exemplar's timestamp is outside the years 1970 to 2262".to_owned()) })
}

/// Milliseconds of a google.protobuf.Timestamp.
fn time(message: &[u8]) -> Walk<i64> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key::SECONDS => seconds = reader.varint()?.cast_signed(),
            key::NANOS => nanos = reader.int32()?,
            _ => reader.other(key, key::TIME_ALL)?,
        }
    }
    Ok(seconds.saturating_mul(1_000).saturating_add(i64::from(nanos / 1_000_000)))
}

fn pair(message: &[u8]) -> Walk<(&str, &str)> {
    let (mut name, mut value) = ("", "");
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key::PAIR_NAME => name = reader.str()?,
            key::PAIR_VALUE => value = reader.str()?,
            _ => reader.other(key, key::PAIR_ALL)?,
        }
    }
    Ok((name, value))
}

fn keep<'a>(labels: &mut Labels<'a>, names: &mut Names<'a>, (name, value): (&'a str, &'a str)) -> Result<(), Unfit> {
    if name.is_empty() {
        return Err("a label has an empty name".to_owned());
    }
    if labels.len() >= MAX_LABELS {
        return Err(format!("there are more than {MAX_LABELS} labels"));
    }
    if name == "__name__" || names.is_twice(labels, Cow::Borrowed(name)) {
        return Err(format!("label {name:?} is given twice"));
    }
    labels.push((Cow::Borrowed(name), Cow::Borrowed(value)));
    Ok(())
}

/// Bytes of a metric's labels, and how many series it is at most.
pub(super) fn measure(message: &[u8]) -> (usize, usize) {
    let (mut labels, mut series) = (0usize, 4usize);
    let mut reader = Reader::new(message);
    while let Ok(Some(key)) = reader.key() {
        let went_on = match key {
            key::LABEL => reader.bytes().map(|label| labels = labels.saturating_add(label.len())),
            key::SUMMARY | key::HISTOGRAM => reader.bytes().map(|value| {
                let mut parts = |_: &[u8]| series = series.saturating_add(1);
                super::super::envelope::each(value, &[key::BUCKET, key::EXEMPLARS], &mut parts);
            }),
            _ => reader.other(key, 0),
        };
        if went_on.is_err() {
            break;
        }
    }
    (labels, series)
}
