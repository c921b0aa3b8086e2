//! Where do series come from, and may the query go on?

use super::fault::Result;
use super::regex::Matcher;
use crate::series::{Needs, Selected, Thinning};

/// How the samples are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Milliseconds of which all ends of what is looked at are multiples; 0 where nothing is known of them.
    pub(crate) every: i64,
    /// What is asked of what lies between them.
    pub(crate) needs: Needs,
}

impl Reading {
    /// Every sample counts.
    pub(crate) const WHOLE: Reading = Reading { every: 0, needs: Needs::Everything };

    /// From one moment to another at a distance, each time over a range that ends there.
    pub(crate) fn new((first, last): (i64, i64), step: i64, range: i64, needs: Needs) -> Self {
        let step = if first == last { 0 } else { step };
        Reading { every: divisor(divisor(first, step), range), needs }
    }

    /// How much older the sample that counts at a moment may be, where the one that counted was left out.
    pub(crate) fn slack(self, thinning: &Thinning) -> i64 {
        if thinning.is_cut_by(self.every) { thinning.resolution } else { 0 }
    }
}

/// The greatest number of which both are multiples.
fn divisor(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.saturating_abs(), b.saturating_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A place that has series: the store, or what a test has loaded.
pub(crate) trait Source {
    /// Gives the series that fit, by ascending labels, each with its samples after one moment and until another; some earlier ones
    /// too, where what is looked at cuts windows of which samples were left out.
    fn select(
        &self,
        matchers: &[Matcher],
        after: i64,
        until: i64,
        reading: Reading,
        each: &mut dyn FnMut(Selected) -> Result<()>,
    ) -> Result<()>;

    /// Fails when the query should end.
    fn check(&self) -> Result<()>;

    /// Counts memory that is held until the answer is given.
    fn charge(&self, bytes: usize) -> Result<()>;

    /// Gives back memory that was counted and is held no more.
    fn release(&self, bytes: usize);
}
