//! What only Windows does its way: interfaces by address, and two calls that take raw pointers.
#![allow(unsafe_code)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::os::windows::io::AsRawSocket;
use std::ptr;
use std::sync::Mutex;

use quinn_udp::UdpSocketState;
use socket2::{SockRef, Socket};
use windows_sys::Win32::Networking::WinSock;
use windows_sys::Win32::System::Console;

use super::Unreachable;
use super::udp::Family;
use crate::datagram::{Link, LinkId};

/// Lets several processes share a presence port.
pub(super) fn share_port(socket: &Socket, _family: Family) -> io::Result<()> {
    socket.set_reuse_address(true)
}

/// Binds a presence socket to one interface by its address; it hears that interface's
/// broadcasts and groups too.
///
/// # Errors
/// The address is gone, or the port is taken by a program that does not share it.
pub(super) fn bind_to_link(
    socket: &Socket,
    family: Family,
    link: &Link,
    port: u16,
) -> io::Result<()> {
    let address: Option<SocketAddr> = match family {
        Family::V4 => link.v4.first().map(|at| (at.address, port).into()),
        Family::V6 => {
            let local = link.v6.iter().find(|at| at.is_unicast_link_local());
            let scope = local.map_or(0, |_| link.id.0);
            local
                .or(link.v6.first())
                .map(|at| SocketAddrV6::new(*at, port, 0, scope).into())
        }
    };
    let address = address.ok_or(io::ErrorKind::AddrNotAvailable)?;
    socket.bind(&address.into())
}

/// What a presence socket is bound for: an interface for which this changes gets another one.
pub(super) fn bind_key(link: &Link, family: Family) -> String {
    match family {
        Family::V4 => format!("{} {:?}", link.name, link.v4.first()),
        Family::V6 => format!("{} {:?}", link.name, link.v6),
    }
}

/// Joins a group on an interface.
pub(super) fn join(socket: SockRef<'_>, group: IpAddr, link: &Link) -> io::Result<()> {
    match (group, link.v4.first()) {
        (IpAddr::V4(group), Some(at)) => socket.join_multicast_v4(&group, &at.address),
        (IpAddr::V4(_), None) => Err(io::ErrorKind::AddrNotAvailable.into()),
        (IpAddr::V6(group), _) => socket.join_multicast_v6(&group, link.id.0),
    }
}

/// Where the next IPv4 group datagram leaves.
pub(super) fn set_multicast_interface4(
    socket: SockRef<'_>,
    _link: LinkId,
    address: Ipv4Addr,
) -> io::Result<()> {
    socket.set_multicast_if_v4(&address)
}

/// Switches off that a refused datagram makes a later receive fail (`SIO_UDP_CONNRESET`).
pub(super) fn prepare_chat(socket: &Socket) -> io::Result<()> {
    let off: u32 = 0;
    let mut returned: u32 = 0;
    // SAFETY: the socket is open while it is borrowed; the input is a live 4-byte BOOL, there is
    // no output, and `returned` is live for the call, which is not overlapped.
    let result = unsafe {
        WinSock::WSAIoctl(
            socket.as_raw_socket() as WinSock::SOCKET,
            WinSock::SIO_UDP_CONNRESET,
            (&raw const off).cast(),
            4,
            ptr::null_mut(),
            0,
            &raw mut returned,
            ptr::null_mut(),
            None,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Nothing to add to what quinn-udp sets up here.
pub(super) fn set_up_info(_socket: &Socket, _state: &UdpSocketState) -> io::Result<()> {
    Ok(())
}

/// There is no queue of errors here.
///
/// # Errors
/// Always `WouldBlock`: nothing there.
pub(super) fn take_error(_socket: SockRef<'_>, _family: Family) -> io::Result<Option<Unreachable>> {
    Err(io::ErrorKind::WouldBlock.into())
}

/// Why the console wants the process to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConsoleControl {
    /// Ctrl-C or Ctrl-Break.
    Interrupt,
    /// The window is closed, or the user logs off.
    Close,
}

type Handler = Box<dyn Fn(ConsoleControl) + Send>;

static HANDLER: Mutex<Option<Handler>> = Mutex::new(None);

/// Calls `handler`, on a thread of the system's, instead of ending the process. It stands here
/// because unsafe code is confined to this file and its siblings.
///
/// # Errors
/// The system refuses.
pub fn on_console_control(handler: Handler) -> io::Result<()> {
    *HANDLER
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(handler);
    // SAFETY: the routine has the signature that the call asks for and lives as long as the
    // process; adding it twice is allowed.
    let done = unsafe { Console::SetConsoleCtrlHandler(Some(console_routine), 1) };
    if done != 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

unsafe extern "system" fn console_routine(event: u32) -> windows_sys::core::BOOL {
    let control = match event {
        Console::CTRL_C_EVENT | Console::CTRL_BREAK_EVENT => ConsoleControl::Interrupt,
        _ => ConsoleControl::Close,
    };
    {
        let handler = HANDLER
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(handler) = &*handler {
            handler(control);
        }
    }
    if control == ConsoleControl::Close {
        // The process ends when this returns; the loop ends it in order before (the system
        // waits 5 s).
        loop {
            std::thread::park();
        }
    }
    1
}
