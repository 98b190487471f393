//! The own logs of a room: one for each network, each continued when the node is there again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use super::own_past::OwnPast;
use super::sender::OwnSender;
use crate::durable::OwnHead;
use crate::id::{MessageId, NetworkId, PeerId, RoomId};
use crate::limits::AUTHOR_EPOCHS_MAX;
use crate::proto::network::nowhere;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::Entry;

/// An own entry: epoch and number.
pub type OwnAt = (u64, u32);

/// The own logs of one room.
#[derive(Default)]
pub struct OwnLogs {
    /// By epoch; also those that ended in this run.
    all: BTreeMap<u64, OwnSender>,
    /// The epoch that the next entry continues.
    going_on: BTreeMap<NetworkId, u64>,
    /// No epoch up to this is begun.
    greatest: u64,
    /// What is held of them all, but for what is said in this run.
    pub past: OwnPast,
    /// Stored, waits for its turn.
    ready: VecDeque<(Entry, MessageId)>,
    /// Stored, waits for its network.
    away: VecDeque<(Entry, MessageId)>,
    /// The networks that this node is on.
    here: BTreeSet<NetworkId>,
    /// The store keeps nothing.
    is_volatile: bool,
}

impl OwnLogs {
    /// Continues a log of an earlier run.
    pub fn restore(&mut self, head: &OwnHead) {
        let back = u32::from(is_sabotaged(Sabotage::NumberTwice));
        let seq = head.seq.saturating_sub(back);
        let log = OwnSender::new(head.network, seq, head.hash);
        self.all.insert(head.epoch, log);
        self.pass(head.epoch);
        let epoch = self.going_on.entry(head.network).or_default();
        *epoch = head.epoch.max(*epoch);
    }

    /// An epoch up to this exists.
    pub fn pass(&mut self, epoch: u64) {
        self.greatest = self.greatest.max(epoch);
    }

    /// No epoch up to this is begun.
    #[must_use]
    pub fn greatest(&self) -> u64 {
        self.greatest
    }

    /// Where the logs of this room stand that go on.
    pub fn heads(&self, room: RoomId) -> impl Iterator<Item = OwnHead> {
        let going_on = self.going_on.iter();
        going_on.filter_map(move |(&network, &epoch)| {
            let log = self.all.get(&epoch).filter(|log| !log.is_volatile)?;
            Some(OwnHead {
                room,
                network,
                epoch,
                seq: log.seq,
                hash: log.hash,
            })
        })
    }

    /// The epoch that an entry on this network continues.
    #[must_use]
    pub fn on(&self, network: NetworkId) -> Option<u64> {
        let epoch = *self.going_on.get(&network)?;
        let log = self.all.get(&epoch)?;
        // While the store keeps nothing, what it knows is left as it is.
        (log.is_volatile == self.is_volatile).then_some(epoch)
    }

    /// Begins a log of this network at `now_ms`, in milliseconds since the Unix epoch.
    pub fn begin(&mut self, network: NetworkId, now_ms: u64) -> u64 {
        let mut epoch = now_ms.max(self.greatest.saturating_add(1));
        if is_sabotaged(Sabotage::EpochReused) && self.greatest > 0 {
            epoch = self.greatest;
        }
        self.pass(epoch);
        let mut log = OwnSender::new(network, 0, [0; 32]);
        log.is_volatile = self.is_volatile;
        self.all.insert(epoch, log);
        self.going_on.insert(network, epoch);
        epoch
    }

    /// An epoch.
    #[must_use]
    pub fn get(&self, epoch: u64) -> Option<&OwnSender> {
        self.all.get(&epoch)
    }

    /// An epoch, to be changed.
    pub fn get_mut(&mut self, epoch: u64) -> Option<&mut OwnSender> {
        self.all.get_mut(&epoch)
    }

    /// Whether an entry signed with the own key is one that this node did not make, of a log that
    /// it would continue.
    #[must_use]
    pub fn is_foreign(&self, entry: &Entry, room: &RoomId) -> bool {
        let at = (entry.epoch, entry.seq);
        let log = self.all.get(&entry.epoch);
        let made = log.and_then(|log| log.cached(entry.seq));
        let is_other = made.is_some_and(|made| {
            let made = Entry::parse(made).ok().filter(|made| *made != *entry);
            made.is_some_and(|made| made.hash(room) != entry.hash(room))
        });
        self.is_beyond(at) || is_other && self.going_on.values().any(|going| *going == at.0)
    }

    fn is_beyond(&self, (epoch, seq): OwnAt) -> bool {
        match self.all.get(&epoch) {
            Some(log) => seq > log.seq && self.on(log.network) == Some(epoch),
            None => epoch > self.greatest,
        }
    }

    /// The own log exists up to there elsewhere, so its numbers may be used: it is not continued,
    /// nor is any other if this epoch was not known at all. Returns the epochs that end.
    pub fn abandon(&mut self, epoch: u64) -> Vec<u64> {
        let mut ended: Vec<u64> = match self.all.get(&epoch) {
            Some(log) => {
                let going = self.on(log.network).into_iter();
                going.filter(|going| *going == epoch).collect()
            }
            None => self.going_on.values().copied().collect(),
        };
        self.going_on.retain(|_, going| !ended.contains(going));
        self.pass(epoch);
        if !ended.contains(&epoch) {
            ended.push(epoch);
        }
        ended
    }

    /// The store could not keep an entry of this epoch. Its number must not be used twice, so
    /// the next entry begins a new epoch; one that the store does not know.
    pub fn entry_lost(&mut self, epoch: u64) {
        self.going_on.retain(|_, going| *going != epoch);
        self.is_volatile = true;
    }

    /// Whether the next entry is of an epoch that the store does not know.
    #[must_use]
    pub fn is_volatile(&self) -> bool {
        self.is_volatile
    }

    /// The store works again: the next entry begins an epoch that it knows.
    pub fn end_volatile(&mut self) {
        if std::mem::take(&mut self.is_volatile) {
            let all = &self.all;
            let is_kept = |epoch: &u64| all.get(epoch).is_some_and(|log| !log.is_volatile);
            self.going_on.retain(|_, epoch| is_kept(epoch));
        }
    }

    /// An entry of this message is stored and may go when its turn comes.
    pub fn enqueue(&mut self, entry: Entry, of: MessageId) {
        let queue = match self.may_leave(entry.network) {
            true => &mut self.ready,
            false => &mut self.away,
        };
        queue.push_back((entry, of));
    }

    /// This node is on these networks now.
    pub fn be_on(&mut self, networks: BTreeSet<NetworkId>) {
        self.here = networks;
        let mut all = Vec::from(std::mem::take(&mut self.ready));
        all.extend(self.away.drain(..));
        // In the order in which it was said, whichever network it is for.
        all.sort_by_key(|(entry, _)| entry.hlc);
        for (entry, of) in all {
            self.enqueue(entry, of);
        }
    }

    /// Whether what was said to the people of a network may leave now. What was said before there
    /// was any is for those of the first.
    fn may_leave(&self, network: NetworkId) -> bool {
        let is_bound = network != NetworkId::EVERYWHERE && network != nowhere();
        !is_bound || self.here.contains(&network)
    }

    /// How many wait for their turn, on a network that this node is on.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Until when the next of them waits for what is on its way before it.
    #[must_use]
    pub fn held_until(&self) -> Option<Instant> {
        let (entry, _) = self.ready.front()?;
        self.all.get(&entry.epoch)?.window_closed_until()
    }

    /// How many wait for their turn, or for their network.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.ready.len() + self.away.len()
    }

    /// The next entry whose turn it is, on a network that this node is on.
    pub fn take_ready(&mut self) -> Option<(Entry, MessageId)> {
        self.ready.pop_front()
    }

    /// The network of an epoch, also of one that ended.
    #[must_use]
    pub fn network_of(&self, epoch: u64) -> Option<NetworkId> {
        let log = self.all.get(&epoch).map(|log| log.network);
        log.or_else(|| self.past.network_of(epoch))
    }

    /// An own entry came back and is kept.
    pub fn came_back(&mut self, entry: &Entry) {
        let sent = self.all.get(&entry.epoch);
        self.past.came(entry, sent);
    }

    /// Where the own logs stand of which something is told on this network: those that name it,
    /// and the last one of which something was said there. Ascending by epoch, the newest of them.
    #[must_use]
    pub fn heads_on(&self, network: NetworkId) -> Vec<OwnAt> {
        let sent = self.all.iter().filter(|(_, log)| log.is_of(network));
        let sent = sent.filter_map(|(&epoch, log)| Some((epoch, log.told_on(network)?.1)));
        let mut heads: BTreeMap<u64, u32> = self.past.told_on(network).collect();
        for (epoch, seq) in sent.chain(self.head_on(network)) {
            let told = heads.entry(epoch).or_default();
            *told = seq.max(*told);
        }
        let older = heads.len().saturating_sub(AUTHOR_EPOCHS_MAX);
        heads.into_iter().skip(older).collect()
    }

    /// Where the own log that is told of on this network stands: the last one of which something
    /// was said there.
    #[must_use]
    pub fn head_on(&self, network: NetworkId) -> Option<OwnAt> {
        let (epoch, (_, last)) = self.told_on(network)?;
        Some((epoch, last))
    }

    /// That log, and its first and last number that are told there.
    #[must_use]
    pub fn told_on(&self, network: NetworkId) -> Option<(u64, (u32, u32))> {
        let told = |(&epoch, log): (&u64, &OwnSender)| Some((epoch, log.told_on(network)?));
        self.all.iter().rev().find_map(told)
    }

    /// The body of an own entry is gone: what goes out of it from now on is its stub.
    pub fn put_stub(&mut self, (epoch, seq): OwnAt, stub: &[u8]) {
        if let Some(log) = self.all.get_mut(&epoch) {
            log.put_stub(seq, stub);
        }
    }

    /// All epochs, by number.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut OwnSender)> {
        self.all.iter_mut().map(|(&epoch, log)| (epoch, log))
    }

    /// A member has everything of an epoch up to `seq`. Returns whose receipt changed.
    pub fn acknowledged(
        &mut self,
        member: &PeerId,
        on: &BTreeSet<NetworkId>,
        (epoch, seq): OwnAt,
    ) -> Vec<OwnAt> {
        let Some(log) = self.all.get_mut(&epoch) else {
            return Vec::new();
        };
        if seq > log.sent_seq {
            return Vec::new();
        }
        let changed = log.acknowledged(member, on, seq).into_iter();
        changed.map(|seq| (epoch, seq)).collect()
    }

    /// A member went. Returns whose receipt changed.
    pub fn member_left(&mut self, member: &PeerId) -> Vec<OwnAt> {
        self.changed(|log| log.member_left(member))
    }

    /// A member is back: what it has not acknowledged goes to it again. Returns whose receipt
    /// changed.
    pub fn member_back(&mut self, now: Instant, member: &PeerId) -> Vec<OwnAt> {
        self.changed(|log| log.member_back(now, member))
    }

    fn changed(&mut self, change: impl Fn(&mut OwnSender) -> Vec<u32>) -> Vec<OwnAt> {
        let mut changed = Vec::new();
        for (&epoch, log) in &mut self.all {
            changed.extend(change(log).into_iter().map(|seq| (epoch, seq)));
        }
        changed
    }

    /// Whether nothing waits and everybody who can have it has it.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.queued() == 0 && self.all.values().all(OwnSender::is_settled)
    }

    /// When something is due of what left.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.all.values().filter_map(OwnSender::deadline).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: NetworkId = NetworkId([1; 8]);
    const CAFE: NetworkId = NetworkId([2; 8]);

    fn head(network: NetworkId, epoch: u64, seq: u32) -> OwnHead {
        OwnHead {
            room: RoomId::public("lobby"),
            network,
            epoch,
            seq,
            hash: [9; 32],
        }
    }

    #[test]
    fn each_network_has_a_log_that_goes_on_and_is_told_of_there_alone() {
        let mut own = OwnLogs::default();
        own.restore(&head(HOME, 10, 5));
        assert_eq!((own.on(HOME), own.on(CAFE)), (Some(10), None));
        assert_eq!(own.begin(CAFE, 8), 11, "epochs grow");
        assert_eq!((own.on(HOME), own.on(CAFE)), (Some(10), Some(11)));
        assert_eq!(
            (own.head_on(HOME), own.head_on(CAFE)),
            (Some((10, 5)), None)
        );
        own.get_mut(11).expect("begun").sent_seq = 1;
        assert_eq!(own.head_on(CAFE), Some((11, 1)));
        assert_eq!(own.head_on(HOME), Some((10, 5)));
    }

    #[test]
    fn what_was_said_elsewhere_ends_the_logs_whose_numbers_may_be_used() {
        let mut own = OwnLogs::default();
        own.restore(&head(HOME, 10, 5));
        own.restore(&head(CAFE, 20, 7));
        own.pass(25);
        for known in [(10, 5), (10, 1), (20, 7), (15, 3), (25, 1)] {
            assert!(!own.is_beyond(known), "{known:?}");
        }
        assert!(own.is_beyond((10, 6)) && own.is_beyond((26, 1)));
        assert_eq!(own.abandon(10), [10]);
        assert_eq!((own.on(HOME), own.on(CAFE)), (None, Some(20)));
        assert!(!own.is_beyond((10, 7)), "it is over already");
        assert_eq!(own.abandon(30), [20, 30]);
        assert_eq!(own.on(CAFE), None);
        assert_eq!(own.begin(HOME, 1), 31);
        own.entry_lost(31);
        assert_eq!(own.on(HOME), None);
        assert_eq!(own.begin(HOME, 1), 32);
        assert_eq!(own.on(HOME), Some(32));
        own.end_volatile();
        assert_eq!(own.on(HOME), None, "never continued");
    }
}
