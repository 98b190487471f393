//! Where a peer can be reached: its addresses, and which of them is in use.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::address::{Address, CANDIDATE_REST, FRESH};
use crate::id::Nonce;
use crate::limits::PEER_ADDRESSES_MAX;
use crate::proto::sabotage::{Sabotage, is_sabotaged};

/// A validated address that was not heard for this long makes way for a new one.
const SILENT: Duration = Duration::from_secs(60);
/// Packets from other addresses before one that is not heard any more is left for that. Heartbeats take
/// the paths in turn, IPv6 one of four times, and among hundreds they are rarer than an address stays
/// fresh.
const STRAYS_MAX: u8 = 8;
/// An address heard within this needs no question whether the peer still uses it.
const QUIET: Duration = Duration::from_millis(200);

/// The addresses of one peer, the one in use first once there is one.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    all: Vec<Address>,
    current: Option<SocketAddr>,
    moved: bool,
    /// Packets from other validated addresses since one came from that in use.
    strays: u8,
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
                self.strays = match self.current == Some(at) {
                    true => 0,
                    false => self.strays.saturating_add(1),
                };
                self.choose(now);
                return false;
            }
            if address.next_try.is_none() && rested {
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
        address.unlinked = false;
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
        address.reset();
        address.allowance = allowance;
        address.next_try = Some(now);
        true
    }

    /// Where the peer was validated before the links there were lost, and not since.
    pub fn unlinked_at(&self) -> impl Iterator<Item = SocketAddr> {
        let unlinked = self.all.iter().filter(|address| address.unlinked);
        unlinked.map(|address| address.at)
    }

    /// This node is on another network: whoever was behind the link that is gone is not there.
    pub fn forget_unlinked(&mut self) {
        self.all.iter_mut().for_each(|a| a.unlinked = false);
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
            address.unlinked = false;
            address.next_try = (address.heard + FRESH > now).then_some(now);
        }
    }

    /// Fresh first, without flapping: the one in use stays while it is heard and answers, and until
    /// the peer spoke a few times from elsewhere only.
    fn choose(&mut self, now: Instant) {
        let is_heard = |a: &Address| a.is_good(now) || self.strays < STRAYS_MAX && a.answers(now);
        let stays = |address: &Address| Some(address.at) == self.current && is_heard(address);
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
            self.strays = 0;
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
mod tests;
