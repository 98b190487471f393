//! What the store knew when the node started: where each log stands, who is known, what waits.

use super::{ForkRow, LogKey, Neighbor, PersonRow, RoomRow};
use crate::id::{NetworkId, PeerId, PublicKey, RoomId};

/// The incarnation of a run that begins `now_ms` since the Unix epoch, where the last one had
/// `last` (0 if there was none): it grows whatever the clock says.
#[must_use]
pub fn incarnation_of(now_ms: u64, last: u64) -> u64 {
    now_ms.max(last.saturating_add(1))
}

/// What the store knew when the node started.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Snapshot {
    /// Incarnation of the last run, 0 if there was none.
    pub incarnation: u64,
    /// Where the own logs stand.
    pub own_heads: Vec<OwnHead>,
    /// The greatest own epoch of each room, retired ones included: a new one has to be greater.
    pub epochs: Vec<(RoomId, u64)>,
    /// Greatest clock of an own entry, so that the clock does not fall behind its own past.
    pub hlc_max: u64,
    /// Where the logs of others stand: contiguous heads, so that nothing is shown twice.
    pub heads: Vec<Head>,
    /// Where all own logs are held to, also those that ended.
    pub own_logs: Vec<Head>,
    /// What is known of them beyond that, of those of which it is anything.
    pub holes: Vec<Holes>,
    /// The rooms this node is or was in.
    pub rooms: Vec<RoomRow>,
    /// The authors of the logs that are held, as far as known.
    pub people: Vec<PersonRow>,
    /// Who said two things with one number.
    pub forks: Vec<ForkRow>,
    /// Names pinned to keys, by skeleton.
    pub pins: Vec<(String, PublicKey)>,
    /// Peers for whom private messages wait.
    pub outbox: Vec<PublicKey>,
    /// Who was reached on which network, the latest first.
    pub neighbors: Vec<Neighbor>,
}

/// The end of one own log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnHead {
    /// The room.
    pub room: RoomId,
    /// The network.
    pub network: NetworkId,
    /// The epoch.
    pub epoch: u64,
    /// Number of the last entry, 0 if none.
    pub seq: u32,
    /// Hash of the last entry, zeros if none.
    pub hash: [u8; 32],
}

/// The end of somebody's log as far as it is held: without a gap from the number after the floor,
/// or, where there is no floor, from the first one held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// The room.
    pub room: RoomId,
    /// The author.
    pub author: PeerId,
    /// The author's epoch.
    pub epoch: u64,
    /// Number of the last entry of the run; the floor where it is empty.
    pub seq: u32,
    /// Its hash; zeros where it never was held here.
    pub hash: [u8; 32],
    /// The network it belongs to.
    pub network: NetworkId,
    /// Lowest number held; one above `seq` where the run is empty.
    pub low: u32,
    /// Nothing at or below is held, asked for, accepted or served.
    pub floor: u32,
    /// Whether its author was seen to use a number twice.
    pub forked: bool,
}

/// What is known of somebody's log beyond the first number that is missing of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holes {
    /// The log.
    pub log: LogKey,
    /// What is held there, as first and last numbers, ascending: the first [`HELD_BEYOND_MAX`].
    pub held: Vec<(u32, u32)>,
    /// What nobody can give any more, as the same.
    pub gone: Vec<(u32, u32)>,
}

/// Of what is held of a log beyond the first missing number, so many runs of numbers, the newest, are
/// told of.
pub const RUNS_TOLD_MAX: usize = 64;

/// Most entries beyond the first missing one that are known at the start.
pub const HELD_BEYOND_MAX: usize = 4096;

/// Most runs of numbers of a log that are kept as not to be had.
pub const GONE_RUNS_MAX: usize = 256;

/// Numbers as runs: first and last of each. `numbers` ascend.
pub fn runs(numbers: impl IntoIterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs
            .last_mut()
            .filter(|run| run.1.checked_add(1) == Some(number))
        {
            Some(run) => run.1 = number,
            None => runs.push((number, number)),
        }
    }
    runs
}
