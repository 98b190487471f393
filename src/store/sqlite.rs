//! The statements: each [`Write`] and [`Query`] in SQL.

use rusqlite::types::FromSql;
use rusqlite::{Connection, ErrorCode, Row as SqlRow, TransactionBehavior, params};

use super::logs::{self, NewEntry};
use super::order::sortable;
use super::{heads, history, holes, neighbors, own, retention, rooms};
use crate::durable::{Kept, LogKey, PrivateRow, PrivateState, Query, Row, Snapshot};
use crate::durable::{StoreFailure, Write};
use crate::id::{MessageId, PeerId, PublicKey};
use crate::limits::{Keep, OUTBOX_BYTES_MAX, OUTBOX_MESSAGES_MAX};

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

/// Whose store it is, and what it keeps.
#[derive(Clone, Copy)]
pub(super) struct Owner {
    pub(super) id: PeerId,
    pub(super) keep: Keep,
}

/// Keeps one thing; what became of it.
pub(super) fn put(conn: &Connection, owner: &Owner, write: &Write) -> rusqlite::Result<Kept> {
    let own = &owner.id;
    let is_new = match write {
        Write::Incarnation(incarnation) => {
            let sql = "UPDATE node SET incarnation = ?1 WHERE incarnation < ?1";
            execute(conn, sql, params![incarnation.cast_signed()])?
        }
        Write::Epoch {
            room,
            network,
            epoch,
        } => own::begin_own(conn, own, (room, *epoch), network)?,
        Write::Entry {
            room,
            author,
            epoch,
            seq,
            hash,
            bytes,
            came_ms,
        } => {
            let (room, author, epoch, seq) = (*room, *author, *epoch, *seq);
            let log = LogKey {
                room,
                author,
                epoch,
            };
            let new = NewEntry {
                log,
                seq,
                hash,
                bytes,
                came_ms: *came_ms,
            };
            if author == *own {
                own::raise_own_head(conn, &new)?;
            }
            return logs::put(conn, owner, &new);
        }
        Write::PrivateIn { .. } | Write::PrivateOut { .. } | Write::PrivateState { .. } => {
            put_private(conn, owner.keep, write)?
        }
        Write::Pin { skeleton, key } => {
            let sql = "INSERT INTO pin (skeleton, key) VALUES (?1, ?2)
                       ON CONFLICT DO UPDATE SET key = ?2 WHERE key <> ?2";
            execute(conn, sql, params![skeleton, key.0])?
        }
        Write::Neighbor(neighbor) => neighbors::put(conn, neighbor)?,
        Write::Floor {
            log,
            network,
            floor,
        } => match logs::find_or_make(conn, own, log, *network)? {
            Some(row) => logs::raise_floor(conn, log, &row, i64::from(*floor))?,
            None => false,
        },
        Write::Retire { room, epoch } => own::retire(conn, own, room, *epoch)?,
        Write::Room(room) => rooms::put(conn, room)?,
        Write::Person(person) => rooms::put_person(conn, person)?,
        Write::Fork(fork) => rooms::put_fork(conn, own, fork)?,
        Write::Stub { log, seq, bytes } => logs::stub(conn, log, *seq, bytes)?,
        Write::Gone { log, first, last } => holes::put_gone(conn, log, (*first, *last))?,
        Write::Retain {
            room,
            entries,
            before_ms,
        } => retention::retain(conn, room, (*entries, *before_ms))?,
        Write::Wipe(talk) => retention::wipe(conn, talk)?,
    };
    Ok(Kept::new_if(is_new))
}

fn put_private(conn: &Connection, keep: Keep, write: &Write) -> rusqlite::Result<bool> {
    match write {
        Write::PrivateIn { id, from, message } => {
            let sql = "INSERT INTO private_in (id, sender, hlc, kind, body, place)
                       VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
            let (hlc, place) = (message.hlc.cast_signed(), sortable(message.hlc));
            let (kind, body) = match keep {
                Keep::All => (message.kind, &message.body[..]),
                Keep::None => (0, &[][..]),
            };
            let row = params![id.0, from.0, hlc, kind, body, place];
            execute(conn, sql, row)
        }
        Write::PrivateOut { id, to, message } => {
            let sql = "INSERT INTO private_out (id, receiver, hlc, kind, body, state, place, peer)
                       VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
            let (hlc, place) = (message.hlc.cast_signed(), sortable(message.hlc));
            let (state, peer) = (number(PrivateState::Queued), to.id());
            let (kind, body) = (message.kind, &message.body);
            let row = params![id.0, to.0, hlc, kind, body, state, place, peer.0];
            execute(conn, sql, row)
        }
        Write::PrivateState { id, state } => {
            let sql = "UPDATE private_out SET state = ?2 WHERE id = ?1 AND state <> ?2";
            let is_new = execute(conn, sql, params![id.0, number(*state)])?;
            if keep == Keep::None && *state != PrivateState::Queued {
                let sql = "UPDATE private_out SET kind = 0, body = x'' WHERE id = ?";
                execute(conn, sql, [id.0])?;
            }
            Ok(is_new)
        }
        _ => Ok(false),
    }
}

pub(super) fn query(conn: &Connection, own: &PeerId, query: &Query) -> rusqlite::Result<Vec<Row>> {
    match query {
        Query::Entries {
            room,
            author,
            epoch,
            seqs,
            network,
        } => {
            let log = LogKey {
                room: *room,
                author: *author,
                epoch: *epoch,
            };
            logs::entries(conn, &log, seqs, *network)
        }
        Query::Outbox { to } => outbox(conn, to),
        Query::Vector { room, network } => heads::vector(conn, room, network),
        Query::Range {
            log,
            first,
            last,
            bytes_max,
        } => logs::range(conn, log, (*first, *last), *bytes_max),
        Query::Latest {
            room,
            network,
            entries,
            since_ms,
        } => history::latest(conn, own, (room, network), (*entries, *since_ms)),
        Query::History(query) => history::history(conn, own, query),
        Query::Message { id } => history::message(conn, own, id),
        Query::Topic { room } => history::topic(conn, own, room),
        Query::Behind { room, author, id } => logs::behind(conn, (room, author), id),
        Query::People { ids } => rooms::people(conn, ids),
    }
}

pub(super) fn snapshot(conn: &Connection, own: &PeerId) -> rusqlite::Result<Snapshot> {
    let sql = "SELECT incarnation FROM node";
    let incarnation: i64 = conn.query_row(sql, [], |row| row.get(0))?;
    let sql = "SELECT skeleton, key FROM pin ORDER BY skeleton";
    let pins = rows(conn, sql, [], |row| {
        Ok((get(row, "skeleton")?, PublicKey(get(row, "key")?)))
    })?;
    let sql = "SELECT DISTINCT receiver FROM private_out WHERE state = 0 ORDER BY receiver";
    let outbox = rows(conn, sql, [], |row| Ok(PublicKey(get(row, "receiver")?)))?;
    let (epochs, hlc_max) = own::own_past(conn, own)?;
    Ok(Snapshot {
        incarnation: incarnation.cast_unsigned(),
        own_heads: own::own_heads(conn, own)?,
        epochs,
        hlc_max,
        heads: heads::heads(conn, own)?,
        own_logs: heads::own_logs(conn, own)?,
        holes: holes::all(conn)?,
        rooms: rooms::all(conn)?,
        people: rooms::authors(conn)?,
        forks: rooms::forks(conn)?,
        pins,
        outbox,
        neighbors: neighbors::all(conn)?,
    })
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

/// What [`number`] was made of.
pub(super) fn state_of(number: u8) -> PrivateState {
    match number {
        0 => PrivateState::Queued,
        1 => PrivateState::Delivered,
        _ => PrivateState::Failed,
    }
}

/// Runs a statement that changes something or nothing; whether it did.
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
