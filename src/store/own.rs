//! The own logs: begun once, continued by nobody else, ended for good.

use rusqlite::{Connection, named_params, params};

use super::logs::NewEntry;
use super::sqlite::{execute, get, rows};
use crate::durable::{EntryHead, OwnHead};
use crate::id::{NetworkId, PeerId, RoomId};

/// Begins an own log; whether it was not known.
pub(super) fn begin_own(
    conn: &Connection,
    own: &PeerId,
    (room, epoch): (&RoomId, u64),
    network: &NetworkId,
) -> rusqlite::Result<bool> {
    let sql = "INSERT INTO own_log (author, room, epoch, network, seq, hash, retired)
               VALUES (?, ?, ?, ?, 0, zeroblob(32), 0) ON CONFLICT DO NOTHING";
    let row = params![own.0, room.0, epoch.cast_signed(), network.0];
    execute(conn, sql, row)
}

/// Ends an own epoch for good, also one that is not known here; whether it was not ended yet.
pub(super) fn retire(
    conn: &Connection,
    own: &PeerId,
    room: &RoomId,
    epoch: u64,
) -> rusqlite::Result<bool> {
    let sql = "INSERT INTO own_log (author, room, epoch, network, seq, hash, retired)
               VALUES (?, ?, ?, zeroblob(8), 0, zeroblob(32), 1)
               ON CONFLICT DO UPDATE SET retired = 1 WHERE retired = 0";
    execute(conn, sql, params![own.0, room.0, epoch.cast_signed()])
}

/// The own head moves forward only, whatever order entries come in.
pub(super) fn raise_own_head(conn: &Connection, new: &NewEntry<'_>) -> rusqlite::Result<()> {
    let hlc = EntryHead::of(new.bytes).map_or(0, |head| head.hlc);
    let sql = "UPDATE own_log SET seq = :seq, hash = :hash, hlc = :hlc
               WHERE author = :author AND room = :room AND epoch = :epoch AND seq < :seq";
    let epoch = new.log.epoch.cast_signed();
    conn.prepare_cached(sql)?.execute(named_params! {
        ":author": new.log.author.0, ":room": new.log.room.0, ":epoch": epoch,
        ":seq": new.seq, ":hash": new.hash, ":hlc": hlc.cast_signed(),
    })?;
    Ok(())
}

/// Where the own logs stand that may be continued: of several of one network the last.
pub(super) fn own_heads(conn: &Connection, own: &PeerId) -> rusqlite::Result<Vec<OwnHead>> {
    let sql = "SELECT room, network, epoch, seq, hash FROM own_log
               WHERE author = ? AND retired = 0 ORDER BY room, network, epoch < 0, epoch";
    let all = rows(conn, sql, params![own.0], |row| {
        Ok(OwnHead {
            room: RoomId(get(row, "room")?),
            network: NetworkId(get(row, "network")?),
            epoch: get::<i64>(row, "epoch")?.cast_unsigned(),
            seq: get(row, "seq")?,
            hash: get(row, "hash")?,
        })
    })?;
    let mut last: Vec<OwnHead> = Vec::new();
    for head in all {
        last.pop_if(|before| (before.room, before.network) == (head.room, head.network));
        last.push(head);
    }
    Ok(last)
}

/// The greatest own epoch of each room, and the greatest clock.
pub(super) fn own_past(
    conn: &Connection,
    own: &PeerId,
) -> rusqlite::Result<(Vec<(RoomId, u64)>, u64)> {
    let sql = "SELECT room, epoch, hlc FROM own_log WHERE author = ? ORDER BY room";
    let all = rows(conn, sql, params![own.0], |row| {
        let (epoch, hlc): (i64, i64) = (get(row, "epoch")?, get(row, "hlc")?);
        Ok((
            RoomId(get(row, "room")?),
            epoch.cast_unsigned(),
            hlc.cast_unsigned(),
        ))
    })?;
    let mut epochs: Vec<(RoomId, u64)> = Vec::new();
    for &(room, epoch, _) in &all {
        match epochs.last_mut().filter(|last| last.0 == room) {
            Some(last) => last.1 = last.1.max(epoch),
            None => epochs.push((room, epoch)),
        }
    }
    Ok((epochs, all.iter().map(|all| all.2).max().unwrap_or(0)))
}
