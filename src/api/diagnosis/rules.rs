//! The table: for an interface the first rule that has an answer counts.

use super::{Cause, Facts, LinkFacts, LinkKind, Neighbour, PersonFacts, System, Verdict, remedy};

type Rule = fn(&Facts, &LinkFacts) -> Option<Verdict>;

/// From what the system itself says, over what somebody's answers show, to what silence may mean.
const RULES: &[Rule] = &[
    not_a_lan,
    no_carrier,
    no_address,
    not_searched,
    cannot_send,
    port_taken,
    no_membership,
    own_firewall,
    group_paths,
    other_version,
    isolation,
    not_running,
    other_firewall,
    closed_by_its_rules,
];

/// What hinders this interface.
pub(super) fn of_link(facts: &Facts, link: &LinkFacts) -> Verdict {
    let found = RULES.iter().find_map(|rule| rule(facts, link));
    found.unwrap_or_else(|| nobody(facts, link))
}

/// The one verdict of all: the worst of where people are found; where they are not, the most
/// certain of what may hinder it.
pub(super) fn overall(facts: &Facts, links: &[Verdict]) -> Verdict {
    let all = || facts.links.iter().zip(links);
    let lan = || all().filter(|(link, _)| link.kind == LinkKind::Lan);
    if facts.is_somebody_reached() {
        let with_people = lan().filter(|(link, _)| somebody_answers(facts, link));
        let worst = with_people.max_by_key(|(_, verdict)| verdict.cause);
        let routed = || Verdict::new(Cause::None, "people are found, by a router or a tunnel");
        return worst.map_or_else(routed, |(_, verdict)| verdict.clone());
    }
    let usable = lan().filter(|(link, _)| link.used && link.carrier && link.has_address);
    if let Some((_, verdict)) = usable.min_by_key(|(_, verdict)| verdict.cause) {
        return verdict.clone();
    }
    // No LAN to search: the tunnel explains it where there is one.
    let tunnel = all().find(|(link, _)| link.kind == LinkKind::Tunnel && link.default_route);
    if let Some((_, verdict)) = tunnel {
        return verdict.clone();
    }
    let broken = lan().min_by_key(|(_, verdict)| verdict.cause);
    broken.map_or_else(no_interface, |(_, verdict)| verdict.clone())
}

/// Causes for which this computer cannot use its network at all.
pub(super) fn is_unusable(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::NoAddress
            | Cause::NotSearched
            | Cause::NoCarrier
            | Cause::NoInterface
            | Cause::Vpn
            | Cause::PortTaken
            | Cause::NoMembership
            | Cause::OwnFirewall
            | Cause::SendFails
            | Cause::MacosPrivacy
    )
}

fn somebody_answers(facts: &Facts, link: &LinkFacts) -> bool {
    facts.people_on(link.id).any(|person| person.answers)
}

fn no_interface() -> Verdict {
    Verdict::new(
        Cause::NoInterface,
        "there is no network but this computer itself",
    )
    .remedy("connect a cable or join a wireless network")
}

/// Tunnels, bridges to containers, the loopback: where people are not looked for.
fn not_a_lan(facts: &Facts, link: &LinkFacts) -> Option<Verdict> {
    let name = &link.name;
    match link.kind {
        LinkKind::Lan => None,
        LinkKind::Loopback if facts.own_round_trip == Some(false) && !link.looped.any() => Some(
            Verdict::new(
                Cause::OwnFirewall,
                "two lanchats on this computer do not find each other: its firewall drops even \
                 what it sends to itself",
            )
            .remedy(remedy::open_ports(facts)),
        ),
        LinkKind::Loopback => Some(Verdict::new(Cause::None, "this computer itself")),
        // It was named: the rules for a LAN hold.
        LinkKind::Tunnel | LinkKind::Internal if link.used => None,
        LinkKind::Tunnel if link.default_route => Some(tunnel(facts, link)),
        LinkKind::Tunnel | LinkKind::Internal => Some(Verdict::new(
            Cause::NotSearched,
            format!("not searched for people; --interface {name} does so"),
        )),
    }
}

fn tunnel(facts: &Facts, link: &LinkFacts) -> Verdict {
    let name = &link.name;
    let is_lan = |lan: &&LinkFacts| lan.kind == LinkKind::Lan && lan.used && lan.has_address;
    let found = |lan: &LinkFacts| lan.carrier.then(|| lan.name.clone());
    let Some(lan) = facts.links.iter().filter(is_lan).find_map(found) else {
        return Verdict::new(
            Cause::Vpn,
            format!("the only connection is {name}, a VPN, and nobody is looked for there"),
        )
        .remedy(format!(
            "connect to the LAN, or search the VPN: lanchat --interface {name}"
        ));
    };
    if facts.is_somebody_reached() {
        let sentence =
            format!("a VPN has the default route, which is harmless: people are found by {lan}");
        return Verdict::new(Cause::Vpn, sentence);
    }
    let sentence = format!(
        "a VPN has the default route; that is harmless unless it locks out the local network {lan}"
    );
    Verdict::new(Cause::Vpn, sentence).remedy("let it reach the local network, or switch it off")
}

fn no_carrier(_: &Facts, link: &LinkFacts) -> Option<Verdict> {
    let verdict = Verdict::new(Cause::NoCarrier, "not connected")
        .remedy("plug in the cable, or join a wireless network");
    (!link.carrier).then_some(verdict)
}

fn no_address(facts: &Facts, link: &LinkFacts) -> Option<Verdict> {
    let verdict = Verdict::new(Cause::NoAddress, "connected, but it has no address")
        .remedy(remedy::get_address(facts, link));
    (!link.has_address).then_some(verdict)
}

fn not_searched(_: &Facts, link: &LinkFacts) -> Option<Verdict> {
    let name = &link.name;
    let sentence = format!("not searched for people; --interface {name} does so");
    (!link.used).then(|| Verdict::new(Cause::NotSearched, sentence))
}

fn cannot_send(facts: &Facts, link: &LinkFacts) -> Option<Verdict> {
    let error = link.send_error.as_ref()?;
    if facts.system == System::MacOs && error.contains("No route to host") {
        return Some(
            Verdict::new(
                Cause::MacosPrivacy,
                "macOS does not let this terminal reach the local network",
            )
            .remedy(
                "System Settings > Privacy & Security > Local Network: switch on your terminal, \
                 then start it again",
            ),
        );
    }
    if error.contains("firewall") {
        let sentence = "the firewall of this computer drops what lanchat sends";
        return Some(Verdict::new(Cause::OwnFirewall, sentence).remedy(remedy::open_output(facts)));
    }
    Some(Verdict::new(
        Cause::SendFails,
        format!("sending to everybody fails: {error}"),
    ))
}

fn port_taken(facts: &Facts, link: &LinkFacts) -> Option<Verdict> {
    let error = link.bind_error.as_ref()?;
    let port = facts.port;
    if !error.contains("does not share") {
        return Some(Verdict::new(Cause::PortTaken, error.clone()));
    }
    let rest = format!("has port {port} for itself: what is sent to everybody is not heard here");
    Some(match &link.port_holder {
        Some(holder) => Verdict::new(Cause::PortTaken, format!("{holder} {rest}"))
            .remedy(format!("end {holder}; lanchat takes the port within 5 s")),
        None => Verdict::new(Cause::PortTaken, format!("another program {rest}"))
            .remedy(remedy::find_holder(facts)),
    })
}

fn no_membership(_: &Facts, link: &LinkFacts) -> Option<Verdict> {
    let wanted = link.usable.multicast() && link.member == Some(false);
    let verdict = Verdict::new(
        Cause::NoMembership,
        "the multicast group is not joined here",
    )
    .remedy(format!("sudo ip link set {} multicast on", link.name));
    wanted.then_some(verdict)
}

/// What this computer sends to everybody comes back to itself through its own firewall, as if it
/// came by the wire. What does not is dropped here, and what others send as well.
fn own_firewall(facts: &Facts, link: &LinkFacts) -> Option<Verdict> {
    let (sent, back) = (link.usable, link.looped);
    let what = match (
        sent.multicast() && !back.multicast(),
        sent.broadcast() && !back.broadcast(),
    ) {
        (false, false) => return None,
        _ if !back.any() => "lets nothing of the network in",
        (true, _) => "lets no multicast in",
        (false, true) => "lets no broadcast in",
    };
    // Somebody's group datagrams that came prove the contrary.
    if link.heard.any() && !back.any() {
        return None;
    }
    let sentence = format!("the firewall of this computer {what}");
    Some(Verdict::new(Cause::OwnFirewall, sentence).remedy(remedy::open_ports(facts)))
}

/// Somebody answers: which paths reach them, as the nonces that they echo tell.
fn group_paths(facts: &Facts, link: &LinkFacts) -> Option<Verdict> {
    let people = || facts.people_on(link.id).filter(|person| person.answers);
    let first = people().next()?.label();
    let hear = people().fold(super::Paths::default(), |all, one| {
        all.union(one.hears_us_on(link.id))
    });
    if !facts.sounded && !hear.any() {
        // Their heartbeats have not told yet what they hear.
        let sentence = format!("people are found, such as {first}");
        return Some(Verdict::new(Cause::None, sentence));
    }
    let lost_multicast = link.usable.multicast() && !hear.multicast();
    let lost_broadcast = link.usable.broadcast() && !hear.broadcast();
    Some(match (lost_multicast, lost_broadcast) {
        (true, _) if hear.broadcast() && link.heard.multicast() => Verdict::new(
            Cause::PrunedMulticast,
            format!(
                "multicast of others arrives, but {first} hears this computer by broadcast alone: \
                 a switch forgot who joined the group"
            ),
        )
        .remedy(remedy::querier()),
        (true, _) if hear.broadcast() => Verdict::new(
            Cause::NoMulticast,
            format!(
                "multicast does not pass, broadcast does: people such as {first} are found by it"
            ),
        )
        .remedy(remedy::querier()),
        (true, _) if !hear.any() => Verdict::new(
            Cause::NoGroup,
            format!("neither multicast nor broadcast reaches {first}, unicast does"),
        )
        .remedy("lanchat --peer ADDRESS, once for each computer that is not found"),
        (_, true) => Verdict::new(
            Cause::NoBroadcast,
            format!("broadcast does not pass, which is harmless: {first} is found by multicast"),
        ),
        _ => Verdict::new(Cause::None, format!("people are found, such as {first}")),
    })
}

fn find_person(
    facts: &Facts,
    link: &LinkFacts,
    wanted: impl Fn(&PersonFacts) -> bool,
) -> Option<String> {
    let mut people = facts.people_on(link.id);
    people.find(|person| wanted(person)).map(PersonFacts::label)
}

fn other_version(facts: &Facts, link: &LinkFacts) -> Option<Verdict> {
    let mut people = facts.people_on(link.id);
    let (who, version) = people.find_map(|one| Some((one.label(), one.other_version?)))?;
    let sentence = format!(
        "{who} runs another version of lanchat (protocol {version}, here 1): they cannot talk"
    );
    let remedy = "install the same version on both computers; `lanchat --version` shows it";
    Some(Verdict::new(Cause::OtherVersion, sentence).remedy(remedy))
}

fn not_running(facts: &Facts, link: &LinkFacts) -> Option<Verdict> {
    let refuses = |one: &PersonFacts| one.named && one.refused && !one.heard.any();
    let who = find_person(facts, link, refuses)?;
    let sentence = format!(
        "{who} is there and refuses: lanchat is not running on it, or its firewall rejects it"
    );
    Some(Verdict::new(Cause::NotRunning, sentence).remedy("start lanchat there"))
}

/// Their computer does not even answer on the link, where only a switch or an access point stands
/// between.
fn isolation(facts: &Facts, link: &LinkFacts) -> Option<Verdict> {
    let failed = |one: &PersonFacts| one.neighbour == Neighbour::Failed;
    let remedy = "switch off client isolation (AP isolation, guest network) at the access point";
    if let Some(who) = find_person(facts, link, |one| failed(one) && one.heard.any()) {
        let sentence =
            format!("{who} is heard but cannot be reached: this network keeps its stations apart");
        return Some(Verdict::new(Cause::Isolation, sentence).remedy(remedy));
    }
    let who = find_person(facts, link, |one| failed(one) && one.named)?;
    let sentence = format!(
        "{who} does not even answer on the link: it is off, or this network keeps its stations apart"
    );
    Some(Verdict::new(Cause::Isolation, sentence).remedy(remedy))
}

/// Their computer is on the link, or at least speaks, and answers nothing that is sent to it.
fn other_firewall(facts: &Facts, link: &LinkFacts) -> Option<Verdict> {
    if facts.firewall.open == Some(false) {
        return None;
    }
    let is_there = |one: &PersonFacts| one.named && one.neighbour == Neighbour::Reachable;
    let silent = |one: &PersonFacts| !one.answers && (one.heard.any() || is_there(one));
    let mut people = facts.people_on(link.id);
    let person = people.find(|person| silent(person))?;
    let who = person.label();
    let sentence = match person.neighbour {
        Neighbour::Reachable => {
            format!("{who} is there but answers nothing: the firewall of that computer")
        }
        Neighbour::Unknown | Neighbour::Failed => format!(
            "{who} is heard but answers nothing: the firewall of that computer, or a network that \
             keeps its stations apart"
        ),
    };
    Some(Verdict::new(Cause::OtherFirewall, sentence).remedy(remedy::open_ports_there(facts)))
}

/// Nobody answers, and the rules that were read say why.
fn closed_by_its_rules(facts: &Facts, _: &LinkFacts) -> Option<Verdict> {
    let port = facts.chat_port;
    let sentence = format!("the firewall of this computer lets no answers in (UDP {port})");
    let verdict = || Verdict::new(Cause::OwnFirewall, sentence).remedy(remedy::open_ports(facts));
    (facts.firewall.open == Some(false)).then(verdict)
}

/// Silence: nothing tells whether somebody is there.
fn nobody(facts: &Facts, _: &LinkFacts) -> Verdict {
    let has_vpn = |link: &LinkFacts| link.kind == LinkKind::Tunnel && link.default_route;
    let vpn = match facts.links.iter().any(has_vpn) {
        true => ", or the VPN locks out the local network",
        false => "",
    };
    let sentence = format!(
        "nobody answered: either nobody else runs lanchat here, or the network keeps its stations \
         apart (guest Wi-Fi), or their firewalls let nothing in{vpn}"
    );
    Verdict::new(Cause::Unknown, sentence).remedy(
        "start lanchat on another computer, then run lanchat doctor --peer with its address",
    )
}
