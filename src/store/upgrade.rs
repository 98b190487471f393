//! Steps of the schema that SQL cannot say: new columns filled from the bytes of old rows.

use rusqlite::{Connection, params};

use super::order::{self, At, sortable};
use super::sqlite::{execute, rows};
use crate::durable::EntryHead;
use crate::id::PublicKey;

/// Fills what 0003 added.
pub(super) fn fill_0003(conn: &Connection) -> rusqlite::Result<()> {
    fill_private(conn)?;
    let sql = "SELECT id, room, author, epoch FROM log";
    type Log = (i64, [u8; 32], [u8; 32], i64);
    let logs: Vec<Log> = rows(conn, sql, [], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    for log in &logs {
        fill_log(conn, log)?;
    }
    // Only now are all ids known that others stand behind.
    for (log, ..) in logs {
        let sql = "SELECT seq FROM entry WHERE log = ? ORDER BY seq";
        let seqs: Vec<i64> = rows(conn, sql, [log], |row| row.get(0))?;
        for seq in seqs {
            order::settle(conn, vec![(log, seq)], order::MOVES_MAX)?;
        }
    }
    Ok(())
}

fn fill_log(
    conn: &Connection,
    (log, room, author, epoch): &(i64, [u8; 32], [u8; 32], i64),
) -> rusqlite::Result<()> {
    let sql = "SELECT seq, bytes FROM entry WHERE log = ? ORDER BY seq";
    let mut statement = conn.prepare_cached(sql)?;
    let mut entries = statement.query([log])?;
    let (mut top, mut last_hlc) = (0, 0);
    while let Some(row) = entries.next()? {
        let seq: i64 = row.get(0)?;
        let bytes: Vec<u8> = row.get(1)?;
        let head = EntryHead::of(&bytes);
        let hlc = head.as_ref().map_or(0, |head| head.hlc);
        let at: At = (*log, seq);
        let sql = "UPDATE entry SET hlc = ?, key = ? WHERE log = ? AND seq = ?";
        execute(conn, sql, [hlc.cast_signed(), sortable(hlc), at.0, at.1])?;
        let sql = "INSERT INTO line (room, key, author, epoch, seq, log) VALUES (?, ?, ?, ?, ?, ?)";
        let place = sortable(epoch.cast_unsigned());
        execute(
            conn,
            sql,
            params![room, sortable(hlc), author, place, seq, log],
        )?;
        if let Some(head) = head {
            order::note_deps(conn, at, &head.deps)?;
            let sql = "UPDATE log SET network = ? WHERE id = ?";
            execute(conn, sql, params![head.network.0, log])?;
        }
        (top, last_hlc) = (seq, last_hlc.max(hlc));
    }
    execute(conn, "UPDATE log SET top = ? WHERE id = ?", [top, *log])?;
    let sql = "UPDATE own_log SET hlc = ? WHERE author = ? AND room = ? AND epoch = ?";
    execute(
        conn,
        sql,
        params![last_hlc.cast_signed(), author, room, epoch],
    )?;
    Ok(())
}

fn fill_private(conn: &Connection) -> rusqlite::Result<()> {
    // The highest bit turned, as `sortable` does.
    let place = "hlc + (CASE WHEN hlc < 0 THEN 1 ELSE -1 END) * 9223372036854775807
                 + (CASE WHEN hlc < 0 THEN 1 ELSE -1 END)";
    conn.execute(&format!("UPDATE private_in SET place = {place}"), [])?;
    conn.execute(&format!("UPDATE private_out SET place = {place}"), [])?;
    let sql = "SELECT DISTINCT receiver FROM private_out";
    let receivers: Vec<[u8; 32]> = rows(conn, sql, [], |row| row.get(0))?;
    for receiver in receivers {
        let sql = "UPDATE private_out SET peer = ? WHERE receiver = ?";
        execute(conn, sql, params![PublicKey(receiver).id().0, receiver])?;
    }
    Ok(())
}
