//! When rosters are compared: by the digests of WELCOMEs and heartbeats, and by news.

use std::time::Duration;

use super::digest::Sums;
use super::sync::Responder;
use super::{Heard, Presence, reaches};
use crate::datagram::{Arrival, Link, LinkId};
use crate::id::ShortId;
use crate::proto::Now;
use crate::proto::core::Core;
use crate::wire::{Heartbeat, News, Welcome};

/// Above this many peers not all of them greet a newcomer: it asks at once.
const GREETERS_MAX: u32 = 32;
/// WELCOMEs are over when none came for this long.
const QUIET: Duration = Duration::from_millis(30);
/// Upper bound of the delay where a heartbeat shows a difference: many see it at once.
const DIFFERS_JITTER: Duration = Duration::from_secs(2);
/// Whoever greeted lately, to go on with where one does not answer.
const GREETERS_KEPT: usize = 8;
/// N where three peers together ask for what all of them lack.
const ASKERS: f64 = 3.0;

impl Presence {
    /// The link that a packet came by: as the socket tells, else by its source.
    pub(super) fn link_of<'a>(core: &'a Core, arrival: &Arrival) -> Option<&'a Link> {
        let told = |link: &&Link| Some(link.id) == arrival.link;
        let near = |link: &&Link| reaches(std::slice::from_ref(*link), arrival.source);
        let mut links = core.links.iter();
        core.links.iter().find(told).or_else(|| links.find(near))
    }

    /// Who is validated on a link, with this node: what others are told.
    pub(super) fn told_on(&self, link: Option<LinkId>) -> Sums {
        let others = link.map(|link| self.roster.told(link));
        others.unwrap_or_default().with(self.own_mark)
    }

    /// Who is listed on a link, with this node.
    pub(super) fn known_on(&self, link: Option<LinkId>) -> Sums {
        let others = link.map(|link| self.roster.known(link));
        others.unwrap_or_default().with(self.own_mark)
    }

    /// Whether somebody's roster of a link is ours, or nothing came of asking about it.
    pub(super) fn agrees(&self, with: &Responder) -> bool {
        let known = self.known_on(with.link).digest();
        with.digest == known
            || with.digest == self.told_on(with.link).digest()
            || self.sync.is_barren(&with.id, with.digest, known)
    }

    /// Whoever answers our HELLO has a roster: it is asked for at once where only some greet, else
    /// once the WELCOMEs are over, if it has more then.
    pub(super) fn compare_welcome(
        &mut self,
        core: &mut Core,
        now: Now,
        heard: &Heard,
        welcome: &Welcome,
    ) {
        if welcome.echo != self.beacon.nonce {
            return;
        }
        let with = Responder {
            id: heard.id,
            to: heard.arrival.source,
            link: Self::link_of(core, &heard.arrival).map(|link| link.id),
            token: welcome.token.clone(),
            digest: welcome.digest,
        };
        let is_first = self.sync.greeters.is_empty();
        self.sync.greeters.retain(|other| other.id != with.id);
        self.sync.greeters.truncate(GREETERS_KEPT - 1);
        self.sync.greeters.push_front(with.clone());
        if self.sync.exchange.is_some() || self.agrees(&with) {
            return;
        }
        if is_first && welcome.digest.count > GREETERS_MAX {
            self.start_exchange(core, now, with);
            return;
        }
        // The one that knows most, once it is quiet.
        let planned = self.sync.plan.take().map(|(_, planned)| planned);
        let more = planned.filter(|planned| planned.digest.count >= with.digest.count);
        self.sync.plan = Some((now.mono + QUIET, more.unwrap_or(with)));
    }

    /// A heartbeat tells of a roster and of changes in it.
    pub(super) fn compare_heartbeat(
        &mut self,
        core: &mut Core,
        now: Now,
        heard: &Heard,
        heartbeat: &Heartbeat,
    ) {
        let with = Responder {
            id: heard.id,
            to: heard.arrival.source,
            link: Self::link_of(core, &heard.arrival).map(|link| link.id),
            token: Vec::new(),
            digest: heartbeat.digest,
        };
        self.ask_for_news(core, now, &with, &heartbeat.news);
        if self.agrees(&with) {
            self.sync.differing = None;
            return;
        }
        let last = self.sync.differing.replace((with.id, with.digest));
        let Some((last_id, last_digest)) = last else {
            return;
        };
        if self.sync.exchange.is_some() || self.sync.plan.is_some() {
            return;
        }
        // Two that agree with each other: it is this node that lacks something.
        let alone = last_id != with.id && last_digest == with.digest;
        if alone || core.unit() < self.few(ASKERS) {
            self.sync.differing = None;
            self.sync.plan = Some((now.mono + core.jitter(DIFFERS_JITTER), with));
        }
    }

    /// The probability with which `of` peers of all do something.
    pub(super) fn few(&self, of: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let crowd = self.roster.crowd() as f64;
        (of / crowd).min(1.0)
    }

    /// Asks for the records that somebody says have changed and that are not held here.
    fn ask_for_news(&mut self, core: &mut Core, now: Now, with: &Responder, news: &[News]) {
        let own = core.short();
        let lacks = |news: &&News| {
            let held = self.roster.by_short(&news.id).map(|peer| &peer.record);
            news.id != own
                && held.is_none_or(|record| {
                    (record.incarnation, record.record_seq) < (news.incarnation, news.record_seq)
                })
                && !self.roster.has_left(&news.id, news.incarnation)
        };
        let ids: Vec<ShortId> = news.iter().filter(lacks).map(|news| news.id).collect();
        if ids.is_empty() || core.unit() >= self.few(ASKERS) {
            return;
        }
        self.ask_for(core, now, with.clone(), ids);
    }
}
