//! Which series came before? A sender sends the same series again and again, each with the same bytes of labels: what those mean is
//! found out once.
//!
//! K1  What is known of some bytes depends on them alone (and on the limits of a collector, which do not change): who decodes with
//!     what is known gets what who knows nothing gets.
//! K2  Bytes are compared, not their hashes alone.
//! K3  It takes [`MOST_BYTES`] at most, and [`MOST_KEPT`] of them are kept. Where there is no room for more, what is known stays, so
//!     that many series that come round and round find a part of them; after long without success all is forgotten.
//!
//! Not here: version 2, whose labels are numbers in a table of each request.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use storage::hashed::AsIs;
use xxhash_rust::xxh3::xxh3_64;

/// Memory of what one knows: some 14,000 series, which is what a sender with a few hundred targets has.
const MOST_BYTES: usize = 4 << 20;
/// So many are kept for the next requests; as many requests are decoded at once on most machines.
const MOST_KEPT: usize = 4;
/// Times as many series unknown as known after which all are forgotten.
const PATIENCE: usize = 8;
/// Memory of a series beside its bytes.
const SERIES_BYTES: usize = size_of::<Series>() + 2 * size_of::<(u64, u32)>();

/// Series that came before.
#[derive(Debug, Default)]
pub(crate) struct Known {
    by_hash: HashMap<u64, u32, AsIs>,
    series: Vec<Series>,
    /// Of each series what came, then its attributes.
    bytes: Vec<u8>,
    /// How many were not known since the last time that all were forgotten, and had no room.
    in_vain: usize,
}

#[derive(Debug)]
struct Series {
    came: Range<usize>,
    attributes: Range<usize>,
    name: Range<usize>,
    job: Range<usize>,
}

/// What the bytes of labels mean. Name and job lie in the bytes.
#[derive(Debug)]
pub(super) struct Meaning<'k> {
    pub(super) name: Range<usize>,
    pub(super) job: Range<usize>,
    /// The cell of the other labels.
    pub(super) attributes: &'k [u8],
}

impl Known {
    /// What the labels of a series mean, by their bytes.
    pub(super) fn find(&self, came: &[u8]) -> Option<Meaning<'_>> {
        let series = self.series.get(*self.by_hash.get(&xxh3_64(came))? as usize)?;
        if self.bytes.get(series.came.clone()) != Some(came) {
            return None;
        }
        let attributes = self.bytes.get(series.attributes.clone())?;
        Some(Meaning { name: series.name.clone(), job: series.job.clone(), attributes })
    }

    /// Takes note of what the labels of a series mean, if there is room.
    pub(super) fn learn(&mut self, came: &[u8], meaning: &Meaning<'_>) {
        let all = self.bytes.len() + came.len() + meaning.attributes.len() + (self.series.len() + 1) * SERIES_BYTES;
        if all > MOST_BYTES {
            self.in_vain += 1;
            if self.in_vain > PATIENCE * self.series.len() {
                self.forget();
            }
            return;
        }
        let (hash, Ok(number)) = (xxh3_64(came), u32::try_from(self.series.len())) else { return };
        // Of two series with one hash the first stays.
        if self.by_hash.contains_key(&hash) {
            return;
        }
        let at = self.bytes.len();
        self.bytes.extend_from_slice(came);
        self.bytes.extend_from_slice(meaning.attributes);
        let attributes = at + came.len()..self.bytes.len();
        let (name, job) = (meaning.name.clone(), meaning.job.clone());
        self.series.push(Series { came: at..at + came.len(), attributes, name, job });
        self.by_hash.insert(hash, number);
    }

    /// Keeps the memory: it is filled again at once.
    fn forget(&mut self) {
        self.by_hash.clear();
        self.series.clear();
        self.bytes.clear();
        self.in_vain = 0;
    }
}

/// What is known, between requests.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Vec<Known>>);

impl Memory {
    /// Lends what is known; to as many at once as ask.
    pub(crate) fn with<T>(&self, decode: impl FnOnce(&mut Known) -> T) -> T {
        let mut known = self.kept().pop().unwrap_or_default();
        let decoded = decode(&mut known);
        let mut kept = self.kept();
        if kept.len() < MOST_KEPT {
            kept.push(known);
        }
        decoded
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Version, decode, decode_known};
    use super::*;
    use crate::decode::DecodeLimits;
    use proptest::prelude::*;
    use storage::model::record::put_bytes;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut field = vec![number << 3 | 2];
        put_bytes(&mut field, bytes);
        field
    }

    /// A series of version 1: a label of each pair, a sample, then perhaps another label.
    fn series(labels: &[(&'static str, &'static str)], value: f64, late: Option<&'static str>) -> Vec<u8> {
        let label =
            |name: &str, value: &str| field(1, &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat());
        let mut message: Vec<u8> = labels.iter().flat_map(|(name, value)| label(name, value)).collect();
        message.extend(field(2, &[&[9][..], &value.to_le_bytes(), &[16, 7]].concat()));
        message.extend(late.map(|late| label(late, "late")).unwrap_or_default());
        field(1, &message)
    }

    fn any_label() -> impl Strategy<Value = (&'static str, &'static str)> {
        let name = prop_oneof![4 => Just("__name__"), 3 => Just("job"), 2 => Just("a"), 2 => Just("b"), 1 => Just("")];
        (name, prop_oneof![Just("x"), Just("y"), Just("")])
    }

    proptest! {
        #[test]
        fn k1_what_is_known_changes_nothing(
            requests in proptest::collection::vec(
                proptest::collection::vec(
                    (proptest::collection::vec(any_label(), 0..4), any::<f64>(), proptest::option::weighted(0.1, Just("c"))),
                    0..6,
                ),
                1..6,
            ),
            cut in 0usize..3,
        ) {
            let (mut known, limits) = (Known::default(), DecodeLimits::default());
            for request in requests {
                let message: Vec<u8> =
                    request.iter().flat_map(|(labels, value, late)| series(labels, *value, *late)).collect();
                let message = message.get(..message.len().saturating_sub(cut)).unwrap_or_default();
                let fresh = decode(Version::One, 0, message, &limits);
                let again = decode_known(Version::One, 0, message, &limits, &mut known);
                match (fresh, again) {
                    (Ok(fresh), Ok(again)) => {
                        prop_assert_eq!(fresh.batch.columns(), again.batch.columns());
                        prop_assert_eq!((fresh.rejected, fresh.message), (again.rejected, again.message));
                        prop_assert_eq!((fresh.written, fresh.service), (again.written, again.service));
                    }
                    (fresh, again) => prop_assert_eq!(fresh.err(), again.err()),
                }
            }
        }
    }

    #[test]
    fn k3_what_is_known_has_its_bounds_and_is_forgotten_after_long_in_vain() {
        let mut known = Known::default();
        let attributes = [7; 1_000];
        let learn = |known: &mut Known, number: u32| {
            let came = number.to_le_bytes();
            let was_known = known.find(&came).is_some();
            if !was_known {
                known.learn(&came, &Meaning { name: 0..2, job: 2..4, attributes: &attributes });
            }
            was_known
        };
        (0..20_000).for_each(|number| assert!(!learn(&mut known, number)));
        let room = known.series.len();
        assert!(room > 2_000 && known.bytes.len() + room * SERIES_BYTES <= MOST_BYTES, "{room}");
        let again = (0..20_000).filter(|number| learn(&mut known, *number)).count();
        assert_eq!(again, room, "those that came first are known still");
        let all = u32::try_from(room * (PATIENCE + 2)).unwrap();
        (100_000..100_000 + all).for_each(|number| _ = learn(&mut known, number));
        assert!(known.find(&0u32.to_le_bytes()).is_none(), "nobody asked for them for long");
        let is_known = |number: u32| known.find(&number.to_le_bytes()).is_some();
        assert!((100_000..100_000 + all).any(is_known), "others took their place");
    }
}
