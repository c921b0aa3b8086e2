//! Which metrics bear the names under which they are asked for? Those that came from a sender with names and labels of that kind
//! already: nothing is added to them, and nothing in them is spelt in another way.
//!
//! V1  They are told by the name of their scope. What came beside the samples, exemplars and what is known about a metric, has
//!     scopes of its own, so that no sample takes its place.
//! V2  Their points' flags say what OpenTelemetry's histograms cannot: whether the 64 bits of a count are a float, and what is
//!     known about a reset.
//!
//! Not here: how such metrics come in (`collector`) and are asked for (`query`).

use super::record::take_bytes;

/// The key, among a metric's own attributes, of its type as the sender called it.
pub const TYPE_KEY: &str = "prometheus.type";

/// The bits of the NaN that says: the series ended here.
pub const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The flag of a point whose counts are floats: every count of it is the bits of one.
pub const FLOAT_COUNTS: u32 = 1 << 31;

/// Where in the flags two bits say what is known about a reset.
const HINT_SHIFT: u32 = 28;
const HINT_BITS: u32 = 0b11;

/// What a series of this kind is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Its points are samples.
    Samples,
    /// Its points have no value, only exemplars.
    Exemplars,
    /// Its points say that somebody told its description, unit and type.
    Metadata,
}

impl Role {
    const ALL: [Role; 3] = [Role::Samples, Role::Exemplars, Role::Metadata];

    /// The name of its scope.
    pub fn scope(self) -> &'static str {
        match self {
            Role::Samples => "spanlight.verbatim",
            Role::Exemplars => "spanlight.verbatim.exemplars",
            Role::Metadata => "spanlight.verbatim.metadata",
        }
    }

    /// The role that a scope's cell tells; `None` for every other scope.
    pub fn of(scope: &[u8]) -> Option<Role> {
        let mut rest = scope;
        let name = take_bytes(&mut rest)?;
        Role::ALL.into_iter().find(|role| role.scope().as_bytes() == name)
    }
}

/// What is known about whether a histogram's counter began anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResetHint {
    /// Nothing.
    #[default]
    Unknown,
    /// It did.
    Reset,
    /// It did not.
    NotReset,
    /// It is no counter.
    Gauge,
}

impl ResetHint {
    /// In a point's flags.
    pub fn flags(self) -> u32 {
        let code = match self {
            ResetHint::Unknown => 0,
            ResetHint::Reset => 1,
            ResetHint::NotReset => 2,
            ResetHint::Gauge => 3,
        };
        code << HINT_SHIFT
    }

    /// From a point's flags.
    pub fn of(flags: u32) -> Self {
        match flags >> HINT_SHIFT & HINT_BITS {
            1 => ResetHint::Reset,
            2 => ResetHint::NotReset,
            3 => ResetHint::Gauge,
            _ => ResetHint::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::origin::Scope;
    use super::*;

    #[test]
    fn v1_the_scope_tells_the_role() {
        for role in Role::ALL {
            let mut cell = Vec::new();
            Scope { name: role.scope(), ..Scope::default() }.put(&mut cell);
            assert_eq!(Role::of(&cell), Some(role));
        }
        let mut cell = Vec::new();
        Scope { name: "spanlight.verbatim.other", ..Scope::default() }.put(&mut cell);
        assert_eq!((Role::of(&cell), Role::of(&[])), (None, None));
    }

    #[test]
    fn v2_flags_are_read_back() {
        for hint in [ResetHint::Unknown, ResetHint::Reset, ResetHint::NotReset, ResetHint::Gauge] {
            assert_eq!(ResetHint::of(hint.flags() | FLOAT_COUNTS | 1), hint);
        }
    }
}
