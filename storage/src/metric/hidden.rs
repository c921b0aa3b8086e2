//! Which samples of a series does a deletion hide? Those that a row's predicates choose, asked without making rows where the
//! series alone tells.
//!
//! H1  What is left are the samples whose rows `scan::evaluate` would not choose.

use super::assemble::{SeriesSource, Stored, rows};
use super::field::Fields;
use super::samples::Samples;
use super::series::{self, Series};
use crate::error::Result;
use crate::scan::{Predicate, TimeRange, evaluate};

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
