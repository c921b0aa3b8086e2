//! What do the parameters of a request say?
//!
//! V1  A parameter that the endpoint does not list, or that is given twice where one counts, is an error that names it.
//! V2  Every parameter that an endpoint lists is read, and no other: `finish` fails where code and list differ.
//! V3  An empty value of a parameter that may be left out is the same as leaving it out.

use super::endpoint::{Endpoint, Kind, Place};
use crate::config::Config;
use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::time;
use std::time::Duration;
use storage::model::TenantId;
use storage::scan::TimeRange;
use xxhash_rust::xxh3::Xxh3Default;

/// How far back a list looks when nothing is said.
const DEFAULT_RANGE_NANO: i64 = 3_600_000_000_000;
/// Parameters of which a request may have this many; a form has a few dozen.
const MAX_PAIRS: usize = 256;
/// They say how much of a list is asked for, not which list.
const NOT_OF_THE_FILTER: [&str; 3] = ["limit", "cursor", "timeout"];

/// What is looked at when neither start nor end is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DefaultRange {
    /// The last hour.
    LastHour,
    /// Everything.
    AllTime,
}

/// The parameters of one request.
#[derive(Debug)]
pub(super) struct Parameters {
    endpoint: &'static Endpoint,
    path: Vec<(String, String)>,
    pairs: Vec<(String, String)>,
    now: i64,
    filter_hash: u64,
    read: Vec<&'static str>,
}

impl Parameters {
    /// Takes the path's and the query's parameters.
    pub(super) fn read(
        endpoint: &'static Endpoint,
        path: Vec<(String, String)>,
        query: &str,
        now: i64,
        tenant: &TenantId,
    ) -> Result<Self> {
        let mut pairs = decode(query)?;
        for (at, (name, _)) in pairs.iter().enumerate() {
            let known = endpoint.query_parameters().find(|parameter| parameter.name == name.as_str());
            let Some(known) = known else { return Err(unknown(endpoint, name)) };
            let given_before = pairs.iter().take(at).any(|(other, _)| other == name);
            if given_before && !matches!(known.kind, Kind::Attribute) {
                return Err(Error::parameter(name, "given more than once"));
            }
        }
        pairs.retain(|(name, value)| !value.is_empty() || name == "attr");
        let filter_hash = filter_hash(endpoint, &path, &pairs, tenant);
        Ok(Parameters { endpoint, path, pairs, now, filter_hash, read: Vec::new() })
    }

    /// A parameter of the path.
    pub(super) fn path(&self, name: &'static str) -> Result<&str> {
        let found = self.path.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str()).ok_or_else(|| Error::bug(format!("the path has no `{name}`")))
    }

    /// A parameter's text.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.read.push(name);
        self.pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
    }

    /// A parameter's text, which `parse` understands or explains.
    pub(super) fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>> {
        let text = self.text(name);
        text.map(|text| parse(&text).map_err(|message| Error::parameter(name, message))).transpose()
    }

    /// The texts of a parameter that may be given many times.
    pub(super) fn texts(&mut self, name: &'static str) -> Vec<String> {
        self.read.push(name);
        self.pairs.iter().filter(|(other, _)| other == name).map(|(_, value)| value.clone()).collect()
    }

    /// A number from 1 to the most that the endpoint's list says, or its default.
    pub(super) fn count(&mut self, name: &'static str) -> Result<u64> {
        let kind = self.endpoint.query_parameters().find(|parameter| parameter.name == name).map(|found| found.kind);
        let Some(Kind::Count { default, max }) = kind else {
            return Err(Error::bug(format!("`{name}` is not listed as a number")));
        };
        let parse = |text: &str| match text.parse::<u64>() {
            Ok(count) if (1..=max).contains(&count) => Ok(count),
            _ => Err(format!("expected a whole number from 1 to {max}")),
        };
        Ok(self.parsed(name, parse)?.unwrap_or(default))
    }

    /// `limit`.
    pub(super) fn limit(&mut self) -> Result<usize> {
        Ok(usize::try_from(self.count("limit")?).unwrap_or(usize::MAX))
    }

    /// `timeout`, where the endpoint has it.
    pub(super) fn timeout(&mut self, config: &Config) -> Result<Duration> {
        if !self.endpoint.query_parameters().any(|parameter| parameter.name == "timeout") {
            return Ok(config.timeout);
        }
        let most = config.max_timeout;
        let parse = |text: &str| match time::duration(text)? {
            Duration::ZERO => Err("no query can be answered in no time".into()),
            timeout if timeout > most => Err(format!("at most {most:?}")),
            timeout => Ok(timeout),
        };
        Ok(self.parsed("timeout", parse)?.unwrap_or(config.timeout))
    }

    /// `start` and `end`.
    pub(super) fn range(&mut self, default: DefaultRange) -> Result<TimeRange> {
        let now = self.now;
        let start = self.parsed("start", |text| time::moment(text, now))?;
        let end = self.parsed("end", |text| time::moment(text, now))?;
        if (start, end, default) == (None, None, DefaultRange::AllTime) {
            return Ok(TimeRange::ALL);
        }
        let end = end.unwrap_or(now);
        let start = start.unwrap_or_else(|| match default {
            DefaultRange::LastHour => end.saturating_sub(DEFAULT_RANGE_NANO),
            DefaultRange::AllTime => i64::MIN,
        });
        if start >= end {
            return Err(Error::parameter("start", "`start` must lie before `end`, which is now unless given"));
        }
        Ok(TimeRange { start, end })
    }

    /// `cursor`: the place where the page begins. The range is then that of the first page.
    pub(super) fn cursor<const N: usize>(&mut self) -> Result<Option<Cursor<N>>> {
        let filter_hash = self.filter_hash;
        self.parsed("cursor", |text| Cursor::decode(text, filter_hash).map_err(|refused| refused.to_string()))
    }

    /// What a cursor of this list carries.
    pub(super) fn filter_hash(&self) -> u64 {
        self.filter_hash
    }

    /// Makes sure that the endpoint's list tells the truth (V2).
    pub(super) fn finish(self) -> Result<()> {
        let listed = || self.endpoint.query_parameters().map(|parameter| parameter.name);
        let unlisted = self.read.iter().find(|name| !listed().any(|other| other == **name));
        let unread = listed().find(|name| !self.read.contains(name));
        match unlisted.copied().or(unread) {
            Some(name) => {
                Err(Error::bug(format!("`{name}` is listed or read at {}, but not both", self.endpoint.path)))
            }
            None => Ok(()),
        }
    }
}

fn unknown(endpoint: &Endpoint, name: &str) -> Error {
    let known: Vec<&str> = endpoint.query_parameters().map(|parameter| parameter.name).collect();
    let known = if known.is_empty() { "it has none".into() } else { format!("it has {}", known.join(", ")) };
    Error::parameter(name, format!("this endpoint has no such parameter; {known}"))
}

/// A hash of everything that decides which list is asked for.
fn filter_hash(endpoint: &Endpoint, path: &[(String, String)], pairs: &[(String, String)], tenant: &TenantId) -> u64 {
    let mut filters: Vec<&(String, String)> =
        pairs.iter().filter(|(name, _)| !NOT_OF_THE_FILTER.contains(&name.as_str())).chain(path).collect();
    filters.sort();
    let mut hash = Xxh3Default::new();
    let texts = filters.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    for text in [endpoint.path, tenant.as_str()].into_iter().chain(texts) {
        hash.update(&text.len().to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash.digest()
}

/// The pairs of a query string.
pub(super) fn decode(query: &str) -> Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let Some(name) = decode_text(name) else {
            return Err(Error::parameter(name, "the name is not valid UTF-8 once its percent signs are decoded"));
        };
        let Some(value) = decode_text(value) else {
            return Err(Error::parameter(&name, "the value is not valid UTF-8 once its percent signs are decoded"));
        };
        pairs.push((name, value));
        if pairs.len() > MAX_PAIRS {
            return Err(Error::parameter("query", format!("more than {MAX_PAIRS} parameters")));
        }
    }
    Ok(pairs)
}

/// Decodes `%XX` and `+`; a percent sign that no two hex digits follow stands for itself.
fn decode_text(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                bytes.push(digit(*high)? << 4 | digit(*low)?);
                rest = after;
            }
            (other, _) => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

/// Which parameters of the path an endpoint has.
impl Endpoint {
    /// Parameters that are given behind the question mark.
    pub(super) fn query_parameters(&self) -> impl Iterator<Item = &'static super::endpoint::Parameter> + use<> {
        self.parameters.iter().filter(|parameter| parameter.place == Place::Query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_strings_are_decoded_strictly() {
        let decoded = decode("a=1&b=x%20y+z&&c&d=%25%2&e=%C3%A9=f").unwrap();
        let expected = [("a", "1"), ("b", "x y z"), ("c", ""), ("d", "%%2"), ("e", "é=f")];
        assert_eq!(decoded, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(decode("a=%ff").is_err());
        assert!(decode("%ff=a").is_err());
        assert!(decode(&"a=1&".repeat(MAX_PAIRS + 1)).is_err());
    }
}
