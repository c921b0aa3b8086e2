//! Which samples of a series does a deletion hide? Those that a row's predicates choose, asked without making rows where the
//! series alone tells.
//!
//! H1  What is left are the samples whose rows `scan::evaluate` would not choose.
//! H2  A sample that stands for others (`thin`) is hidden with any of them that may be chosen: what it says of them could not be
//!     taken apart.

use super::assemble::{SeriesSource, Stored, rows};
use super::field::Fields;
use super::resolution::Resolution;
use super::samples::Samples;
use super::series::{self, Series};
use crate::error::Result;
use crate::model::schema::column as name;
use crate::scan::{Compare, Field, Predicate, Scalar, TimeRange, evaluate};

/// The greatest of OTLP's numbers of types whose samples are numbers: of others `count` is no word about other samples.
const LAST_NUMBER_TYPE: i64 = 2;

/// What hides the samples that stand for some that a predicate chooses, and maybe others; of a block of thinned ones.
pub(crate) fn hiding_windows(predicate: &Predicate, resolution: Resolution) -> Predicate {
    let is_number = Predicate::Compare {
        field: Field::Column(name::TYPE),
        compare: Compare::LessOrEqual,
        value: Scalar::Int(LAST_NUMBER_TYPE),
    };
    let mut conjuncts = vec![is_number, Predicate::Exists(Field::Column(name::COUNT))];
    match predicate {
        Predicate::And(list) => conjuncts.extend(list.iter().map(|part| widened(part, resolution))),
        one => conjuncts.push(widened(one, resolution)),
    }
    conjuncts.retain(|part| *part != Predicate::All);
    Predicate::And(conjuncts)
}

/// What is true of a window's last sample where the predicate may be true of any of its samples.
fn widened(predicate: &Predicate, resolution: Resolution) -> Predicate {
    let bound =
        |compare, time| Predicate::Compare { field: Field::Column(name::TIME), compare, value: Scalar::Int(time) };
    let from = |time| bound(Compare::GreaterOrEqual, resolution.bounds(time).0);
    let until = |time| bound(Compare::LessOrEqual, resolution.bounds(time).1);
    match predicate {
        Predicate::And(list) => Predicate::And(list.iter().map(|part| widened(part, resolution)).collect()),
        Predicate::Or(list) => Predicate::Or(list.iter().map(|part| widened(part, resolution)).collect()),
        Predicate::Compare { field: Field::Column(name::TIME), compare, value: Scalar::Int(time) } => match compare {
            Compare::GreaterOrEqual => from(*time),
            Compare::Greater => from(time.saturating_add(1)),
            Compare::LessOrEqual => until(*time),
            Compare::Less => until(time.saturating_sub(1)),
            Compare::Equal => Predicate::And(vec![from(*time), until(*time)]),
            Compare::NotEqual => Predicate::All,
        },
        other if other.columns().into_iter().all(series::is_column) => other.clone(),
        _ => Predicate::All,
    }
}

/// What hides samples.
#[derive(Debug)]
pub(crate) struct Hidden {
    parts: Vec<Part>,
    fields: Fields,
}

/// One of the predicates that hide; both halves must match.
#[derive(Debug)]
struct Part {
    of_series: Predicate,
    of_rows: Predicate,
    columns: Vec<&'static str>,
}

impl Hidden {
    /// Samples that match a predicate are hidden.
    pub(crate) fn new(predicate: &Predicate) -> Self {
        let one = std::slice::from_ref(predicate);
        let alternatives = if let Predicate::Or(list) = predicate { list } else { one };
        let parts: Vec<Part> = alternatives.iter().map(Part::new).collect();
        let columns: Vec<&str> = parts.iter().flat_map(|part| &part.columns).copied().collect();
        Hidden { fields: Fields::of(&columns), parts }
    }

    /// The columns of samples that tell which are hidden.
    pub(crate) fn fields(&self) -> Fields {
        self.fields
    }

    /// The samples that are not hidden. They have at least the fields that tell.
    pub(crate) fn leave_out(&self, series: &Series, samples: Samples) -> Result<Samples> {
        let mut shown = vec![true; samples.len()];
        for part in self.speaking_of(series)? {
            if part.columns.is_empty() {
                return Ok(Samples::default());
            }
            let batch = rows(&part.columns, &[(series, samples.len())], &samples)?;
            let hidden = evaluate(&batch, &part.of_rows)?;
            shown.iter_mut().zip(hidden.values()).for_each(|(shown, hidden)| *shown &= !hidden);
        }
        if shown.iter().all(|shown| *shown) {
            return Ok(samples);
        }
        let left: Vec<usize> = (0..samples.len()).filter(|row| shown.get(*row) == Some(&true)).collect();
        Ok(samples.take(&left))
    }

    /// Whether some sample of a series in a range of time is shown.
    pub(crate) fn shows(&self, source: &mut impl SeriesSource, stored: &Stored, time: TimeRange) -> Result<bool> {
        if self.speaking_of(&stored.series)?.is_empty() {
            return Ok(true);
        }
        let wanted = source.rows_in(stored, time)?;
        let samples = source.samples(stored, wanted, self.fields)?;
        Ok(!self.leave_out(&stored.series, samples)?.is_empty())
    }

    /// The predicates that a series does not rule out.
    fn speaking_of(&self, series: &Series) -> Result<Vec<&Part>> {
        let one = series::batch(&[series])?;
        let mut speaking = Vec::new();
        for part in &self.parts {
            if evaluate(&one, &part.of_series)?.values().iter().all(|matches| matches) {
                speaking.push(part);
            }
        }
        Ok(speaking)
    }
}

impl Part {
    fn new(predicate: &Predicate) -> Self {
        let conjuncts = if let Predicate::And(list) = predicate { list.clone() } else { vec![predicate.clone()] };
        let of_series = |part: &Predicate| part.columns().into_iter().all(series::is_column);
        let (of_series, of_rows): (Vec<_>, Vec<_>) = conjuncts.into_iter().partition(of_series);
        let of_rows = Predicate::And(of_rows);
        Part { columns: of_rows.columns().into_iter().collect(), of_series: Predicate::And(of_series), of_rows }
    }
}
