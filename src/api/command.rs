//! What a front end can ask of the node.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::Status;

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

/// What kind of line a text is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextKind {
    /// Something said.
    #[default]
    Text,
    /// Something done (`/me`).
    Action,
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
        let Command::Send { to, text, kind } = request.command else {
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
