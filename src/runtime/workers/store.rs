//! The thread that has the store for itself: what waits goes to disk together, and where nothing waits
//! the store is tidied.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Worker;
use crate::api::Event;
use crate::durable::{Batch, Durability, Loaded, Query, StoreFailure, Stored, Token};
use crate::error::{ExitCode, UserError};
use crate::runtime::Clock;
use crate::runtime::history::Asked;
use crate::store::{Retention, Store};

/// Batches after which the store is tidied, as soon as nothing came for [`TIDY_SOON`].
const TIDY_AFTER: usize = 64;
/// Batches after which one turn of it comes before the next job, however busy the store is.
const TIDY_AT_LAST: usize = 4 * TIDY_AFTER;
const TIDY_SOON: Duration = Duration::from_secs(1);
/// Between two turns of tidying: what came meanwhile goes first.
const TIDY_NEXT: Duration = Duration::from_millis(10);
/// Lines grow old without anything happening.
const TIDY_AGAIN: Duration = Duration::from_secs(60 * 60);

/// What the store is asked.
#[derive(Debug)]
pub enum StoreJob {
    /// Keep this.
    Keep(Token, Batch),
    /// Look this up.
    Find(Token, Query),
    /// Show what was said.
    History(Asked),
}

/// What it answers.
#[derive(Debug)]
pub enum StoreAnswer {
    /// What became of a batch.
    Kept(Token, Stored),
    /// What was found.
    Found(Token, Loaded),
    /// The lines, or why there are none.
    Told(Option<Value>, Result<Vec<Event>, UserError>),
}

/// The thread that has the store for itself.
pub type StoreWorker = Worker<StoreJob, StoreAnswer>;

impl StoreWorker {
    /// Starts it. All batches that wait go to disk in one commit; when nothing waits, what is too
    /// old is forgotten, a little at a time.
    ///
    /// # Errors
    /// The system starts no thread.
    pub fn for_store(
        store: Store,
        retention: Retention,
        waker: Arc<mio::Waker>,
    ) -> io::Result<Self> {
        let mut keeper = Keeper {
            store,
            retention,
            since_tidy: TIDY_AFTER,
            more: false,
        };
        let work = move |jobs: &mut Vec<StoreJob>, answer: &mut dyn FnMut(StoreAnswer)| {
            keeper.work(jobs, answer)
        };
        Worker::start("store", waker, work, |job| {
            let gone = || StoreFailure("the store has stopped".to_owned());
            match job {
                StoreJob::Keep(token, _) => StoreAnswer::Kept(token, Err(gone())),
                StoreJob::Find(token, _) => StoreAnswer::Found(token, Err(gone())),
                StoreJob::History(asked) => StoreAnswer::Told(asked.reference, Err(stopped())),
            }
        })
    }
}

fn stopped() -> UserError {
    UserError::new(ExitCode::Failed, "the store has stopped").hint("start lanchat again")
}

/// The store and when it was last tidied.
struct Keeper {
    store: Store,
    retention: Retention,
    /// Batches kept since then.
    since_tidy: usize,
    /// Whether that left something to do.
    more: bool,
}

impl Keeper {
    /// Works on what waits, or tidies if nothing does. Returns how long to wait before tidying.
    fn work(
        &mut self,
        jobs: &mut Vec<StoreJob>,
        answer: &mut dyn FnMut(StoreAnswer),
    ) -> Option<Duration> {
        if !jobs.is_empty() {
            let keeps = |job: &&StoreJob| matches!(job, StoreJob::Keep(..));
            self.since_tidy += jobs.iter().filter(keeps).count();
            work_on_store(&mut self.store, jobs, answer);
            if self.since_tidy < TIDY_AT_LAST {
                let due = self.more || self.since_tidy >= TIDY_AFTER;
                return Some(if due { TIDY_SOON } else { TIDY_AGAIN });
            }
        }
        self.tidy()
    }

    fn tidy(&mut self) -> Option<Duration> {
        self.since_tidy = 0;
        self.more = false;
        match self.store.tidy(Clock::now().wall_ms, self.retention) {
            Ok(true) => {
                self.more = true;
                Some(TIDY_NEXT)
            }
            Ok(false) => Some(TIDY_AGAIN),
            Err(error) => {
                tracing::warn!(%error, "the store could not be tidied");
                Some(TIDY_AGAIN)
            }
        }
    }
}

/// Works on what waits, in order; batches that follow each other become one commit.
fn work_on_store(store: &mut Store, jobs: &mut Vec<StoreJob>, answer: &mut dyn FnMut(StoreAnswer)) {
    let mut batches: Vec<(Token, Batch)> = Vec::new();
    for job in jobs.drain(..) {
        match job {
            StoreJob::Keep(token, batch) => batches.push((token, batch)),
            StoreJob::Find(token, query) => {
                keep(store, &mut batches, answer);
                answer(StoreAnswer::Found(token, store.query(&query)));
            }
            StoreJob::History(asked) => {
                keep(store, &mut batches, answer);
                let told = asked.answer(store);
                answer(StoreAnswer::Told(asked.reference, told));
            }
        }
    }
    keep(store, &mut batches, answer);
}

/// Keeps all batches in one commit; if that fails, each for itself, so that one that cannot be
/// kept takes no other with it.
fn keep(store: &mut Store, batches: &mut Vec<(Token, Batch)>, answer: &mut dyn FnMut(StoreAnswer)) {
    if batches.len() > 1
        && let Ok(mut fresh) = store.apply(&joined(batches))
    {
        for (token, batch) in batches.drain(..) {
            let rest = fresh.split_off(batch.writes.len().min(fresh.len()));
            answer(StoreAnswer::Kept(token, Ok(fresh)));
            fresh = rest;
        }
        return;
    }
    for (token, batch) in batches.drain(..) {
        answer(StoreAnswer::Kept(token, store.apply(&batch)));
    }
}

fn joined(batches: &[(Token, Batch)]) -> Batch {
    let durabilities = batches.iter().map(|(_, batch)| batch.durability);
    Batch {
        durability: durabilities.max().unwrap_or(Durability::Process),
        writes: batches
            .iter()
            .flat_map(|(_, batch)| batch.writes.iter().cloned())
            .collect(),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::super::tests::{answers, poll};
    use super::*;
    use crate::durable::{Kept, Write};
    use crate::id::{PeerId, RoomId};

    const RETENTION: Retention = Retention {
        entries: 10,
        days: 30,
    };

    fn batch(incarnation: u64) -> Batch {
        Batch {
            durability: Durability::Process,
            writes: vec![Write::Incarnation(incarnation)],
        }
    }

    #[test]
    fn what_is_too_old_is_forgotten_when_nothing_else_waits() {
        let store = Store::open(None, &PeerId([0; 32])).expect("store");
        let mut keeper = Keeper {
            store,
            retention: RETENTION,
            since_tidy: 0,
            more: false,
        };
        let (room, author) = (RoomId::public("lobby"), PeerId([1; 32]));
        let job = |seq: u32| {
            let write = Write::Entry {
                room,
                author,
                epoch: 5,
                seq,
                hash: [u8::try_from(seq).expect("small"); 32],
                bytes: vec![7],
                came_ms: u64::from(seq),
            };
            let durability = Durability::Process;
            let writes = vec![write];
            StoreJob::Keep(Token(u64::from(seq)), Batch { durability, writes })
        };
        for seq in 1..=u32::try_from(TIDY_AFTER).expect("small") {
            let due = keeper.work(&mut vec![job(seq)], &mut |_| {});
            let many = seq == u32::try_from(TIDY_AFTER).expect("small");
            assert_eq!(due, Some(if many { TIDY_SOON } else { TIDY_AGAIN }));
        }
        while keeper.work(&mut Vec::new(), &mut |_| {}) == Some(TIDY_NEXT) {}
        let snapshot = keeper.store.snapshot().expect("read");
        let head = &snapshot.heads[0];
        assert_eq!((head.floor, head.seq), (54, 64));
        let mut answers = Vec::new();
        keeper.work(&mut vec![job(9)], &mut |answer| answers.push(answer));
        let [StoreAnswer::Kept(_, Ok(kept))] = &answers[..] else {
            panic!("{answers:?}");
        };
        assert_eq!(kept[..], [Kept::BelowFloor]);
    }

    #[test]
    fn each_batch_and_query_has_its_answer() {
        let (mut poll, waker) = poll();
        let store = Store::open(None, &PeerId([0; 32])).expect("store");
        let mut worker = StoreWorker::for_store(store, RETENTION, waker).expect("thread");
        for n in 1..=20 {
            worker.submit(StoreJob::Keep(Token(n), batch(n)));
        }
        let room = RoomId::public("lobby");
        let author = PeerId([1; 32]);
        let query = Query::Entries {
            room,
            author,
            epoch: 1,
            seqs: vec![1],
            network: None,
        };
        worker.submit(StoreJob::Find(Token(21), query));
        worker.submit(StoreJob::Keep(Token(22), batch(22)));
        let tokens: Vec<u64> = answers(&mut poll, &mut worker, 22)
            .into_iter()
            .map(|answer| match answer {
                StoreAnswer::Kept(token, Ok(fresh)) if fresh.len() == 1 => token.0,
                StoreAnswer::Found(token, Ok(_)) => token.0,
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(tokens.into_iter().eq(1..=22));
        assert!(worker.close());
    }
}
