//! What is known of a block without opening its data? The file `meta`.
//!
//! ```text
//! spanlight-block 2 <CRC-32C of the JSON, 8 hex digits> <length of the JSON>\n
//! <JSON>
//! ```
//!
//! and that a second time (`doubled`); version 1 held it once.
//!
//! X1  The manifest holds the CRC-32C of the JSON, so `meta` vouches for every other byte of the block.
//! X2  What damages one of the two is told by `verify` and costs no reader anything.

use crate::doubled::{doubled, frames, is_doubled};
use crate::error::{Error, Result};
use crate::metric::{Resolution, Strays};
use crate::model::Signal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::path::Path;

/// Name of the file.
pub(crate) const META: &str = "meta";
const MAGIC: &str = "spanlight-block";
const VERSION: u32 = 3;
/// The version that holds its content once.
const SINGLE: u32 = 1;
/// The header line is shorter than this.
const HEADER_MAX: usize = 64;

/// What is known of a block without opening its data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlockMeta {
    signal: String,
    /// How many rows.
    pub rows: u64,
    /// Earliest time of a row.
    pub min_time: i64,
    /// Latest time of a row.
    pub max_time: i64,
    /// The files, without this one.
    pub files: Vec<FileMeta>,
    /// Bytes by stored column. What is left of `data.parquet` is its footer and page indexes.
    pub columns: Vec<ColumnBytes>,
    /// How many traces have rows here; `None` for signals without.
    pub traces: Option<u64>,
    /// How many of the traces do not lie together in one row group, for spans.
    pub traces_apart: Option<u64>,
    /// Every service that has rows here; `None` when there are too many to list.
    pub services: Option<Vec<String>>,
    /// Every key in the rest column of attributes, the one of keys without a column of their own; `None` when there are
    /// too many to list.
    pub rest_keys: Option<Vec<String>>,
    /// Whether all samples are there, or those that stand for others, for metrics.
    #[serde(default, skip_serializing_if = "Resolution::is_raw")]
    pub resolution: Resolution,
    /// Exemplars that are far from their points, for metrics. Blocks of earlier versions do not tell theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strays: Option<Strays>,
    /// The columns that each shape column stands for.
    pub(super) shapes: Vec<Vec<String>>,
    #[serde(skip)]
    encoded: (u64, u32),
}

/// What a block vouches for of one of its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMeta {
    /// Name within the block's directory.
    pub name: String,
    /// Length in bytes.
    pub len: u64,
    /// Checksum of the whole.
    pub crc32c: u32,
    /// Checksum of each 16 KiB.
    #[serde(serialize_with = "put_hex", deserialize_with = "take_hex")]
    pub granules: Vec<u32>,
}

/// What a stored column takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnBytes {
    /// Name in `data.parquet`.
    pub name: String,
    /// Bytes in the file.
    pub compressed: u64,
    /// Bytes of its pages before compression.
    pub raw: u64,
}

/// What the writer tells of a block.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) signal: Signal,
    pub(super) rows: u64,
    pub(super) time: (i64, i64),
    pub(super) files: Vec<FileMeta>,
    pub(super) columns: Vec<ColumnBytes>,
    pub(super) traces: Option<u64>,
    pub(super) traces_apart: Option<u64>,
    pub(super) services: Option<Vec<String>>,
    pub(super) rest_keys: Option<Vec<String>>,
    pub(super) resolution: Resolution,
    pub(super) strays: Option<Strays>,
    pub(super) shapes: Vec<Vec<String>>,
}

impl BlockMeta {
    /// The meta of a new block and its file.
    pub(super) fn encode(summary: Summary, path: &Path) -> Result<(Self, Vec<u8>)> {
        let mut meta = BlockMeta {
            signal: summary.signal.as_str().to_owned(),
            rows: summary.rows,
            min_time: summary.time.0,
            max_time: summary.time.1,
            files: summary.files,
            columns: summary.columns,
            traces: summary.traces,
            traces_apart: summary.traces_apart,
            services: summary.services,
            rest_keys: summary.rest_keys,
            resolution: summary.resolution,
            strays: summary.strays,
            shapes: summary.shapes,
            encoded: (0, 0),
        };
        let json =
            serde_json::to_vec(&meta).map_err(|error| Error::io("encode", path)(std::io::Error::other(error)))?;
        let crc = crc32c::crc32c(&json);
        let mut file = format!("{MAGIC} {VERSION} {crc:08x} {}\n", json.len()).into_bytes();
        file.extend_from_slice(&json);
        let file = doubled(file);
        meta.encoded = (file.len() as u64, crc);
        Ok((meta, file))
    }

    /// Reads a file that the manifest knows by its checksum, from whichever of its frames is whole.
    pub(super) fn decode(file: &[u8], expected_crc: u32, signal: Signal, path: &Path) -> Result<Self> {
        let read = |frame| Self::decode_frame(frame, expected_crc, signal, path);
        let [whole, rest @ ..] = frames(file);
        let mut meta = read(whole).or_else(|error| rest.into_iter().find_map(|frame| read(frame).ok()).ok_or(error))?;
        meta.encoded.0 = file.len() as u64;
        Ok(meta)
    }

    /// Whether nothing of a file that can be read is damaged.
    pub(super) fn check_whole(file: &[u8], path: &Path) -> Result<()> {
        let single = format!("{MAGIC} {SINGLE} ");
        if file.starts_with(single.as_bytes()) || is_doubled(file) {
            return Ok(());
        }
        Err(Error::Damaged { path: path.to_owned(), what: "one of the two copies of its content differs".into() })
    }

    fn decode_frame(file: &[u8], expected_crc: u32, signal: Signal, path: &Path) -> Result<Self> {
        let damaged = |what: String| Error::Damaged { path: path.to_owned(), what };
        let header_len = file.iter().take(HEADER_MAX).position(|&byte| byte == b'\n');
        let (header, json) = header_len
            .and_then(|at| Some((std::str::from_utf8(file.get(..at)?).ok()?, file.get(at + 1..)?)))
            .ok_or_else(|| damaged("it has no header line".into()))?;
        let fields: Vec<&str> = header.split(' ').collect();
        let &[MAGIC, version, crc, len] = fields.as_slice() else {
            return Err(damaged("its header line is not that of a block".into()));
        };
        let version: u32 = version.parse().map_err(|_| damaged("its header line has no version".into()))?;
        if !(SINGLE..=VERSION).contains(&version) {
            return Err(Error::Version { path: path.to_owned(), found: version, known: VERSION });
        }
        let found = crc32c::crc32c(json);
        if found != expected_crc || u32::from_str_radix(crc, 16) != Ok(found) || len.parse() != Ok(json.len()) {
            return Err(damaged(format!("its content has checksum {found:08x} instead of {expected_crc:08x}")));
        }
        let mut meta: BlockMeta =
            serde_json::from_slice(json).map_err(|error| damaged(format!("its content is malformed: {error}")))?;
        if meta.signal != signal.as_str() {
            return Err(damaged(format!("it holds {} instead of {signal}", meta.signal)));
        }
        meta.encoded = (file.len() as u64, found);
        Ok(meta)
    }

    /// Checksum of this file's content, for the manifest.
    pub fn crc(&self) -> u32 {
        self.encoded.1
    }

    /// Bytes of all files, this one too.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.len).sum::<u64>() + self.encoded.0
    }

    /// Whether a service may have rows here.
    pub fn may_hold_service(&self, service: &str) -> bool {
        self.services.as_ref().is_none_or(|services| services.iter().any(|name| name == service))
    }

    pub(super) fn file(&self, name: &str) -> Option<&FileMeta> {
        self.files.iter().find(|file| file.name == name)
    }
}

fn put_hex<S: Serializer>(granules: &[u32], serializer: S) -> Result<S::Ok, S::Error> {
    let hex: String = granules.iter().map(|crc| format!("{crc:08x}")).collect();
    serializer.serialize_str(&hex)
}

fn take_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u32>, D::Error> {
    let hex = String::deserialize(deserializer)?;
    let malformed = || serde::de::Error::custom("checksums are not groups of 8 hex digits");
    hex.as_bytes()
        .chunks(8)
        .map(|digits| {
            let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.len() == 8);
            digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or_else(malformed)
        })
        .collect()
}
