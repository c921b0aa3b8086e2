//! Can a dead letter be found, looked at, and stored after all, once?

use super::{Cluster, metric, values};
use crate::server::{Server, eventually, request, spanlight, try_request};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const OWN: (&str, &str) = ("x-scope-orgid", "dead-letters");

async fn ask(server: &Server, method: &str, path: &str) -> (u16, Vec<u8>) {
    let (status, body) = request(&server.http, method, path, &[OWN], Default::default()).await;
    (status, body.to_vec())
}

async fn json(server: &Server, method: &str, path: &str) -> (u16, Value) {
    let (status, body) = ask(server, method, path).await;
    (status, serde_json::from_slice(&body).unwrap())
}

/// The ids of the letters, by topic.
async fn letters(server: &Server) -> BTreeMap<String, String> {
    let (status, answer) = json(server, "GET", "/api/v1/logs?limit=100&contains=spanlight.dead_letter").await;
    assert_eq!(status, 200, "{answer}");
    let text = |record: &Value, key: &str| {
        let attributes = record["attributes"].as_array().unwrap();
        let found = attributes.iter().find(|attribute| attribute["key"] == key).unwrap();
        found["value"]["stringValue"].as_str().unwrap().to_owned()
    };
    let records = answer["logs"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let records = records.iter().filter(|record| record["event_name"] == "spanlight.dead_letter");
    let id = |record| (text(record, "messaging.destination.name"), text(record, "spanlight.dead_letter.id"));
    records.map(id).collect()
}

/// A span of Jaeger: two ids, a name, a time, a process.
fn jaeger_span() -> Vec<u8> {
    let start = [&[0x32, 0x06, 0x08][..], &[0x80, 0xe2, 0xcf, 0xaa, 0x06]].concat();
    let ids = [&[0x0a, 16][..], &[1; 16], &[0x12, 8], &[2; 8]].concat();
    [&ids[..], b"\x1a\x03get", &start, b"\x52\x06\x0a\x04shop"].concat()
}

#[tokio::test]
async fn a_dead_letter_is_downloaded_and_replayed_once() {
    let cluster = Cluster::new(&[("otlp_spans", 1), ("lines", 1)]);
    let dir = tempfile::tempdir().unwrap();
    let topics = r#"{ otlp_spans = { signal = "spans" }, lines = { signal = "logs", encoding = "text" } }"#;
    let settings = [("SPANLIGHT_KAFKA_TOPICS", topics)];
    let server = cluster.serve(dir.path(), &settings);
    let span = jaeger_span();
    cluster.send("otlp_spans", 0, &span, None);
    cluster.send("lines", 0, b"\xff", None);
    cluster.flush();
    let found = eventually("the letters", || async {
        let found = letters(&server).await;
        (found.len() == 2).then_some(found)
    })
    .await;
    assert_eq!(metric(&server, "spanlight_kafka_dead_letters_total").await, 2.0);
    let path = |topic: &str| format!("/api/v1/dead-letters/{}", found[topic]);
    let [spans, lines] = ["otlp_spans", "lines"].map(path);
    assert_eq!(ask(&server, "GET", &spans).await, (200, span));
    assert_eq!(ask(&server, "GET", &lines).await, (200, b"\xff".to_vec()));
    // What is wrong is said, and nothing is stored.
    for (path, status, what) in [
        (format!("{spans}/replay"), 400, "malformed protobuf"),
        (format!("{spans}/replay?encoding=text"), 400, "no encoding of spans"),
        (format!("{spans}/replay?encoding=jaeger_proto&tenant=..%2Fetc"), 400, "../etc"),
        (format!("{lines}/replay"), 400, "no UTF-8"),
        ("/api/v1/dead-letters/1-0-0-none/replay".to_owned(), 404, "no such dead letter"),
        ("/api/v1/dead-letters/none/replay".to_owned(), 400, "no id of a dead letter"),
        ("/api/v1/dead-letters/1-x-0-none/replay".to_owned(), 400, "no id of a dead letter"),
    ] {
        let (found, answer) = json(&server, "POST", &path).await;
        assert!(found == status && answer.to_string().contains(what), "{path}: {found} {answer}");
    }
    // Who asks for another tenant does not see them.
    assert_eq!(server.get(&spans).await.0, 404);
    // Of two at a time, one replays.
    let replay = format!("{spans}/replay?encoding=jaeger_proto");
    let both = tokio::join!(json(&server, "POST", &replay), json(&server, "POST", &replay));
    let mut statuses = [both.0.0, both.1.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400], "{both:?}");
    let (status, answer) = json(&server, "POST", &format!("{lines}/replay?encoding=raw&tenant=plain")).await;
    assert_eq!((status, answer["accepted"].as_u64()), (200, Some(1)), "{answer}");
    // What was replayed is durable, and so is that it was.
    server.kill();
    let server = cluster.serve(dir.path(), &settings);
    let (status, trace) = server.get(&format!("/api/v1/traces/{}", "01".repeat(16))).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&trace));
    assert_eq!(values(&server, "service.name", "", "plain").await, BTreeMap::from([("lines".to_owned(), 1)]));
    // The letters themselves are read again, and are the same.
    eventually("the letters", || async { (letters(&server).await == found).then_some(()) }).await;
    let (status, answer) = json(&server, "POST", &format!("{lines}/replay?encoding=raw")).await;
    assert!(status == 400 && answer.to_string().contains("replayed before"), "{answer}");
}

#[tokio::test]
async fn a_letter_is_as_old_as_its_keeping_however_old_its_message_is() {
    let cluster = Cluster::new(&[("lines", 1)]);
    let dir = tempfile::tempdir().unwrap();
    let topics = r#"{ lines = { signal = "logs", encoding = "text" } }"#;
    let server = cluster.serve(dir.path(), &[("SPANLIGHT_KAFKA_TOPICS", topics)]);
    let before = jiff::Timestamp::now().as_nanosecond();
    for millis in [1, 86_400_000, 4_102_444_800_000] {
        cluster.send_at(millis, "lines", 0, b"\xff", None);
    }
    cluster.flush();
    let letters = eventually("the letters", || async {
        let (_, answer) = json(&server, "GET", "/api/v1/dead-letters?start=now-1h").await;
        let letters = answer["letters"].as_array().unwrap().clone();
        (letters.len() == 3).then_some(letters)
    })
    .await;
    let number = |letter: &Value, key: &str| letter[key].as_str().unwrap().parse::<i128>().unwrap();
    let after = jiff::Timestamp::now().as_nanosecond();
    assert!(letters.iter().all(|letter| (before..=after).contains(&number(letter, "time_unix_nano"))), "{letters:?}");
    let mut sent: Vec<i128> = letters.iter().map(|letter| number(letter, "sent_unix_nano")).collect();
    sent.sort_unstable();
    assert_eq!(sent, [1_000_000, 86_400_000_000_000, 4_102_444_800_000_000_000]);
    // What is stored of it has the message's time.
    let old = letters.iter().find(|letter| number(letter, "sent_unix_nano") == sent[1]).unwrap();
    let replay = format!("/api/v1/dead-letters/{}/replay?encoding=raw&tenant=old", old["id"].as_str().unwrap());
    assert_eq!(json(&server, "POST", &replay).await.0, 200);
    let old = [("x-scope-orgid", "old")];
    let (_, answer) = request(&server.http, "GET", "/api/v1/logs?start=0", &old, Default::default()).await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["logs"][0]["time_unix_nano"], "86400000000000", "{answer}");
}

/// A producer may say no time, or one of before 1970, which counts as none.
#[tokio::test]
async fn a_letter_without_a_time_is_the_same_when_it_is_read_again() {
    let cluster = Cluster::new(&[("lines", 1)]);
    let dir = tempfile::tempdir().unwrap();
    let topics = r#"{ lines = { signal = "logs", encoding = "text" } }"#;
    let settings = [("SPANLIGHT_KAFKA_TOPICS", topics)];
    let server = cluster.serve(dir.path(), &settings);
    for millis in [-1, -5] {
        cluster.send_at(millis, "lines", 0, b"\xff", None);
    }
    cluster.flush();
    let ids = async |server: &Server| {
        eventually("the letters", || async {
            let (_, answer) = json(server, "GET", "/api/v1/dead-letters?start=now-1h").await;
            let letters = answer["letters"].as_array()?;
            let mut ids: Vec<String> = letters.iter().map(|letter| letter["id"].as_str().unwrap().to_owned()).collect();
            ids.sort_unstable();
            (ids.len() == 2).then_some(ids)
        })
        .await
    };
    let before = ids(&server).await;
    server.kill();
    let server = cluster.serve(dir.path(), &settings);
    assert_eq!(ids(&server).await, before);
    for id in before {
        let replay = format!("/api/v1/dead-letters/{id}/replay?encoding=raw");
        let (status, answer) = json(&server, "POST", &replay).await;
        assert_eq!((status, answer["accepted"].as_u64()), (200, Some(1)), "{answer}");
    }
}

/// Log records have nothing by which a second one could be known: those of a letter and the word of its replay come to blocks at once.
#[tokio::test]
async fn a_letter_is_stored_once_though_the_server_is_killed_while_it_is_replayed() {
    const LETTERS: u64 = 8;
    let cluster = Cluster::new(&[("lines", 1)]);
    let dir = tempfile::tempdir().unwrap();
    let topics = r#"{ lines = { signal = "logs", encoding = "text" } }"#;
    let settings = [("SPANLIGHT_KAFKA_TOPICS", topics)];
    let mut server = cluster.serve(dir.path(), &settings);
    for letter in 0..LETTERS {
        cluster.send("lines", 0, &[0xff, b'0' + u8::try_from(letter).unwrap()], None);
    }
    cluster.flush();
    let found = |server: Server| async move {
        let letters = eventually("the letters", || async {
            let (_, answer) = json(&server, "GET", "/api/v1/dead-letters").await;
            let letters = answer["letters"].as_array()?.clone();
            (letters.len() as u64 == LETTERS).then_some(letters)
        });
        (letters.await, server)
    };
    let (letters, running) = found(server).await;
    server = running;
    let ids: Vec<String> = letters.iter().map(|letter| letter["id"].as_str().unwrap().to_owned()).collect();
    let mut done_before = 0;
    for (number, id) in (0..).zip(ids) {
        let path = format!("/api/v1/dead-letters/{id}/replay?encoding=raw&tenant=plain");
        let (http, asked) = (server.http.clone(), path.clone());
        let replay = tokio::spawn(async move { try_request(&http, "POST", &asked, &[OWN], Default::default()).await });
        // From before it is looked at up to after its commit.
        tokio::time::sleep(Duration::from_millis(8 * number)).await;
        server.kill();
        drop(replay.await.unwrap());
        (_, server) = found(cluster.serve(dir.path(), &settings)).await;
        let (status, answer) = json(&server, "POST", &path).await;
        let is_done = answer.to_string().contains("replayed before");
        assert!(status == 200 || is_done, "{status} {answer}");
        done_before += u64::from(is_done);
    }
    let stored = values(&server, "service.name", "", "plain").await;
    assert_eq!(stored, BTreeMap::from([("lines".to_owned(), LETTERS)]), "{done_before} were stored before the kill");
}

/// Whoever could write to their tenant could say that a letter was replayed.
#[tokio::test]
async fn nobody_writes_to_the_tenant_of_the_letters() {
    let cluster = Cluster::new(&[(super::LOGS, 1)]);
    let dir = tempfile::tempdir().unwrap();
    let server = cluster.serve(dir.path(), &[]);
    cluster.send(super::LOGS, 0, &super::request(0..1), Some(("X-Scope-OrgID", "dead-letters")));
    cluster.flush();
    let letter = eventually("the letter", || async {
        let (_, answer) = json(&server, "GET", "/api/v1/dead-letters").await;
        answer["letters"].as_array()?.first().cloned()
    })
    .await;
    assert!(letter["reason"].as_str().unwrap().contains("is Spanlight's own"), "{letter}");
    let id = letter["id"].as_str().unwrap();
    let into_it = format!("/api/v1/dead-letters/{id}/replay?tenant=dead-letters");
    let (status, answer) = json(&server, "POST", &into_it).await;
    assert!(status == 400 && answer.to_string().contains("is Spanlight's own"), "{status} {answer}");
    let headers = [OWN, ("content-type", "application/x-protobuf")];
    let (status, answer) = request(&server.otlp_http, "POST", "/v1/logs", &headers, super::request(0..1).into()).await;
    assert_eq!(status, 400, "{}", String::from_utf8_lossy(&answer));
    assert_eq!(json(&server, "POST", &format!("/api/v1/dead-letters/{id}/replay?tenant=shop")).await.0, 200);
}

#[tokio::test]
async fn a_large_letter_is_downloaded_and_replayed() {
    let cluster = Cluster::new(&[("lines", 1)]);
    let dir = tempfile::tempdir().unwrap();
    let topics = r#"{ lines = { signal = "logs", encoding = "text" } }"#;
    let large = [("SPANLIGHT_KAFKA_TOPICS", topics), ("SPANLIGHT_OTLP_MAX_REQUEST_BYTES", "100000000")];
    let server = cluster.serve(dir.path(), &large);
    let message = vec![0xff; 48 << 20];
    cluster.send("lines", 0, &message, None);
    cluster.flush();
    let id = eventually("the letter", || async {
        let (_, answer) = json(&server, "GET", "/api/v1/dead-letters").await;
        answer["letters"].as_array()?.first().map(|letter| letter["id"].as_str().unwrap().to_owned())
    })
    .await;
    let (status, bytes) = ask(&server, "GET", &format!("/api/v1/dead-letters/{id}")).await;
    assert!(status == 200 && bytes == message, "{status}: {} bytes", bytes.len());
    let (status, answer) = json(&server, "POST", &format!("/api/v1/dead-letters/{id}/replay?encoding=raw")).await;
    assert_eq!((status, answer["accepted"].as_u64()), (200, Some(1)), "{answer}");
}

/// What `spanlight dead-letters` prints, what it complains of, and whether it succeeded.
fn terminal(server: &Server, arguments: &[&str]) -> (String, String, bool) {
    let server = format!("http://{}", server.http);
    let output = spanlight().args(["dead-letters", "--server", &server]).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.success())
}

#[tokio::test]
async fn dead_letters_are_listed_downloaded_and_replayed_at_the_terminal() {
    let cluster = Cluster::new(&[("otlp_spans", 1), ("lines", 1)]);
    let dir = tempfile::tempdir().unwrap();
    let topics = r#"{ otlp_spans = { signal = "spans" }, lines = { signal = "logs", encoding = "text" } }"#;
    let server = cluster.serve(dir.path(), &[("SPANLIGHT_KAFKA_TOPICS", topics)]);
    cluster.send("otlp_spans", 0, &jaeger_span(), None);
    cluster.send("lines", 0, b"\xff\x1b[2J", None);
    cluster.flush();
    let found = eventually("the letters", || async {
        let found = letters(&server).await;
        (found.len() == 2).then_some(found)
    })
    .await;
    let (table, _, listed) = terminal(&server, &["list"]);
    assert!(listed && table.lines().count() == 3 && !table.contains('\x1b'), "{table}");
    let line = table.lines().find(|line| line.contains(&found["lines"])).unwrap();
    assert!(line.contains("not stored") && line.contains(" 5 ") && line.contains("no UTF-8"), "{line}");
    let (json, _, _) = terminal(&server, &["list", "--topic", "lines", "--json"]);
    let answer: Value = serde_json::from_str(&json).unwrap();
    let letter = &answer["letters"][0];
    assert_eq!((answer["letters"].as_array().unwrap().len(), &letter["id"]), (1, &found["lines"].as_str().into()));
    assert_eq!((&letter["topic"], &letter["partition"], &letter["offset"]), (&"lines".into(), &0.into(), &0.into()));

    let file = dir.path().join("message");
    let into = ["download", &found["otlp_spans"], "--output", file.to_str().unwrap()];
    assert!(terminal(&server, &into).2);
    assert_eq!(std::fs::read(&file).unwrap(), jaeger_span());
    let (_, complaint, done) = terminal(&server, &into);
    assert!(!done && complaint.contains("exists"), "{complaint}");

    // One that cannot be read stops no other, and is told.
    let replay = ["replay", &found["lines"], &found["otlp_spans"], "--encoding", "jaeger_proto"];
    let (stored, complaint, done) = terminal(&server, &replay);
    assert!(!done && complaint.contains("no encoding of logs"), "{complaint}");
    assert_eq!(stored, format!("{}: 1 records stored\n", found["otlp_spans"]));
    let (ids, _, _) = terminal(&server, &["list", "--ids"]);
    assert_eq!(ids, format!("{}\n", found["lines"]));
    let (table, _, _) = terminal(&server, &["list", "--topic", "otlp_spans"]);
    assert!(table.lines().count() == 2 && table.contains("replayed"), "{table}");

    // Who has seen enough hears no complaint.
    let address = format!("http://{}", server.http);
    let mut reader = spanlight();
    reader.args(["dead-letters", "--server", &address, "list"]).stdout(std::process::Stdio::piped());
    let mut reader = reader.stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(reader.stdout.take());
    let output = reader.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));

    let (_, complaint, done) = terminal(&server, &["list", "--limit", "0"]);
    assert!(!done && complaint.contains("limit"), "{complaint}");
    let nobody = spanlight().args(["dead-letters", "--server", "http://127.0.0.1:9", "list"]).output().unwrap();
    assert!(!nobody.status.success() && String::from_utf8_lossy(&nobody.stderr).contains("no server answers"));
}
