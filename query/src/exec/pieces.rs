//! How does an answer reach its reader piece by piece, while it is still being computed?
//!
//! E1  Pieces arrive in the order in which they were sent, then the end or the error; nothing comes after an error.
//! E2  At most [`ROOM`] pieces wait. A reader that does not read keeps the query waiting until its deadline, not longer, also where
//!     nobody asks for the next piece at all: the query's own thread looks at the clock.
//! E3  Who drops the pieces ends the query.
//!
//! Not here: what a piece holds.

use super::{Control, Progress};
use crate::error::{Error, Result};
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Interval, MissedTickBehavior};

/// Pieces that may wait for the reader: of usual size, 16 MiB. Answers up to that do not keep a query that could end, and with it a
/// place that another one waits for.
const ROOM: usize = 16;
/// How often a reader is told how far the query is: a person sees no more.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// Where a query puts the pieces of its answer.
#[derive(Debug)]
pub(crate) struct Outbox(Sender<Vec<u8>>);

impl Outbox {
    /// Sends a piece, and waits where the reader is slow (E2).
    pub(crate) fn send(&self, control: &Control, piece: Vec<u8>) -> Result<()> {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut sending = pin!(self.0.send(piece));
        loop {
            control.check()?;
            match sending.as_mut().poll(&mut context) {
                Poll::Ready(Ok(())) => return Ok(()),
                Poll::Ready(Err(_)) => return Err(Error::Cancelled),
                Poll::Pending => std::thread::park_timeout(control.time_left()),
            }
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// How the state of a query is told between its pieces, if it is: steps that are done, and all.
pub(crate) type Tell = fn(u64, u64) -> Vec<u8>;

/// The pieces of a running query.
pub(crate) struct Pieces {
    query: Option<Pin<Box<dyn Future<Output = Result<()>> + Send>>>,
    pieces: Receiver<Vec<u8>>,
    telling: Option<Telling>,
}

struct Telling {
    tell: Tell,
    progress: Arc<Progress>,
    told: (u64, u64),
    every: Interval,
}

impl Pieces {
    /// Makes the query of an outbox, and of what shows how far it is.
    pub(crate) fn of<Q>(tell: Option<Tell>, query: impl FnOnce(Outbox, Arc<Progress>) -> Q) -> Self
    where
        Q: Future<Output = Result<()>> + Send + 'static,
    {
        let (sender, pieces) = mpsc::channel(ROOM);
        let progress = Arc::<Progress>::default();
        let query = Box::pin(query(Outbox(sender), Arc::clone(&progress)));
        let telling = tell.map(|tell| {
            let mut every = tokio::time::interval_at(tokio::time::Instant::now() + TELL_EVERY, TELL_EVERY);
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            Telling { tell, progress, told: (0, 0), every }
        });
        Pieces { query: Some(query), pieces, telling }
    }

    /// The next piece; none when the answer is whole.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>>>> {
        loop {
            match self.pieces.poll_recv(context) {
                Poll::Ready(Some(piece)) => return Poll::Ready(Some(Ok(piece))),
                Poll::Ready(None) if self.query.is_none() => return Poll::Ready(None),
                Poll::Ready(None) | Poll::Pending => {}
            }
            match self.query.as_mut().map(|query| query.as_mut().poll(context)) {
                // What it has sent at the last is still there.
                Some(Poll::Ready(Ok(()))) => self.query = None,
                Some(Poll::Ready(Err(error))) => {
                    self.query = None;
                    self.pieces.close();
                    while self.pieces.try_recv().is_ok() {}
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Poll::Pending) | None => break,
            }
        }
        match self.telling.as_mut() {
            Some(telling) if self.query.is_some() => telling.poll(context).map(|piece| Some(Ok(piece))),
            _ => Poll::Pending,
        }
    }
}

impl Telling {
    /// What to tell, where the query has come on.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Vec<u8>> {
        while self.every.poll_tick(context).is_ready() {
            let steps = self.progress.steps();
            if steps != self.told {
                self.told = steps;
                return Poll::Ready((self.tell)(steps.0, steps.1));
            }
        }
        Poll::Pending
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces").field("runs", &self.query.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::exec::{Executor, QueryContext};
    use crate::fixture::{Fixture, context};
    use std::future::poll_fn;

    /// The pieces of a query that sends numbers up to a most, then answers.
    fn numbers(executor: &Arc<Executor>, context: QueryContext, most: u8, answer: Result<()>) -> Pieces {
        let executor = Arc::clone(executor);
        Pieces::of(None, move |outbox, progress| async move {
            let job = move |control: &Control| {
                (0..most).try_for_each(|number| outbox.send(control, vec![number]))?;
                answer
            };
            executor.run_watched(context, progress, job).await
        })
    }

    async fn next(pieces: &mut Pieces) -> Option<Result<Vec<u8>>> {
        poll_fn(|context| pieces.poll(context)).await
    }

    #[tokio::test]
    async fn e1_pieces_come_in_order_and_then_the_end() {
        let fixture = Fixture::new();
        let executor = Arc::new(fixture.executor(Config::default()));
        let mut pieces = numbers(&executor, context(), 100, Ok(()));
        for number in 0..100 {
            assert_eq!(next(&mut pieces).await.unwrap().unwrap(), [number]);
        }
        assert!(next(&mut pieces).await.is_none());
        let mut failed = numbers(&executor, context(), 0, Err(Error::bug("broken")));
        assert!(matches!(next(&mut failed).await, Some(Err(Error::Bug { .. }))));
        assert!(next(&mut failed).await.is_none());
    }

    #[tokio::test]
    async fn e2_a_reader_that_does_not_read_keeps_a_query_until_its_deadline_only() {
        let fixture = Fixture::new();
        let executor = Arc::new(fixture.executor(Config::default()));
        let short = QueryContext { timeout: Duration::from_millis(100), ..context() };
        let mut pieces = numbers(&executor, short, u8::MAX, Ok(()));
        assert!(next(&mut pieces).await.unwrap().is_ok());
        // Nobody asks for the next piece.
        while executor.usage().running > 0 {
            tokio::task::yield_now().await;
        }
        let mut last = next(&mut pieces).await;
        while matches!(last, Some(Ok(_))) {
            last = next(&mut pieces).await;
        }
        assert!(matches!(last, Some(Err(Error::Deadline { .. }))), "{last:?}");
    }

    #[tokio::test]
    async fn between_pieces_it_is_told_how_far_the_query_is() {
        let left = Arc::new(std::sync::atomic::AtomicUsize::new(3));
        let tell = |done, all| format!("{done} of {all}").into_bytes();
        let mut pieces = Pieces::of(Some(tell), move |outbox, progress| async move {
            let _outbox = outbox;
            let _scanning = progress.begin(left);
            std::future::pending().await
        });
        assert_eq!(next(&mut pieces).await.unwrap().unwrap(), b"0 of 3");
        // Nothing is told twice.
        let again = tokio::time::timeout(2 * TELL_EVERY, next(&mut pieces)).await;
        assert!(again.is_err(), "{again:?}");
    }

    #[tokio::test]
    async fn e3_who_drops_the_pieces_ends_the_query() {
        let fixture = Fixture::new();
        let executor = Arc::new(fixture.executor(Config::default()));
        let mut pieces = numbers(&executor, context(), u8::MAX, Ok(()));
        assert!(next(&mut pieces).await.unwrap().is_ok());
        assert_eq!(executor.usage().running, 1);
        drop(pieces);
        while executor.usage().running > 0 {
            tokio::task::yield_now().await;
        }
    }
}
