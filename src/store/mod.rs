//! The store: what must outlive the process, in SQLite.

use std::path::Path;

use crate::durable::{Batch, Loaded, Query, Snapshot, Stored};
use crate::error::UserError;

/// An open store.
pub struct Store {}

impl Store {
    /// Opens or creates the store in this data directory; without one, in memory.
    ///
    /// # Errors
    /// The directory cannot be written, or the database is corrupt or of a newer version; it is
    /// then left untouched.
    pub fn open(data_dir: Option<&Path>) -> Result<Self, UserError> {
        let _ = data_dir;
        Ok(Store {})
    }

    /// What was kept, for the start of a node.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot, UserError> {
        Ok(Snapshot::default())
    }

    /// Keeps a batch, in one transaction, as safely as it asks.
    ///
    /// # Errors
    /// It could not be kept; nothing of it was.
    pub fn apply(&mut self, batch: &Batch) -> Stored {
        Ok(vec![true; batch.writes.len()])
    }

    /// Looks something up.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn query(&self, query: &Query) -> Loaded {
        let _ = query;
        Ok(Vec::new())
    }
}
