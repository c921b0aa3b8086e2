//! What is the value of a rule? On the executor's threads, with a query's limits.

use super::alert::{Cause, OUTAGE_TOLERANCE, Written};
use super::file::{Alerting, RuleKind, RuleSpec};
use super::template::{Found, Scene, Template};
use crate::error::{Error, Result};
use crate::exec::Control;
use crate::prometheus::Store;
use crate::promql::{self, Answer, Fault, Frame, Level, Matcher, Reading, Settings, Source as _};
use crate::series::{Labels, NAME, Value};
use std::collections::BTreeMap;
use storage::metric::Relation;

/// The label of an alert's name.
pub(super) const ALERT_NAME: &str = "alertname";
/// The metric that says since when alerts are active.
pub(super) const FOR_STATE: &str = "ALERTS_FOR_STATE";

/// Warnings that are kept of one evaluation.
const MOST_WARNINGS: usize = 10;

/// What a rule gives, and what PromQL warns of.
#[derive(Debug)]
pub(super) struct Evaluated {
    pub(super) given: Given,
    pub(super) warnings: Vec<String>,
}

/// What a rule gives.
#[derive(Debug)]
pub(super) enum Given {
    Samples(Vec<Found>),
    Causes {
        causes: Vec<Cause>,
        /// Texts that could not be expanded.
        failures: u64,
    },
}

/// What is wrong with a rule, or with the server.
type Outcome<T> = Result<std::result::Result<T, String>>;

/// Evaluates a rule that looks at one moment on its turn at another.
pub(super) fn evaluate(
    control: &Control,
    rule: &RuleSpec,
    looks_at: i64,
    now: i64,
    limit: usize,
) -> Outcome<Evaluated> {
    let outcome = outcome_at(control, &rule.query, looks_at);
    let mut warnings = outcome.notes.texts(Level::Warning, &rule.query);
    warnings.truncate(MOST_WARNINGS);
    let found = match outcome.answer.and_then(vector) {
        Ok(found) => found,
        Err(fault) => return told(fault, &rule.query),
    };
    let given = match &rule.kind {
        RuleKind::Recording => recorded(rule, found, limit).map(Given::Samples),
        RuleKind::Alerting(alerting) => Ok(causes(control, rule, alerting, &found, now)?),
    };
    Ok(given.map(|given| Evaluated { given, warnings }))
}

/// Only what ends a query from outside is the server's matter; the rest is said of the rule.
fn told<T>(fault: Fault, query: &str) -> Outcome<T> {
    match fault {
        Fault::Server(error @ (Error::Cancelled | Error::Busy { .. })) => Err(error),
        fault => Ok(Err(fault.message(query))),
    }
}

fn outcome_at(control: &Control, query: &str, time: i64) -> promql::Outcome {
    let frame = Frame { start: time, end: time, step: 0 };
    promql::evaluate(&Store::new(control), Settings::default(), query, frame)
}

fn vector(answer: Answer) -> promql::Result<Vec<Found>> {
    match answer {
        Answer::Instant(rows) => {
            let found = rows.into_iter().filter_map(|row| {
                let value = row.cells.into_iter().next().flatten()?;
                Some(Found { labels: row.labels, value })
            });
            Ok(found.collect())
        }
        Answer::Scalar(values) => {
            let value = values.first().copied().unwrap_or(f64::NAN);
            Ok(vec![Found { labels: Labels::default(), value: Value::Float(value) }])
        }
        Answer::Text(_) | Answer::Range(_) => {
            Err(Fault::Evaluation("rule result is not a vector or scalar".to_owned()))
        }
    }
}

/// Under the rule's name and with its labels.
fn recorded(rule: &RuleSpec, found: Vec<Found>, limit: usize) -> std::result::Result<Vec<Found>, String> {
    let mut renamed: BTreeMap<Labels, Value> = BTreeMap::new();
    let own = std::iter::once((NAME, rule.name.as_str()));
    let own: Vec<(&str, &str)> =
        own.chain(rule.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))).collect();
    for Found { labels, value } in found {
        let labels = Labels::new(labels.iter().chain(own.iter().copied()));
        if renamed.insert(labels, value).is_some() {
            return Err("vector contains metrics with the same labelset after applying rule labels".to_owned());
        }
    }
    if limit > 0 && renamed.len() > limit {
        return Err(format!("exceeded limit of {limit} with {} series", renamed.len()));
    }
    Ok(renamed.into_iter().map(|(labels, value)| Found { labels, value }).collect())
}

/// Alerts with their labels and annotations.
fn causes(control: &Control, rule: &RuleSpec, alerting: &Alerting, found: &[Found], now: i64) -> Result<Given> {
    let (mut causes, mut failures) = (Vec::with_capacity(found.len()), 0);
    for found in found {
        control.check()?;
        let mut expand = |template: &Template| -> Result<String> {
            let mut ask = |query: &str| {
                outcome_at(control, query, now).answer.and_then(vector).map_err(|fault| fault.message(query))
            };
            let text = template.expand(Scene { found, now, ask: &mut ask }).unwrap_or_else(|fault| {
                failures += 1;
                tracing::debug!(rule = rule.name, %fault, "a template could not be expanded");
                format!("<error expanding template: {fault}>")
            });
            control.charge(text.len())?;
            Ok(text)
        };
        let mut labels = found.labels.without_label(NAME);
        for (name, template) in &alerting.labels {
            labels = labels.with(name, &expand(template)?);
        }
        let labels = labels.with(ALERT_NAME, &rule.name);
        let annotations = alerting.annotations.iter();
        let annotations = annotations.map(|(name, template)| Ok((name.clone(), expand(template)?)));
        let annotations = annotations.collect::<Result<Vec<_>>>()?;
        let value = found.value.float().unwrap_or(0.0);
        causes.push(Cause { labels, annotations, value });
    }
    Ok(Given::Causes { causes, failures })
}

/// What was written last of a rule's alerts, by their labels, before the server was away.
pub(super) fn written(control: &Control, rule: &RuleSpec, now: i64) -> Result<BTreeMap<Labels, Written>> {
    // What a template would have made is not known here.
    let labels = rule.labels.iter().filter(|(name, value)| *name != ALERT_NAME && !value.contains("{{"));
    let labels = labels.map(|(name, value)| (name.as_str(), value.as_str()));
    let equal = labels.chain([(NAME, FOR_STATE), (ALERT_NAME, rule.name.as_str())]);
    let matchers = equal.map(|(name, value)| Matcher::new(name, Relation::Equal, value));
    let matchers = matchers.collect::<std::result::Result<Vec<_>, _>>().map_err(Error::bug)?;
    let mut written = BTreeMap::new();
    let read = Store::new(control).select(&matchers, now - OUTAGE_TOLERANCE, now, Reading::WHOLE, &mut |series| {
        let samples = series.points.into_samples();
        let last = samples.last().filter(|sample| !sample.value.is_stale());
        if let Some((time, active_at)) = last.and_then(|sample| Some((sample.time, sample.value.float()?))) {
            let last = Written { at: time.div_euclid(1_000), active_at: active_at as i64 };
            written.insert(series.labels.without_label(NAME), last);
        }
        Ok(())
    });
    match read {
        Ok(()) => Ok(written),
        Err(Fault::Server(error)) => Err(error),
        Err(fault) => Err(Error::bug(fault.message(""))),
    }
}
