//! Somebody on the link who is no endpoint: says what the test wants, answers as it wants.

use std::net::SocketAddr;
use std::time::Duration;

use lanchat::api::Status;
use lanchat::datagram::{Destination, Path};
use lanchat::id::{Incarnation, Nonce};
use lanchat::proto::Identity;
use lanchat::text::{PeerName, StatusText};
use lanchat::wire::presence::RecordFields;
use lanchat::wire::sync::{SyncRequest, SyncResponse};
use lanchat::wire::{self, Body, Header, Hello, Known, Parsed, PeerRecord, ProbeAck};

use crate::world::World;

/// The run of every record that is made here.
pub const RUN: Incarnation = Incarnation(1_790_000_000_000);

/// A record of this identity in this run.
pub fn record(identity: &Identity, incarnation: Incarnation, record_seq: u32) -> PeerRecord {
    let fields = RecordFields {
        key: identity.public(),
        incarnation,
        record_seq,
        chat_port: 5263,
        transient: false,
        deaf: false,
        status: Status::Available,
        status_text: StatusText::default(),
        name: PeerName::new("actor").unwrap(),
        rooms: Vec::new(),
        extensions: Vec::new(),
    };
    PeerRecord::build(fields, &mut |bytes| identity.sign(bytes)).unwrap()
}

/// Somebody of whom the test decides everything.
pub struct Actor {
    pub identity: Identity,
    pub at: SocketAddr,
    /// Whether it answers PROBEs and WELCOMEs, so that its address is validated.
    pub answers: bool,
    sequence: u32,
    read: usize,
}

impl Actor {
    pub fn new(secret: u8, host: u8) -> Actor {
        Actor {
            identity: Identity::from_secret(&[secret; 32]),
            at: SocketAddr::from(([10, 0, 0, host], 5263)),
            answers: true,
            sequence: 0,
            read: 0,
        }
    }

    /// The bytes of its next packet.
    pub fn packet(&mut self, body: &Body) -> Vec<u8> {
        self.sequence += 1;
        let header = Header {
            path: Path::Unicast,
            flags: 0,
            sender: self.identity.id().short(),
            incarnation: RUN,
            sequence: self.sequence,
        };
        wire::emit(&header, body, &mut |bytes| self.identity.sign(bytes)).unwrap()
    }

    /// Says something to one node. Returns how many bytes that was.
    pub fn say(&mut self, world: &mut World, to: usize, body: &Body) -> usize {
        let bytes = self.packet(body);
        world.inject(to, self.at, false, &bytes);
        bytes.len()
    }

    pub fn hello(&mut self, world: &mut World, to: usize) -> usize {
        let record = record(&self.identity, RUN, 1);
        self.hello_as(world, to, record)
    }

    pub fn hello_as(&mut self, world: &mut World, to: usize, record: PeerRecord) -> usize {
        let hello = Hello {
            record,
            nonce: Nonce([5; 8]),
            logs: Vec::new(),
            known: Known::ids(&[]),
        };
        self.say(world, to, &Body::Hello(hello))
    }

    /// What came for it since the last call.
    pub fn inbox(&mut self, world: &World) -> Vec<(usize, Body)> {
        let from = std::mem::replace(&mut self.read, world.sent.len()).min(world.sent.len());
        let mine = |index: &usize| world.out[*index].0 == Destination::Unicast(self.at);
        let packet = |index: usize| match wire::parse(&world.sent[index].1) {
            Ok(Parsed::Packet(packet)) => Some((world.sent[index].0, packet.body)),
            _ => None,
        };
        (from..world.sent.len())
            .filter(mine)
            .filter_map(packet)
            .collect()
    }

    /// Lets time pass, answering PROBEs, and SYNC REQUESTs as `page` says. Returns the rest.
    pub fn run(
        &mut self,
        world: &mut World,
        time: Duration,
        mut page: impl FnMut(&SyncRequest) -> Option<SyncResponse>,
    ) -> Vec<(usize, Body)> {
        let until = world.now.mono + time;
        let mut others = Vec::new();
        while world.now.mono < until {
            world.run(Duration::from_millis(1));
            for (from, body) in self.inbox(world) {
                let answer = match &body {
                    Body::Probe(probe) if self.answers => {
                        Some(Body::ProbeAck(ProbeAck { echo: probe.nonce }))
                    }
                    Body::Welcome(welcome) if self.answers => Some(Body::ProbeAck(ProbeAck {
                        echo: welcome.nonce,
                    })),
                    Body::SyncRequest(request) => page(request).map(Body::SyncResponse),
                    _ => None,
                };
                if let Some(answer) = answer {
                    self.say(world, from, &answer);
                }
                others.push((from, body));
            }
        }
        others
    }
}
