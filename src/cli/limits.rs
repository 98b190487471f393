//! The tables `[limits]` and `[history]` of `config.toml`, which are `LANCHAT_LIMITS_...` and
//! `LANCHAT_HISTORY_...` in the environment. They have no flags: a bench or an administrator sets
//! them, nobody in passing.

use super::settings::{Kind, OptionSpec, Sources};
use crate::error::UserError;
use crate::limits::{Keep, Limits};

/// One number of [`Limits`].
struct Number {
    key: &'static str,
    /// The least and the most that it may be.
    range: (u32, u32),
    field: fn(&mut Limits) -> &mut u32,
}

const fn number(
    key: &'static str,
    range: (u32, u32),
    field: fn(&mut Limits) -> &mut u32,
) -> Number {
    Number { key, range, field }
}

/// Of rates; high enough for any bench.
const RATE: (u32, u32) = (1, 1_000_000);

/// All of them.
const NUMBERS: [Number; 12] = [
    number("limits.person-rate", RATE, |l| &mut l.person_rate),
    number("limits.person-burst", RATE, |l| &mut l.person_burst),
    number("limits.node-rate", RATE, |l| &mut l.node_rate),
    number("limits.node-burst", RATE, |l| &mut l.node_burst),
    number("limits.group-packets", RATE, |l| &mut l.group_packets),
    number("limits.group-bits", (10_000, u32::MAX), |l| {
        &mut l.group_bits
    }),
    number("limits.source-rate", RATE, |l| &mut l.source_rate),
    number("limits.verify-rate", (2, 1_000_000), |l| &mut l.verify_rate),
    number("limits.nack-answers", RATE, |l| &mut l.nack_answers),
    number("limits.nack-bytes", (1200, u32::MAX), |l| &mut l.nack_bytes),
    number("history.entries", (1, u32::MAX), |l| &mut l.history_entries),
    number("history.days", (1, 36_500), |l| &mut l.history_days),
];

/// Whether the file may have a table of this name.
pub fn is_table(name: &str) -> bool {
    matches!(name, "limits" | "history")
}

/// The settings of the tables, each named `table.key`.
pub fn specs() -> impl Iterator<Item = OptionSpec> {
    let number = |number: Number| OptionSpec {
        key: number.key,
        kind: Kind::Number,
    };
    let keep = OptionSpec {
        key: "history.keep",
        kind: Kind::Text,
    };
    NUMBERS.into_iter().map(number).chain([keep])
}

/// What the sources say of them.
///
/// # Errors
/// A value is out of its range.
pub(super) fn limits(sources: &Sources) -> Result<Limits, UserError> {
    let mut limits = Limits::default();
    for number in NUMBERS {
        let (least, most) = number.range;
        let parse = |text: &str| {
            let value = text.parse().ok();
            let value = value.filter(|value| (least..=most).contains(value));
            value.ok_or_else(|| format!("it must be a number, {least} to {most}"))
        };
        if let Some(value) = sources.parse(number.key, parse)? {
            *(number.field)(&mut limits) = value;
        }
    }
    let keep = sources.parse("history.keep", |text| match text {
        "all" => Ok(Keep::All),
        "none" => Ok(Keep::None),
        _ => Err("it must be all or none".to_owned()),
    })?;
    limits.keep = keep.unwrap_or_default();
    Ok(limits)
}
