//! The evaluation on calls made for it.

use std::io::Write;

use super::*;

fn call(host: &str, path: &str, request: &str, response: &str) -> serde_json::Value {
    serde_json::json!({
        "id": path, "kind": "http", "method": "POST", "host": host, "path": path, "status": 200,
        "req_headers": [["Content-Type", "application/json"]], "req_body": request, "req_body_b64": false,
        "resp_headers": [["Content-Type", "application/json"], ["Transfer-Encoding", "chunked"]],
        "resp_body": response, "resp_body_b64": false, "resp_encoding_actual": "br",
    })
}

fn evaluated(rows: &[serde_json::Value]) -> serde_json::Value {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for row in rows {
        writeln!(file, "{row}").unwrap();
    }
    run(file.path()).unwrap().json
}

#[test]
fn agreement_and_disagreement_are_counted_on_both_transports() {
    let answer = r#"{"object":"chat.completion","model":"m-1","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#;
    let question = r#"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#;
    let mut good = call("api.openai.com", "/v1/chat/completions", question, answer);
    let labels = [
        ("is_ai", serde_json::json!(true)),
        ("op", "chat".into()),
        ("provider", "openai".into()),
        ("req_model", "m".into()),
        ("resp_model", "m-1".into()),
        ("input_tokens", 5.into()),
        ("output_tokens", 2.into()),
        ("req_stream", false.into()),
        ("cache_read_tokens", serde_json::Value::Null),
    ];
    for (key, value) in labels {
        good[key] = value;
    }
    let mut wrong = good.clone();
    wrong["output_tokens"] = 3.into();
    wrong["id"] = "wrong".into();
    let mut other = call("example.com", "/v1/items", r#"{"a":1}"#, r#"{"b":2}"#);
    other["is_ai"] = false.into();
    let found = evaluated(&[good, wrong, other]);
    assert_eq!(
        found["ai"],
        serde_json::json!({"correct": 6, "total": 6}),
        "{found:#}"
    );
    assert_eq!(
        found["input_tokens"],
        serde_json::json!({"correct": 4, "total": 4})
    );
    assert_eq!(
        found["output_tokens"],
        serde_json::json!({"correct": 2, "total": 4})
    );
    assert_eq!(
        found["http2.output_tokens"],
        serde_json::json!({"correct": 1, "total": 2})
    );
    // Not labelled, so not compared.
    assert_eq!(found["reasoning_tokens"]["total"], 0);
    let listed = found["disagreements"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(
        (&listed[0]["id"], &listed[0]["label"], &listed[0]["observer"]),
        (&"wrong".into(), &"3".into(), &"2".into())
    );
}

#[test]
fn the_same_seed_gives_the_same() {
    let root = std::env::var_os("OBSERVER_SHARED").map_or_else(
        || std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")),
        std::path::PathBuf::from,
    );
    let path = root.join("data/ai-recordings.jsonl.gz");
    if !path.exists() {
        println!("SKIP: no recordings at {} (set OBSERVER_SHARED)", path.display());
        return;
    }
    let first = run(&path).unwrap();
    for field in [
        "provider",
        "operation",
        "request_model",
        "input_tokens",
        "output_tokens",
        "stream",
    ] {
        let of = |key: &str| first.json[field][key].as_u64().unwrap();
        assert!(of("total") > 500, "{field}: {}", of("total"));
        // The catalogue does not know all hosts of the recordings yet.
        let least = if field == "provider" { 98 } else { 99 };
        assert!(
            of("correct") * 100 >= of("total") * least,
            "{field}: {}",
            first.json[field]
        );
    }
    assert_eq!(run(&path).unwrap().json, first.json);
}
