//! Pictures of the screen: events and keys in, rows of text out, at 80x24 and at 40x10.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::api::{
    Command, Conversation, Event, InterfaceInfo, InterfaceState, NetworkState, PeerRef, PeerState,
    ReceiptState, Request, SelfInfo, Status, TextKind, Timestamp,
};
use crate::id::{MessageId, PeerId};
use crate::ui::key::{Input, script};
use crate::ui::model::{Effect, Model, utc};
use crate::ui::people::Person;
use crate::ui::people::tests::person;
use crate::ui::theme::Theme;
use crate::ui::{news, update, view};

mod keys;
mod past;
mod pictures;
mod rooms;

const LARGE: (u16, u16) = (80, 24);
const SMALL: (u16, u16) = (40, 10);

/// 2026-03-14 09:26:00 UTC, and minutes after it.
fn minute(minutes: u64) -> Timestamp {
    Timestamp(1_773_480_360_000 + minutes * 60_000)
}

/// Whether the screen asks by itself; `/history` asks for fewer or does not say.
fn is_page(request: &Request) -> bool {
    matches!(
        &request.command,
        Command::History {
            limit: Some(100..),
            search: None,
            ..
        }
    )
}

/// A screen under test: the model, what it asked for, and the time, a minute an event.
struct Screen {
    model: Model,
    effects: Vec<Effect>,
    /// Pages asked for to be read back.
    pages: Vec<Request>,
}

impl Screen {
    fn new(size: (u16, u16)) -> Self {
        Screen {
            model: Model::new(size, Theme::Mono, utc),
            effects: Vec::new(),
            pages: Vec::new(),
        }
    }

    fn extend(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Request(request) if is_page(&request) => self.pages.push(request),
                effect => self.effects.push(effect),
            }
        }
    }

    /// A screen whose node runs and has told these events, one each minute.
    fn with(size: (u16, u16), events: impl IntoIterator<Item = Event>) -> Self {
        let mut screen = Screen::new(size);
        screen.tell(0, ready());
        for (n, event) in events.into_iter().enumerate() {
            screen.tell(n as u64, event);
        }
        screen
    }

    fn tell(&mut self, minutes: u64, event: Event) {
        // What somebody says comes when they say it.
        let now = match &event {
            Event::Message { time, .. } => *time,
            _ => minute(minutes),
        };
        let effects = news::event(&mut self.model, now, &event);
        self.extend(effects);
    }

    fn keys(&mut self, keys: &str) -> &mut Self {
        for key in script(keys) {
            let effects = update::input(&mut self.model, Input::Key(key));
            self.extend(effects);
        }
        self
    }

    fn input(&mut self, input: Input) -> &mut Self {
        let effects = update::input(&mut self.model, input);
        self.extend(effects);
        self
    }

    /// The commands asked for since the last time.
    fn commands(&mut self) -> Vec<Command> {
        let effects = std::mem::take(&mut self.effects);
        let command = |effect| match effect {
            Effect::Request(Request { command, .. }) => Some(command),
            _ => None,
        };
        effects.into_iter().filter_map(command).collect()
    }

    /// The rows, without the spaces at their ends, the cursor as a block.
    fn picture(&self) -> String {
        let (width, height) = self.model.size;
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        let cursor = view::draw(&self.model, &mut buffer);
        let mut rows = Vec::new();
        for y in 0..height {
            let mut row = String::new();
            let mut covered = 0;
            for x in 0..width {
                let symbol = buffer[(x, y)].symbol();
                let shown = if cursor == Some((x, y).into()) {
                    "█"
                } else {
                    symbol
                };
                if covered == 0 {
                    row.push_str(shown);
                    covered = crate::ui::wrap::width(symbol).saturating_sub(1);
                } else {
                    covered -= 1;
                }
            }
            rows.push(row.trim_end().to_owned());
        }
        fold_empty(&rows)
    }
}

/// The rows, with one line for many that are empty.
fn fold_empty(rows: &[String]) -> String {
    let mut out = String::new();
    let empty = |row: &String| row.trim_matches([' ', '│', '┃']).is_empty();
    for run in rows.chunk_by(|one, other| empty(one) && empty(other)) {
        if run.len() > 2 && empty(&run[0]) {
            out.push_str(&format!("({} empty)\n", run.len()));
        } else {
            out.push_str(&run.join("\n"));
            out.push('\n');
        }
    }
    out
}

fn screen(size: (u16, u16), events: impl IntoIterator<Item = Event>, keys: &str) -> String {
    Screen::with(size, events).keys(keys).picture()
}

fn own() -> SelfInfo {
    let id = PeerId([200; 32]);
    SelfInfo {
        id,
        name: "ana".into(),
        tag: id.tag(),
    }
}

fn ready() -> Event {
    Event::Ready {
        v: 1,
        version: "0.1.0".into(),
        own: own(),
        chat_port: 5263,
        interfaces: vec![InterfaceInfo {
            name: "eth0".into(),
            addresses: vec!["10.0.0.7".into()],
        }],
        rooms: vec!["#lobby".into()],
    }
}

fn told(person: Person) -> Event {
    Event::Peer {
        reference: None,
        peer: person.peer,
        state: person.state,
        status: person.status,
        status_text: person.status_text,
        confirmed: person.confirmed,
        incompatible: person.incompatible,
        name_conflict: person.name_conflict,
        addresses: person.addresses,
        rooms: person.rooms,
        rtt_ms: person.rtt_ms,
        transient: person.transient,
    }
}

fn three() -> Vec<Event> {
    [(1, "ben"), (2, "cai"), (3, "dora")]
        .map(|(n, name)| told(person(n, name)))
        .into()
}

fn lobby() -> Conversation {
    Conversation::Room("lobby".into())
}

fn with(number: u8) -> Conversation {
    Conversation::Peer(PeerId([number; 32]))
}

/// A message with an id of its text; number 200 is this node.
fn said(conversation: Conversation, number: u8, minutes: u64, text: &str) -> Event {
    let name = match number {
        1 => "ben",
        2 => "cai",
        3 => "dora",
        _ => "ana",
    };
    let mut id = [number; 16];
    for (byte, place) in text.bytes().zip(&mut id) {
        *place = byte;
    }
    Event::Message {
        reference: None,
        id: MessageId(id),
        conversation,
        from: PeerRef {
            verified: false,
            ..person(number, name).peer
        },
        own: number == 200,
        kind: TextKind::Text,
        text: text.into(),
        time: minute(minutes),
        delayed: false,
        after: None,
        answers: None,
        redacted: false,
    }
}

fn receipt(message: &Event, state: ReceiptState, delivered: u32, of: u32) -> Event {
    let Event::Message {
        id, conversation, ..
    } = message
    else {
        panic!("not a message")
    };
    Event::Receipt {
        id: *id,
        conversation: conversation.clone(),
        state,
        delivered,
        of,
        missing: Vec::new(),
        left: Vec::new(),
        sampled: false,
    }
}
