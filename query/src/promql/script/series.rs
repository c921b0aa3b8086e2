//! What does `name{label="a"} 1 2+3x4 _ stale {{schema:0 sum:1 count:2 buckets:[1 1]}}` say?

use crate::promql::duration;
use crate::promql::parser::{number, unquoted};
use crate::series::{Bucket, Hint, Histogram, Labels, NAME, Value, stale};

/// A value of a series, and whether its hint was written.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) value: Value,
    pub(super) has_hint: bool,
}

/// One per step; `None` where there is no sample.
pub(super) type Points = Vec<Option<Point>>;

/// Labels, and what follows them.
pub(super) fn labels(line: &str) -> Result<(Labels, &str), String> {
    let end = line.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_' && letter != ':');
    let (name, mut rest) = line.split_at(end.unwrap_or(line.len()));
    let mut pairs = Vec::new();
    if !name.is_empty() {
        pairs.push((NAME.to_owned(), name.to_owned()));
    }
    if let Some(inside) = rest.strip_prefix('{').filter(|inside| !inside.starts_with('{')) {
        rest = inside.trim_start();
        while !rest.starts_with('}') {
            let (label, next) = if rest.starts_with(['"', '\'', '`']) {
                text(rest)?
            } else {
                let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
                let (label, next) = rest.split_at(end.ok_or("a label without a value")?);
                (label.to_owned(), next)
            };
            rest = next.trim_start();
            match rest.strip_prefix('=') {
                Some(after) => {
                    let (value, next) = text(after.trim_start())?;
                    pairs.push((label, value));
                    rest = next.trim_start();
                }
                None => pairs.push((NAME.to_owned(), label)),
            }
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
            if rest.is_empty() {
                return Err("labels without an end".to_owned());
            }
        }
        rest = rest.strip_prefix('}').unwrap_or(rest);
    }
    Ok((Labels::new(pairs), rest))
}

/// A text between quotes, and what follows.
fn text(rest: &str) -> Result<(String, &str), String> {
    let quote = rest.chars().next().ok_or("a text is missing")?;
    let mut escaped = false;
    for (place, letter) in rest.char_indices().skip(1) {
        if letter == quote && !escaped {
            let (own, next) = rest.split_at(place + quote.len_utf8());
            let bytes = unquoted(own)?;
            return Ok((String::from_utf8(bytes).map_err(|error| error.to_string())?, next));
        }
        escaped = letter == '\\' && !escaped && quote != '`';
    }
    Err("a text without an end".to_owned())
}

/// A line that describes a series.
pub(super) fn series(line: &str) -> Result<(Labels, Points), String> {
    let (labels, rest) = labels(line)?;
    Ok((labels, points(rest)?))
}

fn points(text: &str) -> Result<Points, String> {
    let mut points = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let next = if rest.starts_with("{{") { histograms(rest, &mut points)? } else { floats(rest, &mut points)? };
        rest = next.trim_start();
    }
    Ok(points)
}

fn floats<'a>(text: &'a str, points: &mut Points) -> Result<&'a str, String> {
    let (item, rest) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
    let float = |value: f64| Some(Point { value: Value::Float(value), has_hint: false });
    let (body, times) = match item.rsplit_once('x') {
        Some((body, times)) => (body, Some(times.parse::<usize>().map_err(|_| format!("no count: {item}"))?)),
        None => (item, None),
    };
    if body == "_" {
        points.extend(vec![None; times.unwrap_or(1)]);
        return Ok(rest);
    }
    if body == "stale" {
        points.extend(vec![float(stale()); times.map_or(1, |times| times + 1)]);
        return Ok(rest);
    }
    // The sign of the step is neither the first one nor that of an exponent.
    let step = body.char_indices().skip(1).find(|(place, letter)| {
        let before = body.get(..*place).unwrap_or_default();
        matches!(letter, '+' | '-') && !before.ends_with(['e', 'E'])
    });
    let (first, step) = body.split_at(step.map_or(body.len(), |(place, _)| place));
    let first = signed(first)?;
    let step = if step.is_empty() { 0.0 } else { signed(step)? };
    let mut value = first;
    for _ in 0..=times.unwrap_or(0) {
        points.push(float(value));
        value += step;
    }
    Ok(rest)
}

fn signed(text: &str) -> Result<f64, String> {
    let (sign, digits) = match text.split_at_checked(1) {
        Some(("-", digits)) => (-1.0, digits),
        Some(("+", digits)) => (1.0, digits),
        _ => (1.0, text),
    };
    let decimal = digits.parse().ok().filter(|_| digits.starts_with(|letter: char| letter.is_ascii_digit()));
    let value = decimal.or_else(|| number(digits)).or_else(|| Some(duration::parse(digits).ok()? as f64 / 1000.0));
    value.map(|value: f64| sign * value).ok_or_else(|| format!("not a number: {text}"))
}

fn histograms<'a>(text: &'a str, points: &mut Points) -> Result<&'a str, String> {
    let (first, rest) = histogram(text)?;
    let (mut step, mut sign, mut rest) = (None, 1, rest);
    for (letter, own) in [("+", 1), ("-", -1)] {
        if let Some(after) = rest.strip_prefix(letter).filter(|after| after.starts_with("{{")) {
            let (histogram, after) = histogram(after)?;
            (step, sign, rest) = (Some(histogram), own, after);
        }
    }
    let mut times = 0;
    if let Some(after) = rest.strip_prefix('x') {
        let (digits, after) = after.split_at(after.find(char::is_whitespace).unwrap_or(after.len()));
        times = digits.parse::<usize>().map_err(|_| format!("no count: {digits}"))?;
        rest = after;
    }
    let has_hint = step.as_ref().map_or(first.1, |step| step.1);
    let mut current = first.0;
    points.push(Some(Point { value: current.clone().into(), has_hint }));
    for _ in 0..times {
        if let Some((step, _)) = &step {
            let added = if sign > 0 { current.add(step) } else { current.subtract(step) };
            added.map_err(|_| "histograms that do not go together")?;
        }
        points.push(Some(Point { value: current.clone().into(), has_hint }));
    }
    Ok(rest)
}

fn histogram(text: &str) -> Result<((Histogram, bool), &str), String> {
    let inside = text.strip_prefix("{{").ok_or("a histogram without a start")?;
    let (inside, rest) = inside.split_once("}}").ok_or("a histogram without an end")?;
    let mut histogram = Histogram::default();
    let mut has_hint = false;
    let (mut offsets, mut counts) = ([0i32; 2], [Vec::new(), Vec::new()]);
    let mut left = inside.trim();
    while !left.is_empty() {
        let (key, after) = left.split_once(':').ok_or_else(|| format!("no value: {left}"))?;
        let (value, after) = if let Some(list) = after.strip_prefix('[') {
            list.split_once(']').ok_or("a list without an end")?
        } else {
            after.split_at(after.find(char::is_whitespace).unwrap_or(after.len()))
        };
        left = after.trim_start();
        let number = || signed(value);
        let whole = || value.parse::<i32>().map_err(|_| format!("not a whole number: {value}"));
        let list = || value.split_whitespace().map(signed).collect::<Result<Vec<f64>, String>>();
        match key {
            "schema" => histogram.schema = whole()?,
            "sum" => histogram.sum = number()?,
            "count" => histogram.count = number()?,
            "z_bucket" => histogram.zero_count = number()?,
            "z_bucket_w" => histogram.zero_threshold = number()?,
            "custom_values" => histogram.bounds = list()?.into(),
            "offset" => offsets[0] = whole()?,
            "n_offset" => offsets[1] = whole()?,
            "buckets" => counts[0] = list()?,
            "n_buckets" => counts[1] = list()?,
            "counter_reset_hint" => {
                has_hint = true;
                histogram.hint = match value {
                    "unknown" => Hint::Unknown,
                    "reset" => Hint::Reset,
                    "not_reset" => Hint::NotReset,
                    "gauge" => Hint::Gauge,
                    other => return Err(format!("no hint: {other}")),
                };
            }
            other => return Err(format!("unknown: {other}")),
        }
    }
    let buckets = |offset: i32, counts: &[f64]| -> Vec<Bucket> {
        (offset..).zip(counts).map(|(index, &count)| Bucket { index, count }).collect()
    };
    histogram.positive = buckets(offsets[0], &counts[0]);
    histogram.negative = buckets(offsets[1], &counts[1]);
    Ok(((histogram, has_hint), rest))
}
