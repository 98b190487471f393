//! Messages arrive, in order, whatever the network loses.

use super::*;

#[test]
fn a_message_arrives_and_is_acknowledged() {
    let mut world = World::new(1, 2);
    let first = PrivateMessage {
        answers: Some(MessageId([5; 16])),
        ..message(1, b"hello ben")
    };
    assert!(world.send(0, 1, first.clone()));
    assert!(world.run(SECOND, |w| w.nodes[0].acknowledged.len() == 1));
    let (ana, ben) = (&world.nodes[0], &world.nodes[1]);
    assert_eq!(ben.messages, [(ana.key(), first.clone())]);
    assert_eq!(ana.connected, [(ben.key(), ben.address)]);
    assert_eq!(ben.connected, [(ana.key(), ana.address)]);
    assert_eq!(
        (&ana.sent, &ana.acknowledged),
        (&vec![first.id], &vec![first.id])
    );
    assert_eq!(ana.direct.unacknowledged(&ben.key()), 0);
    assert!(ana.direct.is_connected(&ben.key()) && ben.direct.is_connected(&ana.key()));
    // The answer goes by the same connection.
    assert!(world.send(1, 0, message(2, b"hello ana")));
    assert!(world.run(SECOND, |w| w.nodes[1].acknowledged.len() == 1));
    assert_eq!(world.nodes[0].direct.connections(), 1);
    assert_eq!(world.nodes[1].connected.len(), 1);
    // On a connection that is up nothing is held back: there and back is all that it takes.
    assert!(world.send(0, 1, message(3, b"quick")));
    let there_and_back = Duration::from_micros(800);
    assert!(world.run(there_and_back, World::settled));
}

#[test]
fn thirty_percent_loss_loses_nothing() {
    for seed in [10, 11, 12] {
        let mut world = World::new(seed, 2);
        world.loss = 30;
        world.duplicates = 5;
        for number in 0..200 {
            let body = world.random.bytes(40);
            assert!(world.send(0, 1, message(number, &body)));
            assert!(world.send(1, 0, message(1000 + number, &body)));
            world.run_for(Duration::from_millis(5));
        }
        let done = |w: &World| w.nodes.iter().all(|n| n.acknowledged.len() == 200);
        assert!(world.run(30 * SECOND, done), "seed {seed}");
        for (from, to, first) in [(0, 1, 0), (1, 0, 1000)] {
            let ids: Vec<MessageId> = (first..first + 200).map(|n| message(n, b"").id).collect();
            assert_eq!(world.nodes[to].arrived(), ids, "in order, seed {seed}");
            let acknowledged = BTreeSet::from_iter(&world.nodes[from].acknowledged);
            assert_eq!(acknowledged.len(), 200, "each once, seed {seed}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut world = World::new(seed, 2);
        world.loss = 20;
        for number in 0..50 {
            world.send(0, 1, message(number, &[7; 300]));
        }
        assert!(world.run(30 * SECOND, World::settled));
        world.trace.finish()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}
