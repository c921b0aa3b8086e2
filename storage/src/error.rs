//! What can go wrong in the store, and whose fault is it?

use crate::fs::is_unreadable;
use crate::model::Signal;
use std::path::PathBuf;

/// Whose fault an error is. The doors map it to their own codes, in one place each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The request is malformed.
    Caller,
    /// The request goes past a limit.
    Limit,
    /// Not now; the same request may succeed later.
    Unavailable,
    /// Stored data is damaged.
    Corrupt,
    /// A defect of Spanlight.
    Bug,
}

/// A result of the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the store. Paths are for operators; the doors show callers the class and a safe message.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("failed to {action} {path}")]
    Io {
        /// What we were doing.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A stored file does not hold what it should.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, and where.
        what: String,
    },
    /// A file of a format version that this program does not know.
    #[error("{path} has format version {found}; this program reads {known}")]
    Version {
        /// Which file.
        path: PathBuf,
        /// The version found.
        found: u32,
        /// The newest version known.
        known: u32,
    },
    /// Another process has the data directory open.
    #[error("{path} is in use by another process")]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// A data directory and an object store do not belong together.
    #[error("{path} is not the data directory of this store: {what}")]
    Place {
        /// The data directory.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// Somebody else has committed this manifest version.
    #[error("manifest version {version} exists already")]
    Conflict {
        /// The version.
        version: u64,
    },
    /// Writes are refused for now.
    #[error("writes are refused: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// What was read of a source does not join what was read of it before.
    #[error("{name} has been read up to {position:?}, and what is to be taken begins at {from}")]
    Disjoint {
        /// Which source.
        name: String,
        /// Up to where it has been read, if it has.
        position: Option<u64>,
        /// Where the range begins.
        from: u64,
    },
    /// The engine is shutting down.
    #[error("the store is closing")]
    Closing,
    /// This process shows what others write.
    #[error("this server only shows what others write; send it to one of those")]
    ReadOnly,
    /// A scan was asked for a column that its table does not have, or compares values of different types.
    #[error("{what}")]
    Request {
        /// What is wrong.
        what: String,
    },
    /// A WAL record that was accepted cannot be decoded any more.
    #[error("failed to decode a {signal} record of the write-ahead log: {what}")]
    Replay {
        /// Whose record.
        signal: Signal,
        /// Why.
        what: String,
    },
    /// Arrow refused columns that we made.
    #[error("failed to {action}")]
    Columns {
        /// What we were doing.
        action: &'static str,
        /// Why it failed.
        source: arrow_schema::ArrowError,
    },
    /// Parquet refused a file.
    #[error("failed to {action} {path}")]
    Parquet {
        /// What we were doing.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: parquet::errors::ParquetError,
    },
}

impl Error {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            Error::Request { .. } | Error::ReadOnly => Class::Caller,
            Error::Io { .. }
            | Error::InUse { .. }
            | Error::Place { .. }
            | Error::Conflict { .. }
            | Error::Refused { .. }
            | Error::Disjoint { .. }
            | Error::Closing => Class::Unavailable,
            Error::Damaged { .. } | Error::Version { .. } | Error::Replay { .. } | Error::Parquet { .. } => {
                Class::Corrupt
            }
            Error::Columns { .. } => Class::Bug,
        }
    }

    /// As `io`, of something that is read: where the medium does not give it any more, that is damage.
    pub(crate) fn read(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| match is_unreadable(&source) {
            true => Error::Damaged { path, what: format!("the disk failed to {action} it: {source}") },
            false => Error::Io { action, path, source },
        }
    }

    /// Names the action and the path of an IO error; for `map_err`.
    pub fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { action, path, source }
    }
}
