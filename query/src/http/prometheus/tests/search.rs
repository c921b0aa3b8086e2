//! Are names and values found by what they are like, line by line?

use super::*;

pub(super) async fn lines(server: &Server, path: &str) -> Vec<Value> {
    let (status, text) = server.text(path).await;
    assert_eq!(status, StatusCode::OK, "{path}: {text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn names_and_values_are_told_in_batches_with_a_last_line() {
    let server = server().await;
    let request = axum::http::Request::get(format!("{PREFIX}/search/label_names")).body(HttpBody::empty()).unwrap();
    let response = server.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-ndjson; charset=utf-8");
    let success = |has_more: bool| json!({ "status": "success", "has_more": has_more });
    let name = |name: &str| json!({ "name": name });
    let counter = "http_requests_total";
    assert_eq!(
        lines(&server, "/search/metric_names?search%5B%5D=latency&batch_size=2").await,
        [
            json!({ "results": [name("latency_seconds_bucket"), name("latency_seconds_count")] }),
            json!({ "results": [name("latency_seconds_sum")] }),
            success(false)
        ]
    );
    assert_eq!(
        lines(&server, "/search/metric_names?sort_by=alpha&sort_dir=dsc&limit=1&match%5B%5D=http_requests_total").await,
        [json!({ "results": [name(counter)] }), success(false)]
    );
    assert_eq!(
        lines(&server, "/search/metric_names?limit=1&search%5B%5D=&search%5B%5D=LATENCY&case_sensitive=false").await,
        [json!({ "results": [name("latency_seconds_bucket")] }), success(true)]
    );
    let told = lines(&server, "/search/metric_names?search%5B%5D=htt&include_score=1&include_metadata=true").await;
    let told = &told[0]["results"][0];
    assert_eq!((&told["name"], &told["score"], &told["type"]), (&json!(counter), &json!(1), &json!("counter")));
    // Of what fits as well the order is that of the names.
    let told = lines(&server, "/search/metric_names?search%5B%5D=sum&search%5B%5D=total&sort_by=score&limit=3").await;
    let names: Vec<&str> =
        told[0]["results"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names.len(), 3);
    assert!(names.contains(&counter), "{names:?}");
    assert_eq!(
        lines(&server, "/search/label_values?label=http_route&search%5B%5D=cart").await,
        [json!({ "results": [{ "value": "/cart" }] }), success(false)]
    );
    let (status, text) = server.post("/search/label_values", "label=nowhere").await;
    assert_eq!(
        (status, text.as_str()),
        (StatusCode::OK, "{\"results\":[]}\n{\"status\":\"success\",\"has_more\":false}\n")
    );
    assert_eq!(lines(&server, "/search/label_names?start=1&end=2").await, [json!({ "results": [] }), success(false)]);
}

#[tokio::test]
async fn what_cannot_be_searched_is_refused_with_its_parameter() {
    let server = server().await;
    let many = "search%5B%5D=a&".repeat(33);
    for (path, expected) in [
        ("label_values", "missing required parameter \\\"label\\\""),
        ("label_names?limit=0", "invalid limit \\\"0\\\": must be a positive integer"),
        ("label_names?limit=10001", "limit 10001 exceeds the maximum (10000)"),
        ("label_names?batch_size=x", "invalid batch_size \\\"x\\\""),
        ("label_names?fuzz_threshold=101", "invalid fuzz_threshold \\\"101\\\": must be 0-100"),
        ("label_names?fuzz_alg=soundex", "unsupported fuzz_alg \\\"soundex\\\""),
        ("label_names?case_sensitive=perhaps", "invalid case_sensitive \\\"perhaps\\\": must be boolean"),
        ("label_names?sort_dir=asc", "only valid when sort_by is set"),
        ("label_names?sort_by=score&sort_dir=asc", "not supported for sort_by=score"),
        ("label_names?sort_by=score", "requires search[] to be set"),
        ("label_names?sort_by=size", "invalid sort_by \\\"size\\\" for label_names"),
        ("label_names?sort_by=alpha&sort_dir=up", "invalid sort_dir \\\"up\\\""),
        ("label_names?start=2&end=1", "end timestamp must not be before start"),
        ("label_names?match%5B%5D=%7B", "match[]"),
        (&*format!("label_names?{many}"), "too many search[] terms: got 33, maximum is 32"),
    ] {
        let (status, text) = server.text(&format!("/search/{path}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {text}");
        assert!(text.contains("\"errorType\":\"bad_data\"") && text.contains(expected), "{path}: {text}");
    }
}
