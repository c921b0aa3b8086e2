//! For tests: a client of the Model Context Protocol.

use super::Server;
use crate::fixture::{TestSpan, spans, trace};
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

async fn post(server: &Server, body: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    let mut request =
        Request::post("/tempo/api/mcp").header("content-type", "application/json").header("host", "here:1");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let (parts, body) = server.router.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn result(server: &Server, method: &str, params: Value) -> Value {
    let body = json!({"jsonrpc": "2.0", "id": "x1", "method": method, "params": params});
    let (status, answer) = post(server, &body.to_string(), &[("mcp-protocol-version", "2025-06-18")]).await;
    assert_eq!((status, &answer["jsonrpc"], &answer["id"]), (200, &json!("2.0"), &json!("x1")), "{answer}");
    answer
}

/// The text of a tool's result, and whether the tool was unable.
async fn call(server: &Server, tool: &str, arguments: Value) -> (String, bool) {
    let answer = result(server, "tools/call", json!({"name": tool, "arguments": arguments})).await;
    let result = &answer["result"];
    assert_eq!(result["content"][0]["type"], "text", "{answer}");
    (result["content"][0]["text"].as_str().unwrap().to_owned(), result["isError"].as_bool().unwrap())
}

#[tokio::test]
async fn mc1_a_client_and_the_server_come_to_terms() {
    let server = Server::new().await;
    for (asked, told) in [("2025-03-26", "2025-03-26"), ("2099-01-01", "2025-11-25")] {
        let params = json!({"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let answer = result(&server, "initialize", params).await;
        assert_eq!(answer["result"]["protocolVersion"], told);
        assert_eq!(answer["result"]["serverInfo"]["name"], "spanlight");
        assert!(answer["result"]["capabilities"]["tools"].is_object());
    }
    let told = post(&server, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, &[]).await;
    assert_eq!(told, (202, Value::Null));
    assert_eq!(result(&server, "ping", Value::Null).await["result"], json!({}));
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"x"},{"jsonrpc":"2.0","id":2,"method":"ping"}]"#;
    assert_eq!(post(&server, batch, &[]).await.1.as_array().unwrap().len(), 2);
    assert_eq!(server.send("/api/mcp", "text/event-stream").await.0, 405, "there is no stream to listen to");
}

#[tokio::test]
async fn mc2_what_is_no_message_is_refused() {
    let server = Server::new().await;
    let cases = [
        ("nonsense", 400, -32_700),
        ("[]", 400, -32_600),
        ("7", 200, -32_600),
        (r#"{"jsonrpc":"2.0","id":1}"#, 200, -32_600),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, 200, -32_600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"nothing"}"#, 200, -32_601),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}"#, 200, -32_602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#, 200, -32_602),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get-trace","arguments":[]}}"#,
            200,
            -32_602,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///etc/passwd"}}"#, 200, -32_002),
    ];
    for (body, status, code) in cases {
        let answer = post(&server, body, &[]).await;
        assert_eq!((answer.0, &answer.1["error"]["code"]), (status, &json!(code)), "{body}: {}", answer.1);
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(post(&server, &deep, &[]).await.0, 400);
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    assert_eq!(post(&server, ping, &[("mcp-protocol-version", "1999-01-01")]).await.0, 400);
    assert_eq!(post(&server, ping, &[("origin", "http://elsewhere:1")]).await.0, 403, "MC3");
    assert_eq!(post(&server, ping, &[("origin", "http://here:1")]).await.0, 200);
}

#[tokio::test]
async fn tools_only_read_and_say_what_they_are_called_with() {
    let server = Server::new().await;
    let answer = result(&server, "tools/list", json!({})).await;
    let tools = answer["result"]["tools"].as_array().unwrap();
    let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    let expected = [
        "traceql-search",
        "traceql-metrics-instant",
        "traceql-metrics-range",
        "get-trace",
        "trace-diff",
        "get-attribute-names",
        "get-attribute-values",
        "docs-traceql",
    ];
    assert_eq!(names, expected);
    for tool in tools {
        let hints = &tool["annotations"];
        let hints = ["readOnlyHint", "destructiveHint", "openWorldHint"].map(|hint| hints[hint].as_bool());
        assert_eq!(hints, [Some(true), Some(false), Some(false)], "{tool}");
        for needed in tool["inputSchema"]["required"].as_array().unwrap() {
            assert!(tool["inputSchema"]["properties"][needed.as_str().unwrap()].is_object(), "{tool}");
        }
        let (told, unable) = call(&server, tool["name"].as_str().unwrap(), json!({})).await;
        let is_content = tool["inputSchema"]["required"] == json!([]);
        assert_eq!(unable, !is_content, "{tool}: {told}");
    }
}

#[tokio::test]
async fn tools_answer_from_what_is_stored() {
    let server = Server::new().await;
    let read =
        |text: String| -> Value { serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")) };
    let (found, _) = call(&server, "traceql-search", json!({"query": "{ status = error }", "limit": 5})).await;
    assert_eq!(read(found)["traces"][0]["traceID"], trace(1).to_string());
    let (sums, _) =
        call(&server, "traceql-metrics-instant", json!({"query": "{ } | count_over_time()", "start": "now-30s"})).await;
    assert_eq!(read(sums)["series"][0]["value"], 4.0);
    let (series, _) = call(&server, "traceql-metrics-range", json!({"query": "{ } | rate()", "step": "10m"})).await;
    assert!(!read(series)["series"][0]["samples"].as_array().unwrap().is_empty());
    let id = trace(1).to_string();
    let (told, _) = call(&server, "get-trace", json!({"trace_id": id, "q": "{ name = \"add\" }"})).await;
    let told = read(told);
    assert_eq!((&told["trace"]["traceId"], &told["status"]), (&json!(id), &json!("PARTIAL")));
    let (difference, _) =
        call(&server, "trace-diff", json!({"base_trace_id": id, "compare_trace_id": trace(2).to_string()})).await;
    assert_eq!(read(difference)["version"], "trace-summary-v0-composed");
    let (names, _) = call(&server, "get-attribute-names", json!({"scope": "span"})).await;
    assert_eq!(read(names)["scopes"][0]["tags"], json!(["a/b", "http.method"]));
    let arguments = json!({"name": "resource.service.name", "filter-query": "{ status = error }"});
    let (values, _) = call(&server, "get-attribute-values", arguments).await;
    assert_eq!(read(values)["tagValues"], json!({"string": ["cart"]}));
}

#[tokio::test]
async fn mc2_what_a_tool_cannot_do_is_told_to_the_model() {
    let server = Server::new().await;
    let cases = [
        ("traceql-search", json!({"query": "{ .a = }"}), "line 1, column 8"),
        ("traceql-search", json!({"query": "{ } | rate()"}), "asks for series"),
        ("traceql-metrics-instant", json!({"query": "{ }"}), "asks for traces"),
        ("traceql-search", json!({"query": "{ }", "start": "yesterday"}), "invalid start"),
        ("get-trace", json!({"trace_id": "ffff"}), "no span of trace"),
        ("get-trace", json!({"trace_id": ["x"]}), "`trace_id` is missing"),
        ("trace-diff", json!({"base_trace_id": "1", "compare_trace_id": "2", "format": "x"}), "there is no format"),
        ("get-attribute-names", json!({"scope": "x"}), "is none of"),
        ("docs-traceql", json!({"name": "x"}), "basic, aggregates, structural, metrics"),
    ];
    for (tool, arguments, words) in cases {
        let (told, unable) = call(&server, tool, arguments).await;
        assert!(unable && told.contains(words), "{tool}: {told}");
    }
}

#[tokio::test]
async fn tc2_what_no_model_would_read_is_refused_and_can_be_asked_for_in_part() {
    let server = Server::new().await;
    let many: Vec<TestSpan> =
        (1..600).map(|id| TestSpan { trace: 5, id, parent: (id > 1).then_some(1), ..TestSpan::default() }).collect();
    server.fixture.put(spans(&many)).await;
    let id = trace(5).to_string();
    let (told, unable) = call(&server, "get-trace", json!({"trace_id": id})).await;
    assert!(unable && told.contains("a part of the trace"), "{told}");
    let (_, unable) = call(&server, "get-trace", json!({"trace_id": id, "span_pruning": true})).await;
    assert!(!unable);
}

/// What is told of TraceQL is TraceQL.
#[tokio::test]
async fn examples_of_the_documentation_are_queries() {
    let server = Server::new().await;
    let listed = result(&server, "resources/list", json!({})).await;
    let pages = listed["result"]["resources"].as_array().unwrap();
    assert_eq!(pages.len(), 4);
    for page in pages {
        let uri = page["uri"].as_str().unwrap();
        let answer = result(&server, "resources/read", json!({"uri": uri})).await;
        let text = answer["result"]["contents"][0]["text"].as_str().unwrap();
        let (again, _) = call(&server, "docs-traceql", json!({"name": uri.rsplit('/').next()})).await;
        assert_eq!(again, text);
        let examples: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("    ")).collect();
        assert!(examples.len() >= 4, "{uri}");
        for example in examples {
            assert!(crate::traceql::parse(example).is_ok(), "{uri}: {example}");
        }
    }
}
