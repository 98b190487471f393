//! Sizes and causes of refusal of the packets that rosters are exchanged by.

use super::super::sync::CHALLENGE_TOKEN_LEN_MAX;
use super::super::*;
use super::cases::{largest_record, plain_header, size};
use super::emit_signed;
use crate::id::{Incarnation, Nonce, ShortId};

fn id(byte: u8) -> ShortId {
    ShortId([byte; 8])
}

fn request(want: Want, token: usize) -> Body {
    Body::SyncRequest(SyncRequest {
        nonce: Nonce([1; 8]),
        token: vec![2; token],
        want,
    })
}

fn range(first: u8, last: u8, buckets: usize) -> Want {
    Want::Range {
        first: id(first),
        last: id(last),
        buckets: vec![[3; 8]; buckets],
    }
}

fn challenge(token: usize) -> Body {
    Body::SyncChallenge(SyncChallenge {
        echo: Nonce([1; 8]),
        token: vec![2; token],
    })
}

fn response(records: usize, port: u16) -> Body {
    let relayed = Relayed {
        record: largest_record(),
        hint: Some(Hint {
            address: (std::net::Ipv6Addr::LOCALHOST, port).into(),
            age_s: 9,
        }),
    };
    Body::SyncResponse(SyncResponse {
        echo: Nonce([1; 8]),
        digest: Digest::default(),
        next: Some(id(9)),
        records: vec![relayed; records],
    })
}

#[test]
fn the_sizes_are_as_the_specification_says() {
    let (nonce, target, incarnation) = (Nonce([1; 8]), id(2), Incarnation(3));
    let probe = ProbeRequest { nonce, target };
    let report = ProbeReport {
        echo: nonce,
        target,
        incarnation,
    };
    let suspect = Suspect {
        target,
        incarnation,
    };
    assert_eq!(size(Body::ProbeRequest(probe)), 106);
    assert_eq!(size(Body::ProbeReport(report)), 114);
    assert_eq!(size(Body::Suspect(suspect)), 106);
    assert_eq!(size(Body::Alive(Alive)), 90);
    assert_eq!(size(request(Want::Ids(vec![id(1)]), 0)), 109);
    assert_eq!(size(request(range(0, 255, 1), 0)), 125);
    assert_eq!(size(request(range(0, 255, 64), 16)), 645);
    assert_eq!(size(challenge(1)), 100);
    assert_eq!(size(response(3, 1)), 1149);
    let empty = SyncResponse {
        echo: nonce,
        digest: Digest::default(),
        next: None,
        records: vec![],
    };
    assert_eq!(size(Body::SyncResponse(empty)), 112);
}

#[test]
fn a_challenge_is_no_longer_than_any_request() {
    let longest = size(challenge(CHALLENGE_TOKEN_LEN_MAX));
    assert_eq!(longest, 107);
    assert!(longest <= size(request(Want::Ids(vec![id(1)]), 0)));
}

#[test]
fn what_no_receiver_takes_is_not_emitted() {
    let refused = |body: Body| emit_signed(&plain_header(), &body).expect_err("refused");
    assert_eq!(refused(request(Want::Ids(vec![]), 0)), EmitError::Range);
    let many = Want::Ids(vec![id(1); 17]);
    assert_eq!(refused(request(many, 0)), EmitError::TooMany);
    for buckets in [0, 3, 63] {
        assert_eq!(refused(request(range(0, 1, buckets), 0)), EmitError::Range);
    }
    assert_eq!(refused(request(range(0, 1, 128), 0)), EmitError::TooMany);
    assert_eq!(refused(request(range(2, 1, 1), 0)), EmitError::Range);
    assert_eq!(refused(request(range(1, 2, 1), 17)), EmitError::TooLong);
    assert_eq!(refused(challenge(0)), EmitError::Range);
    assert_eq!(refused(challenge(9)), EmitError::TooLong);
    assert_eq!(refused(response(1, 0)), EmitError::Range);
    assert_eq!(refused(response(4, 1)), EmitError::TooLong);
}
