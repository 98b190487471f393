//! The table of causes: from a healthy LAN, one fact changed at a time.

use super::*;

const ETH0: LinkId = LinkId(2);
const ALL: [Path; 3] = Path::GROUP;

fn link(name: &str, id: u32, kind: LinkKind) -> LinkFacts {
    let used = matches!(kind, LinkKind::Lan | LinkKind::Loopback);
    let paths = if used {
        Paths::of(&ALL)
    } else {
        Paths::default()
    };
    LinkFacts {
        id: LinkId(id),
        name: name.to_owned(),
        kind,
        used,
        carrier: true,
        has_address: true,
        default_route: false,
        bind_error: None,
        port_holder: None,
        send_error: None,
        member: Some(true),
        usable: paths,
        looped: paths,
        heard: Paths::default(),
    }
}

fn tunnel() -> LinkFacts {
    LinkFacts {
        default_route: true,
        ..link("tun0", 7, LinkKind::Tunnel)
    }
}

fn ben() -> PersonFacts {
    PersonFacts {
        name: Some("ben".into()),
        links: vec![ETH0],
        answers: true,
        hears_us: [(ETH0, Paths::of(&ALL))].into(),
        neighbour: Neighbour::Reachable,
        ..PersonFacts::at([10, 0, 0, 9].into())
    }
}

/// Ben is heard by multicast and answers nothing.
fn silent() -> PersonFacts {
    PersonFacts {
        answers: false,
        heard: Paths::of(&[Path::Mcast4]),
        hears_us: BTreeMap::new(),
        ..ben()
    }
}

fn named(neighbour: Neighbour) -> PersonFacts {
    PersonFacts {
        named: true,
        links: vec![ETH0],
        neighbour,
        ..PersonFacts::at([10, 0, 0, 9].into())
    }
}

fn facts(people: &[PersonFacts]) -> Facts {
    Facts {
        system: System::Linux,
        port: 5262,
        chat_port: 5263,
        firewall: Firewall::default(),
        links: vec![
            link("lo", 1, LinkKind::Loopback),
            link("eth0", ETH0.0, LinkKind::Lan),
        ],
        people: people.to_vec(),
        own_round_trip: None,
        sounded: true,
    }
}

fn with(people: &[PersonFacts], change: impl FnOnce(&mut LinkFacts)) -> Facts {
    let mut facts = facts(people);
    change(&mut facts.links[1]);
    facts
}

fn hears(paths: &[Path]) -> PersonFacts {
    PersonFacts {
        hears_us: [(ETH0, Paths::of(paths))].into(),
        ..ben()
    }
}

fn cause(facts: &Facts) -> Cause {
    diagnose(facts).overall.cause
}

#[test]
fn where_people_answer_the_paths_that_reach_them_count() {
    for (paths, expected) in [
        (&ALL[..], Cause::None),
        (&[Path::Mcast6, Path::Bcast4], Cause::None),
        (&[Path::Mcast4], Cause::NoBroadcast),
        (&[Path::Bcast4], Cause::NoMulticast),
        (&[], Cause::NoGroup),
    ] {
        let diagnosis = diagnose(&facts(&[hears(paths)]));
        assert_eq!(diagnosis.overall.cause, expected, "{paths:?}");
        assert!(diagnosis.reached && diagnosis.usable);
    }
    let heard = with(&[hears(&[Path::Bcast4])], |eth0| {
        eth0.heard = Paths::of(&[Path::Mcast4]);
    });
    assert_eq!(cause(&heard), Cause::PrunedMulticast);
    // Without multicast of one's own there is nothing to miss.
    let none = with(&[hears(&[Path::Bcast4])], |eth0| {
        eth0.usable = Paths::of(&[Path::Bcast4]);
    });
    assert_eq!(cause(&none), Cause::None);
    // Somebody who has not said yet what they hear hears perhaps everything.
    let unsaid = Facts {
        sounded: false,
        ..facts(&[hears(&[])])
    };
    assert_eq!(cause(&unsaid), Cause::None);
}

#[test]
fn two_who_hear_by_different_paths_are_both_counted() {
    let both = facts(&[hears(&[Path::Mcast4]), hears(&[Path::Bcast4])]);
    assert_eq!(cause(&both), Cause::None);
}

#[test]
fn what_does_not_come_back_is_dropped_here() {
    let nothing = with(&[], |eth0| eth0.looped = Paths::default());
    assert_eq!(cause(&nothing), Cause::OwnFirewall);
    assert!(!diagnose(&nothing).usable);
    let no_multicast = with(&[], |eth0| eth0.looped = Paths::of(&[Path::Bcast4]));
    let verdict = diagnose(&no_multicast).overall;
    assert!(
        verdict.sentence.ends_with("lets no multicast in"),
        "{verdict:?}"
    );
    // Somebody who is heard proves that it is only the loop that fails.
    let heard = with(&[ben()], |eth0| {
        (eth0.looped, eth0.heard) = (Paths::default(), Paths::of(&[Path::Mcast4]));
    });
    assert_eq!(cause(&heard), Cause::None);
    let mut rules = facts(&[]);
    rules.firewall.open = Some(false);
    assert_eq!(cause(&rules), Cause::OwnFirewall);
}

#[test]
fn what_the_system_says_goes_before_what_silence_may_mean() {
    type Change = fn(&mut LinkFacts);
    let cases: [(&str, Cause, Change); 6] = [
        ("cable", Cause::NoCarrier, |eth0| eth0.carrier = false),
        ("address", Cause::NoAddress, |eth0| eth0.has_address = false),
        ("port", Cause::PortTaken, |eth0| {
            eth0.bind_error = Some("port 5262 is held by a program that does not share it".into());
            eth0.looped = Paths::default();
        }),
        ("membership", Cause::NoMembership, |eth0| {
            eth0.member = Some(false)
        }),
        ("sending", Cause::SendFails, |eth0| {
            eth0.send_error = Some("Network is unreachable".into());
        }),
        ("output", Cause::OwnFirewall, |eth0| {
            eth0.send_error = Some("the firewall of this host drops it".into());
        }),
    ];
    for (what, expected, change) in cases {
        let diagnosis = diagnose(&with(&[], change));
        assert_eq!(diagnosis.overall.cause, expected, "{what}");
        assert!(!diagnosis.usable && !diagnosis.reached, "{what}");
    }
    let mut mac = with(&[], |eth0| {
        eth0.send_error = Some("No route to host (os error 65)".into());
    });
    mac.system = System::MacOs;
    assert_eq!(cause(&mac), Cause::MacosPrivacy);
}

#[test]
fn who_holds_the_port_is_named() {
    let taken = with(&[ben()], |eth0| {
        eth0.bind_error = Some("port 5262 is held by a program that does not share it".into());
        eth0.port_holder = Some("nc (pid 7)".into());
    });
    let diagnosis = diagnose(&taken);
    assert_eq!(diagnosis.overall.cause, Cause::PortTaken);
    assert!(
        diagnosis
            .overall
            .sentence
            .starts_with("nc (pid 7) has port 5262")
    );
    assert!(diagnosis.reached, "people are found all the same");
}

#[test]
fn who_is_heard_and_silent_is_told_apart_by_the_link() {
    let at = |neighbour, person: PersonFacts| {
        cause(&facts(&[PersonFacts {
            neighbour,
            ..person
        }]))
    };
    assert_eq!(at(Neighbour::Reachable, silent()), Cause::OtherFirewall);
    assert_eq!(at(Neighbour::Unknown, silent()), Cause::OtherFirewall);
    assert_eq!(at(Neighbour::Failed, silent()), Cause::Isolation);
    for (neighbour, expected) in [
        (Neighbour::Reachable, Cause::OtherFirewall),
        (Neighbour::Failed, Cause::Isolation),
        (Neighbour::Unknown, Cause::Unknown),
    ] {
        assert_eq!(
            cause(&facts(&[named(neighbour)])),
            expected,
            "{neighbour:?}"
        );
    }
    let refuses = PersonFacts {
        refused: true,
        ..named(Neighbour::Reachable)
    };
    assert_eq!(
        cause(&facts(std::slice::from_ref(&refuses))),
        Cause::NotRunning
    );
    // A neighbour that the system gave up is told as a refusal too.
    let gone = PersonFacts {
        neighbour: Neighbour::Failed,
        ..refuses
    };
    assert_eq!(cause(&facts(&[gone])), Cause::Isolation);
}

#[test]
fn another_version_is_told_unless_somebody_answers() {
    let zoe = PersonFacts {
        other_version: Some(2),
        ..silent()
    };
    assert_eq!(
        cause(&facts(std::slice::from_ref(&zoe))),
        Cause::OtherVersion
    );
    assert_eq!(cause(&facts(&[zoe, ben()])), Cause::None);
}

#[test]
fn a_vpn_is_harmless_where_people_are_found_and_the_cause_where_it_is_alone() {
    let mut beside = facts(&[ben()]);
    beside.links.push(tunnel());
    let diagnosis = diagnose(&beside);
    assert_eq!(diagnosis.overall.cause, Cause::None);
    assert_eq!(diagnosis.links[2].cause, Cause::Vpn);
    assert!(
        diagnosis.links[2]
            .sentence
            .contains("harmless: people are found by eth0")
    );
    beside.people.clear();
    let unknown = diagnose(&beside).overall;
    assert_eq!(unknown.cause, Cause::Unknown);
    assert!(unknown.sentence.contains("VPN"));
    beside.links.remove(1);
    let alone = diagnose(&beside);
    assert_eq!((alone.overall.cause, alone.usable), (Cause::Vpn, false));
}

#[test]
fn nobody_is_unknown_and_nothing_at_all_is_no_interface() {
    let diagnosis = diagnose(&facts(&[]));
    assert_eq!(diagnosis.overall.cause, Cause::Unknown);
    assert!(diagnosis.usable && !diagnosis.overall.is_trouble());
    let mut none = facts(&[]);
    none.links.truncate(1);
    assert_eq!(cause(&none), Cause::NoInterface);
    assert!(!diagnose(&none).usable);
}

#[test]
fn a_second_card_without_people_changes_nothing() {
    let mut two = facts(&[ben()]);
    two.links.push(link("eth1", 3, LinkKind::Lan));
    let diagnosis = diagnose(&two);
    assert_eq!(diagnosis.overall.cause, Cause::None);
    assert_eq!(diagnosis.links[2].cause, Cause::Unknown);
}

#[test]
fn commands_are_those_of_the_tool_that_was_found() {
    let blocked = |tool, system| {
        let mut facts = with(&[], |eth0| eth0.looped = Paths::default());
        (facts.firewall.tool, facts.system) = (tool, system);
        diagnose(&facts).overall.remedy.unwrap_or_default()
    };
    for (tool, expected) in [
        (Some(Tool::Ufw), "sudo ufw allow 5262:5279/udp"),
        (
            Some(Tool::Firewalld("home".into())),
            "sudo firewall-cmd --permanent --zone=home --add-port=5262-5279/udp && \
             sudo firewall-cmd --reload",
        ),
        (
            Some(Tool::Nft(vec!["inet filter input".into()])),
            "sudo nft insert rule inet filter input udp dport { 5262-5279 } accept",
        ),
        (
            Some(Tool::Iptables),
            "sudo iptables -I INPUT -p udp -m multiport --dports 5262:5279 -j ACCEPT && \
             sudo ip6tables -I INPUT -p udp -m multiport --dports 5262:5279 -j ACCEPT",
        ),
    ] {
        assert_eq!(blocked(tool, System::Linux), expected);
    }
    assert_eq!(
        blocked(Some(Tool::Windows), System::Windows),
        "New-NetFirewallRule -DisplayName lanchat -Direction Inbound -Protocol UDP \
         -LocalPort 5262-5279 -Action Allow (in PowerShell as administrator)"
    );
    let tool = "sudo /usr/libexec/ApplicationFirewall/socketfilterfw";
    assert_eq!(
        blocked(Some(Tool::MacOs("/opt/lanchat".into())), System::MacOs),
        format!("{tool} --add /opt/lanchat && {tool} --unblockapp /opt/lanchat")
    );
    let mut other = with(&[], |eth0| eth0.looped = Paths::default());
    (other.port, other.chat_port) = (7000, 7001);
    other.firewall.tool = Some(Tool::Ufw);
    let remedy = diagnose(&other).overall.remedy;
    assert_eq!(remedy.as_deref(), Some("sudo ufw allow 7000,7001/udp"));
}

#[test]
fn paths_have_their_words() {
    assert_eq!(
        Paths::of(&[Path::Bcast4, Path::Mcast4]).words(),
        ["mcast4", "bcast4"]
    );
    assert!(!Paths::of(&[Path::Unicast]).any());
    assert!(Paths::of(&[Path::Mcast6]).multicast());
}
