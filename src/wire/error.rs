//! Why bytes are no packet, and why a packet cannot be bytes.

/// The cause, counted by the endpoint; the sender learns nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum ParseError {
    /// Not our first byte.
    #[error("not lanchat")]
    Magic,
    /// Another version, and not a HELLO.
    #[error("another version")]
    Version,
    /// A type or path byte that this version does not have.
    #[error("unknown type")]
    Unknown,
    /// Shorter than its fields say, or longer.
    #[error("truncated or trailing bytes")]
    Length,
    /// A field out of its range.
    #[error("a field is out of range")]
    Range,
    /// Text that is not UTF-8, or no name.
    #[error("bad text")]
    Text,
    /// Not sealed with the key of this room.
    #[error("sealed with another key")]
    Sealed,
}

/// What keeps a value from being sent; nothing was signed or sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum EmitError {
    /// The datagram, the record or a field would be longer than allowed.
    #[error("too long")]
    TooLong,
    /// A list holds more than its packet may carry.
    #[error("too many elements")]
    TooMany,
    /// A field has a value that every receiver would refuse.
    #[error("a field is out of range")]
    Range,
}
