//! How does the reading of Kafka go? Rates between two looks at its counters, and when a partition will have caught up.
//!
//! KA1  Nothing is told from one look, nor across a restart of the server: its counters begin anew.
//! KA2  Ends of partitions are seen every few seconds, so that a lag goes down between two sights of them; what is told of it rests
//!      on looks that are `WINDOW` apart where there are some.
//!
//! Not here: what is wrong with a message (the dead letters).

use query_api::status::{KafkaLeftOut, KafkaPartition, KafkaStatus};
use std::collections::{HashMap, VecDeque};

/// How far back is looked, in nanoseconds.
const WINDOW: i64 = 15_000_000_000;
/// Two looks that are closer tell nothing.
const CLOSEST: i64 = 1_000_000_000;

/// Where the lag of a partition goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// Nothing is behind.
    Level,
    /// Too early to say.
    Unknown,
    /// It is behind and nothing moves.
    Standing,
    /// It gets more.
    Growing,
    /// It is read up in so many nanoseconds if it goes on like this.
    Until(i64),
}

/// A partition's counters at one look.
#[derive(Debug, Clone, Copy)]
struct Mark {
    messages: u64,
    lag: u64,
}

#[derive(Debug, Clone)]
struct Look {
    at: i64,
    uptime: u64,
    marks: HashMap<(String, u64), Mark>,
}

/// The last looks.
#[derive(Debug, Clone, Default)]
pub struct Looks(VecDeque<Look>);

impl Looks {
    /// Keeps what is told at a time, of a server that runs for so many seconds.
    pub fn add(&mut self, at: i64, uptime: u64, told: &KafkaStatus) {
        if self.0.back().is_some_and(|last| uptime < last.uptime || at < last.at) {
            self.0.clear();
        }
        let mark = |one: &KafkaPartition| (key(one), Mark { messages: one.messages, lag: one.lag });
        self.0.push_back(Look { at, uptime, marks: told.partitions.iter().map(mark).collect() });
        // The newest of those that are far enough back is the one to compare with.
        while self.0.get(1).is_some_and(|second| at.saturating_sub(second.at) >= WINDOW) {
            self.0.pop_front();
        }
    }

    /// Messages per second of a partition, and where its lag goes.
    pub fn tell(&self, one: &KafkaPartition) -> (Option<f64>, Course) {
        let level = if one.lag == 0 { Course::Level } else { Course::Unknown };
        let key = key(one);
        let mark = |look: &Look| look.marks.get(&key).map(|mark| (look.at, *mark));
        let (Some((from, first)), Some((to, last))) = (self.0.iter().find_map(mark), self.0.back().and_then(mark))
        else {
            return (None, level);
        };
        let seconds = to.saturating_sub(from) as f64 / 1e9;
        if to.saturating_sub(from) < CLOSEST {
            return (None, level);
        }
        let rate = last.messages.saturating_sub(first.messages) as f64 / seconds;
        let course = if one.lag == 0 {
            Course::Level
        } else if one.stuck.is_some() {
            // What it was read at before says nothing of when it will be.
            Course::Standing
        } else if last.lag < first.lag {
            let fall = (first.lag - last.lag) as f64 / seconds;
            Course::Until((last.lag as f64 / fall * 1e9) as i64)
        } else if last.lag > first.lag {
            Course::Growing
        } else if rate > 0.0 {
            Course::Unknown
        } else {
            Course::Standing
        };
        (Some(rate), course)
    }
}

fn key(one: &KafkaPartition) -> (String, u64) {
    (one.topic.clone(), one.partition)
}

/// What the page says in one sentence.
pub fn sentence(told: &KafkaStatus) -> String {
    use super::format::{count, counted};
    let topics: std::collections::BTreeSet<&str> = told.partitions.iter().map(|one| one.topic.as_str()).collect();
    let behind: u64 = told.partitions.iter().map(|one| one.lag).sum();
    let behind = if behind == 0 { "caught up".to_owned() } else { format!("{} behind", counted(behind, "message")) };
    let lost: u64 = told.partitions.iter().map(|one| one.lost).sum();
    let lost = if lost == 0 { String::new() } else { format!(" · {} lost to deletion by the cluster", count(lost)) };
    format!(
        "{}, {}, {behind}{lost} · {}",
        counted(topics.len() as u64, "topic"),
        counted(told.partitions.len() as u64, "partition"),
        counted(told.rebalances, "rebalance")
    )
}

/// What is said of records that were left out.
pub fn left_out(one: &KafkaLeftOut) -> String {
    let what = if one.reason == "active_series" { "data point" } else { "record" };
    let verb = if one.records == 1 { "was" } else { "were" };
    let records = super::format::counted(one.records, what);
    format!("{records} of topic {} {verb} left out since the server started, most recently: {}", one.topic, one.said)
}

/// The encodings that messages of a signal may have, by the names that settings give them.
pub fn encodings(signal: &str) -> &'static [&'static str] {
    match signal {
        "spans" => &["otlp_proto", "otlp_json", "jaeger_proto", "jaeger_json", "zipkin_proto", "zipkin_json"],
        "logs" => &["otlp_proto", "otlp_json", "raw", "text", "json"],
        _ => &["otlp_proto", "otlp_json"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn told(messages: u64, lag: u64) -> KafkaStatus {
        let one = KafkaPartition { topic: "a".into(), messages, lag, ..KafkaPartition::default() };
        KafkaStatus { partitions: vec![one], ..KafkaStatus::default() }
    }

    /// What is told after looks two seconds apart.
    fn after(looks: &[(u64, u64)]) -> (Option<f64>, Course) {
        let mut kept = Looks::default();
        for (index, (messages, lag)) in looks.iter().enumerate() {
            kept.add(index as i64 * 2 * SECOND, index as u64 * 2, &told(*messages, *lag));
        }
        let (messages, lag) = *looks.last().unwrap();
        kept.tell(&told(messages, lag).partitions[0])
    }

    #[test]
    fn ka1_one_look_tells_nothing_and_a_restart_begins_anew() {
        assert_eq!(after(&[(10, 5)]), (None, Course::Unknown));
        assert_eq!(after(&[(10, 0)]), (None, Course::Level));
        let mut kept = Looks::default();
        kept.add(0, 100, &told(1_000, 5));
        kept.add(9 * SECOND, 2, &told(10, 5));
        assert_eq!(kept.tell(&told(10, 5).partitions[0]), (None, Course::Unknown));
    }

    #[test]
    fn a_lag_grows_stands_or_is_read_up() {
        assert_eq!(after(&[(0, 0), (40, 0)]), (Some(20.0), Course::Level));
        assert_eq!(after(&[(0, 100), (40, 160)]), (Some(20.0), Course::Growing));
        assert_eq!(after(&[(0, 100), (0, 100)]), (Some(0.0), Course::Standing));
        assert_eq!(after(&[(0, 100), (40, 100)]), (Some(20.0), Course::Unknown));
        assert_eq!(after(&[(0, 100), (60, 50)]), (Some(30.0), Course::Until(2 * SECOND)));
    }

    #[test]
    fn a_partition_that_is_stuck_stands_whatever_was_read_before() {
        let mut kept = Looks::default();
        kept.add(0, 0, &told(0, 100));
        kept.add(2 * SECOND, 2, &told(60, 50));
        let mut one = told(60, 50).partitions.remove(0);
        assert_eq!(kept.tell(&one).1, Course::Until(2 * SECOND));
        one.stuck = Some("cannot be read".into());
        assert_eq!(kept.tell(&one).1, Course::Standing);
    }

    #[test]
    fn ka2_looks_further_back_than_the_window_are_let_go() {
        let falling: Vec<(u64, u64)> = (0..100).map(|index| (index * 10, 2_000 - index * 10)).collect();
        assert_eq!(after(&falling), (Some(5.0), Course::Until(202 * SECOND)));
        let mut kept = Looks::default();
        (0..100).for_each(|index| kept.add(index * 2 * SECOND, 0, &told(0, 0)));
        assert!(kept.0.len() <= 9, "{}", kept.0.len());
    }

    #[test]
    fn what_is_left_out_is_said_with_its_reason() {
        let mut one =
            KafkaLeftOut { topic: "m".into(), reason: "active_series".into(), records: 1, said: "most of x".into() };
        assert_eq!(
            left_out(&one),
            "1 data point of topic m was left out since the server started, most recently: most of x"
        );
        (one.reason, one.records) = ("malformed".into(), 1_200);
        assert!(left_out(&one).starts_with("1,200 records of topic m were left out"));
    }

    #[test]
    fn the_sentence_counts() {
        let mut status = told(5, 1_200);
        status.rebalances = 1;
        assert_eq!(sentence(&status), "1 topic, 1 partition, 1,200 messages behind · 1 rebalance");
        status.partitions[0].lag = 0;
        status.partitions[0].lost = 7;
        assert_eq!(
            sentence(&status),
            "1 topic, 1 partition, caught up · 7 lost to deletion by the cluster · 1 rebalance"
        );
    }
}
