//! The structure of the sources as tests: layers, sizes, heads, and what may stand where.
//!
//! `ARCHITECTURE.md` explains the layers; the table that holds is [`LAYERS`] below. Every rule is
//! a function over text, and is shown in `proofs` to find what it is there to find.

mod proofs;
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use source::{Source, test_only_files, used_paths, whole_word};

/// The leaves: they know each other and nothing above.
const LEAVES: [&str; 6] = ["id", "text", "limits", "error", "datagram", "durable"];

/// What each module may name by `crate::`, beside itself: a module, or one item of it where only
/// that is meant. `"leaves"` stands for [`LEAVES`], `"*"` for everything.
const LAYERS: &[(&str, &[&str])] = &[
    ("id", &["leaves"]),
    ("text", &["leaves"]),
    ("limits", &["leaves"]),
    ("error", &["leaves"]),
    ("datagram", &["leaves"]),
    ("durable", &["leaves"]),
    // One enum of the vocabulary travels as it is: the status in a peer record.
    ("wire", &["leaves", "api::Status"]),
    ("api", &["leaves"]),
    ("proto", &["leaves", "wire", "api"]),
    ("sim", &["leaves", "wire", "api", "proto"]),
    ("net", &["limits", "error", "datagram"]),
    ("store", &["leaves"]),
    ("runtime", &["leaves", "api", "proto", "net", "store"]),
    ("stdio", &["leaves"]),
    ("control", &["leaves", "api", "stdio", FRONT_END]),
    (
        "plain",
        &[
            "leaves",
            "stdio",
            "runtime::clock",
            "runtime::signal",
            "runtime::Notice",
        ],
    ),
    ("ui", &["leaves", "api"]),
    ("term", &["leaves", "api", "ui", FRONT_END]),
    ("cli", &["*"]),
    ("main", &["cli", "error"]),
    ("lib", &["*"]),
];

/// What a front end may know of the node: the trait and its arguments.
const FRONT_END: &str = "front end";
const FRONT_END_ITEMS: [&str; 6] = [
    "runtime::FrontEnd",
    "runtime::Flow",
    "runtime::Signal",
    "runtime::front_end",
    "proto::Now",
    "runtime::clock",
];

/// The modules that reach no I/O, and words that would mean they do.
const CORE: [&str; 9] = [
    "id", "text", "limits", "error", "datagram", "durable", "wire", "api", "proto",
];
const IO_WORDS: [&str; 14] = [
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "mio::",
    "socket2::",
    "rusqlite::",
    "ratatui::",
    "crossterm::",
    "println!",
    "eprintln!",
];

/// Clocks and sleeps; only `runtime/clock.rs` reads a clock.
const CLOCK_WORDS: [&str; 6] = [
    "Instant::now",
    "SystemTime::now",
    "Utc::now",
    "Local::now",
    "thread::sleep",
    ".elapsed()",
];

/// Longest file, in lines.
const LINES_MAX: usize = 800;

// ---------------------------------------------------------------- the rules

fn layer_violations(source: &Source) -> Vec<String> {
    let module = source.module();
    let own = module[0].as_str();
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == own) else {
        return vec![format!("{}: module {own} is not in LAYERS", source.path)];
    };
    let mut bad = Vec::new();
    for used in used_paths(&source.shipped(), &module) {
        let path = used.join("::");
        if used[0] != own && !allowed.iter().any(|entry| allows(entry, &path)) {
            bad.push(format!("{}: {own} may not use {path}", source.path));
        }
    }
    bad
}

fn allows(entry: &str, path: &str) -> bool {
    let covers = |prefix: &str| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    match entry {
        "*" => true,
        "leaves" => LEAVES.iter().any(|leaf| covers(leaf)),
        FRONT_END => FRONT_END_ITEMS.iter().any(|item| covers(item)),
        module => covers(module),
    }
}

fn io_in_core(source: &Source) -> Vec<String> {
    let module = source.module();
    let mut bad = Vec::new();
    if CORE.contains(&module[0].as_str()) {
        bad = words_found(source, &source.shipped(), &IO_WORDS);
    }
    if module[0] == "ui" {
        bad = words_found(source, &source.shipped(), &["crossterm"]);
    }
    bad
}

fn clock_violations(source: &Source) -> Vec<String> {
    if source.path == "src/runtime/clock.rs" {
        return Vec::new();
    }
    words_found(source, &source.shipped(), &CLOCK_WORDS)
}

fn unfinished(source: &Source) -> Vec<String> {
    words_found(source, &source.code, &["todo!", "unimplemented!", "dbg!"])
}

fn unsafe_violations(source: &Source) -> Vec<String> {
    let path = source.path.as_str();
    let system = path.starts_with("src/net/sys_") || path == "src/term/windows.rs";
    if system {
        return Vec::new();
    }
    words_found(source, &source.code, &["unsafe"])
}

fn size_and_head(source: &Source) -> Vec<String> {
    let mut bad = Vec::new();
    let lines = source.text.lines().count();
    if lines > LINES_MAX {
        bad.push(format!(
            "{}: {lines} lines, at most {LINES_MAX}",
            source.path
        ));
    }
    let head = source.text.lines().next().unwrap_or("");
    if !head.starts_with("//! ") {
        bad.push(format!("{}: does not begin with a `//!` head", source.path));
    }
    bad
}

/// Paths of somebody's machine in any text file of the project.
fn machine_paths(path: &str, text: &str) -> Vec<String> {
    // Put together here, so that this file does not find itself.
    let roots = [
        ["/ho", "me/"],
        ["/ro", "ot/"],
        ["/Us", "ers/"],
        ["/wo", "rk/"],
        [r"C:\Us", r"ers\"],
    ];
    let mut bad = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for root in &roots {
            let found = line.match_indices(&root.concat()).any(|(at, root)| {
                let user = &line[at + root.len()..];
                // The people of the examples may have a home.
                !["ana/", "ben/", "cid/"]
                    .iter()
                    .any(|name| user.starts_with(name))
            });
            if found {
                let number = number + 1;
                bad.push(format!(
                    "{path}:{number}: a path of one machine: {}",
                    line.trim()
                ));
            }
        }
    }
    bad
}

fn words_found(source: &Source, code: &str, words: &[&str]) -> Vec<String> {
    let mut bad = Vec::new();
    for (number, line) in code.lines().enumerate() {
        for word in words {
            if line
                .match_indices(word)
                .any(|(at, _)| whole_word(line, at, word))
            {
                bad.push(format!("{}:{}: {word}", source.path, number + 1));
            }
        }
    }
    bad
}

// ---------------------------------------------------------------- the sources as they are

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if ["target", ".git", "corpus", "artifacts"].contains(&name.as_ref()) {
            continue;
        }
        if path.is_dir() {
            walk(&path, files);
        } else {
            files.push(path);
        }
    }
    files.sort();
}

fn name_of(path: &Path) -> String {
    let inside = path.strip_prefix(root()).unwrap_or(path);
    inside.to_string_lossy().replace('\\', "/")
}

/// Every Rust file of the package.
fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    walk(root(), &mut files);
    files.retain(|path| path.extension().is_some_and(|e| e == "rs"));
    let read = |path: &PathBuf| fs::read_to_string(path).expect("a source in UTF-8");
    let mut all: Vec<Source> = files
        .iter()
        .map(|path| Source::new(&name_of(path), &read(path), false))
        .collect();
    let test_only: Vec<String> = all.iter().flat_map(test_only_files).collect();
    for source in &mut all {
        source.test_only = !source.path.starts_with("src/")
            || test_only
                .iter()
                .any(|t| source.path == *t || (t.ends_with('/') && source.path.starts_with(t)));
    }
    assert!(
        all.len() > 20,
        "the sources were not found below {:?}",
        root()
    );
    all
}

fn none_of(rule: fn(&Source) -> Vec<String>, of: fn(&Source) -> bool) {
    let bad: Vec<String> = sources().iter().filter(|s| of(s)).flat_map(rule).collect();
    assert!(bad.is_empty(), "\n{}", bad.join("\n"));
}

fn any(_: &Source) -> bool {
    true
}

fn in_src(source: &Source) -> bool {
    source.path.starts_with("src/")
}

#[test]
fn modules_use_only_the_layers_below_them() {
    none_of(layer_violations, in_src);
}

#[test]
fn the_core_names_no_io() {
    none_of(io_in_core, in_src);
}

#[test]
fn only_the_clock_reads_a_clock() {
    none_of(clock_violations, in_src);
}

#[test]
fn nothing_is_left_unfinished() {
    none_of(unfinished, any);
}

#[test]
fn unsafe_stands_only_where_systems_are_called() {
    none_of(unsafe_violations, any);
}

#[test]
fn every_file_is_short_and_has_a_head() {
    none_of(size_and_head, any);
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    let mut files = Vec::new();
    walk(root(), &mut files);
    let mut bad = Vec::new();
    for path in &files {
        if let Ok(text) = fs::read_to_string(path) {
            bad.extend(machine_paths(&name_of(path), &text));
        }
    }
    assert!(bad.is_empty(), "\n{}", bad.join("\n"));
}

#[test]
fn every_layer_of_the_table_may_exist_once() {
    let names: BTreeSet<_> = LAYERS.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), LAYERS.len());
}
