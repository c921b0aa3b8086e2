//! Up to when, and of which intervals, are metrics stored already? The samples say it themselves: nothing is kept beside them.

use super::totals::{CALLS, SCOPE};
use super::{INTERVAL, MOST_BEHIND};
use crate::column::Columns;
use crate::error::Result;
use crate::exec::Control;
use std::collections::BTreeSet;
use storage::model::Signal;
use storage::model::origin::Scope;
use storage::model::schema::column;
use storage::scan::{Predicate, Scalar, ScanRequest, TimeRange};

/// Where the newest sample mostly is: five minutes.
const NEAR: i64 = 20;

/// The ends of the intervals with samples. There is one of [`CALLS`] wherever there is any.
pub(super) fn moments(control: &Control, range: TimeRange) -> Result<BTreeSet<i64>> {
    let mut request = ScanRequest::all([column::TIME, column::SCOPE]);
    request.time = range;
    request.predicate = Predicate::equal(column::NAME, Scalar::String(CALLS.to_owned()));
    let mut moments = BTreeSet::new();
    control.scan(Signal::Metrics, request, |batch| {
        let times = Columns(batch).times(column::TIME)?;
        let scopes = Columns(batch).repeated_cells(column::SCOPE)?;
        for row in 0..batch.num_rows() {
            let time = times.value(row);
            // A zero stands between two moments.
            let is_new = time % INTERVAL == 0 && !moments.contains(&time);
            if is_new && Scope::parse(scopes.get(row)).is_some_and(|scope| scope.name == SCOPE) {
                control.charge(2 * size_of::<i64>())?;
                moments.insert(time);
            }
        }
        Ok(())
    })?;
    Ok(moments)
}

/// The newest of them, if it is not older than what is made up for; also where the clock was set back.
pub(super) fn newest(control: &Control, end: i64) -> Result<Option<i64>> {
    for intervals in [NEAR, MOST_BEHIND] {
        let range = TimeRange { start: end.saturating_sub(intervals * INTERVAL), end: i64::MAX };
        if let Some(newest) = moments(control, range)?.last() {
            return Ok(Some(*newest));
        }
    }
    Ok(None)
}
