//! Threads that do what blocks, each with a bounded queue in and a bounded queue out.

mod bulk;
mod store;

pub use bulk::{BulkAnswer, BulkJob, BulkWorker};
pub use store::{StoreAnswer, StoreJob, StoreWorker};

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Jobs that wait in the channel to the worker, and answers in the one back. More jobs wait in
/// front of the channel, within the caps of the core.
const CHANNEL_LEN: usize = 256;
/// When a worker without anything to do is first called.
const FIRST_IDLE: Duration = Duration::from_secs(5);

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

#[cfg(test)]
mod tests;
