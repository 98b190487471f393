//! Joining a locked room: its key is derived apart from the loop, then told from a wrong one.

use std::time::Instant;

use serde_json::Value;
use zeroize::Zeroizing;

use super::membership::Answer;
use super::rooms::new_room;
use super::{Cx, Group, Refusal, beacon};
use crate::api::{Event, Passphrase};
use crate::durable::Token;
use crate::id::RoomId;
use crate::proto::locked::{Derivation, RoomKey, name_hash, words};
use crate::proto::presence::Presence;
use crate::text::RoomName;
use crate::wire::RecordRoom;

/// Longest passphrase, in bytes.
const PASSPHRASE_LEN_MAX: usize = 1024;
/// Keys that are derived, or compared, at once.
const JOINING_MAX: usize = 8;

/// A locked room that is about to be joined.
pub(super) struct Joining {
    name: RoomName,
    reference: Option<Value>,
    /// The passphrase to tell, where it was made here.
    made: Option<Passphrase>,
    /// What is still to be waited for.
    wait: Wait,
}

enum Wait {
    /// The key.
    Key(Token),
    /// Everybody who is here to be found, so that another key of theirs is seen.
    Roster(RoomKey),
}

impl Group {
    /// Takes part in a locked room from now on; a passphrase is made where there is none. The
    /// `reply` comes once the key is known and kept.
    ///
    /// # Errors
    /// Already in another room of that name, or a passphrase that cannot be one.
    pub fn unlock(
        &mut self,
        cx: &mut Cx,
        name: &RoomName,
        phrase: Option<&Passphrase>,
        reference: Option<Value>,
    ) -> Result<(), Refusal> {
        if self.joining.len() >= JOINING_MAX {
            let sentence = "several rooms are being joined already".to_owned();
            return Err(("too_fast", sentence, "try again in a moment".into()));
        }
        if let Some(room) = self.named(name).filter(|room| !room.seat.is_locked()) {
            let sentence = format!("you are in the open #{} already", room.name);
            let hint = format!("leave it first: /leave #{name}");
            return Err(("already_joined", sentence, hint));
        }
        let made = match phrase {
            Some(_) => None,
            None => Some(Passphrase(words::phrase(&cx.core.random()).to_string())),
        };
        let phrase = phrase.or(made.as_ref()).map_or("", |phrase| &phrase.0);
        if phrase.trim().is_empty() || phrase.len() > PASSPHRASE_LEN_MAX {
            let sentence = format!("a passphrase has 1 to {PASSPHRASE_LEN_MAX} bytes");
            let hint = "five words are easy to tell: --generate makes them".to_owned();
            return Err(("bad_passphrase", sentence, hint));
        }
        if words::is_weak(phrase) {
            cx.core.event(Event::Error {
                reference: None,
                code: "weak_passphrase".into(),
                message: format!("the passphrase of #{name} is easy to guess"),
                hint: Some(
                    "whoever hears the network can try them all: --generate makes one".into(),
                ),
            });
        }
        let token = cx.core.derive(Derivation {
            name: name.clone(),
            phrase: Zeroizing::new(phrase.to_owned()),
        });
        self.joining.push(Joining {
            name: name.clone(),
            reference,
            made,
            wait: Wait::Key(token),
        });
        Ok(())
    }

    /// The key of a locked room, or a sentence why there is none.
    pub fn handle_derived(&mut self, cx: &mut Cx, token: Token, result: Result<RoomKey, String>) {
        let is_it = |joining: &Joining| matches!(joining.wait, Wait::Key(of) if of == token);
        let Some(at) = self.joining.iter().position(is_it) else {
            return;
        };
        match result {
            Ok(key) => {
                self.joining[at].wait = Wait::Roster(key);
                self.join_derived(cx);
            }
            Err(why) => {
                let joining = self.joining.remove(at);
                let refusal = ("internal", why, "free some memory".to_owned());
                cx.core.refuse(joining.reference, refusal);
            }
        }
    }

    /// When those who may have another key can be taken for known.
    pub(super) fn unlock_deadline(&self, settled: Option<Instant>) -> Option<Instant> {
        let waits = |joining: &Joining| matches!(joining.wait, Wait::Roster(_));
        settled.filter(|_| self.joining.iter().any(waits))
    }

    /// Joins the rooms whose keys are known, once everybody who is here is.
    pub(super) fn join_derived(&mut self, cx: &mut Cx) {
        if cx.presence.settled_at().is_none_or(|at| at > cx.now.mono) {
            return;
        }
        let ready = |joining: &mut Joining| matches!(joining.wait, Wait::Roster(_));
        let ready: Vec<Joining> = self.joining.extract_if(.., ready).collect();
        for joining in ready {
            let reference = joining.reference.clone();
            if let Err(refusal) = self.join_locked(cx, joining) {
                cx.core.refuse(reference, refusal);
            }
        }
    }

    fn join_locked(&mut self, cx: &mut Cx, joining: Joining) -> Result<(), Refusal> {
        let Joining {
            name,
            reference,
            made: passphrase,
            wait: Wait::Roster(key),
        } = joining
        else {
            return Ok(());
        };
        let answer = Answer {
            reference,
            passphrase,
        };
        let id = key.room(&name);
        if let Some(room) = self.named(&name) {
            if room.id == id {
                let row = super::membership::row_of(room);
                self.keep_room(cx, row, answer);
                return Ok(());
            }
            let sentence = format!("you are in another #{name} already");
            let hint = format!("leave it first: /leave #{name}");
            return Err(("already_joined", sentence, hint));
        }
        if answer.passphrase.is_none() && is_wrong(cx.presence, &name, &id) {
            let sentence = format!("this is not the passphrase of the #{name} that others are in");
            let hint = "ask somebody in it; capitals and spaces count".to_owned();
            return Err(("wrong_passphrase", sentence, hint));
        }
        let tag = id.tag();
        let room = match self.rooms.remove(&tag) {
            Some(room) => room,
            None => new_room(cx.core, &name, Some(key), &self.past),
        };
        self.list(cx, room.seat.listed.clone())?;
        let row = super::membership::row_of(&room);
        let room = self.rooms.entry(tag).or_insert(room);
        room.seat.joined = true;
        room.come_anew();
        room.seat.beacons.now(cx.now.mono);
        room.seat.hold(cx.now.mono + beacon::HOLD, cx.presence);
        let row = crate::durable::RoomRow {
            joined: true,
            ..row
        };
        self.keep_room(cx, row, answer);
        self.links_changed(cx.core, cx.now);
        cx.presence.change_self(cx.core, cx.now);
        self.look(cx);
        self.say_beacons(cx);
        Ok(())
    }
}

/// Whether others are in a room of this name, and all with other keys.
fn is_wrong(presence: &Presence, name: &RoomName, id: &RoomId) -> bool {
    let hash = name_hash(name);
    let right = listed(name, id);
    let mut is_other = false;
    for peer in presence.roster.members() {
        for room in &peer.record.rooms {
            if *room == right {
                return false;
            }
            is_other |= matches!(room, RecordRoom::Locked(of, _) if *of == hash);
        }
    }
    is_other
}

/// A locked room as records list it.
pub(super) fn listed(name: &RoomName, id: &RoomId) -> RecordRoom {
    let [a, b, c, d, ..] = id.tag().0;
    RecordRoom::Locked(name_hash(name), [a, b, c, d])
}
