//! What do relabelling rules make of labels? Prometheus's eleven actions.

use super::config::Validation;
use md5::{Digest as _, Md5};
use regex::{Captures, Regex};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use storage::re2;

/// Labels by name; one with an empty value is not there.
pub(super) type Labels = BTreeMap<String, String>;

/// A rule, by Prometheus's names.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rule {
    source_labels: Vec<String>,
    separator: String,
    target_label: String,
    regex: String,
    modulus: u64,
    replacement: String,
    action: Action,
    #[serde(skip)]
    compiled: Option<Regex>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
enum Action {
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    HashMod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}

impl Action {
    const ALL: [(&'static str, Action); 11] = [
        ("replace", Action::Replace),
        ("keep", Action::Keep),
        ("drop", Action::Drop),
        ("keepequal", Action::KeepEqual),
        ("dropequal", Action::DropEqual),
        ("hashmod", Action::HashMod),
        ("labelmap", Action::LabelMap),
        ("labeldrop", Action::LabelDrop),
        ("labelkeep", Action::LabelKeep),
        ("lowercase", Action::Lowercase),
        ("uppercase", Action::Uppercase),
    ];

    /// As files write it.
    fn name(self) -> &'static str {
        Action::ALL.iter().find(|(_, action)| *action == self).map_or("", |(name, _)| name)
    }
}

impl TryFrom<String> for Action {
    type Error = String;

    /// In any case, as Prometheus reads it.
    fn try_from(text: String) -> Result<Self, String> {
        let found = Action::ALL.iter().find(|(name, _)| name.eq_ignore_ascii_case(&text));
        let names = || Action::ALL.map(|(name, _)| name).join(", ");
        found.map(|(_, action)| *action).ok_or_else(|| format!("{text:?} is no action; there are {}", names()))
    }
}

impl Default for Rule {
    fn default() -> Self {
        Rule {
            source_labels: Vec::new(),
            separator: ";".to_owned(),
            target_label: String::new(),
            regex: "(.*)".to_owned(),
            modulus: 0,
            replacement: "$1".to_owned(),
            action: Action::Replace,
            compiled: None,
        }
    }
}

impl Rule {
    /// Makes the rule ready, or says why it is none.
    pub(super) fn check(&mut self, validation: Validation) -> Result<(), String> {
        let compiled = re2::anchored(&self.regex)
            .and_then(|anchored| Regex::new(&anchored).map_err(|error| error.to_string()))
            .map_err(|error| format!("regex {:?} cannot be used: {error}", self.regex))?;
        self.compiled = Some(compiled);
        let needs_target = matches!(
            self.action,
            Action::Replace
                | Action::HashMod
                | Action::Lowercase
                | Action::Uppercase
                | Action::KeepEqual
                | Action::DropEqual
        );
        let action = self.action.name();
        if needs_target && self.target_label.is_empty() {
            return Err(format!("a rule of action {action} needs target_label"));
        }
        if self.action == Action::HashMod && self.modulus == 0 {
            return Err("a rule of action hashmod needs modulus above 0".to_owned());
        }
        self.check_names(validation)?;
        let usual = Rule::default();
        let has_own_replacement = self.separator != usual.separator || self.replacement != usual.replacement;
        let is_equality = matches!(self.action, Action::KeepEqual | Action::DropEqual);
        if is_equality && (has_own_replacement || self.regex != usual.regex || self.modulus != 0) {
            return Err(format!("a rule of action {action} has source_labels and target_label only"));
        }
        let is_of_names = matches!(self.action, Action::LabelDrop | Action::LabelKeep);
        let has_labels = !self.source_labels.is_empty() || !self.target_label.is_empty();
        if is_of_names && (has_own_replacement || has_labels || self.modulus != 0) {
            return Err(format!("a rule of action {action} has regex only"));
        }
        Ok(())
    }

    /// Labels that it makes have names that are taken.
    fn check_names(&self, validation: Validation) -> Result<(), String> {
        let (key, text, is_taken) = match self.action {
            Action::Replace => ("target_label", &self.target_label, validation.takes_template(&self.target_label)),
            Action::LabelMap => ("replacement", &self.replacement, validation.takes_template(&self.replacement)),
            Action::HashMod | Action::Lowercase | Action::Uppercase | Action::KeepEqual | Action::DropEqual => {
                ("target_label", &self.target_label, validation.takes_label(&self.target_label))
            }
            Action::Keep | Action::Drop | Action::LabelDrop | Action::LabelKeep => return Ok(()),
        };
        let (action, scheme) = (self.action.name(), validation.name());
        let refused = || {
            format!(
                "a rule of action {action} has the {key} {text:?}, which metric_name_validation_scheme {scheme} does not take"
            )
        };
        is_taken.then_some(()).ok_or_else(refused)
    }

    /// By Prometheus's names; what is empty is left out where Prometheus leaves it out.
    fn described(&self) -> Value {
        let mut rule =
            json!({ "separator": self.separator, "replacement": self.replacement, "action": self.action.name() });
        if !self.source_labels.is_empty() {
            rule["source_labels"] = json!(self.source_labels);
        }
        for (key, text) in [("regex", &self.regex), ("target_label", &self.target_label)] {
            if !text.is_empty() {
                rule[key] = json!(text);
            }
        }
        if self.modulus > 0 {
            rule["modulus"] = json!(self.modulus);
        }
        rule
    }

    /// Rewrites labels; says whether they stay.
    fn apply(&self, labels: &mut Labels) -> bool {
        let Some(regex) = &self.compiled else { return true };
        let values: Vec<&str> = self.source_labels.iter().map(|name| get(labels, name)).collect();
        let value = values.join(&self.separator);
        match self.action {
            Action::Keep => return regex.is_match(&value),
            Action::Drop => return !regex.is_match(&value),
            Action::KeepEqual => return get(labels, &self.target_label) == value,
            Action::DropEqual => return get(labels, &self.target_label) != value,
            Action::Replace => {
                if let Some(captures) = regex.captures(&value) {
                    set(labels, &expand(&captures, &self.target_label), expand(&captures, &self.replacement));
                }
            }
            Action::HashMod => set(labels, &self.target_label, (hash(&value) % self.modulus).to_string()),
            Action::Lowercase => set(labels, &self.target_label, value.to_lowercase()),
            Action::Uppercase => set(labels, &self.target_label, value.to_uppercase()),
            Action::LabelMap => {
                for (name, value) in labels.clone() {
                    if let Some(captures) = regex.captures(&name) {
                        set(labels, &expand(&captures, &self.replacement), value);
                    }
                }
            }
            Action::LabelDrop => labels.retain(|name, _| !regex.is_match(name)),
            Action::LabelKeep => labels.retain(|name, _| regex.is_match(name)),
        }
        true
    }
}

/// A template with the groups of a match filled in.
fn expand(captures: &Captures<'_>, template: &str) -> String {
    let by_number = |number| captures.get(number).map(|found| found.as_str());
    re2::expand(template, by_number, |name| captures.name(name).map(|found| found.as_str()))
}

/// Applies rules in their order; says whether the labels stay.
pub(super) fn apply(rules: &[Rule], labels: &mut Labels) -> bool {
    rules.iter().all(|rule| rule.apply(labels))
}

/// Applies rules in their order and tells what each made of the labels, as Prometheus's API does: nothing once they are dropped.
pub(super) fn steps(rules: &[Rule], mut labels: Labels) -> Value {
    let mut is_kept = true;
    let steps = rules.iter().map(|rule| {
        is_kept = is_kept && rule.apply(&mut labels);
        let output = if is_kept { labels.clone() } else { Labels::new() };
        json!({ "rule": rule.described(), "output": output, "keep": is_kept })
    });
    steps.collect()
}

fn get<'a>(labels: &'a Labels, name: &str) -> &'a str {
    labels.get(name).map_or("", String::as_str)
}

fn set(labels: &mut Labels, name: &str, value: String) {
    if value.is_empty() {
        labels.remove(name);
    } else if !name.is_empty() {
        labels.insert(name.to_owned(), value);
    }
}

/// The last eight bytes of the value's MD5, as Prometheus takes them.
fn hash(value: &str) -> u64 {
    let digest: [u8; 16] = Md5::digest(value.as_bytes()).into();
    digest.last_chunk::<8>().map_or(0, |last| u64::from_be_bytes(*last))
}
