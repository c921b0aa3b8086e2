//! Is all of time that Prometheus knows told right, also where the store knows none of it?

use super::search::lines;
use super::*;

/// What Prometheus's own client sends for the first and the last moment.
const ENDS: [&str; 2] = ["-292273086-05-16T16:47:06Z", "292277025-08-18T07:12:54.999999999Z"];

/// Seconds of the longest duration in years.
const LONGEST: i64 = 292 * 365 * 86_400;

#[tokio::test]
async fn moments_that_the_store_cannot_tell_have_no_samples() {
    let server = server().await;
    let others = ["1e11", "-1e11", "253402300800", "9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "9e15", "-9e15"];
    for time in others.into_iter().chain(ENDS) {
        assert_eq!(server.data(&format!("/query?query=vector(1)&time={time}")).await["result"][0]["value"][1], "1");
        for query in [
            "http_requests_total",
            "rate(http_requests_total%5B5m%5D)",
            "increase(http_requests_total%5B1d%5D%20anchored)",
            "http_requests_total%20offset%20-200y",
            "http_requests_total%20offset%20292y",
            "http_requests_total%20offset%20-292y",
            "max_over_time(http_requests_total%5B1d:1h%5D)",
        ] {
            let told = server.data(&format!("/query?query={query}&time={time}")).await;
            assert_eq!(told["result"], json!([]), "{query} {time}");
            let told = server.data(&format!("/query_range?query={query}&start={time}&end={time}&step=1")).await;
            assert_eq!(told["result"], json!([]), "{query} {time}");
        }
        for path in
            ["/series?match%5B%5D=http_requests_total&", "/labels?", "/label/job/values?", "/query_exemplars?query=up&"]
        {
            assert_eq!(server.data(&format!("{path}start={time}&end={time}")).await, json!([]), "{path} {time}");
        }
        assert_eq!(lines(&server, &format!("/search/label_names?start={time}&end={time}")).await.len(), 2);
    }
    for time in ["1e11", "-1e11", "9e15", "1e300", "NaN", "Inf"] {
        let (status, text) = server.text(&format!("/query?query=http_requests_total%20@%20{time}&time=5")).await;
        assert!(status == StatusCode::BAD_REQUEST || text.contains("\"result\":[]"), "{time}: {status} {text}");
    }
    for time in ["1e17", "-1e17", "1e300", "NaN", "Inf", "10000-01-01T00:00:00Z"] {
        let (status, text) = server.text(&format!("/query?query=1&time={time}")).await;
        assert!(status == StatusCode::BAD_REQUEST && text.contains("to a valid timestamp"), "{time}: {text}");
    }
}

/// As Prometheus 3 answers: moments in milliseconds, `time()` as a float of seconds.
#[tokio::test]
async fn moments_are_answered_as_they_were_asked() {
    let server = server().await;
    for (time, moment, seconds) in [
        ("9999-12-31T23:59:59Z", "253402300799", "253402300799"),
        ("253402300799.999", "253402300799.999", "253402300799.999"),
        ("0000-01-01T00:00:00Z", "-62167219200", "-62167219200"),
        ("9223372036.855", "9223372036.855", "9223372036.855"),
        ("-9223372036.855", "-9223372036.855", "-9223372036.855"),
        (ENDS[0], "-9223309901257974", "-9223309901257974"),
        (ENDS[1], "9223309901257974.999", "9223309901257974"),
    ] {
        let (_, text) = server.text(&format!("/query?query=vector(time())&time={time}")).await;
        assert!(text.contains(&format!("\"value\":[{moment},\"{seconds}\"]")), "{time}: {text}");
        let (_, text) = server.text(&format!("/query?query=time()&time={time}")).await;
        assert!(text.contains(&format!(",\"{seconds}\"]")), "{time}: {text}");
        let (_, text) = server.text(&format!("/query_range?query=time()&start={time}&end={time}&step=292y")).await;
        assert!(text.contains(&format!("\"values\":[[{moment},\"{seconds}\"]]")), "{time}: {text}");
    }
    let years = "/query_range?query=year()&start=0000-01-01T00:00:00Z&end=9999-12-31T23:59:59Z&step=292y";
    let told = server.data(years).await;
    let years = told["result"][0]["values"].as_array().unwrap();
    assert_eq!((years.len(), &years[0][1], &years[34][1]), (35, &json!("0"), &json!("9921")));
    // All of time.
    let path = format!("/query_range?query=1&start={}&end={}&step=292y", ENDS[0], ENDS[1]);
    let (status, text) = server.text(&path).await;
    assert!(status == StatusCode::BAD_REQUEST && text.contains("exceeded maximum resolution"), "{text}");
}

#[tokio::test]
async fn the_longest_durations_reach_as_far_as_they_say() {
    let server = server().await;
    let last = "240";
    for (query, time, expected) in [
        ("http_requests_total%20offset%20292y", T + LONGEST, last),
        ("http_requests_total%20offset%20-292y", T - LONGEST, last),
        ("last_over_time(http_requests_total%5B292y%5D)", T + LONGEST - 300, last),
        ("count_over_time(http_requests_total%5B292y%5D)", T, "4"),
        ("count_over_time(http_requests_total%5B5m%5D%20offset%20292y)", T + LONGEST, "4"),
    ] {
        let told = server.data(&format!("/query?query={query}&time={time}")).await;
        assert_eq!(told["result"][0]["value"], json!([time, expected]), "{query}: {told}");
    }
    for query in ["up%20offset%20293y", "up%20offset%20-293y", "up%5B293y%5D"] {
        let (status, text) = server.text(&format!("/query?query={query}&time={T}")).await;
        assert!(status == StatusCode::BAD_REQUEST && text.contains("duration out of range"), "{query}: {text}");
    }
}

/// The newest samples are those of now, however far others are from it.
#[tokio::test]
async fn samples_at_the_ends_of_the_stores_time_are_found_there_alone() {
    let server = server().await;
    let edge = |time: i64, value: i64| TestPoint {
        name: "edge",
        unit: "",
        time,
        data: PointData::Gauge(Some(Number::Int(value))),
        ..TestPoint::default()
    };
    server._fixture.put(points(&[edge(i64::MIN + 1, 1), edge(i64::MAX - 1, 2)])).await;
    let found = async |time: &str| {
        let told = server.data(&format!("/query?query=edge&time={time}")).await;
        told["result"][0]["value"][1].as_str().unwrap_or_default().to_owned()
    };
    for (time, expected) in [
        ("-9223372036.855", "1"),
        ("-9223372036.754", "1"),
        ("-9223372036.956", ""),
        ("-9223371736.855", ""),
        ("1970-01-01T00:00:00Z", ""),
        ("9223372036.853", ""),
        ("9223372036.854", "2"),
        ("9223372336.853", "2"),
        ("9223372336.854", ""),
        ("9999-12-31T23:59:59Z", ""),
        (ENDS[0], ""),
        (ENDS[1], ""),
    ] {
        assert_eq!(found(time).await, expected, "{time}");
    }
    let (status, _, text) = server.beside("/federate?match%5B%5D=edge", "*/*").await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, ""));
}
