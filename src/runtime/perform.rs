//! What the endpoint wants done, and what the front end wants asked: each request and each output is
//! brought to whoever it is for.

use std::sync::Arc;
use std::time::Instant;

use super::ending::Purpose;
use super::node::Node;
use super::workers::{BulkJob, BulkWorker, StoreJob, StoreWorker};
use super::{diagnosis, network};
use crate::api::diagnosis::diagnose;
use crate::api::{Command, Event, Request};
use crate::error::ExitCode;
use crate::proto::{Now, Output};

/// Rounds of requests and outputs in one turn; a front end that asks on and on waits a turn.
const ROUNDS_MAX: usize = 16;

impl Node<'_> {
    /// Does what the endpoint wants done and asks it what the front end wants asked, until
    /// neither wants anything.
    pub(super) fn settle(&mut self, now: Now) {
        for _ in 0..ROUNDS_MAX {
            while let Some(request) = self.front_end.poll_request() {
                self.handle_request(now, request);
            }
            while let Some(to) = self.net.next_unreachable() {
                if to.refused {
                    self.endpoint.handle_refused(now, to.at);
                } else {
                    self.endpoint.handle_unreachable(now, to.at);
                }
                self.drain(now);
            }
            if self.outputs.is_empty() {
                self.hungry |= self.worker.as_ref().is_some_and(StoreWorker::has_refusals);
                self.hungry |= self.bulk.as_ref().is_some_and(BulkWorker::has_refusals);
                return;
            }
            while let Some(output) = self.outputs.pop_front() {
                self.perform(now, output);
            }
        }
        self.hungry = true;
    }

    fn perform(&mut self, now: Now, output: Output) {
        let job = match output {
            Output::Transmit(transmit) => {
                self.net.send(now.mono, &transmit);
                self.flush_at = None;
                return;
            }
            // Which interface works how is known here, only whether anybody is heard is not.
            Output::Event(Event::Network { .. }) => return self.tell_network(now),
            Output::Event(event) => return self.front_end.handle_event(now, &event),
            Output::Persist(batch, token) => StoreJob::Keep(token, batch),
            Output::Load(query, token) => StoreJob::Find(token, query),
            Output::Derive(from, token) => return self.derive(now, BulkJob(token, from)),
            Output::Timeout(..) => return,
        };
        if let Some(worker) = &mut self.worker {
            worker.submit(job);
        }
    }

    /// Has a key derived by a thread of its own, which is begun with the first.
    fn derive(&mut self, now: Now, job: BulkJob) {
        if self.bulk.is_none() {
            match BulkWorker::for_keys(Arc::clone(&self.waker)) {
                Ok(bulk) => self.bulk = Some(bulk),
                Err(error) => {
                    let why = Err(format!("the room's key cannot be made: {error}"));
                    self.endpoint.handle_derived(now, job.0, why);
                    return self.drain(now);
                }
            }
        }
        if let Some(bulk) = &mut self.bulk {
            bulk.submit(job);
        }
    }

    fn handle_request(&mut self, now: Now, request: Request) {
        if request.command == Command::Doctor {
            let mut facts = diagnosis::facts(&self.net_config, &self.net, &self.endpoint);
            diagnosis::name_holder(&mut facts);
            let reference = request.reference.clone();
            let event = network::diagnosis_event(&facts, &diagnose(&facts), reference);
            self.front_end.handle_event(now, &event);
        }
        if request.command == Command::Quit {
            let reply = Event::Reply {
                reference: request.reference,
                ok: true,
                id: None,
                passphrase: None,
            };
            self.front_end.handle_event(now, &reply);
            return self.leave(now, Purpose::End(ExitCode::Done));
        }
        if self.ask_history(&request) {
            return;
        }
        if request.command.is_of_a_room() {
            self.look_before_a_line(now);
        }
        self.endpoint.handle_request(now, request);
        self.drain(now);
    }

    /// Takes what the endpoint wants done. When it wants to be woken is asked once a turn: it looks
    /// at everything for that.
    pub(super) fn drain(&mut self, now: Now) {
        self.is_asked = false;
        let endpoint = &mut self.endpoint;
        self.outputs
            .extend(std::iter::from_fn(|| endpoint.poll_work(now)));
    }

    /// When the endpoint wants to be woken.
    pub(super) fn deadline(&mut self, now: Now) -> Option<Instant> {
        while !self.is_asked {
            match self.endpoint.poll_output(now) {
                Output::Timeout(deadline, _) => (self.deadline, self.is_asked) = (deadline, true),
                output => self.outputs.push_back(output),
            }
        }
        self.deadline
    }
}
