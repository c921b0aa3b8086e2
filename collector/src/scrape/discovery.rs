//! Which targets are there? Those that the file of jobs names, those that other files list, and those that a URL lists.

use super::config::{FileDiscovery, Job};
use super::fetch::Fetcher;
use super::relabel::Labels;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of one list of targets: a hundred thousand of them.
const MAX_LIST_BYTES: usize = 16 << 20;
/// Files that one pattern may find.
const MAX_FILES: usize = 1_000;
/// How long a URL of targets may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);

/// Targets with labels in common.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    #[serde(default)]
    pub(super) targets: Vec<String>,
    #[serde(default)]
    pub(super) labels: Labels,
}

/// What was found for a job, and when it is looked for again.
#[derive(Debug)]
pub(super) struct Discovery {
    job: Arc<Job>,
    fetcher: Arc<Fetcher>,
    /// By place in the job's list.
    from_urls: HashMap<usize, (Duration, Vec<Group>)>,
    from_files: HashMap<PathBuf, Vec<Group>>,
}

impl Discovery {
    pub(super) fn new(job: Arc<Job>, fetcher: Arc<Fetcher>) -> Self {
        Discovery { job, fetcher, from_urls: HashMap::new(), from_files: HashMap::new() }
    }

    /// All groups as of now; where one cannot be read, as it was last (S5).
    pub(super) async fn look(&mut self, now: Duration) -> Vec<Group> {
        self.look_at_files().await;
        for (place, source) in self.job.http_sd_configs.iter().enumerate() {
            if self.from_urls.get(&place).is_some_and(|(due, _)| now < *due) {
                continue;
            }
            let known = self.from_urls.remove(&place).map(|(_, groups)| groups).unwrap_or_default();
            let listed = self.fetcher.get(&source.url, "application/json", LIST_TIMEOUT, MAX_LIST_BYTES).await;
            let listed =
                listed.and_then(|answer| read(&String::from_utf8_lossy(&answer.body), "__meta_url", &source.url));
            let groups = listed.unwrap_or_else(|error| {
                tracing::warn!(job = self.job.job_name, url = source.url, error, "targets cannot be listed");
                known
            });
            self.from_urls.insert(place, (now + source.refresh_interval, groups));
        }
        let found = self.from_files.values().chain(self.from_urls.values().map(|(_, groups)| groups));
        self.job.static_configs.iter().chain(found.flatten()).cloned().collect()
    }

    async fn look_at_files(&mut self) {
        if self.job.file_sd_configs.is_empty() {
            return;
        }
        let job = Arc::clone(&self.job);
        let looked = tokio::task::spawn_blocking(move || read_files(&job.file_sd_configs)).await;
        let mut before = std::mem::take(&mut self.from_files);
        for (path, read) in looked.unwrap_or_default() {
            let groups = read.unwrap_or_else(|error| {
                tracing::warn!(job = self.job.job_name, file = %path.display(), error, "targets cannot be listed");
                before.remove(&path).unwrap_or_default()
            });
            self.from_files.insert(path, groups);
        }
    }
}

type ReadFiles = Vec<(PathBuf, Result<Vec<Group>, String>)>;

fn read_files(sources: &[FileDiscovery]) -> ReadFiles {
    let patterns = sources.iter().flat_map(|source| &source.files);
    let paths = patterns.flat_map(|pattern| matching(Path::new(pattern)));
    let read_file = |path: PathBuf| {
        let size = std::fs::metadata(&path).map(|metadata| metadata.len()).map_err(|error| error.to_string());
        let groups = size.and_then(|size| {
            if size > MAX_LIST_BYTES as u64 {
                return Err(format!("it is longer than {MAX_LIST_BYTES} bytes"));
            }
            let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
            read(&text, "__meta_filepath", &path.to_string_lossy())
        });
        (path, groups)
    };
    paths.map(read_file).collect()
}

/// The files that a pattern means; the pattern itself where it has no star.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some((start, end)) = name.split_once('*') else { return vec![pattern.to_owned()] };
    let folder = pattern.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let fits = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.strip_prefix(start).is_some_and(|rest| rest.ends_with(end))
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(fits).collect();
    paths.sort();
    paths.truncate(MAX_FILES);
    paths
}

/// Reads a list of groups, JSON or YAML, and notes where it comes from.
fn read(text: &str, origin: &str, place: &str) -> Result<Vec<Group>, String> {
    let mut groups: Vec<Group> = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    for group in &mut groups {
        group.labels.insert(origin.to_owned(), place.to_owned());
    }
    Ok(groups)
}
