//! How is an inspection shown? To people as text, to programs as JSON.

use super::{Depth, Inspection, Table};
use serde_json::{Value, json};
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
    let tables: Vec<Value> = found.tables.iter().map(table_json).collect();
    json!({
        "manifest_version": found.manifest_version,
        "checkpoints": found.checkpoints,
        "sources": found.sources,
        "tables": tables,
        "wal": {
            "bytes": found.wal_bytes,
            "segments": found.wal.segments,
            "records": found.wal.records,
            "payload_bytes": found.wal.payload_bytes,
            "torn_bytes": found.wal.torn_bytes,
            "lost_bytes": found.wal.lost_bytes,
        },
        "verified": depth == Depth::Everything,
        "blocks_elsewhere": found.blocks_elsewhere,
        "damage": found.damage,
    })
}

fn table_json(table: &Table) -> Value {
    let columns: Vec<Value> = table
        .columns
        .iter()
        .map(|(name, (stored, decoded))| json!({"name": name, "bytes": stored, "decoded_bytes": decoded}))
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
    })
}

fn write_text(out: &mut String, found: &Inspection, depth: Depth) -> std::fmt::Result {
    writeln!(out, "manifest version {}, write-ahead log {}", found.manifest_version, bytes(found.wal_bytes))?;
    writeln!(out, "in the log: {} records, {}", found.wal.records, bytes(found.wal.payload_bytes))?;
    if found.wal.lost_bytes > 0 {
        writeln!(out, "lost from the log, as a repair found: {}", bytes(found.wal.lost_bytes))?;
    }
    for table in &found.tables {
        let each = per_row(table.bytes, table.rows);
        writeln!(out, "\n{} {}", table.tenant, table.signal)?;
        writeln!(out, "  {} rows in {} blocks, {}, {each:.1} B/row", table.rows, table.blocks, bytes(table.bytes))?;
        writeln!(out, "  from {} to {}", time(table.min_time), time(table.max_time))?;
        for (name, size) in &table.files {
            writeln!(out, "  {:<44} {:>12} {:>8.2} B/row", name, bytes(*size), per_row(*size, table.rows))?;
        }
        let mut columns: Vec<_> = table.columns.iter().collect();
        columns.sort_by_key(|(name, (stored, _))| (std::cmp::Reverse(*stored), *name));
        for (name, (stored, _)) in columns {
            writeln!(out, "    {:<42} {:>12} {:>8.2} B/row", name, bytes(*stored), per_row(*stored, table.rows))?;
        }
    }
    for damage in &found.damage {
        writeln!(out, "\ndamaged: {damage}")?;
    }
    if found.blocks_elsewhere {
        writeln!(out, "\nthe blocks are in an object store and were not looked at")?;
    }
    if depth == Depth::Everything && found.damage.is_empty() {
        let of_what = if found.blocks_elsewhere { " of the log" } else { "" };
        writeln!(out, "\nevery checksum{of_what} holds")?;
    }
    Ok(())
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
