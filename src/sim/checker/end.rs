//! Invariant 3: when faults stop, everything converges.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Checker, LOBBY};
use crate::api::PeerState;
use crate::id::{MessageId, PeerId, RoomId};
use crate::sim::disk::Disk;

/// Somebody who is known from others only and not to be reached is listed for so long.
const HEARSAY_SHOWN_MAX: Duration = Duration::from_secs(40);

impl Checker {
    fn live(&self) -> Vec<usize> {
        let here = |&node: &usize| {
            let person = &self.people[node];
            person.alive && person.honest && person.goodbye.is_none()
        };
        (0..self.people.len()).filter(here).collect()
    }

    /// The rosters: who is here is listed by all who are.
    pub fn rosters_converged(&mut self, now: Duration) {
        let live = self.live();
        for &node in &live {
            for &of in &live {
                let row = self.rows[node][of];
                let right = row.state == Some(PeerState::Online) && row.confirmed;
                if node != of && !right {
                    let what = format!("does not list node {of} in time: {row:?}");
                    self.fail(now, node, 3, what);
                }
            }
        }
    }

    /// Nobody who is gone is listed as here.
    pub fn dead_are_gone(&mut self, now: Duration) {
        for node in self.live() {
            for of in 0..self.people.len() {
                let (row, person) = (self.rows[node][of], &self.people[of]);
                // Whoever tells of the dead has them listed for a while, as unconfirmed.
                let hearsay = |since| !row.confirmed && now < since + HEARSAY_SHOWN_MAX;
                let here = row.is_here() && !row.since.is_some_and(hearsay);
                if here && person.honest && !person.alive {
                    let what = format!("still lists node {of}, which is gone: {row:?}");
                    self.fail(now, node, 3, what);
                }
            }
        }
    }

    /// The logs: what a live author wrote in its epoch is held by all from where they joined it
    /// on, what was kept was shown, and what was written in private to somebody who is here came.
    pub fn logs_converged<'a>(&mut self, now: Duration, disk: impl Fn(usize) -> &'a Disk) {
        let (live, room) = (self.live(), RoomId::public(LOBBY).0);
        for &author in &live {
            let id = self.people[author].id;
            let numbers = self
                .numbers
                .range((author, 0, 0)..=(author, u64::MAX, u32::MAX));
            let Some((&(_, epoch, last), _)) = numbers.last() else {
                continue;
            };
            // A log that a power cut or a restored backup ended is nobody's to tell of.
            if disk(author).own_epoch() != Some(epoch) {
                continue;
            }
            for &node in live.iter().filter(|&&node| node != author) {
                let held: Vec<(u32, MessageId)> = disk(node)
                    .log(room, id, epoch)
                    .map(|(seq, hash)| (seq, MessageId::of_entry(hash)))
                    .collect();
                let first = held.first().map_or(last + 1, |(seq, _)| *seq);
                let through = held.last().map_or(0, |(seq, _)| *seq);
                let whole = held.len() == (through + 1).saturating_sub(first) as usize;
                // Whoever came after the last line has nothing to hold.
                let late = held.is_empty() && self.joined_after(node, author, epoch, last);
                if !late && (!whole || through < last) {
                    let numbers: Vec<u32> = held.iter().map(|(seq, _)| *seq).collect();
                    let what =
                        format!("of node {author}, 1 to {last} of {epoch}, holds {numbers:?}");
                    self.fail(now, node, 3, what);
                }
            }
        }
        for &node in &live {
            let lines = &self.lines[node];
            let since = self.people[node].since + super::LATE;
            let is_history = |id: &&MessageId| {
                let truth = self.truth.get(*id);
                truth.is_some_and(|truth| {
                    let key = (truth.author, truth.epoch, truth.seq);
                    let sent = self.sent_at.get(&key);
                    let left =
                        (truth.author, truth.epoch + 1, 0)..=(truth.author, u64::MAX, u32::MAX);
                    truth.hlc >> 16 < lines.begun_ms
                        || sent.is_none_or(|&at| at < since)
                        // An epoch that its author left.
                        || self.numbers.range(left).next().is_some()
                })
            };
            let mut kept = lines.kept.iter().filter(|id| !is_history(id));
            let unseen = kept.find(|id| !lines.ever.contains(id));
            if let Some(id) = unseen {
                let what = format!("kept {id:?} and never showed it");
                self.fail(now, node, 3, what);
            }
        }
        self.letters_came(now, &live, &disk);
        self.all_hold_the_same(now, &live, disk);
    }

    /// Of every author, here or gone, all hold what any of them holds.
    fn all_hold_the_same<'a>(
        &mut self,
        now: Duration,
        live: &[usize],
        disk: impl Fn(usize) -> &'a Disk,
    ) {
        let Some((&first, others)) = live.split_first() else {
            return;
        };
        let honest = |id: &PeerId| self.node_of(id).is_some_and(|of| self.people[of].honest);
        let held = |node| -> BTreeSet<(PeerId, u64, u32)> {
            let numbers = disk(node).numbers();
            numbers.filter(|(author, ..)| honest(author)).collect()
        };
        let of_first = held(first);
        let differs = others.iter().find_map(|&node| {
            let of_node = held(node);
            let mut lacking = of_first.symmetric_difference(&of_node);
            let (author, epoch, seq) = lacking.next()?;
            let lacks = if of_node.contains(&(*author, *epoch, *seq)) {
                first
            } else {
                node
            };
            let of = self.node_of(author);
            let more = lacking.count();
            let what =
                format!("lacks line {seq} of node {of:?} in {epoch}, and {more} more differ");
            Some((lacks, what))
        });
        if let Some((node, what)) = differs {
            self.fail(now, node, 3, what);
        }
    }

    /// Whether a node's run began, or it met the author, after this line was sent: it need not
    /// have it.
    fn joined_after(&self, node: usize, author: usize, epoch: u64, seq: u32) -> bool {
        let met = self.rows[node][author].validated.unwrap_or_default();
        let joined = met.max(self.people[node].since) + super::LATE;
        let sent = self.sent_at.get(&(author, epoch, seq));
        sent.is_none_or(|&at| joined > at)
    }

    fn letters_came<'a>(
        &mut self,
        now: Duration,
        live: &[usize],
        disk: &impl Fn(usize) -> &'a Disk,
    ) {
        let lost = self.letters.iter().find(|(id, letter)| {
            let both = live.contains(&letter.from) && live.contains(&letter.to);
            let kept = !self.people[letter.from].forgetful && !self.people[letter.to].forgetful;
            both && kept
                && letter.kept
                && (disk(letter.from).is_waiting(id) || !disk(letter.to).received(id))
        });
        if let Some((_, letter)) = lost {
            let (from, to) = (letter.from, letter.to);
            let what = format!("{:?} to node {to} did not come", letter.text);
            self.fail(now, from, 3, what);
        }
    }
}
