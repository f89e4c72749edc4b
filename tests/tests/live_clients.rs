//! Live kernel: each real client's call is stored as one row that says what client and endpoint know of it.

use anyhow::{Context, Result};
use observer_tests::endpoint::answer::{ANSWER, input_tokens, tokens};
use observer_tests::harness::{ATTACHED, Expected, Finished, Host, Options, check, executable, live};
use serde_json::Value;

/// The one report of a client that made one call.
fn only_report(finished: &Finished) -> Result<Value> {
    let [report] = finished.reports.as_slice() else {
        anyhow::bail!(
            "expected one report, got {:?}; errors: {}",
            finished.lines,
            finished.errors
        );
    };
    Ok(report.clone())
}

/// Ends the test: exactly one row, equal to what is expected.
fn check_only(host: Host, expected: &Expected) -> Result<()> {
    let port = host.endpoint.port();
    let logged = host.logged(&expected.model)?;
    let record = host.finish(1)?;
    let [row] = record.interactions.as_slice() else {
        anyhow::bail!("expected one row, got {}", record.interactions.len());
    };
    check(port, &record, row, expected, &logged)?;
    assert_eq!(
        record.lost(),
        0,
        "nothing may be lost in a single call: {}",
        record.losses()
    );
    Ok(())
}

#[test]
fn curl_chat() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let finished = host
        .curl_chat("api.openai.com", "gpt-4o-mini", "What is the answer?")
        .run()?;
    let answer: Value = serde_json::from_str(&finished.lines.join("\n")).context("curl's output")?;
    let mut expected = Expected::openai(finished.pid, &executable("curl")?);
    expected.input_tokens = answer["usage"]["prompt_tokens"].as_u64();
    expected.output_tokens = answer["usage"]["completion_tokens"].as_u64();
    check_only(host, &expected)
}

/// NSS names the descriptor, NSPR carries plaintext of connections and files alike: only the connection has a row.
#[test]
fn nss_by_nspr() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let finished = host
        .python("nss.py")
        .args(["api.openai.com", "gpt-4o-mini"])
        .run()?;
    let report = only_report(&finished)?;
    let mut expected = Expected::openai(finished.pid, &executable("python")?);
    expected.tls_stack = "nss";
    expected.input_tokens = report["input_tokens"].as_u64();
    expected.output_tokens = report["output_tokens"].as_u64();
    check_only(host, &expected)
}

#[test]
fn curl_chunked_and_compressed() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let model = "gpt-4o+chunked+gzip+chunks-50";
    let finished = host
        .curl_chat("api.openai.com", model, "one two three")
        .arg("--compressed")
        .run()?;
    let mut expected = Expected::openai(finished.pid, &executable("curl")?).with_model(model);
    expected.input_tokens = Some(input_tokens("one two three"));
    expected.output_tokens = Some(50);
    check_only(host, &expected)
}

#[test]
fn curl_to_a_host_with_a_port() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let name = format!("api.openai.com:{}", host.endpoint.port());
    let finished = host
        .curl_chat(&name, "gpt-4o-mini", "What is the answer?")
        .run()?;
    let mut expected = Expected::openai(finished.pid, &executable("curl")?);
    expected.input_tokens = Some(input_tokens("What is the answer?"));
    expected.output_tokens = Some(tokens(ANSWER));
    check_only(host, &expected)
}

/// Runs the openai package with these arguments and checks the row.
fn openai(arguments: &[&str], change: impl FnOnce(&mut Expected)) -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let finished = host.python("openai_chat.py").args(arguments).run()?;
    let report = only_report(&finished)?;
    let mut expected = Expected::openai(finished.pid, &executable("python")?).with_usage_of(&report);
    change(&mut expected);
    check_only(host, &expected)
}

#[test]
fn python_openai_chat() -> Result<()> {
    openai(&[], |_| {})
}

#[test]
fn python_openai_stream() -> Result<()> {
    openai(&["--stream"], |expected| expected.stream = true)
}

#[test]
fn python_openai_stream_without_usage_has_unknown_tokens() -> Result<()> {
    openai(&["--stream", "--no-usage"], |expected| {
        expected.stream = true;
        assert_eq!((expected.input_tokens, expected.output_tokens), (None, None));
    })
}

#[test]
fn python_openai_tool_call() -> Result<()> {
    openai(&["--model", "tool", "--tool", "get_weather"], |expected| {
        *expected = expected.clone().with_model("tool");
        expected.finish = vec!["tool_calls"];
        expected.tools = vec!["get_weather"];
    })
}

#[test]
fn python_openai_tool_call_stream() -> Result<()> {
    openai(
        &["--model", "tool", "--tool", "get_weather", "--stream"],
        |expected| {
            *expected = expected.clone().with_model("tool");
            expected.stream = true;
            expected.finish = vec!["tool_calls"];
            expected.tools = vec!["get_weather"];
        },
    )
}

fn responses(expected: &mut Expected) {
    expected.path = "/v1/responses";
    expected.dialect = "openai-responses";
    expected.finish = vec!["completed"];
}

#[test]
fn python_openai_responses() -> Result<()> {
    openai(&["--api", "responses"], responses)
}

#[test]
fn python_openai_responses_stream() -> Result<()> {
    openai(&["--api", "responses", "--stream"], |expected| {
        responses(expected);
        expected.stream = true;
    })
}

#[test]
fn python_openai_embeddings() -> Result<()> {
    openai(&["--api", "embeddings"], |expected| {
        expected.path = "/v1/embeddings";
        expected.dialect = "openai-embeddings";
        expected.operation = "embeddings";
        expected.finish = vec![];
    })
}

#[test]
fn python_openai_rate_limited() -> Result<()> {
    openai(&["--model", "error-429"], |expected| {
        *expected = expected.clone().with_model("error-429");
        expected.response_model = String::new();
        expected.status = 429;
        expected.error = "rate_limit_error";
        expected.finish = vec![];
        assert_eq!(expected.input_tokens, None);
    })
}

/// Runs the anthropic package with these arguments and checks the row.
fn anthropic(arguments: &[&str], change: impl FnOnce(&mut Expected)) -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let finished = host.python("anthropic_messages.py").args(arguments).run()?;
    let report = only_report(&finished)?;
    let mut expected = Expected::anthropic(finished.pid, &executable("python")?).with_usage_of(&report);
    change(&mut expected);
    check_only(host, &expected)
}

#[test]
fn python_anthropic_message() -> Result<()> {
    anthropic(&[], |_| {})
}

#[test]
fn python_anthropic_stream() -> Result<()> {
    anthropic(&["--stream"], |expected| expected.stream = true)
}

#[test]
fn python_anthropic_cached_tokens_count_as_input() -> Result<()> {
    // Anthropic leaves cached tokens out of `input_tokens`; the stored count has all of them.
    anthropic(&["--model", "claude+cached-3"], |expected| {
        expected.model = "claude+cached-3".to_owned();
        expected.response_model.clone_from(&expected.model);
        expected.input_tokens = expected.input_tokens.map(|uncached| uncached + 3);
    })
}

#[test]
fn python_anthropic_overloaded() -> Result<()> {
    anthropic(&["--model", "error-529"], |expected| {
        expected.model = "error-529".to_owned();
        expected.response_model = String::new();
        expected.status = 529;
        expected.error = "overloaded_error";
        expected.finish = vec![];
    })
}

#[test]
fn python_requests() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let finished = host.python("requests_post.py").run()?;
    let report = only_report(&finished)?;
    check_only(
        host,
        &Expected::openai(finished.pid, &executable("python")?).with_usage_of(&report),
    )
}

/// Runs Node's fetch with these arguments and checks the row.
fn node(arguments: &[&str], change: impl FnOnce(&mut Expected)) -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let finished = host.node("fetch_chat.js").args(arguments).run()?;
    let report = only_report(&finished)?;
    let mut expected = Expected::openai(finished.pid, &executable("node")?).with_usage_of(&report);
    change(&mut expected);
    check_only(host, &expected)
}

#[test]
fn node_fetch() -> Result<()> {
    node(&[], |_| {})
}

#[test]
fn node_fetch_stream() -> Result<()> {
    node(&["--stream"], |expected| expected.stream = true)
}

/// A restart does not examine a large program again, and reads it as before.
#[test]
fn a_program_known_from_the_run_before_is_covered() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options::default())?;
    host.stop_daemon()?;
    host.start_daemon()?;
    let finished = host.node("fetch_chat.js").run()?;
    let node = executable("node")?;
    let output = host.daemon()?.output();
    let line = output
        .lines()
        .rfind(|line| line.contains(ATTACHED) && line.contains("/node"))
        .context("node is not attached to")?;
    assert!(line.contains("known=true"), "{line}");
    let report = only_report(&finished)?;
    let expected = Expected::openai(finished.pid, &node).with_usage_of(&report);
    check_only(host, &expected)
}

#[test]
fn keep_alive_calls_are_rows_of_one_connection() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let finished = host.python("requests_post.py").args(["--count", "5"]).run()?;
    let port = host.endpoint.port();
    let logged = host.endpoint.log().requests();
    assert_eq!((finished.reports.len(), logged.len()), (5, 5));
    let record = host.finish(5)?;
    assert_eq!(record.interactions.len(), 5);
    for (report, logged) in finished.reports.iter().zip(&logged) {
        let row = record.by_response(report["id"].as_str().context("no id")?)?;
        let expected = Expected::openai(finished.pid, &executable("python")?).with_usage_of(report);
        check(port, &record, row, &expected, logged)?;
    }
    let connection = record.connection_of(&record.interactions[0])?;
    assert!(
        record
            .interactions
            .iter()
            .all(|row| row["connection_id"] == connection["connection_id"])
    );
    assert_eq!(connection["exchanges_decoded"], 5);
    let sent: u64 = logged.iter().map(|request| request.request_bytes).sum();
    assert_eq!(connection["plaintext_sent"], sent);
    Ok(())
}
