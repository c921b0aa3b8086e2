//! Where is the repository, and where do builds go?
//!
//! Not here: what is built.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Packages and folders as cargo sees them.
#[derive(Debug)]
pub(crate) struct Repo {
    /// The folder of the workspace's Cargo.toml.
    pub(crate) root: PathBuf,
    /// Cargo's target folder.
    pub(crate) target: PathBuf,
    /// `cargo metadata --no-deps`.
    pub(crate) metadata: serde_json::Value,
}

impl Repo {
    /// Asks cargo; the process may stand anywhere in the workspace.
    pub(crate) fn find() -> Result<Repo> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask`")?;
        let output = cargo()
            .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
            .current_dir(&manifest)
            .output()
            .context("failed to run cargo metadata")?;
        ensure!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let folder = |key: &str| {
            let text = metadata.get(key).and_then(serde_json::Value::as_str);
            text.map(PathBuf::from).with_context(|| format!("cargo metadata has no {key}"))
        };
        Ok(Repo { root: folder("workspace_root")?, target: folder("target_directory")?, metadata })
    }

    /// The corpora folder: `SPANLIGHT_CORPORA`, else `corpora` beside the repository's parent, if it is there.
    pub(crate) fn corpora(&self) -> Option<PathBuf> {
        let folder = match std::env::var_os("SPANLIGHT_CORPORA") {
            Some(folder) => PathBuf::from(folder),
            None => self.root.join("../shared/corpora"),
        };
        folder.is_dir().then_some(folder)
    }

    /// `path` below the root, for messages.
    pub(crate) fn shorten<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// `--locked` in CI, which builds exactly what the lock file says.
pub(crate) fn locked() -> &'static [&'static str] {
    if std::env::var_os("CI").is_some_and(|value| value == "true") { &["--locked"] } else { &[] }
}

/// Every file below `folder`, sorted by path; symbolic links are not followed.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        let entries = std::fs::read_dir(&folder).with_context(|| format!("failed to list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}
