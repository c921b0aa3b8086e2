//! Are texts of metrics stored as they say, and refused with line and column where they say nothing?

use super::{ask, post, value};
use crate::server::Server;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_imported_whole_or_refused_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let text = format!(
        "# TYPE orders counter\n# HELP orders Orders.\norders_total{{shop=\"a b\"}} 7 {now} # {{trace_id=\"x\"}} 0.5\n\
         orders_created{{shop=\"a b\"}} {}\n# TYPE h histogram\nh_bucket{{le=\"1\"}} 2 {now}\nh_bucket{{le=\"+Inf\"}} 4 {now}\n\
         # EOF\n",
        now - 60
    );
    let (status, answer) = post(&server.http, "/api/v1/import", &[], text.clone()).await;
    assert_eq!((status, answer.as_str()), (200, "{\"samples\":4,\"exemplars\":1}\n"));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(format!("rpc{{quantile=\"0.5\"}} 3 {}000\nrpc_sum 4\n", now).as_bytes()).unwrap();
    let headers = [("content-encoding", "gzip"), ("content-type", "text/plain; version=0.0.4")];
    let (status, answer) = post(&server.http, "/api/v1/import/prometheus", &headers, gzip.finish().unwrap()).await;
    assert_eq!((status, answer.as_str()), (200, "{\"samples\":2,\"exemplars\":0}\n"));
    for (path, headers, body, expected) in [
        ("/api/v1/import", vec![], "a 1\nb{c=d} 2\n", "line 2, column 5: expected `\"`, found `d`"),
        (
            "/api/v1/import",
            vec![("content-type", "application/openmetrics-text; version=1.0.0")],
            "kept 1\n",
            "cut off",
        ),
    ] {
        let (status, answer) = post(&server.http, path, &headers, body).await;
        assert!(status == 400 && answer.contains(expected), "{status} {answer}");
    }
    let (status, _) = post(&server.http, "/api/v1/import", &[("content-type", "application/json")], "{}").await;
    assert_eq!(status, 415);

    async fn check(server: &Server, now: i64) {
        let later = (now + 5).to_string();
        assert_eq!(value(server, "orders_total{shop=\"a b\"}", &later).await, "7");
        assert_eq!(value(server, "histogram_quantile(0.5, h_bucket)", &later).await, "1");
        assert_eq!(value(server, "rpc + on() rpc_sum", &later).await, "7");
        assert_eq!(value(server, "count({__name__=~\"a|b|kept\"})", &later).await, "", "refused texts left nothing");
        let known = ask(server, "metadata", &[("metric", "orders_total")]).await;
        assert_eq!(known["orders_total"][0]["type"], "counter");
        let (start, end) = ((now - 5).to_string(), later);
        let range = [("query", "orders_total"), ("start", start.as_str()), ("end", end.as_str())];
        assert_eq!(ask(server, "query_exemplars", &range).await[0]["exemplars"][0]["labels"]["trace_id"], "x");
    }
    check(&server, now).await;
    server.kill();
    check(&Server::start(dir.path()), now).await;
}

/// The same exemplar sent again is one; another of the same series and millisecond stands beside it.
#[tokio::test(flavor = "multi_thread")]
async fn exemplars_of_several_requests_are_neither_doubled_nor_lost() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let text = |value: u32, at: i64, help: &str, exemplar: &str| {
        format!("# TYPE orders counter\n# HELP orders {help}\norders_total {value} {at} # {exemplar}\n# EOF\n")
    };
    let timed = |id: &str| format!("{{trace_id=\"{id}\"}} 0.5 {now}.25");
    for body in [
        text(1, now - 3, "Orders.", &timed("a")),
        text(1, now - 3, "Orders.", &timed("a")),
        text(2, now - 2, "Orders.", &timed("b")),
        text(2, now - 2, "Orders!", &timed("a")),
        text(2, now - 2, "Orders.", "{trace_id=\"c\"} 1"),
        text(3, now - 1, "Orders.", "{trace_id=\"c\"} 1"),
        text(4, now, "Orders.", "{trace_id=\"d\"} 1"),
    ] {
        let (status, answer) = post(&server.http, "/api/v1/import", &[], body).await;
        assert_eq!(status, 200, "{answer}");
    }
    async fn check(server: &Server, now: i64) {
        let (start, end) = ((now - 5).to_string(), (now + 5).to_string());
        let range = [("query", "orders_total"), ("start", start.as_str()), ("end", end.as_str())];
        let found = ask(server, "query_exemplars", &range).await;
        let told: Vec<&str> = found[0]["exemplars"]
            .as_array()
            .unwrap()
            .iter()
            .map(|exemplar| exemplar["labels"]["trace_id"].as_str().unwrap())
            .collect();
        assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
        let mut sorted = told.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, ["a", "b", "c", "d"], "{found}");
    }
    check(&server, now).await;
    server.kill();
    check(&Server::start(dir.path()), now).await;
}
