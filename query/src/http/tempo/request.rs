//! What do the parameters of a request say? Tempo's: unknown ones are ignored, the last of several counts.

use crate::error::{Error, Result};
use crate::promql;
use crate::time;
use crate::traceql::Query;
use storage::scan::TimeRange;

/// Most traces, spans or values of an answer.
const MOST: usize = 10_000;
const MILLIS: i64 = 1_000_000;

/// What is looked at where no range is given.
const RECENT: i64 = 3_600_000_000_000;
/// Exemplars of a series where a query asks for some.
const USUAL_EXEMPLARS: usize = 100;

/// The parameters of a request.
#[derive(Debug)]
pub(super) struct Request {
    pairs: Vec<(String, String)>,
    /// Of a search without a query: attributes, and a part of what each has.
    tags: Vec<(String, String)>,
    pub(super) now: i64,
}

impl Request {
    pub(super) fn read(query: &str, now: i64) -> Result<Self> {
        let mut request = Request::of(super::super::parameter::decode(query)?, Vec::new(), now);
        request.tags = request.text("tags").map(logfmt).unwrap_or_default();
        Ok(request)
    }

    /// What a message says, by the names that its fields have as parameters.
    pub(super) fn of(pairs: Vec<(String, String)>, tags: Vec<(String, String)>, now: i64) -> Self {
        Request { pairs, tags, now }
    }

    /// A parameter that is given and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let given = self.pairs.iter().rev().find(|(known, _)| known == name);
        given.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A query of metrics; Grafana calls it `query`, too.
    pub(super) fn query(&self) -> &str {
        self.text("q").or_else(|| self.text("query")).unwrap_or_default()
    }

    /// A number of things, which is zero where it is not said or `usual` is meant. More than are answered is refused, as with
    /// Tempo: a list that is shorter than what was asked for has all that there is.
    pub(super) fn count(&self, name: &str, usual: usize) -> Result<usize> {
        let text = self.text(name).unwrap_or("0");
        if text.is_empty() || !text.bytes().all(|digit| digit.is_ascii_digit()) {
            let message = format!("invalid {name}: expected a whole number, found `{text}`");
            return Err(Error::parameter(name, message));
        }
        match text.parse::<usize>() {
            Ok(0) => Ok(usual),
            Ok(count) if count <= MOST => Ok(count),
            _ => {
                Err(Error::parameter(name, format!("invalid {name}: {text} exceeds the most that is allowed, {MOST}")))
            }
        }
    }

    /// The same, where zero means all that there are, up to the most that is allowed.
    pub(super) fn count_or_all(&self, name: &str, usual: usize) -> Result<usize> {
        if self.text(name).is_none() { Ok(usual) } else { self.count(name, MOST) }
    }

    /// Whether something is asked for, in one of Go's words for it.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Some(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Some(false)),
            _ => Err(Error::parameter(name, format!("invalid {name}: expected true or false, found `{text}`"))),
        }
    }

    fn moment(&self, name: &str) -> Result<Option<i64>> {
        let read = |text: &str| {
            time::moment(text, self.now).map_err(|why| Error::parameter(name, format!("invalid {name}: {why}")))
        };
        self.text(name).map(read).transpose()
    }

    /// `start` and `end`, where one of them is given.
    pub(super) fn range(&self) -> Result<Option<TimeRange>> {
        let (start, end) = (self.moment("start")?, self.moment("end")?);
        if (start, end) == (None, None) {
            return Ok(None);
        }
        let range = TimeRange { start: start.unwrap_or(i64::MIN), end: end.unwrap_or(self.now) };
        if range.start >= range.end {
            return Err(Error::parameter("start", "http parameter start must be before end"));
        }
        Ok(Some(range))
    }

    /// The range; without its start what `since` says, or an hour, up to its end or to now.
    pub(super) fn range_or_recent(&self) -> Result<TimeRange> {
        let length = self.duration("since")?.unwrap_or(RECENT);
        match self.range()? {
            Some(range) if self.text("start").is_some() => Ok(range),
            range => {
                let end = range.map_or(self.now, |range| range.end);
                Ok(TimeRange { start: end.min(self.now).saturating_sub(length), end })
            }
        }
    }

    /// A length of time: as Prometheus writes it, which is what Tempo reads, or Go; or seconds.
    fn duration(&self, name: &str) -> Result<Option<i64>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
        #[expect(clippy::cast_possible_truncation, reason = "a cast of a double saturates")]
        let nanos = match seconds {
            Some(seconds) => Ok((seconds * 1e9) as i64),
            None => match promql::parse_duration(text) {
                Ok(millis) => Ok(millis.saturating_mul(MILLIS)),
                Err(_) => {
                    time::length(text).map_err(|_| "expected a duration such as `30s`, `1h30m` or `7d`, or seconds")
                }
            },
        };
        match nanos {
            Ok(nanos) if nanos > 0 => Ok(Some(nanos)),
            Ok(_) => Err(Error::parameter(name, format!("invalid {name}: it takes some time"))),
            Err(why) => Err(Error::parameter(name, format!("invalid {name}: {why}"))),
        }
    }

    pub(super) fn step(&self) -> Result<Option<i64>> {
        self.duration("step")
    }

    /// How many exemplars each series has: none unless they are asked for, by parameter or hint.
    pub(super) fn exemplars(&self, query: &Query) -> Result<usize> {
        match query.exemplars() {
            Some(false) => Ok(0),
            Some(true) => self.count("exemplars", USUAL_EXEMPLARS),
            None if self.text("exemplars") == Some("0") => Ok(0),
            None => self.count("exemplars", 0),
        }
    }

    pub(super) fn range_or_all(&self) -> Result<TimeRange> {
        Ok(self.range()?.unwrap_or(TimeRange::ALL))
    }

    /// `q`, or what `tags`, `minDuration` and `maxDuration` say.
    pub(super) fn trace_query(&self) -> Result<String> {
        if let Some(query) = self.text("q") {
            return Ok(query.to_owned());
        }
        let mut parts = Vec::new();
        for (key, value) in &self.tags {
            let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
            let pattern = format!("(?is).*{}.*", regex::escape(value));
            let name = match key.as_str() {
                "name" | "rootName" | "rootServiceName" => key.clone(),
                "root.name" => "rootName".to_owned(),
                "root.service.name" => "rootServiceName".to_owned(),
                "status.code" | "status" if ["ok", "error", "unset"].contains(&value.as_str()) => {
                    parts.push(format!("status = {value}"));
                    continue;
                }
                "error" if value == "true" => {
                    parts.push("status = error".to_owned());
                    continue;
                }
                _ => format!(".\"{}\"", quoted(key)),
            };
            let text = format!("{name} =~ \"{}\"", quoted(&pattern));
            // What may be a number or a boolean is sought as that, too.
            let is_number = value.parse::<i64>().is_ok_and(|number| number.to_string() == *value);
            let other = is_number || ["true", "false"].contains(&value.as_str());
            parts.push(if other { format!("({text} || {name} = {value})") } else { text });
        }
        for (name, sign) in [("minDuration", ">="), ("maxDuration", "<=")] {
            if let Some(text) = self.text(name) {
                let nanos = time::length(text);
                let nanos = nanos.map_err(|why| Error::parameter(name, format!("invalid {name}: {why}")))?;
                parts.push(format!("traceDuration {sign} {nanos}ns"));
            }
        }
        Ok(format!("{{ {} }}", parts.join(" && ")))
    }
}

/// `key=value key="a value"`.
fn logfmt(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|next: char| next == '=' || next.is_whitespace()).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let (value, after) = match after.strip_prefix('=') {
            None => (String::new(), after),
            Some(after) => match after.strip_prefix('"') {
                Some(quoted) => {
                    let end = quoted.find('"').unwrap_or(quoted.len());
                    let (value, after) = quoted.split_at(end);
                    (value.to_owned(), after.strip_prefix('"').unwrap_or(after))
                }
                None => {
                    let end = after.find(char::is_whitespace).unwrap_or(after.len());
                    let (value, after) = after.split_at(end);
                    (value.to_owned(), after)
                }
            },
        };
        if !key.is_empty() {
            pairs.push((key.to_owned(), value));
        }
        rest = after.trim_start();
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_without_start_is_as_long_as_since_says() {
        let (hour, now) = (RECENT, 1_800_000_000_000_000_000);
        let (early, end, late) = (now - 80 * hour, now - 50 * hour, now + hour);
        let range = |text: String| Request::read(&text, now).unwrap().range_or_recent().unwrap();
        assert_eq!(range(String::new()), TimeRange { start: now - hour, end: now });
        assert_eq!(range("since=2h".into()), TimeRange { start: now - 2 * hour, end: now });
        assert_eq!(range("since=1d".into()), TimeRange { start: now - 24 * hour, end: now });
        assert_eq!(range("since=1w2d12h".into()), TimeRange { start: now - 228 * hour, end: now });
        assert_eq!(range("since=1.5h".into()), TimeRange { start: now - 3 * hour / 2, end: now }, "as Go writes it");
        let refused = |text: &str| Request::read(text, now).unwrap().range_or_recent().unwrap_err().to_string();
        for text in ["since=1x", "since=d", "since=1h1d", "since=400y", "since=1d1.5h"] {
            assert!(refused(text).contains("expected a duration such as `30s`, `1h30m` or `7d`"), "{text}");
        }
        assert_eq!(range(format!("end={end}")), TimeRange { start: end - hour, end });
        assert_eq!(range(format!("since=2h&end={end}")), TimeRange { start: end - 2 * hour, end });
        assert_eq!(range(format!("since=2h&end={late}")), TimeRange { start: now - 2 * hour, end: late });
        assert_eq!(range(format!("since=2h&start={early}&end={end}")), TimeRange { start: early, end });
        assert_eq!(range(format!("start={early}")), TimeRange { start: early, end: now });
    }

    #[test]
    fn a_count_above_the_most_is_refused_and_zero_is_the_usual() {
        let count = |text: &str| Request::read(&format!("limit={text}"), 0).unwrap().count("limit", 20).ok();
        let cases = [("", Some(20)), ("0", Some(20)), ("7", Some(7)), ("10000", Some(10_000)), ("10001", None)];
        for (text, expected) in cases.into_iter().chain([("18446744073709551616", None), ("-1", None), ("+1", None)]) {
            assert_eq!(count(text), expected, "{text}");
        }
        let all = |text: &str| Request::read(text, 0).unwrap().count_or_all("spss", 3).ok();
        assert_eq!(["", "spss=0", "spss=5", "spss=10001"].map(all), [Some(3), Some(MOST), Some(5), None]);
    }

    #[test]
    fn tags_and_durations_become_a_query() {
        let query = |text: &str| Request::read(text, 0).unwrap().trace_query().unwrap();
        assert_eq!(query("q=%7B%7D&tags=a%3Db"), "{}");
        assert_eq!(query(""), "{  }");
        let tags = query("tags=http.method%3DGET%20b%3D%22x%20y%22&minDuration=1s");
        let expected =
            "{ .\"http.method\" =~ \"(?is).*GET.*\" && .\"b\" =~ \"(?is).*x y.*\" && traceDuration >= 1000000000ns }";
        assert_eq!(tags, expected);
        assert!(crate::traceql::parse(&tags).is_ok());
        let number = query("tags=http.status_code%3D200%20error%3Dtrue");
        let expected =
            "{ (.\"http.status_code\" =~ \"(?is).*200.*\" || .\"http.status_code\" = 200) && status = error }";
        assert_eq!(number, expected);
        assert!(crate::traceql::parse(&number).is_ok());
        assert!(crate::traceql::parse(&query("tags=a.%5C%3D%5C%22x")).is_ok());
    }
}
