//! Which partitions are this process's, and how far is each?
//!
//! P1  A partition that comes is not read before the store has said from where: the group's own offsets decide nothing.
//! P2  A partition that goes is flushed first, or what memory holds of it is let go of: in no moment does this process show rows that
//!     its next reader shows too.
//! P3  Of each partition the messages are taken in the order of their offsets, and none whose offset has been passed.
//!
//! Not here: the store's own guard, which refuses what does not join (`storage::engine`).

use super::log;
use super::report::{KafkaMetrics, Paused};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, Statistics, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use storage::engine::Engine;

/// How long a partition that goes waits for its rows to come to blocks. Members of a group wait for each other meanwhile, up to
/// their session's five minutes.
const HAND_OVER: Duration = Duration::from_secs(5);

/// A partition of a topic.
pub(super) type Key = (Arc<str>, i32);

/// How far a partition is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is ours, and where it is read from is not decided yet.
    Pending,
    /// It is read.
    Reading(Position),
}

/// Where a partition is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    /// Its name in the store.
    pub(super) source: Arc<str>,
    /// Where reading was begun.
    pub(super) began: u64,
    /// The offset that comes next, or a later one.
    pub(super) next: u64,
    /// What the client said, when this reading was begun, that it had handed over up to: the word of a reading before.
    pub(super) before: Option<u64>,
}

impl Position {
    /// Moves on to where the client says that it has handed over all that there is, unless that may be the word of a reading before; where it was.
    pub(super) fn pass_to(&mut self, handed_over: Option<u64>) -> Option<u64> {
        if handed_over.is_some() && handed_over == self.before {
            return None;
        }
        self.before = None;
        let to = handed_over.filter(|to| *to > self.next)?;
        Some(std::mem::replace(&mut self.next, to))
    }
}

/// The partitions that are ours.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    pub(super) stages: BTreeMap<Key, Stage>,
    /// What came first after a gap, when it was begun the last time: who sees it again knows that the gap is Kafka's.
    pub(super) gaps: BTreeMap<Key, u64>,
    /// Until when those rest that were read and cannot be read on.
    pub(super) rests: BTreeMap<Key, Duration>,
}

/// What librdkafka calls back.
pub(super) struct Context {
    engine: Arc<Engine>,
    partitions: Mutex<Partitions>,
    metrics: Arc<KafkaMetrics>,
    /// What was said of the last error: the client gives it here, and then the error without it to whoever asks for messages.
    heard: Mutex<String>,
}

impl Context {
    pub(super) fn new(engine: Arc<Engine>, metrics: Arc<KafkaMetrics>) -> Self {
        Context { engine, partitions: Mutex::default(), metrics, heard: Mutex::default() }
    }

    /// What was said of the error that was just given.
    pub(super) fn heard(&self) -> String {
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn partitions(&self) -> MutexGuard<'_, Partitions> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what came; it is begun later (P1).
    fn assigned(&self, list: &TopicPartitionList) {
        let mut partitions = self.partitions();
        for element in list.elements() {
            partitions.stages.insert((element.topic().into(), element.partition()), Stage::Pending);
        }
    }

    /// Lets go of what goes (P2); gives those that were read.
    fn revoked(&self, list: &TopicPartitionList) -> TopicPartitionList {
        let mut read = TopicPartitionList::new();
        let mut partitions = self.partitions();
        for element in list.elements() {
            let key: Key = (element.topic().into(), element.partition());
            partitions.gaps.remove(&key);
            partitions.rests.remove(&key);
            if let Some(Stage::Reading(_)) = partitions.stages.remove(&key) {
                read.add_partition(element.topic(), element.partition());
            }
        }
        self.metrics.own(|topic, partition| partitions.stages.contains_key(&(Arc::from(topic), partition)));
        drop(partitions);
        if read.count() > 0 && !self.engine.hand_over(HAND_OVER) {
            tracing::warn!("rows of Kafka could not be flushed before their partitions went; they will be read again");
        }
        read
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        let mut partitions = self.partitions();
        for (topic, statistics) in &statistics.topics {
            for (partition, statistics) in &statistics.partitions {
                // Of what is not fetched they are old.
                if partitions.position(&(topic.as_str().into(), *partition)).is_none() {
                    continue;
                }
                // What a transaction has open cannot be read yet.
                let end = if statistics.ls_offset > 0 { statistics.ls_offset } else { statistics.hi_offset };
                if let Ok(end) = u64::try_from(end) {
                    self.metrics.set_end(topic, *partition, end);
                }
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.metrics.trouble(&format!("{error}: {reason}"));
        tracing::debug!(%error, reason, "kafka");
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = reason.to_owned();
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        self.metrics.rebalanced();
        let answered = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            tracing::info!(partitions = list.count(), "kafka gave partitions");
            self.assigned(list);
            consumer.incremental_assign(&TopicPartitionList::new())
        } else {
            tracing::info!(partitions = list.count(), "kafka took partitions");
            consumer.incremental_unassign(&self.revoked(list))
        };
        if let Err(error) = answered {
            tracing::warn!(%error, "failed to answer a rebalance of kafka");
        }
    }

    fn commit_callback(&self, result: rdkafka::error::KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(%error, "failed to tell the group how far it is; only its lag's display depends on it");
        }
    }
}

impl Partitions {
    /// Those that are to be begun, and do not rest.
    pub(super) fn pending(&mut self, now: Duration) -> Vec<Key> {
        self.rests.retain(|_, until| *until > now);
        let pending = self.stages.iter().filter(|(_, stage)| **stage == Stage::Pending);
        pending.map(|(key, _)| key.clone()).filter(|key| !self.rests.contains_key(key)).collect()
    }

    /// Stops the reading of all, to begin them anew; gives those that were read.
    pub(super) fn suspend(&mut self) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for ((topic, partition), stage) in &mut self.stages {
            if let Stage::Reading(_) = stage {
                list.add_partition(topic, *partition);
                *stage = Stage::Pending;
            }
        }
        list
    }

    /// Where a partition is read, if it is.
    pub(super) fn position(&mut self, key: &Key) -> Option<&mut Position> {
        match self.stages.get_mut(key) {
            Some(Stage::Reading(position)) => Some(position),
            _ => None,
        }
    }

    /// The sources that are read, with their partitions.
    pub(super) fn reading(&self) -> Vec<(Key, Arc<str>)> {
        let reading = self.stages.iter().filter_map(|(key, stage)| match stage {
            Stage::Reading(position) => Some((key.clone(), Arc::clone(&position.source))),
            Stage::Pending => None,
        });
        reading.collect()
    }
}

/// A list with explicit offsets.
pub(super) fn list_of<'a>(offsets: impl IntoIterator<Item = (&'a Key, u64)>) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for ((topic, partition), offset) in offsets {
        list.add_partition_offset(topic, *partition, Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX)))?;
    }
    Ok(list)
}

impl Context {
    /// Says why nothing is read, or that it is.
    pub(super) fn pause(&self, why: Option<Paused>) {
        self.metrics.pause(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_a_reading_before_moves_nothing() {
        let begun = |before| Position { source: "kafka/a/x/0".into(), began: 7, next: 7, before };
        let mut fresh = begun(None);
        assert_eq!((fresh.pass_to(None), fresh.pass_to(Some(7)), fresh.pass_to(Some(9))), (None, None, Some(7)));
        assert_eq!((fresh.pass_to(Some(8)), fresh.next), (None, 9));
        // It was at 12 when it was begun anew at 7: until something else is heard, 12 is of then.
        let mut again = begun(Some(12));
        assert_eq!((again.pass_to(Some(12)), again.next), (None, 7));
        assert_eq!((again.pass_to(Some(8)), again.pass_to(Some(12)), again.next), (Some(7), Some(8), 12));
        let mut reset = begun(Some(12));
        assert_eq!((reset.pass_to(None), reset.pass_to(Some(12))), (None, Some(7)));
    }
}
