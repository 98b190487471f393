//! One exchange: two sides tell what they hold and give each other what the other lacks.
//!
//! The asker opens with ASK and its vector; the helper answers with its own, for a newcomer with the
//! newest entries, and DONE. From then on both do the same: WANT names what is lacking, ENTRIES and
//! DONE answer it, a WANT of nothing says that nothing more is wanted. When both said so the asker
//! ends the stream. What is held is read from the store each time, so that it is never guessed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::compare::lacking;
use super::frame::{ENTRIES_LEN_MAX, ENTRIES_MAX, Frame, LogRun, LogState, VECTOR_LOGS_MAX, Why};
use crate::durable::{Head, LogKey, Query, Row};
use crate::id::{NetworkId, PeerId, RoomId};
use crate::limits::{SYNC_ENTRIES_MAX, SYNC_LOGS_MAX, SYNC_WANT_MAX};
use crate::proto::group::Given;

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
    /// Logs of which the other side gave nothing of what it claims, or that do not get longer by it:
    /// something before is missing.
    withheld: BTreeSet<(PeerId, u64)>,
    /// Those of them of which not all came that it claims.
    claimed: BTreeSet<(PeerId, u64)>,
    /// How many came of each log since something was asked for.
    brought: BTreeMap<(PeerId, u64), u32>,
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

    /// Whether this side holds all that the other one claimed to hold.
    #[must_use]
    pub fn is_content(&self) -> bool {
        self.content && self.withheld.is_empty()
    }

    /// Whether this entry, which came, may come now: unasked, of any log that the other side told of;
    /// else one that was asked for.
    #[must_use]
    pub fn expects(&mut self, author: &PeerId, epoch: u64, seq: u32) -> bool {
        *self.brought.entry((*author, epoch)).or_default() += 1;
        if self.wanted.is_empty() {
            let mut theirs = self.theirs.iter();
            return theirs.any(|log| log.author == *author && log.epoch == epoch);
        }
        self.wanted.iter().any(|run| {
            run.author == *author && run.epoch == epoch && (run.first..=run.last).contains(&seq)
        })
    }

    /// What the other side told and gave of its own logs, once it gave all that it would.
    #[must_use]
    pub fn given_by(&self, peer: &PeerId) -> Option<Given> {
        let is_over = self.theirs_whole && self.content && self.came < SYNC_ENTRIES_MAX;
        let own = self.theirs.iter().filter(|log| log.author == *peer);
        let of = |log: &LogState| {
            let gave = !self.claimed.contains(&(log.author, log.epoch));
            (log.epoch, (log.head, gave))
        };
        is_over.then(|| Given {
            logs: own.map(of).collect(),
            is_whole: self.theirs.len() < SYNC_LOGS_MAX,
        })
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

    fn read_vector(&mut self, rows: &[Row]) {
        let heads = rows.iter().filter_map(|row| match row {
            Row::Log(head) => Some(head),
            _ => None,
        });
        let heads: Vec<&Head> = heads.take(SYNC_LOGS_MAX).collect();
        self.mine = heads.iter().filter_map(|head| state_of(head)).collect();
        let floors = heads.iter();
        self.floors = floors
            .map(|head| ((head.author, head.epoch), head.floor))
            .collect();
    }

    fn tell_vector(&self, acts: &mut Vec<Act>) {
        let mut rest = self.mine.as_slice();
        loop {
            let (part, others) = rest.split_at(rest.len().min(VECTOR_LOGS_MAX));
            rest = others;
            acts.push(Act::Send(Frame::Vector {
                proof: match self.role {
                    Role::Asker => [0; 32],
                    Role::Helper => self.proof,
                },
                more: !rest.is_empty(),
                logs: part.to_vec(),
            }));
            if rest.is_empty() {
                return;
            }
        }
    }

    /// Asks for what is lacking; logs of which nothing came are given up.
    fn want(&mut self, acts: &mut Vec<Act>) {
        if self.content {
            return;
        }
        let forward = self.subject.why != Why::Join || self.role == Role::Helper;
        loop {
            let theirs = self.theirs.iter();
            let withheld = &self.withheld;
            let offered = theirs.filter(|log| !withheld.contains(&(log.author, log.epoch)));
            let offered: Vec<LogState> = offered.copied().collect();
            let floors = &self.floors;
            let floor = |log: &LogState| {
                let floor = floors.get(&(log.author, log.epoch));
                floor.copied().unwrap_or(0)
            };
            let lacks = lacking(&self.mine, &offered, forward, floor);
            let stuck = lacks.iter().filter(|run| self.wanted.contains(run));
            let brought = |run: &&LogRun| {
                let count = self.brought.get(&(run.author, run.epoch)).copied();
                count.unwrap_or(0) > run.last - run.first
            };
            let of = |run: &LogRun| (run.author, run.epoch);
            let claimed = stuck.clone().filter(|run| !brought(run)).map(of);
            let claimed: Vec<(PeerId, u64)> = claimed.collect();
            let stuck: Vec<(PeerId, u64)> = stuck.map(of).collect();
            self.claimed.extend(claimed);
            self.wanted.clear();
            if stuck.is_empty() {
                // An endless log is heard of elsewhere, or another time.
                let lacks = match self.came < SYNC_ENTRIES_MAX {
                    true => lacks,
                    false => Vec::new(),
                };
                self.content = lacks.is_empty();
                self.allowed = len_of(&lacks);
                self.wanted.clone_from(&lacks);
                self.brought.clear();
                acts.push(Act::Send(Frame::Want(lacks)));
                return;
            }
            self.withheld.extend(stuck);
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

/// How many entries these runs name.
fn len_of(runs: &[LogRun]) -> u32 {
    let len = |run: &LogRun| (run.last - run.first).saturating_add(1);
    runs.iter().map(len).fold(0, u32::saturating_add)
}

/// How a log of the store is told; none where nothing of it is held.
fn state_of(head: &Head) -> Option<LogState> {
    let mut hash = [0; 16];
    hash.copy_from_slice(&head.hash[..16]);
    let floor = head.floor.max(head.low.saturating_sub(1));
    (head.seq > 0 && head.epoch > 0 && floor <= head.seq).then_some(LogState {
        author: head.author,
        epoch: head.epoch,
        network: head.network,
        floor,
        head: head.seq.min(u32::MAX - 1),
        hash,
        forked: head.forked,
    })
}

/// Puts entries into frames.
fn entries_of(rows: &[Row], acts: &mut Vec<Act>) {
    let (mut part, mut len) = (Vec::new(), 0);
    let mut send = |part: Vec<Vec<u8>>| {
        if !part.is_empty() {
            acts.push(Act::Send(Frame::Entries(part)));
        }
    };
    for row in rows {
        let (Row::Entry { bytes, .. } | Row::Held { bytes, .. }) = row else {
            continue;
        };
        if len + bytes.len() + 2 > ENTRIES_LEN_MAX || part.len() == ENTRIES_MAX {
            send(std::mem::take(&mut part));
            len = 0;
        }
        len += bytes.len() + 2;
        part.push(bytes.clone());
    }
    send(part);
}

fn people_of(rows: &[Row], acts: &mut Vec<Act>) {
    let records = rows.iter().filter_map(|row| match row {
        Row::Person(person) => Some(person.record.clone()),
        _ => None,
    });
    let records: Vec<Vec<u8>> = records.collect();
    for part in records.chunks(super::frame::PEOPLE_MAX) {
        acts.push(Act::Send(Frame::People(part.to_vec())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::PersonRow;
    use crate::id::PublicKey;

    /// Else a screen that reads the lines at once shows them of nobody.
    #[test]
    fn a_newcomer_is_told_the_names_before_the_lines() {
        let author = PeerId([1; 32]);
        let subject = Subject {
            room: RoomId([3; 32]),
            network: NetworkId([4; 8]),
            why: Why::Join,
            entries: 200,
            since_ms: 0,
        };
        let mut helper = Exchange::new(Role::Helper, subject, [0; 32]);
        let vector = Frame::Vector {
            proof: [0; 32],
            more: false,
            logs: Vec::new(),
        };
        helper.handle(vector).expect("nothing held");
        let mut said = Vec::new();
        while let Some(query) = helper.next_query(true) {
            let rows = match query {
                Query::Vector { room, network } => vec![Row::Log(Head {
                    room,
                    author,
                    epoch: 1,
                    seq: 1,
                    hash: [5; 32],
                    network,
                    low: 1,
                    floor: 0,
                    forked: false,
                })],
                Query::People { .. } => vec![Row::Person(PersonRow {
                    id: author,
                    key: PublicKey([1; 32]),
                    incarnation: 1,
                    record_seq: 1,
                    record: vec![6; 200],
                })],
                _ => vec![Row::Entry {
                    seq: 1,
                    bytes: vec![7; 200],
                }],
            };
            said.extend(helper.loaded(&rows));
        }
        let kinds = said.iter().filter_map(|act| match act {
            Act::Send(frame) => Some(frame.kind()),
            _ => None,
        });
        let kinds: Vec<u8> = kinds.collect();
        let of = |frame: &Frame| frame.kind();
        let people = of(&Frame::People(Vec::new()));
        let entries = of(&Frame::Entries(Vec::new()));
        let done = of(&Frame::Done { more: false });
        let places = [people, entries, done].map(|kind| kinds.iter().position(|k| *k == kind));
        assert!(places[0].is_some() && places.is_sorted(), "{kinds:?}");
    }
}
