//! What happened, as one hash, and its last moments in words.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::api::{Event, PeerState};
use crate::datagram::Destination;
use crate::id::PeerId;

/// How many of the last steps are kept for the report of a failure.
pub const LAST: usize = 40;

/// One thing that happened at one node.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// A datagram came.
    Arrived(SocketAddr, u8, usize),
    /// A datagram left.
    Sent(Destination, u8, usize),
    /// A timer was due.
    Woke,
    /// The disk answered.
    Kept(usize),
    /// The disk answered a query.
    Loaded(usize),
    /// An ICMP refusal came back.
    Refused(SocketAddr),
    /// The node told people something.
    Told(&'static str, Option<PeerId>, Option<PeerState>),
    /// The scenario did something.
    Fault(String),
}

impl Step {
    /// An event, as far as the trace tells of it.
    #[must_use]
    pub fn told(event: &Event) -> Step {
        match event {
            Event::Ready { .. } => Step::Told("ready", None, None),
            Event::Own { .. } => Step::Told("self", None, None),
            Event::Peer { peer, state, .. } => Step::Told("peer", Some(peer.id), Some(*state)),
            Event::Message { from, .. } => Step::Told("message", Some(from.id), None),
            Event::Receipt { .. } => Step::Told("receipt", None, None),
            Event::Room { .. } => Step::Told("room", None, None),
            Event::Store { .. } => Step::Told("store", None, None),
            Event::History { .. } => Step::Told("history", None, None),
            Event::Gap { from, .. } => Step::Told("gap", Some(from.id), None),
            Event::Network { .. } => Step::Told("network", None, None),
            Event::Reply { .. } => Step::Told("reply", None, None),
            Event::Error { .. } => Step::Told("error", None, None),
        }
    }

    /// What the hash covers: kinds, lengths and words, no bytes of TLS.
    fn digest(&self) -> (u8, u64, &str) {
        match self {
            Step::Arrived(_, kind, len) => (1, (*len as u64) << 8 | u64::from(*kind), ""),
            Step::Sent(_, kind, len) => (2, (*len as u64) << 8 | u64::from(*kind), ""),
            Step::Woke => (3, 0, ""),
            Step::Kept(len) => (4, *len as u64, ""),
            Step::Loaded(len) => (5, *len as u64, ""),
            Step::Refused(_) => (6, 0, ""),
            Step::Told(what, _, state) => (7, state.map_or(9, |state| state as u64), what),
            Step::Fault(what) => (8, 0, what),
        }
    }
}

/// The kind that a datagram's bytes name: 0xff for QUIC, whose bytes are no part of the trace.
#[must_use]
pub fn kind_of(bytes: &[u8]) -> u8 {
    match bytes {
        [crate::wire::MAGIC, _, kind, ..] => *kind,
        _ => 0xff,
    }
}

/// The trace of a world.
pub struct Trace {
    hasher: blake3::Hasher,
    last: VecDeque<(Duration, usize, Step)>,
    faults: Vec<(Duration, usize, String)>,
    /// How many of the last steps are kept.
    pub last_max: usize,
}

impl Default for Trace {
    fn default() -> Self {
        Trace {
            hasher: blake3::Hasher::new(),
            last: VecDeque::new(),
            faults: Vec::new(),
            last_max: LAST,
        }
    }
}

impl Trace {
    /// Adds a step.
    pub fn add(&mut self, now: Duration, node: usize, step: Step) {
        let (tag, number, word) = step.digest();
        let mut bytes = [0; 33];
        bytes[..16].copy_from_slice(&now.as_nanos().to_be_bytes());
        bytes[16..24].copy_from_slice(&(node as u64).to_be_bytes());
        bytes[24] = tag;
        bytes[25..].copy_from_slice(&number.to_be_bytes());
        self.hasher.update(&bytes);
        self.hasher.update(word.as_bytes());
        if let Step::Fault(what) = &step {
            self.faults.push((now, node, what.clone()));
        }
        if self.last.len() >= self.last_max {
            self.last.pop_front();
        }
        self.last.push_back((now, node, step));
    }

    /// The hash of all that happened so far.
    #[must_use]
    pub fn hash(&self) -> blake3::Hash {
        self.hasher.finalize()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (now, node, what) in &self.faults {
            writeln!(f, "{:12.6} s  node {node:<4} {what}", now.as_secs_f64())?;
        }
        writeln!(f, "the last steps:")?;
        for (now, node, step) in &self.last {
            write!(f, "{:12.6} s  node {node:<4} ", now.as_secs_f64())?;
            match step {
                Step::Told(what, who, state) => {
                    write!(f, "tells {what}")?;
                    if let Some(who) = who {
                        write!(f, " of ~{}", who.tag())?;
                    }
                    if let Some(state) = state {
                        write!(f, " {state:?}")?;
                    }
                    writeln!(f)?;
                }
                Step::Arrived(from, kind, len) => {
                    writeln!(f, "hears type {kind}, {len} B from {from}")?;
                }
                Step::Sent(to, kind, len) => writeln!(f, "sends type {kind}, {len} B to {to:?}")?,
                other => writeln!(f, "{other:?}")?,
            }
        }
        Ok(())
    }
}
