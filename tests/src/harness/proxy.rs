//! A proxy between daemon and store that does what networks and servers do: late answers, none, errors, requests that arrive twice.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It goes through.
    None = 0,
    /// The connection is closed before the request is read.
    Refuse = 1,
    /// The store is not asked; the answer is an error of a busy server.
    Busy = 2,
    /// It goes through, and the answer comes a second later.
    Late = 3,
    /// The store does it, and the connection breaks before the answer.
    NoAnswer = 4,
    /// The store gets it twice, and the second answer is given.
    Twice = 5,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::Refuse,
        Self::Busy,
        Self::Late,
        Self::NoAnswer,
        Self::Twice,
    ];
}

#[derive(Debug)]
struct Shared {
    store: SocketAddr,
    fault: AtomicU8,
    /// Inserts by fault.
    inserts: [AtomicU64; 6],
    /// Bytes of these, heads of the requests included.
    bytes: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

/// A running proxy. It ends with the test's process.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl FaultProxy {
    /// Starts one before this store, on a free port of loopback.
    pub fn start(store: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no free port for the proxy")?;
        let shared = Arc::new(Shared {
            store,
            fault: AtomicU8::new(0),
            inserts: Default::default(),
            bytes: AtomicU64::new(0),
            open: Mutex::default(),
        });
        let proxy = Self {
            address: listener.local_addr()?,
            shared: Arc::clone(&shared),
        };
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || {
                    // A client that goes away is no error of the proxy.
                    let _ = serve(&shared, client);
                });
            }
        });
        Ok(proxy)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happens to requests from now on.
    pub fn set(&self, fault: Fault) {
        self.shared.fault.store(fault as u8, Ordering::SeqCst);
        let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Connections of before would keep what was.
        open.drain(..)
            .for_each(|client| drop(client.shutdown(Shutdown::Both)));
    }

    /// Inserts that came while this fault was set.
    pub fn inserts(&self, fault: Fault) -> u64 {
        self.shared.inserts[fault as usize].load(Ordering::SeqCst)
    }

    /// Bytes of all inserts that came, as they were on the wire.
    pub fn insert_bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::SeqCst)
    }
}

fn serve(shared: &Shared, client: TcpStream) -> Result<()> {
    let mut open = shared.open.lock().unwrap_or_else(PoisonError::into_inner);
    open.push(client.try_clone()?);
    drop(open);
    let mut reader = BufReader::new(client.try_clone()?);
    loop {
        let fault = Fault::ALL[usize::from(shared.fault.load(Ordering::SeqCst))];
        if fault == Fault::Refuse {
            client.shutdown(Shutdown::Both)?;
            return Ok(());
        }
        let Some(request) = message(&mut reader, false)? else {
            return Ok(());
        };
        let is_insert = request
            .windows(6)
            .take(4096)
            .any(|w| w.eq_ignore_ascii_case(b"insert"));
        if is_insert {
            shared.inserts[fault as usize].fetch_add(1, Ordering::SeqCst);
            shared.bytes.fetch_add(request.len() as u64, Ordering::SeqCst);
        }
        if fault == Fault::Busy {
            let text = "Code: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)\n";
            let head = format!(
                "HTTP/1.1 500 Internal Server Error\r\nContent-Length: {}\r\n\r\n",
                text.len()
            );
            (&client).write_all(&[head.as_bytes(), text.as_bytes()].concat())?;
            continue;
        }
        let mut answer = ask(shared.store, &request)?;
        match fault {
            Fault::Late => std::thread::sleep(Duration::from_secs(1)),
            Fault::Twice => answer = ask(shared.store, &request)?,
            Fault::NoAnswer => {
                client.shutdown(Shutdown::Both)?;
                return Ok(());
            }
            Fault::None | Fault::Refuse | Fault::Busy => {}
        }
        (&client).write_all(&answer)?;
    }
}

fn ask(store: SocketAddr, request: &[u8]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(store)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(request)?;
    message(&mut BufReader::new(stream), true)?.context("no answer")
}

/// Reads one HTTP/1.1 message as it is, body included; `None` at the end of the connection.
fn message(reader: &mut impl BufRead, to_end: bool) -> Result<Option<Vec<u8>>> {
    let (mut bytes, mut length, mut chunked) = (Vec::new(), None, false);
    loop {
        let start = bytes.len();
        if reader.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&bytes[start..]).to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = Some(value.trim().parse::<usize>()?);
        }
        chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
        if line == "\r\n" {
            break;
        }
    }
    if chunked {
        loop {
            let start = bytes.len();
            reader.read_until(b'\n', &mut bytes)?;
            let size = String::from_utf8_lossy(&bytes[start..]).trim().to_owned();
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16)?;
            exactly(reader, size + 2, &mut bytes)?;
            if size == 0 {
                return Ok(Some(bytes));
            }
        }
    }
    match length {
        Some(length) => exactly(reader, length, &mut bytes)?,
        None if to_end => {
            reader.read_to_end(&mut bytes)?;
        }
        None => {}
    }
    Ok(Some(bytes))
}

fn exactly(reader: &mut impl BufRead, length: usize, bytes: &mut Vec<u8>) -> Result<()> {
    let read = reader.take(length as u64).read_to_end(bytes)?;
    anyhow::ensure!(read == length, "the connection broke");
    Ok(())
}
