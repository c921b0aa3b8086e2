//! Which rows of metrics are one series? Those with one name and one set of attributes, of one resource and scope; where Prometheus's
//! names are told, name and labels alone.
//!
//! I1  Type, unit, description, temporality and time do not count: who corrects a description has no new series.
//! I2  What is left out of a request stays left out when the log is replayed: the record says which rows ([`record`]).

use super::{Decoded, compact};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, BooleanArray, DictionaryArray, Int32Array, RecordBatch};
use arrow_select::filter::filter_record_batch;
use std::ops::Range;
use storage::metric::Series;
use storage::model::attribute::{Map, Value};
use storage::model::record::{Exemplar, put_varint, take_varint};
use storage::model::schema::column;
use storage::model::verbatim::Role;
use storage::model::{Batch, Signal};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// What a record begins with of whose request some rows are left out; see `remote`'s records.
const LEFT_OUT: u8 = 5;

/// OTLP's number of the first type whose points are histograms, as the column `type` has it.
const HISTOGRAM: i32 = 3;

/// The columns by which series are told apart.
pub(crate) struct Identities<'a> {
    name: &'a DictionaryArray<Int32Type>,
    resource: &'a DictionaryArray<Int32Type>,
    scope: &'a DictionaryArray<Int32Type>,
    attributes: &'a arrow_array::BinaryArray,
}

/// The hashes of a dictionary's values.
fn hashes(column: &DictionaryArray<Int32Type>, hash: impl Fn(&[u8]) -> u64) -> Vec<u64> {
    let values = column.values();
    match (values.as_string_opt::<i32>(), values.as_binary_opt::<i32>()) {
        (Some(texts), _) => (0..texts.len()).map(|index| hash(texts.value(index).as_bytes())).collect(),
        (_, Some(cells)) => (0..cells.len()).map(|index| hash(cells.value(index))).collect(),
        _ => Vec::new(),
    }
}

fn key(column: &DictionaryArray<Int32Type>, row: usize) -> usize {
    column.keys().values().get(row).and_then(|key| usize::try_from(*key).ok()).unwrap_or_default()
}

/// What bears Prometheus's names has one origin, whatever its role.
fn of_scope(scope: &[u8]) -> u64 {
    if Role::of(scope).is_some() { 0 } else { xxh3_64(scope) | 1 }
}

fn joined(attributes: &[u8], name: u64, resource: u64, scope: u64) -> u64 {
    let origin = resource.rotate_left(31) ^ scope;
    xxh3_64_with_seed(attributes, name ^ origin.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// The hash of a series that the store has: that of its rows.
pub(crate) fn hash_of(series: &Series, seed: u64) -> u64 {
    let scope = of_scope(&series.scope);
    let resource = if scope == 0 { 0 } else { xxh3_64(&series.resource) };
    joined(&series.attributes, xxh3_64_with_seed(series.name.as_bytes(), seed), resource, scope)
}

impl<'a> Identities<'a> {
    /// Those of a batch of metrics; `None` of any other.
    pub(crate) fn of(batch: &'a Batch) -> Option<Self> {
        let columns = batch.columns();
        let dictionary = |name| columns.column_by_name(name)?.as_dictionary_opt::<Int32Type>();
        (batch.signal() == Signal::Metrics).then_some(())?;
        Some(Identities {
            name: dictionary(column::NAME)?,
            resource: dictionary(column::RESOURCE)?,
            scope: dictionary(column::SCOPE)?,
            attributes: columns.column_by_name(column::ATTRIBUTES)?.as_binary_opt()?,
        })
    }

    /// The hash of each row's series.
    pub(crate) fn hashes(&self, seed: u64) -> Vec<u64> {
        let names = hashes(self.name, |name| xxh3_64_with_seed(name, seed));
        let resources = hashes(self.resource, xxh3_64);
        let scopes = hashes(self.scope, of_scope);
        let mut last: Option<([usize; 3], &[u8], u64)> = None;
        let mut hashed = Vec::with_capacity(self.attributes.len());
        for row in 0..self.attributes.len() {
            let keys = [self.name, self.resource, self.scope].map(|column| key(column, row));
            let attributes = self.attributes.value(row);
            // Samples of one series commonly follow each other.
            if let Some((own, same, hash)) = last
                && own == keys
                && same == attributes
            {
                hashed.push(hash);
                continue;
            }
            let of = |hashes: &[u64], key: usize| hashes.get(key).copied().unwrap_or_default();
            let [name, resource, scope] = keys;
            let scope = of(&scopes, scope);
            let resource = if scope == 0 { 0 } else { of(&resources, resource) };
            let hash = joined(attributes, of(&names, name), resource, scope);
            last = Some((keys, attributes, hash));
            hashed.push(hash);
        }
        hashed
    }

    /// A row's metric.
    pub(crate) fn name(&self, row: usize) -> &'a str {
        let names = self.name.values().as_string_opt::<i32>();
        names.filter(|names| key(self.name, row) < names.len()).map_or("", |names| names.value(key(self.name, row)))
    }

    /// A row's attributes as labels.
    pub(crate) fn labels(&self, row: usize) -> impl Iterator<Item = (&'a str, String)> + use<'a> {
        let text = |value: Value<'_>| match value {
            Value::String(text) => text.to_owned(),
            other => format!("{other:?}"),
        };
        Map::new(self.attributes.value(row)).iter().map(move |(key, value)| (key, text(value)))
    }
}

/// Leaves rows out of what was decoded; `rows` rise.
pub(crate) fn leave_out(decoded: &mut Decoded, rows: &[usize]) -> Option<()> {
    decoded.batch = rest(&decoded.batch, rows)?;
    decoded.rejected += rows.len() as u64;
    Some(())
}

/// What is left of a batch without rows, which rise.
pub(crate) fn rest(batch: &Batch, rows: &[usize]) -> Option<Batch> {
    without(batch, &ranges(rows))
}

fn without(batch: &Batch, left_out: &[Range<usize>]) -> Option<Batch> {
    let mut keep = vec![true; batch.num_rows()];
    for range in left_out {
        keep.get_mut(range.clone())?.fill(false);
    }
    let columns = filter_record_batch(batch.columns(), &BooleanArray::from(keep)).ok()?;
    compact(Batch::new(batch.signal(), columns)?)
}

fn ranges(rows: &[usize]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for row in rows {
        match ranges.last_mut() {
            Some(last) if last.end == *row => last.end += 1,
            _ => ranges.push(*row..*row + 1),
        }
    }
    ranges
}

/// The record of a request without some rows, which rise: which they are, then the record of the whole request.
pub(crate) fn record(rows: &[usize], whole: &[u8]) -> Vec<u8> {
    let ranges = ranges(rows);
    let mut record = vec![LEFT_OUT];
    put_varint(&mut record, ranges.len() as u64);
    let mut end = 0;
    for range in ranges {
        put_varint(&mut record, (range.start - end) as u64);
        put_varint(&mut record, range.len() as u64);
        end = range.end;
    }
    record.extend_from_slice(whole);
    record
}

/// What [`record`] made: the rows that are left out, and the record of the whole request; `None` where it is another record.
pub(super) fn recorded(signal: Signal, record: &[u8]) -> Option<(Vec<Range<usize>>, &[u8])> {
    let (tag, mut rest) = record.split_first()?;
    if signal != Signal::Metrics || *tag != LEFT_OUT {
        return None;
    }
    let mut number = || usize::try_from(take_varint(&mut rest)?).ok();
    let (mut ranges, mut end) = (Vec::new(), 0usize);
    for _ in 0..number()? {
        // Each takes two bytes at least, so that a count which lies ends soon.
        let start = end.checked_add(number()?)?;
        end = start.checked_add(number()?)?;
        ranges.push(start..end);
    }
    Some((ranges, rest))
}

/// A batch of the log without the rows that its record leaves out.
pub(super) fn replayed(batch: &Batch, left_out: &[Range<usize>]) -> Result<Batch, String> {
    without(batch, left_out).ok_or_else(|| "the record leaves out rows that its request does not have".to_owned())
}

/// How many samples, histograms and exemplars of remote write are in a batch.
pub(crate) fn written(batch: &Batch) -> super::remote::Written {
    let mut written = super::remote::Written::default();
    let columns: &RecordBatch = batch.columns();
    let (Some(identities), Some(types), Some(exemplars)) = (
        Identities::of(batch),
        columns.column_by_name(column::TYPE).and_then(|types| types.as_any().downcast_ref::<Int32Array>()),
        columns.column_by_name(column::EXEMPLARS).and_then(|cells| cells.as_binary_opt::<i32>()),
    ) else {
        return written;
    };
    let scopes = identities.scope.values().as_binary_opt::<i32>();
    for row in 0..batch.num_rows() {
        let scope = scopes.filter(|scopes| key(identities.scope, row) < scopes.len());
        match scope.and_then(|scopes| Role::of(scopes.value(key(identities.scope, row)))) {
            Some(Role::Samples) if types.value(row) >= HISTOGRAM => written.histograms += 1,
            Some(Role::Samples) => written.samples += 1,
            Some(Role::Exemplars) => written.exemplars += Exemplar::list(exemplars.value(row)).count() as u64,
            Some(Role::Metadata) | None => {}
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::DecodeLimits;
    use crate::decode::exposition::Imported;
    use crate::decode::remote::{self, Version, Written};
    use crate::decode::text::{TextFormat, to_remote_write};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn decoded(text: &str) -> Decoded {
        let format = TextFormat::detect(text.as_bytes());
        let message = to_remote_write(format, text.as_bytes(), 1_000, (&Imported::default(), 0)).unwrap().0;
        remote::decode(Version::Two, 0, &message, &DecodeLimits::default()).unwrap()
    }

    fn series(text: &str) -> Vec<u64> {
        let decoded = decoded(text);
        Identities::of(&decoded.batch).unwrap().hashes(7)
    }

    #[test]
    fn i1_a_series_is_its_name_and_labels() {
        let one = series("a{x=\"1\",y=\"2\"} 1\n");
        for same in [
            "a{y=\"2\",x=\"1\"} 5 9\n",
            "# TYPE a counter\na{x=\"1\",y=\"2\"} 1\n",
            "# HELP a Help.\na{x=\"1\",y=\"2\",z=\"\"} 1\n",
        ] {
            assert_eq!(series(same), one, "{same}");
        }
        // An exemplar has a row of its own, and none but the series of its sample.
        let with_exemplar = series("# TYPE a counter\na_total{x=\"1\"} 1 # {} 2 3\n# EOF\n");
        assert_eq!((with_exemplar.len(), with_exemplar.iter().collect::<BTreeSet<_>>().len()), (2, 1));
        let others = series("a 1\nb 1\na{x=\"1\"} 1\na{x=\"2\"} 1\na{y=\"1\"} 1\na 2\n");
        assert_eq!(others.iter().collect::<BTreeSet<_>>().len(), 5);
        assert_eq!(others.first(), others.last());
    }

    #[test]
    fn a_series_that_is_stored_has_the_hash_of_its_rows() {
        let series = |name: &str, resource: &[u8], scope: &[u8], attributes: &[u8]| Series {
            name: name.into(),
            r#type: 1,
            service_name: "".into(),
            resource: resource.into(),
            scope: scope.into(),
            unit: "".into(),
            description: "".into(),
            metadata: [].into(),
            temporality: 0,
            is_monotonic: false,
            attributes: attributes.into(),
        };
        let decoded = decoded("# TYPE a counter\na_total{x=\"1\"} 1 # {} 2 3\nb 1\n# EOF\n");
        let identities = Identities::of(&decoded.batch).unwrap();
        let cell = |column: &DictionaryArray<Int32Type>, row| {
            column.values().as_binary::<i32>().value(key(column, row)).to_vec()
        };
        for (row, hash) in identities.hashes(7).into_iter().enumerate() {
            let (resource, scope) = (cell(identities.resource, row), cell(identities.scope, row));
            let stored = series(identities.name(row), &resource, &scope, identities.attributes.value(row));
            assert_eq!(hash_of(&stored, 7), hash, "row {row}");
        }
        let [one, other, of_scope] = [("r", "s"), ("q", "s"), ("r", "t")]
            .map(|(r, s)| hash_of(&series("a", r.as_bytes(), s.as_bytes(), &[]), 7));
        assert!(one != other && one != of_scope && other != of_scope, "of OpenTelemetry's, resource and scope count");
    }

    #[test]
    fn what_is_left_is_counted_again() {
        let text = "# TYPE a counter\na_total 1 # {} 2 3\na_total{x=\"1\"} 1 # {} 2 3\n# TYPE g gauge\ng 1\n# EOF\n";
        let mut decoded = decoded(text);
        let all = decoded.written;
        assert_eq!((written(&decoded.batch), all), (all, Written { samples: 3, histograms: 0, exemplars: 2 }));
        leave_out(&mut decoded, &[2, 3]).unwrap();
        assert_eq!(written(&decoded.batch), Written { samples: 2, histograms: 0, exemplars: 1 });
        assert_eq!(decoded.rejected, 2);
        assert!(leave_out(&mut decoded, &[9]).is_none(), "there is no such row");
    }

    proptest! {
        #[test]
        fn i2_a_record_says_what_is_left_out(rows in proptest::collection::btree_set(0usize..40, 0..20), whole in proptest::collection::vec(any::<u8>(), 0..20)) {
            let rows: Vec<usize> = rows.into_iter().collect();
            let made = record(&rows, &whole);
            let (left_out, rest) = recorded(Signal::Metrics, &made).unwrap();
            prop_assert_eq!(left_out.into_iter().flatten().collect::<Vec<_>>(), rows);
            prop_assert_eq!(rest, &whole);
            prop_assert!(recorded(Signal::Logs, &made).is_none());
        }

        #[test]
        fn i2_any_bytes_are_a_record_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..30)) {
            let tagged = [&[LEFT_OUT][..], &bytes].concat();
            if let Some((left_out, _)) = recorded(Signal::Metrics, &tagged) {
                let batch = decoded("a 1\nb 1\n").batch;
                drop(replayed(&batch, &left_out));
            }
        }
    }
}
