//! First inputs from real traffic and real files, where this machine has them: recorded calls of `../shared`, what its TLS
//! clients send, its programs. None of that is kept in the project.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use flate2::read::MultiGzDecoder;
use serde_json::Value;

/// Folder of the shared material; as for the tests.
const SHARED_VARIABLE: &str = "OBSERVER_SHARED";
/// Largest body of a recorded call that is taken.
const MAX_BODY: usize = 6_000;
/// Calls taken of each kind.
const EACH: usize = 2;
/// Largest program that is taken: the fuzzer cuts larger inputs.
const MAX_PROGRAM: u64 = 64 * 1024;
const MAX_PROGRAMS: usize = 12;

/// A recorded call.
pub(crate) struct Call {
    pub(crate) request: Vec<u8>,
    pub(crate) response: Vec<u8>,
    pub(crate) request_body: Vec<u8>,
    pub(crate) response_body: Vec<u8>,
}

/// A few recorded calls of each provider and form, as HTTP/1.1; none where there is no shared material.
pub(crate) fn calls() -> Vec<Call> {
    let shared = std::env::var_os(SHARED_VARIABLE).map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    let Ok(file) = fs::File::open(shared.join("data/ai-recordings.jsonl.gz")) else {
        return Vec::new();
    };
    let lines = BufReader::new(MultiGzDecoder::new(file)).lines();
    let rows = lines
        .map_while(Result::ok)
        .filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    rows.filter_map(|row| {
        let call = call(&row)?;
        let kind = ["provider", "api", "stream_kind", "status"]
            .map(|key| row[key].to_string())
            .join(" ");
        let count = taken.entry(kind).or_default();
        *count += 1;
        (*count <= EACH).then_some(call)
    })
    .collect()
}

fn call(row: &Value) -> Option<Call> {
    // Bodies in base64 are left out: the templates have binary ones.
    if row["req_body_b64"] == true || row["resp_body_b64"] == true {
        return None;
    }
    let body = |key: &str| row[key].as_str().unwrap_or_default().as_bytes().to_vec();
    let (request_body, response_body) = (body("req_body"), body("resp_body"));
    if request_body.len().max(response_body.len()) > MAX_BODY {
        return None;
    }
    let text = |key: &str| row[key].as_str().unwrap_or_default();
    let line = format!(
        "{} {} HTTP/1.1\r\nhost: {}\r\n",
        text("method"),
        text("path"),
        text("host")
    );
    let status = format!("HTTP/1.1 {} X\r\n", row["status"].as_u64()?);
    Some(Call {
        request: message(&line, &row["req_headers"], &request_body),
        response: message(&status, &row["resp_headers"], &response_body),
        request_body,
        response_body,
    })
}

fn message(line: &str, headers: &Value, body: &[u8]) -> Vec<u8> {
    let mut head = line.to_owned();
    for pair in headers.as_array().into_iter().flatten() {
        let (Some(name), Some(value)) = (pair[0].as_str(), pair[1].as_str()) else {
            continue;
        };
        // Of the connection that was recorded, not of this one.
        let gone = ["host", "content-length", "transfer-encoding", "content-encoding"];
        if !gone.iter().any(|gone| name.eq_ignore_ascii_case(gone)) {
            head += &format!("{name}: {value}\r\n");
        }
    }
    head += &format!("content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// What the TLS clients of this machine send first to a server on loopback, which then hangs up.
pub(crate) fn hellos() -> Vec<Vec<u8>> {
    let clients: [&[&str]; 4] = [
        &["curl", "-sk", "--max-time", "2", "https://localhost:PORT/"],
        &[
            "curl",
            "-sk",
            "--http1.1",
            "--tls-max",
            "1.2",
            "--max-time",
            "2",
            "https://localhost:PORT/",
        ],
        &[
            "openssl",
            "s_client",
            "-connect",
            "localhost:PORT",
            "-servername",
            "api.openai.com",
        ],
        &[
            "node",
            "-e",
            "require('https').get('https://localhost:PORT/').on('error',()=>{})",
        ],
    ];
    clients.iter().filter_map(|client| hello(client)).collect()
}

fn hello(client: &[&str]) -> Option<Vec<u8>> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).ok()?;
    let port = listener.local_addr().ok()?.port().to_string();
    listener.set_nonblocking(true).ok()?;
    let words = client.iter().map(|word| word.replace("PORT", &port));
    let mut words = words.collect::<Vec<_>>().into_iter();
    let mut child = Command::new(words.next()?)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut bytes = vec![0; 8 * 1024];
    let mut read = None;
    for _ in 0..200 {
        if let Ok((mut stream, _)) = listener.accept() {
            let _ = (
                stream.set_nonblocking(false),
                stream.set_read_timeout(Some(Duration::from_secs(2))),
            );
            read = stream.read(&mut bytes).ok();
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = (child.kill(), child.wait());
    bytes.truncate(read.filter(|read| *read > 0)?);
    Some(bytes)
}

/// Programs and libraries of this machine that are small enough.
pub(crate) fn programs() -> Vec<Vec<u8>> {
    let mut paths = Vec::new();
    for folder in ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/bin"] {
        paths.extend(files(Path::new(folder)));
    }
    paths.sort();
    let programs = paths.iter().filter_map(|path| fs::read(path).ok());
    programs
        .filter(|bytes| bytes.starts_with(b"\x7fELF"))
        .take(MAX_PROGRAMS)
        .collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let small = |path: &PathBuf| {
        let data = fs::symlink_metadata(path);
        data.is_ok_and(|data| data.is_file() && data.len() <= MAX_PROGRAM)
    };
    entries.map(|entry| entry.path()).filter(small).collect()
}
