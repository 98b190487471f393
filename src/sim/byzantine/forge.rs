//! What it makes of the packets of others, and of nothing: replays, mutations, forgeries and junk.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::{Byzantine, GROUP, Send, lobby};
use crate::id::Nonce;
use crate::sim::dice::Dice;
use crate::wire::header::Kind;
use crate::wire::{self, Body, Entry, EntryFields, EntryKind, Parsed, ProbeAck, Repair};

/// Packets of each that are repeated when all else is over.
const REPEATED: usize = 16;
/// Where the sequence number stands in a header.
const SEQUENCE: std::ops::Range<usize> = 22..26;
/// What junk poses as.
const KINDS: [Kind; 5] = [
    Kind::Hello,
    Kind::Heartbeat,
    Kind::Goodbye,
    Kind::Data,
    Kind::Nack,
];

impl Byzantine {
    fn captured(&self, dice: &mut Dice) -> Option<(SocketAddr, Vec<u8>)> {
        let ring = if dice.chance(0.6) || self.common.is_empty() {
            &self.rare
        } else {
            &self.common
        };
        ring.get(dice.below(ring.len())).cloned()
    }

    /// Where a datagram says it is from: its sender, this node, or nobody, on the link or off it.
    pub(super) fn source(&self, dice: &mut Dice, sender: SocketAddr) -> SocketAddr {
        let port = 1024 + u16::try_from(dice.below(8)).unwrap_or(0);
        match dice.below(4) {
            0 => sender,
            1 => self.address,
            2 => SocketAddr::from(([10, 77, 99, 1], port)),
            _ => SocketAddr::from(([192, 168, 9, 9], port)),
        }
    }

    pub(super) fn replay(&self, dice: &mut Dice) -> Option<Send> {
        let (sender, bytes) = self.captured(dice)?;
        Some(Send {
            source: self.source(dice, sender),
            destination: self.destination(dice),
            bytes,
            entry: None,
        })
    }

    /// A few old packets in turn: whoever is new here hears each of them soon, and takes each once.
    pub(super) fn repeat(&mut self, dice: &mut Dice) -> Option<Send> {
        let newest = |ring: &VecDeque<(SocketAddr, Vec<u8>)>| {
            let few = ring.iter().rev().take(REPEATED).cloned();
            few.collect::<Vec<_>>()
        };
        let old = [newest(&self.rare), newest(&self.common)].concat();
        self.turn += 1;
        let (sender, bytes) = old.get(self.turn % old.len().max(1))?.clone();
        Some(Send {
            source: self.source(dice, sender),
            destination: GROUP,
            bytes,
            entry: None,
        })
    }

    pub(super) fn mutate(&self, dice: &mut Dice) -> Option<Send> {
        let mut send = self.replay(dice)?;
        for _ in 0..=dice.below(3) {
            let at = dice.below(send.bytes.len());
            let bit = 1u8 << dice.below(8);
            // What begins with another byte is QUIC and dropped there.
            if at > 0 {
                send.bytes[at] ^= bit;
            }
        }
        Some(send)
    }

    pub(super) fn forge_sequence(&self, dice: &mut Dice) -> Option<Send> {
        let mut send = self.replay(dice)?;
        let number = match dice.below(3) {
            0 => u32::MAX,
            1 => u32::try_from(dice.below(1 << 16)).unwrap_or(0),
            _ => 1_000_000,
        };
        send.bytes[SEQUENCE].copy_from_slice(&number.to_be_bytes());
        Some(send)
    }

    /// A line in somebody else's name.
    pub(super) fn forge_entry(&mut self, dice: &mut Dice, now_ms: u64) -> Option<Send> {
        let entries = self.common.iter().filter_map(|(from, bytes)| {
            let Ok(Parsed::Packet(packet)) = wire::parse(bytes) else {
                return None;
            };
            match packet.body {
                Body::Data(entry) => Some((*from, packet.header, entry)),
                _ => None,
            }
        });
        let entries: Vec<_> = entries.collect();
        let (from, header, entry) = dice.pick(&entries)?.clone();
        let fields = EntryFields {
            author: entry.author,
            network: entry.network,
            epoch: entry.epoch,
            seq: entry.seq + u32::try_from(dice.below(3)).unwrap_or(0),
            hlc: now_ms << 16,
            prev: entry.prev,
            kind: EntryKind::TEXT,
            deps: Vec::new(),
            body: b"forged".to_vec(),
        };
        let identity = &self.identity;
        let forged = Entry::build(fields, &lobby(), &mut |bytes| identity.sign(bytes)).ok()?;
        let bytes = wire::emit(&header, &Body::Data(forged), &mut |_| [0; 64]).ok()?;
        let source = if dice.chance(0.5) { from } else { self.address };
        Some(Send {
            source,
            destination: GROUP,
            bytes,
            entry: None,
        })
    }

    /// Says that somewhere else is its address, without the nonce.
    pub(super) fn forge_ack(&mut self, dice: &mut Dice) -> Option<Send> {
        let mut echo = [0; 8];
        echo.copy_from_slice(&dice.bits().to_be_bytes());
        let echo = Nonce(echo);
        let bytes = self.packet(&Body::ProbeAck(ProbeAck { echo }));
        let source = self.source(dice, self.address);
        let destination = self.destination(dice);
        Some(Send {
            source,
            ..self.own(destination, bytes)
        })
    }

    /// What would be left of somebody's line if they took it back, which they did not.
    pub(super) fn strip(&mut self, dice: &mut Dice) -> Option<Send> {
        let lines = self.common.iter().filter_map(|(_, bytes)| {
            let Ok(Parsed::Packet(packet)) = wire::parse(bytes) else {
                return None;
            };
            match packet.body {
                Body::Data(entry) if !entry.redacted => Some(entry.stub()),
                _ => None,
            }
        });
        let lines: Vec<Entry> = lines.collect();
        let stub = dice.pick(&lines)?.clone();
        let bytes = self.packet(&Body::Repair(Repair {
            entries: vec![stub],
        }));
        Some(self.own(GROUP, bytes))
    }

    pub(super) fn flood(&self, dice: &mut Dice) -> Vec<Send> {
        let count = 20 + dice.below(200);
        let junk = |dice: &mut Dice| {
            let mut bytes: Vec<u8> = (0..30 + dice.below(300))
                .map(|_| dice.bits().to_le_bytes()[0])
                .collect();
            bytes[..2].copy_from_slice(&[wire::MAGIC, wire::VERSION]);
            bytes[2] = dice.pick(&KINDS).map_or(1, |kind| *kind as u8);
            Send {
                source: self.source(dice, self.address),
                destination: GROUP,
                bytes,
                entry: None,
            }
        };
        (0..count).map(|_| junk(dice)).collect()
    }
}
