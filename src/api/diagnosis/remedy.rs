//! The exact command for the tool that was found. Only ever shown, never run.

use super::{Facts, LinkFacts, System, Tool};

/// Lets lanchat's ports in, with the tool found here.
pub(super) fn open_ports(facts: &Facts) -> String {
    let ports = Ports::of(facts);
    match &facts.firewall.tool {
        Some(Tool::Ufw) => ufw(ports),
        Some(Tool::Firewalld(zone)) => firewalld(Some(zone), ports),
        Some(Tool::Nft(chains)) => {
            let set = ports.join("-", ", ");
            let rule = |chain: &String| {
                format!("sudo nft insert rule {chain} udp dport {{ {set} }} accept")
            };
            let rules: Vec<String> = chains.iter().map(rule).collect();
            rules.join(" && ")
        }
        Some(Tool::Iptables) => {
            let list = ports.join(":", ",");
            let rule = |tool: &str| {
                format!("sudo {tool} -I INPUT -p udp -m multiport --dports {list} -j ACCEPT")
            };
            format!("{} && {}", rule("iptables"), rule("ip6tables"))
        }
        Some(Tool::Windows) => windows(ports),
        Some(Tool::MacOs(program)) => macos(program),
        None => match facts.system {
            System::Windows => windows(ports),
            System::MacOs => macos("\"$(command -v lanchat)\""),
            System::Linux | System::Other => format!(
                "let UDP {} in; `sudo nft list ruleset` shows what drops it",
                ports.join("-", ", ")
            ),
        },
    }
}

/// The same on somebody else's computer, of which nothing is known.
pub(super) fn open_ports_there(facts: &Facts) -> String {
    let ports = Ports::of(facts);
    format!(
        "there, with ufw: {}; with firewalld: {}; on Windows: {}",
        ufw(ports),
        firewalld(None, ports),
        windows(ports)
    )
}

/// Lets it send.
pub(super) fn open_output(facts: &Facts) -> String {
    let ports = Ports::of(facts);
    match &facts.firewall.tool {
        Some(Tool::Ufw) => format!("sudo ufw allow out {}/udp", ports.join(":", ",")),
        _ => format!(
            "let UDP to ports {} out; `sudo nft list ruleset` shows what drops it",
            ports.join("-", ", ")
        ),
    }
}

/// Finds out who has the presence port.
pub(super) fn find_holder(facts: &Facts) -> String {
    let port = facts.port;
    match facts.system {
        System::Linux => format!("sudo ss -ulpn 'sport = :{port}'"),
        System::MacOs | System::Other => format!("sudo lsof -nP -iUDP:{port}"),
        System::Windows => {
            format!("Get-NetUDPEndpoint -LocalPort {port} | Select-Object OwningProcess")
        }
    }
}

/// Gives an interface an address.
pub(super) fn get_address(facts: &Facts, link: &LinkFacts) -> String {
    let name = &link.name;
    match facts.system {
        System::Linux => format!(
            "sudo nmcli device connect {name}, or where there is no NetworkManager: sudo dhcpcd {name}"
        ),
        System::MacOs => format!("sudo ipconfig set {name} DHCP"),
        System::Windows => "ipconfig /renew".to_owned(),
        System::Other => format!("sudo dhclient {name}"),
    }
}

/// Keeps multicast on the wire where a switch snoops: somebody has to ask for memberships.
pub(super) fn querier() -> &'static str {
    "on the switch or access point switch on the IGMP/MLD querier, or switch IGMP snooping off"
}

/// The ports that others send to: one range with the usual ones, so that several users of one
/// computer, and the doctor beside them, are reached too.
#[derive(Clone, Copy)]
enum Ports {
    Range(u16, u16),
    Two(u16, u16),
}

/// The usual presence port and the last of the chat ports that are tried.
const USUAL: (u16, u16) = (5262, 5279);

impl Ports {
    fn of(facts: &Facts) -> Self {
        let (port, chat) = (facts.port, facts.chat_port);
        if port == USUAL.0 && (USUAL.0..=USUAL.1).contains(&chat) {
            Ports::Range(USUAL.0, USUAL.1)
        } else {
            Ports::Two(port, chat)
        }
    }

    /// With what stands between the ends of a range and between two ports.
    fn join(self, range: &str, list: &str) -> String {
        match self {
            Ports::Range(first, last) => format!("{first}{range}{last}"),
            Ports::Two(one, other) => format!("{one}{list}{other}"),
        }
    }
}

fn ufw(ports: Ports) -> String {
    format!("sudo ufw allow {}/udp", ports.join(":", ","))
}

fn firewalld(zone: Option<&String>, ports: Ports) -> String {
    let zone = zone.map_or_else(String::new, |zone| format!(" --zone={zone}"));
    let ports = ports.join("-", "/udp --add-port=");
    format!(
        "sudo firewall-cmd --permanent{zone} --add-port={ports}/udp && \
         sudo firewall-cmd --reload"
    )
}

fn windows(ports: Ports) -> String {
    format!(
        "New-NetFirewallRule -DisplayName lanchat -Direction Inbound -Protocol UDP \
         -LocalPort {} -Action Allow (in PowerShell as administrator)",
        ports.join("-", ",")
    )
}

fn macos(program: &str) -> String {
    let tool = "sudo /usr/libexec/ApplicationFirewall/socketfilterfw";
    format!("{tool} --add {program} && {tool} --unblockapp {program}")
}
