//! The `/` commands: one table for parsing, completion and the help.
//!
//! Knows neither the screen nor a terminal, so that line mode can read the same lines.

use crate::api::{Command, Status, TextKind};

/// What a typed line asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// Say this in the conversation at hand.
    Say(String),
    /// Do this (`/me`) in the conversation at hand.
    Act(String),
    /// Ask this of the node.
    Command(Command),
    /// A matter of the front end alone.
    Local(Local),
}

/// What a front end does without asking the node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Local {
    /// Open the conversation with this room or person.
    Open(String),
    /// Empty the conversation on the screen.
    Clear,
    /// Show the keys and commands.
    Help,
}

/// Why a line that starts with `/` is no command. Display is one sentence.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SlashError {
    /// No command of that name.
    #[error("there is no command /{0}")]
    Unknown(String),
    /// The command is not written so.
    #[error("/{} is written: {}", .0.name, .0.usage())]
    Usage(&'static Slash),
}

impl SlashError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            SlashError::Unknown(_) => {
                "/help lists the commands; a text that starts with / is said with //".to_owned()
            }
            SlashError::Usage(slash) => slash.help.to_owned(),
        }
    }
}

/// One command of the table.
#[derive(PartialEq, Eq, Debug)]
pub struct Slash {
    /// Its name, without `/`.
    pub name: &'static str,
    /// Its arguments, as people write them.
    pub args: &'static str,
    /// One line of help.
    pub help: &'static str,
}

impl Slash {
    /// The whole command, as people write it.
    #[must_use]
    pub fn usage(&self) -> String {
        format!("/{} {}", self.name, self.args)
            .trim_end()
            .to_owned()
    }
}

/// All commands.
pub const COMMANDS: &[Slash] = &[
    slash(
        "msg",
        "NAME [TEXT]",
        "write to one person or room, or just open it",
    ),
    slash("me", "TEXT", "say what you do"),
    slash("who", "", "list the people here"),
    slash("rooms", "", "list the rooms"),
    slash("nick", "NAME", "take another name"),
    slash("away", "[TEXT]", "say that you are away"),
    slash("back", "", "say that you are back"),
    slash(
        "trust",
        "NAME",
        "after a warning: this is really the person of that name",
    ),
    slash("clear", "", "empty the conversation on the screen"),
    slash("help", "", "show the keys and commands"),
    slash("quit", "", "leave"),
];

const fn slash(name: &'static str, args: &'static str, help: &'static str) -> Slash {
    Slash { name, args, help }
}

/// Reads a typed line, which may hold newlines. `//x` says `/x`. A name with spaces stands in
/// double quotes.
///
/// # Errors
/// It starts with `/` and is no command, or not written as the command is.
pub fn parse(line: &str) -> Result<Input, SlashError> {
    let Some(rest) = line.strip_prefix('/') else {
        return Ok(Input::Say(line.to_owned()));
    };
    if rest.starts_with('/') {
        return Ok(Input::Say(rest.to_owned()));
    }
    let (name, args) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let args = args.trim();
    let slash = COMMANDS
        .iter()
        .find(|slash| slash.name == name)
        .ok_or_else(|| SlashError::Unknown(name.to_owned()))?;
    build(slash.name, args).ok_or(SlashError::Usage(slash))
}

/// Nothing if the arguments are not those of the command.
fn build(name: &str, args: &str) -> Option<Input> {
    let none = args.is_empty();
    Some(match name {
        "msg" => {
            let (to, text) = target(args)?;
            if text.is_empty() {
                Input::Local(Local::Open(to))
            } else {
                Input::Command(Command::Send {
                    to,
                    text: text.to_owned(),
                    kind: TextKind::Text,
                })
            }
        }
        "me" if !none => Input::Act(args.to_owned()),
        "who" if none => Input::Command(Command::Who),
        "rooms" if none => Input::Command(Command::Rooms),
        "nick" if !none => Input::Command(Command::Name {
            name: unquoted(args).to_owned(),
        }),
        "away" => Input::Command(Command::Status {
            status: Status::Away,
            text: args.to_owned(),
        }),
        "back" if none => Input::Command(Command::Status {
            status: Status::Available,
            text: String::new(),
        }),
        "trust" if !none => Input::Command(Command::Trust {
            peer: unquoted(args).to_owned(),
        }),
        "clear" if none => Input::Local(Local::Clear),
        "help" => Input::Local(Local::Help),
        "quit" if none => Input::Command(Command::Quit),
        _ => return None,
    })
}

/// The first word, or what stands in quotes, and the rest.
fn target(args: &str) -> Option<(String, &str)> {
    let (to, rest) = match args.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => args.split_once(char::is_whitespace).unwrap_or((args, "")),
    };
    (!to.trim().is_empty()).then(|| (to.trim().to_owned(), rest.trim()))
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"')
        .and_then(|inner| inner.strip_suffix('"'))
        .unwrap_or(text)
}

/// A name as a command takes it: in quotes if it holds a space.
#[must_use]
pub fn quoted(name: &str) -> String {
    if name.contains(char::is_whitespace) {
        format!("\"{name}\"")
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(to: &str, text: &str) -> Input {
        Input::Command(Command::Send {
            to: to.into(),
            text: text.into(),
            kind: TextKind::Text,
        })
    }

    #[test]
    fn lines_are_read_as_meant() {
        let away = |text: &str| {
            Input::Command(Command::Status {
                status: Status::Away,
                text: text.into(),
            })
        };
        for (line, wanted) in [
            ("hello", Input::Say("hello".into())),
            (" /who", Input::Say(" /who".into())),
            ("//etc/passwd", Input::Say("/etc/passwd".into())),
            ("/me waves", Input::Act("waves".into())),
            ("/msg ben hello you", send("ben", "hello you")),
            ("/msg ben a\nb", send("ben", "a\nb")),
            ("/msg \"ana maria\" hi", send("ana maria", "hi")),
            ("/msg ben", Input::Local(Local::Open("ben".into()))),
            ("/away", away("")),
            ("/away at lunch ", away("at lunch")),
            ("/who", Input::Command(Command::Who)),
            ("/help msg", Input::Local(Local::Help)),
            ("/quit", Input::Command(Command::Quit)),
            (
                "/nick Ana Maria",
                Input::Command(Command::Name {
                    name: "Ana Maria".into(),
                }),
            ),
        ] {
            assert_eq!(parse(line), Ok(wanted), "{line}");
        }
    }

    #[test]
    fn a_wrong_line_says_how_it_is_written() {
        for (line, said) in [
            ("/msg", "/msg is written: /msg NAME [TEXT]"),
            ("/msg \"ana", "/msg is written: /msg NAME [TEXT]"),
            ("/me", "/me is written: /me TEXT"),
            ("/who am i", "/who is written: /who"),
            ("/fly", "there is no command /fly"),
            ("/", "there is no command /"),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.to_string(), said);
            assert!(!error.hint().is_empty());
        }
    }

    /// A command in the table that `build` does not know would be a usage error for ever.
    #[test]
    fn every_command_of_the_table_can_be_written() {
        for slash in COMMANDS {
            let args = if slash.args.is_empty() { "" } else { " x" };
            let line = format!("/{}{args}", slash.name);
            assert!(parse(&line).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_quoted_name_reads_back() {
        for name in ["ben", "ana maria"] {
            let line = format!("/msg {} x", quoted(name));
            assert_eq!(parse(&line), Ok(send(name, "x")));
        }
    }
}
