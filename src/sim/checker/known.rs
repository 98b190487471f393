//! What the checker knows: what is true of each node and of what was said, and what each node shows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use super::detect;
use crate::api::PeerState;
use crate::id::{MessageId, NetworkId, PeerId, RoomTag};
use crate::wire::EntryKind;

/// What is true of a node.
#[derive(Clone, Debug)]
pub struct Person {
    /// Its id.
    pub id: PeerId,
    /// Its address.
    pub address: SocketAddr,
    /// The network that what it says in public belongs to.
    pub network: NetworkId,
    /// Whether it keeps to the protocol.
    pub honest: bool,
    /// Whether its process runs, suspended or not.
    pub alive: bool,
    /// Since when it runs, or does not.
    pub since: Duration,
    /// When it said GOODBYE in its last run.
    pub goodbye: Option<Duration>,
    /// When it last went on after it was stopped: then it hears a past at once.
    pub resumed: Option<Duration>,
    /// Its disk lost something: what it said and took may come again.
    pub forgetful: bool,
    /// Faults may explain what it shows, and what others show of it, until then.
    pub disturbed: Duration,
    /// The same of what others show of it.
    pub absent: Duration,
    /// How long its process stood still in all, and when it last began to.
    pub still: (Duration, Option<Duration>),
    /// When it last went on, and for how long it had stood still or slept.
    pub went_on: Option<(Duration, detect::Pause)>,
    /// Whether it told last that it is disconnected.
    pub cut_off: bool,
}

/// What a node shows of another.
#[derive(Clone, Copy, Default, Debug)]
pub struct Row {
    /// The state told last.
    pub state: Option<PeerState>,
    /// Whether an address is validated.
    pub confirmed: bool,
    /// When it became so.
    pub validated: Option<Duration>,
    /// Since when it is shown as here.
    pub since: Option<Duration>,
    /// When it was told that they left.
    pub left: Option<Duration>,
    /// Since when they are shown as Suspect.
    pub(super) suspected: Option<Duration>,
    /// When a packet came that names them as its sender while they were dead: a replay.
    pub(super) replayed: Option<Duration>,
}

impl Row {
    /// Whether somebody is shown as here.
    #[must_use]
    pub fn is_here(&self) -> bool {
        matches!(self.state, Some(PeerState::Online | PeerState::Suspect))
    }
}

/// A log: room, author and epoch.
pub(super) type LogOf = (RoomTag, usize, u64);

/// An entry: its log's room, author and epoch, and its number.
pub(super) type LineAt = (RoomTag, usize, u64, u32);

/// An entry that somebody made.
#[derive(Clone, Debug)]
pub(super) struct Truth {
    pub(super) room: RoomTag,
    pub(super) author: usize,
    pub(super) epoch: u64,
    pub(super) seq: u32,
    pub(super) hlc: u64,
    pub(super) deps: Vec<MessageId>,
    pub(super) kind: EntryKind,
    pub(super) text: String,
}

/// A private message that somebody wrote.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) text: String,
    /// Whether the sender's disk has it.
    pub(super) kept: bool,
    pub(super) shown: u32,
}

/// What a node showed of a room.
#[derive(Default)]
pub(super) struct Lines {
    pub(super) ever: BTreeSet<MessageId>,
    /// The last one shown of each log in this run.
    pub(super) last: BTreeMap<LogOf, u32>,
    /// What its clock showed when it started: what was stamped before is history.
    pub(super) begun_ms: u64,
    /// Authors of whom a gap was told since their last line.
    pub(super) gaps: BTreeSet<(RoomTag, usize)>,
    /// The highest stamp shown in this run that moves a clock.
    pub(super) hlc: u64,
    /// The keys of what was kept in this run, as they were then.
    pub(super) keys: HashMap<MessageId, u64>,
    /// The highest of what was shown in this run of each room, and which that is.
    pub(super) highest: BTreeMap<RoomTag, (u64, MessageId)>,
    /// Number and place of the last one shown of each log.
    pub(super) places: BTreeMap<LogOf, (u32, u64)>,
    /// The place of each that was shown in this run.
    pub(super) placed: HashMap<MessageId, u64>,
    /// The last place in each room, and what stands there.
    pub(super) bottom: BTreeMap<RoomTag, (u64, MessageId)>,
    /// Kept in this run; to be shown.
    pub(super) kept: BTreeSet<MessageId>,
}
