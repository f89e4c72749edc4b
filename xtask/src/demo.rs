//! `cargo xtask demo`: real clients, a local AI endpoint, the daemon and its embedded store on this machine, and what
//! was recorded of it, read back from the store.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::run::{check, in_path, is_root, root, say, step};
use crate::stage::{Stage, free_addresses, is_ready};
use crate::{build, http, report, setup};

const AREA: &str = "demo";
const DATABASE: &str = "ai_evidence";

/// How long rows may take from the last call to the store.
const STORE_TIME: Duration = Duration::from_secs(30);

/// How the result is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// A table for people
    Table,
    /// One JSON object on standard output
    Json,
}

impl Format {
    /// As on a command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
        }
    }
}

/// Where the parts of the demo are.
struct Places {
    store: SocketAddr,
    metrics: SocketAddr,
    endpoint_port: u16,
}

/// Rows as read back.
pub(crate) struct Recorded {
    pub(crate) interactions: Vec<Value>,
    pub(crate) findings: Vec<Value>,
    pub(crate) connections: Vec<Value>,
    pub(crate) coverage: Value,
}

/// Runs everything and shows what was recorded. An error when fewer calls were recorded than made.
pub(crate) fn run(format: Format, keep: bool) -> Result<()> {
    if !is_root() {
        bail!(
            "the demo attaches kernel probes and must run as root: sudo env PATH=\"$PATH\" cargo xtask demo"
        );
    }
    setup::all()?;
    build::all()?;
    let mut stage = Stage::new()?;
    let places = start(&mut stage)?;
    let calls = step(AREA, "calls by real clients", || {
        make_calls(stage.dir(), places.endpoint_port)
    })?;
    let recorded = step(AREA, "wait for the rows in the store", || {
        wait_for_rows(places.store, calls)
    })
    .with_context(|| format!("the daemon's last lines:\n{}", stage.tail("observer")))?;
    match format {
        Format::Table => report::table(&recorded)?,
        Format::Json => report::json(&recorded)?,
    }
    say(
        AREA,
        &format!("{calls} calls made, {} recorded", recorded.interactions.len()),
    );
    if keep {
        say(
            AREA,
            &format!(
                "store for Grafana and curl: http://{} (database {DATABASE}, HTTP interface of ClickHouse)",
                places.store
            ),
        );
        say(
            AREA,
            &format!(
                "metrics: http://{}/metrics. Stop everything with Ctrl-C",
                places.metrics
            ),
        );
        stage.wait_until_end("observer")?;
    } else {
        say(
            AREA,
            &format!(
                "the store was at http://{} for Grafana and curl; `--keep` leaves it running",
                places.store
            ),
        );
    }
    if recorded.interactions.len() < calls {
        bail!(
            "only {} of {calls} calls were recorded",
            recorded.interactions.len()
        );
    }
    Ok(())
}

fn start(stage: &mut Stage) -> Result<Places> {
    let [store, metrics] = free_addresses()?;
    let ca_file = stage.dir().join("ca.pem");
    stage.start(
        "ai-endpoint",
        Command::new(build::endpoint()).arg("--ca-file").arg(&ca_file),
    )?;
    let log = stage.log_file("ai-endpoint");
    let endpoint_port = stage.wait_for("ai-endpoint", Duration::from_secs(10), || listening_port(&log))?;
    say(AREA, &format!("local AI endpoint on 127.0.0.1:{endpoint_port}"));
    let places = Places {
        store,
        metrics,
        endpoint_port,
    };
    let config = write_configuration(stage.dir(), &places)?;
    step(AREA, "observer run (with its embedded ClickHouse)", || {
        stage.start(
            "observer",
            Command::new(build::daemon())
                .args(["run", "--config"])
                .arg(&config),
        )?;
        stage.wait_for("observer", Duration::from_secs(60), || {
            is_ready(metrics).then_some(())
        })
    })?;
    Ok(places)
}

fn listening_port(log: &Path) -> Option<u16> {
    let text = std::fs::read_to_string(log).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("listening ")?.trim().parse().ok())
}

fn write_configuration(dir: &Path, places: &Places) -> Result<std::path::PathBuf> {
    let policy = dir.join("policy.yaml");
    std::fs::write(&policy, include_str!("../demo/policy.yaml")).context("cannot write the policy")?;
    let text = format!(
        "policy:\n  file: {policy}\nstore:\n  database: {DATABASE}\n  batch_seconds: 1\n  embedded:\n    data_dir: {data}\n    \
         listen: {store}\n    library: {library}\nmetrics:\n  listen: {metrics}\nseal:\n  interval_seconds: 2\n\
         state_dir: {state}\nrun_dir: {run}\n",
        policy = policy.display(),
        data = dir.join("store").display(),
        store = places.store,
        library = setup::chdb_library().display(),
        metrics = places.metrics,
        state = dir.join("state").display(),
        run = dir.join("run").display(),
    );
    let file = dir.join("observer.yaml");
    std::fs::write(&file, text).context("cannot write the configuration")?;
    Ok(file)
}

/// A prompt with a key and a card number that are false and look true. Put together here, so that no file holds them.
fn sensitive_prompt() -> String {
    let key = ["AK", "IA", "Q3EGRIVN", "ZJ2XKTW5"].concat();
    let card = ["4111", "1111", "1111", "1111"].join(" ");
    format!(
        "Why does my deployment fail?\naws_access_key_id = {key}\nThe customer paid with {card}, is that in the log?"
    )
}

/// Lets each client make its calls; returns how many there were.
fn make_calls(dir: &Path, port: u16) -> Result<usize> {
    let python = setup::client_python();
    let clients = root().join("tests/clients");
    let script = |name: &str, arguments: &[&str]| {
        let mut command = Command::new(&python);
        command.arg(clients.join(name)).args(arguments);
        command
    };
    let secret = sensitive_prompt();
    let mut calls = vec![
        ("curl to OpenAI", curl(dir, port, "api.openai.com", "Say hello.")),
        (
            "curl to a host that no catalogue knows",
            curl(dir, port, "llm.example.com", "Say hello."),
        ),
        (
            "Python openai",
            script("openai_chat.py", &["--prompt", "What is an eBPF map?"]),
        ),
        (
            "Python openai, streamed",
            script(
                "openai_chat.py",
                &["--stream", "--prompt", "What is a ring buffer?"],
            ),
        ),
        (
            "Python openai, with a key and a card number",
            script("openai_chat.py", &["--prompt", &secret]),
        ),
        (
            "Python anthropic",
            script("anthropic_messages.py", &["--prompt", "Sort this list."]),
        ),
        (
            "Python anthropic, streamed",
            script(
                "anthropic_messages.py",
                &["--stream", "--prompt", "Write a haiku."],
            ),
        ),
        (
            "Python requests to a provider outside the policy",
            script(
                "requests_post.py",
                &[
                    "--url",
                    "https://api.deepseek.com/v1/chat/completions",
                    "--model",
                    "deepseek-chat",
                ],
            ),
        ),
    ];
    if in_path("node") {
        let mut node = Command::new("node");
        node.arg(clients.join("fetch_chat.js"))
            .args(["--prompt", "Explain closures."]);
        calls.push(("Node fetch", node));
    }
    let ca_file = dir.join("ca.pem");
    let count = calls.len();
    for (name, mut command) in calls {
        command
            .env("OBSERVER_TEST_PORT", port.to_string())
            .env("SSL_CERT_FILE", &ca_file)
            .env("REQUESTS_CA_BUNDLE", &ca_file)
            .env("NODE_EXTRA_CA_CERTS", &ca_file)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        step(AREA, name, || check(&mut command))?;
    }
    Ok(count)
}

/// curl reaches the endpoint by its own option; the name, and so SNI and `Host`, stay.
fn curl(dir: &Path, port: u16, host: &str, prompt: &str) -> Command {
    let body = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}]});
    let mut command = Command::new("curl");
    command
        .args([
            "--silent",
            "--show-error",
            "--fail",
            "--max-time",
            "20",
            "--output",
            "/dev/null",
            "--cacert",
        ])
        .arg(dir.join("ca.pem"))
        .args([
            "--connect-to",
            &format!("::127.0.0.1:{port}"),
            "--header",
            "Content-Type: application/json",
        ])
        .args([
            "--data",
            &body.to_string(),
            &format!("https://{host}/v1/chat/completions"),
        ]);
    command
}

/// Reads back until all calls are there and a seal covers them, or the time is over; then what is there.
fn wait_for_rows(store: SocketAddr, calls: usize) -> Result<Recorded> {
    let start = Instant::now();
    loop {
        let recorded = read_back(store);
        let late = start.elapsed() > STORE_TIME;
        match recorded {
            Ok(recorded) if late || complete(&recorded, calls) => return Ok(recorded),
            Err(error) if late => return Err(error),
            Ok(_) | Err(_) => std::thread::sleep(Duration::from_millis(500)),
        }
    }
}

fn complete(recorded: &Recorded, calls: usize) -> bool {
    recorded.interactions.len() >= calls
        && recorded.connections.len() >= calls
        && recorded.coverage["ai_flows"]
            .as_u64()
            .is_some_and(|flows| flows >= calls as u64)
}

fn read_back(store: SocketAddr) -> Result<Recorded> {
    Ok(Recorded {
        interactions: http::table(store, DATABASE, "ai_interactions", "ts")?,
        findings: http::table(store, DATABASE, "ai_findings", "ts, rule_id")?,
        connections: http::table(store, DATABASE, "ai_connections", "ts")?,
        coverage: coverage(store)?,
    })
}

/// Coverage of this run as its seals state it. A ratio whose divisor is 0 was not measured: null, not 0 and not 1.
fn coverage(store: SocketAddr) -> Result<Value> {
    let seals = http::query(
        store,
        &format!(
            "SELECT count() AS seals, sum(events_seen) AS events_seen, sum(events_lost_ring) AS events_lost_ring, \
             sum(events_lost_user) AS events_lost_user, sum(bytes_truncated) AS bytes_truncated, \
             sum(records_dropped_spool) AS records_dropped_spool, sum(ai_flows) AS ai_flows, \
             sum(ai_flows_decoded) AS ai_flows_decoded, sum(ai_flows_partial) AS ai_flows_partial, \
             sum(ai_flows_opaque) AS ai_flows_opaque, sum(unknown_flows_opaque) AS unknown_flows_opaque, \
             argMax(probes_required, interval_end) AS probes_required, \
             argMax(probes_attached, interval_end) AS probes_attached FROM {DATABASE}.evidence_seals"
        ),
    )?;
    let bytes = http::query(
        store,
        &format!(
            "SELECT sum(plaintext_sent + plaintext_received) AS plaintext_bytes, sum(bytes_sent + bytes_received) AS \
             socket_bytes FROM {DATABASE}.ai_connections WHERE endpoint_class IN ('ai_known', 'local_model') \
             AND bytes_sent IS NOT NULL AND bytes_received IS NOT NULL"
        ),
    )?;
    let mut coverage = seals.into_iter().next().unwrap_or_else(|| json!({}));
    for (name, value) in bytes.iter().filter_map(Value::as_object).flatten() {
        coverage[name] = value.clone();
    }
    add_ratios(&mut coverage);
    Ok(coverage)
}

fn add_ratios(coverage: &mut Value) {
    let number = |coverage: &Value, name: &str| coverage[name].as_u64().unwrap_or(0);
    let lost = number(coverage, "events_lost_ring")
        + number(coverage, "events_lost_user")
        + number(coverage, "records_dropped_spool");
    let seen = number(coverage, "events_seen");
    coverage["c_event"] = ratio(seen, seen + lost);
    coverage["c_flow"] = ratio(number(coverage, "ai_flows_decoded"), number(coverage, "ai_flows"));
    coverage["c_byte"] = ratio(
        number(coverage, "plaintext_bytes"),
        number(coverage, "socket_bytes"),
    );
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio for people; 53 bits are more than enough"
)]
fn ratio(part: u64, whole: u64) -> Value {
    if whole == 0 {
        Value::Null
    } else {
        json!(part as f64 / whole as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_without_a_divisor_is_not_measured() {
        let mut coverage =
            json!({"ai_flows": 0, "ai_flows_decoded": 0, "events_seen": 3, "events_lost_ring": 1});
        add_ratios(&mut coverage);
        assert_eq!(coverage["c_flow"], Value::Null);
        assert_eq!(coverage["c_byte"], Value::Null);
        assert_eq!(coverage["c_event"], json!(0.75));
    }

    #[test]
    fn the_sensitive_prompt_has_a_valid_card_number() {
        let prompt = sensitive_prompt();
        let digits: Vec<u32> = prompt
            .split("paid with ")
            .nth(1)
            .and_then(|rest| rest.split(',').next())
            .map(|card| card.chars().filter_map(|c| c.to_digit(10)).collect())
            .unwrap_or_default();
        assert_eq!(digits.len(), 16);
        let sum: u32 = digits
            .iter()
            .enumerate()
            .map(|(place, digit)| {
                if place % 2 == 0 {
                    digit * 2 / 10 + digit * 2 % 10
                } else {
                    *digit
                }
            })
            .sum();
        assert_eq!(sum % 10, 0, "Luhn");
    }
}
