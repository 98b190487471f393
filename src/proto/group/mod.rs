//! Rooms: signed logs by multicast, repaired by unicast.
//!
//! An author multicasts each entry one to three times; whoever misses one asks for it by unicast.
//! An own entry leaves, and a received one is shown and acknowledged, only after it was stored.

pub mod ack;
mod ask;
mod beacon;
mod collect;
mod early;
mod forks;
mod gather;
mod heads;
mod heard;
mod kinds;
mod late;
pub mod log;
pub mod logs;
mod membership;
mod missing;
pub mod order;
pub mod own;
mod own_past;
mod parts;
mod place;
mod rates;
pub mod receive;
mod repair;
pub mod room;
pub mod rooms;
pub mod runs;
mod say;
pub mod seat;
pub mod sender;
mod shares;
mod show;
mod stored;
mod sync_in;
mod unkept;
mod unlock;

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;

use super::Now;
use super::core::Core;
use super::direct::Direct;
use super::presence::Presence;
use crate::api::PeerRef;
use crate::durable::{ForkRow, RoomRow, Snapshot, Token, Write};
use crate::id::{PeerId, RoomTag};
use crate::wire::Entry;
use logs::LogAt;
use order::Hlc;
use rates::Rates;
use room::Room;
pub use say::{Refusal, too_fast};
use sender::Pace;
pub use sync_in::{Given, Source};
use unkept::Unkept;

/// So many lines that wait for what ends by itself are enough for a while.
pub const CROWDED: usize = 256;

/// What a part of the endpoint works with.
pub struct Cx<'a> {
    /// The way out.
    pub core: &'a mut Core,
    /// Who is here.
    pub presence: &'a mut Presence,
    /// Connections by QUIC.
    pub direct: &'a mut Direct,
    /// The time.
    pub now: Now,
}

impl Cx<'_> {
    /// How copies and repairs are paced just now.
    #[must_use]
    pub fn pace(&self) -> Pace {
        Pace {
            rtt: self.presence.group_rtt(),
            loss: self.presence.group_loss(),
        }
    }

    /// This node, as events name it.
    #[must_use]
    pub fn own_reference(&self) -> PeerRef {
        let id = self.core.identity.id();
        let name = self.core.config.name.as_str().to_owned();
        PeerRef {
            id,
            name,
            tag: id.tag(),
            verified: true,
        }
    }
}

/// What waits for the store.
enum Pending {
    /// An own message: its entry, or its parts.
    Own {
        room: RoomTag,
        entries: Vec<Entry>,
        reference: Option<Value>,
    },
    /// Somebody's entry.
    Received {
        room: RoomTag,
        at: LogAt,
        entry: Box<Entry>,
    },
    /// Entries of one room that are kept and not shown.
    History { entries: Vec<Entry> },
    /// Entries for a repair.
    Repair { peer: PeerId, room: RoomTag },
    /// The entry of this number, which the other one contradicts.
    Fork {
        room: RoomTag,
        at: LogAt,
        seq: u32,
        second: Vec<u8>,
    },
    /// What the store knows of what was said.
    Asked(kinds::Asked),
    /// That a room was joined or left.
    Room(membership::Answer, RoomRow),
    /// What could not be kept before.
    Unkept(unkept::Tried),
    /// A proof that an author contradicts itself.
    Proof(RoomTag, Box<ForkRow>),
    /// What nothing waits for, and what is not to be lost for all that.
    Keep(Vec<Write>),
}

/// Everything about rooms.
pub struct Group {
    rooms: BTreeMap<RoomTag, Room>,
    pending: BTreeMap<Token, Pending>,
    hlc: Hlc,
    rates: Rates,
    /// How many of `pending` are others' entries.
    received_pending: usize,
    /// NACKs that are answered together.
    gathering: gather::Gathering,
    /// What the store knew at the start of the rooms this node is not in.
    past: Snapshot,
    watch: membership::Watch,
    joining: Vec<unlock::Joining>,
    unkept: Unkept,
    /// The records of authors that were handed to the store in this run.
    kept_people: BTreeMap<PeerId, (u64, u32)>,
    /// Of whom too much is missing to ask for it entry by entry.
    behind: Vec<(RoomTag, PeerId)>,
    /// Who told of logs that were not heard of here.
    strange: Vec<(RoomTag, PeerId)>,
    /// When people were told last that somebody contradicts themselves.
    forks_told: BTreeMap<PeerId, Instant>,
}

impl Group {
    /// Whether everything that was said is on its way and acknowledged as far as it can be.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.own_pending() == 0 && self.rooms.values().all(|room| room.own.is_settled())
    }

    /// Whether so many lines wait for the store, for what is on its way before them, or (unless it is
    /// `settled` who is here) for that. What waits for the person's turn or another network is not
    /// counted: that may take long.
    #[must_use]
    pub fn is_crowded(&self, now: Instant, settled: bool) -> bool {
        let pending = self.own_pending();
        let is_held = |room: &Room| room.held_until().is_some_and(|until| until > now);
        let mut rooms = self.rooms.values();
        pending >= CROWDED
            || rooms
                .any(|room| pending + room.own.ready() >= CROWDED && (!settled || is_held(room)))
    }

    fn own_pending(&self) -> usize {
        let own = |pending: &&Pending| matches!(pending, Pending::Own { .. });
        self.pending.values().filter(own).count()
    }

    /// When something is due.
    pub fn deadline(&mut self, now: Instant, settled: Option<Instant>) -> Option<Instant> {
        let rooms = self.rooms.values_mut();
        let due = rooms.filter_map(|room| room.deadline()).min();
        // Nothing leaves before it is known who is here, nor before the person's turn.
        let waits = self.rooms.values().filter(|room| room.own.ready() > 0);
        let waits = waits.map(|room| room.held_until().unwrap_or(now));
        let turn = waits.min().zip(settled).map(|(at, settled)| {
            let turn = self.rates.turn_at(now);
            at.max(settled).max(turn)
        });
        let beacons = self.rooms.values().filter_map(Room::beacon_at).min();
        let (look, retry) = (self.watch.deadline(), self.unkept.deadline());
        let unlock = self.unlock_deadline(settled);
        let gathered = self.gather_deadline();
        let all = [due, turn, look, retry, beacons, unlock, gathered];
        all.into_iter().flatten().min()
    }

    /// A member went offline or left: no receipt waits for them any more.
    pub fn member_lost(&mut self, cx: &mut Cx, id: &PeerId) {
        for room in self.rooms.values_mut() {
            let changed = room.own.member_left(id);
            room.tell_receipts(cx.core, changed);
        }
        self.rates.forget(id);
    }

    /// A member is back: receipts wait for them again.
    pub fn member_back(&mut self, cx: &mut Cx, id: &PeerId) {
        for room in self.rooms.values_mut() {
            let changed = room.own.member_back(cx.now.mono, id);
            room.tell_receipts(cx.core, changed);
            room.logs.author_back(cx.now.mono, id);
        }
    }
}
