//! Entries that were asked for, or not acknowledged, go out again.

use std::net::SocketAddr;

use super::seat::Seat;
use crate::datagram::Destination;
use crate::proto::core::Core;
use crate::wire::{Body, Entry, Repair};

/// Header, count, and the length before each entry.
const REPAIR_OVERHEAD: usize = 26 + 1;
const REPAIR_ENTRY_OVERHEAD: usize = 2;

/// Sends entries to one address, as many in a datagram as fit.
pub(super) fn send_repairs(core: &mut Core, seat: &Seat, to: SocketAddr, entries: &[Vec<u8>]) {
    for packet in repairs(core, seat, entries) {
        core.transmit(Destination::Unicast(to), packet);
    }
}

/// The packets that carry these entries again, as many in each as fit.
pub(super) fn repairs(core: &mut Core, seat: &Seat, entries: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let (mut packets, mut batch) = (Vec::new(), Vec::new());
    let mut len = REPAIR_OVERHEAD;
    for bytes in entries {
        let Ok(entry) = Entry::parse(bytes) else {
            continue;
        };
        let more = bytes.len() + REPAIR_ENTRY_OVERHEAD;
        if len + more > seat.packet_len_max() && !batch.is_empty() {
            packets.extend(packet(core, seat, std::mem::take(&mut batch)));
            len = REPAIR_OVERHEAD;
        }
        len += more;
        batch.push(entry);
    }
    packets.extend(packet(core, seat, batch));
    packets
}

fn packet(core: &mut Core, seat: &Seat, entries: Vec<Entry>) -> Option<Vec<u8>> {
    if entries.is_empty() || !core.open {
        return None;
    }
    core.stats.repairs_out += entries.len() as u64;
    seat.packet(core, &Body::Repair(Repair { entries }))
}
