//! What a packet of each kind does, once it is known to be genuine and fresh.

use crate::proto::Now;
use crate::proto::endpoint::Endpoint;
use crate::proto::presence::Heard;
use crate::wire::Body;

impl Endpoint {
    /// A packet of a peer, genuine and fresh.
    pub(super) fn act(&mut self, now: Now, heard: &Heard, body: Body) {
        let id = heard.id;
        let on = self.core.network_from(&heard.arrival);
        match body {
            Body::Hello(hello) => {
                self.presence
                    .handle_hello(&mut self.core, now, heard, &hello);
                let (group, mut cx) = self.group_cx(now);
                group.learn_logs(&mut cx, &id, on, &hello.logs);
            }
            Body::Welcome(welcome) => {
                self.presence
                    .handle_welcome(&mut self.core, now, heard, &welcome);
                let (group, mut cx) = self.group_cx(now);
                group.learn_logs(&mut cx, &id, on, &welcome.logs);
            }
            Body::Heartbeat(heartbeat) => {
                if self
                    .presence
                    .handle_heartbeat(&mut self.core, now, heard, &heartbeat)
                {
                    let from = (heard.arrival.source, heard.len);
                    self.presence
                        .ask(&mut self.core, now, &self.group, from, Some(&id));
                }
                let (group, mut cx) = self.group_cx(now);
                group.learn_digests(&mut cx, &id, on, &heartbeat.rooms);
                self.sync_compare(now, (&id, on), &heartbeat.rooms);
            }
            Body::Goodbye(_) => self.presence.handle_goodbye(&mut self.core, now, &id),
            Body::Probe(probe) => self
                .presence
                .handle_probe(&mut self.core, now, heard, &probe),
            Body::ProbeAck(ack) => {
                self.presence
                    .handle_probe_ack(&mut self.core, now, heard, &ack);
            }
            Body::Heads(heads) => {
                let (group, mut cx) = self.group_cx(now);
                group.handle_heads(&mut cx, &id, on, &heads);
            }
            Body::Nack(nack) => {
                if self.presence.is_validated(&id, heard.arrival.source) {
                    let (group, mut cx) = self.group_cx(now);
                    group.handle_nack(&mut cx, heard, &nack);
                }
            }
            Body::Ack(ack) => {
                let came_by = self.core.network_from(&heard.arrival);
                let (group, mut cx) = self.group_cx(now);
                group.handle_ack(&mut cx, &id, came_by, &ack);
            }
            Body::ProbeRequest(request) => {
                self.presence
                    .handle_probe_request(&mut self.core, now, heard, &request);
            }
            Body::ProbeReport(report) => {
                self.presence
                    .handle_probe_report(&mut self.core, now, heard, &report);
            }
            Body::Suspect(suspect) => {
                self.presence
                    .handle_suspect(&mut self.core, now, heard, &suspect);
            }
            // A sign of life like any other, and taken as one above.
            Body::Alive(_) => {}
            Body::SyncRequest(_) | Body::SyncResponse(_) | Body::SyncChallenge(_) => {
                self.presence
                    .handle_sync(&mut self.core, &mut self.gate, now, heard, &body);
            }
            Body::RoomBeacon(beacon) => {
                let (group, mut cx) = self.group_cx(now);
                group.handle_beacon(&mut cx, &id, &beacon);
            }
            Body::Data(_) | Body::Repair(_) | Body::Sealed(_) => {}
        }
    }
}
