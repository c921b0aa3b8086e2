//! What of PromQL and remote write would end or fill a lesser server? Each is refused with its reason, soon and within bounded memory, or
//! answered; what was stored before is there afterwards.

use super::message::{Request1, Series1, labels, sample};
use super::{encoded, push, value, written};
use crate::server::{Server, exchange, request};
use hyper::body::Bytes;
use prost::Message as _;
use std::time::{Duration, Instant, SystemTime};

/// A minute is more than the time limit of a query.
const SOON: Duration = Duration::from_secs(60);
const MOST_MEMORY: u64 = 1 << 30;

fn now() -> i64 {
    i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap()
}

/// Queries, and what is said of them: a status and a part of the text.
fn queries() -> Vec<(String, u16, &'static str)> {
    let deep = 20_000;
    let same = |text: &str| format!("{{path=~\"{text}\"}}");
    vec![
        (format!("{}1", "1+".repeat(100_000)), 200, "100001"),
        (format!("{}1", "1^".repeat(deep)), 400, "deep"),
        (format!("{}up", "up or ".repeat(2_000)), 200, "aaab"),
        (format!("{}up", "up or ".repeat(deep * 10)), 400, "longer than"),
        ("(".repeat(deep), 400, "deep"),
        (format!("{}1{}", "(".repeat(deep), ")".repeat(deep)), 400, "deep"),
        (format!("{}1", "-".repeat(deep)), 400, "deep"),
        (format!("{}up{}", "sum(".repeat(deep), ")".repeat(deep)), 400, "deep"),
        (format!("{}[1m:]", "(up)[1m:1s]".repeat(64)), 400, "parse error"),
        ("rate(up[1000000y])".to_owned(), 400, "duration"),
        ("count_over_time(vector(1)[100y:1ms])".to_owned(), 422, "too many samples"),
        ("up offset 300y".to_owned(), 400, "duration out of range"),
        ("up @ 1e300".to_owned(), 400, "parse error"),
        ("label_replace(up, \"a\", \"$1\", \"b\", \"(\")".to_owned(), 422, "regular expression"),
        ("label_replace(up, \"a\", \"$1\", \"b\", \"(a+)+$\")".to_owned(), 200, ""),
        (same("(a+)+$"), 200, ""),
        (same("(?:a{1000}){1000}"), 400, "parse error"),
        (same(".{0,999999}"), 400, "parse error"),
        (same("((((((((((a{10}){10}){10}){10}){10}){10}){10}){10}){10}){10})"), 400, "parse error"),
        (same(&"a|".repeat(500_000)), 400, "parse error"),
        ("{__name__=~\".*\"}".to_owned(), 400, "empty"),
        ("\u{0}".to_owned(), 400, "parse error"),
        ("\"\\".to_owned(), 400, "parse error"),
        ("up{".to_owned(), 400, "parse error"),
        ("topk(1e308, up)".to_owned(), 422, "Scalar value"),
        ("quantile(NaN, up)".to_owned(), 200, ""),
        (String::new(), 400, "parse error"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_queries_are_refused_or_answered_soon() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let now = now();
    let pairs = labels(&[("__name__", "up"), ("path", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab")]);
    let timeseries = vec![Series1 { labels: pairs, samples: vec![sample(1.0, now * 1000)] }];
    let (head, text) = push(&server.http, 1, &Request1 { timeseries, metadata: vec![] }.encode_to_vec()).await;
    assert_eq!(head.status, 204, "{text}");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let mut odd = Vec::new();
    for (query, status, says) in queries() {
        let began = Instant::now();
        let body = format!("time={now}&query={}", encoded(&query));
        let (found, text) = request(&server.http, "POST", "/prometheus/api/v1/query", &form, body.into()).await;
        let text = String::from_utf8_lossy(&text).into_owned();
        if found != status || !text.contains(says) || began.elapsed() > SOON {
            let start: String = query.chars().take(60).collect();
            let text: String = text.chars().take(300).collect();
            odd.push(format!("{start}: {found} after {:?}, not {status} with {says:?}: {text}", began.elapsed()));
        }
    }
    // A year at a second, of everything; each of these is more than is answered.
    let year = now - 365 * 24 * 3600;
    for (start, step, status) in
        [(year, "1", 400), (year, "0.001", 400), (year, "0", 400), (now + 1, "1", 400), (year, "4000", 200)]
    {
        let body = format!("query={}&start={start}&end={now}&step={step}", encoded("{__name__=~\".+\"}"));
        let (found, text) = request(&server.http, "POST", "/prometheus/api/v1/query_range", &form, body.into()).await;
        if found != status {
            odd.push(format!("a range from {start} by {step}: {found}: {}", String::from_utf8_lossy(&text)));
        }
    }
    assert!(odd.is_empty(), "{}", odd.join("\n"));
    assert!(server.peak_memory() < MOST_MEMORY, "{} bytes", server.peak_memory());
    assert_eq!(value(&server, "up", &now.to_string()).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_writes_are_refused_or_stored_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let now = now();
    let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "snappy")];
    // Lengths that lie: 4 GiB of nothing, less than there is, one that does not end.
    for body in [&[0xff, 0xff, 0xff, 0xff, 0x0f, 0x00][..], &[0x01, 0x08, b'a', b'b', b'c'], &[0xff; 20]] {
        let body = Bytes::copy_from_slice(body);
        let (head, _) = exchange(&server.http, "POST", "/prometheus/api/v1/write", &headers, body).await;
        assert!([400, 413].contains(&head.status.as_u16()), "{}", head.status);
        assert_eq!(written(&head), ["0", "0", "0"]);
    }
    let one = |pairs: &[(&str, &str)], value: f64, time: i64| {
        let timeseries = vec![Series1 { labels: labels(pairs), samples: vec![sample(value, time)] }];
        Request1 { timeseries, metadata: vec![] }.encode_to_vec()
    };
    let names: Vec<String> = (0..100_000).map(|n| format!("label_{n}")).collect();
    let mut many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    many.push(("__name__", "wide"));
    let (first, last) = (i64::MIN / 1_000_000, i64::MAX / 1_000_000);
    let nan = f64::from_bits(0x7ff8_dead_beef_cafe);
    for (message, status, says) in [
        (one(&many, 1.0, now * 1000), 400, "labels"),
        (one(&[("__name__", "a"), ("x", "1"), ("x", "2")], 1.0, now * 1000), 400, "twice"),
        (one(&[("__name__", "")], 1.0, now * 1000), 400, "__name__"),
        (one(&[("__name__", "a"), ("", "1")], 1.0, now * 1000), 400, "empty name"),
        (one(&[("z", "1"), ("__name__", "unsorted"), ("a", "2")], 7.0, now * 1000), 204, ""),
        (one(&[("__name__", "not_a_number")], nan, now * 1000), 204, ""),
        (one(&[("__name__", "first")], 1.0, first), 204, ""),
        (one(&[("__name__", "last")], 2.0, last - 1), 204, ""),
        (one(&[("__name__", "before")], 1.0, first - 1), 400, "timestamp"),
        (one(&[("__name__", "behind")], 1.0, i64::MAX), 400, "timestamp"),
    ] {
        let (head, text) = push(&server.http, 1, &message).await;
        assert_eq!((head.status.as_u16(), text.contains(says)), (status, true), "{says}: {text}");
    }
    let at = now.to_string();
    assert_eq!(value(&server, "unsorted{a=\"2\",z=\"1\"}", &at).await, "7");
    assert_eq!(value(&server, "not_a_number", &at).await, "NaN");
    assert_eq!(value(&server, "last", "9223372036.853").await, "2");
    assert!(server.peak_memory() < MOST_MEMORY, "{} bytes", server.peak_memory());
}
