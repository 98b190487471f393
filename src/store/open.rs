//! Opening the database: made whole or not at all, refused rather than damaged.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};

use super::{Store, owner_only, sqlite, sys, upgrade};
use crate::durable::Durability;
use crate::error::{ExitCode, UserError};
use crate::id::PeerId;
use crate::limits::Keep;

/// The file in the data directory.
pub const FILE: &str = "lanchat.db";
/// "LANC": tells our database from any other of SQLite (its header, offset 68).
pub(super) const APPLICATION_ID: u32 = 0x4c41_4e43;
/// One step of the schema.
pub(super) enum Step {
    Sql(&'static str),
    /// Then what SQL cannot say, in the same transaction.
    SqlAndCode(&'static str, fn(&Connection) -> rusqlite::Result<()>),
}

/// Each brings the schema from the version of its index to the next.
pub(super) const MIGRATIONS: [Step; 7] = [
    Step::Sql(include_str!("migrations/0001_start.sql")),
    Step::Sql(include_str!("migrations/0002_neighbors.sql")),
    Step::SqlAndCode(
        include_str!("migrations/0003_rooms.sql"),
        upgrade::fill_0003,
    ),
    Step::Sql(include_str!("migrations/0004_came.sql")),
    Step::Sql(include_str!("migrations/0005_epochs.sql")),
    Step::Sql(include_str!("migrations/0006_bounds.sql")),
    Step::Sql(include_str!("migrations/0007_gone.sql")),
];
/// What all of them make of nothing.
const WHOLE: &str = include_str!("migrations/whole.sql");
/// The version of the schema that this program knows (the header's `user_version`, offset 60).
pub(super) const SCHEMA: u32 = MIGRATIONS.len() as u32;
/// Somebody else (a backup, a curious person) may hold the database for a moment.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// The WAL file is cut back to this after a checkpoint.
const WAL_LEN_MAX: u32 = 4 * 1024 * 1024;
const STATEMENTS_MAX: usize = 64;
/// Where the header says how the file is written and read, a byte each; 2 is by a WAL
/// (<https://www.sqlite.org/fileformat2.html>, 1.3.3).
const WAL_OFFSET: u64 = 18;

/// Why a database could not be opened.
#[derive(Debug)]
enum Refusal {
    Io(io::Error),
    Sqlite(rusqlite::Error),
    Foreign,
    Newer(u32),
    Older(u32),
    ReadOnly,
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Refusal::Io(error)
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Refusal::Sqlite(error)
    }
}

pub(super) fn open(
    data_dir: Option<&Path>,
    own: &PeerId,
    boot: Option<String>,
) -> Result<Store, UserError> {
    open_or_make(data_dir, own, boot, 0).map(|(store, _)| store)
}

/// Opens the store; where there is none it makes one in which `incarnation` is saved, as safe as
/// [`Durability::Power`], and says so.
pub(super) fn open_or_make(
    data_dir: Option<&Path>,
    own: &PeerId,
    boot: Option<String>,
    incarnation: u64,
) -> Result<(Store, bool), UserError> {
    let Some(dir) = data_dir else {
        let opened = open_in_memory(own).map_err(|error| unusable(&error, None))?;
        return Ok((opened, false));
    };
    let path = dir.join(FILE);
    open_file(&path, own, boot, incarnation).map_err(|refusal| explain(refusal, &path))
}

/// An id that is new with each start of the machine, where the system has one (Linux).
pub(super) fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let id = text.trim();
    (!id.is_empty()).then(|| id.to_owned())
}

pub(super) fn set_synchronous(conn: &Connection, durability: Durability) -> rusqlite::Result<()> {
    let mode = match durability {
        Durability::Process => "NORMAL",
        Durability::Power => "FULL",
    };
    conn.pragma_update(None, "synchronous", mode)
}

/// The error for a database that opened but cannot be used.
pub(super) fn unusable(error: &rusqlite::Error, path: Option<&Path>) -> UserError {
    let place = match path {
        Some(path) => format!("the message store {path:?}"),
        None => "the message store".to_owned(),
    };
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            UserError::new(ExitCode::Failed, format!("{place} is damaged")).hint(MOVE_AWAY)
        }
        Some(ErrorCode::DiskFull) => UserError::new(
            ExitCode::Failed,
            format!("{place} cannot be written: the disk is full"),
        )
        .hint("make room, or run with `--ephemeral`, which keeps nothing"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            UserError::new(ExitCode::Failed, format!("another program holds {place}"))
                .hint("close it and start again")
        }
        _ => UserError::new(ExitCode::Failed, format!("{place} cannot be used: {error}"))
            .hint("choose another directory with `--data-dir`, or run with `--ephemeral`"),
    }
}

const MOVE_AWAY: &str =
    "it was left as it is; move it away to start with an empty one, or choose another `--data-dir`";

fn explain(refusal: Refusal, path: &Path) -> UserError {
    let failed = |message: String| UserError::new(ExitCode::Failed, message);
    match refusal {
        Refusal::Sqlite(error) => unusable(&error, Some(path)),
        Refusal::Io(error) => failed(format!("cannot open the message store {path:?}: {error}"))
            .hint("choose another directory with `--data-dir`, or run with `--ephemeral`"),
        Refusal::Foreign => {
            failed(format!("{path:?} is not a message store of lanchat, or is damaged"))
                .hint(MOVE_AWAY)
        }
        Refusal::Newer(version) => failed(format!(
            "the message store {path:?} is from a newer lanchat (its version {version}, known here {SCHEMA})"
        ))
        .hint("update lanchat, or choose another directory with `--data-dir`; the file was left as it is"),
        Refusal::Older(version) => failed(format!(
            "the message store {path:?} is from an older lanchat (its version {version}, needed here {SCHEMA})"
        ))
        .hint("run `lanchat` once: it brings the store up to date and loses nothing"),
        Refusal::ReadOnly => failed(format!("the message store {path:?} cannot be written"))
            .hint("make it writable, choose another `--data-dir`, or run with `--ephemeral`"),
    }
}

fn open_in_memory(own: &PeerId) -> rusqlite::Result<Store> {
    let conn = Connection::open_in_memory()?;
    make(&conn)?;
    set_up(&conn)?;
    Ok(Store {
        conn,
        own: *own,
        keep: Keep::All,
        durability: Durability::Power,
        boot: None,
        unclean: false,
        on_disk: false,
    })
}

fn open_file(
    path: &Path,
    own: &PeerId,
    boot: Option<String>,
    incarnation: u64,
) -> Result<(Store, bool), Refusal> {
    let is_new = match File::open(path) {
        Ok(file) => check_header(file).map(|()| false)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(path, incarnation).map(|()| true)?
        }
        Err(error) => return Err(error.into()),
    };
    let mut conn = connect(path)?;
    // Until the version is known to be ours not even what waits in the WAL is moved.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    if conn.is_readonly("main")? {
        return Err(Refusal::ReadOnly);
    }
    let version: u32 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > SCHEMA {
        return Err(Refusal::Newer(version));
    }
    migrate(&mut conn)?;
    let file = sys::file_identity(&fs::metadata(path)?);
    set_synchronous(&conn, Durability::Process)?;
    let unclean = sqlite::begin(&mut conn, &file, boot.as_deref())?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    let store = Store {
        conn,
        own: *own,
        keep: Keep::All,
        durability: Durability::Process,
        boot,
        unclean,
        on_disk: true,
    };
    Ok((store, is_new))
}

/// Opens the database for reading alone; none where there is none.
pub(super) fn open_to_read(data_dir: &Path) -> Result<Option<Connection>, UserError> {
    let path = data_dir.join(FILE);
    read_file(&path).map_err(|refusal| explain(refusal, &path))
}

fn read_file(path: &Path) -> Result<Option<Connection>, Refusal> {
    match File::open(path) {
        Ok(file) => check_header(file)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let (conn, version) = match connect_to_read(path, false) {
        // Where no file can be made beside it nobody writes it either: it does not change.
        Err(_) if !beside(path, "-wal").exists() => connect_to_read(path, true)?,
        opened => opened?,
    };
    match version {
        SCHEMA => Ok(Some(conn)),
        version if version > SCHEMA => Err(Refusal::Newer(version)),
        version => Err(Refusal::Older(version)),
    }
}

fn connect_to_read(path: &Path, immutable: bool) -> rusqlite::Result<(Connection, u32)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = match immutable {
        false => Connection::open_with_flags(path, flags)?,
        true => {
            let uri = format!("file:{}?immutable=1", percent_encoded(path));
            Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?
        }
    };
    conn.busy_timeout(BUSY_TIMEOUT)?;
    set_up(&conn)?;
    let version = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok((conn, version))
}

/// What may not stand as it is in the path of a `file:` URI.
fn percent_encoded(path: &Path) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .map(|&byte| encode(byte))
        .collect()
}

/// Looks at the bytes before SQLite does, which would replay a WAL and make files beside it.
fn check_header(mut file: File) -> Result<(), Refusal> {
    let mut header = [0; 100];
    match file.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(Refusal::Foreign),
        Err(error) => return Err(error.into()),
    }
    let number = |at: usize| {
        let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
        u32::from_be_bytes(bytes)
    };
    if !header.starts_with(b"SQLite format 3\0") || number(68) != APPLICATION_ID {
        return Err(Refusal::Foreign);
    }
    match number(60) {
        version if version > SCHEMA => Err(Refusal::Newer(version)),
        _ => Ok(()),
    }
}

/// Makes an empty database under another name, then gives it its own: there is never half of one.
/// When this returns it outlives a power cut, with the incarnation in it.
fn create(path: &Path, incarnation: u64) -> Result<(), Refusal> {
    let draft = beside(path, ".new");
    // A WAL without its database would be replayed into the new one; a draft is a leftover.
    for leftover in [beside(path, "-wal"), beside(path, "-shm"), draft.clone()] {
        match fs::remove_file(leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    owner_only().write(true).create_new(true).open(&draft)?;
    let conn = connect(&draft)?;
    // The draft is worth nothing until it is renamed; it is synced whole before that.
    conn.pragma_update(None, "synchronous", "OFF")?;
    // Nor does it need a journal of its own: making and removing one takes each step longer than
    // what the step does.
    conn.pragma_update_and_check(None, "journal_mode", "MEMORY", |_| Ok(()))?;
    make(&conn)?;
    // The file stays the same one when it is renamed.
    let file = sys::file_identity(&fs::metadata(&draft)?);
    let sql = "UPDATE node SET file = ?, incarnation = ?";
    conn.execute(sql, params![file, incarnation.cast_signed()])?;
    conn.close().map_err(|(_, error)| error)?;
    let mut file = File::options().write(true).open(&draft)?;
    // SQLite would make a WAL and remove it again only to write these.
    file.seek(SeekFrom::Start(WAL_OFFSET))?;
    file.write_all(&[2, 2])?;
    file.sync_all()?;
    drop(file);
    fs::rename(&draft, path)?;
    // So that the name outlives a power cut too. Not every system opens directories.
    let dir = path.parent().map(File::open);
    let _ = dir.map(|dir| dir.and_then(|dir| dir.sync_all()));
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.pragma_update_and_check(None, "journal_size_limit", WAL_LEN_MAX, |_| Ok(()))?;
    set_up(&conn)?;
    Ok(conn)
}

/// Statements stay prepared: no plan depends on what is bound, or each would be made anew for
/// almost every line that is kept.
fn set_up(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Makes the schema in an empty database.
fn make(conn: &Connection) -> rusqlite::Result<()> {
    let transaction = conn.unchecked_transaction()?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.execute_batch(WHOLE)?;
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    transaction.commit()
}

/// Brings the schema up to date, each step in a transaction of its own.
fn migrate(conn: &mut Connection) -> rusqlite::Result<()> {
    let version: u32 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (next, step) in (1..).zip(MIGRATIONS).filter(|&(next, _)| next > version) {
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match step {
            Step::Sql(sql) => transaction.execute_batch(sql)?,
            Step::SqlAndCode(sql, code) => {
                transaction.execute_batch(sql)?;
                code(&transaction)?;
            }
        }
        transaction.pragma_update(None, "user_version", next)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    fn schema(conn: &Connection) -> Vec<(String, String, String, Option<String>)> {
        let sql = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name";
        sqlite::rows(conn, sql, [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .expect("its schema")
    }

    #[test]
    fn a_new_database_has_the_schema_that_all_steps_make() {
        let mut stepwise = Connection::open_in_memory().expect("memory");
        migrate(&mut stepwise).expect("all steps");
        let at_once = Connection::open_in_memory().expect("memory");
        make(&at_once).expect("made");
        assert_eq!(schema(&at_once), schema(&stepwise));
        for conn in [&stepwise, &at_once] {
            let version: u32 = conn
                .pragma_query_value(None, "user_version", |row| row.get(0))
                .expect("a version");
            let sql = "SELECT id, incarnation, unclean FROM node";
            let node: (i64, i64, bool) = conn
                .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .expect("one row");
            assert_eq!((version, node), (SCHEMA, (1, 0, false)));
        }
    }

    #[test]
    fn a_new_file_is_whole_before_it_has_its_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(FILE);
        create(&path, 7).expect("made");
        let names = fs::read_dir(dir.path()).expect("read").count();
        assert_eq!(names, 1, "no draft, no journal");
        let mut conn = connect(&path).expect("opens");
        let mode: String = conn
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .expect("a mode");
        assert_eq!(mode, "wal");
        let file = sys::file_identity(&fs::metadata(&path).expect("there"));
        assert!(!sqlite::begin(&mut conn, &file, None).expect("begins"));
        let changes = conn.total_changes();
        assert_eq!(changes, 0, "nothing is left to be written at the start");
        let sql = "SELECT incarnation FROM node";
        let incarnation: i64 = conn.query_row(sql, [], |row| row.get(0)).expect("saved");
        assert_eq!(incarnation, 7);
        let check: String = conn
            .pragma_query_value(None, "integrity_check", |row| row.get(0))
            .expect("checked");
        assert_eq!(check, "ok");
    }

    #[test]
    fn statements_are_not_prepared_anew_for_what_is_bound() {
        let store = open_in_memory(&PeerId([1; 32])).expect("opens");
        let sql = "SELECT dep.log, dep.seq FROM dep JOIN log ON log.id = dep.log
                   WHERE dep.of = ? AND log.room = ?";
        let mut statement = store.conn.prepare(sql).expect("prepared");
        for number in 0..9_u8 {
            let mut rows = statement.query(params![[number; 16], [number; 32]]);
            let rows = rows.as_mut().expect("runs");
            assert!(rows.next().expect("a row or none").is_none());
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
