//! One object a line: requests read, events written.

use serde::Deserialize;
use serde_json::Value;

use crate::api::{Event, Request};
use crate::limits::JSON_LINE_LEN_MAX;
use crate::text::DisplayText;

/// Every command, by name. A test keeps it in step with [`crate::api::Command`].
pub const COMMANDS: [&str; 13] = [
    "send", "join", "leave", "topic", "redact", "history", "who", "rooms", "status", "name",
    "trust", "doctor", "quit",
];

/// The request of a line, or the `error` event that answers it, with the line's `ref` if it is
/// an object that has one. Codes: `bad_json` where the line is no JSON, `bad_command` where it
/// is no command.
///
/// # Errors
/// The line is no request.
pub fn parse_request(line: &str) -> Result<Request, Box<Event>> {
    let value: Value = serde_json::from_str(line).map_err(|error| {
        let message = format!("this line is not JSON: {error}");
        bad(None, "bad_json", message, "write one JSON object a line")
    })?;
    let Value::Object(fields) = &value else {
        let message = "this line is JSON but no object".to_owned();
        return Err(bad(None, "bad_command", message, EXAMPLE));
    };
    let reference = fields.get("ref").filter(|value| !value.is_null()).cloned();
    let problem = match fields.get("command") {
        None => "\"command\" is missing".to_owned(),
        Some(Value::String(name)) if COMMANDS.contains(&name.as_str()) => {
            return Request::deserialize(&value).map_err(|error| {
                let message = format!("this {name} is not right: {error}");
                bad(reference, "bad_command", message, EXAMPLE)
            });
        }
        Some(Value::String(name)) => {
            // Long names are cut: this answers a mistake, it does not repeat it in full.
            let name: String = DisplayText::line(name).as_str().chars().take(32).collect();
            format!("there is no command {name:?}")
        }
        Some(_) => "\"command\" is not a string".to_owned(),
    };
    let hint = format!("the commands are {}", COMMANDS.join(", "));
    Err(bad(reference, "bad_command", problem, &hint))
}

/// The answer to a line of more than [`JSON_LINE_LEN_MAX`] bytes.
#[must_use]
pub fn too_long() -> Event {
    let message = format!("this line is longer than {JSON_LINE_LEN_MAX} bytes");
    *bad(None, "line_too_long", message, "send a shorter text")
}

/// The answer to a line that is not UTF-8.
#[must_use]
pub fn not_utf8() -> Event {
    let message = "this line is not UTF-8".to_owned();
    *bad(None, "not_utf8", message, "write JSON in UTF-8")
}

/// An event as a line, without its newline.
#[must_use]
pub fn to_line(event: &Event) -> String {
    // Only maps with keys that are no strings fail, and an event has none.
    serde_json::to_string(event).unwrap_or_default()
}

const EXAMPLE: &str = r##"such as {"command":"send","to":"#lobby","text":"hello"}"##;

fn bad(reference: Option<Value>, code: &str, message: String, hint: &str) -> Box<Event> {
    Box::new(Event::Error {
        reference,
        code: code.to_owned(),
        message: DisplayText::line(&message).into_string(),
        hint: Some(hint.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::{
        Command, Conversation, InterfaceInfo, InterfaceState, NetworkState, PeerRef, PeerState,
        ReceiptState, SelfInfo, Status, TextKind, Timestamp,
    };
    use crate::id::{MessageId, PeerId};

    fn error_of(line: &str) -> (Option<Value>, String, String, String) {
        match *parse_request(line).expect_err(line) {
            Event::Error {
                reference,
                code,
                message,
                hint,
            } => (reference, code, message, hint.expect("a hint")),
            other => panic!("{other:?}"),
        }
    }

    fn ben() -> PeerRef {
        PeerRef {
            id: PeerId([3; 32]),
            name: "ben".into(),
            tag: "x3fa".into(),
            verified: false,
        }
    }

    /// The examples of the interface page, its `…` filled in.
    fn assert_line(event: &Event, example: &str) {
        let example = example
            .replace("PEER", &PeerId([3; 32]).to_string())
            .replace("MESSAGE", &MessageId([1; 16]).to_string());
        assert_eq!(to_line(event), example);
        assert_eq!(&serde_json::from_str::<Event>(&example).unwrap(), event);
    }

    #[test]
    fn every_command_of_the_table_is_a_command_and_no_other_is() {
        for name in COMMANDS {
            let line = json!({ "command": name }).to_string();
            if let Err(error) = serde_json::from_str::<Request>(&line) {
                assert!(error.to_string().contains("missing field"), "{error}");
            }
        }
        let error = serde_json::from_str::<Request>(r#"{"command":"fly"}"#).unwrap_err();
        let known: Vec<String> = COMMANDS.iter().map(|name| format!("`{name}`")).collect();
        let list = known.join(", ");
        assert!(error.to_string().contains(&list), "{error} / {list}");
    }

    #[test]
    fn the_commands_of_the_interface_page_are_taken() {
        let line = r##"{"command":"send","ref":7,"to":"#lobby","text":"hello","new":[{}]}"##;
        let request = parse_request(line).unwrap();
        assert_eq!(request.reference, Some(json!(7)));
        let send = Command::Send {
            answers: None,
            to: "#lobby".into(),
            text: "hello".into(),
            kind: TextKind::Text,
        };
        assert_eq!(request.command, send);
        let request = parse_request(r#" {"ref":{"a":[1]},"command":"trust","peer":"x"} "#).unwrap();
        assert_eq!(request.reference, Some(json!({"a": [1]})));
        assert_eq!(request.command, Command::Trust { peer: "x".into() });
    }

    #[test]
    fn a_bad_line_is_answered_with_its_ref_and_what_to_do() {
        for line in ["{", "hello", "{\"command\":\"who\"\0}", "{} {}", "1e999"] {
            let (reference, code, message, _) = error_of(line);
            assert_eq!((reference, code.as_str()), (None, "bad_json"), "{line}");
            assert!(!message.contains('\n'), "{message}");
        }
        assert_eq!(error_of(&"[".repeat(100_000)).1, "bad_json", "too deep");
        for line in ["7", "[]", "null", "\"who\""] {
            assert_eq!(error_of(line).1, "bad_command", "{line}");
        }
        let (reference, code, message, hint) = error_of(r#"{"command":"fly","ref":"a"}"#);
        assert_eq!(
            (reference, code.as_str()),
            (Some(json!("a")), "bad_command")
        );
        assert_eq!(message, "there is no command \"fly\"");
        assert_eq!(
            hint,
            "the commands are send, join, leave, topic, redact, history, who, rooms, status, name, trust, doctor, quit"
        );
        for (line, part) in [
            (r#"{"ref":1}"#, "\"command\" is missing"),
            (r#"{"ref":1,"command":2}"#, "not a string"),
            (
                r#"{"ref":1,"command":"send","to":"x"}"#,
                "missing field `text`",
            ),
            (
                r#"{"ref":1,"command":"send","to":"x","text":3}"#,
                "invalid type",
            ),
            (
                r#"{"ref":1,"command":"status","status":"asleep"}"#,
                "unknown variant `asleep`",
            ),
        ] {
            let (reference, code, message, _) = error_of(line);
            assert_eq!((reference, code.as_str()), (Some(json!(1)), "bad_command"));
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_name_of_a_command_is_not_repeated_in_full() {
        let line = json!({ "command": format!("\u{202e}{}", "x".repeat(100_000)) }).to_string();
        let message = error_of(&line).2;
        assert!(message.len() < 80 && !message.contains("202e"), "{message}");
    }

    #[test]
    fn events_are_the_examples_of_the_interface_page() {
        let ready = Event::Ready {
            v: 1,
            version: "0.1.0".into(),
            own: SelfInfo {
                id: PeerId([3; 32]),
                name: "ana".into(),
                tag: "k7q2".into(),
            },
            chat_port: 5263,
            interfaces: vec![InterfaceInfo {
                name: "eth0".into(),
                addresses: vec!["10.0.0.7".into()],
            }],
            rooms: vec!["#lobby".into()],
        };
        assert_line(
            &ready,
            r##"{"event":"ready","v":1,"version":"0.1.0","self":{"id":"PEER","name":"ana","tag":"k7q2"},"chat_port":5263,"interfaces":[{"name":"eth0","addresses":["10.0.0.7"]}],"rooms":["#lobby"]}"##,
        );
        let peer = Event::Peer {
            reference: None,
            peer: ben(),
            state: PeerState::Online,
            status: Status::Available,
            status_text: String::new(),
            confirmed: true,
            incompatible: false,
            name_conflict: false,
            addresses: vec!["10.0.0.9:5263".into()],
            rooms: vec!["#lobby".into()],
            rtt_ms: Some(0.4),
            transient: false,
        };
        assert_line(
            &peer,
            r##"{"event":"peer","peer":{"id":"PEER","name":"ben","tag":"x3fa","verified":false},"state":"online","status":"available","status_text":"","confirmed":true,"addresses":["10.0.0.9:5263"],"rooms":["#lobby"],"rtt_ms":0.4}"##,
        );
        let message = Event::Message {
            reference: None,
            id: MessageId([1; 16]),
            conversation: Conversation::Room("lobby".into()),
            from: ben(),
            own: false,
            kind: TextKind::Text,
            text: "hello".into(),
            time: Timestamp(1_700_000_000_123),
            delayed: false,
            after: None,
            answers: None,
            redacted: false,
        };
        assert_line(
            &message,
            r##"{"event":"message","id":"MESSAGE","conversation":"#lobby","from":{"id":"PEER","name":"ben","tag":"x3fa","verified":false},"own":false,"kind":"text","text":"hello","time":"2023-11-14T22:13:20.123Z","delayed":false}"##,
        );
    }

    #[test]
    fn answers_are_the_examples_of_the_interface_page() {
        let receipt = Event::Receipt {
            id: MessageId([1; 16]),
            conversation: Conversation::Room("lobby".into()),
            state: ReceiptState::Delivered,
            delivered: 3,
            of: 3,
            missing: Vec::new(),
            left: Vec::new(),
            sampled: false,
        };
        assert_line(
            &receipt,
            r##"{"event":"receipt","id":"MESSAGE","conversation":"#lobby","state":"delivered","delivered":3,"of":3,"missing":[],"left":[]}"##,
        );
        let room = Event::Room {
            reference: None,
            room: "#games".into(),
            joined: true,
            locked: false,
            members: vec![PeerId([3; 32])],
            topic: String::new(),
        };
        assert_line(
            &room,
            r##"{"event":"room","room":"#games","joined":true,"locked":false,"members":["PEER"]}"##,
        );
        let network = Event::Network {
            reference: None,
            state: NetworkState::Ok,
            interfaces: vec![InterfaceState {
                name: "eth0".into(),
                multicast: true,
                broadcast: true,
                hint: None,
                ..InterfaceState::default()
            }],
            verdict: None,
        };
        assert_line(
            &network,
            r#"{"event":"network","state":"ok","interfaces":[{"name":"eth0","multicast":true,"broadcast":true,"hint":null}]}"#,
        );
        let reply = Event::Reply {
            reference: Some(json!(7)),
            ok: true,
            id: Some(MessageId([1; 16])),
            passphrase: None,
        };
        assert_line(
            &reply,
            r#"{"event":"reply","ref":7,"ok":true,"id":"MESSAGE"}"#,
        );
        let error = Event::Error {
            reference: Some(json!(7)),
            code: "no_such_peer".into(),
            message: "nobody is called ben".into(),
            hint: Some("run who".into()),
        };
        assert_line(
            &error,
            r#"{"event":"error","ref":7,"code":"no_such_peer","message":"nobody is called ben","hint":"run who"}"#,
        );
        let gap = Event::Gap {
            conversation: Conversation::Peer(PeerId([3; 32])),
            from: ben(),
            missing: 2,
        };
        assert_line(
            &gap,
            r#"{"event":"gap","conversation":"@PEER","from":{"id":"PEER","name":"ben","tag":"x3fa","verified":false},"missing":2}"#,
        );
    }
}
