//! Where the logs stand: how far each is held without a gap, and from where on.

use rusqlite::{Connection, Row as SqlRow, params};

use super::sqlite::{get, rows};
use crate::durable::{Head, RUNS_TOLD_MAX, Row};
use crate::id::{NetworkId, PeerId, RoomId};
use crate::limits::SYNC_LOGS_MAX;

pub(super) const HEAD: &str =
    "SELECT log.id AS id, room, author, epoch, head, hash, network, low, floor,
                    fork.log IS NOT NULL AS forked
                    FROM log LEFT JOIN fork ON fork.log = log.id";

fn read_head(row: &SqlRow<'_>) -> rusqlite::Result<Head> {
    Ok(Head {
        room: RoomId(get(row, "room")?),
        author: PeerId(get(row, "author")?),
        epoch: get::<i64>(row, "epoch")?.cast_unsigned(),
        seq: get(row, "head")?,
        hash: get(row, "hash")?,
        network: NetworkId(get(row, "network")?),
        low: get(row, "low")?,
        floor: get(row, "floor")?,
        forked: get(row, "forked")?,
    })
}

/// Where the logs of others stand.
pub(super) fn heads(conn: &Connection, own: &PeerId) -> rusqlite::Result<Vec<Head>> {
    let sql = format!("{HEAD} WHERE author <> ? ORDER BY room, author, epoch < 0, epoch");
    rows(conn, &sql, params![own.0], read_head)
}

/// Where the own logs are held to, also those that ended.
pub(super) fn own_logs(conn: &Connection, own: &PeerId) -> rusqlite::Result<Vec<Head>> {
    let sql = format!("{HEAD} WHERE author = ? ORDER BY room, epoch < 0, epoch");
    rows(conn, &sql, params![own.0], read_head)
}

/// Where all logs of a room on a network stand, and what is held of them beyond holes.
pub(super) fn vector(
    conn: &Connection,
    room: &RoomId,
    network: &NetworkId,
) -> rusqlite::Result<Vec<Row>> {
    let sql = format!("{HEAD} WHERE room = ? AND network = ? ORDER BY author, epoch < 0, epoch");
    let mut heads = rows(conn, &sql, params![room.0, network.0], read_head)?;
    let sql = format!(
        "{HEAD} WHERE room = ? AND network = ? AND top > head ORDER BY author, epoch < 0, epoch"
    );
    let read = |row: &SqlRow<'_>| Ok((get(row, "id")?, read_head(row)?));
    let with_holes: Vec<(i64, Head)> = rows(conn, &sql, params![room.0, network.0], read)?;
    for (log, head) in with_holes {
        if heads.len() >= SYNC_LOGS_MAX {
            break;
        }
        heads.extend(beyond(conn, log, &head)?);
    }
    Ok(heads.into_iter().map(Row::Log).collect())
}

/// What is held of a log beyond its first missing number: the newest runs, ascending.
fn beyond(conn: &Connection, log: i64, head: &Head) -> rusqlite::Result<Vec<Head>> {
    let sql = "SELECT run.first AS first, run.last AS last, entry.hash AS hash FROM
               (SELECT min(seq) AS first, max(seq) AS last FROM
                (SELECT seq, seq - row_number() OVER (ORDER BY seq) AS run
                 FROM entry WHERE log = ?1 AND seq > ?2)
                GROUP BY run ORDER BY first DESC LIMIT ?3) AS run
               JOIN entry ON entry.log = ?1 AND entry.seq = run.last ORDER BY first";
    let most = i64::try_from(RUNS_TOLD_MAX).unwrap_or(i64::MAX);
    rows(conn, sql, params![log, head.seq, most], |row| {
        Ok(Head {
            low: get(row, "first")?,
            seq: get(row, "last")?,
            hash: get(row, "hash")?,
            ..head.clone()
        })
    })
}
