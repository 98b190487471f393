//! Own messages on their way: who has each, and to whom it goes again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::OwnSender;
use crate::api::{PeerRef, ReceiptState};
use crate::id::{MessageId, NetworkId, PeerId};
use crate::proto::group::ack::ack_delay;
use crate::proto::group::runs::Runs;

/// Most times that an entry goes again by unicast to a member that does not acknowledge it.
const RESENDS_MAX: u32 = 16;
/// After this many of them in vain the member is asked for a sign of life.
const DOUBT_AFTER: u32 = 3;
/// Slowest pace of that; the pace halves with every second one.
const RESEND_SLOWEST: Duration = Duration::from_secs(5);
/// Most entries on their way that somebody has not acknowledged; a socket's buffer holds some hundred.
const WINDOW: u32 = 128;
/// For so long they count: whoever acknowledges nothing makes nobody wait longer.
const WINDOW_TIME: Duration = Duration::from_millis(300);
/// A slow moment on the way of an ACK.
const ACK_SLACK: Duration = Duration::from_millis(10);

/// An own message on its way.
pub struct Followed {
    /// The message's id.
    pub id: MessageId,
    /// Whether it is all of the message or its last part, of which the receipt is.
    pub ends: bool,
    /// The DATA packet, for byte-identical copies.
    pub packet: Vec<u8>,
    /// The entry, for repairs.
    pub entry: Vec<u8>,
    /// Members it is for, as events named them then.
    pub of: BTreeMap<PeerId, PeerRef>,
    /// Whether these are some of many.
    pub is_sampled: bool,
    /// Those that have it.
    pub acked: BTreeSet<PeerId>,
    /// Those that went before they had it.
    pub left: BTreeSet<PeerId>,
    pub(super) sent_at: Instant,
    pub(super) copies: u32,
    pub(super) next_copy: Option<Instant>,
    pub(super) resends: u32,
    pub(super) next_resend: Option<Instant>,
}

impl Followed {
    /// Members that neither have it nor left.
    pub fn missing(&self) -> impl Iterator<Item = &PeerId> {
        self.of
            .keys()
            .filter(|id| !self.acked.contains(id) && !self.left.contains(id))
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> ReceiptState {
        if self.missing().next().is_none() && !self.acked.is_empty() {
            ReceiptState::Delivered
        } else {
            ReceiptState::Sent
        }
    }
}

/// Who is to acknowledge a message.
pub struct Recipients {
    /// Members, as events name them.
    pub of: BTreeMap<PeerId, PeerRef>,
    /// Whether these are some of many.
    pub is_sampled: bool,
}

/// What goes again to one member by unicast.
#[derive(Default)]
pub struct Resend {
    /// The entries, with their numbers.
    pub entries: Vec<(u32, Vec<u8>)>,
    /// So often in vain that the address, or the member, may be dead.
    pub doubtful: bool,
}

impl OwnSender {
    /// Until when nothing more is said: [`WINDOW`] entries are on their way, and somebody did not
    /// acknowledge the first of them yet. Faster than that, what is said would find full sockets. An
    /// ACK ends it at once.
    #[must_use]
    pub fn window_closed_until(&self) -> Option<Instant> {
        let first = self.sent_seq.checked_sub(WINDOW - 1)?;
        let followed = self.followed.get(&first)?;
        followed
            .missing()
            .next()
            .map(|_| followed.sent_at + WINDOW_TIME)
    }

    /// Entries to send again by unicast: to whom, and which.
    pub fn take_resends(&mut self, now: Instant, rtt: Duration) -> BTreeMap<PeerId, Resend> {
        let mut due: BTreeMap<PeerId, Resend> = BTreeMap::new();
        for (&seq, followed) in &mut self.followed {
            if followed.next_resend.is_none_or(|at| at > now) {
                continue;
            }
            for member in followed.missing() {
                let resend = due.entry(*member).or_default();
                resend.entries.push((seq, followed.entry.clone()));
                resend.doubtful |= followed.resends >= DOUBT_AFTER;
            }
            followed.resends += 1;
            let wait = acked_within(rtt, followed.of.len());
            let wait = wait.saturating_mul(1 << (followed.resends / 2).min(10));
            let again = followed.resends < RESENDS_MAX && followed.missing().next().is_some();
            followed.next_resend = again.then(|| now + wait.min(RESEND_SLOWEST));
        }
        due
    }

    /// A member has everything up to `seq`. Returns the numbers whose receipt changed.
    pub fn acknowledged(
        &mut self,
        member: &PeerId,
        on: &BTreeSet<NetworkId>,
        seq: u32,
    ) -> Vec<u32> {
        let mut changed = Vec::new();
        let is_home = on.iter().any(|on| self.is_of(*on));
        let said_there: Vec<&Runs> = on.iter().filter_map(|on| self.said_on.get(on)).collect();
        // Who is on another network only passes over what was not said there.
        let was_there = |number| is_home || said_there.iter().any(|said| said.contains(number));
        for (&number, followed) in self.followed.range_mut(..=seq) {
            if !was_there(number) {
                continue;
            }
            if followed.of.contains_key(member) && followed.acked.insert(*member) {
                followed.left.remove(member);
                changed.push(number);
            }
        }
        changed
    }

    /// A member went. Returns the numbers whose receipt changed.
    pub fn member_left(&mut self, member: &PeerId) -> Vec<u32> {
        let mut changed = Vec::new();
        for (&number, followed) in &mut self.followed {
            let waits = followed.of.contains_key(member) && !followed.acked.contains(member);
            if waits && followed.left.insert(*member) {
                changed.push(number);
            }
        }
        changed
    }

    /// A member is back: what it has not acknowledged goes to it again. Returns the numbers whose
    /// receipt changed.
    pub fn member_back(&mut self, now: Instant, member: &PeerId) -> Vec<u32> {
        let mut changed = Vec::new();
        for (&number, followed) in &mut self.followed {
            if !followed.of.contains_key(member) || followed.acked.contains(member) {
                continue;
            }
            if followed.left.remove(member) {
                changed.push(number);
            }
            followed.resends = 0;
            followed.next_resend = Some(now);
        }
        changed
    }

    /// A followed message.
    #[must_use]
    pub fn followed(&self, seq: u32) -> Option<&Followed> {
        self.followed.get(&seq)
    }
}

/// Within this time so many members have acknowledged what reached them: the more there are, the
/// longer each holds its ACK back.
pub(super) fn acked_within(rtt: Duration, members: usize) -> Duration {
    rtt * 3 + ack_delay(members + 1) + ACK_SLACK
}
