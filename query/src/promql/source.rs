//! Where do series come from, and may the query go on?

use super::fault::Result;
use super::regex::Matcher;
use crate::series::RawSeries;

/// A place that has series: the store, or what a test has loaded.
pub(crate) trait Source {
    /// Gives the series that fit, by ascending labels, each with its samples after one moment and until another.
    fn select(
        &self,
        matchers: &[Matcher],
        after: i64,
        until: i64,
        each: &mut dyn FnMut(RawSeries) -> Result<()>,
    ) -> Result<()>;

    /// Fails when the query should end.
    fn check(&self) -> Result<()>;

    /// Counts memory that is held until the answer is given.
    fn charge(&self, bytes: usize) -> Result<()>;
}
