//! What does a tool do when it is called? What Tempo's API does at the path of the same purpose, in the words that are made for models.
//!
//! TC1  Arguments are read as the parameters of that path are; those that a tool does not know are ignored.
//! TC2  A result is one text, JSON or Markdown, and `_meta` says which. One that no model would read is refused with its length: answers
//!      are held in memory several times while they are written.
//!
//! Not here: the protocol (the module above).

use super::super::json::SearchResponse;
use super::super::request::Request;
use super::super::series::{QueryInstantResponse, QueryRangeResponse};
use super::super::trace::{Told, Wanted, trace_id};
use super::super::{ask, diff, llm, tag};
use super::schema::DOCS;
use super::{INVALID_PARAMS, Refusal};
use crate::error::{Error, Result};
use crate::exec::{Control, QueryContext};
use crate::http::QueryState;
use crate::http::answer::{Body, large};
use query_api::error::Class;
use serde_json::{Value, json};
use std::sync::Arc;
use storage::model::TenantId;

/// The range of who asks for none.
const USUAL_START: &str = "now-1h";

/// The longest text of a result: more than contexts have.
const MOST_TEXT_BYTES: usize = if cfg!(test) { 64 * 1024 } else { 4 << 20 };

/// What a tool reads.
type Job = fn(&Control, &Request) -> Result<Body>;

/// Each tool that reads what is stored: its name, what Tempo calls its result, its version, and what it does.
const READERS: [(&str, &str, &str, Job); 7] = [
    ("traceql-search", "search-results", "1", search),
    ("traceql-metrics-instant", "metrics-instant", "1", instant),
    ("traceql-metrics-range", "metrics-range", "1", range),
    ("get-trace", "trace", "2", trace),
    ("trace-diff", "trace-diff", "2", compare),
    ("get-attribute-names", "attribute-names", "2", names),
    ("get-attribute-values", "attribute-values", "2", values),
];

/// Calls a tool.
pub(super) async fn call(
    state: &Arc<QueryState>,
    tenant: &TenantId,
    parameters: &Value,
) -> std::result::Result<Value, Refusal> {
    let name = parameters.get("name").and_then(Value::as_str);
    let name = name.ok_or_else(|| Refusal::new(INVALID_PARAMS, "`name` says which tool is called"))?;
    let arguments = match parameters.get("arguments") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Object(map)) => map.iter().filter_map(|(key, value)| Some((key.clone(), plain(value)?))).collect(),
        Some(_) => return Err(Refusal::new(INVALID_PARAMS, "`arguments` is an object")),
    };
    if name == "docs-traceql" {
        return Ok(docs(&arguments));
    }
    let Some((_, told, version, job)) = READERS.into_iter().find(|(known, ..)| *known == name) else {
        return Err(Refusal::new(INVALID_PARAMS, format!("there is no tool {name:?}")));
    };
    let request = Request::of(arguments, Vec::new(), state.now());
    let context = QueryContext { tenant: tenant.clone(), timeout: state.executor().config().timeout };
    let outcome = state.executor().run(context, move |control| job(control, &request)).await;
    Ok(match outcome {
        Ok(body) => match body.into_bytes() {
            bytes if bytes.len() > MOST_TEXT_BYTES => {
                let message = "a tool tells at most this much; ask for a shorter range, fewer traces or series, or a part of the trace";
                unable(&format!("the answer has {} bytes of {MOST_TEXT_BYTES}: {message}", bytes.len()))
            }
            bytes => result(&String::from_utf8_lossy(&bytes), (told, "json", version)),
        },
        Err(error) => {
            if matches!(error.class(), Class::Bug | Class::Corrupt) {
                tracing::error!(error = ?error, "a tool failed");
            }
            unable(&error.body().error.message)
        }
    })
}

/// An argument as the text of a parameter; what has no text is none.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn result(text: &str, (r#type, encoding, version): (&str, &str, &str)) -> Value {
    json!({
        "content": [{ "type": "text", "text": text }], "isError": false,
        "_meta": { "type": r#type, "encoding": encoding, "version": version },
    })
}

fn unable(message: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": message }], "isError": true })
}

fn docs(arguments: &[(String, String)]) -> Value {
    let name = arguments.iter().find(|(name, _)| name == "name").map(|(_, name)| name.as_str());
    match DOCS.iter().find(|page| Some(page.name) == name) {
        Some(page) => result(page.text, ("documentation", "markdown", "1")),
        None => {
            let names: Vec<&str> = DOCS.iter().map(|page| page.name).collect();
            unable(&format!("`name` is one of {}", names.join(", ")))
        }
    }
}

/// An argument that a tool cannot do without.
fn needed<'r>(request: &'r Request, name: &str) -> Result<&'r str> {
    request.text(name).ok_or_else(|| Error::parameter(name, format!("`{name}` is missing")))
}

/// The parameters of a path that searches a range.
fn ranged(request: &Request) -> Result<Request> {
    let query = needed(request, "query")?;
    let mut pairs = vec![("q", query), ("start", request.text("start").unwrap_or(USUAL_START))];
    pairs.extend(["end", "limit", "step"].into_iter().filter_map(|name| Some((name, request.text(name)?))));
    let pairs = pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Ok(Request::of(pairs, Vec::new(), request.now))
}

fn search(control: &Control, request: &Request) -> Result<Body> {
    let (search, query) = ask::search(&ranged(request)?)?;
    let (found, _) = search.page(control, &query)?;
    large(control, &SearchResponse::new(found, control), false)
}

fn instant(control: &Control, request: &Request) -> Result<Body> {
    let (query, axis) = ask::instant(&ranged(request)?)?;
    large(control, &QueryInstantResponse::new(query.series(control, &axis, 0)?, control), false)
}

fn range(control: &Control, request: &Request) -> Result<Body> {
    let (query, axis, exemplars) = ask::range(&ranged(request)?)?;
    let answer = query.series(control, &axis, exemplars)?;
    large(control, &QueryRangeResponse::new(answer, &axis, control), false)
}

fn trace(control: &Control, request: &Request) -> Result<Body> {
    let id = trace_id(needed(request, "trace_id")?)?;
    let Told { data, partial } = Wanted::read(request)?.tell(control, id)?;
    large(control, &llm::TraceById::new(id, &data, partial.as_deref()), false)
}

fn compare(control: &Control, request: &Request) -> Result<Body> {
    let ids = (trace_id(needed(request, "base_trace_id")?)?, trace_id(needed(request, "compare_trace_id")?)?);
    diff::by_format(control, ids, request.text("format").unwrap_or(diff::COMPOSED))
}

fn names(control: &Control, request: &Request) -> Result<Body> {
    large(control, &tag::scopes(control, request)?, false)
}

fn values(control: &Control, request: &Request) -> Result<Body> {
    let name = needed(request, "name")?;
    let filter = request.text("filter-query").map(|filter| ("q".to_owned(), filter.to_owned()));
    let asked = Request::of(filter.into_iter().collect(), Vec::new(), request.now);
    large(control, &llm::TagValues::new(tag::typed_values(control, &asked, name)?), false)
}
