//! Invariants 1, 2, 4, 9 and 10: what is shown in rooms and in private.

use std::time::Duration;

use super::{Checker, Letter, LineAt, Truth};
use crate::durable::{Batch, EntryHead, Kept, LogKey, Write, order_key};
use crate::id::{MessageId, RoomTag};
use crate::sim::disk::Disk;
use crate::text::DisplayText;
use crate::wire::{Entry, EntryKind};

/// A stamp moves a clock if it is at most this far ahead of it, in milliseconds.
const AHEAD_MS_MAX: u64 = 60_000;
/// Between the moment a stamp was seen and the line was shown the wall clock goes on, in
/// milliseconds; only stamps that were sane before it as well are held against a node.
const SHOWN_LATER_MS: u64 = 5_000;

impl Checker {
    /// An entry that somebody signed exists.
    pub fn learn(&mut self, entry: &Entry) -> Option<MessageId> {
        let author = self.node_of(&entry.author_id())?;
        let room = self.rooms.get(&entry.room)?;
        let id = MessageId::of_entry(&entry.hash(room));
        let text = DisplayText::from_wire(&entry.body);
        let truth = Truth {
            room: entry.room,
            author,
            epoch: entry.epoch,
            seq: entry.seq,
            hlc: entry.hlc,
            deps: entry.deps.iter().copied().map(MessageId).collect(),
            kind: entry.kind,
            text: text.map(DisplayText::into_string).unwrap_or_default(),
        };
        self.truth.insert(id, truth);
        if entry.kind == EntryKind::REDACTION
            && let Some(of) = entry.deps.first().copied().map(MessageId)
            && self.truth.get(&of).is_some_and(|of| of.author == author)
        {
            self.taken_back.insert((of, id));
        }
        let of = (entry.room, author, entry.epoch);
        self.networks.insert(of, entry.network);
        let head = self.heads.entry(of).or_default();
        *head = (*head).max(entry.seq);
        Some(id)
    }

    /// A node hands something to its disk. `true_ms` is the true time, `ahead_ms` how far the
    /// fastest clock is ahead of it.
    pub fn handed(
        &mut self,
        now: Duration,
        node: usize,
        (true_ms, ahead_ms): (u64, u64),
        batch: &Batch,
        disk: &Disk,
    ) {
        for write in &batch.writes {
            match write {
                Write::Entry {
                    room,
                    author,
                    epoch,
                    seq,
                    hash,
                    bytes,
                    ..
                } if *author != self.people[node].id => {
                    let (room, author, epoch) = (*room, *author, *epoch);
                    let key = (room.0, author, epoch, *seq);
                    let head = EntryHead::of(bytes);
                    let broken = head.and_then(|head| disk.broken_by(&key, (&head.prev, hash)));
                    // What was there before this run is not looked at.
                    let kept = &self.lines[node].kept;
                    let broken = broken.filter(|(_, id)| kept.contains(id));
                    if let Some((other, _)) = broken.filter(|_| !self.crammed.contains(&node)) {
                        let of = self.node_of(&author);
                        let what = format!(
                            "takes line {seq} of node {of:?}, which does not join on to line {other} that it holds"
                        );
                        self.fail(now, node, 1, what);
                    }
                    let log = LogKey {
                        room,
                        author,
                        epoch,
                    };
                    // Until its store says so it may not know.
                    if let Some(of) = self.node_of(&author)
                        && disk.is_old(&key)
                    {
                        let line = (room.tag(), of, epoch, *seq);
                        let times = self.stale.entry((node, line)).or_default();
                        *times += 1;
                        if *times > 1 {
                            let what = format!(
                                "asks again for line {seq} of node {of}, which it does not keep any more, and takes it"
                            );
                            self.fail(now, node, 6, what);
                        }
                    }
                    let id = MessageId::of_entry(hash);
                    let is_unknown = |of: &usize| {
                        let person = &self.people[*of];
                        person.honest && !self.crammed.contains(of) && !self.truth.contains_key(&id)
                    };
                    if let Some(of) = self.node_of(&author).filter(is_unknown) {
                        let what = format!("takes line {seq} of node {of}, which never wrote it");
                        self.fail(now, node, 1, what);
                    }
                    // With a full disk it may have come before that was known, and waited.
                    let came_now = !self.crammed.contains(&node);
                    if came_now && disk.is_forked(&log) {
                        let what = format!("takes line {seq} of a log that contradicts itself");
                        self.fail(now, node, 1, what);
                    }
                    // Or elsewhere.
                    if let Some(of) = self.node_of(&author).filter(|_| came_now) {
                        self.took_where(now, node, (room.tag(), of, epoch));
                    }
                }
                // What is known comes back from others, who kept it better.
                Write::Entry {
                    author,
                    hash,
                    bytes,
                    ..
                } if *author == self.people[node].id
                    && !self.truth.contains_key(&MessageId::of_entry(hash)) =>
                {
                    if let Ok(entry) = Entry::parse(bytes) {
                        self.learn(&entry);
                        let most = true_ms + ahead_ms + AHEAD_MS_MAX + 1000;
                        self.own_stamp(now, node, (&entry, most), disk);
                    }
                }
                Write::PrivateOut { id, to, message } => {
                    if let Some(to) = self.node_of(&to.id()) {
                        let letter = Letter {
                            from: node,
                            to,
                            text: String::from_utf8_lossy(&message.body).into_owned(),
                            kept: false,
                            shown: 0,
                        };
                        self.letters.insert(*id, letter);
                    }
                }
                _ => {}
            }
        }
    }

    /// Invariant 4: an answer stands after what it answers, and no clock runs away.
    fn own_stamp(
        &mut self,
        now: Duration,
        node: usize,
        (entry, ms_max): (&Entry, u64),
        disk: &Disk,
    ) {
        let lines = &self.lines[node];
        if entry.hlc <= lines.hlc {
            let what = format!("stamps {:x} after it showed {:x}", entry.hlc, lines.hlc);
            return self.fail(now, node, 4, what);
        }
        let highest = lines.highest.get(&entry.room).copied();
        let highest = highest.unwrap_or((0, MessageId([0; 16])));
        let deps: Vec<u64> = entry
            .deps
            .iter()
            .filter_map(|of| {
                lines
                    .placed
                    .get(&MessageId(*of))
                    .copied()
                    .max(disk.place_of_id(of))
            })
            .collect();
        if order_key(entry.hlc, None, &deps) <= highest.0 {
            let shown = self.truth.get(&highest.1);
            let (hlc, key) = (entry.hlc, highest.0);
            let what = format!(
                "says something at {hlc:x}, {deps:x?}, before what it showed, {key:x}, {shown:?}"
            );
            return self.fail(now, node, 4, what);
        }
        if entry.hlc >> 16 > ms_max {
            let what = format!("stamps {} ms, at most {ms_max} is right", entry.hlc >> 16);
            self.fail(now, node, 4, what);
        }
    }

    /// A node's disk kept something; for each write whether it was new.
    pub fn kept(&mut self, node: usize, batch: &Batch, kept: &[Kept]) {
        let own = self.people[node].id;
        for (write, kept) in batch.writes.iter().zip(kept) {
            if let (Write::Entry { hash, .. }, Kept::New { key }) = (write, kept) {
                let id = MessageId::of_entry(hash);
                self.lines[node].keys.insert(id, *key);
            }
            match write {
                Write::Entry { author, hash, .. } if *author != own && kept.is_new() => {
                    self.lines[node].kept.insert(MessageId::of_entry(hash));
                }
                Write::PrivateOut { id, .. } => {
                    if let Some(letter) = self.letters.get_mut(id) {
                        letter.kept = true;
                    }
                }
                _ => {}
            }
        }
    }

    /// A line of a room is shown.
    pub(super) fn told_line(
        &mut self,
        (now, wall_ms): (Duration, u64),
        node: usize,
        (id, room, author): (MessageId, RoomTag, usize),
        (text, delayed, redacted): (&str, bool, bool),
        disk: &Disk,
    ) {
        let honest = self.people[author].honest;
        let Some(truth) = self.truth.get(&id).cloned() else {
            // With a full disk an own line is seen here first as it leaves.
            let is_unkept = node == author && self.crammed.contains(&node);
            if honest && !is_unkept {
                let what = format!("shows {text:?} of node {author}, which never wrote it");
                self.fail(now, node, 1, what);
            }
            return;
        };
        if node != author && !self.is_in(node, &room) {
            return self.fail(
                now,
                node,
                1,
                format!("shows {text:?} of a room it is not in"),
            );
        }
        let is_taken_back = || self.taken_back.iter().any(|(of, _)| *of == id);
        let is_right = match redacted {
            true => text.is_empty() && is_taken_back(),
            false => truth.text == text,
        };
        if truth.author != author || truth.room != room || !is_right {
            let what = format!("shows {text:?} of node {author}, written was {truth:?}");
            return self.fail(now, node, 1, what);
        }
        let shown = DisplayText::from_wire(text.as_bytes()).map(DisplayText::into_string);
        if shown.as_deref().unwrap_or_default() != text {
            return self.fail(now, node, 10, format!("shows unfit text {text:?}"));
        }
        if self.lenient {
            self.shown.push((now, node, text.to_owned()));
        }
        let lines = &mut self.lines[node];
        if !lines.ever.insert(id) {
            return self.fail(now, node, 2, format!("shows {text:?} twice"));
        }
        if node != author && (truth.hlc >> 16) + SHOWN_LATER_MS <= wall_ms + AHEAD_MS_MAX {
            lines.hlc = lines.hlc.max(truth.hlc);
        }
        let key = lines.keys.get(&id).copied().unwrap_or(0);
        let highest = lines.highest.entry(room).or_insert((key, id));
        *highest = (key, id).max(*highest);
        // What moved is not at the end, whatever its key: it may have come into a gap.
        let above = self.puts_below(node, (&id, &truth, key), delayed, disk);
        if let Some(bottom) = above.filter(|_| node != author) {
            let after = self
                .truth
                .get(&bottom)
                .map(|of| (of.author, of.epoch, of.seq));
            let line = (author, truth.epoch, truth.seq);
            let what = format!("puts {text:?}, {line:?}, behind {after:?}, which comes after it");
            return self.fail(now, node, 4, what);
        }
        if truth.kind == EntryKind::REDACTION && !self.takes_back(&id) {
            let what = format!("shows that node {author} took back what is not its own");
            return self.fail(now, node, 1, what);
        }
        // What takes a line back is told once it is known whose that was, whatever came meanwhile.
        let in_line = truth.kind != EntryKind::REDACTION;
        if honest && node != author && in_line && !self.people[author].forgetful {
            self.in_order(now, node, &truth, delayed, disk);
        }
    }

    /// What was said under this number.
    fn said_under(&self, at: &LineAt) -> Option<(MessageId, &Truth)> {
        let id = MessageId::of_entry(self.numbers.get(at)?);
        Some((id, self.truth.get(&id)?))
    }

    /// Whether this entry takes back a line of its own author.
    fn takes_back(&self, id: &MessageId) -> bool {
        self.taken_back.iter().any(|(_, by)| by == id)
    }

    /// A line gets its place, with this key from the disk; the last of what was shown, if it
    /// belongs above that.
    /// Its place is behind all that its author said before it, shown or not: what takes another
    /// line back is told later than its turn.
    fn puts_below(
        &mut self,
        node: usize,
        (line, truth, key): (&MessageId, &Truth, u64),
        moved: bool,
        disk: &Disk,
    ) -> Option<MessageId> {
        let (room, author, epoch, seq) = (truth.room, truth.author, truth.epoch, truth.seq);
        let id = self.people[author].id;
        // With a full disk it waits.
        let is_crammed = self.crammed.contains(&node);
        let is_held = |seq: u32| {
            let room = self.rooms.get(&room);
            room.is_some_and(|room| disk.has(&(room.0, id, epoch, seq))) || is_crammed
        };
        // What takes a line back has a place in its turn, told or not.
        let shown = self.lines[node].places.get(&(room, author, epoch)).copied();
        let mut first = seq;
        let mut passed = Vec::new();
        while let Some((line, of)) = self.said_under(&(room, author, epoch, first - 1))
            && shown.is_none_or(|(last, _)| last < first - 1)
            && of.kind == EntryKind::REDACTION
            && is_held(first - 1)
        {
            first -= 1;
            passed.push(self.lines[node].keys.get(&line).copied().unwrap_or(0));
        }
        let before = shown.filter(|(last, _)| last + 1 == first);
        let before = before.map(|(_, place)| place);
        let behind = |before: Option<u64>, key: u64| Some(order_key(key, before, &[]));
        let before = passed.into_iter().rev().fold(before, behind);
        let lines = &mut self.lines[node];
        // With a full disk some of it is nowhere but on the screen.
        let deps = truth.deps.iter().filter_map(|dep| lines.placed.get(dep));
        let deps: Vec<u64> = deps.copied().collect();
        let place = order_key(key.max(truth.hlc), before, &deps);
        lines.placed.insert(*line, place);
        let of = (room, author, epoch);
        lines.places.insert(of, (seq, place));
        if moved {
            return None;
        }
        let bottom = lines.bottom.entry(room).or_insert((place, *line));
        if place < bottom.0 {
            return Some(bottom.1);
        }
        *bottom = (place, *line);
        None
    }

    /// Invariant 2: in order, and no gap without a mark.
    fn in_order(&mut self, now: Duration, node: usize, truth: &Truth, delayed: bool, disk: &Disk) {
        let (author, epoch, seq) = (truth.author, truth.epoch, truth.seq);
        let Some(&room) = self.rooms.get(&truth.room) else {
            return;
        };
        let id = self.people[author].id;
        let lines = &mut self.lines[node];
        if delayed {
            return;
        }
        let told = lines.gaps.remove(&(truth.room, author));
        let last = lines.last.insert((truth.room, author, epoch), seq);
        let Some(last) = last else { return };
        if seq <= last {
            let what = format!("shows line {seq} of node {author} after line {last}");
            return self.fail(now, node, 2, what);
        }
        // With a full disk a line is shown and not kept; what takes another back waits.
        let is_unkept = |seq: u32| {
            let line = self.said_under(&(truth.room, author, epoch, seq));
            self.crammed.contains(&node)
                && line.is_some_and(|(line, of)| {
                    of.kind == EntryKind::REDACTION || self.lines[node].ever.contains(&line)
                })
        };
        let mut between = last + 1..seq;
        let is_held = |seq: u32| disk.has(&(room.0, id, epoch, seq));
        let passed_over = between.find(|&seq| !is_held(seq) && !is_unkept(seq));
        if let Some(missing) = passed_over.filter(|_| !told) {
            let what = format!("passes over line {missing} of node {author} without a word");
            self.fail(now, node, 2, what);
        }
    }

    /// A private message is shown.
    pub(super) fn told_letter(
        &mut self,
        now: Duration,
        node: usize,
        author: usize,
        (id, text): (MessageId, &str),
    ) {
        if !self.people[author].honest {
            return;
        }
        let forgetful = self.people[node].forgetful;
        let Some(letter) = self.letters.get_mut(&id) else {
            let what = format!("shows {text:?} of node {author}, which never wrote it");
            return self.fail(now, node, 1, what);
        };
        letter.shown += 1;
        let wanted = DisplayText::from_wire(letter.text.as_bytes()).map(DisplayText::into_string);
        let right = letter.from == author && letter.to == node && wanted.as_deref() == Some(text);
        let twice = letter.shown > 1 && !forgetful;
        if !right {
            let what = format!("shows {text:?} of node {author}, written was {letter:?}");
            self.fail(now, node, 1, what);
        } else if twice {
            self.fail(now, node, 9, format!("shows {text:?} in private twice"));
        }
    }
}
