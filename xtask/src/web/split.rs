//! How is the program cut into parts that are loaded when a page of theirs is opened?
//!
//! `web/src/page` marks functions with the part that they belong to; wasm_split_cli_support finds by the linker's
//! relocations (`.cargo/config.toml` asks for them, on both routes) what each of them needs, and writes a script that loads it.
//!
//! SP1  A part that does not come leaves the program as it was: the page says so, and asks again.
//! SP2  Parts and program of two builds do not meet: each part imports a name that only its own program has.
//!
//! Not here: which pages make a part (`web/src/page`), how few bytes a part takes (`shrink`).

use super::shrink::shrink;
use anyhow::{Context, Result, anyhow, ensure};
use std::collections::BTreeMap;
use std::path::Path;

/// The files of each part, by its name.
pub(super) type Parts = BTreeMap<String, Vec<String>>;

/// What loads the parts; the program imports it by this name.
const LINK: &str = "./web_split.js";

/// Where `boot.js` is told the files of the parts.
const PLACE: &str = "const PARTS = {};";

/// Writes the parts into `stage` and the program without them to `main`.
pub(super) fn write(wasm: &Path, stage: &Path, main: &Path) -> Result<Parts> {
    let input = std::fs::read(wasm).context("failed to read the program")?;
    let mut options = wasm_split_cli_support::Options::new(&input);
    options.output_dir = stage;
    options.main_out_path = main;
    options.link_name = LINK;
    options.main_module = "./web.js";
    let made = wasm_split_cli_support::transform(options);
    let made = made.map_err(|error| anyhow!("failed to split the program into parts: {error:#}"))?;
    for part in &made.split_modules {
        let small = shrink(&std::fs::read(part)?).with_context(|| format!("failed to shrink {}", part.display()))?;
        std::fs::write(part, small)?;
    }
    let named = |files: Vec<String>| files.into_iter().map(|file| file + ".wasm").collect();
    Ok(made.prefetch_map.into_iter().map(|(part, files)| (part, named(files))).collect())
}

/// `boot.js`, told which files it may ask for before the program does.
pub(super) fn tell(parts: &Parts, boot: &str) -> Result<String> {
    ensure!(boot.contains(PLACE), "web/style/boot.js has no `{PLACE}`");
    let unknown = named(boot).find(|part| !parts.contains_key(*part));
    ensure!(unknown.is_none(), "web/style/boot.js names a part that no page marks: {}", unknown.unwrap_or_default());
    Ok(boot.replace(PLACE, &format!("const PARTS = {};", serde_json::to_string(parts)?)))
}

/// The parts that `boot.js` knows by the path.
fn named(boot: &str) -> impl Iterator<Item = &str> {
    let table =
        boot.split_once("const PART_OF = {").and_then(|(_, rest)| rest.split_once('}')).map_or("", |(table, _)| table);
    table.split('"').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_boot_are_those_that_pages_mark() {
        let boot = include_str!("../../../web/style/boot.js");
        let pages = include_str!("../../../web/src/page/mod.rs");
        assert!(boot.contains(PLACE));
        assert!(named(boot).count() > 2);
        let unmarked: Vec<&str> = named(boot).filter(|part| !pages.contains(&format!("pages!({part}:"))).collect();
        assert!(unmarked.is_empty(), "{unmarked:?}");
    }

    #[test]
    fn boot_is_told_the_files_of_each_part() {
        let parts = Parts::from([("logs".to_owned(), vec!["chunk_1.wasm".to_owned(), "split_logs.wasm".to_owned()])]);
        let boot = r#"const PARTS = {}; const PART_OF = { log: "logs" };"#;
        let told = tell(&parts, boot).unwrap();
        assert!(told.contains(r#"const PARTS = {"logs":["chunk_1.wasm","split_logs.wasm"]};"#), "{told}");
        assert!(tell(&parts, "let other;").is_err());
        assert!(tell(&parts, &boot.replace("\"logs\"", "\"log\"")).is_err());
    }
}
