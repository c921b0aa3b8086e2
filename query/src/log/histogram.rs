//! How many records of which level are there over time?

use super::Filter;
use super::severity::{LEVELS, level_of};
use crate::error::Result;
use crate::exec::Control;
use crate::volume::Step;
use query_api::log::{HistogramResponse, LevelCounts};
use storage::model::Signal;
use storage::scan::{Dimension, Group, Measure, VolumeRequest};

/// Records per step and level. The last step may reach past the range.
pub(crate) fn histogram(control: &Control, filter: &Filter, buckets: u64) -> Result<HistogramResponse> {
    let (step, steps) = Step::Parts(buckets).of(filter.range);
    let steps = usize::try_from(steps).unwrap_or(usize::MAX);
    control.charge(steps.saturating_mul(LEVELS.len() * size_of::<u64>()))?;
    let request = VolumeRequest {
        time: filter.range,
        step,
        by: Some(Dimension::Severity),
        predicate: filter.predicate.clone(),
        measure: Measure::Rows,
    };
    let mut levels: Vec<Vec<u64>> = vec![Vec::new(); LEVELS.len()];
    for ((step, group), count) in control.volume(Signal::Logs, request)? {
        let Group::Number(severity) = group else { continue };
        let Some(counts) = levels.get_mut(level_of(severity)) else { continue };
        if counts.is_empty() {
            counts.resize(steps, 0);
        }
        if let Some(counted) = usize::try_from(step).ok().and_then(|step| counts.get_mut(step)) {
            *counted += count.rows;
        }
    }
    let occurring = LEVELS.iter().zip(levels).filter(|(_, counts)| !counts.is_empty());
    Ok(HistogramResponse {
        start_unix_nano: filter.range.start,
        step_nano: i64::try_from(step).unwrap_or(i64::MAX),
        levels: occurring.map(|(level, counts)| LevelCounts { level: (*level).to_owned(), counts }).collect(),
        stats: control.stats(),
    })
}
