//! Many people on one switch.

use std::time::Duration;

use super::{Row, Scale, Times, figure, millis, pause_until};
use crate::harness::crowd::{Crowd, Shortfall};
use crate::harness::lan::Lan;
use crate::harness::now;
use crate::harness::traffic::{self, Amount};

const PATIENCE: Duration = Duration::from_secs(60);
/// Whoever joined has the full roster by then, or is counted as never.
const JOINED_WITHIN: Duration = Duration::from_secs(5);
/// Between two who join, so that the HELLOs of the one are not those of a rush.
const BETWEEN: Duration = Duration::from_secs(2);
/// The burst of a start is over after this.
const SETTLE: Duration = Duration::from_secs(20);

/// Fifty at once; then one after the other joins 49 who are settled.
pub fn fifty(scale: Scale) -> Vec<Row> {
    let count = if scale.quick { 10 } else { 50 };
    let joins = scale.of(20);
    let mut crowd = Crowd::new(Lan::new(count + joins));
    let mut rows = start(&mut crowd, count);
    crowd.leave(count, PATIENCE);
    pause_until(now() + scale.time(SETTLE));
    let (mut has_all, mut all_have) = (Times::default(), Times::default());
    // Each is somebody new, at an address where nobody was.
    for host in count + 1..=count + joins {
        let started = crowd.join(host, &[]);
        let since = |at: std::time::Instant| at.saturating_duration_since(started);
        let deadline = started + JOINED_WITHIN;
        has_all.add_if(crowd.has_all(host, JOINED_WITHIN).map(since));
        let left = deadline.saturating_duration_since(now());
        let complete = crowd.complete(left);
        if complete.is_none() {
            eprintln!("n{host} came, and of all rosters: {:?}", crowd.shortfall());
        }
        all_have.add_if(complete.map(since));
        crowd.leave(host, JOINED_WITHIN);
        pause_until(now() + BETWEEN);
    }
    let joiner = format!("process start to the joiner's full roster, N = {count}");
    let all = "the same: until all others list the joiner as well";
    rows.push(has_all.row_p99(&joiner, "60 ms p50, 150 ms p99"));
    rows.push(all_have.row_p99(all, "-"));
    rows
}

/// Two hundred on two cores, and what they cost at rest.
pub fn two_hundred(scale: Scale) -> Vec<Row> {
    let count = if scale.quick { 20 } else { 200 };
    let mut crowd = Crowd::new(Lan::new(count));
    let mut rows = start(&mut crowd, count);
    pause_until(now() + scale.time(SETTLE * 2));
    rows.extend(at_rest(&mut crowd, scale.time(Duration::from_secs(60))));
    rows
}

/// Starts so many as fast as it goes, and waits until everybody lists everybody.
fn start(crowd: &mut Crowd, count: usize) -> Vec<Row> {
    traffic::count(&crowd.lan).expect("counters at the switch");
    let begun = now();
    let last = (1..=count).map(|host| crowd.join(host, &[])).last();
    let last = last.unwrap_or(begun);
    let complete = crowd.complete(PATIENCE);
    let lacking = crowd.lacking();
    let whole = lacking.iter().filter(|rows| **rows == 0).count();
    let short = crowd.shortfall();
    let passed = traffic::read(&crowd.lan);
    let took = complete.map_or("never".to_owned(), |at| {
        millis(at.saturating_duration_since(last))
    });
    let within = PATIENCE.as_secs();
    vec![
        figure(
            format!("{count} at once: last start to the last full roster"),
            took,
            format!("the starts took {}", millis(last - begun)),
            "-",
        ),
        figure(
            format!("the same: full rosters within {within} s"),
            format!("{whole} of {count}"),
            rows_missing(short),
            "all",
        ),
        figure(
            "the same: packets until then, group and unicast",
            passed.group.packets.to_string(),
            passed.unicast.packets.to_string(),
            "-",
        ),
    ]
}

fn rows_missing(short: Shortfall) -> String {
    if short == Shortfall::default() {
        return "no row missing".to_owned();
    }
    format!(
        "rows: {} absent, {} unconfirmed, {} suspect, {} offline",
        short.absent, short.unconfirmed, short.suspect, short.offline
    )
}

/// What each costs and what passes the switch while nobody does anything.
fn at_rest(crowd: &mut Crowd, span: Duration) -> Vec<Row> {
    let used = |crowd: &Crowd| -> Vec<Duration> {
        let processes = crowd.members.values().map(|m| m.node.process.borrow());
        processes.map(|process| process.cpu_time()).collect()
    };
    let (start, before, passed) = (now(), used(crowd), traffic::read(&crowd.lan));
    pause_until(start + span);
    let (after, passed) = (used(crowd), traffic::read(&crowd.lan) - passed);
    let seconds = (now() - start).as_secs_f64();
    let shares: Vec<f64> = before
        .iter()
        .zip(&after)
        .map(|(before, after)| 100.0 * (*after - *before).as_secs_f64() / seconds)
        .collect();
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    let most = shares.iter().copied().fold(0.0, f64::max);
    let resident = crowd.members.values().map(|m| m.node.resident_kib());
    let resident = resident.max().unwrap_or_default() as f64 / 1024.0;
    let lacking = crowd.lacking();
    let whole = lacking.iter().filter(|rows| **rows == 0).count();
    let rate = |amount: Amount| {
        let packets = amount.packets as f64 / seconds;
        let bytes = amount.bytes as f64 / seconds / 1000.0;
        (format!("{packets:.1}/s"), format!("{bytes:.2} kB/s"))
    };
    let count = lacking.len();
    let (group, group_bytes) = rate(passed.group);
    let (unicast, unicast_bytes) = rate(passed.unicast);
    vec![
        figure(
            format!("{count} at rest, over {seconds:.0} s: of one core each, mean and most"),
            format!("{mean:.3} %"),
            format!("{most:.3} % max"),
            "0.3 %",
        ),
        figure(
            "the same: resident memory of the largest",
            format!("{resident:.1} MiB"),
            "-".into(),
            "16 MB",
        ),
        figure(
            "the same: group packets on the switch",
            group,
            group_bytes,
            "25/s at most",
        ),
        figure(
            "the same: unicast packets on the switch",
            unicast,
            unicast_bytes,
            "600/s at most",
        ),
        figure(
            "the same: full rosters at its end",
            format!("{whole} of {count}"),
            rows_missing(crowd.shortfall()),
            "all",
        ),
    ]
}
