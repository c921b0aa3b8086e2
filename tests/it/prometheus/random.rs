//! Are queries of chance worth the same as in Debian's Prometheus, where their meaning has not changed since?
//!
//! The queries and series are those that `query` holds against an evaluator of its own. Known to differ: names are dropped at once by 2.42
//! and at the end by us, as by Prometheus 3, so that it refuses some queries that we answer, and comparisons bring names back; that several
//! series match one is found by 3 before a comparison leaves some out; and what [`CHANGED`] says.

#[path = "../../../query/src/promql/naive/random.rs"]
mod chance;

use super::debian::{Prometheus, folder};
use super::message::{Request1, Series1, labels, sample};
use super::{encoded, push};
use crate::server::{Server, request};
use chance::{APART, Dice, OFF, Query, SAMPLES, STEP, STEPS, placed, series};
use hyper::body::Bytes;
use prost::Message as _;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::SystemTime;

const QUERIES: usize = 400;
/// Parts of queries whose meaning has changed since: deviations of a group in which there is NaN alone, and how far back to 0 a counter is
/// guessed, which matters for what is none.
const CHANGED: [&str; 6] = ["stddev by", "stddev without", "stdvar by", "stdvar without", "rate((", "increase(("];
/// By how much numbers may differ, for each unit of their size and at all.
const TOLERANCE: f64 = 1e-6;

type Points = BTreeMap<String, BTreeMap<i64, f64>>;

/// The points of an answer, or why there is none.
async fn asked(address: &str, prefix: &str, query: &str, start: i64) -> Result<Points, String> {
    let end = start + (STEPS - 1) * STEP;
    let path = format!("{prefix}/api/v1/query_range?query={}&start={start}&end={end}&step={STEP}", encoded(query));
    let (_, body) = request(address, "GET", &path, &[], Bytes::new()).await;
    let answer: Value = serde_json::from_slice(&body).unwrap();
    if answer["status"] != "success" {
        return Err(answer["error"].to_string());
    }
    let points = |series: &Value| {
        let pairs = series["values"].as_array().unwrap().iter();
        pairs.map(|pair| (pair[0].as_f64().unwrap() as i64, pair[1].as_str().unwrap().parse().unwrap())).collect()
    };
    let series = answer["data"]["result"].as_array().unwrap().iter();
    Ok(series.map(|series| (series["metric"].to_string(), points(series))).collect())
}

/// The points without their names, if these are not what tells them apart.
fn nameless(points: &Points) -> Points {
    let mut all = Points::new();
    for (labels, own) in points {
        let mut labels: Value = serde_json::from_str(labels).unwrap();
        labels.as_object_mut().unwrap().remove("__name__");
        all.entry(labels.to_string()).or_default().extend(own);
    }
    all
}

fn differ(ours: &Points, theirs: &Points) -> Option<String> {
    let close = |a: f64, b: f64| {
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * (1.0 + a.abs().max(b.abs()))
    };
    let flat = |points: &Points| -> BTreeMap<(String, i64), f64> {
        let each = points
            .iter()
            .flat_map(|(labels, own)| own.iter().map(move |(time, value)| ((labels.clone(), *time), *value)));
        each.collect()
    };
    let (ours, theirs) = (flat(ours), flat(theirs));
    let keys = ours.keys().chain(theirs.keys());
    let mut odd = keys.filter(|key| !matches!((ours.get(key), theirs.get(key)), (Some(a), Some(b)) if close(*a, *b)));
    odd.next().map(|key| format!("{key:?}: {:?} here, {:?} there", ours.get(key), theirs.get(key)))
}

#[tokio::test(flavor = "multi_thread")]
async fn random_queries_are_worth_what_debians_prometheus_says() {
    let Some(folder) = folder() else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let theirs = Prometheus::start(&folder, dir.path(), "global: {}\n").await;
    let seed: u64 = SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos().into();
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let now = i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let start = now / 60 * 60 - (STEPS + 2) * STEP;
    let first = start * 1000 - i64::try_from(SAMPLES).unwrap() * APART + STEPS * STEP * 1000 + OFF;
    let timeseries = series(&mut dice).into_iter().map(|series| {
        let at = |place: usize| first + i64::try_from(place).unwrap() * APART;
        let samples = series.samples.iter().map(|(place, value)| sample(*value, at(*place))).collect();
        Series1 { labels: labels(&series.labels), samples }
    });
    let message = Request1 { timeseries: timeseries.collect(), metadata: vec![] }.encode_to_vec();
    let (head, text) = push(&server.http, 1, &message).await;
    assert_eq!(head.status, 204, "{text}");
    theirs.push(&message).await;
    let mut refused = 0;
    let queries = std::iter::repeat_with(|| placed(&Query::random(&mut dice, 3), start));
    let queries = queries.filter(|query| !CHANGED.iter().any(|part| query.contains(part)));
    for query in queries.take(QUERIES) {
        let ours = asked(&server.http, "/prometheus", &query, start).await;
        match (ours, asked(&theirs.address, "", &query, start).await) {
            (Ok(ours), Ok(theirs)) => {
                let difference = differ(&ours, &theirs).and_then(|_| differ(&nameless(&ours), &nameless(&theirs)));
                assert_eq!(difference, None, "seed {seed}: {query}");
            }
            (Err(_), Err(_)) => {}
            (Ok(_), Err(why)) if why.contains("same labelset") => refused += 1,
            (Err(why), Ok(_)) if why.contains("multiple matches") => refused += 1,
            (ours, theirs) => panic!("seed {seed}: {query}: {ours:?} here, {theirs:?} there"),
        }
    }
    assert!(refused < QUERIES / 5, "{refused} queries were refused by one alone");
}
