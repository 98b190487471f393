//! Asking for what is missing: when the first time, and whom.

use std::net::SocketAddr;
use std::time::Duration;

use super::Cx;
use super::log::AuthorLog;
use super::logs::LogAt;
use super::room::Room;
use super::seat::Seat;
use crate::api::PeerState;
use crate::id::{PeerId, RoomTag};
use crate::wire::{Body, Nack};

/// Before the first NACK of a gap: `U[0, W]`, `W = d max(1, p^c G / 16)`.
pub(super) fn first_wait(cx: &mut Cx, members: usize) -> Duration {
    let pace = cx.pace();
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let members = members as f64;
    let lost = pace
        .loss
        .unwrap_or(0.1)
        .powi(i32::try_from(pace.copies()).unwrap_or(1));
    cx.core
        .jitter(pace.rtt.mul_f64((lost * members / 16.0).max(1.0)))
}

/// Asks for what is missing of one log: the author first, then others in turn.
pub(super) fn ask(room: &mut Room, cx: &mut Cx, tag: RoomTag, at: &LogAt) {
    let rtt = cx.pace().rtt;
    let Some(log) = room.logs.get_mut(at) else {
        return;
    };
    let core = &mut *cx.core;
    let Some((tries, runs)) = log.take_asks(cx.now.mono, || rtt * 2 + core.jitter(rtt)) else {
        return;
    };
    let (author, epoch) = *at;
    let Some(to) = whom_to_ask(cx, (&room.seat, log), &author, tries) else {
        return;
    };
    cx.core.stats.nacks_out += 1;
    room.seat.send_to(
        cx.core,
        to,
        &Body::Nack(Nack {
            room: tag,
            author: author.short(),
            epoch,
            runs,
        }),
    );
}

/// Odd tries go to the author while it is here, even ones to another member on a network of the
/// log.
fn whom_to_ask(
    cx: &mut Cx,
    (seat, log): (&Seat, &AuthorLog),
    author: &PeerId,
    tries: u32,
) -> Option<SocketAddr> {
    let online = |id: &PeerId| {
        cx.presence
            .roster
            .get(id)
            .is_some_and(|peer| peer.state != PeerState::Offline)
    };
    let of_author = cx.presence.address_of(author).filter(|_| online(author));
    let others: Vec<SocketAddr> = cx
        .presence
        .roster
        .members()
        .filter(|peer| peer.id != *author && seat.lists(peer))
        .filter_map(|peer| peer.addresses.current())
        .filter(|at| log.is_on(cx.core.network_towards(*at)))
        .collect();
    if (tries % 2 == 1 || others.is_empty()) && of_author.is_some() {
        return of_author;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small index"
    )]
    let index = (cx.core.unit() * others.len() as f64) as usize;
    others.get(index).copied().or(of_author)
}
