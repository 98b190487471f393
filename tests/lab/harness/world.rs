//! Namespaces around the whole process, or the reason why there are none.

use std::env;
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, exit};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{getegid, geteuid};

use super::lan::Lan;

/// Set in the process inside the namespaces.
const INSIDE: &str = "LANCHAT_LAB_INSIDE";

/// Enters namespaces of their own: returns inside, as process 1 of a pid namespace, in a copy of
/// this process. The original waits for it and ends with its exit code.
///
/// # Errors
/// Why there are no namespaces to be had; this process is then unchanged.
pub fn enter() -> Result<(), String> {
    if env::var_os(INSIDE).is_some() {
        return settle();
    }
    leave_behind()
}

/// A new empty directory in memory, gone with the process.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(memory_dir()).expect("a directory in the lab's tmpfs")
}

/// A new empty directory on the disk that the build is on.
pub fn disk_scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory in the target directory")
}

/// The program under test: `LANCHAT_BIN`, or what cargo built beside this.
pub fn program() -> PathBuf {
    env::var_os("LANCHAT_BIN").map_or_else(|| env!("CARGO_BIN_EXE_lanchat").into(), PathBuf::from)
}

/// The outer process: unshares, starts itself again inside, and passes its end on.
fn leave_behind() -> Result<(), String> {
    let user = CloneFlags::CLONE_NEWUSER;
    let rest = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWPID;
    let (uid, gid) = (geteuid(), getegid());
    if uid.is_root() {
        unshare(rest).map_err(|e| format!("unshare as root: {e}"))?;
    } else {
        unshare(user | rest).map_err(|e| format!("unshare with a user namespace: {e}"))?;
        fs::write("/proc/self/setgroups", "deny")
            .and_then(|()| fs::write("/proc/self/uid_map", format!("0 {uid} 1")))
            .and_then(|()| fs::write("/proc/self/gid_map", format!("0 {gid} 1")))
            .map_err(|e| format!("mapping the user: {e}"))?;
    }
    let me = env::current_exe().map_err(|e| format!("finding this program: {e}"))?;
    let status = Command::new(me)
        .args(env::args_os().skip(1))
        .env(INSIDE, "1")
        .status()
        .map_err(|e| format!("starting inside the namespaces: {e}"))?;
    let killed = |signal| 128 + signal;
    exit(status.code().or(status.signal().map(killed)).unwrap_or(1))
}

/// The inner process: its own /proc and a tmpfs, then one LAN to see that it works.
fn settle() -> Result<(), String> {
    // If the outer process is killed, this one goes too, and with it everything in here.
    set_pdeathsig(Signal::SIGKILL).map_err(|e| format!("prctl: {e}"))?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(|e| format!("making mounts private: {e}"))?;
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none)
        .map_err(|e| format!("mounting /proc: {e}"))?;
    let dir = memory_dir();
    fs::create_dir_all(&dir).map_err(|e| format!("creating {}: {e}", dir.display()))?;
    mount(Some("tmpfs"), &dir, Some("tmpfs"), MsFlags::empty(), none)
        .map_err(|e| format!("mounting a tmpfs: {e}"))?;
    probe()
}

/// Whether the tools are there and the kernel has bridges, veths and nftables.
fn probe() -> Result<(), String> {
    for (tool, argument, package) in [("ip", "-V", "iproute2"), ("nft", "-v", "nftables")] {
        let mut command = Command::new(tool);
        let found = command
            .arg(argument)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        match found {
            Ok(status) if status.success() => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(format!("{tool} is missing (package {package})"));
            }
            other => return Err(format!("{tool} {argument}: {other:?}")),
        }
    }
    Lan::try_new(1)?.host(1).try_lose(1)
}

fn memory_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("lab")
}
