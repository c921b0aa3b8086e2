//! Which granules does the index propose for a question?
//!
//! Q1  A needle lies within a text, so only its inner tokens are whole there. The first may be the end of a longer one, the
//!     last the beginning, and one alone may lie in the middle of one. Whole ones are looked up, beginnings are found by
//!     their place in the order; for ends and middles all terms are looked at, and only where that is cheaper than reading
//!     what is left.
//! Q2  An id is known by its pieces. A part of one that is long enough to hold a whole piece wherever the pieces begin is
//!     found by trying all beginnings; of a shorter one all granules with ids are proposed.

use super::build::{Mode, fingerprint};
use super::file::{Field, Segment, TermIndex};
use super::granules::Granules;
use super::token::{self, PIECE, Run, STRIDE, Token};
use crate::error::Result;

/// Looking through a chunk of terms costs so many times less than reading a granule's rows.
const CHUNKS_PER_GRANULE: usize = 3;
/// A shorter part of a word says nothing.
const SHORTEST_PART: usize = 2;

/// What must be in a text, as far as the index is asked. It may ask for less than a search does, never for more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextQuery {
    /// Any text.
    All,
    /// Texts that satisfy all of them.
    And(Vec<TextQuery>),
    /// Texts that satisfy one of them; none does where there is none.
    Or(Vec<TextQuery>),
    /// Texts that hold a needle, whatever the case of its letters.
    Text {
        /// The needle.
        needle: String,
        /// What comes before it.
        left: Edge,
        /// What comes after it.
        right: Edge,
    },
}

/// What may come before or after a needle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// Anything.
    Open,
    /// No letter or digit.
    Closed,
}

impl TextQuery {
    /// Texts that hold a needle anywhere.
    pub fn substring(needle: &str) -> Self {
        TextQuery::Text { needle: needle.to_owned(), left: Edge::Open, right: Edge::Open }
    }

    /// Texts that hold words, whole and in this order.
    pub fn words(words: &str) -> Self {
        TextQuery::Text { needle: words.to_owned(), left: Edge::Closed, right: Edge::Closed }
    }

    /// Texts that hold a word with this beginning.
    pub fn prefix(prefix: &str) -> Self {
        TextQuery::Text { needle: prefix.to_owned(), left: Edge::Closed, right: Edge::Open }
    }

    /// Whether a text may satisfy it: where the needles are, whatever is around them.
    pub(crate) fn admits(&self, text: &str) -> bool {
        match self {
            TextQuery::All => true,
            TextQuery::And(list) => list.iter().all(|part| part.admits(text)),
            TextQuery::Or(list) => list.iter().any(|part| part.admits(text)),
            TextQuery::Text { needle, .. } => token::fold(text).contains(&*token::fold(needle)),
        }
    }
}

/// Tells which of some values will do.
pub(crate) type Select<'a> = dyn Fn(&[&[u8]]) -> Result<Vec<bool>> + 'a;

/// A question for a field, in the forms in which a field can be kept.
pub(crate) struct Ask<'a> {
    /// The value itself, where only one will do.
    pub(crate) exact: Option<&'a [u8]>,
    /// The fingerprints of the values that will do, if they can be told.
    pub(crate) prints: Option<&'a [u64]>,
    /// What must be in the text.
    pub(crate) text: &'a TextQuery,
    /// Which of some values will do.
    pub(crate) select: &'a Select<'a>,
}

impl TermIndex {
    /// The granules that may hold what is asked for in a field.
    pub(crate) fn propose(&self, field: &str, ask: &Ask<'_>) -> Result<Granules> {
        let directory = self.directory()?;
        let mut proposed = Granules::none(directory.granules);
        for segment in &directory.segments {
            let Some(field) = segment.field(field) else {
                proposed.insert_range(segment.granules.clone());
                continue;
            };
            let part = Part { index: self, segment, field, granules: directory.granules };
            proposed.unite(&part.propose(ask)?);
        }
        Ok(proposed)
    }
}

/// A field in a segment.
struct Part<'a> {
    index: &'a TermIndex,
    segment: &'a Segment,
    field: &'a Field,
    granules: usize,
}

impl Part<'_> {
    fn none(&self) -> Granules {
        Granules::none(self.granules)
    }

    fn all(&self) -> Granules {
        let mut all = self.none();
        all.insert_range(self.segment.granules.clone());
        all
    }

    fn listed(&self, list: &[usize]) -> Granules {
        let mut granules = self.none();
        list.iter().for_each(|&granule| granules.insert(granule));
        granules
    }

    fn propose(&self, ask: &Ask<'_>) -> Result<Granules> {
        let mut proposed = match (self.field.mode, ask.prints) {
            (Mode::Values, _) => match ask.exact {
                Some(value) => self.exact(value)?,
                None => self.selected(ask.select)?,
            },
            (Mode::Words, _) => self.text(ask.text)?,
            (Mode::Prints, Some(prints)) => {
                let mut found = self.none();
                prints.iter().try_for_each(|&print| self.add_print(print, &mut found))?;
                found
            }
            (Mode::Prints, None) => self.all(),
        };
        proposed.unite(&self.listed(&self.field.unknown));
        Ok(proposed)
    }

    fn add_print(&self, print: u64, into: &mut Granules) -> Result<()> {
        self.index.add_print(self.field, print, &self.segment.granules, into)
    }

    /// The granules of a term.
    fn exact(&self, term: &[u8]) -> Result<Granules> {
        let mut found = self.none();
        let chunks = &self.field.chunks;
        let after = chunks.partition_point(|chunk| chunk.first.as_slice() <= term);
        let Some(chunk) = after.checked_sub(1).and_then(|at| chunks.get(at)) else { return Ok(found) };
        let terms = self.index.terms(chunk)?;
        let place: Vec<usize> = terms.iter().position(|other| other == term).into_iter().collect();
        self.index.add_granules(&terms, &place, &self.segment.granules, &mut found)?;
        Ok(found)
    }

    fn selected(&self, select: &Select<'_>) -> Result<Granules> {
        let mut found = self.none();
        for chunk in &self.field.chunks {
            let terms = self.index.terms(chunk)?;
            let values: Vec<&[u8]> = terms.iter().collect();
            let selected = select(&values)?;
            let places: Vec<usize> = (0..values.len()).filter(|&place| selected.get(place) == Some(&true)).collect();
            self.index.add_granules(&terms, &places, &self.segment.granules, &mut found)?;
        }
        Ok(found)
    }

    fn text(&self, query: &TextQuery) -> Result<Granules> {
        match query {
            TextQuery::All => Ok(self.all()),
            TextQuery::And(list) => {
                let mut left = self.all();
                for part in list {
                    if left.is_empty() {
                        break;
                    }
                    left.intersect(&self.text(part)?);
                }
                Ok(left)
            }
            TextQuery::Or(list) => {
                let mut found = self.none();
                for part in list {
                    found.unite(&self.text(part)?);
                }
                Ok(found)
            }
            TextQuery::Text { needle, left, right } => self.needle(&parts(&token::fold(needle), *left, *right)),
        }
    }

    /// The granules that hold all parts of a needle.
    fn needle(&self, parts: &[Fragment<'_>]) -> Result<Granules> {
        let mut left = self.all();
        let mut parts: Vec<&Fragment<'_>> = parts.iter().collect();
        parts.sort_by_key(|part| part.effort());
        for part in parts {
            if left.is_empty() {
                break;
            }
            let chunks = self.field.chunks.len();
            let found = match part {
                Fragment::Whole(word) => self.exact(word.as_bytes())?,
                Fragment::WholeId(id) => self.id_from_start(id)?,
                Fragment::TooLong => self.listed(&self.field.long),
                Fragment::Start(start) => self.start(start)?,
                Fragment::End(_) | Fragment::Middle(_) if left.count() * CHUNKS_PER_GRANULE <= chunks => continue,
                Fragment::End(end) => self.anywhere(end, Place::End)?,
                Fragment::Middle(middle) => self.anywhere(middle, Place::Middle)?,
            };
            left.intersect(&found);
        }
        Ok(left)
    }

    /// Granules with ids that begin so: by all whole pieces.
    fn id_from_start(&self, start: &str) -> Result<Granules> {
        let mut left = self.all();
        for piece in token::pieces(start.as_bytes()) {
            let mut found = self.none();
            self.add_print(fingerprint(piece), &mut found)?;
            left.intersect(&found);
        }
        Ok(left)
    }

    /// Granules with words or ids that begin so.
    fn start(&self, start: &str) -> Result<Granules> {
        let bytes = start.as_bytes();
        let mut found = self.listed(&self.field.long);
        if token::is_hex(bytes) {
            found.unite(&match bytes.len() < PIECE {
                true => self.listed(&self.field.ids),
                false => self.id_from_start(start)?,
            });
        }
        let chunks = &self.field.chunks;
        let from = chunks.partition_point(|chunk| chunk.first.as_slice() < bytes).saturating_sub(1);
        let may_have = |first: &[u8]| first < bytes || first.starts_with(bytes);
        for chunk in chunks.iter().skip(from).take_while(|chunk| may_have(&chunk.first)) {
            let terms = self.index.terms(chunk)?;
            let places: Vec<usize> =
                terms.iter().enumerate().filter(|(_, term)| term.starts_with(bytes)).map(|(place, _)| place).collect();
            self.index.add_granules(&terms, &places, &self.segment.granules, &mut found)?;
            if found.are_most() {
                return Ok(self.all());
            }
        }
        Ok(found)
    }

    /// Granules with words or ids that hold or end with a part.
    fn anywhere(&self, part: &str, place: Place) -> Result<Granules> {
        let mut found = self.listed(&self.field.long);
        if token::is_hex(part.as_bytes()) {
            found.unite(&self.id_with(part.as_bytes())?);
        }
        let pattern = match place {
            Place::End => format!("{part}\0"),
            Place::Middle => part.to_owned(),
        };
        for chunk in &self.field.chunks {
            let terms = self.index.terms(chunk)?;
            let text = std::str::from_utf8(terms.bytes()).map_err(|_| self.index.malformed())?;
            let mut places: Vec<usize> = text.match_indices(&pattern).map(|(at, _)| terms.place(at)).collect();
            places.dedup();
            self.index.add_granules(&terms, &places, &self.segment.granules, &mut found)?;
            if found.are_most() {
                return Ok(self.all());
            }
        }
        Ok(found)
    }

    /// Granules with ids that hold a part: by the pieces within it, wherever they begin.
    fn id_with(&self, part: &[u8]) -> Result<Granules> {
        if part.len() < PIECE + STRIDE - 1 {
            return Ok(self.listed(&self.field.ids));
        }
        let mut found = self.none();
        for start in 0..STRIDE {
            let mut left = self.all();
            for piece in token::pieces(part.get(start..).unwrap_or_default()) {
                let mut with_piece = self.none();
                self.add_print(fingerprint(piece), &mut with_piece)?;
                left.intersect(&with_piece);
            }
            found.unite(&left);
        }
        Ok(found)
    }
}

#[derive(Clone, Copy)]
enum Place {
    End,
    Middle,
}

/// What a needle says of the tokens of a text that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fragment<'a> {
    Whole(&'a str),
    WholeId(&'a str),
    TooLong,
    Start(&'a str),
    End(&'a str),
    Middle(&'a str),
}

impl Fragment<'_> {
    /// What comes first: the cheapest, then the longest.
    fn effort(&self) -> (u8, std::cmp::Reverse<usize>) {
        let (class, text) = match self {
            Fragment::Whole(text) | Fragment::WholeId(text) => (0, *text),
            Fragment::TooLong => (0, ""),
            Fragment::Start(text) => (1, *text),
            Fragment::End(text) => (2, *text),
            Fragment::Middle(text) => (3, *text),
        };
        (class, std::cmp::Reverse(text.len()))
    }
}

fn parts(folded: &str, left: Edge, right: Edge) -> Vec<Fragment<'_>> {
    let mut parts = Vec::new();
    for (at, run) in token::runs(folded) {
        let text = match run {
            Run::Ascii(text) | Run::Other(text) => text,
        };
        let open_left = at == 0 && left == Edge::Open;
        let open_right = at + text.len() == folded.len() && right == Edge::Open;
        match run {
            Run::Ascii(text) => {
                let part = match (open_left, open_right) {
                    (false, false) => match token::token(text) {
                        Token::Word(_) => Fragment::Whole(text),
                        Token::Id(_) => Fragment::WholeId(text),
                        Token::TooLong => Fragment::TooLong,
                    },
                    (false, true) => Fragment::Start(text),
                    (true, false) => Fragment::End(text),
                    (true, true) => Fragment::Middle(text),
                };
                let whole = matches!(part, Fragment::Whole(_));
                if whole || text.len() >= SHORTEST_PART {
                    parts.push(part);
                }
            }
            // Neighbours are neighbours wherever the run goes on.
            Run::Other(text) if text.chars().nth(1).is_some() => {
                token::words_of_letters(text, |pair| parts.push(Fragment::Whole(pair)));
            }
            Run::Other(text) if open_left || open_right => parts.push(Fragment::Middle(text)),
            Run::Other(text) => parts.push(Fragment::Whole(text)),
        }
    }
    parts
}
