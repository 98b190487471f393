//! The kernel's word that an interface or an address changed, by rtnetlink(7).
//!
//! It only makes the next look at the interfaces come sooner: what changed is found by looking,
//! so nothing of the messages is read, and a message that was lost is no loss.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

/// Links that come, go, or gain or lose their carrier, and addresses of both families.
const GROUPS: i32 = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
/// Messages taken at once; whoever floods more of them than this is read on in the next turn.
const MESSAGES_MAX: usize = 256;

/// A netlink socket that listens for changes.
pub(super) struct Changes {
    socket: OwnedFd,
    /// Edge-triggered: not all of it may have been read.
    readable: bool,
}

impl Changes {
    /// Listens from now on, under this token.
    ///
    /// # Errors
    /// The system refuses, as a sandbox may.
    pub(super) fn listen(registry: &Registry, token: Token) -> io::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        bind(
            socket.as_raw_fd(),
            &NetlinkAddr::new(0, GROUPS.cast_unsigned()),
        )?;
        registry.register(
            &mut SourceFd(&socket.as_raw_fd()),
            token,
            Interest::READABLE,
        )?;
        Ok(Changes {
            socket,
            readable: true,
        })
    }

    /// An event for the token came.
    pub(super) fn handle_ready(&mut self) {
        self.readable = true;
    }

    /// Whether something changed since the last call.
    pub(super) fn take(&mut self) -> bool {
        let mut changed = false;
        // Of a message that is longer than this the rest is dropped.
        let mut message = [0; 64];
        for _ in 0..MESSAGES_MAX {
            if !self.readable {
                break;
            }
            match recv(self.socket.as_raw_fd(), &mut message, MsgFlags::empty()) {
                Err(Errno::EAGAIN) => self.readable = false,
                Err(Errno::EINTR) => {}
                // Some were lost.
                Ok(_) | Err(Errno::ENOBUFS) => changed = true,
                Err(error) => {
                    tracing::debug!(%error, "netlink");
                    self.readable = false;
                }
            }
        }
        changed
    }
}
