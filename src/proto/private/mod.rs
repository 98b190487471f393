//! Private messages: kept until delivered, stored before acknowledged, shown once.

mod event;
mod incoming;
mod outbox;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use self::event::{kind_byte, message_of, receipt, row_of, shown};
use self::outbox::Outbox;
use super::direct::{Direct, PrivateMessage};
use super::group::Cx;
use super::group::order::Hlc;
use super::presence::Presence;
use super::presence::names::person_write;
use super::presence::roster::Peer;
use crate::api::{Event, PeerState, ReceiptState, TextKind};
use crate::durable::{Batch, Durability, Loaded, Query, Row, Snapshot, Stored, Token, Write};
use crate::id::{MessageId, PeerId, PublicKey};
use crate::limits::PRIVATE_BODY_LEN_MAX;

/// A message that is not acknowledged within this has its receiver probed.
const DOUBT: Duration = Duration::from_millis(500);

/// What waits for the store.
enum Pending {
    Out {
        to: PublicKey,
        message: Box<PrivateMessage>,
        reference: Option<Value>,
    },
    In {
        from: PublicKey,
        message: Box<PrivateMessage>,
    },
    Outbox {
        to: PublicKey,
    },
}

/// Everything about private messages.
pub struct Private {
    outboxes: BTreeMap<PublicKey, Outbox>,
    pending: BTreeMap<Token, Pending>,
    /// Received messages on their way to the disk, by who sent them.
    storing: BTreeSet<(PublicKey, MessageId)>,
    hlc: Hlc,
}

impl Private {
    /// Nothing under way; what the store holds goes once its peers are here.
    #[must_use]
    pub fn new(snapshot: &Snapshot) -> Self {
        let on_disk = |key: &PublicKey| (*key, Outbox::stored());
        Private {
            outboxes: snapshot.outbox.iter().map(on_disk).collect(),
            pending: BTreeMap::new(),
            storing: BTreeSet::new(),
            hlc: Hlc::default(),
        }
    }

    /// Writes to a peer. The message leaves once it is stored and the peer is here.
    ///
    /// # Errors
    /// Too long, or too much waits for that peer.
    pub fn say(
        &mut self,
        cx: &mut Cx,
        to: PublicKey,
        (kind, text): (TextKind, &str),
        pin: Option<Write>,
        reference: Option<Value>,
    ) -> Result<(), super::group::Refusal> {
        if text.len() > PRIVATE_BODY_LEN_MAX {
            let sentence = format!(
                "{} bytes are too long, {PRIVATE_BODY_LEN_MAX} fit",
                text.len()
            );
            return Err(("too_long", sentence, "write it in several messages".into()));
        }
        let outbox = self.outboxes.entry(to).or_default();
        if outbox.is_full(text.len()) {
            let sentence = "too many messages wait for them already".to_owned();
            return Err(("outbox_full", sentence, "wait until they are here".into()));
        }
        let message = PrivateMessage {
            id: MessageId(cx.core.random()),
            hlc: self.hlc.tick(cx.now.wall_ms),
            kind: kind_byte(kind),
            body: text.as_bytes().to_vec(),
            answers: None,
        };
        outbox.waiting.insert(message.id, message.body.len());
        let row = row_of(&message);
        let keep = Write::PrivateOut {
            id: message.id,
            to,
            message: row,
        };
        // Their name outlives their being here, for the history.
        let person = cx.presence.record_of(&to.id()).map(person_write);
        let writes = pin.into_iter().chain([keep]).chain(person).collect();
        // What leaves at once is safe with its receiver in a moment; what waits here is not.
        let durability = match here(cx, &to) {
            Some(_) => Durability::Process,
            None => Durability::Power,
        };
        let token = cx.core.persist(Batch { durability, writes });
        let message = Box::new(message);
        self.pending.insert(
            token,
            Pending::Out {
                to,
                message,
                reference,
            },
        );
        Ok(())
    }

    /// The deadline passed.
    pub fn handle_timeout(&mut self, cx: &mut Cx) {
        let now = cx.now.mono;
        let due: Vec<PublicKey> = self
            .outboxes
            .iter()
            .filter(|(_, outbox)| outbox.redial_at.is_some_and(|at| at <= now))
            .map(|(key, _)| *key)
            .collect();
        for key in due {
            let here = here(cx, &key);
            let Some(outbox) = self.outboxes.get_mut(&key) else {
                continue;
            };
            outbox.redial_at = None;
            if let Some(at) = here {
                cx.direct.dial(now, &key, at);
            }
        }
        self.doubt(cx);
    }

    /// Has peers probed that did not acknowledge in time.
    fn doubt(&mut self, cx: &mut Cx) {
        let now = cx.now.mono;
        for (key, outbox) in &mut self.outboxes {
            if outbox.doubt_at.is_some_and(|at| at <= now) {
                cx.presence.doubt(now, &key.id());
                outbox.doubt_at = Some(now + DOUBT * 4);
            }
        }
    }

    /// When something is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let own = self
            .outboxes
            .values()
            .flat_map(|outbox| [outbox.redial_at, outbox.doubt_at]);
        own.flatten().min()
    }

    /// An address of a peer was validated: what waits for it goes now.
    pub fn peer_confirmed(&mut self, cx: &mut Cx, id: &PeerId) {
        let Some(key) = cx.presence.roster.get(id).map(Peer::key) else {
            return;
        };
        let Some(at) = here(cx, &key) else { return };
        if let Some(outbox) = self.outboxes.get_mut(&key) {
            outbox.reached();
            if !outbox.under_way.is_empty() {
                cx.direct.dial(cx.now.mono, &key, at);
            }
        }
        self.load(cx, key);
    }

    /// Asks the store for what waits for a peer, unless it is being asked or has nothing.
    fn load(&mut self, cx: &mut Cx, to: PublicKey) {
        let Some(outbox) = self.outboxes.get_mut(&to).filter(|o| o.wants_load()) else {
            return;
        };
        outbox.load();
        let token = cx.core.load(Query::Outbox { to });
        self.pending.insert(token, Pending::Outbox { to });
    }

    /// Another address of a peer came into use.
    pub fn peer_moved(&self, cx: &mut Cx, id: &PeerId) {
        let Some(key) = cx.presence.roster.get(id).map(Peer::key) else {
            return;
        };
        if let Some(at) = here(cx, &key) {
            cx.direct.address_changed(cx.now.mono, &key, at);
        }
    }

    /// A peer began a new run, left, or went offline: connections to it are over.
    pub fn peer_gone(&self, cx: &mut Cx, key: &PublicKey) {
        cx.direct.close_peer(cx.now.mono, key);
    }

    /// Interfaces changed; presence knows already what they reach.
    pub fn local_address_changed(&self, cx: &mut Cx) {
        let presence = &*cx.presence;
        cx.direct
            .local_address_changed(cx.now.mono, |peer| way_to(presence, peer));
    }

    /// Closes everything, for a leave.
    pub fn close_all(&self, cx: &mut Cx) {
        cx.direct.close_all(cx.now.mono);
    }

    /// Peers with whom a connection is up that carries messages.
    #[must_use]
    pub fn talking_to(&self, direct: &Direct) -> Vec<PeerId> {
        let is_up = |key: &&PublicKey| direct.is_talking(key);
        self.outboxes
            .keys()
            .filter(is_up)
            .map(PublicKey::id)
            .collect()
    }

    /// Whether nothing is under way to anybody who is here.
    #[must_use]
    pub fn is_settled(&self, is_here: impl Fn(&PublicKey) -> bool) -> bool {
        let own = |pending: &Pending| !matches!(pending, Pending::In { .. });
        let idle = |(key, outbox): (&PublicKey, &Outbox)| {
            (outbox.under_way.is_empty() && outbox.waiting.is_empty()) || !is_here(key)
        };
        !self.pending.values().any(own) && self.outboxes.iter().all(idle)
    }

    /// The store answered. Returns whether the token was ours.
    pub fn handle_persisted(&mut self, cx: &mut Cx, token: Token, result: &Stored) -> bool {
        match self.pending.remove(&token) {
            Some(Pending::Out {
                to,
                message,
                reference,
            }) => {
                self.out_stored(cx, to, *message, reference, result);
            }
            Some(Pending::In { from, message }) => self.in_stored(cx, from, *message, result),
            Some(other @ Pending::Outbox { .. }) => {
                self.pending.insert(token, other);
                return false;
            }
            None => return false,
        }
        true
    }

    fn out_stored(
        &mut self,
        cx: &mut Cx,
        to: PublicKey,
        message: PrivateMessage,
        reference: Option<Value>,
        result: &Stored,
    ) {
        let outbox = self.outboxes.entry(to).or_default();
        if let Err(failure) = result {
            outbox.waiting.remove(&message.id);
            cx.core.event(Event::Error {
                reference,
                code: "store_failed".into(),
                message: format!("the message could not be kept and was not sent: {failure}"),
                hint: Some("make room on the disk and send it again".into()),
            });
            return;
        }
        cx.core.event(Event::Reply {
            reference,
            ok: true,
            id: Some(message.id),
            passphrase: None,
        });
        let own = cx.own_reference();
        cx.core.event(shown(&message, to.id(), own, true));
        cx.core
            .event(receipt(cx, &to, message.id, ReceiptState::Queued));
        let at = here(cx, &to);
        if let Some(loading) = &mut outbox.loading {
            loading.later.push(message);
        } else if let Some(at) = at.filter(|_| outbox.is_next()) {
            self.hand_over(cx, to, at, message);
        } else {
            outbox.on_disk = true;
        }
        if at.is_some()
            && self
                .outboxes
                .get(&to)
                .is_some_and(|o| o.under_way.is_empty())
        {
            self.load(cx, to);
        }
    }

    fn hand_over(
        &mut self,
        cx: &mut Cx,
        to: PublicKey,
        at: std::net::SocketAddr,
        message: PrivateMessage,
    ) {
        let outbox = self.outboxes.entry(to).or_default();
        let (id, len) = (message.id, message.body.len());
        outbox.waiting.remove(&id);
        if cx.direct.send(cx.now.mono, &to, at, message) {
            outbox.under_way.insert(id, len);
            outbox.doubt_at.get_or_insert(cx.now.mono + DOUBT);
        } else {
            outbox.waiting.insert(id, len);
            outbox.on_disk = true;
        }
    }

    /// The store answered. Returns whether the token was ours.
    pub fn handle_loaded(&mut self, cx: &mut Cx, token: Token, result: &Loaded) -> bool {
        if !matches!(self.pending.get(&token), Some(Pending::Outbox { .. })) {
            return false;
        }
        let Some(Pending::Outbox { to }) = self.pending.remove(&token) else {
            return false;
        };
        let Some(outbox) = self.outboxes.get_mut(&to) else {
            return true;
        };
        let loading = outbox.loading.take().unwrap_or_default();
        let Ok(rows) = result else {
            // Still there; asked for again when the peer is heard of anew.
            outbox.on_disk = true;
            return true;
        };
        let stored = rows.iter().filter_map(|row| match row {
            Row::Outbox { id, message } => Some(message_of(*id, message.clone())),
            _ => None,
        });
        for message in stored.chain(loading.later) {
            let at = here(cx, &to);
            let Some(outbox) = self.outboxes.get_mut(&to) else {
                continue;
            };
            let is_out = outbox.under_way.contains_key(&message.id)
                || loading.delivered.contains(&message.id);
            match at {
                _ if is_out => {}
                Some(at) => self.hand_over(cx, to, at, message),
                None => outbox.on_disk = true,
            }
        }
        true
    }
}

/// Where to send to whoever holds this key, if they are here.
fn here(cx: &Cx, key: &PublicKey) -> Option<std::net::SocketAddr> {
    way_to(cx.presence, key)
}

fn way_to(presence: &Presence, key: &PublicKey) -> Option<std::net::SocketAddr> {
    let peer = presence.roster.get(&key.id())?;
    peer.addresses
        .current()
        .filter(|_| peer.state != PeerState::Offline)
}
