//! One node among hundreds.

use std::time::Duration;

use super::{Row, Scale, figure, millis, pause_until};
use crate::harness::crowd::Member;
use crate::harness::lan::Lan;
use crate::harness::node::Node;
use crate::harness::simulated::Simulated;
use crate::harness::traffic;
use crate::harness::{now, world};

/// Over so long they come, in a time of their own, before the real node does.
const SPREAD: Duration = Duration::from_secs(60);
/// For so long after the real node listed all, what has to be said about it is said.
const SETTLE: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(60);

/// A real node and 500 simulated peers (`tests/lab/harness/simulated.rs`), or `LANCHAT_HUNDREDS` of
/// them: a thousand want a processor for themselves, minutes to meet, and 4 GB. They are endpoints of the library, so what they send is what as many nodes send: heartbeats
/// by their T_hb, probes in their share, news, answers. One processor plays so many in real time; if it did
/// not keep pace, the row of its own share would say 100 %.
pub fn hundreds(scale: Scale) -> Vec<Row> {
    let asked = std::env::var("LANCHAT_HUNDREDS").ok();
    let count = asked.map(|count| count.parse().expect("LANCHAT_HUNDREDS is a number"));
    let count: usize = count.unwrap_or_else(|| scale.of(500));
    assert!(count > 0, "LANCHAT_HUNDREDS is at least 1");
    let spread = scale.time(SPREAD);
    let lan = Lan::new(2);
    traffic::count(&lan).expect("counters at the switch");
    let data = world::disk_scratch();
    let peers = Simulated::met(lan.host(2), count, spread, lan.host(1));
    let played = played(count, &peers);
    let started = now();
    let mut ana = Member::new(Node::start_in(lan.host(1), "ana", data.path(), &[]));
    let full = ana.until(started + PATIENCE, |ana| ana.present() == count);
    let used = |ana: &Member| ana.node.process.borrow().cpu_time();
    let introduced = used(&ana);
    let settled = now() + scale.time(SETTLE);
    // So that all that is read is read before.
    ana.until(settled, |_| false);
    let span = scale.time(Duration::from_secs(60));
    let (start, before, theirs) = (now(), used(&ana), peers.cpu_time());
    let passed = traffic::read(&lan);
    pause_until(start + span);
    let passed = traffic::read(&lan) - passed;
    let rate = |packets: u64| format!("{:.1}/s", packets as f64 / span.as_secs_f64());
    let share = |used: Duration| 100.0 * used.as_secs_f64() / (now() - start).as_secs_f64();
    let (share, theirs) = (share(used(&ana) - before), share(peers.cpu_time() - theirs));
    let resident = ana.node.resident_kib() as f64 / 1024.0;
    ana.until(now(), |_| false);
    let took = full.map_or("never".to_owned(), |at| {
        millis(at.saturating_duration_since(started))
    });
    vec![
        played,
        figure(
            format!("{count} simulated peers, one real node: its start to all listed"),
            took,
            format!("{} of {count} at the end", ana.present()),
            "all",
        ),
        figure(
            "the same: processor time until then".to_owned(),
            millis(introduced),
            "-".into(),
            "-",
        ),
        figure(
            format!("the same, at rest over {span:?}: one core"),
            format!("{share:.3} %"),
            format!("the driver {theirs:.1} %"),
            "1 %",
        ),
        figure(
            "the same: packets on the switch, group and unicast",
            rate(passed.group.packets),
            rate(passed.unicast.packets),
            "-",
        ),
        figure(
            "the same: resident memory",
            format!("{resident:.1} MiB"),
            "-".into(),
            "32 MB",
        ),
    ]
}

/// What is played, and what it took until they had met.
fn played(count: usize, peers: &Simulated) -> Row {
    let taken = peers.taken;
    figure(
        format!(
            "{count} simulated peers, played: all of presence, an address each, one process; they met \
             before, with {taken} datagrams in memory: processor time for that"
        ),
        format!("{:.1} s", peers.cpu_time().as_secs_f64()),
        "-".into(),
        "-",
    )
}
