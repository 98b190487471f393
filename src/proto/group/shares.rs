//! What all may send together, and how much of that each of them may: who sends more is heard as if
//! it did not, so that a flooder slows nobody else.
//!
//! Nothing is taken from a share but by what verified, since anybody can name anybody.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::id::PeerId;
use crate::limits::{Limits, ROOM_AUTHORS_MAX};
use crate::proto::bucket::Bucket;

/// Above the budget of the group everybody slows down by this in each second.
const SLOWER: f64 = 0.7;
/// Below it everybody gets faster by this.
const FASTER: f64 = 1.1;
/// Lines a second that a person may always say.
const FLOOR: f64 = 1.0;
/// A share of lines is so many times what its owner may say by the own limits: what was lost and
/// repaired, or held up and comes at once, takes nothing from an honest one.
const RATE_SLACK: u32 = 2;
const BURST_SLACK: u32 = 4;
const SECOND: Duration = Duration::from_secs(1);
/// From one IP address no more counts than so many nodes may send: keys cost nothing.
const HOST_SHARES: u32 = 4;

/// How much was sent to the group in the last second, and what follows from it.
pub struct Load {
    began: Instant,
    packets: u32,
    bits: u64,
    packets_max: u32,
    bits_max: u64,
    /// Share of its rate at which a person may speak now.
    factor: f64,
    /// The least that it gets.
    least: f64,
}

impl Load {
    fn new(now: Instant, limits: &Limits) -> Self {
        Load {
            began: now,
            packets: 0,
            bits: 0,
            packets_max: limits.group_packets,
            bits_max: limits.group_bits.into(),
            factor: 1.0,
            least: (FLOOR / f64::from(limits.person_rate)).min(1.0),
        }
    }

    /// The factor of the own rates now.
    pub fn factor(&mut self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.began);
        let seconds = passed.as_secs();
        if seconds == 0 {
            return self.factor;
        }
        let is_over = self.packets > self.packets_max || self.bits > self.bits_max;
        let first = if is_over { SLOWER } else { FASTER };
        let quiet = i32::try_from(seconds - 1).unwrap_or(i32::MAX).min(100);
        let factor = (self.factor * first).max(self.least) * FASTER.powi(quiet);
        self.factor = factor.clamp(self.least, 1.0);
        (self.packets, self.bits) = (0, 0);
        self.began += SECOND * u32::try_from(seconds).unwrap_or(u32::MAX);
        self.factor
    }

    /// A packet of this length in bytes went to the group.
    pub fn add(&mut self, now: Instant, len: usize) {
        self.factor(now);
        self.packets = self.packets.saturating_add(1);
        self.bits = self.bits.saturating_add(8 * len as u64);
    }
}

/// What one author has left of its share.
struct Share {
    lines: Bucket,
    packets: Bucket,
}

/// All shares.
pub struct Shares {
    of: BTreeMap<PeerId, Share>,
    /// Packets to the group from one IP address.
    hosts: BTreeMap<IpAddr, Bucket>,
    lines: (u32, u32),
    packets: (u32, u32),
    /// What all send together.
    pub load: Load,
}

impl Shares {
    /// Everybody has all of theirs.
    #[must_use]
    pub fn new(now: Instant, limits: &Limits) -> Self {
        let slack = |rate: u32, burst: u32| {
            let rate = rate.saturating_mul(RATE_SLACK);
            (rate, burst.saturating_mul(BURST_SLACK))
        };
        Shares {
            of: BTreeMap::new(),
            hosts: BTreeMap::new(),
            lines: slack(limits.person_rate, limits.person_burst),
            packets: (limits.node_rate, limits.node_burst),
            load: Load::new(now, limits),
        }
    }

    /// Whether this author may say one more line now.
    pub fn may_say(&mut self, now: Instant, author: &PeerId) -> bool {
        let share = self.of.get_mut(author);
        share.is_none_or(|share| share.lines.holds(now, 1))
    }

    /// Whether this peer may send one more packet to the group now.
    pub fn may_send(&mut self, now: Instant, peer: &PeerId) -> bool {
        let share = self.of.get_mut(peer);
        share.is_none_or(|share| share.packets.holds(now, 1))
    }

    /// How many lines of this author are asked for now: none while it says much more than it may.
    pub fn asked(&mut self, now: Instant, author: &PeerId) -> u32 {
        let most = self.lines.1;
        let Some(share) = self.of.get_mut(author) else {
            return most;
        };
        match share.lines.holds(now, most / 2) {
            true => share.lines.level(now),
            false => 0,
        }
    }

    /// When something of this author is asked for again.
    pub fn asked_at(&mut self, now: Instant, author: &PeerId) -> Instant {
        let most = self.lines.1;
        let share = self.of.get_mut(author);
        share.map_or(now, |share| share.lines.ready_for(now, most / 2))
    }

    /// A genuine line of this author came, however.
    pub fn said(&mut self, now: Instant, author: &PeerId) {
        self.share(now, author).lines.take(now, 1);
    }

    /// A genuine packet of this length in bytes came by a group. It counts as far as the shares of
    /// its sender and of the address that it came from go.
    pub fn sent(&mut self, now: Instant, (peer, from): (&PeerId, IpAddr), len: usize) {
        let is_counted = self.share(now, peer).packets.take(now, 1);
        if is_counted && self.host(now, from).take(now, 1) {
            self.load.add(now, len);
        }
    }

    fn host(&mut self, now: Instant, of: IpAddr) -> &mut Bucket {
        let (rate, burst) = self.packets;
        let rate = rate.saturating_mul(HOST_SHARES);
        let burst = burst.saturating_mul(HOST_SHARES);
        if self.hosts.len() >= ROOM_AUTHORS_MAX && !self.hosts.contains_key(&of) {
            self.hosts.retain(|_, bucket| !bucket.holds(now, burst));
            if self.hosts.len() >= ROOM_AUTHORS_MAX {
                self.hosts.pop_first();
            }
        }
        let full = || Bucket::new(now, rate, burst);
        self.hosts.entry(of).or_insert_with(full)
    }

    fn share(&mut self, now: Instant, of: &PeerId) -> &mut Share {
        let (lines, packets) = (self.lines, self.packets);
        if self.of.len() >= ROOM_AUTHORS_MAX && !self.of.contains_key(of) {
            self.of.retain(|_, share| {
                !share.lines.holds(now, lines.1) || !share.packets.holds(now, packets.1)
            });
            if self.of.len() >= ROOM_AUTHORS_MAX {
                self.of.pop_first();
            }
        }
        self.of.entry(*of).or_insert_with(|| Share {
            lines: Bucket::new(now, lines.0, lines.1),
            packets: Bucket::new(now, packets.0, packets.1),
        })
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    fn shares(now: Instant) -> Shares {
        Shares::new(now, &Limits::default())
    }

    fn host(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    /// Sends so many packets in each of these seconds, of enough people to fit their shares.
    fn seconds(shares: &mut Shares, from: Instant, packets: u32, seconds: u32) -> Instant {
        for second in 0..seconds {
            let now = from + SECOND * second;
            for packet in 0..packets {
                let number = u8::try_from(packet % 20).unwrap();
                shares.sent(now, (&PeerId([number; 32]), host(number)), 100);
            }
        }
        from + SECOND * seconds
    }

    #[test]
    fn above_the_budget_everybody_slows_down_to_a_line_a_second_and_recovers() {
        let now = Instant::now();
        let mut shares = shares(now);
        let at = seconds(&mut shares, now, 200, 3);
        assert!((shares.load.factor(at) - 1.0).abs() < 1e-9, "not above it");
        let at = seconds(&mut shares, at, 201, 1);
        assert!((shares.load.factor(at) - SLOWER).abs() < 1e-9);
        let at = seconds(&mut shares, at, 300, 20);
        assert!((5.0 * shares.load.factor(at) - FLOOR).abs() < 1e-9);
        let at = at + SECOND;
        assert!((5.0 * shares.load.factor(at) - FLOOR * FASTER).abs() < 1e-9);
        let at = at + SECOND * 20;
        assert!((shares.load.factor(at) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn long_packets_count_by_their_bits() {
        let now = Instant::now();
        let mut shares = shares(now);
        for packet in 0..110u8 {
            shares.sent(now, (&PeerId([packet; 32]), host(packet)), 1200);
        }
        assert!(shares.load.factor(now + SECOND) < 0.71);
    }

    #[test]
    fn who_floods_counts_for_its_share_and_is_not_asked_for_more() {
        let now = Instant::now();
        let mut shares = shares(now);
        let (flooder, ben) = (PeerId([1; 32]), PeerId([2; 32]));
        for ms in 0..3000 {
            let now = now + Duration::from_millis(ms);
            if shares.may_say(now, &flooder) {
                shares.said(now, &flooder);
            }
            shares.sent(now, (&flooder, host(1)), 300);
            assert!(shares.may_say(now, &ben));
        }
        let at = now + SECOND * 3;
        assert!(
            (shares.load.factor(at) - 1.0).abs() < 1e-9,
            "it slows nobody"
        );
        assert!(!shares.may_send(at, &flooder) || shares.asked(at, &flooder) == 0);
        assert_eq!(shares.asked(at, &flooder), 0);
        let again = shares.asked_at(at, &flooder);
        assert!(shares.asked(again, &flooder) >= 20);
        assert_eq!(shares.asked(at, &ben), 40);
    }

    #[test]
    fn many_keys_of_one_host_count_for_a_few() {
        let now = Instant::now();
        let mut shares = shares(now);
        for ms in 0..10_000_u64 {
            let now = now + Duration::from_millis(ms);
            if ms % 4 == 0 {
                // Seven keys, each within its own share.
                let key = u8::try_from(ms / 4 % 7).unwrap();
                shares.sent(now, (&PeerId([key; 32]), host(1)), 100);
            }
        }
        let at = now + SECOND * 10;
        assert!(
            (shares.load.factor(at) - 1.0).abs() < 1e-9,
            "it slows nobody"
        );
        for number in 0..5000u32 {
            let from = IpAddr::from(number.to_be_bytes());
            shares.sent(at, (&PeerId([9; 32]), from), 100);
        }
        assert!(shares.hosts.len() <= ROOM_AUTHORS_MAX);
    }

    #[test]
    fn shares_are_bounded() {
        let now = Instant::now();
        let mut shares = shares(now);
        for number in 0..5000u32 {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&number.to_be_bytes());
            shares.said(now, &PeerId(id));
        }
        assert!(shares.of.len() <= ROOM_AUTHORS_MAX);
    }
}
