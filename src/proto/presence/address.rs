//! Where a peer can be reached: candidates, validation, round trips.
//!
//! A signature does not cover the source address, so a source is only a candidate until a
//! PROBE ACK echoes our nonce from it (after RFC 9000, section 8.2).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::patience::Pace;
use crate::id::Nonce;
use crate::limits::PEER_ADDRESSES_MAX;
use crate::proto::sabotage::{Sabotage, is_sabotaged};

/// Waits after the PROBEs to a candidate, from the first on. Half of them go unanswered at 30 %
/// loss each way; two people shall find each other within 3 s all the same.
const CANDIDATE_WAITS_MS: [u64; 11] = [50, 100, 150, 200, 250, 300, 400, 500, 700, 1000, 2000];
/// Unanswered PROBEs remembered of one address.
const PROBES_MAX: usize = 4;
/// How long a candidate that did not answer is left alone.
const CANDIDATE_REST: Duration = Duration::from_secs(10);
/// Whoever does not answer within this is passed over for an address that does.
const ANSWER: Duration = Duration::from_millis(90);
/// A validated address that was not heard for this long makes way for a new one.
const SILENT: Duration = Duration::from_secs(60);
/// An address heard within this needs no question whether the peer still uses it.
const QUIET: Duration = Duration::from_millis(200);
/// An address heard within this is not given up for another.
const FRESH: Duration = Duration::from_secs(5);

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
    probes: VecDeque<(Nonce, Instant)>,
    /// PROBEs sent in this attempt.
    pub tries: usize,
    /// When to send the next PROBE of this attempt.
    pub next_try: Option<Instant>,
    /// Bytes that may go there before it is validated.
    allowance: u64,
    bytes_out: u64,
    /// It was validated when the link to it was lost.
    unlinked: bool,
}

impl Address {
    fn new(at: SocketAddr, now: Instant) -> Self {
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
    fn reset(&mut self) {
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
    fn is_good(&self, now: Instant) -> bool {
        let owes = self
            .probes
            .front()
            .is_some_and(|&(_, sent)| now >= sent + ANSWER);
        self.validated.is_some() && now.saturating_duration_since(self.heard) < FRESH && !owes
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
        self.tries += 1;
    }
}

/// The addresses of one peer, the one in use first once there is one.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    all: Vec<Address>,
    current: Option<SocketAddr>,
    moved: bool,
}

impl Addresses {
    /// A verified packet came from there, for which `allowance` bytes may go back. Returns whether
    /// it is new or was given up and is tried again.
    pub fn heard(&mut self, now: Instant, at: SocketAddr, allowance: u64) -> bool {
        if let Some(address) = self.all.iter_mut().find(|address| address.at == at) {
            let rested = now.saturating_duration_since(address.heard) > CANDIDATE_REST
                || address
                    .probes
                    .back()
                    .is_none_or(|&(_, at)| now > at + CANDIDATE_REST);
            address.heard = now;
            address.allowance = address.allowance.saturating_add(allowance);
            if address.validated.is_some() {
                self.choose(now);
                return false;
            }
            if address.validated.is_none() && address.next_try.is_none() && rested {
                address.tries = 0;
                address.probes.clear();
                address.next_try = Some(now);
                return true;
            }
            return false;
        }
        if !self.make_room(now) {
            return false;
        }
        let mut address = Address::new(at, now);
        address.allowance = allowance;
        if is_sabotaged(Sabotage::AddressUnvalidated) {
            address.validated = Some(now);
            self.current = Some(at);
        }
        self.all.reserve_exact(1);
        self.all.push(address);
        true
    }

    /// Others say that they are there: good for PROBEs that the caller paces, until something comes
    /// from there.
    pub fn hinted(&mut self, now: Instant, at: SocketAddr) {
        let is_known = self.all.iter().any(|address| address.at == at);
        if !is_known && self.make_room(now) {
            let mut address = Address::new(at, now);
            address.next_try = None;
            if is_sabotaged(Sabotage::HintTrusted) {
                address.validated = Some(now);
                self.current.get_or_insert(at);
            }
            self.all.reserve_exact(1);
            self.all.push(address);
        }
    }

    /// A PROBE ACK came from there. Returns the round trip if it echoes our nonce.
    pub fn acknowledged(&mut self, now: Instant, at: SocketAddr, echo: Nonce) -> Option<Duration> {
        let address = self.all.iter_mut().find(|address| address.at == at)?;
        let (_, sent) = *address.probes.iter().find(|(nonce, _)| *nonce == echo)?;
        address.probes = VecDeque::new();
        address.next_try = None;
        address.tries = 0;
        address.validated = Some(now);
        address.heard = now;
        self.choose(now);
        Some(now.saturating_duration_since(sent))
    }

    /// Whether the peer may have left the address in use for `at`, another validated one: it
    /// speaks from there, and the one in use is quiet and not asked yet.
    #[must_use]
    pub fn may_have_moved(&self, now: Instant, at: SocketAddr) -> bool {
        let in_use = self.all.iter().find(|a| Some(a.at) == self.current);
        let is_quiet = |a: &Address| {
            a.at != at && a.probes.is_empty() && now.saturating_duration_since(a.heard) >= QUIET
        };
        self.is_validated(at) && in_use.is_some_and(is_quiet)
    }

    /// The validated address in use.
    #[must_use]
    pub fn current(&self) -> Option<SocketAddr> {
        self.current
    }

    /// Whether another address came into use since the last call.
    pub fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// One address, mutable.
    pub fn get_mut(&mut self, at: SocketAddr) -> Option<&mut Address> {
        self.all.iter_mut().find(|address| address.at == at)
    }

    /// Whether this address is validated.
    #[must_use]
    pub fn is_validated(&self, at: SocketAddr) -> bool {
        self.all
            .iter()
            .any(|address| address.at == at && address.validated.is_some())
    }

    /// All, the one in use first.
    pub fn iter(&self) -> impl Iterator<Item = &Address> {
        let current = self.current;
        let is_current = move |address: &&Address| Some(address.at) == current;
        self.all
            .iter()
            .filter(is_current)
            .chain(self.all.iter().filter(move |address| !is_current(address)))
    }

    /// All, mutable.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Address> {
        self.all.iter_mut()
    }

    /// The address in use does not answer: use the next validated one that was heard lately.
    pub fn failed(&mut self, now: Instant, at: SocketAddr) {
        if let Some(address) = self.get_mut(at) {
            address.reset();
        }
        if self.current == Some(at) {
            self.current = None;
            self.choose(now);
        }
    }

    /// No link reaches this address any more: as [`Addresses::failed`], until one does again.
    pub fn unlinked(&mut self, now: Instant, at: SocketAddr) {
        let validated = self.is_validated(at);
        self.failed(now, at);
        if let Some(address) = self.get_mut(at) {
            address.unlinked |= validated;
            address.next_try = None;
        }
    }

    /// A link reaches this address again: it is tried as a candidate, with room for as many bytes
    /// as were granted to nobody but whoever was validated there in this run. Returns whether
    /// there is something to try.
    pub fn linked(&mut self, now: Instant, at: SocketAddr, allowance: u64) -> bool {
        let found = self.get_mut(at).filter(|address| address.unlinked);
        let Some(address) = found else {
            return false;
        };
        address.unlinked = false;
        address.reset();
        address.allowance = allowance;
        address.next_try = Some(now);
        true
    }

    /// Whether a candidate is being tried.
    #[must_use]
    pub fn is_trying(&self) -> bool {
        let mut candidates = self
            .all
            .iter()
            .filter(|address| address.validated.is_none());
        candidates.any(|address| address.next_try.is_some())
    }

    /// A new run of the peer: nothing is validated any more.
    pub fn invalidate(&mut self, now: Instant) {
        self.current = None;
        for address in &mut self.all {
            address.reset();
            address.next_try = (address.heard + FRESH > now).then_some(now);
        }
    }

    /// Fresh first, without flapping: the one in use stays while it is heard and answers.
    fn choose(&mut self, now: Instant) {
        let stays = |address: &Address| Some(address.at) == self.current && address.is_good(now);
        if self.all.iter().any(stays) {
            return;
        }
        let validated = self
            .all
            .iter()
            .filter(|address| address.validated.is_some());
        let latest = validated.max_by_key(|address| (address.is_good(now), address.heard));
        if let Some(latest) = latest.map(|address| address.at) {
            self.moved |= self.current != Some(latest);
            self.current = Some(latest);
        }
    }

    /// The address that people are shown: the one in use, else another validated one, else a
    /// candidate.
    #[must_use]
    pub fn shown(&self) -> Option<SocketAddr> {
        let validated = self.iter().find(|address| address.validated.is_some());
        validated.or(self.all.first()).map(|address| address.at)
    }

    /// Keeps within the cap: what is not validated and was heard longest ago goes, and what is
    /// validated only after a long silence. Whether there is room.
    fn make_room(&mut self, now: Instant) -> bool {
        if self.all.len() < PEER_ADDRESSES_MAX {
            return true;
        }
        let in_use = |address: &Address| {
            address.validated.is_some() && now.saturating_duration_since(address.heard) < SILENT
        };
        let current = self.current;
        let oldest = self
            .all
            .iter()
            .enumerate()
            .filter(|(_, address)| Some(address.at) != current && !in_use(address))
            .min_by_key(|(_, address)| (address.validated.is_some(), address.heard))
            .map(|(index, _)| index);
        oldest.is_some_and(|index| {
            self.all.remove(index);
            true
        })
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::super::patience::Patience;
    use super::*;

    fn at(host: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, host], 5263))
    }

    #[test]
    fn only_the_echo_of_our_nonce_from_there_validates() {
        let now = Instant::now();
        let mut addresses = Addresses::default();
        assert!(addresses.heard(now, at(1), 400));
        assert!(!addresses.heard(now, at(1), 400));
        addresses.get_mut(at(1)).unwrap().candidate_probed(
            Nonce([7; 8]),
            now,
            Patience::default().pace(2),
        );
        assert_eq!(addresses.acknowledged(now, at(2), Nonce([7; 8])), None);
        assert_eq!(addresses.acknowledged(now, at(1), Nonce([8; 8])), None);
        assert_eq!(addresses.current(), None);
        let later = now + Duration::from_millis(3);
        let rtt = addresses.acknowledged(later, at(1), Nonce([7; 8]));
        assert_eq!(rtt, Some(Duration::from_millis(3)));
        assert_eq!(addresses.current(), Some(at(1)));
        assert_eq!(
            addresses.acknowledged(later, at(1), Nonce([7; 8])),
            None,
            "used once"
        );
    }

    #[test]
    fn a_candidate_gets_no_more_than_its_allowance() {
        let now = Instant::now();
        let mut addresses = Addresses::default();
        addresses.heard(now, at(1), 300);
        let address = addresses.get_mut(at(1)).unwrap();
        assert!(address.may_send(300) && !address.may_send(301));
        address.sent(250);
        assert!(address.may_send(50) && !address.may_send(51));
    }

    #[test]
    fn what_went_to_an_address_while_it_was_validated_is_not_held_against_it() {
        let now = Instant::now();
        let mut addresses = Addresses::default();
        addresses.heard(now, at(1), 100);
        addresses.get_mut(at(1)).unwrap().probed(Nonce([1; 8]), now);
        addresses.acknowledged(now, at(1), Nonce([1; 8]));
        addresses.get_mut(at(1)).unwrap().sent(1_000_000);
        addresses.failed(now, at(1));
        assert!(addresses.heard(now, at(1), 98), "tried again at once");
        assert!(addresses.get_mut(at(1)).unwrap().may_send(98));
    }

    #[test]
    fn an_address_behind_a_lost_link_is_tried_once_the_link_is_back_if_it_was_validated() {
        let now = Instant::now();
        let mut addresses = Addresses::default();
        for host in 1..=2 {
            addresses.heard(now, at(host), 100);
        }
        addresses.get_mut(at(1)).unwrap().probed(Nonce([1; 8]), now);
        addresses.acknowledged(now, at(1), Nonce([1; 8]));
        for host in 1..=2 {
            addresses.unlinked(now, at(host));
        }
        assert_eq!(addresses.current(), None);
        assert!(!addresses.is_trying());
        assert!(addresses.linked(now, at(1), 98));
        assert!(!addresses.linked(now, at(1), 98), "once");
        assert!(!addresses.linked(now, at(2), 98), "nobody was found there");
        assert!(addresses.is_trying());
        let address = addresses.get_mut(at(1)).unwrap();
        assert!(address.may_send(98) && !address.may_send(99));
    }

    #[test]
    fn a_second_address_does_not_replace_a_fresh_one() {
        let now = Instant::now();
        let mut addresses = Addresses::default();
        for host in 1..=2 {
            addresses.heard(now, at(host), 100);
            addresses.get_mut(at(host)).unwrap().candidate_probed(
                Nonce([host; 8]),
                now,
                Patience::default().pace(2),
            );
            addresses.acknowledged(now, at(host), Nonce([host; 8]));
        }
        assert_eq!(addresses.current(), Some(at(1)));
        addresses.failed(now, at(1));
        assert_eq!(addresses.current(), Some(at(2)));
    }

    #[test]
    fn an_address_that_does_not_answer_is_passed_over_for_one_that_does() {
        let now = Instant::now();
        let mut addresses = Addresses::default();
        for host in 1..=2 {
            addresses.heard(now, at(host), 100);
            addresses
                .get_mut(at(host))
                .unwrap()
                .probed(Nonce([host; 8]), now);
            addresses.acknowledged(now, at(host), Nonce([host; 8]));
            addresses
                .get_mut(at(host))
                .unwrap()
                .probed(Nonce([9; 8]), now);
        }
        let soon = now + Duration::from_millis(1);
        addresses.acknowledged(soon, at(2), Nonce([9; 8]));
        assert_eq!(
            addresses.current(),
            Some(at(1)),
            "its answer may be on the way"
        );
        addresses
            .get_mut(at(2))
            .unwrap()
            .probed(Nonce([8; 8]), now + ANSWER);
        addresses.acknowledged(now + ANSWER, at(2), Nonce([8; 8]));
        assert_eq!(addresses.current(), Some(at(2)));
    }

    #[test]
    fn a_peer_that_speaks_from_elsewhere_has_its_old_address_asked_once() {
        let now = Instant::now();
        let mut addresses = Addresses::default();
        for host in 1..=2 {
            addresses.heard(now, at(host), 100);
            addresses
                .get_mut(at(host))
                .unwrap()
                .probed(Nonce([host; 8]), now);
            addresses.acknowledged(now, at(host), Nonce([host; 8]));
        }
        assert!(!addresses.may_have_moved(now, at(2)), "heard just now");
        let later = now + QUIET;
        assert!(addresses.may_have_moved(later, at(2)));
        assert!(!addresses.may_have_moved(later, at(1)), "the one in use");
        assert!(!addresses.may_have_moved(later, at(3)), "not validated");
        addresses
            .get_mut(at(1))
            .unwrap()
            .probed(Nonce([9; 8]), later);
        assert!(!addresses.may_have_moved(later, at(2)), "asked already");
    }

    #[test]
    fn forged_sources_push_out_no_address_of_eight_validated_ones() {
        let now = Instant::now();
        let mut addresses = Addresses::default();
        for host in 1..=8 {
            addresses.heard(now, at(host), 100);
            let address = addresses.get_mut(at(host)).unwrap();
            address.probed(Nonce([host; 8]), now);
            addresses.acknowledged(now, at(host), Nonce([host; 8]));
        }
        for host in 9..200 {
            addresses.heard(now, at(host), 100);
        }
        assert!((1..=8).all(|host| addresses.is_validated(at(host))));
        assert!(addresses.heard(now + SILENT, at(200), 100));
    }

    #[test]
    fn forged_sources_push_out_no_validated_address() {
        let now = Instant::now();
        let mut addresses = Addresses::default();
        addresses.heard(now, at(1), 100);
        addresses.get_mut(at(1)).unwrap().candidate_probed(
            Nonce([1; 8]),
            now,
            Patience::default().pace(2),
        );
        addresses.acknowledged(now, at(1), Nonce([1; 8]));
        for host in 2..200 {
            addresses.heard(now, at(host), 100);
        }
        assert!(addresses.iter().count() <= PEER_ADDRESSES_MAX);
        assert_eq!(addresses.current(), Some(at(1)));
        assert!(addresses.is_validated(at(1)));
    }
}
