//! The time of an endpoint: why it wants to be woken, when, and what it does then.

use std::time::{Duration, Instant};

use super::Now;
use super::endpoint::{Endpoint, Output};
use super::presence::GAP;

/// Why the endpoint wants to be woken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Timer {
    /// Nothing to wait for.
    Idle,
    /// HELLO, WELCOME, heartbeat, GOODBYE, probes, rows that change their state.
    Presence,
    /// Copies, heads, NACKs, ACKs, gaps, messages that wait for their turn.
    Group,
    /// QUIC.
    Direct,
}

impl Endpoint {
    /// The deadline passed.
    pub fn handle_timeout(&mut self, now: Now) {
        self.core.mono = now.mono;
        if self.saving.is_some() {
            return;
        }
        self.catch_up(now);
        if self.is_doubt_over(now.mono) {
            self.end_doubt(now);
        }
        if self.presence.is_round_due(now.mono) {
            let talking_to = self.private.talking_to(&self.direct);
            self.presence.set_conversations(talking_to);
        }
        self.presence
            .handle_timeout(&mut self.core, now, &self.group);
        if self.core.open {
            let (group, mut cx) = self.group_cx(now);
            group.handle_timeout(&mut cx);
        }
        if self.direct.deadline().is_some_and(|at| at <= now.mono) {
            self.direct.handle_timeout(now.mono);
        }
        let (private, mut cx) = self.private_cx(now);
        private.handle_timeout(&mut cx);
        if self.sync.deadline().is_some_and(|at| at <= now.mono) {
            let (sync, mut parts) = self.sync_parts(now);
            sync.handle_timeout(&mut parts);
        }
        self.pump(now);
        self.close_if_left();
        self.follow_up(now);
        if self.early_deadline().is_some_and(|at| at <= now.mono) {
            self.retry_early(now);
        }
    }

    /// The system slept, for seconds or for days: everybody else may have changed. All are asked
    /// for a sign of life; nobody is given up before.
    pub fn handle_wake(&mut self, now: Now) {
        self.core.mono = now.mono;
        self.asked = None;
        self.presence.wake(&mut self.core, now);
        self.follow_up(now);
    }

    /// The process did not run for `by`, until now: it was stopped, or the host was too busy.
    /// Whoever is asked for a sign of life has so much more time for it; a delay that this node
    /// noticed for itself already counts once. Any value is safe.
    pub fn handle_late(&mut self, now: Now, by: Duration) {
        self.core.mono = now.mono;
        self.asked = None;
        self.presence.late(&self.core, now.mono, by);
    }

    /// Makes up for it where the driver comes much later than it was asked to.
    pub(super) fn catch_up(&mut self, now: Now) {
        let late = self.asked.map(|at| now.mono.saturating_duration_since(at));
        if let Some(by) = late.filter(|&by| by > GAP) {
            self.handle_late(now, by);
        }
    }

    /// When the driver is to come back, and why, if nothing comes in before.
    pub(super) fn next_timeout(&mut self, now: Now) -> Output {
        if self.saving.is_some() {
            self.asked = None;
            return Output::Timeout(None, Timer::Idle);
        }
        let group = if self.core.open {
            let settled = self.presence.settled_at();
            let known = settled.map(|at| self.doubt_deadline().map_or(at, |until| at.max(until)));
            self.group.deadline(now.mono, known)
        } else {
            None
        };
        let deadlines = [
            (self.presence.deadline(), Timer::Presence),
            (group, Timer::Group),
            (self.private.deadline(), Timer::Direct),
            (self.direct.deadline(), Timer::Direct),
            (self.sync.deadline(), Timer::Direct),
            (self.early_deadline(), Timer::Presence),
            (self.doubt_deadline(), Timer::Presence),
        ];
        let next = deadlines
            .into_iter()
            .filter_map(|(at, timer)| Some((at?, timer)))
            .min();
        self.asked = next.map(|(at, _)| at);
        match next {
            Some((at, timer)) => Output::Timeout(Some(at), timer),
            None => Output::Timeout(None, Timer::Idle),
        }
    }

    /// When whoever is not found by then is not here.
    fn early_deadline(&self) -> Option<Instant> {
        let waits = !self.early.is_empty();
        let settled = self.presence.settled_at().filter(|_| waits)?;
        Some(
            self.doubt_deadline()
                .map_or(settled, |until| settled.max(until)),
        )
    }
}
