//! Which series of a block have which labels? An `fst` over labels and values, and a roaring bitmap for each.
//!
//! ```text
//! entry  := prefix of the label, value               the series that have this value
//!         | prefix of the label                      the series that have the label at all
//!         | prefix, first bytes of a long value, ff  the series with some value that begins so
//! number := 2^63 + series | place in the postings * 2^28 + bytes
//! ```
//!
//! P1  What is found are at least the series that match. Where a long value or a pattern too large for an automaton leaves it
//!     open, the answer says so, and who reads the series compares again.

use super::stream::Window;
use crate::block::checked::CheckedFile;
use crate::error::{Error, Result};
use crate::metric::{Label, LabelText, Matcher, Test};
use bytes::Bytes;
use fst::{IntoStreamer, Streamer};
use roaring::RoaringBitmap;
use std::collections::HashMap;
use std::sync::Arc;

/// Longer values are listed by their first bytes.
const MOST_TEXT: usize = 512;
/// The last byte of the entry of long values: no text has it.
const LONG: u8 = 0xff;
const ONE: u64 = 1 << 63;
const LENGTH_BITS: u32 = 28;

/// Collects the labels of series.
#[derive(Debug, Default)]
pub(super) struct PostingsBuilder(HashMap<Vec<u8>, RoaringBitmap>);

impl PostingsBuilder {
    /// Series have labels.
    pub(super) fn add(&mut self, labels: &[LabelText<'_>], series: &RoaringBitmap) {
        for (prefix, text) in labels.iter().filter(|(_, text)| !text.is_empty()) {
            for entry in [prefix.clone(), entry(prefix, text)] {
                *self.0.entry(entry).or_default() |= series;
            }
        }
    }

    /// One series has labels.
    pub(super) fn add_one(&mut self, labels: &[LabelText<'_>], series: u32) {
        for (prefix, text) in labels.iter().filter(|(_, text)| !text.is_empty()) {
            for entry in [prefix.clone(), entry(prefix, text)] {
                self.0.entry(entry).or_default().insert(series);
            }
        }
    }

    /// The dictionary and the postings.
    pub(super) fn finish(self) -> std::io::Result<(Vec<u8>, Vec<u8>)> {
        let mut entries: Vec<(Vec<u8>, RoaringBitmap)> = self.0.into_iter().collect();
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut postings = Vec::new();
        let mut map = fst::MapBuilder::memory();
        for (entry, mut series) in entries {
            let number = match (series.len(), series.min()) {
                (1, Some(only)) => ONE | u64::from(only),
                _ => {
                    series.optimize();
                    let at = postings.len() as u64;
                    series.serialize_into(&mut postings)?;
                    at << LENGTH_BITS | (postings.len() as u64 - at)
                }
            };
            map.insert(entry, number).map_err(std::io::Error::other)?;
        }
        Ok((map.into_inner().map_err(std::io::Error::other)?, postings))
    }
}

fn entry(prefix: &[u8], text: &str) -> Vec<u8> {
    let text = text.as_bytes();
    match text.get(..MOST_TEXT) {
        Some(start) if text.len() > MOST_TEXT => [prefix, start, &[LONG]].concat(),
        _ => [prefix, text].concat(),
    }
}

/// The labels of a block.
#[derive(Debug)]
pub(super) struct Postings {
    file: Arc<CheckedFile>,
    map: fst::Map<Bytes>,
    at: u64,
    series: u32,
}

/// What matchers find.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) series: RoaringBitmap,
    /// Whether each of them is known to match.
    pub(super) exact: bool,
}

impl Postings {
    /// The postings that begin at a place of the file.
    pub(super) fn open(file: Arc<CheckedFile>, map: Bytes, at: u64, series: u32) -> Result<Self> {
        let malformed = |_| Error::Damaged { path: file.path().to_owned(), what: "its labels are malformed".into() };
        let map = fst::Map::new(map).map_err(malformed)?;
        Ok(Postings { file, map, at, series })
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.map.as_fst().as_bytes().len()
    }

    /// The series that match all of some conditions.
    pub(super) fn find(&self, matchers: &[Matcher]) -> Result<Found> {
        let mut found = Found { series: self.all(), exact: true };
        let mut window = Window::default();
        for matcher in matchers {
            let (sure, maybe) = self.matching(&mut window, matcher)?;
            found.exact &= maybe.is_empty();
            found.series &= sure | maybe;
            if found.series.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    fn all(&self) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        // One by one they would take longer than everything else.
        all.insert_range(0..self.series);
        all
    }

    /// The series that match, and those of which it is not known.
    fn matching(&self, window: &mut Window, matcher: &Matcher) -> Result<(RoaringBitmap, RoaringBitmap)> {
        let prefix = matcher.label().prefix();
        let (mut sure, mut maybe) = (RoaringBitmap::new(), RoaringBitmap::new());
        match matcher.test() {
            Test::Equal(text) if !text.is_empty() => {
                let found = self.entry(window, &entry(&prefix, text))?;
                *(if text.len() > MOST_TEXT { &mut maybe } else { &mut sure }) = found;
            }
            // No value is listed that is empty.
            Test::Equal(_) => {}
            Test::Pattern(pattern) => match pattern.behind(&prefix) {
                Some(automaton) => {
                    self.walk(window, &prefix, matcher.test(), self.map.search(&automaton), &mut sure, &mut maybe)?;
                    // Long values end in a byte that no automaton takes.
                    maybe |= self.long(window, &prefix)?;
                }
                None => {
                    let all = fst::automaton::AlwaysMatch;
                    self.walk(window, &prefix, matcher.test(), self.map.search(all), &mut sure, &mut maybe)?;
                }
            },
        }
        if matcher.test().holds("") {
            sure |= self.all() - self.entry(window, &prefix)?;
        }
        if matcher.is_negated() {
            sure = self.all() - sure - &maybe;
        }
        Ok((sure, maybe))
    }

    fn walk<A: fst::Automaton>(
        &self,
        window: &mut Window,
        prefix: &[u8],
        test: &Test,
        search: fst::map::StreamBuilder<'_, A>,
        sure: &mut RoaringBitmap,
        maybe: &mut RoaringBitmap,
    ) -> Result<()> {
        let mut entries = search.gt(prefix).into_stream();
        while let Some((entry, number)) = entries.next() {
            let Some(text) = entry.strip_prefix(prefix) else { break };
            match std::str::from_utf8(text) {
                Ok(text) if test.holds(text) => *sure |= self.series(window, number)?,
                Ok(_) => {}
                Err(_) => *maybe |= self.series(window, number)?,
            }
        }
        Ok(())
    }

    /// The series with a long value of a label.
    fn long(&self, window: &mut Window, prefix: &[u8]) -> Result<RoaringBitmap> {
        let mut found = RoaringBitmap::new();
        let mut entries = self.map.search(LongBehind { prefix }).into_stream();
        while let Some((_, number)) = entries.next() {
            found |= self.series(window, number)?;
        }
        Ok(found)
    }

    fn entry(&self, window: &mut Window, entry: &[u8]) -> Result<RoaringBitmap> {
        self.map.get(entry).map_or_else(|| Ok(RoaringBitmap::new()), |number| self.series(window, number))
    }

    fn series(&self, window: &mut Window, number: u64) -> Result<RoaringBitmap> {
        if number & ONE != 0 {
            return Ok(u32::try_from(number & !ONE).ok().into_iter().collect());
        }
        let at = self.at.saturating_add(number >> LENGTH_BITS);
        let end = at.saturating_add(number & ((1 << LENGTH_BITS) - 1));
        let bytes = window.read(&self.file, at..end)?;
        let malformed = |_| Error::Damaged { path: self.file.path().to_owned(), what: "a posting is malformed".into() };
        RoaringBitmap::deserialize_from(&bytes[..]).map_err(malformed)
    }

    /// Every label, ascending.
    pub(super) fn labels(&self) -> Vec<Label> {
        let mut labels = Vec::new();
        let mut from: Vec<u8> = Vec::new();
        loop {
            let mut entries = self.map.range().ge(&from).into_stream();
            let Some((label, length)) = entries.next().and_then(|(entry, _)| Label::of_prefix(entry)) else { break };
            from = label.prefix();
            debug_assert_eq!(from.len(), length);
            // Behind all values of this label.
            from.extend_from_slice(&[LONG; MOST_TEXT + 2]);
            labels.push(label);
        }
        labels
    }

    /// Gives the values of a label to `each`, ascending; whether these are all: one that is too long is not listed.
    pub(super) fn each_value(&self, label: &Label, each: &mut dyn FnMut(&str)) -> bool {
        let prefix = label.prefix();
        let mut entries = self.map.range().gt(&prefix).into_stream();
        while let Some((entry, _)) = entries.next() {
            let Some(text) = entry.strip_prefix(&prefix[..]) else { break };
            match std::str::from_utf8(text) {
                Ok(text) => each(text),
                Err(_) => return false,
            }
        }
        true
    }
}

/// Accepts a prefix, `MOST_TEXT` bytes and the mark of long values.
struct LongBehind<'a> {
    prefix: &'a [u8],
}

impl fst::Automaton for LongBehind<'_> {
    /// How many bytes were read, as long as they fit.
    type State = Option<usize>;

    fn start(&self) -> Option<usize> {
        Some(0)
    }

    fn is_match(&self, state: &Option<usize>) -> bool {
        *state == Some(self.prefix.len() + MOST_TEXT + 1)
    }

    fn can_match(&self, state: &Option<usize>) -> bool {
        state.is_some()
    }

    fn accept(&self, state: &Option<usize>, byte: u8) -> Option<usize> {
        let read = (*state)?;
        let fits = match read.checked_sub(self.prefix.len()) {
            None => self.prefix.get(read) == Some(&byte),
            Some(MOST_TEXT) => byte == LONG,
            Some(text) => text < MOST_TEXT,
        };
        fits.then_some(read + 1)
    }
}
