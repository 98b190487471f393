//! NACKs of several members for the same lines, answered together: in a large room one datagram to the
//! group takes the place of many.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::collect::{held, serves};
use super::logs::LogAt;
use super::repair::repairs;
use super::{Cx, Group};
use crate::id::{PeerId, RoomTag};

/// In a room of so many, this node among them, nobody waits for others to ask.
const ALONE: usize = 5;
/// Up to so many are answered by unicast each.
const FEW: usize = 3;
/// Logs for which NACKs are gathered at once, and members for one of them.
const LOGS_MAX: usize = 256;
const ASKERS_MAX: usize = 256;

/// Who misses what of one log.
pub(super) struct Gathered {
    due: Instant,
    asked: Vec<(PeerId, Vec<u32>)>,
}

/// What is gathered.
pub(super) type Gathering = BTreeMap<(RoomTag, LogAt), Gathered>;

impl Group {
    /// Whether an answer waits a moment for others who ask for the same.
    pub(super) fn gather(
        &mut self,
        cx: &mut Cx,
        of: (RoomTag, LogAt),
        peer: PeerId,
        numbers: &[u32],
    ) -> bool {
        let room = self.rooms.get(&of.0);
        let is_small = room.is_none_or(|room| room.seat.population() <= ALONE);
        let is_full = self.gathering.len() >= LOGS_MAX && !self.gathering.contains_key(&of);
        if is_small || is_full {
            return false;
        }
        let due = cx.now.mono + cx.pace().rtt / 4;
        let gathered = self.gathering.entry(of).or_insert_with(|| Gathered {
            due,
            asked: Vec::new(),
        });
        let has_room = gathered.asked.len() < ASKERS_MAX;
        if has_room {
            gathered.asked.push((peer, numbers.to_vec()));
        }
        has_room
    }

    /// When the next answers are due.
    pub(super) fn gather_deadline(&self) -> Option<Instant> {
        self.gathering.values().map(|of| of.due).min()
    }

    /// Answers what was gathered for long enough.
    pub(super) fn answer_gathered(&mut self, cx: &mut Cx) {
        let now = cx.now.mono;
        let due = self.gathering.iter().filter(|(_, of)| of.due <= now);
        let due: Vec<(RoomTag, LogAt)> = due.map(|(of, _)| *of).collect();
        for of in due {
            let Some(gathered) = self.gathering.remove(&of) else {
                continue;
            };
            let (tag, at) = of;
            let to_all = self.answer_all(cx, of, &gathered.asked);
            for (peer, numbers) in gathered.asked {
                let by_group = reached(cx, &peer);
                let is_left = |seq: &&u32| !by_group || !to_all.contains(seq);
                let left: Vec<u32> = numbers.iter().filter(is_left).copied().collect();
                if !left.is_empty() {
                    self.answer_numbers(cx, peer, &tag, at, &left);
                }
            }
        }
    }

    /// Sends to the group what many ask for, as far as it is in memory and the rates allow. Which
    /// numbers these were.
    fn answer_all(
        &mut self,
        cx: &mut Cx,
        (tag, at): (RoomTag, LogAt),
        asked: &[(PeerId, Vec<u32>)],
    ) -> BTreeSet<u32> {
        let now = cx.now.mono;
        let mut askers: BTreeMap<u32, BTreeSet<PeerId>> = BTreeMap::new();
        for (peer, numbers) in asked {
            // Whoever asks too often is not worth the others' time.
            if reached(cx, peer) && self.rates.may_ask_all(now, *peer) {
                for &seq in numbers {
                    askers.entry(seq).or_default().insert(*peer);
                }
            }
        }
        askers.retain(|_, askers| askers.len() > FEW);
        let own = cx.core.identity.id();
        let Some(room) = self.rooms.get(&tag) else {
            return BTreeSet::new();
        };
        // Each gets the proof instead.
        if room.forks.contains_key(&at) {
            return BTreeSet::new();
        }
        let mut behind = BTreeSet::new();
        let mut sent = BTreeMap::new();
        for (seq, askers) in askers {
            let Some(bytes) = held(room, &own, &at, seq) else {
                continue;
            };
            if !self.rates.may_answer_all(now) {
                break;
            }
            sent.insert(seq, bytes.clone());
            behind.extend(askers);
        }
        for peer in behind {
            self.rates.asked_all(now, peer);
        }
        let paths = cx.presence.group_paths();
        for network in cx.core.networks() {
            let of = room.seat.network_of(network);
            let served = sent
                .iter()
                .filter(|(seq, _)| serves(room, &own, &at, (of, **seq)));
            let served: Vec<Vec<u8>> = served.map(|(_, bytes)| bytes.clone()).collect();
            for packet in repairs(cx.core, &room.seat, &served) {
                self.rates.sent(now, packet.len());
                cx.core.send_where(|on| on == network, &packet, &paths);
            }
        }
        // What is not served everywhere was not sent everywhere.
        let networks = cx.core.networks();
        let everywhere = |seq: &u32| {
            let mut networks = networks.iter().map(|on| room.seat.network_of(*on));
            networks.all(|on| serves(room, &own, &at, (on, *seq)))
        };
        sent.into_keys().filter(everywhere).collect()
    }
}

/// Whether what goes to the group reaches this member.
fn reached(cx: &Cx, peer: &PeerId) -> bool {
    let peer = cx.presence.roster.get(peer);
    peer.is_some_and(|peer| peer.paths() != 0)
}
