//! Slash commands: one table of them, for line mode, the screen, completion and every help.

use super::{Command, Status, TextKind};
use crate::error::{ExitCode, UserError};
use crate::text::DisplayText;

/// Most characters of a wrong name that an error repeats.
const NAME_SHOWN_MAX: usize = 32;

/// Lines that `/history` and `/search` show.
const HISTORY_LINES: u32 = 50;

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

fn alone(arguments: &str, input: Input) -> Result<Input, Wrong> {
    if arguments.is_empty() {
        Ok(input)
    } else {
        Err(Wrong::TooMuch)
    }
}

fn status(status: Status, text: &str) -> Input {
    let text = text.to_owned();
    Input::Request(Command::Status { status, text })
}

fn msg(arguments: &str) -> Result<Input, Wrong> {
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

fn history(target: &str) -> Result<Input, Wrong> {
    let conversation = match target {
        "" => None,
        target => Some(only_name(target)?),
    };
    Ok(Input::Request(asked(conversation, None)))
}

fn search(words: &str) -> Result<Input, Wrong> {
    Ok(Input::Request(asked(None, Some(present(words)?))))
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

fn me(text: &str) -> Result<Input, Wrong> {
    Ok(Input::Say(TextKind::Action, present(text)?))
}

fn join(arguments: &str) -> Result<Input, Wrong> {
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

fn leave(room: &str) -> Result<Input, Wrong> {
    if room.is_empty() {
        return Ok(Input::Local(Local::Leave));
    }
    let room = only_name(room)?;
    Ok(Input::Request(Command::Leave { room }))
}

fn topic(text: &str) -> Option<String> {
    match text {
        "" => None,
        "-" => Some(String::new()),
        text => Some(text.to_owned()),
    }
}

fn nick(name: &str) -> Result<Input, Wrong> {
    let name = only_name(name)?;
    Ok(Input::Request(Command::Name { name }))
}

fn trust(peer: &str) -> Result<Input, Wrong> {
    let peer = only_name(peer)?;
    Ok(Input::Request(Command::Trust { peer }))
}

/// All of the arguments as one name, in quotes or not.
fn only_name(arguments: &str) -> Result<String, Wrong> {
    match unquoted(arguments)? {
        Some((name, "")) => present(&name),
        Some(_) => Err(Wrong::TooMuch),
        None => present(arguments),
    }
}

fn present(argument: &str) -> Result<String, Wrong> {
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

fn misused(command: &SlashCommand, wrong: &Wrong) -> UserError {
    let (name, usage) = (command.name, command.usage());
    let (message, hint) = match wrong {
        Wrong::Missing => (format!("/{name} needs more"), format!("write {usage}")),
        Wrong::TooMuch => (
            format!("there is too much after /{name}"),
            format!("write {usage}"),
        ),
        Wrong::Unclosed => (
            "a name begins with \" and does not end with one".to_owned(),
            format!("write /{name} \"NAME WITH SPACES\""),
        ),
    };
    UserError::new(ExitCode::Usage, message).hint(hint)
}

fn unknown(name: &str, lower: &str) -> UserError {
    // Somebody else's words may be pasted here.
    let shown: String = DisplayText::line(name)
        .as_str()
        .chars()
        .take(NAME_SHOWN_MAX)
        .collect();
    let first = match meant(lower) {
        Some(command) => format!("did you mean {}?", command.usage()),
        None => "/help lists the commands;".to_owned(),
    };
    UserError::new(ExitCode::Usage, format!("there is no command /{shown}"))
        .hint(format!("{first} a text that begins with / is said with //"))
}

/// The command that somebody who typed this name may have meant: the only one that begins so,
/// or else the first with one mistake in it, or two in a longer name.
fn meant(name: &str) -> Option<&'static SlashCommand> {
    let mut beginning = COMMANDS
        .iter()
        .filter(|command| !name.is_empty() && command.name.starts_with(name));
    if let (Some(only), None) = (beginning.next(), beginning.next()) {
        return Some(only);
    }
    let near = |command: &&SlashCommand| {
        let most = if command.name.len() > 3 { 2 } else { 1 };
        // The distance is never less, and a long name is not worth the work.
        name.chars().count().abs_diff(command.name.len()) <= most
            && distance(name, command.name) <= most
    };
    COMMANDS
        .iter()
        .filter(near)
        .min_by_key(|command| distance(name, command.name))
}

/// Characters to put in, take out, change, or swap with their neighbour between two words.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    // `rows[i][j]` is the distance of the first `i` of one and the first `j` of the other.
    let mut rows = vec![(0..=to.len()).collect::<Vec<usize>>()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let change = usize::from(from[i - 1] != to[j - 1]);
            let mut best = (rows[i - 1][j - 1] + change)
                .min(rows[i - 1][j] + 1)
                .min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(text: &str) -> Input {
        Input::Say(TextKind::Text, text.to_owned())
    }

    fn act(text: &str) -> Input {
        Input::Say(TextKind::Action, text.to_owned())
    }

    fn send(to: &str, text: &str) -> Input {
        let (to, text, kind) = (to.into(), text.into(), TextKind::Text);
        Input::Request(Command::Send {
            to,
            text,
            kind,
            answers: None,
        })
    }

    fn nick(name: &str) -> Input {
        Input::Request(Command::Name { name: name.into() })
    }

    fn join(room: &str, generate: bool) -> Input {
        Input::Request(Command::Join {
            room: room.into(),
            passphrase: None,
            generate,
        })
    }

    fn leave(room: &str) -> Input {
        Input::Request(Command::Leave { room: room.into() })
    }

    fn trust(peer: &str) -> Input {
        Input::Request(Command::Trust { peer: peer.into() })
    }

    fn open(target: &str) -> Input {
        Input::Local(Local::Open(target.into()))
    }

    #[test]
    fn a_line_without_a_slash_is_text_as_it_is() {
        for line in ["hello", " /msg no", " /who", "quit", "", "a /b", "a\n/who"] {
            assert_eq!(parse(line), Ok(say(line)), "{line:?}");
        }
        assert_eq!(parse("//etc/hosts"), Ok(say("/etc/hosts")));
        assert_eq!(parse("//"), Ok(say("/")));
    }

    #[test]
    fn each_command_does_what_the_table_says() {
        for (line, expected) in [
            ("/msg ben hello  you", send("ben", "hello  you")),
            ("/MSG\tben\thello", send("ben", "hello")),
            ("/msg ben a\nb", send("ben", "a\nb")),
            ("/msg #games hi", send("#games", "hi")),
            ("/msg \"ben smith\" hi \"x\"", send("ben smith", "hi \"x\"")),
            ("/msg \"a \"\"b\"\" c\" hi", send("a \"b\" c", "hi")),
            ("/msg ben ", open("ben")),
            ("/msg \"ana maria\"", open("ana maria")),
            ("/me waves", act("waves")),
            ("/me waves\ntwice ", act("waves\ntwice")),
            ("/who", Input::Request(Command::Who)),
            ("/rooms ", Input::Request(Command::Rooms)),
            ("/join #games", join("#games", false)),
            ("/join games --generate", join("games", true)),
            (
                "/join #x --passphrase",
                Input::Local(Local::Unlock("#x".into())),
            ),
            ("/leave", Input::Local(Local::Leave)),
            ("/leave #games", leave("#games")),
            ("/topic", Input::Local(Local::Topic(None))),
            ("/topic -", Input::Local(Local::Topic(Some(String::new())))),
            ("/topic a b", Input::Local(Local::Topic(Some("a b".into())))),
            ("/reply  yes", Input::Local(Local::Reply("yes".into()))),
            ("/redact", Input::Local(Local::Redact)),
            ("/nick Ana Lee", nick("Ana Lee")),
            ("/nick \"Ana Lee\"", nick("Ana Lee")),
            ("/away lunch at 12 ", status(Status::Away, "lunch at 12")),
            ("/away", status(Status::Away, "")),
            ("/back", status(Status::Available, "")),
            ("/trust ben~x3fa", trust("ben~x3fa")),
            ("/trust ben smith", trust("ben smith")),
            ("/trust \"ben smith\"", trust("ben smith")),
            ("/clear", Input::Local(Local::Clear)),
            ("/help", Input::Local(Local::Help)),
            ("/help msg", Input::Local(Local::Help)),
            ("/quit", Input::Request(Command::Quit)),
        ] {
            assert_eq!(parse(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_a_hint() {
        let unclosed = "a name begins with \" and does not end with one";
        for (line, said, hint) in [
            ("/msg", "/msg needs more", "write /msg TARGET [TEXT]"),
            ("/msg  ", "/msg needs more", "write /msg TARGET [TEXT]"),
            ("/msg \"\" x", "/msg needs more", "write /msg TARGET [TEXT]"),
            ("/me", "/me needs more", "write /me TEXT"),
            ("/nick", "/nick needs more", "write /nick NAME"),
            ("/nick \" \"", "/nick needs more", "write /nick NAME"),
            ("/trust ", "/trust needs more", "write /trust PERSON"),
            (
                "/trust \"ben\" smith",
                "there is too much after /trust",
                "write /trust PERSON",
            ),
            (
                "/join #x my secret",
                "there is too much after /join",
                "write /join ROOM [HOW]",
            ),
            ("/who am i", "there is too much after /who", "write /who"),
            ("/quit now", "there is too much after /quit", "write /quit"),
            ("/msg \"ben hi", unclosed, "write /msg \"NAME WITH SPACES\""),
            (
                "/trust \"ben\"\"",
                unclosed,
                "write /trust \"NAME WITH SPACES\"",
            ),
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(
                (error.message.as_str(), error.code),
                (said, ExitCode::Usage)
            );
            assert_eq!(error.hint.as_deref(), Some(hint), "{line}");
        }
    }

    #[test]
    fn an_unknown_command_is_named_safely_and_another_suggested() {
        let hint = |line: &str| {
            let error = parse(line).expect_err(line);
            assert!(error.message.starts_with("there is no command /"));
            assert!(!error.message.contains('\u{1b}'));
            assert!(error.message.chars().count() <= 21 + NAME_SHOWN_MAX);
            let hint = error.hint.expect(line);
            assert!(hint.ends_with(" a text that begins with / is said with //"));
            hint
        };
        for (line, usage) in [
            ("/q", "/quit"),
            ("/exit", "/quit"),
            ("/room", "/rooms"),
            ("/hlep me", "/help"),
            ("/WOH", "/who"),
            ("/msgs ben hi", "/msg TARGET [TEXT]"),
        ] {
            let (hint, start) = (hint(line), format!("did you mean {usage}?"));
            assert!(hint.starts_with(&start), "{line}: {hint}");
        }
        let long = format!("/{}", "x".repeat(100_000));
        for line in [
            "/",
            "/ who",
            "/fly\u{1b}[2J away",
            "/usr/bin/x",
            "/nickname x",
            &long,
        ] {
            assert!(hint(line).starts_with("/help lists"), "{line:.40}");
        }
    }

    /// A row that shows other arguments than its function takes would mislead for ever.
    #[test]
    fn every_command_is_written_as_the_table_shows() {
        for command in COMMANDS {
            let without = parse(&format!("/{}", command.name));
            let with = parse(&format!("/{} x", command.name));
            let (needs, takes) = match command.arguments.as_bytes().first() {
                None => (false, command.name == "help"),
                Some(b'[') => (false, true),
                Some(_) => (true, true),
            };
            assert_eq!(without.is_err(), needs, "{}", command.name);
            assert_eq!(with.is_ok(), takes, "{}", command.name);
        }
    }

    #[test]
    fn the_help_has_an_aligned_line_for_each() {
        let help = help();
        assert_eq!(help.len(), COMMANDS.len());
        let column = help[0].len() - COMMANDS[0].help.len();
        for (line, command) in help.iter().zip(COMMANDS) {
            assert!(line.starts_with(&format!("{} ", command.usage())), "{line}");
            assert_eq!(&line[column..], command.help);
        }
    }

    #[test]
    fn a_quoted_name_reads_back() {
        for name in ["ben", "ana maria", "ben\" x", "\"ben", "a\"b", "\" \""] {
            assert_eq!(
                parse(&format!("/msg {} x", quoted(name))),
                Ok(send(name, "x"))
            );
            assert_eq!(parse(&format!("/trust {}", quoted(name))), Ok(trust(name)));
        }
        assert_eq!(quoted("ben"), "ben");
    }
}
