//! Live kernel: the shapes of traffic that observers lose or mix up.

#![expect(clippy::disallowed_methods, reason = "waits have limits")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use observer_tests::endpoint::answer::input_tokens;
use observer_tests::harness::{Expected, Host, Options, check, curl_libssl, executable, live};
use rustix::process::Signal;
use serde_json::Value;

fn id(report: &Value) -> Result<&str> {
    report["id"].as_str().context("the client got no id")
}

#[test]
fn a_prompt_of_one_mebibyte() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let mut prompt = String::new();
    while prompt.len() < 1 << 20 {
        write!(prompt, "word{} ", prompt.len())?;
    }
    let file = host.dir().join("prompt.txt");
    std::fs::write(&file, &prompt)?;
    let finished = host
        .python("openai_chat.py")
        .arg("--prompt-file")
        .arg(&file)
        .run()?;
    let port = host.endpoint.port();
    let logged = host.logged("gpt-4o-mini")?;
    assert!(logged.request_bytes > 1 << 20);
    let record = host.finish(1)?;
    assert_eq!(record.interactions.len(), 1);
    let expected = Expected::openai(finished.pid, &executable("python")?).with_usage_of(&finished.reports[0]);
    assert_eq!(expected.input_tokens, Some(input_tokens(&prompt)));
    check(port, &record, &record.interactions[0], &expected, &logged)
}

#[test]
fn three_hundred_chunks() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let model = "gpt-4o+chunks-300";
    let finished = host
        .python("openai_chat.py")
        .args(["--stream", "--model", model])
        .run()?;
    assert_eq!(finished.reports[0]["chunks"], 300);
    let port = host.endpoint.port();
    let logged = host.logged(model)?;
    let record = host.finish(1)?;
    assert_eq!(record.interactions.len(), 1);
    let mut expected = Expected::openai(finished.pid, &executable("python")?).with_model(model);
    expected = expected.with_usage_of(&finished.reports[0]);
    expected.stream = true;
    assert_eq!(expected.output_tokens, Some(300));
    check(port, &record, &record.interactions[0], &expected, &logged)
}

#[test]
fn two_connections_interleaved_on_one_thread() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let finished = host.python("interleaved.py").run()?;
    assert_eq!(finished.reports.len(), 10);
    let record = host.finish(10)?;
    assert_eq!(record.interactions.len(), 10);
    for report in &finished.reports {
        let row = record.by_response(id(report)?)?;
        assert_eq!(row["server_address"], report["host"]);
        assert_eq!(row["gen_ai_response_model"], report["model"]);
        assert_eq!(row["gen_ai_usage_input_tokens"], report["input_tokens"]);
        assert_eq!(row["visibility"], "decoded");
        assert_eq!(row["process_pid"], finished.pid);
        assert_eq!(record.connection_of(row)?["server_address"], report["host"]);
    }
    Ok(())
}

#[test]
fn forked_workers_keep_their_own_pid() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let arguments = ["--workers", "8", "--calls", "20", "--prompt-bytes", "2048"];
    let finished = host.python("prefork.py").args(arguments).run()?;
    assert_eq!(finished.reports.len(), 160);
    let record = host.finish(160)?;
    assert_eq!(record.interactions.len(), 160);
    for report in &finished.reports {
        let row = record.by_response(id(report)?)?;
        assert_eq!(
            row["process_pid"], report["pid"],
            "the row names another process than made the call"
        );
        assert_eq!(row["gen_ai_response_model"], report["model"]);
        assert_eq!(row["process_parent_pid"], finished.pid);
        assert_eq!(record.connection_of(row)?["process_pid"], report["pid"]);
    }
    let flows: BTreeSet<u64> = record
        .interactions
        .iter()
        .filter_map(|row| row["flow_id"].as_u64())
        .collect();
    assert_eq!(flows.len(), 8, "one flow for each worker's connection");
    Ok(())
}

#[test]
fn a_library_with_several_names_is_attached_once() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        daemon: false,
        ..Options::default()
    })?;
    let (soname, library) = curl_libssl()?;
    let dirs = ["copy", "symlink", "hardlink"].map(|name| host.dir().join(name));
    for dir in &dirs {
        std::fs::create_dir(dir)?;
    }
    let copy = dirs[0].join(&soname);
    std::fs::copy(&library, &copy)?;
    std::os::unix::fs::symlink(&copy, dirs[1].join(&soname))?;
    std::fs::hard_link(&copy, dirs[2].join(&soname))?;
    // Each name is mapped by a process while the daemon looks for libraries.
    let mut holders = Vec::new();
    for dir in &dirs {
        let mut holder = host
            .python("openai_chat.py")
            .arg("--wait")
            .env("LD_LIBRARY_PATH", dir)
            .start()?;
        holder.wait_for_line("ready")?;
        holders.push(holder);
    }
    host.start_daemon()?;
    let mut ids = Vec::new();
    for mut holder in holders {
        holder.go()?;
        ids.push(id(&holder.finish()?.reports[0])?.to_owned());
    }
    for dir in &dirs {
        let finished = host
            .curl_chat("api.openai.com", "gpt-4o-mini", "hi")
            .env("LD_LIBRARY_PATH", dir)
            .run()?;
        let answer: Value = serde_json::from_str(&finished.lines.join("\n"))?;
        ids.push(id(&answer)?.to_owned());
    }
    let record = host.finish(ids.len())?;
    assert_eq!(record.interactions.len(), ids.len(), "each call once");
    for id in &ids {
        let row = record.by_response(id)?;
        assert_eq!(row["visibility"], "decoded");
        assert_eq!(row["gen_ai_usage_output_tokens"], 8);
    }
    Ok(())
}

#[test]
fn a_client_started_before_the_daemon_and_one_after_have_their_first_call() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        daemon: false,
        ..Options::default()
    })?;
    let mut early = host.python("openai_chat.py").arg("--wait").start()?;
    early.wait_for_line("ready")?;
    host.start_daemon()?;
    let late = host.curl_chat("api.openai.com", "gpt-4o-late", "hi").run()?;
    early.go()?;
    let early = early.finish()?;
    let port = host.endpoint.port();
    let early_logged = host.logged("gpt-4o-mini")?;
    let late_logged = host.logged("gpt-4o-late")?;
    let record = host.finish(2)?;
    assert_eq!(record.interactions.len(), 2);
    let row = record.by_response(id(&early.reports[0])?)?;
    let expected = Expected::openai(early.pid, &executable("python")?).with_usage_of(&early.reports[0]);
    check(port, &record, row, &expected, &early_logged)?;
    let answer: Value = serde_json::from_str(&late.lines.join("\n"))?;
    let row = record.by_response(id(&answer)?)?;
    let mut expected = Expected::openai(late.pid, &executable("curl")?).with_model("gpt-4o-late");
    expected.input_tokens = Some(input_tokens("hi"));
    expected.output_tokens = Some(8);
    check(port, &record, row, &expected, &late_logged)
}

#[test]
fn a_client_killed_in_the_middle_leaves_a_partial_row() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let model = "gpt-4o+chunks-2000+slow-20";
    let client = host
        .python("openai_chat.py")
        .args(["--stream", "--model", model])
        .start()?;
    let pid = client.pid();
    let start = Instant::now();
    while host.logged(model).map_or(0, |logged| logged.response_bytes) < 5_000 {
        anyhow::ensure!(
            start.elapsed() < Duration::from_secs(30),
            "the stream did not begin"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    client.signal(Signal::KILL)?;
    client.finish()?;
    let record = host.finish(1)?;
    let [row] = record.interactions.as_slice() else {
        anyhow::bail!("expected one row, got {}", record.interactions.len());
    };
    assert_eq!(row["process_pid"], pid);
    assert_eq!(row["server_address"], "api.openai.com");
    assert_eq!(row["gen_ai_request_model"], model);
    assert_eq!(row["gen_ai_request_stream"], true);
    assert_eq!(row["http_response_status_code"], 200);
    assert_eq!(row["visibility"], "partial");
    assert_eq!(row["visibility_reason"], "closed_early");
    assert_eq!(row["gen_ai_usage_input_tokens"], Value::Null, "usage never came");
    assert_eq!(row["gen_ai_usage_output_tokens"], Value::Null, "usage never came");
    assert!(
        row["response_bytes"].as_u64() > Some(1_000),
        "what came before the end is counted"
    );
    Ok(())
}
