//! Tests of `lanchat send`.

use serde_json::Value;

use super::*;
use crate::api::{Conversation, PeerRef, PeerState};
use crate::control::output::fake::Written;
use crate::control::people::fake::{in_state, now, peer, peer_ref};

const WAIT: Duration = Duration::from_secs(10);
const ID: MessageId = MessageId([7; 16]);

struct Driven {
    send: Send,
    out: Written,
    err: Written,
    now: Now,
}

impl Driven {
    fn new(target: &str, json: bool) -> Driven {
        let (out, output) = Written::new();
        let (err, errors) = Written::new();
        let send = Send::on(output, errors, target, "hello".into(), WAIT, json);
        let now = now();
        Driven {
            send,
            out,
            err,
            now,
        }
    }

    /// The node is up: an event that concerns nobody.
    fn started(target: &str) -> Driven {
        let mut driven = Driven::new(target, false);
        driven.tell(&network());
        driven
    }

    /// The node is up, the roster has settled, and the whole wait is still to come.
    fn settled(target: &str) -> Driven {
        let mut driven = Driven::started(target);
        driven.pass(1000);
        driven.send.end = Some(driven.now.mono + WAIT);
        driven
    }

    fn tell(&mut self, event: &Event) {
        self.send.handle_event(self.now, event);
    }

    /// Time passes; the deadline is kept to the millisecond.
    fn pass(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(due) = self.send.deadline().filter(|due| *due <= end.mono) {
            self.now = self.now + due.saturating_duration_since(self.now.mono);
            self.send.handle_timeout(self.now);
            assert_ne!(self.send.deadline(), Some(due), "or the loop would spin");
        }
        self.now = end;
    }

    /// What it asks of the node now, if anything.
    fn asked(&mut self) -> Option<String> {
        let request = self.send.poll_request()?;
        assert_eq!(request.reference, Some(Value::from(REFERENCE)));
        let Command::Send { to, text, kind, .. } = request.command else {
            panic!("not a send")
        };
        assert_eq!((text.as_str(), kind), ("hello", TextKind::Text));
        Some(to)
    }

    fn refuse(&mut self, code: &str) {
        let (reference, code) = (Some(Value::from(REFERENCE)), code.to_owned());
        self.tell(&Event::Error {
            reference,
            code,
            message: "the node says no".into(),
            hint: Some("as it says".into()),
        });
    }

    fn taken(&mut self) {
        let (reference, id) = (Some(Value::from(REFERENCE)), Some(ID));
        let ok = true;
        self.tell(&Event::Reply {
            reference,
            ok,
            id,
            passphrase: None,
        });
    }

    fn outcome(&mut self) -> (String, String, Flow) {
        self.send.flush(self.now).unwrap();
        (self.out.take(), self.err.take(), self.send.flow())
    }

    fn ends_with(&mut self, code: ExitCode) -> (String, String) {
        let (out, err, flow) = self.outcome();
        assert_eq!(flow, Flow::Quit(code), "{out}{err}");
        assert_eq!(self.send.deadline(), None);
        (out, err)
    }
}

fn network() -> Event {
    let state = crate::api::NetworkState::Ok;
    let interfaces = Vec::new();
    Event::Network {
        reference: None,
        state,
        interfaces,
        verdict: None,
    }
}

fn receipt(state: ReceiptState, delivered: u32, of: u32, missing: Vec<PeerRef>) -> Event {
    Event::Receipt {
        id: ID,
        conversation: Conversation::Room("lobby".into()),
        state,
        delivered,
        of,
        missing,
        left: Vec::new(),
        sampled: false,
    }
}

#[test]
fn a_name_waits_for_others_of_that_name_and_an_exact_target_for_nobody() {
    let mut driven = Driven::started("ben");
    driven.pass(100);
    driven.tell(&peer("ben", 3));
    driven.pass(299);
    assert_eq!(driven.asked(), None, "the other ben may come yet");
    driven.pass(1);
    assert_eq!(driven.asked().as_deref(), Some("ben"));

    let id = PeerId([3; 32]);
    for exact in [format!("ben~{}", id.tag()), id.to_string()] {
        let mut driven = Driven::started(&exact);
        assert_eq!(driven.asked(), Some(exact));
    }
}

#[test]
fn a_person_who_is_known_gets_it() {
    let mut driven = Driven::settled("ben");
    assert_eq!(driven.asked().as_deref(), Some("ben"));
    driven.taken();
    driven.tell(&receipt(ReceiptState::Queued, 0, 1, Vec::new()));
    driven.tell(&receipt(ReceiptState::Sent, 0, 1, Vec::new()));
    assert_eq!(driven.send.flow(), Flow::Continue);
    driven.tell(&receipt(ReceiptState::Delivered, 1, 1, Vec::new()));
    let (out, err) = driven.ends_with(ExitCode::Done);
    assert_eq!((out.as_str(), err.as_str()), ("delivered to ben\n", ""));
}

#[test]
fn a_person_who_comes_later_gets_it_once() {
    let mut driven = Driven::settled("ben");
    driven.asked();
    driven.refuse("no_such_peer");
    assert_eq!(driven.asked(), None, "nothing changed");
    driven.pass(500);
    driven.tell(&peer("cay", 4));
    assert_eq!(driven.asked().as_deref(), Some("ben"));
    // Somebody comes while the node looks: it has to look again.
    driven.tell(&peer("ben", 3));
    driven.refuse("no_such_peer");
    assert_eq!(driven.asked().as_deref(), Some("ben"));
    driven.taken();
    driven.tell(&peer("dan", 5));
    assert_eq!(driven.asked(), None, "sent twice");
}

#[test]
fn a_new_round_trip_time_is_nobody_new() {
    let mut driven = Driven::settled("ben");
    driven.asked();
    driven.tell(&peer("cay", 4));
    driven.refuse("no_such_peer");
    driven.asked();
    driven.refuse("no_such_peer");
    driven.tell(&peer("cay", 4));
    assert_eq!(driven.asked(), None);
    driven.tell(&peer("ben", 4));
    assert!(driven.asked().is_some(), "cay is called ben now");
}

#[test]
fn nobody_of_that_name_is_3_when_the_wait_is_over() {
    let mut driven = Driven::settled("ben");
    driven.asked();
    driven.refuse("no_such_peer");
    driven.pass(9_999);
    assert_eq!(driven.send.flow(), Flow::Continue);
    driven.pass(1);
    let (_, err) = driven.ends_with(ExitCode::NotFound);
    assert_eq!(
        err,
        "lanchat: nobody found within 10 s is called ben\n\
         hint: lanchat who lists the people found\n"
    );
}

#[test]
fn what_the_node_refuses_ends_it_with_its_words() {
    for (code, exit) in [
        ("ambiguous_name", ExitCode::Usage),
        ("bad_target", ExitCode::Usage),
        ("too_long", ExitCode::Usage),
        ("name_conflict", ExitCode::Failed),
        ("store_failed", ExitCode::Failed),
    ] {
        let mut driven = Driven::settled("ben");
        driven.asked();
        driven.refuse(code);
        let (_, err) = driven.ends_with(exit);
        assert_eq!(err, "lanchat: the node says no\nhint: as it says\n");
    }
    // An error that answers nothing is passed on and ends nothing.
    let mut driven = Driven::settled("ben");
    driven.tell(&Event::Error {
        reference: None,
        code: "ambiguous_name".into(),
        message: "something else".into(),
        hint: None,
    });
    let (_, err, flow) = driven.outcome();
    assert_eq!(
        (err.as_str(), flow),
        ("lanchat: something else\n", Flow::Continue)
    );
}

#[test]
fn a_private_message_not_delivered_in_time_is_4_and_says_whether_it_is_kept() {
    for (ephemeral, words) in [(false, "kept in the outbox"), (true, "is not kept")] {
        let mut driven = Driven::settled("ben");
        driven.send = driven.send.ephemeral(ephemeral);
        driven.asked();
        driven.taken();
        driven.tell(&receipt(ReceiptState::Sent, 0, 1, vec![peer_ref("ben", 3)]));
        driven.pass(10_000);
        let (_, err) = driven.ends_with(ExitCode::NotDelivered);
        let first = "lanchat: not delivered to ben within 10 s\nhint: ";
        assert!(err.starts_with(first) && err.contains(words), "{err}");
    }
    let mut driven = Driven::settled("ben");
    driven.asked();
    driven.taken();
    driven.tell(&receipt(ReceiptState::Failed, 0, 1, Vec::new()));
    let (_, err) = driven.ends_with(ExitCode::NotDelivered);
    assert!(err.contains("given up"), "{err}");
}

#[test]
fn a_room_waits_until_its_roster_has_settled() {
    let mut driven = Driven::started("#Lobby");
    let mut unconfirmed = peer("dan", 5);
    if let Event::Peer { confirmed, .. } = &mut unconfirmed {
        *confirmed = false;
    }
    driven.tell(&unconfirmed);
    driven.pass(100);
    driven.tell(&peer("ben", 3));
    driven.pass(299);
    assert_eq!(driven.asked(), None, "settled too early");
    driven.tell(&peer("cay", 4));
    driven.pass(299);
    assert_eq!(driven.asked(), None, "cay was new");
    driven.pass(1);
    assert_eq!(driven.asked().as_deref(), Some("#lobby"));
    driven.taken();
    driven.tell(&receipt(ReceiptState::Sent, 1, 2, vec![peer_ref("cay", 4)]));
    driven.tell(&receipt(ReceiptState::Delivered, 2, 2, Vec::new()));
    let (out, _) = driven.ends_with(ExitCode::Done);
    assert_eq!(out, "delivered to 2 of 2 in #lobby\n");
}

#[test]
fn a_busy_room_settles_after_a_second_at_most() {
    let mut driven = Driven::started("#lobby");
    for id in 1..=9 {
        driven.tell(&peer("somebody", id));
        driven.pass(100);
        assert_eq!(driven.asked(), None, "after {id}00 ms");
    }
    driven.tell(&peer("somebody", 10));
    driven.pass(100);
    assert!(driven.asked().is_some());
}

#[test]
fn nobody_in_the_lobby_is_4_after_a_second() {
    let mut driven = Driven::started("#lobby");
    let mut one_shot = peer("one-shot", 4);
    if let Event::Peer { transient, .. } = &mut one_shot {
        *transient = true;
    }
    driven.tell(&one_shot);
    driven.tell(&peer("ben", 3));
    driven.tell(&in_state(peer("ben", 3), PeerState::Left));
    driven.pass(1000);
    assert_eq!(driven.asked(), None);
    let (_, err) = driven.ends_with(ExitCode::NotDelivered);
    assert!(err.starts_with("lanchat: nobody is here\nhint: "), "{err}");

    // The node sees nobody either.
    let mut driven = Driven::started("#lobby");
    driven.tell(&peer("ben", 3));
    driven.pass(300);
    driven.taken();
    driven.tell(&receipt(ReceiptState::Sent, 0, 0, Vec::new()));
    driven.ends_with(ExitCode::NotDelivered);
}

#[test]
fn another_room_is_waited_for() {
    let mut driven = Driven::started("#games");
    driven.tell(&peer("ben", 3));
    driven.pass(5000);
    assert_eq!(
        driven.asked().as_deref(),
        Some("#games"),
        "it may be locked"
    );
    driven.refuse("no_such_room");
    assert_eq!(driven.asked(), None, "ben is in #lobby only");
    let mut player = peer("ben", 3);
    if let Event::Peer { rooms, .. } = &mut player {
        rooms.push("#games".into());
    }
    driven.tell(&player);
    assert_eq!(driven.asked().as_deref(), Some("#games"));

    let mut driven = Driven::started("#games");
    driven.pass(1000);
    driven.refuse("no_such_room");
    driven.pass(9000);
    let (_, err) = driven.ends_with(ExitCode::NotFound);
    assert!(err.contains("is in #games"), "{err}");
    assert!(err.contains("lanchat join '#games'"), "{err}");

    let mut driven = Driven::started("#games");
    driven.pass(1000);
    driven.refuse("room_locked");
    driven.ends_with(ExitCode::NotFound);
}

#[test]
fn who_lacks_a_room_message_is_named() {
    let mut driven = Driven::started("#lobby");
    driven.tell(&peer("ben", 3));
    driven.tell(&peer("cay", 4));
    driven.pass(300);
    driven.taken();
    driven.tell(&receipt(ReceiptState::Sent, 1, 2, vec![peer_ref("cay", 4)]));
    driven.pass(10_000);
    let (_, err) = driven.ends_with(ExitCode::NotDelivered);
    assert!(
        err.starts_with(
            "lanchat: not delivered to #lobby within 10 s: 1 of 2 have it, missing: cay\n"
        ),
        "{err}"
    );
}

#[test]
fn json_prints_the_receipts_of_this_message_even_those_before_the_reply() {
    let mut driven = Driven::new("ben", true);
    driven.tell(&network());
    driven.pass(1000);
    driven.asked();
    let delivered = receipt(ReceiptState::Delivered, 1, 1, Vec::new());
    let mut other = delivered.clone();
    if let Event::Receipt { id, .. } = &mut other {
        *id = MessageId([8; 16]);
    }
    let sent = receipt(ReceiptState::Sent, 0, 1, vec![peer_ref("ben", 3)]);
    driven.tell(&other);
    driven.tell(&sent);
    driven.tell(&delivered);
    assert_eq!(driven.send.flow(), Flow::Continue);
    driven.taken();
    let (out, _) = driven.ends_with(ExitCode::Done);
    let lines = [json::to_line(&sent), json::to_line(&delivered)];
    assert_eq!(out, lines.join("\n") + "\n");
}

#[test]
fn a_node_that_does_not_answer_is_not_waited_for_forever() {
    let mut driven = Driven::settled("ben");
    driven.asked();
    driven.pass(10_000);
    let (_, err) = driven.ends_with(ExitCode::NotDelivered);
    assert_eq!(err, "lanchat: not delivered to ben within 10 s\n");
}
