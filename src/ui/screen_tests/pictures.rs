//! What the screen looks like. Empty rows in a run are one line: `(17 empty)`.

use super::*;

#[test]
fn an_empty_start_is_usable() {
    let mut start = Screen::new(LARGE);
    insta::assert_snapshot!(start.picture(), @r##"
    ▸#lobby             │ #lobby  looking for others
                        │ Whoever starts lanchat on this network appears in the
                        │ list.
                        │ /help shows the rest.
    (18 empty)
    #lobby> █
     starting · looking for others
    "##);
    start.tell(0, ready());
    start.model.settled = true;
    insta::assert_snapshot!(start.picture(), @r##"
    ▸#lobby             │ #lobby  nobody else here yet
                        │ You are ana~zdem. Whoever starts lanchat on this network
                        │ appears in the list.
                        │ Somebody is missing? Firewalls must let UDP 5262 and 5263
                        │ through; lanchat --peer ADDRESS reaches a computer
                        │ directly.
                        │ /help shows the rest.
    (15 empty)
    #lobby> █
     ana~zdem · nobody else here yet · eth0
    "##);
    start.keys("hello<ret>");
    assert_eq!(
        start.commands(),
        [Command::Send {
            answers: None,
            to: "#lobby".into(),
            text: "hello".into(),
            kind: TextKind::Text,
        }]
    );
}

#[test]
fn three_people_are_listed_and_their_coming_is_one_line() {
    insta::assert_snapshot!(screen(LARGE, three(), "hello"), @r##"
    ▸#lobby             │ #lobby  3 others here
     ● ben              │ You are ana~zdem. What you type goes to everybody here.
     ● cai              │ Ctrl-L picks a person to talk in private.
     ● dora             │ /help shows the rest.
    (17 empty)
                        │ 09:28 → ben, cai, dora online
    #lobby> hello█
     ana~zdem · 3 online · eth0
    "##);
}

#[test]
fn a_conversation_folds_names_and_times_and_shows_receipts() {
    let mut events = three();
    let own: Vec<Event> = ["first", "second", "third", "fourth", "fifth"]
        .map(|text| said(lobby(), 200, 62, text))
        .into();
    events.extend([
        said(lobby(), 1, 60, "good morning"),
        said(lobby(), 1, 60, "is anybody awake?"),
        said(lobby(), 1, 61, "hello?"),
        said(lobby(), 2, 61, "barely, ana might be"),
    ]);
    events.extend(own.clone());
    events.extend([
        receipt(&own[0], ReceiptState::Delivered, 3, 3),
        receipt(&own[1], ReceiptState::Sent, 2, 3),
        receipt(&own[2], ReceiptState::Sent, 0, 3),
        receipt(&own[3], ReceiptState::Queued, 0, 0),
        receipt(&own[4], ReceiptState::Failed, 0, 3),
        said(lobby(), 3, 60 * 24, "the next day"),
    ]);
    let action = match said(lobby(), 3, 60 * 24, "waves") {
        Event::Message {
            id,
            from,
            text,
            time,
            ..
        } => Event::Message {
            reference: None,
            id,
            conversation: lobby(),
            from,
            own: false,
            kind: TextKind::Action,
            text,
            time,
            delayed: true,
            after: None,
            answers: None,
            redacted: false,
        },
        other => other,
    };
    events.push(action);
    insta::assert_snapshot!(screen(LARGE, events, ""), @r##"
    ▸#lobby             │ #lobby  3 others here
     ● ben              │
     ● cai              │
     ● dora             │
    (5 empty)
                        │ 09:28 → ben, cai, dora online
                        │ 10:26 ben: good morning
                        │            is anybody awake?
                        │ 10:27      hello?
                        │       cai: barely, ana might be
                        │ 10:28 ana: first                                       all
                        │            second                                      2/3
                        │            third                                      sent
                        │            fourth                                   queued
                        │            fifth                                    failed
                        │ ──────────────────── Sun 15 Mar 2026 ─────────────────────
                        │ 09:26 dora: the next day
                        │       * dora waves                                    late
    #lobby> █
     ana~zdem · 3 online · eth0
    "##);
}

#[test]
fn a_private_chat_opens_with_arrow_keys_and_enter() {
    let mut chat = Screen::with(LARGE, three());
    chat.keys("a draft<C-l><down><down>");
    insta::assert_snapshot!(chat.picture(), @r##"
    ▸#lobby             ┃ #lobby  3 others here
     ● ben              ┃ You are ana~zdem. What you type goes to everybody here.
     ● cai              ┃ Ctrl-L picks a person to talk in private.
     ● dora             ┃ /help shows the rest.
    (17 empty)
                        ┃ 09:28 → ben, cai, dora online
    #lobby> a draft
     ana~zdem · 3 online · eth0
    "##);
    chat.keys("<ret>psst<ret>");
    assert_eq!(
        chat.commands(),
        [Command::Send {
            answers: None,
            to: with(2).to_string(),
            text: "psst".into(),
            kind: TextKind::Text,
        }]
    );
    let own = said(with(2), 200, 5, "psst");
    chat.tell(5, own.clone());
    chat.tell(5, receipt(&own, ReceiptState::Delivered, 1, 1));
    chat.tell(6, said(with(2), 2, 6, "what?"));
    insta::assert_snapshot!(chat.picture(), @r##"
     #lobby             │ cai  online · private
     ● ben              │
    ▸● cai              │
     ● dora             │
    (16 empty)
                        │ 09:31 ana: psst                                  delivered
                        │ 09:32 cai: what?
    cai> █
     ana~zdem · 3 online · eth0
    "##);
    assert_eq!(chat.keys("<A-1>").model.line.text(), "a draft");
}

#[test]
fn unread_messages_are_counted_marked_and_found() {
    let mut events = three();
    events.push(said(lobby(), 1, 4, "before"));
    let mut chat = Screen::with(LARGE, events);
    chat.keys("<A-4>");
    chat.tell(5, said(lobby(), 1, 5, "one"));
    chat.tell(5, said(lobby(), 1, 5, "two"));
    assert_eq!(chat.effects, []);
    chat.tell(6, said(with(2), 2, 6, "for you"));
    assert_eq!(chat.effects, [Effect::Bell]);
    assert_eq!(chat.model.title(), "(3) lanchat");
    insta::assert_snapshot!(chat.picture(), @r##"
     #lobby           2 │ dora  online · private
     ● ben              │ What you type, only the two of you can read: it is
     ● cai            1 │ encrypted from end to end.
    ▸● dora             │ Ctrl-L goes back to the list.
                        │ /help shows the rest.
    (17 empty)
    dora> █
     ana~zdem · 3 online · 3 unread · eth0
    "##);
    // The private one first: it is meant for this person.
    chat.keys("<A-a>");
    assert_eq!(chat.model.current, with(2));
    chat.keys("<A-a>");
    insta::assert_snapshot!(chat.picture(), @r##"
    ▸#lobby             │ #lobby  3 others here
     ● ben              │
     ● cai              │
     ● dora             │
    (13 empty)
                        │ 09:28 → ben, cai, dora online
                        │ 09:30 ben: before
                        │ ────────────────────────── new ───────────────────────────
                        │ 09:31 ben: one
                        │            two
    #lobby> █
     ana~zdem · 3 online · eth0
    "##);
    chat.keys("<A-a>");
    assert_eq!(chat.model.title(), "lanchat");
    assert!(chat.picture().contains("nothing is unread"));
}

#[test]
fn a_tiny_screen_keeps_to_what_is_said_and_unread() {
    let mut chat = Screen::with((20, 5), three());
    chat.tell(4, said(with(2), 2, 4, "for you"));
    chat.tell(4, said(lobby(), 1, 4, "good morning everybody"));
    insta::assert_snapshot!(chat.picture(), @r##"
      online
    ben: good morning
         everybody
    #lobby> █
     ana~zdem · 1 unread
    "##);
    chat.keys("<C-l>");
    insta::assert_snapshot!(chat.picture(), @r##"
    ▸#lobby
     ● ben
     ● cai         ↓1 1
    #lobby> ↑↓ choose, …
     ana~zdem · 1 unread
    "##);
}

#[test]
fn long_wide_and_broken_text_wraps() {
    let events = [
        told(person(1, "ben")),
        said(
            lobby(),
            1,
            1,
            "日本語のとても長い文章はどこで折り返されるのでしょうか。 🎉🎉 ok",
        ),
        said(
            lobby(),
            1,
            1,
            "averyverylongwordwithoutanyspaceinit-averyverylong",
        ),
        said(lobby(), 1, 2, "two\nlines, e\u{301}tude"),
    ];
    insta::assert_snapshot!(screen(SMALL, events.clone(), ""), @r##"
     #lobby  1 other here
    09:27 ben: 日本語のとても長い文章はどこ
               で折り返されるのでしょうか。
               🎉🎉 ok
               averyverylongwordwithoutanysp
               aceinit-averyverylong
    09:28      two
               lines, étude
    #lobby> █
     ana~zdem · 1 online · eth0
    "##);
    insta::assert_snapshot!(screen(LARGE, events, ""), @r##"
    ▸#lobby             │ #lobby  1 other here
     ● ben              │
    (13 empty)
                        │ 09:26 → ben online
                        │ 09:27 ben: 日本語のとても長い文章はどこで折り返されるので
                        │            しょうか。 🎉🎉 ok
                        │            averyverylongwordwithoutanyspaceinit-averyveryl
                        │            ong
                        │ 09:28      two
                        │            lines, étude
    #lobby> █
     ana~zdem · 1 online · eth0
    "##);
}

#[test]
fn a_small_screen_folds_the_list_away_and_shows_it_on_demand() {
    let mut events = three();
    events.push(said(with(3), 3, 5, "hi"));
    let mut chat = Screen::with(SMALL, events);
    insta::assert_snapshot!(chat.picture(), @r##"
     #lobby  3 others here
    You are ana~zdem. What you type goes to
    everybody here.
    Ctrl-L picks a person to talk in
    private.
    /help shows the rest.

    09:28 → ben, cai, dora online
    #lobby> █
     ana~zdem · 3 online · 1 unread · eth0
    "##);
    chat.keys("<left><down><down><down>");
    insta::assert_snapshot!(chat.picture(), @r##"
    ▸#lobby
     ● ben
     ● cai
     ● dora                               1
    (4 empty)
    #lobby> ↑↓ choose, Enter opens, Esc back
     ana~zdem · 3 online · 1 unread · eth0
    "##);
    chat.keys("<ret>");
    insta::assert_snapshot!(chat.picture(), @r##"
     dora  online · private
    (5 empty)
    ───────────────── new ──────────────────
    09:31 dora: hi
    dora> █
     ana~zdem · 3 online · eth0
    "##);
}

#[test]
fn a_paste_of_many_lines_is_one_message() {
    let mut chat = Screen::with(SMALL, three());
    chat.input(Input::Paste("one\r\ntwo\rthree\nfour\x1b[31m".into()));
    insta::assert_snapshot!(chat.picture(), @r##"
     #lobby  3 others here
    You are ana~zdem. What you type goes to
    everybody here.
    Ctrl-L picks a person to talk in
    private.
    09:28 → ben, cai, dora online
    #lobby> two
            three
            four[31m█
     ana~zdem · 3 online · eth0
    "##);
    chat.keys("<ret>");
    assert_eq!(
        chat.commands(),
        [Command::Send {
            answers: None,
            to: "#lobby".into(),
            text: "one\ntwo\nthree\nfour[31m".into(),
            kind: TextKind::Text,
        }]
    );
}

#[test]
fn the_help_shows_every_command_and_key_of_the_tables() {
    let mut chat = Screen::with(LARGE, []);
    chat.keys("/help<ret>");
    insta::assert_snapshot!(chat.picture(), @r##"
    ▸#lobby             │ help  Esc closes
                        │  commands
                        │  /msg TARGET [TEXT]  write to a person or #room; without
                        │                      TEXT the screen opens it
                        │  /me TEXT            say what you do
                        │  /who                list the people here
                        │  /rooms              list the rooms
                        │  /join ROOM [HOW]    take part in a room; locked with
                        │                      --passphrase or --generate
                        │  /leave [ROOM]       take part no longer
                        │  /topic [TEXT]       say what this room is about, - for
                        │                      nothing
                        │  /reply TEXT         answer the line picked with Alt-Up,
                        │                      or the last
                        │  /redact             take back the own line picked, or the
                        │                      last
                        │  /history [TARGET]   show what was said, with a person or
                        │                      in #room
                        │  /search WORDS       show what was said with these words
                        │  /nick NAME          take another name
                        │  /away [TEXT]        say that you are away
                        │  /back               say that you are back            ↓32
    #lobby> █
     ana~zdem · looking for others · eth0
    "##);
    let mut seen = chat.picture();
    for _ in 0..5 {
        seen.push_str(&chat.keys("<pagedown>").picture());
    }
    for command in crate::api::slash::COMMANDS {
        assert!(seen.contains(&command.usage()), "{}", command.name);
    }
    for binding in crate::ui::keymap::BINDINGS
        .iter()
        .filter(|b| !b.help.is_empty())
    {
        assert!(
            seen.contains(&binding.keys[0].to_string()),
            "{:?}",
            binding.action
        );
        assert!(seen.contains(binding.help), "{:?}", binding.action);
    }
    chat.keys("<esc>");
    assert_eq!(chat.model.panel, None);
}

#[test]
fn states_of_people_have_marks() {
    let mut events = three();
    events.extend([
        told(Person {
            status: Status::Away,
            status_text: "lunch".into(),
            ..person(1, "ben")
        }),
        told(Person {
            state: PeerState::Suspect,
            ..person(2, "cai")
        }),
        told(Person {
            state: PeerState::Offline,
            ..person(3, "dora")
        }),
        told(Person {
            confirmed: false,
            ..person(4, "eve")
        }),
        told(Person {
            incompatible: true,
            ..person(5, "finn")
        }),
        told(person(6, "Ben")),
        told(Person {
            transient: true,
            ..person(7, "script")
        }),
    ]);
    insta::assert_snapshot!(screen(LARGE, events.clone(), "<A-3>"), @r##"
     #lobby             │ Ben~ayda  online · private
     ● ben~aeaq away    │ What you type, only the two of you can read: it is
    ▸● Ben~ayda         │ encrypted from end to end.
     ◌ cai              │ Ctrl-L goes back to the list.
     ● eve ?            │ /help shows the rest.
     ● finn x           │
     ○ dora             │
    (15 empty)
    Ben~ayda> █
     ana~zdem · 3 online · eth0
    "##);
    insta::assert_snapshot!(screen(LARGE, events, "/who<ret>"), @r##"
    ▸#lobby             │ people  Esc closes
     ● ben~aeaq away    │  ben~aeaq  online, away: lunch
     ● Ben~ayda         │    10.0.0.1:5263  0.4 ms
     ◌ cai              │  Ben~ayda  online
     ● eve ?            │    10.0.0.6:5263  0.4 ms
     ● finn x           │  cai~aiba  not answering
     ○ dora             │    10.0.0.2:5263  0.4 ms
                        │  eve~aqca  online, unconfirmed
                        │    10.0.0.4:5263  0.4 ms
                        │  finn~aucq  online, another lanchat version
                        │    10.0.0.5:5263  0.4 ms
                        │  dora~ambq  offline
                        │    10.0.0.3:5263  0.4 ms
    (9 empty)
    #lobby> █
     ana~zdem · 3 online · eth0
    "##);
}

#[test]
fn away_is_shown_once_the_node_agreed() {
    let mut chat = Screen::with(SMALL, []);
    chat.keys("/away at lunch<ret>");
    assert_eq!(chat.model.status, Status::Available);
    let Some(Effect::Request(request)) = chat.effects.pop() else {
        panic!("no request")
    };
    chat.tell(
        1,
        Event::Reply {
            reference: request.reference,
            ok: true,
            id: None,
            passphrase: None,
        },
    );
    insta::assert_snapshot!(chat.picture(), @r##"
     #lobby  looking for others
    You are ana~zdem. Whoever starts lanchat
    on this network appears in the list.
    /help shows the rest.
    (4 empty)
    #lobby> █
     ana~zdem · away: at lunch
    "##);
}

#[test]
fn an_error_is_shown_with_its_hint_until_the_next_key_and_the_text_comes_back() {
    let mut chat = Screen::with(SMALL, three());
    chat.keys("much too long<ret>");
    let Some(Effect::Request(request)) = chat.effects.pop() else {
        panic!("no request")
    };
    chat.tell(
        1,
        Event::Error {
            reference: request.reference,
            code: "too_long".into(),
            message: "the message is 901 bytes long, 900 are allowed".into(),
            hint: Some("send it in two".into()),
        },
    );
    insta::assert_snapshot!(chat.picture(), @r##"
     #lobby  3 others here
    You are ana~zdem. What you type goes to
    everybody here.

    09:28 → ben, cai, dora online
    the message is 901 bytes long, 900 are
    allowed
    hint: send it in two
    #lobby> much too long█
     ana~zdem · 3 online · eth0
    "##);
    chat.keys("<left>");
    assert!(!chat.picture().contains("hint"));
    chat.keys("<C-u><C-k>/msg nobody hi<ret>");
    insta::assert_snapshot!(chat.picture(), @r##"
     #lobby  3 others here
    You are ana~zdem. What you type goes to
    everybody here.
    Ctrl-L picks a person to talk in
    private.
    09:28 → ben, cai, dora online
    nobody here is called nobody
    hint: /who lists the people here
    #lobby> /msg nobody hi█
     ana~zdem · 3 online · eth0
    "##);
    assert_eq!(chat.commands(), []);
}

#[test]
fn gaps_conflicts_and_a_bad_network_are_said() {
    let mut events = three();
    events.extend([
        Event::Gap {
            conversation: lobby(),
            from: person(1, "ben").peer,
            missing: 2,
        },
        told(Person {
            name_conflict: true,
            ..person(9, "ben")
        }),
        Event::Network {
            reference: None,
            state: NetworkState::Degraded,
            interfaces: vec![InterfaceState {
                name: "eth0".into(),
                multicast: false,
                broadcast: true,
                hint: Some("multicast is not heard".into()),
                ..InterfaceState::default()
            }],
            verdict: None,
        },
    ]);
    insta::assert_snapshot!(screen(LARGE, events, ""), @r##"
    ▸#lobby             │ #lobby  4 others here
     ● ben~aeaq         │ You are ana~zdem. What you type goes to everybody here.
     ● ben~beeq !       │ Ctrl-L picks a person to talk in private.
     ● cai              │ /help shows the rest.
     ● dora             │
    (7 empty)
                        │ 09:28 → ben~aeaq, cai, dora online
                        │ 09:29 … 2 lines of ben~aeaq missing
                        │ 09:30 → ben~beeq online
                        │       – ben~beeq is not the ben known from before:
                        │         another person, or somebody who poses as them
                        │         (/trust ben~beeq if you know that it is them)
                        │ 09:31 – eth0: multicast is not heard
    ben~beeq is not the ben known from before: another person, or somebody who poses
    as them
    hint: /trust ben~beeq if you know that it is them
    #lobby> █
     ana~zdem · 4 online                             ! eth0: multicast is not heard
    "##);
}

#[test]
fn scrolling_stays_where_it_is_while_messages_come() {
    let mut chat = Screen::with(SMALL, [told(person(1, "ben"))]);
    for n in 0..40 {
        chat.tell(2, said(lobby(), 1, 2, &format!("line {n}")));
    }
    chat.keys("<pageup><pageup>");
    let before = chat.picture();
    assert!(
        before.contains("line 24") && before.contains("PageDown"),
        "{before}"
    );
    chat.tell(3, said(lobby(), 1, 3, "another"));
    assert_eq!(chat.picture(), before);
    for _ in 0..20 {
        chat.keys("<pageup>");
    }
    insta::assert_snapshot!(chat.picture(), @r##"
     #lobby  1 other here PageDown for more
    09:26 → ben online
    09:28 ben: line 0
               line 1
               line 2
               line 3
               line 4
               line 5
    #lobby> █
     ana~zdem · 1 online · eth0
    "##);
    chat.keys("<pagedown>");
    assert!(chat.picture().contains("line 5"), "{}", chat.picture());
    for _ in 0..20 {
        chat.keys("<pagedown>");
    }
    assert!(chat.picture().contains("another") && !chat.picture().contains("PageDown"));
    chat.keys("<pageup><esc>");
    assert!(chat.picture().contains("another"));
}
