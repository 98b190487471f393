//! What the network is, in the words of the front ends.

use serde_json::Value;

use crate::api::diagnosis::{Cause, Diagnosis, Facts, LinkKind, Paths};
use crate::api::{Event, InterfaceInfo, InterfaceState, NetworkState, NetworkVerdict, SelfInfo};
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
        reference: None,
        state,
        interfaces: told
            .map(|state| InterfaceState {
                name: state.name.clone(),
                multicast: state.multicast,
                broadcast: state.broadcast,
                hint: state.hint.clone().or_else(|| hint.clone()),
                ..InterfaceState::default()
            })
            .collect(),
        verdict: None,
    }
}

/// What a diagnosis says of each interface. The loopback is left out unless it is the trouble.
#[must_use]
pub fn diagnosis_event(facts: &Facts, diagnosis: &Diagnosis, reference: Option<Value>) -> Event {
    let told = facts.links.iter().zip(&diagnosis.links);
    let told = told.filter(|(link, verdict)| match verdict.cause {
        Cause::None => link.kind != LinkKind::Loopback,
        // Of containers there may be dozens.
        Cause::NotSearched => link.kind != LinkKind::Internal && link.carrier,
        _ => true,
    });
    let interfaces = told.map(|(link, verdict)| {
        let hears_us = facts.people_on(link.id).fold(Paths::default(), |all, one| {
            all.union(one.hears_us_on(link.id))
        });
        InterfaceState {
            name: link.name.clone(),
            multicast: link.looped.multicast(),
            broadcast: link.looped.broadcast(),
            hint: (verdict.cause != Cause::None).then(|| verdict.sentence.clone()),
            cause: Some(verdict.cause),
            remedy: verdict.remedy.clone(),
            heard: link.heard.words(),
            heard_by_others: hears_us.words(),
            looped: link.looped.words(),
        }
    });
    Event::Network {
        reference,
        state: match (diagnosis.usable, diagnosis.overall.cause) {
            (false, _) => NetworkState::Down,
            (true, Cause::None) => NetworkState::Ok,
            (true, _) => NetworkState::Degraded,
        },
        interfaces: interfaces.collect(),
        verdict: Some(NetworkVerdict {
            cause: diagnosis.overall.cause,
            message: diagnosis.overall.sentence.clone(),
            remedy: diagnosis.overall.remedy.clone(),
            reached: diagnosis.reached,
            own_round_trip: facts.own_round_trip,
        }),
    }
}

/// Says of each interface why nobody is found on it, where that is known; what finds people
/// elsewhere, or was said before, is not worth a word.
pub(super) fn add_causes(event: &mut Event, facts: &Facts, diagnosis: &Diagnosis) {
    let Event::Network {
        state, interfaces, ..
    } = event
    else {
        return;
    };
    for (link, verdict) in facts.links.iter().zip(&diagnosis.links) {
        let searched = link.kind == LinkKind::Lan && link.used && link.has_address;
        let is_told = searched || verdict.cause == diagnosis.overall.cause;
        // Some paths of a few datagrams each may just have been lost.
        let unsure = verdict.cause == Cause::OwnFirewall && link.looped.any();
        if !verdict.is_trouble() || !is_told || unsure {
            continue;
        }
        let place = interfaces.iter().position(|at| at.name == link.name);
        let place = place.unwrap_or_else(|| {
            interfaces.push(InterfaceState {
                name: link.name.clone(),
                ..InterfaceState::default()
            });
            interfaces.len() - 1
        });
        let interface = &mut interfaces[place];
        interface.hint = Some(verdict.hint());
        interface.cause = Some(verdict.cause);
        interface.remedy.clone_from(&verdict.remedy);
        if *state == NetworkState::Ok {
            *state = NetworkState::Degraded;
        }
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
            bind_error: None,
            send_error: None,
            unreliable: Vec::new(),
        };
        let told = |disconnected| match network_event(std::slice::from_ref(&state), disconnected) {
            Event::Network {
                state, interfaces, ..
            } => (state, interfaces[0].hint.clone()),
            other => panic!("{other:?}"),
        };
        assert_eq!(told(false), (NetworkState::Ok, None));
        assert_eq!(told(true), (NetworkState::Down, Some(DISCONNECTED.into())));
    }
}
