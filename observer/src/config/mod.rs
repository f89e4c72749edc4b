//! Configuration: `observer.yaml` as written (`raw`), as used ([`Config`]), and the pure step between them, which
//! reports every mistake at once. Nothing here opens a file.

mod allow;
pub mod glob;
mod raw;
mod valid;
pub mod yaml;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

pub use allow::{Allowed, Place, mapped};
pub use glob::Glob;
use yaml::{Problem, Reader};

/// The configuration in use. Every value is there; `Option` means that the thing itself is optional.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// This host, as rows name it.
    pub host: Host,
    /// The cluster that this host is a node of.
    pub kubernetes: Kubernetes,
    /// Policy file; none: no rules.
    pub policy_file: Option<PathBuf>,
    /// Register of AI systems; none: nothing is asked of one.
    pub register_file: Option<PathBuf>,
    /// Whether connections are denied.
    pub enforcement: Enforcement,
    /// Hosts of AI services beside the built-in catalogue.
    pub extra_hosts: Vec<ExtraHost>,
    /// Catalogue files beside the built-in ones.
    pub catalog_files: Vec<PathBuf>,
    /// Rules for sensitive data.
    pub rules: RuleFiles,
    /// Capture in the kernel.
    pub capture: Capture,
    /// Rows on their way to the store.
    pub spool: Spool,
    /// Where evidence goes.
    pub store: Store,
    /// Alerts.
    pub alerts: Alerts,
    /// Address of `/metrics` and `/healthz`; none: switched off.
    pub metrics_listen: Option<SocketAddr>,
    /// Time between two seals.
    pub seal_interval: Duration,
    /// Whether each interval has a self-test.
    pub selftest: bool,
    /// libssl of the self-test; none: the host's.
    pub selftest_library: Option<PathBuf>,
    /// Age after which the key of the seals is replaced; none: only by command.
    pub rotate_keys: Option<Duration>,
    /// Anchors.
    pub anchor: Anchor,
    /// Directory for what must survive a restart: keys, spool.
    pub state_dir: PathBuf,
    /// Directory for what must not: pid file, sockets.
    pub run_dir: PathBuf,
    /// What the daemon gives up once its kernel programs are loaded.
    pub privilege: Privilege,
    /// Logging.
    pub log: Log,
    /// SHA-256 of the file's text; of nothing where there is no file.
    pub digest: [u8; 32],
}

/// This host, as rows name it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// Identifier; empty: the machine's own (`/etc/machine-id`).
    pub id: String,
    /// Name; empty: the machine's own.
    pub name: String,
}

/// Whether rules that say `enforce` are enforced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Enforcement {
    /// How far it goes.
    pub mode: EnforcementMode,
    /// Never denied, beside what the daemon itself and the cluster need.
    pub allow: Vec<Allowed>,
}

/// How far enforcement goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EnforcementMode {
    /// No program that could deny anything is loaded.
    #[default]
    Off,
    /// What would be denied is recorded, and goes on.
    DryRun,
    /// Connections are denied and cut.
    On,
}

impl EnforcementMode {
    /// All words, in the order of the variants.
    pub const NAMES: [&'static str; 3] = ["off", "dry_run", "on"];
    const ALL: [Self; 3] = [Self::Off, Self::DryRun, Self::On];
}

/// The cluster that this host is a node of, and its API server, which names pods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kubernetes {
    /// Whether the API server is asked, and where it is.
    pub api: ApiServer,
    /// Name of this node; none: what the variable `NODE_NAME` says.
    pub node: Option<String>,
    /// Name of the cluster in rows; empty: not known.
    pub cluster: String,
    /// File of the token; none: that of the pod's service account.
    pub token_file: Option<PathBuf>,
    /// Certificates to trust, PEM; none: those of the pod's service account.
    pub ca_file: Option<PathBuf>,
}

/// Whether the API server is asked, and where it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ApiServer {
    /// Asked in a pod that has a token, where its variables say.
    #[default]
    Auto,
    /// Not asked.
    Off,
    /// Asked at this address, `https://host:port`.
    At(String),
}

/// Whether this can be the name of a node (RFC 1123 subdomain).
pub fn is_node_name(name: &str) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    (1..=253).contains(&name.len()) && name.bytes().all(letter)
}

/// A host of an AI service that the built-in catalogue does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraHost {
    /// Host name in lower case; `*.` at its beginning stands for any subdomain.
    pub host: String,
    /// `gen_ai.provider.name` for it.
    pub provider: String,
}

/// Rules for sensitive data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleFiles {
    /// Packs beside the built-in one.
    pub files: Vec<PathBuf>,
    /// Identifiers of rules that are not wanted.
    pub disable: Vec<String>,
}

/// Capture in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// Bytes of each direction that a flow may deliver before it is known to be AI or not.
    pub undecided_prefix_bytes: u32,
    /// Size of the ring buffer, a power of two.
    pub ring_buffer_bytes: u32,
    /// What function probes are put on.
    pub function_probes: FunctionProbes,
    /// Whether MCP over standard input and output is read.
    pub mcp_stdio: bool,
    /// Whether calls that programs of this host answer are read, too.
    pub served_calls: bool,
    /// Executables that are not looked at, by full path.
    pub exclude_executables: Vec<Glob>,
}

/// What function probes are put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionProbes {
    /// Uprobe multi links where the kernel has them (Linux 6.6), else perf events.
    Auto,
    /// Perf events, on every kernel.
    PerfEvents,
}

impl FunctionProbes {
    /// All words, in the order of the variants.
    pub const NAMES: [&'static str; 2] = ["auto", "perf_events"];
    const ALL: [Self; 2] = [Self::Auto, Self::PerfEvents];
}

/// Words for the least severity of a finding that is an alert; their places are the numbers that rows have.
pub const SEVERITIES: [&str; 6] = ["off", "info", "low", "medium", "high", "critical"];

/// What is sent as it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alerts {
    /// Where it goes; none: nothing is sent.
    pub to: Option<Outlet>,
    /// Findings of at least this severity, 1 (info) to 5 (critical); none: no findings.
    pub findings: Option<i8>,
    /// Use that nobody sanctioned.
    pub unsanctioned: bool,
}

/// Where alerts go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outlet {
    /// Lines of JSON on standard output.
    Stdout,
    /// Lines of JSON at the end of a file.
    File(PathBuf),
    /// Syslog, by datagrams to a socket of this host.
    Unix(PathBuf),
    /// Syslog over UDP, `host:port`.
    Udp(String),
    /// Syslog over TCP, `host:port`.
    Tcp(String),
}

impl std::fmt::Display for Outlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Udp(address) => write!(f, "udp://{address}"),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

/// Where evidence goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// ClickHouse over HTTP or HTTPS; none: the embedded store is started.
    pub url: Option<String>,
    /// Database.
    pub database: String,
    /// User.
    pub user: String,
    /// File that holds the password, one line.
    pub password_file: Option<PathBuf>,
    /// Certificates to trust, PEM; none: those of the system.
    pub ca_file: Option<PathBuf>,
    /// The embedded store.
    pub embedded: Embedded,
    /// Rows in a batch at most.
    pub batch_rows: u32,
    /// Age of a batch at most.
    pub batch_interval: Duration,
    /// Memory for rows that are not on disk.
    pub buffer_bytes: u64,
    /// How long rows are kept.
    pub retention: Retention,
}

/// Days that rows are kept; `None`: what the tables say stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Interactions, findings, connections, blind spots, and usage counted from them.
    pub records: Option<u32>,
    /// Seals.
    pub seals: Option<u32>,
    /// Payloads.
    pub payloads: Option<u32>,
}

impl Retention {
    /// Days that tables say at first.
    pub const RECORDS: u32 = 400;
    /// As above, of seals.
    pub const SEALS: u32 = 1130;
    /// As above, of payloads.
    pub const PAYLOADS: u32 = 30;

    /// Days that records are kept, where the tables are as this program makes them.
    pub fn records_days(&self) -> u32 {
        self.records.unwrap_or(Self::RECORDS)
    }

    /// As above, of seals.
    pub fn seals_days(&self) -> u32 {
        self.seals.unwrap_or(Self::SEALS)
    }

    /// Why these times do not go together: seals must outlive what they cover, and texts are the first to go.
    pub fn mistake(&self) -> Option<String> {
        let (records, seals) = (self.records_days(), self.seals_days());
        if seals < records {
            return Some(format!(
                "seals are kept {seals} days and records {records}: a record without its seal is no evidence, keep seals as long"
            ));
        }
        let payloads = self.payloads.filter(|days| *days > records)?;
        Some(format!(
            "texts are kept {payloads} days and records {records}: keep texts no longer than the records that they belong to"
        ))
    }
}

/// Rows on their way to the store, on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spool {
    /// Directory of the segments.
    pub directory: PathBuf,
    /// Bytes of all segments.
    pub max_bytes: u64,
    /// Segments are synced to the disk before the store sees them.
    pub fsync: bool,
}

/// The embedded store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedded {
    /// Directory of its data.
    pub data_dir: PathBuf,
    /// Address on which it answers.
    pub listen: SocketAddr,
    /// Path of `libchdb.so`; none: the usual places.
    pub library: Option<PathBuf>,
    /// User as whom it runs; none: the daemon's.
    pub user: Option<String>,
}

/// Anchors: hashes of all chains outside the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Time between two anchors that the daemon makes; none: it makes none.
    pub every: Option<Duration>,
    /// Where they are written.
    pub directory: PathBuf,
    /// Name of the notary; empty: the host's id.
    pub notary: String,
}

/// How much is asked of a step in which the daemon gives something up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wish {
    /// Done where the kernel can; else the log says so.
    #[default]
    Auto,
    /// The daemon does not start where it cannot be done.
    Required,
    /// Not done.
    Off,
}

impl Wish {
    /// All words, in the order of the variants.
    pub const NAMES: [&'static str; 3] = ["auto", "required", "off"];
    const ALL: [Self; 3] = [Self::Auto, Self::Required, Self::Off];
}

/// What the daemon gives up once its kernel programs are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Privilege {
    /// Capabilities that are not needed any more.
    pub capabilities: Wish,
    /// System calls that are never needed.
    pub seccomp: Wish,
    /// Writing elsewhere than where there is something to write.
    pub landlock: Wish,
}

/// Logging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// Least severe level that is written.
    pub level: LogLevel,
    /// Form of a line.
    pub format: LogFormat,
}

/// Levels of logging.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// What may be wrong.
    Warn,
    /// What happens.
    Info,
    /// Why it happens.
    Debug,
    /// Every step.
    Trace,
}

impl LogLevel {
    /// All words, in the order of the variants.
    pub const NAMES: [&'static str; 5] = ["error", "warn", "info", "debug", "trace"];
    const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The word as written in the configuration; `tracing` knows it too.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// Forms of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// All words, in the order of the variants.
    pub const NAMES: [&'static str; 2] = ["text", "json"];
    const ALL: [Self; 2] = [Self::Text, Self::Json];
}

/// Time between two anchors where the daemon makes them.
const ANCHOR_EVERY: Duration = Duration::from_secs(3600);

impl Default for Config {
    fn default() -> Self {
        let state_dir = PathBuf::from("/var/lib/observer");
        Self {
            host: Host::default(),
            kubernetes: Kubernetes::default(),
            policy_file: None,
            register_file: None,
            enforcement: Enforcement::default(),
            extra_hosts: Vec::new(),
            catalog_files: Vec::new(),
            rules: RuleFiles::default(),
            capture: Capture {
                undecided_prefix_bytes: 256 * 1024,
                ring_buffer_bytes: 16 * 1024 * 1024,
                function_probes: FunctionProbes::Auto,
                mcp_stdio: true,
                served_calls: false,
                exclude_executables: Vec::new(),
            },
            store: Store {
                url: None,
                database: "ai_evidence".to_owned(),
                user: "default".to_owned(),
                password_file: None,
                ca_file: None,
                embedded: Embedded {
                    data_dir: state_dir.join("store"),
                    listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8123)),
                    library: None,
                    user: None,
                },
                batch_rows: 1_000,
                batch_interval: Duration::from_secs(1),
                buffer_bytes: 32 * 1024 * 1024,
                retention: Retention::default(),
            },
            spool: Spool {
                directory: state_dir.join("spool"),
                max_bytes: 1 << 30,
                fsync: true,
            },
            alerts: Alerts {
                to: None,
                findings: Some(4),
                unsanctioned: true,
            },
            metrics_listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9464))),
            seal_interval: Duration::from_secs(30),
            selftest: true,
            selftest_library: None,
            rotate_keys: Some(Duration::from_secs(24 * 3600)),
            anchor: Anchor {
                every: Some(ANCHOR_EVERY),
                directory: state_dir.join("anchors"),
                notary: String::new(),
            },
            state_dir,
            run_dir: PathBuf::from("/run/observer"),
            privilege: Privilege::default(),
            log: Log {
                level: LogLevel::Info,
                format: LogFormat::Text,
            },
            digest: Sha256::digest(b"").into(),
        }
    }
}

impl Config {
    /// Reads a configuration. Every mistake is reported at once, with file, line and what is allowed. Paths that
    /// are not absolute are taken from the directory of `file_name`.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new(file_name);
        let root = match yaml::parse(file_name, text) {
            Ok(root) => root,
            Err(problem) => {
                reader.add(problem);
                return Err(reader.finish());
            }
        };
        let raw = root
            .as_ref()
            .map(|root| raw::read(&mut reader, root))
            .unwrap_or_default();
        let directory = Path::new(file_name).parent().unwrap_or(Path::new(""));
        let mut config = valid::validate(&mut reader, directory, raw);
        config.digest = Sha256::digest(text.as_bytes()).into();
        if reader.is_clean() {
            Ok(config)
        } else {
            Err(reader.finish())
        }
    }

    /// A configuration file that says what holds without one, with a comment on each key.
    pub fn default_yaml() -> &'static str {
        include_str!("default.yaml")
    }
}

#[cfg(test)]
mod tests;
