//! Native histograms, for another Prometheus that scrapes them.

use super::super::family::{Bucket, Family, Histogram};
use super::*;
use crate::prometheus::protobuf::BucketSpan;
use prost::Message as _;

const DELIMITED: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

async fn told(server: &Server, matches: &str, accept: &str) -> (axum::http::HeaderMap, Vec<u8>) {
    let request = axum::http::Request::get(format!("{ROOT}/federate?match[]={matches}")).header("accept", accept);
    let response = server.router.clone().oneshot(request.body(HttpBody::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    assert_eq!(parts.status, StatusCode::OK);
    (parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
}

fn families(mut body: &[u8]) -> Vec<Family> {
    let mut all = Vec::new();
    while !body.is_empty() {
        all.push(Family::decode_length_delimited(&mut body).unwrap());
    }
    all
}

#[tokio::test]
async fn f3_native_histograms_are_told_to_who_takes_protobuf() {
    let server = server().await;
    let (headers, body) = told(&server, "%7Bjob=%22shop%22%7D", DELIMITED).await;
    assert!(headers["content-type"].to_str().unwrap().starts_with("application/vnd.google.protobuf; proto=io."));
    assert!(headers.get("warning").is_none());
    let all = families(&body);
    let names: Vec<(&str, Option<i32>)> = all.iter().map(|family| (family.name.as_str(), family.r#type)).collect();
    assert!(names.is_sorted() && names.contains(&("size_bytes", Some(4))), "{names:?}");
    let native = all.iter().find(|family| family.name == "size_bytes").unwrap();
    let metric = &native.metrics[0];
    assert_eq!(metric.time, Some((T - 60) * 1000));
    let labels: Vec<(&str, &str)> = metric.labels.iter().map(|pair| (&*pair.name, &*pair.value)).collect();
    assert_eq!(labels, [("instance", "a"), ("job", "shop")]);
    let expected = Histogram {
        whole_count: Some(4),
        sum: Some(9.0),
        schema: Some(0),
        zero_threshold: Some(1e-128),
        whole_zero_count: Some(1),
        positive_spans: vec![BucketSpan { offset: 1, length: 2 }],
        positive_deltas: vec![1, 1],
        ..Histogram::default()
    };
    assert_eq!(metric.histogram.as_ref(), Some(&expected));
    let counter = all.iter().find(|family| family.name == "http_requests_total").unwrap();
    assert_eq!((counter.r#type, counter.metrics[0].untyped.unwrap().value), (Some(3), Some(240.0)));
}

#[tokio::test]
async fn f3_a_text_says_how_many_native_histograms_it_lacks() {
    let server = server().await;
    let said = "native histograms were left out, 1 of them: ask for application/vnd.google.protobuf, which has them";
    for (accept, text) in [("*/*", format!("# {said}\n")), ("application/openmetrics-text", "# EOF\n".to_owned())] {
        let (headers, body) = told(&server, "size_bytes", accept).await;
        assert_eq!(String::from_utf8(body).unwrap(), text);
        assert_eq!(headers["warning"], format!("199 spanlight \"{said}\""));
        assert!(told(&server, "gc_seconds_count", accept).await.0.get("warning").is_none());
    }
}

#[test]
fn p2_p3_an_empty_histogram_is_still_a_native_one_and_own_bounds_are_classic_buckets() {
    let empty = super::super::family::histogram_of(&crate::series::Histogram::default(), 0);
    assert_eq!(empty.positive_spans, [BucketSpan { offset: 0, length: 0 }]);
    let custom = crate::series::Histogram {
        schema: crate::series::CUSTOM_SCHEMA,
        count: 6.5,
        sum: 3.0,
        bounds: [0.5, 1.0, 2.0].into(),
        positive: vec![
            crate::series::Bucket { index: 0, count: 1.5 },
            crate::series::Bucket { index: 2, count: 4.0 },
            crate::series::Bucket { index: 3, count: 1.0 },
        ],
        ..crate::series::Histogram::default()
    };
    let told = super::super::family::histogram_of(&custom, 0);
    let bucket = |bound, count| Bucket { whole_count: None, bound: Some(bound), count: Some(count) };
    let buckets = [bucket(0.5, 1.5), bucket(1.0, 1.5), bucket(2.0, 5.5), bucket(f64::INFINITY, 6.5)];
    assert_eq!((told.buckets.as_slice(), told.count, told.schema), (buckets.as_slice(), Some(6.5), None));
}
