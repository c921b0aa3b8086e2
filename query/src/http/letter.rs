//! How is a message that could not be read looked at, and read again?
//!
//! A dead letter is a log record with its bytes as the body; it is searched as those are. It belongs to the tenant that has it, and whoever asks for it names that tenant.
//!
//! Z1  A letter that was replayed has a record beside it that says so, and is not replayed again. Replays follow each other, and go
//!     on when their caller leaves. Whose turn it is is asked before it is looked whether the letter was replayed, so that another process that
//!     writes to the same bucket cannot do it between.
//! Z2  A letter of which some records were stored when it came is not replayed: they would be there twice.
//!
//! Z3  A letter that stands for a batch has no bytes: a replay reads its messages from the topic, as that is read now.
//!
//! Not here: how its bytes become records (the doors).

use super::answer::{self, Body};
use super::state::{QueryState, Replay};
use crate::error::{Error, Result};
use crate::exec::QueryContext;
use crate::log::letter;
use query_api::letter::DeadLetter;
use std::sync::Arc;

/// A letter's id: the time and place of its message.
#[derive(Debug, Clone)]
pub(super) struct LetterId(String);

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
            sent.parse::<i64>().ok()?;
            for _ in 0..2 {
                place.next()?.parse::<u64>().ok()?;
            }
            place.next().map(|_| LetterId(text.to_owned()))
        };
        let why = "it is no id of a dead letter; the list of dead letters has them";
        read().ok_or_else(|| Error::parameter("id", why))
    }
}

/// Gives the letter's bytes.
pub(super) async fn download(state: &Arc<QueryState>, context: QueryContext, id: LetterId) -> Result<Body> {
    let (letter, payload) = find(state, context, id).await?;
    if letter.end.is_some() {
        return Err(Error::parameter("id", "its messages could not be read: they are in the topic only"));
    }
    Ok(Body::raw(payload))
}

/// Stores the letter's records.
pub(super) async fn replay(state: &Arc<QueryState>, context: QueryContext, id: LetterId, how: How) -> Result<Body> {
    let state = Arc::clone(state);
    // Goes on when the caller leaves (Z1).
    let task = async move {
        let _one_at_a_time = state.replaying().lock_owned().await;
        let store = Arc::clone(&state);
        let turn = tokio::task::spawn_blocking(move || store.engine().turn()).await;
        let turn = turn.map_err(|_| Error::bug("a replay ended early"))??;
        let (letter, payload) = find(&state, context, id).await?;
        if letter.replayed {
            return Err(Error::parameter("id", "it was replayed before"));
        }
        if letter.partial {
            let message = "some of its records are stored already, and a replay would store them again";
            return Err(Error::parameter("id", message));
        }
        let is_batch = letter.end.is_some();
        let known = |given: Option<String>, told: String, what: &str| {
            if is_batch {
                let whole = || Error::parameter(what, "its messages are read from the topic, as that is read now (Z3)");
                return if given.is_none() { Ok(told) } else { Err(whole()) };
            }
            let known = given.unwrap_or(told);
            let unknown = || Error::parameter(what, "the letter does not say; say what it is");
            if known.is_empty() { Err(unknown()) } else { Ok(known) }
        };
        let replay = Replay {
            signal: known(how.signal, letter.signal, "signal")?,
            encoding: known(how.encoding, letter.encoding, "encoding")?,
            tenant: known(how.tenant, letter.tenant, "tenant")?,
            topic: letter.topic,
            payload: (!is_batch).then_some(payload),
            partition: letter.partition,
            offsets: letter.offset..letter.end.unwrap_or(letter.offset + 1),
            time: letter.time_unix_nano,
            sent: letter.sent_unix_nano,
            id: letter.id,
            turn,
        };
        let replayed = (state.host().replay)(replay).await.map_err(|message| Error::Host { message })?;
        if replayed.accepted == 0 {
            let what = if is_batch { "id" } else { "encoding" };
            return Err(Error::parameter(what, replayed.message.unwrap_or_default()));
        }
        answer::small(&replayed)
    };
    tokio::spawn(task).await.map_err(|_| Error::bug("a replay ended early"))?
}

/// The letter, and its bytes.
async fn find(state: &Arc<QueryState>, context: QueryContext, id: LetterId) -> Result<(DeadLetter, Vec<u8>)> {
    let job = move |control: &crate::exec::Control| {
        let letter = letter::letter(control, &id.0)?;
        let payload = letter::payload(control, &letter)?;
        Ok((letter, payload))
    };
    state.executor().run(context, job).await
}
