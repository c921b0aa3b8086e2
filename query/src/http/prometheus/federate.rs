//! What does another Prometheus scrape here? `/federate`: of each series that a selector chooses the newest sample, as a text.
//!
//! F1  A sample is told with its own time, and only if it is no older than the lookback and not the end of its series.
//! F2  Families come by name, what is of one name by labels. Which type they have is not told, as by Prometheus. A series without `instance`
//!     is told with an empty one, so that `honor_labels` does not give it the scraper's.
//! F3  Native histograms are left out: neither text has them.
//! F4  OpenMetrics is answered to those who would rather have it; names that are not of the older kind are quoted where the reader says
//!     that it can read them (`escaping=allow-utf-8`), else their other letters become `_`.

use super::refusal::Refusal;
use crate::exec::Control;
use crate::prometheus::Store;
use crate::promql::{Matcher, Reading, Settings, Source as _};
use crate::series::number::general;
use crate::series::{Labels, NAME, Value};
use axum::http::{HeaderMap, header};
use std::collections::BTreeMap;
use storage::model::verbatim::STALE_BITS;

/// Bytes of the answer are charged in such portions.
const CHARGE_STEP: usize = 64 * 1024;

/// How the answer is written (F4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    is_open_metrics: bool,
    quotes_names: bool,
}

impl Format {
    /// What a reader would rather have.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let lists = headers.get_all(header::ACCEPT).iter().filter_map(|list| list.to_str().ok());
        let mut best: Option<(f32, Format)> = None;
        for media in lists.flat_map(|list| list.split(',')) {
            let mut parts = media.split(';').map(|part| part.trim().to_ascii_lowercase());
            let is_open_metrics = match parts.next().as_deref() {
                Some("application/openmetrics-text") => true,
                Some("text/plain" | "text/*" | "*/*") => false,
                _ => continue,
            };
            let (mut weight, mut quotes_names) = (1.0f32, false);
            for part in parts {
                match part.split_once('=').map(|(name, value)| (name.trim(), value.trim().trim_matches('"'))) {
                    Some(("q", value)) => weight = value.parse().unwrap_or(0.0),
                    Some(("escaping", value)) => quotes_names = value == "allow-utf-8",
                    _ => {}
                }
            }
            if weight > 0.0 && best.is_none_or(|(most, _)| weight > most) {
                best = Some((weight, Format { is_open_metrics, quotes_names }));
            }
        }
        best.map_or(Format { is_open_metrics: false, quotes_names: false }, |(_, format)| format)
    }

    /// The answer's Content-Type.
    pub(super) fn media(self) -> &'static str {
        match (self.is_open_metrics, self.quotes_names) {
            (false, false) => "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            (false, true) => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            (true, false) => "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
            (true, true) => "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
        }
    }

    fn r#type(self) -> &'static str {
        if self.is_open_metrics { "unknown" } else { "untyped" }
    }

    /// A metric's name as it stands before the braces; `None` where it stands in them.
    fn name(self, name: &str) -> Option<String> {
        match is_plain(name, true) {
            true => Some(name.to_owned()),
            false if self.quotes_names => None,
            false => Some(underscored(name, true)),
        }
    }

    fn label(self, name: &str) -> String {
        match is_plain(name, false) {
            true => name.to_owned(),
            false if self.quotes_names => quoted(name),
            false => underscored(name, false),
        }
    }
}

/// The newest sample of each series: time in milliseconds and value.
type Newest = BTreeMap<(String, Labels), (i64, f64)>;

/// The text for the series that fit one of some selectors, at a moment.
pub(super) fn text(control: &Control, selectors: &[Vec<Matcher>], now: i64, format: Format) -> Result<String, Refusal> {
    let after = now.saturating_sub(Settings::default().lookback);
    let (store, mut newest) = (Store::new(control), Newest::new());
    for matchers in selectors {
        store.select(matchers, after, now, Reading::WHOLE, &mut |series| {
            let series = series.raw();
            let Some(sample) = series.samples.last().filter(|sample| sample.time > after) else { return Ok(()) };
            let Value::Float(value) = sample.value else { return Ok(()) };
            let name = series.labels.name();
            if value.to_bits() == STALE_BITS || name.is_empty() {
                return Ok(());
            }
            let key = (name.to_owned(), series.labels.without_label(NAME));
            if newest.insert(key, (sample.time, value)).is_none() {
                control.collect(1)?;
                control.charge(series.labels.memory_bytes() + 64)?;
            }
            Ok(())
        })?;
    }
    let (mut out, mut charged, mut last) = (String::new(), 0, None);
    for ((name, labels), (time, value)) in &newest {
        if last != Some(name) {
            control.check()?;
            last = Some(name);
            let shown = format.name(name).unwrap_or_else(|| quoted(name));
            out.push_str(&format!("# TYPE {shown} {}\n", format.r#type()));
        }
        put(&mut out, format, name, labels);
        let value = general(*value);
        match format.is_open_metrics {
            true => out.push_str(&format!(" {value} {}\n", seconds(*time))),
            false => out.push_str(&format!(" {value} {time}\n")),
        }
        if out.len() > charged {
            control.charge(CHARGE_STEP)?;
            charged += CHARGE_STEP;
        }
    }
    if format.is_open_metrics {
        out.push_str("# EOF\n");
    }
    Ok(out)
}

/// Name and labels.
fn put(out: &mut String, format: Format, name: &str, labels: &Labels) {
    let mut pairs = Vec::new();
    match format.name(name) {
        Some(name) => out.push_str(&name),
        None => pairs.push(quoted(name)),
    }
    let own = labels.iter().map(|(label, value)| format!("{}={}", format.label(label), quoted(value)));
    pairs.extend(own);
    if labels.get("instance").is_empty() {
        pairs.push("instance=\"\"".to_owned());
    }
    out.push('{');
    out.push_str(&pairs.join(","));
    out.push('}');
}

/// Milliseconds as OpenMetrics writes times.
fn seconds(milliseconds: i64) -> String {
    let sign = if milliseconds < 0 { "-" } else { "" };
    let size = milliseconds.unsigned_abs();
    format!("{sign}{}.{:03}", size / 1000, size % 1000)
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// Whether a name is one of the older kind: letters, digits, underscores, and colons in metrics.
fn is_plain(name: &str, is_metric: bool) -> bool {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || (is_metric && letter == ':');
    name.chars().all(fits) && !name.starts_with(|letter: char| letter.is_ascii_digit()) && !name.is_empty()
}

fn underscored(name: &str, is_metric: bool) -> String {
    let fits = |place: usize, letter: char| {
        letter.is_ascii_alphabetic()
            || letter == '_'
            || (is_metric && letter == ':')
            || (place > 0 && letter.is_ascii_digit())
    };
    name.chars().enumerate().map(|(place, letter)| if fits(place, letter) { letter } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f4_a_reader_gets_what_it_would_rather_have() {
        let wanted = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            let Format { is_open_metrics, quotes_names } = Format::wanted(&headers);
            (is_open_metrics, quotes_names)
        };
        assert_eq!(wanted("*/*"), (false, false));
        assert_eq!(wanted("text/html"), (false, false));
        assert_eq!(wanted("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4"), (false, false));
        // What Prometheus 3 sends where it scrapes.
        let scrape = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                      application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.2";
        assert_eq!(wanted(scrape), (true, true));
        assert_eq!(wanted("text/plain;version=1.0.0;escaping=allow-utf-8"), (false, true));
    }

    #[test]
    fn f4_names_are_quoted_or_underscored() {
        let labels = Labels::new([("a.b", "x\n\"\\"), ("instance", "i")]);
        for (quotes_names, expected) in
            [(false, r#"http_x{a_b="x\n\"\\",instance="i"}"#), (true, r#"{"http.x","a.b"="x\n\"\\",instance="i"}"#)]
        {
            let mut out = String::new();
            put(&mut out, Format { is_open_metrics: false, quotes_names }, "http.x", &labels);
            assert_eq!(out, expected);
        }
        assert_eq!((underscored("2a:b", true), underscored("2a:b", false)), ("_a:b".into(), "_a_b".into()));
        assert_eq!((seconds(1_500), seconds(-2)), ("1.500".to_owned(), "-0.002".to_owned()));
    }
}
