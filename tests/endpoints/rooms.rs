//! Rooms that are joined and left while the nodes run.

use std::time::Duration;

use lanchat::api::{Command, Conversation, Event, ReceiptState, TextKind};
use lanchat::id::MessageId;

use super::world::{DISK, World, lobby, seconds, three};

pub fn join(room: &str) -> Command {
    Command::Join {
        room: room.into(),
        passphrase: None,
        generate: false,
    }
}

fn leave(room: &str) -> Command {
    Command::Leave { room: room.into() }
}

fn room(name: &str) -> Conversation {
    Conversation::Room(name.into())
}

#[test]
fn a_room_joined_at_run_time_is_for_its_members_alone() {
    for seed in 1..=5 {
        let mut world = three(0.1, seed);
        world.ask(0, join("#games"));
        world.ask(1, join("#Games"));
        world.run_until(seconds(5), |w| {
            (0..2).all(|at| w.room(at, "#games") == Some((true, 1)))
                && w.room(2, "#games") == Some((false, 2))
        });
        world.nodes[0].events.clear();
        world.send(0, "#games", "your turn");
        world.run(seconds(2));
        assert_eq!(world.texts(1, &room("games")), ["your turn"]);
        assert_eq!(world.texts(2, &room("games")), [""; 0]);
        let receipts = world.receipts(0);
        assert_eq!(receipts.last(), Some(&(ReceiptState::Delivered, 1, 1)));
        assert!(receipts.iter().all(|&(_, _, of)| of == 1), "{receipts:?}");
        world.nodes[0].events.clear();
        world.send(0, "#lobby", "hello");
        world.run(seconds(2));
        let last = world.receipts(0).last().copied();
        assert_eq!(last, Some((ReceiptState::Delivered, 2, 2)));
    }
}

#[test]
fn what_was_joined_and_left_is_remembered() {
    let mut world = three(0.0, 1);
    world.ask(0, join("#games"));
    world.ask(0, leave("#lobby"));
    world.run(seconds(1));
    assert_eq!(world.room(0, "#lobby"), Some((false, 2)));
    assert_eq!(world.room(1, "#lobby"), Some((true, 1)));
    world.kill(0);
    world.run(Duration::from_millis(100));
    world.nodes[0].events.clear();
    world.boot(0);
    world.run(seconds(2));
    let names: Vec<&str> = world
        .endpoint(0)
        .rooms()
        .map(|name| name.as_str())
        .collect();
    assert_eq!(names, ["games"]);
    assert_eq!(world.room(0, "#games"), Some((true, 0)));
    world.send(1, "#lobby", "without you");
    world.run(seconds(1));
    assert_eq!(world.texts(0, &lobby()), [""; 0]);
    world.ask(0, join("#lobby"));
    world.run(seconds(1));
    world.send(1, "#lobby", "with you");
    world.run(seconds(1));
    assert_eq!(world.texts(0, &lobby()), ["with you"]);
}

#[test]
fn an_open_room_takes_lines_of_who_is_not_in_it_and_none_where_nobody_is() {
    let mut world = three(0.0, 2);
    world.ask(1, join("#help"));
    world.run(seconds(1));
    world.nodes[0].events.clear();
    world.send(0, "#help", "is anybody there?");
    world.run(seconds(2));
    assert_eq!(world.texts(1, &room("help")), ["is anybody there?"]);
    let last = world.receipts(0).last().copied();
    assert_eq!(last, Some((ReceiptState::Delivered, 1, 1)));
    world.send(1, "#help", "I am");
    world.run(seconds(1));
    assert_eq!(world.texts(0, &room("help")), [""; 0], "not a member");
    assert_eq!(world.errors(0), [""; 0]);
    world.send(0, "#nowhere", "hello");
    world.ask(0, leave("#help"));
    assert_eq!(world.errors(0), ["no_such_room", "no_such_room"]);
}

#[test]
fn receipts_do_not_wait_for_who_left_the_room() {
    let mut world = three(0.0, 3);
    world.stop_hearing(2);
    world.nodes[0].events.clear();
    world.send(0, "#lobby", "hello");
    world.run(seconds(1));
    assert_eq!(world.receipts(0).last(), Some(&(ReceiptState::Sent, 1, 2)));
    // What eva says still arrives, her leaving among it.
    world.ask(2, leave("#lobby"));
    world.run(seconds(2));
    let last = world.receipts(0).last().copied();
    assert_eq!(last, Some((ReceiptState::Delivered, 1, 2)));
}

#[test]
fn a_seventh_room_is_refused_and_so_are_names_too_long_together() {
    let mut world = World::new(0.0, 1);
    world.add("ana");
    world.run(seconds(1));
    for number in 1..=6 {
        world.ask(0, join(&format!("#room{number}")));
    }
    assert_eq!(world.errors(0), ["too_many_rooms"]);
    world.ask(0, leave("#room1"));
    world.ask(0, join("#room6"));
    assert_eq!(world.errors(0), ["too_many_rooms"], "there was room");
    assert_eq!(world.endpoint(0).rooms().count(), 6);

    let mut world = World::new(0.0, 1);
    world.add("ana");
    world.run(seconds(1));
    for number in 1..=5 {
        let name = format!("#{number}{}", "x".repeat(31));
        world.ask(0, join(&name));
    }
    assert_eq!(world.errors(0), [""; 0]);
    let away = || Command::Status {
        status: lanchat::api::Status::Away,
        text: "x".repeat(48),
    };
    world.ask(0, away());
    assert_eq!(world.errors(0), ["too_long"], "beside the rooms");
    world.ask(0, leave("#lobby"));
    world.ask(0, leave(&format!("#5{}", "x".repeat(31))));
    world.ask(0, away());
    world.ask(0, join(&format!("#5{}", "x".repeat(31))));
    assert_eq!(world.errors(0), ["too_long", "too_many_rooms"]);
    assert_eq!(world.endpoint(0).rooms().count(), 4);
}

/// The messages told to a node: kind, text, whether it is taken back, what it names.
pub type Told = (TextKind, String, bool, Option<MessageId>);

pub fn told(world: &World, at: usize) -> Vec<(MessageId, Told)> {
    let message = |(_, event): &(std::time::Instant, Event)| match event {
        Event::Message {
            id,
            kind,
            text,
            answers,
            redacted,
            ..
        } => Some((*id, (*kind, text.clone(), *redacted, *answers))),
        _ => None,
    };
    world.nodes[at].events.iter().filter_map(message).collect()
}

pub fn topic(world: &World, at: usize) -> String {
    let topic = |(_, event): &(std::time::Instant, Event)| match event {
        Event::Room { topic, .. } => Some(topic.clone()),
        _ => None,
    };
    let mut events = world.nodes[at].events.iter().rev();
    events.find_map(topic).unwrap_or_default()
}

#[test]
fn a_topic_is_that_of_the_room_for_everybody_and_an_answer_names_what_it_answers() {
    let mut world = three(0.1, 4);
    let text = "lunch at 12".to_owned();
    let room = "#lobby".to_owned();
    world.ask(0, Command::Topic { room, text });
    world.run(seconds(2));
    for at in 0..3 {
        assert_eq!(topic(&world, at), "lunch at 12");
    }
    world.send(1, "#lobby", "who comes?");
    world.run(seconds(2));
    let question = told(&world, 2).last().unwrap().0;
    let answer = Command::Send {
        to: "#lobby".into(),
        text: "I do".into(),
        kind: TextKind::Text,
        answers: Some(question),
    };
    world.ask(2, answer);
    world.run(seconds(2));
    for at in 0..3 {
        let last = told(&world, at).pop().unwrap().1;
        assert_eq!(
            last,
            (TextKind::Reply, "I do".into(), false, Some(question))
        );
    }
}

#[test]
fn a_topic_that_was_taken_back_makes_way_for_the_one_before() {
    let mut world = three(0.0, 6);
    let mut ids = Vec::new();
    for (by, text) in [(0, "one"), (1, "two"), (1, "three")] {
        let (room, text) = ("#lobby".to_owned(), text.to_owned());
        world.ask(by, Command::Topic { room, text });
        world.run(seconds(2));
        ids.push(told(&world, 2).last().unwrap().0);
    }
    // One that another has followed changes nothing.
    for (by, taken_back, wanted) in [(1, 1, "three"), (1, 2, "one"), (0, 0, "")] {
        let id = ids[taken_back];
        world.ask(by, Command::Redact { id });
        world.run(seconds(2));
        for at in 0..3 {
            assert_eq!(topic(&world, at), wanted, "{at}");
        }
        world.kill(2);
        world.nodes[2].events.clear();
        world.boot(2);
        world.run(seconds(3));
        assert_eq!(topic(&world, 2), wanted, "after a restart");
    }
    // The next one is one like any other.
    let (room, text) = ("#lobby".to_owned(), "four".to_owned());
    world.ask(2, Command::Topic { room, text });
    world.run(seconds(2));
    assert!((0..3).all(|at| topic(&world, at) == "four"));
}

#[test]
fn what_its_author_takes_back_is_gone_everywhere_and_nobody_else_can() {
    for seed in 1..=5 {
        let mut world = three(0.2, seed);
        world.send(0, "#lobby", "the secret");
        world.send(1, "#lobby", "a line of ben");
        world.run(seconds(4));
        let of = |world: &World, text: &str| {
            let mut all = told(world, 2).into_iter();
            all.find(|(_, (_, said, ..))| said == text).unwrap().0
        };
        let (secret, bens) = (of(&world, "the secret"), of(&world, "a line of ben"));
        world.ask(0, Command::Redact { id: bens });
        world.ask(0, Command::Redact { id: secret });
        world.run(seconds(4));
        assert_eq!(world.errors(0), ["not_yours"]);
        for at in 0..3 {
            let last = told(&world, at).pop().unwrap().1;
            assert_eq!(
                last,
                (TextKind::Redaction, String::new(), false, Some(secret))
            );
            let kept = format!("{:?}", world.nodes[at].disk.entries.values());
            let bytes = format!("{:?}", b"the secret");
            let bytes = bytes.trim_matches(['[', ']']);
            assert!(!kept.contains(bytes), "seed {seed}: {at} keeps it");
            let entries = world.nodes[at].disk.entries.len();
            assert_eq!(entries, 3, "the stub, ben's, the redaction");
        }
        world.ask(0, Command::Redact { id: secret });
        world.run(seconds(1));
        assert_eq!(world.errors(0), ["not_yours", "no_such_message"]);
    }
}

#[test]
fn a_stub_is_believed_only_once_its_author_took_it_back() {
    let mut world = three(0.0, 6);
    world.stop_hearing(2);
    world.send(0, "#lobby", "the secret");
    world.run(Duration::from_millis(100));
    let secret = told(&world, 1).last().unwrap().0;
    world.ask(0, Command::Redact { id: secret });
    world.run(Duration::from_millis(500));
    assert_eq!(told(&world, 2), []);
    world.cut.clear();
    world.run(seconds(20));
    // What is left of it can only be asked for, and comes after the redaction that allows it.
    let texts = told(&world, 2);
    assert!(
        texts.iter().all(|(_, (_, text, ..))| text.is_empty()),
        "{texts:?}"
    );
    let stub = texts.iter().find(|(id, _)| *id == secret).unwrap();
    assert_eq!(stub.1, (TextKind::Text, String::new(), true, None));
}

#[test]
fn what_was_taken_back_while_somebody_was_out_of_the_room_is_told_once_to_who_is_back() {
    let mut world = three(0.0, 7);
    (0..3).for_each(|at| world.ask(at, join("#games")));
    world.run(seconds(2));
    world.send(0, "#games", "the secret");
    world.run(seconds(2));
    let secret = told(&world, 2).last().unwrap().0;
    world.ask(2, leave("#games"));
    world.run(seconds(2));
    assert_eq!(world.room(2, "#games"), Some((false, 2)));
    world.ask(0, Command::Redact { id: secret });
    world.run(seconds(2));
    world.ask(2, join("#games"));
    world.run(seconds(20));
    assert_eq!(world.room(2, "#games"), Some((true, 2)), "it is told anew");
    let all = told(&world, 2).into_iter();
    let takes_back = |(_, (kind, ..)): &(MessageId, Told)| *kind == TextKind::Redaction;
    assert_eq!(all.filter(takes_back).count(), 1);
}

/// Left while the redaction waits behind a gap, or is on its way to the disk: it is in the store then
/// and does not come again.
#[test]
fn what_was_taken_back_as_somebody_left_the_room_is_told_to_who_is_back() {
    for after in [Duration::ZERO, DISK * 2] {
        let mut world = three(0.0, 10);
        (0..3).for_each(|at| world.ask(at, join("#games")));
        world.run(seconds(2));
        world.send(0, "#games", "the secret");
        world.run(seconds(2));
        let secret = told(&world, 2).last().unwrap().0;
        world.stop_hearing(2);
        world.send(0, "#games", "missed");
        world.run(Duration::from_millis(1));
        world.cut.clear();
        world.ask(0, Command::Redact { id: secret });
        let entries = |world: &World| world.nodes[2].disk.entries.len();
        world.run_until(seconds(1), |world| entries(world) == 2);
        world.run(after);
        world.ask(2, leave("#games"));
        world.run(Duration::from_millis(20));
        let takes_back = |(_, (kind, ..)): &(MessageId, Told)| *kind == TextKind::Redaction;
        let count = |world: &World| told(world, 2).into_iter().filter(takes_back).count();
        assert_eq!(count(&world), 0, "it is not in the room");
        let has = |bytes: &[u8]| bytes.windows(10).any(|part| part == b"the secret");
        let mut kept = world.nodes[2].disk.entries.values();
        assert!(!kept.any(|(_, bytes)| has(bytes)), "after {after:?}");
        world.ask(2, join("#games"));
        world.run(seconds(20));
        assert_eq!(count(&world), 1, "after {after:?}");
    }
}

#[test]
fn what_was_taken_back_as_the_process_ended_is_gone_in_the_next_run() {
    let mut world = three(0.0, 8);
    world.send(0, "#lobby", "the secret");
    world.run(seconds(2));
    let secret = told(&world, 2).last().unwrap().0;
    world.ask(0, Command::Redact { id: secret });
    let entries = |world: &World| world.nodes[2].disk.entries.len();
    world.run_until(seconds(2), |world| entries(world) == 2);
    world.kill_process(2);
    let keeps = |world: &World| {
        let kept = world.nodes[2].disk.entries.values();
        let has = |bytes: &[u8]| bytes.windows(10).any(|part| part == b"the secret");
        kept.filter(|(_, bytes)| has(bytes)).count()
    };
    assert_eq!(keeps(&world), 1, "not yet");
    world.boot(2);
    world.run(seconds(5));
    assert_eq!(keeps(&world), 0);
}

#[test]
fn no_copy_of_what_was_taken_back_leaves_any_more() {
    let mut world = three(0.3, 9);
    world.send(0, "#lobby", "the secret");
    world.run(Duration::from_millis(3));
    let has = |bytes: &[u8]| bytes.windows(10).any(|part| part == b"the secret");
    assert!(world.sent.iter().any(|(_, bytes)| has(bytes)), "it left");
    let secret = told(&world, 0).last().unwrap().0;
    world.ask(0, Command::Redact { id: secret });
    world.run(Duration::from_millis(3));
    assert!(told(&world, 0).last().unwrap().1.0 == TextKind::Redaction);
    world.sent.clear();
    world.run(seconds(5));
    let late = world.sent.iter().filter(|(_, bytes)| has(bytes));
    assert_eq!(late.count(), 0);
}
