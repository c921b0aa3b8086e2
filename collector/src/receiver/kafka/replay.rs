//! How is a dead letter read again? By the doors' way: what it holds becomes a request. Its rows go to the store with a record beside the
//! letter that says that this was done.
//!
//! Y1  Both come to blocks in one commit, with the letter if that is still in memory: whoever dies before has nothing of it. They are taken by a turn
//!     (K4 of the engine's `consume`) that was told before it was looked whether the letter was replayed: of two that replay it, be they
//!     processes that share a bucket, one does.
//!
//! Not here: which letters there are, and who looks (the API).

use super::config::Topic;
use super::message::{Encoding, Message, to_otlp};
use super::{KafkaReceiver, letter, reread};
use crate::collector::{self, Accepted, Collector, Sink};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use storage::engine::Write;
use storage::error::Error;
use storage::model::{Signal, TenantId};

/// How long its records may take to come to a block.
const AT_MOST: Duration = Duration::from_secs(10);

/// A dead letter, and how it is to be read.
#[derive(Debug, Clone)]
pub struct ReplayedLetter {
    /// Its id.
    pub id: String,
    /// The topic that it came from.
    pub topic: String,
    /// The partition of that.
    pub partition: u64,
    /// Its offset there, or those of the batch that it stands for.
    pub offsets: Range<u64>,
    /// `spans`, `logs` or `metrics`.
    pub signal: String,
    /// How it is written, by the name that settings give it.
    pub encoding: String,
    /// Whose its records are.
    pub tenant: String,
    /// When it was kept, in Unix nanoseconds.
    pub time: i64,
    /// When the message was sent.
    pub sent: i64,
    /// The message; where it stands for a batch, its messages are in the topic only.
    pub payload: Option<Vec<u8>>,
    /// By which turn of the store.
    pub turn: u64,
}

impl KafkaReceiver {
    /// Stores the records of a dead letter and the word of it (Y1). Where nothing can be stored of it, `message` says why. An `Err` says why it
    /// cannot be now.
    pub async fn replay(&self, door: &Collector, letter: ReplayedLetter) -> Result<Accepted, String> {
        let unfit = |why: String| Ok(Accepted { message: Some(why), ..Accepted::default() });
        let Some(payload) = &letter.payload else {
            return self.replay_batch(door, letter).await.or_else(unfit);
        };
        let (tenant, signal, request) = match read(&letter, payload, door.config().max_request_bytes) {
            Ok(read) => read,
            Err(why) => return unfit(why),
        };
        let store = door.clone().into_sink(self.sink(letter));
        match store.accept(&tenant, signal, collector::Encoding::Protobuf, request.into()).await {
            Ok(accepted) if accepted.accepted > 0 => Ok(accepted),
            Ok(none) => unfit(none.message.unwrap_or_else(|| "it holds no records".into())),
            Err(refusal) if refusal.retry_after().is_none() => unfit(refusal.to_string()),
            Err(refusal) => Err(refusal.to_string()),
        }
    }

    /// The same of a batch, whose messages are read from the topic. An `Err` says why that cannot be.
    async fn replay_batch(&self, door: &Collector, letter: ReplayedLetter) -> Result<Accepted, String> {
        let running = self.running.clone().ok_or("this server does not read kafka, where its messages are")?;
        let (engine, door) = (Arc::clone(&self.engine), door.clone());
        let taking = tokio::task::spawn_blocking(move || {
            let portion = reread::read(&running.intake, &letter)?;
            let mut accepted = Accepted { rejected: portion.told.rejected, ..Accepted::default() };
            let mut rows = portion.rows;
            for (tenant, batch) in rows.iter_mut().filter(|(_, batch)| batch.signal() == Signal::Metrics) {
                if let Some(left_out) = door.limit_read(tenant, batch) {
                    door.left_out_of_read(left_out.rows.len());
                    accepted.rejected += left_out.rows.len() as u64;
                    accepted.message = Some(left_out.message);
                }
            }
            rows.retain(|(_, batch)| batch.num_rows() > 0);
            accepted.accepted = rows.iter().map(|(_, batch)| batch.num_rows() as u64).sum();
            if accepted.accepted == 0 {
                return Err(accepted
                    .message
                    .unwrap_or_else(|| "the batch holds no messages that are to be seen".into()));
            }
            let (own, what) = (TenantId::dead_letters(), format!("read from the topic: {} records", accepted.accepted));
            rows.push((own.clone(), letter::word(&letter.id, letter.time, &own, &what)?));
            engine.take_turn(letter.turn, rows, AT_MOST).map_err(|error| error.to_string())?;
            Ok(accepted)
        });
        taking.await.map_err(|_| "a replay ended early".to_owned())?
    }

    /// Takes the records of a letter together with the word of its replay.
    fn sink(&self, letter: ReplayedLetter) -> Sink {
        let (engine, letter) = (Arc::clone(&self.engine), Arc::new(letter));
        Arc::new(move |write: Write| {
            let (engine, letter) = (Arc::clone(&engine), Arc::clone(&letter));
            Box::pin(async move {
                let ReplayedLetter { id, time, turn, encoding, .. } = &*letter;
                let what = format!("replayed as {encoding}: {} records", write.batch.num_rows());
                let unfit = |reason| Error::Refused { reason };
                let word = letter::word(id, *time, &write.tenant, &what).map_err(unfit)?;
                let (turn, rows) = (*turn, vec![(write.tenant, write.batch), (TenantId::dead_letters(), word)]);
                let taking = tokio::task::spawn_blocking(move || engine.take_turn(turn, rows, AT_MOST));
                taking.await.map_err(|_| unfit("a replay ended early".into()))?
            })
        })
    }
}

/// The request that a letter is.
fn read(letter: &ReplayedLetter, payload: &[u8], limit: usize) -> Result<(TenantId, Signal, Vec<u8>), String> {
    let signal = Signal::from_name(&letter.signal)
        .ok_or_else(|| format!("`{}` is none of spans, logs, metrics", letter.signal))?;
    let encoding = Encoding::from_name(&letter.encoding, signal)?;
    let tenant = letter::tenant_of_others(&letter.tenant)?;
    let topic = Topic { signal, encoding, tenant: tenant.clone() };
    let message = Message { payload, topic: &letter.topic, time: letter.sent };
    Ok((tenant, signal, to_otlp(message, &topic, limit)?))
}
