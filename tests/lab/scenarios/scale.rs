//! More than a handful: small samples of what `benches/lan.rs` measures at full size.

use std::time::Duration;

use super::Test;
use crate::harness::crowd::{Crowd, Member};
use crate::harness::full;
use crate::harness::lan::Lan;
use crate::harness::node::Node;
use crate::harness::now;
use crate::harness::simulated::Simulated;
use crate::harness::traffic;

pub const TESTS: &[Test] = &[
    ("scale::a_crowd_meets_at_once", a_crowd_meets_at_once),
    (
        "scale::a_dead_host_is_offline_at_all",
        a_dead_host_is_offline_at_all,
    ),
    (
        "scale::one_node_among_simulated_peers",
        one_node_among_simulated_peers,
    ),
];

/// Two cores that other tests use as well.
const PATIENCE: Duration = Duration::from_secs(20);

fn a_crowd_meets_at_once() {
    let count = if full() { 50 } else { 12 };
    let mut crowd = Crowd::start(count);
    let complete = crowd.complete(PATIENCE);
    let lacking = crowd.lacking();
    assert!(
        complete.is_some(),
        "of {count}, they lack so many: {lacking:?}"
    );
    // One more has the full roster, and is in that of everybody; whoever leaves is in none.
    assert!(crowd.leave(count, PATIENCE), "it left, and is still listed");
    traffic::count(&crowd.lan).expect("counters at the switch");
    crowd.join(count, &[]);
    assert!(
        crowd.complete(PATIENCE).is_some(),
        "after another came, they lack so many: {:?}",
        crowd.lacking()
    );
    let passed = traffic::read(&crowd.lan);
    assert!(
        passed.group.packets > 0 && passed.unicast.packets > 0,
        "nobody meets without packets: {passed:?}"
    );
}

fn a_dead_host_is_offline_at_all() {
    let mut crowd = Crowd::start(4);
    let met = crowd.complete(PATIENCE);
    assert!(met.is_some(), "they lack so many: {:?}", crowd.lacking());
    crowd.members[&2].node.kill();
    let deadline = now() + PATIENCE;
    let shown = crowd.becomes(2, &["offline"], deadline);
    assert!(shown.is_some(), "n2 was killed and is not shown as offline");
    crowd.join(2, &[]);
    let back = crowd.complete(PATIENCE);
    assert!(back.is_some(), "n2 is back: {:?}", crowd.lacking());

    crowd.lan.cut(3);
    let deadline = now() + PATIENCE;
    let shown = crowd.becomes(3, &["offline"], deadline);
    assert!(shown.is_some(), "the cable of n3 is out, it is not offline");
    crowd.lan.join(3);
    let back = crowd.complete(PATIENCE);
    assert!(back.is_some(), "the cable is in: {:?}", crowd.lacking());
}

fn one_node_among_simulated_peers() {
    let (count, seconds) = if full() { (1000, 60) } else { (60, 3) };
    let lan = Lan::new(2);
    let node = Node::start(lan.host(1), "ana");
    node.ready();
    let spread = Duration::from_secs(seconds);
    let _peers = Simulated::start(lan.host(2), count, spread, lan.host(1));
    let mut ana = Member::new(node);
    let all = ana.until(now() + spread + PATIENCE, |ana| ana.present() == count);
    assert!(
        all.is_some(),
        "{} of {count} are listed and confirmed",
        ana.present()
    );
    let resident = ana.node.resident_kib();
    assert!(resident < 64 << 10, "{resident} KiB with {count} peers");
}
