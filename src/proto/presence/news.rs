//! News: changes of the roster ride on own heartbeats, so that whoever missed them asks.

use std::collections::VecDeque;

use super::Presence;
use crate::id::{PeerId, ShortId};
use crate::limits::HEARTBEAT_NEWS_MAX;
use crate::wire::News;

/// Changes that wait for heartbeats; the oldest are left out.
const NEWS_MAX: usize = 64;
/// Heartbeats that carry a change, for each doubling of N.
const REPEATS: u32 = 3;

/// Changes to tell of, the newest first.
#[derive(Default)]
pub(super) struct Newsboard {
    items: VecDeque<(PeerId, u32)>,
}

impl Newsboard {
    /// Somebody's record changed: told `3 ceil(log2 N)` times.
    pub(super) fn add(&mut self, id: PeerId, population: usize) {
        self.items.retain(|(other, _)| *other != id);
        self.items.truncate(NEWS_MAX - 1);
        let doublings = population.max(2).next_power_of_two().ilog2();
        self.items.push_front((id, REPEATS * doublings));
    }

    /// Those that the next heartbeat may carry, without counting it.
    fn newest(&self) -> Vec<PeerId> {
        let newest = self.items.iter().take(HEARTBEAT_NEWS_MAX);
        newest.map(|(id, _)| *id).collect()
    }

    /// Those that the next heartbeat may carry.
    fn take(&mut self) -> Vec<PeerId> {
        let mut told = Vec::new();
        for (id, left) in self.items.iter_mut().take(HEARTBEAT_NEWS_MAX) {
            *left -= 1;
            told.push(*id);
        }
        self.items.retain(|(_, left)| *left > 0);
        told
    }
}

impl Presence {
    /// The news of the next heartbeat: as the records are now, of whom this node can answer for.
    pub(super) fn take_news(&mut self, now: std::time::Instant) -> Vec<News> {
        let ids = self.newsboard.take();
        self.news_of(&ids, now)
    }

    /// The same for a heartbeat that only one gets.
    pub(super) fn newest_news(&self, now: std::time::Instant) -> Vec<News> {
        self.news_of(&self.newsboard.newest(), now)
    }

    fn news_of(&self, ids: &[PeerId], now: std::time::Instant) -> Vec<News> {
        let own = self.record.key.id();
        let record = |id: &PeerId| {
            if *id == own {
                return Some(&self.record);
            }
            let peer = self.roster.get(id).map(|peer| &*peer.record);
            peer.filter(|_| self.is_news_worthy(id, now))
        };
        let news = |id: &PeerId| {
            let record = record(id).filter(|record| !record.transient)?;
            let short: ShortId = id.short();
            Some(News {
                id: short,
                incarnation: record.incarnation,
                record_seq: record.record_seq,
            })
        };
        ids.iter().filter_map(news).collect()
    }

    /// Somebody's record is new here, or its own is.
    pub(super) fn note_news(&mut self, id: PeerId) {
        self.newsboard.add(id, self.roster.population());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_four_are_told_as_often_as_n_asks_for() {
        let id = |number: u8| PeerId([number; 32]);
        let mut board = Newsboard::default();
        for number in 1..=6 {
            board.add(id(number), 4);
        }
        let newest = vec![id(6), id(5), id(4), id(3)];
        for _ in 0..6 {
            assert_eq!(board.take(), newest);
        }
        assert_eq!(board.take(), vec![id(2), id(1)]);
        board.add(id(9), 1000);
        assert_eq!(board.take()[0], id(9));
        let rest = (0..100).filter(|_| board.take().contains(&id(9))).count();
        assert_eq!(rest, 29);
        assert!(board.items.is_empty());
    }

    #[test]
    fn a_crowd_of_changes_is_bounded() {
        let mut board = Newsboard::default();
        for number in 0..=255 {
            board.add(PeerId([number; 32]), 2000);
        }
        assert_eq!(board.items.len(), NEWS_MAX);
    }
}
