//! How is a block opened, and how are some rows of some columns read?
//!
//! R1  Opening reads `meta`, the footer and page indexes of `data.parquet` and the filter of `keys.idx`, and keeps them in
//!     memory; everything else is read by range when it is asked for, and of `terms.idx` and `bodies` the directory and of
//!     `stats.idx` the granules are kept then.
//! R2  A read decodes only the pages that hold wanted rows, of the wanted columns.
//! R3  A damaged index costs time and no row: what it would say is found by a scan, and the block says that it wants to be
//!     written anew; so it does where one of the two copies in `meta` is damaged. Only the places of spans in traces that lie
//!     apart need `keys.idx`.
//!
//! Not here: which rows are wanted (`scan`), what stored columns mean (`restore`).

use super::body::{self, Bodies, Template};
use super::checked::{CheckedFile, Source, from_parquet};
use super::layout::{parse_attribute, stored_type};
use super::meta::{BlockMeta, META};
use super::pages::{self, Pages};
use super::shape::{self, Member};
use super::shred::Kind;
use super::stats::Stats;
use super::{DATA, KEYS, STATS, TERMS};
use crate::error::{Class, Error, Result};
use crate::fs::{Filesystem, Try, read_whole};
use crate::index::TraceIndex;
use crate::index::terms::TermIndex;
use crate::model::schema::{self, column as name};
use crate::model::{Signal, TraceId};
use crate::scan::required;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, RowSelection};
use parquet::arrow::parquet_to_arrow_field_levels;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// More damaged ranges than this are not told one by one.
const MOST_TOLD: usize = 8;

/// A block, open for reading.
#[derive(Debug)]
pub(super) struct Block {
    fs: Arc<dyn Filesystem>,
    dir: PathBuf,
    signal: Signal,
    meta: BlockMeta,
    data: Arc<CheckedFile>,
    keys: Keys,
    keys_file: Option<Arc<CheckedFile>>,
    terms: Option<TermIndex>,
    terms_file: Option<Arc<CheckedFile>>,
    stats: Option<Stats>,
    stats_file: Option<Arc<CheckedFile>>,
    bodies: Option<Bodies>,
    reader: ArrowReaderMetadata,
    /// Which chunks of `data.parquet` are compressed, by row group and column; `reader` says that none is (`pages`).
    packed: Vec<Vec<bool>>,
    /// Stored columns by name: those of the file, then those that shapes stand for.
    leaves: HashMap<String, usize>,
    joined: Vec<JoinedLeaf>,
    attributes: Vec<AttributeLeaf>,
    groups: Vec<Range<usize>>,
    /// What is wrong with a part that answers can do without, once that is known (R3).
    lost: OnceLock<String>,
}

/// What finds the rows of a trace.
#[derive(Debug)]
enum Keys {
    /// The block was opened without.
    None,
    /// `keys.idx`.
    Index(TraceIndex),
    /// `keys.idx` is damaged: any row may be of any trace.
    Lost,
}

/// A column that a shape stands for.
#[derive(Debug, Clone)]
struct JoinedLeaf {
    name: String,
    /// The shape's column in the file.
    shape: usize,
    member: Member,
}

/// A stored column that holds an attribute.
#[derive(Debug, Clone)]
pub(super) struct AttributeLeaf {
    /// The column's name.
    pub(super) name: String,
    pub(super) key: String,
    pub(super) kind: Kind,
    pub(super) leaf: usize,
    /// Whether absence is a null; else it is a value of its own.
    pub(super) nullable: bool,
}

impl Block {
    /// Opens the block in a directory. `meta_crc` is what the manifest knows of it: [`BlockMeta::crc`].
    pub(super) fn open(fs: Arc<dyn Filesystem>, dir: &Path, signal: Signal, meta_crc: u32) -> Result<Arc<Block>> {
        let lost = OnceLock::new();
        let meta = read_meta(&*fs, dir, signal, (meta_crc, &lost))?;
        let index = |name| unless_damaged(open_file(&*fs, dir, &meta, name), &lost).map(Option::flatten);
        let [keys_file, terms_file, stats_file] = [index(KEYS)?, index(TERMS)?, index(STATS)?];
        let keys = match keys_file.clone().map(|file| unless_damaged(TraceIndex::open(file), &lost)).transpose()? {
            Some(Some(keys)) => Keys::Index(keys),
            None if meta.file(KEYS).is_none() => Keys::None,
            _ => Keys::Lost,
        };
        Self::assemble(fs, dir, signal, meta, (keys_file, keys), [terms_file, stats_file], lost)
    }

    /// Opens a block whose indexes may be damaged, to read what is left of its rows. It finds no trace.
    pub(super) fn open_rows(fs: Arc<dyn Filesystem>, dir: &Path, signal: Signal, meta_crc: u32) -> Result<Arc<Block>> {
        let lost = OnceLock::new();
        let meta = read_meta(&*fs, dir, signal, (meta_crc, &lost))?;
        Self::assemble(fs, dir, signal, meta, (None, Keys::None), [None, None], lost)
    }

    fn assemble(
        fs: Arc<dyn Filesystem>,
        dir: &Path,
        signal: Signal,
        meta: BlockMeta,
        (keys_file, keys): (Option<Arc<CheckedFile>>, Keys),
        [terms_file, stats_file]: [Option<Arc<CheckedFile>>; 2],
        lost: OnceLock<String>,
    ) -> Result<Arc<Block>> {
        let terms = terms_file.clone().map(TermIndex::new);
        let stats = stats_file.clone().map(|file| Stats::new(file, signal));
        let missing = || Error::Damaged { path: dir.join(META), what: format!("it does not list {DATA}") };
        let data = open_file(&*fs, dir, &meta, DATA)?.ok_or_else(missing)?;
        let bodies = open_file(&*fs, dir, &meta, body::FILE)?.map(Bodies::new);
        let (reader, packed) = open_data(&data)?;
        let schema = reader.schema().clone();
        let malformed = || Error::Damaged { path: dir.join(META), what: "its shapes are malformed".into() };
        let joined = joined_leaves(&meta, signal, &schema).ok_or_else(malformed)?;
        let stored = schema.fields().iter().map(|field| (field.name(), field.is_nullable()));
        let names = stored.chain(joined.iter().map(|joined| (&joined.name, false))).enumerate();
        let mut leaves = HashMap::new();
        let mut attributes = Vec::new();
        for (leaf, (name, nullable)) in names {
            leaves.insert(name.clone(), leaf);
            if let Some((kind, key)) = parse_attribute(name) {
                attributes.push(AttributeLeaf { key: key.to_owned(), name: name.clone(), kind, leaf, nullable });
            }
        }
        attributes.sort_by(|a, b| (&a.key, a.kind).cmp(&(&b.key, b.kind)));
        let mut groups: Vec<Range<usize>> = Vec::new();
        for group in reader.metadata().row_groups() {
            let start = groups.last().map_or(0, |group| group.end);
            groups.push(start..start + usize::try_from(group.num_rows()).unwrap_or(0));
        }
        let dir = dir.to_owned();
        Ok(Arc::new(Block {
            fs,
            dir,
            signal,
            meta,
            data,
            keys,
            keys_file,
            terms,
            terms_file,
            stats,
            stats_file,
            bodies,
            reader,
            packed,
            leaves,
            joined,
            attributes,
            groups,
            lost,
        }))
    }

    /// What is known of the block.
    pub(super) fn meta(&self) -> &BlockMeta {
        &self.meta
    }

    /// Whose rows it holds.
    pub(super) fn signal(&self) -> Signal {
        self.signal
    }

    /// Bytes of memory that the open block holds.
    pub(super) fn memory_bytes(&self) -> usize {
        let keys = if let Keys::Index(keys) = &self.keys { keys.memory_bytes() } else { 0 };
        let stats = self.stats.as_ref().map_or(0, Stats::memory_bytes);
        let terms = self.terms.as_ref().map_or(0, TermIndex::memory_bytes);
        self.metadata().memory_size() + keys + stats + terms + self.bodies.as_ref().map_or(0, Bodies::memory_bytes)
    }

    /// What wrote the bodies that are kept as templates, with exact numbers of lines.
    pub(super) fn templates(&self) -> Result<&[Template]> {
        self.bodies.as_ref().map_or(Ok(&[]), Bodies::templates)
    }

    /// The bodies of a row group, where they are no column.
    pub(super) fn bodies(&self, group: usize) -> Result<Option<(&Bodies, Range<usize>)>> {
        match self.bodies.as_ref().zip(self.groups.get(group)) {
            Some((bodies, rows)) if bodies.hold(rows)? => Ok(Some((bodies, rows.clone()))),
            _ => Ok(None),
        }
    }

    /// Whether rows of a trace may be here. Memory only; wrong for 0.4 % of the traces that are not.
    pub(super) fn may_hold_trace(&self, trace: &TraceId) -> bool {
        match &self.keys {
            Keys::None => false,
            Keys::Index(keys) => keys.may_hold(trace),
            Keys::Lost => true,
        }
    }

    /// The rows of a trace, in the requested columns. Reads the pages that hold them, found by `keys.idx`.
    pub(super) fn trace(&self, trace: &TraceId, columns: &[&'static str]) -> Result<Vec<RecordBatch>> {
        let mut wanted = columns.to_vec();
        if !wanted.contains(&name::TRACE_ID) {
            wanted.push(name::TRACE_ID);
        }
        let answer: Vec<usize> = (0..columns.len()).collect();
        let mut batches = Vec::new();
        let candidates = self.trace_rows(trace)?;
        for group in 0..self.groups.len() {
            let mask = self.mask_of(group, &candidates);
            if mask.count_set_bits() == 0 {
                continue;
            }
            let batch = self.restore(group, &mask, &wanted)?;
            let ids = required(&batch, name::TRACE_ID)?.as_fixed_size_binary();
            let same = BooleanBuffer::collect_bool(ids.len(), |row| ids.is_valid(row) && ids.value(row) == trace.0);
            let failed = |source| Error::Columns { action: "choose the rows of a trace", source };
            let batch = batch.project(&answer).map_err(failed)?;
            match same.count_set_bits() {
                0 => {}
                all if all == batch.num_rows() => batches.push(batch),
                _ => {
                    let same = BooleanArray::new(same, None);
                    batches.push(arrow_select::filter::filter_record_batch(&batch, &same).map_err(failed)?);
                }
            }
        }
        Ok(batches)
    }

    /// All rows of a row group in all columns of the model; for what is left of a damaged block.
    pub(super) fn row_group(&self, group: usize) -> Result<RecordBatch> {
        let columns: Vec<&'static str> =
            schema::of(self.signal).fields().iter().map(|field| field.name().as_str()).collect();
        self.restore(group, &BooleanBuffer::new_set(self.group_rows(group)), &columns)
    }

    /// How many row groups there are.
    pub(super) fn row_groups(&self) -> usize {
        self.groups.len()
    }

    /// What is wrong with an index, or a copy in `meta`, if a reader found something (R3).
    pub(super) fn lost_part(&self) -> Option<&str> {
        self.lost.get().map(String::as_str)
    }

    /// What was read of an index; `None`, and noted, where that is damaged.
    pub(super) fn unless_lost<T>(&self, read: Result<T>) -> Result<Option<T>> {
        unless_damaged(read, &self.lost)
    }

    /// Compares every checksum of every file. The error names what is damaged: file, bytes, columns.
    pub(super) fn verify(&self) -> Result<()> {
        self.verify_parts()?;
        self.verify_rows()
    }

    /// As `verify`, of what answers cannot do without. What is found of the rest is noted.
    pub(super) fn examine(&self) -> Result<()> {
        read_meta(&*self.fs, &self.dir, self.signal, (self.meta.crc(), &self.lost))?;
        self.unless_lost(self.verify_parts())?;
        self.verify_rows()
    }

    /// Of the parts that answers can do without.
    fn verify_parts(&self) -> Result<()> {
        read_meta(&*self.fs, &self.dir, self.signal, (self.meta.crc(), &self.lost))?;
        if let Some(what) = self.lost_part() {
            return Err(Error::Damaged { path: self.dir.clone(), what: what.to_owned() });
        }
        let files = self.keys_file.iter().chain(&self.terms_file).chain(&self.stats_file);
        verify_files(&files.collect::<Vec<_>>(), |_, _| Vec::new())
    }

    fn verify_rows(&self) -> Result<()> {
        let files = self.bodies.as_ref().map(Bodies::file).into_iter().chain([&self.data]);
        verify_files(&files.collect::<Vec<_>>(), |path, range| self.parts(path, range))
    }

    /// What lies in some bytes of a file.
    fn parts(&self, path: &Path, range: &Range<u64>) -> Vec<String> {
        if let Some(bodies) = self.bodies.as_ref().filter(|bodies| bodies.file().path() == path) {
            // Where the directory is what is damaged, nothing is told.
            let rows = bodies.rows_at(range).unwrap_or_default();
            return rows.iter().map(|rows| format!("bodies of rows {}..{}", rows.start, rows.end)).collect();
        }
        if path != self.data.path() {
            return Vec::new();
        }
        let mut columns = Vec::new();
        for (number, group) in self.metadata().row_groups().iter().enumerate() {
            for column in group.columns() {
                let (start, length) = column.byte_range();
                if start < range.end && start + length > range.start {
                    columns.push(format!("`{}` of row group {number}", column.column_path().string()));
                }
            }
        }
        if columns.is_empty() {
            columns.push("footer or page index".into());
        }
        columns
    }

    pub(super) fn path(&self) -> &Path {
        self.data.path()
    }

    pub(super) fn metadata(&self) -> &Arc<ParquetMetaData> {
        self.reader.metadata()
    }

    /// The index of words and values.
    pub(super) fn terms(&self) -> Option<&TermIndex> {
        self.terms.as_ref()
    }

    /// The statistics of granules and attributes.
    pub(super) fn stats(&self) -> Option<&Stats> {
        self.stats.as_ref()
    }

    /// The rows of each row group.
    pub(super) fn groups(&self) -> &[Range<usize>] {
        &self.groups
    }

    pub(super) fn group_rows(&self, group: usize) -> usize {
        self.groups.get(group).map_or(0, ExactSizeIterator::len)
    }

    /// The place of a stored column.
    pub(super) fn leaf(&self, name: &str) -> Option<usize> {
        self.leaves.get(name).copied()
    }

    pub(super) fn attributes(&self) -> &[AttributeLeaf] {
        &self.attributes
    }

    /// Rows that may be those of a trace, ascending; of 65,000 that are told some one is not.
    pub(super) fn trace_rows(&self, trace: &TraceId) -> Result<Vec<Range<usize>>> {
        let found = match &self.keys {
            Keys::None => return Ok(Vec::new()),
            Keys::Index(keys) => self.unless_lost(keys.find(trace))?,
            Keys::Lost => None,
        };
        Ok(found.unwrap_or_else(|| self.groups.clone()))
    }

    /// What finds the rows of traces, where it is whole.
    pub(super) fn trace_index(&self) -> Option<&TraceIndex> {
        match &self.keys {
            Keys::Index(keys) => Some(keys),
            Keys::None | Keys::Lost => None,
        }
    }

    /// The rows of each trace that does not lie together in one row group; none without an index. Reads `keys.idx` whole.
    pub(super) fn traces_apart(&self) -> Result<Vec<Vec<Range<usize>>>> {
        match &self.keys {
            Keys::None => Ok(Vec::new()),
            Keys::Index(keys) => keys.apart(&self.groups),
            Keys::Lost => {
                let what = self.lost_part().unwrap_or("it is damaged").to_owned();
                Err(Error::Damaged { path: self.dir.join(KEYS), what })
            }
        }
    }

    /// The rows of a row group that lie in ascending ranges of the block's rows.
    pub(super) fn mask_of(&self, group: usize, ranges: &[Range<usize>]) -> BooleanBuffer {
        let rows = self.groups.get(group).cloned().unwrap_or_default();
        let mut mask = BooleanBufferBuilder::new(rows.len());
        for range in ranges {
            let from = range.start.clamp(rows.start, rows.end) - rows.start;
            let to = range.end.clamp(rows.start, rows.end) - rows.start;
            if to > from && from >= mask.len() {
                mask.append_n(from - mask.len(), false);
                mask.append_n(to - from, true);
            }
        }
        mask.append_n(rows.len() - mask.len(), false);
        mask.finish()
    }

    /// The column of the file that holds a stored column.
    pub(super) fn physical(&self, leaf: usize) -> usize {
        self.joined(leaf).map_or(leaf, |joined| joined.shape)
    }

    fn joined(&self, leaf: usize) -> Option<&JoinedLeaf> {
        self.joined.get(leaf.checked_sub(self.reader.schema().fields().len())?)
    }

    /// Some stored columns, ascending and without doubles, of the rows of a row group that are set in `mask`.
    pub(super) fn read(&self, group: usize, leaves: &[usize], mask: &BooleanBuffer) -> Result<RecordBatch> {
        let mut physical: Vec<usize> = leaves.iter().map(|&leaf| self.physical(leaf)).collect();
        physical.sort_unstable();
        physical.dedup();
        let batch = self.read_physical(group, &physical, mask)?;
        if physical == leaves {
            return Ok(batch);
        }
        let array_of = |leaf: usize| physical.binary_search(&leaf).ok().map(|place| batch.column(place));
        let alone = leaves.iter().copied().filter(|&leaf| self.joined(leaf).is_none());
        let mut columns: Vec<(&str, ArrayRef)> = Vec::with_capacity(leaves.len());
        let schema = self.reader.schema();
        columns.extend(alone.filter_map(|leaf| Some((schema.field(leaf).name().as_str(), array_of(leaf)?.clone()))));
        let joined: Vec<&JoinedLeaf> = leaves.iter().filter_map(|&leaf| self.joined(leaf)).collect();
        for members in joined.chunk_by(|a, b| a.shape == b.shape) {
            let wanted: Vec<Member> = members.iter().map(|joined| joined.member.clone()).collect();
            let shapes = members.first().and_then(|joined| array_of(joined.shape));
            let shapes = shapes.and_then(|shapes| shapes.as_dictionary_opt::<Int32Type>());
            let malformed =
                || Error::Damaged { path: self.data.path().to_owned(), what: "a shape is malformed".into() };
            let arrays = shapes.and_then(|shapes| shape::split(shapes, &wanted)).ok_or_else(malformed)?;
            columns.extend(members.iter().map(|joined| joined.name.as_str()).zip(arrays));
        }
        let fields: Vec<Field> =
            columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
        let arrays = columns.into_iter().map(|(_, array)| array).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
            .map_err(|source| Error::Columns { action: "put joined columns together", source })
    }

    fn read_physical(&self, group: usize, leaves: &[usize], mask: &BooleanBuffer) -> Result<RecordBatch> {
        let rows = mask.count_set_bits();
        let failed = || from_parquet("read", self.data.path());
        let mask_of_columns = ProjectionMask::leaves(self.reader.parquet_schema(), leaves.iter().copied());
        let types = Some(self.reader.schema().fields());
        let levels =
            parquet_to_arrow_field_levels(self.reader.parquet_schema(), mask_of_columns, types).map_err(failed())?;
        let ranges: Vec<Range<usize>> = mask.set_slices().map(|(from, to)| from..to).collect();
        let packed = self.packed.get(group).map(Vec::as_slice).unwrap_or_default();
        let pages = Pages::read(&self.data, (self.metadata(), packed), group, leaves, &ranges)?;
        let selection =
            (rows < mask.len()).then(|| RowSelection::from_consecutive_ranges(ranges.into_iter(), mask.len()));
        let reader = ParquetRecordBatchReader::try_new_with_row_groups(&levels, &pages, rows.max(1), selection)
            .map_err(failed())?;
        let schema: SchemaRef = arrow_array::RecordBatchReader::schema(&reader);
        let batches: Vec<RecordBatch> = reader
            .collect::<Result<_, _>>()
            .map_err(|source| from_parquet("read", self.data.path())(unwrap_arrow(source)))?;
        let batch = match <[RecordBatch; 1]>::try_from(batches) {
            Ok([batch]) => batch,
            Err(batches) => arrow_select::concat::concat_batches(&schema, &batches)
                .map_err(|source| Error::Columns { action: "join batches", source })?,
        };
        if batch.num_rows() != rows {
            let what = format!("it gave {} rows instead of {rows}", batch.num_rows());
            return Err(Error::Damaged { path: self.data.path().to_owned(), what });
        }
        Ok(batch)
    }
}

/// Compares every checksum of some files. The error names what is damaged; `parts` says what lies in some bytes of a file.
pub(super) fn verify_files(
    files: &[&Arc<CheckedFile>],
    parts: impl Fn(&Path, &Range<u64>) -> Vec<String>,
) -> Result<()> {
    let mut told = Vec::new();
    for file in files {
        file.verify(|range, what| told.push((file.path(), range, what)))?;
        if let Some((path, ..)) = told.first() {
            let ranges = told.iter().take(MOST_TOLD).map(|(_, range, what)| {
                let parts = parts(path, range);
                if parts.is_empty() { what.clone() } else { format!("{what} ({})", parts.join(", ")) }
            });
            let mut what = ranges.collect::<Vec<_>>().join("; ");
            if told.len() > MOST_TOLD {
                what.push_str(&format!("; and {} more ranges", told.len() - MOST_TOLD));
            }
            return Err(Error::Damaged { path: path.to_path_buf(), what });
        }
    }
    Ok(())
}

/// What was read of a part that answers can do without; `None` where that is damaged, and what is wrong is noted.
fn unless_damaged<T>(read: Result<T>, lost: &OnceLock<String>) -> Result<Option<T>> {
    match read {
        Err(error) if error.class() == Class::Corrupt => {
            if lost.set(error.to_string()).is_ok() {
                tracing::warn!(%error, "an index or a copy of `meta` is damaged; answers do without until the block is written anew");
            }
            Ok(None)
        }
        read => read.map(Some),
    }
}

fn open_file(fs: &dyn Filesystem, dir: &Path, meta: &BlockMeta, name: &str) -> Result<Option<Arc<CheckedFile>>> {
    meta.file(name).map(|file| CheckedFile::open(fs, dir, file).map(Arc::new)).transpose()
}

/// The columns that shapes stand for, by shape and place.
fn joined_leaves(meta: &BlockMeta, signal: Signal, schema: &Schema) -> Option<Vec<JoinedLeaf>> {
    let mut joined = Vec::new();
    for (number, members) in meta.shapes.iter().enumerate() {
        let shape = schema.index_of(&format!("{}{number}", shape::PREFIX)).ok()?;
        for (place, name) in members.iter().enumerate() {
            let member = Member { place, data_type: stored_type(signal, name)? };
            joined.push(JoinedLeaf { name: name.clone(), shape, member });
        }
    }
    Some(joined)
}

fn unwrap_arrow(error: arrow_schema::ArrowError) -> parquet::errors::ParquetError {
    match error {
        arrow_schema::ArrowError::ExternalError(inner) => match inner.downcast::<parquet::errors::ParquetError>() {
            Ok(error) => *error,
            Err(inner) => parquet::errors::ParquetError::External(inner),
        },
        other => parquet::errors::ParquetError::External(Box::new(other)),
    }
}

/// What `meta` says, from whichever copy is whole. Damage to the other is noted.
pub(super) fn read_meta(
    fs: &dyn Filesystem,
    dir: &Path,
    signal: Signal,
    (crc, lost): (u32, &OnceLock<String>),
) -> Result<BlockMeta> {
    let path = &dir.join(META);
    let file = match fs.open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::Damaged { path: path.to_owned(), what: "it is missing".into() });
        }
        opened => opened.map_err(Error::read("open", path))?,
    };
    let read = |which: Try| {
        let bytes = read_whole(file.as_ref(), which).map_err(Error::read("read", path))?;
        let meta = BlockMeta::decode(&bytes, crc, signal, path)?;
        Ok((meta, BlockMeta::check_whole(&bytes, path)))
    };
    let (meta, whole) = match read(Try::First) {
        // As with the other files: the way from the disk errs too.
        Ok((_, Err(Error::Damaged { .. }))) | Err(Error::Damaged { .. }) => read(Try::Again)?,
        meta => meta?,
    };
    unless_damaged(whole, lost)?;
    Ok(meta)
}

/// Footer, page indexes, and the Arrow types to read as: where every row group has a dictionary, so has the array.
fn open_data(data: &Arc<CheckedFile>) -> Result<(ArrowReaderMetadata, Vec<Vec<bool>>)> {
    let failed = || from_parquet("open", data.path());
    let options = || ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let plain = ArrowReaderMetadata::load(&Source(data.clone()), options()).map_err(failed())?;
    let coded = |leaf: usize| {
        plain.metadata().row_groups().iter().all(|group| group.column(leaf).dictionary_page_offset().is_some())
    };
    let field = |(leaf, field): (usize, &Arc<Field>)| match field.data_type() {
        values @ (DataType::Utf8 | DataType::Binary) if coded(leaf) => {
            let r#type = DataType::Dictionary(Box::new(DataType::Int32), Box::new(values.clone()));
            field.as_ref().clone().with_data_type(r#type)
        }
        _ => field.as_ref().clone(),
    };
    let fields: Vec<Field> = plain.schema().fields().iter().enumerate().map(field).collect();
    let options = options().with_schema(Arc::new(Schema::new(fields)));
    let (metadata, packed) = pages::unpacked(ParquetMetaData::clone(plain.metadata())).map_err(failed())?;
    Ok((ArrowReaderMetadata::try_new(Arc::new(metadata), options).map_err(failed())?, packed))
}
