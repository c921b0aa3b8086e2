//! How does a suite get a server of its own?
//!
//! `SPANLIGHT_BIN`, else the debug binary that cargo builds; an empty data folder; ports of the server's own choice, which
//! it prints on stdout as `listening http|otlp-grpc|otlp-http ADDRESS`.
//!
//! Not here: what is sent to it.

use crate::repo::{Repo, cargo, locked};
use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Far more than a start takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; killed and its data removed when dropped.
pub(crate) struct Server {
    child: Child,
    folder: tempfile::TempDir,
    /// Own HTTP API.
    pub(crate) http: SocketAddr,
    /// OTLP over HTTP.
    pub(crate) otlp_http: SocketAddr,
}

impl Server {
    /// Starts a server and waits until it listens.
    pub(crate) fn start(repo: &Repo) -> Result<Server> {
        let binary = binary(repo)?;
        let folder = tempfile::tempdir()?;
        let log = std::fs::File::create(folder.path().join("stderr"))?;
        let any = "127.0.0.1:0";
        let mut child = Command::new(&binary)
            .args(["serve", "--http-addr", any, "--otlp-grpc-addr", any, "--otlp-http-addr", any, "--data-dir"])
            .arg(folder.path().join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("failed to start {}", binary.display()))?;
        let stdout = child.stdout.take().context("the server has no stdout")?;
        let (send, lines) = mpsc::channel();
        // Ends when the server's stdout does, which is when the server is killed.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Server { child, folder, http: unknown, otlp_http: unknown };
        server.read_addresses(&lines)?;
        Ok(server)
    }

    fn read_addresses(&mut self, lines: &mpsc::Receiver<String>) -> Result<()> {
        for _ in 0..3 {
            let Ok(line) = lines.recv_timeout(PATIENCE) else {
                bail!("the server does not say where it listens:\n{}", self.log_tail());
            };
            let words: Vec<&str> = line.split(' ').collect();
            let ["listening", door, address] = words.as_slice() else {
                bail!("the server said `{line}` instead of where it listens");
            };
            let address = address.parse().with_context(|| format!("`{line}`"))?;
            match *door {
                "http" => self.http = address,
                "otlp-http" => self.otlp_http = address,
                "otlp-grpc" => {}
                other => bail!("the server listens at an unknown door `{other}`"),
            }
        }
        ensure!(self.http.port() != 0 && self.otlp_http.port() != 0, "the server does not listen for HTTP");
        Ok(())
    }

    /// Whether the process is there, and if not, how it ended.
    pub(crate) fn alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the server ended with {status}:\n{}", self.log_tail()),
        }
    }

    /// The last lines that the server wrote to stderr.
    pub(crate) fn log_tail(&self) -> String {
        let log = std::fs::read(self.folder.path().join("stderr")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The binary that servers are started from.
pub(super) fn binary(repo: &Repo) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("SPANLIGHT_BIN") {
        return Ok(path.into());
    }
    let mut command = cargo();
    let status = command.args(["build", "--package", "spanlight"]).args(locked()).current_dir(&repo.root).status()?;
    ensure!(status.success(), "the server did not build");
    Ok(repo.target.join("debug/spanlight"))
}
