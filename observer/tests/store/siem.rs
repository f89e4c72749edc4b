//! Events for a SIEM: each row of the period once.

use std::collections::BTreeSet;
use std::path::Path;

use observer::evidence::{Opening, SealKind};
use observer::siem::{Shape, write};
use observer::verify::Period;
use serde_json::Value;

use crate::support::*;
use crate::verify::{Host, STEP, T};

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("file");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[tokio::test]
async fn each_row_gives_its_events_once_though_it_came_twice() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(&directory.path().join("store")).await;
    let client = store.client();
    let mut host = Host::start("host-a", T, Opening::default()).work(4);
    host.seal(SealKind::Close);
    host.deliver(&client).await;
    client
        .command("INSERT INTO ai_interactions SELECT * FROM ai_interactions")
        .await
        .expect("twice");
    for shape in [Shape::Ocsf, Shape::Otlp] {
        let out = directory.path().join(shape.name());
        let written = write(&client, Period::default(), None, &out, shape, &mut ())
            .await
            .expect("written");
        let calls = lines(&out.join(format!("ai_interactions.{}.jsonl", shape.name())));
        assert!(written[0].rows > 0 && written[1].rows > 0, "{written:?}");
        assert_eq!(calls.len() as u64, written[0].events, "{written:?}");
        if shape == Shape::Ocsf {
            let activities = calls.iter().filter(|e| e["class_uid"] == 6003);
            let uids: Vec<_> = activities.map(|e| e["metadata"]["uid"].to_string()).collect();
            assert_eq!(uids.len() as u64, written[0].rows);
            assert_eq!(uids.iter().collect::<BTreeSet<_>>().len(), uids.len());
        }
    }
    let before = Period {
        from: None,
        to: Some(T - STEP),
    };
    let out = directory.path().join("before");
    let written = write(&client, before, None, &out, Shape::Ocsf, &mut ())
        .await
        .expect("written");
    assert!(
        written.iter().all(|file| file.rows == 0),
        "nothing of another time"
    );
    let error = write(&client, before, None, &out, Shape::Ocsf, &mut ())
        .await
        .expect_err("not empty");
    assert!(error.to_string().contains("is not empty"), "{error}");
}
