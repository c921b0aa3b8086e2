//! How do cells that no column of numbers holds lie on disk? One after the other, in Zstandard frames.

use super::stream::{Out, Window};
use crate::block::checked::CheckedFile;
use crate::error::{Error, Result};
use crate::model::record::{put_varint, take_varint};
use std::ops::Range;
use std::sync::Arc;

/// A frame ends behind the cells that fill it so far; a larger cell is a frame of its own.
const FRAME_BYTES: usize = 64 * 1024;

/// Cells in the making.
#[derive(Debug, Default)]
pub(super) struct BlobWriter {
    open: Vec<u8>,
    len: u64,
    /// Bytes of each frame before and after compression, and where it lies.
    frames: Vec<(u64, u64, u64)>,
}

impl BlobWriter {
    /// Appends cells; the place of the first byte.
    pub(super) fn put(&mut self, out: &mut Out, cells: &[&[u8]], level: i32) -> Result<u64> {
        let at = self.len;
        for cell in cells {
            if !self.open.is_empty() && self.open.len() + cell.len() > FRAME_BYTES {
                self.close(out, level)?;
            }
            self.open.extend_from_slice(cell);
            self.len += cell.len() as u64;
        }
        Ok(at)
    }

    fn close(&mut self, out: &mut Out, level: i32) -> Result<()> {
        let raw = std::mem::take(&mut self.open);
        if raw.is_empty() {
            return Ok(());
        }
        let frame = zstd::bulk::compress(&raw, level).map_err(Error::io("compress cells for", out.file.path()))?;
        let at = out.put(&frame)?;
        self.frames.push((raw.len() as u64, frame.len() as u64, at));
        Ok(())
    }

    /// Ends the last frame and appends the directory. Bytes in the file, and before compression.
    pub(super) fn finish(mut self, out: &mut Out, level: i32, directory: &mut Vec<u8>) -> Result<(u64, u64)> {
        self.close(out, level)?;
        put_varint(directory, self.frames.len() as u64);
        for &(raw, bytes, at) in &self.frames {
            put_varint(directory, raw);
            put_varint(directory, bytes);
            put_varint(directory, at);
        }
        Ok((self.frames.iter().map(|(_, bytes, _)| bytes).sum(), self.len))
    }
}

/// Where the frames lie.
#[derive(Debug, Default)]
pub(super) struct Blobs {
    /// Place of the first byte, length before compression, place in the file.
    frames: Vec<(u64, u64, Range<u64>)>,
    len: u64,
}

impl Blobs {
    /// Reads a directory; `None` when it is malformed.
    pub(super) fn take(input: &mut &[u8]) -> Option<Self> {
        let mut blobs = Blobs::default();
        for _ in 0..take_varint(input)? {
            let (raw, bytes, at) = (take_varint(input)?, take_varint(input)?, take_varint(input)?);
            blobs.frames.push((blobs.len, raw, at..at.checked_add(bytes)?));
            blobs.len = blobs.len.checked_add(raw)?;
        }
        Some(blobs)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.frames.capacity() * 32
    }

    pub(super) fn lies_in(&self, bytes: &Range<u64>) -> bool {
        self.frames.iter().any(|(_, _, range)| range.start < bytes.end && range.end > bytes.start)
    }
}

/// Reads cells; the frame that was decoded last is kept.
#[derive(Debug, Default)]
pub(super) struct BlobReader {
    window: Window,
    frame: Option<(usize, Vec<u8>)>,
}

impl BlobReader {
    /// The bytes at some places.
    pub(super) fn read(&mut self, file: &Arc<CheckedFile>, blobs: &Blobs, places: Range<u64>) -> Result<Vec<u8>> {
        let damaged = |what: &str| Error::Damaged { path: file.path().to_owned(), what: what.into() };
        if places.end > blobs.len || places.start > places.end {
            return Err(damaged("a series refers to cells that are not there"));
        }
        let mut bytes = Vec::new();
        let mut at = places.start;
        let mut number = blobs.frames.partition_point(|(first, _, _)| *first <= at).saturating_sub(1);
        while at < places.end {
            let (first, raw, range) = blobs.frames.get(number).ok_or_else(|| damaged("a frame is missing"))?;
            if self.frame.as_ref().is_none_or(|(had, _)| *had != number) {
                self.frame = None;
                let compressed = self.window.read(file, range.clone())?;
                let capacity = usize::try_from(*raw).map_err(|_| damaged("a frame is too large"))?;
                let frame = crate::zstandard::unpack(&compressed, capacity)
                    .map_err(|_| damaged("a frame of cells cannot be decompressed"))?;
                self.frame = Some((number, frame));
            }
            let frame = self.frame.as_ref().map_or(&[][..], |(_, frame)| frame);
            let place = |at: u64| usize::try_from(at.saturating_sub(*first)).unwrap_or(usize::MAX).min(frame.len());
            let some = frame.get(place(at)..place(places.end)).unwrap_or_default();
            if some.is_empty() {
                return Err(damaged("a frame of cells is too short"));
            }
            bytes.extend_from_slice(some);
            at += some.len() as u64;
            number += 1;
        }
        Ok(bytes)
    }
}
