//! The real screen, in a terminal, on a host.

use super::Test;
use crate::harness::lan::Lan;
use crate::harness::node::{Node, SOON, lanchat};
use crate::harness::pty::Terminal;
use crate::harness::world;

pub const TESTS: &[Test] = &[
    ("screen::a_chat_at_80x24", a_chat_at_80x24),
    ("screen::a_chat_at_40x10", a_chat_at_40x10),
    (
        "screen::a_signal_restores_the_terminal",
        a_signal_restores_the_terminal,
    ),
    (
        "screen::a_stop_that_was_not_announced_is_made_up_for",
        a_stop_that_was_not_announced,
    ),
];

const LEFT: &str = "\x1b[D";
const DOWN: &str = "\x1b[B";
const ENTER: &str = "\r";
const CTRL_C: &str = "\x03";
const CTRL_L: &str = "\x0c";

struct Chat {
    screen: Terminal,
    ben: Node,
    _lan: Lan,
    _data: tempfile::TempDir,
}

/// The screen of ana, with ben on another host, and a line each way in the lobby.
fn chat(size: (u16, u16)) -> Chat {
    let lan = Lan::new(2);
    let data = world::scratch();
    let mut command = lanchat(data.path());
    command.args(["--name", "ana"]);
    let mut screen = Terminal::start(lan.host(1), &command, size);
    screen.shows("the alternate screen", |s| s.alternate_screen());
    screen.shows_text("lobby");
    screen.shows_text("ana");
    let ben = Node::start(lan.host(2), "ben");
    ben.lists("ana", SOON);
    if size.0 < 60 {
        // The list folds away on a small screen.
        screen.keys(CTRL_L);
        screen.shows_text("ben");
        screen.keys(CTRL_L);
    } else {
        screen.shows_text("ben");
    }
    screen.keys("good morning");
    screen.shows_text("good morning");
    screen.keys(ENTER);
    let heard = ben.gets("good morning", SOON);
    assert_eq!(heard.text("/conversation"), "#lobby");
    ben.say("#lobby", "and to you");
    screen.shows_text("and to you");
    Chat {
        screen,
        ben,
        _lan: lan,
        _data: data,
    }
}

/// Writes to ben alone, in the conversation that is open now.
fn talk_alone(chat: &mut Chat) {
    let Chat { screen, ben, .. } = chat;
    screen.keys("just between us");
    screen.keys(ENTER);
    let heard = ben.gets("just between us", SOON);
    assert!(
        heard.text("/conversation").starts_with('@'),
        "{}",
        heard.event
    );
    ben.say(heard.text("/from/id"), "I tell nobody");
    screen.shows_text("I tell nobody");
}

fn a_chat_at_80x24() {
    let mut chat = chat((80, 24));
    // To the list: the lobby, then ben.
    chat.screen.keys(LEFT);
    chat.screen.keys(DOWN);
    chat.screen.keys(ENTER);
    talk_alone(&mut chat);
    chat.screen.keys("/quit");
    chat.screen.keys(ENTER);
    assert_eq!(chat.screen.ends_restored(), 0);
    chat.ben.sees("ana", &["left"], SOON);
}

fn a_chat_at_40x10() {
    let mut chat = chat((40, 10));
    chat.screen.keys("/msg ben");
    chat.screen.keys(ENTER);
    talk_alone(&mut chat);
    chat.screen.keys(CTRL_C);
    let code = chat.screen.ends_restored();
    assert!(code == 0 || code == 130, "it ended with {code}");
    chat.ben.sees("ana", &["left"], SOON);
}

fn a_signal_restores_the_terminal() {
    let mut chat = chat((80, 24));
    chat.screen
        .process
        .signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(chat.screen.ends_restored(), 0);
    chat.ben.sees("ana", &["left"], SOON);
}

fn a_stop_that_was_not_announced() {
    use nix::sys::signal::Signal;
    let mut chat = chat((80, 24));
    let Chat { screen, ben, .. } = &mut chat;
    screen.process.signal(Signal::SIGSTOP);
    screen.process.wait_stopped(SOON);
    screen.taken_by_a_shell();
    assert!(!screen.has_own_modes());
    screen.process.signal(Signal::SIGCONT);
    screen.shows("the alternate screen", |s| s.alternate_screen());
    assert!(screen.has_own_modes());
    screen.shows_text("and to you");
    screen.keys("back again");
    screen.shows_text("back again");
    screen.keys(ENTER);
    ben.gets("back again", SOON);
    screen.keys(CTRL_C);
    let code = screen.ends_restored();
    assert!(code == 0 || code == 130, "it ended with {code}");
}
