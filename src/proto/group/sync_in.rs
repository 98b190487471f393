//! Entries that came by history sync: what was said before this node joined is history, the rest is
//! shown like anything that came late.

use super::log::AuthorLog;
use super::{Cx, Group, Pending};
use crate::durable::{Batch, Durability, Write};
use crate::id::{NetworkId, PeerId, RoomTag};
use crate::proto::group::order;
use crate::wire::{Entry, EntryKind};

/// How entries came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// By history sync: asked for, and verified on a budget of its own.
    Sync,
}

/// Where an entry belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// To be shown, in its turn.
    Live,
    /// Kept, not shown.
    History,
    /// Nowhere.
    No,
}

/// An entry of history: whose, of which epoch, its number.
pub(super) type Noted = (PeerId, u64, u32);

impl Group {
    /// The rooms that this node is in, and whether nothing of any past is known of each.
    pub fn synced_rooms(&self) -> impl Iterator<Item = (RoomTag, bool)> {
        let joined = self.rooms.iter().filter(|(_, room)| room.seat.joined);
        joined.map(|(tag, room)| (*tag, room.is_new))
    }

    /// Hash of the heads of a room on a network, as heartbeats tell it there.
    #[must_use]
    pub fn digest_of(&self, tag: &RoomTag, _: NetworkId, own: &PeerId) -> Option<[u8; 8]> {
        let room = self.rooms.get(tag).filter(|room| room.seat.joined);
        room.map(|room| room.digest(own))
    }

    /// Rooms and authors of whom too much is missing to ask for it entry by entry.
    pub fn take_behind(&mut self) -> Vec<(RoomTag, PeerId)> {
        std::mem::take(&mut self.behind)
    }

    /// Whether so many entries can be taken in now.
    #[must_use]
    pub fn has_room_for(&self, entries: usize) -> bool {
        self.received_pending + entries <= super::receive::RECEIVED_PENDING_MAX
    }

    /// Whether an entry of a sync, not yet verified, is worth the check of its signature. `own` is
    /// this node.
    #[must_use]
    pub fn is_wanted(&self, own: &PeerId, entry: &Entry) -> bool {
        self.place(own, entry) != Place::No
    }

    fn place(&self, own: &PeerId, entry: &Entry) -> Place {
        let Some(room) = self.rooms.get(&entry.room).filter(|room| room.seat.joined) else {
            return Place::No;
        };
        if entry.redacted && !room.is_taken_back(entry) {
            return Place::No;
        }
        let author = entry.author_id();
        if author == *own {
            return Place::History;
        }
        let is_new = order::ms(entry.hlc) >= room.joined_ms;
        match room.logs.get(&author) {
            Some(log) if entry.epoch < log.epoch => Place::History,
            Some(log) if entry.epoch == log.epoch && entry.seq <= log.floor() => Place::History,
            Some(log) if entry.epoch == log.epoch => {
                let wanted = !log.has(entry.seq) && log.is_near(entry.seq);
                if wanted { Place::Live } else { Place::No }
            }
            _ if is_new => Place::Live,
            _ => Place::History,
        }
    }

    /// Takes in genuine entries. `told_on`: the network of the link that they came by.
    pub fn take_in(
        &mut self,
        cx: &mut Cx,
        entries: Vec<Entry>,
        source: Source,
        _told_on: NetworkId,
    ) {
        debug_assert_eq!(source, Source::Sync);
        let own = cx.core.identity.id();
        let Some(tag) = entries.first().map(|entry| entry.room) else {
            return;
        };
        let (mut writes, mut noted) = (Vec::new(), Vec::new());
        for entry in entries {
            let Some(room) = self.rooms.get(&tag) else {
                return;
            };
            let (id, author) = (room.id, entry.author_id());
            match self.place(&own, &entry) {
                Place::No => {}
                Place::Live => self.take(cx, entry),
                Place::History => {
                    if author == own && (entry.epoch, entry.seq) > (room.own.epoch, room.own.seq) {
                        self.abandon_epoch(&entry);
                    }
                    self.hlc.observe(cx.now.wall_ms, entry.hlc);
                    if entry.kind == EntryKind::REDACTION
                        && let Some(room) = self.rooms.get_mut(&tag)
                    {
                        room.seat.unjudged.push(entry.clone());
                    }
                    noted.push((author, entry.epoch, entry.seq));
                    writes.push(Write::Entry {
                        room: id,
                        author,
                        epoch: entry.epoch,
                        seq: entry.seq,
                        hash: entry.hash(&id),
                        bytes: entry.bytes,
                    });
                }
            }
        }
        if writes.is_empty() {
            return;
        }
        self.received_pending += noted.len();
        let durability = Durability::Process;
        let token = cx.core.persist(Batch { durability, writes });
        self.pending
            .insert(token, Pending::History { room: tag, noted });
        self.judge(cx);
    }

    /// History is stored: heads tell of it.
    pub(super) fn history_stored(&mut self, cx: &Cx, tag: RoomTag, noted: &[Noted]) {
        let own = cx.core.identity.id();
        let Some(room) = self.rooms.get_mut(&tag) else {
            return;
        };
        let roster = &cx.presence.roster;
        for &(author, epoch, seq) in noted.iter().filter(|(author, ..)| *author != own) {
            match room.logs.get_mut(&author) {
                Some(log) if log.epoch == epoch => log.fill(seq),
                Some(log) if log.epoch > epoch => {}
                _ => {
                    let here = |id: &PeerId| roster.get(id).is_some();
                    if let Some(log) = room.log_for(author, epoch, seq, here) {
                        *log = AuthorLog::new(epoch, seq);
                    }
                }
            }
        }
    }
}
