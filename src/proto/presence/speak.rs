//! What a node says of itself and to whom.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::beacon::{Due, PendingWelcome};
use super::{Presence, beacon, reaches};
use crate::api::PeerState;
use crate::datagram::{LinkId, Path};
use crate::id::{NetworkId, PeerId, ShortId};
use crate::proto::Now;
use crate::proto::core::Core;
use crate::proto::group::Group;
use crate::wire::presence::{LOSS_UNKNOWN, RecordFields};
use crate::wire::{Body, Goodbye, Heartbeat, Hello, Known, PathsHeard, PeerRecord, Welcome};

/// Heartbeats take the paths in turn.
const ROTATION: [Path; 4] = [Path::Mcast4, Path::Mcast6, Path::Mcast4, Path::Bcast4];
/// The longest WELCOME: a record of 320 bytes, a token, six logs.
const WELCOME_LEN_MAX: usize = 578;
/// Peers whose paths one heartbeat tells.
const HEARD_MAX: usize = 16;

/// The own record with this number, signed. Rooms that have no room in it are left out, see
/// [`is_all_told`].
pub fn own_record(core: &Core, record_seq: u32) -> Option<PeerRecord> {
    let mut fields = own_fields(core, record_seq);
    fields.fit();
    PeerRecord::build(fields, &mut |bytes| core.identity.sign(bytes))
        .inspect_err(|error| tracing::error!(%error, "own record cannot be built"))
        .ok()
}

/// Whether the own record has room for all rooms this node is in.
#[must_use]
pub fn is_all_told(core: &Core) -> bool {
    let mut fields = own_fields(core, u32::MAX);
    fields.fit();
    fields.rooms.len() == core.rooms.len()
}

fn own_fields(core: &Core, record_seq: u32) -> RecordFields {
    let config = &core.config;
    RecordFields {
        key: core.identity.public(),
        incarnation: core.incarnation,
        record_seq,
        chat_port: config.chat_port,
        transient: config.transient,
        deaf: core.deaf,
        status: config.status,
        status_text: config.status_text.clone(),
        name: config.name.clone(),
        rooms: core.rooms.clone(),
        extensions: Vec::new(),
    }
}

impl Presence {
    /// Sends what is due of HELLO, heartbeat, WELCOME and GOODBYE.
    pub(super) fn speak(&mut self, core: &mut Core, now: Now, group: &Group) {
        let population = self.roster.population();
        while let Some(due) = self.beacon.take_due(core, now.mono, population) {
            match due {
                Due::Hello => {
                    self.say_hello(core, now, group);
                    self.ask_remembered(core, now.mono);
                }
                Due::Heartbeat => {
                    self.say_heartbeat(core, now, group);
                    self.ask_some_remembered(core, now.mono);
                }
                Due::Goodbye => say_goodbye(core),
            }
        }
        while let Some((peer, welcome)) = self.beacon.take_welcome(now.mono) {
            self.say_welcome(core, now, group, &peer, welcome);
        }
        if self.beacon.leaving == beacon::Leaving::No {
            self.follow_sync(core, now);
            self.follow_hearsay(core, now);
        }
    }

    /// A HELLO for one address alone.
    pub(super) fn say_hello_to(&self, core: &mut Core, group: &Group, to: SocketAddr) {
        let network = core.network_towards(to);
        let hello = self.hello(group, network, hello_len_min(core, to));
        core.send_to(to, &hello);
    }

    /// A HELLO for this network, of at least `len_min` bytes.
    fn hello(&self, group: &Group, network: NetworkId, len_min: usize) -> Body {
        let known: Vec<ShortId> = self
            .roster
            .iter()
            .filter(|peer| peer.is_confirmed() && peer.state == PeerState::Online)
            // Who may have gone unnoticed is to answer.
            .filter(|peer| !peer.watch.doubtful)
            .map(|peer| peer.id.short())
            .collect();
        let logs = group.own_logs(network);
        let known = Known::padded(&known, &self.record, logs.len(), len_min);
        Body::Hello(Hello {
            record: self.record.clone(),
            nonce: self.beacon.nonce,
            logs,
            known,
        })
    }

    /// To every link by every path, and to the addresses that were named.
    fn say_hello(&mut self, core: &mut Core, now: Now, group: &Group) {
        if !core.open {
            return;
        }
        let crowded = self.beacon.is_crowded(now.mono);
        // One for each network: the logs of one are not told of on another.
        let mut hellos: BTreeMap<NetworkId, Vec<u8>> = BTreeMap::new();
        for link in core.links.clone() {
            let network = core.network_on(link.id);
            let hello = || self.hello(group, network, 0);
            let bytes = match hellos.entry(network) {
                Entry::Occupied(made) => made.into_mut(),
                Entry::Vacant(none) => match core.packet(&hello()) {
                    Some(bytes) => none.insert(bytes),
                    None => return,
                },
            };
            let multicast = [Path::Mcast4, Path::Mcast6];
            let is_open = |path: &Path| core.path_usable(&link, *path);
            if crowded && multicast.iter().any(is_open) {
                core.send_on_link(link.id, bytes, &multicast);
            } else {
                core.send_on_link(link.id, bytes, &Path::GROUP);
            }
        }
        self.hello_named(core, group);
    }

    /// A unicast HELLO to each `--peer` that is not reached yet.
    fn hello_named(&mut self, core: &mut Core, group: &Group) {
        let open = |peer: &&std::net::SocketAddr| !self.is_reached(**peer);
        let open: Vec<_> = core.config.peers.iter().filter(open).copied().collect();
        if open.is_empty() {
            return;
        }
        for peer in open {
            let ports = match peer.port() {
                0 => vec![crate::proto::config::CHAT_PORT, core.config.presence_port],
                port => vec![port],
            };
            for port in ports {
                let mut to = peer;
                to.set_port(port);
                self.say_hello_to(core, group, to);
            }
        }
    }

    /// Whether somebody who is here is reached at an address that was named: without a port,
    /// whatever port answers there. Whoever was given up is greeted again, or a partition of
    /// people who only know each other's addresses would never heal.
    fn is_reached(&self, named: std::net::SocketAddr) -> bool {
        match named.port() {
            0 => self.is_known_host(named.ip()),
            _ => self.holder_of(named).is_some_and(|id| self.is_here(&id)),
        }
    }

    fn say_welcome(
        &mut self,
        core: &mut Core,
        now: Now,
        group: &Group,
        id: &PeerId,
        welcome: PendingWelcome,
    ) {
        let nonce = core.nonce();
        let mut welcome_body = Welcome {
            record: self.record.clone(),
            digest: self.told_on(welcome.link).digest(),
            echo: welcome.echo,
            nonce,
            token: self.sync.tokens.issue(now.mono, welcome.to),
            logs: group.own_logs(core.network_towards(welcome.to)),
        };
        let waits = self.patience.pace(self.roster.crowd());
        let Some(peer) = self.roster.get_mut(id) else {
            return;
        };
        let Some(address) = peer.addresses.get_mut(welcome.to) else {
            return;
        };
        // A WELCOME is about as long as the HELLO that it answers, without the logs a bit shorter.
        if !address.may_send(welcome_len(&welcome_body)) {
            welcome_body.logs.clear();
        }
        // Without a token they prove their address by a challenge, or by the PROBE ACK.
        if !address.may_send(welcome_len(&welcome_body)) {
            welcome_body.token.clear();
        }
        if !address.may_send(welcome_len(&welcome_body)) {
            return;
        }
        let len = core.send_to(welcome.to, &Body::Welcome(welcome_body));
        address.sent(len);
        if address.validated.is_none() {
            address.candidate_probed(nonce, now.mono, waits);
            if let Some(at) = address.next_try {
                self.hasten(id, at);
            }
        }
    }

    /// One for each link: what is counted on it differs.
    fn say_heartbeat(&mut self, core: &mut Core, now: Now, group: &Group) {
        if !core.open {
            return;
        }
        let news = self.take_news(now.mono);
        let turn = self.beacon.heartbeats;
        let first = ROTATION[turn % ROTATION.len()];
        let links: Vec<_> = core
            .links
            .iter()
            .filter(|link| link.group)
            .cloned()
            .collect();
        for link in links {
            let path = std::iter::once(first)
                .chain(Path::GROUP)
                .find(|&path| core.path_usable(&link, path));
            let Some(path) = path else { continue };
            let paths = self.heartbeat_paths(path);
            let mut heartbeat = self.heartbeat_on(core, group, link.id, turn);
            // This one is counted too: whoever hears it has it in its own count.
            heartbeat.group_sent = heartbeat.group_sent.wrapping_add(1);
            heartbeat.news.clone_from(&news);
            let count = heartbeat.digest.count;
            tracing::trace!(link = link.name, ?paths, count, "heartbeat");
            if let Some(bytes) = core.packet(&Body::Heartbeat(heartbeat)) {
                core.send_on_link(link.id, &bytes, &paths);
            }
        }
        self.hello_named(core, group);
    }

    /// What a heartbeat tells on this link now.
    pub(super) fn heartbeat_on(
        &self,
        core: &Core,
        group: &Group,
        link: LinkId,
        turn: usize,
    ) -> Heartbeat {
        Heartbeat {
            record_hash: self.record.hash(),
            digest: self.told_on(Some(link)).digest(),
            news: Vec::new(),
            heard: self.heard_on(&core.identity.id(), link, turn),
            group_sent: core.group_sent.get(&link).copied().unwrap_or(0),
            loss: self.loss_on(link),
            echoes: Vec::new(),
            rooms: group.digests(core.network_on(link), &core.identity.id(), turn),
        }
    }

    /// By which paths some of the members are heard, in turn. Everybody begins with those next to
    /// itself by id: of each member somebody tells soon, however many there are.
    fn heard_on(&self, own: &PeerId, link: LinkId, turn: usize) -> Vec<PathsHeard> {
        let mut before = 0;
        let on_link: Vec<PathsHeard> = self
            .roster
            .members()
            .filter_map(|peer| {
                let paths = peer.links.get(link)?.paths;
                before += usize::from(peer.id < *own);
                let mut id = [0; 4];
                id.copy_from_slice(&peer.id.0[..4]);
                Some(PathsHeard { id, paths })
            })
            .collect();
        let start = if on_link.is_empty() {
            0
        } else {
            (before + turn * HEARD_MAX) % on_link.len()
        };
        on_link
            .iter()
            .cycle()
            .skip(start)
            .take(on_link.len().min(HEARD_MAX))
            .copied()
            .collect()
    }

    /// 80th percentile of the loss from each peer on this link, in 1/254.
    fn loss_on(&self, link: LinkId) -> u8 {
        let mut losses: Vec<f64> = self
            .roster
            .members()
            .filter_map(|peer| peer.links.get(link)?.loss())
            .collect();
        losses.sort_unstable_by(f64::total_cmp);
        let at = losses.len() * 4 / 5;
        let Some(loss) = losses.get(at).or(losses.last()).copied() else {
            return LOSS_UNKNOWN;
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped"
        )]
        let scaled = (loss * 254.0).clamp(0.0, 254.0) as u8;
        scaled
    }

    /// Leaves: GOODBYE now and again in 40 ms, on all paths, and to whoever is talked with or reached
    /// by no group.
    pub fn leave(&mut self, core: &mut Core, now: Now, talking_to: &[PeerId]) {
        if self.beacon.leaving != beacon::Leaving::No {
            return;
        }
        if core.open {
            self.keep_remembered(core, now);
            say_goodbye(core);
            let talking_to = talking_to.iter().filter_map(|id| self.address_of(id));
            let to: BTreeSet<SocketAddr> = talking_to.chain(self.unreached()).collect();
            for to in to {
                core.send_to(to, &Body::Goodbye(Goodbye));
            }
            self.beacon.goodbye_sent(now.mono);
        } else {
            self.beacon.stop(beacon::Leaving::Done);
        }
    }
}

fn say_goodbye(core: &mut Core) {
    if let Some(bytes) = core.packet(&Body::Goodbye(Goodbye)) {
        core.send_on_all(&bytes, &Path::GROUP);
    }
}

/// Length of a WELCOME: header, record, digest, two nonces, token, logs, signature.
fn welcome_len(welcome: &Welcome) -> usize {
    let fixed = 26 + 2 + 12 + 8 + 8 + 1 + 1 + 64;
    fixed + welcome.record.bytes.len() + welcome.token.len() + welcome.logs.len() * 20
}

/// How long a HELLO to this address has to be: off the link nothing longer comes back, so that
/// it makes room for the longest WELCOME.
fn hello_len_min(core: &Core, to: SocketAddr) -> usize {
    if reaches(&core.links, to) {
        0
    } else {
        WELCOME_LEN_MAX
    }
}

/// Length of a HELLO that lists nobody as known: header, name, record, nonce, logs, list,
/// signature.
pub(super) fn hello_len(hello: &Hello) -> usize {
    let name = hello.record.name.as_str().len();
    26 + 1 + name + 2 + hello.record.bytes.len() + 8 + 1 + hello.logs.len() * 20 + 2 + 64
}
