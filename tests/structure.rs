//! The structure of the sources as tests: layers, sizes, heads, and what may stand where.
//!
//! `ARCHITECTURE.md` explains the layers; the table that holds is [`LAYERS`] below. Every rule is
//! a function over text, and is shown further down to find what it is there to find.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

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
    ("control", &["leaves", "api", FRONT_END]),
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

/// A source file, read and taken apart.
struct Source {
    /// Relative to the package, with `/`.
    path: String,
    text: String,
    /// Without comments, and with the contents of strings blanked.
    code: String,
    /// Whether the whole file is compiled for tests only.
    test_only: bool,
}

impl Source {
    fn new(path: &str, text: &str, test_only: bool) -> Self {
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
            code: blank(text),
            test_only,
        }
    }

    /// The code that ships: without the test modules at its bottom.
    fn shipped(&self) -> String {
        if self.test_only {
            String::new()
        } else {
            without_tests(&self.code)
        }
    }

    /// `src/wire/header.rs` is `["wire", "header"]`, `src/wire/mod.rs` is `["wire"]`.
    fn module(&self) -> Vec<String> {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let mut parts: Vec<String> = inside
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        if parts.len() > 1 && parts.last().is_some_and(|last| last == "mod") {
            parts.pop();
        }
        parts
    }
}

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

fn whole_word(line: &str, at: usize, word: &str) -> bool {
    let of_word = |c: char| c.is_alphanumeric() || c == '_';
    let starts = word.starts_with(of_word);
    let ends = word.ends_with(of_word);
    let before = line[..at].chars().next_back().is_some_and(of_word);
    let after = line[at + word.len()..].chars().next().is_some_and(of_word);
    !(starts && before || ends && after)
}

// ---------------------------------------------------------------- taking sources apart

/// Every path below the crate's root that `code` names, by `crate::`, `lanchat::` or `super::`.
fn used_paths(code: &str, module: &[String]) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    for root in ["crate::", "lanchat::"] {
        for (at, _) in code.match_indices(root) {
            if whole_word(code, at, root) && !code[..at].ends_with("$") {
                use_tree(&code[at + root.len()..], &[], &mut found);
            }
        }
    }
    for (at, _) in code.match_indices("super::") {
        if code[..at].ends_with("super::") || !whole_word(code, at, "super::") {
            continue;
        }
        let mut rest = &code[at..];
        let mut base = module.to_vec();
        while let Some(up) = rest.strip_prefix("super::") {
            base.pop();
            rest = up;
        }
        use_tree(rest, &base, &mut found);
    }
    found.retain(|path| !path.is_empty());
    found
}

/// Adds every path of a use tree (`a::{b, c::d}`) that starts at `text`; returns what follows.
fn use_tree<'a>(text: &'a str, base: &[String], found: &mut BTreeSet<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = use_tree(rest, base, found).trim_start();
            match rest.strip_prefix(',') {
                Some(more) if !more.trim_start().starts_with('}') => rest = more,
                Some(more) => return &more.trim_start()[1..],
                None => return rest.strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let mut path = base.to_vec();
    if !name.is_empty() && name != "self" {
        path.push(name.to_owned());
    }
    if let Some(deeper) = rest.strip_prefix("::") {
        return use_tree(deeper, &path, found);
    }
    found.insert(path);
    let rest = rest.strip_prefix('*').unwrap_or(rest);
    match rest.trim_start().strip_prefix("as ") {
        Some(renamed) => renamed
            .trim_start()
            .trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'),
        None => rest,
    }
}

/// `code` with its `#[cfg(test)]` modules blanked.
fn without_tests(code: &str) -> String {
    let mut out = String::new();
    let mut rest = code;
    while let Some(at) = test_attributes(rest).next().map(|(at, _)| at) {
        let after = &rest[at..];
        let end = match (after.find('{'), after.find(';')) {
            (Some(brace), semicolon) if semicolon.is_none_or(|s| brace < s) => {
                brace + block_len(&after[brace..])
            }
            (_, Some(semicolon)) => semicolon + 1,
            _ => after.len(),
        };
        out.push_str(&rest[..at]);
        out.extend(
            after[..end]
                .chars()
                .map(|c| if c == '\n' { '\n' } else { ' ' }),
        );
        rest = &after[end..];
    }
    out.push_str(rest);
    out
}

/// Where the attributes stand that let code be compiled for tests only: begin and end of each.
fn test_attributes(code: &str) -> impl Iterator<Item = (usize, usize)> {
    let test_only = |condition: &str| {
        let mut words = condition.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        words.any(|word| word == "test") && !condition.contains("not") && !condition.contains("any")
    };
    code.match_indices("#[cfg(").filter_map(move |(at, _)| {
        let len = code[at..].find(']')? + 1;
        test_only(&code[at..at + len]).then_some((at, at + len))
    })
}

/// Bytes of the block that starts with the `{` at the beginning of `text`.
fn block_len(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

/// `text` with comments and the contents of strings and characters replaced by spaces.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = opaque_end(&chars, at);
        if end > at {
            out.extend(
                chars[at..end]
                    .iter()
                    .map(|&c| if c == '\n' { '\n' } else { ' ' }),
            );
            at = end;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

/// Where the comment, string or character literal that starts at `at` ends; `at` if none does.
fn opaque_end(chars: &[char], at: usize) -> usize {
    let next = |by: usize| chars.get(at + by).copied().unwrap_or('\0');
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '/' if next(1) == '/' => find(chars, at, |c, i| c[i] == '\n').unwrap_or(chars.len()),
        '/' if next(1) == '*' => block_comment_end(chars, at),
        'r' if (!in_word || chars[at - 1] == 'b') && (next(1) == '"' || next(1) == '#') => {
            raw_string_end(chars, at)
        }
        '"' => quoted_end(chars, at, '"'),
        '\'' if next(1) == '\\' || next(2) == '\'' => quoted_end(chars, at, '\''),
        _ => at,
    }
}

fn find(chars: &[char], from: usize, hit: impl Fn(&[char], usize) -> bool) -> Option<usize> {
    (from..chars.len()).find(|&i| hit(chars, i))
}

fn block_comment_end(chars: &[char], from: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = from;
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn raw_string_end(chars: &[char], from: usize) -> usize {
    let hashes = chars[from + 1..].iter().take_while(|&&c| c == '#').count();
    if chars.get(from + 1 + hashes) != Some(&'"') {
        return from; // a raw identifier
    }
    let closes = |c: &[char], i: usize| {
        c[i] == '"' && c[i + 1..].iter().take_while(|&&c| c == '#').count() >= hashes
    };
    find(chars, from + 2 + hashes, closes).map_or(chars.len(), |i| i + 1 + hashes)
}

fn quoted_end(chars: &[char], from: usize, quote: char) -> usize {
    let mut at = from + 1;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// Files that `parent` declares by `#[cfg(test)] mod name;`.
fn test_only_files(parent: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (_, end) in test_attributes(&parent.code) {
        let after = parent.code[end..].trim_start();
        let after = after.strip_prefix("pub(crate) ").unwrap_or(after);
        let after = after.strip_prefix("pub(super) ").unwrap_or(after);
        let Some(rest) = after.strip_prefix("mod ") else {
            continue;
        };
        let name: String = rest
            .chars()
            .take_while(|&c| c.is_alphanumeric() || c == '_')
            .collect();
        if rest[name.len()..].starts_with(';') {
            let dir = match parent.path.rsplit_once('/') {
                Some((dir, "mod.rs" | "lib.rs" | "main.rs")) => dir.to_owned(),
                _ => parent.path.trim_end_matches(".rs").to_owned(),
            };
            found.push(format!("{dir}/{name}.rs"));
            found.push(format!("{dir}/{name}/"));
        }
    }
    found
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

// ---------------------------------------------------------------- each rule can fail

fn src(path: &str, text: &str) -> Source {
    Source::new(path, text, false)
}

#[test]
fn a_forbidden_layer_is_found_however_it_is_written() {
    for (path, text) in [
        ("src/wire/header.rs", "use crate::proto::Config;"),
        ("src/wire/header.rs", "use crate::{id::PeerId, store};"),
        (
            "src/wire/header.rs",
            "use crate::{id::{PeerId, Nonce}, net::Net,};",
        ),
        ("src/wire/header.rs", "use super::super::proto::Now;"),
        ("src/wire/mod.rs", "use super::proto::Now;"),
        ("src/id.rs", "fn f() -> crate::api::Event { g() }"),
        ("src/net/mod.rs", "use crate::id::PeerId;"),
        ("src/ui/model.rs", "use crate::term::Terminal;"),
        (
            "src/control/json.rs",
            "use crate::runtime::{FrontEnd, run};",
        ),
        ("src/term/mod.rs", "use crate::proto::{Endpoint, Now};"),
        ("src/main.rs", "use lanchat::store::Store;"),
        ("src/surprise/mod.rs", ""),
    ] {
        assert_eq!(
            layer_violations(&src(path, text)).len(),
            1,
            "{path}: {text}"
        );
    }
}

#[test]
fn an_allowed_layer_is_not_found() {
    for (path, text) in [
        (
            "src/wire/header.rs",
            "use crate::id::PeerId; use super::cursor::Reader;",
        ),
        (
            "src/wire/header.rs",
            "// use crate::proto::Config;\nconst A: &str = \"crate::proto\";",
        ),
        (
            "src/wire/header.rs",
            "#[cfg(test)]\nmod tests { use crate::proto::Identity; }",
        ),
        (
            "src/durable.rs",
            "use crate::id::{PeerId, PublicKey as Key};",
        ),
        (
            "src/control/json.rs",
            "use crate::runtime::{FrontEnd, Flow}; use crate::proto::Now;",
        ),
        ("src/cli/send.rs", "use crate::{runtime::run, store, net};"),
        ("src/main.rs", "fn main() { lanchat::cli::main() }"),
    ] {
        let bad = layer_violations(&src(path, text));
        assert!(bad.is_empty(), "{path}: {text}: {bad:?}");
    }
}

#[test]
fn code_after_a_test_module_is_still_looked_at() {
    let text = "#[cfg(test)]\nmod tests { fn a() {} }\nuse crate::proto::Now;";
    assert_eq!(layer_violations(&src("src/wire/mod.rs", text)).len(), 1);
    let text = "#[cfg(test)]\nmod tests;\nuse crate::proto::Now;";
    assert_eq!(layer_violations(&src("src/wire/mod.rs", text)).len(), 1);
    let text = "#[cfg(not(test))]\nmod real { use crate::proto::Now; }";
    assert_eq!(layer_violations(&src("src/wire/mod.rs", text)).len(), 1);
    let text = "#[cfg(all(test, unix))]\nmod tests { use crate::proto::Now; }";
    assert_eq!(layer_violations(&src("src/wire/mod.rs", text)).len(), 0);
}

#[test]
fn a_file_declared_for_tests_only_is_known_as_such() {
    let parent = src(
        "src/proto/mod.rs",
        "#[cfg(test)]\npub(crate) mod kit;\nmod other;",
    );
    assert_eq!(
        test_only_files(&parent),
        ["src/proto/kit.rs", "src/proto/kit/"]
    );
    let parent = src("src/proto/group.rs", "#[cfg(test)]\nmod tests;");
    assert_eq!(test_only_files(&parent)[0], "src/proto/group/tests.rs");
}

#[test]
fn io_in_the_core_is_found() {
    let bad = |path, text| io_in_core(&src(path, text)).len();
    assert_eq!(bad("src/proto/endpoint.rs", "use std::net::UdpSocket;"), 1);
    assert_eq!(
        bad(
            "src/wire/mod.rs",
            "fn f() { std::fs::read(p); println!(); }"
        ),
        2
    );
    assert_eq!(bad("src/ui/view.rs", "use crossterm::event::Event;"), 1);
    assert_eq!(bad("src/net/mod.rs", "use std::net::UdpSocket;"), 0);
    assert_eq!(
        bad(
            "src/proto/endpoint.rs",
            "use std::net::SocketAddr; // UdpSocket"
        ),
        0
    );
}

#[test]
fn a_clock_read_is_found() {
    let bad = |path, text| clock_violations(&src(path, text)).len();
    assert_eq!(bad("src/proto/endpoint.rs", "let now = Instant::now();"), 1);
    assert_eq!(
        bad("src/net/mod.rs", "std::thread::sleep(d); start.elapsed();"),
        2
    );
    assert_eq!(bad("src/runtime/clock.rs", "let now = Instant::now();"), 0);
    let in_test = "#[cfg(test)] mod tests { fn f() { Instant::now(); } }";
    assert_eq!(bad("src/net/mod.rs", in_test), 0);
}

#[test]
fn unfinished_code_is_found() {
    // Assembled, so that the rule does not find this test.
    for word in ["to", "unimplemen", "d"].iter().zip(["do!", "ted!", "bg!"]) {
        let text = format!("fn f() {{ {}{}() }}", word.0, word.1);
        assert_eq!(unfinished(&src("src/id.rs", &text)).len(), 1, "{text}");
        let comment = format!("// {text}");
        assert_eq!(
            unfinished(&src("src/id.rs", &comment)).len(),
            0,
            "{comment}"
        );
    }
}

#[test]
fn unsafe_outside_the_system_files_is_found() {
    let text = format!("fn f() {{ {} {{ g() }} }}", ["un", "safe"].concat());
    assert_eq!(unsafe_violations(&src("src/net/mod.rs", &text)).len(), 1);
    assert_eq!(unsafe_violations(&src("tests/lab/main.rs", &text)).len(), 1);
    assert_eq!(
        unsafe_violations(&src("src/net/sys_linux.rs", &text)).len(),
        0
    );
    assert_eq!(
        unsafe_violations(&src("src/term/windows.rs", &text)).len(),
        0
    );
}

#[test]
fn a_long_file_and_a_missing_head_are_found() {
    let long = format!("//! Head.\n{}", "\n".repeat(LINES_MAX));
    assert_eq!(size_and_head(&src("src/id.rs", &long)).len(), 1);
    assert_eq!(size_and_head(&src("src/id.rs", "use std::fmt;\n")).len(), 1);
    assert_eq!(size_and_head(&src("src/id.rs", "//! Head.\n")).len(), 0);
}

#[test]
fn a_machine_path_is_found() {
    let text = format!("see {}builder/lanchat", ["/ho", "me/"].concat());
    assert_eq!(machine_paths("README.md", &text).len(), 1);
    let text = text.replace("builder", "ana");
    assert_eq!(machine_paths("README.md", &text).len(), 0);
    assert_eq!(
        machine_paths("README.md", "see docs/protocol.md and /dev/tty").len(),
        0
    );
}

#[test]
fn strings_comments_and_characters_are_blanked_and_nothing_else() {
    let cases = [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"f("x \" y") + 1"#, "f(        ) + 1"),
        (
            "let c = '{'; let l: &'a str;",
            "let c =    ; let l: &'a str;",
        ),
        (r"let q = '\''; x", r"let q =     ; x"),
    ];
    for (text, want) in cases {
        assert_eq!(blank(text), want, "{text}");
    }
    let raw = format!("r{0}\"un {1} \"x\"{0} y", "#", "quote");
    assert_eq!(blank(&raw).trim(), "y");
}
