//! What an endpoint counted since its start.

/// Counters; each only grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Datagrams handed in.
    pub datagrams_in: u64,
    /// Datagrams handed out.
    pub datagrams_out: u64,
    /// Dropped: not well-formed.
    pub malformed: u64,
    /// Dropped: another version.
    pub other_version: u64,
    /// Dropped: the signature does not hold.
    pub bad_signature: u64,
    /// Dropped: seen before, or of a past run.
    pub replayed: u64,
    /// Dropped: a byte-identical copy, as expected with several paths.
    pub copies: u64,
    /// Dropped: over a rate or a cap.
    pub limited: u64,
    /// Dropped: from somebody unknown where a known sender is needed.
    pub unknown_sender: u64,
    /// Own packets that came back, as multicast loop and broadcast make them.
    pub own: u64,
    /// Signatures checked.
    pub verified: u64,
    /// NACKs sent.
    pub nacks_out: u64,
    /// Entries sent as repairs.
    pub repairs_out: u64,
}
