//! Where an author itself spoke of a log, and of which numbers: hosts of one link may disagree on
//! what their network is, and one with two links says the same on both.

use super::log::AuthorLog;
use super::runs::Runs;
use crate::durable::RUNS_TOLD_MAX;
use crate::id::NetworkId;

/// Networks remembered on which an author spoke of one log.
const NETWORKS_MAX: usize = 4;
/// Most runs of numbers remembered on one of them.
const RUNS_MAX: usize = 256;

/// The networks, the last one first, and the numbers.
#[derive(Default)]
pub(super) struct HeardOn {
    all: Vec<(NetworkId, Runs)>,
}

impl HeardOn {
    /// The numbers from `first` to `last` were spoken of on this network; none if `first` is above
    /// `last`.
    pub(super) fn note(&mut self, network: NetworkId, (first, last): (u32, u32)) {
        let is_it = |(of, _): &(NetworkId, Runs)| *of == network;
        let at = self.all.iter().position(is_it).unwrap_or_else(|| {
            self.all.truncate(NETWORKS_MAX - 1);
            self.all.reserve_exact(1);
            self.all.insert(0, (network, Runs::default()));
            0
        });
        let (_, heard) = &mut self.all[at];
        if heard.len() >= RUNS_MAX {
            *heard = Runs::default();
        }
        heard.insert_run(first.max(1), last);
    }

    /// What was spoken of on this network; none if nothing was, not even that there is nothing.
    pub(super) fn get(&self, network: NetworkId) -> Option<&Runs> {
        let found = self.all.iter().find(|(of, _)| *of == network);
        found.map(|(_, heard)| heard)
    }
}

impl AuthorLog {
    /// The author itself spoke of it on this network, of the numbers from `first` to `last`; of
    /// none if `first` is above `last`.
    pub fn heard_on(&mut self, network: NetworkId, numbers: (u32, u32)) {
        self.heard_on.note(network, numbers);
    }

    /// Whether its author spoke of it on this network in this run.
    #[must_use]
    pub fn was_heard_on(&self, network: NetworkId) -> bool {
        self.heard_on.get(network).is_some()
    }

    /// Whether there is something to tell of: entries that are held, or were until they got old.
    /// Who came when the last one was said may have it as history.
    #[must_use]
    pub fn is_served(&self) -> bool {
        let contiguous = self.contiguous();
        let is_old = self.floor > 0 && contiguous == self.floor;
        contiguous > self.start() || is_old || self.has(contiguous)
    }

    /// Whether all of it is told of and served on this network.
    #[must_use]
    pub fn is_of(&self, network: NetworkId) -> bool {
        self.network == Some(network) || self.network == Some(NetworkId::EVERYWHERE)
    }

    /// Whether anything of it is told of and served on this network.
    #[must_use]
    pub fn is_on(&self, network: NetworkId) -> bool {
        self.is_of(network) || self.was_heard_on(network)
    }

    /// Whether this number is served on this network: elsewhere than on its own only what its
    /// author itself told there.
    #[must_use]
    pub fn serves(&self, network: NetworkId, seq: u32) -> bool {
        let heard = || self.heard_on.get(network);
        self.is_of(network) || heard().is_some_and(|heard| heard.contains(seq))
    }

    /// The lowest number served on this network, if there is any.
    #[must_use]
    pub fn lowest_on(&self, network: NetworkId) -> Option<u32> {
        match self.is_of(network) {
            true => Some(1),
            false => self.heard_on.get(network)?.first(),
        }
    }

    /// Up to which number it is told of on this network.
    #[must_use]
    pub fn told_on(&self, network: NetworkId) -> Option<u32> {
        let last = match self.is_of(network) {
            true => self.contiguous(),
            false => self.heard_on.get(network)?.last()?.min(self.contiguous()),
        };
        Some(last).filter(|&last| last > 0)
    }

    /// What is held of it, to compare with what others hold: the end of the first run and, above
    /// that, the newest runs. Where nothing is held from its start on that is not missing, the end
    /// is the number up to which nothing is missing.
    #[must_use]
    pub fn held_runs(&self) -> (u32, Vec<(u32, u32)>) {
        let contiguous = self.contiguous();
        let first = self.held.first().filter(|first| *first <= contiguous);
        let end = first.map_or(contiguous, |first| self.held.end_after(first - 1));
        let mut beyond: Vec<(u32, u32)> = self.held.above(end).take(RUNS_TOLD_MAX).collect();
        beyond.reverse();
        (end, beyond)
    }
}
