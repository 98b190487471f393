//! The reasons for which an endpoint wants to be woken.

/// Why the endpoint wants to be woken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Timer {
    /// Nothing to wait for.
    Idle,
    /// HELLO, WELCOME, heartbeat, GOODBYE, probes, rows that change their state.
    Presence,
    /// Copies, heads, NACKs, ACKs, gaps, messages that wait for their turn.
    Group,
    /// QUIC.
    Direct,
}
