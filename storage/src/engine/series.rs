//! Which samples have the series that match? Over all blocks and memtables, as one.
//!
//! Q1  A series comes once, in ascending order of series, its samples by ascending time, each time once: of two samples of one
//!     time the one counts that was written last (N2 of `metric`). Blocks are in the order of their commits, behind them
//!     memory.
//!     A sample that a rival's takes the place of (`metric::rival`) is left out.
//! Q2  Blocks find series by their label postings and read of them only the pages that hold the wanted times and columns. At any
//!     moment the samples of one series are in memory, and who all the matching ones are.
//! Q3  Hidden samples are in no answer (V1 of `block`), and a damaged block does not keep a reader from the others (S3 of
//!     `snapshot`).
//! Q4  Who asks for series or labels is asked, before more of them is held, whether so many bytes in all may be (`room`); where they may
//!     not, there is no answer, and who refused knows why.
//!
//! - `values`: the values of a label, from many lists.
//!
//! Not here: how labels are called in a query language (`query`).

use super::snapshot::{Missing, Snapshot};
use crate::block::{BlockId, SeriesReader, Shown};
use crate::error::{Error, Result};
use crate::hashed::AsIs;
use crate::metric::{
    Census, Doubles, Fields, HeadReader, Hidden, Joiner, Label, Lost, Matcher, REACH, Read, Samples, Series,
    SeriesSource, Stored, doubles_fields,
};
use crate::model::Signal;
use crate::model::schema::{self, column as name};
use crate::scan::TimeRange;
use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{BTreeSet, HashSet};
use values::Values;

/// Which series, and what of them.
#[derive(Debug)]
pub struct SeriesRequest {
    /// Conditions on labels; all of them must hold.
    pub matchers: Vec<Matcher>,
    /// Samples by time. Series without samples in it are left out.
    pub time: TimeRange,
    /// Columns of the samples beside `time`, by their names in `model::schema::column`; others stay empty.
    pub columns: Vec<&'static str>,
    /// Milliseconds of whose multiples alone the reader looks: where blocks stand for others and their windows end at such, they are
    /// read. 0 for a reader of every sample.
    pub every: i64,
}

impl SeriesRequest {
    /// Series that match, with all that is known of their samples in a range of time.
    pub fn new(matchers: Vec<Matcher>, time: TimeRange) -> Self {
        let columns = schema::of(Signal::Metrics).fields().iter().map(|field| field.name().as_str()).collect();
        SeriesRequest { matchers, time, columns, every: 0 }
    }
}

/// Where series come from.
#[derive(Debug)]
enum Source {
    Block(Box<BlockSource>),
    Head(Box<HeadReader>),
    /// A block that turned out to be damaged.
    Damaged,
}

/// A block's series as readers see them.
#[derive(Debug)]
struct BlockSource {
    id: BlockId,
    reader: SeriesReader,
    hidden: Option<Hidden>,
}

impl BlockSource {
    fn new(shown: &Shown) -> Option<Self> {
        let hidden = shown.hidden().map(Hidden::new);
        shown.block.series().map(|reader| BlockSource { id: shown.id, reader, hidden })
    }

    fn samples(&mut self, stored: &Stored, time: TimeRange, fields: Fields) -> Result<Samples> {
        let Some(hidden) = &self.hidden else { return samples_of(&mut self.reader, stored, time, fields) };
        let samples = samples_of(&mut self.reader, stored, time, fields.and(hidden.fields()))?;
        Ok(hidden.leave_out(&stored.series, samples)?.with(fields))
    }

    fn doubles(&mut self, stored: &Stored, time: TimeRange) -> Result<Option<Doubles>> {
        if self.hidden.is_some() { Ok(None) } else { self.reader.doubles(stored, time) }
    }

    /// Gives the series with samples in a range of time that are shown to `each`.
    fn each_shown(&mut self, time: TimeRange, each: &mut dyn FnMut(&Series)) -> Result<()> {
        for group in 0..self.reader.groups() {
            for stored in self.reader.group(group)? {
                let is_shown = match &self.hidden {
                    Some(hidden) => hidden.shows(&mut self.reader, &stored, time)?,
                    None => true,
                };
                if is_shown {
                    each(&stored.series);
                }
            }
        }
        Ok(())
    }
}

fn samples_of(source: &mut impl SeriesSource, stored: &Stored, time: TimeRange, fields: Fields) -> Result<Samples> {
    let rows = source.rows_in(stored, time)?;
    if rows.is_empty() { Ok(Samples::default()) } else { source.samples(stored, rows, fields) }
}

impl Source {
    fn each_match(&mut self, matchers: &[Matcher], each: &mut dyn FnMut(Stored) -> bool) -> Result<()> {
        match self {
            Source::Block(block) => block.reader.each_match(matchers, each),
            Source::Head(reader) => reader.each_match(matchers, each),
            Source::Damaged => Ok(()),
        }
    }

    fn samples(&mut self, stored: &Stored, time: TimeRange, fields: Fields) -> Result<Samples> {
        match self {
            Source::Block(block) => block.samples(stored, time, fields),
            Source::Head(reader) => samples_of(reader.as_mut(), stored, time, fields),
            Source::Damaged => Ok(Samples::default()),
        }
    }

    fn doubles(&mut self, stored: &Stored, time: TimeRange) -> Result<Option<Doubles>> {
        match self {
            Source::Block(block) => block.doubles(stored, time),
            Source::Head(reader) => reader.doubles(stored, time),
            Source::Damaged => Ok(None),
        }
    }

    /// What was read; nothing where the block turned out to be damaged, which is noted.
    fn noted<T: Default>(&mut self, read: Result<T>, missing: &Missing) -> Result<T> {
        match (read, &*self) {
            (Err(error), Source::Block(block)) => {
                missing.note(block.id, error)?;
                *self = Source::Damaged;
                Ok(T::default())
            }
            (read, _) => read,
        }
    }
}

/// What a block or memory knows of a series without its samples; hidden ones included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesFacts {
    /// Time of its first sample there.
    pub first_time: i64,
    /// Time of its last sample there.
    pub last_time: i64,
}

/// A series, and where parts of it lie.
type Wanted = (Series, Vec<(usize, Stored)>);

/// The series that match, one by one. After an error there is nothing more.
#[derive(Debug)]
pub struct SeriesScan {
    /// Those that were written first first.
    sources: Vec<Source>,
    found: std::vec::IntoIter<Wanted>,
    /// Bytes that they take.
    held: usize,
    time: TimeRange,
    fields: Fields,
    missing: Missing,
    joiner: Joiner,
    /// The samples that do not count beside those of other series, once something was read.
    lost: Option<Lost>,
}

impl Snapshot {
    /// The series that match and that are `wanted`, which is asked once for each, with their samples. `room` is that of Q4.
    pub fn series(
        &self,
        request: &SeriesRequest,
        wanted: impl Fn(&Series) -> bool,
        mut room: impl FnMut(usize) -> bool,
    ) -> Result<SeriesScan> {
        if let Some(unknown) = request.columns.iter().find(|name| schema::of(Signal::Metrics).index_of(name).is_err()) {
            return Err(Error::Request { what: format!("{} have no column `{unknown}`", Signal::Metrics) });
        }
        let mut sources = self.sources(request.time, request.every);
        let (mut finding, is_one) = (Finding::default(), sources.len() == 1);
        for (place, source) in sources.iter_mut().enumerate() {
            let read = source.each_match(&request.matchers, &mut |stored| {
                if request.time.overlaps(stored.min_time, stored.max_time) {
                    finding.add(place, stored, &wanted, is_one);
                }
                room(finding.held()) || finding.give_up()
            });
            source.noted(read, self.missing_blocks())?;
            if let Source::Damaged = source {
                finding.forget(place);
            }
            if finding.is_given_up {
                break;
            }
        }
        let Finding { found, held, .. } = finding;
        let mut columns = request.columns.clone();
        columns.push(name::FLAGS);
        let fields = Fields::of(&columns);
        let missing = self.missing_blocks().clone();
        let (found, joiner) = (found.into_iter().collect::<Vec<Wanted>>().into_iter(), Joiner::default());
        Ok(SeriesScan { sources, found, held, time: request.time, fields, missing, joiner, lost: None })
    }

    /// Every label that a series of some block or of memory has, where the block or memory has samples in a range of time. `room` is that of
    /// Q4.
    pub fn labels(&self, time: TimeRange, mut room: impl FnMut(usize) -> bool) -> Result<Vec<Label>> {
        let mut labels: BTreeSet<Label> = BTreeSet::new();
        let mut held = 0;
        let mut add = |label: Label| {
            let bytes = 2 * size_of::<Label>() + label.key().len();
            if room(held + bytes) && labels.insert(label) {
                held += bytes;
            }
        };
        for shown in self.series_blocks(time, 0).0 {
            if shown.hidden().is_none() {
                shown.block.labels().into_iter().for_each(&mut add);
                continue;
            }
            self.each_shown(&shown, time, &mut |series| series.labels().into_iter().for_each(&mut add))?;
        }
        for head in self.heads() {
            head.labels().into_iter().for_each(&mut add);
        }
        Ok(labels.into_iter().collect())
    }

    /// Whether there is a series that matches in some block or in memory, by the same rule. It may be one whose samples are hidden.
    pub fn has_series(&self, matchers: &[Matcher], time: TimeRange) -> Result<bool> {
        for shown in self.series_blocks(time, 0).0 {
            let has = shown.block.series().map_or(Ok(false), |mut reader| reader.has(matchers));
            match has {
                Ok(false) => {}
                Ok(true) => return Ok(true),
                Err(error) => self.missing_blocks().note(shown.id, error)?,
            }
        }
        for mut head in self.heads() {
            if head.has(matchers)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The first so many values of a label, by the same rule.
    pub fn label_values(
        &self,
        label: &Label,
        time: TimeRange,
        most: usize,
        mut room: impl FnMut(usize) -> bool,
    ) -> Result<Vec<String>> {
        let mut values = Values::new(most, &mut room);
        self.each_value(label, time, &mut |value| match value {
            Some(value) => values.add(value),
            None => values.next_list(),
        })?;
        Ok(values.finish())
    }

    /// Gives the values of a label to `each`, by the same rule, in no order and some several times, until it says that it is enough.
    pub fn each_label_value(&self, label: &Label, time: TimeRange, mut each: impl FnMut(&str) -> bool) -> Result<()> {
        let mut goes_on = true;
        self.each_value(label, time, &mut |value| {
            if let Some(value) = value.filter(|value| goes_on && !value.is_empty()) {
                goes_on = each(value);
            }
        })
    }

    /// Gives the values of a label list by list, each of which rises or is short; none behind each list.
    fn each_value(&self, label: &Label, time: TimeRange, each: &mut dyn FnMut(Option<&str>)) -> Result<()> {
        for shown in self.series_blocks(time, 0).0 {
            let is_whole = shown.hidden().is_none();
            if !(is_whole && shown.block.each_label_value(label, &mut |value| each(Some(value)))) {
                self.each_shown(&shown, time, &mut |series| each(Some(&label.value(series))))?;
            }
            each(None);
        }
        for head in self.heads() {
            head.each_label_value(label, &mut |value| each(Some(value)));
            each(None);
        }
        Ok(())
    }

    /// Where the points lie whose exemplars are of a range of time: ranges that ascend and do not overlap.
    pub fn points_of_exemplars(&self, time: TimeRange) -> Vec<TimeRange> {
        let end = time.end.saturating_add(REACH);
        let longest = self.resolution(TimeRange { start: time.start, end }, 0).milliseconds();
        let end = end.saturating_add(longest.saturating_mul(1_000_000));
        let of_blocks =
            self.view().blocks_of(self.tenant(), Signal::Metrics).iter().filter_map(|shown| shown.meta().strays);
        let of_memory = self.heads().into_iter().filter_map(|head| head.strays());
        let strays = of_blocks.chain(of_memory).filter(|strays| time.overlaps(strays.exemplars.0, strays.exemplars.1));
        let strays = strays.map(|strays| TimeRange { start: strays.points.0, end: strays.points.1.saturating_add(1) });
        let mut all: Vec<TimeRange> = strays.chain([TimeRange { start: time.start, end }]).collect();
        all.sort_unstable_by_key(|range| range.start);
        all.dedup_by(|next, range| {
            let touches = next.start <= range.end;
            if touches {
                range.end = range.end.max(next.end);
            }
            touches
        });
        all
    }

    /// Gives each matching series of memory, and of each block with samples in a range of time, whether the series has some there or not,
    /// until `each` says that it is enough. A group of series at a time is in memory.
    pub fn each_series(
        &self,
        matchers: &[Matcher],
        time: TimeRange,
        mut each: impl FnMut(&Series, SeriesFacts) -> bool,
    ) -> Result<()> {
        let mut goes_on = true;
        for mut source in self.sources(time, 0) {
            let read = source.each_match(matchers, &mut |stored| {
                let facts = SeriesFacts { first_time: stored.min_time, last_time: stored.max_time };
                goes_on = each(&stored.series, facts);
                goes_on
            });
            source.noted(read, self.missing_blocks())?;
            if !goes_on {
                break;
            }
        }
        Ok(())
    }

    /// Gives the series of a block that are shown to `each`; none any more where it turns out to be damaged, which is noted.
    fn each_shown(&self, shown: &Shown, time: TimeRange, each: &mut dyn FnMut(&Series)) -> Result<()> {
        let Some(mut source) = BlockSource::new(shown) else { return Ok(()) };
        source.each_shown(time, each).or_else(|error| self.missing_blocks().note(shown.id, error))
    }

    fn sources(&self, time: TimeRange, every: i64) -> Vec<Source> {
        let (blocks, _) = self.series_blocks(time, every);
        let blocks = blocks.iter().filter_map(BlockSource::new);
        let blocks = blocks.map(|block| Source::Block(Box::new(block)));
        blocks.chain(self.heads().into_iter().map(|head| Source::Head(Box::new(head)))).collect()
    }
}

/// Series while they are looked for.
#[derive(Debug, Default)]
struct Finding {
    found: BTreeMap<Series, Vec<(usize, Stored)>>,
    /// Bytes that they take.
    held: usize,
    /// Those that are not wanted, where they may come again.
    unwanted: HashSet<u128, AsIs>,
    is_given_up: bool,
}

impl Finding {
    /// Bytes that are held while it goes on.
    fn held(&self) -> usize {
        self.held + self.unwanted.len() * UNWANTED_BYTES
    }

    /// Takes note of where a series lies; `is_one` says that it lies nowhere else.
    fn add(&mut self, place: usize, mut stored: Stored, wanted: impl Fn(&Series) -> bool, is_one: bool) {
        match self.found.entry(stored.series.clone()) {
            Entry::Occupied(mut entry) => {
                // One text is enough.
                stored.series = entry.key().clone();
                entry.get_mut().push((place, stored));
                self.held += size_of::<(usize, Stored)>();
            }
            Entry::Vacant(entry) => {
                let hash = if is_one { None } else { Some(stored.series.hash()) };
                if hash.is_some_and(|hash| self.unwanted.contains(&hash)) {
                    return;
                }
                if wanted(&stored.series) {
                    self.held += bytes_of(&stored.series);
                    entry.insert(vec![(place, stored)]);
                } else {
                    self.unwanted.extend(hash);
                }
            }
        }
    }

    /// Forgets what lies in a place.
    fn forget(&mut self, place: usize) {
        self.found.values_mut().for_each(|parts| parts.retain(|(of, _)| *of != place));
        self.found.retain(|_, parts| !parts.is_empty());
    }

    /// Finds nothing (Q4); that it does not go on.
    fn give_up(&mut self) -> bool {
        *self = Finding { is_given_up: true, ..Finding::default() };
        false
    }
}

/// What a series that is not wanted takes, in a table that is half full.
const UNWANTED_BYTES: usize = 40;

/// About how many bytes a series takes in a scan that is in one place only; what it shares with others left out.
fn bytes_of(series: &Series) -> usize {
    2 * size_of::<Wanted>() + size_of::<(usize, Stored)>() + series.memory_bytes() - size_of::<Series>()
}

impl SeriesScan {
    /// How many series are left at most.
    pub fn left(&self) -> usize {
        self.found.len()
    }

    /// Bytes that the series take that are left.
    pub fn memory_bytes(&self) -> usize {
        self.held
    }

    /// The next series, with its samples as doubles where they are nothing else: those of series that follow each other mostly share
    /// their times.
    pub fn next_doubles(&mut self) -> Option<Result<(Series, Read)>> {
        self.next_with(|scan, parts| match scan.read_doubles(parts)? {
            Some(doubles) => Ok((!doubles.times.is_empty()).then_some(Read::Doubles(doubles))),
            None => {
                let samples = scan.read(parts)?;
                Ok((!samples.is_empty()).then(|| Read::Samples(Box::new(samples))))
            }
        })
    }

    /// The next series of which something is read.
    fn next_with<T>(
        &mut self,
        mut read: impl FnMut(&mut Self, &[(usize, Stored)]) -> Result<Option<T>>,
    ) -> Option<Result<(Series, T)>> {
        loop {
            if self.lost.is_none() {
                match self.find_lost() {
                    Ok(lost) => self.lost = Some(lost),
                    Err(error) => {
                        self.found = Vec::new().into_iter();
                        return Some(Err(error));
                    }
                }
            }
            let (series, parts) = self.found.next()?;
            self.held = self.held.saturating_sub(bytes_of(&series).saturating_sub(size_of::<Wanted>()));
            match read(self, &parts) {
                Ok(None) => {}
                Ok(Some(read)) => return Some(Ok((series, read))),
                Err(error) => {
                    self.found = Vec::new().into_iter();
                    return Some(Err(error));
                }
            }
        }
    }

    /// The samples that do not count (V2 of `metric::rival`).
    fn find_lost(&mut self) -> Result<Lost> {
        let (mut census, mut lost) = (Census::default(), Lost::default());
        let wanted = self.found.as_slice();
        wanted.iter().for_each(|(series, _)| census.look(series));
        if !census.has_any() {
            return Ok(lost);
        }
        wanted.iter().flat_map(|(_, parts)| parts).for_each(|(_, stored)| census.compare(stored));
        let mut rivals: BTreeMap<u128, Vec<(usize, Stored)>> = BTreeMap::new();
        for (series, parts) in wanted {
            if let Some(number) = census.rivalry(series) {
                rivals.entry(number).or_default().extend(parts.iter().cloned());
            }
        }
        for rivals in rivals.into_values() {
            lost.add(&rivals, |place, stored| {
                let Some(source) = self.sources.get_mut(place) else { return Ok(Vec::new()) };
                let samples = source.samples(stored, self.time, Fields::NONE);
                Ok(source.noted(samples, &self.missing)?.times().to_vec())
            })?;
        }
        Ok(lost)
    }

    /// Whether samples of a series do not count.
    fn loses(&self, parts: &[(usize, Stored)]) -> bool {
        let lost = self.lost.as_ref().zip(parts.first());
        lost.is_some_and(|(lost, (_, stored))| lost.has(&stored.series))
    }

    /// The samples of a series as doubles; `None` where they are not, or do not come in the order of their time.
    fn read_doubles(&mut self, parts: &[(usize, Stored)]) -> Result<Option<Doubles>> {
        if self.loses(parts) {
            return Ok(None);
        }
        let mut all = Vec::with_capacity(parts.len());
        for (place, stored) in parts {
            let Some(source) = self.sources.get_mut(*place) else { continue };
            let known = source.doubles(stored, self.time);
            let doubles = match source.noted(known, &self.missing)? {
                Some(doubles) => doubles,
                None => {
                    let samples = source.samples(stored, self.time, self.fields.and(doubles_fields()));
                    let samples = source.noted(samples, &self.missing)?;
                    if samples.is_empty() {
                        continue;
                    }
                    let Some(doubles) = Doubles::of(samples) else { return Ok(None) };
                    doubles
                }
            };
            if !doubles.times.is_empty() {
                all.push(doubles);
            }
        }
        if all.is_empty() {
            return Ok(None);
        }
        Ok(self.joiner.join(all))
    }

    fn read(&mut self, parts: &[(usize, Stored)]) -> Result<Samples> {
        let mut all = Samples::default();
        for (place, stored) in parts {
            let Some(source) = self.sources.get_mut(*place) else { continue };
            let samples = source.samples(stored, self.time, self.fields);
            let samples = source.noted(samples, &self.missing)?;
            if all.is_empty() {
                all = samples;
            } else {
                all.append(&samples);
            }
        }
        let all = all.ordered();
        let lost = self.lost.as_ref().zip(parts.first());
        Ok(match lost {
            Some((lost, (_, stored))) => lost.leave_out(&stored.series, all),
            None => all,
        })
    }
}

impl Iterator for SeriesScan {
    type Item = Result<(Series, Samples)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_with(|scan, parts| scan.read(parts).map(|samples| (!samples.is_empty()).then_some(samples)))
    }
}

mod values;

#[cfg(test)]
mod tests;
