//! When a link that came gets a burst of HELLOs: at once, but later and later if it comes and
//! goes all the time, as a loose plug or a card at the edge of its radio's reach does.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::datagram::Link;
use crate::limits::INTERFACES_MAX;

/// Between two bursts for one link; doubles while it flaps.
const HOLD_MIN: Duration = Duration::from_secs(2);
/// Longest wait for a burst.
const HOLD_MAX: Duration = Duration::from_secs(60);
/// Links remembered, those that are gone included.
const LINKS_MAX: usize = 4 * INTERFACES_MAX;

/// The links that came or went, by name: a card that is plugged in again has another index.
#[derive(Default)]
pub(super) struct Flapping {
    links: BTreeMap<String, History>,
    burst_at: Option<Instant>,
}

/// What became of one link.
struct History {
    /// When its last burst began or will begin.
    burst: Option<Instant>,
    /// How long after that the next may begin.
    hold: Duration,
    /// It lost an address, or everything, since.
    lost: bool,
}

impl Flapping {
    /// The links are others now. Returns when a burst shall begin; none where nothing is new to
    /// whoever is on them.
    pub(super) fn links_changed(
        &mut self,
        now: Instant,
        before: &[Link],
        after: &[Link],
    ) -> Option<Instant> {
        if before.is_empty() {
            return Some(now);
        }
        for gone in before.iter().filter(|link| has_more(link, after)) {
            self.history(now, &gone.name).lost = true;
        }
        let came = |link: &&Link| link.group && has_more(link, before);
        after
            .iter()
            .filter(came)
            .map(|link| self.history(now, &link.name).gained(now))
            .min()
    }

    /// Keeps a burst for later.
    pub(super) fn postpone(&mut self, at: Instant) {
        self.burst_at = Some(self.burst_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// When the burst that was kept is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.burst_at
    }

    /// Whether it is due; asked once.
    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        self.burst_at.take_if(|at| *at <= now).is_some()
    }

    fn history(&mut self, now: Instant, name: &str) -> &mut History {
        if self.links.len() >= LINKS_MAX && !self.links.contains_key(name) {
            self.links.retain(|_, history| !history.is_quiet(now));
        }
        if self.links.len() >= LINKS_MAX && !self.links.contains_key(name) {
            self.links.clear();
        }
        self.links.entry(name.to_owned()).or_insert(History {
            burst: None,
            hold: HOLD_MIN,
            lost: false,
        })
    }
}

impl History {
    /// It came, or has another address. Returns when its burst shall begin.
    fn gained(&mut self, now: Instant) -> Instant {
        let flapped = std::mem::take(&mut self.lost);
        let Some(last) = self.burst else {
            self.burst = Some(now);
            return now;
        };
        if last > now {
            return last;
        }
        if self.is_quiet(now) {
            self.hold = HOLD_MIN;
        }
        // Addresses that come one after the other are no flapping.
        let mut wait = HOLD_MIN;
        if flapped {
            wait = self.hold;
            self.hold = (self.hold * 2).min(HOLD_MAX);
        }
        let at = now.max(last + wait);
        self.burst = Some(at);
        at
    }

    /// Whether it was left alone long enough to begin anew.
    fn is_quiet(&self, now: Instant) -> bool {
        self.burst.is_none_or(|last| now >= last + self.hold * 2)
    }
}

/// Whether a link has an address that it does not have among `others`.
fn has_more(link: &Link, others: &[Link]) -> bool {
    let Some(other) = others
        .iter()
        .find(|other| other.id == link.id && other.name == link.name && other.group == link.group)
    else {
        return true;
    };
    let new4 = link.v4.iter().any(|address| !other.v4.contains(address));
    let new6 = link.v6.iter().any(|address| !other.v6.contains(address));
    new4 || new6
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use crate::datagram::{LinkAddress4, LinkId};

    fn link(name: &str, index: u32, hosts: &[u8]) -> Link {
        Link {
            id: LinkId(index),
            name: name.to_owned(),
            loopback: false,
            v4: hosts
                .iter()
                .map(|&host| LinkAddress4 {
                    address: [10, 0, 0, host].into(),
                    prefix_len: 24,
                })
                .collect(),
            v6: Vec::new(),
            group: true,
            gateway: None,
        }
    }

    fn seconds(tenths: u64) -> Duration {
        Duration::from_millis(tenths * 100)
    }

    #[test]
    fn what_comes_gets_a_burst_at_once_and_what_goes_none() {
        let now = Instant::now();
        let mut flapping = Flapping::default();
        let eth0 = link("eth0", 2, &[1]);
        let eth1 = link("eth1", 3, &[9]);
        let mut change = |before: &[Link], after: &[Link], at| {
            flapping
                .links_changed(now + at, before, after)
                .map(|burst| burst - now)
        };
        let both = [eth0.clone(), eth1.clone()];
        let one = std::slice::from_ref(&eth0);
        assert_eq!(change(&[], one, seconds(0)), Some(seconds(0)));
        assert_eq!(change(one, &both, seconds(1)), Some(seconds(1)));
        assert_eq!(change(&both, one, seconds(2)), None);
        assert_eq!(change(one, &[], seconds(3)), None);
        let tunnel = Link {
            group: false,
            gateway: None,
            ..link("wg0", 7, &[3])
        };
        assert_eq!(
            change(one, &[eth0.clone(), tunnel], seconds(4)),
            None,
            "nobody is looked for there"
        );
        let again = [eth0.clone(), link("eth1", 8, &[9])];
        assert_eq!(
            change(one, &again, seconds(50)),
            Some(seconds(50)),
            "another index, and long after"
        );
    }

    #[test]
    fn addresses_that_come_one_by_one_share_a_burst_after_two_seconds() {
        let now = Instant::now();
        let mut flapping = Flapping::default();
        let links: Vec<Link> = (0..4)
            .map(|n| link("eth0", 2, &[1, 2, 3, 4][..n]))
            .collect();
        let lo = link("lo", 1, &[7]);
        let of = |n: usize| [lo.clone(), links[n].clone()];
        let mut bursts = Vec::new();
        for (n, at) in [(1, 10), (2, 15), (3, 25)] {
            let before = if n == 1 {
                vec![lo.clone()]
            } else {
                of(n - 1).to_vec()
            };
            let at = flapping.links_changed(now + seconds(at), &before, &of(n));
            bursts.push(at.map(|at| at - now));
        }
        assert_eq!(
            bursts,
            [Some(seconds(10)), Some(seconds(30)), Some(seconds(30))]
        );
    }

    #[test]
    fn a_link_that_flaps_waits_twice_as_long_each_time_up_to_a_minute_until_it_is_quiet() {
        let now = Instant::now();
        let mut flapping = Flapping::default();
        let without = [link("lo", 1, &[7])];
        let with = [without[0].clone(), link("eth0", 2, &[1])];
        let mut bursts = Vec::new();
        let mut at = Duration::ZERO;
        while at < Duration::from_secs(400) {
            let burst = flapping.links_changed(now + at, &without, &with);
            let burst = burst.expect("something came") - now;
            if bursts.last() != Some(&burst) {
                bursts.push(burst);
            }
            let gone = at + Duration::from_secs(1);
            assert_eq!(flapping.links_changed(now + gone, &with, &without), None);
            at += Duration::from_secs(3);
        }
        let gaps: Vec<u64> = bursts.windows(2).map(|w| (w[1] - w[0]).as_secs()).collect();
        assert_eq!(gaps[..6], [3, 4, 8, 16, 32, 60]);
        assert!(gaps[6..].iter().all(|&gap| gap == 60), "{gaps:?}");
        let later = now + at + Duration::from_secs(300);
        assert_eq!(
            flapping.links_changed(later, &without, &with),
            Some(later),
            "back to normal"
        );
    }

    #[test]
    fn a_burst_that_was_kept_is_due_once() {
        let now = Instant::now();
        let mut flapping = Flapping::default();
        flapping.postpone(now + seconds(20));
        flapping.postpone(now + seconds(30));
        assert_eq!(flapping.deadline(), Some(now + seconds(20)));
        assert!(!flapping.take_due(now));
        assert!(flapping.take_due(now + seconds(20)));
        assert!(!flapping.take_due(now + seconds(40)));
        assert_eq!(flapping.deadline(), None);
    }

    #[test]
    fn ever_new_names_fill_no_memory() {
        let now = Instant::now();
        let mut flapping = Flapping::default();
        let lo = [link("lo", 1, &[7])];
        for n in 0..1000 {
            let with = [lo[0].clone(), link(&format!("usb{n}"), n + 2, &[1])];
            flapping.links_changed(now, &lo, &with);
            assert!(flapping.links.len() <= LINKS_MAX);
        }
    }
}
