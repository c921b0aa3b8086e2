//! How does a block come to be?
//!
//! W1  Every file, then the directory, is durable when `finish` returns. `meta` is written last.
//! W2  Equal batches and settings, in equal portions, give equal files.
//! W3  What is held is one portion of rows, and the indexes as far as they are not written yet, among them 16 bytes per trace:
//!     a block may be larger than memory.
//!
//! Metrics are written series by series (`series`). Not here: the directory's way into the manifest (`flush`, `compaction`),
//! which rows come together (`compaction`).

use super::body::BodyWriter;
use super::checked::{CheckedWriter, from_parquet};
use super::encode::{ChunkEncoder, ColumnData, Values};
use super::gather::{Source, parents};
use super::interner::Interner;
use super::layout::{self, Part, StoredColumn};
use super::meta::{BlockMeta, ColumnBytes, FileMeta, META, Summary};
use super::order::{Order, RowRef, order};
use super::shred::{Shredder, choose};
use super::stats::{GroupRows, StatsWriter, Weights};
use super::{BlockConfig, DATA, KEYS, TERMS, describe, series, shape};
use crate::error::{Error, Result};
use crate::fs::Filesystem;
use crate::index::TraceIndexBuilder;
use crate::index::terms::TermsBuilder;
use crate::model::schema::{self, column as name};
use crate::model::{Batch, Signal};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray};
use bytes::Bytes;
use parquet::arrow::ArrowSchemaConverter;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::SchemaDescriptor;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// More services than this are not listed in a block's meta.
const MOST_SERVICES: usize = 256;

/// Writes batches of one signal as a block into a directory, which exists and is empty.
pub fn write(
    fs: &dyn Filesystem,
    dir: &Path,
    signal: Signal,
    batches: &[Batch],
    config: &BlockConfig,
) -> Result<BlockMeta> {
    if signal == Signal::Metrics {
        return series::write_batches(fs, dir, batches, config);
    }
    let mut writer = BlockWriter::create(fs, dir, signal, &attribute_maps(batches), config)?;
    writer.put(batches)?;
    writer.finish()
}

/// The attributes of batches: what `BlockWriter::create` chooses columns by.
fn attribute_maps(batches: &[Batch]) -> Vec<&BinaryArray> {
    let columns = batches.iter().filter_map(|batch| batch.columns().column_by_name(name::ATTRIBUTES));
    columns.map(|array: &ArrayRef| array.as_binary()).collect()
}

/// A block in the making, portion by portion.
pub struct BlockWriter<'a> {
    fs: &'a dyn Filesystem,
    dir: PathBuf,
    signal: Signal,
    config: BlockConfig,
    columns: Vec<StoredColumn>,
    shredder: Shredder,
    /// For each column of the model whether its strings do not repeat, as far as is known.
    plain: Vec<bool>,
    /// Begun with the first row group, which decides the shapes.
    data: Option<(DataWriter, Vec<Vec<usize>>)>,
    terms: TermsWriter,
    stats: Option<StatsWriter>,
    bodies: BodyWriter<'a>,
    keys: TraceIndexBuilder,
    services: Services,
    rows: usize,
    /// The rows of each row group.
    groups: Vec<Range<usize>>,
    time: Option<(i64, i64)>,
}

impl std::fmt::Debug for BlockWriter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockWriter").field("dir", &self.dir).field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl<'a> BlockWriter<'a> {
    /// Begins a block in a directory, which exists and is empty. The attributes of the `sample` decide which of them get
    /// columns.
    pub fn create(
        fs: &'a dyn Filesystem,
        dir: &Path,
        signal: Signal,
        sample: &[&BinaryArray],
        config: &BlockConfig,
    ) -> Result<Self> {
        if signal == Signal::Metrics {
            return Err(Error::Request { what: format!("{signal} are written series by series") });
        }
        let chosen = choose(sample, config);
        let columns = layout::columns(signal, &chosen);
        Ok(BlockWriter {
            fs,
            dir: dir.to_owned(),
            signal,
            config: config.clone(),
            bodies: BodyWriter::new(fs, dir, signal, &columns, config),
            columns,
            shredder: Shredder::new(chosen),
            plain: Vec::new(),
            data: None,
            terms: TermsWriter::create(fs, dir, config)?,
            stats: (config.granule_rows > 0).then(|| StatsWriter::new(signal, config)),
            keys: TraceIndexBuilder::default(),
            services: Services::default(),
            rows: 0,
            groups: Vec::new(),
            time: None,
        })
    }

    /// Sorts the rows of batches and appends them behind those that were put before. The order of the block is that of
    /// each portion (`order`); who puts several sees to it that they follow each other. The last row group of a portion
    /// may be a short one.
    pub fn put(&mut self, batches: &[Batch]) -> Result<()> {
        let batches: Vec<Batch> = batches.iter().filter(|batch| batch.num_rows() > 0).cloned().collect();
        if batches.iter().any(|batch| batch.signal() != self.signal) {
            return Err(Error::Request { what: format!("a block of {} cannot hold other rows", self.signal) });
        }
        let time = batches.iter().filter_map(Batch::time_range).chain(self.time);
        self.time = time.reduce(|(a, b), (c, d)| (a.min(c), b.max(d)));
        let order = order(self.signal, &batches, self.config.row_group_rows.max(1))?;
        if i32::try_from(self.rows + order.rows.len()).is_err() {
            return Err(Error::Request { what: format!("more than {} rows are too many for one block", self.rows) });
        }
        let weights = self.stats.as_ref().map(|_| Weights::of(self.signal, &batches)).transpose()?;
        let mut source = BlockSource::new(self.signal, &batches, &self.columns, &mut self.shredder, &self.plain);
        for group in &order.groups {
            let mut columns = source.group(&order, group)?;
            let granule_rows = describe::granule_rows(&self.columns, &columns, group.len(), self.config.granule_rows);
            self.terms.put_group(&self.columns, &columns, group.len(), granule_rows)?;
            if let Some((stats, weights)) = self.stats.as_mut().zip(weights.as_ref()) {
                let rows = &order.rows[group.clone()];
                stats.put_group(&GroupRows { columns: (&self.columns, &columns), rows, weights, granule_rows })?;
            }
            self.bodies.take(&mut columns, group.len())?;
            let (data, shapes) = match &mut self.data {
                Some(begun) => begun,
                none => {
                    let shapes = shape::find(&self.columns, &columns);
                    let stored = layout::join(&self.columns, &shapes);
                    let data = DataWriter::create(self.fs, &self.dir, &stored, &self.config)?;
                    none.insert((data, shapes))
                }
            };
            data.put_group(shape::join_columns(columns, shapes))?;
        }
        self.plain = source.model.iter().map(Source::is_plain).collect();
        note_traces(&mut self.keys, self.signal, &batches, &order, self.rows)?;
        self.services.note(&batches)?;
        self.groups.extend(order.groups.iter().map(|group| self.rows + group.start..self.rows + group.end));
        self.rows += order.rows.len();
        Ok(())
    }

    /// How many rows were put.
    pub fn rows(&self) -> u64 {
        self.rows as u64
    }

    /// How many bytes of columns were written.
    pub fn bytes(&self) -> u64 {
        let columns = self.data.iter().flat_map(|(data, _)| &data.bytes);
        columns.map(|column| column.compressed).sum::<u64>() + self.bodies.bytes()
    }

    /// Writes the indexes and `meta`. A block holds at least one row.
    pub fn finish(self) -> Result<BlockMeta> {
        let (Some((data, shapes)), Some(time)) = (self.data, self.time) else {
            return Err(Error::Request { what: "a block holds at least one row".into() });
        };
        let (data, columns) = data.finish()?;
        let name_of = |&place: &usize| self.columns.get(place).map(|column| column.field.name().clone());
        let (keys, traces, apart) = write_keys(self.fs, &self.dir, self.keys, &self.groups)?;
        let stats = self.stats.map_or(Ok(None), |stats| stats.finish(self.fs, &self.dir))?;
        let (bodies, of_bodies) = self.bodies.finish()?.unzip();
        let summary = Summary {
            signal: self.signal,
            rows: self.rows as u64,
            time,
            files: [data, keys].into_iter().chain(self.terms.finish()?).chain(stats).chain(bodies).collect(),
            columns: columns.into_iter().chain(of_bodies).collect(),
            traces: Some(traces),
            traces_apart: (self.signal == Signal::Spans).then_some(apart),
            services: self.services.finish(),
            resolution: crate::metric::Resolution::RAW,
            strays: None,
            rest_keys: self.shredder.rest_keys(),
            shapes: shapes.iter().map(|members| members.iter().filter_map(name_of).collect()).collect(),
        };
        let path = self.dir.join(META);
        let (meta, bytes) = BlockMeta::encode(summary, &path)?;
        let mut file = self.fs.create(&path).map_err(Error::io("create", &path))?;
        file.write_all(&bytes).map_err(Error::io("write", &path))?;
        file.sync().map_err(Error::io("sync", &path))?;
        self.fs.sync_dir(&self.dir).map_err(Error::io("sync", &self.dir))?;
        Ok(meta)
    }
}

/// The columns of a block, as they come out of the batches of a portion.
struct BlockSource<'a> {
    columns: &'a [StoredColumn],
    /// The model's columns.
    model: Vec<Source<'a>>,
    shredder: &'a mut Shredder,
    attributes: Vec<&'a BinaryArray>,
}

impl<'a> BlockSource<'a> {
    fn new(
        signal: Signal,
        batches: &'a [Batch],
        columns: &'a [StoredColumn],
        shredder: &'a mut Shredder,
        plain: &[bool],
    ) -> Self {
        let fields = schema::of(signal).fields();
        let arrays = |index: usize| batches.iter().map(move |batch| batch.columns().column(index)).collect::<Vec<_>>();
        let plain = plain.iter().copied().chain(std::iter::repeat(false));
        let model = fields.iter().enumerate().zip(plain);
        let model = model.map(|((index, field), plain)| Source::new(arrays(index), field.is_nullable(), plain));
        BlockSource { columns, model: model.collect(), shredder, attributes: attribute_maps(batches) }
    }

    /// The columns of a row group, in the order of `columns`.
    fn group(&mut self, order: &Order, group: &Range<usize>) -> Result<Vec<ColumnData>> {
        let rows = &order.rows[group.clone()];
        let (shreds, rest) = self.shredder.shred(&self.attributes, rows);
        let [parent_row, foreign] = self.parents(order, group, rows).map_or([None, None], |parents| parents.map(Some));
        let (mut shreds, mut rest) = (shreds.into_iter(), Some(rest));
        let (mut parent_row, mut foreign) = (parent_row, foreign);
        let mut columns = Vec::with_capacity(self.columns.len());
        for column in self.columns {
            let made = match column.part {
                Part::Column(index) => match self.model.get_mut(index) {
                    Some(source) => Some(source.gather(rows)?),
                    None => None,
                },
                Part::ParentRow => parent_row.take(),
                Part::ForeignParent => foreign.take(),
                Part::ObservedDelay => observed_delay(&mut self.model, rows)?,
                Part::Attribute(_) => shreds.next(),
                Part::Rest => rest.take(),
                // Made of the others, later.
                Part::Shape => None,
            };
            columns.extend(made);
        }
        Ok(columns)
    }

    fn parents(&self, order: &Order, group: &Range<usize>, rows: &[RowRef]) -> Option<[ColumnData; 2]> {
        let fields = schema::of(Signal::Spans);
        let index = |name: &str| fields.index_of(name).ok();
        if order.traces.is_empty() {
            return None;
        }
        let spans = self.model.get(index(name::SPAN_ID)?)?;
        let parent_ids = self.model.get(index(name::PARENT_SPAN_ID)?)?;
        let kinds = self.model.get(index(name::KIND)?)?;
        let first = order.traces.partition_point(|trace| trace.end <= group.start);
        let within: Vec<Range<usize>> = order.traces[first..]
            .iter()
            .take_while(|trace| trace.start < group.end)
            .map(|trace| trace.start.max(group.start) - group.start..trace.end.min(group.end) - group.start)
            .collect();
        Some(parents([spans, parent_ids, kinds], rows, &within))
    }
}

/// How much later than their time log records were observed, of the model's columns.
fn observed_delay(model: &mut [Source<'_>], rows: &[RowRef]) -> Result<Option<ColumnData>> {
    let mut gather = |name: &str| {
        let index = schema::of(Signal::Logs).index_of(name).ok();
        index.and_then(|index| model.get_mut(index)).map(|source| source.gather(rows)).transpose()
    };
    let (time, observed) = (gather(name::TIME)?, gather(name::OBSERVED_TIME)?);
    let (Some(ColumnData { values: Values::Int64(times), .. }), Some(observed)) = (time, observed) else {
        return Ok(None);
    };
    let (Values::Int64(observed), Some(present)) = (observed.values, observed.present) else { return Ok(None) };
    let times = times.iter().zip(&present).filter(|(_, present)| **present).map(|(&time, _)| time);
    let delays = observed.iter().zip(times).map(|(&observed, time)| observed.wrapping_sub(time)).collect();
    Ok(Some(ColumnData { values: Values::Int64(delays), present: Some(present) }))
}

/// `data.parquet` in the making.
struct DataWriter {
    file: SerializedFileWriter<CheckedWriter>,
    path: PathBuf,
    schema: SchemaDescriptor,
    columns: Vec<StoredColumn>,
    bytes: Vec<ColumnBytes>,
    encoder: ChunkEncoder,
}

impl DataWriter {
    fn create(fs: &dyn Filesystem, dir: &Path, columns: &[StoredColumn], config: &BlockConfig) -> Result<Self> {
        let file = CheckedWriter::create(fs, dir, DATA)?;
        let path = file.path().to_owned();
        let failed = || from_parquet("start", &path);
        let schema = ArrowSchemaConverter::new().convert(&layout::schema(columns)).map_err(failed())?;
        let properties = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_2_0)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_created_by("spanlight".into())
            .build();
        let root = schema.root_schema_ptr();
        let file = SerializedFileWriter::new(file, root, Arc::new(properties)).map_err(failed())?;
        let none = |column: &StoredColumn| ColumnBytes { name: column.field.name().clone(), compressed: 0, raw: 0 };
        let bytes = columns.iter().map(none).collect();
        let encoder = ChunkEncoder::new(config).map_err(failed())?;
        Ok(DataWriter { file, path, schema, columns: columns.to_vec(), bytes, encoder })
    }

    fn put_group(&mut self, columns: Vec<ColumnData>) -> Result<()> {
        let failed = || from_parquet("write", &self.path);
        let mut group = self.file.next_row_group().map_err(failed())?;
        let stored = self.columns.iter().zip(self.schema.columns()).zip(&mut self.bytes);
        for (((column, descr), bytes), data) in stored.zip(columns) {
            let chunk = self.encoder.encode(descr, data, column.style).map_err(failed())?;
            bytes.compressed += chunk.bytes.len() as u64;
            bytes.raw += u64::try_from(chunk.close.metadata.uncompressed_size()).unwrap_or(0);
            group.append_column(&Bytes::from(chunk.bytes), chunk.close).map_err(failed())?;
        }
        group.close().map_err(failed())?;
        Ok(())
    }

    fn finish(self) -> Result<(FileMeta, Vec<ColumnBytes>)> {
        let file = self.file.into_inner().map_err(from_parquet("finish", &self.path))?;
        Ok((file.finish()?, self.bytes))
    }
}

/// `terms.idx` in the making, if there is to be one.
struct TermsWriter(Option<(TermsBuilder, CheckedWriter)>);

impl TermsWriter {
    fn create(fs: &dyn Filesystem, dir: &Path, config: &BlockConfig) -> Result<Self> {
        if config.granule_rows == 0 {
            return Ok(TermsWriter(None));
        }
        let file = CheckedWriter::create(fs, dir, TERMS)?;
        Ok(TermsWriter(Some((TermsBuilder::default(), file))))
    }

    fn put_group(
        &mut self,
        columns: &[StoredColumn],
        data: &[ColumnData],
        rows: usize,
        granule_rows: usize,
    ) -> Result<()> {
        let Some((builder, file)) = &mut self.0 else { return Ok(()) };
        let ready = builder.begin_group(rows, granule_rows).and_then(|ready| file.write_all(&ready));
        ready.map_err(Error::io("write", file.path()))?;
        describe::note_group(builder, columns, data);
        Ok(())
    }

    fn finish(self) -> Result<Option<FileMeta>> {
        let Some((builder, mut file)) = self.0 else { return Ok(None) };
        builder.finish().and_then(|rest| file.write_all(&rest)).map_err(Error::io("write", file.path()))?;
        file.finish().map(Some)
    }
}

/// Tells the trace index where the traces of a portion lie.
fn note_traces(
    index: &mut TraceIndexBuilder,
    signal: Signal,
    batches: &[Batch],
    order: &Order,
    rows_before: usize,
) -> Result<()> {
    let mut ids = Vec::with_capacity(batches.len());
    for batch in batches {
        ids.push(crate::scan::required(batch.columns(), name::TRACE_ID)?.as_fixed_size_binary());
    }
    let id = |at: RowRef| {
        let ids = ids[at.batch as usize];
        let row = at.row as usize;
        ids.is_valid(row).then(|| ids.value(row))
    };
    match signal {
        Signal::Spans => {
            for trace in &order.traces {
                if let Some(id) = order.rows.get(trace.start).and_then(|&at| id(at)) {
                    index.add(id, rows_before + trace.start..rows_before + trace.end);
                }
            }
        }
        _ => {
            for (row, &at) in order.rows.iter().enumerate() {
                if let Some(id) = id(at) {
                    index.add(id, rows_before + row..rows_before + row + 1);
                }
            }
        }
    }
    Ok(())
}

/// Writes the trace index; also how many traces there are, and how many do not lie together in a row group.
fn write_keys(
    fs: &dyn Filesystem,
    dir: &Path,
    index: TraceIndexBuilder,
    groups: &[Range<usize>],
) -> Result<(FileMeta, u64, u64)> {
    let (bytes, traces, apart) = index.finish(groups);
    let mut file = CheckedWriter::create(fs, dir, KEYS)?;
    file.write_all(&bytes).map_err(Error::io("write", file.path()))?;
    Ok((file.finish()?, traces, apart))
}

/// The services of all rows, if they are few.
#[derive(Debug, Default)]
struct Services {
    names: Interner,
    too_many: bool,
}

impl Services {
    fn note(&mut self, batches: &[Batch]) -> Result<()> {
        for batch in batches {
            if self.too_many {
                return Ok(());
            }
            let column = crate::scan::required(batch.columns(), name::SERVICE_NAME)?;
            let dictionary = column.as_dictionary::<arrow_array::types::Int32Type>();
            let mut used = vec![false; dictionary.values().len()];
            for &key in dictionary.keys().values() {
                if let Some(used) = usize::try_from(key).ok().and_then(|key| used.get_mut(key)) {
                    *used = true;
                }
            }
            let texts = dictionary.values().as_string::<i32>();
            texts.iter().zip(&used).filter(|(_, used)| **used).for_each(|(text, _)| {
                self.names.intern(text.unwrap_or_default().as_bytes());
            });
            self.too_many = self.names.len() > MOST_SERVICES;
        }
        Ok(())
    }

    fn finish(&self) -> Option<Vec<String>> {
        if self.too_many {
            return None;
        }
        let mut names: Vec<String> = self.names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        names.sort_unstable();
        Some(names)
    }
}
