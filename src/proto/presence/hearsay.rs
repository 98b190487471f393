//! Rows that are known from others only: taken in, shown as unconfirmed, asked for themselves at
//! the address that others gave, and dropped if they are not to be reached.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use super::Presence;
use super::receive::is_usable;
use super::roster::{Merged, Peer};
use crate::api::PeerState;
use crate::datagram::Link;
use crate::id::{Incarnation, PeerId};
use crate::limits::{HINT_PROBE_RATE, UNCONFIRMED_RELAYED_MAX};
use crate::proto::Now;
use crate::proto::bucket::Bucket;
use crate::proto::core::Core;
use crate::proto::crypto::verify;
use crate::proto::gate::Gate;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::sync::{Hint, Relayed};
use crate::wire::{Body, Probe};

/// Waits after each of the PROBEs that are sent by one hint.
const WAITS_MS: [u64; 4] = [250, 500, 1000, 1000];
/// How long somebody is listed of whom nothing is heard but by others.
const KEPT: Duration = Duration::from_secs(30);
/// How long a run that was not to be reached is not listed again on somebody's word.
const REST: Duration = Duration::from_secs(10 * 60);

/// What became of a record that was passed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Learnt {
    /// Somebody new, or something new of somebody.
    News,
    /// Nothing new.
    Nothing,
    /// Its signature does not hold.
    Forged,
    /// No signature can be checked just now.
    Busy,
}

/// How a record came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    /// The link.
    pub(super) link: Option<&'a Link>,
    /// Whether whoever passed it on was named by `--peer`, and may speak of addresses elsewhere.
    pub(super) named: bool,
}

/// Whom to ask for themselves, and who was not to be reached.
pub(super) struct Hearsays {
    queue: BTreeSet<(Instant, PeerId)>,
    rate: Bucket,
    /// No PROBE before that.
    ready: Option<Instant>,
    unreached: BTreeMap<PeerId, Incarnation>,
    unreached_order: VecDeque<(Instant, PeerId)>,
}

impl Hearsays {
    pub(super) fn new(now: Instant) -> Self {
        Hearsays {
            queue: BTreeSet::new(),
            rate: Bucket::new(now, HINT_PROBE_RATE, HINT_PROBE_RATE),
            ready: None,
            unreached: BTreeMap::new(),
            unreached_order: VecDeque::new(),
        }
    }

    /// When somebody is to be asked or dropped.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let (first, _) = self.queue.first()?;
        Some(self.ready.map_or(*first, |ready| ready.max(*first)))
    }

    fn note_unreached(&mut self, now: Instant, id: PeerId, incarnation: Incarnation) {
        self.unreached.insert(id, incarnation);
        self.unreached_order.push_back((now, id));
        if self.unreached_order.len() > UNCONFIRMED_RELAYED_MAX {
            self.forget_unreached();
        }
    }

    fn forget_unreached(&mut self) {
        if let Some((_, id)) = self.unreached_order.pop_front() {
            self.unreached.remove(&id);
        }
    }

    fn was_unreached(&mut self, now: Instant, id: &PeerId, incarnation: Incarnation) -> bool {
        let old = |at: Instant| now.saturating_duration_since(at) >= REST;
        while self.unreached_order.front().is_some_and(|&(at, _)| old(at)) {
            self.forget_unreached();
        }
        self.unreached
            .get(id)
            .is_some_and(|&run| incarnation <= run)
    }
}

impl Presence {
    /// Takes in a record that somebody passed on.
    pub(super) fn learn(
        &mut self,
        core: &mut Core,
        gate: &mut Gate,
        now: Now,
        from: Source<'_>,
        relayed: &Relayed,
    ) -> Learnt {
        let record = &relayed.record;
        let id = record.key.id();
        let run = (record.incarnation, record.record_seq);
        let hint = relayed.hint.and_then(|hint| usable(core, from, hint));
        let held = self.roster.get(&id);
        let is_old = |peer: &Peer| run <= (peer.record.incarnation, peer.record.record_seq);
        if held.is_some_and(is_old) {
            let told_elsewhere = held.is_some_and(|peer| {
                let hearsay = peer.hearsay.as_deref();
                let hearsay = hearsay.filter(|_| peer.record.incarnation == run.0);
                hearsay.is_some_and(|hearsay| hearsay.hint.is_none()) && hint.is_some()
            });
            if told_elsewhere {
                self.take_hint(now.mono, &id, hint);
            }
            if is_sabotaged(Sabotage::RelayedIsHeard) {
                self.take_for_heard(core, now.mono, &id);
            }
            return Learnt::Nothing;
        }
        let is_own = record.key == core.identity.public();
        if is_own || record.transient || self.hearsays.was_unreached(now.mono, &id, run.0) {
            return Learnt::Nothing;
        }
        if !gate.admit_answer(now.mono) {
            core.stats.limited += 1;
            return Learnt::Busy;
        }
        core.stats.verified += 1;
        let is_genuine = verify(&record.key, &record.signing_input(), &record.signature());
        if !is_genuine && !is_sabotaged(Sabotage::RelayedUnverified) {
            core.stats.bad_signature += 1;
            return Learnt::Forged;
        }
        match self.roster.merge_relayed(now.mono, record, hint) {
            Merged::Refused | Merged::Same => return Learnt::Nothing,
            Merged::Full => {
                core.stats.limited += 1;
                return Learnt::Nothing;
            }
            Merged::Restarted => {
                self.restarted.push(id);
                self.take_hint(now.mono, &id, hint);
                self.set_state(core, &id, PeerState::Online);
            }
            Merged::New => {
                self.take_hint(now.mono, &id, hint);
                self.announce(core, &id);
            }
            Merged::Changed => self.announce(core, &id),
        }
        Learnt::News
    }

    /// What only a sabotaged node does: somebody else's word counts as theirs.
    fn take_for_heard(&mut self, core: &mut Core, now: Instant, id: &PeerId) {
        if let Some(peer) = self.roster.get_mut(id) {
            peer.heard = now;
            peer.probing = None;
            peer.watch.acquit();
        }
        self.set_state(core, id, PeerState::Online);
    }

    /// Where somebody is said to be: asked there as soon as it is their turn.
    fn take_hint(&mut self, now: Instant, id: &PeerId, hint: Option<SocketAddr>) {
        let Some(peer) = self.roster.get_mut(id) else {
            return;
        };
        if let Some(hearsay) = peer.hearsay.as_mut() {
            hearsay.hint = hint;
        }
        if let Some(at) = hint {
            peer.addresses.hinted(now, at);
        }
        self.hearsays.queue.insert((now, *id));
    }

    /// Asks those whose turn it is, and drops those who were not to be reached.
    pub(super) fn follow_hearsay(&mut self, core: &mut Core, now: Now) {
        self.hearsays.ready = None;
        while let Some(&(at, id)) = self.hearsays.queue.first() {
            if at > now.mono {
                break;
            }
            let Some(peer) = self.roster.get_mut(&id) else {
                self.hearsays.queue.pop_first();
                continue;
            };
            let Some(hearsay) = peer.hearsay.as_mut() else {
                self.hearsays.queue.pop_first();
                continue;
            };
            let next = match hearsay.hint {
                Some(hint) if usize::from(hearsay.tries) < WAITS_MS.len() => {
                    if !self.hearsays.rate.take(now.mono, 1) {
                        self.hearsays.ready = Some(self.hearsays.rate.ready_at(now.mono));
                        return;
                    }
                    let wait = WAITS_MS[usize::from(hearsay.tries)];
                    hearsay.tries += 1;
                    probe_hint(core, now.mono, peer, hint);
                    now.mono + Duration::from_millis(wait)
                }
                _ => hearsay.since.max(peer.heard) + KEPT,
            };
            self.hearsays.queue.pop_first();
            if next > now.mono || is_sabotaged(Sabotage::HearsayKept) {
                let next = next.max(now.mono + Duration::from_millis(1));
                self.hearsays.queue.insert((next, id));
            } else {
                self.drop_hearsay(core, now.mono, &id);
            }
        }
    }

    /// Nobody is there, whatever others say.
    fn drop_hearsay(&mut self, core: &mut Core, now: Instant, id: &PeerId) {
        self.set_state(core, id, PeerState::Offline);
        if let Some(peer) = self.roster.remove(id) {
            self.hearsays
                .note_unreached(now, *id, peer.record.incarnation);
        }
    }
}

/// A PROBE to where a peer is said to be, unless one of its own brought that up already.
fn probe_hint(core: &mut Core, now: Instant, peer: &mut Peer, hint: SocketAddr) {
    let Some(address) = peer.addresses.get_mut(hint) else {
        return;
    };
    if address.validated.is_some() || address.next_try.is_some() {
        return;
    }
    let nonce = core.nonce();
    let len = core.send_to(hint, &Body::Probe(Probe { nonce }));
    address.sent(len);
    address.probed(nonce, now);
}

/// The address of a hint, if a PROBE may go there: on the link that it came by, with the scope
/// that the link has here; elsewhere only where a person named whoever gives it.
fn usable(core: &Core, from: Source<'_>, hint: Hint) -> Option<SocketAddr> {
    let ip = hint.address.ip();
    let port = hint.address.port();
    let at = match (ip, from.link) {
        (IpAddr::V6(v6), Some(link)) if v6.is_unicast_link_local() => {
            SocketAddrV6::new(v6, port, 0, link.id.0).into()
        }
        (IpAddr::V6(v6), None) if v6.is_unicast_link_local() => return None,
        _ => hint.address,
    };
    let on_link = from.link.is_some_and(|link| match at {
        SocketAddr::V4(v4) => link.v4.iter().any(|own| own.contains(*v4.ip())),
        SocketAddr::V6(v6) => v6.scope_id() == link.id.0,
    });
    let abroad = from.named && !ip.is_loopback();
    let is_broadcast = core
        .links
        .iter()
        .flat_map(|link| &link.v4)
        .any(|own| own.broadcast().is_some_and(|broadcast| broadcast == ip))
        || ip == IpAddr::V4(std::net::Ipv4Addr::BROADCAST);
    let anywhere = is_sabotaged(Sabotage::HintAnywhere);
    ((on_link || abroad || anywhere) && !is_broadcast && is_usable(core, at)).then_some(at)
}
