//! An own entry and the head of the own log on their way out: to the networks that they are for, and to
//! those whom no group reaches.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::{Room, Seat};
use crate::datagram::{Destination, Path};
use crate::id::{MessageId, NetworkId, PeerId, RoomTag};
use crate::proto::group::sender::{OwnSender, Pace, Recipients};
use crate::proto::group::{Cx, ack};
use crate::wire::{Body, Entry, EntryKind, Heads};

/// Sends an entry of this message, whose turn has come, and follows it. Returns the length of its
/// packet.
pub(super) fn send(room: &mut Room, cx: &mut Cx, entry: &Entry, id: MessageId) -> usize {
    let pace: Pace = cx.pace();
    let Some(packet) = room.seat.packet(cx.core, &Body::Data(entry.clone())) else {
        return 0;
    };
    let len = packet.len();
    let paths = cx.presence.group_paths();
    let said = networks_of(room, cx, entry);
    cx.core.send_where(|on| said.contains(&on), &packet, &paths);
    send_unreached(cx, &room.seat, |on| said.contains(&on), &packet);
    let roster = &cx.presence.roster;
    let hash = entry.hash(&room.id);
    let members = roster.iter().filter(|peer| room.seat.lists(peer));
    let members = members.filter(|peer| {
        let at = peer.stands_at(&cx.core.links);
        at.is_some_and(|at| said.contains(&cx.core.network_towards(at)))
    });
    let members: BTreeSet<PeerId> = members.map(|peer| peer.id).collect();
    let sampled = ack::sample(&hash, &members);
    let is_sampled = sampled.is_some();
    let of = sampled.unwrap_or(members).into_iter();
    let of = of.filter_map(|id| Some((id, roster.reference(roster.get(&id)?))));
    let of = Recipients {
        of: of.collect(),
        is_sampled,
    };
    if let Some(log) = room.own.get_mut(entry.epoch) {
        log.said_on(said, entry.seq);
        log.sent(cx.now.mono, entry, (id, packet, of), pace);
    }
    if let Some(receipt) = room.receipt((entry.epoch, entry.seq)) {
        cx.core.event(receipt);
    }
    len
}

/// The networks on which an entry is said now: all that this node is on. What takes back a line of a
/// network that it is not on goes where that line is told of, if it goes anywhere: whoever is there
/// hears of it once this node is back.
fn networks_of(room: &Room, cx: &Cx, entry: &Entry) -> BTreeSet<NetworkId> {
    let mut networks = cx.core.networks();
    if entry.kind != EntryKind::REDACTION || room.seat.is_locked() {
        return networks;
    }
    if !networks.contains(&entry.network) {
        let named = entry.deps.first().map(|dep| MessageId(*dep));
        let at = named.and_then(|id| room.seat.seen.get(&id));
        let log = at.and_then(|(_, (epoch, seq))| Some((room.own.get(epoch)?, seq)));
        networks.retain(|on| log.is_some_and(|(log, seq)| log.serves(*on, seq)));
    }
    networks
}

/// Sends a packet of the own log to each member that no group path reaches, of a bounded number, on
/// the networks that `told` says.
pub(super) fn send_unreached(
    cx: &mut Cx,
    seat: &Seat,
    told: impl Fn(NetworkId) -> bool,
    packet: &[u8],
) {
    let unreached = cx.presence.unreached_of(|peer| seat.lists(peer));
    let unreached = unreached.filter(|to| told(cx.core.network_towards(*to)));
    let unreached: Vec<SocketAddr> = unreached.collect();
    for to in unreached {
        cx.core.transmit(Destination::Unicast(to), packet.to_vec());
    }
}

/// Tells on each link how far a log goes there: one packet for all that are told the same.
pub(super) fn say_heads(
    (seat, log): (&Seat, &OwnSender),
    cx: &mut Cx,
    (room, epoch): (RoomTag, u64),
    paths: &[Path],
) -> usize {
    let mut len = 0;
    let mut told: BTreeMap<(u32, u32), BTreeSet<NetworkId>> = BTreeMap::new();
    for network in cx.core.networks() {
        if let Some(numbers) = log.told_on(network) {
            told.entry(numbers).or_default().insert(network);
        }
    }
    for ((first, seq), networks) in told {
        let heads = Heads {
            room,
            epoch,
            seq,
            first,
        };
        if let Some(bytes) = seat.packet(cx.core, &Body::Heads(heads)) {
            let is_told = |on| networks.contains(&on);
            len = len.max(bytes.len());
            cx.core.send_where(is_told, &bytes, paths);
            send_unreached(cx, seat, is_told, &bytes);
        }
    }
    len
}
