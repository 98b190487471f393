//! The logs: entries, where each begins and ends, floors.

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};

use super::order::{self, At, sortable};
use super::sqlite::{Owner, execute, rows};
use super::{BEHIND_ROWS_MAX, ENTRY_ROWS_MAX};
use crate::durable::{EntryHead, KIND_TOPIC, Kept, LogKey, Row};
use crate::id::{NetworkId, PeerId, RoomId};
use crate::limits::{Keep, STORED_EPOCHS_MAX};

/// The row of a log.
pub(super) struct Log {
    pub(super) id: i64,
    low: i64,
    head: i64,
    floor: i64,
    top: i64,
}

impl Log {
    /// The highest number known of it.
    pub(super) fn last(&self) -> i64 {
        self.head.max(self.top)
    }
}

/// An entry that is to be kept.
pub(super) struct NewEntry<'a> {
    pub(super) log: LogKey,
    pub(super) seq: u32,
    pub(super) hash: &'a [u8; 32],
    pub(super) bytes: &'a [u8],
    pub(super) came_ms: u64,
}

pub(super) fn find(conn: &Connection, key: &LogKey) -> rusqlite::Result<Option<Log>> {
    let sql = "SELECT id, low, head, floor, top FROM log
               WHERE room = ? AND author = ? AND epoch = ?";
    let key = params![key.room.0, key.author.0, key.epoch.cast_signed()];
    let read = |row: &SqlRow<'_>| {
        Ok(Log {
            id: row.get(0)?,
            low: row.get(1)?,
            head: row.get(2)?,
            floor: row.get(3)?,
            top: row.get(4)?,
        })
    };
    conn.prepare_cached(sql)?.query_row(key, read).optional()
}

/// The log, made where it is not known yet. None where its author, who is not this node (`own`),
/// began so many that nothing of this one is kept.
pub(super) fn find_or_make(
    conn: &Connection,
    own: &PeerId,
    key: &LogKey,
    network: NetworkId,
) -> rusqlite::Result<Option<Log>> {
    if let Some(log) = find(conn, key)? {
        return Ok(Some(log));
    }
    if key.author != *own && !make_room(conn, key)? {
        return Ok(None);
    }
    let sql = "INSERT INTO log (room, author, epoch, low, head, hash, network)
               VALUES (?, ?, ?, 1, 0, zeroblob(32), ?)";
    let row = params![key.room.0, key.author.0, key.epoch.cast_signed(), network.0];
    let id = conn.prepare_cached(sql)?.insert(row)?;
    Ok(Some(Log {
        id,
        low: 1,
        head: 0,
        floor: 0,
        top: 0,
    }))
}

/// Of an author that begins many logs the one of which nothing came for longest makes way, with all
/// that is in it: the one that it goes on with may be the oldest. Whether this one may be begun.
fn make_room(conn: &Connection, key: &LogKey) -> rusqlite::Result<bool> {
    let (room, author) = (key.room.0, key.author.0);
    let sql = "SELECT epoch FROM begins WHERE room = ? AND author = ?";
    let begins: Option<i64> = conn
        .prepare_cached(sql)?
        .query_row([room, author], |row| row.get(0))
        .optional()?;
    if begins.is_some_and(|begins| sortable(key.epoch) <= begins) {
        return Ok(false);
    }
    let sql = "SELECT epoch FROM log WHERE room = ? AND author = ?
               ORDER BY came, epoch < 0, epoch";
    let epochs: Vec<i64> = rows(conn, sql, [room, author], |row| row.get(0))?;
    let Some(&silent) = epochs.first().filter(|_| epochs.len() >= STORED_EPOCHS_MAX) else {
        return Ok(true);
    };
    let epoch = silent.cast_unsigned();
    let gone = LogKey { epoch, ..*key };
    if let Some(log) = find(conn, &gone)? {
        raise_floor(conn, &gone, &log, log.last())?;
        execute(conn, "DELETE FROM moved WHERE log = ?", [log.id])?;
        execute(conn, "DELETE FROM fork WHERE log = ?", [log.id])?;
        execute(conn, "DELETE FROM gone WHERE log = ?", [log.id])?;
        execute(conn, "DELETE FROM log WHERE id = ?", [log.id])?;
    }
    let sql = "INSERT INTO begins (room, author, epoch) VALUES (?, ?, ?)
               ON CONFLICT DO UPDATE SET epoch = max(epoch, excluded.epoch)";
    execute(conn, sql, params![room, author, sortable(epoch)])?;
    Ok(true)
}

/// What an author said that names an entry.
pub(super) fn behind(
    conn: &Connection,
    (room, author): (&RoomId, &PeerId),
    id: &[u8; 16],
) -> rusqlite::Result<Vec<Row>> {
    let sql = "SELECT log.epoch, entry.seq, entry.bytes FROM dep
               JOIN log ON log.id = dep.log
               JOIN entry ON entry.log = dep.log AND entry.seq = dep.seq
               WHERE dep.of = ? AND log.room = ? AND log.author = ?
               ORDER BY log.epoch < 0, log.epoch, entry.seq LIMIT ?";
    let most = i64::try_from(BEHIND_ROWS_MAX).unwrap_or(i64::MAX);
    rows(conn, sql, params![id, room.0, author.0, most], |row| {
        Ok(Row::Held {
            log: LogKey {
                room: *room,
                author: *author,
                epoch: row.get::<_, i64>(0)?.cast_unsigned(),
            },
            seq: row.get(1)?,
            bytes: row.get(2)?,
        })
    })
}

/// Keeps an entry.
pub(super) fn put(conn: &Connection, owner: &Owner, new: &NewEntry<'_>) -> rusqlite::Result<Kept> {
    let keep = owner.keep;
    let head = EntryHead::of(new.bytes);
    let network = head.as_ref().map_or(NetworkId([0; 8]), |head| head.network);
    let Some(log) = find_or_make(conn, &owner.id, &new.log, network)? else {
        return Ok(Kept::BelowFloor);
    };
    let seq = i64::from(new.seq);
    if seq <= log.floor {
        return Ok(Kept::BelowFloor);
    }
    if seq <= log.top {
        let sql = "SELECT hash FROM entry WHERE log = ? AND seq = ?";
        let held: Option<[u8; 32]> = conn
            .prepare_cached(sql)?
            .query_row([log.id, seq], |row| row.get(0))
            .optional()?;
        match held {
            Some(held) if held == *new.hash => return Ok(Kept::Old),
            Some(_) => return Ok(Kept::Fork),
            None => {}
        }
    }
    let (at, room) = ((log.id, seq), &new.log.room.0);
    let key = insert(conn, keep, new, at, head.as_ref())?;
    if keep == Keep::All {
        let mut moved = order::followers(conn, room, at, new.hash)?;
        // Behind the last one stands nothing yet.
        moved.retain(|&(id, behind)| id != log.id || behind <= log.top);
        order::settle(conn, moved, order::MOVES_AT_ONCE)?;
    }
    raise(conn, &log, seq, new)?;
    Ok(Kept::New { key })
}

fn insert(
    conn: &Connection,
    keep: Keep,
    new: &NewEntry<'_>,
    (log, seq): At,
    head: Option<&EntryHead>,
) -> rusqlite::Result<u64> {
    let (hlc, deps) = head.map_or((0, &[][..]), |head| (head.hlc, &head.deps));
    let LogKey {
        room,
        author,
        epoch,
    } = &new.log;
    let key = order::key_of(conn, &room.0, (log, seq), hlc, head)?;
    let sql = "INSERT INTO entry (log, seq, hash, bytes, hlc, key, came)
               VALUES (?, ?, ?, ?, ?, ?, ?)";
    // Without history its id alone stays, so that it is not taken for new once more.
    let bytes = match keep {
        Keep::All => new.bytes,
        Keep::None => &[],
    };
    let came = i64::try_from(new.came_ms).unwrap_or(i64::MAX);
    let (clock, place) = (hlc.cast_signed(), sortable(key));
    let row = params![log, seq, new.hash, bytes, clock, place, came];
    execute(conn, sql, row)?;
    if keep == Keep::All {
        let sql = "INSERT INTO line (room, key, author, epoch, seq, log, came, topic)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
        let epoch = sortable(*epoch);
        let is_topic = head.is_some_and(|head| head.kind == KIND_TOPIC);
        let row = params![room.0, place, author.0, epoch, seq, log, came, is_topic];
        execute(conn, sql, row)?;
        order::note_deps(conn, (log, seq), deps)?;
    }
    Ok(key)
}

/// Where the log begins and ends now that this number came.
fn raise(conn: &Connection, log: &Log, seq: i64, new: &NewEntry<'_>) -> rusqlite::Result<()> {
    let is_empty = log.low > log.top;
    let low = if is_empty { seq } else { log.low.min(seq) };
    let begins = log.floor == 0 && (is_empty || seq < log.low);
    let end = if seq > log.top && (begins || seq == log.head + 1) {
        // By far the most: the next one, and nothing is held beyond.
        Some((seq, *new.hash))
    } else if seq == log.head + 1 || begins && seq + 1 != log.low {
        walk(conn, log.id, seq)?
    } else {
        None
    };
    let (head, hash) = end.map_or((log.head, None), |(head, hash)| (head, Some(hash)));
    let sql = "UPDATE log SET low = ?, head = ?, hash = coalesce(?, hash), top = ?,
               came = max(came, ?) WHERE id = ?";
    let came = i64::try_from(new.came_ms).unwrap_or(i64::MAX);
    let row = params![low, head, hash, log.top.max(seq), came, log.id];
    execute(conn, sql, row)?;
    Ok(())
}

/// The end of the run that begins here, if it does.
fn walk(conn: &Connection, log: i64, from: i64) -> rusqlite::Result<Option<(i64, [u8; 32])>> {
    let sql = "SELECT seq, hash FROM entry WHERE log = ? AND seq >= ? ORDER BY seq";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([log, from])?;
    let (mut end, mut expected) = (None, from);
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(0)? != expected {
            break;
        }
        end = Some((expected, row.get(1)?));
        expected += 1;
    }
    Ok(end)
}

/// Moves a floor up and forgets what is at or below it; whether it moved.
pub(super) fn raise_floor(
    conn: &Connection,
    key: &LogKey,
    log: &Log,
    floor: i64,
) -> rusqlite::Result<bool> {
    if floor <= log.floor {
        return Ok(false);
    }
    let moved = forget(conn, key, log.id, floor)?;
    let sql = "SELECT min(seq) FROM entry WHERE log = ?";
    let low: Option<i64> = conn
        .prepare_cached(sql)?
        .query_row([log.id], |row| row.get(0))?;
    let goes_on = log.low <= floor + 1 && floor < log.head;
    let end = match goes_on {
        true => None,
        false => Some(walk(conn, log.id, floor + 1)?.map_or_else(
            // The last one is gone too, but its hash is known if it ever was held.
            || (floor, (floor != log.head).then_some([0; 32])),
            |(head, hash)| (head, Some(hash)),
        )),
    };
    let (head, hash) = end.unwrap_or((log.head, None));
    let sql = "UPDATE log SET floor = ?, low = ?, head = ?, hash = coalesce(?, hash) WHERE id = ?";
    let low = low.unwrap_or(head + 1);
    execute(conn, sql, params![floor, low, head, hash, log.id])?;
    let sql = "DELETE FROM gone WHERE log = ? AND last <= ?";
    execute(conn, sql, [log.id, floor])?;
    order::settle(conn, moved, order::MOVES_MAX)?;
    Ok(true)
}

/// Deletes the entries of a log up to a number. Returns whose places that may change.
fn forget(conn: &Connection, key: &LogKey, log: i64, last: i64) -> rusqlite::Result<Vec<At>> {
    let sql = "SELECT seq, hash, bytes, key FROM entry WHERE log = ? AND seq <= ?";
    type Gone = (i64, [u8; 32], Vec<u8>, i64);
    let gone: Vec<Gone> = rows(conn, sql, [log, last], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    let mut moved = Vec::new();
    for (seq, hash, bytes, place) in gone {
        for dep in EntryHead::of(&bytes).map_or_else(Vec::new, |head| head.deps) {
            let sql = "DELETE FROM dep WHERE of = ? AND log = ? AND seq = ?";
            execute(conn, sql, params![dep, log, seq])?;
        }
        let sql = "DELETE FROM line
                   WHERE room = ? AND key = ? AND author = ? AND epoch = ? AND seq = ?";
        let epoch = sortable(key.epoch);
        execute(
            conn,
            sql,
            params![key.room.0, place, key.author.0, epoch, seq],
        )?;
        moved.extend(order::followers(conn, &key.room.0, (log, seq), &hash)?);
    }
    execute(
        conn,
        "DELETE FROM entry WHERE log = ? AND seq <= ?",
        [log, last],
    )?;
    moved.retain(|&(of, seq)| of != log || seq > last);
    Ok(moved)
}

/// Puts an entry's bytes without its body in their place; whether they were others.
pub(super) fn stub(
    conn: &Connection,
    key: &LogKey,
    seq: u32,
    bytes: &[u8],
) -> rusqlite::Result<bool> {
    let Some(log) = find(conn, key)? else {
        return Ok(false);
    };
    let sql = "UPDATE entry SET bytes = ?3
               WHERE log = ?1 AND seq = ?2 AND bytes <> ?3 AND length(bytes) > 0";
    execute(conn, sql, params![log.id, seq, bytes])
}

/// Entries by their numbers.
pub(super) fn entries(
    conn: &Connection,
    key: &LogKey,
    seqs: &[u32],
    network: Option<NetworkId>,
) -> rusqlite::Result<Vec<Row>> {
    let sql = "SELECT entry.bytes FROM log JOIN entry ON entry.log = log.id
               WHERE room = ?1 AND author = ?2 AND epoch = ?3 AND seq = ?4
               AND (?5 IS NULL OR network = ?5) AND length(entry.bytes) > 0";
    let mut statement = conn.prepare_cached(sql)?;
    let network = network.map(|network| network.0);
    let mut found = Vec::new();
    for &seq in seqs.iter().take(ENTRY_ROWS_MAX) {
        let epoch = key.epoch.cast_signed();
        let of = params![key.room.0, key.author.0, epoch, seq, network];
        let bytes = statement.query_row(of, |row| row.get(0)).optional()?;
        found.extend(bytes.map(|bytes| Row::Entry { seq, bytes }));
    }
    Ok(found)
}

/// What is held of a log between two numbers.
pub(super) fn range(
    conn: &Connection,
    key: &LogKey,
    (first, last): (u32, u32),
    bytes_max: usize,
) -> rusqlite::Result<Vec<Row>> {
    let Some(log) = find(conn, key)? else {
        return Ok(Vec::new());
    };
    let sql = "SELECT seq, bytes FROM entry
               WHERE log = ? AND seq >= ? AND seq <= ? AND length(bytes) > 0 ORDER BY seq";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params![log.id, first, last])?;
    let (mut found, mut len) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let bytes: Vec<u8> = row.get(1)?;
        len += bytes.len();
        if found.len() == ENTRY_ROWS_MAX || (len > bytes_max && !found.is_empty()) {
            break;
        }
        let seq = row.get(0)?;
        found.push(Row::Entry { seq, bytes });
    }
    Ok(found)
}
