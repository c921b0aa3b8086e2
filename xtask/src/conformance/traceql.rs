//! Is every text of the language answered or refused as it should be? Runs the lists of `tests/conformance/traceql`, and of
//! `traceql/test_examples.yaml` in the corpora.
//!
//! Q1  What is answered is executed, over Tempo's API, on a store that has spans with the names that the texts use.
//! Q2  A refusal is 400 with line and column; a text that is no query is told by `parse error`, one that makes no sense not.
//!
//! Not here: what the answers hold (`tests/language`, run by the tests of `query`).

use super::http::{self, Request, Response};
use super::server::Server;
use super::{Context, Tally};
use anyhow::{Context as _, Result, bail, ensure};
use std::net::SocketAddr;

/// What must come of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    NoQuery,
    NoSense,
}

/// Starts a server, fills it, and sends it every text.
pub(super) fn run(context: &Context) -> Result<Tally> {
    let mut files = vec![context.repo.root.join("tests/conformance/traceql/examples.yaml")];
    match context.repo.corpora() {
        Some(corpora) => files.push(corpora.join("traceql/test_examples.yaml")),
        None => eprintln!("traceql: no corpora folder: the project's own cases only"),
    }
    let mut server = Server::start(&context.repo)?;
    fill(&server)?;
    let mut tally = Tally::default();
    for file in files {
        let text = std::fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
        for (list, text) in examples(&text)? {
            let fate = match list.as_str() {
                "valid" | "unsupported" => Fate::Answered,
                "parse_fails" => Fate::NoQuery,
                "validate_fails" => Fate::NoSense,
                other => bail!("{}: there is no list `{other}`", file.display()),
            };
            let outcome = judge(server.http, &text, fate).and_then(|()| server.alive());
            tally.total += 1;
            match outcome {
                Ok(()) => {
                    tally.passed += 1;
                    if context.verbose {
                        println!("ok    {list}: {text}");
                    }
                }
                Err(error) => println!("FAIL  {list}: {text}: {error:#}"),
            }
        }
    }
    Ok(tally)
}

/// Sends a trace of two spans with the attributes that the texts name.
fn fill(server: &Server) -> Result<()> {
    let now = jiff::Timestamp::now().as_nanosecond();
    let attribute = |key: &str, value: &str| format!(r#"{{"key":"{key}","value":{value}}}"#);
    let attributes = [
        attribute("a", r#"{"intValue":"1"}"#),
        attribute("b", r#"{"stringValue":"x"}"#),
        attribute("field", r#"{"doubleValue":1.5}"#),
        attribute("http.status", r#"{"intValue":"200"}"#),
    ]
    .join(",");
    let span = |id: u8, parent: &str, status: u8| {
        format!(
            r#"{{"traceId":"{}","spanId":"{:016x}","parentSpanId":"{parent}","name":"foo","kind":2,"startTimeUnixNano":"{}",
            "endTimeUnixNano":"{now}","attributes":[{attributes}],"status":{{"code":{status}}},
            "events":[{{"name":"exception","timeUnixNano":"{now}","attributes":[{attributes}]}}]}}"#,
            "0a".repeat(16),
            id,
            now - 1_000_000_000,
        )
    };
    let spans = [span(1, "", 0), span(2, "0000000000000001", 2)].join(",");
    let body = format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{attributes}]}},"scopeSpans":[{{"spans":[{spans}]}}]}}]}}"#
    );
    let headers = vec![
        ("content-length".to_owned(), body.len().to_string()),
        ("content-type".to_owned(), "application/json".to_owned()),
    ];
    let (method, path) = ("POST".to_owned(), "/v1/traces".to_owned());
    let request = Request { method, path, headers, body: body.into_bytes(), hang_up: false };
    let response = http::send(server.otlp_http, &request)?.context("no answer to the spans")?;
    ensure!(response.status == 200, "the spans were refused: {}", String::from_utf8_lossy(&response.body));
    Ok(())
}

fn judge(to: SocketAddr, text: &str, fate: Fate) -> Result<()> {
    let mut response = ask(to, "/tempo/api/search", text)?;
    let mut message = String::from_utf8_lossy(&response.body).into_owned();
    if response.status == 400 && message.contains("asks for series") {
        response = ask(to, "/tempo/api/metrics/query_range", text)?;
        message = String::from_utf8_lossy(&response.body).into_owned();
    }
    let placed = message.contains("line ") && message.contains("column ");
    let found = match (response.status, message.contains("parse error"), placed) {
        (200, _, _) => Fate::Answered,
        (400, true, true) => Fate::NoQuery,
        (400, false, true) => Fate::NoSense,
        (status, _, _) => bail!("answered {status}: {message}"),
    };
    ensure!(found == fate, "expected {fate:?}, found {found:?}: {message}");
    Ok(())
}

fn ask(to: SocketAddr, path: &str, text: &str) -> Result<Response> {
    let query: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    // An empty text is no query, where a missing one asks for everything.
    let query = if query.is_empty() { "%20".to_owned() } else { query };
    let request = Request {
        method: "GET".to_owned(),
        path: format!("{path}?q={query}"),
        headers: Vec::new(),
        body: Vec::new(),
        hang_up: false,
    };
    http::send(to, &request)?.context("no answer")
}

/// The texts of a file, each with the list that it stands in.
fn examples(yaml: &str) -> Result<Vec<(String, String)>> {
    let mut list = String::new();
    let mut found = Vec::new();
    for (line, number) in yaml.lines().zip(1..) {
        let words = line.trim();
        if let Some(item) = words.strip_prefix("- ") {
            let text = unquoted(item).with_context(|| format!("line {number}: no quoted text"))?;
            found.push((list.clone(), text));
        } else if let Some(name) = line.strip_suffix(':').filter(|name| !name.starts_with([' ', '#'])) {
            list = name.to_owned();
        }
    }
    Ok(found)
}

/// A quoted scalar of YAML, on one line; a comment may follow.
fn unquoted(item: &str) -> Option<String> {
    let mut letters = item.chars().peekable();
    let quote = letters.next().filter(|quote| ['"', '\''].contains(quote))?;
    let mut text = String::new();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\'', '\'') if letters.peek() == Some(&'\'') => text.extend(letters.next()),
            ('\'', '\'') | ('"', '"') => return Some(text),
            ('\\', '"') => text.push(match letters.next()? {
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                other => other,
            }),
            (other, _) => text.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_quoted_texts_are_read() {
        let read =
            examples("# c\nvalid:\n  # c\n  - '{ .a = ''b'' }'   # why\n  - \"a\\\"\\n\"\nparse_fails:\n  - ''\n")
                .unwrap();
        let expected = [("valid", "{ .a = 'b' }"), ("valid", "a\"\n"), ("parse_fails", "")];
        assert_eq!(read, expected.map(|(list, text)| (list.to_owned(), text.to_owned())));
        assert!(examples("valid:\n  - plain\n").is_err());
        assert!(examples("valid:\n  - 'open\n").is_err());
    }
}
