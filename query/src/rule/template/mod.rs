//! What does an annotation say? Go's templates, as far as rule files use them, with Prometheus's functions.
//!
//! T1  A text that is no template, or names what is not there (a function, a variable), is refused when it is read, with line and
//!     column.
//! T2  An expansion has a limited number of steps and bytes: whatever it meets, it ends with a text or an error.
//! T3  What a function makes of a value is what Prometheus's makes of it. Where Go tells numbers apart that are equal (`gt 0.5 0`), they
//!     are compared here.
//!
//! - `lexer`: text, actions and their tokens.
//! - `parser`: to `tree`.
//! - `expand`: a tree's text for an alert, with `value`s, `function`s, and `format` for `printf`.
//!
//! Not here: which alerts there are (`rule::alert`); HTML, files of templates, and methods of values.

mod expand;
mod format;
mod function;
mod lexer;
mod parser;
#[cfg(test)]
mod tests;
mod tree;
mod value;

pub(super) use expand::Scene;
pub(super) use value::Found;

use std::collections::BTreeMap;

/// Where in a text something is wrong, and what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub(super) struct Fault {
    line: usize,
    column: usize,
    message: String,
}

impl Fault {
    /// Of an offset into a text.
    fn new(text: &str, at: usize, message: impl Into<String>) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Fault { line, column, message: message.into() }
    }
}

/// A text that was read.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    text: String,
    root: Vec<tree::Node>,
    /// What `define` names.
    named: BTreeMap<String, Vec<tree::Node>>,
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Template {
    /// Reads a text.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let (root, named) = parser::parse(text)?;
        Ok(Template { text: text.to_owned(), root, named })
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Its text for an alert.
    pub(super) fn expand(&self, scene: Scene<'_>) -> Result<String, Fault> {
        expand::expand(self, scene)
    }
}
