//! The arguments of each slash command: what they ask for, or what is wrong with them.

use super::{Input, Local, Wrong};
use crate::api::{Command, Status, TextKind};

/// Lines that `/history` and `/search` show.
const HISTORY_LINES: u32 = 50;

pub(super) fn status(status: Status, text: &str) -> Input {
    let text = text.to_owned();
    Input::Request(Command::Status { status, text })
}

pub(super) fn msg(arguments: &str) -> Result<Input, Wrong> {
    let (to, text) = match unquoted(arguments)? {
        Some(taken) => taken,
        None => {
            let word = arguments.split_once(char::is_whitespace);
            let (to, text) = word.unwrap_or((arguments, ""));
            (to.to_owned(), text)
        }
    };
    let (to, text) = (present(&to)?, text.trim_start().to_owned());
    if text.is_empty() {
        return Ok(Input::Local(Local::Open(to)));
    }
    let kind = TextKind::Text;
    Ok(Input::Request(Command::Send {
        to,
        text,
        kind,
        answers: None,
    }))
}

pub(super) fn history(target: &str) -> Result<Input, Wrong> {
    let conversation = match target {
        "" => None,
        target => Some(only_name(target)?),
    };
    Ok(Input::Request(asked(conversation, None)))
}

pub(super) fn search(words: &str) -> Result<Input, Wrong> {
    Ok(Input::Request(asked(None, Some(present(words)?))))
}

pub(super) fn me(text: &str) -> Result<Input, Wrong> {
    Ok(Input::Say(TextKind::Action, present(text)?))
}

pub(super) fn join(arguments: &str) -> Result<Input, Wrong> {
    let mut words = arguments.split_whitespace();
    let room = words.next().ok_or(Wrong::Missing)?.to_owned();
    let how = words.next();
    if words.next().is_some() {
        return Err(Wrong::TooMuch);
    }
    let command = |generate| {
        Input::Request(Command::Join {
            room: room.clone(),
            passphrase: None,
            generate,
        })
    };
    match how {
        None => Ok(command(false)),
        Some("--generate") => Ok(command(true)),
        Some("--passphrase") => Ok(Input::Local(Local::Unlock(room))),
        // Above all no passphrase, which would stay on the screen.
        Some(_) => Err(Wrong::TooMuch),
    }
}

pub(super) fn leave(room: &str) -> Result<Input, Wrong> {
    if room.is_empty() {
        return Ok(Input::Local(Local::Leave));
    }
    let room = only_name(room)?;
    Ok(Input::Request(Command::Leave { room }))
}

pub(super) fn topic(text: &str) -> Option<String> {
    match text {
        "" => None,
        "-" => Some(String::new()),
        text => Some(text.to_owned()),
    }
}

pub(super) fn nick(name: &str) -> Result<Input, Wrong> {
    let name = only_name(name)?;
    Ok(Input::Request(Command::Name { name }))
}

pub(super) fn trust(peer: &str) -> Result<Input, Wrong> {
    let peer = only_name(peer)?;
    Ok(Input::Request(Command::Trust { peer }))
}

pub(super) fn alone(arguments: &str, input: Input) -> Result<Input, Wrong> {
    if arguments.is_empty() {
        Ok(input)
    } else {
        Err(Wrong::TooMuch)
    }
}

fn asked(conversation: Option<String>, search: Option<String>) -> Command {
    Command::History {
        conversation,
        limit: Some(HISTORY_LINES),
        before: None,
        after: None,
        since: None,
        search,
    }
}

/// All of the arguments as one name, in quotes or not.
fn only_name(arguments: &str) -> Result<String, Wrong> {
    match unquoted(arguments)? {
        Some((name, "")) => present(&name),
        Some(_) => Err(Wrong::TooMuch),
        None => present(arguments),
    }
}

pub(super) fn present(argument: &str) -> Result<String, Wrong> {
    match argument.trim() {
        "" => Err(Wrong::Missing),
        argument => Ok(argument.to_owned()),
    }
}

/// What stands in quotes at the beginning and what follows it, or nothing if none stands there.
fn unquoted(arguments: &str) -> Result<Option<(String, &str)>, Wrong> {
    let Some(mut rest) = arguments.strip_prefix('"') else {
        return Ok(None);
    };
    let mut name = String::new();
    loop {
        let (part, after) = rest.split_once('"').ok_or(Wrong::Unclosed)?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Ok(Some((name, after))),
        }
    }
}
