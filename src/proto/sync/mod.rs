//! History sync: two members give each other what the other lacks of a room, over QUIC.
//!
//! A newcomer asks two members; one that was away, or whose heads differ from somebody's for a
//! while, exchanges with that member both ways. Helpers need no trust: entries are verified like
//! any others, and the next member shows what one withheld.

pub mod compare;
pub mod exchange;
pub mod frame;
mod helper;
mod incoming;
mod plan;
mod triggers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use self::exchange::{Act, Exchange, Role};
use self::frame::{ENTRIES_LEN_MAX, Frame, Refused};
pub use self::plan::Plans;
use super::Now;
use super::bucket::Bucket;
use super::direct::{DirectOutput, StreamKey};
use super::group::{Cx, Group};
use crate::durable::{Loaded, Row, Token};
use crate::id::{PeerId, RoomTag};
use crate::limits::{SYNC_BYTES_RATE, SYNC_ENTRY_VERIFY_RATE};

/// Without progress for so long, an exchange is over and the next member is asked.
const STALLED: Duration = Duration::from_secs(30);
/// However much it brings, an exchange is over after so long.
const LONGEST: Duration = Duration::from_secs(300);
/// Bytes of a frame before its payload.
const HEAD_LEN: usize = 5;
/// Bytes that the helper may send at once, all exchanges together.
const BYTES_BURST: u32 = 256 * 1024;

/// One exchange under way.
struct Live {
    exchange: Exchange,
    peer: PeerId,
    /// On a connection.
    opened: bool,
    /// Came and were not dealt with.
    frames: VecDeque<(u8, Vec<u8>)>,
    /// Not written yet.
    out: VecDeque<(u8, Vec<u8>)>,
    finishing: bool,
    /// Of what is left of these lines, in the frame that is next, the store was asked whether it may
    /// be believed.
    doubted: Option<BTreeSet<[u8; 16]>>,
    began: Instant,
    progress: Instant,
    /// When it goes on by itself.
    wake: Option<Instant>,
}

impl Live {
    /// When it is given up.
    fn gives_up(&self) -> Instant {
        (self.progress + STALLED).min(self.began + LONGEST)
    }
}

/// All exchanges of one node, and those that are planned.
pub struct Sync {
    live: BTreeMap<StreamKey, Live>,
    /// Opened by others, and nothing came by them yet.
    fresh: BTreeMap<StreamKey, (PeerId, Instant)>,
    tokens: BTreeMap<Token, StreamKey>,
    /// What is to be asked of whom.
    pub plans: Plans,
    /// Somebody was found in this run.
    found: bool,
    /// The rooms that were asked about.
    known: BTreeSet<RoomTag>,
    bytes: Bucket,
    checks: Bucket,
}

/// What an exchange works with.
pub struct Parts<'a, 'b> {
    /// The rooms.
    pub group: &'a mut Group,
    /// The rest.
    pub cx: Cx<'b>,
}

impl Sync {
    /// Nothing under way.
    #[must_use]
    pub fn new(now: Now) -> Self {
        Sync {
            live: BTreeMap::new(),
            fresh: BTreeMap::new(),
            tokens: BTreeMap::new(),
            plans: Plans::default(),
            found: false,
            known: BTreeSet::new(),
            bytes: Bucket::new(now.mono, SYNC_BYTES_RATE, BYTES_BURST),
            checks: Bucket::new(now.mono, SYNC_ENTRY_VERIFY_RATE, SYNC_ENTRY_VERIFY_RATE / 2),
        }
    }

    /// Exchanges with this peer about this room, asked by either side.
    fn is_busy_with(&self, peer: &PeerId, room: &RoomTag) -> bool {
        let mut live = self.live.values();
        live.any(|live| live.peer == *peer && live.exchange.subject.room.tag() == *room)
    }

    fn count(&self, role: Role) -> usize {
        let live = self.live.values();
        live.filter(|live| live.exchange.role == role).count()
    }

    /// What QUIC says of streams.
    pub fn handle_direct(&mut self, parts: &mut Parts, output: DirectOutput) {
        let now = parts.cx.now.mono;
        match output {
            DirectOutput::StreamOpened { peer, key, ours } => {
                if !ours {
                    self.fresh.insert(key, (peer.id(), now));
                } else if let Some(live) = self.live.get_mut(&key) {
                    live.opened = true;
                    let room = live.exchange.subject.room;
                    if let Some(proof) = helper::proof(parts, key, &room, Role::Asker) {
                        live.exchange.set_proof(proof);
                    }
                    self.go_on(parts, key);
                }
            }
            DirectOutput::StreamFrame { key, kind, payload } => {
                if self.fresh.contains_key(&key) {
                    self.begin_helping(parts, key, kind, &payload);
                } else if let Some(live) = self.live.get_mut(&key) {
                    live.frames.push_back((kind, payload));
                    live.progress = now;
                    self.go_on(parts, key);
                } else {
                    parts
                        .cx
                        .direct
                        .take_frame(now, key, payload.len() + HEAD_LEN);
                }
            }
            DirectOutput::StreamWritable { key } => {
                if let Some(live) = self.live.get_mut(&key) {
                    live.progress = now;
                }
                self.go_on(parts, key);
            }
            DirectOutput::StreamEnded { key } => {
                parts.cx.direct.finish_stream(now, key);
                if self.fresh.remove(&key).is_some() {
                    parts.cx.direct.reset_stream(now, key, 0);
                }
            }
            DirectOutput::StreamClosed { key, lost } => {
                let of = self.live.get(&key).filter(|_| lost);
                let of = of.filter(|live| live.exchange.role == Role::Asker);
                let of = of.map(|live| (live.exchange.subject.room.tag(), live.peer));
                self.over(parts, key, lost);
                if let Some((room, peer)) = of {
                    self.plans.again(parts.cx.now.mono, room, peer);
                }
            }
            _ => {}
        }
    }

    /// The store answered. Whether the token was one of these.
    pub fn handle_loaded(&mut self, parts: &mut Parts, token: Token, result: &Loaded) -> bool {
        let Some(key) = self.tokens.remove(&token) else {
            return false;
        };
        let now = parts.cx.now.mono;
        let Some(live) = self.live.get_mut(&key) else {
            return true;
        };
        live.progress = now;
        let Ok(rows) = result else {
            self.drop_exchange(parts, key);
            return true;
        };
        let len: usize = rows.iter().map(len_of).sum();
        // Beyond what is there it is owed, so that the rate holds.
        let len = u32::try_from(len).unwrap_or(u32::MAX).min(BYTES_BURST);
        self.bytes.take(now, len);
        let acts = live.exchange.loaded(rows);
        self.act(parts, key, acts);
        self.go_on(parts, key);
        true
    }

    /// Goes on with an exchange as far as it goes now.
    fn go_on(&mut self, parts: &mut Parts, key: StreamKey) {
        let now = parts.cx.now.mono;
        loop {
            let Some(live) = self.live.get_mut(&key) else {
                return;
            };
            live.wake = None;
            while live.opened
                && let Some((kind, payload)) = live.out.front()
            {
                if !parts.cx.direct.write_frame(now, key, *kind, payload) {
                    break;
                }
                live.out.pop_front();
            }
            if live.finishing && live.out.is_empty() {
                parts.cx.direct.finish_stream(now, key);
            }
            let page = u32::try_from(ENTRIES_LEN_MAX).unwrap_or(u32::MAX);
            let room = live.out.is_empty() && parts.cx.direct.writable(key) >= 2 * ENTRIES_LEN_MAX;
            let has_budget = self.bytes.holds(now, page);
            if let Some(query) = live.exchange.next_query(room && has_budget) {
                let token = parts.cx.core.load(query);
                self.tokens.insert(token, key);
            } else if room && !has_budget && live.exchange.is_serving() {
                live.wake = Some(self.bytes.ready_for(now, page));
            }
            if !self.next_frame(parts, key) {
                return;
            }
        }
    }

    fn act(&mut self, parts: &mut Parts, key: StreamKey, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Send(frame) => self.queue_frame(key, &frame),
                Act::TakeIn(entries) => {
                    if !self.take_in(parts, key, &entries) {
                        return self.drop_exchange(parts, key);
                    }
                }
                Act::People(records) => helper::keep_people(parts, &mut self.checks, &records),
                Act::Finish => {
                    if let Some(live) = self.live.get_mut(&key) {
                        live.finishing = true;
                    }
                }
            }
        }
    }

    fn queue_frame(&mut self, key: StreamKey, frame: &Frame) {
        let Some(live) = self.live.get_mut(&key) else {
            return;
        };
        match frame.emit() {
            Ok(payload) => live.out.push_back((frame.kind(), payload)),
            Err(error) => tracing::error!(%error, "own frame cannot be sent"),
        }
    }

    /// The deadline passed.
    pub fn handle_timeout(&mut self, parts: &mut Parts) {
        let now = parts.cx.now.mono;
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let live = self.live.iter();
        let stalled = live.filter(|(_, live)| now >= live.gives_up());
        let stalled: Vec<StreamKey> = stalled.map(|(&key, _)| key).collect();
        for key in stalled {
            self.drop_exchange(parts, key);
        }
        let fresh = self.fresh.iter();
        let silent = fresh.filter(|(_, (_, since))| now >= *since + STALLED);
        let silent: Vec<StreamKey> = silent.map(|(&key, _)| key).collect();
        for key in silent {
            self.fresh.remove(&key);
            parts.cx.direct.reset_stream(now, key, 0);
        }
        let due = self.live.iter().filter(|(_, live)| is_due(live.wake));
        let due: Vec<StreamKey> = due.map(|(&key, _)| key).collect();
        for key in due {
            self.go_on(parts, key);
        }
        self.ask_planned(parts);
    }

    /// When something is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let live = self.live.values();
        let live = live.flat_map(|live| [Some(live.gives_up()), live.wake]);
        let fresh = self.fresh.values().map(|(_, since)| Some(*since + STALLED));
        live.chain(fresh)
            .chain([self.plans.deadline()])
            .flatten()
            .min()
    }

    /// Ends an exchange from this side.
    fn drop_exchange(&mut self, parts: &mut Parts, key: StreamKey) {
        parts.cx.direct.reset_stream(parts.cx.now.mono, key, 0);
        self.over(parts, key, true);
    }

    fn refused(&mut self, parts: &mut Parts, key: StreamKey, why: Refused) {
        tracing::debug!(?why, "a member does not help");
        let of = self.live.get(&key);
        let of = of.map(|live| (live.exchange.subject.room.tag(), live.peer));
        if let Some((room, peer)) = of.filter(|_| why == Refused::Busy) {
            self.plans.busy(room, peer);
        }
        self.drop_exchange(parts, key);
    }

    /// An exchange is over: if it did not bring all, the next member is asked.
    fn over(&mut self, parts: &mut Parts, key: StreamKey, lost: bool) {
        self.fresh.remove(&key);
        let Some(live) = self.live.remove(&key) else {
            return;
        };
        self.tokens.retain(|_, of| *of != key);
        if let Some(given) = live.exchange.given_by(&live.peer).filter(|_| !lost) {
            let subject = live.exchange.subject;
            let of = (&subject.room.tag(), subject.network);
            parts.group.author_gave(of, &live.peer, &given);
        }
        if live.exchange.role == Role::Asker {
            let done = !lost && live.exchange.is_content();
            let tag = live.exchange.subject.room.tag();
            let now = parts.cx.now.mono;
            let fruitful = live.exchange.is_fruitful();
            tracing::debug!(peer = %live.peer, done, fruitful, "an exchange is over");
            self.plans.went(now, (tag, live.peer), fruitful);
            self.plans.asked(now, tag, live.peer, done);
        }
    }
}

fn len_of(row: &Row) -> usize {
    match row {
        Row::Entry { bytes, .. } | Row::Held { bytes, .. } => bytes.len(),
        _ => 0,
    }
}
