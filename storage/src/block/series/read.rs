//! How is a block of series opened, and how are some samples of some series read?
//!
//! R1  Opening reads `meta`, and of `series.idx` the directory, where the streams' pages lie, and the labels; these stay in
//!     memory. Everything else is read by range when it is asked for.
//! R2  A read decodes the groups of the wanted series and the pages of the wanted fields that hold wanted rows.

use super::blobs::{BlobReader, Blobs};
use super::columns::{cells_of_buckets, cells_of_counts, cells_of_doubles, kind_of, name_of};
use super::postings::Postings;
use super::stream::{Stream, StreamReader};
use super::table::{
    COUNTS, CellForm, Column, DOUBLES, EXPONENTIAL, Entry, FIRST_NUMBER, Form, GROUP, LENGTHS, OFFSETS, PRESENCE,
    Presence, STREAMS, TIMES, take_group,
};
use super::{INDEX, MAGIC, SAMPLES};
use crate::block::checked::CheckedFile;
use crate::block::meta::{BlockMeta, META};
use crate::block::prune::conjuncts;
use crate::block::read::{read_meta, verify_files};
use crate::error::{Error, Result};
use crate::fs::Filesystem;
use crate::metric::{
    CELLS, COUNT, Doubles, Fields, Label, Matcher, NUMBERS, Relation, Samples, Series, SeriesSource, Stored, TELLING,
    VALUE_DOUBLE, rows_in,
};
use crate::model::Signal;
use crate::model::record::{take_bytes, take_varint};
use crate::model::schema::column as name;
use crate::scan::{AttributeScope, Compare, Field, Predicate, Scalar, ScanRequest, TimeRange};
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

const HEADER_LEN: u64 = 16;
/// Longer values of attributes are looked for in all groups.
const MOST_PROPOSED: usize = 512;

/// A block of series, open for reading.
#[derive(Debug)]
pub(in crate::block) struct SeriesBlock {
    fs: Arc<dyn Filesystem>,
    dir: PathBuf,
    meta: BlockMeta,
    index: Arc<CheckedFile>,
    data: Arc<CheckedFile>,
    /// Names, services, units, descriptions, metadata, resources, scopes, cells.
    dictionaries: Vec<Frame>,
    groups: Vec<Group>,
    streams: Vec<Stream>,
    blobs: Blobs,
    postings: Postings,
    /// What is wrong with a copy in `meta`, once that is known.
    lost: OnceLock<String>,
}

/// Something compressed in `series.idx`, and its length before.
#[derive(Debug, Clone)]
struct Frame {
    at: Range<u64>,
    raw: usize,
}

#[derive(Debug)]
struct Group {
    frame: Frame,
    min_time: i64,
    max_time: i64,
}

/// What is at the start of `series.idx`.
struct Directory {
    series: u32,
    dictionaries: Vec<Frame>,
    places: Frame,
    groups: Vec<Group>,
    map: Range<u64>,
    postings: Range<u64>,
}

impl Directory {
    fn take(input: &mut &[u8], mut at: u64) -> Option<Self> {
        let mut part = |input: &mut &[u8]| {
            let end = at.checked_add(take_varint(input)?)?;
            let range = at..end;
            at = end;
            Some(range)
        };
        let mut frame = |input: &mut &[u8]| {
            let raw = usize::try_from(take_varint(input)?).ok()?;
            Some(Frame { raw, at: part(input)? })
        };
        let series = u32::try_from(take_varint(input)?).ok()?;
        let dictionaries = (0..8).map(|_| frame(input)).collect::<Option<Vec<Frame>>>()?;
        let places = frame(input)?;
        let mut groups = Vec::new();
        for _ in 0..take_varint(input)? {
            let frame = frame(input)?;
            let time = |input: &mut &[u8]| take_varint(input).map(u64::cast_signed);
            groups.push(Group { frame, min_time: time(input)?, max_time: time(input)? });
        }
        let (map, postings) = (part(input)?, part(input)?);
        (input.is_empty() && groups.len() == (series as usize).div_ceil(GROUP)).then_some(Directory {
            series,
            dictionaries,
            places,
            groups,
            map,
            postings,
        })
    }
}

impl SeriesBlock {
    pub(in crate::block) fn open(fs: Arc<dyn Filesystem>, dir: &Path, meta_crc: u32) -> Result<Arc<SeriesBlock>> {
        // Not as a slice of what was read: that would keep the granules around it.
        Self::open_with(fs, dir, meta_crc, |index, map| Ok(index.read(map)?.to_vec()))
    }

    /// Opens a block whose labels may be damaged, to read what is left of its series. It finds none by a label.
    pub(in crate::block) fn open_rows(fs: Arc<dyn Filesystem>, dir: &Path, meta_crc: u32) -> Result<Arc<SeriesBlock>> {
        Self::open_with(fs, dir, meta_crc, |_, _| Ok(fst::Map::default().into_fst().into_inner()))
    }

    fn open_with(
        fs: Arc<dyn Filesystem>,
        dir: &Path,
        meta_crc: u32,
        labels: impl FnOnce(&CheckedFile, Range<u64>) -> Result<Vec<u8>>,
    ) -> Result<Arc<SeriesBlock>> {
        let lost = OnceLock::new();
        let meta = read_meta(&*fs, dir, Signal::Metrics, (meta_crc, &lost))?;
        let open = |name: &str| {
            let missing = || Error::Damaged { path: dir.join(META), what: format!("it does not list {name}") };
            Ok(Arc::new(CheckedFile::open(&*fs, dir, meta.file(name).ok_or_else(missing)?)?))
        };
        let (data, index) = (open(SAMPLES)?, open(INDEX)?);
        let malformed = || Error::Damaged { path: index.path().to_owned(), what: "its directory is malformed".into() };
        let header = index.read(0..HEADER_LEN.min(index.len()))?;
        let length = header.strip_prefix(MAGIC).and_then(|length| length.try_into().ok()).map(u64::from_le_bytes);
        let body_at = length.and_then(|length| length.checked_add(HEADER_LEN)).ok_or_else(malformed)?;
        let directory = index.read(HEADER_LEN..body_at)?;
        let directory = Directory::take(&mut &directory[..], body_at).ok_or_else(malformed)?;
        if directory.postings.end != index.len() {
            return Err(malformed());
        }
        let places = decompress(&index, &directory.places)?;
        let input = &mut &places[..];
        let streams = (0..STREAMS).map(|_| Stream::take(input)).collect::<Option<Vec<_>>>().ok_or_else(malformed)?;
        let blobs = Blobs::take(input).ok_or_else(malformed)?;
        let map = labels(&index, directory.map.clone())?.into();
        let postings = Postings::open(Arc::clone(&index), map, directory.postings.start, directory.series)?;
        let Directory { dictionaries, groups, .. } = directory;
        let dir = dir.to_owned();
        Ok(Arc::new(SeriesBlock { fs, dir, meta, index, data, dictionaries, groups, streams, blobs, postings, lost }))
    }

    pub(in crate::block) fn meta(&self) -> &BlockMeta {
        &self.meta
    }

    /// Bytes of memory that the open block holds.
    pub(in crate::block) fn memory_bytes(&self) -> usize {
        self.streams.iter().map(Stream::memory_bytes).sum::<usize>()
            + self.blobs.memory_bytes()
            + self.postings.memory_bytes()
            + self.groups.capacity() * size_of::<Group>()
    }

    /// Compares every checksum of every file. The error names what is damaged: file, bytes, columns.
    pub(in crate::block) fn verify(&self) -> Result<()> {
        self.examine()?;
        let damaged = |what: &str| Error::Damaged { path: self.dir.clone(), what: what.to_owned() };
        self.lost_part().map_or(Ok(()), |what| Err(damaged(what)))
    }

    /// As `verify`, of what answers cannot do without.
    pub(in crate::block) fn examine(&self) -> Result<()> {
        read_meta(&*self.fs, &self.dir, Signal::Metrics, (self.meta.crc(), &self.lost))?;
        verify_files(&[&self.index, &self.data], |path, range| self.parts(path, range))
    }

    /// What is wrong with a copy in `meta`, if a reader found something.
    pub(in crate::block) fn lost_part(&self) -> Option<&str> {
        self.lost.get().map(String::as_str)
    }

    /// What lies in some bytes of a file.
    fn parts(&self, path: &Path, bytes: &Range<u64>) -> Vec<String> {
        if path != self.data.path() {
            return Vec::new();
        }
        let streams = self.streams.iter().enumerate().filter(|(_, stream)| stream.lies_in(bytes));
        let cells = self.blobs.lies_in(bytes).then(|| "`cells`".to_owned());
        streams.map(|(stream, _)| format!("`{}`", name_of(stream))).chain(cells).collect()
    }

    /// Every label that a series has, ascending.
    pub(in crate::block) fn labels(&self) -> Vec<Label> {
        self.postings.labels()
    }

    /// Gives the values of a label to `each`, ascending; whether these are all, which else only the series themselves tell.
    pub(in crate::block) fn each_label_value(&self, label: &Label, each: &mut dyn FnMut(&str)) -> bool {
        self.postings.each_value(label, each)
    }

    /// The groups that may have rows which a request wants: by time, and by labels that must have a value.
    pub(in crate::block) fn groups_of(&self, request: &ScanRequest) -> Result<Vec<usize>> {
        if !request.time.overlaps(self.meta.min_time, self.meta.max_time) {
            return Ok(Vec::new());
        }
        let matchers = conjuncts(&request.predicate).into_iter().filter_map(proposed).collect::<Result<Vec<_>>>()?;
        let mut groups: Vec<usize> = match matchers.is_empty() {
            true => (0..self.groups.len()).collect(),
            false => self.postings.find(&matchers)?.series.iter().map(|number| number as usize / GROUP).collect(),
        };
        groups.dedup();
        let overlaps = |group: &usize| {
            self.groups.get(*group).is_some_and(|group| request.time.overlaps(group.min_time, group.max_time))
        };
        groups.retain(overlaps);
        Ok(groups)
    }
}

/// A condition on a label that every row has which matches a predicate, where there is one.
fn proposed(predicate: &Predicate) -> Option<Result<Matcher>> {
    let Predicate::Compare { field, compare: Compare::Equal, value: Scalar::String(value) } = predicate else {
        return None;
    };
    let label = match field {
        Field::Column(name::NAME) => Label::Name,
        Field::Column(name::SERVICE_NAME) => Label::ServiceName,
        Field::Attribute(AttributeScope::Own, key) => Label::Point(key.clone()),
        Field::Attribute(AttributeScope::Resource, key) => Label::Resource(key.clone()),
        Field::Attribute(AttributeScope::Scope, key) => Label::Scope(key.clone()),
        Field::Column(_) | Field::Attribute(AttributeScope::Any, _) => return None,
    };
    // An empty text is told from an absent one by rows only.
    if value.is_empty() {
        return None;
    }
    if let Field::Column(_) = field {
        return Some(Matcher::new(label, Relation::Equal, value));
    }
    // Of an array each element counts; its text is that of JSON.
    let or_array = || format!(r"{}|\[.*", regex_syntax::escape(value));
    (value.len() <= MOST_PROPOSED).then(|| Matcher::new(label, Relation::Matches, &or_array()))
}

fn decompress(file: &Arc<CheckedFile>, frame: &Frame) -> Result<Vec<u8>> {
    let bytes = file.read(frame.at.clone())?;
    let failed = |_| Error::Damaged {
        path: file.path().to_owned(),
        what: format!("what lies at byte {} cannot be decompressed", frame.at.start),
    };
    crate::zstandard::unpack(&bytes, frame.raw).map_err(failed)
}

/// The distinct parts of series.
#[derive(Debug)]
struct Dictionaries {
    texts: [Vec<Arc<str>>; 4],
    cells: [Vec<Arc<[u8]>>; 4],
}

/// A series of a group that is in memory.
struct EntryOf {
    entries: Arc<[Entry]>,
    /// Below the number of entries.
    place: usize,
}

impl Deref for EntryOf {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &self.entries[self.place]
    }
}

/// Reads series of a block, and keeps what it needs for the next ones.
#[derive(Debug)]
pub(crate) struct SeriesReader {
    block: Arc<SeriesBlock>,
    dictionaries: Option<Dictionaries>,
    group: Option<(usize, Arc<[Entry]>)>,
    streams: Vec<StreamReader>,
    blobs: BlobReader,
    /// Times of the series that were read last, by their place: series that follow each other mostly share them.
    times: Option<(u64, Arc<[i64]>)>,
}

impl SeriesReader {
    pub(in crate::block) fn new(block: &Arc<SeriesBlock>) -> Self {
        SeriesReader {
            block: Arc::clone(block),
            dictionaries: None,
            group: None,
            streams: (0..STREAMS).map(|stream| StreamReader::new(kind_of(stream))).collect(),
            blobs: BlobReader::default(),
            times: None,
        }
    }

    /// Whether a series matches.
    pub(crate) fn has(&mut self, matchers: &[Matcher]) -> Result<bool> {
        let found = self.block.postings.find(matchers)?;
        if found.exact || found.series.is_empty() {
            return Ok(!found.series.is_empty());
        }
        let mut has = false;
        self.each_match(matchers, &mut |_| {
            has = true;
            false
        })?;
        Ok(has)
    }

    fn damaged(&self, what: &str) -> Error {
        Error::Damaged { path: self.block.index.path().to_owned(), what: what.into() }
    }

    fn dictionaries(&mut self) -> Result<&Dictionaries> {
        if self.dictionaries.is_none() {
            let mut lists = Vec::with_capacity(8);
            for frame in &self.block.dictionaries {
                let raw = decompress(&self.block.index, frame)?;
                let mut list: Vec<Arc<[u8]>> = Vec::new();
                let input = &mut &raw[..];
                while !input.is_empty() {
                    list.push(take_bytes(input).ok_or_else(|| self.damaged("a dictionary is malformed"))?.into());
                }
                lists.push(list);
            }
            let mut lists = lists.into_iter();
            let mut next = || lists.next().unwrap_or_default();
            let text = |list: Vec<Arc<[u8]>>| {
                list.iter()
                    .map(|bytes| std::str::from_utf8(bytes).ok().map(Arc::from))
                    .collect::<Option<Vec<Arc<str>>>>()
            };
            let texts = [text(next()), text(next()), text(next()), text(next())];
            let cells = [next(), next(), next(), next()];
            let [Some(name), Some(service), Some(unit), Some(description)] = texts else {
                return Err(self.damaged("a dictionary holds what is no text"));
            };
            self.dictionaries = Some(Dictionaries { texts: [name, service, unit, description], cells });
        }
        self.dictionaries.as_ref().ok_or_else(|| self.damaged("it has no dictionaries"))
    }

    fn load_group(&mut self, number: usize) -> Result<Arc<[Entry]>> {
        if let Some((_, entries)) = self.group.as_ref().filter(|(had, _)| *had == number) {
            return Ok(Arc::clone(entries));
        }
        self.group = None;
        let group = self.block.groups.get(number).ok_or_else(|| self.damaged("a group of series is missing"))?;
        let raw = decompress(&self.block.index, &group.frame)?;
        let entries = take_group(&raw).ok_or_else(|| self.damaged("a group of series is malformed"))?;
        let entries: Arc<[Entry]> = entries.into();
        self.group = Some((number, Arc::clone(&entries)));
        Ok(entries)
    }

    fn entry(&mut self, number: u32) -> Result<EntryOf> {
        let (group, place) = (number as usize / GROUP, number as usize % GROUP);
        let entries = self.load_group(group)?;
        if place < entries.len() { Ok(EntryOf { entries, place }) } else { Err(self.damaged("a series is missing")) }
    }

    fn stored(&mut self, number: u32) -> Result<Stored> {
        let entry = self.entry(number)?;
        let dictionaries = self.dictionaries()?;
        let series =
            series_of(&entry, dictionaries).ok_or_else(|| self.damaged("a series refers to what is not there"))?;
        Ok(Stored { series, number, rows: entry.rows, min_time: entry.min_time, max_time: entry.max_time })
    }

    fn run(&mut self, stream: usize, places: Range<u64>) -> Result<Vec<u64>> {
        match (self.streams.get_mut(stream), self.block.streams.get(stream)) {
            (Some(reader), Some(places_of)) => reader.read(&self.block.data, places_of, places),
            _ => Ok(Vec::new()),
        }
    }

    fn times(&mut self, entry: &Entry) -> Result<Arc<[i64]>> {
        let known = |(at, had): &&(u64, Arc<[i64]>)| *at == entry.times && had.len() as u64 == entry.rows;
        if let Some((_, times)) = self.times.as_ref().filter(known) {
            return Ok(Arc::clone(times));
        }
        self.times = None;
        let run = self.run(TIMES, entry.times..entry.times.saturating_add(entry.rows))?;
        let times: Arc<[i64]> = run.into_iter().map(u64::cast_signed).collect();
        self.times = Some((entry.times, Arc::clone(&times)));
        Ok(times)
    }

    /// The doubles of some rows, if a series has nothing else.
    fn doubles_of(&mut self, entry: &Entry, rows: &Range<usize>) -> Result<Option<Vec<f64>>> {
        let tells = |place: &usize| match entry.numbers.get(*place) {
            Some(Some(column)) => column.form != Form::Same(0),
            _ => false,
        };
        let column = entry.numbers[VALUE_DOUBLE].filter(|column| column.presence == Presence::All);
        let Some(column) = column.filter(|_| entry.numbers[COUNT].is_none() && !TELLING.iter().any(tells)) else {
            return Ok(None);
        };
        let at = match column.form {
            Form::Same(bits) => return Ok(Some(vec![f64::from_bits(bits); rows.len()])),
            Form::Run(at) => at,
        };
        let stream = FIRST_NUMBER + VALUE_DOUBLE;
        let places = at.saturating_add(rows.start as u64)..at.saturating_add(rows.end as u64);
        match (self.streams.get_mut(stream), self.block.streams.get(stream)) {
            (Some(reader), Some(places_of)) => reader.read_doubles(&self.block.data, places_of, places).map(Some),
            _ => Ok(None),
        }
    }

    /// Which of the wanted rows have a value (as places among them), and which of the values these are.
    fn present(
        &mut self,
        entry: &Entry,
        presence: Presence,
        rows: &Range<u64>,
    ) -> Result<(Option<Vec<usize>>, Range<u64>)> {
        let Presence::Some { at, .. } = presence else { return Ok((None, rows.clone())) };
        let bits = self.run(PRESENCE, at..at.saturating_add(entry.rows))?;
        let start = usize::try_from(rows.start).unwrap_or(usize::MAX).min(bits.len());
        let end = usize::try_from(rows.end).unwrap_or(usize::MAX).min(bits.len());
        let (before, wanted) = (&bits[..start], &bits[start..end.max(start)]);
        let first = before.iter().filter(|&&bit| bit != 0).count() as u64;
        let places: Vec<usize> = wanted.iter().enumerate().filter(|(_, bit)| **bit != 0).map(|(row, _)| row).collect();
        let values = first..first + places.len() as u64;
        Ok((Some(places), values))
    }

    fn form(&mut self, stream: usize, form: Form, values: &Range<u64>) -> Result<Vec<u64>> {
        match form {
            Form::Same(value) => Ok(vec![value; usize::try_from(values.end - values.start).unwrap_or(0)]),
            Form::Run(at) => self.run(stream, at.saturating_add(values.start)..at.saturating_add(values.end)),
        }
    }

    /// Parts of runs that lie `count` apart: the same values of each of `width` columns.
    fn lists(&mut self, stream: usize, at: u64, width: u64, count: u64, values: &Range<u64>) -> Result<Vec<u64>> {
        if *values == (0..count) {
            return self.run(stream, at..at.saturating_add(width.saturating_mul(count)));
        }
        let mut run = Vec::new();
        for place in 0..width {
            let start = at.saturating_add(place.saturating_mul(count));
            run.extend(self.run(stream, start.saturating_add(values.start)..start.saturating_add(values.end))?);
        }
        Ok(run)
    }

    fn cells(&mut self, column: Column<CellForm>, rows: u64, values: &Range<u64>) -> Result<Vec<Vec<u8>>> {
        let count = column.count(rows);
        let wanted = usize::try_from(values.end - values.start).unwrap_or(0);
        match column.form {
            CellForm::Same(number) => {
                let cell = self.dictionaries()?.cells[3].get(number as usize).cloned();
                let cell = cell.ok_or_else(|| self.damaged("a series refers to a cell that is not there"))?;
                Ok(vec![cell.to_vec(); wanted])
            }
            CellForm::Counts { width, at } => {
                Ok(cells_of_counts(&self.lists(COUNTS, at, width, count, values)?, wanted))
            }
            CellForm::Doubles { width, at } => {
                Ok(cells_of_doubles(&self.lists(DOUBLES, at, width, count, values)?, wanted))
            }
            CellForm::Buckets { offsets, lengths, base, width, at } => {
                let offsets = self.form(OFFSETS, offsets, values)?;
                let lengths = self.form(LENGTHS, lengths, values)?;
                let run = self.lists(EXPONENTIAL, at, width, count, values)?;
                let cells = cells_of_buckets(&run, base, &offsets, &lengths);
                cells.ok_or_else(|| self.damaged("the buckets of a series are malformed"))
            }
            CellForm::Blob { lengths, at } => {
                let lengths = self.form(LENGTHS, lengths, &(0..values.end))?;
                let skipped = usize::try_from(values.start).unwrap_or(usize::MAX).min(lengths.len());
                let start = at.saturating_add(lengths[..skipped].iter().sum());
                let end = start.saturating_add(lengths[skipped..].iter().sum());
                let bytes = self.blobs.read(&self.block.data, &self.block.blobs, start..end)?;
                let mut rest = &bytes[..];
                let mut cells = Vec::with_capacity(wanted);
                for length in &lengths[skipped..] {
                    let cell = usize::try_from(*length).ok().and_then(|length| rest.split_off(..length));
                    cells.push(cell.ok_or_else(|| self.damaged("the cells of a series are malformed"))?.to_vec());
                }
                Ok(cells)
            }
        }
    }
}

fn series_of(entry: &Entry, dictionaries: &Dictionaries) -> Option<Series> {
    let [name, service_name, unit, description, metadata, resource, scope] = entry.parts.map(|part| part as usize);
    let text = |which: usize, number: usize| dictionaries.texts.get(which)?.get(number).cloned();
    let cell = |which: usize, number: usize| dictionaries.cells.get(which)?.get(number).cloned();
    Some(Series {
        name: text(0, name)?,
        r#type: entry.r#type,
        service_name: text(1, service_name)?,
        resource: cell(1, resource)?,
        scope: cell(2, scope)?,
        unit: text(2, unit)?,
        description: text(3, description)?,
        metadata: cell(0, metadata)?,
        temporality: entry.temporality,
        is_monotonic: entry.is_monotonic,
        attributes: entry.attributes.as_slice().into(),
    })
}

impl SeriesSource for SeriesReader {
    fn groups(&self) -> usize {
        self.block.groups.len()
    }

    fn group(&mut self, group: usize) -> Result<Vec<Stored>> {
        let count = self.load_group(group)?.len();
        let numbers = (group * GROUP..group * GROUP + count).filter_map(|number| u32::try_from(number).ok());
        numbers.map(|number| self.stored(number)).collect()
    }

    fn each_match(&mut self, matchers: &[Matcher], each: &mut dyn FnMut(Stored) -> bool) -> Result<()> {
        let found = self.block.postings.find(matchers)?;
        for number in found.series {
            let stored = self.stored(number)?;
            let matches = found.exact || matchers.iter().all(|matcher| matcher.matches(&stored.series));
            if matches && !each(stored) {
                break;
            }
        }
        Ok(())
    }

    fn rows_in(&mut self, stored: &Stored, time: TimeRange) -> Result<Range<usize>> {
        if time.covers(stored.min_time, stored.max_time) {
            return Ok(0..usize::try_from(stored.rows).unwrap_or(usize::MAX));
        }
        let entry = self.entry(stored.number)?;
        Ok(rows_in(&self.times(&entry)?, time))
    }

    fn samples(&mut self, stored: &Stored, rows: Range<usize>, fields: Fields) -> Result<Samples> {
        let entry = self.entry(stored.number)?;
        let times = self.times(&entry)?.get(rows.clone()).map(<[i64]>::to_vec);
        let times = times.ok_or_else(|| self.damaged("a series has fewer samples than it says"))?;
        let mut samples = Samples { times, ..Samples::default() };
        let wanted = rows.start as u64..rows.end as u64;
        for place in (0..NUMBERS.len()).filter(|place| fields.number(*place)) {
            let Some(column) = entry.numbers[place] else { continue };
            let (at, values) = self.present(&entry, column.presence, &wanted)?;
            let values = self.form(FIRST_NUMBER + place, column.form, &values)?;
            let numbers = &mut samples.numbers[place];
            match at {
                None => numbers.extend(0, &values),
                Some(at) => at.into_iter().zip(values).for_each(|(row, value)| numbers.set(row, value)),
            }
        }
        for place in (0..CELLS.len()).filter(|place| fields.cell(*place)) {
            let Some(column) = entry.cells[place] else { continue };
            let (at, values) = self.present(&entry, column.presence, &wanted)?;
            let cells = self.cells(column, entry.rows, &values)?;
            let at = at.unwrap_or_else(|| (0..cells.len()).collect());
            at.into_iter().zip(&cells).for_each(|(row, cell)| samples.cells[place].set(row, cell));
        }
        Ok(samples)
    }

    fn doubles(&mut self, stored: &Stored, time: TimeRange) -> Result<Option<Doubles>> {
        let entry = self.entry(stored.number)?;
        let times = self.times(&entry)?;
        let covers = time.covers(stored.min_time, stored.max_time);
        let rows = if covers { 0..times.len() } else { rows_in(&times, time) };
        let Some(values) = self.doubles_of(&entry, &rows)? else { return Ok(None) };
        let times = if rows == (0..times.len()) { times } else { times.get(rows).unwrap_or_default().into() };
        Ok(Some(Doubles { times, values }))
    }
}
