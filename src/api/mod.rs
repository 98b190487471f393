//! The one vocabulary of every front end: [`Command`] in, [`Event`] out.
//!
//! The screen, line mode, `pipe`, the one-shot commands and (later) the local socket speak it
//! and nothing else. Its JSON form is a contract with other people's scripts.

pub mod command;
pub mod diagnosis;
pub mod event;
pub mod history;
pub mod slash;

pub use command::{Command, Passphrase, Request, TextKind};
pub use event::{
    Conversation, Event, InterfaceInfo, InterfaceState, NetworkState, NetworkVerdict, PeerRef,
    PeerState, ReceiptState, SelfInfo, Status, Timestamp,
};
