//! When each row has something due, in order of time: a packet costs O(log N), an idle node wakes
//! only for whoever is due.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::id::ShortId;

/// At most one entry for each row.
#[derive(Default)]
pub struct Schedule {
    queue: BTreeSet<(Instant, ShortId)>,
    due: BTreeMap<ShortId, Instant>,
}

impl Schedule {
    /// The row is due then, and at no other time.
    pub fn set(&mut self, id: ShortId, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.due.insert(id, at),
            None => self.due.remove(&id),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.queue.remove(&(before, id));
        }
        if let Some(at) = at {
            self.queue.insert((at, id));
        }
    }

    /// The row is due then at the latest.
    pub fn hasten(&mut self, id: ShortId, at: Instant) {
        if self.due.get(&id).is_none_or(|&due| at < due) {
            self.set(id, Some(at));
        }
    }

    /// When the first row is due.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.queue.first().map(|&(at, _)| at)
    }

    /// A row that is due, without its entry.
    pub fn pop(&mut self, now: Instant) -> Option<ShortId> {
        let (_, id) = *self.queue.first().filter(|(at, _)| *at <= now)?;
        self.set(id, None);
        Some(id)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn rows_come_in_order_of_time_and_once() {
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        let id = |n| ShortId([n; 8]);
        let mut schedule = Schedule::default();
        schedule.set(id(1), Some(at(30)));
        schedule.set(id(2), Some(at(20)));
        schedule.set(id(3), Some(at(10)));
        schedule.hasten(id(1), at(40));
        schedule.hasten(id(1), at(15));
        schedule.set(id(3), None);
        assert_eq!(schedule.next(), Some(at(15)));
        assert_eq!(schedule.pop(at(14)), None);
        assert_eq!(schedule.pop(at(50)), Some(id(1)));
        assert_eq!(schedule.pop(at(50)), Some(id(2)));
        assert_eq!(schedule.pop(at(50)), None);
        assert_eq!(schedule.next(), None);
    }
}
