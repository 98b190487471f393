//! A node that fell behind its own past: restored from a backup, with a clock that was set back.
//!
//! Others hold a record of a later incarnation and refuse the present one. So whoever gets its
//! HELLO hands it that record back: its own key signed it, so that it needs no trust in whoever
//! relays it, and it jumps above.

use std::net::SocketAddr;

use super::Presence;
use super::deaf::link_towards;
use super::strangers::allowance;
use crate::id::Incarnation;
use crate::proto::Now;
use crate::proto::core::Core;
use crate::wire::sync::Relayed;
use crate::wire::{Body, Hello, PeerRecord, SyncResponse};

/// How many of those who hold the later record answer a HELLO, on average.
const TELLERS: f64 = 3.0;
/// Jumps above an own past in one run: others may hold records of several runs.
const JUMPS_MAX: u32 = 4;

impl Presence {
    /// A genuine HELLO of a run before the one that is known: hands the later record back. `len`:
    /// what came from there, perhaps with a forged source.
    pub fn tell_later_run(
        &mut self,
        core: &mut Core,
        now: Now,
        hello: &Hello,
        (source, len): (SocketAddr, usize),
    ) {
        let Some(peer) = self.roster.get(&hello.record.key.id()) else {
            return;
        };
        if peer.record.incarnation <= hello.record.incarnation {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let probability = TELLERS / self.roster.population() as f64;
        if core.unit() >= probability {
            return;
        }
        let wanted = response_len(&peer.record) as u64;
        let answer = SyncResponse {
            echo: hello.nonce,
            digest: self.told_on(link_towards(core, source)).digest(),
            next: None,
            records: vec![Relayed {
                record: (*peer.record).clone(),
                hint: None,
            }],
        };
        let allowance = if self.is_known_source(source) {
            wanted
        } else {
            allowance(core, source, len)
        };
        if self.strangers.may_ask(now.mono, source, allowance, wanted) {
            core.send_to(source, &Body::SyncResponse(answer));
        }
    }

    /// Whether to jump above this incarnation of an own record, which counts as done then.
    pub fn may_jump(&mut self, core: &Core, past: Incarnation) -> bool {
        let may = past > core.incarnation && self.jumps < JUMPS_MAX;
        self.jumps += u32::from(may);
        may
    }
}

/// Length of a SYNC RESPONSE with one record: header, echo, digest, no next page, list, record, no
/// hint, signature.
fn response_len(record: &PeerRecord) -> usize {
    26 + 8 + 12 + 1 + 1 + 2 + record.bytes.len() + 1 + 64
}
