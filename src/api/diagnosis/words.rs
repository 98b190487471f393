//! A diagnosis as lines of text, the same for every front end.

use super::Cause;
use crate::api::{InterfaceState, NetworkVerdict};

/// Each interface with what is heard and what hinders it, then what it comes to.
#[must_use]
pub fn lines(interfaces: &[InterfaceState], verdict: Option<&NetworkVerdict>) -> Vec<String> {
    let mut lines = Vec::new();
    for interface in interfaces {
        let what = interface.hint.as_deref().unwrap_or("works");
        lines.push(format!("{}: {what}", interface.name));
        let overall = verdict.is_some_and(|verdict| Some(verdict.cause) == interface.cause);
        // What all comes to is told once, below.
        if let Some(remedy) = interface.remedy.as_ref().filter(|_| !overall) {
            lines.push(format!("  try: {remedy}"));
        }
        if !interface.looped.is_empty() || !interface.heard.is_empty() {
            let (own, others) = (list(&interface.looped), list(&interface.heard));
            let mut line = format!("  own: {own}; of others: {others}");
            // A node that only listens has perhaps not been told yet.
            let asked = verdict.is_some_and(|verdict| verdict.own_round_trip.is_some());
            if asked || !interface.heard_by_others.is_empty() {
                let paths = list(&interface.heard_by_others);
                line.push_str(&format!("; others hear this computer by: {paths}"));
            }
            lines.push(line);
        }
    }
    if let Some(verdict) = verdict {
        match verdict.own_round_trip {
            Some(true) => lines.push("this computer: two nodes find and answer each other".into()),
            Some(false) => lines.push("this computer: two nodes do not find each other".into()),
            None => {}
        }
        let sign = match (verdict.cause, verdict.reached) {
            (Cause::None, _) => "fine",
            (_, true) => "works in part",
            (Cause::Unknown, false) => "unknown",
            (_, false) => "trouble",
        };
        lines.push(format!("{sign}: {}", verdict.message));
        if let Some(remedy) = &verdict.remedy {
            lines.push(format!("try: {remedy}"));
        }
    }
    lines
}

fn list(paths: &[String]) -> String {
    if paths.is_empty() {
        "nothing".to_owned()
    } else {
        paths.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_comes_to_is_told_once_and_last() {
        let interface = InterfaceState {
            name: "eth0".into(),
            hint: Some("the firewall of this computer lets nothing in".into()),
            cause: Some(Cause::OwnFirewall),
            remedy: Some("sudo ufw allow 5262,5263/udp".into()),
            heard: vec!["mcast4".into()],
            ..InterfaceState::default()
        };
        let verdict = NetworkVerdict {
            cause: Cause::OwnFirewall,
            message: "the firewall of this computer lets nothing in".into(),
            remedy: interface.remedy.clone(),
            reached: false,
            own_round_trip: Some(true),
        };
        assert_eq!(
            lines(&[interface], Some(&verdict)),
            [
                "eth0: the firewall of this computer lets nothing in",
                "  own: nothing; of others: mcast4; others hear this computer by: nothing",
                "this computer: two nodes find and answer each other",
                "trouble: the firewall of this computer lets nothing in",
                "try: sudo ufw allow 5262,5263/udp",
            ]
        );
    }

    #[test]
    fn what_nobody_was_asked_is_not_told_as_nothing() {
        let interface = InterfaceState {
            name: "eth0".into(),
            looped: vec!["mcast4".into()],
            ..InterfaceState::default()
        };
        let verdict = |own_round_trip| NetworkVerdict {
            cause: Cause::None,
            message: "people are found".into(),
            remedy: None,
            reached: true,
            own_round_trip,
        };
        let told = |own_round_trip| {
            let verdict = verdict(own_round_trip);
            lines(std::slice::from_ref(&interface), Some(&verdict)).join("\n")
        };
        assert!(told(Some(true)).contains("others hear this computer by: nothing"));
        assert!(!told(None).contains("others hear"), "{}", told(None));
    }
}
