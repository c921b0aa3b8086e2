//! What do bodies of logs take as templates, and what does it cost to write and to read them?
//!
//! Logs are those of `corpus`, repeated up to `BODIES_MB` (default 1024) together, in blocks of `BODIES_BLOCK_MB` (64). Every figure
//! is CPU time of this thread; sizes are those of all files of the blocks, against Zstandard at level 3 on runs of 4096 lines.
//! With `BODIES_COLUMN=1` bodies are kept as a column, for comparison; `BODIES_TEXT_PAGE` sets the bytes of that column's pages.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a bench that cannot go on must stop; rows go to stdout")]

mod corpus;

use corpus::{Tiles, batch, packed};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use storage::block::{Block, BlockConfig, BodyEncoding, write};
use storage::fs::{Disk, Filesystem};
use storage::model::schema::column as name;
use storage::model::{Batch, Signal};
use storage::scan::{Field, Predicate, ScanRequest};

/// Files of logs, and a part of a line that many lines have.
const CORPORA: [(&str, &str); 4] = [
    ("apache_access", "Mozilla"),
    ("auth", "Failed password"),
    ("kafka_broker_all", "partition"),
    ("nginxplus_json", "responses"),
];
/// Words that stand once in all blocks.
const RARE: usize = 64;
/// Of searches that take long, the fastest of so many is told.
const ROUNDS: usize = 3;

/// What was measured of some blocks.
#[derive(Default)]
struct Sum {
    raw: usize,
    zstd: usize,
    stored: u64,
    bodies: u64,
    index: u64,
    write: f64,
    decode: f64,
}

impl Sum {
    fn add(&mut self, other: &Sum) {
        self.raw += other.raw;
        self.zstd += other.zstd;
        self.stored += other.stored;
        self.bodies += other.bodies;
        self.index += other.index;
        self.write += other.write;
        self.decode += other.decode;
    }

    fn tell(&self, label: &str) {
        let zstd = self.zstd as f64;
        let rate = |nanos: f64| self.raw as f64 / nanos * 1e3;
        row(&format!("bodies.{label}_bytes_to_zstd3"), self.stored as f64 / zstd, "ratio", Some("<= 1.15"));
        row(&format!("bodies.{label}_bodies_to_zstd3"), self.bodies as f64 / zstd, "ratio", None);
        row(&format!("bodies.{label}_index_to_zstd3"), self.index as f64 / zstd, "ratio", None);
        row(&format!("bodies.{label}_write"), rate(self.write), "MB/s", Some(">= 50"));
        row(&format!("bodies.{label}_decode"), rate(self.decode), "MB/s", None);
    }
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let block_bytes = setting("BODIES_BLOCK_MB", 64usize) << 20;
    let blocks = (setting("BODIES_MB", 1024usize) << 20).div_ceil(block_bytes).next_multiple_of(CORPORA.len());
    let (mut all, mut opened) = (Sum::default(), Vec::new());
    let (mut commons, mut tenths) = (Vec::new(), Vec::new());
    for (corpus, common) in CORPORA {
        let mut tiles = Tiles::of(corpus);
        let mut sum = Sum::default();
        let (first, mut of_tenth) = (opened.len(), String::new());
        for _ in 0..blocks / CORPORA.len() {
            let number = opened.len();
            let dir = folder.path().join(number.to_string());
            let mut lines = tiles.take(block_bytes);
            for word in (number..RARE).step_by(blocks) {
                let row = lines.len() / 67 * (word + 1);
                lines[row].push_str(&format!(" order {}", rare(word)));
            }
            if of_tenth.is_empty() {
                of_tenth = tenth(&lines);
            }
            let (block, of_block) = measure(&dir, corpus, &lines);
            sum.add(&of_block);
            opened.push(block);
        }
        sum.tell(corpus);
        all.add(&sum);
        tenths.push((corpus, of_tenth, first..opened.len(), sum.raw));
        commons.push((corpus, common, first..opened.len()));
    }
    all.tell("logs");
    for (corpus, common, of_corpus) in commons {
        let (found, took) = search(&opened[of_corpus], common);
        row(&format!("bodies.search_{corpus}_common"), took, "ms", None);
        println!("{corpus}: {found} rows with {common}");
    }
    let (mut bytes, mut nanos) = (0, 0.0);
    for (corpus, tenth, of_corpus, raw) in tenths {
        let rounds = (0..ROUNDS).map(|_| search(&opened[of_corpus.clone()], &tenth));
        let (found, took) = rounds.min_by(|a, b| a.1.total_cmp(&b.1)).expect("a round");
        println!("{corpus}: {found} rows with {tenth:?}");
        row(&format!("bodies.search_{corpus}_tenth"), raw as f64 / took / 1e6, "GB/s", None);
        (bytes, nanos) = (bytes + raw, nanos + took * 1e6);
    }
    row("bodies.search_tenth", bytes as f64 / nanos, "GB/s", Some(">= 1"));
    // Where a word begins is known, or any word may end so.
    for (label, before) in [("word", " "), ("part", "")] {
        let mut rounds: Vec<f64> = Vec::new();
        for word in (0..RARE).chain(0..RARE) {
            let (found, took) = search(&opened, &format!("{before}{}", rare(word)));
            assert_eq!(found, 1, "{word}");
            rounds.push(took);
        }
        rounds.sort_by(f64::total_cmp);
        row(&format!("bodies.search_rare_{label}_p50"), rounds[rounds.len() / 2], "ms", None);
        row(&format!("bodies.search_rare_{label}_p99"), rounds[rounds.len() * 99 / 100], "ms", Some("<= 20"));
    }
}

/// A part of a line that about each tenth line has: a word without its first letter, so that no index knows where it begins.
fn tenth(lines: &[String]) -> String {
    let sample = &lines[..lines.len().min(20_000)];
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in sample {
        let words = line.split(|letter: char| !letter.is_ascii_alphabetic());
        let words: BTreeSet<&str> = words.filter(|word| word.len() >= 5).collect();
        words.into_iter().for_each(|word| *counts.entry(word).or_default() += 1);
    }
    let nearest = counts.into_iter().min_by_key(|(_, count)| count.abs_diff(sample.len() / 10));
    nearest.map_or_else(|| "7".to_owned(), |(word, _)| word[1..].to_owned())
}

/// A word of six letters.
fn rare(number: usize) -> String {
    let letter = |shift: usize| char::from(b"qxzjvwkh"[(number >> shift) & 7]);
    format!("zq{}{}{}xj", letter(0), letter(3), letter(6))
}

fn measure(dir: &Path, corpus: &str, lines: &[String]) -> (Arc<Block>, Sum) {
    let batches: Vec<Batch> = lines.chunks(5_000).map(|lines| batch(corpus, lines)).collect();
    let default = BlockConfig::default();
    let config = BlockConfig {
        bodies: if setting("BODIES_COLUMN", 0) == 1 { BodyEncoding::Column } else { BodyEncoding::ByTrial },
        text_page_bytes: setting("BODIES_TEXT_PAGE", default.text_page_bytes),
        ..default
    };
    Disk.create_dir_all(dir).expect("a writable folder");
    let before = cpu_nanos();
    let meta = write(&Disk, dir, Signal::Logs, &batches, &config).expect("a block");
    let write = cpu_nanos() - before;
    let block = Block::open(Arc::new(Disk), dir, Signal::Logs, meta.crc()).expect("a sound block");
    let before = cpu_nanos();
    let request = Arc::new(ScanRequest::all([name::BODY]));
    let rows: usize = block.scan(&request).expect("a request").map(|batch| batch.expect("rows").num_rows()).sum();
    let decode = cpu_nanos() - before;
    assert_eq!(rows, lines.len());
    let columns = meta.columns.iter().filter(|column| ["body", "bodies"].contains(&column.name.as_str()));
    let sum = Sum {
        raw: lines.iter().map(String::len).sum(),
        zstd: lines.chunks(4096).map(packed).sum(),
        stored: meta.bytes(),
        bodies: columns.map(|column| column.compressed).sum(),
        index: meta.files.iter().filter(|file| file.name == "terms.idx").map(|file| file.len).sum(),
        write,
        decode,
    };
    (block, sum)
}

/// Rows that hold a text, and the CPU milliseconds to find them.
fn search(blocks: &[Arc<Block>], needle: &str) -> (usize, f64) {
    let field = Field::Column(name::BODY);
    let predicate = Predicate::Contains { field, needle: needle.into(), case_sensitive: true };
    let request = Arc::new(ScanRequest { predicate, ..ScanRequest::all([name::TIME, name::BODY]) });
    let before = cpu_nanos();
    let scans = blocks.iter().map(|block| block.scan(&request).expect("a request"));
    let found = scans.flatten().map(|batch| batch.expect("a sound block").num_rows()).sum();
    (found, (cpu_nanos() - before) / 1e6)
}

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// CPU time of this thread.
fn cpu_nanos() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn row(name: &str, value: f64, unit: &str, target: Option<&str>) {
    let target = target.map_or("null".into(), |target| format!("{target:?}"));
    println!(r#"bench-row: {{"name":"{name}","value":{value:.3},"unit":"{unit}","target":{target}}}"#);
}
