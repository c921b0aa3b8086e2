//! What do the parameters say?

use super::moment::moment;
use super::refusal::Refusal;
use crate::promql::{self, Frame, Matcher, Settings};
use crate::series::quoted;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// How many steps a range may have.
const MOST_STEPS: i64 = 11_000;

/// The first and the last moment that the store can tell, in milliseconds.
const FIRST: i64 = i64::MIN / 1_000_000;
const LAST: i64 = i64::MAX / 1_000_000;

/// A request's parameters.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) path: HashMap<String, String>,
    pub(super) pairs: Vec<(String, String)>,
    /// Milliseconds.
    pub(super) now: i64,
}

/// What is said about parameters that cannot be read.
type Result<T, E = Refusal> = std::result::Result<T, E>;

impl Asked {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
            .filter(|text| !text.is_empty())
    }

    /// Every value of a parameter that may be given more than once.
    pub(super) fn all(&self, name: &str) -> BTreeSet<String> {
        self.pairs.iter().filter(|(other, _)| other == name).map(|(_, value)| value.clone()).collect()
    }

    /// Yes or no, as Go reads it; no where it is not given.
    pub(super) fn flag(&self, name: &str) -> Result<bool> {
        let text = self.text(name).unwrap_or_default().to_lowercase();
        match text.as_str() {
            "1" | "t" | "true" => Ok(true),
            "" | "0" | "f" | "false" => Ok(false),
            other => {
                let why = format!("strconv.ParseBool: parsing {}: invalid syntax", quoted(other.as_bytes()));
                Err(Refusal::parameter(name, format!("error converting {name}: {why}")))
            }
        }
    }

    fn parsed<T>(&self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>> {
        self.text(name).map(|text| parse(text).map_err(|why| Refusal::parameter(name, why))).transpose()
    }

    pub(super) fn query(&self) -> &str {
        self.text("query").unwrap_or_default()
    }

    pub(super) fn timeout(&self, default: Duration, most: Duration) -> Result<Duration> {
        let asked = self.parsed("timeout", duration)?;
        let asked = asked.map(|milliseconds| Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0)));
        Ok(asked.unwrap_or(default).min(most))
    }

    /// `limit`: none where it is 0 or not given.
    pub(super) fn limit(&self, name: &str) -> Result<Option<usize>> {
        let parse = |text: &str| match text.parse::<i64>() {
            Ok(limit) if limit >= 0 => Ok(usize::try_from(limit).unwrap_or(usize::MAX)),
            Ok(_) => Err("limit must be non-negative".to_owned()),
            Err(_) => Err(format!("cannot parse {} to a whole number", quoted(text.as_bytes()))),
        };
        Ok(self.parsed(name, parse)?.filter(|limit| *limit > 0))
    }

    /// `limit` of metadata: as many as there are where it is not given or negative, none where it is 0.
    pub(super) fn limit_of_metadata(&self) -> Result<usize> {
        let parse = |text: &str| text.parse::<i64>().map_err(|_| "limit must be a number".to_owned());
        let limit = self.parsed("limit", parse)?;
        Ok(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX))
    }

    /// The moment of an instant query.
    pub(super) fn moment(&self) -> Result<Frame> {
        let time = self.parsed("time", moment)?.unwrap_or(self.now);
        Ok(Frame { start: time, end: time, step: 0 })
    }

    /// The steps of a range query.
    pub(super) fn steps(&self) -> Result<Frame> {
        let required = |name: &str| {
            let missing = || Refusal::parameter(name, "cannot parse \"\" to a valid timestamp");
            self.parsed(name, moment)?.ok_or_else(missing)
        };
        let (start, end) = (required("start")?, required("end")?);
        if end < start {
            return Err(Refusal::parameter("end", "end timestamp must not be before start time"));
        }
        let missing = || Refusal::parameter("step", "cannot parse \"\" to a valid duration");
        let step = self.parsed("step", duration)?.ok_or_else(missing)?;
        if step <= 0 {
            let what = "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(Refusal::parameter("step", what));
        }
        if end.saturating_sub(start) / step > MOST_STEPS {
            let what = "exceeded maximum resolution of 11,000 points per timeseries.";
            return Err(Refusal::bad_data(format!("{what} Try decreasing the query resolution (?step=XX)")));
        }
        Ok(Frame { start, end, step })
    }

    pub(super) fn settings(&self) -> Result<Settings> {
        let lookback = self.parsed("lookback_delta", duration)?.filter(|lookback| *lookback > 0);
        let default = Settings::default();
        let tells_samples = self.text("stats").is_some();
        Ok(Settings { lookback: lookback.unwrap_or(default.lookback), tells_samples, ..default })
    }

    /// `start` and `end`, all of time where they are not given.
    pub(super) fn range(&self) -> Result<(i64, i64)> {
        let start = self.parsed("start", moment)?.unwrap_or(FIRST);
        let end = self.parsed("end", moment)?.unwrap_or(LAST);
        if end < start {
            return Err(Refusal::parameter("end", "end timestamp must not be before start time"));
        }
        Ok((start.clamp(FIRST, LAST), end.clamp(FIRST, LAST)))
    }

    /// `start` and `end`, as of these moments where they are not given.
    pub(super) fn range_after(&self, first: i64, last: i64) -> Result<(i64, i64)> {
        let start = self.parsed("start", moment)?.unwrap_or(first);
        let end = self.parsed("end", moment)?.unwrap_or(last);
        match end < start {
            true => Err(Refusal::bad_data("end timestamp must not be before start timestamp")),
            false => Ok((start.clamp(FIRST, LAST), end.clamp(FIRST, LAST))),
        }
    }

    /// `match[]`. Grafana asks for everything by a selector that accepts every series.
    pub(super) fn selectors(&self) -> Result<Vec<Vec<Matcher>>> {
        let texts = self.pairs.iter().filter(|(name, _)| name == "match[]");
        let mut selectors = Vec::new();
        for (_, text) in texts {
            let selector = promql::parse_selector(text);
            let selector = selector.map_err(|fault| Refusal::of_expression(fault, "match[]", text))?;
            if selector.matchers.iter().all(|matcher| matcher.accepts("")) {
                let what = "match[] must contain at least one non-empty matcher";
                return Err(Refusal::parameter("match[]", what));
            }
            selectors.push(selector.matchers);
        }
        Ok(selectors)
    }

    /// The label of `/label/{name}/values`. Names that were no names before UTF-8 may come escaped.
    pub(super) fn label(&self) -> Result<String> {
        let name = self.path.get("name").map(String::as_str).unwrap_or_default();
        let label = if name.starts_with("U__") { unescaped(name) } else { Some(name.to_owned()) };
        match label {
            Some(label) if !label.is_empty() => Ok(label),
            _ => Err(Refusal::bad_data(format!("invalid label name: {}", quoted(name.as_bytes())))),
        }
    }
}

/// `U__a_2e_b` is `a.b`, two underscores are one.
fn unescaped(name: &str) -> Option<String> {
    let mut rest = name.strip_prefix("U__")?;
    let mut text = String::new();
    while let Some((before, after)) = rest.split_once('_') {
        text.push_str(before);
        if let Some(after) = after.strip_prefix('_') {
            text.push('_');
            rest = after;
            continue;
        }
        let (code, after) = after.split_once('_')?;
        text.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

/// Seconds, or a duration as `5m`; in milliseconds.
fn duration(text: &str) -> Result<i64, String> {
    let seconds = text.parse::<f64>().ok().map(|seconds| promql::of_seconds(seconds).ok_or(()));
    match seconds {
        Some(Ok(milliseconds)) => Ok(milliseconds),
        Some(Err(())) => {
            Err(format!("cannot parse {} to a valid duration. It overflows int64", quoted(text.as_bytes())))
        }
        None => promql::parse_duration(text)
            .map_err(|_| format!("cannot parse {} to a valid duration", quoted(text.as_bytes()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        assert_eq!(duration("0.25"), Ok(250));
        assert_eq!(duration("1h30m"), Ok(5_400_000));
        assert!(duration("1e30").is_err());
        assert!(duration("x").is_err());
    }

    #[test]
    fn escaped_names_are_read() {
        assert_eq!(unescaped("U__http_2e_route__x").as_deref(), Some("http.route_x"));
        assert_eq!(unescaped("U__a_zz_"), None);
    }
}
