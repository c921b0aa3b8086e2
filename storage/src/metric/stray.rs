//! Which exemplars lie far from their points? Mostly none: an exemplar is from the time that its point sums up, which has just ended.
//! Whoever asks for exemplars of a time reads the points of that time and of [`REACH`] behind it, and beside those the points of strays.
//!
//! Y1  An exemplar that no such reader would find is within both ranges of its block's or memory's strays.

use crate::model::record::Exemplar;
use serde::{Deserialize, Serialize};

/// How far behind an exemplar its point may lie, in nanoseconds; behind what stands for others, so much and a window.
pub const REACH: i64 = 600 * 1_000_000_000;

/// Exemplars that are later than their point, or far before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strays {
    /// First and last time of such an exemplar.
    pub exemplars: (i64, i64),
    /// First and last time of the points that have some.
    pub points: (i64, i64),
}

impl Strays {
    /// Takes note of those of a point, where points may lie so many nanoseconds behind their exemplars.
    pub(crate) fn note(strays: &mut Option<Self>, time: i64, cell: &[u8], reach: i64) {
        for exemplar in Exemplar::list(cell) {
            // One whose sender told no time is asked for by none.
            if exemplar.time_unix_nano == 0 {
                continue;
            }
            let own = i64::try_from(exemplar.time_unix_nano).unwrap_or(i64::MAX);
            if (own..=own.saturating_add(reach)).contains(&time) {
                continue;
            }
            let with = |(min, max): (i64, i64), time: i64| (min.min(time), max.max(time));
            let known = strays.get_or_insert(Strays { exemplars: (own, own), points: (time, time) });
            *known = Strays { exemplars: with(known.exemplars, own), points: with(known.points, time) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attribute::Map;

    #[test]
    fn y1_strays_are_noted_and_no_others() {
        let mut strays = None;
        let mut note = |time, own: u64| {
            let mut cell = Vec::new();
            let ids: (&[u8], &[u8]) = (&[], &[]);
            let filtered_attributes = Map::new(&[]);
            Exemplar { time_unix_nano: own, value: None, trace_id: ids.0, span_id: ids.1, filtered_attributes }
                .put(&mut cell);
            Strays::note(&mut strays, time, &cell, 10);
            strays
        };
        assert_eq!(note(100, 100), None);
        assert_eq!(note(100, 90), None);
        assert_eq!(note(100, 0), None);
        assert_eq!(note(100, 101), Some(Strays { exemplars: (101, 101), points: (100, 100) }));
        assert_eq!(note(150, 145), Some(Strays { exemplars: (101, 101), points: (100, 100) }));
        assert_eq!(note(200, 189), Some(Strays { exemplars: (101, 189), points: (100, 200) }));
        assert_eq!(note(300, u64::MAX), Some(Strays { exemplars: (101, i64::MAX), points: (100, 300) }));
    }
}
