//! Frames to bytes, bytes to the terminal; taking the terminal and giving it back.

use std::io::{self, Write as _};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::queue;
use crossterm::style::ResetColor;
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen, SetTitle,
};
use ratatui::backend::{Backend as _, CrosstermBackend};
use ratatui::buffer::{Buffer, Cell, CellWidth as _};
use ratatui::layout::{Position, Rect};

use super::Console;
use crate::ui::{Model, view};

/// At most 60 frames a second.
const FRAME: Duration = Duration::from_micros(16_667);
/// Largest screen drawn, in columns and rows.
const SIZE_MAX: u16 = 1000;
/// The size where the terminal does not tell it.
const SIZE_UNKNOWN: (u16, u16) = (80, 24);

/// Whether the terminal is ours and has to be given back, a panic included.
static TAKEN: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// Draws what changed since the last frame, and writes it as fast as the terminal takes it.
#[derive(Default)]
pub(super) struct Painter {
    /// What the terminal shows, once all of `out` is written; none if that is not known.
    shown: Option<(Buffer, Option<Position>)>,
    title: String,
    bell: bool,
    /// Bytes that the terminal has not taken yet.
    out: Vec<u8>,
    /// How many of them it has.
    written: usize,
    last_frame: Option<Instant>,
}

impl Painter {
    /// Where bytes wait for the terminal.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Rings the bell with the next frame.
    pub(super) fn bell(&mut self) {
        self.bell = true;
    }

    /// The next frame is drawn whole.
    pub(super) fn forget(&mut self) {
        self.shown = None;
    }

    /// Drops what the terminal has not taken.
    pub(super) fn drop_unwritten(&mut self) {
        self.out.clear();
        self.written = 0;
        self.title.clear();
        self.shown = None;
    }

    /// Whether a frame may be drawn: the last one is long enough ago and on the terminal. While
    /// the terminal is slow or stopped, frames are left out instead of piled up.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next_frame().is_some_and(|at| at <= now) || self.last_frame.is_none()
    }

    /// When the next frame may be drawn; none while the last is not on the terminal.
    pub(super) fn next_frame(&self) -> Option<Instant> {
        let last = self.last_frame?;
        self.out.is_empty().then(|| last + FRAME)
    }

    /// Draws a frame into `out`; nothing if nothing changed.
    ///
    /// # Errors
    /// None in practice: the bytes go to memory.
    pub(super) fn draw(&mut self, model: &Model, now: Instant) -> io::Result<()> {
        self.last_frame = Some(now);
        if std::mem::take(&mut self.bell) {
            self.out.push(b'\x07');
        }
        let title = model.title();
        if title != self.title {
            queue!(self.out, SetTitle(&title))?;
            self.title = title;
        }
        let (width, height) = model.size;
        let area = Rect::new(0, 0, width, height);
        let mut next = Buffer::empty(area);
        let cursor = view::draw(model, &mut next);
        let known = self.shown.take().filter(|(buffer, _)| buffer.area == area);
        let whole = known.is_none();
        let (before, cursor_before) = known.unwrap_or_else(|| (Buffer::empty(area), None));
        let changes = changes(&before, &next);
        if whole || !changes.is_empty() || cursor != cursor_before {
            queue!(self.out, BeginSynchronizedUpdate, Hide)?;
            if whole {
                queue!(self.out, ResetColor, Clear(ClearType::All))?;
            }
            // After what terminals measure differently each draw begins with the place.
            for part in changes.split_inclusive(|(_, _, cell)| is_contested(cell)) {
                CrosstermBackend::new(&mut self.out).draw(part.iter().copied())?;
            }
            if let Some(Position { x, y }) = cursor {
                queue!(self.out, MoveTo(x, y), Show)?;
            }
            queue!(self.out, EndSynchronizedUpdate)?;
        }
        self.shown = Some((next, cursor));
        Ok(())
    }

    /// Writes as much as the terminal takes now.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn write(&mut self, console: &mut Console) -> io::Result<()> {
        while self.written < self.out.len() {
            match console.write(&self.out[self.written..])? {
                0 => return Ok(()),
                n => self.written += n,
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }
}

/// The cells to write. Of a row that changes and holds what terminals measure differently, all:
/// the terminal may show parts of it where this program knows of nothing.
fn changes<'a>(before: &Buffer, next: &'a Buffer) -> Vec<(u16, u16, &'a Cell)> {
    let mut changes = before.diff(next);
    let width = usize::from(next.area.width).max(1);
    let rows = before.content.chunks(width).zip(next.content.chunks(width));
    for (y, (old, new)) in (next.area.y..).zip(rows) {
        if old == new || !old.iter().chain(new).any(is_contested) {
            continue;
        }
        changes.retain(|(_, row, _)| *row != y);
        let mut free_from = 0;
        for (x, cell) in (0..).zip(new) {
            if x >= free_from {
                free_from = x + cell.cell_width().max(1);
                changes.push((x, y, cell));
            }
        }
    }
    changes
}

/// Whether terminals do not agree on the columns it takes: flags, families, other sequences.
fn is_contested(cell: &Cell) -> bool {
    cell.symbol().chars().nth(1).is_some()
}

/// Columns and rows of the terminal.
pub(super) fn size() -> (u16, u16) {
    match terminal::size() {
        Ok((columns, rows)) if columns > 0 && rows > 0 => {
            (columns.min(SIZE_MAX), rows.min(SIZE_MAX))
        }
        _ => SIZE_UNKNOWN,
    }
}

/// Takes the terminal: raw mode at once, the rest of it as bytes in `out`.
///
/// # Errors
/// The terminal does not do raw mode.
pub(super) fn enter(out: &mut Vec<u8>) -> io::Result<()> {
    HOOK.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            print(panic);
        }));
    });
    TAKEN.store(true, Ordering::SeqCst);
    terminal::enable_raw_mode()?;
    queue!(out, EnterAlternateScreen, Hide)?;
    super::Console::modes_on(out)
}

/// Gives the terminal back, if it is taken. Past the frames that wait: they are for a screen
/// that is left.
pub(super) fn leave() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = Vec::new();
    // Nothing can be done about an error here; each step is tried on its own.
    let _ = super::Console::modes_off(&mut out);
    let _ = queue!(
        out,
        ResetColor,
        EndSynchronizedUpdate,
        LeaveAlternateScreen,
        Show
    );
    let mut stdout = io::stdout();
    let _ = stdout.write_all(&out);
    let _ = stdout.flush();
    let _ = terminal::disable_raw_mode();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(before: &str, next: &str) -> Vec<(u16, String)> {
        let lines = |line: &str| Buffer::with_lines([format!("{line:8}"), "unchanged".to_owned()]);
        let next = lines(next);
        changes(&lines(before), &next)
            .into_iter()
            .map(|(x, y, cell)| {
                assert_eq!(y, 0);
                (x, cell.symbol().to_owned())
            })
            .collect()
    }

    #[test]
    fn a_row_with_a_sequence_is_written_whole_and_another_as_it_changes() {
        let places = |cells: Vec<(u16, String)>| cells.into_iter().map(|(x, _)| x).collect();
        let row: Vec<u16> = places(shown("ab", "ac"));
        assert_eq!(row, [1]);
        // It comes: what the terminal may have put beyond its two columns is written over.
        let row: Vec<u16> = places(shown("ab", "ab🇩🇪"));
        assert_eq!(row, [0, 1, 2, 4, 5, 6, 7, 8]);
        // It goes.
        let row: Vec<u16> = places(shown("ab🇩🇪", "ab"));
        assert_eq!(row, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(shown("ab🇩🇪", "ab🇩🇪"), []);
    }
}
