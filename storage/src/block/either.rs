//! Which kind of block is it? Spans and logs lie row by row, metrics series by series; to who reads them both are blocks.

use super::fate::Fate;
use super::read::Block as RowBlock;
use super::scan::{self, BlockProgress};
use super::series::{SeriesBlock, SeriesReader};
use super::{BlockMeta, Template};
use crate::error::Result;
use crate::fs::Filesystem;
use crate::metric::{Label, RowScan, hiding_windows};
use crate::model::{Signal, TraceId};
use crate::scan::{Predicate, ScanRequest, TextQuery};
use arrow_array::RecordBatch;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A block, open for reading.
#[derive(Debug)]
pub struct Block {
    kind: Kind,
    fate: Fate,
}

#[derive(Debug)]
enum Kind {
    /// Of spans or logs.
    Rows(Arc<RowBlock>),
    /// Of metrics.
    Series(Arc<SeriesBlock>),
}

impl Block {
    /// Opens the block in a directory. `meta_crc` is what the manifest knows of it: [`BlockMeta::crc`].
    pub fn open(fs: Arc<dyn Filesystem>, dir: &Path, signal: Signal, meta_crc: u32) -> Result<Arc<Block>> {
        let kind = match signal {
            Signal::Spans | Signal::Logs => Kind::Rows(RowBlock::open(fs, dir, signal, meta_crc)?),
            Signal::Metrics => Kind::Series(SeriesBlock::open(fs, dir, meta_crc)?),
        };
        Ok(Arc::new(Block { kind, fate: Fate::default() }))
    }

    /// Opens a block whose indexes may be damaged, to read what is left of its rows. It finds no trace, no word and no label.
    pub(crate) fn open_rows(fs: Arc<dyn Filesystem>, dir: &Path, signal: Signal, meta_crc: u32) -> Result<Block> {
        let kind = match signal {
            Signal::Spans | Signal::Logs => Kind::Rows(RowBlock::open_rows(fs, dir, signal, meta_crc)?),
            Signal::Metrics => Kind::Series(SeriesBlock::open_rows(fs, dir, meta_crc)?),
        };
        Ok(Block { kind, fate: Fate::default() })
    }

    /// What becomes of its rows.
    pub(crate) fn fate(&self) -> &Fate {
        &self.fate
    }

    /// What is known of the block.
    pub fn meta(&self) -> &BlockMeta {
        match &self.kind {
            Kind::Rows(block) => block.meta(),
            Kind::Series(block) => block.meta(),
        }
    }

    /// What hides rows, of predicates that each do (V3 of `shown`); `None` where there is none.
    pub(crate) fn hiding(&self, mut hidden: Vec<Predicate>) -> Option<Predicate> {
        let resolution = self.meta().resolution;
        if !resolution.is_raw() {
            let windows: Vec<Predicate> = hidden.iter().map(|each| hiding_windows(each, resolution)).collect();
            hidden.extend(windows);
        }
        (!hidden.is_empty()).then_some(Predicate::Or(hidden))
    }

    /// Whose rows it holds.
    pub fn signal(&self) -> Signal {
        match &self.kind {
            Kind::Rows(block) => block.signal(),
            Kind::Series(_) => Signal::Metrics,
        }
    }

    /// Bytes of memory that the open block holds.
    pub fn memory_bytes(&self) -> usize {
        match &self.kind {
            Kind::Rows(block) => block.memory_bytes(),
            Kind::Series(block) => block.memory_bytes(),
        }
    }

    /// Whether rows of a trace may be here. Memory only; wrong for 0.4 % of the traces that are not.
    pub fn may_hold_trace(&self, trace: &TraceId) -> bool {
        match &self.kind {
            Kind::Rows(block) => block.may_hold_trace(trace),
            Kind::Series(_) => false,
        }
    }

    /// The rows of a trace, in the requested columns. Reads the pages that hold them, found by `keys.idx`.
    pub fn trace(&self, trace: &TraceId, columns: &[&'static str]) -> Result<Vec<RecordBatch>> {
        match &self.kind {
            Kind::Rows(block) => block.trace(trace, columns),
            Kind::Series(_) => Ok(Vec::new()),
        }
    }

    /// Rows that may be those of a trace, ascending; of 65,000 that are told some one is not.
    pub(crate) fn trace_rows(&self, trace: &TraceId) -> Result<Vec<Range<usize>>> {
        match &self.kind {
            Kind::Rows(block) => block.trace_rows(trace),
            Kind::Series(_) => Ok(Vec::new()),
        }
    }

    /// Where row groups begin and the earliest time of each. Blocks of metrics have none.
    pub(crate) fn group_starts(&self) -> Vec<(usize, i64)> {
        match &self.kind {
            Kind::Rows(block) => block.group_starts(),
            Kind::Series(_) => Vec::new(),
        }
    }

    /// Whether rows may match a request, as far as the indexes tell.
    pub(crate) fn may_match(&self, request: &ScanRequest) -> bool {
        match &self.kind {
            Kind::Rows(block) => block.may_match(request),
            // What cannot be told may match.
            Kind::Series(block) => block.groups_of(request).map_or(true, |groups| !groups.is_empty()),
        }
    }

    /// How many row groups there are. Blocks of metrics have none.
    pub(crate) fn row_groups(&self) -> usize {
        match &self.kind {
            Kind::Rows(block) => block.row_groups(),
            Kind::Series(_) => 0,
        }
    }

    /// All rows of a row group in all columns of the model; `None` for blocks of metrics.
    pub(crate) fn row_group(&self, group: usize) -> Result<Option<RecordBatch>> {
        match &self.kind {
            Kind::Rows(block) => block.row_group(group).map(Some),
            Kind::Series(_) => Ok(None),
        }
    }

    /// The rows outside which a text column holds no match, by `terms.idx`; `None` where it does not say.
    pub fn rows_with_text(&self, column: &'static str, text: &TextQuery) -> Result<Option<Vec<Range<usize>>>> {
        match &self.kind {
            Kind::Rows(block) => block.rows_with_text(column, text),
            Kind::Series(_) => Ok(None),
        }
    }

    /// What wrote those bodies of logs that are kept as templates, with exact numbers of lines; of lines that nothing is known of, the
    /// template is one slot.
    pub fn templates(&self) -> Result<&[Template]> {
        match &self.kind {
            Kind::Rows(block) => block.templates(),
            Kind::Series(_) => Ok(&[]),
        }
    }

    /// Compares every checksum of every file. The error names what is damaged: file, bytes, columns.
    pub fn verify(&self) -> Result<()> {
        match &self.kind {
            Kind::Rows(block) => block.verify(),
            Kind::Series(block) => block.verify(),
        }
    }

    /// As `verify`, of what answers cannot do without: neither a second copy nor an index that a scan makes up for.
    pub(crate) fn examine(&self) -> Result<()> {
        match &self.kind {
            Kind::Rows(block) => block.examine(),
            Kind::Series(block) => block.examine(),
        }
    }

    /// What is wrong with an index or a copy in `meta`, if a reader found something: answers are whole without it, and the block
    /// wants to be written anew.
    pub(crate) fn lost_part(&self) -> Option<&str> {
        match &self.kind {
            Kind::Rows(block) => block.lost_part(),
            Kind::Series(block) => block.lost_part(),
        }
    }

    /// The rows that match a request, in its columns.
    pub fn scan(&self, request: &Arc<ScanRequest>) -> Result<BlockScan> {
        match &self.kind {
            Kind::Rows(block) => Ok(BlockScan(Scan::Rows(block.scan(request)?))),
            Kind::Series(block) => {
                scan::check_request(request, Signal::Metrics)?;
                let groups = block.groups_of(request)?;
                Ok(BlockScan(Scan::Series(Box::new(RowScan::new(SeriesReader::new(block), request, groups)))))
            }
        }
    }

    /// A reader of series, for a block of metrics.
    pub(crate) fn series(&self) -> Option<SeriesReader> {
        match &self.kind {
            Kind::Rows(_) => None,
            Kind::Series(block) => Some(SeriesReader::new(block)),
        }
    }

    /// A block of spans or logs, as it is inside.
    pub(super) fn rows(&self) -> Option<&Arc<RowBlock>> {
        match &self.kind {
            Kind::Rows(block) => Some(block),
            Kind::Series(_) => None,
        }
    }

    /// Every label that a series of the block has, ascending.
    pub fn labels(&self) -> Vec<Label> {
        match &self.kind {
            Kind::Rows(_) => Vec::new(),
            Kind::Series(block) => block.labels(),
        }
    }

    /// Gives the values of a label to `each`, ascending; whether these are all, which else only the series themselves tell.
    pub fn each_label_value(&self, label: &Label, each: &mut dyn FnMut(&str)) -> bool {
        match &self.kind {
            Kind::Rows(_) => true,
            Kind::Series(block) => block.each_label_value(label, each),
        }
    }
}

/// The matching rows of a block, batch by batch. After an error there is nothing more.
#[derive(Debug)]
pub struct BlockScan(Scan);

#[derive(Debug)]
enum Scan {
    Rows(scan::BlockScan),
    Series(Box<RowScan<SeriesReader>>),
}

impl BlockScan {
    /// What was done so far. The row groups of a block of metrics are its groups of series.
    pub fn progress(&self) -> BlockProgress {
        match &self.0 {
            Scan::Rows(scan) => scan.progress(),
            Scan::Series(scan) => BlockProgress {
                rows_scanned: scan.rows_scanned,
                rows_answered: scan.rows_answered,
                groups_read: scan.groups_read,
                groups_pruned: scan.groups_pruned,
            },
        }
    }
}

impl Iterator for BlockScan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Scan::Rows(scan) => scan.next(),
            Scan::Series(scan) => scan.next(),
        }
    }
}
