//! Which records are on the page? Newest first, equal times by fingerprint, so that pages follow each other exactly.
//!
//! G1  The union of all pages is the list, without a gap or a double, also where times are equal; a record that was
//!     sent twice is answered twice.
//! G2  Full records are held for one page only. A first scan reads nothing but times and finds the page's oldest one;
//!     the second reads full records from there on. Where a block proves damaged meanwhile, both begin anew without it.

use super::Filter;
use super::record::{COLUMNS, Records};
use crate::column::Columns;
use crate::error::Result;
use crate::exec::Control;
use query_api::log::LogRecord;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use storage::model::Signal;
use storage::model::schema::column;
use storage::scan::{ScanOrder, Threshold, TimeRange};

/// A page of records.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SearchQuery {
    /// Which records match.
    pub(crate) filter: Filter,
    /// Records on the page.
    pub(crate) limit: usize,
    /// The end of the page before.
    pub(crate) after: Option<Place>,
}

/// The end of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Time of the last record.
    pub(crate) time: i64,
    /// Its fingerprint.
    pub(crate) fingerprint: u64,
    /// How many records with this time and fingerprint have been answered.
    pub(crate) answered: u64,
}

/// A record's place in the list: smaller comes first.
type Rank = (Reverse<i64>, u64);

/// The records of the page, and its end where another page follows.
pub(crate) fn search(control: &Control, query: &SearchQuery) -> Result<(Vec<LogRecord>, Option<Place>)> {
    loop {
        let missing = control.missing().len();
        let Some(range) = page_range(control, query)? else { return Ok((Vec::new(), None)) };
        let mut page = Page { query, found: BTreeMap::new(), held: 0 };
        let mut request = query.filter.request(&COLUMNS);
        request.time = range;
        control.scan(Signal::Logs, request, |batch| page.add(control, &Records::new(batch)?))?;
        if control.missing().len() == missing {
            return page.finish(control);
        }
        // A block turned out to be damaged, and the two scans may have seen different rows of it.
        page.found.values().for_each(|equal| control.release(equal.bytes));
    }
}

/// The part of the range in which the page's records lie; `None` when there is none.
fn page_range(control: &Control, query: &SearchQuery) -> Result<Option<TimeRange>> {
    let mut range = query.filter.range;
    if let Some(after) = query.after {
        range.end = range.end.min(after.time.saturating_add(1));
    }
    // One more than the page tells whether another follows.
    let keep = query.limit + 1;
    let threshold = Threshold::at_least(column::TIME);
    let mut request = query.filter.request(&[column::TIME]);
    request.time = range;
    request.order = ScanOrder::Newest;
    request.threshold = Some(threshold.clone());

    let _held = control.hold(keep * size_of::<i64>())?;
    let mut newest: BinaryHeap<Reverse<i64>> = BinaryHeap::new();
    let mut at_place = false;
    control.scan(Signal::Logs, request, |batch| {
        for &time in Columns(batch).times(column::TIME)?.values() {
            // Records at the time of the place may have been answered, so they do not count as found.
            if query.after.is_some_and(|after| after.time == time) {
                at_place = true;
                continue;
            }
            newest.push(Reverse(time));
            if newest.len() > keep {
                newest.pop();
            }
        }
        if newest.len() == keep
            && let Some(Reverse(bound)) = newest.peek()
        {
            threshold.set(*bound);
        }
        Ok(())
    })?;
    let oldest = newest.peek().map(|Reverse(time)| *time);
    let fallback = query.after.filter(|_| at_place).map(|after| after.time);
    Ok(oldest.or(fallback).map(|start| TimeRange { start, end: range.end }))
}

/// The first records of the list after a place.
struct Page<'a> {
    query: &'a SearchQuery,
    /// Equal records by rank: how often, and one of them.
    found: BTreeMap<Rank, Equal>,
    /// Records in `found`, doubles included.
    held: u64,
}

struct Equal {
    times: u64,
    record: LogRecord,
    bytes: usize,
}

impl Page<'_> {
    fn add(&mut self, control: &Control, records: &Records<'_>) -> Result<()> {
        for row in 0..records.rows {
            let time = records.time(row);
            let certainly_late =
                self.is_full() && self.found.last_key_value().is_some_and(|((last, _), _)| Reverse(time) > *last);
            if certainly_late {
                continue;
            }
            let rank = (Reverse(time), records.fingerprint(row));
            if self.query.after.is_some_and(|after| rank < (Reverse(after.time), after.fingerprint)) {
                continue;
            }
            self.put(control, records, row, rank)?;
            self.trim(control);
        }
        Ok(())
    }

    fn put(&mut self, control: &Control, records: &Records<'_>, row: usize, rank: Rank) -> Result<()> {
        self.held += 1;
        if let Some(equal) = self.found.get_mut(&rank) {
            equal.times += 1;
            return Ok(());
        }
        let bytes = records.memory_of(row);
        control.charge(bytes)?;
        self.found.insert(rank, Equal { times: 1, record: records.record(row)?, bytes });
        Ok(())
    }

    /// Lets go of what can no more be on the page.
    fn trim(&mut self, control: &Control) {
        let wanted = self.wanted();
        while let Some(last) = self.found.last_entry() {
            if self.held - last.get().times < wanted {
                return;
            }
            let equal = last.remove();
            self.held -= equal.times;
            control.release(equal.bytes);
        }
    }

    /// The page, one more that tells whether another follows, and those equal to the place that were answered before.
    fn wanted(&self) -> u64 {
        let answered = self.query.after.map_or(0, |after| after.answered);
        u64::try_from(self.query.limit).unwrap_or(u64::MAX).saturating_add(1).saturating_add(answered)
    }

    fn is_full(&self) -> bool {
        self.held >= self.wanted()
    }

    fn finish(self, control: &Control) -> Result<(Vec<LogRecord>, Option<Place>)> {
        let mut logs = Vec::new();
        let mut last: Option<Place> = None;
        for ((Reverse(time), fingerprint), equal) in self.found {
            let before = self.query.after.filter(|after| (after.time, after.fingerprint) == (time, fingerprint));
            let answered = before.map_or(0, |after| after.answered);
            for copy in answered..equal.times {
                if logs.len() >= self.query.limit {
                    return Ok((logs, last));
                }
                // What the table holds is charged; every record of the answer beyond it is a copy.
                control.charge(equal.bytes)?;
                control.collect(1)?;
                logs.push(equal.record.clone());
                last = Some(Place { time, fingerprint, answered: copy + 1 });
            }
        }
        Ok((logs, None))
    }
}
