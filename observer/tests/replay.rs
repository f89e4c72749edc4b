//! Golden recordings: each goes through the whole pipeline by `observer replay`, and what comes out is compared with
//! the JSON beside it. `OBSERVER_UPDATE=1` writes that anew; look at the difference before committing it.

#![expect(clippy::unwrap_used, reason = "what is missing fails the test")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Map, Value};

const RECORDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recordings");

/// Columns that change with the built-in rules and catalogue, with the program or with the key of a run.
const VOLATILE: [&str; 10] = [
    "canon_v",
    "record_hash",
    "interaction_hash",
    "hmac_key_id",
    "value_hmac",
    "rule_version",
    "rule_pack_sha256",
    "catalog_version",
    "policy_sha256",
    "seal_seq",
];

fn observer(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_observer"))
        .args(arguments)
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

fn replay(recording: &Path) -> Value {
    let output = observer(&["replay", "--format", "json", recording.to_str().unwrap()]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", recording.display());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What is compared: without volatile columns, and without those that say nothing. Unknown numbers stay.
fn comparable(mut outcome: Value) -> Value {
    let mut conversations = Vec::new();
    for table in ["interactions", "findings", "connections"] {
        for row in outcome[table].as_array_mut().unwrap() {
            let row = row.as_object_mut().unwrap();
            row.retain(|name, value| !VOLATILE.contains(&name.as_str()) && !is_blank(value));
            mask_credential(row);
            number_conversation(row, &mut conversations);
        }
    }
    outcome
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty() || (text.len() >= 64 && text.bytes().all(|b| b == b'0')),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// The keyed hash of a credential or prompt differs in each run; that there was one does not.
fn mask_credential(row: &mut Map<String, Value>) {
    for column in ["credential_hmac", "account_hmac", "prompt_hmac"] {
        if let Some(Value::String(hash)) = row.get_mut(column) {
            let seen = hash.bytes().any(|b| b != b'0');
            *hash = if seen { "(seen)" } else { "(none)" }.to_owned();
        }
    }
}

/// The name that Observer gives to a conversation differs in each run; which calls have the same does not.
fn number_conversation(row: &mut Map<String, Value>, seen: &mut Vec<String>) {
    if let Some(Value::String(name)) = row.get_mut("gen_ai_conversation_id")
        && name.starts_with("turns-")
    {
        let number = seen.iter().position(|other| other == name).unwrap_or_else(|| {
            seen.push(name.clone());
            seen.len() - 1
        });
        *name = format!("turns-({number})");
    }
}

fn recordings() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(RECORDINGS)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    all.sort();
    all
}

#[test]
fn every_recording_gives_what_stands_beside_it() {
    let all = recordings();
    assert!(all.len() >= 8, "recordings are missing: {all:?}");
    let mut wrong = Vec::new();
    for recording in all {
        let found = format!("{:#}\n", comparable(replay(&recording)));
        let beside = recording.with_extension("expected.json");
        if std::env::var_os("OBSERVER_UPDATE").is_some() {
            fs::write(&beside, &found).unwrap();
        }
        if fs::read_to_string(&beside).unwrap_or_default() != found {
            wrong.push(format!("{}\n{found}", beside.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "differs from what is expected:\n{}",
        wrong.join("\n")
    );
}

/// Rows of whole calls in a form of HTTP, without what the framing decides.
fn calls(file: &Path, http: &str) -> Vec<Value> {
    let output = observer(&[
        "replay",
        "--format",
        "json",
        "--http",
        http,
        file.to_str().unwrap(),
    ]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut outcome = comparable(outcome);
    let mut rows: Vec<Value> = ["interactions", "findings"]
        .into_iter()
        .flat_map(|table| std::mem::take(outcome[table].as_array_mut().unwrap()))
        .collect();
    for row in rows.iter_mut().filter_map(Value::as_object_mut) {
        row.retain(|name, _| !["request_bytes", "response_bytes"].contains(&name.as_str()));
    }
    rows
}

#[test]
fn whole_calls_give_the_same_rows_over_http1_and_http2() {
    let file = tempfile::NamedTempFile::with_suffix(".jsonl").unwrap();
    let call = |host: &str, body: &str| {
        serde_json::json!({
            "method": "POST", "host": host, "path": "/v1/chat/completions", "query": "a=b", "status": 200,
            "req_headers": [["Content-Type", "application/json"], ["User-Agent", "test/1"], ["Connection", "keep-alive"]],
            "req_body": format!(r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"{body} 4242 4242 4242 4242"}}]}}"#),
            "resp_headers": [["Content-Type", "application/json"]],
            "resp_body": r#"{"object":"chat.completion","model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
        })
        .to_string()
    };
    let lines = [
        call("api.openai.com", "one"),
        call("unknown.example", &"two ".repeat(5_000)),
    ];
    fs::write(file.path(), lines.join("\n")).unwrap();
    let rows = calls(file.path(), "1.1");
    assert_eq!(rows.len(), 4, "{rows:?}");
    assert_eq!(calls(file.path(), "2"), rows);
}

#[test]
fn recorded_calls_give_the_same_rows_over_http1_and_http2() {
    let shared = std::env::var_os("OBSERVER_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")),
        PathBuf::from,
    );
    let file = shared.join("data/ai-recordings.jsonl.gz");
    if !file.exists() {
        println!("SKIP: no recordings at {} (set OBSERVER_SHARED)", file.display());
        return;
    }
    let rows = calls(&file, "1.1");
    assert!(rows.len() > 400, "{}", rows.len());
    assert!(calls(&file, "2") == rows, "rows differ");
}

#[test]
fn findings_name_their_interaction_and_no_value_comes_out() {
    let outcome = replay(&Path::new(RECORDINGS).join("openai-chat.jsonl"));
    let findings = outcome["findings"].as_array().unwrap();
    let interactions = outcome["interactions"].as_array().unwrap();
    assert!(!findings.is_empty());
    for finding in findings {
        assert!(
            interactions
                .iter()
                .any(|row| row["record_hash"] == finding["interaction_hash"])
        );
    }
    let text = outcome.to_string();
    for clear in ["AKIA", "4242", "not-a-real-key", "Why does this fail"] {
        assert!(!text.contains(clear), "{clear} is in the output");
    }
}

#[test]
fn a_recording_with_wrong_lines_is_refused_as_a_whole() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "{\"flow\": 1, \"sent\": \"hidden\"}\n\nhidden\n").unwrap();
    let output = observer(&["replay", "--format", "json", file.path().to_str().unwrap()]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty() && !errors.contains("hidden"), "{errors}");
    assert!(errors.contains(":1: ") && errors.contains(":3: "), "{errors}");
}

#[test]
fn wrong_configurations_and_usage_exit_with_2() {
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    fs::write(file.path(), "hots: x\nlog: {level: loud}\n").unwrap();
    let path = file.path().to_str().unwrap();
    let output = observer(&["run", "--check", "--config", path]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(
        errors.contains(&format!("{path}:1:")) && errors.contains(&format!("{path}:2:")),
        "{errors}"
    );
    assert_eq!(observer(&["replay"]).status.code(), Some(2));
    assert_eq!(observer(&["scan", "/nonexistent"]).status.code(), Some(1));
    assert_eq!(observer(&["run", "--check"]).status.code(), Some(0));
}

#[test]
fn scan_says_by_its_exit_code_whether_something_was_found_where_that_is_asked_for() {
    let file = tempfile::NamedTempFile::new().unwrap();
    // A key of the right form that belongs to nobody.
    let key = format!("AKIA{}", "Q3EGR7SM2XKD5WZT");
    fs::write(file.path(), format!("first\nkey {key}\n")).unwrap();
    let path = file.path().to_str().unwrap();
    let output = observer(&["scan", "--format", "json", path]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &found["findings"][0]["line"]),
        (Some(0), &2.into())
    );
    let redacted = observer(&["scan", "--redact", "--exit-code", path]);
    let text = String::from_utf8(redacted.stdout).unwrap();
    assert_eq!(
        (redacted.status.code(), text.as_str()),
        (Some(1), "first\nkey [aws_access_key_id:20]\n")
    );
}
