//! Which tools are there, and what are they called with? As JSON Schema.
//!
//! Not here: what they do (`tool`).

use serde_json::{Value, json};

/// A page on TraceQL.
pub(super) struct Page {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) text: &'static str,
}

pub(super) const DOCS: [Page; 4] = [
    Page {
        name: "basic",
        description: "Filters, attributes, intrinsics, operators, literals. Begin here.",
        text: include_str!("docs/basic.md"),
    },
    Page {
        name: "aggregates",
        description: "Pipelines: count, avg, min, max, sum, by, coalesce, select.",
        text: include_str!("docs/aggregates.md"),
    },
    Page {
        name: "structural",
        description: "Relations between the spans of a trace: parent, child, ancestor, descendant, sibling.",
        text: include_str!("docs/structural.md"),
    },
    Page {
        name: "metrics",
        description: "Series from spans: rate, quantiles, histograms, comparison of groups, arithmetic.",
        text: include_str!("docs/metrics.md"),
    },
];

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn flag(description: &str) -> Value {
    json!({ "type": "boolean", "description": description })
}

fn number(description: &str) -> Value {
    json!({ "type": "integer", "description": description })
}

fn tool(name: &str, description: &str, required: &[&str], parameters: &Value) -> Value {
    json!({
        "name": name, "description": description,
        "inputSchema": { "type": "object", "properties": parameters, "required": required },
        "annotations": {
            "readOnlyHint": true, "destructiveHint": false, "idempotentHint": true, "openWorldHint": false,
        },
    })
}

/// What every tool has that looks at a range.
fn ranged(query: &str) -> Value {
    json!({
        "query": text(query),
        "start": text("Begin of the range: RFC 3339, Unix seconds, or relative such as `now-2h`. One hour before the end unless given."),
        "end": text("End of the range, in the same forms. Now unless given."),
    })
}

/// All tools.
pub(super) fn tools() -> Vec<Value> {
    let query = "A TraceQL query that leaves spans, such as `{ resource.service.name = \"cart\" && status = error }`";
    let series = "A TraceQL query that ends in a metrics function, such as `{ status = error } | rate() by (resource.service.name)`";
    let mut search = ranged(query);
    search["limit"] = number("Traces told, the newest first; 20 unless given.");
    let mut range = ranged(series);
    range["step"] = text("Time between two values, such as `1m`; about 240 values unless given.");
    let pages: Vec<&str> = DOCS.iter().map(|page| page.name).collect();
    vec![
        tool("traceql-search", "Find traces by a TraceQL query, newest first.", &["query"], &search),
        tool(
            "traceql-metrics-instant",
            "Calculate one value per series over a range with a TraceQL metrics query. Answers most questions of how many, how fast, how slow.",
            &["query"],
            &ranged(series),
        ),
        tool(
            "traceql-metrics-range",
            "Calculate series over time with a TraceQL metrics query. To see when something changed.",
            &["query"],
            &range,
        ),
        tool(
            "get-trace",
            "Read a trace by its id: all of its spans, or with `q` a part, or with `span_pruning` similar spans as one.",
            &["trace_id"],
            &json!({
                "trace_id": text("Id of the trace, as hex digits"),
                "q": text("A TraceQL query: only the spans that it leaves are told"),
                "keep_hierarchy": flag("With `q`: tell also the spans above, up to the root"),
                "ancestor_depth": number("With `keep_hierarchy`: levels above that are told; -1 for all, which is usual"),
                "match_depth": number("With `q`: levels below that are told; -1 for all, 0 unless given"),
                "span_pruning": flag("Tell similar spans that call nobody as one. Of use where a trace is large"),
                "span_pruning_group_by": text("Patterns of attributes that must be the same, such as `db.*,http.method`"),
                "span_pruning_min_spans": number("How many similar spans become one; 5 unless given"),
                "span_pruning_max_parent_depth": number("Levels above that are told as one, too; -1 for all, 1 unless given"),
            }),
        ),
        tool(
            "trace-diff",
            "Compare two traces. Tells a summary, and the differences span by span where they are no more than 64 KiB.",
            &["base_trace_id", "compare_trace_id"],
            &json!({
                "base_trace_id": text("Id of the trace to start from"),
                "compare_trace_id": text("Id of the trace that is compared with it"),
                "format": {
                    "type": "string", "description": "What is told; a patch alone may be of any size.",
                    "enum": ["trace-summary-v0-composed", "trace-summary-v0-native", "trace-patch-v0"],
                    "default": "trace-summary-v0-composed",
                },
            }),
        ),
        tool(
            "get-attribute-names",
            "List the attributes that spans have, by scope.",
            &[],
            &json!({
                "scope": text("One of span, resource, event, link, instrumentation, intrinsic; all unless given"),
            }),
        ),
        tool(
            "get-attribute-values",
            "List the values of an attribute. All services are the values of `resource.service.name`.",
            &["name"],
            &json!({
                "name": text("The attribute with its scope, such as `span.http.route` or `resource.service.name`"),
                "filter-query": text("Only values of the spans that this filter leaves, such as `{ resource.service.name = \"cart\" }`"),
            }),
        ),
        tool(
            "docs-traceql",
            "Read about TraceQL before writing a query of a kind that is new to you.",
            &["name"],
            &json!({ "name": { "type": "string", "description": "Which page", "enum": pages } }),
        ),
    ]
}
