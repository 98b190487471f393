//! The store: what must outlive the process, in SQLite.
//!
//! One file, `lanchat.db`, in the data directory, with mode 0600, in WAL mode. Whoever opens it
//! holds the lock of the data directory, so there is one writer; the store itself is used by one
//! worker thread, never by the loop.
//!
//! # When the own logs may not be continued
//!
//! An own (epoch, seq) that was ever transmitted must never be used again for another entry.
//! [`Store::snapshot`] therefore offers the own heads only if nothing of the own logs can be
//! missing from this file. It retires them for good, so that the core begins new epochs,
//!
//! - where the file is not the one that it says it is (device and inode): a copy or a restored
//!   backup may be older than what the original went on to send;
//! - where own entries were written, the store was not closed after them, and the machine was
//!   started anew since (or cannot tell): [`Durability::Process`] commits survive the death of the
//!   process but not a power cut, so entries that are out on the network may be lost here.
//!
//! For the second rule a mark is set together with the first own write of a run, in a commit that
//! waits for the disk; closing takes it away, again waiting for the disk, which also carries every
//! commit before it. A run that writes nothing of its own (`who`) waits for no disk at all. A
//! process that was killed goes on in its epoch while the machine stays up, so that a script
//! that is killed once a minute does not make thousands of epochs. What neither rule sees (a
//! virtual machine set back, a file overwritten in place) the core finds when a peer presents an
//! entry of the own key beyond the head.
//!
//! [`Durability::Process`]: crate::durable::Durability::Process

mod heads;
mod history;
mod holes;
mod logs;
mod neighbors;
mod open;
mod order;
#[cfg(test)]
mod order_tests;
mod own;
#[cfg(test)]
mod parity_tests;
#[cfg(test)]
mod parts_tests;
mod reader;
mod retention;
#[cfg(test)]
mod retention_tests;
#[cfg(test)]
mod robust_tests;
mod rooms;
mod sqlite;
#[cfg(unix)]
mod sys_unix;
#[cfg(windows)]
mod sys_windows;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod twin_tests;
mod upgrade;
#[cfg(test)]
mod upgrade_tests;

pub use open::FILE;
pub use reader::{Reader, View};

use std::fs::OpenOptions;
use std::path::Path;

use rusqlite::Connection;

#[cfg(unix)]
use sys_unix as sys;
#[cfg(windows)]
use sys_windows as sys;

use crate::durable::{
    Batch, Durability, Kept, Loaded, Query, Snapshot, Stored, Write, incarnation_of,
};
use crate::error::UserError;
use crate::id::PeerId;
use crate::limits::{Keep, Limits};

/// Most rows of entries in one answer.
pub const ENTRY_ROWS_MAX: usize = 512;

/// Most entries that name one, in one answer.
const BEHIND_ROWS_MAX: usize = 16;

/// How long a room is remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    /// Most lines of a room.
    pub entries: u32,
    /// Days after which a line is forgotten, from when it came.
    pub days: u32,
}

impl Retention {
    /// As the settings have it.
    #[must_use]
    pub fn of(limits: &Limits) -> Retention {
        Retention {
            entries: limits.history_entries,
            days: limits.history_days,
        }
    }
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// An open store. Dropping it closes it in order.
pub struct Store {
    conn: Connection,
    own: PeerId,
    keep: Keep,
    /// What the connection is set to at the moment.
    durability: Durability,
    /// The boot of the machine, where it tells.
    boot: Option<String>,
    /// Whether the mark is set that own entries were written (see the head of this file).
    unclean: bool,
    /// Whether there is a file at all.
    on_disk: bool,
}

impl Store {
    /// Opens or creates the store in this data directory, which has to exist; without one, in
    /// memory. `own` is the id of this node: its logs are kept apart from those of others.
    ///
    /// # Errors
    /// The directory cannot be written, or the database is corrupt or of a newer version; it is
    /// then left untouched.
    pub fn open(data_dir: Option<&Path>, own: &PeerId) -> Result<Self, UserError> {
        open::open(data_dir, own, open::boot_id())
    }

    /// Opens or creates the store for a run that begins now, `now_ms` since the Unix epoch: saves
    /// its incarnation ([`incarnation_of`]), so that it outlives a power cut, while there is
    /// other work to wait for. What is answered with it is what was known before.
    ///
    /// # Errors
    /// As of [`Store::open`], or it cannot be read or written.
    pub fn open_for_run(
        data_dir: Option<&Path>,
        own: &PeerId,
        now_ms: u64,
    ) -> Result<(Self, Snapshot), UserError> {
        let first = incarnation_of(now_ms, 0);
        let (mut store, is_new) = open::open_or_make(data_dir, own, open::boot_id(), first)?;
        let mut snapshot = store.snapshot()?;
        if is_new {
            snapshot.incarnation = 0;
        } else {
            let incarnation = incarnation_of(now_ms, snapshot.incarnation);
            let batch = Batch {
                durability: Durability::Power,
                writes: vec![Write::Incarnation(incarnation)],
            };
            // Where there is no room the chat goes on: the node saves it again before it speaks, and
            // tells what came of it.
            let _ = store.try_apply(&batch);
        }
        Ok((store, snapshot))
    }

    /// What was kept, for the start of a node.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot, UserError> {
        sqlite::snapshot(&self.conn, &self.own).map_err(|error| open::unusable(&error, None))
    }

    /// Keeps a batch, in one transaction, as safely as it asks.
    ///
    /// # Errors
    /// It could not be kept; nothing of it was.
    pub fn apply(&mut self, batch: &Batch) -> Stored {
        self.try_apply(batch)
            .map_err(|error| sqlite::failure(&error))
    }

    /// What it keeps from now on; what it kept stays. With [`Keep::None`] no words: the own
    /// heads, where the logs of others stand, and ids, so that nothing is taken for new twice.
    /// Private messages then stay until they are delivered.
    pub fn set_keep(&mut self, keep: Keep) {
        self.keep = keep;
    }

    /// One turn of what is done when there is nothing else to do: what is too old is forgotten,
    /// and places in the order are found that one turn had no time for. Some milliseconds;
    /// whether there is more. `now_ms` since the Unix epoch.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn tidy(&mut self, now_ms: u64, retention: Retention) -> Result<bool, UserError> {
        self.try_tidy(now_ms, retention)
            .map_err(|error| open::unusable(&error, None))
    }

    /// Looks something up: at most [`ENTRY_ROWS_MAX`] rows, at most an outbox as `limits` bounds
    /// it.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn query(&self, query: &Query) -> Loaded {
        sqlite::query(&self.conn, &self.own, query).map_err(|error| sqlite::failure(&error))
    }

    /// What is in it.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View::of(&self.conn, &self.own)
    }

    fn try_apply(&mut self, batch: &Batch) -> rusqlite::Result<Vec<Kept>> {
        let mark = self.on_disk && !self.unclean && sqlite::has_own(&batch.writes, &self.own);
        let wanted = if mark {
            Durability::Power
        } else {
            batch.durability
        };
        self.set_durability(wanted)?;
        let transaction = self.conn.unchecked_transaction()?;
        if mark {
            sqlite::set_unclean(&transaction, self.boot.as_deref())?;
        }
        let owner = sqlite::Owner {
            id: self.own,
            keep: self.keep,
        };
        let kept = batch
            .writes
            .iter()
            .map(|write| sqlite::put(&transaction, &owner, write))
            .collect::<rusqlite::Result<Vec<Kept>>>()?;
        transaction.commit()?;
        self.unclean |= mark;
        Ok(kept)
    }

    fn try_tidy(&mut self, now_ms: u64, retention: Retention) -> rusqlite::Result<bool> {
        self.set_durability(Durability::Process)?;
        let transaction = self.conn.unchecked_transaction()?;
        let unsettled = order::settle_rest(&transaction)?;
        let before_ms = match retention::is_believed(&transaction, now_ms)? {
            true => now_ms.saturating_sub(u64::from(retention.days) * DAY_MS),
            false => 0,
        };
        let more = unsettled | retention::tidy(&transaction, retention.entries, before_ms)?;
        transaction.commit()?;
        Ok(more)
    }

    /// SQLite takes the setting only between transactions, and parses it each time: so only when
    /// it differs.
    fn set_durability(&mut self, wanted: Durability) -> rusqlite::Result<()> {
        if wanted != self.durability {
            open::set_synchronous(&self.conn, wanted)?;
            self.durability = wanted;
        }
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if !self.unclean {
            return;
        }
        let closed = self
            .set_durability(Durability::Power)
            .and_then(|()| sqlite::set_clean(&self.conn));
        if let Err(error) = closed {
            // The mark stays; at worst the next run begins a new epoch.
            tracing::warn!(?error, "the store was not closed cleanly");
        }
    }
}

/// Options for a file that only its owner may read (mode 0600 where there are modes), set as it
/// is created, so that there is no moment in which others could open it.
#[must_use]
pub fn owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    sys::owner_only(&mut options);
    options
}
