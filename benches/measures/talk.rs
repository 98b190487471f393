//! How fast a message is.

use std::time::Duration;

use super::echo::Echo;
use super::presence::Pair;
use super::{Row, Scale, Times, figure, pause_until};
use crate::harness::lan::Lan;
use crate::harness::node::SOON;
use crate::harness::{ms, now};

/// Between two messages: four a second, under the limit of a person.
pub const BEAT: Duration = ms(250);
/// Bytes of the echo, about those of a DATA packet with a short line.
const ECHO_LEN: usize = 300;

/// Room messages from `pipe` to `pipe`, and between any two of them an echo.
pub fn room(scale: Scale) -> Vec<Row> {
    let lan = Lan::new(2);
    let pair = Pair::start(&lan);
    pair.meet(SOON);
    let echo = Echo::start(lan.host(1), lan.host(2));
    echo.round_trip(ECHO_LEN);
    let (mut messages, mut echoes) = (Times::default(), Times::default());
    for number in 0..scale.of(500) {
        let start = now();
        let text = format!("message {number}");
        pair.ana.line(
            &serde_json::json!({"command": "send", "to": "#lobby", "text": text}).to_string(),
        );
        let heard = pair.ben.gets(&text, SOON);
        messages.add(heard.at.saturating_duration_since(start));
        pair.ben.forget();
        pause_until(start + BEAT / 2);
        echoes.add(echo.round_trip(ECHO_LEN));
        pause_until(start + BEAT);
    }
    let ratio = |percent| {
        let floor = echoes.percentile(percent).as_secs_f64();
        format!(
            "{:.1} x",
            messages.percentile(percent).as_secs_f64() / floor
        )
    };
    let (half, high) = (ratio(50), ratio(99));
    vec![
        messages.row_p99("room message, pipe to pipe, at 4/s", "0.5 ms p50, 2 ms p99"),
        echoes.row_p99("bare UDP echo, same hosts, same run", "the floor"),
        figure(
            "room message as a multiple of the echo",
            half,
            format!("{high} p99"),
            "20 x p50",
        ),
    ]
}

/// Private messages to `delivered` and back.
pub fn private(scale: Scale) -> Vec<Row> {
    let lan = Lan::new(2);
    let pair = Pair::start(&lan);
    pair.meet(SOON);
    // The first opens the connection, and pins the name.
    let mut first = Times::default();
    let mut later = Times::default();
    for number in 0..=scale.of(100) {
        let start = now();
        let id = pair.ana.say("ben", &format!("between us {number}"));
        let receipt = pair.ana.delivered(&id, SOON);
        let times = if number == 0 { &mut first } else { &mut later };
        times.add(receipt.at.saturating_duration_since(start));
        pair.ana.forget();
        pause_until(start + BEAT);
    }
    vec![
        later.row_p99(
            "private message to `delivered`, on disk at both",
            "0.6 ms p50, 2 ms p99",
        ),
        first.row_max("the first, with its handshake", "none"),
    ]
}
