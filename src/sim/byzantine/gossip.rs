//! What a byzantine node says of others: rosters that nobody has, records that nobody signed,
//! people where they are not, somebody who is nothing but a key of its own; and requests from
//! addresses that are not its own.

use std::net::SocketAddr;

use super::{Byzantine, GROUP, INCARNATION, Send, lobby};
use crate::datagram::Destination;
use crate::id::{Incarnation, Nonce, PublicKey, ShortId};
use crate::limits::DATAGRAM_LEN_MAX;
use crate::proto::Identity;
use crate::sim::dice::Dice;
use crate::text::PeerName;
use crate::wire::presence::LOSS_UNKNOWN;
use crate::wire::sync::{Hint, Relayed, SyncRequest, SyncResponse, Want};
use crate::wire::{
    Body, Digest, Heartbeat, News, PeerRecord, ProbeReport, RecordFields, RoomDigest, Suspect,
};

/// Records in one answer: as many as fit with their hints.
const RECORDS: usize = 3;

impl Byzantine {
    /// Remembers a record that its owner sent, the dead ones' too.
    pub(super) fn collect(&mut self, record: &PeerRecord) {
        self.records.insert(record.key.id().short(), record.clone());
    }

    /// A roster that nobody has, so that whoever hears of it asks; with news of somebody who does
    /// not exist.
    pub(super) fn gossip(&mut self, dice: &mut Dice) -> Send {
        // And it holds something else than everybody, for as long as it takes to be asked.
        let other = RoomDigest {
            room: lobby().tag(),
            digest: [0xee; 8],
            heads: Vec::new(),
        };
        let nobody = News {
            id: nobody().id().short(),
            incarnation: INCARNATION,
            record_seq: 1,
        };
        let bytes = self.packet(&Body::Heartbeat(Heartbeat {
            record_hash: [0; 8],
            digest: Digest {
                count: 1 + u32::try_from(self.records.len()).unwrap_or(0),
                xor: dice.bits().to_be_bytes(),
            },
            news: if dice.chance(0.3) {
                vec![nobody]
            } else {
                Vec::new()
            },
            heard: Vec::new(),
            group_sent: self.sequence,
            loss: LOSS_UNKNOWN,
            echoes: Vec::new(),
            rooms: vec![other],
        }));
        self.own(GROUP, bytes)
    }

    /// An answer to a request for records: true ones with addresses that are not theirs, or forged
    /// ones.
    pub(super) fn relay(&mut self, to: SocketAddr, request: &SyncRequest) -> Send {
        self.turn += 1;
        let is_forged = self.turn.is_multiple_of(4);
        let puppet = puppet().id().short();
        let chosen = match &request.want {
            Want::Ids(ids) => self.wanted(ids),
            Want::Range { first, last, .. } => {
                let range = self.records.range(*first..=*last);
                let all: Vec<PeerRecord> = range.map(|(_, record)| record.clone()).collect();
                let turned = all.iter().cycle().skip(self.turn).take(all.len());
                turned.take(RECORDS).cloned().collect()
            }
        };
        let forged = |record: PeerRecord| {
            let incarnation = Incarnation(record.incarnation.0 + 1);
            self.forge(record.key, incarnation).unwrap_or(record)
        };
        let relayed = |record| Relayed {
            record: if is_forged { forged(record) } else { record },
            hint: Some(self.hint()),
        };
        let mut records: Vec<Relayed> = chosen.into_iter().map(relayed).collect();
        let is_asked = match &request.want {
            Want::Ids(_) => false,
            Want::Range { first, last, .. } => (*first..=*last).contains(&puppet),
        };
        if let Some(record) = self.puppet().filter(|_| is_asked && !is_forged) {
            records.truncate(RECORDS - 1);
            let address = off_link();
            let hint = Some(Hint { address, age_s: 0 });
            records.push(Relayed { record, hint });
        }
        records.sort_by_key(|relayed| relayed.record.key.id());
        let body = Body::SyncResponse(SyncResponse {
            echo: request.nonce,
            digest: Digest {
                count: 1,
                xor: request.nonce.0,
            },
            next: None,
            records,
        });
        let bytes = self.packet(&body);
        debug_assert!(bytes.len() <= DATAGRAM_LEN_MAX, "{}", bytes.len());
        self.own(Destination::Unicast(to), bytes)
    }

    /// The records of these, and of whoever does not exist.
    fn wanted(&self, ids: &[ShortId]) -> Vec<PeerRecord> {
        let record = |id: &ShortId| {
            let nobody = nobody();
            if *id == nobody.id().short() {
                return self.forge(nobody.public(), INCARNATION);
            }
            self.records.get(id).cloned()
        };
        ids.iter().filter_map(record).take(RECORDS).collect()
    }

    /// A record of somebody that they did not sign.
    fn forge(&self, key: PublicKey, incarnation: Incarnation) -> Option<PeerRecord> {
        let fields = RecordFields {
            key,
            incarnation,
            name: PeerName::new("mallory").ok()?,
            ..self.fields()?
        };
        PeerRecord::build(fields, &mut |bytes| self.identity.sign(bytes)).ok()
    }

    /// What it says in the name of its other key, each time of a new run: it tells everybody of
    /// somebody whom nobody else can know, and where to look for them.
    fn puppet(&self) -> Option<PeerRecord> {
        let puppet = puppet();
        let fields = RecordFields {
            key: puppet.public(),
            incarnation: Incarnation(INCARNATION.0 + self.turn as u64),
            name: PeerName::new("puppet").ok()?,
            ..self.fields()?
        };
        PeerRecord::build(fields, &mut |bytes| puppet.sign(bytes)).ok()
    }

    /// Says that somebody does not answer, alive or not.
    pub(super) fn accuse(&mut self, dice: &mut Dice) -> Option<Send> {
        let all: Vec<&PeerRecord> = self.records.values().collect();
        let record = dice.pick(&all)?;
        let suspect = Suspect {
            target: record.key.id().short(),
            incarnation: record.incarnation,
        };
        let bytes = self.packet(&Body::Suspect(suspect));
        Some(self.own(GROUP, bytes))
    }

    /// Says of everybody that they answered, to those who asked for nothing.
    pub(super) fn testify(&mut self, dice: &mut Dice) -> Vec<Send> {
        let records: Vec<PeerRecord> = self.records.values().cloned().collect();
        let report = |record: PeerRecord| {
            let bytes = self.packet(&Body::ProbeReport(ProbeReport {
                echo: Nonce(dice.bits().to_be_bytes()),
                target: record.key.id().short(),
                incarnation: record.incarnation,
            }));
            self.own(GROUP, bytes)
        };
        records.into_iter().map(report).collect()
    }

    /// Where somebody is not: at another node, or off the link.
    fn hint(&self) -> Hint {
        let peers: Vec<SocketAddr> = self.peers.iter().copied().collect();
        let address = match self.turn % 3 {
            0 => off_link(),
            1 => self.address,
            _ => *peers
                .get(self.turn % peers.len().max(1))
                .unwrap_or(&self.address),
        };
        Hint { address, age_s: 0 }
    }

    /// Asks for everything, from an address that is not its own.
    pub(super) fn ask_elsewhere(&mut self, dice: &mut Dice) -> Option<Send> {
        let want = Want::Range {
            first: ShortId([0; 8]),
            last: ShortId([0xff; 8]),
            buckets: vec![dice.bits().to_be_bytes()],
        };
        let bytes = self.packet(&Body::SyncRequest(SyncRequest {
            nonce: Nonce(dice.bits().to_be_bytes()),
            token: vec![7; 8],
            want,
        }));
        let peers: Vec<SocketAddr> = self.peers.iter().copied().collect();
        let to = *dice.pick(&peers)?;
        let source = self.source(dice, self.address);
        Some(Send {
            source,
            ..self.own(Destination::Unicast(to), bytes)
        })
    }
}

/// An address that no link of any node reaches.
fn off_link() -> SocketAddr {
    SocketAddr::from(([192, 168, 9, 9], super::super::world::CHAT_PORT))
}

/// Somebody who is nothing but a second key of a byzantine node: what is told of them is signed.
pub(in crate::sim) fn puppet() -> Identity {
    Identity::from_secret(blake3::hash(b"puppet").as_bytes())
}

/// Somebody who is nowhere.
fn nobody() -> Identity {
    Identity::from_secret(blake3::hash(b"nobody").as_bytes())
}
