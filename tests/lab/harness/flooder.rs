//! A member of a room that floods it: its lanchat is a real and quiet one, and with its key and
//! from its address entries are sent as fast as wanted.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lanchat::cli::identity;
use lanchat::id::{MessageId, RoomId};
use lanchat::proto::Identity;
use lanchat::wire::{self, Body, Entry, EntryFields, EntryKind, Header, Parsed};

use super::attack::Attacker;
use super::capture::{self, Capture};
use super::lan::Lan;
use super::node::{Node, SOON};
use super::{ms, now};

/// The name of a flooder.
pub const NAME: &str = "mallory";
/// Entries go in groups, each after this time.
const BEAT: Duration = ms(2);

/// A flooder at rest.
pub struct Flooder {
    /// Its lanchat.
    pub node: Node,
    identity: Identity,
    header: Header,
    last: Entry,
    source: SocketAddrV4,
    attacker: Attacker,
}

/// A flood that goes on until it is ended.
pub struct Flood {
    stop: Sender<()>,
    thread: JoinHandle<u32>,
}

impl Flooder {
    /// Joins on this host; says one line, which `witness` hears.
    pub fn join(lan: &Lan, host: usize, witness: &Node) -> Self {
        let host = lan.host(host);
        let wire = Capture::start(lan.switch());
        let node = Node::start(host, NAME);
        node.lists(&witness.name, SOON);
        let id = node.say("#lobby", "may I come in?");
        witness.gets("may I come in?", SOON);
        let identity = identity::load_or_create(node.data_dir()).expect("its key");
        let found = capture::datagrams(&wire.frames())
            .into_iter()
            .find_map(|datagram| {
                let Ok(Parsed::Packet(packet)) = wire::parse(&datagram.payload) else {
                    return None;
                };
                let (SocketAddr::V4(source), Body::Data(entry)) = (datagram.source, packet.body)
                else {
                    return None;
                };
                let of = MessageId::of_entry(&entry.hash(&RoomId::public("lobby")));
                (of.to_string() == id).then_some((source, packet.header, entry))
            });
        let (source, header, last) = found.expect("its line on the wire");
        Flooder {
            node,
            identity: identity.identity,
            header,
            last,
            source,
            attacker: Attacker::new(host, 1),
        }
    }

    /// Sends so many entries a second to each of these, one log, without a number left out.
    pub fn flood(mut self, rate: u32, to: Vec<SocketAddrV4>) -> Flood {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || self.run(rate, &to, &stopped));
        Flood { stop, thread }
    }

    fn run(&mut self, rate: u32, to: &[SocketAddrV4], stopped: &Receiver<()>) -> u32 {
        self.last.epoch += 1;
        self.last.seq = 0;
        let start = now();
        while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
            let due = now().duration_since(start).as_secs_f64() * f64::from(rate);
            while f64::from(self.last.seq) < due {
                self.last = self.next();
                let body = Body::Data(self.last.clone());
                let packet = wire::emit(&self.header, &body, &mut |_| [0; 64]).expect("it fits");
                for to in to {
                    self.attacker.spoof(self.source, &packet, *to);
                }
            }
        }
        self.last.seq
    }

    fn next(&self) -> Entry {
        let room = RoomId::public("lobby");
        let (last, seq) = (&self.last, self.last.seq + 1);
        let prev = match seq {
            1 => [0; 32],
            _ => last.hash(&room),
        };
        let fields = EntryFields {
            author: self.identity.public(),
            network: last.network,
            epoch: last.epoch,
            seq,
            hlc: last.hlc + 1,
            prev,
            kind: EntryKind::TEXT,
            deps: Vec::new(),
            body: format!("flood {seq}").into_bytes(),
        };
        let sign = &mut |bytes: &[u8]| self.identity.sign(bytes);
        Entry::build(fields, &room, sign).expect("an entry")
    }
}

impl Flood {
    /// Ends it; how many entries were sent.
    pub fn end(self) -> u32 {
        let _ = self.stop.send(());
        self.thread.join().expect("no panic in there")
    }
}
