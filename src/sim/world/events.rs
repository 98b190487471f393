//! What happens, one thing after the other: the heap of events, and what each of them does.

use std::cmp::Ordering;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::{Datagram, LINK, World};
use crate::datagram::{Arrival, Link};
use crate::durable::{Row, Token};
use crate::proto::Endpoint;
use crate::sim::trace::{Step, kind_of};

/// Datagrams that the sockets of a suspended node hold.
const HELD_MAX: usize = 256;

pub(super) enum Action {
    Wake(usize),
    Arrive(usize, Rc<Datagram>),
    /// The disk did what was handed to it first; in this run of the node.
    Kept(usize, u32),
    Loaded(usize, u32, Token, Vec<Row>),
    Refused(usize, SocketAddr),
    /// Its interface came to be so.
    Links(usize, Vec<Link>),
    Mischief(usize),
}

pub(super) struct Scheduled {
    at: Duration,
    order: u64,
    action: Action,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        // The earliest is the greatest: a heap gives the greatest first.
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl World {
    /// Handles the next event if it is due by `until`; false if none is.
    pub fn step(&mut self, until: Duration) -> bool {
        let due = self.queue.peek().is_some_and(|next| next.at <= until);
        if !due {
            self.check_seconds(until);
            self.now = until.max(self.now);
            return false;
        }
        let Some(next) = self.queue.pop() else {
            return false;
        };
        self.check_seconds(next.at);
        self.now = next.at.max(self.now);
        self.steps += 1;
        if !self.is_elsewhere(&next.action) {
            self.act(next.action);
        }
        self.checker.violation.is_none()
    }

    /// Runs to this moment, or to the first violation; whether there was none.
    pub fn run_to(&mut self, until: Duration) -> bool {
        while self.step(until) {}
        self.checker.violation.is_none()
    }

    /// Runs until `done`, at most to `until`; whether it came to that.
    pub fn run_until(&mut self, until: Duration, done: impl Fn(&World) -> bool) -> bool {
        loop {
            if done(self) {
                return true;
            }
            if !self.step(until) {
                return done(self);
            }
        }
    }

    pub(super) fn schedule(&mut self, after: Duration, action: Action) {
        self.order += 1;
        self.queue.push(Scheduled {
            at: self.now + after,
            order: self.order,
            action,
        });
    }

    /// Puts a wake-up into the heap unless an earlier one is there.
    pub(super) fn arm(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let Some(deadline) = node.deadline else {
            return;
        };
        let at = deadline.max(self.now);
        if node.armed.is_none_or(|armed| at < armed) {
            node.armed = Some(at);
            let after = at - self.now;
            self.schedule(after, Action::Wake(index));
        }
    }

    /// Whether a datagram comes for somebody who was carried out of the LAN that it is in.
    pub(super) fn is_elsewhere(&self, action: &Action) -> bool {
        let Action::Arrive(to, datagram) = action else {
            return false;
        };
        let is_own = datagram.source == self.nodes[*to].address;
        !is_own && !self.network.is_in(*to, datagram.segment)
    }

    fn check_seconds(&mut self, until: Duration) {
        while self.checked + Duration::from_secs(1) <= until {
            self.checked += Duration::from_secs(1);
            self.checker.each_second(self.checked);
        }
    }

    pub(super) fn act(&mut self, action: Action) {
        let index = match &action {
            Action::Mischief(index) => return self.mischief(*index),
            Action::Wake(index)
            | Action::Arrive(index, _)
            | Action::Kept(index, _)
            | Action::Loaded(index, ..)
            | Action::Refused(index, _)
            | Action::Links(index, _) => *index,
        };
        if let Action::Wake(_) = action {
            return self.wake(index);
        }
        if let Some(stopped) = &mut self.nodes[index].stopped {
            let full = stopped.asleep || stopped.held.len() >= HELD_MAX;
            let comes = matches!(action, Action::Arrive(..) | Action::Refused(..));
            if !full || !comes {
                stopped.held.push(action);
            }
            return;
        }
        match action {
            Action::Arrive(_, datagram) => self.arrive(index, &datagram),
            Action::Kept(_, run) if run == self.nodes[index].run => {
                if let Some((token, batch)) = self.nodes[index].handed.pop_front() {
                    let stored = self.keep(index, &batch);
                    let step = Step::Kept(batch.writes.len());
                    self.trace.add(self.now, index, step);
                    self.with(index, |e, now| e.handle_persisted(now, token, stored));
                }
            }
            Action::Loaded(_, run, token, rows) if run == self.nodes[index].run => {
                self.trace.add(self.now, index, Step::Loaded(rows.len()));
                self.with(index, |e, now| e.handle_loaded(now, token, Ok(rows)));
            }
            Action::Links(_, links) => {
                let mut network = None;
                self.with(index, |endpoint, now| {
                    endpoint.set_links(now, &links);
                    network = Some(endpoint.network());
                });
                if let Some(network) = network {
                    self.checker.came_to(self.now, index, network);
                }
            }
            Action::Refused(_, at) => {
                self.trace.add(self.now, index, Step::Refused(at));
                self.with(index, |e, now| e.handle_refused(now, at));
            }
            _ => {}
        }
    }

    fn wake(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        // An earlier wake-up than this one took its place.
        if node.armed != Some(self.now) {
            return;
        }
        node.armed = None;
        if node.stopped.is_some() {
            return;
        }
        if node.deadline.is_some_and(|at| at <= self.now) {
            self.trace.add(self.now, index, Step::Woke);
            self.with(index, Endpoint::handle_timeout);
        } else {
            self.arm(index);
        }
    }

    fn arrive(&mut self, index: usize, datagram: &Rc<Datagram>) {
        let bytes = &datagram.bytes;
        if self.nodes[index].byzantine.is_some() {
            let (source, presence) = (datagram.source, datagram.presence);
            return self.overhear(index, source, presence, bytes);
        }
        if self.nodes[index].endpoint.is_none() {
            return;
        }
        let step = Step::Arrived(datagram.source, kind_of(bytes), bytes.len());
        self.trace.add(self.now, index, step);
        self.checker.arrived(index, datagram.source, bytes);
        self.checker.accused(self.now, index, bytes);
        let refuted = self.checker.is_refuted(index, bytes);
        let arrival = Arrival {
            link: Some(LINK),
            source: datagram.source,
            presence_port: datagram.presence,
            ecn: 0,
        };
        self.with(index, |endpoint, now| {
            endpoint.handle_datagram(now, arrival, bytes);
        });
        if let Some(of) = refuted {
            self.checker.alive_came(self.now, index, of);
        }
    }
}
