//! What do metrics say that are told as protobuf? Messages `io.prometheus.client.MetricFamily`, each behind its length.
//!
//! F1  A body is malformed exactly when protobuf says so, and then refused whole; so it is where a name is empty, a label is there twice,
//!     or a type is not known. Nothing is guessed.
//! F2  A histogram may be there in both forms. [`Forms`] says which are taken; one that has no native form is classic.
//! F3  Names, suffixes and bounds are those that Prometheus gives them, so that a target's series are the same in every format.
//!
//! - `metric`: one metric of a family.
//!
//! Not here: text (`text`), what becomes of the samples (`remote`).

mod metric;
#[cfg(test)]
mod tests;

use super::exposition::{COUNTER, Family, Found, GAUGE, GAUGE_HISTOGRAM, HISTOGRAM, SUMMARY};
use super::malformed;
use super::wire::{Reader, Result as Walk, Within, bytes, fields, varint};
use std::sync::Arc;

/// Which forms of a histogram are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forms {
    /// Buckets as series of their own.
    Classic,
    /// The native form, where there is one.
    Native,
    /// Both, where both are there.
    Both,
}

mod key {
    use super::{bytes, fields, varint};
    pub(super) const NAME: u32 = bytes(1);
    pub(super) const HELP: u32 = bytes(2);
    pub(super) const TYPE: u32 = varint(3);
    pub(super) const METRIC: u32 = bytes(4);
    pub(super) const UNIT: u32 = bytes(5);
    pub(super) const ALL: u64 = fields(&[1, 2, 3, 4, 5]);
}

/// What is said of a message that is well-formed and yet nothing that could be stored.
type Unfit = String;

/// A family's types, as the message numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Summary,
    Untyped,
    Histogram,
    GaugeHistogram,
}

impl Kind {
    fn of(code: i32) -> Option<Kind> {
        Some(match code {
            0 => Kind::Counter,
            1 => Kind::Gauge,
            2 => Kind::Summary,
            3 => Kind::Untyped,
            4 => Kind::Histogram,
            5 => Kind::GaugeHistogram,
            _ => return None,
        })
    }

    /// Remote write's number.
    fn number(self) -> i32 {
        match self {
            Kind::Counter => COUNTER,
            Kind::Gauge => GAUGE,
            Kind::Summary => SUMMARY,
            Kind::Untyped => 0,
            Kind::Histogram => HISTOGRAM,
            Kind::GaugeHistogram => GAUGE_HISTOGRAM,
        }
    }
}

/// Calls back for each sample of a body.
pub(crate) fn parse(body: &[u8], forms: Forms, mut found: impl FnMut(Found<'_, '_>)) -> Result<(), String> {
    let mut reader = Reader::new(body);
    while !reader.is_empty() {
        let walked = reader.bytes().and_then(|message| family(message, forms, &mut found));
        match walked.within("MetricFamily") {
            Ok(Ok(())) => {}
            Ok(Err(unfit)) => return Err(unfit),
            Err(fault) => return Err(malformed(*fault, body).to_string()),
        }
    }
    Ok(())
}

fn family(message: &[u8], forms: Forms, found: &mut impl FnMut(Found<'_, '_>)) -> Walk<Result<(), Unfit>> {
    let (mut name, mut help, mut unit, mut code) = ("", "", "", 0);
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key::NAME => name = reader.str()?,
            key::HELP => help = reader.str()?,
            key::TYPE => code = reader.int32()?,
            key::UNIT => unit = reader.str()?,
            key::METRIC => drop(reader.bytes()?),
            _ => reader.other(key, key::ALL)?,
        }
    }
    let Some(kind) = Kind::of(code) else {
        return Ok(Err(format!("{name:?} has the unknown type {code}")));
    };
    if name.is_empty() {
        return Ok(Err("a family has no name".to_owned()));
    }
    let family =
        Arc::new(Family { name: name.to_owned(), r#type: kind.number(), help: help.to_owned(), unit: unit.to_owned() });
    let mut metrics = metric::Metrics::new(name, kind, forms, &family);
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key::METRIC => {
                if let Err(unfit) = metrics.read(reader.bytes()?, found).within("metric")? {
                    return Ok(Err(format!("{name:?}: {unfit}")));
                }
            }
            _ => reader.other(key, 0)?,
        }
    }
    Ok(Ok(()))
}

/// Memory that a body takes on its way, at most. A byte or two of a bucket become a series with the labels of its metric; so each
/// bucket, quantile and metric is counted with the labels of its metric.
pub(crate) fn weight(body: &[u8]) -> usize {
    const SERIES_BYTES: usize = 256;
    let (mut series, mut labels) = (0usize, 0usize);
    let mut rest = Reader::new(body);
    while let (false, Ok(message)) = (rest.is_empty(), rest.bytes()) {
        super::envelope::each(message, &[key::METRIC], &mut |metric| {
            let (own, count) = metric::measure(metric);
            series = series.saturating_add(count);
            labels = labels.saturating_add(own.saturating_mul(count));
        });
    }
    body.len().saturating_mul(2).saturating_add(labels).saturating_add(series.saturating_mul(SERIES_BYTES))
}
