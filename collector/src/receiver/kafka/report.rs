//! How does the reading of Kafka go? Counters by topic and partition, for `/metrics` and for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use storage::model::TenantId;

/// How often a message that says the same is logged at most.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Tenants, topics and reasons of which it is told apart how much was left out: a header names the tenant, so their number bounds nothing.
const LEFT_OUT_KEYS: usize = 1_000;
/// The tenant of what is left out beyond those; no tenant has that name.
const OTHERS: &str = "(others)";
/// Why records are left out: they cannot be read, or are of series beyond the limit.
pub(super) const MALFORMED: &str = "malformed";
pub(super) const ACTIVE_SERIES: &str = "active_series";

/// How long it is told that a batch cannot be unpacked: the client tries again twice a second, and complains each time.
const STOPPED_FOR: Duration = Duration::from_secs(30);

/// Why nothing is read, for now.
pub(super) type Paused = String;

/// A partition in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionReport {
    /// Messages whose rows are visible.
    pub messages: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Rows of those.
    pub rows: u64,
    /// Records of those that were left out.
    pub rejected: u64,
    /// Messages without a value, which stand for nothing here.
    pub tombstones: u64,
    /// Messages that could not be read, whole or in part, and were kept as dead letters.
    pub dead_letters: u64,
    /// Offsets that the cluster deleted before they were read.
    pub lost: u64,
    /// Offsets of batches that the client could not read; dead letters name them.
    pub unreadable: u64,
    /// How often the partition ended before what had been read of it: what was written anew below its end was not read.
    pub truncations: u64,
    /// The offset that comes next.
    pub position: u64,
    /// Up to where rows are in blocks.
    pub committed: u64,
    /// The end of the partition, as it was seen last.
    pub end: u64,
    /// Whether it is read by this process now.
    pub ours: bool,
    /// Why it is ours and does not go on, if it does not.
    pub stuck: Option<String>,
    /// What it stands before, until it goes on; it is tried again meanwhile.
    pub(super) stands: Option<String>,
}

impl PartitionReport {
    /// Messages that are there and not read yet.
    pub fn lag(&self) -> u64 {
        self.end.saturating_sub(self.position)
    }
}

/// Records that were left out for one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct LeftOutReport {
    records: u64,
    /// What was said of the last of them.
    said: String,
}

/// All partitions, and what concerns them together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KafkaReport {
    /// By topic and partition.
    pub partitions: BTreeMap<(String, i32), PartitionReport>,
    /// Records that were left out, by tenant, topic and reason; of so many of those at most.
    left_out: BTreeMap<(String, String, &'static str), LeftOutReport>,
    /// How often partitions came and went.
    pub rebalances: u64,
    /// How often what was read and not flushed was let go of, to be read again.
    pub relapses: u64,
    /// Why nothing is read now, if nothing is.
    pub paused: Option<String>,
    /// What the client complained of last, if that was since the last message, or of a partition that it cannot read on.
    pub trouble: Option<String>,
    /// How often it complained.
    pub complaints: u64,
}

/// The counters.
#[derive(Debug, Default)]
pub(super) struct KafkaMetrics {
    report: Mutex<KafkaReport>,
    /// Why partitions cannot be begun, if some cannot: others that go on say nothing of them.
    stuck: Mutex<Option<String>>,
    /// What keeps a partition where it is, and when it was told last: others go on.
    stopped: Mutex<Option<(Duration, String)>>,
    hush: Hush,
}

impl KafkaMetrics {
    fn report(&self) -> MutexGuard<'_, KafkaReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is to tell.
    pub(super) fn read(&self, now: Duration) -> KafkaReport {
        let stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let stopped = stopped.filter(|(at, _)| now.saturating_sub(*at) < STOPPED_FOR).map(|(_, what)| what);
        let mut report = self.report().clone();
        report.trouble = stuck.or(stopped).or(report.trouble);
        for told in report.partitions.values_mut() {
            told.stuck = told.stuck.take().or(told.stands.take());
        }
        report
    }

    /// Says what keeps a partition where it is.
    pub(super) fn stopped(&self, what: String, now: Duration) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, what));
    }

    /// Says that it goes on.
    pub(super) fn goes_on(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Says why partitions cannot be begun, or that all are.
    pub(super) fn stuck(&self, why: Option<String>) {
        *self.stuck.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    pub(super) fn rebalanced(&self) {
        self.report().rebalances += 1;
    }

    pub(super) fn relapsed(&self) {
        self.report().relapses += 1;
    }

    pub(super) fn trouble(&self, what: &str) {
        let mut report = self.report();
        report.trouble = Some(what.to_owned());
        report.complaints += 1;
    }

    pub(super) fn pause(&self, why: Option<Paused>) {
        self.report().paused = why;
    }

    pub(super) fn set_end(&self, topic: &str, partition: i32, end: u64) {
        if let Some(partition) = self.report().partitions.get_mut(&(topic.to_owned(), partition)) {
            partition.end = end;
        }
    }

    /// The end of a partition, as it was seen last.
    pub(super) fn end(&self, topic: &str, partition: i32) -> u64 {
        self.report().partitions.get(&(topic.to_owned(), partition)).map_or(0, |told| told.end)
    }

    /// Changes what is told of a partition.
    pub(super) fn of(&self, topic: &str, partition: i32, change: impl FnOnce(&mut PartitionReport)) {
        change(self.report().partitions.entry((topic.to_owned(), partition)).or_default());
    }

    /// Counts records that were left out.
    pub(super) fn left_out(&self, tenant: &TenantId, topic: &str, reason: &'static str, records: u64, said: String) {
        let mut report = self.report();
        let mut key = (tenant.to_string(), topic.to_owned(), reason);
        if report.left_out.len() >= LEFT_OUT_KEYS && !report.left_out.contains_key(&key) {
            key.0 = OTHERS.to_owned();
        }
        let told = report.left_out.entry(key).or_default();
        told.records += records;
        told.said = said;
    }

    /// Says of each partition whether it is ours.
    pub(super) fn own(&self, ours: impl Fn(&str, i32) -> bool) {
        let mut report = self.report();
        for ((topic, partition), told) in &mut report.partitions {
            told.ours = ours(topic, *partition);
            told.stuck = told.stuck.take().filter(|_| told.ours);
            told.stands = told.stands.take().filter(|_| told.ours);
        }
    }

    /// What was taken, and that the client works.
    pub(super) fn taken(&self) {
        let mut report = self.report();
        report.trouble = None;
        report.paused = None;
    }

    /// Whether something may be logged now; how often the same was not.
    pub(super) fn may_log(&self, what: &str, now: Duration) -> Option<u64> {
        self.hush.may_log(what, now)
    }
}

/// Keeps what repeats itself out of the log: when what was logged last, and how often it was not since.
#[derive(Debug, Default)]
pub(super) struct Hush(Mutex<BTreeMap<String, (Duration, u64)>>);

impl Hush {
    /// Whether something may be logged now; how often the same was not.
    pub(super) fn may_log(&self, what: &str, now: Duration) -> Option<u64> {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match logged.get_mut(what) {
            Some((last, kept_back)) if now.saturating_sub(*last) < LOG_EVERY => {
                *kept_back += 1;
                None
            }
            _ => Some(logged.insert(what.to_owned(), (now, 0)).map_or(0, |(_, kept_back)| kept_back)),
        }
    }
}

type Read = fn(&PartitionReport) -> u64;

impl KafkaReport {
    /// Topics and reasons, how many records of a tenant were left out for each, and what was said of the last of them.
    pub fn left_out_of(&self, tenant: &TenantId) -> impl Iterator<Item = (String, String, u64, String)> {
        let own = self.left_out.iter().filter(|((name, ..), _)| name == tenant.as_str());
        own.map(|((_, topic, reason), told)| (topic.clone(), (*reason).to_owned(), told.records, told.said.clone()))
    }

    fn render_left_out(&self, out: &mut String) {
        let name = "spanlight_kafka_left_out_total";
        let help = "Records that were left out while the rest of their messages was stored.";
        out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} counter\n"));
        for ((tenant, topic, reason), told) in &self.left_out {
            let topic = label(topic);
            out.push_str(&format!(
                "{name}{{tenant=\"{tenant}\",topic=\"{topic}\",reason=\"{reason}\"}} {}\n",
                told.records
            ));
        }
    }

    /// Appends it in Prometheus' text format.
    pub fn render(&self, out: &mut String) {
        let families: [(&str, &str, &str, Read); 13] = [
            ("messages_total", "counter", "Messages whose rows are visible.", |told| told.messages),
            ("bytes_total", "counter", "Bytes of those messages.", |told| told.bytes),
            ("rows_total", "counter", "Rows of those messages.", |told| told.rows),
            ("records_rejected_total", "counter", "Records of those messages that were left out.", |told| {
                told.rejected
            }),
            ("tombstones_total", "counter", "Messages without a value.", |told| told.tombstones),
            ("dead_letters_total", "counter", "Messages that were kept as dead letters.", |told| told.dead_letters),
            ("lost_offsets_total", "counter", "Offsets that were deleted before they were read.", |told| told.lost),
            (
                "unreadable_offsets_total",
                "counter",
                "Offsets of batches that cannot be read; dead letters name them.",
                |told| told.unreadable,
            ),
            ("truncations_total", "counter", "Ends of partitions before what had been read of them.", |told| {
                told.truncations
            }),
            ("position", "gauge", "The offset that comes next.", |told| told.position),
            ("committed_position", "gauge", "The offset up to which rows are in blocks.", |told| told.committed),
            ("lag", "gauge", "Messages that are there and not read yet.", PartitionReport::lag),
            ("stuck", "gauge", "Whether the partition cannot be read on.", |told| told.stuck.is_some().into()),
        ];
        for (name, kind, help, read) in families {
            let name = format!("spanlight_kafka_{name}");
            out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
            let told = self.partitions.iter().filter(|(_, told)| kind == "counter" || told.ours);
            for ((topic, partition), told) in told {
                let topic = label(topic);
                // Writing to a String does not fail.
                writeln!(out, "{name}{{topic=\"{topic}\",partition=\"{partition}\"}} {}", read(told)).ok();
            }
        }
        self.render_left_out(out);
        let whole = [
            ("rebalances_total", "counter", "How often partitions came and went.", self.rebalances),
            ("client_errors_total", "counter", "How often the client complained.", self.complaints),
            (
                "relapses_total",
                "counter",
                "How often what was not flushed was let go of, to be read again.",
                self.relapses,
            ),
            ("paused", "gauge", "Whether nothing is read because nothing can be stored.", self.paused.is_some().into()),
        ];
        for (name, kind, help, value) in whole {
            let name = format!("spanlight_kafka_{name}");
            out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"));
        }
    }
}

/// A topic as the value of a label; topics are letters, digits, dots, lines and underscores.
fn label(topic: &str) -> String {
    topic.replace(['\\', '"', '\n'], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stops_a_partition_is_told_while_others_go_on() {
        let metrics = KafkaMetrics::default();
        metrics.trouble("no broker");
        metrics.stopped("too large".into(), Duration::from_secs(5));
        metrics.taken();
        let told = |seconds| metrics.read(Duration::from_secs(seconds)).trouble;
        assert_eq!((told(20).as_deref(), told(40)), (Some("too large"), None));
        assert_eq!(metrics.read(Duration::ZERO).complaints, 1);
    }

    #[test]
    fn what_is_left_out_is_told_by_tenant_topic_and_reason_and_of_no_more_than_so_many() {
        let (metrics, one) = (KafkaMetrics::default(), TenantId::new("one").unwrap());
        metrics.left_out(&one, "a", ACTIVE_SERIES, 3, "first".into());
        metrics.left_out(&one, "a", ACTIVE_SERIES, 4, "second".into());
        for index in 0..2 * LEFT_OUT_KEYS {
            metrics.left_out(&TenantId::new(&format!("t{index}")).unwrap(), "a", MALFORMED, 1, String::new());
        }
        metrics.left_out(&one, "a", ACTIVE_SERIES, 1, "third".into());
        let report = metrics.read(Duration::ZERO);
        let own: Vec<_> = report.left_out_of(&one).collect();
        assert_eq!(own, [("a".to_owned(), ACTIVE_SERIES.to_owned(), 8, "third".to_owned())]);
        let mut text = String::new();
        report.render(&mut text);
        for line in [
            "spanlight_kafka_left_out_total{tenant=\"one\",topic=\"a\",reason=\"active_series\"} 8\n",
            "spanlight_kafka_left_out_total{tenant=\"t7\",topic=\"a\",reason=\"malformed\"} 1\n",
            "spanlight_kafka_left_out_total{tenant=\"(others)\",topic=\"a\",reason=\"malformed\"} 1001\n",
        ] {
            assert!(text.contains(line), "{line}");
        }
    }

    #[test]
    fn the_same_is_logged_once_in_ten_seconds_and_says_how_often_it_was_not() {
        let hush = Hush::default();
        let at = Duration::from_secs;
        assert_eq!(hush.may_log("a", at(0)), Some(0));
        assert_eq!(hush.may_log("a", at(1)), None);
        assert_eq!(hush.may_log("b", at(1)), Some(0));
        assert_eq!(hush.may_log("a", at(2)), None);
        assert_eq!(hush.may_log("a", at(10)), Some(2));
    }

    #[test]
    fn lag_is_told_of_partitions_that_are_read_here_and_counts_of_all() {
        let metrics = KafkaMetrics::default();
        metrics.of("a", 0, |told| (told.position, told.ours, told.messages) = (7, true, 7));
        metrics.set_end("a", 0, 10);
        metrics.of("b", 1, |told| told.messages = 3);
        let mut text = String::new();
        metrics.read(Duration::ZERO).render(&mut text);
        assert!(text.contains("spanlight_kafka_lag{topic=\"a\",partition=\"0\"} 3\n"));
        assert!(!text.contains("spanlight_kafka_lag{topic=\"b\""));
        assert!(text.contains("spanlight_kafka_messages_total{topic=\"b\",partition=\"1\"} 3\n"));
    }
}
