//! Which fields have the answers? `query-api`'s types as JSON Schema.

mod compare;
mod outline;

use serde_json::{Map, Value, json};

/// A reference to a schema by name.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// All schemas, by name.
pub(super) fn schemas() -> Map<String, Value> {
    let all = errors().into_iter().chain(traces()).chain(services()).chain(logs()).chain(metrics()).chain(values());
    all.chain(volumes())
        .chain(status())
        .chain(deletions())
        .chain(otlp())
        .chain(super::metric::schemas())
        .chain(compare::schemas())
        .chain(outline::schemas())
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect()
}

type Named = (&'static str, Value);

/// A field of an object.
pub(super) enum Field {
    Always(&'static str, Value),
    Sometimes(&'static str, Value),
}

use Field::{Always, Sometimes};

pub(super) fn object(description: &str, fields: impl IntoIterator<Item = Field>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in fields {
        let (name, schema) = match field {
            Always(name, schema) => {
                required.push(name);
                (name, schema)
            }
            Sometimes(name, schema) => (name, schema),
        };
        properties.insert(name.to_owned(), schema);
    }
    json!({ "type": "object", "description": description, "required": required, "properties": properties })
}

pub(super) fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

pub(super) fn list_of(name: &str) -> Value {
    list(reference(name))
}

pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn integer() -> Value {
    json!({ "type": "integer" })
}

pub(super) fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

/// Nanoseconds since 1970 UTC, or another 64-bit integer, as a decimal string.
pub(super) fn wide() -> Value {
    json!({ "type": "string", "pattern": "^-?[0-9]{1,20}$" })
}

pub(super) fn number() -> Value {
    json!({ "type": "number" })
}

/// A double; JSON has no number for some.
pub(super) fn double() -> Value {
    json!({ "anyOf": [{ "type": "number" }, { "enum": ["NaN", "Infinity", "-Infinity"] }] })
}

fn nullable(schema: &Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

pub(super) fn choice(names: &[&str]) -> Value {
    json!({ "type": "string", "enum": names })
}

fn hex(digits: usize) -> Value {
    json!({ "type": "string", "pattern": format!("^[0-9a-f]{{{digits}}}$") })
}

/// Ids of links and exemplars are given back as they were sent, whatever their length.
fn any_hex() -> Value {
    json!({ "type": "string", "pattern": "^([0-9a-f]{2})*$" })
}

/// An object with one of the fields.
fn one_of(description: &str, fields: Vec<(&str, Value)>, more: Vec<Value>) -> Value {
    let single = fields.into_iter().map(|(name, schema)| {
        let mut properties = Map::new();
        properties.insert(name.to_owned(), schema);
        json!({ "type": "object", "required": [name], "properties": properties })
    });
    json!({ "description": description, "anyOf": single.chain(more).collect::<Vec<_>>() })
}

fn errors() -> Vec<Named> {
    let class = choice(&["caller", "not_found", "limit", "unavailable", "corrupt", "bug"]);
    let error = object(
        "What failed, whose fault it is, and where.",
        [Always("class", class), Always("message", text()), Sometimes("where", text())],
    );
    vec![
        ("ErrorBody", object("Every answer with a status of 400 or above.", [Always("error", reference("Error"))])),
        ("Error", error),
        ("OpenApi", json!({ "type": "object", "description": "An OpenAPI 3.1 document." })),
    ]
}

fn stats() -> Value {
    object(
        "What the answer cost, and whether it is whole.",
        [
            Always("rows_scanned", count()),
            Always("rows_matched", count()),
            Always("blocks_read", count()),
            Always("blocks_pruned", count()),
            Always("elapsed_ms", number()),
            Always("partial", flag()),
            Sometimes("missing", list_of("MissingBlock")),
            Sometimes("resolution_seconds", count()),
        ],
    )
}

fn missing_block() -> Value {
    object(
        "A damaged block: its rows, or some of them, are missing from the answer.",
        [
            Always("block", any_hex()),
            Always("signal", text()),
            Always("rows", count()),
            Always("min_time_unix_nano", wide()),
            Always("max_time_unix_nano", wide()),
        ],
    )
}

fn deletions() -> Vec<Named> {
    let deletion = [
        Always("number", count()),
        Always("time_unix_nano", wide()),
        Always("signal", text()),
        Always("cause", choice(&["request", "age", "bytes", "disk", "damage"])),
        Sometimes("predicate", text()),
        Always("blocks", count()),
        Always("rows", count()),
    ];
    let letter = [
        Always("id", text()),
        Always("time_unix_nano", wide()),
        Always("sent_unix_nano", wide()),
        Always("topic", text()),
        Always("partition", count()),
        Always("offset", count()),
        Sometimes("end", count()),
        Always("reason", text()),
        Always("tenant", text()),
        Sometimes("signal", choice(&["spans", "logs", "metrics"])),
        Sometimes("encoding", text()),
        Sometimes("size", count()),
        Always("partial", flag()),
        Always("replayed", flag()),
    ];
    vec![
        ("DeleteResponse", object("What was deleted.", [Sometimes("deleted", reference("Deletion"))])),
        (
            "DeletionsResponse",
            object(
                "Deletions, newest first.",
                [Always("deletions", list_of("Deletion")), Sometimes("damaged", list(count()))],
            ),
        ),
        (
            "DeadLettersResponse",
            object(
                "Messages that could not be read, newest first; `truncated` where the limit cut.",
                [
                    Always("letters", list_of("DeadLetter")),
                    Always("truncated", flag()),
                    Always("stats", reference("Stats")),
                ],
            ),
        ),
        ("DeadLetter", object("A message that could not be read.", letter)),
        (
            "ReplayResponse",
            object(
                "What became of a dead letter's records.",
                [Always("accepted", count()), Always("rejected", count()), Sometimes("message", text())],
            ),
        ),
        ("Deletion", object("A deletion on record; `predicate` is absent for whole blocks.", deletion)),
    ]
}

fn traces() -> Vec<Named> {
    let page = [
        Always("traces", list_of("TraceSummary")),
        Sometimes("next_cursor", text()),
        Always("stats", reference("Stats")),
    ];
    let summary = [
        Always("trace_id", hex(32)),
        Always("root_service", text()),
        Always("root_name", text()),
        Always("has_root", flag()),
        Always("start_unix_nano", wide()),
        Always("duration_nano", integer()),
        Always("span_count", count()),
        Always("error_count", count()),
        Always("matched_count", count()),
        Always("first_match_unix_nano", wide()),
        Always("last_match_unix_nano", wide()),
        Always("longest_match_nano", integer()),
        Always("services", list_of("ServiceShare")),
    ];
    let share = [Always("name", text()), Always("span_count", count()), Always("error_count", count())];
    vec![
        ("SearchResponse", object("A page of traces.", page)),
        ("TraceSummary", object("One trace in a list.", summary)),
        ("ServiceShare", object("One service's part of a trace.", share)),
        ("Stats", stats()),
        ("MissingBlock", missing_block()),
    ]
}

fn services() -> Vec<Named> {
    let answer = [
        Always("services", list_of("Service")),
        Always("start_unix_nano", wide()),
        Always("end_unix_nano", wide()),
        Always("stats", reference("Stats")),
    ];
    let service = [
        Always("name", text()),
        Always("span_count", count()),
        Always("red", reference("Red")),
        Sometimes("previous", reference("Red")),
        Always("sparkline", reference("Sparkline")),
        Always("last_seen_unix_nano", wide()),
        Always("instance_count", count()),
        Sometimes("version", text()),
    ];
    let red = [
        Always("request_count", count()),
        Always("error_count", count()),
        Always("rate", number()),
        Sometimes("p50_nano", integer()),
        Sometimes("p95_nano", integer()),
        Sometimes("p99_nano", integer()),
    ];
    let sparkline = [
        Always("start_unix_nano", wide()),
        Always("step_nano", integer()),
        Always("requests", list(count())),
        Always("errors", list(count())),
        Always("p95_nano", list(nullable(&integer()))),
    ];
    let operations = [Always("operations", list_of("Operation")), Always("stats", reference("Stats"))];
    let operation = [Always("name", text()), Always("kind", integer()), Always("red", reference("Red"))];
    let graph = [
        Always("edges", list_of("GraphEdge")),
        Always("start_unix_nano", wide()),
        Always("end_unix_nano", wide()),
        Always("stats", reference("Stats")),
    ];
    let edge = [
        Always("client", text()),
        Always("server", text()),
        Always("connection", reference("Connection")),
        Always("call_count", count()),
        Always("failed_count", count()),
        Sometimes("client_side", reference("Red")),
        Sometimes("server_side", reference("Red")),
    ];
    vec![
        ("ServicesResponse", object("Services by name.", answer)),
        ("Service", object("One service over the range.", service)),
        ("Red", object("Rate, errors and durations; quantiles are within 1 %.", red)),
        ("Sparkline", object("Equal steps over the range.", sparkline)),
        ("OperationsResponse", object("Operations by name, then kind.", operations)),
        ("Operation", object("One span name and kind.", operation)),
        ("ServiceGraphResponse", object("Calls by their ends.", graph)),
        ("GraphEdge", object("The calls from one to another.", edge)),
        ("Connection", choice(&["direct", "messaging_system", "database", "virtual_node"])),
    ]
}

fn logs() -> Vec<Named> {
    let page =
        [Always("logs", list_of("LogRecord")), Sometimes("next_cursor", text()), Always("stats", reference("Stats"))];
    let record = [
        Always("time_unix_nano", wide()),
        Always("observed_time_unix_nano", wide()),
        Always("severity_number", integer()),
        Sometimes("severity_text", text()),
        Always("service", text()),
        Sometimes("body", reference("AnyValue")),
        Sometimes("event_name", text()),
        Sometimes("trace_id", hex(32)),
        Sometimes("span_id", hex(16)),
        Always("flags", count()),
        Always("attributes", list_of("KeyValue")),
        Always("dropped_attributes_count", count()),
        Always("resource", list_of("KeyValue")),
        Sometimes("scope_name", text()),
        Sometimes("scope_version", text()),
        Sometimes("scope_attributes", list_of("KeyValue")),
        Always("origin", reference("OriginDetail")),
    ];
    let origin = [
        Sometimes("resource_dropped_attributes_count", count()),
        Sometimes("resource_schema_url", text()),
        Sometimes("scope_dropped_attributes_count", count()),
        Sometimes("scope_schema_url", text()),
    ];
    let histogram = [
        Always("start_unix_nano", wide()),
        Always("step_nano", integer()),
        Always("levels", list_of("LevelCounts")),
        Always("stats", reference("Stats")),
    ];
    let level = choice(&crate::log::LEVELS);
    let counts = [Always("level", level), Always("counts", list(count()))];
    vec![
        ("LogsResponse", object("A page of records, newest first.", page)),
        ("LogRecord", object("One log record with everything it was sent with.", record)),
        ("OriginDetail", object("What else came with a resource and a scope.", origin)),
        ("HistogramResponse", object("Records per step and level, most severe level first.", histogram)),
        ("LevelCounts", object("Records of one level per step.", counts)),
    ]
}

fn volumes() -> Vec<Named> {
    let volume = [
        Always("start_unix_nano", wide()),
        Always("step_nano", integer()),
        Always("groups", list_of("GroupVolume")),
        Sometimes("others", reference("GroupVolume")),
        Always("stats", reference("Stats")),
    ];
    let group = [Always("name", text()), Always("rows", list(count())), Sometimes("bytes", list(count()))];
    let answer =
        |name, items| [Always(name, list_of(items)), Always("complete", flag()), Always("stats", reference("Stats"))];
    let key = [
        Always("key", text()),
        Always("scope", choice(&["own", "resource", "scope"])),
        Always("type", choice(&["empty", "string", "bool", "int", "double", "bytes", "array", "map"])),
        Always("rows", count()),
    ];
    let value = [Always("value", reference("AnyValue")), Always("rows", count())];
    vec![
        ("VolumeResponse", object("Rows per step and group, groups of most rows first.", volume)),
        ("GroupVolume", object("How many rows of a group, and of how many bytes, are in each step.", group)),
        ("AttributesResponse", object("Attribute keys by name.", answer("attributes", "AttributeKey"))),
        ("AttributeKey", object("A key and how many rows have it.", key)),
        (
            "AttributeValuesResponse",
            object("Values of an attribute, those of most rows first.", answer("values", "AttributeValue")),
        ),
        ("AttributeValue", object("A value and how many rows have it.", value)),
    ]
}

fn metrics() -> Vec<Named> {
    let kind = choice(&["gauge", "sum", "histogram", "exponential_histogram", "summary"]);
    let temporality = choice(&["unspecified", "delta", "cumulative"]);
    let metric = [
        Always("name", text()),
        Sometimes("promql_name", text()),
        Always("type", kind.clone()),
        Always("unit", text()),
        Always("description", text()),
        Sometimes("metadata", list_of("KeyValue")),
        Always("temporality", temporality.clone()),
        Always("is_monotonic", flag()),
        Always("series_count", count()),
        Always("point_count", count()),
        Always("services", list(text())),
        Always("last_time_unix_nano", wide()),
        Sometimes("last_values", reference("Values")),
        Sometimes("is_in_parts", flag()),
    ];
    let values = [Always("least", double()), Always("greatest", double())];
    let series = [
        Always("name", text()),
        Always("type", kind),
        Always("unit", text()),
        Always("temporality", temporality),
        Always("is_monotonic", flag()),
        Always("service", text()),
        Always("attributes", list_of("KeyValue")),
        Always("resource", list_of("KeyValue")),
        Sometimes("scope_name", text()),
        Sometimes("scope_version", text()),
        Sometimes("scope_attributes", list_of("KeyValue")),
        Always("origin", reference("OriginDetail")),
        Always("points", list_of("Point")),
    ];
    let answer =
        [Always("series", list_of("Series")), Always("truncated", flag()), Always("stats", reference("Stats"))];
    let list = [Always("metrics", list_of("Metric")), Always("stats", reference("Stats"))];
    vec![
        ("MetricsResponse", object("Metrics by name, then type.", list)),
        ("Metric", object("One metric.", metric)),
        ("Values", object("From one number to another.", values)),
        ("SeriesResponse", object("Series by identity; `truncated` where the limit cut.", answer)),
        ("Series", object("One series and its raw points, by time.", series)),
    ]
}

fn values() -> Vec<Named> {
    let point = [
        Always("time_unix_nano", wide()),
        Always("start_unix_nano", wide()),
        Sometimes("no_recorded_value", flag()),
        Always("value", reference("PointValue")),
        Sometimes("exemplars", list_of("Exemplar")),
        Sometimes("downsampled", reference("Downsampled")),
    ];
    let value = vec![
        ("int", wide()),
        ("double", double()),
        ("histogram", reference("Histogram")),
        ("exponential_histogram", reference("ExponentialHistogram")),
        ("summary", reference("Summary")),
    ];
    let measured = || {
        vec![
            Always("count", count()),
            Sometimes("sum", double()),
            Sometimes("min", double()),
            Sometimes("max", double()),
        ]
    };
    let explicit = [Always("bounds", list(double())), Always("bucket_counts", list(count()))];
    let exponential = [
        Always("scale", integer()),
        Always("zero_count", count()),
        Always("zero_threshold", double()),
        Always("positive_offset", integer()),
        Always("positive_counts", list(count())),
        Always("negative_offset", integer()),
        Always("negative_counts", list(count())),
    ];
    let summary = [Always("count", count()), Always("sum", double()), Always("quantiles", list_of("Quantile"))];
    let exemplar = [
        Always("time_unix_nano", wide()),
        Always("value", double()),
        Sometimes("value_int", wide()),
        Sometimes("trace_id", any_hex()),
        Sometimes("span_id", any_hex()),
        Sometimes("filtered_attributes", list_of("KeyValue")),
    ];
    vec![
        ("Point", object("One data point.", point)),
        ("PointValue", one_of("What was measured; `none` without a value.", value, vec![json!({ "const": "none" })])),
        ("Histogram", object("Explicit bounds.", measured().into_iter().chain(explicit))),
        ("ExponentialHistogram", object("Exponential buckets.", measured().into_iter().chain(exponential))),
        ("Summary", object("Quantiles that the sender computed.", summary)),
        ("Quantile", object("One quantile.", [Always("quantile", double()), Always("value", double())])),
        ("Exemplar", object("One measurement with its trace.", exemplar)),
    ]
}

fn status() -> Vec<Named> {
    let status = [
        Always("version", text()),
        Always("uptime_seconds", count()),
        Always("otlp_grpc_endpoint", text()),
        Always("otlp_http_endpoint", text()),
        Always("signals", list_of("SignalStatus")),
        Sometimes("last_received", reference("LastReceived")),
        Always("wal_bytes", count()),
        Sometimes("write_refusal", text()),
        Sometimes("object_store", text()),
        Sometimes("scrape_trouble", text()),
        Sometimes("kafka", reference("KafkaStatus")),
        Sometimes("tail_sampling", list_of("SampledByPolicy")),
        Sometimes("span_metrics", reference("SpanMetricsStatus")),
        Always("demo", reference("DemoStatus")),
    ];
    let sampled = ["kept_traces", "kept_spans", "dropped_traces", "dropped_spans"].map(|name| Always(name, count()));
    let sampled = std::iter::once(Always("policy", text())).chain(sampled);
    let made = [Always("since_unix_nano", wide()), Always("until_unix_nano", wide()), Always("left_out", count())];
    let filled = ["start_unix_nano", "end_unix_nano", "until_unix_nano"].map(|name| Always(name, wide()));
    let filled =
        filled.into_iter().chain(["made", "stored_before", "empty", "left_out"].map(|name| Always(name, count())));
    let kafka = [
        Sometimes("paused", text()),
        Sometimes("trouble", text()),
        Always("rebalances", count()),
        Always("partitions", list_of("KafkaPartition")),
        Sometimes("left_out", list_of("KafkaLeftOut")),
        Sometimes("front", reference("KafkaFront")),
    ];
    let front =
        [Sometimes("trouble", text()), Always("in_flight", count()), Always("topics", list_of("KafkaFrontTopic"))];
    let front_counts = ["messages", "bytes", "unconfirmed"].map(|name| Always(name, count()));
    let front_topic = std::iter::once(Always("topic", text())).chain(front_counts);
    let reason = choice(&["malformed", "active_series"]);
    let left_out =
        [Always("topic", text()), Always("reason", reason), Always("records", count()), Always("said", text())];
    let counts =
        ["position", "committed", "lag", "messages", "rows", "dead_letters", "lost", "unreadable", "tombstones"];
    let partition = [Always("topic", text()), Always("partition", count()), Always("ours", flag())];
    let partition = partition.into_iter().chain(counts.map(|name| Always(name, count())));
    let partition = partition.chain([Sometimes("stuck", text())]);
    let signal = [
        Always("signal", choice(&["spans", "logs", "metrics"])),
        Always("rows", count()),
        Always("blocks", count()),
        Always("block_bytes", count()),
        Always("quarantined_blocks", count()),
        Always("memtable_rows", count()),
        Always("memtable_bytes", count()),
        Sometimes("min_time", wide()),
        Sometimes("max_time", wide()),
    ];
    let last = [
        Always("time_unix_nano", wide()),
        Always("signal", choice(&["spans", "logs", "metrics"])),
        Always("service", text()),
    ];
    vec![
        ("StatusResponse", object("What the server says of itself.", status)),
        ("SpanMetricsStatus", object("How the making of metrics of spans goes.", made)),
        ("FilledResponse", object("What became of a range's intervals of 15 seconds.", filled)),
        ("SignalStatus", object("What is stored of one signal.", signal)),
        ("SampledByPolicy", object("What a policy of tail sampling has decided.", sampled)),
        ("KafkaStatus", object("How the reading of Kafka goes.", kafka)),
        ("KafkaPartition", object("A partition of a topic.", partition)),
        ("KafkaLeftOut", object("Records of a topic that were left out.", left_out)),
        ("KafkaFront", object("What the doors give to Kafka instead of the store.", front)),
        ("KafkaFrontTopic", object("What went to a topic.", front_topic)),
        ("LastReceived", object("The newest accepted request.", last)),
        ("DemoStatus", object("The demo workload.", [Always("running", flag()), Always("available", flag())])),
    ]
}

fn otlp() -> Vec<Named> {
    let dropped = || Sometimes("droppedAttributesCount", count());
    let attributes = || Always("attributes", list_of("KeyValue"));
    let span = [
        Always("traceId", hex(32)),
        Always("spanId", hex(16)),
        Sometimes("traceState", text()),
        Sometimes("parentSpanId", hex(16)),
        Sometimes("flags", count()),
        Always("name", text()),
        Always("kind", integer()),
        Always("startTimeUnixNano", wide()),
        Always("endTimeUnixNano", wide()),
        attributes(),
        dropped(),
        Sometimes("events", list_of("SpanEvent")),
        Sometimes("droppedEventsCount", count()),
        Sometimes("links", list_of("SpanLink")),
        Sometimes("droppedLinksCount", count()),
        Always("status", object("Outcome.", [Sometimes("message", text()), Sometimes("code", integer())])),
    ];
    let resource_spans = [
        Always("resource", reference("Resource")),
        Always("scopeSpans", list_of("ScopeSpans")),
        Sometimes("schemaUrl", text()),
    ];
    let scope_spans =
        [Always("scope", reference("Scope")), Always("spans", list_of("Span")), Sometimes("schemaUrl", text())];
    let resource = [attributes(), dropped(), Sometimes("entityRefs", list_of("EntityRef"))];
    let entity = [
        Sometimes("schemaUrl", text()),
        Always("type", text()),
        Always("idKeys", list(text())),
        Always("descriptionKeys", list(text())),
    ];
    let scope =
        [Always("name", text()), Sometimes("version", text()), Sometimes("attributes", list_of("KeyValue")), dropped()];
    let event = [Always("timeUnixNano", wide()), Always("name", text()), attributes(), dropped()];
    let link = [
        Always("traceId", any_hex()),
        Always("spanId", any_hex()),
        Sometimes("traceState", text()),
        attributes(),
        dropped(),
        Sometimes("flags", count()),
    ];
    let any = vec![
        ("stringValue", text()),
        ("boolValue", flag()),
        ("intValue", wide()),
        ("doubleValue", double()),
        ("arrayValue", object("A list.", [Always("values", list_of("AnyValue"))])),
        ("kvlistValue", object("A map.", [Always("values", list_of("KeyValue"))])),
        ("bytesValue", json!({ "type": "string", "contentEncoding": "base64" })),
    ];
    let empty = json!({ "type": "object", "maxProperties": 0 });
    let trace = [Always("resourceSpans", list_of("ResourceSpans")), Sometimes("missing", list_of("MissingBlock"))];
    vec![
        ("TracesData", object("A trace as OTLP/JSON, and damaged blocks that may have more of it.", trace)),
        ("ResourceSpans", object("Spans of one resource.", resource_spans)),
        ("Resource", object("What produced the telemetry.", resource)),
        ("EntityRef", object("An entity, by keys of the resource's attributes.", entity)),
        ("ScopeSpans", object("Spans of one instrumentation scope.", scope_spans)),
        ("Scope", object("The instrumentation library.", scope)),
        ("Span", object("One span; kind and status code are OTLP's numbers.", span)),
        ("SpanEvent", object("Something that happened during a span.", event)),
        ("SpanLink", object("A pointer to another span.", link)),
        ("KeyValue", object("One attribute.", [Always("key", text()), Always("value", reference("AnyValue"))])),
        ("AnyValue", one_of("A value of any type; `{}` for none.", any, vec![empty])),
    ]
}
