//! People who meet where not everything passes.

use std::time::Duration;

use super::{Row, Scale, Times};
use crate::harness::crowd::Crowd;
use crate::harness::lan::Lan;

const PATIENCE: Duration = Duration::from_secs(15);
/// Meetings on one LAN: a source may show 20 new people a minute.
const MEETINGS_MAX: usize = 10;

/// A pair on a switch that drops multicast and passes broadcast.
pub fn no_multicast(scale: Scale) -> Vec<Row> {
    let times = meetings(scale, 2, Lan::drop_multicast, |crowd| {
        crowd.join(1, &[]);
        crowd.members[&1].node.ready();
        let started = crowd.join(2, &[]);
        let met = crowd.complete(PATIENCE)?;
        Some(met.saturating_duration_since(started))
    });
    let what = "no multicast: process start to both listed";
    vec![times.row_max(what, "100 ms")]
}

/// Three on a switch that drops multicast and broadcast. The second and the third are told of the
/// first, and find each other by it.
pub fn no_group_but_a_peer(scale: Scale) -> Vec<Row> {
    let tell = ["--peer", "10.77.0.1"];
    let mut pairs = Times::default();
    let thirds = meetings(scale, 3, Lan::drop_multicast_and_broadcast, |crowd| {
        crowd.join(1, &[]);
        crowd.members[&1].node.ready();
        let started = crowd.join(2, &tell);
        let met = crowd.complete(PATIENCE);
        pairs.add_if(met.map(|met| met.saturating_duration_since(started)));
        let started = crowd.join(3, &tell);
        let met = crowd.complete(PATIENCE)?;
        Some(met.saturating_duration_since(started))
    });
    vec![
        pairs.row_max(
            "no multicast, no broadcast, one --peer: process start to both listed",
            "100 ms",
        ),
        thirds.row_max(
            "the same: a third, told of the first only, until all list all",
            "1 s",
        ),
    ]
}

/// Twenty meetings, each of new people.
fn meetings(
    scale: Scale,
    hosts: usize,
    filter: fn(&Lan),
    mut meet: impl FnMut(&mut Crowd) -> Option<Duration>,
) -> Times {
    let mut times = Times::default();
    let mut lans = Vec::new();
    for number in 0..scale.of(20) {
        let lan = lans.pop().filter(|_| number % MEETINGS_MAX != 0);
        let lan = lan.unwrap_or_else(|| {
            let lan = Lan::new(hosts);
            filter(&lan);
            lan
        });
        let mut crowd = Crowd::new(lan);
        times.add_if(meet(&mut crowd));
        lans.push(crowd.into_lan());
    }
    times
}
