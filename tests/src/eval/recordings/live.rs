//! Recorded calls sent again by real clients to a local server, over HTTP/1.1 and HTTP/2, while the daemon watches: the
//! rows that are stored against the labels, as in a replay, and against what the clients did.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use observer::evidence::InteractionRow;
use serde_json::{Value, json};

use super::coding::coded;
use super::connection::Transport;
use super::kernel::Replayed;
use super::recording::{Headers, Recording};
use super::{Outcome, judge, read, report, seed};
use crate::endpoint::recorded::{Answers, MARK, Recorded, number};
use crate::harness::{Host, Options};
use crate::random::Random;

/// Largest call that is taken, bytes of both bodies.
const MAX_BODIES: usize = 512 << 10;
/// Largest piece of a body that the server sends at once.
const MAX_PIECE: usize = 4_000;
/// One of so many recordings is a call that is no AI.
const OTHERS: usize = 8;
/// Over HTTP/2, each call of so many is curl's.
const CURL: usize = 4;
/// Bytes of a connection to an unknown host that the daemon reads.
const UNDECIDED_PREFIX: u64 = 256 << 10;
/// What one client sends as it stands and another one escapes (RFC 3986 section 2).
const NOT_IN_URLS: [char; 10] = ['<', '>', '"', '{', '}', '|', '\\', '^', '`', '#'];
/// Longest name of a client that is sent, bytes.
const MAX_AGENT: usize = 200;
/// Columns of a row that the comparison reads.
const COLUMNS: [&str; 18] = [
    "http_request_method",
    "http_response_status_code",
    "server_address",
    "url_path_template",
    "visibility",
    "visibility_reason",
    "dialect",
    "gen_ai_provider_name",
    "gen_ai_operation_name",
    "gen_ai_request_model",
    "gen_ai_response_model",
    "gen_ai_request_stream",
    "gen_ai_usage_input_tokens",
    "gen_ai_usage_output_tokens",
    "gen_ai_usage_cache_read_input_tokens",
    "gen_ai_usage_cache_creation_input_tokens",
    "gen_ai_usage_reasoning_output_tokens",
    "tool_names",
];

/// What came of it, beside the comparison.
#[derive(Debug)]
pub struct Report {
    /// As of a replay.
    pub outcome: Outcome,
    /// Calls made on each of the two versions.
    pub calls: usize,
    /// Rows stored.
    pub rows: usize,
    /// Calls that the server got over HTTP/1.1 and over HTTP/2.
    pub by_version: (usize, usize),
    /// Differences between rows and what the clients did.
    pub wrong: Vec<String>,
    /// What the daemon lost, of everything, and where.
    pub lost: (u64, String),
}

/// Sends `count` recordings of a file over each version of HTTP and compares what the daemon stored.
///
/// # Errors
/// As [`super::run`]; there are not so many recordings that can be sent; daemon, store or a client fails.
pub fn run(path: &Path, count: usize) -> Result<Report> {
    let mut random = Random::new(seed()?);
    let chosen = choose(read(path)?, count);
    ensure!(
        chosen.len() == count,
        "{}: only {} recordings can be sent again, not {count}",
        path.display(),
        chosen.len()
    );
    let mut answers = BTreeMap::new();
    for call in 0..2 * count {
        answers.insert(call, answer(&chosen[call % count], &mut random)?);
    }
    let names: BTreeSet<String> = chosen.iter().filter_map(|r| r.server_name.clone()).collect();
    let host = Host::start(Options {
        http2: true,
        hosts: names.into_iter().collect(),
        answers: Answers::new(answers),
        // As it is where nothing is configured: hosts that nobody knows show whole prompts.
        undecided_prefix: UNDECIDED_PREFIX,
        ..Options::default()
    })?;
    send(&host, &chosen)?;
    let requests = host.endpoint.log().requests();
    let spoke = |version: &str| requests.iter().filter(|r| r.protocol == version).count();
    let by_version = (spoke("http/1.1"), spoke("h2"));
    let ai = chosen.iter().filter(|r| r.labels.asks_model == Some(true));
    let record = host.finish(2 * ai.count())?;
    let mut wrong = Vec::new();
    let mut replays = [Replayed::default(), Replayed::default()];
    for row in &record.interactions {
        let agent = row["user_agent"].as_str().unwrap_or_default();
        let Some(call) = number(agent).filter(|call| *call < 2 * count) else {
            wrong.push(format!("a row of no call: {agent:?}"));
            continue;
        };
        wrong.extend(differences(call, row, &chosen[call % count]));
        let rows = &mut replays[call / count].by_call;
        rows.entry(call % count).or_default().push(compared(row)?);
    }
    let tallies: Vec<_> = [Transport::Http1, Transport::Http2]
        .into_iter()
        .zip(&replays)
        .map(|(transport, replayed)| (transport, judge::judge(&chosen, replayed)))
        .collect();
    Ok(Report {
        outcome: report::outcome(&tallies),
        calls: count,
        rows: record.interactions.len(),
        by_version,
        wrong,
        lost: (record.lost(), record.losses()),
    })
}

/// Recordings of as many kinds as there are: provider, API, stream or not, coding, failed or not.
fn choose(recordings: Vec<Recording>, count: usize) -> Vec<Recording> {
    let (mut ai, mut other) = (BTreeMap::new(), BTreeMap::new());
    for recording in recordings.into_iter().filter(can_be_sent) {
        let kinds = match recording.labels.asks_model {
            Some(true) => &mut ai,
            Some(false) => &mut other,
            None => continue,
        };
        let kind = (
            recording.labels.provider.clone(),
            recording.labels.operations.clone(),
            recording.labels.stream,
            recording.response.coding.clone(),
            recording.status / 100,
        );
        kinds.entry(kind).or_insert(recording);
    }
    let others = count / OTHERS;
    let mut chosen = spread(ai.into_values().collect(), count - others.min(other.len()));
    chosen.extend(spread(other.into_values().collect(), others));
    chosen
}

/// `count` of these, as far apart as they can be.
fn spread(all: Vec<Recording>, count: usize) -> Vec<Recording> {
    let len = all.len();
    let takes = |at: usize| len <= count || (at * count) / len != ((at + 1) * count) / len;
    all.into_iter()
        .enumerate()
        .filter_map(|(at, recording)| takes(at).then_some(recording))
        .collect()
}

/// Whether every client can send this, and the server answer it.
fn can_be_sent(recording: &Recording) -> bool {
    let name = |name: &String| {
        let label = |l: &str| !l.is_empty() && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        name.contains('.') && name.split('.').all(label)
    };
    let plain = |headers: &Headers| {
        let mut values = headers.iter();
        values.all(|(_, value)| !value.is_empty() && value.bytes().all(|b| (b' '..=b'~').contains(&b)))
    };
    let ordinary = (200..600).contains(&recording.status) && !matches!(recording.status, 204 | 304);
    recording.server_name.as_ref().is_some_and(name)
        && recording.server_name.as_ref() == Some(&recording.authority)
        && matches!(&*recording.method, "POST" | "GET")
        && (recording.method == "POST" || recording.request.body.is_empty())
        && plain(&recording.request.headers)
        && !recording.target.contains(NOT_IN_URLS)
        // The label calls it AI, the daemon does not (the replay lists it): its row would be waited for in vain.
        && !recording.target.ends_with("/cancel")
        && recording.request.body.len() + recording.response.body.len() <= MAX_BODIES
        && ordinary
}

fn answer(recording: &Recording, random: &mut Random) -> Result<Recorded> {
    let response = &recording.response;
    let (body, coding) = coded(&response.body, response.coding.as_deref())?;
    let mut headers = response.headers.clone();
    headers.extend(coding.map(|coding| ("content-encoding".to_owned(), coding)));
    Ok(Recorded {
        status: recording.status,
        headers,
        pieces: random
            .cut(&body, MAX_PIECE)
            .into_iter()
            .map(<[u8]>::to_vec)
            .collect(),
        length: !response.chunked,
    })
}

/// Sends everything: over HTTP/1.1 by two Python packages, over HTTP/2 by one and by curl.
fn send(host: &Host, chosen: &[Recording]) -> Result<()> {
    let count = chosen.len();
    let write = |name: &str, calls: &[usize]| -> Result<std::path::PathBuf> {
        let path = host.dir().join(name);
        let mut file = std::fs::File::create(&path).context("a file of calls")?;
        for call in calls {
            writeln!(file, "{}", as_json(*call, &chosen[call % count])?)?;
        }
        Ok(path)
    };
    let first: Vec<usize> = (0..count).collect();
    let file = write("h1.jsonl", &first)?;
    host.python("recorded_calls.py")
        .arg("h1")
        .arg(file)
        .run()
        .context("HTTP/1.1")?;
    let (by_curl, second): (Vec<usize>, Vec<usize>) = (count..2 * count).partition(|call| call % CURL == 0);
    let file = write("h2.jsonl", &second)?;
    host.python("recorded_calls.py")
        .arg("h2")
        .arg(file)
        .run()
        .context("HTTP/2")?;
    by_curl.into_iter().try_for_each(|call| {
        curl(host, call, &chosen[call % count]).with_context(|| {
            format!(
                "curl, call {call}: {} {}",
                chosen[call % count].method,
                url(&chosen[call % count])
            )
        })
    })
}

/// What is sent: fields of the request, with the number of the call in the client's own name, and the body.
fn sent(call: usize, recording: &Recording) -> Result<(Headers, Vec<u8>)> {
    let request = &recording.request;
    let is_agent = |(name, _): &&(String, String)| name.eq_ignore_ascii_case("user-agent");
    let agent = request.headers.iter().find(is_agent);
    let agent = agent.map_or("client", |(_, value)| value);
    // A row has the beginning of a long name only.
    let agent = agent.get(..MAX_AGENT).unwrap_or(agent);
    let rest = request.headers.iter().filter(|field| !is_agent(field));
    let mut fields: Headers = rest.cloned().collect();
    fields.push(("User-Agent".to_owned(), format!("{agent} {MARK}{call}")));
    let (body, coding) = coded(&request.body, request.coding.as_deref())?;
    fields.extend(coding.map(|coding| ("Content-Encoding".to_owned(), coding)));
    Ok((fields, body))
}

fn url(recording: &Recording) -> String {
    format!("https://{}{}", recording.authority, recording.target)
}

fn as_json(call: usize, recording: &Recording) -> Result<Value> {
    let (headers, body) = sent(call, recording)?;
    Ok(
        json!({"number": call, "method": recording.method, "url": url(recording), "headers": headers,
        "body": STANDARD.encode(body), "status": recording.status}),
    )
}

fn curl(host: &Host, call: usize, recording: &Recording) -> Result<()> {
    let (headers, body) = sent(call, recording)?;
    let file = host.dir().join("body");
    std::fs::write(&file, body)?;
    // What it would add of its own.
    let has = |wanted: &str| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let added: Vec<&str> = ["Accept", "Content-Type", "Expect"]
        .into_iter()
        .filter(|name| !has(name))
        .collect();
    let mut client = host
        .curl()
        .args(["--http2", "--path-as-is", "--globoff", "--output"]);
    client = client.arg(host.dir().join("answer"));
    client = client.args([
        "--write-out",
        "%{http_code} %{http_version}",
        "--request",
        &recording.method,
    ]);
    for name in added {
        client = client.args(["--header", &format!("{name}:")]);
    }
    for (name, value) in &headers {
        client = client.args(["--header", &format!("{name}: {value}")]);
    }
    if recording.method == "POST" {
        client = client.arg("--data-binary").arg(format!("@{}", file.display()));
    }
    let said = client.arg(url(recording)).run()?.lines.concat();
    if said != format!("{} 2", recording.status) {
        bail!("status and version {said}, recorded {}", recording.status);
    }
    Ok(())
}

/// The row with what the comparison reads; the rest is unknown.
fn compared(row: &Value) -> Result<InteractionRow> {
    let mut known = serde_json::to_value(InteractionRow::unknown())?;
    for column in COLUMNS {
        known[column] = row[column].clone();
    }
    serde_json::from_value(known).context("a stored row has other columns than this program")
}

/// What is not as the client did it.
fn differences(call: usize, row: &Value, recording: &Recording) -> Vec<String> {
    let expected = [
        ("http_request_method", json!(recording.method)),
        ("http_response_status_code", json!(recording.status)),
        ("server_address", json!(recording.authority)),
        ("tls_stack", json!("openssl")),
        ("visibility", json!("decoded")),
    ];
    let wrong = expected.iter().filter(|(column, value)| row[*column] != *value);
    wrong
        .map(|(column, value)| {
            format!(
                "call {call} ({} {}): {column} is {}, not {value}",
                recording.method, recording.path, row[*column]
            )
        })
        .collect()
}
