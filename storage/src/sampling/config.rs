//! How does a person say which traces are kept?

use super::Policies;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A bit of a word tells of each whether a trace meets its condition on attributes.
const MOST_POLICIES: usize = 32;
const LONGEST_NAME: usize = 64;
/// Longer, and what is undecided fills the disk with small blocks.
const LONGEST_WAIT_SECONDS: u32 = 3_600;
/// Rates are counted over ten seconds.
const LEAST_RATE: f64 = 0.1;
const MOST_RATE: f64 = 1e6;
/// What is counted beside policies.
const RESERVED: [&str; 2] = [Policies::DEFAULT, Policies::LATE];

/// Which traces are kept. Without policies all are, and nothing is decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TailSampling {
    /// A trace is decided when its last span has been in a block for so long.
    pub wait_seconds: u32,
    /// The first whose conditions a trace meets decides.
    pub policies: Vec<SamplingPolicy>,
}

impl Default for TailSampling {
    fn default() -> Self {
        // Metrics of spans are made of what is up to 65 s old, and must see everything.
        TailSampling { wait_seconds: 120, policies: Vec::new() }
    }
}

/// Conditions on a trace, all of which hold, and what becomes of a trace that meets them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplingPolicy {
    /// What its traces are counted by.
    pub name: String,
    /// One of the spans has this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<SpanStatus>,
    /// From the start of the first span to the end of the last it took so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_duration_ms: Option<u64>,
    /// One of the spans, or its resource or scope, has this attribute ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    /// ... with this value, as text ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<String>,
    /// ... or with one that this pattern matches, from end to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<String>,
    /// The share that is kept, from 0 to 1. Without it, and without a rate, all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<f64>,
    /// So many of each service are kept each second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces_per_second: Option<f64>,
}

/// How a span says that it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanStatus {
    /// By an error.
    Error,
    /// As it should.
    Ok,
}

impl SpanStatus {
    pub(super) fn code(self) -> i32 {
        match self {
            SpanStatus::Ok => 1,
            SpanStatus::Error => 2,
        }
    }
}

impl TailSampling {
    /// Whether traces are decided at all.
    pub fn is_on(&self) -> bool {
        !self.policies.is_empty()
    }

    /// An `Err` says what is wrong in a setting of this name.
    pub(crate) fn check(&self, setting: &str) -> Result<(), String> {
        let wait = self.wait_seconds;
        if wait == 0 || wait > LONGEST_WAIT_SECONDS {
            return Err(format!("`{setting}.wait_seconds` is {wait}, not between 1 and {LONGEST_WAIT_SECONDS}"));
        }
        if self.policies.len() > MOST_POLICIES {
            return Err(format!("`{setting}.policies` are {}, more than {MOST_POLICIES}", self.policies.len()));
        }
        let (mut names, mut last) = (BTreeSet::new(), None);
        for (place, policy) in self.policies.iter().enumerate() {
            let wrong = |what: String| format!("`{setting}.policies[{place}]` (`{}`): {what}", policy.name);
            policy.check().map_err(wrong)?;
            if !names.insert(&policy.name) {
                return Err(wrong("another has this name".to_owned()));
            }
            if let Some(last) = last {
                return Err(wrong(format!("it is never asked, because `{last}` before it has no condition")));
            }
            last = policy.is_met_by_all().then_some(&policy.name);
        }
        Policies::new(self).map(drop).map_err(|what| format!("`{setting}.policies`: {what}"))
    }
}

impl SamplingPolicy {
    fn is_met_by_all(&self) -> bool {
        self.status.is_none() && self.min_duration_ms.is_none() && self.attribute.is_none()
    }

    fn check(&self) -> Result<(), String> {
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if self.name.is_empty() || self.name.len() > LONGEST_NAME || !self.name.bytes().all(is_of_name) {
            return Err(format!("`name` is 1 to {LONGEST_NAME} letters, digits, `_`, `-` or `.`"));
        }
        if RESERVED.contains(&self.name.as_str()) {
            return Err("`name` is one that is counted beside the policies".to_owned());
        }
        if self.attribute.as_ref().is_some_and(String::is_empty) {
            return Err("`attribute` is empty".to_owned());
        }
        match (&self.attribute, &self.equals, &self.matches) {
            (None, Some(_), _) => return Err("`equals` without `attribute`".to_owned()),
            (None, _, Some(_)) => return Err("`matches` without `attribute`".to_owned()),
            (_, Some(_), Some(_)) => return Err("`equals` and `matches` at once".to_owned()),
            _ => {}
        }
        if let Some(share) = self.keep
            && !(0.0..=1.0).contains(&share)
        {
            return Err(format!("`keep` is {share}, not between 0 and 1"));
        }
        match (self.keep, self.traces_per_second) {
            (Some(_), Some(_)) => Err("`keep` and `traces_per_second` at once".to_owned()),
            (None, Some(rate)) if !(LEAST_RATE..=MOST_RATE).contains(&rate) => {
                Err(format!("`traces_per_second` is {rate}, not between {LEAST_RATE} and {MOST_RATE}"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let sampling: TailSampling = serde_json::from_str(text).unwrap();
        sampling.check("retention.tail_sampling").unwrap_err()
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let golden = [
            (r#"{"wait_seconds": 0}"#, "`retention.tail_sampling.wait_seconds` is 0, not between 1 and 3600"),
            (
                r#"{"policies": [{"name": "a", "keep": 1.5}]}"#,
                "`retention.tail_sampling.policies[0]` (`a`): `keep` is 1.5, not between 0 and 1",
            ),
            (
                r#"{"policies": [{"name": "a b"}]}"#,
                "`retention.tail_sampling.policies[0]` (`a b`): `name` is 1 to 64 letters, digits, `_`, `-` or `.`",
            ),
            (
                r#"{"policies": [{"name": "late"}]}"#,
                "`retention.tail_sampling.policies[0]` (`late`): `name` is one that is counted beside the policies",
            ),
            (
                r#"{"policies": [{"name": "a", "status": "error"}, {"name": "a"}]}"#,
                "`retention.tail_sampling.policies[1]` (`a`): another has this name",
            ),
            (
                r#"{"policies": [{"name": "all", "keep": 0.1}, {"name": "errors", "status": "error"}]}"#,
                "`retention.tail_sampling.policies[1]` (`errors`): it is never asked, because `all` before it has no condition",
            ),
            (
                r#"{"policies": [{"name": "a", "equals": "x"}]}"#,
                "`retention.tail_sampling.policies[0]` (`a`): `equals` without `attribute`",
            ),
            (
                r#"{"policies": [{"name": "a", "attribute": "k", "equals": "x", "matches": "y"}]}"#,
                "`retention.tail_sampling.policies[0]` (`a`): `equals` and `matches` at once",
            ),
            (
                r#"{"policies": [{"name": "a", "keep": 0.5, "traces_per_second": 2}]}"#,
                "`retention.tail_sampling.policies[0]` (`a`): `keep` and `traces_per_second` at once",
            ),
            (
                r#"{"policies": [{"name": "a", "traces_per_second": 0}]}"#,
                "`retention.tail_sampling.policies[0]` (`a`): `traces_per_second` is 0, not between 0.1 and 1000000",
            ),
        ];
        for (text, expected) in golden {
            assert_eq!(error(text), expected);
        }
        let pattern = error(r#"{"policies": [{"name": "a", "attribute": "k", "matches": "("}]}"#);
        assert!(pattern.starts_with("`retention.tail_sampling.policies`: the pattern `(` cannot be used"), "{pattern}");
        let many: Vec<String> = (0..33).map(|n| format!(r#"{{"name": "{n}", "status": "ok"}}"#)).collect();
        assert!(error(&format!(r#"{{"policies": [{}]}}"#, many.join(","))).ends_with("are 33, more than 32"));
    }

    #[test]
    fn words_that_are_unknown_are_refused() {
        for text in [
            r#"{"policy": []}"#,
            r#"{"policies": [{"name": "a", "statuses": "error"}]}"#,
            r#"{"policies": [{"name": "a", "status": "bad"}]}"#,
        ] {
            assert!(serde_json::from_str::<TailSampling>(text).is_err(), "{text}");
        }
    }
}
