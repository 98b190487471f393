//! Invariants 6, 8 and 9: what a node sends.

use std::net::SocketAddr;
use std::time::Duration;

use super::Checker;
use crate::datagram::Destination;
use crate::durable::LogKey;
use crate::id::{Incarnation, MessageId};
use crate::limits::AMPLIFICATION_MAX;
use crate::sim::disk::Disk;
use crate::sim::trace::kind_of;
use crate::sim::world::is_on_link;
use crate::wire::{self, Body, Digest, Entry, Parsed};

/// Most addresses that are nobody's of which bytes are counted.
const STRANGERS_MAX: usize = 100_000;
/// Bytes of a PROBE.
const PROBE_LEN: usize = 98;

impl Checker {
    /// A datagram came to a node from this address.
    pub fn arrived(&mut self, node: usize, source: SocketAddr, bytes: &[u8]) {
        self.may_go(node, source, bytes.len());
        if kind_of(bytes) != wire::Kind::SyncResponse as u8 {
            return;
        }
        // A page names addresses on the link, which may be anybody's: each is good for a PROBE
        // and its repetitions.
        if let Ok(Parsed::Packet(packet)) = wire::parse(bytes)
            && let Body::SyncResponse(page) = packet.body
        {
            let hints = page.records.iter().filter_map(|told| told.hint);
            let hints = hints.filter(|hint| is_on_link(hint.address.ip()));
            hints.for_each(|hint| self.may_go(node, hint.address, PROBE_LEN));
        }
    }

    fn may_go(&mut self, node: usize, to: SocketAddr, len: usize) {
        let is_full = self.strangers.len() >= STRANGERS_MAX;
        if !self.at.contains_key(&to) && !is_full {
            self.strangers.entry((node, to)).or_default().0 += len as u64;
        }
    }

    /// A node sends a datagram. `on_link` tells whether an address is on its link.
    pub fn sent(
        &mut self,
        now: Duration,
        node: usize,
        (destination, bytes): (Destination, &[u8]),
        disk: &Disk,
        on_link: impl Fn(SocketAddr) -> bool,
    ) {
        if let Destination::Unicast(to) = destination
            && !self.at.contains_key(&to)
        {
            self.count_out(now, node, to, bytes.len(), on_link(to));
        }
        if Checker::is_secret(bytes) {
            return self.fail(now, node, 1, "says in clear what is locked".into());
        }
        if bytes.first() != Some(&wire::MAGIC) {
            return;
        }
        let Ok(Parsed::Packet(packet)) = wire::parse(bytes) else {
            return self.fail(now, node, 10, "sends what nobody can read".into());
        };
        let is_crammed = self.crammed.contains(&node);
        if packet.header.incarnation.0 > disk.incarnation && !is_crammed {
            let what = format!("speaks in run {:?}, not kept", packet.header.incarnation);
            return self.fail(now, node, 9, what);
        }
        let run = packet.header.incarnation;
        let is_sealed = matches!(packet.body, Body::Sealed(_));
        let opened = match packet.body {
            Body::Sealed(sealed) => {
                let seal = self.seals.get(&sealed.room);
                let opened = seal.map(|seal| wire::open(&sealed, &packet.header, seal));
                opened.and_then(Result::ok).map(|opened| opened.body)
            }
            body => Some(body),
        };
        let Some(body) = opened else {
            return self.fail(now, node, 10, "seals what nobody can open".into());
        };
        if let Body::Data(entry) = &body
            && entry.author_id() == self.people[node].id
            && !self
                .sent_at
                .contains_key(&(entry.room, node, entry.epoch, entry.seq))
        {
            self.spoke(node, (entry.room, node, entry.epoch));
        }
        if !is_sealed {
            let own =
                matches!(&body, Body::Data(entry) if entry.author_id() == self.people[node].id);
            if let Some(what) = self.owing.sent(now, (node, own), (destination, &body)) {
                self.fail(now, node, 3, what);
            }
        }
        self.told_where(now, node, (&body, is_sealed));
        match &body {
            Body::Heartbeat(heartbeat) => self.told_digest(now, node, &heartbeat.digest, run),
            Body::Welcome(welcome) => self.told_digest(now, node, &welcome.digest, run),
            Body::Data(entry) => self.sent_entry(now, node, entry, disk),
            Body::Repair(repair) => {
                for entry in &repair.entries {
                    self.sent_entry(now, node, entry, disk);
                }
            }
            Body::Ack(ack) => {
                if let Destination::Unicast(to) = destination
                    && let Some(&author) = self.at.get(&to)
                    && let Some(room) = self.rooms.get(&ack.room)
                {
                    let key = (room.0, self.people[author].id, ack.epoch, ack.seq);
                    // What an author tells of and says that it does not have is passed over.
                    let is_there = self.people[author].honest && !self.lost.contains(&key);
                    if is_there && !disk.has(&key) {
                        let what = format!(
                            "acknowledges line {} of node {author}, {}, before it is kept",
                            ack.seq, ack.epoch
                        );
                        self.fail(now, node, 9, what);
                    }
                }
            }
            Body::Nack(nack) => {
                if matches!(destination, Destination::Group(..)) {
                    return self.fail(now, node, 6, "sends a NACK to the group".into());
                }
                let of = |person: &super::Person| person.id.short() == nack.author;
                let author = self.people.iter().position(of);
                let last = nack.runs.last().map_or(0, |run| run.last);
                let Some(author) = author.filter(|&of| self.people[of].honest) else {
                    return;
                };
                let of = (nack.room, author, nack.epoch);
                let head = self.heads.get(&of).copied().unwrap_or(0);
                if last > head {
                    let what = format!("asks for line {last} of node {author}, which wrote {head}");
                    self.fail(now, node, 6, what);
                }
            }
            _ => {}
        }
    }

    /// Invariant 3: whoever missed that somebody restarted finds it by the digest, so two runs of
    /// one node never tell the same.
    fn told_digest(&mut self, now: Duration, node: usize, digest: &Digest, run: Incarnation) {
        if self.lenient {
            return;
        }
        let key = (node, digest.count, digest.xor);
        if *self.digests.entry(key).or_insert(run) != run {
            let what = "tells a digest of its roster that it told in another run".into();
            self.fail(now, node, 3, what);
        }
    }

    fn sent_entry(&mut self, now: Duration, node: usize, entry: &Entry, disk: &Disk) {
        let Some(&room) = self.rooms.get(&entry.room) else {
            return self.fail(now, node, 10, "says something in no room".into());
        };
        let id = entry.author_id();
        let log = LogKey {
            room,
            author: id,
            epoch: entry.epoch,
        };
        let is_kept = disk.has(&(room.0, id, entry.epoch, entry.seq));
        // With a full disk the chat goes on, and who asks is given what is in memory.
        let is_volatile = self.crammed.contains(&node);
        if is_volatile
            && id == self.people[node].id
            && !self
                .truth
                .contains_key(&MessageId::of_entry(&entry.hash(&room)))
        {
            self.learn(entry);
        }
        if !is_kept && !is_volatile && !disk.proves(&log, &entry.bytes) {
            let what = format!("sends line {} before it is kept", entry.seq);
            return self.fail(now, node, 9, what);
        }
        let hash = entry.hash(&room);
        let is_stub = disk.has_body(&MessageId::of_entry(&hash)) == Some(false);
        if is_stub && !entry.redacted {
            let what = format!("sends the text of line {}, which was taken back", entry.seq);
            return self.fail(now, node, 1, what);
        }
        if id != self.people[node].id {
            return;
        }
        let key = (entry.room, node, entry.epoch, entry.seq);
        self.sent_at.entry(key).or_insert(now);
        let first = *self.numbers.entry(key).or_insert(hash);
        if first != hash {
            let what = format!("uses number {} of epoch {} twice", entry.seq, entry.epoch);
            self.fail(now, node, 9, what);
        }
    }

    /// Invariant 8: no more than three times what came, once and only as an answer off the link.
    fn count_out(&mut self, now: Duration, node: usize, to: SocketAddr, len: usize, on_link: bool) {
        let Some((came, went)) = self.strangers.get_mut(&(node, to)) else {
            let full = self.strangers.len() >= STRANGERS_MAX;
            if !full {
                self.fail(now, node, 8, format!("sends to {to}, which never spoke"));
            }
            return;
        };
        *went += len as u64;
        let factor = if on_link { AMPLIFICATION_MAX } else { 1 };
        if *went > *came * factor {
            let what = format!("{went} bytes to {to}, which nobody validated, for {came}");
            self.fail(now, node, 8, what);
        }
    }
}
