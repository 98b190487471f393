//! `lanchat doctor`: why somebody is not found, and the command that helps.
//!
//! It runs beside a running lanchat, as somebody else: an identity for this run and ports of its
//! own. It only looks: no rule, route or setting is changed, and no command but those that list.

mod firewall;
mod neighbours;
mod nft;
mod pair;

use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use super::identity;
use super::output::{self, Written};
use super::settings::Settings;
use crate::api::diagnosis::{Cause, Diagnosis, Facts, Firewall, Neighbour, Paths, diagnose, words};
use crate::api::{Event, InterfaceState, NetworkVerdict};
use crate::control::json;
use crate::datagram::{LinkId, Path};
use crate::error::{ExitCode, UserError};
use crate::net::NetConfig;
use crate::runtime::{Clock, diagnosis, network};
use neighbours::{Listed, Neighbours};
use pair::Pair;

/// Long enough for an answer by every path, several times over.
const LOOK: Duration = Duration::from_secs(3);
/// Between two soundings: a peer answers once in 200 ms.
const SOUND_EVERY: Duration = Duration::from_millis(250);
/// Between two looks at the facts.
const CHECK_EVERY: Duration = Duration::from_millis(500);
/// Who hears nothing of us still sends a heartbeat within this (10 s and a quarter).
const HEARTBEAT: Duration = Duration::from_millis(13_000);
/// Two heartbeats: at least one of two in a row goes by multicast.
const TWO_HEARTBEATS: Duration = Duration::from_millis(26_000);
/// Until an unknown neighbour that does not answer on the link is given up by the system, and
/// more: three questions, a second apart (RFC 4861, section 10).
const RESOLVED: Duration = Duration::from_millis(3500);
/// The same for one whose address is known and to be confirmed: 5 s of delay before.
const CONFIRMED: Duration = Duration::from_millis(12_000);
/// Most neighbours whose state a tool is asked for in one look.
const NEIGHBOURS_ASKED_MAX: usize = 16;

/// Looks around, prints what was found, and ends with 0 if somebody was reached, 3 if nobody was,
/// 5 if this computer cannot use its network.
///
/// # Errors
/// No socket can be opened, a peer's name is not found, or stdout cannot be written.
pub fn run(settings: &Settings, json: bool) -> Result<ExitCode, UserError> {
    let mut peers = Vec::new();
    for peer in &settings.peers {
        peers.extend(peer.resolve()?);
    }
    // The chat port that was asked for is that of the lanchat that may be running.
    let net = NetConfig {
        chat_port: None,
        ..settings.net.clone()
    };
    let (facts, diagnosis) = look(settings, &net, &peers)?;
    let event = network::diagnosis_event(&facts, &diagnosis, None);
    let text = if json {
        format!("{}\n", json::to_line(&event))
    } else {
        as_text(&event)
    };
    if output::print(&text)? == Written::Closed {
        return Ok(ExitCode::Done);
    }
    Ok(match (diagnosis.reached, diagnosis.usable) {
        (true, _) => ExitCode::Done,
        (false, true) => ExitCode::NotFound,
        (false, false) => ExitCode::Network,
    })
}

fn as_text(event: &Event) -> String {
    let (interfaces, verdict): (&[InterfaceState], Option<&NetworkVerdict>) = match event {
        Event::Network {
            interfaces,
            verdict,
            ..
        } => (interfaces, verdict.as_ref()),
        _ => (&[], None),
    };
    let lines = words::lines(interfaces, verdict);
    lines.into_iter().map(|line| line + "\n").collect()
}

/// Sounds and listens until the facts tell enough.
fn look(
    settings: &Settings,
    net: &NetConfig,
    peers: &[SocketAddr],
) -> Result<(Facts, Diagnosis), UserError> {
    let me = (identity::ephemeral()?, identity::ephemeral()?);
    let mut pair = Pair::open(me, &settings.name, net, peers)?;
    let firewall = ask_firewall((net.port, pair.chat_port()));
    let mut known = Firewall::default();
    let start = Clock::now().mono;
    let mut session = Session::new(start, pair.searched());
    loop {
        let now = Clock::now();
        if now.mono >= session.sound_at {
            session.sound_at = now.mono + SOUND_EVERY;
            if let Some((link, path)) = session.next_sounding(|link| pair.heard_on(link)) {
                pair.sound(now, link, path);
            }
        }
        pair.turn()?;
        if now.mono < session.check_at {
            continue;
        }
        session.check_at = now.mono + CHECK_EVERY;
        if let Ok(found) = firewall.try_recv() {
            known = found;
        }
        let mut facts = pair.facts(net);
        facts.firewall = known.clone();
        ask_neighbours(now.mono, &mut facts, &mut session.neighbours);
        let diagnosis = diagnose(&facts);
        let end = session.end(now.mono, &facts, &diagnosis);
        if now.mono >= end {
            pair.leave();
            diagnosis::name_holder(&mut facts);
            let diagnosis = diagnose(&facts);
            return Ok((facts, diagnosis));
        }
    }
}

/// How long to go on, and what to sound next.
struct Session {
    start: Instant,
    sound_at: Instant,
    check_at: Instant,
    soundings: usize,
    /// The links to sound.
    links: Vec<LinkId>,
    /// Shortest look: twice around all links and paths.
    look: Duration,
    /// Since when somebody is known who does not answer.
    silent_since: Option<Instant>,
    told: bool,
    neighbours: Neighbours,
}

impl Session {
    fn new(start: Instant, links: Vec<LinkId>) -> Self {
        let all = u32::try_from(links.len() * Path::GROUP.len()).unwrap_or(1);
        let look = LOOK.max(SOUND_EVERY * (2 * all + 1));
        Session {
            links,
            look,
            start,
            sound_at: start + SOUND_EVERY,
            check_at: start + look,
            soundings: 0,
            silent_since: None,
            told: false,
            neighbours: Neighbours::default(),
        }
    }

    /// One path of one link after the other, those first by which nobody is known to hear us: on a
    /// network that loses much, silence means something only after many tries.
    fn next_sounding(&mut self, heard: impl Fn(LinkId) -> Paths) -> Option<(LinkId, Path)> {
        let all = || {
            let links = self.links.iter();
            links.flat_map(|&link| Path::GROUP.map(|path| (link, path)))
        };
        let open: Vec<_> = all()
            .filter(|(link, path)| !heard(*link).contains(*path))
            .collect();
        let next = open.get(self.soundings.checked_rem(open.len())?).copied();
        self.soundings += 1;
        next
    }

    /// Until when those who do not answer may still turn out to be out of reach on the link.
    fn resolved_at(&mut self, now: Instant, facts: &Facts) -> Option<Instant> {
        let mut silent = facts.people.iter().filter(|person| !person.answers);
        let unsure = silent
            .clone()
            .any(|person| person.neighbour == Neighbour::Unknown);
        silent.next()?;
        let since = *self.silent_since.get_or_insert(now);
        let span = if unsure { CONFIRMED } else { RESOLVED };
        let known = self.neighbours.known_at().filter(|_| unsure);
        let known = known.map_or(since + span, |at| at.max(since + span));
        Some(known.min(self.start + TWO_HEARTBEATS))
    }

    /// When enough was heard to tell this from its like.
    fn end(&mut self, now: Instant, facts: &Facts, diagnosis: &Diagnosis) -> Instant {
        let resolved = self.resolved_at(now, facts);
        let foreign = facts
            .people
            .iter()
            .all(|person| person.other_version.is_some());
        let resolved = resolved.filter(|_| !diagnosis.reached && !foreign);
        let (span, why) = match diagnosis.overall.cause {
            Cause::Unknown => (
                HEARTBEAT,
                "nobody answered yet: listening for 10 s more to those who may not hear this computer",
            ),
            Cause::NoMulticast => (
                TWO_HEARTBEATS,
                "multicast does not reach others: listening whether theirs arrives, for 23 s at most",
            ),
            _ => (self.look, ""),
        };
        if span > self.look && !self.told {
            self.told = true;
            output::note(why);
        }
        let end = self.start + span;
        resolved.map_or(end, |at| at.max(end))
    }
}

/// Asks for the firewall beside the loop, since its tools take their time.
fn ask_firewall(ports: (u16, u16)) -> Receiver<Firewall> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        // Nobody listens any more if the look is over.
        let _ = tell.send(firewall::find(ports));
    });
    told
}

/// The state of the neighbours who do not answer, of which a tool tells more than the system.
fn ask_neighbours(now: Instant, facts: &mut Facts, neighbours: &mut Neighbours) {
    let silent = facts.people.iter_mut().filter(|person| !person.answers);
    // Anybody can pose as many: each costs a process.
    for person in silent.take(NEIGHBOURS_ASKED_MAX) {
        let Some(address) = person.address else {
            continue;
        };
        let asked = Some(address).filter(|_| person.other_version.is_none());
        let listed = asked.and_then(firewall::neighbour);
        let listed = listed.unwrap_or(match person.neighbour {
            Neighbour::Failed => Listed::Failed,
            Neighbour::Reachable => Listed::Reachable,
            Neighbour::Unknown => Listed::Unknown,
        });
        person.neighbour = neighbours.look(now, address, listed);
    }
}
