//! Several nodes on one LAN, each on its own host, and whom each of them lists.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::lan::Lan;
use super::node::{Heard, Node};
use super::{now, world};

/// Hosts that may ask for each other's hardware addresses: other LANs have theirs to ask for too.
const ASKING_MAX: usize = 10;

/// Nodes named after their hosts, `n1`, `n2` and so on.
pub struct Crowd {
    /// Where they are.
    pub lan: Lan,
    /// The running ones by host.
    pub members: BTreeMap<usize, Member>,
    data: BTreeMap<usize, tempfile::TempDir>,
}

/// A running node and its roster.
pub struct Member {
    /// The node.
    pub node: Node,
    /// The last event of each peer, by name.
    rows: BTreeMap<String, Heard>,
    /// Peers shown online and confirmed.
    present: usize,
    /// When the roster last changed.
    changed: Instant,
}

impl Crowd {
    /// Nobody yet, on this LAN; more than a few get to know their hardware addresses, see
    /// [`Lan::introduce`].
    pub fn new(lan: Lan) -> Self {
        if lan.hosts().len() > ASKING_MAX {
            lan.introduce().expect("neighbours");
        }
        Crowd {
            lan,
            members: BTreeMap::new(),
            data: BTreeMap::new(),
        }
    }

    /// One on each of the first `count` hosts of a LAN of their own, started one after the other
    /// as fast as it goes.
    pub fn start(count: usize) -> Self {
        let mut crowd = Crowd::new(Lan::new(count));
        for host in 1..=count {
            crowd.join(host, &[]);
        }
        crowd
    }

    /// Starts the node of this host; when. It is who it was, if it ran before. What it stores is in
    /// memory: the people of a crowd do not share a disk.
    pub fn join(&mut self, host: usize, arguments: &[&str]) -> Instant {
        let data = self.data.entry(host).or_insert_with(world::scratch);
        let node = Node::start_in(self.lan.host(host), &name(host), data.path(), arguments);
        let started = node.started();
        self.members.insert(host, Member::new(node));
        started
    }

    /// Ends the node of this host in order, and waits until it is gone at all others, as far as
    /// they ever listed it.
    pub fn leave(&mut self, host: usize, within: Duration) -> bool {
        let Some(mut leaving) = self.members.remove(&host) else {
            return false;
        };
        leaving.node.line(r#"{"command": "quit"}"#);
        leaving.node.process.get_mut().wait(within);
        self.data.remove(&host);
        self.becomes(host, &["left", ""], now() + within).is_some()
    }

    /// Waits until each lists all others, online and confirmed; when the last row appeared.
    pub fn complete(&mut self, within: Duration) -> Option<Instant> {
        let deadline = now() + within;
        let others = self.members.len() - 1;
        let mut last = None;
        for member in self.members.values_mut() {
            last = last.max(Some(member.until(deadline, |m| m.present == others)?));
        }
        last
    }

    /// Waits until the node of this host lists all others; when the last row appeared.
    pub fn has_all(&mut self, host: usize, within: Duration) -> Option<Instant> {
        let others = self.members.len() - 1;
        let member = self.members.get_mut(&host)?;
        member.until(now() + within, |m| m.present == others)
    }

    /// Waits until all others show the node of this host in one of these states; when the last
    /// did.
    pub fn becomes(&mut self, host: usize, states: &[&str], deadline: Instant) -> Option<Instant> {
        let mut last = None;
        for (_, member) in self.members.iter_mut().filter(|(at, _)| **at != host) {
            let shown = member.until(deadline, |m| states.contains(&m.state(&name(host))))?;
            last = last.max(Some(shown));
        }
        last
    }

    /// Ends all nodes at once, and gives back their LAN.
    pub fn into_lan(self) -> Lan {
        self.lan
    }

    /// What all rosters together are short of now.
    pub fn shortfall(&mut self) -> Shortfall {
        let hosts: Vec<usize> = self.members.keys().copied().collect();
        let mut short = Shortfall::default();
        for (own, member) in &mut self.members {
            member.until(now(), |_| false);
            for host in hosts.iter().filter(|host| *host != own) {
                match member.rows.get(&name(*host)) {
                    None => short.absent += 1,
                    Some(row) if is_present(row) => {}
                    Some(row) => match row.text("/state") {
                        "online" => short.unconfirmed += 1,
                        "suspect" => short.suspect += 1,
                        _ => short.offline += 1,
                    },
                }
            }
        }
        short
    }

    /// For each member, of how many others it lacks a row that is online and confirmed.
    pub fn lacking(&mut self) -> Vec<usize> {
        let others = self.members.len() - 1;
        self.members
            .values_mut()
            .map(|member| {
                member.until(now(), |_| false);
                others.saturating_sub(member.present)
            })
            .collect()
    }
}

/// What the rows of all rosters together are short of.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// No row at all.
    pub absent: usize,
    /// Online, but no address of theirs is validated.
    pub unconfirmed: usize,
    /// Shown as suspect.
    pub suspect: usize,
    /// Shown as offline or left.
    pub offline: usize,
}

impl Member {
    /// A node of whose roster nothing was read yet.
    pub fn new(node: Node) -> Self {
        Member {
            changed: node.started(),
            node,
            rows: BTreeMap::new(),
            present: 0,
        }
    }

    /// Peers shown online and confirmed, as far as read.
    pub fn present(&self) -> usize {
        self.present
    }

    /// Reads on until `wanted` holds; when the roster became so. None if it is not by then.
    pub fn until(&mut self, deadline: Instant, wanted: impl Fn(&Self) -> bool) -> Option<Instant> {
        while !wanted(self) {
            let left = deadline.saturating_duration_since(now());
            let heard = self.node.take(left)?;
            self.read(heard);
        }
        Some(self.changed)
    }

    /// The state of the peer with this name, empty where there is no row.
    fn state(&self, name: &str) -> &str {
        self.rows.get(name).map_or("", |row| row.text("/state"))
    }

    fn read(&mut self, heard: Heard) {
        if heard.event["event"] != "peer" {
            return;
        }
        self.changed = heard.at;
        self.present += usize::from(is_present(&heard));
        let name = heard.text("/peer/name").to_owned();
        let before = self.rows.insert(name, heard);
        self.present -= usize::from(before.as_ref().is_some_and(is_present));
    }
}

fn is_present(row: &Heard) -> bool {
    row.event["state"] == "online" && row.event["confirmed"] == true
}

/// The name of the node on this host.
pub fn name(host: usize) -> String {
    format!("n{host}")
}
