//! How does the file `bodies` come to be?
//!
//! F1  What is held is the row group at hand, its chunks, and the directory: at most [`MOST_TEMPLATE_BYTES`] of templates.
//! F2  A row group that does not become a tenth smaller stays a column, whole.
//!
//! Not here: how words are kept (`column`), which templates there are (`mine`).

use super::chunk::{Chunk, ChunkWriter};
use super::section::Packer;
use super::template::Template;
use super::{BodyEncoding, FILE, MAGIC};
use crate::block::BlockConfig;
use crate::block::checked::CheckedWriter;
use crate::block::encode::{ColumnData, Values};
use crate::block::layout::StoredColumn;
use crate::block::meta::{ColumnBytes, FileMeta};
use crate::error::{Error, Result};
use crate::fs::Filesystem;
use crate::model::record::put_varint;
use crate::model::{Signal, schema, schema::column as name};
use std::collections::HashMap;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Less text than this is not worth a trial, nor a file of its own.
const LEAST_BYTES: usize = 64 << 10;
/// Bytes of bodies of a chunk, for which templates are found and whose dictionaries are shared.
const CHUNK_BYTES: usize = 16 << 20;
/// Rows and bytes of the trial.
const TRIAL_ROWS: usize = 8 * 1024;
const TRIAL_BYTES: usize = 2 << 20;
/// Of the column that bodies would be otherwise so many bytes are compressed to know its size.
const COLUMN_TRIAL_BYTES: usize = 1 << 20;
/// Templates have to save one part in so many.
const LEAST_SAVING: usize = 10;
/// After a trial that failed so many row groups are not tried, twice as many each time, up to …
const MOST_UNTRIED: u32 = 16;
/// Templates of a block, which a reader keeps in memory.
const MOST_TEMPLATE_BYTES: usize = 4 << 20;

/// The texts of a row group, and its times.
#[derive(Debug)]
pub(super) struct Texts<'a> {
    bytes: &'a [u8],
    /// Of each row where its text ends.
    ends: Vec<usize>,
    present: Option<&'a [bool]>,
    times: &'a [i64],
}

impl<'a> Texts<'a> {
    /// `None` for bodies that repeat, which a dictionary keeps better.
    fn new(bodies: &'a ColumnData, times: &'a ColumnData) -> Option<Self> {
        let (Values::Bytes { bytes, ends }, Values::Int64(times)) = (&bodies.values, &times.values) else {
            return None;
        };
        let present = bodies.present.as_deref();
        let ends = match present {
            None => ends.clone(),
            Some(present) => {
                let mut values = ends.iter();
                let end = |last: &mut usize, present: &bool| {
                    *last = values.by_ref().take(usize::from(*present)).next().copied().unwrap_or(*last);
                    Some(*last)
                };
                present.iter().scan(0, end).collect()
            }
        };
        (ends.len() == times.len()).then_some(Texts { bytes, ends, present, times })
    }

    fn rows(&self) -> usize {
        self.ends.len()
    }

    fn start(&self, row: usize) -> usize {
        row.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0)
    }

    pub(super) fn line(&self, row: usize) -> Option<&'a [u8]> {
        let present = self.present.is_none_or(|present| present.get(row) == Some(&true));
        if present { self.bytes.get(self.start(row)..*self.ends.get(row)?) } else { None }
    }

    pub(super) fn time(&self, row: usize) -> i64 {
        self.times.get(row).copied().unwrap_or(0)
    }

    /// All texts of some rows, one after the other.
    pub(super) fn of(&self, rows: &Range<usize>) -> &'a [u8] {
        self.bytes.get(self.start(rows.start)..self.start(rows.end)).unwrap_or_default()
    }

    /// Cuts rows into runs of at most so many rows and, but for single rows, bytes.
    pub(super) fn cut(&self, rows: Range<usize>, most_rows: usize, most_bytes: usize) -> Vec<Range<usize>> {
        let mut runs = Vec::new();
        let mut from = rows.start;
        for row in rows.clone() {
            let bytes = self.start(row + 1) - self.start(from);
            if row > from && (row - from == most_rows || bytes > most_bytes) {
                runs.push(from..row);
                from = row;
            }
        }
        if rows.end > from {
            runs.push(from..rows.end);
        }
        runs
    }

    /// Some rows from the middle: the first lines may be those of a start.
    fn sample(&self) -> Range<usize> {
        let from = self.rows() / 2 - (self.rows() / 2).min(TRIAL_ROWS / 2);
        let to = self.rows().min(from + TRIAL_ROWS);
        self.cut(from..to, TRIAL_ROWS, TRIAL_BYTES).into_iter().next().unwrap_or(0..0)
    }
}

/// The bodies of a block in the making: the file comes to be with the first row group that pays.
pub(in crate::block) struct BodyWriter<'a> {
    fs: &'a dyn Filesystem,
    path: PathBuf,
    dir: PathBuf,
    encoding: BodyEncoding,
    text_page_bytes: usize,
    level: i32,
    /// Places of the columns of bodies and times; none where there are no bodies.
    places: Option<(usize, usize)>,
    packer: Option<Packer>,
    file: Option<CheckedWriter>,
    templates: Templates,
    /// The directory's entries of chunks.
    chunks: Vec<u8>,
    count: u64,
    rows: usize,
    /// Rows before the end of the last chunk.
    told: usize,
    bytes: ColumnBytes,
    /// Whether the row group before was taken, so that this one is likely to be.
    taken: bool,
    /// Row groups that are not tried, and how many they were the last time.
    untried: u32,
    last_untried: u32,
}

impl<'a> BodyWriter<'a> {
    pub(in crate::block) fn new(
        fs: &'a dyn Filesystem,
        dir: &Path,
        signal: Signal,
        columns: &[StoredColumn],
        config: &BlockConfig,
    ) -> Self {
        let place = |name: &str| columns.iter().position(|column| column.field.name() == name);
        let places = place(name::BODY).zip(place(schema::time_column(signal)));
        BodyWriter {
            fs,
            path: dir.join(FILE),
            dir: dir.to_owned(),
            encoding: config.bodies,
            text_page_bytes: config.text_page_bytes.max(1),
            level: config.zstd_level,
            places: places.filter(|_| signal == Signal::Logs),
            packer: None,
            file: None,
            templates: Templates::default(),
            chunks: Vec::new(),
            count: 0,
            rows: 0,
            told: 0,
            bytes: ColumnBytes { name: FILE.to_owned(), compressed: 0, raw: 0 },
            taken: false,
            untried: 0,
            last_untried: 0,
        }
    }

    /// Takes the bodies out of the columns of the next row group, where that pays.
    pub(in crate::block) fn take(&mut self, data: &mut [ColumnData], rows: usize) -> Result<()> {
        let from = self.rows;
        self.rows += rows;
        let Some((body, time)) = self.places else { return Ok(()) };
        let columns = data.get(body).zip(data.get(time));
        let Some(texts) = columns.and_then(|(bodies, times)| Texts::new(bodies, times)) else { return Ok(()) };
        let chunks = self.decide(&texts).map_err(Error::io("encode", &self.path))?;
        if chunks.is_empty() {
            return Ok(());
        }
        self.put(from, chunks)?;
        if let Some(bodies) = data.get_mut(body) {
            let none = Values::Bytes { bytes: Vec::new(), ends: Vec::new() };
            *bodies = ColumnData { values: none, present: Some(vec![false; rows]) };
        }
        Ok(())
    }

    /// Bytes that were written.
    pub(in crate::block) fn bytes(&self) -> u64 {
        self.bytes.compressed
    }

    /// The chunks of a row group; none where bodies stay a column.
    fn decide(&mut self, texts: &Texts<'_>) -> io::Result<Vec<Chunk>> {
        let all = 0..texts.rows();
        match self.encoding {
            BodyEncoding::Column => return Ok(Vec::new()),
            BodyEncoding::Templates => return self.encode(texts, all),
            BodyEncoding::ByTrial => {}
        }
        if texts.bytes.len() < LEAST_BYTES {
            return Ok(Vec::new());
        }
        if self.untried > 0 {
            self.untried -= 1;
            return Ok(Vec::new());
        }
        let sample = texts.sample();
        let mut chunks = Vec::new();
        if self.taken || sample.len() * 2 > all.len() || !self.attempt(texts, sample)?.is_empty() {
            chunks = self.attempt(texts, all)?;
        }
        self.taken = !chunks.is_empty() && self.templates.have_room(&chunks);
        if !self.taken {
            self.last_untried = (self.last_untried * 2).clamp(1, MOST_UNTRIED);
            self.untried = self.last_untried;
            return Ok(Vec::new());
        }
        self.last_untried = 0;
        Ok(chunks)
    }

    /// The chunks of some rows; none where a column of them would be hardly larger.
    fn attempt(&mut self, texts: &Texts<'_>, rows: Range<usize>) -> io::Result<Vec<Chunk>> {
        let as_column = self.column_bytes(texts.of(&rows))?;
        let chunks = self.encode(texts, rows)?;
        let as_templates: usize = chunks.iter().map(Chunk::bytes).sum();
        let pays = as_templates + as_templates / LEAST_SAVING < as_column;
        Ok(if pays { chunks } else { Vec::new() })
    }

    fn encode(&mut self, texts: &Texts<'_>, rows: Range<usize>) -> io::Result<Vec<Chunk>> {
        let packer = match &mut self.packer {
            Some(packer) => packer,
            none => none.insert(Packer::new(self.level)?),
        };
        let chunks = texts.cut(rows, usize::MAX, CHUNK_BYTES).into_iter();
        chunks.map(|rows| ChunkWriter::new(packer, texts, rows).finish()).collect()
    }

    /// What texts would take as a column, by some of the pages that the block would write.
    fn column_bytes(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut zstd = zstd::bulk::Compressor::new(self.level)?;
        let pages: Vec<&[u8]> = bytes.chunks(self.text_page_bytes).collect();
        let stride = bytes.len().div_ceil(COLUMN_TRIAL_BYTES).max(1);
        let (mut raw, mut packed) = (0, 0);
        for page in pages.into_iter().step_by(stride) {
            raw += page.len();
            packed += zstd.compress(page)?.len().min(page.len());
        }
        Ok(usize::try_from(packed as u128 * bytes.len() as u128 / raw.max(1) as u128).unwrap_or(usize::MAX))
    }

    /// Appends the chunks of a row group, whose first row is `from`.
    fn put(&mut self, from: usize, chunks: Vec<Chunk>) -> Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => CheckedWriter::create(self.fs, &self.dir, FILE)?,
        };
        let failed = || Error::io("write", &self.path);
        let mut between = from - self.told;
        for chunk in chunks {
            let head = self.templates.head(&chunk);
            for number in [between, chunk.rows, chunk.text_bytes, head.len(), chunk.granules.len()] {
                put_varint(&mut self.chunks, number as u64);
            }
            file.write_all(&head).map_err(failed())?;
            self.bytes.compressed += head.len() as u64;
            for (rows, bytes) in &chunk.granules {
                put_varint(&mut self.chunks, *rows as u64);
                put_varint(&mut self.chunks, bytes.len() as u64);
                file.write_all(bytes).map_err(failed())?;
                self.bytes.compressed += bytes.len() as u64;
            }
            self.bytes.raw += chunk.text_bytes as u64;
            self.count += 1;
            between = 0;
        }
        self.told = self.rows;
        self.file = Some(file);
        Ok(())
    }

    /// Writes the directory; the file and what its chunks take, if there is one.
    pub(in crate::block) fn finish(mut self) -> Result<Option<(FileMeta, ColumnBytes)>> {
        let (Some(mut file), Some(mut packer)) = (self.file.take(), self.packer.take()) else { return Ok(None) };
        let failed = || Error::io("write", &self.path);
        let mut directory = Vec::new();
        put_varint(&mut directory, self.templates.list.len() as u64);
        self.templates.list.iter().for_each(|template| template.put(&mut directory));
        put_varint(&mut directory, self.count);
        directory.extend_from_slice(&self.chunks);
        let mut section = Vec::new();
        packer.put(&mut section, &directory).map_err(failed())?;
        file.write_all(&section).map_err(failed())?;
        let length = u32::try_from(section.len()).map_err(|error| failed()(io::Error::other(error)))?;
        file.write_all(&length.to_le_bytes()).and_then(|()| file.write_all(MAGIC)).map_err(failed())?;
        Ok(Some((file.finish()?, self.bytes)))
    }
}

/// The templates of a block.
#[derive(Debug, Default)]
struct Templates {
    list: Vec<Template>,
    numbers: HashMap<Vec<Vec<u8>>, usize>,
    bytes: usize,
}

impl Templates {
    /// Whether the templates of some chunks may be added.
    fn have_room(&self, chunks: &[Chunk]) -> bool {
        let heads = chunks.iter().flat_map(|chunk| &chunk.heads);
        let new = heads.filter(|(template, _)| !self.numbers.contains_key(&template.literals));
        self.bytes + new.map(|(template, _)| template.bytes()).sum::<usize>() <= MOST_TEMPLATE_BYTES
    }

    /// Adds what a chunk says of its templates; its head.
    fn head(&mut self, chunk: &Chunk) -> Vec<u8> {
        let mut head = Vec::new();
        put_varint(&mut head, chunk.heads.len() as u64);
        for (template, columns) in &chunk.heads {
            put_varint(&mut head, self.add(template) as u64);
            put_varint(&mut head, columns.len() as u64);
            head.extend_from_slice(columns);
        }
        head
    }

    fn add(&mut self, template: &Template) -> usize {
        let number = match self.numbers.get(&template.literals) {
            Some(number) => *number,
            None => {
                self.numbers.insert(template.literals.clone(), self.list.len());
                self.bytes += template.bytes();
                self.list.push(Template { lines: 0, ..template.clone() });
                self.list.len() - 1
            }
        };
        if let Some(known) = self.list.get_mut(number) {
            known.lines += template.lines;
            known.sets.iter_mut().zip(&template.sets).for_each(|(known, set)| known.join(*set));
        }
        number
    }
}
