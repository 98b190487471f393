//! The endpoint: everything a node decides, without I/O.

use std::time::Instant;

use super::core::Core;
use super::crypto::Keys;
use super::direct::Direct;
use super::gate::Gate;
use super::group::{CROWDED, Cx, Group, rooms};
use super::locked::{Derivation, RoomKey};
use super::presence::speak::is_all_told;
use super::presence::{CHANGE_JITTER, Presence};
use super::private::Private;
use super::sync::{Parts, Sync};
use super::{Config, Identity, Now, Timer};
use crate::api::{Event, Request};
use crate::datagram::Transmit;
use crate::durable::{Batch, Durability, Loaded, Query, Stored, Token, Write, incarnation_of};
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
    pub(super) keys: Keys,
    pub(super) presence: Presence,
    pub(super) group: Group,
    pub(super) private: Private,
    pub(super) direct: Direct,
    pub(super) sync: Sync,
    /// The incarnation is on its way to the disk; nothing is sent before.
    pub(super) saving: Option<Token>,
    /// What was written to people who may only not have been found yet.
    pub(super) early: Vec<Request>,
    /// What is done in rooms once it is known which networks the links are in.
    pub(super) held: Vec<Request>,
    /// When the driver was last asked to come back.
    pub(super) asked: Option<Instant>,
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
        let incarnation = Incarnation(incarnation_of(now.wall_ms, snapshot.incarnation));
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
            keys: Keys::default(),
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

    pub(super) fn save_incarnation(&mut self) {
        self.core.open = false;
        let writes = vec![Write::Incarnation(self.core.incarnation.0)];
        self.saving = Some(self.core.persist(Batch {
            durability: Durability::Power,
            writes,
        }));
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

    /// Whether input is better read later: so many lines wait for what ends by itself that more could
    /// be refused. An answer of the store, an ACK or the next timeout ends it, once fewer wait: where
    /// nobody acknowledges anything 128 leave each 300 ms.
    #[must_use]
    pub fn is_crowded(&self, now: Now) -> bool {
        let settled = self.presence.settled_at().is_some_and(|at| at <= now.mono);
        let settled = settled && !self.is_in_doubt();
        self.held.len() >= CROWDED || self.group.is_crowded(now.mono, settled)
    }

    /// The next thing to do; call until it is a [`Output::Timeout`].
    pub fn poll_output(&mut self, now: Now) -> Output {
        match self.poll_work(now) {
            Some(output) => output,
            None => self.next_timeout(now),
        }
    }

    /// The next thing to do, if there is one: as [`Endpoint::poll_output`], without a look at when
    /// the driver is to come back. Who tells several things at once asks for that once, at last.
    pub fn poll_work(&mut self, now: Now) -> Option<Output> {
        self.pump(now);
        self.core.pop()
    }

    /// Nothing leaves after the last GOODBYE.
    pub(super) fn close_if_left(&mut self) {
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
