//! What is known of a log beyond the first number that is missing of it.

use rusqlite::{Connection, params};

use super::logs;
use super::sqlite::{execute, get, rows};
use crate::durable::{GONE_RUNS_MAX, HELD_BEYOND_MAX, Holes, LogKey, runs};
use crate::id::{PeerId, RoomId};

/// Keeps that nobody can give these any more; whether the log is known.
pub(super) fn put_gone(
    conn: &Connection,
    key: &LogKey,
    (first, last): (u32, u32),
) -> rusqlite::Result<bool> {
    let Some(log) = logs::find(conn, key)? else {
        return Ok(false);
    };
    let sql = "INSERT INTO gone (log, first, last) VALUES (?, ?, ?)
               ON CONFLICT DO UPDATE SET last = max(last, excluded.last)";
    execute(conn, sql, params![log.id, first, last])?;
    let sql = "DELETE FROM gone WHERE log = ?1 AND first NOT IN
               (SELECT first FROM gone WHERE log = ?1 ORDER BY first DESC LIMIT ?2)";
    let most = i64::try_from(GONE_RUNS_MAX).unwrap_or(i64::MAX);
    execute(conn, sql, [log.id, most])?;
    Ok(true)
}

/// Of the logs of which something is known there, the own ones too, by room, author and epoch.
pub(super) fn all(conn: &Connection) -> rusqlite::Result<Vec<Holes>> {
    let sql = "SELECT id, room, author, epoch, head FROM log
               WHERE top > head OR id IN (SELECT log FROM gone)
               ORDER BY room, author, epoch < 0, epoch";
    let logs: Vec<(i64, LogKey, i64)> = rows(conn, sql, [], |row| {
        let log = LogKey {
            room: RoomId(get(row, "room")?),
            author: PeerId(get(row, "author")?),
            epoch: get::<i64>(row, "epoch")?.cast_unsigned(),
        };
        Ok((get(row, "id")?, log, get(row, "head")?))
    })?;
    let most = i64::try_from(HELD_BEYOND_MAX).unwrap_or(i64::MAX);
    let mut found = Vec::new();
    for (id, log, head) in logs {
        let sql = "SELECT seq FROM entry WHERE log = ? AND seq > ? ORDER BY seq LIMIT ?";
        let held: Vec<u32> = rows(conn, sql, [id, head, most], |row| row.get(0))?;
        let sql = "SELECT first, last FROM gone WHERE log = ? ORDER BY first";
        let gone = rows(conn, sql, [id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let held = runs(held);
        if !held.is_empty() || !gone.is_empty() {
            found.push(Holes { log, held, gone });
        }
    }
    Ok(found)
}
