//! What is seen of a flame graph? The spans of some lanes and a time.
//!
//! LA1  An answer grows with lanes and pixels, not with spans: of a lane, what is shorter than a few pixels becomes one bar with
//!      what stands next to it. A failed span is never passed over: its bar says so.
//!
//! Not here: in which lane a span stands (`query_api::tree`).

use super::{MARKS, Outline};
use crate::error::Result;
use crate::exec::Control;
use query_api::outline::{LaneBar, LanesResponse};
use query_api::tree::{Lanes, Rows, Section, sections_of};

/// Pixels below which a span is drawn together with its neighbours.
const SHORT: i64 = 3;

/// Which part of the flame graph is asked for. Times are nanoseconds after the start of the trace.
#[derive(Debug, Clone, Default)]
pub(crate) struct LanesQuery {
    pub(crate) from: i64,
    /// The end of the trace unless given.
    pub(crate) to: Option<i64>,
    /// Pixels that it will have.
    pub(crate) width: usize,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
    /// A row whose lane is to be told.
    pub(crate) row: Option<usize>,
}

impl Outline {
    /// A part of the flame graph.
    pub(crate) fn flame(&self, control: &Control, query: &LanesQuery) -> Result<LanesResponse> {
        control.check()?;
        let lanes = self.lanes.get_or_init(|| Lanes::new(self));
        control.check()?;
        let to = query.to.unwrap_or(self.duration).max(query.from.saturating_add(1));
        let pixel = (to.saturating_sub(query.from) / i64::try_from(query.width).unwrap_or(i64::MAX).max(1)).max(1);
        let mut bars = Vec::new();
        for (lane, rows) in lanes.rows.iter().enumerate().skip(query.offset).take(query.limit) {
            let before = bars.len();
            self.bars(lane, rows, (query.from, to), pixel, &mut bars);
            control.charge((bars.len() - before) * 2 * size_of::<LaneBar>())?;
            control.check()?;
        }
        Ok(LanesResponse {
            version: self.version.clone(),
            lane_count: lanes.rows.len(),
            lane: query.row.and_then(|row| lanes.lane_of.get(row).copied()),
            bars,
            stats: control.stats(),
        })
    }

    /// What of a lane lies in a time.
    fn bars(&self, lane: usize, rows: &[usize], (from, to): (i64, i64), pixel: i64, bars: &mut Vec<LaneBar>) {
        let first = bars.len();
        let begin = rows.partition_point(|at| self.rows.get(*at).is_some_and(|row| row.end() < from));
        for at in rows.iter().skip(begin) {
            let Some(row) = self.rows.get(*at).filter(|row| row.start <= to) else { break };
            let is_short = row.duration < SHORT.saturating_mul(pixel);
            let last = bars.get_mut(first..).and_then(<[LaneBar]>::last_mut);
            if let Some(last) = last.filter(|last| {
                let short = last.span_count > 1 || last.end_nano - last.start_nano < SHORT.saturating_mul(pixel);
                is_short && short && row.start - last.end_nano <= pixel
            }) {
                last.span_count += 1;
                last.failed |= row.is_error();
                last.end_nano = last.end_nano.max(row.end());
                (last.name, last.gaps) = (None, Vec::new());
                extend(&mut last.critical, sections_of(&self.path, *at), pixel);
                continue;
            }
            let mut critical = Vec::new();
            extend(&mut critical, sections_of(&self.path, *at), pixel);
            bars.push(LaneBar {
                lane,
                row: *at,
                span_id: row.id.to_string(),
                span_count: 1,
                service: row.service,
                name: Some(self.name_of(row).to_owned()),
                failed: row.is_error(),
                start_nano: row.start,
                end_nano: row.end(),
                gaps: if is_short { Vec::new() } else { self.gaps(*at).take(MARKS).collect() },
                critical,
            });
        }
    }
}

/// Adds a row's stretches of the critical path; those within a pixel are one.
fn extend(critical: &mut Vec<[i64; 2]>, sections: &[Section], pixel: i64) {
    for section in sections.iter().rev() {
        let room = critical.len() < MARKS;
        match critical.last_mut() {
            Some(last) if section.start - last[1] <= pixel => last[1] = last[1].max(section.end),
            _ if room => critical.push([section.start, section.end]),
            _ => return,
        }
    }
}
