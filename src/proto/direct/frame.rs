//! Frames: what stands on the one stream that each side of a connection opens.
//!
//! `type (u8), length (u32), payload`, integers big-endian. A type that is not known is
//! skipped, so that later versions can add some; a length above [`PAYLOAD_LEN_MAX`] ends the
//! connection, so that a reader never holds more than one frame of that size.

use bytes::{BufMut, Bytes, BytesMut};

use super::session::CloseCode;
use crate::id::MessageId;
use crate::limits::PRIVATE_BODY_LEN_MAX;

/// Bytes of a frame before its payload.
const HEAD_LEN: usize = 5;
/// Bytes of a MESSAGE before its body: id, hlc, kind, the byte that says whether an answered id
/// follows, and that id.
const MESSAGE_HEAD_LEN_MAX: usize = 16 + 8 + 1 + 1 + 16;
/// Longest payload of any frame.
pub(super) const PAYLOAD_LEN_MAX: usize = MESSAGE_HEAD_LEN_MAX + PRIVATE_BODY_LEN_MAX;

const MESSAGE: u8 = 1;
const ACK: u8 = 2;
const OPEN: u8 = 3;

/// A private message as it travels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PrivateMessage {
    /// Chosen at random by its author; the same each time it is sent again.
    pub id: MessageId,
    /// Hybrid logical clock: 48 bits of milliseconds, 16 bits of counter.
    pub hlc: u64,
    /// What the body is; 1 is text, 2 an action.
    pub kind: u8,
    /// At most [`PRIVATE_BODY_LEN_MAX`] bytes, not checked to be UTF-8.
    pub body: Vec<u8>,
    /// The message that it answers.
    pub answers: Option<MessageId>,
}

/// A frame that came in.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Frame {
    /// A private message.
    Message(PrivateMessage),
    /// The message of this id is stored.
    Ack(MessageId),
    /// How many connections, one replacing the other on purpose, lie before this one. The
    /// first frame of the side that dialled, and of it alone.
    Open(u32),
}

/// The bytes of a MESSAGE.
pub(super) fn message(message: &PrivateMessage) -> Bytes {
    let answers = if message.answers.is_some() { 16 } else { 0 };
    let length = MESSAGE_HEAD_LEN_MAX - 16 + answers + message.body.len();
    let mut frame = head(MESSAGE, length);
    frame.put_slice(&message.id.0);
    frame.put_u64(message.hlc);
    frame.put_u8(message.kind);
    frame.put_u8(u8::from(message.answers.is_some()));
    if let Some(answers) = &message.answers {
        frame.put_slice(&answers.0);
    }
    frame.put_slice(&message.body);
    frame.freeze()
}

/// The bytes of an ACK.
pub(super) fn ack(id: &MessageId) -> Bytes {
    let mut frame = head(ACK, id.0.len());
    frame.put_slice(&id.0);
    frame.freeze()
}

/// The bytes of an OPEN.
pub(super) fn open(generation: u32) -> Bytes {
    let mut frame = head(OPEN, 4);
    frame.put_u32(generation);
    frame.freeze()
}

fn head(kind: u8, length: usize) -> BytesMut {
    let mut frame = BytesMut::with_capacity(HEAD_LEN + length);
    frame.put_u8(kind);
    // Our own frames are within PAYLOAD_LEN_MAX; the saturated length would be refused.
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    frame
}

/// Puts frames together again from the bytes of a stream.
#[derive(Debug, Default)]
pub(super) struct FrameReader {
    /// The head as far as it is read.
    head: [u8; HEAD_LEN],
    head_len: usize,
    /// Bytes of the payload still to come; of meaning once the head is whole.
    left: usize,
    /// The payload so far; stays empty for a type that is skipped.
    payload: Vec<u8>,
}

impl FrameReader {
    /// How many bytes may be fed now, at least 1: never beyond the end of a frame.
    pub(super) fn wanted(&self) -> usize {
        if self.head_len < HEAD_LEN {
            HEAD_LEN - self.head_len
        } else {
            self.left
        }
    }

    /// Takes bytes, at most [`FrameReader::wanted`]; what is beyond is dropped.
    ///
    /// # Errors
    /// The connection must be closed with this code.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Option<Frame>, CloseCode> {
        let bytes = &bytes[..bytes.len().min(self.wanted())];
        if self.head_len < HEAD_LEN {
            self.head[self.head_len..self.head_len + bytes.len()].copy_from_slice(bytes);
            self.head_len += bytes.len();
            if self.head_len < HEAD_LEN {
                return Ok(None);
            }
            let [_, length @ ..] = self.head;
            self.left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
            if self.left > PAYLOAD_LEN_MAX {
                return Err(CloseCode::FrameTooLong);
            }
        } else {
            self.left -= bytes.len();
            if matches!(self.head[0], MESSAGE | ACK | OPEN) {
                self.payload.extend_from_slice(bytes);
            }
        }
        if self.left > 0 {
            return Ok(None);
        }
        self.head_len = 0;
        let payload = std::mem::take(&mut self.payload);
        parse(self.head[0], &payload)
    }
}

/// What is beyond the fields of an ACK or an OPEN is left for later versions.
fn parse(kind: u8, payload: &[u8]) -> Result<Option<Frame>, CloseCode> {
    let frame = match kind {
        MESSAGE => parse_message(payload).map(Frame::Message),
        ACK => payload.first_chunk().map(|&id| Frame::Ack(MessageId(id))),
        OPEN => payload
            .first_chunk()
            .map(|&bytes| Frame::Open(u32::from_be_bytes(bytes))),
        _ => return Ok(None),
    };
    frame.map(Some).ok_or(CloseCode::BadFrame)
}

fn parse_message(payload: &[u8]) -> Option<PrivateMessage> {
    let (&id, rest) = payload.split_first_chunk()?;
    let (&hlc, rest) = rest.split_first_chunk()?;
    let (&[kind, answers], rest) = rest.split_first_chunk()?;
    let (answers, body) = match answers {
        0 => (None, rest),
        1 => {
            let (&id, rest) = rest.split_first_chunk()?;
            (Some(MessageId(id)), rest)
        }
        _ => return None,
    };
    // Without an answered id 16 bytes more would fit into the frame.
    (body.len() <= PRIVATE_BODY_LEN_MAX).then(|| PrivateMessage {
        id: MessageId(id),
        hlc: u64::from_be_bytes(hlc),
        kind,
        body: body.to_vec(),
        answers,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(body: Vec<u8>, answers: Option<MessageId>) -> PrivateMessage {
        PrivateMessage {
            id: MessageId([7; 16]),
            hlc: 0x0102_0304_0506_0708,
            kind: 1,
            body,
            answers,
        }
    }

    /// Feeds `bytes` in pieces of at most `step`.
    fn read(bytes: &[u8], step: usize) -> Result<Vec<Frame>, CloseCode> {
        let mut reader = FrameReader::default();
        let mut frames = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let end = (at + step.min(reader.wanted())).min(bytes.len());
            frames.extend(reader.feed(&bytes[at..end])?);
            assert!(reader.payload.len() <= PAYLOAD_LEN_MAX);
            at = end;
        }
        Ok(frames)
    }

    #[test]
    fn a_message_is_these_bytes() {
        let bytes = message(&sample(b"hi".to_vec(), Some(MessageId([9; 16]))));
        let mut expected = vec![1, 0, 0, 0, 44];
        expected.extend([7; 16]);
        expected.extend([1, 2, 3, 4, 5, 6, 7, 8, 1, 1]);
        expected.extend([9; 16]);
        expected.extend(b"hi");
        assert_eq!(bytes, expected);
        assert_eq!(ack(&MessageId([3; 16]))[..6], [2, 0, 0, 0, 16, 3]);
        assert_eq!(open(258)[..], [3, 0, 0, 0, 4, 0, 0, 1, 2]);
    }

    #[test]
    fn frames_come_out_whole_however_they_are_cut() {
        let long = sample(vec![0xee; PRIVATE_BODY_LEN_MAX], Some(MessageId([1; 16])));
        let short = sample(Vec::new(), None);
        let mut bytes = message(&long).to_vec();
        bytes.extend([200, 0, 0, 0, 3, 1, 2, 3]);
        bytes.extend([201, 0, 0, 0, 0]);
        bytes.extend(message(&short));
        bytes.extend(ack(&MessageId([5; 16])));
        bytes.extend(open(4));
        for step in [1, 7, 1200, usize::MAX] {
            let frames = read(&bytes, step).expect("good frames");
            let expected = [
                Frame::Message(long.clone()),
                Frame::Message(short.clone()),
                Frame::Ack(MessageId([5; 16])),
                Frame::Open(4),
            ];
            assert!(frames == expected, "step {step}");
        }
    }

    #[test]
    fn what_is_too_long_or_short_closes() {
        let too_long = u32::try_from(PAYLOAD_LEN_MAX + 1)
            .expect("fits")
            .to_be_bytes();
        for kind in [1, 2, 200] {
            let mut bytes = vec![kind];
            bytes.extend(too_long);
            assert_eq!(read(&bytes, 3), Err(CloseCode::FrameTooLong));
        }
        assert_eq!(read(&[2, 0, 0, 0, 2, 1, 1], 9), Err(CloseCode::BadFrame));
        assert_eq!(read(&[3, 0, 0, 0, 0], 9), Err(CloseCode::BadFrame));
        assert_eq!(read(&[1, 0, 0, 0, 1, 1], 9), Err(CloseCode::BadFrame));
        let mut marker = message(&sample(Vec::new(), None)).to_vec();
        marker[HEAD_LEN + 25] = 2;
        assert_eq!(read(&marker, 99), Err(CloseCode::BadFrame));
        let over = message(&sample(vec![0; PRIVATE_BODY_LEN_MAX + 1], None));
        assert_eq!(read(&over, 4096), Err(CloseCode::BadFrame));
    }

    proptest! {
        #[test]
        fn any_bytes_are_frames_or_an_error(
            bytes in proptest::collection::vec(any::<u8>(), 0..400), step in 1_usize..50
        ) {
            let _ = read(&bytes, step);
        }
    }
}
