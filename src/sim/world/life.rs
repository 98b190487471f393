//! How processes start, stop and end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::{Action, CHAT_PORT, Crash, LINK, PRESENCE_PORT, Stopped, World};
use crate::datagram::{Gateway, Link, LinkAddress4};
use crate::proto::network::of_link;
use crate::proto::{Config, Endpoint};
use crate::text::{PeerName, RoomName, StatusText};

/// From this on a driver tells the endpoint that it is late.
const LATE_MIN: Duration = Duration::from_millis(500);
/// The router of every LAN.
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 77, 255, 254);

impl World {
    /// Starts a node's process.
    ///
    /// # Panics
    /// Never: the names are names.
    #[expect(clippy::unwrap_used, reason = "constants that are names")]
    pub fn boot(&mut self, index: usize) {
        if self.nodes[index].endpoint.is_some() || self.nodes[index].byzantine.is_some() {
            return;
        }
        self.fault(index, "boot".into());
        let now = self.clock(index);
        let seed = self.dice.seed();
        let node = &mut self.nodes[index];
        node.run += 1;
        node.refuses = false;
        node.crash_in = None;
        let config = Config {
            name: PeerName::new(&format!("node{index}")).unwrap(),
            status: crate::api::Status::Available,
            status_text: StatusText::default(),
            chat_port: CHAT_PORT,
            presence_port: PRESENCE_PORT,
            peers: node.named.clone(),
            multicast: true,
            broadcast: true,
            transient: false,
            rooms: vec![RoomName::new(crate::sim::checker::LOBBY).unwrap()],
            first_hello_ms_max: 5,
            snapshot: node.disk.snapshot(),
            limits: crate::limits::Limits::default(),
            seed,
        };
        let endpoint = Endpoint::new(now, node.identity.clone(), config);
        let rooms: Vec<String> = endpoint.rooms().map(ToString::to_string).collect();
        node.endpoint = Some(endpoint);
        if self.full.contains(&index) {
            self.checker.crammed.insert(index);
        }
        self.checker.started(self.now, index, now.wall_ms);
        for room in rooms {
            self.checker
                .begins_in((self.now, now.wall_ms), index, &room);
        }
        self.tell_links(index);
    }

    /// Ends a node's process at once.
    pub fn crash(&mut self, index: usize, how: Crash) {
        if self.nodes[index].endpoint.is_none() {
            return;
        }
        self.fault(index, format!("{how:?}"));
        self.stop(index, how == Crash::Kill);
        // What was on its way to the disk got there, up to some point.
        let handed = std::mem::take(&mut self.nodes[index].handed);
        let done = self.dice.below(handed.len() + 1);
        for (_, batch) in handed.iter().take(done) {
            let _ = self.keep(index, batch);
        }
        if how == Crash::Power {
            let kept = self.dice.below(self.nodes[index].disk.unsynced() + 1);
            let disk = &mut self.nodes[index].disk;
            let (before, unsynced) = (disk.own_lines(), disk.unsynced());
            disk.power_cut(kept);
            if kept < unsynced {
                let lost = before.difference(&disk.own_lines()).copied().collect();
                self.checker.forgot(index, lost);
            }
        }
    }

    pub(super) fn stop(&mut self, index: usize, refuses: bool) {
        let node = &mut self.nodes[index];
        node.endpoint = None;
        node.deadline = None;
        node.crash_in = None;
        node.stopped = None;
        node.run += 1;
        node.refuses = refuses;
        let disk = &self.nodes[index].disk;
        self.checker.stopped(self.now, index, disk);
    }

    /// A dead node's disk is set back to its last backup.
    pub fn restore(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if let (None, Some(backup)) = (&node.endpoint, node.backup.clone()) {
            let before = node.disk.own_lines();
            node.disk = backup;
            node.disk.retire();
            let lost = before.difference(&node.disk.own_lines()).copied().collect();
            self.checker.forgot(index, lost);
            self.fault(index, "restored backup".into());
        }
    }

    /// A dead node's directory is copied elsewhere, and the copy is used from now on.
    pub fn copied(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if node.endpoint.is_none() {
            node.disk.retire();
            self.fault(index, "copied".into());
        }
    }

    /// A node's disk has no room any more, or has some again.
    pub fn disk_full(&mut self, index: usize, full: bool) {
        self.fault(index, format!("disk full: {full}"));
        if full {
            self.full.insert(index);
            self.checker.crammed.insert(index);
        } else {
            self.full.remove(&index);
        }
    }

    /// A node begins to say GOODBYE; its process ends once it is out.
    pub fn leave(&mut self, index: usize) {
        self.fault(index, "leave".into());
        if self.nodes[index].endpoint.is_some() {
            self.checker.leaving(self.now, index);
            self.with(index, Endpoint::leave);
        }
    }

    /// The process is stopped (SIGSTOP): nothing is handled, the sockets go on to hear.
    pub fn suspend(&mut self, index: usize) {
        self.halt(index, false);
    }

    /// The host sleeps: nothing is handled, nothing heard, and the monotonic clock stands.
    pub fn sleep(&mut self, index: usize) {
        self.halt(index, true);
    }

    fn halt(&mut self, index: usize, asleep: bool) {
        let what = if asleep { "sleep" } else { "suspend" };
        self.fault(index, what.into());
        let node = &mut self.nodes[index];
        if node.endpoint.is_some() && node.stopped.is_none() {
            self.checker.halted(self.now, index);
        }
        if node.endpoint.is_some() && node.stopped.is_none() {
            node.stopped = Some(Stopped {
                since: self.now,
                asleep,
                held: Vec::new(),
            });
        }
    }

    /// The process goes on, as its driver does: first it hears what came meanwhile, then it tells
    /// the endpoint how late it is or that the host slept, then the timers run.
    pub fn resume(&mut self, index: usize) {
        self.fault(index, "resume".into());
        let Some(stopped) = self.nodes[index].stopped.take() else {
            return;
        };
        self.checker.went_on(self.now, index, stopped.asleep);
        self.checker.people[index].resumed = Some(self.now);
        let due = self.nodes[index].deadline;
        if stopped.asleep {
            self.nodes[index].slept += self.now - stopped.since;
        }
        for action in stopped.held {
            self.act(action);
        }
        if stopped.asleep {
            self.with(index, Endpoint::handle_wake);
        } else {
            let late = due.map_or(Duration::ZERO, |due| self.now.saturating_sub(due));
            if late >= LATE_MIN {
                self.with(index, |endpoint, now| endpoint.handle_late(now, late));
            }
        }
        self.nodes[index].armed = None;
        self.arm(index);
    }

    /// A node is carried out of its LAN: its interface has no carrier any more.
    pub fn depart(&mut self, index: usize) {
        self.fault(index, "depart".into());
        self.checker.departed(index);
        self.network.away.insert(index);
        self.tell_links(index);
    }

    /// A node is carried into this LAN and plugged in.
    pub fn arrive_at(&mut self, index: usize, segment: u8) {
        self.fault(index, format!("in LAN {segment}"));
        let was = self.network.segments.insert(index, segment).unwrap_or(0);
        self.network.away.remove(&index);
        let address = self.nodes[index].address;
        if let Some(byzantine) = self.nodes[index].byzantine.as_mut() {
            byzantine.network = of_link(&link(address, segment));
            if was != segment {
                let sends = byzantine.moved();
                self.emit(index, sends);
            }
        }
        self.tell_links(index);
    }

    /// Tells a process that runs what its interface is in.
    fn tell_links(&mut self, index: usize) {
        let links = match self.network.away.contains(&index) {
            true => Vec::new(),
            false => vec![link(self.nodes[index].address, self.network.segment(index))],
        };
        self.act(Action::Links(index, links));
    }

    /// Whether a node's process is stopped.
    #[must_use]
    pub fn is_suspended(&self, index: usize) -> bool {
        self.nodes[index].stopped.is_some()
    }
}

/// The only link of a node in this LAN: two of them differ in their router alone.
fn link(address: SocketAddr, segment: u8) -> Link {
    let v4 = match address.ip() {
        IpAddr::V4(address) => vec![LinkAddress4 {
            address,
            prefix_len: 16,
        }],
        IpAddr::V6(_) => Vec::new(),
    };
    Link {
        id: LINK,
        name: "eth0".into(),
        loopback: false,
        v4,
        v6: Vec::new(),
        group: true,
        gateway: Some(Gateway {
            address: ROUTER.into(),
            mac: Some([2, 0, 0, 0, 0, segment]),
        }),
    }
}
