//! Bundles: what is exported verifies offline, and what was changed in it is found.

use std::{path::Path, process::Command};

use observer::bundle::{BundleSource, MANIFEST, export};
use observer::evidence::{Opening, SealKind};
use observer::notary::Notary;
use observer::verify::{Kind, Options, Period, Report, Source, Verdict, run};
use serde_json::Value;

use crate::support::*;
use crate::verify::{Host, STEP, T};

async fn verify(directory: &Path) -> Report {
    let mut source = BundleSource::open(directory).expect("bundle");
    let options = source.options(Options::new(T + 7 * STEP));
    run(&mut source, &options, &mut ()).await.expect("verified")
}

/// A store with two hosts and an anchor, and a bundle of it.
async fn bundle(directory: &Path, period: Period, attack: &str) -> Host {
    let store = Store::migrated(&directory.join("store")).await;
    let client = store.client();
    let mut hosts = ["host-a", "host-b"].map(|id| Host::start(id, T, Opening::default()).work(4));
    for host in &mut hosts {
        host.seal(SealKind::Close);
        host.deliver(&client).await;
    }
    let keys = directory.join("keys");
    let notary = Notary::open("n", &keys, directory.join("anchors"), T).expect("notary");
    notary.anchor(&client, T / 1_000_000).await.expect("anchor");
    if !attack.is_empty() {
        client.command(attack).await.expect("attack");
    }
    let out = directory.join("bundle");
    let exported = export(&client, period, None, &out, hosts[0].now(), &mut ())
        .await
        .expect("exported");
    assert_eq!(exported.manifest.hosts.len(), 2);
    let [host, _] = hosts;
    host
}

#[tokio::test]
async fn a_bundle_verifies_without_the_store_as_the_store_does() {
    need_library!();
    let directory = temporary();
    bundle(directory.path(), Period::default(), "").await;
    let report = verify(&directory.path().join("bundle")).await;
    assert_eq!(report.verdict(), Verdict::Verified, "{}", report.to_json());
    assert_eq!((report.total(|c| c.seals), report.total(|c| c.records)), (12, 48));
    assert_eq!((report.anchors, report.total(|c| c.anchored)), (1, 2));
}

#[tokio::test]
async fn a_bundle_of_a_period_is_no_gap() {
    need_library!();
    let directory = temporary();
    let period = Period {
        from: Some(T + 2 * STEP),
        to: Some(T + 4 * STEP),
    };
    bundle(directory.path(), period, "").await;
    let report = verify(&directory.path().join("bundle")).await;
    assert_eq!(report.verdict(), Verdict::Verified, "{}", report.to_json());
    assert_eq!((report.total(|c| c.seals), report.total(|c| c.records)), (4, 24));
}

#[tokio::test]
async fn what_was_wrong_in_the_store_is_wrong_in_the_bundle() {
    need_library!();
    let directory = temporary();
    let attack = "ALTER TABLE ai_interactions DELETE WHERE host_id = 'host-a' AND rec_seq = 3 SETTINGS mutations_sync = 2";
    bundle(directory.path(), Period::default(), attack).await;
    let report = verify(&directory.path().join("bundle")).await;
    assert_eq!(report.verdict(), Verdict::Findings);
    assert_eq!(report.found(&[Kind::RecordMissing]), 1);
}

#[tokio::test]
async fn a_flipped_byte_a_missing_file_and_a_new_manifest_are_found() {
    need_library!();
    let directory = temporary();
    bundle(directory.path(), Period::default(), "").await;
    let out = directory.path().join("bundle");
    let path = out.join("ai_interactions.jsonl.zst");
    let good = std::fs::read(&path).expect("file");
    for at in [0, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&path, bad).expect("written");
        let report = verify(&out).await;
        assert_eq!(report.verdict(), Verdict::Findings);
        let general = report.general.kept();
        assert!(
            general[0]
                .detail
                .contains("ai_interactions.jsonl.zst: is not the one"),
            "{general:?}"
        );
    }
    std::fs::write(&path, &good[..good.len() - 1]).expect("written");
    assert!(
        verify(&out).await.general.kept()[0]
            .detail
            .contains("bytes, the manifest says")
    );
    std::fs::remove_file(&path).expect("removed");
    assert!(verify(&out).await.general.kept()[0].detail.contains("is missing"));
    // Whoever changes a row can make a manifest that fits. The seals do not fit.
    let text = String::from_utf8(zstd::decode_all(&good[..]).expect("zstd")).expect("text");
    let changed = text.replacen("api.example", "bad.example", 1);
    let forged = zstd::encode_all(changed.as_bytes(), 3).expect("zstd");
    std::fs::write(&path, &forged).expect("written");
    let manifest = std::fs::read_to_string(out.join(MANIFEST)).expect("manifest");
    let digest = |bytes: &[u8]| hex::encode(<sha2::Sha256 as sha2::Digest>::digest(bytes));
    let manifest = manifest.replace(&digest(&good), &digest(&forged)).replace(
        &format!("\"bytes\": {}", good.len()),
        &format!("\"bytes\": {}", forged.len()),
    );
    std::fs::write(out.join(MANIFEST), manifest).expect("manifest");
    let report = verify(&out).await;
    assert_eq!(report.verdict(), Verdict::Findings, "{}", report.to_json());
    assert_eq!(report.found(&[Kind::RecordChanged]), 1);
    // A line that is no row stops the reading of that file, and is said.
    let cut = zstd::encode_all(&text.as_bytes()[..text.len() - 10], 3).expect("zstd");
    std::fs::write(&path, &cut).expect("written");
    let manifest = std::fs::read_to_string(out.join(MANIFEST)).expect("manifest");
    let manifest = manifest.replace(&digest(&forged), &digest(&cut)).replace(
        &format!("\"bytes\": {}", forged.len()),
        &format!("\"bytes\": {}", cut.len()),
    );
    std::fs::write(out.join(MANIFEST), manifest).expect("manifest");
    let report = verify(&out).await;
    assert_eq!(report.found(&[Kind::BundleDamaged]), 1, "{}", report.to_json());
    std::fs::remove_file(out.join(MANIFEST)).expect("removed");
    let error = format!("{:#}", BundleSource::open(&out).err().expect("no manifest"));
    assert!(error.contains("manifest.json"), "{error}");
}

#[tokio::test]
async fn a_directory_that_holds_something_is_refused() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(&directory.path().join("store")).await;
    let out = directory.path().join("out");
    std::fs::create_dir(&out).expect("directory");
    std::fs::write(out.join("x"), "x").expect("file");
    let error = export(&store.client(), Period::default(), None, &out, 1, &mut ())
        .await
        .expect_err("refused");
    assert!(format!("{error:#}").contains("is not empty"), "{error:#}");
}

/// Writes a file of a bundle anew, and a manifest that fits.
fn put(bundle: &Path, name: &str, lines: &[&str], manifest: impl FnOnce(&mut Value)) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let bytes = zstd::encode_all(text.as_bytes(), 3).expect("zstd");
    std::fs::write(bundle.join(name), &bytes).expect("written");
    let path = bundle.join(MANIFEST);
    let mut value: Value = serde_json::from_slice(&std::fs::read(&path).expect("manifest")).expect("JSON");
    let files = value["files"].as_array_mut().expect("files");
    let file = files.iter_mut().find(|file| file["name"] == name).expect("file");
    file["bytes"] = bytes.len().into();
    file["rows"] = lines.len().into();
    file["sha256"] = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&bytes)).into();
    manifest(&mut value);
    std::fs::write(&path, value.to_string()).expect("manifest");
}

fn text(bundle: &Path, name: &str) -> String {
    let bytes = std::fs::read(bundle.join(name)).expect("file");
    String::from_utf8(zstd::decode_all(&bytes[..]).expect("zstd")).expect("text")
}

#[tokio::test]
async fn a_manifest_that_makes_rows_older_than_they_are_excuses_nothing() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(&directory.path().join("store")).await;
    let client = store.client();
    let host = Host::start("host-a", T, Opening::default()).work(4);
    host.deliver(&client).await;
    let out = directory.path().join("bundle");
    export(&client, Period::default(), None, &out, host.now(), &mut ())
        .await
        .expect("exported");
    let calls = text(&out, "ai_interactions.jsonl.zst");
    let left: Vec<&str> = calls.lines().skip(3).collect();
    put(&out, "ai_interactions.jsonl.zst", &left, |_| {});
    // Long after all that is kept; and the host is said to be gone, so that its chain may end.
    let later = 4_102_444_800_000_000_000_i64;
    let gone = format!("{{\"host_id\":\"host-a\",\"gone_at\":{}}}", host.at / 1_000_000);
    put(&out, "host_inventory.jsonl.zst", &[&gone], |manifest| {
        manifest["made_at"] = later.into();
    });
    let output = Command::new(env!("CARGO_BIN_EXE_observer"))
        .args(["verify", "--format", "json", "--bundle"])
        .arg(&out)
        .output()
        .expect("observer");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let counts = &report["hosts"][0]["counts"];
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert_eq!(
        (&counts["record_missing"], &counts["retention_expired"]),
        (&3.into(), &Value::Null),
        "{report}"
    );
}

#[tokio::test]
async fn a_number_that_stands_there_again_and_again_does_not_fill_the_memory() {
    need_library!();
    let directory = temporary();
    bundle(directory.path(), Period::default(), "").await;
    let out = directory.path().join("bundle");
    let seals = text(&out, "evidence_seals.jsonl.zst");
    let first = seals.lines().next().expect("a seal");
    let many = vec![first; 30_000];
    put(&out, "evidence_seals.jsonl.zst", &many, |_| {});
    let mut source = BundleSource::open(&out).expect("bundle");
    let page = source.seals("host-a", None).await.expect("a page");
    assert_eq!(page.seals.len(), 1_000);
    assert!(source.damage()[0].contains("too many seals of one number"));
}
