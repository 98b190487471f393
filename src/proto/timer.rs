//! The one table of timers: every wake-up has a name.

use std::time::Instant;

/// Why the endpoint wants to be woken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Timer {
    /// Nothing to wait for.
    Idle,
    /// The next HELLO of a burst.
    Hello,
    /// A WELCOME held back by its jitter.
    Welcome,
    /// The next heartbeat.
    Heartbeat,
    /// The second GOODBYE.
    Goodbye,
    /// A probe to send or to give up.
    Probe,
    /// A roster row changes its state.
    Roster,
    /// A gap to ask for.
    Nack,
    /// Another copy of an entry.
    Copies,
    /// Heads to announce, or an entry to send again.
    Heads,
    /// An ACK held back by its jitter.
    Ack,
    /// A gap was held long enough.
    Gap,
    /// A message waits for its turn under the rate limit.
    Rate,
    /// QUIC.
    Direct,
}

/// The earliest deadline of each timer.
#[derive(Clone, Debug, Default)]
pub struct Timers {
    deadlines: std::collections::BTreeMap<Timer, Instant>,
}

impl Timers {
    /// Sets or clears one.
    pub fn set(&mut self, timer: Timer, deadline: Option<Instant>) {
        match deadline {
            Some(at) => self.deadlines.insert(timer, at),
            None => self.deadlines.remove(&timer),
        };
    }

    /// The earliest and its reason.
    #[must_use]
    pub fn next(&self) -> (Option<Instant>, Timer) {
        let first = self.deadlines.iter().min_by_key(|&(timer, at)| (at, timer));
        first.map_or((None, Timer::Idle), |(&timer, &at)| (Some(at), timer))
    }

    /// Takes one that is due.
    pub fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let due = self
            .deadlines
            .iter()
            .find(|&(_, &at)| at <= now)
            .map(|(&timer, _)| timer)?;
        self.deadlines.remove(&due);
        Some(due)
    }
}
