//! What one side lacks of what the other holds.

use std::collections::BTreeMap;

use super::frame::{LogRun, LogState};
use crate::id::PeerId;
use crate::limits::{SYNC_RUNS_MAX, SYNC_WANT_MAX};
use crate::proto::sabotage::{Sabotage, is_sabotaged};

/// Most entries asked for in one run: what is older than the rest comes from the newest backwards,
/// so that a log that is filled in part is held without a gap.
const RUN_LEN: u32 = 128;

/// First and last number.
type Span = (u32, u32);

/// What `theirs` offers and `mine` does not hold, a page of it: what is new first, then what is
/// older, the newest first. Both may name several runs of a log. `floor` is up to where a log is not
/// wanted. A log never heard of is new from its beginning if `forward`, else older.
pub fn lacking(
    mine: &[LogState],
    theirs: &[LogState],
    forward: bool,
    floor: impl Fn(&LogState) -> u32,
) -> Vec<LogRun> {
    let held = by_log(mine);
    let (mut newer, mut older) = (Vec::new(), Vec::new());
    for (of, runs) in by_log(theirs) {
        let own = held.get(&of).map_or(&[][..], Vec::as_slice);
        // Nothing more is taken of an epoch whose author used a number twice.
        if own.iter().any(|own| own.forked) {
            continue;
        }
        let run = |(first, last)| LogRun {
            author: of.0,
            epoch: of.1,
            first,
            last,
        };
        let begins = own.iter().filter_map(|own| span(own, 0)).min();
        let is_new = |first: u32| begins.map_or(forward, |begins| first > begins.0);
        let other = |theirs: &&&LogState| own.iter().any(|own| differs(own, theirs));
        let forks = runs.iter().filter(other).map(|log| (log.head, log.head));
        newer.extend(forks.map(run));
        let lacks = lacks_of(own, &runs, &floor);
        let new = lacks.iter().filter(|lack| is_new(lack.0));
        newer.extend(new.map(|lack| run(*lack)));
        let old = lacks.iter().rev().filter(|lack| !is_new(lack.0));
        older.extend(old.map(|lack| run(*lack)));
    }
    page(&newer, &older)
}

/// The runs of each log, ascending.
fn by_log(all: &[LogState]) -> BTreeMap<(PeerId, u64), Vec<&LogState>> {
    let mut logs: BTreeMap<(PeerId, u64), Vec<&LogState>> = BTreeMap::new();
    for log in all {
        logs.entry((log.author, log.epoch)).or_default().push(log);
    }
    for runs in logs.values_mut() {
        runs.sort_by_key(|run| (run.floor, run.head));
    }
    logs
}

/// The numbers of a run above this one, if there are any.
fn span(run: &LogState, above: u32) -> Option<Span> {
    let first = run.floor.max(above).checked_add(1)?;
    (first <= run.head).then_some((first, run.head))
}

/// What of these runs of one log is not held, ascending.
fn lacks_of(
    own: &[&LogState],
    theirs: &[&LogState],
    floor: impl Fn(&LogState) -> u32,
) -> Vec<Span> {
    let mut lacks: Vec<Span> = Vec::new();
    for log in theirs {
        let own_floor = match is_sabotaged(Sabotage::FloorIgnored) {
            true => 0,
            false => floor(log),
        };
        // What two of them name is asked for once.
        let named = lacks.last().map_or(0, |(_, last)| *last);
        let Some((mut first, last)) = span(log, own_floor.max(named)) else {
            continue;
        };
        for (from, to) in own.iter().filter_map(|own| span(own, 0)) {
            if to < first || from > last {
                continue;
            }
            if first < from {
                lacks.push((first, from - 1));
            }
            first = to.saturating_add(1);
        }
        if first <= last {
            lacks.push((first, last));
        }
    }
    lacks
}

/// Whether two hold another entry of one number.
fn differs(own: &LogState, other: &LogState) -> bool {
    let known = |log: &LogState| log.hash != [0; 16] && !log.forked && log.floor < log.head;
    known(own) && known(other) && own.head == other.head && own.hash != other.hash
}

fn page(newer: &[LogRun], older: &[LogRun]) -> Vec<LogRun> {
    let mut page: Vec<LogRun> = Vec::new();
    let mut left = SYNC_WANT_MAX;
    // The log of which something above is to come first.
    let mut cut = None;
    for (runs, backwards) in [(newer, false), (older, true)] {
        for run in runs {
            let of = Some((run.author, run.epoch));
            if backwards && cut == of {
                continue;
            }
            let most = left.min(if backwards { RUN_LEN } else { SYNC_WANT_MAX });
            if most == 0 || page.len() == SYNC_RUNS_MAX {
                return page;
            }
            let mut part = *run;
            if backwards {
                part.first = part.first.max(part.last.saturating_sub(most - 1));
                cut = of.filter(|_| part.first > run.first);
            } else {
                part.last = part.last.min(part.first.saturating_add(most - 1));
            }
            left -= part.last - part.first + 1;
            page.push(part);
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::NetworkId;

    fn log(author: u8, floor: u32, head: u32) -> LogState {
        LogState {
            author: PeerId([author; 32]),
            epoch: 7,
            network: NetworkId([0; 8]),
            floor,
            head,
            hash: [9; 16],
            forked: false,
        }
    }

    fn runs(mine: &[LogState], theirs: &[LogState]) -> Vec<(u32, u32)> {
        let runs = lacking(mine, theirs, false, |_| 0);
        runs.iter().map(|run| (run.first, run.last)).collect()
    }

    #[test]
    fn what_is_lacking_is_asked_for_and_nothing_else() {
        assert_eq!(runs(&[], &[]), []);
        assert_eq!(runs(&[log(1, 0, 5)], &[log(1, 0, 5)]), []);
        assert_eq!(runs(&[log(1, 0, 5)], &[log(1, 3, 4)]), []);
        assert_eq!(runs(&[log(1, 0, 5)], &[log(1, 0, 9)]), [(6, 9)]);
        assert_eq!(runs(&[log(1, 0, 5)], &[log(1, 7, 9)]), [(8, 9)]);
        assert_eq!(runs(&[log(1, 3, 5)], &[log(1, 0, 6)]), [(6, 6), (1, 3)]);
        assert_eq!(runs(&[], &[log(1, 2, 9)]), [(3, 9)]);
        assert_eq!(runs(&[], &[log(1, 9, 9)]), [], "nothing is held there");
        let floor = |_: &LogState| 4;
        let run = lacking(&[log(1, 4, 6)], &[log(1, 0, 6), log(2, 0, 6)], false, floor);
        assert_eq!(run.len(), 1);
        assert_eq!((run[0].first, run[0].last), (5, 6));
    }

    #[test]
    fn what_is_held_beyond_a_hole_is_offered_and_what_is_held_is_not_asked_for() {
        let theirs = [log(1, 0, 3), log(1, 5, 6), log(1, 8, 12)];
        assert_eq!(runs(&[log(1, 0, 3)], &theirs), [(6, 6), (9, 12)]);
        assert_eq!(runs(&theirs, &theirs), []);
        let holes = [log(1, 0, 2), log(1, 4, 5), log(1, 6, 9)];
        assert_eq!(runs(&holes, &theirs), [(3, 3), (6, 6), (10, 12)]);
        assert_eq!(runs(&holes, &[log(1, 0, 12)]), [(3, 4), (6, 6), (10, 12)]);
        assert_eq!(runs(&[log(1, 8, 9)], &theirs), [(10, 12), (6, 6), (1, 3)]);
        // The newest first; what is told twice is asked for once.
        assert_eq!(runs(&[], &theirs), [(9, 12), (6, 6), (1, 3)]);
        assert_eq!(runs(&[], &[log(1, 0, 5), log(1, 2, 7)]), [(6, 7), (1, 5)]);
        // Not the lower one before all of the upper one is here.
        let theirs = [log(1, 0, 50), log(1, 60, 400)];
        assert_eq!(runs(&[], &theirs), [(273, 400)]);
        let mut other = log(1, 5, 6);
        other.hash = [8; 16];
        let mine = [log(1, 0, 3), log(1, 5, 6)];
        assert_eq!(runs(&mine, &[log(1, 0, 3), other]), [(6, 6)]);
    }

    #[test]
    fn old_pages_come_from_the_newest_backwards() {
        let (mut own, theirs) = (log(1, 400, 500), log(1, 0, 500));
        let mut pages = Vec::new();
        while let Some(&(first, last)) = runs(&[own], &[theirs]).first() {
            assert_eq!(last, own.floor, "no gap");
            own.floor = first - 1;
            pages.push(last - first + 1);
        }
        assert_eq!(pages, [128, 128, 128, 16]);
    }

    #[test]
    fn a_page_is_bounded_and_a_fork_is_asked_for_once() {
        let many: Vec<LogState> = (0..200)
            .map(|author| log(author, 0, u32::MAX - 1))
            .collect();
        let page = lacking(&[], &many, true, |_| 0);
        let sum: u32 = page.iter().map(|run| run.last - run.first + 1).sum();
        assert!(page.len() <= SYNC_RUNS_MAX && sum <= SYNC_WANT_MAX);
        let mut other = log(1, 0, 5);
        other.hash = [8; 16];
        assert_eq!(runs(&[log(1, 0, 5)], &[other]), [(5, 5)]);
        let mut known = log(1, 0, 5);
        known.forked = true;
        assert_eq!(runs(&[known], &[other]), []);
    }
}
