//! What can be said of all lines of a template, without looking at them?
//!
//! A1  `All` and `None` are true of every line; in doubt the answer is `Ask`.

use crate::model::record::{put_bytes, put_varint, take_bytes, take_varint};
use crate::scan::Condition;

/// A text is not sought among more ways to read it: looking at the lines is not dearer then.
const MOST_STEPS: usize = 1 << 20;

/// The bytes that occur in the words of a slot, a bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ByteSet([u64; 4]);

impl ByteSet {
    /// The bytes of some words.
    pub(super) fn of<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut seen = [false; 256];
        words.into_iter().flatten().for_each(|&byte| seen[usize::from(byte)] = true);
        let mut set = ByteSet::default();
        for (bits, seen) in set.0.iter_mut().zip(seen.chunks(64)) {
            *bits = seen.iter().rev().fold(0, |bits, &seen| bits << 1 | u64::from(seen));
        }
        set
    }

    /// Takes the bytes of another in.
    pub(super) fn join(&mut self, other: ByteSet) {
        self.0.iter_mut().zip(other.0).for_each(|(bits, others)| *bits |= others);
    }

    fn has(self, byte: u8) -> bool {
        self.0.get(usize::from(byte >> 6)).is_some_and(|bits| bits >> (byte & 63) & 1 == 1)
    }

    fn is_ascii(self) -> bool {
        self.0[2] == 0 && self.0[3] == 0
    }
}

/// The statement of a program that wrote log lines: literal texts, and slots between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// How many lines of the file it wrote, exactly.
    pub lines: u64,
    pub(super) literals: Vec<Vec<u8>>,
    pub(super) sets: Vec<ByteSet>,
}

/// What a condition finds in all lines of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    All,
    None,
    Ask,
}

enum Place {
    Literal(u8),
    Slot(ByteSet),
}

impl Template {
    /// The template as text, `<_>` for what varies.
    pub fn text(&self) -> String {
        let literals: Vec<_> = self.literals.iter().map(|literal| String::from_utf8_lossy(literal)).collect();
        literals.join("<_>")
    }

    /// Bytes of memory, about.
    pub(super) fn bytes(&self) -> usize {
        let literals = self.literals.iter().map(|literal| literal.len() + size_of::<Vec<u8>>());
        literals.sum::<usize>() + self.sets.len() * size_of::<ByteSet>()
    }

    pub(super) fn verdict(&self, condition: &Condition<'_>) -> Verdict {
        if let Condition::Exists = condition {
            return Verdict::All;
        }
        if let Some(text) = condition.equal_text() {
            return if self.may_match(text.as_bytes(), true, true) { Verdict::Ask } else { Verdict::None };
        }
        let Some((needle, case_sensitive)) = condition.needle() else { return Verdict::Ask };
        let ascii =
            self.literals.iter().all(|literal| literal.is_ascii()) && self.sets.iter().all(|set| set.is_ascii());
        if !case_sensitive && !ascii {
            // Case folds across bytes, and by what is around.
            return Verdict::Ask;
        }
        let same = |a: &u8, b: &u8| a == b || (!case_sensitive && a.eq_ignore_ascii_case(b));
        let needle = needle.as_bytes();
        let within = |literal: &Vec<u8>| {
            literal.windows(needle.len().max(1)).any(|window| window.iter().zip(needle).all(|(a, b)| same(a, b)))
        };
        if needle.is_empty() || self.literals.iter().any(within) {
            return Verdict::All;
        }
        if self.may_match(needle, false, case_sensitive) { Verdict::Ask } else { Verdict::None }
    }

    /// Whether a line may be, or hold, a text: by walking all ways to read it at once.
    fn may_match(&self, text: &[u8], whole: bool, case_sensitive: bool) -> bool {
        let mut places = Vec::new();
        for (number, literal) in self.literals.iter().enumerate() {
            places.extend(literal.iter().map(|&byte| Place::Literal(byte)));
            places.extend(self.sets.get(number).map(|&set| Place::Slot(set)));
        }
        if places.len().saturating_mul(text.len()) > MOST_STEPS {
            return true;
        }
        let mut states = vec![!whole; places.len() + 1];
        if let Some(start) = states.first_mut() {
            *start = true;
        }
        skip_slots(&places, &mut states);
        for &byte in text {
            let mut next = vec![false; states.len()];
            for (at, place) in places.iter().enumerate().filter(|(at, _)| states.get(*at) == Some(&true)) {
                let to = match place {
                    Place::Literal(other) => {
                        let same = *other == byte || (!case_sensitive && other.eq_ignore_ascii_case(&byte));
                        same.then_some(at + 1)
                    }
                    Place::Slot(set) => {
                        let folded = !case_sensitive
                            && (set.has(byte.to_ascii_lowercase()) || set.has(byte.to_ascii_uppercase()));
                        (set.has(byte) || folded).then_some(at)
                    }
                };
                if let Some(next) = to.and_then(|to| next.get_mut(to)) {
                    *next = true;
                }
            }
            skip_slots(&places, &mut next);
            states = next;
        }
        if whole { states.last() == Some(&true) } else { states.contains(&true) }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.lines);
        put_varint(out, self.sets.len() as u64);
        let mut literals = self.literals.iter();
        literals.next().into_iter().for_each(|literal| put_bytes(out, literal));
        for (set, literal) in self.sets.iter().zip(literals) {
            set.0.iter().for_each(|bits| out.extend_from_slice(&bits.to_le_bytes()));
            put_bytes(out, literal);
        }
    }

    pub(super) fn take(input: &mut &[u8]) -> Option<Template> {
        let lines = take_varint(input)?;
        let slots = take_varint(input)?;
        let mut template = Template { lines, literals: vec![take_bytes(input)?.to_vec()], sets: Vec::new() };
        for _ in 0..slots {
            let mut set = ByteSet::default();
            for bits in &mut set.0 {
                let (bytes, rest) = input.split_first_chunk()?;
                *input = rest;
                *bits = u64::from_le_bytes(*bytes);
            }
            template.sets.push(set);
            template.literals.push(take_bytes(input)?.to_vec());
        }
        Some(template)
    }
}

/// A slot may be empty, and ends anywhere.
fn skip_slots(places: &[Place], states: &mut [bool]) {
    for (at, place) in places.iter().enumerate() {
        if matches!(place, Place::Slot(_)) && states.get(at) == Some(&true) {
            states.get_mut(at + 1).into_iter().for_each(|next| *next = true);
        }
    }
}
