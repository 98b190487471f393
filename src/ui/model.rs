//! What the screen knows: everything that [`view`](super::view) draws and
//! [`update`](super::update) changes.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime};

use super::input::{Editor, Recall};
use super::line::Line;
use super::log::Log;
use super::people::{FindError, People};
use super::theme::Theme;
use crate::api::{
    Conversation, InterfaceState, NetworkState, Request, SelfInfo, Status, Timestamp,
};
use crate::limits::{PEERS_MAX, SEND_QUEUE_MAX};

/// Most bytes of text kept of all conversations together.
pub const ALL_LOGS_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Turns a time into the one on the wall of whoever looks at the screen.
pub type LocalTime = fn(Timestamp) -> NaiveDateTime;

/// What the screen asks of whoever drives it.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Ask this of the node.
    Request(Request),
    /// Ring the bell.
    Bell,
    /// Leave.
    Quit,
    /// Stop the process, as Ctrl-Z does.
    Suspend,
    /// Draw everything anew, whatever the terminal shows.
    Redraw,
}

/// Where keys go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Focus {
    /// The input line.
    Input,
    /// The list at the left.
    List,
}

/// What lies over the conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Panel {
    /// The keys and commands.
    Help,
    /// The people, with addresses.
    People,
    /// The rooms.
    Rooms,
}

/// Something to tell until the next key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// One sentence.
    pub text: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A room, as last told by the node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Room {
    /// Whether this node is in it.
    pub joined: bool,
    /// Whether it has a passphrase.
    pub locked: bool,
    /// How many others are in it.
    pub members: usize,
    /// What it is about.
    pub topic: String,
}

/// A passphrase that is being typed and not shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asking {
    /// For this room, with `#`.
    pub room: String,
    /// What is typed.
    pub phrase: crate::api::Passphrase,
}

/// A request that is not answered yet, and what hangs on its answer.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Pending {
    /// A text for this conversation, as it was typed; comes back into the line if it is refused.
    Text(Conversation, String),
    /// The own status becomes this.
    Status(Status, String),
    /// What is answered tells by its reference that it was asked for.
    Answer,
    /// Lines to read back.
    Page(super::past::Page),
    /// This room opens, or comes back into the line as it was typed.
    Join(String, String),
}

/// The state of the screen.
#[derive(Clone, Debug)]
pub struct Model {
    /// Who this node is, once it runs.
    pub own: Option<SelfInfo>,
    /// Own status.
    pub status: Status,
    /// Words with it.
    pub status_text: String,
    /// Everybody known.
    pub people: People,
    /// Rooms, by name without `#`.
    pub rooms: BTreeMap<String, Room>,
    /// The conversations.
    pub logs: BTreeMap<Conversation, Log>,
    /// The conversation that is shown.
    pub current: Conversation,
    /// Where keys go.
    pub focus: Focus,
    /// The selected entry of the list, while it has the focus.
    pub selected: Conversation,
    /// What lies over the conversation, and how many of its rows are scrolled away.
    pub panel: Option<(Panel, usize)>,
    /// Whether it is asked if to leave.
    pub leaving: bool,
    /// The passphrase that is asked for, in place of the line.
    pub asking: Option<Asking>,
    /// What is being typed.
    pub line: Editor,
    /// What to tell until the next key.
    pub notice: Option<Notice>,
    /// The interfaces in use.
    pub interfaces: Vec<String>,
    /// The network: in one word, and each interface; none until it was told.
    pub network: Option<(NetworkState, Vec<InterfaceState>)>,
    /// Why nothing that is said is kept, while that is so.
    pub unkept: Option<String>,
    /// Whether it ran long enough that whoever is on the network would have answered.
    pub settled: bool,
    /// Columns and rows of the screen.
    pub size: (u16, u16),
    /// Whether the terminal has the focus, as far as it tells.
    pub focused: bool,
    /// The colours.
    pub theme: Theme,
    pub(super) local_time: LocalTime,
    pub(super) clocks: super::clocks::Clocks,
    pub(super) recall: Recall,
    pub(super) pending: BTreeMap<u64, Pending>,
    pub(super) next_reference: u64,
    pub(super) completion: Option<super::complete::Completion>,
}

impl Model {
    /// The screen at the start: in `#lobby`, nobody known yet.
    #[must_use]
    pub fn new(size: (u16, u16), theme: Theme, local_time: LocalTime) -> Self {
        let lobby = Conversation::Room("lobby".to_owned());
        let room = Room {
            joined: true,
            ..Room::default()
        };
        Model {
            own: None,
            status: Status::Available,
            status_text: String::new(),
            people: People::default(),
            rooms: BTreeMap::from([("lobby".to_owned(), room)]),
            logs: BTreeMap::from([(lobby.clone(), Log::default())]),
            current: lobby.clone(),
            focus: Focus::Input,
            selected: lobby,
            panel: None,
            leaving: false,
            asking: None,
            line: Editor::default(),
            notice: None,
            interfaces: Vec::new(),
            network: None,
            unkept: None,
            settled: false,
            size,
            focused: true,
            theme,
            local_time,
            clocks: super::clocks::Clocks::default(),
            recall: Recall::default(),
            pending: BTreeMap::new(),
            next_reference: 1,
            completion: None,
        }
    }

    /// The local time of something.
    #[must_use]
    pub fn local(&self, time: Timestamp) -> NaiveDateTime {
        (self.local_time)(time)
    }

    /// What to say where nobody is here.
    #[must_use]
    pub fn alone_words(&self) -> &'static str {
        if self.settled {
            "nobody else here yet"
        } else {
            "looking for others"
        }
    }

    /// The title of the window.
    #[must_use]
    pub fn title(&self) -> String {
        match self
            .logs
            .values()
            .map(|log| log.unread)
            .fold(0, u32::saturating_add)
        {
            0 => "lanchat".to_owned(),
            unread => format!("({unread}) lanchat"),
        }
    }

    /// What hinders the network or the disk, if something does.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.network_trouble().or_else(|| self.unkept.clone())
    }

    fn network_trouble(&self) -> Option<String> {
        let (state, interfaces) = self.network.as_ref()?;
        let hint = interfaces.iter().find_map(|interface| {
            let hint = interface.hint.as_ref()?;
            Some(format!("{}: {hint}", interface.name))
        });
        match state {
            NetworkState::Ok => None,
            NetworkState::Degraded => Some(hint.unwrap_or_else(|| "network degraded".to_owned())),
            NetworkState::Down => {
                Some(hint.unwrap_or_else(|| "no network but this computer".to_owned()))
            }
        }
    }

    /// Whom a target means, and if there is none, what to say.
    pub(super) fn find(&self, target: &str) -> Result<Conversation, Notice> {
        if let Some(room) = target.strip_prefix('#') {
            let room = room.to_lowercase();
            return if self.rooms.get(&room).is_some_and(|state| state.joined) {
                Ok(Conversation::Room(room))
            } else {
                Err(Notice {
                    text: format!("you are not in #{room}"),
                    hint: Some(format!("/join #{room} takes part in it")),
                })
            };
        }
        match self.people.find(target) {
            Ok(id) => Ok(Conversation::Peer(id)),
            Err(FindError::Nobody) => Err(Notice {
                text: format!("nobody here is called {target}"),
                hint: Some("/who lists the people here".to_owned()),
            }),
            Err(FindError::Several(names)) => Err(Notice {
                text: format!("{target} may be {}", names.join(" or ")),
                hint: Some("name one with its tag".to_owned()),
            }),
        }
    }

    /// The log of a conversation, made if there is none.
    pub(super) fn log_mut(&mut self, conversation: &Conversation) -> &mut Log {
        if !self.logs.contains_key(conversation) {
            self.make_room_for_a_log();
        }
        self.logs.entry(conversation.clone()).or_default()
    }

    pub(super) fn current_log(&mut self) -> &mut Log {
        let current = self.current.clone();
        self.log_mut(&current)
    }

    /// Adds a line to a conversation and keeps all of them within their bound.
    pub(super) fn add(&mut self, conversation: &Conversation, line: Line) {
        self.log_mut(conversation).push(line);
        let mut total: usize = self.logs.values().map(Log::bytes).sum();
        while total > ALL_LOGS_BYTES_MAX {
            let largest = self.logs.values_mut().max_by_key(|log| log.bytes());
            match largest.map_or(0, Log::drop_first) {
                0 => break,
                freed => total -= freed,
            }
        }
    }

    /// Adds a line of the program.
    pub(super) fn note(
        &mut self,
        conversation: &Conversation,
        time: Timestamp,
        text: String,
        alert: bool,
    ) {
        self.add(conversation, Line::Note { time, text, alert });
    }

    /// Shows a conversation: puts the draft of the last one aside and takes up that of this one.
    pub(super) fn open(&mut self, conversation: Conversation) {
        self.focus = Focus::Input;
        self.panel = None;
        if conversation == self.current {
            return;
        }
        let draft = std::mem::take(&mut self.line);
        let left = self.current_log();
        left.draft = draft;
        left.new_from = None;
        left.bottom = None;
        self.current = conversation;
        let focused = self.focused;
        let log = self.current_log();
        if focused {
            log.seen();
        }
        self.line = std::mem::take(&mut self.current_log().draft);
        self.recall.stop();
        self.completion = None;
    }

    /// A request, with a reference if something hangs on its answer.
    pub(super) fn request(
        &mut self,
        command: crate::api::Command,
        pending: Option<Pending>,
    ) -> Effect {
        let mut request = Request::from(command);
        if let Some(pending) = pending {
            let reference = self.next_reference;
            self.next_reference += 1;
            self.pending.insert(reference, pending);
            while self.pending.len() > SEND_QUEUE_MAX {
                self.pending.pop_first();
            }
            request.reference = Some(reference.into());
        }
        Effect::Request(request)
    }

    /// Forgets people who are gone and with whom there was no conversation, where there are too
    /// many to keep.
    pub(super) fn bound_people(&mut self) {
        if self.people.len() > PEERS_MAX {
            let logs = &self.logs;
            self.people.retain(|person| {
                person.is_up() || logs.contains_key(&Conversation::Peer(person.peer.id))
            });
        }
    }

    fn make_room_for_a_log(&mut self) {
        if self.logs.len() < PEERS_MAX {
            return;
        }
        let idle = self.logs.iter().find(|(conversation, log)| {
            **conversation != self.current
                && matches!(conversation, Conversation::Peer(_))
                && log.draft.is_empty()
                && log.unread == 0
        });
        // Where every one is unread, the first goes: a stranger can make as many as they like.
        let idle = idle
            .map(|(conversation, _)| conversation.clone())
            .or_else(|| self.logs.keys().rfind(|c| **c != self.current).cloned());
        if let Some(idle) = idle {
            self.logs.remove(&idle);
        }
    }
}

/// The time in UTC, where no local one is known.
#[must_use]
pub fn utc(time: Timestamp) -> NaiveDateTime {
    i64::try_from(time.0)
        .ok()
        .and_then(DateTime::from_timestamp_millis)
        .unwrap_or_default()
        .naive_utc()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PeerId;

    fn note(text: String) -> Line {
        Line::Note {
            time: Timestamp(0),
            text,
            alert: false,
        }
    }

    fn with(number: usize) -> Conversation {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        Conversation::Peer(PeerId(id))
    }

    #[test]
    fn all_conversations_together_are_bounded_in_bytes_and_number() {
        let mut model = Model::new((80, 24), Theme::Mono, utc);
        let text = "x".repeat(1024 * 1024);
        for n in 0..50 {
            model.add(&with(n), note(text.clone()));
        }
        let total: usize = model.logs.values().map(Log::bytes).sum();
        assert!(total <= ALL_LOGS_BYTES_MAX);
        assert!(total > ALL_LOGS_BYTES_MAX / 2);
        for n in 0..PEERS_MAX + 100 {
            model.log_mut(&with(n)).count_unread(true);
        }
        assert!(model.logs.len() <= PEERS_MAX);
        assert!(model.logs.contains_key(&model.current));
    }

    #[test]
    fn requests_without_an_answer_do_not_pile_up() {
        let mut model = Model::new((80, 24), Theme::Mono, utc);
        for _ in 0..SEND_QUEUE_MAX + 10 {
            let pending = Pending::Status(Status::Away, String::new());
            model.request(crate::api::Command::Who, Some(pending));
        }
        assert_eq!(model.pending.len(), SEND_QUEUE_MAX);
    }
}
