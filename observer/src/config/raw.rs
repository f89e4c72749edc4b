//! The configuration as written: texts with their places. Only shape and keys are checked here.

use super::yaml::{At, Map, Node, Reader};

/// A value that may be missing.
pub(super) type Text = Option<At<String>>;

/// All keys of the file.
#[derive(Debug, Default)]
pub(super) struct Raw {
    pub(super) host_id: Text,
    pub(super) host_name: Text,
    pub(super) kubernetes: RawKubernetes,
    pub(super) policy_file: Text,
    pub(super) register_file: Text,
    pub(super) enforcement_mode: Option<usize>,
    pub(super) enforcement_allow: Vec<At<String>>,
    /// Host and provider.
    pub(super) extra_hosts: Vec<(Text, Text)>,
    pub(super) catalog_files: Vec<At<String>>,
    pub(super) rules_files: Vec<At<String>>,
    pub(super) rules_disable: Vec<At<String>>,
    pub(super) undecided_prefix_bytes: Text,
    pub(super) ring_buffer_bytes: Text,
    pub(super) function_probes: Option<usize>,
    pub(super) mcp_stdio: Option<usize>,
    pub(super) served_calls: Option<usize>,
    pub(super) exclude_executables: Vec<At<String>>,
    pub(super) store: RawStore,
    pub(super) alerts_to: Text,
    /// Number in `super::SEVERITIES`.
    pub(super) alerts_findings: Option<usize>,
    pub(super) alerts_unsanctioned: Option<usize>,
    pub(super) spool_dir: Text,
    pub(super) spool_max_bytes: Text,
    pub(super) spool_fsync: Option<usize>,
    pub(super) metrics_listen: Text,
    pub(super) seal_interval_seconds: Text,
    pub(super) selftest: Option<usize>,
    pub(super) selftest_library: Text,
    pub(super) rotate_hours: Text,
    pub(super) anchor_minutes: Text,
    pub(super) anchor_directory: Text,
    pub(super) notary: Text,
    pub(super) state_dir: Text,
    pub(super) run_dir: Text,
    /// `capabilities`, `seccomp`, `landlock`.
    pub(super) privilege: [Option<usize>; 3],
    pub(super) log_level: Option<usize>,
    pub(super) log_format: Option<usize>,
}

/// The keys below `kubernetes`.
#[derive(Debug, Default)]
pub(super) struct RawKubernetes {
    pub(super) api: Text,
    pub(super) node: Text,
    pub(super) cluster: Text,
    pub(super) token_file: Text,
    pub(super) ca_file: Text,
}

/// The keys below `store`.
#[derive(Debug, Default)]
pub(super) struct RawStore {
    pub(super) url: Text,
    pub(super) database: Text,
    pub(super) user: Text,
    pub(super) password_file: Text,
    pub(super) ca_file: Text,
    pub(super) data_dir: Text,
    pub(super) listen: Text,
    pub(super) library: Text,
    pub(super) store_user: Text,
    pub(super) batch_rows: Text,
    pub(super) batch_seconds: Text,
    pub(super) buffer_bytes: Text,
    pub(super) records_days: Text,
    pub(super) seals_days: Text,
    pub(super) payloads_days: Text,
}

const ROOT: [&str; 18] = [
    "host",
    "kubernetes",
    "policy",
    "enforcement",
    "catalog",
    "rules",
    "capture",
    "spool",
    "store",
    "alerts",
    "metrics",
    "seal",
    "keys",
    "anchor",
    "state_dir",
    "run_dir",
    "privilege",
    "log",
];
const STORE: [&str; 10] = [
    "url",
    "database",
    "user",
    "password_file",
    "ca_file",
    "embedded",
    "batch_rows",
    "batch_seconds",
    "buffer_bytes",
    "retention",
];
const RETENTION: [&str; 3] = ["records_days", "seals_days", "payloads_days"];

/// Words of a switch, in the order of their numbers.
pub(super) const ON_OFF: [&str; 2] = ["on", "off"];

/// Reads the tree. What is wrong is noted in `reader` and left out.
pub(super) fn read(reader: &mut Reader, root: &Node) -> Raw {
    let Some(root) = reader.mapping(root, "the configuration", &ROOT) else {
        return Raw::default();
    };
    let mut raw = Raw {
        state_dir: reader.text_of(&root, "state_dir"),
        run_dir: reader.text_of(&root, "run_dir"),
        ..Raw::default()
    };
    if let Some(host) = section(reader, &root, "host", &["id", "name"]) {
        raw.host_id = reader.text_of(&host, "id");
        raw.host_name = reader.text_of(&host, "name");
    }
    let keys = ["api", "node", "cluster", "token_file", "ca_file"];
    if let Some(kubernetes) = section(reader, &root, "kubernetes", &keys) {
        raw.kubernetes = RawKubernetes {
            api: reader.text_of(&kubernetes, "api"),
            node: reader.text_of(&kubernetes, "node"),
            cluster: reader.text_of(&kubernetes, "cluster"),
            token_file: reader.text_of(&kubernetes, "token_file"),
            ca_file: reader.text_of(&kubernetes, "ca_file"),
        };
    }
    if let Some(policy) = section(reader, &root, "policy", &["file", "register"]) {
        raw.policy_file = reader.text_of(&policy, "file");
        raw.register_file = reader.text_of(&policy, "register");
    }
    if let Some(enforcement) = section(reader, &root, "enforcement", &["mode", "allow"]) {
        raw.enforcement_mode = reader.word_of(&enforcement, "mode", &super::EnforcementMode::NAMES);
        raw.enforcement_allow = reader.texts_of(&enforcement, "allow");
    }
    if let Some(catalog) = section(reader, &root, "catalog", &["files", "extra_hosts"]) {
        raw.catalog_files = reader.texts_of(&catalog, "files");
        raw.extra_hosts = extra_hosts(reader, &catalog);
    }
    if let Some(rules) = section(reader, &root, "rules", &["files", "disable"]) {
        raw.rules_files = reader.texts_of(&rules, "files");
        raw.rules_disable = reader.texts_of(&rules, "disable");
    }
    let keys = [
        "undecided_prefix_bytes",
        "ring_buffer_bytes",
        "function_probes",
        "mcp_stdio",
        "served_calls",
        "exclude_executables",
    ];
    if let Some(capture) = section(reader, &root, "capture", &keys) {
        raw.undecided_prefix_bytes = reader.text_of(&capture, "undecided_prefix_bytes");
        raw.ring_buffer_bytes = reader.text_of(&capture, "ring_buffer_bytes");
        raw.function_probes = reader.word_of(&capture, "function_probes", &super::FunctionProbes::NAMES);
        raw.mcp_stdio = reader.word_of(&capture, "mcp_stdio", &ON_OFF);
        raw.served_calls = reader.word_of(&capture, "served_calls", &ON_OFF);
        raw.exclude_executables = reader.texts_of(&capture, "exclude_executables");
    }
    if let Some(store) = section(reader, &root, "store", &STORE) {
        raw.store = read_store(reader, &store);
    }
    if let Some(spool) = section(reader, &root, "spool", &["dir", "max_bytes", "fsync"]) {
        raw.spool_dir = reader.text_of(&spool, "dir");
        raw.spool_max_bytes = reader.text_of(&spool, "max_bytes");
        raw.spool_fsync = reader.word_of(&spool, "fsync", &ON_OFF);
    }
    if let Some(alerts) = section(reader, &root, "alerts", &["to", "findings", "unsanctioned"]) {
        raw.alerts_to = reader.text_of(&alerts, "to");
        raw.alerts_findings = reader.word_of(&alerts, "findings", &super::SEVERITIES);
        raw.alerts_unsanctioned = reader.word_of(&alerts, "unsanctioned", &ON_OFF);
    }
    if let Some(metrics) = section(reader, &root, "metrics", &["listen"]) {
        raw.metrics_listen = reader.text_of(&metrics, "listen");
    }
    read_evidence(reader, &root, &mut raw);
    const PRIVILEGE: [&str; 3] = ["capabilities", "seccomp", "landlock"];
    if let Some(privilege) = section(reader, &root, "privilege", &PRIVILEGE) {
        raw.privilege = PRIVILEGE.map(|key| reader.word_of(&privilege, key, &super::Wish::NAMES));
    }
    if let Some(log) = section(reader, &root, "log", &["level", "format"]) {
        raw.log_level = reader.word_of(&log, "level", &super::LogLevel::NAMES);
        raw.log_format = reader.word_of(&log, "format", &super::LogFormat::NAMES);
    }
    raw
}

/// Seals, keys and anchors.
fn read_evidence(reader: &mut Reader, root: &Map<'_>, raw: &mut Raw) {
    if let Some(seal) = section(
        reader,
        root,
        "seal",
        &["interval_seconds", "selftest", "selftest_library"],
    ) {
        raw.seal_interval_seconds = reader.text_of(&seal, "interval_seconds");
        raw.selftest_library = reader.text_of(&seal, "selftest_library");
        raw.selftest = reader.word_of(&seal, "selftest", &ON_OFF);
    }
    if let Some(keys) = section(reader, root, "keys", &["rotate_hours"]) {
        raw.rotate_hours = reader.text_of(&keys, "rotate_hours");
    }
    if let Some(anchor) = section(reader, root, "anchor", &["every_minutes", "directory", "notary"]) {
        raw.anchor_minutes = reader.text_of(&anchor, "every_minutes");
        raw.anchor_directory = reader.text_of(&anchor, "directory");
        raw.notary = reader.text_of(&anchor, "notary");
    }
}

fn section<'n>(reader: &mut Reader, map: &Map<'n>, key: &str, allowed: &[&str]) -> Option<Map<'n>> {
    map.get(key)
        .and_then(|node| reader.mapping(node, &format!("`{key}`"), allowed))
}

fn read_store(reader: &mut Reader, store: &Map<'_>) -> RawStore {
    let mut raw = RawStore {
        url: reader.text_of(store, "url"),
        database: reader.text_of(store, "database"),
        user: reader.text_of(store, "user"),
        password_file: reader.text_of(store, "password_file"),
        ca_file: reader.text_of(store, "ca_file"),
        batch_rows: reader.text_of(store, "batch_rows"),
        batch_seconds: reader.text_of(store, "batch_seconds"),
        buffer_bytes: reader.text_of(store, "buffer_bytes"),
        ..RawStore::default()
    };
    if let Some(embedded) = section(
        reader,
        store,
        "embedded",
        &["data_dir", "listen", "library", "user"],
    ) {
        raw.data_dir = reader.text_of(&embedded, "data_dir");
        raw.listen = reader.text_of(&embedded, "listen");
        raw.library = reader.text_of(&embedded, "library");
        raw.store_user = reader.text_of(&embedded, "user");
    }
    if let Some(retention) = section(reader, store, "retention", &RETENTION) {
        raw.records_days = reader.text_of(&retention, "records_days");
        raw.seals_days = reader.text_of(&retention, "seals_days");
        raw.payloads_days = reader.text_of(&retention, "payloads_days");
    }
    raw
}

fn extra_hosts(reader: &mut Reader, catalog: &Map<'_>) -> Vec<(Text, Text)> {
    let Some(list) = catalog
        .get("extra_hosts")
        .and_then(|node| reader.sequence(node, "`extra_hosts`"))
    else {
        return Vec::new();
    };
    let what = "an entry of `extra_hosts`";
    let mut hosts = Vec::new();
    for node in list {
        let Some(entry) = reader.mapping(node, what, &["host", "provider"]) else {
            continue;
        };
        let host = reader.required_text(&entry, what, "host");
        hosts.push((host, reader.required_text(&entry, what, "provider")));
    }
    hosts
}
