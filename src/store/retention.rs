//! What is forgotten: the oldest of a room, or all that was said in one place.
//!
//! Of each log only a prefix goes and its floor moves to the end of it, so that nothing below is
//! ever asked for again. Old is a line after which enough others came, or that came too long ago; and
//! what its author said before one that is old, whenever it came: a low number now and then would
//! make all above it last. By the own clock, since the clocks of authors may say anything: one in
//! 2099 would push out what everybody else says, one in 1970 would lose all of its own. And the own
//! clock is believed only where it stood some days before too, or went on for a day, or one wrong
//! hour would forget everything.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::logs;
use super::sqlite::{execute, rows};
use crate::durable::{LogKey, Talk};
use crate::id::{PeerId, RoomId};

/// Most entries forgotten in one turn: a commit of some milliseconds.
pub(super) const ROWS_MAX: usize = 500;

/// Most entries looked at for what is old.
const OLD_MAX: i64 = 4096;

const HOUR_MS: u64 = 60 * 60 * 1000;
/// So much forward a clock may jump and be believed at once.
const CLOCK_SEEN_MS: u64 = 8 * 24 * HOUR_MS;
/// After more it is believed once it was seen in so many hours, no further apart than that.
const HOURS: i64 = 24;

/// A line's place: when it came, author, epoch, number, as the database has them.
type Place = (i64, [u8; 32], i64, i64);

/// Forgets some of the oldest of a room; whether there may be more.
pub(super) fn retain(
    conn: &Connection,
    room: &RoomId,
    (entries, before_ms): (u32, u64),
) -> rusqlite::Result<bool> {
    let mut left = ROWS_MAX;
    let mut any = false;
    for (log, last) in old(conn, room, (entries, before_ms))? {
        let key = key_of(conn, room, log)?;
        let Some(log) = logs::find(conn, &key)? else {
            continue;
        };
        let (floor, count) = first_up_to(conn, log.id, last, left)?;
        any |= logs::raise_floor(conn, &key, &log, floor)?;
        left -= count;
        if left == 0 {
            return Ok(true);
        }
    }
    Ok(any)
}

/// Of each log the last number that is old, of the first that came.
fn old(
    conn: &Connection,
    room: &RoomId,
    (entries, before_ms): (u32, u64),
) -> rusqlite::Result<BTreeMap<i64, i64>> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let sql = "SELECT log, max(seq) FROM
               (SELECT entry.log AS log, entry.seq AS seq FROM entry JOIN log ON log.id = entry.log
                WHERE entry.came < ? AND log.room = ? ORDER BY entry.came LIMIT ?) GROUP BY log";
    let before = i64::try_from(before_ms).unwrap_or(i64::MAX);
    let by_age = rows(conn, sql, params![before, room.0, OLD_MAX], read)?;
    let mut last: BTreeMap<i64, i64> = by_age.into_iter().collect();
    if let Some((came, author, epoch, seq)) = cut(conn, room, entries)? {
        let sql = "SELECT log, max(seq) FROM
                   (SELECT log, seq FROM line
                    WHERE room = ? AND (came, author, epoch, seq) <= (?, ?, ?, ?)
                    ORDER BY came, author, epoch, seq LIMIT ?) GROUP BY log";
        let of = params![room.0, came, author, epoch, seq, OLD_MAX];
        for (log, seq) in rows(conn, sql, of, read)? {
            let last = last.entry(log).or_insert(seq);
            *last = seq.max(*last);
        }
    }
    Ok(last)
}

fn key_of(conn: &Connection, room: &RoomId, log: i64) -> rusqlite::Result<LogKey> {
    let sql = "SELECT author, epoch FROM log WHERE id = ?";
    conn.prepare_cached(sql)?.query_row([log], |row| {
        Ok(LogKey {
            room: *room,
            author: PeerId(row.get(0)?),
            epoch: row.get::<_, i64>(1)?.cast_unsigned(),
        })
    })
}

/// The last of so many entries at the beginning of a log, none of them behind `last`, and how many
/// these are.
fn first_up_to(
    conn: &Connection,
    log: i64,
    last: i64,
    most: usize,
) -> rusqlite::Result<(i64, usize)> {
    let sql = "SELECT coalesce(max(seq), 0), count(*) FROM
               (SELECT seq FROM entry WHERE log = ? AND seq <= ? ORDER BY seq LIMIT ?)";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let (floor, count): (i64, i64) = conn
        .prepare_cached(sql)?
        .query_row([log, last, most], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((floor, usize::try_from(count).unwrap_or(usize::MAX)))
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

/// Whether the clock can be told from one that jumped. What it says now is remembered, once an hour.
///
/// It is believed where it was at most some days before; else once it went on for [`HOURS`] in which
/// the store was tidied. The first clock that a store sees has to go on for one.
pub(super) fn is_believed(conn: &Connection, now_ms: u64) -> rusqlite::Result<bool> {
    let at = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    let (now, seen) = (at(now_ms), at(CLOCK_SEEN_MS));
    let (hour_ago, first) = (now - at(HOUR_MS), now - seen);
    let sql = "SELECT EXISTS (SELECT at FROM clock WHERE believed = 1 AND at BETWEEN ? AND ?)";
    let goes_on = conn
        .prepare_cached(sql)?
        .query_row([first, now], |row| row.get(0))?;
    let sql = "SELECT EXISTS (SELECT at FROM clock WHERE believed = 1)";
    let jumped: bool = conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    let is_believed = goes_on || {
        let needed = if jumped { HOURS } else { 1 };
        let sql = "SELECT at FROM clock WHERE believed = 0 AND at <= ? ORDER BY at DESC LIMIT ?";
        let hours: Vec<i64> = rows(conn, sql, params![hour_ago, HOURS], |row| row.get(0))?;
        let later = std::iter::once(now).chain(hours.iter().copied());
        let close = hours.iter().zip(later);
        let hours = close.take_while(|(at, later)| *later - *at <= seen).count();
        i64::try_from(hours).unwrap_or(HOURS) >= needed
    };
    if is_believed {
        // What a clock said that was wrong counts for nothing any more.
        let sql = "DELETE FROM clock WHERE believed = 0 OR at < ? OR at > ?";
        execute(conn, sql, [first, now])?;
    }
    let sql = "INSERT OR IGNORE INTO clock (at, believed) SELECT ?1, ?2 WHERE NOT EXISTS
               (SELECT at FROM clock WHERE at > ?3 AND at <= ?1 AND believed = ?2)";
    execute(conn, sql, params![now, is_believed, hour_ago])?;
    Ok(is_believed)
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
