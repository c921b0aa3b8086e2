//! Which endpoints are there, and which parameters has each?

mod outline;

use axum::http::Method;

/// One method of one path.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) call: Call,
    pub(super) method: Method,
    /// Below the API's prefix.
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    pub(super) parameters: &'static [Parameter],
    /// Name of the answer's schema.
    pub(super) answer: &'static str,
}

/// What an endpoint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Trace,
    Outline,
    OutlineRows,
    OutlineMatches,
    OutlineGroups,
    OutlineLanes,
    OutlineCalls,
    OutlineEvents,
    Span,
    CompareTraces,
    Traces,
    Services,
    Operations,
    OperationsOf,
    ServiceGraph,
    SpanMetrics,
    Logs,
    LogHistogram,
    LogVolume,
    SpanVolume,
    Attributes,
    AttributeValues,
    Metrics,
    Cardinality,
    Series,
    Status,
    DemoTell,
    DemoStart,
    DemoStop,
    OpenApi,
    DeleteTrace,
    DeleteSpans,
    DeleteLogs,
    DeleteMetrics,
    Deletions,
    DeadLetters,
    DeadLetter,
    Replay,
}

/// One parameter.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) kind: Kind,
    pub(super) is_required: bool,
    pub(super) description: &'static str,
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
}

/// What a parameter's text may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    /// A whole number from 0 on.
    Number,
    TraceId,
    SpanId,
    Time,
    Duration,
    /// `key=value`, any number of times.
    Attribute,
    Severity,
    Choice(&'static [&'static str]),
    Count {
        default: u64,
        max: u64,
    },
}

const fn path(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter { name, place: Place::Path, kind, is_required: true, description }
}

const fn query(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter { name, place: Place::Query, kind, is_required: false, description }
}

const START: Parameter = query("start", Kind::Time, "First moment of the range; an hour before `end` unless given.");
const END: Parameter = query("end", Kind::Time, "First moment after the range; now unless given.");
const TIMEOUT: Parameter =
    query("timeout", Kind::Duration, "Time the answer may take; the server's default unless given.");
const SERVICE: Parameter = query("service", Kind::Text, "service.name, exactly.");
const TRACE: Parameter = path("trace_id", Kind::TraceId, "The trace.");
const LETTER: Parameter = path("id", Kind::Text, "The dead letter's id.");
/// The answer of what gives bytes as they came.
pub(super) const BYTES: &str = "Bytes";
const CURSOR: Parameter = query(
    "cursor",
    Kind::Text,
    "`next_cursor` of the page before. It belongs to the same filters, and keeps the range of the first page. A trace that gets a better \
     place between two pages, by a span that came late, is not told by the second.",
);
const ATTR: Parameter = query(
    "attr",
    Kind::Attribute,
    "`key=value`; the first `=` splits. Matches the own attribute, else the resource's, else the scope's; numbers and \
     booleans match as they are written, `NaN`, `Infinity` and `-Infinity` too. Given several times, all must match.",
);

/// What `/traces` and the deletion of spans filter by, with a range.
macro_rules! span_filters {
    ($($more:expr),* $(,)?) => {
        &[
            SERVICE,
            query("operation", Kind::Text, "Span name, exactly."),
            query("status", Kind::Choice(&["unset", "ok", "error"]), "Span status."),
            query("min_duration", Kind::Duration, "Spans at least this long."),
            query("max_duration", Kind::Duration, "Spans at most this long."),
            ATTR,
            $($more,)*
            TIMEOUT,
        ]
    };
}

const TRACES: &[Parameter] = span_filters![
    query(
        "q",
        Kind::Text,
        "A TraceQL query of traces, such as `{ status = error } >> { name = \"SELECT\" }`. It says what matches by itself: the \
         other filters are left out, the order is by its spans.",
    ),
    START,
    END,
    query("limit", Kind::Count { default: 20, max: 1000 }, "Traces on a page."),
    query(
        "order",
        Kind::Choice(&["newest", "oldest", "longest", "most_spans", "most_errors"]),
        "By the latest start, the earliest start or the longest duration of a matching span, or by the number of matching spans, or \
         of those that failed; `newest` unless given.",
    ),
    CURSOR,
];

const LOG_START: Parameter = query(
    "start",
    Kind::Time,
    "First moment of the range; an hour before `end` unless given. With `trace_id`, and neither `start` nor `end`, all \
     of time.",
);

/// What `/logs`, `/logs/histogram` and the deletion of logs filter by, with a range.
macro_rules! log_filters {
    ($($more:expr),* $(,)?) => {
        &[
            query("trace_id", Kind::TraceId, "Records of a trace."),
            query("span_id", Kind::SpanId, "Records of a span."),
            SERVICE,
            query("min_severity", Kind::Severity, "Records at least this severe."),
            query("contains", Kind::Text, "Records whose body or event name contains the text; case does not matter."),
            ATTR,
            $($more,)*
            TIMEOUT,
        ]
    };
}

const LOGS: &[Parameter] =
    log_filters![LOG_START, END, query("limit", Kind::Count { default: 100, max: 5000 }, "Records on a page."), CURSOR];
const LOG_HISTOGRAM: &[Parameter] = log_filters![
    LOG_START,
    END,
    query("buckets", Kind::Count { default: 60, max: 1000 }, "Steps of equal length, at most."),
];

const STEP: Parameter = query("step", Kind::Duration, "Length of a step; at most 1000 of them are answered.");
const BUCKETS: Parameter = query(
    "buckets",
    Kind::Count { default: 60, max: 1000 },
    "Steps of equal length, at most, where no `step` is given.",
);
const MEASURE: Parameter = query(
    "measure",
    Kind::Choice(&["rows", "bytes"]),
    "`bytes` counts the bytes of texts, attributes, events and links beside the rows; `rows` unless given.",
);
const GROUPS: Parameter =
    query("limit", Kind::Count { default: 20, max: 1000 }, "Groups told apart; the others are added up.");

const LOG_VOLUME: &[Parameter] = log_filters![
    LOG_START,
    END,
    query("by", Kind::Choice(&["none", "level", "service"]), "What records are grouped by; `level` unless given."),
    STEP,
    BUCKETS,
    MEASURE,
    GROUPS,
];
const SPAN_VOLUME: &[Parameter] = &[
    SERVICE,
    query("operation", Kind::Text, "Span name, exactly."),
    query("status", Kind::Choice(&["unset", "ok", "error"]), "Span status."),
    query("min_duration", Kind::Duration, "Spans at least this long."),
    query("max_duration", Kind::Duration, "Spans at most this long."),
    ATTR,
    START,
    END,
    query(
        "by",
        Kind::Choice(&["none", "service", "status", "kind"]),
        "What spans are grouped by; `service` unless given.",
    ),
    STEP,
    BUCKETS,
    MEASURE,
    GROUPS,
    TIMEOUT,
];
const SIGNAL: Parameter = query("signal", Kind::Choice(&["spans", "logs"]), "Of which rows; `spans` unless given.");

/// A deletion says its range: one that was forgotten must not mean the last hour, nor everything.
const FROM: Parameter = Parameter { is_required: true, description: "First moment of the range.", ..START };
const TO: Parameter = Parameter { is_required: true, description: "First moment after the range.", ..END };

const DELETE_SPANS: &[Parameter] = span_filters![FROM, TO];
const DELETE_LOGS: &[Parameter] = log_filters![FROM, TO];
const DELETE_METRICS: &[Parameter] =
    &[query("name", Kind::Text, "The metric's name, exactly."), SERVICE, ATTR, FROM, TO, TIMEOUT];

/// Everything there is.
pub(super) static ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        call: Call::Traces,
        method: Method::GET,
        path: "/traces",
        summary: "Finds traces: those with a span that matches all filters and starts in the range.",
        parameters: TRACES,
        answer: "SearchResponse",
    },
    Endpoint {
        call: Call::Trace,
        method: Method::GET,
        path: "/traces/{trace_id}",
        summary: "One trace as OTLP/JSON, with everything that was sent.",
        parameters: &[TRACE, TIMEOUT],
        answer: "TracesData",
    },
    Endpoint {
        call: Call::Outline,
        method: Method::GET,
        path: "/traces/{trace_id}/outline",
        summary: "What a trace of any size is as a whole, and its first rows: for who draws a part of it.",
        parameters: outline::WHOLE,
        answer: "OutlineResponse",
    },
    Endpoint {
        call: Call::OutlineRows,
        method: Method::GET,
        path: "/traces/{trace_id}/outline/rows",
        summary: "A window of a trace's rows, as they are shown with what is folded.",
        parameters: outline::ROWS,
        answer: "RowsResponse",
    },
    Endpoint {
        call: Call::OutlineMatches,
        method: Method::GET,
        path: "/traces/{trace_id}/outline/matches",
        summary: "The rows whose name, service, status message, attributes or id hold a text.",
        parameters: outline::MATCHES,
        answer: "MatchesResponse",
    },
    Endpoint {
        call: Call::OutlineGroups,
        method: Method::GET,
        path: "/traces/{trace_id}/outline/groups",
        summary: "Where the time of a trace went: its spans by what they have in common.",
        parameters: outline::GROUPS,
        answer: "GroupsResponse",
    },
    Endpoint {
        call: Call::OutlineLanes,
        method: Method::GET,
        path: "/traces/{trace_id}/outline/lanes",
        summary: "A part of a trace's flame graph.",
        parameters: outline::LANES,
        answer: "LanesResponse",
    },
    Endpoint {
        call: Call::OutlineCalls,
        method: Method::GET,
        path: "/traces/{trace_id}/outline/calls",
        summary: "Who calls whom within a trace: its services, databases, queues, and peers that send no spans.",
        parameters: &[TRACE, TIMEOUT],
        answer: "CallsResponse",
    },
    Endpoint {
        call: Call::OutlineEvents,
        method: Method::GET,
        path: "/traces/{trace_id}/outline/events",
        summary: "The latest events of a trace's spans, as log records.",
        parameters: outline::EVENTS,
        answer: "EventsResponse",
    },
    Endpoint {
        call: Call::Span,
        method: Method::GET,
        path: "/traces/{trace_id}/spans/{span_id}",
        summary: "One span with everything that was sent, and its place in its trace.",
        parameters: &[TRACE, path("span_id", Kind::SpanId, "The span."), TIMEOUT],
        answer: "SpanResponse",
    },
    Endpoint {
        call: Call::CompareTraces,
        method: Method::GET,
        path: "/traces/{trace_id}/compare/{other}",
        summary: "How two traces differ: their spans matched by their places in the trees, the first trace being the base.",
        parameters: &[
            path("trace_id", Kind::TraceId, "The trace that is compared with."),
            path("other", Kind::TraceId, "The trace that is compared."),
            query(
                "show",
                Kind::Choice(&["all", "changed", "structure"]),
                "`structure` shows nodes that are in one trace only or have another status, `changed` also those with another \
                 attribute, both with all that is above such a node; `all` unless given.",
            ),
            query("limit", Kind::Count { default: 1000, max: 100_000 }, "Nodes on a page."),
            query(
                "cursor",
                Kind::Text,
                "`next_cursor` of the page before. It counts nodes: spans that arrive in between move what follows them.",
            ),
            TIMEOUT,
        ],
        answer: "CompareResponse",
    },
    Endpoint {
        call: Call::Services,
        method: Method::GET,
        path: "/services",
        summary: "Rate, errors and durations of every service with a span in the range.",
        parameters: &[START, END, TIMEOUT],
        answer: "ServicesResponse",
    },
    Endpoint {
        call: Call::Operations,
        method: Method::GET,
        path: "/services/{name}/operations",
        summary: "Rate, errors and durations of a service's spans, by name and kind.",
        parameters: &[path("name", Kind::Text, "service.name."), START, END, TIMEOUT],
        answer: "OperationsResponse",
    },
    Endpoint {
        call: Call::OperationsOf,
        method: Method::GET,
        path: "/operations",
        summary: "The same of a service that a parameter names: a path cannot hold a name such as `..`.",
        parameters: &[SERVICE, START, END, TIMEOUT],
        answer: "OperationsResponse",
    },
    Endpoint {
        call: Call::ServiceGraph,
        method: Method::GET,
        path: "/service-graph",
        summary: "Who calls whom, how often and how well: services, databases, queues, and peers that send no spans.",
        parameters: &[START, END, TIMEOUT],
        answer: "ServiceGraphResponse",
    },
    Endpoint {
        call: Call::SpanMetrics,
        method: Method::POST,
        path: "/span-metrics",
        summary: "Makes and stores `traces_spanmetrics_*` and `traces_service_graph_*` of the stored spans of a range of at most 24 hours, \
                  for intervals of 15 s that have none: asked twice, the second request changes nothing.",
        parameters: &[FROM, TO, TIMEOUT],
        answer: "FilledResponse",
    },
    Endpoint {
        call: Call::Logs,
        method: Method::GET,
        path: "/logs",
        summary: "Finds log records, newest first.",
        parameters: LOGS,
        answer: "LogsResponse",
    },
    Endpoint {
        call: Call::LogHistogram,
        method: Method::GET,
        path: "/logs/histogram",
        summary: "Counts log records per step and level.",
        parameters: LOG_HISTOGRAM,
        answer: "HistogramResponse",
    },
    Endpoint {
        call: Call::LogVolume,
        method: Method::GET,
        path: "/logs/volume",
        summary: "Counts log records per step and group.",
        parameters: LOG_VOLUME,
        answer: "VolumeResponse",
    },
    Endpoint {
        call: Call::SpanVolume,
        method: Method::GET,
        path: "/spans/volume",
        summary: "Counts spans per step and group.",
        parameters: SPAN_VOLUME,
        answer: "VolumeResponse",
    },
    Endpoint {
        call: Call::Attributes,
        method: Method::GET,
        path: "/attributes",
        summary: "Attribute keys of the spans or log records in the range, with their types and how many rows have them.",
        parameters: &[SIGNAL, START, END, TIMEOUT],
        answer: "AttributesResponse",
    },
    Endpoint {
        call: Call::AttributeValues,
        method: Method::GET,
        path: "/attributes/{key}/values",
        summary: "The values of an attribute in the range, and how many rows have them: texts of at most 1024 bytes, booleans and \
                  numbers; lists, maps and bytes are not listed. `attr=key=value` finds each as it is written; equal numbers are one value.",
        parameters: &[
            path("key", Kind::Text, "The attribute's key."),
            SIGNAL,
            query(
                "scope",
                Kind::Choice(&["any", "own", "resource", "scope"]),
                "Whose attribute; of all owners together unless given, also of those that `attr` does not see behind a row's own.",
            ),
            query("prefix", Kind::Text, "Start of the text; numbers and booleans have none."),
            START,
            END,
            query("limit", Kind::Count { default: 100, max: 10_000 }, "Values, those of most rows first."),
            TIMEOUT,
        ],
        answer: "AttributeValuesResponse",
    },
    Endpoint {
        call: Call::Metrics,
        method: Method::GET,
        path: "/metrics",
        summary: "Metrics with a point in the range.",
        parameters: &[query("prefix", Kind::Text, "Start of the name."), SERVICE, START, END, TIMEOUT],
        answer: "MetricsResponse",
    },
    Endpoint {
        call: Call::Cardinality,
        method: Method::GET,
        path: "/metrics/cardinality",
        summary: "How many series there are, how many came each hour, and which metrics, labels and values have the most. Counted from \
                  indexes; names and labels are those of PromQL, and a histogram is one series.",
        parameters: &[
            query("selector", Kind::Text, "A selector of PromQL, such as `{job=\"shop\"}`; all series unless given."),
            START,
            END,
            query("limit", Kind::Count { default: 20, max: 1000 }, "Metrics, labels and pairs that are told, of each."),
            TIMEOUT,
        ],
        answer: "CardinalityResponse",
    },
    Endpoint {
        call: Call::Series,
        method: Method::GET,
        path: "/series",
        summary: "The series of a metric with their raw points.",
        parameters: &[
            Parameter {
                name: "name",
                place: Place::Query,
                kind: Kind::Text,
                is_required: true,
                description: "The metric's own name; where nothing is called so, the name that PromQL has for it or a part of it.",
            },
            SERVICE,
            ATTR,
            START,
            END,
            query("limit", Kind::Count { default: 20_000, max: 200_000 }, "Points of all series together."),
            TIMEOUT,
        ],
        answer: "SeriesResponse",
    },
    Endpoint {
        call: Call::Status,
        method: Method::GET,
        path: "/status",
        summary: "What is stored, where telemetry may be sent, and how the server is.",
        parameters: &[],
        answer: "StatusResponse",
    },
    Endpoint {
        call: Call::DemoTell,
        method: Method::GET,
        path: "/demo",
        summary: "Whether the demo workload runs.",
        parameters: &[],
        answer: "DemoStatus",
    },
    Endpoint {
        call: Call::DemoStart,
        method: Method::POST,
        path: "/demo",
        summary: "Starts the demo workload.",
        parameters: &[],
        answer: "DemoStatus",
    },
    Endpoint {
        call: Call::DemoStop,
        method: Method::DELETE,
        path: "/demo",
        summary: "Stops the demo workload.",
        parameters: &[],
        answer: "DemoStatus",
    },
    Endpoint {
        call: Call::OpenApi,
        method: Method::GET,
        path: "/openapi.json",
        summary: "This description.",
        parameters: &[],
        answer: "OpenApi",
    },
    Endpoint {
        call: Call::Deletions,
        method: Method::GET,
        path: "/deletions",
        summary: "What was deleted, by whose wish or by retention, newest first.",
        parameters: &[query("limit", Kind::Count { default: 100, max: 1000 }, "Deletions at most."), TIMEOUT],
        answer: "DeletionsResponse",
    },
    Endpoint {
        call: Call::DeadLetters,
        method: Method::GET,
        path: "/dead-letters",
        summary: "Messages that could not be read, newest first, without their bytes. Those of Kafka belong to the tenant \
                  `dead-letters`.",
        parameters: &[
            query("topic", Kind::Text, "The topic, exactly."),
            query("start", Kind::Time, "First moment at which they were kept; all of time unless given."),
            END,
            query("limit", Kind::Count { default: 100, max: 1000 }, "Letters at most."),
            TIMEOUT,
        ],
        answer: "DeadLettersResponse",
    },
    Endpoint {
        call: Call::DeadLetter,
        method: Method::GET,
        path: "/dead-letters/{id}",
        summary: "The bytes of a message that could not be read. Its id is in their list, and an attribute of its log \
                  record, `spanlight.dead_letter.id`.",
        parameters: &[LETTER, TIMEOUT],
        answer: BYTES,
    },
    Endpoint {
        call: Call::Replay,
        method: Method::POST,
        path: "/dead-letters/{id}/replay",
        summary: "Reads a dead letter again and stores its records; once, unless the process ended amid it.",
        parameters: &[
            LETTER,
            query(
                "signal",
                Kind::Choice(&["spans", "logs", "metrics"]),
                "What it holds; what its topic does, unless given.",
            ),
            query("encoding", Kind::Text, "How it is written; as its topic was said to be, unless given."),
            query("tenant", Kind::Text, "Whose its records are; those of whom it named or of its topic, unless given."),
            TIMEOUT,
        ],
        answer: "ReplayResponse",
    },
    Endpoint {
        call: Call::DeleteSpans,
        method: Method::POST,
        path: "/spans/delete",
        summary: "Deletes the spans that match all filters and start in the range. Answered once nobody sees them any more.",
        parameters: DELETE_SPANS,
        answer: "DeleteResponse",
    },
    Endpoint {
        call: Call::DeleteLogs,
        method: Method::POST,
        path: "/logs/delete",
        summary: "Deletes the log records that match all filters. Answered once nobody sees them any more.",
        parameters: DELETE_LOGS,
        answer: "DeleteResponse",
    },
    Endpoint {
        call: Call::DeleteMetrics,
        method: Method::POST,
        path: "/metrics/delete",
        summary: "Deletes the data points that match all filters. Answered once nobody sees them any more.",
        parameters: DELETE_METRICS,
        answer: "DeleteResponse",
    },
    Endpoint {
        call: Call::DeleteTrace,
        method: Method::DELETE,
        path: "/traces/{trace_id}",
        summary: "Deletes the spans of a trace. Its log records are deleted by `/logs/delete`.",
        parameters: &[TRACE, TIMEOUT],
        answer: "DeleteResponse",
    },
];
