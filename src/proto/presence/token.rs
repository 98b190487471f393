//! Tokens: what proves to a node that keeps no state that an address is the sender's own.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// A token is good for the rest of its epoch and for the next one.
const EPOCH: Duration = Duration::from_secs(10);
/// Length of a token.
const TOKEN_LEN: usize = 8;

/// Makes tokens, and knows its own again.
pub(super) struct Tokens {
    secret: [u8; 32],
    begun: Instant,
}

impl Tokens {
    /// `secret` is random.
    pub(super) fn new(now: Instant, secret: [u8; 32]) -> Self {
        Tokens { secret, begun: now }
    }

    /// A token for whoever gets what is sent to this address now.
    pub(super) fn issue(&self, now: Instant, to: SocketAddr) -> Vec<u8> {
        self.mac(to, self.epoch(now)).to_vec()
    }

    /// Whether this token was sent to this address in this epoch or the last.
    pub(super) fn accepts(&self, now: Instant, from: SocketAddr, token: &[u8]) -> bool {
        let epoch = self.epoch(now);
        let is_of = |epoch| {
            let mac = self.mac(from, epoch);
            // All bytes are looked at: how long it takes tells nobody where the first differs.
            let differing = mac.iter().zip(token).fold(0, |all, (a, b)| all | (a ^ b));
            differing == 0
        };
        token.len() == TOKEN_LEN && (is_of(epoch) || epoch.checked_sub(1).is_some_and(is_of))
    }

    fn epoch(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.begun).as_secs() / EPOCH.as_secs()
    }

    fn mac(&self, at: SocketAddr, epoch: u64) -> [u8; TOKEN_LEN] {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        match at.ip() {
            IpAddr::V4(ip) => hasher.update(&ip.octets()),
            IpAddr::V6(ip) => hasher.update(&ip.octets()),
        };
        hasher.update(&at.port().to_be_bytes());
        hasher.update(&epoch.to_be_bytes());
        let mut mac = [0; TOKEN_LEN];
        mac.copy_from_slice(&hasher.finalize().as_bytes()[..TOKEN_LEN]);
        mac
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_of_one_address_and_lasts_10_to_20_seconds() {
        let now = Instant::now();
        let tokens = Tokens::new(now, [7; 32]);
        let at = |host, port| SocketAddr::from(([10, 0, 0, host], port));
        let token = tokens.issue(now, at(1, 5263));
        assert!(tokens.accepts(now, at(1, 5263), &token));
        assert!(tokens.accepts(now + Duration::from_secs(19), at(1, 5263), &token));
        assert!(!tokens.accepts(now + Duration::from_secs(20), at(1, 5263), &token));
        assert!(!tokens.accepts(now, at(1, 5264), &token));
        assert!(!tokens.accepts(now, at(2, 5263), &token));
        assert!(!tokens.accepts(now, at(1, 5263), &token[..7]));
        assert!(!tokens.accepts(now, at(1, 5263), &[]));
        let other = Tokens::new(now, [8; 32]);
        assert!(!other.accepts(now, at(1, 5263), &token));
    }
}
