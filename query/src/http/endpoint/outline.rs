//! Which parameters has each question to the outline of a trace?

use super::{Kind, Parameter, TIMEOUT, TRACE, query};

/// Those of `/outline`.
pub(super) const WHOLE: &[Parameter] =
    &[TRACE, query("whole", Kind::Number, "The trace itself comes along where it has at most so many spans."), TIMEOUT];

/// Those of `/outline/rows`.
pub(super) const ROWS: &[Parameter] = &[
    TRACE,
    query("depth", Kind::Number, "Rows with so many levels above them are closed; none is unless given."),
    query(
        "turned",
        Kind::Text,
        "Rows that are closed although they would be open, or open although closed; with commas.",
    ),
    query(
        "spans",
        Kind::Text,
        "The same by the ids of their spans, which no arrival changes; unknown ones are passed over.",
    ),
    query("offset", Kind::Number, "Rows that are shown before the window."),
    query("limit", Kind::Count { default: 100, max: 1000 }, "Rows of the window."),
    query("reveal", Kind::Number, "A row to open the way to; the window is then around it."),
    query(
        "contains",
        Kind::Text,
        "Only rows that hold this text are shown, as `matches` finds them, and all above them.",
    ),
    TIMEOUT,
];

/// Those of `/outline/matches`.
pub(super) const MATCHES: &[Parameter] = &[
    TRACE,
    query("contains", Kind::Text, "The text, in any case."),
    query("failed", Kind::Choice(&["true"]), "Only rows whose status is error."),
    query("like", Kind::Number, "Only rows whose service and name are those of this one."),
    query("limit", Kind::Count { default: 1000, max: 100_000 }, "Rows to be told; all are counted."),
    TIMEOUT,
];

/// Those of `/outline/groups`.
pub(super) const GROUPS: &[Parameter] = &[
    TRACE,
    query(
        "by",
        Kind::Text,
        "`service`, `operation`, `kind`, `status` or `attr.KEY`; service and operation unless given.",
    ),
    query(
        "order",
        Kind::Choice(&["self", "total", "average", "count", "longest", "errors"]),
        "The figure of which the greatest stands first; `self` unless given.",
    ),
    query("rising", Kind::Choice(&["true"]), "The least stands first."),
    TIMEOUT,
];

/// Those of `/outline/lanes`.
pub(super) const LANES: &[Parameter] = &[
    TRACE,
    query("from", Kind::Number, "Nanoseconds after the start of the trace; 0 unless given."),
    query("to", Kind::Number, "Nanoseconds after the start of the trace; its end unless given."),
    query(
        "width",
        Kind::Count { default: 500, max: 2000 },
        "Into how many parts the time is cut: what is shorter than \
            three of them becomes one bar with its neighbours.",
    ),
    query("offset", Kind::Number, "Lanes before the first."),
    query("limit", Kind::Count { default: 50, max: 200 }, "Lanes."),
    query("row", Kind::Number, "A row whose lane is told."),
    TIMEOUT,
];

/// Those of `/outline/events`.
pub(super) const EVENTS: &[Parameter] =
    &[TRACE, query("limit", Kind::Count { default: 1000, max: 10_000 }, "Events."), TIMEOUT];
