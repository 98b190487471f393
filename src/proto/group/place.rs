//! Where a line goes among those that people have seen.
//!
//! Lines stand in the order of their keys, ties by author, epoch and number. What was seen for a
//! while does not move: what belongs before it comes to the end, marked.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::id::{MessageId, PeerId};
use crate::proto::sabotage::{Sabotage, is_sabotaged};

/// A line seen for longer than this does not move.
const SETTLED: Duration = Duration::from_secs(5);
/// Most lines that may still move; older ones settle early.
const MOVING_MAX: usize = 512;

/// A line's place in the order: key, author, epoch, number.
pub type Order = (u64, PeerId, u64, u32);

/// Where a line goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// To the end, where it belongs.
    Append,
    /// Behind this line.
    After(MessageId),
    /// To the end: it came too late for its place.
    Delayed,
}

/// The lines of a room that were shown in this run, as far as they matter.
#[derive(Default)]
pub struct Shown {
    /// Those that may move, and when they were shown.
    moving: BTreeMap<Order, (MessageId, Instant)>,
    /// The same as they were shown, the first in front, some of them settled by now.
    recent: VecDeque<(Instant, Order)>,
    /// The last of those that do not.
    settled: Option<(Order, MessageId)>,
    /// The highest key, and whose it is.
    highest: Option<(u64, MessageId)>,
}

impl Shown {
    /// The line with the highest key: who is to stand behind all that was shown stands behind it.
    #[must_use]
    pub fn highest(&self) -> Option<(u64, MessageId)> {
        self.highest
    }

    /// This line has at least this key, wherever it was shown.
    pub fn raise(&mut self, (key, id): (u64, MessageId)) {
        if self.highest.is_none_or(|(highest, _)| highest <= key) {
            self.highest = Some((key, id));
        }
    }

    /// Where a line goes; from now on it is shown there.
    pub fn place(&mut self, now: Instant, order: Order, id: MessageId) -> Place {
        self.settle(now);
        self.raise((order.0, id));
        let is_late = self.settled.is_some_and(|(settled, _)| order < settled);
        if is_late && !is_sabotaged(Sabotage::OrderByArrival) {
            return Place::Delayed;
        }
        let is_last = self.moving.range(order..).next().is_none();
        let before = self.moving.range(..order).next_back();
        let before = before.map(|(_, (id, _))| *id);
        let before = before.or(self.settled.map(|(_, id)| id));
        let place = match before {
            _ if is_last => Place::Append,
            Some(id) => Place::After(id),
            None => Place::Delayed,
        };
        if is_sabotaged(Sabotage::OrderByArrival) {
            return Place::Append;
        }
        if place != Place::Delayed {
            self.moving.insert(order, (id, now));
            self.recent.push_back((now, order));
            if self.recent.len() > 2 * MOVING_MAX {
                let moving = &self.moving;
                self.recent.retain(|(_, order)| moving.contains_key(order));
            }
        }
        place
    }

    /// What was seen for long enough stays where it is, and so does all before it.
    fn settle(&mut self, now: Instant) {
        let mut last = None;
        let is_old = |at: Instant| now >= at + SETTLED;
        while let Some((_, order)) = self.recent.front().copied().filter(|(at, _)| is_old(*at)) {
            self.recent.pop_front();
            if self.moving.get(&order).is_some_and(|(_, at)| is_old(*at)) {
                last = last.max(Some(order));
            }
        }
        if let Some(beyond) = self.moving.len().checked_sub(MOVING_MAX) {
            let early = self.moving.keys().nth(beyond).copied();
            last = last.max(early);
        }
        let Some(last) = last else { return };
        while let Some(first) = self.moving.first_entry() {
            if *first.key() > last {
                return;
            }
            let (order, (id, _)) = first.remove_entry();
            self.settled = Some((order, id));
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    fn line(key: u64) -> (Order, MessageId) {
        let number = u8::try_from(key).expect("small");
        ((key, PeerId([1; 32]), 7, 1), MessageId([number; 16]))
    }

    fn place(shown: &mut Shown, now: Instant, key: u64) -> Place {
        let (order, id) = line(key);
        shown.place(now, order, id)
    }

    #[test]
    fn a_line_goes_to_its_place_while_what_follows_is_fresh() {
        let now = Instant::now();
        let mut shown = Shown::default();
        assert_eq!(place(&mut shown, now, 10), Place::Append);
        assert_eq!(place(&mut shown, now, 30), Place::Append);
        let later = now + SETTLED - Duration::from_millis(1);
        assert_eq!(place(&mut shown, later, 20), Place::After(line(10).1));
        assert_eq!(place(&mut shown, later, 25), Place::After(line(20).1));
        // 10 and 30 are settled now, and so is what stands between them.
        let later = now + SETTLED;
        assert_eq!(place(&mut shown, later, 27), Place::Delayed);
        assert_eq!(place(&mut shown, later, 40), Place::Append);
        assert_eq!(place(&mut shown, later, 35), Place::After(line(30).1));
    }

    #[test]
    fn what_belongs_before_the_first_line_has_nothing_to_stand_behind() {
        let now = Instant::now();
        let mut shown = Shown::default();
        place(&mut shown, now, 10);
        assert_eq!(place(&mut shown, now, 5), Place::Delayed);
        assert_eq!(place(&mut shown, now, 11), Place::Append);
    }

    #[test]
    fn the_highest_is_not_the_last() {
        let now = Instant::now();
        let mut shown = Shown::default();
        for key in [50, 10, 60, 20] {
            place(&mut shown, now, key);
        }
        assert_eq!(shown.highest(), Some((60, line(60).1)));
    }

    #[test]
    fn of_ever_so_many_lines_at_once_a_bounded_number_may_move() {
        let now = Instant::now();
        let mut shown = Shown::default();
        for number in 0..5000 {
            let order = (number, PeerId([1; 32]), 7, 1);
            assert_eq!(shown.place(now, order, MessageId([9; 16])), Place::Append);
            assert!(shown.moving.len() <= MOVING_MAX);
        }
    }
}
