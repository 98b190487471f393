//! What line mode reads, asks of the node, and prints.

use super::*;
use crate::api::diagnosis::Cause;
use crate::api::{PeerState, SelfInfo};
use crate::control::input::fake::Reads;
use crate::control::output::fake::Written;
use crate::control::people::fake::{in_state, now, peer, peer_ref};
use crate::id::{MessageId, PeerId};

const TIME: Timestamp = Timestamp(1_700_000_000_000);

struct Driven {
    line: LineMode,
    reads: Reads,
    out: Written,
    err: Written,
    now: Now,
}

impl Driven {
    fn new() -> Driven {
        let reads = Reads::default();
        let (out, output) = Written::new();
        let (err, errors) = Written::new();
        Driven {
            line: LineMode::on(Input::new(reads.clone()), output, errors),
            reads,
            out,
            err,
            now: now(),
        }
    }

    /// Types these lines; what is asked of the node.
    fn type_in(&mut self, text: &str) -> Vec<Command> {
        self.reads.push(text);
        self.line.ready(self.now, STDIN);
        std::iter::from_fn(|| self.line.poll_request())
            .map(|request| request.command)
            .collect()
    }

    /// What these events print, to stdout and to stderr.
    fn show(&mut self, events: &[Event]) -> (String, String) {
        for event in events {
            self.line.handle_event(self.now, event);
        }
        self.line.flush(self.now).unwrap();
        (self.out.take(), self.err.take())
    }
}

fn message(conversation: Conversation, text: &str) -> Event {
    Event::Message {
        reference: None,
        id: MessageId([1; 16]),
        conversation,
        from: peer_ref("ben", 3),
        own: false,
        kind: TextKind::Text,
        text: text.into(),
        time: TIME,
        delayed: false,
        after: None,
        answers: None,
        redacted: false,
    }
}

fn diagnosed() -> Event {
    let message = "connected, but it has no address".to_owned();
    let remedy = Some("sudo dhcpcd eth0".to_owned());
    Event::Network {
        reference: Some(Value::from("doctor")),
        state: crate::api::NetworkState::Down,
        interfaces: vec![crate::api::InterfaceState {
            name: "eth0".into(),
            hint: Some(message.clone()),
            cause: Some(Cause::NoAddress),
            remedy: remedy.clone(),
            ..crate::api::InterfaceState::default()
        }],
        verdict: Some(crate::api::NetworkVerdict {
            cause: Cause::NoAddress,
            message,
            remedy,
            reached: false,
            own_round_trip: None,
        }),
    }
}

fn lobby() -> Conversation {
    Conversation::Room("lobby".into())
}

fn send(to: &str, text: &str, kind: TextKind) -> Command {
    let (to, text) = (to.into(), text.into());
    Command::Send {
        to,
        text,
        kind,
        answers: None,
    }
}

#[test]
fn lines_go_to_the_lobby_or_to_their_target() {
    let mut driven = Driven::new();
    let typed = "hello\r\n\n/msg ben hi there\n/me waves\n//x\nquit\n/away lunch\n";
    let commands = driven.type_in(typed);
    let text = TextKind::Text;
    assert_eq!(
        commands[..5],
        [
            send("#lobby", "hello", text),
            send("ben", "hi there", text),
            send("#lobby", "waves", TextKind::Action),
            send("#lobby", "/x", text),
            send("#lobby", "quit", text),
        ]
    );
    assert!(matches!(commands[5..], [Command::Status { .. }]));
    assert_eq!(driven.type_in("/quit\nlost\n"), []);
    assert_eq!(driven.line.flow(), Flow::Quit(ExitCode::Done));
}

#[test]
fn doctor_is_answered_in_lines() {
    let mut driven = Driven::new();
    assert_eq!(driven.type_in("/doctor\n"), [Command::Doctor]);
    let (out, err) = driven.show(&[diagnosed()]);
    assert_eq!(out, "");
    let line = "-- eth0: connected, but it has no address\n";
    assert!(err.starts_with(line), "{err}");
    assert!(err.ends_with("-- try: sudo dhcpcd eth0\n"), "{err}");
}

#[test]
fn what_was_said_is_shown_on_stderr_and_is_no_news() {
    let mut driven = Driven::new();
    let asked = driven.type_in("/history #lobby\n/search two words\n");
    assert!(matches!(
        &asked[..],
        [
            Command::History { conversation: Some(room), .. },
            Command::History { conversation: None, search: Some(words), .. },
        ] if room == "#lobby" && words == "two words"
    ));
    let mut event = message(lobby(), "one\ntwo");
    if let Event::Message { reference, .. } = &mut event {
        *reference = Some("history".into());
    }
    let (out, err) = driven.show(&[event]);
    assert_eq!(out, "");
    let lines: Vec<&str> = err.lines().collect();
    assert!(lines[0].starts_with("-- 2023-11-1") && lines[0].ends_with(" #lobby ben: one"));
    assert_eq!(lines[1].trim_start_matches(['-', ' ']), "two");
}

#[test]
fn the_end_of_stdin_drains() {
    let mut driven = Driven::new();
    driven.reads.push("last");
    driven.reads.end();
    assert_eq!(driven.type_in("").len(), 1);
    assert_eq!(driven.line.flow(), Flow::Drain(driven.now.mono + DRAIN_MAX));
}

#[test]
fn what_arrives_is_one_line_on_stdout() {
    let mut driven = Driven::new();
    let time = clock(TIME);
    assert!(time.len() == 5 && time.as_bytes()[2] == b':', "{time}");
    let private = Conversation::Peer(PeerId([3; 32]));
    let mut action = message(lobby(), "waves");
    let mut own = message(lobby(), "mine");
    if let Event::Message { kind, .. } = &mut action {
        *kind = TextKind::Action;
    }
    if let Event::Message { own, .. } = &mut own {
        *own = true;
    }
    let forged = message(lobby(), &format!("a\n{time} #lobby ana: b"));
    let (out, err) = driven.show(&[
        message(lobby(), "hello"),
        message(private, "only you"),
        action,
        own,
        forged,
    ]);
    let expected = format!(
        "{time} #lobby ben: hello\n{time} @ben ben: only you\n{time} #lobby * ben waves\n\
         {time} #lobby ben: a {time} #lobby ana: b\n"
    );
    assert_eq!((out, err), (expected, String::new()));
}

#[test]
fn a_time_from_outside_cannot_panic() {
    for ms in [0, 1 << 47, (1 << 48) - 1, i64::MAX as u64, u64::MAX] {
        assert_eq!(clock(Timestamp(ms)).len(), 5, "{ms}");
    }
    assert_eq!(clock(Timestamp(u64::MAX)), "--:--");
}

#[test]
fn who_comes_and_goes_and_what_is_wrong_is_on_stderr() {
    let mut driven = Driven::new();
    let error = Event::Error {
        reference: None,
        code: "no_such_peer".into(),
        message: "nobody is called cay".into(),
        hint: Some("run /who".into()),
    };
    let ready = Event::Ready {
        v: 1,
        version: "1".into(),
        own: SelfInfo {
            id: PeerId([1; 32]),
            name: "ana".into(),
            tag: "k7q2".into(),
        },
        chat_port: 5263,
        interfaces: Vec::new(),
        rooms: Vec::new(),
    };
    let left = in_state(peer("ben", 3), PeerState::Left);
    let (out, err) = driven.show(&[ready, peer("ben", 3), left, error]);
    assert_eq!(out, "");
    assert_eq!(
        err,
        "-- you are ana (k7q2), lines go to #lobby; /help\n-- ben is here\n-- ben left\n\
         lanchat: nobody is called cay\nhint: run /who\n"
    );
    driven.type_in("/fly\n/msg ben\n/help\n");
    let (out, err) = driven.show(&[]);
    assert_eq!(out, "");
    assert!(err.starts_with("lanchat: there is no command /fly\nhint: "));
    assert!(err.contains("\n-- /quit "), "{err}");
}

#[test]
fn who_is_answered_by_a_sorted_list_on_stderr() {
    let mut driven = Driven::new();
    assert_eq!(driven.type_in("/who\n"), [Command::Who]);
    let answer = |mut event: Event| {
        if let Event::Peer { reference, .. } = &mut event {
            *reference = Some("who".into());
        }
        event
    };
    let reply = Event::Reply {
        reference: Some("who".into()),
        ok: true,
        id: None,
        passphrase: None,
    };
    let events = [
        answer(peer("cay", 4)),
        answer(peer("ben", 3)),
        reply.clone(),
    ];
    let (out, err) = driven.show(&events);
    assert_eq!(out, "");
    let names: Vec<&str> = err.lines().map(|line| &line[..6]).collect();
    assert_eq!(names, ["-- ben", "-- cay"], "{err}");
    assert_eq!(driven.show(&[reply]).1, "-- nobody else is here\n");
}

#[test]
fn a_reader_that_never_reads_ends_it() {
    let mut driven = Driven::new();
    driven.out.set_room(0);
    let event = message(lobby(), &"x".repeat(64 * 1024));
    for _ in 0..200 {
        driven.line.handle_event(driven.now, &event);
    }
    assert_eq!(driven.line.flow(), Flow::Quit(ExitCode::Failed));
}
