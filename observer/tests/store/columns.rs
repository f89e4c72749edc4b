//! Every column of every table of records, blank and filled to its limits, goes through the engine and back with its hash.

use observer::evidence::{
    BlindSpotRow, ConnectionRow, Coverage, FindingRow, InteractionRow, Interval, KeyRow, Opening, SealKind,
    SealRow, Sequencer, Signer, keys::ROLE_HOST,
};
use observer::verify::{Options, StoreSource, Verdict, run};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::*;
use crate::verify::{STEP, T};

/// What a column may hold at most; the first value that its type takes is the one. Texts of more than nine and more than 127 bytes
/// have another length before them.
fn candidates(name: &str, now: &Value) -> Vec<Value> {
    if name == "ts" || name == "closed_ts" {
        return vec![json!(T + 1)];
    }
    let long = "é'\\\"\n\t\u{0}".repeat(40);
    let digest: Vec<u8> = (1..=64).collect();
    let whole = now.as_array().map_or(0, Vec::len);
    vec![
        json!(long),
        json!("fd00::1:2"),
        json!(true),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(u32::MAX),
        json!(i32::MIN),
        json!(u16::MAX),
        json!(5),
        json!(digest[..whole]),
        json!([long, "", "0123456789"]),
        json!([u64::MAX, 0, 1]),
        json!([digest[..16], digest[16..32]]),
    ]
}

/// The row with every field at its limit.
fn filled<T: Serialize + DeserializeOwned>(row: &T) -> T {
    let mut fields = serde_json::to_value(row).expect("JSON");
    let names: Vec<String> = fields.as_object().expect("fields").keys().cloned().collect();
    for name in names {
        let now = fields[&name].clone();
        let set = candidates(&name, &now).into_iter().any(|value| {
            let takes = value != now && !(value == json!([]));
            fields[&name] = value;
            takes && serde_json::from_value::<T>(fields.clone()).is_ok()
        });
        assert!(set, "no value for {name}, which is {now}");
    }
    serde_json::from_value(fields).expect("a row")
}

#[tokio::test]
async fn every_column_comes_back_with_its_hash() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let signer = Signer::from_seed(&[3; 32]);
    let epoch = u64::try_from(T).expect("time");
    let mut chain = Sequencer::new("a host", Uuid::from_u128(1), epoch).opened(Opening::default());
    chain.sign_with(signer.clone());
    macro_rules! store_rows {
        ($row:ident, $number:ident) => {
            let blank = $row {
                ts: T,
                ..$row::unknown()
            };
            for row in [filled(&blank), blank] {
                let row = chain.$number(row);
                client
                    .insert_rows($row::TABLE, &[&row], None)
                    .await
                    .expect("stored");
            }
        };
    }
    store_rows!(InteractionRow, interaction);
    store_rows!(FindingRow, finding);
    store_rows!(ConnectionRow, connection);
    store_rows!(BlindSpotRow, blind_spot);
    let interval = Interval {
        start: T,
        end: T + STEP,
        mono_start_ns: 0,
        mono_end_ns: u64::try_from(STEP).expect("time"),
    };
    let seal = chain.seal(SealKind::Open, interval, Coverage::default());
    client
        .insert_rows(SealRow::TABLE, &[&seal], None)
        .await
        .expect("seal");
    let key = KeyRow::first("a host", ROLE_HOST, &signer, T);
    client
        .insert_rows(KeyRow::TABLE, &[&key], None)
        .await
        .expect("key");
    let options = Options::new(T + STEP);
    let mut source = StoreSource::new(client.clone(), options.period, None);
    let report = run(&mut source, &options, &mut ()).await.expect("verified");
    assert_eq!(report.verdict(), Verdict::Verified, "{}", report.to_json());
    assert_eq!(report.total(|c| c.records), 8);
}
