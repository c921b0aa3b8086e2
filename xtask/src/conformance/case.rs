//! What is one case of the `otlp` suite? The format, as `tests/conformance/README.md` describes it.
//!
//! K1  A field that the format does not know is an error: a misspelt expectation must not pass.
//!
//! Not here: how a body is made (`body`), how an answer is judged (`otlp`).

use super::body::Body;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// One request and what must come back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// The fact that the case states.
    pub(crate) name: String,
    /// Where the fact comes from.
    #[expect(dead_code, reason = "read by people; required, so that no case goes without")]
    pub(crate) why: String,
    /// The request.
    pub(crate) send: Send,
    /// The answer.
    pub(crate) expect: Expect,
    /// What the query API says afterwards.
    #[serde(default)]
    pub(crate) then: Vec<Then>,
}

/// A request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Send {
    /// `POST` unless said otherwise.
    #[serde(default = "post")]
    pub(crate) method: String,
    /// `/v1/traces` and so on.
    pub(crate) path: String,
    /// Headers to set; null removes one that would be set. By default content-type follows the body.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Option<String>>,
    /// The body before compression.
    pub(crate) body: Body,
    /// Codings applied in turn: `gzip`, `zstd`, `deflate`. `content-encoding` is not set by them.
    #[serde(default)]
    pub(crate) compress: Vec<Coding>,
    /// Bytes to cut off the end, after compression.
    #[serde(default)]
    pub(crate) cut: usize,
    /// A Content-Length that differs from the body's; our side of the connection is closed after the body.
    #[serde(default)]
    pub(crate) content_length: Option<u64>,
}

/// A compression.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// RFC 1950.
    Deflate,
}

/// An answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    /// The statuses that are right; 0 stands for a connection closed without an answer.
    pub(crate) status: Vec<u16>,
    /// Whether an OTLP body in the request's content type is due (the default), or any body will do.
    #[serde(default)]
    pub(crate) any_body: bool,
    /// For a success: how many records must have been refused; 0 asks for a full success, `partial_success` unset.
    #[serde(default)]
    pub(crate) rejected: Option<i64>,
    /// Headers that must have this value; `*` any value; null must be absent.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Option<String>>,
}

/// A later look at the query API.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Then {
    /// Path and query.
    pub(crate) get: String,
    /// Its status.
    pub(crate) status: u16,
    /// Texts that its body must hold.
    #[serde(default)]
    pub(crate) contains: Vec<String>,
    /// Texts that its body must not hold.
    #[serde(default)]
    pub(crate) lacks: Vec<String>,
}

fn post() -> String {
    "POST".to_owned()
}

/// Reads a file of cases.
pub(crate) fn read(path: &Path) -> Result<Vec<Case>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    let cases: Vec<Case> = serde_json::from_str(&text).with_context(|| format!("in {}", path.display()))?;
    ensure!(!cases.is_empty(), "{} has no cases", path.display());
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_of_the_project_can_be_read_and_sent() {
        let folder = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../tests/conformance/otlp");
        let mut names = std::collections::BTreeSet::new();
        for file in crate::repo::files_below(&folder).unwrap() {
            for case in read(&file).unwrap() {
                case.send.body.build(1).unwrap_or_else(|error| panic!("{}: {error:#}", case.name));
                assert!(names.insert(case.name.clone()), "two cases are named `{}`", case.name);
            }
        }
        assert!(names.len() >= 25, "only {} cases", names.len());
    }

    #[test]
    fn a_misspelt_expectation_is_refused() {
        let text = |field: &str| {
            format!(
                r#"{{"name":"a","why":"b","send":{{"path":"/v1/traces","body":{{"text":""}}}},"expect":{{"status":[200]{field}}}}}"#
            )
        };
        assert!(serde_json::from_str::<Case>(&text("")).is_ok());
        assert!(serde_json::from_str::<Case>(&text(r#","rejcted":1"#)).is_err());
    }
}
