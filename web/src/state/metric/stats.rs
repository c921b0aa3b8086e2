//! What are the least, mean, greatest and last of a line's values? Those that are numbers count; the last tells its moment.

use super::rate::Sample;

/// Statistics of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stats {
    /// Least.
    pub min: f64,
    /// Mean of the samples.
    pub mean: f64,
    /// Greatest.
    pub max: f64,
    /// The last.
    pub last: Sample,
}

/// Of samples in the order of time; none of none.
pub fn of(samples: &[Sample]) -> Option<Stats> {
    let mut found: Option<Stats> = None;
    let mut count = 0.0;
    for (time, value) in samples.iter().copied().filter(|(_, value)| !value.is_nan()) {
        count += 1.0;
        let stats = found.get_or_insert(Stats { min: value, mean: value, max: value, last: (time, value) });
        stats.min = stats.min.min(value);
        stats.max = stats.max.max(value);
        // Infinity less infinity is no number, but the mean of infinite values is infinite.
        stats.mean =
            if stats.mean.is_infinite() { stats.mean + value } else { stats.mean + (value - stats.mean) / count };
        stats.last = (time, value);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_does_not_count() {
        let stats = of(&[(1, 4.0), (2, f64::NAN), (3, 1.0), (4, 1.0), (5, f64::NAN)]).unwrap();
        assert_eq!(stats, Stats { min: 1.0, mean: 2.0, max: 4.0, last: (4, 1.0) });
        assert_eq!(of(&[(1, f64::NAN)]), None);
        let endless = of(&[(1, f64::INFINITY), (2, f64::INFINITY)]).unwrap();
        assert_eq!((endless.mean, endless.max), (f64::INFINITY, f64::INFINITY));
        assert_eq!(of(&[(1, f64::INFINITY), (2, 3.0), (3, f64::INFINITY)]).unwrap().mean, f64::INFINITY);
        assert_eq!(of(&[]), None);
    }
}
