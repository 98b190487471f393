//! Who is in a locked room: its members tell each other, sealed.
//!
//! A record says of a locked room what anybody can copy. Only who has the key can seal, so a member
//! is whoever was heard to. A ROOM BEACON says it on joining, on leaving, to whoever was not heard
//! yet, and every `max(10 s, G / 4)`.

use std::time::{Duration, Instant};

use super::room::Room;
use super::rooms::author_of;
use super::{Cx, Group};
use crate::datagram::Destination;
use crate::id::{NetworkId, PeerId, RoomTag, ShortId};
use crate::limits::{BEACON_HEADS_MAX, BEACON_MEMBERS_MAX};
use crate::proto::presence::peer::Peer;
use crate::wire::{Body, RoomBeacon};

/// Shortest time between two beacons at rest, and a room's share of it for each four members.
const REST_MIN: Duration = Duration::from_secs(10);
const REST_EACH: Duration = Duration::from_millis(250);
/// After the first ones, and in a room of few after an answer, sooner: at 30 % loss one in ten who
/// join would else not be seen for 15 s.
const FIRST: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
/// Most members of a room of few.
const FEW: usize = 8;
/// Soonest after the last one.
const SOONEST: Duration = Duration::from_millis(500);
/// Upper bound of the delay of an answer, for each member, and of the shortest such bound.
const ANSWER_EACH: Duration = Duration::from_millis(2);
const ANSWER_MIN: Duration = Duration::from_millis(50);
/// Who is listed and was not heard is waited for so long before what is said leaves.
pub(super) const HOLD: Duration = Duration::from_secs(1);

/// When a room's beacons are sent.
#[derive(Debug, Default)]
pub struct Beacons {
    next: Option<Instant>,
    last: Option<Instant>,
    turn: usize,
    /// How many went since this node joined, or answered.
    fresh: usize,
}

impl Beacons {
    /// One is sent then, if none is before.
    fn hasten(&mut self, at: Instant) {
        let soonest = self.last.map_or(at, |last| at.max(last + SOONEST));
        self.next = Some(self.next.map_or(soonest, |next| next.min(soonest)));
    }

    /// One is sent at once.
    pub fn now(&mut self, now: Instant) {
        self.next = Some(now);
    }

    /// When one is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.next
    }
}

impl Group {
    /// Sends the beacons that are due.
    pub(super) fn say_beacons(&mut self, cx: &mut Cx) {
        if !cx.core.open {
            return;
        }
        for (tag, room) in &mut self.rooms {
            if room.seat.is_locked() && room.seat.joined {
                let due = *room.seat.beacons.next.get_or_insert(cx.now.mono);
                if due <= cx.now.mono {
                    say_beacon(room, cx, *tag, false);
                }
            }
        }
    }

    /// Somebody with the key of a room says who they hear and where the logs stand.
    pub fn handle_beacon(&mut self, cx: &mut Cx, from: &PeerId, beacon: &RoomBeacon) {
        let own = cx.core.short();
        let Some(room) = self.rooms.get_mut(&beacon.room) else {
            return;
        };
        if beacon.leaving {
            room.seat.proven.remove(from);
            return self.look_soon(cx.now.mono);
        }
        if !beacon.members.contains(&own) {
            answer(room, cx);
        }
        // No digest of a locked room is told: these heads in turn stand for one.
        let own = cx.core.identity.id();
        let more = beacon.heads.iter().any(|head| {
            let author = author_of(room, &own, &head.author);
            author.is_none_or(|author| room.lacks(&own, &author, head))
        });
        if more && room.is_settled(NetworkId::EVERYWHERE, cx.now.wall_ms) {
            self.strange.push((beacon.room, *from));
        }
        self.note_holder(from, &beacon.room, &beacon.heads);
        let head = beacon.heads.iter().find(|head| head.author == from.short());
        if let Some(head) = head.copied() {
            let on = NetworkId::EVERYWHERE;
            self.learn_head(cx, from, on, (&beacon.room, (head.epoch, head.seq)));
        }
    }

    /// Something sealed for this room came from them: they have its key.
    pub fn proves(&mut self, cx: &mut Cx, from: &PeerId, tag: &RoomTag) {
        let Some(room) = self.rooms.get_mut(tag).filter(|room| room.seat.is_locked()) else {
            return;
        };
        if room.seat.proven.insert(*from) {
            answer(room, cx);
            room.seat.end_hold(cx.presence);
            self.look_soon(cx.now.mono);
        }
    }
}

/// They do not know yet that this node is in the room.
pub(super) fn answer(room: &mut Room, cx: &mut Cx) {
    let members = u32::try_from(room.seat.population()).unwrap_or(u32::MAX);
    let most = ANSWER_EACH.saturating_mul(members).max(ANSWER_MIN);
    let at = cx.now.mono + cx.core.jitter(most);
    if room.seat.population() <= FEW {
        room.seat.beacons.fresh = 0;
    }
    room.seat.beacons.hasten(at);
}

/// Says who is heard and where the logs stand.
pub(super) fn say_beacon(room: &mut Room, cx: &mut Cx, tag: RoomTag, leaving: bool) {
    let beacons = &mut room.seat.beacons;
    let turn = beacons.turn;
    beacons.turn = turn.wrapping_add(1);
    let (members, now) = (room.seat.members.len(), cx.now.mono);
    let rest = REST_EACH.saturating_mul(u32::try_from(members).unwrap_or(u32::MAX));
    let rest = FIRST
        .get(beacons.fresh)
        .copied()
        .unwrap_or(rest.max(REST_MIN));
    beacons.fresh = beacons.fresh.saturating_add(1);
    beacons.last = Some(now);
    beacons.next = Some(now + rest + cx.core.jitter(rest / 10));
    let count = members.min(BEACON_MEMBERS_MAX);
    let start = (turn * count).checked_rem(members).unwrap_or(0);
    let heard = room.seat.members.iter().cycle().skip(start).take(count);
    let heard: Vec<ShortId> = heard.map(PeerId::short).collect();
    let beacon = RoomBeacon {
        room: tag,
        members: heard,
        heads: room.heads_on(
            NetworkId::EVERYWHERE,
            cx.core.short(),
            turn,
            BEACON_HEADS_MAX,
        ),
        leaving,
    };
    let Some(bytes) = room.seat.packet(cx.core, &Body::RoomBeacon(beacon)) else {
        return;
    };
    let paths = cx.presence.group_paths();
    cx.core.send_on_all(&bytes, &paths);
    let seat = &room.seat;
    // Whoever showed to have the key may not have told yet that they are in it.
    let is_in = |peer: &Peer| seat.is_listed_by(peer) || seat.proven.contains(&peer.id);
    for to in cx.presence.unreached_of(is_in) {
        cx.core.transmit(Destination::Unicast(to), bytes.clone());
    }
}
