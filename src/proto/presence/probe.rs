//! Asking for a sign of life: PROBEs, their timeout, and the time to refute.
//!
//! After Das, Gupta and Motivala, "SWIM: Scalable Weakly-consistent Infection-style Process Group
//! Membership Protocol" (2002): directly, then through others too, then suspicion.

use std::time::{Duration, Instant};

use super::lifeguard::later;
use super::roster::Rtt;
use crate::id::{Nonce, PeerId};
use crate::proto::sabotage::{Sabotage, is_sabotaged};

/// Shortest wait for an answer.
pub const RTO_MIN: Duration = Duration::from_millis(100);
/// Longest wait for an answer.
pub const RTO_MAX: Duration = Duration::from_millis(300);
/// Between two looks at a peer, or at two of them in turn.
pub const ROUND_MIN: Duration = Duration::from_secs(2);
/// How many successors on the ring of ids a node looks after.
pub const RING: usize = 3;
/// How long a Suspect may refute.
const REFUTE: Duration = Duration::from_secs(2);
/// The same where its round trips are short, so that silence means more.
const REFUTE_FAST: Duration = Duration::from_secs(1);
/// How long somebody may refute who cannot be reached, an ICMP error says. It can be spoofed.
const REFUTE_UNREACHABLE: Duration = Duration::from_millis(500);
/// Between the probes to a Suspect.
const SUSPECT_EVERY: Duration = Duration::from_millis(200);

/// One attempt to hear from a peer that is silent.
#[derive(Clone, Debug)]
pub struct Probing {
    /// When the first PROBE left, or will.
    pub started: Instant,
    /// The PROBE REQUESTs of this attempt.
    pub asked: Option<Asked>,
    /// Whether its host said that nobody listens there: then the silence is theirs.
    pub refused: bool,
    rto: Duration,
    /// How many times as long the verdict takes.
    stretch: u32,
    manner: Manner,
    tries: u32,
    /// Set once the tries are over: when the peer is given up.
    verdict: Option<Instant>,
    next: Instant,
}

/// Who else asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Manner {
    /// Nobody that we know of.
    Alone,
    /// Somebody else asked first, and asks others as well.
    Prompted,
    /// The same, and hundreds were told of it.
    InCrowd,
}

/// Who was asked to ask.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What their reports echo.
    pub nonce: Nonce,
    /// Those whose report counts.
    pub helpers: Vec<PeerId>,
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
    /// The same, and ask others to do so.
    Ask,
    /// No try was answered; send a PROBE to every address.
    Suspect,
    /// It is given up.
    Offline,
}

impl Probing {
    /// Begins at `at`.
    #[must_use]
    pub fn start(at: Instant, rtt: Option<Rtt>, stretch: u32) -> Self {
        Probing {
            started: at,
            asked: None,
            refused: false,
            rto: rto(rtt),
            stretch,
            manner: Manner::Alone,
            tries: 0,
            verdict: None,
            next: at,
        }
    }

    /// Begins at `at`, because somebody else suspects the peer.
    #[must_use]
    pub fn prompted(at: Instant, rtt: Option<Rtt>, stretch: u32) -> Self {
        Probing {
            manner: Manner::Prompted,
            ..Probing::start(at, rtt, stretch)
        }
    }

    /// The same where so many are told of it that nobody asks others.
    #[must_use]
    pub fn in_crowd(at: Instant, rtt: Option<Rtt>, stretch: u32) -> Self {
        Probing {
            manner: Manner::InCrowd,
            ..Probing::start(at, rtt, stretch)
        }
    }

    /// An ICMP error says that it cannot be reached: half a second to refute.
    #[must_use]
    pub fn unreachable(now: Instant, rtt: Option<Rtt>, stretch: u32) -> Self {
        Probing {
            tries: 3,
            verdict: Some(now + REFUTE_UNREACHABLE * stretch),
            ..Probing::start(now, rtt, stretch)
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

    /// Whether anything was sent in this attempt.
    #[must_use]
    pub fn has_asked(&self) -> bool {
        self.tries > 0
    }

    /// What is due. Tries at 0, 1 and 3 RTO, Suspect at 6 RTO; in a crowd at 0 and 1 and at 3 RTO.
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
        match (self.tries, self.manner) {
            (1, _) => self.after(1, Step::Probe),
            (2, Manner::InCrowd) => self.after(3 * self.stretch, Step::ProbeAll),
            (2, Manner::Prompted) => self.after(3, Step::ProbeAll),
            (2, Manner::Alone) => self.after(3, Step::Ask),
            (3, Manner::Alone | Manner::Prompted) => self.after(6 * self.stretch, Step::Ask),
            _ => {
                self.verdict = Some(now + refute(self.rto) * self.stretch);
                self.next = now + SUSPECT_EVERY;
                Step::Suspect
            }
        }
    }

    /// The time to refute began when somebody else's SUSPECT came: it ends then.
    pub fn end_at(&mut self, now: Instant, end: Instant) {
        self.verdict = Some(end.max(now));
        self.next = self.next.min(end).max(now);
    }

    /// No verdict now; it is considered again after `wait`.
    pub fn hold(&mut self, now: Instant, wait: Duration) {
        self.verdict = Some(now + wait);
        self.next = now + wait;
    }

    /// The own loop stood still for `by`: all of it happens so much later, but never later than
    /// if the attempt began now.
    pub fn delay(&mut self, now: Instant, by: Duration) {
        let moved = later(self.started, by, now).saturating_duration_since(self.started);
        self.started += moved;
        self.next += moved;
        self.verdict = self.verdict.map(|verdict| verdict + moved);
    }

    fn after(&mut self, rtos: u32, step: Step) -> Step {
        self.next = self.started + self.rto * rtos;
        step
    }
}

/// How long a peer with this round trip may refute.
#[must_use]
pub fn time_to_refute(rtt: Option<Rtt>) -> Duration {
    refute(rto(rtt))
}

fn refute(rto: Duration) -> Duration {
    if rto <= RTO_MIN { REFUTE_FAST } else { REFUTE }
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

    fn fast() -> Option<Rtt> {
        Some(Rtt::update(None, Duration::from_millis(1)))
    }

    #[test]
    fn a_silent_peer_is_suspect_at_6_rto_and_offline_a_second_later() {
        let start = Instant::now();
        let steps = run(Probing::start(start, fast(), 1), start);
        assert_eq!(steps[0], (0, Step::Probe));
        assert_eq!(steps[1], (100, Step::Ask));
        assert_eq!(steps[2], (300, Step::Ask));
        assert_eq!(steps[3], (600, Step::Suspect));
        assert_eq!(steps.last(), Some(&(1600, Step::Offline)));
    }

    #[test]
    fn a_slow_peer_has_two_seconds_to_refute() {
        let start = Instant::now();
        let steps = run(Probing::start(start, None, 1), start);
        assert_eq!(steps[3], (1800, Step::Suspect));
        assert_eq!(steps.last(), Some(&(3800, Step::Offline)));
    }

    #[test]
    fn a_refusal_gives_half_a_second_to_refute() {
        let start = Instant::now();
        let steps = run(Probing::unreachable(start, None, 1), start);
        assert_eq!(steps[0], (0, Step::ProbeAll));
        assert_eq!(steps.last(), Some(&(500, Step::Offline)));
    }

    #[test]
    fn own_ill_health_stretches_the_verdict_and_not_the_tries() {
        let start = Instant::now();
        let steps = run(Probing::start(start, fast(), 8), start);
        assert_eq!(steps[2], (300, Step::Ask));
        assert_eq!(steps[3], (4800, Step::Suspect));
        assert_eq!(steps.last(), Some(&(12_800, Step::Offline)));
    }

    #[test]
    fn whoever_was_prompted_asks_others_once() {
        let start = Instant::now();
        let steps = run(Probing::prompted(start, fast(), 1), start);
        let asks = steps.iter().filter(|(_, step)| *step == Step::Ask).count();
        assert_eq!(asks, 1);
    }

    #[test]
    fn in_a_crowd_two_tries_are_made_and_nobody_is_asked() {
        let start = Instant::now();
        let steps = run(Probing::in_crowd(start, fast(), 1), start);
        assert_eq!(steps[..2], [(0, Step::Probe), (100, Step::ProbeAll)]);
        assert_eq!(steps[2], (300, Step::Suspect));
        assert!(steps.iter().all(|(_, step)| *step != Step::Ask));
        let ill = run(Probing::in_crowd(start, fast(), 8), start);
        assert_eq!(
            ill[2],
            (2400, Step::Suspect),
            "own ill health counts here too"
        );
    }

    #[test]
    fn a_gap_of_our_own_moves_everything_but_never_beyond_a_new_attempt() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let mut probing = Probing::start(start, fast(), 1);
        assert_eq!(probing.step(start), Step::Probe);
        let mut stopped = probing.clone();
        stopped.delay(start + ms(10_050), ms(10_000));
        assert_eq!(stopped.deadline(), start + ms(10_100));
        probing.delay(start + ms(50), Duration::MAX);
        assert_eq!(probing.deadline(), start + ms(150), "as if it began now");
        for _ in 0..3 {
            probing.step(probing.deadline());
        }
        let verdict = run(probing, start).last().copied();
        assert_eq!(verdict, Some((1650, Step::Offline)));
    }
}
