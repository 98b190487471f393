//! Killed at any instant, a million lines, directories and disks that do not take anything.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use super::{Reader, Retention, Store};
use crate::durable::{Batch, Durability, HistoryQuery, Kept, Query, Row, Talk, Write};
use crate::id::{NetworkId, PeerId, PublicKey, RoomId};
use crate::limits::Keep;
use crate::wire::group::EntryFields;
use crate::wire::{Entry, EntryKind};

const OWN: PublicKey = PublicKey([1; 32]);
const CHILD_DIR: &str = "LANCHAT_TEST_KILLED_CHILD";
/// Kills in the normal run; `LANCHAT_LAB_FULL` makes it 100.
const KILLS: u32 = 24;

fn author(number: u32) -> PublicKey {
    let mut key = [2; 32];
    key[..4].copy_from_slice(&number.to_be_bytes());
    PublicKey(key)
}

fn entry(author: PublicKey, seq: u32) -> Write {
    let room = RoomId::public("lobby");
    let fields = EntryFields {
        author,
        network: NetworkId([6; 8]),
        epoch: 5,
        seq,
        hlc: (1_000_000 + u64::from(seq)) << 16,
        prev: [0; 32],
        kind: EntryKind::TEXT,
        deps: Vec::new(),
        body: format!("line {seq}").into_bytes(),
    };
    let entry = Entry::build(fields, &room, &mut |_| [8; 64]).unwrap();
    Write::Entry {
        room,
        author: author.id(),
        epoch: 5,
        seq,
        hash: entry.hash(&room),
        bytes: entry.bytes,
        came_ms: 1_000_000 + u64::from(seq),
    }
}

fn batch(writes: Vec<Write>) -> Batch {
    let durability = Durability::Process;
    Batch { durability, writes }
}

fn head(store: &Store, author: PublicKey) -> u32 {
    let heads = store.snapshot().unwrap().heads;
    let of = heads.iter().find(|head| head.author == author.id());
    of.map_or(0, |head| head.seq)
}

/// Not a test of its own: what the next one kills. Goes on where its store ends, tidies now and
/// then, and says what was answered.
#[test]
#[ignore = "the child of the kill test"]
fn child_that_writes_and_forgets_until_killed() {
    let Ok(dir) = std::env::var(CHILD_DIR) else {
        return;
    };
    let mut store = Store::open(Some(Path::new(&dir)), &OWN.id()).unwrap();
    let mut out = std::io::stdout();
    let retention = Retention {
        entries: 300,
        days: 1_000_000,
    };
    for seq in head(&store, author(1)) + 1.. {
        let writes = vec![entry(author(1), seq), entry(author(2), seq)];
        let kept = store.apply(&batch(writes)).unwrap();
        assert!(kept.iter().all(|kept| kept.is_new()), "{seq}: {kept:?}");
        writeln!(out, " kept {seq}").unwrap();
        out.flush().unwrap();
        if seq % 64 == 0 {
            store.tidy(0, retention).unwrap();
        }
    }
}

/// Runs the child for so many answers, kills it, and returns the last number it said was kept.
fn killed_after(dir: &Path, answers: u32) -> u32 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture"])
        .arg("store::robust_tests::child_that_writes_and_forgets_until_killed")
        .env(CHILD_DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut last, mut count) = (0, 0);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let Some((_, number)) = line.split_once(" kept ") else {
            continue;
        };
        last = number.parse().unwrap();
        count += 1;
        if count == answers {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(count >= answers, "the child ended by itself after {count}");
    last
}

#[test]
fn killed_again_and_again_it_opens_and_holds_all_that_was_answered() {
    let dir = TempDir::new().unwrap();
    let full = std::env::var_os("LANCHAT_LAB_FULL").is_some();
    let kills = if full { 100 } else { KILLS };
    for kill in 0..kills {
        // From at once to in the middle of forgetting.
        let last = killed_after(dir.path(), 1 + (kill * 37) % 150);
        let store = Store::open(Some(dir.path()), &OWN.id()).unwrap();
        let held = head(&store, author(1));
        assert!(held >= last, "kill {kill}: {held} of {last}");
        assert_eq!(held, head(&store, author(2)), "a batch is whole or absent");
        let talk = Talk::Room(RoomId::public("lobby"));
        let query = Query::History(HistoryQuery::last(talk, 100));
        let lines = store.query(&query).unwrap();
        let newest = lines.last().map(|row| match row {
            Row::Line(line) => line.at.unwrap().1,
            row => panic!("{row:?}"),
        });
        assert_eq!(newest, Some(held), "kill {kill}");
        if kill % 8 == 0 {
            let sound: String = store
                .conn
                .query_row("PRAGMA integrity_check", [], |row| row.get(0))
                .unwrap();
            assert_eq!(sound, "ok");
        }
    }
}

#[test]
#[ignore = "minutes and 450 MB of disk: prints its figure"]
#[allow(clippy::disallowed_methods)]
fn a_million_lines_open_in_less_than_50_ms() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(Some(dir.path()), &OWN.id()).unwrap();
    let start = Instant::now();
    for seq in 1..=10_000 {
        let writes = (0..100).map(|number| entry(author(number), seq)).collect();
        store.apply(&batch(writes)).unwrap();
    }
    let rate = 1e6 / start.elapsed().as_secs_f64();
    drop(store);
    let mut times: Vec<_> = (0..11)
        .map(|_| {
            let start = Instant::now();
            let store = Store::open(Some(dir.path()), &OWN.id()).unwrap();
            assert_eq!(store.snapshot().unwrap().heads.len(), 100);
            start.elapsed()
        })
        .collect();
    times.sort();
    let store = Store::open(Some(dir.path()), &OWN.id()).unwrap();
    let page = Instant::now();
    let talk = Talk::Room(RoomId::public("lobby"));
    let query = Query::History(HistoryQuery::last(talk, 200));
    assert_eq!(store.query(&query).unwrap().len(), 200);
    let page = page.elapsed();
    let size = fs::metadata(dir.path().join(super::FILE)).unwrap().len();
    eprintln!(
        "1,000,000 entries: {rate:.0} kept a second, open and snapshot median {:?}, \
         worst {:?} of 11, page of 200 {page:?}, {} MB",
        times[5],
        times[10],
        size / 1_000_000
    );
    assert!(times[5].as_millis() < 50, "{times:?}");
}

#[test]
fn nothing_at_opening_walks_the_entries() {
    let store = Store::open(None, &OWN.id()).unwrap();
    let mut plans = Vec::new();
    for sql in [
        super::heads::HEAD,
        super::rooms::AUTHORS,
        "SELECT room, epoch, hlc FROM own_log WHERE author = ?",
    ] {
        let sql = format!("EXPLAIN QUERY PLAN {sql}");
        let mut statement = store.conn.prepare(&sql).unwrap();
        let parameters = statement.parameter_count();
        let rows = statement.query_map(
            rusqlite::params_from_iter(vec![rusqlite::types::Null; parameters]),
            |row| row.get::<_, String>(3),
        );
        plans.extend(rows.unwrap().map(Result::unwrap));
    }
    assert!(!plans.is_empty());
    let walks = |plan: &&String| plan.contains(" entry") || plan.contains(" line");
    assert_eq!(plans.iter().find(walks), None);
}

#[test]
fn without_history_no_words_are_kept_but_nothing_is_new_twice() {
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(Some(dir.path()), &OWN.id()).unwrap();
    store.set_keep(Keep::None);
    let epoch = Write::Epoch {
        room: RoomId::public("lobby"),
        network: NetworkId([6; 8]),
        epoch: 5,
    };
    let writes = vec![
        epoch,
        entry(OWN, 1),
        entry(author(1), 1),
        entry(author(1), 2),
    ];
    store.apply(&batch(writes)).unwrap();
    drop(store);
    let mut store = Store::open(Some(dir.path()), &OWN.id()).unwrap();
    let kept = store.apply(&batch(vec![entry(author(1), 2)])).unwrap();
    assert_eq!(kept, [Kept::Old]);
    assert_eq!(head(&store, author(1)), 2);
    assert_eq!(store.snapshot().unwrap().own_heads[0].seq, 1);
    let talk = Talk::Room(RoomId::public("lobby"));
    let query = Query::History(HistoryQuery::last(talk, 100));
    assert_eq!(store.query(&query).unwrap(), []);
    drop(store);
    let bytes = fs::read(dir.path().join(super::FILE)).unwrap();
    assert!(!bytes.windows(6).any(|part| part == b"line 1"));
}

#[test]
fn tidying_forgets_prefixes_and_moves_the_floors() {
    let mut store = Store::open(None, &OWN.id()).unwrap();
    for seq in 1..=1500 {
        store.apply(&batch(vec![entry(author(1), seq)])).unwrap();
    }
    let retention = Retention {
        entries: 100,
        days: 1_000_000,
    };
    let mut turns = 0;
    while store.tidy(0, retention).unwrap() {
        turns += 1;
    }
    assert!(turns > 2, "bounded: {turns}");
    let snapshot = store.snapshot().unwrap();
    let head = &snapshot.heads[0];
    assert_eq!((head.floor, head.low, head.seq), (1400, 1401, 1500));
    let kept = store.apply(&batch(vec![entry(author(1), 1400)])).unwrap();
    assert_eq!(kept, [Kept::BelowFloor]);
    // By age: 30 days after the last line all are too old, and the head is still known.
    let now_ms = 1_000_000 + 1501 + 30 * 24 * 60 * 60 * 1000;
    let month = Retention {
        entries: 100,
        days: 30,
    };
    store.tidy(now_ms - 2 * 60 * 60 * 1000, month).unwrap();
    while store.tidy(now_ms, month).unwrap() {}
    let head = &store.snapshot().unwrap().heads[0];
    assert_eq!((head.floor, head.seq), (1500, 1500));
    assert_ne!(head.hash, [0; 32]);
}

#[cfg(unix)]
#[test]
fn a_directory_that_cannot_be_written_is_an_error_and_can_still_be_read() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    let mut store = Store::open(Some(dir.path()), &OWN.id()).unwrap();
    store.apply(&batch(vec![entry(author(1), 1)])).unwrap();
    drop(store);
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    let file = dir.path().join(super::FILE);
    set(&file, 0o400).unwrap();
    set(dir.path(), 0o500).unwrap();
    // Root may write everywhere: nothing to see then.
    let may_write = fs::File::create(dir.path().join("probe")).is_ok();
    let before = fs::read(&file).unwrap();
    let opened = Store::open(Some(dir.path()), &OWN.id()).err();
    let reader = Reader::open(dir.path(), &OWN.id()).unwrap().unwrap();
    let talk = Talk::Room(RoomId::public("lobby"));
    let query = Query::History(HistoryQuery::last(talk, 100));
    assert_eq!(reader.view().query(&query).unwrap().len(), 1);
    drop(reader);
    assert!(may_write || fs::read(&file).unwrap() == before);
    set(dir.path(), 0o700).unwrap();
    if !may_write {
        let error = opened.expect("refused");
        assert!(error.message.contains("cannot be"), "{error}");
        assert!(error.hint.unwrap().contains("--data-dir"));
    }
}

#[test]
fn a_reader_of_nothing_makes_nothing() {
    let dir = TempDir::new().unwrap();
    let own = PeerId([1; 32]);
    assert!(Reader::open(dir.path(), &own).unwrap().is_none());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
