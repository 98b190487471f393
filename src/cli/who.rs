//! `lanchat who`: the people found, one a line.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

use super::one_shot::OneShot;
use crate::api::{Command, Event, PeerState, Request};
use crate::control::json;
use crate::control::output::Output;
use crate::control::people::{Person, table};
use crate::error::{ExitCode, UserError};
use crate::id::PeerId;
use crate::proto::Now;
use crate::runtime::{Flow, FrontEnd};

/// How long the node's answer at the end of the wait is waited for; it takes one turn.
const ANSWER_WAIT: Duration = Duration::from_millis(500);
/// Its own requests carry this `ref`.
const REFERENCE: &str = "who";

/// Waits as long as it is told, from the first event on, then prints who is known: sorted by
/// name; name, tag, state, status, address, rtt in aligned columns, or `peer` events. Ends with 0,
/// or with 3 where nobody is reachable. One-shot commands of others do not count.
///
/// With `watch` it prints each change as it comes and ends with the signal that ends it.
pub struct Who {
    wait: Duration,
    json: bool,
    watch: bool,
    shot: OneShot,
    found: BTreeMap<PeerId, Event>,
    stage: Stage,
    /// What an interface says against finding anybody.
    network_hint: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The node is not up yet.
    Starting,
    /// People are being found, until then or (watching) without end.
    Finding(Option<Instant>),
    /// The node was asked for all it knows, at most until then.
    Asked(Instant),
    Printed,
}

impl Who {
    /// On stdout and stderr.
    #[must_use]
    pub fn new(wait: Duration, json: bool, watch: bool) -> Who {
        let (output, errors) = OneShot::outputs();
        Who::on(output, errors, wait, json, watch)
    }

    /// On these outputs.
    #[must_use]
    pub fn on(output: Output, errors: Output, wait: Duration, json: bool, watch: bool) -> Who {
        Who {
            wait,
            json,
            watch,
            shot: OneShot::new(REFERENCE, (output, errors)),
            found: BTreeMap::new(),
            stage: Stage::Starting,
            network_hint: None,
        }
    }

    fn peer(&mut self, event: &Event) {
        let Some(person) = Person::of(event).filter(|person| !person.transient) else {
            return;
        };
        let mut event = event.clone();
        if let Event::Peer { reference, .. } = &mut event {
            *reference = None;
        }
        let old = if person.state == PeerState::Left {
            self.found.remove(&person.peer.id)
        } else {
            self.found.insert(person.peer.id, event.clone())
        };
        if self.watch {
            self.changed(old.as_ref(), &event, &person);
        }
    }

    /// A round-trip time alone is no change; each heartbeat brings another.
    fn changed(&mut self, old: Option<&Event>, event: &Event, person: &Person) {
        let told = |person: &Person| {
            let mut columns = person.columns();
            columns[5].clear();
            columns
        };
        let old = old.and_then(Person::of);
        if old.is_none() && !person.is_here() {
            return;
        }
        if old.is_some_and(|old| told(&old) == told(person)) {
            return;
        }
        if self.json {
            self.shot.line(&json::to_line(event));
        } else {
            table([person.clone()])
                .iter()
                .for_each(|row| self.shot.line(row));
        }
        if self.shot.is_overflowed() {
            let error = UserError::new(ExitCode::Failed, "stdout is read too slowly");
            self.end(Err(error.hint("read stdout as it comes")));
        }
    }

    fn print(&mut self) {
        if self.json {
            for event in self.found.values() {
                self.shot.line(&json::to_line(event));
            }
        } else {
            for row in table(self.found.values().filter_map(Person::of)) {
                self.shot.line(&row);
            }
        }
        let mut people = self.found.values().filter_map(Person::of);
        let result = if people.any(|person| person.is_here()) {
            Ok(())
        } else {
            let hint = self.network_hint.take().unwrap_or_else(|| {
                "start lanchat on another computer of this network, \
                 or say where one runs with --peer ADDR"
                    .to_owned()
            });
            Err(UserError::new(ExitCode::NotFound, "nobody else is here").hint(hint))
        };
        self.end(result);
    }

    fn end(&mut self, result: Result<(), UserError>) {
        self.stage = Stage::Printed;
        self.shot.end(result);
    }
}

impl FrontEnd for Who {
    fn register(&mut self, registry: &Registry) -> io::Result<()> {
        self.shot.register(registry)
    }

    fn ready(&mut self, _: Now, _: Token) {}

    fn poll_request(&mut self) -> Option<Request> {
        self.shot.poll_request()
    }

    fn handle_event(&mut self, now: Now, event: &Event) {
        if self.stage == Stage::Printed {
            return;
        }
        if self.stage == Stage::Starting {
            let end = (!self.watch).then(|| now.mono + self.wait);
            self.stage = Stage::Finding(end);
        }
        match event {
            Event::Peer { .. } => self.peer(event),
            Event::Network { interfaces, .. } => {
                let hints = interfaces.iter().map(|interface| &interface.hint);
                self.network_hint = hints.flatten().next().cloned();
            }
            Event::Reply { reference, .. } if self.shot.is_own(reference.as_ref()) => self.print(),
            Event::Error { message, hint, .. } => {
                self.shot.problem(message, hint.as_deref());
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Finding(end) => end,
            Stage::Asked(end) => Some(end),
            Stage::Starting | Stage::Printed => None,
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        if self.deadline().is_none_or(|deadline| now.mono < deadline) {
            return;
        }
        match self.stage {
            // The node knows more than its news told, such as the latest round-trip times.
            Stage::Finding(_) => {
                self.stage = Stage::Asked(now.mono + ANSWER_WAIT);
                self.shot.ask(Command::Who);
            }
            Stage::Asked(_) => self.print(),
            Stage::Starting | Stage::Printed => {}
        }
    }

    fn flush(&mut self, _: Now) -> io::Result<()> {
        self.shot.flush()
    }

    fn flow(&self) -> Flow {
        self.shot.flow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{InterfaceState, NetworkState, ReceiptState, Status};
    use crate::control::output::fake::Written;
    use crate::control::people::fake::{in_state, now, peer};

    const WAIT: Duration = Duration::from_secs(1);

    struct Driven {
        who: Who,
        out: Written,
        err: Written,
        now: Now,
    }

    impl Driven {
        fn new(json: bool, watch: bool) -> Driven {
            let (out, output) = Written::new();
            let (err, errors) = Written::new();
            Driven {
                who: Who::on(output, errors, WAIT, json, watch),
                out,
                err,
                now: now(),
            }
        }

        fn tell(&mut self, events: &[Event]) {
            for event in events {
                self.who.handle_event(self.now, event);
            }
        }

        /// Lets the wait pass; the node answers with what it is given here.
        fn finish(&mut self, answer: &[Event]) -> (String, String, Flow) {
            let deadline = self.who.deadline().expect("a deadline");
            assert_eq!(deadline, self.now.mono + WAIT);
            self.who.handle_timeout(self.now + WAIT / 2);
            assert_eq!(self.who.poll_request(), None, "too early");
            self.now = self.now + WAIT;
            self.who.handle_timeout(self.now);
            let request = self.who.poll_request().expect("a request");
            assert_eq!(request.command, Command::Who);
            let mut answer = answer.to_vec();
            for event in &mut answer {
                if let Event::Peer { reference, .. } = event {
                    reference.clone_from(&request.reference);
                }
            }
            self.tell(&answer);
            assert_eq!(self.who.flow(), Flow::Continue, "not before the reply");
            self.tell(&[Event::Reply {
                reference: request.reference,
                ok: true,
                id: None,
                passphrase: None,
            }]);
            self.outcome()
        }

        fn outcome(&mut self) -> (String, String, Flow) {
            self.who.flush(self.now).unwrap();
            (self.out.take(), self.err.take(), self.who.flow())
        }
    }

    fn away(mut event: Event) -> Event {
        if let Event::Peer { status, .. } = &mut event {
            *status = Status::Away;
        }
        event
    }

    fn transient(mut event: Event) -> Event {
        if let Event::Peer { transient, .. } = &mut event {
            *transient = true;
        }
        event
    }

    fn ok_network(hint: Option<&str>) -> Event {
        Event::Network {
            reference: None,
            state: NetworkState::Degraded,
            interfaces: vec![InterfaceState {
                name: "eth0".into(),
                multicast: false,
                broadcast: true,
                hint: hint.map(str::to_owned),
                ..InterfaceState::default()
            }],
            verdict: None,
        }
    }

    #[test]
    fn the_people_found_are_listed_by_name_when_the_wait_is_over() {
        let mut driven = Driven::new(false, false);
        let left = in_state(peer("gone", 6), PeerState::Left);
        driven.tell(&[
            ok_network(None),
            peer("cay", 4),
            peer("gone", 6),
            left,
            transient(peer("one-shot", 7)),
        ]);
        assert_eq!(driven.outcome().0, "", "not before the wait is over");
        let (out, err, flow) = driven.finish(&[peer("ben", 3), away(peer("cay", 4))]);
        let tag = |id: u8| PeerId([id; 32]).tag();
        let expected = format!(
            "ben  {}  online  available  10.0.0.3:5263  0.4 ms\n\
             cay  {}  online  away       10.0.0.4:5263  0.4 ms\n",
            tag(3),
            tag(4)
        );
        assert_eq!((out, err), (expected, String::new()));
        assert_eq!(flow, Flow::Quit(ExitCode::Done));
    }

    #[test]
    fn json_prints_peer_events_without_a_ref() {
        let mut driven = Driven::new(true, false);
        driven.tell(&[peer("ben", 3)]);
        let (out, _, flow) = driven.finish(&[peer("ben", 3)]);
        assert_eq!(out, format!("{}\n", json::to_line(&peer("ben", 3))));
        assert_eq!(flow, Flow::Quit(ExitCode::Done));
    }

    #[test]
    fn nobody_is_3_with_a_hint() {
        let mut driven = Driven::new(false, false);
        driven.tell(&[ok_network(None), transient(peer("one-shot", 7))]);
        let (out, err, flow) = driven.finish(&[]);
        assert_eq!(out, "");
        assert!(
            err.starts_with("lanchat: nobody else is here\nhint: start lanchat on"),
            "{err}"
        );
        assert_eq!(flow, Flow::Quit(ExitCode::NotFound));

        let mut driven = Driven::new(false, false);
        driven.tell(&[ok_network(Some("multicast is blocked"))]);
        let (_, err, _) = driven.finish(&[]);
        assert!(err.ends_with("hint: multicast is blocked\n"), "{err}");
    }

    #[test]
    fn somebody_known_but_offline_is_listed_and_still_nobody() {
        let mut driven = Driven::new(false, false);
        driven.tell(&[in_state(peer("ben", 3), PeerState::Offline)]);
        let (out, _, flow) = driven.finish(&[]);
        assert!(out.contains("offline"), "{out}");
        assert_eq!(flow, Flow::Quit(ExitCode::NotFound));
    }

    #[test]
    fn a_node_that_does_not_answer_is_not_waited_for_forever() {
        let mut driven = Driven::new(false, false);
        driven.tell(&[peer("ben", 3)]);
        driven.who.handle_timeout(driven.now + WAIT);
        assert_eq!(driven.who.flow(), Flow::Continue);
        driven.who.handle_timeout(driven.now + WAIT + ANSWER_WAIT);
        let (out, _, flow) = driven.outcome();
        assert!(out.starts_with("ben "), "{out}");
        assert_eq!(flow, Flow::Quit(ExitCode::Done));
        assert_eq!(driven.who.deadline(), None);
    }

    #[test]
    fn watching_prints_changes_and_has_no_end_of_its_own() {
        let mut driven = Driven::new(false, true);
        let mut slower = peer("ben", 3);
        if let Event::Peer { rtt_ms, .. } = &mut slower {
            *rtt_ms = Some(9.0);
        }
        let receipt = Event::Receipt {
            id: crate::id::MessageId([1; 16]),
            conversation: crate::api::Conversation::Room("lobby".into()),
            state: ReceiptState::Sent,
            delivered: 0,
            of: 0,
            missing: Vec::new(),
            left: Vec::new(),
            sampled: false,
        };
        driven.tell(&[receipt, peer("ben", 3), slower, away(peer("ben", 3))]);
        let left = in_state(peer("ben", 3), PeerState::Left);
        driven.tell(&[left.clone(), left]);
        assert_eq!(driven.who.deadline(), None);
        let (out, _, flow) = driven.outcome();
        let words: Vec<&str> = out
            .lines()
            .map(|row| row.split_whitespace().nth(2).unwrap())
            .collect();
        assert_eq!(words, ["online", "online", "left"], "{out}");
        assert_eq!(flow, Flow::Continue);
    }
}
