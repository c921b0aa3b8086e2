//! What can go wrong with a query, and whose fault is it?
//!
//! E1  What a caller is shown never holds a path, a host or a panic's text; those go to the log.
//!
//! Not here: HTTP status codes (`http::answer`), gRPC's (`http::grpc`).

use query_api::error::Class;
use std::time::Duration;

/// A result of the query side.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the query side. Every message but the store's is safe to show.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A parameter or header does not say what it should.
    #[error("{message}")]
    Parameter {
        /// Which one.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// A page of another site asked for a change.
    #[error("a page of another origin may not change anything here")]
    ForeignOrigin,
    /// There is no such thing.
    #[error("{what}")]
    NotFound {
        /// What there is not.
        what: String,
    },
    /// The path is known, the method is not.
    #[error("this path does not answer {method}")]
    Method {
        /// The method.
        method: String,
    },
    /// The query goes past a limit.
    #[error("{message}")]
    Limit {
        /// Which limit, and what to do about it.
        message: String,
    },
    /// The query's time is over.
    #[error("{message}")]
    Deadline {
        /// How long it had, and what to do about it.
        message: String,
    },
    /// Too many queries run and wait.
    #[error("{message}")]
    Busy {
        /// What is busy.
        message: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// Nobody waits for the answer any more.
    #[error("the query was cancelled")]
    Cancelled,
    /// The store could not answer.
    #[error("failed to read the store")]
    Storage(#[from] storage::error::Error),
    /// A stored cell cannot be read.
    #[error("a stored {what} cannot be read")]
    Cell {
        /// Which cell.
        what: &'static str,
    },
    /// What the binary was asked to do failed.
    #[error("{message}")]
    Host {
        /// Why.
        message: String,
    },
    /// A defect.
    #[error("{what}")]
    Bug {
        /// What should not have happened.
        what: String,
    },
}

impl Error {
    /// A parameter that does not say what it should.
    pub(crate) fn parameter(name: &str, message: impl Into<String>) -> Self {
        Error::Parameter { name: name.into(), message: message.into() }
    }

    /// A defect.
    pub(crate) fn bug(what: impl Into<String>) -> Self {
        Error::Bug { what: what.into() }
    }

    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            Error::Parameter { .. } | Error::ForeignOrigin | Error::Method { .. } => Class::Caller,
            Error::NotFound { .. } => Class::NotFound,
            Error::Limit { .. } | Error::Deadline { .. } => Class::Limit,
            Error::Busy { .. } | Error::Cancelled | Error::Host { .. } => Class::Unavailable,
            Error::Cell { .. } => Class::Corrupt,
            Error::Bug { .. } => Class::Bug,
            Error::Storage(error) => match error.class() {
                storage::error::Class::Caller => Class::Caller,
                storage::error::Class::Limit => Class::Limit,
                storage::error::Class::Unavailable => Class::Unavailable,
                storage::error::Class::Corrupt => Class::Corrupt,
                storage::error::Class::Bug => Class::Bug,
            },
        }
    }

    /// What a caller is told (E1).
    pub fn body(&self) -> query_api::error::ErrorBody {
        let message = match self {
            Error::Storage(error) => stored(error),
            Error::Bug { .. } => "a defect of Spanlight; the server's log has the details".into(),
            other => other.to_string(),
        };
        let r#where = match self {
            Error::Parameter { name, .. } => Some(name.clone()),
            _ => None,
        };
        query_api::error::ErrorBody { error: query_api::error::Error { class: self.class(), message, r#where } }
    }
}

/// The store's errors name files; a caller learns only what kind of trouble it is.
fn stored(error: &storage::error::Error) -> String {
    match error.class() {
        // Holds the request's own words, no path.
        storage::error::Class::Caller => error.to_string(),
        storage::error::Class::Limit => "the query goes past a limit of the store".into(),
        storage::error::Class::Unavailable => "the store cannot answer now".into(),
        storage::error::Class::Corrupt => "stored data is damaged; the server's log names the file".into(),
        storage::error::Class::Bug => "a defect of Spanlight; the server's log has the details".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e1_paths_and_details_of_defects_are_not_shown() {
        let io = std::io::Error::other("secret-host refused");
        let errors = [
            Error::from(storage::error::Error::io("open", "/secret/path")(io)),
            Error::from(storage::error::Error::Damaged { path: "/secret/path".into(), what: "secret".into() }),
            Error::bug("secret"),
        ];
        let classes = [Class::Unavailable, Class::Corrupt, Class::Bug];
        for (error, class) in errors.into_iter().zip(classes) {
            let body = error.body().error;
            assert_eq!(body.class, class);
            assert!(!body.message.contains("secret"), "{}", body.message);
        }
    }
}
