//! What does a log record's severity number mean? OTLP's 1-24 in six levels.

use super::attribute;
use query_api::log::LogRecord;

/// A level of severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Not told.
    Unset,
    /// 1-4.
    Trace,
    /// 5-8.
    Debug,
    /// 9-12.
    Info,
    /// 13-16.
    Warn,
    /// 17-20.
    Error,
    /// 21-24.
    Fatal,
}

/// All levels, least severe first: the order in which a histogram stacks them.
pub const LEVELS: [Level; 7] =
    [Level::Unset, Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error, Level::Fatal];

impl Level {
    /// The level of OTLP's number.
    pub fn of(severity_number: i32) -> Level {
        match severity_number {
            1..=4 => Level::Trace,
            5..=8 => Level::Debug,
            9..=12 => Level::Info,
            13..=16 => Level::Warn,
            17..=20 => Level::Error,
            21..=24 => Level::Fatal,
            _ => Level::Unset,
        }
    }

    /// Its word, as the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Unset => "unset",
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
            Level::Fatal => "fatal",
        }
    }

    /// The level that the API's word names.
    pub fn named(name: &str) -> Option<Level> {
        LEVELS.into_iter().find(|level| level.name() == name)
    }

    /// The CSS variable of its colour.
    pub fn variable(self) -> &'static str {
        match self {
            Level::Unset => "--level-unset",
            Level::Trace => "--level-trace",
            Level::Debug => "--level-debug",
            Level::Info => "--level-info",
            Level::Warn => "--level-warn",
            Level::Error => "--level-error",
            Level::Fatal => "--level-fatal",
        }
    }
}

/// What one line says of a record: its body, else its event name.
pub fn line(record: &LogRecord) -> String {
    match &record.body {
        Some(body) => attribute::text(body),
        None => record.event_name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fall_into_six_levels() {
        let expected =
            [(0, "unset"), (1, "trace"), (8, "debug"), (9, "info"), (16, "warn"), (17, "error"), (24, "fatal")];
        for (number, name) in expected {
            assert_eq!(Level::of(number).name(), name);
            assert_eq!(Level::named(name), Some(Level::of(number)));
        }
        assert_eq!(Level::of(25), Level::Unset);
        assert_eq!(Level::of(-3), Level::Unset);
    }
}
