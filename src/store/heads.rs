//! Where the logs stand: how far each is held without a gap, and from where on.

use rusqlite::{Connection, Row as SqlRow, params};

use super::sqlite::{get, rows};
use crate::durable::{Head, Row};
use crate::id::{NetworkId, PeerId, RoomId};

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

/// Where all logs of a room on a network stand.
pub(super) fn vector(
    conn: &Connection,
    room: &RoomId,
    network: &NetworkId,
) -> rusqlite::Result<Vec<Row>> {
    let sql = format!("{HEAD} WHERE room = ? AND network = ? ORDER BY author, epoch < 0, epoch");
    let read = |row: &SqlRow<'_>| read_head(row).map(Row::Log);
    rows(conn, &sql, params![room.0, network.0], read)
}
