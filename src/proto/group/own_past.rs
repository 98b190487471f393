//! The own logs as they are held, by epoch: also those that ended, and what others gave back of what
//! the own disk had lost.

use std::collections::BTreeMap;

use super::log::AuthorLog;
use super::own::OwnAt;
use super::sender::OwnSender;
use crate::durable::{Head, Holes};
use crate::id::NetworkId;
use crate::wire::Entry;

/// What is held of the own logs, but for what is said in this run.
#[derive(Default)]
pub struct OwnPast {
    all: BTreeMap<u64, AuthorLog>,
}

impl OwnPast {
    /// A log as the store had it, with what it knew of it beyond its head.
    pub fn restore(&mut self, head: &Head, holes: Option<&Holes>) {
        let log = AuthorLog::restored(head, holes);
        self.all.insert(head.epoch, log);
    }

    /// What is held of this log above that number, as runs.
    #[must_use]
    pub fn beyond(&self, (epoch, seq): OwnAt) -> Vec<(u32, u32)> {
        let beyond = self.all.get(&epoch).map(|log| log.held_runs().1);
        let beyond = beyond.into_iter().flatten();
        beyond.filter(|(first, _)| *first > seq).collect()
    }

    /// An own entry came back and is kept. `sent`: what this run knows of its log.
    pub fn came(&mut self, entry: &Entry, sent: Option<&OwnSender>) {
        let log = self.all.entry(entry.epoch).or_insert_with(|| {
            let held = sent.map_or(0, |sent| sent.seq);
            let mut log = AuthorLog::new(if held > 0 { 0 } else { entry.seq - 1 });
            (1..=held).for_each(|seq| log.filled(seq));
            log
        });
        if log.names(entry.network) {
            log.filled(entry.seq);
        }
    }

    /// The network of an epoch.
    #[must_use]
    pub fn network_of(&self, epoch: u64) -> Option<NetworkId> {
        self.all.get(&epoch)?.network
    }

    /// The logs of a network of which something is held, and up to where.
    pub fn told_on(&self, network: NetworkId) -> impl Iterator<Item = OwnAt> {
        let of = self.all.iter();
        let of = of.filter(move |(_, log)| log.is_of(network) && log.is_served());
        of.filter_map(move |(&epoch, log)| {
            let told = log.told_on(network)?;
            Some((epoch, log.held_runs().0.min(told)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{PeerId, PublicKey, RoomId};
    use crate::wire::EntryKind;
    use crate::wire::group::EntryFields;

    const HOME: NetworkId = NetworkId([1; 8]);
    const CAFE: NetworkId = NetworkId([2; 8]);

    fn entry(epoch: u64, seq: u32) -> Entry {
        let fields = EntryFields {
            author: PublicKey([9; 32]),
            network: HOME,
            epoch,
            seq,
            hlc: 5,
            prev: [0; 32],
            kind: EntryKind::TEXT,
            deps: Vec::new(),
            body: b"hi".to_vec(),
        };
        Entry::build(fields, &RoomId::public("lobby"), &mut |_| [0; 64]).expect("fits")
    }

    fn told(past: &OwnPast) -> Vec<OwnAt> {
        past.told_on(HOME).collect()
    }

    #[test]
    fn what_ended_is_told_of_and_what_comes_back_counts() {
        let mut past = OwnPast::default();
        let head = Head {
            room: RoomId::public("lobby"),
            author: PeerId([9; 32]),
            epoch: 3,
            seq: 4,
            hash: [1; 32],
            network: HOME,
            low: 1,
            floor: 0,
            forked: false,
        };
        past.restore(&head, None);
        assert_eq!(told(&past), [(3, 4)]);
        assert_eq!(past.told_on(CAFE).count(), 0);
        past.came(&entry(3, 5), None);
        past.came(&entry(3, 7), None);
        assert_eq!(told(&past), [(3, 5)], "6 is missing");
        assert_eq!(past.beyond((3, 5)), [(7, 7)]);
        // The disk never knew of this one.
        past.came(&entry(8, 1), None);
        assert_eq!(told(&past), [(3, 5), (8, 1)]);
        // Restored from a backup: it ended here at 2, and went on in a run that is lost.
        let sent = OwnSender::new(HOME, 2, [1; 32]);
        past.came(&entry(9, 3), Some(&sent));
        assert_eq!(told(&past), [(3, 5), (8, 1), (9, 3)]);
        assert_eq!(past.network_of(9), Some(HOME));
    }
}
