//! When a node speaks of itself: HELLO, WELCOME, HEARTBEAT, GOODBYE.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::datagram::LinkId;
use crate::id::{Nonce, PeerId};
use crate::proto::bucket::Bucket;
use crate::proto::core::Core;

/// Before the second HELLO; doubles from there to the heartbeat's interval (Trickle, RFC 6206).
const HELLO_INTERVAL: Duration = Duration::from_millis(250);
/// HELLOs of a burst; heartbeats take over from there.
const HELLO_BURST: u32 = 7;
/// Shortest mean interval of heartbeats.
const HEARTBEAT_MIN: Duration = Duration::from_secs(10);
/// Group packets of heartbeats a second that a link carries at most, however many people.
const HEARTBEATS_PER_SECOND: usize = 20;
/// Between two WELCOMEs to one peer.
const WELCOME_EVERY: Duration = Duration::from_millis(200);
/// WELCOMEs a second.
const WELCOME_RATE: u32 = 50;
/// Before the second GOODBYE.
const GOODBYE_AGAIN: Duration = Duration::from_millis(40);
/// Most HELLOs counted in the last second.
const HELLOS_MAX: usize = 1024;
/// WELCOMEs that wait at once: more than their rate lets through in the time that they wait.
const WELCOMES_MAX: usize = 64;
/// Above so many HELLOs heard in a second this node speaks less of itself.
const CROWD: usize = 100;

/// A WELCOME that waits for its turn.
#[derive(Clone, Copy, Debug)]
pub struct PendingWelcome {
    /// Where to.
    pub to: SocketAddr,
    /// The HELLO's nonce.
    pub echo: Nonce,
    /// The link that the HELLO came by.
    pub link: Option<LinkId>,
}

/// How far a leave is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leaving {
    /// Not leaving.
    No,
    /// The first GOODBYE is out, the second follows then.
    Second(Instant),
    /// Done.
    Done,
}

/// What is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// A HELLO.
    Hello,
    /// A heartbeat.
    Heartbeat,
    /// The second GOODBYE.
    Goodbye,
}

/// The schedule.
pub struct Beacon {
    hello_at: Option<Instant>,
    hello_count: u32,
    /// When the last HELLO went.
    hello_last: Option<Instant>,
    heartbeat_at: Option<Instant>,
    /// By when they go.
    welcomes: BTreeMap<(Instant, PeerId), PendingWelcome>,
    /// Whom they are for.
    waiting: BTreeSet<PeerId>,
    welcomed: VecDeque<(PeerId, Instant)>,
    welcome_rate: Bucket,
    hellos: VecDeque<Instant>,
    /// Nonce of the HELLOs of this burst.
    pub nonce: Nonce,
    /// How far a leave is.
    pub leaving: Leaving,
    /// Heartbeats sent, for the rotation of paths.
    pub heartbeats: usize,
}

impl Beacon {
    /// Nothing scheduled.
    pub fn new(now: Instant) -> Self {
        Beacon {
            hello_at: None,
            hello_count: 0,
            hello_last: None,
            heartbeat_at: None,
            welcomes: BTreeMap::new(),
            waiting: BTreeSet::new(),
            welcomed: VecDeque::new(),
            welcome_rate: Bucket::new(now, WELCOME_RATE, WELCOME_RATE),
            hellos: VecDeque::new(),
            nonce: Nonce([0; 8]),
            leaving: Leaving::No,
            heartbeats: 0,
        }
    }

    /// Starts a burst of HELLOs after at most `jitter`, and heartbeats behind it.
    pub fn burst(&mut self, core: &mut Core, now: Instant, jitter: Duration, population: usize) {
        self.nonce = core.nonce();
        self.hello_count = 0;
        // However often something changes, HELLOs keep their shortest distance.
        let earliest = self.hello_last.map_or(now, |last| last + HELLO_INTERVAL);
        self.hello_at = Some(earliest.max(now + core.jitter(jitter)));
        self.heartbeat_at = Some(now + heartbeat_interval(core, population));
    }

    /// Ends all but what a leave still sends.
    pub fn stop(&mut self, leaving: Leaving) {
        self.hello_at = None;
        self.heartbeat_at = None;
        self.welcomes.clear();
        self.waiting.clear();
        self.leaving = leaving;
    }

    /// The first GOODBYE is out.
    pub fn goodbye_sent(&mut self, now: Instant) {
        self.stop(Leaving::Second(now + GOODBYE_AGAIN));
    }

    /// A HELLO was heard: plans the WELCOME, thinned out so that a crowd is not greeted by a
    /// crowd. Returns when it will go, if it will.
    pub fn plan_welcome(
        &mut self,
        core: &mut Core,
        now: Instant,
        peer: PeerId,
        welcome: PendingWelcome,
        population: usize,
    ) -> Option<Instant> {
        let recent = |&(id, at): &(PeerId, Instant)| id == peer && now < at + WELCOME_EVERY;
        let full = self.welcomes.len() >= WELCOMES_MAX;
        if full || self.waiting.contains(&peer) || self.welcomed.iter().any(recent) {
            return None;
        }
        let crowd = self.hellos_heard(now);
        let wanted = (64 / (1 + crowd)).clamp(3, 32);
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let probability = wanted as f64 / population as f64;
        if core.unit() >= probability {
            return None;
        }
        let most = Duration::from_millis(2).saturating_mul(u32::try_from(population).unwrap_or(50));
        let at = now + core.jitter(most.min(Duration::from_millis(100)));
        self.waiting.insert(peer);
        self.welcomes.insert((at, peer), welcome);
        Some(at)
    }

    /// Counts a HELLO.
    pub fn hello_heard(&mut self, now: Instant) {
        self.hellos_heard(now);
        if self.hellos.len() < HELLOS_MAX {
            self.hellos.push_back(now);
        }
    }

    /// HELLOs heard in the last second, 1024 at most.
    pub fn hellos_heard(&mut self, now: Instant) -> usize {
        let old = |&at: &Instant| now > at + Duration::from_secs(1);
        while self.hellos.front().is_some_and(old) {
            self.hellos.pop_front();
        }
        self.hellos.len()
    }

    /// Whether so many come in that each has to say less.
    pub fn is_crowded(&mut self, now: Instant) -> bool {
        self.hellos_heard(now) > CROWD
    }

    /// A WELCOME whose time has come.
    pub fn take_welcome(&mut self, now: Instant) -> Option<(PeerId, PendingWelcome)> {
        let due = self.welcomes.first_entry();
        let due = due.filter(|due| due.key().0 <= now)?;
        let ((_, peer), welcome) = due.remove_entry();
        self.waiting.remove(&peer);
        if !self.welcome_rate.take(now, 1) {
            return None;
        }
        let old = |&(_, at): &(PeerId, Instant)| now > at + WELCOME_EVERY;
        while self.welcomed.front().is_some_and(old) {
            self.welcomed.pop_front();
        }
        self.welcomed.push_back((peer, now));
        Some((peer, welcome))
    }

    /// What is due, with the next of its kind already planned.
    pub fn take_due(&mut self, core: &mut Core, now: Instant, population: usize) -> Option<Due> {
        if let Leaving::Second(at) = self.leaving
            && at <= now
        {
            self.leaving = Leaving::Done;
            return Some(Due::Goodbye);
        }
        if self.hello_at.is_some_and(|at| at <= now) {
            self.hello_count += 1;
            self.hello_last = Some(now);
            let interval = HELLO_INTERVAL * (1 << (self.hello_count - 1).min(5));
            let crowded = if self.is_crowded(now) { 2 } else { 1 };
            let spread = interval.mul_f64(0.8 + 0.4 * core.unit()) * crowded;
            self.hello_at = (self.hello_count < HELLO_BURST).then(|| now + spread);
            return Some(Due::Hello);
        }
        if self.heartbeat_at.is_some_and(|at| at <= now) {
            self.heartbeats += 1;
            self.heartbeat_at = Some(now + heartbeat_interval(core, population));
            return Some(Due::Heartbeat);
        }
        None
    }

    /// When something is due next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let goodbye = match self.leaving {
            Leaving::Second(at) => Some(at),
            Leaving::No | Leaving::Done => None,
        };
        let welcome = self.welcomes.keys().next().map(|&(at, _)| at);
        [goodbye, self.hello_at, self.heartbeat_at, welcome]
            .into_iter()
            .flatten()
            .min()
    }
}

/// T_hb: `max(10 s, N / 20)`, 25 % either way.
fn heartbeat_interval(core: &mut Core, population: usize) -> Duration {
    heartbeat_mean(population).mul_f64(0.75 + 0.5 * core.unit())
}

/// The mean of it.
#[must_use]
pub fn heartbeat_mean(population: usize) -> Duration {
    let seconds = u64::try_from(population / HEARTBEATS_PER_SECOND).unwrap_or(u64::MAX);
    Duration::from_secs(seconds).max(HEARTBEAT_MIN)
}
