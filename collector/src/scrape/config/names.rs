//! What does the file say about names of metrics and labels? Which are taken, and how a target is asked to write the others, as Prometheus 3
//! makes one follow from the other.

use regex::Regex;
use serde::de::value::StrDeserializer;
use serde::{Deserialize, Deserializer};

/// Which names are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in super::super) enum Validation {
    /// Any text.
    #[default]
    Utf8,
    /// ASCII letters, digits and underscores, in metrics' names colons, too; a digit is not the first.
    Legacy,
}

/// How a target is asked to write names that were none before UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in super::super) enum Escaping {
    #[default]
    #[serde(rename = "allow-utf-8")]
    None,
    Underscores,
    Dots,
    Values,
}

/// Both, as far as a section says them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Naming {
    pub(super) validation: Option<Validation>,
    pub(super) escaping: Option<Escaping>,
}

impl Validation {
    pub(in super::super) fn name(self) -> &'static str {
        match self {
            Validation::Utf8 => "utf8",
            Validation::Legacy => "legacy",
        }
    }

    pub(in super::super) fn takes_metric(self, name: &str) -> bool {
        self == Validation::Utf8 || is_legacy(name, &['_', ':'])
    }

    pub(in super::super) fn takes_label(self, name: &str) -> bool {
        self == Validation::Utf8 || is_legacy(name, &['_'])
    }

    /// Whether the label is taken that a rule makes of a template, whatever stands for the groups in it.
    pub(in super::super) fn takes_template(self, template: &str) -> bool {
        let fits = |pattern| Regex::new(pattern).is_ok_and(|regex| regex.is_match(template));
        self == Validation::Utf8 || fits(r"^(?-u:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))\w*)+$")
    }

    fn escaping(self) -> Escaping {
        match self {
            Validation::Utf8 => Escaping::None,
            Validation::Legacy => Escaping::Underscores,
        }
    }
}

fn is_legacy(name: &str, beside: &[char]) -> bool {
    let is_known = |letter: char| letter.is_ascii_alphanumeric() || beside.contains(&letter);
    !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit()) && name.chars().all(is_known)
}

impl Escaping {
    pub(in super::super) fn name(self) -> &'static str {
        match self {
            Escaping::None => "allow-utf-8",
            Escaping::Underscores => "underscores",
            Escaping::Dots => "dots",
            Escaping::Values => "values",
        }
    }
}

impl Naming {
    /// What holds for a job that says this, in a file whose head says that.
    pub(super) fn complete(self, head: Naming) -> Result<(Validation, Escaping), String> {
        let of_head = head.validation.unwrap_or_default();
        let validation = self.validation.unwrap_or(of_head);
        let escaping = match (self.escaping, self.validation) {
            (Some(escaping), _) => escaping,
            // A job with a validation of its own does not have what fits the head's.
            (None, Some(validation)) => validation.escaping(),
            (None, None) => head.escaping.unwrap_or(of_head.escaping()),
        };
        if validation == Validation::Legacy && escaping == Escaping::None {
            return Err(
                "metric_name_escaping_scheme is allow-utf-8, metric_name_validation_scheme is legacy".to_owned()
            );
        }
        Ok((validation, escaping))
    }
}

/// A choice, which may be left blank.
pub(super) fn blank_or<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(None) } else { T::deserialize(StrDeserializer::new(&text)).map(Some) }
}
