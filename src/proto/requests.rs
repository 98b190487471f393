//! What people and scripts ask for.

use serde_json::Value;

use super::Now;
use super::endpoint::Endpoint;
use super::group::Refusal;
use super::presence::Presence;
use super::presence::speak::is_all_told;
use super::target::{self, Target};
use crate::api::{Command, Event, Passphrase, Request, Status, TextKind};
use crate::durable::{Batch, Durability, Write};
use crate::id::{MessageId, PeerId, PublicKey};
use crate::text::{PeerName, StatusText};

/// Most requests that wait for somebody to be found at the start.
const EARLY_MAX: usize = 256;

impl Endpoint {
    /// A person or a script wants something. Answered with a `reply` or an `error` event that
    /// carries the request's `ref`. `History`, `Doctor` and `Quit` are the driver's and only answered
    /// here.
    pub fn handle_request(&mut self, now: Now, request: Request) {
        self.core.mono = now.mono;
        let Some(request) = self.hold(request) else {
            return;
        };
        let reference = request.reference;
        let done = match request.command {
            Command::Send {
                to,
                text,
                kind,
                answers,
            } => {
                // Answered once it is stored.
                let said = (kind, text.as_str(), answers);
                match self.send(now, &to, said, reference.clone()) {
                    Ok(()) => return,
                    Err(("no_such_peer" | "no_such_room", ..)) if self.may_appear(now) => {
                        let command = Command::Send {
                            to,
                            text,
                            kind,
                            answers,
                        };
                        self.early.push(Request { reference, command });
                        return;
                    }
                    Err(refusal) => Err(refusal),
                }
            }
            Command::Who => {
                self.tell_who(reference.as_ref());
                Ok(())
            }
            Command::Rooms => {
                let (group, mut cx) = self.group_cx(now);
                group.describe(&mut cx, reference.as_ref());
                Ok(())
            }
            Command::Status { status, text } => {
                let text = StatusText::new(&text);
                self.change_self(now, None, Some((status, text)))
            }
            Command::Name { name } => self.rename(now, &name),
            Command::Trust { peer } => self.trust(&peer),
            // Both are answered once they are stored.
            Command::Join {
                room,
                passphrase,
                generate,
            } => match self.join(now, &room, (passphrase, generate), reference.clone()) {
                Ok(()) => return self.follow_up(now),
                Err(refusal) => Err(refusal),
            },
            Command::Leave { room } => match self.leave_room(now, &room, reference.clone()) {
                Ok(()) => return self.follow_up(now),
                Err(refusal) => Err(refusal),
            },
            Command::Topic { room, text } => {
                match self.set_topic(now, &room, &text, reference.clone()) {
                    Ok(()) => return self.follow_up(now),
                    Err(refusal) => Err(refusal),
                }
            }
            Command::Redact { id } => {
                let (group, mut cx) = self.group_cx(now);
                return group.redact(&mut cx, id, reference);
            }
            // The driver's, which knows the sockets and the store too.
            Command::History { .. } | Command::Doctor | Command::Quit => Ok(()),
        };
        match done {
            Ok(()) => self.core.event(Event::Reply {
                reference,
                ok: true,
                id: None,
                passphrase: None,
            }),
            Err(refusal) => self.core.refuse(reference, refusal),
        }
        self.follow_up(now);
    }

    /// Whether somebody who is not known may only not have been found yet: a script writes its
    /// first lines before anybody can have answered.
    fn may_appear(&self, now: Now) -> bool {
        let settled = self.presence.settled_at().is_some_and(|at| at <= now.mono);
        !settled && !self.presence.has_left() && self.early.len() < EARLY_MAX
    }

    /// Tries again what was written to somebody not found yet, in the order it was written.
    pub(super) fn retry_early(&mut self, now: Now) {
        // What is held was written behind it.
        if self.is_in_doubt() {
            return;
        }
        for request in std::mem::take(&mut self.early) {
            self.handle_request(now, request);
        }
    }

    fn send(
        &mut self,
        now: Now,
        to: &str,
        (kind, text, answers): (TextKind, &str, Option<MessageId>),
        reference: Option<Value>,
    ) -> Result<(), Refusal> {
        if !matches!(kind, TextKind::Text | TextKind::Action) {
            let hint = "`topic`, `redact` and `answers` make the others".to_owned();
            return Err(("bad_kind", "only text and action are sent".into(), hint));
        }
        if text.is_empty() {
            return Err((
                "empty",
                "there is no text to send".into(),
                "write something".into(),
            ));
        }
        match target::resolve(&self.presence, to)? {
            Target::Room(name) => {
                let (group, mut cx) = self.group_cx(now);
                group.say(&mut cx, &name, (kind, text), answers, reference)
            }
            Target::Peer(_) if answers.is_some() => {
                let hint = "send it without `answers`".to_owned();
                Err((
                    "bad_target",
                    "only lines of rooms are answered".into(),
                    hint,
                ))
            }
            Target::Peer(key) => {
                let pin = self.pin_for(&key)?;
                let write = pin.as_ref().map(|name| Write::Pin {
                    skeleton: name.skeleton(),
                    key,
                });
                let (private, mut cx) = self.private_cx(now);
                private.say(&mut cx, key, (kind, text), write, reference)?;
                if let Some(name) = pin {
                    self.presence.pin(&name, key);
                }
                Ok(())
            }
        }
    }

    /// Writing to somebody pins their name to their key; a name pinned to another key is refused.
    /// The name to pin, if it is not pinned yet.
    fn pin_for(&self, key: &PublicKey) -> Result<Option<PeerName>, Refusal> {
        let Some(peer) = self.presence.roster.get(&key.id()) else {
            return Ok(None);
        };
        let name = peer.record.name.clone();
        if self.presence.is_name_conflict(&name, key) {
            return Err(target::conflict(&self.presence, peer));
        }
        let is_new = self.presence.pinned(&name).is_none();
        Ok(is_new.then_some(name))
    }

    fn trust(&mut self, who: &str) -> Result<(), Refusal> {
        let found = target::resolve_peer(&self.presence, who);
        let peer = match found {
            Ok(peer) => peer,
            // The only one of that name is not the pinned one: that is whom the user means.
            Err(("name_conflict", ..)) => {
                let named = |name: &PeerName| name.as_str().to_lowercase() == who.to_lowercase();
                let mut of_name = self
                    .presence
                    .roster
                    .iter()
                    .filter(|peer| named(&peer.record.name));
                let Some(peer) = of_name.next() else {
                    return found.map(|_| ());
                };
                if of_name.next().is_some() {
                    return found.map(|_| ());
                }
                peer
            }
            Err(refusal) => return Err(refusal),
        };
        let (name, key) = (peer.record.name.clone(), peer.key());
        if self.presence.pin(&name, key) {
            let writes = vec![Write::Pin {
                skeleton: name.skeleton(),
                key,
            }];
            self.core.persist(Batch {
                durability: Durability::Power,
                writes,
            });
        }
        let ids: Vec<PeerId> = self.presence.roster.iter().map(|peer| peer.id).collect();
        // Whoever had the name before is in conflict with it now.
        ids.iter()
            .for_each(|id| self.presence.announce(&mut self.core, id));
        Ok(())
    }

    fn rename(&mut self, now: Now, name: &str) -> Result<(), Refusal> {
        let name = PeerName::new(name).map_err(|error| {
            let hint = "a name has 1 to 32 bytes and none of # @ ~ /".to_owned();
            (
                "bad_name",
                format!("{name:?} cannot be a name: {error}"),
                hint,
            )
        })?;
        self.change_self(now, Some(name), None)?;
        let own = self.own_info();
        self.core.event(Event::Own { own });
        Ok(())
    }

    /// Takes another name or status, unless the rooms have no room beside it any more.
    fn change_self(
        &mut self,
        now: Now,
        name: Option<PeerName>,
        status: Option<(Status, StatusText)>,
    ) -> Result<(), Refusal> {
        let config = &self.core.config;
        let before = (
            config.name.clone(),
            config.status_text.clone(),
            config.status,
        );
        let was_told = is_all_told(&self.core);
        Presence::set_self(&mut self.core, name, status);
        if was_told && !is_all_told(&self.core) {
            let (name, text, status) = before;
            Presence::set_self(&mut self.core, Some(name), Some((status, text)));
            let sentence = "this is too long together with the names of your rooms".to_owned();
            return Err(("too_long", sentence, "leave a room, or write less".into()));
        }
        self.presence.change_self(&mut self.core, now);
        Ok(())
    }

    fn join(
        &mut self,
        now: Now,
        room: &str,
        (passphrase, generate): (Option<Passphrase>, bool),
        reference: Option<Value>,
    ) -> Result<(), Refusal> {
        let name = target::room_name(room)?;
        if passphrase.is_some() && generate {
            let hint = "leave one of them out".to_owned();
            let sentence = "a passphrase is given, so none is made".to_owned();
            return Err(("bad_command", sentence, hint));
        }
        let (group, mut cx) = self.group_cx(now);
        match passphrase {
            None if !generate => group.join(&mut cx, &name, reference),
            phrase => group.unlock(&mut cx, &name, phrase.as_ref(), reference),
        }
    }

    fn set_topic(
        &mut self,
        now: Now,
        room: &str,
        text: &str,
        reference: Option<Value>,
    ) -> Result<(), Refusal> {
        let name = target::room_name(room)?;
        let (group, mut cx) = self.group_cx(now);
        group.set_topic(&mut cx, &name, text, reference)
    }

    fn leave_room(
        &mut self,
        now: Now,
        room: &str,
        reference: Option<Value>,
    ) -> Result<(), Refusal> {
        let name = target::room_name(room)?;
        let (group, mut cx) = self.group_cx(now);
        group.leave(&mut cx, &name, reference)
    }

    fn tell_who(&mut self, reference: Option<&Value>) {
        let rows: Vec<Event> = self
            .presence
            .roster
            .iter()
            .map(|peer| self.presence.describe(peer))
            .collect();
        for mut row in rows {
            if let Event::Peer { reference: of, .. } = &mut row {
                *of = reference.cloned();
            }
            self.core.event(row);
        }
    }
}
