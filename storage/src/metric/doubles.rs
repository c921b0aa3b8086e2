//! How are the samples of a series held that are doubles and tell nothing more? As two columns, of which series that were measured
//! together share the times.
//!
//! Not here: samples that tell more (`samples`).

use super::field::{self, Fields};
use super::samples::Samples;
use std::sync::Arc;

/// Samples of which each is a double, and of which nothing more is told: neither a start nor flags, nor others for which they stand.
#[derive(Debug, Clone, PartialEq)]
pub struct Doubles {
    /// Unix nanoseconds, ascending, each once.
    pub times: Arc<[i64]>,
    /// As many values.
    pub values: Vec<f64>,
}

/// What was read of a series.
#[derive(Debug, Clone, PartialEq)]
pub enum Read {
    /// Doubles alone.
    Doubles(Doubles),
    /// Anything.
    Samples(Box<Samples>),
}

/// The columns of numbers in which doubles that tell nothing more have nothing but zeros.
pub(crate) const TELLING: [usize; 2] = [field::START_TIME, field::FLAGS];

/// The columns that tell whether samples are such.
pub(crate) fn fields() -> Fields {
    let columns = [field::START_TIME, field::FLAGS, field::VALUE_DOUBLE, field::COUNT];
    Fields::of(&columns.map(|place| field::NUMBERS[place].0))
}

impl Doubles {
    /// Samples that have at least [`fields`], if they are such.
    pub(crate) fn of(samples: Samples) -> Option<Self> {
        if !samples.are_plain_doubles() {
            return None;
        }
        let (times, bits) = samples.into_doubles();
        Some(Doubles { times: times.into(), values: bits.into_iter().map(f64::from_bits).collect() })
    }
}

/// Puts parts of series together, and lets those that follow each other share their times.
#[derive(Debug, Default)]
pub(crate) struct Joiner {
    last: Option<Arc<[i64]>>,
}

impl Joiner {
    /// All parts as one; `None` where their times do not rise from each to the next.
    pub(crate) fn join(&mut self, mut parts: Vec<Doubles>) -> Option<Doubles> {
        let ends = |part: &Doubles| part.times.first().copied().zip(part.times.last().copied());
        let rise = parts.windows(2).all(|pair| {
            let [before, after] = pair else { return true };
            matches!((ends(before), ends(after)), (Some((_, last)), Some((first, _))) if last < first)
        });
        if !rise {
            return None;
        }
        let times = self.times(&parts);
        let values = match parts.len() {
            1 => parts.pop()?.values,
            _ => {
                let mut values = Vec::with_capacity(times.len());
                parts.iter().for_each(|part| values.extend_from_slice(&part.values));
                values
            }
        };
        Some(Doubles { times, values })
    }

    fn times(&mut self, parts: &[Doubles]) -> Arc<[i64]> {
        if let Some(last) = self.last.as_ref().filter(|last| are_joined(last, parts)) {
            return Arc::clone(last);
        }
        let joined = match parts {
            [only] => Arc::clone(&only.times),
            _ => parts.iter().flat_map(|part| part.times.iter().copied()).collect(),
        };
        self.last = Some(Arc::clone(&joined));
        joined
    }
}

/// Whether some times are those of some parts.
fn are_joined(times: &Arc<[i64]>, parts: &[Doubles]) -> bool {
    if let [only] = parts
        && Arc::ptr_eq(times, &only.times)
    {
        return true;
    }
    let mut rest = &times[..];
    for part in parts {
        match rest.strip_prefix(&part.times[..]) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(times: &[i64]) -> Doubles {
        Doubles { times: times.into(), values: times.iter().map(|time| *time as f64).collect() }
    }

    #[test]
    fn parts_are_joined_where_their_times_rise() {
        let mut joiner = Joiner::default();
        let one = joiner.join(vec![part(&[1, 2]), part(&[3])]).unwrap();
        assert_eq!((&one.times[..], &one.values[..]), (&[1, 2, 3][..], &[1.0, 2.0, 3.0][..]));
        let same = joiner.join(vec![part(&[1]), part(&[2, 3])]).unwrap();
        assert!(Arc::ptr_eq(&one.times, &same.times), "times that are equal are shared");
        let other = joiner.join(vec![part(&[1, 2])]).unwrap();
        assert_eq!(&other.times[..], [1, 2]);
        for parts in [vec![part(&[1, 2]), part(&[2])], vec![part(&[5]), part(&[1])]] {
            assert_eq!(joiner.join(parts), None);
        }
    }
}
