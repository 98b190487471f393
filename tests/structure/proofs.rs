//! Each rule finds what it is there to find, and nothing else.

use super::source::{Source, blank, test_only_files};
use super::*;

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
