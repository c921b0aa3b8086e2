//! What does a service do, and how well? Its spans by name and kind.

use super::{STATUS_ERROR, Tally};
use crate::column::Columns;
use crate::error::{Error, Result};
use crate::exec::Control;
use query_api::service::{Operation, OperationsResponse};
use std::collections::{BTreeMap, BTreeSet};
use storage::model::Signal;
use storage::model::schema::column;
use storage::scan::{Predicate, Scalar, ScanOrder, ScanRequest, TimeRange};

/// Spans that are looked at for a list of names.
const MOST_NAMED_ROWS: usize = 2_000_000;
/// Names that are listed.
const MOST_NAMES: usize = 10_000;
const COLUMNS: [&str; 5] = [column::NAME, column::KIND, column::DURATION, column::STATUS_CODE, column::TRACE_STATE];

/// The operations of a service with a span in the range.
pub(crate) fn operations(control: &Control, service: &str, range: TimeRange) -> Result<OperationsResponse> {
    let mut request = ScanRequest::all(COLUMNS);
    request.time = range;
    request.predicate = Predicate::equal(column::SERVICE_NAME, Scalar::String(service.into()));
    let mut tallies: BTreeMap<String, BTreeMap<i32, Tally>> = BTreeMap::new();
    let mut charged = 0;
    control.scan(Signal::Spans, request, |batch| {
        let columns = Columns(batch);
        let names = columns.text(column::NAME)?;
        let kinds = columns.int32(column::KIND)?;
        let durations = columns.int64(column::DURATION)?;
        let codes = columns.int32(column::STATUS_CODE)?;
        let stand_for = columns.stand_for()?;
        for row in 0..columns.rows() {
            let name = names.get(row);
            if !tallies.contains_key(name) {
                control.collect(1)?;
                control.charge(name.len() + size_of::<Tally>() + 128)?;
                tallies.insert(name.to_owned(), BTreeMap::new());
            }
            if let Some(of_name) = tallies.get_mut(name) {
                let is_error = codes.value(row) == STATUS_ERROR;
                let tally = of_name.entry(kinds.value(row)).or_default();
                tally.add(durations.value(row), is_error, stand_for.get(row));
            }
        }
        let bytes =
            tallies.values().flat_map(BTreeMap::values).map(|tally| tally.durations.memory_bytes()).sum::<usize>();
        control.charge(bytes.saturating_sub(charged))?;
        charged = charged.max(bytes);
        Ok(())
    })?;
    let operations = tallies.into_iter().flat_map(|(name, of_name)| {
        of_name.into_iter().map(move |(kind, tally)| Operation { name: name.clone(), kind, red: tally.red(range) })
    });
    Ok(OperationsResponse { operations: operations.collect(), stats: control.stats() })
}

/// The names and kinds of a service's spans, ascending; of the newest ones where there are very many.
pub(crate) fn operation_kinds(control: &Control, service: &str) -> Result<Vec<(String, i32)>> {
    let mut request = ScanRequest::all([column::NAME, column::KIND, column::START]);
    request.predicate = Predicate::equal(column::SERVICE_NAME, Scalar::String(service.into()));
    request.order = ScanOrder::Newest;
    let mut found: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    let (mut rows, mut is_enough) = (0, false);
    let scanned = control.scan(Signal::Spans, request, |batch| {
        let columns = Columns(batch);
        let (names, kinds) = (columns.text(column::NAME)?, columns.int32(column::KIND)?);
        for row in 0..columns.rows() {
            let name = names.get(row);
            match found.get_mut(name) {
                Some(known) => drop(known.insert(kinds.value(row))),
                None => {
                    control.charge(name.len() + 128)?;
                    found.insert(name.to_owned(), BTreeSet::from([kinds.value(row)]));
                }
            }
        }
        rows += columns.rows();
        is_enough = rows >= MOST_NAMED_ROWS || found.len() >= MOST_NAMES;
        // The scan ends by the error; it is not handed on.
        if is_enough { Err(Error::Cancelled) } else { Ok(()) }
    });
    match scanned {
        Err(Error::Cancelled) if is_enough => control.check()?,
        scanned => scanned?,
    }
    Ok(found.into_iter().flat_map(|(name, kinds)| kinds.into_iter().map(move |kind| (name.clone(), kind))).collect())
}
