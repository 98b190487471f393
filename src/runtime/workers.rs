//! Threads that do what blocks, each with a bounded queue in and a bounded queue out.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use crate::api::Event;
use crate::durable::{Batch, Loaded, Query, StoreFailure, Stored, Token};
use crate::error::{ExitCode, UserError};
use crate::proto::locked::{Derivation, RoomKey, derive};
use crate::store::{Retention, Store};

use super::Clock;
use super::history::Asked;

/// Jobs that wait in the channel to the worker, and answers in the one back. More jobs wait in
/// front of the channel, within the caps of the core.
const CHANNEL_LEN: usize = 256;
/// When a worker without anything to do is first called.
const FIRST_IDLE: Duration = Duration::from_secs(5);
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

/// The thread for what takes long and needs no disk: keys from phrases.
pub type BulkWorker = Worker<BulkJob, BulkAnswer>;

/// A key to derive.
#[derive(Debug)]
pub struct BulkJob(pub Token, pub Derivation);

/// The key, or a sentence why there is none.
#[derive(Debug)]
pub struct BulkAnswer(pub Token, pub Result<RoomKey, String>);

impl BulkWorker {
    /// Starts it.
    ///
    /// # Errors
    /// The system starts no thread.
    pub fn for_keys(waker: Arc<mio::Waker>) -> io::Result<Self> {
        let work = |jobs: &mut Vec<BulkJob>, answer: &mut dyn FnMut(BulkAnswer)| {
            for BulkJob(token, from) in jobs.drain(..) {
                answer(BulkAnswer(token, derive(&from)));
            }
            None
        };
        Worker::start("bulk", waker, work, |BulkJob(token, _)| {
            BulkAnswer(token, Err("the worker has stopped".to_owned()))
        })
    }
}

/// A thread that works on jobs and answers in order.
pub struct Worker<Job, Answer> {
    jobs: Option<SyncSender<Job>>,
    answers: Receiver<Answer>,
    /// Jobs that the channel has no room for.
    waiting: VecDeque<Job>,
    thread: Option<JoinHandle<()>>,
    refuse: fn(Job) -> Answer,
}

impl<Job: Send + 'static, Answer: Send + 'static> Worker<Job, Answer> {
    /// Starts a thread. `work` gets all jobs that wait at once and leaves the list empty; it is
    /// called with none when nothing came for as long as it answered last. `refuse` is the answer
    /// to a job that came after the thread died. `waker` is woken for answers.
    ///
    /// # Errors
    /// The system starts no thread.
    pub fn start(
        name: &str,
        waker: Arc<mio::Waker>,
        mut work: impl FnMut(&mut Vec<Job>, &mut dyn FnMut(Answer)) -> Option<Duration> + Send + 'static,
        refuse: fn(Job) -> Answer,
    ) -> io::Result<Self> {
        let (jobs, inbox) = sync_channel::<Job>(CHANNEL_LEN);
        let (outbox, answers) = sync_channel(CHANNEL_LEN);
        let run = move || {
            let mut turn = Vec::new();
            let mut patience = Some(FIRST_IDLE);
            loop {
                let first = match patience {
                    Some(wait) => inbox.recv_timeout(wait),
                    None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                };
                let idle = match first {
                    Ok(first) => {
                        turn.push(first);
                        turn.extend(inbox.try_iter().take(CHANNEL_LEN - 1));
                        false
                    }
                    Err(RecvTimeoutError::Timeout) => true,
                    Err(RecvTimeoutError::Disconnected) => return,
                };
                let mut unheard = false;
                patience = work(&mut turn, &mut |answer| {
                    // Full only if the loop is busy; it takes answers in every turn.
                    let answer = match outbox.try_send(answer) {
                        Err(TrySendError::Full(answer)) => answer,
                        sent => return unheard |= sent.is_err(),
                    };
                    unheard |= waker.wake().is_err() || outbox.send(answer).is_err();
                });
                turn.clear();
                if idle {
                    continue;
                }
                if waker.wake().is_err() || unheard {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Worker {
            jobs: Some(jobs),
            answers,
            waiting: VecDeque::new(),
            thread: Some(thread),
            refuse,
        })
    }

    /// Hands a job over; never blocks.
    pub fn submit(&mut self, job: Job) {
        self.waiting.push_back(job);
        self.hand_over();
    }

    /// The next answer, if one is there; never blocks.
    pub fn poll_answer(&mut self) -> Option<Answer> {
        self.hand_over();
        match self.answers.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) if self.jobs.is_some() => None,
            // It died, and what it had not answered is lost; what comes now is refused.
            Err(_) => self.waiting.pop_front().map(self.refuse),
        }
    }

    /// Whether an answer is there that the waker was not woken for: the thread died.
    pub fn has_refusals(&self) -> bool {
        self.jobs.is_none() && !self.waiting.is_empty()
    }

    /// Waits until everything handed over is done, and ends the thread. Returns whether it ended
    /// in order.
    pub fn close(mut self) -> bool {
        // The channel has room again as soon as the thread has taken a turn.
        while let (Some(jobs), Some(job)) = (&self.jobs, self.waiting.pop_front()) {
            for _ in self.answers.try_iter() {}
            if jobs.send(job).is_err() {
                break;
            }
        }
        self.jobs = None;
        for _ in self.answers.iter() {}
        self.thread
            .take()
            .is_none_or(|thread| thread.join().is_ok())
    }

    fn hand_over(&mut self) {
        // Nothing is taken from the list once the thread is gone: it is still to be refused.
        while let Some(jobs) = &self.jobs {
            let Some(job) = self.waiting.pop_front() else {
                return;
            };
            match jobs.try_send(job) {
                Ok(()) => {}
                Err(TrySendError::Full(job)) => return self.waiting.push_front(job),
                Err(TrySendError::Disconnected(job)) => {
                    self.waiting.push_front(job);
                    self.jobs = None;
                }
            }
        }
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
        durability: durabilities
            .max()
            .unwrap_or(crate::durable::Durability::Process),
        writes: batches
            .iter()
            .flat_map(|(_, batch)| batch.writes.iter().cloned())
            .collect(),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::durable::{Durability, Write};

    const RETENTION: Retention = Retention {
        entries: 10,
        days: 30,
    };

    fn poll() -> (mio::Poll, Arc<mio::Waker>) {
        let poll = mio::Poll::new().expect("poll");
        let waker = mio::Waker::new(poll.registry(), mio::Token(0)).expect("waker");
        (poll, Arc::new(waker))
    }

    /// Waits for `count` answers.
    fn answers<J: Send + 'static, A: Send + 'static>(
        poll: &mut mio::Poll,
        worker: &mut Worker<J, A>,
        count: usize,
    ) -> Vec<A> {
        let end = Instant::now() + Duration::from_secs(5);
        let mut events = mio::Events::with_capacity(4);
        let mut got = Vec::new();
        while got.len() < count {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} of {count}", got.len());
            if let Some(answer) = worker.poll_answer() {
                got.push(answer);
            } else {
                poll.poll(&mut events, Some(left)).expect("poll");
            }
        }
        got
    }

    fn batch(incarnation: u64) -> Batch {
        Batch {
            durability: Durability::Process,
            writes: vec![Write::Incarnation(incarnation)],
        }
    }

    #[test]
    fn answers_come_in_order_however_many_jobs_wait() {
        let (mut poll, waker) = poll();
        let work = |jobs: &mut Vec<u32>, answer: &mut dyn FnMut(u32)| {
            for job in jobs.drain(..) {
                answer(job);
            }
            None
        };
        let mut worker = Worker::start("test", waker, work, |job| job).expect("thread");
        let count = 4 * u32::try_from(CHANNEL_LEN).expect("small");
        for job in 0..count {
            worker.submit(job);
        }
        let got = answers(&mut poll, &mut worker, 4 * CHANNEL_LEN);
        assert!(got.into_iter().eq(0..count));
        assert!(worker.close());
    }

    #[test]
    fn closing_finishes_what_was_handed_over() {
        let (_poll, waker) = poll();
        let (done, seen) = std::sync::mpsc::channel();
        let work = move |jobs: &mut Vec<usize>, answer: &mut dyn FnMut(usize)| {
            for job in jobs.drain(..) {
                done.send(job).expect("open");
                answer(job);
            }
            None
        };
        let mut worker = Worker::start("test", waker, work, |job| job).expect("thread");
        for job in 0..5 * CHANNEL_LEN {
            worker.submit(job);
        }
        assert!(worker.close());
        assert!(seen.into_iter().eq(0..5 * CHANNEL_LEN));
    }

    #[test]
    fn a_worker_that_died_refuses_what_comes_after() {
        let (mut poll, waker) = poll();
        let work =
            |_: &mut Vec<u32>, _: &mut dyn FnMut(u32)| -> Option<Duration> { panic!("as planned") };
        let mut worker = Worker::start("test", waker, work, |job| job + 100).expect("thread");
        worker.submit(1);
        let end = Instant::now() + Duration::from_secs(5);
        while worker
            .thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
        {
            assert!(Instant::now() < end, "it does not die");
            std::thread::yield_now();
        }
        // The only one that waits: it is not lost.
        worker.submit(2);
        assert_eq!(answers(&mut poll, &mut worker, 1), [102]);
        assert!(!worker.close());
    }

    #[test]
    fn a_key_is_derived_by_the_thread() {
        let (mut poll, waker) = poll();
        let mut worker = BulkWorker::for_keys(waker).expect("thread");
        let from = Derivation {
            name: crate::text::RoomName::new("games").expect("a name"),
            phrase: "a phrase".to_owned().into(),
        };
        worker.submit(BulkJob(Token(7), from.clone()));
        let got = answers(&mut poll, &mut worker, 1);
        let [BulkAnswer(Token(7), Ok(key))] = &got[..] else {
            panic!("{got:?}");
        };
        assert_eq!(derive(&from).as_ref(), Ok(key));
        assert!(worker.close());
    }

    #[test]
    fn what_is_too_old_is_forgotten_when_nothing_else_waits() {
        let store = Store::open(None, &crate::id::PeerId([0; 32])).expect("store");
        let mut keeper = Keeper {
            store,
            retention: RETENTION,
            since_tidy: 0,
            more: false,
        };
        let (room, author) = (
            crate::id::RoomId::public("lobby"),
            crate::id::PeerId([1; 32]),
        );
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
        assert_eq!(kept[..], [crate::durable::Kept::BelowFloor]);
    }

    #[test]
    fn each_batch_and_query_has_its_answer() {
        let (mut poll, waker) = poll();
        let store = Store::open(None, &crate::id::PeerId([0; 32])).expect("store");
        let mut worker = StoreWorker::for_store(store, RETENTION, waker).expect("thread");
        for n in 1..=20 {
            worker.submit(StoreJob::Keep(Token(n), batch(n)));
        }
        let room = crate::id::RoomId::public("lobby");
        let author = crate::id::PeerId([1; 32]);
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
