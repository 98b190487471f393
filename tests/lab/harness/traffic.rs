//! How much passes a switch: counters of nftables, which cost the processes under test nothing.

use std::ops::Sub;
use std::process::Command;

use super::lan::{Host, Lan};

/// Datagrams to lanchat's ports that came into the switch, each once.
#[derive(Clone, Copy, Default, Debug)]
pub struct Traffic {
    /// To a group: multicast and broadcast.
    pub group: Amount,
    /// To one host.
    pub unicast: Amount,
}

/// Packets, and their bytes from the IP header on.
#[derive(Clone, Copy, Default, Debug)]
pub struct Amount {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Begins to count at the switch of this LAN.
///
/// # Errors
/// What `nft` said.
pub fn count(lan: &Lan) -> Result<(), String> {
    let group = "ether daddr & 01:00:00:00:00:00 ==";
    lan.switch().try_nft(&format!(
        "table bridge traffic {{\n\
         counter group {{}}\n\
         counter unicast {{}}\n\
         chain count {{\n\
         type filter hook prerouting priority -300\n\
         udp dport 5262-5279 {group} 01:00:00:00:00:00 counter name group\n\
         udp dport 5262-5279 {group} 00:00:00:00:00:00 counter name unicast\n\
         }}\n}}\n"
    ))
}

/// What was counted since [`count`].
pub fn read(lan: &Lan) -> Traffic {
    let amount = |name| counter(lan.switch(), name).unwrap_or_else(|| panic!("counter {name}"));
    Traffic {
        group: amount("group"),
        unicast: amount("unicast"),
    }
}

fn counter(switch: &Host, name: &str) -> Option<Amount> {
    let list = ["list", "counter", "bridge", "traffic", name];
    let output = switch.enter(|| Command::new("nft").args(list).output());
    let text = String::from_utf8(output.ok()?.stdout).ok()?;
    let mut words = text.split_whitespace();
    let mut after = |word| words.find(|w| *w == word).and_then(|_| words.next());
    Some(Amount {
        packets: after("packets")?.parse().ok()?,
        bytes: after("bytes")?.parse().ok()?,
    })
}

impl Sub for Traffic {
    type Output = Traffic;
    fn sub(self, before: Traffic) -> Traffic {
        let less = |now: Amount, then: Amount| Amount {
            packets: now.packets - then.packets,
            bytes: now.bytes - then.bytes,
        };
        Traffic {
            group: less(self.group, before.group),
            unicast: less(self.unicast, before.unicast),
        }
    }
}
