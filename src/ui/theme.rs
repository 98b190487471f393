//! Colours: dark, light, and monochrome, where marks and bold say what colour would.

use ratatui::style::{Color, Modifier, Style};

use crate::id::PeerId;

/// The colours of the screen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Theme {
    /// For a dark background.
    #[default]
    Dark,
    /// For a light background.
    Light,
    /// No colours at all.
    Mono,
}

/// Colours of names: of the 16 that every terminal has, and its user chose, those that stand
/// out on either background.
const DARK_NAMES: &[Color] = &[
    Color::Cyan,
    Color::Green,
    Color::Yellow,
    Color::Magenta,
    Color::LightBlue,
    Color::LightCyan,
    Color::LightGreen,
    Color::LightMagenta,
    Color::LightYellow,
    Color::LightRed,
];
const LIGHT_NAMES: &[Color] = &[
    Color::Blue,
    Color::Magenta,
    Color::Red,
    Color::Green,
    Color::Cyan,
    Color::Indexed(94),
    Color::Indexed(24),
    Color::Indexed(90),
];

impl Theme {
    /// The name of a person: the same colour on every screen, taken from the id.
    #[must_use]
    pub fn name(self, id: &PeerId) -> Style {
        let colors = match self {
            Theme::Dark => DARK_NAMES,
            Theme::Light => LIGHT_NAMES,
            Theme::Mono => return Style::new().add_modifier(Modifier::BOLD),
        };
        Style::new().fg(colors[usize::from(id.0[0]) % colors.len()])
    }

    /// What is there but not to be read first: times, marks, presence, rules.
    #[must_use]
    pub fn dim(self) -> Style {
        match self {
            Theme::Dark => Style::new().fg(Color::Indexed(245)),
            Theme::Light => Style::new().fg(Color::Indexed(243)),
            Theme::Mono => Style::new().add_modifier(Modifier::DIM),
        }
    }

    /// Titles of parts of the screen, keys in the help.
    #[must_use]
    pub fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Unread counts and the line where one left off.
    #[must_use]
    pub fn unread(self) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        match self {
            Theme::Dark => style.fg(Color::Yellow),
            Theme::Light => style.fg(Color::Blue),
            Theme::Mono => style,
        }
    }

    /// One's own name in what others say.
    #[must_use]
    pub fn mention(self) -> Style {
        self.unread().add_modifier(Modifier::REVERSED)
    }

    /// What is wrong.
    #[must_use]
    pub fn alert(self) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        match self {
            Theme::Dark => style.fg(Color::LightRed),
            Theme::Light => style.fg(Color::Red),
            Theme::Mono => style,
        }
    }

    /// What is well: online.
    #[must_use]
    pub fn good(self) -> Style {
        match self {
            Theme::Dark | Theme::Light => Style::new().fg(Color::Green),
            Theme::Mono => Style::new(),
        }
    }

    /// The line over the conversation.
    #[must_use]
    pub fn header(self) -> Style {
        match self {
            Theme::Dark => Style::new().bg(Color::Indexed(236)),
            Theme::Light => Style::new().bg(Color::Indexed(254)),
            Theme::Mono => Style::new().add_modifier(Modifier::UNDERLINED),
        }
    }

    /// What has the focus: the prompt, or the rule beside the list.
    #[must_use]
    pub fn focus(self) -> Style {
        let style = self.title();
        match self {
            Theme::Dark => style.fg(Color::LightCyan),
            Theme::Light => style.fg(Color::Blue),
            Theme::Mono => style,
        }
    }

    /// The status line.
    #[must_use]
    pub fn bar(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// The selected entry of the list.
    #[must_use]
    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monochrome_has_no_colour_at_all() {
        let id = PeerId([5; 32]);
        let theme = Theme::Mono;
        for style in [
            theme.name(&id),
            theme.dim(),
            theme.title(),
            theme.unread(),
            theme.mention(),
            theme.alert(),
            theme.good(),
            theme.header(),
            theme.focus(),
            theme.bar(),
            theme.selected(),
        ] {
            assert_eq!((style.fg, style.bg), (None, None));
        }
    }

    #[test]
    fn a_name_keeps_its_colour() {
        for theme in [Theme::Dark, Theme::Light] {
            assert_eq!(theme.name(&PeerId([7; 32])), theme.name(&PeerId([7; 32])));
            assert!(theme.name(&PeerId([7; 32])).fg.is_some());
        }
    }
}
