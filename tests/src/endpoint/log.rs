//! What the endpoint received and answered: the other side of the ledger.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::{Value, json};

use super::counted::Counters;

/// One request as the endpoint saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoggedRequest {
    /// Number of the connection, from 0 in order of acceptance.
    pub connection: usize,
    /// The client's port on that connection.
    pub client_port: u16,
    /// `http/1.1`, `h2`, `websocket` or `websocket+deflate`.
    pub protocol: String,
    /// `Host` field (or HTTP/2 authority), as sent.
    pub host: String,
    /// Method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// `model` of the body, empty where there is none.
    pub model: String,
    /// Status of the answer.
    pub status: u16,
    /// Bytes of the request body.
    pub body_bytes: u64,
    /// Plaintext bytes of the request on the connection, head and body. Exact for HTTP/1.1 without pipelining.
    pub request_bytes: u64,
    /// Plaintext bytes of the response on the connection so far, head and body. Exact for HTTP/1.1 without pipelining.
    pub response_bytes: u64,
}

#[derive(Debug)]
struct Entry {
    request: LoggedRequest,
    sent_before: u64,
}

#[derive(Debug, Default)]
struct State {
    connections: Vec<Arc<Counters>>,
    entries: Vec<Entry>,
}

/// Log of one endpoint since its start.
#[derive(Debug, Default)]
pub struct Log {
    state: Mutex<State>,
    trace: Option<Mutex<File>>,
}

/// A connection's place in the log.
#[derive(Debug, Clone)]
pub(super) struct ConnectionLog {
    pub(super) log: Arc<Log>,
    pub(super) counters: Arc<Counters>,
    number: usize,
    client_port: u16,
}

impl Log {
    /// A log that also writes each event as a line of JSON to a file, at once.
    pub(super) fn traced(file: File) -> Self {
        Self {
            trace: Some(Mutex::new(file)),
            ..Self::default()
        }
    }

    fn trace(&self, event: &Value) {
        if let Some(file) = &self.trace {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            // A full disk must not end a connection that is under test.
            let _ = writeln!(file, "{event}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn connection(self: &Arc<Self>, client: SocketAddr) -> ConnectionLog {
        let counters = Arc::new(Counters::default());
        let mut state = self.lock();
        state.connections.push(Arc::clone(&counters));
        let number = state.connections.len() - 1;
        ConnectionLog {
            log: Arc::clone(self),
            counters,
            number,
            client_port: client.port(),
        }
    }

    /// All requests in the order in which their bodies ended, with the byte counts of this moment.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        let state = self.lock();
        let mut requests: Vec<LoggedRequest> = Vec::with_capacity(state.entries.len());
        for (index, entry) in state.entries.iter().enumerate() {
            let connection = entry.request.connection;
            let next = state.entries[index + 1..]
                .iter()
                .find(|later| later.request.connection == connection);
            let sent_until =
                next.map_or_else(|| state.connections[connection].sent(), |later| later.sent_before);
            let mut request = entry.request.clone();
            request.response_bytes = sent_until.saturating_sub(entry.sent_before);
            requests.push(request);
        }
        requests
    }

    /// Requests to a path that ends so.
    pub fn requests_to(&self, path_suffix: &str) -> Vec<LoggedRequest> {
        self.requests()
            .into_iter()
            .filter(|request| request.path.ends_with(path_suffix))
            .collect()
    }

    /// Number of connections accepted.
    pub fn connections(&self) -> usize {
        self.lock().connections.len()
    }
}

impl ConnectionLog {
    /// Notes in the trace that a connection is ready for requests, or why it is not.
    pub(super) fn accepted(&self, server_name: &str, protocol: &str, error: Option<&str>) {
        self.log.trace(&json!({
            "event": "connection", "connection": self.number, "client_port": self.client_port,
            "server_name": server_name, "protocol": protocol, "error": error,
        }));
    }

    /// Notes a request whose body was read whole, before anything of the answer is sent.
    pub(super) fn note(&self, mut request: LoggedRequest) {
        let mut state = self.log.lock();
        let earlier: u64 = state
            .entries
            .iter()
            .filter(|entry| entry.request.connection == self.number)
            .map(|entry| entry.request.request_bytes)
            .sum();
        request.connection = self.number;
        request.client_port = self.client_port;
        request.request_bytes = self.counters.received().saturating_sub(earlier);
        let mut event = json!(request);
        event["event"] = json!("request");
        self.log.trace(&event);
        state.entries.push(Entry {
            request,
            sent_before: self.counters.sent(),
        });
    }
}
