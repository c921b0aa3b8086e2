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

/// Opened records that the URL keeps.
const KEPT: usize = 32;

/// How the URL names a record: its time, and which of those of that time, if it is not the first.
fn named(records: &[LogRecord], index: usize) -> Option<String> {
    let time = records.get(index)?.time_unix_nano;
    let before = records.iter().take(index).rev().take_while(|one| one.time_unix_nano == time).count();
    Some(if before == 0 { time.to_string() } else { format!("{time}.{before}") })
}

/// Which records of a list in the order of time are open, as the URL says.
pub fn opened(records: &[LogRecord], text: &str) -> Vec<usize> {
    let wanted = text.split(',').take(KEPT).filter_map(|one| {
        let (time, skipped) = one.split_once('.').unwrap_or((one, "0"));
        let (time, skipped) = (time.parse::<i64>().ok()?, skipped.parse::<usize>().ok()?);
        let same = records.iter().enumerate().filter(|(_, record)| record.time_unix_nano == time);
        same.map(|(index, _)| index).nth(skipped)
    });
    wanted.collect()
}

/// The text of the URL where one more record is open, or one less; those that are not in the list stay as they are.
pub fn toggled(records: &[LogRecord], text: &str, index: usize) -> String {
    let Some(name) = named(records, index) else { return text.to_owned() };
    let mut open: Vec<&str> = text.split(',').filter(|one| !one.is_empty()).collect();
    match open.iter().position(|one| *one == name) {
        Some(at) => drop(open.remove(at)),
        // The oldest gives way.
        None => {
            open.push(&name);
            let spare = open.len().saturating_sub(KEPT);
            open.drain(..spare);
        }
    }
    open.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opened_records_are_named_by_their_time_and_place_among_equals() {
        let record = |time_unix_nano| LogRecord { time_unix_nano, ..LogRecord::default() };
        let records = [9, 7, 7, 7, 5].map(record);
        let one = toggled(&records, "", 0);
        let two = toggled(&records, &one, 2);
        assert_eq!(two, "9,7.1");
        assert_eq!(opened(&records, &two), [0, 2]);
        assert_eq!(toggled(&records, &two, 0), "7.1");
        assert_eq!(toggled(&records, "7.1", 2), "");
        // Others that come before it make no difference.
        assert_eq!(opened(&[12, 9, 7, 7].map(record), &two), [1, 3]);
        assert_eq!(opened(&records, "x,7.9,,-,8"), Vec::<usize>::new());
        assert_eq!(toggled(&records, "1", 99), "1");
        let many = (0..40).map(record).collect::<Vec<_>>();
        let all = (0..40).fold(String::new(), |text, index| toggled(&many, &text, index));
        assert_eq!(opened(&many, &all).len(), KEPT);
    }

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
