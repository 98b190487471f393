//! What is observed of the network itself, for the diagnosis: what came by which path, who hears
//! this node by which, who never answers. Nothing here changes what the node does.
//!
//! **Sounding**: a HELLO that goes by one path alone, with a nonce of its own and naming nobody as
//! known. Whoever hears it answers with a WELCOME that echoes the nonce, and so tells the path.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::Presence;
use super::beacon::heartbeat_mean;
use crate::api::PeerState;
use crate::api::diagnosis::{Paths, PersonFacts};
use crate::datagram::{Arrival, Link, LinkId, Path};
use crate::id::{Nonce, PeerId, ShortId};
use crate::proto::core::Core;
use crate::proto::group::Group;
use crate::wire::{Body, Hello, Known, OtherVersion, Welcome};

/// Soundings whose answer may still come.
const SOUNDINGS_MAX: usize = 64;
/// Most senders without a record, other versions and refusals that are remembered.
const STRANGERS_MAX: usize = 64;
/// Somebody without a record of whom nothing came in so many mean heartbeats is gone.
const HEARTBEATS_KEPT: u32 = 5;
/// Most peers of whom it is remembered by which paths they answered.
const ANSWERS_MAX: usize = 256;

/// What came by one link.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LinkHeard {
    /// Paths by which group datagrams of this computer came back.
    pub looped: Paths,
    /// Paths by which group datagrams of other computers came.
    pub heard: Paths,
}

/// Somebody whose record is not known, or is none that we understand. Nothing of it is verified.
#[derive(Clone, Debug)]
struct Stranger {
    link: Option<LinkId>,
    source: IpAddr,
    heard: Instant,
    paths: Paths,
    /// Name and version, of another version's HELLO.
    other: Option<(String, u8)>,
}

/// Everything observed since the start.
#[derive(Default)]
pub(super) struct Observed {
    links: BTreeMap<LinkId, LinkHeard>,
    strangers: BTreeMap<ShortId, Stranger>,
    refused: VecDeque<IpAddr>,
    soundings: VecDeque<(Nonce, LinkId, Path)>,
    answers: BTreeMap<PeerId, BTreeMap<LinkId, Paths>>,
}

impl Observed {
    /// A WELCOME came: by which path was heard what it answers?
    pub(super) fn welcomed(&mut self, id: PeerId, welcome: &Welcome) {
        let sounded = self
            .soundings
            .iter()
            .find(|(nonce, ..)| *nonce == welcome.echo);
        let Some(&(_, link, path)) = sounded else {
            return;
        };
        if self.answers.len() >= ANSWERS_MAX && !self.answers.contains_key(&id) {
            return;
        }
        let links = self.answers.entry(id).or_default();
        links.entry(link).or_default().insert(path);
    }

    /// Somebody was reached: whatever was heard before their record was known tells nothing more.
    pub(super) fn reached(&mut self, id: &PeerId) {
        self.strangers.remove(&id.short());
    }

    /// The links are others now: of one that is gone, or has none of its addresses any more and so
    /// is on another network, nothing holds.
    pub(super) fn links_changed(&mut self, before: &[Link], after: &[Link]) {
        let stays = |id: LinkId| {
            let of = |links: &[Link]| links.iter().find(|link| link.id == id).cloned();
            of(before).zip(of(after)).is_some_and(|(old, new)| {
                old.name == new.name
                    && (old.v4.iter().any(|own| new.v4.contains(own))
                        || old.v6.iter().any(|own| new.v6.contains(own)))
            })
        };
        self.links.retain(|&id, _| stays(id));
        self.strangers
            .retain(|_, stranger| stranger.link.is_none_or(stays));
        self.soundings.retain(|&(_, id, _)| stays(id));
        self.answers.retain(|_, links| {
            links.retain(|&id, _| stays(id));
            !links.is_empty()
        });
    }

    /// A computer refused a datagram.
    pub(super) fn refused(&mut self, at: IpAddr) {
        if !self.refused.contains(&at) {
            self.refused.truncate(STRANGERS_MAX - 1);
            self.refused.push_front(at);
        }
    }
}

impl Presence {
    /// A group datagram came, whoever sent it.
    pub fn observe(&mut self, core: &Core, arrival: &Arrival, path: Option<Path>) {
        let (Some(link), Some(path)) = (arrival.link, path) else {
            return;
        };
        if path == Path::Unicast || !core.links.iter().any(|known| known.id == link) {
            return;
        }
        let heard = self.observed.links.entry(link).or_default();
        match core.is_own_address(arrival.source.ip()) {
            true => heard.looped.insert(path),
            false => heard.heard.insert(path),
        }
    }

    /// Somebody without a record speaks, or another version does.
    pub fn observe_stranger(
        &mut self,
        core: &Core,
        arrival: &Arrival,
        (sender, path): (ShortId, Option<Path>),
        other: Option<&OtherVersion>,
    ) {
        let strangers = &mut self.observed.strangers;
        if core.is_own_address(arrival.source.ip()) {
            return;
        }
        // Whoever made up as many is silent one day, and whoever is here speaks on.
        if strangers.len() >= STRANGERS_MAX && !strangers.contains_key(&sender) {
            let oldest = strangers.iter().min_by_key(|(_, stranger)| stranger.heard);
            if let Some(oldest) = oldest.map(|(&short, _)| short) {
                strangers.remove(&oldest);
            }
        }
        let stranger = strangers.entry(sender).or_insert(Stranger {
            link: arrival.link,
            source: arrival.source.ip(),
            heard: core.mono,
            paths: Paths::default(),
            other: None,
        });
        stranger.heard = core.mono;
        if let Some(path) = path {
            stranger.paths.insert(path);
        }
        if let Some(other) = other {
            stranger.other = Some((other.name.as_str().to_owned(), other.version));
        }
    }

    /// Asks on this link by this path alone who hears it. A peer answers one of them in 200 ms.
    pub fn sound(&mut self, core: &mut Core, group: &Group, link: LinkId, path: Path) {
        let nonce = core.nonce();
        let hello = Body::Hello(Hello {
            record: self.record.clone(),
            nonce,
            logs: group.own_logs(core.network_on(link)),
            known: Known::ids(&[]),
        });
        let Some(bytes) = core.packet(&hello).filter(|_| core.open) else {
            return;
        };
        self.observed.soundings.truncate(SOUNDINGS_MAX - 1);
        self.observed.soundings.push_front((nonce, link, path));
        core.send_on_link(link, &bytes, &[path]);
    }

    /// What came by each link.
    #[must_use]
    pub fn links_heard(&self) -> BTreeMap<LinkId, LinkHeard> {
        self.observed.links.clone()
    }

    /// Everybody on other computers of whom something came, and the addresses that were named.
    #[must_use]
    pub fn people_heard(&self, core: &Core) -> Vec<PersonFacts> {
        let rows = self
            .roster
            .iter()
            .filter_map(|peer| self.person(core, peer));
        let strangers = self.observed.strangers.iter();
        let strangers = strangers.filter(|(short, _)| self.roster.by_short(short).is_none());
        // Of another version only the first HELLOs are understood; others go on with heartbeats.
        let kept = heartbeat_mean(self.roster.population()) * HEARTBEATS_KEPT;
        let strangers = strangers
            .filter(|(_, stranger)| stranger.other.is_some() || core.mono < stranger.heard + kept);
        let mut people: Vec<PersonFacts> = rows
            .chain(strangers.map(|(_, stranger)| stranger.person()))
            .collect();
        for named in &core.config.peers {
            self.name_person(core, &mut people, *named);
        }
        for person in &mut people {
            let at = |ip: &IpAddr| person.address == Some(*ip);
            person.refused = self.observed.refused.iter().any(at);
        }
        people
    }

    fn person(&self, core: &Core, peer: &super::roster::Peer) -> Option<PersonFacts> {
        let is_own = |at: SocketAddr| core.is_own_address(at.ip());
        let mut addresses = peer.addresses.iter().map(|address| address.at);
        if addresses.any(is_own) {
            return None;
        }
        let echoed = self.observed.answers.get(&peer.id).cloned();
        let mut hears_us = echoed.unwrap_or_default();
        let mut links: Vec<LinkId> = hears_us.keys().copied().collect();
        // Of IPv4 neighbours more is known.
        let all = || peer.addresses.iter().map(|address| address.at);
        let v4 = || all().find(SocketAddr::is_ipv4);
        let first = peer
            .addresses
            .current()
            .or_else(v4)
            .or_else(|| all().next());
        links.extend(first.and_then(|at| link_to(core, at)));
        links.extend(peer.links.iter().map(|(link, _)| *link));
        links.sort_unstable();
        links.dedup();
        // A heartbeat does not tell by which link its sender hears us.
        let reported = Paths(peer.hears_us.unwrap_or(0));
        for link in links.iter().filter(|_| reported.any()) {
            let paths = hears_us.entry(*link).or_default();
            *paths = paths.union(reported);
        }
        let heard = peer.links.paths();
        Some(PersonFacts {
            name: Some(peer.record.name.as_str().to_owned()),
            links,
            answers: peer.is_confirmed() && peer.state == PeerState::Online,
            heard: Paths(heard),
            hears_us,
            address: first.map(|at| at.ip()),
            ..PersonFacts::at(IpAddr::from([0, 0, 0, 0]))
        })
    }

    /// Adds an address of `--peer`, or marks who is there as named.
    fn name_person(&self, core: &Core, people: &mut Vec<PersonFacts>, named: SocketAddr) {
        let holder = people
            .iter_mut()
            .find(|person| person.address == Some(named.ip()));
        if let Some(person) = holder {
            person.named = true;
            return;
        }
        // Whoever was reached there may use another address by now.
        if self.is_known_host(named.ip()) || core.is_own_address(named.ip()) {
            return;
        }
        people.push(PersonFacts {
            named: true,
            links: link_to(core, named).into_iter().collect(),
            ..PersonFacts::at(named.ip())
        });
    }
}

impl Stranger {
    fn person(&self) -> PersonFacts {
        PersonFacts {
            name: self.other.as_ref().map(|(name, _)| name.clone()),
            links: self.link.into_iter().collect(),
            heard: self.paths,
            other_version: self.other.as_ref().map(|(_, version)| *version),
            ..PersonFacts::at(self.source)
        }
    }
}

/// The link that reaches an address without a router.
fn link_to(core: &Core, at: SocketAddr) -> Option<LinkId> {
    let reaches = |link: &&crate::datagram::Link| super::reaches(std::slice::from_ref(*link), at);
    core.links.iter().find(reaches).map(|link| link.id)
}
