//! The figures of a LAN: `cargo bench --bench lan [-- --quick] [NAME...]` prints a table.
//!
//! Real processes on hosts that exist only here (`tests/lab/harness`), everything in one run. What
//! is stored goes to the disk that the build is on, as it does at a user's. `LANCHAT_BIN` measures
//! another binary. `--quick` takes a tenth of the samples, to see that it works. All of it takes about
//! half an hour; `crowd-50`, `crowd-200` and `hundreds` want the processors for themselves. `LANCHAT_HUNDREDS=1000`
//! plays so many in `hundreds`; before they met, minutes pass. `peers` is
//! the comparison with other programs, for `benches/peers.sh`.

#[cfg(target_os = "linux")]
#[path = "../tests/lab/harness/mod.rs"]
mod harness;
#[cfg(target_os = "linux")]
mod measures;

#[cfg(target_os = "linux")]
fn main() {
    harness::pty::play_role();
    harness::simulated::play_role();
    measures::echo::play_role();
    if let Err(reason) = harness::world::enter() {
        eprintln!("no network namespaces here: {reason}");
        std::process::exit(1);
    }
    measures::run(std::env::args().skip(1));
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("the figures are taken in network namespaces, which only Linux has");
}
