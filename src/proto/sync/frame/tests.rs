//! A frame comes back as it was, and what is out of range is none.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn log() -> impl Strategy<Value = LogState> {
    let (ids, hashes) = (any::<[u8; 32]>(), any::<[u8; 16]>());
    let numbers = (1..u64::MAX, any::<[u8; 8]>(), 0..u32::MAX, 0..u32::MAX);
    (ids, numbers, hashes, any::<bool>()).prop_map(|(author, numbers, hash, forked)| {
        let (epoch, network, one, other) = numbers;
        LogState {
            author: PeerId(author),
            epoch,
            network: NetworkId(network),
            floor: one.min(other),
            head: one.max(other),
            hash,
            forked,
        }
    })
}

fn run() -> impl Strategy<Value = LogRun> {
    let numbers = (1..u64::MAX, 1..=u32::MAX, 1..=u32::MAX);
    (any::<[u8; 32]>(), numbers).prop_map(|(author, (epoch, one, other))| LogRun {
        author: PeerId(author),
        epoch,
        first: one.min(other),
        last: one.max(other),
    })
}

fn frame() -> impl Strategy<Value = Frame> {
    let ask = (any::<[u8; 8]>(), any::<[u8; 8]>(), any::<[u8; 32]>());
    let why = prop_oneof![Just(Why::Join), Just(Why::Heal), Just(Why::Gap)];
    let refused = prop_oneof![
        Just(Refused::Busy),
        Just(Refused::Room),
        Just(Refused::Proof),
        Just(Refused::Network)
    ];
    prop_oneof![
        (ask, why, any::<u32>(), any::<u64>()).prop_map(
            |((room, network, proof), why, entries, since_ms)| Frame::Ask {
                room: RoomTag(room),
                network: NetworkId(network),
                proof,
                why,
                entries,
                since_ms,
            }
        ),
        (any::<[u8; 32]>(), any::<bool>(), vec(log(), 0..20))
            .prop_map(|(proof, more, logs)| Frame::Vector { proof, more, logs }),
        vec(vec(any::<u8>(), 0..RECORD_LEN_MAX), 0..9).prop_map(Frame::People),
        vec(run(), 0..=SYNC_RUNS_MAX).prop_map(Frame::Want),
        vec(vec(any::<u8>(), 0..ENTRY_LEN_MAX), 0..20).prop_map(Frame::Entries),
        any::<bool>().prop_map(|more| Frame::Done { more }),
        refused.prop_map(Frame::Refused),
    ]
}

proptest! {
    #[test]
    fn a_frame_comes_back_as_it_was(frame in frame()) {
        let bytes = frame.emit().expect("within the bounds");
        prop_assert!(bytes.len() <= crate::limits::STREAM_FRAME_LEN_MAX);
        prop_assert_eq!(Frame::parse(frame.kind(), &bytes), Ok(Some(frame.clone())));
        // Cut anywhere, it is none.
        for len in 0..bytes.len() {
            prop_assert!(Frame::parse(frame.kind(), &bytes[..len]).is_err());
        }
    }

    #[test]
    fn any_bytes_are_a_frame_or_none(kind in 0..9_u8, bytes in vec(any::<u8>(), 0..300)) {
        if let Ok(Some(frame)) = Frame::parse(kind, &bytes) {
            prop_assert!(frame.emit().is_ok());
        }
    }
}

#[test]
fn these_are_the_bytes() {
    let ask = Frame::Ask {
        room: RoomTag([1; 8]),
        network: NetworkId([2; 8]),
        proof: [3; 32],
        why: Why::Heal,
        entries: 200,
        since_ms: 5,
    };
    let mut expected = [[1; 8], [2; 8]].concat();
    expected.extend([3; 32]);
    expected.extend([2, 0, 0, 0, 200, 0, 0, 0, 0, 0, 0, 0, 5]);
    assert_eq!(ask.emit(), Ok(expected.clone()));
    expected.push(9);
    assert_eq!(
        Frame::parse(1, &expected),
        Ok(Some(ask)),
        "for later versions"
    );
    let entries = Frame::Entries(vec![vec![7, 8], Vec::new()]);
    assert_eq!(entries.emit(), Ok(vec![0, 2, 0, 2, 7, 8, 0, 0]));
}

#[test]
fn what_is_out_of_range_or_too_much_is_refused() {
    for (kind, bytes) in [
        (2, [vec![0; 32], vec![2, 0, 0]].concat()),
        (2, [vec![0; 32], vec![0, 0xff, 0xff]].concat()),
        (3, vec![0, 200]),
        (4, vec![0, 65]),
        (4, [vec![0, 1], vec![1; 32], vec![0; 16]].concat()),
        (5, vec![1, 1]),
        (5, vec![0, 1, 0xff, 0xff]),
        (5, vec![0, 0, 1]),
        (6, vec![2]),
    ] {
        assert!(Frame::parse(kind, &bytes).is_err(), "{kind} {bytes:?}");
    }
    assert_eq!(Frame::parse(99, &[1, 2]), Ok(None));
    assert!(
        Frame::Entries(vec![Vec::new(); ENTRIES_MAX + 1])
            .emit()
            .is_err()
    );
    assert!(
        Frame::Entries(vec![vec![0; ENTRY_LEN_MAX + 1]])
            .emit()
            .is_err()
    );
    let full = Frame::Vector {
        proof: [0; 32],
        more: false,
        logs: vec![
            LogState {
                author: PeerId([1; 32]),
                epoch: 1,
                network: NetworkId([0; 8]),
                floor: 0,
                head: 1,
                hash: [0; 16],
                forked: false,
            };
            VECTOR_LOGS_MAX
        ],
    };
    let len = full.emit().expect("fits").len();
    assert!(len <= crate::limits::STREAM_FRAME_LEN_MAX);
}
