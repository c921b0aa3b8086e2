//! How does a test get a server of its own? The built binary on free ports and a folder of its own.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustix::process::{Pid, Signal};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to start, or a condition to become true, before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; killed when dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) http: String,
    pub(crate) otlp_grpc: String,
    pub(crate) otlp_http: String,
}

/// The binary with an environment of its own: no settings leak in.
pub(crate) fn spanlight() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spanlight"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SPANLIGHT_")) {
        command.env_remove(name);
    }
    command
}

/// `spanlight serve` on free ports, but for the doors that the arguments name.
pub(crate) fn serve(data_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = spanlight();
    command.arg("serve").arg("--data-dir").arg(data_dir);
    let doors = ["--http-addr", "--otlp-grpc-addr", "--otlp-http-addr"];
    for door in doors.into_iter().filter(|door| !arguments.contains(door)) {
        command.args([door, "127.0.0.1:0"]);
    }
    command.args(arguments);
    command
}

impl Server {
    /// Starts `spanlight serve` on free ports.
    pub(crate) fn start(data_dir: &Path) -> Server {
        Server::start_with(data_dir, &[], &[])
    }

    /// The same with further arguments and variables.
    pub(crate) fn start_with(data_dir: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Server {
        let mut command = serve(data_dir, arguments);
        command.envs(variables.iter().copied());
        Server::run(command)
    }

    /// Starts the command of [`serve`].
    pub(crate) fn run(mut command: Command) -> Server {
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut address = |door: &str| {
            let line = lines.next().expect("the server prints its addresses before it ends").unwrap();
            line.strip_prefix(&format!("listening {door} ")).expect("the line names the door").to_owned()
        };
        let (http, otlp_grpc, otlp_http) = (address("http"), address("otlp-grpc"), address("otlp-http"));
        Server { process, http, otlp_grpc, otlp_http }
    }

    /// Ends the process at once, as a power cut of the process would.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Asks the process to end, and gives its exit code and how long it took.
    pub(crate) fn terminate(mut self) -> (Option<i32>, Duration) {
        let started = Instant::now();
        let pid = Pid::from_child(&self.process);
        rustix::process::kill_process(pid, Signal::TERM).unwrap();
        (self.process.wait().unwrap().code(), started.elapsed())
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Peak resident memory in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    /// GET on the HTTP API: status and body.
    pub(crate) async fn get(&self, path: &str) -> (u16, Bytes) {
        request(&self.http, "GET", path, &[], Bytes::new()).await
    }

    /// GET that must succeed with JSON.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).expect("the answer is JSON")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended where the test ended it.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// One HTTP request over a connection of its own.
pub(crate) async fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> (u16, Bytes) {
    try_request(address, method, path, headers, body).await.expect("the server answers, and whole")
}

/// The same, where the server may be gone.
pub(crate) async fn try_request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Option<(u16, Bytes)> {
    let (head, body) = try_exchange(address, method, path, headers, body).await?;
    Some((head.status.as_u16(), body))
}

/// The same with the answer's headers.
pub(crate) async fn exchange(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> (hyper::http::response::Parts, Bytes) {
    try_exchange(address, method, path, headers, body).await.expect("the server answers, and whole")
}

async fn try_exchange(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Option<(hyper::http::response::Parts, Bytes)> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let mut request = hyper::Request::builder().method(method).uri(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = client.request(request.body(Full::new(body)).unwrap()).await.ok()?;
    let (head, body) = response.into_parts();
    Some((head, body.collect().await.ok()?.to_bytes()))
}

/// Asks again until the answer is there.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
