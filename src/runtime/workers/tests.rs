//! Each job has its answer, in order, however the thread fares.

#![allow(clippy::disallowed_methods)]

use std::time::Instant;

use super::*;

pub(super) fn poll() -> (mio::Poll, Arc<mio::Waker>) {
    let poll = mio::Poll::new().expect("poll");
    let waker = mio::Waker::new(poll.registry(), mio::Token(0)).expect("waker");
    (poll, Arc::new(waker))
}

/// Waits for `count` answers.
pub(super) fn answers<J: Send + 'static, A: Send + 'static>(
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
