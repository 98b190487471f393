//! A line of the history, for a person.

use std::fmt::Display;

use chrono::{DateTime, Datelike, TimeZone, Utc};

use super::{Conversation, Event, TextKind, Timestamp};
use crate::text::DisplayText;

/// A `message` event as one line, with date and time in this zone; what has several lines
/// goes on indented. The same wherever the same is held. Of any other event nothing.
#[must_use]
pub fn line<Z: TimeZone<Offset: Display>>(event: &Event, zone: &Z) -> String {
    let Event::Message {
        conversation,
        from,
        kind,
        text,
        time,
        redacted,
        ..
    } = event
    else {
        return String::new();
    };
    let name = DisplayText::line(&from.name).into_string();
    let place = match conversation {
        Conversation::Room(room) => format!("#{}", DisplayText::line(room).as_str()),
        Conversation::Peer(id) => format!("@{}", id.tag()),
    };
    let text = text.replace('\n', "\n    ");
    let said = match kind {
        _ if *redacted => format!("{name}: (taken back)"),
        TextKind::Text | TextKind::Reply => format!("{name}: {text}"),
        TextKind::Topic => format!("* {name} set the topic: {text}"),
        TextKind::Redaction => format!("* {name} took a message back"),
        TextKind::Action => format!("* {name} {text}"),
    };
    format!("{} {place} {said}", moment(*time, zone))
}

/// Anybody can claim any time.
fn moment<Z: TimeZone<Offset: Display>>(time: Timestamp, zone: &Z) -> String {
    let utc = i64::try_from(time.0)
        .ok()
        .and_then(DateTime::<Utc>::from_timestamp_millis)
        .filter(|utc| utc.year() < 9999);
    match utc {
        Some(utc) => utc.with_timezone(zone).format("%Y-%m-%d %H:%M").to_string(),
        None => "---------- --:--".to_owned(),
    }
}
