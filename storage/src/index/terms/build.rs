//! How does the index of a block come to be, row group by row group?
//!
//! Work is done once per distinct value of a granule, not per row, wherever a column has a dictionary. Memory is bounded: a
//! segment is closed and written when it has grown large, and where a single row group is larger than that, what does not
//! fit is marked as unknown.
//!
//! U1  Never too little: of each value or text that is noted, the index later proposes the granule, or does not know.
//! U2  Equal columns give equal bytes.

use super::encode::{self, Segment};
use super::token::{Token, fold, pieces, tokens};
use crate::block::{IntegerInterner, Interner};
use std::ops::Range;
use xxhash_rust::xxh3::xxh3_64;

/// Where a segment ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Words of a field, their bytes, and places of words or fingerprints: what goes beyond is unknown.
    pub(super) words: usize,
    pub(super) word_bytes: usize,
    pub(super) places: usize,
    /// Of more distinct values, or more bytes, only fingerprints or words are kept.
    pub(super) values: usize,
    pub(super) value_bytes: usize,
    /// A segment that holds so many bytes in memory is closed before the next row group.
    pub(super) segment_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // Some 150 MB for a row group of junk, and less than 48 MB for whatever else.
        Limits {
            words: 1 << 20,
            word_bytes: 32 << 20,
            places: 8 << 20,
            values: 4096,
            value_bytes: 256 << 10,
            segment_bytes: 48 << 20,
        }
    }
}

/// Says that a dictionary's value was not looked at yet.
const UNSEEN: u32 = u32::MAX;

/// What is kept of a field's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// The values, or their fingerprints where they are many.
    Exact,
    /// The values, or their words where they are many.
    Text,
    /// Words.
    Words,
    /// Fingerprints.
    Prints,
}

/// How something is told by 64 bits.
pub(crate) fn fingerprint(value: &[u8]) -> u64 {
    xxh3_64(value)
}

/// Byte strings and the granules that they lie in.
#[derive(Debug, Default)]
pub(super) struct TermSet {
    pub(super) terms: Interner,
    /// The granule of each term's last place.
    last: Vec<u32>,
    /// Term and granule; of one term by granule.
    pub(super) places: Vec<(u32, u32)>,
}

impl TermSet {
    fn is_full(&self, limits: &Limits) -> bool {
        self.terms.len() >= limits.words
            || self.terms.bytes_len() >= limits.word_bytes
            || self.places.len() >= limits.places
    }

    fn memory_bytes(&self) -> usize {
        self.terms.bytes_len() + self.terms.len() * 32 + self.places.len() * 8
    }

    /// The number of a term.
    fn number(&mut self, term: &[u8]) -> u32 {
        let number = self.terms.intern(term);
        if self.last.len() <= number as usize {
            self.last.push(UNSEEN);
        }
        number
    }

    /// Notes a term, by its number, in a granule that is not before that of its last place.
    fn note(&mut self, number: u32, granule: u32) {
        let last = &mut self.last[number as usize];
        if *last != granule {
            *last = granule;
            self.places.push((number, granule));
        }
    }
}

/// What is known of one field in a segment.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    style: Style,
    limits: Limits,
    pub(super) values: TermSet,
    pub(super) words: TermSet,
    /// Fingerprints and granules, of values or of pieces of ids.
    pub(super) prints: Vec<(u64, u32)>,
    /// Granules with ids.
    pub(super) ids: Vec<u32>,
    /// Granules with tokens that are too long to be kept.
    pub(super) long: Vec<u32>,
    /// Granules with more than was kept.
    pub(super) unknown: Vec<u32>,
    has_words: bool,
    has_prints: bool,
    /// The last granule, and whether one before it came after it: the field has several columns.
    latest: u32,
    unordered: bool,
}

/// How a field's values are kept in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Values,
    Words,
    Prints,
}

fn mark(list: &mut Vec<u32>, granule: u32) {
    if list.last() != Some(&granule) {
        list.push(granule);
    }
}

impl Field {
    fn new(name: &str, style: Style, limits: Limits) -> Self {
        Field {
            name: name.to_owned(),
            style,
            limits,
            values: TermSet::default(),
            words: TermSet::default(),
            prints: Vec::new(),
            ids: Vec::new(),
            long: Vec::new(),
            unknown: Vec::new(),
            has_words: style == Style::Words,
            has_prints: style == Style::Prints,
            latest: 0,
            unordered: false,
        }
    }

    fn memory_bytes(&self) -> usize {
        self.values.memory_bytes() + self.words.memory_bytes() + self.prints.len() * 16
    }

    fn note_print(&mut self, print: u64, granule: u32) {
        if self.prints.len() < self.limits.places {
            self.prints.push((print, granule));
        } else {
            mark(&mut self.unknown, granule);
        }
    }

    fn note_text(&mut self, text: &str, granule: u32) {
        self.unordered |= granule < self.latest;
        self.latest = granule;
        tokens(&fold(text), |token| match token {
            Token::Word(word) => {
                if self.words.is_full(&self.limits) {
                    mark(&mut self.unknown, granule);
                } else {
                    let number = self.words.number(word);
                    self.words.note(number, granule);
                }
            }
            Token::Id(id) => {
                mark(&mut self.ids, granule);
                pieces(id).for_each(|piece| self.note_print(fingerprint(piece), granule));
            }
            Token::TooLong => mark(&mut self.long, granule),
        });
    }

    fn note_plain(&mut self, value: &[u8], granule: u32) {
        match self.style {
            Style::Exact | Style::Prints => {
                self.has_prints = true;
                self.note_print(fingerprint(value), granule);
            }
            Style::Text | Style::Words => {
                self.has_words = true;
                self.note_text(&String::from_utf8_lossy(value), granule);
            }
        }
    }

    /// How the field is kept, with everything in its place.
    pub(super) fn settle(&mut self) -> Mode {
        let mode = self.settle_terms();
        for list in [&mut self.ids, &mut self.long, &mut self.unknown] {
            list.sort_unstable();
            list.dedup();
        }
        mode
    }

    fn settle_terms(&mut self) -> Mode {
        let terms = &self.values.terms;
        let many = terms.len() > self.limits.values || terms.bytes_len() > self.limits.value_bytes;
        match self.style {
            Style::Exact if !many && !self.has_prints => Mode::Values,
            Style::Text if !many && !self.has_words => Mode::Values,
            Style::Exact | Style::Prints => {
                let values = std::mem::take(&mut self.values);
                let prints: Vec<u64> = values.terms.iter().map(fingerprint).collect();
                self.prints.extend(values.places.iter().map(|&(term, granule)| (prints[term as usize], granule)));
                Mode::Prints
            }
            Style::Text | Style::Words => {
                let values = std::mem::take(&mut self.values);
                for &(term, granule) in &values.places {
                    self.note_text(&String::from_utf8_lossy(values.terms.get(term)), granule);
                }
                if self.unordered {
                    self.words.places.sort_unstable();
                    self.words.places.dedup();
                }
                Mode::Words
            }
        }
    }
}

/// The index of a block in the making.
#[derive(Debug, Default)]
pub(crate) struct TermsBuilder {
    limits: Limits,
    /// Rows of a granule, by row group.
    granule_rows: Vec<usize>,
    fields: Vec<Field>,
    /// The first granule of the segment, and of the row group.
    segment: u32,
    group: u32,
    /// The first granule after the row group.
    end: u32,
    segments: Vec<Segment>,
    encoder: encode::Encoder,
}

impl TermsBuilder {
    #[cfg(test)]
    pub(super) fn with_limits(limits: Limits) -> Self {
        TermsBuilder { limits, ..TermsBuilder::default() }
    }

    /// Begins a row group of so many rows, in granules of so many. Gives what is ready to be written.
    pub(crate) fn begin_group(&mut self, rows: usize, granule_rows: usize) -> std::io::Result<Vec<u8>> {
        let held: usize = self.fields.iter().map(Field::memory_bytes).sum();
        let ready = if held > self.limits.segment_bytes { self.close_segment()? } else { Vec::new() };
        let granule_rows = granule_rows.max(1);
        self.granule_rows.push(granule_rows);
        self.group = self.end;
        // A block has fewer than 2^31 rows.
        self.end += u32::try_from(rows.div_ceil(granule_rows)).unwrap_or(u32::MAX);
        Ok(ready)
    }

    /// A field of the row group, to note its values.
    pub(crate) fn field(&mut self, name: &str, style: Style) -> FieldRows<'_> {
        let place = match self.fields.iter().position(|field| field.name == name) {
            Some(place) => place,
            None => {
                self.fields.push(Field::new(name, style, self.limits));
                self.fields.len() - 1
            }
        };
        let granule_rows = self.granule_rows.last().copied().unwrap_or(1);
        FieldRows { field: &mut self.fields[place], first: self.group, granule_rows }
    }

    fn close_segment(&mut self) -> std::io::Result<Vec<u8>> {
        let fields = std::mem::take(&mut self.fields);
        let (segment, bytes) = self.encoder.segment(fields, self.segment..self.end)?;
        self.segments.push(segment);
        self.segment = self.end;
        Ok(bytes)
    }

    /// What is left to be written.
    pub(crate) fn finish(mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = self.close_segment()?;
        bytes.extend(self.encoder.directory(&self.granule_rows, &self.segments)?);
        Ok(bytes)
    }
}

/// A field and the rows of a row group.
#[derive(Debug)]
pub(crate) struct FieldRows<'a> {
    field: &'a mut Field,
    first: u32,
    granule_rows: usize,
}

impl FieldRows<'_> {
    /// Each granule and its values, of a column of so many values; `present` tells which rows have one.
    fn granules(&self, values: usize, present: Option<&[bool]>) -> Vec<(u32, Range<usize>)> {
        let counts: Vec<usize> = match present {
            Some(present) => {
                let rows = present.chunks(self.granule_rows);
                rows.map(|rows| rows.iter().filter(|&&present| present).count()).collect()
            }
            None => (0..values).step_by(self.granule_rows).map(|from| self.granule_rows.min(values - from)).collect(),
        };
        let mut at = 0;
        let range = |count: usize| {
            let from = at;
            at += count;
            from..at
        };
        (self.first..).zip(counts.into_iter().map(range)).collect()
    }

    /// Notes values that a dictionary numbers; those that `is_absent` accepts stand for none.
    pub(crate) fn coded(
        &mut self,
        dictionary: &Interner,
        keys: &[u32],
        present: Option<&[bool]>,
        is_absent: impl Fn(&[u8]) -> bool,
    ) {
        const ABSENT: u32 = UNSEEN - 1;
        let mut terms = vec![UNSEEN; dictionary.len()];
        let mut last = vec![UNSEEN; dictionary.len()];
        for (granule, range) in self.granules(keys.len(), present) {
            for &key in &keys[range] {
                let key = key as usize;
                if last[key] == granule {
                    continue;
                }
                last[key] = granule;
                if terms[key] == UNSEEN {
                    let value = dictionary.get(u32::try_from(key).unwrap_or(UNSEEN));
                    terms[key] = if is_absent(value) { ABSENT } else { self.field.values.number(value) };
                }
                if terms[key] != ABSENT {
                    self.field.values.note(terms[key], granule);
                }
            }
        }
    }

    /// Notes integers; `absent` stands for none.
    pub(crate) fn integers(
        &mut self,
        values: impl Iterator<Item = i64>,
        present: Option<&[bool]>,
        absent: Option<i64>,
    ) {
        let mut distinct = IntegerInterner::default();
        // The same value mostly follows itself.
        let mut last = None;
        let key = |value: i64| match last {
            Some((before, key)) if before == value => key,
            _ => {
                let key = distinct.intern(value.cast_unsigned());
                last = Some((value, key));
                key
            }
        };
        let keys: Vec<u32> = values.map(key).collect();
        let mut dictionary = Interner::default();
        distinct.values().iter().for_each(|value| {
            dictionary.intern(&value.to_le_bytes());
        });
        let absent = absent.map(i64::to_le_bytes);
        self.coded(&dictionary, &keys, present, |value| absent.is_some_and(|absent| absent == value));
    }

    /// Notes byte strings that lie one after the other.
    pub(crate) fn plain(
        &mut self,
        bytes: &[u8],
        ends: &[usize],
        present: Option<&[bool]>,
        is_absent: impl Fn(&[u8]) -> bool,
    ) {
        let mut start = 0;
        for (granule, range) in self.granules(ends.len(), present) {
            for &end in &ends[range] {
                let value = &bytes[start..end];
                start = end;
                if !is_absent(value) {
                    self.field.note_plain(value, granule);
                }
            }
        }
    }

    /// Notes what `note` finds in cells that lie one after the other.
    pub(crate) fn cells(
        &mut self,
        bytes: &[u8],
        ends: &[usize],
        present: Option<&[bool]>,
        mut note: impl FnMut(&mut Notes<'_>, &[u8]),
    ) {
        let mut start = 0;
        for (granule, range) in self.granules(ends.len(), present) {
            let mut notes = Notes { field: self.field, granule };
            for &end in &ends[range] {
                note(&mut notes, &bytes[start..end]);
                start = end;
            }
        }
    }

    /// Notes what `note` finds in cells that a dictionary numbers.
    pub(crate) fn coded_cells(
        &mut self,
        dictionary: &Interner,
        keys: &[u32],
        present: Option<&[bool]>,
        mut note: impl FnMut(&mut Notes<'_>, &[u8]),
    ) {
        let mut last = vec![UNSEEN; dictionary.len()];
        for (granule, range) in self.granules(keys.len(), present) {
            let mut notes = Notes { field: self.field, granule };
            for &key in &keys[range] {
                if last[key as usize] != granule {
                    last[key as usize] = granule;
                    note(&mut notes, dictionary.get(key));
                }
            }
        }
    }
}

/// Where the content of a cell is noted.
#[derive(Debug)]
pub(crate) struct Notes<'a> {
    field: &'a mut Field,
    granule: u32,
}

impl Notes<'_> {
    /// A text, by its words.
    pub(crate) fn text(&mut self, text: &str) {
        self.field.note_text(text, self.granule);
    }

    /// Something that is told by a fingerprint.
    pub(crate) fn print(&mut self, print: u64) {
        self.field.note_print(print, self.granule);
    }
}
