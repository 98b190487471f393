//! What macOS and the BSDs do their way.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use quinn_udp::UdpSocketState;
use socket2::{SockRef, Socket};

use super::Unreachable;
use super::udp::Family;
use crate::datagram::{Link, LinkId};

/// Lets several processes share a presence port; here it takes both options.
pub(super) fn share_port(socket: &Socket, _family: Family) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)
}

/// Binds a presence socket to one interface: it hears that alone.
///
/// # Errors
/// The interface is gone, or the port is taken by a program that does not share it.
#[cfg(target_os = "macos")]
pub(super) fn bind_to_link(
    socket: &Socket,
    family: Family,
    link: &Link,
    port: u16,
) -> io::Result<()> {
    let index = std::num::NonZeroU32::new(link.id.0);
    match family {
        Family::V4 => socket.bind_device_by_index_v4(index)?,
        Family::V6 => socket.bind_device_by_index_v6(index)?,
    }
    socket.bind(&family.any(port).into())
}

/// There is no binding to an interface here.
///
/// # Errors
/// Always `Unsupported`: one socket has to serve all interfaces.
#[cfg(not(target_os = "macos"))]
pub(super) fn bind_to_link(
    _socket: &Socket,
    _family: Family,
    _link: &Link,
    _port: u16,
) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// What a presence socket is bound for: an interface for which this changes gets another one.
/// IPv4 groups are joined by address.
pub(super) fn bind_key(link: &Link, family: Family) -> String {
    match family {
        Family::V4 => format!("{} {:?}", link.name, link.v4.first()),
        Family::V6 => link.name.clone(),
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

/// Nothing to prepare here.
pub(super) fn prepare_chat(_socket: &Socket) -> io::Result<()> {
    Ok(())
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
