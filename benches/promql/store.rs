//! How is each store started, filled, asked, and what does it take? On one core of its own where `taskset` is there.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Far more than anything takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Spanlight,
    Prometheus,
    VictoriaMetrics,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Spanlight => "spanlight",
            Kind::Prometheus => "prometheus",
            Kind::VictoriaMetrics => "victoria_metrics",
        }
    }

    /// Where the program is: ours, or Debian's, which is fetched; `None` where it cannot be had.
    pub(crate) fn binary(self) -> Option<PathBuf> {
        let (package, program) = match self {
            Kind::Spanlight => return Some(env!("CARGO_BIN_EXE_spanlight").into()),
            Kind::Prometheus => ("prometheus", "prometheus"),
            Kind::VictoriaMetrics => ("victoria-metrics", "victoria-metrics"),
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/debian.sh");
        let output = Command::new("bash").arg(script).args([package, program]).stderr(Stdio::inherit()).output();
        let folder = String::from_utf8(output.ok()?.stdout).ok()?;
        let folder = folder.trim();
        if folder.is_empty() {
            println!("{package}: Debian's package cannot be had here; it is left out");
        }
        (!folder.is_empty()).then(|| Path::new(folder).join(program))
    }

    fn write_path(self) -> &'static str {
        match self {
            Kind::Spanlight => "/prometheus/api/v1/write",
            Kind::Prometheus | Kind::VictoriaMetrics => "/api/v1/write",
        }
    }

    fn api(self) -> &'static str {
        if self == Kind::Spanlight { "/prometheus/api/v1" } else { "/api/v1" }
    }

    /// What counts samples that came in.
    fn counter(self) -> &'static str {
        match self {
            Kind::Spanlight => "spanlight_rows_visible_total",
            Kind::Prometheus => "prometheus_tsdb_head_samples_appended_total",
            Kind::VictoriaMetrics => "vm_rows_inserted_total{type=\"promremotewrite\"}",
        }
    }
}

/// A running store, with nothing in it at first; ended and removed when dropped.
pub(crate) struct Store {
    pub(crate) kind: Kind,
    process: Child,
    folder: tempfile::TempDir,
    host: String,
    runtime: tokio::runtime::Runtime,
    sender: SendRequest<Full<Bytes>>,
}

fn pinned(binary: &Path) -> Command {
    let has_taskset = Command::new("taskset").args(["-c", "0", "true"]).status().is_ok_and(|status| status.success());
    if !has_taskset {
        println!("there is no taskset: stores and driver share the cores");
        return Command::new(binary);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(binary);
    command
}

impl Store {
    pub(crate) fn start(kind: Kind, binary: &Path, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = pinned(binary);
        command.env("GOMAXPROCS", "1").envs(settings.iter().copied()).stderr(Stdio::null());
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let data = folder.path().join("data");
        match kind {
            Kind::Spanlight => {
                command.arg("serve").arg("--data-dir").arg(&data).stdout(Stdio::piped());
                for door in ["--http-addr", "--otlp-grpc-addr", "--otlp-http-addr"] {
                    command.args([door, "127.0.0.1:0"]);
                }
            }
            Kind::Prometheus => {
                let config = folder.path().join("prometheus.yml");
                std::fs::write(&config, "global: {}\n").unwrap();
                command.arg(format!("--config.file={}", config.display()));
                command.arg(format!("--storage.tsdb.path={}", data.display()));
                command.arg(format!("--web.listen-address={free}"));
                command.args(["--web.enable-remote-write-receiver", "--web.enable-admin-api"]);
                command.arg("--storage.tsdb.retention.time=10y").stdout(Stdio::null());
            }
            Kind::VictoriaMetrics => {
                command.arg(format!("-storageDataPath={}", data.display())).arg(format!("-httpListenAddr={free}"));
                command.arg("-retentionPeriod=100y").stdout(Stdio::null());
            }
        }
        let mut process = command.spawn().unwrap();
        let host = match process.stdout.take() {
            Some(stdout) => {
                let lines: Vec<String> = BufReader::new(stdout).lines().take(3).map(Result::unwrap).collect();
                lines[0].strip_prefix("listening http ").unwrap().to_owned()
            }
            None => free,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sender = wait("the store listens", || runtime.block_on(connected(&host)));
        let mut store = Store { kind, process, folder, host, runtime, sender };
        let ready = match kind {
            Kind::Spanlight => "/ready",
            Kind::Prometheus => "/-/ready",
            Kind::VictoriaMetrics => "/health",
        };
        wait("the store is ready", || (store.get(ready).0 == 200).then_some(()));
        store
    }

    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: Bytes) -> (u16, Bytes) {
        let mut request = hyper::Request::builder().method(method).uri(path).header("host", &self.host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).unwrap();
        let (host, sender) = (self.host.clone(), &mut self.sender);
        self.runtime.block_on(async {
            if sender.ready().await.is_err() {
                *sender = connected(&host).await.unwrap();
            }
            let response = sender.send_request(request).await.unwrap();
            let status = response.status().as_u16();
            (status, response.into_body().collect().await.unwrap().to_bytes())
        })
    }

    pub(crate) fn get(&mut self, path: &str) -> (u16, Bytes) {
        self.send("GET", path, &[], Bytes::new())
    }

    pub(crate) fn post(&mut self, path: &str) -> (u16, Bytes) {
        self.send("POST", path, &[], Bytes::new())
    }

    /// Sends requests of remote write until the store's own counter says that all samples are in.
    pub(crate) fn fill(&mut self, requests: &[Vec<u8>], samples: usize) {
        let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "snappy")];
        for request in requests {
            let body = Bytes::copy_from_slice(request);
            let (status, body) = self.send("POST", self.kind.write_path(), &headers, body);
            assert!(status == 204, "{}: {status}: {}", self.kind.name(), String::from_utf8_lossy(&body));
        }
        wait("all samples are in", || (self.counted(self.kind.counter()) >= samples as f64).then_some(()));
    }

    /// What the store counts under a name, all label sets together.
    pub(crate) fn counted(&mut self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics");
        let text = String::from_utf8_lossy(&text).into_owned();
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        text.lines().filter(of_name).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// The answer of a path of Prometheus's API, and how long it took.
    pub(crate) fn ask(&mut self, path: &str) -> (Bytes, Duration) {
        let fresh = if self.kind == Kind::VictoriaMetrics { "&nocache=1" } else { "" };
        let path = format!("{}/{path}{fresh}", self.kind.api());
        let began = Instant::now();
        let (status, body) = self.get(&path);
        let took = began.elapsed();
        assert!(status == 200, "{}: {path}: {status}: {}", self.kind.name(), String::from_utf8_lossy(&body));
        (body, took)
    }

    /// CPU seconds of the process, all its threads, user and system.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) as f64 / 100.0
    }

    /// Resident bytes by a line of the process's status: `VmRSS` now, `VmHWM` at most.
    pub(crate) fn memory(&self, line: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
        found.unwrap().split_whitespace().next().unwrap().parse::<f64>().unwrap() * 1024.0
    }

    /// Bytes of what is stored for good, indexes among them, logs not.
    pub(crate) fn stored(&mut self) -> f64 {
        let data = self.folder.path().join("data");
        match self.kind {
            Kind::Spanlight => {
                wait("all is in blocks", || (self.counted("spanlight_memtable_bytes") == 0.0).then_some(()));
                self.counted("spanlight_block_bytes")
            }
            Kind::Prometheus => {
                self.post("/api/v1/admin/tsdb/snapshot");
                bytes_below(&data.join("snapshots"))
            }
            Kind::VictoriaMetrics => {
                self.get("/internal/force_flush");
                self.get("/internal/force_merge");
                wait("nothing is merged", || {
                    let merging = self.counted("vm_active_merges") + self.counted("vm_active_force_merges");
                    (merging == 0.0).then_some(())
                });
                bytes_below(&data.join("data")) + bytes_below(&data.join("indexdb"))
            }
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

async fn connected(host: &str) -> Option<SendRequest<Full<Bytes>>> {
    let stream = tokio::net::TcpStream::connect(host).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    Some(sender)
}

fn bytes_below(folder: &Path) -> f64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() { bytes_below(&entry.path()) } else { metadata.len() as f64 }
        })
        .sum()
}

/// Waits until there is something.
pub(crate) fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "in vain waited until {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
