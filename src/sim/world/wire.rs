//! Datagrams from a node to the network and to whoever hears them.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use super::{Action, Datagram, PRESENCE_PORT, World};
use crate::datagram::{Destination, Path, Transmit};
use crate::sim::byzantine;
use crate::sim::trace::{Step, kind_of};

impl World {
    pub(super) fn transmit(&mut self, from: usize, transmit: &Transmit) {
        let len = transmit.segment_len.unwrap_or(transmit.bytes.len());
        for bytes in transmit.bytes.chunks(len.max(1)) {
            let (destination, kind) = (transmit.destination, kind_of(bytes));
            let step = Step::Sent(destination, kind, bytes.len());
            self.trace.add(self.now, from, step);
            let on_link = |at: SocketAddr| is_on_link(at.ip());
            let disk = &self.nodes[from].disk;
            self.checker
                .sent(self.now, from, (destination, bytes), disk, on_link);
            let source = self.nodes[from].address;
            if self.checker.lenient {
                let group = matches!(destination, Destination::Group(..));
                *self.network.traffic.kinds.entry((kind, group)).or_default() += 1;
            }
            self.send(from, source, destination, bytes);
        }
    }

    /// A datagram leaves a host, whatever source it names.
    pub(super) fn send(
        &mut self,
        from: usize,
        source: SocketAddr,
        destination: Destination,
        bytes: &[u8],
    ) {
        let group = matches!(destination, Destination::Group(..));
        self.network.traffic.count(self.now, group, bytes.len());
        let passes = match destination {
            Destination::Group(_, Path::Mcast4) => self.network.multicast,
            Destination::Group(_, Path::Bcast4) => self.network.broadcast,
            Destination::Group(..) => false,
            Destination::Unicast(_) => self.network.unicast,
        };
        if !passes {
            return;
        }
        let mut datagram = Datagram {
            source,
            segment: self.network.segment(from),
            presence: group,
            bytes: bytes.into(),
        };
        match destination {
            Destination::Group(..) => {
                let datagram = Rc::new(datagram);
                for to in 0..self.nodes.len() {
                    self.carry(from, to, true, &datagram);
                }
            }
            Destination::Unicast(at) => {
                let Some(&to) = self.hosts.get(&at.ip()) else {
                    return;
                };
                if at.port() == PRESENCE_PORT || at == self.nodes[to].address {
                    datagram.presence = at.port() == PRESENCE_PORT;
                    self.carry(from, to, false, &Rc::new(datagram));
                }
                self.refuse(from, to, at);
            }
        }
    }

    pub(super) fn carry(&mut self, from: usize, to: usize, group: bool, datagram: &Rc<Datagram>) {
        let node = &self.nodes[to];
        if node.endpoint.is_none() && node.byzantine.is_none() {
            return;
        }
        let fate = self.network.fate(&mut self.dice, (from, to), group);
        for after in fate.into_iter().flatten() {
            self.schedule(after, Action::Arrive(to, Rc::clone(datagram)));
        }
    }

    /// The host of a dead process says so.
    pub(super) fn refuse(&mut self, from: usize, to: usize, at: SocketAddr) {
        if !self.nodes[to].refuses {
            return;
        }
        let there = self.network.fate(&mut self.dice, (from, to), false);
        let back = self.network.fate(&mut self.dice, (to, from), false);
        if let (Some(there), Some(back)) = (there[0], back[0]) {
            self.schedule(there + back, Action::Refused(from, at));
        }
    }

    /// A byzantine node does something and plans the next.
    pub(super) fn mischief(&mut self, index: usize) {
        let Some(mut byzantine) = self.nodes[index].byzantine.take() else {
            return;
        };
        let times = (self.clock(index).mono, self.true_ms());
        let sends = byzantine.act(&mut self.dice, times);
        let next = byzantine.pause(&mut self.dice);
        self.nodes[index].byzantine = Some(byzantine);
        self.emit(index, sends);
        self.schedule(next, Action::Mischief(index));
    }

    pub(super) fn overhear(&mut self, index: usize, source: SocketAddr, group: bool, bytes: &[u8]) {
        let Some(mut byzantine) = self.nodes[index].byzantine.take() else {
            return;
        };
        let times = (self.clock(index).mono, self.true_ms());
        let answer = byzantine.hear(times, source, group, bytes);
        if let Some((room, from)) = byzantine.was_given() {
            self.checker.gave_away(self.now, room, from);
        }
        self.nodes[index].byzantine = Some(byzantine);
        self.emit(index, answer);
    }

    pub(super) fn emit(&mut self, index: usize, sends: Vec<byzantine::Send>) {
        for send in sends {
            if let Some(entry) = &send.entry {
                self.checker.learn(entry);
            }
            self.send(index, send.source, send.destination, &send.bytes);
        }
    }
}

/// Whether an address is on the subnet of every node.
pub fn is_on_link(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(v4) if v4.octets()[..2] == [10, 77])
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// What was held back in one LAN is not heard in the next by who was carried there.
    #[test]
    fn a_datagram_stays_in_its_lan() {
        for (segment, heard) in [(0, true), (1, false)] {
            let mut world = World::new(Instant::now(), 1, None);
            let [one, other] = [world.add(), world.add()];
            let datagram = Datagram {
                source: world.nodes[one].address,
                presence: false,
                segment: 0,
                bytes: Box::from([0; 9]),
            };
            world.arrive_at(other, segment);
            let action = Action::Arrive(other, Rc::new(datagram));
            assert_eq!(world.is_elsewhere(&action), !heard, "LAN {segment}");
            world.depart(other);
            assert!(world.is_elsewhere(&action));
        }
    }
}
