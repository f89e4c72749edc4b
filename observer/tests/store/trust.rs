//! Keys that the auditor pinned, on the real engine: chains that another key signed are found, whatever else fits.

use observer::evidence::{KeyRow, Opening, Signer, keys::ROLE_HOST};
use observer::notary::Notary;
use observer::store::Client;
use observer::verify::{Kind, Options, Pins, Report, StoreSource, Verdict, run};

use crate::support::*;
use crate::verify::{Host, STEP, T};

async fn verify(client: &Client, now: i64, trust: Option<&str>) -> Report {
    let mut options = Options::new(now);
    options.trust = trust.map(|text| Pins::parse(text).expect("pins"));
    let mut source = StoreSource::new(client.clone(), options.period, None);
    run(&mut source, &options, &mut ()).await.expect("verified")
}

fn found(report: &Report, host: &str, kind: Kind) -> u64 {
    let host = report.hosts.iter().find(|h| h.host == host);
    host.expect("host").findings.count(kind)
}

#[tokio::test]
async fn a_chain_that_another_key_signed_is_found_where_keys_are_pinned() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let genuine = Host::start("host-a", T, Opening::default()).work(2);
    genuine.deliver(&client).await;
    let pin = format!("host host-a {}", genuine.signer.id());
    let report = verify(&client, genuine.now(), Some(&pin)).await;
    assert_eq!(report.verdict(), Verdict::Verified, "{}", report.to_json());
    assert_eq!(found(&report, "host-a", Kind::KeyFirstUse), 0, "it was compared");

    // Somebody who may write puts a chain of their own in its place, and invents a host.
    for table in ["evidence_seals", "ai_interactions", "ai_findings", "host_keys"] {
        let erase = format!("ALTER TABLE {table} DELETE WHERE 1 SETTINGS mutations_sync = 2");
        client.command(&erase).await.expect("erased");
    }
    for id in ["host-a", "host-x"] {
        let forged = Host::start_with(id, T, Opening::default(), Signer::from_seed(&[201; 32]));
        // Longer than the genuine one: blocks that the engine had before it would not take again.
        forged.work(3).deliver(&client).await;
    }
    let later = genuine.now() + STEP;
    let unpinned = verify(&client, later, None).await;
    assert_eq!(
        unpinned.verdict(),
        Verdict::Verified,
        "nothing else tells: {}",
        unpinned.to_json()
    );
    let report = verify(&client, later, Some(&pin)).await;
    assert_eq!(report.verdict(), Verdict::Findings);
    for host in ["host-a", "host-x"] {
        assert_eq!(found(&report, host, Kind::KeyNotPinned), 1, "{host}");
    }
    // A pinned host of which nothing is there.
    let pins = format!("{pin}\nhost host-b {}", genuine.signer.id());
    let report = verify(&client, later, Some(&pins)).await;
    assert_eq!(found(&report, "host-b", Kind::HostMissing), 1);
}

#[tokio::test]
async fn a_key_that_the_pinned_one_certified_is_as_good_and_one_made_anew_is_not() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let mut host = Host::start("host-a", T, Opening::default());
    let first = host.signer.clone();
    let next = Signer::from_seed(&[41; 32]);
    host.sequencer.sign_with(next.clone());
    let host = host.work(2);
    host.deliver(&client).await;
    let certificate = KeyRow::following("host-a", ROLE_HOST, &next, T + 1, &first);
    client
        .insert_rows(KeyRow::TABLE, &[&certificate], None)
        .await
        .expect("certificate");
    // By the older, by the newer, by neither.
    for (signer, expected) in [(&first, 0), (&next, 0), (&Signer::from_seed(&[1; 32]), 2)] {
        let pin = format!("host host-a {}", hex::encode(signer.public()));
        let report = verify(&client, host.now(), Some(&pin)).await;
        assert_eq!(
            found(&report, "host-a", Kind::KeyNotPinned),
            expected,
            "{}",
            report.to_json()
        );
    }
    // The certificate by the pinned key is gone, and the new one vouches for itself.
    client
        .command("ALTER TABLE host_keys DELETE WHERE prev_key_id != '' SETTINGS mutations_sync = 2")
        .await
        .expect("erased");
    let own = KeyRow::first("host-a", ROLE_HOST, &next, T + 1);
    client
        .insert_rows(KeyRow::TABLE, &[&own], None)
        .await
        .expect("own");
    let pin = format!("host host-a {}", first.id());
    let report = verify(&client, host.now(), Some(&pin)).await;
    assert_eq!(found(&report, "host-a", Kind::KeyNotPinned), 1);
}

#[tokio::test]
async fn anchors_of_a_notary_that_is_not_pinned_are_found() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let host = Host::start("host-a", T, Opening::default()).work(1);
    host.deliver(&client).await;
    let (keys, files) = (directory.path().join("keys"), directory.path().join("anchors"));
    let notary = Notary::open("n", &keys, files, T).expect("notary");
    notary.anchor(&client, T / 1_000_000).await.expect("anchor");
    let right = client
        .rows::<String>("SELECT key_id FROM host_keys WHERE key_role = 'notary'")
        .await
        .expect("key");
    let host_pin = format!("host host-a {}", host.signer.id());
    for (notary, expected) in [
        (format!("notary n {}", right[0]), 0),
        (format!("notary n {}", host.signer.id()), 1),
        (String::new(), 0),
    ] {
        let report = verify(&client, host.now(), Some(&format!("{host_pin}\n{notary}"))).await;
        assert_eq!(report.general.count(Kind::KeyNotPinned), expected, "{notary}");
    }
}
