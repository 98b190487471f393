//! `lanchat send`: one message, and the word that it arrived.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

use super::join::LOCKED_HINT;
use super::one_shot::OneShot;
use super::target::{Target, nobody};
use crate::api::{Command, Event, ReceiptState, Request, TextKind};
use crate::control::json;
use crate::control::output::Output;
use crate::control::people::{Person, Roster};
use crate::error::{ExitCode, UserError};
use crate::id::{MessageId, PeerId};
use crate::proto::Now;
use crate::runtime::{Flow, FrontEnd};

/// The roster has settled this long after the last new person (in a room)...
const SETTLE_QUIET: Duration = Duration::from_millis(300);
/// ...or this long after the start, with or without one.
const SETTLE_MAX: Duration = Duration::from_secs(1);
/// Its own requests carry this `ref`.
const REFERENCE: &str = "send";

/// Sends one message as soon as its target is found and ends when it is delivered.
///
/// To a name: once the roster has settled, 300 ms after the last new person or 1 s after the start,
/// since the second of two people of one name may be found a moment after the first; to
/// `name~tag` or a whole id at once. Then again with every change in who is here while the node
/// knows nobody of that name. To a room: once its roster has settled; to a room other than
/// `#lobby` as soon after that as somebody is in it.
///
/// Ends with 0 when everybody it was for has it; with 2 where the name is ambiguous; with 3 where
/// the wait passed without such a person or room; with 4 where nobody is in `#lobby`, or not
/// all had it in time; with 1 where the node refused it for another reason.
pub struct Send {
    target: Target,
    text: String,
    wait: Duration,
    json: bool,
    ephemeral: bool,
    shot: OneShot,
    roster: Roster,
    members: BTreeMap<PeerId, Person>,
    /// Whether this node is in the room, and somebody else.
    room: (bool, bool),
    stage: Stage,
    end: Option<Instant>,
    /// Receipts that came before the reply that tells the id.
    early: Vec<Event>,
    /// The last receipt of the message.
    last: Option<Event>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The node is not up yet.
    Starting,
    /// Waiting until the roster has settled: then, and at the latest.
    Settling(Instant, Instant),
    /// Waiting for somebody new, who may be the one.
    Absent,
    /// The node was asked to send; whether somebody came or changed meanwhile.
    Asked {
        news: bool,
    },
    /// The node took it.
    Sent(MessageId),
    Ended,
}

impl Send {
    /// On stdout and stderr. `target` as the interface page has it; `wait` counts from the
    /// first event of the node.
    #[must_use]
    pub fn new(target: &str, text: String, wait: Duration, json: bool) -> Send {
        let (output, errors) = OneShot::outputs();
        Send::on(output, errors, target, text, wait, json)
    }

    /// On these outputs.
    #[must_use]
    pub fn on(
        output: Output,
        errors: Output,
        target: &str,
        text: String,
        wait: Duration,
        json: bool,
    ) -> Send {
        Send {
            target: Target::new(target),
            text,
            wait,
            json,
            ephemeral: false,
            shot: OneShot::new(REFERENCE, (output, errors)),
            roster: Roster::default(),
            members: BTreeMap::new(),
            room: (false, false),
            stage: Stage::Starting,
            end: None,
            early: Vec::new(),
            last: None,
        }
    }

    /// Whether the node keeps nothing, so that what was not delivered is lost.
    #[must_use]
    pub fn ephemeral(mut self, ephemeral: bool) -> Send {
        self.ephemeral = ephemeral;
        self
    }

    fn start(&mut self, now: Now) {
        self.end = Some(now.mono + self.wait);
        if self.target.is_exact() {
            self.ask();
        } else {
            let latest = now.mono + SETTLE_MAX.min(self.wait);
            self.stage = Stage::Settling(latest, latest);
        }
    }

    fn ask(&mut self) {
        self.stage = Stage::Asked { news: false };
        self.shot.ask(Command::Send {
            answers: None,
            to: self.target.as_str().to_owned(),
            text: self.text.clone(),
            kind: TextKind::Text,
        });
    }

    fn peer(&mut self, now: Now, event: &Event) {
        self.roster.update(event);
        let Some(person) = Person::of(event) else {
            return;
        };
        let id = person.peer.id;
        let had = self.members.remove(&id);
        let may_reach = self.target.may_reach(&person);
        if may_reach {
            self.members.insert(id, person.clone());
        }
        let is_new = may_reach && had.is_none();
        match &mut self.stage {
            Stage::Settling(at, latest) if is_new => *at = (now.mono + SETTLE_QUIET).min(*latest),
            // A new round-trip time makes nobody else of them.
            Stage::Absent if had.is_none_or(|had| is_other(&had, &person)) => self.retry(),
            Stage::Asked { news } => *news = true,
            _ => {}
        }
    }

    fn retry(&mut self) {
        match self.target {
            Target::Person(_) => self.ask(),
            Target::Room(_) if self.is_empty() => {}
            Target::Room(_) => self.ask(),
        }
    }

    /// Whether nobody is in the room, as far as known.
    fn is_empty(&self) -> bool {
        self.members.is_empty() && !self.room.1
    }

    fn settled(&mut self) {
        if !self.target.is_room() || !self.is_empty() {
            self.ask();
        } else if self.target.is_lobby() {
            self.end(Err(nobody()));
        } else if self.room.0 {
            self.stage = Stage::Absent;
        } else {
            // Only the node can tell whether it is locked.
            self.ask();
        }
    }

    /// The node says who is in a room.
    fn room(&mut self, now: Now, event: &Event) {
        let Event::Room {
            room,
            joined,
            members,
            ..
        } = event
        else {
            return;
        };
        if room != self.target.as_str() {
            return;
        }
        let had = self.room.1;
        self.room = (*joined, !members.is_empty());
        let is_new = self.room.1 && !had;
        match &mut self.stage {
            Stage::Settling(at, latest) if is_new => *at = (now.mono + SETTLE_QUIET).min(*latest),
            Stage::Absent if is_new => self.retry(),
            Stage::Asked { news } => *news |= is_new,
            _ => {}
        }
    }

    /// The node refused it.
    fn refused(&mut self, code: &str, message: &str, hint: Option<&String>) {
        let is_absent = matches!(code, "no_such_peer" | "no_such_room");
        if is_absent {
            let news = self.stage == Stage::Asked { news: true };
            self.stage = Stage::Absent;
            if news {
                self.retry();
            }
            return;
        }
        let exit = match code {
            "ambiguous_name" => ExitCode::Usage,
            // What is wrong with the target or the text as they were typed.
            "empty" | "too_long" => ExitCode::Usage,
            "room_locked" => ExitCode::NotFound,
            _ if code.starts_with("bad_") => ExitCode::Usage,
            _ => ExitCode::Failed,
        };
        let mut error = UserError::new(exit, message);
        error.hint = hint.cloned();
        if code == "room_locked" {
            error.hint = Some(LOCKED_HINT.to_owned());
        }
        self.end(Err(error));
    }

    fn receipt(&mut self, event: &Event) {
        let Event::Receipt { id, state, of, .. } = event else {
            return;
        };
        match self.stage {
            Stage::Sent(sent) if sent == *id => {}
            Stage::Asked { .. } => return self.early.push(event.clone()),
            _ => return,
        }
        if self.json {
            self.shot.line(&json::to_line(event));
        }
        self.last = Some(event.clone());
        let is_room = self.target.is_room();
        match state {
            ReceiptState::Sent | ReceiptState::Delivered if is_room && *of == 0 => {
                self.end(Err(nobody()));
            }
            ReceiptState::Delivered | ReceiptState::Read => {
                if !self.json {
                    let text = self.target.delivered(event, &self.roster);
                    self.shot.line(&text);
                }
                self.end(Ok(()));
            }
            ReceiptState::Failed => {
                let error = UserError::new(ExitCode::NotDelivered, "it was not delivered");
                self.end(Err(self.explain(error)));
            }
            ReceiptState::Queued | ReceiptState::Sent => {}
        }
    }

    fn timed_out(&mut self) {
        let error = match self.stage {
            Stage::Sent(_) => self.explain(self.target.late(self.wait)),
            // Asked and not answered: whether it was kept is not known.
            Stage::Asked { .. } => self.target.late(self.wait),
            _ => self.target.absent(self.wait),
        };
        self.end(Err(error));
    }

    fn explain(&self, error: UserError) -> UserError {
        self.target
            .explain(error, self.last.as_ref(), &self.roster, !self.ephemeral)
    }

    fn end(&mut self, result: Result<(), UserError>) {
        self.stage = Stage::Ended;
        self.shot.end(result);
    }

    fn reply(&mut self, id: Option<MessageId>) {
        let Some(id) = id else {
            let message = "the node did not say which message it sent";
            self.end(Err(UserError::new(ExitCode::Failed, message)));
            return;
        };
        self.stage = Stage::Sent(id);
        for receipt in std::mem::take(&mut self.early) {
            self.receipt(&receipt);
        }
    }
}

/// Whether the node may find somebody now whom it did not find before.
fn is_other(old: &Person, new: &Person) -> bool {
    (&old.peer, old.confirmed) != (&new.peer, new.confirmed)
}

impl FrontEnd for Send {
    fn register(&mut self, registry: &Registry) -> io::Result<()> {
        self.shot.register(registry)
    }

    fn ready(&mut self, _: Now, _: Token) {}

    fn poll_request(&mut self) -> Option<Request> {
        self.shot.poll_request()
    }

    fn handle_event(&mut self, now: Now, event: &Event) {
        if self.stage == Stage::Starting {
            self.start(now);
        }
        let is_asked = matches!(self.stage, Stage::Asked { .. });
        match event {
            Event::Peer { .. } => self.peer(now, event),
            Event::Room { .. } => self.room(now, event),
            Event::Ready { rooms, .. } => {
                self.room.0 = rooms.iter().any(|room| room == self.target.as_str());
            }
            Event::Reply { reference, id, .. }
                if is_asked && self.shot.is_own(reference.as_ref()) =>
            {
                self.reply(*id);
            }
            Event::Error {
                reference,
                code,
                message,
                hint,
            } if is_asked && self.shot.is_own(reference.as_ref()) => {
                self.refused(code, message, hint.as_ref());
            }
            Event::Error { message, hint, .. } => {
                self.shot.problem(message, hint.as_deref());
            }
            Event::Receipt { .. } => self.receipt(event),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Ended => None,
            Stage::Settling(at, _) => Some(at),
            _ => self.end,
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        if self.deadline().is_none_or(|deadline| now.mono < deadline) {
            return;
        }
        match self.stage {
            Stage::Settling(..) => self.settled(),
            _ => self.timed_out(),
        }
    }

    fn flush(&mut self, _: Now) -> io::Result<()> {
        self.shot.flush()
    }

    fn flow(&self) -> Flow {
        self.shot.flow()
    }
}

#[cfg(test)]
mod tests;
