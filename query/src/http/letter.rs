//! How is a message that could not be read looked at, and read again?
//!
//! A dead letter is a log record with its bytes as the body; it is searched as those are. It belongs to the tenant that has it, and whoever asks for it names that tenant.
//!
//! Z1  A letter that was replayed has a record beside it that says so, and is not replayed again. Replays follow each other, and go
//!     on when their caller leaves. Records come before the word of them: who dies between has them, and may replay the letter
//!     once more; so may another process that writes to the same bucket.
//! Z2  A letter of which some records were stored when it came is not replayed: they would be there twice.
//!
//! Not here: how its bytes become records (the doors).

use super::answer::{self, Body};
use super::state::{QueryState, Replay};
use crate::error::{Error, Result};
use crate::exec::QueryContext;
use crate::log;
use crate::log::letter::{ID, LETTER, REPLAYED};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use query_api::log::LogRecord;
use query_api::otlp::AnyValue;
use std::sync::Arc;
use storage::scan::{AttributeScope, Compare, Field, Predicate, Scalar, TimeRange};

/// A letter and the word of its replay; more only where processes replayed it at the same time.
const RECORDS: usize = 16;

/// A letter's id: the time and place of its message.
#[derive(Debug, Clone)]
pub(super) struct LetterId {
    text: String,
    sent: i64,
    partition: u64,
    offset: u64,
}

/// How a letter is read, where it is not as its topic says.
#[derive(Debug)]
pub(super) struct How {
    pub(super) signal: Option<String>,
    pub(super) encoding: Option<String>,
    pub(super) tenant: Option<String>,
}

impl LetterId {
    pub(super) fn read(text: &str) -> Result<LetterId> {
        let read = || {
            // Time before 1970 begins with the sign.
            let at = text.get(1..)?.find('-')? + 1;
            let (sent, place) = text.split_at_checked(at)?;
            let mut place = place.splitn(4, '-').skip(1);
            let mut number = || place.next()?.parse().ok();
            Some(LetterId { text: text.to_owned(), sent: sent.parse().ok()?, partition: number()?, offset: number()? })
        };
        let why = "it is no id of a dead letter; the list of dead letters has them";
        read().ok_or_else(|| Error::parameter("id", why))
    }
}

/// Gives the letter's bytes.
pub(super) async fn download(state: &Arc<QueryState>, context: QueryContext, id: LetterId) -> Result<Body> {
    let (letter, _) = find(state, context, id).await?;
    Ok(Body::raw(payload(&letter)?))
}

/// Stores the letter's records.
pub(super) async fn replay(state: &Arc<QueryState>, context: QueryContext, id: LetterId, how: How) -> Result<Body> {
    let state = Arc::clone(state);
    // Goes on when the caller leaves (Z1).
    let task = async move {
        let _one_at_a_time = state.replaying().lock_owned().await;
        let (letter, was_replayed) = find(&state, context, id.clone()).await?;
        if was_replayed {
            return Err(Error::parameter("id", "it was replayed before"));
        }
        if attribute(&letter, "spanlight.partial") == Some(AnyValue::BoolValue(true)) {
            let message = "some of its records are stored already, and a replay would store them again";
            return Err(Error::parameter("id", message));
        }
        let known = |given: Option<String>, key: &str| {
            let told = given.or_else(|| match attribute(&letter, key) {
                Some(AnyValue::StringValue(text)) => Some(text),
                _ => None,
            });
            told.ok_or_else(|| Error::parameter("id", format!("the letter has no `{key}`; say what it is")))
        };
        let replay = Replay {
            signal: known(how.signal, "spanlight.signal")?,
            encoding: known(how.encoding, "spanlight.encoding")?,
            tenant: known(how.tenant, "spanlight.tenant")?,
            topic: known(None, "messaging.destination.name")?,
            payload: payload(&letter)?,
            partition: id.partition,
            offset: id.offset,
            time: letter.time_unix_nano,
            sent: id.sent,
            id: id.text,
        };
        let replayed = (state.host().replay)(replay).await.map_err(|message| Error::Host { message })?;
        if replayed.accepted == 0 {
            return Err(Error::parameter("encoding", replayed.message.unwrap_or_default()));
        }
        answer::small(&replayed)
    };
    tokio::spawn(task).await.map_err(|_| Error::bug("a replay ended early"))?
}

/// The letter, and whether it was replayed.
async fn find(state: &Arc<QueryState>, context: QueryContext, id: LetterId) -> Result<(LogRecord, bool)> {
    let field = Field::Attribute(AttributeScope::Any, ID.to_owned());
    let predicate = Predicate::Compare { field, compare: Compare::Equal, value: Scalar::Typed(id.text) };
    let query =
        log::SearchQuery { filter: log::Filter { range: TimeRange::ALL, predicate }, limit: RECORDS, after: None };
    let job = move |control: &crate::exec::Control| {
        let (records, _) = log::search(control, &query)?;
        let is_partial = !control.missing().is_empty();
        Ok((records, is_partial))
    };
    let (records, is_partial) = state.executor().run(context, job).await?;
    if is_partial {
        let message = "blocks that may say whether it was replayed are damaged";
        return Err(Error::Host { message: message.into() });
    }
    let was_replayed = records.iter().any(|record| record.event_name == REPLAYED);
    let letter = records.into_iter().find(|record| record.event_name == LETTER);
    let letter = letter.ok_or_else(|| Error::NotFound { what: "this tenant has no such dead letter".into() })?;
    Ok((letter, was_replayed))
}

fn attribute(record: &LogRecord, key: &str) -> Option<AnyValue> {
    record.attributes.iter().find(|attribute| attribute.key == key).map(|attribute| attribute.value.clone())
}

fn payload(letter: &LogRecord) -> Result<Vec<u8>> {
    match &letter.body {
        Some(AnyValue::BytesValue(text)) => STANDARD
            .decode(text)
            .map_err(|error| Error::bug(format!("bytes are written as they cannot be read: {error}"))),
        _ => Err(Error::Cell { what: "dead letter" }),
    }
}
