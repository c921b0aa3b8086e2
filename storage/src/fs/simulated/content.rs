//! Which bytes of a file are there, and which would be after power loss?

use super::Loss;
use rand::RngExt;
use rand_pcg::Pcg64;
use std::io::{self, ErrorKind};
use std::ops::Range;

/// A file's bytes. Every place is written once: writers only append.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    /// What survives.
    durable: Vec<u8>,
    /// What a reader sees.
    current: Vec<u8>,
    /// Which parts of `current` were written since the last sync, each by one write.
    pending: Vec<Range<usize>>,
}

impl Content {
    pub(super) fn durable(bytes: &[u8]) -> Self {
        Content { durable: bytes.to_vec(), current: bytes.to_vec(), pending: Vec::new() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.current
    }

    pub(super) fn bytes_len(&self) -> u64 {
        self.current.len() as u64
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        if !bytes.is_empty() {
            put(&mut self.current, offset, bytes);
            self.pending.push(offset..offset + bytes.len());
        }
    }

    pub(super) fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = self.current.get(start..start.saturating_add(buf.len())).ok_or(ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn sync(&mut self) {
        for range in std::mem::take(&mut self.pending) {
            self.keep(range);
        }
    }

    /// A sync that reports an error: what was pending is still pending; or it counts as clean although only some of it
    /// was written, as Linux has it.
    pub(super) fn fail_sync(&mut self, rng: &mut Pcg64) {
        if rng.random_bool(0.5) {
            return;
        }
        for range in std::mem::take(&mut self.pending) {
            if rng.random_bool(0.5) {
                self.keep(range);
            }
        }
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.truncate_current(len);
        self.pending.clear();
        self.durable.clone_from(&self.current);
    }

    /// Truncates for readers, and only until power is lost.
    pub(super) fn truncate_current(&mut self, len: usize) {
        self.current.resize(len, 0);
        self.pending.retain_mut(|range| {
            range.end = range.end.min(len);
            range.start < range.end
        });
    }

    /// Changes stored bytes behind everybody's back.
    pub(super) fn damage(&mut self, offset: usize, change: impl Fn(&mut u8)) {
        for bytes in [&mut self.durable, &mut self.current] {
            if let Some(byte) = bytes.get_mut(offset) {
                change(byte);
            }
        }
    }

    pub(super) fn crash(&mut self, rng: &mut Pcg64, loss: Loss) {
        if loss == Loss::None {
            return; // what is pending still is
        }
        for range in std::mem::take(&mut self.pending) {
            if loss == Loss::Some {
                self.crash_write(rng, range);
            }
        }
        self.current.clone_from(&self.durable);
    }

    fn crash_write(&mut self, rng: &mut Pcg64, range: Range<usize>) {
        match rng.random_range(0..6_u8) {
            0 | 1 => self.keep(range),
            2 => {}
            3 => {
                let end = rng.random_range(range.clone());
                self.keep(range.start..end);
            }
            // The length reached the disk and the bytes did not, or not all: zeros or what lay there before.
            4 => {
                let end = rng.random_range(range.clone());
                put(&mut self.durable, end, &vec![0; range.end - end]);
                self.keep(range.start..end);
            }
            _ => {
                let stale: Vec<u8> = range.clone().map(|_| rng.random()).collect();
                put(&mut self.durable, range.start, &stale);
            }
        }
    }

    fn keep(&mut self, range: Range<usize>) {
        if let Some(bytes) = self.current.get(range.clone())
            && !bytes.is_empty()
        {
            put(&mut self.durable, range.start, bytes);
        }
    }
}

fn put(target: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if target.len() < end {
        target.resize(end, 0);
    }
    if let Some(place) = target.get_mut(offset..end) {
        place.copy_from_slice(bytes);
    }
}
