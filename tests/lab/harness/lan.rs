//! Hosts and the switches between them.

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

use super::{ms, now};

/// Hosts 1 to n on one switch: host i has 10.77.0.i/16, fd77::i/64 and fe80::i on `eth0`.
///
/// Dropping it takes the hosts' names away; the namespaces go with their last process.
pub struct Lan {
    /// The bridge of `eth0`s, then that of `eth1`s.
    switches: [Host; 2],
    hosts: Vec<Host>,
}

/// A network namespace.
pub struct Host {
    number: usize,
    namespace: File,
}

impl Lan {
    /// A switch with `count` hosts, at most 250.
    pub fn new(count: usize) -> Self {
        Self::try_new(count).expect("a LAN")
    }

    /// As [`Lan::new`].
    ///
    /// # Errors
    /// What the system refused.
    pub fn try_new(count: usize) -> Result<Self, String> {
        assert!(count <= 250, "addresses are given for 250 hosts");
        let switches = [Host::try_new(0)?, Host::try_new(0)?];
        for switch in &switches {
            switch.try_ip(
                "link add br0 type bridge mcast_snooping 0 stp_state 0 forward_delay 0\n\
                 link set br0 addrgenmode none up\n",
            )?;
        }
        let hosts = (1..=count)
            .map(Host::try_new)
            .collect::<Result<Vec<_>, _>>()?;
        let lan = Lan { switches, hosts };
        for host in &lan.hosts {
            lan.plug(host, 0)?;
        }
        for host in &lan.hosts {
            lan.switches[0].forwards(host.number)?;
        }
        Ok(lan)
    }

    /// Host `number`, from 1.
    pub fn host(&self, number: usize) -> &Host {
        &self.hosts[number - 1]
    }

    /// Every host.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The switch itself, to capture at.
    pub fn switch(&self) -> &Host {
        &self.switches[0]
    }

    /// Gives a host a second card, `eth1`, on a second switch: 10.78.0.i/16, fd78::i/64.
    pub fn second_card(&self, number: usize) {
        self.plug(self.host(number), 1).expect("a second card");
        self.switches[1].forwards(number).expect("a second card");
    }

    /// Host `router` gets a second card and passes on between the two networks; host `far` moves to
    /// the second one, and all know the way. No group passes the router.
    pub fn route(&self, router: usize, far: usize) {
        self.second_card(router);
        self.second_card(far);
        self.host(far).ip(&format!(
            "link del eth0\nroute add 10.77.0.0/16 via 10.78.0.{router} dev eth1\n"
        ));
        let near = self
            .hosts
            .iter()
            .filter(|host| ![router, far].contains(&host.number));
        near.for_each(|host| {
            host.ip(&format!(
                "route add 10.78.0.0/16 via 10.77.0.{router} dev eth0\n"
            ));
        });
        let forward = || std::fs::write("/proc/sys/net/ipv4/ip_forward", "1");
        self.host(router).enter(forward).expect("a router");
    }

    /// Pulls the cable of `eth0` out of the switch.
    pub fn cut(&self, number: usize) {
        self.switches[0].ip(&format!("link set p{number} down\n"));
    }

    /// Puts it back.
    pub fn join(&self, number: usize) {
        self.switches[0].ip(&format!("link set p{number} up\n"));
        self.switches[0].forwards(number).expect("the cable");
    }

    /// Takes the port of `eth0` out of the switch: nothing passes, and the host's carrier stays.
    pub fn isolate(&self, number: usize) {
        self.switches[0].ip(&format!("link set p{number} nomaster\n"));
    }

    /// Puts the port back.
    pub fn rejoin(&self, number: usize) {
        self.switches[0].ip(&format!("link set p{number} master br0\n"));
        self.switches[0].forwards(number).expect("the port");
    }

    /// Puts `eth0` into a host that has none any more: another device of the same name.
    pub fn plug_again(&self, number: usize) {
        self.plug(self.host(number), 0).expect("the card");
        self.switches[0].forwards(number).expect("the card");
    }

    /// Moves `eth0` of a host to the second switch, as a card that joins another Wi-Fi: the same
    /// device, with 10.78.0.i/16 and fe80::i.
    pub fn roam(&self, number: usize) {
        self.switches[0].ip(&format!(
            "link set p{number} down\nlink set p{number} netns {}\n",
            self.switches[1].path()
        ));
        self.host(number).ip(&format!(
            "addr flush dev eth0\n\
             addr add 10.78.0.{number}/16 brd + dev eth0\n\
             addr add fe80::{number}/64 dev eth0 nodad\n"
        ));
        self.switches[1].ip(&format!(
            "link set p{number} master br0 addrgenmode none up\n"
        ));
        self.switches[1].forwards(number).expect("the card");
    }

    /// Moves `eth0` of a host to the second switch, with the addresses and routes that it has. What
    /// `before` does happens while its cable is out.
    pub fn carry(&self, number: usize, before: impl FnOnce(&Host)) {
        self.switches[0].ip(&format!(
            "link set p{number} down\nlink set p{number} netns {}\n",
            self.switches[1].path()
        ));
        before(self.host(number));
        self.switches[1].ip(&format!(
            "link set p{number} master br0 addrgenmode none up\n"
        ));
        self.switches[1].forwards(number).expect("the card");
    }

    /// The second switch, to capture at.
    pub fn second_switch(&self) -> &Host {
        &self.switches[1]
    }

    /// The switch passes no multicast; broadcast and unicast, ARP and neighbour discovery do.
    pub fn drop_multicast(&self) {
        self.filter("ether daddr ff:ff:ff:ff:ff:ff accept\nether daddr & 01:00:00:00:00:00 == 01:00:00:00:00:00 drop");
    }

    /// The switch passes neither multicast nor broadcast, but ARP and neighbour discovery.
    pub fn drop_multicast_and_broadcast(&self) {
        self.filter(
            "ether type arp accept\nether daddr & 01:00:00:00:00:00 == 01:00:00:00:00:00 drop",
        );
    }

    /// The switch passes no broadcast but ARP.
    pub fn drop_broadcast(&self) {
        self.filter("ether type arp accept\nether daddr ff:ff:ff:ff:ff:ff drop");
    }

    /// Gives every host the hardware addresses of all others, so that none is ever asked for.
    ///
    /// The kernel has one table of neighbours for all namespaces together, of 1,024 entries
    /// (`gc_thresh3`): hosts that are many more than 30 would overflow it, and their datagrams be
    /// refused, where real ones have a table each. Entries like these do not count.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn introduce(&self) -> Result<(), String> {
        for host in &self.hosts {
            let mut batch = String::new();
            for other in self.hosts.iter().filter(|o| o.number != host.number) {
                let (v4, v6, hardware) = (other.v4(), other.v6(), hardware(other.number, 0));
                for address in [v4.to_string(), v6.to_string()] {
                    batch += &format!(
                        "neigh replace {address} lladdr {hardware} dev eth0 nud permanent\n"
                    );
                }
            }
            host.try_ip(&batch)?;
        }
        Ok(())
    }

    /// Rules of nftables for what the switch passes; neighbour discovery always.
    pub fn filter(&self, rules: &str) {
        let rules =
            format!("type filter hook forward priority 0\nmeta l4proto icmpv6 accept\n{rules}");
        let filled = chain("bridge", &rules);
        self.switches[0].try_nft(&filled).expect("nft");
    }

    fn plug(&self, host: &Host, switch: usize) -> Result<(), String> {
        let number = host.number;
        let net = 77 + switch;
        self.switches[switch].try_ip(&format!(
            "link add p{number} type veth peer name eth{switch} netns {}\n\
             link set p{number} master br0 addrgenmode none up\n",
            host.path()
        ))?;
        let hardware = hardware(number, switch);
        // Addresses without duplicate detection, so that they can be used at once.
        host.try_ip(&format!(
            "link set eth{switch} address {hardware} addrgenmode none up\n\
             addr add 10.{net}.0.{number}/16 brd + dev eth{switch}\n\
             addr add fd{net}::{number}/64 dev eth{switch} nodad\n\
             addr add fe80::{number}/64 dev eth{switch} nodad\n"
        ))
    }
}

impl Host {
    /// A host with nothing but its loopback.
    pub fn alone() -> Self {
        Self::try_new(1).expect("a namespace")
    }

    /// A host on which not even the loopback is up.
    pub fn without_network() -> Self {
        let host = Self::alone();
        host.ip("link set lo down\n");
        host
    }

    fn try_new(number: usize) -> Result<Self, String> {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|e| format!("a network namespace: {e}"))?;
            File::open("/proc/thread-self/ns/net").map_err(|e| format!("opening it: {e}"))
        };
        let namespace = thread::scope(|s| s.spawn(make).join()).expect("no panic in here")?;
        let host = Host { number, namespace };
        host.try_ip("link set lo up\n")?;
        Ok(host)
    }

    /// Its number, from 1.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Its IPv4 address on `eth0`.
    pub fn v4(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, u8::try_from(self.number).expect("at most 250"))
    }

    /// Its link-local IPv6 address on `eth0`.
    pub fn v6(&self) -> Ipv6Addr {
        let last = format!("fe80::{}", self.number);
        last.parse().expect("an address")
    }

    /// Does `work` on a thread in this namespace; sockets and processes made there stay in it.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            setns(&self.namespace, CloneFlags::CLONE_NEWNET).expect("entering a namespace");
            work()
        };
        match thread::scope(|s| s.spawn(inside).join()) {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Drops `percent` % of what arrives at this host; 0 ends it. What stays on the host is spared.
    pub fn lose(&self, percent: u8) {
        self.try_lose(percent).expect("nft");
    }

    /// As [`Host::lose`].
    ///
    /// # Errors
    /// What `nft` said.
    pub fn try_lose(&self, percent: u8) -> Result<(), String> {
        let rule = format!("iif != lo numgen random mod 100 < {percent} drop");
        let hook = "type filter hook input priority 0";
        self.try_nft(&chain("inet", &format!("{hook}\n{rule}")))
    }

    /// Datagrams that came and were dropped, because no socket had room for them.
    pub fn unread(&self) -> u64 {
        let text = self.enter(|| std::fs::read_to_string("/proc/thread-self/net/snmp"));
        let text = text.expect("counters");
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp:"));
        let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
        let mut pairs = names.split_whitespace().zip(values.split_whitespace());
        let errors = pairs.find(|(name, _)| *name == "RcvbufErrors");
        errors
            .and_then(|(_, value)| value.parse().ok())
            .expect("a number")
    }

    /// A firewall that drops what is sent to a group, but neighbour discovery.
    pub fn deafen(&self) {
        let rules = "type filter hook input priority 0\niif lo accept\nmeta l4proto icmpv6 accept\n\
                     meta pkttype { multicast, broadcast } drop";
        self.try_nft(&chain("inet", rules)).expect("nft");
    }

    /// A firewall that lets in what answers something this host sent, and nothing else.
    pub fn refuse_strangers(&self) {
        let rules = "type filter hook input priority 0\niif lo accept\nct state established,related \
                     accept\nmeta l4proto icmpv6 accept\ndrop";
        self.try_nft(&chain("inet", rules)).expect("nft");
    }

    /// Waits until this switch forwards at a port: the kernel enables it in the background.
    fn forwards(&self, port: usize) -> Result<(), String> {
        let deadline = now() + ms(5000);
        let show = format!("p{port}");
        while now() < deadline {
            let ip = || {
                Command::new("ip")
                    .args(["-d", "link", "show", &show])
                    .output()
            };
            let output = self.enter(ip).map_err(|e| format!("ip link show: {e}"))?;
            if String::from_utf8_lossy(&output.stdout).contains("state forwarding") {
                return Ok(());
            }
            thread::yield_now();
        }
        Err(format!("port {port} of the bridge does not forward"))
    }

    /// Runs lines of `ip -batch` here.
    pub fn ip(&self, batch: &str) {
        self.try_ip(batch).expect("ip");
    }

    /// As [`Host::ip`].
    ///
    /// # Errors
    /// What `ip` said.
    pub fn try_ip(&self, batch: &str) -> Result<(), String> {
        self.feed(Command::new("ip").args(["-batch", "-"]), batch)
    }

    /// Runs a tool here; what it printed.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self
            .enter(|| Command::new(program).args(arguments).output())
            .unwrap_or_else(|e| panic!("{program}: {e}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Loads nftables rules here.
    ///
    /// # Errors
    /// What `nft` said.
    pub fn try_nft(&self, rules: &str) -> Result<(), String> {
        self.feed(Command::new("nft").args(["-f", "-"]), rules)
    }

    fn feed(&self, command: &mut Command, input: &str) -> Result<(), String> {
        let run = move || {
            let mut child = command
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()?;
            // The pipe closes here, so that the tool sees the end.
            child
                .stdin
                .take()
                .expect("piped")
                .write_all(input.as_bytes())?;
            child.wait_with_output()
        };
        match self.enter(run) {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(format!(
                "{}: {input}",
                String::from_utf8_lossy(&output.stderr)
            )),
            Err(e) => Err(format!("{e}: {input}")),
        }
    }

    /// As a path that `ip` takes for `netns`.
    pub fn path(&self) -> String {
        format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            self.namespace.as_raw_fd()
        )
    }
}

/// The hardware address of a host's card on this switch.
pub fn hardware(number: usize, switch: usize) -> String {
    format!("02:00:00:00:{switch:02x}:{number:02x}")
}

/// The lab's one table of this family, with these lines in its chain, in place of an older one.
fn chain(family: &str, lines: &str) -> String {
    let table = format!("table {family} lab");
    format!("{table} {{}}\ndelete {table}\n{table} {{\nchain lab {{\n{lines}\n}}\n}}\n")
}
