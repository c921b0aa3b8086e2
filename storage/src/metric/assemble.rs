//! How do series become rows again, for `Snapshot::scan`? Series by series: what speaks of the series alone is asked once for
//! each, then its samples are read for the times that are wanted, and asked for the rest.
//!
//! A1  The rows are those that `scan::filter` would choose of all rows.
//! A2  Samples are read in pieces, so that a batch has bounded rows and about bounded bytes, however long a series is.
//!
//! Not here: where series lie (`head`, `block::series`).

use super::doubles::Doubles;
use super::field::Fields;
use super::matcher::Matcher;
use super::samples::Samples;
use super::series::{self, Series};
use crate::error::{Error, Result};
use crate::model::Signal;
use crate::model::schema::{self, column as name};
use crate::scan::{AttributeScope, Field, Predicate, ScanRequest, TimeRange, attribute_column, evaluate, filter};
use arrow_array::RecordBatch;
use arrow_schema::Schema;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Rows of a batch, at most.
const BATCH_ROWS: usize = 8 * 1024;
/// A batch of so many bytes gets no further piece.
const BATCH_BYTES: usize = 32 << 20;
/// Rows of a series that are read at once: with large cells they are what a batch holds beyond its bytes.
const PIECE_ROWS: usize = 1024;

/// A series and what is known of its samples without reading them.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) series: Series,
    /// The source's number for it.
    pub(crate) number: u32,
    pub(crate) rows: u64,
    pub(crate) min_time: i64,
    pub(crate) max_time: i64,
}

/// Where series lie: a block or a head.
pub(crate) trait SeriesSource {
    /// How many groups of series there are.
    fn groups(&self) -> usize;

    /// The series of a group. Groups and the series of each ascend.
    fn group(&mut self, group: usize) -> Result<Vec<Stored>>;

    /// Gives the series that match to `each`, in no particular order, until it says that it is enough. Not more than a group of them is in
    /// memory.
    fn each_match(&mut self, matchers: &[Matcher], each: &mut dyn FnMut(Stored) -> bool) -> Result<()>;

    /// All of them at once.
    #[cfg(test)]
    fn find(&mut self, matchers: &[Matcher]) -> Result<Vec<Stored>> {
        let mut found = Vec::new();
        self.each_match(matchers, &mut |stored| {
            found.push(stored);
            true
        })?;
        Ok(found)
    }

    /// Which rows of a series lie in a range of time.
    fn rows_in(&mut self, stored: &Stored, time: TimeRange) -> Result<Range<usize>>;

    /// Some rows of a series with at least some fields.
    fn samples(&mut self, stored: &Stored, rows: Range<usize>, fields: Fields) -> Result<Samples>;

    /// The samples of a series in a range of time, where the source knows without looking at each that they are doubles alone.
    fn doubles(&mut self, _: &Stored, _: TimeRange) -> Result<Option<Doubles>> {
        Ok(None)
    }
}

/// The rows of a source that match a request, batch by batch.
#[derive(Debug)]
pub(crate) struct RowScan<S> {
    source: S,
    request: Arc<ScanRequest>,
    /// Parts of the predicate that speak of series only, and of other columns too.
    of_series: Predicate,
    of_rows: ScanRequest,
    fields: Fields,
    columns: Vec<&'static str>,
    groups: VecDeque<usize>,
    series: VecDeque<Stored>,
    /// What is left of the series under way.
    open: Option<(Stored, Range<usize>)>,
    pub(crate) rows_scanned: u64,
    pub(crate) rows_answered: u64,
    pub(crate) groups_read: u64,
    pub(crate) groups_pruned: u64,
}

impl<S: SeriesSource> RowScan<S> {
    /// A scan of some groups of a source. The request's columns were checked.
    pub(crate) fn new(source: S, request: &Arc<ScanRequest>, groups: impl IntoIterator<Item = usize>) -> Self {
        let parts = match &request.predicate {
            Predicate::And(parts) => parts.clone(),
            one => vec![one.clone()],
        };
        let (of_series, of_rows): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| {
            let mut columns = Vec::new();
            columns_of(part, &mut columns);
            columns.iter().all(|column| series::is_column(column))
        });
        let mut columns = request.columns.clone();
        columns.push(name::TIME);
        of_rows.iter().for_each(|part| columns_of(part, &mut columns));
        columns.sort_unstable();
        columns.dedup();
        let groups: VecDeque<usize> = groups.into_iter().collect();
        RowScan {
            groups_pruned: (source.groups() - groups.len().min(source.groups())) as u64,
            source,
            of_series: Predicate::And(of_series),
            of_rows: ScanRequest { predicate: Predicate::And(of_rows), ..ScanRequest::clone(request) },
            request: Arc::clone(request),
            fields: Fields::of(&columns),
            columns,
            groups,
            series: VecDeque::new(),
            open: None,
            rows_scanned: 0,
            rows_answered: 0,
            groups_read: 0,
        }
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let mut pieces: Vec<(Series, usize)> = Vec::new();
            let mut samples = Samples::default();
            let mut bytes = 0;
            while samples.len() < BATCH_ROWS && bytes < BATCH_BYTES {
                let Some((series, piece)) = self.next_piece(BATCH_ROWS - samples.len())? else { break };
                bytes += piece.memory_bytes() + series.attributes.len() * piece.len();
                samples.append(&piece);
                pieces.push((series, piece.len()));
            }
            if pieces.is_empty() {
                return Ok(None);
            }
            self.rows_scanned += samples.len() as u64;
            let batch = self.batch(&pieces, &samples)?;
            if let Some(batch) = filter(Signal::Metrics, &batch, &self.of_rows)? {
                self.rows_answered += batch.num_rows() as u64;
                return Ok(Some(batch));
            }
        }
    }

    /// Some samples of the next series.
    fn next_piece(&mut self, most: usize) -> Result<Option<(Series, Samples)>> {
        loop {
            if let Some((stored, rows)) = &mut self.open {
                let end = rows.end.min(rows.start + most.min(PIECE_ROWS));
                if rows.start < end {
                    let samples = self.source.samples(stored, rows.start..end, self.fields)?;
                    rows.start = end;
                    return Ok(Some((stored.series.clone(), samples)));
                }
            }
            let Some(stored) = self.next_series()? else { return Ok(None) };
            let rows = match self.request.time.covers(stored.min_time, stored.max_time) {
                true => self.source.rows_in(&stored, TimeRange::ALL)?,
                false => self.source.rows_in(&stored, self.request.time)?,
            };
            self.open = Some((stored, rows));
        }
    }

    fn next_series(&mut self) -> Result<Option<Stored>> {
        loop {
            while let Some(stored) = self.series.pop_front() {
                if self.admits(stored.min_time, stored.max_time) {
                    return Ok(Some(stored));
                }
            }
            let Some(group) = self.groups.pop_front() else { return Ok(None) };
            let mut group = self.source.group(group)?;
            group.retain(|stored| self.request.time.overlaps(stored.min_time, stored.max_time));
            if self.of_series != Predicate::And(Vec::new()) && !group.is_empty() {
                let series: Vec<&Series> = group.iter().map(|stored| &stored.series).collect();
                let matches = evaluate(&series::batch(&series)?, &self.of_series)?;
                let mut matches = matches.values().iter();
                group.retain(|_| matches.next().unwrap_or(false));
            }
            match group.is_empty() {
                true => self.groups_pruned += 1,
                false => self.groups_read += 1,
            }
            self.series = group.into();
        }
    }

    /// Whether the reader's threshold leaves samples between two times of any use.
    fn admits(&self, min: i64, max: i64) -> bool {
        match &self.request.threshold {
            Some(threshold) if threshold.column() == name::TIME => threshold.admits(min, max),
            _ => true,
        }
    }

    fn batch(&self, pieces: &[(Series, usize)], samples: &Samples) -> Result<RecordBatch> {
        let runs: Vec<(&Series, usize)> = pieces.iter().map(|(series, rows)| (series, *rows)).collect();
        rows(&self.columns, &runs, samples)
    }
}

/// Some columns of samples, of which so many belong to each series.
pub(super) fn rows(columns: &[&'static str], runs: &[(&Series, usize)], samples: &Samples) -> Result<RecordBatch> {
    let model = schema::of(Signal::Metrics);
    let mut fields = Vec::with_capacity(columns.len());
    let mut arrays = Vec::with_capacity(columns.len());
    for column in columns {
        let array = match samples.array(column) {
            Some(array) => Some(array),
            None => series::array(column, runs)?,
        };
        let (Some(array), Ok(field)) = (array, model.field_with_name(column)) else {
            return Err(crate::scan::unknown(column));
        };
        fields.push(field.clone());
        arrays.push(array);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .map_err(|source| Error::Columns { action: "put samples into rows", source })
}

impl<S: SeriesSource> Iterator for RowScan<S> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_batch().transpose();
        if matches!(next, Some(Err(_))) {
            self.groups.clear();
            self.series.clear();
            self.open = None;
        }
        next
    }
}

/// The columns that a predicate speaks of.
fn columns_of(predicate: &Predicate, columns: &mut Vec<&'static str>) {
    match predicate {
        Predicate::All => {}
        Predicate::And(list) | Predicate::Or(list) => list.iter().for_each(|part| columns_of(part, columns)),
        Predicate::Not(inner) => columns_of(inner, columns),
        Predicate::Trace(_) => columns.push(name::TRACE_ID),
        Predicate::Span(_) => columns.push(name::SPAN_ID),
        Predicate::Compare { field, .. } | Predicate::Contains { field, .. } | Predicate::Exists(field) => {
            match field {
                Field::Column(column) => columns.push(column),
                Field::Attribute(AttributeScope::Any, _) => {
                    columns.extend([name::ATTRIBUTES, name::RESOURCE, name::SCOPE]);
                }
                Field::Attribute(scope, _) => columns.push(attribute_column(*scope)),
            }
        }
    }
}
