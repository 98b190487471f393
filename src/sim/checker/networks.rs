//! Invariant 8 in detail: a public log belongs to one network, and on another nothing of it is told
//! or taken.

use std::time::Duration;

use super::{Checker, LogOf};
use crate::id::{NetworkId, RoomTag, ShortId};
use crate::wire::{Body, Entry};

impl Checker {
    /// What a node says in public belongs to this network from now on.
    pub fn came_to(&mut self, now: Duration, node: usize, network: NetworkId) {
        self.people[node].network = network;
        let lines = &self.lines[node];
        let wall_ms = lines.begun_ms + ms(now.saturating_sub(self.people[node].since));
        let seats = self.seats.iter_mut().filter(|((of, _), _)| *of == node);
        for ((_, room), seat) in seats {
            if !self.seals.contains_key(room) {
                seat.came.entry(network).or_insert((now, wall_ms));
            }
        }
    }

    /// The author itself says this for the first time, wherever it is: whoever hears it there may
    /// serve it there.
    pub(super) fn spoke(&mut self, node: usize, of: LogOf) {
        let network = self.people[node].network;
        if self.networks.get(&of) != Some(&network) {
            self.spoken.insert((of, network));
        }
    }

    /// Whether something of this log is told where it belongs.
    fn is_at_home(&self, node: usize, of: LogOf) -> bool {
        let here = self.people[node].network;
        let Some(&home) = self.networks.get(&of) else {
            return true;
        };
        let is_known = home == here || home == NetworkId::EVERYWHERE;
        is_known || !self.people[of.1].honest || self.spoken.contains(&(of, here))
    }

    /// A node tells of logs, or carries entries of them.
    pub(super) fn told_where(
        &mut self,
        now: Duration,
        node: usize,
        (body, is_sealed): (&Body, bool),
    ) {
        let own = self.people[node].id.short();
        let mut told: Vec<(RoomTag, ShortId, u64)> = Vec::new();
        match body {
            Body::Hello(hello) => {
                told.extend(hello.logs.iter().map(|log| (log.room, own, log.epoch)));
            }
            Body::Welcome(welcome) => {
                told.extend(welcome.logs.iter().map(|log| (log.room, own, log.epoch)));
            }
            Body::Heads(heads) => told.push((heads.room, own, heads.epoch)),
            Body::Heartbeat(heartbeat) => {
                for room in &heartbeat.rooms {
                    let heads = room.heads.iter();
                    told.extend(heads.map(|head| (room.room, head.author, head.epoch)));
                }
            }
            Body::Data(entry) => told.push(named(entry)),
            Body::Repair(repair) => told.extend(repair.entries.iter().map(named)),
            _ => {}
        }
        for (room, author, epoch) in told {
            if self.seals.contains_key(&room) != is_sealed {
                let what = "tells of a locked room in clear".to_owned();
                return self.fail(now, node, 1, what);
            }
            let is_author = |person: &super::Person| person.id.short() == author;
            let Some(of) = self.people.iter().position(is_author) else {
                continue;
            };
            if !self.is_at_home(node, (room, of, epoch)) {
                let what = format!("tells of node {of}'s log {epoch} on a network that is not its");
                return self.fail(now, node, 8, what);
            }
        }
    }

    /// A node takes an entry that somebody else made.
    pub(super) fn took_where(&mut self, now: Duration, node: usize, of: LogOf) {
        if !self.is_at_home(node, of) {
            let what = format!(
                "takes a line of node {}'s log {} on a network that is not its",
                of.1, of.2
            );
            self.fail(now, node, 8, what);
        }
    }
}

fn named(entry: &Entry) -> (RoomTag, ShortId, u64) {
    (entry.room, entry.author_id().short(), entry.epoch)
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
