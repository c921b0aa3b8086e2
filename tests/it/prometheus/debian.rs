//! Does a Prometheus that others built read what is stored here, and take the files of rules that are taken here? Debian's asks for
//! samples, and for numbers only: of chunks and histograms a decoder of our tests' own says that they can be read.
//!
//! Runs where `SPANLIGHT_PROMETHEUS` names the folder of `prometheus` and `promtool` (`make test-full` sees to it:
//! `scripts/debian.sh`); elsewhere it says so and passes.

use super::message::{Request1, Series1, labels, sample};
use super::{encoded, push};
use crate::server::{Server, eventually, request, try_request};
use hyper::body::Bytes;
use prost::Message as _;
use serde_json::Value;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

/// A loopback address that no other test has.
const HOST: &str = "127.0.0.7";

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub(super) fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("SPANLIGHT_PROMETHEUS").filter(|folder| !folder.is_empty());
    if folder.is_none() {
        eprintln!("not run: SPANLIGHT_PROMETHEUS names no folder of prometheus and promtool");
    }
    folder.map(PathBuf::from)
}

/// Debian's Prometheus, with nothing stored at first.
pub(super) struct Prometheus {
    pub(super) address: String,
    _process: Killed,
}

impl Prometheus {
    /// Starts it with a configuration, in which `SELF` stands for its own address, and waits until it is ready.
    pub(super) async fn start(folder: &Path, dir: &Path, config: &str) -> Self {
        let address = TcpListener::bind((HOST, 0)).unwrap().local_addr().unwrap().to_string();
        let file = dir.join("prometheus.yml");
        std::fs::write(&file, config.replace("SELF", &address)).unwrap();
        let mut command = Command::new(folder.join("prometheus"));
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", dir.join("tsdb").display()));
        command.arg(format!("--web.listen-address={address}")).arg("--web.enable-remote-write-receiver");
        let process = Killed(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let ready = || async {
            let (status, _) = try_request(&address, "GET", "/-/ready", &[], Bytes::new()).await?;
            (status == 200).then_some(())
        };
        eventually("Prometheus is ready", ready).await;
        Prometheus { address, _process: process }
    }

    /// Posts a message of remote write 1, which must be taken.
    pub(super) async fn push(&self, message: &[u8]) {
        let packed = snap::raw::Encoder::new().compress_vec(message).unwrap();
        let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "snappy")];
        let (status, body) = request(&self.address, "POST", "/api/v1/write", &headers, packed.into()).await;
        assert_eq!(status, 204, "{}", String::from_utf8_lossy(&body));
    }
}

/// The series of an answer: labels and values.
async fn answered(address: &str, prefix: &str, path: &str) -> Option<Value> {
    let (status, body) = try_request(address, "GET", &format!("{prefix}/api/v1/{path}"), &[], Bytes::new()).await?;
    let answer: Value = serde_json::from_slice(&body).ok()?;
    (status == 200).then(|| answer["data"]["result"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn debians_prometheus_reads_what_is_stored() {
    let Some(folder) = folder() else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    // Not on whole minutes: windows of 2.42 have both their ends, those of today only the later one.
    let now = i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap() / 60 * 60 * 1_000;
    let series = |job: &str, instance: &str, step: f64| Series1 {
        labels: labels(&[("__name__", "hits_total"), ("instance", instance), ("job", job)]),
        samples: (0..720).map(|n| sample((n as f64 * step).sqrt() * 7.0, now - 7_000 - (720 - n) * 5_000)).collect(),
    };
    let timeseries = vec![series("a", "1", 1.0), series("a", "2", 3.0), series("b", "1", 0.1)];
    let (head, text) = push(&server.http, 1, &Request1 { timeseries, metadata: vec![] }.encode_to_vec()).await;
    assert_eq!(head.status, 204, "{text}");

    let url = format!("http://{}/prometheus/api/v1/read", server.http);
    let config = format!("remote_read: [{{url: '{url}', read_recent: true}}]\n");
    let Prometheus { address, .. } = &Prometheus::start(&folder, dir.path(), &config).await;

    let (start, end) = (now / 1_000 - 3_600, now / 1_000);
    for query in [
        "hits_total",
        "sum by (job) (rate(hits_total[5m]))",
        "hits_total{job=~\"a|c\",instance!=\"1\"}",
        "count_over_time(hits_total[10m])",
        "max_over_time(hits_total{job!~\"b.*\"}[3m])",
        "absent(hits_total{job=\"none\"})",
    ] {
        let path = format!("query_range?query={}&start={start}&end={end}&step=60", encoded(query));
        let theirs = eventually("Prometheus answers", || answered(address, "", &path)).await;
        let ours = answered(&server.http, "/prometheus", &path).await.unwrap();
        assert!(ours.as_array().is_some_and(|series| !series.is_empty()), "{query}");
        assert_eq!(theirs, ours, "{query}");
    }
}

#[test]
fn promtool_takes_the_rules_that_are_taken_here() {
    let Some(folder) = folder() else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.yml");
    std::fs::write(&file, super::rules::RULES).unwrap();
    let output = Command::new(folder.join("promtool")).args(["check", "rules"]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
