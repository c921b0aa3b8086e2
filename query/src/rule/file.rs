//! What does a file of rules say? It has Prometheus's format; what is not known or cannot be is an error with line and column.
//!
//! F1  All faults of a file are told at once, each with the place of what it is about, and within an expression or a template with the
//!     place there.
//! F2  What Prometheus takes is taken; one key is ours: a group's `tenant`, whose metrics it reads and writes.
//!
//! Not here: which files there are (`config`), what rules do (`group`).

use super::template::Template;
use crate::promql;
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use std::collections::{BTreeMap, BTreeSet};
use storage::model::TenantId;

/// How often groups are evaluated that do not say.
const DEFAULT_INTERVAL: i64 = 60_000;

/// A group of rules that are evaluated one after another, by one interval.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GroupSpec {
    pub(crate) file: String,
    pub(crate) name: String,
    pub(crate) tenant: TenantId,
    /// Milliseconds, above 0.
    pub(crate) interval: i64,
    /// How long before its turn a group looks, in milliseconds.
    pub(crate) query_offset: i64,
    /// Series or alerts of one rule; 0 is no limit.
    pub(crate) limit: usize,
    pub(crate) rules: Vec<RuleSpec>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RuleSpec {
    pub(crate) name: String,
    /// The expression, in its canonical form.
    pub(crate) query: String,
    /// As they were written, the group's among them.
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) kind: RuleKind,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RuleKind {
    Recording,
    Alerting(Box<Alerting>),
}

/// What an alerting rule has besides.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Alerting {
    /// How long it is pending, in milliseconds.
    pub(crate) hold: i64,
    /// How long it goes on when its cause has gone, in milliseconds.
    pub(crate) keep: i64,
    pub(crate) labels: Vec<(String, Template)>,
    pub(crate) annotations: Vec<(String, Template)>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    groups: Option<Vec<Spanned<Group>>>,
}

/// A text that may be left empty.
type Word = Spanned<Option<String>>;
type Words = BTreeMap<String, Word>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    #[serde(default)]
    name: Option<String>,
    interval: Option<Word>,
    query_offset: Option<Word>,
    #[serde(default)]
    limit: Option<i64>,
    #[serde(default)]
    labels: Option<Words>,
    tenant: Option<Word>,
    #[serde(default)]
    rules: Option<Vec<Spanned<Rule>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    record: Option<Word>,
    alert: Option<Word>,
    expr: Option<Word>,
    r#for: Option<Word>,
    keep_firing_for: Option<Word>,
    #[serde(default)]
    labels: Option<Words>,
    #[serde(default)]
    annotations: Option<Words>,
}

/// Reads a file's text. What is wrong is told with the file's name.
pub(super) fn parse(path: &str, text: &str) -> Result<Vec<GroupSpec>, Vec<String>> {
    let mut reader = Reader { path, faults: Vec::new() };
    let file = if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        File { groups: None }
    } else {
        match serde_saphyr::from_str(text) {
            Ok(file) => file,
            Err(error) => {
                let error = error.without_snippet();
                reader.tell(error.location().unwrap_or(Location::UNKNOWN), &error.to_string());
                return Err(reader.faults);
            }
        }
    };
    let mut names = BTreeSet::new();
    let mut groups = Vec::new();
    for group in file.groups.unwrap_or_default() {
        let name = group.value.name.clone().unwrap_or_default();
        if name.is_empty() {
            reader.tell(group.defined, "a group's name must not be empty");
        } else if !names.insert(name.clone()) {
            reader.tell(group.defined, &format!("group {name:?} is repeated in the same file"));
        }
        groups.push(reader.group(name, group));
    }
    if reader.faults.is_empty() { Ok(groups) } else { Err(reader.faults) }
}

/// Reads groups and keeps what is wrong in them (F1).
struct Reader<'p> {
    path: &'p str,
    faults: Vec<String>,
}

fn text(word: Option<&Word>) -> &str {
    word.and_then(|word| word.value.as_deref()).unwrap_or_default()
}

impl Reader<'_> {
    fn tell(&mut self, at: Location, message: &str) {
        let place = if at == Location::UNKNOWN { String::new() } else { format!(":{}:{}", at.line(), at.column()) };
        self.faults.push(format!("{}{place}: {message}", self.path));
    }

    fn duration(&mut self, word: Option<&Word>, what: &str) -> Option<i64> {
        let word = word?;
        match promql::parse_duration(word.value.as_deref()?) {
            Ok(length) => Some(length),
            Err(error) => {
                self.tell(word.defined, &format!("{what}: {error}"));
                None
            }
        }
    }

    fn group(&mut self, name: String, group: Spanned<Group>) -> GroupSpec {
        let at = group.defined;
        let Group { interval, query_offset, limit, labels, tenant, rules, .. } = group.value;
        let prefix = format!("group {name:?}");
        let labels = labels.unwrap_or_default();
        self.names(&labels, &prefix, "label");
        let interval = self.duration(interval.as_ref(), &format!("{prefix}, interval")).filter(|length| *length > 0);
        let query_offset = self.duration(query_offset.as_ref(), &format!("{prefix}, query_offset")).unwrap_or(0);
        let tenant = match tenant.as_ref().map(|word| TenantId::new(text(Some(word)))) {
            None => TenantId::default(),
            Some(Ok(tenant)) if !tenant.is_own() => tenant,
            Some(told) => {
                let why = told.map_or_else(|error| error.to_string(), |own| format!("`{own}` is Spanlight's own"));
                self.tell(tenant.map_or(at, |word| word.defined), &format!("{prefix}, tenant: {why}"));
                TenantId::default()
            }
        };
        let rules = rules.unwrap_or_default().into_iter().enumerate();
        let rules: Vec<RuleSpec> = rules
            .filter_map(|(place, rule)| {
                let name = [rule.value.alert.as_ref(), rule.value.record.as_ref()];
                let name = name.map(text).into_iter().find(|name| !name.is_empty()).unwrap_or_default().to_owned();
                let prefix = format!("{prefix}, rule {}, {name:?}", place + 1);
                self.rule(name, &prefix, rule, &labels)
            })
            .collect();
        GroupSpec {
            file: self.path.to_owned(),
            name,
            tenant,
            interval: interval.unwrap_or(DEFAULT_INTERVAL),
            query_offset,
            limit: limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(0),
            rules,
        }
    }

    /// Whether keys can be names of labels.
    fn names(&mut self, words: &Words, prefix: &str, what: &str) {
        for (name, word) in words {
            if name.is_empty() || (what == "label" && name == crate::series::NAME) {
                self.tell(word.defined, &format!("{prefix}: invalid {what} name: {name}"));
            }
        }
    }

    fn rule(&mut self, name: String, prefix: &str, rule: Spanned<Rule>, of_group: &Words) -> Option<RuleSpec> {
        let known = self.faults.len();
        let (at, rule) = (rule.defined, rule.value);
        let alert = Some(text(rule.alert.as_ref())).filter(|name| !name.is_empty());
        let record = Some(text(rule.record.as_ref())).filter(|name| !name.is_empty());
        match (alert, record) {
            (Some(_), Some(_)) => self.tell(at, &format!("{prefix}: only one of 'record' and 'alert' must be set")),
            (None, None) => self.tell(at, &format!("{prefix}: one of 'record' or 'alert' must be set")),
            _ => {}
        }
        let query = self.query(&rule, at, prefix);
        let (own, annotations) = (rule.labels.as_ref(), rule.annotations.as_ref());
        if let Some(words) = own {
            self.names(words, prefix, "label");
        }
        if let Some(words) = annotations {
            self.names(words, prefix, "annotation");
        }
        let merged: BTreeMap<&String, &Word> = of_group.iter().chain(own.into_iter().flatten()).collect();
        let kind = if alert.is_some() {
            let hold = self.duration(rule.r#for.as_ref(), &format!("{prefix}, for")).unwrap_or(0);
            let keep = self.duration(rule.keep_firing_for.as_ref(), &format!("{prefix}, keep_firing_for")).unwrap_or(0);
            let labels = self.templates(merged.iter().map(|(name, word)| (*name, *word)), prefix, "label");
            let annotations = self.templates(annotations.into_iter().flatten(), prefix, "annotation");
            RuleKind::Alerting(Box::new(Alerting { hold, keep, labels, annotations }))
        } else {
            self.recording(&rule, prefix);
            RuleKind::Recording
        };
        let labels = merged.into_iter().map(|(name, word)| (name.clone(), text(Some(word)).to_owned())).collect();
        let query = query.filter(|_| self.faults.len() == known)?;
        Some(RuleSpec { name, query, labels, kind })
    }

    fn query(&mut self, rule: &Rule, at: Location, prefix: &str) -> Option<String> {
        let expr = text(rule.expr.as_ref());
        let at = rule.expr.as_ref().map_or(at, |word| word.defined);
        if expr.is_empty() {
            self.tell(at, &format!("{prefix}: field 'expr' must be set in rule"));
            return None;
        }
        match promql::parse(expr) {
            Ok(expr) => Some(expr.to_string()),
            Err(fault) => {
                self.tell(at, &format!("{prefix}: could not parse expression: {}", fault.message(expr)));
                None
            }
        }
    }

    /// What a recording rule must not have.
    fn recording(&mut self, rule: &Rule, prefix: &str) {
        let fields = [("for", rule.r#for.as_ref()), ("keep_firing_for", rule.keep_firing_for.as_ref())];
        for (field, word) in fields {
            if let Some(word) = word.filter(|word| !matches!(word.value.as_deref(), None | Some("" | "0" | "0s"))) {
                self.tell(word.defined, &format!("{prefix}: invalid field '{field}' in recording rule"));
            }
        }
        if let Some(word) = rule.annotations.as_ref().and_then(|words| words.values().next()) {
            self.tell(word.defined, &format!("{prefix}: invalid field 'annotations' in recording rule"));
        }
        if let Some(word) = rule.record.as_ref().filter(|word| text(Some(word)).contains(['{', '}'])) {
            let name = text(Some(word));
            let what = "braces present in the recording rule name; should it be in expr?";
            self.tell(word.defined, &format!("{prefix}: {what}: {name}"));
        }
    }

    fn templates<'w>(
        &mut self,
        words: impl Iterator<Item = (&'w String, &'w Word)>,
        prefix: &str,
        what: &str,
    ) -> Vec<(String, Template)> {
        let mut templates = Vec::new();
        for (name, word) in words {
            match Template::parse(text(Some(word))) {
                Ok(template) => templates.push((name.clone(), template)),
                Err(fault) => self.tell(word.defined, &format!("{prefix}: {what} {name:?}: {fault}")),
            }
        }
        templates
    }
}
