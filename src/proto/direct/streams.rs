//! Streams for one purpose each, beside the stream of private messages: both sides write frames on
//! them, either side ends its half.
//!
//! Bounded both ways: what the owner does not take stays unread, and so holds the peer back; what
//! the peer does not take is refused to the owner until there is room again.

mod frames;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use quinn_proto::{Dir, StreamId, VarInt};

use self::frames::{HEAD_LEN, Reader, read, write};
use super::session::{CloseCode, Session};
use super::{Direct, DirectOutput};
use crate::id::PublicKey;
use crate::limits::{
    STREAM_FRAME_LEN_MAX, STREAM_IN_HAND_MAX, STREAM_UNWRITTEN_MAX, STREAMS_PER_CONNECTION_MAX,
};
/// Streams give way to private messages.
const PRIORITY: i32 = -1;
/// The label under which keys are exported from a connection (RFC 8446, 7.5).
const EXPORTER_LABEL: &[u8] = b"EXPORTER-lanchat-sync";

/// Names a stream of this node, and never another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamKey(pub u64);

/// One stream.
pub(super) struct Stream {
    peer: PublicKey,
    /// On which connection; none while that is not up.
    place: Option<(usize, StreamId)>,
    /// Frames that QUIC did not take yet.
    out: VecDeque<Bytes>,
    out_len: usize,
    /// A frame was refused: its owner waits to be told.
    refused: bool,
    /// The own half is to end, or did.
    finishing: bool,
    finished: bool,
    /// The peer ended its half.
    ended: bool,
    reader: Reader,
    /// Bytes of frames handed up and not taken.
    in_hand: usize,
}

impl Stream {
    fn new(peer: PublicKey, place: Option<(usize, StreamId)>) -> Self {
        Stream {
            peer,
            place,
            out: VecDeque::new(),
            out_len: 0,
            refused: false,
            finishing: false,
            finished: false,
            ended: false,
            reader: Reader::default(),
            in_hand: 0,
        }
    }
}

/// What became of reading or writing.
enum Step {
    /// As far as it goes now.
    Wait,
    /// The peer does not want it any more.
    Lost,
    /// The connection has to end.
    Fail(CloseCode),
}

impl Direct {
    /// Opens a stream to a peer, dialling `address` if no connection is up or under way.
    /// [`DirectOutput::StreamOpened`] tells when it is on one; what is written before goes then.
    pub fn open_stream(
        &mut self,
        now: Instant,
        peer: &PublicKey,
        address: SocketAddr,
    ) -> StreamKey {
        let key = self.next_stream();
        self.streams.insert(key, Stream::new(*peer, None));
        match self.peers.get(peer).and_then(|row| row.active) {
            Some(active) => self.drive(now, active),
            None => self.dial(now, peer, address),
        }
        self.sweep = true;
        key
    }

    /// Writes a frame of at most [`STREAM_FRAME_LEN_MAX`] bytes. False: it was not taken, because
    /// the stream is gone, its half ended, it is too long, or too much waits;
    /// [`DirectOutput::StreamWritable`] follows in the last case.
    pub fn write_frame(&mut self, now: Instant, key: StreamKey, kind: u8, payload: &[u8]) -> bool {
        let Some(stream) = self.streams.get_mut(&key).filter(|s| !s.finishing) else {
            return false;
        };
        let Some(length) = u32::try_from(payload.len())
            .ok()
            .filter(|_| payload.len() <= STREAM_FRAME_LEN_MAX)
        else {
            return false;
        };
        let len = HEAD_LEN + payload.len();
        if stream.out_len + len > STREAM_UNWRITTEN_MAX {
            stream.refused = true;
            return false;
        }
        let mut frame = BytesMut::with_capacity(len);
        frame.put_u8(kind);
        frame.put_u32(length);
        frame.put_slice(payload);
        stream.out.push_back(frame.freeze());
        stream.out_len += len;
        self.push_streams(now, key);
        true
    }

    /// How many bytes may be written at once, heads included.
    #[must_use]
    pub fn writable(&self, key: StreamKey) -> usize {
        let stream = self.streams.get(&key);
        stream.map_or(0, |stream| {
            STREAM_UNWRITTEN_MAX.saturating_sub(stream.out_len)
        })
    }

    /// So many bytes of frames that came by this stream were dealt with: more may come.
    pub fn take_frame(&mut self, now: Instant, key: StreamKey, len: usize) {
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.in_hand = stream.in_hand.saturating_sub(len);
            self.push_streams(now, key);
        }
    }

    /// Ends the own half once everything is written.
    pub fn finish_stream(&mut self, now: Instant, key: StreamKey) {
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.finishing = true;
            self.push_streams(now, key);
        }
    }

    /// Drops a stream, whatever waits; nothing more is told of it.
    pub fn reset_stream(&mut self, now: Instant, key: StreamKey, code: u32) {
        let Some((on, id)) = self.streams.remove(&key).and_then(|stream| stream.place) else {
            return;
        };
        if let Some(session) = self.sessions.get_mut(&on) {
            session.streams.remove(&key);
            // Either half may have ended already.
            let code = VarInt::from_u32(code);
            let _ = session.connection.send_stream(id).reset(code);
            let _ = session.connection.recv_stream(id).stop(code);
            session.rest(now);
            self.dirty.insert(on);
        }
    }

    /// 32 bytes that only both ends of the connection of this stream know (RFC 8446, 7.5); none
    /// while it is on none.
    #[must_use]
    pub fn exporter(&self, key: StreamKey, context: &[u8]) -> Option<[u8; 32]> {
        let (on, _) = self.streams.get(&key)?.place?;
        let tls = self.sessions.get(&on)?.connection.crypto_session();
        let mut output = [0; 32];
        tls.export_keying_material(&mut output, EXPORTER_LABEL, context)
            .ok()?;
        Some(output)
    }

    /// Where the peer of this stream is; none while it is on no connection.
    #[must_use]
    pub fn stream_remote(&self, key: StreamKey) -> Option<SocketAddr> {
        let (on, _) = self.streams.get(&key)?.place?;
        Some(self.sessions.get(&on)?.remote())
    }

    /// How many streams there are.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Writes bytes that no frame is made of, as a hostile peer might.
    #[cfg(test)]
    pub(super) fn inject_into(&mut self, now: Instant, key: StreamKey, bytes: Vec<u8>) {
        let stream = self.streams.get_mut(&key).expect("is open");
        stream.out_len += bytes.len();
        stream.out.push_back(bytes.into());
        self.push_streams(now, key);
    }

    fn next_stream(&mut self) -> StreamKey {
        self.streams_made += 1;
        StreamKey(self.streams_made)
    }

    /// Goes on with the connection of this stream.
    fn push_streams(&mut self, now: Instant, key: StreamKey) {
        let on = self.streams.get(&key).and_then(|stream| stream.place);
        if let Some((on, _)) = on {
            self.drive_streams(now, on);
            self.dirty.insert(on);
        }
    }

    /// Takes new streams of the peer, opens those that wait, reads and writes on all.
    pub(super) fn drive_streams(&mut self, now: Instant, on: usize) {
        let Some(session) = self.sessions.get_mut(&on).filter(|s| s.is_up()) else {
            return;
        };
        let Some(peer) = session.peer else { return };
        while let Some(id) = self
            .sessions
            .get_mut(&on)
            .and_then(|s| s.connection.streams().accept(Dir::Bi))
        {
            let key = self.next_stream();
            let Some(session) = self.sessions.get_mut(&on) else {
                return;
            };
            // QUIC bounds how many are open at once; this, how many come one after the other.
            if !session.opened.take(now, 1) {
                return self.fail(now, on, CloseCode::Busy);
            }
            session.seat(key, id);
            self.streams.insert(key, Stream::new(peer, Some((on, id))));
            let ours = false;
            self.outputs
                .push_back(DirectOutput::StreamOpened { peer, key, ours });
        }
        self.seat_waiting(on, peer);
        let Some(session) = self.sessions.get(&on) else {
            return;
        };
        let keys: Vec<StreamKey> = session.streams.iter().copied().collect();
        for key in keys {
            match self.step(now, on, key) {
                Step::Wait => {}
                Step::Lost => self.close_stream(now, key, true),
                Step::Fail(code) => return self.fail(now, on, code),
            }
        }
    }

    /// Opens what waits for a connection with this peer, if this is the one in use.
    fn seat_waiting(&mut self, on: usize, peer: PublicKey) {
        if self.peers.get(&peer).and_then(|row| row.active) != Some(on) {
            return;
        }
        let Some(session) = self.sessions.get_mut(&on) else {
            return;
        };
        let waiting = self.streams.iter_mut();
        for (&key, stream) in waiting.filter(|(_, s)| s.place.is_none() && s.peer == peer) {
            let Some(id) = session.connection.streams().open(Dir::Bi) else {
                return;
            };
            session.seat(key, id);
            stream.place = Some((on, id));
            let ours = true;
            self.outputs
                .push_back(DirectOutput::StreamOpened { peer, key, ours });
        }
    }

    /// Reads and writes on one stream as far as it goes.
    fn step(&mut self, now: Instant, on: usize, key: StreamKey) -> Step {
        let (Some(session), Some(stream)) =
            (self.sessions.get_mut(&on), self.streams.get_mut(&key))
        else {
            return Step::Wait;
        };
        let Some((_, id)) = stream.place else {
            return Step::Wait;
        };
        while !stream.ended && stream.in_hand < STREAM_IN_HAND_MAX {
            match read(session, stream, id) {
                Ok(Some((kind, payload))) => {
                    session.used = now;
                    stream.in_hand += HEAD_LEN + payload.len();
                    self.outputs
                        .push_back(DirectOutput::StreamFrame { key, kind, payload });
                }
                Ok(None) => {
                    stream.ended = true;
                    self.outputs.push_back(DirectOutput::StreamEnded { key });
                }
                Err(Step::Wait) => break,
                Err(other) => return other,
            }
        }
        match write(session, stream, id) {
            Step::Wait => {}
            other => return other,
        }
        if stream.refused && stream.out_len <= STREAM_UNWRITTEN_MAX / 2 {
            stream.refused = false;
            self.outputs.push_back(DirectOutput::StreamWritable { key });
        }
        if stream.ended && stream.finished {
            self.close_stream(now, key, false);
        }
        Step::Wait
    }

    /// A stream is over: its owner is told.
    fn close_stream(&mut self, now: Instant, key: StreamKey, lost: bool) {
        if lost {
            self.reset_stream(now, key, 0);
        } else if let Some((on, _)) = self.streams.remove(&key).and_then(|s| s.place)
            && let Some(session) = self.sessions.get_mut(&on)
        {
            session.streams.remove(&key);
            session.rest(now);
        }
        self.outputs
            .push_back(DirectOutput::StreamClosed { key, lost });
    }

    /// Tells the end of streams whose connection ended or could not be made.
    pub(super) fn sweep_streams(&mut self) {
        if !std::mem::take(&mut self.sweep) || self.streams.is_empty() {
            return;
        }
        let is_lost = |stream: &Stream| match stream.place {
            Some((on, _)) => !self.sessions.get(&on).is_some_and(Session::is_up),
            None => !self
                .peers
                .get(&stream.peer)
                .is_some_and(|row| row.active.is_some() || row.dialling.is_some()),
        };
        let streams = self.streams.iter();
        let lost: Vec<StreamKey> = streams
            .filter(|(_, stream)| is_lost(stream))
            .map(|(&key, _)| key)
            .collect();
        for key in lost {
            self.streams.remove(&key);
            self.outputs
                .push_back(DirectOutput::StreamClosed { key, lost: true });
        }
    }
}

impl Session {
    /// A stream is on this connection from now on.
    fn seat(&mut self, key: StreamKey, id: StreamId) {
        // Fails only for a stream that ended already.
        let _ = self.connection.send_stream(id).set_priority(PRIORITY);
        self.streams.insert(key);
        self.idle_at = None;
    }
}

/// How many streams a peer may have open at once.
pub(super) fn streams_max() -> VarInt {
    VarInt::from_u32(STREAMS_PER_CONNECTION_MAX)
}
