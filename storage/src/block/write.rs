//! How does a block come to be?
//!
//! W1  Every file, then the directory, is durable when `write` returns. `meta` is written last.
//! W2  Equal batches and settings give equal files.
//!
//! Not here: the directory's way into the manifest (`flush`).

use super::checked::{CheckedWriter, from_parquet};
use super::encode::{ChunkEncoder, ColumnData, Values};
use super::gather::{Source, parents};
use super::interner::Interner;
use super::layout::{self, Part, StoredColumn};
use super::meta::{BlockMeta, ColumnBytes, FileMeta, META, Summary};
use super::order::{Order, RowRef, order};
use super::shred::{Shredder, choose};
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
    let batches: Vec<Batch> = batches.iter().filter(|batch| batch.num_rows() > 0).cloned().collect();
    if batches.iter().any(|batch| batch.signal() != signal) {
        return Err(Error::Request { what: format!("a block of {signal} cannot hold other rows") });
    }
    let time = batches.iter().filter_map(Batch::time_range).reduce(|(a, b), (c, d)| (a.min(c), b.max(d)));
    let Some(time) = time else {
        return Err(Error::Request { what: "a block holds at least one row".into() });
    };
    if signal == Signal::Metrics {
        return series::write_batches(fs, dir, &batches, config);
    }
    let order = order(signal, &batches, config.row_group_rows.max(1))?;
    let mut source = BlockSource::new(signal, &batches, config);
    let mut groups = order.groups.iter();
    let first = groups.next().map_or_else(|| Ok(Vec::new()), |group| source.group(&order, group))?;
    let shapes = shape::find(&source.columns, &first);
    let mut terms = TermsWriter::create(fs, dir, signal, config)?;
    let mut data = DataWriter::create(fs, dir, &layout::join(&source.columns, &shapes), config)?;
    let mut put = |columns: Vec<ColumnData>, stored: &[StoredColumn], rows: usize| {
        terms.put_group(stored, &columns, rows)?;
        data.put_group(shape::join_columns(columns, &shapes))
    };
    put(first, &source.columns, order.groups.first().map_or(0, ExactSizeIterator::len))?;
    for group in groups {
        let columns = source.group(&order, group)?;
        put(columns, &source.columns, group.len())?;
    }
    let (data, columns) = data.finish()?;
    let name_of = |&place: &usize| source.columns.get(place).map(|column| column.field.name().clone());
    let (keys, traces) = write_keys(fs, dir, signal, &batches, &order)?;
    let summary = Summary {
        signal,
        rows: order.rows.len() as u64,
        time,
        files: [Some(data), keys, terms.finish()?].into_iter().flatten().collect(),
        columns,
        traces,
        services: services(&batches)?,
        rest_keys: source.shredder.as_ref().map_or(Some(Vec::new()), Shredder::rest_keys),
        shapes: shapes.iter().map(|members| members.iter().filter_map(name_of).collect()).collect(),
    };
    let path = dir.join(META);
    let (meta, bytes) = BlockMeta::encode(summary, &path)?;
    let mut file = fs.create(&path).map_err(Error::io("create", &path))?;
    file.write_all(&bytes).map_err(Error::io("write", &path))?;
    file.sync().map_err(Error::io("sync", &path))?;
    fs.sync_dir(dir).map_err(Error::io("sync", dir))?;
    Ok(meta)
}

/// The columns of a block, as they come out of its batches.
struct BlockSource<'a> {
    columns: Vec<StoredColumn>,
    /// The model's columns.
    model: Vec<Source<'a>>,
    shredder: Option<Shredder>,
    attributes: Vec<&'a BinaryArray>,
}

impl<'a> BlockSource<'a> {
    fn new(signal: Signal, batches: &'a [Batch], config: &BlockConfig) -> Self {
        let fields = schema::of(signal).fields();
        let arrays = |index: usize| batches.iter().map(move |batch| batch.columns().column(index)).collect::<Vec<_>>();
        let model = fields.iter().enumerate().map(|(index, field)| Source::new(arrays(index), field.is_nullable()));
        let attributes: Vec<&BinaryArray> = batches
            .iter()
            .filter_map(|batch| batch.columns().column_by_name(name::ATTRIBUTES))
            .map(|array: &ArrayRef| array.as_binary())
            .collect();
        // The attributes of a metric's points are its series: few, and repeated as a whole.
        let shreds = signal != Signal::Metrics;
        let chosen = if shreds { choose(&attributes, config) } else { Vec::new() };
        BlockSource {
            columns: layout::columns(signal, &chosen),
            model: model.collect(),
            shredder: shreds.then(|| Shredder::new(chosen)),
            attributes,
        }
    }

    /// The columns of a row group, in the order of `columns`.
    fn group(&mut self, order: &Order, group: &Range<usize>) -> Result<Vec<ColumnData>> {
        let rows = &order.rows[group.clone()];
        let (shreds, rest) = match &mut self.shredder {
            Some(shredder) => {
                let (shreds, rest) = shredder.shred(&self.attributes, rows);
                (shreds, Some(rest))
            }
            None => (Vec::new(), None),
        };
        let [parent_row, foreign] = self.parents(order, group, rows).map_or([None, None], |parents| parents.map(Some));
        let (mut shreds, mut rest) = (shreds.into_iter(), rest);
        let (mut parent_row, mut foreign) = (parent_row, foreign);
        let mut columns = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
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
        let first = order.traces.partition_point(|trace| trace.end <= group.start);
        let within: Vec<Range<usize>> = order.traces[first..]
            .iter()
            .take_while(|trace| trace.start < group.end)
            .map(|trace| trace.start.max(group.start) - group.start..trace.end.min(group.end) - group.start)
            .collect();
        Some(parents(spans, parent_ids, rows, &within))
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

/// `terms.idx` in the making, for signals that have one.
struct TermsWriter(Option<(TermsBuilder, CheckedWriter)>, usize);

impl TermsWriter {
    fn create(fs: &dyn Filesystem, dir: &Path, signal: Signal, config: &BlockConfig) -> Result<Self> {
        if signal == Signal::Metrics || config.granule_rows == 0 {
            return Ok(TermsWriter(None, 0));
        }
        let file = CheckedWriter::create(fs, dir, TERMS)?;
        Ok(TermsWriter(Some((TermsBuilder::default(), file)), config.granule_rows))
    }

    fn put_group(&mut self, columns: &[StoredColumn], data: &[ColumnData], rows: usize) -> Result<()> {
        let Some((builder, file)) = &mut self.0 else { return Ok(()) };
        let granule_rows = describe::granule_rows(columns, data, rows, self.1);
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

/// Writes the trace index, for signals whose rows can have a trace; also how many traces there are.
fn write_keys(
    fs: &dyn Filesystem,
    dir: &Path,
    signal: Signal,
    batches: &[Batch],
    order: &Order,
) -> Result<(Option<FileMeta>, Option<u64>)> {
    if signal == Signal::Metrics {
        return Ok((None, None));
    }
    let mut ids = Vec::with_capacity(batches.len());
    for batch in batches {
        ids.push(crate::scan::required(batch.columns(), name::TRACE_ID)?.as_fixed_size_binary());
    }
    let id = |at: RowRef| {
        let ids = ids[at.batch as usize];
        let row = at.row as usize;
        ids.is_valid(row).then(|| ids.value(row))
    };
    let mut index = TraceIndexBuilder::default();
    match signal {
        Signal::Spans => {
            for trace in &order.traces {
                if let Some(id) = order.rows.get(trace.start).and_then(|&at| id(at)) {
                    index.add(id, trace.clone());
                }
            }
        }
        _ => {
            for (row, &at) in order.rows.iter().enumerate() {
                if let Some(id) = id(at) {
                    index.add(id, row..row + 1);
                }
            }
        }
    }
    let (bytes, traces) = index.finish();
    let mut file = CheckedWriter::create(fs, dir, KEYS)?;
    file.write_all(&bytes).map_err(Error::io("write", file.path()))?;
    Ok((Some(file.finish()?), Some(traces)))
}

/// The services of all rows, if they are few.
fn services(batches: &[Batch]) -> Result<Option<Vec<String>>> {
    let mut names = Interner::default();
    for batch in batches {
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
            names.intern(text.unwrap_or_default().as_bytes());
        });
        if names.len() > MOST_SERVICES {
            return Ok(None);
        }
    }
    let mut names: Vec<String> = names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    names.sort_unstable();
    Ok(Some(names))
}
