//! The floor: a bare UDP echo between two hosts.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Command, exit};
use std::sync::mpsc;
use std::time::Duration;

use crate::harness::lan::Host;
use crate::harness::node::SOON;
use crate::harness::now;
use crate::harness::process::Process;

/// First argument of the process that echoes.
const ROLE: &str = "--lab-echo";
const PORT: u16 = 4007;

/// If this process was started to echo, does so until it is killed.
pub fn play_role() {
    if env::args().nth(1).is_none_or(|first| first != ROLE) {
        return;
    }
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).expect("the echo's port");
    println!("ready");
    let _ = std::io::stdout().flush();
    let mut buffer = [0; 1500];
    while let Ok((len, from)) = socket.recv_from(&mut buffer) {
        let _ = socket.send_to(&buffer[..len], from);
    }
    exit(0);
}

/// A process that echoes on one host, and a socket on another.
pub struct Echo {
    socket: UdpSocket,
    _process: Process,
}

impl Echo {
    /// Echoes on `there`, asked from `here`.
    pub fn start(here: &Host, there: &Host) -> Self {
        let mut command = Command::new(env::current_exe().expect("this program"));
        command.arg(ROLE);
        let (tell, told) = mpsc::channel();
        let process = Process::start(there, command, move |out| {
            let mut lines = BufReader::new(out).lines();
            let _ = tell.send(lines.next());
        });
        told.recv_timeout(SOON).expect("the echo is ready");
        let socket = here.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket"));
        socket.connect((there.v4(), PORT)).expect("an address");
        socket.set_read_timeout(Some(SOON)).expect("a timeout");
        Echo {
            socket,
            _process: process,
        }
    }

    /// One round trip of this many bytes.
    pub fn round_trip(&self, len: usize) -> Duration {
        let mut buffer = [0; 1500];
        let start = now();
        self.socket.send(&buffer[..len]).expect("sending");
        self.socket.recv(&mut buffer).expect("the echo");
        now() - start
    }
}
