//! Frames on one stream: put together again from what QUIC has, and written as far as it takes them.

use bytes::Buf;
use quinn_proto::{ReadError, ReadableError, StreamId, WriteError};

use super::{Step, Stream};
use crate::limits::STREAM_FRAME_LEN_MAX;
use crate::proto::direct::session::{CloseCode, Session};

/// Bytes of a frame before its payload: type and length.
pub(super) const HEAD_LEN: usize = 5;

/// The next frame; none where the peer ended its half between frames.
pub(super) fn read(
    session: &mut Session,
    stream: &mut Stream,
    id: StreamId,
) -> Result<Option<(u8, Vec<u8>)>, Step> {
    let mut receiver = session.connection.recv_stream(id);
    let mut chunks = match receiver.read(true) {
        Ok(chunks) => chunks,
        Err(ReadableError::ClosedStream) => return Err(Step::Lost),
        Err(ReadableError::IllegalOrderedRead) => return Err(Step::Fail(CloseCode::BadFrame)),
    };
    loop {
        match chunks.next(stream.reader.wanted()) {
            Ok(Some(chunk)) => match stream.reader.feed(&chunk.bytes) {
                Ok(None) => {}
                Ok(whole) => return Ok(whole),
                Err(code) => return Err(Step::Fail(code)),
            },
            Ok(None) if stream.reader.is_between() => return Ok(None),
            Ok(None) => return Err(Step::Fail(CloseCode::BadFrame)),
            Err(ReadError::Blocked) => return Err(Step::Wait),
            Err(ReadError::Reset(_)) => return Err(Step::Lost),
        }
    }
}

/// Writes as much as QUIC takes.
pub(super) fn write(session: &mut Session, stream: &mut Stream, id: StreamId) -> Step {
    let mut sender = session.connection.send_stream(id);
    while let Some(frame) = stream.out.front_mut() {
        match sender.write(frame) {
            Ok(written) => {
                frame.advance(written);
                stream.out_len -= written;
                if frame.is_empty() {
                    stream.out.pop_front();
                }
            }
            Err(WriteError::Blocked) => return Step::Wait,
            Err(WriteError::Stopped(_) | WriteError::ClosedStream) => return Step::Lost,
        }
    }
    if stream.finishing && !stream.finished {
        stream.finished = true;
        if sender.finish().is_err() {
            return Step::Lost;
        }
    }
    Step::Wait
}

/// Puts frames together again: `type (u8), length (u32), payload`.
#[derive(Default)]
pub(super) struct Reader {
    head: [u8; HEAD_LEN],
    head_len: usize,
    left: usize,
    payload: Vec<u8>,
}

impl Reader {
    /// How many bytes may be fed now, at least 1: never beyond the end of a frame.
    fn wanted(&self) -> usize {
        if self.head_len < HEAD_LEN {
            HEAD_LEN - self.head_len
        } else {
            self.left
        }
    }

    /// Whether a frame may begin here.
    fn is_between(&self) -> bool {
        self.head_len == 0
    }

    /// Takes at most [`Reader::wanted`] bytes.
    fn feed(&mut self, bytes: &[u8]) -> Result<Option<(u8, Vec<u8>)>, CloseCode> {
        if self.head_len < HEAD_LEN {
            let end = self.head_len + bytes.len();
            let Some(place) = self.head.get_mut(self.head_len..end) else {
                return Err(CloseCode::BadFrame);
            };
            place.copy_from_slice(bytes);
            self.head_len = end;
            if end < HEAD_LEN {
                return Ok(None);
            }
            let [_, length @ ..] = self.head;
            self.left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
            if self.left > STREAM_FRAME_LEN_MAX {
                return Err(CloseCode::FrameTooLong);
            }
        } else {
            self.left = self.left.saturating_sub(bytes.len());
            self.payload.extend_from_slice(bytes);
        }
        if self.left > 0 {
            return Ok(None);
        }
        self.head_len = 0;
        Ok(Some((self.head[0], std::mem::take(&mut self.payload))))
    }
}
