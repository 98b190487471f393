//! Strangers, junk, floods and silence: nothing leaks, breaks or grows.

use super::*;

#[test]
fn no_body_is_on_the_wire_and_the_longest_arrives() {
    let mut world = World::new(2, 2);
    world.capture = Some(Vec::new());
    let secret = b"the cake is under the bridge";
    let body: Vec<u8> = secret
        .iter()
        .copied()
        .cycle()
        .take(PRIVATE_BODY_LEN_MAX)
        .collect();
    assert!(world.send(0, 1, message(1, secret)));
    assert!(world.send(0, 1, message(2, &body)));
    let long = vec![0; PRIVATE_BODY_LEN_MAX + 1];
    assert!(
        !world.send(0, 1, message(3, &long)),
        "too long is not taken"
    );
    assert!(world.run(SECOND, |w| w.nodes[0].acknowledged.len() == 2));
    assert_eq!(world.nodes[1].messages[1].1.body, body);
    let capture = world.capture.take().expect("on");
    let bytes: usize = capture.iter().map(Vec::len).sum();
    assert!(
        bytes > PRIVATE_BODY_LEN_MAX,
        "the capture holds the traffic"
    );
    for datagram in &capture {
        assert!(
            !datagram
                .windows(8)
                .any(|part| secret.windows(8).any(|s| s == part))
        );
    }
}

#[test]
fn another_key_than_the_expected_gets_nothing() {
    let mut world = World::new(20, 2);
    let carol = identity(5).public();
    let there = world.nodes[1].address;
    let now = world.now;
    assert!(
        world.nodes[0]
            .direct
            .send(now, &carol, there, message(1, b"for carol"))
    );
    world.run_for(60 * SECOND);
    let (ana, ben) = (&world.nodes[0], &world.nodes[1]);
    assert!(ana.connected.is_empty() && ben.connected.is_empty());
    assert!(ana.sent.is_empty() && ben.messages.is_empty());
    assert_eq!(ana.lost, [(carol, vec![message(1, b"").id])]);
    assert_eq!(ana.direct.unacknowledged(&carol), 1);
    assert_eq!((ana.direct.connections(), ben.direct.connections()), (0, 0));
}

#[test]
fn nobody_talks_to_themselves() {
    let mut world = World::new(21, 1);
    assert!(!world.send(0, 0, message(1, b"me")));
    world.dial(0, 0);
    // Another node with our own key, such as a copied profile, is not let in either.
    let copy = world.add(&identity(0), address(3));
    world.dial(copy, 0);
    world.run_for(60 * SECOND);
    assert!(world.nodes.iter().all(|node| node.connected.is_empty()));
    assert!(
        world
            .nodes
            .iter()
            .all(|node| node.direct.connections() == 0)
    );
}

#[test]
fn without_traffic_everything_is_forgotten() {
    let mut world = World::new(80, 3);
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        assert!(world.send(from, to, message(1, b"hi")));
    }
    assert!(world.run(SECOND, World::settled));
    world.run_for(29 * SECOND);
    assert!(
        world
            .nodes
            .iter()
            .all(|node| node.direct.connections() == 2)
    );
    world.run_for(10 * SECOND);
    for node in &world.nodes {
        assert_eq!(node.direct.connections(), 0);
        assert_eq!(node.direct.endpoint.open_connections(), 0);
        assert!(node.direct.peers.is_empty() && node.direct.dirty.is_empty());
        assert_eq!(node.direct.deadline(), None);
        assert_eq!(node.lost.len(), 2);
    }
}

#[test]
fn a_slow_store_holds_the_sender_back() {
    let mut world = World::new(81, 2);
    world.nodes[1].stores = false;
    for number in 0..500 {
        assert!(world.send(0, 1, message(number, &[1; 5000])));
    }
    world.run_for(5 * SECOND);
    assert_eq!(world.nodes[1].messages.len(), QUIC_IN_HAND_MAX);
    assert!(
        world.nodes[0].sent.len() < 200,
        "the rest waits at its author"
    );
    world.nodes[1].stores = true;
    let now = world.now;
    let held: Vec<_> = world.nodes[1]
        .messages
        .iter()
        .map(|(k, m)| (*k, m.id))
        .collect();
    for (from, id) in held {
        world.nodes[1].direct.acknowledge(now, &from, id);
    }
    assert!(world.run(10 * SECOND, World::settled));
    assert_eq!(world.nodes[1].messages.len(), 500);
}

#[test]
fn junk_harms_no_connection() {
    let mut world = World::new(90, 2);
    world.capture = Some(Vec::new());
    assert!(world.send(0, 1, message(0, &[1; 4000])));
    assert!(world.run(SECOND, World::settled));
    let capture = world.capture.take().expect("on");
    for round in 1..=3000 {
        let mut bytes = if round % 3 == 0 {
            let len = usize::try_from(world.random.below(1500)).expect("small");
            world.random.bytes(len)
        } else {
            let pick = usize::try_from(world.random.next() >> 1).expect("64 bits");
            let mut bytes = capture[pick % capture.len()].clone();
            for _ in 0..=world.random.below(4) {
                let at = usize::try_from(world.random.next() >> 1).expect("64 bits") % bytes.len();
                bytes[at] = world.random.bytes(1)[0];
            }
            bytes
        };
        if round % 5 == 0 {
            let len = usize::try_from(world.random.below(1500)).expect("small");
            bytes.truncate(len);
        }
        let source = if round % 2 == 0 {
            address(0)
        } else {
            address(6)
        };
        world.deliver(1, source, &bytes);
        if round % 50 == 0 {
            world.run_for(Duration::from_millis(1));
        }
    }
    assert!(world.nodes[0].lost.is_empty() && world.nodes[1].lost.is_empty());
    assert!(world.send(0, 1, message(1, b"still here")));
    assert!(world.run(SECOND, World::settled));
    assert_eq!(
        world.nodes[0].connected.len(),
        1,
        "the connection is the old one"
    );
    world.run_for(60 * SECOND);
    assert_eq!(
        world.nodes[1].direct.connections(),
        0,
        "nothing of it stays"
    );
}

#[test]
fn a_bad_frame_ends_the_connection_only() {
    let too_long = vec![9, 0x7f, 0xff, 0xff, 0xff];
    for (bytes, ends) in [
        (too_long, true),
        (vec![1, 0, 0, 0, 3, 1, 1, 1], true),
        (vec![3, 0, 0, 0, 4, 0, 0, 0, 9], true),
        (vec![77, 0, 0, 0, 2, 1, 1], false),
    ] {
        let mut world = World::new(91, 2);
        assert!(world.send(0, 1, message(1, b"one")));
        assert!(world.run(SECOND, World::settled));
        let keys: Vec<usize> = world.nodes[0].direct.sessions.keys().copied().collect();
        for key in keys {
            let direct = &mut world.nodes[0].direct;
            direct
                .sessions
                .get_mut(&key)
                .expect("is there")
                .inject(bytes.clone());
            direct.write(world.now, key);
        }
        world.run_for(SECOND);
        assert_eq!(world.nodes[1].lost.len(), usize::from(ends), "{bytes:?}");
        assert!(world.send(0, 1, message(2, b"two")));
        assert!(world.run(SECOND, World::settled));
        assert_eq!(world.nodes[1].arrived().len(), 2);
    }
}

#[test]
fn a_stream_that_ends_ends_the_connection() {
    let mut world = World::new(94, 2);
    assert!(world.send(0, 1, message(1, b"one")));
    assert!(world.run(SECOND, World::settled));
    let direct = &mut world.nodes[0].direct;
    let (&key, session) = direct.sessions.iter_mut().next().expect("is up");
    session.finish();
    direct.drive(world.now, key);
    assert!(world.run(SECOND, |w| w.nodes.iter().all(|n| n.lost.len() == 1)));
    assert!(world.send(0, 1, message(2, b"two")));
    assert!(world.run(SECOND, World::settled));
}

#[test]
fn half_open_handshakes_are_bounded_and_a_real_peer_still_gets_in() {
    let mut world = World::new(92, 2);
    // Genuine first datagrams from addresses that never answer, several for each address.
    for number in 0..200_u8 {
        let seed = world.seed();
        let mut stranger = Direct::new(&identity(4), seed);
        let (key, there) = (world.nodes[1].key(), world.nodes[1].address);
        stranger.dial(world.now, &key, there);
        let source = SocketAddr::from(([10, 9, 0, number / 4], 1000 + u16::from(number)));
        while let Some(output) = stranger.poll_output(world.now) {
            if let DirectOutput::Transmit(transmit) = output {
                world.deliver(1, source, &transmit.bytes);
            }
        }
    }
    let half_open = world.nodes[1].direct.connections();
    assert_eq!(
        half_open, QUIC_RETRY_ABOVE,
        "the others have to prove their address"
    );
    assert!(world.send(0, 1, message(1, b"let me in")));
    assert!(world.run(SECOND, World::settled), "by way of a Retry");
    world.run_for(15 * SECOND);
    assert_eq!(world.nodes[1].direct.connections(), 1);
    assert_eq!(world.nodes[1].direct.endpoint.incoming_buffer_bytes(), 0);
}

#[test]
fn connections_are_bounded_and_the_idle_one_goes_first() {
    let mut world = World::new(93, 2);
    let hub = 1;
    assert!(world.send(0, hub, message(1, b"first")));
    assert!(world.run(SECOND, World::settled));
    for number in 0..QUIC_CONNECTIONS_MAX {
        let mut secret = [0xaa; 32];
        secret[..8].copy_from_slice(&number.to_be_bytes());
        let low = u8::try_from(number % 250).expect("small");
        let high = u8::try_from(number / 250).expect("small");
        let from = SocketAddr::from(([10, 1, high, low], 5263));
        let at = world.add(&Identity::from_secret(&secret), from);
        world.dial(at, hub);
        world.run_for(Duration::from_millis(3));
    }
    let up = |w: &World| {
        w.nodes[hub]
            .direct
            .sessions
            .values()
            .filter(|s| s.is_up())
            .count()
    };
    assert_eq!(up(&world), QUIC_CONNECTIONS_MAX);
    assert_eq!(world.nodes[hub].connected.len(), QUIC_CONNECTIONS_MAX + 1);
    let ana = world.nodes[0].key();
    assert_eq!(
        world.nodes[hub].lost,
        [(ana, vec![])],
        "the oldest without use"
    );
}
