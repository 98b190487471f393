//! `lanchat history` on stores made for it.

use clap::Parser as _;
use tempfile::TempDir;

use super::args::{Args, Verb};
use super::history::History;
use super::host::Host;
use super::identity;
use super::settings::Settings;
use crate::durable::{Batch, Durability, PersonRow, PrivateRow, Write};
use crate::error::{ExitCode, UserError};
use crate::id::{MessageId, NetworkId, RoomId};
use crate::proto::Identity;
use crate::store::Store;
use crate::wire::group::EntryFields;
use crate::wire::{Entry, EntryKind};

fn settings(dir: &TempDir, words: &[&str]) -> (History, Settings) {
    let dir = dir.path().to_str().unwrap();
    let mut line = vec!["lanchat", "history", "--data-dir", dir, "--name", "ana"];
    line.extend(words);
    let args = Args::try_parse_from(line).unwrap();
    let settings = Settings::new(&args, &Host::default()).unwrap();
    match args.verb {
        Some(Verb::History(history)) => (history, settings),
        verb => panic!("{verb:?}"),
    }
}

fn history(dir: &TempDir, words: &[&str]) -> Result<String, UserError> {
    let out = dir.path().join("out");
    let _ = std::fs::remove_file(&out);
    let out = out.to_str().unwrap().to_owned();
    let (history, settings) = settings(dir, &[words, &["--export", &out]].concat());
    assert_eq!(history.run(&settings)?, ExitCode::Done);
    Ok(std::fs::read_to_string(out).unwrap())
}

fn entry(author: &Identity, seq: u32, text: &str) -> (Write, MessageId) {
    entry_about(author, seq, EntryKind::TEXT, (None, text))
}

fn entry_about(
    author: &Identity,
    seq: u32,
    kind: EntryKind,
    (about, text): (Option<MessageId>, &str),
) -> (Write, MessageId) {
    let room = RoomId::public("lobby");
    let fields = EntryFields {
        author: author.public(),
        network: NetworkId([6; 8]),
        epoch: 5,
        seq,
        hlc: (1_790_000_000_000 + u64::from(seq) * 60_000) << 16,
        prev: [0; 32],
        kind,
        deps: about.map(|id| id.0).into_iter().collect(),
        body: text.as_bytes().to_vec(),
    };
    let entry = Entry::build(fields, &room, &mut |bytes| author.sign(bytes)).unwrap();
    let hash = entry.hash(&room);
    let write = Write::Entry {
        room,
        author: author.public().id(),
        epoch: 5,
        seq,
        hash,
        bytes: entry.bytes,
        came_ms: 0,
    };
    (write, MessageId::of_entry(&hash))
}

fn record(of: &Identity, name: &str) -> Write {
    let fields = crate::wire::RecordFields {
        key: of.public(),
        incarnation: crate::id::Incarnation(1),
        record_seq: 1,
        chat_port: 5263,
        transient: false,
        deaf: false,
        status: crate::api::Status::default(),
        status_text: crate::text::StatusText::default(),
        name: crate::text::PeerName::new(name).unwrap(),
        rooms: Vec::new(),
        extensions: Vec::new(),
    };
    let record = crate::wire::PeerRecord::build(fields, &mut |bytes| of.sign(bytes)).unwrap();
    Write::Person(PersonRow {
        id: of.public().id(),
        key: of.public(),
        incarnation: 1,
        record_seq: 1,
        record: record.bytes,
    })
}

/// A store where ben said five lines, one of them hostile, and wrote privately; kept open.
fn filled(dir: &TempDir) -> (Store, Vec<MessageId>) {
    let own = identity::load_or_create(dir.path()).unwrap().identity;
    let ben = Identity::from_secret(&[2; 32]);
    let mut store = Store::open(Some(dir.path()), &own.public().id()).unwrap();
    let texts = ["one", "Two lunch", "three\nlines \u{1b}[2J", "four", "five"];
    let said = (1..).zip(texts).map(|(seq, text)| entry(&ben, seq, text));
    let (mut writes, ids): (Vec<_>, Vec<_>) = said.unzip();
    writes.push(record(&ben, "ben"));
    writes.push(Write::PrivateIn {
        id: MessageId([7; 16]),
        from: ben.public().id(),
        message: PrivateRow {
            hlc: 1_790_000_000_000 << 16,
            kind: 1,
            body: b"psst".to_vec(),
        },
    });
    let durability = Durability::Process;
    store.apply(&Batch { durability, writes }).unwrap();
    (store, ids)
}

fn texts(shown: &str) -> Vec<&str> {
    let text = |line: &'_ str| line.rfind(": ").map(|at| at + 2);
    let lines = shown.lines().filter_map(|line| Some(&line[text(line)?..]));
    lines.collect()
}

#[test]
fn it_reads_beside_a_store_that_is_open_and_shows_nothing_that_moves_the_cursor() {
    let dir = TempDir::new().unwrap();
    let (_store, ids) = filled(&dir);
    let all = history(&dir, &["#lobby"]).unwrap();
    assert_eq!(texts(&all), ["one", "Two lunch", "three", "four", "five"]);
    assert!(all.contains(" #lobby ben: three\n    lines [2J\n"), "{all}");
    let two = history(&dir, &["#Lobby", "--limit", "2"]).unwrap();
    assert_eq!(texts(&two), ["four", "five"]);
    let id = ids[2].to_string();
    let before = history(&dir, &["--before", &id]).unwrap();
    assert_eq!(texts(&before), ["one", "Two lunch"]);
    let after = history(&dir, &["--after", &id, "--limit", "1"]).unwrap();
    assert_eq!(texts(&after), ["four"]);
    let found = history(&dir, &["--search", "LUNCH two"]).unwrap();
    assert_eq!(texts(&found), ["Two lunch"]);
    assert_eq!(history(&dir, &["--search", "absent"]).unwrap(), "");
    let private = history(&dir, &["ben"]).unwrap();
    assert_eq!(texts(&private), ["psst"]);
    let everything = history(&dir, &[]).unwrap();
    assert_eq!(texts(&everything).len(), 6);
    assert_eq!(history(&dir, &["--since", "2099-01-01"]).unwrap(), "");
}

#[test]
fn the_text_is_the_same_for_all_members_that_hold_the_same() {
    let ana = TempDir::new().unwrap();
    let ben = TempDir::new().unwrap();
    let keys = [&ana, &ben].map(|dir| identity::load_or_create(dir.path()).unwrap().identity);
    let mut writes = vec![record(&keys[0], "ana"), record(&keys[1], "ben")];
    for seq in 1..=20 {
        for key in &keys {
            writes.push(
                entry(
                    key,
                    seq,
                    &format!("line {seq}\nof {}", key.public().id().tag()),
                )
                .0,
            );
        }
    }
    // Whatever name they run under now, and in whatever order it came.
    let mut shown = Vec::new();
    for (dir, key) in [(&ana, &keys[0]), (&ben, &keys[1])] {
        let mut store = Store::open(Some(dir.path()), &key.public().id()).unwrap();
        for write in &writes {
            let durability = Durability::Process;
            let writes = vec![write.clone()];
            store.apply(&Batch { durability, writes }).unwrap();
        }
        writes.reverse();
        shown.push(history(dir, &["#lobby", "--limit", "1000"]).unwrap());
    }
    assert_eq!(shown[0].lines().count(), 80);
    assert_eq!(shown[0], shown[1]);
    assert!(
        shown[0].contains(" #lobby ben: line 7\n    of "),
        "{}",
        shown[0]
    );
}

#[test]
fn what_was_taken_back_has_no_words_and_only_its_author_takes_it_back() {
    let dir = TempDir::new().unwrap();
    let (mut store, ids) = filled(&dir);
    let (ben, eve) = (
        Identity::from_secret(&[2; 32]),
        Identity::from_secret(&[3; 32]),
    );
    let back = |who, seq, id| entry_about(who, seq, EntryKind::REDACTION, (Some(id), "")).0;
    let topic = entry_about(&ben, 7, EntryKind::TOPIC, (None, "bread")).0;
    let answer = entry_about(&ben, 8, EntryKind::REPLY, (Some(ids[1]), "yes")).0;
    let writes = vec![back(&ben, 6, ids[1]), back(&eve, 1, ids[0]), topic, answer];
    let durability = Durability::Process;
    store.apply(&Batch { durability, writes }).unwrap();
    let text = history(&dir, &["#lobby"]).unwrap();
    let said: Vec<&str> = text
        .lines()
        .filter_map(|line| Some(line.split_once(" #lobby ")?.1))
        .collect();
    assert_eq!(
        said[said.len() - 3..],
        [
            "* ben took a message back",
            "* ben set the topic: bread",
            "ben: yes"
        ]
    );
    assert!(!text.contains("unknown"), "{text}");
}

#[test]
fn json_is_the_message_event_of_the_interface_page() {
    let dir = TempDir::new().unwrap();
    let (_store, ids) = filled(&dir);
    let line = history(&dir, &["#lobby", "--json", "--limit", "1"]).unwrap();
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["event"], "message");
    assert_eq!(value["id"], ids[4].to_string());
    assert_eq!(value["conversation"], "#lobby");
    assert_eq!(value["from"]["name"], "ben");
    assert_eq!(value["own"], false);
    assert_eq!(value["text"], "five");
    assert_eq!(value["time"], "2026-09-21T14:18:20.000Z");
}

#[test]
fn what_is_not_there_is_said_with_the_exit_code_of_the_interface_page() {
    let dir = TempDir::new().unwrap();
    let error = history(&dir, &["#lobby"]).expect_err("no store");
    assert_eq!(error.code, ExitCode::NotFound);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    drop(filled(&dir));
    let unknown = MessageId([9; 16]).to_string();
    for words in [&["#games"][..], &["cid"], &["--before", &unknown]] {
        let error = history(&dir, words).expect_err("not kept");
        assert_eq!(error.code, ExitCode::NotFound, "{error}");
        assert!(error.hint.is_some());
    }
    std::fs::write(dir.path().join(crate::store::FILE), "no database").unwrap();
    let error = history(&dir, &["#lobby"]).expect_err("damaged");
    assert_eq!(error.code, ExitCode::Failed);
    assert!(error.message.contains("not a message store"), "{error}");
}

#[test]
fn a_file_that_exists_is_not_overwritten() {
    let dir = TempDir::new().unwrap();
    drop(filled(&dir));
    let path = dir.path().join("kept");
    std::fs::write(&path, "mine").unwrap();
    let (history, settings) = settings(&dir, &["--export", path.to_str().unwrap()]);
    let error = history.run(&settings).expect_err("exists");
    assert_eq!(error.code, ExitCode::Failed);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
}
