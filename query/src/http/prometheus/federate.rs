//! What does another Prometheus scrape here? `/federate`: of each series that a selector chooses the newest sample, as a text or as protobuf.
//!
//! F1  A sample is told with its own time, and only if it is no older than the lookback and not the end of its series.
//! F2  Families come by name, what is of one name by labels. Which type they have is not told, as by Prometheus. A series without `instance`
//!     is told with an empty one, so that `honor_labels` does not give it the scraper's.
//! F3  Native histograms are answered to those who take protobuf (`family`). Neither text has them: how many were left out the header `Warning`
//!     says, and the older text in a comment.
//! F4  OpenMetrics is answered to those who would rather have it; names that are not of the older kind are quoted where the reader says
//!     that it can read them (`escaping=allow-utf-8`), else their other letters become `_`.

use super::family;
use super::refusal::Refusal;
use crate::exec::Control;
use crate::prometheus::Store;
use crate::promql::{Matcher, Reading, Settings, Source as _};
use crate::series::number::general;
use crate::series::{Labels, NAME, Value};
use axum::http::{HeaderMap, header};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Bytes of the answer are charged in such portions.
const CHARGE_STEP: usize = 64 * 1024;

/// How the answer is written (F4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    kind: Kind,
    quotes_names: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    OpenMetrics,
    Protobuf,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) body: Vec<u8>,
    /// How many native histograms are not in it.
    pub(super) left_out: usize,
}

impl Format {
    /// What a reader would rather have.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let lists = headers.get_all(header::ACCEPT).iter().filter_map(|list| list.to_str().ok());
        let mut best: Option<(f32, Format)> = None;
        for media in lists.flat_map(|list| list.split(',')) {
            let mut parts = media.split(';').map(|part| part.trim().to_ascii_lowercase());
            let kind = match parts.next().as_deref() {
                Some("application/openmetrics-text") => Kind::OpenMetrics,
                Some("application/vnd.google.protobuf") => Kind::Protobuf,
                Some("text/plain" | "text/*" | "*/*") => Kind::Text,
                _ => continue,
            };
            let (mut weight, mut quotes_names, mut is_known) = (1.0f32, false, true);
            for part in parts {
                match part.split_once('=').map(|(name, value)| (name.trim(), value.trim().trim_matches('"'))) {
                    Some(("q", value)) => weight = value.parse().unwrap_or(0.0),
                    Some(("escaping", value)) => quotes_names = value == "allow-utf-8",
                    Some(("proto", value)) => is_known &= value == "io.prometheus.client.metricfamily",
                    Some(("encoding", value)) => is_known &= value == "delimited",
                    _ => {}
                }
            }
            if is_known && weight > 0.0 && best.is_none_or(|(most, _)| weight > most) {
                best = Some((weight, Format { kind, quotes_names }));
            }
        }
        best.map_or(Format { kind: Kind::Text, quotes_names: false }, |(_, format)| format)
    }

    /// The answer's Content-Type.
    pub(super) fn media(self) -> &'static str {
        match (self.kind, self.quotes_names) {
            (Kind::Text, false) => "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            (Kind::Text, true) => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            (Kind::OpenMetrics, false) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
            }
            (Kind::OpenMetrics, true) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
            }
            (Kind::Protobuf, false) => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=underscores"
            }
            (Kind::Protobuf, true) => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=allow-utf-8"
            }
        }
    }

    fn r#type(self) -> &'static str {
        if self.kind == Kind::OpenMetrics { "unknown" } else { "untyped" }
    }

    /// A name as it stands where nothing has to be quoted.
    pub(super) fn bare<'n>(self, name: &'n str, is_metric: bool) -> Cow<'n, str> {
        if self.quotes_names || is_plain(name, is_metric) {
            return Cow::Borrowed(name);
        }
        Cow::Owned(underscored(name, is_metric))
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

/// The newest sample of each series, by name and other labels: time in milliseconds and value.
pub(super) type Newest = BTreeMap<(String, Labels), (i64, Value)>;

/// What is answered of the series that fit one of some selectors, at a moment.
pub(super) fn told(control: &Control, selectors: &[Vec<Matcher>], now: i64, format: Format) -> Result<Told, Refusal> {
    let newest = newest(control, selectors, now)?;
    if format.kind == Kind::Protobuf {
        return Ok(Told { body: family::families(control, &newest, format)?, left_out: 0 });
    }
    let left_out = newest.values().filter(|(_, value)| value.histogram().is_some()).count();
    Ok(Told { body: text(control, &newest, left_out, format)?.into_bytes(), left_out })
}

fn newest(control: &Control, selectors: &[Vec<Matcher>], now: i64) -> Result<Newest, Refusal> {
    let after = now.saturating_sub(Settings::default().lookback);
    let (store, mut newest) = (Store::new(control), Newest::new());
    for matchers in selectors {
        store.select(matchers, after, now, Reading::WHOLE, &mut |series| {
            let series = series.raw();
            let Some(sample) = series.samples.last().filter(|sample| sample.time > after) else { return Ok(()) };
            let name = series.labels.name();
            if sample.value.is_stale() || name.is_empty() {
                return Ok(());
            }
            let key = (name.to_owned(), series.labels.without_label(NAME));
            if newest.insert(key, (sample.time, sample.value.clone())).is_none() {
                control.collect(1)?;
                control.charge(series.labels.memory_bytes() + 64 + 16 * sample.value.weight())?;
            }
            Ok(())
        })?;
    }
    Ok(newest)
}

fn text(control: &Control, newest: &Newest, left_out: usize, format: Format) -> Result<String, Refusal> {
    let (mut out, mut charged, mut last) = (String::new(), 0, None);
    for ((name, labels), (time, value)) in newest {
        let Value::Float(value) = value else { continue };
        if last != Some(name) {
            control.check()?;
            last = Some(name);
            let shown = format.name(name).unwrap_or_else(|| quoted(name));
            out.push_str(&format!("# TYPE {shown} {}\n", format.r#type()));
        }
        put(&mut out, format, name, labels);
        let value = general(*value);
        match format.kind {
            Kind::OpenMetrics => out.push_str(&format!(" {value} {}\n", seconds(*time))),
            _ => out.push_str(&format!(" {value} {time}\n")),
        }
        if out.len() > charged {
            control.charge(CHARGE_STEP)?;
            charged += CHARGE_STEP;
        }
    }
    if format.kind == Kind::OpenMetrics {
        out.push_str("# EOF\n");
    } else if left_out > 0 {
        out.push_str(&format!("# {}\n", warning(left_out)));
    }
    Ok(out)
}

/// What is said of native histograms that are not in a text.
pub(super) fn warning(left_out: usize) -> String {
    format!(
        "native histograms were left out, {left_out} of them: ask for application/vnd.google.protobuf, which has them"
    )
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
            let Format { kind, quotes_names } = Format::wanted(&headers);
            (kind, quotes_names)
        };
        assert_eq!(wanted("*/*"), (Kind::Text, false));
        assert_eq!(wanted("text/html"), (Kind::Text, false));
        assert_eq!(
            wanted("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4"),
            (Kind::Text, false)
        );
        // What Prometheus 3 sends where it scrapes native histograms.
        let scrape = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                      application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.2";
        assert_eq!(wanted(scrape), (Kind::Protobuf, false));
        let other = scrape.replace("delimited", "text");
        assert_eq!(wanted(&other), (Kind::OpenMetrics, true), "another encoding is not ours");
        assert_eq!(wanted("text/plain;version=1.0.0;escaping=allow-utf-8"), (Kind::Text, true));
    }

    #[test]
    fn f4_names_are_quoted_or_underscored() {
        let labels = Labels::new([("a.b", "x\n\"\\"), ("instance", "i")]);
        for (quotes_names, expected) in
            [(false, r#"http_x{a_b="x\n\"\\",instance="i"}"#), (true, r#"{"http.x","a.b"="x\n\"\\",instance="i"}"#)]
        {
            let mut out = String::new();
            put(&mut out, Format { kind: Kind::Text, quotes_names }, "http.x", &labels);
            assert_eq!(out, expected);
        }
        assert_eq!((underscored("2a:b", true), underscored("2a:b", false)), ("_a:b".into(), "_a_b".into()));
        assert_eq!((seconds(1_500), seconds(-2)), ("1.500".to_owned(), "-0.002".to_owned()));
    }
}
