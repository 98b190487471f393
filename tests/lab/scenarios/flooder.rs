//! A member that says a thousand things a second.

use std::net::SocketAddrV4;

use super::Test;
use crate::harness::flooder::Flooder;
use crate::harness::lan::Lan;
use crate::harness::node::SOON;
use crate::harness::party::{Manner, Party};
use crate::harness::{full, ms};

pub const TESTS: &[Test] = &[(
    "flooder::others_are_heard_under_it",
    others_are_heard_under_it,
)];

/// Two talk while a third floods both; how fast is a figure of the bench.
fn others_are_heard_under_it() {
    let mut party = Party::met(Lan::new(3), 2, Manner::default());
    let flooder = Flooder::join(&party.lan, 3, &party.people[1]);
    let to = |who: usize| {
        let ready = party.people[who].ready();
        let port = ready.event["chat_port"]
            .as_u64()
            .and_then(|port| u16::try_from(port).ok());
        SocketAddrV4::new(party.lan.host(who + 1).v4(), port.expect("a port"))
    };
    let (rate, lines) = if full() { (1000, 40) } else { (300, 8) };
    let flood = flooder.flood(rate, vec![to(0), to(1)]);
    party.talk("under it", 2, lines, ms(250));
    let hearing = party.all_heard(4 * SOON);
    println!(
        "under {} entries at {rate}/s: {}",
        flood.end(),
        hearing.figures()
    );
}
