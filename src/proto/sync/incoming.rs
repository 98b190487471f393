//! Frames of an exchange that came: each is dealt with once there is budget for it and the disk keeps
//! up, and what it gives is verified before the rooms have it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::exchange::Role;
use super::frame::Frame;
use super::{HEAD_LEN, Parts, Sync, helper};
use crate::id::{RoomId, RoomTag};
use crate::proto::crypto::verify;
use crate::proto::direct::StreamKey;
use crate::proto::group::Source;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::{Entry, EntryKind};

/// Before frames are looked at again that the disk was too slow for.
const DISK_WAIT: Duration = Duration::from_millis(50);

impl Sync {
    /// Deals with the next frame of an exchange. Whether there was one, and budget for it.
    pub(super) fn next_frame(&mut self, parts: &mut Parts, key: StreamKey) -> bool {
        let now = parts.cx.now.mono;
        let Some(live) = self.live.get_mut(&key) else {
            return false;
        };
        let Some((kind, payload)) = live.frames.front() else {
            return false;
        };
        let frame = Frame::parse(*kind, payload);
        if let Ok(Some(Frame::Entries(entries))) = &frame {
            let checks = u32::try_from(entries.len()).unwrap_or(u32::MAX);
            if !self.checks.holds(now, checks) {
                live.wake = Some(self.checks.ready_for(now, checks));
                return false;
            }
            let room = live.exchange.subject.room;
            let doubted = live.doubted.get_or_insert_with(|| {
                Self::note_redactions(parts, &room, entries);
                doubt_stubs(parts, room.tag(), entries)
            });
            if !parts.group.has_room_for(entries.len()) || parts.group.is_in_doubt(doubted) {
                live.wake = Some(now + DISK_WAIT);
                return false;
            }
            live.doubted = None;
        }
        let len = payload.len() + HEAD_LEN;
        live.frames.pop_front();
        parts.cx.direct.take_frame(now, key, len);
        let acts = match frame {
            Ok(None) => return true,
            Ok(Some(Frame::Refused(why))) => {
                self.refused(parts, key, why);
                return false;
            }
            Ok(Some(Frame::Vector { proof, .. })) if !self.is_proven(parts, key, &proof) => None,
            Ok(Some(frame)) => self
                .live
                .get_mut(&key)
                .and_then(|live| live.exchange.handle(frame).ok()),
            Err(_) => None,
        };
        let Some(acts) = acts else {
            parts.cx.core.stats.malformed += 1;
            self.drop_exchange(parts, key);
            return false;
        };
        self.act(parts, key, acts);
        true
    }

    /// Whether a helper's first word shows that it has the key of a locked room.
    fn is_proven(&self, parts: &Parts, key: StreamKey, proof: &[u8; 32]) -> bool {
        let Some(live) = self
            .live
            .get(&key)
            .filter(|l| l.exchange.role == Role::Asker)
        else {
            return true;
        };
        let room = live.exchange.subject.room;
        match parts.group.room_key(&room.tag()) {
            None => true,
            Some(_) => {
                let expected = helper::proof(parts, key, &room, Role::Helper);
                // Compared in constant time.
                expected.is_some_and(|own| blake3::Hash::from(own) == *proof)
            }
        }
    }

    /// Verifies entries that came and hands them to the rooms. False: the other side gave what
    /// nobody asked for or signed, and is not to be dealt with.
    pub(super) fn take_in(
        &mut self,
        parts: &mut Parts,
        key: StreamKey,
        entries: &[Vec<u8>],
    ) -> bool {
        let Some(live) = self.live.get_mut(&key) else {
            return true;
        };
        let subject = live.exchange.subject;
        let tag = subject.room.tag();
        let own = parts.cx.core.identity.id();
        let (mut taken, mut honest) = (Vec::new(), true);
        for bytes in entries {
            let Ok(entry) = Entry::parse(bytes) else {
                parts.cx.core.stats.malformed += 1;
                continue;
            };
            let fits = entry.room == tag
                && entry.network == subject.network
                && live
                    .exchange
                    .expects(&entry.author_id(), entry.epoch, entry.seq);
            if !fits {
                honest = false;
                break;
            }
            if !parts.group.is_wanted(&own, &entry) {
                continue;
            }
            // Known to be there: whoever came here looked.
            self.checks.take(parts.cx.now.mono, 1);
            parts.cx.core.stats.verified += 1;
            let input = entry.signing_input(&subject.room);
            if verify(&entry.author, &input, &entry.signature())
                || is_sabotaged(Sabotage::EntryUnverified)
                || is_sabotaged(Sabotage::SyncUnverified)
            {
                taken.push(entry);
            } else {
                parts.cx.core.stats.bad_signature += 1;
                honest = false;
                break;
            }
        }
        let group = &mut parts.group;
        group.take_in(&mut parts.cx, taken, Source::Sync, subject.network);
        honest
    }

    /// What was taken back is believed to have no body only by the word of its author, which may
    /// stand behind it.
    fn note_redactions(parts: &mut Parts, room: &RoomId, entries: &[Vec<u8>]) {
        let parsed = entries.iter().filter_map(|bytes| Entry::parse(bytes).ok());
        let redactions = parsed.filter(|entry| entry.kind == EntryKind::REDACTION);
        for entry in redactions.filter(|entry| entry.room == room.tag()) {
            let input = entry.signing_input(room);
            if verify(&entry.author, &input, &entry.signature()) {
                parts.group.note_taken_back(&entry);
            }
        }
    }
}

/// Asks the store of what is left of lines whether their authors took them back in an earlier run;
/// which these are.
fn doubt_stubs(parts: &mut Parts, tag: RoomTag, entries: &[Vec<u8>]) -> BTreeSet<[u8; 16]> {
    let parsed = entries.iter().filter_map(|bytes| Entry::parse(bytes).ok());
    let stubs = parsed.filter(|entry| entry.redacted && entry.room == tag);
    let doubted = stubs.filter_map(|stub| parts.group.doubt_stub(&mut parts.cx, &stub));
    doubted.collect()
}
