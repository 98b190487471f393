//! Endpoints that talk with each other in virtual time: no socket, no clock, no disk.

mod actor;
mod detect;
mod disk;
mod faults;
mod gone;
mod helper;
mod history;
mod hostile;
mod kept;
mod limits;
mod links;
mod locked;
mod logs;
mod long;
mod networks;
mod observe;
mod order;
mod rates;
mod reach;
mod relay;
mod repair;
mod rooms;
mod sync;
mod world;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lanchat::api::{Command, Conversation, Event, PeerState, ReceiptState, Request};
use lanchat::proto::Endpoint;

use world::{Disk, World, lobby, seconds, three};

#[test]
fn two_list_each_other_within_a_few_round_trips() {
    for seed in 1..50 {
        let mut world = World::new(0.0, seed);
        world.add("ana");
        world.run(seconds(3));
        world.add("ben");
        let took = world.run_until(seconds(1), World::all_listed);
        assert!(took < Duration::from_millis(20), "{took:?}");
    }
}

#[test]
fn pairs_meet_at_30_percent_loss_each_way() {
    for seed in 1..=40 {
        let mut world = World::new(0.3, seed);
        world.add("ana");
        world.add("ben");
        world.run_until(seconds(3), World::all_listed);
    }
}

#[test]
fn a_room_message_reaches_all_and_its_receipt_says_so() {
    let mut world = three(0.0, 1);
    world.send(0, "#lobby", "hello");
    world.run(seconds(1));
    for at in 1..3 {
        assert_eq!(world.texts(at, &lobby()), ["hello"]);
    }
    let receipts = world.receipts(0);
    assert_eq!(receipts.first(), Some(&(ReceiptState::Sent, 0, 2)));
    assert_eq!(receipts.last(), Some(&(ReceiptState::Delivered, 2, 2)));
}

#[test]
fn two_hundred_room_messages_arrive_once_and_in_order_at_30_percent_loss() {
    for seed in 1..=5 {
        let mut world = three(0.3, seed);
        for number in 0..200 {
            world.send(0, "#lobby", &format!("line {number}"));
            world.run(Duration::from_millis(50));
        }
        world.run(seconds(10));
        let wanted: Vec<String> = (0..200).map(|number| format!("line {number}")).collect();
        for at in 1..3 {
            assert_eq!(world.texts(at, &lobby()), wanted, "at {at}, seed {seed}");
        }
        let last = world
            .receipts(0)
            .into_iter()
            .filter(|r| r.0 == ReceiptState::Delivered)
            .count();
        assert_eq!(last, 200);
    }
}

#[test]
fn a_lost_last_message_is_found_by_heads() {
    let mut world = three(0.0, 3);
    world.loss = 1.0;
    world.send(0, "#lobby", "lost");
    world.run(Duration::from_millis(120));
    world.loss = 0.0;
    world.run(seconds(2));
    for at in 1..3 {
        assert_eq!(world.texts(at, &lobby()), ["lost"]);
    }
}

#[test]
fn a_private_message_is_delivered_and_nobody_else_has_it() {
    let mut world = three(0.0, 4);
    world.send(0, "ben", "between us");
    world.run(seconds(1));
    let (ana, ben) = (
        Conversation::Peer(world.id(0)),
        Conversation::Peer(world.id(1)),
    );
    assert_eq!(world.texts(1, &ana), ["between us"]);
    let states: Vec<ReceiptState> = world.receipts(0).iter().map(|receipt| receipt.0).collect();
    assert_eq!(
        states,
        [
            ReceiptState::Queued,
            ReceiptState::Sent,
            ReceiptState::Delivered
        ]
    );
    for conversation in [ana, ben, lobby()] {
        assert!(world.texts(2, &conversation).is_empty());
    }
    let plain = |bytes: &[u8]| bytes.windows(10).any(|window| window == b"between us");
    assert!(
        !world.sent.iter().any(|(_, bytes)| plain(bytes)),
        "plaintext on the wire"
    );
}

#[test]
fn private_messages_survive_loss_and_arrive_once() {
    for seed in 1..=5 {
        let mut world = three(0.3, seed);
        for number in 0..50 {
            world.send(0, "ben", &format!("to ben {number}"));
            world.send(1, "ana", &format!("to ana {number}"));
            world.run(Duration::from_millis(30));
        }
        world.run(seconds(30));
        let wanted = |to: &str| (0..50).map(|n| format!("to {to} {n}")).collect::<Vec<_>>();
        assert_eq!(
            world.texts(1, &Conversation::Peer(world.id(0))),
            wanted("ben")
        );
        assert_eq!(
            world.texts(0, &Conversation::Peer(world.id(1))),
            wanted("ana")
        );
    }
}

#[test]
fn what_is_written_to_somebody_away_arrives_when_they_are_back() {
    let mut world = three(0.0, 6);
    world.kill(1);
    world.run(seconds(10));
    assert_eq!(world.state(1, 0).map(|s| s.0), Some(PeerState::Offline));
    world.send(0, "ben", "read this later");
    world.run(seconds(1));
    // The writer restarts in between: what waits is on disk.
    world.kill(0);
    world.boot(0);
    world.run(seconds(5));
    world.boot(1);
    world.run(seconds(5));
    assert_eq!(
        world.texts(1, &Conversation::Peer(world.id(0))),
        ["read this later"]
    );
    assert!(
        world.nodes[0].disk.outbox.is_empty(),
        "delivered, so not kept for sending"
    );
}

#[test]
fn a_receipt_waits_again_for_a_member_that_is_back() {
    let mut world = three(0.0, 18);
    world.loss = 1.0;
    world.send(0, "#lobby", "into the dark");
    world.run(seconds(20));
    let gone = world.receipts(0);
    assert_eq!(gone.last(), Some(&(ReceiptState::Sent, 0, 2)));
    world.loss = 0.0;
    world.run(seconds(30));
    assert_eq!(
        world.receipts(0).last(),
        Some(&(ReceiptState::Delivered, 2, 2))
    );
    assert_eq!(world.texts(1, &lobby()), ["into the dark"]);
}

#[test]
fn goodbye_is_seen_in_a_round_trip_and_a_restart_is_not_hidden() {
    let mut world = three(0.0, 7);
    world.with(1, |endpoint, now| endpoint.leave(now));
    let took = world.run_until(seconds(1), |w| {
        w.state(1, 0).map(|s| s.0) == Some(PeerState::Left)
    });
    assert!(took < Duration::from_millis(5), "{took:?}");
    world.run(Duration::from_millis(100));
    assert!(
        world.nodes[1]
            .endpoint
            .as_ref()
            .is_some_and(Endpoint::has_left)
    );
    world.kill(1);
    world.boot(1);
    world.run_until(seconds(1), World::all_listed);
}

#[test]
fn a_killed_peer_is_suspect_and_then_offline_within_8_seconds() {
    for seed in 1..=10 {
        let mut world = three(0.0, seed);
        world.run(seconds(20 + seed));
        world.kill(1);
        let offline = |w: &World| w.state(1, 0).map(|s| s.0) == Some(PeerState::Offline);
        world.run_until(seconds(8), offline);
        assert_eq!(world.state(2, 0).map(|s| s.0), Some(PeerState::Online));
    }
}

#[test]
fn somebody_killed_before_they_could_be_reached_is_gone_within_8_seconds() {
    let mut world = World::new(0.0, 17);
    world.add("ana");
    world.run(seconds(3));
    world.add("ben");
    world.run_until(seconds(1), |w| w.state(1, 0).is_some());
    world.kill(1);
    let offline = |w: &World| w.state(1, 0).map(|s| s.0) == Some(PeerState::Offline);
    world.run_until(seconds(8), offline);
}

#[test]
fn nobody_alive_is_given_up_in_an_hour() {
    let mut world = three(0.05, 8);
    for node in &mut world.nodes {
        node.events.clear();
    }
    world.run(seconds(3600));
    for node in &world.nodes {
        let gone = |event: &Event| {
            matches!(
                event,
                Event::Peer {
                    state: PeerState::Offline,
                    ..
                }
            )
        };
        assert!(
            !node.events.iter().any(|(_, event)| gone(event)),
            "{}",
            node.name
        );
    }
}

#[test]
fn a_refusal_that_is_forged_only_makes_somebody_suspect_for_a_moment() {
    let mut world = three(0.0, 9);
    world.run(seconds(3));
    let ben = world.nodes[1].address;
    world.send(0, "ben", "used just now");
    world.run(Duration::from_millis(10));
    world.with(0, |endpoint, now| endpoint.handle_unreachable(now, ben));
    assert_eq!(world.state(1, 0).map(|s| s.0), Some(PeerState::Suspect));
    world.run(seconds(1));
    assert_eq!(world.state(1, 0).map(|s| s.0), Some(PeerState::Online));
}

#[test]
fn replays_and_forgeries_change_nothing() {
    let mut world = three(0.0, 10);
    world.run(seconds(30));
    let ben: Vec<Vec<u8>> = world
        .sent
        .iter()
        .filter(|(from, _)| *from == 1)
        .map(|(_, b)| b.clone())
        .collect();
    let before = world.nodes[0].events.len();
    let attacker = SocketAddr::from(([10, 0, 0, 66], 5263));
    let mut rng_flip = 7usize;
    for bytes in ben
        .iter()
        .filter(|bytes| bytes.first() == Some(&0x0c))
        .take(300)
    {
        world.inject(0, attacker, true, bytes);
        // The next sequence numbers of ben, with a signature that does not hold.
        let mut forged = bytes.clone();
        forged[25] = forged[25].wrapping_add(40);
        world.inject(0, world.nodes[1].address, true, &forged);
        let mut mutated = bytes.clone();
        rng_flip = (rng_flip * 31 + 11) % mutated.len();
        mutated[rng_flip] ^= 1 << (rng_flip % 8);
        world.inject(0, attacker, false, &mutated);
        world.inject(0, attacker, false, &bytes[..rng_flip]);
        world.run(Duration::from_millis(20));
    }
    let peers = |event: &&(Instant, Event)| matches!(event.1, Event::Peer { .. });
    let changed: Vec<_> = world.nodes[0].events[before..]
        .iter()
        .filter(peers)
        .collect();
    assert!(changed.is_empty(), "{changed:?}");
    let address = world.nodes[0]
        .events
        .iter()
        .rev()
        .find_map(|(_, event)| match event {
            Event::Peer {
                peer, addresses, ..
            } if peer.id == world.id(1) => addresses.first().cloned(),
            _ => None,
        });
    assert_eq!(address, Some("10.0.0.2:5263".into()));
    world.send(1, "#lobby", "still me");
    world.send(1, "ana", "and in private");
    world.run(seconds(2));
    assert_eq!(world.texts(0, &lobby()), ["still me"]);
    assert_eq!(
        world.texts(0, &Conversation::Peer(world.id(1))),
        ["and in private"]
    );
    let stats = world.nodes[0]
        .endpoint
        .as_ref()
        .map(|endpoint| *endpoint.stats())
        .unwrap();
    assert!(
        stats.replayed + stats.copies > 0 && stats.bad_signature > 0,
        "{stats:?}"
    );
    assert!(stats.malformed > 0, "{stats:?}");
}

#[test]
fn nothing_leaves_and_nothing_is_shown_before_it_is_stored() {
    let mut world = three(0.0, 11);
    world.run(seconds(1));
    world.disk_works = false;
    let data = |w: &World| w.sent.iter().filter(|(_, b)| b.get(2) == Some(&16)).count();
    let before = data(&world);
    world.send(0, "#lobby", "not stored");
    world.send(0, "ben", "not stored either");
    world.run(seconds(2));
    assert_eq!(data(&world), before);
    assert!(world.texts(1, &Conversation::Peer(world.id(0))).is_empty());
    assert!(world.receipts(0).is_empty());
}

#[test]
fn an_own_log_goes_on_after_a_restart_and_a_newcomer_gets_what_is_said_from_then_on() {
    let mut world = three(0.0, 12);
    world.send(0, "#lobby", "one");
    world.run(seconds(1));
    world.kill(0);
    world.run(seconds(1));
    world.boot(0);
    world.run(seconds(2));
    world.add("new");
    world.run(seconds(2));
    world.send(0, "#lobby", "two");
    world.run(seconds(2));
    assert_eq!(world.texts(1, &lobby()), ["one", "two"]);
    assert_eq!(world.texts(3, &lobby()), ["two"]);
    assert_eq!(
        world.nodes[0].disk.epochs.len(),
        1,
        "no new epoch for a restart"
    );
}

#[test]
fn a_first_message_that_is_lost_is_asked_for() {
    let mut world = three(0.0, 13);
    world.loss = 1.0;
    world.send(0, "#lobby", "first");
    world.run(Duration::from_millis(60));
    world.loss = 0.0;
    world.send(0, "#lobby", "second");
    world.run(seconds(2));
    for at in 1..3 {
        assert_eq!(world.texts(at, &lobby()), ["first", "second"]);
    }
}

#[test]
fn a_name_pinned_to_one_key_is_refused_to_another() {
    let mut world = three(0.0, 14);
    world.send(0, "ben", "hello ben");
    world.run(seconds(1));
    world.with(1, |endpoint, now| endpoint.leave(now));
    world.run(seconds(1));
    world.kill(1);
    world.nodes[1].secret = 77;
    world.nodes[1].events.clear();
    world.nodes[1].disk = Disk::default();
    world.boot(1);
    world.run(seconds(2));
    world.send(0, "ben", "a secret");
    world.run(seconds(1));
    let conflict =
        |event: &Event| matches!(event, Event::Error { code, .. } if code == "name_conflict");
    assert!(
        world.nodes[0]
            .events
            .iter()
            .any(|(_, event)| conflict(event))
    );
    assert!(world.texts(1, &Conversation::Peer(world.id(0))).is_empty());
    let trust = Request::from(Command::Trust { peer: "ben".into() });
    world.with(0, |endpoint, now| endpoint.handle_request(now, trust));
    world.send(0, "ben", "now it may go");
    world.run(seconds(1));
    assert_eq!(
        world.texts(1, &Conversation::Peer(world.id(0))),
        ["now it may go"]
    );
}

#[test]
fn a_copied_identity_falls_silent_and_says_where_the_other_runs() {
    let mut world = three(0.0, 15);
    world.run(seconds(1));
    let copy = world.add("ana");
    world.nodes[copy].secret = world.nodes[0].secret;
    world.boot(copy);
    world.run(seconds(60));
    let told =
        |event: &Event| matches!(event, Event::Error { code, .. } if code == "copied_identity");
    let tellers = [0, copy]
        .into_iter()
        .filter(|&i| world.nodes[i].events.iter().any(|(_, event)| told(event)));
    assert!(tellers.count() >= 1, "nobody noticed");
}

#[test]
fn a_first_message_counts_everybody_who_is_listed() {
    for seed in 1..=60 {
        let mut world = World::new(0.0, seed);
        for name in ["ana", "ben", "eva"] {
            world.add(name);
        }
        let listed = |w: &World| [1, 2].iter().all(|&of| w.state(of, 0).is_some());
        world.run_until(seconds(1), listed);
        world.send(0, "#lobby", "good morning");
        world.run(seconds(3));
        let last = world.receipts(0).last().copied();
        assert_eq!(last, Some((ReceiptState::Delivered, 2, 2)), "seed {seed}");
    }
}

#[test]
fn what_is_written_before_anybody_was_found_goes_to_them_in_order() {
    let mut world = World::new(0.0, 19);
    world.add("ana");
    world.add("ben");
    world.send(0, "ben", "one");
    world.send(0, "zoe", "to nobody");
    world.send(0, "ben", "two");
    world.run(seconds(2));
    let ana = Conversation::Peer(world.id(0));
    assert_eq!(world.texts(1, &ana), ["one", "two"]);
    let refused = world.nodes[0]
        .events
        .iter()
        .find_map(|(at, event)| match event {
            Event::Error {
                code, reference, ..
            } if code == "no_such_peer" => Some((*at, reference.clone())),
            _ => None,
        });
    let (at, reference) = refused.unwrap();
    assert_eq!(reference, Some("to nobody".into()));
    let told = at - world.start;
    assert!(told < Duration::from_millis(1100), "told after {told:?}");
}

#[test]
fn ambiguous_and_unknown_targets_are_errors() {
    let mut world = three(0.0, 16);
    world.add("ben");
    world.run_until(seconds(5), World::all_listed);
    for (to, code) in [
        ("ben", "ambiguous_name"),
        ("zoe", "no_such_peer"),
        ("#nowhere", "no_such_room"),
        ("eva~zzzz", "no_such_peer"),
    ] {
        world.send(0, to, "hello");
        world.run(Duration::from_millis(10));
        let last = world.nodes[0]
            .events
            .iter()
            .rev()
            .find_map(|(_, event)| match event {
                Event::Error {
                    code, reference, ..
                } => Some((code.clone(), reference.clone())),
                _ => None,
            });
        assert_eq!(last, Some((code.into(), Some("hello".into()))), "{to}");
    }
    let id = world.id(1).to_string();
    world.send(0, &id[..8], "by id");
    world.run(seconds(1));
    assert_eq!(world.texts(1, &Conversation::Peer(world.id(0))), ["by id"]);
}
