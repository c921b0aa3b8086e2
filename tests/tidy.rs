//! Is the tree as ARCHITECTURE.md and STYLE.md say it is?
//!
//! T1  Every check is a plain function from file contents (or cargo's metadata) to complaints, and has a test in which it
//!     complains.
//! T2  What is checked is what git tracks or would track; without git, every file that is not built.
//!
//! Not here: what clippy can say (`clippy.toml` of the root and of the rooms), formatting, licences (`deny.toml`).

#![expect(clippy::unwrap_used, reason = "a test that cannot read the tree must fail")]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Each package and the packages of the workspace that it may depend on. Anything else needs an ADR, then a line here.
const ARROWS: [(&str, &[&str]); 8] = [
    ("spanlight", &["collector", "query", "query-api", "storage", "workload"]),
    ("collector", &["storage"]),
    ("query", &["query-api", "storage"]),
    ("query-api", &[]),
    ("storage", &[]),
    ("web", &["query-api"]),
    ("workload", &[]),
    ("xtask", &[]),
];

/// Outside crates that a room must not know, because its neighbour's knowledge is in them.
const STRANGERS: [(&str, &[&str]); 3] = [
    (
        "storage",
        &["axum", "datafusion", "hyper", "opentelemetry-proto", "prost", "rdkafka", "reqwest", "tonic", "tower-http"],
    ),
    ("query", &["opentelemetry-proto", "rdkafka"]),
    ("query-api", &["arrow-array", "axum", "tokio"]),
];

/// Modules of `storage` by layer: a module uses its own layer and those below.
const LAYERS: [&[&str]; 4] = [
    &["model", "fs", "object", "error", "re2", "zstandard", "doubled", "hashed"],
    &["wal", "memtable", "block", "index", "manifest", "metric", "scan", "trace"],
    &["flush", "compaction", "retention", "sampling"],
    &["engine"],
];

/// Lines of code in a file, and in all of `src/`.
const FILE_WALL: usize = 600;
const BINARY_WALL: usize = 800;

/// Files that may pass the wall because they are tables, and what they list.
const TABLES: [(&str, &str); 0] = [];

/// Settings that a person can turn, over all rooms. Each costs documentation, tests and a decision: think before raising.
const SETTINGS_BUDGET: usize = 87;

const FORBIDDEN_MODULES: [&str; 11] =
    ["utils", "util", "common", "helpers", "misc", "core", "manager", "base", "types", "v2", "legacy"];

/// Written in halves, so that this file does not complain about itself.
const UNFINISHED: [&str; 4] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];
const IGNORED_TEST: &str = concat!("#[", "ignore");
const MACHINE_PATHS: [&str; 4] =
    [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];
const REGISTRY_HOSTS: [&str; 9] = [
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("registry.npmjs", ".org"),
    concat!("pypi", ".org"),
    concat!("files.pythonhosted", ".org"),
    concat!("proxy.golang", ".org"),
    concat!("repo.maven.apache", ".org"),
    concat!("repo1.maven", ".org"),
    concat!("artifac", "tory"),
];

/// Built, so not in a fresh clone.
const GENERATED: [&str; 3] = ["web/dist", "target", "data"];

/// Text files by their path from the root, with slashes.
type Tree = BTreeMap<String, String>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What T2 says; files that are not UTF-8 have empty contents.
fn read_tree() -> Tree {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .ok()
        .filter(|output| output.status.success() && !output.stdout.is_empty());
    let paths = match listed {
        Some(output) => String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect(),
        None => walk(),
    };
    let read = |path: String| {
        // A file that was deleted but is still in git's index is no part of the tree.
        let bytes = std::fs::read(root().join(&path)).ok()?;
        Some((path, String::from_utf8(bytes).unwrap_or_default()))
    };
    paths.into_iter().filter_map(read).collect()
}

fn walk() -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![String::new()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            if entry.file_type().unwrap().is_dir() {
                if name != ".git" && !GENERATED.contains(&path.as_str()) {
                    open.push(path);
                }
            } else {
                found.push(path);
            }
        }
    }
    found
}

fn rust_files(tree: &Tree) -> impl Iterator<Item = (&String, &String)> {
    tree.iter().filter(|(path, _)| path.ends_with(".rs") && !is_foreign(path))
}

/// Other people's code, which we keep but do not write.
fn is_foreign(path: &str) -> bool {
    path.contains("/vendor/")
}

fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs") || path.contains("benches/")
}

// ---------------------------------------------------------------------------------------------------------------------

/// Rooms know only the rooms that ARROWS grants them, and no STRANGERS.
fn check_arrows(metadata: &Value) -> Vec<String> {
    let mut complaints = Vec::new();
    let packages = metadata["packages"].as_array().unwrap();
    let rooms: BTreeSet<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let Some((_, allowed)) = ARROWS.iter().find(|(room, _)| *room == name) else {
            complaints.push(format!("package {name} is not in ARROWS: a further package needs an ADR"));
            continue;
        };
        let strangers = STRANGERS.iter().find(|(room, _)| *room == name).map_or(&[][..], |(_, strangers)| strangers);
        for dependency in package["dependencies"].as_array().unwrap() {
            let other = dependency["name"].as_str().unwrap();
            let for_tests = dependency["kind"] == "dev";
            if rooms.contains(other) && !allowed.contains(&other) {
                complaints.push(format!("{name} must not know {other}"));
            }
            if strangers.contains(&other) && !for_tests {
                complaints.push(format!("{name} must not know the crate {other}"));
            }
            let features = dependency["features"].as_array().cloned().unwrap_or_default();
            if name == "storage"
                && other == "tokio"
                && features.iter().any(|feature| feature == "net" || feature == "full")
            {
                complaints.push("storage must not know tokio's network side".to_owned());
            }
        }
    }
    complaints
}

/// Inside `storage`, a module uses its own layer and those below.
fn check_layers(tree: &Tree) -> Vec<String> {
    let layer_of = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    let mut complaints = Vec::new();
    for (path, text) in rust_files(tree).filter(|(path, _)| !is_test(path)) {
        let Some(inner) = path.strip_prefix("storage/src/") else { continue };
        let module = inner.split('/').next().unwrap().trim_end_matches(".rs");
        let Some(own) = layer_of(module) else { continue };
        for (number, line) in code_lines(text) {
            for after in line.split("crate::").skip(1) {
                let used: String =
                    after.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
                if layer_of(&used).is_some_and(|layer| layer > own) {
                    complaints.push(format!("{path}:{number}: {module} must not use {used}, which lies above it"));
                }
            }
        }
    }
    complaints
}

/// Lines with code: no blanks, no comments, no `#[cfg(test)]` modules. Numbered from 1. Trusts rustfmt's layout.
fn code_lines(text: &str) -> Vec<(usize, &str)> {
    let mut lines = Vec::new();
    let mut rest = text.lines().zip(1..).peekable();
    while let Some((line, number)) = rest.next() {
        let trimmed = line.trim();
        let next_opens = rest.peek().is_some_and(|(next, _)| next.starts_with("mod ") && next.ends_with('{'));
        if line == "#[cfg(test)]" && next_opens {
            for (line, _) in rest.by_ref() {
                if line == "}" {
                    break;
                }
            }
        } else if !trimmed.is_empty() && !trimmed.starts_with("//") {
            lines.push((number, line));
        }
    }
    lines
}

/// No file beyond FILE_WALL, no binary beyond BINARY_WALL, no table that is not there.
fn check_sizes(tree: &Tree, tables: &[(&str, &str)]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut binary = 0;
    for (path, text) in rust_files(tree).filter(|(path, _)| !is_test(path)) {
        let lines = code_lines(text).len();
        if path.starts_with("src/") {
            binary += lines;
        }
        if lines > FILE_WALL && tables.iter().all(|(table, _)| table != path) {
            complaints.push(format!("{path}: {lines} lines of code; {FILE_WALL} is the wall"));
        }
    }
    if binary > BINARY_WALL {
        complaints.push(format!("src/: {binary} lines of code; {BINARY_WALL} is the wall, the rooms hold the rest"));
    }
    let gone = tables.iter().filter(|(table, _)| !tree.contains_key(*table));
    complaints.extend(gone.map(|(table, _)| format!("TABLES names {table}, which is not there")));
    complaints
}

/// No module whose name says nothing.
fn check_names(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, text) in rust_files(tree) {
        let parts = path.trim_end_matches(".rs").split('/');
        let inline = text.lines().filter_map(|line| line.trim().trim_start_matches("pub ").strip_prefix("mod "));
        let inline = inline.filter_map(|rest| rest.split([' ', ';', '{']).next());
        for name in parts.chain(inline).filter(|name| FORBIDDEN_MODULES.contains(name)) {
            complaints.push(format!("{path}: a module named `{name}` says nothing of what it answers"));
        }
    }
    complaints
}

/// Every Rust file says at its top which question it answers; `foo/tests.rs` belongs to `foo`, which does.
fn check_openings(tree: &Tree) -> Vec<String> {
    let silent = rust_files(tree).filter(|(path, text)| !text.starts_with("//! ") && !path.ends_with("/tests.rs"));
    silent.map(|(path, _)| format!("{path}: opens without `//!`")).collect()
}

/// Nothing unfinished, no test that is skipped, nothing of one machine.
fn check_lines(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, text) in tree.iter().filter(|(path, _)| !is_foreign(path) && *path != "Cargo.lock") {
        for (line, number) in text.lines().zip(1..) {
            let mut complain = |what: &str| complaints.push(format!("{path}:{number}: {what}"));
            for word in UNFINISHED {
                if line.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|part| part == word) {
                    complain(&format!("{word}: finish it, or write an issue"));
                }
            }
            if path.ends_with(".rs") && line.contains(IGNORED_TEST) {
                complain("a test that is ignored tests nothing");
            }
            if MACHINE_PATHS.iter().any(|prefix| starts_path(line, prefix)) {
                complain("a path of one machine");
            }
            if REGISTRY_HOSTS.iter().any(|host| line.contains(host)) {
                complain("the host of a package registry");
            }
        }
    }
    complaints
}

/// Does an absolute path that begins with `prefix` stand in the line?
fn starts_path(line: &str, prefix: &str) -> bool {
    line.match_indices(prefix).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|letter| !letter.is_alphanumeric() && !"._-}~*/)>".contains(letter))
    })
}

/// The lock file knows one source.
fn check_lock(tree: &Tree) -> Vec<String> {
    const SOURCE: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    let lock = tree.get("Cargo.lock").map_or("", String::as_str);
    let others = lock.lines().filter(|line| line.starts_with("source = ") && *line != SOURCE);
    others.map(|line| format!("Cargo.lock: {line}")).collect()
}

fn exists(tree: &Tree, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    let folder = format!("{path}/");
    path.is_empty()
        || tree.contains_key(path)
        || tree.range(folder.clone()..).next().is_some_and(|(next, _)| next.starts_with(&folder))
        || GENERATED.iter().any(|generated| path == *generated || path.starts_with(&format!("{generated}/")))
}

/// Lines outside fenced code, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().zip(1..).filter_map(move |(line, number)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        (!fenced).then_some((number, line))
    })
}

/// Every path that ARCHITECTURE.md names exists: inline code with a slash in it, braces expanded.
fn check_architecture(tree: &Tree) -> Vec<String> {
    let Some(text) = tree.get("ARCHITECTURE.md") else { return vec!["there is no ARCHITECTURE.md".to_owned()] };
    let mut complaints = Vec::new();
    for (number, line) in prose(text) {
        for code in line.split('`').skip(1).step_by(2) {
            let like_a_path = |letter: char| letter.is_ascii_alphanumeric() || "/_-.{},".contains(letter);
            if !code.contains('/') || code.starts_with('/') || !code.chars().all(like_a_path) {
                continue;
            }
            for path in expand(code) {
                if !exists(tree, &path) {
                    complaints.push(format!("ARCHITECTURE.md:{number}: {path} is not there"));
                }
            }
        }
    }
    complaints
}

/// `a/{b,c}` is `a/b` and `a/c`; one pair of braces.
fn expand(path: &str) -> Vec<String> {
    match path.split_once('{').and_then(|(head, rest)| Some((head, rest.split_once('}')?))) {
        Some((head, (choices, tail))) => choices.split(',').map(|choice| [head, choice, tail].concat()).collect(),
        None => vec![path.to_owned()],
    }
}

/// Every relative link in a Markdown file leads to a file, and its anchor to a heading.
fn check_links(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, text) in tree.iter().filter(|(path, _)| path.ends_with(".md") && !is_foreign(path)) {
        for (number, line) in prose(text) {
            let plain: String = line.split('`').step_by(2).collect();
            for after in plain.split("](").skip(1) {
                let target = after.split([')', ' ']).next().unwrap_or_default();
                if target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
                let file = if file.is_empty() { path.clone() } else { resolve(path, file) };
                if !exists(tree, &file) {
                    complaints.push(format!("{path}:{number}: dead link {target}"));
                } else if !anchor.is_empty() && !tree.get(&file).is_some_and(|text| anchors(text).contains(anchor)) {
                    complaints.push(format!("{path}:{number}: no heading for #{anchor}"));
                }
            }
        }
    }
    complaints
}

/// `link` as seen from the folder of `from`.
fn resolve(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchors that a Markdown viewer gives to headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text)
        .filter_map(|(_, line)| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')));
    headings
        .map(|heading| {
            let kept = heading.trim().to_lowercase();
            let kept = kept.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
            kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
        })
        .collect()
}

/// How many settings the rooms have: public fields of structs named `…Config`, `…Settings` or `…Limits`.
fn count_settings(tree: &Tree) -> usize {
    let rooms = ["src/", "collector/src/", "storage/src/", "query/src/"];
    let mut count = 0;
    for (_, text) in rust_files(tree).filter(|(path, _)| rooms.iter().any(|room| path.starts_with(room))) {
        let mut inside = false;
        for (_, line) in code_lines(text) {
            if let Some(name) = line.strip_prefix("pub struct ").and_then(|rest| rest.strip_suffix(" {")) {
                inside = ["Config", "Settings", "Limits"].iter().any(|ending| name.ends_with(ending));
            } else if line == "}" {
                inside = false;
            } else if inside && line.starts_with("    pub ") {
                count += 1;
            }
        }
    }
    count
}

// ---------------------------------------------------------------------------------------------------------------------

fn metadata() -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn rooms_know_only_whom_they_may() {
    let metadata = metadata();
    assert_eq!(metadata["packages"].as_array().unwrap().len(), ARROWS.len());
    assert_none(&check_arrows(&metadata));
}

#[test]
fn storage_is_layered() {
    assert_none(&check_layers(&read_tree()));
}

#[test]
fn files_stay_within_the_walls() {
    assert_none(&check_sizes(&read_tree(), &TABLES));
}

#[test]
fn modules_are_named_by_what_they_answer() {
    assert_none(&check_names(&read_tree()));
}

#[test]
fn files_open_with_their_question() {
    assert_none(&check_openings(&read_tree()));
}

#[test]
fn nothing_is_unfinished_or_of_one_machine() {
    assert_none(&check_lines(&read_tree()));
}

#[test]
fn packages_come_from_one_source() {
    assert_none(&check_lock(&read_tree()));
}

#[test]
fn architecture_names_what_is_there() {
    assert_none(&check_architecture(&read_tree()));
}

#[test]
fn links_lead_somewhere() {
    assert_none(&check_links(&read_tree()));
}

#[test]
fn settings_stay_within_budget() {
    let count = count_settings(&read_tree());
    assert!(count <= SETTINGS_BUDGET, "{count} settings; the budget is {SETTINGS_BUDGET}");
}

/// The checks themselves, on trees that they must not let pass.
mod a_check_complains {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    fn dependency(name: &str, on: &str, kind: &str, feature: &str) -> Value {
        let packages = ARROWS.map(|(room, _)| {
            let edge = serde_json::json!([{"name": on, "kind": kind, "features": [feature]}]);
            serde_json::json!({"name": room, "dependencies": if room == name { edge } else { serde_json::json!([]) }})
        });
        serde_json::json!({"packages": packages})
    }

    #[test]
    fn about_arrows_that_nobody_granted() {
        for (room, other) in
            [("storage", "collector"), ("collector", "query"), ("web", "storage"), ("xtask", "storage")]
        {
            for kind in ["normal", "dev", "build"] {
                let complaints = check_arrows(&dependency(room, other, kind, ""));
                assert_eq!(complaints, [format!("{room} must not know {other}")]);
            }
        }
        assert_none(&check_arrows(&dependency("collector", "storage", "normal", "")));
    }

    #[test]
    fn about_crates_that_carry_a_neighbours_knowledge() {
        assert_eq!(check_arrows(&dependency("storage", "prost", "normal", "")).len(), 1);
        assert_eq!(check_arrows(&dependency("storage", "tokio", "normal", "net")).len(), 1);
        assert_none(&check_arrows(&dependency("storage", "tokio", "normal", "sync")));
        assert_none(&check_arrows(&dependency("storage", "prost", "dev", "")));
    }

    #[test]
    fn about_a_package_without_a_decision() {
        let metadata = serde_json::json!({"packages": [{"name": "storage-common", "dependencies": []}]});
        assert_eq!(check_arrows(&metadata).len(), 1);
    }

    #[test]
    fn about_a_module_that_uses_what_lies_above() {
        let line = "//! a\nuse crate::engine::Engine;\n";
        assert_eq!(check_layers(&tree(&[("storage/src/wal/writer.rs", line)])).len(), 1);
        assert_eq!(check_layers(&tree(&[("storage/src/model.rs", "//! a\nuse crate::wal;\n")])).len(), 1);
        assert_none(&check_layers(&tree(&[("storage/src/engine.rs", "//! a\nuse crate::wal;\n")])));
        let in_test = "//! a\n#[cfg(test)]\nmod tests {\n    use crate::engine::Engine;\n}\n";
        assert_none(&check_layers(&tree(&[("storage/src/wal.rs", in_test)])));
    }

    #[test]
    fn about_code_beyond_the_walls() {
        let long = "let a = 1;\n".repeat(FILE_WALL + 1);
        assert_eq!(check_sizes(&tree(&[("query/src/a.rs", &long)]), &[]).len(), 1);
        assert_none(&check_sizes(&tree(&[("query/src/a.rs", &long)]), &[("query/src/a.rs", "names")]));
        assert_none(&check_sizes(&tree(&[("query/src/a/tests.rs", &long)]), &[]));
        assert_eq!(check_sizes(&tree(&[]), &[("query/src/a.rs", "names")]).len(), 1);
        let half = "let a = 1;\n".repeat(BINARY_WALL / 2 + 1);
        assert_eq!(check_sizes(&tree(&[("src/main.rs", &half), ("src/serve.rs", &half)]), &[]).len(), 1);
    }

    #[test]
    fn but_not_about_comments_blanks_and_tests() {
        let text = "//! a\n\nfn a() {}\n// b\n#[cfg(test)]\nmod tests {\n    fn c() {}\n}\nfn d() {}\n";
        assert_eq!(code_lines(text), [(3, "fn a() {}"), (9, "fn d() {}")]);
    }

    #[test]
    fn about_names_that_say_nothing() {
        for (path, text) in [("query/src/utils.rs", ""), ("query/src/core/a.rs", ""), ("a.rs", "pub mod helpers;")] {
            assert_eq!(check_names(&tree(&[(path, text)])).len(), 1, "{path}");
        }
        assert_none(&check_names(&tree(&[("query/src/typesetter.rs", "mod basement;")])));
    }

    #[test]
    fn about_a_silent_file() {
        assert_eq!(check_openings(&tree(&[("a.rs", "fn main() {}")])).len(), 1);
        assert_none(&check_openings(&tree(&[("a.rs", "//! What?\n"), ("web/vendor/b.rs", "")])));
    }

    #[test]
    fn about_lines_that_must_not_stay() {
        let bad = [
            format!("// {}: later", UNFINISHED[0]),
            format!("    {}]", IGNORED_TEST),
            format!("let path = \"{}x\";", MACHINE_PATHS[0]),
            format!("cd {}me/project", MACHINE_PATHS[1]),
            format!("curl https://{}/simple", REGISTRY_HOSTS[3]),
        ];
        for line in &bad {
            assert_eq!(check_lines(&tree(&[("a.rs", line)])).len(), 1, "{line}");
        }
        let good = format!("see ../{} and a{}b, TODOS", MACHINE_PATHS[3].trim_start_matches('/'), MACHINE_PATHS[3]);
        assert_none(&check_lines(&tree(&[("a.rs", &good), ("web/vendor/b.js", &bad[0])])));
    }

    #[test]
    fn about_a_second_source() {
        let lock = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\nsource = \"git+https://x\"\n";
        assert_eq!(check_lock(&tree(&[("Cargo.lock", lock)])), ["Cargo.lock: source = \"git+https://x\""]);
    }

    #[test]
    fn about_paths_that_are_not_there() {
        let text = "`storage/src/{wal,walrus}.rs`, `web/dist`, `GET /x`, `a`, `/api/v1`\n```\n`no/where`\n```\n";
        let complaints = check_architecture(&tree(&[("ARCHITECTURE.md", text), ("storage/src/wal.rs", "")]));
        assert_eq!(complaints, ["ARCHITECTURE.md:1: storage/src/walrus.rs is not there"]);
        assert_eq!(check_architecture(&tree(&[])).len(), 1);
    }

    #[test]
    fn about_dead_links_and_anchors() {
        let text = "# A b\n[1](c.md) [2](../x.md) [3](#a-b) [4](#no) [5](c.md#top) [6](https://a.b/c) `[7](no.md)`\n";
        let complaints = check_links(&tree(&[("docs/a.md", text), ("docs/c.md", "## Top\n"), ("y.md", "")]));
        assert_eq!(complaints, ["docs/a.md:2: dead link ../x.md", "docs/a.md:2: no heading for #no"]);
    }

    #[test]
    fn about_settings_that_it_counts() {
        let text = "//! a\npub struct WalConfig {\n    pub a: u8,\n    b: u8,\n    pub c: u8,\n}\npub struct Other {\n    pub d: u8,\n}\n";
        assert_eq!(count_settings(&tree(&[("storage/src/wal.rs", text), ("web/src/a.rs", text)])), 2);
    }
}
