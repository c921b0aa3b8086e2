//! What was decided of traces: which are dropped, for as long as spans of them may still come, and how many there were.
//!
//! N14 A commit that drops a trace takes its spans away and says so: who knows one knows the other, so that no trace is dropped in part.
//!     A block is undecided from the commit that adds it to the one that settles or removes it.
//!
//! Not here: who decides, and for how long that is remembered (`sampling`, `engine::sample`).

use super::file::read;
use super::predicate::{hex, unhex};
use super::{Commit, Manifest};
use crate::model::TenantId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many traces and spans were kept and dropped, for one reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SamplingTally {
    /// Traces that were kept. Each trace counts when it is decided.
    pub kept_traces: u64,
    /// Their spans.
    pub kept_spans: u64,
    /// Traces that were dropped.
    pub dropped_traces: u64,
    /// Their spans.
    pub dropped_spans: u64,
}

/// Traces that were dropped at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// When, nanoseconds since 1970.
    pub time: i64,
    /// The XXH3-64 of their ids, ascending.
    pub traces: Vec<u64>,
}

/// What a commit decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sampled {
    /// Whose traces.
    pub tenant: TenantId,
    /// Which of them are dropped.
    pub dropped: Dropped,
    /// What is added to the tallies, by the names of policies.
    pub tallies: BTreeMap<String, SamplingTally>,
    /// What was dropped before this time is forgotten.
    pub forget: i64,
}

/// What was decided of a tenant's traces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sampling {
    /// The version that decided last.
    pub version: u64,
    /// What was dropped and is not forgotten, by the version that did.
    pub dropped: BTreeMap<u64, Arc<Dropped>>,
    /// How many there were of all times, by the names of policies.
    pub tallies: BTreeMap<String, SamplingTally>,
}

impl SamplingTally {
    /// Adds another.
    pub fn add(&mut self, other: &SamplingTally) {
        let pairs = [
            (&mut self.kept_traces, other.kept_traces),
            (&mut self.kept_spans, other.kept_spans),
            (&mut self.dropped_traces, other.dropped_traces),
            (&mut self.dropped_spans, other.dropped_spans),
        ];
        pairs.into_iter().for_each(|(sum, more)| *sum = sum.saturating_add(more));
    }
}

impl Sampling {
    /// How many traces are remembered as dropped.
    pub fn remembered(&self) -> usize {
        self.dropped.values().map(|dropped| dropped.traces.len()).sum()
    }
}

impl Manifest {
    /// Takes what a commit says of undecided blocks and their traces.
    pub(super) fn sample(&mut self, commit: &Commit) -> Result<(), String> {
        for id in &commit.settled {
            let entry = self.blocks.get_mut(id).filter(|entry| entry.undecided);
            let entry = entry.ok_or_else(|| format!("block {id} is to be settled and is not undecided"))?;
            let entry = Arc::make_mut(entry);
            (entry.undecided, entry.grown_at) = (false, None);
        }
        let Some(sampled) = &commit.sampled else { return Ok(()) };
        let sampling = Arc::make_mut(self.sampling.entry(sampled.tenant.clone()).or_default());
        sampling.version = self.version;
        sampling.dropped.retain(|_, dropped| dropped.time >= sampled.forget);
        if !sampled.dropped.traces.is_empty() {
            sampling.dropped.insert(self.version, Arc::new(sampled.dropped.clone()));
        }
        for (name, tally) in &sampled.tallies {
            sampling.tallies.entry(name.clone()).or_default().add(tally);
        }
        Ok(())
    }
}

/// A `SamplingTally` in a file: kept traces and spans, dropped ones.
type StoredTallies = BTreeMap<String, [u64; 4]>;

/// A `Sampled` in a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredSampled {
    tenant: String,
    time: i64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    dropped: String,
    tallies: StoredTallies,
    forget: i64,
}

/// A `Sampling` in a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredSampling {
    version: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    dropped: BTreeMap<u64, StoredDropped>,
    tallies: StoredTallies,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredDropped {
    time: i64,
    traces: String,
}

fn stored(tallies: &BTreeMap<String, SamplingTally>) -> StoredTallies {
    let each = |(name, tally): (&String, &SamplingTally)| {
        (name.clone(), [tally.kept_traces, tally.kept_spans, tally.dropped_traces, tally.dropped_spans])
    };
    tallies.iter().map(each).collect()
}

fn tallies(stored: StoredTallies) -> BTreeMap<String, SamplingTally> {
    let each = |(name, [kept_traces, kept_spans, dropped_traces, dropped_spans]): (String, [u64; 4])| {
        (name, SamplingTally { kept_traces, kept_spans, dropped_traces, dropped_spans })
    };
    stored.into_iter().map(each).collect()
}

/// Sixteen digits for each, the first ones the highest.
fn digits(traces: &[u64]) -> String {
    let bytes: Vec<u8> = traces.iter().flat_map(|trace| trace.to_be_bytes()).collect();
    hex(&bytes)
}

fn traces(digits: &str) -> Result<Vec<u64>, String> {
    let bytes = unhex(digits)?;
    let (traces, rest) = bytes.as_chunks::<8>();
    if rest.is_empty() {
        Ok(traces.iter().map(|trace| u64::from_be_bytes(*trace)).collect())
    } else {
        Err("half a trace was dropped".to_owned())
    }
}

impl StoredSampled {
    pub(super) fn of(sampled: &Sampled) -> Self {
        StoredSampled {
            tenant: sampled.tenant.to_string(),
            time: sampled.dropped.time,
            dropped: digits(&sampled.dropped.traces),
            tallies: stored(&sampled.tallies),
            forget: sampled.forget,
        }
    }

    pub(super) fn read(self) -> Result<Sampled, String> {
        Ok(Sampled {
            tenant: read(&self.tenant)?,
            dropped: Dropped { time: self.time, traces: traces(&self.dropped)? },
            tallies: tallies(self.tallies),
            forget: self.forget,
        })
    }
}

impl StoredSampling {
    pub(super) fn of(sampling: &Sampling) -> Self {
        let dropped = |(version, dropped): (&u64, &Arc<Dropped>)| {
            (*version, StoredDropped { time: dropped.time, traces: digits(&dropped.traces) })
        };
        StoredSampling {
            version: sampling.version,
            dropped: sampling.dropped.iter().map(dropped).collect(),
            tallies: stored(&sampling.tallies),
        }
    }

    pub(super) fn read(self) -> Result<Sampling, String> {
        let dropped = |(version, StoredDropped { time, traces: digits })| {
            Ok((version, Arc::new(Dropped { time, traces: traces(&digits)? })))
        };
        Ok(Sampling {
            version: self.version,
            dropped: self.dropped.into_iter().map(dropped).collect::<Result<_, String>>()?,
            tallies: tallies(self.tallies),
        })
    }
}
