//! What this side lacks of what the other one holds: it is asked for, and what comes is compared with
//! that.

use super::{Act, Exchange, Role};
use crate::id::PeerId;
use crate::limits::{SYNC_ENTRIES_MAX, SYNC_LOGS_MAX};
use crate::proto::group::Given;
use crate::proto::sync::compare::lacking;
use crate::proto::sync::frame::{Frame, LogRun, LogState, Why};

impl Exchange {
    /// Asks for what is lacking; logs of which nothing came are given up.
    pub(super) fn want(&mut self, acts: &mut Vec<Act>) {
        if self.content {
            return;
        }
        let forward = self.subject.why != Why::Join || self.role == Role::Helper;
        loop {
            let theirs = self.theirs.iter();
            let withheld = &self.withheld;
            let offered = theirs.filter(|log| !withheld.contains(&(log.author, log.epoch)));
            let offered: Vec<LogState> = offered.copied().collect();
            let floors = &self.floors;
            let floor = |log: &LogState| {
                let floor = floors.get(&(log.author, log.epoch));
                floor.copied().unwrap_or(0)
            };
            let lacks = lacking(&self.mine, &offered, forward, floor);
            let stuck = lacks.iter().filter(|run| self.wanted.contains(run));
            let brought = |run: &&LogRun| {
                let count = self.brought.get(&(run.author, run.epoch)).copied();
                count.unwrap_or(0) > run.last - run.first
            };
            let of = |run: &LogRun| (run.author, run.epoch);
            let claimed = stuck.clone().filter(|run| !brought(run)).map(of);
            let claimed: Vec<(PeerId, u64)> = claimed.collect();
            let stuck: Vec<(PeerId, u64)> = stuck.map(of).collect();
            self.claimed.extend(claimed);
            self.wanted.clear();
            if stuck.is_empty() {
                // An endless log is heard of elsewhere, or another time.
                let lacks = match self.came < SYNC_ENTRIES_MAX {
                    true => lacks,
                    false => Vec::new(),
                };
                self.content = lacks.is_empty();
                self.allowed = len_of(&lacks);
                self.wanted.clone_from(&lacks);
                self.brought.clear();
                acts.push(Act::Send(Frame::Want(lacks)));
                return;
            }
            self.withheld.extend(stuck);
        }
    }

    /// Whether this entry, which came, may come now: unasked, of any log that the other side told of;
    /// else one that was asked for.
    #[must_use]
    pub fn expects(&mut self, author: &PeerId, epoch: u64, seq: u32) -> bool {
        *self.brought.entry((*author, epoch)).or_default() += 1;
        if self.wanted.is_empty() {
            let mut theirs = self.theirs.iter();
            return theirs.any(|log| log.author == *author && log.epoch == epoch);
        }
        self.wanted.iter().any(|run| {
            run.author == *author && run.epoch == epoch && (run.first..=run.last).contains(&seq)
        })
    }

    /// Whether this side holds all that the other one claimed to hold.
    #[must_use]
    pub fn is_content(&self) -> bool {
        self.content && self.withheld.is_empty()
    }

    /// What the other side told and gave of its own logs, once it gave all that it would.
    #[must_use]
    pub fn given_by(&self, peer: &PeerId) -> Option<Given> {
        let is_over = self.theirs_whole && self.content && self.came < SYNC_ENTRIES_MAX;
        let own = self.theirs.iter().filter(|log| log.author == *peer);
        let of = |log: &LogState| {
            let gave = !self.claimed.contains(&(log.author, log.epoch));
            (log.epoch, (log.head, gave))
        };
        is_over.then(|| Given {
            logs: own.map(of).collect(),
            is_whole: self.theirs.len() < SYNC_LOGS_MAX,
        })
    }
}

/// How many entries these runs name.
pub(super) fn len_of(runs: &[LogRun]) -> u32 {
    let len = |run: &LogRun| (run.last - run.first).saturating_add(1);
    runs.iter().map(len).fold(0, u32::saturating_add)
}
