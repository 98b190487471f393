//! Line mode: the chat where stdin or stdout is no terminal.
//!
//! Stdout holds the messages of others and nothing else, one a line:
//!
//! ```text
//! 12:07 #lobby ben: hello
//! 12:08 @ben ben: only for you
//! 12:09 #lobby * ben waves
//! ```
//!
//! The time is the author's, in the local zone; a message of several lines becomes one, so
//! that nobody can make up a line of somebody else. A name that two people share carries the
//! tag. Who comes and goes, answers to `/who` and the like (after `--`), and errors are on
//! stderr.

use std::collections::VecDeque;
use std::io;

use chrono::{DateTime, Datelike, Local, Utc};
use mio::{Registry, Token};
use serde_json::Value;

use super::input::{Input, Line};
use super::output::{Output, Patience};
use super::people::{Person, Roster, line, room_line, table};
use super::pipe::DRAIN_MAX;
use super::said::Said;
use crate::api::diagnosis::words;
use crate::api::history;
use crate::api::slash::{self, Local as LocalCommand};
use crate::api::{Command, Conversation, Event, ReceiptState, Request, TextKind, Timestamp};
use crate::error::{ExitCode, UserError};
use crate::proto::Now;
use crate::runtime::front_end::FRONT_END_TOKEN;
use crate::runtime::{Flow, FrontEnd};

/// Where lines without a target go.
const LOBBY: &str = "#lobby";
const STDIN: Token = Token(FRONT_END_TOKEN);

/// The front end without a terminal. The end of stdin drains and ends with 0.
pub struct LineMode {
    input: Input,
    output: Output,
    errors: Output,
    roster: Roster,
    said: Said,
    /// The answer to `/who` so far.
    listed: Vec<Person>,
    requests: VecDeque<Request>,
    flow: Flow,
}

impl Default for LineMode {
    fn default() -> Self {
        LineMode::new()
    }
}

impl LineMode {
    /// On stdin, stdout and stderr.
    #[must_use]
    pub fn new() -> LineMode {
        let output = Output::stdout(Patience::Bounded);
        LineMode::on(Input::stdin(), output, Output::stderr())
    }

    /// On this input, output for messages, and output for all else.
    #[must_use]
    pub fn on(input: Input, output: Output, errors: Output) -> LineMode {
        LineMode {
            input,
            output,
            errors,
            roster: Roster::default(),
            said: Said::default(),
            listed: Vec::new(),
            requests: VecDeque::new(),
            flow: Flow::Continue,
        }
    }

    fn take(&mut self, now: Now, line: Line) {
        let problem = |message: &str| UserError::new(ExitCode::Usage, message);
        match line {
            Line::Text(text) if text.trim().is_empty() => {}
            Line::Text(text) => match slash::parse(&text) {
                Ok(input) => self.act(input),
                Err(error) => self.errors.push_error(&error),
            },
            Line::TooLong => self.errors.push_error(&problem("this line is too long")),
            Line::NotUtf8 => self.errors.push_error(&problem("this line is not UTF-8")),
            Line::End => self.flow = Flow::Drain(now.mono + DRAIN_MAX),
        }
    }

    fn act(&mut self, input: slash::Input) {
        match input {
            slash::Input::Say(kind, text) => {
                let to = LOBBY.to_owned();
                self.request(Command::Send {
                    to,
                    text,
                    kind,
                    answers: None,
                });
            }
            slash::Input::Request(Command::Quit) => self.flow = Flow::Quit(ExitCode::Done),
            slash::Input::Request(command) => self.request(command),
            slash::Input::Local(LocalCommand::Open(target)) => {
                let message = format!("nothing to say to {target}");
                let error = UserError::new(ExitCode::Usage, message).hint("write /msg TARGET TEXT");
                self.errors.push_error(&error);
            }
            slash::Input::Local(LocalCommand::Help) => {
                for line in slash::help() {
                    self.note(&line);
                }
            }
            slash::Input::Local(LocalCommand::Clear) => {}
            slash::Input::Local(local) => self.in_lobby(local),
        }
    }

    /// What the commands about the room at hand do: here it is the lobby.
    fn in_lobby(&mut self, local: LocalCommand) {
        let room = LOBBY.to_owned();
        let command = match local {
            LocalCommand::Leave => Ok(Command::Leave { room }),
            LocalCommand::Topic(Some(text)) => Ok(Command::Topic { room, text }),
            LocalCommand::Topic(None) => Ok(Command::Rooms),
            LocalCommand::Reply(text) => match self.said.last_of_others() {
                Some(id) => Ok(Command::Send {
                    to: room,
                    text,
                    kind: TextKind::Text,
                    answers: Some(id),
                }),
                None => Err("there is nothing to answer in #lobby"),
            },
            LocalCommand::Redact => match self.said.last_own() {
                Some(id) => Ok(Command::Redact { id }),
                None => Err("there is nothing to take back in #lobby"),
            },
            LocalCommand::Unlock(_) => Err("a passphrase is asked for on a terminal only"),
            LocalCommand::Open(_) | LocalCommand::Clear | LocalCommand::Help => return,
        };
        match command {
            Ok(command) => self.request(command),
            Err(message) => {
                let error = UserError::new(ExitCode::Usage, message);
                self.errors.push_error(&error);
            }
        }
    }

    /// The name of the command as `ref` tells its answers from news.
    fn request(&mut self, command: Command) {
        let reference = match command {
            Command::Who => Some(Value::from("who")),
            Command::Rooms => Some(Value::from("rooms")),
            Command::Doctor => Some(Value::from("doctor")),
            Command::History { .. } => Some(Value::from("history")),
            _ => None,
        };
        self.requests.push_back(Request { reference, command });
    }

    fn note(&mut self, text: &str) {
        self.errors.push_line(&format!("-- {}", line(text)));
    }

    fn message(&mut self, event: &Event) {
        let Event::Message {
            conversation,
            from,
            own,
            kind,
            text,
            time,
            answers,
            redacted,
            ..
        } = event
        else {
            return;
        };
        let answered = answers.map(|id| self.said.quote(&id));
        self.said.push(event);
        if *own {
            return;
        }
        let (name, time) = (self.roster.label(from), clock(*time));
        let text = match redacted {
            true => "(taken back)".to_owned(),
            false => line(text),
        };
        let place = match conversation {
            Conversation::Room(_) => line(&conversation.to_string()),
            Conversation::Peer(_) => format!("@{name}"),
        };
        self.output.push_line(&match kind {
            TextKind::Text => format!("{time} {place} {name}: {text}"),
            TextKind::Reply => {
                let to = answered.unwrap_or_default();
                format!("{time} {place} {name}: {text} ({to})")
            }
            TextKind::Action => format!("{time} {place} * {name} {text}"),
            TextKind::Topic if text.is_empty() => {
                format!("{time} {place} * {name} cleared the topic")
            }
            TextKind::Topic => format!("{time} {place} * {name} set the topic: {text}"),
            TextKind::Redaction => format!("{time} {place} * {name} took a message back"),
        });
        if self.output.is_overflowed() {
            let error = UserError::new(ExitCode::Failed, "stdout is read too slowly")
                .hint("read stdout as it comes");
            self.errors.push_error(&error);
            self.flow = Flow::Quit(ExitCode::Failed);
        }
    }

    fn peer(&mut self, event: &Event, answer: bool) {
        let change = self.roster.update(event);
        if answer {
            let person = Person::of(event).filter(|person| !person.transient);
            self.listed.extend(person);
        } else if let Some(change) = change {
            self.note(&change);
        }
    }

    /// The end of an answer; only that of `/who` needs one, to be sorted and aligned.
    fn reply(&mut self, reference: Option<&Value>) {
        if reference != Some(&Value::from("who")) {
            return;
        }
        let rows = table(std::mem::take(&mut self.listed));
        if rows.is_empty() {
            self.note("nobody else is here");
        }
        for row in rows {
            self.note(&row);
        }
    }
}

/// `HH:MM` in the local zone.
fn clock(time: Timestamp) -> String {
    let utc = i64::try_from(time.0)
        .ok()
        .and_then(DateTime::<Utc>::from_timestamp_millis)
        // Anybody can claim any time, and zones are not defined for all of them.
        .filter(|time| time.year() < 10_000);
    match utc {
        Some(utc) => utc.with_timezone(&Local).format("%H:%M").to_string(),
        None => "--:--".to_owned(),
    }
}

impl FrontEnd for LineMode {
    fn register(&mut self, registry: &Registry) -> io::Result<()> {
        self.output.register(registry)?;
        self.errors.register(registry)?;
        self.input.register(registry, STDIN)
    }

    fn ready(&mut self, now: Now, token: Token) {
        if token == STDIN {
            self.input.mark_ready();
        }
        if !self.is_hungry() {
            return;
        }
        for line in self.input.take() {
            if !matches!(self.flow, Flow::Quit(_)) {
                self.take(now, line);
            }
        }
    }

    fn is_hungry(&self) -> bool {
        self.input.is_hungry() && !matches!(self.flow, Flow::Quit(_))
    }

    fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    fn handle_event(&mut self, _: Now, event: &Event) {
        match event {
            Event::Ready { own, .. } => {
                let (name, tag) = (&own.name, &own.tag);
                self.note(&format!(
                    "you are {name} ({tag}), lines go to {LOBBY}; /help"
                ));
            }
            Event::Own { own } => self.note(&format!("you are {} ({})", own.name, own.tag)),
            Event::Peer { reference, .. } => self.peer(event, reference.is_some()),
            Event::Message {
                reference: Some(_), ..
            } => {
                for line in history::line(event, &Local).lines() {
                    self.note(line);
                }
            }
            Event::Message { .. } => self.message(event),
            Event::Receipt { state, .. } if *state == ReceiptState::Failed => {
                self.note("a message could not be delivered");
            }
            Event::Room {
                reference: Some(_), ..
            } => self.note(&room_line(event)),
            Event::Gap {
                conversation: Conversation::Room(room),
                from,
                missing,
            } => {
                let name = self.roster.label(from);
                self.note(&format!("#{room}: {missing} messages of {name} missing"));
            }
            Event::Network {
                reference: Some(_),
                interfaces,
                verdict,
                ..
            } => {
                for line in words::lines(interfaces, verdict.as_ref()) {
                    self.note(&line);
                }
            }
            Event::Network { interfaces, .. } => {
                for interface in interfaces {
                    if let Some(hint) = &interface.hint {
                        self.note(&format!("{}: {hint}", interface.name));
                    }
                }
            }
            Event::Reply {
                passphrase: Some(phrase),
                ..
            } => self.note(&format!("the passphrase is: {}", phrase.0)),
            Event::Reply { reference, .. } => self.reply(reference.as_ref()),
            Event::Error { message, hint, .. } => {
                self.errors.push_problem(message, hint.as_deref());
            }
            Event::Store {
                kept: true,
                message,
            } => self.note(message),
            // An error says it too.
            Event::Store { kept: false, .. } => {}
            Event::Receipt { .. }
            | Event::Room { .. }
            | Event::History { .. }
            | Event::Gap { .. } => {}
        }
    }

    fn flush(&mut self, _: Now) -> io::Result<()> {
        // Without stderr the chat still works.
        let _ = self.errors.flush();
        self.output.flush()
    }

    fn flow(&self) -> Flow {
        self.flow.clone()
    }
}

#[cfg(test)]
mod tests;
