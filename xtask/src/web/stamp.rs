//! Is the bundle that lies in `web/dist` made from today's inputs?
//!
//! The stamp is a hash over names and contents of all that can change the bundle: the UI, the wire types, the manifests,
//! the lock file and this task's own code. Times play no part: a fresh clone and a touched file change nothing.

use super::dist;
use crate::repo::{Repo, files_below};
use anyhow::{Context, Result};
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

/// The stamp's file in `web/dist`.
pub(super) const FILE: &str = ".stamp";

const FILES: [&str; 4] = ["Cargo.toml", "Cargo.lock", "xtask/Cargo.toml", "xtask/src/web.rs"];
const FOLDERS: [&str; 3] = ["query/api", "web", "xtask/src/web"];

/// The hash of the inputs.
pub(super) fn of_inputs(repo: &Repo) -> Result<String> {
    hash(&repo.root)
}

/// The stamp of the bundle that is there, if any.
pub(super) fn of_bundle(repo: &Repo) -> Option<String> {
    std::fs::read_to_string(dist(repo).join(FILE)).ok()
}

fn hash(root: &Path) -> Result<String> {
    let mut hasher = Xxh3::new();
    let mut add = |path: &Path| -> Result<()> {
        let content = std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
        let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
        hasher.update(format!("{name}\0{}\0", content.len()).as_bytes());
        hasher.update(&content);
        Ok(())
    };
    for file in FILES {
        add(&root.join(file))?;
    }
    let bundle = root.join("web/dist");
    for folder in FOLDERS {
        for file in files_below(&root.join(folder))?.iter().filter(|file| !file.starts_with(&bundle)) {
            add(file)?;
        }
    }
    Ok(format!("{:032x}", hasher.digest128()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        for folder in FOLDERS.iter().chain(&["web/dist", "web/src"]) {
            std::fs::create_dir_all(tree.path().join(folder)).unwrap();
        }
        for file in FILES.iter().chain(&["web/src/main.rs", "web/dist/web.js"]) {
            std::fs::write(tree.path().join(file), file).unwrap();
        }
        tree
    }

    #[test]
    fn stamp_follows_contents_and_names_of_inputs_only() {
        let tree = tree();
        let before = hash(tree.path()).unwrap();
        assert_eq!(hash(tree.path()).unwrap(), before);

        std::fs::write(tree.path().join("web/dist/web.js"), "another bundle").unwrap();
        std::fs::write(tree.path().join("web/src/main.rs"), "web/src/main.rs").unwrap();
        assert_eq!(hash(tree.path()).unwrap(), before);

        std::fs::write(tree.path().join("web/src/main.rs"), "changed").unwrap();
        let changed = hash(tree.path()).unwrap();
        assert_ne!(changed, before);

        std::fs::rename(tree.path().join("web/src/main.rs"), tree.path().join("web/src/page.rs")).unwrap();
        assert_ne!(hash(tree.path()).unwrap(), changed);
    }
}
