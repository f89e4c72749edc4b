//! Everything that one live test needs on this host: endpoint, store, daemon, clients.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use observer::store::migrate::MIGRATIONS;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::chain::{ChainReport, check_chain};
use super::client::Client;
use super::container::Containers;
use super::known;
use super::metrics::Metrics;
use super::process::Process;
use super::proxy::FaultProxy;
use super::record::Record;
use super::store::{DATABASE, Store, free_address, http, query, table_rows};
use crate::endpoint::{Answers, Endpoint, Settings};

/// How long rows may take from the last call to the store.
const STORE_TIME: Duration = Duration::from_secs(20);

/// Bytes of an undecided connection that may reach user space, in these tests.
pub const UNDECIDED_PREFIX: u64 = 4096;

/// Policy of these tests: OpenAI is sanctioned, Anthropic is not, all else is unknown.
const POLICY: &str = "version: test-1\ndefault: unknown\nrules:\n  - id: openai-yes\n    verdict: sanctioned\n    \
     provider: [openai]\n  - id: anthropic-no\n    verdict: unsanctioned\n    provider: [anthropic]\n";

/// What differs between tests.
#[derive(Debug, Clone)]
pub struct Options {
    /// Let the daemon start its own store, instead of one that the test starts.
    pub embedded_store: bool,
    /// Start the daemon at once; otherwise `start_daemon` does.
    pub daemon: bool,
    /// Size of the ring buffer, bytes.
    pub ring_buffer_bytes: Option<u64>,
    /// Bytes of an undecided connection that may reach user space.
    pub undecided_prefix: u64,
    /// Let the endpoint serve without TLS, too.
    pub plain: bool,
    /// Let the endpoint offer HTTP/2.
    pub http2: bool,
    /// More names of the endpoint.
    pub hosts: Vec<String>,
    /// Answers that the endpoint gives again.
    pub answers: Answers,
    /// A self-test in each interval.
    pub selftest: bool,
    /// libssl of the self-test, in the test's folder.
    pub selftest_library: Option<PathBuf>,
    /// Register of AI systems; none: the daemon has none.
    pub register: Option<String>,
    /// A proxy between the daemon and the store.
    pub proxy: bool,
    /// Let the endpoint listen on all addresses, for containers with a network of their own.
    pub reachable: bool,
    /// User as whom the daemon's own store runs, and the directory of its data.
    pub store_user: Option<(&'static str, PathBuf)>,
    /// More lines of the configuration; the first ones may still be of `capture`.
    pub more: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            embedded_store: false,
            daemon: true,
            ring_buffer_bytes: None,
            undecided_prefix: UNDECIDED_PREFIX,
            plain: false,
            http2: false,
            hosts: Vec::new(),
            answers: Answers::default(),
            selftest: false,
            selftest_library: None,
            register: None,
            proxy: false,
            reachable: false,
            store_user: None,
            more: String::new(),
        }
    }
}

/// A running set. Dropping it ends all of it.
pub struct Host {
    // Fields are dropped in this order: the daemon first, its folder last.
    daemon: Option<Process>,
    /// The store, when the test starts it.
    pub store: Option<Store>,
    /// The AI endpoint.
    pub endpoint: Endpoint,
    store_address: SocketAddr,
    proxy: Option<FaultProxy>,
    metrics_address: SocketAddr,
    plain_port: u16,
    options: Options,
    dir: TempDir,
}

impl Host {
    /// Starts endpoint, store and daemon, in this order, and waits until each is ready.
    pub fn start(options: Options) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("observer-test-")
            .tempdir()
            .context("no temporary folder")?;
        let plain_port = if options.plain { free_address()?.port() } else { 0 };
        let defaults = Settings::default();
        let settings = Settings {
            hosts: [defaults.hosts.clone(), options.hosts.clone()].concat(),
            http2: options.http2,
            answers: options.answers.clone(),
            // IPv4 and IPv6.
            plain: options
                .plain
                .then(|| SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, plain_port))),
            listen: if options.reachable {
                SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, 0))
            } else {
                defaults.listen
            },
            ..defaults
        };
        let endpoint = Endpoint::start(&settings, &dir.path().join("ca.pem"))?;
        let store = if options.embedded_store {
            None
        } else {
            Some(Store::start(dir.path())?)
        };
        let store_address = match &store {
            Some(store) => store.address(),
            None => free_address()?,
        };
        let proxy = if options.proxy {
            Some(FaultProxy::start(store_address)?)
        } else {
            None
        };
        let with_daemon = options.daemon;
        let mut host = Self {
            daemon: None,
            store,
            endpoint,
            store_address,
            proxy,
            metrics_address: free_address()?,
            plain_port,
            options,
            dir,
        };
        std::fs::write(host.policy_file(), POLICY)?;
        if let Some(register) = &host.options.register {
            std::fs::write(host.dir.path().join("register.yaml"), register)?;
        }
        std::fs::write(host.config_file(), host.configuration())?;
        if with_daemon {
            host.start_daemon()?;
        }
        Ok(host)
    }

    /// Lets the self-test use this libssl, from the daemon's next start on.
    pub fn set_selftest_library(&mut self, library: &Path) -> Result<()> {
        self.options.selftest_library = Some(library.to_path_buf());
        std::fs::write(self.config_file(), self.configuration()).context("configuration")
    }

    /// Starts the daemon and waits until it says that it is ready.
    pub fn start_daemon(&mut self) -> Result<()> {
        known::give(&self.state())?;
        let mut command = Command::new(super::daemon());
        command
            .args(["run", "--config"])
            .arg(self.config_file())
            .env("PATH", self.programs()?);
        let mut daemon = Process::start("observer", self.dir.path(), &mut command)?;
        let address = self.metrics_address;
        daemon.wait_for("GET /healthz answers 200", Duration::from_secs(240), || {
            http(address, "GET", "/healthz", "")
                .is_ok_and(|(status, _)| status == 200)
                .then_some(())
        })?;
        self.daemon = Some(daemon);
        Ok(())
    }

    /// The daemon's own search path: it attaches to the large programs in there before they run, and detaches from each
    /// when it ends, which takes the kernel a tenth of a second for each probe.
    fn programs(&self) -> Result<PathBuf> {
        let folder = self.dir.path().join("programs");
        std::fs::create_dir_all(&folder)?;
        for program in ["node", "curl"] {
            let link = folder.join(program);
            if let Some(found) = super::find_program(program)
                && !link.exists()
            {
                std::os::unix::fs::symlink(found, link)?;
            }
        }
        Ok(folder)
    }

    /// The daemon.
    pub fn daemon(&mut self) -> Result<&mut Process> {
        self.daemon.as_mut().context("the daemon is not running")
    }

    /// Port of the endpoint without TLS; 0 for none.
    pub fn plain_port(&self) -> u16 {
        self.plain_port
    }

    /// Folder of this test.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The daemon's configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.dir.path().join("observer.yaml")
    }

    /// The daemon's policy.
    pub fn policy_file(&self) -> PathBuf {
        self.dir.path().join("policy.yaml")
    }

    /// The proxy between daemon and store.
    pub fn proxy(&self) -> Result<&FaultProxy> {
        self.proxy.as_ref().context("this test has no proxy")
    }

    /// Folder of the spool.
    pub fn spool(&self) -> PathBuf {
        let elsewhere = self
            .options
            .more
            .lines()
            .find_map(|line| line.strip_prefix("  dir: "));
        elsewhere.map_or_else(|| self.dir.path().join("state/spool"), PathBuf::from)
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Kills the daemon.
    pub fn kill_daemon(&mut self) -> Result<()> {
        let mut daemon = self.daemon.take().context("the daemon is not running")?;
        daemon.signal(rustix::process::Signal::KILL)?;
        daemon.wait(STORE_TIME)?;
        Ok(())
    }

    /// Ends the daemon in order; an error when it takes more than a minute or fails.
    pub fn stop_daemon(&mut self) -> Result<()> {
        let mut daemon = self.daemon.take().context("the daemon is not running")?;
        daemon.signal(rustix::process::Signal::TERM)?;
        // On a busy host the kernel takes its time for each probe that goes.
        let status = daemon.wait(Duration::from_secs(60))?;
        anyhow::ensure!(
            status.success(),
            "the daemon ended with {status}. It printed:\n{}",
            daemon.output()
        );
        Ok(())
    }

    /// Kills the store.
    pub fn kill_store(&mut self) -> Result<()> {
        self.store.as_mut().context("no store")?.kill()
    }

    /// Starts the store again.
    pub fn resume_store(&mut self) -> Result<()> {
        self.store.as_mut().context("no store")?.resume()
    }

    /// Waits until there are at least so many seals.
    pub fn wait_for_seals(&mut self, count: usize) -> Result<()> {
        let start = Instant::now();
        while self
            .rows("evidence_seals", "seal_seq")
            .map_or(0, |rows| rows.len())
            < count
        {
            anyhow::ensure!(
                start.elapsed() < STORE_TIME,
                "no {count} seals: {}",
                self.daemon()?.output()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Checks what a reader of the store sees: every row once, every seal and its records.
    pub fn check_chain(&self) -> Result<ChainReport> {
        let seals = self.rows("v_seals", "chain_epoch, seal_seq")?;
        let keys = self.rows("host_keys", "valid_from")?;
        let records = query(
            self.store_address,
            &format!(
                "SELECT DISTINCT chain_epoch, seal_seq, rec_seq, lower(hex(record_hash)) AS record_hash FROM {DATABASE}.v_records"
            ),
        )?;
        let report = check_chain(&seals, &keys, &records)?;
        let view = |name: &str| self.rows(name, "host_id").map(|rows| rows.len());
        let mut seen = 0;
        for name in ["v_interactions", "v_findings", "v_connections", "v_blind_spots"] {
            seen += view(name)?;
        }
        anyhow::ensure!(
            seen == records.len(),
            "{seen} rows in the views, {} records",
            records.len()
        );
        Ok(report)
    }

    fn configuration(&self) -> String {
        let dir = self.dir.path().display();
        let store = if self.options.embedded_store {
            let (user, data) = match &self.options.store_user {
                Some((user, data)) => (format!("    user: {user}\n"), data.clone()),
                None => (String::new(), self.dir.path().join("store")),
            };
            format!(
                "  embedded:\n    data_dir: {}\n    listen: {}\n    library: {}\n{user}",
                data.display(),
                self.store_address,
                super::library().display()
            )
        } else {
            let address = self
                .proxy
                .as_ref()
                .map_or(self.store_address, FaultProxy::address);
            format!("  url: http://{address}\n")
        };
        let mut text = format!(
            "policy:\n  file: {dir}/policy.yaml\nstore:\n  database: {DATABASE}\n  batch_seconds: 1\n{store}metrics:\n  \
             listen: {}\nseal:\n  interval_seconds: 1\n  selftest: {}\nstate_dir: {dir}/state\nrun_dir: {dir}/run\ncapture:\n  \
             undecided_prefix_bytes: {}\n",
            self.metrics_address,
            if self.options.selftest { "on" } else { "off" },
            self.options.undecided_prefix
        );
        if let Some(library) = &self.options.selftest_library {
            let line = format!("  selftest: on\n  selftest_library: {}\n", library.display());
            text = text.replace("  selftest: on\n", &line);
        }
        if self.options.register.is_some() {
            text = text.replace(
                "/policy.yaml\n",
                &format!("/policy.yaml\n  register: {dir}/register.yaml\n"),
            );
        }
        if let Some(bytes) = self.options.ring_buffer_bytes {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  ring_buffer_bytes: {bytes}");
        }
        text + &self.options.more
    }

    /// What another of the daemon's commands prints, with the daemon's configuration; an error when it fails.
    pub fn observer(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(super::daemon())
            .args(arguments)
            .arg("--config")
            .arg(self.config_file())
            .output()?;
        anyhow::ensure!(
            output.status.success(),
            "observer {arguments:?} ended with {}: {}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// One of the scripts in `tests/clients`, in Python.
    pub fn python(&self, script: &str) -> Client {
        Client::new(super::python(), self.endpoint.port(), &self.ca_file()).arg(super::clients().join(script))
    }

    /// One of the scripts in `tests/clients`, in Node.
    pub fn node(&self, script: &str) -> Client {
        Client::new("node", self.endpoint.port(), &self.ca_file())
            .env("NODE_PATH", super::node_modules())
            .arg(super::clients().join(script))
    }

    /// Any program, with the environment of the other ones.
    pub fn program(&self, program: impl AsRef<std::ffi::OsStr>) -> Client {
        Client::new(program, self.endpoint.port(), &self.ca_file())
    }

    /// curl, which reaches the endpoint whatever the name in the URL that the test adds.
    pub fn curl(&self) -> Client {
        Client::new("curl", self.endpoint.port(), &self.ca_file())
            .args(["--silent", "--show-error", "--max-time", "60", "--cacert"])
            .arg(self.ca_file())
            .args(["--connect-to", &format!("::127.0.0.1:{}", self.endpoint.port())])
    }

    /// Containers that reach the endpoint, which must be `reachable`.
    pub fn containers(&self) -> Result<Containers> {
        Containers::new(self.dir.path(), &self.ca_file(), self.endpoint.port())
    }

    /// curl with a chat completion to this host.
    pub fn curl_chat(&self, host: &str, model: &str, prompt: &str) -> Client {
        let body = json!({"model": model, "messages": [{"role": "user", "content": prompt}]});
        self.curl()
            .args([
                "--header",
                "Content-Type: application/json",
                "--data",
                &body.to_string(),
            ])
            .arg(format!("https://{host}/v1/chat/completions"))
    }

    /// The daemon's metrics now.
    pub fn metrics(&self) -> Result<Metrics> {
        Ok(Metrics::parse(&self.metrics_text()?))
    }

    /// The same as they are read.
    pub fn metrics_text(&self) -> Result<String> {
        let (status, text) = http(self.metrics_address, "GET", "/metrics", "")?;
        anyhow::ensure!(status == 200, "/metrics answered {status}");
        Ok(text)
    }

    /// Rows of a table now.
    pub fn rows(&self, table: &str, order: &str) -> Result<Vec<Value>> {
        table_rows(self.store_address, table, order)
    }

    /// Waits until there are at least so many interactions; an error with the daemon's output when they do not come.
    pub fn wait_for_interactions(&mut self, count: usize) -> Result<()> {
        let start = Instant::now();
        loop {
            let have = self
                .rows("ai_interactions", "ts")
                .map_or(0, |rows| self.ours(rows).len());
            if have >= count {
                return Ok(());
            }
            let late = start.elapsed() > STORE_TIME;
            let daemon = self.daemon()?;
            anyhow::ensure!(
                daemon.is_running(),
                "the daemon ended. It printed:\n{}",
                daemon.output()
            );
            anyhow::ensure!(
                !late,
                "{have} of {count} interactions are stored. The daemon printed:\n{}",
                daemon.output()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits for the interactions, reads the metrics, ends the daemon in order (it then delivers all it has) and reads
    /// every table. So a row too many is seen as well as one too few.
    pub fn finish(mut self, interactions: usize) -> Result<Record> {
        self.wait_for_interactions(interactions)?;
        self.wait_for_schema()?;
        self.end()
    }

    /// A call can be over before all tables are made, which takes the engine some seconds.
    pub fn wait_for_schema(&self) -> Result<()> {
        let start = Instant::now();
        while self
            .rows("schema_migrations", "version")
            .map_or(0, |rows| rows.len())
            < MIGRATIONS.len()
        {
            anyhow::ensure!(start.elapsed() < STORE_TIME, "the schema is not whole");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// As `finish`, without waiting for anything.
    pub fn end(mut self) -> Result<Record> {
        if self.options.embedded_store {
            // This store ends with the daemon, so it is read before: wait for two batches and one seal.
            std::thread::sleep(Duration::from_secs(3));
            return self.read();
        }
        let metrics = self.metrics()?;
        let daemon = self.daemon()?;
        let status = daemon.stop()?;
        anyhow::ensure!(
            status.success(),
            "the daemon ended with {status}. It printed:\n{}",
            daemon.output()
        );
        known::keep(&self.state())?;
        let mut record = self.read_tables()?;
        record.metrics = metrics;
        Ok(record)
    }

    fn read(&self) -> Result<Record> {
        let mut record = self.read_tables()?;
        record.metrics = self.metrics()?;
        Ok(record)
    }

    fn read_tables(&self) -> Result<Record> {
        // Messages that one read gave have one time.
        let interactions = self.rows("ai_interactions", "ts, rec_seq")?;
        let findings = self.rows("ai_findings", "ts, rule_id")?;
        let connections = self.rows("ai_connections", "ts")?;
        let blind_spots = self.rows("blind_spots", "ts")?;
        let named = interactions
            .iter()
            .chain(&connections)
            .filter_map(|row| row["process_pid"].as_u64());
        Ok(Record {
            rows: (interactions.len() + findings.len() + connections.len() + blind_spots.len()) as u64,
            pids: named.collect(),
            interactions: self.ours(interactions.clone()),
            all_interactions: interactions,
            findings,
            connections: self.ours(connections.clone()),
            all_connections: connections,
            seals: self.rows("evidence_seals", "seal_seq")?,
            metrics: Metrics::default(),
        })
    }

    /// Rows of calls to our endpoint, and those whose peer is not known.
    fn ours(&self, mut rows: Vec<Value>) -> Vec<Value> {
        let ports = [self.endpoint.port(), self.plain_port, 0];
        rows.retain(|row| ports.iter().any(|port| row["server_port"] == *port));
        rows
    }
}
