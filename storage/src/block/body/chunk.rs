//! How does one chunk of `bodies` come about: its templates, and per granule the columns of their words?
//!
//! Not here: whether it pays (`write`), how words are kept (`column`).

use super::column::{Lines, encode};
use super::mine::{Kinds, Shape};
use super::section::Packer;
use super::template::{ByteSet, Template};
use super::write::Texts;
use crate::model::record::put_varint;
use std::io;
use std::ops::Range;

/// Rows of a granule, the least that a read decodes, and its bytes of bodies.
const GRANULE_ROWS: usize = 4096;
const GRANULE_BYTES: usize = 1 << 20;

/// One chunk.
pub(super) struct Chunk {
    pub(super) rows: usize,
    /// Bytes of its texts.
    pub(super) text_bytes: usize,
    /// What each template has here, and what holds for all its lines here; those with the most lines first.
    pub(super) heads: Vec<(Template, Vec<u8>)>,
    /// Rows and bytes of each granule.
    pub(super) granules: Vec<(usize, Vec<u8>)>,
}

impl Chunk {
    /// Bytes in the file, about.
    pub(super) fn bytes(&self) -> usize {
        let heads = self.heads.iter().map(|(_, columns)| columns.len() + 4);
        heads.chain(self.granules.iter().map(|(_, bytes)| bytes.len() + 4)).sum()
    }
}

/// A chunk in the making.
pub(super) struct ChunkWriter<'a> {
    packer: &'a mut Packer,
    texts: &'a Texts<'a>,
    rows: Range<usize>,
    /// Of each row its kind, from 1; 0 for lines of none and -1 for rows without text.
    ids: Vec<i64>,
    lines: Vec<Lines<'a>>,
    /// Rows of the granules.
    granules: Vec<usize>,
    shapes: Vec<Shape>,
}

impl<'a> ChunkWriter<'a> {
    pub(super) fn new(packer: &'a mut Packer, texts: &'a Texts<'a>, rows: Range<usize>) -> Self {
        let ids = Vec::with_capacity(rows.len());
        ChunkWriter { packer, texts, rows, ids, lines: Vec::new(), granules: Vec::new(), shapes: Vec::new() }
    }

    pub(super) fn finish(mut self) -> io::Result<Chunk> {
        self.take_apart();
        let mut granules = self.put_places()?;
        let mut heads = Vec::new();
        for at in self.present() {
            let Some(of) = self.lines.get(at) else { continue };
            let mut columns = Vec::new();
            let mut parts = vec![Vec::new(); granules.len()];
            encode(self.packer, of, &mut columns, &mut parts)?;
            let mut before = 0;
            for (((_, out), part), &end) in granules.iter_mut().zip(parts).zip(&of.ends) {
                if end > before {
                    put_varint(out, part.len() as u64);
                    out.extend_from_slice(&part);
                }
                before = end;
            }
            heads.push((template(at.checked_sub(1).and_then(|shape| self.shapes.get(shape)), of), columns));
        }
        let text_bytes = self.texts.of(&self.rows).len();
        Ok(Chunk { rows: self.rows.len(), text_bytes, heads, granules })
    }

    /// Finds the kinds of lines and gives each line's words to its own.
    fn take_apart(&mut self) {
        let from = self.rows.start;
        let mut kinds = Kinds::find(self.rows.len(), |row| self.texts.line(from + row));
        let mut slots = Vec::new();
        for granule in self.texts.cut(self.rows.clone(), GRANULE_ROWS, GRANULE_BYTES) {
            self.granules.push(granule.len());
            for row in granule {
                let Some(text) = self.texts.line(row) else {
                    self.ids.push(-1);
                    continue;
                };
                let kind = match kinds.take_apart(row - from, text, &mut slots) {
                    Some(shape) => shape as usize + 1,
                    None => {
                        slots.clear();
                        slots.push(text);
                        0
                    }
                };
                if self.lines.len() <= kind {
                    self.lines.resize_with(kind + 1, Lines::default);
                }
                if let Some(of) = self.lines.get_mut(kind) {
                    of.slots.resize_with(slots.len(), Vec::new);
                    of.slots.iter_mut().zip(&slots).for_each(|(words, word)| words.push(word));
                    of.times.push(self.texts.time(row));
                }
                self.ids.push(i64::try_from(kind).unwrap_or(i64::MAX));
            }
            let done = self.granules.len();
            self.lines.iter_mut().for_each(|of| {
                // Of a kind that came up later, no line ends before.
                of.ends.resize(done - 1, 0);
                of.ends.push(of.times.len());
            });
        }
        self.shapes = std::mem::take(&mut kinds.shapes);
    }

    /// The kinds that have lines, those with the most first.
    fn present(&self) -> Vec<usize> {
        let lines = |at: usize| self.lines.get(at).map_or(0, |of| of.times.len());
        let mut present: Vec<usize> = (0..self.lines.len()).filter(|&at| lines(at) > 0).collect();
        present.sort_by_key(|&at| (std::cmp::Reverse(lines(at)), at));
        present
    }

    /// The granules, with each row's place in the head.
    fn put_places(&mut self) -> io::Result<Vec<(usize, Vec<u8>)>> {
        let mut place = vec![0i64; self.lines.len()];
        (1i64..).zip(self.present()).for_each(|(number, at)| place[at] = number);
        let mut granules = Vec::with_capacity(self.granules.len());
        let mut from = 0;
        for &rows in &self.granules {
            let of_granule = self.ids.iter().skip(from).take(rows);
            let places: Vec<i64> = of_granule
                .map(|&id| usize::try_from(id).ok().and_then(|id| place.get(id)).copied().unwrap_or(0))
                .collect();
            let mut out = Vec::new();
            self.packer.put_numbers(&mut out, &places)?;
            granules.push((rows, out));
            from += rows;
        }
        Ok(granules)
    }
}

/// What some lines have in common: of no shape, they are one slot.
fn template(shape: Option<&Shape>, lines: &Lines<'_>) -> Template {
    let literals = shape.map_or_else(|| vec![Vec::new(); 2], |shape| shape.literals.clone());
    let sets = lines.slots.iter().map(|words| ByteSet::of(words.iter().copied())).collect();
    Template { lines: lines.times.len() as u64, literals, sets }
}
