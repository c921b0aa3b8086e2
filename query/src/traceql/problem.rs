//! What is wrong with a query's text, and where?

use std::fmt;

/// When a text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is no query.
    Grammar,
    /// It is one that makes no sense.
    Meaning,
}

/// A complaint about a text, at a place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// When it was found.
    pub(crate) refusal: Refusal,
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
    /// What is wrong, and what would have been right.
    pub(crate) message: String,
}

impl Problem {
    /// A complaint about the character at a byte offset.
    pub(super) fn at(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Problem {
            refusal: Refusal::Grammar,
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
            message: message.into(),
        }
    }

    /// The same of a text that is a query.
    pub(super) fn of_meaning(self) -> Self {
        Problem { refusal: Refusal::Meaning, ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.refusal {
            Refusal::Grammar => "parse error at ",
            Refusal::Meaning => "",
        };
        write!(f, "invalid TraceQL query: {stage}line {}, column {}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for Problem {}

impl From<Problem> for crate::error::Error {
    fn from(problem: Problem) -> Self {
        crate::error::Error::parameter("q", problem.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_in_lines_and_characters() {
        let text = "{ é\n  ü }";
        let place = |offset| {
            let problem = Problem::at(text, offset, "x");
            (problem.line, problem.column)
        };
        assert_eq!(place(0), (1, 1));
        assert_eq!(place(4), (1, 4));
        assert_eq!(place(7), (2, 3));
        assert_eq!(place(99), (2, 6));
        assert_eq!(
            Problem::at(text, 7, "bad").to_string(),
            "invalid TraceQL query: parse error at line 2, column 3: bad"
        );
        assert_eq!(
            Problem::at(text, 7, "bad").of_meaning().to_string(),
            "invalid TraceQL query: line 2, column 3: bad"
        );
    }
}
