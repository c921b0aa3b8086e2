//! Where are series while they are in memory? In a head: the identity of each once, and a log of its samples.
//!
//! H1  A head is filled by one writer. A reader sees the samples that were there when it came, or when it found their series,
//!     whatever comes later: logs only grow.
//! H2  A reader gets the samples of a series by time, each time once, the last one written (N2, N3).
//!     What it gives up because a rival (`rival`) was written with the same time, is left out.
//! H3  An active series with 20 double samples takes at most 1 KiB, its identity included (measured by the bench `metrics`).
//!
//! Not here: which series have a label (`postings`), when a head becomes a block (`engine`).

use super::assemble::{SeriesSource, Stored};
use super::field::{self, Fields};
use super::label::{Label, point_value};
use super::log::Log;
use super::matcher::Matcher;
use super::postings::Postings;
use super::rows::{FamilyColumns, FamilyKeys, Row, SampleColumns};
use super::samples::Samples;
use super::series::Series;
use super::stray::{REACH, Strays};
use crate::block::{Interner, dictionary_value};
use crate::error::{Error, Result};
use crate::model::Batch;
use crate::scan::TimeRange;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Series, or values, that are looked at together; the writer waits as long.
const GROUP_SERIES: usize = 256;

/// The lengths of fewer series than this share of all are kept one by one.
const FEW_SHARE: usize = 8;

/// Distinct values, numbered and shared.
#[derive(Debug)]
struct Shared<T: ?Sized> {
    numbers: HashMap<Arc<T>, u32>,
    values: Vec<Arc<T>>,
    bytes: usize,
}

impl<T: ?Sized> Default for Shared<T> {
    fn default() -> Self {
        Shared { numbers: HashMap::new(), values: Vec::new(), bytes: 0 }
    }
}

impl<T: Eq + Hash + ?Sized> Shared<T> {
    fn number(&mut self, value: &T) -> u32
    where
        Arc<T>: for<'a> From<&'a T>,
    {
        if let Some(&number) = self.numbers.get(value) {
            return number;
        }
        // Fewer than rows, of which a head has fewer than 2^32.
        let number = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        let shared: Arc<T> = Arc::from(value);
        self.bytes += size_of_val(value) + 16;
        self.values.push(Arc::clone(&shared));
        self.numbers.insert(shared, number);
        number
    }

    fn memory_bytes(&self) -> usize {
        self.bytes + self.values.capacity() * 16 + self.numbers.capacity() * 25
    }
}

/// What series of one metric and origin share.
#[derive(Debug, Clone)]
struct Family {
    name: Arc<str>,
    service_name: Arc<str>,
    unit: Arc<str>,
    description: Arc<str>,
    metadata: Arc<[u8]>,
    resource: Arc<[u8]>,
    scope: Arc<[u8]>,
    keys: FamilyKeys,
}

impl Family {
    fn series(&self, attributes: &[u8]) -> Series {
        Series {
            name: Arc::clone(&self.name),
            r#type: self.keys.r#type,
            service_name: Arc::clone(&self.service_name),
            resource: Arc::clone(&self.resource),
            scope: Arc::clone(&self.scope),
            unit: Arc::clone(&self.unit),
            description: Arc::clone(&self.description),
            metadata: Arc::clone(&self.metadata),
            temporality: self.keys.temporality,
            is_monotonic: self.keys.is_monotonic,
            attributes: attributes.into(),
        }
    }
}

/// A series' samples, and what is known of them.
#[derive(Debug)]
struct Run {
    log: Log,
    rows: u32,
    min_time: i64,
    max_time: i64,
    /// Whether it has given up samples.
    gives_up: bool,
}

impl Run {
    /// Bytes of its log: a part of what a head may hold before it is flushed, which is less than 4 GiB.
    fn length(&self) -> u32 {
        u32::try_from(self.log.len()).unwrap_or(u32::MAX)
    }
}

/// Series and their samples.
#[derive(Debug, Default)]
pub(crate) struct Head {
    texts: Shared<str>,
    cells: Shared<[u8]>,
    /// By the numbers of their parts.
    families: Interner,
    family: Vec<Family>,
    rivals: super::rival::Families,
    /// Number of the family, then the attributes.
    series: Interner,
    postings: Postings,
    runs: Vec<Run>,
    log_bytes: usize,
    time_range: Option<(i64, i64)>,
    strays: Option<Strays>,
}

impl Head {
    /// Adds the rows of a batch.
    pub(crate) fn insert(&mut self, batch: &Batch) -> Result<()> {
        let (families, samples) = (FamilyColumns::of(batch)?, SampleColumns::of(batch)?);
        let mut numbered = families.dictionaries.map(|dictionary| vec![None; dictionary.values().len()]);
        let mut last: Option<(FamilyKeys, u32)> = None;
        let (mut identity, mut record, mut sample) = (Vec::new(), Vec::new(), Row::EMPTY);
        for row in 0..batch.num_rows() {
            let keys = families.keys(row);
            let family = match last {
                Some((seen, family)) if seen == keys => family,
                _ => self.number_family(&families, keys, &mut numbered)?,
            };
            last = Some((keys, family));
            identity.clear();
            identity.extend_from_slice(&family.to_le_bytes());
            identity.extend_from_slice(families.attributes.value(row));
            let number = self.series.intern(&identity);
            let series = number as usize;
            samples.read(row, &mut sample);
            if series == self.runs.len() {
                let run = Run { log: Log::default(), rows: 0, min_time: i64::MAX, max_time: i64::MIN, gives_up: false };
                self.runs.push(run);
                self.postings.add(number, family, families.attributes.value(row));
            }
            if let Some(Some(cell)) = sample.cells.get(field::EXEMPLARS) {
                Strays::note(&mut self.strays, sample.time, cell, REACH);
            }
            let Some(run) = self.runs.get_mut(series) else { continue };
            let before = run.log.memory_bytes();
            run.log.push(&sample, &mut record);
            run.rows = run.rows.saturating_add(1);
            run.min_time = run.min_time.min(sample.time);
            run.max_time = run.max_time.max(sample.time);
            self.log_bytes += run.log.memory_bytes().saturating_sub(before);
            self.give_up((family, families.attributes.value(row)), sample.time, &mut record);
        }
        self.time_range = match (self.time_range, batch.time_range()) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (range, None) | (None, range) => range,
        };
        Ok(())
    }

    /// Takes note that a series' rivals have no sample of a time any more.
    fn give_up(&mut self, (family, attributes): (u32, &[u8]), time: i64, record: &mut Vec<u8>) {
        for other in self.rivals.rivals(family) {
            let identity = [&other.to_le_bytes(), attributes].concat();
            let run = self.series.find(&identity).and_then(|number| self.runs.get_mut(number as usize));
            let Some(run) = run.filter(|run| (run.min_time..=run.max_time).contains(&time)) else { continue };
            let before = run.log.memory_bytes();
            let mut given_up = Row { time, ..Row::EMPTY };
            given_up.numbers[field::FLAGS] = Some(field::GIVEN_UP);
            run.log.push(&given_up, record);
            run.gives_up = true;
            self.log_bytes += run.log.memory_bytes().saturating_sub(before);
        }
    }

    fn number_family(
        &mut self,
        columns: &FamilyColumns<'_>,
        keys: FamilyKeys,
        numbered: &mut [Vec<Option<u32>>; 7],
    ) -> Result<u32> {
        let mut parts = [0u32; 7];
        for (place, part) in parts.iter_mut().enumerate() {
            let (Some(dictionary), Some(&key), Some(known)) =
                (columns.dictionaries.get(place), keys.keys.get(place), numbered.get_mut(place))
            else {
                continue;
            };
            let slot = usize::try_from(key).ok().and_then(|key| known.get_mut(key));
            *part = match slot {
                Some(Some(number)) => *number,
                slot => {
                    let value = dictionary_value(dictionary, key);
                    let number = match place {
                        0..4 => self.texts.number(text(value)?),
                        _ => self.cells.number(value),
                    };
                    slot.into_iter().for_each(|slot| *slot = Some(number));
                    number
                }
            };
        }
        let mut identity: Vec<u8> = parts.iter().flat_map(|part| part.to_le_bytes()).collect();
        identity.extend_from_slice(&keys.r#type.to_le_bytes());
        identity.extend_from_slice(&keys.temporality.to_le_bytes());
        identity.push(u8::from(keys.is_monotonic));
        let number = self.families.intern(&identity);
        if number as usize == self.family.len() {
            let [name, service_name, unit, description, metadata, resource, scope] = parts.map(|part| part as usize);
            let text = |number: usize| self.texts.values.get(number).cloned().unwrap_or_default();
            let cell = |number: usize| self.cells.values.get(number).cloned().unwrap_or_default();
            self.family.push(Family {
                name: text(name),
                service_name: text(service_name),
                unit: text(unit),
                description: text(description),
                metadata: cell(metadata),
                resource: cell(resource),
                scope: cell(scope),
                keys,
            });
            let added = self.family.last().map(|family| family.series(&[]));
            added.iter().for_each(|series| self.rivals.add(series));
        }
        Ok(number)
    }

    /// Bytes of memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.texts.memory_bytes()
            + self.cells.memory_bytes()
            + self.families.memory_bytes()
            + self.family.capacity() * size_of::<Family>()
            + self.rivals.memory_bytes()
            + self.series.memory_bytes()
            + self.postings.memory_bytes()
            + self.runs.capacity() * size_of::<Run>()
            + self.log_bytes
    }

    fn identity(&self, number: u32) -> (Option<&Family>, &[u8]) {
        match self.series.get(number).split_first_chunk::<4>() {
            Some((family, attributes)) => (self.family.get(u32::from_le_bytes(*family) as usize), attributes),
            None => (None, &[]),
        }
    }

    fn series(&self, number: u32) -> Option<Series> {
        let (family, attributes) = self.identity(number);
        Some(family?.series(attributes))
    }

    fn stored(&self, number: u32) -> Option<Stored> {
        let run = self.runs.get(number as usize)?;
        let series = self.series(number)?;
        Some(Stored { series, number, rows: run.rows.into(), min_time: run.min_time, max_time: run.max_time })
    }
}

fn text(value: &[u8]) -> Result<&str> {
    std::str::from_utf8(value).map_err(|_| Error::Request { what: "a name or unit is not text".into() })
}

/// Of each series' log what counts (H1).
#[derive(Debug)]
enum Lengths {
    /// When the reader came.
    All(Vec<u32>),
    /// When the series was found.
    Found(HashMap<u32, u32, foldhash::fast::RandomState>),
}

/// Reads a head as it stood at one moment.
#[derive(Debug)]
pub(crate) struct HeadReader {
    head: Arc<Mutex<Head>>,
    lengths: Lengths,
    /// The series in their order, once it was asked for.
    order: Option<Vec<u32>>,
    /// The series that was read last.
    last: Option<(u32, Fields, Samples)>,
}

impl HeadReader {
    /// A reader of all series, as they stand now.
    pub(crate) fn new(head: &Arc<Mutex<Head>>) -> Self {
        Self::finding(head).pinned()
    }

    /// A reader of the few series that it will find, as they stand then. What it costs does not depend on how many there are.
    pub(crate) fn finding(head: &Arc<Mutex<Head>>) -> Self {
        HeadReader { head: Arc::clone(head), lengths: Lengths::Found(HashMap::default()), order: None, last: None }
    }

    /// The same reader, of all series as they stand now.
    pub(crate) fn pinned(mut self) -> Self {
        self.pin();
        self
    }

    /// How many series there are to the reader, if it does not look for some.
    fn pin(&mut self) -> usize {
        if let Lengths::Found(_) = &self.lengths {
            self.lengths = Lengths::All(lock(&self.head).runs.iter().map(Run::length).collect());
        }
        match &self.lengths {
            Lengths::All(lengths) => lengths.len(),
            Lengths::Found(_) => 0,
        }
    }

    /// Earliest and latest time now, both inclusive.
    pub(crate) fn time_range(&self) -> Option<(i64, i64)> {
        lock(&self.head).time_range
    }

    /// Exemplars now that are far from their points.
    pub(crate) fn strays(&self) -> Option<Strays> {
        lock(&self.head).strays
    }

    /// Gives the values of a label to `each`, in no order, some perhaps twice or empty. No series is asked. The writer waits while some are
    /// copied, not while they are looked at.
    pub(crate) fn each_label_value(&self, label: &Label, each: &mut dyn FnMut(&str)) {
        let mut from = 0;
        loop {
            let values = self.some_label_values(label, from);
            if values.is_empty() {
                return;
            }
            from += values.len();
            values.iter().for_each(|value| each(value));
        }
    }

    /// The values of a label from one of them on, in the order in which they came.
    fn some_label_values(&self, label: &Label, from: usize) -> Vec<String> {
        let head = lock(&self.head);
        match label {
            Label::Point(key) => head.postings.values(key, from).take(GROUP_SERIES).map(Cow::into_owned).collect(),
            _ => {
                let families = head.family.iter().skip(from).take(GROUP_SERIES);
                families.map(|family| label.value(&family.series(&[])).into_owned()).collect()
            }
        }
    }

    /// Every label that a series has.
    pub(crate) fn labels(&self) -> BTreeSet<Label> {
        let head = lock(&self.head);
        let of_families = head.family.iter().flat_map(|family| family.series(&[]).labels());
        of_families.chain(head.postings.keys().map(|key| Label::Point(key.to_owned()))).collect()
    }

    /// Whether a series matches.
    pub(crate) fn has(&mut self, matchers: &[Matcher]) -> Result<bool> {
        if matchers.iter().any(|matcher| matches!(matcher.label(), Label::Point(_))) {
            let mut has = false;
            self.each_match(matchers, &mut |_| {
                has = true;
                false
            })?;
            return Ok(has);
        }
        let admits = |family: &Family| matchers.iter().all(|matcher| matcher.matches(&family.series(&[])));
        Ok(lock(&self.head).family.iter().any(admits))
    }

    /// Series among which are all that match, and which families do: few families, many series, so a family is asked once. From now on the
    /// reader sees them as they stand now (H1).
    fn propose(&mut self, of_family: &[&Matcher], of_series: &[&Matcher]) -> (Vec<u32>, Vec<bool>) {
        let head = lock(&self.head);
        let admits = |family: &Family| of_family.iter().all(|matcher| matcher.matches(&family.series(&[])));
        let admitted: Vec<bool> = head.family.iter().map(admits).collect();
        let proposed = head.postings.proposed(of_series, &admitted);
        let are_few = proposed.as_ref().is_some_and(|proposed| proposed.len() < head.runs.len() / FEW_SHARE);
        if let (false, Lengths::Found(_)) = (are_few, &self.lengths) {
            self.lengths = Lengths::All(head.runs.iter().map(Run::length).collect());
        }
        let mut numbers = proposed.unwrap_or_else(|| (0u32..).take(head.runs.len()).collect());
        match &mut self.lengths {
            Lengths::All(lengths) => numbers.retain(|number| (*number as usize) < lengths.len()),
            Lengths::Found(lengths) => {
                let length = |number: u32| head.runs.get(number as usize).map_or(0, Run::length);
                lengths.extend(numbers.iter().map(|number| (*number, length(*number))));
            }
        }
        (numbers, admitted)
    }

    /// Those of some series that match.
    fn matching(&self, numbers: &[u32], of_series: &[&Matcher], admitted: &[bool]) -> Vec<Stored> {
        let head = lock(&self.head);
        let fits = |attributes: &[u8]| {
            of_series.iter().all(|matcher| match matcher.label() {
                Label::Point(key) => matcher.accepts(&point_value(attributes, key)),
                _ => true,
            })
        };
        let matches = |number: u32| {
            let (family, attributes) = head.series.get(number).split_first_chunk::<4>()?;
            let is_admitted = admitted.get(u32::from_le_bytes(*family) as usize) == Some(&true);
            (is_admitted && fits(attributes)).then(|| head.stored(number))?
        };
        numbers.iter().filter_map(|number| matches(*number)).collect()
    }

    /// The series in ascending order.
    fn order(&mut self) -> &[u32] {
        let count = self.pin();
        let head = &self.head;
        self.order.get_or_insert_with(|| sorted(&lock(head), count))
    }

    /// Series and their samples, in ascending order of the series. `each` is not called under the lock.
    pub(crate) fn for_each(&mut self, mut each: impl FnMut(&Series, Samples) -> Result<()>) -> Result<()> {
        for group in 0..self.groups() {
            for stored in self.group(group)? {
                let samples = self.read(stored.number, Fields::ALL);
                each(&stored.series, samples)?;
            }
        }
        Ok(())
    }

    fn read(&self, number: u32, fields: Fields) -> Samples {
        let head = lock(&self.head);
        let length = match &self.lengths {
            Lengths::All(lengths) => lengths.get(number as usize).copied(),
            Lengths::Found(lengths) => lengths.get(&number).copied(),
        };
        let length = length.unwrap_or(0);
        let Some(run) = head.runs.get(number as usize) else { return Samples::default() };
        let gives_up = run.gives_up;
        let read = if gives_up { fields.and(Fields::of(&[field::NUMBERS[field::FLAGS].0])) } else { fields };
        let samples = run.log.read(length as usize, read);
        drop(head);
        let samples = samples.ordered();
        if gives_up { samples.not_given_up().with(fields) } else { samples }
    }

    fn cached(&mut self, number: u32, fields: Fields) -> &Samples {
        let is_last = self.last.as_ref().is_some_and(|(last, had, _)| *last == number && *had == fields);
        if !is_last {
            self.last = None;
        }
        let read = |reader: &Self| (number, fields, reader.read(number, fields));
        let samples = match self.last.take() {
            Some(last) => last,
            None => read(self),
        };
        &self.last.insert(samples).2
    }
}

impl SeriesSource for HeadReader {
    fn groups(&self) -> usize {
        let count = match &self.lengths {
            Lengths::All(lengths) => lengths.len(),
            Lengths::Found(_) => lock(&self.head).runs.len(),
        };
        count.div_ceil(GROUP_SERIES)
    }

    fn group(&mut self, group: usize) -> Result<Vec<Stored>> {
        let from = group * GROUP_SERIES;
        let order = self.order();
        let numbers = order.get(from..(from + GROUP_SERIES).min(order.len())).unwrap_or_default().to_vec();
        let head = lock(&self.head);
        Ok(numbers.into_iter().filter_map(|number| head.stored(number)).collect())
    }

    fn each_match(&mut self, matchers: &[Matcher], each: &mut dyn FnMut(Stored) -> bool) -> Result<()> {
        let (of_family, of_series): (Vec<&Matcher>, Vec<&Matcher>) =
            matchers.iter().partition(|matcher| !matches!(matcher.label(), Label::Point(_)));
        let (numbers, admitted) = self.propose(&of_family, &of_series);
        for group in numbers.chunks(GROUP_SERIES) {
            for stored in self.matching(group, &of_series, &admitted) {
                if !each(stored) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn rows_in(&mut self, stored: &Stored, time: TimeRange) -> Result<Range<usize>> {
        let fields = self.last.as_ref().filter(|(last, _, _)| *last == stored.number);
        let fields = fields.map_or(Fields::ALL, |(_, fields, _)| *fields);
        Ok(self.cached(stored.number, fields).rows_in(time))
    }

    fn samples(&mut self, stored: &Stored, rows: Range<usize>, fields: Fields) -> Result<Samples> {
        // What `rows_in` read is of use here.
        let had = self.last.as_ref().filter(|(last, had, _)| *last == stored.number && *had == Fields::ALL);
        let fields = if had.is_some() { Fields::ALL } else { fields };
        let samples = self.cached(stored.number, fields);
        if rows == (0..samples.len()) {
            return Ok(samples.clone());
        }
        Ok(samples.take(&rows.collect::<Vec<_>>()))
    }
}

/// The first so many series in ascending order.
fn sorted(head: &Head, count: usize) -> Vec<u32> {
    let mut families: Vec<(Series, usize)> = head.family.iter().map(|family| family.series(&[])).zip(0..).collect();
    families.sort_unstable();
    let mut ranks = vec![0usize; families.len()];
    for (rank, (_, family)) in families.iter().enumerate() {
        if let Some(to) = ranks.get_mut(*family) {
            *to = rank;
        }
    }
    let mut order: Vec<(usize, &[u8], u32)> = (0u32..)
        .take(count)
        .filter_map(|number| {
            let (family, attributes) = head.series.get(number).split_first_chunk::<4>()?;
            Some((*ranks.get(u32::from_le_bytes(*family) as usize)?, attributes, number))
        })
        .collect();
    order.sort_unstable();
    order.into_iter().map(|(_, _, number)| number).collect()
}

/// A poisoned lock means that a thread panicked; logs and counts are whole at every step.
pub(crate) fn lock(head: &Mutex<Head>) -> MutexGuard<'_, Head> {
    head.lock().unwrap_or_else(PoisonError::into_inner)
}
