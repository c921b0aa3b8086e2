//! Does Debian's Prometheus, which scrapes itself and writes to Spanlight, know the same as Spanlight, though this is killed in between?
//!
//! `SPANLIGHT_SHOW_SECONDS` says for how long (20).

use super::debian::{Prometheus, folder};
use super::encoded;
use crate::server::{Server, eventually, try_request};
use hyper::body::Bytes;
use serde_json::Value;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

/// Of what both must say the same.
const QUERIES: [&str; 11] = [
    "up",
    "scrape_samples_scraped",
    "sum by (job) (count_over_time(up[1h]))",
    "count_over_time(scrape_samples_scraped[1h])",
    "sum by (handler, code) (count_over_time(prometheus_http_requests_total[1h]))",
    "count_over_time(process_cpu_seconds_total[1h]) + count_over_time(go_goroutines[1h])",
    "sum by (job, handler) (rate(prometheus_http_requests_total[8s]))",
    "histogram_quantile(0.9, sum by (le) (rate(prometheus_http_request_duration_seconds_bucket[8s])))",
    "rate(process_cpu_seconds_total[8s])",
    "max_over_time(go_goroutines[1h])",
    "count by (job) ({__name__=~\"node_.*|go_.*\"})",
];

/// Debian's node exporter, where it is.
struct Exporter(Child);

impl Drop for Exporter {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn exporter() -> Option<(Exporter, String)> {
    let folder = std::env::var_os("SPANLIGHT_NODE_EXPORTER").filter(|folder| !folder.is_empty())?;
    let address = free();
    let mut command = Command::new(Path::new(&folder).join("prometheus-node-exporter"));
    command.arg(format!("--web.listen-address={address}")).stdout(Stdio::null()).stderr(Stdio::null());
    Some((Exporter(command.spawn().unwrap()), address))
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// The values of an instant query.
async fn answered(address: &str, prefix: &str, query: &str, time: u64) -> Option<Value> {
    let path = format!("{prefix}/api/v1/query?query={}&time={time}", encoded(query));
    let (status, body) = try_request(address, "GET", &path, &[], Bytes::new()).await?;
    let answer: Value = serde_json::from_slice(&body).ok()?;
    let mut result = answer["data"]["result"].clone();
    result.as_array_mut()?.sort_by_key(|series| series["metric"].to_string());
    (status == 200).then_some(result)
}

/// Whether labels are the same, and numbers but for their last digits: sums are added up in another order.
fn are_same(ours: &Value, theirs: &Value) -> bool {
    let all = |answer: &Value| -> Vec<(String, f64)> {
        let series = answer.as_array().unwrap().iter();
        let number = |series: &Value| series["value"][1].as_str().unwrap().parse().unwrap();
        series.map(|series| (series["metric"].to_string(), number(series))).collect()
    };
    let close = |a: f64, b: f64| (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
    let (ours, theirs) = (all(ours), all(theirs));
    ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(a, b)| a.0 == b.0 && close(a.1, b.1))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_debians_prometheus_writes_is_all_there_though_we_were_killed() {
    let Some(folder) = folder() else { return };
    let seconds = std::env::var("SPANLIGHT_SHOW_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20u64);
    let dir = tempfile::tempdir().unwrap();
    let (data, address) = (dir.path().join("data"), free());
    let server = Server::start_with(&data, &["--http-addr", &address], &[]);
    let exporter = exporter();
    let node = exporter.as_ref().map_or_else(String::new, |(_, address)| {
        format!("  - {{job_name: node, static_configs: [{{targets: ['{address}']}}]}}\n")
    });
    let config = format!(
        "global: {{scrape_interval: 1s}}\nremote_write:\n  - url: http://{address}/prometheus/api/v1/write\n    \
         queue_config: {{batch_send_deadline: 1s, min_backoff: 30ms, max_backoff: 500ms}}\n\
         scrape_configs:\n  - {{job_name: prometheus, static_configs: [{{targets: ['SELF']}}]}}\n{node}"
    );
    let theirs = Prometheus::start(&folder, dir.path(), &config).await;
    let began = now();
    let written = || async { answered(&address, "/prometheus", "up", now()).await.filter(|all| all[0].is_object()) };
    eventually("something was written", written).await;
    let mut server = server;
    for part in 1..=2 {
        while now() < began + seconds * part / 3 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        server.kill();
        server = Server::start_with(&data, &["--http-addr", &address], &[]);
    }
    while now() < began + seconds {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // A moment whose samples have come: both know one that is later.
    let time = now() - 2;
    eventually("all was written", || async {
        let of = answered(&address, "/prometheus", "min(timestamp(up))", now()).await?;
        (of[0]["value"][1].as_str()?.parse::<f64>().ok()? > time as f64 + 1.0).then_some(())
    })
    .await;
    for query in QUERIES {
        let (ours, there) = (
            answered(&address, "/prometheus", query, time).await.unwrap(),
            answered(&theirs.address, "", query, time).await.unwrap(),
        );
        assert!(there[0].is_object(), "{query}: nothing there");
        assert!(are_same(&ours, &there), "{query}: {ours} here, {there} there");
    }
    promtool_says_the_same(&folder, &address, &theirs.address, time);
    drop(server);
}

fn promtool_says_the_same(folder: &Path, ours: &str, theirs: &str, time: u64) {
    let asked = |url: String| {
        let query =
            ["query", "instant", &format!("--time={time}"), &url, "sort(sum by (job) (count_over_time(up[1h])))"];
        let output = Command::new(folder.join("promtool")).args(query).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let ours = asked(format!("http://{ours}/prometheus"));
    assert!(ours.contains("job=\"prometheus\""), "{ours}");
    assert_eq!(ours, asked(format!("http://{theirs}")));
}
