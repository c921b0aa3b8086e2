//! What does the index of words and values cost, and what does a search gain by it?
//!
//! Spans are generated. Logs are real ones from `$SPANLIGHT_CORPORA/logs` (or `../shared/corpora`), repeated up to
//! `TERMS_MB` (default 224) together; in each repetition every token with four digits or more has other digits, the same
//! ones for the same token. Without that folder the lines are made up. Every figure is CPU time of this thread.
//! `TERMS_BLOCKS` sets over how many blocks of spans a value is sought (20), `TERMS_GRANULE` the rows of a granule.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a bench that cannot go on must stop; rows go to stdout")]

mod corpus;
mod telemetry;

use corpus::{Tiles, batch, packed};
use std::path::Path;
use std::sync::Arc;
use storage::block::{Block, BlockConfig, write};
use storage::fs::{Disk, Filesystem};
use storage::model::schema::column as name;
use storage::model::{Batch, Signal};
use storage::scan::{AttributeScope, Compare, Field, Predicate, Scalar, ScanRequest};

/// A file of logs, and parts of lines that many and some of its lines have.
const CORPORA: [(&str, &str, &str); 4] = [
    ("apache_access", "Mozilla", "robots.txt"),
    ("auth", "Failed password", "Connection reset"),
    ("kafka_broker_all", "partition", "Shrinking ISR"),
    ("nginxplus_json", "responses", "unhealthy\":1"),
];
/// Stands once in each block.
const RARE: &str = "order wq7f3ac2 of 7f3ac2 was refused: card expired";
const ROUNDS: usize = 3;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    spans(folder.path());
    logs(folder.path());
}

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn indexed() -> BlockConfig {
    let default = BlockConfig::default();
    BlockConfig { granule_rows: setting("TERMS_GRANULE", default.granule_rows), ..default }
}

fn bare() -> BlockConfig {
    BlockConfig { granule_rows: 0, ..BlockConfig::default() }
}

/// A block and what it took to write it, in nanoseconds.
fn make(dir: &Path, signal: Signal, batches: &[Batch], config: &BlockConfig, rounds: usize) -> (Arc<Block>, f64) {
    let mut best = f64::INFINITY;
    let mut last = None;
    for round in 0..rounds {
        let dir = dir.join(round.to_string());
        Disk.create_dir_all(&dir).expect("a writable folder");
        let before = cpu_nanos();
        let meta = write(&Disk, &dir, signal, batches, config).expect("a block");
        best = best.min(cpu_nanos() - before);
        last = Some(Block::open(Arc::new(Disk), &dir, signal, meta.crc()).expect("a sound block"));
    }
    (last.expect("a round"), best)
}

fn index_bytes(block: &Block) -> u64 {
    block.meta().files.iter().filter(|file| file.name == "terms.idx").map(|file| file.len).sum()
}

/// Rows that match in some blocks, and the CPU milliseconds to find them, the least of some rounds.
fn search(blocks: &[Arc<Block>], predicate: &Predicate, column: &'static str) -> (usize, f64) {
    let request = Arc::new(ScanRequest { predicate: predicate.clone(), ..ScanRequest::all([column]) });
    let rounds = (0..ROUNDS).map(|_| {
        let before = cpu_nanos();
        let scans = blocks.iter().map(|block| block.scan(&request).expect("a request"));
        let found: usize = scans.flatten().map(|batch| batch.expect("a sound block").num_rows()).sum();
        (found, (cpu_nanos() - before) / 1e6)
    });
    rounds.min_by(|a, b| a.1.total_cmp(&b.1)).expect("a round")
}

fn spans(folder: &Path) {
    let sent = telemetry::spans(7, 250_000);
    let spans: usize = sent.batches.iter().map(Batch::num_rows).sum();
    let zstd: usize = sent.requests.iter().map(|request| zstd::bulk::compress(request, 3).expect("memory").len()).sum();
    let (_, without) = make(&folder.join("bare"), Signal::Spans, &sent.batches, &bare(), 5);
    let (block, with) = make(&folder.join("spans"), Signal::Spans, &sent.batches, &indexed(), 5);
    row("terms.spans_write_cpu", with / spans as f64, "ns/span", None);
    row("terms.spans_index_cpu", (with - without) / spans as f64, "ns/span", Some("<= 250"));
    row("terms.spans_index_bytes", index_bytes(&block) as f64 / spans as f64, "B/span", Some("<= 2"));
    row("terms.spans_bytes_to_zstd3", block.meta().bytes() as f64 / zstd as f64, "ratio", None);
    row("terms.spans_bare_to_zstd3", (block.meta().bytes() - index_bytes(&block)) as f64 / zstd as f64, "ratio", None);

    let (mut with, mut without) = (Vec::new(), Vec::new());
    for number in 0..setting("TERMS_BLOCKS", 20) {
        let sent = telemetry::spans(100 + number, 50_000);
        let dir = folder.join(format!("many{number}"));
        with.push(make(&dir.join("with"), Signal::Spans, &sent.batches, &indexed(), 1).0);
        without.push(make(&dir.join("without"), Signal::Spans, &sent.batches, &bare(), 1).0);
    }
    for (label, key, value) in [
        ("user", "enduser.id", "user-12345"),
        ("path", "url.path", "/api/users/31415/cart"),
        ("absent", "enduser.id", "nobody"),
        ("common", "http.request.method", "GET"),
    ] {
        let field = Field::Attribute(AttributeScope::Any, key.into());
        let predicate = Predicate::Compare { field, compare: Compare::Equal, value: Scalar::Typed(value.into()) };
        tell(&format!("terms.attribute_{label}"), &with, &without, &predicate, name::START);
    }
}

fn tell(label: &str, with: &[Arc<Block>], without: &[Arc<Block>], predicate: &Predicate, column: &'static str) {
    let (found, indexed) = search(with, predicate, column);
    let (also, scanned) = search(without, predicate, column);
    assert_eq!(found, also, "{label}");
    println!("{label}: {found} rows");
    row(label, indexed, "ms", None);
    row(&format!("{label}_without_index"), scanned, "ms", None);
}

fn logs(folder: &Path) {
    let bytes = setting("TERMS_MB", 224usize) << 20;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let (mut all_bytes, mut all_index, mut all_zstd, mut all_blocks) = (0, 0, 0, 0);
    let (mut all_cpu, mut all_bare) = (0.0, 0.0);
    for (corpus, _, _) in CORPORA {
        let mut lines = Tiles::of(corpus).take(bytes / CORPORA.len());
        let middle = lines.len() / 2;
        lines[middle] = RARE.to_owned();
        let raw: usize = lines.iter().map(String::len).sum();
        let zstd: usize = lines.chunks(4096).map(packed).sum();
        let batches: Vec<Batch> = lines.chunks(10_000).map(|lines| batch(corpus, lines)).collect();
        let (bare, bare_cpu) = make(&folder.join(corpus).join("bare"), Signal::Logs, &batches, &bare(), 2);
        let (block, cpu) = make(&folder.join(corpus).join("with"), Signal::Logs, &batches, &indexed(), 2);
        let index = index_bytes(&block);
        let megabytes = |nanos: f64| raw as f64 / nanos * 1e3;
        row(&format!("terms.{corpus}_write"), megabytes(cpu), "MB/s", Some(">= 50"));
        row(&format!("terms.{corpus}_index_write"), megabytes(cpu - bare_cpu), "MB/s", None);
        row(&format!("terms.{corpus}_index"), index as f64 * 100.0 / raw as f64, "% of bodies", None);
        row(
            &format!("terms.{corpus}_bytes_to_zstd3"),
            block.meta().bytes() as f64 / zstd as f64,
            "ratio",
            Some("<= 1.15"),
        );
        row(&format!("terms.{corpus}_bare_to_zstd3"), bare.meta().bytes() as f64 / zstd as f64, "ratio", None);
        (all_bytes, all_index, all_zstd) = (all_bytes + raw, all_index + index, all_zstd + zstd);
        (all_cpu, all_bare, all_blocks) = (all_cpu + cpu, all_bare + bare_cpu, all_blocks + block.meta().bytes());
        with.push(block);
        without.push(bare);
    }
    row("terms.logs_write", all_bytes as f64 / all_cpu * 1e3, "MB/s", Some(">= 50"));
    row("terms.logs_index_write", all_bytes as f64 / (all_cpu - all_bare) * 1e3, "MB/s", None);
    row("terms.logs_index", all_index as f64 * 100.0 / all_bytes as f64, "% of bodies", None);
    row("terms.logs_bytes_to_zstd3", all_blocks as f64 / all_zstd as f64, "ratio", Some("<= 1.15"));
    let contains = |needle: &str| Predicate::Contains {
        field: Field::Column(name::BODY),
        needle: needle.into(),
        case_sensitive: true,
    };
    tell("terms.search_rare_word", &with, &without, &contains("wq7f3ac2"), name::TIME);
    // Digits that may stand within any id are the hardest to tell.
    tell("terms.search_rare_digits", &with, &without, &contains("7f3ac2"), name::TIME);
    tell("terms.search_rare_phrase", &with, &without, &contains("fused: card expi"), name::TIME);
    tell("terms.search_absent", &with, &without, &contains("zebra crossing"), name::TIME);
    for (corpus, common, some) in CORPORA {
        tell(&format!("terms.search_{corpus}_common"), &with, &without, &contains(common), name::TIME);
        tell(&format!("terms.search_{corpus}_some"), &with, &without, &contains(some), name::TIME);
    }
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
