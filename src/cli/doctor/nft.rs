//! Whether an nftables ruleset lets a datagram in: `nft -j list ruleset` read and followed, as far
//! as its rules are understood. What is not understood makes the answer unsure, never wrong.

use serde_json::Value;

/// How deep jumps are followed.
const JUMPS_MAX: usize = 16;

/// What becomes of a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Accept,
    Drop,
    /// A rule that was not understood may decide it otherwise.
    Unsure,
}

/// The chains and rules, as nft lists them.
pub(super) struct Ruleset {
    chains: Vec<Value>,
    rules: Vec<Value>,
}

impl Ruleset {
    /// Reads the JSON that nft prints.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let listed = value.get("nftables")?.as_array()?;
        let of = |kind: &str| {
            listed
                .iter()
                .filter_map(|at| at.get(kind))
                .cloned()
                .collect()
        };
        Some(Ruleset {
            chains: of("chain"),
            rules: of("rule"),
        })
    }

    /// The input chains that do not surely let a new UDP datagram to each of these ports in, as
    /// `family table chain`.
    pub(super) fn not_open(&self, ports: &[u16]) -> Vec<String> {
        let closed = |chain: &&Value| ports.iter().any(|&p| self.fate(chain, p) != Fate::Accept);
        self.input().filter(closed).map(name).collect()
    }

    /// Whether one of these ports is surely closed.
    pub(super) fn drops(&self, ports: &[u16]) -> bool {
        let drops = |chain: &Value| {
            ports
                .iter()
                .any(|&port| self.fate(chain, port) == Fate::Drop)
        };
        self.input().any(drops)
    }

    /// The chains that every datagram from the network passes.
    fn input(&self) -> impl Iterator<Item = &Value> {
        self.chains.iter().filter(|chain| {
            let family = chain["family"].as_str().unwrap_or_default();
            chain["hook"] == "input" && matches!(family, "inet" | "ip")
        })
    }

    fn fate(&self, chain: &Value, port: u16) -> Fate {
        let mut unsure = false;
        let found = self.follow(chain, port, &mut unsure, JUMPS_MAX);
        let fate = found.unwrap_or(match chain["policy"].as_str() {
            Some("drop") => Fate::Drop,
            _ => Fate::Accept,
        });
        if unsure { Fate::Unsure } else { fate }
    }

    /// The first verdict of a chain's rules; none if they leave it to the policy.
    fn follow(&self, chain: &Value, port: u16, unsure: &mut bool, jumps: usize) -> Option<Fate> {
        let same = |rule: &&Value| {
            let keys = ["family", "table"];
            keys.iter().all(|key| rule[key] == chain[key]) && rule["chain"] == chain["name"]
        };
        for rule in self.rules.iter().filter(same) {
            let empty = Vec::new();
            let parts = rule["expr"].as_array().unwrap_or(&empty);
            let applies = all_match(parts, port);
            if applies == Some(false) {
                continue;
            }
            let verdict = parts
                .iter()
                .find_map(|part| self.verdict(part, chain, port, jumps));
            match (verdict, applies) {
                (Some(Verdict::Final(fate, sure)), Some(true)) => {
                    *unsure |= !sure;
                    return Some(fate);
                }
                (Some(Verdict::Return), Some(true)) => return None,
                (Some(_), _) => *unsure = true,
                (None, _) => {}
            }
        }
        None
    }

    fn verdict(&self, part: &Value, chain: &Value, port: u16, jumps: usize) -> Option<Verdict> {
        let (key, value) = part.as_object()?.iter().next()?;
        match key.as_str() {
            "accept" => Some(Verdict::Final(Fate::Accept, true)),
            "drop" | "reject" => Some(Verdict::Final(Fate::Drop, true)),
            "return" => Some(Verdict::Return),
            "jump" | "goto" => {
                let target = self.chains.iter().find(|other| {
                    ["family", "table"]
                        .iter()
                        .all(|key| other[key] == chain[key])
                        && other["name"] == value["target"]
                });
                let Some((target, deeper)) = target.zip(jumps.checked_sub(1)) else {
                    return Some(Verdict::Final(Fate::Unsure, false));
                };
                let mut unsure = false;
                match self.follow(target, port, &mut unsure, deeper) {
                    Some(fate) => Some(Verdict::Final(fate, !unsure)),
                    // What was not understood there may have decided it.
                    None if unsure => Some(Verdict::Final(Fate::Unsure, false)),
                    // Nothing comes back from where a goto leads.
                    None => (key == "goto").then_some(Verdict::Return),
                }
            }
            // A statement of another program, such as iptables through nft.
            "xt" | "vmap" | "queue" => Some(Verdict::Final(Fate::Unsure, false)),
            _ => None,
        }
    }
}

enum Verdict {
    /// And whether it is sure.
    Final(Fate, bool),
    Return,
}

fn name(chain: &Value) -> String {
    let text = |key: &str| chain[key].as_str().unwrap_or_default();
    format!("{} {} {}", text("family"), text("table"), text("name"))
}

/// Whether all conditions of a rule hold; none where one of them is not known and none fails.
fn all_match(parts: &[Value], port: u16) -> Option<bool> {
    let mut unsure = false;
    for part in parts {
        match matches(part, port) {
            Some(false) => return Some(false),
            Some(true) => {}
            None => unsure = true,
        }
    }
    (!unsure).then_some(true)
}

/// Whether a new UDP datagram from the network to this port fits; none where that is not known.
fn matches(part: &Value, port: u16) -> Option<bool> {
    let Some(test) = part.get("match") else {
        // No condition at all; but limits and lookups are.
        let unknown = ["limit", "xt", "vmap", "quota"];
        return match unknown.iter().any(|key| part.get(key).is_some()) {
            true => None,
            false => Some(true),
        };
    };
    let (left, right) = (&test["left"], &test["right"]);
    let fits = if let Some(payload) = left.get("payload") {
        match (payload["protocol"].as_str()?, payload["field"].as_str()?) {
            ("udp" | "th", "dport") => holds_port(right, port)?,
            ("tcp" | "icmp" | "icmpv6" | "sctp", _) => return Some(false),
            ("ip", "protocol") => holds_text(right, "udp"),
            _ => return None,
        }
    } else if let Some(key) = left.pointer("/meta/key") {
        match key.as_str()? {
            "iif" | "iifname" => match holds_text(right, "lo") {
                true => false,
                false => return None,
            },
            "l4proto" => holds_text(right, "udp"),
            _ => return None,
        }
    } else if left.pointer("/ct/key").is_some_and(|key| key == "state") {
        holds_text(right, "new")
    } else {
        return None;
    };
    Some(fits != (test["op"] == "!="))
}

/// Whether a number, a range or a set of them holds this port.
fn holds_port(right: &Value, port: u16) -> Option<bool> {
    let port = u64::from(port);
    if let Some(number) = right.as_u64() {
        return Some(number == port);
    }
    if let Some(range) = right.get("range").and_then(Value::as_array) {
        let (first, last) = (range.first()?.as_u64()?, range.get(1)?.as_u64()?);
        return Some((first..=last).contains(&port));
    }
    let set = right.get("set").and_then(Value::as_array)?;
    let port = u16::try_from(port).ok()?;
    let mut any = Some(false);
    for element in set {
        match holds_port(element, port) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => any = None,
        }
    }
    any
}

fn holds_text(right: &Value, text: &str) -> bool {
    let list = right.get("set").unwrap_or(right);
    match list.as_array() {
        Some(list) => list.iter().any(|one| one == text),
        None => list == text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PORTS: [u16; 2] = [5262, 5263];

    fn ruleset(policy: &str, rules: Vec<Value>) -> Ruleset {
        let mut listed = vec![
            json!({"metainfo": {"json_schema_version": 1}}),
            json!({"chain": {"family": "inet", "table": "filter", "name": "input",
                "type": "filter", "hook": "input", "prio": 0, "policy": policy}}),
            json!({"chain": {"family": "inet", "table": "filter", "name": "lan"}}),
        ];
        listed.extend(rules.into_iter().map(|mut rule| {
            rule["family"] = "inet".into();
            rule["table"] = "filter".into();
            json!({ "rule": rule })
        }));
        Ruleset::parse(&json!({ "nftables": listed }).to_string()).unwrap()
    }

    fn rule(chain: &str, expr: Value) -> Value {
        json!({"chain": chain, "expr": expr})
    }

    fn dport(right: Value) -> Value {
        json!({"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}},
            "right": right}})
    }

    fn established() -> Value {
        let state = json!({"match": {"op": "in", "left": {"ct": {"key": "state"}},
            "right": ["established", "related"]}});
        rule("input", json!([state, {"accept": null}]))
    }

    fn on_loopback() -> Value {
        let lo = json!({"match": {"op": "==", "left": {"meta": {"key": "iif"}}, "right": "lo"}});
        rule("input", json!([lo, {"accept": null}]))
    }

    #[test]
    fn a_default_deny_is_closed_until_the_ports_are_let_in() {
        let closed = ruleset("drop", vec![on_loopback(), established()]);
        assert_eq!(closed.not_open(&PORTS), ["inet filter input"]);
        assert!(closed.drops(&PORTS));
        for right in [
            json!({"set": [5262, 5263]}),
            json!({"range": [5262, 5279]}),
            json!({"set": [22, {"range": [5262, 5279]}]}),
        ] {
            let open = rule(
                "input",
                json!([dport(right), {"counter": {}}, {"accept": null}]),
            );
            let open = ruleset("drop", vec![established(), open]);
            assert_eq!(open.not_open(&PORTS), [""; 0]);
        }
        let half = rule("input", json!([dport(json!(5262)), {"accept": null}]));
        assert!(ruleset("drop", vec![half]).drops(&PORTS));
    }

    #[test]
    fn a_rule_that_drops_the_ports_is_found_behind_a_jump_too() {
        let direct = rule(
            "input",
            json!([dport(json!({"set": [5262, 5263]})), {"drop": null}]),
        );
        assert!(ruleset("accept", vec![direct]).drops(&PORTS));
        let jump = rule("input", json!([{"jump": {"target": "lan"}}]));
        let inner = rule("lan", json!([dport(json!(5263)), {"reject": null}]));
        assert!(ruleset("accept", vec![jump.clone(), inner]).drops(&PORTS));
        let other = rule("lan", json!([dport(json!(53)), {"drop": null}]));
        assert_eq!(
            ruleset("accept", vec![jump, other]).not_open(&PORTS),
            [""; 0]
        );
    }

    #[test]
    fn what_is_not_understood_is_unsure_and_never_surely_closed() {
        let lan = json!({"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field":
            "saddr"}}, "right": {"prefix": {"addr": "10.0.0.0", "len": 8}}}});
        let maybe = rule("input", json!([lan, {"accept": null}]));
        let unsure = ruleset("drop", vec![maybe]);
        assert_eq!(unsure.not_open(&PORTS), ["inet filter input"]);
        assert!(!unsure.drops(&PORTS));
        let foreign = rule("input", json!([{"xt": {"type": "target", "name": "DROP"}}]));
        assert!(!ruleset("accept", vec![foreign]).drops(&PORTS));
    }

    #[test]
    fn a_chain_that_may_have_dropped_leaves_it_unsure_and_a_goto_does_not_come_back() {
        let lan = json!({"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field":
            "saddr"}}, "right": {"prefix": {"addr": "10.0.0.0", "len": 8}}}});
        let jump = |to: &str| rule("input", json!([{"jump": {"target": to}}]));
        let maybe = rule("lan", json!([lan, {"drop": null}]));
        let unsure = ruleset("accept", vec![jump("lan"), maybe]);
        assert_eq!(unsure.not_open(&PORTS), ["inet filter input"]);
        assert!(!unsure.drops(&PORTS));
        let lost = ruleset("accept", vec![jump("nowhere")]);
        assert_eq!(lost.not_open(&PORTS), ["inet filter input"]);
        let round = rule("lan", json!([{"jump": {"target": "lan"}}]));
        let endless = ruleset("accept", vec![jump("lan"), round]);
        assert_eq!(endless.not_open(&PORTS), ["inet filter input"]);

        let goto = rule("input", json!([{"goto": {"target": "lan"}}]));
        let accept = rule("input", json!([{"accept": null}]));
        assert!(ruleset("drop", vec![goto, accept.clone()]).drops(&PORTS));
        let open = ruleset("drop", vec![jump("lan"), accept]);
        assert_eq!(open.not_open(&PORTS), [""; 0]);
    }

    #[test]
    fn without_rules_everything_is_open() {
        let empty = Ruleset::parse(r#"{"nftables": [{"metainfo": {}}]}"#).unwrap();
        assert_eq!(empty.not_open(&PORTS), [""; 0]);
        assert!(!empty.drops(&PORTS) && Ruleset::parse("{").is_none());
    }
}
