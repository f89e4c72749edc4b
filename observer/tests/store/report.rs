//! Numbers of the auditor's pack that a long list or a narrow scope must not change, on the real engine.

use observer::evidence::{FindingRow, InteractionRow, Sequencer, Severity};
use observer::review::Scope;
use observer::review::pack::{Facts, Request, files, gather};
use observer::store::Client;
use observer::verify::Options;
use uuid::Uuid;

use crate::support::*;

const S: i64 = 1_000_000_000;
const T: i64 = 1_790_000_000 * S;

fn sequencer() -> Sequencer {
    Sequencer::new("a host", Uuid::from_u128(1), u64::try_from(T).expect("time"))
}

fn call(model: &str, verdict: &str) -> InteractionRow {
    InteractionRow {
        ts: T + S,
        server_address: "api.example".into(),
        gen_ai_request_model: model.into(),
        process_comm: "python3".into(),
        policy_verdict: verdict.into(),
        ..InteractionRow::unknown()
    }
}

async fn facts(client: &Client, workload: Option<&str>) -> Facts {
    let request = Request {
        scope: Scope {
            from: T,
            to: T + 3_600 * S,
            host: None,
            workload: workload.map(Into::into),
        },
        statement: "all".into(),
        seed: "a".into(),
        sample: 2,
        verify: Options::new(T + 7_200 * S),
    };
    gather(client, request, &mut ()).await.expect("facts")
}

#[tokio::test]
async fn a_list_that_is_cut_keeps_what_is_not_sanctioned_and_all_are_counted() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let mut chain = sequencer();
    // More systems than a list holds, each with more calls than the one that matters.
    let mut calls = Vec::new();
    for n in 0..5_000 {
        for _ in 0..2 {
            calls.push(chain.interaction(call(&format!("invented-{n}"), "sanctioned")));
        }
    }
    calls.push(chain.interaction(call("the-one", "unsanctioned")));
    let rows: Vec<&InteractionRow> = calls.iter().collect();
    client
        .insert_rows(InteractionRow::TABLE, &rows, None)
        .await
        .expect("calls");
    let facts = facts(&client, None).await;
    assert_eq!(
        (facts.systems.len(), facts.cut.as_slice()),
        (5_000, &["systems"][..])
    );
    assert_eq!((facts.all_systems(), facts.calls()), (5_001, 10_001));
    assert_eq!(facts.unsanctioned_systems(), 1);
    assert_eq!(facts.system_total("sanctioned"), (5_000, 10_000));
    let last = facts.systems.last().expect("systems");
    assert_eq!(
        (last.model.as_str(), last.verdict.as_str()),
        ("the-one", "unsanctioned")
    );
    let page = files(&facts).pop().expect("page").content;
    assert!(page.contains("the-one") && !page.contains("No unsanctioned use was observed"));
}

#[tokio::test]
async fn findings_of_a_plain_process_are_those_of_its_calls() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let mut chain = sequencer();
    let call = chain.interaction(call("a-model", "sanctioned"));
    let finding = chain.finding(FindingRow {
        ts: call.ts,
        interaction_hash: call.record_hash,
        finding_type: "secret".into(),
        rule_id: "a-rule".into(),
        severity: Severity::High,
        ..FindingRow::unknown()
    });
    client
        .insert_rows(InteractionRow::TABLE, &[&call], None)
        .await
        .expect("call");
    client
        .insert_rows(FindingRow::TABLE, &[&finding], None)
        .await
        .expect("finding");
    for (workload, expected) in [(None, 1), (Some("python3"), 1), (Some("curl"), 0)] {
        let facts = facts(&client, workload).await;
        let listed: u64 = facts.findings.iter().map(|group| group.findings).sum();
        let open = facts.governance.open();
        assert_eq!(
            (facts.calls(), facts.finding_total(), listed, open),
            (expected, expected, expected, expected),
            "{workload:?}"
        );
    }
}
