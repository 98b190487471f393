//! The logs of a room's authors, and which of them have something to do.
//!
//! A thousand people may be in a room while three write: what is asked for every packet (when is
//! something due?) must not look at all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::log::AuthorLog;
use super::sync_in::Given;
use crate::id::{NetworkId, PeerId, ShortId};
use crate::limits::{AUTHOR_EPOCHS_MAX, PEERS_MAX, ROOM_AUTHORS_MAX};
use crate::wire::Entry;

/// Whose log, and of which epoch.
pub type LogAt = (PeerId, u64);

/// The logs, by author and epoch.
#[derive(Default)]
pub struct Logs {
    /// Boxed: a node of the tree has room for eleven, and is half empty.
    all: BTreeMap<LogAt, Box<AuthorLog>>,
    authors: usize,
    /// Who said on which network to have no log.
    silent: BTreeSet<(PeerId, NetworkId)>,
    /// Those that were touched and may have a deadline.
    active: BTreeSet<LogAt>,
}

impl Logs {
    /// This log.
    #[must_use]
    pub fn get(&self, at: &LogAt) -> Option<&AuthorLog> {
        self.all.get(at).map(Box::as_ref)
    }

    /// This log, to be changed: from now on its deadline counts.
    pub fn get_mut(&mut self, at: &LogAt) -> Option<&mut AuthorLog> {
        let log = self.all.get_mut(at)?;
        self.active.insert(*at);
        Some(log)
    }

    /// Adds a log, in place of what was held of that epoch. Where there are too many, one makes
    /// way: the oldest of its author, or all of an author that is not `here`; false if there is
    /// no such.
    pub fn add(&mut self, at: LogAt, log: AuthorLog, here: impl Fn(&PeerId) -> bool) -> bool {
        if !self.all.contains_key(&at) && !self.make_room(&at, here) {
            return false;
        }
        self.authors += usize::from(!self.has_logs(&at.0));
        self.active.insert(at);
        self.all.insert(at, Box::new(log));
        true
    }

    fn make_room(&mut self, at: &LogAt, here: impl Fn(&PeerId) -> bool) -> bool {
        if !self.has_logs(&at.0) {
            if self.authors < ROOM_AUTHORS_MAX {
                return true;
            }
            let idle = |author: &PeerId| {
                let busy = self.of(author).any(|(_, log)| log.is_storing());
                !here(author) && !busy
            };
            let gone = self.all.keys().map(|(id, _)| *id).find(idle);
            return gone.is_some_and(|gone| {
                self.remove_author(&gone);
                true
            });
        }
        if self.of(&at.0).count() < AUTHOR_EPOCHS_MAX {
            return true;
        }
        let idle = |(epoch, log): &(u64, &AuthorLog)| *epoch < at.1 && !log.is_storing();
        let oldest = self.of(&at.0).find(idle).map(|(epoch, _)| (at.0, epoch));
        oldest.is_some_and(|oldest| {
            self.active.remove(&oldest);
            self.all.remove(&oldest).is_some()
        })
    }

    fn remove_author(&mut self, author: &PeerId) {
        let range = (*author, 0)..=(*author, u64::MAX);
        let gone: Vec<LogAt> = self.all.range(range).map(|(at, _)| *at).collect();
        for at in &gone {
            self.active.remove(at);
            self.all.remove(at);
        }
        self.authors -= usize::from(!gone.is_empty());
    }

    /// An author says on a network to have no log. Where too many did, one that is not `here` is
    /// forgotten for it.
    pub fn note_silent(
        &mut self,
        author: PeerId,
        network: NetworkId,
        here: impl Fn(&PeerId) -> bool,
    ) {
        let of = (author, network);
        if self.silent.len() >= PEERS_MAX && !self.silent.contains(&of) {
            let gone = self.silent.iter().find(|(id, _)| !here(id)).copied();
            if !gone.is_some_and(|gone| self.silent.remove(&gone)) {
                return;
            }
        }
        self.silent.insert(of);
    }

    /// Whether there is any log of this author, or it said to have none.
    #[must_use]
    pub fn contains(&self, author: &PeerId) -> bool {
        self.has_logs(author) || self.silent_at(*author).is_some_and(|id| id == *author)
    }

    fn has_logs(&self, author: &PeerId) -> bool {
        self.of(author).next().is_some()
    }

    /// The first from there on that said to have no log.
    fn silent_at(&self, from: PeerId) -> Option<PeerId> {
        let first = self.silent.range((from, NetworkId([0; 8]))..).next();
        first.map(|(id, _)| *id)
    }

    /// Whether a log of an author that is not known has a place: it is not older than as many as
    /// are held of it.
    #[must_use]
    pub fn may_begin(&self, (author, epoch): &LogAt) -> bool {
        let mut held = self.of(author);
        let is_oldest = held.next().is_some_and(|(oldest, _)| *epoch < oldest);
        !is_oldest || held.count() + 1 < AUTHOR_EPOCHS_MAX
    }

    /// The logs of an author, by epoch.
    pub fn of(&self, author: &PeerId) -> impl Iterator<Item = (u64, &AuthorLog)> {
        let range = (*author, 0)..=(*author, u64::MAX);
        self.all
            .range(range)
            .map(|((_, epoch), log)| (*epoch, &**log))
    }

    /// Whether an author has told of its logs on this network in this run.
    #[must_use]
    pub fn was_heard_on(&self, author: &PeerId, network: NetworkId) -> bool {
        self.silent.contains(&(*author, network))
            || self.of(author).any(|(_, log)| log.was_heard_on(network))
    }

    /// Of each author the newest log of which something is told on a network, by author; of `all`
    /// also those before it that name this network.
    #[must_use]
    pub fn told_on(&self, network: NetworkId, all: bool) -> Vec<(LogAt, u32)> {
        let mut told: Vec<(LogAt, u32)> = Vec::new();
        let goes = |at: &LogAt| !all || self.get(at).is_none_or(|log| !log.is_of(network));
        for (at, log) in &self.all {
            let is_told = at.1 > 0 && log.is_served() && !log.is_forked();
            if let Some(seq) = log.told_on(network).filter(|_| is_told) {
                told.pop_if(|(before, _)| before.0 == at.0 && goes(before));
                told.push((*at, seq));
            }
        }
        told
    }

    /// An author is here again: what it may hold of what is missing is asked for anew.
    pub fn author_back(&mut self, now: Instant, author: &PeerId) {
        let epochs: Vec<u64> = self.of(author).map(|(epoch, _)| epoch).collect();
        for epoch in epochs {
            if let Some(log) = self.get_mut(&(*author, epoch)) {
                log.ask_again(now);
            }
        }
    }

    /// An author gave what it holds of its logs of a network.
    pub fn author_gave(&mut self, author: &PeerId, of: NetworkId, given: &Given) {
        // One that is not in its store, and the newest of all, may be in its memory.
        let newest = given.logs.last_key_value().map(|(&epoch, _)| epoch);
        let is_over = |epoch: u64| given.is_whole && newest.is_some_and(|newest| newest > epoch);
        // Of a log that is not told of, and of which nothing is held here, the network is not known.
        let is_of = |(epoch, log): &(u64, &AuthorLog)| match given.logs.contains_key(epoch) {
            true => log.may_name(of),
            false => log.names_network(of) && is_over(*epoch),
        };
        let epochs: Vec<u64> = self.of(author).filter(is_of).map(|(at, _)| at).collect();
        for epoch in epochs {
            // One that goes on no more grows no more: what it does not tell of was lost.
            let is_over = is_over(epoch);
            let Some(log) = self.get_mut(&(*author, epoch)) else {
                continue;
            };
            match given.logs.get(&epoch) {
                Some(&(head, false)) => log.withheld(Some(head).filter(|_| !is_over)),
                Some(&(head, true)) if !is_over => log.denied(Some(head)),
                _ => log.denied(None),
            }
        }
    }

    /// Takes out what takes lines back and waits for its turn, with its place in the order.
    pub fn take_redactions(&mut self) -> Vec<(Entry, u64)> {
        let logs = self.all.values_mut();
        logs.flat_map(|log| log.take_redactions()).collect()
    }

    /// The full id of the author that packets name like this.
    #[must_use]
    pub fn author(&self, short: &ShortId) -> Option<PeerId> {
        let mut from = [0; 32];
        from[..8].copy_from_slice(&short.0);
        let from = PeerId(from);
        let logged = self.all.range((from, 0)..).next().map(|((id, _), _)| *id);
        let found = [logged, self.silent_at(from)].into_iter().flatten();
        found.into_iter().find(|id| id.short() == *short)
    }

    /// When something is due first.
    pub fn deadline(&mut self) -> Option<Instant> {
        let mut first = None;
        let all = &self.all;
        self.active.retain(|at| {
            let deadline = all.get(at).and_then(|log| log.deadline());
            first = [first, deadline].into_iter().flatten().min();
            deadline.is_some()
        });
        first
    }

    /// The logs with something due.
    #[must_use]
    pub fn due(&self, now: Instant) -> Vec<LogAt> {
        let is_due = |at: &&LogAt| {
            let deadline = self.get(at).and_then(AuthorLog::deadline);
            deadline.is_some_and(|due| due <= now)
        };
        self.active.iter().filter(is_due).copied().collect()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::proto::group::missing::LAST_TRY;

    fn author(number: u32) -> PeerId {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&number.to_be_bytes());
        PeerId(id)
    }

    #[test]
    fn only_what_was_touched_is_looked_at_and_it_is_found() {
        let now = Instant::now();
        let mut logs = Logs::default();
        for number in 0..100 {
            assert!(logs.add((author(number), 1), AuthorLog::new(0), |_| true));
        }
        assert_eq!(logs.deadline(), None);
        assert!(logs.active.is_empty(), "nobody has anything to do");
        let at = (author(7), 1);
        logs.get_mut(&at).unwrap().learn_head(1, now);
        assert_eq!(logs.deadline(), Some(now));
        assert_eq!(logs.due(now), [at]);
        assert_eq!(logs.active.len(), 1);
        logs.remove_author(&author(7));
        assert_eq!((logs.deadline(), logs.authors), (None, 99));
    }

    /// Asks for what is missing of a log as often as it takes; whether it is given up then, though
    /// its author is here.
    fn is_given_up(log: &mut AuthorLog) -> bool {
        let mut now = log.missing.deadline().unwrap();
        while log
            .missing
            .due(now)
            .is_none_or(|(tries, _)| tries < LAST_TRY)
        {
            now = log.missing.deadline().unwrap();
            log.missing.take(now, 64, || Duration::from_millis(30));
            now = log.missing.deadline().unwrap();
        }
        log.give_up_gone(now, true)
    }

    #[test]
    fn an_author_denies_only_what_it_told_of_and_did_not_give() {
        let (now, of) = (Instant::now(), NetworkId([6; 8]));
        let author = author(1);
        let given_up = |times: usize, logs: &[(u64, u32, bool)], is_whole: bool| {
            let mut all = Logs::default();
            for epoch in [5, 9] {
                let mut log = AuthorLog::new(0);
                assert!(log.names(of));
                log.learn_head(3, now);
                all.add((author, epoch), log, |_| true);
            }
            let logs = logs
                .iter()
                .map(|&(epoch, head, gave)| (epoch, (head, gave)));
            let logs = logs.collect();
            let given = Given { logs, is_whole };
            (0..times).for_each(|_| all.author_gave(&author, of, &given));
            [5, 9].map(|epoch| is_given_up(all.get_mut(&(author, epoch)).unwrap()))
        };
        assert_eq!(
            given_up(1, &[(5, 3, true), (9, 3, true)], true),
            [true, true]
        );
        // Of an epoch that it lost it says nothing any more; one that it cannot keep is its newest.
        assert_eq!(given_up(2, &[(9, 3, true)], true), [true, true]);
        assert_eq!(given_up(2, &[(5, 3, true)], true), [true, false]);
        assert_eq!(given_up(2, &[], true), [false, false]);
        // Of an epoch that is over it lost the end; the newest may go on in its memory.
        assert_eq!(
            given_up(1, &[(5, 0, true), (9, 0, true)], true),
            [true, false]
        );
        assert_eq!(
            given_up(2, &[(5, 0, false), (9, 3, true)], true),
            [true, true]
        );
        // It has more of them than it can tell.
        assert_eq!(given_up(2, &[(9, 3, true)], false), [false, true]);
        // Its store may have failed for a moment.
        assert_eq!(
            given_up(1, &[(5, 3, false), (9, 3, true)], true),
            [false, true]
        );
        assert_eq!(
            given_up(2, &[(5, 3, false), (9, 3, true)], true),
            [true, true]
        );
    }

    #[test]
    fn who_said_to_have_no_log_takes_nobodys_place() {
        let (one, other) = (NetworkId([1; 8]), NetworkId([2; 8]));
        let mut logs = Logs::default();
        let most = u32::try_from(PEERS_MAX).unwrap();
        for number in 0..most {
            logs.note_silent(author(number), one, |_| true);
        }
        assert!(logs.contains(&author(7)) && logs.author(&author(7).short()) == Some(author(7)));
        assert!(logs.was_heard_on(&author(7), one) && !logs.was_heard_on(&author(7), other));
        let (new, gone) = (author(most), author(3));
        logs.note_silent(new, one, |_| true);
        assert!(!logs.contains(&new), "all others are here");
        logs.note_silent(new, one, |id| *id != gone);
        assert!(logs.contains(&new) && !logs.contains(&gone));
        assert!(logs.add((author(7), 1), AuthorLog::new(0), |_| true));
        assert!(logs.add((gone, 1), AuthorLog::new(0), |_| true));
        assert_eq!(logs.authors, 2);
        assert_eq!(logs.author(&gone.short()), Some(gone));
    }

    #[test]
    fn an_author_has_several_logs_and_its_oldest_makes_way() {
        let mut logs = Logs::default();
        for epoch in 1..=20 {
            assert!(logs.add((author(1), epoch), AuthorLog::new(0), |_| true));
        }
        let epochs: Vec<u64> = logs.of(&author(1)).map(|(epoch, _)| epoch).collect();
        assert_eq!(epochs, (13..=20).collect::<Vec<u64>>());
        assert!(!logs.add((author(1), 3), AuthorLog::new(0), |_| true));
        assert_eq!((logs.authors, logs.all.len()), (1, 8));
    }

    #[test]
    fn a_full_room_has_no_room_but_for_who_takes_the_place_of_somebody_gone() {
        let mut logs = Logs::default();
        let most = u32::try_from(ROOM_AUTHORS_MAX).unwrap();
        for number in 0..most {
            logs.add((author(number), 1), AuthorLog::new(0), |_| true);
        }
        let new = (author(most), 1);
        assert!(!logs.add(new, AuthorLog::new(0), |_| true));
        let gone = author(3);
        assert!(logs.add(new, AuthorLog::new(0), |id| *id != gone));
        assert!(!logs.contains(&gone) && logs.contains(&new.0));
        assert_eq!(logs.authors, ROOM_AUTHORS_MAX);
    }
}
