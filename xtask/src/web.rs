//! How does the UI become `web/dist`, the bundle that the binary embeds?
//!
//! `web/` is compiled for wasm32 (two routes: `route`), wasm-bindgen writes the JavaScript around it, `index.html`, `style/` and
//! `vendor/` are copied beside it, and every file gets a gzip and a brotli neighbour (`bundle`). No wasm-opt: it makes the program
//! smaller on the disk and no smaller on the wire (`web/DESIGN.md`), and without it every machine makes the same bundle.
//!
//! B1  `web/dist` is replaced only by a complete bundle; its stamp is written last.
//! B2  A bundle whose stamp equals the hash of its inputs is left alone (`stamp`).
//! B3  What a first visit of any page loads, with brotli as every browser of today takes it, stays below `VISIT_LIMIT_BYTES`; all
//!     files together stay below `SIZE_LIMIT_BYTES`.
//! B4  No wasm toolchain is not a failure: exit status 3, and the caller goes on without a UI.
//!
//! Not here: what a person sees (`web/`), embedding and serving (the binary).

mod route;
mod stamp;

#[cfg(feature = "web")]
mod bundle;
#[cfg(feature = "web")]
mod glue;
#[cfg(feature = "web")]
mod shrink;
#[cfg(feature = "web")]
mod split;

use crate::Outcome;
use crate::repo::Repo;
use anyhow::{Result, bail};
use std::path::PathBuf;

/// A first visit's wall, with brotli: below a second on a slow line (4 Mbit/s).
#[cfg(feature = "web")]
const VISIT_LIMIT_BYTES: u64 = 400_000;
/// A part that no page begins with: it comes when a person opens what it draws, behind the page's own part.
#[cfg(feature = "web")]
const LATER: &str = "first visit: tabs";
/// The wall of all files together, with brotli: who opens every page has loaded them in less than two seconds on that line.
#[cfg(feature = "web")]
const SIZE_LIMIT_BYTES: u64 = 850_000;

/// Builds the bundle unless it is fresh.
pub(crate) fn run(options: &[&str]) -> Result<Outcome> {
    let force = match options {
        [] => false,
        ["--force"] => true,
        other => bail!("unknown options {other:?}; known: --force"),
    };
    let repo = Repo::find()?;
    let stamp = stamp::of_inputs(&repo)?;
    if !force && stamp::of_bundle(&repo).as_deref() == Some(stamp.as_str()) {
        println!("web: web/dist is up to date");
        return Ok(Outcome::Done);
    }
    let Some(route) = route::choose()? else {
        eprintln!("{}", route::MISSING);
        return Ok(Outcome::ToolMissing);
    };
    build(&repo, route, &stamp)
}

/// Compiles and bundles.
#[cfg(feature = "web")]
fn build(repo: &Repo, route: route::Route, stamp: &str) -> Result<Outcome> {
    let wasm = route.compile(repo)?;
    let (files, parts) = bundle::write(repo, &wasm, stamp)?;
    let (total, visits) = bundle::report(&files, &parts);
    if let Some(visit) = visits.iter().find(|visit| visit.name != LATER && visit.brotli > VISIT_LIMIT_BYTES) {
        bail!("{} loads {} bytes with brotli; {VISIT_LIMIT_BYTES} is the wall", visit.name, visit.brotli);
    }
    if total.brotli > SIZE_LIMIT_BYTES {
        bail!("the bundle has {} bytes with brotli; {SIZE_LIMIT_BYTES} is the wall", total.brotli);
    }
    Ok(Outcome::Done)
}

/// Runs this task again with the feature that brings wasm-bindgen; the other tasks do without its build time.
#[cfg(not(feature = "web"))]
fn build(repo: &Repo, _: route::Route, _: &str) -> Result<Outcome> {
    let mut again = crate::repo::cargo();
    again.args(["run", "--package", "xtask", "--features", "web"]).args(crate::repo::locked());
    let status = again.args(["--", "web", "--force"]).current_dir(&repo.root).status()?;
    match status.code() {
        Some(0) => Ok(Outcome::Done),
        Some(3) => Ok(Outcome::ToolMissing),
        _ => bail!("building the web bundle failed"),
    }
}

/// Where the bundle goes.
fn dist(repo: &Repo) -> PathBuf {
    repo.root.join("web/dist")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    /// All versions of `package` in a lock file.
    fn versions(lock: &str, package: &str) -> Vec<String> {
        let lock: toml::Table = lock.parse().unwrap();
        let packages = lock["package"].as_array().unwrap();
        let named = packages.iter().filter(|entry| entry["name"].as_str() == Some(package));
        named.map(|entry| entry["version"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn bindgen_of_the_bundle_is_the_one_that_the_ui_links() {
        let lock = std::fs::read_to_string(
            PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../Cargo.lock"),
        )
        .unwrap();
        let linked = versions(&lock, "wasm-bindgen");
        assert_eq!(linked.len(), 1, "one wasm-bindgen, not {linked:?}");
        assert_eq!(versions(&lock, "wasm-bindgen-cli-support"), linked);
        let manifest = include_str!("../Cargo.toml");
        let pinned = format!("wasm-bindgen-cli-support = {{ version = \"={}\"", linked[0]);
        assert!(manifest.contains(&pinned), "xtask/Cargo.toml does not pin {}", linked[0]);
    }
}
