//! Who is here: how soon it shows.

use std::time::Duration;

use serde_json::json;

use super::{Row, Scale, Times};
use crate::harness::crowd::Member;
use crate::harness::lan::Lan;
use crate::harness::node::{Node, SOON, all_meet};
use crate::harness::{now, world};

/// A pair on two hosts, its data on the disk; dropped with its directories.
pub struct Pair {
    /// The first, already running.
    pub ana: Node,
    /// The one started last.
    pub ben: Node,
    _data: [tempfile::TempDir; 2],
}

impl Pair {
    /// Starts both, the second once the first is ready.
    pub fn start(lan: &Lan) -> Self {
        let data = [world::disk_scratch(), world::disk_scratch()];
        let ana = Node::start_in(lan.host(1), "ana", data[0].path(), &[]);
        ana.ready();
        let ben = Node::start_in(lan.host(2), "ben", data[1].path(), &[]);
        Pair {
            ana,
            ben,
            _data: data,
        }
    }

    /// Waits until each lists the other; how long after the start of the second.
    pub fn meet(&self, within: Duration) -> Duration {
        let met = all_meet(&[&self.ana, &self.ben], within);
        met.saturating_duration_since(self.ben.started())
    }

    /// As [`Pair::meet`]; none if they do not.
    pub fn meet_within(self, within: Duration) -> Option<Duration> {
        let started = self.ben.started();
        let deadline = started + within;
        // Both stay until both have met.
        let mut members = [self.ana, self.ben].map(Member::new);
        let mut last = started;
        for member in &mut members {
            last = last.max(member.until(deadline, |member| member.present() == 1)?);
        }
        Some(last.saturating_duration_since(started))
    }
}

/// Process start to both listed.
pub fn meet(scale: Scale) -> Vec<Row> {
    let lan = Lan::new(2);
    let mut times = Times::default();
    for _ in 0..scale.of(20) {
        times.add(Pair::start(&lan).meet(SOON));
    }
    vec![times.row_max(
        "process start to both listed, N = 2",
        "12 ms p50, 40 ms p99",
    )]
}

/// `quit` to gone.
pub fn leave(scale: Scale) -> Vec<Row> {
    let lan = Lan::new(2);
    let mut times = Times::default();
    for _ in 0..scale.of(20) {
        let pair = Pair::start(&lan);
        pair.meet(SOON);
        let start = now();
        pair.ben.line(&json!({"command": "quit"}).to_string());
        let seen = pair.ana.sees("ben", &["left"], SOON);
        times.add(seen.at.saturating_duration_since(start));
    }
    vec![times.row_max("leave to gone", "5 ms p50, 20 ms p99; under 50 ms")]
}
