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
//!
//! Not here: how labels are called in a query language (`query`).

use super::snapshot::{Missing, Snapshot};
use crate::block::{BlockId, SeriesReader, Shown};
use crate::error::{Error, Result};
use crate::metric::{
    Census, Doubles, Fields, HeadReader, Hidden, Joiner, Label, Lost, Matcher, REACH, Read, Samples, Series,
    SeriesSource, Stored, doubles_fields,
};
use crate::model::Signal;
use crate::model::schema::{self, column as name};
use crate::scan::TimeRange;
use std::collections::{BTreeMap, BTreeSet};

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

    /// The series with samples in a range of time that are shown.
    fn shown(&mut self, time: TimeRange) -> Result<Vec<Stored>> {
        let mut found = self.reader.find(&[])?;
        let Some(hidden) = &self.hidden else { return Ok(found) };
        let mut shown = Vec::with_capacity(found.len());
        for stored in found.drain(..) {
            if hidden.shows(&mut self.reader, &stored, time)? {
                shown.push(stored);
            }
        }
        Ok(shown)
    }
}

fn samples_of(source: &mut impl SeriesSource, stored: &Stored, time: TimeRange, fields: Fields) -> Result<Samples> {
    let rows = source.rows_in(stored, time)?;
    if rows.is_empty() { Ok(Samples::default()) } else { source.samples(stored, rows, fields) }
}

impl Source {
    fn find(&mut self, matchers: &[Matcher]) -> Result<Vec<Stored>> {
        match self {
            Source::Block(block) => block.reader.find(matchers),
            Source::Head(reader) => reader.find(matchers),
            Source::Damaged => Ok(Vec::new()),
        }
    }

    fn groups(&self) -> usize {
        match self {
            Source::Block(block) => block.reader.groups(),
            Source::Head(reader) => reader.groups(),
            Source::Damaged => 0,
        }
    }

    fn group(&mut self, group: usize) -> Result<Vec<Stored>> {
        match self {
            Source::Block(block) => block.reader.group(group),
            Source::Head(reader) => reader.group(group),
            Source::Damaged => Ok(Vec::new()),
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
    time: TimeRange,
    fields: Fields,
    missing: Missing,
    joiner: Joiner,
    /// The samples that do not count beside those of other series, once something was read.
    lost: Option<Lost>,
}

impl Snapshot {
    /// The series that match, with their samples.
    pub fn series(&self, request: &SeriesRequest) -> Result<SeriesScan> {
        if let Some(unknown) = request.columns.iter().find(|name| schema::of(Signal::Metrics).index_of(name).is_err()) {
            return Err(Error::Request { what: format!("{} have no column `{unknown}`", Signal::Metrics) });
        }
        let mut sources = self.sources(request.time, request.every);
        let mut found: BTreeMap<Series, Vec<(usize, Stored)>> = BTreeMap::new();
        for (place, source) in sources.iter_mut().enumerate() {
            let stored = source.find(&request.matchers);
            for stored in source.noted(stored, self.missing_blocks())? {
                if request.time.overlaps(stored.min_time, stored.max_time) {
                    found.entry(stored.series.clone()).or_default().push((place, stored));
                }
            }
        }
        let mut columns = request.columns.clone();
        columns.push(name::FLAGS);
        let fields = Fields::of(&columns);
        let missing = self.missing_blocks().clone();
        let (found, joiner) = (found.into_iter().collect::<Vec<Wanted>>().into_iter(), Joiner::default());
        Ok(SeriesScan { sources, found, time: request.time, fields, missing, joiner, lost: None })
    }

    /// Every label that a series of some block or of memory has, where the block or memory has samples in a range of time.
    pub fn labels(&self, time: TimeRange) -> Result<Vec<Label>> {
        let mut labels: BTreeSet<Label> = BTreeSet::new();
        for shown in self.series_blocks(time, 0).0 {
            if shown.hidden().is_none() {
                labels.extend(shown.block.labels());
                continue;
            }
            for stored in self.shown_series(&shown, time)? {
                labels.extend(stored.series.labels());
            }
        }
        for head in self.heads() {
            labels.extend(head.labels());
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

    /// Every value of a label, by the same rule.
    pub fn label_values(&self, label: &Label, time: TimeRange) -> Result<Vec<String>> {
        let mut values: Vec<String> = Vec::new();
        for shown in self.series_blocks(time, 0).0 {
            let listed = if shown.hidden().is_none() { shown.block.label_values(label) } else { None };
            match listed {
                Some(listed) => values.extend(listed),
                None => {
                    let found = self.shown_series(&shown, time)?;
                    values.extend(found.iter().map(|stored| label.value(&stored.series).into_owned()));
                }
            }
        }
        for head in self.heads() {
            values.extend(head.label_values(label));
        }
        values.retain(|value| !value.is_empty());
        // Stable, which is quick where some sorted lists lie one behind the other.
        values.sort();
        values.dedup();
        Ok(values)
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

    /// Gives each series of memory, and of each block with samples in a range of time, whether the series has some there or not, until
    /// `each` says that it is enough. A group of series at a time is in memory.
    pub fn each_series(&self, time: TimeRange, mut each: impl FnMut(&Series, SeriesFacts) -> bool) -> Result<()> {
        for mut source in self.sources(time, 0) {
            for group in 0..source.groups() {
                let stored = source.group(group);
                for stored in source.noted(stored, self.missing_blocks())? {
                    let facts = SeriesFacts { first_time: stored.min_time, last_time: stored.max_time };
                    if !each(&stored.series, facts) {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// The series of a block that are shown; none where it turns out to be damaged, which is noted.
    fn shown_series(&self, shown: &Shown, time: TimeRange) -> Result<Vec<Stored>> {
        let Some(mut source) = BlockSource::new(shown) else { return Ok(Vec::new()) };
        match source.shown(time) {
            Ok(series) => Ok(series),
            Err(error) => self.missing_blocks().note(shown.id, error).map(|()| Vec::new()),
        }
    }

    fn sources(&self, time: TimeRange, every: i64) -> Vec<Source> {
        let (blocks, _) = self.series_blocks(time, every);
        let blocks = blocks.iter().filter_map(BlockSource::new);
        let blocks = blocks.map(|block| Source::Block(Box::new(block)));
        blocks.chain(self.heads().into_iter().map(|head| Source::Head(Box::new(head)))).collect()
    }
}

impl SeriesScan {
    /// How many series are left at most.
    pub fn left(&self) -> usize {
        self.found.len()
    }

    /// Leaves series out before their samples are read, and returns them. Of those some may have no samples in the range of
    /// time: only the first and the last sample of each block were looked at.
    pub fn leave_out(&mut self, unwanted: impl Fn(&Series) -> bool) -> Vec<Series> {
        let (mut out, mut kept) = (Vec::new(), Vec::with_capacity(self.found.len()));
        for (series, parts) in std::mem::take(&mut self.found) {
            if unwanted(&series) {
                out.push(series);
            } else {
                kept.push((series, parts));
            }
        }
        self.found = kept.into_iter();
        out
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

#[cfg(test)]
mod tests;
