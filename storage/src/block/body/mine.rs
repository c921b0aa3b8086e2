//! Which kinds of lines are there? Found once, over all lines of a chunk, in bounded memory.
//!
//! Lines of one skeleton (`lex`) are one group. Lines whose skeleton is rare are grouped by how they begin: the rest of
//! them is one word, the *tail*. A group is split by a word where that makes other words the same: so it falls apart into
//! its messages, and names of users do not split it further.
//!
//! M1  The table of skeletons is bounded in number and bytes; when it is full, what was rarest is forgotten. So are the words
//!     that are kept of lines; those of other lines are found again.
//! M2  Equal lines in equal order give equal templates.
//!
//! Not here: how words are kept (`column`).

use super::lex::{CUT, WORD, Word, lex};
use crate::block::interner::IntegerInterner;
use std::collections::HashMap;
use xxhash_rust::xxh3::xxh3_64;

/// Skeletons that are counted at the same time, and their bytes.
const MOST_SKELETONS: usize = 16 * 1024;
const MOST_SKELETON_BYTES: usize = 4 << 20;
/// Groups, and templates of all of them together.
const MOST_GROUPS: usize = 1024;
const MOST_TEMPLATES: usize = 4096;
/// A group has at least so many lines.
const LEAST_LINES: u64 = 4;
/// Words of a line, and of the beginnings that are tried for lines of rare skeletons.
const LIMITS: [usize; 4] = [1024, 12, 6, 3];
/// Words of lines that are kept.
const MOST_WORDS: usize = 1 << 21;
/// Lines that are looked at to find what words a group has, in all and of each group.
const SAMPLE_LINES: usize = 16 * 1024;
const MOST_SAMPLED: usize = 512;
/// A word that has more values in the sample says something of its own.
const MOST_VALUES: usize = 64;
/// Templates are not split into parts of fewer sampled lines.
const LEAST_PART: usize = 4;

/// Literal texts and the words between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    /// One more than slots.
    pub(super) literals: Vec<Vec<u8>>,
    /// Which words the slots are; one past the last is the tail.
    pub(super) slots: Vec<usize>,
}

/// Lines that have one skeleton.
#[derive(Debug)]
struct Group {
    skeleton: Vec<u8>,
    limit: usize,
    lines: u64,
    samples: Vec<u32>,
    root: Node,
    /// Takes every line of the skeleton.
    general: Option<u32>,
}

#[derive(Debug)]
enum Node {
    Split {
        word: usize,
        parts: HashMap<Vec<u8>, Node>,
    },
    Leaf {
        fixed: Vec<(usize, Vec<u8>)>,
        shape: u32,
    },
    /// Nothing is known.
    General,
}

/// The kinds of lines of a chunk.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    groups: Vec<Group>,
    /// Of each line its group.
    group_of: Vec<u32>,
    /// Words of lines, and of each line, as far as they are kept, where they end; by the first of the limits.
    known: Vec<Word>,
    known_ends: Vec<usize>,
    /// Whether the words of one row were too many, and so those after it are not kept.
    is_full: bool,
    pub(super) shapes: Vec<Shape>,
    words: Vec<Word>,
    skeleton: Vec<u8>,
}

const NONE: u32 = u32::MAX;

/// Sampled lines of a group: their words, and per word the numbers of its values line by line.
struct Sample<'a> {
    lines: Vec<Vec<(&'a [u8], bool)>>,
    numbers: Vec<Vec<u32>>,
    distinct: Vec<usize>,
}

impl<'a> Sample<'a> {
    fn new(lines: Vec<Vec<(&'a [u8], bool)>>) -> Self {
        let words = lines.first().map_or(0, Vec::len);
        let (mut numbers, mut distinct) = (Vec::with_capacity(words), Vec::with_capacity(words));
        for word in 0..words {
            let mut values = IntegerInterner::default();
            // Values of equal hashes count as equal. Whether a line has a template's words is looked at again.
            let of_lines =
                lines.iter().filter_map(|line| line.get(word)).map(|(value, _)| values.intern(xxh3_64(value)));
            numbers.push(of_lines.collect());
            distinct.push(values.values().len());
        }
        Sample { lines, numbers, distinct }
    }

    fn words(&self) -> usize {
        self.numbers.len()
    }

    fn value(&self, line: usize, word: usize) -> &'a [u8] {
        self.lines[line][word].0
    }
}

impl Kinds {
    /// Finds the kinds of lines. A line is named by its number; `None` where a row has no text.
    pub(super) fn find<'a>(rows: usize, line: impl Fn(usize) -> Option<&'a [u8]>) -> Kinds {
        let mut kinds = Kinds { group_of: vec![NONE; rows], ..Kinds::default() };
        for limit in LIMITS {
            kinds.group(limit, &line);
        }
        let most = (SAMPLE_LINES / kinds.groups.len().max(1)).clamp(16, MOST_SAMPLED);
        for row in 0..rows {
            if let Some(group) = kinds.groups.get_mut(kinds.group_of[row] as usize) {
                // Spread over all of the chunk, and the more densely the fewer there are.
                let stride = group.lines.div_ceil(most as u64).max(1);
                if group.general.get_or_insert(0).is_multiple_of(u32::try_from(stride).unwrap_or(u32::MAX)) {
                    group.samples.push(u32::try_from(row).unwrap_or(u32::MAX));
                }
                group.general = group.general.map(|seen| seen.wrapping_add(1));
            }
        }
        for number in 0..kinds.groups.len() {
            kinds.split(number, &line);
        }
        kinds
    }

    /// Groups the lines that have none yet by their first words.
    fn group<'a>(&mut self, limit: usize, line: &impl Fn(usize) -> Option<&'a [u8]>) {
        struct Seen {
            number: u32,
            first: usize,
            lines: u64,
            skeleton: Vec<u8>,
        }
        let mut seen: HashMap<u64, Seen> = HashMap::new();
        let mut of_rows = vec![NONE; self.group_of.len()];
        let (mut bytes, mut rare) = (0, 1);
        for ((row, of_row), number) in of_rows.iter_mut().enumerate().zip(0..) {
            let Some(text) = line(row).filter(|_| self.group_of[row] == NONE) else { continue };
            self.skeleton.clear();
            lex(text, limit, &mut self.words, &mut self.skeleton);
            self.keep(row, limit);
            let hash = xxh3_64(&self.skeleton);
            if let Some(seen) = seen.get_mut(&hash) {
                if seen.skeleton == self.skeleton {
                    seen.lines += 1;
                    *of_row = seen.number;
                }
                continue;
            }
            *of_row = number;
            bytes += self.skeleton.len();
            seen.insert(hash, Seen { number, first: row, lines: 1, skeleton: self.skeleton.clone() });
            if seen.len() > MOST_SKELETONS || bytes > MOST_SKELETON_BYTES {
                seen.retain(|_, seen| seen.lines > rare);
                bytes = seen.values().map(|seen| seen.skeleton.len()).sum();
                if seen.len() > MOST_SKELETONS / 2 || bytes > MOST_SKELETON_BYTES / 2 {
                    rare += rare;
                }
            }
        }
        let mut found: Vec<Seen> = seen.into_values().filter(|seen| seen.lines >= LEAST_LINES).collect();
        found.sort_by_key(|seen| (std::cmp::Reverse(seen.lines), seen.first));
        found.truncate(MOST_GROUPS.saturating_sub(self.groups.len()));
        let mut numbers: HashMap<u32, u32> = HashMap::new();
        for seen in found {
            numbers.insert(seen.number, u32::try_from(self.groups.len()).unwrap_or(NONE));
            let Seen { lines, skeleton, .. } = seen;
            self.groups.push(Group { skeleton, limit, lines, samples: Vec::new(), root: Node::General, general: None });
        }
        for (group, number) in self.group_of.iter_mut().zip(of_rows).filter(|(group, _)| **group == NONE) {
            *group = numbers.get(&number).copied().unwrap_or(NONE);
        }
    }

    /// Keeps the words that were found last, those of a row, if they are by the first of the limits.
    fn keep(&mut self, row: usize, limit: usize) {
        if limit != LIMITS[0] {
            return;
        }
        if self.known.len() + self.words.len() > MOST_WORDS {
            self.is_full = true;
        }
        if !self.is_full {
            // Rows without a text have no words.
            self.known_ends.resize(row, self.known.len());
            self.known.extend_from_slice(&self.words);
            self.known_ends.push(self.known.len());
        }
    }

    /// The words that are kept of a row.
    fn known(&self, row: usize) -> Option<&[Word]> {
        let start = row.checked_sub(1).map_or(Some(0), |before| self.known_ends.get(before).copied());
        self.known.get(start?..*self.known_ends.get(row)?)
    }

    /// Finds the messages of a group.
    fn split<'a>(&mut self, number: usize, line: &impl Fn(usize) -> Option<&'a [u8]>) {
        let Some(group) = self.groups.get_mut(number) else { return };
        let samples = std::mem::take(&mut group.samples);
        let (limit, skeleton) = (group.limit, group.skeleton.clone());
        group.general = None;
        let mut rows: Vec<Vec<(&[u8], bool)>> = Vec::with_capacity(samples.len());
        for row in samples {
            let Some(text) = line(row as usize) else { continue };
            self.skeleton.clear();
            lex(text, limit, &mut self.words, &mut self.skeleton);
            if self.skeleton == skeleton {
                rows.push(self.words.iter().map(|word| (word.of(text), word.varies)).collect());
            }
        }
        let sample = Sample::new(rows);
        let varies = |word: &usize| sample.lines.iter().any(|line| line[*word].1);
        let open: Vec<usize> = (0..sample.words()).filter(|word| !varies(word)).collect();
        let all: Vec<usize> = (0..sample.lines.len()).collect();
        let root = self.part(&skeleton, &sample, all, open, Vec::new());
        if let Some(group) = self.groups.get_mut(number) {
            group.root = root;
        }
    }

    /// A template for some sampled lines, or several.
    fn part(
        &mut self,
        skeleton: &[u8],
        sample: &Sample<'_>,
        lines: Vec<usize>,
        open: Vec<usize>,
        mut fixed: Vec<(usize, Vec<u8>)>,
    ) -> Node {
        let Some(&first) = lines.first() else { return Node::General };
        let mut values: Vec<(usize, Vec<u32>)> = Vec::new();
        for word in open {
            let mut distinct: Vec<u32> = Vec::new();
            for &line in &lines {
                let value = sample.numbers[word][line];
                if distinct.len() <= MOST_VALUES && !distinct.contains(&value) {
                    distinct.push(value);
                }
            }
            match distinct.len() {
                1 => fixed.push((word, sample.value(first, word).to_vec())),
                _ => values.push((word, distinct)),
            }
        }
        if self.shapes.len() < MOST_TEMPLATES
            && let Some(word) = best_split(&values, sample, &lines)
        {
            let open: Vec<usize> = values.iter().map(|(word, _)| *word).filter(|&other| other != word).collect();
            let mut parts: Vec<(u32, Vec<usize>)> = Vec::new();
            for line in lines {
                let value = sample.numbers[word][line];
                match parts.iter_mut().find(|(of, _)| *of == value) {
                    Some((_, part)) => part.push(line),
                    None => parts.push((value, vec![line])),
                }
            }
            let mut nodes = HashMap::new();
            for (_, part) in parts.into_iter().filter(|(_, part)| part.len() >= LEAST_PART) {
                let value = sample.value(part[0], word).to_vec();
                let mut fixed = fixed.clone();
                fixed.push((word, value.clone()));
                nodes.insert(value, self.part(skeleton, sample, part, open.clone(), fixed));
            }
            return Node::Split { word, parts: nodes };
        }
        fixed.sort_unstable();
        let shape = self.push(shape(skeleton, sample.words(), &fixed));
        Node::Leaf { fixed, shape }
    }

    fn push(&mut self, shape: Shape) -> u32 {
        self.shapes.push(shape);
        u32::try_from(self.shapes.len() - 1).unwrap_or(NONE)
    }

    /// The kind of a line, and its words in slots; `None` if it is of no kind.
    pub(super) fn take_apart<'a>(&mut self, row: usize, text: &'a [u8], slots: &mut Vec<&'a [u8]>) -> Option<u32> {
        let number = *self.group_of.get(row)? as usize;
        let mut words = std::mem::take(&mut self.words);
        let shape = self.find_words(number, row, text, &mut words).and_then(|()| self.kind(number, text, &words));
        if let Some(shape) = shape.and_then(|shape| self.shapes.get(shape as usize)) {
            let tail = words.last().map_or(0, |word| word.range().end);
            let slot = |&place: &usize| match words.get(place) {
                Some(word) => word.of(text),
                None => text.get(tail..).unwrap_or_default(),
            };
            slots.clear();
            slots.extend(shape.slots.iter().map(slot));
        }
        self.words = words;
        shape
    }

    /// The words of a line as its group has them; `None` if its skeleton is another.
    fn find_words(&mut self, number: usize, row: usize, text: &[u8], words: &mut Vec<Word>) -> Option<()> {
        let group = self.groups.get(number)?;
        if let Some(known) = self.known(row).filter(|_| group.limit == LIMITS[0]) {
            words.clear();
            words.extend_from_slice(known);
            return Some(());
        }
        self.skeleton.clear();
        lex(text, group.limit, words, &mut self.skeleton);
        (self.skeleton == group.skeleton).then_some(())
    }

    /// The kind of a line of a group.
    fn kind(&mut self, number: usize, text: &[u8], words: &[Word]) -> Option<u32> {
        let group = self.groups.get(number)?;
        let word = |place: usize| words.get(place).map(|word| word.of(text));
        let mut node = &group.root;
        while let Node::Split { word: by, parts } = node {
            node = word(*by).and_then(|word| parts.get(word)).unwrap_or(&Node::General);
        }
        let found = match node {
            Node::Leaf { fixed, shape } => {
                fixed.iter().all(|(place, text)| word(*place) == Some(text.as_slice())).then_some(*shape)
            }
            _ => None,
        };
        if let Some(found) = found.or(group.general) {
            return Some(found);
        }
        let general = shape(&group.skeleton, words.len(), &[]);
        let found = self.push(general);
        self.groups.get_mut(number)?.general = Some(found);
        Some(found)
    }
}

/// The word by which lines fall apart best, if they should.
fn best_split(values: &[(usize, Vec<u32>)], sample: &Sample<'_>, lines: &[usize]) -> Option<usize> {
    /// Candidates that are tried.
    const TRIED: usize = 8;
    /// Few words such as levels and verbs are told apart even if they are the only ones that differ.
    const FEW: usize = 3;
    let most = MOST_VALUES.min(lines.len() / LEAST_PART);
    let mut candidates: Vec<&(usize, Vec<u32>)> =
        values.iter().filter(|(_, distinct)| distinct.len() <= most).collect();
    candidates.sort_by_key(|(word, distinct)| (distinct.len(), *word));
    let mut best: Option<(usize, usize)> = None;
    for (word, distinct) in candidates.into_iter().take(TRIED) {
        let mut place = vec![0usize; sample.distinct[*word]];
        (0..).zip(distinct).for_each(|(at, &value)| place[value as usize] = at);
        let mut count = vec![0usize; distinct.len()];
        let of_lines: Vec<usize> = lines.iter().map(|&line| place[sample.numbers[*word][line] as usize]).collect();
        of_lines.iter().for_each(|&at| count[at] += 1);
        let mut settled = 0;
        for (other, _) in values.iter().filter(|(other, _)| other != word) {
            // Per value of the word what the other one is, as long as it is one.
            let mut of_value = vec![NONE; distinct.len()];
            let mut single = vec![true; distinct.len()];
            for (&line, &at) in lines.iter().zip(&of_lines) {
                let value = sample.numbers[*other][line];
                single[at] &= of_value[at] == NONE || of_value[at] == value;
                of_value[at] = value;
            }
            settled += single.iter().zip(&count).filter(|(single, _)| **single).map(|(_, count)| count).sum::<usize>();
        }
        let gain = if distinct.len() <= FEW { settled.max(1) + lines.len() } else { settled };
        if gain * 2 >= lines.len() && best.is_none_or(|(most, _)| gain > most) {
            best = Some((gain, *word));
        }
    }
    best.map(|(_, word)| word)
}

/// A skeleton with some words in their places.
fn shape(skeleton: &[u8], words: usize, fixed: &[(usize, Vec<u8>)]) -> Shape {
    let mut shape = Shape { literals: vec![Vec::new()], slots: Vec::new() };
    let mut place = 0;
    for &byte in skeleton {
        let slot = match byte {
            WORD => {
                place += 1;
                let word = fixed.iter().find(|(of, _)| *of + 1 == place);
                if let (Some((_, word)), Some(last)) = (word, shape.literals.last_mut()) {
                    last.extend_from_slice(word);
                    continue;
                }
                place - 1
            }
            CUT => words,
            other => {
                shape.literals.last_mut().into_iter().for_each(|last| last.push(other));
                continue;
            }
        };
        shape.slots.push(slot);
        shape.literals.push(Vec::new());
    }
    shape
}
