//! What a flood of junk costs: memory, and the delay of a chat under it.

use super::presence::Pair;
use super::talk::BEAT;
use super::{Row, Scale, Times, figure, pause_until};
use crate::harness::attack::{self, Attacker, Random};
use crate::harness::capture::{self, Capture};
use crate::harness::lan::Lan;
use crate::harness::node::SOON;
use crate::harness::now;

/// Datagrams of each flood.
const DATAGRAMS: usize = 100_000;
/// Messages while it lasts.
const MESSAGES: usize = 40;

/// Random and mutated datagrams at one of two nodes that chat.
pub fn flood(scale: Scale) -> Vec<Row> {
    let (mut random, seed) = Random::new();
    println!("flood: LANCHAT_LAB_SEED={seed}");
    let lan = Lan::new(3);
    let wire = Capture::start(lan.switch());
    let pair = Pair::start(&lan);
    pair.meet(SOON);
    let id = pair.ana.say("ben", "before");
    pair.ana.delivered(&id, SOON);
    let real = capture::datagrams(&wire.frames());
    let mallory = Attacker::new(lan.host(3), 50);
    let ready = pair.ana.ready();
    let chat = ready.event["chat_port"].as_u64().unwrap_or(5263);
    let chat = u16::try_from(chat).unwrap_or(5263);
    let target = lan.host(1).v4();
    let count = scale.of(DATAGRAMS);
    let messages = scale.of(MESSAGES);
    let before = pair.ana.resident_kib();
    let mut times = Times::default();
    for number in 0..messages {
        let start = now();
        let text = format!("under the flood {number}");
        let say = serde_json::json!({"command": "send", "to": "#lobby", "text": text});
        pair.ben.line(&say.to_string());
        for sent in 0..count / messages {
            let bytes = attack::hostile(&mut random, &real);
            let port = if sent % 2 == 0 { chat } else { 5262 };
            mallory.send(random.below(50), &bytes, (target, port).into());
        }
        let heard = pair.ana.gets(&text, SOON);
        times.add(heard.at.saturating_duration_since(start));
        pair.ana.forget();
        pair.ben.forget();
        pause_until(start + BEAT);
    }
    let grown = pair.ana.resident_kib().saturating_sub(before);
    let what = format!("resident memory after {count} random and mutated datagrams");
    vec![
        figure(what, format!("+{grown} KiB"), "-".into(), "flat"),
        times.row_p99("room message while they arrive", "50 ms p99"),
    ]
}
