//! Which are the first of what is found, in any order, some of it several times?

use crate::error::Result;
use crate::exec::Control;
use std::collections::BTreeSet;

/// The first so many of what is found, each once. What they take counts, also after they are given away.
pub(crate) struct First<'c, T> {
    control: &'c Control,
    most: usize,
    bytes: fn(&T) -> usize,
    pub(crate) found: BTreeSet<T>,
}

impl<'c, T: Ord> First<'c, T> {
    /// `bytes` says what one takes.
    pub(crate) fn new(control: &'c Control, most: usize, bytes: fn(&T) -> usize) -> Self {
        First { control, most, bytes, found: BTreeSet::new() }
    }

    /// Whether it would not be one of them.
    fn is_behind<Q: Ord + ?Sized>(&self, item: &Q) -> bool
    where
        T: std::borrow::Borrow<Q>,
    {
        self.found.len() >= self.most && self.found.last().is_none_or(|last| last.borrow() < item)
    }

    /// Adds one, if it is among the first so many.
    pub(crate) fn add(&mut self, item: T) -> Result<()> {
        if self.is_behind(&item) || self.found.contains(&item) {
            return Ok(());
        }
        if self.found.len() < self.most {
            self.control.collect(1)?;
        } else if let Some(last) = self.found.pop_last() {
            self.control.release((self.bytes)(&last));
        }
        self.control.charge((self.bytes)(&item))?;
        self.found.insert(item);
        Ok(())
    }
}

impl<'c> First<'c, String> {
    pub(crate) fn texts(control: &'c Control, most: usize) -> Self {
        First::new(control, most, |text| text_bytes(text))
    }

    /// Adds a text, if it is not empty.
    pub(crate) fn add_text(&mut self, text: &str) -> Result<()> {
        if text.is_empty() || self.is_behind(text) || self.found.contains(text) {
            Ok(())
        } else {
            self.add(text.to_owned())
        }
    }
}

/// What a text takes in a set.
pub(crate) fn text_bytes(text: &str) -> usize {
    text.len() + 64
}
