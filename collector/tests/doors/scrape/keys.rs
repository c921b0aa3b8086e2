//! Do keys of Prometheus 3's file do here what they do there?

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_target_may_send_and_did_is_told_where_a_job_asks_for_it() {
    let long = vec![b'\n'; 2 << 20];
    let router = Router::new()
        .route("/metrics", get(async || text("a 1\nb 2\n")))
        .route("/cut", get(async || text("a 1\nb")))
        .route("/long", get(move || async move { ([(header::CONTENT_TYPE, "text/plain")], long) }))
        .route("/broken", get(async || StatusCode::INTERNAL_SERVER_ERROR));
    let address = serve(router).await;
    let path = |name: &str, further: &str| {
        job(name, &address, &format!("metrics_path: /{name}, extra_scrape_metrics: true, {further}"))
    };
    let jobs = [
        path("metrics", "sample_limit: 7, scrape_timeout: 250ms"),
        path("cut", ""),
        path("long", "body_size_limit: 1MB"),
        path("broken", ""),
        job("plain", &address, ""),
    ];
    let scraping = Scraping::start(&jobs, folder()).await;
    for (name, up) in [("metrics", 1.0), ("plain", 1.0), ("cut", 0.0), ("long", 0.0), ("broken", 0.0)] {
        scraping.wait_up(name, up).await;
    }
    let told = |job: &str| {
        let last = |name: &str| scraping.last(job, name).and_then(|sample| sample.value);
        ["scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes"].map(last)
    };
    assert_eq!(told("metrics"), [Some(0.25), Some(7.0), Some(8.0)]);
    assert_eq!(told("cut"), [Some(0.3), Some(0.0), Some(5.0)], "it was read, but is no text of metrics");
    assert_eq!(told("long"), [Some(0.3), Some(0.0), Some(-1.0)]);
    assert_eq!(told("broken"), [Some(0.3), Some(0.0), Some(0.0)]);
    assert_eq!(told("plain"), [None; 3]);
    scraping.close().await;
}
