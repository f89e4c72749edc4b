//! Live kernel: recorded calls of many providers, sent again by real clients over HTTP/1.1 and HTTP/2, are stored as
//! what their labels say.

use std::path::PathBuf;

use anyhow::Result;
use observer_tests::eval::recordings::live;
use observer_tests::harness::{live, skip};

/// Recordings sent over each version.
const RECORDINGS: usize = 32;

fn recordings() -> PathBuf {
    let shared =
        std::env::var_os("OBSERVER_SHARED").map_or_else(|| PathBuf::from("../../shared"), PathBuf::from);
    shared.join("data/ai-recordings.jsonl.gz")
}

#[test]
fn recorded_calls_are_stored_as_labelled() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let path = recordings();
    if !path.is_file() {
        skip("no recordings: ../shared/data is not there (OBSERVER_SHARED names another folder)");
        return Ok(());
    }
    let report = live::run(&path, RECORDINGS)?;
    assert_eq!(
        report.by_version,
        (RECORDINGS, RECORDINGS),
        "calls by version of HTTP"
    );
    assert!(report.wrong.is_empty(), "{:#?}", report.wrong);
    assert_eq!(
        report.rows,
        2 * (RECORDINGS - RECORDINGS / 8),
        "{}",
        report.lost.1
    );
    let json = &report.outcome.json;
    let disagreements = json["disagreements"].as_array().map_or(&[][..], Vec::as_slice);
    let own: Vec<_> = disagreements
        .iter()
        .filter(|d| d["judgement"].is_null())
        .collect();
    assert!(own.is_empty(), "{own:#?}");
    for field in ["http1.ai", "http2.ai"] {
        assert_eq!(json[field]["total"], RECORDINGS, "{field}");
        assert_eq!(json[field]["correct"], RECORDINGS, "{field}");
    }
    // Most of the fields of most of the calls were there to be compared.
    for field in ["request_model", "response_model", "input_tokens", "output_tokens"] {
        let total = json[field]["total"].as_u64().unwrap_or_default();
        assert!(total >= RECORDINGS as u64 / 2, "{field}: only {total}");
    }
    Ok(())
}
