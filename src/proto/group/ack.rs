//! Who has what: when an ACK is due and sent, and what others' ACKs tell.

use std::collections::BTreeSet;
use std::time::Duration;

use super::logs::LogAt;
use super::room::Room;
use super::{Cx, Group};
use crate::datagram::Arrival;
use crate::id::{NetworkId, PeerId, RoomTag};
use crate::wire::{Ack, Body, Entry};

impl Group {
    /// An entry that we hold came again: whoever sent it does not know that we do.
    pub fn held_again(&mut self, cx: &mut Cx, entry: &Entry) {
        let at = (entry.author_id(), entry.epoch);
        if let Some(room) = self.rooms.get_mut(&entry.room) {
            plan_ack(room, cx, &at);
        }
    }

    /// A member tells how far it has our log.
    pub fn handle_ack(&mut self, cx: &mut Cx, member: &PeerId, came_by: NetworkId, ack: &Ack) {
        let peer = cx.presence.roster.get(member);
        let addresses = peer.into_iter().flat_map(|peer| peer.addresses.iter());
        let networks = addresses.map(|address| cx.core.network_towards(address.at));
        let networks: BTreeSet<NetworkId> = networks.chain([came_by]).collect();
        let Some(room) = self.rooms.get_mut(&ack.room) else {
            return;
        };
        let networks = networks.into_iter().map(|on| room.seat.network_of(on));
        let networks: BTreeSet<NetworkId> = networks.collect();
        let changed = room
            .own
            .acknowledged(member, &networks, (ack.epoch, ack.seq));
        room.tell_receipts(cx.core, changed);
    }
}

/// In larger rooms so many members acknowledge an entry.
pub const SAMPLE: usize = 64;

/// Where a member stands among those who may acknowledge an entry; the lowest do.
fn rank(entry: &[u8; 32], member: &PeerId) -> [u8; 8] {
    let mut rank = [0; 8];
    rank.copy_from_slice(&blake3::keyed_hash(entry, &member.0).as_bytes()[..8]);
    rank
}

/// Of more than [`SAMPLE`] members those who acknowledge the entry of this hash.
pub(super) fn sample(entry: &[u8; 32], members: &BTreeSet<PeerId>) -> Option<BTreeSet<PeerId>> {
    if members.len() <= SAMPLE {
        return None;
    }
    let ranked = members.iter().map(|member| (rank(entry, member), *member));
    let mut ranked: Vec<([u8; 8], PeerId)> = ranked.collect();
    ranked.select_nth_unstable(SAMPLE);
    ranked.truncate(SAMPLE);
    Some(ranked.into_iter().map(|(_, member)| member).collect())
}

/// Whether this node is among those who acknowledge an entry, as far as it knows who is here.
fn is_sampled(room: &Room, own: &PeerId, entry: &Entry) -> bool {
    if room.seat.members.len() <= SAMPLE {
        return true;
    }
    let (author, hash) = (entry.author_id(), entry.hash(&room.id));
    let mine = rank(&hash, own);
    let others = room.seat.members.iter().filter(|of| **of != author);
    let before = others.filter(|of| rank(&hash, of) < mine);
    before.take(SAMPLE).count() < SAMPLE
}

/// An entry is stored: plans the ACK for it, and for earlier ones that could not be acknowledged
/// before.
pub(super) fn note_stored(room: &mut Room, cx: &mut Cx, at: &LogAt, entry: &Entry) {
    let sampled = is_sampled(room, &cx.core.identity.id(), entry);
    let Some(log) = room.logs.get_mut(at) else {
        return;
    };
    if sampled {
        log.ack_for = log.ack_for.max(entry.seq);
    }
    if log.ack_for > log.acked {
        plan_ack(room, cx, at);
    }
}

/// Plans the ACK for what this author wrote, unless one is planned.
pub(super) fn plan_ack(room: &mut Room, cx: &mut Cx, at: &LogAt) {
    let delay = ack_delay(room.seat.population().min(SAMPLE + 1));
    let Some(log) = room.logs.get_mut(at) else {
        return;
    };
    if log.ack_at.is_none() && !log.is_forked() {
        log.ack_at = Some(cx.now.mono + cx.core.jitter(delay));
    }
}

pub(super) fn say_ack(room: &mut Room, cx: &mut Cx, tag: RoomTag, at: &LogAt) {
    let Some(log) = room.logs.get_mut(at) else {
        return;
    };
    if log.ack_at.is_none_or(|at| at > cx.now.mono) {
        return;
    }
    log.ack_at = None;
    let (author, epoch) = *at;
    let Some(seq) = log.held() else { return };
    log.acked = seq;
    // An author that is not validated yet is told by the answer to its next resend.
    if let Some(to) = cx.presence.address_of(&author) {
        room.seat.send_to(
            cx.core,
            to,
            &Body::Ack(Ack {
                room: tag,
                epoch,
                seq,
            }),
        );
    }
}

/// Upper bound of an ACK's delay: the larger the room the longer, so that ACKs do not collide.
pub(super) fn ack_delay(members: usize) -> Duration {
    Duration::from_millis(2)
        .saturating_mul(u32::try_from(members).unwrap_or(u32::MAX))
        .max(Duration::from_millis(20))
}

/// Where an entry came from, for [`Group::held_again`]: only a unicast one asks for an ACK.
#[must_use]
pub fn wants_ack(arrival: &Arrival) -> bool {
    !arrival.presence_port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_the_same_few_acknowledge_an_entry_wherever_it_is_asked() {
        let id = |number: u8| PeerId([number; 32]);
        let few: BTreeSet<PeerId> = (0..64).map(id).collect();
        assert_eq!(sample(&[1; 32], &few), None);
        let many: BTreeSet<PeerId> = (0..200).map(id).collect();
        let one = sample(&[1; 32], &many).expect("many");
        assert_eq!(one.len(), SAMPLE);
        let highest = one.iter().map(|of| rank(&[1; 32], of)).max();
        let beyond = many.difference(&one).map(|of| rank(&[1; 32], of)).min();
        assert!(highest < beyond);
        assert_ne!(sample(&[2; 32], &many).expect("many"), one, "in turn");
    }
}
