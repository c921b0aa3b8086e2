//! Which lines of logs are measured? Real ones from `$SPANLIGHT_CORPORA/logs` (or `../shared/corpora`), again and again; in each
//! repetition every token with four digits or more has other digits, the same ones for the same token. Without that folder
//! the lines are made up.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use storage::model::attribute::{Map, MapBuilder, Value, put_value};
use storage::model::origin::{Resource, Scope};
use storage::model::{Batch, LogBatchBuilder, LogRecord};

/// The lines of a file, repeated.
pub(crate) struct Tiles {
    lines: Vec<String>,
    next: usize,
}

impl Tiles {
    /// Of a file by its name without `.log`.
    pub(crate) fn of(corpus: &str) -> Self {
        Tiles { lines: corpus_lines(corpus), next: 0 }
    }

    /// The next lines, of so many bytes together.
    pub(crate) fn take(&mut self, bytes: usize) -> Vec<String> {
        let mut taken = Vec::new();
        let mut made = 0;
        while made < bytes {
            let line = redrawn(&self.lines[self.next % self.lines.len()], (self.next / self.lines.len()) as u64);
            self.next += 1;
            made += line.len();
            taken.push(line);
        }
        taken
    }
}

/// What Zstandard at level 3 makes of lines.
pub(crate) fn packed(lines: &[String]) -> usize {
    zstd::bulk::compress(lines.join("\n").as_bytes(), 3).expect("memory").len()
}

#[expect(clippy::disallowed_methods, reason = "corpora are no files of the store")]
fn corpus_lines(corpus: &str) -> Vec<String> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora");
    let folder = std::env::var_os("SPANLIGHT_CORPORA").map_or(beside, PathBuf::from);
    match std::fs::read(folder.join("logs").join(format!("{corpus}.log"))) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
        }
        Err(_) => {
            println!("no {corpus}.log: its lines are made up");
            let line = |number: u32| {
                let id = number.wrapping_mul(2_654_435_761);
                format!("{corpus} INFO request {id:08x} took {} ms for user {}", id % 997, id % 50_021)
            };
            (0..20_000).map(line).collect()
        }
    }
}

fn redrawn(line: &str, tile: u64) -> String {
    let mut out = String::with_capacity(line.len());
    for part in line.split_inclusive(|letter: char| !letter.is_ascii_alphanumeric()) {
        if tile == 0 || part.bytes().filter(u8::is_ascii_digit).count() < 4 {
            out.push_str(part);
            continue;
        }
        let seed = tile.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut state = part
            .bytes()
            .filter(u8::is_ascii_alphanumeric)
            .fold(seed, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        for letter in part.chars() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match letter.to_digit(10) {
                Some(digit) => out.extend(char::from_digit((digit + (state >> 33) as u32 % 10) % 10, 10)),
                None => out.push(letter),
            }
        }
    }
    out
}

/// Records of one service with these bodies, each 1.2 ms after the one before.
pub(crate) fn batch(corpus: &str, lines: &[String]) -> Batch {
    static TIME: AtomicI64 = AtomicI64::new(1_790_000_000_000_000_000);
    let mut builder = LogBatchBuilder::default();
    let mut map = MapBuilder::default();
    map.push("service.name", Value::String(corpus));
    let resource = map.finish();
    builder.set_resource(&Resource { attributes: Map::new(&resource), ..Resource::default() });
    builder.set_scope(&Scope::default());
    let mut body = Vec::new();
    for line in lines {
        body.clear();
        put_value(&mut body, Value::String(line));
        let time = TIME.fetch_add(1_234_567, Ordering::Relaxed);
        let record = LogRecord {
            time,
            observed_time: Some(time + 1_000),
            severity_number: 9,
            severity_text: "INFO",
            body: &body,
            event_name: "",
            trace_id: None,
            span_id: None,
            flags: 0,
            attributes: Map::default(),
            dropped_attributes_count: 0,
        };
        builder.append(&record).expect("few records");
    }
    builder.finish().expect("columns of one length")
}
