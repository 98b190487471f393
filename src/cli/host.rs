//! What the machine and the user's session say: environment, login, directories. Read once, so
//! that everything that depends on it can be tested without touching the process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use etcetera::BaseStrategy;

use super::sys;
use crate::limits::NAME_LEN_MAX;
use crate::text::PeerName;

/// What surrounds the process.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Host {
    /// Environment variables whose names are UTF-8.
    pub env: BTreeMap<String, OsString>,
    /// The user's login name.
    pub login: Option<String>,
    /// The machine's name.
    pub hostname: Option<String>,
    /// Where programs keep data, such as `~/.local/share`.
    pub data_home: Option<PathBuf>,
    /// Where programs keep settings, such as `~/.config`.
    pub config_home: Option<PathBuf>,
}

impl Host {
    /// What surrounds this process.
    #[must_use]
    pub fn detect() -> Self {
        let env: BTreeMap<String, OsString> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .collect();
        let from_env = |name: &&str| env.get(*name)?.to_str().map(str::to_owned);
        let login = sys::LOGIN_VARIABLES.iter().find_map(from_env);
        let directories = etcetera::choose_base_strategy().ok();
        Host {
            login: login.filter(|login| !login.is_empty()).or_else(sys::login),
            hostname: sys::hostname(&env),
            data_home: directories.as_ref().map(BaseStrategy::data_dir),
            config_home: directories.as_ref().map(BaseStrategy::config_dir),
            env,
        }
    }

    /// The login name; with the machine's name where it says nothing about who it is.
    #[must_use]
    pub fn default_name(&self) -> PeerName {
        let login = self.login.as_deref().unwrap_or("user");
        let label = self
            .hostname
            .as_deref()
            .and_then(|name| name.split('.').next());
        let name = match label.filter(|label| !label.is_empty()) {
            Some(label) if NOBODYS_LOGINS.contains(&login) => format!("{login}-{label}"),
            _ => login.to_owned(),
        };
        named(name).unwrap_or_else(|| PeerName::new("user").expect("a name of four letters"))
    }
}

/// Logins that many machines have alike.
const NOBODYS_LOGINS: [&str; 5] = ["root", "pi", "user", "ubuntu", "admin"];

/// As much of `text` as makes a name.
fn named(mut text: String) -> Option<PeerName> {
    while text.len() > NAME_LEN_MAX {
        text.pop();
    }
    PeerName::from_wire(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_name_is_the_login_unless_many_have_it() {
        let long = "a".repeat(40);
        for (login, hostname, expected) in [
            (Some("ana"), Some("desk"), "ana"),
            (Some("root"), Some("desk.example.org"), "root-desk"),
            (Some("pi"), Some("raspberrypi"), "pi-raspberrypi"),
            (Some("ubuntu"), None, "ubuntu"),
            (Some("admin"), Some(""), "admin"),
            (
                Some("user"),
                Some(&long),
                "user-aaaaaaaaaaaaaaaaaaaaaaaaaaa",
            ),
            (Some(&long), None, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            (
                Some("rooté".repeat(7).leak()),
                None,
                "rootérootérootérootérootéro",
            ),
            (Some("CORP~ana/\u{1b}x"), None, "CORPanax"),
            (Some("#@~/"), None, "user"),
            (None, Some("desk"), "user-desk"),
            (None, None, "user"),
        ] {
            let host = Host {
                login: login.map(str::to_owned),
                hostname: hostname.map(str::to_owned),
                ..Host::default()
            };
            assert_eq!(
                host.default_name().as_str(),
                expected,
                "{login:?} {hostname:?}"
            );
        }
    }

    #[test]
    fn this_machine_can_be_asked() {
        let host = Host::detect();
        assert!(host.env.contains_key("PATH"));
        assert!(host.hostname.is_some_and(|name| !name.is_empty()));
    }
}
