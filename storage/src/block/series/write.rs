//! How does a block of series come to be? Series by series, in ascending order.
//!
//! W1, W2 of `block::write` hold here too.

use super::columns::{ColumnWriter, name_of};
use super::postings::PostingsBuilder;
use super::stream::Out;
use super::table::{Entry, GROUP, put_group};
use super::{INDEX, MAGIC, SAMPLES};
use crate::block::checked::CheckedWriter;
use crate::block::meta::{BlockMeta, ColumnBytes, META, Summary};
use crate::block::{BlockConfig, Interner};
use crate::error::{Error, Result};
use crate::fs::Filesystem;
use crate::metric::{
    Head, HeadReader, REACH, Resolution, Samples, Series, Strays, labels_of_resource, labels_of_scope, labels_of_series,
};
use crate::model::record::{put_bytes, put_varint};
use crate::model::{Batch, Signal};
use roaring::RoaringBitmap;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// More services than this are not listed in a block's meta.
const MOST_SERVICES: usize = 256;

/// Writes rows as a block of series. Of rows of one series and time the last stays (N2).
pub(in crate::block) fn write_batches(
    fs: &dyn Filesystem,
    dir: &Path,
    batches: &[Batch],
    config: &BlockConfig,
) -> Result<BlockMeta> {
    let mut head = Head::default();
    batches.iter().try_for_each(|batch| head.insert(batch))?;
    let mut reader = HeadReader::new(&Arc::new(Mutex::new(head)));
    write_head(fs, dir, &mut reader, |_| true, config)
}

/// Writes those samples of a head whose times are wanted.
pub(crate) fn write_head(
    fs: &dyn Filesystem,
    dir: &Path,
    head: &mut HeadReader,
    mut wanted: impl FnMut(i64) -> bool,
    config: &BlockConfig,
) -> Result<BlockMeta> {
    let mut writer = SeriesWriter::create(fs, dir, config)?;
    head.for_each(|series, samples| {
        if samples.times.iter().all(|&time| wanted(time)) {
            return writer.put(series, &samples);
        }
        let rows: Vec<usize> =
            samples.times.iter().enumerate().filter(|(_, time)| wanted(**time)).map(|(row, _)| row).collect();
        writer.put(series, &samples.take(&rows))
    })?;
    writer.finish(fs)
}

/// A block of series in the making.
#[derive(Debug)]
pub(crate) struct SeriesWriter {
    dir: PathBuf,
    zstd_level: i32,
    resolution: Resolution,
    columns: ColumnWriter,
    dictionaries: [Interner; 7],
    /// The series of each resource and scope.
    of_resource: Vec<RoaringBitmap>,
    of_scope: Vec<RoaringBitmap>,
    postings: PostingsBuilder,
    open: Vec<Entry>,
    groups: Vec<Group>,
    series: u32,
    rows: u64,
    time: Option<(i64, i64)>,
    strays: Option<Strays>,
    services: BTreeSet<Arc<str>>,
    /// The series that was put last, and its last time.
    last: Option<(Series, i64)>,
}

/// A group of series, compressed.
#[derive(Debug)]
struct Group {
    frame: Vec<u8>,
    raw: usize,
    min_time: i64,
    max_time: i64,
}

impl SeriesWriter {
    /// A block in a directory that exists and is empty.
    pub(crate) fn create(fs: &dyn Filesystem, dir: &Path, config: &BlockConfig) -> Result<Self> {
        let out = Out { file: CheckedWriter::create(fs, dir, SAMPLES)?, len: 0 };
        Ok(SeriesWriter {
            dir: dir.to_owned(),
            zstd_level: config.zstd_level,
            resolution: Resolution::RAW,
            columns: ColumnWriter::new(out, config.pco_level, config.zstd_level),
            dictionaries: Default::default(),
            of_resource: Vec::new(),
            of_scope: Vec::new(),
            postings: PostingsBuilder::default(),
            open: Vec::new(),
            groups: Vec::new(),
            series: 0,
            rows: 0,
            time: None,
            strays: None,
            services: BTreeSet::new(),
            last: None,
        })
    }

    /// The same block, of samples that stand for others.
    pub(crate) fn of_resolution(self, resolution: Resolution) -> Self {
        SeriesWriter { resolution, ..self }
    }

    /// Adds a series, which comes behind all that were added, with samples of ascending times. Without samples it is left out.
    /// A series with very many samples may be added in several parts, one after the other in time.
    pub(crate) fn put(&mut self, series: &Series, samples: &Samples) -> Result<()> {
        debug_assert!(samples.times.is_sorted_by(|a, b| a < b), "N2, N3");
        let (Some(&min_time), Some(&max_time)) = (samples.times.first(), samples.times.last()) else { return Ok(()) };
        let last = self.last.as_ref();
        debug_assert!(
            last.is_none_or(|(last, end)| (last, *end) < (series, min_time)),
            "series ascend, and their parts"
        );
        if last.is_some_and(|(last, _)| last.name != series.name) {
            self.columns.part()?;
        }
        let reach = REACH.saturating_add(self.resolution.milliseconds().saturating_mul(1_000_000));
        for (row, time) in samples.times.iter().enumerate() {
            Strays::note(&mut self.strays, *time, samples.exemplars(row), reach);
        }
        let number = self.series;
        let times = self.columns.put_times(samples)?;
        let numbers = self.columns.put_numbers(samples)?;
        let cells = self.columns.put_cells(samples)?;
        let parts = self.number_parts(series);
        let [.., resource, scope] = parts;
        posting(&mut self.of_resource, resource).insert(number);
        posting(&mut self.of_scope, scope).insert(number);
        self.postings.add_one(&labels_of_series(series), number);
        self.open.push(Entry {
            parts,
            r#type: series.r#type,
            temporality: series.temporality,
            is_monotonic: series.is_monotonic,
            attributes: series.attributes.to_vec(),
            rows: samples.len() as u64,
            min_time,
            max_time,
            times,
            numbers,
            cells,
        });
        if self.open.len() == GROUP {
            self.close_group()?;
        }
        self.series =
            number.checked_add(1).ok_or_else(|| Error::Request { what: "too many series for a block".into() })?;
        self.rows += samples.len() as u64;
        self.time = Some(self.time.map_or((min_time, max_time), |(min, max)| (min.min(min_time), max.max(max_time))));
        if self.services.len() <= MOST_SERVICES {
            self.services.insert(Arc::clone(&series.service_name));
        }
        self.last = Some((series.clone(), max_time));
        Ok(())
    }

    fn number_parts(&mut self, series: &Series) -> [u32; 7] {
        let [name, service, unit, description, metadata, resource, scope] = &mut self.dictionaries;
        [
            name.intern(series.name.as_bytes()),
            service.intern(series.service_name.as_bytes()),
            unit.intern(series.unit.as_bytes()),
            description.intern(series.description.as_bytes()),
            metadata.intern(&series.metadata),
            resource.intern(&series.resource),
            scope.intern(&series.scope),
        ]
    }

    fn close_group(&mut self) -> Result<()> {
        let entries = std::mem::take(&mut self.open);
        let (Some(min_time), Some(max_time)) =
            (entries.iter().map(|entry| entry.min_time).min(), entries.iter().map(|entry| entry.max_time).max())
        else {
            return Ok(());
        };
        let raw = put_group(&entries);
        let frame = compress(&raw, self.zstd_level, &self.dir)?;
        self.groups.push(Group { frame, raw: raw.len(), min_time, max_time });
        Ok(())
    }

    /// The labels of all series and their postings.
    fn finish_labels(&mut self) -> Result<(Vec<u8>, Vec<u8>)> {
        for (resource, series) in self.of_resource.iter().enumerate() {
            let cell = self.dictionaries[5].get(u32::try_from(resource).unwrap_or(u32::MAX));
            self.postings.add(&labels_of_resource(cell), series);
        }
        for (scope, series) in self.of_scope.iter().enumerate() {
            let cell = self.dictionaries[6].get(u32::try_from(scope).unwrap_or(u32::MAX));
            self.postings.add(&labels_of_scope(cell), series);
        }
        let failed = Error::io("index the labels of", &self.dir);
        std::mem::take(&mut self.postings).finish().map_err(failed)
    }

    /// How many samples were put.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// How many bytes of samples were written.
    pub(crate) fn bytes(&self) -> u64 {
        self.columns.out.len
    }

    /// Makes the block durable. Fails if it has no series.
    pub(crate) fn finish(mut self, fs: &dyn Filesystem) -> Result<BlockMeta> {
        self.close_group()?;
        let Some(time) = self.time else {
            return Err(Error::Request { what: "a block holds at least one row".into() });
        };
        let (map, postings) = self.finish_labels()?;
        let ColumnWriter { mut out, streams, blobs, cells, .. } = self.columns;
        let mut columns = Vec::new();
        let mut places = Vec::new();
        let mut told = |name: &str, (compressed, raw): (u64, u64)| {
            if raw > 0 {
                columns.push(ColumnBytes { name: name.to_owned(), compressed, raw });
            }
        };
        for (stream, writer) in streams.into_iter().enumerate() {
            told(name_of(stream), writer.finish(&mut out, &mut places)?);
        }
        told("cells", blobs.finish(&mut out, self.zstd_level, &mut places)?);
        let samples = out.file.finish()?;

        let mut directory = Vec::new();
        let mut body = Vec::new();
        let mut dictionaries = 0;
        put_varint(&mut directory, self.series.into());
        for dictionary in self.dictionaries.iter().chain([&cells]) {
            let mut raw = Vec::new();
            dictionary.iter().for_each(|value| put_bytes(&mut raw, value));
            dictionaries += raw.len() as u64;
            put_frame(&mut directory, &mut body, &raw, &compress(&raw, self.zstd_level, &self.dir)?);
        }
        told("series.dictionaries", (body.len() as u64, dictionaries));
        put_frame(&mut directory, &mut body, &places, &compress(&places, self.zstd_level, &self.dir)?);
        let groups_at = body.len();
        put_varint(&mut directory, self.groups.len() as u64);
        for group in &self.groups {
            put_varint(&mut directory, group.raw as u64);
            put_varint(&mut directory, group.frame.len() as u64);
            put_varint(&mut directory, group.min_time.cast_unsigned());
            put_varint(&mut directory, group.max_time.cast_unsigned());
            body.extend_from_slice(&group.frame);
        }
        let raw: usize = self.groups.iter().map(|group| group.raw).sum();
        told("series.table", ((body.len() - groups_at) as u64, raw as u64));
        put_varint(&mut directory, map.len() as u64);
        put_varint(&mut directory, postings.len() as u64);
        told("series.labels", (map.len() as u64, map.len() as u64));
        told("series.postings", (postings.len() as u64, postings.len() as u64));

        let mut index = Out { file: CheckedWriter::create(fs, &self.dir, INDEX)?, len: 0 };
        index.put(MAGIC)?;
        index.put(&(directory.len() as u64).to_le_bytes())?;
        for part in [&directory, &body, &map, &postings] {
            index.put(part)?;
        }
        let index = index.file.finish()?;
        let services = (self.services.len() <= MOST_SERVICES)
            .then(|| self.services.iter().map(|service| service.to_string()).collect());
        let summary = Summary {
            signal: Signal::Metrics,
            rows: self.rows,
            time,
            files: vec![samples, index],
            columns,
            traces: None,
            traces_apart: None,
            services,
            rest_keys: None,
            resolution: self.resolution,
            strays: self.strays,
            shapes: Vec::new(),
        };
        let path = self.dir.join(META);
        let (meta, bytes) = BlockMeta::encode(summary, &path)?;
        let mut file = fs.create(&path).map_err(Error::io("create", &path))?;
        file.write_all(&bytes).map_err(Error::io("write", &path))?;
        file.sync().map_err(Error::io("sync", &path))?;
        fs.sync_dir(&self.dir).map_err(Error::io("sync", &self.dir))?;
        Ok(meta)
    }
}

fn posting(of: &mut Vec<RoaringBitmap>, number: u32) -> &mut RoaringBitmap {
    let place = number as usize;
    if of.len() <= place {
        of.resize_with(place + 1, RoaringBitmap::new);
    }
    &mut of[place]
}

fn compress(raw: &[u8], level: i32, dir: &Path) -> Result<Vec<u8>> {
    zstd::bulk::compress(raw, level).map_err(Error::io("compress the series of", dir))
}

fn put_frame(directory: &mut Vec<u8>, body: &mut Vec<u8>, raw: &[u8], frame: &[u8]) {
    put_varint(directory, raw.len() as u64);
    put_varint(directory, frame.len() as u64);
    body.extend_from_slice(frame);
}
