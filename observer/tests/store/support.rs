//! The store in a child process, and raw HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use observer::store::embedded::find_library;
use observer::store::{Client, StoreTarget};
use observer::store::{migrate, wait_ready};
use tokio::time::Instant;

pub(crate) const DIRECTORY: &str = "OBSERVER_TEST_STORE_DIRECTORY";
pub(crate) const ADDRESS: &str = "OBSERVER_TEST_STORE_ADDRESS";
pub(crate) const PASSWORD: &str = "OBSERVER_TEST_STORE_PASSWORD";
pub(crate) const PARENT: &str = "OBSERVER_TEST_STORE_PARENT";

#[expect(clippy::print_stdout, reason = "a skipped test must be seen")]
pub(crate) fn library() -> Option<PathBuf> {
    match find_library(None) {
        Ok(path) => Some(path),
        Err(error) => {
            println!("SKIP: {error}");
            None
        }
    }
}

macro_rules! need_library {
    () => {
        if crate::support::library().is_none() {
            return;
        }
    };
}

pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a free port")
}

/// A store in a child process; killed when dropped.
pub(crate) struct Store {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Store {
    pub(crate) fn spawn(directory: &Path, address: SocketAddr, environment: &[(&str, &str)]) -> Self {
        let child = Command::new(std::env::current_exe().expect("test binary"))
            .args(["--exact", "child", "--nocapture"])
            .env(DIRECTORY, directory)
            .env(ADDRESS, address.to_string())
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("child");
        Self { child, address }
    }

    pub(crate) async fn start(directory: &Path) -> Self {
        Self::start_at(directory, free_address()).await
    }

    pub(crate) async fn start_at(directory: &Path, address: SocketAddr) -> Self {
        let mut store = Self::spawn(directory, address, &[]);
        for _ in 0..60 {
            match wait_ready(&store.url(), Instant::now() + Duration::from_secs(1)).await {
                Ok(()) => return store,
                Err(error) => assert!(
                    store.child.try_wait().expect("child").is_none(),
                    "{error}: {}",
                    store.said()
                ),
            }
        }
        panic!("store is not ready: {}", store.said());
    }

    /// What it wrote to standard error; ends it.
    pub(crate) fn said(&mut self) -> String {
        let _ = self.child.kill();
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().expect("stderr");
        stderr.read_to_string(&mut said).expect("text");
        said
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn client(&self) -> Client {
        client(self.url())
    }

    pub(crate) async fn migrated(directory: &Path) -> Self {
        let store = Self::start(directory).await;
        migrate(&store.client()).await.expect("schema");
        store
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .expect("kill");
        assert!(status.success());
    }

    /// Ends it by SIGTERM; exit code and how long it took.
    pub(crate) fn terminate(mut self) -> (Option<i32>, Duration) {
        let started = std::time::Instant::now();
        self.signal("TERM");
        let status = self.child.wait().expect("ends");
        (status.code(), started.elapsed())
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        http(self.address, "GET", target, &[], b"")
    }

    pub(crate) fn post(&self, target: &str, body: &[u8]) -> Answer {
        http(self.address, "POST", target, &[], body)
    }
}

pub(crate) fn client(url: String) -> Client {
    let target = StoreTarget {
        url,
        database: "ai_evidence".into(),
        user: String::new(),
        password: String::new(),
        ca_file: None,
    };
    Client::new(&target).expect("client")
}

/// An answer of raw HTTP/1.0: the connection ends with the body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn ok(self) -> String {
        assert_eq!(self.status, 200, "{}", self.text());
        self.text()
    }

    pub(crate) fn code(&self) -> (u16, &str) {
        (
            self.status,
            self.header("x-clickhouse-exception-code").unwrap_or("none"),
        )
    }
}

pub(crate) fn http(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("timeout");
    let mut head = format!("{method} {target} HTTP/1.0\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "Host") {
        head.push_str(&format!("Host: {address}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).expect("head");
    stream.write_all(body).expect("body");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("answer");
    let end = bytes
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .expect("head of the answer");
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .expect("status");
    Answer {
        status,
        head,
        body: bytes[end + 4..].to_vec(),
    }
}

pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

pub(crate) fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("directory")
}

/// A deadline that no test should reach.
pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

pub(crate) use need_library;
