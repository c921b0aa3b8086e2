//! Which targets do files list? JSON or YAML, told by how they end.

use super::super::config::FileDiscovery;
use super::super::read_file;
use super::{Group, MAX_LIST_BYTES, note};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Files that one pattern may find.
const MAX_FILES: usize = 1_000;

/// Patterns, and what their files said last.
pub(super) struct Files {
    patterns: Vec<PathBuf>,
    known: HashMap<PathBuf, Vec<Group>>,
    /// What was told of the files that cannot be read.
    told: Option<String>,
}

impl From<&FileDiscovery> for Files {
    fn from(settings: &FileDiscovery) -> Self {
        Files { patterns: settings.files.clone(), known: HashMap::new(), told: None }
    }
}

type ReadFiles = Vec<(PathBuf, Result<Vec<Group>, String>)>;

impl Files {
    /// The groups of all files; of one that cannot be read those that it had, and why is told once.
    pub(super) async fn look(&mut self) -> Result<Vec<Group>, String> {
        let patterns = self.patterns.clone();
        let looked = tokio::task::spawn_blocking(move || read_files(&patterns)).await;
        let mut before = std::mem::take(&mut self.known);
        let mut failure = None;
        for (path, read) in looked.map_err(|error| error.to_string())? {
            let groups = read.unwrap_or_else(|error| {
                failure.get_or_insert(format!("{}: {error}", path.display()));
                before.remove(&path).unwrap_or_default()
            });
            self.known.insert(path, groups);
        }
        let mut paths: Vec<_> = self.known.iter().collect();
        paths.sort_by_key(|(path, _)| *path);
        if let Some(error) = failure.as_ref().filter(|_| failure != self.told) {
            tracing::warn!(error, "targets cannot be listed; those that the file listed last stay");
        }
        self.told = failure;
        Ok(paths.into_iter().flat_map(|(_, groups)| groups).cloned().collect())
    }
}

fn read_files(patterns: &[PathBuf]) -> ReadFiles {
    let paths = patterns.iter().flat_map(|pattern| matching(pattern));
    let read = |path: PathBuf| {
        let groups = read_file(&path, MAX_LIST_BYTES).and_then(|bytes| groups(&path, &bytes));
        (path, groups)
    };
    paths.map(read).collect()
}

fn groups(path: &Path, bytes: &[u8]) -> Result<Vec<Group>, String> {
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let groups: Option<Vec<Group>> = if is_json {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())?
    } else {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        if text.trim().is_empty() { None } else { serde_saphyr::from_str(text).map_err(|error| error.to_string())? }
    };
    let mut groups = groups.unwrap_or_default();
    groups.iter().try_for_each(Group::check)?;
    note(&mut groups, "__meta_filepath", &path.to_string_lossy());
    Ok(groups)
}

/// The files that a pattern means; the pattern itself where it has no star.
pub(super) fn matching(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !name.contains('*') {
        return vec![pattern.to_owned()];
    }
    let folder = pattern.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let fits = |path: &PathBuf| path.file_name().and_then(|own| own.to_str()).is_some_and(|own| matches(name, own));
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(fits).collect();
    paths.sort();
    paths.truncate(MAX_FILES);
    paths
}

/// Whether a name is what a pattern with stars says.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}
