//! How are bodies found and restored?
//!
//! Z1  A read decodes the granules that hold wanted rows, and of those the columns of the templates that are asked for.
//! Z2  What cannot be decoded is damage, told by the file; the text that comes out is UTF-8.
//! Z3  Opening reads nothing; the directory is read when it is first asked, and kept.

use super::MAGIC;
use super::column::{Cells, Columns};
use super::section::Unpacker;
use super::template::{Template, Verdict};
use crate::block::checked::CheckedFile;
use crate::error::{Error, Result};
use crate::model::record::take_varint;
use crate::scan::{Condition, Outcome};
use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, StringArray};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Rows of a block have 31 bits.
const MOST_ROWS: u64 = 1 << 31;

/// The file `bodies`, open.
#[derive(Debug)]
pub(in crate::block) struct Bodies {
    file: Arc<CheckedFile>,
    directory: OnceLock<Directory>,
}

#[derive(Debug)]
struct Directory {
    templates: Vec<Template>,
    chunks: Vec<Chunk>,
}

#[derive(Debug)]
struct Chunk {
    /// Of the block.
    rows: Range<usize>,
    text_bytes: u64,
    head: Range<u64>,
    granules: Vec<(Range<usize>, Range<u64>)>,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.granules.last().map_or(self.head.end, |(_, place)| place.end)
    }
}

/// What a reader is told of a row.
enum Line<'a> {
    Absent,
    /// Every line of its template is like that.
    Told(bool),
    Text(&'a str),
}

impl Bodies {
    /// The bodies in a file, of which nothing is read yet.
    pub(in crate::block) fn new(file: Arc<CheckedFile>) -> Self {
        Bodies { file, directory: OnceLock::new() }
    }

    pub(in crate::block) fn file(&self) -> &Arc<CheckedFile> {
        &self.file
    }

    /// What lies where; read at the first call.
    fn directory(&self) -> Result<&Directory> {
        if let Some(directory) = self.directory.get() {
            return Ok(directory);
        }
        let read = self.read_directory()?;
        Ok(self.directory.get_or_init(|| read))
    }

    fn read_directory(&self) -> Result<Directory> {
        let file = &self.file;
        let damaged = || Error::Damaged { path: file.path().to_owned(), what: "its directory is malformed".into() };
        let end = file.len().checked_sub(4 + MAGIC.len() as u64).ok_or_else(damaged)?;
        let footer = file.read(end..file.len())?;
        let length = match footer.split_first_chunk() {
            Some((length, magic)) if magic == MAGIC.as_slice() => u32::from_le_bytes(*length),
            _ => return Err(damaged()),
        };
        let start = end.checked_sub(length.into()).ok_or_else(damaged)?;
        parse_directory(&file.read(start..end)?, start).ok_or_else(damaged)
    }

    /// The templates.
    pub(in crate::block) fn templates(&self) -> Result<&[Template]> {
        self.directory().map(|directory| directory.templates.as_slice())
    }

    /// Bytes of memory: none before it is first asked.
    pub(in crate::block) fn memory_bytes(&self) -> usize {
        let Some(Directory { templates, chunks }) = self.directory.get() else { return 0 };
        let granules: usize = chunks.iter().map(|chunk| chunk.granules.len() + 1).sum();
        templates.iter().map(Template::bytes).sum::<usize>() + granules * size_of::<(Range<usize>, Range<u64>)>()
    }

    /// The chunks with some of the block's rows. A row group's are here all or none.
    fn chunks(&self, rows: &Range<usize>) -> Result<&[Chunk]> {
        let chunks = &self.directory()?.chunks;
        let from = chunks.partition_point(|chunk| chunk.rows.end <= rows.start);
        let to = chunks.partition_point(|chunk| chunk.rows.start < rows.end);
        Ok(chunks.get(from..to).unwrap_or_default())
    }

    /// Whether the bodies of a row group are here.
    pub(in crate::block) fn hold(&self, rows: &Range<usize>) -> Result<bool> {
        Ok(!self.chunks(rows)?.is_empty())
    }

    /// Bytes in the file of some of the block's rows, and of their bodies, about.
    pub(in crate::block) fn bytes_of(&self, rows: &Range<usize>) -> Result<(u64, u64)> {
        let bytes = self.chunks(rows)?.iter().map(|chunk| (chunk.end() - chunk.head.start, chunk.text_bytes));
        Ok(bytes.fold((0, 0), |(stored, raw), (more, text)| (stored + more, raw + text)))
    }

    /// The rows of the block whose bodies lie in some bytes of the file.
    pub(in crate::block) fn rows_at(&self, bytes: &Range<u64>) -> Result<Vec<Range<usize>>> {
        let chunks = self.directory()?.chunks.iter();
        let within = chunks.filter(|chunk| chunk.head.start < bytes.end && chunk.end() > bytes.start);
        Ok(within.map(|chunk| chunk.rows.clone()).collect())
    }

    /// The bodies of the rows from `first` on that are set in `mask`; `times` are those rows'.
    pub(in crate::block) fn restore(&self, first: usize, mask: &BooleanBuffer, times: &[i64]) -> Result<ArrayRef> {
        let mut texts = StringBuilder::new();
        let verdicts = vec![Verdict::Ask; self.templates()?.len()];
        self.visit(first, mask, times, &verdicts, &mut |line| match line {
            Line::Text(text) => texts.append_value(text),
            Line::Absent | Line::Told(_) => texts.append_null(),
        })?;
        let texts: StringArray = texts.finish();
        Ok(Arc::new(texts))
    }

    /// What a condition finds in them.
    pub(in crate::block) fn outcome(
        &self,
        first: usize,
        mask: &BooleanBuffer,
        times: &[i64],
        condition: &Condition<'_>,
    ) -> Result<Outcome> {
        let verdicts: Vec<Verdict> = self.templates()?.iter().map(|template| template.verdict(condition)).collect();
        let rows = mask.count_set_bits();
        let (mut present, mut matches) = (BooleanBufferBuilder::new(rows), BooleanBufferBuilder::new(rows));
        self.visit(first, mask, times, &verdicts, &mut |line| {
            present.append(!matches!(line, Line::Absent));
            matches.append(match line {
                Line::Absent => false,
                Line::Told(matches) => matches,
                Line::Text(text) => condition.text(text),
            });
        })?;
        Ok(Outcome { present: present.finish(), matches: matches.finish() })
    }

    /// Tells of each wanted row, in their order.
    fn visit(
        &self,
        first: usize,
        mask: &BooleanBuffer,
        times: &[i64],
        verdicts: &[Verdict],
        tell: &mut dyn FnMut(Line<'_>),
    ) -> Result<()> {
        let damaged = || Error::Damaged { path: self.file.path().to_owned(), what: "a body is malformed".into() };
        let mut unpacker = Unpacker::new().ok_or_else(damaged)?;
        let wanted: Vec<usize> = mask.set_indices().map(|row| first + row).collect();
        let mut next = 0;
        let Directory { templates, .. } = self.directory()?;
        for chunk in self.chunks(&(first..first + mask.len()))? {
            let Some(&row) = wanted.get(next) else { break };
            if !chunk.rows.contains(&row) {
                continue;
            }
            let head = self.file.read(chunk.head.clone())?;
            let mut heads = Heads::parse(&head, templates).ok_or_else(damaged)?;
            for (rows, place) in &chunk.granules {
                let from = next;
                while wanted.get(next).is_some_and(|row| rows.contains(row)) {
                    next += 1;
                }
                if next == from {
                    continue;
                }
                let bytes = self.file.read(place.clone())?;
                let lines = wanted.get(from..next).unwrap_or_default();
                let times = times.get(from..next).ok_or_else(damaged)?;
                let granule = Granule { rows: rows.clone(), bytes: &bytes, lines, times };
                granule.visit(&mut unpacker, &mut heads, verdicts, tell).ok_or_else(damaged)?;
            }
        }
        if next == wanted.len() { Ok(()) } else { Err(damaged()) }
    }
}

/// What a chunk tells of its templates, decoded when it is needed.
struct Heads<'a>(Vec<Head<'a>>);

struct Head<'a> {
    template: usize,
    literals: &'a [Vec<u8>],
    bytes: &'a [u8],
    columns: Option<Columns>,
}

impl<'a> Heads<'a> {
    fn parse(mut input: &'a [u8], templates: &'a [Template]) -> Option<Self> {
        let mut heads = Vec::new();
        for _ in 0..take_varint(&mut input)? {
            let template = usize::try_from(take_varint(&mut input)?).ok()?;
            let bytes = crate::model::record::take_bytes(&mut input)?;
            heads.push(Head { template, literals: &templates.get(template)?.literals, bytes, columns: None });
        }
        Some(Heads(heads))
    }
}

impl Head<'_> {
    fn columns(&mut self, unpacker: &mut Unpacker) -> Option<&Columns> {
        if self.columns.is_none() {
            let slots = self.literals.len().checked_sub(1)?;
            self.columns = Some(Columns::take(unpacker, &mut { self.bytes }, slots)?);
        }
        self.columns.as_ref()
    }
}

/// A granule of which some lines are wanted.
struct Granule<'a> {
    rows: Range<usize>,
    bytes: &'a [u8],
    lines: &'a [usize],
    times: &'a [i64],
}

impl Granule<'_> {
    fn visit(
        &self,
        unpacker: &mut Unpacker,
        heads: &mut Heads<'_>,
        verdicts: &[Verdict],
        tell: &mut dyn FnMut(Line<'_>),
    ) -> Option<()> {
        let mut input = self.bytes;
        let ids = unpacker.take_numbers(&mut input, self.rows.len())?;
        let mut counts = vec![0usize; heads.0.len() + 1];
        // Of each row how many before it have the same template.
        let mut ranks = Vec::with_capacity(ids.len());
        for &id in &ids {
            let count = counts.get_mut(usize::try_from(id).ok()?)?;
            ranks.push(*count);
            *count += 1;
        }
        let mut asked = vec![false; counts.len()];
        for &line in self.lines {
            let id = usize::try_from(*ids.get(line - self.rows.start)?).ok()?;
            *asked.get_mut(id)? = true;
        }
        let mut cells: Vec<Option<Cells>> = Vec::with_capacity(heads.0.len());
        for ((head, &count), &asked) in heads.0.iter_mut().zip(counts.iter().skip(1)).zip(asked.iter().skip(1)) {
            if count == 0 {
                cells.push(None);
                continue;
            }
            let mut part = crate::model::record::take_bytes(&mut input)?;
            let restored = asked && verdicts.get(head.template) == Some(&Verdict::Ask);
            cells.push(match restored {
                true => Some(head.columns(unpacker)?.granule(unpacker, &mut part, count)?),
                false => None,
            });
        }
        let mut text = Vec::new();
        for (&line, &time) in self.lines.iter().zip(self.times) {
            let at = line - self.rows.start;
            let Some(place) = usize::try_from(*ids.get(at)?).ok()?.checked_sub(1) else {
                tell(Line::Absent);
                continue;
            };
            let head = heads.0.get(place)?;
            match (verdicts.get(head.template)?, cells.get(place)?, &head.columns) {
                (Verdict::Ask, Some(cells), Some(columns)) => {
                    text.clear();
                    for (slot, literal) in head.literals.iter().enumerate() {
                        if let Some(slot) = slot.checked_sub(1) {
                            columns.put(cells, slot, *ranks.get(at)?, time, &mut text)?;
                        }
                        text.extend_from_slice(literal);
                    }
                    tell(Line::Text(std::str::from_utf8(&text).ok()?));
                }
                (verdict, _, _) => tell(Line::Told(*verdict == Verdict::All)),
            }
        }
        Some(())
    }
}

fn parse_directory(section: &[u8], end: u64) -> Option<Directory> {
    let directory = Unpacker::new()?.take(&mut { section })?;
    let mut input = &directory[..];
    let input = &mut input;
    let mut templates = Vec::new();
    for _ in 0..take_varint(input)? {
        templates.push(Template::take(input)?);
    }
    let mut chunks = Vec::new();
    let (mut row, mut at) = (0, 0);
    for _ in 0..take_varint(input)? {
        let chunk = parse_chunk(input, row, at)?;
        (row, at) = (chunk.rows.end, chunk.end());
        chunks.push(chunk);
    }
    (at == end && input.is_empty()).then_some(Directory { templates, chunks })
}

/// A number of rows.
fn count(input: &mut &[u8]) -> Option<usize> {
    take_varint(input).filter(|&count| count <= MOST_ROWS)?.try_into().ok()
}

/// A chunk that comes after a row and a byte.
fn parse_chunk(input: &mut &[u8], row: usize, at: u64) -> Option<Chunk> {
    let start = row.checked_add(count(input)?)?;
    let rows = start..start.checked_add(count(input)?)?;
    let text_bytes = take_varint(input)?;
    let head = at..at.checked_add(take_varint(input)?)?;
    let mut granules: Vec<(Range<usize>, Range<u64>)> = Vec::new();
    let (mut from, mut place) = (start, head.end);
    for _ in 0..take_varint(input)? {
        let to = from.checked_add(count(input)?)?;
        let end = place.checked_add(take_varint(input)?)?;
        granules.push((from..to, place..end));
        (from, place) = (to, end);
    }
    (from == rows.end).then_some(Chunk { rows, text_bytes, head, granules })
}
