//! Asking for what is missing: when the first time, and whom.

use std::net::SocketAddr;
use std::time::Duration;

use super::Cx;
use super::ack::plan_ack;
use super::log::AuthorLog;
use super::logs::LogAt;
use super::missing::{LAST_TRY, QUICK_TRIES};
use super::room::Room;
use super::seat::Seat;
use super::shares::Shares;
use crate::api::PeerState;
use crate::durable::{LogKey, Write, runs};
use crate::id::{PeerId, RoomTag};
use crate::wire::{Body, Nack};

/// With nobody to ask it is looked again then.
const NOBODY: Duration = Duration::from_secs(1);
/// What is above its author's share is asked for no sooner than after this.
const PATIENCE: Duration = Duration::from_millis(100);
/// So many tries before a number may be given up go to so many others at once.
const LATE_TRIES: u32 = 4;
const LATE_OTHERS: usize = 8;

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

/// Asks for what is missing of one log: the author first, then others in turn. Whether an exchange
/// of histories is wanted as well.
pub(super) fn ask(
    room: &mut Room,
    cx: &mut Cx,
    (tag, at): (RoomTag, &LogAt),
    shares: &mut Shares,
) -> bool {
    let now = cx.now.mono;
    let rtt = cx.pace().rtt;
    let is_here = is_here(cx, &at.0);
    let Some(log) = room.logs.get_mut(at) else {
        return false;
    };
    if log.give_up_gone(now, is_here) {
        keep_gone(room, at);
        plan_ack(room, cx, at);
    }
    let Some(log) = room.logs.get_mut(at) else {
        return false;
    };
    let Some((tries, seq)) = log.missing.due(now) else {
        return false;
    };
    // Who says more than it may is asked for it later.
    let most = shares.asked(now, &at.0);
    if most == 0 {
        let until = shares.asked_at(now, &at.0).max(now + PATIENCE);
        log.missing.put_off(now, until);
        return false;
    }
    let asked = whom_to_ask(cx, (&room.seat, log), &at.0, (tries + 1, seq));
    if asked.is_empty() {
        log.missing.put_off(now, now + NOBODY);
        return false;
    }
    let core = &mut *cx.core;
    let Some((tries, runs)) = log.missing.take(now, most, || rtt * 2 + core.jitter(rtt)) else {
        return false;
    };
    // The rest waits for its turn: answers above the share would be dropped.
    let taken: u32 = runs.iter().map(|run| run.last - run.first + 1).sum();
    if taken >= most {
        log.missing.put_off(now, now + rtt * 2);
    }
    let (author, epoch) = (at.0.short(), at.1);
    let nack = Body::Nack(Nack {
        room: tag,
        author,
        epoch,
        runs,
    });
    for to in asked {
        cx.core.stats.nacks_out += 1;
        room.seat.send_to(cx.core, to, &nack);
    }
    tries >= QUICK_TRIES
}

/// What the author of a log itself said to be gone is not asked for after a restart either.
fn keep_gone(room: &mut Room, at: &LogAt) {
    let log = LogKey {
        room: room.id,
        author: at.0,
        epoch: at.1,
    };
    let gone = room.logs.get_mut(at).map(|log| log.missing.take_gone());
    let gone = runs(gone.into_iter().flatten()).into_iter();
    let gone = gone.map(|(first, last)| Write::Gone { log, first, last });
    room.seat.to_keep.extend(gone);
}

/// Whether somebody was not given up.
fn is_here(cx: &Cx, id: &PeerId) -> bool {
    let peer = cx.presence.roster.get(id);
    peer.is_some_and(|peer| peer.state != PeerState::Offline)
}

/// Whom to ask for this number the next time: the author; then three times one member, first of those
/// that showed to hold it; then two others at once; then the author and another one; and before
/// something may be given up the author and several others.
fn whom_to_ask(
    cx: &mut Cx,
    (seat, log): (&Seat, &AuthorLog),
    author: &PeerId,
    (tries, seq): (u32, u32),
) -> Vec<SocketAddr> {
    let of_author = cx.presence.address_of(author);
    let of_author = of_author.filter(|_| is_here(cx, author));
    let mut others: Vec<(bool, SocketAddr)> = cx
        .presence
        .roster
        .members()
        .filter(|peer| peer.id != *author && seat.lists(peer))
        .filter_map(|peer| {
            let at = peer.addresses.current()?;
            Some((log.missing.is_holder(&peer.id, seq), at))
        })
        .filter(|(_, at)| log.is_on(seat.network_of(cx.core.network_towards(*at))))
        .collect();
    let is_known = others.iter().any(|(holds, _)| *holds);
    let (wants_author, count) = match tries {
        1 => (true, 0),
        // Where nobody showed anything the author is the best guess.
        3 if !is_known => (true, 0),
        2..=4 => (false, 1),
        5..=6 => (false, 2),
        _ if tries > LAST_TRY - LATE_TRIES => (true, LATE_OTHERS),
        _ => (true, 1),
    };
    let wants_author = wants_author || others.is_empty();
    let mut asked: Vec<SocketAddr> = of_author.into_iter().filter(|_| wants_author).collect();
    let count = count.max(usize::from(asked.is_empty()));
    // Holders first, each part in random order.
    others.sort_by_key(|(holds, _)| !holds);
    for _ in 0..count.min(others.len()) {
        let holders = others.iter().filter(|(holds, _)| *holds).count();
        let among = if holders > 0 { holders } else { others.len() };
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small index"
        )]
        let index = (cx.core.unit() * among as f64) as usize;
        asked.push(others.remove(index.min(among - 1)).1);
    }
    asked
}
