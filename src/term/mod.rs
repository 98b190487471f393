//! The terminal: raw mode, keys, drawing. [`Screen`] is the front end that joins it to the
//! [`ui`](crate::ui).
//!
//! The terminal is given back after any end: at [`Signal::End`], when the [`Screen`] is
//! dropped, and in a panic before its message is printed.

pub mod decode;
mod draw;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use chrono::{Local, NaiveDateTime, TimeZone};
use mio::{Registry, Token};

use crate::api::{Event, Request, Timestamp};
use crate::error::ExitCode;
use crate::proto::Now;
use crate::runtime::front_end::FRONT_END_TOKEN;
use crate::runtime::{Flow, FrontEnd, Signal};
use crate::ui::model::utc;
use crate::ui::{Effect, Input, Model, Theme, news, update};
use draw::Painter;
#[cfg(unix)]
use unix::Console;
#[cfg(windows)]
use windows::Console;

/// How long others have to answer before the screen says that nobody does.
const SETTLE: Duration = Duration::from_secs(3);

/// How the screen looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScreenOptions {
    /// Whether there are colours.
    pub color: bool,
    /// Whether the background is light.
    pub light: bool,
}

impl ScreenOptions {
    /// With or without colours; whether the background is light as far as the environment says
    /// (`COLORFGBG`, which rxvt, Konsole and others set).
    #[must_use]
    pub fn from_environment(color: bool) -> Self {
        let light = std::env::var("COLORFGBG").is_ok_and(|colors| is_light(&colors));
        ScreenOptions { color, light }
    }

    fn theme(self) -> Theme {
        match self {
            ScreenOptions { color: false, .. } => Theme::Mono,
            ScreenOptions { light: true, .. } => Theme::Light,
            ScreenOptions { light: false, .. } => Theme::Dark,
        }
    }
}

/// `foreground;background` or `foreground;default;background`, as numbers of the 16 colours.
fn is_light(colors: &str) -> bool {
    matches!(colors.rsplit(';').next(), Some("7" | "15"))
}

/// The chat on a terminal.
pub struct Screen {
    model: Model,
    console: Console,
    painter: Painter,
    requests: VecDeque<Request>,
    quit: Option<ExitCode>,
    /// Whether the terminal is ours now.
    entered: bool,
    /// Whether the model changed since it was drawn.
    dirty: bool,
    /// When whoever is on the network should have answered; none before the node runs, and after.
    settles_at: Option<Instant>,
}

impl Screen {
    /// Opens the terminal and changes nothing of it yet: that happens when the loop registers
    /// the screen. Drop the screen before anything is printed.
    ///
    /// # Errors
    /// The process has no terminal.
    pub fn new(options: ScreenOptions) -> io::Result<Self> {
        if options.color {
            // The decision is made; crossterm shall not make another one of its own.
            crossterm::style::force_color_output(true);
        }
        Ok(Screen {
            model: Model::new(draw::size(), options.theme(), local_time),
            console: Console::open()?,
            painter: Painter::default(),
            requests: VecDeque::new(),
            quit: None,
            entered: false,
            dirty: true,
            settles_at: None,
        })
    }

    fn enter(&mut self) -> io::Result<()> {
        if !self.entered {
            draw::enter(self.painter.out())?;
            self.entered = true;
            self.painter.forget();
            self.take(Input::Resize(draw::size().0, draw::size().1));
        }
        Ok(())
    }

    fn leave(&mut self) {
        if self.entered {
            self.entered = false;
            self.painter.drop_unwritten();
            draw::leave();
        }
    }

    fn take(&mut self, input: Input) {
        let effects = update::input(&mut self.model, input);
        self.apply(effects);
    }

    fn apply(&mut self, effects: Vec<Effect>) {
        self.dirty = true;
        for effect in effects {
            match effect {
                Effect::Request(request) => self.requests.push_back(request),
                Effect::Bell => self.painter.bell(),
                Effect::Quit => self.quit = Some(ExitCode::Done),
                Effect::Suspend => self.console.suspend(),
                Effect::Redraw => self.painter.forget(),
            }
        }
    }

    fn read(&mut self, now: Instant) {
        let mut inputs = Vec::new();
        // A terminal that is gone is a hang-up: leave in order, as for SIGHUP.
        if !self.console.read(now, &mut inputs) {
            self.quit = Some(ExitCode::Done);
        }
        for input in inputs {
            self.take(input);
        }
    }
}

impl FrontEnd for Screen {
    fn register(&mut self, registry: &Registry) -> io::Result<()> {
        self.console.register(registry, Token(FRONT_END_TOKEN))?;
        self.enter()
    }

    fn ready(&mut self, now: Now, _token: Token) {
        self.read(now.mono);
    }

    fn is_hungry(&self) -> bool {
        self.entered && self.quit.is_none() && self.console.is_hungry()
    }

    fn may_wait(&self) -> bool {
        false
    }

    fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    fn handle_event(&mut self, now: Now, event: &Event) {
        let effects = news::event(&mut self.model, Timestamp(now.wall_ms), event);
        self.apply(effects);
        if matches!(event, Event::Ready { .. }) {
            self.settles_at = Some(now.mono + SETTLE);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let frame = (self.entered && self.dirty)
            .then(|| self.painter.next_frame())
            .flatten();
        [frame, self.console.deadline(), self.settles_at]
            .into_iter()
            .flatten()
            .min()
    }

    fn handle_timeout(&mut self, now: Now) {
        if self.settles_at.is_some_and(|at| at <= now.mono) {
            self.settles_at = None;
            self.model.settled = true;
            self.dirty = true;
        }
        // What follows an ESC may be there already and only wait to be read.
        self.read(now.mono);
        let mut inputs = Vec::new();
        self.console.expire(now.mono, &mut inputs);
        for input in inputs {
            self.take(input);
        }
    }

    fn handle_signal(&mut self, _now: Now, signal: Signal) {
        match signal {
            Signal::Resize => {
                let (columns, rows) = draw::size();
                self.take(Input::Resize(columns, rows));
            }
            Signal::Suspend | Signal::End => self.leave(),
            Signal::Resume => {
                // Stopped by a SIGSTOP, which cannot be seen coming: the terminal is the shell's
                // again although nobody gave it back.
                self.leave();
                if self.enter().is_err() {
                    self.quit = Some(ExitCode::Done);
                }
            }
        }
    }

    fn flush(&mut self, now: Now) -> io::Result<()> {
        if !self.entered {
            return Ok(());
        }
        self.painter.write(&mut self.console)?;
        if self.dirty && self.painter.is_due(now.mono) {
            self.painter.draw(&self.model, now.mono)?;
            self.dirty = false;
            self.painter.write(&mut self.console)?;
        }
        Ok(())
    }

    fn flow(&self) -> Flow {
        self.quit.map_or(Flow::Continue, Flow::Quit)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}

fn local_time(time: Timestamp) -> NaiveDateTime {
    i64::try_from(time.0)
        .ok()
        .and_then(|ms| Local.timestamp_millis_opt(ms).single())
        .map_or_else(|| utc(time), |local| local.naive_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_tells_a_light_background() {
        assert!(is_light("0;15") && is_light("0;default;7"));
        assert!(!is_light("15;0") && !is_light("") && !is_light("nonsense"));
        let theme = |color, light| ScreenOptions { color, light }.theme();
        assert_eq!(theme(false, true), Theme::Mono);
        assert_eq!(theme(true, true), Theme::Light);
        assert_eq!(theme(true, false), Theme::Dark);
    }

    #[test]
    fn a_time_beyond_the_calendar_is_no_panic() {
        let _ = local_time(Timestamp(u64::MAX));
        let _ = local_time(Timestamp(i64::MAX as u64));
    }
}
