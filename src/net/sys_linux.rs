//! What only Linux does its way: binding to a device, the multicast interface by index, and the
//! queue of ICMP errors.
#![allow(unsafe_code)]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;

use nix::libc;
use quinn_udp::UdpSocketState;
use socket2::{InterfaceIndexOrAddress, MaybeUninitSlice, MsgHdrMut, SockAddr, SockRef, Socket};

use super::Unreachable;
use super::udp::Family;
use crate::datagram::{Link, LinkId};

/// Lets several processes share a presence port. Not `SO_REUSEPORT`: together with it group
/// datagrams go to a socket that has not joined.
pub(super) fn share_port(socket: &Socket, family: Family) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    match family {
        Family::V4 => socket.set_multicast_all_v4(false),
        // Linux 4.20; older ones deliver what other sockets joined too, which does no harm.
        Family::V6 => socket.set_multicast_all_v6(false).or(Ok(())),
    }
}

/// Binds a presence socket to one interface: it hears that alone.
///
/// # Errors
/// `PermissionDenied` before Linux 5.7 without `CAP_NET_RAW`: one socket has to serve all
/// interfaces.
pub(super) fn bind_to_link(
    socket: &Socket,
    family: Family,
    link: &Link,
    port: u16,
) -> io::Result<()> {
    socket.bind_device(Some(link.name.as_bytes()))?;
    socket.bind(&family.any(port).into())
}

/// What a presence socket is bound for: an interface for which this changes gets another one.
pub(super) fn bind_key(link: &Link, _family: Family) -> String {
    link.name.clone()
}

/// Joins a group on an interface.
pub(super) fn join(socket: SockRef<'_>, group: IpAddr, link: &Link) -> io::Result<()> {
    match group {
        IpAddr::V4(group) => {
            socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(link.id.0))
        }
        IpAddr::V6(group) => socket.join_multicast_v6(&group, link.id.0),
    }
}

/// Where the next IPv4 group datagram leaves. By index, since two interfaces can have one address.
pub(super) fn set_multicast_interface4(
    socket: SockRef<'_>,
    link: LinkId,
    _address: Ipv4Addr,
) -> io::Result<()> {
    let request = libc::ip_mreqn {
        imr_multiaddr: libc::in_addr { s_addr: 0 },
        imr_address: libc::in_addr { s_addr: 0 },
        imr_ifindex: link.0.cast_signed(),
    };
    set_option(socket, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &request)
}

/// Asks for ICMP errors, and switches off the time stamps that quinn-udp asked for: with them,
/// what the kernel tells of a joined batch does not fit the room that quinn-udp has for it, and
/// the congestion bits or the interface are cut off.
pub(super) fn set_up_info(socket: &Socket, state: &UdpSocketState) -> io::Result<()> {
    state.enable_transport_errors(socket.into())?;
    set_option(
        socket.into(),
        libc::SOL_SOCKET,
        libc::SO_TIMESTAMPNS,
        &0_i32,
    )
}

fn set_option<T>(socket: SockRef<'_>, level: i32, name: i32, value: &T) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0);
    // SAFETY: the descriptor is open while `socket` borrows it, and the pointer and the length
    // are those of a live value, which the kernel only reads.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            len,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Nothing to prepare here.
pub(super) fn prepare_chat(_socket: &Socket) -> io::Result<()> {
    Ok(())
}

/// Takes one error from the queue of a chat socket.
///
/// Done here and not by quinn-udp's `recv_transport_error`, which tells who sent the ICMP error
/// (for an absent host on the link: ourselves) and not which destination it is about.
///
/// # Errors
/// `WouldBlock` when the queue is empty.
pub(super) fn take_error(socket: SockRef<'_>, family: Family) -> io::Result<Option<Unreachable>> {
    let mut destination = SockAddr::from(family.any(0));
    let mut data = [MaybeUninit::<u8>::uninit(); 1];
    let mut data = [MaybeUninitSlice::new(&mut data)];
    let mut control = [MaybeUninit::new(0_u8); 512];
    let mut message = MsgHdrMut::new()
        .with_addr(&mut destination)
        .with_buffers(&mut data)
        .with_control(&mut control);
    socket.recvmsg(&mut message, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT)?;
    let control_len = message.control_len().min(control.len());
    // SAFETY: every byte was initialised with zero above; the kernel only overwrote some.
    let control = unsafe { std::slice::from_raw_parts(control.as_ptr().cast::<u8>(), control_len) };
    let is_refusal = |error| u32::try_from(libc::ECONNREFUSED) == Ok(error);
    let destination = destination.as_socket().map(|at| Unreachable {
        at,
        refused: error_numbers(control).any(is_refusal),
    });
    Ok(destination.filter(|_| error_numbers(control).any(means_unreachable)))
}

fn means_unreachable(error: u32) -> bool {
    [
        libc::ECONNREFUSED,
        libc::EHOSTUNREACH,
        libc::ENETUNREACH,
        libc::EHOSTDOWN,
        libc::EACCES,
    ]
    .into_iter()
    .any(|number| u32::try_from(number) == Ok(error))
}

/// The error numbers of the `sock_extended_err` messages among these control messages.
fn error_numbers(mut control: &[u8]) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        loop {
            let (header, rest) = control.split_at_checked(size_of::<libc::cmsghdr>())?;
            let (len, kind) = header.split_first_chunk::<{ size_of::<usize>() }>()?;
            let len = usize::from_ne_bytes(*len).checked_sub(header.len())?;
            let (level, kind) = kind.split_first_chunk()?;
            let level = i32::from_ne_bytes(*level);
            let kind = i32::from_ne_bytes(*kind.first_chunk()?);
            let body = rest.get(..len)?;
            let padded = len.next_multiple_of(size_of::<usize>());
            control = rest.get(padded..).unwrap_or_default();
            let is_error = matches!(
                (level, kind),
                (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
            );
            if is_error {
                return body.first_chunk().map(|number| u32::from_ne_bytes(*number));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(level: i32, kind: i32, body: &[u8]) -> Vec<u8> {
        let mut out = (size_of::<libc::cmsghdr>() + body.len())
            .to_ne_bytes()
            .to_vec();
        out.extend(level.to_ne_bytes());
        out.extend(kind.to_ne_bytes());
        out.extend(body);
        out.resize(out.len().next_multiple_of(size_of::<usize>()), 0);
        out
    }

    #[test]
    fn the_error_is_found_behind_other_control_messages() {
        let mut control = message(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &[1; 16]);
        control.extend(message(libc::IPPROTO_IP, libc::IP_TOS, &[2]));
        control.extend(message(
            libc::IPPROTO_IP,
            libc::IP_RECVERR,
            &[111, 0, 0, 0, 2, 3],
        ));
        let numbers: Vec<u32> = error_numbers(&control).collect();
        assert_eq!(numbers, [u32::from_ne_bytes([111, 0, 0, 0])]);
    }

    #[test]
    fn control_bytes_that_lie_about_their_length_end_the_search() {
        let whole = message(libc::IPPROTO_IP, libc::IP_RECVERR, &[111, 0, 0, 0]);
        for len in 0..whole.len() - 4 {
            assert_eq!(error_numbers(&whole[..len]).count(), 0, "{len}");
        }
        let mut long = whole.clone();
        long[..8].copy_from_slice(&usize::MAX.to_ne_bytes());
        assert_eq!(error_numbers(&long).count(), 0);
        let mut short = whole;
        short[..8].copy_from_slice(&3_usize.to_ne_bytes());
        assert_eq!(error_numbers(&short).count(), 0);
    }

    #[test]
    fn a_datagram_that_is_too_big_makes_nobody_unreachable() {
        assert!(!means_unreachable(libc::EMSGSIZE.cast_unsigned()));
        assert!(means_unreachable(libc::ECONNREFUSED.cast_unsigned()));
    }
}
