//! Which columns does a sample have beside its time? Numbers, held as 64 bits each, and cells.

use crate::model::schema::column as name;

/// How the 64 bits of a number are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberKind {
    /// Two's complement; narrower columns are widened.
    Int,
    /// Unsigned; narrower columns are widened.
    Unsigned,
    /// IEEE 754.
    Double,
}

/// The columns of numbers. Their order is part of the block format.
pub(crate) const NUMBERS: [(&str, NumberKind); 11] = [
    (name::START_TIME, NumberKind::Int),
    (name::FLAGS, NumberKind::Unsigned),
    (name::VALUE_INT, NumberKind::Int),
    (name::VALUE_DOUBLE, NumberKind::Double),
    (name::COUNT, NumberKind::Unsigned),
    (name::SUM, NumberKind::Double),
    (name::MIN, NumberKind::Double),
    (name::MAX, NumberKind::Double),
    (name::SCALE, NumberKind::Int),
    (name::ZERO_COUNT, NumberKind::Unsigned),
    (name::ZERO_THRESHOLD, NumberKind::Double),
];

/// Places in [`NUMBERS`].
pub(crate) const START_TIME: usize = 0;
pub(crate) const FLAGS: usize = 1;
pub(crate) const VALUE_INT: usize = 2;
pub(crate) const VALUE_DOUBLE: usize = 3;
pub(crate) const COUNT: usize = 4;
pub(crate) const SUM: usize = 5;
pub(crate) const MIN: usize = 6;
pub(crate) const MAX: usize = 7;
pub(crate) const SCALE: usize = 8;
pub(crate) const ZERO_COUNT: usize = 9;
pub(crate) const ZERO_THRESHOLD: usize = 10;

/// The columns of cells. Their order is part of the block format.
pub(crate) const CELLS: [&str; 6] =
    [name::EXPLICIT_BOUNDS, name::BUCKET_COUNTS, name::POSITIVE, name::NEGATIVE, name::QUANTILES, name::EXEMPLARS];

/// A flag of a head's own, beyond those that a point can have: another stored series has this time's sample.
pub(crate) const GIVEN_UP: u64 = 1 << 32;

/// Places in [`CELLS`].
pub(crate) const EXPLICIT_BOUNDS: usize = 0;
pub(crate) const BUCKET_COUNTS: usize = 1;
pub(crate) const POSITIVE: usize = 2;
pub(crate) const NEGATIVE: usize = 3;
pub(crate) const QUANTILES: usize = 4;
pub(crate) const EXEMPLARS: usize = 5;

/// A set of columns of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fields(u32);

impl Fields {
    /// All of them.
    pub(crate) const ALL: Fields = Fields(u32::MAX);

    /// None of them.
    pub(crate) const NONE: Fields = Fields(0);

    /// Those among some columns.
    pub(crate) fn of(columns: &[&str]) -> Self {
        let number = NUMBERS.iter().map(|(name, _)| *name);
        let set = number.chain(CELLS).zip(0u32..).filter(|(name, _)| columns.contains(name));
        Fields(set.fold(0, |set, (_, bit)| set | 1 << bit))
    }

    /// These and others.
    pub(crate) fn and(self, others: Fields) -> Fields {
        Fields(self.0 | others.0)
    }

    /// Whether a column of numbers is among them.
    pub(crate) fn number(self, place: usize) -> bool {
        self.0 >> place & 1 == 1
    }

    /// Whether a column of cells is among them.
    pub(crate) fn cell(self, place: usize) -> bool {
        self.0 >> (NUMBERS.len() + place) & 1 == 1
    }
}
