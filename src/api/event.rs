//! What the node tells its front ends.

mod scalars;

pub use scalars::{Conversation, Timestamp};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::command::{Passphrase, TextKind};
use super::diagnosis::Cause;
use crate::id::{MessageId, PeerId};

/// Something happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The node runs; always the first event.
    Ready {
        /// Version of this vocabulary, 1.
        v: u32,
        /// Version of the program.
        version: String,
        /// Who this node is.
        #[serde(rename = "self")]
        own: SelfInfo,
        /// The UDP port that all datagrams are sent from.
        chat_port: u16,
        /// The interfaces in use.
        interfaces: Vec<InterfaceInfo>,
        /// Open rooms, with `#`.
        rooms: Vec<String>,
    },
    /// Who this node is changed (`name`, `status`).
    #[serde(rename = "self")]
    Own {
        /// Who this node is.
        #[serde(rename = "self")]
        own: SelfInfo,
    },
    /// A peer appeared, changed or left.
    Peer {
        /// The `ref` of the `who` that asked.
        #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
        reference: Option<Value>,
        /// Who.
        peer: PeerRef,
        /// Whether they can be reached.
        state: PeerState,
        /// What they say of themselves.
        status: Status,
        /// Words with it, may be empty.
        status_text: String,
        /// Whether an address of theirs is validated in this run.
        confirmed: bool,
        /// Another lanchat version, with which there is no talking.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        incompatible: bool,
        /// The name is pinned to another key: another person, or somebody who poses as them.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        name_conflict: bool,
        /// Addresses, the one in use first.
        addresses: Vec<String>,
        /// Open rooms, with `#`.
        rooms: Vec<String>,
        /// Smoothed round-trip time in milliseconds, if measured.
        rtt_ms: Option<f64>,
        /// A one-shot command, not announced on screens.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        transient: bool,
    },
    /// A line in a conversation, own ones included.
    Message {
        /// The `ref` of the `history` that asked.
        #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
        reference: Option<Value>,
        /// Its id.
        id: MessageId,
        /// Where it was said.
        conversation: Conversation,
        /// Who said it.
        from: PeerRef,
        /// Whether it was this node.
        own: bool,
        /// What kind of line.
        kind: TextKind,
        /// What was said; sanitised where it came from outside.
        text: String,
        /// When, by the author's clock.
        time: Timestamp,
        /// Whether it came too late for its place in the order.
        delayed: bool,
        /// The message behind which it stands, if that is not the end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<MessageId>,
        /// The message that a `reply` answers, or that a `redaction` takes back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answers: Option<MessageId>,
        /// Its author took it back: there is no text any more.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        redacted: bool,
    },
    /// How an own message stands.
    Receipt {
        /// The message.
        id: MessageId,
        /// Where it was said.
        conversation: Conversation,
        /// How it stands.
        state: ReceiptState,
        /// How many have it.
        delivered: u32,
        /// Of how many who were online when it was sent.
        of: u32,
        /// Who has not.
        missing: Vec<PeerRef>,
        /// Who left or went offline before having it.
        left: Vec<PeerRef>,
        /// Whether only some of many members acknowledge it: `of` counts these.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        sampled: bool,
    },
    /// A room and who is in it: asked for, or because it changed. A room that only others are in
    /// and that all of them left has no members.
    Room {
        /// The `ref` of the `rooms` that asked.
        #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
        reference: Option<Value>,
        /// Its name, with `#`.
        room: String,
        /// Whether this node is in it.
        joined: bool,
        /// Whether it has a passphrase.
        locked: bool,
        /// Ids of the others in it that are online.
        members: Vec<PeerId>,
        /// What it is about, as far as somebody said so.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        topic: String,
    },
    /// Whether what is said is kept changed.
    Store {
        /// Whether it is.
        kept: bool,
        /// In a sentence.
        message: String,
    },
    /// Others handed over lines that were said before this node came or while it was away:
    /// `history` tells them now.
    History {
        /// Where.
        conversation: Conversation,
        /// How many.
        lines: u32,
    },
    /// Lines of one author are missing.
    Gap {
        /// Where.
        conversation: Conversation,
        /// Whose.
        from: PeerRef,
        /// How many.
        missing: u32,
    },
    /// The state of the network changed, or is told because a `doctor` asked.
    Network {
        /// The `ref` of the `doctor` that asked.
        #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
        reference: Option<Value>,
        /// In one word.
        state: NetworkState,
        /// Each interface.
        interfaces: Vec<InterfaceState>,
        /// What it comes to, where a `doctor` asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        verdict: Option<NetworkVerdict>,
    },
    /// A command succeeded.
    Reply {
        /// Its `ref`.
        #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
        reference: Option<Value>,
        /// Always true.
        ok: bool,
        /// The message that a `send` made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<MessageId>,
        /// The passphrase that a `join` made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        passphrase: Option<Passphrase>,
    },
    /// A command failed, or something else that a person should know.
    Error {
        /// The `ref` of the command, if one failed.
        #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
        reference: Option<Value>,
        /// A stable word for scripts, such as `no_such_peer`.
        code: String,
        /// One sentence.
        message: String,
        /// What to do about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
}

/// A person, as events name them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PeerRef {
    /// Their id.
    pub id: PeerId,
    /// Their name, sanitised.
    pub name: String,
    /// As many characters of the id as tell them apart.
    pub tag: String,
    /// Whether the safety number was compared.
    #[serde(default)]
    pub verified: bool,
}

/// Who this node is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SelfInfo {
    /// Own id.
    pub id: PeerId,
    /// Own name.
    pub name: String,
    /// First characters of the id.
    pub tag: String,
}

/// An interface in use.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InterfaceInfo {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<String>,
}

/// What works on an interface.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct InterfaceState {
    /// Its name.
    pub name: String,
    /// Whether multicast can be sent and received here.
    pub multicast: bool,
    /// Whether broadcast can.
    pub broadcast: bool,
    /// What is wrong and what to do, if something is.
    pub hint: Option<String>,
    /// The likely cause, once it was looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The command that helps, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Paths by which group datagrams of other computers came: `mcast4`, `mcast6`, `bcast4`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heard: Vec<String>,
    /// Paths by which others hear this computer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heard_by_others: Vec<String>,
    /// Paths by which own group datagrams came back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub looped: Vec<String>,
}

/// What a diagnosis comes to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NetworkVerdict {
    /// The likely cause.
    pub cause: Cause,
    /// One sentence.
    pub message: String,
    /// The command that helps, if one is known.
    pub remedy: Option<String>,
    /// Whether a round trip to another computer succeeded.
    pub reached: bool,
    /// Whether a second node on this computer was found and answers, where one was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_round_trip: Option<bool>,
}

/// The network in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkState {
    /// Works.
    Ok,
    /// Works in part; the hints say what does not.
    Degraded,
    /// No interface but the loopback, or nobody who was here is heard any more.
    Down,
}

/// Whether a peer can be reached.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerState {
    /// Heard of lately.
    Online,
    /// Did not answer; shown dimmed.
    Suspect,
    /// Given up; shown greyed.
    Offline,
    /// Said goodbye.
    Left,
}

/// What somebody says of themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Here.
    #[default]
    Available,
    /// Not at the keyboard.
    Away,
    /// Does not want to be disturbed.
    Busy,
}

/// How an own message stands: only what is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptState {
    /// Kept here, not sent yet.
    Queued,
    /// Handed to the network.
    Sent,
    /// Acknowledged by everybody it was for.
    Delivered,
    /// Read by its receiver.
    Read,
    /// Given up.
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ben() -> PeerRef {
        let id = PeerId([3; 32]);
        PeerRef {
            id,
            name: "ben".into(),
            tag: id.tag(),
            verified: false,
        }
    }

    #[test]
    fn a_message_has_the_fields_of_the_interface_page() {
        let event = Event::Message {
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
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["event"], "message");
        assert_eq!(json["conversation"], "#lobby");
        assert_eq!(json["time"], "2023-11-14T22:13:20.123Z");
        assert_eq!(json["from"]["name"], "ben");
        assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event);
    }

    #[test]
    fn conversations_read_back() {
        for conversation in [
            Conversation::Room("lobby".into()),
            Conversation::Peer(PeerId([9; 32])),
        ] {
            assert_eq!(conversation.to_string().parse(), Ok(conversation));
        }
        assert!("lobby".parse::<Conversation>().is_err());
        assert!("@short".parse::<Conversation>().is_err());
    }

    #[test]
    fn a_time_beyond_the_calendar_does_not_panic() {
        assert!(!Timestamp(u64::MAX).to_string().is_empty());
    }
}
