//! What this side lacks of what the other one holds: it is asked for, and what comes is compared with
//! that.

use std::collections::BTreeMap;

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
            let offered = theirs.filter(|log| !withheld.contains(&name(log)));
            let offered: Vec<LogState> = offered.copied().collect();
            let floors = &self.floors;
            let floor = |log: &LogState| {
                let floor = floors.get(&(log.author, log.epoch));
                floor.copied().unwrap_or(0)
            };
            let lacks = lacking(&self.mine, &offered, forward, floor);
            let stuck = lacks.iter().filter(|run| self.wanted.contains(run));
            let stuck: Vec<LogRun> = stuck.copied().collect();
            let is_brought = |run: &&LogRun| {
                let of = (run.author, run.epoch, run.first);
                let count = self.brought.get(&of).copied();
                count.unwrap_or(0) > run.last - run.first
            };
            let of = |run: &LogRun| (run.author, run.epoch);
            let claimed = stuck.iter().filter(|run| !is_brought(run)).map(of);
            let claimed: Vec<(PeerId, u64)> = claimed.collect();
            let is_stuck = |log: &&LogState| {
                let mut of_log = stuck
                    .iter()
                    .filter(|run| of(run) == (log.author, log.epoch));
                of_log.any(|run| log.floor < run.last && run.first <= log.head)
            };
            let stuck: Vec<(PeerId, u64, u32)> =
                offered.iter().filter(is_stuck).map(name).collect();
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
        if self.wanted.is_empty() {
            let mut theirs = self.theirs.iter();
            return theirs.any(|log| log.author == *author && log.epoch == epoch);
        }
        let is_of = |run: &&LogRun| {
            run.author == *author && run.epoch == epoch && (run.first..=run.last).contains(&seq)
        };
        let Some(run) = self.wanted.iter().find(is_of) else {
            return false;
        };
        *self.brought.entry((*author, epoch, run.first)).or_default() += 1;
        true
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
        let mut logs: BTreeMap<u64, (u32, bool)> = BTreeMap::new();
        for log in self.theirs.iter().filter(|log| log.author == *peer) {
            let gave = !self.claimed.contains(&(log.author, log.epoch));
            let (head, _) = *logs.get(&log.epoch).unwrap_or(&(0, gave));
            logs.insert(log.epoch, (log.head.max(head), gave));
        }
        is_over.then_some(Given {
            logs,
            is_whole: self.theirs.len() < SYNC_LOGS_MAX,
        })
    }
}

/// What a run that the other side offers is known by.
fn name(log: &LogState) -> (PeerId, u64, u32) {
    (log.author, log.epoch, log.head)
}

/// How many entries these runs name.
pub(super) fn len_of(runs: &[LogRun]) -> u32 {
    let len = |run: &LogRun| (run.last - run.first).saturating_add(1);
    runs.iter().map(len).fold(0, u32::saturating_add)
}
