//! Does what was acknowledged survive an object store that goes away? A real S3 server, stopped and started in the midst of load.
//!
//! Runs where `SPANLIGHT_S3_SERVER` names the program `versitygw` (`make test-full` sees to it: `scripts/s3.sh`); elsewhere it says
//! so and passes.

use crate::crash::{Acknowledged, hex, observer, stored};
use crate::server::{Server, eventually, request};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use workload::client::{LoadConfig, Protocol, Rate, Stop, run_load};
use workload::{Signal, Signals};

const BUCKET: &str = "spans";
const KEY: &str = "test-access";
const SECRET: &str = "test-secret";
/// Loopback addresses that no other test has: the store comes back on the port that it had.
const STORE_HOST: &str = "127.0.0.5";
const DOORS_HOST: &str = "127.0.0.6";
/// Spans to be acknowledged in each part of the play.
const SPANS: usize = 3_000;

/// An S3 server with its files in a folder; killed when dropped.
pub(crate) struct Store {
    program: PathBuf,
    address: String,
    dir: PathBuf,
    process: Child,
}

impl Store {
    pub(crate) async fn start(program: PathBuf, dir: &Path) -> Store {
        std::fs::create_dir_all(dir.join("objects").join(BUCKET)).unwrap();
        std::fs::create_dir_all(dir.join("properties")).unwrap();
        let address = TcpListener::bind((STORE_HOST, 0)).unwrap().local_addr().unwrap().to_string();
        let process = Self::run(&program, &address, dir);
        let store = Store { program, address, dir: dir.to_owned(), process };
        store.answers().await;
        store
    }

    fn run(program: &Path, address: &str, dir: &Path) -> Child {
        let mut command = Command::new(program);
        command.args(["--quiet", "--access", KEY, "--secret", SECRET, "--port", address, "posix", "--sidecar"]);
        command.arg(dir.join("properties")).arg(dir.join("objects"));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the S3 server starts")
    }

    async fn answers(&self) {
        eventually("an answer of the S3 server", || async {
            tokio::net::TcpStream::connect(&self.address).await.ok().map(drop)
        })
        .await;
    }

    fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    async fn start_again(&mut self) {
        self.process = Self::run(&self.program, &self.address, &self.dir);
        self.answers().await;
    }

    /// What says where it is.
    fn variables(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ACCESS_KEY_ID", KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.into()),
            ("SPANLIGHT_OBJECT_STORE_BUCKET", BUCKET.into()),
            ("SPANLIGHT_OBJECT_STORE_PREFIX", "some/where".into()),
            ("SPANLIGHT_OBJECT_STORE_ENDPOINT", format!("http://{}", self.address)),
        ]
    }

    /// A Spanlight that keeps its blocks here.
    fn serve(&self, data_dir: &Path, arguments: &[&str], read_only: &str) -> Server {
        self.serve_with(data_dir, arguments, read_only, &[])
    }

    /// The same with further variables.
    pub(crate) fn serve_with(
        &self,
        data_dir: &Path,
        arguments: &[&str],
        read_only: &str,
        more: &[(&str, &str)],
    ) -> Server {
        let place = self.variables();
        let mut variables: Vec<(&str, &str)> = place.iter().map(|(name, value)| (*name, value.as_str())).collect();
        variables.extend([
            ("SPANLIGHT_OBJECT_STORE_READ_ONLY", read_only),
            ("SPANLIGHT_STORAGE_FLUSH_BYTES", "1000000"),
            ("SPANLIGHT_STORAGE_FLUSH_AGE_SECONDS", "1"),
        ]);
        variables.extend_from_slice(more);
        Server::start_with(data_dir, arguments, &variables)
    }

    /// What `spanlight inspect` finds in a data directory and here.
    fn inspect(&self, data_dir: &Path, arguments: &[&str]) -> serde_json::Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spanlight"));
        command.arg("inspect").args(arguments).arg(data_dir).envs(self.variables());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

async fn text(server: &Server, path: &str) -> String {
    String::from_utf8(server.get(path).await.1.to_vec()).unwrap()
}

async fn further(acknowledged: &Acknowledged) {
    let before = acknowledged.lock().unwrap().len();
    eventually("further acknowledgements", || async {
        (acknowledged.lock().unwrap().len() >= before + SPANS).then_some(())
    })
    .await;
}

/// Waits until no row is only in the log.
async fn all_in_blocks(server: &Server) {
    eventually("all rows in blocks", || async {
        let status = server.json("/api/v1/status").await;
        let rows = status["signals"].as_array().unwrap().iter().map(|signal| signal["memtable_rows"].as_u64().unwrap());
        (rows.sum::<u64>() == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_spans_survive_an_object_store_that_goes_away_and_others_see_them() {
    let Some(program) = std::env::var_os("SPANLIGHT_S3_SERVER") else {
        eprintln!("not run: SPANLIGHT_S3_SERVER names no S3 server");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::start(program.into(), &dir.path().join("s3")).await;
    let (own, others) = (dir.path().join("own"), dir.path().join("others"));
    let any = format!("{DOORS_HOST}:0");
    let server = store.serve(&own, &["--otlp-grpc-addr", &any], "false");
    let door = server.otlp_grpc.clone();

    let acknowledged = Acknowledged::default();
    let cancel = CancellationToken::new();
    let config = LoadConfig {
        endpoint: format!("http://{door}"),
        protocol: Protocol::Grpc,
        signals: Signals::Only(Signal::Spans),
        rate: Rate::PerSecond(3_000.0),
        stop: Stop::After(Duration::from_secs(600)),
        connections: 2,
        batch: 100,
        ..LoadConfig::default()
    };
    let load = tokio::spawn(run_load(config, observer(&acknowledged), cancel.clone()));
    further(&acknowledged).await;

    // The store goes away: what comes is in the log, and it is told.
    store.stop();
    further(&acknowledged).await;
    eventually("word of the store that is away", || async {
        text(&server, "/ready").await.contains("the object store has not answered").then_some(())
    })
    .await;
    assert!(server.json("/api/v1/status").await["object_store"].is_string());
    assert!(text(&server, "/metrics").await.contains("spanlight_object_store_failing_seconds "));
    store.start_again().await;
    eventually("word of the store that is back", || async {
        (text(&server, "/ready").await == "ready\n").then_some(())
    })
    .await;
    further(&acknowledged).await;

    // The process ends in the midst of it, and another takes its place.
    server.kill();
    let server = store.serve(&own, &["--otlp-grpc-addr", &door], "false");
    further(&acknowledged).await;
    cancel.cancel();
    load.await.unwrap().unwrap();
    all_in_blocks(&server).await;

    let reader = store.serve(&others, &[], "true");
    let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
    for (who, server) in [("the writer", &server), ("a reader", &reader)] {
        let counts = stored(server, &acknowledged).await;
        for ((trace, span), retried) in &acknowledged {
            let count = counts.get(&(hex(trace), hex(span))).copied().unwrap_or(0);
            assert_eq!(count, 1, "span {} of trace {} at {who}, retried: {retried}", hex(span), hex(trace));
        }
    }
    let body = hyper::body::Bytes::from_static(b"{\"resourceSpans\":[]}");
    let sent = request(&reader.otlp_http, "POST", "/v1/traces", &[("content-type", "application/json")], body).await;
    assert!(matches!(sent.0, 200 | 503), "an empty request may be answered before it is refused: {sent:?}");
    let found = store.inspect(&own, &["--json", "--verify"]);
    let spans = found["tables"].as_array().unwrap().iter().find(|table| table["signal"] == "spans").unwrap();
    assert!(spans["rows"].as_u64().unwrap() >= acknowledged.len() as u64, "{found}");
    assert_eq!((&found["verified"], &found["blocks_elsewhere"]), (&true.into(), &false.into()));
    assert!(text(&reader, "/ready").await.contains("this process only reads"));
    assert!(text(&reader, "/metrics").await.contains("spanlight_cache_hits_total"));
}
