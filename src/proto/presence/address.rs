//! One address of a peer: whether it is validated, what may go there, when it is tried.
//!
//! A signature does not cover the source address, so a source is only a candidate until a
//! PROBE ACK echoes our nonce from it (after RFC 9000, section 8.2).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::patience::Pace;
use crate::id::Nonce;
use crate::proto::sabotage::{Sabotage, is_sabotaged};

/// Waits after the PROBEs to a candidate, from the first on. Half of them go unanswered at 30 %
/// loss each way; two people shall find each other within 3 s all the same.
const CANDIDATE_WAITS_MS: [u64; 11] = [50, 100, 150, 200, 250, 300, 400, 500, 700, 1000, 2000];
/// Unanswered PROBEs remembered of one address.
const PROBES_MAX: usize = 4;
/// How long a candidate that did not answer is left alone.
pub(super) const CANDIDATE_REST: Duration = Duration::from_secs(10);
/// Whoever does not answer within this is passed over for an address that does.
pub(super) const ANSWER: Duration = Duration::from_millis(90);
/// An address heard within this is not given up for another.
pub(super) const FRESH: Duration = Duration::from_secs(5);

/// One address of a peer.
#[derive(Clone, Debug)]
pub struct Address {
    /// Where.
    pub at: SocketAddr,
    /// When a PROBE ACK last came from it.
    pub validated: Option<Instant>,
    /// When any verified packet last came from it.
    pub heard: Instant,
    /// The last PROBEs that were not answered, and when they left: a late answer counts too.
    pub(super) probes: VecDeque<(Nonce, Instant)>,
    /// PROBEs sent in this attempt.
    pub tries: usize,
    /// When to send the next PROBE of this attempt.
    pub next_try: Option<Instant>,
    /// Bytes that may go there before it is validated.
    pub(super) allowance: u64,
    bytes_out: u64,
    /// It was validated when the link to it was lost, and was not since.
    pub(super) unlinked: bool,
}

impl Address {
    pub(super) fn new(at: SocketAddr, now: Instant) -> Self {
        Address {
            at,
            validated: None,
            heard: now,
            probes: VecDeque::new(),
            tries: 0,
            next_try: Some(now),
            allowance: 0,
            bytes_out: 0,
            unlinked: false,
        }
    }

    /// A candidate again, as if nothing had been sent or heard.
    pub(super) fn reset(&mut self) {
        self.validated = None;
        self.probes.clear();
        self.tries = 0;
        self.next_try = None;
        (self.allowance, self.bytes_out) = (0, 0);
    }

    /// Whether `len` more bytes may go there: any number once validated, before that at most
    /// three times what came (RFC 9000, section 8.1), and once where no link reaches it.
    pub fn may_send(&self, len: usize) -> bool {
        self.validated.is_some()
            || self.bytes_out + len as u64 <= self.allowance
            || is_sabotaged(Sabotage::AmplificationUnbounded)
    }

    /// Bytes went there.
    pub fn sent(&mut self, len: usize) {
        self.bytes_out += len as u64;
    }

    /// Whether it was heard lately and owes no answer.
    pub(super) fn is_good(&self, now: Instant) -> bool {
        self.answers(now) && now.saturating_duration_since(self.heard) < FRESH
    }

    /// Whether it is validated and owes no answer.
    pub(super) fn answers(&self, now: Instant) -> bool {
        let owes = |&(_, sent): &(Nonce, Instant)| now >= sent + ANSWER;
        self.validated.is_some() && !self.probes.front().is_some_and(owes)
    }

    /// A PROBE leaves now.
    pub fn probed(&mut self, nonce: Nonce, now: Instant) {
        if self.probes.len() == PROBES_MAX {
            self.probes.pop_front();
        }
        self.probes.push_back((nonce, now));
    }

    /// The next PROBE of the validation leaves now.
    pub fn candidate_probed(&mut self, nonce: Nonce, now: Instant, pace: Pace) {
        self.probed(nonce, now);
        self.next_try = CANDIDATE_WAITS_MS
            .get(self.tries)
            .map(|&ms| now + pace.stretch(Duration::from_millis(ms)));
        // Whoever does not answer there any more is not waited for there.
        self.unlinked &= self.next_try.is_some();
        self.tries += 1;
    }
}
