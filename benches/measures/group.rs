//! Several who talk in one room: with loss, after a cut, as fast as it goes, under a flood.

use std::net::SocketAddrV4;
use std::time::Duration;

use super::talk::BEAT;
use super::{Row, Scale, Times, figure, millis, pause_until};
use crate::harness::flooder::Flooder;
use crate::harness::lan::{Host, Lan};
use crate::harness::node::{SOON, lanchat};
use crate::harness::party::{Hearing, LIFTED, Manner, Party};
use crate::harness::process::run;
use crate::harness::{ms, now, traffic, world};

const PATIENCE: Duration = Duration::from_secs(60);
const DEFAULTS: Manner = Manner {
    settings: "",
    arguments: &[],
    on_disk: true,
};
const NO_LIMITS: Manner = Manner {
    settings: LIFTED,
    ..DEFAULTS
};
const TOLD: Manner = Manner {
    arguments: &["--peer", "10.77.0.1"],
    ..DEFAULTS
};
/// Between two lines of a person, by the limits that everybody has.
const PERSON_BEAT: Duration = ms(200);

fn times(hearing: &Hearing) -> Times {
    let mut times = Times::default();
    let delays = hearing.delays.iter();
    delays.for_each(|delay| times.add(*delay));
    times
}

fn in_turn(hearing: &Hearing) -> Row {
    let late = format!("{} of {}", hearing.late, hearing.delays.len());
    figure(
        "the same: heard behind a later one of their author",
        late,
        "-".into(),
        "0",
    )
}

fn lossy(hosts: usize) -> Lan {
    let lan = Lan::new(hosts);
    lan.hosts().iter().for_each(|host| host.lose(30));
    lan
}

/// A thousand lines of three authors to five who lose 30 %.
pub fn five_at_loss(scale: Scale) -> Vec<Row> {
    let mut party = Party::met(lossy(5), 5, DEFAULTS);
    party.talk("line", 3, scale.of(334), PERSON_BEAT);
    let hearing = party.all_heard(PATIENCE);
    let same = party.same_history(PATIENCE);
    let what = format!(
        "30 % loss, five hosts, {} lines of three authors, each heard once in order: pipe to pipe",
        party.said_len()
    );
    vec![
        times(&hearing).row_p99(&what, "300 ms p99"),
        in_turn(&hearing),
        figure(
            "the same: `history` the same on all five, after the last was heard",
            millis(same),
            "-".into(),
            "-",
        ),
    ]
}

/// Rooms where not everything passes: pipe to pipe, in both directions.
pub fn paths(scale: Scale) -> Vec<Row> {
    let pair = |filter: fn(&Lan)| {
        let lan = Lan::new(2);
        filter(&lan);
        Party::met(lan, 2, TOLD)
    };
    let deaf = || {
        let lan = Lan::new(5);
        lan.host(5).deafen();
        Party::met(lan, 5, TOLD)
    };
    let row = |what: &str, mut party: Party| {
        party.talk("line", party.people.len(), scale.of(50), BEAT);
        let hearing = party.all_heard(PATIENCE);
        times(&hearing).row_p99(&format!("{what}: room message, pipe to pipe"), "-")
    };
    vec![
        row("no multicast", pair(Lan::drop_multicast)),
        row("no groups, --peer", pair(Lan::drop_multicast_and_broadcast)),
        row("one of five hears no group", deaf()),
    ]
}

/// One of three is cut off for a minute while all write.
pub fn heal(scale: Scale) -> Vec<Row> {
    let mut party = Party::met(Lan::new(3), 3, DEFAULTS);
    party.talk("before", 3, 1, ms(0));
    party.all_heard(SOON);
    party.lan.isolate(3);
    party.talk("meanwhile", 3, scale.of(60), ms(1000));
    let healed = now();
    party.lan.rejoin(3);
    party.all_heard(PATIENCE);
    let heard = now().saturating_duration_since(healed);
    party.same_history(PATIENCE);
    let same = now().saturating_duration_since(healed);
    let what = format!(
        "cut of one of three for {} s, both sides write: from its end until all heard all",
        scale.of(60)
    );
    vec![
        figure(what, millis(heard), "-".into(), "-"),
        figure(
            "the same: until `history` is the same on all",
            millis(same),
            "-".into(),
            "-",
        ),
    ]
}

/// An author writes 500 lines and leaves, and somebody else comes.
pub fn newcomer(scale: Scale) -> Vec<Row> {
    let count = scale.of(500);
    let (mut first, mut last) = (Times::default(), Times::default());
    for _ in 0..scale.of(5) {
        let mut party = Party::new(Lan::new(4), 4, NO_LIMITS);
        (0..3).for_each(|who| party.start(who));
        party.meet();
        party.talk("line", 1, count, ms(2));
        party.all_heard(PATIENCE);
        party.people[0].line(r#"{"command": "quit"}"#);
        party.people[1].sees("ana", &["left"], SOON);
        party.start(3);
        let started = party.people[3].started();
        let mut seen = false;
        loop {
            let held = party.history(3).lines().count();
            let took = now().saturating_duration_since(started);
            if held > 0 && !seen {
                first.add(took);
                seen = true;
            }
            if held == count || took > PATIENCE {
                last.add_if((held == count).then_some(took));
                break;
            }
            pause_until(now() + ms(2));
        }
    }
    let what = format!("{count} lines of an author who left: a newcomer's start to the first");
    vec![
        first.row_max(&what, "-"),
        last.row_max("the same: to the last", "10 s"),
    ]
}

/// Ten thousand lines of five authors, limits lifted.
pub fn fast(scale: Scale) -> Vec<Row> {
    let each = scale.of(2000);
    let mut party = Party::met(Lan::new(5), 5, NO_LIMITS);
    traffic::count(&party.lan).expect("counters at the switch");
    let used = |party: &Party| -> Vec<Duration> {
        let processes = party.people.iter().map(|node| node.process.borrow());
        processes.map(|process| process.cpu_time()).collect()
    };
    let (start, before) = (now(), used(&party));
    party.talk_at_once(each);
    let took = party
        .all_counted(3 * PATIENCE)
        .saturating_duration_since(start);
    let cpu: Vec<Duration> = used(&party)
        .iter()
        .zip(&before)
        .map(|(after, before)| *after - *before)
        .collect();
    let count = party.said_len();
    let passed = traffic::read(&party.lan);
    let unread: u64 = party.lan.hosts().iter().map(Host::unread).sum();
    let hearing = party.all_heard(SOON);
    let same = party.same_history(PATIENCE);
    let each_line = |packets: u64| format!("{:.2}", packets as f64 / count as f64);
    let each = |sum: Duration| sum.as_secs_f64() * 1e6 / count as f64;
    let mean = cpu.iter().sum::<Duration>() / u32::try_from(cpu.len()).unwrap_or(1);
    let most = cpu.iter().max().copied().unwrap_or_default();
    vec![
        figure(
            format!("{count} lines of five authors, limits lifted: in order at every member"),
            format!("{:.0}/s", count as f64 / took.as_secs_f64()),
            format!("{:.1} s", took.as_secs_f64()),
            "3,000/s",
        ),
        figure(
            "the same: time on a processor for a line at a member, mean and most",
            format!("{:.0} us", each(mean)),
            format!("{:.0} us", each(most)),
            "-",
        ),
        times(&hearing).row_p99(
            "the same: pipe to pipe, what waits in the pipes included",
            "-",
        ),
        in_turn(&hearing),
        figure(
            "the same: packets for a line, group and unicast",
            each_line(passed.group.packets),
            each_line(passed.unicast.packets),
            "-",
        ),
        figure(
            "the same: datagrams for which a socket had no room",
            unread.to_string(),
            "-".into(),
            "-",
        ),
        figure(
            "the same: `history` the same on all five, after the last was heard",
            millis(same),
            "-".into(),
            "-",
        ),
    ]
}

/// Two talk, first alone, then while a third member says a thousand things a second.
pub fn member_flood(scale: Scale) -> Vec<Row> {
    let mut party = Party::met(Lan::new(3), 2, DEFAULTS);
    let flooder = Flooder::join(&party.lan, 3, &party.people[1]);
    let to = |who: usize| {
        let ready = party.people[who].ready();
        let port = ready.event["chat_port"].as_u64().unwrap_or(5263);
        let port = u16::try_from(port).unwrap_or(5263);
        SocketAddrV4::new(party.lan.host(who + 1).v4(), port)
    };
    let to = vec![to(0), to(1)];
    let lines = scale.of(100);
    pause_until(now() + ms(1000));
    party.talk("at rest", 2, lines, BEAT);
    let at_rest = times(&party.all_heard(PATIENCE));
    let flood = flooder.flood(1000, to);
    let start = now();
    party.talk("under it", 2, lines, BEAT);
    let under_it = party.all_heard(PATIENCE);
    let took = now().saturating_duration_since(start);
    let sent = flood.end();
    let mut late = Times::default();
    // Of each listener first the lines from before.
    for half in under_it.delays.chunks(2 * lines) {
        half.iter().skip(lines).for_each(|delay| late.add(*delay));
    }
    let what = format!(
        "room message while a member says {:.0}/s to two others",
        f64::from(sent) / took.as_secs_f64()
    );
    vec![
        at_rest.row_p99(
            "the same two before: room message, pipe to pipe, at 8/s",
            "-",
        ),
        late.row_p99(&what, "50 ms p99 more"),
    ]
}

/// `lanchat send`, a process for each line, on a network that loses 30 %.
pub fn send_at_loss(scale: Scale) -> Vec<Row> {
    let party = Party::met(lossy(5), 4, DEFAULTS);
    let mut took = Times::default();
    let mut to_all = 0;
    for number in 0..scale.of(50) {
        let dir = world::disk_scratch();
        let mut command = lanchat(dir.path());
        command.args(["send", "#lobby", &format!("run {number}")]);
        let start = now();
        let sent = run(party.lan.host(5), command, "", PATIENCE);
        took.add(now().saturating_duration_since(start));
        let is_whole = sent.stdout == "delivered to 4 of 4 in #lobby\n";
        to_all += usize::from(sent.code == 0 && is_whole);
    }
    let share = format!("{to_all} of {}", took.len());
    vec![
        took.row_p99("30 % loss: `send` to a room of four, start to end", "-"),
        figure("the same: delivered to 4 of 4", share, "-".into(), "all"),
    ]
}
