//! The invariants, checked while a world runs.
//!
//! The numbers are those of the list in `CONTRIBUTING.md`. What concerns one node is checked with
//! each thing that it does; what concerns all of them each virtual second and at the end. The
//! checker knows what is true (who runs, what was written) and compares it with what each node
//! tells people and sends.

mod detect;
mod end;
mod heads;
mod known;
mod lines;
mod networks;
mod packets;
mod rows;
mod seats;

use known::{Letter, LineAt, Lines, LogOf, Truth};
pub use known::{Person, Row};

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::disk::{Disk, EntryKey};
use crate::api::{Conversation, Event, NetworkState, PeerState, ReceiptState};
use crate::id::{Incarnation, MessageId, NetworkId, PeerId, RoomId, RoomTag};
use crate::proto::locked::seal::Seal;

/// The room that everybody is in.
pub const LOBBY: &str = "lobby";
/// How long after a fault something may still be wrong because of it.
pub const AFTERMATH: Duration = Duration::from_secs(30);

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// When, in virtual time.
    pub at: Duration,
    /// At which node.
    pub node: usize,
    /// Which invariant, 1 to 10.
    pub invariant: u8,
    /// In words.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, node) = (self.at.as_secs_f64(), self.node);
        let (invariant, what) = (self.invariant, &self.what);
        write!(f, "invariant {invariant} at {at:.6} s, node {node}: {what}")
    }
}

/// The invariants and what they need to know.
#[derive(Default)]
pub struct Checker {
    /// What is true of each node.
    pub people: Vec<Person>,
    /// What each node (first index) shows of each (second).
    pub rows: Vec<Vec<Row>>,
    /// The first thing found wrong.
    pub violation: Option<Violation>,
    /// Whose disks were full in this run, or are.
    pub crammed: BTreeSet<usize>,
    /// How often each node took a line in this run that it does not keep any more.
    stale: BTreeMap<(usize, LineAt), u32>,
    /// Whether somebody replays old packets.
    pub replays: bool,
    /// How often each live node was shown as Offline, faults or not.
    pub false_offlines: Vec<u64>,
    /// How many show each node as Online.
    pub listed_by: Vec<usize>,
    /// How many each node shows as Online.
    pub lists: Vec<usize>,
    /// A node of which every row that changes is noted.
    pub watched: Option<usize>,
    /// When, by whom and how it was shown.
    pub seen: Vec<(Duration, usize, PeerState)>,
    /// Lines of a room as they are shown: when, where, and what they say; while measuring.
    pub shown: Vec<(Duration, usize, String)>,
    /// Measuring, not checking: who is shown is counted and nothing of it is wrong.
    pub lenient: bool,
    index: HashMap<PeerId, usize>,
    at: BTreeMap<SocketAddr, usize>,
    truth: HashMap<MessageId, Truth>,
    /// What was sent under each number.
    numbers: BTreeMap<LineAt, [u8; 32]>,
    /// When each was sent first.
    sent_at: BTreeMap<LineAt, Duration>,
    /// What a power cut or a restored backup took from the disk of its author.
    lost: BTreeSet<EntryKey>,
    /// The highest number of each log.
    heads: BTreeMap<LogOf, u32>,
    /// The network that each log belongs to.
    networks: BTreeMap<LogOf, NetworkId>,
    /// On which other networks the author itself said something of it.
    spoken: BTreeSet<(LogOf, NetworkId)>,
    /// The rooms there are.
    rooms: BTreeMap<RoomTag, RoomId>,
    /// The same by name.
    named: BTreeMap<&'static str, RoomTag>,
    /// What opens the packets of the locked ones.
    seals: BTreeMap<RoomTag, Seal>,
    /// Who is in which in this run.
    seats: BTreeMap<(usize, RoomTag), seats::Seat>,
    /// What its author took back, and by which entry.
    taken_back: BTreeSet<(MessageId, MessageId)>,
    /// Of which lines no head was told yet.
    owing: heads::Owing,
    letters: BTreeMap<MessageId, Letter>,
    lines: Vec<Lines>,
    /// In which run a node told each digest of its roster: its own record is part of it.
    digests: BTreeMap<(usize, u32, [u8; 8]), Incarnation>,
    /// Bytes in from and out to addresses that are nobody's, for each node.
    strangers: BTreeMap<(usize, SocketAddr), (u64, u64)>,
    /// When a SUSPECT of somebody came to a node, by its own running time.
    accused: BTreeMap<(usize, usize), Vec<Duration>>,
    /// ALIVEs that came to a node, by whom, run and number.
    alives: BTreeSet<(usize, usize, Incarnation, u32)>,
}

impl Checker {
    /// A node that does not run yet.
    pub fn add(&mut self, id: PeerId, address: SocketAddr, honest: bool) {
        let index = self.people.len();
        if index == 0 {
            self.add_rooms();
        }
        self.people.push(Person {
            id,
            address,
            network: NetworkId::EVERYWHERE,
            honest,
            alive: false,
            since: Duration::ZERO,
            goodbye: None,
            resumed: None,
            forgetful: false,
            disturbed: Duration::ZERO,
            absent: Duration::ZERO,
            still: (Duration::ZERO, None),
            went_on: None,
            cut_off: false,
        });
        self.index.insert(id, index);
        self.at.insert(address, index);
        self.lines.push(Lines::default());
        self.false_offlines.push(0);
        self.listed_by.push(0);
        self.lists.push(0);
        self.rows
            .iter_mut()
            .for_each(|row| row.push(Row::default()));
        self.rows.push(vec![Row::default(); index + 1]);
    }

    /// A node's process starts; its clock shows `wall_ms`.
    pub fn started(&mut self, now: Duration, node: usize, wall_ms: u64) {
        let person = &mut self.people[node];
        (person.alive, person.since, person.goodbye) = (true, now, None);
        (person.still.1, person.went_on) = (None, None);
        person.cut_off = false;
        self.accused.retain(|(at, _), _| *at != node);
        self.forget_rows(node);
        self.stale.retain(|(at, _), _| *at != node);
        self.seats.retain(|(at, _), _| *at != node);
        self.owing.forget(node);
        let lines = &mut self.lines[node];
        let ever = std::mem::take(&mut lines.ever);
        *lines = Lines {
            ever,
            begun_ms: wall_ms,
            ..Lines::default()
        };
    }

    /// A node's process is no more.
    pub fn stopped(&mut self, now: Duration, node: usize, disk: &Disk) {
        if self.crammed.remove(&node) {
            // What could not be kept comes again.
            let ever = &mut self.lines[node].ever;
            ever.retain(|id| disk.has_body(id).is_some());
        }
        let person = &mut self.people[node];
        (person.alive, person.since) = (false, now);
        self.forget_rows(node);
    }

    fn forget_rows(&mut self, node: usize) {
        for (of, row) in self.rows[node].iter_mut().enumerate() {
            if row.state == Some(PeerState::Online) {
                self.listed_by[of] -= 1;
            }
            *row = Row::default();
        }
        self.lists[node] = 0;
    }

    /// A node says GOODBYE.
    pub fn leaving(&mut self, now: Duration, node: usize) {
        self.people[node].goodbye = Some(now);
    }

    /// A node is on no network for a while.
    pub fn departed(&mut self, node: usize) {
        self.owing.forget(node);
    }

    /// A node's disk lost something, these lines of its own among it.
    pub fn forgot(&mut self, node: usize, own: Vec<EntryKey>) {
        self.lost.extend(own);
        self.people[node].forgetful = true;
        self.lines[node].ever.clear();
    }

    /// Faults may explain what is seen of and by this node until then.
    pub fn disturb(&mut self, node: usize, until: Duration) {
        let disturbed = &mut self.people[node].disturbed;
        *disturbed = (*disturbed).max(until);
    }

    /// The same for all.
    pub fn disturb_all(&mut self, until: Duration) {
        (0..self.people.len()).for_each(|node| self.disturb(node, until));
    }

    /// Which node has this id.
    #[must_use]
    pub fn node_of(&self, id: &PeerId) -> Option<usize> {
        self.index.get(id).copied()
    }

    fn fail(&mut self, at: Duration, node: usize, invariant: u8, what: String) {
        self.violation.get_or_insert(Violation {
            at,
            node,
            invariant,
            what,
        });
    }

    /// A node tells people something. `wall_ms` is its clock.
    pub fn told<'a>(
        &mut self,
        (now, wall_ms): (Duration, u64),
        node: usize,
        event: &Event,
        disk: impl Fn(usize) -> &'a Disk,
    ) {
        match event {
            Event::Peer { .. } => self.told_peer(now, node, event),
            Event::Message {
                id,
                conversation,
                from,
                text,
                delayed,
                after,
                own,
                redacted,
                ..
            } => {
                let author = self.index.get(&from.id).copied();
                let Some(author) = author else {
                    let what = format!("shows a line of {}, who does not exist", from.id);
                    return self.fail(now, node, 1, what);
                };
                match conversation {
                    Conversation::Room(name) => {
                        let Some(room) = self.room_of(name) else {
                            let what = format!("shows a line in #{name}, which does not exist");
                            return self.fail(now, node, 1, what);
                        };
                        let moved = *delayed || after.is_some();
                        let line = (*id, room, author);
                        let shown = (text.as_str(), moved, *redacted);
                        self.told_line((now, wall_ms), node, line, shown, disk(node));
                    }
                    Conversation::Peer(_) if !own => {
                        self.told_letter(now, node, author, (*id, text));
                    }
                    Conversation::Peer(_) => {}
                }
            }
            Event::Network { state, .. } => {
                self.people[node].cut_off = *state == NetworkState::Down;
            }
            Event::Room { room, joined, .. } => {
                let name = room.trim_start_matches('#');
                if let Some(tag) = self.room_of(name) {
                    self.told_seat((now, wall_ms), node, tag, *joined);
                }
            }
            Event::Gap {
                conversation: Conversation::Room(name),
                from,
                ..
            } => {
                let author = self.index.get(&from.id).copied();
                if let Some(of) = self.room_of(name).zip(author) {
                    self.lines[node].gaps.insert(of);
                }
            }
            Event::Receipt {
                id,
                conversation: Conversation::Peer(_),
                state: ReceiptState::Delivered,
                ..
            } => {
                let to = self.letters.get(id).map(|letter| letter.to);
                if let Some(to) = to
                    && self.people[to].honest
                    && !self.people[to].forgetful
                    && !disk(to).received(id)
                {
                    let what = format!("{id:?} counts as delivered, and node {to} has not kept it");
                    self.fail(now, node, 9, what);
                }
            }
            _ => {}
        }
    }
}
