//! Rows of older forms, against the real engine: columns that came later are in no hash of theirs, and so must say nothing.

use observer::evidence::{ConnectionRow, InteractionRow, Opening, SealRow};
use observer::store::Client;
use observer::verify::{Options, Period, Report, StoreSource, Verdict, run};
use sha2::{Digest, Sha256};

use crate::support::*;
use crate::verify::{Host, T, words};

async fn verify(client: &Client, now: i64) -> Report {
    let mut source = StoreSource::new(client.clone(), Period::default(), None);
    run(&mut source, &Options::new(now), &mut ())
        .await
        .expect("verified")
}

async fn put(client: &Client, row: &ConnectionRow) {
    client
        .insert_rows(ConnectionRow::TABLE, &[row], None)
        .await
        .expect("put in");
}

/// A connection of form 4 and the seal that counts it, as an agent of that time made them.
async fn older(client: &Client) -> (Host, ConnectionRow) {
    let mut host = Host::start("host-a", T, Opening::default());
    let seal: &mut SealRow = &mut host.seals[0];
    let mut row = ConnectionRow {
        host_id: host.id.clone(),
        chain_epoch: seal.chain_epoch,
        seal_seq: 1,
        rec_seq: 1,
        ts: T + 1,
        closed_ts: T + 2,
        canon_v: 4,
        ..ConnectionRow::unknown()
    };
    row.record_hash = row.digest();
    (seal.first_rec_seq, seal.n_records) = (1, 1);
    seal.records_digest = Sha256::digest(hex::encode(row.record_hash)).into();
    seal.seal_hash = seal.digest();
    seal.signature = host.signer.sign(&seal.seal_hash);
    host.deliver(client).await;
    put(client, &row).await;
    (host, row)
}

#[tokio::test]
async fn a_column_that_came_after_a_row_cannot_be_filled_in() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let (host, row) = older(&client).await;
    let report = verify(&client, host.now()).await;
    assert_eq!(report.verdict(), Verdict::Verified, "{}", report.to_json());
    for column in [
        "enforcement = 'denied'",
        "enforcement_attempts = 4294967295",
        "k8s_pod_name = 'p'",
    ] {
        let update =
            |to: &str| format!("ALTER TABLE ai_connections UPDATE {to} WHERE 1 SETTINGS mutations_sync = 2");
        client.command(&update(column)).await.expect("edited");
        let report = verify(&client, host.now()).await;
        assert_eq!(words(&report, "host-a"), [("record_changed", 1)], "{column}");
        let (name, _) = column.split_once(" =").expect("a column");
        client
            .command(&update(&format!("{name} = defaultValueOfArgumentType({name})")))
            .await
            .expect("as it was");
    }
    assert_eq!(verify(&client, host.now()).await.verdict(), Verdict::Verified);
    // A second copy with the same hash, which a view that drops second copies may show.
    let copy = ConnectionRow {
        enforcement: "denied".into(),
        ..row
    };
    put(&client, &copy).await;
    let report = verify(&client, host.now()).await;
    assert_eq!(words(&report, "host-a"), [("record_changed", 1)]);
}

#[tokio::test]
async fn what_the_store_gives_to_rows_that_do_not_name_a_column_is_nothing() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    // Rows of the first form that name what all rows have: the rest is what the tables give.
    let call = InteractionRow {
        host_id: "host-a".into(),
        rec_seq: 1,
        ts: T,
        canon_v: 1,
        login_uid: 0,
        ..InteractionRow::unknown()
    };
    let connection = ConnectionRow {
        host_id: "host-a".into(),
        rec_seq: 2,
        ts: T,
        canon_v: 1,
        login_uid: 0,
        socket_fd: 0,
        ..ConnectionRow::unknown()
    };
    for (table, rec_seq, hash) in [
        (InteractionRow::TABLE, 1, call.digest()),
        (ConnectionRow::TABLE, 2, connection.digest()),
    ] {
        let insert = format!(
            "INSERT INTO {table} (ts, host_id, chain_epoch, seal_seq, rec_seq, record_hash, canon_v) \
             VALUES (fromUnixTimestamp64Nano({T}, 'UTC'), 'host-a', 0, 0, {rec_seq}, unhex('{}'), 1)",
            hex::encode(hash)
        );
        client.command(&insert).await.expect("stored");
    }
    let report = verify(&client, T).await;
    assert_eq!(
        words(&report, "host-a"),
        [("record_unsealed", 2), ("host_missing", 1)],
        "they have no seal, and are as they were hashed"
    );
}
