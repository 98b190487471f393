//! Long text in a room: several entries, one message.

use std::time::Duration;

use lanchat::api::{Command, Event, ReceiptState, TextKind};
use lanchat::durable::EntryHead;
use lanchat::id::{MessageId, NetworkId, RoomId};
use lanchat::proto::Identity;
use lanchat::wire::{self, Body, Entry, EntryFields, EntryKind, Nack, Packet, Parsed, Run};

use crate::actor::Actor;
use crate::hostile::packet;
use crate::rooms::{Told, told};
use crate::world::{Node, World, lobby, seconds, three};

/// 16 KiB, of characters of one to three bytes.
fn long(name: char) -> String {
    let mut text = String::new();
    for character in ['a', 'é', '€', name].into_iter().cycle() {
        if text.len() + character.len_utf8() > 16 * 1024 {
            break;
        }
        text.push(character);
    }
    text
}

fn plain(text: &str) -> Told {
    (TextKind::Text, text.to_owned(), false, None)
}

#[test]
fn sixteen_kib_arrive_as_one_message_with_one_receipt_at_30_percent_loss() {
    for seed in 1..=4 {
        let mut world = three(0.3, 100 + seed);
        world.send(0, "#lobby", "before");
        let (one, two) = (long('1'), long('2'));
        world.send(0, "#lobby", &one);
        world.send(1, "#lobby", &two);
        world.send(0, "#lobby", "after");
        world.run(seconds(30));
        for index in 1..3 {
            let texts = world.texts(index, &lobby());
            let mut of_ana: Vec<&String> = texts.iter().collect();
            of_ana.retain(|text| **text != two);
            assert_eq!(of_ana, ["before", &one, "after"], "{index}");
        }
        assert!(world.texts(2, &lobby()).contains(&two));
        let receipts = world.receipts(0).into_iter();
        let all = receipts.filter(|receipt| *receipt == (ReceiptState::Delivered, 2, 2));
        assert_eq!(all.count(), 3, "one for each message");
    }
}

#[test]
fn sixteen_kib_fit_a_locked_room_and_a_byte_more_is_too_long() {
    let mut world = three(0.0, 111);
    for index in 0..3 {
        let passphrase = Some(lanchat::api::Passphrase(
            "five words that nobody else has".into(),
        ));
        let command = Command::Join {
            room: "#cave".into(),
            passphrase,
            generate: false,
        };
        world.ask(index, command);
    }
    world.run(seconds(10));
    for room in ["#lobby", "#cave"] {
        world.send(0, room, &long('1'));
        world.run(seconds(10));
        world.send(0, room, &(long('1') + "abcd"));
        let errors = world.errors(0);
        assert_eq!(
            errors.last().map(String::as_str),
            Some("too_long"),
            "{room}"
        );
    }
    let cave = lanchat::api::Conversation::Room("cave".into());
    for conversation in [lobby(), cave] {
        assert_eq!(world.texts(1, &conversation), [long('1')]);
    }
}

#[test]
fn behind_a_gap_no_part_is_shown_as_a_line_of_its_own() {
    for seed in 1..=5 {
        let mut world = three(0.0, 120 + seed);
        world.group_loss = Some(0.5);
        world.unicast_loss = Some(1.0);
        let text = long('1');
        world.send(0, "#lobby", &text);
        world.run(seconds(3));
        let gap = |(_, event): &(_, Event)| matches!(event, Event::Gap { .. });
        assert!(world.nodes[1].events.iter().any(gap), "some are missing");
        assert_eq!(world.texts(1, &lobby()).len(), 0);
        world.group_loss = None;
        world.unicast_loss = None;
        world.run(seconds(30));
        for index in [1, 2] {
            let texts = world.texts(index, &lobby());
            assert_eq!(texts, std::slice::from_ref(&text), "{index}");
        }
    }
}

#[test]
fn a_long_message_is_taken_back_as_a_whole() {
    let mut world = three(0.0, 113);
    let text = long('1');
    world.send(0, "#lobby", &text);
    world.run(seconds(5));
    let (id, said) = told(&world, 1).pop().unwrap();
    assert_eq!(said, plain(&text));
    world.ask(0, Command::Redact { id });
    world.run(seconds(20));
    for index in 0..3 {
        let redactions: Vec<Option<MessageId>> = told(&world, index)
            .into_iter()
            .filter(|(_, (kind, ..))| *kind == TextKind::Redaction)
            .map(|(_, (.., about))| about)
            .collect();
        assert_eq!(redactions, [Some(id)], "people see one");
        let entries = world.nodes[index].disk.entries.values();
        let bodies = entries.filter_map(|(_, bytes)| EntryHead::of(bytes)?.body);
        assert_eq!(bodies.map(|body| body.len()).sum::<usize>(), 0, "{index}");
    }
}

/// What is left of bodies on all disks, in bytes.
fn bodies(world: &World) -> Vec<usize> {
    let of = |node: &Node| {
        let entries = node.disk.entries.values();
        let bodies = entries.filter_map(|(_, bytes)| EntryHead::of(bytes)?.body);
        bodies.map(|body| body.len()).sum()
    };
    world.nodes.iter().map(of).collect()
}

fn redactions(world: &World, index: usize) -> Vec<Option<MessageId>> {
    let all = told(world, index).into_iter();
    let all = all.filter(|(_, (kind, ..))| *kind == TextKind::Redaction);
    all.map(|(_, (.., about))| about).collect()
}

#[test]
fn a_long_message_that_is_not_kept_is_taken_back_as_a_whole() {
    let mut world = three(0.0, 151);
    world.disk_fails = true;
    world.send(0, "#lobby", &long('1'));
    world.run(seconds(5));
    let (id, said) = told(&world, 1).pop().unwrap();
    assert_eq!(said, plain(&long('1')));
    world.ask(0, Command::Redact { id });
    world.run(seconds(5));
    for index in 0..3 {
        assert_eq!(redactions(&world, index), [Some(id)], "people see one");
    }
    // Who comes now and asks for all of it gets no word.
    let (author, epoch) = (world.id(0), said_in(&world));
    let mut actor = Actor::new(77, 66);
    for by in 0..3 {
        actor.hello(&mut world, by);
        actor.run(&mut world, seconds(2), |_| None);
        let nack = Body::Nack(Nack {
            room: RoomId::public("lobby").tag(),
            author: author.short(),
            epoch,
            runs: vec![Run { first: 1, last: 40 }],
        });
        actor.say(&mut world, by, &nack);
        let came = actor.run(&mut world, seconds(2), |_| None);
        for (_, body) in came {
            if let Body::Repair(repair) = body {
                assert!(
                    repair.entries.iter().all(|entry| entry.body.is_empty()),
                    "{by}"
                );
            }
        }
    }
    world.disk_fails = false;
    world.run(seconds(90));
    assert_eq!(bodies(&world), [0, 0, 0]);
    assert_eq!(world.nodes[1].disk.entries.len(), 38);
}

/// The epoch in which something was said last.
fn said_in(world: &World) -> u64 {
    let data = world
        .sent
        .iter()
        .rev()
        .find_map(|(_, bytes)| match wire::parse(bytes) {
            Ok(Parsed::Packet(Packet {
                body: Body::Data(entry),
                ..
            })) => Some(entry.epoch),
            _ => None,
        });
    data.unwrap()
}

#[test]
fn a_long_message_is_taken_back_as_a_whole_or_not_at_all() {
    let mut world = World::new(0.0, 152);
    (world.limits.person_rate, world.limits.person_burst) = (50, 1);
    for name in ["ana", "ben"] {
        world.add(name);
    }
    world.run_until(seconds(20), World::all_listed);
    world.run(seconds(1));
    world.send(0, "#lobby", &long('1'));
    world.run(seconds(5));
    let id = told(&world, 1).pop().unwrap().0;
    for number in 0..998 {
        world.send(0, "#lobby", &format!("{number}"));
    }
    world.ask(0, Command::Redact { id });
    world.run(Duration::from_millis(50));
    assert_eq!(world.errors(0), ["too_fast"]);
    world.run(seconds(30));
    assert_eq!(redactions(&world, 1), [], "nothing of it is taken back");
    let left = bodies(&world)[1];
    assert!(left > long('1').len(), "{left}");
    world.ask(0, Command::Redact { id });
    world.run(seconds(5));
    assert_eq!(redactions(&world, 1), [Some(id)]);
    assert_eq!(bodies(&world)[1], left - long('1').len());
}

#[test]
fn with_a_full_disk_long_text_is_one_message_too() {
    let mut world = three(0.0, 114);
    world.disk_fails = true;
    let text = long('1');
    world.send(0, "#lobby", &text);
    world.send(0, "#lobby", "after");
    world.run(seconds(10));
    for index in 1..3 {
        assert_eq!(world.texts(index, &lobby()), [text.clone(), "after".into()]);
    }
    world.disk_fails = false;
    world.run(seconds(90));
    assert_eq!(world.nodes[1].disk.entries.len(), 20);
}

/// The parts of a long text of somebody whose key is in other hands, as DATA, from this number on.
fn parts_of(text: &str, author: &Identity, from: u32) -> Vec<Vec<u8>> {
    let bodies: Vec<&[u8]> = text.as_bytes().chunks(900).collect();
    let last = bodies.len() - 1;
    let mut prev = [0; 32];
    let part = |(number, body): (usize, &&[u8])| {
        let mut kind = EntryKind::TEXT;
        if number > 0 {
            kind = kind.continuing();
        }
        if number < last {
            kind = kind.continued();
        }
        let seq = u32::try_from(number).unwrap() + from;
        let fields = EntryFields {
            author: author.public(),
            network: NetworkId([9; 8]),
            epoch: 1_790_000_000_000,
            seq,
            hlc: (1_790_000_000_000 + u64::from(seq)) << 16,
            prev,
            kind,
            deps: Vec::new(),
            body: body.to_vec(),
        };
        let room = RoomId::public("lobby");
        let entry = Entry::build(fields, &room, &mut |bytes| author.sign(bytes)).unwrap();
        prev = entry.hash(&room);
        packet(author, seq, &Body::Data(entry))
    };
    bodies.iter().enumerate().map(part).collect()
}

fn letters(len: usize) -> String {
    let letters = ('a'..='z').cycle();
    letters.take(len).collect()
}

#[test]
fn what_was_shown_whole_before_a_restart_is_not_shown_again() {
    let (text, eva) = (letters(16 * 1024), Identity::from_secret(&[3; 32]));
    let mut packets = parts_of("before", &eva, 1);
    // Number 2 nobody has, so that the store tells of nothing behind it.
    packets.extend(parts_of(&text, &eva, 3));
    let mut world = three(0.0, 150);
    let source = world.nodes[2].address;
    world.kill(2);
    let inject = |world: &mut World| {
        for bytes in &packets {
            world.inject(0, source, true, bytes);
            world.run(Duration::from_millis(100));
        }
        world.run(seconds(2));
    };
    inject(&mut world);
    assert!(world.texts(0, &lobby()) == ["before", &text]);
    world.kill(0);
    world.nodes[0].events.clear();
    world.boot(0);
    world.run(seconds(2));
    inject(&mut world);
    assert_eq!(world.texts(0, &lobby()).len(), 0);
}

#[test]
fn what_a_restart_cut_is_shown_whole_however_the_rest_comes() {
    let (text, eva) = (letters(16 * 1024), Identity::from_secret(&[3; 32]));
    let packets = parts_of(&text, &eva, 1);
    assert_eq!(packets.len(), 19);
    // What comes behind the restart; where there are holes in what came before, what is beyond
    // them comes again.
    let orders: [(&[u32], &[u32]); 4] = [
        (&[13, 14, 15, 16, 17, 18, 19], &[]),
        (&[19, 18, 17, 16, 15, 14, 13], &[]),
        (
            &[3, 5, 7, 9, 13, 14, 15, 16, 17, 18, 19, 11],
            &[10, 8, 6, 4, 12],
        ),
        (
            &[18, 19, 2, 3, 9, 10],
            &[4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16, 17],
        ),
    ];
    for (case, (order, again)) in orders.into_iter().enumerate() {
        let mut world = three(0.0, 140 + case as u64);
        let source = world.nodes[2].address;
        world.kill(2);
        let part = |seq: u32| &packets[seq as usize - 1];
        for seq in (1..=19).filter(|seq| !order.contains(seq)) {
            world.inject(0, source, true, part(seq));
        }
        world.run(seconds(2));
        world.kill(0);
        world.boot(0);
        world.run(seconds(2));
        for seq in order.iter().chain(again) {
            world.inject(0, source, true, part(*seq));
            world.run(Duration::from_millis(200));
        }
        world.run(seconds(2));
        assert_eq!(world.nodes[0].disk.entries.len(), 19, "{order:?}");
        let texts = world.texts(0, &lobby());
        assert!(
            texts == std::slice::from_ref(&text),
            "{order:?}: {}",
            texts.len()
        );
    }
}

#[test]
fn parts_of_a_kind_that_is_not_known_are_one_line_that_says_so() {
    let mut world = three(0.0, 115);
    let eva = Identity::from_secret(&[3; 32]);
    let (source, room) = (world.nodes[2].address, RoomId::public("lobby"));
    world.kill(2);
    let kind = EntryKind(42);
    let kinds = [kind.continued(), kind.continuing()];
    let mut prev = [0; 32];
    for (seq, kind) in (1..).zip(kinds) {
        let fields = EntryFields {
            author: eva.public(),
            network: NetworkId([9; 8]),
            epoch: 1_790_000_000_000,
            seq,
            hlc: (1_790_000_000_000 + u64::from(seq)) << 16,
            prev,
            kind,
            deps: Vec::new(),
            body: b"what is this?".to_vec(),
        };
        let entry = Entry::build(fields, &room, &mut |bytes| eva.sign(bytes)).unwrap();
        prev = entry.hash(&room);
        let bytes = packet(&eva, seq, &Body::Data(entry));
        world.inject(0, source, true, &bytes);
        world.run(Duration::from_millis(20));
    }
    let texts: Vec<Told> = told(&world, 0).into_iter().map(|(_, said)| said).collect();
    assert_eq!(texts, [plain("(needs a newer lanchat)")]);
}

#[test]
fn an_answer_may_be_long() {
    let mut world = three(0.0, 116);
    world.send(1, "#lobby", "a question?");
    world.run(seconds(1));
    let question = told(&world, 0).last().unwrap().0;
    let answer = Command::Send {
        to: "#lobby".into(),
        text: long('1'),
        kind: TextKind::Text,
        answers: Some(question),
    };
    world.ask(0, answer);
    world.run(seconds(5));
    let said = told(&world, 2).pop().unwrap().1;
    assert_eq!(said, (TextKind::Reply, long('1'), false, Some(question)));
}

#[test]
fn a_message_that_a_restart_cut_in_two_is_shown_whole() {
    for seed in 1..=5 {
        let mut world = three(0.0, 130 + seed);
        world.group_loss = Some(0.5);
        world.unicast_loss = Some(1.0);
        let text = long('1');
        world.send(0, "#lobby", &text);
        world.run(seconds(3));
        let held = world.nodes[1].disk.entries.len();
        assert!((1..19).contains(&held), "{held}");
        world.kill(1);
        world.group_loss = None;
        world.unicast_loss = None;
        world.boot(1);
        world.run(seconds(60));
        assert_eq!(world.nodes[1].disk.entries.len(), 19);
        let texts = world.texts(1, &lobby());
        assert_eq!(texts, std::slice::from_ref(&text));
    }
}
