//! Which files make up the bundle, and how large is each?
//!
//! Everything is made in a staging folder and moved when complete (B1). The program is cut where `web/src/page` marks a page
//! (`split`): what one part alone needs becomes `split_PART.wasm`, what several need `chunk_N.wasm`, the rest `web_bg.wasm`.
//!
//! B5  What a first visit loads is the files of no part, and those of the part that the page belongs to.
//!
//! Not here: compiling (`route`), cutting (`split`), shorter names (`glue`), whether it is needed (`stamp`).

use super::split::{self, Parts};
use super::{dist, glue, stamp};
use crate::repo::{Repo, files_below};
use anyhow::{Context, Result, ensure};
use std::io::Write;
use std::path::Path;

/// Already compressed, so no neighbours.
const PACKED: [&str; 5] = ["woff2", "png", "jpg", "webp", "ico"];

/// What starts the program, and is told which files a page needs.
const BOOT: &str = "style/boot.js";

/// What draws lines, and the parts whose pages ask for it (`web/src/component/plot.rs`).
const PLOTTER: (&str, [&str; 2]) = ("vendor/uplot/uPlot.iife.min.js", ["metrics", "services"]);

/// One file of the bundle, with the sizes of its compressed neighbours (its own size where it has none).
#[derive(Debug, Clone, Default)]
pub(super) struct File {
    /// Below `web/dist`.
    pub(super) name: String,
    plain: u64,
    /// Bytes on the wire for a client that takes gzip only.
    gzip: u64,
    /// Bytes on the wire for a client that takes brotli.
    pub(super) brotli: u64,
}

/// Makes the bundle and puts it in place.
pub(super) fn write(repo: &Repo, wasm: &Path, stamp: &str) -> Result<(Vec<File>, Parts)> {
    let stage = repo.target.join("web/stage");
    remove(&stage)?;
    std::fs::create_dir_all(&stage)?;
    let main = repo.target.join("web/main.wasm");
    let mut parts = split::write(wasm, &stage, &main)?;
    bind(&main, &stage)?;
    let web = repo.root.join("web");
    std::fs::copy(web.join("index.html"), stage.join("index.html")).context("failed to copy web/index.html")?;
    for folder in ["style", "vendor"] {
        if web.join(folder).is_dir() {
            copy_below(&web.join(folder), &stage.join(folder))?;
        }
    }
    let boot = stage.join(BOOT);
    let filled = split::tell(&parts, &std::fs::read_to_string(&boot)?)?;
    std::fs::write(&boot, filled)?;
    for part in PLOTTER.1 {
        let files = parts.get_mut(part).with_context(|| format!("no page is of the part `{part}`"))?;
        files.push(PLOTTER.0.to_owned());
    }
    let mut files = Vec::new();
    for path in files_below(&stage)? {
        let name = path.strip_prefix(&stage).unwrap_or(&path).to_string_lossy().into_owned();
        files.push(compress(&path, name)?);
    }
    ensure!(files.iter().any(|file| file.name == PLOTTER.0), "web has no {}", PLOTTER.0);
    let dist = dist(repo);
    remove(&dist)?;
    copy_below(&stage, &dist)?;
    std::fs::write(dist.join(stamp::FILE), stamp)?;
    Ok((files, parts))
}

/// Prints a table and returns the sums: of all, and of what a first visit of each part loads.
pub(super) fn report(files: &[File], parts: &Parts) -> (File, Vec<File>) {
    let total = sum("total".to_owned(), files.iter());
    let in_parts = |file: &File| parts.values().any(|part| part.contains(&file.name));
    let visits: Vec<File> = parts
        .iter()
        .map(|(name, part)| {
            let loaded = files.iter().filter(|file| part.contains(&file.name) || !in_parts(file));
            sum(format!("first visit: {name}"), loaded)
        })
        .collect();
    println!("{:<32} {:>10} {:>10} {:>10}", "web/dist", "bytes", "gzip", "brotli");
    for file in files.iter().chain(&visits).chain([&total]) {
        println!("{:<32} {:>10} {:>10} {:>10}", file.name, file.plain, file.gzip, file.brotli);
    }
    (total, visits)
}

fn sum<'a>(name: String, files: impl Iterator<Item = &'a File>) -> File {
    files.fold(File { name, ..File::default() }, |sum, file| File {
        plain: sum.plain + file.plain,
        gzip: sum.gzip + file.gzip,
        brotli: sum.brotli + file.brotli,
        ..sum
    })
}

fn bind(wasm: &Path, stage: &Path) -> Result<()> {
    let mut bindgen = wasm_bindgen_cli_support::Bindgen::new();
    bindgen.input_path(wasm).out_name("web").typescript(false);
    // So that `init()` finds web_bg.wasm beside web.js by itself.
    bindgen.omit_default_module_path(false);
    // The pages' parts find the program's functions by these exports.
    bindgen.keep_lld_exports(true).demangle(false);
    bindgen.remove_name_section(true).remove_producers_section(true);
    bindgen.web(true).context("failed to choose the web output")?;
    bindgen.generate(stage).context("wasm-bindgen failed")?;
    glue::shorten(&stage.join("web.js"), &stage.join("web_bg.wasm"))
}

/// Writes `file.gz` and `file.br` where they are smaller than the file.
fn compress(path: &Path, name: String) -> Result<File> {
    let content = std::fs::read(path)?;
    let plain = u64::try_from(content.len())?;
    let mut file = File { name, plain, gzip: plain, brotli: plain };
    let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
    if PACKED.contains(&extension.as_str()) {
        return Ok(file);
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&content)?;
    file.gzip = neighbour(path, "gz", &gzip.finish()?, plain)?;
    let mut packed = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 22, ..Default::default() };
    brotli::BrotliCompress(&mut content.as_slice(), &mut packed, &parameters)?;
    file.brotli = neighbour(path, "br", &packed, plain)?;
    Ok(file)
}

/// Writes `path.extension` if it is smaller than the original, and returns the smaller size.
fn neighbour(path: &Path, extension: &str, content: &[u8], plain: u64) -> Result<u64> {
    let size = u64::try_from(content.len())?;
    if size >= plain {
        return Ok(plain);
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    std::fs::write(&name, content).with_context(|| format!("failed to write {}", name.display()))?;
    Ok(size)
}

fn copy_below(from: &Path, to: &Path) -> Result<()> {
    for file in files_below(from)? {
        let target = to.join(file.strip_prefix(from)?);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::copy(&file, &target).with_context(|| format!("failed to copy to {}", target.display()))?;
    }
    ensure!(to.is_dir(), "{} has no files", from.display());
    Ok(())
}

/// Removes a file or a folder, or neither.
fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.with_context(|| format!("failed to remove {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn neighbours_unpack_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.js");
        let text = "let a = 1;\n".repeat(100);
        std::fs::write(&path, &text).unwrap();
        let file = compress(&path, "a.js".to_owned()).unwrap();
        assert!(file.gzip < file.plain && file.brotli < file.plain);

        let mut unpacked = String::new();
        let gzip = std::fs::read(folder.path().join("a.js.gz")).unwrap();
        flate2::read::GzDecoder::new(gzip.as_slice()).read_to_string(&mut unpacked).unwrap();
        assert_eq!(unpacked, text);

        let mut unpacked = Vec::new();
        let packed = std::fs::read(folder.path().join("a.js.br")).unwrap();
        brotli::BrotliDecompress(&mut packed.as_slice(), &mut unpacked).unwrap();
        assert_eq!(unpacked, text.as_bytes());
    }

    #[test]
    fn a_first_visit_is_what_no_part_holds_and_its_own_part() {
        let file = |name: &str, brotli| File { name: name.to_owned(), brotli, ..File::default() };
        let files =
            [file("chunk_1.wasm", 1), file("split_a.wasm", 10), file("split_b.wasm", 100), file("web.js", 1000)];
        let part = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let parts = Parts::from([
            ("a".to_owned(), part(&["chunk_1.wasm", "split_a.wasm"])),
            ("b".to_owned(), part(&["split_b.wasm"])),
        ]);
        let (total, visits) = report(&files, &parts);
        assert_eq!(total.brotli, 1111);
        assert_eq!(visits.iter().map(|visit| visit.brotli).collect::<Vec<_>>(), [1011, 1100]);
    }

    #[test]
    fn a_file_that_does_not_shrink_has_no_neighbours() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.js");
        std::fs::write(&path, "a").unwrap();
        let file = compress(&path, "a.js".to_owned()).unwrap();
        assert_eq!((file.plain, file.gzip, file.brotli), (1, 1, 1));
        assert_eq!(files_below(folder.path()).unwrap(), [path]);
    }
}
