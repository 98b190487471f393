//! Rooms, people, and who said two things with one number.

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};

use super::logs;
use super::sqlite::{execute, get, rows};
use crate::durable::{EntryHead, ForkRow, LogKey, PersonRow, RoomRow, Row};
use crate::id::{NetworkId, PeerId, PublicKey, RoomId};

/// People of whom no log is held that are remembered at most.
const STRANGERS_MAX: i64 = 4096;

/// Keeps a room; whether anything is new.
pub(super) fn put(conn: &Connection, room: &RoomRow) -> rusqlite::Result<bool> {
    let sql = "INSERT INTO room (id, name, secret, joined) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT DO UPDATE SET name = ?2, secret = ?3, joined = ?4
               WHERE name <> ?2 OR secret IS NOT ?3 OR joined <> ?4";
    let row = params![room.id.0, room.name, room.key, room.joined];
    execute(conn, sql, row)
}

/// The rooms, by name.
pub(super) fn all(conn: &Connection) -> rusqlite::Result<Vec<RoomRow>> {
    let sql = "SELECT id, name, secret, joined FROM room ORDER BY name, id";
    rows(conn, sql, [], |row| {
        Ok(RoomRow {
            id: RoomId(get(row, "id")?),
            name: get(row, "name")?,
            key: get(row, "secret")?,
            joined: get(row, "joined")?,
        })
    })
}

/// Keeps a record unless a newer one is there; whether it was new.
pub(super) fn put_person(conn: &Connection, person: &PersonRow) -> rusqlite::Result<bool> {
    let sql = "SELECT incarnation, record_seq FROM person WHERE id = ?";
    let held: Option<(i64, u32)> = conn
        .prepare_cached(sql)?
        .query_row([person.id.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let held = held.map(|(incarnation, seq)| (incarnation.cast_unsigned(), seq));
    if held >= Some((person.incarnation, person.record_seq)) {
        return Ok(false);
    }
    let sql = "INSERT OR REPLACE INTO person (id, key, incarnation, record_seq, record)
               VALUES (?, ?, ?, ?, ?)";
    let row = params![
        person.id.0,
        person.key.0,
        person.incarnation.cast_signed(),
        person.record_seq,
        person.record
    ];
    execute(conn, sql, row)
}

const PERSON: &str = "SELECT id, key, incarnation, record_seq, record FROM person";

/// [`PERSON`] of the authors alone.
pub(super) const AUTHORS: &str = "SELECT id, key, incarnation, record_seq, record FROM person
    WHERE id IN (SELECT author FROM log) ORDER BY id";

fn read_person(row: &SqlRow<'_>) -> rusqlite::Result<PersonRow> {
    Ok(PersonRow {
        id: PeerId(get(row, "id")?),
        key: PublicKey(get(row, "key")?),
        incarnation: get::<i64>(row, "incarnation")?.cast_unsigned(),
        record_seq: get(row, "record_seq")?,
        record: get(row, "record")?,
    })
}

/// What is known of these, in the order asked.
pub(super) fn people(conn: &Connection, ids: &[PeerId]) -> rusqlite::Result<Vec<Row>> {
    let sql = format!("{PERSON} WHERE id = ?");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = Vec::new();
    for id in ids.iter().take(super::ENTRY_ROWS_MAX) {
        let person = statement.query_row([id.0], read_person).optional()?;
        found.extend(person.map(Row::Person));
    }
    Ok(found)
}

/// What is known of the authors of the logs that are held.
pub(super) fn authors(conn: &Connection) -> rusqlite::Result<Vec<PersonRow>> {
    rows(conn, AUTHORS, [], read_person)
}

/// Everybody of whom a record is kept.
pub(super) fn everybody(conn: &Connection) -> rusqlite::Result<Vec<PersonRow>> {
    rows(conn, &format!("{PERSON} ORDER BY id"), [], read_person)
}

/// Forgets people of whom nothing is held, where there are too many of them.
pub(super) fn trim_people(conn: &Connection) -> rusqlite::Result<()> {
    let sql = "DELETE FROM person WHERE id IN (SELECT id FROM person
               WHERE id NOT IN (SELECT author FROM log)
               ORDER BY incarnation DESC LIMIT -1 OFFSET ?)";
    execute(conn, sql, [STRANGERS_MAX])?;
    Ok(())
}

/// Keeps the proof that a number was used twice; whether it is the first one of its log.
pub(super) fn put_fork(conn: &Connection, own: &PeerId, fork: &ForkRow) -> rusqlite::Result<bool> {
    let head = EntryHead::of(&fork.first);
    let network = head.map_or(NetworkId([0; 8]), |head| head.network);
    let Some(log) = logs::find_or_make(conn, own, &fork.log, network)? else {
        return Ok(false);
    };
    let sql = "INSERT INTO fork (log, seq, first, second) VALUES (?, ?, ?, ?)
               ON CONFLICT DO NOTHING";
    execute(
        conn,
        sql,
        params![log.id, fork.seq, fork.first, fork.second],
    )
}

/// All proofs, by log.
pub(super) fn forks(conn: &Connection) -> rusqlite::Result<Vec<ForkRow>> {
    let sql = "SELECT room, author, epoch, fork.seq AS seq, first, second
               FROM fork JOIN log ON log.id = fork.log
               ORDER BY room, author, epoch < 0, epoch";
    rows(conn, sql, [], |row| {
        Ok(ForkRow {
            log: LogKey {
                room: RoomId(get(row, "room")?),
                author: PeerId(get(row, "author")?),
                epoch: get::<i64>(row, "epoch")?.cast_unsigned(),
            },
            seq: get(row, "seq")?,
            first: get(row, "first")?,
            second: get(row, "second")?,
        })
    })
}
