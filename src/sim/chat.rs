//! Scenario `chat`: a few people write to the lobby while datagrams are lost; when did everybody
//! have each line, and what did that take?

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;
use std::time::Duration;

use super::figures::{Extent, Times, settle};
use super::world::World;
use crate::wire::Kind;

/// How many write.
const WRITERS: usize = 3;
/// Mean time between two lines, of all writers together.
const EVERY: Duration = Duration::from_secs(1);
/// How long the loss goes on before the first line: the nodes measure it.
const MEASURED: Duration = Duration::from_secs(60);
/// Everything has to be there so long after the last line, with the loss going on.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a fade lasts, and the mean time between two of one node.
const FADE: Duration = Duration::from_millis(300);
/// See [`FADE`].
const FADES_EVERY: Duration = Duration::from_secs(5);
/// The way of a datagram on Wi-Fi: at least so long, and uniformly up to so much more.
const WIFI: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(5));
/// What everybody writes begins like this, and goes on with a number.
const WORD: &str = "line ";

/// Counts of one kind of datagram, by group and by unicast.
type Kinds = BTreeMap<(u8, bool), u64>;

/// When who fades, and when it ends.
struct Fades {
    next: Vec<Duration>,
    on: bool,
}

impl Fades {
    fn new(world: &mut World, on: bool) -> Self {
        let nodes = world.nodes.len();
        let next = (0..nodes).map(|_| world.now + gap(world, FADES_EVERY));
        let next = next.collect();
        Fades { next, on }
    }

    /// Runs the world to this time, with the fades that come until then.
    fn run_to(&mut self, world: &mut World, until: Duration) {
        while self.on {
            let first = self.next.iter().enumerate().min_by_key(|(_, at)| **at);
            let Some((node, at)) = first.map(|(node, at)| (node, *at)) else {
                break;
            };
            if at > until {
                break;
            }
            world.run_to(at);
            if world.network.faded.remove(&node) {
                self.next[node] = at + gap(world, FADES_EVERY);
            } else {
                world.network.faded.insert(node);
                self.next[node] = at + FADE;
            }
        }
        world.run_to(until);
    }
}

/// A random time of this mean, exponentially distributed.
fn gap(world: &mut World, mean: Duration) -> Duration {
    mean.mul_f64(-(1.0 - world.dice.unit()).max(1e-9).ln())
}

/// Runs it and gives its figures in words. The loss begins when all know each other.
pub fn chat(world: &mut World, extent: &Extent) -> String {
    let loss = std::mem::take(&mut world.network.loss);
    settle(world);
    let nodes = world.nodes.len();
    (world.network.latency, world.network.jitter) = WIFI;
    world.network.loss = loss;
    let mut fades = Fades::new(world, extent.fades);
    fades.run_to(world, world.now + MEASURED);
    world.checker.shown.clear();
    let (from, before) = (world.now, sent(world));
    let mut written = Vec::new();
    for line in 0..extent.rounds {
        let next = world.now + gap(world, EVERY);
        fades.run_to(world, next);
        let writer = world.dice.below(nodes.min(WRITERS));
        written.push((writer, world.now));
        world.say(writer, "#lobby", &format!("{WORD}{line}"));
    }
    let (to, after) = (world.now, sent(world));
    let cap = world.now + PATIENCE;
    while shown(world) < extent.rounds * nodes && world.now < cap {
        let next = world.now + Duration::from_millis(250);
        fades.run_to(world, next);
    }
    let mut text = delivery(world, &written);
    let _ = writeln!(text, "{}", costs(&before, &after, extent.rounds, to - from));
    text
}

/// So many of the lines are shown, wherever.
fn shown(world: &World) -> usize {
    let lines = world.checker.shown.iter();
    lines.filter(|(_, _, text)| text.starts_with(WORD)).count()
}

/// How long the lines took to each of the others, and what is wrong with them.
fn delivery(world: &World, written: &[(usize, Duration)]) -> String {
    let nodes = world.nodes.len();
    let mut first: BTreeMap<(usize, usize), Duration> = BTreeMap::new();
    let mut doubled = 0;
    for (at, node, text) in &world.checker.shown {
        let number = text.strip_prefix(WORD).and_then(|n| n.parse().ok());
        let Some(line) = number.filter(|line| *line < written.len()) else {
            continue;
        };
        match first.entry((line, *node)) {
            Entry::Occupied(_) => doubled += 1,
            Entry::Vacant(none) => {
                none.insert(*at);
            }
        }
    }
    let (mut each, mut all) = <(Times, Times)>::default();
    for (line, (writer, said)) in written.iter().enumerate() {
        let others = (0..nodes).filter(|node| node != writer);
        let times: Vec<Option<Duration>> = others
            .map(|node| first.get(&(line, node)).map(|at| at.saturating_sub(*said)))
            .collect();
        times.iter().flatten().for_each(|time| each.add(*time));
        if let Some(whole) = times.into_iter().collect::<Option<Vec<_>>>() {
            all.add(whole.into_iter().max().unwrap_or_default());
        }
    }
    let wanted = written.len() * (nodes - 1);
    let mut text = each.line("shown at each of the others", wanted);
    text += &all.line("shown at all others", written.len());
    let undelivered = wanted - each.len();
    let order = world.checker.violation.as_ref();
    let order = order.map_or_else(|| "none".to_owned(), ToString::to_string);
    let _ = writeln!(
        text,
        "undelivered {undelivered}, doubled {doubled}, out of order or otherwise wrong: {order}"
    );
    text
}

/// What every node sent so far: datagrams by kind, entries as repairs.
fn sent(world: &World) -> (Kinds, u64) {
    let endpoints = world.nodes.iter().filter_map(|node| node.endpoint.as_ref());
    let repairs = endpoints.map(|endpoint| endpoint.stats().repairs_out).sum();
    (world.network.traffic.kinds.clone(), repairs)
}

/// What the lines cost, per line. The rest of what was sent is presence.
fn costs(before: &(Kinds, u64), after: &(Kinds, u64), lines: usize, time: Duration) -> String {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let per = |count: u64| count as f64 / lines.max(1) as f64;
    let of = |kinds: &Kinds, kind, group| kinds.get(&(kind, group)).copied().unwrap_or(0);
    let both = |kind: Kind, group| {
        let kind = kind as u8;
        per(of(&after.0, kind, group) - of(&before.0, kind, group))
    };
    format!(
        "per line: DATA {:.2} by group and {:.2} by unicast, HEADS {:.2}, NACK {:.2}, REPAIR {:.2} by group and \
         {:.2} by unicast with {:.2} entries, ACK {:.2}; {:.0} s",
        both(Kind::Data, true),
        both(Kind::Data, false),
        both(Kind::Heads, true),
        both(Kind::Nack, false),
        both(Kind::Repair, true),
        both(Kind::Repair, false),
        per(after.1 - before.1),
        both(Kind::Ack, false) + both(Kind::Ack, true),
        time.as_secs_f64()
    )
}
