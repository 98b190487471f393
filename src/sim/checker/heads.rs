//! Invariant 3: who said something tells how far it went, so that whoever missed it, and is not
//! waited for, asks.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::datagram::Destination;
use crate::id::RoomTag;
use crate::wire::Body;

/// The first HEADS is due a group round trip after the last copy.
const DUE: Duration = Duration::from_secs(2);
/// Heartbeats of a node about the room after that, by which it shows that it runs and is there.
const BEATS: u8 = 2;

/// A line of a node's that no HEADS told of yet.
struct Owed {
    seq: u32,
    since: Duration,
    /// When the last heartbeat was counted; it takes several paths.
    beat: Duration,
    beats: u8,
}

/// The last line of each log that went to the group, while no HEADS told of it.
#[derive(Default)]
pub(super) struct Owing(BTreeMap<(usize, RoomTag, u64), Owed>);

impl Owing {
    /// A node's process starts, or it leaves a network: nothing is to be told there any more.
    pub(super) fn forget(&mut self, node: usize) {
        self.0.retain(|(of, ..), _| *of != node);
    }

    /// A node sends this in the clear; `own`: of what is said, it is the author. What is wrong,
    /// if something is.
    pub(super) fn sent(
        &mut self,
        now: Duration,
        (node, own): (usize, bool),
        (destination, body): (Destination, &Body),
    ) -> Option<String> {
        match body {
            Body::Data(entry) if own && matches!(destination, Destination::Group(..)) => {
                let owed = Owed {
                    seq: entry.seq,
                    since: now,
                    beat: now,
                    beats: 0,
                };
                self.0.insert((node, entry.room, entry.epoch), owed);
            }
            Body::Heads(heads) => {
                let of = (node, heads.room, heads.epoch);
                if self.0.get(&of).is_some_and(|owed| owed.seq <= heads.seq) {
                    self.0.remove(&of);
                }
            }
            Body::Heartbeat(heartbeat) => {
                for told in &heartbeat.rooms {
                    let logs = self
                        .0
                        .range_mut((node, told.room, 0)..=(node, told.room, u64::MAX));
                    for ((.., epoch), owed) in
                        logs.filter(|(_, owed)| now > owed.since + DUE && now > owed.beat)
                    {
                        owed.beat = now;
                        owed.beats += 1;
                        if owed.beats > BEATS {
                            return Some(format!(
                                "tells no head after line {} of {epoch}",
                                owed.seq
                            ));
                        }
                    }
                }
            }
            _ => {}
        }
        None
    }
}
