//! Connections coming and going: who is let in, which of several stays, what becomes of the
//! messages.

use std::net::SocketAddr;
use std::time::Instant;

use super::*;

impl Direct {
    pub(super) fn dial_anew(
        &mut self,
        now: Instant,
        peer: &PublicKey,
        address: SocketAddr,
        generation: u32,
    ) {
        if *peer == self.own {
            return;
        }
        self.tick(now);
        self.peers.entry(*peer).or_default();
        let made = self.settings.client(peer).ok().and_then(|config| {
            // The name is not sent; the key alone says who answers.
            let made = self
                .endpoint
                .connect(now, config, normal(address), "lanchat");
            made.ok()
        });
        let Some((handle, connection)) = made else {
            self.settle(now, peer, false);
            return;
        };
        self.sessions_made += 1;
        let deadline = now + HANDSHAKE_TIMEOUT;
        let mut session = Session::new(handle, connection, self.sessions_made, now, deadline);
        session.peer = Some(*peer);
        session.generation = generation;
        self.sessions.insert(handle.0, session);
        let row = self.peers.entry(*peer).or_default();
        row.dialling = Some(handle.0);
        row.grace = None;
        self.dirty.insert(handle.0);
    }

    /// A stranger dials: takes it, asks it for a proof of its address first (Retry, RFC 9000,
    /// 8.1.2), or stays silent, so that a real one comes again when there is room.
    pub(super) fn admit(&mut self, now: Instant, incoming: Incoming) {
        let remote = incoming.remote_address();
        let starting = || {
            let sessions = self.sessions.values();
            sessions.filter(|session| session.is_starting() && !session.dialled())
        };
        let from_source = starting().filter(|s| s.remote().ip() == remote.ip());
        if starting().count() >= QUIC_INCOMING_MAX
            || from_source.count() >= QUIC_INCOMING_PER_SOURCE_MAX
        {
            self.endpoint.ignore(incoming);
            return;
        }
        let proven = incoming.remote_address_validated()
            || self
                .sessions
                .values()
                .any(|s| s.is_up() && s.remote() == remote);
        let mut buffer = Vec::new();
        if starting().count() >= QUIC_RETRY_ABOVE && !proven {
            match self.endpoint.retry(incoming, &mut buffer) {
                Ok(transmit) => self.respond(&transmit, buffer),
                Err(error) => self.endpoint.ignore(error.into_incoming()),
            }
            return;
        }
        match self.endpoint.accept(incoming, now, &mut buffer, None) {
            Ok((handle, connection)) => {
                self.sessions_made += 1;
                let deadline = now + HANDSHAKE_TIMEOUT;
                let session = Session::new(handle, connection, self.sessions_made, now, deadline);
                self.sessions.insert(handle.0, session);
                self.drive(now, handle.0);
            }
            Err(error) => {
                if let Some(transmit) = error.response {
                    self.respond(&transmit, buffer);
                }
            }
        }
    }

    /// Something was fed into a connection: acts on what became of it, reads and writes.
    pub(super) fn drive(&mut self, now: Instant, key: usize) {
        loop {
            let Some(session) = self.sessions.get_mut(&key) else {
                return;
            };
            let drained = session.exchange(&mut self.endpoint);
            let change = session.poll();
            match change {
                Some(Change::Proven) => self.prove(now, key),
                Some(Change::Violation) => self.fail(now, key, CloseCode::BadFrame),
                Some(Change::Down { replaced }) => self.go_down(now, key, replaced),
                None => {}
            }
            if drained {
                self.remove(now, key);
                return;
            }
            if change.is_none() {
                break;
            }
        }
        self.read(now, key);
        self.write(now, key);
        self.drive_streams(now, key);
        self.dirty.insert(key);
    }

    fn prove(&mut self, now: Instant, key: usize) {
        let Some(session) = self.sessions.get_mut(&key).filter(|s| s.is_starting()) else {
            return;
        };
        match session.prove(now, &self.own) {
            Ok(peer) if session.is_up() => self.come_up(now, key, peer),
            Ok(_) => {}
            Err(code) => self.fail(now, key, code),
        }
    }

    fn come_up(&mut self, now: Instant, key: usize, peer: PublicKey) {
        let Some(session) = self.sessions.get(&key) else {
            return;
        };
        let address = session.remote();
        let row = self.peers.entry(peer).or_default();
        if row.dialling == Some(key) {
            row.dialling = None;
        }
        row.grace = None;
        self.outputs
            .push_back(DirectOutput::Connected { peer, address });
        self.choose(now, &peer);
        // What it was dialled for may be over, or go by another one.
        if let Some(session) = self.sessions.get_mut(&key) {
            session.rest(now);
        }
        self.make_room(now);
    }

    fn read(&mut self, now: Instant, key: usize) {
        loop {
            let Some(session) = self.sessions.get_mut(&key) else {
                return;
            };
            let frame = session.read(now);
            let source = session.remote();
            let Some(from) = session.peer else { return };
            match frame {
                Ok(None) => return,
                Err(code) => return self.fail(now, key, code),
                Ok(Some(Frame::Message(message))) => {
                    self.outputs.push_back(DirectOutput::Message {
                        from,
                        source,
                        message,
                    });
                }
                Ok(Some(Frame::Ack(id))) => {
                    let row = self.peers.get_mut(&from);
                    if row.is_some_and(|row| row.outbox.remove(&id)) {
                        self.outputs
                            .push_back(DirectOutput::Acknowledged { peer: from, id });
                    }
                }
                Ok(Some(Frame::Open(generation))) => match session.open(now, generation) {
                    Ok(()) => self.come_up(now, key, from),
                    Err(code) => return self.fail(now, key, code),
                },
            }
        }
    }

    /// Writes what a connection has to say.
    pub(super) fn write(&mut self, now: Instant, key: usize) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        let Some(peer) = session.peer else { return };
        let Some(row) = self.peers.get_mut(&peer) else {
            return;
        };
        let outbox = (row.active == Some(key)).then_some(&mut row.outbox);
        let mut written = Vec::new();
        let result = session.write(outbox, &mut written);
        if !written.is_empty() {
            session.used = now;
        }
        for id in written {
            if row.outbox.sent(&id) {
                self.outputs.push_back(DirectOutput::Sent { peer, id });
            }
        }
        self.dirty.insert(key);
        if let Err(code) = result {
            self.fail(now, key, code);
        }
    }

    /// Which connection with the peer is in use. A later generation wins; of the same, the one
    /// dialled by the lower key; of two dialled by the same side, the newer. Both sides come to
    /// the same, because both know all three.
    fn choose(&mut self, now: Instant, peer: &PublicKey) {
        let newest = |dialled: bool| {
            let sessions = self.sessions.iter();
            let up = sessions.filter(|(_, s)| s.is_up() && s.peer == Some(*peer));
            let same = up.filter(|(_, session)| session.dialled() == dialled);
            same.max_by_key(|(_, session)| session.serial)
                .map(|(&key, session)| (key, session.generation))
        };
        let best = match (newest(true), newest(false)) {
            (Some((ours, our_generation)), Some((theirs, their_generation))) => {
                let ours_wins = match our_generation.cmp(&their_generation) {
                    std::cmp::Ordering::Less => false,
                    std::cmp::Ordering::Greater => true,
                    std::cmp::Ordering::Equal => self.own < *peer,
                };
                Some(if ours_wins { ours } else { theirs })
            }
            (ours, theirs) => ours.or(theirs).map(|(key, _)| key),
        };
        if let Some(best) = best {
            self.close_losers(now, peer, best);
        }
        let Some(row) = self.peers.get_mut(peer) else {
            return;
        };
        if row.active != best {
            row.active = best;
            row.outbox.rewind();
            if let Some(best) = best {
                self.write(now, best);
                self.drive_streams(now, best);
            }
        }
    }

    /// Of two that were dialled at once, only the side that dialled the loser closes it: it
    /// knows then that the other one is up at both ends.
    fn close_losers(&mut self, now: Instant, peer: &PublicKey, best: usize) {
        let Some(winner) = self.sessions.get(&best) else {
            return;
        };
        let (dialled, generation) = (winner.dialled(), winner.generation);
        for (&key, session) in &mut self.sessions {
            if key == best || !session.is_up() || session.peer != Some(*peer) {
                continue;
            }
            if session.dialled() || session.dialled() == dialled || session.generation < generation
            {
                session.close(now, CloseCode::Replaced);
                session.end();
                self.sweep = true;
                self.dirty.insert(key);
            }
        }
    }

    /// Closes the connection longest without use while there are too many, idle ones first.
    fn make_room(&mut self, now: Instant) {
        while self.sessions.values().filter(|s| s.is_up()).count() > QUIC_CONNECTIONS_MAX {
            let up = self.sessions.iter().filter(|(_, session)| session.is_up());
            let oldest = up.min_by_key(|(_, s)| (s.is_busy(), s.used, s.serial));
            let Some(key) = oldest.map(|(&key, _)| key) else {
                return;
            };
            self.fail(now, key, CloseCode::Busy);
        }
    }

    /// Closes a connection from this side.
    pub(super) fn fail(&mut self, now: Instant, key: usize, code: CloseCode) {
        if let Some(session) = self.sessions.get_mut(&key) {
            session.close(now, code);
            self.dirty.insert(key);
            self.go_down(now, key, false);
        }
    }

    /// A connection ended, by whomever.
    fn go_down(&mut self, now: Instant, key: usize, replaced: bool) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        self.sweep = true;
        if session.end() {
            return;
        }
        let Some(peer) = session.peer else { return };
        let Some(row) = self.peers.get_mut(&peer) else {
            return;
        };
        if row.dialling == Some(key) {
            row.dialling = None;
        } else if row.active != Some(key) {
            return;
        }
        self.settle(now, &peer, replaced);
    }

    /// A connection is forgotten.
    pub(super) fn remove(&mut self, now: Instant, key: usize) {
        self.go_down(now, key, false);
        self.sessions.remove(&key);
        self.dirty.remove(&key);
    }

    pub(super) fn close_with(&mut self, now: Instant, peer: &PublicKey, code: CloseCode) {
        let mut any = false;
        for (&key, session) in &mut self.sessions {
            if session.peer == Some(*peer) && !session.end() {
                session.close(now, code);
                self.dirty.insert(key);
                self.sweep = true;
                any = true;
            }
        }
        let Some(row) = self.peers.get_mut(peer) else {
            return;
        };
        row.dialling = None;
        if any || row.grace.is_some() {
            self.settle(now, peer, false);
        } else {
            self.tidy(peer);
        }
    }

    /// Chooses again after a loss; with nothing left, says so.
    pub(super) fn settle(&mut self, now: Instant, peer: &PublicKey, replaced: bool) {
        self.choose(now, peer);
        let Some(row) = self.peers.get_mut(peer) else {
            return;
        };
        row.grace = None;
        self.sweep = true;
        if row.active.is_some() || row.dialling.is_some() {
            return;
        }
        if replaced {
            row.grace = Some(now + REPLACED_GRACE);
            return;
        }
        self.outputs.push_back(DirectOutput::Lost {
            peer: *peer,
            unacknowledged: row.outbox.ids(),
        });
        self.tidy(peer);
    }

    /// Drops the row of a peer with whom nothing is going on.
    pub(super) fn tidy(&mut self, peer: &PublicKey) {
        let idle = |row: &Peer| {
            row.outbox.is_empty()
                && row.active.is_none()
                && row.dialling.is_none()
                && row.grace.is_none()
        };
        if self.peers.get(peer).is_some_and(idle) {
            self.peers.remove(peer);
        }
    }
}

/// One spelling of an address, as QUIC compares them whole.
pub(super) fn normal(address: SocketAddr) -> SocketAddr {
    let mut address = canonical(address);
    if let SocketAddr::V6(v6) = &mut address {
        v6.set_flowinfo(0);
    }
    address
}
