//! What the network is, in the words of the front ends.

use crate::api::{Event, InterfaceInfo, InterfaceState, NetworkState, SelfInfo};
use crate::datagram::Link;
use crate::net::{LinkState, NetState};
use crate::text::RoomName;

/// The first event of a node.
pub(super) fn ready_event(
    own: SelfInfo,
    chat_port: u16,
    links: &[Link],
    rooms: &[RoomName],
) -> Event {
    let outside = links.iter().filter(|link| !link.loopback);
    Event::Ready {
        v: 1,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        own,
        chat_port,
        interfaces: outside.map(interface).collect(),
        rooms: rooms.iter().map(|room| format!("#{room}")).collect(),
    }
}

/// What a person is told where nobody who was here answers any more.
const DISCONNECTED: &str =
    "nobody answers any more, you are disconnected: check the cable or the Wi-Fi";

/// What works. The loopback is left out unless something is wrong with it. `disconnected`: the
/// interfaces seem to work, but nobody is heard by them.
pub(super) fn network_event(states: &[LinkState], disconnected: bool) -> Event {
    let state = match NetState::of(states) {
        _ if disconnected => NetworkState::Down,
        NetState::Ok => NetworkState::Ok,
        NetState::Degraded => NetworkState::Degraded,
        NetState::Down => NetworkState::Down,
    };
    let hint = disconnected.then(|| DISCONNECTED.to_owned());
    let told = states
        .iter()
        .filter(|state| !state.loopback || state.hint.is_some());
    Event::Network {
        state,
        interfaces: told
            .map(|state| InterfaceState {
                name: state.name.clone(),
                multicast: state.multicast,
                broadcast: state.broadcast,
                hint: state.hint.clone().or_else(|| hint.clone()),
            })
            .collect(),
    }
}

fn interface(link: &Link) -> InterfaceInfo {
    let v4 = link.v4.iter().map(|at| at.address.to_string());
    let v6 = link.v6.iter().map(ToString::to_string);
    InterfaceInfo {
        name: link.name.clone(),
        addresses: v4.chain(v6).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nobody_answers_the_network_is_down_and_says_what_to_do() {
        let state = LinkState {
            name: "eth0".into(),
            loopback: false,
            used: true,
            multicast: true,
            broadcast: true,
            hint: None,
        };
        let told = |disconnected| match network_event(std::slice::from_ref(&state), disconnected) {
            Event::Network { state, interfaces } => (state, interfaces[0].hint.clone()),
            other => panic!("{other:?}"),
        };
        assert_eq!(told(false), (NetworkState::Ok, None));
        assert_eq!(told(true), (NetworkState::Down, Some(DISCONNECTED.into())));
    }
}
