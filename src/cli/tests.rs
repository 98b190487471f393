//! Tests of settings from all their sources, and of whole commands that need no network.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::settings::{Color, Origin};
use super::*;

fn host(env: &[(&str, &str)]) -> Host {
    let pair = |&(name, value): &(&str, &str)| (name.to_owned(), OsString::from(value));
    Host {
        env: env.iter().map(pair).collect(),
        login: Some("ana".into()),
        hostname: Some("desk".into()),
        data_home: Some("/home/ana/.local/share".into()),
        config_home: None,
    }
}

fn settings_of(line: &str, host: &Host) -> Result<Settings, UserError> {
    let words = std::iter::once("lanchat").chain(line.split_whitespace());
    Settings::new(&Args::try_parse_from(words).expect(line), host)
}

/// With a settings file of this text.
fn with_file(text: &str, line: &str, env: &[(&str, &str)]) -> Result<Settings, UserError> {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("lanchat")).unwrap();
    fs::write(dir.path().join("lanchat/config.toml"), text).unwrap();
    let host = Host {
        config_home: Some(dir.path().to_owned()),
        ..host(env)
    };
    settings_of(line, &host)
}

#[test]
fn without_anything_the_defaults_hold() {
    let settings = settings_of("", &host(&[])).unwrap();
    assert_eq!(settings.name.as_str(), "ana");
    assert_eq!(
        settings.data_dir,
        Some("/home/ana/.local/share/lanchat".into())
    );
    assert_eq!(settings.net, crate::net::NetConfig::default());
    assert_eq!(
        (settings.verb, settings.log, settings.verbose),
        (None, None, 0)
    );
    assert_eq!(settings.color, Color::Auto);
    assert!(settings.peers.is_empty());
}

#[test]
fn flag_over_environment_over_file_over_default() {
    let file =
        "name = 'file'\nport = 1001\nverbose = 1\ninterface = ['f0', 'f1']\npeer = '10.0.0.1'\n";
    let env = [
        ("LANCHAT_NAME", "env"),
        ("LANCHAT_PORT", "1002"),
        ("LANCHAT_INTERFACE", "e0, e1"),
        ("LANCHAT_COLOR", ""),
    ];
    let all = with_file(file, "--name flag --interface g0 --interface g1", &env).unwrap();
    assert_eq!(all.name.as_str(), "flag");
    assert_eq!(all.net.interfaces, ["g0", "g1"]);
    assert_eq!(all.net.port, 1002);
    assert_eq!(all.verbose, 1);
    assert_eq!(all.peers, ["10.0.0.1".parse().unwrap()]);

    let env = with_file(file, "", &env).unwrap();
    assert_eq!(env.name.as_str(), "env");
    assert_eq!(env.net.interfaces, ["e0", "e1"]);

    let file = with_file(file, "", &[]).unwrap();
    assert_eq!(file.name.as_str(), "file");
    assert_eq!(file.net.interfaces, ["f0", "f1"]);
    assert_eq!(file.net.port, 1001);
}

#[test]
fn every_key_of_the_file_counts() {
    let file = "
        # a comment
        name = 'ben'
        data-dir = '/x'
        port = 5_000
        chat-port = 0x1389
        group = '239.1.2.3'
        group6 = 'ff12::1'
        peer = ['10.0.0.9:7', 'fd00::9']
        no-multicast = true
        no-broadcast = true
        no-ipv4 = false
        no-ipv6 = true
        log = '/x/log'
        verbose = 2
        color = 'always'
    ";
    let settings = with_file(file, "", &[]).unwrap();
    assert_eq!(settings.name.as_str(), "ben");
    assert_eq!(settings.data_dir, Some("/x".into()));
    assert_eq!(settings.peers.len(), 2);
    assert_eq!(settings.log, Some("/x/log".into()));
    assert_eq!((settings.verbose, settings.color), (2, Color::Always));
    let net = crate::net::NetConfig {
        port: 5000,
        chat_port: Some(5001),
        group4: [239, 1, 2, 3].into(),
        group6: "ff12::1".parse().unwrap(),
        interfaces: vec![],
        multicast: false,
        broadcast: false,
        ipv4: true,
        ipv6: false,
    };
    assert_eq!(settings.net, net);
}

#[test]
fn a_bad_file_is_told_with_its_line() {
    for (file, line, says, hint) in [
        (
            "port = 1\nprot = 2",
            2,
            "there is no setting \"prot\"",
            "the keys are name, data-dir",
        ),
        (
            "\n\nchat_port = 2",
            3,
            "there is no setting \"chat_port\"",
            "did you mean chat-port?",
        ),
        (
            "config = 'x'",
            1,
            "there is no setting \"config\"",
            "the keys are",
        ),
        (
            "[future]\nkeep = 'all'",
            1,
            "there is no setting \"future\"",
            "the keys are",
        ),
        (
            "\nport = 'x'",
            2,
            "port must be a whole number",
            "port = 5262",
        ),
        (
            "port = 1.5",
            1,
            "port must be a whole number",
            "port = 5262",
        ),
        (
            "port = 99999999999999999999",
            1,
            "port must be a whole number",
            "port = 5262",
        ),
        ("name = 7", 1, "name must be a text in quotes", "name ="),
        (
            "no-ipv4 = 'yes'",
            1,
            "no-ipv4 must be true or false",
            "no-ipv4 = true",
        ),
        (
            "peer = ['a', 7]",
            1,
            "peer must be a text in quotes, or several",
            "peer =",
        ),
        ("name = 'a'\nname = 'b'", 2, "", "port = 5262"),
        ("name = 'a'\n\nwhat is this", 3, "", "port = 5262"),
        ("name = 'a'\nname = \"\u{1b}[2J\"", 2, "", ""),
        // Bad values, not bad kinds.
        ("\nport = 70000", 2, "port (", "--help"),
        (
            "\n\nname = 'a/b'",
            3,
            "it holds the character '/'",
            "none of # @ ~ /",
        ),
    ] {
        let error = with_file(file, "", &[]).expect_err(file);
        assert_eq!(error.code, ExitCode::Usage, "{file}");
        assert!(error.message.contains("config.toml"), "{error}");
        assert!(
            error.message.contains(&format!("line {line}")),
            "{file}: {error}"
        );
        assert!(error.message.contains(says), "{file}: {error}");
        assert!(
            error.hint.as_ref().unwrap().contains(hint),
            "{file}: {error}"
        );
    }
}

#[test]
fn a_file_that_was_asked_for_has_to_exist() {
    let missing = settings_of("--config /nowhere/x.toml", &host(&[])).expect_err("missing");
    assert!(missing.message.contains("/nowhere/x.toml"), "{missing}");
    let missing = settings_of("", &host(&[("LANCHAT_CONFIG", "/nowhere/x.toml")]));
    assert_eq!(missing.expect_err("missing").code, ExitCode::Usage);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("mine.toml");
    fs::write(&path, "name = 'ben'").unwrap();
    let line = format!("--config {}", path.display());
    assert_eq!(settings_of(&line, &host(&[])).unwrap().name.as_str(), "ben");
    fs::write(&path, [0xff]).unwrap();
    assert!(settings_of(&line, &host(&[])).is_err());
}

#[test]
fn bad_values_name_their_source_and_reason() {
    let long = "a".repeat(33);
    for (line, env, message) in [
        (
            "--port 0",
            None,
            "--port cannot be \"0\": it must be a number, 1 to 65535",
        ),
        (
            "--port x",
            None,
            "--port cannot be \"x\": it must be a number, 1 to 65535",
        ),
        (
            "--chat-port 65536",
            None,
            "--chat-port cannot be \"65536\": it must be",
        ),
        (
            "",
            Some(("LANCHAT_CHAT_PORT", "0")),
            "LANCHAT_CHAT_PORT cannot be \"0\": it must be",
        ),
        (
            "--group 10.0.0.1",
            None,
            "--group cannot be \"10.0.0.1\": it must be an IPv4 multicast",
        ),
        (
            "--group6 fe80::1",
            None,
            "--group6 cannot be \"fe80::1\": it must be an IPv6 multicast",
        ),
        (
            "--color red",
            None,
            "--color cannot be \"red\": it must be auto, always or never",
        ),
        (
            "--peer 10.0.0",
            None,
            "--peer cannot be \"10.0.0\": it must be ADDR, ADDR:PORT",
        ),
        (
            "",
            Some(("LANCHAT_PEER", "10.0.0.1,,")),
            "LANCHAT_PEER cannot be \"\": it must be",
        ),
        (
            "",
            Some(("LANCHAT_NO_IPV4", "yes")),
            "LANCHAT_NO_IPV4 cannot be \"yes\": it must be 1,",
        ),
        (
            "",
            Some(("LANCHAT_VERBOSE", "-1")),
            "LANCHAT_VERBOSE cannot be \"-1\": it must be",
        ),
        (
            "--no-ipv4 --no-ipv6",
            None,
            "with no-ipv4 and no-ipv6 there is no network left",
        ),
        (
            "--chat-port 5262",
            None,
            "port and chat-port cannot both be 5262",
        ),
        (
            "",
            Some(("LANCHAT_NAME", "\u{1b}[2J")),
            "it holds the character '\\u{1b}'",
        ),
        (
            "",
            Some(("LANCHAT_NAME", " ana")),
            "it starts or ends with a space",
        ),
        (
            "",
            Some(("LANCHAT_NAME", &long)),
            "it is 33 bytes long, 32 are allowed",
        ),
        ("--name a~b", None, "it holds the character '~'"),
        ("--name=", None, "--name cannot be \"\": it is empty"),
        (
            "--data-dir=",
            None,
            "--data-dir cannot be \"\": it is empty",
        ),
        (
            "--interface=",
            None,
            "--interface cannot be \"\": it is empty",
        ),
    ] {
        let env: Vec<(&str, &str)> = env.into_iter().collect();
        let error = settings_of(line, &host(&env)).expect_err(message);
        assert_eq!(error.code, ExitCode::Usage, "{message}");
        assert!(error.message.contains(message), "{message}: {error}");
        assert!(!error.message.contains('\u{1b}'), "{error:?}");
        assert!(error.hint.is_some(), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn a_path_need_not_be_utf_8_but_a_name_must() {
    use std::os::unix::ffi::OsStringExt;
    let odd = OsString::from_vec(vec![b'/', 0xff]);
    let mut host = host(&[]);
    host.env.insert("LANCHAT_DATA_DIR".into(), odd.clone());
    let settings = settings_of("", &host).unwrap();
    assert_eq!(settings.data_dir, Some(PathBuf::from(&odd)));
    host.env.insert("LANCHAT_NAME".into(), odd);
    let error = settings_of("", &host).expect_err("not UTF-8");
    assert!(error.message.contains("it is not UTF-8"), "{error}");
}

#[test]
fn switches_of_the_environment_are_1_true_0_false() {
    for (value, expected) in [("1", false), ("true", false), ("0", true), ("false", true)] {
        let settings = settings_of("", &host(&[("LANCHAT_NO_MULTICAST", value)])).unwrap();
        assert_eq!(settings.net.multicast, expected, "{value}");
    }
    let file = "no-multicast = true";
    let settings = with_file(file, "", &[("LANCHAT_NO_MULTICAST", "0")]).unwrap();
    assert!(settings.net.multicast, "the environment wins over the file");
}

#[test]
fn ephemeral_and_a_directory_the_stronger_source_decides() {
    let dir = |line: &str, env: &[(&str, &str)]| settings_of(line, &host(env)).map(|s| s.data_dir);
    assert_eq!(dir("--ephemeral", &[]), Ok(None));
    assert_eq!(dir("--ephemeral", &[("LANCHAT_DATA_DIR", "/x")]), Ok(None));
    assert_eq!(
        dir("--data-dir /y", &[("LANCHAT_EPHEMERAL", "1")]),
        Ok(Some("/y".into()))
    );
    assert_eq!(
        dir("", &[("LANCHAT_EPHEMERAL", "0")]),
        Ok(Some("/home/ana/.local/share/lanchat".into()))
    );
    let both = [("LANCHAT_EPHEMERAL", "1"), ("LANCHAT_DATA_DIR", "/x")];
    let error = dir("", &both).expect_err("both");
    assert_eq!(
        error.message,
        "LANCHAT_EPHEMERAL and LANCHAT_DATA_DIR cannot be used together"
    );
    let homeless = Host {
        data_home: None,
        ..host(&[])
    };
    let error = settings_of("", &homeless).expect_err("no home");
    assert!(error.hint.unwrap().contains("--data-dir"));
    assert!(settings_of("--ephemeral", &homeless).is_ok());
}

#[test]
fn no_color_is_honoured_unless_colour_was_asked_for() {
    let color = |line, env: &[(&str, &str)]| settings_of(line, &host(env)).unwrap().color;
    let no_color = [("NO_COLOR", "1")];
    assert_eq!(color("", &no_color), Color::Never);
    assert_eq!(color("", &[("NO_COLOR", "")]), Color::Auto);
    assert_eq!(color("--color always", &no_color), Color::Always);
    assert!(Color::Auto.is_on(true) && !Color::Auto.is_on(false));
    assert!(Color::Always.is_on(false) && !Color::Never.is_on(true));
}

#[test]
fn origins_read_as_they_were_typed() {
    let file = Origin::File {
        key: "port",
        path: "/x/config.toml".into(),
        line: 3,
    };
    assert_eq!(file.to_string(), "port (\"/x/config.toml\" line 3)");
}

fn run_in(dir: &Path, line: &str) -> ExitCode {
    let words = ["lanchat", "--data-dir", dir.to_str().unwrap()];
    let words = words.into_iter().chain(line.split_whitespace());
    run(words.map(OsString::from), &host(&[]))
}

#[test]
fn id_works_beside_a_running_node_and_a_second_node_does_not() {
    let dir = TempDir::new().unwrap();
    let line = format!("--data-dir {}", dir.path().display());
    let settings = settings_of(&line, &host(&[])).unwrap();
    let first = Profile::open(&settings).unwrap();
    assert_eq!(run_in(dir.path(), "id --json"), ExitCode::Done);
    assert_eq!(own_identity(&settings).unwrap().id(), first.identity.id());
    let error = Profile::open(&settings).err().expect("taken");
    assert!(
        error.message.contains("another lanchat is running"),
        "{error}"
    );
    drop(first);
    assert!(Profile::open(&settings).is_ok());
}

#[test]
fn exit_codes_are_those_of_the_interface_page() {
    let dir = TempDir::new().unwrap();
    assert_eq!(run_in(dir.path(), "--help"), ExitCode::Done);
    assert_eq!(run_in(dir.path(), "--version"), ExitCode::Done);
    assert_eq!(run_in(dir.path(), "--nonsense"), ExitCode::Usage);
    assert_eq!(run_in(dir.path(), "--port 0"), ExitCode::Usage);
    fs::write(dir.path().join(identity::FILE), "corrupt").unwrap();
    assert_eq!(run_in(dir.path(), "id"), ExitCode::Failed);
    assert_eq!(
        run_in(&dir.path().join("identity/x"), "id"),
        ExitCode::Failed
    );
}

#[test]
fn ephemeral_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let host = Host {
        data_home: Some(dir.path().to_owned()),
        config_home: Some(dir.path().to_owned()),
        ..host(&[])
    };
    let words = ["lanchat", "--ephemeral", "id"].map(OsString::from);
    assert_eq!(run(words, &host), ExitCode::Done);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn limits_come_from_their_tables_and_the_environment() {
    use crate::limits::{Keep, Limits};
    let none = settings_of("", &host(&[])).unwrap();
    assert_eq!(none.limits, Limits::default());
    let file = "port = 1001\n[limits]\nperson-rate = 100\nverify-rate = 9000\n\
                [history]\ndays = 7\nkeep = 'none'\n";
    let env = [
        ("LANCHAT_LIMITS_PERSON_RATE", "200"),
        ("LANCHAT_LIMITS_PERSON_BURST", "300"),
        ("LANCHAT_HISTORY_ENTRIES", "5"),
    ];
    let settings = with_file(file, "", &env).unwrap();
    let expected = Limits {
        person_rate: 200,
        person_burst: 300,
        verify_rate: 9000,
        history_entries: 5,
        history_days: 7,
        keep: Keep::None,
        ..Limits::default()
    };
    assert_eq!(settings.limits, expected);
    assert_eq!(settings.net.port, 1001);
    let keys: Vec<_> = super::limits::specs().map(|spec| spec.key).collect();
    assert!(keys.iter().all(|key| key.contains('.')), "{keys:?}");
}

#[test]
fn a_bad_limit_says_where_and_what_it_may_be() {
    for (file, says, hint) in [
        ("limits = 5", "line 1: limits must be a table", "[limits]"),
        (
            "\n[limits]\nperson-rat = 5",
            "line 3: there is no setting \"limits.person-rat\"",
            "limits.person-rate",
        ),
        (
            "[limits]\nperson_rate = 5",
            "line 2",
            "did you mean limits.person-rate?",
        ),
        (
            "[limits]\nperson-rate = 'x'",
            "limits.person-rate must be a whole number",
            "person-rate = ",
        ),
        (
            "[limits]\nperson-rate = 0",
            "limits.person-rate (",
            "--help",
        ),
        (
            "[history]\nkeep = 'some'",
            "it must be all or none",
            "--help",
        ),
        (
            "[history]\nkeep = 3",
            "history.keep must be a text",
            "keep = ",
        ),
        (
            "'limits.person-rate' = 3\n[port]\nx = 1",
            "line 2: port must be a whole number",
            "port = ",
        ),
        (
            "[nothing]\nx = 1",
            "there is no setting \"nothing\"",
            "the keys are",
        ),
    ] {
        let error = with_file(file, "", &[]).expect_err(file);
        assert_eq!(error.code, ExitCode::Usage, "{file}");
        assert!(error.message.contains(says), "{file}: {error}");
        let hinted = error.hint.as_deref().unwrap_or_default();
        assert!(hinted.contains(hint), "{file}: {hinted}");
    }
    let host = host(&[("LANCHAT_LIMITS_VERIFY_RATE", "many")]);
    let error = settings_of("", &host).unwrap_err();
    assert!(
        error.message.contains("LANCHAT_LIMITS_VERIFY_RATE"),
        "{error}"
    );
}
