//! What terminals send is read as meant, wherever a read ends.

use proptest::prelude::*;

use super::*;
use crate::ui::key::{Mouse, MouseKind, script};

fn decode(bytes: &[u8]) -> Vec<Input> {
    let mut out = Vec::new();
    Decoder::default().feed(bytes, &mut out);
    out
}

fn keys(spelled: &str) -> Vec<Input> {
    script(spelled).into_iter().map(Input::Key).collect()
}

#[test]
fn what_terminals_send_is_read_as_meant() {
    for (bytes, wanted) in [
        (&b"hi\r"[..], "hi<ret>"),
        (b"\n\t\x7f\x08", "<ret><tab><bs><bs>"),
        (b"\x01\x0c\x00\x1f", "<C-a><C-l><C-space><C-_>"),
        ("é日🎉".as_bytes(), "é日🎉"),
        (b"\x1b[A\x1b[B\x1b[C\x1b[D", "<up><down><right><left>"),
        (
            b"\x1bOA\x1bOH\x1bOF\x1bOP\x1bOM",
            "<up><home><end><F1><ret>",
        ),
        (b"\x1b[1;5D\x1b[1;3C\x1b[1;2A", "<C-left><A-right><S-up>"),
        (b"\x1b[1;7A", "<C-A-up>"),
        (
            b"\x1b[3~\x1b[5~\x1b[6~\x1b[2~",
            "<del><pageup><pagedown><ins>",
        ),
        (
            b"\x1b[1~\x1b[4~\x1b[7~\x1b[8~\x1b[H\x1b[F",
            "<home><end><home><end><home><end>",
        ),
        (
            b"\x1b[3;5~\x1b[3^\x1b[d\x1bOd",
            "<C-del><C-del><S-left><C-left>",
        ),
        (
            b"\x1b[11~\x1b[15~\x1b[17~\x1b[24~\x1b[[A\x1b[[E",
            "<F1><F5><F6><F12><F1><F5>",
        ),
        (b"\x1b[1;5P", "<C-F1>"),
        (b"\x1b[Z", "<backtab>"),
        (b"\x1ba\x1b1\x1b\r\x1b\x7f", "<A-a><A-1><A-ret><A-bs>"),
        ("\x1bé".as_bytes(), "<A-é>"),
        (b"\x1b\x1b[A", "<esc><up>"),
        (
            b"\x1b[27;3;13~\x1b[13;3u\x1b[97;5u\x1b[97:65;2u",
            "<A-ret><A-ret><C-a>A",
        ),
        (b"\x1b[13;2u", "<ret>"),
        // Cut off, unknown, too long, and bytes that are no UTF-8: dropped, nothing typed.
        (b"\x1b[12\x1b[A", "<up>"),
        (b"\x1b[99~\x1b[?1;2c\x1b[5;7R\x1b[>0x", ""),
        (b"\xff\xc0\x80\xe9a\xf0\x9f\x8ex", "ax"),
        (b"\xed\xa0\x80\xc2\x9b", ""),
    ] {
        assert_eq!(decode(bytes), keys(wanted), "{}", bytes.escape_ascii());
    }
    let long = [b"\x1b[".as_slice(), &[b'1'; 100], b"~x"].concat();
    assert_eq!(decode(&long), keys("x"));
}

#[test]
fn reports_of_the_terminal() {
    let mouse = |kind, column, row| Input::Mouse(Mouse { kind, column, row });
    assert_eq!(
        decode(b"\x1b[I\x1b[O\x1b[<0;3;5M\x1b[<0;3;5m\x1b[<64;1;1M\x1b[<65;200;1M\x1b[<0;0;99999M\x1b[<x"),
        [
            Input::Focus(true),
            Input::Focus(false),
            mouse(MouseKind::Press, 2, 4),
            mouse(MouseKind::WheelUp, 0, 0),
            mouse(MouseKind::WheelDown, 199, 0),
            mouse(MouseKind::Press, 0, u16::MAX),
        ]
    );
}

#[test]
fn a_paste_is_one_piece_whatever_is_in_it() {
    let text = "line of text é \x1b[A\r\n".repeat(1000);
    assert_eq!(text.len(), 20_000 + 1000);
    let bytes = [b"a\x1b[200~", text.as_bytes(), b"\x1b[201~b"].concat();
    let wanted = [keys("a"), vec![Input::Paste(text)], keys("b")].concat();
    assert_eq!(decode(&bytes), wanted);
}

#[test]
fn a_paste_too_long_is_cut_and_ends_where_it_ends() {
    let bytes = [
        b"\x1b[200~".as_slice(),
        &vec![b'x'; PASTE_LEN_MAX + 1000],
        b"\x1b[201~y",
    ]
    .concat();
    let wanted = [vec![Input::Paste("x".repeat(PASTE_LEN_MAX))], keys("y")].concat();
    assert_eq!(decode(&bytes), wanted);
}

#[test]
fn what_nothing_follows_is_decided_by_the_deadline() {
    for (bytes, wanted) in [
        (&b"\x1b"[..], "<esc>"),
        (b"\x1b[", "<A-[>"),
        (b"\x1bO", "<A-O>"),
        (b"\x1b[12", ""),
        (b"\x1b[[", ""),
    ] {
        let mut decoder = Decoder::default();
        let mut out = Vec::new();
        decoder.feed(bytes, &mut out);
        assert!(decoder.is_waiting() && out.is_empty());
        decoder.expire(&mut out);
        assert!(!decoder.is_waiting());
        decoder.feed(b"x", &mut out);
        assert_eq!(out, [keys(wanted), keys("x")].concat());
    }
    let mut decoder = Decoder::default();
    decoder.feed(b"\xe6\x97", &mut Vec::new());
    assert!(!decoder.is_waiting());
}

/// Bytes that look like what a terminal sends, and bytes that do not.
fn terminal_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..8),
        Just(b"\x1b".to_vec()),
        Just(b"\x1b[200~".to_vec()),
        Just(b"\x1b[201~".to_vec()),
        Just(b"\x1b[<0;1;1M".to_vec()),
        "[0-9;:<]{0,40}".prop_map(|s| [b"\x1b[", s.as_bytes()].concat()),
        "\\PC{0,4}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_give_the_same_keys(
        bytes in terminal_bytes(), cuts in prop::collection::vec(0usize..80, 0..8),
    ) {
        let whole = decode(&bytes);
        let mut decoder = Decoder::default();
        let mut out = Vec::new();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        for pair in cuts.windows(2) {
            decoder.feed(&bytes[pair[0]..pair[1]], &mut out);
        }
        prop_assert_eq!(out, whole);
    }

    #[test]
    fn no_key_is_a_control_character(bytes in terminal_bytes()) {
        for input in decode(&bytes) {
            if let Input::Key(Key { code: KeyCode::Char(c), .. }) = input {
                prop_assert!(!c.is_control());
            }
        }
    }
}
