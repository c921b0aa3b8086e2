//! How does a language model ask for traces? By the Model Context Protocol over HTTP, `POST /api/mcp`, with the tools of Tempo's server.
//!
//! MC1  There are no sessions: every message is answered by itself, with one JSON object, so that any of several servers may answer it.
//!      What comes without an id is taken and not answered (202).
//! MC2  Tools only read. What a tool cannot do is told to the model in its own result (`isError`); what is no message of the protocol is
//!      an error of JSON-RPC.
//! MC3  A page of another origin may not ask: a browser on the same machine would otherwise read traces for it.
//! MC4  Calls run on the executor's threads within the limits of queries, one after the other where a message holds several.
//!
//! Not here: what tools do (`tool`), what they are called with (`schema`), what is told of TraceQL (`docs`).

mod schema;
mod tool;

use super::super::answer::{response, small};
use super::{answered, failed, text};
use crate::error::Error;
use crate::http::{QueryState, same_origin, tenant};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use schema::{DOCS, tools};
use serde_json::{Value, json};
use std::sync::Arc;
use storage::model::TenantId;

/// Versions of the protocol, newest first.
const VERSIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
const VERSION_HEADER: &str = "mcp-protocol-version";
/// Messages of a batch, which only the version of 2025-03-26 knows.
const MOST_MESSAGES: usize = 16;

const PARSE_ERROR: i64 = -32_700;
const INVALID_REQUEST: i64 = -32_600;
const METHOD_NOT_FOUND: i64 = -32_601;
const INVALID_PARAMS: i64 = -32_602;
const RESOURCE_NOT_FOUND: i64 = -32_002;

const INSTRUCTIONS: &str = "Spanlight stores distributed traces. Find out which attributes there are with get-attribute-names and \
    get-attribute-values, how many and how slow with traceql-metrics-instant, which traces with traceql-search, and what happened in one \
    with get-trace; docs-traceql explains the query language.";

/// An error of JSON-RPC.
struct Refusal {
    code: i64,
    message: String,
}

impl Refusal {
    fn new(code: i64, message: impl Into<String>) -> Self {
        Refusal { code, message: message.into() }
    }
}

/// Answers a message, or several.
pub(super) async fn post(State(state): State<Arc<QueryState>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let tenant = match same_origin(&uri, &headers).and_then(|()| tenant(&headers)) {
        Ok(tenant) => tenant,
        Err(error @ Error::ForeignOrigin) => return text(StatusCode::FORBIDDEN, &error.to_string()),
        Err(error) => return failed(&error),
    };
    let version = headers.get(VERSION_HEADER).map(|version| version.to_str().unwrap_or_default());
    if let Some(unknown) = version.filter(|version| !VERSIONS.contains(version)) {
        let message = format!("version {unknown:?} of the protocol is none of {}", VERSIONS.join(", "));
        return refused(StatusCode::BAD_REQUEST, &Refusal::new(INVALID_REQUEST, message));
    }
    let answer = match serde_json::from_slice::<Value>(&body) {
        Err(error) => {
            let refusal = Refusal::new(PARSE_ERROR, format!("the body is no JSON: {error}"));
            return refused(StatusCode::BAD_REQUEST, &refusal);
        }
        Ok(Value::Array(messages)) if messages.is_empty() || messages.len() > MOST_MESSAGES => {
            let message = format!("a batch has 1 to {MOST_MESSAGES} messages");
            return refused(StatusCode::BAD_REQUEST, &Refusal::new(INVALID_REQUEST, message));
        }
        Ok(Value::Array(messages)) => {
            let mut answers = Vec::new();
            for message in messages {
                answers.extend(answer(&state, &tenant, message).await);
            }
            (!answers.is_empty()).then_some(Value::Array(answers))
        }
        Ok(message) => answer(&state, &tenant, message).await,
    };
    match answer {
        Some(answer) => answered(small(&answer)),
        None => response(StatusCode::ACCEPTED, Bytes::new()),
    }
}

fn refused(status: StatusCode, refusal: &Refusal) -> Response {
    response(status, error(&Value::Null, refusal).to_string().into())
}

fn error(id: &Value, refusal: &Refusal) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": refusal.code, "message": refusal.message } })
}

/// The answer to a message; none to one that wants none.
async fn answer(state: &Arc<QueryState>, tenant: &TenantId, message: Value) -> Option<Value> {
    let Value::Object(mut message) = message else {
        return Some(error(&Value::Null, &Refusal::new(INVALID_REQUEST, "a message is a JSON object")));
    };
    let id = message.get("id").cloned();
    let Some(Value::String(method)) = message.get("method").cloned() else {
        // An answer to what nobody here asked.
        let is_answer = message.contains_key("result") || message.contains_key("error");
        let refusal = Refusal::new(INVALID_REQUEST, "a message has a method");
        return (!is_answer).then(|| error(&id.unwrap_or_default(), &refusal));
    };
    let id = id?;
    if !(id.is_string() || id.is_number()) {
        return Some(error(&Value::Null, &Refusal::new(INVALID_REQUEST, "an id is a text or a number")));
    }
    let parameters = message.remove("params").unwrap_or_default();
    let result = match method.as_str() {
        "initialize" => Ok(initialized(state, &parameters)),
        "ping" => Ok(json!({})),
        "tools/list" => Ok(json!({ "tools": tools() })),
        "tools/call" => tool::call(state, tenant, &parameters).await,
        "resources/list" => Ok(json!({ "resources": resources() })),
        "resources/templates/list" => Ok(json!({ "resourceTemplates": [] })),
        "resources/read" => resource(&parameters),
        _ => Err(Refusal::new(METHOD_NOT_FOUND, format!("there is no method {method:?}"))),
    };
    Some(match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(refusal) => error(&id, &refusal),
    })
}

fn initialized(state: &QueryState, parameters: &Value) -> Value {
    let asked = parameters.get("protocolVersion").and_then(Value::as_str);
    let version = VERSIONS.into_iter().find(|version| Some(*version) == asked).unwrap_or(VERSIONS[0]);
    json!({
        "protocolVersion": version,
        "capabilities": { "tools": { "listChanged": false }, "resources": { "subscribe": false, "listChanged": false } },
        "serverInfo": { "name": "spanlight", "title": "Spanlight", "version": state.host().version },
        "instructions": INSTRUCTIONS,
    })
}

fn resources() -> Vec<Value> {
    let told = DOCS.iter().map(|page| {
        json!({
            "uri": format!("docs://traceql/{}", page.name), "name": format!("TraceQL: {}", page.name),
            "description": page.description, "mimeType": "text/markdown",
        })
    });
    told.collect()
}

fn resource(parameters: &Value) -> Result<Value, Refusal> {
    let uri = parameters.get("uri").and_then(Value::as_str);
    let uri = uri.ok_or_else(|| Refusal::new(INVALID_PARAMS, "`uri` is missing"))?;
    let page = uri.strip_prefix("docs://traceql/").and_then(|name| DOCS.iter().find(|page| page.name == name));
    let page = page.ok_or_else(|| Refusal::new(RESOURCE_NOT_FOUND, format!("there is no resource {uri:?}")))?;
    Ok(json!({ "contents": [{ "uri": uri, "mimeType": "text/markdown", "text": page.text }] }))
}
