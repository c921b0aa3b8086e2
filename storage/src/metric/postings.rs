//! Which series of a head have which labels? Each attribute of points, key and value, once, with the series that have it; and the
//! series of each family.
//!
//! P1  Series are numbered in the order in which they came, so every list ascends.
//! P2  What is proposed are at least the series that match: who asks compares each with all conditions.
//!
//! Not here: blocks, whose lists lie in a file (`block::series::postings`).

use super::label::{Label, text_of};
use super::matcher::{Matcher, Test};
use crate::block::Interner;
use crate::model::attribute::{Map, Value};
use std::borrow::Cow;
use std::collections::HashMap;

/// Some series: most values of what names one thing are had by one.
#[derive(Debug)]
enum Posting {
    One(u32),
    Many(Vec<u32>),
}

impl Posting {
    fn series(&self) -> &[u32] {
        match self {
            Posting::One(series) => std::slice::from_ref(series),
            Posting::Many(series) => series,
        }
    }

    fn push(&mut self, series: u32) {
        match self {
            Posting::One(first) => *self = Posting::Many(vec![*first, series]),
            Posting::Many(list) => list.push(series),
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Posting::One(_) => 0,
            Posting::Many(list) => list.capacity() * size_of::<u32>(),
        }
    }
}

/// The labels of a head's series.
#[derive(Debug, Default)]
pub(super) struct Postings {
    /// Key and value as they stand in a map of attributes, numbered.
    entries: Interner,
    /// The series that have each of them.
    series: Vec<Posting>,
    /// The numbers of those with a key.
    by_key: HashMap<Box<str>, Vec<u32>, foldhash::fast::RandomState>,
    /// The series of each family.
    families: Vec<Vec<u32>>,
    bytes: usize,
}

impl Postings {
    /// A series that is new has a family and attributes.
    pub(super) fn add(&mut self, series: u32, family: u32, attributes: &[u8]) {
        let family = family as usize;
        if self.families.len() <= family {
            self.families.resize_with(family + 1, Vec::new);
        }
        if let Some(own) = self.families.get_mut(family) {
            let before = own.capacity();
            own.push(series);
            self.bytes += (own.capacity() - before) * size_of::<u32>();
        }
        for entry in Map::new(attributes).raw_entries() {
            let number = self.entries.intern(entry.entry);
            match self.series.get_mut(number as usize) {
                Some(posting) => {
                    let before = posting.memory_bytes();
                    posting.push(series);
                    self.bytes += posting.memory_bytes() - before;
                }
                None => {
                    self.series.push(Posting::One(series));
                    self.list(entry.key, number);
                }
            }
        }
    }

    /// Takes note of a new value of a key.
    fn list(&mut self, key: &[u8], number: u32) {
        // A key that is no text has no label.
        let Ok(key) = std::str::from_utf8(key) else { return };
        if !self.by_key.contains_key(key) {
            self.by_key.insert(key.into(), Vec::new());
        }
        if let Some(numbers) = self.by_key.get_mut(key) {
            numbers.push(number);
        }
    }

    /// Bytes of memory.
    pub(super) fn memory_bytes(&self) -> usize {
        let keys: usize = self.by_key.iter().map(|(key, numbers)| key.len() + numbers.capacity() * 4 + 48).sum();
        self.entries.memory_bytes()
            + self.series.capacity() * size_of::<Posting>()
            + self.families.capacity() * size_of::<Vec<u32>>()
            + keys
            + self.bytes
    }

    /// Every key of an attribute of points.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.by_key.keys().map(|key| &**key)
    }

    /// The values of a key in the order in which they came, from one of them on; of two types they may be one text.
    pub(super) fn values(&self, key: &str, from: usize) -> impl Iterator<Item = Cow<'_, str>> {
        let numbers = self.of_key(key).get(from..).unwrap_or_default();
        numbers.iter().map(|number| self.text(*number).unwrap_or_default())
    }

    fn of_key(&self, key: &str) -> &[u32] {
        self.by_key.get(key).map_or(&[], Vec::as_slice)
    }

    fn text(&self, entry: u32) -> Option<Cow<'_, str>> {
        let entry = Map::new(self.entries.get(entry)).raw_entries().next()?;
        Value::parse(entry.value).map(text_of)
    }

    /// Series among which are all that match some conditions, ascending; `None` where that would be all. `admitted` are the families
    /// that match.
    pub(super) fn proposed(&self, of_points: &[&Matcher], admitted: &[bool]) -> Option<Vec<u32>> {
        let families = admitted.iter().zip(&self.families).filter(|(admitted, _)| **admitted);
        let of_families = families.clone().map(|(_, series)| series.len()).sum::<usize>();
        let all: usize = self.families.iter().map(Vec::len).sum();
        // Those of the shortest lists; a list of patterns costs a look at every value of the key.
        let mut best: Option<(usize, Vec<u32>)> = None;
        let mut least = of_families;
        for matcher in of_points {
            let Label::Point(key) = matcher.label() else { continue };
            if matcher.accepts("") {
                continue;
            }
            let values = self.of_key(key);
            let is_pattern = !matches!(matcher.test(), Test::Equal(_));
            if is_pattern && values.len() >= least {
                continue;
            }
            let accepted = values.iter().filter(|value| self.text(**value).is_some_and(|text| matcher.accepts(&text)));
            let accepted: Vec<u32> = accepted.copied().collect();
            let count = self.lists(&accepted).map(<[u32]>::len).sum::<usize>();
            if count <= least {
                least = count;
                best = Some((count, accepted));
            }
        }
        let lists: Vec<&[u32]> = match &best {
            Some((_, accepted)) => self.lists(accepted).collect(),
            None if of_families == all => return None,
            None => families.map(|(_, series)| series.as_slice()).collect(),
        };
        let mut proposed = lists.concat();
        if lists.len() > 1 {
            proposed.sort_unstable();
            proposed.dedup();
        }
        Some(proposed)
    }

    fn lists<'a>(&'a self, entries: &'a [u32]) -> impl Iterator<Item = &'a [u32]> {
        entries.iter().filter_map(|entry| self.series.get(*entry as usize)).map(Posting::series)
    }
}
