//! What an author's log holds, misses, shows and acknowledges.

#![allow(clippy::disallowed_methods)]

use super::bounds::CATCH_UP_MAX;
use super::*;
use crate::durable::LogKey;
use crate::id::RoomId;
use crate::proto::Identity;
use crate::proto::group::missing::LAST_TRY;
use crate::proto::group::sender::FOLLOWED_MAX;
use crate::wire::EntryKind;
use crate::wire::group::EntryFields;

fn entry(seq: u32) -> Entry {
    let author = Identity::from_secret(&[1; 32]);
    let fields = EntryFields {
        author: author.public(),
        network: NetworkId([0; 8]),
        epoch: 7,
        seq,
        hlc: 1,
        prev: [0; 32],
        kind: EntryKind::TEXT,
        deps: Vec::new(),
        body: b"x".to_vec(),
    };
    Entry::build(fields, &RoomId::public("lobby"), &mut |bytes| {
        author.sign(bytes)
    })
    .unwrap()
}

fn take(log: &mut AuthorLog, now: Instant, seq: u32) {
    log.learn_head(seq, now);
    store(log, now, seq);
}

fn storing(log: &mut AuthorLog, seq: u32) {
    let entry = entry(seq);
    log.storing(&entry, entry.hash(&RoomId::public("lobby")));
}

fn store(log: &mut AuthorLog, now: Instant, seq: u32) {
    storing(log, seq);
    log.stored(now, entry(seq), Some(1));
}

fn lines(log: &mut AuthorLog, now: Instant) -> Vec<u32> {
    let line = |line| match line {
        Line::Entry(entry, _) | Line::Late(entry, ..) => entry.seq,
        Line::Gap(missing) => 1000 + missing,
    };
    std::iter::from_fn(|| log.next_line(now))
        .map(line)
        .collect()
}

#[test]
fn a_gap_holds_later_lines_half_a_second_and_is_then_told() {
    let now = Instant::now();
    let mut log = AuthorLog::new(0);
    take(&mut log, now, 1);
    take(&mut log, now, 4);
    assert_eq!(lines(&mut log, now), [1]);
    assert_eq!(log.contiguous(), 1);
    let later = now + GAP_HOLD;
    assert_eq!(lines(&mut log, later), [1002, 4]);
    take(&mut log, later, 2);
    take(&mut log, later, 3);
    assert_eq!(lines(&mut log, later), [2, 3]);
    assert_eq!(log.contiguous(), 4);
}

#[test]
fn a_line_that_comes_into_a_gap_moves_what_is_behind_it_up_to_the_next_gap() {
    let now = Instant::now();
    let mut log = AuthorLog::new(0);
    (1..=6).for_each(|seq| log.learn_head(seq, now));
    [1, 3, 4, 6]
        .iter()
        .for_each(|seq| store(&mut log, now, *seq));
    let later = now + GAP_HOLD * 2;
    assert_eq!(lines(&mut log, now), [1]);
    assert_eq!(lines(&mut log, later), [1001, 3, 4]);
    assert_eq!(lines(&mut log, later + GAP_HOLD), [1001, 6]);
    storing(&mut log, 2);
    log.stored(later, entry(2), Some(900));
    let line = log.next_line(later);
    let last = MessageId::of_entry(&entry(4).hash(&RoomId::public("lobby")));
    assert_eq!(line, Some(Line::Late(Box::new(entry(2)), 1, (902, last))));
}

#[test]
fn a_gap_filled_in_time_is_never_seen() {
    let now = Instant::now();
    let mut log = AuthorLog::new(0);
    for seq in [2, 3, 1] {
        take(&mut log, now, seq);
    }
    assert_eq!(lines(&mut log, now), [1, 2, 3]);
    assert_eq!(log.deadline(), None);
}

#[test]
fn an_entry_on_its_way_to_the_disk_is_no_gap() {
    let now = Instant::now();
    let mut log = AuthorLog::new(0);
    log.learn_head(2, now);
    store(&mut log, now, 2);
    storing(&mut log, 1);
    assert_eq!(lines(&mut log, now + GAP_HOLD), [] as [u32; 0]);
    log.stored(now, entry(1), Some(1));
    assert_eq!(lines(&mut log, now + GAP_HOLD), [1, 2]);
}

#[test]
fn a_log_far_ahead_is_joined_near_its_head() {
    let now = Instant::now();
    let mut log = AuthorLog::new(10);
    log.learn_head(100_000, now);
    // An author takes whatever it follows for delivered once a later number is acknowledged.
    assert_eq!(log.missing.len(), FOLLOWED_MAX as usize);
    assert!(!log.is_near(200_000));
}

#[test]
fn a_log_whose_last_line_came_as_history_is_told_of() {
    let mut log = AuthorLog::new(3);
    assert!(!log.is_served(), "known by its head alone");
    log.filled(1);
    assert!(!log.is_served());
    log.filled(3);
    assert!(log.is_served());
    assert!(!AuthorLog::new(0).is_served());
}

#[test]
fn the_lines_passed_over_on_the_way_to_a_far_head_are_told_as_a_gap() {
    let now = Instant::now();
    let mut log = AuthorLog::new(10);
    log.learn_head(1000, now);
    assert_eq!(lines(&mut log, now), [] as [u32; 0]);
    let first = 1001 - CATCH_UP_MAX;
    take(&mut log, now, first);
    assert_eq!(lines(&mut log, now), [1000 + first - 11, first]);
}

/// Its head was heard of, and what is before it comes by an exchange of histories.
#[test]
fn what_is_missing_before_the_start_of_a_log_is_told_too() {
    let now = Instant::now();
    let mut log = AuthorLog::new(8);
    [2, 4, 5].iter().for_each(|seq| store(&mut log, now, *seq));
    assert_eq!(lines(&mut log, now), [2]);
    take(&mut log, now, 9);
    assert_eq!(lines(&mut log, now), [] as [u32; 0]);
    assert_eq!(log.deadline(), Some(now + GAP_HOLD));
    let later = now + GAP_HOLD;
    assert_eq!(lines(&mut log, later), [1001, 4, 5]);
    assert_eq!(lines(&mut log, later + GAP_HOLD), [1003, 9]);
    store(&mut log, later, 3);
    assert_eq!(lines(&mut log, later), [3]);

    let mut log = AuthorLog::new(0);
    take(&mut log, now, 3);
    assert_eq!(lines(&mut log, now + GAP_HOLD), [1002, 3]);
    log.learn_head(1000, now);
    (700..=702).for_each(|seq| store(&mut log, now, seq));
    assert_eq!(lines(&mut log, now), [] as [u32; 0]);
    let gap = 1000 + 700 - 4;
    assert_eq!(lines(&mut log, now + GAP_HOLD), [gap, 700, 701, 702]);
}

#[test]
fn a_head_without_bounds_costs_a_bounded_amount_of_memory() {
    let now = Instant::now();
    let mut log = AuthorLog::new(0);
    take(&mut log, now, 2);
    for head in [3_000_000_000, u32::MAX - 1, u32::MAX] {
        log.learn_head(head, now);
        assert!(log.missing.len() <= AHEAD_MAX as usize);
    }
    take(&mut log, now, 1);
    log.learn_head(u32::MAX - 1, now);
    assert!(log.missing.len() <= AHEAD_MAX as usize);
}

#[test]
fn the_last_number_there_is_ends_a_log_and_not_the_program() {
    let now = Instant::now();
    let mut log = AuthorLog::new(u32::MAX - 2);
    assert!(log.is_near(u32::MAX - 1) && !log.is_near(u32::MAX));
    for seq in [u32::MAX - 1, u32::MAX - 1] {
        take(&mut log, now, seq);
    }
    assert_eq!(lines(&mut log, now), [u32::MAX - 1]);
    log.learn_head(u32::MAX, now);
    assert_eq!(log.deadline(), None);
}

#[test]
fn a_slow_disk_does_not_make_the_gap_timer_spin() {
    let now = Instant::now();
    let mut log = AuthorLog::new(0);
    take(&mut log, now, 3);
    log.learn_head(3, now);
    storing(&mut log, 1);
    storing(&mut log, 2);
    let later = now + GAP_HOLD * 2;
    assert_eq!(lines(&mut log, later), [] as [u32; 0]);
    assert!(log.deadline().is_none_or(|at| at > later), "at once again");
}

#[test]
fn what_the_store_had_already_is_not_shown_again() {
    let now = Instant::now();
    let mut log = AuthorLog::new(0);
    for seq in [1, 2, 3] {
        log.learn_head(seq, now);
        storing(&mut log, seq);
        log.stored(now, entry(seq), (seq != 2).then_some(1));
    }
    assert_eq!(lines(&mut log, now), [1, 3]);
}

#[test]
fn what_is_older_than_the_start_is_filled_in_and_not_shown() {
    let now = Instant::now();
    let mut log = AuthorLog::new(10);
    take(&mut log, now, 11);
    assert_eq!(lines(&mut log, now), [11]);
    for seq in [9, 10, 8] {
        assert!(!log.has(seq));
        log.filled(seq);
        assert!(log.has(seq));
    }
    assert_eq!((log.contiguous(), lines(&mut log, now)), (11, vec![]));
    // What was said since this node came, and came late: shown, out of its turn.
    store(&mut log, now, 7);
    assert_eq!(lines(&mut log, now), [7]);
}

#[test]
fn a_number_that_nobody_can_give_holds_nothing_up() {
    let now = Instant::now();
    let mut log = AuthorLog::new(0);
    for seq in [1, 3, 5] {
        take(&mut log, now, seq);
    }
    assert_eq!((log.contiguous(), log.held()), (1, Some(1)));
    assert!(!log.is_near(2 + AHEAD_MAX));
    assert!(log.is_near_held(5 + AHEAD_MAX) && !log.is_near_held(6 + AHEAD_MAX));
    log.denied(Some(2));
    for _ in 0..LAST_TRY {
        let at = log.missing.deadline().unwrap();
        assert!(log.missing.take(at, 64, || GAP_HOLD).is_some());
    }
    let at = log.missing.deadline().unwrap();
    assert!(log.give_up_gone(at, true));
    assert_eq!((log.contiguous(), log.held()), (3, Some(3)));
    assert!(log.is_near(2 + AHEAD_MAX) && !log.has(2));
    assert_eq!(lines(&mut log, at), [1, 1001, 3]);
    // Its author may hold number 4 and is not here.
    assert!(log.give_up_gone(at, false));
    assert_eq!(lines(&mut log, at), [1001, 5]);
    assert_eq!((log.contiguous(), log.held()), (5, Some(3)));
    log.ask_again(at);
    assert_eq!((log.contiguous(), log.held()), (3, Some(3)));
    take(&mut log, at, 2);
    take(&mut log, at, 4);
    assert_eq!(lines(&mut log, at), [2, 4], "it came after all");
    assert_eq!(log.held(), Some(5));
}

#[test]
fn what_was_given_up_in_many_places_is_not_taken_for_held() {
    let now = Instant::now();
    let mut log = AuthorLog::new(0);
    for seq in 1..=600 {
        take(&mut log, now, 2 * seq);
    }
    for gap in 1..=600 {
        assert_eq!(lines(&mut log, now + gap * GAP_HOLD), [1001, 2 * gap]);
    }
    let mut at = now;
    while log
        .missing
        .due(at)
        .is_none_or(|(tries, _)| tries < LAST_TRY)
    {
        at = log.missing.deadline().unwrap();
        let pace = || Duration::from_millis(30);
        assert!(log.missing.take(at, u32::MAX, pace).is_some());
        at = log.missing.deadline().unwrap();
    }
    // Sixteen runs are asked for at once.
    while log.missing.len() > 0 {
        let pace = || Duration::from_millis(30);
        at = log.missing.deadline().unwrap();
        log.give_up_gone(at, false);
        log.missing.take(at, u32::MAX, pace);
    }
    assert_eq!(log.contiguous(), 1200);
    assert!((0..600).all(|number| !log.has(2 * number + 1)));
    assert!(log.held() < Some(1200 - FOLLOWED_MAX), "{:?}", log.held());
    store(&mut log, at, 1);
    assert_eq!(lines(&mut log, at), [1], "it came after all");
    take(&mut log, at, 1201);
    assert_eq!(lines(&mut log, at), [1201]);
}

#[test]
fn a_log_from_the_store_holds_what_the_store_holds_and_no_more() {
    let head = Head {
        room: RoomId::public("lobby"),
        author: Identity::from_secret(&[1; 32]).id(),
        epoch: 7,
        seq: 9,
        hash: [4; 32],
        network: NetworkId([0; 8]),
        low: 5,
        floor: 2,
        forked: false,
    };
    let log = AuthorLog::restored(&head, None);
    assert!(log.has(5) && log.has(9) && !log.has(4) && !log.has(10));
    assert_eq!((log.contiguous(), log.held()), (9, Some(9)));
    assert!(!log.is_near(2) && log.is_near(3));
    let mut next = entry(10);
    assert_eq!(log.broken_by(&next, &[0; 32]), Some(9));
    next.prev = [4; 32];
    assert_eq!(log.broken_by(&next, &[0; 32]), None);
}

#[test]
fn what_was_known_to_be_gone_is_not_asked_for_after_a_restart() {
    let now = Instant::now();
    let (room, author) = (RoomId::public("lobby"), entry(1).author_id());
    let head = Head {
        room,
        author,
        epoch: 7,
        seq: 4,
        hash: [4; 32],
        network: NetworkId([0; 8]),
        low: 1,
        floor: 0,
        forked: false,
    };
    let log = LogKey {
        room,
        author,
        epoch: 7,
    };
    let holes = Holes {
        log,
        // Number 7 came after all, and 11 is missing still.
        held: vec![(6, 8), (10, 10), (12, 13)],
        gone: vec![(5, 5), (7, 7), (9, 9)],
    };
    let mut log = AuthorLog::restored(&head, Some(&holes));
    assert_eq!((log.contiguous(), log.held()), (10, Some(10)));
    assert!(log.has(7) && log.has(13) && !log.has(9) && !log.has(11));
    log.learn_head(14, now);
    assert_eq!(log.missing.len(), 2, "numbers 11 and 14");
    take(&mut log, now, 14);
    let later = now + GAP_HOLD;
    assert_eq!(
        lines(&mut log, later),
        [1001, 14],
        "the gaps before were told"
    );
    take(&mut log, later, 11);
    assert_eq!((log.contiguous(), log.held()), (14, Some(14)));
    assert_eq!(lines(&mut log, later), [11]);

    // One that was given up in the earlier run comes after all, before anything is said in this one:
    // the gaps around it were told then.
    let mut log = AuthorLog::restored(&head, Some(&holes));
    store(&mut log, now, 5);
    assert_eq!(lines(&mut log, now), [5]);
    take(&mut log, now, 11);
    assert_eq!(lines(&mut log, now), [11], "nothing is told twice");
}

#[test]
fn a_floor_takes_everything_below_it_away() {
    let now = Instant::now();
    let mut log = AuthorLog::new(0);
    for seq in [1, 2, 6] {
        take(&mut log, now, seq);
    }
    log.raise_floor(4);
    assert!(!log.has(2) && !log.is_near(4) && log.has(6));
    assert_eq!((log.missing_len(), log.contiguous()), (1, 4));
    take(&mut log, now, 5);
    assert_eq!(log.contiguous(), 6);
    log.raise_floor(3);
    assert!(log.has(5), "a floor never goes back");
    log.raise_floor(30);
    // A head told late, and below the floor by now, is nothing new.
    log.learn_head(12, now);
    assert_eq!((log.contiguous(), log.missing_len()), (30, 0));
}

#[test]
fn an_entry_is_told_from_another_of_its_number_and_from_one_that_does_not_join() {
    let now = Instant::now();
    let mut log = AuthorLog::new(0);
    take(&mut log, now, 2);
    let (held, room) = (entry(2), RoomId::public("lobby"));
    assert_eq!(log.other_than(&held, &room), None);
    let mut other = held.clone();
    other.bytes[100] ^= 1;
    assert_eq!(log.other_than(&other, &room), Some(&held.bytes));
    assert_eq!(log.other_than(&held.stub(), &room), None);
    assert_eq!(log.other_than(&entry(3), &room), None);
    assert_eq!(log.broken_by(&entry(3), &[0; 32]), Some(2));
    assert_eq!(log.broken_by(&entry(1), &[0; 32]), None);
    assert_eq!(log.broken_by(&entry(1), &[5; 32]), Some(2));
    // Two helpers give two of one number: what joins on to the second is not taken as well.
    log.pass(&entry(8), [6; 32]);
    assert_eq!(log.broken_by(&entry(8), &[6; 32]), None);
    assert_eq!(log.broken_by(&entry(8), &[7; 32]), Some(8));
}
