//! Both halves of a call that a gateway passed on, on one host and on two.

use observer::evidence::{InteractionRow, Sequencer};
use uuid::Uuid;

use crate::support::*;

const START: i64 = 1_790_000_000_000_000_000;
const MS: i64 = 1_000_000;

/// A call that began so many milliseconds after the start, and took so many.
fn call(pid: u32, begin_ms: i64, took_ms: u64) -> InteractionRow {
    InteractionRow {
        ts: START + begin_ms * MS,
        duration_ns: took_ms * 1_000_000,
        process_pid: pid,
        process_executable_path: format!("/usr/bin/program-{pid}"),
        hmac_key_id: "fleet-1".to_owned(),
        ..InteractionRow::unknown()
    }
}

fn prompt(row: InteractionRow, prompt: u8, key: &str) -> InteractionRow {
    InteractionRow {
        prompt_hmac: [prompt; 32],
        hmac_key_id: key.to_owned(),
        ..row
    }
}

fn trace(row: InteractionRow, trace: &str) -> InteractionRow {
    InteractionRow {
        trace_id: trace.to_owned(),
        ..row
    }
}

async fn store_calls(store: &Store, host: &str, calls: Vec<InteractionRow>) {
    let mut sequencer = Sequencer::new(host, Uuid::from_u128(7), START as u64);
    let rows: Vec<InteractionRow> = calls
        .into_iter()
        .map(|row| InteractionRow {
            host_name: host.to_owned(),
            ..row
        })
        .map(|row| sequencer.interaction(row))
        .collect();
    let rows: Vec<&InteractionRow> = rows.iter().collect();
    let sent = store
        .client()
        .insert_rows(InteractionRow::TABLE, &rows, Some(host))
        .await;
    sent.expect("insert");
}

#[tokio::test]
async fn the_caller_is_named_on_the_same_host_and_on_another() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let callers = vec![
        // A relay on the same host passes this on (program 20).
        prompt(call(10, 0, 500), 1, "fleet-1"),
        prompt(call(20, 100, 300), 1, "fleet-1"),
        // A gateway elsewhere does, whose clock is 1.5 s behind.
        trace(call(11, 5_000, 400), "trace-a"),
        // The same prompt, under the key of the other host and under another.
        prompt(call(12, 10_000, 400), 2, "fleet-1"),
        prompt(call(13, 20_000, 400), 3, "fleet-1"),
        // Ended long before the other began.
        trace(call(14, 30_000, 400), "trace-b"),
    ];
    let gateway = vec![
        trace(call(30, 3_550, 300), "trace-a"),
        prompt(call(31, 10_050, 300), 2, "fleet-1"),
        prompt(call(32, 20_050, 300), 3, "its-own"),
        trace(call(33, 40_000, 300), "trace-b"),
        // As long as nobody's call.
        trace(call(34, 5_000, 900), "trace-a"),
    ];
    store_calls(&store, "office", callers).await;
    store_calls(&store, "gateway", gateway).await;
    let sql = "SELECT host_name, gateway_pid, caller_host_name, caller_pid, joined_by, callers \
               FROM pv_gateway_calls(from='2026-01-01', to='2027-01-01') ORDER BY ts FORMAT TSV";
    let got = store.post("/?database=ai_evidence", sql.as_bytes()).ok();
    let want = "office\t20\toffice\t10\t['prompt']\t1\n\
                gateway\t30\toffice\t11\t['trace_id']\t1\n\
                office\t11\tgateway\t34\t['trace_id']\t1\n\
                gateway\t31\toffice\t12\t['prompt']\t1\n";
    assert_eq!(got, want);
}
