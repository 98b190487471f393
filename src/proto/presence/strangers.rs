//! Those who are not known: whom to ask for their record, and other versions.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::receive::is_usable;
use super::{Presence, reaches};
use crate::api::{Event, PeerRef, PeerState, Status};
use crate::id::{PeerId, ShortId};
use crate::limits::AMPLIFICATION_MAX;
use crate::proto::Now;
use crate::proto::bucket::Bucket;
use crate::proto::core::Core;
use crate::proto::group::Group;
use crate::wire::{Hello, Known, OtherVersion};

/// Between two requests for the record of somebody unknown.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Such requests a second, to all.
const ASK_RATE: u32 = 64;
/// How many together ask for one record.
const ASKERS: f64 = 32.0;
/// Most sources remembered.
pub(super) const SOURCES_MAX: usize = 256;
/// Most other versions remembered.
const OTHERS_MAX: usize = 64;
/// How long another version is not told of again.
const OTHER_REST: Duration = Duration::from_secs(60);

/// What may be sent to an address for so many bytes from it: three times as many, and not more
/// than came from an address that no link reaches.
pub(super) fn allowance(core: &Core, source: SocketAddr, len: usize) -> u64 {
    let factor = if reaches(&core.links, source) {
        AMPLIFICATION_MAX
    } else {
        1
    };
    len as u64 * factor
}

/// Those who are not known.
pub(super) struct Strangers {
    sources: BTreeMap<SocketAddr, Source>,
    rate: Bucket,
    others: BTreeMap<ShortId, Instant>,
}

/// Where unverified packets came from.
#[derive(Clone, Copy, Debug)]
struct Source {
    /// Bytes that may still go there.
    allowance: u64,
    heard: Instant,
    asked: Option<Instant>,
}

impl Strangers {
    pub(super) fn new(now: Instant) -> Self {
        Strangers {
            sources: BTreeMap::new(),
            rate: Bucket::new(now, ASK_RATE, ASK_RATE),
            others: BTreeMap::new(),
        }
    }

    /// Counts what came from a source; whether `len` bytes may be sent there now, which counts as
    /// done then.
    pub(super) fn may_ask(
        &mut self,
        now: Instant,
        at: SocketAddr,
        allowance: u64,
        len: u64,
    ) -> bool {
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&at) {
            let oldest = self.sources.iter().min_by_key(|(_, source)| source.heard);
            if let Some(oldest) = oldest.map(|(&at, _)| at) {
                self.sources.remove(&oldest);
            }
        }
        let source = self.sources.entry(at).or_insert(Source {
            allowance: 0,
            heard: now,
            asked: None,
        });
        source.heard = now;
        source.allowance = source.allowance.saturating_add(allowance);
        let rested = source.asked.is_none_or(|asked| now >= asked + ASK_EVERY);
        if !rested || source.allowance < len || !self.rate.take(now, 1) {
            return false;
        }
        source.allowance -= len;
        source.asked = Some(now);
        true
    }

    #[cfg(test)]
    pub(super) fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Whether to tell of this other version.
    fn is_news(&mut self, now: Instant, sender: ShortId) -> bool {
        self.others.retain(|_, &mut at| now < at + OTHER_REST);
        let is_news = !self.others.contains_key(&sender) && self.others.len() < OTHERS_MAX;
        if is_news {
            self.others.insert(sender, now);
        }
        is_news
    }
}

impl Presence {
    /// Somebody speaks whom we do not know, or whose record changed: says HELLO to them, so that
    /// they answer with their record. `len`: what came from there, perhaps with a forged source.
    /// `of`: whose packet it was, where it was counted for the address that it came from already.
    pub fn ask(
        &mut self,
        core: &mut Core,
        now: Now,
        group: &Group,
        (source, len): (SocketAddr, usize),
        of: Option<&PeerId>,
    ) {
        // Of many who lack the same record some ask now, the others at the next heartbeat.
        if !is_usable(core, source) || core.unit() >= self.few(ASKERS) {
            return;
        }
        // As short as can be: whoever is asked is not known, and of the others nobody reads it.
        let hello = Hello {
            record: self.record.clone(),
            nonce: self.beacon.nonce,
            logs: group.own_logs(core.network_towards(source)),
            known: Known::ids(&[]),
        };
        let wanted = super::speak::hello_len(&hello);
        let is_known = self.is_known_source(source);
        let peer = of.and_then(|id| self.roster.get_mut(id));
        let candidate = peer.and_then(|peer| peer.addresses.get_mut(source));
        if candidate.as_ref().is_some_and(|at| !at.may_send(wanted)) {
            return;
        }
        // What came is not to be answered for twice.
        let allowance = if is_known || candidate.is_some() {
            wanted as u64
        } else {
            allowance(core, source, len)
        };
        if self
            .strangers
            .may_ask(now.mono, source, allowance, wanted as u64)
        {
            let sent = core.send_to(source, &crate::wire::Body::Hello(hello));
            if let Some(candidate) = candidate {
                candidate.sent(sent);
            }
        }
    }

    /// Somebody with another version: shown, not talked with. Nothing of it is verified.
    pub fn handle_other_version(&mut self, core: &mut Core, now: Now, other: &OtherVersion) {
        if self.roster.by_short(&other.sender).is_some()
            || !self.strangers.is_news(now.mono, other.sender)
        {
            return;
        }
        // Only 8 bytes of the id are known; the rest stays zero.
        let mut id = [0; 32];
        id[..8].copy_from_slice(&other.sender.0);
        let id = PeerId(id);
        let name = other.name.as_str().to_owned();
        core.event(Event::Error {
            reference: None,
            code: "other_version".into(),
            message: format!("{name}: another lanchat version, cannot talk"),
            hint: Some("the same version on both sides can".into()),
        });
        core.event(Event::Peer {
            reference: None,
            peer: PeerRef {
                id,
                name,
                tag: id.tag(),
                verified: false,
            },
            state: PeerState::Online,
            status: Status::Available,
            status_text: format!("lanchat protocol {}", other.version),
            confirmed: false,
            incompatible: true,
            name_conflict: false,
            addresses: Vec::new(),
            rooms: Vec::new(),
            rtt_ms: None,
            transient: false,
        });
    }
}
