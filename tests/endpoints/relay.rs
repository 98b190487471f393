//! SYNC among those who mean harm: forged and old records, made-up people, forged sources.

use std::net::SocketAddr;
use std::time::Duration;

use lanchat::api::PeerState;
use lanchat::id::{Incarnation, Nonce, PeerId, ShortId};
use lanchat::proto::Identity;
use lanchat::wire::sync::{Hint, Relayed, SyncRequest, SyncResponse, Want};
use lanchat::wire::{Body, Digest, Heartbeat, News, PeerRecord};

use crate::actor::{Actor, RUN, record};
use crate::hostile::bytes_to;
use crate::sync::listed;
use crate::world::{World, seconds, three};

fn all(token: &[u8]) -> Body {
    Body::SyncRequest(SyncRequest {
        nonce: Nonce([9; 8]),
        token: token.to_vec(),
        want: Want::Range {
            first: ShortId([0; 8]),
            last: ShortId([0xff; 8]),
            buckets: vec![[0; 8]],
        },
    })
}

/// A heartbeat that says that many are known whom nobody here knows.
fn boast(number: u8) -> Body {
    Body::Heartbeat(Heartbeat {
        record_hash: [0; 8],
        digest: Digest {
            count: 4000,
            xor: [number; 8],
        },
        ..Heartbeat::default()
    })
}

fn page(request: &SyncRequest, records: Vec<Relayed>, next: Option<ShortId>) -> SyncResponse {
    SyncResponse {
        echo: request.nonce,
        digest: Digest {
            count: 4000,
            xor: request.nonce.0,
        },
        next,
        records,
    }
}

fn relayed(record: PeerRecord, host: u8) -> Relayed {
    let hint = Hint {
        address: SocketAddr::from(([10, 0, 0, host], 5263)),
        age_s: 1,
    };
    Relayed {
        record,
        hint: Some(hint),
    }
}

/// A validated actor whose heartbeats make node 0 ask it, until `done`.
fn boasting(
    world: &mut World,
    actor: &mut Actor,
    mut answer: impl FnMut(&SyncRequest) -> Option<SyncResponse>,
    rounds: u8,
) {
    actor.hello(world, 0);
    actor.run(world, seconds(1), |_| None);
    assert!(listed(world, 0).contains(&actor.identity.id()));
    for number in 0..rounds {
        let body = boast(number);
        actor.say(world, 0, &body);
        actor.run(world, seconds(1), &mut answer);
    }
}

#[test]
fn who_did_not_prove_an_address_gets_a_challenge_no_longer_than_the_request() {
    let mut world = three(0.0, 41);
    let mut actor = Actor::new(90, 90);
    actor.answers = false;
    actor.hello(&mut world, 0);
    actor.run(&mut world, Duration::from_millis(20), |_| None);
    let mut challenge = |world: &mut World, token: &[u8]| {
        let asked = actor.say(world, 0, &all(token));
        let before = bytes_to(world, actor.at);
        let got = actor.run(world, Duration::from_millis(2), |_| None);
        let grown = bytes_to(world, actor.at) - before;
        (got, asked, grown)
    };
    let (got, asked, grown) = challenge(&mut world, &[]);
    let [(0, Body::SyncChallenge(proof))] = &got[..] else {
        panic!("{got:?}");
    };
    assert!(grown <= asked && proof.echo == Nonce([9; 8]));
    let (forged, ..) = challenge(&mut world, &[1; 8]);
    assert!(matches!(forged[..], [(0, Body::SyncChallenge(_))]));
    let (got, ..) = challenge(&mut world, &proof.token);
    let [(0, Body::SyncResponse(page))] = &got[..] else {
        panic!("{got:?}");
    };
    // Ana herself and two others, with the addresses where she validated them.
    assert_eq!(page.records.len(), 3);
    assert_eq!(page.records.iter().filter(|r| r.hint.is_some()).count(), 2);
    assert_eq!((page.digest.count, page.next), (3, None));
}

#[test]
fn requests_with_a_forged_source_send_nobody_more_than_they_cost() {
    let mut world = three(0.0, 42);
    let mut actor = Actor::new(90, 90);
    actor.answers = false;
    let victim = SocketAddr::from(([10, 0, 0, 200], 7777));
    actor.hello(&mut world, 0);
    world.run(seconds(1));
    actor.at = victim;
    let mut cost = 0;
    for round in 0..100u8 {
        cost += actor.say(&mut world, 0, &all(&[round; 8]));
        world.run(Duration::from_millis(50));
        let got = bytes_to(&world, victim);
        assert!(got <= 3 * cost, "{got} for {cost}");
    }
    assert!(bytes_to(&world, victim) > 0, "nothing was answered");
}

#[test]
fn a_record_passed_on_is_shown_at_once_and_confirmed_after_a_round_trip() {
    let mut world = three(0.0, 43);
    // Somebody who heard nothing of the three, and of whom they heard nothing.
    let mut other = Actor::new(80, 80);
    let mut actor = Actor::new(90, 90);
    let theirs = relayed(record(&other.identity, RUN, 1), 80);
    let answer = |request: &SyncRequest| Some(page(request, vec![theirs.clone()], None));
    boasting(&mut world, &mut actor, answer, 4);
    let of = |world: &World, id: PeerId| world.state_of(id, 0);
    assert_eq!(
        of(&world, other.identity.id()),
        Some((PeerState::Online, false))
    );
    other.run(&mut world, seconds(2), |_| None);
    assert_eq!(
        of(&world, other.identity.id()),
        Some((PeerState::Online, true))
    );
}

#[test]
fn whoever_is_not_there_is_dropped_and_not_listed_again() {
    let mut world = three(0.0, 44);
    let mut actor = Actor::new(90, 90);
    let nobody = Identity::from_secret(&[81; 32]);
    let theirs = relayed(record(&nobody, RUN, 1), 81);
    let answer = |request: &SyncRequest| Some(page(request, vec![theirs.clone()], None));
    boasting(&mut world, &mut actor, answer, 4);
    assert!(listed(&world, 0).contains(&nobody.id()));
    boasting(&mut world, &mut actor, answer, 40);
    assert!(!listed(&world, 0).contains(&nobody.id()));
    let at = SocketAddr::from(([10, 0, 0, 81], 5263));
    let probes = bytes_to(&world, at) / 98;
    assert!((1..=4).contains(&probes), "{probes} PROBEs");
}

#[test]
fn a_goodbye_and_a_late_relay_revive_nobody() {
    let mut world = three(0.0, 45);
    let mut actor = Actor::new(90, 90);
    let ben = world.id(1);
    let bens = |(from, bytes): &&(usize, Vec<u8>)| *from == 1 && bytes[2] == 1;
    let hello = world.sent.iter().find(bens).unwrap().1.clone();
    let Ok(lanchat::wire::Parsed::Packet(packet)) = lanchat::wire::parse(&hello) else {
        panic!("not a HELLO");
    };
    let Body::Hello(hello) = packet.body else {
        panic!("not a HELLO");
    };
    world.with(1, |endpoint, now| endpoint.leave(now));
    world.run(seconds(1));
    assert_eq!(world.state(1, 0).unwrap().0, PeerState::Left);
    let theirs = relayed(hello.record, 2);
    let mut asked = 0;
    let answer = |request: &SyncRequest| {
        asked += 1;
        Some(page(request, vec![theirs.clone()], None))
    };
    boasting(&mut world, &mut actor, answer, 20);
    assert!(asked > 0, "nobody asked");
    assert!(!listed(&world, 0).contains(&ben));
}

#[test]
fn forged_and_old_records_change_nothing() {
    let mut world = three(0.0, 46);
    let mut actor = Actor::new(90, 90);
    let nobody = Identity::from_secret(&[82; 32]);
    let eva = Identity::from_secret(&[3; 32]);
    let mut forged = record(&nobody, RUN, 1);
    let at = forged.bytes.len() - 70;
    forged.bytes[at] ^= 1;
    let forged = PeerRecord::parse(&forged.bytes).unwrap();
    let old = record(&eva, Incarnation(1_700_000_000_000), 9);
    let before = world.state(2, 0);
    let mut asked = 0;
    let answer = |request: &SyncRequest| {
        asked += 1;
        let mut records = vec![relayed(forged.clone(), 82), relayed(old.clone(), 83)];
        records.rotate_left(asked % 2);
        Some(page(request, records, None))
    };
    boasting(&mut world, &mut actor, answer, 20);
    assert!(asked > 0, "nobody asked");
    assert!(!listed(&world, 0).contains(&nobody.id()));
    assert_eq!(world.state(2, 0), before);
    for host in [82, 83] {
        let at = SocketAddr::from(([10, 0, 0, host], 5263));
        assert_eq!(bytes_to(&world, at), 0, "a PROBE by a forged or old record");
    }
}

#[test]
fn thousands_of_made_up_people_are_bounded_and_keep_nobody_out() {
    let mut world = three(0.0, 47);
    let mut actor = Actor::new(90, 90);
    let mut made: u32 = 0;
    let mut people: Vec<PeerRecord> = (0..3000u32)
        .map(|number| {
            let mut secret = [7; 32];
            secret[..4].copy_from_slice(&number.to_be_bytes());
            record(&Identity::from_secret(&secret), RUN, 1)
        })
        .collect();
    people.sort_by_key(|record| record.key.id());
    let answer = |request: &SyncRequest| {
        let Want::Range { first, last, .. } = &request.want else {
            return None;
        };
        let short = |record: &&PeerRecord| record.key.id().short();
        let mut rest = people
            .iter()
            .filter(|record| (*first..=*last).contains(&short(record)));
        let records: Vec<_> = rest.by_ref().take(6).cloned().collect();
        made += 6;
        let records = records.into_iter().map(|record| relayed(record, 99));
        Some(page(
            request,
            records.collect(),
            rest.next().map(|r| short(&r)),
        ))
    };
    boasting(&mut world, &mut actor, answer, 6);
    assert!(made > 2100, "only {made} were told");
    let shown = listed(&world, 0).len();
    assert!((2000..=2048 + 3).contains(&shown), "{shown} are listed");
    let victim = SocketAddr::from(([10, 0, 0, 99], 5263));
    let probes = bytes_to(&world, victim) / 98;
    assert!(probes <= 20 * 8 + 20, "{probes} PROBEs in 8 s");
    // Those who are there are still found, and told from those who are not.
    let newcomer = world.add("new");
    world.run_until(seconds(1), |w| {
        w.state(newcomer, 0) == Some((PeerState::Online, true))
    });
    assert_eq!(world.state(1, 0), Some((PeerState::Online, true)));
}

#[test]
fn news_of_somebody_unknown_is_asked_for() {
    let mut world = three(0.0, 48);
    let mut actor = Actor::new(90, 90);
    actor.hello(&mut world, 0);
    actor.run(&mut world, seconds(1), |_| None);
    let other = Identity::from_secret(&[85; 32]);
    let news = Body::Heartbeat(Heartbeat {
        news: vec![News {
            id: other.id().short(),
            incarnation: RUN,
            record_seq: 1,
        }],
        ..Heartbeat::default()
    });
    let theirs = relayed(record(&other, RUN, 1), 85);
    let mut asked = Vec::new();
    for _ in 0..10 {
        actor.say(&mut world, 0, &news);
        actor.run(&mut world, Duration::from_millis(50), |request| {
            asked.push(request.want.clone());
            Some(page(request, vec![theirs.clone()], None))
        });
    }
    assert_eq!(asked, [Want::Ids(vec![other.id().short()])]);
    assert!(listed(&world, 0).contains(&other.id()));
}
