//! Time in which the loop did not run: a sleep of the system, a stop of the process, or a host
//! that is too busy.
//!
//! Others went on meanwhile, and what they sent may wait in the sockets. So everything that waits
//! is heard before a timer runs that would call somebody silent.

use std::time::{Duration, Instant};

use super::Clock;
use super::clock::SleepWatch;
use super::node::Node;
use crate::proto::Now;

/// From this on the loop was late.
const LATE_MIN: Duration = Duration::from_millis(500);
/// Rounds of receiving before the timers run whatever still comes.
const ROUNDS_MAX: usize = 256;

/// What the loop knows of its own delay.
pub(super) struct Gaps {
    sleep: SleepWatch,
    /// When the loop wanted to be at its timers.
    due: Instant,
}

impl Gaps {
    /// On time so far.
    pub(super) fn new(now: Now) -> Self {
        Gaps {
            sleep: SleepWatch::new(),
            due: now.mono,
        }
    }

    /// The loop waits until then at most.
    pub(super) fn expect(&mut self, due: Instant) {
        self.due = due;
    }

    /// How late it is.
    fn late(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.due)
    }
}

impl Node<'_> {
    /// Makes up for a gap, if there was one, before the timers of this turn run. Returns the time
    /// after that.
    pub(super) fn catch_up(&mut self, turn_began: Now) -> Now {
        let now = Clock::now();
        // A turn that came early, for an event, may have been stopped in its middle.
        let stalled = now.mono.saturating_duration_since(turn_began.mono);
        let late = self.gaps.late(now.mono).max(stalled);
        let slept = self.gaps.sleep.slept(now);
        if late < LATE_MIN && slept.is_none() {
            return now;
        }
        tracing::info!(?late, ?slept, "the loop did not run");
        self.hear_all(now);
        if late >= LATE_MIN {
            self.endpoint.handle_late(now, late);
            self.drain(now);
        }
        if slept.is_some() {
            self.wake(now);
        }
        now
    }

    /// Takes in all that waits in the sockets.
    fn hear_all(&mut self, now: Now) {
        for _ in 0..ROUNDS_MAX {
            if let Err(error) = self.poll(Some(Duration::ZERO)) {
                tracing::warn!(%error, "poll");
                return;
            }
            self.take_events(now);
            if !self.receive(now) {
                return;
            }
        }
    }

    /// After a sleep of the system.
    pub(super) fn wake(&mut self, now: Now) {
        if self.net.rebuild() {
            self.endpoint.set_links(now, self.net.links());
        }
        self.endpoint.handle_wake(now);
        self.drain(now);
        self.tell_network(now);
    }
}
