//! Live kernel: what must not be read, must not be stored, must not bring the daemon down, and must not vanish.

#![expect(clippy::disallowed_methods, reason = "waits have limits")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use observer_tests::harness::{Host, Metrics, Options, UNDECIDED_PREFIX, live, usage};
use rustix::process::Signal;
use serde_json::Value;

fn id(report: &Value) -> Result<&str> {
    report["id"].as_str().context("the client got no id")
}

#[test]
fn other_traffic_stays_in_the_kernel() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let size: i32 = 8 << 20;
    let arguments = [
        "--url",
        "https://files.example.net/upload",
        "--upload-bytes",
        &size.to_string(),
    ];
    let finished = host.python("requests_post.py").args(arguments).run()?;
    assert_eq!(finished.reports[0]["received"], size);
    let start = Instant::now();
    let bytes = |metrics: &Metrics, class: &str| {
        metrics
            .sum("observer_plaintext_bytes_total", &[class])
            .unwrap_or(0.0)
    };
    let skipped = |metrics: &Metrics| {
        bytes(metrics, "class=\"other_skipped\"") + bytes(metrics, "class=\"undecided_skipped\"")
    };
    // What is left in the kernel is counted there: all of the upload but the prefix.
    #[expect(clippy::cast_precision_loss, reason = "a few megabytes")]
    let (size, allowed) = (f64::from(size), (2 * UNDECIDED_PREFIX) as f64);
    while skipped(&host.metrics()?) < size - allowed {
        anyhow::ensure!(
            start.elapsed() < Duration::from_secs(10),
            "8 MiB were sent and not seen"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let record = host.end()?;
    assert!(
        record.interactions.is_empty(),
        "an upload is no AI call: {:#?}",
        record.interactions
    );
    assert_eq!(
        bytes(&record.metrics, "class=\"ai\""),
        0.0,
        "an upload is no AI traffic"
    );
    let delivered = bytes(&record.metrics, "class=\"undecided\"");
    // The prefix once in each direction, and the handshake that names the server.
    let allowed = allowed + 2048.0;
    assert!(
        delivered <= allowed,
        "{delivered} bytes of other traffic reached user space, {allowed} are allowed"
    );
    assert!(delivered > 0.0, "without a prefix there is nothing to decide on");
    Ok(())
}

#[test]
fn the_daemon_does_not_see_itself() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options::default())?;
    let daemon = host.daemon()?.pid();
    host.curl_chat("api.openai.com", "gpt-4o-mini", "hi").run()?;
    // Meanwhile the daemon writes to the store and answers requests for metrics.
    host.wait_for_interactions(1)?;
    for _ in 0..20 {
        host.metrics()?;
    }
    let record = host.finish(1)?;
    assert_eq!(record.interactions.len(), 1);
    assert!(
        !record.pids.contains(&u64::from(daemon)),
        "the daemon recorded itself"
    );
    Ok(())
}

#[test]
fn an_unknown_host_in_a_known_dialect_is_ai() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    host.curl_chat("llm.example.com", "my-own-model", "hi").run()?;
    let record = host.finish(1)?;
    let [row] = record.interactions.as_slice() else {
        anyhow::bail!("expected one row, got {}", record.interactions.len());
    };
    assert_eq!(row["server_address"], "llm.example.com");
    assert_eq!(row["gen_ai_provider_name"], "unknown");
    assert_eq!(row["dialect"], "openai-chat");
    assert_eq!(row["gen_ai_request_model"], "my-own-model");
    assert_eq!(row["policy_verdict"], "unknown");
    assert_eq!(
        row["visibility"], "decoded",
        "nothing may be lost while it was undecided"
    );
    Ok(())
}

#[test]
fn a_long_prompt_to_an_unknown_host_is_stored_and_what_is_missing_is_said() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    // Longer than the prefix of an undecided connection, so the rest depends on a decision in time.
    let file = host.dir().join("prompt.txt");
    std::fs::write(&file, "word ".repeat(20_000))?;
    let arguments = ["--base-url", "https://llm.example.com/v1", "--prompt-file"];
    let finished = host.python("openai_chat.py").args(arguments).arg(&file).run()?;
    let record = host.finish(1)?;
    let [row] = record.interactions.as_slice() else {
        anyhow::bail!("expected one row, got {}", record.interactions.len());
    };
    assert_eq!(row["server_address"], "llm.example.com");
    assert_eq!(row["process_pid"], finished.pid);
    if row["visibility"] == "decoded" {
        assert_eq!(
            row["gen_ai_usage_input_tokens"],
            finished.reports[0]["input_tokens"]
        );
        assert!(
            row["scan_bytes_seen"].as_u64() >= Some(100_000),
            "decoded means that the whole prompt was seen"
        );
    } else {
        assert_eq!(row["visibility"], "partial");
        assert_ne!(row["visibility_reason"], "");
        assert_ne!(record.connection_of(row)?["visibility"], "decoded");
    }
    Ok(())
}

#[test]
fn nonsense_does_not_bring_the_daemon_down() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options::default())?;
    let finished = host.python("hostile.py").run()?;
    assert!(finished.reports.len() >= 16, "{:?}", finished.lines);
    assert!(
        host.daemon()?.is_running(),
        "the daemon ended:\n{}",
        host.daemon()?.output()
    );
    let after = host.curl_chat("api.openai.com", "gpt-4o-after", "hi").run()?;
    let answer: Value = serde_json::from_str(&after.lines.join("\n"))?;
    let start = Instant::now();
    while !host
        .rows("ai_interactions", "ts")?
        .iter()
        .any(|row| row["gen_ai_response_id"] == answer["id"])
    {
        anyhow::ensure!(
            start.elapsed() < Duration::from_secs(20),
            "the call after the nonsense was not stored"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    let memory = usage::status(host.daemon()?.pid(), "VmRSS")?;
    assert!(memory < 400 << 10, "{memory} KiB after a compression bomb");
    let record = host.end()?;
    let row = record.by_response(id(&answer)?)?;
    assert_eq!(row["visibility"], "decoded");
    assert_eq!(row["gen_ai_request_model"], "gpt-4o-after");
    for row in record
        .interactions
        .iter()
        .filter(|row| row["gen_ai_request_model"] == "bomb")
    {
        assert_eq!(
            row["visibility"], "partial",
            "a bomb cannot have been read whole: {row:#}"
        );
    }
    Ok(())
}

#[test]
fn secrets_are_found_and_neither_stored_nor_sent() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let alerts = dir.path().join("alerts.jsonl");
    let mut host = Host::start(Options {
        more: format!("alerts:\n  to: file:{}\n  findings: info\n", alerts.display()),
        ..Options::default()
    })?;
    // Put together here, so that no file holds what a scanner could take for real.
    let key = ["AK", "IA", "Q3EGRIVN", "ZJ2XKTW5"].concat();
    let card = ["4111", "1111", "1111", "1111"].concat();
    let marker = "unmistakable-words-of-the-prompt";
    let prompt = format!("{marker}\n{key}\nand card {card} please");
    let finished = host.python("openai_chat.py").args(["--prompt", &prompt]).run()?;
    host.wait_for_interactions(1)?;
    let output = host.daemon()?.output();
    let record = host.finish(1)?;
    let row = record.by_response(id(&finished.reports[0])?)?;
    let findings: Vec<&Value> = record
        .findings
        .iter()
        .filter(|finding| finding["interaction_hash"] == row["record_hash"])
        .collect();
    assert_eq!(findings.len(), 2, "{findings:#?}");
    assert_eq!(row["finding_count"], 2);
    for word in ["aws", "card"] {
        let finding = findings
            .iter()
            .find(|finding| {
                finding["rule_id"]
                    .as_str()
                    .is_some_and(|rule| rule.contains(word))
            })
            .with_context(|| format!("no finding of a rule named after {word}: {findings:#?}"))?;
        assert_eq!(finding["direction"], "prompt");
        assert_eq!(finding["match_count"], 1);
    }
    let alerts = std::fs::read_to_string(alerts)?;
    check_alerts(&alerts, &findings, row)?;
    let stored = format!("{record:?}{output}{alerts}");
    for clear in [key.as_str(), card.as_str(), marker] {
        assert!(!stored.contains(clear), "clear text was stored or logged");
    }
    Ok(())
}

/// One alert for each finding that is not a published example, with its row's hash and the caller.
fn check_alerts(text: &str, findings: &[&Value], row: &Value) -> Result<()> {
    let events = text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<Vec<Value>, _>>()?;
    let mut sent: Vec<&Value> = events.iter().map(|event| &event["metadata"]["uid"]).collect();
    let real = findings
        .iter()
        .filter(|finding| finding["confidence"] != "documented_example");
    let mut wanted: Vec<&Value> = real.map(|finding| &finding["record_hash"]).collect();
    sent.sort_by_key(|hash| hash.as_str());
    wanted.sort_by_key(|hash| hash.as_str());
    assert!(
        !wanted.is_empty() && sent == wanted,
        "{sent:?} instead of {wanted:?}"
    );
    assert_eq!(
        events[0]["actor"]["process"]["pid"], row["process_pid"],
        "{:#}",
        events[0]
    );
    Ok(())
}

#[test]
fn the_ledger_adds_up() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    let clients = [
        host.python("prefork.py")
            .args(["--workers", "4", "--calls", "10"])
            .start()?,
        host.python("openai_chat.py")
            .args(["--stream", "--count", "10"])
            .start()?,
        host.node("fetch_chat.js").args(["--count", "10"]).start()?,
        host.python("anthropic_messages.py")
            .args(["--count", "10"])
            .start()?,
    ];
    let mut sent = Vec::new();
    for client in clients {
        let finished = client.finish()?;
        assert!(finished.status.success(), "{}", finished.errors);
        sent.extend(finished.reports);
    }
    assert_eq!(sent.len(), 70);
    assert_eq!(host.endpoint.log().requests().len(), 70);
    let record = host.finish(70)?;
    assert_eq!(record.interactions.len(), 70);
    for report in &sent {
        let row = record.by_response(id(report)?)?;
        assert_eq!(row["process_pid"], report["pid"]);
        assert_eq!(row["gen_ai_usage_output_tokens"], report["output_tokens"]);
        assert_eq!(row["visibility"], "decoded");
    }
    assert_eq!(record.lost(), 0);
    let books = record.balanced_books()?;
    assert!(
        books["kernel"].seen > 70 && books["flow"].seen > 70 * 100,
        "{books:?}"
    );
    assert_eq!(books["protocol"].delivered, books["protocol"].seen, "{books:?}");
    // Programs of the host that cannot be read have rows too.
    assert_eq!(
        record.sealed("n_records"),
        record.rows,
        "every row is covered by a seal, and every sealed row is here"
    );
    Ok(())
}

#[test]
fn what_a_small_ring_loses_is_counted_and_stays_with_its_flow() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    // While the daemon stands still, four times of what the ring holds leaves one process.
    let mut host = Host::start(Options {
        ring_buffer_bytes: Some(1 << 20),
        ..Options::default()
    })?;
    let file = host.dir().join("prompt.txt");
    std::fs::write(&file, "word ".repeat((4 << 20) / 5))?;
    host.daemon()?.signal(Signal::STOP)?;
    let large = host
        .python("openai_chat.py")
        .args(["--model", "large", "--prompt-file"])
        .arg(&file)
        .run();
    host.daemon()?.signal(Signal::CONT)?;
    let large = large?;
    let small = host.python("openai_chat.py").args(["--model", "small"]).run()?;
    let record = host.finish(2)?;
    assert_eq!(record.interactions.len(), 2);
    let row = record.by_response(id(&small.reports[0])?)?;
    assert_eq!(
        row["visibility"], "decoded",
        "loss of one flow may not reach another"
    );
    // Its answer may be among what was lost, so it is not looked for by that.
    id(&large.reports[0])?;
    let is_partial = |row: &&Value| row["visibility"] == "partial";
    let row = record
        .interactions
        .iter()
        .find(is_partial)
        .context("no partial row")?;
    assert!(
        record.lost() > 0,
        "4 MiB cannot wait in a ring of 1 MiB, yet nothing is counted as lost"
    );
    assert_eq!(row["visibility"], "partial");
    assert_eq!(row["visibility_reason"], "lost_events");
    // The seals say the same as the kernel's counters, and every book balances.
    let books = record.balanced_books()?;
    let (events, bytes) = record.sealed_loss("kernel", "ring_full");
    assert!(events > 0 && bytes > 1 << 20, "{events} records, {bytes} bytes");
    assert!(books["kernel"].lost >= events, "{books:?}");
    // What the kernel gave is what the daemon took: nothing stays in the ring but what came in this moment.
    assert!(books["kernel"].held < 100, "{books:?}");
    assert!(
        record.sealed_loss("flow", "gap").1 > 1 << 20,
        "{}",
        record.losses()
    );
    assert_eq!(
        (
            books["protocol"].lost,
            record.sealed_loss("protocol", "lost_events").0
        ),
        (1, 1),
        "{books:?} {}",
        record.losses()
    );
    Ok(())
}

#[test]
fn the_books_balance_under_a_flood() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        ring_buffer_bytes: Some(1 << 20),
        ..Options::default()
    })?;
    let file = host.dir().join("prompt.txt");
    std::fs::write(&file, "word ".repeat((2 << 20) / 5))?;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let client = host.python("openai_chat.py");
        let client = client.args(["--count", "6", "--prompt-file"]).arg(&file);
        clients.push(client.start()?);
    }
    // The daemon stands still again and again while four processes send 48 MiB.
    for _ in 0..6 {
        host.daemon()?.signal(Signal::STOP)?;
        std::thread::sleep(Duration::from_millis(400));
        host.daemon()?.signal(Signal::CONT)?;
        std::thread::sleep(Duration::from_millis(300));
    }
    for client in clients {
        client.finish()?;
    }
    std::thread::sleep(Duration::from_secs(2));
    // A call of which the ring lost everything has no row, so nobody waits for 24 of them.
    let record = host.end()?;
    let books = record.balanced_books()?;
    let (events, _) = record.sealed_loss("kernel", "ring_full");
    assert!(
        events > 0,
        "24 prompts of 2 MiB went through a ring of 1 MiB: {books:?}"
    );
    let partial = record
        .all_interactions
        .iter()
        .filter(|row| row["visibility"] == "partial");
    assert_eq!(books["protocol"].lost, partial.count() as u64, "{books:?}");
    assert!(books["kernel"].held < 100, "{books:?}");
    println!("{events} records lost; books {books:#?}");
    Ok(())
}
