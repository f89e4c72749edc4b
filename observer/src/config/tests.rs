//! Tests of the configuration as a whole.

use super::*;

fn without_digest(config: Config) -> Config {
    Config {
        digest: [0; 32],
        ..config
    }
}

#[test]
fn nothing_written_is_the_default() {
    let default = without_digest(Config::default());
    for text in [
        "",
        "# only a comment\n",
        "store:\nlog: {}\n",
        "store:\n  url: null\n",
    ] {
        assert_eq!(
            without_digest(Config::parse(text, "observer.yaml").unwrap()),
            default,
            "{text:?}"
        );
    }
    assert_eq!(Config::default().digest, Config::parse("", "x").unwrap().digest);
}

#[test]
fn the_printed_default_is_the_default_and_has_every_key() {
    let text = Config::default_yaml();
    let parsed = Config::parse(text, "observer.yaml").unwrap();
    assert_eq!(without_digest(parsed), without_digest(Config::default()));
    for key in [
        "host",
        "id",
        "name",
        "kubernetes",
        "api",
        "node",
        "cluster",
        "token_file",
        "policy",
        "file",
        "register",
        "catalog",
        "extra_hosts",
        "rules",
        "files",
        "disable",
        "capture",
        "undecided_prefix_bytes",
        "ring_buffer_bytes",
        "function_probes",
        "mcp_stdio",
        "served_calls",
        "exclude_executables",
        "store",
        "url",
        "database",
        "user",
        "password_file",
        "ca_file",
        "embedded",
        "data_dir",
        "listen",
        "library",
        "batch_rows",
        "batch_seconds",
        "buffer_bytes",
        "retention",
        "records_days",
        "seals_days",
        "payloads_days",
        "alerts",
        "to",
        "findings",
        "unsanctioned",
        "metrics",
        "seal",
        "interval_seconds",
        "selftest",
        "selftest_library",
        "keys",
        "rotate_hours",
        "anchor",
        "every_minutes",
        "directory",
        "notary",
        "state_dir",
        "run_dir",
        "privilege",
        "capabilities",
        "seccomp",
        "landlock",
        "user",
        "log",
        "level",
        "format",
    ] {
        assert!(text.contains(&format!("{key}:")), "{key}");
    }
    let manual = include_str!("../../../docs/configuration.md");
    assert!(
        manual.contains(text),
        "docs/configuration.md must show default.yaml as it is"
    );
}

#[test]
fn every_key_is_taken() {
    let text = r#"
host: {id: h-1, name: web}
policy: {file: policy.yaml, register: ai.yaml}
catalog: {extra_hosts: [{host: "*.LLM.corp.example", provider: openai}]}
rules: {files: [/etc/observer/own.yaml], disable: [email_address]}
capture: {undecided_prefix_bytes: 4096, ring_buffer_bytes: 32MiB, function_probes: auto, mcp_stdio: off, served_calls: on, exclude_executables: ["/usr/sbin/nginx", "*/java"]}
store:
  url: https://ch.example:8443/
  database: evidence
  user: writer
  password_file: secret
  ca_file: ca.pem
  embedded: {data_dir: data, listen: "[::1]:8124", library: /opt/libchdb.so}
  batch_rows: 10
  batch_seconds: 0.5
  buffer_bytes: 1GiB
metrics: {listen: off}
seal: {interval_seconds: 60, selftest: off, selftest_library: /opt/libssl.so.3}
keys: {rotate_hours: 0}
anchor: {every_minutes: 5, directory: /mnt/worm, notary: n}
state_dir: /srv/observer
run_dir: run
privilege: {capabilities: required, seccomp: off, landlock: auto}
log: {level: debug, format: json}
"#;
    let config = Config::parse(text, "/etc/observer/observer.yaml").unwrap();
    assert_eq!(
        config.host,
        Host {
            id: "h-1".into(),
            name: "web".into()
        }
    );
    assert_eq!(
        config.policy_file,
        Some(PathBuf::from("/etc/observer/policy.yaml"))
    );
    assert_eq!(config.register_file, Some(PathBuf::from("/etc/observer/ai.yaml")));
    assert_eq!(
        config.extra_hosts,
        [ExtraHost {
            host: "*.llm.corp.example".into(),
            provider: "openai".into()
        }]
    );
    assert_eq!(
        config.privilege,
        Privilege {
            capabilities: Wish::Required,
            seccomp: Wish::Off,
            landlock: Wish::Auto
        }
    );
    assert_eq!(config.rules.files, [PathBuf::from("/etc/observer/own.yaml")]);
    assert_eq!(config.rules.disable, ["email_address"]);
    assert_eq!(config.capture.undecided_prefix_bytes, 4096);
    assert_eq!(config.capture.ring_buffer_bytes, 32 << 20);
    assert_eq!(config.capture.function_probes, FunctionProbes::Auto);
    assert!(!config.capture.mcp_stdio && config.capture.served_calls);
    assert!(config.capture.exclude_executables[1].matches("/opt/jdk/bin/java"));
    let store = &config.store;
    assert_eq!(store.url.as_deref(), Some("https://ch.example:8443"));
    assert_eq!(
        (store.database.as_str(), store.user.as_str()),
        ("evidence", "writer")
    );
    assert_eq!(store.password_file, Some(PathBuf::from("/etc/observer/secret")));
    assert_eq!(store.ca_file, Some(PathBuf::from("/etc/observer/ca.pem")));
    assert_eq!(store.embedded.data_dir, PathBuf::from("/etc/observer/data"));
    assert_eq!(store.embedded.listen.to_string(), "[::1]:8124");
    assert_eq!(store.embedded.library, Some(PathBuf::from("/opt/libchdb.so")));
    assert_eq!(
        (store.batch_rows, store.batch_interval, store.buffer_bytes),
        (10, Duration::from_millis(500), 1 << 30)
    );

    assert_eq!(
        (config.metrics_listen, config.seal_interval),
        (None, Duration::from_secs(60))
    );
    assert_eq!((config.selftest, config.rotate_keys), (false, None));
    assert_eq!(config.selftest_library, Some(PathBuf::from("/opt/libssl.so.3")));
    assert_eq!(
        config.anchor,
        Anchor {
            every: Some(Duration::from_secs(300)),
            directory: "/mnt/worm".into(),
            notary: "n".into()
        }
    );
    assert_eq!(
        (config.state_dir, config.run_dir),
        ("/srv/observer".into(), "/etc/observer/run".into())
    );
    assert_eq!(
        config.log,
        Log {
            level: LogLevel::Debug,
            format: LogFormat::Json
        }
    );
}

#[test]
fn every_key_of_cluster_and_alerts_is_taken() {
    let text = r#"
kubernetes: {api: "https://10.0.0.1:6443", node: n-1, cluster: prod, token_file: t, ca_file: /k/ca.crt}
alerts: {to: "tcp://siem.example:601", findings: low, unsanctioned: off}
"#;
    let config = Config::parse(text, "/etc/observer/observer.yaml").unwrap();
    assert_eq!(
        config.kubernetes,
        Kubernetes {
            api: ApiServer::At("https://10.0.0.1:6443".into()),
            node: Some("n-1".into()),
            cluster: "prod".into(),
            token_file: Some("/etc/observer/t".into()),
            ca_file: Some("/k/ca.crt".into()),
        }
    );
    assert_eq!(
        config.alerts,
        Alerts {
            to: Some(Outlet::Tcp("siem.example:601".into())),
            findings: Some(2),
            unsanctioned: false,
        }
    );
}

#[test]
fn the_store_follows_the_state_directory() {
    let config = Config::parse("state_dir: /srv/o\n", "observer.yaml").unwrap();
    assert_eq!(config.store.embedded.data_dir, PathBuf::from("/srv/o/store"));
    assert_eq!(config.anchor.directory, PathBuf::from("/srv/o/anchors"));
    assert!(config.anchor.every.is_some(), "nobody else would");
    let server = Config::parse("store: {url: \"http://h\"}\n", "observer.yaml").unwrap();
    assert_eq!(server.anchor.every, None, "one notary for all hosts");
}

#[test]
fn all_errors_at_once_with_line_and_what_is_allowed() {
    let text = r#"
hots: {id: x}
policy: policy.yaml
catalog: {extra_hosts: [{host: "https://a.example/"}, {host: "a b", provider: x}]}
capture:
  undecided_prefix_bytes: 1KiB
  ring_buffer_bytes: 3MiB
  exclude_executables: [nginx]
store:
  url: ftp://x
  ca_file: ca.pem
  database: "a-b"
  batch_rows: 0
  batch_seconds: NaN
  buffer_bytes: lots
  embedded: {listen: localhost, port: 1}
metrics: {listen: 9464}
seal: {interval_seconds: 0, selftest: maybe}
keys: {rotate_hours: 8761}
anchor: {every_minutes: -1}
log: {level: verbose, format: [text]}
"#;
    let problems = Config::parse(text, "observer.yaml").unwrap_err();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let wanted = [
        "observer.yaml:2:1: unknown key `hots` in the configuration; did you mean `host`? allowed: host, kubernetes, policy,",
        "observer.yaml:3:9: `policy` must be a mapping with the keys file, register; this is a single value",
        "observer.yaml:4:25: an entry of `extra_hosts` needs `provider`",
        "observer.yaml:4:62: `host` must be a host name",
        "observer.yaml:6:27: `undecided_prefix_bytes` must be a size from 4KiB to 16MiB, not `1KiB`",
        "observer.yaml:7:22: `ring_buffer_bytes` must be a power of two, such as 16MiB, not `3MiB`",
        "observer.yaml:8:25: `nginx` in `exclude_executables` must be a full path",
        "observer.yaml:10:8: `url` must be an address such as https://",
        "observer.yaml:11:12: `ca_file` needs a `url` that begins with https://",
        "observer.yaml:12:13: `database` must be 1 to 64 letters",
        "observer.yaml:13:15: `batch_rows` must be a whole number from 1 to 1000000, not `0`",
        "observer.yaml:14:18: `batch_seconds` must be a number of seconds from 0.1 to 60, not `NaN`",
        "observer.yaml:15:17: `buffer_bytes` must be a size from 1MiB to 4GiB, not `lots`",
        "observer.yaml:16:22: `store.embedded.listen` must be an address with a port",
        "observer.yaml:16:33: unknown key `port` in `embedded`; allowed: data_dir, listen, library",
        "observer.yaml:17:19: `metrics.listen` must be an address with a port, such as 127.0.0.1:8123, or off",
        "observer.yaml:18:26: `seal.interval_seconds` must be a number of seconds from 1 to 3600, not `0`",
        "observer.yaml:18:39: unknown value `maybe` in `selftest`; allowed: on, off",
        "observer.yaml:19:22: `rotate_hours` must be a whole number from 0 to 8760, not `8761`",
        "observer.yaml:20:25: `every_minutes` must be a whole number from 0 to 1440, not `-1`",
        "observer.yaml:21:14: unknown value `verbose` in `level`; allowed: error, warn, info, debug, trace",
        "observer.yaml:21:31: `format` must be text; this is a list",
    ];
    for line in wanted {
        assert!(
            shown.iter().any(|s| s.starts_with(line)),
            "{line}\nnot in {shown:#?}"
        );
    }
    assert_eq!(shown.len(), wanted.len(), "{shown:#?}");
}

#[test]
fn seals_outlive_records_and_records_outlive_texts() {
    let problem = |text: &str| {
        let problems = Config::parse(&format!("store: {{retention: {{{text}}}}}\n"), "o.yaml");
        problems.map_or_else(|p| p[0].to_string(), |_| String::new())
    };
    assert_eq!(problem("records_days: 1130"), "");
    let text = "store: {retention: {records_days: 200, seals_days: 700, payloads_days: 7}}\n";
    let retention = Retention {
        records: Some(200),
        seals: Some(700),
        payloads: Some(7),
    };
    let config = Config::parse(text, "o.yaml").unwrap();
    assert_eq!(config.store.retention, retention);
    let text = problem("records_days: 1131");
    assert!(
        text.contains("seals are kept 1130 days and records 1131"),
        "{text}"
    );
    let text = problem("seals_days: 100");
    assert!(
        text.starts_with("o.yaml:1:33: `retention`: seals are kept 100"),
        "{text}"
    );
    let text = problem("records_days: 5, payloads_days: 6");
    assert!(text.contains("texts are kept 6 days"), "{text}");
    let text = problem("records_days: 0");
    assert!(text.contains("from 1 to 36500"), "{text}");
}

#[test]
fn a_password_in_the_address_is_refused_and_not_shown() {
    let problems = Config::parse("store: {url: \"https://u:geheim@h\"}\n", "o.yaml").unwrap_err();
    assert!(problems[0].message.contains("use a file"));
    assert!(!format!("{problems:?}").contains("geheim"));
}

#[test]
fn an_api_server_is_asked_over_tls_only_and_by_a_node_with_a_name() {
    let api = |text: &str| Config::parse(&format!("kubernetes: {{{text}}}\n"), "o.yaml");
    assert_eq!(api("api: off").unwrap().kubernetes.api, ApiServer::Off);
    for (text, word) in [
        ("api: \"http://127.0.0.1:8001\"", "begins with https://"),
        ("api: \"https://u:p@h\"", "must not hold a user"),
        ("api: \"https://\"", "must be an address"),
        ("node: \"n&watch=1\"", "must be the name of a node"),
        ("cluster: \"a\\u001b\"", "control characters"),
    ] {
        let problems = api(text).unwrap_err();
        assert!(problems[0].to_string().contains(word), "{problems:?}");
    }
}

#[test]
fn alerts_go_to_a_place_that_can_be_or_nowhere() {
    let to = |text: &str| Config::parse(&format!("alerts: {{to: \"{text}\", findings: off}}\n"), "o.yaml");
    let good = [
        ("off", None),
        ("stdout", Some(Outlet::Stdout)),
        ("file:/var/log/a", Some(Outlet::File("/var/log/a".into()))),
        ("unix:/dev/log", Some(Outlet::Unix("/dev/log".into()))),
        ("udp://[::1]:514", Some(Outlet::Udp("[::1]:514".into()))),
    ];
    for (text, wanted) in good {
        let alerts = to(text).unwrap().alerts;
        assert_eq!((alerts.to, alerts.findings), (wanted, None), "{text}");
    }
    for text in [
        "",
        "on",
        "file:log",
        "unix:",
        "udp:h:514",
        "tcp://h",
        "tcp://h:0",
        "tcp://:1",
        "https://h:1",
        "tcp://u@h:1",
    ] {
        let problems = to(text).unwrap_err();
        assert!(
            problems[0].to_string().contains("`to` must be off, stdout"),
            "{problems:?}"
        );
    }
}

#[test]
fn files_that_are_no_configuration() {
    for text in [
        "- a\n",
        "just text\n",
        "a: [\n",
        "\u{0}",
        "x: &a [*a]\n",
        "host: {id: 1, id: 2}\n",
    ] {
        assert!(!Config::parse(text, "o").unwrap_err().is_empty(), "{text:?}");
    }
}

#[test]
fn a_store_of_another_user_needs_a_place_that_it_can_reach() {
    let read = |embedded: &str| {
        let text = format!("state_dir: /srv/observer\nstore: {{embedded: {{{embedded}}}}}");
        Config::parse(&text, "/x/observer.yaml")
    };
    for inside in ["user: store", "user: store, data_dir: /srv/observer/deep/store"] {
        let problems = read(inside).unwrap_err();
        assert!(
            problems[0].to_string().contains("outside of /srv/observer"),
            "{problems:?}"
        );
    }
    assert!(read("user: \"a:b\", data_dir: /srv/store").is_err());
    let config = read("user: store, data_dir: /srv/store").unwrap();
    assert_eq!(config.store.embedded.user.as_deref(), Some("store"));
}
