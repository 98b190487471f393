//! What is missed is asked for by unicast, and whoever holds it answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use super::room::Room;
use super::{Cx, Group, Pending, author_of};
use crate::api::PeerState;
use crate::durable::{Loaded, Query, Row, Token};
use crate::id::{PeerId, RoomTag};
use crate::limits::{DATAGRAM_LEN_MAX, NACK_ANSWER_BYTES, NACK_ANSWER_RATE};
use crate::proto::bucket::Bucket;
use crate::proto::core::Core;
use crate::proto::presence::Heard;
use crate::wire::{Ack, Body, Entry, Nack, Repair};

/// Most entries that one NACK is answered with.
const ANSWER_ENTRIES_MAX: usize = 64;
/// Peers whose NACKs are counted.
const ANSWERS_MAX: usize = 1024;
/// Header, count, and the length before each entry.
const REPAIR_OVERHEAD: usize = 26 + 1;
const REPAIR_ENTRY_OVERHEAD: usize = 2;

impl Group {
    /// Somebody misses entries. `heard` is from a validated address of theirs.
    pub fn handle_nack(&mut self, cx: &mut Cx, heard: &Heard, nack: &Nack) {
        let own = cx.core.identity.id();
        let Some(room) = self.rooms.get(&nack.room) else {
            return;
        };
        let Some(author) = author_of(room, &own, &nack.author) else {
            return;
        };
        // Before the store is asked, so that a flood of NACKs is none of queries.
        let (count, _) = budget(&mut self.answers, cx.now.mono, heard.id);
        if !count.take(cx.now.mono, 1) {
            cx.core.stats.limited += 1;
            return;
        }
        let numbers = nack.runs.iter().flat_map(|run| run.first..=run.last);
        let mut found = Vec::new();
        let mut absent = Vec::new();
        for seq in numbers.take(ANSWER_ENTRIES_MAX) {
            match held(room, &own, &author, nack.epoch, seq) {
                Some(bytes) => found.push(bytes.clone()),
                None => absent.push(seq),
            }
        }
        if !absent.is_empty() {
            let query = Query::Entries {
                room: room.id,
                author,
                epoch: nack.epoch,
                seqs: absent,
                network: None,
            };
            let token = cx.core.load(query);
            self.pending
                .insert(token, Pending::Repair { peer: heard.id });
        }
        self.answer(cx, heard.id, &found);
    }

    /// The store found what a repair needs. Returns whether the token was ours.
    pub fn handle_loaded(&mut self, cx: &mut Cx, token: Token, result: &Loaded) -> bool {
        if !matches!(self.pending.get(&token), Some(Pending::Repair { .. })) {
            return false;
        }
        let Some(Pending::Repair { peer }) = self.pending.remove(&token) else {
            return false;
        };
        let bytes = |row: &Row| match row {
            Row::Entry { bytes, .. } => Some(bytes.clone()),
            _ => None,
        };
        if let Ok(rows) = result {
            let found: Vec<Vec<u8>> = rows.iter().filter_map(bytes).collect();
            self.answer(cx, peer, &found);
        }
        true
    }

    fn answer(&mut self, cx: &mut Cx, peer: PeerId, entries: &[Vec<u8>]) {
        let Some(to) = cx.presence.address_of(&peer) else {
            return;
        };
        let now = cx.now.mono;
        let (_, bytes) = budget(&mut self.answers, now, peer);
        // As much as may go; the rest is asked for again.
        let fits = |entry: &&Vec<u8>| {
            let len = u32::try_from(entry.len()).unwrap_or(u32::MAX);
            bytes.take(now, len)
        };
        let fitting = entries.iter().take_while(fits).count();
        if fitting < entries.len() {
            cx.core.stats.limited += 1;
        }
        send_repairs(cx.core, to, &entries[..fitting]);
    }

    /// A member tells how far it has our log.
    pub fn handle_ack(&mut self, cx: &mut Cx, member: &PeerId, ack: &Ack) {
        let Some(room) = self.rooms.get_mut(&ack.room) else {
            return;
        };
        if ack.epoch != room.own.sent_epoch || ack.seq > room.own.sent_seq {
            return;
        }
        let changed = room.own.acknowledged(member, ack.seq);
        room.tell_receipts(cx.core, changed);
    }
}

/// What one peer may still be answered: packets, bytes.
fn budget(
    answers: &mut BTreeMap<PeerId, (Bucket, Bucket)>,
    now: Instant,
    peer: PeerId,
) -> &mut (Bucket, Bucket) {
    if answers.len() >= ANSWERS_MAX && !answers.contains_key(&peer) {
        answers.pop_first();
    }
    answers.entry(peer).or_insert_with(|| {
        (
            Bucket::new(now, NACK_ANSWER_RATE, NACK_ANSWER_RATE),
            Bucket::new(now, NACK_ANSWER_BYTES, NACK_ANSWER_BYTES),
        )
    })
}

fn held<'a>(
    room: &'a Room,
    own: &PeerId,
    author: &PeerId,
    epoch: u64,
    seq: u32,
) -> Option<&'a Vec<u8>> {
    if author == own {
        return room
            .own
            .cached(seq)
            .filter(|_| room.own.sent_epoch == epoch);
    }
    room.logs
        .get(author)
        .filter(|log| log.epoch == epoch)?
        .cached(seq)
}

/// Sends entries to one address, as many in a datagram as fit.
pub(super) fn send_repairs(core: &mut Core, to: SocketAddr, entries: &[Vec<u8>]) {
    let mut batch: Vec<Entry> = Vec::new();
    let mut len = REPAIR_OVERHEAD;
    for bytes in entries {
        let Ok(entry) = Entry::parse(bytes) else {
            continue;
        };
        let more = bytes.len() + REPAIR_ENTRY_OVERHEAD;
        if len + more > DATAGRAM_LEN_MAX && !batch.is_empty() {
            send_batch(core, to, std::mem::take(&mut batch));
            len = REPAIR_OVERHEAD;
        }
        len += more;
        batch.push(entry);
    }
    send_batch(core, to, batch);
}

fn send_batch(core: &mut Core, to: SocketAddr, entries: Vec<Entry>) {
    if !entries.is_empty() {
        core.stats.repairs_out += entries.len() as u64;
        core.send_to(to, &Body::Repair(Repair { entries }));
    }
}

/// Asks for what is missing of one log: the author first, then others in turn.
pub(super) fn ask(room: &mut Room, cx: &mut Cx, tag: RoomTag, author: &PeerId) {
    let rtt = cx.pace().rtt;
    let Some(log) = room.logs.get_mut(author) else {
        return;
    };
    let core = &mut *cx.core;
    let Some((tries, runs)) = log.take_asks(cx.now.mono, || rtt * 2 + core.jitter(rtt)) else {
        return;
    };
    let epoch = log.epoch;
    let Some(to) = whom_to_ask(cx, author, tries) else {
        return;
    };
    cx.core.stats.nacks_out += 1;
    cx.core.send_to(
        to,
        &Body::Nack(Nack {
            room: tag,
            author: author.short(),
            epoch,
            runs,
        }),
    );
}

/// Odd tries go to the author while it is here, even ones to another member.
fn whom_to_ask(cx: &mut Cx, author: &PeerId, tries: u32) -> Option<SocketAddr> {
    let online = |id: &PeerId| {
        cx.presence
            .roster
            .get(id)
            .is_some_and(|peer| peer.state != PeerState::Offline)
    };
    let of_author = cx.presence.address_of(author).filter(|_| online(author));
    let others: Vec<SocketAddr> = cx
        .presence
        .roster
        .members()
        .filter(|peer| peer.id != *author)
        .filter_map(|peer| peer.addresses.current())
        .collect();
    if (tries % 2 == 1 || others.is_empty()) && of_author.is_some() {
        return of_author;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small index"
    )]
    let index = (cx.core.unit() * others.len() as f64) as usize;
    others.get(index).copied().or(of_author)
}
