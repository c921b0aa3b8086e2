//! Why has an expression no value?

use super::ast::Span;
use crate::error::Error;

/// How long a message may be: labels that a query has made may be long.
const MOST_MESSAGE: usize = 64 * 1024;

/// A result of PromQL.
pub(crate) type Result<T, E = Fault> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The text is no expression.
    Parse {
        /// Where.
        span: Span,
        /// Why.
        message: String,
    },
    /// The expression has no value here.
    Evaluation(String),
    /// The server could not go on: limits, time, the store.
    Server(Error),
}

impl Fault {
    pub(crate) fn parse<T>(span: Span, message: impl Into<String>) -> Result<T> {
        Err(Fault::Parse { span, message: message.into() })
    }

    pub(crate) fn evaluation<T>(message: impl Into<String>) -> Result<T> {
        let mut message: String = message.into();
        if message.len() > MOST_MESSAGE {
            let end = (0..=MOST_MESSAGE).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
            message.truncate(end);
            message.push('…');
        }
        Err(Fault::Evaluation(message))
    }

    /// What a caller is told about an expression's text.
    pub(crate) fn message(&self, text: &str) -> String {
        match self {
            Fault::Parse { span, message } => format!("{}: parse error: {message}", span.place_in(text)),
            Fault::Evaluation(message) => message.clone(),
            Fault::Server(error) => error.body().error.message,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Server(error)
    }
}
