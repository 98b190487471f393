//! What is forgotten: the oldest of a room, or all that was said in one place.
//!
//! Of each log only a prefix goes and its floor moves to the end of it, so that nothing below is
//! ever asked for again. Old is a line after which enough others came, or that came too long ago.
//! By the own clock, since the clocks of authors may say anything: one in 2099 would push out what
//! everybody else says, one in 1970 would lose all of its own. And the own clock is believed only
//! where it stood an hour to some days before too, or one wrong day would forget everything.

use rusqlite::{Connection, OptionalExtension, params};

use super::logs;
use super::order::sortable;
use super::sqlite::{execute, rows};
use crate::durable::{LogKey, Talk};
use crate::id::{PeerId, RoomId};

/// Most entries forgotten in one turn: a commit of some milliseconds.
pub(super) const ROWS_MAX: usize = 500;

const HOUR_MS: u64 = 60 * 60 * 1000;
/// A clock is believed that was seen so long ago at most, and an hour at least. So much forward it
/// may jump and be believed at once.
const CLOCK_SEEN_MS: u64 = 8 * 24 * HOUR_MS;

/// A line's place: when it came, author, epoch, number, as the database has them.
type Place = (i64, [u8; 32], i64, i64);

/// Forgets some of the oldest of a room; whether there may be more.
pub(super) fn retain(
    conn: &Connection,
    room: &RoomId,
    (entries, before_ms): (u32, u64),
) -> rusqlite::Result<bool> {
    let cut = cut(conn, room, entries)?;
    let mut left = ROWS_MAX;
    let mut any = false;
    for key in logs_of(conn, room)? {
        let Some(log) = logs::find(conn, &key)? else {
            continue;
        };
        let epoch = sortable(key.epoch);
        let is_old = |seq: i64, came: i64| {
            let at: Place = (came, key.author.0, epoch, seq);
            came.cast_unsigned() < before_ms || cut.as_ref().is_some_and(|cut| at <= *cut)
        };
        let Some(floor) = old_prefix(conn, log.id, left, is_old)? else {
            continue;
        };
        any |= logs::raise_floor(conn, &key, &log, floor.0)?;
        left -= floor.1;
        if left == 0 {
            return Ok(true);
        }
    }
    Ok(any)
}

/// The newest line that is one too many.
fn cut(conn: &Connection, room: &RoomId, entries: u32) -> rusqlite::Result<Option<Place>> {
    let sql = "SELECT came, author, epoch, seq FROM line WHERE room = ?
               ORDER BY came DESC, author DESC, epoch DESC, seq DESC LIMIT 1 OFFSET ?";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    conn.prepare_cached(sql)?
        .query_row(params![room.0, entries], read)
        .optional()
}

fn logs_of(conn: &Connection, room: &RoomId) -> rusqlite::Result<Vec<LogKey>> {
    let sql = "SELECT author, epoch FROM log WHERE room = ? ORDER BY author, epoch < 0, epoch";
    rows(conn, sql, [room.0], |row| {
        Ok(LogKey {
            room: *room,
            author: PeerId(row.get(0)?),
            epoch: row.get::<_, i64>(1)?.cast_unsigned(),
        })
    })
}

/// The last number of the old beginning of a log, and how many entries are in it.
fn old_prefix(
    conn: &Connection,
    log: i64,
    rows_max: usize,
    is_old: impl Fn(i64, i64) -> bool,
) -> rusqlite::Result<Option<(i64, usize)>> {
    let sql = "SELECT seq, came FROM entry WHERE log = ? ORDER BY seq";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([log])?;
    let (mut last, mut count) = (None, 0);
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        if count == rows_max || !is_old(seq, row.get(1)?) {
            break;
        }
        count += 1;
        last = Some((seq, count));
    }
    Ok(last)
}

/// Forgets everything said in one place; whether there was anything.
pub(super) fn wipe(conn: &Connection, talk: &Talk) -> rusqlite::Result<bool> {
    let mut any = false;
    match talk {
        Talk::Room(room) => {
            for key in logs_of(conn, room)? {
                let Some(log) = logs::find(conn, &key)? else {
                    continue;
                };
                any |= logs::raise_floor(conn, &key, &log, log.last())?;
                // The bodies in a proof are words too; that there is one stays known.
                let sql = "UPDATE fork SET first = x'', second = x'' WHERE log = ?";
                execute(conn, sql, [log.id])?;
            }
        }
        Talk::Peer(peer) => {
            let sql = "UPDATE private_in SET kind = 0, body = x'' WHERE sender = ? AND kind <> 0";
            any |= execute(conn, sql, [peer.0])?;
            let sql = "UPDATE private_out SET kind = 0, body = x''
                       WHERE peer = ? AND kind <> 0 AND state <> 0";
            any |= execute(conn, sql, [peer.0])?;
        }
    }
    Ok(any)
}

/// Whether the clock can be told from one that jumped: it was seen before, not too lately and not
/// too long ago. What it says now is remembered.
pub(super) fn is_believed(conn: &Connection, now_ms: u64) -> rusqlite::Result<bool> {
    let at = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    let (now, hour_ago) = (at(now_ms), at(now_ms.saturating_sub(HOUR_MS)));
    let first = at(now_ms.saturating_sub(CLOCK_SEEN_MS));
    execute(
        conn,
        "DELETE FROM clock WHERE at < ? OR at > ?",
        [first, now],
    )?;
    let sql = "INSERT OR IGNORE INTO clock (at) SELECT ?1 WHERE NOT EXISTS
               (SELECT at FROM clock WHERE at > ?2)";
    execute(conn, sql, [now, hour_ago])?;
    let sql = "SELECT EXISTS (SELECT at FROM clock WHERE at <= ?)";
    conn.prepare_cached(sql)?
        .query_row([hour_ago], |row| row.get(0))
}

/// One turn of what is done when there is nothing else to do; whether there is more.
pub(super) fn tidy(conn: &Connection, entries: u32, before_ms: u64) -> rusqlite::Result<bool> {
    let sql = "SELECT DISTINCT room FROM log";
    let rooms: Vec<[u8; 32]> = rows(conn, sql, [], |row| row.get(0))?;
    for room in rooms {
        if retain(conn, &RoomId(room), (entries, before_ms))? {
            return Ok(true);
        }
    }
    super::rooms::trim_people(conn)?;
    Ok(false)
}
