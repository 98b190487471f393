//! Rooms on the screen: joining, leaving, topics, answers, and what is taken back.

use super::key::{Key, KeyCode};
use super::keymap::Action;
use super::layout::layout;
use super::line::{Line, Said};
use super::log::Place;
use super::model::{Asking, Effect, Model, Pending, Room};
use super::rows::Layouter;
use super::update::{refuse, tell};
use crate::api::slash::Local;
use crate::api::{Command, Conversation, Event, Passphrase, TextKind, Timestamp};
use crate::text::RoomName;

/// A room is as the node tells it.
pub(super) fn put(model: &mut Model, name: String, room: Room) {
    let left = !room.joined && model.rooms.get(&name).is_some_and(|before| before.joined);
    let gone = !room.joined && room.members == 0;
    let conversation = Conversation::Room(name.clone());
    if gone {
        model.rooms.remove(&name);
    } else {
        model.rooms.insert(name, room);
    }
    if !left {
        return;
    }
    // It was closed; what was said in it is kept by the node.
    if model.current == conversation {
        let next = model.entries().into_iter().find(|e| *e != conversation);
        let lobby = Conversation::Room("lobby".to_owned());
        model.open(next.unwrap_or(lobby));
    }
    if model.current != conversation {
        model.logs.remove(&conversation);
    }
}

/// A room was joined: it opens.
pub(super) fn joined(model: &mut Model, now: Timestamp, room: &str, reply: &Event) {
    let Ok(name) = RoomName::new(room) else {
        return;
    };
    let conversation = Conversation::Room(name.as_str().to_owned());
    model.open(conversation.clone());
    if let Event::Reply {
        passphrase: Some(phrase),
        ..
    } = reply
    {
        let text = format!(
            "passphrase of #{name}, tell it whom you trust: {}",
            phrase.0
        );
        model.note(&conversation, now, text, true);
    }
}

/// Whether a room could not be joined for want of a passphrase, which is asked for now.
pub(super) fn asks(model: &mut Model, code: &str, pending: Option<&Pending>) -> bool {
    let Some(Pending::Join(room, _)) = pending.filter(|_| code == "room_locked") else {
        return false;
    };
    ask(model, room.clone());
    true
}

fn ask(model: &mut Model, room: String) {
    let phrase = Passphrase(String::new());
    model.asking = Some(Asking { room, phrase });
    tell(
        model,
        "this room is locked: type its passphrase, it is not shown",
        Some("Enter joins, Esc does not"),
    );
}

/// A key while a passphrase is asked for.
pub(super) fn type_phrase(model: &mut Model, key: Key, action: Option<Action>) -> Vec<Effect> {
    let Some(asking) = &mut model.asking else {
        return Vec::new();
    };
    match (action, key.code) {
        (Some(Action::Enter), _) if !asking.phrase.0.is_empty() => {
            let Some(Asking { room, phrase }) = model.asking.take() else {
                return Vec::new();
            };
            let typed = format!("/join {room} --passphrase");
            let pending = Pending::Join(room.clone(), typed);
            let command = Command::Join {
                room,
                passphrase: Some(phrase),
                generate: false,
            };
            return vec![model.request(command, Some(pending))];
        }
        (Some(Action::Enter | Action::Escape | Action::Interrupt), _) => model.asking = None,
        (Some(Action::DeleteBack), _) => {
            asking.phrase.0.pop();
        }
        (Some(Action::DeleteToStart | Action::DeleteWord), _) => asking.phrase.0.clear(),
        (None, KeyCode::Char(c)) if !key.ctrl && !key.alt => asking.phrase.0.push(c),
        _ => {}
    }
    Vec::new()
}

/// Picks a message and brings it into view.
pub(super) fn pick(model: &mut Model, older: bool) {
    model.current_log().pick(older);
    let pane = layout(model).pane;
    let Some(line) = model.current_log().picked else {
        return;
    };
    let shown = Layouter::of_current(model, pane.width)
        .is_some_and(|rows| rows.shows(line, usize::from(pane.height)));
    if !shown {
        let rows = usize::MAX;
        model.current_log().bottom = Some(Place { line, rows });
    }
}

/// What the commands about the room at hand do.
pub(super) fn local(model: &mut Model, local: Local, typed: String) -> Vec<Effect> {
    let name = match (&local, &model.current) {
        (Local::Unlock(room), _) => {
            ask(model, room.clone());
            return Vec::new();
        }
        (_, Conversation::Room(name)) => name.clone(),
        (_, Conversation::Peer(_)) => {
            refuse(model, "this is no room", None, typed);
            return Vec::new();
        }
    };
    let room = format!("#{name}");
    let command = match local {
        Local::Leave => Command::Leave { room },
        Local::Topic(Some(text)) => Command::Topic { room, text },
        Local::Topic(None) => {
            let topic = model.rooms.get(&name).map_or("", |room| &room.topic);
            let words = match topic {
                "" => "there is no topic".to_owned(),
                topic => format!("topic: {topic}"),
            };
            tell(model, &words, Some("/topic TEXT sets it"));
            return Vec::new();
        }
        Local::Reply(text) => match picked(model, |said| !said.own) {
            Some(id) => Command::Send {
                to: room,
                text,
                kind: TextKind::Text,
                answers: Some(id),
            },
            None => {
                refuse(model, "there is nothing to answer", None, typed);
                return Vec::new();
            }
        },
        Local::Redact => match picked(model, |said| said.own) {
            Some(id) => Command::Redact { id },
            None => {
                let hint = Some("only what you said yourself can be taken back");
                refuse(model, "there is nothing to take back", hint, typed);
                return Vec::new();
            }
        },
        _ => return Vec::new(),
    };
    let log = model.current_log();
    (log.picked, log.bottom) = (None, None);
    let pending = Pending::Text(model.current.clone(), typed);
    vec![model.request(command, Some(pending))]
}

/// The message that is picked; if none is, the last one that is meant.
fn picked(model: &mut Model, meant: impl Fn(&Said) -> bool) -> Option<crate::id::MessageId> {
    let log = model.current_log();
    let said = |number: u64| match log.get(number) {
        Some(Line::Said(said)) if !said.redacted => Some(said),
        _ => None,
    };
    if let Some(number) = log.picked {
        return said(number).map(|said| said.id);
    }
    let numbers = (log.first()..log.end()).rev();
    let meant = |said: &&Said| said.kind != TextKind::Topic && meant(said);
    let mut last = numbers.filter_map(said).filter(meant);
    last.next().map(|said| said.id)
}
