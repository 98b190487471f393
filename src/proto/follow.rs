//! What follows from what happened: the parts of an endpoint do not know each other, so what one of them
//! found out is handed on here.

use super::Now;
use super::direct::DirectOutput;
use super::endpoint::{Endpoint, Output};
use super::presence::roster::Peer;

impl Endpoint {
    /// What follows from changes of the roster: messages that can go, receipts that wait for
    /// nobody any more.
    pub(super) fn follow_up(&mut self, now: Now) {
        for id in self.presence.take_restarted() {
            if let Some(key) = self.presence.roster.get(&id).map(Peer::key) {
                let (private, mut cx) = self.private_cx(now);
                private.peer_gone(&mut cx, &key);
            }
        }
        for (id, key) in self.presence.take_lost() {
            let (group, mut cx) = self.group_cx(now);
            group.member_lost(&mut cx, &id);
            let (private, mut cx) = self.private_cx(now);
            private.peer_gone(&mut cx, &key);
        }
        for id in self.presence.take_returned() {
            let (group, mut cx) = self.group_cx(now);
            group.member_back(&mut cx, &id);
            group.tell_heads(&mut cx, &id);
            self.sync_returned(now, &id);
            // What waits for them on disk goes as well.
            let (private, mut cx) = self.private_cx(now);
            private.peer_confirmed(&mut cx, &id);
        }
        for id in self.presence.take_moved() {
            let (private, mut cx) = self.private_cx(now);
            private.peer_moved(&mut cx, &id);
        }
        let confirmed = self.presence.take_confirmed();
        let found = !confirmed.is_empty();
        for id in confirmed {
            // In a new run they may have missed what was said, or their ACK got lost.
            let (group, mut cx) = self.group_cx(now);
            group.member_back(&mut cx, &id);
            group.tell_heads_of_visited(&mut cx, &id);
            let (private, mut cx) = self.private_cx(now);
            private.peer_confirmed(&mut cx, &id);
        }
        self.group
            .rows_changed(now.mono, self.presence.rows_version());
        if found {
            self.sync_found(now);
            self.retry_early(now);
        }
        self.sync_rooms(now);
        self.sync_behind(now);
    }

    /// Hands on what QUIC has to say.
    pub(super) fn pump(&mut self, now: Now) {
        while let Some(output) = self.direct.poll_output(now.mono) {
            if let DirectOutput::Transmit(transmit) = output {
                self.core.push(Output::Transmit(transmit));
                continue;
            }
            if matches!(
                output,
                DirectOutput::StreamOpened { .. }
                    | DirectOutput::StreamFrame { .. }
                    | DirectOutput::StreamWritable { .. }
                    | DirectOutput::StreamEnded { .. }
                    | DirectOutput::StreamClosed { .. }
            ) {
                let (sync, mut parts) = self.sync_parts(now);
                sync.handle_direct(&mut parts, output);
                continue;
            }
            let (private, mut cx) = self.private_cx(now);
            private.handle_direct(&mut cx, output);
        }
    }
}
