//! What is there most of? `/status/tsdb`: the metrics, labels and values with the most series of the last hours.
//!
//! - A number is held for each series and each value of each label once; it counts as memory of the query.

use super::ask::Asked;
use super::refusal::Refusal;
use crate::exec::Control;
use crate::prometheus::Catalogue;
use crate::series::{Labels, NAME};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

/// For how long before now series are counted.
const RANGE: i64 = 2 * 3_600_000;

/// How many of a kind may be asked for.
const MOST: usize = 10_000;

/// What an entry of a table takes, the text aside.
const ENTRY_BYTES: usize = 64;

/// Series by label and value.
#[derive(Default)]
struct Tally {
    series: HashSet<u64>,
    labels: HashMap<Box<str>, HashMap<Box<str>, usize>>,
}

impl Tally {
    fn add(&mut self, control: &Control, labels: &Labels) -> crate::error::Result<()> {
        // Of two blocks, or of several senders, it may come again.
        if !self.series.insert(labels.hash()) {
            return Ok(());
        }
        control.charge(ENTRY_BYTES / 2)?;
        for (name, value) in labels.iter() {
            if let Some(count) = self.labels.get_mut(name).and_then(|values| values.get_mut(value)) {
                *count += 1;
                continue;
            }
            control.charge(value.len() + ENTRY_BYTES)?;
            if !self.labels.contains_key(name) {
                control.charge(name.len() + ENTRY_BYTES)?;
                self.labels.insert(name.into(), HashMap::new());
            }
            if let Some(values) = self.labels.get_mut(name) {
                values.insert(value.into(), 1);
            }
        }
        Ok(())
    }
}

/// The answer's data.
pub(super) fn status(asked: &Asked, control: &Control) -> Result<Value, Refusal> {
    let limit = asked.limit("limit")?.unwrap_or(10);
    if limit > MOST {
        return Err(Refusal::parameter("limit", format!("limit must be at most {MOST}")));
    }
    let start = asked.now.saturating_sub(RANGE);
    let mut tally = Tally::default();
    Catalogue::new(control, start, asked.now).each(&[], &mut |labels| tally.add(control, &labels))?;
    let values = || tally.labels.iter().map(|(name, values)| (&**name, values));
    let pairs = values().flat_map(|(name, values)| values.iter().map(move |(value, count)| ((name, &**value), *count)));
    let bytes = |values: &HashMap<Box<str>, usize>| values.keys().map(|value| value.len()).sum::<usize>();
    let metrics = tally.labels.get(NAME).into_iter().flatten().map(|(name, count)| (&**name, *count));
    Ok(json!({
        "headStats": {
            "numSeries": tally.series.len(),
            "numLabelPairs": tally.labels.values().map(HashMap::len).sum::<usize>(),
            "chunkCount": 0,
            "minTime": start,
            "maxTime": asked.now,
        },
        "seriesCountByMetricName": largest(metrics, limit, str::to_owned),
        "labelValueCountByLabelName":
            largest(values().map(|(name, values)| (name, values.len())), limit, str::to_owned),
        "memoryInBytesByLabelName":
            largest(values().map(|(name, values)| (name, bytes(values))), limit, str::to_owned),
        "seriesCountByLabelValuePair": largest(pairs, limit, |(name, value)| format!("{name}={value}")),
    }))
}

/// The first so many, of equal ones by name.
fn largest<K: Ord + Copy>(counts: impl Iterator<Item = (K, usize)>, limit: usize, name: impl Fn(K) -> String) -> Value {
    let mut first: Vec<(Reverse<usize>, K)> = Vec::new();
    for (key, count) in counts {
        first.push((Reverse(count), key));
        if first.len() >= limit.saturating_mul(2).max(1024) {
            first.sort_unstable();
            first.truncate(limit);
        }
    }
    first.sort_unstable();
    let first = first.into_iter().take(limit);
    first.map(|(Reverse(count), key)| json!({ "name": name(key), "value": count })).collect()
}
