//! Which fields has the outline of a trace?

use super::{Field, Named, choice, count, flag, hex, integer, list, list_of, object, reference, text, wide};
use serde_json::Value;

use Field::{Always, Sometimes};

pub(super) fn schemas() -> Vec<Named> {
    vec![
        ("OutlineResponse", whole()),
        ("OutlineService", service()),
        ("OutlineFlaws", flaws()),
        ("OutlineRepeat", repeat()),
        ("MinimapBar", minimap()),
        ("OutlineRow", row()),
        ("OutlineEvent", object("An event of a span.", [Always("time_nano", integer()), Always("name", text())])),
        ("RowsResponse", rows()),
        ("Folded", folded()),
        ("MatchesResponse", matches()),
        ("GroupsResponse", groups()),
        ("OutlineGroup", group()),
        ("CallsResponse", calls()),
        ("EventsResponse", events()),
        ("LanesResponse", lanes()),
        ("LaneBar", bar()),
        ("SpanResponse", span()),
    ]
}

/// Stretches of time, as start and end.
fn stretches() -> Value {
    list(list(integer()))
}

fn whole() -> Value {
    let fields = [
        Always("version", hex(16)),
        Always("start_unix_nano", wide()),
        Always("duration_nano", integer()),
        Always("span_count", count()),
        Always("error_count", count()),
        Always("level_count", count()),
        Always("services", list_of("OutlineService")),
        Sometimes("origin_row", count()),
        Always("flaws", reference("OutlineFlaws")),
        Always("repeats", list_of("OutlineRepeat")),
        Always("minimap", list_of("MinimapBar")),
        Always("minimap_bands", count()),
        Always("minimap_columns", count()),
        Always("rows", list_of("OutlineRow")),
        Sometimes("whole", reference("TracesData")),
        Always("stats", reference("Stats")),
    ];
    object(
        "What a trace is as a whole, and its first rows. `version` changes with the spans; numbers of rows belong to it. \
         `whole` is there where the trace has at most `whole` spans.",
        fields,
    )
}

fn service() -> Value {
    let fields = [
        Always("name", text()),
        Always("span_count", count()),
        Always("error_count", count()),
        Always("self_nano", integer()),
        Always("critical_nano", integer()),
        Sometimes("critical_row", count()),
    ];
    object("A service's part of a trace; `critical_row` is the span of it that was waited for longest.", fields)
}

fn flaws() -> Value {
    let names =
        ["roots", "missing_parent", "cycle", "backwards", "early", "earliest_nano", "late", "latest_nano", "same_id"];
    object("What is wrong with a trace, in numbers of spans.", names.map(|name| Always(name, count())))
}

fn repeat() -> Value {
    let fields = [
        Always("row", count()),
        Always("span_id", hex(16)),
        Always("how", choice(&["loop", "retry", "same"])),
        Always("count", count()),
        Always("total_nano", integer()),
        Always("name", text()),
        Always("parent", text()),
    ];
    object(
        "Calls alike: `row` and `span_id` are the first of them, `parent` the nearest span that all are below, and `name` has `…` for numbers and \
         ids that differ.",
        fields,
    )
}

fn minimap() -> Value {
    let fields = [
        Always("band", count()),
        Always("start", count()),
        Always("end", count()),
        Always("service", count()),
        Sometimes("failed", flag()),
    ];
    object("A bar of the miniature, in its bands and columns; `service` is an index.", fields)
}

fn row() -> Value {
    let fields = [
        Always("row", count()),
        Always("span_id", hex(16)),
        Sometimes("parent_row", count()),
        Always("depth", count()),
        Always("place", count()),
        Always("siblings", count()),
        Always("subtree", count()),
        Sometimes("closed", flag()),
        Sometimes("errors_below", count()),
        Always("service", count()),
        Always("name", text()),
        Always("kind", integer()),
        Sometimes("failed", flag()),
        Sometimes("flaw", choice(&["missing_parent", "self_parent", "cycle"])),
        Always("start_nano", integer()),
        Always("duration_nano", integer()),
        Always("self_nano", integer()),
        Sometimes("gaps", stretches()),
        Sometimes("critical", stretches()),
        Sometimes("events", list_of("OutlineEvent")),
    ];
    object(
        "A span in its place; what is below it are the `subtree - 1` rows behind it. Times are nanoseconds after the start of the \
         trace; `gaps` are not covered by children, `critical` was waited for.",
        fields,
    )
}

fn rows() -> Value {
    let fields = [
        Always("version", hex(16)),
        Always("shown_count", count()),
        Always("offset", count()),
        Always("rows", list_of("OutlineRow")),
        Sometimes("place", count()),
        Always("folded", reference("Folded")),
        Always("stats", reference("Stats")),
    ];
    object("A window of the rows that are shown; `place` is that of the row that was to be revealed.", fields)
}

fn folded() -> Value {
    let fields = [Sometimes("depth", count()), Sometimes("turned", list(count())), Sometimes("spans", list(hex(16)))];
    object(
        "Which rows are closed: those with children from a depth on, but for those that are `turned`; `spans` are the ids of the \
         first 64 of those.",
        fields,
    )
}

fn matches() -> Value {
    let fields = [
        Always("version", hex(16)),
        Always("count", count()),
        Always("rows", list(count())),
        Always("stats", reference("Stats")),
    ];
    object("How many rows match, and the first of them.", fields)
}

fn groups() -> Value {
    let fields = [
        Always("version", hex(16)),
        Always("groups", list_of("OutlineGroup")),
        Always("group_count", count()),
        Always("self_nano", integer()),
        Always("keys", list(text())),
        Always("stats", reference("Stats")),
    ];
    object("Spans by what they have in common: the first thousand of `group_count` groups.", fields)
}

fn group() -> Value {
    let fields = [
        Sometimes("service", count()),
        Sometimes("name", text()),
        Always("row", count()),
        Always("span_count", count()),
        Always("error_count", count()),
        Always("total_nano", integer()),
        Always("self_nano", integer()),
        Always("longest_nano", integer()),
    ];
    object("Spans that are alike; without `name` they lack the attribute. `row` is the first of them.", fields)
}

fn calls() -> Value {
    let fields =
        [Always("version", hex(16)), Always("edges", list_of("GraphEdge")), Always("stats", reference("Stats"))];
    object("Who calls whom within a trace, by their names; the sides of an edge have no figures.", fields)
}

fn events() -> Value {
    let fields = [
        Always("version", hex(16)),
        Always("count", count()),
        Always("events", list_of("LogRecord")),
        Always("stats", reference("Stats")),
    ];
    object("The latest of `count` events of a trace's spans, as log records, latest first.", fields)
}

fn lanes() -> Value {
    let fields = [
        Always("version", hex(16)),
        Always("lane_count", count()),
        Sometimes("lane", count()),
        Always("bars", list_of("LaneBar")),
        Always("stats", reference("Stats")),
    ];
    object("A part of the flame graph, lane by lane; `lane` is that of the row that was asked for.", fields)
}

fn bar() -> Value {
    let fields = [
        Always("lane", count()),
        Always("row", count()),
        Always("span_id", hex(16)),
        Always("span_count", count()),
        Always("service", count()),
        Sometimes("name", text()),
        Sometimes("failed", flag()),
        Always("start_nano", integer()),
        Always("end_nano", integer()),
        Sometimes("gaps", stretches()),
        Sometimes("critical", stretches()),
    ];
    object("A span in its lane, or several that are too short to be told apart.", fields)
}

fn span() -> Value {
    let fields = [
        Always("version", hex(16)),
        Always("row", reference("OutlineRow")),
        Sometimes("parent_id", hex(16)),
        Sometimes("parent_name", text()),
        Always("data", reference("TracesData")),
        Always("stats", reference("Stats")),
    ];
    object("A span with all that was sent of it, and its place in the trace.", fields)
}
