//! The logs of a room's authors, and which of them have something to do.
//!
//! A thousand people may be in a room while three write: what is asked for every packet (when is
//! something due?) must not look at all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::log::AuthorLog;
use crate::id::{PeerId, ShortId};

/// The logs, by author.
#[derive(Default)]
pub struct Logs {
    all: BTreeMap<PeerId, AuthorLog>,
    /// Those that were touched and may have a deadline.
    active: BTreeSet<PeerId>,
}

impl Logs {
    /// The log of this author.
    #[must_use]
    pub fn get(&self, author: &PeerId) -> Option<&AuthorLog> {
        self.all.get(author)
    }

    /// The log of this author, to be changed: from now on its deadline counts.
    pub fn get_mut(&mut self, author: &PeerId) -> Option<&mut AuthorLog> {
        let log = self.all.get_mut(author)?;
        self.active.insert(*author);
        Some(log)
    }

    /// The log of this author, made if there is none.
    pub fn get_or_insert_with(
        &mut self,
        author: PeerId,
        make: impl FnOnce() -> AuthorLog,
    ) -> &mut AuthorLog {
        self.active.insert(author);
        self.all.entry(author).or_insert_with(make)
    }

    /// Puts a log in place of what was held.
    pub fn insert(&mut self, author: PeerId, log: AuthorLog) {
        self.active.insert(author);
        self.all.insert(author, log);
    }

    /// Forgets a log.
    pub fn remove(&mut self, author: &PeerId) {
        self.active.remove(author);
        self.all.remove(author);
    }

    /// Whether there is a log of this author.
    #[must_use]
    pub fn contains(&self, author: &PeerId) -> bool {
        self.all.contains_key(author)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// All, by author.
    pub fn iter(&self) -> impl Iterator<Item = (&PeerId, &AuthorLog)> {
        self.all.iter()
    }

    /// The full id of the author that packets name like this.
    #[must_use]
    pub fn author(&self, short: &ShortId) -> Option<PeerId> {
        let mut from = [0; 32];
        from[..8].copy_from_slice(&short.0);
        let (id, _) = self.all.range(PeerId(from)..).next()?;
        (id.short() == *short).then_some(*id)
    }

    /// When something is due first.
    pub fn deadline(&mut self) -> Option<Instant> {
        let mut first = None;
        let all = &self.all;
        self.active.retain(|author| {
            let deadline = all.get(author).and_then(AuthorLog::deadline);
            first = [first, deadline].into_iter().flatten().min();
            deadline.is_some()
        });
        first
    }

    /// The authors with something due.
    #[must_use]
    pub fn due(&self, now: Instant) -> Vec<PeerId> {
        let is_due = |author: &&PeerId| {
            let deadline = self.get(author).and_then(AuthorLog::deadline);
            deadline.is_some_and(|at| at <= now)
        };
        self.active.iter().filter(is_due).copied().collect()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_touched_is_looked_at_and_it_is_found() {
        let now = Instant::now();
        let mut logs = Logs::default();
        let author = |i: u8| PeerId([i; 32]);
        for i in 0..100 {
            logs.insert(author(i), AuthorLog::new(1, 0));
        }
        assert_eq!(logs.deadline(), None);
        assert!(logs.active.is_empty(), "nobody has anything to do");
        logs.get_mut(&author(7)).unwrap().learn_head(1, now);
        assert_eq!(logs.deadline(), Some(now));
        assert_eq!(logs.due(now), [author(7)]);
        assert_eq!(logs.active.len(), 1);
        logs.remove(&author(7));
        assert_eq!(logs.deadline(), None);
    }
}
