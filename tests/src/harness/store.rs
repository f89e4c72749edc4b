//! The embedded store as a process of its own, and queries over its HTTP interface.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use observer::store::{Client, StoreTarget};
use serde_json::Value;

use super::process::Process;
use super::template;

/// Database that the tests use.
pub const DATABASE: &str = "ai_evidence";

const TIMEOUT: Duration = Duration::from_secs(20);

/// `observer store` on a free port.
pub struct Store {
    process: Option<Process>,
    address: SocketAddr,
    dir: PathBuf,
}

impl Store {
    /// Starts it with its data in `dir/store` and the schema in place, and waits until it answers.
    pub fn start(dir: &Path) -> Result<Self> {
        template::copy_to(&dir.join("store"))?;
        Self::start_empty(dir)
    }

    /// As `start`, with nothing in it.
    pub fn start_empty(dir: &Path) -> Result<Self> {
        let mut store = Self {
            process: None,
            address: free_address()?,
            dir: dir.to_path_buf(),
        };
        store.resume()?;
        Ok(store)
    }

    /// Starts it again after `stop`, on the same port and data.
    pub fn resume(&mut self) -> Result<()> {
        let address = self.address;
        let mut command = Command::new(super::daemon());
        command
            .arg("store")
            .arg("--data-dir")
            .arg(self.data())
            .args(["--listen", &address.to_string(), "--library"])
            .arg(super::library());
        let mut process = Process::start("store", &self.dir, &mut command)?;
        process.wait_for("an answer to SELECT 1", Duration::from_secs(30), || {
            query(address, "SELECT 1 AS one").ok()
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// Ends it in order; its data stay.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.stop()?;
        }
        Ok(())
    }

    /// Kills it; its data stay as they are.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.signal(rustix::process::Signal::KILL)?;
            process.wait(TIMEOUT)?;
        }
        Ok(())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its data directory.
    pub(super) fn data(&self) -> PathBuf {
        self.dir.join("store")
    }

    /// A client of the daemon's own kind.
    pub fn client(&self) -> Result<Client> {
        let target = StoreTarget {
            url: format!("http://{}", self.address),
            database: DATABASE.into(),
            user: String::new(),
            password: String::new(),
            ca_file: None,
        };
        Ok(Client::new(&target)?)
    }

    /// Rows of a query.
    pub fn query(&self, sql: &str) -> Result<Vec<Value>> {
        query(self.address, sql)
    }

    /// As [`document`].
    pub fn document(&self, sql: &str) -> Result<Value> {
        document(self.address, sql)
    }

    /// All rows of a table, in order of `ts`. Digests, which are raw bytes, come as hexadecimal text.
    pub fn table(&self, table: &str, order: &str) -> Result<Vec<Value>> {
        table_rows(self.address, table, order)
    }
}

pub(super) fn table_rows(address: SocketAddr, table: &str, order: &str) -> Result<Vec<Value>> {
    let columns = query(
        address,
        &format!(
            "SELECT name, type FROM system.columns WHERE database = '{DATABASE}' AND table = '{table}' ORDER BY position"
        ),
    )?;
    if columns.is_empty() {
        bail!("table {DATABASE}.{table} is not there");
    }
    let list: Vec<String> = columns.iter().map(readable).collect();
    query(
        address,
        &format!(
            "SELECT {} FROM {DATABASE}.{table} ORDER BY {order}",
            list.join(", ")
        ),
    )
}

fn readable(column: &Value) -> String {
    let name = column["name"].as_str().unwrap_or_default();
    let kind = column["type"].as_str().unwrap_or_default();
    if kind.starts_with("FixedString") {
        format!("lower(hex({name})) AS {name}")
    } else if kind.starts_with("Array(FixedString") {
        format!("arrayMap(value -> lower(hex(value)), {name}) AS {name}")
    } else {
        name.to_owned()
    }
}

/// The whole answer of a query as one JSON document: `meta` (names and types of columns) and `data`.
pub fn document(address: SocketAddr, sql: &str) -> Result<Value> {
    let path = "/?default_format=JSON&output_format_json_quote_64bit_integers=0";
    let (status, body) = http(address, "POST", path, sql)?;
    if status != 200 {
        bail!("the store answered {status} to {sql}: {body}");
    }
    serde_json::from_str(&body).context("not JSON")
}

pub(super) fn query(address: SocketAddr, sql: &str) -> Result<Vec<Value>> {
    let path = "/?default_format=JSONEachRow&output_format_json_quote_64bit_integers=0";
    let (status, body) = http(address, "POST", path, sql)?;
    if status != 200 {
        bail!("the store answered {status} to {sql}: {body}");
    }
    body.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}")))
        .collect()
}

/// A request in HTTP/1.0, whose answer ends with the connection.
pub(super) fn http(address: SocketAddr, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
    let mut stream =
        TcpStream::connect_timeout(&address, TIMEOUT).with_context(|| format!("cannot reach {address}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("not an HTTP answer")?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .context("an answer without a status")?;
    Ok((status, body.to_owned()))
}

/// A port on loopback that is free now.
pub fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port on loopback")?;
    listener.local_addr().context("a listener without an address")
}
