//! A member that is asked for history and answers as the test wants.

use std::time::Duration;

use lanchat::datagram::{Arrival, Destination};
use lanchat::proto::direct::{Direct, DirectOutput};
use lanchat::text::RoomName;
use lanchat::wire::presence::RecordFields;
use lanchat::wire::{Body, PeerRecord, ProbeAck, RecordRoom};

use crate::actor::{Actor, RUN, record};
use crate::world::{LINK, World};

/// A frame: type and payload.
pub type Frame = (u8, Vec<u8>);

/// Somebody on the link who speaks the frames of a sync.
pub struct Helper {
    pub actor: Actor,
    direct: Direct,
    read: usize,
    /// Frames that came, in order.
    pub heard: Vec<Frame>,
    /// Streams that were opened, and that were reset from the other side.
    pub opened: u32,
    pub dropped: u32,
}

impl Helper {
    pub fn new(secret: u8, host: u8) -> Helper {
        let actor = Actor::new(secret, host);
        let direct = Direct::new(&actor.identity, [secret; 32]);
        Helper {
            actor,
            direct,
            read: 0,
            heard: Vec::new(),
            opened: 0,
            dropped: 0,
        }
    }

    /// Says HELLO, as one who is in the lobby.
    pub fn hello(&mut self, world: &mut World, to: usize) {
        let identity = &self.actor.identity;
        let plain = record(identity, RUN, 1);
        let fields = RecordFields {
            key: plain.key,
            incarnation: plain.incarnation,
            record_seq: plain.record_seq,
            chat_port: plain.chat_port,
            transient: plain.transient,
            deaf: plain.deaf,
            status: plain.status,
            status_text: plain.status_text,
            name: plain.name,
            rooms: vec![RecordRoom::Public(RoomName::new("lobby").unwrap())],
            extensions: plain.extensions,
        };
        let record = PeerRecord::build(fields, &mut |bytes| identity.sign(bytes)).unwrap();
        self.actor.hello_as(world, to, record);
    }

    /// Lets time pass; each frame that comes is answered by these.
    pub fn run(
        &mut self,
        world: &mut World,
        time: Duration,
        mut answer: impl FnMut(u8, &[u8]) -> Vec<Frame>,
    ) {
        let until = world.now.mono + time;
        while world.now.mono < until {
            world.run(Duration::from_millis(1));
            for (from, body) in self.actor.inbox(world) {
                let echo = match body {
                    Body::Probe(probe) => probe.nonce,
                    Body::Welcome(welcome) => welcome.nonce,
                    _ => continue,
                };
                self.actor
                    .say(world, from, &Body::ProbeAck(ProbeAck { echo }));
            }
            self.hear(world);
            self.speak(world, &mut answer);
        }
    }

    fn hear(&mut self, world: &World) {
        let from = std::mem::replace(&mut self.read, world.sent.len()).min(world.sent.len());
        let now = world.now.mono;
        for (index, (sender, bytes)) in world.sent.iter().enumerate().skip(from) {
            if world.out[index].0 == Destination::Unicast(self.actor.at) && Direct::is_quic(bytes) {
                let arrival = Arrival {
                    link: Some(LINK),
                    source: world.nodes[*sender].address,
                    presence_port: false,
                    ecn: 0,
                };
                self.direct.handle_datagram(now, &arrival, bytes);
            }
        }
        if self.direct.deadline().is_some_and(|at| at <= now) {
            self.direct.handle_timeout(now);
        }
    }

    fn speak(&mut self, world: &mut World, answer: &mut impl FnMut(u8, &[u8]) -> Vec<Frame>) {
        let now = world.now.mono;
        while let Some(output) = self.direct.poll_output(now) {
            match output {
                DirectOutput::Transmit(transmit) => {
                    let mut nodes = world.nodes.iter();
                    let at = |to| Destination::Unicast(to) == transmit.destination;
                    let Some(to) = nodes.position(|node| at(node.address)) else {
                        continue;
                    };
                    let len = transmit.segment_len.unwrap_or(transmit.bytes.len());
                    for datagram in transmit.bytes.chunks(len.max(1)) {
                        world.inject(to, self.actor.at, false, datagram);
                    }
                }
                DirectOutput::StreamOpened { .. } => self.opened += 1,
                DirectOutput::StreamClosed { lost, .. } => self.dropped += u32::from(lost),
                DirectOutput::StreamFrame { key, kind, payload } => {
                    self.direct.take_frame(now, key, payload.len() + 5);
                    for (kind, payload) in answer(kind, &payload) {
                        self.direct.write_frame(now, key, kind, &payload);
                    }
                    self.heard.push((kind, payload));
                }
                _ => {}
            }
        }
    }
}

/// A VECTOR: author, epoch, network, head of each log, all held from the first number.
pub fn vector(logs: &[([u8; 32], u64, [u8; 8], u32)]) -> Frame {
    let mut payload = vec![0; 33];
    payload.extend(u16::try_from(logs.len()).unwrap().to_be_bytes());
    for (author, epoch, network, head) in logs {
        payload.extend(author);
        payload.extend(epoch.to_be_bytes());
        payload.extend(network);
        payload.extend(0u32.to_be_bytes());
        payload.extend(head.to_be_bytes());
        payload.extend([0; 17]);
    }
    (2, payload)
}

/// A WANT of nothing.
pub fn no_want() -> Frame {
    (4, vec![0, 0])
}

/// ENTRIES.
pub fn entries(entries: &[Vec<u8>]) -> Frame {
    let mut payload = u16::try_from(entries.len()).unwrap().to_be_bytes().to_vec();
    for entry in entries {
        payload.extend(u16::try_from(entry.len()).unwrap().to_be_bytes());
        payload.extend(entry);
    }
    (5, payload)
}

/// DONE.
pub fn done() -> Frame {
    (6, vec![0])
}
