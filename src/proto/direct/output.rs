//! What private chat and streams over QUIC want done, and tell.

use std::net::SocketAddr;

use super::{PrivateMessage, StreamKey};
use crate::datagram::Transmit;
use crate::id::{MessageId, PublicKey};

/// What [`Direct`](super::Direct) wants done, or tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DirectOutput {
    /// Send this.
    Transmit(Transmit),
    /// A private message came whole; store it, then call [`Direct::acknowledge`](super::Direct::acknowledge). The same id
    /// may come again; a stored one is acknowledged again.
    Message {
        /// Who wrote it; proven.
        from: PublicKey,
        /// Where it came from.
        source: SocketAddr,
        /// The message.
        message: PrivateMessage,
    },
    /// A message was written to a connection with the peer (state `sent`); once per message.
    Sent {
        /// To whom.
        peer: PublicKey,
        /// Which.
        id: MessageId,
    },
    /// The peer stored a message.
    Acknowledged {
        /// Who.
        peer: PublicKey,
        /// Which.
        id: MessageId,
    },
    /// A connection with this peer is up. Comes again for a second connection, as when both
    /// dialled at once.
    Connected {
        /// Who.
        peer: PublicKey,
        /// Where; proven by the handshake.
        address: SocketAddr,
    },
    /// No connection is left or could be made, and none is under way.
    Lost {
        /// With whom.
        peer: PublicKey,
        /// What was not acknowledged, in order; it goes again at the next [`Direct::send`](super::Direct::send) or
        /// [`Direct::dial`](super::Direct::dial).
        unacknowledged: Vec<MessageId>,
    },
    /// A stream is on a connection: one of the peer's, or one that was opened here.
    StreamOpened {
        /// With whom.
        peer: PublicKey,
        /// Which.
        key: StreamKey,
        /// Whether this side opened it.
        ours: bool,
    },
    /// A frame came whole. More come until too much is in hand: call [`Direct::take_frame`](super::Direct::take_frame) with
    /// its length and 5 bytes for its head.
    StreamFrame {
        /// On which stream.
        key: StreamKey,
        /// Its type.
        kind: u8,
        /// What stands in it.
        payload: Vec<u8>,
    },
    /// A frame was refused, and there is room again.
    StreamWritable {
        /// On which stream.
        key: StreamKey,
    },
    /// The peer ended its half; the own one stays open.
    StreamEnded {
        /// Of which stream.
        key: StreamKey,
    },
    /// A stream is over.
    StreamClosed {
        /// Which.
        key: StreamKey,
        /// It was reset or its connection ended; else both sides ended it.
        lost: bool,
    },
}
