//! Live kernel: what a host does to a daemon. No descriptors left, a new policy in the middle of calls, the end in the middle of calls,
//! a newer version on what the one before left. Kills, disks and stores are in `live_spool`, overruns of the ring in
//! `live_bounds`, the limit of memory is in `live_memory`.

#![expect(clippy::disallowed_methods, reason = "waits have limits")]

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use observer::evidence::{
    Coverage, InteractionRow, Interval, Opening, SealKind, SealRow, Sequencer, Signer, keys::ROLE_HOST,
};
use observer::identity::Host as Identity;
use observer::kernel::clock::{boot_ns, wall_ns};
use observer::spool::{Spool, SpoolOptions};
use observer::state::{Head, HeadFile, Keyring};
use observer_tests::harness::{Host, Options, Running, live, until};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A client that calls until it is dropped.
fn load(host: &Host) -> Result<Running> {
    host.python("openai_chat.py").args(["--count", "100000"]).start()
}

/// Waits until so many calls are stored; on a busy machine a client takes its time to begin.
fn stored(host: &Host, count: usize) -> Result<()> {
    until("calls are stored", || {
        Ok(host.rows("ai_interactions", "ts")?.len() >= count)
    })
}

fn calls(host: &Host) -> Result<u64> {
    let seen = host.metrics()?.sum("observer_verdicts_total", &[]);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of some thousands"
    )]
    Ok(seen.unwrap_or(0.0) as u64)
}

#[test]
fn a_daemon_without_descriptors_keeps_its_rows_and_says_so() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options::default())?;
    host.wait_for_seals(1)?;
    let clients = load(&host)?;
    stored(&host, 20)?;
    let pid = i32::try_from(host.daemon()?.pid()).ok().and_then(Pid::from_raw);
    // Those that are open stay open, and no other one can be.
    let none_left = Rlimit {
        current: Some(8),
        // As it is: not everyone may raise it again.
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    let before = prlimit(pid, Resource::Nofile, none_left)?;
    std::thread::sleep(Duration::from_secs(3));
    prlimit(pid, Resource::Nofile, before)?;
    until("a spool that could not be written is noticed", || {
        let failures = host.metrics()?.sum("observer_spool_write_failures_total", &[]);
        Ok(failures.is_some_and(|count| count > 0.0))
    })?;
    let then = host.rows("ai_interactions", "ts")?.len();
    stored(&host, then + 20)?;
    drop(clients);
    host.stop_daemon()?;
    let report = host.check_chain()?;
    println!("{report:?}");
    assert_eq!(
        (report.epochs, report.unsealed, report.declared),
        (1, 0, 0),
        "{report:?}"
    );
    let seals = host.rows("v_seals", "seal_seq")?;
    let notes: Vec<String> = seals.iter().map(|seal| seal["notes"].to_string()).collect();
    assert!(notes.concat().contains("spool_not_on_disk"), "{notes:?}");
    Ok(())
}

#[test]
fn a_policy_that_changes_under_load_judges_each_call_by_the_one_of_its_seal() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options::default())?;
    host.wait_for_seals(1)?;
    let clients = load(&host)?;
    stored(&host, 20)?;
    for version in 2..5 {
        let verdict = ["sanctioned", "unsanctioned"][version % 2];
        let text = format!(
            "version: test-{version}\ndefault: unknown\nrules:\n  - {{id: r{version}, verdict: {verdict}, provider: [openai]}}\n"
        );
        std::fs::write(host.policy_file(), text)?;
        host.daemon()?.signal(Signal::HUP)?;
        until("the new policy judges", || {
            let judged = host.rows("v_interactions", "ts")?;
            let rule = format!("r{version}");
            Ok(judged
                .last()
                .is_some_and(|row| row["policy_rule_id"] == rule.as_str()))
        })?;
    }
    drop(clients);
    host.stop_daemon()?;
    let report = host.check_chain()?;
    assert_eq!(
        (report.epochs, report.unsealed, report.declared),
        (1, 0, 0),
        "{report:?}"
    );
    let seals = host.rows("v_seals", "seal_seq")?;
    let rows = host.rows("v_interactions", "ts")?;
    for row in &rows {
        let seal = seals.iter().find(|seal| seal["seal_seq"] == row["seal_seq"]);
        let seal = seal.context("no seal")?;
        ensure!(
            seal["policy_sha256"] == row["policy_sha256"],
            "judged by another policy than its seal says: {row:#}"
        );
    }
    let policies: std::collections::BTreeSet<&str> = rows
        .iter()
        .filter_map(|row| row["policy_version"].as_str())
        .collect();
    assert_eq!(policies.len(), 4, "{policies:?}");
    Ok(())
}

#[test]
fn the_end_in_the_middle_of_calls_leaves_nothing_behind() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options::default())?;
    host.wait_for_seals(1)?;
    let clients = [load(&host)?, load(&host)?];
    stored(&host, 50)?;
    let seen = calls(&host)?;
    let started = Instant::now();
    host.stop_daemon()?;
    let took = started.elapsed();
    drop(clients);
    // The manifests give it 60 s, systemd 90 s.
    assert!(took < Duration::from_secs(30), "{took:?}");
    let report = host.check_chain()?;
    println!("{took:?} {report:?}");
    assert_eq!(
        (report.epochs, report.unsealed, report.declared),
        (1, 0, 0),
        "{report:?}"
    );
    let stored = host.rows("v_interactions", "ts")?.len() as u64;
    assert!(stored >= seen, "{stored} of {seen} are stored");
    let seals = host.rows("v_seals", "seal_seq")?;
    assert_eq!(seals.last().context("no seal")?["seal_kind"], "close");
    let left = std::fs::read_dir(host.spool())?
        .filter_map(|entry| entry.ok()?.path().extension().map(|e| e == "seg"));
    assert_eq!(left.filter(|is_segment| *is_segment).count(), 0);
    Ok(())
}

/// The form of rows that the version before this one wrote.
const FORM_BEFORE: u8 = 3;

/// A seal of that version over these records.
fn seal_before(mut seal: SealRow, records: &[[u8; 32]], previous: [u8; 32], signer: &Signer) -> SealRow {
    let mut digest = Sha256::new();
    records.iter().for_each(|hash| digest.update(hex::encode(hash)));
    seal.canon_v = FORM_BEFORE;
    seal.records_digest = digest.finalize().into();
    seal.prev_seal_hash = previous;
    seal.seal_hash = seal.digest();
    seal.signature = signer.sign(&seal.seal_hash);
    seal
}

/// What the version before leaves when it is stopped while the store is away: a closed chain of an open and a closing seal around
/// five records, all of it in the spool, and the head.
fn left_by_the_version_before(state: &Path) -> Result<()> {
    std::fs::DirBuilder::new().mode(0o700).create(state)?;
    let host = Identity::read("", "");
    let start = wall_ns() - 60_000_000_000;
    let (keys, _) = Keyring::open(&state.join("keys"), ROLE_HOST, &host.id, host.machine, start)?;
    let mut sequencer =
        Sequencer::new(&host.id, host.boot_id, u64::try_from(start)?).opened(Opening::default());
    sequencer.sign_with(keys.signer().clone());
    let boot = boot_ns() - 60_000_000_000;
    let interval = |from: i64| {
        let mono = boot + u64::try_from(from).unwrap_or(0);
        Interval {
            start: start + from,
            end: start + from + 1_000_000_000,
            mono_start_ns: mono,
            mono_end_ns: mono + 1_000_000_000,
        }
    };
    let open = sequencer.seal(SealKind::Open, interval(0), Coverage::default());
    let open = seal_before(open, &[], [0; 32], keys.signer());
    let records: Vec<InteractionRow> = (0..5)
        .map(|n| {
            let mut row = sequencer.interaction(InteractionRow {
                ts: start + n,
                gen_ai_request_model: "a-model-of-before".into(),
                ..InteractionRow::unknown()
            });
            row.canon_v = FORM_BEFORE;
            row.record_hash = row.digest();
            row
        })
        .collect();
    let hashes: Vec<[u8; 32]> = records.iter().map(|row| row.record_hash).collect();
    let close = sequencer.seal(SealKind::Close, interval(1_000_000_000), Coverage::default());
    let close = seal_before(close, &hashes, open.seal_hash, keys.signer());
    let (spool, _) = Spool::open(SpoolOptions {
        directory: Some(state.join("spool")),
        ..SpoolOptions::default()
    })?;
    spool.start(None)?;
    spool.push(open);
    records.into_iter().for_each(|row| spool.push(row));
    let head = Head::from(&close);
    spool.push(close);
    ensure!(spool.stop() == (0, 7), "the spool lost rows");
    Ok(HeadFile::open(&state.join("chain"))?.write(&head)?)
}

#[test]
fn a_newer_version_goes_on_where_the_one_before_stopped() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        daemon: false,
        ..Options::default()
    })?;
    left_by_the_version_before(&host.dir().join("state"))?;
    host.start_daemon()?;
    host.wait_for_interactions(5)?;
    host.curl_chat("api.openai.com", "a-model-of-now", "hi").run()?;
    host.wait_for_interactions(6)?;
    host.stop_daemon()?;
    let report = host.check_chain()?;
    assert_eq!((report.epochs, report.unsealed, report.declared), (2, 0, 0));
    let seals = host.rows("v_seals", "chain_epoch, seal_seq")?;
    let reasons: Vec<&Value> = seals
        .iter()
        .filter(|seal| seal["seal_kind"] == "open")
        .map(|seal| &seal["open_reason"])
        .collect();
    assert_eq!(reasons, ["first_start", "restart"]);
    let rows = host.rows("v_interactions", "ts")?;
    let forms = |model: &str| -> Vec<&Value> {
        let of = rows.iter().filter(|row| row["gen_ai_request_model"] == model);
        of.map(|row| &row["canon_v"]).collect()
    };
    assert_eq!(forms("a-model-of-before"), [FORM_BEFORE; 5]);
    assert_eq!(forms("a-model-of-now"), [observer::evidence::CANON_V]);
    // The verifier computes both forms anew, and the link between them.
    host.observer(&["verify"])?;
    Ok(())
}
