//! What a typed line means, and what is said of a wrong one.

use super::mistakes::NAME_SHOWN_MAX;
use super::*;
use crate::error::ExitCode;

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
