//! Streams beside the messages: frames both ways, bounds, and peers that misuse them.

use super::*;
use crate::limits::{STREAM_FRAME_LEN_MAX, STREAM_IN_HAND_MAX, STREAM_UNWRITTEN_MAX};

/// What a node was told of its streams.
#[derive(Default)]
pub(super) struct Log {
    /// Does not deal with frames, as an owner that waits for its disk.
    pub(super) stalls: bool,
    pub(super) opened: Vec<(PublicKey, StreamKey, bool)>,
    pub(super) frames: Vec<(StreamKey, u8, Vec<u8>)>,
    pub(super) writable: Vec<StreamKey>,
    pub(super) ended: Vec<StreamKey>,
    pub(super) closed: Vec<(StreamKey, bool)>,
}

pub(super) fn note(node: &mut Node, now: Instant, output: DirectOutput) {
    let log = &mut node.streams;
    match output {
        DirectOutput::StreamOpened { peer, key, ours } => log.opened.push((peer, key, ours)),
        DirectOutput::StreamFrame { key, kind, payload } => {
            if !log.stalls {
                node.direct.take_frame(now, key, payload.len() + 5);
            }
            log.frames.push((key, kind, payload));
        }
        DirectOutput::StreamWritable { key } => log.writable.push(key),
        DirectOutput::StreamEnded { key } => log.ended.push(key),
        DirectOutput::StreamClosed { key, lost } => log.closed.push((key, lost)),
        other => panic!("not of streams: {other:?}"),
    }
}

fn open(world: &mut World, from: usize, to: usize) -> StreamKey {
    let (key, address) = (world.nodes[to].key(), world.nodes[to].address);
    let now = world.now;
    world.nodes[from].direct.open_stream(now, &key, address)
}

fn write(world: &mut World, at: usize, key: StreamKey, kind: u8, payload: &[u8]) -> bool {
    let now = world.now;
    world.nodes[at].direct.write_frame(now, key, kind, payload)
}

/// A stream by which one frame came.
fn spoken(world: &mut World) -> StreamKey {
    let key = open(world, 0, 1);
    assert!(write(world, 0, key, 1, b"x"));
    assert!(world.run(SECOND, |w| w.nodes[1].streams.frames.len() == 1));
    key
}

/// The key by which the other end knows the stream opened last.
fn theirs(world: &World, at: usize) -> StreamKey {
    let opened = world.nodes[at].streams.opened.iter().rev();
    let theirs = opened.filter(|(_, _, ours)| !ours);
    theirs.map(|&(_, key, _)| key).next().expect("one came")
}

fn bytes_in(world: &World, at: usize) -> usize {
    let frames = world.nodes[at].streams.frames.iter();
    frames.map(|(_, _, payload)| payload.len()).sum()
}

#[test]
fn frames_go_both_ways_and_each_half_ends_by_itself() {
    for loss in [0, 20] {
        let mut world = World::new(100, 2);
        world.loss = loss;
        let key = open(&mut world, 0, 1);
        assert!(write(&mut world, 0, key, 1, b"before it is up"));
        let long = world.random.bytes(STREAM_FRAME_LEN_MAX);
        assert!(write(&mut world, 0, key, 2, &long));
        assert!(!write(
            &mut world,
            0,
            key,
            2,
            &[0; STREAM_FRAME_LEN_MAX + 1]
        ));
        assert!(world.run(10 * SECOND, |w| w.nodes[1].streams.frames.len() == 2));
        let other = theirs(&world, 1);
        let came: Vec<_> = world.nodes[1].streams.frames.clone();
        assert_eq!(came[0], (other, 1, b"before it is up".to_vec()));
        assert!(came[1] == (other, 2, long));
        let now = world.now;
        world.nodes[0].direct.finish_stream(now, key);
        assert!(!write(&mut world, 0, key, 1, b"after the end"));
        assert!(world.run(10 * SECOND, |w| !w.nodes[1].streams.ended.is_empty()));
        assert!(write(&mut world, 1, other, 3, b""));
        let now = world.now;
        world.nodes[1].direct.finish_stream(now, other);
        assert!(world.run(10 * SECOND, |w| {
            w.nodes.iter().all(|n| n.streams.closed.len() == 1)
        }));
        assert_eq!(world.nodes[0].streams.frames, [(key, 3, Vec::new())]);
        assert_eq!(world.nodes[0].streams.closed, [(key, false)]);
        assert_eq!(world.nodes[1].streams.closed, [(other, false)]);
        assert!(world.nodes.iter().all(|node| node.direct.streams() == 0));
    }
}

#[test]
fn a_connection_without_messages_is_no_conversation_and_ends_soon() {
    let mut world = World::new(101, 2);
    let key = spoken(&mut world);
    let (ana, ben) = (world.nodes[0].key(), world.nodes[1].key());
    assert!(world.nodes[0].direct.is_connected(&ben));
    assert!(!world.nodes[0].direct.is_talking(&ben) && !world.nodes[1].direct.is_talking(&ana));
    let (now, other) = (world.now, theirs(&world, 1));
    world.nodes[0].direct.finish_stream(now, key);
    world.nodes[1].direct.finish_stream(now, other);
    world.run_for(4 * SECOND);
    assert!(world.nodes[0].direct.is_connected(&ben));
    world.run_for(2 * SECOND);
    assert!(
        world
            .nodes
            .iter()
            .all(|node| node.direct.connections() == 0)
    );
    // With a message on it, it stays as long as others.
    let key = open(&mut world, 0, 1);
    assert!(world.send(0, 1, message(1, b"hi")));
    assert!(world.run(SECOND, World::settled));
    let now = world.now;
    world.nodes[0].direct.reset_stream(now, key, 0);
    world.run_for(10 * SECOND);
    assert!(world.nodes[0].direct.is_talking(&ben) && world.nodes[1].direct.is_talking(&ana));
}

/// Each move of a peer with whom there had been an exchange brought a connection that nothing
/// went by, and both sides dialled it.
#[test]
fn a_connection_without_a_purpose_ends_and_is_not_dialled_anew() {
    let mut world = World::new(102, 2);
    let key = spoken(&mut world);
    let now = world.now;
    world.nodes[0].direct.reset_stream(now, key, 0);
    world.run_for(SECOND);
    let ben = world.nodes[1].key();
    assert!(world.nodes[0].direct.is_connected(&ben));
    let sent = world.nodes[0].connected.len();
    world.nodes[0]
        .direct
        .address_changed(world.now, &ben, address(9));
    world.run_for(SECOND);
    assert_eq!(world.nodes[0].connected.len(), sent);
    assert!(world.nodes.iter().all(|n| n.direct.connections() == 0));
    // What was to go by it was dropped while it came up.
    let key = open(&mut world, 0, 1);
    let now = world.now;
    world.nodes[0].direct.reset_stream(now, key, 0);
    world.run_for(SECOND);
    world.run_for(6 * SECOND);
    assert!(world.nodes.iter().all(|n| n.direct.connections() == 0));
}

#[test]
fn a_third_stream_waits_until_another_is_over() {
    let mut world = World::new(102, 2);
    let keys: Vec<StreamKey> = (0..3).map(|_| open(&mut world, 0, 1)).collect();
    for &key in &keys {
        assert!(write(&mut world, 0, key, 1, b"x"));
    }
    world.run_for(SECOND);
    assert_eq!(world.nodes[1].streams.frames.len(), 2);
    assert_eq!(world.nodes[0].streams.opened.len(), 2);
    let (now, first) = (world.now, keys[0]);
    world.nodes[0].direct.reset_stream(now, first, 0);
    assert!(world.run(SECOND, |w| w.nodes[1].streams.frames.len() == 3));
    assert_eq!(world.nodes[1].streams.closed.len(), 1);
    assert!(world.nodes[1].streams.closed[0].1, "reset");
}

#[test]
fn one_that_opens_streams_without_end_loses_its_connection() {
    let mut world = World::new(103, 2);
    for _ in 0..100 {
        let key = open(&mut world, 0, 1);
        assert!(write(&mut world, 0, key, 1, b"x"));
        world.run_for(Duration::from_millis(5));
        let now = world.now;
        world.nodes[0].direct.reset_stream(now, key, 0);
        world.run_for(Duration::from_millis(5));
    }
    assert!(!world.nodes[1].lost.is_empty());
    // Beyond a connection each it gets no more than the bucket of each holds.
    assert!(world.nodes[1].direct.streams() <= 2);
}

#[test]
fn an_owner_that_takes_nothing_holds_the_writer_back_and_messages_still_go() {
    let mut world = World::new(104, 2);
    world.nodes[1].streams.stalls = true;
    let key = open(&mut world, 0, 1);
    let frame = vec![7; 32 * 1024];
    let mut written = 0;
    for _ in 0..200 {
        written += usize::from(write(&mut world, 0, key, 1, &frame));
        world.run_for(Duration::from_millis(5));
    }
    let in_hand = bytes_in(&world, 1);
    assert!(
        in_hand <= STREAM_IN_HAND_MAX + frame.len(),
        "{in_hand} handed up"
    );
    let most = STREAM_UNWRITTEN_MAX + STREAM_IN_HAND_MAX + 128 * 1024 + 2 * frame.len();
    assert!(written * frame.len() <= most, "{written} taken");
    assert!(world.send(0, 1, message(1, &[1; 60_000])));
    assert!(world.send(1, 0, message(2, &[1; 60_000])));
    assert!(world.run(SECOND, World::settled), "messages go past it");
    // Dealt with, all of it comes, and the writer is told that there is room.
    world.nodes[1].streams.stalls = false;
    let (now, other) = (world.now, theirs(&world, 1));
    world.nodes[1].direct.take_frame(now, other, usize::MAX);
    assert!(world.run(SECOND, |w| bytes_in(w, 1) == written * frame.len()));
    assert_eq!(world.nodes[0].streams.writable, [key]);
}

#[test]
fn a_frame_too_long_or_cut_off_ends_the_connection() {
    for raw in [vec![1, 0, 1, 0, 1], vec![1, 0, 0, 0, 9, 1, 2]] {
        let mut world = World::new(105, 2);
        let key = open(&mut world, 0, 1);
        assert!(write(&mut world, 0, key, 1, b"fine"));
        assert!(world.run(SECOND, |w| w.nodes[1].streams.frames.len() == 1));
        let now = world.now;
        world.nodes[0].direct.inject_into(now, key, raw);
        world.nodes[0].direct.finish_stream(now, key);
        assert!(world.run(SECOND, |w| w.nodes.iter().all(|n| n.lost.len() == 1)));
        assert_eq!(world.nodes[1].streams.frames.len(), 1);
        assert!(world.nodes.iter().all(|n| n.streams.closed.len() == 1));
        assert!(world.nodes.iter().all(|n| n.streams.closed[0].1));
    }
}

#[test]
fn who_is_gone_or_never_there_closes_its_streams() {
    let mut world = World::new(106, 3);
    let key = spoken(&mut world);
    let (now, ben) = (world.now, world.nodes[1].key());
    world.nodes[0].direct.close_peer(now, &ben);
    assert!(world.run(SECOND, |w| w.nodes[1].streams.closed.len() == 1));
    assert_eq!(world.nodes[0].streams.closed, [(key, true)]);
    world.nodes[2].address = address(8);
    let (carol, there) = (world.nodes[2].key(), address(7));
    let now = world.now;
    let key = world.nodes[0].direct.open_stream(now, &carol, there);
    world.run_for(31 * SECOND);
    assert_eq!(world.nodes[0].streams.closed.last(), Some(&(key, true)));
    assert_eq!(world.nodes[0].direct.streams(), 0);
    let own = world.nodes[0].key();
    let now = world.now;
    let key = world.nodes[0].direct.open_stream(now, &own, address(0));
    world.run_for(SECOND);
    assert_eq!(world.nodes[0].streams.closed.last(), Some(&(key, true)));
}

#[test]
fn both_ends_export_the_same_and_another_connection_something_else() {
    let mut world = World::new(107, 3);
    let (one, other) = (open(&mut world, 0, 1), open(&mut world, 0, 2));
    for key in [one, other] {
        assert!(write(&mut world, 0, key, 1, b"x"));
    }
    assert!(world.run(SECOND, |w| {
        (1..3).all(|at| w.nodes[at].streams.frames.len() == 1)
    }));
    let export = |at: usize, key, context: &[u8]| world.nodes[at].direct.exporter(key, context);
    let here = export(0, one, b"room").expect("is up");
    assert_eq!(export(1, theirs(&world, 1), b"room"), Some(here));
    assert_ne!(export(1, theirs(&world, 1), b"rooms"), Some(here));
    assert_ne!(export(2, theirs(&world, 2), b"room"), Some(here));
}
