//! The LAN between the nodes: what gets through, when, how often; and a count of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::dice::Dice;

/// Probability that a datagram is lost, 0 to 1, by how it was sent: on Wi-Fi group datagrams are
/// not repeated by the radio, so they are lost ten times as often.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Loss {
    /// Of each receiver of a group datagram.
    pub group: f64,
    /// Of a unicast datagram.
    pub unicast: f64,
}

impl Loss {
    /// Both, in percent.
    #[must_use]
    pub fn percent(group: f64, unicast: f64) -> Loss {
        Loss {
            group: group / 100.0,
            unicast: unicast / 100.0,
        }
    }

    /// The worse of both.
    #[must_use]
    pub fn worst(&self) -> f64 {
        self.group.max(self.unicast)
    }

    fn of(&self, group: bool) -> f64 {
        if group { self.group } else { self.unicast }
    }
}

/// The state of the LAN; a scenario changes it as it likes.
#[derive(Clone, Debug)]
pub struct Network {
    /// Loss everywhere.
    pub loss: Loss,
    /// Loss from one node to another, in place of `loss`.
    pub links: BTreeMap<(usize, usize), Loss>,
    /// Nothing passes from one node to another.
    pub cut: BTreeSet<(usize, usize)>,
    /// Which part of a partitioned LAN a node is in; 0 where it is not listed.
    pub parts: BTreeMap<usize, u8>,
    /// Nodes that hear no group datagrams.
    pub deaf: BTreeSet<usize>,
    /// Nodes whose cable is pulled.
    pub unplugged: BTreeSet<usize>,
    /// Nodes on the way from one LAN to another.
    pub away: BTreeSet<usize>,
    /// Which of several LANs a node is in; 0 where it is not listed.
    pub segments: BTreeMap<usize, u8>,
    /// Nodes of whose datagrams, in and out, nine of ten are lost just now.
    pub faded: BTreeSet<usize>,
    /// Whether multicast passes.
    pub multicast: bool,
    /// Whether directed broadcast passes.
    pub broadcast: bool,
    /// Whether unicast passes.
    pub unicast: bool,
    /// Probability that a datagram comes twice.
    pub duplicated: f64,
    /// Probability that a datagram is held back for up to [`Network::held_max`].
    pub held: f64,
    /// See `held`.
    pub held_max: Duration,
    /// Shortest way from node to node.
    pub latency: Duration,
    /// Uniform on top of it.
    pub jitter: Duration,
    /// What was sent, by second of virtual time.
    pub traffic: Traffic,
}

impl Default for Network {
    fn default() -> Self {
        Network {
            loss: Loss::default(),
            links: BTreeMap::new(),
            cut: BTreeSet::new(),
            parts: BTreeMap::new(),
            deaf: BTreeSet::new(),
            unplugged: BTreeSet::new(),
            away: BTreeSet::new(),
            segments: BTreeMap::new(),
            faded: BTreeSet::new(),
            multicast: true,
            broadcast: true,
            unicast: true,
            duplicated: 0.0,
            held: 0.0,
            held_max: Duration::from_secs(2),
            latency: Duration::from_micros(150),
            jitter: Duration::from_micros(100),
            traffic: Traffic::default(),
        }
    }
}

/// What of a fade gets through.
const FADE_LOSS: f64 = 0.9;

impl Network {
    /// After how long a datagram arrives at one receiver: not at all, once, or twice.
    pub fn fate(
        &self,
        dice: &mut Dice,
        (from, to): (usize, usize),
        group: bool,
    ) -> [Option<Duration>; 2] {
        if from == to {
            // The host's own loop: no wire.
            return [Some(Duration::from_micros(20)), None];
        }
        if !self.connects(from, to) || (group && self.deaf.contains(&to)) {
            return [None, None];
        }
        let on_link = self.links.get(&(from, to)).unwrap_or(&self.loss);
        let faded = self.faded.contains(&from) || self.faded.contains(&to);
        if dice.chance(on_link.of(group)) || (faded && dice.chance(FADE_LOSS)) {
            return [None, None];
        }
        let first = self.delay(dice);
        let again = dice.chance(self.duplicated).then(|| self.delay(dice));
        [Some(first), again]
    }

    /// Whether anything can pass from one node to the other.
    #[must_use]
    pub fn connects(&self, from: usize, to: usize) -> bool {
        let part = |node| self.parts.get(&node).copied().unwrap_or(0);
        let is_off = |node| self.unplugged.contains(node) || self.away.contains(node);
        !is_off(&from)
            && !is_off(&to)
            && self.segment(from) == self.segment(to)
            && !self.cut.contains(&(from, to))
            && part(from) == part(to)
    }

    /// Which of several LANs a node is in.
    #[must_use]
    pub fn segment(&self, node: usize) -> u8 {
        self.segments.get(&node).copied().unwrap_or(0)
    }

    /// Whether a node is plugged into this LAN.
    #[must_use]
    pub fn is_in(&self, node: usize, segment: u8) -> bool {
        !self.away.contains(&node) && self.segment(node) == segment
    }

    fn delay(&self, dice: &mut Dice) -> Duration {
        let held = if dice.chance(self.held) {
            self.held_max.mul_f64(dice.unit())
        } else {
            Duration::ZERO
        };
        self.latency + self.jitter.mul_f64(dice.unit()) + held
    }

    /// Ends every fault; what base the LAN has (paths, latency) stays, and who is in which LAN.
    pub fn heal(&mut self) {
        self.loss = Loss::default();
        self.links.clear();
        self.cut.clear();
        self.parts.clear();
        self.deaf.clear();
        self.unplugged.clear();
        self.faded.clear();
        (self.duplicated, self.held) = (0.0, 0.0);
    }
}

/// What was sent in one second.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Group datagrams, each once however many hear it.
    pub group: u64,
    /// Their bytes of UDP payload.
    pub group_bytes: u64,
    /// Unicast datagrams.
    pub unicast: u64,
    /// Their bytes of UDP payload.
    pub unicast_bytes: u64,
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.group += other.group;
        self.group_bytes += other.group_bytes;
        self.unicast += other.unicast;
        self.unicast_bytes += other.unicast_bytes;
    }
}

/// Counts by second.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// Datagrams of each kind so far, by group and by unicast; while measuring.
    pub kinds: BTreeMap<(u8, bool), u64>,
    seconds: Vec<Counts>,
}

impl Traffic {
    /// Counts a datagram.
    pub fn count(&mut self, now: Duration, group: bool, len: usize) {
        let second = usize::try_from(now.as_secs()).unwrap_or(usize::MAX);
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, Counts::default());
        }
        let counts = &mut self.seconds[second];
        let len = len as u64;
        if group {
            counts.group += 1;
            counts.group_bytes += len;
        } else {
            counts.unicast += 1;
            counts.unicast_bytes += len;
        }
    }

    /// All that was sent in these seconds.
    #[must_use]
    pub fn sum(&self, from: u64, to: u64) -> Counts {
        let mut sum = Counts::default();
        let at = |second| usize::try_from(second).unwrap_or(usize::MAX);
        let range = at(from).min(self.seconds.len())..at(to).min(self.seconds.len());
        self.seconds[range]
            .iter()
            .for_each(|second| sum.add(second));
        sum
    }

    /// The most of each count in any `width` seconds in a row of this range, not averaged.
    #[must_use]
    pub fn peak(&self, from: u64, to: u64, width: u64) -> Counts {
        let mut most = Counts::default();
        for start in from..=to.saturating_sub(width).max(from) {
            let sum = self.sum(start, (start + width).min(to));
            most.group = most.group.max(sum.group);
            most.group_bytes = most.group_bytes.max(sum.group_bytes);
            most.unicast = most.unicast.max(sum.unicast);
            most.unicast_bytes = most.unicast_bytes.max(sum.unicast_bytes);
        }
        most
    }
}
