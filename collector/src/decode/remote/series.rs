//! How are the messages of both versions walked? A series is walked twice: once for its labels, which may stand anywhere, once for
//! what it holds.

use super::super::wire::{Reader, Result as Walk, Within};
use super::known::Known;
use super::rows::{Rows, Told};
use super::{MAX_LABELS, Unfit, Version};

/// Keys of `prometheus.WriteRequest` and what is in it.
pub(super) mod key_1 {
    use super::super::super::wire::{bytes, fields, fixed64, varint};
    pub(in super::super) const SERIES: u32 = bytes(1);
    pub(in super::super) const METADATA: u32 = bytes(3);
    pub(super) const ALL: u64 = fields(&[1, 3]);
    pub(in super::super) const LABELS: u32 = bytes(1);
    pub(in super::super) const SAMPLES: u32 = bytes(2);
    pub(in super::super) const EXEMPLARS: u32 = bytes(3);
    pub(in super::super) const HISTOGRAMS: u32 = bytes(4);
    pub(super) const SERIES_ALL: u64 = fields(&[1, 2, 3, 4]);
    pub(super) const NAME: u32 = bytes(1);
    pub(super) const VALUE: u32 = bytes(2);
    pub(super) const LABEL_ALL: u64 = fields(&[1, 2]);
    pub(super) const SAMPLE_VALUE: u32 = fixed64(1);
    pub(super) const SAMPLE_TIME: u32 = varint(2);
    /// Version 2 alone has it; in version 1 it is a field like others that nobody knows.
    pub(super) const SAMPLE_START: u32 = varint(3);
    pub(super) const SAMPLE_ALL: u64 = fields(&[1, 2]);
    pub(super) const EXEMPLAR_LABELS: u32 = bytes(1);
    pub(super) const EXEMPLAR_VALUE: u32 = fixed64(2);
    pub(super) const EXEMPLAR_TIME: u32 = varint(3);
    pub(super) const EXEMPLAR_ALL: u64 = fields(&[1, 2, 3]);
    pub(super) const TYPE: u32 = varint(1);
    pub(super) const FAMILY: u32 = bytes(2);
    pub(super) const HELP: u32 = bytes(4);
    pub(super) const UNIT: u32 = bytes(5);
    pub(super) const METADATA_ALL: u64 = fields(&[1, 2, 4, 5]);
}

/// Keys of `io.prometheus.write.v2.Request` and what is in it; those of samples and exemplars are alike but for labels.
pub(super) mod key_2 {
    use super::super::super::wire::{bytes, fields, varint};
    pub(in super::super) const SYMBOLS: u32 = bytes(4);
    pub(in super::super) const SERIES: u32 = bytes(5);
    pub(super) const ALL: u64 = fields(&[4, 5]);
    pub(in super::super) const REFERENCE: u32 = varint(1);
    pub(in super::super) const REFERENCES: u32 = bytes(1);
    pub(in super::super) const SAMPLES: u32 = bytes(2);
    pub(in super::super) const HISTOGRAMS: u32 = bytes(3);
    pub(in super::super) const EXEMPLARS: u32 = bytes(4);
    pub(in super::super) const META: u32 = bytes(5);
    /// Of early senders, which told it once for a series.
    pub(super) const CREATED: u32 = varint(6);
    pub(super) const SERIES_ALL: u64 = fields(&[1, 2, 3, 4, 5, 6]);
    pub(super) const SAMPLE_ALL: u64 = fields(&[1, 2, 3]);
    pub(super) const TYPE: u32 = varint(1);
    pub(super) const HELP: u32 = varint(3);
    pub(super) const UNIT: u32 = varint(4);
    pub(super) const META_ALL: u64 = fields(&[1, 3, 4]);
}

/// Walks a message of version 1.
pub(super) fn request_1<'a>(message: &'a [u8], known: &mut Known, rows: &mut Rows<'a>) -> Walk<()> {
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key_1::SERIES => {
                series_1(reader.bytes()?, known, rows).within("timeseries")?;
                rows.place += 1;
            }
            key_1::METADATA => metadata_1(reader.bytes()?, rows).within("metadata")?,
            _ => reader.other(key, key_1::ALL)?,
        }
    }
    Ok(())
}

/// A series whose labels come first, as every sender has them: their bytes, and what is behind.
struct LabelsFirst<'a> {
    labels: &'a [u8],
    rest: &'a [u8],
}

impl<'a> LabelsFirst<'a> {
    /// `None` where labels stand elsewhere, or something is malformed.
    fn of(message: &'a [u8]) -> Option<Self> {
        let mut behind = Reader::new(message);
        let mut reader = behind;
        while reader.key().ok()? == Some(key_1::LABELS) {
            reader.bytes().ok()?;
            behind = reader;
        }
        let rest = behind.rest();
        while let Some(key) = behind.key().ok()? {
            match key {
                key_1::SAMPLES | key_1::EXEMPLARS | key_1::HISTOGRAMS => drop(behind.bytes().ok()?),
                _ => return None,
            }
        }
        let labels = message.get(..message.len() - rest.len())?;
        Some(LabelsFirst { labels, rest })
    }
}

fn series_1<'a>(message: &'a [u8], known: &mut Known, rows: &mut Rows<'a>) -> Walk<()> {
    let Some(series) = LabelsFirst::of(message) else { return series_1_unknown(message, rows) };
    match known.find(series.labels) {
        Some(meaning) if rows.begin_known(series.labels, &meaning) => points_1(series.rest, rows),
        _ => {
            series_1_unknown(message, rows)?;
            if let Some(meaning) = rows.meaning(series.labels) {
                known.learn(series.labels, &meaning);
            }
            Ok(())
        }
    }
}

fn series_1_unknown<'a>(message: &'a [u8], rows: &mut Rows<'a>) -> Walk<()> {
    let mut points = 0;
    rows.labels.clear();
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key_1::LABELS => {
                let label = label(reader.bytes()?).within("labels")?;
                keep(&mut rows.labels, label);
            }
            key_1::SAMPLES | key_1::EXEMPLARS | key_1::HISTOGRAMS => {
                reader.bytes()?;
                points += 1;
            }
            _ => reader.other(key, key_1::SERIES_ALL)?,
        }
    }
    rows.begin(Told::default(), Ok(()), points);
    points_1(message, rows)
}

/// What a series of version 1 has beside its labels.
fn points_1<'a>(message: &'a [u8], rows: &mut Rows<'a>) -> Walk<()> {
    let mut exemplar = Vec::new();
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key_1::LABELS => drop(reader.bytes()?),
            key_1::SAMPLES => {
                let [value, time, _] = sample(reader.bytes()?, key_1::SAMPLE_ALL).within("samples")?;
                rows.sample(f64::from_bits(value), time.cast_signed(), 0);
            }
            key_1::HISTOGRAMS => {
                rows.histogram.read(reader.bytes()?).within("histograms")?;
                rows.histogram(0);
            }
            key_1::EXEMPLARS => {
                exemplar.clear();
                let (value, time) = exemplar_1(reader.bytes()?, &mut exemplar).within("exemplars")?;
                rows.exemplar(&exemplar, Ok(()), value, time);
            }
            _ => reader.other(key, 0)?,
        }
    }
    rows.end();
    Ok(())
}

/// Keeps a label, one past the limit at most: that one is told.
fn keep<'a>(labels: &mut Vec<(&'a str, &'a str)>, label: (&'a str, &'a str)) {
    if labels.len() <= MAX_LABELS {
        labels.push(label);
    }
}

fn label(message: &[u8]) -> Walk<(&str, &str)> {
    let (mut name, mut value) = ("", "");
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key_1::NAME => name = reader.str()?,
            key_1::VALUE => value = reader.str()?,
            _ => reader.other(key, key_1::LABEL_ALL)?,
        }
    }
    Ok((name, value))
}

/// Value, time and start of a sample, as their 64 bits.
fn sample(message: &[u8], known: u64) -> Walk<[u64; 3]> {
    let [mut value, mut time, mut start] = [0; 3];
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key_1::SAMPLE_VALUE => value = reader.fixed64()?,
            key_1::SAMPLE_TIME => time = reader.varint()?,
            key_1::SAMPLE_START => start = reader.varint()?,
            _ => reader.other(key, known)?,
        }
    }
    Ok([value, time, start])
}

fn exemplar_1<'a>(message: &'a [u8], labels: &mut Vec<(&'a str, &'a str)>) -> Walk<(f64, i64)> {
    let (mut value, mut time) = (0.0, 0);
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key_1::EXEMPLAR_LABELS => keep(labels, label(reader.bytes()?).within("labels")?),
            key_1::EXEMPLAR_VALUE => value = reader.double()?,
            key_1::EXEMPLAR_TIME => time = reader.varint()?.cast_signed(),
            _ => reader.other(key, key_1::EXEMPLAR_ALL)?,
        }
    }
    Ok((value, time))
}

fn metadata_1<'a>(message: &'a [u8], rows: &mut Rows<'a>) -> Walk<()> {
    let (mut family, mut told) = ("", Told::default());
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key_1::TYPE => told.r#type = reader.int32()?,
            key_1::FAMILY => family = reader.str()?,
            key_1::HELP => told.help = reader.str()?,
            key_1::UNIT => told.unit = reader.str()?,
            _ => reader.other(key, key_1::METADATA_ALL)?,
        }
    }
    rows.metadata(family, told);
    Ok(())
}

/// Whether the first symbol of a message of version 2 is empty, as its specification demands: a reference of 0 says nothing. One without
/// symbols has none to refer to. Looked at where messages come in; a log may hold others.
pub(crate) fn check_symbols(version: Version, message: &[u8]) -> Result<(), String> {
    let mut reader = Reader::new(message);
    while let (Version::Two, Ok(Some(key))) = (version, reader.key()) {
        let went_on = match key {
            key_2::SYMBOLS => match reader.bytes() {
                Ok([]) | Err(_) => return Ok(()),
                Ok(symbol) => {
                    let shown: String = String::from_utf8_lossy(symbol).chars().take(100).collect();
                    return Err(format!("symbols[0] is {shown:?}; the first symbol must be the empty text"));
                }
            },
            _ => reader.other(key, 0),
        };
        if went_on.is_err() {
            break;
        }
    }
    Ok(())
}

/// Walks a message of version 2.
pub(super) fn request_2<'a>(message: &'a [u8], rows: &mut Rows<'a>) -> Walk<()> {
    let mut symbols = Vec::new();
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key_2::SYMBOLS => symbols.push(reader.str().within("symbols")?),
            key_2::SERIES => drop(reader.bytes()?),
            _ => reader.other(key, key_2::ALL)?,
        }
    }
    let mut references = Vec::new();
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key_2::SYMBOLS => drop(reader.bytes()?),
            key_2::SERIES => {
                series_2(reader.bytes()?, &symbols, &mut references, rows).within("timeseries")?;
                rows.place += 1;
            }
            _ => reader.other(key, 0)?,
        }
    }
    Ok(())
}

fn series_2<'a>(message: &'a [u8], symbols: &[&'a str], references: &mut Vec<u32>, rows: &mut Rows<'a>) -> Walk<()> {
    let (mut points, mut created, mut told, mut meta_fits) = (0, 0, Told::default(), Ok(()));
    references.clear();
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key_2::REFERENCE | key_2::REFERENCES => read_references(key, &mut reader, references)?,
            key_2::SAMPLES | key_2::HISTOGRAMS | key_2::EXEMPLARS => {
                reader.bytes()?;
                points += 1;
            }
            key_2::META => meta_fits = meta(reader.bytes()?, symbols, &mut told).within("metadata")?,
            key_2::CREATED => created = reader.varint()?.cast_signed(),
            _ => reader.other(key, key_2::SERIES_ALL)?,
        }
    }
    rows.labels.clear();
    let fits = resolve(references, symbols, &mut rows.labels).and(meta_fits);
    rows.begin(told, fits, points);
    let mut exemplar = Vec::new();
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key_2::SAMPLES => {
                let [value, time, start] = sample(reader.bytes()?, key_2::SAMPLE_ALL).within("samples")?;
                let start = if start == 0 { created } else { start.cast_signed() };
                rows.sample(f64::from_bits(value), time.cast_signed(), start);
            }
            key_2::HISTOGRAMS => {
                rows.histogram.read(reader.bytes()?).within("histograms")?;
                rows.histogram(created);
            }
            key_2::EXEMPLARS => {
                references.clear();
                let (value, time) = exemplar_2(reader.bytes()?, references).within("exemplars")?;
                exemplar.clear();
                let fits = resolve(references, symbols, &mut exemplar);
                rows.exemplar(&exemplar, fits, value, time);
            }
            _ => reader.other(key, 0)?,
        }
    }
    rows.end();
    Ok(())
}

/// Reads references to symbols, packed or one by one, some past the limit at most.
fn read_references(key: u32, reader: &mut Reader<'_>, references: &mut Vec<u32>) -> Walk<()> {
    let mut push = |reference: u32| {
        if references.len() <= 2 * MAX_LABELS {
            references.push(reference);
        }
    };
    if key == key_2::REFERENCE {
        push(reader.uint32()?);
        return Ok(());
    }
    let mut packed = Reader::new(reader.bytes()?);
    while !packed.is_empty() {
        push(packed.uint32()?);
    }
    Ok(())
}

fn resolve<'a>(references: &[u32], symbols: &[&'a str], labels: &mut Vec<(&'a str, &'a str)>) -> Result<(), Unfit> {
    if references.len() > 2 * MAX_LABELS {
        return Err(Unfit::TooManyLabels);
    }
    let (pairs, rest) = references.as_chunks::<2>();
    for [name, value] in pairs {
        labels.push((symbol(*name, symbols)?, symbol(*value, symbols)?));
    }
    if rest.is_empty() { Ok(()) } else { Err(Unfit::OddReferences) }
}

fn symbol<'a>(reference: u32, symbols: &[&'a str]) -> Result<&'a str, Unfit> {
    let found = usize::try_from(reference).ok().and_then(|place| symbols.get(place));
    found.copied().ok_or(Unfit::Reference { reference, symbols: symbols.len() })
}

fn exemplar_2(message: &[u8], references: &mut Vec<u32>) -> Walk<(f64, i64)> {
    let (mut value, mut time) = (0.0, 0);
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key_2::REFERENCE | key_2::REFERENCES => read_references(key, &mut reader, references)?,
            key_1::EXEMPLAR_VALUE => value = reader.double()?,
            key_1::EXEMPLAR_TIME => time = reader.varint()?.cast_signed(),
            _ => reader.other(key, key_1::EXEMPLAR_ALL)?,
        }
    }
    Ok((value, time))
}

fn meta<'a>(message: &'a [u8], symbols: &[&'a str], told: &mut Told<'a>) -> Walk<Result<(), Unfit>> {
    let (mut help, mut unit) = (0, 0);
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key_2::TYPE => told.r#type = reader.int32()?,
            key_2::HELP => help = reader.uint32()?,
            key_2::UNIT => unit = reader.uint32()?,
            _ => reader.other(key, key_2::META_ALL)?,
        }
    }
    // The first symbol is empty, and stands for nothing told even where there are no symbols.
    let text = |reference| if reference == 0 { Ok("") } else { symbol(reference, symbols) };
    let texts = text(help).and_then(|help| Ok((help, text(unit)?)));
    Ok(texts.map(|(help, unit)| (told.help, told.unit) = (help, unit)))
}
