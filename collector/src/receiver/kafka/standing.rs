//! How does a partition get past a batch that cannot be read?
//!
//! U1  A partition that stands for a while before messages, while the client complains of a batch, is looked at (`scout`). What is found to be a
//!     batch that cannot be read is passed over, with a dead letter that names its offsets in the commit that passes: as with any message that cannot
//!     be read, nothing stops, and what is not stored is told.
//! U2  A batch that the settings are too small for, and that could be read with what is usual, is not passed over: the partition stands, and
//!     says what it needs. So it does, whatever the batch is, where `on_loss` is `stop`.
//! U3  Where it is not known what is wrong, nothing is passed over.

use super::assignment::{Key, Stage, list_of};
use super::config::OnLoss;
use super::letter::{self, Letter, Place};
use super::reader::Reader;
use super::scout::{Found, LIMIT, Refused, Scout, is_zstd};
use rdkafka::consumer::Consumer as _;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use storage::engine::Consumption;
use storage::model::TenantId;

/// How long a partition stands before it is looked at: the client has tried some six times by then, and the cluster may have put another leader.
const STANDS: Duration = Duration::from_secs(3);
/// How long it must have been quiet that nobody is suspected any more.
const QUIET: Duration = Duration::from_secs(10);
/// How many are looked at in a row; how long none is after one of which nothing could be found out, and how long one that does not go on rests.
const AT_ONCE: usize = 16;
/// Numbers of batches that are kept.
const MOST_BATCHES: usize = 1_000;
const REST: Duration = Duration::from_secs(30);

/// Partitions that may stand before such a batch.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// Where each stands, and since when.
    since: BTreeMap<Key, (u64, Duration)>,
    /// The numbers of batches that the client complained of: mostly that is the offset at which a partition stands.
    batches: BTreeSet<u64>,
    complained_at: Duration,
    rest_until: Duration,
}

impl Suspects {
    /// Takes note, on a complaint of a batch, of who stands where.
    fn note(&mut self, standing: BTreeMap<Key, u64>, batch: u64, now: Duration) {
        self.complained_at = now;
        if self.batches.len() >= MOST_BATCHES {
            self.batches.clear();
        }
        self.batches.insert(batch);
        // One that is being begun anew stands where it stood.
        self.since.retain(|key, (at, _)| standing.get(key).is_none_or(|next| next == at));
        for (key, at) in standing {
            self.since.entry(key).or_insert((at, now));
        }
    }

    /// Those that have stood long enough.
    fn due(&mut self, now: Duration) -> Vec<(Key, u64)> {
        if now.saturating_sub(self.complained_at) >= QUIET {
            self.since.clear();
            self.batches.clear();
        }
        if now < self.rest_until {
            return Vec::new();
        }
        let due = self.since.iter().filter(|(_, (_, since))| now.saturating_sub(*since) >= STANDS);
        let mut due: Vec<(Key, u64)> = due.map(|(key, (at, _))| (key.clone(), *at)).collect();
        due.sort_by_key(|(_, at)| !self.batches.contains(at));
        due.truncate(AT_ONCE);
        due
    }
}

impl Reader {
    /// Suspects all that have something to read.
    pub(super) fn suspect(&self, suspects: &mut Suspects, batch: u64) {
        let partitions = self.consumer.context().partitions();
        let standing = partitions.stages.iter().filter_map(|(key, stage)| match stage {
            Stage::Reading(position) if position.next < self.metrics.end(&key.0, key.1) => {
                Some((key.clone(), position.next))
            }
            _ => None,
        });
        suspects.note(standing.collect(), batch, self.clock.monotonic());
    }

    /// Looks at those that stand, and has them read behind what cannot be read (U1).
    pub(super) fn pass_unreadable(&self, suspects: &mut Suspects) {
        for (key, at) in suspects.due(self.clock.monotonic()) {
            let stage = self.consumer.context().partitions().stages.get(&key).cloned();
            // One that is being begun anew is looked at once it is read.
            if stage == Some(Stage::Pending) {
                continue;
            }
            // It is suspected anew by the next complaint.
            suspects.since.remove(&key);
            let Some(Stage::Reading(position)) = stage else { continue };
            if position.next != at {
                continue;
            }
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            let found = Scout::new(&self.intake.config, &self.clock).find(&key, at);
            let passed = found.and_then(|found| match found {
                Found::Readable => Ok(()),
                Found::BeyondLimit(limit) => {
                    let needs = format!("a batch at offset {at} needs more than the {limit} bytes of `{LIMIT}`");
                    self.stand(&key, &format!("{needs} in `kafka.librdkafka`"))
                }
                Found::Batch(offsets, refused) => self.pass_batch(&key, &position.source, offsets, &refused),
            });
            if let Err(what) = passed {
                suspects.rest_until = self.clock.monotonic() + REST;
                if self.metrics.may_log("standing", self.clock.monotonic()).is_some() {
                    tracing::warn!(topic = %key.0, partition = key.1, at, what, "a partition of kafka stands, and why is not known yet");
                }
                return;
            }
        }
    }

    /// Says that a partition stands. It is not fetched for a while: each time costs what the batch unpacks to.
    fn stand(&self, key: &Key, what: &str) -> Result<(), String> {
        let ((topic, partition), now) = (key, self.clock.monotonic());
        self.metrics.of(topic, *partition, |told| told.stands = Some(what.to_owned()));
        self.metrics.stopped(format!("{topic}/{partition}: {what}"), now);
        if self.metrics.may_log(&format!("stands {topic}/{partition}"), now).is_some() {
            tracing::warn!(%topic, partition, what, "a partition of kafka does not go on");
        }
        self.consumer.context().partitions().rests.insert(key.clone(), now + REST);
        self.begin_anew(key)
    }

    /// Writes the letter of a batch, and passes it over in the same commit.
    fn pass_batch(&self, key: &Key, source: &Arc<str>, offsets: Range<u64>, refused: &Refused) -> Result<(), String> {
        let ((topic, partition), Range { start, end }) = (key, offsets);
        let said = &refused.said;
        if self.intake.config.on_loss == OnLoss::Stop {
            let last = end.saturating_sub(1);
            let what = format!("messages {start} to {last} cannot be read, and `kafka.on_loss` is `stop`: {said}");
            return self.stand(key, &what);
        }
        let ids = self.ids_of(std::slice::from_ref(key))?;
        let id = ids.get(&**topic).ok_or("the cluster does not describe the topic")?;
        if **source != *format!("kafka/{topic}/{id}/{partition}") {
            return Err("its topic was made anew".into());
        }
        let offset = i64::try_from(start).map_err(|error| error.to_string())?;
        let place = Place { topic, topic_id: id, partition: *partition, offset };
        let letter = Letter {
            place,
            end: Some(end),
            sent: None,
            time: self.clock.now_unix_nano(),
            key: None,
            payload: &[],
            tenant: "",
            reason: &reason(start..end, said),
            partial: false,
        };
        let batch = letter::rows(&letter, self.intake.topics.find(topic))?;
        let rows = vec![(TenantId::dead_letters(), batch)];
        let read = BTreeMap::from([(source.to_string(), (start, end))]);
        self.engine.consume(&Consumption { rows, read }).map_err(|error| error.to_string())?;
        tracing::error!(%topic, partition, start, end, said, "messages of kafka cannot be read; a dead letter names them, and reading goes on behind them");
        self.metrics.of(topic, *partition, |told| {
            told.dead_letters += 1;
            told.unreadable += end.saturating_sub(start);
            (told.position, told.stands) = (end, None);
        });
        self.metrics.goes_on();
        self.metrics.taken();
        self.begin_anew(key)
    }

    /// Has one partition begun anew.
    fn begin_anew(&self, key: &Key) -> Result<(), String> {
        let mut partitions = self.consumer.context().partitions();
        let Some(stage) = partitions.stages.get_mut(key) else { return Ok(()) };
        *stage = Stage::Pending;
        drop(partitions);
        let list = list_of([(key, 0)]).map_err(|error| error.to_string())?;
        self.consumer.incremental_unassign(&list).map_err(|error| error.to_string())
    }
}

/// What a batch's letter says.
fn reason(offsets: Range<u64>, said: &str) -> String {
    let (first, last) = (offsets.start, offsets.end.saturating_sub(1));
    let again = "they are in the topic only, as long as it keeps them: a replay reads them from there";
    let more = if is_zstd(said) {
        format!("; with a larger `{LIMIT}` in `kafka.librdkafka`, where it unpacks to more than that")
    } else {
        String::new()
    };
    format!("a batch cannot be read, messages {first} to {last}: {said}; {again}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u1_who_goes_on_is_not_suspected_and_who_stands_is_after_a_while() {
        let (a, b): (Key, Key) = (("a".into(), 0), ("b".into(), 0));
        let seconds = Duration::from_secs;
        let mut suspects = Suspects::default();
        suspects.note([(a.clone(), 7), (b.clone(), 1)].into(), 5, seconds(100));
        assert!(suspects.due(seconds(101)).is_empty());
        suspects.note([(a.clone(), 7), (b.clone(), 2)].into(), 5, seconds(102));
        assert_eq!(suspects.due(seconds(103)), [(a.clone(), 7)]);
        suspects.note(BTreeMap::new(), 5, seconds(103));
        assert_eq!(suspects.due(seconds(103)), [(a.clone(), 7)], "it may be that it is begun anew");
        suspects.since.remove(&a);
        suspects.note([(a.clone(), 7), (b.clone(), 2)].into(), 5, seconds(104));
        suspects.note([(a.clone(), 7), (b.clone(), 2)].into(), 2, seconds(107));
        assert_eq!(suspects.due(seconds(108)), [(b.clone(), 2), (a.clone(), 7)], "at the batch itself first");
        suspects.since.clear();
        suspects.note([(a.clone(), 7), (b.clone(), 2)].into(), 5, seconds(109));
        suspects.rest_until = seconds(200);
        assert!(suspects.due(seconds(115)).is_empty());
        assert!(suspects.due(seconds(300)).is_empty(), "nobody has complained for long");
    }

    #[test]
    fn a_letter_says_which_messages_and_how_they_are_read_after_all() {
        let limited = reason(17..117, "Decompression (codec 0x4) of message at 17 of 9 bytes failed");
        assert!(limited.contains("messages 17 to 116") && limited.contains(LIMIT), "{limited}");
        let broken = reason(17..18, "MessageSet at offset 17 (9 bytes) failed CRC32C check");
        assert!(broken.contains("messages 17 to 17") && !broken.contains(LIMIT), "{broken}");
    }
}
