//! Rooms: joined, left, locked; topics, answers, and what is taken back.

use super::*;
use crate::api::Passphrase;

fn room(name: &str, joined: bool, members: u8, topic: &str) -> Event {
    Event::Room {
        reference: None,
        room: name.into(),
        joined,
        locked: false,
        members: (1..=members).map(|n| PeerId([n; 32])).collect(),
        topic: topic.into(),
    }
}

fn games() -> Conversation {
    Conversation::Room("games".into())
}

/// The request that was made last.
fn asked(chat: &mut Screen) -> Request {
    match chat.effects.pop() {
        Some(Effect::Request(request)) => request,
        other => panic!("no request: {other:?}"),
    }
}

fn reply(request: &Request) -> Event {
    Event::Reply {
        reference: request.reference.clone(),
        ok: true,
        id: None,
        passphrase: None,
    }
}

fn refused(request: &Request, code: &str) -> Event {
    Event::Error {
        reference: request.reference.clone(),
        code: code.into(),
        message: "no".into(),
        hint: None,
    }
}

#[test]
fn a_room_opens_when_it_is_joined_and_closes_when_it_is_left() {
    let mut chat = Screen::with(LARGE, three());
    chat.tell(4, room("#games", false, 2, ""));
    assert!(!chat.picture().contains("#games"), "others are in it");
    chat.keys("/rooms<ret>");
    let panel = chat.picture();
    assert!(panel.contains("#games  2 others, /join #games"), "{panel}");
    chat.keys("<esc>/join #ga<tab><ret>");
    let join = asked(&mut chat);
    let room_asked = "#games".to_owned();
    let expected = Command::Join {
        room: room_asked.clone(),
        passphrase: None,
        generate: false,
    };
    assert_eq!(join.command, expected);
    chat.tell(5, room("#games", true, 2, "chess at eight"));
    chat.tell(5, reply(&join));
    assert_eq!(chat.model.current, games());
    assert!(chat.picture().contains("chess at eight"));
    chat.keys("/leave<ret>");
    let leave = asked(&mut chat).command;
    assert_eq!(leave, Command::Leave { room: room_asked });
    chat.tell(6, room("#games", false, 2, ""));
    assert_eq!(chat.model.current, lobby());
    assert!(!chat.picture().contains("#games"));
}

#[test]
fn a_passphrase_is_asked_for_and_not_shown() {
    let mut chat = Screen::with(LARGE, three());
    chat.keys("/join #den<ret>");
    let join = asked(&mut chat);
    chat.tell(4, refused(&join, "room_locked"));
    let picture = chat.keys("hush").picture();
    assert!(picture.contains("passphrase of #den: ••••█"), "{picture}");
    assert!(!picture.contains("hush"));
    chat.keys("x<bs><ret>");
    let join = asked(&mut chat);
    let passphrase = Some(Passphrase("hush".into()));
    let expected = Command::Join {
        room: "#den".into(),
        passphrase,
        generate: false,
    };
    assert_eq!(join.command, expected);
    chat.tell(5, refused(&join, "wrong_passphrase"));
    let picture = chat.picture();
    assert!(picture.contains("/join #den --passphrase█"), "{picture}");
    chat.keys("<ret>typed<esc>");
    assert!(chat.picture().contains("#lobby> █"), "{}", chat.picture());
    assert_eq!(chat.commands(), []);
    assert!(chat.model.recall.clone().older("").is_some());
    chat.keys("<up>");
    assert!(!chat.picture().contains("typed"), "nor remembered");
}

#[test]
fn who_joins_a_room_and_leaves_it_is_told_in_it() {
    let mut chat = Screen::with(LARGE, three());
    chat.tell(4, room("#games", true, 0, ""));
    chat.keys("<A-2>");
    let mut player = person(1, "ben");
    player.rooms.push("#games".into());
    chat.tell(5, told(player));
    assert!(
        chat.picture().contains("→ ben joined"),
        "{}",
        chat.picture()
    );
    chat.tell(6, told(person(1, "ben")));
    let picture = chat.picture();
    assert!(picture.contains("← ben left the room"), "{picture}");
    assert!(picture.contains("#games  nobody else in it"), "{picture}");
}

fn id_of(event: &Event) -> MessageId {
    match event {
        Event::Message { id, .. } => *id,
        other => panic!("no message: {other:?}"),
    }
}

#[test]
fn a_message_is_picked_answered_and_taken_back() {
    let mut chat = Screen::with(LARGE, three());
    let lines = [
        said(lobby(), 1, 1, "who comes to lunch?"),
        said(lobby(), 2, 2, "not me"),
        said(lobby(), 200, 3, "a slip"),
    ];
    let ids = lines.each_ref().map(id_of);
    for line in lines {
        chat.tell(5, line);
    }
    chat.keys("/reply why?<ret>");
    let answers = |chat: &mut Screen| match asked(chat).command {
        Command::Send { answers, .. } => answers,
        other => panic!("no send: {other:?}"),
    };
    assert_eq!(answers(&mut chat), Some(ids[1]), "the last of another");
    chat.keys("<A-up><A-up><A-up>/reply me<ret>");
    assert_eq!(answers(&mut chat), Some(ids[0]));
    let mut answer = said(lobby(), 3, 6, "I do");
    if let Event::Message { kind, answers, .. } = &mut answer {
        (*kind, *answers) = (TextKind::Reply, Some(ids[0]));
    }
    chat.tell(6, answer);
    let picture = chat.picture();
    assert!(picture.contains("↱ ben: who comes to lunch?"), "{picture}");
    chat.keys("/redact<ret>");
    assert_eq!(asked(&mut chat).command, Command::Redact { id: ids[2] });
    let mut gone = said(lobby(), 200, 7, "");
    if let Event::Message { kind, answers, .. } = &mut gone {
        (*kind, *answers) = (TextKind::Redaction, Some(ids[2]));
    }
    chat.tell(7, gone);
    let picture = chat.picture();
    assert!(!picture.contains("a slip"), "{picture}");
    assert!(picture.contains("ana: (taken back)"), "{picture}");
    chat.keys("/redact<ret>");
    assert_eq!(chat.commands(), [], "there is no other");
    let mut topic = said(lobby(), 1, 8, "soup");
    if let Event::Message { kind, .. } = &mut topic {
        *kind = TextKind::Topic;
    }
    chat.tell(8, topic);
    let picture = chat.picture();
    assert!(picture.contains("* ben set the topic: soup"), "{picture}");
}
