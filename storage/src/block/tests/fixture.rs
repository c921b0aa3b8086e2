//! Blocks of every format version stay readable: those under `tests/fixtures` were written when their version was new.
//!
//! With `SPANLIGHT_WRITE_FIXTURES` in the environment the test writes the fixture of the current version first. That is
//! right for a version that no release has written yet, and wrong ever after.

use super::*;
use crate::fs::Disk;
use std::fmt::Write as _;
use std::path::PathBuf;

/// The versions of the format; fixtures are written of the last.
const VERSIONS: [&str; 3] = ["v1", "v2", "v3"];

fn folder(version: &str, signal: Signal) -> PathBuf {
    Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap())
        .join("tests/fixtures")
        .join(version)
        .join(format!("block-{signal}"))
}

/// The checksum of `meta`, then the rows, a line each: cells in hex, `-` for null.
fn told(crc: u32, rows: &[Row]) -> String {
    let mut text = format!("{crc:08x}\n");
    for row in rows {
        for cell in row {
            match cell {
                None => text.push('-'),
                Some(bytes) => bytes.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap()),
            }
            text.push(' ');
        }
        text.push('\n');
    }
    text
}

#[expect(clippy::disallowed_methods, reason = "fixtures are written by hand, not by the store")]
fn write_fixture(signal: Signal) {
    let folder = folder(VERSIONS[2], signal);
    let block = folder.join("block");
    drop(std::fs::remove_dir_all(&folder));
    Disk.create_dir_all(&block).unwrap();
    let mut batches = Random::new(2026).batches(signal, 150);
    if signal == Signal::Logs {
        batches.push(super::bodies::batch(&super::bodies::lines(120)));
    }
    let meta = write(&Disk, &block, signal, &batches, &small()).unwrap();
    std::fs::write(folder.join("rows.txt"), told(meta.crc(), &rows(&record_batches(&kept(signal, &batches))))).unwrap();
}

#[test]
fn blocks_of_all_versions_are_read() {
    for (version, signal) in VERSIONS.iter().flat_map(|version| Signal::ALL.map(|signal| (version, signal))) {
        if *version == VERSIONS[2] && std::env::var_os("SPANLIGHT_WRITE_FIXTURES").is_some() {
            write_fixture(signal);
        }
        let expected = std::fs::read_to_string(folder(version, signal).join("rows.txt")).unwrap();
        let crc = u32::from_str_radix(expected.lines().next().unwrap(), 16).unwrap();
        let block = Block::open(Arc::new(Disk), &folder(version, signal).join("block"), signal, crc).unwrap();
        block.verify().unwrap();
        let answer = scan_all(&block, ScanRequest::all(all_columns(signal)));
        assert!(told(crc, &rows(&answer)) == expected, "the rows of the {signal} fixture of {version} differ");
    }
}
