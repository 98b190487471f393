//! Rooms come and go at run time: joining, leaving, who is in which, and what is told of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::beacon::{answer, say_beacon};
use super::kinds::tell;
use super::logs::Logs;
use super::room::Room;
use super::rooms::new_room;
use super::{Cx, Group, Pending, Refusal};
use crate::api::{Event, Passphrase};
use crate::durable::{Batch, Durability, RoomRow, Stored, Write};
use crate::id::{PeerId, RoomId, RoomTag};
use crate::limits::RECORD_ROOMS_MAX;
use crate::proto::locked;
use crate::proto::presence::Presence;
use crate::proto::presence::roster::Peer;
use crate::proto::presence::speak::is_all_told;
use crate::text::RoomName;
use crate::wire::RecordRoom;

/// What changes within this time is told at once.
const DEBOUNCE: Duration = Duration::from_millis(500);
/// Rooms that only others are in, of which people are told.
const FOUND_MAX: usize = 256;
/// Rooms that this node said something in without being in them.
const VISITED_MAX: usize = 16;

/// Who waits for a room to be kept or forgotten.
pub(super) struct Answer {
    /// The `ref` of the command.
    pub(super) reference: Option<Value>,
    /// The passphrase that was made.
    pub(super) passphrase: Option<Passphrase>,
}

impl Answer {
    fn to(reference: Option<Value>) -> Answer {
        Answer {
            reference,
            passphrase: None,
        }
    }
}

/// When and how the rooms were looked at last.
#[derive(Default)]
pub(super) struct Watch {
    /// The state of the roster that was looked at.
    seen: u64,
    /// When to look again.
    due: Option<Instant>,
    /// Rooms that only others are in, as they were told.
    found: BTreeMap<RoomName, BTreeSet<PeerId>>,
}

impl Watch {
    /// When to look again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }
}

impl Group {
    /// Takes part in an open room from now on. The `reply` comes once that is kept; being in it
    /// already is no error.
    ///
    /// # Errors
    /// In too many rooms.
    pub fn join(
        &mut self,
        cx: &mut Cx,
        name: &RoomName,
        reference: Option<Value>,
    ) -> Result<(), Refusal> {
        if let Some(room) = self.named(name) {
            let row = row_of(room);
            self.keep_room(cx, row, Answer::to(reference));
            return Ok(());
        }
        if is_locked_only(cx.presence, name) {
            return Err(room_locked(name));
        }
        self.list(cx, RecordRoom::Public(name.clone()))?;
        let tag = RoomId::public(name.as_str()).tag();
        if let Some(room) = self.rooms.get_mut(&tag) {
            room.seat.joined = true;
        } else {
            let room = new_room(cx.core, name, None, &self.past);
            self.rooms.insert(tag, room);
        }
        if let Some(room) = self.rooms.get_mut(&tag) {
            room.come_anew();
        }
        self.links_changed(cx.core, cx.now);
        if let Some(room) = self.rooms.get(&tag) {
            let row = row_of(room);
            self.keep_room(cx, row, Answer::to(reference));
        }
        cx.presence.change_self(cx.core, cx.now);
        self.look(cx);
        Ok(())
    }

    /// Takes part in a room no longer. The `reply` comes once that is kept.
    ///
    /// # Errors
    /// Not in it.
    pub fn leave(
        &mut self,
        cx: &mut Cx,
        name: &RoomName,
        reference: Option<Value>,
    ) -> Result<(), Refusal> {
        let named = |room: &&mut Room| room.seat.joined && room.name == *name;
        let Some(room) = self.rooms.values_mut().find(named) else {
            let sentence = format!("you are not in #{name}");
            return Err(("no_such_room", sentence, "/rooms lists the rooms".into()));
        };
        if room.seat.is_locked() {
            say_beacon(room, cx, room.id.tag(), true);
        }
        room.seat.joined = false;
        room.seat.proven.clear();
        room.set_redactions_aside();
        room.logs = Logs::default();
        cx.core.rooms.retain(|listed| *listed != room.seat.listed);
        cx.core.event(described(room));
        room.seat.told = None;
        let row = row_of(room);
        // Told just now, if others are in it.
        let members = room.seat.members.clone();
        if !members.is_empty() && !room.seat.is_locked() {
            self.watch.found.insert(name.clone(), members);
        }
        self.keep_room(cx, row, Answer::to(reference));
        self.judge(cx);
        cx.presence.change_self(cx.core, cx.now);
        self.look(cx);
        Ok(())
    }

    /// Lists one more room in the own record.
    pub(super) fn list(&self, cx: &mut Cx, room: RecordRoom) -> Result<(), Refusal> {
        let hint = || "leave another room first".to_owned();
        if cx.core.rooms.len() >= RECORD_ROOMS_MAX {
            let sentence = format!("you are in {RECORD_ROOMS_MAX} rooms, and more cannot be told");
            return Err(("too_many_rooms", sentence, hint()));
        }
        cx.core.rooms.push(room);
        if is_all_told(cx.core) {
            return Ok(());
        }
        cx.core.rooms.pop();
        let sentence = "the names of your rooms are too long together";
        Err(("too_many_rooms", sentence.into(), hint()))
    }

    pub(super) fn keep_room(&mut self, cx: &mut Cx, row: RoomRow, answer: Answer) {
        let token = cx.core.persist(Batch {
            durability: Durability::Process,
            writes: vec![Write::Room(row.clone())],
        });
        self.pending.insert(token, Pending::Room(answer, row));
    }

    /// That a room was joined or left is kept, or could not be.
    pub(super) fn room_stored(
        &mut self,
        cx: &mut Cx,
        (answer, row): (Answer, RoomRow),
        result: &Stored,
    ) {
        if let Err(failure) = result {
            self.writes_unkept(cx, vec![Write::Room(row)], &failure.0);
        }
        cx.core.event(Event::Reply {
            reference: answer.reference,
            ok: true,
            id: None,
            passphrase: answer.passphrase,
        });
    }

    /// The room of this name that this node is in.
    #[must_use]
    pub(super) fn named(&self, name: &RoomName) -> Option<&Room> {
        let mut rooms = self.rooms.values();
        rooms.find(|room| room.seat.joined && room.name == *name)
    }

    /// The names of the rooms this node is in.
    pub fn joined(&self) -> impl Iterator<Item = &RoomName> {
        let joined = self.rooms.values().filter(|room| room.seat.joined);
        joined.map(|room| &room.name)
    }

    /// The room that a line for this name is for: one that this node is in, or an open one that
    /// somebody is in.
    ///
    /// # Errors
    /// Nobody is in it, as far as known here, or it is locked.
    pub(super) fn addressed(&mut self, cx: &Cx, name: &RoomName) -> Result<RoomTag, Refusal> {
        if let Some(room) = self.named(name) {
            return Ok(room.id.tag());
        }
        let id = RoomId::public(name.as_str());
        let open = RecordRoom::Public(name.clone());
        let mut members = cx.presence.roster.members();
        if members.any(|peer| peer.record.rooms.contains(&open)) {
            return self.visit(cx, name, id.tag());
        }
        if is_locked_only(cx.presence, name) {
            return Err(room_locked(name));
        }
        let sentence = format!("nobody is in #{name}, as far as known here");
        Err(("no_such_room", sentence, format!("/join #{name} begins it")))
    }

    /// Room for the own lines in a room that this node is not in.
    fn visit(&mut self, cx: &Cx, name: &RoomName, tag: RoomTag) -> Result<RoomTag, Refusal> {
        if self.rooms.contains_key(&tag) {
            return Ok(tag);
        }
        let visited = |room: &Room| !room.seat.joined;
        if self.rooms.values().filter(|room| visited(room)).count() >= VISITED_MAX {
            let idle = |(tag, room): &(&RoomTag, &Room)| {
                visited(room) && room.own.is_settled() && !self.waits_for_disk(tag)
            };
            let Some(tag) = self.rooms.iter().find(idle).map(|(tag, _)| *tag) else {
                let sentence = format!("{VISITED_MAX} rooms that you are not in wait for lines");
                return Err(("too_many_rooms", sentence, "join one of them".into()));
            };
            self.make_way(&tag);
        }
        let mut room = new_room(cx.core, name, None, &self.past);
        room.seat.joined = false;
        self.rooms.insert(tag, room);
        Ok(tag)
    }

    /// Whether something said in a room is not kept yet.
    fn waits_for_disk(&self, tag: &RoomTag) -> bool {
        let own = |pending: &Pending| matches!(pending, Pending::Own { room, .. } if room == tag);
        self.pending.values().any(own) || self.unkept.waits_for(tag)
    }

    /// A room that is not visited any more. Where its own logs stand stays known, so that no
    /// number is used twice in this run.
    fn make_way(&mut self, tag: &RoomTag) {
        let Some(room) = self.rooms.remove(tag) else {
            return;
        };
        let (id, past) = (room.id, &mut self.past);
        past.own_heads.retain(|head| head.room != id);
        past.own_heads.extend(room.own.heads(id));
        past.epochs.retain(|(of, _)| *of != id);
        past.epochs.push((id, room.own.greatest()));
        past.forks.retain(|fork| fork.log.room != id);
        past.forks.extend(room.forks.into_values());
    }

    /// The roster changed: the rooms are looked at soon.
    pub fn rows_changed(&mut self, now: Instant, version: u64) {
        if self.watch.seen != version {
            self.watch.seen = version;
            self.watch.due.get_or_insert(now + DEBOUNCE);
        }
    }

    /// The rooms are looked at in a moment.
    pub(super) fn look_soon(&mut self, now: Instant) {
        let at = now + DEBOUNCE / 5;
        self.watch.due = Some(self.watch.due.map_or(at, |due| due.min(at)));
    }

    pub(super) fn look_if_due(&mut self, cx: &mut Cx) {
        if self.watch.due.is_some_and(|at| at <= cx.now.mono) {
            self.look(cx);
        }
    }

    /// Looks who is in which room and tells what changed.
    pub(super) fn look(&mut self, cx: &mut Cx) {
        self.watch.due = None;
        self.recall_topics(cx);
        for room in self.rooms.values_mut() {
            look_into(room, cx);
        }
        let found = self.found(cx.presence);
        let before = std::mem::take(&mut self.watch.found);
        for (name, members) in &found {
            if before.get(name) != Some(members) {
                cx.core.event(found_event(name, members));
            }
        }
        let joined = |name: &RoomName| self.joined().any(|of| of == name);
        for name in before.keys().filter(|name| !found.contains_key(*name)) {
            if !joined(name) {
                cx.core.event(found_event(name, &BTreeSet::new()));
            }
        }
        self.watch.found = found;
    }

    /// Open rooms that only others are in.
    fn found(&self, presence: &Presence) -> BTreeMap<RoomName, BTreeSet<PeerId>> {
        let joined: BTreeSet<&RoomName> = self.joined().collect();
        let mut found: BTreeMap<RoomName, BTreeSet<PeerId>> = BTreeMap::new();
        for peer in presence.roster.members() {
            for room in &peer.record.rooms {
                let RecordRoom::Public(name) = room else {
                    continue;
                };
                if joined.contains(name) {
                    continue;
                }
                if let Some(members) = found.get_mut(name) {
                    members.insert(peer.id);
                } else if found.len() < FOUND_MAX {
                    found.insert(name.clone(), BTreeSet::from([peer.id]));
                }
            }
        }
        found
    }

    /// The rooms, by name, for `rooms`.
    pub fn describe(&mut self, cx: &mut Cx, reference: Option<&Value>) {
        self.look(cx);
        let joined = self.rooms.values().filter(|room| room.seat.joined);
        let found = self.watch.found.iter();
        let mut events: Vec<(&RoomName, Event)> = joined
            .map(|room| (&room.name, described(room)))
            .chain(found.map(|(name, members)| (name, found_event(name, members))))
            .collect();
        events.sort_by_key(|(name, _)| *name);
        for (_, mut event) in events {
            if let Event::Room { reference: of, .. } = &mut event {
                *of = reference.cloned();
            }
            cx.core.event(event);
        }
    }
}

/// Looks who is in a room; receipts wait for nobody who left it.
fn look_into(room: &mut Room, cx: &mut Cx) {
    if room.seat.is_locked() {
        let (roster, seat) = (&cx.presence.roster, &mut room.seat);
        seat.proven.retain(|id| roster.get(id).is_some());
        let is_unheard = |peer: &Peer| seat.is_listed_by(peer) && !seat.proven.contains(&peer.id);
        if roster.members().any(is_unheard) {
            answer(room, cx);
        }
        room.seat.end_hold(cx.presence);
    }
    let members: BTreeSet<PeerId> = room.seat.members(cx.presence).map(|peer| peer.id).collect();
    let before = std::mem::replace(&mut room.seat.members, members);
    for id in before.difference(&room.seat.members) {
        let changed = room.own.member_left(id);
        room.tell_receipts(cx.core, changed);
    }
    for id in room.seat.members.difference(&before) {
        let changed = room.own.member_back(cx.now.mono, id);
        room.tell_receipts(cx.core, changed);
    }
    tell(room, cx);
}

pub(super) fn described(room: &Room) -> Event {
    Event::Room {
        reference: None,
        room: format!("#{}", room.name),
        joined: room.seat.joined,
        locked: matches!(room.seat.listed, RecordRoom::Locked(..)),
        members: room.seat.members.iter().copied().collect(),
        topic: room.seat.topic.clone(),
    }
}

/// Whether others are in a locked room of this name, and nobody in an open one.
fn is_locked_only(presence: &Presence, name: &RoomName) -> bool {
    let (hash, open) = (locked::name_hash(name), RecordRoom::Public(name.clone()));
    let mut is_locked = false;
    for peer in presence.roster.members() {
        let rooms = &peer.record.rooms;
        if rooms.contains(&open) {
            return false;
        }
        is_locked |= rooms
            .iter()
            .any(|room| matches!(room, RecordRoom::Locked(of, _) if *of == hash));
    }
    is_locked
}

fn room_locked(name: &RoomName) -> Refusal {
    let sentence = format!("#{name} is locked, and you are not in it");
    let hint = format!("join it with its passphrase: /join #{name} --passphrase");
    ("room_locked", sentence, hint)
}

fn found_event(name: &RoomName, members: &BTreeSet<PeerId>) -> Event {
    Event::Room {
        reference: None,
        room: format!("#{name}"),
        joined: false,
        locked: false,
        members: members.iter().copied().collect(),
        topic: String::new(),
    }
}

pub(super) fn row_of(room: &Room) -> RoomRow {
    RoomRow {
        id: room.id,
        name: room.name.as_str().to_owned(),
        key: room.seat.key_bytes(),
        joined: room.seat.joined,
    }
}
