//! Which tables are there?

use std::fmt;

/// A kind of telemetry; each has its own table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signal {
    /// Spans, one per row.
    Spans,
    /// Log records, one per row.
    Logs,
    /// Metric data points, one per row.
    Metrics,
}

impl Signal {
    /// All signals, in the order of their codes.
    pub const ALL: [Signal; 3] = [Signal::Spans, Signal::Logs, Signal::Metrics];

    /// The name in paths, settings and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Signal::Spans => "spans",
            Signal::Logs => "logs",
            Signal::Metrics => "metrics",
        }
    }

    /// The number in WAL records and manifests; never re-used with another meaning.
    pub fn code(self) -> u8 {
        match self {
            Signal::Spans => 1,
            Signal::Logs => 2,
            Signal::Metrics => 3,
        }
    }

    /// The signal of a number.
    pub fn from_code(code: u8) -> Option<Self> {
        Signal::ALL.into_iter().find(|signal| signal.code() == code)
    }

    /// The signal of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Signal::ALL.into_iter().find(|signal| signal.as_str() == name)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
