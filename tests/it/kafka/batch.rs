//! Is a batch that the client cannot read passed over, with word of it, and nothing but that batch?
//!
//! What no client would send is written to the cluster by Kafka's protocol itself.

use super::{Cluster, LOGS, all_once, metric, request, values};
use crate::server::{Server, eventually};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

/// How a batch's records are packed, by the number that Kafka gives it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Codec {
    None = 0,
    Gzip = 1,
    Zstd = 4,
    /// None that there is.
    Seventh = 7,
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}

/// A record, whose number in its batch comes with it.
fn record(number: usize, value: &[u8], header: Option<(&[u8], &[u8])>) -> Vec<u8> {
    let mut fields = vec![0];
    varint(&mut fields, 0);
    varint(&mut fields, number.try_into().unwrap());
    varint(&mut fields, -1);
    varint(&mut fields, value.len().try_into().unwrap());
    fields.extend(value);
    varint(&mut fields, header.is_some().into());
    for text in header.iter().flat_map(|(name, value)| [name, value]) {
        varint(&mut fields, text.len().try_into().unwrap());
        fields.extend(*text);
    }
    let mut record = Vec::new();
    varint(&mut record, fields.len().try_into().unwrap());
    record.extend(fields);
    record
}

fn records(values: &[&[u8]]) -> Vec<u8> {
    values.iter().enumerate().flat_map(|(number, value)| record(number, value, None)).collect()
}

/// A batch of so many messages, packed already.
pub(crate) fn batch(count: i32, codec: Codec, packed: &[u8]) -> Vec<u8> {
    let mut summed = Vec::new();
    summed.extend((codec as i16).to_be_bytes());
    summed.extend((count - 1).to_be_bytes());
    summed.extend(jiff::Timestamp::now().as_millisecond().to_be_bytes());
    summed.extend(jiff::Timestamp::now().as_millisecond().to_be_bytes());
    summed.extend((-1_i64).to_be_bytes());
    summed.extend((-1_i16).to_be_bytes());
    summed.extend((-1_i32).to_be_bytes());
    summed.extend(count.to_be_bytes());
    summed.extend(packed);
    let mut batch = 0_i64.to_be_bytes().to_vec();
    batch.extend(i32::try_from(summed.len() + 9).unwrap().to_be_bytes());
    batch.extend((-1_i32).to_be_bytes());
    batch.push(2);
    batch.extend(crc32c::crc32c(&summed).to_be_bytes());
    batch.extend(summed);
    batch
}

/// One whose check sum is wrong.
fn damaged(count: i32, packed: &[u8]) -> Vec<u8> {
    let mut batch = batch(count, Codec::None, packed);
    batch[17] ^= 1;
    batch
}

/// So many bytes, all zeros, as zstd writes them.
fn zeros(bytes: u64) -> Vec<u8> {
    let mut packed = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    packed.set_pledged_src_size(Some(bytes)).unwrap();
    packed.include_contentsize(true).unwrap();
    std::io::copy(&mut std::io::repeat(0).take(bytes), &mut packed).unwrap();
    packed.finish().unwrap()
}

/// Writes a batch to a partition.
pub(crate) fn produce(broker: &str, topic: &str, partition: i32, batch: &[u8]) {
    let mut request = Vec::new();
    // Produce, version 3, from nobody, in no transaction; all replicas, ten seconds.
    for number in [0_i16, 3] {
        request.extend(number.to_be_bytes());
    }
    request.extend(7_i32.to_be_bytes());
    for number in [-1_i16, -1, -1] {
        request.extend(number.to_be_bytes());
    }
    for number in [10_000_i32, 1] {
        request.extend(number.to_be_bytes());
    }
    request.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
    request.extend(topic.as_bytes());
    for number in [1, partition, i32::try_from(batch.len()).unwrap()] {
        request.extend(number.to_be_bytes());
    }
    request.extend(batch);
    let mut broker = TcpStream::connect(broker).unwrap();
    broker.write_all(&i32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
    broker.write_all(&request).unwrap();
    let mut size = [0; 4];
    broker.read_exact(&mut size).unwrap();
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(size)).unwrap()];
    broker.read_exact(&mut answer).unwrap();
    // Behind the request's number, the topics, the name, the partitions and the partition's number.
    let error = 4 + 4 + 2 + topic.len() + 4 + 4;
    assert_eq!(answer[error..error + 2], [0, 0], "{answer:?}");
}

/// The letters that stand for batches: topic, partition, first offset, and the offset behind the last.
pub(super) async fn ranges(server: &Server) -> Vec<(String, u64, u64, u64)> {
    let mut ranges: Vec<_> = letters(server).await.iter().map(range).collect();
    ranges.sort_unstable();
    ranges
}

fn range(letter: &Value) -> (String, u64, u64, u64) {
    let number = |key: &str| letter[key].as_u64().unwrap_or_else(|| panic!("{key}: {letter}"));
    (letter["topic"].as_str().unwrap().into(), number("partition"), number("offset"), number("end"))
}

pub(super) async fn letters(server: &Server) -> Vec<Value> {
    let own = [("x-scope-orgid", "dead-letters")];
    let (status, body) =
        crate::server::request(&server.http, "GET", "/api/v1/dead-letters", &own, Default::default()).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let answer: Value = serde_json::from_slice(&body).unwrap();
    answer["letters"].as_array().unwrap().clone()
}

#[tokio::test]
async fn batches_that_cannot_be_read_are_passed_over_with_a_letter_each_and_nothing_else_is() {
    let cluster = Cluster::new(&[(LOGS, 2)]);
    let dir = tempfile::tempdir().unwrap();
    let broker = cluster.mock.bootstrap_servers();
    let good = |partition, numbers| {
        cluster.send(LOGS, partition, &request(numbers), None);
        cluster.flush();
    };
    let hidden: Vec<Vec<u8>> = (100..150).map(|number| request(number..number + 1)).collect();
    let hidden: Vec<&[u8]> = hidden.iter().map(Vec::as_slice).collect();
    good(0, 0..1);
    produce(&broker, LOGS, 0, &damaged(50, &records(&hidden)));
    good(0, 1..2);
    // Two in a row are two.
    produce(&broker, LOGS, 0, &batch(1_000, Codec::Zstd, &zeros(600 << 20)));
    produce(&broker, LOGS, 0, &batch(1, Codec::Seventh, b"what a later Kafka knows"));
    good(0, 2..3);
    // One that is the first, and one that is the last.
    produce(&broker, LOGS, 1, &batch(3, Codec::Gzip, b"no gzip"));
    good(1, 3..4);
    produce(&broker, LOGS, 1, &batch(2, Codec::Zstd, b"no zstd"));

    let stop = cluster.serve(dir.path(), &[("SPANLIGHT_KAFKA_ON_LOSS", "stop")]);
    let stuck = eventually("word of both partitions", || async {
        let status = stop.json("/api/v1/status").await;
        let partitions = status["kafka"]["partitions"].as_array()?.clone();
        let stuck: Vec<String> = partitions.iter().filter_map(|one| Some(one["stuck"].as_str()?.to_owned())).collect();
        (stuck.len() == 2).then_some(stuck)
    })
    .await;
    assert!(stuck[0].contains("messages 1 to 50 cannot be read") && stuck[0].contains("CRC32C"), "{stuck:?}");
    assert!(stuck[1].contains("messages 0 to 2 cannot be read") && stuck[1].contains("codec 0x1"), "{stuck:?}");
    assert_eq!(metric(&stop, "spanlight_kafka_stuck").await, 2.0);
    assert_eq!(metric(&stop, "spanlight_kafka_dead_letters_total").await, 0.0);
    stop.terminate();

    let server = cluster.serve(dir.path(), &[]);
    all_once(&server, 4).await;
    eventually("the last letter", || async {
        (metric(&server, "spanlight_kafka_unreadable_offsets_total").await >= 1_056.0).then_some(())
    })
    .await;
    let expected = [(0, 1, 51), (0, 52, 1_052), (0, 1_052, 1_053), (1, 0, 3), (1, 4, 6)];
    let expected = expected.map(|(partition, from, to)| (LOGS.to_owned(), partition, from, to));
    assert_eq!(ranges(&server).await, expected);
    for (what, value) in
        [("unreadable_offsets_total", 1_056.0), ("dead_letters_total", 5.0), ("stuck", 0.0), ("lag", 0.0)]
    {
        assert_eq!(metric(&server, &format!("spanlight_kafka_{what}")).await, value, "{what}");
    }
    let bomb = letters(&server).await.into_iter().find(|letter| letter["offset"] == 52).unwrap();
    let reason = bomb["reason"].as_str().unwrap();
    assert!(reason.contains("messages 52 to 1051") && reason.contains("receive.message.max.bytes"), "{reason}");
    // They are committed with the offsets that they stand for.
    server.kill();
    good(0, 4..5);
    let server = cluster.serve(dir.path(), &[]);
    all_once(&server, 5).await;
    eventually("the letters", || async { (ranges(&server).await == expected).then_some(()) }).await;

    // A batch that can be read after all is, once.
    let ids: BTreeMap<u64, String> = letters(&server)
        .await
        .iter()
        .map(|letter| (letter["offset"].as_u64().unwrap(), letter["id"].as_str().unwrap().into()))
        .collect();
    let (status, answer) = replay(&server, &ids[&1], "").await;
    assert!(
        status == 400 && answer.to_string().contains("cannot be read: MessageSet at offset 1 "),
        "{status} {answer}"
    );
    let (status, answer) = replay(&server, &ids[&52], "").await;
    assert!(status == 400 && answer.to_string().contains("receive.message.max.bytes"), "{status} {answer}");
    let (status, answer) = replay(&server, &ids[&1], "?encoding=raw").await;
    assert!(status == 400 && answer.to_string().contains("as that is read now"), "{status} {answer}");
    server.terminate();
    let lenient = r#"{ "check.crcs" = "false", "session.timeout.ms" = "4000", "heartbeat.interval.ms" = "500" }"#;
    let server = cluster.serve(dir.path(), &[("SPANLIGHT_KAFKA_LIBRDKAFKA", lenient)]);
    let (status, answer) = replay(&server, &ids[&1], "").await;
    assert_eq!((status, answer["accepted"].as_u64()), (200, Some(50)), "{answer}");
    let (status, answer) = replay(&server, &ids[&1], "").await;
    assert!(status == 400 && answer.to_string().contains("replayed before"), "{status} {answer}");
    server.kill();
    let server = cluster.serve(dir.path(), &[]);
    all_once(&server, 55).await;
}

pub(super) async fn replay(server: &Server, id: &str, how: &str) -> (u16, Value) {
    let path = format!("/api/v1/dead-letters/{id}/replay{how}");
    let own = [("x-scope-orgid", "dead-letters")];
    let (status, body) = crate::server::request(&server.http, "POST", &path, &own, Default::default()).await;
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn a_limit_that_is_too_small_is_told_and_passes_nothing_over() {
    let cluster = Cluster::new(&[("lines", 1)]);
    let dir = tempfile::tempdir().unwrap();
    let line = "a".repeat(400_000);
    let packed = zstd::bulk::compress(&records(&[line.as_bytes(); 3]), 1).unwrap();
    produce(&cluster.mock.bootstrap_servers(), "lines", 0, &batch(3, Codec::Zstd, &packed));
    let topics = r#"{ lines = { signal = "logs", encoding = "text", tenant = "plain" } }"#;
    let little =
        r#"{ "receive.message.max.bytes" = "300000", "session.timeout.ms" = "4000", "heartbeat.interval.ms" = "500" }"#;
    let settings = [("SPANLIGHT_KAFKA_TOPICS", topics), ("SPANLIGHT_KAFKA_LIBRDKAFKA", little)];
    let server = cluster.serve(dir.path(), &settings);
    let stuck = eventually("word of it", || async {
        let status = server.json("/api/v1/status").await;
        status["kafka"]["partitions"][0]["stuck"].as_str().map(str::to_owned)
    })
    .await;
    assert!(stuck.contains("300000 bytes of `receive.message.max.bytes`"), "{stuck}");
    assert_eq!(metric(&server, "spanlight_kafka_dead_letters_total").await, 0.0);
    server.terminate();
    let server = cluster.serve(dir.path(), &settings[..1]);
    let stored = eventually("the lines", || async {
        let found = values(&server, "service.name", "", "plain").await;
        (!found.is_empty()).then_some(found)
    });
    assert_eq!(stored.await, BTreeMap::from([("lines".to_owned(), 3)]));
    assert!(letters(&server).await.is_empty());
}

/// Brokers do not look at them.
#[tokio::test]
async fn names_of_headers_that_are_no_text_stop_nothing() {
    let cluster = Cluster::new(&[(LOGS, 1)]);
    let dir = tempfile::tempdir().unwrap();
    let broker = cluster.mock.bootstrap_servers();
    let server = cluster.serve(dir.path(), &[]);
    // Which topic is not there is told by its name.
    eventually("word of a topic", || async {
        let status = server.json("/api/v1/status").await;
        status["kafka"]["trouble"].as_str().filter(|what| what.contains("topic not available: otlp_")).map(drop)
    })
    .await;
    let packed = record(0, &request(0..1), Some((b"\xff\xfe", b"value")));
    produce(&broker, LOGS, 0, &batch(1, Codec::None, &packed));
    let packed = record(0, &request(1..2), Some((b"X-Scope-OrgID", b"shop")));
    produce(&broker, LOGS, 0, &batch(1, Codec::None, &packed));
    all_once(&server, 1).await;
    eventually("the other", || async { (values(&server, "number", "", "shop").await.len() == 1).then_some(()) }).await;
}
