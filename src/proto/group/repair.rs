//! Entries that were asked for, or not acknowledged, go to one address again.

use std::net::SocketAddr;

use super::seat::Seat;
use crate::proto::core::Core;
use crate::wire::{Body, Entry, Repair};

/// Header, count, and the length before each entry.
const REPAIR_OVERHEAD: usize = 26 + 1;
const REPAIR_ENTRY_OVERHEAD: usize = 2;

/// Sends entries to one address, as many in a datagram as fit.
pub(super) fn send_repairs(core: &mut Core, seat: &Seat, to: SocketAddr, entries: &[Vec<u8>]) {
    let mut batch: Vec<Entry> = Vec::new();
    let mut len = REPAIR_OVERHEAD;
    for bytes in entries {
        let Ok(entry) = Entry::parse(bytes) else {
            continue;
        };
        let more = bytes.len() + REPAIR_ENTRY_OVERHEAD;
        if len + more > seat.packet_len_max() && !batch.is_empty() {
            send_batch(core, seat, to, std::mem::take(&mut batch));
            len = REPAIR_OVERHEAD;
        }
        len += more;
        batch.push(entry);
    }
    send_batch(core, seat, to, batch);
}

fn send_batch(core: &mut Core, seat: &Seat, to: SocketAddr, entries: Vec<Entry>) {
    if !entries.is_empty() {
        core.stats.repairs_out += entries.len() as u64;
        seat.send_to(core, to, &Body::Repair(Repair { entries }));
    }
}
