//! How do messages become rows of the store, each exactly once?
//!
//! R1  A partition is begun where the store says that it has been read to. Where the cluster has deleted what comes then, or has lost
//!     what came before, that is told, counted, and only then passed over.
//! R2  Rows are given to the store with the offsets that they came from. Where it does not take them, for want of room or because
//!     others have brought the same, all partitions are begun anew from where it says.
//! R3  What the store cannot take is not fetched: no more is in memory than librdkafka's queue, what one answer of each broker unpacks to, and one
//!     portion, which ends with the message that fills it; of that alone it depends whether it can be decoded. Where the store's memory is half full, the reading waits a while for its
//!     blocks: the rest of it is for senders who cannot wait as Kafka's messages can.
//! R4  What stands between messages and is none, as the end of a transaction, is passed over once nothing else is waiting: a partition whose end
//!     it is has no lag, and nothing is lost when the cluster deletes it.
//! R5  Rows are given to the store once their topic was looked at after they were fetched, and was the one that their source names: a namesake that
//!     was made meanwhile has offsets, too. What was gathered of both is let go of, as it cannot be told apart; the namesake is read from its
//!     beginning.
//! R6  The group is told how far the blocks are, after the fact, for those who look at its lag. Nothing here reads that.
//!
//! Not here: what comes and goes (`assignment`), what becomes of a message (`intake`), which points have no room (`limit`), batches that cannot
//! be read (`standing`).

use super::assignment::{Context, Key, Position, Stage, list_of};
use super::config::{Begin, OnLoss};
use super::intake::{Intake, Portion};
use super::report::KafkaMetrics;
use super::scout::{Ear, refused};
use super::standing::Suspects;
use super::topic_id;
use crate::Collector;
use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use storage::engine::{Consumption, Engine};
use storage::fs::Clock;

/// A portion ends with so many messages, or bytes of messages: it is decoded before it is visible.
const PORTION_MESSAGES: usize = 2_000;
const PORTION_BYTES: usize = 8 << 20;
/// Or with so much memory for what they hold.
const PORTION_MEMORY: usize = 64 << 20;
/// How long the next message is waited for, which is how soon the end is noticed.
const WAIT: Duration = Duration::from_millis(100);
/// How long the store's blocks are waited for before a portion, and how often it is looked at meanwhile.
const WAIT_AT_MOST: Duration = Duration::from_secs(2);
const WAIT_STEP: Duration = Duration::from_millis(5);
/// How long the cluster may take to answer a question.
const ANSWER: Duration = Duration::from_secs(10);
/// How often the group is told how far the blocks are, and topics are looked at.
const TELL_EVERY: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How often partitions that are not begun are told of: each costs the cluster a question.
const TELL_REST: Duration = Duration::from_secs(5);
/// How often it is asked what stands behind the last messages.
const PASS_EVERY: Duration = Duration::from_millis(500);
/// How long a broker may take to say which topics there are, and how often it is asked at most where little comes at a time.
const LOOK: Duration = Duration::from_secs(2);
const HAND_OVER_EVERY: Duration = Duration::from_millis(100);
/// How long what failed rests.
const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Reads until told to stop.
pub(super) struct Reader {
    pub(super) consumer: BaseConsumer<Context>,
    /// Asks which topics there are while the other one waits for messages: brokers answer what comes by a connection one after the other.
    pub(super) asking: BaseConsumer<Ear>,
    pub(super) intake: Arc<Intake>,
    pub(super) collector: Collector,
    pub(super) engine: Arc<Engine>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<KafkaMetrics>,
    pub(super) stop: Arc<AtomicBool>,
}

/// What the loop remembers.
#[derive(Debug, Default)]
struct Pace {
    relapses: u64,
    rest: Duration,
    retry_at: Duration,
    told_at: Duration,
    looked_at: Duration,
    rest_told_at: Duration,
    pass_at: Duration,
    /// When portions were given to the store last, and which broker said then which topics there were.
    given_at: Duration,
    teller: Option<i32>,
    suspects: Suspects,
    /// The topics that there were when this process began, where it matters.
    known: Option<Known>,
    /// Topics of which it was told that the cluster has none of that name.
    absent: BTreeSet<String>,
}

type Portions = BTreeMap<Key, Portion>;

/// Topics, with how many partitions each had, and whether any of them had been read.
type Known = BTreeMap<String, (i32, bool)>;

impl Reader {
    pub(super) fn run(self) {
        let mut pace = Pace { relapses: self.engine.relapses(), ..Pace::default() };
        if let Err(what) = self.know_topics(&mut pace) {
            tracing::debug!(what, "kafka does not tell its topics yet; it is asked again");
        }
        while !self.stop.load(Ordering::Acquire) {
            self.follow_store(&mut pace);
            self.begin_pending(&mut pace);
            self.wait_for_store();
            let portions = self.gather(&mut pace);
            self.take(portions, &mut pace);
            self.pass_unreadable(&mut pace.suspects);
            self.tell(&mut pace);
        }
        if !self.engine.hand_over(2 * ANSWER / 5) {
            tracing::info!("rows of Kafka that are not flushed will be read again at the next start");
        }
        self.tell_group(CommitMode::Sync);
        self.consumer.unsubscribe();
    }

    /// Goes back where the store has let go of rows (K3 of the store).
    fn follow_store(&self, pace: &mut Pace) {
        let relapses = self.engine.relapses();
        if relapses != pace.relapses {
            pace.relapses = relapses;
            self.metrics.relapsed();
            self.suspend();
        }
    }

    /// Lets the store's blocks come after what is in memory (R3). Not for long: the group wants to hear of us, and of what has no end the
    /// store says why.
    fn wait_for_store(&self) {
        let begun = self.clock.monotonic();
        while self.engine.is_half_full()
            && !self.stop.load(Ordering::Acquire)
            && self.clock.monotonic().saturating_sub(begun) < WAIT_AT_MOST
        {
            std::thread::sleep(WAIT_STEP);
        }
    }

    /// Stops reading; all partitions are begun anew.
    fn suspend(&self) {
        let list = self.consumer.context().partitions().suspend();
        if list.count() > 0
            && let Err(error) = self.consumer.incremental_unassign(&list)
        {
            tracing::warn!(%error, "failed to stop the reading of kafka's partitions");
        }
    }

    fn begin_pending(&self, pace: &mut Pace) {
        let now = self.clock.monotonic();
        let pending = self.consumer.context().partitions().pending(now);
        if pending.is_empty() {
            return self.metrics.stuck(None);
        }
        if now < pace.retry_at {
            return;
        }
        // What cannot be stored is not fetched (R3).
        if let Some(shortage) = self.engine.shortage() {
            if self.metrics.may_log("paused", now).is_some() {
                tracing::warn!(%shortage, "kafka is not read for now");
            }
            self.consumer.context().pause(Some(shortage.to_string()));
            if now >= pace.rest_told_at {
                self.tell_of_rest(&pending, pace.known.as_ref());
                pace.rest_told_at = self.clock.monotonic() + TELL_REST;
            }
            pace.retry_at = now + RETRY_MIN;
            return;
        }
        match self.know_topics(pace).and_then(|()| self.begin(&pending, pace.known.as_ref())) {
            Ok(()) => {
                pace.rest = Duration::ZERO;
                self.metrics.stuck(None);
                self.consumer.context().pause(None);
            }
            Err(what) => {
                pace.rest = (pace.rest * 2).clamp(RETRY_MIN, RETRY_MAX);
                pace.retry_at = self.clock.monotonic() + pace.rest;
                if self.metrics.may_log("begin", now).is_some() {
                    tracing::warn!(
                        what,
                        partitions = pending.len(),
                        "failed to begin partitions of kafka; it is tried again"
                    );
                }
                self.metrics.stuck(Some(what));
            }
        }
    }

    /// Says how far behind partitions are that are not begun: what is not fetched tells nothing of itself.
    fn tell_of_rest(&self, pending: &[Key], known: Option<&Known>) {
        let Ok(ids) = self.ids_of(pending) else { return };
        for key in pending {
            let Ok((source, low, high)) = self.look_at(key, &ids) else { return };
            let beginning = if self.is_from_the_first(key, &source, known) { low } else { high };
            let next = self.engine.position(&source).unwrap_or(beginning);
            self.metrics.of(&key.0, key.1, |told| (told.position, told.end, told.ours) = (next, high, true));
        }
    }

    /// The ids of the topics that partitions belong to.
    pub(super) fn ids_of(&self, keys: &[Key]) -> Result<BTreeMap<String, String>, String> {
        let mut names: Vec<String> = keys.iter().map(|(topic, _)| topic.to_string()).collect();
        names.dedup();
        topic_id::of_topics(self.consumer.client(), &names, ANSWER)
    }

    /// Finds out where partitions are read from, and has them read (R1). One that cannot be begun keeps no other from it; an `Err`
    /// says why the first of those cannot.
    fn begin(&self, pending: &[Key], known: Option<&Known>) -> Result<(), String> {
        self.engine.refresh().map_err(|error| error.to_string())?;
        let ids = self.ids_of(pending)?;
        let (mut found, mut beginnings, mut failed) = (Vec::new(), BTreeMap::new(), None);
        for key in pending {
            match self.look_at(key, &ids) {
                Ok((source, low, high)) => {
                    if self.engine.position(&source).is_none() {
                        self.tell_of_new(&key.0, key.1, &source);
                        let at = if self.is_from_the_first(key, &source, known) { low } else { high };
                        beginnings.insert(source.to_string(), at);
                    }
                    found.push((key, source, low, high));
                }
                Err(what) => {
                    self.metrics.of(&key.0, key.1, |told| (told.ours, told.stuck) = (true, Some(what.clone())));
                    failed.get_or_insert(format!("{}/{}: {what}", key.0, key.1));
                }
            }
        }
        if !beginnings.is_empty() {
            self.engine.begin_sources(&beginnings).map_err(|error| error.to_string())?;
        }
        let mut starts = Vec::new();
        for (key, source, low, high) in found {
            // Also of one that cannot be begun it is told how far behind it is.
            let at = self.engine.position(&source).unwrap_or(low);
            self.metrics.of(&key.0, key.1, |told| (told.position, told.end, told.ours) = (at, high, true));
            match self.start_of(key, &source, (low, high)) {
                Ok(at) => starts.push((key, Position { source, began: at, next: at, before: None }, high)),
                Err(what) => {
                    self.metrics.of(&key.0, key.1, |told| told.stuck = Some(what.clone()));
                    failed.get_or_insert(format!("{}/{}: {what}", key.0, key.1));
                }
            }
        }
        self.assign(starts).map_err(|error| error.to_string())?;
        failed.map_or(Ok(()), Err)
    }

    /// Whether a partition of which nothing was read is read from its first message: so are all, or it has come since its topic was first read, or its
    /// topic has come since this process began, so that no message of it is older.
    fn is_from_the_first(&self, (topic, partition): &Key, source: &str, known: Option<&Known>) -> bool {
        let has_come = || match known.and_then(|known| known.get(&**topic)) {
            Some((partitions, is_read)) => *is_read || *partition >= *partitions,
            None => true,
        };
        self.intake.config.begin == Begin::Earliest || !self.namesakes(topic, source).is_empty() || has_come()
    }

    /// Takes note of the topics that there are, the first time that the cluster answers.
    fn know_topics(&self, pace: &mut Pace) -> Result<(), String> {
        if pace.known.is_some() || self.intake.config.begin == Begin::Earliest {
            return Ok(());
        }
        self.engine.refresh().map_err(|error| error.to_string())?;
        let cluster = self.consumer.fetch_metadata(None, ANSWER).map_err(|error| error.to_string())?;
        let topics = cluster.topics().iter().map(|topic| {
            let partitions = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
            let is_read = !self.engine.sources(&format!("kafka/{}/", topic.name())).is_empty();
            (topic.name().to_owned(), (partitions, is_read))
        });
        pace.known = Some(topics.collect());
        Ok(())
    }

    /// A partition's name in the store, and its first and next offset in the cluster.
    fn look_at(
        &self,
        (topic, partition): &Key,
        ids: &BTreeMap<String, String>,
    ) -> Result<(Arc<str>, u64, u64), String> {
        let id = ids.get(&**topic).ok_or("the cluster does not describe the topic")?;
        let ends = self.consumer.fetch_watermarks(topic, *partition, ANSWER).map_err(|error| error.to_string())?;
        let [low, high] = [ends.0, ends.1].map(|offset| u64::try_from(offset).unwrap_or(0));
        Ok((format!("kafka/{topic}/{id}/{partition}").into(), low, high))
    }

    /// Has partitions read.
    fn assign(&self, starts: Vec<(&Key, Position, u64)>) -> Result<(), KafkaError> {
        if starts.is_empty() {
            return Ok(());
        }
        let list = list_of(starts.iter().map(|(key, position, _)| (*key, position.next)))?;
        self.consumer.incremental_assign(&list)?;
        let before = self.handed_over().inspect_err(|_| drop(self.consumer.incremental_unassign(&list)))?;
        let before: BTreeMap<Key, Option<u64>> = before.into_iter().collect();
        let mut partitions = self.consumer.context().partitions();
        for (key, mut position, high) in starts {
            let ((topic, partition), next) = (key, position.next);
            position.before = before.get(key).copied().flatten();
            self.metrics.of(topic, *partition, |told| (told.position, told.end, told.stuck) = (next, high, None));
            partitions.stages.insert((Arc::clone(topic), *partition), Stage::Reading(position));
        }
        self.metrics.own(|topic, partition| partitions.stages.contains_key(&(Arc::from(topic), partition)));
        Ok(())
    }

    /// The partitions of other topics that had that name.
    fn namesakes(&self, topic: &str, source: &str) -> Vec<String> {
        let own = source.rsplit_once('/').map(|(own, _)| own);
        let mut known = self.engine.sources(&format!("kafka/{topic}/"));
        known.retain(|name| name.rsplit_once('/').map(|(other, _)| other) != own);
        known
    }

    /// Says that a topic was made anew: what was read of its namesake stays, and is nowhere else.
    fn tell_of_new(&self, topic: &str, partition: i32, source: &str) {
        let namesakes = self.namesakes(topic, source);
        namesakes.iter().for_each(|namesake| self.save(namesake));
        if !namesakes.is_empty() {
            tracing::warn!(topic, partition, source, "a topic of kafka was made anew; it is read from its beginning");
        }
    }

    /// Has what was read of a partition that is gone come to blocks: it cannot be read again.
    fn save(&self, source: &str) {
        if self.engine.position(source) != self.engine.committed_position(source) && !self.engine.settle(ANSWER) {
            tracing::warn!(source, "what was read of a topic of kafka that is gone is not in blocks yet");
        }
    }

    /// Where a partition is read from.
    fn start_of(&self, key: &Key, source: &Arc<str>, (low, high): (u64, u64)) -> Result<u64, String> {
        let (topic, partition) = (&*key.0, key.1);
        let at = self.engine.position(source).ok_or("the store does not know it")?;
        let (to, what) = if at < low {
            (low, "messages were deleted before they were read")
        } else if at > high {
            (high, "messages that had been read are there no more, and what may have come in their place is not read")
        } else {
            return Ok(at);
        };
        if self.intake.config.on_loss == OnLoss::Stop {
            let place = format!("it was read up to {at}, the cluster has {low} to {high}");
            return Err(format!("{what}, and `kafka.on_loss` is `stop`: {place}"));
        }
        let read = BTreeMap::from([(source.to_string(), (at, to))]);
        self.engine.consume(&Consumption { rows: Vec::new(), read }).map_err(|error| error.to_string())?;
        let lost = low.saturating_sub(at);
        tracing::error!(topic, partition, at, low, high, lost, "{what}; reading goes on behind them");
        self.metrics.of(topic, partition, |told| {
            told.lost += lost;
            told.truncations += u64::from(at > high);
        });
        Ok(to)
    }

    /// Reads what there is, up to a portion's size, and decodes it.
    fn gather(&self, pace: &mut Pace) -> Portions {
        let mut portions = Portions::new();
        let (mut messages, mut bytes, mut memory, mut wait) = (0, 0, 0, WAIT);
        while messages < PORTION_MESSAGES && bytes < PORTION_BYTES && memory < PORTION_MEMORY {
            match self.consumer.poll(wait) {
                None => {
                    let rest = (pace.given_at + HAND_OVER_EVERY).saturating_sub(self.clock.monotonic());
                    if !portions.is_empty() && !rest.is_zero() {
                        wait = rest;
                        continue;
                    }
                    self.pass_over(&mut portions, pace);
                    break;
                }
                Some(Ok(read)) => {
                    messages += 1;
                    bytes += read.payload_len() + read.key_len();
                    match self.read(&read, &mut portions) {
                        Some(held) => memory += held,
                        None => break,
                    }
                }
                Some(Err(error)) => {
                    self.complain(&error, pace);
                    break;
                }
            }
            wait = Duration::ZERO;
        }
        portions
    }

    /// Takes note of what librdkafka has passed over behind the last message (R4).
    fn pass_over(&self, portions: &mut Portions, pace: &mut Pace) {
        let now = self.clock.monotonic();
        if now < pace.pass_at {
            return;
        }
        pace.pass_at = now + PASS_EVERY;
        let Ok(handed_over) = self.handed_over() else { return };
        let mut partitions = self.consumer.context().partitions();
        for (key, offset) in handed_over {
            let Some(position) = partitions.position(&key) else { continue };
            let Some(from) = position.pass_to(offset) else { continue };
            let (to, source) = (position.next, Arc::clone(&position.source));
            let new = || Portion { from, source: Some(source), ..Portion::default() };
            portions.entry(key).or_insert_with(new).to = to;
        }
    }

    /// Up to where the client has handed over what there is, and what is none, by partition; `None` where nothing was fetched yet.
    fn handed_over(&self) -> Result<Vec<(Key, Option<u64>)>, KafkaError> {
        let offset = |offset| match offset {
            Offset::Offset(offset) => u64::try_from(offset).ok(),
            _ => None,
        };
        let list = self.consumer.position()?;
        let elements = list.elements();
        let told = elements.iter().map(|at| ((at.topic().into(), at.partition()), offset(at.offset())));
        Ok(told.collect())
    }

    /// Where an offset is out of range, where to go on is found out anew; where a batch cannot be read, who stands is suspected.
    fn complain(&self, error: &KafkaError, pace: &mut Pace) {
        let (code, said, now) = (error.rdkafka_error_code(), self.consumer.context().heard(), self.clock.monotonic());
        if let Some(refused) = refused(code, &said) {
            self.suspect(&mut pace.suspects, refused.batch);
            self.metrics.stopped(said.clone(), now);
        }
        if self.metrics.may_log("client", now).is_some() {
            tracing::warn!(%error, said, "kafka");
        }
        let moved = [RDKafkaErrorCode::OffsetOutOfRange, RDKafkaErrorCode::AutoOffsetReset];
        if code.is_some_and(|code| moved.contains(&code)) {
            self.suspend();
        }
    }

    /// Takes one message in, and says what memory that takes; `None` where all is to be begun anew.
    fn read(&self, read: &BorrowedMessage<'_>, portions: &mut Portions) -> Option<usize> {
        let key: Key = (read.topic().into(), read.partition());
        let Ok(offset) = u64::try_from(read.offset()) else { return Some(0) };
        let mut partitions = self.consumer.context().partitions();
        let seen = partitions.gaps.get(&key).copied();
        let Some(position) = partitions.position(&key) else { return Some(0) };
        if offset < position.next {
            return Some(0);
        }
        // A gap where reading was begun may be Kafka's, or a fetch from before: who asks again knows.
        if position.next == position.began && offset > position.began && seen != Some(offset) {
            partitions.gaps.insert(key, offset);
            drop(partitions);
            self.suspend();
            return None;
        }
        let (from, source) = (position.next, Arc::clone(&position.source));
        position.next = offset + 1;
        drop(partitions);
        let portion =
            portions.entry(key).or_insert_with(|| Portion { from, source: Some(source), ..Portion::default() });
        portion.to = offset + 1;
        Some(self.intake.take_in(read, portion))
    }

    /// Gives portions to the store (R2).
    fn take(&self, mut portions: Portions, pace: &mut Pace) {
        let mut partitions = self.consumer.context().partitions();
        // What went while it was read is its next reader's.
        portions.retain(|key, portion| {
            partitions.position(key).map(|position| &position.source) == portion.source.as_ref()
        });
        drop(partitions);
        if portions.is_empty() {
            return;
        }
        pace.given_at = self.clock.monotonic();
        if let Err(what) = self.let_go_of_namesakes(&mut portions, pace) {
            tracing::debug!(what, "kafka does not say which topics it has; what was read is read again");
            pace.retry_at = self.clock.monotonic() + RETRY_MIN;
            return self.suspend();
        }
        if portions.is_empty() {
            return;
        }
        let mut consumption = Consumption::default();
        for ((topic, _), portion) in &mut portions {
            self.limit_series(topic, portion);
            consumption.rows.append(&mut portion.rows);
            let source = portion.source.as_deref().unwrap_or_default();
            consumption.read.insert(source.to_owned(), (portion.from, portion.to));
        }
        if let Err(error) = self.engine.consume(&consumption) {
            let now = self.clock.monotonic();
            if self.metrics.may_log("store", now).is_some() {
                tracing::warn!(%error, "the store did not take messages of kafka; they are read again");
            }
            pace.retry_at = now + RETRY_MIN;
            return self.suspend();
        }
        self.metrics.taken();
        for ((topic, partition), portion) in portions {
            self.tell_left_out(&topic, portion.left_out);
            self.metrics.of(&topic, partition, |told| {
                told.messages += portion.told.messages;
                told.bytes += portion.told.bytes;
                told.rows += portion.told.rows;
                told.rejected += portion.told.rejected;
                told.tombstones += portion.told.tombstones;
                told.dead_letters += portion.told.dead_letters;
                told.position = portion.to;
                (told.stuck, told.stands) = (None, None);
                told.end = told.end.max(portion.to);
            });
        }
    }

    /// Lets go of what was read of topics that were made anew meanwhile (R5). An `Err` says why that is not known.
    fn let_go_of_namesakes(&self, portions: &mut Portions, pace: &mut Pace) -> Result<(), String> {
        let (client, begun) = (self.asking.client(), self.clock.monotonic());
        let mut names: Vec<String> = portions.keys().map(|(topic, _)| topic.to_string()).collect();
        names.dedup();
        // What it complains of the other one says, too.
        while self.asking.poll(Duration::ZERO).is_some() {}
        let known = pace.teller.take().map(|broker| (broker, topic_id::told_by(client, broker, &names, LOOK)));
        let (broker, ids) = match known {
            Some((broker, Ok(ids))) => (broker, ids),
            // It may be away.
            _ => {
                let broker = topic_id::teller(client, &names, LOOK)?;
                (broker, topic_id::told_by(client, broker, &names, LOOK)?)
            }
        };
        pace.teller = Some(broker);
        let took = self.clock.monotonic().saturating_sub(begun).as_micros();
        tracing::debug!(topics = names.len(), took, "looked which topics kafka has");
        // Where there is none of that name any more, what was read was of the one that there was.
        let is_another = |(topic, partition): &Key, portion: &Portion| {
            let now = ids.get(&**topic).map(|id| format!("kafka/{topic}/{id}/{partition}"));
            now.is_some_and(|now| portion.source.as_deref() != Some(now.as_str()))
        };
        let count = portions.len();
        portions.retain(|key, portion| !is_another(key, portion));
        if portions.len() < count {
            tracing::warn!(
                "a topic of kafka was made anew while it was read; what was just read under its name is let go of"
            );
            // What is left of the others is read again, too.
            portions.clear();
            self.suspend();
        }
        Ok(())
    }

    /// From time to time tells the group how far the blocks are (R6), and looks whether topics were made anew.
    fn tell(&self, pace: &mut Pace) {
        let now = self.clock.monotonic();
        if now.saturating_sub(pace.told_at) >= TELL_EVERY {
            pace.told_at = now;
            self.tell_group(CommitMode::Async);
        }
        if now.saturating_sub(pace.looked_at) >= LOOK_EVERY {
            pace.looked_at = now;
            self.look_at_topics(pace);
        }
    }

    fn tell_group(&self, mode: CommitMode) {
        let reading = self.consumer.context().partitions().reading();
        let committed = |(key, source): &(Key, Arc<str>)| Some((key.clone(), self.engine.committed_position(source)?));
        let committed: Vec<(Key, u64)> = reading.iter().filter_map(committed).collect();
        for ((topic, partition), offset) in &committed {
            self.metrics.of(topic, *partition, |told| told.committed = *offset);
        }
        let list = list_of(committed.iter().map(|(key, offset)| (key, *offset)));
        if let Ok(list) = list
            && list.count() > 0
            && let Err(error) = self.consumer.commit(&list, mode)
        {
            tracing::debug!(%error, "failed to tell the group how far it is; only its lag's display depends on it");
        }
    }

    /// A topic that was deleted and made again under our reading has another id: it is begun anew. One that is not there is told of.
    fn look_at_topics(&self, pace: &mut Pace) {
        let reading = self.consumer.context().partitions().reading();
        let read = reading.iter().map(|((topic, _), _)| &**topic);
        let names: BTreeSet<String> = read.chain(self.intake.topics.names()).map(str::to_owned).collect();
        if names.is_empty() {
            return;
        }
        let names = Vec::from_iter(names);
        let Ok(ids) = topic_id::of_topics(self.consumer.client(), &names, ANSWER) else { return };
        for topic in self.intake.topics.names() {
            if ids.contains_key(topic) {
                pace.absent.remove(topic);
            } else if pace.absent.insert(topic.to_owned()) {
                tracing::warn!(topic, "kafka has no topic of that name; it is read once there is one");
            }
        }
        let is_there = |((topic, partition), source): &&(Key, Arc<str>)| {
            ids.get(&**topic).is_some_and(|id| **source == *format!("kafka/{topic}/{id}/{partition}"))
        };
        let gone: Vec<_> = reading.iter().filter(|read| !is_there(read)).collect();
        gone.iter().for_each(|(_, source)| self.save(source));
        if gone.iter().any(|((topic, _), _)| ids.contains_key(&**topic)) {
            self.suspend();
        }
    }
}
