//! Which files of rules are there?

use super::file::{self, GroupSpec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::Arc;

/// Files that all patterns together may find.
const MOST_FILES: usize = 1_000;
/// Bytes of one file: ten thousand rules.
const MOST_BYTES: u64 = 4 << 20;

/// Why files of rules cannot be used: a line for each fault, with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RulesError(pub(super) String);

/// Rules, as a person writes them in the settings file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RulesConfig {
    /// Files in Prometheus's format, or patterns with `*`, `?` and `[]` that find some. None: there are no rules.
    pub files: Vec<String>,
}

/// A file's path and its text.
pub(super) type Text = (String, String);

impl RulesConfig {
    /// Whether there are to be rules.
    pub fn is_set(&self) -> bool {
        !self.files.is_empty()
    }

    /// Whether all files can be used, on a server that has all samples or not (L6).
    pub fn check(&self, has_all_samples: bool) -> Result<(), String> {
        if self.is_set() && !has_all_samples {
            let what = "`rules.files` is for one server that has all samples: without `object_store.bucket`, and no front of Kafka";
            return Err(what.to_owned());
        }
        self.read().and_then(|texts| groups(&texts)).map(drop).map_err(|error| error.to_string())
    }

    /// The texts of all files, by path. A pattern may find none; a file that is named must be there.
    pub(super) fn read(&self) -> Result<Vec<Text>, RulesError> {
        let mut paths = BTreeSet::new();
        for pattern in &self.files {
            let told = |error: &dyn std::fmt::Display| RulesError(format!("`rules.files` {pattern}: {error}"));
            if !pattern.contains(['*', '?', '[']) {
                paths.insert(pattern.clone());
                continue;
            }
            for path in glob::glob(pattern).map_err(|error| told(&error))? {
                let path = path.map_err(|error| told(&error))?;
                let path = path.to_str().ok_or_else(|| told(&"a path is not UTF-8"))?;
                paths.insert(path.to_owned());
                if paths.len() > MOST_FILES {
                    return Err(told(&format!("more than {MOST_FILES} files")));
                }
            }
        }
        paths.into_iter().map(|path| text(&path).map(|text| (path, text))).collect()
    }
}

fn text(path: &str) -> Result<String, RulesError> {
    let told = |error: &dyn std::fmt::Display| RulesError(format!("{path}: {error}"));
    let file = std::fs::File::open(path).map_err(|error| told(&error))?;
    let mut text = String::new();
    let read = file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(|error| told(&error))?;
    if u64::try_from(read).unwrap_or(u64::MAX) > MOST_BYTES {
        return Err(told(&format!("longer than {MOST_BYTES} bytes")));
    }
    Ok(text)
}

/// The groups of all files, or what is wrong in them.
pub(super) fn groups(texts: &[Text]) -> Result<Vec<Arc<GroupSpec>>, RulesError> {
    let (mut groups, mut faults) = (Vec::new(), Vec::new());
    for (path, text) in texts {
        match file::parse(path, text) {
            Ok(own) => groups.extend(own.into_iter().map(Arc::new)),
            Err(own) => faults.extend(own),
        }
    }
    if faults.is_empty() { Ok(groups) } else { Err(RulesError(faults.join("\n"))) }
}
