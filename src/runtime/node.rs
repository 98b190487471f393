//! One running node: its parts put together, and the loop.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Registry, Token, Waker};

use super::ending::Leaving;
use super::front_end::FRONT_END_TOKEN;
use super::gaps::Gaps;
use super::interfaces::ALONE;
use super::signal::Signals;
use super::workers::{BulkAnswer, BulkWorker, StoreAnswer, StoreWorker};
use super::{Clock, Flow, FrontEnd, network};
use crate::api::{Event, SelfInfo, Status};
use crate::durable::Snapshot;
use crate::error::{ExitCode, UserError};
use crate::limits::Limits;
use crate::limits::SOCKET_BUDGET;
use crate::net::{Net, NetConfig, TOKENS};
use crate::proto::{Config, Endpoint, Identity, Now, Output};
use crate::store::{Retention, Store};
use crate::text::{PeerName, RoomName, StatusText};

/// What a node is started with.
#[derive(Clone)]
pub struct NodeOptions {
    /// The key.
    pub identity: Identity,
    /// The name.
    pub name: PeerName,
    /// Status at the start.
    pub status: Status,
    /// The network.
    pub net: NetConfig,
    /// Addresses to say HELLO to by unicast; port 0 where none was given.
    pub peers: Vec<SocketAddr>,
    /// Where the store is; none for a node that keeps nothing.
    pub data_dir: Option<PathBuf>,
    /// Whether this is a one-shot command that no screen announces.
    pub transient: bool,
    /// What was set of the bounds.
    pub limits: Limits,
}

/// Runs a node with this front end until one of them or a signal ends it, in order: GOODBYE,
/// the store closed, the terminal given back.
///
/// # Errors
/// The network cannot be used, a port that was asked for is taken, or the store cannot be
/// opened.
pub fn run(options: NodeOptions, front_end: &mut dyn FrontEnd) -> Result<ExitCode, UserError> {
    let mut node = Node::start(options, front_end)?;
    let result = node.open_front_end().and_then(|()| node.run());
    node.end();
    result
}

const WAKE: Token = Token(0);
const SIGNAL: Token = Token(1);

/// Events taken from the system at once.
const EVENTS_MAX: usize = 128;
/// Upper bound of the first HELLO's random delay at a start by hand, in milliseconds.
const FIRST_HELLO_MS_MAX: u64 = 5;
/// The first HELLO leaves before the first screen is drawn, unless it takes longer than this.
const FIRST_FLUSH: Duration = Duration::from_millis(10);

pub(super) struct Node<'f> {
    poll: Poll,
    events: Events,
    pub(super) signals: Signals,
    pub(super) net: Net,
    pub(super) worker: Option<StoreWorker>,
    /// Derives the keys of locked rooms; begun with the first.
    pub(super) bulk: Option<BulkWorker>,
    pub(super) waker: Arc<Waker>,
    pub(super) endpoint: Endpoint,
    pub(super) front_end: &'f mut dyn FrontEnd,
    /// What the endpoint wants done and nobody has done yet.
    pub(super) outputs: VecDeque<Output>,
    /// When the endpoint wants to be woken.
    pub(super) deadline: Option<Instant>,
    /// Whether it was asked that since it was last told something.
    pub(super) is_asked: bool,
    pub(super) rescan_at: Instant,
    /// When they were looked at last, and whether a change was told too soon after that.
    pub(super) looked_at: Instant,
    pub(super) is_due: bool,
    pub(super) gaps: Gaps,
    /// How the network is to be used.
    pub(super) net_config: NetConfig,
    /// From then on it is said why nobody is found, while nobody is.
    pub(super) alone_at: Instant,
    /// The last `network` event.
    pub(super) network: Option<Event>,
    /// Tokens for which the front end may have more to read.
    front_end_tokens: Vec<Token>,
    /// `history` commands that the store has not answered.
    pub(super) histories: usize,
    /// Something is left to do without waiting.
    pub(super) hungry: bool,
    /// No flush before, until the first datagram is out.
    pub(super) flush_at: Option<Instant>,
    /// The output of the front end is gone.
    pub(super) output_gone: bool,
    pub(super) leaving: Option<Leaving>,
}

impl<'f> Node<'f> {
    /// Opens everything and lets the endpoint begin; the front end has not been asked yet.
    fn start(options: NodeOptions, front_end: &'f mut dyn FrontEnd) -> Result<Self, UserError> {
        // The random delay of the first HELLO passes while the store and the sockets are opened.
        let begun = Clock::now();
        let poll = Poll::new().map_err(system_error)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE).map_err(system_error)?);
        let signals = Signals::register(poll.registry(), SIGNAL, &waker).map_err(system_error)?;
        let ((store, snapshot), net) = open_both(&options, begun, poll.registry())?;
        if net.links().is_empty() {
            let sentence = "there is no network interface to use, not even the loopback";
            return Err(UserError::new(ExitCode::Network, sentence)
                .hint("bring one up, or name another with `--interface`"));
        }
        let worker =
            StoreWorker::for_store(store, Retention::of(&options.limits), Arc::clone(&waker))
                .map_err(system_error)?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| system_error(io::Error::other(error)))?;
        let own = SelfInfo {
            id: options.identity.id(),
            name: options.name.as_str().to_owned(),
            tag: options.identity.id().tag(),
        };
        let config = Config {
            name: options.name,
            status: options.status,
            status_text: StatusText::default(),
            chat_port: net.chat_port(),
            presence_port: options.net.port,
            peers: options.peers,
            multicast: options.net.multicast,
            broadcast: options.net.broadcast,
            transient: options.transient,
            rooms: RoomName::new("lobby").into_iter().collect(),
            first_hello_ms_max: FIRST_HELLO_MS_MAX,
            snapshot,
            limits: options.limits,
            seed,
        };
        let mut endpoint = Endpoint::new(begun, options.identity, config);
        endpoint.set_links(begun, net.links());
        let now = Clock::now();
        let rooms: Vec<RoomName> = endpoint.rooms().cloned().collect();
        let ready = network::ready_event(own, net.chat_port(), net.links(), &rooms);
        let mut node = Node {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            signals,
            net,
            worker: Some(worker),
            bulk: None,
            waker,
            endpoint,
            front_end,
            outputs: VecDeque::new(),
            deadline: None,
            is_asked: false,
            rescan_at: now.mono + ALONE,
            looked_at: now.mono,
            is_due: false,
            gaps: Gaps::new(now),
            net_config: options.net,
            alone_at: now.mono + ALONE,
            network: None,
            front_end_tokens: Vec::new(),
            histories: 0,
            hungry: true,
            flush_at: Some(now.mono + FIRST_FLUSH),
            output_gone: false,
            leaving: None,
        };
        // What the endpoint has to send or to keep goes out before the front end does anything
        // slow; only its events come after `ready`.
        node.front_end.handle_event(now, &ready);
        node.tell_network(now);
        node.drain(now);
        node.settle(now);
        Ok(node)
    }

    fn open_front_end(&mut self) -> Result<(), UserError> {
        let registered = self.front_end.register(self.poll.registry());
        registered.map_err(|error| {
            UserError::new(
                ExitCode::Failed,
                format!("the input cannot be used: {error}"),
            )
        })
    }

    fn run(&mut self) -> Result<ExitCode, UserError> {
        loop {
            let now = Clock::now();
            let due = self.due(now);
            self.gaps.expect(due);
            self.poll(Some(due.saturating_duration_since(now.mono)))
                .map_err(system_error)?;
            if let Some(code) = self.turn(Clock::now()) {
                return Ok(code);
            }
        }
    }

    /// Waits for events.
    pub(super) fn poll(&mut self, wait: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            result => result,
        }
    }

    /// Until when to wait for an event.
    fn due(&mut self, now: Now) -> Instant {
        let deadline = self.deadline(now);
        // What was written may have made room for more input, so this is asked only now.
        if self.hungry || !self.outputs.is_empty() || self.may_read(now) {
            return now.mono;
        }
        let drain = match self.front_end.flow() {
            Flow::Drain(deadline) if self.leaving.is_none() => Some(deadline),
            _ => None,
        };
        let leaving = self.leaving.as_ref().map(|leaving| leaving.deadline);
        let deadlines = [
            deadline,
            self.front_end.deadline(),
            self.flush_at,
            drain,
            leaving,
        ];
        let earlier = deadlines.into_iter().flatten().min();
        earlier.map_or(self.rescan_at, |at| at.min(self.rescan_at))
    }

    /// One turn. Returns the exit code when it was the last.
    fn turn(&mut self, now: Now) -> Option<ExitCode> {
        self.hungry = false;
        self.take_events(now);
        self.hungry |= self.receive(now);
        self.take_answers(now);
        self.take_input(now);
        let now = self.catch_up(now);
        self.handle_timeouts(now);
        self.settle(now);
        self.follow_flow(now);
        self.flush(now);
        // What was written may have been the last thing that a one-shot command waited for.
        self.follow_flow(now);
        self.finish(now)
    }

    pub(super) fn take_events(&mut self, now: Now) {
        let mut signalled = false;
        for event in &self.events {
            let token = event.token();
            if token == SIGNAL || token == WAKE {
                signalled = true;
            } else if TOKENS.contains(&token.0) {
                let (readable, writable) = (event.is_readable(), event.is_writable());
                self.net
                    .handle_ready(token, readable, writable, event.is_error());
            } else if token.0 >= FRONT_END_TOKEN && !self.front_end_tokens.contains(&token) {
                self.front_end_tokens.push(token);
            }
        }
        self.events.clear();
        self.heed_changes(now);
        if signalled {
            let mut notices = Vec::new();
            self.signals.take(|notice| notices.push(notice));
            for notice in notices {
                self.heed(now, notice);
            }
        }
    }

    /// Takes in some of what came. Returns whether there may be more.
    pub(super) fn receive(&mut self, now: Now) -> bool {
        let (endpoint, outputs) = (&mut self.endpoint, &mut self.outputs);
        self.is_asked = false;
        self.net.receive(SOCKET_BUDGET, &mut |arrival, bytes| {
            endpoint.handle_datagram(now, arrival, bytes);
            outputs.extend(std::iter::from_fn(|| endpoint.poll_work(now)));
        })
    }

    fn take_answers(&mut self, now: Now) {
        while let Some(answer) = self.worker.as_mut().and_then(StoreWorker::poll_answer) {
            match answer {
                StoreAnswer::Kept(token, result) => {
                    self.endpoint.handle_persisted(now, token, result);
                }
                StoreAnswer::Found(token, result) => {
                    self.endpoint.handle_loaded(now, token, result);
                }
                StoreAnswer::Told(reference, result) => {
                    self.tell_history(now, reference, result);
                }
            }
            self.drain(now);
        }
        while let Some(answer) = self.bulk.as_mut().and_then(BulkWorker::poll_answer) {
            let BulkAnswer(token, result) = answer;
            self.endpoint.handle_derived(now, token, result);
            self.drain(now);
        }
    }

    /// Whether there may be input to read. It waits in its pipe while what it would ask had to wait
    /// here.
    fn may_read(&self, now: Now) -> bool {
        let is_there = self.front_end.is_hungry() || !self.front_end_tokens.is_empty();
        is_there && !(self.front_end.may_wait() && self.endpoint.is_crowded(now))
    }

    fn take_input(&mut self, now: Now) {
        if !self.may_read(now) {
            return;
        }
        // Input that the poll cannot watch (a file), or that waited for room, has had no event.
        if self.front_end_tokens.is_empty() {
            self.front_end_tokens.push(Token(FRONT_END_TOKEN));
        }
        for token in &self.front_end_tokens {
            self.front_end.ready(now, *token);
        }
        if !self.front_end.is_hungry() {
            self.front_end_tokens.clear();
        }
    }

    fn handle_timeouts(&mut self, now: Now) {
        if self.front_end.deadline().is_some_and(|at| at <= now.mono) {
            self.front_end.handle_timeout(now);
        }
        if self.rescan_at <= now.mono {
            self.rescan(now);
        }
        if self.deadline(now).is_some_and(|at| at <= now.mono) {
            self.endpoint.handle_timeout(now);
            self.drain(now);
        }
    }
}

/// The store waits for the disk, the sockets do not: both are opened at the same time. What is
/// wrong with the store is said first.
fn open_both(
    options: &NodeOptions,
    begun: Now,
    registry: &Registry,
) -> Result<((Store, Snapshot), Net), UserError> {
    let open_store = || {
        let (dir, id) = (options.data_dir.as_deref(), options.identity.id());
        let (mut store, snapshot) = Store::open_for_run(dir, &id, begun.wall_ms)?;
        store.set_keep(options.limits.keep);
        Ok((store, snapshot))
    };
    thread::scope(|scope| {
        let builder = thread::Builder::new().name("opening".to_owned());
        let opening = builder.spawn_scoped(scope, open_store);
        let opening = opening.map_err(system_error)?;
        let net = Net::open(&options.net, registry);
        let store = opening.join().unwrap_or_else(|panic| resume_unwind(panic));
        Ok((store?, net?))
    })
}

fn system_error(error: io::Error) -> UserError {
    UserError::new(
        ExitCode::Failed,
        format!("the system refuses what the program needs: {error}"),
    )
}
