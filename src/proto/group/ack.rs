//! Who has what: when an ACK is due and sent, and what others' ACKs tell.

use std::time::Duration;

use super::room::Room;
use super::{Cx, Group};
use crate::datagram::Arrival;
use crate::id::{PeerId, RoomTag};
use crate::wire::{Ack, Body, Entry};

impl Group {
    /// An entry that we hold came again: whoever sent it does not know that we do.
    pub fn held_again(&mut self, cx: &mut Cx, entry: &Entry) {
        let author = entry.author_id();
        if let Some(room) = self.rooms.get_mut(&entry.room) {
            plan_ack(room, cx, &author);
        }
    }

    /// A member tells how far it has our log.
    pub fn handle_ack(&mut self, cx: &mut Cx, member: &PeerId, ack: &Ack) {
        let Some(room) = self.rooms.get_mut(&ack.room) else {
            return;
        };
        if ack.epoch != room.own.sent_epoch || ack.seq > room.own.sent_seq {
            return;
        }
        let changed = room.own.acknowledged(member, ack.seq);
        room.tell_receipts(cx.core, changed);
    }
}

/// Plans the ACK for what this author wrote, unless one is planned.
pub(super) fn plan_ack(room: &mut Room, cx: &mut Cx, author: &PeerId) {
    let delay = ack_delay(room.seat.population());
    let Some(log) = room.logs.get_mut(author) else {
        return;
    };
    if log.ack_at.is_none() {
        log.ack_at = Some(cx.now.mono + cx.core.jitter(delay));
    }
}

pub(super) fn say_ack(room: &mut Room, cx: &mut Cx, tag: RoomTag, author: &PeerId) {
    let Some(log) = room.logs.get_mut(author) else {
        return;
    };
    if log.ack_at.is_none_or(|at| at > cx.now.mono) {
        return;
    }
    log.ack_at = None;
    let epoch = log.epoch;
    let Some(seq) = log.held() else { return };
    // An author that is not validated yet is told by the answer to its next resend.
    if let Some(to) = cx.presence.address_of(author) {
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
fn ack_delay(members: usize) -> Duration {
    Duration::from_millis(2)
        .saturating_mul(u32::try_from(members).unwrap_or(u32::MAX))
        .max(Duration::from_millis(20))
}

/// Where an entry came from, for [`Group::held_again`]: only a unicast one asks for an ACK.
#[must_use]
pub fn wants_ack(arrival: &Arrival) -> bool {
    !arrival.presence_port
}
