//! The rooms of the random scenario beside the lobby: two open ones and one that is locked.

use crate::api::{Command, Passphrase, Request};
use crate::id::{MessageId, RoomId};
use crate::proto::locked::seal::Seal;
use crate::proto::locked::{Derivation, derive_cheaply};
use crate::text::RoomName;

use super::checker::LOBBY;
use super::dice::Dice;
use super::script::{Act, Script, cue};
use super::world::World;
use std::time::Duration;

/// The rooms, by name, and what they are locked with.
pub const ROOMS: [(&str, Option<&str>); 4] = [
    (LOBBY, None),
    ("tea", None),
    ("work", None),
    ("vault", Some("a phrase that only few know of")),
];
/// What is said in a locked room has this in it.
pub const SECRET: &str = "not for outsiders";

/// The id of a room, and what opens its packets.
#[must_use]
pub fn of(room: usize) -> Option<(RoomId, Option<Seal>)> {
    let (name, phrase) = ROOMS.get(room)?;
    let Some(phrase) = phrase else {
        return Some((RoomId::public(name), None));
    };
    let name = RoomName::new(name).ok()?;
    let from = Derivation {
        name: name.clone(),
        phrase: (*phrase).to_owned().into(),
    };
    let key = derive_cheaply(&from);
    let id = key.room(&name);
    Some((id, Some(Seal::new(&id, &key))))
}

/// What is said in this room looks like this.
fn words(room: usize, text: &str) -> String {
    match ROOMS[room].1 {
        Some(_) => format!("{text}, {SECRET}"),
        None => text.to_owned(),
    }
}

impl World {
    /// A person at a node does something about a room.
    pub fn in_room(&mut self, node: usize, room: usize, what: &InRoom) {
        let hash_name = format!("#{}", ROOMS[room].0);
        let text = |text: &str| words(room, text);
        let command = match what {
            InRoom::Join => Command::Join {
                room: hash_name,
                passphrase: ROOMS[room].1.map(|phrase| Passphrase(phrase.into())),
                generate: false,
            },
            InRoom::Leave => Command::Leave { room: hash_name },
            InRoom::Say(line) => return self.say(node, &hash_name, &text(line)),
            InRoom::Topic(line) => Command::Topic {
                room: hash_name,
                text: text(line),
            },
            InRoom::Reply(line) => {
                let Some(answers) = self.some_line(node, room, false) else {
                    return;
                };
                Command::Send {
                    answers: Some(answers),
                    to: hash_name,
                    text: text(line),
                    kind: crate::api::TextKind::Text,
                }
            }
            InRoom::Redact => {
                let Some(id) = self.some_line(node, room, true) else {
                    return;
                };
                Command::Redact { id }
            }
        };
        self.with(node, |endpoint, now| {
            endpoint.handle_request(now, Request::from(command));
        });
    }

    /// One of the lines that a node showed of a room; of its own ones, if it is to be.
    fn some_line(&mut self, node: usize, room: usize, own: bool) -> Option<MessageId> {
        let (room, _) = of(room)?;
        let shown = self.checker.shown_by(node, &room.tag(), own);
        self.dice.pick(&shown).copied()
    }
}

/// What a person does about a room.
#[derive(Clone, Debug)]
pub enum InRoom {
    /// Joins it.
    Join,
    /// Leaves it.
    Leave,
    /// Says this.
    Say(String),
    /// Says that this is what it is about.
    Topic(String),
    /// Answers a line with this.
    Reply(String),
    /// Takes an own line back.
    Redact,
}

/// Draws who is in which room when, and what is said there.
pub(super) fn draw(
    dice: &mut Dice,
    script: &mut Script,
    (from, until): (Duration, Duration),
    honest: usize,
) {
    let mut put = |at, node, room, what| script.push(cue(at, Act::InRoom(node, room, what)));
    for node in 0..honest {
        for room in 1..ROOMS.len() {
            if dice.chance(0.5) {
                continue;
            }
            let mut at = dice.between(from, from + (until - from) / 3);
            put(at, node, room, InRoom::Join);
            while dice.chance(0.4) {
                at = dice.between(at, until);
                put(at, node, room, InRoom::Leave);
                at = dice.between(at, until);
                put(at, node, room, InRoom::Join);
            }
        }
    }
    let lines = 10 + dice.below(30);
    for number in 0..lines {
        let at = dice.between(from, until);
        let (node, room) = (dice.below(honest), dice.below(ROOMS.len()));
        let what = match dice.below(10) {
            0 => InRoom::Topic(format!("topic {number}")),
            1 | 2 => InRoom::Reply(format!("answer {number}")),
            3 | 4 => InRoom::Redact,
            _ => InRoom::Say(format!("in a room {number}")),
        };
        put(at, node, room, what);
    }
}
