//! Who has what: when an ACK is due and sent, and what others' ACKs tell.

use std::time::Duration;

use super::logs::LogAt;
use super::room::Room;
use super::{Cx, Group};
use crate::datagram::Arrival;
use crate::id::{PeerId, RoomTag};
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
    pub fn handle_ack(&mut self, cx: &mut Cx, member: &PeerId, ack: &Ack) {
        let Some(room) = self.rooms.get_mut(&ack.room) else {
            return;
        };
        let changed = room.own.acknowledged(member, (ack.epoch, ack.seq));
        room.tell_receipts(cx.core, changed);
    }
}

/// Plans the ACK for what this author wrote, unless one is planned.
pub(super) fn plan_ack(room: &mut Room, cx: &mut Cx, at: &LogAt) {
    let delay = ack_delay(room.seat.population());
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
