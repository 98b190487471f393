//! Groups and broadcasts, in a network namespace that the test makes for itself.
//!
//! Each test starts this test program again under `unshare`, where it runs the part that needs
//! a network of its own. Without namespaces a test counts as passed and says so, unless
//! `LANCHAT_LAB=required`.
#![allow(clippy::disallowed_methods)]

use std::process::Command;
use std::time::Duration;

use super::tests::{LONG, Node};
use super::*;

const INSIDE: &str = "LANCHAT_TEST_NAMESPACE";
/// Long enough for a datagram that should not come.
const SHORT: Duration = Duration::from_millis(100);

/// Runs `test` in a namespace with an `eth0` (10.0.3.7/24), made by running the test again there.
fn in_namespace(name: &str, test: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        test();
        return;
    }
    let setup = "ip link set lo up && ip link add eth0 type veth peer name peer0 && \
        ip link set peer0 addrgenmode none && ip link set peer0 up && ip link set eth0 addrgenmode none up && \
        ip address add 10.0.3.7/24 dev eth0 && ip address add fe80::7/64 dev eth0 nodad && \
        exec \"$0\" --exact \"$1\" --nocapture";
    let output = Command::new("unshare")
        .args(["--map-root-user", "--net", "sh", "-c", setup])
        .arg(std::env::current_exe().expect("own path"))
        .arg(format!("net::namespace_tests::{name}"))
        .env(INSIDE, "1")
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return no_namespace(&error.to_string()),
    };
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !stdout.contains("running 1 test") {
        return no_namespace(&stderr);
    }
    assert!(output.status.success(), "{stdout}\n{stderr}");
}

fn no_namespace(why: &str) {
    assert!(
        std::env::var("LANCHAT_LAB").as_deref() != Ok("required"),
        "no namespace: {why}"
    );
    println!("skipped, no namespace: {why}");
}

fn link(node: &Node, name: &str) -> LinkId {
    let found = node.net.links().iter().find(|link| link.name == name);
    found.expect(name).id
}

/// Sends on one path from `from` until `bytes` arrived at each of `to` by that link.
fn reaches(from: &mut Node, id: LinkId, path: Path, to: &mut [Node]) -> bool {
    let bytes = [path as u8, 7, 7];
    let end = Instant::now() + LONG;
    loop {
        from.send(Destination::Group(id, path), &bytes);
        let all = to.iter_mut().all(|node| {
            node.until(SHORT, |node| {
                node.received.iter().any(|(arrival, got)| {
                    *got == bytes && arrival.link == Some(id) && arrival.presence_port
                })
            })
        });
        if all || Instant::now() > end {
            return all;
        }
    }
}

#[test]
fn every_group_path_reaches_both_nodes_of_one_host() {
    in_namespace("every_group_path_reaches_both_nodes_of_one_host", || {
        for (name, path) in [
            ("lo", Path::Mcast4),
            ("lo", Path::Bcast4),
            ("eth0", Path::Mcast4),
            ("eth0", Path::Bcast4),
            ("eth0", Path::Mcast6),
        ] {
            let config = NetConfig::default();
            let mut sender = Node::open(&config);
            let mut others = [Node::open(&config), Node::open(&config)];
            let id = link(&sender, name);
            assert!(
                reaches(&mut sender, id, path, &mut others),
                "{name} {path:?}"
            );
            let source = others[0].received[0].0.source;
            assert_eq!(source.port(), sender.net.chat_port());
            if let SocketAddr::V6(v6) = source {
                assert_eq!(v6.scope_id(), id.0);
            }
            // And the sender itself, which the endpoint drops.
            assert!(sender.until(LONG, |node| !node.received.is_empty()));
        }
    });
}

#[test]
fn a_group_datagram_arrives_once_and_by_its_own_interface_only() {
    in_namespace(
        "a_group_datagram_arrives_once_and_by_its_own_interface_only",
        || {
            let config = NetConfig::default();
            let (mut ana, mut ben) = (Node::open(&config), Node::open(&config));
            for (name, path) in [
                ("eth0", Path::Mcast4),
                ("lo", Path::Mcast4),
                ("eth0", Path::Bcast4),
                ("lo", Path::Bcast4),
                ("eth0", Path::Mcast4),
            ] {
                let id = link(&ana, name);
                ana.send(Destination::Group(id, path), b"once");
                assert!(ben.until(LONG, |ben| !ben.received.is_empty()), "{name}");
                ben.until(SHORT, |_| false);
                let links: Vec<_> = ben.received.iter().map(|(got, _)| got.link).collect();
                assert_eq!(links, [Some(id)], "{name} {path:?}");
                ben.received.clear();
            }
        },
    );
}

#[test]
fn a_unicast_to_a_shared_presence_port_reaches_one_node() {
    in_namespace(
        "a_unicast_to_a_shared_presence_port_reaches_one_node",
        || {
            let config = NetConfig::default();
            let (mut ana, mut ben) = (Node::open(&config), Node::open(&config));
            let mut cleo = Node::open(&NetConfig {
                port: 6262,
                ..NetConfig::default()
            });
            for address in ["127.0.0.1:5262", "10.0.3.7:5262"] {
                let to: SocketAddr = address.parse().expect("address");
                cleo.send(Destination::Unicast(to), b"first contact");
                ana.until(SHORT, |node| !node.received.is_empty());
                ben.until(SHORT, |node| !node.received.is_empty());
                let got = ana.received.len() + ben.received.len();
                assert_eq!(got, 1, "{address}");
                ana.received.clear();
                ben.received.clear();
            }
        },
    );
}

#[test]
fn one_socket_for_all_interfaces_tells_them_apart() {
    in_namespace("one_socket_for_all_interfaces_tells_them_apart", || {
        let config = NetConfig::default();
        let mut ana = Node::open(&config);
        let mut ben = Node::open(&config);
        ben.net.presence = Presence::shared_for_test(PRESENCE_TOKENS);
        let (links, registry) = (ben.net.scan.links.clone(), &ben.net.registry);
        ben.net.presence.update(&config, &links, registry);
        let mut others = [ben];
        for (name, path) in [
            ("eth0", Path::Mcast4),
            ("lo", Path::Bcast4),
            ("lo", Path::Mcast4),
            ("eth0", Path::Mcast6),
        ] {
            let id = link(&ana, name);
            assert!(reaches(&mut ana, id, path, &mut others), "{name} {path:?}");
            others[0].received.clear();
        }
    });
}

#[test]
fn an_interface_that_comes_is_used_and_one_that_goes_is_left() {
    in_namespace(
        "an_interface_that_comes_is_used_and_one_that_goes_is_left",
        || {
            let config = NetConfig::default();
            let (mut ana, mut ben) = (Node::open(&config), Node::open(&config));
            assert!(!ana.net.rescan());
            run("ip link add eth1 type veth peer name peer1");
            run("ip link set peer1 addrgenmode none");
            run("ip link set peer1 up");
            run("ip link set eth1 up");
            run("ip address add 10.0.4.7/24 dev eth1");
            assert!(ana.net.rescan() && ben.net.rescan());
            let id = link(&ana, "eth1");
            let mut others = [ben];
            assert!(reaches(&mut ana, id, Path::Mcast4, &mut others));
            assert_eq!(NetState::of(&ana.net.states()), NetState::Ok);

            // Renumbered: the broadcast address follows.
            run("ip address del 10.0.4.7/24 dev eth1");
            run("ip address add 10.0.5.7/25 dev eth1");
            assert!(ana.net.rescan() && others[0].net.rescan());
            others[0].received.clear();
            assert!(reaches(&mut ana, id, Path::Bcast4, &mut others));
            let source: SocketAddr = others[0].received[0].0.source;
            assert_eq!(source.ip().to_string(), "10.0.5.7");

            // The cable is pulled.
            run("ip link set peer1 down");
            // The kernel tells of a lost carrier within a second.
            let end = Instant::now() + LONG;
            let is_eth1 = |link: &crate::datagram::Link| link.name == "eth1";
            while !ana.net.rescan() || ana.net.links().iter().any(is_eth1) {
                assert!(Instant::now() < end, "a link without a cable");
                std::thread::yield_now();
            }
            ana.send(Destination::Group(id, Path::Mcast4), b"nobody");
            run("ip link del eth1");
            run("ip link del eth0");
            assert!(ana.net.rescan());
            assert_eq!(NetState::of(&ana.net.states()), NetState::Down);
        },
    );
}

#[test]
fn groups_arrive_by_sockets_that_were_built_anew() {
    in_namespace("groups_arrive_by_sockets_that_were_built_anew", || {
        let config = NetConfig::default();
        let (mut ana, mut ben) = (Node::open(&config), Node::open(&config));
        let id = link(&ana, "eth0");
        for _ in 0..20 {
            assert!(!ben.net.rebuild(), "the links are the same");
        }
        let mut others = [ben];
        for path in [Path::Mcast4, Path::Bcast4, Path::Mcast6] {
            assert!(reaches(&mut ana, id, path, &mut others), "{path:?}");
        }
        assert_eq!(NetState::of(&others[0].net.states()), NetState::Ok);
    });
}

#[test]
fn the_system_says_that_something_changed() {
    in_namespace("the_system_says_that_something_changed", || {
        let mut ana = Node::open(&NetConfig::default());
        ana.until(SHORT, |_| false);
        ana.net.take_changed();
        assert!(!ana.until(SHORT, |ana| ana.net.take_changed()));
        for command in [
            "ip link set peer0 down",
            "ip link set peer0 up",
            "ip address add 10.0.9.7/24 dev eth0",
            "ip address add fe80::9/64 dev eth0 nodad",
            "ip link add eth1 type veth peer name peer1",
        ] {
            run(command);
            assert!(ana.until(LONG, |ana| ana.net.take_changed()), "{command}");
        }
        // More than the socket holds: that some were lost counts as a change, and does no harm.
        let many: String = (0..3000)
            .map(|n| format!("link set eth0 alias name{n}\n"))
            .collect();
        let mut child = Command::new("ip")
            .args(["-batch", "-"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("ip");
        let mut input = child.stdin.take().expect("piped");
        std::io::Write::write_all(&mut input, many.as_bytes()).expect("written");
        drop(input);
        assert!(child.wait().expect("its end").success());
        assert!(ana.until(LONG, |ana| ana.net.take_changed()));
        ana.until(LONG, |ana| !ana.net.take_changed());
        run("ip address add 10.0.8.7/24 dev eth0");
        assert!(ana.until(LONG, |ana| ana.net.take_changed()));
    });
}

#[test]
fn the_loopback_reaches_everybody_by_ipv6() {
    in_namespace("the_loopback_reaches_everybody_by_ipv6", || {
        let config = NetConfig {
            ipv4: false,
            ..NetConfig::default()
        };
        let mut nodes = [0; 3].map(|_| Node::open(&config));
        let (ana, others) = nodes.split_first_mut().expect("three");
        let id = link(ana, "lo");
        ana.send(Destination::Group(id, Path::Mcast6), b"hello");
        for other in others {
            assert!(other.until(LONG, |node| !node.received.is_empty()));
            assert_eq!(other.received[0].0.link, Some(id));
        }
        assert!(!ana.until(SHORT, |ana| !ana.received.is_empty()));
        let lo = ana.net.states().into_iter().find(|state| state.loopback);
        assert_eq!(lo.and_then(|lo| lo.hint), None);
    });
}

#[test]
fn an_absent_host_on_the_link_is_named_and_hinders_nobody() {
    in_namespace(
        "an_absent_host_on_the_link_is_named_and_hinders_nobody",
        || {
            let config = NetConfig::default();
            let (mut ana, mut ben) = (Node::open(&config), Node::open(&config));
            let absent: SocketAddr = "10.0.3.99:5263".parse().expect("address");
            ana.send(Destination::Unicast(absent), b"anybody?");
            assert!(ana.until(LONG, |ana| {
                ana.net
                    .unreachable
                    .iter()
                    .any(|to| to.at == absent && !to.refused)
            }));
            let no_route: SocketAddr = "192.0.2.1:5263".parse().expect("address");
            ana.net.unreachable.clear();
            ana.send(Destination::Unicast(no_route), b"anybody?");
            let without_route = Unreachable {
                at: no_route,
                refused: false,
            };
            assert_eq!(ana.net.next_unreachable(), Some(without_route));
            let here = (Ipv4Addr::LOCALHOST, ben.net.chat_port()).into();
            ana.send(Destination::Unicast(here), b"hello");
            assert!(ben.until(LONG, |ben| !ben.received.is_empty()));
        },
    );
}

fn run(command: &str) {
    let words: Vec<&str> = command.split(' ').collect();
    let status = Command::new(words[0]).args(&words[1..]).status();
    assert!(status.is_ok_and(|status| status.success()), "{command}");
}
