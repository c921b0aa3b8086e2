//! How are rules and alerts told? As Prometheus tells them, to the names of fields and the order of groups.

use super::ask::Asked;
use super::refusal::Refusal;
use crate::rule::{Alert, Board, GroupView, RuleKind, RuleView, State};
use crate::series::number::with_exponent;
use crate::series::{Labels, quoted};
use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use storage::model::TenantId;

type Result<T> = std::result::Result<T, Refusal>;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Discovery {
    groups: Vec<Group>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    file: String,
    rules: Vec<Rule>,
    interval: Number,
    limit: usize,
    evaluation_time: Number,
    last_evaluation: Moment,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Rule {
    Alerting(Box<Alerting>),
    Recording(Box<Recording>),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Alerting {
    state: &'static str,
    name: String,
    query: String,
    duration: Number,
    keep_firing_for: Number,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    /// Null where they are left out.
    alerts: Option<Vec<Told>>,
    #[serde(flatten)]
    health: Health,
    r#type: &'static str,
}

#[derive(Debug, Serialize)]
struct Recording {
    name: String,
    query: String,
    labels: BTreeMap<String, String>,
    #[serde(flatten)]
    health: Health,
    r#type: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    health: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    last_error: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    evaluation_time: Number,
    last_evaluation: Moment,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    state: &'static str,
    active_at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_since: Option<Moment>,
    value: String,
}

/// A number as Go writes it: a whole one without a fraction.
#[derive(Debug, Clone, Copy)]
struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        const WHOLE: f64 = 9_007_199_254_740_992.0;
        if self.0.fract() == 0.0 && self.0.abs() <= WHOLE {
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

/// A moment in milliseconds, or that there was none yet.
#[derive(Debug, Clone, Copy)]
struct Moment(Option<i64>);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0.and_then(|at| jiff::Timestamp::from_millisecond(at).ok()) {
            Some(moment) => serializer.collect_str(&moment),
            None => serializer.serialize_str("0001-01-01T00:00:00Z"),
        }
    }
}

/// What `/rules` is asked for.
struct Wish {
    alerting: bool,
    recording: bool,
    with_alerts: bool,
    names: BTreeSet<String>,
    groups: BTreeSet<String>,
    files: BTreeSet<String>,
    selectors: Vec<Vec<crate::promql::Matcher>>,
}

impl Wish {
    fn new(asked: &Asked) -> Result<Self> {
        let kind = asked.text("type").unwrap_or_default().to_lowercase();
        if !matches!(kind.as_str(), "" | "alert" | "record") {
            return Err(Refusal::parameter("type", format!("not supported value {}", quoted(kind.as_bytes()))));
        }
        Ok(Wish {
            alerting: kind != "record",
            recording: kind != "alert",
            with_alerts: !asked.flag("exclude_alerts")?,
            names: asked.all("rule_name[]"),
            groups: asked.all("rule_group[]"),
            files: asked.all("file[]"),
            selectors: asked.selectors()?,
        })
    }

    fn takes_group(&self, group: &GroupView) -> bool {
        let fits = |wanted: &BTreeSet<String>, name: &String| wanted.is_empty() || wanted.contains(name);
        fits(&self.groups, &group.spec.name) && fits(&self.files, &group.spec.file)
    }

    fn rules(&self, group: &GroupView) -> Vec<Rule> {
        let rules = group.spec.rules.iter().zip(&group.rules);
        let rules = rules.filter(|(spec, _)| {
            let kind = if matches!(spec.kind, RuleKind::Recording) { self.recording } else { self.alerting };
            let value = |label: &str| spec.labels.get(label).map_or("", String::as_str);
            let fits = |matchers: &Vec<crate::promql::Matcher>| {
                matchers.iter().all(|matcher| matcher.accepts(value(&matcher.label)))
            };
            kind && (self.names.is_empty() || self.names.contains(&spec.name))
                && (self.selectors.is_empty() || self.selectors.iter().any(fits))
        });
        rules.map(|(spec, view)| self.rule(spec, view)).collect()
    }

    fn rule(&self, spec: &crate::rule::RuleSpec, view: &RuleView) -> Rule {
        let health = Health {
            health: view.health.as_str(),
            last_error: view.error.clone(),
            warnings: view.warnings.clone(),
            evaluation_time: Number(view.seconds),
            last_evaluation: Moment(view.evaluated_at),
        };
        let (name, query, labels) = (spec.name.clone(), spec.query.clone(), spec.labels.clone());
        let RuleKind::Alerting(alerting) = &spec.kind else {
            return Rule::Recording(Box::new(Recording { name, query, labels, health, r#type: "recording" }));
        };
        let annotations = alerting.annotations.iter();
        Rule::Alerting(Box::new(Alerting {
            state: match view.state {
                None => "unknown",
                Some(None) => "inactive",
                Some(Some(state)) => state.as_str(),
            },
            name,
            query,
            duration: Number(alerting.hold as f64 / 1_000.0),
            keep_firing_for: Number(alerting.keep as f64 / 1_000.0),
            labels,
            annotations: annotations.map(|(name, template)| (name.clone(), template.text().to_owned())).collect(),
            alerts: self.with_alerts.then(|| view.alerts.iter().map(|alert| told(alert)).collect()),
            health,
            r#type: "alerting",
        }))
    }
}

fn map(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn told(alert: &Alert) -> Told {
    Told {
        labels: map(&alert.labels),
        annotations: alert.annotations.iter().cloned().collect(),
        state: alert.state.as_str(),
        active_at: Moment(Some(alert.active_at)),
        keep_firing_since: alert.keep_firing_since.map(|since| Moment(Some(since))),
        value: with_exponent(alert.value),
    }
}

/// How many groups a page has, and with which the page begins.
fn page(asked: &Asked) -> Result<Option<(usize, Option<String>)>> {
    let (limit, token) = (asked.text("group_limit"), asked.text("group_next_token"));
    let Some(limit) = limit else {
        if token.is_some() {
            let why = "group_limit needs to be present in order to paginate over the groups";
            return Err(Refusal::parameter("group_next_token", why));
        }
        return Ok(None);
    };
    let number: i32 = limit.parse().map_err(|error: std::num::ParseIntError| {
        let why = match error.kind() {
            std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        let why = format!("strconv.ParseInt: parsing {}: {why}", quoted(limit.as_bytes()));
        Refusal::parameter("group_limit", format!("group_limit needs to be a valid number: {why}"))
    })?;
    match usize::try_from(number) {
        Ok(limit) if limit > 0 => Ok(Some((limit, token.map(str::to_owned)))),
        _ => Err(Refusal::parameter("group_limit", "group_limit needs to be greater than 0")),
    }
}

/// What names a group in the next page's question.
fn token(group: &GroupView) -> String {
    let key = format!("{};{}", group.spec.file, group.spec.name);
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(key.as_bytes()))
}

/// `/rules`.
pub(super) fn rules(asked: &Asked, board: &Board, tenant: &TenantId) -> Result<String> {
    let wish = Wish::new(asked)?;
    let page = page(asked)?;
    let mut known: Vec<Arc<GroupView>> = board.of(tenant);
    if let Some(first) = page.as_ref().and_then(|(_, first)| first.as_ref()) {
        let Some(place) = known.iter().position(|group| token(group) == *first) else {
            let why = format!("invalid group_next_token '{first}'. were rule groups changed?");
            return Err(Refusal::parameter("group_next_token", why));
        };
        known.drain(..place);
    }
    let most = page.map_or(usize::MAX, |(limit, _)| limit);
    let (mut groups, mut group_next_token) = (Vec::new(), None);
    for group in known.iter().filter(|group| wish.takes_group(group)) {
        let rules = wish.rules(group);
        if rules.is_empty() {
            continue;
        }
        if groups.len() == most {
            group_next_token = Some(token(group));
            break;
        }
        groups.push(Group {
            name: group.spec.name.clone(),
            file: group.spec.file.clone(),
            rules,
            interval: Number(group.spec.interval as f64 / 1_000.0),
            limit: group.spec.limit,
            evaluation_time: Number(group.seconds),
            last_evaluation: Moment(group.evaluated_at),
        });
    }
    json(&Discovery { groups, group_next_token })
}

/// `/alerts`: of all rules, those that fire first.
pub(super) fn alerts(board: &Board, tenant: &TenantId) -> Result<String> {
    #[derive(Debug, Serialize)]
    struct Alerts {
        alerts: Vec<Told>,
    }
    let groups = board.of(tenant);
    let rules = groups.iter().flat_map(|group| group.spec.rules.iter().zip(&group.rules));
    let mut rules: Vec<(Option<State>, &str, &RuleView)> =
        rules.map(|(spec, view)| (view.state.flatten(), spec.name.as_str(), view)).collect();
    rules.sort_by(|(a, a_name, _), (b, b_name, _)| b.cmp(a).then(a_name.cmp(b_name)));
    let alerts = rules.iter().flat_map(|(_, _, view)| &view.alerts).map(|alert| told(alert)).collect();
    json(&Alerts { alerts })
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|_| Refusal::internal())
}
