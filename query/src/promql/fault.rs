//! Why has an expression no value?

use super::ast::Span;
use crate::error::Error;

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
        Err(Fault::Evaluation(message.into()))
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
