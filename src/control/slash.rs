//! Slash commands: one table of them, for line mode, the screen and the help of both.

use crate::api::{Command, Status, TextKind};
use crate::error::{ExitCode, UserError};
use crate::text::DisplayText;

/// What a typed line means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// A text for the conversation that is open; `/me` makes it an action.
    Say(TextKind, String),
    /// Something for the node, complete.
    Request(Command),
    /// Something for the front end itself.
    Local(Local),
}

/// What the front end does itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Local {
    /// Go to the conversation with this target (`/msg NAME` without a text).
    Open(String),
    /// Show the commands.
    Help,
    /// Empty the view of the conversation.
    Clear,
    /// Leave.
    Quit,
}

/// A line that begins with `/` and is no command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SlashError {
    /// There is no command of this name.
    Unknown(String),
    /// An argument is missing.
    Missing(&'static SlashCommand),
    /// A quotation mark without its second.
    Unclosed,
}

/// A row of the table.
pub struct SlashCommand {
    /// Its name without `/`.
    pub name: &'static str,
    /// Its arguments as help shows them: upper case to be filled in, brackets may be left out.
    pub arguments: &'static str,
    /// What it does, in a few words.
    pub help: &'static str,
    /// Given all after the name without spaces at its ends; none where something is missing.
    parse: fn(&str) -> Option<Input>,
}

/// Every slash command, in the order of the help.
pub const COMMANDS: [SlashCommand; 11] = [
    row("msg", "TARGET [TEXT]", "write to a person or a #room", msg),
    row("me", "TEXT", "say what you do", me),
    row("who", "", "list the people found", |_| {
        request(Command::Who)
    }),
    row("rooms", "", "list the rooms found", |_| {
        request(Command::Rooms)
    }),
    row("nick", "NAME", "take another name", nick),
    row("away", "[TEXT]", "say that you are away", away),
    row("back", "", "say that you are back", |_| {
        status(Status::Available, "")
    }),
    row(
        "trust",
        "PERSON",
        "accept the new key of a name you know",
        trust,
    ),
    row("clear", "", "empty the view", |_| local(Local::Clear)),
    row("help", "", "show the commands", |_| local(Local::Help)),
    row("quit", "", "leave", |_| local(Local::Quit)),
];

/// What this line means. A line that begins with `//` is text that begins with one `/`.
///
/// # Errors
/// It begins with `/` and is no command, or lacks an argument.
pub fn parse(line: &str) -> Result<Input, SlashError> {
    let say = |text: &str| Ok(Input::Say(TextKind::Text, text.to_owned()));
    let Some(rest) = line.strip_prefix('/') else {
        return say(line);
    };
    if rest.starts_with('/') {
        return say(rest);
    }
    let (name, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let lower = name.to_lowercase();
    let Some(command) = COMMANDS.iter().find(|command| command.name == lower) else {
        return Err(SlashError::Unknown(name.to_owned()));
    };
    let arguments = arguments.trim();
    if arguments.starts_with('"') && command.takes_target() && quoted(arguments).is_none() {
        return Err(SlashError::Unclosed);
    }
    (command.parse)(arguments).ok_or(SlashError::Missing(command))
}

/// The help: a line for each command, aligned.
#[must_use]
pub fn help() -> Vec<String> {
    let usages: Vec<String> = COMMANDS.iter().map(SlashCommand::usage).collect();
    let width = usages.iter().map(String::len).max().unwrap_or(0);
    let rows = usages.iter().zip(&COMMANDS);
    rows.map(|(usage, command)| format!("{usage:width$}  {}", command.help))
        .collect()
}

impl SlashCommand {
    /// Its name and arguments, as one types them.
    #[must_use]
    pub fn usage(&self) -> String {
        format!("/{} {}", self.name, self.arguments)
            .trim_end()
            .to_owned()
    }

    fn takes_target(&self) -> bool {
        self.arguments.starts_with("TARGET") || self.arguments.starts_with("PERSON")
    }
}

impl PartialEq for SlashCommand {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for SlashCommand {}

impl std::fmt::Debug for SlashCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.usage())
    }
}

impl From<SlashError> for UserError {
    fn from(error: SlashError) -> Self {
        let new = |message: String| UserError::new(ExitCode::Usage, message);
        match error {
            SlashError::Unknown(name) => {
                let name: String = DisplayText::line(&name).as_str().chars().take(32).collect();
                new(format!("there is no command /{name}"))
                    .hint("/help lists the commands; begin a text with // to send it with one /")
            }
            SlashError::Missing(command) => new(format!("/{} needs more", command.name))
                .hint(format!("write {}", command.usage())),
            SlashError::Unclosed => new("a name begins with \" and does not end with one".into())
                .hint("write /msg \"NAME WITH SPACES\" TEXT"),
        }
    }
}

const fn row(
    name: &'static str,
    arguments: &'static str,
    help: &'static str,
    parse: fn(&str) -> Option<Input>,
) -> SlashCommand {
    SlashCommand {
        name,
        arguments,
        help,
        parse,
    }
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "the shape of the table's functions"
)]
fn request(command: Command) -> Option<Input> {
    Some(Input::Request(command))
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "the shape of the table's functions"
)]
fn local(local: Local) -> Option<Input> {
    Some(Input::Local(local))
}

fn status(status: Status, text: &str) -> Option<Input> {
    let text = text.to_owned();
    request(Command::Status { status, text })
}

fn msg(arguments: &str) -> Option<Input> {
    let (to, text) = quoted(arguments)
        .or_else(|| arguments.split_once(char::is_whitespace))
        .unwrap_or((arguments, ""));
    let (to, text) = (to.to_owned(), text.trim_start().to_owned());
    if to.is_empty() {
        return None;
    }
    if text.is_empty() {
        return local(Local::Open(to));
    }
    let kind = TextKind::Text;
    request(Command::Send { to, text, kind })
}

fn me(text: &str) -> Option<Input> {
    let say = Input::Say(TextKind::Action, text.to_owned());
    (!text.is_empty()).then_some(say)
}

fn nick(name: &str) -> Option<Input> {
    let name = name.to_owned();
    (!name.is_empty()).then_some(Input::Request(Command::Name { name }))
}

fn away(text: &str) -> Option<Input> {
    status(Status::Away, text)
}

fn trust(peer: &str) -> Option<Input> {
    let peer = quoted(peer).map_or(peer, |(peer, _)| peer).to_owned();
    (!peer.is_empty()).then_some(Input::Request(Command::Trust { peer }))
}

/// A target in quotation marks, since names may have spaces, and what follows it.
fn quoted(arguments: &str) -> Option<(&str, &str)> {
    arguments.strip_prefix('"')?.split_once('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(to: &str, text: &str) -> Input {
        Input::Request(Command::Send {
            to: to.into(),
            text: text.into(),
            kind: TextKind::Text,
        })
    }

    #[test]
    fn a_line_without_a_slash_is_text_as_it_is() {
        for line in ["hello", " /msg no", "quit", "", "a /b"] {
            let say = Input::Say(TextKind::Text, line.to_owned());
            assert_eq!(parse(line), Ok(say), "{line:?}");
        }
        let say = Input::Say(TextKind::Text, "/etc/hosts".to_owned());
        assert_eq!(parse("//etc/hosts"), Ok(say));
    }

    #[test]
    fn each_command_does_what_the_table_says() {
        let request = Input::Request;
        for (line, expected) in [
            ("/msg ben hello  you", send("ben", "hello  you")),
            ("/MSG\tben\thello", send("ben", "hello")),
            ("/msg \"ben smith\" hi \"x\"", send("ben smith", "hi \"x\"")),
            ("/msg #games hi", send("#games", "hi")),
            ("/msg ben ", Input::Local(Local::Open("ben".into()))),
            ("/me waves", Input::Say(TextKind::Action, "waves".into())),
            ("/who", request(Command::Who)),
            ("/rooms", request(Command::Rooms)),
            (
                "/nick Ana Lee",
                request(Command::Name {
                    name: "Ana Lee".into(),
                }),
            ),
            (
                "/trust ben~x3fa",
                request(Command::Trust {
                    peer: "ben~x3fa".into(),
                }),
            ),
            (
                "/trust \"ben smith\"",
                request(Command::Trust {
                    peer: "ben smith".into(),
                }),
            ),
            ("/clear", Input::Local(Local::Clear)),
            ("/help", Input::Local(Local::Help)),
            ("/quit now", Input::Local(Local::Quit)),
        ] {
            assert_eq!(parse(line), Ok(expected), "{line}");
        }
        for (line, expected, words) in [
            ("/away lunch at 12", Status::Away, "lunch at 12"),
            ("/away", Status::Away, ""),
            ("/back", Status::Available, ""),
        ] {
            let (status, text) = (expected, words.to_owned());
            assert_eq!(parse(line), Ok(request(Command::Status { status, text })));
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_a_hint() {
        for line in ["/msg", "/msg  ", "/me", "/nick", "/trust ", "/msg \"\" x"] {
            let error = parse(line).expect_err(line);
            assert!(matches!(error, SlashError::Missing(_)), "{line}: {error:?}");
            let error = UserError::from(error);
            assert_eq!(error.code, ExitCode::Usage);
            assert!(error.hint.unwrap().starts_with("write /"), "{line}");
        }
        assert_eq!(parse("/msg \"ben hi"), Err(SlashError::Unclosed));
        for line in ["/", "/ who", "/fly\u{1b}[2J away", "/usr/bin/x"] {
            let error = UserError::from(parse(line).expect_err(line));
            assert!(error.message.starts_with("there is no command /"));
            assert!(!error.message.contains('\u{1b}'));
        }
    }

    #[test]
    fn the_help_has_a_line_for_each_and_every_one_parses() {
        let help = help();
        assert_eq!(help.len(), COMMANDS.len());
        for (line, command) in help.iter().zip(&COMMANDS) {
            assert!(line.starts_with(&command.usage()) && line.ends_with(command.help));
            assert!(parse(&format!("/{} x y", command.name)).is_ok(), "{line}");
        }
    }
}
