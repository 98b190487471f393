//! What keys, pastes and the mouse do, and what events change.

use super::*;
use crate::ui::key::{Mouse, MouseKind};

#[test]
fn doctor_is_asked_and_answered_in_the_conversation() {
    let mut chat = Screen::with(LARGE, three());
    chat.keys("/doctor<ret>");
    let asked = chat.effects.iter().find_map(|effect| match effect {
        Effect::Request(request) => Some(request.clone()),
        _ => None,
    });
    let asked = asked.expect("a request");
    assert_eq!(asked.command, Command::Doctor);
    assert!(
        asked.reference.is_some(),
        "else the answer is taken for news"
    );
    chat.tell(
        4,
        Event::Network {
            reference: asked.reference,
            state: NetworkState::Ok,
            interfaces: vec![InterfaceState {
                name: "eth0".into(),
                ..InterfaceState::default()
            }],
            verdict: None,
        },
    );
    let picture = chat.picture();
    assert!(picture.contains("eth0: works"), "{picture}");
    assert_eq!(chat.model.trouble(), None, "an answer is no news");
}

#[test]
fn history_is_asked_of_the_node_and_shown_where_one_is() {
    let mut chat = Screen::with(LARGE, three());
    chat.keys("/history #lobby<ret>");
    let asked = chat.effects.iter().find_map(|effect| match effect {
        Effect::Request(request) => Some(request.clone()),
        _ => None,
    });
    let reference = asked.expect("a request").reference;
    assert!(reference.is_some());
    let mut line = said(lobby(), 1, 4, "ana, lunch?");
    if let Event::Message { reference: of, .. } = &mut line {
        of.clone_from(&reference);
    }
    chat.input(Input::Focus(false));
    chat.tell(4, line);
    let bell = chat.effects.contains(&Effect::Bell);
    assert!(!bell, "what was said long ago rings none");
    assert!(chat.picture().contains("ana, lunch?"), "{}", chat.picture());
}

#[test]
fn a_full_disk_is_on_the_status_line_until_there_is_room() {
    let mut chat = Screen::with(LARGE, three());
    let store = |kept, message: &str| Event::Store {
        kept,
        message: message.into(),
    };
    chat.tell(4, store(false, "what is said here is not kept"));
    assert!(chat.picture().contains("is not kept"), "{}", chat.picture());
    chat.tell(5, store(true, "what is said here is kept again"));
    assert!(!chat.picture().contains("is not kept"));
    assert!(chat.picture().contains("kept again"), "{}", chat.picture());
}

#[test]
fn nobody_looks_at_a_terminal_without_focus() {
    let mut chat = Screen::with(LARGE, three());
    chat.input(Input::Focus(false));
    chat.tell(4, said(lobby(), 1, 4, "ana?"));
    assert_eq!(chat.effects, [Effect::Bell]);
    assert_eq!(chat.model.title(), "(1) lanchat");
    chat.input(Input::Focus(true));
    assert_eq!(chat.model.title(), "lanchat");
    assert!(chat.picture().contains("─ new ─"));
}

#[test]
fn comings_and_goings_are_told_once_and_only_of_the_confirmed() {
    let mut chat = Screen::with(LARGE, three());
    chat.tell(
        3,
        told(Person {
            state: PeerState::Suspect,
            ..person(1, "ben")
        }),
    );
    chat.tell(4, told(person(1, "ben")));
    chat.tell(
        5,
        told(Person {
            confirmed: false,
            ..person(8, "ghost")
        }),
    );
    assert!(
        chat.picture().contains("→ ben, cai, dora online\n"),
        "{}",
        chat.picture()
    );
    chat.tell(
        6,
        told(Person {
            state: PeerState::Left,
            ..person(1, "ben")
        }),
    );
    chat.tell(
        6,
        told(Person {
            state: PeerState::Offline,
            ..person(2, "cai")
        }),
    );
    let picture = chat.picture();
    assert!(
        picture.contains("→ dora online  ← ben left  ← cai offline"),
        "{picture}"
    );
    assert!(!picture.contains("● ben"), "{picture}");
    assert!(picture.contains("○ cai"), "{picture}");
}

#[test]
fn leaving_is_asked_where_it_was_typed_in_a_hurry() {
    for line in ["quit", "exit", "bye bye"] {
        let mut chat = Screen::with(SMALL, []);
        chat.keys(&format!("{line}<ret>"));
        assert!(chat.picture().contains("leave lanchat? y or n"));
        chat.keys("n");
        assert_eq!(chat.effects, []);
        chat.keys(&format!("{line}<ret>y"));
        assert_eq!(chat.effects, [Effect::Quit]);
    }
    for keys in [
        "/quit<ret>",
        "<C-d>",
        "<C-c>",
        "x<C-c><C-c>",
        "<F1><C-c>",
        "<C-l><C-c>",
    ] {
        let mut chat = Screen::with(SMALL, []);
        chat.keys(keys);
        assert_eq!(chat.effects, [Effect::Quit], "{keys}");
    }
    for keys in ["x<C-d>", "x<C-c>", "quit it<ret>"] {
        let mut chat = Screen::with(SMALL, []);
        chat.keys(keys);
        assert!(!chat.effects.contains(&Effect::Quit), "{keys}");
    }
}

#[test]
fn commands_act_in_the_conversation_that_is_open() {
    let mut chat = Screen::with(LARGE, three());
    for (kind, keys, text) in [
        (TextKind::Action, "/me waves<ret>", "waves"),
        (TextKind::Text, "//me waves<ret>", "/me waves"),
    ] {
        for (open, conversation) in [("<A-3>", with(2)), ("<A-1>", lobby())] {
            chat.keys(open).keys(keys);
            let (to, text) = (conversation.to_string(), text.to_owned());
            assert_eq!(
                chat.commands(),
                [Command::Send {
                    to,
                    text,
                    kind,
                    answers: None
                }]
            );
        }
    }
    chat.keys("/msg ben<ret>");
    assert_eq!(chat.commands(), []);
    assert_eq!(chat.model.current, with(1));
}

#[test]
fn a_line_that_is_no_command_comes_back_with_a_hint() {
    for (line, hint) in [
        ("/whoo", "hint: did you mean /who?"),
        ("/who is it", "hint: write /who"),
        ("/msg \"ben", "hint: write /msg \"NAME WITH SPACES\""),
    ] {
        let mut chat = Screen::with(LARGE, three());
        chat.keys(&format!("{line}<ret>"));
        assert_eq!((chat.model.line.text(), &chat.effects[..]), (line, &[][..]));
        assert!(chat.picture().contains(hint), "{}", chat.picture());
    }
}

#[test]
fn tab_completes_commands_and_names() {
    let mut events = three();
    events.push(told(person(5, "carla maria")));
    for (keys, text) in [
        ("/he<tab>", "/help "),
        ("be<tab>", "ben: "),
        ("hi be<tab>", "hi ben "),
        ("ca<tab>", "cai: "),
        ("ca<tab><tab>", "carla maria: "),
        ("ca<tab><tab><tab>", "cai: "),
        ("/msg car<tab>", "/msg \"carla maria\" "),
        ("/trust car<tab>", "/trust \"carla maria\" "),
        ("/MSG <tab>", "/MSG #lobby "),
        ("/who <tab>", "/who "),
        ("see #l<tab>", "see #lobby "),
        ("x<tab>", "x"),
        ("<tab>", ""),
    ] {
        let mut chat = Screen::with(LARGE, events.clone());
        assert_eq!(chat.keys(keys).model.line.text(), text, "{keys}");
    }
}

#[test]
fn the_mouse_picks_from_the_list_and_scrolls() {
    let mut chat = Screen::with(LARGE, three());
    let at = |kind, column, row| Input::Mouse(Mouse { kind, column, row });
    chat.input(at(MouseKind::Press, 3, 2));
    assert_eq!(chat.model.current, with(2));
    chat.input(at(MouseKind::Press, 3, 15));
    chat.input(at(MouseKind::Press, 40, 1));
    chat.input(at(MouseKind::WheelUp, 40, 1));
    assert_eq!(chat.model.current, with(2));
}

#[test]
fn a_key_that_a_panel_has_no_use_for_goes_on_to_what_is_below() {
    let mut chat = Screen::with(LARGE, three());
    chat.keys("/help<ret>hello");
    assert_eq!((chat.model.panel, chat.model.line.text()), (None, "hello"));
    chat.keys("<F1><A-3>");
    assert_eq!((chat.model.panel, chat.model.current), (None, with(2)));
    let mut chat = Screen::with(LARGE, three());
    chat.keys("hello<F1><ret>");
    assert_eq!((chat.model.panel, chat.commands()), (None, Vec::new()));
}

#[test]
fn white_space_at_the_end_is_not_sent() {
    let mut chat = Screen::with(LARGE, three());
    chat.input(Input::Paste("  one\ntwo\n\n".into()))
        .keys(" <ret>");
    let text = "  one\ntwo".to_owned();
    let (to, kind) = ("#lobby".to_owned(), TextKind::Text);
    assert_eq!(
        chat.commands(),
        [Command::Send {
            to,
            text,
            kind,
            answers: None
        }]
    );
}

#[test]
fn what_is_typed_is_recalled() {
    let mut chat = Screen::with(LARGE, []);
    chat.keys("one<ret>two<ret>three<up><up>");
    assert_eq!(chat.model.line.text(), "one");
    chat.keys("<down><down>");
    assert_eq!(chat.model.line.text(), "three");
}

#[test]
fn no_size_is_too_small_and_no_key_too_odd() {
    for width in [0, 1, 2, 5, 19, 39, 59, 60, 61, 200] {
        for height in [0, 1, 2, 3, 4, 5, 9, 60] {
            let mut events = three();
            events.push(said(lobby(), 1, 5, "日本語 and a rather long text 🎉"));
            let mut chat = Screen::with((width, height), events);
            for binding in crate::ui::keymap::BINDINGS {
                for key in binding.keys {
                    chat.input(Input::Key(*key));
                    chat.keys("日x");
                    let _ = chat.picture();
                }
            }
            chat.keys("<esc>/away日本語<A-ret><A-ret><A-ret>x");
            let _ = chat.picture();
        }
    }
}
