//! How does the store ask a query whether it may collect more for it? In bytes, before they are held.
//!
//! - The clock, a cancellation and the memory of the query are asked at every step of [`STEP`] bytes.
//! - What was refused is the query's answer: the store then gives nothing.

use super::control::{Control, Held};
use crate::error::{Error, Result};
use storage::engine::SeriesScan;
use storage::metric::{Read, Samples, Series};

/// Memory is charged in such steps, where there is so much.
const STEP: usize = 64 * 1024;

/// What a query holds of what is collected for it.
#[derive(Debug)]
pub(super) struct Room<'c> {
    control: &'c Control,
    held: Held<'c>,
    /// Bytes that were asked for last.
    asked: usize,
    refusal: Option<Error>,
}

impl<'c> Room<'c> {
    pub(super) fn new(control: &'c Control) -> Result<Self> {
        control.check()?;
        Ok(Room { control, held: control.hold(0)?, asked: 0, refusal: None })
    }

    /// Whether so many bytes in all may be held.
    pub(super) fn admits(&mut self, bytes: usize) -> bool {
        if self.refusal.is_some() {
            return false;
        }
        self.asked = bytes;
        if !self.held.covers(bytes) {
            self.refusal = self.control.check().and_then(|()| self.held.grow(bytes, STEP)).err();
        }
        self.refusal.is_none()
    }

    /// What is held in the end, if nothing was refused.
    pub(super) fn held(self) -> Result<Held<'c>> {
        let Room { mut held, asked, refusal, .. } = self;
        held.shrink(asked);
        refusal.map_or(Ok(held), Err)
    }
}

/// The series that match, to be read one by one. Those that are left count as memory of the query.
#[derive(Debug)]
pub struct FoundSeries<'c> {
    pub(super) scan: SeriesScan,
    pub(super) held: Held<'c>,
}

impl FoundSeries<'_> {
    /// As [`SeriesScan::next_doubles`].
    pub fn next_doubles(&mut self) -> Option<Result<(Series, Read)>> {
        let next = self.scan.next_doubles();
        self.held.shrink(self.scan.memory_bytes());
        Some(next?.map_err(Error::from))
    }
}

impl Iterator for FoundSeries<'_> {
    type Item = Result<(Series, Samples)>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.scan.next();
        self.held.shrink(self.scan.memory_bytes());
        Some(next?.map_err(Error::from))
    }
}
