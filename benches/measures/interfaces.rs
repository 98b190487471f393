//! A cable is pulled and plugged in again.

use std::time::{Duration, Instant};

use super::presence::Pair;
use super::{Row, Scale, Times, pause_until};
use crate::harness::lan::Lan;
use crate::harness::node::SOON;
use crate::harness::{ms, now};

/// A twentieth of a round of probing.
const SHIFT: Duration = ms(100);
const PATIENCE: Duration = Duration::from_secs(30);

/// What one kind of break takes.
#[derive(Default)]
struct Break {
    own: Times,
    other: Times,
    back: Times,
}

impl Break {
    /// Cuts ben off, waits until ana greys him, mends it, and waits until each lists the other.
    /// The sample's number shifts it against the rounds of probing, which come every two seconds.
    fn sample(&mut self, lan: &Lan, number: u32, cut: impl Fn(&Lan), mend: impl Fn(&Lan)) {
        let pair = Pair::start(lan);
        pair.meet(SOON);
        pause_until(now() + SHIFT * (number * 7 % 20));
        let Pair { ana, ben, .. } = &pair;
        let forget = || [ana, ben].iter().for_each(|node| node.forget());
        let since = |start: Instant, at: Instant| at.saturating_duration_since(start);
        forget();
        let start = now();
        cut(lan);
        let own = ben.sees("ana", &["suspect", "offline"], PATIENCE);
        self.own.add(since(start, own.at));
        let other = ana.sees("ben", &["offline"], PATIENCE);
        self.other.add(since(start, other.at));
        ben.sees("ana", &["suspect", "offline"], PATIENCE);
        forget();
        let start = now();
        mend(lan);
        let back = [ana.lists("ben", PATIENCE), ben.lists("ana", PATIENCE)];
        self.back.add(since(start, back[0].at.max(back[1].at)));
    }

    fn rows(&self, what: &str) -> Vec<Row> {
        vec![
            self.own
                .row_max(&format!("{what}: own side dims the other"), "-"),
            self.other
                .row_max(&format!("{what}: the other side says Offline"), "4/7 s"),
            self.back
                .row_max(&format!("{what}: mended to both listed again"), "-"),
        ]
    }
}

/// The cable is pulled, so that the carrier is gone; and something further away breaks, so that
/// the carrier stays.
pub fn cable(scale: Scale) -> Vec<Row> {
    let lan = Lan::new(2);
    let mut pulled = Break::default();
    let mut isolated = Break::default();
    for number in 0..u32::try_from(scale.of(20)).unwrap_or(u32::MAX) {
        pulled.sample(&lan, number, |lan| lan.cut(2), |lan| lan.join(2));
        isolated.sample(&lan, number, |lan| lan.isolate(2), |lan| lan.rejoin(2));
    }
    let mut rows = pulled.rows("cable pulled");
    rows.extend(isolated.rows("cut off, carrier stays"));
    rows
}
