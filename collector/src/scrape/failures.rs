//! Where does it stand which scrapes failed? In the files of `scrape_failure_log_file`, a line of JSON each, with the keys of Prometheus's.
//!
//! L1  No scrape waits for a file: lines are written by a thread of their own. Where [`MOST_WAITING`] wait for it, further ones are left
//!     out, and the log says how many.
//! L2  Files are opened when the file of jobs is taken, and anew when the process is told to read its files again, so that they can be
//!     moved away.
//! L3  A file of jobs that names one which cannot be opened cannot be used.
//!
//! Not here: the server's own log, which tells a target's first failure only (`round`).

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Lines that wait to be written.
const MOST_WAITING: usize = 1_024;
/// Longest text of an error in a line, in bytes: it may quote what a target sent.
const MAX_ERROR_BYTES: usize = 4 << 10;
/// So long the lines that wait are written at the end.
const LAST_WRITES: Duration = Duration::from_secs(1);

/// Files that are open, by their paths.
pub(super) type Files = BTreeMap<PathBuf, Arc<File>>;

/// Takes lines to be written. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Failures {
    lines: mpsc::Sender<(PathBuf, String)>,
    left_out: Arc<AtomicU64>,
}

/// A line.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: &'static str,
    msg: &'a str,
    job_name: &'a str,
    target: &'a str,
}

impl Failures {
    /// Tells a failure, at a time in milliseconds since 1970.
    pub(super) fn tell(&self, path: &Path, time: i64, (job, url): (&str, &str), error: &str) {
        let time = jiff::Timestamp::from_millisecond(time).unwrap_or_default();
        let msg = error.get(..error.floor_char_boundary(MAX_ERROR_BYTES)).unwrap_or(error);
        let line = Line { time: format!("{time:.3}"), level: "ERROR", msg, job_name: job, target: url };
        let Ok(line) = serde_json::to_string(&line) else { return };
        if self.lines.try_send((path.to_owned(), format!("{line}\n"))).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The files, and what is to be written to them.
#[derive(Debug)]
pub(super) struct Writer {
    files: Arc<Mutex<Files>>,
    failures: Failures,
    /// Until there is a file.
    waiting: Option<mpsc::Receiver<(PathBuf, String)>>,
    ended: Option<oneshot::Receiver<()>>,
}

impl Default for Writer {
    fn default() -> Self {
        let (lines, waiting) = mpsc::channel(MOST_WAITING);
        let failures = Failures { lines, left_out: Arc::default() };
        Writer { files: Arc::default(), failures, waiting: Some(waiting), ended: None }
    }
}

impl Writer {
    pub(super) fn failures(&self) -> Failures {
        self.failures.clone()
    }

    /// Writes to these files from now on.
    pub(super) fn take(&mut self, files: Files) {
        let is_needed = !files.is_empty();
        *lock(&self.files) = files;
        if let Some(waiting) = self.waiting.take_if(|_| is_needed) {
            let (files, left_out) = (Arc::clone(&self.files), Arc::clone(&self.failures.left_out));
            let (end, ended) = oneshot::channel();
            let run = move || {
                write_all(waiting, &files, &left_out);
                // Whoever waits for it may have gone.
                end.send(()).ok();
            };
            match std::thread::Builder::new().name("scrape-failures".into()).spawn(run) {
                Ok(_) => self.ended = Some(ended),
                Err(error) => tracing::error!(%error, "failures of scrapes are not written: there is no thread for it"),
            }
        }
    }

    /// Opens the files anew (L2). One that cannot be opened is written to as it was.
    pub(super) async fn reopen(&self) {
        let files = Arc::clone(&self.files);
        let reopened = tokio::task::spawn_blocking(move || {
            let paths: Vec<PathBuf> = lock(&files).keys().cloned().collect();
            for path in paths {
                match open(&path) {
                    Ok(file) => drop(lock(&files).insert(path, Arc::new(file))),
                    Err(error) => {
                        tracing::error!(path = %path.display(), error, "a file of failures of scrapes cannot be opened anew");
                    }
                }
            }
        });
        // It ends early only with the process.
        reopened.await.ok();
    }

    /// Ends once the lines that wait are written, or take too long. Nobody may tell failures any more.
    pub(super) async fn finish(self) {
        let Writer { failures, ended, .. } = self;
        drop(failures);
        if let Some(ended) = ended {
            tokio::time::timeout(LAST_WRITES, ended).await.ok();
        }
    }
}

fn lock(files: &Mutex<Files>) -> MutexGuard<'_, Files> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens all of these, or says which cannot be (L3).
pub(super) fn open_all(paths: BTreeSet<&Path>) -> Result<Files, String> {
    let opened = paths.into_iter().map(|path| Ok((path.to_owned(), Arc::new(open(path).map_err(told(path))?))));
    opened.collect()
}

/// Whether a file could be opened. It is not made.
pub(super) fn check(path: &Path) -> Result<(), String> {
    let there = match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            std::fs::metadata(folder.unwrap_or(Path::new("."))).map(drop).map_err(|error| error.to_string())
        }
        _ => open(path).map(drop),
    };
    there.map_err(told(path))
}

fn told(path: &Path) -> impl FnOnce(String) -> String {
    move |error| format!("scrape_failure_log_file: {}: {error}", path.display())
}

/// Opens a file to write behind its end.
fn open(path: &Path) -> Result<File, String> {
    // Looked at before: to open a pipe may take for ever.
    match std::fs::metadata(path) {
        Ok(there) if !there.is_file() => return Err("it is no file".to_owned()),
        _ => {}
    }
    OpenOptions::new().append(true).create(true).open(path).map_err(|error| error.to_string())
}

/// Writes lines as they come, until nobody tells failures any more.
fn write_all(mut lines: mpsc::Receiver<(PathBuf, String)>, files: &Mutex<Files>, left_out: &AtomicU64) {
    let mut broken = HashSet::new();
    while let Some((path, line)) = lines.blocking_recv() {
        let count = left_out.swap(0, Ordering::Relaxed);
        if count > 0 {
            tracing::warn!(count, "failures of scrapes are not in their file, which takes them too slowly");
        }
        // A job that has another file now may have told this before.
        let Some(file) = lock(files).get(&path).cloned() else { continue };
        match (&*file).write_all(line.as_bytes()) {
            Ok(()) => drop(broken.remove(&path)),
            Err(error) => {
                // Told once, until it goes well.
                if broken.insert(path.clone()) {
                    tracing::error!(path = %path.display(), %error, "a failure of a scrape cannot be written to its file");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_one(path: &Path) -> Result<Files, String> {
        open_all(BTreeSet::from([path]))
    }

    async fn written(path: &Path, lines: usize) -> Vec<serde_json::Value> {
        loop {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            if text.matches('\n').count() >= lines {
                return text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn l2_failures_are_lines_of_json_in_a_file_that_may_be_moved_away() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("f.log"), dir.path().join("f.log.1"));
        std::fs::write(&path, "{}\n").unwrap();
        let mut writer = Writer::default();
        let failures = writer.failures();
        writer.take(open_one(&path).unwrap());
        failures.tell(&path, 1_500, ("j", "http://h:1/metrics"), "it is \"away\"\n");
        let lines = written(&path, 2).await;
        let expected = serde_json::json!({
            "time": "1970-01-01T00:00:01.500Z", "level": "ERROR", "msg": "it is \"away\"\n", "job_name": "j", "target": "http://h:1/metrics"
        });
        assert_eq!(lines, [serde_json::json!({}), expected]);
        std::fs::rename(&path, &moved).unwrap();
        failures.tell(&path, 2_000, ("j", "u"), "still there");
        assert_eq!(written(&moved, 3).await[2]["msg"], "still there");
        writer.reopen().await;
        failures.tell(&path, 3_000, ("j", "u"), &"é".repeat(MAX_ERROR_BYTES));
        let lines = written(&path, 1).await;
        assert_eq!(lines[0]["msg"].as_str().unwrap().len(), MAX_ERROR_BYTES);
        // What cannot be opened anew goes on; a file that no job names any more is not written to.
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        writer.reopen().await;
        failures.tell(&path, 4_000, ("j", "u"), "to nowhere that is seen");
        writer.take(open_one(&moved).unwrap());
        failures.tell(&path, 5_000, ("j", "u"), "to no file");
        failures.tell(&moved, 6_000, ("j", "u"), "last");
        drop(failures);
        writer.finish().await;
        assert_eq!(written(&moved, 4).await[3]["msg"], "last", "written before the end");
    }

    #[test]
    fn l1_lines_past_those_that_may_wait_are_left_out_and_counted() {
        let writer = Writer::default();
        let failures = writer.failures();
        for _ in 0..MOST_WAITING + 3 {
            failures.tell(Path::new("f"), 0, ("j", "u"), "e");
        }
        assert_eq!(failures.left_out.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn l3_a_file_that_cannot_be_opened_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let fails = |path: &Path, expected: &str| {
            for error in [check(path).unwrap_err(), open_one(path).map(drop).unwrap_err()] {
                assert!(error.starts_with("scrape_failure_log_file: ") && error.contains(expected), "{error}");
            }
        };
        fails(dir.path(), "it is no file");
        fails(&dir.path().join("none/f.log"), "No such file");
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        fails(&pipe, "it is no file");
        let path = dir.path().join("f.log");
        assert_eq!((check(&path), path.try_exists().unwrap()), (Ok(()), false), "looking makes no file");
        assert!(open_one(&path).is_ok() && path.try_exists().unwrap() && check(&path).is_ok());
    }
}
