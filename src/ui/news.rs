//! What the node tells, taken into the model.

use super::input::Editor;
use super::line::{Change, ChangeKind, Line, Mark, Said};
use super::mention::find_word;
use super::model::{Effect, Model, Notice, Pending, Room};
use super::past;
use super::people::Person;
use super::rooms;
use crate::api::diagnosis::words;
use crate::api::history;
use crate::api::{
    Conversation, Event, InterfaceInfo, InterfaceState, NetworkState, PeerState, SelfInfo, Status,
    TextKind, Timestamp,
};

/// Takes an event of the node.
pub fn event(model: &mut Model, now: Timestamp, event: &Event) -> Vec<Effect> {
    let mut effects = take(model, now, event);
    effects.extend(past::wanted(model));
    effects
}

fn take(model: &mut Model, now: Timestamp, event: &Event) -> Vec<Effect> {
    match event {
        Event::Ready {
            own,
            interfaces,
            rooms,
            ..
        } => ready(model, own, interfaces, rooms),
        Event::Own { own } => put_own(model, now, own),
        Event::Peer { .. } => peer(model, now, event),
        Event::Message {
            reference: Some(reference),
            ..
        } => {
            let pending = reference.as_u64().and_then(|r| model.pending.get_mut(&r));
            if let Some(Pending::Page(page)) = pending {
                page.take(event);
                return Vec::new();
            }
            let current = model.current.clone();
            for line in history::line(event, &chrono::Local).lines() {
                model.note(&current, now, line.to_owned(), false);
            }
        }
        Event::Message { .. } => return message(model, now, event),
        Event::Receipt { .. } => receipt(model, event),
        Event::Room {
            room,
            joined,
            locked,
            members,
            topic,
            ..
        } => {
            let state = Room {
                joined: *joined,
                locked: *locked,
                members: members.len(),
                topic: topic.clone(),
            };
            rooms::put(model, bare(room), state);
        }
        Event::Gap {
            conversation,
            from,
            missing,
        } => {
            let line = Line::Gap {
                time: now,
                from: from.id,
                name: from.name.clone(),
                missing: *missing,
            };
            model.add(conversation, line);
        }
        Event::History { conversation, .. } => past::fetched(model, conversation),
        Event::Store { kept, message } => {
            model.unkept = (!kept).then(|| message.clone());
            if *kept {
                let current = model.current.clone();
                model.note(&current, now, message.clone(), false);
            }
        }
        Event::Network {
            reference: Some(_),
            interfaces,
            verdict,
            ..
        } => {
            let current = model.current.clone();
            for line in words::lines(interfaces, verdict.as_ref()) {
                model.note(&current, now, line, false);
            }
        }
        Event::Network {
            state, interfaces, ..
        } => network(model, now, *state, interfaces),
        Event::Reply { reference, .. } => match take_pending(model, reference.as_ref()) {
            Some(Pending::Status(status, text)) => {
                model.status = status;
                model.status_text = text;
            }
            Some(Pending::Join(room, _)) => rooms::joined(model, now, &room, event),
            Some(Pending::Page(page)) => page.put(model, true),
            _ => {}
        },
        Event::Error {
            reference,
            code,
            message,
            hint,
            ..
        } => {
            let pending = take_pending(model, reference.as_ref());
            if let Some(Pending::Page(page)) = pending {
                page.put(model, false);
                return Vec::new();
            }
            if rooms::asks(model, code, pending.as_ref()) {
                return Vec::new();
            }
            give_back(model, pending);
            model.notice = Some(Notice {
                text: message.clone(),
                hint: hint.clone(),
            });
        }
    }
    Vec::new()
}

fn receipt(model: &mut Model, event: &Event) {
    let Event::Receipt {
        id,
        conversation,
        state,
        delivered,
        of,
        ..
    } = event
    else {
        return;
    };
    let mark = Mark {
        state: *state,
        delivered: *delivered,
        of: *of,
    };
    if let Some(log) = model.logs.get_mut(conversation) {
        log.mark(id, mark);
    }
}

/// Says what hinders the network once, when that changes; the status line shows it as long as
/// it does, as far as it has room.
fn network(model: &mut Model, now: Timestamp, state: NetworkState, interfaces: &[InterfaceState]) {
    let before = model.trouble();
    model.interfaces = interfaces.iter().map(|i| i.name.clone()).collect();
    model.network = Some((state, interfaces.to_vec()));
    let after = model.trouble();
    if after != before {
        let lobby = Conversation::Room("lobby".to_owned());
        let text = after
            .clone()
            .unwrap_or_else(|| "the network works again".to_owned());
        model.note(&lobby, now, text, after.is_some());
    }
}

fn bare(room: &str) -> String {
    room.strip_prefix('#').unwrap_or(room).to_owned()
}

fn ready(model: &mut Model, own: &SelfInfo, interfaces: &[InterfaceInfo], rooms: &[String]) {
    model.people.put_own(own.id, &own.name);
    model.own = Some(own.clone());
    model.interfaces = interfaces.iter().map(|i| i.name.clone()).collect();
    for room in rooms {
        model.rooms.entry(bare(room)).or_default().joined = true;
    }
}

fn put_own(model: &mut Model, now: Timestamp, own: &SelfInfo) {
    let renamed = model.own.as_ref().is_some_and(|o| o.name != own.name);
    model.people.put_own(own.id, &own.name);
    model.own = Some(own.clone());
    if renamed {
        let current = model.current.clone();
        model.note(&current, now, format!("you are now {}", own.name), false);
    }
}

fn take_pending(model: &mut Model, reference: Option<&serde_json::Value>) -> Option<Pending> {
    model.pending.remove(&reference?.as_u64()?)
}

/// A text that was refused comes back to where it was typed, unless something else is there.
fn give_back(model: &mut Model, pending: Option<Pending>) {
    let (conversation, typed) = match pending {
        Some(Pending::Text(conversation, typed)) => (conversation, typed),
        Some(Pending::Join(_, typed)) => (model.current.clone(), typed),
        _ => return,
    };
    let line = if conversation == model.current {
        &mut model.line
    } else {
        &mut model.log_mut(&conversation).draft
    };
    if line.is_empty() {
        *line = Editor::new(&typed);
    }
}

fn peer(model: &mut Model, now: Timestamp, event: &Event) {
    let Some(person) = person_of(event) else {
        return;
    };
    let before = model.people.put(person.clone());
    model.bound_people();
    if person.transient {
        return;
    }
    let was_here = before.as_ref().is_some_and(Person::is_here);
    let id = person.peer.id;
    let private = Conversation::Peer(id);
    let label = model.people.label(&id, &person.peer.name);
    let lobby = Conversation::Room("lobby".to_owned());
    if was_here != person.is_here() && !person.incompatible {
        announce(model, now, &person);
    } else if let Some(before) = before.as_ref().filter(|_| was_here) {
        moved(model, now, before, &person);
    }
    if let Some(before) = before.as_ref().filter(|b| b.peer.name != person.peer.name) {
        let text = format!("{} is now {label}", before.peer.name);
        if model.logs.contains_key(&private) {
            model.note(&private, now, text.clone(), false);
        }
        model.note(&lobby, now, text, false);
    }
    if person.incompatible && !before.as_ref().is_some_and(|b| b.incompatible) {
        let text = format!("{label}: another lanchat version, cannot talk");
        model.note(&lobby, now, text, false);
    }
    if person.name_conflict && !before.as_ref().is_some_and(|b| b.name_conflict) {
        warn_of_conflict(model, now, &person);
    }
}

fn person_of(event: &Event) -> Option<Person> {
    let Event::Peer {
        peer,
        state,
        status,
        status_text,
        confirmed,
        incompatible,
        name_conflict,
        addresses,
        rooms,
        rtt_ms,
        transient,
        ..
    } = event
    else {
        return None;
    };
    Some(Person {
        peer: peer.clone(),
        state: *state,
        status: *status,
        status_text: status_text.clone(),
        confirmed: *confirmed,
        incompatible: *incompatible,
        name_conflict: *name_conflict,
        addresses: addresses.clone(),
        rooms: rooms.clone(),
        rtt_ms: *rtt_ms,
        transient: *transient,
    })
}

/// Says in the rooms of a person, and in the conversation with them, that they came or went.
fn announce(model: &mut Model, now: Timestamp, person: &Person) {
    let kind = match person.state {
        _ if person.is_here() => ChangeKind::Online,
        PeerState::Left => ChangeKind::Left,
        PeerState::Offline => ChangeKind::Offline,
        // Still up, but no longer where they were: shown in the list, not announced.
        PeerState::Online | PeerState::Suspect => return,
    };
    let change = Change {
        id: person.peer.id,
        name: person.peer.name.clone(),
        kind,
    };
    for room in person.rooms.iter().map(|room| bare(room)) {
        if model.rooms.get(&room).is_some_and(|state| state.joined) {
            model
                .log_mut(&Conversation::Room(room))
                .push_change(now, change.clone());
        }
    }
    if let Some(log) = model.logs.get_mut(&Conversation::Peer(person.peer.id)) {
        log.push_change(now, change);
    }
}

/// Says in the open rooms of this node that somebody who is here joined or left them.
fn moved(model: &mut Model, now: Timestamp, before: &Person, person: &Person) {
    let joined = (&person.rooms, &before.rooms, ChangeKind::Joined);
    let parted = (&before.rooms, &person.rooms, ChangeKind::Parted);
    for (these, those, kind) in [joined, parted] {
        for room in these.iter().filter(|room| !those.contains(room)) {
            let name = bare(room);
            if model.rooms.get(&name).is_some_and(|state| state.joined) {
                let change = Change {
                    id: person.peer.id,
                    name: person.peer.name.clone(),
                    kind,
                };
                let log = model.log_mut(&Conversation::Room(name));
                log.push_change(now, change);
            }
        }
    }
}

fn warn_of_conflict(model: &mut Model, now: Timestamp, person: &Person) {
    let (name, tag) = (&person.peer.name, &person.peer.tag);
    let text = format!(
        "{name}~{tag} is not the {name} known from before: another person, or somebody who poses as them"
    );
    let hint = format!("/trust {name}~{tag} if you know that it is them");
    for conversation in [
        Conversation::Room("lobby".to_owned()),
        Conversation::Peer(person.peer.id),
    ] {
        model.note(&conversation, now, format!("{text} ({hint})"), true);
    }
    model.notice = Some(Notice {
        text,
        hint: Some(hint),
    });
}

/// The line that a `message` is.
pub(super) fn said_of(event: &Event) -> Option<Said> {
    let Event::Message {
        id,
        from,
        own,
        kind,
        text,
        time,
        delayed,
        answers,
        redacted,
        ..
    } = event
    else {
        return None;
    };
    Some(Said {
        id: *id,
        from: from.id,
        name: from.name.clone(),
        own: *own,
        kind: *kind,
        text: text.clone(),
        time: *time,
        clock_off: None,
        delayed: *delayed,
        mark: None,
        answers: *answers,
        redacted: *redacted,
    })
}

fn message(model: &mut Model, now: Timestamp, event: &Event) -> Vec<Effect> {
    let Event::Message {
        id,
        conversation,
        from,
        own,
        kind,
        text,
        delayed,
        after,
        answers,
        ..
    } = event
    else {
        return Vec::new();
    };
    if let (TextKind::Redaction, Some(target)) = (kind, answers) {
        if let Some(log) = model.logs.get_mut(conversation) {
            log.redact(target);
        }
        return Vec::new();
    }
    let Some(mut said) = said_of(event) else {
        return Vec::new();
    };
    // What comes late says nothing of the clock, and what waited on a disk for its receiver neither.
    let is_fresh = !said.own && !delayed && after.is_none();
    if is_fresh && matches!(conversation, Conversation::Room(_)) {
        said.clock_off = model.clocks.heard(said.from, said.time, now);
    }
    match after {
        Some(after) => {
            let log = model.log_mut(conversation);
            log.insert_after(after, Line::Said(said));
        }
        None => model.add(conversation, Line::Said(said)),
    }
    if *delayed || after.is_some() {
        model.log_mut(conversation).fill_gap(id, &from.id);
    }
    if *own {
        return Vec::new();
    }
    let private = matches!(conversation, Conversation::Peer(_));
    let name = model.own.as_ref().map_or("", |own| own.name.as_str());
    let called = private || find_word(text, name).is_some();
    let looking = model.focused && *conversation == model.current;
    if looking {
        return Vec::new();
    }
    model.log_mut(conversation).count_unread(called);
    if called && model.status != Status::Busy {
        vec![Effect::Bell]
    } else {
        Vec::new()
    }
}
