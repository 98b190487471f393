//! Slash commands: one table of them, for line mode, the screen, completion and every help.

mod arguments;
mod mistakes;

use arguments::{
    alone, history, join, leave, me, msg, nick, present, search, status, topic, trust,
};
use mistakes::{misused, unknown};

use super::{Command, Status, TextKind};
use crate::error::UserError;

/// What a typed line means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// A text for the conversation at hand; `/me` makes it an action.
    Say(TextKind, String),
    /// Something for the node, complete.
    Request(Command),
    /// Something that the front end does without the node.
    Local(Local),
}

/// What the front end does without the node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Local {
    /// Go to the conversation with this target (`/msg TARGET` without a text).
    Open(String),
    /// Join this room with a passphrase that is asked for now, without showing it.
    Unlock(String),
    /// Leave the room at hand.
    Leave,
    /// Say what the room at hand is about, nothing where it is empty; none: show it.
    Topic(Option<String>),
    /// Answer the message picked, else the last one of somebody else.
    Reply(String),
    /// Take back the message picked, else the last own one.
    Redact,
    /// Empty the view of the conversation at hand.
    Clear,
    /// Show the help.
    Help,
}

/// A row of the table.
#[derive(Debug)]
pub struct SlashCommand {
    /// Its name without `/`, in lower case.
    pub name: &'static str,
    /// Its arguments as help shows them: upper case to be filled in, brackets may be left out.
    pub arguments: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    /// Given all that follows the name, without white space at its ends.
    parse: fn(&str) -> Result<Input, Wrong>,
}

/// What is wrong with the arguments.
enum Wrong {
    Missing,
    TooMuch,
    /// A quotation mark without its second.
    Unclosed,
}

/// Every slash command, in the order of the help.
pub const COMMANDS: &[SlashCommand] = &[
    row(
        "msg",
        "TARGET [TEXT]",
        "write to a person or #room; without TEXT the screen opens it",
        msg,
    ),
    row("me", "TEXT", "say what you do", me),
    row("who", "", "list the people here", |arguments| {
        alone(arguments, Input::Request(Command::Who))
    }),
    row("rooms", "", "list the rooms", |arguments| {
        alone(arguments, Input::Request(Command::Rooms))
    }),
    row(
        "join",
        "ROOM [HOW]",
        "take part in a room; locked with --passphrase or --generate",
        join,
    ),
    row("leave", "[ROOM]", "take part no longer", leave),
    row(
        "topic",
        "[TEXT]",
        "say what this room is about, - for nothing",
        |text| Ok(Input::Local(Local::Topic(topic(text)))),
    ),
    row(
        "reply",
        "TEXT",
        "answer the line picked with Alt-Up, or the last",
        |text| Ok(Input::Local(Local::Reply(present(text)?))),
    ),
    row(
        "redact",
        "",
        "take back the own line picked, or the last",
        |arguments| alone(arguments, Input::Local(Local::Redact)),
    ),
    row(
        "history",
        "[TARGET]",
        "show what was said, with a person or in #room",
        history,
    ),
    row(
        "search",
        "WORDS",
        "show what was said with these words",
        search,
    ),
    row("nick", "NAME", "take another name", nick),
    row("away", "[TEXT]", "say that you are away", |text| {
        Ok(status(Status::Away, text))
    }),
    row("back", "", "say that you are back", |arguments| {
        alone(arguments, status(Status::Available, ""))
    }),
    row(
        "trust",
        "PERSON",
        "after a warning: this is really the person of that name",
        trust,
    ),
    row("doctor", "", "say what hinders the network", |arguments| {
        alone(arguments, Input::Request(Command::Doctor))
    }),
    row(
        "clear",
        "",
        "empty the conversation on the screen",
        |arguments| alone(arguments, Input::Local(Local::Clear)),
    ),
    // Whoever asks for help gets it, whatever follows.
    row("help", "", "show this help", |_| {
        Ok(Input::Local(Local::Help))
    }),
    row("quit", "", "leave", |arguments| {
        alone(arguments, Input::Request(Command::Quit))
    }),
];

/// What this line means, which may hold newlines. A line that begins with `//` is text that
/// begins with one `/`. A name with spaces stands in double quotes, see [`quoted`].
///
/// # Errors
/// It begins with `/` and is no command, or not written as the command is. Always with a hint.
pub fn parse(line: &str) -> Result<Input, UserError> {
    let say = |text: &str| Ok(Input::Say(TextKind::Text, text.to_owned()));
    let Some(rest) = line.strip_prefix('/') else {
        return say(line);
    };
    if rest.starts_with('/') {
        return say(rest);
    }
    let (name, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let lower = name.to_lowercase();
    match COMMANDS.iter().find(|command| command.name == lower) {
        Some(command) => {
            (command.parse)(arguments.trim()).map_err(|wrong| misused(command, &wrong))
        }
        None => Err(unknown(name, &lower)),
    }
}

/// A name as a command takes it: in quotes where it would not be read as one word, with the
/// quotes inside written twice.
#[must_use]
pub fn quoted(name: &str) -> String {
    if name.contains(char::is_whitespace) || name.starts_with('"') {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name.to_owned()
    }
}

/// The help: a line for each command, aligned.
#[must_use]
pub fn help() -> Vec<String> {
    let usages: Vec<String> = COMMANDS.iter().map(SlashCommand::usage).collect();
    let width = usages.iter().map(String::len).max().unwrap_or(0);
    let rows = usages.iter().zip(COMMANDS);
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

    /// Whether its first argument is a person or a room.
    #[must_use]
    pub fn takes_target(&self) -> bool {
        let takes = ["TARGET", "PERSON", "ROOM", "[ROOM", "[TARGET"];
        takes.iter().any(|word| self.arguments.starts_with(word))
    }
}

const fn row(
    name: &'static str,
    arguments: &'static str,
    help: &'static str,
    parse: fn(&str) -> Result<Input, Wrong>,
) -> SlashCommand {
    SlashCommand {
        name,
        arguments,
        help,
        parse,
    }
}

#[cfg(test)]
mod tests;
