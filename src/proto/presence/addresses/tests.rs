//! Which address is validated, in use, tried again, and pushed out.

#![allow(clippy::disallowed_methods)]

use super::super::address::ANSWER;
use super::super::patience::Patience;
use super::*;

fn at(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 5263))
}

/// So many addresses, validated.
fn validated(now: Instant, hosts: u8) -> Addresses {
    let mut addresses = Addresses::default();
    for host in 1..=hosts {
        addresses.heard(now, at(host), 100);
        let address = addresses.get_mut(at(host)).unwrap();
        address.probed(Nonce([host; 8]), now);
        addresses.acknowledged(now, at(host), Nonce([host; 8]));
    }
    addresses
}

#[test]
fn only_the_echo_of_our_nonce_from_there_validates() {
    let now = Instant::now();
    let mut addresses = Addresses::default();
    assert!(addresses.heard(now, at(1), 400));
    assert!(!addresses.heard(now, at(1), 400));
    addresses.get_mut(at(1)).unwrap().candidate_probed(
        Nonce([7; 8]),
        now,
        Patience::default().pace(2),
    );
    assert_eq!(addresses.acknowledged(now, at(2), Nonce([7; 8])), None);
    assert_eq!(addresses.acknowledged(now, at(1), Nonce([8; 8])), None);
    assert_eq!(addresses.current(), None);
    let later = now + Duration::from_millis(3);
    let rtt = addresses.acknowledged(later, at(1), Nonce([7; 8]));
    assert_eq!(rtt, Some(Duration::from_millis(3)));
    assert_eq!(addresses.current(), Some(at(1)));
    assert_eq!(
        addresses.acknowledged(later, at(1), Nonce([7; 8])),
        None,
        "used once"
    );
}

#[test]
fn a_candidate_gets_no_more_than_its_allowance() {
    let now = Instant::now();
    let mut addresses = Addresses::default();
    addresses.heard(now, at(1), 300);
    let address = addresses.get_mut(at(1)).unwrap();
    assert!(address.may_send(300) && !address.may_send(301));
    address.sent(250);
    assert!(address.may_send(50) && !address.may_send(51));
}

#[test]
fn what_went_to_an_address_while_it_was_validated_is_not_held_against_it() {
    let now = Instant::now();
    let mut addresses = Addresses::default();
    addresses.heard(now, at(1), 100);
    addresses.get_mut(at(1)).unwrap().probed(Nonce([1; 8]), now);
    addresses.acknowledged(now, at(1), Nonce([1; 8]));
    addresses.get_mut(at(1)).unwrap().sent(1_000_000);
    addresses.failed(now, at(1));
    assert!(addresses.heard(now, at(1), 98), "tried again at once");
    assert!(addresses.get_mut(at(1)).unwrap().may_send(98));
}

#[test]
fn an_address_behind_a_lost_link_is_tried_once_the_link_is_back_if_it_was_validated() {
    let now = Instant::now();
    let mut addresses = Addresses::default();
    for host in 1..=2 {
        addresses.heard(now, at(host), 100);
    }
    addresses.get_mut(at(1)).unwrap().probed(Nonce([1; 8]), now);
    addresses.acknowledged(now, at(1), Nonce([1; 8]));
    for host in 1..=2 {
        addresses.unlinked(now, at(host));
    }
    assert_eq!(addresses.current(), None);
    assert!(!addresses.is_trying());
    assert!(addresses.linked(now, at(1), 98));
    assert_eq!(addresses.unlinked_at().next(), Some(at(1)), "not yet again");
    assert!(!addresses.linked(now, at(2), 98), "nobody was found there");
    assert!(addresses.is_trying());
    let address = addresses.get_mut(at(1)).unwrap();
    assert!(address.may_send(98) && !address.may_send(99));
}

#[test]
fn a_second_address_does_not_replace_a_fresh_one() {
    let now = Instant::now();
    let mut addresses = Addresses::default();
    for host in 1..=2 {
        addresses.heard(now, at(host), 100);
        addresses.get_mut(at(host)).unwrap().candidate_probed(
            Nonce([host; 8]),
            now,
            Patience::default().pace(2),
        );
        addresses.acknowledged(now, at(host), Nonce([host; 8]));
    }
    assert_eq!(addresses.current(), Some(at(1)));
    addresses.failed(now, at(1));
    assert_eq!(addresses.current(), Some(at(2)));
}

/// Among hundreds a heartbeat comes every ten seconds or more, by one path after the other.
#[test]
fn whoever_speaks_seldom_and_by_several_paths_does_not_move_each_time() {
    let mut now = Instant::now();
    let mut addresses = validated(now, 2);
    addresses.take_moved();
    for turn in 1..=40 {
        now += Duration::from_secs(10);
        addresses.heard(now, at(if turn % 4 == 0 { 1 } else { 2 }), 0);
        assert!(!addresses.take_moved(), "turn {turn}");
    }
    // It speaks from elsewhere alone.
    for _ in 0..STRAYS_MAX {
        assert_eq!(addresses.current(), Some(at(1)));
        now += Duration::from_secs(10);
        addresses.heard(now, at(2), 0);
    }
    assert_eq!(addresses.current(), Some(at(2)));
}

#[test]
fn an_address_that_does_not_answer_is_passed_over_for_one_that_does() {
    let now = Instant::now();
    let mut addresses = Addresses::default();
    for host in 1..=2 {
        addresses.heard(now, at(host), 100);
        addresses
            .get_mut(at(host))
            .unwrap()
            .probed(Nonce([host; 8]), now);
        addresses.acknowledged(now, at(host), Nonce([host; 8]));
        addresses
            .get_mut(at(host))
            .unwrap()
            .probed(Nonce([9; 8]), now);
    }
    let soon = now + Duration::from_millis(1);
    addresses.acknowledged(soon, at(2), Nonce([9; 8]));
    assert_eq!(
        addresses.current(),
        Some(at(1)),
        "its answer may be on the way"
    );
    addresses
        .get_mut(at(2))
        .unwrap()
        .probed(Nonce([8; 8]), now + ANSWER);
    addresses.acknowledged(now + ANSWER, at(2), Nonce([8; 8]));
    assert_eq!(addresses.current(), Some(at(2)));
}

#[test]
fn a_peer_that_speaks_from_elsewhere_has_its_old_address_asked_once() {
    let now = Instant::now();
    let mut addresses = Addresses::default();
    for host in 1..=2 {
        addresses.heard(now, at(host), 100);
        addresses
            .get_mut(at(host))
            .unwrap()
            .probed(Nonce([host; 8]), now);
        addresses.acknowledged(now, at(host), Nonce([host; 8]));
    }
    assert!(!addresses.may_have_moved(now, at(2)), "heard just now");
    let later = now + QUIET;
    assert!(addresses.may_have_moved(later, at(2)));
    assert!(!addresses.may_have_moved(later, at(1)), "the one in use");
    assert!(!addresses.may_have_moved(later, at(3)), "not validated");
    addresses
        .get_mut(at(1))
        .unwrap()
        .probed(Nonce([9; 8]), later);
    assert!(!addresses.may_have_moved(later, at(2)), "asked already");
}

#[test]
fn forged_sources_push_out_no_address_of_eight_validated_ones() {
    let now = Instant::now();
    let mut addresses = validated(now, 8);
    for host in 9..200 {
        addresses.heard(now, at(host), 100);
    }
    assert!((1..=8).all(|host| addresses.is_validated(at(host))));
    assert!(addresses.heard(now + SILENT, at(200), 100));
}

#[test]
fn forged_sources_push_out_no_validated_address() {
    let now = Instant::now();
    let mut addresses = Addresses::default();
    addresses.heard(now, at(1), 100);
    addresses.get_mut(at(1)).unwrap().candidate_probed(
        Nonce([1; 8]),
        now,
        Patience::default().pace(2),
    );
    addresses.acknowledged(now, at(1), Nonce([1; 8]));
    for host in 2..200 {
        addresses.heard(now, at(host), 100);
    }
    assert!(addresses.iter().count() <= PEER_ADDRESSES_MAX);
    assert_eq!(addresses.current(), Some(at(1)));
    assert!(addresses.is_validated(at(1)));
}
