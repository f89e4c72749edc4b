//! Replays recordings made by others (not part of this repository) and compares with their labels.

use std::io::Read;
use std::path::PathBuf;

use serde_json::Value;

use super::connection::Random;
use super::*;
use crate::protocol::http2::testing as frames;

/// All of them, read once for all tests.
pub(super) fn recordings() -> Option<&'static [Value]> {
    static ROWS: LazyLock<Option<Vec<Value>>> = LazyLock::new(read);
    if ROWS.is_none() {
        println!("skipped: no recordings in the folder of OBSERVER_SHARED, or in ../shared");
    }
    ROWS.as_deref()
}

fn read() -> Option<Vec<Value>> {
    let root = std::env::var_os("OBSERVER_SHARED").map(PathBuf::from);
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let file = root.unwrap_or(beside).join("data/ai-recordings.jsonl.gz");
    let packed = std::fs::read(&file).ok()?;
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(&packed[..])
        .read_to_string(&mut text)
        .expect("recordings");
    Some(
        text.lines()
            .map(|line| serde_json::from_str(line).expect("row"))
            .collect(),
    )
}

/// Operation that a row must come out with; `None` where it is no interaction in a dialect that is read.
///
/// The labels' `api` is a heuristic over paths, so the path decides with it: `/threads/{id}/messages` is labelled as
/// Anthropic's, polling a prediction is labelled as one.
fn expected(row: &Value) -> Option<&'static str> {
    let text = |key: &str| row[key].as_str().unwrap_or("");
    let (api, path) = (text("api"), text("path"));
    if row["is_ai"] != true || text("method") != "POST" {
        return None;
    }
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| path.ends_with(suffix));
    match api {
        "openai.chat" if ends(&["/chat/completions"]) => Some("chat"),
        "openai.responses" if ends(&["/responses"]) => Some("chat"),
        "anthropic.messages" if ends(&["/v1/messages"]) => Some("chat"),
        "ollama.chat"
        | "cohere.v1.chat"
        | "cohere.v2.chat"
        | "bedrock.converse"
        | "bedrock.converse-stream" => Some("chat"),
        "bedrock.invoke" => Some(match text("op") {
            "embeddings" => "embeddings",
            "chat" => "chat",
            _ if path.contains("rerank") => "rerank",
            _ => "text_completion",
        }),
        "gemini.generateContent" | "gemini.streamGenerateContent" => Some("generate_content"),
        "embeddings" | "cohere.v1.embeddings" | "cohere.v2.embeddings" => Some("embeddings"),
        // `/complete` of Aleph Alpha is not read.
        "completion" if path != "/complete" => Some("text_completion"),
        "ollama.generate" | "cohere.v1.completion" | "sagemaker.invoke" => Some("text_completion"),
        "cohere.v1.rerank" | "cohere.v2.rerank" | "rerank" => Some("rerank"),
        "moderation" => Some("moderation"),
        "image" => Some("image_generation"),
        "audio" if ends(&["/speech"]) => Some("speech"),
        "audio" if ends(&["/transcriptions", "/translations"]) => Some("transcription"),
        "chat" if path == "/v1/chat" => Some("chat"),
        "count_tokens" => Some("count_tokens"),
        "other" if path == "/" && text("provider") == "huggingface" => Some("text_completion"),
        // The labels take Replicate's predictions of a named model for a question about models.
        "prediction" | "models" if ends(&["/predictions"]) => Some("generate_content"),
        _ => None,
    }
}

fn in_scope(row: &Value) -> bool {
    expected(row).is_some()
}

pub(super) fn bytes(row: &Value, body: &str, encoded: &str) -> Vec<u8> {
    let text = row[body].as_str().unwrap_or("");
    if row[encoded] == true {
        base64(text)
    } else {
        text.as_bytes().to_vec()
    }
}

fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut have) = (Vec::new(), 0u32, 0);
    for value in text.bytes().filter_map(|b| ALPHABET.iter().position(|a| *a == b)) {
        bits = bits << 6 | u32::try_from(value).unwrap();
        have += 6;
        if have >= 8 {
            have -= 8;
            out.push(u8::try_from(bits >> have & 0xff).unwrap());
        }
    }
    out
}

pub(super) fn fields(row: &Value, side: &str) -> String {
    let framing = [
        "content-length",
        "transfer-encoding",
        "content-encoding",
        "host",
        "connection",
    ];
    let pairs = row[side].as_array().into_iter().flatten();
    pairs
        .filter_map(|pair| Some((pair[0].as_str()?, pair[1].as_str()?)))
        .filter(|(name, _)| !framing.contains(&name.to_ascii_lowercase().as_str()))
        .map(|(name, value)| format!("{name}: {}\r\n", value.replace(['\r', '\n'], " ")))
        .collect()
}

fn random_chunks(body: &[u8], random: &mut Random) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), body);
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at((1 + random.below(700)).min(rest.len()));
        out.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
        rest = after;
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// The fields of a side as HTTP/2 has them: lower case, none that speaks of the connection.
fn fields2(row: &Value, side: &str) -> Vec<(String, String)> {
    let text = fields(row, side);
    let lines = text.split("\r\n").filter_map(|line| line.split_once(": "));
    lines
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect()
}

/// Body octets in DATA frames of random sizes.
fn random_frames(stream: u32, body: &[u8], random: &mut Random) -> Vec<Vec<u8>> {
    let (mut out, mut rest) = (Vec::new(), body);
    while !rest.is_empty() {
        let (part, after) = rest.split_at((1 + random.below(3000)).min(rest.len()));
        out.push(if random.below(4) == 0 {
            frames::frame(0, 8, stream, &[&[3][..], part, &[0; 3]].concat())
        } else {
            frames::data(stream, part, false)
        });
        rest = after;
    }
    out.push(frames::data(stream, b"", true));
    out
}

/// The frames of both sides of a call.
pub(super) fn call2(row: &Value, stream: u32, random: &mut Random) -> [Vec<Vec<u8>>; 2] {
    let (path, query) = (
        row["path"].as_str().unwrap_or("/"),
        row["query"].as_str().unwrap_or(""),
    );
    let mark = if query.is_empty() { "" } else { "?" };
    let target = format!("{path}{mark}{query}");
    let head = [
        (":method", row["method"].as_str().unwrap_or("POST")),
        (":scheme", "https"),
        (":authority", row["host"].as_str().unwrap_or("host.invalid")),
        (":path", &target),
    ];
    let asked = fields2(row, "req_headers");
    let fields = |head: &[(&str, &str)], rest: &[(String, String)], indexed: bool| {
        let rest = rest.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let block = frames::block(&head.iter().copied().chain(rest).collect::<Vec<_>>(), indexed);
        frames::frame(1, 4, stream, &block)
    };
    let mut request = vec![fields(&head, &asked, random.below(2) == 0)];
    request.extend(random_frames(
        stream,
        &bytes(row, "req_body", "req_body_b64"),
        random,
    ));
    let answer = bytes(row, "resp_body", "resp_body_b64");
    let mut told = fields2(row, "resp_headers");
    let packed = random.below(3) == 0;
    let answer = if packed { gzip(&answer) } else { answer };
    if packed {
        told.push(("content-encoding".to_owned(), "gzip".to_owned()));
    }
    let status = row["status"].as_u64().unwrap_or(200).to_string();
    let mut response = vec![fields(&[(":status", &status)], &told, random.below(2) == 0)];
    response.extend(random_frames(stream, &answer, random));
    [request, response]
}

/// Frames of several calls in random order, each call's in its own.
fn shuffle(mut calls: Vec<std::vec::IntoIter<Vec<u8>>>, random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    // Calls begin in the order of their streams.
    calls.iter_mut().for_each(|call| out.extend(call.next().unwrap()));
    while !calls.is_empty() {
        let at = random.below(calls.len());
        match calls[at].next() {
            Some(frame) => out.extend(frame),
            None => drop(calls.remove(at)),
        }
    }
    out
}

/// Several calls on one HTTP/2 connection.
fn replay2(rows: &[&Value], catalog: &Arc<Catalog>, random: &mut Random) -> Hooks {
    let calls: Vec<_> = (0..)
        .zip(rows)
        .map(|(n, row)| call2(row, 2 * n + 1, random))
        .collect();
    let (asked, told): (Vec<_>, Vec<_>) = calls
        .into_iter()
        .map(|[a, b]| (a.into_iter(), b.into_iter()))
        .unzip();
    let request = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
        shuffle(asked, random),
    ]
    .concat();
    let response = [frames::frame(4, 0, 0, &[]), shuffle(told, random)].concat();
    played(catalog, &request, &response, random)
}

/// Both directions of a connection, in pieces of random sizes.
fn played(catalog: &Arc<Catalog>, request: &[u8], response: &[u8], random: &mut Random) -> Hooks {
    let mut hooks = Hooks::default();
    let mut reader = ConnectionReader::new(Arc::clone(catalog), None);
    for (side, bytes) in [(Side::Request, request), (Side::Response, response)] {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (part, after) = rest.split_at((1 + random.below(1500)).min(rest.len()));
            reader.push(side, part, 1, &mut hooks);
            rest = after;
        }
    }
    reader.close(2, &mut hooks);
    hooks
}

/// What does not depend on the framing.
fn unframed(facts: &Exchange) -> Exchange {
    let (request_bytes, response_bytes) = (0, 0);
    Exchange {
        request_bytes,
        response_bytes,
        ..facts.clone()
    }
}

#[test]
fn recordings_say_the_same_over_http2() {
    let Some(rows) = recordings() else { return };
    let catalog = catalog();
    let mut random = Random(88_172_645_463_325_252);
    let mut compared = 0;
    // Calls of one host share a connection. Its scope is not followed here: each call is judged by itself.
    let mut hosts: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for row in rows {
        hosts
            .entry(row["host"].as_str().unwrap_or(""))
            .or_default()
            .push(row);
    }
    for rows in hosts.values().flat_map(|rows| rows.chunks(5)) {
        let together = replay2(rows, &catalog, &mut random);
        assert!(together.lost.is_empty());
        for (number, row) in (0..).zip(rows) {
            let alone = replay(row, &catalog, &mut random);
            let of = |hooks: &Hooks, number: u64| {
                let found = hooks.finished.iter().find(|(n, _)| *n == number);
                found.map(|(_, facts)| unframed(facts))
            };
            assert_eq!(
                of(&together, number),
                of(&alone, 0),
                "{} {}",
                row["id"],
                row["path"]
            );
            if of(&alone, 0).is_some() {
                assert!(
                    together.texts[&number].all() == alone.texts[&0].all(),
                    "texts of {}",
                    row["id"]
                );
                compared += 1;
            }
        }
    }
    println!("{compared} calls say the same over HTTP/1.1 and HTTP/2");
    assert!(compared > 400, "{compared}");
}

fn replay(row: &Value, catalog: &Arc<Catalog>, random: &mut Random) -> Hooks {
    let (request, response) = call1(row, random);
    played(catalog, &request, &response, random)
}

/// Both sides of a call over HTTP/1.1.
pub(super) fn call1(row: &Value, random: &mut Random) -> (Vec<u8>, Vec<u8>) {
    let host = row["host"].as_str().unwrap_or("host.invalid");
    let (path, query) = (
        row["path"].as_str().unwrap_or("/"),
        row["query"].as_str().unwrap_or(""),
    );
    let method = row["method"].as_str().unwrap_or("POST");
    let mark = if query.is_empty() { "" } else { "?" };
    let body = bytes(row, "req_body", "req_body_b64");
    let length = body.len();
    let mut request = format!(
        "{method} {path}{mark}{query} HTTP/1.1\r\nhost: {host}\r\n{}content-length: {length}\r\n\r\n",
        fields(row, "req_headers")
    )
    .into_bytes();
    request.extend(body);
    let answer = bytes(row, "resp_body", "resp_body_b64");
    let packed = random.below(3) == 0;
    let coding = if packed { "content-encoding: gzip\r\n" } else { "" };
    let answer = if packed { gzip(&answer) } else { answer };
    let status = row["status"].as_u64().unwrap_or(200);
    let mut response = format!(
        "HTTP/1.1 {status} X\r\n{}{coding}transfer-encoding: chunked\r\n\r\n",
        fields(row, "resp_headers")
    )
    .into_bytes();
    response.extend(random_chunks(&answer, random));
    (request, response)
}

/// Agreement on one fact.
#[derive(Default)]
struct Tally {
    same: usize,
    all: usize,
    /// Rows whose label states a value.
    stated: usize,
}

impl Tally {
    fn count<T: PartialEq + std::fmt::Debug>(
        &mut self,
        name: &str,
        row: &Value,
        ours: Option<T>,
        label: Option<T>,
    ) {
        self.all += 1;
        self.stated += usize::from(label.is_some());
        if ours == label {
            self.same += 1;
        } else {
            println!(
                "{name} {} {}: ours {ours:?}, label {label:?}",
                row["id"], row["path"]
            );
        }
    }

    fn percent(&self) -> f64 {
        100.0 * self.same as f64 / self.all.max(1) as f64
    }
}

/// Label providers under other names in the catalogue.
fn provider_label(label: &str) -> &str {
    match label {
        "azure-openai" => "azure.ai.openai",
        "azure-ai" => "azure.ai.inference",
        "mistral" => "mistral_ai",
        "xai" => "x_ai",
        "sagemaker" => "amazon_sagemaker",
        "github-copilot" => "github_copilot",
        "bedrock-mantle" => "aws.bedrock",
        "gemini" => "gcp.gemini",
        "bedrock" => "aws.bedrock",
        "watsonx" => "ibm.watsonx.ai",
        "vertex" => "gcp.vertex_ai",
        other => other,
    }
}

/// Counts as the labels have them: those of Anthropic and Bedrock leave cached input out, those of Gemini thoughts.
fn as_labelled(facts: &Exchange) -> (Option<u64>, Option<u64>) {
    use crate::exchange::Dialect;
    let usage = &facts.usage;
    let cached = usage.cache_read_input_tokens.unwrap_or(0) + usage.cache_creation_input_tokens.unwrap_or(0);
    let thoughts = usage.reasoning_output_tokens.unwrap_or(0);
    let (cached, thoughts) = match facts.dialect {
        Dialect::AnthropicMessages | Dialect::BedrockConverse | Dialect::BedrockInvokeChat => (cached, 0),
        Dialect::GeminiGenerate => (0, thoughts),
        _ => (0, 0),
    };
    (
        usage.input_tokens.map(|all| all - cached),
        usage.output_tokens.map(|all| all - thoughts),
    )
}

#[test]
fn recordings_agree_with_their_labels() {
    let Some(rows) = recordings() else { return };
    let catalog = catalog();
    let mut random = Random(88_172_645_463_325_252);
    let names = [
        "recognised",
        "provider",
        "operation",
        "request model",
        "response model",
        "input tokens",
        "output tokens",
        "stream",
    ];
    let mut tallies: [Tally; 8] = Default::default();
    let mut false_counts = 0;
    for row in rows.iter().filter(|row| in_scope(row)) {
        let hooks = replay(row, &catalog, &mut random);
        let found = hooks.finished.first().map(|(_, facts)| facts);
        let mut count = |at: usize, ours: Option<String>, label: Option<String>| {
            tallies[at].count(names[at], row, ours, label);
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let number = |value: &Value| value.as_u64().map(|n| n.to_string());
        count(0, found.map(|_| "AI".to_owned()), Some("AI".to_owned()));
        let Some(facts) = found else { continue };
        if facts.provider != "unknown" {
            let label = provider_label(row["provider"].as_str().unwrap_or(""));
            // The labels do not tell Ollama's own service from Ollama elsewhere.
            let ours = facts.provider.trim_end_matches("_cloud").to_owned();
            count(1, Some(ours), Some(label.to_owned()));
        }
        count(
            2,
            Some(facts.dialect.operation().to_owned()),
            expected(row).map(str::to_owned),
        );
        if row["req_model_src"] == "body" || row["req_model_src"] == "path" {
            count(3, facts.request_model.clone(), text(&row["req_model"]));
        }
        count(4, facts.response_model.clone(), text(&row["resp_model"]));
        let (input, output) = as_labelled(facts);
        count(5, input.map(|n| n.to_string()), number(&row["input_tokens"]));
        count(6, output.map(|n| n.to_string()), number(&row["output_tokens"]));
        let stream = row["req_stream"].as_bool().map(|asked| asked.to_string());
        count(7, Some(facts.stream.to_string()), stream);
        let failed = row["status"].as_u64().is_some_and(|status| status >= 400);
        false_counts += usize::from(failed && (input.is_some() || output.is_some()));
    }
    for (name, tally) in names.iter().zip(&tallies) {
        println!(
            "{name}: {{\"correct\": {}, \"total\": {}}} ({:.1} %), {} labels state a value",
            tally.same,
            tally.all,
            tally.percent(),
            tally.stated
        );
    }
    assert!(tallies[0].all > 850, "only {} rows in scope", tallies[0].all);
    assert_eq!(false_counts, 0, "token counts of failed calls");
    for (name, tally) in names.iter().zip(&tallies) {
        assert!(tally.stated > 300, "{name}: too few labels state a value");
        assert!(tally.percent() >= 97.0, "{name}: {:.1} %", tally.percent());
    }
}

/// Dialects of calls that the labels put under other APIs than `in_scope` names.
const BESIDE_SCOPE: &[&str] = &[
    "aleph-alpha-complete",
    "anthropic-batches",
    "bedrock-agent",
    "deepgram-listen",
    "deepgram-speak",
    "gemini-predict-videos",
    "mistral-ocr",
    "openai-assistants",
    "openai-batches",
    "gemini-batches",
    "openai-files",
    "openai-runs",
    "openai-threads",
    "openai-vector-stores",
    "openai-videos",
];

#[test]
fn recordings_of_other_traffic_are_not_taken_for_ai() {
    let Some(rows) = recordings() else { return };
    let catalog = catalog();
    let mut random = Random(88_172_645_463_325_252);
    let (mut other, mut wrong, mut no_ai) = (0, Vec::new(), 0);
    for row in rows.iter().filter(|row| !in_scope(row)) {
        let hooks = replay(row, &catalog, &mut random);
        other += 1;
        no_ai += usize::from(row["is_ai"] != true);
        if let Some((_, facts)) = hooks.finished.first() {
            let (dialect, evidence) = (facts.dialect.name(), facts.evidence.name());
            if row["is_ai"] == true && BESIDE_SCOPE.contains(&dialect) {
                continue;
            }
            let row = [&row["id"], &row["api"], &row["is_ai"], &row["path"]].map(ToString::to_string);
            wrong.push(format!("{} as {dialect} by {evidence}", row.join(" ")));
        }
    }
    println!(
        "{} of {other} rows of other APIs and other traffic taken for an interaction",
        wrong.len()
    );
    wrong.iter().for_each(|row| println!("  {row}"));
    assert!(no_ai > 50, "{no_ai} calls that are not AI");
    assert!(wrong.is_empty(), "taken for an interaction: {wrong:?}");
}
