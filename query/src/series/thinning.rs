//! What do samples say of those that were left out? Of old metrics the store may have only some of each window (`storage::metric`).
//!
//! T1  Of a window that is looked at as a whole, the first and the last sample are there, both sides of each place at which a counter
//!     began anew, and how many samples there were. What else is known of it is said here.

/// A sample among those of its window that were kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stand {
    /// Time of the sample, in milliseconds.
    pub(crate) time: i64,
    /// For how many it stands, itself included; 0 where another one of its window stands for it.
    pub(crate) count: u64,
    /// Their sum, if told.
    pub(crate) sum: Option<f64>,
    /// The least and the greatest of them, where those are not among what was kept.
    pub(crate) range: Option<(f64, f64)>,
    /// Whether each place is there at which the value falls.
    pub(crate) has_falls: bool,
    /// Whether the least and the greatest of its window are there or told.
    pub(crate) has_extremes: bool,
}

/// What is asked of the samples of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// The first, the last, how many.
    Ends,
    /// What they add up to.
    Sums,
    /// The least and the greatest.
    Extremes,
    /// Where the value fell.
    Falls,
    /// Every one of them.
    Everything,
}

/// How a series was thinned.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Thinning {
    /// Milliseconds of the longest window of which samples may have been left out; 0 where every sample is there.
    pub(crate) resolution: i64,
    /// By ascending time. A sample that is not here stands for itself.
    pub(crate) stands: Vec<Stand>,
}

impl Stand {
    /// Whether it says what is asked of its window.
    pub(crate) fn tells(&self, needs: Needs) -> bool {
        match needs {
            Needs::Ends => true,
            Needs::Sums => self.sum.is_some() || self.count == 0,
            Needs::Extremes => self.has_extremes,
            Needs::Falls => self.has_falls,
            Needs::Everything => false,
        }
    }
}

impl Thinning {
    /// Whether ends that are multiples of so many milliseconds cut no window.
    pub(crate) fn is_cut_by(&self, every: i64) -> bool {
        self.resolution > 0 && (every == 0 || every % self.resolution != 0)
    }

    /// Whether what is asked is known of every window.
    pub(crate) fn tells(&self, needs: Needs) -> bool {
        self.stands.iter().all(|stand| stand.tells(needs))
    }
}
