//! What does the store say in `/metrics`? Counters and sizes in Prometheus text, each with its help.

use super::{Engine, Shortage};
use crate::manifest::SamplingTally;
use std::sync::atomic::{AtomicU64, Ordering};

impl Engine {
    /// Appends the store's metrics.
    pub fn render_metrics(&self, out: &mut String) {
        let mut text = Text(out);
        counters(&mut text, self);
        stored(&mut text, self);
        bounded(&mut text, self);
        sampled(&mut text, self);
        object_store(&mut text, self);
    }
}

/// Only where there is one.
fn object_store(text: &mut Text<'_>, engine: &Engine) {
    let Some((bucket, cache_bytes)) = engine.store().bucket() else { return };
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let requests = [
        (r#"operation="create""#, count(&bucket.creations)),
        (r#"operation="read""#, count(&bucket.reads)),
        (r#"operation="list""#, count(&bucket.lists)),
        (r#"operation="remove""#, count(&bucket.removals)),
    ];
    let name = "spanlight_object_store_requests_total";
    text.family(name, "Requests to the object store, each with all its tries.", "counter", &requests);
    let counters = [
        ("spanlight_object_store_errors_total", "Requests to the object store that failed.", &bucket.errors),
        ("spanlight_object_store_written_bytes_total", "Bytes written to the object store.", &bucket.bytes_written),
        ("spanlight_object_store_read_bytes_total", "Bytes read from the object store.", &bucket.bytes_read),
        ("spanlight_cache_hits_total", "Chunks of blocks that the cache had.", &bucket.cache_hits),
        ("spanlight_cache_misses_total", "Chunks of blocks that the cache had not.", &bucket.cache_misses),
        ("spanlight_cache_hit_bytes_total", "Bytes that the cache gave.", &bucket.cache_hit_bytes),
        ("spanlight_cache_evictions_total", "Chunks that left the cache for others.", &bucket.cache_evictions),
        ("spanlight_cache_damaged_total", "Chunks of the cache that were damaged.", &bucket.cache_damaged),
    ];
    for (name, help, counter) in counters {
        text.counter(name, help, count(counter));
    }
    text.gauge("spanlight_cache_bytes", "Bytes of the cache of blocks.", &[("", cache_bytes as f64)]);
    let help = "Bytes that the cache of blocks may have; the oldest chunks go.";
    text.gauge("spanlight_cache_limit_bytes", help, &[("", engine.store().cache_limit_bytes() as f64)]);
    let failing = engine.store().bucket_health().map_or(0.0, |health| health.failing_for.as_secs_f64().max(0.001));
    let help = "How long the object store has not answered; 0 while it does.";
    text.gauge("spanlight_object_store_failing_seconds", help, &[("", failing)]);
}

fn counters(text: &mut Text<'_>, engine: &Engine) {
    let metrics = engine.metrics();
    let counters: [(&str, &str, &AtomicU64); 22] = [
        ("spanlight_commit_groups_total", "Group commits: each is one sync of the log.", &metrics.commit_groups),
        ("spanlight_commit_writes_total", "Requests made durable.", &metrics.commit_writes),
        ("spanlight_commit_bytes_total", "Bytes of those requests.", &metrics.commit_bytes),
        ("spanlight_commit_errors_total", "Group commits that failed.", &metrics.commit_errors),
        ("spanlight_refused_writes_total", "Group commits refused for memory or disk.", &metrics.refused_writes),
        ("spanlight_rows_visible_total", "Rows that became visible.", &metrics.rows_visible),
        ("spanlight_rows_repeated_total", "Spans left out as repeated.", &metrics.rows_repeated),
        ("spanlight_flush_blocks_total", "Blocks written.", &metrics.flush_blocks),
        ("spanlight_flush_rows_total", "Rows written to blocks.", &metrics.flush_rows),
        ("spanlight_flush_bytes_total", "Bytes written to blocks.", &metrics.flush_bytes),
        ("spanlight_flush_errors_total", "Flushes that failed and are tried again.", &metrics.flush_errors),
        ("spanlight_compactions_total", "Merges of blocks.", &metrics.compactions),
        (
            "spanlight_downsampled_blocks_total",
            "Blocks of metrics made that stand for others.",
            &metrics.thinned_blocks,
        ),
        ("spanlight_compaction_read_blocks_total", "Blocks that merges read.", &metrics.compaction_read_blocks),
        ("spanlight_compaction_read_bytes_total", "Bytes that merges read.", &metrics.compaction_read_bytes),
        ("spanlight_compaction_rows_total", "Rows that merges wrote.", &metrics.compaction_rows),
        ("spanlight_compaction_bytes_total", "Bytes that merges wrote.", &metrics.compaction_bytes),
        ("spanlight_compaction_errors_total", "Merges that failed.", &metrics.compaction_errors),
        ("spanlight_deletions_total", "Deletions that were asked for.", &metrics.deletions),
        ("spanlight_retention_blocks_total", "Blocks deleted by age or size.", &metrics.retention_blocks),
        ("spanlight_retention_bytes_total", "Bytes of those.", &metrics.retention_bytes),
        ("spanlight_replayed_records_total", "Log records replayed at start.", &metrics.replayed_records),
    ];
    for (name, help, counter) in counters {
        text.counter(name, help, counter.load(Ordering::Relaxed) as f64);
    }
    let seconds = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64 / 1e9;
    text.counter("spanlight_commit_seconds_total", "Time writing and syncing the log.", seconds(&metrics.commit_nanos));
    text.counter("spanlight_flush_seconds_total", "Time writing blocks.", seconds(&metrics.flush_nanos));
    let merging = seconds(&metrics.compaction_nanos);
    text.counter("spanlight_compaction_seconds_total", "Time merging blocks, pauses included.", merging);
    let bytes = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let flushed = bytes(&metrics.flush_bytes);
    if flushed > 0.0 {
        let written = (flushed + bytes(&metrics.compaction_bytes)) / flushed;
        let help = "Bytes of blocks written, by flushes and merges, per byte flushed, since the start.";
        text.gauge("spanlight_write_amplification", help, &[("", written)]);
        let read = bytes(&metrics.compaction_read_bytes) / flushed;
        let help = "Bytes that merges read per byte flushed, since the start.";
        text.gauge("spanlight_compaction_read_amplification", help, &[("", read)]);
    }
}

fn stored(text: &mut Text<'_>, engine: &Engine) {
    let (mut rows, mut bytes, mut blocks, mut memory) = (vec![], vec![], vec![], vec![]);
    let (mut levels, mut quarantined) = (vec![], vec![]);
    let mut wal_bytes = 0;
    for tenant in engine.tenants() {
        let status = engine.status(&tenant);
        wal_bytes = status.wal_bytes;
        for signal in status.signals {
            let labels = format!("tenant=\"{tenant}\",signal=\"{}\"", signal.signal);
            rows.push((labels.clone(), (signal.block_rows + signal.memtable_rows) as f64));
            bytes.push((labels.clone(), signal.block_bytes as f64));
            blocks.push((labels.clone(), signal.blocks as f64));
            quarantined.push((labels.clone(), signal.quarantined_blocks as f64));
            levels.extend(
                (0u32..)
                    .zip(&signal.levels)
                    .map(|(level, count)| (format!("{labels},level=\"{level}\""), *count as f64)),
            );
            memory.push((labels, signal.memtable_bytes as f64));
        }
    }
    text.gauge("spanlight_rows", "Rows stored, in blocks and in memory.", &rows);
    text.gauge("spanlight_block_bytes", "Bytes of blocks.", &bytes);
    text.gauge("spanlight_blocks", "Blocks: a look-up that no index cuts short reads so many.", &blocks);
    text.gauge("spanlight_blocks_by_level", "Blocks by how often they were merged, as their size tells.", &levels);
    text.gauge("spanlight_quarantined_blocks", "Blocks that are damaged and not read.", &quarantined);
    let view = engine.store().view();
    let worn = view.blocks.values().flat_map(|blocks| blocks.iter()).filter(|shown| shown.block.lost_part().is_some());
    let help =
        "Blocks that lost an index or a copy of their metadata: answers are whole, and a merge writes them anew.";
    text.gauge("spanlight_worn_blocks", help, &[("", worn.count() as f64)]);
    text.gauge("spanlight_memtable_bytes", "Bytes of memtables.", &memory);
    let shortage = engine.store().refuses();
    let refused: Vec<(String, f64)> = Shortage::REASONS
        .iter()
        .map(|reason| {
            let refuses = shortage.as_ref().is_some_and(|shortage| shortage.reason() == *reason);
            (format!("reason=\"{reason}\""), f64::from(u8::from(refuses)))
        })
        .collect();
    text.gauge("spanlight_writes_refused", "1 while writes are refused, and why.", &refused);
    text.gauge("spanlight_wal_bytes", "Bytes of the write-ahead log.", &[(String::new(), wal_bytes as f64)]);
}

/// Only where not all traces are kept, or were.
fn sampled(text: &mut Text<'_>, engine: &Engine) {
    let (tallies, remembered) = engine.store().sampled();
    if tallies.is_empty() {
        return;
    }
    let values = |kept: &dyn Fn(&SamplingTally) -> [u64; 2]| -> Vec<(String, f64)> {
        let each = tallies.iter().flat_map(|(name, tally)| {
            let label = |decision: &str| format!("policy=\"{name}\",decision=\"{decision}\"");
            ["kept", "dropped"].map(label).into_iter().zip(kept(tally).map(|count| count as f64))
        });
        each.collect()
    };
    let traces = values(&|tally| [tally.kept_traces, tally.dropped_traces]);
    let help = "Traces that tail sampling decided, of all tenants and times, by policy.";
    text.family("spanlight_tail_sampling_traces_total", help, "counter", &traces);
    let spans = values(&|tally| [tally.kept_spans, tally.dropped_spans]);
    text.family("spanlight_tail_sampling_spans_total", "Spans of those traces.", "counter", &spans);
    let help = "Dropped traces that are remembered, eight bytes each, so that spans that come late go too.";
    text.gauge("spanlight_tail_sampling_remembered_traces", help, &[("", remembered as f64)]);
}

/// What memory holds for all tenants, each beside its limit where it has one.
fn bounded(text: &mut Text<'_>, engine: &Engine) {
    let store = engine.store();
    let (waiting, most) = engine.write_queue();
    let view = store.view();
    let blocks = view.blocks.values().flat_map(|blocks| blocks.iter());
    let (open, indexes) = blocks.fold((0u64, 0u64), |(open, bytes), shown| {
        (open + 1, bytes + u64::try_from(shown.block.memory_bytes()).unwrap_or(u64::MAX))
    });
    let merging = engine.metrics().compaction_memory.load(Ordering::Relaxed);
    let gauges = [
        ("spanlight_write_queue", "Requests that wait for the log.", waiting as f64),
        (
            "spanlight_write_queue_limit",
            "Requests that may wait for the log; further ones wait at the door.",
            most as f64,
        ),
        ("spanlight_memtables_bytes", "Bytes of all memtables.", view.memory_bytes() as f64),
        (
            "spanlight_memtables_limit_bytes",
            "Bytes of all memtables beyond which writes are refused.",
            store.config.memory_limit_bytes as f64,
        ),
        ("spanlight_open_blocks", "Blocks that are open: all that live and can be read.", open as f64),
        (
            "spanlight_open_block_index_bytes",
            "Bytes of memory of open blocks: their footers and the parts of indexes that were read. As many as there are blocks; merging and retention bound them.",
            indexes as f64,
        ),
        ("spanlight_compaction_memory_bytes", "Bytes that the merge under way holds.", merging as f64),
        (
            "spanlight_compaction_memory_limit_bytes",
            "Bytes beyond which a merge reads no further batch.",
            store.config.compaction.memory_bytes as f64,
        ),
    ];
    for (name, help, value) in gauges {
        text.gauge(name, help, &[("", value)]);
    }
}

/// Prometheus text in the making.
struct Text<'a>(&'a mut String);

impl Text<'_> {
    fn counter(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, help, "counter", &[("", value)]);
    }

    fn gauge<L: AsRef<str>>(&mut self, name: &str, help: &str, values: &[(L, f64)]) {
        self.family(name, help, "gauge", values);
    }

    fn family<L: AsRef<str>>(&mut self, name: &str, help: &str, kind: &str, values: &[(L, f64)]) {
        self.0.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for (labels, value) in values {
            let labels = labels.as_ref();
            let braced = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
            self.0.push_str(&format!("{name}{braced} {value}\n"));
        }
    }
}
