//! Reading back what is on the disk.

use super::*;

fn id(number: u16) -> MessageId {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&number.to_be_bytes());
    MessageId(id)
}

fn lobby() -> Conversation {
    Conversation::Room("lobby".into())
}

fn line(number: u16) -> Event {
    Event::Message {
        reference: None,
        id: id(number),
        conversation: lobby(),
        from: PeerRef {
            id: PeerId([2; 32]),
            name: "ben".into(),
            tag: "x3fa".into(),
            verified: false,
        },
        own: false,
        kind: TextKind::Text,
        text: format!("line {number}"),
        time: minute(0),
        delayed: false,
        after: None,
        answers: None,
        redacted: false,
    }
}

/// The disk, which holds the lines with these numbers, answers the page that was asked for last.
fn answer(chat: &mut Screen, kept: std::ops::Range<u16>) {
    let asked = chat.pages.pop().expect("a page is asked for");
    assert_eq!(chat.pages.len(), 0, "one at a time");
    let Command::History { limit, before, .. } = &asked.command else {
        panic!("no history: {asked:?}")
    };
    let numbers: Vec<u16> = kept
        .take_while(|number| *before != Some(id(*number)))
        .collect();
    let limit = usize::try_from(limit.expect("a limit")).expect("few");
    let last = &numbers[numbers.len().saturating_sub(limit)..];
    let lines = last.iter().map(|number| line(*number)).collect();
    tell_page(chat, &asked, lines);
}

/// A page that was asked for comes, message by message.
fn tell_page(chat: &mut Screen, asked: &Request, messages: Vec<Event>) {
    for mut event in messages {
        if let Event::Message { reference, .. } = &mut event {
            reference.clone_from(&asked.reference);
        }
        chat.tell(0, event);
    }
    let reply = Event::Reply {
        reference: asked.reference.clone(),
        ok: true,
        id: None,
        passphrase: None,
    };
    chat.tell(0, reply);
}

#[test]
fn the_last_lines_stand_there_at_the_start_and_paging_up_reads_on() {
    let mut chat = Screen::with(LARGE, []);
    // One comes while the page is on its way, and is in it too.
    chat.tell(1, line(300));
    answer(&mut chat, 0..301);
    let picture = chat.picture();
    assert_eq!(picture.matches("line 300").count(), 1, "{picture}");
    assert!(picture.contains("line 299"), "{picture}");
    assert!(chat.pages.is_empty(), "not before somebody reads back");
    for _ in 0..100 {
        chat.keys("<pageup>");
        if !chat.pages.is_empty() {
            answer(&mut chat, 0..301);
        }
    }
    let top = chat.picture();
    assert!(
        top.contains("line 0\n") && top.contains("line 9\n"),
        "{top}"
    );
    assert_eq!(chat.model.logs[&lobby()].end(), 301, "each once");
    chat.keys("<esc>");
    assert_eq!(chat.picture(), picture, "and back at the end");
}

#[test]
fn what_others_hand_over_stands_above_what_is_said_now() {
    let mut chat = Screen::with(LARGE, []);
    answer(&mut chat, 0..0);
    chat.tell(1, line(20));
    let fetched = Event::History {
        conversation: lobby(),
        lines: 12,
    };
    chat.tell(2, fetched.clone());
    answer(&mut chat, 0..12);
    let rows = chat.picture();
    let at = |text: &str| rows.find(text).unwrap_or_else(|| panic!("{text}: {rows}"));
    assert!(at("line 0") < at("line 11") && at("line 11") < at("line 20"));
    // More of it: what was read back is not doubled.
    chat.tell(3, fetched);
    answer(&mut chat, 0..14);
    let log = &chat.model.logs[&lobby()];
    assert_eq!(log.end() - log.first(), 15);
    assert_eq!(chat.model.logs[&lobby()].unread, 0);
}

#[test]
fn who_clears_a_conversation_sees_it_again_by_paging_up() {
    let mut chat = Screen::with(LARGE, []);
    answer(&mut chat, 0..12);
    chat.keys("/clear<ret>");
    assert!(!chat.picture().contains("line 11"));
    assert!(chat.pages.is_empty());
    chat.keys("<pageup>");
    answer(&mut chat, 0..12);
    assert!(chat.picture().contains("line 11"));
}

/// What was taken back is no line, and a page may be full of that.
#[test]
fn a_page_without_lines_is_followed_by_the_one_before() {
    let mut chat = Screen::with(LARGE, []);
    for round in 0..3_u16 {
        let asked = chat.pages.pop().expect("a page is asked for");
        let Command::History { limit, before, .. } = &asked.command else {
            panic!("no history: {asked:?}")
        };
        let expected = (round > 0).then(|| id(1000 - round * 100));
        assert_eq!(*before, expected, "round {round}");
        let limit = u16::try_from(limit.expect("a limit")).expect("few");
        let taken_back = |number| {
            let mut event = line(900 - round * 100 + number);
            if let Event::Message { kind, answers, .. } = &mut event {
                *kind = TextKind::Redaction;
                *answers = Some(id(1));
            }
            event
        };
        tell_page(&mut chat, &asked, (0..limit).map(taken_back).collect());
    }
}

#[test]
fn a_key_begins_a_search() {
    let mut chat = Screen::with(LARGE, []);
    chat.keys("<C-r>lunch<ret>");
    let commands = chat.commands();
    let searched = |command: &Command| matches!(command, Command::History { search: Some(words), .. } if words == "lunch");
    assert!(commands.iter().any(searched), "{commands:?}");
}

#[test]
fn a_gap_counts_down_as_its_lines_come_and_goes_with_the_last() {
    let late = |number: u16, behind: Option<u16>| {
        let mut event = line(number);
        if let Event::Message { delayed, after, .. } = &mut event {
            *delayed = behind.is_none();
            *after = behind.map(id);
        }
        event
    };
    let mut chat = Screen::with(LARGE, []);
    chat.tell(0, line(1));
    chat.tell(
        0,
        Event::Gap {
            conversation: lobby(),
            from: PeerRef {
                id: PeerId([2; 32]),
                name: "ben".into(),
                tag: "x3fa".into(),
                verified: false,
            },
            missing: 2,
        },
    );
    chat.tell(0, line(4));
    assert!(
        chat.picture().contains("2 lines of ben"),
        "{}",
        chat.picture()
    );
    chat.keys("<A-up>");
    chat.tell(0, late(2, Some(1)));
    assert!(
        chat.picture().contains("1 line of ben"),
        "{}",
        chat.picture()
    );
    chat.tell(0, late(3, None));
    let picture = chat.picture();
    assert!(!picture.contains("missing"), "{picture}");
    let log = &chat.model.logs[&lobby()];
    let picked = log.picked.and_then(|number| log.get(number));
    let Some(crate::ui::line::Line::Said(picked)) = picked else {
        panic!("nothing is picked")
    };
    assert_eq!(picked.text, "line 4", "what is picked stays");
}
