//! Chat with programs that speak bare UDP or TCP text: netcat, and what tutorials teach.
//!
//! It has nothing to do with a node: no identity, no presence, no encryption. One thread on one
//! `mio::Poll` (`run.rs`) between the person's side ([`desk`], the standard streams and signals)
//! and the network's side, which is [`udp`] or [`tcp`]. What arrives becomes a line of
//! [`DisplayText`](crate::text::DisplayText) in `text.rs` and is shown in no other form.

mod connection;
mod desk;
mod errors;
mod listener;
mod run;
mod tcp;
mod text;
mod udp;

use std::net::SocketAddr;

use crate::error::{ExitCode, UserError};
use crate::text::PeerName;

/// What `plain udp` is started with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UdpOptions {
    /// Where to receive, and the address that is sent from.
    pub listen: SocketAddr,
    /// To whom every line goes: machines, groups and broadcast addresses. Without any it goes to
    /// whoever wrote last.
    pub peers: Vec<SocketAddr>,
    /// Stands before every line that is sent, as `name  : `.
    pub say_name: Option<PeerName>,
}

/// What `plain tcp` is started with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TcpOptions {
    /// Serve whoever connects here.
    Listen(SocketAddr),
    /// Connect to the first of these addresses of one machine that answers.
    Connect(Vec<SocketAddr>),
}

/// Chats over UDP until stdin ends, a farewell is typed or a signal comes.
///
/// # Errors
/// The address cannot be listened on, a peer cannot be reached, or stdout cannot be written.
pub fn udp(options: &UdpOptions) -> Result<ExitCode, UserError> {
    run::run(|registry, desk| udp::Udp::open(options, registry, desk))
}

/// Chats over TCP until stdin ends, a farewell is typed, a signal comes, or the machine that was
/// connected to is gone.
///
/// # Errors
/// The address cannot be listened on or connected to, or stdout cannot be written.
pub fn tcp(options: &TcpOptions) -> Result<ExitCode, UserError> {
    run::run(|registry, desk| tcp::Tcp::open(options, registry, desk))
}
