//! The server: a thread for each connection, one request on each.

use std::{
    collections::{HashMap, VecDeque},
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::endpoint::Authority;

type Stream = StreamOwned<ServerConnection, TcpStream>;

/// How long a watch without news is held.
const WATCH: Duration = Duration::from_secs(20);

/// What goes wrong with the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twist {
    /// It is answered with this status and a reason.
    Status(u16),
    /// The next event of a watch is cut in its middle, and the connection with it.
    CutLine,
    /// The watch says that its version is forgotten.
    Forgotten,
    /// The answer is a page of a proxy.
    Page,
}

#[derive(Default)]
struct World {
    token: String,
    pods: Vec<Value>,
    /// Pods that are gone, of which the server's memory does not know it yet.
    stale: Vec<Value>,
    nodes: Vec<Value>,
    version: u64,
    /// Version, type and object of each change.
    events: Vec<(u64, &'static str, Value)>,
    twists: VecDeque<Twist>,
    requests: Vec<String>,
    /// Pods on a page.
    page: usize,
}

/// See the module. Threads end with their connections.
pub struct ApiServer {
    address: SocketAddr,
    world: Arc<(Mutex<World>, Condvar)>,
    dir: PathBuf,
}

impl ApiServer {
    /// Listens on loopback; token and certificate are files in `dir`.
    pub fn start(dir: &Path) -> Result<Self> {
        let authority = Authority::new()?;
        let config = Arc::new(authority.server_config(&["127.0.0.1".to_owned()], false)?);
        std::fs::write(dir.join("api-ca.pem"), authority.pem())?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        let server = Self {
            address: listener.local_addr()?,
            world: Arc::default(),
            dir: dir.to_path_buf(),
        };
        server.set_token("first")?;
        server.change(|world| (world.version, world.page) = (10, usize::MAX));
        let world = Arc::clone(&server.world);
        std::thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                let (config, world) = (Arc::clone(&config), Arc::clone(&world));
                // A client that breaks off ends its own thread.
                std::thread::spawn(move || serve(tcp, config, &world));
            }
        });
        Ok(server)
    }

    /// `https://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Port on loopback.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The certificate to trust.
    pub fn ca_file(&self) -> PathBuf {
        self.dir.join("api-ca.pem")
    }

    /// The token to ask with.
    pub fn token_file(&self) -> PathBuf {
        self.dir.join("api-token")
    }

    /// The section of a configuration that leads here.
    pub fn configuration(&self) -> String {
        format!(
            "kubernetes:\n  api: {}\n  node: n-1\n  cluster: lab\n  token_file: {}\n  ca_file: {}\n",
            self.url(),
            self.token_file().display(),
            self.ca_file().display()
        )
    }

    /// From now on only this token is right; its file holds it.
    pub fn set_token(&self, token: &str) -> Result<()> {
        self.change(|world| token.clone_into(&mut world.token));
        std::fs::write(self.token_file(), format!("{token}\n")).context("token")
    }

    /// A pod is new, or is another one now.
    pub fn put_pod(&self, mut pod: Value) {
        self.change(|world| {
            world.version += 1;
            pod["metadata"]["resourceVersion"] = json!(world.version.to_string());
            let uid = pod["metadata"]["uid"].clone();
            let old = world.pods.iter().position(|p| p["metadata"]["uid"] == uid);
            let kind = old.map_or("ADDED", |_| "MODIFIED");
            if let Some(old) = old {
                world.pods.remove(old);
            }
            world.pods.push(pod.clone());
            world.events.push((world.version, kind, pod));
        });
    }

    /// A pod is gone.
    pub fn remove_pod(&self, uid: &str) {
        self.change(|world| {
            world.version += 1;
            if let Some(at) = world.pods.iter().position(|p| p["metadata"]["uid"] == uid) {
                let mut pod = world.pods.remove(at);
                pod["metadata"]["resourceVersion"] = json!(world.version.to_string());
                world.events.push((world.version, "DELETED", pod));
            }
        });
    }

    /// A pod is gone, and lists out of the server's memory still name it.
    pub fn put_stale_pod(&self, pod: Value) {
        self.change(|world| world.stale.push(pod));
    }

    /// Tells a version without a change.
    pub fn bookmark(&self) {
        self.change(|world| {
            world.version += 1;
            let object = json!({"kind": "Pod", "metadata": {"resourceVersion": world.version.to_string(), "creationTimestamp": null}, "spec": {"containers": null}, "status": {}});
            world.events.push((world.version, "BOOKMARK", object));
        });
    }

    /// These are the nodes.
    pub fn set_nodes(&self, nodes: Vec<Value>) {
        self.change(|world| world.nodes = nodes);
    }

    /// At most so many objects on a page.
    pub fn set_page(&self, page: usize) {
        self.change(|world| world.page = page);
    }

    /// This goes wrong with the next request.
    pub fn twist(&self, twist: Twist) {
        self.change(|world| world.twists.push_back(twist));
    }

    /// Targets of the requests so far.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.world).requests.clone()
    }

    fn change(&self, work: impl FnOnce(&mut World)) {
        work(&mut lock(&self.world));
        self.world.1.notify_all();
    }
}

fn lock(world: &(Mutex<World>, Condvar)) -> MutexGuard<'_, World> {
    world.0.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(tcp: TcpStream, config: Arc<ServerConfig>, world: &(Mutex<World>, Condvar)) -> Result<()> {
    let mut stream = StreamOwned::new(ServerConnection::new(config)?, tcp);
    let (target, token) = request(&mut stream)?;
    let (twist, right) = {
        let mut world = lock(world);
        world.requests.push(target.clone());
        let right = token == format!("Bearer {}", world.token);
        // Twists of a watch wait for one.
        let is_watch = target.contains("watch=1");
        let fits = world
            .twists
            .front()
            .is_some_and(|twist| is_watch || !matches!(twist, Twist::CutLine | Twist::Forgotten));
        (if fits { world.twists.pop_front() } else { None }, right)
    };
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query: HashMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    match twist {
        _ if !right => answer(&mut stream, 401, &refusal(401)),
        Some(Twist::Status(status)) => answer(&mut stream, status, &refusal(status)),
        Some(Twist::Page) => answer(&mut stream, 200, &"<html>".repeat(20_000)),
        _ if path == "/api/v1/nodes" => {
            let world = lock(world);
            let text = list(&world.nodes, &world, &query);
            drop(world);
            answer(&mut stream, 200, &text)
        }
        _ if query.contains_key("watch") => watch(&mut stream, world, &query, twist),
        _ => {
            let world = lock(world);
            let mut pods = world.pods.clone();
            if query.get("resourceVersion") == Some(&"0") {
                pods.extend(world.stale.iter().cloned());
            }
            let text = list(&pods, &world, &query);
            drop(world);
            answer(&mut stream, 200, &text)
        }
    }
}

/// Target and `Authorization` of a request.
fn request(stream: &mut Stream) -> Result<(String, String)> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 64 << 10 {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head)?;
    let target = head.split(' ').nth(1).context("a request line")?.to_owned();
    let token = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .starts_with("authorization: ")
            .then(|| line[15..].to_owned())
    });
    Ok((target, token.unwrap_or_default()))
}

fn refusal(status: u16) -> String {
    json!({"kind": "Status", "status": "Failure", "message": "pods is forbidden: User \"u\" cannot list resource \"pods\"", "code": status}).to_string()
}

fn answer(stream: &mut Stream, status: u16, body: &str) -> Result<()> {
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    end(stream)
}

fn end(stream: &mut Stream) -> Result<()> {
    stream.conn.send_close_notify();
    stream.flush()?;
    Ok(())
}

/// A page of a list; whole where it is asked for out of the memory of the server.
fn list(all: &[Value], world: &World, query: &HashMap<&str, &str>) -> String {
    let from: usize = query
        .get("continue")
        .and_then(|from| from.parse().ok())
        .unwrap_or(0);
    let size = if query.get("resourceVersion") == Some(&"0") {
        usize::MAX
    } else {
        world.page
    };
    let items: Vec<&Value> = all.iter().skip(from).take(size).collect();
    let to = from + items.len();
    let more = if to < all.len() {
        to.to_string()
    } else {
        String::new()
    };
    json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": world.version.to_string(), "continue": more}, "items": items})
        .to_string()
}

/// Tells what is newer than the version that is asked for, and then what comes.
fn watch(
    stream: &mut Stream,
    world: &(Mutex<World>, Condvar),
    query: &HashMap<&str, &str>,
    twist: Option<Twist>,
) -> Result<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes())?;
    stream.flush()?;
    let mut from: u64 = query.get("resourceVersion").context("a version")?.parse()?;
    if twist == Some(Twist::Forgotten) {
        let line = json!({"type": "ERROR", "object": {"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired"}});
        chunk(stream, format!("{line}\n").as_bytes())?;
        return end_chunks(stream);
    }
    loop {
        let news = wait(world, from);
        let Some((version, kind, object)) = news else {
            return end_chunks(stream);
        };
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        if twist == Some(Twist::CutLine) {
            chunk(stream, &line.as_bytes()[..line.len() / 2])?;
            stream.sock.shutdown(std::net::Shutdown::Both)?;
            return Ok(());
        }
        // In two pieces, as networks do.
        let (one, two) = line.as_bytes().split_at(line.len() / 3);
        chunk(stream, one)?;
        chunk(stream, two)?;
        from = version;
    }
}

/// The next event after this version; `None` when none comes for a while.
fn wait(world: &(Mutex<World>, Condvar), from: u64) -> Option<(u64, &'static str, Value)> {
    let newer = |world: &World| world.events.iter().find(|(version, ..)| *version > from).cloned();
    let guard = lock(world);
    let (guard, _) = world
        .1
        .wait_timeout_while(guard, WATCH, |world| newer(world).is_none())
        .unwrap_or_else(PoisonError::into_inner);
    newer(&guard)
}

fn chunk(stream: &mut Stream, bytes: &[u8]) -> Result<()> {
    write!(stream, "{:x}\r\n", bytes.len())?;
    stream.write_all(bytes)?;
    stream.write_all(b"\r\n")?;
    stream.flush()?;
    Ok(())
}

fn end_chunks(stream: &mut Stream) -> Result<()> {
    stream.write_all(b"0\r\n\r\n")?;
    end(stream)
}
