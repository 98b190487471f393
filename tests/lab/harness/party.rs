//! People who talk in one room: who said what and when, who heard it, what all hold afterwards.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::lan::{Host, Lan};
use super::node::{Node, all_meet, lanchat};
use super::{ms, now, world};

/// Their names; the first is on the first host.
const NAMES: [&str; 8] = ["ana", "ben", "cid", "dan", "eve", "fay", "gus", "hal"];
/// A user's limits so high that nobody waits for any of them, for `config.toml`.
pub const LIFTED: &str = "[limits]\nperson-rate = 100000\nperson-burst = 100000\nnode-rate = 100000\n\
    node-burst = 100000\ngroup-packets = 100000\ngroup-bits = 1000000000\nsource-rate = 100000\n\
    verify-rate = 1000000\nnack-answers = 100000\nnack-bytes = 1000000000\n";

/// Lines that were written and not shown to their author yet; of 1000 lanchat takes no more.
const UNDER_WAY_MAX: usize = 300;

/// Some of them on hosts of one LAN, each with a home of its own.
pub struct Party {
    /// Where they are.
    pub lan: Lan,
    /// Those who run, by host.
    pub people: Vec<Node>,
    manner: Manner,
    homes: Vec<tempfile::TempDir>,
    said: Vec<Vec<Said>>,
    heard: Vec<Vec<Line>>,
}

/// What somebody said.
#[derive(Clone)]
struct Said {
    text: String,
    /// When it was written to their stdin.
    at: Instant,
}

/// What somebody heard in the lobby.
#[derive(Clone, Debug)]
pub struct Line {
    /// Name of who said it.
    pub from: String,
    /// What.
    pub text: String,
    /// Whether it stands somewhere else than at the end, or came too late for its place.
    pub moved: bool,
    /// When it was read.
    pub at: Instant,
}

/// How all lines came to all who did not say them.
#[derive(Default)]
pub struct Hearing {
    /// How long it took from one's stdin to another's stdout, a sample for each line and listener.
    pub delays: Vec<Duration>,
    /// Lines that came after a later one of their author: a gap was not filled in within 500 ms.
    /// They were put into their place, and nothing came twice.
    pub late: usize,
}

/// How people start.
#[derive(Clone, Copy, Default)]
pub struct Manner {
    /// What stands in their `config.toml`.
    pub settings: &'static str,
    /// Further arguments.
    pub arguments: &'static [&'static str],
    /// Whether their data is on the disk that the build is on; else it is in memory.
    pub on_disk: bool,
}

impl Party {
    /// So many people, on the first hosts of this LAN, none of whom runs.
    pub fn new(lan: Lan, count: usize, manner: Manner) -> Self {
        let homes = (0..count).map(|_| home(manner)).collect();
        Party {
            manner,
            lan,
            people: Vec::new(),
            homes,
            said: vec![Vec::new(); count],
            heard: vec![Vec::new(); count],
        }
    }

    /// Starts all of them, and waits until they list each other.
    pub fn met(lan: Lan, count: usize, manner: Manner) -> Self {
        let mut party = Party::new(lan, count, manner);
        (0..count).for_each(|who| party.start(who));
        party.meet();
        // Whoever came first and was greeted by nobody holds back what it says for a second.
        let started = party.people.iter().map(Node::started).max();
        let settled = started.map(|at| at + ms(1100));
        party.pause(settled.map_or(ms(0), |at| at.saturating_duration_since(now())));
        party
    }

    /// Waits until all list each other.
    pub fn meet(&self) {
        let all: Vec<&Node> = self.people.iter().collect();
        all_meet(&all, Duration::from_secs(20));
    }

    /// Starts one, the next, or one that ended again.
    pub fn start(&mut self, who: usize) {
        let (host, home) = (self.lan.host(who + 1), self.homes[who].path());
        let node = Node::start_in(host, NAMES[who], home, self.manner.arguments);
        if who < self.people.len() {
            self.people[who] = node;
        } else {
            self.people.push(node);
        }
    }

    /// One of them writes a line to the lobby.
    pub fn say(&mut self, who: usize, text: String) {
        let command = serde_json::json!({"command": "send", "to": "#lobby", "text": text});
        let at = now();
        self.people[who].line(&command.to_string());
        self.said[who].push(Said { text, at });
    }

    /// The same, once it was taken; its id.
    pub fn tell(&mut self, who: usize, text: String) -> String {
        let at = now();
        let id = self.people[who].say("#lobby", &text);
        self.said[who].push(Said { text, at });
        id
    }

    /// All write these many lines in all, as fast as each takes them.
    pub fn talk_at_once(&mut self, each: usize) {
        let people = self.people.len();
        while self.said.iter().any(|said| said.len() < each) {
            let mut wrote = false;
            for (who, name) in NAMES.iter().enumerate().take(people) {
                let said = self.said[who].len();
                let is_full = said - self.people[who].shown_own() >= UNDER_WAY_MAX;
                if said < each && !is_full {
                    self.say(who, format!("{said} of {name}"));
                    wrote = true;
                }
            }
            if !wrote {
                self.pause(ms(1));
            }
        }
    }

    /// Waits until each was shown as many lines as were said, without a look at them, which would
    /// cost what is measured; when.
    pub fn all_counted(&self, within: Duration) -> Instant {
        let deadline = now() + within;
        let is_short = |(node, said): (&Node, &Vec<Said>)| {
            node.shown_of_others() < self.said_len() - said.len()
        };
        while self.people.iter().zip(&self.said).any(is_short) {
            if now() > deadline {
                let shown: Vec<_> = self.people.iter().map(Node::shown_of_others).collect();
                panic!(
                    "of {} lines they were shown {shown:?} of others",
                    self.said_len()
                );
            }
            self.pause(ms(1));
        }
        now()
    }

    /// Each of the first `authors` writes `each` lines, all at this pace; what they are called
    /// begins with `topic`.
    pub fn talk(&mut self, topic: &str, authors: usize, each: usize, beat: Duration) {
        let start = now();
        for number in 0..each {
            let due = start + beat * u32::try_from(number).expect("few");
            self.pause(due.saturating_duration_since(now()));
            for (who, name) in NAMES.iter().enumerate().take(authors) {
                self.say(who, format!("{topic} {number} of {name}"));
            }
        }
    }

    /// Lets time pass in which all go on.
    pub fn pause(&self, time: Duration) {
        let node = &self.people[0];
        let ended = node.process.borrow_mut().try_wait(time);
        assert_eq!(ended, None, "{} ended", node.name);
    }

    /// How many lines were written in all.
    pub fn said_len(&self) -> usize {
        self.said.iter().map(Vec::len).sum()
    }

    /// Waits until each has heard all that the others said, each line once, and those of each
    /// author in order or put into their place.
    pub fn all_heard(&mut self, within: Duration) -> Hearing {
        let deadline = now() + within;
        let mut hearing = Hearing::default();
        for who in 0..self.people.len() {
            self.listen(who, deadline);
            self.check(who, &mut hearing);
        }
        hearing
    }

    /// Reads what came to one of them until that is as much as all others said.
    fn listen(&mut self, who: usize, deadline: Instant) {
        let wanted = self.said_len() - self.said[who].len();
        let node = &self.people[who];
        let heard = &mut self.heard[who];
        while heard.len() < wanted {
            let left = deadline.saturating_duration_since(now());
            match node.take(left) {
                Some(event) => heard.extend(line_of(&event.event, event.at)),
                None => node.fail(&format!("heard {} lines of {wanted}", heard.len())),
            }
        }
    }

    /// Reads what is there already, and compares all with what was said.
    fn check(&mut self, who: usize, hearing: &mut Hearing) {
        let node = &self.people[who];
        while let Some(event) = node.take(Duration::ZERO) {
            self.heard[who].extend(line_of(&event.event, event.at));
        }
        for (author, said) in self.said.iter().enumerate().filter(|(by, _)| *by != who) {
            let heard = self.heard[who].iter();
            let of = heard.filter(|line| line.from == NAMES[author]);
            let numbers: HashMap<&str, usize> =
                (0..).zip(said).map(|(n, s)| (&*s.text, n)).collect();
            let mut came = vec![false; said.len()];
            let mut last = None;
            for line in of {
                let Some(&number) = numbers.get(line.text.as_str()) else {
                    node.fail(&format!("heard what nobody said: {line:?}"));
                };
                if came[number] {
                    node.fail(&format!("heard twice: {line:?}"));
                }
                came[number] = true;
                if last > Some(number) {
                    hearing.late += 1;
                    if !line.moved {
                        node.fail(&format!("heard out of its turn: {line:?}"));
                    }
                }
                last = last.max(Some(number));
                let took = line.at.saturating_duration_since(said[number].at);
                hearing.delays.push(took);
            }
            if let Some(missing) = came.iter().position(|came| !came) {
                node.fail(&format!("did not hear {:?}", said[missing].text));
            }
        }
    }

    /// Waits until `lanchat history` prints the same for all of them, with all that was said; how
    /// long that took.
    pub fn same_history(&self, within: Duration) -> Duration {
        let start = now();
        let wanted = self.said_len();
        let mut first: Option<String> = None;
        for (who, node) in self.people.iter().enumerate() {
            loop {
                let table = self.history(who);
                let len = table.lines().count();
                if len == wanted && first.as_ref().is_none_or(|first| *first == table) {
                    first = Some(table);
                    break;
                }
                if now() > start + within {
                    let why = differ(first.as_ref().unwrap_or(&table), &table);
                    node.fail(&format!("holds {len} lines of {wanted}; {why}"));
                }
                self.pause(ms(20));
            }
        }
        let took = now().saturating_duration_since(start);
        let rows = self.rows(0);
        for (who, node) in self.people.iter().enumerate().skip(1) {
            if self.rows(who) != rows {
                node.fail("has another id or place for a line");
            }
        }
        took
    }

    /// What `lanchat history` prints of the lobby for one of them.
    pub fn history(&self, who: usize) -> String {
        table(self.lan.host(who + 1), self.homes[who].path(), &[])
    }

    /// The ids of the lines that one of them holds.
    pub fn ids(&self, who: usize) -> BTreeSet<String> {
        let json = table(self.lan.host(who + 1), self.homes[who].path(), &["--json"]);
        let id = |line: &str| {
            let event: Value = serde_json::from_str(line).expect("an object");
            event["id"].as_str().expect("an id").to_owned()
        };
        let ids: Vec<String> = json.lines().map(id).collect();
        let len = ids.len();
        let ids: BTreeSet<String> = ids.into_iter().collect();
        assert_eq!(ids.len(), len, "{} holds a line twice", NAMES[who]);
        ids
    }

    /// The same as JSON, without what is another for everybody: whether it is one's own.
    fn rows(&self, who: usize) -> Vec<String> {
        let json = table(self.lan.host(who + 1), self.homes[who].path(), &["--json"]);
        let row = |line: &str| {
            let mut event: Value = serde_json::from_str(line).expect("an object");
            for own in ["/own", "/from/verified"] {
                if let Some(value) = event.pointer_mut(own) {
                    *value = Value::Null;
                }
            }
            event.to_string()
        };
        json.lines().map(row).collect()
    }

    /// Their data directory.
    pub fn home(&self, who: usize) -> &Path {
        self.homes[who].path()
    }
}

fn home(manner: Manner) -> tempfile::TempDir {
    let home = match manner.on_disk {
        true => world::disk_scratch(),
        false => world::scratch(),
    };
    let config = home.path().join(".config/lanchat");
    fs::create_dir_all(&config).expect("a directory");
    fs::write(config.join("config.toml"), manner.settings).expect("a file");
    home
}

fn table(host: &Host, home: &Path, further: &[&str]) -> String {
    let mut command: Command = lanchat(home);
    command.args(["history", "#lobby", "--limit", "100000"]);
    command.args(further);
    let output = host.enter(move || command.output()).expect("it runs");
    String::from_utf8(output.stdout).expect("text")
}

fn line_of(event: &Value, at: Instant) -> Option<Line> {
    let is_one = event["event"] == "message"
        && event["own"] == false
        && event["conversation"] == "#lobby"
        && event.get("ref").is_none();
    let text = |pointer| {
        let value = event.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let is_of_us = NAMES.contains(&text("/from/name").as_str());
    (is_one && is_of_us).then(|| Line {
        from: text("/from/name"),
        text: text("/text"),
        moved: event["delayed"] == true || event.get("after").is_some(),
        at,
    })
}

fn differ(one: &str, other: &str) -> String {
    let lines = one.lines().zip(other.lines());
    let first = lines.enumerate().find(|(_, (one, other))| one != other);
    match first {
        Some((at, (one, other))) => format!("line {at} is {other:?}, elsewhere {one:?}"),
        None => "no line is another than elsewhere".to_owned(),
    }
}

/// The delay that `percent` % of all do not exceed.
pub fn percentile(delays: &[Duration], percent: usize) -> Duration {
    let mut sorted = delays.to_vec();
    sorted.sort();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

impl Hearing {
    /// A line of figures for the output of a test.
    pub fn figures(&self) -> String {
        let late = match self.late {
            0 => String::new(),
            late => format!("; {late} not in their turn"),
        };
        figures(&self.delays) + &late
    }
}

/// A line of figures for the output of a test.
pub fn figures(delays: &[Duration]) -> String {
    let millis = |percent| percentile(delays, percent).as_secs_f64() * 1e3;
    format!(
        "n = {}: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
        delays.len(),
        millis(50),
        millis(99),
        millis(100)
    )
}
