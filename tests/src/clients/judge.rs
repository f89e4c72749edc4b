//! From stored rows and the endpoint's trace to what the table says of a run. Pure: no file, no clock.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::sandbox::Run;

/// Ports of the endpoint in the sandbox.
const PORTS: [u64; 2] = [443, 11434];

/// Rows may be stamped this long before the start or after the end of a run (rounding, close after exit), ns.
const SLACK: i64 = 300_000_000;

/// Columns that may say how the TLS functions of a client were found; which of them exist depends on the schema.
const FOUND: [&str; 4] = ["tls_found", "tls_found_by", "tls_finder", "tls_method"];

/// What Observer stored of one run, beside what the endpoint saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Connections to an AI host that the endpoint accepted, failed handshakes included.
    pub connections: usize,
    /// AI calls that the endpoint answered.
    pub calls: usize,
    /// Protocols of these calls, or of all requests where there were none.
    pub protocols: BTreeSet<String>,
    /// Rows of `ai_interactions`.
    pub interactions: usize,
    /// Of these, decoded ones.
    pub decoded: usize,
    /// Rows of `ai_connections`.
    pub connection_rows: usize,
    /// `visibility` of interactions and connections, with their reasons, when not decoded; with their number.
    pub reasons: BTreeMap<String, usize>,
    /// `tls_stack` of the rows.
    pub stacks: BTreeSet<String>,
    /// How its functions were found, of the rows; empty while no column says it.
    pub found: BTreeSet<String>,
    /// `tie` of the rows.
    pub ties: BTreeSet<String>,
}

impl Seen {
    /// The client reached an AI host and no row tells of it.
    pub fn is_silent(&self) -> bool {
        self.connections > 0 && self.interactions + self.connection_rows == 0
    }
}

/// Compares a run with all rows of both tables. The endpoint's own side is left out.
pub(super) fn judge(run: &Run, interactions: &[Value], connections: &[Value], endpoint: &str) -> Seen {
    let mut seen = of_trace(&run.trace);
    let mut numbers = BTreeSet::new();
    let of_clients = |row: &&Value| row["process_executable_path"] != endpoint && in_time(run, row);
    let ports = client_ports(&run.trace);
    for row in connections.iter().filter(of_clients) {
        if is_of_process(run, row) || is_to_endpoint(row, &ports) {
            numbers.insert(row["connection_id"].as_u64().unwrap_or_default());
            seen.connection_rows += 1;
            seen.take(row, "connection", "opaque_reason");
        }
    }
    // 0 is the number of no connection.
    numbers.remove(&0);
    for row in interactions.iter().filter(of_clients) {
        let number = row["connection_id"].as_u64();
        if is_of_process(run, row) || number.is_some_and(|number| numbers.contains(&number)) {
            seen.interactions += 1;
            seen.decoded += usize::from(row["visibility"] == "decoded");
            seen.take(row, "call", "visibility_reason");
        }
    }
    seen
}

impl Seen {
    fn take(&mut self, row: &Value, what: &str, reason: &str) {
        let text = |name: &str| row[name].as_str().unwrap_or_default();
        if text("visibility") != "decoded" {
            let mut words = format!("{what} {}", text("visibility"));
            if !text(reason).is_empty() {
                words = format!("{words}: {}", text(reason));
            }
            *self.reasons.entry(words).or_default() += 1;
        }
        let mut add = |set: fn(&mut Self) -> &mut BTreeSet<String>, value: &str| {
            if !value.is_empty() {
                set(self).insert(value.to_owned());
            }
        };
        add(|seen| &mut seen.stacks, text("tls_stack"));
        add(|seen| &mut seen.ties, text("tie"));
        for name in FOUND {
            add(|seen| &mut seen.found, text(name));
        }
    }
}

fn of_trace(trace: &[Value]) -> Seen {
    let mut seen = Seen::default();
    let mut others = BTreeSet::new();
    let mut hosts: BTreeMap<u64, &str> = BTreeMap::new();
    for event in trace {
        let text = |name: &str| event[name].as_str().unwrap_or_default();
        let connection = event["connection"].as_u64().unwrap_or_default();
        if text("event") == "connection" {
            hosts.insert(connection, text("server_name"));
            continue;
        }
        others.insert(text("protocol").to_owned());
        // A request that names a model was for one.
        if !text("model").is_empty() {
            seen.calls += 1;
            seen.protocols.insert(text("protocol").to_owned());
        }
    }
    // No name: plain HTTP, or a handshake that failed before it was known.
    seen.connections = hosts
        .values()
        .filter(|host| host.is_empty() || is_ai(host))
        .count();
    if seen.calls == 0 {
        seen.protocols = others;
    }
    seen
}

/// Hosts of the sandbox that are no AI services: their connections need no row.
fn is_ai(host: &str) -> bool {
    !matches!(host, "api.github.com" | "registry.npmjs.org")
}

/// Whether a row was made while the client ran.
fn in_time(run: &Run, row: &Value) -> bool {
    let time = row["ts"].as_str().and_then(nanoseconds);
    time.is_some_and(|time| {
        time >= run.time.0.saturating_sub(SLACK) && time <= run.time.1.saturating_add(SLACK)
    })
}

fn is_of_process(run: &Run, row: &Value) -> bool {
    let pid = row["process_pid"].as_u64();
    pid.is_some_and(|pid| run.processes.contains_key(&pid))
}

/// A process may live too short to be seen by us; its connection is known by its port.
fn is_to_endpoint(row: &Value, ports: &BTreeSet<u64>) -> bool {
    let number = |name: &str| row[name].as_u64().unwrap_or_default();
    let peer = row["network_peer_address"].as_str().unwrap_or_default();
    let loopback = peer == "::1" || peer.starts_with("::ffff:127.");
    loopback && PORTS.contains(&number("server_port")) && ports.contains(&number("network_local_port"))
}

/// The clients' ports of all connections that the endpoint accepted.
fn client_ports(trace: &[Value]) -> BTreeSet<u64> {
    let connections = trace.iter().filter(|event| event["event"] == "connection");
    connections
        .filter_map(|event| event["client_port"].as_u64())
        .collect()
}

/// Nanoseconds since 1970 of the store's form `2026-11-25 01:02:03.123456789`, UTC.
fn nanoseconds(text: &str) -> Option<i64> {
    let (date, time) = text.split_once([' ', 'T'])?;
    let mut date = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut clock = clock.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    // Days from the civil calendar, years beginning in March so that the leap day is last.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    seconds
        .checked_mul(1_000_000_000)?
        .checked_add(digits.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const START: i64 = 1_795_570_000_000_000_000;

    fn run() -> Run {
        Run {
            time: (START, START + 1_000_000_000),
            processes: [(77, "/usr/bin/curl".to_owned())].into(),
            trace: vec![
                json!({"event": "connection", "connection": 0, "client_port": 40001, "server_name": "api.openai.com", "protocol": "h2"}),
                json!({"event": "request", "connection": 0, "protocol": "h2", "model": "gpt-4o-mini", "status": 200}),
                json!({"event": "connection", "connection": 1, "server_name": "registry.npmjs.org", "protocol": "h2"}),
                json!({"event": "request", "connection": 1, "protocol": "http/1.1", "model": "", "status": 404}),
            ],
            ..Run::default()
        }
    }

    fn row(change: impl FnOnce(&mut Value)) -> Value {
        let mut row = json!({
            "ts": "2026-11-25 01:26:40.500000000", "process_pid": 5, "process_executable_path": "/usr/bin/curl",
            "server_port": 443, "network_local_port": 40001, "connection_id": 9, "network_peer_address": "::ffff:127.0.0.1", "visibility": "opaque",
            "visibility_reason": "", "opaque_reason": "no_probe", "tls_stack": "", "tie": "",
        });
        change(&mut row);
        row
    }

    #[test]
    fn the_store_s_times_are_read() {
        assert_eq!(nanoseconds("1970-01-01 00:00:00.000000001"), Some(1));
        assert_eq!(nanoseconds("2026-11-25 01:26:40"), Some(START));
        assert_eq!(
            nanoseconds("2024-02-29 12:00:00.5"),
            Some(1_709_208_000_500_000_000)
        );
        assert_eq!(nanoseconds("soon"), None);
    }

    #[test]
    fn a_connection_without_plaintext_has_its_reason() {
        let seen = judge(&run(), &[], &[row(|_| ())], "/ai-endpoint");
        assert_eq!((seen.connections, seen.calls, seen.connection_rows), (1, 1, 1));
        assert_eq!(
            seen.reasons,
            [("connection opaque: no_probe".to_owned(), 1)].into()
        );
        assert_eq!(seen.protocols, ["h2".to_owned()].into());
        assert!(!seen.is_silent());
    }

    #[test]
    fn rows_of_others_do_not_count() {
        let rows = [
            row(|row| row["ts"] = json!("2026-11-25 01:26:42.000000000")),
            row(|row| row["process_executable_path"] = json!("/ai-endpoint")),
            row(|row| row["network_peer_address"] = json!("::ffff:10.0.0.1")),
            row(|row| row["server_port"] = json!(8443)),
            row(|row| row["network_local_port"] = json!(40002)),
        ];
        let seen = judge(&run(), &[], &rows, "/ai-endpoint");
        assert_eq!(seen.connection_rows, 0);
        assert!(seen.is_silent());
    }

    #[test]
    fn a_call_of_an_unseen_process_counts_by_its_connection() {
        let call = |number: u64| row(|row| row["connection_id"] = json!(number));
        let seen = judge(
            &run(),
            &[call(9), call(8), call(0)],
            &[row(|_| ())],
            "/ai-endpoint",
        );
        assert_eq!((seen.interactions, seen.connection_rows), (1, 1));
    }

    #[test]
    fn a_call_tied_to_no_socket_counts_by_its_process() {
        let call = row(|row| {
            row["process_pid"] = json!(77);
            row["server_port"] = json!(0);
            row["network_peer_address"] = json!("::");
            row["visibility"] = json!("decoded");
            row["tie"] = json!("none");
            row["connection_id"] = json!(0);
            row["tls_stack"] = json!("openssl");
        });
        let seen = judge(&run(), &[call], &[], "/ai-endpoint");
        assert_eq!((seen.interactions, seen.decoded), (1, 1));
        assert!(seen.ties.contains("none") && seen.stacks.contains("openssl"));
        assert!(seen.reasons.is_empty());
    }
}
