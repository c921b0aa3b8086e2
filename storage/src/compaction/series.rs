//! How do the series of several blocks of metrics become one block?
//!
//! Each block's series ascend, so the least of those that are next in some block is the next of the result. Its samples are
//! joined by time and written before those of another series are read.
//!
//! M4  Of each series and time the sample stays that was written last and is not hidden; all others count as left out. So do those of
//!     rivals that were written before another's (V2 of `metric::rival`).
//! M5  At any moment as many samples of one series are in memory as `memory_bytes` suffice for, its times in each block, and of
//!     each block a group of series and a page of each column; of the result what its index will say. A series with more
//!     samples stands in the result several times, one stretch of time after the other.
//! M6  Where the result is thinned (`metric::thin`), those of M4 that do not stay count as left out, too. A window that a stretch of
//!     M5 cuts is two windows.

use super::memory::MergeMemory;
use super::merge::check_rows;
use crate::block::{BlockConfig, BlockMeta, SeriesReader, SeriesWriter, Shown};
use crate::error::{Error, Result};
use crate::fs::Filesystem;
use crate::metric::{Census, Fields, Hidden, Lost, Resolution, Samples, Series, SeriesSource, Stored, thinned};
use crate::scan::TimeRange;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

/// Bytes that a sample is taken to hold in memory: an ordinary histogram's are some hundred.
const SAMPLE_BYTES: usize = 1024;

/// What becomes of the samples of several blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Staying {
    /// All stay. The blocks are of one resolution, and so is the result.
    All,
    /// Those that stand for the others, of raw blocks.
    OfWindows(Resolution),
}

/// Merges blocks of metrics, those whose rows were written first first; else as `merge`.
pub(super) fn merge(
    fs: &dyn Filesystem,
    dir: &Path,
    inputs: &[Shown],
    staying: Staying,
    (config, memory): (&BlockConfig, MergeMemory<'_>),
    pace: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Option<BlockMeta>> {
    let resolution = match staying {
        Staying::All => inputs.first().map(|shown| shown.meta().resolution).unwrap_or_default(),
        Staying::OfWindows(resolution) => resolution,
    };
    if inputs.iter().any(|shown| !fits(shown.meta().resolution, staying, resolution)) {
        return Err(Error::Request { what: "blocks of several resolutions do not become one".into() });
    }
    let lost = lost(inputs, &memory)?;
    let most_rows = (memory.limit() / SAMPLE_BYTES).max(1);
    let mut cursors = inputs.iter().filter_map(|shown| Cursor::new(shown).transpose()).collect::<Result<Vec<_>>>()?;
    let mut writer = SeriesWriter::create(fs, dir, config)?.of_resolution(resolution);
    let (mut read, mut left_out, mut written) = (0, 0, 0);
    while let Some(series) = cursors.iter().filter_map(Cursor::next).min().cloned() {
        let mut parts = Vec::new();
        for (cursor, place) in cursors.iter_mut().zip(0..) {
            parts.extend(cursor.take(&series)?.into_iter().map(|stored| Part { cursor: place, stored, done: 0 }));
        }
        while parts.iter().any(|part| part.done < part.rows()) {
            let end = stretch(&mut cursors, &parts, most_rows)?;
            let (mut all, mut rows, mut bytes) = (Samples::default(), 0, 0);
            for part in &mut parts {
                let Some(cursor) = cursors.get_mut(part.cursor) else { continue };
                let (samples, count) = cursor.samples(part, end)?;
                rows += count;
                bytes += count.saturating_mul(cursor.row_bytes);
                if all.is_empty() {
                    all = samples;
                } else {
                    all.append(&samples);
                }
            }
            if rows == 0 {
                return Err(out_of_order(&series));
            }
            let all = lost.leave_out(&series, all.ordered());
            memory.hold(all.memory_bytes());
            let all = if staying == Staying::All { all } else { thinned(&series, all, resolution) };
            left_out += rows - all.len() as u64;
            read += rows;
            if !all.is_empty() {
                writer.put(&series, &all)?;
            }
            let now = writer.bytes();
            pace(bytes + now - std::mem::replace(&mut written, now))?;
        }
    }
    let kept = writer.rows();
    check_rows(inputs, read, kept, left_out)?;
    if kept == 0 { Ok(None) } else { writer.finish(fs).map(Some) }
}

/// The samples that do not count. Who all the series are is looked at once more, and more often only where there are rivals.
fn lost(inputs: &[Shown], memory: &MergeMemory<'_>) -> Result<Lost> {
    let (mut census, mut lost) = (Census::default(), Lost::default());
    each_series(inputs, |_, stored| census.look(&stored.series))?;
    if !census.has_any() {
        return Ok(lost);
    }
    each_series(inputs, |_, stored| census.compare(&stored))?;
    memory.hold(census.memory_bytes());
    let mut rivals: BTreeMap<u128, Vec<(usize, Stored)>> = BTreeMap::new();
    each_series(inputs, |place, stored| {
        if let Some(number) = census.rivalry(&stored.series) {
            rivals.entry(number).or_default().push((place, stored));
        }
    })?;
    let source = |shown: &Shown| shown.block.series().map(|reader| (reader, shown.hidden().map(Hidden::new)));
    let mut sources: Vec<_> = inputs.iter().map(source).collect();
    for rivals in rivals.into_values() {
        lost.add(&rivals, |place, stored| {
            let Some(Some((reader, hidden))) = sources.get_mut(place) else { return Ok(Vec::new()) };
            let rows = reader.rows_in(stored, TimeRange::ALL)?;
            let fields = hidden.as_ref().map_or(Fields::NONE, Hidden::fields);
            let samples = reader.samples(stored, rows, fields)?;
            let shown = match hidden {
                None => samples,
                Some(hidden) => hidden.leave_out(&stored.series, samples)?,
            };
            Ok(shown.times().to_vec())
        })?;
    }
    Ok(lost)
}

/// Gives the series of all blocks, with the place of the block.
fn each_series(inputs: &[Shown], mut each: impl FnMut(usize, Stored)) -> Result<()> {
    for (place, shown) in inputs.iter().enumerate() {
        let Some(mut reader) = shown.block.series() else { continue };
        for group in 0..reader.groups() {
            reader.group(group)?.into_iter().for_each(|stored| each(place, stored));
        }
    }
    Ok(())
}

fn fits(input: Resolution, staying: Staying, result: Resolution) -> bool {
    if staying == Staying::All { input == result } else { input.is_raw() }
}

/// A block that is being read.
struct Cursor {
    reader: SeriesReader,
    hidden: Option<Hidden>,
    /// Bytes of the block per sample, about.
    row_bytes: u64,
    groups: std::ops::Range<usize>,
    series: VecDeque<Stored>,
}

/// A block's samples of a series.
struct Part {
    cursor: usize,
    stored: Stored,
    /// Rows that were read.
    done: usize,
}

impl Part {
    fn rows(&self) -> usize {
        usize::try_from(self.stored.rows).unwrap_or(usize::MAX)
    }
}

fn out_of_order(series: &Series) -> Error {
    Error::Request { what: format!("the series `{}` of a block is out of order", series.name) }
}

/// Up to which time the next samples are read: each part brings its share of `most_rows` at most, and some part its whole.
fn stretch(cursors: &mut [Cursor], parts: &[Part], most_rows: usize) -> Result<i64> {
    let left: usize = parts.iter().map(|part| part.rows() - part.done).sum();
    if left <= most_rows {
        return Ok(i64::MAX);
    }
    let share = (most_rows / parts.len()).max(1);
    let mut end = i64::MAX;
    for part in parts.iter().filter(|part| part.rows() - part.done > share) {
        let Some(cursor) = cursors.get_mut(part.cursor) else { continue };
        let at = part.done + share;
        let first = cursor.reader.samples(&part.stored, at..at + 1, Fields::NONE)?;
        end = end.min(first.times().first().copied().unwrap_or(i64::MAX));
    }
    Ok(end)
}

impl Cursor {
    /// Before the first series; `None` where a block has no series.
    fn new(shown: &Shown) -> Result<Option<Self>> {
        let Some(reader) = shown.block.series() else { return Ok(None) };
        let groups = 0..reader.groups();
        let row_bytes = shown.meta().bytes() / shown.meta().rows.max(1);
        let hidden = shown.hidden().map(Hidden::new);
        let mut cursor = Cursor { reader, hidden, row_bytes, groups, series: VecDeque::new() };
        cursor.load()?;
        Ok(Some(cursor))
    }

    /// The series that comes next.
    fn next(&self) -> Option<&Series> {
        self.series.front().map(|stored| &stored.series)
    }

    fn load(&mut self) -> Result<()> {
        while self.series.is_empty()
            && let Some(group) = self.groups.next()
        {
            self.series = self.reader.group(group)?.into();
        }
        Ok(())
    }

    /// The next series' places, if it is that one; then goes on to the series behind it.
    fn take(&mut self, series: &Series) -> Result<Vec<Stored>> {
        let mut places = Vec::new();
        while self.next() == Some(series) {
            places.extend(self.series.pop_front());
            self.load()?;
        }
        if self.next().is_some_and(|next| next < series) {
            return Err(out_of_order(series));
        }
        Ok(places)
    }

    /// The next samples of a part that lie before a time, hidden ones left out, and how many there are with those.
    fn samples(&mut self, part: &mut Part, end: i64) -> Result<(Samples, u64)> {
        let before = TimeRange { start: i64::MIN, end };
        let rows = part.done..self.reader.rows_in(&part.stored, before)?.end.max(part.done);
        if rows.is_empty() {
            return Ok((Samples::default(), 0));
        }
        part.done = rows.end;
        let samples = self.reader.samples(&part.stored, rows, Fields::ALL)?;
        let count = samples.len() as u64;
        match &self.hidden {
            None => Ok((samples, count)),
            Some(hidden) => Ok((hidden.leave_out(&part.stored.series, samples)?, count)),
        }
    }
}
