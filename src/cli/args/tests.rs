//! What the command line gives, and what is said of a wrong one.

use clap::CommandFactory;

use super::*;
use crate::cli::settings::OPTIONS;
use crate::error::{ExitCode, UserError};

fn parse(line: &str) -> Result<Args, UserError> {
    let words = std::iter::once("lanchat").chain(line.split_whitespace());
    Args::try_parse_from(words).map_err(|error| {
        assert!(!is_help(&error), "{line}");
        usage_error(&error)
    })
}

#[test]
fn clap_finds_no_fault() {
    Args::command().debug_assert();
}

#[test]
fn options_stand_before_or_after_the_command() {
    for line in ["--port 7000 -vv who", "who --port 7000 -v -v"] {
        let args = parse(line).unwrap();
        assert_eq!(args.options.port, Some("7000".into()), "{line}");
        assert_eq!(args.options.verbose, 2, "{line}");
        assert!(matches!(args.verb, Some(Verb::Who { .. })));
    }
    let args = parse("send ben hello there --wait 2.5 --peer a --peer b").unwrap();
    assert_eq!(args.options.peer, ["a", "b"]);
    let Some(Verb::Send {
        target, text, wait, ..
    }) = args.verb
    else {
        panic!("not a send")
    };
    assert_eq!(target, "ben");
    assert_eq!(text, ["hello", "there"]);
    assert_eq!(wait, Duration::from_millis(2500));
    assert_eq!(parse("").unwrap().verb, None);
}

#[test]
fn every_option_of_the_table_is_a_flag_and_no_other() {
    let command = Args::command();
    let mut flags: Vec<&str> = command
        .get_arguments()
        .filter_map(|arg| arg.get_long())
        .collect();
    flags.retain(|flag| !["help", "version"].contains(flag));
    flags.sort_unstable();
    let mut keys: Vec<&str> = OPTIONS.iter().map(|option| option.key).collect();
    keys.sort_unstable();
    assert_eq!(flags, keys);
}

#[test]
fn every_flag_reaches_its_layer() {
    let args = parse(
        "--name a --data-dir b --config c --interface d --port e --chat-port f --group g \
         --group6 h --peer i --no-multicast --no-broadcast --no-ipv4 --no-ipv6 --log j -v \
         --color k",
    );
    let mut layer = args.unwrap().options.layer();
    layer.append(&mut parse("--ephemeral").unwrap().options.layer());
    for option in OPTIONS {
        assert!(layer.contains_key(option.key), "{}", option.key);
    }
}

#[test]
fn wrong_usage_is_a_sentence_and_a_hint() {
    for (line, says, hint) in [
        ("--prot 1", "there is no option \"--prot\" here", "--port"),
        ("whoo", "there is no command \"whoo\"", "who\""),
        ("fly", "there is no command \"fly\"", "--help"),
        ("--port", "--port <PORT> needs a value", "--help"),
        ("send", "<TARGET> is missing", "--help"),
        (
            "who --wait x",
            "--wait <S> cannot be \"x\": it must be a number of seconds, 0 to 86400",
            "--help",
        ),
        ("who --wait -1", "there is no option \"-1\" here", "--help"),
        ("who --wait nan", "cannot be \"nan\"", "--help"),
        ("who --wait 1e9", "cannot be \"1e9\"", "--help"),
        (
            "--ephemeral --data-dir x",
            "--ephemeral cannot be used together with --data-dir <DIR>",
            "--help",
        ),
        ("who there", "\"there\" is too much here", "--help"),
        ("--no-ipv4=x", "", "--help"),
        ("id --json --json", "", "--help"),
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.code, ExitCode::Usage);
        assert!(error.message.contains(says), "{line}: {error}");
        assert!(
            !error.message.contains('\n') && !error.message.is_empty(),
            "{error}"
        );
        assert!(
            error.hint.as_ref().unwrap().contains(hint),
            "{line}: {error}"
        );
    }
}

#[test]
fn help_shows_every_option_examples_codes_and_files() {
    let error = Args::try_parse_from(["lanchat", "--help"]).expect_err("help");
    assert!(is_help(&error));
    let help = error.to_string();
    for option in OPTIONS {
        assert!(
            help.contains(&format!("--{}", option.key)),
            "{}",
            option.key
        );
    }
    for part in [
        "Examples:",
        "Exit codes:",
        "130",
        "Files",
        "identity",
        "Network:",
    ] {
        assert!(help.contains(part), "{part}");
    }
    assert!(
        help.lines().all(|line| line.chars().count() <= 100),
        "{help}"
    );
}
