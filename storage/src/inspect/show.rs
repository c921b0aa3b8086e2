//! How is an inspection shown? To people as text, to programs as JSON.

use super::{Depth, Inspection, Place, Table};
use crate::block::file_of_column;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write;

impl Inspection {
    /// One JSON object.
    pub fn to_json(&self, depth: Depth) -> Value {
        to_json(self, depth)
    }

    /// Lines for a terminal, the largest columns first.
    pub fn to_text(&self, depth: Depth) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let written = write_text(&mut out, self, depth);
        debug_assert!(written.is_ok());
        out
    }
}

fn to_json(found: &Inspection, depth: Depth) -> Value {
    let places: BTreeMap<&str, u64> =
        Place::ALL.iter().map(|place| (place.name(), found.places.get(place).copied().unwrap_or_default())).collect();
    let tables: Vec<Value> = found.tables.iter().map(table_json).collect();
    json!({
        "manifest_version": found.manifest_version,
        "checkpoints": found.checkpoints,
        "sources": found.sources,
        "bytes": found.bytes(),
        "places": places,
        "tables": tables,
        "wal": {
            "bytes": found.places.get(&Place::Wal).copied().unwrap_or_default(),
            "segments": found.wal.segments,
            "records": found.wal.records,
            "payload_bytes": found.wal.payload_bytes,
            "torn_bytes": found.wal.torn_bytes,
            "lost_bytes": found.wal.lost_bytes,
        },
        "verified": depth == Depth::Everything,
        "blocks_elsewhere": found.blocks_elsewhere,
        "damage": found.damage,
        "unread": found.unread,
    })
}

fn table_json(table: &Table) -> Value {
    let columns: Vec<Value> = table
        .columns
        .iter()
        .map(|(name, (stored, decoded))| json!({"name": name, "file": file_of_column(table.signal, name), "bytes": stored, "decoded_bytes": decoded}))
        .collect();
    json!({
        "tenant": table.tenant.as_str(),
        "signal": table.signal.as_str(),
        "rows": table.rows,
        "blocks": table.blocks,
        "bytes": table.bytes,
        "bytes_per_row": per_row(table.bytes, table.rows),
        "min_time_unix_nano": table.min_time.to_string(),
        "max_time_unix_nano": table.max_time.to_string(),
        "files": table.files,
        "columns": columns,
        "beside_columns": table.files.keys().filter_map(|file| Some((file, table.beside_columns(file)?))).collect::<BTreeMap<_, _>>(),
    })
}

fn write_text(out: &mut String, found: &Inspection, depth: Depth) -> std::fmt::Result {
    let all = found.bytes();
    writeln!(out, "manifest version {}", found.manifest_version)?;
    writeln!(out, "in the log: {} records, {}", found.wal.records, bytes(found.wal.payload_bytes))?;
    if found.wal.lost_bytes > 0 {
        writeln!(out, "lost from the log, as a repair found: {}", bytes(found.wal.lost_bytes))?;
    }
    writeln!(out, "\n{:<48} {:>12} {:>8}", "everything", bytes(all), share(all, all))?;
    for place in Place::ALL {
        let held = found.places.get(&place).copied().unwrap_or_default();
        // What every store has, and what is there all the same.
        if held > 0 || matches!(place, Place::Blocks | Place::Wal | Place::Other) {
            writeln!(out, "  {:<46} {:>12} {:>8}", place.title(), bytes(held), share(held, all))?;
        }
    }
    for table in &found.tables {
        write_table(out, table, all)?;
    }
    for damage in &found.damage {
        writeln!(out, "\ndamaged: {damage}")?;
    }
    for unread in &found.unread {
        writeln!(out, "\nnot read: {unread}")?;
    }
    if found.blocks_elsewhere {
        writeln!(out, "\nthe blocks are in an object store and were not looked at")?;
    }
    if depth == Depth::Everything && found.damage.is_empty() && found.unread.is_empty() {
        let of_what = if found.blocks_elsewhere { " of the log" } else { "" };
        writeln!(out, "\nevery checksum{of_what} holds")?;
    }
    Ok(())
}

/// Table, file, column, the largest first.
fn write_table(out: &mut String, table: &Table, all: u64) -> std::fmt::Result {
    let line = |out: &mut String, indent: usize, name: &str, held: u64| {
        let (width, each) = (48 - indent, per_row(held, table.rows));
        writeln!(out, "{:indent$}{name:<width$} {:>12} {:>8} {each:>10.2} B/row", "", bytes(held), share(held, all))
    };
    writeln!(out)?;
    line(out, 0, &format!("{} {}", table.tenant, table.signal), table.bytes)?;
    writeln!(out, "  {} rows in {} blocks", table.rows, table.blocks)?;
    writeln!(out, "  from {} to {}", time(table.min_time), time(table.max_time))?;
    let mut files: Vec<(&str, u64)> = table.files.iter().map(|(name, held)| (name.as_str(), *held)).collect();
    files.sort_by_key(|(name, held)| (Reverse(*held), *name));
    for (file, held) in files {
        line(out, 2, file, held)?;
        let mut columns: Vec<_> = table.columns_of(file).map(|(name, (stored, _))| (name, stored)).collect();
        columns.sort_by_key(|(name, stored)| (Reverse(*stored), *name));
        for (name, stored) in columns {
            line(out, 4, name, stored)?;
        }
        if let Some(beside) = table.beside_columns(file) {
            line(out, 4, "(footer, page indexes, checksums)", beside)?;
        }
    }
    Ok(())
}

fn share(part: u64, all: u64) -> String {
    format!("{:.1} %", part as f64 * 100.0 / all.max(1) as f64)
}

fn per_row(bytes: u64, rows: u64) -> f64 {
    bytes as f64 / rows.max(1) as f64
}

fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let step = (0..units.len() - 1).find(|step| count >> (10 * (step + 1)) == 0).unwrap_or(units.len() - 1);
    let value = count as f64 / (1u64 << (10 * step)) as f64;
    let unit = units.get(step).unwrap_or(&"B");
    if step == 0 { format!("{count} {unit}") } else { format!("{value:.1} {unit}") }
}

fn time(unix_nano: i64) -> String {
    jiff::Timestamp::from_nanosecond(unix_nano.into()).map_or_else(|_| unix_nano.to_string(), |time| time.to_string())
}
