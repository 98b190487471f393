//! The order people see: each entry's key, kept right as entries come and go.
//!
//! A key depends only on what is held ([`order_key`]): so an entry that comes late may move those
//! that stand behind it, and one that goes too. Each change is carried on until nothing moves any
//! more, [`MOVES_MAX`] entries in one turn; what is left is remembered in the database.

use std::collections::VecDeque;

use rusqlite::{Connection, OptionalExtension, params};

use super::sqlite::{execute, rows};
use crate::durable::{EntryHead, order_key};

/// Most entries looked at again in one turn of tidying.
pub(super) const MOVES_MAX: usize = 512;
/// Most entries looked at again at once because of one that came: who sends a long log backwards
/// must not keep the store from its work.
pub(super) const MOVES_AT_ONCE: usize = 64;

/// So that SQLite's signed order is the unsigned one.
pub(super) fn sortable(number: u64) -> i64 {
    (number ^ (1 << 63)).cast_signed()
}

/// What [`sortable`] was made of.
pub(super) fn from_sortable(number: i64) -> u64 {
    number.cast_unsigned() ^ (1 << 63)
}

/// An entry in the database: the row of its log, its number.
pub(super) type At = (i64, i64);

/// The first 16 bytes of a hash.
pub(super) fn id_of(hash: &[u8; 32]) -> &[u8] {
    &hash[..16]
}

/// The key of an entry by what is held now. What stands before it in its log counts if it is what
/// the entry names: with anything else there, names could go round in a circle.
pub(super) fn key_of(
    conn: &Connection,
    room: &[u8; 32],
    (log, seq): At,
    hlc: u64,
    head: Option<&EntryHead>,
) -> rusqlite::Result<u64> {
    let (named, deps) = head.map_or((None, &[][..]), |head| (Some(head.prev), &head.deps));
    let sql = "SELECT key FROM entry WHERE log = ? AND seq = ? AND hash = ?";
    let prev: Option<i64> = conn
        .prepare_cached(sql)?
        .query_row(params![log, seq - 1, named], |row| row.get(0))
        .optional()?;
    let mut before = Vec::with_capacity(deps.len());
    for dep in deps {
        let sql = "SELECT max(entry.key) FROM entry JOIN log ON log.id = entry.log
                   WHERE substr(entry.hash, 1, 16) = ? AND log.room = ?";
        let key: Option<i64> = conn
            .prepare_cached(sql)?
            .query_row(params![dep, room], |row| row.get(0))?;
        before.extend(key.map(from_sortable));
    }
    Ok(order_key(hlc, prev.map(from_sortable), &before))
}

/// Notes what stands behind which, for entries that come later.
pub(super) fn note_deps(
    conn: &Connection,
    (log, seq): At,
    deps: &[[u8; 16]],
) -> rusqlite::Result<()> {
    for dep in deps {
        let sql = "INSERT INTO dep (of, log, seq) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
        execute(conn, sql, params![dep, log, seq])?;
    }
    Ok(())
}

/// Who stands right behind an entry that came, went or moved.
pub(super) fn followers(
    conn: &Connection,
    room: &[u8; 32],
    (log, seq): At,
    hash: &[u8; 32],
) -> rusqlite::Result<Vec<At>> {
    let sql = "SELECT dep.log, dep.seq FROM dep JOIN log ON log.id = dep.log
               WHERE dep.of = ? AND log.room = ?";
    let mut found = rows(conn, sql, params![id_of(hash), room], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    found.push((log, seq + 1));
    Ok(found)
}

/// Looks at these entries again, and at whom they move.
pub(super) fn settle(conn: &Connection, moved: Vec<At>, most: usize) -> rusqlite::Result<()> {
    let mut waiting = VecDeque::from(moved);
    for _ in 0..most {
        let Some(at) = waiting.pop_front() else {
            return Ok(());
        };
        waiting.extend(look_again(conn, at)?);
    }
    for (log, seq) in waiting {
        let sql = "INSERT INTO moved (log, seq) VALUES (?, ?) ON CONFLICT DO NOTHING";
        execute(conn, sql, [log, seq])?;
    }
    Ok(())
}

/// Goes on with what an earlier turn left. Returns whether more is left.
pub(super) fn settle_rest(conn: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT log, seq FROM moved LIMIT 64";
    let moved: Vec<At> = rows(conn, sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if moved.is_empty() {
        return Ok(false);
    }
    for &(log, seq) in &moved {
        execute(
            conn,
            "DELETE FROM moved WHERE log = ? AND seq = ?",
            [log, seq],
        )?;
    }
    settle(conn, moved, MOVES_MAX)?;
    Ok(true)
}

/// Gives an entry the key that it has by what is held now. Returns whom that may move.
fn look_again(conn: &Connection, (log, seq): At) -> rusqlite::Result<Vec<At>> {
    let sql =
        "SELECT entry.hash, entry.key, entry.hlc, entry.bytes, log.room, log.author, log.epoch
               FROM entry JOIN log ON log.id = entry.log WHERE entry.log = ? AND entry.seq = ?";
    type Held = ([u8; 32], i64, i64, Vec<u8>, [u8; 32], [u8; 32], i64);
    let held: Option<Held> = conn
        .prepare_cached(sql)?
        .query_row([log, seq], |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
                row.get(6)?,
            ))
        })
        .optional()?;
    let Some((hash, old, hlc, bytes, room, author, epoch)) = held else {
        return Ok(Vec::new());
    };
    let head = EntryHead::of(&bytes);
    let (at, hlc) = ((log, seq), hlc.cast_unsigned());
    let key = sortable(key_of(conn, &room, at, hlc, head.as_ref())?);
    if key == old {
        return Ok(Vec::new());
    }
    let sql = "UPDATE entry SET key = ? WHERE log = ? AND seq = ?";
    execute(conn, sql, [key, log, seq])?;
    let sql = "UPDATE line SET key = ?1
               WHERE room = ?2 AND key = ?3 AND author = ?4 AND epoch = ?5 AND seq = ?6";
    let epoch = sortable(epoch.cast_unsigned());
    execute(conn, sql, params![key, room, old, author, epoch, seq])?;
    followers(conn, &room, (log, seq), &hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_order_is_the_unsigned_one() {
        let numbers = [0, 1, 1 << 62, (1 << 63) - 1, 1 << 63, u64::MAX];
        assert!(numbers.is_sorted_by_key(|&number| sortable(number)));
        assert!(numbers.map(|n| from_sortable(sortable(n))) == numbers);
    }
}
