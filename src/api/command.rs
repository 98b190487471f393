//! What a front end can ask of the node.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroize;

use super::event::{Status, Timestamp};
use crate::id::MessageId;

/// A command with the `ref` that its answers carry.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Any JSON value; comes back in `reply` or `error`.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Value>,
    /// What to do.
    #[serde(flatten)]
    pub command: Command,
}

impl From<Command> for Request {
    fn from(command: Command) -> Self {
        Request {
            reference: None,
            command,
        }
    }
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Write to a room or a person.
    Send {
        /// `#room`, a name, `name~tag`, 8 or more characters of an id, or `@` and an id.
        to: String,
        /// The text, not empty.
        text: String,
        /// What kind of line.
        #[serde(default)]
        kind: TextKind,
        /// The message that it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answers: Option<MessageId>,
    },
    /// Take part in a room, from now on and after every restart.
    Join {
        /// The room, with `#`.
        room: String,
        /// What it is locked with; open without.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        passphrase: Option<Passphrase>,
        /// Make a passphrase, which the `reply` tells.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        generate: bool,
    },
    /// Take part no longer.
    Leave {
        /// The room, with `#`.
        room: String,
    },
    /// Say what a room is about.
    Topic {
        /// The room, with `#`.
        room: String,
        /// The topic; empty for none.
        text: String,
    },
    /// Take an own room message back.
    Redact {
        /// The message.
        id: MessageId,
    },
    /// Answer with a `message` event for each line kept, oldest first, then a `reply`.
    History {
        /// Of one conversation: as `to` in `send`; else of all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        conversation: Option<String>,
        /// At most so many, the newest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
        /// What stands before this message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<MessageId>,
        /// What stands after this message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<MessageId>,
        /// What was said since then, by the authors' clocks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Timestamp>,
        /// What has all of these words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        search: Option<String>,
    },
    /// Answer with a `peer` event for each peer, then a `reply`.
    Who,
    /// Answer with a `room` event for each room, then a `reply`.
    Rooms,
    /// Say how reachable one is.
    Status {
        /// The new status.
        status: Status,
        /// Words with it, at most 48 bytes; empty for none.
        #[serde(default)]
        text: String,
    },
    /// Take another name.
    Name {
        /// 1 to 32 bytes, none of `# @ ~ /`.
        name: String,
    },
    /// Pin a name to the key of this peer, after a warning that it was another's.
    Trust {
        /// As `to` in `send`, a person.
        peer: String,
    },
    /// Answer with a `network` event that says of each interface what hinders it, then a `reply`.
    Doctor,
    /// Leave: say goodbye and end.
    Quit,
}

impl Command {
    /// Whether it is about a room by its name, so that what it does depends on the network.
    #[must_use]
    pub fn is_of_a_room(&self) -> bool {
        match self {
            Command::Send { to, .. } => to.starts_with('#'),
            Command::Join { .. } | Command::Leave { .. } | Command::Topic { .. } => true,
            _ => false,
        }
    }
}

/// What a room is locked with: never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Passphrase(pub String);

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

impl Drop for Passphrase {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// What kind of line a text is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextKind {
    /// Something said.
    #[default]
    Text,
    /// Something done (`/me`).
    Action,
    /// What a room is about from here on; empty for nothing any more. Only in a `message`.
    Topic,
    /// An answer to the message that `answers` names. Only in a `message`.
    Reply,
    /// Its author takes back the message that `answers` names. Only in a `message`.
    Redaction,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Request {
        serde_json::from_str(line).expect(line)
    }

    #[test]
    fn the_commands_of_the_interface_page_parse() {
        let request = parse(r##"{"command":"send","ref":7,"to":"#lobby","text":"hello"}"##);
        assert_eq!(request.reference, Some(7.into()));
        let Command::Send { to, text, kind, .. } = request.command else {
            panic!("not a send")
        };
        assert_eq!(
            (to.as_str(), text.as_str(), kind),
            ("#lobby", "hello", TextKind::Text)
        );
        assert_eq!(parse(r#"{"command":"who"}"#).command, Command::Who);
        assert_eq!(
            parse(r#"{"command":"quit","extra":[1]}"#).command,
            Command::Quit
        );
        let away = parse(r#"{"command":"status","status":"away","text":"lunch"}"#).command;
        assert_eq!(
            away,
            Command::Status {
                status: Status::Away,
                text: "lunch".into()
            }
        );
    }

    #[test]
    fn the_commands_of_rooms_parse_and_print_no_passphrase() {
        let join = parse(r##"{"command":"join","room":"#games","passphrase":"a b c"}"##).command;
        assert_eq!(
            join,
            Command::Join {
                room: "#games".into(),
                passphrase: Some(Passphrase("a b c".into())),
                generate: false,
            }
        );
        assert!(!format!("{join:?}").contains("a b c"));
        let leave = parse(r##"{"command":"leave","room":"#games"}"##).command;
        let room = "#games".to_owned();
        assert_eq!(leave, Command::Leave { room: room.clone() });
        let topic = parse(r##"{"command":"topic","room":"#games","text":""}"##).command;
        let text = String::new();
        assert_eq!(topic, Command::Topic { room, text });
        let id = MessageId([7; 16]);
        let redact = parse(&format!(r#"{{"command":"redact","id":"{id}"}}"#)).command;
        assert_eq!(redact, Command::Redact { id });
        let answer = format!(r##"{{"command":"send","to":"#x","text":"y","answers":"{id}"}}"##);
        assert!(
            matches!(parse(&answer).command, Command::Send { answers: Some(to), .. } if to == id)
        );
        let all = parse(r#"{"command":"history"}"#).command;
        assert!(matches!(all, Command::History { limit: None, .. }));
        let line = format!(
            r##"{{"command":"history","conversation":"#x","limit":5,"before":"{id}","since":"2026-11-21T12:00:00.000Z","search":"lunch"}}"##
        );
        let Command::History {
            limit,
            before,
            since,
            ..
        } = parse(&line).command
        else {
            panic!("not a history");
        };
        assert_eq!((limit, before), (Some(5), Some(id)));
        assert!(since.is_some());
    }

    #[test]
    fn what_is_no_command_does_not_parse() {
        for line in [
            "{}",
            r#"{"command":"fly"}"#,
            r#"{"command":"send","to":"x"}"#,
            "[]",
            "7",
        ] {
            assert!(serde_json::from_str::<Request>(line).is_err(), "{line}");
        }
    }
}
