//! What does a text of metrics say? Prometheus's text format 0.0.4 and OpenMetrics 1.
//!
//! T1  A text is read whole or refused with line and column; nothing is guessed.
//! T2  Names may be quoted, as in `{"any text", label="value"}`.
//! T3  Times of Prometheus's format are milliseconds, those of OpenMetrics seconds. A sample without one has that of the text.
//! T4  What OpenMetrics says with `_created` is the start time of the samples beside it, and a series of its own as in Prometheus.
//! T5  OpenMetrics ends with `# EOF`: a text that was cut off is not taken for a whole one.
//! T6  Bounds (`le`) and quantiles are numbers: those that are equal are one label, written as Prometheus 3 does (`1.0`).
//!
//! - `line`: one line.
//!
//! Not here: what becomes of the samples (`remote`), where texts come from (`receiver`).

mod line;
#[cfg(test)]
mod tests;

use super::exposition::{
    COUNTER, Family, Found, GAUGE_HISTOGRAM, HISTOGRAM, INFO, Imported, Labels, LastExemplars, Measured, SUMMARY,
    Sample, hashed, open_float, write,
};
use super::remote::writer::Writer;
use line::Wrong;
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// Prometheus's text format, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.
    OpenMetrics,
}

impl TextFormat {
    /// What a text looks like: OpenMetrics has an end.
    pub(crate) fn detect(text: &[u8]) -> Self {
        let rest = text.strip_suffix(b"\n").unwrap_or(text);
        let is_ended = rest.strip_suffix(b"# EOF").is_some_and(|before| before.is_empty() || before.ends_with(b"\n"));
        if is_ended { TextFormat::OpenMetrics } else { TextFormat::Prometheus }
    }
}

/// Where and why a text is none of that format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct TextError {
    /// From 1.
    pub line: usize,
    /// Characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
}

/// What a line is.
enum Line<'a> {
    Nothing,
    End,
    Type(Cow<'a, str>, i32),
    Help(Cow<'a, str>, String),
    Unit(Cow<'a, str>, &'a str),
    Sample(Sample<'a>),
}

/// Calls back for each sample of a text.
pub(crate) fn parse<'a>(
    format: TextFormat,
    text: &'a [u8],
    mut found: impl FnMut(Found<'a, '_>),
) -> Result<(), TextError> {
    let text = std::str::from_utf8(text).map_err(|error| {
        let good = text.get(..error.valid_up_to()).unwrap_or_default();
        place(&String::from_utf8_lossy(good), good.len(), "the text is not UTF-8".to_owned())
    })?;
    let mut families: HashMap<Cow<'a, str>, Arc<Family>> = HashMap::new();
    let none = Arc::new(Family::default());
    let starts = if format == TextFormat::OpenMetrics { starts(text)? } else { HashMap::new() };
    let mut has_ended = false;
    for (number, line) in (1usize..).zip(text.lines()) {
        let wrong = |wrong: Wrong| wrong.at_line(number, line);
        if has_ended {
            return Err(wrong(Wrong::new(0, "there is text behind `# EOF`")));
        }
        match line::read(format, line).map_err(wrong)? {
            Line::Nothing => {}
            Line::End => has_ended = true,
            Line::Type(name, r#type) => family(&mut families, name).r#type = r#type,
            Line::Help(name, help) => family(&mut families, name).help = help,
            Line::Unit(name, unit) => unit.clone_into(&mut family(&mut families, name).unit),
            Line::Sample(mut sample) => {
                let (name, family) = family_of(format, &families, &sample.name).unwrap_or(("", &none));
                // The start itself is none of the family's samples.
                let is_start = name.len() < sample.name.len() && sample.name.ends_with("_created");
                if is_start || starts.is_empty() || name.is_empty() {
                    normalise(family, &mut sample.labels);
                    found(Found { sample, family: if is_start { &none } else { family }, start: 0 });
                    continue;
                }
                let start = starts.get(&identity(name, &sample.labels)).copied().unwrap_or_default();
                normalise(family, &mut sample.labels);
                found(Found { sample, family, start });
            }
        }
    }
    if format == TextFormat::OpenMetrics && !has_ended {
        return Err(place(text, text.len(), "the text ends without `# EOF`: it was cut off".to_owned()));
    }
    Ok(())
}

/// The family of a name, to be told more of.
fn family<'a, 'f>(families: &'f mut HashMap<Cow<'a, str>, Arc<Family>>, name: Cow<'a, str>) -> &'f mut Family {
    let named = || Arc::new(Family { name: name.to_string(), ..Family::default() });
    Arc::make_mut(match families.entry(name.clone()) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(vacant) => vacant.insert(named()),
    })
}

/// Writes a bound or quantile as all do (T6).
fn normalise(family: &Family, labels: &mut Labels<'_>) {
    let key = match family.r#type {
        HISTOGRAM => "le",
        SUMMARY => "quantile",
        _ => return,
    };
    for (_, value) in labels.iter_mut().filter(|(name, _)| name == key) {
        if let Ok(number) = value.parse() {
            *value = Cow::Owned(open_float(number));
        }
    }
}

/// An error at a byte of a whole text.
fn place(text: &str, at: usize, what: String) -> TextError {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    TextError { line, column, what }
}

/// What the lines that end in `_created` say, by family and labels.
fn starts(text: &str) -> Result<HashMap<String, i64>, TextError> {
    let mut starts = HashMap::new();
    for (number, line) in (1usize..).zip(text.lines()).filter(|(_, line)| line.contains("_created")) {
        let read = line::read(TextFormat::OpenMetrics, line).map_err(|wrong| wrong.at_line(number, line))?;
        if let Line::Sample(sample) = read
            && let Some(family) = sample.name.strip_suffix("_created")
        {
            let Measured::Number(seconds) = sample.value else { continue };
            let milliseconds = (seconds * 1_000.0).round();
            if milliseconds.abs() < 9e15 {
                #[expect(clippy::cast_possible_truncation, reason = "its size was looked at")]
                starts.insert(identity(family, &sample.labels), milliseconds as i64);
            }
        }
    }
    Ok(starts)
}

/// What the samples of one moment of a metric have in common.
fn identity(family: &str, labels: &Labels<'_>) -> String {
    let mut own: Vec<_> = labels.iter().filter(|(name, _)| !matches!(&**name, "le" | "quantile")).collect();
    own.sort_unstable();
    let mut text = family.to_owned();
    for (name, value) in own {
        text.extend(["\0", name, "\0", value]);
    }
    text
}

/// The family that a sample belongs to, by its name and the suffixes of the family's type.
fn family_of<'n, 'f>(
    format: TextFormat,
    families: &'f HashMap<Cow<'_, str>, Arc<Family>>,
    name: &'n str,
) -> Option<(&'n str, &'f Arc<Family>)> {
    if let Some(family) = families.get(name) {
        return Some((name, family));
    }
    let is_open = format == TextFormat::OpenMetrics;
    let suffixes: [(&str, bool, &[i32]); 8] = [
        ("_total", is_open, &[COUNTER]),
        ("_created", is_open, &[COUNTER, HISTOGRAM, SUMMARY]),
        ("_bucket", true, &[HISTOGRAM, GAUGE_HISTOGRAM]),
        ("_sum", true, &[HISTOGRAM, SUMMARY]),
        ("_count", true, &[HISTOGRAM, SUMMARY]),
        ("_gsum", is_open, &[GAUGE_HISTOGRAM]),
        ("_gcount", is_open, &[GAUGE_HISTOGRAM]),
        ("_info", is_open, &[INFO]),
    ];
    suffixes.into_iter().filter(|(_, is_known, _)| *is_known).find_map(|(suffix, _, types)| {
        let base = name.strip_suffix(suffix)?;
        let family = families.get(base).filter(|family| types.contains(&family.r#type))?;
        Some((base, family))
    })
}

/// Memory that a text takes on its way, at most: a line becomes a series, or a family in a table; a quoted text a symbol.
pub(crate) fn weight(text: &[u8]) -> usize {
    const SERIES_BYTES: usize = 128;
    const FAMILY_BYTES: usize = 256;
    const QUOTE_BYTES: usize = 24;
    let of_line = |line: &[u8]| {
        let is_family = line.iter().find(|byte| !matches!(byte, b' ' | b'\t')) == Some(&b'#');
        let quotes = line.iter().filter(|byte| **byte == b'"').count();
        quotes * QUOTE_BYTES + if is_family { FAMILY_BYTES } else { SERIES_BYTES }
    };
    let tables = text.split(|byte| *byte == b'\n').map(of_line).fold(0usize, usize::saturating_add);
    text.len().saturating_mul(2).saturating_add(tables)
}

/// Turns a text into a message of remote write 2, and tells what its last exemplars are, to be remembered once it is stored. Samples without
/// a time get the one given, in milliseconds; series are told apart from those of others by a number.
pub(crate) fn to_remote_write(
    format: TextFormat,
    text: &[u8],
    time: i64,
    (imported, whose): (&Imported, u64),
) -> Result<(Vec<u8>, LastExemplars), TextError> {
    let (mut writer, mut last) = (Writer::default(), LastExemplars::default());
    parse(format, text, |mut found| {
        if !found.sample.exemplars.is_empty() {
            let series = hashed(&found.sample.labels) ^ xxh3_64(found.sample.name.as_bytes()) ^ whose;
            last.leave_out_imported(series, &mut found.sample.exemplars, imported);
        }
        let labels = found.sample.labels.iter().map(|(name, value)| (&**name, &**value));
        write(&mut writer, &found.sample.name, labels, &found, found.sample.timestamp.unwrap_or(time));
    })?;
    Ok((writer.finish(), last))
}
