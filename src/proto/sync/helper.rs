//! Beginning an exchange, as the one who asks or the one who is asked.

use std::collections::VecDeque;

use super::exchange::{Exchange, Role, Subject};
use super::frame::{Frame, Refused, Why};
use super::plan::SILENT;
use super::{HEAD_LEN, Live, Parts, Sync};
use crate::api::PeerState;
use crate::durable::{Batch, Durability, PersonRow, Write};
use crate::id::{NetworkId, PeerId, RoomId, RoomTag};
use crate::limits::{SYNC_ASKED_MAX, SYNC_FIRST_ENTRIES, SYNC_HELPED_MAX};
use crate::proto::bucket::Bucket;
use crate::proto::crypto::verify;
use crate::proto::direct::StreamKey;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::{PeerRecord, RecordRoom};

/// How far back a newcomer is shown things first.
const FIRST_MS: u64 = 24 * 3600 * 1000;
/// The context of the proof that a side has the key of a locked room.
const PROOF_CONTEXT: &str = "lanchat 1 sync proof";

impl Sync {
    /// Asks whom the plans name by now.
    pub(super) fn ask_planned(&mut self, parts: &mut Parts) {
        let now = parts.cx.now.mono;
        for tag in self.plans.due(now) {
            // One that does not go on is not waited for.
            let asking = self.live.values().any(|live| {
                live.exchange.role == Role::Asker
                    && live.exchange.subject.room.tag() == tag
                    && now < live.progress + SILENT
            });
            if asking || self.count(Role::Asker) >= SYNC_ASKED_MAX {
                self.plans.put_off(now, &tag);
                continue;
            }
            let Some(peer) = self.whom_to_ask(parts, &tag) else {
                self.plans.nobody(now, &tag, parts.cx.core.unit());
                continue;
            };
            if self.is_busy_with(&peer, &tag) {
                // That exchange goes both ways.
                self.plans.asked(now, tag, peer, true);
                continue;
            }
            self.begin_asking(parts, tag, peer);
        }
    }

    /// The member that the plan names, else any that was not asked yet.
    fn whom_to_ask(&mut self, parts: &mut Parts, tag: &RoomTag) -> Option<PeerId> {
        let plan = self.plans.get(tag)?;
        let roster = &parts.cx.presence.roster;
        let can = |id: &PeerId| {
            let peer = roster.get(id).filter(|peer| {
                peer.is_member() && peer.state == PeerState::Online && !peer.record.transient
            });
            peer.is_some_and(|peer| peer.addresses.current().is_some()) && !plan.tried.contains(id)
        };
        if let Some(named) = plan.prefer.filter(can) {
            return Some(named);
        }
        let can = roster.members().filter(|peer| can(&peer.id));
        // Those who say that they are in the room, if there are any.
        let (inside, others): (Vec<_>, Vec<_>) = can.partition(|peer| lists(&peer.record, tag));
        let members = if inside.is_empty() { others } else { inside };
        let members: Vec<PeerId> = members.iter().map(|peer| peer.id).collect();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small index"
        )]
        let index = (parts.cx.core.unit() * members.len() as f64) as usize;
        members.get(index).copied()
    }

    fn begin_asking(&mut self, parts: &mut Parts, tag: RoomTag, peer: PeerId) {
        let now = parts.cx.now;
        let key = parts.cx.presence.roster.get(&peer).map(|peer| peer.key());
        let at = parts.cx.presence.address_of(&peer);
        let (Some(public), Some(at), Some(room)) = (key, at, parts.group.room_id(&tag)) else {
            self.plans.asked(now.mono, tag, peer, false);
            return;
        };
        let Some(why) = self.plans.get(&tag).map(|plan| plan.why) else {
            return;
        };
        tracing::debug!(%peer, ?why, "a member is asked for history");
        let network = network_towards(parts, &tag, at);
        let subject = Subject {
            room,
            network,
            why,
            entries: SYNC_FIRST_ENTRIES,
            since_ms: now.wall_ms.saturating_sub(FIRST_MS),
        };
        let key = parts.cx.direct.open_stream(now.mono, &public, at);
        self.plans.asking(now.mono, &tag, peer);
        let exchange = Exchange::new(Role::Asker, subject, [0; 32]);
        self.live.insert(key, live(exchange, peer, now.mono, false));
        // What is held is looked up while the connection comes up.
        if parts.group.room_key(&tag).is_none() {
            self.go_on(parts, key);
        }
    }

    /// The first frame of a stream that somebody opened.
    pub(super) fn begin_helping(
        &mut self,
        parts: &mut Parts,
        key: StreamKey,
        kind: u8,
        payload: &[u8],
    ) {
        let now = parts.cx.now.mono;
        let Some((peer, _)) = self.fresh.remove(&key) else {
            return;
        };
        parts
            .cx
            .direct
            .take_frame(now, key, payload.len() + HEAD_LEN);
        match self.admit(
            parts,
            key,
            &peer,
            Frame::parse(kind, payload).ok().flatten(),
        ) {
            Some(Ok(exchange)) => {
                self.live.insert(key, live(exchange, peer, now, true));
                self.go_on(parts, key);
            }
            Some(Err(why)) => {
                let frame = Frame::Refused(why);
                if let Ok(payload) = frame.emit() {
                    parts
                        .cx
                        .direct
                        .write_frame(now, key, frame.kind(), &payload);
                }
                parts.cx.direct.finish_stream(now, key);
            }
            None => {
                parts.cx.core.stats.malformed += 1;
                parts.cx.direct.reset_stream(now, key, 0);
            }
        }
    }

    /// Whether this node helps; none for what is no ASK.
    fn admit(
        &self,
        parts: &Parts,
        key: StreamKey,
        peer: &PeerId,
        frame: Option<Frame>,
    ) -> Option<Result<Exchange, Refused>> {
        let Some(Frame::Ask {
            room: tag,
            network,
            proof: theirs,
            why,
            entries,
            since_ms,
        }) = frame
        else {
            return None;
        };
        let helped = |live: &&Live| live.peer == *peer && live.exchange.role == Role::Helper;
        if self.count(Role::Helper) >= SYNC_HELPED_MAX || self.live.values().any(|l| helped(&l)) {
            return Some(Err(Refused::Busy));
        }
        let Some(room) = parts.group.room_id(&tag) else {
            return Some(Err(Refused::Room));
        };
        let mut own = [0; 32];
        if parts.group.room_key(&tag).is_some() {
            let expected = proof(parts, key, &room, Role::Asker);
            // Compared in constant time.
            let is_right = expected.is_some_and(|own| blake3::Hash::from(own) == theirs);
            if !is_right && !is_sabotaged(Sabotage::SyncWithoutProof) {
                return Some(Err(Refused::Proof));
            }
            own = proof(parts, key, &room, Role::Helper)?;
        }
        let at = parts.cx.direct.stream_remote(key)?;
        if network_towards(parts, &tag, at) != network {
            return Some(Err(Refused::Network));
        }
        let subject = Subject {
            room,
            network,
            why,
            entries: entries.min(SYNC_FIRST_ENTRIES),
            since_ms,
        };
        Some(Ok(Exchange::new(Role::Helper, subject, own)))
    }
}

/// Whether somebody's record says that they are in a room.
fn lists(record: &PeerRecord, tag: &RoomTag) -> bool {
    record.rooms.iter().any(|room| match room {
        RecordRoom::Public(name) => RoomId::public(name.as_str()).tag() == *tag,
        RecordRoom::Locked(_, part) => tag.0.starts_with(part),
    })
}

fn live(exchange: Exchange, peer: PeerId, now: std::time::Instant, opened: bool) -> Live {
    Live {
        exchange,
        peer,
        opened,
        frames: VecDeque::new(),
        out: VecDeque::new(),
        finishing: false,
        doubted: None,
        began: now,
        progress: now,
        wake: None,
    }
}

/// The network whose logs are told to whoever is there: that of the link which leads there; none
/// for a locked room, which is the same everywhere.
fn network_towards(parts: &Parts, tag: &RoomTag, at: std::net::SocketAddr) -> NetworkId {
    if parts.group.room_key(tag).is_some() {
        return NetworkId([0; 8]);
    }
    parts.cx.core.network_towards(at)
}

/// What shows that a side has the key of a locked room, on this connection alone.
pub(super) fn proof(parts: &Parts, key: StreamKey, room: &RoomId, role: Role) -> Option<[u8; 32]> {
    let secret = parts.group.room_key(&room.tag())?;
    let exported = parts.cx.direct.exporter(key, &room.0)?;
    let mut hasher = blake3::Hasher::new_keyed(&blake3::derive_key(PROOF_CONTEXT, &secret));
    hasher.update(&exported);
    hasher.update(&[match role {
        Role::Asker => 0,
        Role::Helper => 1,
    }]);
    Some(*hasher.finalize().as_bytes())
}

/// Keeps the records of authors that a helper told of, so that their lines have names.
pub(super) fn keep_people(parts: &mut Parts, checks: &mut Bucket, records: &[Vec<u8>]) {
    let now = parts.cx.now.mono;
    let mut writes = Vec::new();
    for bytes in records {
        let Ok(record) = PeerRecord::parse(bytes) else {
            parts.cx.core.stats.malformed += 1;
            continue;
        };
        if !checks.take(now, 1) {
            break;
        }
        parts.cx.core.stats.verified += 1;
        if !verify(&record.key, &record.signing_input(), &record.signature()) {
            parts.cx.core.stats.bad_signature += 1;
            continue;
        }
        writes.push(Write::Person(PersonRow {
            id: record.key.id(),
            key: record.key,
            incarnation: record.incarnation.0,
            record_seq: record.record_seq,
            record: record.bytes,
        }));
    }
    if !writes.is_empty() {
        parts.cx.core.persist(Batch {
            durability: Durability::Process,
            writes,
        });
    }
}

/// Why a room is looked at first: what a newcomer asks with.
#[must_use]
pub fn why_at_start(is_new: bool) -> Why {
    match is_new {
        true => Why::Join,
        false => Why::Heal,
    }
}
