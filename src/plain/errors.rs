//! What can go wrong with an address, as sentences.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use crate::error::{ExitCode, UserError};

/// This address cannot be listened on.
pub(super) fn cannot_listen(address: SocketAddr, error: &io::Error) -> UserError {
    let (reason, hint) = match error.kind() {
        ErrorKind::AddrInUse => (
            "another program uses this port".to_owned(),
            "end that program, or choose another port",
        ),
        ErrorKind::AddrNotAvailable => (
            "this machine has no such address".to_owned(),
            "0.0.0.0 listens on every IPv4 address of this machine, [::] on the IPv6 ones too",
        ),
        ErrorKind::PermissionDenied => (
            "the system does not let you use this port".to_owned(),
            "ports above 1023 are for everybody",
        ),
        _ => (error.to_string(), "try another address or port"),
    };
    let message = format!("cannot listen on {address}: {reason}");
    UserError::new(ExitCode::Network, message).hint(hint)
}

/// There is nothing at this address, or no way to it.
pub(super) fn cannot_reach(address: SocketAddr, error: &io::Error) -> UserError {
    let (code, reason, hint) = match error.kind() {
        ErrorKind::ConnectionRefused => (
            ExitCode::Failed,
            "nobody listens there (connection refused)".to_owned(),
            "start the other side first, and see that the port is the same",
        ),
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => (
            ExitCode::Network,
            "there is no way to it from here".to_owned(),
            "see that both are on one network; to a group or to everybody, listen on the address \
             of the network card to use",
        ),
        ErrorKind::TimedOut => (
            ExitCode::Network,
            "it does not answer".to_owned(),
            "see that the machine is on, and that no firewall is between",
        ),
        _ => (
            ExitCode::Network,
            error.to_string(),
            "see that the address is right",
        ),
    };
    UserError::new(code, format!("cannot reach {address}: {reason}")).hint(hint)
}

/// An IPv4 address cannot write to an IPv6 one.
pub(super) fn other_family(listen: SocketAddr, peer: SocketAddr) -> UserError {
    let message = format!("{listen} cannot write to {peer}: one is IPv4, the other IPv6");
    UserError::new(ExitCode::Usage, message).hint("listen on [::] to write to both kinds")
}

/// Nobody connects to a group.
pub(super) fn not_of_one_machine(address: SocketAddr) -> UserError {
    let message = format!("cannot listen on {address}: TCP knows no groups");
    UserError::new(ExitCode::Usage, message).hint("`lanchat plain udp` does")
}

/// A line that was not sent to this peer.
pub(super) fn not_sent(address: SocketAddr, len: usize, error: &io::Error) -> UserError {
    let (reason, hint) = match error.kind() {
        _ if error.raw_os_error() == Some(TOO_LONG) => (
            format!("{len} bytes do not fit into one datagram"),
            "write it in several lines",
        ),
        ErrorKind::PermissionDenied => (
            "the system does not let it out".to_owned(),
            "a firewall on this machine may forbid it",
        ),
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => (
            "there is no way to it from here".to_owned(),
            "see that this machine is still on that network",
        ),
        _ => (error.to_string(), "it may work again later"),
    };
    let message = format!("this line was not sent to {address}: {reason}");
    UserError::new(ExitCode::Network, message).hint(hint)
}

/// `EMSGSIZE`, which has no kind of its own. The bound differs: 65,507 bytes over IPv4, 20 more
/// over IPv6, 9,216 on a Mac.
#[cfg(unix)]
const TOO_LONG: i32 = nix::libc::EMSGSIZE;
/// `WSAEMSGSIZE`.
#[cfg(windows)]
const TOO_LONG: i32 = 10_040;

/// The system refuses what the loop needs.
pub(super) fn system_error(error: io::Error) -> UserError {
    UserError::new(ExitCode::Failed, format!("the system refuses: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_a_sentence_with_a_hint_and_its_code() {
        let address: SocketAddr = "[fe80::1%3]:7000".parse().unwrap();
        for (error, code, says) in [
            (
                cannot_listen(address, &ErrorKind::AddrInUse.into()),
                5,
                "uses this port",
            ),
            (
                cannot_listen(address, &ErrorKind::AddrNotAvailable.into()),
                5,
                "no such address",
            ),
            (
                cannot_listen(address, &ErrorKind::PermissionDenied.into()),
                5,
                "let you",
            ),
            (
                cannot_listen(address, &ErrorKind::OutOfMemory.into()),
                5,
                "memory",
            ),
            (
                cannot_reach(address, &ErrorKind::ConnectionRefused.into()),
                1,
                "refused",
            ),
            (
                cannot_reach(address, &ErrorKind::HostUnreachable.into()),
                5,
                "no way",
            ),
            (
                cannot_reach(address, &ErrorKind::TimedOut.into()),
                5,
                "answer",
            ),
            (not_of_one_machine(address), 2, "groups"),
            (other_family(address, ([10, 0, 0, 1], 7).into()), 2, "IPv4"),
            (
                not_sent(address, 70_000, &io::Error::from_raw_os_error(TOO_LONG)),
                5,
                "70000 bytes",
            ),
            (
                not_sent(address, 7, &ErrorKind::NetworkUnreachable.into()),
                5,
                "no way",
            ),
        ] {
            assert_eq!(error.code as u8, code, "{error}");
            assert!(error.message.contains(says), "{error}");
            assert!(error.message.contains("[fe80::1%3]:7000"), "{error}");
            assert!(
                !error.message.contains('\n') && error.hint.is_some(),
                "{error}"
            );
        }
    }
}
