//! One QUIC connection: who is at its other end, and the two streams of frames on it.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use quinn_proto::{
    Connection, ConnectionHandle, Dir, Endpoint, Event, ReadError, Side, StreamEvent, StreamId,
    VarInt, WriteError,
};
use rustls::pki_types::CertificateDer;

use super::frame::{self, Frame, FrameReader};
use super::keys::key_of;
use super::outbox::Outbox;
use super::streams::StreamKey;
use crate::id::{MessageId, PublicKey};
use crate::limits::{OUTBOX_MESSAGES_MAX, QUIC_IN_HAND_MAX, STREAM_OPEN_RATE};
use crate::proto::bucket::Bucket;

/// How long a connection without messages stays after its last stream ended: what was written
/// last arrives, and the next stream needs no handshake.
const STREAM_LINGER: Duration = Duration::from_secs(5);

/// Why a connection was closed: application error codes (RFC 9000, 20.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(super) enum CloseCode {
    /// The node leaves.
    Leaving = 0,
    /// Another connection between the two stays.
    Replaced = 1,
    /// The peer left or started again; this connection is of its former run.
    Gone = 2,
    /// Too many connections.
    Busy = 3,
    /// The key is not the expected one.
    BadKey = 4,
    /// A frame or a stream that the protocol does not have.
    BadFrame = 5,
    /// A frame longer than any may be.
    FrameTooLong = 6,
    /// The handshake took too long.
    TimedOut = 7,
    /// Nothing is left to do on it.
    Idle = 8,
}

impl CloseCode {
    fn code(self) -> VarInt {
        VarInt::from_u32(self as u32)
    }
}

/// What became of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// The handshake is done.
    Proven,
    /// A second stream of messages was opened.
    Violation,
    /// It ended.
    Down {
        /// The peer ended it because another one stays.
        replaced: bool,
    },
}

/// A connection from the first datagram to the last.
pub(super) struct Session {
    handle: ConnectionHandle,
    pub(super) connection: Connection,
    /// Grows with each connection of this node.
    pub(super) serial: u64,
    /// Whom we dialled, or who dialled us, once proven.
    pub(super) peer: Option<PublicKey>,
    /// How many connections, one replacing the other on purpose, lie before this one.
    pub(super) generation: u32,
    /// When it last came up or carried a frame.
    pub(super) used: Instant,
    /// Until when it must be up; none once it is.
    handshake_deadline: Option<Instant>,
    /// When QUIC wants to be woken, as of the last time that it had nothing to send.
    quic_deadline: Option<Instant>,
    /// Whether its end was told to the peer's row.
    over: bool,
    sender: Option<StreamId>,
    receiver: Option<StreamId>,
    reader: FrameReader,
    /// What is left of the frame being written, and the message in it.
    writing: Bytes,
    writing_message: Option<MessageId>,
    /// ACKs to write, before any message.
    acks: VecDeque<MessageId>,
    /// Messages handed up and not yet acknowledged.
    in_hand: BTreeSet<MessageId>,
    /// Whether a private message went by it, either way.
    pub(super) talked: bool,
    /// Streams beside that of the messages.
    pub(super) streams: BTreeSet<StreamKey>,
    /// How many more of them the peer may open.
    pub(super) opened: Bucket,
    /// When it ends, for want of a purpose.
    pub(super) idle_at: Option<Instant>,
}

impl Session {
    pub(super) fn new(
        handle: ConnectionHandle,
        connection: Connection,
        serial: u64,
        now: Instant,
        handshake_deadline: Instant,
    ) -> Self {
        Session {
            handle,
            connection,
            serial,
            peer: None,
            generation: 0,
            used: now,
            handshake_deadline: Some(handshake_deadline),
            quic_deadline: None,
            over: false,
            sender: None,
            receiver: None,
            reader: FrameReader::default(),
            writing: Bytes::new(),
            writing_message: None,
            acks: VecDeque::new(),
            in_hand: BTreeSet::new(),
            talked: false,
            streams: BTreeSet::new(),
            opened: Bucket::new(now, STREAM_OPEN_RATE, STREAM_OPEN_RATE * 2),
            idle_at: None,
        }
    }

    /// Whether we dialled.
    pub(super) fn dialled(&self) -> bool {
        self.connection.side() == Side::Client
    }

    /// Whether the handshake is done, its OPEN went or came, and it did not end yet.
    pub(super) fn is_up(&self) -> bool {
        self.handshake_deadline.is_none() && !self.over
    }

    /// Whether it is on its way to be up.
    pub(super) fn is_starting(&self) -> bool {
        self.handshake_deadline.is_some() && !self.over
    }

    /// Whether its end was told already; notes that it is now.
    pub(super) fn end(&mut self) -> bool {
        std::mem::replace(&mut self.over, true)
    }

    /// Whether a message of either side is between sending and acknowledging.
    pub(super) fn is_busy(&self) -> bool {
        !self.in_hand.is_empty()
            || !self.streams.is_empty()
            || !self.acks.is_empty()
            || self.connection.has_pending_retransmits()
    }

    pub(super) fn remote(&self) -> std::net::SocketAddr {
        self.connection.remote_address()
    }

    /// When it must be woken.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let handshake = self.handshake_deadline.filter(|_| !self.over);
        let idle = self.idle_at.filter(|_| !self.over);
        let own = [self.quic_deadline, handshake, idle];
        own.into_iter().flatten().min()
    }

    /// Wakes it. Why it has to end, if so: it took too long to come up, or nothing is left to do.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<CloseCode> {
        self.connection.handle_timeout(now);
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if self.is_starting() && is_due(self.handshake_deadline) {
            return Some(CloseCode::TimedOut);
        }
        let is_idle = is_due(self.idle_at) && !self.is_busy() && !self.talked;
        if is_due(self.idle_at) {
            self.idle_at = None;
        }
        (is_idle && self.is_up()).then_some(CloseCode::Idle)
    }

    /// A stream is over: where it was the last, and no messages go here, whoever dialled ends the
    /// connection soon.
    pub(super) fn rest(&mut self, now: Instant) {
        let is_idle = self.streams.is_empty() && !self.talked && self.dialled();
        self.idle_at = is_idle.then(|| now + STREAM_LINGER);
    }

    pub(super) fn handle_event(&mut self, event: quinn_proto::ConnectionEvent) {
        self.connection.handle_event(event);
    }

    /// Our address changed: tells the peer the new one by using it.
    pub(super) fn migrate(&mut self) {
        self.connection.local_address_changed();
    }

    pub(super) fn close(&mut self, now: Instant, code: CloseCode) {
        self.connection.close(now, code.code(), Bytes::new());
    }

    /// Tells QUIC's endpoint what it has to know. Whether the connection can be forgotten; if
    /// so, its handle must not be used again.
    pub(super) fn exchange(&mut self, endpoint: &mut Endpoint) -> bool {
        while let Some(event) = self.connection.poll_endpoint_events() {
            let drained = event.is_drained();
            if let Some(answer) = endpoint.handle_event(self.handle, event) {
                self.connection.handle_event(answer);
            }
            if drained {
                return true;
            }
        }
        false
    }

    /// The next thing that became of it.
    pub(super) fn poll(&mut self) -> Option<Change> {
        while let Some(event) = self.connection.poll() {
            match event {
                Event::Connected => return Some(Change::Proven),
                Event::ConnectionLost { reason } => {
                    let code = CloseCode::Replaced.code();
                    let replaced = matches!(&reason,
                        quinn_proto::ConnectionError::ApplicationClosed(close)
                            if close.error_code == code);
                    tracing::debug!(%reason, "connection lost");
                    return Some(Change::Down { replaced });
                }
                Event::Stream(StreamEvent::Opened { .. }) => {
                    let known = self.accept_stream();
                    if !known {
                        return Some(Change::Violation);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Takes the peer's one stream. False if there is more than that.
    fn accept_stream(&mut self) -> bool {
        while let Some(id) = self.connection.streams().accept(Dir::Uni) {
            if self.receiver.replace(id).is_some() {
                return false;
            }
        }
        true
    }

    /// The handshake is done: who is it? Whom we dialled has to be the same, and then it is up.
    /// One that was dialled by the peer is up with its OPEN.
    pub(super) fn prove(&mut self, now: Instant, own: &PublicKey) -> Result<PublicKey, CloseCode> {
        let identity = self.connection.crypto_session().peer_identity();
        let identity = identity.and_then(|any| any.downcast::<Vec<CertificateDer<'_>>>().ok());
        let key = match identity.as_deref().map(Vec::as_slice) {
            Some([key]) => key_of(key),
            _ => None,
        };
        let key = key.filter(|key| key != own).ok_or(CloseCode::BadKey)?;
        if self.peer.is_some_and(|expected| expected != key) {
            return Err(CloseCode::BadKey);
        }
        self.peer = Some(key);
        let sender = self.connection.streams().open(Dir::Uni);
        self.sender = Some(sender.ok_or(CloseCode::BadFrame)?);
        if self.dialled() {
            self.handshake_deadline = None;
            self.used = now;
            self.writing = frame::open(self.generation);
        }
        Ok(key)
    }

    /// The peer's OPEN came; it comes once, as the first frame of the side that dialled.
    pub(super) fn open(&mut self, now: Instant, generation: u32) -> Result<(), CloseCode> {
        if !self.is_starting() || self.dialled() {
            return Err(CloseCode::BadFrame);
        }
        self.handshake_deadline = None;
        self.used = now;
        self.generation = generation;
        Ok(())
    }

    /// The next frame that came in, if enough of it has, and if not too many messages are in
    /// hand already.
    pub(super) fn read(&mut self, now: Instant) -> Result<Option<Frame>, CloseCode> {
        let proven = self.sender.is_some() && !self.over;
        let Some(receiver) = self.receiver.filter(|_| proven) else {
            return Ok(None);
        };
        if self.in_hand.len() + self.acks.len() >= QUIC_IN_HAND_MAX {
            return Ok(None);
        }
        let starting = self.is_starting();
        let mut stream = self.connection.recv_stream(receiver);
        let mut chunks = stream.read(true).map_err(|_| CloseCode::BadFrame)?;
        loop {
            match chunks.next(self.reader.wanted()) {
                Ok(Some(chunk)) => {
                    let Some(frame) = self.reader.feed(&chunk.bytes)? else {
                        continue;
                    };
                    if starting != matches!(frame, Frame::Open(_)) {
                        return Err(CloseCode::BadFrame);
                    }
                    self.used = now;
                    self.talked |= !matches!(frame, Frame::Open(_));
                    if let Frame::Message(message) = &frame
                        && !self.in_hand.insert(message.id)
                    {
                        // It is being stored already, and will be acknowledged here.
                        continue;
                    }
                    return Ok(Some(frame));
                }
                Err(ReadError::Blocked) => return Ok(None),
                // The stream lives as long as the connection.
                Ok(None) | Err(ReadError::Reset(_)) => return Err(CloseCode::BadFrame),
            }
        }
    }

    /// Whether this message came by this connection and waits to be acknowledged.
    pub(super) fn holds(&self, id: &MessageId) -> bool {
        self.in_hand.contains(id)
    }

    /// The message is stored. The caller then writes.
    pub(super) fn acknowledge(&mut self, id: MessageId) {
        self.in_hand.remove(&id);
        // Only late answers to messages of former connections can add up; a message without
        // its ACK comes again with the next connection.
        if self.acks.len() < OUTBOX_MESSAGES_MAX {
            self.acks.push_back(id);
        }
    }

    /// Writes as much as QUIC takes: the rest of the last frame, ACKs, then messages of the
    /// outbox if this is the connection in use. Adds the messages that went in whole to `sent`.
    pub(super) fn write(
        &mut self,
        mut outbox: Option<&mut Outbox>,
        sent: &mut Vec<MessageId>,
    ) -> Result<(), CloseCode> {
        let Some(sender) = self.sender.filter(|_| self.is_up()) else {
            return Ok(());
        };
        loop {
            if self.writing.is_empty() {
                sent.extend(self.writing_message.take());
                if let Some(id) = self.acks.pop_front() {
                    self.writing = frame::ack(&id);
                } else if let Some(next) = outbox.as_mut().and_then(|outbox| outbox.take_next()) {
                    self.writing = frame::message(next);
                    self.writing_message = Some(next.id);
                    self.talked = true;
                } else {
                    return Ok(());
                }
            }
            match self.connection.send_stream(sender).write(&self.writing) {
                Ok(written) => self.writing.advance(written),
                Err(WriteError::Blocked) => return Ok(()),
                Err(WriteError::Stopped(_) | WriteError::ClosedStream) => {
                    return Err(CloseCode::BadFrame);
                }
            }
        }
    }

    /// The next datagrams to send, appended to `buffer`.
    pub(super) fn poll_transmit(
        &mut self,
        now: Instant,
        datagrams_max: usize,
        buffer: &mut Vec<u8>,
    ) -> Option<quinn_proto::Transmit> {
        let transmit = self.connection.poll_transmit(now, datagrams_max, buffer);
        if transmit.is_none() {
            self.quic_deadline = self.connection.poll_timeout();
        }
        transmit
    }

    /// Writes bytes that no frame is made of, as a hostile peer might.
    #[cfg(test)]
    pub(super) fn inject(&mut self, bytes: Vec<u8>) {
        self.writing = bytes.into();
    }

    /// Ends the own stream, as no peer of ours does.
    #[cfg(test)]
    pub(super) fn finish(&mut self) {
        let sender = self.sender.expect("is up");
        let finished = self.connection.send_stream(sender).finish();
        finished.expect("is open");
    }
}
