//! Reading a store beside the node that has it: never written, never waited for.

use std::path::Path;

use rusqlite::{Connection, params};

use super::sqlite::{get, rows};
use super::{open, rooms, sqlite};
use crate::durable::{Loaded, PersonRow, Query, RoomRow, Talk};
use crate::error::UserError;
use crate::id::{PeerId, RoomId};

/// A store opened for reading alone. A node may write it meanwhile.
pub struct Reader {
    conn: Connection,
    own: PeerId,
}

/// What a store holds, to be read.
#[derive(Clone, Copy)]
pub struct View<'a> {
    conn: &'a Connection,
    own: &'a PeerId,
}

impl Reader {
    /// Opens the store in this data directory; none if there is no store there.
    ///
    /// # Errors
    /// It is damaged, of another version, or cannot be read; it is left untouched.
    pub fn open(data_dir: &Path, own: &PeerId) -> Result<Option<Reader>, UserError> {
        let conn = open::open_to_read(data_dir)?;
        Ok(conn.map(|conn| Reader { conn, own: *own }))
    }

    /// What is in it.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View::of(&self.conn, &self.own)
    }
}

impl<'a> View<'a> {
    pub(super) fn of(conn: &'a Connection, own: &'a PeerId) -> View<'a> {
        View { conn, own }
    }

    /// As [`super::Store::query`].
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn query(&self, query: &Query) -> Loaded {
        sqlite::query(self.conn, self.own, query).map_err(|error| sqlite::failure(&error))
    }

    /// Everything that has a history.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn talks(&self) -> Result<Vec<Talk>, UserError> {
        let sql = "SELECT room AS id, 1 AS is_room FROM log GROUP BY room
                   UNION ALL SELECT id, 0 FROM (
                   SELECT sender AS id FROM private_in WHERE kind <> 0
                   UNION SELECT peer FROM private_out WHERE kind <> 0)";
        let talks = rows(self.conn, sql, params![], |row| {
            let id = get(row, "id")?;
            Ok(match get(row, "is_room")? {
                true => Talk::Room(RoomId(id)),
                false => Talk::Peer(PeerId(id)),
            })
        });
        talks.map_err(|error| open::unusable(&error, None))
    }

    /// The rooms this node is or was in.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn rooms(&self) -> Result<Vec<RoomRow>, UserError> {
        rooms::all(self.conn).map_err(|error| open::unusable(&error, None))
    }

    /// Everybody of whom a record is kept.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn people(&self) -> Result<Vec<PersonRow>, UserError> {
        rooms::everybody(self.conn).map_err(|error| open::unusable(&error, None))
    }
}
