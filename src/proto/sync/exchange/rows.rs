//! What the store answered, as frames for the other side.

use std::collections::BTreeSet;

use super::{Act, Exchange, Role};
use crate::durable::{Head, Row};
use crate::id::PeerId;
use crate::limits::SYNC_LOGS_MAX;
use crate::proto::sync::frame::{
    ENTRIES_LEN_MAX, ENTRIES_MAX, Frame, LogState, PEOPLE_MAX, VECTOR_LOGS_MAX,
};

impl Exchange {
    pub(super) fn read_vector(&mut self, rows: &[Row]) {
        let heads = rows.iter().filter_map(|row| match row {
            Row::Log(head) => Some(head),
            _ => None,
        });
        let mut heads: Vec<&Head> = heads.take(SYNC_LOGS_MAX).collect();
        let logs: BTreeSet<(PeerId, u64)> =
            heads.iter().map(|head| (head.author, head.epoch)).collect();
        if logs.len() < SYNC_LOGS_MAX {
            // As many as this say that there may be more logs.
            heads.truncate(SYNC_LOGS_MAX - 1);
        }
        self.mine = heads.iter().filter_map(|head| state_of(head)).collect();
        let floors = heads.iter();
        self.floors = floors
            .map(|head| ((head.author, head.epoch), head.floor))
            .collect();
    }

    pub(super) fn tell_vector(&self, acts: &mut Vec<Act>) {
        let mut rest = self.mine.as_slice();
        loop {
            let (part, others) = rest.split_at(rest.len().min(VECTOR_LOGS_MAX));
            rest = others;
            acts.push(Act::Send(Frame::Vector {
                proof: match self.role {
                    Role::Asker => [0; 32],
                    Role::Helper => self.proof,
                },
                more: !rest.is_empty(),
                logs: part.to_vec(),
            }));
            if rest.is_empty() {
                return;
            }
        }
    }
}

/// How a log of the store is told; none where nothing of it is held.
fn state_of(head: &Head) -> Option<LogState> {
    let mut hash = [0; 16];
    hash.copy_from_slice(&head.hash[..16]);
    let floor = head.floor.max(head.low.saturating_sub(1));
    (head.seq > 0 && head.epoch > 0 && floor <= head.seq).then_some(LogState {
        author: head.author,
        epoch: head.epoch,
        network: head.network,
        floor,
        head: head.seq.min(u32::MAX - 1),
        hash,
        forked: head.forked,
    })
}

/// Puts entries into frames.
pub(super) fn entries_of(rows: &[Row], acts: &mut Vec<Act>) {
    let (mut part, mut len) = (Vec::new(), 0);
    let mut send = |part: Vec<Vec<u8>>| {
        if !part.is_empty() {
            acts.push(Act::Send(Frame::Entries(part)));
        }
    };
    for row in rows {
        let (Row::Entry { bytes, .. } | Row::Held { bytes, .. }) = row else {
            continue;
        };
        if len + bytes.len() + 2 > ENTRIES_LEN_MAX || part.len() == ENTRIES_MAX {
            send(std::mem::take(&mut part));
            len = 0;
        }
        len += bytes.len() + 2;
        part.push(bytes.clone());
    }
    send(part);
}

pub(super) fn people_of(rows: &[Row], acts: &mut Vec<Act>) {
    let records = rows.iter().filter_map(|row| match row {
        Row::Person(person) => Some(person.record.clone()),
        _ => None,
    });
    let records: Vec<Vec<u8>> = records.collect();
    for part in records.chunks(PEOPLE_MAX) {
        acts.push(Act::Send(Frame::People(part.to_vec())));
    }
}
