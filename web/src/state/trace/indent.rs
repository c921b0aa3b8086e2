//! How far is a span of a depth indented? Evenly at first, then less with every level, so that its name keeps its room.
//!
//! IN1  Deeper is never further left, and nothing is indented by more than `FULL` levels and `REST` pixels.

/// Pixels of a level.
const LEVEL: usize = 12;
/// Levels that have all of them.
const FULL: usize = 8;
/// Pixels that all deeper levels share.
const REST: usize = 72;
/// From here on levels lie so near together that the depth is told beside them.
const TOLD: usize = 16;

/// Pixels from the left.
pub fn indent(depth: usize) -> usize {
    let beyond = depth.saturating_sub(FULL).saturating_mul(LEVEL).min(usize::from(u16::MAX));
    depth.min(FULL) * LEVEL + REST * beyond / (REST + beyond)
}

/// The depth, where the eye cannot count it.
pub fn told(depth: usize) -> Option<usize> {
    (depth > TOLD).then_some(depth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in1_deeper_levels_share_what_room_there_is() {
        let at: Vec<usize> = (0..2_000).map(indent).collect();
        assert!(at.is_sorted(), "IN1");
        assert_eq!((at[1], at[8], at[9]), (12, 96, 106));
        assert!(at[1_999] < FULL * LEVEL + REST && indent(usize::MAX) < FULL * LEVEL + REST, "IN1");
        assert_eq!((told(16), told(17)), (None, Some(17)));
    }

    #[test]
    fn as_long_as_no_depth_is_told_levels_are_told_apart() {
        assert!((0..TOLD).all(|depth| indent(depth + 1) >= indent(depth) + 2));
    }
}
