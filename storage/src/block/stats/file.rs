//! How is the file written and read?

use super::super::checked::{CheckedFile, CheckedWriter};
use super::super::meta::FileMeta;
use super::super::{BlockConfig, STATS};
use super::granule::GranuleBuilder;
use super::{GranuleStats, GroupRows, MAGIC, note_attributes};
use crate::error::{Error, Result};
use crate::fs::Filesystem;
use crate::model::Signal;
use crate::model::record::{put_bytes, put_varint, take_bytes, take_varint};
use crate::scan::{FacetLimits, Facets, ValueType, Wanted};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// What is kept of attributes: more values of a key are better read than kept.
const LIMITS: FacetLimits = FacetLimits { keys: 1024, values: 128, bytes: 256 << 10 };
/// Four lengths and the magic.
const FOOTER: u64 = 24;
/// What a part takes when it is unpacked, at most.
const MOST_PART: usize = 512 << 20;

/// The file in the making.
#[derive(Debug)]
pub(in super::super) struct StatsWriter {
    granules: GranuleBuilder,
    facets: Facets,
    zstd_level: i32,
}

impl StatsWriter {
    /// Of a block of spans or logs.
    pub(in super::super) fn new(signal: Signal, config: &BlockConfig) -> Self {
        let facets = Facets::new(Wanted::All, LIMITS);
        StatsWriter { granules: GranuleBuilder::new(signal), facets, zstd_level: config.zstd_level }
    }

    /// Notes a row group.
    pub(in super::super) fn put_group(&mut self, group: &GroupRows<'_>) -> Result<()> {
        note_attributes(&mut self.facets, group.columns.0, group.columns.1);
        self.granules.note_group(group)
    }

    /// Writes the file, unless it would be larger than a reader takes.
    pub(in super::super) fn finish(self, fs: &dyn Filesystem, dir: &Path) -> Result<Option<FileMeta>> {
        let parts = [self.granules.finish(), put_facets(&self.facets)];
        if parts.iter().any(|part| part.len() > MOST_PART) {
            return Ok(None);
        }
        let mut file = CheckedWriter::create(fs, dir, STATS)?;
        let mut lengths = Vec::new();
        for part in parts {
            let packed = zstd::bulk::compress(&part, self.zstd_level).map_err(Error::io("compress", file.path()))?;
            for length in [packed.len(), part.len()] {
                // Zstandard adds little to what it cannot make smaller.
                lengths.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
            }
            file.write_all(&packed).map_err(Error::io("write", file.path()))?;
        }
        lengths.extend_from_slice(MAGIC);
        file.write_all(&lengths).map_err(Error::io("write", file.path()))?;
        file.finish().map(Some)
    }
}

pub(super) fn put_facets(facets: &Facets) -> Vec<u8> {
    let mut out = Vec::new();
    let (keys, complete) = facets.known();
    out.push(complete.into());
    put_varint(&mut out, keys as u64);
    facets.for_each(|kept, values| {
        out.extend_from_slice(&[kept.scope, kept.r#type as u8]);
        put_bytes(&mut out, kept.key);
        put_varint(&mut out, kept.rows);
        put_varint(&mut out, values.as_ref().map_or(0, |values| values.len() as u64 + 1));
        for (value, rows) in values.into_iter().flatten() {
            put_bytes(&mut out, value);
            put_varint(&mut out, rows);
        }
    });
    out
}

/// The statistics of a block, of which nothing is read before it is asked for.
#[derive(Debug)]
pub(in super::super) struct Stats {
    file: Arc<CheckedFile>,
    signal: Signal,
    granules: OnceLock<GranuleStats>,
}

/// What a block knows of its attributes.
#[derive(Debug, Default)]
pub(in super::super) struct FacetStats {
    /// Whether these are all keys.
    pub(in super::super) complete: bool,
    pub(in super::super) facets: Vec<FacetStat>,
}

/// A key, its rows, and its values with theirs, where they are listed.
#[derive(Debug)]
pub(in super::super) struct FacetStat {
    pub(in super::super) scope: u8,
    pub(in super::super) r#type: ValueType,
    pub(in super::super) key: Vec<u8>,
    pub(in super::super) rows: u64,
    pub(in super::super) values: Option<Vec<(Vec<u8>, u64)>>,
}

impl Stats {
    /// The statistics in a file.
    pub(in super::super) fn new(file: Arc<CheckedFile>, signal: Signal) -> Self {
        Stats { file, signal, granules: OnceLock::new() }
    }

    /// Bytes of memory: none before granules are first asked for.
    pub(in super::super) fn memory_bytes(&self) -> usize {
        self.granules.get().map_or(0, GranuleStats::memory_bytes)
    }

    pub(in super::super) fn malformed(&self) -> Error {
        Error::Damaged { path: self.file.path().to_owned(), what: "its content is malformed".into() }
    }

    /// What is known of the granules; read at the first call.
    pub(in super::super) fn granules(&self) -> Result<&GranuleStats> {
        if let Some(granules) = self.granules.get() {
            return Ok(granules);
        }
        let part = self.part(Part::Granules)?;
        let read = GranuleStats::parse(self.signal, &part).ok_or_else(|| self.malformed())?;
        Ok(self.granules.get_or_init(|| read))
    }

    /// What is known of attributes; read anew at each call.
    pub(in super::super) fn facets(&self) -> Result<FacetStats> {
        take_facets(&self.part(Part::Facets)?).ok_or_else(|| self.malformed())
    }

    fn part(&self, part: Part) -> Result<Vec<u8>> {
        let end = self.file.len().checked_sub(FOOTER).ok_or_else(|| self.malformed())?;
        let footer = self.file.read(end..self.file.len())?;
        let (lengths, magic) = footer.as_chunks::<4>().0.split_at_checked(4).ok_or_else(|| self.malformed())?;
        let &[granules, raw_granules, facets, raw_facets] = lengths else { return Err(self.malformed()) };
        let number = u32::from_le_bytes;
        let split = u64::from(number(granules));
        if magic.as_flattened() != MAGIC || split + u64::from(number(facets)) != end {
            return Err(self.malformed());
        }
        let (range, raw) = match part {
            Part::Granules => (0..split, raw_granules),
            Part::Facets => (split..end, raw_facets),
        };
        let raw = usize::try_from(number(raw)).ok().filter(|&raw| raw <= MOST_PART);
        let raw = raw.ok_or_else(|| self.malformed())?;
        let unpacked = crate::zstandard::unpack(&self.file.read(range)?, raw).map_err(|_| self.malformed())?;
        if unpacked.len() == raw { Ok(unpacked) } else { Err(self.malformed()) }
    }
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Granules,
    Facets,
}

pub(super) fn take_facets(part: &[u8]) -> Option<FacetStats> {
    let (&complete, mut input) = part.split_first()?;
    let mut facets = Vec::new();
    for _ in 0..take_varint(&mut input)? {
        let (&[scope, r#type], rest) = input.split_first_chunk()?;
        input = rest;
        let key = take_bytes(&mut input)?.to_vec();
        let rows = take_varint(&mut input)?;
        let values = match take_varint(&mut input)?.checked_sub(1) {
            None => None,
            Some(count) => {
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push((take_bytes(&mut input)?.to_vec(), take_varint(&mut input)?));
                }
                Some(values)
            }
        };
        facets.push(FacetStat { scope, r#type: ValueType::from_number(r#type)?, key, rows, values });
    }
    input.is_empty().then_some(FacetStats { complete: complete == 1, facets })
}
