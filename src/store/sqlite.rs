//! The statements: each [`Write`] and [`Query`] in SQL.

use rusqlite::types::FromSql;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row as SqlRow, TransactionBehavior};
use rusqlite::{named_params, params};

use super::{ENTRY_ROWS_MAX, neighbors};
use crate::durable::Write;
use crate::durable::{Head, OwnHead, PrivateRow, PrivateState, Query, Row, Snapshot, StoreFailure};
use crate::id::{MessageId, NetworkId, PeerId, PublicKey, RoomId};
use crate::limits::{OUTBOX_BYTES_MAX, OUTBOX_MESSAGES_MAX};

/// What went wrong in the middle of a run, as a sentence.
pub(super) fn failure(error: &rusqlite::Error) -> StoreFailure {
    StoreFailure(match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full, so nothing more can be kept".to_owned(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "the message store is damaged".to_owned()
        }
        Some(ErrorCode::ReadOnly) => "the message store can no longer be written".to_owned(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds the message store".to_owned()
        }
        _ => format!("the message store failed: {error}"),
    })
}

/// Decides whether the own logs may be continued and retires them if not (see `store`). Returns
/// whether the mark of own writes is still set, which it is where a killed run is continued.
pub(super) fn begin(
    conn: &mut Connection,
    file: &str,
    boot: Option<&str>,
) -> rusqlite::Result<bool> {
    let sql = "SELECT file, boot, unclean FROM node";
    let (saved_file, saved_boot, unclean): (Option<String>, Option<String>, bool) =
        conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let same_file = saved_file.as_deref() == Some(file);
    let same_boot = boot.is_some() && saved_boot.as_deref() == boot;
    if same_file && (!unclean || same_boot) {
        return Ok(unclean);
    }
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute("UPDATE own_log SET retired = 1 WHERE retired = 0", [])?;
    transaction.execute("UPDATE node SET file = ?, unclean = 0", [file])?;
    transaction.commit()?;
    Ok(false)
}

/// Whether one of these belongs to an own log.
pub(super) fn has_own(writes: &[Write], own: &PeerId) -> bool {
    writes.iter().any(|write| match write {
        Write::Epoch { .. } => true,
        Write::Entry { author, .. } => author == own,
        _ => false,
    })
}

pub(super) fn set_unclean(conn: &Connection, boot: Option<&str>) -> rusqlite::Result<()> {
    conn.execute("UPDATE node SET unclean = 1, boot = ?", [boot])?;
    Ok(())
}

pub(super) fn set_clean(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute("UPDATE node SET unclean = 0", [])?;
    Ok(())
}

/// Keeps one thing; whether it was new.
pub(super) fn put(conn: &Connection, own: &PeerId, write: &Write) -> rusqlite::Result<bool> {
    match write {
        Write::Incarnation(incarnation) => {
            let sql = "UPDATE node SET incarnation = ?1 WHERE incarnation < ?1";
            execute(conn, sql, params![incarnation.cast_signed()])
        }
        Write::Epoch {
            room,
            network,
            epoch,
        } => {
            let sql = "INSERT INTO own_log (author, room, epoch, network, seq, hash, retired)
                       VALUES (?, ?, ?, ?, 0, zeroblob(32), 0) ON CONFLICT DO NOTHING";
            let row = params![own.0, room.0, epoch.cast_signed(), network.0];
            execute(conn, sql, row)
        }
        Write::Entry {
            room,
            author,
            epoch,
            seq,
            hash,
            bytes,
        } => {
            let (log, seq) = ((room, author, *epoch), i64::from(*seq));
            if author == own {
                raise_own_head(conn, log, seq, hash)?;
            }
            put_entry(conn, log, seq, hash, bytes)
        }
        Write::PrivateIn { id, from, message } => {
            let sql = "INSERT INTO private_in (id, sender, hlc, kind, body)
                       VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
            let hlc = message.hlc.cast_signed();
            let row = params![id.0, from.0, hlc, message.kind, message.body];
            execute(conn, sql, row)
        }
        Write::PrivateOut { id, to, message } => {
            let sql = "INSERT INTO private_out (id, receiver, hlc, kind, body, state)
                       VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
            let (hlc, state) = (message.hlc.cast_signed(), number(PrivateState::Queued));
            let row = params![id.0, to.0, hlc, message.kind, message.body, state];
            execute(conn, sql, row)
        }
        Write::PrivateState { id, state } => {
            let sql = "UPDATE private_out SET state = ?2 WHERE id = ?1 AND state <> ?2";
            execute(conn, sql, params![id.0, number(*state)])
        }
        Write::Pin { skeleton, key } => {
            let sql = "INSERT INTO pin (skeleton, key) VALUES (?1, ?2)
                       ON CONFLICT DO UPDATE SET key = ?2 WHERE key <> ?2";
            execute(conn, sql, params![skeleton, key.0])
        }
        Write::Neighbor(neighbor) => neighbors::put(conn, neighbor),
    }
}

pub(super) fn query(conn: &Connection, query: &Query) -> rusqlite::Result<Vec<Row>> {
    match query {
        Query::Entries {
            room,
            author,
            epoch,
            seqs,
        } => entries(conn, (room, author, *epoch), seqs),
        Query::Outbox { to } => outbox(conn, to),
    }
}

pub(super) fn snapshot(conn: &Connection, own: &PeerId) -> rusqlite::Result<Snapshot> {
    let sql = "SELECT incarnation FROM node";
    let incarnation: i64 = conn.query_row(sql, [], |row| row.get(0))?;
    // Of several epochs of one log the last; SQLite takes the other columns from its row.
    let own_heads = rows(
        conn,
        "SELECT room, network, max(epoch) AS epoch, seq, hash FROM own_log
         WHERE author = ? AND retired = 0 GROUP BY room, network",
        params![own.0],
        |row| {
            Ok(OwnHead {
                room: RoomId(get(row, "room")?),
                network: NetworkId(get(row, "network")?),
                epoch: get::<i64>(row, "epoch")?.cast_unsigned(),
                seq: get(row, "seq")?,
                hash: get(row, "hash")?,
            })
        },
    )?;
    let heads = rows(
        conn,
        "SELECT room, author, epoch, head, hash FROM log WHERE author <> ?",
        params![own.0],
        |row| {
            Ok(Head {
                room: RoomId(get(row, "room")?),
                author: PeerId(get(row, "author")?),
                epoch: get::<i64>(row, "epoch")?.cast_unsigned(),
                seq: get(row, "head")?,
                hash: get(row, "hash")?,
            })
        },
    )?;
    let pins = rows(conn, "SELECT skeleton, key FROM pin", [], |row| {
        Ok((get(row, "skeleton")?, PublicKey(get(row, "key")?)))
    })?;
    let outbox = rows(
        conn,
        "SELECT DISTINCT receiver FROM private_out WHERE state = 0",
        [],
        |row| Ok(PublicKey(get(row, "receiver")?)),
    )?;
    Ok(Snapshot {
        incarnation: incarnation.cast_unsigned(),
        own_heads,
        heads,
        pins,
        outbox,
        neighbors: neighbors::all(conn)?,
    })
}

/// Which log: room, author, epoch.
type LogKey<'a> = (&'a RoomId, &'a PeerId, u64);

/// The own head moves forward only, whatever order entries come in.
fn raise_own_head(
    conn: &Connection,
    (room, author, epoch): LogKey<'_>,
    seq: i64,
    hash: &[u8; 32],
) -> rusqlite::Result<()> {
    let sql = "UPDATE own_log SET seq = :seq, hash = :hash
               WHERE author = :author AND room = :room AND epoch = :epoch AND seq < :seq";
    let epoch = epoch.cast_signed();
    conn.prepare_cached(sql)?.execute(named_params! {
        ":author": author.0, ":room": room.0, ":epoch": epoch, ":seq": seq, ":hash": hash,
    })?;
    Ok(())
}

fn put_entry(
    conn: &Connection,
    (room, author, epoch): LogKey<'_>,
    seq: i64,
    hash: &[u8; 32],
    bytes: &[u8],
) -> rusqlite::Result<bool> {
    let sql = "SELECT id, low, head FROM log WHERE room = ? AND author = ? AND epoch = ?";
    let key = params![room.0, author.0, epoch.cast_signed()];
    let held: Option<(i64, i64, i64)> = conn
        .prepare_cached(sql)?
        .query_row(key, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let (log, low, head) = match held {
        Some(held) => held,
        None => {
            let sql = "INSERT INTO log (room, author, epoch, low, head, hash)
                       VALUES (?1, ?2, ?3, ?4, ?4, ?5)";
            let row = params![room.0, author.0, epoch.cast_signed(), seq, hash];
            (conn.prepare_cached(sql)?.insert(row)?, seq, seq)
        }
    };
    let sql = "INSERT INTO entry (log, seq, hash, bytes) VALUES (?, ?, ?, ?)
               ON CONFLICT DO NOTHING";
    let new = execute(conn, sql, params![log, seq, hash, bytes])?;
    if new {
        let (low, from) = match seq {
            _ if seq + 1 == low => (seq, head),
            _ if seq < low => (seq, seq),
            _ if seq == head + 1 => (low, seq),
            _ => return Ok(new),
        };
        move_head(conn, log, low, from)?;
    }
    Ok(new)
}

/// Sets where a log begins, and its head to the end of the run that `from` is in.
fn move_head(conn: &Connection, log: i64, low: i64, from: i64) -> rusqlite::Result<()> {
    let mut head = None;
    let mut statement =
        conn.prepare_cached("SELECT seq, hash FROM entry WHERE log = ? AND seq >= ? ORDER BY seq")?;
    let mut rows = statement.query([log, from])?;
    let mut expected = from;
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(0)? != expected {
            break;
        }
        head = Some((expected, row.get::<_, [u8; 32]>(1)?));
        expected += 1;
    }
    let Some((head, hash)) = head else {
        return Ok(());
    };
    conn.prepare_cached("UPDATE log SET low = ?, head = ?, hash = ? WHERE id = ?")?
        .execute(params![low, head, hash, log])?;
    Ok(())
}

fn entries(
    conn: &Connection,
    (room, author, epoch): LogKey<'_>,
    seqs: &[u32],
) -> rusqlite::Result<Vec<Row>> {
    let sql = "SELECT entry.bytes FROM log JOIN entry ON entry.log = log.id
               WHERE room = ? AND author = ? AND epoch = ? AND seq = ?";
    let mut statement = conn.prepare_cached(sql)?;
    let mut found = Vec::new();
    for &seq in seqs.iter().take(ENTRY_ROWS_MAX) {
        let key = params![room.0, author.0, epoch.cast_signed(), seq];
        let bytes = statement.query_row(key, |row| row.get(0)).optional()?;
        found.extend(bytes.map(|bytes| Row::Entry { seq, bytes }));
    }
    Ok(found)
}

/// As much as one outbox may hold, so that nothing is left out unless the bounds were passed.
fn outbox(conn: &Connection, to: &PublicKey) -> rusqlite::Result<Vec<Row>> {
    let sql = "SELECT id, hlc, kind, body FROM private_out
               WHERE receiver = ? AND state = 0 ORDER BY number LIMIT ?";
    let mut statement = conn.prepare_cached(sql)?;
    let limit = i64::try_from(OUTBOX_MESSAGES_MAX).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![to.0, limit])?;
    let (mut found, mut len) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let message = PrivateRow {
            hlc: get::<i64>(row, "hlc")?.cast_unsigned(),
            kind: get(row, "kind")?,
            body: get(row, "body")?,
        };
        len += message.body.len();
        if len > OUTBOX_BYTES_MAX && !found.is_empty() {
            break;
        }
        let id = MessageId(get(row, "id")?);
        found.push(Row::Outbox { id, message });
    }
    Ok(found)
}

fn number(state: PrivateState) -> u8 {
    match state {
        PrivateState::Queued => 0,
        PrivateState::Delivered => 1,
        PrivateState::Failed => 2,
    }
}

/// Runs a statement that changes one row or none; whether it did.
pub(super) fn execute(
    conn: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> rusqlite::Result<bool> {
    Ok(conn.prepare_cached(sql)?.execute(params)? > 0)
}

pub(super) fn rows<T>(
    conn: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    read: impl FnMut(&SqlRow<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    conn.prepare_cached(sql)?.query_map(params, read)?.collect()
}

pub(super) fn get<T: FromSql>(row: &SqlRow<'_>, column: &str) -> rusqlite::Result<T> {
    row.get(column)
}
