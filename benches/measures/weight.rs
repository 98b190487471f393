//! What it weighs: memory, processor, size, start.

use std::time::Duration;

use super::presence::Pair;
use super::{Row, Scale, Times, figure, pause_until};
use crate::harness::lan::Lan;
use crate::harness::node::{SOON, lanchat};
use crate::harness::pty::Terminal;
use crate::harness::{now, world};

/// Start of the process to the first whole frame of the screen.
pub fn first_frame(scale: Scale) -> Vec<Row> {
    let lan = Lan::new(1);
    let mut times = Times::default();
    for _ in 0..scale.of(20) {
        let data = world::disk_scratch();
        let mut command = lanchat(data.path());
        command.args(["--name", "ana"]);
        let mut screen = Terminal::start(lan.host(1), &command, (80, 24));
        let drawn = |s: &vt100::Screen| s.alternate_screen() && s.contents().contains("#lobby");
        times.add(screen.first_frame(drawn));
    }
    vec![times.row_max("process start to the first frame, 80x24", "20 ms")]
}

/// Memory and processor time of a node that has two peers and nothing to do.
pub fn at_rest(scale: Scale) -> Vec<Row> {
    let lan = Lan::new(3);
    let pair = Pair::start(&lan);
    let data = world::disk_scratch();
    let cid = crate::harness::node::Node::start_in(lan.host(3), "cid", data.path(), &[]);
    crate::harness::node::all_meet(&[&pair.ana, &pair.ben, &cid], SOON);
    // The burst of the first seconds is no rest.
    let settled = now() + Duration::from_secs(scale.of(10) as u64);
    pause_until(settled);
    let span = Duration::from_secs(scale.of(30) as u64);
    let before = pair.ana.process.borrow().cpu_time();
    pause_until(settled + span);
    let used = pair.ana.process.borrow().cpu_time() - before;
    let share = 100.0 * used.as_secs_f64() / span.as_secs_f64();
    let resident = pair.ana.resident_kib() as f64 / 1024.0;
    let what = format!("at rest, two peers, over {} s: one core", span.as_secs());
    vec![
        figure(what, format!("{share:.3} %"), "-".into(), "0.05 %"),
        figure(
            "the same: resident memory",
            format!("{resident:.1} MiB"),
            "-".into(),
            "10 MB",
        ),
    ]
}

/// The file.
pub fn binary_size(_: Scale) -> Vec<Row> {
    let bytes = std::fs::metadata(world::program()).map_or(0, |file| file.len());
    let size = format!("{:.2} MB", bytes as f64 / 1e6);
    vec![figure(
        "the program's file",
        size,
        "-".into(),
        "8 MB, stripped",
    )]
}
