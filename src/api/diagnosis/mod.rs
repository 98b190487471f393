//! Why somebody is not found: from what was observed to the likely cause, a sentence and the
//! command that helps.
//!
//! Pure: [`Facts`] in, [`Diagnosis`] out. Who observes is no matter of this module: `proto` tells
//! what was heard by which path, `net` what the system says, `lanchat doctor` puts both together.
//! The rules stand in `rules.rs` as one table, the commands in `remedy.rs`.

mod remedy;
mod rules;
#[cfg(test)]
mod tests;
pub mod words;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::datagram::{LinkId, Path};

/// Group paths as a set: bit `1 << Path`, as in a heartbeat.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Paths(pub u8);

impl Paths {
    /// Of these.
    #[must_use]
    pub fn of(paths: &[Path]) -> Self {
        let mut set = Paths::default();
        paths.iter().for_each(|&path| set.insert(path));
        set
    }

    /// Adds one.
    pub fn insert(&mut self, path: Path) {
        self.0 |= 1 << path as u8;
    }

    /// Whether this one is in it.
    #[must_use]
    pub fn contains(self, path: Path) -> bool {
        self.0 & (1 << path as u8) != 0
    }

    /// What is in either.
    #[must_use]
    pub fn union(self, other: Paths) -> Paths {
        Paths(self.0 | other.0)
    }

    /// What is in this and not in the other.
    #[must_use]
    pub fn without(self, other: Paths) -> Paths {
        Paths(self.0 & !other.0)
    }

    /// Whether one of the group paths is in it; unicast is none.
    #[must_use]
    pub fn any(self) -> bool {
        Path::GROUP.iter().any(|&path| self.contains(path))
    }

    /// Whether multicast of either family is in it.
    #[must_use]
    pub fn multicast(self) -> bool {
        self.contains(Path::Mcast4) || self.contains(Path::Mcast6)
    }

    /// Whether broadcast is in it.
    #[must_use]
    pub fn broadcast(self) -> bool {
        self.contains(Path::Bcast4)
    }

    /// Their names in JSON: `mcast4`, `mcast6`, `bcast4`.
    #[must_use]
    pub fn words(self) -> Vec<String> {
        let word = |path: &Path| match path {
            Path::Unicast => "unicast",
            Path::Mcast4 => "mcast4",
            Path::Bcast4 => "bcast4",
            Path::Mcast6 => "mcast6",
        };
        let held = Path::GROUP.iter().filter(|&&path| self.contains(path));
        held.map(|path| word(path).to_owned()).collect()
    }
}

/// The likely cause, a stable word for scripts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Nothing is wrong.
    None,
    /// Broadcast does not pass; multicast does, so that nobody is missed.
    NoBroadcast,
    /// Multicast does not pass; broadcast does.
    NoMulticast,
    /// Multicast is heard here after the join, and not by those who joined long ago: a switch
    /// that snoops IGMP and has no querier forgot them.
    PrunedMulticast,
    /// Neither multicast nor broadcast passes; people are reached by unicast alone.
    NoGroup,
    /// Another program holds the presence port.
    PortTaken,
    /// The group is not joined.
    NoMembership,
    /// A firewall of this computer.
    OwnFirewall,
    /// The system refuses to send.
    SendFails,
    /// macOS does not let the terminal reach the local network.
    MacosPrivacy,
    /// Another version of lanchat.
    OtherVersion,
    /// That computer is there, lanchat is not running on it.
    NotRunning,
    /// The network keeps its stations apart.
    Isolation,
    /// A firewall of the other computer.
    OtherFirewall,
    /// A VPN.
    Vpn,
    /// An interface without an address.
    NoAddress,
    /// A cable that is not plugged in, a radio that is not connected.
    NoCarrier,
    /// No interface to look for people on.
    NoInterface,
    /// Not searched for people, and not meant to be.
    NotSearched,
    /// Nobody answered: nothing tells whether somebody is there.
    Unknown,
}

/// What kind of interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkKind {
    /// A LAN, wired or not.
    Lan,
    /// The loopback.
    Loopback,
    /// Point to point, as a VPN makes it.
    Tunnel,
    /// To containers and virtual machines of this computer.
    Internal,
}

/// An interface as the system and the sockets tell it, and what came by it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkFacts {
    /// Its index.
    pub id: LinkId,
    /// Its name.
    pub name: String,
    /// What kind.
    pub kind: LinkKind,
    /// Whether people are looked for here.
    pub used: bool,
    /// Whether it is up and connected.
    pub carrier: bool,
    /// Whether it has an address.
    pub has_address: bool,
    /// Whether the default route goes by it.
    pub default_route: bool,
    /// Why nothing is received on the presence port, if so.
    pub bind_error: Option<String>,
    /// Who else has that port, as far as the system tells.
    pub port_holder: Option<String>,
    /// Why sending to the group fails, if it does.
    pub send_error: Option<String>,
    /// Whether the system says that the group is joined; none where it does not say.
    pub member: Option<bool>,
    /// The paths by which this node sends here, and that do not fail on this computer already.
    pub usable: Paths,
    /// Paths by which group datagrams of this computer came back.
    pub looped: Paths,
    /// Paths by which group datagrams of other computers came.
    pub heard: Paths,
}

/// What the system's table of neighbours says of an address (ARP, neighbour discovery).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Neighbour {
    /// Nothing, or nothing certain: an address that was learnt from its own question, and has not
    /// answered one yet.
    #[default]
    Unknown,
    /// It answered on the link just now.
    Reachable,
    /// It was asked for and does not answer on the link.
    Failed,
}

/// Somebody on another computer, or an address that was named with `--peer`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PersonFacts {
    /// Their name, if a record of theirs came.
    pub name: Option<String>,
    /// Where they were heard.
    pub address: Option<IpAddr>,
    /// The interfaces they belong to.
    pub links: Vec<LinkId>,
    /// Whether a round trip to them succeeded.
    pub answers: bool,
    /// Group paths by which they are heard.
    pub heard: Paths,
    /// Group paths by which they hear us on each interface, as their answers tell.
    pub hears_us: BTreeMap<LinkId, Paths>,
    /// Whether their computer refused a datagram (ICMP).
    pub refused: bool,
    /// Whether their computer answers on the link.
    pub neighbour: Neighbour,
    /// The version they speak, if it is another.
    pub other_version: Option<u8>,
    /// Whether the address was named with `--peer`.
    pub named: bool,
}

impl PersonFacts {
    /// Nothing but an address.
    #[must_use]
    pub fn at(address: IpAddr) -> Self {
        PersonFacts {
            name: None,
            address: Some(address),
            links: Vec::new(),
            answers: false,
            heard: Paths::default(),
            hears_us: BTreeMap::new(),
            refused: false,
            neighbour: Neighbour::Unknown,
            other_version: None,
            named: false,
        }
    }

    /// Group paths by which they hear us on this interface.
    #[must_use]
    pub fn hears_us_on(&self, link: LinkId) -> Paths {
        self.hears_us.get(&link).copied().unwrap_or_default()
    }

    /// How sentences call them.
    #[must_use]
    pub fn label(&self) -> String {
        match (&self.name, self.address) {
            (Some(name), Some(address)) => format!("{name} ({address})"),
            (Some(name), None) => name.clone(),
            (None, Some(address)) => address.to_string(),
            (None, None) => "somebody".to_owned(),
        }
    }
}

/// Where this runs, as far as commands differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum System {
    /// Linux.
    Linux,
    /// macOS.
    MacOs,
    /// Windows.
    Windows,
    /// Any other.
    Other,
}

/// A firewall found on this computer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Tool {
    /// ufw, active.
    Ufw,
    /// firewalld, with the zone of the interface.
    Firewalld(String),
    /// nftables: the input chains that drop, each as `family table chain`.
    Nft(Vec<String>),
    /// iptables.
    Iptables,
    /// The firewall of Windows.
    Windows,
    /// The application firewall of macOS; the path of this program.
    MacOs(String),
}

/// What is known of this computer's firewall.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Firewall {
    /// The tool that rules it, if one was found.
    pub tool: Option<Tool>,
    /// Whether its rules let lanchat's ports in; none where they cannot be read or understood.
    pub open: Option<bool>,
}

/// Everything that was observed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Where this runs.
    pub system: System,
    /// Presence port.
    pub port: u16,
    /// Chat port of the node that observed.
    pub chat_port: u16,
    /// This computer's firewall.
    pub firewall: Firewall,
    /// The interfaces.
    pub links: Vec<LinkFacts>,
    /// Those heard or named.
    pub people: Vec<PersonFacts>,
    /// Whether a second node on this computer was found and answers; none where there is none.
    pub own_round_trip: Option<bool>,
    /// Whether each path was tried by itself, so that no answer by one tells something.
    pub sounded: bool,
}

impl Facts {
    /// Those who belong to this interface.
    pub fn people_on(&self, link: LinkId) -> impl Iterator<Item = &PersonFacts> {
        let on = move |person: &&PersonFacts| person.links.contains(&link);
        self.people.iter().filter(on)
    }

    /// Whether a round trip to another computer succeeded.
    #[must_use]
    pub fn is_somebody_reached(&self) -> bool {
        self.people.iter().any(|person| person.answers)
    }
}

/// The likely cause in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// The cause.
    pub cause: Cause,
    /// One sentence without a full stop.
    pub sentence: String,
    /// What to do: a command as it is typed, or a few words.
    pub remedy: Option<String>,
}

impl Verdict {
    fn new(cause: Cause, sentence: impl Into<String>) -> Self {
        Verdict {
            cause,
            sentence: sentence.into(),
            remedy: None,
        }
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Sentence and remedy in one line, for a status line.
    #[must_use]
    pub fn hint(&self) -> String {
        match &self.remedy {
            Some(remedy) => format!("{}: {remedy}", self.sentence),
            None => self.sentence.clone(),
        }
    }

    /// Whether this hinders anybody from being found, or is worth a word while nobody is.
    #[must_use]
    pub fn is_trouble(&self) -> bool {
        !matches!(
            self.cause,
            Cause::None | Cause::NotSearched | Cause::Unknown | Cause::NoCarrier
        )
    }
}

/// What the facts mean.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnosis {
    /// For each interface of [`Facts::links`], in their order.
    pub links: Vec<Verdict>,
    /// All in all.
    pub overall: Verdict,
    /// Whether a round trip to another computer succeeded.
    pub reached: bool,
    /// Whether this computer can use its network at all.
    pub usable: bool,
}

/// What these facts mean.
#[must_use]
pub fn diagnose(facts: &Facts) -> Diagnosis {
    let links: Vec<Verdict> = facts
        .links
        .iter()
        .map(|link| rules::of_link(facts, link))
        .collect();
    let overall = rules::overall(facts, &links);
    let reached = facts.is_somebody_reached();
    Diagnosis {
        usable: reached || !rules::is_unusable(overall.cause),
        links,
        overall,
        reached,
    }
}
