//! How far others' logs go: by what their authors tell, and who else holds how much of them.

use super::ack::plan_ack;
use super::ask::first_wait;
use super::receive::RECEIVED_PENDING_MAX;
use super::{Cx, Group};
use crate::id::{NetworkId, PeerId, RoomTag};
use crate::wire::{HeadOf, Heads, OwnLog, RoomDigest};

/// More missing entries of one log than this come by history sync.
const BEHIND: u32 = 20;

impl Group {
    /// The author tells where its logs stand, in a HELLO or WELCOME that came by a link of this
    /// network.
    pub fn learn_logs(&mut self, cx: &mut Cx, author: &PeerId, on: NetworkId, logs: &[OwnLog]) {
        for log in logs {
            if self.is_locked(&log.room) {
                continue;
            }
            let head = (log.epoch, log.seq);
            self.learn_head(cx, author, on, (&log.room, head));
        }
    }

    /// The author's HEADS.
    pub fn handle_heads(&mut self, cx: &mut Cx, author: &PeerId, on: NetworkId, heads: &Heads) {
        let head = (heads.epoch, heads.seq);
        self.learn_head(cx, author, on, (&heads.room, head));
        let networks = cx.core.networks();
        let Some(room) = self.rooms.get_mut(&heads.room) else {
            return;
        };
        let on = room.seat.network_of(on);
        let at = (*author, heads.epoch);
        let Some(log) = room.logs.get_mut(&at).filter(|log| !log.is_forked()) else {
            return;
        };
        let first = heads.first.min(heads.seq);
        log.heard_on(on, (first, heads.seq));
        // Where this node is on its own network too, all of it is to be had.
        if first > 1 && !networks.iter().any(|network| log.is_of(*network)) {
            log.begins_at(first);
            plan_ack(room, cx, &at);
            Self::show_lines(room, cx, &at);
            self.judge(cx);
        }
    }

    /// The heads of a heartbeat; only what the author says of its own log is taken.
    pub fn learn_digests(
        &mut self,
        cx: &mut Cx,
        author: &PeerId,
        on: NetworkId,
        rooms: &[RoomDigest],
    ) {
        for digest in rooms {
            let own = |head: &&HeadOf| head.author == author.short();
            if self.is_locked(&digest.room) {
                continue;
            }
            if let Some(head) = digest.heads.iter().find(own) {
                self.learn_head(cx, author, on, (&digest.room, (head.epoch, head.seq)));
            }
            self.note_holder(author, &digest.room, &digest.heads);
            self.disprove(cx, author, &digest.room, &digest.heads);
        }
    }

    /// Somebody tells how much they hold of others' logs: they can be asked for it.
    pub(super) fn note_holder(&mut self, from: &PeerId, tag: &RoomTag, heads: &[HeadOf]) {
        let Some(room) = self.rooms.get_mut(tag) else {
            return;
        };
        for head in heads.iter().filter(|head| head.author != from.short()) {
            let author = room.logs.author(&head.author);
            let log = author.and_then(|author| room.logs.get_mut(&(author, head.epoch)));
            if let Some(log) = log {
                log.missing.note_holder(*from, head.seq);
            }
        }
    }

    pub(super) fn learn_head(
        &mut self,
        cx: &mut Cx,
        author: &PeerId,
        on: NetworkId,
        (tag, (epoch, seq)): (&RoomTag, (u64, u32)),
    ) {
        let Some(room) = self.rooms.get_mut(tag).filter(|room| room.seat.joined) else {
            return;
        };
        let on = room.seat.network_of(on);
        let roster = &cx.presence.roster;
        let here = |id: &PeerId| roster.get(id).is_some();
        let at = (*author, epoch);
        if epoch == 0 {
            return room.logs.note_silent(*author, on, here);
        }
        let is_new = room.logs.get(&at).is_none();
        let is_settled = room.is_settled(on, cx.now.wall_ms);
        let Some(log) = room.log_for(at, (on, seq), here) else {
            return;
        };
        log.heard_on(on, (seq, seq));
        if is_new && is_settled && log.start() > 0 && self.strange.len() < RECEIVED_PENDING_MAX {
            // By its clock it was begun before this node came, and nobody told of it so far.
            self.strange.push((*tag, *author));
        }
        // Told in every HELLO and heartbeat, and nearly always known.
        if log.knows(seq) {
            return;
        }
        let first_ask = cx.now.mono + first_wait(cx, room.seat.population());
        if let Some(log) = room.logs.get_mut(&at) {
            log.learn_head(seq, first_ask);
            let is_calm = self.rates.shares.asked(cx.now.mono, author) > 0;
            let is_behind = log.missing_len() > BEHIND && is_calm;
            if is_behind && self.behind.len() < RECEIVED_PENDING_MAX {
                self.behind.push((*tag, *author));
            }
        }
    }
}
