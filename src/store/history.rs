//! What was said, in the order people see: pages of scroll-back, search, what a newcomer gets.

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};

use super::ENTRY_ROWS_MAX;
use super::order::{from_sortable, sortable};
use super::sqlite::{self, get};
use crate::durable::{EntryHead, HistoryQuery, KIND_CONTINUES, LineRow, LogKey, Parts, Row, Talk};
use crate::id::{MessageId, NetworkId, PeerId, RoomId};
use crate::limits::TOPIC_ROWS_MAX;

/// Most lines looked at for one answer: a search that finds nothing must not hold up the store.
pub(super) const SCAN_ROWS_MAX: usize = 20_000;

/// A place in the order of a room: key, author, epoch, number, as the database has them.
type Place = (i64, Vec<u8>, i64, i64);

/// Before and behind everything.
const FIRST: Place = (i64::MIN, Vec::new(), i64::MIN, i64::MIN);

fn last() -> Place {
    (i64::MAX, vec![0xff; 33], i64::MAX, i64::MAX)
}

const LINE: &str = "SELECT line.room AS room, line.key AS key, line.author AS author,
    line.epoch AS epoch, line.seq AS seq, line.log AS log, entry.hash AS hash,
    entry.bytes AS bytes, entry.hlc AS hlc, log.network AS network
    FROM line JOIN entry ON entry.log = line.log AND entry.seq = line.seq
    JOIN log ON log.id = line.log";

/// A line of a room as read.
struct Line {
    row: LineRow,
    bytes: Vec<u8>,
    log: i64,
    network: [u8; 8],
}

fn read_line(row: &SqlRow<'_>, own: &PeerId) -> rusqlite::Result<Line> {
    let bytes: Vec<u8> = get(row, "bytes")?;
    let author = PeerId(get(row, "author")?);
    let epoch = from_sortable(get(row, "epoch")?);
    let (kind, deps, body) = match EntryHead::of(&bytes) {
        Some(head) => (head.kind, head.deps, head.body),
        None => (0, Vec::new(), None),
    };
    let line = LineRow {
        id: MessageId::of_entry(&get(row, "hash")?),
        talk: Talk::Room(RoomId(get(row, "room")?)),
        author,
        own: author == *own,
        hlc: get::<i64>(row, "hlc")?.cast_unsigned(),
        key: from_sortable(get(row, "key")?),
        kind,
        deps,
        body,
        at: Some((epoch, get(row, "seq")?)),
        state: None,
    };
    Ok(Line {
        row: line,
        bytes,
        log: get(row, "log")?,
        network: get(row, "network")?,
    })
}

/// The answer to a history query.
pub(super) fn history(
    conn: &Connection,
    own: &PeerId,
    query: &HistoryQuery,
) -> rusqlite::Result<Vec<Row>> {
    let mut found = match &query.talk {
        Talk::Room(room) => of_room(conn, own, room, query)?,
        Talk::Peer(peer) => of_peer(conn, own, peer, query)?,
    };
    if query.after.is_none() {
        let rest = found.pop_if(|row| matches!(row, Row::Rest { .. }));
        found.reverse();
        found.extend(rest);
    }
    Ok(found)
}

/// Lines of a room, in the order they are looked at.
fn of_room(
    conn: &Connection,
    own: &PeerId,
    room: &RoomId,
    query: &HistoryQuery,
) -> rusqlite::Result<Vec<Row>> {
    let place = |id: &Option<MessageId>| match id {
        Some(id) => place_of(conn, room, id).map(Some),
        None => Ok(None),
    };
    let (before, after) = (place(&query.before)?, place(&query.after)?);
    if before == Some(None) || after == Some(None) {
        return Ok(Vec::new());
    }
    let from = after.clone().flatten().unwrap_or(FIRST);
    let to = before.flatten().unwrap_or_else(last);
    let order = match after {
        Some(_) => "key, author, epoch, seq",
        None => "key DESC, author DESC, epoch DESC, seq DESC",
    };
    let order: Vec<String> = order.split(", ").map(|by| format!("line.{by}")).collect();
    let columns = "(line.key, line.author, line.epoch, line.seq)";
    let sql = format!(
        "{LINE} WHERE line.room = ? AND {columns} > (?, ?, ?, ?) AND {columns} < (?, ?, ?, ?)
         ORDER BY {}",
        order.join(", ")
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![
        room.0, from.0, from.1, from.2, from.3, to.0, to.1, to.2, to.3
    ])?;
    let mut found = Vec::new();
    let (limit, mut looked_at) = (query.limit.min(ENTRY_ROWS_MAX), 0);
    while let Some(row) = rows.next()? {
        let line = read_line(row, own)?;
        let too_old = line.row.key >> 16 < query.since_ms && query.after.is_none();
        if found.len() == limit || too_old {
            // No line that stands before was said later than its key says.
            break;
        }
        let (id, hlc) = (line.row.id, line.row.hlc);
        if let Some(line) = whole(conn, line)?
            && query.wants(hlc, line.row.body.as_deref())
            && !has_twin(conn, room, &line)?
        {
            found.push(Row::Line(Box::new(line.row)));
        }
        looked_at += 1;
        if looked_at == SCAN_ROWS_MAX && found.len() < limit {
            found.push(Row::Rest { id });
            break;
        }
    }
    Ok(found)
}

fn place_of(conn: &Connection, room: &RoomId, id: &MessageId) -> rusqlite::Result<Option<Place>> {
    let sql = "SELECT entry.key, log.author, log.epoch, entry.seq
               FROM entry JOIN log ON log.id = entry.log
               WHERE substr(entry.hash, 1, 16) = ? AND log.room = ?";
    conn.prepare_cached(sql)?
        .query_row(params![id.0, room.0], |row| {
            let epoch: i64 = row.get(2)?;
            let epoch = sortable(epoch.cast_unsigned());
            Ok((row.get(0)?, row.get(1)?, epoch, row.get(3)?))
        })
        .optional()
}

/// A message with all of its parts; none where one is missing, or it is a later part itself.
fn whole(conn: &Connection, mut line: Line) -> rusqlite::Result<Option<Line>> {
    if line.row.kind & KIND_CONTINUES != 0 {
        return Ok(None);
    }
    let mut parts = Parts::new(line.row.kind, line.row.body.take());
    let mut seq = line.row.at.map_or(0, |(_, seq)| i64::from(seq));
    let sql = "SELECT bytes FROM entry WHERE log = ? AND seq = ?";
    while parts.is_open() {
        seq += 1;
        let bytes: Option<Vec<u8>> = conn
            .prepare_cached(sql)?
            .query_row([line.log, seq], |row| row.get(0))
            .optional()?;
        let next = bytes.and_then(|bytes| EntryHead::of(&bytes));
        if !next.is_some_and(|next| parts.push(next)) {
            return Ok(None);
        }
    }
    (line.row.kind, line.row.body) = parts.whole();
    Ok(Some(line))
}

/// Whether an author said something at this clock on a network of a lower id: looked up once in each
/// of its few logs, since any number of its lines may name that clock.
pub(super) const TWIN: &str =
    "SELECT EXISTS (SELECT 1 FROM log CROSS JOIN entry ON entry.log = log.id
     WHERE entry.hlc = ? AND log.room = ? AND log.author = ? AND log.network < ?)";

/// Whether its author said the same on a network of a lower id too: that one is shown.
fn has_twin(conn: &Connection, room: &RoomId, line: &Line) -> rusqlite::Result<bool> {
    let row = &line.row;
    let of = params![row.hlc.cast_signed(), room.0, row.author.0, line.network];
    conn.prepare_cached(TWIN)?
        .query_row(of, |found| found.get(0))
}

/// The last lines that say what a room is about and were not taken back.
pub(super) fn topic(conn: &Connection, own: &PeerId, room: &RoomId) -> rusqlite::Result<Vec<Row>> {
    let sql = format!(
        "{LINE} WHERE line.room = ? AND line.topic = 1 ORDER BY line.key DESC,
         line.author DESC, line.epoch DESC, line.seq DESC LIMIT {SCAN_ROWS_MAX}"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([room.0])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let line = read_line(row, own)?.row;
        if line.body.is_some() {
            found.push(Row::Line(Box::new(line)));
        }
        if found.len() == TOPIC_ROWS_MAX {
            break;
        }
    }
    Ok(found)
}

/// Private messages with one person, in the order they are looked at.
fn of_peer(
    conn: &Connection,
    own: &PeerId,
    peer: &PeerId,
    query: &HistoryQuery,
) -> rusqlite::Result<Vec<Row>> {
    let place = |id: &Option<MessageId>| match id {
        Some(id) => private_place(conn, peer, id).map(Some),
        None => Ok(None),
    };
    let (before, after) = (place(&query.before)?, place(&query.after)?);
    if before == Some(None) || after == Some(None) {
        return Ok(Vec::new());
    }
    let from = after.clone().flatten().unwrap_or((i64::MIN, Vec::new()));
    let to = before.flatten().unwrap_or((i64::MAX, vec![0xff; 17]));
    let order = match after {
        Some(_) => "place, id",
        None => "place DESC, id DESC",
    };
    let between = "kind <> 0 AND (place, id) > (?2, ?3) AND (place, id) < (?4, ?5)";
    let sql = format!(
        "SELECT place, id, 0 AS own, hlc, kind, body, NULL AS state FROM private_in
         WHERE sender = ?1 AND {between}
         UNION ALL SELECT place, id, 1 AS own, hlc, kind, body, state FROM private_out
         WHERE peer = ?1 AND {between} ORDER BY {order}"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![peer.0, from.0, from.1, to.0, to.1])?;
    let mut found = Vec::new();
    let (limit, mut looked_at) = (query.limit.min(ENTRY_ROWS_MAX), 0);
    while let Some(row) = rows.next()? {
        if found.len() == limit {
            break;
        }
        let line = read_private(row, own, peer)?;
        let id = line.id;
        if query.wants(line.hlc, line.body.as_deref()) {
            found.push(Row::Line(Box::new(line)));
        }
        looked_at += 1;
        if looked_at == SCAN_ROWS_MAX && found.len() < limit {
            found.push(Row::Rest { id });
            break;
        }
    }
    Ok(found)
}

fn private_place(
    conn: &Connection,
    peer: &PeerId,
    id: &MessageId,
) -> rusqlite::Result<Option<(i64, Vec<u8>)>> {
    let sql = "SELECT place, id FROM private_in WHERE id = ?1 AND sender = ?2 AND kind <> 0
               UNION ALL SELECT place, id FROM private_out WHERE id = ?1 AND peer = ?2 AND kind <> 0";
    conn.prepare_cached(sql)?
        .query_row(params![id.0, peer.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

fn read_private(row: &SqlRow<'_>, own: &PeerId, peer: &PeerId) -> rusqlite::Result<LineRow> {
    let is_own: bool = get(row, "own")?;
    let hlc = get::<i64>(row, "hlc")?.cast_unsigned();
    let state: Option<u8> = get(row, "state")?;
    Ok(LineRow {
        id: MessageId(get(row, "id")?),
        talk: Talk::Peer(*peer),
        author: if is_own { *own } else { *peer },
        own: is_own,
        hlc,
        key: hlc,
        kind: get(row, "kind")?,
        deps: Vec::new(),
        body: Some(get(row, "body")?),
        at: None,
        state: state.map(sqlite::state_of),
    })
}

/// One line by its id.
pub(super) fn message(
    conn: &Connection,
    own: &PeerId,
    id: &MessageId,
) -> rusqlite::Result<Vec<Row>> {
    // Not by `line`: the index of ids is the way in.
    let sql = "SELECT entry.log, entry.seq FROM entry WHERE substr(hash, 1, 16) = ?";
    let entries: Vec<(i64, i64)> =
        sqlite::rows(conn, sql, [id.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (log, seq) in entries {
        let sql = format!(
            "{LINE} WHERE line.room = (SELECT room FROM log WHERE id = ?1)
             AND line.key = (SELECT key FROM entry WHERE log = ?1 AND seq = ?2)
             AND line.log = ?1 AND line.seq = ?2"
        );
        let line = conn
            .prepare_cached(&sql)?
            .query_row([log, seq], |row| read_line(row, own))
            .optional()?;
        if let Some(line) = line {
            return Ok(vec![Row::Line(Box::new(line.row))]);
        }
    }
    let sql = "SELECT sender AS peer, id, 0 AS own, hlc, kind, body, NULL AS state
               FROM private_in WHERE id = ?1 AND kind <> 0
               UNION ALL SELECT peer, id, 1 AS own, hlc, kind, body, state
               FROM private_out WHERE id = ?1 AND kind <> 0";
    sqlite::rows(conn, sql, [id.0], |row| {
        let line = read_private(row, own, &PeerId(get(row, "peer")?))?;
        Ok(Row::Line(Box::new(line)))
    })
}

/// The last entries of a room on a network, in the order people see.
pub(super) fn latest(
    conn: &Connection,
    own: &PeerId,
    (room, network): (&RoomId, &NetworkId),
    (entries, since_ms): (u32, u64),
) -> rusqlite::Result<Vec<Row>> {
    let sql = format!(
        "{LINE} WHERE line.room = ? ORDER BY line.key DESC, line.author DESC,
         line.epoch DESC, line.seq DESC LIMIT {SCAN_ROWS_MAX}"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([room.0])?;
    let limit = usize::try_from(entries).map_or(ENTRY_ROWS_MAX, |most| most.min(ENTRY_ROWS_MAX));
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let line = read_line(row, own)?;
        if found.len() == limit || line.row.key >> 16 < since_ms {
            break;
        }
        if line.network != network.0 || line.row.hlc >> 16 < since_ms {
            continue;
        }
        let Some((epoch, seq)) = line.row.at else {
            continue;
        };
        let author = line.row.author;
        found.push(Row::Held {
            log: LogKey {
                room: *room,
                author,
                epoch,
            },
            seq,
            bytes: line.bytes,
        });
    }
    found.reverse();
    Ok(found)
}
