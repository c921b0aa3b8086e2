//! Do several series go on beside each other, or does each begin where another ended?
//!
//! C1  They go on beside each other where one has a sample at the time of another's, or between two of another's that followed each other
//!     as that one's mostly do; or where each of two comes again after the other. A new version that was taken back again is no such case:
//!     while it was there, the old one paused.

/// Above which share of the usual distance of a series' samples one was left out: it paused.
const PAUSE_PERCENT: i64 = 150;

/// Whether they do, by the times of their samples.
pub(super) fn are_concurrent(series: &[Vec<i64>]) -> bool {
    let mut series: Vec<Times> = series.iter().map(|times| Times::new(times)).collect();
    let mut all: Vec<(i64, usize)> = Vec::new();
    for (place, own) in series.iter().enumerate() {
        all.extend(own.times.iter().map(|time| (*time, place)));
    }
    all.sort_unstable();
    // Of the series that came last, and of all others, the newest sample.
    let (mut newest, mut of_others) = (None::<(i64, usize)>, None::<i64>);
    for (time, place) in all {
        let of_another = match newest {
            Some((_, last)) if last == place => of_others,
            newest => newest.map(|(time, _)| time),
        };
        let Some(own) = series.get_mut(place) else { continue };
        if of_another.is_some_and(|other| other == time || own.goes_on(other, time)) {
            return true;
        }
        own.returns |= own.last.is_some_and(|last| of_another.is_some_and(|other| last < other));
        own.last = Some(time);
        (newest, of_others) = (Some((time, place)), of_another);
    }
    series.iter().filter(|own| own.returns).count() > 1
}

struct Times<'t> {
    times: &'t [i64],
    /// Distance of samples between which it did not pause.
    usual: i64,
    last: Option<i64>,
    /// Whether it came again after another.
    returns: bool,
}

impl<'t> Times<'t> {
    fn new(times: &'t [i64]) -> Self {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        let mut distances: Vec<i64> =
            sorted.array_windows().map(|[before, after]| after.saturating_sub(*before)).collect();
        distances.sort_unstable();
        let median = distances.get(distances.len() / 2).copied().unwrap_or_default();
        Times { times, usual: median.saturating_mul(PAUSE_PERCENT) / 100, last: None, returns: false }
    }

    /// Whether it had a sample before another's, and has the next one as usual.
    fn goes_on(&self, other: i64, time: i64) -> bool {
        self.last.is_some_and(|last| last <= other && time.saturating_sub(last) < self.usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether two are, either way round.
    fn are(one: &[i64], other: &[i64]) -> bool {
        let [found, turned] = [[one, other], [other, one]].map(|both| are_concurrent(&both.map(<[i64]>::to_vec)));
        assert_eq!(found, turned, "{one:?} {other:?}");
        found
    }

    #[test]
    fn c1_one_between_two_of_another_is_beside_it() {
        assert!(are(&[0, 60, 120], &[30, 90]));
        assert!(are(&[0, 60, 120, 180], &[130]), "it came once");
        assert!(are(&[0, 15, 30, 45, 60, 300], &[10, 20]));
        assert!(are(&[0, 60, 240, 300, 360], &[320]), "whatever it paused before");
        assert!(are(&[60], &[60]));
        assert!(are(&[0, 1, 2, 300, 301, 302], &[150, 151, 450]), "both come in bursts");
        assert!(are(&[120, 0, 60], &[90, 30]), "in whatever order they are");
    }

    #[test]
    fn c1_one_behind_another_is_not() {
        assert!(!are(&[0, 60, 120], &[180, 240]));
        assert!(!are(&[0], &[60]));
        assert!(!are(&[0, 60], &[]));
        assert!(!are(&[0, 60, 120, 600, 660], &[200, 260, 320, 380]), "it was taken back");
        assert!(!are(&[0, 60, 120, 240, 300], &[180]), "at once");
        assert!(!are_concurrent(&[vec![0, 60], vec![120, 180], vec![240, 300], vec![360, 420]]));
        assert!(!are_concurrent(&[]));
    }

    #[test]
    fn c1_a_third_one_hides_nothing() {
        assert!(are_concurrent(&[vec![0, 60, 120, 180], vec![200, 260, 320], vec![230, 290]]));
        assert!(are_concurrent(&[vec![0, 60, 120], vec![30, 1_000, 1_060], vec![1_200]]));
    }
}
