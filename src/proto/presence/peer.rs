//! One row of the roster: what is known of a person.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::addresses::Addresses;
use super::links::reaches;
use super::probe::Probing;
use super::suspect::Watch;
use crate::api::PeerState;
use crate::datagram::{Link, LinkId, Path};
use crate::id::{Incarnation, PeerId, PublicKey};
use crate::proto::gate::Window;
use crate::wire::PeerRecord;

/// One person.
pub struct Peer {
    /// Their id.
    pub id: PeerId,
    /// What they say of themselves, verified.
    pub record: Arc<PeerRecord>,
    /// Its hash, which each heartbeat of theirs names.
    pub(super) record_hash: [u8; 8],
    /// Whether they can be reached.
    pub state: PeerState,
    /// Sequence numbers seen of this run.
    pub window: Window,
    /// Where they can be reached.
    pub addresses: Addresses,
    /// When a fresh verified packet of theirs last came.
    pub heard: Instant,
    /// When the first packet of theirs came in this run of ours.
    pub first_heard: Instant,
    /// Smoothed round trip.
    pub rtt: Option<Rtt>,
    /// Whether they are asked for a sign of life just now.
    pub probing: Option<Box<Probing>>,
    /// What else is known of their silence.
    pub watch: Watch,
    /// What is heard of them on each link.
    pub links: Links,
    /// By which paths they say they hear this node, as bits `1 << Path`.
    pub hears_us: Option<u8>,
    /// The group loss they report, in 1/254, once they measured it.
    pub loss: Option<u8>,
    /// Set while they are known from others only: learnt by SYNC and not confirmed.
    pub hearsay: Option<Box<Hearsay>>,
    /// What people were told last, as a hash.
    pub(super) announced: Option<[u8; 16]>,
    pub(super) told: Option<Told>,
}

/// What others say of a peer that was not reached yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hearsay {
    /// When that was learnt.
    pub since: Instant,
    /// Where they say it is; good for a PROBE.
    pub hint: Option<SocketAddr>,
    /// PROBEs sent there.
    pub tries: u8,
}

/// What a row's event is made from: as long as it is the same, the event is not even built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Told {
    state: PeerState,
    incarnation: Incarnation,
    record_seq: u32,
    confirmed: bool,
    address: Option<SocketAddr>,
    pins_version: u64,
}

/// Smoothed round-trip time and its variation (RFC 6298, section 2).
#[derive(Clone, Copy, Debug)]
pub struct Rtt {
    /// Smoothed.
    pub smoothed: Duration,
    /// Variation.
    pub variation: Duration,
}

impl Rtt {
    /// The estimate after one more sample.
    #[must_use]
    pub fn update(previous: Option<Rtt>, sample: Duration) -> Rtt {
        match previous {
            None => Rtt {
                smoothed: sample,
                variation: sample / 2,
            },
            Some(old) => {
                // A round trip that held an address resolution, seconds long, is soon forgotten.
                let weight = if sample < old.smoothed { 2 } else { 8 };
                let smoothed = old.smoothed - old.smoothed / weight + sample / weight;
                let variation = old.variation * 3 / 4 + smoothed.abs_diff(sample) / 4;
                Rtt {
                    smoothed,
                    variation,
                }
            }
        }
    }
}

/// What is heard of a peer on one link.
#[derive(Clone, Copy, Default, Debug)]
pub struct LinkStats {
    /// Signed group datagrams heard in this run, copies included.
    pub received: u32,
    /// By which paths, as bits `1 << Path`.
    pub paths: u8,
    /// When something last came by each path.
    last: [Option<Instant>; 4],
    /// The counters at the last heartbeat: what they had sent, what was heard.
    pub mark: Option<(u32, u32)>,
    /// Datagrams sent and lost between heartbeats, older ones fading out.
    sent: f64,
    lost: f64,
}

/// What is heard of a peer by link, in the order of their ids: one or two, so a list, and without
/// room for more.
#[derive(Clone, Default, Debug)]
pub struct Links(Vec<(LinkId, LinkStats)>);

impl Links {
    /// Of one link, if anything was heard there.
    #[must_use]
    pub fn get(&self, link: LinkId) -> Option<&LinkStats> {
        self.iter().find(|(id, _)| *id == link).map(|(_, of)| of)
    }

    /// Of one link, for what is heard there now.
    pub fn at(&mut self, link: LinkId) -> &mut LinkStats {
        let at = self.0.partition_point(|(id, _)| *id < link);
        if self.0.get(at).is_none_or(|(id, _)| *id != link) {
            self.0.reserve_exact(1);
            self.0.insert(at, (link, LinkStats::default()));
        }
        &mut self.0[at].1
    }

    /// All.
    pub fn iter(&self) -> impl Iterator<Item = &(LinkId, LinkStats)> {
        self.0.iter()
    }

    /// All, mutable.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut (LinkId, LinkStats)> {
        self.0.iter_mut()
    }

    /// Forgets the links that are not among these.
    pub fn retain(&mut self, links: &[LinkId]) {
        self.0.retain(|(id, _)| links.contains(id));
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The paths by which anything is heard, as bits `1 << Path`.
    #[must_use]
    pub fn paths(&self) -> u8 {
        self.iter().fold(0, |all, (_, of)| all | of.paths)
    }
}

/// Datagrams of which a loss can be told.
const LOSS_SAMPLES_MIN: f64 = 8.0;
/// Above this many the older half of them fades out.
const LOSS_SAMPLES_MAX: f64 = 128.0;

impl LinkStats {
    /// A group datagram of theirs came by this path.
    pub fn count(&mut self, path: Path, now: Instant) {
        self.received = self.received.wrapping_add(1);
        self.paths |= 1 << path as u8;
        self.last[path as usize] = Some(now);
    }

    /// Forgets the paths by which nothing came for so long.
    pub fn forget_paths(&mut self, now: Instant, kept: Duration) {
        for (path, last) in self.last.iter().enumerate() {
            if last.is_none_or(|last| now.saturating_duration_since(last) > kept) {
                self.paths &= !(1 << path);
            }
        }
    }

    /// Their heartbeat says how many they sent on this link.
    pub fn compare(&mut self, sent: u32) {
        if let Some((sent_before, received_before)) = self.mark {
            // Without the heartbeat itself: that it was heard is why it is counted.
            let sent = sent.wrapping_sub(sent_before).wrapping_sub(1);
            let received = self.received.wrapping_sub(received_before).wrapping_sub(1);
            if (1..10_000).contains(&sent) {
                self.sent += f64::from(sent);
                self.lost += f64::from(sent.saturating_sub(received));
            }
            if self.sent > LOSS_SAMPLES_MAX {
                self.sent /= 2.0;
                self.lost /= 2.0;
            }
        }
        self.mark = Some((sent, self.received));
    }
}

impl LinkStats {
    /// The share that is lost, 0 to 1, once enough was heard to tell.
    #[must_use]
    pub fn loss(&self) -> Option<f64> {
        (self.sent >= LOSS_SAMPLES_MIN).then(|| self.lost / self.sent)
    }
}

impl Peer {
    /// Whether an address of theirs is validated in this run.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.addresses.current().is_some()
    }

    /// Whether they were reached and are not given up, one-shot commands included.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.state, PeerState::Online | PeerState::Suspect) && self.is_confirmed()
    }

    /// Whether it takes only a round trip to have them back: they were validated before the links
    /// to them were lost.
    pub(super) fn is_cut_off(&self) -> bool {
        !self.is_confirmed() && self.addresses.unlinked_at().next().is_some()
    }

    /// Where a line for them goes if they are somebody here: the address in use, or one where they
    /// were validated before its link was lost and that one of these links reaches again.
    #[must_use]
    pub fn stands_at(&self, links: &[Link]) -> Option<SocketAddr> {
        let here = matches!(self.state, PeerState::Online | PeerState::Suspect);
        let again = || self.addresses.unlinked_at().find(|&at| reaches(links, at));
        let at = self.addresses.current().or_else(again);
        at.filter(|_| here && !self.record.transient)
    }

    /// Whether they count as somebody here: validated, not given up, not a one-shot command. A
    /// Suspect is still here: most of them only lost a few probes.
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.is_live() && !self.record.transient
    }

    /// Whether anything that the row's event tells is other than at the last call.
    pub fn is_news(&mut self, pins_version: u64) -> bool {
        let now = Told {
            state: self.state,
            incarnation: self.record.incarnation,
            record_seq: self.record.record_seq,
            confirmed: self.is_confirmed(),
            address: self.addresses.shown(),
            pins_version,
        };
        self.told.replace(now) != Some(now)
    }

    /// They say something new of themselves.
    pub(super) fn set_record(&mut self, record: &PeerRecord) {
        self.record = kept(record);
        self.record_hash = record.hash();
    }

    /// Their key.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        self.record.key
    }

    /// The paths that reach them: what they say they hear of us, else what we hear of them; none
    /// if they say that they hear no group at all.
    #[must_use]
    pub fn paths(&self) -> u8 {
        if self.record.deaf {
            return 0;
        }
        let heard = self.links.paths();
        self.hears_us.filter(|&mask| mask != 0).unwrap_or(heard)
    }
}

/// A record as rows keep it: one copy for all nodes of a simulation.
fn kept(record: &PeerRecord) -> Arc<PeerRecord> {
    #[cfg(feature = "sim")]
    if let Some(shared) = crate::proto::crypto::shared::record(record) {
        return shared;
    }
    Arc::new(record.clone())
}

/// A row as it begins.
pub(super) fn new_peer(now: Instant, id: PeerId, record: &PeerRecord) -> Peer {
    Peer {
        id,
        record_hash: record.hash(),
        record: kept(record),
        state: PeerState::Online,
        window: Window::default(),
        addresses: Addresses::default(),
        heard: now,
        first_heard: now,
        rtt: None,
        probing: None,
        watch: Watch::default(),
        links: Links::default(),
        hears_us: None,
        loss: None,
        hearsay: None,
        announced: None,
        told: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_told_only_once_enough_was_heard() {
        let mut link = LinkStats::default();
        let (mut sent, mut number) = (0, 0u32);
        while number < 6 {
            // Ten datagrams, of which seven arrive, and the heartbeat that tells of them.
            sent += 11;
            link.received += 8;
            link.compare(sent);
            number += 1;
            if number == 1 {
                assert_eq!(link.loss(), None, "the first heartbeat only sets the mark");
            }
        }
        let loss = link.loss().unwrap();
        assert!((loss - 0.3).abs() < 0.01, "{loss}");
    }

    #[test]
    fn heartbeats_alone_tell_no_loss() {
        let mut link = LinkStats::default();
        for sent in 1..100 {
            link.received += 1;
            link.compare(sent);
        }
        assert_eq!(link.loss(), None);
    }

    #[test]
    fn one_long_round_trip_is_soon_forgotten() {
        let ms = Duration::from_millis;
        let mut rtt = Rtt::update(None, ms(1000));
        for _ in 0..8 {
            rtt = Rtt::update(Some(rtt), ms(1));
        }
        assert!(rtt.smoothed < ms(10), "{:?}", rtt.smoothed);
    }
}
