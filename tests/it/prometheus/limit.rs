//! Do limits and names hold from outside, also after the process was killed?

use super::{post, value};
use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn series_past_the_limit_stay_out_when_the_log_is_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let start = || Server::start_with(dir.path(), &[], &[("SPANLIGHT_OTLP_TENANT_ACTIVE_SERIES", "3")]);
    let server = start();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let text: String = (0..8).map(|user| format!("hits{{user=\"{user}\"}} 1 {now}000\n")).collect();
    let (status, answer) = post(&server.http, "/api/v1/import", &[], format!("up 1 {now}000\n{text}")).await;
    assert_eq!(status, 400, "{answer}");
    assert!(answer.contains("metric \"hits\", where label \"user\" had about 6 values"), "{answer}");
    let (status, answer) = post(&server.http, "/api/v1/import", &[], format!("up 2 {}000\n", now + 1)).await;
    assert_eq!(status, 200, "a series that is known goes on: {answer}");
    async fn check(server: &Server, now: u64) {
        let later = (now + 2).to_string();
        assert_eq!(value(server, "up", &later).await, "2");
        assert_eq!(value(server, "count(hits)", &later).await, "2");
    }
    check(&server, now).await;
    server.kill();
    let server = start();
    check(&server, now).await;
    // Those that were active are, and have the room.
    let told = server.json("/api/v1/metrics/cardinality").await;
    assert_eq!((told["active"]["count"].as_u64(), told["active"]["limit"].as_u64()), (Some(3), Some(3)), "{told}");
    let (status, answer) =
        post(&server.http, "/api/v1/import", &[], format!("new 1 {}000\nup 3 {}000\n", now + 1, now + 2)).await;
    assert!(status == 400 && answer.contains("of metric \"new\""), "{answer}");
    assert_eq!(value(&server, "up", &(now + 2).to_string()).await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn invented_tenants_leave_room_for_who_was_there_before_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let start = || Server::start_with(dir.path(), &[], &[("SPANLIGHT_OTLP_TENANT_ACTIVE_SERIES", "3")]);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    async fn send(server: &Server, tenant: &str, text: String) -> (u16, String) {
        post(&server.http, "/api/v1/import", &[("x-scope-orgid", tenant)], text).await
    }
    let hits = |users: std::ops::Range<u32>| -> String {
        users.map(|user| format!("hits{{user=\"{user}\"}} 1 {now}000\n")).collect()
    };
    let server = start();
    let before = now - 2 * 24 * 3_600;
    let (status, answer) = send(&server, "old", format!("hits{{user=\"0\"}} 1 {before}000\n{}", hits(0..1))).await;
    assert_eq!(status, 200, "{answer}");
    server.kill();
    let server = start();
    for invented in 0..3 {
        let (status, answer) = send(&server, &format!("x{invented}"), hits(0..3)).await;
        assert_eq!(status, 200, "{answer}");
    }
    for invented in 3..6 {
        let (status, answer) = send(&server, &format!("x{invented}"), hits(0..3)).await;
        let share = "of those that have been here for less than a day 9 together, which they have now";
        assert!(status == 400 && answer.contains(share), "{status} {answer}");
    }
    let (status, answer) = send(&server, "old", hits(0..3)).await;
    assert_eq!(status, 200, "{answer}");
    let (status, answer) = send(&server, "x0", hits(0..3)).await;
    assert_eq!(status, 200, "what is there goes on: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_called_as_the_setting_says() {
    let dir = tempfile::tempdir().unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let body = format!(
        r#"{{"resourceMetrics":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"shop"}}}}]}},
        "scopeMetrics":[{{"metrics":[{{"name":"shop.orders","unit":"By","sum":{{"isMonotonic":true,"aggregationTemporality":2,
        "dataPoints":[{{"asInt":"7","timeUnixNano":"{now}000000000","attributes":[{{"key":"http.route","value":{{"stringValue":"/"}}}}]}}]}}}}]}}]}}]}}"#
    );
    let json = [("content-type", "application/json")];
    for (strategy, query) in [
        ("UnderscoreEscapingWithSuffixes", "shop_orders_bytes_total{http_route=\"/\",job=\"shop\"}"),
        ("UnderscoreEscapingWithoutSuffixes", "shop_orders{http_route=\"/\"}"),
        ("NoUTF8EscapingWithSuffixes", "{\"shop.orders_bytes_total\",\"http.route\"=\"/\"}"),
        ("NoTranslation", "{\"shop.orders\",\"http.route\"=\"/\"}"),
    ] {
        let server = Server::start_with(dir.path(), &[], &[("SPANLIGHT_QUERY_TRANSLATION_STRATEGY", strategy)]);
        let (status, answer) = post(&server.otlp_http, "/v1/metrics", &json, body.clone()).await;
        assert_eq!(status, 200, "{answer}");
        let later = (now + 1).to_string();
        assert_eq!(value(&server, query, &later).await, "7", "{strategy}");
        assert_eq!(value(&server, "count({__name__=~\".*orders.*\"})", &later).await, "1", "{strategy}");
        let described = server.json("/api/v1/openapi.json").await;
        for path in ["/api/v1/import", "/prometheus/api/v1/write", "/v1/metrics"] {
            assert!(described["paths"][path]["post"]["summary"].is_string(), "{path}");
        }
        server.kill();
    }
    let mut wrong = crate::server::serve(dir.path(), &[]);
    let told = wrong.env("SPANLIGHT_QUERY_TRANSLATION_STRATEGY", "Translate").output().unwrap();
    assert!(!told.status.success() && String::from_utf8_lossy(&told.stderr).contains("NoTranslation"), "{told:?}");
}
