//! How do the series of several blocks of metrics become one block?
//!
//! Each block's series ascend, so the least of those that are next in some block is the next of the result. Its samples are
//! joined by time and written before those of another series are read.
//!
//! M4  Of each series and time the sample stays that was written last and is not hidden; all others count as left out.
//! M5  At any moment the samples of one series are in memory, and of each block a group of series and a page of each column;
//!     of the result what its index will say.

use super::merge::check_rows;
use crate::block::{BlockConfig, BlockMeta, SeriesReader, SeriesWriter, Shown};
use crate::error::{Error, Result};
use crate::fs::Filesystem;
use crate::metric::{Fields, Hidden, Samples, Series, SeriesSource, Stored};
use crate::scan::TimeRange;
use std::collections::VecDeque;
use std::path::Path;

/// Merges blocks of metrics, those whose rows were written first first; else as `merge`.
pub(super) fn merge(
    fs: &dyn Filesystem,
    dir: &Path,
    inputs: &[Shown],
    config: &BlockConfig,
    pace: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Option<BlockMeta>> {
    let mut cursors = inputs.iter().filter_map(|shown| Cursor::new(shown).transpose()).collect::<Result<Vec<_>>>()?;
    let mut writer = SeriesWriter::create(fs, dir, config)?;
    let (mut read, mut left_out, mut written) = (0, 0, 0);
    while let Some(series) = cursors.iter().filter_map(Cursor::next).min().cloned() {
        let (mut all, mut rows, mut bytes) = (Samples::default(), 0, 0);
        for cursor in cursors.iter_mut().filter(|cursor| cursor.next() == Some(&series)) {
            let samples = cursor.take()?;
            rows += samples.rows;
            bytes += samples.bytes;
            if all.is_empty() {
                all = samples.shown;
            } else {
                all.append(&samples.shown);
            }
        }
        let all = all.ordered();
        left_out += rows - all.len() as u64;
        read += rows;
        writer.put(&series, &all)?;
        let now = writer.bytes();
        pace(bytes + now - std::mem::replace(&mut written, now))?;
    }
    let kept = writer.rows();
    check_rows(inputs, read, kept, left_out)?;
    if kept == 0 { Ok(None) } else { writer.finish(fs).map(Some) }
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
struct Taken {
    shown: Samples,
    /// How many there were, hidden ones included.
    rows: u64,
    bytes: u64,
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

    /// The samples of the next series, and on to the one behind it.
    fn take(&mut self) -> Result<Taken> {
        let Some(stored) = self.series.pop_front() else {
            return Ok(Taken { shown: Samples::default(), rows: 0, bytes: 0 });
        };
        let wanted = self.reader.rows_in(&stored, TimeRange::ALL)?;
        let samples = self.reader.samples(&stored, wanted, Fields::ALL)?;
        let rows = samples.len() as u64;
        let shown = match &self.hidden {
            None => samples,
            Some(hidden) => hidden.leave_out(&stored.series, samples)?,
        };
        self.load()?;
        if self.next().is_some_and(|next| *next <= stored.series) {
            return Err(Error::Request {
                what: format!("the series `{}` of a block is out of order", stored.series.name),
            });
        }
        Ok(Taken { shown, rows, bytes: rows.saturating_mul(self.row_bytes) })
    }
}
