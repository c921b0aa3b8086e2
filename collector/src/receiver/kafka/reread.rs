//! How are the messages of a batch read again, of which a dead letter has the offsets only?
//!
//! G1  As the reading would, with the settings of now: by a client of the same limits, which leaves out what transactions gave up, and to the same
//!     rows and letters.
//! G2  From the topic that the letter names by its id, and no namesake of it.
//! G3  What they take together is no more than all requests at the doors may: they are stored at once.
//!
//! Not here: who stores them (`replay`).

use super::assignment::{Key, list_of};
use super::intake::{Intake, Portion};
use super::replay::ReplayedLetter;
use super::scout::{self, LIMIT, is_zstd, refused};
use super::topic_id;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use std::time::Duration;

/// How long the cluster may take to answer a question, and to give all of them.
const ANSWER: Duration = Duration::from_secs(10);
const ALL: Duration = Duration::from_secs(60);
/// How long is waited for a word.
const WAIT: Duration = Duration::from_millis(50);

/// The messages of a letter's batch. An `Err` says why they cannot be had.
pub(super) fn read(intake: &Intake, letter: &ReplayedLetter) -> Result<Portion, String> {
    let consumer = scout::client(&intake.config, &[])?;
    let partition = i32::try_from(letter.partition).map_err(|_| "it names no partition")?;
    let key: Key = (letter.topic.as_str().into(), partition);
    let id = letter.id.rsplit('-').next().unwrap_or_default();
    is_the_same(&consumer, &letter.topic, id)?;
    let ends = consumer.fetch_watermarks(&key.0, key.1, ANSWER).map_err(|error| error.to_string())?;
    if u64::try_from(ends.0).is_ok_and(|low| low > letter.offsets.start) {
        return Err(format!("the topic has its messages no more: it begins at offset {}", ends.0));
    }
    let source = format!("kafka/{}/{id}/{partition}", letter.topic).into();
    let mut portion = Portion { source: Some(source), ..Portion::default() };
    let list = list_of([(&key, letter.offsets.start)]).map_err(|error| error.to_string())?;
    consumer.assign(&list).map_err(|error| error.to_string())?;
    let (until, mut held) = (intake.clock.monotonic() + ALL, 0);
    let mut said = "the cluster does not give its messages".to_owned();
    loop {
        if intake.clock.monotonic() >= until {
            return Err(said);
        }
        match consumer.poll(WAIT) {
            Some(Ok(message)) => match u64::try_from(message.offset()) {
                Ok(offset) if offset >= letter.offsets.end => break,
                Ok(offset) if offset >= letter.offsets.start => {
                    held += message.payload_len() + intake.take_in(&message, &mut portion);
                }
                _ => {}
            },
            Some(Err(KafkaError::PartitionEOF(_))) => break,
            Some(Err(error)) => {
                let reason = consumer.context().heard();
                if refused(error.rdkafka_error_code(), &reason).is_some() {
                    let hint = if is_zstd(&reason) {
                        format!("; it may unpack to more than `{LIMIT}`")
                    } else {
                        String::new()
                    };
                    return Err(format!("it cannot be read: {reason}{hint}"));
                }
                said = format!("{error}: {reason}");
            }
            None => {}
        }
        if held > intake.bounds.memory {
            let limit = intake.bounds.memory;
            return Err(format!("its messages take more than the {limit} bytes of `otlp.max_bytes_in_flight`"));
        }
    }
    // It may have been made anew meanwhile (G2).
    is_the_same(&consumer, &letter.topic, id).map(|()| portion)
}

/// Whether the topic of that name has that id.
fn is_the_same(consumer: &BaseConsumer<scout::Ear>, topic: &str, id: &str) -> Result<(), String> {
    let ids = topic_id::of_topics(consumer.client(), &[topic.to_owned()], ANSWER)?;
    match ids.get(topic) {
        Some(now) if now == id => Ok(()),
        Some(_) => Err("its topic was deleted, and made anew without its messages".into()),
        None => Err("the cluster has no topic of that name".into()),
    }
}
