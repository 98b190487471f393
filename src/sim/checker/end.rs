//! Invariant 3: when faults stop, everything converges.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Checker, LineAt};
use crate::api::PeerState;
use crate::id::{MessageId, NetworkId, PeerId, RoomId};
use crate::sim::disk::Disk;
use crate::wire::EntryKind;

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
                let together = self.people[node].network == self.people[of].network;
                if node != of && together && !right {
                    let what = format!("does not list node {of} in time: {row:?}");
                    self.fail(now, node, 3, what);
                }
            }
        }
    }

    /// Nobody who is gone is listed as here.
    pub fn dead_are_gone(&mut self, now: Duration) {
        for node in self.live() {
            // Who hears nothing at all says that it is disconnected, and leaves its roster alone.
            let is_other = |of: &usize| *of != node && self.people[*of].alive;
            let mut others = (0..self.people.len()).filter(is_other);
            let is_alone = !others.any(|of| self.people[of].network == self.people[node].network);
            if is_alone && self.people[node].cut_off {
                continue;
            }
            for of in 0..self.people.len() {
                let (row, person) = (self.rows[node][of], &self.people[of]);
                // Whoever tells of the dead has them listed for a while, as unconfirmed; so does
                // who replays what they said.
                let is_told = |since: Duration| {
                    let last = row.replayed.map_or(since, |at| at.max(since));
                    now < last + HEARSAY_SHOWN_MAX
                };
                let hearsay = |since| !row.confirmed && is_told(since);
                let here = row.is_here() && !row.since.is_some_and(hearsay);
                if here && person.honest && !person.alive {
                    let what = format!("still lists node {of}, which is gone: {row:?}");
                    self.fail(now, node, 3, what);
                }
            }
        }
    }

    /// The logs: what an author wrote is held by all from where they joined it on, what was kept
    /// was shown, and what was written in private to somebody who is here came.
    pub fn logs_converged<'a>(&mut self, now: Duration, disk: impl Fn(usize) -> &'a Disk) {
        let live = self.live();
        let rooms: Vec<RoomId> = self.rooms.values().copied().collect();
        for room in rooms {
            let is_in = |node: &usize| self.is_in(*node, &room.tag());
            let members: Vec<usize> = live.iter().copied().filter(is_in).collect();
            for author in 0..self.people.len() {
                self.log_is_whole(now, room, (author, &members), &disk);
            }
            self.all_hold_the_same(now, room, &members, &disk);
            self.stands_in_one_order(now, room, &members, &disk);
        }
        self.nothing_is_left(now, &live, &disk);
        for &node in &live {
            self.all_was_shown(now, node);
        }
        self.letters_came(now, &live, &disk);
    }

    /// All who are in the room, in the LAN where the author is or was last, hold what it said there
    /// and somebody has: the author, wherever it is now, or another who is here.
    fn log_is_whole<'a>(
        &mut self,
        now: Duration,
        room: RoomId,
        (author, live): (usize, &[usize]),
        disk: &impl Fn(usize) -> &'a Disk,
    ) {
        let person = &self.people[author];
        let (id, network) = (person.id, self.network_in(author, &room.tag()));
        // A log that a power cut or a restored backup ended is nobody's to tell of.
        let epoch = disk(author).own_epoch(&room, network);
        let Some(epoch) = epoch.filter(|_| person.honest) else {
            return;
        };
        let of = (room.tag(), author, epoch);
        let numbers = (of.0, of.1, of.2, 0)..=(of.0, of.1, of.2, u32::MAX);
        let sent = self.numbers.range(numbers).map(|(&(.., seq), _)| seq);
        let held = |node: usize| -> BTreeSet<u32> {
            let log = disk(node).log(room.0, id, epoch);
            log.map(|(seq, _)| seq).collect()
        };
        let is_there = |node: &&usize| self.network_in(**node, &room.tag()) == network;
        let there: Vec<usize> = live.iter().filter(is_there).copied().collect();
        let is_here = self.live().contains(&author);
        let mut had: BTreeSet<u32> = there.iter().flat_map(|&node| held(node)).collect();
        if is_here {
            let own = held(author).into_iter();
            had.extend(own.filter(|&seq| self.author_gives((of.0, of.1, of.2, seq))));
        }
        let is_old = |seq: u32| {
            let key = (room.0, id, epoch, seq);
            there.iter().any(|&node| disk(node).is_old(&key))
        };
        let said = sent.filter(|&seq| had.contains(&seq) && !is_old(seq));
        let said: Vec<u32> = said.collect();
        let Some(&last) = said.last() else {
            return;
        };
        for node in there.into_iter().filter(|node| *node != author) {
            let held = held(node);
            let first = held.first().copied().unwrap_or(last);
            let lacks = said
                .iter()
                .find(|seq| **seq >= first && !held.contains(seq));
            // Whoever came after the last line has nothing to hold.
            let late = held.is_empty() && self.joined_after(node, (of.0, author, epoch, last));
            if let Some(lacks) = lacks.filter(|_| !late) {
                let what = format!(
                    "lacks line {lacks} of node {author}, which said {last} in {epoch} of {room:?}: holds {held:?}"
                );
                self.fail(now, node, 3, what);
            }
        }
    }

    /// Whether a line's author hands it over: it is in that room; or the room is open and it was
    /// said in this run. Of a room that was only spoken into, later runs know nothing.
    fn author_gives(&self, line: LineAt) -> bool {
        let (room, author) = (line.0, line.1);
        let sent = self.sent_at.get(&line);
        let in_this_run = sent.is_some_and(|&at| at >= self.people[author].since);
        self.is_in(author, &room) || (in_this_run && !self.seals.contains_key(&room))
    }

    /// What a node kept of what was said while it was there, it showed.
    fn all_was_shown(&mut self, now: Duration, node: usize) {
        let lines = &self.lines[node];
        let is_history = |id: &&MessageId| {
            let Some(truth) = self.truth.get(*id) else {
                return false;
            };
            let of = (truth.room, truth.author, truth.epoch);
            let network = self.networks.get(&of).copied();
            let came = network.and_then(|on| self.sat_on(node, &truth.room, on));
            // It is not in that room, or was not on that network since.
            let Some((came, came_ms)) = came else {
                return true;
            };
            let since = came.max(self.people[node].since) + super::rows::LATE;
            let sent = self.sent_at.get(&(of.0, of.1, of.2, truth.seq));
            // An epoch that its author left.
            let mut later = self
                .networks
                .range((of.0, of.1, of.2 + 1)..=(of.0, of.1, u64::MAX));
            // What takes a line back is shown where that line is held.
            truth.kind == EntryKind::REDACTION
                || truth.hlc >> 16 < lines.begun_ms.max(came_ms)
                || sent.is_none_or(|&at| at < since)
                || later.any(|(_, on)| Some(*on) == network)
        };
        let mut kept = lines.kept.iter().filter(|id| !is_history(id));
        if let Some(id) = kept.find(|id| !lines.ever.contains(id)) {
            let what = format!("kept {id:?} and never showed it: {:?}", self.truth.get(id));
            self.fail(now, node, 3, what);
        }
    }

    /// Of every author, here or gone, all in one LAN hold what any of them holds.
    fn all_hold_the_same<'a>(
        &mut self,
        now: Duration,
        room: RoomId,
        live: &[usize],
        disk: &impl Fn(usize) -> &'a Disk,
    ) {
        let honest = |id: &PeerId| self.node_of(id).is_some_and(|of| self.people[of].honest);
        // What the store of one of them forgot because it is old.
        let is_old = |at: &(PeerId, u64, u32)| {
            let key = (room.0, at.0, at.1, at.2);
            live.iter().any(|&node| disk(node).is_old(&key))
        };
        let held = |node: usize| -> BTreeSet<(PeerId, u64, u32)> {
            let numbers = disk(node).numbers(room, self.network_in(node, &room.tag()));
            let numbers = numbers.filter(|(author, ..)| honest(author));
            numbers.filter(|at| !is_old(at)).collect()
        };
        let mut first_on: BTreeMap<NetworkId, (usize, BTreeSet<_>)> = BTreeMap::new();
        let differs = live.iter().find_map(|&node| {
            let of_node = held(node);
            let network = self.network_in(node, &room.tag());
            let (first, of_first) = first_on
                .entry(network)
                .or_insert_with(|| (node, of_node.clone()));
            let mut lacking = of_first.symmetric_difference(&of_node);
            let (author, epoch, seq) = lacking.next()?;
            let lacks = if of_node.contains(&(*author, *epoch, *seq)) {
                *first
            } else {
                node
            };
            let of = self.node_of(author);
            let more = lacking.count();
            let what = format!(
                "lacks line {seq} of node {of:?} in {epoch} of {room:?}, and {more} more differ"
            );
            Some((lacks, what))
        });
        if let Some((node, what)) = differs {
            self.fail(now, node, 3, what);
        }
    }

    /// Whether a node's run began, or it met the author, after this line was sent: it need not
    /// have it.
    fn joined_after(&self, node: usize, line: LineAt) -> bool {
        let met = self.rows[node][line.1].validated.unwrap_or_default();
        let network = self.network_in(node, &line.0);
        let sat = self.sat_on(node, &line.0, network);
        let sat = sat.map_or(Duration::ZERO, |(at, _)| at);
        let joined = met.max(self.people[node].since).max(sat) + super::rows::LATE;
        let sent = self.sent_at.get(&line);
        sent.is_none_or(|&at| joined > at)
    }

    fn letters_came<'a>(
        &mut self,
        now: Duration,
        live: &[usize],
        disk: &impl Fn(usize) -> &'a Disk,
    ) {
        let lost = self.letters.iter().find(|(id, letter)| {
            let network = |node: usize| self.people[node].network;
            let both = live.contains(&letter.from)
                && live.contains(&letter.to)
                && network(letter.from) == network(letter.to);
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::super::Row;
    use super::*;

    /// Two who run and one who is dead, of whom the first still tells this.
    fn with(row: Row) -> Checker {
        let mut checker = Checker::default();
        for number in 1..=3 {
            let address = SocketAddr::from(([10, 77, 0, number], 5263));
            checker.add(PeerId([number; 32]), address, true);
        }
        for node in [0, 1] {
            checker.started(Duration::ZERO, node, 0);
        }
        checker.rows[0][2] = row;
        checker
    }

    fn is_found(mut checker: Checker) -> bool {
        checker.dead_are_gone(Duration::from_secs(100));
        checker.violation.is_some()
    }

    #[test]
    fn who_is_alone_may_list_the_dead_once_it_told_that_it_is_disconnected() {
        for state in [PeerState::Online, PeerState::Suspect] {
            let row = Row {
                state: Some(state),
                confirmed: true,
                ..Row::default()
            };
            for (others, told) in [(0, true), (0, false), (1, true)] {
                let mut checker = with(row);
                checker.people[0].cut_off = told;
                checker.people[1].alive = others > 0;
                assert_eq!(is_found(checker), others > 0 || !told, "{state:?}");
            }
        }
    }

    #[test]
    fn a_dead_row_is_excused_for_a_while_after_the_last_replay() {
        let at = |seconds| Some(Duration::from_secs(seconds));
        for (since, replayed, found) in [
            (at(70), None, false),
            (at(10), None, true),
            (at(10), at(70), false),
            (at(10), at(50), true),
        ] {
            let row = Row {
                state: Some(PeerState::Online),
                since,
                replayed,
                ..Row::default()
            };
            let mut checker = with(row);
            checker.replays = true;
            assert_eq!(is_found(checker), found, "{since:?} {replayed:?}");
        }
    }
}
