//! How are values written (G1)?

use crate::promql::Answer;
use crate::series::number::{json, plain};
use crate::series::{Grid, Histogram, Labels, RawSeries, Row, Value};

/// A text of JSON.
pub(super) fn text(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Some readers take these two for ends of lines.
            '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
}

/// A list of JSON.
pub(super) fn list<T>(out: &mut String, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut String, T)) {
    out.push('[');
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

/// The same of what an answer may be too long for: `admit` is told how many bytes each item has taken.
pub(super) fn admitted<T, E>(
    out: &mut String,
    items: impl IntoIterator<Item = T>,
    admit: &mut impl FnMut(usize) -> Result<(), E>,
    mut write: impl FnMut(&mut String, T),
) -> Result<(), E> {
    out.push('[');
    for (place, item) in items.into_iter().enumerate() {
        let before = out.len();
        if place > 0 {
            out.push(',');
        }
        write(out, item);
        admit(out.len() - before)?;
    }
    out.push(']');
    Ok(())
}

/// Labels as an object.
pub(super) fn labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (place, (name, value)) in labels.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        text(out, name);
        out.push(':');
        text(out, value);
    }
    out.push('}');
}

/// Seconds: whole ones bare, others with three digits.
pub(super) fn moment(out: &mut String, milliseconds: i64) {
    let sign = if milliseconds < 0 { "-" } else { "" };
    let size = milliseconds.unsigned_abs();
    out.push_str(&format!("{sign}{}", size / 1000));
    if !size.is_multiple_of(1000) {
        out.push_str(&format!(".{:03}", size % 1000));
    }
}

/// The same as scalars and strings have it: as few digits as there need be.
fn seconds(milliseconds: i64) -> String {
    plain(milliseconds as f64 / 1000.0)
}

fn number(out: &mut String, value: f64) {
    out.push_str(&format!("\"{}\"", json(value)));
}

fn float_point(out: &mut String, time: i64, value: f64) {
    out.push('[');
    moment(out, time);
    out.push(',');
    number(out, value);
    out.push(']');
}

fn histogram_point(out: &mut String, time: i64, histogram: &Histogram) {
    out.push('[');
    moment(out, time);
    out.push_str(",{\"count\":");
    number(out, histogram.count);
    out.push_str(",\"sum\":");
    number(out, histogram.sum);
    let intervals: Vec<_> = histogram.intervals().into_iter().filter(|interval| interval.count != 0.0).collect();
    if !intervals.is_empty() {
        out.push_str(",\"buckets\":");
        list(out, intervals, |out, interval| {
            let rule = match (interval.lower_inclusive, interval.upper_inclusive) {
                (false, true) => 0,
                (true, false) => 1,
                (false, false) => 2,
                (true, true) => 3,
            };
            out.push_str(&format!("[{rule},"));
            number(out, interval.lower);
            out.push(',');
            number(out, interval.upper);
            out.push(',');
            number(out, interval.count);
            out.push(']');
        });
    }
    out.push_str("}]");
}

fn point(out: &mut String, time: i64, value: &Value) {
    match value {
        Value::Float(value) => float_point(out, time, *value),
        Value::Histogram(histogram) => histogram_point(out, time, histogram),
    }
}

/// The points of a series: numbers apart from histograms.
fn points<'a>(out: &mut String, points: impl Iterator<Item = (i64, &'a Value)> + Clone) {
    let floats = points.clone().filter(|(_, value)| value.float().is_some());
    let histograms = points.filter(|(_, value)| value.histogram().is_some());
    if floats.clone().next().is_some() {
        out.push_str(",\"values\":");
        list(out, floats, |out, (time, value)| point(out, time, value));
    }
    if histograms.clone().next().is_some() {
        out.push_str(",\"histograms\":");
        list(out, histograms, |out, (time, value)| point(out, time, value));
    }
}

/// The type of an answer and the answer. `is_range` says whether a vector is one of many steps; `admit` is asked after each series whether
/// so many bytes more may be held.
pub(super) fn answer<E>(
    out: &mut String,
    answer: &Answer,
    (grid, is_range): (Grid, bool),
    mut admit: impl FnMut(usize) -> Result<(), E>,
) -> Result<(), E> {
    let metric = |out: &mut String, own: &Labels| {
        out.push_str("{\"metric\":");
        labels(out, own);
    };
    match answer {
        Answer::Scalar(values) if !is_range => {
            let value = plain(values.first().copied().unwrap_or(f64::NAN));
            out.push_str(&format!("\"resultType\":\"scalar\",\"result\":[{},\"{value}\"]", seconds(grid.start)));
        }
        Answer::Text(bytes) => {
            let mut told = String::new();
            text(&mut told, &String::from_utf8_lossy(bytes));
            // Go's own encoder writes this one, so that it may stand in a page.
            let told = told.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
            out.push_str(&format!("\"resultType\":\"string\",\"result\":[{},{told}]", seconds(grid.start)));
        }
        Answer::Scalar(values) => {
            let cells = values.iter().map(|value| Some(Value::Float(*value))).collect();
            rows(out, &[Row { labels: Labels::default(), drop_name: false, cells }], grid, &mut admit)?;
        }
        Answer::Instant(found) if is_range => rows(out, found, grid, &mut admit)?,
        Answer::Instant(found) => {
            out.push_str("\"resultType\":\"vector\",\"result\":");
            let found = found.iter().filter_map(|row| Some((row, row.cells.first()?.as_ref()?)));
            admitted(out, found, &mut admit, |out, (row, value)| {
                metric(out, &row.labels);
                out.push_str(if value.float().is_some() { ",\"value\":" } else { ",\"histogram\":" });
                point(out, grid.start, value);
                out.push('}');
            })?;
        }
        Answer::Range(series) => {
            out.push_str("\"resultType\":\"matrix\",\"result\":");
            admitted(out, series, &mut admit, |out, series: &RawSeries| {
                metric(out, &series.labels);
                points(out, series.samples.iter().map(|sample| (sample.time, &sample.value)));
                out.push('}');
            })?;
        }
    }
    Ok(())
}

fn rows<E>(
    out: &mut String,
    rows: &[Row],
    grid: Grid,
    admit: &mut impl FnMut(usize) -> Result<(), E>,
) -> Result<(), E> {
    out.push_str("\"resultType\":\"matrix\",\"result\":");
    admitted(out, rows, admit, |out, row| {
        out.push_str("{\"metric\":");
        labels(out, &row.labels);
        let cells = row.cells.iter().enumerate();
        points(out, cells.filter_map(|(step, cell)| Some((grid.at(step), cell.as_ref()?))));
        out.push('}');
    })
}
