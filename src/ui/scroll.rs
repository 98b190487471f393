//! Which rows of a conversation are on the screen, and where paging and the wheel go.

use super::log::Place;
use super::rows::{Layouter, Row};

impl Layouter<'_> {
    /// The rows to show in `height` rows, the last one at the bottom.
    #[must_use]
    pub fn visible(&self, height: usize) -> Vec<Row> {
        let mut shown: Vec<Row> = Vec::new();
        let mut place = self.bottom();
        while shown.len() < height && place.line >= self.log.first() {
            let mut rows = self.rows(place.line);
            rows.truncate(place.rows);
            rows.append(&mut shown);
            shown = rows;
            let Some(before) = place.line.checked_sub(1) else {
                break;
            };
            place = Place {
                line: before,
                rows: usize::MAX,
            };
        }
        let surplus = shown.len().saturating_sub(height);
        shown.split_off(surplus)
    }

    /// The bottom of the screen after scrolling by `by` rows, up if negative, in a pane of
    /// `height` rows; none for the end.
    #[must_use]
    pub fn scrolled(&self, by: isize, height: usize) -> Option<Place> {
        let start = self.bottom();
        let place = if by < 0 {
            let back = self.back(start, by.unsigned_abs());
            // The top of the log stays at the top of the screen, if it is that long.
            let above = self.rows_above(back, height);
            self.forward(back, height - above)
        } else {
            self.forward(start, by.unsigned_abs())
        };
        (place.line + 1 < self.log.end() || place.rows < self.rows(place.line).len())
            .then_some(place)
    }

    /// Where the bottom is now, within what is kept.
    fn bottom(&self) -> Place {
        let last = self.log.end() - 1;
        match self.log.bottom {
            Some(place) if place.line <= last => Place {
                line: place.line.max(self.log.first()),
                rows: place.rows,
            },
            _ => Place {
                line: last,
                rows: usize::MAX,
            },
        }
    }

    fn back(&self, mut place: Place, mut by: usize) -> Place {
        loop {
            let above = place.rows.min(self.rows(place.line).len());
            if by < above {
                return Place {
                    rows: above - by,
                    ..place
                };
            }
            by -= above;
            if place.line <= self.log.first() {
                return Place { rows: 0, ..place };
            }
            place = Place {
                line: place.line - 1,
                rows: usize::MAX,
            };
        }
    }

    fn forward(&self, mut place: Place, mut by: usize) -> Place {
        loop {
            let all = self.rows(place.line).len();
            let above = place.rows.min(all);
            if by <= all - above {
                return Place {
                    rows: above + by,
                    ..place
                };
            }
            by -= all - above;
            if place.line + 1 >= self.log.end() {
                return Place { rows: all, ..place };
            }
            place = Place {
                line: place.line + 1,
                rows: 0,
            };
        }
    }

    /// Rows above a place, counted to `most`.
    fn rows_above(&self, place: Place, most: usize) -> usize {
        let mut count = place.rows.min(self.rows(place.line).len());
        let mut line = place.line;
        while count < most && line > self.log.first() {
            line -= 1;
            count += self.rows(line).len();
        }
        count.min(most)
    }

    /// Whether any row of this line is shown in `height` rows.
    #[must_use]
    pub fn shows(&self, line: u64, height: usize) -> bool {
        let place = self.bottom();
        let mut rows = place.rows.min(self.rows(place.line).len());
        let mut first = place.line;
        while rows < height && first > self.log.first() {
            first -= 1;
            rows += self.rows(first).len();
        }
        (first..=place.line).contains(&line)
    }
}
