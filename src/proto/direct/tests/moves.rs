//! Connections that are dialled twice, move, end and come back.

use super::*;

#[test]
fn of_two_dials_at_once_one_connection_stays() {
    for seed in 30..50 {
        let mut world = World::new(seed, 2);
        world.loss = if seed % 2 == 0 { 0 } else { 25 };
        for number in 0..5 {
            assert!(world.send(0, 1, message(number, b"from the lower")));
            if number == 0 {
                let apart = Duration::from_micros(world.random.below(900));
                world.run_for(apart);
            }
            assert!(world.send(1, 0, message(100 + number, b"from the higher")));
        }
        assert!(world.run(30 * SECOND, World::settled), "seed {seed}");
        world.loss = 0;
        world.run_for(5 * SECOND);
        for node in &world.nodes {
            assert_eq!(node.arrived().len(), 5, "seed {seed}");
            assert_eq!(node.acknowledged.len(), 5, "seed {seed}");
            assert_eq!(node.direct.connections(), 1, "seed {seed}");
            assert!(node.lost.is_empty(), "seed {seed}: {:?}", node.lost);
        }
        let (lower, higher) = (&world.nodes[0].direct, &world.nodes[1].direct);
        let dialled = |direct: &Direct| direct.sessions.values().any(Session::dialled);
        if world.nodes.iter().all(|node| node.connected.len() == 2) {
            assert!(
                dialled(lower) && !dialled(higher),
                "the lower key's stays, seed {seed}"
            );
        }
        assert_ne!(dialled(lower), dialled(higher), "seed {seed}");
    }
}

#[test]
fn a_peer_that_started_again_gets_what_it_did_not_acknowledge() {
    let mut world = World::new(60, 2);
    assert!(world.send(0, 1, message(1, b"one")));
    assert!(world.run(SECOND, |w| w.nodes[0].acknowledged.len() == 1));
    world.restart(1);
    // The new run does not know the connection and says so (stateless reset).
    assert!(world.send(0, 1, message(2, b"two")));
    assert!(world.run(SECOND, |w| !w.nodes[0].lost.is_empty()));
    let ben = world.nodes[1].key();
    assert_eq!(world.nodes[0].lost, [(ben, vec![message(2, b"").id])]);
    assert!(!world.nodes[0].direct.is_connected(&ben));
    assert!(world.send(0, 1, message(3, b"three")));
    assert!(world.run(SECOND, |w| w.nodes[0].acknowledged.len() == 3));
    let ids: Vec<MessageId> = (1..=3).map(|n| message(n, b"").id).collect();
    assert_eq!(world.nodes[1].arrived(), ids);
}

#[test]
fn closing_a_peer_keeps_its_messages_for_the_next_dial() {
    let mut world = World::new(61, 2);
    world.nodes[1].stores = false;
    assert!(world.send(0, 1, message(1, b"one")));
    assert!(world.run(SECOND, |w| w.nodes[1].messages.len() == 1));
    let (ana, ben) = (world.nodes[0].key(), world.nodes[1].key());
    world.nodes[0].direct.close_peer(world.now, &ben);
    assert!(world.run(SECOND, |w| w.nodes[1].lost.len() == 1));
    assert_eq!(world.nodes[0].lost, [(ben, vec![message(1, b"").id])]);
    assert_eq!(world.nodes[1].lost, [(ana, vec![])]);
    world.nodes[1].stores = true;
    world.dial(0, 1);
    assert!(world.run(SECOND, |w| w.nodes[0].acknowledged.len() == 1));
    assert_eq!(world.nodes[1].messages.len(), 2, "the same id comes again");
    assert_eq!(world.nodes[0].sent.len(), 1, "but is told as sent once");
    world.nodes[0].direct.close_all(world.now);
    assert!(world.run(SECOND, |w| w.nodes[1].lost.len() == 2));
    world.run_for(SECOND);
    assert!(
        world
            .nodes
            .iter()
            .all(|node| node.direct.connections() == 0)
    );
}

#[test]
fn a_newer_dial_of_the_same_side_replaces_the_older() {
    for dialler in [0, 1] {
        let mut world = World::new(62, 2);
        let acceptor = 1 - dialler;
        world.dial(dialler, acceptor);
        assert!(world.run(SECOND, |w| w.nodes.iter().all(|n| n.connected.len() == 1)));
        world.run_for(SECOND);
        world.restart(dialler);
        world.dial(dialler, acceptor);
        assert!(world.run(SECOND, |w| w.nodes.iter().all(|n| n.connected.len() == 2)));
        assert!(world.send(acceptor, dialler, message(1, b"to the new run")));
        assert!(world.run(SECOND, World::settled));
        world.run_for(5 * SECOND);
        assert_eq!(world.nodes[acceptor].direct.connections(), 1);
        assert!(world.nodes[acceptor].lost.is_empty());
    }
}

#[test]
fn the_side_that_dialled_moves_with_its_connection() {
    let mut world = World::new(70, 2);
    assert!(world.send(0, 1, message(1, b"one")));
    assert!(world.run(SECOND, World::settled));
    world.nodes[0].address = address(7);
    world.renumbered(0);
    world.run_for(SECOND);
    assert!(world.send(1, 0, message(2, b"to the new address")));
    assert!(world.send(0, 1, message(3, b"from there")));
    assert!(world.run(SECOND, World::settled));
    assert!(world.nodes.iter().all(|node| node.connected.len() == 1));
}

#[test]
fn the_side_that_accepted_moves_by_dialling_anew() {
    // Whichever key is the lower one, and twice, so that the second generation counts too.
    for dialler in [0, 1] {
        let mut world = World::new(71, 2);
        let mover = 1 - dialler;
        assert!(world.send(dialler, mover, message(1, b"one")));
        assert!(world.run(SECOND, World::settled));
        world.nodes[mover].address = address(7);
        world.renumbered(mover);
        assert!(world.run(SECOND, |w| w.nodes.iter().all(|n| n.connected.len() == 2)));
        assert!(world.send(dialler, mover, message(2, b"two")));
        assert!(world.run(SECOND, World::settled));
        // Now the other one has accepted and moves; the mover hears of it and dials as well.
        world.nodes[dialler].address = address(8);
        world.renumbered(dialler);
        let (peer, there) = (world.nodes[dialler].key(), world.nodes[dialler].address);
        world.nodes[mover]
            .direct
            .address_changed(world.now, &peer, there);
        assert!(world.send(dialler, mover, message(3, b"three")));
        assert!(world.send(mover, dialler, message(4, b"four")));
        assert!(world.run(SECOND, World::settled));
        world.run_for(5 * SECOND);
        for node in &world.nodes {
            assert_eq!(node.direct.connections(), 1);
            assert!(node.lost.is_empty());
        }
    }
}

#[test]
fn a_connection_that_goes_where_no_link_leads_is_dialled_anew() {
    // As when a card comes back under another index: the other side is where it was, but its
    // link-local address is spelled with another scope here, and the old one leads nowhere.
    for dialler in [0, 1] {
        let mut world = World::new(72, 2);
        assert!(world.send(dialler, 1 - dialler, message(1, b"one")));
        assert!(world.run(SECOND, World::settled));
        world.nodes[1].address = address(9);
        world.renumbered(0);
        assert!(world.send(0, 1, message(2, b"two")));
        assert!(world.run(SECOND, World::settled), "dialled by {dialler}");
        world.run_for(5 * SECOND);
        for node in &world.nodes {
            assert_eq!(node.direct.connections(), 1);
            assert!(node.lost.is_empty());
        }
    }
}

/// What the store of a node holds for another: written, not known to be delivered.
type Disk = BTreeMap<(usize, usize), Vec<PrivateMessage>>;

/// One random thing that happens to nodes on a bad day.
fn mishap(world: &mut World, disk: &mut Disk, number: u64) {
    let nodes = u64::try_from(world.nodes.len()).expect("few");
    let mut pick = |bound: u64| usize::try_from(world.random.below(bound)).expect("small");
    let (from, step) = (pick(nodes), 1 + pick(nodes - 1));
    let to = (from + step) % world.nodes.len();
    match pick(12) {
        0..6 => {
            let len = if pick(20) == 0 { 60_000 } else { pick(300) };
            let new = message(number, &vec![7; len]);
            disk.entry((from, to)).or_default().push(new.clone());
            assert!(world.send(from, to, new));
        }
        6 => {
            world.restart(from);
            for other in (0..world.nodes.len()).filter(|&other| other != from) {
                let key = world.nodes[from].key();
                if world.random.below(2) == 0 {
                    world.nodes[other].direct.close_peer(world.now, &key);
                }
            }
        }
        7 => {
            let host = u8::try_from(20 + number % 200).expect("small");
            world.nodes[from].address = address(host);
            world.renumbered(from);
            let (key, there) = (world.nodes[from].key(), world.nodes[from].address);
            for other in (0..world.nodes.len()).filter(|&other| other != from) {
                if world.random.below(2) == 0 {
                    let direct = &mut world.nodes[other].direct;
                    direct.address_changed(world.now, &key, there);
                }
            }
        }
        8 => {
            let key = world.nodes[to].key();
            world.nodes[from].direct.close_peer(world.now, &key);
        }
        9 => world.dial(from, to),
        10 => world.loss = world.random.below(60),
        _ => {
            let pause = Duration::from_millis(world.random.below(9000));
            world.run_for(pause);
        }
    }
    let pause = Duration::from_micros(world.random.below(20_000));
    world.run_for(pause);
}

#[test]
fn after_any_mishaps_everything_arrives() {
    for seed in 200..230 {
        let mut world = World::new(seed, 3);
        world.duplicates = 5;
        let mut disk = Disk::new();
        for number in 0..120 {
            mishap(&mut world, &mut disk, number);
            for node in &world.nodes {
                assert!(node.direct.connections() <= 60, "seed {seed}");
            }
        }
        // The network heals; every endpoint sends again what its store still holds.
        world.loss = 0;
        world.run_for(45 * SECOND);
        for (&(from, to), messages) in &disk {
            for message in messages {
                if !world.nodes[from].acknowledged.contains(&message.id) {
                    assert!(world.send(from, to, message.clone()));
                }
            }
        }
        world.run_for(10 * SECOND);
        for (&(from, to), messages) in &disk {
            let arrived = BTreeSet::from_iter(world.nodes[to].arrived());
            for message in messages {
                let known = world.nodes[from].acknowledged.contains(&message.id);
                assert!(
                    known && arrived.contains(&message.id),
                    "seed {seed} {from} {to}"
                );
            }
        }
        for node in &world.nodes {
            assert!(
                node.direct.connections() <= 2,
                "one for each peer, seed {seed}"
            );
        }
        world.run_for(60 * SECOND);
        for node in &world.nodes {
            assert_eq!(node.direct.connections(), 0, "seed {seed}");
            assert!(node.direct.peers.is_empty(), "seed {seed}");
        }
    }
}

#[test]
fn a_connection_closed_for_another_is_lost_only_if_that_does_not_come() {
    for comes in [true, false] {
        let mut world = World::new(63, 2);
        assert!(world.send(0, 1, message(1, b"one")));
        assert!(world.run(SECOND, World::settled));
        // The close overtakes the handshake of the connection that takes its place.
        let now = world.now;
        for session in world.nodes[0].direct.sessions.values_mut() {
            session.close(now, CloseCode::Replaced);
        }
        let keys: Vec<usize> = world.nodes[0].direct.sessions.keys().copied().collect();
        for key in keys {
            world.nodes[0].direct.drive(now, key);
        }
        let ana = world.nodes[0].key();
        world.run(SECOND, |w| !w.nodes[1].direct.is_connected(&ana));
        assert!(!world.nodes[1].direct.is_connected(&ana));
        if comes {
            let (ben, there) = (world.nodes[1].key(), world.nodes[1].address);
            world.nodes[0].direct.dial_anew(now, &ben, there, 1);
        }
        world.run_for(SECOND);
        assert!(world.nodes[1].lost.is_empty());
        world.run_for(2 * SECOND);
        assert_eq!(world.nodes[1].lost.is_empty(), comes);
        assert_eq!(world.nodes[1].direct.is_connected(&ana), comes);
    }
}
