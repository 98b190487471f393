//! The thread for what takes long and needs no disk: keys from phrases.

use std::io;
use std::sync::Arc;

use super::Worker;
use crate::durable::Token;
use crate::proto::locked::{Derivation, RoomKey, derive};

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

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::super::tests::{answers, poll};
    use super::*;
    use crate::text::RoomName;

    #[test]
    fn a_key_is_derived_by_the_thread() {
        let (mut poll, waker) = poll();
        let mut worker = BulkWorker::for_keys(waker).expect("thread");
        let from = Derivation {
            name: RoomName::new("games").expect("a name"),
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
}
