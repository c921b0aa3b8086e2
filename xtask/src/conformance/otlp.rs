//! Does the OTLP/HTTP door keep to OTLP 1.11? Runs the cases of `tests/conformance/otlp`.
//!
//! L1  Answers come in the request's content type; an error's body is a `Status` with a message (unless a case says that
//!     any body will do).
//! L2  After every case the server is alive and takes an empty request.
//! L3  A case that cannot be sent or read is a failed case, never a skipped one.
//!
//! Not here: gRPC (`tests/api`), the query API beyond `then`.

use super::body::Format;
use super::case::{self, Case, Coding, Expect, Send, Then};
use super::http::{self, Request, Response};
use super::server::Server;
use super::wire::{Field, fields};
use super::{Context, Tally};
use crate::repo::files_below;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;

/// Starts a server and runs every case against it, in the order of files and cases.
pub(super) fn run(context: &Context) -> Result<Tally> {
    let mut folders = vec![context.repo.root.join("tests/conformance/otlp")];
    match context.repo.corpora() {
        Some(corpora) => folders.extend(Some(corpora.join("otlp")).filter(|folder| folder.is_dir())),
        None => eprintln!("otlp: no corpora folder: the project's own cases only"),
    }
    let mut server = Server::start(&context.repo)?;
    let mut tally = Tally::default();
    for folder in folders {
        for file in files_below(&folder)? {
            for case in case::read(&file)? {
                let outcome = run_case(&mut server, &case);
                tally.total += 1;
                match outcome {
                    Ok(()) => {
                        tally.passed += 1;
                        if context.verbose {
                            println!("ok    {}", case.name);
                        }
                    }
                    Err(error) => {
                        println!("FAIL  {}: {error:#}  ({})", case.name, context.repo.shorten(&file).display())
                    }
                }
                if server.alive().is_err() {
                    server = Server::start(&context.repo)?;
                }
            }
        }
    }
    Ok(tally)
}

fn run_case(server: &mut Server, case: &Case) -> Result<()> {
    let (request, asked) = request(&case.send)?;
    let answer = http::send(server.otlp_http, &request);
    server.alive()?;
    match answer? {
        Some(response) => judge(&response, &case.expect, asked, &request.path)?,
        None => ensure!(case.expect.status.contains(&0), "no answer, expected status {:?}", case.expect.status),
    }
    let empty = Request {
        method: "POST".to_owned(),
        path: "/v1/traces".to_owned(),
        headers: length_and_type(0, Format::Protobuf),
        body: Vec::new(),
        hang_up: false,
    };
    let after = http::send(server.otlp_http, &empty)?.context("afterwards the server closes connections")?;
    ensure!(after.status == 200, "afterwards an empty request is answered with {}", after.status);
    for then in &case.then {
        look(server, then)?;
    }
    Ok(())
}

/// The request of a case, and the format that its content type names, if it is one of OTLP's.
fn request(send: &Send) -> Result<(Request, Option<Format>)> {
    let now = u64::try_from(jiff::Timestamp::now().as_nanosecond())?;
    let mut body = send.body.build(now)?;
    for coding in &send.compress {
        body = compress(*coding, &body)?;
    }
    body.truncate(body.len().saturating_sub(send.cut));
    let length = send.content_length.unwrap_or(body.len() as u64);
    let mut headers: BTreeMap<String, String> = length_and_type(length, send.body.format()).into_iter().collect();
    for (name, value) in &send.headers {
        match value {
            Some(value) => headers.insert(name.to_ascii_lowercase(), value.clone()),
            None => headers.remove(&name.to_ascii_lowercase()),
        };
    }
    let media_type = headers.get("content-type").map(String::as_str).unwrap_or_default();
    let asked = format_of(media_type);
    let request = Request {
        method: send.method.clone(),
        path: send.path.clone(),
        headers: headers.into_iter().collect(),
        body,
        hang_up: send.content_length.is_some(),
    };
    Ok((request, asked))
}

fn length_and_type(length: u64, format: Format) -> Vec<(String, String)> {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![pair("content-length", &length.to_string()), pair("content-type", format.media_type())]
}

fn format_of(media_type: &str) -> Option<Format> {
    let bare = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    [Format::Json, Format::Protobuf].into_iter().find(|format| format.media_type() == bare)
}

fn compress(coding: Coding, body: &[u8]) -> Result<Vec<u8>> {
    let level = flate2::Compression::default();
    match coding {
        Coding::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(body)?;
            Ok(encoder.finish()?)
        }
        Coding::Deflate => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(body)?;
            Ok(encoder.finish()?)
        }
        Coding::Zstd => Ok(zstd::encode_all(body, 3)?),
    }
}

/// Compares an answer with what a case expects.
fn judge(response: &Response, expect: &Expect, asked: Option<Format>, path: &str) -> Result<()> {
    let said = || String::from_utf8_lossy(response.body.get(..200).unwrap_or(&response.body)).into_owned();
    ensure!(
        expect.status.contains(&response.status),
        "status {} ({:?}), expected {:?}",
        response.status,
        said(),
        expect.status
    );
    for (name, value) in &expect.headers {
        match (response.header(name), value.as_deref()) {
            (None, None) | (Some(_), Some("*")) => {}
            (Some(seen), Some(value)) if seen == value => {}
            (seen, value) => bail!("header {name} is {seen:?}, expected {value:?}"),
        }
    }
    if expect.any_body {
        return Ok(());
    }
    let answered = response.header("content-type").and_then(format_of).context("the answer is not of an OTLP type")?;
    ensure!(asked.is_none_or(|asked| asked == answered), "asked in {asked:?}, answered in {answered:?}");
    if response.status >= 400 {
        let message = status_message(answered, &response.body).context("the body is no Status")?;
        ensure!(!message.is_empty(), "the Status has no message");
        return Ok(());
    }
    let (rejected, message) =
        partial_success(answered, &response.body, path).context("the body is no Export…Response")?;
    match expect.rejected {
        None => {}
        Some(0) => ensure!(rejected == 0 && message.is_empty(), "refused {rejected} (`{message}`), expected none"),
        Some(expected) => {
            ensure!(rejected == expected, "refused {rejected} (`{message}`), expected {expected}");
            ensure!(!message.is_empty(), "refused {rejected} without saying why");
        }
    }
    Ok(())
}

/// `google.rpc.Status.message`.
fn status_message(format: Format, body: &[u8]) -> Result<String> {
    match format {
        Format::Json => {
            let status: Value = serde_json::from_slice(body)?;
            Ok(status.get("message").and_then(Value::as_str).unwrap_or_default().to_owned())
        }
        Format::Protobuf => text_field(body, 2),
    }
}

/// Count and message of `partial_success`; zero and nothing when it is unset.
fn partial_success(format: Format, body: &[u8], path: &str) -> Result<(i64, String)> {
    match format {
        Format::Json => {
            let answer: Value = serde_json::from_slice(body)?;
            let Some(partial) = answer.get("partialSuccess") else { return Ok((0, String::new())) };
            let key = match path {
                "/v1/traces" => "rejectedSpans",
                "/v1/metrics" => "rejectedDataPoints",
                _ => "rejectedLogRecords",
            };
            let count = match partial.get(key) {
                None => 0,
                Some(Value::String(text)) => text.parse()?,
                Some(number) => number.as_i64().context("the count is no number")?,
            };
            Ok((count, partial.get("errorMessage").and_then(Value::as_str).unwrap_or_default().to_owned()))
        }
        Format::Protobuf => {
            let answer = fields(body)?;
            let Some((_, Field::Bytes(partial))) = answer.iter().find(|(number, _)| *number == 1) else {
                return Ok((0, String::new()));
            };
            let count = fields(partial)?.into_iter().find_map(|field| match field {
                (1, Field::Varint(count)) => Some(count.cast_signed()),
                _ => None,
            });
            Ok((count.unwrap_or(0), text_field(partial, 2)?))
        }
    }
}

fn text_field(message: &[u8], wanted: u64) -> Result<String> {
    let text = fields(message)?.into_iter().find_map(|field| match field {
        (number, Field::Bytes(text)) if number == wanted => Some(text),
        _ => None,
    });
    Ok(String::from_utf8(text.unwrap_or_default().to_vec())?)
}

/// Asks the query API.
fn look(server: &Server, then: &Then) -> Result<()> {
    let request = Request {
        method: "GET".to_owned(),
        path: then.get.clone(),
        headers: Vec::new(),
        body: Vec::new(),
        hang_up: false,
    };
    let response = http::send(server.http, &request)?.with_context(|| format!("no answer to GET {}", then.get))?;
    let body = String::from_utf8_lossy(&response.body);
    ensure!(response.status == then.status, "GET {} gave {}: {body}", then.get, response.status);
    for text in &then.contains {
        ensure!(body.contains(text), "GET {} lacks `{text}`: {body}", then.get);
    }
    for text in &then.lacks {
        ensure!(!body.contains(text), "GET {} holds `{text}`", then.get);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, media_type: &str, body: &[u8]) -> Response {
        let headers = vec![("content-type".to_owned(), media_type.to_owned())];
        Response { status, headers, body: body.to_vec() }
    }

    fn expect(json: &str) -> Expect {
        serde_json::from_str(json).unwrap()
    }

    const JSON: &str = "application/json";
    const PROTOBUF: &str = "application/x-protobuf";

    fn check(response: &Response, expected: &str, complaint: &str) {
        let verdict = judge(response, &expect(expected), format_of(JSON), "/v1/traces");
        match verdict {
            Ok(()) => assert_eq!(complaint, "", "{expected} passed"),
            Err(error) => {
                let error = format!("{error:#}");
                assert!(!complaint.is_empty() && error.contains(complaint), "{expected}: {error}");
            }
        }
    }

    #[test]
    fn a_full_success_has_no_partial_success() {
        check(&response(200, JSON, b"{}"), r#"{"status":[200],"rejected":0}"#, "");
        let partial = br#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"bad ids"}}"#;
        check(&response(200, JSON, partial), r#"{"status":[200],"rejected":0}"#, "expected none");
        check(&response(200, JSON, partial), r#"{"status":[200],"rejected":2}"#, "");
        check(&response(200, JSON, partial), r#"{"status":[200],"rejected":1}"#, "refused 2");
        let mute = br#"{"partialSuccess":{"rejectedSpans":"2"}}"#;
        check(&response(200, JSON, mute), r#"{"status":[200],"rejected":2}"#, "without saying why");
    }

    #[test]
    fn an_error_is_a_status_in_the_type_of_the_request() {
        check(&response(400, JSON, br#"{"code":3,"message":"no"}"#), r#"{"status":[400]}"#, "");
        check(&response(400, JSON, br#"{"code":3}"#), r#"{"status":[400]}"#, "no message");
        check(&response(400, JSON, b"no"), r#"{"status":[400]}"#, "no Status");
        check(&response(400, PROTOBUF, b"\x12\x02no"), r#"{"status":[400]}"#, "answered in");
        check(&response(400, "text/plain", b"no"), r#"{"status":[400]}"#, "not of an OTLP type");
        check(&response(400, "text/plain", b"no"), r#"{"status":[400],"any_body":true}"#, "");
        check(&response(500, JSON, b"{}"), r#"{"status":[400],"any_body":true}"#, "status 500");
    }

    #[test]
    fn headers_may_be_due_or_forbidden() {
        let mut answer = response(503, JSON, br#"{"message":"no"}"#);
        check(&answer, r#"{"status":[503],"headers":{"retry-after":"*"}}"#, "retry-after");
        check(&answer, r#"{"status":[503],"headers":{"retry-after":null}}"#, "");
        answer.headers.push(("retry-after".to_owned(), "1".to_owned()));
        check(&answer, r#"{"status":[503],"headers":{"retry-after":"*"}}"#, "");
        check(&answer, r#"{"status":[503],"headers":{"retry-after":"2"}}"#, "retry-after");
    }

    #[test]
    fn partial_success_is_read_from_protobuf() {
        let body = b"\x0a\x06\x08\x02\x12\x02no";
        assert_eq!(partial_success(Format::Protobuf, body, "/v1/logs").unwrap(), (2, "no".to_owned()));
        assert_eq!(partial_success(Format::Protobuf, b"", "/v1/logs").unwrap(), (0, String::new()));
    }
}
