//! What may be shown, what is a name, and whose look alike.

use proptest::prelude::*;

use super::*;

fn shown(text: &str) -> String {
    DisplayText::sanitize(text).into_string()
}

/// What attacks look like, and what of it may be shown.
const ATTACKS: &[(&str, &str, &str)] = &[
    ("screen cleared", "\u{1b}[2J\u{1b}[Hhi", "[2J[Hhi"),
    ("title set", "\u{1b}]0;pwned\u{7}hi", "]0;pwnedhi"),
    (
        "clipboard set",
        "\u{1b}]52;c;aGk=\u{1b}\\hi",
        "]52;c;aGk=\\hi",
    ),
    ("8-bit CSI", "\u{9b}31mred", "31mred"),
    ("8-bit OSC", "\u{9d}0;t\u{9c}x", "0;tx"),
    ("next line", "a\u{85}b", "ab"),
    (
        "line overwritten",
        "you owe 5\ryou owe 500",
        "you owe 5you owe 500",
    ),
    ("backspaces", "rm -rf /\u{8}\u{8}ok", "rm -rf /ok"),
    ("tab, vertical tab, form feed", "a\tb\u{b}c\u{c}d", "abcd"),
    ("NUL and DEL", "a\0b\u{7f}c", "abc"),
    ("shift out", "a\u{e}lqqk\u{f}", "alqqk"),
    ("newline stays", "one\ntwo\n", "one\ntwo\n"),
    ("line separator", "a\u{2028}b\u{2029}c", "abc"),
    ("override", "exe.\u{202e}gpj", "exe.gpj"),
    ("embedding", "\u{202a}a\u{202b}b\u{202c}c\u{202d}d", "abcd"),
    ("isolates", "\u{2066}a\u{2067}b\u{2068}c\u{2069}d", "abcd"),
    ("direction marks", "a\u{200e}b\u{200f}c\u{61c}d", "abcd"),
    ("zero-width space", "ad\u{200b}min", "admin"),
    ("non-joiner", "ad\u{200c}min", "admin"),
    ("joiner between letters", "ad\u{200d}min", "admin"),
    ("joiner at the ends", "\u{200d}a👍\u{200d}", "a👍"),
    ("joiner into text", "👍\u{200d}a", "👍a"),
    ("two joiners", "👩\u{200d}\u{200d}💻", "👩\u{200d}💻"),
    ("word joiner, BOM", "a\u{2060}b\u{feff}c", "abc"),
    ("soft hyphen", "pay\u{ad}pal", "paypal"),
    (
        "invisible operators",
        "a\u{2061}b\u{2062}c\u{2063}d\u{2064}e",
        "abcde",
    ),
    ("grapheme joiner", "a\u{34f}b", "ab"),
    ("Mongolian separator", "a\u{180e}b\u{180b}c", "abc"),
    ("annotation", "a\u{fff9}b\u{fffa}c\u{fffb}d", "abcd"),
    ("Hangul fillers", "a\u{115f}\u{1160}\u{3164}\u{ffa0}b", "ab"),
    ("Khmer inherent", "a\u{17b4}\u{17b5}b", "ab"),
    (
        "hidden in tags",
        "hi\u{e0001}\u{e0068}\u{e0069}\u{e007f}",
        "hi",
    ),
    (
        "noncharacters",
        "a\u{fffe}\u{ffff}\u{fdd0}\u{1ffff}\u{10fffe}b",
        "ab",
    ),
    (
        "hidden in selectors",
        "a\u{fe00}\u{fe01}\u{e0100}\u{e01ef}b",
        "ab",
    ),
    ("selector on a letter", "a\u{fe0f}b\u{fe0e}", "ab"),
    ("selector on nothing", "\u{fe0f}a", "a"),
    ("selector twice", "❤\u{fe0f}\u{fe0f}\u{fe0e}", "❤\u{fe0f}"),
    ("selector on a mark", "❤\u{301}\u{fe0f}", "❤\u{301}"),
    ("digit with a selector", "1\u{fe0f}2", "12"),
    (
        "stack",
        "Z\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}a",
        "Z\u{301}\u{302}\u{303}\u{304}a",
    ),
    ("mark on what is before", "\u{301}a\n\u{302}b", "a\nb"),
    ("vowels over it", "\u{1161}\u{1161}a", "a"),
    (
        "vowel stack",
        "\u{1100}\u{1161}\u{1161}\u{1161}\u{1161}\u{1161}",
        "\u{1100}\u{1161}\u{1161}\u{1161}\u{1161}",
    ),
    ("shorthand, music", "a\u{1bca0}\u{1d173}b", "ab"),
    ("hieroglyphs on top", "a\u{13430}b", "ab"),
];

#[test]
fn attacks_do_nothing() {
    for (name, attack, harmless) in ATTACKS {
        assert_eq!(shown(attack), *harmless, "{name}");
    }
}

#[test]
fn honest_text_stays() {
    for text in [
        "",
        "Grüße aus Köln — “ja”, 5 € …",
        "e\u{301}te\u{301}",
        "Tiếng Việt, tiê\u{301}ng Viê\u{323}t",
        "שָׁלוֹם עוֹלָם",
        "مرحبًا",
        "नमस्ते",
        "สวัสดีครับ ที่นี่",
        "བསྒྲུབས",
        "한국어 漢字 かな が",
        "葛\u{e0100}城",
        "👍🏽 👩🏽\u{200d}💻 👨\u{200d}👩\u{200d}👧\u{200d}👦",
        "❤\u{fe0f}\u{200d}🔥 🏳\u{fe0f}\u{200d}🌈 ☎\u{fe0e}",
        "1\u{fe0f}\u{20e3} #\u{fe0f}\u{20e3}",
        "🇩🇪 🇫🇷",
        "fn main() {\n    println!(\"~\");\n}",
    ] {
        assert_eq!(shown(text), text);
    }
    // A flag made of tags is the flag without them.
    assert_eq!(
        shown("🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}"),
        "🏴"
    );
}

#[test]
fn text_is_utf_8_and_a_line_has_no_newline() {
    assert_eq!(DisplayText::from_wire(b"caf\xc3"), None);
    assert_eq!(DisplayText::from_wire(b"\xed\xa0\x80"), None);
    assert_eq!(DisplayText::line("a\nb\r\nc").as_str(), "a b c");
    let text = DisplayText::from_wire("ä\u{1b}\n".as_bytes());
    assert_eq!(text.map(DisplayText::into_string), Some("ä\n".to_owned()));
}

#[test]
fn a_name_says_what_is_wrong_with_it() {
    for (text, error) in [
        ("", NameError::Empty),
        ("   ", NameError::Empty),
        ("\u{3164}", NameError::Empty),
        ("\u{2800}\u{2800}", NameError::Empty),
        ("\u{200b}", NameError::Empty),
        ("\u{a0}\u{3000}", NameError::Empty),
        ("\u{301}", NameError::Empty),
        (" ben", NameError::Space),
        ("ben\u{3000}", NameError::Space),
        ("ben#", NameError::Forbidden('#')),
        ("@ben", NameError::Forbidden('@')),
        ("ben~k7q2", NameError::Forbidden('~')),
        ("../ben", NameError::Forbidden('/')),
        ("b\nen", NameError::Forbidden('\n')),
        ("b\u{202e}en", NameError::Forbidden('\u{202e}')),
        ("b\u{200d}en", NameError::Forbidden('\u{200d}')),
        ("\u{301}ben", NameError::Forbidden('\u{301}')),
    ] {
        assert_eq!(PeerName::new(text), Err(error), "{text:?}");
    }
    let long = "n".repeat(33);
    assert_eq!(PeerName::new(&long), Err(NameError::TooLong(33)));
    assert!(PeerName::new(&long[1..]).is_ok());
    for text in [
        "ben",
        "Ana María",
        "山田\u{3000}太郎",
        "👩\u{200d}💻",
        "O'Neil-7",
    ] {
        assert_eq!(PeerName::new(text).map(|n| n.0), Ok(text.to_owned()));
    }
    let composed = PeerName::new("e\u{301}");
    assert_eq!(composed.map(|n| n.0), Ok("é".to_owned()));
}

#[test]
fn a_name_from_outside_is_made_fit_or_is_none() {
    let from = |text: &str| PeerName::from_wire(text.as_bytes()).map(|n| n.0);
    assert_eq!(from("b\u{1b}[31men").as_deref(), Some("b[31men"));
    assert_eq!(from(" #b@e~n/ ").as_deref(), Some("ben"));
    assert_eq!(from("b\nen").as_deref(), Some("b en"));
    assert_eq!(from(" \u{301}ben").as_deref(), Some("ben"));
    assert_eq!(from("#\u{fe0f}\u{20e3}ben").as_deref(), Some("ben"));
    for none in [
        "", " ", "#@~/", "\u{202e}", "\u{3164}", "\u{2800}", "\u{301}",
    ] {
        assert_eq!(from(none), None, "{none:?}");
    }
    assert_eq!(from(&"n".repeat(33)), None);
    assert_eq!(PeerName::from_wire(b"\xff"), None);
}

#[test]
fn look_alikes_have_one_skeleton() {
    let skeleton = |text: &str| PeerName::new(text).expect("a name").skeleton();
    for (one, other) in [
        ("ben", "Ben"),
        ("ben", "bеn"), // Cyrillic е
        ("paypal", "раураl"),
        ("Ian", "lan"),
        ("Bill", "BiII"),
        ("bob0", "bobO"),
        ("anna1", "annal"),
        ("modern", "rnodern"),
        ("ana maria", "anamaria"),
        ("ana maria", "ana\u{a0}maria"),
        ("ana", "ana\u{2800}"),
        ("❤", "❤\u{fe0f}"),
        ("ben", "ｂｅｎ"),
    ] {
        assert_eq!(skeleton(one), skeleton(other), "{one:?} and {other:?}");
    }
    assert_ne!(skeleton("ben"), skeleton("ken"));
    assert_ne!(skeleton("ben"), skeleton("bén"));
}

#[test]
fn a_room_name_is_normalised_and_never_repaired() {
    assert_eq!(RoomName::new("#Lobby").map(|n| n.0), Ok("lobby".to_owned()));
    let with_space = RoomName::new("my room");
    assert_eq!(with_space, Err(NameError::Forbidden(' ')));
    assert_eq!(RoomName::new("#"), Err(NameError::Empty));
    assert_eq!(RoomName::new("##a"), Err(NameError::Forbidden('#')));
    let from = |text: &str| RoomName::from_wire(text.as_bytes()).map(|n| n.0);
    assert_eq!(from("lobby").as_deref(), Some("lobby"));
    for none in ["#lobby", "Lobby", "lob\u{200b}by", " lobby", "e\u{301}", ""] {
        assert_eq!(from(none), None, "{none:?}");
    }
    assert_eq!(RoomName::from_wire(b"\xff"), None);
}

#[test]
fn a_status_is_cut_between_characters_as_people_see_them() {
    let status = |text: &str| StatusText::new(text).0;
    assert_eq!(status(" at\nlunch \u{1b}"), "at lunch");
    assert_eq!(status(&"x".repeat(60)), "x".repeat(48));
    assert_eq!(status(&"ä".repeat(30)), "ä".repeat(24));
    // 46 + 3 bytes: the accent goes only with its letter.
    let accent = format!("{}e\u{301}", "x".repeat(46));
    assert_eq!(status(&accent), "x".repeat(46));
    // 40 + 11 bytes: half a technician is a woman.
    let emoji = format!("{}👩\u{200d}💻", "x".repeat(40));
    assert_eq!(status(&emoji), "x".repeat(40));
    // Nothing to cut between.
    assert_eq!(status(&"👩\u{200d}".repeat(20)), "");
    // The cut leaves no space at the end.
    assert_eq!(status(&format!("{} y", "x".repeat(47))), "x".repeat(47));
}

/// Text with far more than its share of what is dropped or kept by what is around it.
fn tricky() -> impl Strategy<Value = String> {
    let special = proptest::sample::select(
        "\u{200d}\u{200d}\u{fe0f}\u{fe0e}\u{20e3}\u{301}\u{327}\u{345}\u{1f3fd}👩💻❤🏴\
         \u{e0067}\u{e0100}葛1#\n \u{3000}\u{2800}\u{3164}\u{1100}\u{1161}\u{11a8}\u{200b}\
         \u{202e}\u{1b}aIİΣß~@/\u{958}\u{f71}\u{f73}\u{212b}\u{1e9e}\u{94d}\u{915}"
            .chars()
            .collect::<Vec<_>>(),
    );
    let c = prop_oneof![4 => special, 1 => any::<char>()];
    proptest::collection::vec(c, 0..24).prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn what_was_made_fit_stays_as_it_is(text in tricky()) {
        let once = shown(&text);
        prop_assert_eq!(shown(&once), once.clone());
        let line = DisplayText::line(&text).0;
        prop_assert_eq!(shown(&line), line.clone());
        prop_assert!(!line.contains('\n'));
        let status = StatusText::new(&text).0;
        prop_assert!(status.len() <= STATUS_LEN_MAX);
        prop_assert_eq!(&StatusText::new(&status).0, &status);
        prop_assert!(line.contains(&status));
    }

    #[test]
    fn names_are_their_own_normal_form(text in tricky()) {
        if let Some(name) = PeerName::from_wire(text.as_bytes()) {
            prop_assert_eq!(PeerName::new(&name.0), Ok(name.clone()));
            prop_assert_eq!(PeerName::from_wire(name.0.as_bytes()), Some(name.clone()));
            prop_assert_eq!(shown(&name.0), name.0);
        }
        if let Ok(name) = PeerName::new(&text) {
            prop_assert_eq!(PeerName::from_wire(name.0.as_bytes()), Some(name));
        }
        if let Ok(name) = RoomName::new(&text) {
            prop_assert_eq!(RoomName::new(&name.0), Ok(name.clone()));
            prop_assert_eq!(RoomName::from_wire(name.0.as_bytes()), Some(name));
        }
    }

    #[test]
    fn nothing_that_hides_or_moves_is_left(text in tricky()) {
        let text = shown(&text);
        for line in text.split('\n') {
            prop_assert!(!line.contains(char::is_control));
            prop_assert!(!line.starts_with(|c| stacks(c) || is_ignorable(c)));
            for cluster in line.graphemes(true) {
                let invisible = cluster.chars().filter(|&c| is_ignorable(c)).count();
                let visible = cluster.chars().count() - invisible;
                prop_assert!(invisible <= 2 * visible, "{:?}", cluster);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = DisplayText::from_wire(&bytes);
        let _ = PeerName::from_wire(&bytes).map(|name| name.skeleton());
        let _ = RoomName::from_wire(&bytes);
    }
}
