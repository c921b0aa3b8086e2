//! How many records of which level are there over time?

use super::Filter;
use super::severity::{LEVELS, level_of};
use crate::column::Columns;
use crate::error::Result;
use crate::exec::Control;
use query_api::log::{HistogramResponse, LevelCounts};
use storage::model::Signal;
use storage::model::schema::column;

/// Records per step and level. The last step may reach past the range.
pub(crate) fn histogram(control: &Control, filter: &Filter, buckets: u64) -> Result<HistogramResponse> {
    let range = filter.range;
    let whole = range.end.abs_diff(range.start).max(1);
    let step = whole.div_ceil(buckets.max(1));
    let steps = usize::try_from(whole.div_ceil(step)).unwrap_or(usize::MAX);
    control.charge(steps.saturating_mul(LEVELS.len() * size_of::<u64>()))?;

    let mut levels: Vec<Vec<u64>> = vec![Vec::new(); LEVELS.len()];
    control.scan(Signal::Logs, filter.request(&[column::TIME, column::SEVERITY_NUMBER]), |batch| {
        let columns = Columns(batch);
        let times = columns.times(column::TIME)?.values();
        let severities = columns.int32(column::SEVERITY_NUMBER)?.values();
        for (time, severity) in times.iter().zip(severities) {
            let at = usize::try_from(time.abs_diff(range.start) / step).unwrap_or(usize::MAX);
            let Some(counts) = levels.get_mut(level_of(*severity)) else { continue };
            if counts.is_empty() {
                counts.resize(steps, 0);
            }
            if let Some(count) = counts.get_mut(at) {
                *count += 1;
            }
        }
        Ok(())
    })?;
    let occurring = LEVELS.iter().zip(levels).filter(|(_, counts)| !counts.is_empty());
    Ok(HistogramResponse {
        start_unix_nano: range.start,
        step_nano: i64::try_from(step).unwrap_or(i64::MAX),
        levels: occurring.map(|(level, counts)| LevelCounts { level: (*level).to_owned(), counts }).collect(),
        stats: control.stats(),
    })
}
