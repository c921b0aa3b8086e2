//! Which policies does a trace meet?

use super::config::{SamplingPolicy, TailSampling};
use super::traits::Traits;
use crate::metric::Pattern;
use crate::model::attribute::{Map, Value};
use crate::model::trace_state::Threshold;
use std::borrow::Cow;

const MILLI: u64 = 1_000_000;

/// All policies, ready to be asked.
#[derive(Debug)]
pub(crate) struct Policies(Vec<Policy>);

#[derive(Debug)]
pub(super) struct Policy {
    name: String,
    status: Option<i32>,
    /// Nanoseconds.
    least_duration: Option<u64>,
    attribute: Option<Attribute>,
    pub(super) share: Share,
}

/// How many of its traces a policy keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Share {
    Of(Threshold),
    /// Traces of a service per second.
    Rate(f64),
}

#[derive(Debug)]
struct Attribute {
    key: String,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Present,
    Equals(String),
    Matches(Box<Pattern>),
}

impl Policies {
    /// Counts what no policy asks for.
    pub(crate) const DEFAULT: &str = "default";
    /// Counts spans of traces that were decided before.
    pub(crate) const LATE: &str = "late";

    /// An `Err` says which pattern is none.
    pub(crate) fn new(config: &TailSampling) -> Result<Self, String> {
        config.policies.iter().map(Policy::new).collect::<Result<_, _>>().map(Policies)
    }

    /// The name of a policy, by its place.
    pub(crate) fn name(&self, place: Option<usize>) -> &str {
        place.and_then(|place| self.0.get(place)).map_or(Self::DEFAULT, |policy| &policy.name)
    }

    /// Whether one looks at attributes.
    pub(crate) fn look_at_attributes(&self) -> bool {
        self.0.iter().any(|policy| policy.attribute.is_some())
    }

    /// The first one whose conditions a trace meets (Y1).
    pub(super) fn first_met(&self, traits: &Traits) -> Option<(usize, Share)> {
        let mut policies = self.0.iter().enumerate();
        policies.find(|(place, policy)| policy.is_met(*place, traits)).map(|(place, policy)| (place, policy.share))
    }

    /// Of each policy a bit: whether one of these has the attribute that it asks for. Of two that have it the first one counts.
    pub(super) fn of_attributes(&self, maps: &[Map<'_>]) -> u32 {
        let mut met = 0;
        for (place, policy) in self.0.iter().enumerate() {
            if let Some(attribute) = &policy.attribute
                && let Some(value) = maps.iter().find_map(|map| map.get(&attribute.key))
                && attribute.test.holds(value)
            {
                met |= 1 << (place % 32);
            }
        }
        met
    }
}

impl Policy {
    fn new(config: &SamplingPolicy) -> Result<Self, String> {
        let test = match (&config.equals, &config.matches) {
            (Some(text), _) => Test::Equals(text.clone()),
            (None, Some(pattern)) => Test::Matches(Box::new(Pattern::new(pattern).map_err(|error| error.to_string())?)),
            (None, None) => Test::Present,
        };
        let share = match (config.traces_per_second, config.keep) {
            (Some(rate), _) => Share::Rate(rate),
            (None, share) => Share::Of(Threshold::of_share(share.unwrap_or(1.0))),
        };
        Ok(Policy {
            name: config.name.clone(),
            status: config.status.map(super::config::SpanStatus::code),
            least_duration: config.min_duration_ms.map(|least| least.saturating_mul(MILLI)),
            attribute: config.attribute.as_ref().map(|key| Attribute { key: key.clone(), test }),
            share,
        })
    }

    fn is_met(&self, place: usize, traits: &Traits) -> bool {
        self.status.is_none_or(|code| traits.has_status(code))
            && self.least_duration.is_none_or(|least| traits.duration() >= least)
            && (self.attribute.is_none() || traits.attributes & (1 << (place % 32)) != 0)
    }
}

impl Test {
    fn holds(&self, value: Value<'_>) -> bool {
        if let Value::Array(list) = value {
            return matches!(self, Test::Present) || list.iter().any(|value| self.holds_one(value));
        }
        self.holds_one(value)
    }

    fn holds_one(&self, value: Value<'_>) -> bool {
        match self {
            Test::Present => true,
            Test::Equals(text) => as_text(value).is_some_and(|value| value == *text),
            Test::Matches(pattern) => as_text(value).is_some_and(|value| pattern.matches(&value)),
        }
    }
}

/// As a person would write it; lists, maps and bytes have no such text.
fn as_text(value: Value<'_>) -> Option<Cow<'_, str>> {
    Some(match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Bool(value) => Cow::Owned(value.to_string()),
        Value::Int(value) => Cow::Owned(value.to_string()),
        Value::Double(value) => Cow::Owned(value.to_string()),
        Value::Empty | Value::Bytes(_) | Value::Array(_) | Value::Map(_) => return None,
    })
}
