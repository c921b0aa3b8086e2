//! Which row groups and pages can hold no wanted row? Answered from memory.
//!
//! U1  Never too few: what is left out holds no row that the scan would answer.

use super::read::Block;
use crate::model::schema::{self, column as name};
use crate::scan::{AttributeScope, Compare, Field, Predicate, Scalar, ScanRequest, TimeRange};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;
use std::ops::Range;

/// The rows of a page, and their least and greatest value.
type PageBounds = (Range<usize>, Option<(i64, i64)>);

impl Block {
    /// Of each row group the first row and the earliest time of its rows.
    pub(super) fn group_starts(&self) -> Vec<(usize, i64)> {
        let time = schema::time_column(self.signal());
        let earliest = |group| self.group_bounds(group, time).map_or(i64::MIN, |(min, _)| min);
        self.groups().iter().enumerate().map(|(group, rows)| (rows.start, earliest(group))).collect()
    }

    /// Whether some row of the block may be wanted.
    pub(super) fn may_match(&self, request: &ScanRequest) -> bool {
        request.time.overlaps(self.meta().min_time, self.meta().max_time) && self.may_hold(&request.predicate)
    }

    /// Whether some row of a row group may be wanted.
    pub(super) fn group_may_match(&self, group: usize, request: &ScanRequest) -> bool {
        let time = schema::time_column(self.signal());
        self.group_bounds(group, time).is_none_or(|(min, max)| request.time.overlaps(min, max))
            && self.admitted(group, None, request)
            && self.bounds_may_match(&request.predicate, &|column| self.group_bounds(group, column))
    }

    /// Whether the threshold of a request admits the rows of a row group, or of some of its rows.
    pub(super) fn admitted(&self, group: usize, rows: Option<Range<usize>>, request: &ScanRequest) -> bool {
        let Some(threshold) = &request.threshold else { return true };
        let bounds = match rows {
            None => self.group_bounds(group, threshold.column()),
            Some(rows) => self.row_bounds(group, threshold.column(), rows),
        };
        bounds.is_none_or(|(min, max)| threshold.admits(min, max))
    }

    /// The rows of a row group whose pages may hold wanted rows.
    pub(super) fn pages_that_may_match(&self, group: usize, request: &ScanRequest) -> BooleanBuffer {
        let rows = self.group_rows(group);
        let mut mask = BooleanBuffer::new_set(rows);
        let time = schema::time_column(self.signal());
        if request.time != TimeRange::ALL {
            mask = &mask & &self.page_mask(group, time, |min, max| request.time.overlaps(min, max));
        }
        for part in conjuncts(&request.predicate) {
            if let Predicate::Compare { field: Field::Column(column), compare, value: Scalar::Int(value) } = part {
                mask = &mask & &self.page_mask(group, column, |min, max| may_compare(*compare, *value, min, max));
            }
        }
        mask
    }

    /// The least and greatest value of a row group's column, if they are kept.
    pub(super) fn group_bounds(&self, group: usize, column: &str) -> Option<(i64, i64)> {
        let leaf = self.leaf(column)?;
        let chunk = self.metadata().row_groups().get(group)?.columns().get(leaf)?;
        chunk_bounds(chunk)
    }

    /// Bounds of some rows, by the pages that they lie in.
    fn row_bounds(&self, group: usize, column: &str, rows: Range<usize>) -> Option<(i64, i64)> {
        let pages = self.page_bounds(group, column)?;
        let overlapping = pages.into_iter().filter(|(page, _)| page.start < rows.end && page.end > rows.start);
        let mut whole: Option<(i64, i64)> = None;
        for (_, bounds) in overlapping {
            let (min, max) = bounds?;
            whole = Some(whole.map_or((min, max), |(least, most)| (least.min(min), most.max(max))));
        }
        whole
    }

    fn page_mask(&self, group: usize, column: &str, may: impl Fn(i64, i64) -> bool) -> BooleanBuffer {
        let rows = self.group_rows(group);
        let Some(pages) = self.page_bounds(group, column) else { return BooleanBuffer::new_set(rows) };
        let mut mask = BooleanBufferBuilder::new(rows);
        for (page, bounds) in pages {
            mask.append_n(page.len(), bounds.is_none_or(|(min, max)| may(min, max)));
        }
        mask.finish()
    }

    /// Rows and bounds of each page; `None` where they are not kept. A page of nulls has no bounds.
    fn page_bounds(&self, group: usize, column: &str) -> Option<Vec<PageBounds>> {
        let leaf = self.leaf(column)?;
        let index = self.metadata().column_index()?.get(group)?.get(leaf)?;
        let locations = self.metadata().offset_index()?.get(group)?.get(leaf)?.page_locations();
        let starts =
            locations.iter().map(|page| usize::try_from(page.first_row_index).ok()).collect::<Option<Vec<_>>>()?;
        let ends = starts.iter().copied().skip(1).chain([self.group_rows(group)]);
        let bounds = |page: usize| match index {
            ColumnIndexMetaData::INT32(index) => {
                Some((i64::from(*index.min_value(page)?), i64::from(*index.max_value(page)?)))
            }
            ColumnIndexMetaData::INT64(index) => Some((*index.min_value(page)?, *index.max_value(page)?)),
            _ => None,
        };
        if !matches!(index, ColumnIndexMetaData::INT32(_) | ColumnIndexMetaData::INT64(_)) {
            return None;
        }
        Some(
            starts.iter().zip(ends).enumerate().map(|(page, (&from, to))| (from..to.max(from), bounds(page))).collect(),
        )
    }

    /// Whether the block may hold a row that matches, by what `meta` and `keys.idx` tell of it.
    fn may_hold(&self, predicate: &Predicate) -> bool {
        match predicate {
            Predicate::And(list) => list.iter().all(|part| self.may_hold(part)),
            Predicate::Or(list) => list.iter().any(|part| self.may_hold(part)),
            Predicate::Trace(trace) => self.may_hold_trace(trace),
            Predicate::Compare { field: Field::Column(name::SERVICE_NAME), compare: Compare::Equal, value } => {
                match value {
                    Scalar::String(service) | Scalar::Typed(service) => self.meta().may_hold_service(service),
                    _ => true,
                }
            }
            Predicate::Compare { field: Field::Attribute(AttributeScope::Own, key), .. }
            | Predicate::Contains { field: Field::Attribute(AttributeScope::Own, key), .. }
            | Predicate::Exists(Field::Attribute(AttributeScope::Own, key)) => self.may_hold_attribute(key),
            _ => self.bounds_may_match(predicate, &|column| self.block_bounds(column)),
        }
    }

    /// Whether a row of the block may have an attribute of its own.
    fn may_hold_attribute(&self, key: &str) -> bool {
        let stored_whole = self.attributes().is_empty() && self.signal() == crate::model::Signal::Metrics;
        stored_whole || self.rest_may_hold(key) || self.attributes().iter().any(|attribute| attribute.key == key)
    }

    /// Whether the rest column may have an attribute.
    pub(super) fn rest_may_hold(&self, key: &str) -> bool {
        self.signal() == crate::model::Signal::Metrics
            || self.meta().rest_keys.as_ref().is_none_or(|keys| keys.iter().any(|other| other == key))
    }

    fn block_bounds(&self, column: &str) -> Option<(i64, i64)> {
        let mut groups = (0..self.groups().len()).map(|group| self.group_bounds(group, column));
        let first = groups.next()??;
        groups.try_fold(first, |(min, max), bounds| bounds.map(|(least, most)| (min.min(least), max.max(most))))
    }

    fn bounds_may_match(&self, predicate: &Predicate, bounds: &dyn Fn(&str) -> Option<(i64, i64)>) -> bool {
        match predicate {
            Predicate::And(list) => list.iter().all(|part| self.bounds_may_match(part, bounds)),
            Predicate::Or(list) => list.iter().any(|part| self.bounds_may_match(part, bounds)),
            Predicate::Compare { field: Field::Column(column), compare, value: Scalar::Int(value) } => {
                bounds(column).is_none_or(|(min, max)| may_compare(*compare, *value, min, max))
            }
            _ => true,
        }
    }
}

/// The predicates that all have to match.
pub(super) fn conjuncts(predicate: &Predicate) -> Vec<&Predicate> {
    match predicate {
        Predicate::All => Vec::new(),
        Predicate::And(list) => list.iter().flat_map(conjuncts).collect(),
        other => vec![other],
    }
}

fn may_compare(compare: Compare, value: i64, min: i64, max: i64) -> bool {
    match compare {
        Compare::Equal => min <= value && value <= max,
        Compare::NotEqual => !(min == value && max == value),
        Compare::Less => min < value,
        Compare::LessOrEqual => min <= value,
        Compare::Greater => max > value,
        Compare::GreaterOrEqual => max >= value,
    }
}

fn chunk_bounds(chunk: &ColumnChunkMetaData) -> Option<(i64, i64)> {
    match chunk.statistics()? {
        Statistics::Int32(values) => Some((i64::from(*values.min_opt()?), i64::from(*values.max_opt()?))),
        Statistics::Int64(values) => Some((*values.min_opt()?, *values.max_opt()?)),
        _ => None,
    }
}
