//! The terminal on Windows: a thread reads the console and wakes the loop.
//!
//! A console cannot be polled together with sockets. The thread puts what it reads into a
//! bounded channel and sends a byte over the loopback to a socket that the loop polls, since
//! a poll has but one `mio::Waker`, and that is the workers'.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::Instant;

use crossterm::event::{
    self, DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste,
    EnableFocusChange, EnableMouseCapture, Event, KeyCode as Code, KeyEvent, KeyEventKind,
    KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use crossterm::queue;
use crossterm::tty::IsTty as _;
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};

use crate::ui::Input;
use crate::ui::key::{Key, KeyCode, Mouse, MouseKind};

/// Inputs that may wait for the loop; the thread waits then.
const INPUTS_MAX: usize = 1024;
/// Inputs taken in one turn of the loop.
const READS_MAX: usize = 256;

/// The terminal: keys in, bytes out.
pub(super) struct Console {
    inputs: Option<Receiver<Input>>,
    bell: Option<UdpSocket>,
    hungry: bool,
}

impl Console {
    /// Makes sure that there is a console.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn open() -> io::Result<Self> {
        if !io::stdin().is_tty() || !io::stdout().is_tty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Console {
            inputs: None,
            bell: None,
            hungry: false,
        })
    }

    /// Starts the thread that reads, and registers what wakes the loop. The thread ends with
    /// the process: a read of the console cannot be broken off.
    ///
    /// # Errors
    /// No socket or thread is to be had.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut bell = UdpSocket::bind(local)?;
        let button = std::net::UdpSocket::bind(local)?;
        button.connect(bell.local_addr()?)?;
        bell.connect(button.local_addr()?)?;
        registry.register(&mut bell, token, Interest::READABLE)?;
        let (sender, inputs) = sync_channel(INPUTS_MAX);
        thread::Builder::new()
            .name("console".to_owned())
            .spawn(move || read_console(&sender, &button))?;
        self.inputs = Some(inputs);
        self.bell = Some(bell);
        Ok(())
    }

    /// Takes what was typed, within a budget. False if the console is gone.
    pub(super) fn read(&mut self, _now: Instant, out: &mut Vec<Input>) -> bool {
        let (Some(inputs), Some(bell)) = (&self.inputs, &self.bell) else {
            return true;
        };
        // Emptied first: what rings after that is for the next time.
        while bell.recv(&mut [0; 8]).is_ok() {}
        for _ in 0..READS_MAX {
            match inputs.try_recv() {
                Ok(input) => out.push(input),
                Err(TryRecvError::Empty) => {
                    self.hungry = false;
                    return true;
                }
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        self.hungry = true;
        true
    }

    /// Whether the budget of the last read ran out.
    pub(super) fn is_hungry(&self) -> bool {
        self.hungry
    }

    /// Keys come whole here; nothing is waited for.
    pub(super) fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Nothing is waited for.
    pub(super) fn expire(&mut self, _now: Instant, _out: &mut Vec<Input>) {}

    /// Writes.
    ///
    /// # Errors
    /// The console is gone.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut stdout = io::stdout();
        stdout.write_all(bytes)?;
        stdout.flush()?;
        Ok(bytes.len())
    }

    /// There is no suspending here.
    pub(super) fn suspend(&self) {}

    /// Asks for pastes, focus and the mouse to be reported.
    ///
    /// # Errors
    /// The console refuses.
    pub(super) fn modes_on(out: &mut Vec<u8>) -> io::Result<()> {
        // Old consoles know neither; the chat works without.
        let _ = queue!(out, EnableBracketedPaste);
        let _ = queue!(out, EnableFocusChange);
        queue!(out, EnableMouseCapture)
    }

    /// Ends all that.
    ///
    /// # Errors
    /// The console refuses.
    pub(super) fn modes_off(out: &mut Vec<u8>) -> io::Result<()> {
        let _ = queue!(out, DisableFocusChange);
        let _ = queue!(out, DisableBracketedPaste);
        queue!(out, DisableMouseCapture)
    }
}

/// Reads until the console or the other end of the channel is gone.
fn read_console(sender: &SyncSender<Input>, button: &std::net::UdpSocket) {
    while let Ok(event) = event::read() {
        if let Some(input) = input_of(event) {
            if sender.send(input).is_err() {
                return;
            }
            // A full socket has a ring in it already.
            let _ = button.send(&[1]);
        }
    }
}

fn input_of(event: Event) -> Option<Input> {
    Some(match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => Input::Key(key_of(key)?),
        Event::Paste(text) => Input::Paste(text),
        Event::Mouse(mouse) => Input::Mouse(mouse_of(mouse)?),
        Event::FocusGained => Input::Focus(true),
        Event::FocusLost => Input::Focus(false),
        Event::Resize(..) => {
            let (columns, rows) = super::draw::size();
            Input::Resize(columns, rows)
        }
        Event::Key(_) => return None,
    })
}

fn key_of(event: KeyEvent) -> Option<Key> {
    let held = |modifier| event.modifiers.contains(modifier);
    let (ctrl, alt) = (held(KeyModifiers::CONTROL), held(KeyModifiers::ALT));
    let code = match event.code {
        Code::Char(c) if ctrl => KeyCode::Char(c.to_ascii_lowercase()),
        Code::Char(c) => KeyCode::Char(c),
        Code::Enter => KeyCode::Enter,
        Code::Tab => KeyCode::Tab,
        Code::BackTab => KeyCode::BackTab,
        Code::Backspace => KeyCode::Backspace,
        Code::Delete => KeyCode::Delete,
        Code::Insert => KeyCode::Insert,
        Code::Esc => KeyCode::Esc,
        Code::Up => KeyCode::Up,
        Code::Down => KeyCode::Down,
        Code::Left => KeyCode::Left,
        Code::Right => KeyCode::Right,
        Code::Home => KeyCode::Home,
        Code::End => KeyCode::End,
        Code::PageUp => KeyCode::PageUp,
        Code::PageDown => KeyCode::PageDown,
        Code::F(n) => KeyCode::F(n),
        _ => return None,
    };
    // As on Unix: Shift is said only of keys that mean something else with it.
    let shift = held(KeyModifiers::SHIFT)
        && !matches!(
            code,
            KeyCode::Char(_)
                | KeyCode::Enter
                | KeyCode::Backspace
                | KeyCode::BackTab
                | KeyCode::Esc
        );
    // AltGr comes as Ctrl and Alt together, with the character it makes.
    let alt_gr = ctrl && alt && matches!(code, KeyCode::Char(c) if !c.is_ascii_alphanumeric());
    Some(Key {
        code,
        ctrl: ctrl && !alt_gr,
        alt: alt && !alt_gr,
        shift,
    })
}

fn mouse_of(event: MouseEvent) -> Option<Mouse> {
    let kind = match event.kind {
        MouseEventKind::Down(MouseButton::Left) => MouseKind::Press,
        MouseEventKind::ScrollUp => MouseKind::WheelUp,
        MouseEventKind::ScrollDown => MouseKind::WheelDown,
        _ => return None,
    };
    Some(Mouse {
        kind,
        column: event.column,
        row: event.row,
    })
}
