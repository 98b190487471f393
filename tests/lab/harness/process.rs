//! A process on a host: started, watched, measured, ended.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::lan::Host;
use super::now;

/// A running process; killed when dropped.
pub struct Process {
    pid: Pid,
    /// When it was started.
    pub started: Instant,
    /// Its input, until closed.
    pub stdin: Option<ChildStdin>,
    stderr: Arc<Mutex<String>>,
    ended: Receiver<ExitStatus>,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` on `host`; its output is handed to `read` on a thread.
    pub fn start(
        host: &Host,
        mut command: Command,
        read: impl FnOnce(ChildStdout) + Send + 'static,
    ) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let started = now();
        let mut child = host.enter(|| command.spawn()).expect("starting a process");
        let stdout = child.stdout.take().expect("piped");
        thread::spawn(move || read(stdout));
        Self::watch(child, started)
    }

    /// Takes over a child that was started elsewhere.
    pub fn watch(mut child: Child, started: Instant) -> Self {
        let pid = Pid::from_raw(child.id().try_into().expect("a pid"));
        let stdin = child.stdin.take();
        let stderr = Arc::new(Mutex::new(String::new()));
        let reader = child.stderr.take().map(|pipe| {
            let kept = Arc::clone(&stderr);
            thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let mut kept = kept.lock().expect("no panic holds it");
                    kept.push_str(&line);
                    kept.push('\n');
                }
            })
        });
        let (tell, ended) = mpsc::channel();
        thread::spawn(move || {
            let status = child.wait();
            // Everything that it wrote is there before its end is told.
            if let Some(reader) = reader {
                let _ = reader.join();
            }
            if let Ok(status) = status {
                let _ = tell.send(status);
            }
        });
        Process {
            pid,
            started,
            stdin,
            stderr,
            ended,
            status: None,
        }
    }

    /// Its pid in the lab.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// What it wrote to stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("no panic holds it").clone()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid, signal).expect("signalling a process of ours");
    }

    /// Waits until a stop signal has stopped all of it.
    pub fn wait_stopped(&self, within: Duration) {
        let deadline = now() + within;
        let is_stopped = || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).expect("its state");
            // The state stands behind the name, which is in parentheses.
            stat.rsplit(')')
                .next()
                .is_some_and(|rest| rest.starts_with(" T"))
        };
        while !is_stopped() {
            assert!(now() < deadline, "it runs on");
            thread::yield_now();
        }
    }

    /// Waits for its end: the exit code, or 128 and the signal.
    pub fn wait(&mut self, within: Duration) -> i32 {
        match self.try_wait(within) {
            Some(code) => code,
            None => panic!("still running after {within:?}; stderr:\n{}", self.stderr()),
        }
    }

    /// As [`Process::wait`]; none if it still runs.
    pub fn try_wait(&mut self, within: Duration) -> Option<i32> {
        if self.status.is_none() {
            self.status = self.ended.recv_timeout(within).ok();
        }
        let status = self.status?;
        status.code().or(status.signal().map(|signal| 128 + signal))
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("its status");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("VmRSS");
        let number = line.split_whitespace().next().expect("a number");
        number.parse().expect("a number")
    }

    /// Time on a processor so far, all threads together.
    pub fn cpu_time(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid)).expect("its threads");
        let nanos = tasks.flatten().map(|task| {
            let stat = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let first = stat.split_whitespace().next().unwrap_or("0");
            first.parse::<u64>().unwrap_or(0)
        });
        Duration::from_nanos(nanos.sum())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.try_wait(Duration::ZERO).is_none() {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = self.try_wait(Duration::from_secs(5));
        }
    }
}

/// What a command that runs to its end left.
#[derive(Debug)]
pub struct Ran {
    /// Exit code, or 128 and the signal.
    pub code: i32,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

/// Runs `command` on `host` with this input, and waits for its end.
pub fn run(host: &Host, command: Command, input: &str, within: Duration) -> Ran {
    use std::io::Write;
    let (tell, told) = mpsc::channel();
    let mut process = Process::start(host, command, move |mut out| {
        let mut text = Vec::new();
        let _ = out.read_to_end(&mut text);
        let _ = tell.send(String::from_utf8_lossy(&text).into_owned());
    });
    let mut stdin = process.stdin.take().expect("piped");
    // It may end without reading its input.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let code = process.wait(within);
    Ran {
        code,
        stdout: told.recv_timeout(within).expect("the end of its output"),
        stderr: process.stderr(),
    }
}
