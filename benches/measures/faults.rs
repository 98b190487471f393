//! The same on a network that loses 30 % of what arrives at each host.

use std::time::Duration;

use super::presence::Pair;
use super::talk::BEAT;
use super::{Row, Scale, Times, figure, in_parallel, millis, pause_until};
use crate::harness::lan::Lan;
use crate::harness::node::{Node, all_meet};
use crate::harness::{ms, now, world};

const PATIENCE: Duration = Duration::from_secs(30);

fn lossy(hosts: usize) -> Lan {
    let lan = Lan::new(hosts);
    for host in lan.hosts() {
        host.lose(30);
    }
    lan
}

/// Pairs on a LAN of their own at the same time.
const BATCH: usize = 4;

/// Pairs that meet in time.
pub fn pairs_meet(scale: Scale) -> Vec<Row> {
    let lans: Vec<Lan> = (0..BATCH).map(|_| lossy(2)).collect();
    let mut times = Times::default();
    for _ in 0..scale.of(40).div_ceil(BATCH) {
        let batch = in_parallel(&lans, |lan| Pair::start(lan).meet_within(PATIENCE));
        batch.into_iter().for_each(|took| times.add_if(took));
    }
    let share = format!("{} of {}", times.within(ms(3000)), times.len());
    let spread = [75, 90].map(|percent| millis(times.percentile(percent)));
    vec![
        times.row_max("30 % loss: process start to both listed", "within 3 s"),
        figure(
            "the same: p75, p90",
            spread[0].clone(),
            spread[1].clone(),
            "-",
        ),
        figure(
            "30 % loss: pairs that met within 3 s",
            share,
            "-".into(),
            "all",
        ),
    ]
}

/// Lobby messages from one to three.
pub fn lobby_complete(scale: Scale) -> Vec<Row> {
    let lan = lossy(4);
    let names = ["ana", "ben", "cid", "dan"];
    let data = names.map(|_| world::disk_scratch());
    let nodes: Vec<Node> = (0..names.len())
        .map(|n| Node::start_in(lan.host(n + 1), names[n], data[n].path(), &[]))
        .collect();
    let all: Vec<&Node> = nodes.iter().collect();
    all_meet(&all, PATIENCE);
    let (ana, others) = all.split_first().expect("four nodes");
    let texts: Vec<String> = (0..scale.of(200)).map(|n| format!("line {n}")).collect();
    let mut starts = Vec::new();
    for text in &texts {
        starts.push(now());
        ana.say("#lobby", text);
        pause_until(*starts.last().expect("just pushed") + BEAT);
    }
    let mut times = Times::default();
    let mut complete = 0;
    for other in others {
        for (text, start) in texts.iter().zip(&starts) {
            let heard = other.gets(text, PATIENCE);
            times.add(heard.at.saturating_duration_since(*start));
        }
        complete += usize::from(other.texts("#lobby") == texts);
    }
    let share = format!("{complete} of {}", others.len());
    let what = format!(
        "30 % loss: peers with all {} lobby messages, in order, once",
        texts.len()
    );
    vec![
        times.row_p99(
            "30 % loss: room message, pipe to pipe, at 4/s",
            "300 ms p99",
        ),
        figure(what, share, "-".into(), "all"),
    ]
}
