//! The sockets on the loopback: unicast only, nothing leaves the host.
#![allow(clippy::disallowed_methods)]

use std::time::Duration;

use mio::{Events, Poll};

use super::*;

/// A [`Net`] with its poll, and what it received.
pub(super) struct Node {
    poll: Poll,
    events: Events,
    pub(super) net: Net,
    pub(super) received: Vec<(Arrival, Vec<u8>)>,
    more: bool,
}

impl Node {
    pub(super) fn open(config: &NetConfig) -> Node {
        let poll = Poll::new().expect("poll");
        let net = Net::open(config, poll.registry()).expect("net");
        Node {
            poll,
            events: Events::with_capacity(64),
            net,
            received: Vec::new(),
            more: true,
        }
    }

    /// One turn: waits for at most `wait`.
    pub(super) fn turn(&mut self, wait: Duration) {
        let wait = if self.more { Duration::ZERO } else { wait };
        self.poll.poll(&mut self.events, Some(wait)).expect("poll");
        for event in &self.events {
            self.net.handle_ready(
                event.token(),
                event.is_readable(),
                event.is_writable(),
                event.is_error(),
            );
        }
        let received = &mut self.received;
        self.more = self.net.receive(64, &mut |arrival, bytes| {
            received.push((arrival, bytes.to_vec()));
        });
    }

    /// Turns until `done`, for at most `limit`. Returns whether it is.
    pub(super) fn until(&mut self, limit: Duration, done: impl Fn(&mut Node) -> bool) -> bool {
        let end = Instant::now() + limit;
        loop {
            if done(self) {
                return true;
            }
            let Some(left) = end.checked_duration_since(Instant::now()) else {
                return false;
            };
            self.turn(left.max(Duration::from_millis(1)));
        }
    }

    pub(super) fn send(&mut self, destination: Destination, bytes: &[u8]) {
        let transmit = Transmit {
            destination,
            bytes: bytes.to_vec(),
            segment_len: None,
            ecn: 0,
        };
        self.net.send(Instant::now(), &transmit);
    }

    pub(super) fn loopback(&self) -> LinkId {
        let links = self.net.links();
        links.iter().find(|link| link.loopback).expect("lo").id
    }
}

pub(super) const LONG: Duration = Duration::from_secs(5);

/// Only the loopback, and no groups.
fn quiet(port: u16) -> NetConfig {
    NetConfig {
        port,
        interfaces: vec!["no-such-interface".into()],
        multicast: false,
        broadcast: false,
        ..NetConfig::default()
    }
}

fn free_port() -> u16 {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("bind");
    socket.local_addr().expect("address").port()
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[test]
fn a_datagram_arrives_from_the_chat_port_of_its_sender() {
    let config = quiet(free_port());
    let (mut ana, mut ben) = (Node::open(&config), Node::open(&config));
    let to = local(ben.net.chat_port());
    ana.send(Destination::Unicast(to), b"hello");
    assert!(ben.until(LONG, |ben| !ben.received.is_empty()));
    let (arrival, bytes) = &ben.received[0];
    assert_eq!(bytes, b"hello");
    assert_eq!(arrival.source, local(ana.net.chat_port()));
    assert!(!arrival.presence_port);
    // IPv6 on the same port.
    if ana.net.chat6.is_some() && ben.net.chat6.is_some() {
        let to = (Ipv6Addr::LOCALHOST, ben.net.chat_port()).into();
        ana.send(Destination::Unicast(to), b"six");
        assert!(ben.until(LONG, |ben| ben.received.len() == 2));
        assert_eq!(ben.received[1].0.source.port(), ana.net.chat_port());
    }
}

#[test]
fn a_first_contact_at_the_presence_port_is_marked_and_knows_its_link() {
    let config = quiet(free_port());
    let (mut ana, mut ben) = (Node::open(&config), Node::open(&quiet(free_port())));
    assert_ne!(ana.net.config.port, ben.net.config.port);
    let to = local(ben.net.config.port);
    ana.send(Destination::Unicast(to), b"hello");
    assert!(ben.until(LONG, |ben| !ben.received.is_empty()));
    let arrival = ben.received[0].0;
    assert!(arrival.presence_port);
    assert_eq!(arrival.link, Some(ben.loopback()));
}

#[test]
fn a_refused_datagram_names_its_destination_and_hinders_no_other() {
    let mut ana = Node::open(&quiet(free_port()));
    let mut ben = Node::open(&quiet(free_port()));
    let closed = local(free_port());
    for round in 0..100_u8 {
        ana.send(Destination::Unicast(closed), b"anybody there?");
        ana.send(
            Destination::Unicast(local(ben.net.chat_port())),
            &[round; 3],
        );
        ben.send(
            Destination::Unicast(local(ana.net.chat_port())),
            &[round; 4],
        );
    }
    assert!(ben.until(LONG, |ben| ben.received.len() == 100));
    assert!(ana.until(LONG, |ana| ana.received.len() == 100));
    assert_eq!(ana.net.stats().failed, 0);
    if cfg!(target_os = "linux") {
        assert!(ana.until(LONG, |ana| {
            ana.net
                .unreachable
                .iter()
                .any(|to| to.at == closed && to.refused)
        }));
        while let Some(address) = ana.net.next_unreachable() {
            assert_eq!(address.at, closed);
        }
    }
}

#[test]
fn a_batch_of_segments_arrives_as_its_datagrams_in_order() {
    let mut ana = Node::open(&quiet(free_port()));
    let mut ben = Node::open(&quiet(free_port()));
    let bytes: Vec<u8> = (0..25_u8).flat_map(|i| vec![i; 1000]).collect();
    let transmit = Transmit {
        destination: Destination::Unicast(local(ben.net.chat_port())),
        bytes: bytes[..24_500].to_vec(),
        segment_len: Some(1000),
        ecn: 2,
    };
    ana.net.send(Instant::now(), &transmit);
    assert!(ben.until(LONG, |ben| ben.received.len() == 25));
    for (i, (arrival, datagram)) in ben.received.iter().enumerate() {
        let len = if i == 24 { 500 } else { 1000 };
        assert_eq!(*datagram, vec![u8::try_from(i).expect("small"); len]);
        if cfg!(target_os = "linux") {
            assert_eq!(arrival.ecn, 2);
        }
    }
}

#[test]
fn a_turn_takes_no_more_than_its_budget_and_the_rest_is_not_forgotten() {
    let mut ana = Node::open(&quiet(free_port()));
    let mut ben = Node::open(&quiet(free_port()));
    for i in 0..200_u8 {
        ana.send(Destination::Unicast(local(ben.net.chat_port())), &[i]);
    }
    // Everything waits in the kernel; whether joined or not, a turn stops near its budget.
    let mut most = 0;
    let end = Instant::now() + LONG;
    while ben.received.len() < 200 && Instant::now() < end {
        let before = ben.received.len();
        ben.turn(LONG);
        most = most.max(ben.received.len() - before);
    }
    assert_eq!(ben.received.len(), 200);
    assert!(most < 200, "{most}");
    assert!((0..200_u8).eq(ben.received.iter().map(|(_, bytes)| bytes[0])));
}

#[test]
fn what_the_kernel_has_no_room_for_waits_and_the_oldest_goes_first() {
    let mut ana = Node::open(&quiet(free_port()));
    let ben = Node::open(&quiet(free_port()));
    let to = local(ben.net.chat_port());
    let chat = ana.net.chat4.as_mut().expect("IPv4");
    // As if the kernel had said that it is full.
    for i in 0..300_u32 {
        chat.keep_for_test(to, &i.to_be_bytes());
    }
    assert_eq!(ana.net.stats().dropped, 300 - 256);
    let mut ben = ben;
    assert!(ana.until(LONG, |ana| {
        ana.net.chat4.as_ref().is_some_and(ChatSocket::is_idle)
    }));
    assert!(ben.until(LONG, |ben| ben.received.len() == 256));
    let first = u32::from_be_bytes(ben.received[0].1[..].try_into().expect("4 bytes"));
    assert_eq!(first, 44);
}

#[test]
fn settings_that_leave_no_network_are_refused() {
    let poll = Poll::new().expect("poll");
    let refused = |config: &NetConfig| Net::open(config, poll.registry()).err().expect("refused");
    let same = NetConfig {
        chat_port: Some(7000),
        ..quiet(7000)
    };
    assert_eq!(refused(&same).code, ExitCode::Usage);
    let neither = NetConfig {
        ipv4: false,
        ipv6: false,
        ..quiet(7000)
    };
    assert_eq!(refused(&neither).code, ExitCode::Usage);
}

#[test]
fn a_presence_port_that_is_not_shared_degrades_and_is_said() {
    let port = free_port();
    let holder = std::net::UdpSocket::bind(("0.0.0.0", port)).expect("bind");
    let config = NetConfig {
        broadcast: true,
        ipv6: false,
        ..quiet(port)
    };
    let mut node = Node::open(&config);
    let state = node.net.states().remove(0);
    assert!(!state.broadcast);
    assert!(state.hint.expect("hint").contains(&port.to_string()));
    // Given free, the next look at the interfaces takes it.
    drop(holder);
    assert!(!node.net.rescan());
    assert!(node.net.states()[0].broadcast);
}
