//! Live kernel: register and policy, while the daemon runs.

#![expect(
    clippy::disallowed_methods,
    reason = "tests wait for a real daemon, within limits"
)]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use observer_tests::harness::{Host, Options, executable, live, python, skip};
use rustix::process::Signal;
use serde_json::Value;

/// Expired for OpenAI, in force for Anthropic.
const REGISTER: &str = "\
version: r-1
ai_register:
  - {id: openai, system: OpenAI API, owner: it, approval: B-1, status: approved, valid_from: 2020-01-01, valid_until: 2020-12-31,
     match: {provider: [openai]}}
  - {id: mistral, system: Mistral, owner: it, approval: B-2, status: approved, valid_from: 2020-01-01, match: {provider: [mistral_ai]}}
";

fn with_register() -> Options {
    Options {
        register: Some(REGISTER.to_owned()),
        ..Options::default()
    }
}

fn text<'r>(row: &'r Value, column: &str) -> &'r str {
    row[column].as_str().unwrap_or_default()
}

#[test]
fn an_expired_approval_is_unsanctioned_and_says_so_and_is_stored_within_five_seconds() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(with_register())?;
    host.curl_chat("api.openai.com", "m", "hi").run()?;
    let done = Instant::now();
    host.wait_for_interactions(1)?;
    let passed = done.elapsed();
    ensure!(
        passed < Duration::from_secs(5),
        "{passed:?} from the call to its row"
    );
    host.curl_chat("api.mistral.ai", "m", "hi").run()?;
    let record = host.finish(2)?;
    let [expired, approved] = record.interactions.as_slice() else {
        anyhow::bail!("{} interactions", record.interactions.len())
    };
    assert_eq!(
        [
            text(expired, "policy_verdict"),
            text(expired, "policy_reason"),
            text(expired, "register_entry_id"),
            text(expired, "ai_system")
        ],
        ["unsanctioned", "approval_expired", "openai", "OpenAI API"]
    );
    assert_eq!(
        text(expired, "policy_rule_id"),
        "openai-yes",
        "a rule cannot permit it"
    );
    assert_eq!(
        [
            text(approved, "policy_verdict"),
            text(approved, "policy_reason"),
            text(approved, "register_entry_id")
        ],
        ["sanctioned", "register_approved", "mistral"]
    );
    for connection in &record.connections {
        let of_mistral = text(connection, "server_address").contains("mistral");
        let wanted = if of_mistral { "sanctioned" } else { "unsanctioned" };
        assert_eq!(text(connection, "policy_verdict"), wanted, "{connection}");
    }
    Ok(())
}

/// Waits for a seal with this note.
fn noted(host: &Host, note: &str) -> Result<Value> {
    let start = Instant::now();
    loop {
        let seals = host.rows("evidence_seals", "seal_seq")?;
        let found = seals.into_iter().find(|seal| {
            seal["notes"]
                .as_array()
                .is_some_and(|notes| notes.iter().any(|n| n == note))
        });
        if let Some(seal) = found {
            return Ok(seal);
        }
        ensure!(start.elapsed() < Duration::from_secs(20), "no seal says {note}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_new_policy_comes_into_force_a_wrong_one_does_not_and_both_are_evidence() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options::default())?;
    host.curl_chat("api.openai.com", "first", "hi").run()?;
    host.wait_for_interactions(1)?;
    let policy = |verdict: &str| {
        format!(
            "version: test-2\ndefault: unknown\nrules:\n  - {{id: two, verdict: {verdict}, provider: [openai]}}\n"
        )
    };
    std::fs::write(host.policy_file(), policy("unsanctioned"))?;
    let changed = noted(&host, "policy_changed")?;
    host.curl_chat("api.openai.com", "second", "hi").run()?;
    host.wait_for_interactions(2)?;
    std::fs::write(host.policy_file(), policy("forbidden"))?;
    host.daemon()?.signal(Signal::HUP)?;
    let refused = noted(&host, "policy_refused")?;
    host.curl_chat("api.openai.com", "third", "hi").run()?;
    host.wait_for_interactions(3)?;
    let output = host.daemon()?.output();
    ensure!(
        output.contains("unknown value `forbidden` in `verdict`"),
        "the log does not name the mistake:\n{output}"
    );
    assert_eq!(
        refused["policy_sha256"], changed["policy_sha256"],
        "the policy in force stays"
    );
    let files = host.rows("governance_files", "loaded_at")?;
    assert_eq!(files.len(), 2, "{files:?}");
    let record = host.finish(3)?;
    let of = |model: &str| {
        record
            .interactions
            .iter()
            .find(|row| text(row, "gen_ai_request_model") == model)
            .context("no row")
    };
    assert_eq!(text(of("first")?, "policy_rule_id"), "openai-yes");
    assert_eq!(
        [
            text(of("second")?, "policy_rule_id"),
            text(of("second")?, "policy_verdict")
        ],
        ["two", "unsanctioned"]
    );
    assert_eq!(text(of("third")?, "policy_rule_id"), "two");
    assert_eq!(of("second")?["policy_sha256"], changed["policy_sha256"]);
    assert_ne!(of("first")?["policy_sha256"], changed["policy_sha256"]);
    // The time of the old policy ends where that of the new one begins.
    let ends = record
        .seals
        .iter()
        .find(|seal| seal["seal_seq"].as_u64().map(|n| n + 1) == changed["seal_seq"].as_u64())
        .context("no seal before")?;
    assert_eq!(ends["policy_sha256"], of("first")?["policy_sha256"]);
    Ok(())
}

/// Starts curl with a chat through another program, in this environment.
fn chat_through(host: &Host, program: &str, before: &[&str], model: &str, agent: &str) -> Result<()> {
    let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#);
    let port = host.endpoint.port();
    let ca = host.dir().join("ca.pem");
    let curl = format!(
        "exec curl --silent --show-error --max-time 60 --cacert {} --connect-to ::127.0.0.1:{port} --user-agent '{agent}' --header \
         'Content-Type: application/json' --data '{body}' https://api.openai.com/v1/chat/completions",
        ca.display()
    );
    host.program(program).args(before).arg(curl).run().map(|_| ())
}

/// A call as another user, through a program that makes one of root.
fn leaves_the_login(program: &str, before: &[&str]) -> Result<()> {
    let mut host = Host::start(Options::default())?;
    // The folder of the test must be readable for the other user.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(host.dir(), open)?;
    chat_through(&host, program, before, "gpt-4o-mini", "x/1")?;
    host.wait_for_interactions(1)?;
    let record = host.finish(1)?;
    let row = &record.interactions[0];
    let own = std::fs::read_to_string("/proc/self/loginuid")?;
    assert_eq!(text(row, "user_name"), "nobody", "{row}");
    assert_eq!(
        row["login_uid"].to_string(),
        own.trim(),
        "it changes nobody's login"
    );
    assert_eq!(row["invoking_user_id"], 0, "root called it");
    let above = row["process_ancestry"].as_array().context("no ancestry")?;
    ensure!(above.iter().any(|name| name == program), "{above:?}");
    Ok(())
}

#[test]
fn su_leaves_the_login_and_names_who_called_it() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    leaves_the_login("su", &["nobody", "-s", "/bin/sh", "-c"])
}

#[test]
fn sudo_leaves_the_login_and_names_who_called_it() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    if executable("sudo").is_err() {
        skip("no sudo (Debian: sudo)");
        return Ok(());
    }
    leaves_the_login("sudo", &["--non-interactive", "--user=nobody", "/bin/sh", "-c"])
}

#[test]
fn an_agent_and_the_programs_that_it_starts_are_one_session() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let host = Host::start(Options::default())?;
    // A shell that names itself as an agent would: its own name is `claude`.
    let claude = host.dir().join("claude");
    std::fs::copy("/bin/bash", &claude)?;
    let program = claude.to_str().context("path")?.to_owned();
    let two = "(curl --version > /dev/null); ";
    let child = |model: &str| -> Result<()> {
        let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#);
        let script = format!(
            "{two} curl --silent --cacert {} --connect-to ::127.0.0.1:{} --header 'Content-Type: application/json' --data '{body}' \
             https://api.openai.com/v1/chat/completions; true",
            host.dir().join("ca.pem").display(),
            host.endpoint.port()
        );
        host.program(&program).args(["-c", &script]).run().map(|_| ())
    };
    child("first")?;
    child("second")?;
    let record = host.finish(2)?;
    let sessions: Vec<&str> = record
        .interactions
        .iter()
        .map(|row| text(row, "agent_session_id"))
        .collect();
    for row in &record.interactions {
        assert_eq!(text(row, "agent_name"), "Claude Code", "{row}");
        assert_eq!(text(row, "process_comm"), "curl");
        ensure!(
            text(row, "process_executable_sha256").len() == 64 || row["process_executable_sha256"].is_array(),
            "{row}"
        );
    }
    assert_ne!(sessions[0], sessions[1], "two runs are two sessions");
    Ok(())
}

/// Maps a file, says so, and waits for its end of input.
const MAPS: &str = "import mmap, sys; f = open(sys.argv[1], 'rb'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); f.close(); \
                    print('ready', flush=True); sys.stdin.read()";

#[test]
fn a_program_that_maps_a_model_has_a_row_of_its_own_kind() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        daemon: false,
        ..Options::default()
    })?;
    let model = host.dir().join("made-up.gguf");
    std::fs::write(&model, b"GGUF no model at all")?;
    let mut program = host.program(python()).args(["-c", MAPS]).arg(&model).start()?;
    program.wait_for_line("ready")?;
    host.start_daemon()?;
    host.stop_daemon()?;
    let spots = host.rows("blind_spots", "ts")?;
    let of_models: Vec<_> = spots.iter().filter(|row| row["reason"] == "model_file").collect();
    let [row] = of_models.as_slice() else {
        anyhow::bail!("{spots:#?}")
    };
    assert_eq!(text(row, "runtime"), "gguf");
    ensure!(text(row, "process_executable_path").contains("python"), "{row}");
    assert_eq!(row["process_count"], 1);
    Ok(())
}
