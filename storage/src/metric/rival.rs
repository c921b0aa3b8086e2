//! Which of two samples counts that lie in different stored series and are of one series to who asks?
//!
//! Series that bear Prometheus's names are told apart by their labels alone. A sender that changes its mind about a metric begins another stored
//! series (N1): by its type, unit or description. Such series are rivals. Of rivals' samples with one time the one counts that was written
//! last. OpenTelemetry's have none: who sends two metrics of one name is sent both back.
//!
//! V1  A head has no two samples of rivals with one time: who writes one gives up the others (`head`). So a block that is flushed has none.
//! V2  Between heads and blocks the one counts of the source that was written last: a reader leaves out the others, and so does a merge, behind
//!     which nothing would tell any more.
//!
//! Not here: samples of one stored series (N2).

use super::assemble::Stored;
use super::samples::Samples;
use super::series::Series;
use crate::error::Result;
use crate::model::verbatim::Role;
use std::collections::{BTreeMap, HashMap, HashSet};
use xxhash_rust::xxh3::Xxh3;

/// A sender may change its mind so often in one generation of memtables: a sample that was written before the last so many changes, and for
/// one time with a new one, may count beside it until both lie in blocks.
const MAX_RIVALS: usize = 64;

/// What rivals have in common, as a hash of that.
type Common = u128;

/// What the families of rivals have in common, and all of a family, as hashes; `None` where a family has no rivals.
pub(super) fn family(series: &Series) -> Option<(Common, Common)> {
    if Role::of(&series.scope) != Some(Role::Samples) {
        return None;
    }
    let mut hash = Hash::default();
    [series.name.as_bytes(), series.service_name.as_bytes(), &series.resource, &series.scope]
        .into_iter()
        .for_each(|part| hash.add(part));
    let mut described = Hash(hash.0.clone());
    let is_counted = i32::from(series.is_monotonic).to_le_bytes();
    let what = [series.r#type.to_le_bytes(), series.temporality.to_le_bytes(), is_counted];
    described.add(what.as_flattened());
    [series.unit.as_bytes(), series.description.as_bytes(), &series.metadata]
        .into_iter()
        .for_each(|part| described.add(part));
    Some((hash.0.digest128(), described.0.digest128()))
}

#[derive(Default)]
struct Hash(Xxh3);

impl Hash {
    /// Adds a part behind its length, so that what stands between parts counts.
    fn add(&mut self, part: &[u8]) {
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
    }
}

/// The families of a head, by what rivals have in common.
#[derive(Debug, Default)]
pub(super) struct Families {
    groups: HashMap<Common, usize>,
    members: Vec<Vec<u32>>,
    /// The group of each family.
    of: Vec<Option<usize>>,
}

impl Families {
    /// Adds the family that has the next number.
    pub(super) fn add(&mut self, series: &Series) {
        let number = u32::try_from(self.of.len()).unwrap_or(u32::MAX);
        let group = family(series).map(|(common, _)| {
            let group = *self.groups.entry(common).or_insert(self.members.len());
            if group == self.members.len() {
                self.members.push(Vec::new());
            }
            group
        });
        if let Some(members) = group.and_then(|group| self.members.get_mut(group)) {
            members.push(number);
        }
        self.of.push(group);
    }

    /// The families whose series may be rivals of one's, the last [`MAX_RIVALS`].
    pub(super) fn rivals(&self, family: u32) -> impl Iterator<Item = u32> {
        let group = self.of.get(family as usize).copied().flatten();
        let members = group.and_then(|group| self.members.get(group)).map_or(&[][..], Vec::as_slice);
        members.iter().rev().copied().filter(move |other| *other != family).take(MAX_RIVALS)
    }

    /// About how much memory it takes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.groups.capacity() * 25 + self.members.capacity() * 32 + self.of.capacity() * 16
    }
}

/// Finds rivals among many series, looked at one after the other three times: by family, by series and time, and to be gathered.
#[derive(Debug, Default)]
pub(crate) struct Census {
    /// The first family of each kind.
    families: HashMap<Common, Common>,
    /// Kinds with more than one.
    contested: HashSet<Common>,
    series: HashMap<Common, Variants>,
    last: Option<(Series, Option<(Common, Common)>)>,
}

/// What is known of the rivals of one series.
#[derive(Debug)]
struct Variants {
    family: Common,
    /// Whether there are others of other families.
    is_mixed: bool,
    min_time: i64,
    max_time: i64,
    /// Whether two of them have samples in one stretch of time.
    overlap: bool,
}

impl Census {
    fn family(&mut self, series: &Series) -> Option<(Common, Common)> {
        match &self.last {
            Some((last, known)) if last.is_of_family(series) => *known,
            _ => {
                let known = family(series);
                self.last = Some((series.clone(), known));
                known
            }
        }
    }

    /// Looks at a series' family.
    pub(crate) fn look(&mut self, series: &Series) {
        let is_same = self.last.as_ref().is_some_and(|(last, _)| last.is_of_family(series));
        let Some((common, family)) = self.family(series).filter(|_| !is_same) else { return };
        if *self.families.entry(common).or_insert(family) != family {
            self.contested.insert(common);
        }
    }

    /// Whether there may be rivals: only then there is more to look at.
    pub(crate) fn has_any(&self) -> bool {
        !self.contested.is_empty()
    }

    fn key(&mut self, series: &Series) -> Option<(Common, Common)> {
        let (common, family) = self.family(series).filter(|(common, _)| self.contested.contains(common))?;
        let mut hash = Hash::default();
        hash.add(&common.to_le_bytes());
        hash.add(&series.attributes);
        Some((hash.0.digest128(), family))
    }

    /// Looks at a stored series of a family that has rivals.
    pub(crate) fn compare(&mut self, stored: &Stored) {
        let Some((key, family)) = self.key(&stored.series) else { return };
        let (min_time, max_time) = (stored.min_time, stored.max_time);
        let alone = Variants { family, is_mixed: false, min_time, max_time, overlap: false };
        let known = self.series.entry(key).or_insert(alone);
        known.is_mixed |= family != known.family;
        known.overlap |= known.is_mixed && min_time <= known.max_time && known.min_time <= max_time;
        known.min_time = known.min_time.min(min_time);
        known.max_time = known.max_time.max(max_time);
    }

    /// About how much memory it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let bytes = size_of::<(Common, Variants)>() + 1;
        self.series.capacity() * bytes + self.families.capacity() * 33 + self.contested.capacity() * 17
    }

    /// The number of a series with rivals whose samples may have one time.
    pub(crate) fn rivalry(&mut self, series: &Series) -> Option<u128> {
        let (key, _) = self.key(series)?;
        self.series.get(&key).filter(|variants| variants.overlap).map(|_| key)
    }
}

/// Samples that do not count, by series: ascending times. A series is among the rivals of one [`Lost::add`] only.
#[derive(Debug, Default)]
pub(crate) struct Lost(BTreeMap<Series, Vec<i64>>);

impl Lost {
    /// Adds those of rivals: of each where it lies, with the place of the source among all, those that were written first first. `times`
    /// reads the times of its samples.
    pub(crate) fn add(
        &mut self,
        rivals: &[(usize, Stored)],
        mut times: impl FnMut(usize, &Stored) -> Result<Vec<i64>>,
    ) -> Result<()> {
        let mut all: Vec<(i64, usize, &Series)> = Vec::new();
        for (place, stored) in rivals {
            all.extend(times(*place, stored)?.into_iter().map(|time| (time, *place, &stored.series)));
        }
        all.sort_by_key(|(time, place, _)| (*time, *place));
        for same in all.chunk_by(|(one, ..), (other, ..)| one == other) {
            let Some(((time, _, winner), losers)) = same.split_last() else { continue };
            for (.., loser) in losers.iter().filter(|(.., loser)| loser != winner) {
                let lost = self.0.entry((*loser).clone()).or_default();
                if lost.last() != Some(time) {
                    lost.push(*time);
                }
            }
        }
        Ok(())
    }

    /// Whether a series has any.
    pub(crate) fn has(&self, series: &Series) -> bool {
        self.0.contains_key(series)
    }

    /// The samples of a series that count.
    pub(crate) fn leave_out(&self, series: &Series, samples: Samples) -> Samples {
        let Some(lost) = self.0.get(series) else { return samples };
        let counts = |row: &usize| samples.times().get(*row).is_some_and(|time| lost.binary_search(time).is_err());
        let rows: Vec<usize> = (0..samples.len()).filter(counts).collect();
        samples.take(&rows)
    }
}
