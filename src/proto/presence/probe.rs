//! Asking for a sign of life.

use std::time::{Duration, Instant};

use super::roster::Rtt;
use crate::proto::sabotage::{Sabotage, is_sabotaged};

/// Shortest wait for an answer.
pub const RTO_MIN: Duration = Duration::from_millis(100);
/// Longest wait for an answer.
pub const RTO_MAX: Duration = Duration::from_millis(300);
/// Between two rounds of probing.
pub const ROUND_MIN: Duration = Duration::from_secs(2);
/// How many successors on the ring of ids a node looks after.
pub const RING: usize = 3;
/// How long a Suspect may refute.
const REFUTE: Duration = Duration::from_secs(2);
/// The same where its round trips are short, so that silence means more.
const REFUTE_FAST: Duration = Duration::from_secs(1);
/// How long somebody may refute whose host said that nobody listens there. It can be spoofed.
const REFUTE_REFUSED: Duration = Duration::from_millis(500);
/// Between the probes to a Suspect.
const SUSPECT_EVERY: Duration = Duration::from_millis(200);

/// One attempt to hear from a peer that is silent.
#[derive(Clone, Copy, Debug)]
pub struct Probing {
    started: Instant,
    rto: Duration,
    tries: u32,
    /// Set once the tries are over: when the peer is given up.
    verdict: Option<Instant>,
    next: Instant,
}

/// What an attempt asks for next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Nothing yet.
    Wait,
    /// Send a PROBE to the address in use.
    Probe,
    /// Send a PROBE to every validated address.
    ProbeAll,
    /// It became Suspect just now; send a PROBE to every address.
    Suspect,
    /// It is given up.
    Offline,
}

impl Probing {
    /// Starts now.
    #[must_use]
    pub fn start(now: Instant, rtt: Option<Rtt>) -> Self {
        Probing {
            started: now,
            rto: rto(rtt),
            tries: 0,
            verdict: None,
            next: now,
        }
    }

    /// Its host said that nobody listens there: half a second to refute.
    #[must_use]
    pub fn refused(now: Instant, rtt: Option<Rtt>) -> Self {
        let verdict = Some(now + REFUTE_REFUSED);
        Probing {
            started: now,
            rto: rto(rtt),
            tries: 3,
            verdict,
            next: now,
        }
    }

    /// When [`Probing::step`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.next
    }

    /// Whether the tries are over and only the time to refute is left.
    #[must_use]
    pub fn is_verdict(&self) -> bool {
        self.verdict.is_some()
    }

    /// What is due. Tries at 0, 1 and 3 RTO, the verdict at 6 RTO.
    pub fn step(&mut self, now: Instant) -> Step {
        if now < self.next {
            return Step::Wait;
        }
        if let Some(verdict) = self.verdict {
            if now >= verdict && !is_sabotaged(Sabotage::OfflineNever) {
                return Step::Offline;
            }
            let soon = now + SUSPECT_EVERY;
            self.next = if now < verdict {
                verdict.min(soon)
            } else {
                soon
            };
            return Step::ProbeAll;
        }
        self.tries += 1;
        if self.tries == 2 && is_sabotaged(Sabotage::OfflineAtOnce) {
            return Step::Offline;
        }
        match self.tries {
            1 => self.after(self.rto, Step::Probe),
            2 => self.after(self.rto * 3, Step::ProbeAll),
            3 => self.after(self.rto * 6, Step::ProbeAll),
            _ => {
                let refute = if self.rto <= RTO_MIN {
                    REFUTE_FAST
                } else {
                    REFUTE
                };
                self.verdict = Some(now + refute);
                self.next = now + SUSPECT_EVERY;
                Step::Suspect
            }
        }
    }

    fn after(&mut self, since_start: Duration, step: Step) -> Step {
        self.next = self.started + since_start;
        step
    }
}

fn rto(rtt: Option<Rtt>) -> Duration {
    let wanted = rtt.map_or(RTO_MAX, |rtt| rtt.smoothed + rtt.variation * 4);
    wanted.clamp(RTO_MIN, RTO_MAX)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    fn run(mut probing: Probing, start: Instant) -> Vec<(u128, Step)> {
        let mut steps = Vec::new();
        for _ in 0..100 {
            let now = probing.deadline();
            let step = probing.step(now);
            steps.push(((now - start).as_millis(), step));
            if step == Step::Offline {
                break;
            }
        }
        steps
    }

    #[test]
    fn a_silent_peer_is_suspect_at_6_rto_and_offline_a_second_later() {
        let start = Instant::now();
        let fast = Rtt::update(None, Duration::from_millis(1));
        let steps = run(Probing::start(start, Some(fast)), start);
        assert_eq!(steps[0], (0, Step::Probe));
        assert_eq!(steps[1], (100, Step::ProbeAll));
        assert_eq!(steps[2], (300, Step::ProbeAll));
        assert_eq!(steps[3], (600, Step::Suspect));
        assert_eq!(steps.last(), Some(&(1600, Step::Offline)));
    }

    #[test]
    fn a_refusal_gives_half_a_second_to_refute() {
        let start = Instant::now();
        let steps = run(Probing::refused(start, None), start);
        assert_eq!(steps[0], (0, Step::ProbeAll));
        assert_eq!(steps.last(), Some(&(500, Step::Offline)));
    }
}
