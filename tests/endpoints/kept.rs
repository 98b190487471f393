//! What is kept, and what is not: restarts, full disks, rooms that are only visited, liars.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lanchat::api::{Command, Event, TextKind};
use lanchat::durable::EntryHead;
use lanchat::id::{NetworkId, RoomId};
use lanchat::proto::Identity;
use lanchat::wire::{self, Body, Entry, EntryFields, EntryKind, Hello, Parsed, Welcome};

use crate::hostile::packet;
use crate::rooms::{join, told, topic};
use crate::world::{World, lobby, seconds, three};

const YEAR_2099_MS: u64 = 4_070_908_800_000;

#[test]
fn a_stub_is_believed_after_a_restart_as_well() {
    let mut world = three(0.0, 91);
    world.send(0, "#lobby", "first");
    world.run(seconds(1));
    world.stop_hearing(2);
    world.send(0, "#lobby", "the secret");
    world.run(Duration::from_millis(100));
    let secret = told(&world, 1).last().unwrap().0;
    world.ask(0, Command::Redact { id: secret });
    world.run(Duration::from_millis(500));
    world.cut.clear();
    // The redaction comes with the stub and behind it: the stub is asked for again.
    let both = |world: &World| world.nodes[2].disk.entries.len() == 2;
    world.run_until(seconds(30), both);
    world.kill(2);
    world.boot(2);
    world.run(seconds(40));
    let texts = told(&world, 2);
    let stub = texts.iter().find(|(id, _)| *id == secret).unwrap();
    assert_eq!(stub.1, (TextKind::Text, String::new(), true, None));
}

/// The redaction came in an earlier run, what is left of the line comes by an exchange of histories:
/// it is not asked for again, and no digest tells that it is missing.
#[test]
fn a_stub_that_comes_by_an_exchange_is_kept_once_the_store_told_of_its_redaction() {
    let mut world = World::new(0.0, 92);
    ["ana", "ben"].into_iter().for_each(|name| {
        world.add(name);
    });
    world.run(seconds(3));
    world.send(0, "#lobby", "the secret");
    world.run(seconds(1));
    let secret = told(&world, 1).last().unwrap().0;
    world.ask(0, Command::Redact { id: secret });
    world.run(seconds(2));
    world.kill(1);
    let stub = *world.nodes[1].disk.entries.keys().next().unwrap();
    assert_eq!(stub.3, 1, "the line");
    world.nodes[1].disk.entries.remove(&stub);
    world.boot(1);
    world.run(seconds(60));
    let entries = &world.nodes[1].disk.entries;
    let numbers: Vec<u32> = entries.keys().map(|key| key.3).collect();
    assert_eq!(numbers, [1, 2]);
    let (_, bytes) = &entries[&stub];
    assert_eq!(EntryHead::of(bytes).unwrap().body, None);
}

/// Who is not in a room has its own lines there to itself: no digest of a member names them.
#[test]
fn who_spoke_into_a_room_from_outside_tells_where_that_log_stands() {
    let mut world = World::new(0.0, 93);
    ["ana", "ben"].into_iter().for_each(|name| {
        world.add(name);
    });
    world.run_until(seconds(30), World::all_listed);
    world.ask(1, join("#tea"));
    world.run(seconds(2));
    for text in ["one", "two"] {
        world.send(0, "#tea", text);
        world.run(seconds(2));
    }
    // Until the last HEADS were said.
    world.run(seconds(20));
    world.forget();
    let eva = world.add("eva");
    world.ask(eva, join("#tea"));
    world.run_until(seconds(30), World::all_listed);
    world.run(seconds(2));
    let tea = RoomId::public("tea").tag();
    let from_ana = world.sent.iter().filter(|(from, _)| *from == 0);
    let bodies = from_ana.filter_map(|(_, bytes)| match wire::parse(bytes) {
        Ok(Parsed::Packet(packet)) => Some(packet.body),
        _ => None,
    });
    let (mut in_greeting, mut in_heads) = (Vec::new(), Vec::new());
    for body in bodies {
        match body {
            Body::Hello(Hello { logs, .. }) | Body::Welcome(Welcome { logs, .. }) => {
                in_greeting.extend(logs.iter().filter(|log| log.room == tea).map(|log| log.seq));
            }
            Body::Heads(heads) if heads.room == tea => in_heads.push(heads.seq),
            _ => {}
        }
    }
    assert!(in_greeting.contains(&2), "{in_greeting:?}");
    assert!(in_heads.contains(&2), "{in_heads:?}");
}

#[test]
fn a_visited_room_that_makes_way_uses_no_number_twice() {
    let mut world = World::new(0.0, 92);
    for name in ["ana", "ben", "eva", "kim", "leo"] {
        world.add(name);
    }
    world.run_until(seconds(30), World::all_listed);
    world.run(seconds(1));
    let mut rooms = Vec::new();
    for index in 1..5 {
        for number in 0..5 {
            let name = format!("#r{index}{number}");
            world.ask(index, join(&name));
            rooms.push(name);
        }
    }
    world.run(seconds(2));
    for room in &rooms {
        world.send(0, room, "in the first run");
        world.run(seconds(1));
    }
    // What was said in the first run is known of the store alone.
    world.kill(0);
    world.boot(0);
    world.run_until(seconds(30), World::all_listed);
    world.run(seconds(2));
    for text in ["one", "two", "three"] {
        for room in &rooms {
            world.send(0, room, text);
            world.run(seconds(1));
        }
    }
    let mut numbers: BTreeMap<(RoomId, u64, u32), BTreeSet<[u8; 32]>> = BTreeMap::new();
    for (_, bytes) in world.sent.iter().filter(|(from, _)| *from == 0) {
        if let Ok(Parsed::Packet(packet)) = wire::parse(bytes)
            && let Body::Data(entry) = packet.body
        {
            let of_room = |name: &&String| RoomId::public(&name[1..]).tag() == entry.room;
            let room = RoomId::public(&rooms.iter().find(of_room).unwrap()[1..]);
            let hashes = numbers.entry((room, entry.epoch, entry.seq)).or_default();
            hashes.insert(entry.hash(&room));
        }
    }
    assert_eq!(numbers.len(), 4 * rooms.len());
    let twice = numbers.values().find(|hashes| hashes.len() > 1);
    assert_eq!(twice, None);
}

/// One more entry of somebody whose key is in other hands.
fn entry(author: &Identity, kind: EntryKind, at: (u64, u32, u64), text: &str) -> Entry {
    let (epoch, seq, said_ms) = at;
    let fields = EntryFields {
        author: author.public(),
        network: NetworkId([9; 8]),
        epoch,
        seq,
        hlc: said_ms << 16,
        prev: [0; 32],
        kind,
        deps: Vec::new(),
        body: text.as_bytes().to_vec(),
    };
    Entry::build(fields, &RoomId::public("lobby"), &mut |b| author.sign(b)).unwrap()
}

fn tell(world: &mut World, entry: Entry) {
    let eva = Identity::from_secret(&[3; 32]);
    let source = world.nodes[2].address;
    let bytes = packet(&eva, entry.seq, &Body::Data(entry));
    for index in [0, 1] {
        world.inject(index, source, true, &bytes);
    }
    world.run(Duration::from_millis(20));
}

#[test]
fn who_contradicts_itself_in_a_hundred_logs_is_named_once_an_hour() {
    let mut world = three(0.0, 93);
    let eva = Identity::from_secret(&[3; 32]);
    world.kill(2);
    let lie = |world: &mut World, epoch: u64| {
        for text in ["one", "another"] {
            let at = (epoch, 1, 1_790_000_000_000);
            tell(world, entry(&eva, EntryKind::TEXT, at, text));
        }
    };
    let count = |world: &World| {
        let errors = world.errors(0).into_iter();
        errors.filter(|code| code == "equivocation").count()
    };
    for epoch in 0..100 {
        lie(&mut world, 1_790_000_000_000 + epoch);
    }
    assert_eq!(count(&world), 1);
    world.run(seconds(3601));
    lie(&mut world, 1_790_000_001_000);
    assert_eq!(count(&world), 2);
}

#[test]
fn a_topic_of_2099_can_be_changed() {
    let mut world = three(0.0, 94);
    let eva = Identity::from_secret(&[3; 32]);
    world.kill(2);
    let at = (1_790_000_000_000, 1, YEAR_2099_MS);
    tell(&mut world, entry(&eva, EntryKind::TOPIC, at, "for ever"));
    for (by, text) in [(0, "not so"), (1, "nor that"), (0, "")] {
        let room = "#lobby".to_owned();
        let text = text.to_owned();
        let command = Command::Topic {
            room,
            text: text.clone(),
        };
        world.ask(by, command);
        world.run(seconds(2));
        assert_eq!((topic(&world, 0), topic(&world, 1)), (text.clone(), text));
    }
}

#[test]
fn the_topic_is_known_after_ever_so_many_lines_and_a_restart() {
    let mut world = three(0.0, 95);
    let (room, text) = ("#lobby".to_owned(), "lunch at 12".to_owned());
    world.ask(0, Command::Topic { room, text });
    for number in 0..250 {
        world.send(1, "#lobby", &format!("line {number}"));
        world.run(Duration::from_millis(60));
    }
    for index in [0, 2] {
        world.kill(index);
        world.nodes[index].events.clear();
        world.boot(index);
    }
    world.run(seconds(5));
    assert_eq!(
        (topic(&world, 0), topic(&world, 2)),
        ("lunch at 12".to_owned(), "lunch at 12".to_owned())
    );
}

#[test]
fn what_was_shown_and_could_not_be_kept_can_be_taken_back() {
    let mut world = three(0.0, 96);
    world.send(0, "#lobby", "before");
    world.run(seconds(1));
    world.disk_fails = true;
    for (by, text) in [(0, "the secret"), (1, "another secret")] {
        world.send(by, "#lobby", text);
        world.run(seconds(1));
    }
    let secrets: Vec<_> = told(&world, 2)
        .into_iter()
        .filter(|(_, (_, text, ..))| text.ends_with("secret"))
        .collect();
    assert_eq!(secrets.len(), 2);
    world.ask(0, Command::Redact { id: secrets[1].0 });
    world.run(seconds(1));
    assert_eq!(
        world.errors(0).last().map(String::as_str),
        Some("not_yours")
    );
    for (by, (id, _)) in secrets.iter().enumerate() {
        world.ask(by, Command::Redact { id: *id });
    }
    world.run(seconds(1));
    for index in 0..3 {
        let redactions = told(&world, index).into_iter();
        let redactions = redactions
            .filter_map(|(_, (kind, _, _, about))| about.filter(|_| kind == TextKind::Redaction));
        let about: BTreeSet<_> = redactions.collect();
        let all: BTreeSet<_> = secrets.iter().map(|(id, _)| *id).collect();
        assert_eq!(about, all, "{index}");
    }
    world.disk_fails = false;
    world.run(seconds(90));
    for (index, node) in world.nodes.iter().enumerate() {
        let entries = node.disk.entries.values();
        let bodies = entries.filter_map(|(_, bytes)| EntryHead::of(bytes)?.body);
        let texts: Vec<String> = bodies
            .map(|body| String::from_utf8(body).unwrap())
            .filter(|text| !text.is_empty())
            .collect();
        assert_eq!(texts, ["before"], "{index}");
        assert_eq!(node.disk.entries.len(), 5, "{index}");
    }
}

/// As after a full disk: an exchange brings the redaction before the line is kept.
#[test]
fn a_redaction_that_comes_again_is_told_once_though_its_line_is_not_kept() {
    let mut world = three(0.0, 95);
    (0..3).for_each(|at| world.ask(at, join("#games")));
    world.run(seconds(2));
    world.send(0, "#games", "the secret");
    world.run(seconds(1));
    let secret = told(&world, 2).last().unwrap().0;
    world.ask(0, Command::Redact { id: secret });
    world.run(seconds(1));
    let of = |(_, bytes): &(usize, Vec<u8>)| match wire::parse(bytes) {
        Ok(Parsed::Packet(packet)) => match packet.body {
            Body::Data(entry) if entry.kind == EntryKind::REDACTION => Some(entry),
            _ => None,
        },
        _ => None,
    };
    let redaction = world.sent.iter().find_map(of).unwrap();
    let leave = Command::Leave {
        room: "#games".into(),
    };
    world.ask(2, leave);
    world.stop_hearing(2);
    world.nodes[2].disk.entries.clear();
    world.ask(2, join("#games"));
    let ana = Identity::from_secret(&[1; 32]);
    let bytes = packet(&ana, 1, &Body::Data(redaction));
    let source = world.nodes[0].address;
    world.inject(2, source, true, &bytes);
    world.run(seconds(1));
    assert_eq!(world.nodes[2].disk.entries.len(), 1, "it came again");
    let all = told(&world, 2).into_iter();
    let redactions = all.filter(|(_, (kind, ..))| *kind == TextKind::Redaction);
    assert_eq!(redactions.count(), 1);
}

#[test]
fn rooms_and_stubs_of_a_full_disk_are_kept_once_there_is_room() {
    let mut world = three(0.0, 97);
    world.send(0, "#lobby", "the secret");
    world.run(seconds(1));
    let secret = told(&world, 1).last().unwrap().0;
    world.disk_fails = true;
    world.ask(1, join("#games"));
    world.ask(2, join("#games"));
    world.run(seconds(1));
    let leave = Command::Leave {
        room: "#games".into(),
    };
    world.ask(2, leave);
    world.ask(0, Command::Redact { id: secret });
    world.run(seconds(3));
    world.disk_fails = false;
    world.run(seconds(61));
    for (index, joined) in [(1, true), (2, false)] {
        world.kill(index);
        world.boot(index);
        let rooms: Vec<String> = world
            .endpoint(index)
            .rooms()
            .map(ToString::to_string)
            .collect();
        assert_eq!(rooms.contains(&"games".to_owned()), joined, "{rooms:?}");
    }
    for node in &world.nodes {
        let secret = node
            .disk
            .entries
            .values()
            .find(|(hash, _)| hash[..16] == secret.0);
        let (_, bytes) = secret.unwrap();
        assert_eq!(EntryHead::of(bytes).unwrap().body, None, "{}", node.name);
    }
    let kept = |(_, event): &(_, Event)| matches!(event, Event::Store { kept: true, .. });
    assert!(world.nodes[0].events.iter().any(kept));
}

#[test]
fn what_the_store_has_otherwise_is_said_anew_in_another_epoch() {
    let mut world = three(0.0, 98);
    world.send(0, "#lobby", "one");
    world.run(seconds(1));
    world.disk_forks = 1;
    for text in ["two", "three", "four"] {
        world.send(0, "#lobby", text);
    }
    world.run(seconds(5));
    for index in 1..3 {
        let all = ["one", "two", "three", "four"];
        assert_eq!(world.texts(index, &lobby()), all);
        assert_eq!(world.errors(index), Vec::<String>::new());
    }
    let ben = &world.nodes[1].disk;
    let numbers: Vec<u32> = ben.entries.keys().map(|key| key.3).collect();
    assert_eq!(
        numbers,
        [1, 1, 2, 3],
        "nothing of the first epoch after that"
    );
    assert_eq!(world.nodes[0].disk.epochs.len(), 1, "the first is retired");
}

#[test]
fn an_epoch_that_was_abandoned_with_a_full_disk_is_retired_once_there_is_room() {
    let mut world = three(0.0, 99);
    world.send(0, "#lobby", "one");
    world.run(seconds(1));
    let epoch = world.nodes[0].disk.epochs[0].epoch;
    world.disk_fails = true;
    let ana = Identity::from_secret(&[1; 32]);
    let at = (epoch, 9, 1_790_000_000_000);
    let beyond = entry(&ana, EntryKind::TEXT, at, "by a copy of this node");
    let source = world.nodes[1].address;
    let ben = Identity::from_secret(&[2; 32]);
    let bytes = packet(&ben, 1, &Body::Data(beyond));
    world.inject(0, source, true, &bytes);
    world.run(seconds(1));
    assert_eq!(world.nodes[0].disk.epochs.len(), 1);
    world.disk_fails = false;
    world.run(seconds(61));
    assert_eq!(world.nodes[0].disk.epochs.len(), 0, "retired");
}

#[test]
fn history_that_came_while_the_disk_was_full_is_kept_once_there_is_room() {
    let mut world = World::new(0.0, 90);
    world.add("ana");
    world.add("ben");
    world.run(seconds(5));
    for number in 0..30 {
        world.send(0, "#lobby", &format!("line {number}"));
        world.run(Duration::from_millis(100));
    }
    world.run(seconds(2));
    world.add("eva");
    world.disk_fails = true;
    world.run(seconds(8));
    assert_eq!(world.nodes[2].disk.entries.len(), 0);
    let told = |event: &Event| matches!(event, Event::Store { kept: false, .. });
    let events = world.nodes[2].events.iter();
    assert_eq!(events.filter(|(_, event)| told(event)).count(), 1);
    // Nobody is there any more who could be asked again.
    world.kill(0);
    world.kill(1);
    world.disk_fails = false;
    world.run(seconds(61));
    assert_eq!(world.nodes[2].disk.entries.len(), 30);
}
