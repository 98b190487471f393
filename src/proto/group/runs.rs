//! A set of numbers that come in runs: what is held of a log.

use std::collections::BTreeMap;
use std::ops::Bound;

/// The numbers, as runs that do not touch.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Runs {
    /// The last number of each run, by its first.
    all: BTreeMap<u32, u32>,
}

impl Runs {
    /// Adds a number; whether it was not in it.
    pub fn insert(&mut self, number: u32) -> bool {
        if self.contains(number) {
            return false;
        }
        self.join(number, number);
        true
    }

    /// Adds all numbers from `first` to `last`.
    pub fn insert_run(&mut self, first: u32, last: u32) {
        if first <= last {
            self.join(first, last);
        }
    }

    fn join(&mut self, mut first: u32, mut last: u32) {
        let below = self.all.range(..=last.saturating_add(1)).rev();
        let touching = below.take_while(|(_, end)| end.saturating_add(1) >= first);
        let touching: Vec<(u32, u32)> = touching.map(|(&from, &to)| (from, to)).collect();
        for (from, to) in touching {
            self.all.remove(&from);
            (first, last) = (first.min(from), last.max(to));
        }
        self.all.insert(first, last);
    }

    /// Takes away a number and all below it.
    pub fn remove_up_to(&mut self, number: u32) {
        let Some(next) = number.checked_add(1) else {
            self.all.clear();
            return;
        };
        let kept = self.all.split_off(&next);
        let cut = self.all.last_key_value().map(|(_, &end)| end);
        self.all = kept;
        if let Some(end) = cut.filter(|&end| end >= next) {
            self.all.insert(next, end);
        }
    }

    /// Takes a number out.
    pub fn remove(&mut self, number: u32) {
        let run = self.all.range(..=number).next_back();
        let Some((first, last)) = run.map(|(&first, &last)| (first, last)) else {
            return;
        };
        if last < number {
            return;
        }
        self.all.remove(&first);
        if first < number {
            self.all.insert(first, number - 1);
        }
        if number < last {
            self.all.insert(number + 1, last);
        }
    }

    /// Takes the lowest run out: its first and last number.
    pub fn pop_first(&mut self) -> Option<(u32, u32)> {
        self.all.pop_first()
    }

    /// Takes this number and all above it out, as runs.
    pub fn split_off(&mut self, number: u32) -> impl Iterator<Item = (u32, u32)> + use<> {
        let mut cut = self.all.split_off(&number);
        let below = self
            .all
            .last_key_value()
            .map(|(&first, &last)| (first, last));
        if let Some((first, last)) = below.filter(|(_, last)| *last >= number) {
            self.all.insert(first, number - 1);
            cut.insert(number, last);
        }
        cut.into_iter()
    }

    /// The lowest number above this one that is in it.
    #[must_use]
    pub fn next_after(&self, number: u32) -> Option<u32> {
        let next = number.checked_add(1)?;
        if self.contains(next) {
            return Some(next);
        }
        self.all.range(next..).next().map(|(&first, _)| first)
    }

    /// Whether a number is in it.
    #[must_use]
    pub fn contains(&self, number: u32) -> bool {
        let run = self.all.range(..=number).next_back();
        run.is_some_and(|(_, &end)| end >= number)
    }

    /// The last of the numbers that follow this one without a gap; it itself if the next is not
    /// there.
    #[must_use]
    pub fn end_after(&self, number: u32) -> u32 {
        let Some(next) = number.checked_add(1) else {
            return number;
        };
        let run = self.all.range(..=next).next_back();
        run.filter(|&(_, &end)| end >= next)
            .map_or(number, |(_, &end)| end)
    }

    /// How many of the numbers from `first` to `last` are in it.
    #[must_use]
    pub fn count(&self, first: u32, last: u32) -> u32 {
        if first > last {
            return 0;
        }
        let runs = self.all.range(..=last).rev();
        let runs = runs.take_while(|(_, end)| **end >= first);
        runs.map(|(&from, &to)| to.min(last) - from.max(first) + 1)
            .sum()
    }

    /// The highest number, if there is any.
    #[must_use]
    pub fn last(&self) -> Option<u32> {
        self.all.last_key_value().map(|(_, &end)| end)
    }

    /// The lowest number, if there is any.
    #[must_use]
    pub fn first(&self) -> Option<u32> {
        self.all.first_key_value().map(|(&from, _)| from)
    }

    /// The first number of the last run.
    #[must_use]
    pub fn first_of_last(&self) -> Option<u32> {
        self.all.last_key_value().map(|(&from, _)| from)
    }

    /// The runs that begin above this number, the highest first.
    pub fn above(&self, number: u32) -> impl Iterator<Item = (u32, u32)> {
        let above = self.all.range((Bound::Excluded(number), Bound::Unbounded));
        above.rev().map(|(&first, &last)| (first, last))
    }

    /// How many runs it takes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_join_into_runs() {
        let mut runs = Runs::default();
        for number in [5, 3, 9, 4, u32::MAX, 1] {
            assert!(runs.insert(number));
            assert!(!runs.insert(number));
        }
        assert_eq!(runs.len(), 4);
        assert_eq!((runs.end_after(2), runs.end_after(3)), (5, 5));
        assert_eq!((runs.end_after(5), runs.end_after(0)), (5, 1));
        runs.insert_run(2, 8);
        assert_eq!((runs.len(), runs.end_after(0)), (2, 9));
        assert_eq!(runs.last(), Some(u32::MAX));
        runs.remove_up_to(6);
        assert!(!runs.contains(6) && runs.contains(7));
        runs.remove_up_to(u32::MAX);
        assert_eq!(runs.len(), 0);
    }

    proptest! {
        #[test]
        fn it_is_a_set(
            steps in proptest::collection::vec((0u8..6, 0u32..40, 0u32..6), 0..60),
        ) {
            let mut runs = Runs::default();
            let mut set: BTreeSet<u32> = BTreeSet::new();
            for (what, number, len) in steps {
                match what {
                    0 => prop_assert_eq!(runs.insert(number), set.insert(number)),
                    1 => {
                        runs.insert_run(number, number + len);
                        set.extend(number..=number + len);
                    }
                    2 => {
                        runs.remove(number);
                        set.remove(&number);
                    }
                    3 => {
                        let cut: Vec<u32> = runs.split_off(number).flat_map(|(a, b)| a..=b).collect();
                        prop_assert_eq!(cut, set.split_off(&number).into_iter().collect::<Vec<_>>());
                    }
                    4 => {
                        if let Some((first, last)) = runs.pop_first() {
                            for number in first..=last {
                                prop_assert_eq!(set.pop_first(), Some(number));
                            }
                        }
                    }
                    _ => {
                        runs.remove_up_to(number / 4);
                        set = set.split_off(&(number / 4 + 1));
                    }
                }
                for number in 0..50 {
                    prop_assert_eq!(runs.contains(number), set.contains(&number));
                    prop_assert_eq!(runs.next_after(number), set.range(number + 1..).next().copied());
                    let mut end = number;
                    while set.contains(&(end + 1)) {
                        end += 1;
                    }
                    prop_assert_eq!(runs.end_after(number), end);
                    prop_assert_eq!(runs.first(), set.first().copied());
                    let most = number + len;
                    let count = set.range(number..=most).count();
                    prop_assert_eq!(runs.count(number, most), u32::try_from(count).unwrap());
                }
                let ends = set.iter().filter(|&&at| !set.contains(&(at + 1))).count();
                prop_assert_eq!(runs.len(), ends);
            }
        }
    }
}
