//! How soon it shows that somebody is gone without a word.

use std::time::{Duration, Instant};

use super::{Row, Scale, Times, in_parallel, pause_until};
use crate::harness::crowd::Crowd;
use crate::harness::{ms, now};

/// More than any of it should take.
const PATIENCE: Duration = Duration::from_secs(40);
/// LANs at the same time: nodes at rest leave the processors alone.
const LANS: usize = 4;
/// Nodes on a LAN: a pair, and a team.
const SIZES: [usize; 2] = [2, 8];
/// The burst of a start is over after this.
const SETTLE: Duration = Duration::from_secs(5);

/// What one try gave: until all others showed it, and until everybody listed everybody again.
struct Try {
    offline: Option<Duration>,
    back: Option<Duration>,
}

/// `kill -9` to Offline at everybody, on a pair of hosts and with eight.
pub fn kill(scale: Scale) -> Vec<Row> {
    let row = |size| {
        let tries = tries(scale, size, |crowd, victim| {
            let start = now();
            crowd.members[&victim].node.kill();
            let offline = crowd.becomes(victim, &["offline"], start + PATIENCE);
            let started = crowd.join(victim, &[]);
            let back = crowd.complete(PATIENCE);
            Try {
                offline: after(start, offline),
                back: after(started, back),
            }
        });
        let what = format!("kill -9 to Offline everywhere, N = {size}");
        let target = "2 s p50, 5.5 s p99; within 8 s";
        times(&tries, |one| one.offline).row_max(&what, target)
    };
    SIZES.map(row).into()
}

/// A host that vanishes while the others keep their carrier, as by a power cut or a pulled cable,
/// to Offline at everybody else; then its cable is plugged in again.
pub fn power(scale: Scale) -> Vec<Row> {
    let rows = |size| {
        let tries = tries(scale, size, |crowd, victim| {
            let start = now();
            crowd.lan.cut(victim);
            let offline = crowd.becomes(victim, &["offline"], start + PATIENCE);
            crowd.lan.join(victim);
            let start_back = now();
            let back = crowd.complete(PATIENCE);
            Try {
                offline: after(start, offline),
                back: after(start_back, back),
            }
        });
        let cut = format!("power cut or cable pulled to Offline at all others, N = {size}");
        let back = format!("cable back to everybody online everywhere, N = {size}");
        [
            times(&tries, |one| one.offline).row_max(&cut, "4 s p50, 7 s p99; within 8 s"),
            times(&tries, |one| one.back).row_max(&back, "within 3 s"),
        ]
    };
    SIZES.into_iter().flat_map(rows).collect()
}

/// Twenty tries on LANs of this size, each with another victim at another moment of its timers.
fn tries(scale: Scale, size: usize, attempt: fn(&mut Crowd, usize) -> Try) -> Vec<Try> {
    let rounds = scale.of(20).div_ceil(LANS);
    let lans: Vec<usize> = (0..LANS).collect();
    let tries = in_parallel(&lans, |lan| {
        let mut crowd = Crowd::start(size);
        if crowd.complete(PATIENCE).is_none() {
            eprintln!("of {size}, these lack so many: {:?}", crowd.lacking());
        }
        let round = |round: usize| {
            let number = round * LANS + lan;
            pause_until(now() + SETTLE + ms(379 * number as u64 % 2500));
            attempt(&mut crowd, number % size + 1)
        };
        (0..rounds).map(round).collect::<Vec<_>>()
    });
    tries.into_iter().flatten().collect()
}

fn times(tries: &[Try], of: fn(&Try) -> Option<Duration>) -> Times {
    let mut times = Times::default();
    tries.iter().for_each(|one| times.add_if(of(one)));
    times
}

fn after(start: Instant, end: Option<Instant>) -> Option<Duration> {
    Some(end?.saturating_duration_since(start))
}
