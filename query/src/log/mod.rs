//! Which log records are there? A page of them, newest first, and their number over time.
//!
//! Not here: parameters and paths (`http`).

mod histogram;
pub(crate) mod letter;
mod record;
mod search;
mod severity;

pub(crate) use histogram::histogram;
pub(crate) use search::{Place, SearchQuery, search};
pub(crate) use severity::{LEVELS, level_of, number_of};

use storage::scan::{Predicate, ScanRequest, TimeRange};

/// Which records match.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filter {
    /// By time.
    pub(crate) range: TimeRange,
    /// By content.
    pub(crate) predicate: Predicate,
}

impl Filter {
    fn request(&self, columns: &[&'static str]) -> ScanRequest {
        let mut request = ScanRequest::all(columns.iter().copied());
        request.time = self.range;
        request.predicate = self.predicate.clone();
        request
    }
}

#[cfg(test)]
mod tests;
