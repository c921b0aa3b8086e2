//! How does a predicate stand in a file?
//!
//! As JSON that says what `scan::Predicate` says. Numbers that JSON cannot say exactly are texts: a double as its 64 bits in
//! hex, bytes and ids in hex.

use crate::model::{Signal, SpanId, TraceId, schema};
use crate::scan::{AttributeScope, Compare, Field, Predicate, Scalar};
use serde::{Deserialize, Serialize};

/// A predicate in a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum StoredPredicate {
    All,
    And(Vec<StoredPredicate>),
    Or(Vec<StoredPredicate>),
    Not(Box<StoredPredicate>),
    Compare { field: StoredField, compare: StoredCompare, value: StoredScalar },
    Contains { field: StoredField, needle: String, case_sensitive: bool },
    Exists(StoredField),
    Trace(String),
    Span(String),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum StoredField {
    Column(String),
    Attribute { scope: StoredScope, key: String },
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StoredScope {
    Own,
    Resource,
    Scope,
    Any,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StoredCompare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum StoredScalar {
    String(String),
    Bool(bool),
    Int(i64),
    Double(String),
    Bytes(String),
    Typed(String),
}

impl StoredPredicate {
    pub(super) fn of(predicate: &Predicate) -> Self {
        let list = |list: &[Predicate]| list.iter().map(Self::of).collect();
        match predicate {
            Predicate::All => StoredPredicate::All,
            Predicate::And(parts) => StoredPredicate::And(list(parts)),
            Predicate::Or(parts) => StoredPredicate::Or(list(parts)),
            Predicate::Not(inner) => StoredPredicate::Not(Box::new(Self::of(inner))),
            Predicate::Compare { field, compare, value } => StoredPredicate::Compare {
                field: StoredField::of(field),
                compare: stored_compare(*compare),
                value: StoredScalar::of(value),
            },
            Predicate::Contains { field, needle, case_sensitive } => StoredPredicate::Contains {
                field: StoredField::of(field),
                needle: needle.clone(),
                case_sensitive: *case_sensitive,
            },
            Predicate::Exists(field) => StoredPredicate::Exists(StoredField::of(field)),
            Predicate::Trace(id) => StoredPredicate::Trace(hex(&id.0)),
            Predicate::Span(id) => StoredPredicate::Span(hex(&id.0)),
        }
    }

    pub(super) fn read(self) -> Result<Predicate, String> {
        let list = |list: Vec<Self>| list.into_iter().map(Self::read).collect::<Result<_, String>>();
        Ok(match self {
            StoredPredicate::All => Predicate::All,
            StoredPredicate::And(parts) => Predicate::And(list(parts)?),
            StoredPredicate::Or(parts) => Predicate::Or(list(parts)?),
            StoredPredicate::Not(inner) => Predicate::Not(Box::new(inner.read()?)),
            StoredPredicate::Compare { field, compare, value } => {
                Predicate::Compare { field: field.read()?, compare: read_compare(compare), value: value.read()? }
            }
            StoredPredicate::Contains { field, needle, case_sensitive } => {
                Predicate::Contains { field: field.read()?, needle, case_sensitive }
            }
            StoredPredicate::Exists(field) => Predicate::Exists(field.read()?),
            StoredPredicate::Trace(id) => {
                Predicate::Trace(TraceId::from_slice(&unhex(&id)?).ok_or_else(|| format!("`{id}` is no trace id"))?)
            }
            StoredPredicate::Span(id) => {
                Predicate::Span(SpanId::from_slice(&unhex(&id)?).ok_or_else(|| format!("`{id}` is no span id"))?)
            }
        })
    }
}

impl StoredField {
    fn of(field: &Field) -> Self {
        match field {
            Field::Column(name) => StoredField::Column((*name).to_owned()),
            Field::Attribute(scope, key) => StoredField::Attribute { scope: stored_scope(*scope), key: key.clone() },
        }
    }

    fn read(self) -> Result<Field, String> {
        match self {
            StoredField::Column(name) => {
                let fields = Signal::ALL.into_iter().flat_map(|signal| schema::of(signal).fields());
                let mut names = fields.map(|field| field.name().as_str());
                let known = names.find(|known| *known == name);
                Ok(Field::Column(known.ok_or_else(|| format!("no table has a column `{name}`"))?))
            }
            StoredField::Attribute { scope, key } => Ok(Field::Attribute(read_scope(scope), key)),
        }
    }
}

impl StoredScalar {
    fn of(value: &Scalar) -> Self {
        match value {
            Scalar::String(text) => StoredScalar::String(text.clone()),
            Scalar::Bool(value) => StoredScalar::Bool(*value),
            Scalar::Int(value) => StoredScalar::Int(*value),
            Scalar::Double(value) => StoredScalar::Double(format!("{:016x}", value.to_bits())),
            Scalar::Bytes(bytes) => StoredScalar::Bytes(hex(bytes)),
            Scalar::Typed(text) => StoredScalar::Typed(text.clone()),
        }
    }

    fn read(self) -> Result<Scalar, String> {
        Ok(match self {
            StoredScalar::String(text) => Scalar::String(text),
            StoredScalar::Bool(value) => Scalar::Bool(value),
            StoredScalar::Int(value) => Scalar::Int(value),
            StoredScalar::Double(bits) => {
                let bits = u64::from_str_radix(&bits, 16).map_err(|error| format!("`{bits}`: {error}"))?;
                Scalar::Double(f64::from_bits(bits))
            }
            StoredScalar::Bytes(bytes) => Scalar::Bytes(unhex(&bytes)?),
            StoredScalar::Typed(text) => Scalar::Typed(text),
        })
    }
}

fn stored_scope(scope: AttributeScope) -> StoredScope {
    match scope {
        AttributeScope::Own => StoredScope::Own,
        AttributeScope::Resource => StoredScope::Resource,
        AttributeScope::Scope => StoredScope::Scope,
        AttributeScope::Any => StoredScope::Any,
    }
}

fn read_scope(scope: StoredScope) -> AttributeScope {
    match scope {
        StoredScope::Own => AttributeScope::Own,
        StoredScope::Resource => AttributeScope::Resource,
        StoredScope::Scope => AttributeScope::Scope,
        StoredScope::Any => AttributeScope::Any,
    }
}

fn stored_compare(compare: Compare) -> StoredCompare {
    match compare {
        Compare::Equal => StoredCompare::Equal,
        Compare::NotEqual => StoredCompare::NotEqual,
        Compare::Less => StoredCompare::Less,
        Compare::LessOrEqual => StoredCompare::LessOrEqual,
        Compare::Greater => StoredCompare::Greater,
        Compare::GreaterOrEqual => StoredCompare::GreaterOrEqual,
    }
}

fn read_compare(compare: StoredCompare) -> Compare {
    match compare {
        StoredCompare::Equal => Compare::Equal,
        StoredCompare::NotEqual => Compare::NotEqual,
        StoredCompare::Less => Compare::Less,
        StoredCompare::LessOrEqual => Compare::LessOrEqual,
        StoredCompare::Greater => Compare::Greater,
        StoredCompare::GreaterOrEqual => Compare::GreaterOrEqual,
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    pairs.collect::<Option<_>>().ok_or_else(|| format!("`{text}` is not hex"))
}
