//! Does a tenant's limit of series hold at every door, while all else goes on, and is the sender told by what it was reached?

use super::raw::{post, post_json};
use super::*;
use arrow_array::cast::AsArray as _;
use collector::decode::{DecodeLimits, wal_decoder};
use collector::{Encoding, remote};
use storage::model::TenantId;

const LIMIT: usize = 5;

/// Names of the metrics that arrived. What was left out of a request must stay out of it when its record is replayed.
fn names(door: &Door) -> Vec<String> {
    let replay = wal_decoder(DecodeLimits::default());
    let written = door.written.lock().unwrap();
    let mut names = Vec::new();
    for write in written.iter() {
        let again = replay(write.signal, write.received_at, &write.payload).unwrap();
        assert_eq!(again.columns(), write.batch.columns());
        let column = write.batch.columns().column_by_name("name").unwrap().as_any_dictionary();
        let values = column.values().as_string::<i32>();
        names.extend(column.normalized_keys().into_iter().map(|key| values.value(key).to_owned()));
    }
    names
}

fn count(door: &Door, name: &str) -> usize {
    names(door).iter().filter(|own| *own == name).count()
}

/// A label of field 1 of a series, and a sample beside, as remote write 1 has them.
fn remote_write(name: &str, users: std::ops::Range<u32>) -> Vec<u8> {
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }
    let label = |name: &str, value: &str| field(1, &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat());
    let sample = field(2, &[&[9][..], &1f64.to_le_bytes(), &[16, 1]].concat());
    let series = users.map(|user| {
        let labels = [label("__name__", name), label("path", "/"), label("user", &user.to_string())].concat();
        field(1, &[labels, sample.clone()].concat())
    });
    let message: Vec<u8> = series.flatten().collect();
    snap::raw::Encoder::new().compress_vec(&message).unwrap()
}

async fn push(door: &Door, name: &str, users: std::ops::Range<u32>) -> super::raw::Answer {
    let headers = [("Content-Type", "application/x-protobuf"), ("Content-Encoding", "snappy")];
    post(door.address, "/api/v1/write", &headers, &remote_write(name, users)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explosion_of_labels_stops_at_the_limit_and_others_live_on() {
    let door = Door::open(CollectorConfig { tenant_active_series: LIMIT, ..CollectorConfig::default() }).await;
    assert_eq!(push(&door, "good", 0..3).await.status, 204);
    let answer = push(&door, "hits", 0..12).await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!((answer.status, answer.header("x-prometheus-remote-write-samples-written")), (400, Some("2")));
    for part in [
        "10 left out, never to be sent again",
        "of metric \"hits\", where label \"user\" had about 10 values",
        "5 active series",
        "`otlp.tenant_active_series` allows 5",
        "the first is hits{path=\"/\",user=\"2\"}",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Known series go on, in the same request as new ones too.
    assert_eq!(push(&door, "good", 0..3).await.status, 204);
    assert_eq!(push(&door, "hits", 1..3).await.header("x-prometheus-remote-write-samples-written"), Some("1"));
    assert_eq!((count(&door, "good"), count(&door, "hits")), (6, 3));

    // A text, OTLP and a scrape are told alike.
    let answer = post(door.address, "/api/v1/import", &[], b"good{path=\"/\",user=\"0\"} 2\nnew{a=\"b\"} 1\n").await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(answer.status == 400 && text.contains("stored are 1 samples") && text.contains("new{a=\"b\"}"), "{text}");
    let points: Vec<String> = (0..3)
        .map(|n| format!("{{\"asDouble\":1,\"timeUnixNano\":\"1\",\"attributes\":[{{\"key\":\"k\",\"value\":{{\"intValue\":{n}}}}}]}}"))
        .collect();
    let body = format!(
        "{{\"resourceMetrics\":[{{\"scopeMetrics\":[{{\"metrics\":[{{\"name\":\"otlp\",\"gauge\":{{\"dataPoints\":[{}]}}}}]}}]}}]}}",
        points.join(",")
    );
    let answer = post_json(door.address, "/v1/metrics", &body).await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(answer.status == 200 && text.contains("\"rejectedDataPoints\":\"3\""), "{text}");
    assert!(text.contains("otlp{k=Int(0)}") || text.contains("otlp{k="), "{text}");
    // Another tenant has series of its own, and the same names.
    let other = TenantId::new("other").unwrap();
    let encoding = Encoding::Text(None);
    let accepted =
        door.collector.accept(&other, Signal::Metrics, encoding, "hits{user=\"9\"} 1\n".into()).await.unwrap();
    assert_eq!(
        (accepted.rejected, accepted.written),
        (0, remote::Written { samples: 1, ..remote::Written::default() })
    );
    let mut text = String::new();
    door.collector.render_metrics(&mut text);
    assert!(text.contains("spanlight_collector_active_series 6\n"), "{text}");
    assert!(text.contains("spanlight_collector_series_left_out_total 15\n"), "{text}");
    assert_eq!(count(&door, "new") + count(&door, "otlp"), 0);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn symbols_and_references_cost_no_more_than_was_granted() {
    let door = Door::usual().await;
    let two = [
        ("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
        ("Content-Encoding", "snappy"),
    ];
    let packed = |message: &[u8]| snap::raw::Encoder::new().compress_vec(message).unwrap();
    // Thirty million symbols of two bytes each, which become a table of a gigabyte.
    let symbols = packed(&[0x22u8, 0].repeat(30 << 20));
    let answer = post(door.address, "/api/v1/write", &two, &symbols).await;
    assert_eq!(answer.status, 413, "{}", String::from_utf8_lossy(&answer.body));
    // Series without samples whose few bytes refer to megabytes: a text of 64 KiB, a thousand times, in each of ten thousand.
    let text = vec![b'a'; 64 << 10];
    let mut message = vec![0x22, 0, 0x22, 0x80, 0x80, 0x04];
    message.extend_from_slice(&text);
    let references = [0x0a, 0x80, 0x10].iter().copied().chain(std::iter::repeat_n(1, 2_048));
    let series: Vec<u8> = [0x2a, 0x83, 0x10].iter().copied().chain(references).collect();
    (0..10_000).for_each(|_| message.extend_from_slice(&series));
    let started = tokio::time::Instant::now();
    let answer = post(door.address, "/api/v1/write", &two, &packed(&message)).await;
    assert_eq!(answer.status, 413, "{}", String::from_utf8_lossy(&answer.body));
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "it is refused before the texts are looked at");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_of_which_something_cannot_be_kept_is_refused_whole() {
    let door = Door::usual().await;
    let text = format!("a 1\nb{{{}=\"x\"}} 1\n", "l".repeat(70_000));
    let answer = post(door.address, "/api/v1/import", &[], text.as_bytes()).await;
    let told = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(answer.status == 400 && told.contains("longer than 65536 bytes"), "{told}");
    assert_eq!(door.rows(Signal::Metrics), 0);
    door.close().await;
}
