//! Which spans did the endpoint promise to keep? A file of them, for durability tests.
//!
//! Format: one record of 25 bytes per span: trace id (16), span id (8), and 1 if its request was sent more than once.
//!
//! Invariants
//! - K1: records of a request are written, and handed to the operating system, after it was acknowledged and before the
//!   run goes on; a client that is killed leaves at most a torn last record, which the reader ignores.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::{OnAck, SpanKey};

const RECORD: usize = 25;

/// A file of acknowledged spans.
#[derive(Debug)]
pub struct AckFile {
    file: Mutex<(File, Option<io::Error>)>,
}

impl AckFile {
    /// Creates or truncates the file.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: Mutex::new((File::create(path)?, None)) })
    }

    /// A callback for `Observer::acknowledged`.
    pub fn callback(self: std::sync::Arc<Self>) -> OnAck {
        Box::new(move |spans, retried| self.append(spans, retried))
    }

    fn append(&self, spans: &[SpanKey], retried: bool) {
        let mut records = Vec::with_capacity(spans.len() * RECORD);
        for (trace, span) in spans {
            records.extend_from_slice(trace);
            records.extend_from_slice(span);
            records.push(u8::from(retried));
        }
        let mut guard = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, failure) = &mut *guard;
        if failure.is_none()
            && let Err(error) = file.write_all(&records)
        {
            *failure = Some(error);
        }
    }

    /// The first error of writing, if there was one: then the file is not complete.
    pub fn take_error(&self) -> Option<io::Error> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).1.take()
    }
}

/// Reads such a file: spans, and whether their request was sent more than once.
pub fn read_ack_file(path: &Path) -> io::Result<Vec<(SpanKey, bool)>> {
    let bytes = std::fs::read(path)?;
    let mut spans = Vec::with_capacity(bytes.len() / RECORD);
    let mut rest = bytes.as_slice();
    while let Some((trace, after)) = rest.split_first_chunk::<16>()
        && let Some((span, after)) = after.split_first_chunk::<8>()
        && let Some((retried, after)) = after.split_first()
    {
        spans.push(((*trace, *span), *retried != 0));
        rest = after;
    }
    Ok(spans)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn k1_what_was_written_is_read_and_a_torn_record_is_ignored() {
        let path = std::env::temp_dir().join(format!("spanlight-ack-{}", std::process::id()));
        let file = Arc::new(AckFile::create(&path).unwrap());
        let callback = Arc::clone(&file).callback();
        let spans = [([1; 16], [2; 8]), ([3; 16], [4; 8])];
        callback(&spans, false);
        callback(&spans[..1], true);
        assert!(file.take_error().is_none());
        let expected = vec![(spans[0], false), (spans[1], false), (spans[0], true)];
        assert_eq!(read_ack_file(&path).unwrap(), expected);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        assert_eq!(read_ack_file(&path).unwrap(), expected[..2]);
        std::fs::remove_file(&path).unwrap();
    }
}
