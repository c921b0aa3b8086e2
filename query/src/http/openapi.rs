//! How does the API describe itself? As an OpenAPI 3.1 document, made from the list of endpoints.
//!
//! O1  Paths and parameters come from `endpoint::ENDPOINTS`, as the router does, so neither can know what the other
//!     does not. The schemas of answers are written by hand (`schema`); a test holds real answers against them.
//! O3  Of Prometheus's API, which its own document describes, what is about rules, alerts and remote read is told too (`foreign`).

mod foreign;
mod metric;
mod schema;

use super::PREFIX;
use super::endpoint::{BYTES, ENDPOINTS, Endpoint, Kind, Parameter, Place};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The document with the doors of the process around, as paths of OpenAPI; where they cannot be that, without.
pub(super) fn with_doors(doors: &Value) -> Value {
    let mut whole = document().clone();
    let doors = doors.as_object().into_iter().flatten();
    if let Some(paths) = whole.get_mut("paths").and_then(Value::as_object_mut) {
        paths.extend(doors.map(|(path, methods)| (path.clone(), methods.clone())));
    }
    whole
}

/// The document of the API alone.
pub(super) fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(make);
    &DOCUMENT
}

fn make() -> Value {
    let mut paths = Map::new();
    for endpoint in ENDPOINTS {
        let path = paths.entry(format!("{PREFIX}{}", endpoint.path)).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(endpoint.method.as_str().to_ascii_lowercase(), operation(endpoint));
        }
    }
    paths.extend(foreign::paths());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Spanlight",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Traces, services, logs and metrics. Unix times in nanoseconds are decimal strings, \
                durations in nanoseconds are numbers, ids are lower-case hex. Readers ignore fields that they do not \
                know.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": { "schemas": schema::schemas() },
    })
}

fn operation(endpoint: &Endpoint) -> Value {
    let mut parameters: Vec<Value> = endpoint.parameters.iter().map(parameter).collect();
    parameters.push(json!({
        "name": "X-Scope-OrgID",
        "in": "header",
        "description": "The tenant; `default` unless given.",
        "schema": { "type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$" },
    }));
    let failed = |description: &str| {
        json!({
            "description": description,
            "content": { "application/json": { "schema": schema::reference("ErrorBody") } },
        })
    };
    json!({
        "operationId": format!("{:?}", endpoint.call),
        "summary": endpoint.summary,
        "parameters": parameters,
        "responses": {
            "200": {
                "description": "The answer.",
                "content": content(endpoint.answer),
            },
            "400": failed("The request is malformed; `where` names the parameter."),
            "404": failed("What was asked for does not exist."),
            "422": failed("The query goes past a limit of time, memory or rows."),
            "500": failed("Stored data is damaged, or Spanlight has a defect."),
            "503": failed("Not now; try again after `Retry-After` seconds."),
        },
    })
}

fn content(answer: &str) -> Value {
    if answer == BYTES {
        return json!({ "application/octet-stream": { "schema": { "type": "string", "format": "binary" } } });
    }
    json!({ "application/json": { "schema": schema::reference(answer) } })
}

fn parameter(parameter: &Parameter) -> Value {
    let mut described = json!({
        "name": parameter.name,
        "in": match parameter.place { Place::Path => "path", Place::Query => "query" },
        "required": parameter.is_required,
        "description": parameter.description,
        "schema": kind(parameter.kind),
    });
    if let (Kind::Attribute, Some(described)) = (parameter.kind, described.as_object_mut()) {
        described.insert("style".into(), "form".into());
        described.insert("explode".into(), true.into());
    }
    described
}

fn kind(kind: Kind) -> Value {
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Number => json!({ "type": "integer", "minimum": 0 }),
        Kind::TraceId => json!({ "type": "string", "pattern": "^[0-9a-fA-F]{32}$" }),
        Kind::SpanId => json!({ "type": "string", "pattern": "^[0-9a-fA-F]{16}$" }),
        Kind::Time => json!({
            "type": "string",
            "description": "`now`, `now-15m`, `now+1h` (units s, m, h, d, w, also joined: `now-1h30m`); RFC 3339 with \
                any offset; or a Unix time, also with a fraction, whose unit its size tells: below 10^11 seconds, \
                below 10^14 milliseconds, below 10^17 microseconds, else nanoseconds. Times before March 1973 are \
                therefore given in seconds or as RFC 3339.",
            "examples": ["now-15m", "2026-11-23T06:00:00Z", "1795413600"],
        }),
        Kind::Duration => json!({
            "type": "string",
            "description": "As Go writes durations (ns, us, ms, s, m, h), or a bare number of nanoseconds.",
            "examples": ["100ms", "1.5s", "2m"],
        }),
        Kind::Attribute => json!({ "type": "array", "items": { "type": "string", "pattern": "^[^=]+=" } }),
        Kind::Severity => json!({
            "type": "string",
            "description": "A level (trace, debug, info, warn, error, fatal; with 2 to 4 behind it for the levels \
                between), or OTLP's number from 0 to 24.",
            "examples": ["warn", "17"],
        }),
        Kind::Choice(choices) => json!({ "type": "string", "enum": choices }),
        Kind::Count { default, max } => {
            json!({ "type": "integer", "minimum": 1, "maximum": max, "default": default })
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
