//! One exchange: two sides tell what they hold and give each other what the other lacks.
//!
//! The asker opens with ASK and its vector; the helper answers with its own, for a newcomer with the
//! newest entries, and DONE. From then on both do the same: WANT names what is lacking, ENTRIES and
//! DONE answer it, a WANT of nothing says that nothing more is wanted. When both said so the asker
//! ends the stream. What is held is read from the store each time, so that it is never guessed.

mod lack;
mod rows;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use self::lack::len_of;
use self::rows::{entries_of, people_of};
use super::frame::{ENTRIES_LEN_MAX, Frame, LogRun, LogState, Why};
use crate::durable::{LogKey, Query, Row};
use crate::id::{NetworkId, PeerId, RoomId};
use crate::limits::{SYNC_LOGS_MAX, SYNC_WANT_MAX};

/// What an exchange is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subject {
    /// The room.
    pub room: RoomId,
    /// The network whose logs it is about; zeros for a locked room.
    pub network: NetworkId,
    /// Why the asker asks.
    pub why: Why,
    /// Of the newest entries so many first.
    pub entries: u32,
    /// None of these said before this, in milliseconds since the Unix epoch.
    pub since_ms: u64,
}

/// Which side this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Opened the stream.
    Asker,
    /// Was asked.
    Helper,
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// Send this.
    Send(Frame),
    /// Verify these entries and take them in.
    TakeIn(Vec<Vec<u8>>),
    /// Verify these records and keep them.
    People(Vec<Vec<u8>>),
    /// End the own half.
    Finish,
}

/// The other side does what the protocol does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Violation;

/// What the store was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Asked {
    /// What is held, before the first frame.
    Open,
    /// The newest entries.
    Latest,
    /// Who wrote the logs.
    People,
    /// What is held, once a WANT is answered.
    Again,
    /// A part of a run that the other side wants.
    Page(LogRun),
}

/// One side of an exchange.
pub struct Exchange {
    /// What it is about.
    pub subject: Subject,
    /// Which side this is.
    pub role: Role,
    proof: [u8; 32],
    mine: Vec<LogState>,
    floors: BTreeMap<(PeerId, u64), u32>,
    theirs: Vec<LogState>,
    theirs_whole: bool,
    /// The opening is over: both may want.
    opened: bool,
    queue: VecDeque<Asked>,
    asked: Option<Asked>,
    /// What the other side wants still.
    serving: VecDeque<LogRun>,
    /// A WANT is not answered yet, and whether something of it was not there.
    owes: bool,
    short: bool,
    wanted: Vec<LogRun>,
    /// So many entries may come before the next DONE, and so many came.
    allowed: u32,
    came: u32,
    /// So many were given.
    given: u32,
    /// Runs of logs, by their last number, of which the other side gave nothing of what it claims, or
    /// that are not kept here.
    withheld: BTreeSet<(PeerId, u64, u32)>,
    /// Logs of which not all came that it claims.
    claimed: BTreeSet<(PeerId, u64)>,
    /// How many came of each run that is wanted, by its first number.
    brought: BTreeMap<(PeerId, u64, u32), u32>,
    /// Either side wants nothing more.
    content: bool,
    peer_content: bool,
}

impl Exchange {
    /// Begins; the first thing is to ask the store. `proof` is the own one.
    #[must_use]
    pub fn new(role: Role, subject: Subject, proof: [u8; 32]) -> Self {
        let first = match role {
            Role::Asker => Some(Asked::Open),
            // Once the asker's vector came.
            Role::Helper => None,
        };
        Exchange {
            subject,
            role,
            proof,
            mine: Vec::new(),
            floors: BTreeMap::new(),
            theirs: Vec::new(),
            theirs_whole: false,
            opened: false,
            queue: first.into_iter().collect(),
            asked: None,
            serving: VecDeque::new(),
            owes: false,
            short: false,
            wanted: Vec::new(),
            allowed: match (role, subject.why) {
                (Role::Asker, Why::Join) => subject.entries,
                _ => 0,
            },
            came: 0,
            given: 0,
            withheld: BTreeSet::new(),
            claimed: BTreeSet::new(),
            brought: BTreeMap::new(),
            content: false,
            peer_content: false,
        }
    }

    /// The own proof, once there is a connection that it is for.
    pub fn set_proof(&mut self, proof: [u8; 32]) {
        self.proof = proof;
    }

    /// The next question to the store, one at a time; the answer comes by [`Exchange::loaded`].
    /// Pages only where `may_serve`.
    pub fn next_query(&mut self, may_serve: bool) -> Option<Query> {
        if self.asked.is_some() {
            return None;
        }
        let next = self.queue.pop_front().or_else(|| {
            let run = may_serve.then(|| self.serving.pop_front())?;
            run.map(Asked::Page)
        })?;
        let Subject { room, network, .. } = self.subject;
        let query = match &next {
            Asked::Open | Asked::Again => Query::Vector { room, network },
            Asked::Latest => Query::Latest {
                room,
                network,
                entries: self.subject.entries,
                since_ms: self.subject.since_ms,
            },
            Asked::People => Query::People {
                ids: self.authors(),
            },
            Asked::Page(run) => Query::Range {
                log: LogKey {
                    room,
                    author: run.author,
                    epoch: run.epoch,
                },
                first: run.first,
                last: run.last,
                bytes_max: ENTRIES_LEN_MAX,
            },
        };
        self.asked = Some(next);
        Some(query)
    }

    fn authors(&self) -> Vec<PeerId> {
        let ids: BTreeSet<PeerId> = self.mine.iter().map(|log| log.author).collect();
        ids.into_iter().collect()
    }

    /// The store answered.
    pub fn loaded(&mut self, rows: &[Row]) -> Vec<Act> {
        let mut acts = Vec::new();
        match self.asked.take() {
            Some(Asked::Open) => {
                self.read_vector(rows);
                if self.role == Role::Asker {
                    acts.push(Act::Send(self.ask()));
                }
                self.tell_vector(&mut acts);
                if self.role == Role::Helper {
                    // The names first, or the lines are shown without.
                    self.queue.push_back(Asked::People);
                    if self.subject.why == Why::Join {
                        self.queue.push_back(Asked::Latest);
                    }
                }
            }
            Some(Asked::People) => {
                people_of(rows, &mut acts);
                if self.subject.why != Why::Join {
                    self.open(&mut acts);
                }
            }
            Some(Asked::Latest) => {
                entries_of(rows, &mut acts);
                self.open(&mut acts);
            }
            Some(Asked::Again) => {
                self.read_vector(rows);
                self.want(&mut acts);
            }
            Some(Asked::Page(run)) => self.serve(run, rows, &mut acts),
            None => {}
        }
        self.end(&mut acts);
        acts
    }

    /// The helper said what it says unasked; now both want and serve.
    fn open(&mut self, acts: &mut Vec<Act>) {
        acts.push(Act::Send(Frame::Done { more: false }));
        self.opened = true;
        self.want(acts);
    }

    /// A frame of the other side.
    ///
    /// # Errors
    /// It cannot come now.
    pub fn handle(&mut self, frame: Frame) -> Result<Vec<Act>, Violation> {
        let mut acts = Vec::new();
        match frame {
            Frame::Vector { logs, more, .. } if !self.theirs_whole => {
                self.theirs.extend(logs);
                self.theirs_whole = !more;
                if self.theirs.len() > SYNC_LOGS_MAX {
                    return Err(Violation);
                }
                if self.theirs_whole && self.role == Role::Helper {
                    self.queue.push_back(Asked::Open);
                }
            }
            Frame::Entries(entries) if self.theirs_whole => {
                let len = u32::try_from(entries.len()).unwrap_or(u32::MAX);
                self.allowed = self.allowed.checked_sub(len).ok_or(Violation)?;
                self.came = self.came.saturating_add(len);
                acts.push(Act::TakeIn(entries));
            }
            Frame::People(records) => acts.push(Act::People(records)),
            Frame::Done { .. } if self.theirs_whole => {
                let awaited = !self.opened || !self.wanted.is_empty();
                if !awaited || self.role == Role::Helper && !self.opened {
                    return Err(Violation);
                }
                self.opened = true;
                self.allowed = 0;
                self.queue.push_back(Asked::Again);
            }
            Frame::Want(runs) if self.theirs_whole && !self.owes && !self.peer_content => {
                if len_of(&runs) > SYNC_WANT_MAX {
                    return Err(Violation);
                }
                self.peer_content = runs.is_empty();
                self.owes = !runs.is_empty();
                self.serving = runs.into();
            }
            _ => return Err(Violation),
        }
        self.end(&mut acts);
        Ok(acts)
    }

    /// Whether anything went either way.
    #[must_use]
    pub fn is_fruitful(&self) -> bool {
        self.came > 0 || self.given > 0
    }

    /// Whether the other side waits for something that this side has to say.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.owes
    }

    fn ask(&self) -> Frame {
        Frame::Ask {
            room: self.subject.room.tag(),
            network: self.subject.network,
            proof: self.proof,
            why: self.subject.why,
            entries: self.subject.entries,
            since_ms: self.subject.since_ms,
        }
    }

    /// A page of what the other side wants, and DONE after the last.
    fn serve(&mut self, run: LogRun, rows: &[Row], acts: &mut Vec<Act>) {
        let seqs = rows.iter().filter_map(|row| match row {
            Row::Entry { seq, .. } => Some(*seq),
            _ => None,
        });
        let last = seqs.max();
        self.short |= last.is_none();
        self.given = self
            .given
            .saturating_add(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        if let Some(first) = last.filter(|&last| last < run.last).map(|last| last + 1) {
            self.serving.push_front(LogRun { first, ..run });
        }
        entries_of(rows, acts);
    }

    /// What is due once something changed: DONE for a WANT, and the end.
    fn end(&mut self, acts: &mut Vec<Act>) {
        let is_paging = matches!(self.asked, Some(Asked::Page(_)));
        if self.owes && self.serving.is_empty() && !is_paging {
            self.owes = false;
            let more = std::mem::take(&mut self.short);
            acts.push(Act::Send(Frame::Done { more }));
        }
        if self.content && self.peer_content && self.role == Role::Asker {
            acts.push(Act::Finish);
        }
    }
}

#[cfg(test)]
mod tests;
