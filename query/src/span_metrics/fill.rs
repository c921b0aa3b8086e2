//! How are metrics made of spans that were stored before anybody wanted them? By request, for a range.
//!
//! F1  Only intervals without samples are made: nothing stored is written over, and the same request twice leaves the same samples.
//! F2  What is made before or between stored samples is series that begin with a zero behind the one before, so that `increase`
//!     over all of it is the number of spans.
//! F3  A request works no longer than it may; its answer says how far it came, and one more goes on there.

use super::{Advanced, DELAY, INTERVAL, Progress, stored};
use crate::error::{Error, Result};
use crate::exec::{Control, QueryContext};
use crate::http::QueryState;
use query_api::span_metrics::FilledResponse;
use std::time::{Duration, Instant};
use storage::scan::TimeRange;

/// A day.
const MOST_INTERVALS: i64 = 5_760;

/// Makes the metrics of a range, as far as its intervals lie in it whole and their spans have had their time.
pub(crate) async fn fill(state: &QueryState, context: QueryContext, range: TimeRange) -> Result<FilledResponse> {
    let deadline = Instant::now() + context.timeout;
    let settled = state.now().saturating_sub(DELAY).min(range.end);
    let start = range.start.saturating_add(INTERVAL - 1).div_euclid(INTERVAL).saturating_mul(INTERVAL);
    let end = settled.div_euclid(INTERVAL).saturating_mul(INTERVAL).max(start);
    if end.saturating_sub(start) > MOST_INTERVALS * INTERVAL {
        return Err(Error::parameter("start", "metrics of spans are made of at most 24 hours at once"));
    }
    let busy =
        |_| Error::Busy { message: "metrics of spans are being made already", retry_after: Duration::from_secs(5) };
    let maker = state.span_metrics();
    let _turn = tokio::time::timeout(context.timeout, maker.turn()).await.map_err(busy)?;
    // A sample is at the end of its interval.
    let ends = TimeRange { start: start.saturating_add(1), end: end.saturating_add(1) };
    let job = move |control: &Control| {
        let moments = stored::moments(control, ends)?;
        let is_thinned = control.stats().resolution_seconds.is_some();
        let why = "of samples of this range only some are left; metrics of spans are made where all are";
        if is_thinned { Err(Error::parameter("start", why)) } else { Ok(moments) }
    };
    let moments = state.executor().run(context.clone(), job).await?;
    let mut progress = Progress::new(start);
    let mut answer = FilledResponse { start_unix_nano: start, end_unix_nano: end, ..FilledResponse::default() };
    while progress.until < end {
        if Instant::now() >= deadline {
            break;
        }
        if moments.contains(&(progress.until + INTERVAL)) {
            progress = Progress::new(progress.until + INTERVAL);
            answer.stored_before += 1;
            continue;
        }
        match progress.advance(state, &context).await? {
            Advanced::Stored => answer.made += 1,
            Advanced::Empty => answer.empty += 1,
            Advanced::LeftOut => answer.left_out += 1,
        }
    }
    answer.until_unix_nano = progress.until.min(end);
    Ok(answer)
}
