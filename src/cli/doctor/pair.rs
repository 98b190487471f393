//! Two short-lived nodes in this process: one looks around, the other is somebody for it to find
//! on this computer, so that what is sent to everybody is known to come back through the system's
//! own checks and each of the two answers the other.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Poll};

use crate::api::Status;
use crate::api::diagnosis::{Facts, Paths};
use crate::datagram::{LinkId, Path};
use crate::durable::{Kept, Snapshot};
use crate::error::{ExitCode, UserError};
use crate::id::PeerId;
use crate::limits::{Limits, SOCKET_BUDGET};
use crate::net::{Net, NetConfig};
use crate::proto::{Config, Endpoint, Identity, Now, Output};
use crate::runtime::{Clock, diagnosis};
use crate::text::{PeerName, StatusText};

/// Longest wait of one node; the other waits meanwhile.
const WAIT: Duration = Duration::from_millis(5);
/// How long the GOODBYEs take.
const LEAVE: Duration = Duration::from_millis(60);
const EVENTS_MAX: usize = 64;

/// The two nodes.
pub(super) struct Pair {
    first: Node,
    second: Node,
    second_id: PeerId,
}

impl Pair {
    /// Opens both; neither is announced to anybody.
    pub(super) fn open(
        (first, second): (Identity, Identity),
        name: &PeerName,
        net: &NetConfig,
        peers: &[SocketAddr],
    ) -> Result<Self, UserError> {
        Ok(Pair {
            second_id: second.id(),
            first: Node::open(first, name, net, peers)?,
            second: Node::open(second, name, net, &[])?,
        })
    }

    /// The chat port of the node that looks around.
    pub(super) fn chat_port(&self) -> u16 {
        self.first.net.chat_port()
    }

    /// The links on which people are looked for.
    pub(super) fn searched(&self) -> Vec<LinkId> {
        let links = self.first.net.links().iter();
        let searched = links.filter(|link| link.group && !link.loopback);
        searched.map(|link| link.id).collect()
    }

    /// The paths by which somebody is known to hear us on this link.
    pub(super) fn heard_on(&self, link: LinkId) -> Paths {
        let people = self.first.endpoint.people_heard();
        let heard = people.iter().map(|person| person.hears_us_on(link));
        heard.fold(Paths::default(), Paths::union)
    }

    /// Asks on this link by this path alone who hears it.
    pub(super) fn sound(&mut self, now: Now, link: LinkId, path: Path) {
        self.first.endpoint.sound(now, link, path);
        self.first.perform(now);
    }

    /// One turn of each.
    pub(super) fn turn(&mut self) -> Result<(), UserError> {
        self.first.turn(WAIT)?;
        self.second.turn(Duration::ZERO)
    }

    /// What was observed so far.
    pub(super) fn facts(&self, config: &NetConfig) -> Facts {
        let mut facts = diagnosis::facts(config, &self.first.net, &self.first.endpoint);
        facts.own_round_trip = Some(self.first.endpoint.reaches(&self.second_id));
        facts.sounded = true;
        facts
    }

    /// Says goodbye, so that nobody probes for what is gone.
    pub(super) fn leave(&mut self) {
        let now = Clock::now();
        for node in [&mut self.first, &mut self.second] {
            node.endpoint.leave(now);
            node.perform(now);
        }
        while Clock::now().mono < now.mono + LEAVE {
            if self.turn().is_err() {
                return;
            }
        }
    }
}

/// An endpoint on sockets of its own, with nothing kept.
struct Node {
    poll: Poll,
    events: Events,
    net: Net,
    endpoint: Endpoint,
    deadline: Option<Instant>,
}

impl Node {
    fn open(
        identity: Identity,
        name: &PeerName,
        net: &NetConfig,
        peers: &[SocketAddr],
    ) -> Result<Self, UserError> {
        let poll = Poll::new().map_err(|error| refused(&error))?;
        let sockets = Net::open(net, poll.registry())?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| refused(&io::Error::other(error)))?;
        let config = Config {
            name: name.clone(),
            status: Status::default(),
            status_text: StatusText::default(),
            chat_port: sockets.chat_port(),
            presence_port: net.port,
            peers: peers.to_vec(),
            multicast: net.multicast,
            broadcast: net.broadcast,
            transient: true,
            rooms: Vec::new(),
            first_hello_ms_max: 5,
            snapshot: Snapshot::default(),
            limits: Limits::default(),
            seed,
        };
        let now = Clock::now();
        let mut endpoint = Endpoint::new(now, identity, config);
        endpoint.set_links(now, sockets.links());
        let mut node = Node {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            net: sockets,
            endpoint,
            deadline: None,
        };
        node.perform(now);
        Ok(node)
    }

    fn turn(&mut self, wait: Duration) -> Result<(), UserError> {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            Err(error) => return Err(refused(&error)),
        }
        for event in &self.events {
            let (readable, writable) = (event.is_readable(), event.is_writable());
            self.net
                .handle_ready(event.token(), readable, writable, event.is_error());
        }
        let now = Clock::now();
        let endpoint = &mut self.endpoint;
        self.net.receive(SOCKET_BUDGET, &mut |arrival, bytes| {
            endpoint.handle_datagram(now, arrival, bytes);
        });
        while let Some(to) = self.net.next_unreachable() {
            if to.refused {
                self.endpoint.handle_refused(now, to.at);
            } else {
                self.endpoint.handle_unreachable(now, to.at);
            }
        }
        if self.deadline.is_none_or(|at| at <= now.mono) {
            self.endpoint.handle_timeout(now);
        }
        self.perform(now);
        Ok(())
    }

    /// Sends what the endpoint wants sent; what it wants kept counts as kept.
    fn perform(&mut self, now: Now) {
        loop {
            match self.endpoint.poll_output(now) {
                Output::Transmit(transmit) => self.net.send(now.mono, &transmit),
                Output::Persist(batch, token) => {
                    let kept = vec![Kept::new_if(true); batch.writes.len()];
                    self.endpoint.handle_persisted(now, token, Ok(kept));
                }
                Output::Load(_, token) => self.endpoint.handle_loaded(now, token, Ok(Vec::new())),
                Output::Derive(_, token) => {
                    // Two that look for each other are in no room.
                    let none = Err("no rooms here".to_owned());
                    self.endpoint.handle_derived(now, token, none);
                }
                Output::Event(_) => {}
                Output::Timeout(deadline, _) => {
                    self.deadline = deadline;
                    return;
                }
            }
        }
    }
}

fn refused(error: &io::Error) -> UserError {
    UserError::new(
        ExitCode::Failed,
        format!("the system refuses what the program needs: {error}"),
    )
}
