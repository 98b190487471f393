//! The endpoint: everything a node decides, without I/O.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::core::Core;
use super::direct::{Direct, DirectOutput};
use super::gate::Gate;
use super::group::{Cx, Group, rooms};
use super::locked::{Derivation, RoomKey};
use super::presence::speak::is_all_told;
use super::presence::{CHANGE_JITTER, GAP, Presence};
use super::private::Private;
use super::sync::{Parts, Sync};
use super::{Config, Identity, Now, Stats, Timer};
use crate::api::{Event, PeerState, Request};
use crate::datagram::{Link, LinkId, Transmit};
use crate::durable::{Batch, Durability, Loaded, Query, Stored, Token, Write};
use crate::id::Incarnation;

/// What an endpoint wants done.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// Send this.
    Transmit(Transmit),
    /// Tell people this.
    Event(Event),
    /// Keep this and answer with the token.
    Persist(Batch, Token),
    /// Look this up and answer with the token.
    Load(Query, Token),
    /// Derive the key of a locked room, apart from the loop, and answer with the token.
    Derive(Derivation, Token),
    /// Nothing more; wake me then, for this reason.
    Timeout(Option<Instant>, Timer),
}

/// A node without sockets, clock or disk.
pub struct Endpoint {
    pub(super) core: Core,
    pub(super) gate: Gate,
    pub(super) presence: Presence,
    pub(super) group: Group,
    pub(super) private: Private,
    pub(super) direct: Direct,
    pub(super) sync: Sync,
    /// The incarnation is on its way to the disk; nothing is sent before.
    saving: Option<Token>,
    /// What was written to people who may only not have been found yet.
    pub(super) early: Vec<Request>,
    /// What is done in rooms once it is known which networks the links are in.
    pub(super) held: Vec<Request>,
    /// When the driver was last asked to come back.
    asked: Option<Instant>,
    /// How often our own key was heard from a later run than this.
    pub(super) doubles: u32,
}

impl Endpoint {
    /// A node that has not said HELLO yet; it does with the first links that it is given, once
    /// its incarnation is saved.
    ///
    /// # Panics
    /// Never: an own record always fits, names and texts being bounded.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a record without rooms is 226 bytes at most"
    )]
    pub fn new(now: Now, identity: Identity, mut config: Config) -> Self {
        let snapshot = std::mem::take(&mut config.snapshot);
        let incarnation = Incarnation(now.wall_ms.max(snapshot.incarnation.saturating_add(1)));
        let mut core = Core::new(now.mono, identity, config, incarnation);
        core.rooms = rooms::listed_at_start(&core.config, &snapshot);
        let presence = Presence::new(&mut core, now, &snapshot).expect("an own record fits");
        let group = Group::new(&core, now, &snapshot);
        let seed = core.random();
        let direct = Direct::new(&core.identity, seed);
        let gate = Gate::new(now.mono, core.random(), &core.config.limits);
        let private = Private::new(&snapshot);
        let mut endpoint = Endpoint {
            core,
            gate,
            presence,
            group,
            private,
            direct,
            sync: Sync::new(now),
            saving: None,
            early: Vec::new(),
            held: Vec::new(),
            asked: None,
            doubles: 0,
        };
        endpoint.warn_of_rooms();
        endpoint.save_incarnation();
        endpoint
    }

    /// Says which rooms have no room in the own record: others do not see this node in them.
    fn warn_of_rooms(&mut self) {
        if !is_all_told(&self.core) {
            self.core.event(Event::Error {
                reference: None,
                code: "too_many_rooms".into(),
                message: "not all of your rooms can be told: others do not see you in the last"
                    .into(),
                hint: Some("leave a room, or take a shorter name".into()),
            });
        }
    }

    /// The names of the rooms this node is in.
    pub fn rooms(&self) -> impl Iterator<Item = &crate::text::RoomName> {
        self.group.joined()
    }

    /// The network that what is said in public here belongs to.
    #[must_use]
    pub fn network(&self) -> crate::id::NetworkId {
        self.core.network()
    }

    pub(super) fn save_incarnation(&mut self) {
        self.core.open = false;
        let writes = vec![Write::Incarnation(self.core.incarnation.0)];
        self.saving = Some(self.core.persist(Batch {
            durability: Durability::Power,
            writes,
        }));
    }

    /// The interfaces as they are now. What is new on them gets a burst of HELLOs; whoever was
    /// reached by what is gone is Suspect, or asked for a sign of life by another way.
    pub fn set_links(&mut self, now: Now, links: &[Link]) {
        self.core.mono = now.mono;
        if self.core.links != links {
            self.change_links(now, links);
        }
        self.end_doubt(now);
    }

    fn change_links(&mut self, now: Now, links: &[Link]) {
        let first = self.core.links.is_empty();
        let is_same = are_same(&self.core.links, links);
        let was_here = self.core.here();
        let before = std::mem::replace(&mut self.core.links, links.to_vec());
        let is_link = |id: &LinkId| links.iter().any(|link| link.id == *id);
        self.core.group_sent.retain(|id, _| is_link(id));
        self.core.decide_networks();
        if !was_here.contains(&self.core.network()) {
            self.presence.arrive(now.mono);
        }
        self.group.links_changed(&self.core, now);
        if is_same {
            // What the system knows of a router comes and goes.
            return;
        }
        let most = Duration::from_millis(self.core.config.first_hello_ms_max);
        let jitter = if first { most } else { CHANGE_JITTER };
        self.presence
            .links_changed(&mut self.core, now, &before, jitter);
        let (private, mut cx) = self.private_cx(now);
        private.local_address_changed(&mut cx);
        self.follow_up(now);
    }

    /// Sending to this address failed, or an ICMP error came back for it: there is no way to it,
    /// which may be the fault of our own network.
    pub fn handle_unreachable(&mut self, now: Now, address: SocketAddr) {
        self.unreachable(now, address, false);
    }

    /// The host of this address said that nobody listens there (ICMP port unreachable).
    pub fn handle_refused(&mut self, now: Now, address: SocketAddr) {
        self.unreachable(now, address, true);
    }

    fn unreachable(&mut self, now: Now, address: SocketAddr, refused: bool) {
        self.core.mono = now.mono;
        self.presence
            .handle_unreachable(&mut self.core, now, address, refused);
        self.follow_up(now);
    }

    /// The system slept, for seconds or for days: everybody else may have changed. All are asked
    /// for a sign of life; nobody is given up before.
    pub fn handle_wake(&mut self, now: Now) {
        self.core.mono = now.mono;
        self.asked = None;
        self.presence.wake(&mut self.core, now);
        self.follow_up(now);
    }

    /// The process did not run for `by`, until now: it was stopped, or the host was too busy.
    /// Whoever is asked for a sign of life has so much more time for it; a delay that this node
    /// noticed for itself already counts once. Any value is safe.
    pub fn handle_late(&mut self, now: Now, by: Duration) {
        self.core.mono = now.mono;
        self.asked = None;
        self.presence.late(&self.core, now.mono, by);
    }

    /// Makes up for it where the driver comes much later than it was asked to.
    pub(super) fn catch_up(&mut self, now: Now) {
        let late = self.asked.map(|at| now.mono.saturating_duration_since(at));
        if let Some(by) = late.filter(|&by| by > GAP) {
            self.handle_late(now, by);
        }
    }

    /// Whether nothing at all is heard any more of those who were here.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.presence.is_disconnected()
    }

    /// The deadline passed.
    pub fn handle_timeout(&mut self, now: Now) {
        self.core.mono = now.mono;
        if self.saving.is_some() {
            return;
        }
        self.catch_up(now);
        if self.is_doubt_over(now.mono) {
            self.end_doubt(now);
        }
        if self.presence.is_round_due(now.mono) {
            let talking_to = self.private.talking_to(&self.direct);
            self.presence.set_conversations(talking_to);
        }
        self.presence
            .handle_timeout(&mut self.core, now, &self.group);
        if self.core.open {
            let (group, mut cx) = self.group_cx(now);
            group.handle_timeout(&mut cx);
        }
        if self.direct.deadline().is_some_and(|at| at <= now.mono) {
            self.direct.handle_timeout(now.mono);
        }
        let (private, mut cx) = self.private_cx(now);
        private.handle_timeout(&mut cx);
        if self.sync.deadline().is_some_and(|at| at <= now.mono) {
            let (sync, mut parts) = self.sync_parts(now);
            sync.handle_timeout(&mut parts);
        }
        self.pump(now);
        self.close_if_left();
        self.follow_up(now);
        if self.early_deadline().is_some_and(|at| at <= now.mono) {
            self.retry_early(now);
        }
    }

    /// The store kept a batch, or could not.
    pub fn handle_persisted(&mut self, now: Now, token: Token, result: Stored) {
        self.core.mono = now.mono;
        if self.saving == Some(token) {
            // Without a disk the wall clock still makes incarnations grow.
            self.saving = None;
            // Not if the node left while it waited.
            self.core.open = !self.presence.has_left();
            self.presence.open(now.mono);
            return;
        }
        let (group, mut cx) = self.group_cx(now);
        if !group.handle_persisted(&mut cx, token, &result) {
            let (private, mut cx) = self.private_cx(now);
            private.handle_persisted(&mut cx, token, &result);
        }
    }

    /// The store answered a query.
    pub fn handle_loaded(&mut self, now: Now, token: Token, result: Loaded) {
        self.core.mono = now.mono;
        let (sync, mut parts) = self.sync_parts(now);
        if sync.handle_loaded(&mut parts, token, &result) {
            return;
        }
        let (group, mut cx) = self.group_cx(now);
        if !group.handle_loaded(&mut cx, token, &result) {
            let (private, mut cx) = self.private_cx(now);
            private.handle_loaded(&mut cx, token, &result);
        }
    }

    /// The key of a locked room that is being joined, or a sentence why there is none.
    pub fn handle_derived(&mut self, now: Now, token: Token, result: Result<RoomKey, String>) {
        self.core.mono = now.mono;
        let (group, mut cx) = self.group_cx(now);
        group.handle_derived(&mut cx, token, result);
        self.follow_up(now);
    }

    /// Says GOODBYE, twice, 40 ms apart; [`Endpoint::has_left`] tells when it is done.
    pub fn leave(&mut self, now: Now) {
        self.core.mono = now.mono;
        self.end_doubt(now);
        let talking_to = self.private.talking_to(&self.direct);
        self.presence.leave(&mut self.core, now, &talking_to);
        let (private, mut cx) = self.private_cx(now);
        private.close_all(&mut cx);
        self.pump(now);
        self.close_if_left();
    }

    /// Whether the last GOODBYE is out.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.presence.has_left()
    }

    /// Comes back after a leave (`fg` after Ctrl-Z), as a new incarnation.
    pub fn rejoin(&mut self, now: Now) {
        let next = Incarnation(now.wall_ms.max(self.core.incarnation.0.saturating_add(1)));
        self.renew(now, next);
    }

    pub(super) fn renew(&mut self, now: Now, incarnation: Incarnation) {
        self.core.renew(incarnation);
        self.presence.renew(&mut self.core, now);
        self.save_incarnation();
        self.presence
            .announce_self(&mut self.core, now, CHANGE_JITTER);
    }

    /// Whether nothing that a person wrote still waits to be sent or acknowledged by somebody
    /// who is here.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let roster = &self.presence.roster;
        let is_here = |key: &crate::id::PublicKey| {
            let peer = roster.get(&key.id());
            peer.is_some_and(|peer| peer.state != PeerState::Offline && peer.is_confirmed())
        };
        let waits = !self.early.is_empty() || !self.held.is_empty();
        !waits && self.group.is_settled() && self.private.is_settled(is_here)
    }

    /// The next thing to do; call until it is a [`Output::Timeout`].
    pub fn poll_output(&mut self, now: Now) -> Output {
        self.pump(now);
        if let Some(output) = self.core.pop() {
            return output;
        }
        if self.saving.is_some() {
            self.asked = None;
            return Output::Timeout(None, Timer::Idle);
        }
        let group = if self.core.open {
            let settled = self.presence.settled_at();
            let known = settled.map(|at| self.doubt_deadline().map_or(at, |until| at.max(until)));
            self.group.deadline(now.mono, known)
        } else {
            None
        };
        let deadlines = [
            (self.presence.deadline(), Timer::Presence),
            (group, Timer::Group),
            (self.private.deadline(), Timer::Direct),
            (self.direct.deadline(), Timer::Direct),
            (self.sync.deadline(), Timer::Direct),
            (self.early_deadline(), Timer::Presence),
            (self.doubt_deadline(), Timer::Presence),
        ];
        let next = deadlines
            .into_iter()
            .filter_map(|(at, timer)| Some((at?, timer)))
            .min();
        self.asked = next.map(|(at, _)| at);
        match next {
            Some((at, timer)) => Output::Timeout(Some(at), timer),
            None => Output::Timeout(None, Timer::Idle),
        }
    }

    /// When whoever is not found by then is not here.
    fn early_deadline(&self) -> Option<Instant> {
        let waits = !self.early.is_empty();
        let settled = self.presence.settled_at().filter(|_| waits)?;
        Some(
            self.doubt_deadline()
                .map_or(settled, |until| settled.max(until)),
        )
    }

    /// Since when nobody is here but this node; none while somebody is, or before it speaks.
    #[must_use]
    pub fn alone_since(&self) -> Option<Instant> {
        self.presence.alone_since()
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.core.stats
    }

    /// Asks on this link by this group path alone who hears it, for a diagnosis. A peer answers one
    /// of them in 200 ms.
    pub fn sound(&mut self, now: Now, link: LinkId, path: crate::datagram::Path) {
        self.core.mono = now.mono;
        self.presence.sound(&mut self.core, &self.group, link, path);
    }

    /// Whether a round trip to this peer succeeded.
    #[must_use]
    pub fn reaches(&self, id: &crate::id::PeerId) -> bool {
        let peer = self.presence.roster.get(id);
        peer.is_some_and(super::presence::roster::Peer::is_confirmed)
    }

    /// What came by each link since the start.
    #[must_use]
    pub fn links_heard(&self) -> std::collections::BTreeMap<LinkId, super::LinkHeard> {
        self.presence.links_heard()
    }

    /// Whether nobody on any computer is validated.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.presence.roster.population() == 1
    }

    /// Those on other computers of whom something came, and the addresses that were named.
    #[must_use]
    pub fn people_heard(&self) -> Vec<crate::api::diagnosis::PersonFacts> {
        self.presence.people_heard(&self.core)
    }

    /// Who this node is, as events name it.
    #[must_use]
    pub fn own_info(&self) -> crate::api::SelfInfo {
        let id = self.core.identity.id();
        crate::api::SelfInfo {
            id,
            name: self.core.config.name.as_str().to_owned(),
            tag: id.tag(),
        }
    }

    /// What follows from changes of the roster: messages that can go, receipts that wait for
    /// nobody any more.
    pub(super) fn follow_up(&mut self, now: Now) {
        for id in self.presence.take_restarted() {
            if let Some(key) = self
                .presence
                .roster
                .get(&id)
                .map(super::presence::roster::Peer::key)
            {
                let (private, mut cx) = self.private_cx(now);
                private.peer_gone(&mut cx, &key);
            }
        }
        for (id, key) in self.presence.take_lost() {
            let (group, mut cx) = self.group_cx(now);
            group.member_lost(&mut cx, &id);
            let (private, mut cx) = self.private_cx(now);
            private.peer_gone(&mut cx, &key);
        }
        for id in self.presence.take_returned() {
            let (group, mut cx) = self.group_cx(now);
            group.member_back(&mut cx, &id);
            group.tell_heads(&mut cx, &id);
            self.sync_returned(now, &id);
            // What waits for them on disk goes as well.
            let (private, mut cx) = self.private_cx(now);
            private.peer_confirmed(&mut cx, &id);
        }
        for id in self.presence.take_moved() {
            let (private, mut cx) = self.private_cx(now);
            private.peer_moved(&mut cx, &id);
        }
        let confirmed = self.presence.take_confirmed();
        let found = !confirmed.is_empty();
        for id in confirmed {
            // In a new run they may have missed what was said, or their ACK got lost.
            let (group, mut cx) = self.group_cx(now);
            group.member_back(&mut cx, &id);
            group.tell_heads_of_visited(&mut cx, &id);
            let (private, mut cx) = self.private_cx(now);
            private.peer_confirmed(&mut cx, &id);
        }
        self.group
            .rows_changed(now.mono, self.presence.rows_version());
        if found {
            self.sync_found(now);
            self.retry_early(now);
        }
        self.sync_rooms(now);
        self.sync_behind(now);
    }

    /// Hands on what QUIC has to say.
    pub(super) fn pump(&mut self, now: Now) {
        while let Some(output) = self.direct.poll_output(now.mono) {
            if let DirectOutput::Transmit(transmit) = output {
                self.core.push(Output::Transmit(transmit));
                continue;
            }
            if matches!(
                output,
                DirectOutput::StreamOpened { .. }
                    | DirectOutput::StreamFrame { .. }
                    | DirectOutput::StreamWritable { .. }
                    | DirectOutput::StreamEnded { .. }
                    | DirectOutput::StreamClosed { .. }
            ) {
                let (sync, mut parts) = self.sync_parts(now);
                sync.handle_direct(&mut parts, output);
                continue;
            }
            let (private, mut cx) = self.private_cx(now);
            private.handle_direct(&mut cx, output);
        }
    }

    /// Nothing leaves after the last GOODBYE.
    fn close_if_left(&mut self) {
        if self.presence.has_left() {
            self.core.open = false;
        }
    }

    pub(super) fn group_cx(&mut self, now: Now) -> (&mut Group, Cx<'_>) {
        let cx = Cx {
            core: &mut self.core,
            presence: &mut self.presence,
            direct: &mut self.direct,
            now,
        };
        (&mut self.group, cx)
    }

    pub(super) fn sync_parts(&mut self, now: Now) -> (&mut Sync, Parts<'_, '_>) {
        let cx = Cx {
            core: &mut self.core,
            presence: &mut self.presence,
            direct: &mut self.direct,
            now,
        };
        let group = &mut self.group;
        (&mut self.sync, Parts { group, cx })
    }

    pub(super) fn private_cx(&mut self, now: Now) -> (&mut Private, Cx<'_>) {
        let cx = Cx {
            core: &mut self.core,
            presence: &mut self.presence,
            direct: &mut self.direct,
            now,
        };
        (&mut self.private, cx)
    }
}

/// Whether these are the same links with the same addresses, whatever is known of their routers.
fn are_same(one: &[Link], other: &[Link]) -> bool {
    let bare = |link: &Link| Link {
        gateway: None,
        ..link.clone()
    };
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| bare(a) == bare(b))
}
