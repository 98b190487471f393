//! What the tests of the codec share.

mod cases;
mod properties;
mod sealed;
mod strategies;
mod sync;

use super::*;
use crate::id::RoomId;

/// Stands in for Ed25519: depends on every bit of its input.
fn sign(input: &[u8]) -> [u8; 64] {
    let mut signature = [0; 64];
    blake3::Hasher::new()
        .update(input)
        .finalize_xof()
        .fill(&mut signature);
    signature
}

fn emit_signed(header: &Header, body: &Body) -> Result<Vec<u8>, EmitError> {
    emit(header, body, &mut |input| sign(input))
}

fn packet(bytes: &[u8]) -> Packet {
    match parse(bytes) {
        Ok(Parsed::Packet(packet)) => packet,
        other => panic!("no packet: {other:?}"),
    }
}

const ROOM: RoomId = RoomId([7; 32]);
