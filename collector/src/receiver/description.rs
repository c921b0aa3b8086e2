//! How do the doors describe themselves? As paths of an OpenAPI document, for whoever serves one.
//!
//! Paths come from the doors' own lists, so that none can be left out.

use super::otlp_http;
use super::prometheus::Door;
use serde_json::{Map, Value, json};

/// The doors that take telemetry in, over HTTP, as the object `paths` of OpenAPI 3.1. OTLP's are on ports of their own.
pub fn describe_doors() -> Value {
    let mut paths = Map::new();
    for (path, door) in Door::PATHS {
        paths.insert(path.to_owned(), json!({ "post": operation(path, door) }));
    }
    for (path, signal) in otlp_http::PATHS {
        paths.insert(path.to_owned(), otlp(path, signal.as_str()));
    }
    paths.into()
}

fn operation(path: &str, door: Door) -> Value {
    match door {
        Door::Import => import(path),
        Door::RemoteWrite => remote_write(path),
    }
}

/// A name for a path's operation, which no other has.
fn id(path: &str) -> String {
    path.split(['/', '_'])
        .flat_map(|word| {
            [word.get(..1).unwrap_or_default().to_uppercase(), word.get(1..).unwrap_or_default().to_owned()]
        })
        .collect()
}

fn tenant() -> Value {
    json!({
        "name": "X-Scope-OrgID",
        "in": "header",
        "description": "The tenant; `default` unless given.",
        "schema": { "type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$" },
    })
}

fn encoding(names: &[&str]) -> Value {
    json!({ "name": "Content-Encoding", "in": "header", "schema": { "type": "string", "enum": names } })
}

/// What every door may answer beside the good.
fn refusals(kind: &str) -> Map<String, Value> {
    let answer = |description: &str| json!({ "description": description, "content": { kind: { "schema": { "type": "string" } } } });
    let all = [
        ("413", "The request is larger than `otlp.max_request_bytes`, or takes more memory than one may."),
        ("415", "The media type or the compression is not known."),
        ("429", "The tenant sends faster than allowed; again after `Retry-After` seconds."),
        ("503", "Not now; again after `Retry-After` seconds."),
    ];
    all.into_iter().map(|(status, description)| (status.to_owned(), answer(description))).collect()
}

fn with(answers: Value, kind: &str) -> Value {
    let mut all = refusals(kind);
    if let Value::Object(own) = answers {
        all.extend(own);
    }
    all.into()
}

fn import(path: &str) -> Value {
    let text = json!({ "schema": { "type": "string" } });
    json!({
        "operationId": id(path),
        "summary": "Stores a text of metrics: Prometheus's format, or OpenMetrics where it ends with `# EOF`. Whole, or refused with line \
            and column; but for series past the tenant's limit.",
        "parameters": [tenant(), encoding(&["identity", "gzip", "zstd", "deflate"])],
        "requestBody": {
            "required": true,
            "content": { "text/plain": text, "application/openmetrics-text": text },
        },
        "responses": with(json!({
            "200": {
                "description": "All is stored.",
                "content": { "application/json": { "schema": {
                    "type": "object",
                    "properties": {
                        "samples": { "type": "integer", "minimum": 0 },
                        "exemplars": { "type": "integer", "minimum": 0 },
                    },
                    "required": ["samples", "exemplars"],
                } } },
            },
            "400": {
                "description": "The text is none of metrics, with line and column; or series were left out, and the text says by which \
                    metric and label they became too many.",
                "content": { "text/plain": { "schema": { "type": "string" } } },
            },
        }), "text/plain"),
    })
}

fn remote_write(path: &str) -> Value {
    let message = json!({ "schema": { "type": "string", "format": "binary" } });
    let count =
        |what: &str| json!({ "description": format!("{what} that are stored."), "schema": { "type": "integer" } });
    let headers = json!({
        "X-Prometheus-Remote-Write-Samples-Written": count("Samples"),
        "X-Prometheus-Remote-Write-Histograms-Written": count("Native histograms"),
        "X-Prometheus-Remote-Write-Exemplars-Written": count("Exemplars"),
    });
    json!({
        "operationId": id(path),
        "summary": "Prometheus's remote write, version 1 or 2 by the Content-Type.",
        "parameters": [tenant(), encoding(&["snappy", "zstd"])],
        "requestBody": {
            "required": true,
            "content": {
                "application/x-protobuf": message,
                "application/x-protobuf;proto=io.prometheus.write.v2.Request": message,
            },
        },
        "responses": with(json!({
            "204": { "description": "All is stored.", "headers": headers },
            "400": {
                "description": "Malformed, and nothing is stored; or parts are left out for good, and the headers say what is stored.",
                "headers": headers,
                "content": { "text/plain": { "schema": { "type": "string" } } },
            },
        }), "text/plain"),
    })
}

fn otlp(path: &str, signal: &str) -> Value {
    let message = |format: Value| json!({ "schema": format });
    let (binary, object) = (json!({ "type": "string", "format": "binary" }), json!({ "type": "object" }));
    let content = json!({ "application/x-protobuf": message(binary), "application/json": message(object) });
    json!({
        "servers": [
            { "url": "http://127.0.0.1:4318", "description": "`otlp.http_addr`" },
            { "url": "http://127.0.0.1:4317", "description": "`otlp.grpc_addr`" },
        ],
        "post": {
            "operationId": format!("Otlp{}", id(path)),
            "summary": format!("OTLP/HTTP: {signal}."),
            "parameters": [tenant(), encoding(&["identity", "gzip", "zstd", "deflate"])],
            "requestBody": { "required": true, "content": content },
            "responses": with(json!({
                "200": {
                    "description": "Stored; `partial_success` says what was left out, and why.",
                    "content": content,
                },
                "400": { "description": "Malformed; nothing is stored." },
            }), "application/x-protobuf"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_door_is_described_under_a_name_of_its_own() {
        let described = describe_doors();
        let paths = described.as_object().unwrap();
        for (path, _) in Door::PATHS {
            assert!(paths[path]["post"]["requestBody"]["content"].is_object(), "{path}");
            assert!(paths[path]["post"]["responses"]["429"].is_object(), "{path}");
        }
        for (path, _) in otlp_http::PATHS {
            assert!(paths[path]["servers"][0]["url"].is_string(), "{path}");
        }
        let names: BTreeSet<&str> = paths.values().map(|path| path["post"]["operationId"].as_str().unwrap()).collect();
        assert_eq!(names.len(), paths.len());
        assert!(names.contains("ApiV1Import"), "{names:?}");
    }
}
