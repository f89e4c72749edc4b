//! Bundles: what is exported verifies offline, and what was changed in it is found.

use std::path::Path;

use observer::bundle::{BundleSource, MANIFEST, export};
use observer::evidence::{Opening, SealKind};
use observer::notary::Notary;
use observer::verify::{Kind, Options, Period, Report, Verdict, run};

use crate::support::*;
use crate::verify::{Host, STEP, T};

async fn verify(directory: &Path) -> Report {
    let mut source = BundleSource::open(directory).expect("bundle");
    let mut options = Options::new(source.manifest.made_at);
    options.period = Period {
        from: source.manifest.from,
        to: source.manifest.to,
    };
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
