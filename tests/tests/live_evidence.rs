//! Live kernel: seals, keys and self-test of a real daemon.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use observer::evidence::verify_signature;
use observer_tests::harness::{Host, Options, live, skip};
use rustix::process::Signal;
use serde_json::Value;

/// Intervals of these tests are one second.
const SOME_INTERVALS: Duration = Duration::from_millis(5_300);

fn with_selftest() -> Options {
    Options {
        selftest: true,
        ..Options::default()
    }
}

fn seals(host: &Host) -> Result<Vec<Value>> {
    host.rows("evidence_seals", "chain_epoch, seal_seq")
}

fn bytes<const N: usize>(value: &Value) -> Result<[u8; N]> {
    let text = value.as_str().context("no text")?;
    hex::decode(text)?.try_into().ok().context("another length")
}

/// Every seal is signed by the key that it names, and names the seal before it, over all epochs.
fn check_chain(seals: &[Value], keys: &[Value]) -> Result<()> {
    let mut before = "00".repeat(32);
    for seal in seals {
        let key = keys
            .iter()
            .find(|key| key["key_id"] == seal["key_id"])
            .with_context(|| format!("no key for {seal:#}"))?;
        let (public, hash, signature) = (
            bytes(&key["public_key"])?,
            bytes(&seal["seal_hash"])?,
            bytes(&seal["signature"])?,
        );
        ensure!(
            verify_signature(&public, &hash, &signature),
            "not signed: {seal:#}"
        );
        ensure!(
            seal["prev_seal_hash"] == before.as_str(),
            "another before: {seal:#}"
        );
        before = seal["seal_hash"].as_str().context("no hash")?.to_owned();
    }
    Ok(())
}

fn selftests(seals: &[Value]) -> Vec<&str> {
    let states = seals.iter().filter_map(|seal| seal["selftest"].as_str());
    states.collect()
}

/// CPU time of the daemon's helper, ms.
fn helper_cpu_ms(daemon: u32) -> Result<u64> {
    let children = std::fs::read_to_string(format!("/proc/{daemon}/task/{daemon}/children"));
    let all = std::fs::read_dir("/proc")?.filter_map(|entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<String> = stat.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect();
        (fields[1] == daemon.to_string() && stat.contains("(observer-canary"))
            .then(|| (fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?).into())
            .flatten()
    });
    let ticks: Vec<u64> = all.collect();
    ensure!(ticks.len() == 1, "{} helpers, children {children:?}", ticks.len());
    Ok(ticks[0] * 1000 / rustix::param::clock_ticks_per_second())
}

#[test]
fn the_self_test_comes_through_and_never_counts_as_use() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(with_selftest())?;
    std::thread::sleep(SOME_INTERVALS);
    let cpu_ms = helper_cpu_ms(host.daemon()?.pid())?;
    host.curl_chat("api.openai.com", "gpt-4o-mini", "hi").run()?;
    host.wait_for_interactions(1)?;
    let keys = host.rows("host_keys", "valid_from")?;
    let record = host.finish(1)?;
    let states = selftests(&record.seals);
    let ok = states.iter().filter(|state| **state == "ok").count();
    assert!(ok >= 3, "{states:?}");
    assert!(!states.contains(&"failed"), "{states:?}");
    // Nothing but curl's call: not one row of the helper or its connections.
    assert_eq!(record.interactions.len(), 1);
    for rows in [&record.all_interactions, &record.all_connections] {
        let own: Vec<&Value> = rows
            .iter()
            .filter(|row| {
                let text = row.to_string();
                text.contains("selftest") || text.contains("observer-canary")
            })
            .collect();
        assert!(own.is_empty(), "{own:#?}");
    }
    check_chain(&record.seals, &keys)?;
    for seal in &record.seals {
        assert_eq!(seal["selftest_ok"], seal["selftest"] == "ok");
    }
    // Loading the library and half a dozen calls: not 20 ms for each.
    assert!(cpu_ms < 20 * 6, "{cpu_ms} ms");
    println!("{ok} self-tests came through; the helper used {cpu_ms} ms of CPU");
    Ok(())
}

/// A copy of the host's libssl that works, and in which nobody finds the functions: its table of sections lies outside the
/// file, which only the loader does not mind, and the texts by which they are found without names say something else.
fn unreadable_libssl(host: &Host) -> Result<Option<PathBuf>> {
    let places = ["/usr/lib/x86_64-linux-gnu/libssl.so.3", "/usr/lib64/libssl.so.3"];
    let Some(original) = places.iter().find(|path| std::path::Path::new(path).exists()) else {
        return Ok(None);
    };
    let copy = host.dir().join("libssl-unreadable.so.3");
    std::fs::copy(original, &copy)?;
    let mut bytes = std::fs::read(&copy)?;
    // e_shoff of an ELF64 header.
    bytes[40..48].copy_from_slice(&0x7fff_ffff_ffffu64.to_le_bytes());
    for name in [&b"ssl_write_internal"[..], b"ssl_read_internal"] {
        let places: Vec<usize> = (0..bytes.len() - name.len())
            .filter(|at| bytes[*at..].starts_with(name))
            .collect();
        places.into_iter().for_each(|at| bytes[at] = b'x');
    }
    std::fs::write(&copy, bytes)?;
    Ok(Some(copy))
}

#[test]
fn a_self_test_that_no_probe_sees_fails() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        daemon: false,
        ..with_selftest()
    })?;
    let Some(library) = unreadable_libssl(&host)? else {
        skip("no libssl.so.3 in the usual places");
        return Ok(());
    };
    host.set_selftest_library(&library)?;
    host.start_daemon()?;
    std::thread::sleep(SOME_INTERVALS);
    let record = host.end()?;
    let states = selftests(&record.seals);
    assert!(
        states.iter().filter(|state| **state == "failed").count() >= 3,
        "{states:?}"
    );
    assert!(!states.contains(&"ok"), "{states:?}");
    Ok(())
}

#[test]
fn a_host_without_libssl_has_no_result() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options {
        daemon: false,
        ..with_selftest()
    })?;
    host.set_selftest_library("/nonexistent/libssl.so.3".as_ref())?;
    host.start_daemon()?;
    std::thread::sleep(Duration::from_secs(3));
    let record = host.end()?;
    let states = selftests(&record.seals);
    assert!(states.iter().all(|state| *state == "not_measured"), "{states:?}");
    let notes: Vec<String> = record
        .seals
        .iter()
        .map(|seal| seal["notes"].to_string())
        .collect();
    assert!(
        notes.iter().any(|note| note.contains("selftest_unavailable")),
        "{notes:?}"
    );
    assert!(record.seals.iter().all(|seal| seal["selftest_ok"] == false));
    Ok(())
}

#[test]
fn epochs_hang_together_over_a_kill_and_a_restart() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options::default())?;
    std::thread::sleep(Duration::from_secs(2));
    host.daemon()?.signal(Signal::KILL)?;
    host.daemon()?.wait(Duration::from_secs(20))?;
    host.start_daemon()?;
    std::thread::sleep(Duration::from_secs(2));
    assert!(host.daemon()?.stop()?.success());
    host.start_daemon()?;
    std::thread::sleep(Duration::from_secs(2));
    assert!(host.daemon()?.stop()?.success());
    let (seals, keys) = (seals(&host)?, host.rows("host_keys", "valid_from")?);
    let opens: Vec<&Value> = seals.iter().filter(|seal| seal["seal_kind"] == "open").collect();
    let reasons: Vec<&str> = opens
        .iter()
        .filter_map(|seal| seal["open_reason"].as_str())
        .collect();
    assert_eq!(reasons, ["first_start", "unclean", "restart"]);
    assert_eq!(keys.len(), 1, "{keys:#?}");
    assert_eq!(
        (&keys[0]["trust"], &keys[0]["key_role"]),
        (&"first_use".into(), &"host".into())
    );
    // What was sealed and not delivered before the kill may be missing, and then the link says so.
    let (first, rest) = seals.split_at(
        seals
            .iter()
            .position(|s| s["open_reason"] == "unclean")
            .context("no open")?,
    );
    check_chain(first, &keys)?;
    let last = first.last().context("no seal")?;
    let named = &rest[0];
    assert_eq!(named["prev_chain_epoch"], last["chain_epoch"]);
    assert!(named["prev_seal_seq"].as_u64() >= last["seal_seq"].as_u64());
    if named["prev_seal_seq"] == last["seal_seq"] {
        assert_eq!(named["prev_seal_hash"], last["seal_hash"]);
        check_chain(&seals, &keys)?;
    }
    Ok(())
}

#[test]
fn a_rotated_key_signs_from_the_next_seal_on_and_an_anchor_can_be_made() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    let mut host = Host::start(Options::default())?;
    std::thread::sleep(Duration::from_secs(2));
    let observer = |arguments: &[&str]| -> Result<Value> {
        let answer = host.observer(&[arguments, &["--format", "json"]].concat())?;
        Ok(serde_json::from_str(&answer)?)
    };
    let old = observer(&["keys", "show"])?["key_id"].clone();
    let new = observer(&["keys", "rotate"])?["key_id"].clone();
    assert_ne!(old, new);
    std::thread::sleep(Duration::from_millis(3_500));
    let anchor = observer(&["anchor"])?;
    assert_eq!(
        (&anchor["stored"], &anchor["anchor"]["tree_size"]),
        (&true.into(), &1.into())
    );
    let leaf = anchor["anchor"]["leaves"][0].clone();
    let file = anchor["file"].as_str().context("no file")?;
    assert!(std::path::Path::new(file).exists(), "{file}");
    assert!(host.daemon()?.stop()?.success());
    let (seals, keys) = (seals(&host)?, host.rows("host_keys", "valid_from")?);
    check_chain(&seals, &keys)?;
    let signed: Vec<&Value> = seals.iter().map(|seal| &seal["key_id"]).collect();
    assert!(
        signed.first() == Some(&&old) && signed.last() == Some(&&new),
        "{signed:?}"
    );
    let row = keys
        .iter()
        .find(|key| key["key_id"] == new)
        .context("the new key is not enrolled")?;
    assert_eq!((&row["prev_key_id"], &row["trust"]), (&old, &"certified".into()));
    let anchored = seals.iter().any(|seal| seal["seal_hash"] == leaf["seal_hash"]);
    assert!(anchored, "{leaf}");
    Ok(())
}
