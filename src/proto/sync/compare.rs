//! What one side lacks of what the other holds.

use std::collections::BTreeMap;

use super::frame::{LogRun, LogState};
use crate::id::PeerId;
use crate::limits::{SYNC_RUNS_MAX, SYNC_WANT_MAX};
use crate::proto::sabotage::{Sabotage, is_sabotaged};

/// Most entries asked for in one run: what is older than the rest comes from the newest backwards,
/// so that a log that is filled in part is held without a gap.
const RUN_LEN: u32 = 128;

/// What `theirs` offers and `mine` does not hold, a page of it: what is new first, then what is
/// older, the newest first. `floor` is up to where a log is not wanted. A log never heard of is new
/// from its beginning if `forward`, else older.
pub fn lacking(
    mine: &[LogState],
    theirs: &[LogState],
    forward: bool,
    floor: impl Fn(&LogState) -> u32,
) -> Vec<LogRun> {
    let mine = mine.iter().map(|log| ((log.author, log.epoch), log));
    let held: BTreeMap<(PeerId, u64), &LogState> = mine.collect();
    let (mut newer, mut older) = (Vec::new(), Vec::new());
    for log in theirs {
        let own_floor = match is_sabotaged(Sabotage::FloorIgnored) {
            true => 0,
            false => floor(log),
        };
        let least = log.floor.max(own_floor);
        let run = |first, last| LogRun {
            author: log.author,
            epoch: log.epoch,
            first,
            last,
        };
        match held.get(&(log.author, log.epoch)) {
            // Nothing more is taken of an epoch whose author used a number twice.
            Some(own) if own.forked => {}
            Some(own) if own.floor < own.head => {
                if log.head > own.head {
                    newer.push(run(own.head.max(least) + 1, log.head));
                } else if log.head == own.head && differs(own, log) {
                    newer.push(run(log.head, log.head));
                }
                let last = own.floor.min(log.head);
                if least < last {
                    older.push(run(least + 1, last));
                }
            }
            _ if least >= log.head => {}
            _ if forward => newer.push(run(least + 1, log.head)),
            _ => older.push(run(least + 1, log.head)),
        }
    }
    page(&newer, &older)
}

/// Whether two hold another entry of one number.
fn differs(own: &LogState, other: &LogState) -> bool {
    let known = |log: &LogState| log.hash != [0; 16] && !log.forked;
    known(own) && known(other) && own.hash != other.hash
}

fn page(newer: &[LogRun], older: &[LogRun]) -> Vec<LogRun> {
    let mut page: Vec<LogRun> = Vec::new();
    let mut left = SYNC_WANT_MAX;
    for (runs, backwards) in [(newer, false), (older, true)] {
        for run in runs {
            let most = left.min(if backwards { RUN_LEN } else { SYNC_WANT_MAX });
            if most == 0 || page.len() == SYNC_RUNS_MAX {
                return page;
            }
            let mut part = *run;
            if backwards {
                part.first = part.first.max(part.last.saturating_sub(most - 1));
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
