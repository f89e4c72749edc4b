//! The notary against a real store.

use observer::evidence::{AnchorRow, Coverage, Interval, KeyRow, SealKind, SealRow, Sequencer};
use observer::notary::{Notary, newest, read};
use observer::store::Client;
use uuid::Uuid;

use crate::support::*;

fn seal(sequencer: &mut Sequencer) -> SealRow {
    let interval = Interval {
        start: 1_790_000_000_000_000_000,
        end: 1_790_000_030_000_000_000,
        mono_start_ns: 1,
        mono_end_ns: 2,
    };
    sequencer.seal(SealKind::Interval, interval, Coverage::default())
}

async fn insert(client: &Client, seals: &[&SealRow]) {
    client
        .insert_rows(SealRow::TABLE, seals, None)
        .await
        .expect("seals");
}

async fn stored(client: &Client) -> Vec<AnchorRow> {
    let rows = client
        .raw()
        .query("SELECT ?fields FROM v_anchors ORDER BY anchor_seq")
        .fetch_all();
    rows.await.expect("anchors")
}

#[tokio::test]
async fn anchors_hold_the_newest_seal_of_each_chain_and_name_the_one_before() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let epoch = 1_790_000_000_000_000_000;
    let mut chains = ["host-b", "host-a"].map(|host| Sequencer::new(host, Uuid::from_u128(0x0a), epoch));
    let seals: Vec<SealRow> = chains.iter_mut().flat_map(|c| [seal(c), seal(c)]).collect();
    insert(&client, &seals.iter().collect::<Vec<_>>()).await;

    let files = directory.path().join("anchors");
    let keys = directory.path().join("keys");
    let now_ms = client
        .rows::<i64>("SELECT toUnixTimestamp64Milli(now64(3))")
        .await
        .expect("clock")[0];
    let open = || Notary::open("n'\\o", &keys, files.clone(), now_ms * 1_000_000);
    let notary = open().expect("notary");
    let first = notary.anchor(&client, now_ms).await.expect("first").anchor;
    assert_eq!(
        first.leaves,
        [
            ("host-a".to_owned(), epoch, 2, seals[3].seal_hash),
            ("host-b".to_owned(), epoch, 2, seals[1].seal_hash),
        ]
    );
    let public = notary.keys.signer().public();
    assert_eq!(first.check(&public), Ok(()));

    // Only one chain goes on; ten hours later the other is no news.
    let next = seal(&mut chains[0]);
    client
        .command("ALTER TABLE evidence_seals UPDATE ingested_at = ingested_at - INTERVAL 10 HOUR WHERE 1 SETTINGS mutations_sync = 2")
        .await
        .expect("time passes");
    insert(&client, &[&next]).await;
    let made = open()
        .expect("again")
        .anchor(&client, now_ms - 5)
        .await
        .expect("second");
    let second = made.anchor;
    assert_eq!(second.leaves, [("host-b".to_owned(), epoch, 3, next.seal_hash)]);
    assert_eq!(second.prev_anchor_hash, first.anchor_hash);
    assert!(
        second.anchored_at > first.anchored_at,
        "a clock that went back does not turn the order"
    );
    assert_eq!(stored(&client).await, [first, second.clone()]);
    let (anchor, certificate) = read(&made.file).expect("file");
    assert_eq!(anchor, second);
    let certificate = certificate.expect("with its certificate");
    assert_eq!(
        (certificate.key_id.as_str(), certificate.key_role.as_str()),
        (second.key_id.as_str(), "notary")
    );
    let keys: Vec<KeyRow> = client
        .raw()
        .query("SELECT ?fields FROM v_host_keys")
        .fetch_all()
        .await
        .expect("keys");
    assert_eq!(keys, [certificate]);
}

#[tokio::test]
async fn a_directory_that_is_behind_the_store_is_refused_and_another_name_too() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let (files, keys) = (directory.path().join("anchors"), directory.path().join("keys"));
    let notary = Notary::open("n", &keys, files.clone(), 1).expect("notary");
    let made = notary.anchor(&client, 5).await.expect("an anchor over nothing");
    assert_eq!(made.anchor.tree_size, 0);
    std::fs::remove_file(&made.file).expect("removed");
    let error = notary.anchor(&client, 6).await.expect_err("behind").to_string();
    assert!(
        error.contains("the store has anchor 1 of the notary n, and"),
        "{error}"
    );
    let error = Notary::open("m", &keys, files, 1)
        .expect_err("other name")
        .to_string();
    assert!(error.contains("is that of the notary n, not of m"), "{error}");
}

#[tokio::test]
async fn a_store_that_refuses_rows_gets_all_of_them_with_the_next_anchor() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let files = directory.path().join("anchors");
    let notary = Notary::open("n", &directory.path().join("keys"), files.clone(), 1).expect("notary");
    client
        .command("RENAME TABLE host_keys TO away")
        .await
        .expect("away");
    let mut anchors = Vec::new();
    for at in [5, 6, 7] {
        let made = notary.anchor(&client, at).await.expect("the file is what counts");
        assert!(made.not_stored.is_some());
        assert_eq!(newest(&files, "n").expect("file"), Some(made.anchor.clone()));
        anchors.push(made.anchor);
    }
    client
        .command("RENAME TABLE away TO host_keys")
        .await
        .expect("back");
    let next = notary.anchor(&client, 8).await.expect("next");
    assert!(next.not_stored.is_none(), "{:?}", next.not_stored);
    anchors.push(next.anchor);
    assert_eq!(stored(&client).await, anchors);
}

const HOUR_MS: i64 = 3_600_000;

#[tokio::test]
async fn a_clock_that_was_ahead_once_hides_no_seal() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let files = directory.path().join("anchors");
    let notary = Notary::open("n", &directory.path().join("keys"), files, 1).expect("notary");
    let now_ms = client
        .rows::<i64>("SELECT toUnixTimestamp64Milli(now64(3))")
        .await
        .expect("clock")[0];
    // As if the seal had come so many hours ago.
    let hours_ago = async |seal: &SealRow, hours: u32| {
        insert(&client, &[seal]).await;
        let update = format!(
            "ALTER TABLE evidence_seals UPDATE ingested_at = ingested_at - INTERVAL {hours} HOUR WHERE host_id = '{}' AND seal_seq = {} \
             SETTINGS mutations_sync = 2",
            seal.host_id, seal.seal_seq
        );
        client.command(&update).await.expect("time passes");
    };
    let epoch = 1_790_000_000_000_000_000;
    let mut old = Sequencer::new("host-a", Uuid::from_u128(0x0a), epoch);
    let mut chain = Sequencer::new("host-b", Uuid::from_u128(0x0b), epoch);
    hours_ago(&seal(&mut old), 30).await;
    hours_ago(&seal(&mut chain), 30).await;
    let made = async |at| notary.anchor(&client, at).await.expect("anchor").anchor;
    assert_eq!(made(now_ms - 24 * HOUR_MS).await.tree_size, 2);
    let ahead = made(now_ms + 365 * 24 * HOUR_MS).await;
    assert_eq!(ahead.tree_size, 0);
    // It ended before the clock was right again, and more than an hour before the next anchor.
    let last = seal(&mut chain);
    hours_ago(&last, 10).await;
    for nth in 1..=2 {
        let after = made(now_ms).await;
        assert_eq!(
            after.leaves,
            [("host-b".to_owned(), epoch, 2, last.seal_hash)],
            "{nth}"
        );
        assert_eq!(after.anchored_at, ahead.anchored_at + nth);
    }
}
