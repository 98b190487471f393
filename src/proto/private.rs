//! Private messages: kept until delivered, stored before acknowledged, shown once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::direct::{Direct, DirectOutput, PrivateMessage};
use super::group::Cx;
use super::group::order::{self, Hlc};
use super::presence::roster::Peer;
use crate::api::{Conversation, Event, PeerState, ReceiptState, TextKind, Timestamp};
use crate::durable::{
    Batch, Durability, Loaded, PrivateRow, PrivateState, Query, Row, Snapshot, Stored, Token, Write,
};
use crate::id::{MessageId, PeerId, PublicKey};
use crate::limits::{OUTBOX_BYTES_MAX, OUTBOX_MESSAGES_MAX, PRIVATE_BODY_LEN_MAX};
use crate::text::DisplayText;

const KIND_TEXT: u8 = 1;
const KIND_ACTION: u8 = 2;
/// Before a lost connection is dialled again while the peer is here; doubles.
const REDIAL: Duration = Duration::from_millis(200);
/// A message that is not acknowledged within this has its receiver probed.
const DOUBT: Duration = Duration::from_millis(500);
const REDIAL_SLOWEST: Duration = Duration::from_secs(10);

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

/// What is known of the messages to one peer.
#[derive(Default)]
struct Outbox {
    /// Handed to [`Direct`], not acknowledged yet.
    under_way: BTreeMap<MessageId, usize>,
    /// Whether the store may hold more than that.
    on_disk: bool,
    /// Ids that wait for the peer to be here.
    waiting: BTreeMap<MessageId, usize>,
    redials: u32,
    redial_at: Option<Instant>,
    /// When to doubt that the peer is there, if nothing was acknowledged by then.
    doubt_at: Option<Instant>,
}

impl Outbox {
    fn is_full(&self, len: usize) -> bool {
        let bytes: usize = self.waiting.values().chain(self.under_way.values()).sum();
        self.waiting.len() + self.under_way.len() >= OUTBOX_MESSAGES_MAX
            || bytes + len > OUTBOX_BYTES_MAX
    }
}

/// Everything about private messages.
pub struct Private {
    direct: Direct,
    outboxes: BTreeMap<PublicKey, Outbox>,
    pending: BTreeMap<Token, Pending>,
    storing: BTreeSet<MessageId>,
    hlc: Hlc,
}

impl Private {
    /// Nothing under way; what the store holds goes once its peers are here.
    #[must_use]
    pub fn new(direct: Direct, snapshot: &Snapshot) -> Self {
        let on_disk = |key: &PublicKey| {
            (
                *key,
                Outbox {
                    on_disk: true,
                    ..Outbox::default()
                },
            )
        };
        Private {
            direct,
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
            kind: match kind {
                TextKind::Text => KIND_TEXT,
                TextKind::Action => KIND_ACTION,
            },
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
        let writes = pin.into_iter().chain([keep]).collect();
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

    /// A datagram of QUIC.
    pub fn handle_datagram(
        &mut self,
        cx: &mut Cx,
        arrival: &crate::datagram::Arrival,
        bytes: &[u8],
    ) {
        self.direct.handle_datagram(cx.now.mono, arrival, bytes);
        self.drain(cx);
    }

    /// The deadline passed.
    pub fn handle_timeout(&mut self, cx: &mut Cx) {
        let now = cx.now.mono;
        if self.direct.deadline().is_some_and(|at| at <= now) {
            self.direct.handle_timeout(now);
        }
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
                self.direct.dial(now, &key, at);
            }
        }
        self.doubt(cx);
        self.drain(cx);
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
        own.chain([self.direct.deadline()]).flatten().min()
    }

    /// An address of a peer was validated: what waits for it goes now.
    pub fn peer_confirmed(&mut self, cx: &mut Cx, id: &PeerId) {
        let Some(key) = cx.presence.roster.get(id).map(Peer::key) else {
            return;
        };
        let Some(at) = here(cx, &key) else { return };
        if let Some(outbox) = self.outboxes.get_mut(&key) {
            outbox.redials = 0;
            if outbox.on_disk || !outbox.waiting.is_empty() {
                outbox.on_disk = false;
                let token = cx.core.load(Query::Outbox { to: key });
                self.pending.insert(token, Pending::Outbox { to: key });
            }
            if !outbox.under_way.is_empty() {
                self.direct.dial(cx.now.mono, &key, at);
            }
        }
        self.drain(cx);
    }

    /// Another address of a peer came into use.
    pub fn peer_moved(&mut self, cx: &mut Cx, id: &PeerId) {
        let Some(key) = cx.presence.roster.get(id).map(Peer::key) else {
            return;
        };
        if let Some(at) = here(cx, &key) {
            self.direct.address_changed(cx.now.mono, &key, at);
        }
        self.drain(cx);
    }

    /// A peer began a new run, left, or went offline: connections to it are over.
    pub fn peer_gone(&mut self, cx: &mut Cx, key: &PublicKey) {
        self.direct.close_peer(cx.now.mono, key);
        self.drain(cx);
    }

    /// Interfaces changed.
    pub fn local_address_changed(&mut self, cx: &mut Cx) {
        self.direct.local_address_changed(cx.now.mono);
        self.drain(cx);
    }

    /// Closes everything, for a leave.
    pub fn close_all(&mut self, cx: &mut Cx) {
        self.direct.close_all(cx.now.mono);
        self.drain(cx);
    }

    /// Peers with whom a connection is up.
    #[must_use]
    pub fn talking_to(&self) -> Vec<PeerId> {
        let is_up = |key: &&PublicKey| self.direct.is_connected(key);
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
        self.drain(cx);
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
        });
        let own = cx.own_reference();
        cx.core.event(shown(&message, to.id(), own, true));
        cx.core
            .event(receipt(cx, &to, message.id, ReceiptState::Queued));
        match here(cx, &to) {
            Some(at) => self.hand_over(cx, to, at, message),
            None => outbox.on_disk = true,
        }
    }

    fn hand_over(
        &mut self,
        cx: &Cx,
        to: PublicKey,
        at: std::net::SocketAddr,
        message: PrivateMessage,
    ) {
        let outbox = self.outboxes.entry(to).or_default();
        let (id, len) = (message.id, message.body.len());
        outbox.waiting.remove(&id);
        if self.direct.send(cx.now.mono, &to, at, message) {
            outbox.under_way.insert(id, len);
            outbox.doubt_at.get_or_insert(cx.now.mono + DOUBT);
        } else {
            outbox.waiting.insert(id, len);
            outbox.on_disk = true;
        }
    }

    fn in_stored(
        &mut self,
        cx: &mut Cx,
        from: PublicKey,
        message: PrivateMessage,
        result: &Stored,
    ) {
        self.storing.remove(&message.id);
        match result {
            // Not acknowledged: it comes again.
            Err(failure) => tracing::warn!(%failure, "private message not stored"),
            Ok(new) => {
                self.direct.acknowledge(cx.now.mono, &from, message.id);
                if new.first().copied().unwrap_or(true) {
                    let reference = cx.presence.reference_of(&from);
                    cx.core.event(shown(&message, from.id(), reference, false));
                }
            }
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
        let rows = result.as_ref().map(Vec::as_slice).unwrap_or_default();
        for row in rows {
            let Row::Outbox { id, message } = row else {
                continue;
            };
            let under_way = self
                .outboxes
                .get(&to)
                .is_some_and(|o| o.under_way.contains_key(id));
            let Some(at) = here(cx, &to).filter(|_| !under_way) else {
                continue;
            };
            let PrivateRow { hlc, kind, body } = message.clone();
            let message = PrivateMessage {
                id: *id,
                hlc,
                kind,
                body,
                answers: None,
            };
            self.hand_over(cx, to, at, message);
        }
        if here(cx, &to).is_none()
            && let Some(outbox) = self.outboxes.get_mut(&to)
        {
            outbox.on_disk = true;
        }
        self.drain(cx);
        true
    }

    /// Takes what QUIC has to say.
    fn drain(&mut self, cx: &mut Cx) {
        while let Some(output) = self.direct.poll_output(cx.now.mono) {
            match output {
                DirectOutput::Transmit(transmit) => cx.core.push(super::Output::Transmit(transmit)),
                DirectOutput::Message { from, message, .. } => self.take_in(cx, from, message),
                DirectOutput::Sent { peer, id } => {
                    cx.core.event(receipt(cx, &peer, id, ReceiptState::Sent));
                }
                DirectOutput::Acknowledged { peer, id } => self.delivered(cx, peer, id),
                DirectOutput::Connected { peer, .. } => {
                    self.outboxes.entry(peer).or_default().redials = 0;
                }
                DirectOutput::Lost {
                    peer,
                    unacknowledged,
                } => {
                    self.lost(cx, peer, unacknowledged.is_empty());
                }
            }
        }
    }

    fn take_in(&mut self, cx: &mut Cx, from: PublicKey, message: PrivateMessage) {
        if !self.storing.insert(message.id) {
            return;
        }
        self.hlc.observe(cx.now.wall_ms, message.hlc);
        let row = row_of(&message);
        let write = Write::PrivateIn {
            id: message.id,
            from: from.id(),
            message: row,
        };
        let token = cx.core.persist(Batch {
            durability: Durability::Power,
            writes: vec![write],
        });
        self.pending.insert(
            token,
            Pending::In {
                from,
                message: Box::new(message),
            },
        );
    }

    fn delivered(&mut self, cx: &mut Cx, peer: PublicKey, id: MessageId) {
        let Some(outbox) = self.outboxes.get_mut(&peer) else {
            return;
        };
        if outbox.under_way.remove(&id).is_none() {
            return;
        }
        let waits = !outbox.under_way.is_empty();
        outbox.doubt_at = waits.then(|| cx.now.mono + DOUBT);
        let state = PrivateState::Delivered;
        let writes = vec![Write::PrivateState { id, state }];
        // Lost in a power cut it only goes once more, and its id tells the other side.
        cx.core.persist(Batch {
            durability: Durability::Process,
            writes,
        });
        cx.core
            .event(receipt(cx, &peer, id, ReceiptState::Delivered));
    }

    fn lost(&mut self, cx: &Cx, peer: PublicKey, nothing_waits: bool) {
        let Some(outbox) = self.outboxes.get_mut(&peer) else {
            return;
        };
        if nothing_waits {
            if outbox.waiting.is_empty() && !outbox.on_disk {
                self.outboxes.remove(&peer);
            }
            return;
        }
        let wait = REDIAL
            .saturating_mul(1 << outbox.redials.min(8))
            .min(REDIAL_SLOWEST);
        outbox.redials += 1;
        outbox.redial_at = Some(cx.now.mono + wait);
    }
}

/// Where to send to whoever holds this key, if they are here.
fn here(cx: &Cx, key: &PublicKey) -> Option<std::net::SocketAddr> {
    let peer = cx.presence.roster.get(&key.id())?;
    peer.addresses
        .current()
        .filter(|_| peer.state != PeerState::Offline)
}

fn row_of(message: &PrivateMessage) -> PrivateRow {
    PrivateRow {
        hlc: message.hlc,
        kind: message.kind,
        body: message.body.clone(),
    }
}

fn shown(message: &PrivateMessage, with: PeerId, from: crate::api::PeerRef, own: bool) -> Event {
    let text = match (message.kind, DisplayText::from_wire(&message.body)) {
        (KIND_TEXT | KIND_ACTION, Some(text)) => text.into_string(),
        (KIND_TEXT | KIND_ACTION, None) => "(not text)".into(),
        _ => "(needs a newer lanchat)".into(),
    };
    Event::Message {
        id: message.id,
        conversation: Conversation::Peer(with),
        from,
        own,
        kind: if message.kind == KIND_ACTION {
            TextKind::Action
        } else {
            TextKind::Text
        },
        text,
        time: Timestamp(order::ms(message.hlc)),
        delayed: false,
    }
}

fn receipt(cx: &Cx, peer: &PublicKey, id: MessageId, state: ReceiptState) -> Event {
    let delivered = u32::from(state == ReceiptState::Delivered);
    let missing = if delivered == 0 {
        vec![cx.presence.reference_of(peer)]
    } else {
        Vec::new()
    };
    Event::Receipt {
        id,
        conversation: Conversation::Peer(peer.id()),
        state,
        delivered,
        of: 1,
        missing,
        left: Vec::new(),
    }
}
