//! Rooms that are joined while people talk, open and locked.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::Test;
use crate::harness::capture::{self, Capture};
use crate::harness::lan::Lan;
use crate::harness::node::{Node, SOON, all_meet, lanchat};
use crate::harness::process::run;

pub const TESTS: &[Test] = &[
    ("rooms::joined_found_and_left", joined_found_and_left),
    (
        "rooms::a_locked_one_shows_nothing",
        a_locked_one_shows_nothing,
    ),
];

/// A key from a passphrase takes its time in a build without optimisation.
const UNLOCK: Duration = Duration::from_secs(20);

fn is_room(event: &Value, room: &str, joined: bool, members: usize) -> bool {
    event["event"] == "room"
        && event["room"] == room
        && event["joined"] == joined
        && event["members"]
            .as_array()
            .is_some_and(|of| of.len() == members)
}

fn joined_found_and_left() {
    let lan = Lan::new(3);
    let ana = Node::start(lan.host(1), "ana");
    let ben = Node::start(lan.host(2), "ben");
    all_meet(&[&ana, &ben], SOON);
    ana.ask(json!({"command": "join", "room": "#games"}));
    ben.wait_for("the room that ana is in", SOON, |event| {
        is_room(event, "#games", false, 1)
    });
    let dir = tempfile::tempdir().expect("a directory");
    let cli = |arguments: &[&str]| {
        let mut command = lanchat(dir.path());
        command.args(arguments);
        run(lan.host(3), command, "", UNLOCK)
    };
    let rooms = cli(&["rooms"]);
    assert_eq!(rooms.code, 0, "{rooms:?}");
    assert!(rooms.stdout.contains("#games  1 here"), "{rooms:?}");
    // Nobody has to be in an open room to say something there.
    let sent = cli(&["send", "#games", "who plays?"]);
    assert_eq!(
        (sent.code, sent.stdout.as_str()),
        (0, "delivered to 1 of 1 in #games\n")
    );
    ana.gets("who plays?", SOON);
    ben.ask(json!({"command": "join", "room": "#games"}));
    ana.wait_for("ben in the room", SOON, |event| {
        is_room(event, "#games", true, 1)
    });
    let sent = cli(&["send", "#games", "you both?"]);
    assert_eq!(
        (sent.code, sent.stdout.as_str()),
        (0, "delivered to 2 of 2 in #games\n")
    );
    let id = ben.say("#games", "a slip");
    ana.gets("a slip", SOON);
    ben.ask(json!({"command": "redact", "id": id}));
    ana.wait_for("what ben took back", SOON, |event| {
        event["kind"] == "redaction" && event["answers"] == id.as_str()
    });
    ben.ask(json!({"command": "leave", "room": "#games"}));
    ana.wait_for("ben out of the room", SOON, |event| {
        is_room(event, "#games", true, 0)
    });
    assert_eq!(cli(&["join", "#chess"]).code, 0);
    let rooms = cli(&["rooms", "--json"]);
    let chess = r##"{"event":"room","room":"#chess","joined":true"##;
    assert!(rooms.stdout.contains(chess), "it is remembered: {rooms:?}");
    assert_eq!(cli(&["leave", "#chess"]).code, 0);
    assert_eq!(cli(&["leave", "#chess"]).code, 3);
    let nobody = cli(&["send", "#nowhere", "hello", "--wait", "1"]);
    assert_eq!(nobody.code, 3, "{nobody:?}");
}

fn a_locked_one_shows_nothing() {
    let lan = Lan::new(3);
    let wire = Capture::start(lan.switch());
    let ana = Node::start(lan.host(1), "ana");
    let ben = Node::start(lan.host(2), "ben");
    all_meet(&[&ana, &ben], SOON);
    let phrase = "a phrase that nobody guesses in a hundred years";
    let join = json!({"command": "join", "room": "#cellar", "passphrase": phrase});
    ana.ask_within(UNLOCK, join.clone());
    ben.ask_within(UNLOCK, join);
    for node in [&ana, &ben] {
        node.wait_for("the other in the room", UNLOCK, |event| {
            is_room(event, "#cellar", true, 1)
        });
    }
    let secret = "the wine is behind the third barrel";
    let id = ana.say("#cellar", secret);
    ben.gets(secret, SOON);
    ana.delivered(&id, SOON);
    // The wrong passphrase, and none.
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("phrase");
    fs::write(&file, "a phrase that somebody guessed wrong once\n").expect("written");
    let cli = |arguments: &[&str]| {
        let mut command = lanchat(&dir.path().join("data"));
        command.args(arguments);
        run(lan.host(3), command, "", UNLOCK)
    };
    let path = file.to_str().expect("a path");
    let wrong = cli(&["join", "#cellar", "--passphrase-file", path]);
    assert_eq!(wrong.code, 1, "{wrong:?}");
    assert!(wrong.stderr.contains("not the passphrase"), "{wrong:?}");
    assert_eq!(cli(&["send", "#cellar", "let me in"]).code, 3);
    fs::write(&file, format!("{phrase}\n")).expect("written");
    let right = cli(&["join", "#cellar", "--passphrase-file", path]);
    assert_eq!(right.code, 0, "{right:?}");
    let sent = cli(&["send", "#cellar", "it is behind the fourth"]);
    assert_eq!(sent.stdout, "delivered to 2 of 2 in #cellar\n", "{sent:?}");
    let frames = wire.frames();
    for clear in [secret, "behind the fourth", "nobody guesses", "cellar"] {
        assert!(
            !capture::contains(&frames, clear.as_bytes()),
            "{clear} is on the wire"
        );
    }
    assert!(
        capture::contains(&frames, b"ana"),
        "the capture saw nothing"
    );
}
