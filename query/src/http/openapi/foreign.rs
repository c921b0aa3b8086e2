//! How are rules, alerts and remote read asked for? As in Prometheus's own OpenAPI document, as far as it is about these.

use super::super::prometheus::PREFIX;
use super::schema::{Field, choice, list, number, object, text};
use Field::{Always, Sometimes};
use serde_json::{Value, json};

/// Paths and what they answer.
pub(super) fn paths() -> impl Iterator<Item = (String, Value)> {
    [("/rules", rules()), ("/alerts", alerts()), ("/read", read())]
        .into_iter()
        .map(|(path, methods)| (format!("{PREFIX}{path}"), methods))
}

fn parameter(name: &str, description: &str, schema: &Value) -> Value {
    json!({ "name": name, "in": "query", "required": false, "description": description, "schema": schema })
}

fn answered(data: &Value) -> Value {
    let body = object("", [Always("status", json!({ "const": "success" })), Always("data", data.clone())]);
    let refused = json!({
        "description": "`errorType` and `error` say why not.",
        "content": { "application/json": { "schema": { "type": "object" } } },
    });
    json!({
        "200": { "description": "The answer.", "content": { "application/json": { "schema": body } } },
        "400": refused,
    })
}

/// Labels or annotations.
fn labels() -> Value {
    json!({ "type": "object", "additionalProperties": { "type": "string" } })
}

fn moment() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn alert() -> Value {
    object(
        "An alert.",
        [
            Always("labels", labels()),
            Always("annotations", labels()),
            Always("state", choice(&["pending", "firing"])),
            Always("activeAt", moment()),
            Sometimes("keepFiringSince", moment()),
            Always("value", text()),
        ],
    )
}

fn health() -> [Field; 5] {
    [
        Always("health", choice(&["ok", "err", "unknown"])),
        Sometimes("lastError", text()),
        Sometimes("warnings", list(text())),
        Always("evaluationTime", number()),
        Always("lastEvaluation", moment()),
    ]
}

fn rule() -> Value {
    let own = [Always("name", text()), Always("query", text()), Always("labels", labels())];
    let recording = own.into_iter().chain(health()).chain([Always("type", json!({ "const": "recording" }))]);
    let own = [Always("name", text()), Always("query", text()), Always("labels", labels())];
    let alerts = json!({ "anyOf": [list(alert()), { "type": "null" }] });
    let alerting = own.into_iter().chain(health()).chain([
        Always("type", json!({ "const": "alerting" })),
        Always("state", choice(&["unknown", "inactive", "pending", "firing"])),
        Always("duration", number()),
        Always("keepFiringFor", number()),
        Always("annotations", labels()),
        Always("alerts", alerts),
    ]);
    json!({ "anyOf": [object("A recording rule.", recording), object("An alerting rule.", alerting)] })
}

fn rules() -> Value {
    let (text, texts) = (json!({ "type": "string" }), json!({ "type": "array", "items": { "type": "string" } }));
    let group = object(
        "A group of rules.",
        [
            Always("name", text.clone()),
            Always("file", text.clone()),
            Always("rules", list(rule())),
            Always("interval", number()),
            Always("limit", json!({ "type": "integer" })),
            Always("evaluationTime", number()),
            Always("lastEvaluation", moment()),
        ],
    );
    let data = object("Groups.", [Always("groups", list(group)), Sometimes("groupNextToken", text.clone())]);
    json!({ "get": {
        "operationId": "PrometheusRules",
        "summary": "Rules by group, as Prometheus tells them.",
        "parameters": [
            parameter("type", "`alert` or `record`: only such rules.", &text),
            parameter("rule_name[]", "Only rules of these names.", &texts),
            parameter("rule_group[]", "Only these groups.", &texts),
            parameter("file[]", "Only groups of these files.", &texts),
            parameter("match[]", "Only rules whose labels fit one of these selectors.", &texts),
            parameter("exclude_alerts", "`true`: without alerts.", &text),
            parameter("group_limit", "Groups of a page.", &json!({ "type": "integer", "minimum": 1 })),
            parameter("group_next_token", "What the page before said.", &text),
        ],
        "responses": answered(&data),
    }})
}

fn alerts() -> Value {
    let data = object("Alerts.", [Always("alerts", list(alert()))]);
    json!({ "get": {
        "operationId": "PrometheusAlerts",
        "summary": "Alerts that are pending or firing, as Prometheus tells them.",
        "responses": answered(&data),
    }})
}

fn read() -> Value {
    let bytes = json!({ "schema": { "type": "string", "format": "binary" } });
    json!({ "post": {
        "operationId": "PrometheusRead",
        "summary": "Remote read: samples of series, packed by snappy or as a stream of chunks.",
        "requestBody": { "required": true, "content": { "application/x-protobuf": bytes } },
        "responses": {
            "200": {
                "description": "A ReadResponse, or frames of ChunkedReadResponse.",
                "content": { "application/x-protobuf": bytes, "application/x-streamed-protobuf": bytes },
            },
            "400": {
                "description": "A sentence on what is wrong.",
                "content": { "text/plain": { "schema": { "type": "string" } } },
            },
        },
    }})
}
