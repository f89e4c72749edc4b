//! Ten chained hosts written, verified and measured. As a test it takes few rows and asks for the verdict only;
//! `cargo xtask bench evidence` runs it with a million, and nothing fails when that is slow.

use observer::evidence::{
    Coverage, FindingRow, InteractionRow, Interval, KeyRow, Opening, SealKind, SealRow, Sequencer, Severity,
    Signer, keys::ROLE_HOST,
};
use observer::store::Client;
use observer::verify::{Options, Period, StoreSource, Verdict, run};
use uuid::Uuid;

use crate::support::*;

const T: i64 = 1_790_000_000_000_000_000;
const STEP: i64 = 30_000_000_000;
/// Rows of one insert, as a fleet makes them; the embedded engine takes 400 MiB for one at most.
const BATCH: usize = 5_000;

/// Cheap numbers that are spread like those of many hosts.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// A call as a fleet makes them: few providers and models, hundreds of workloads, ids that are all different.
fn call(dice: &mut Dice, ts: i64) -> InteractionRow {
    const MODELS: [(&str, &str, &str); 6] = [
        ("openai", "api.openai.com", "gpt-5-mini"),
        ("openai", "api.openai.com", "gpt-5"),
        ("anthropic", "api.anthropic.com", "claude-sonnet-4-5"),
        (
            "gcp.gemini",
            "generativelanguage.googleapis.com",
            "gemini-3-flash",
        ),
        (
            "aws.bedrock",
            "bedrock-runtime.eu-central-1.amazonaws.com",
            "anthropic.claude-haiku",
        ),
        ("ollama", "ollama.internal", "llama4"),
    ];
    let (provider, server, model) = MODELS[usize::try_from(dice.roll(6)).expect("small")];
    let workload = dice.roll(200);
    let mut id = [0u8; 16];
    id.iter_mut()
        .for_each(|b| *b = u8::try_from(dice.roll(256)).expect("byte"));
    let input = 50 + dice.roll(4_000);
    InteractionRow {
        ts: ts + i64::try_from(dice.roll(29_000_000_000)).expect("time"),
        duration_ns: 300_000_000 + dice.roll(20_000_000_000),
        time_to_first_chunk_ns: (dice.roll(2) == 0).then(|| 100_000_000 + dice.roll(900_000_000)),
        host_name: "node".into(),
        os_type: "linux".into(),
        k8s_cluster_name: "prod".into(),
        k8s_namespace_name: format!("team-{}", workload % 20),
        k8s_pod_name: format!("service-{workload}-{:08x}", dice.roll(2_000)),
        k8s_pod_uid: Uuid::from_u128(u128::from(dice.roll(2_000))).to_string(),
        k8s_workload_kind: "Deployment".into(),
        k8s_workload_name: format!("service-{workload}"),
        container_id: hex::encode([u8::try_from(dice.roll(200)).expect("byte"); 32]),
        container_image_name: format!("registry.example/service-{workload}"),
        process_pid: u32::try_from(1_000 + dice.roll(30_000)).expect("pid"),
        process_start_ns: dice.roll(1 << 40),
        process_comm: "python3".into(),
        process_executable_path: "/usr/bin/python3.12".into(),
        process_ancestry: vec!["gunicorn".into(), "containerd-shim".into(), "systemd".into()],
        user_id: 1_000,
        server_address: server.into(),
        server_port: 443,
        name_source: "http_host".into(),
        flow_id: dice.roll(1 << 30),
        connection_id: dice.roll(1 << 30),
        tie: "in_call".into(),
        tls_stack: "openssl".into(),
        tls_found_by: "symbols".into(),
        http_request_method: "POST".into(),
        url_path_template: "/v1/chat/completions".into(),
        http_response_status_code: Some(200),
        user_agent: "OpenAI/Python 2.7.1".into(),
        dialect: "openai-chat".into(),
        dialect_evidence: "host".into(),
        gen_ai_provider_name: provider.into(),
        gen_ai_operation_name: "chat".into(),
        gen_ai_request_model: model.into(),
        gen_ai_response_model: model.into(),
        gen_ai_response_id: format!("chatcmpl-{}", hex::encode(id)),
        gen_ai_response_finish_reasons: vec!["stop".into()],
        gen_ai_usage_input_tokens: Some(input),
        gen_ai_usage_output_tokens: Some(dice.roll(900)),
        credential_hmac: [u8::try_from(workload).expect("byte"); 16],
        request_bytes: input * 5,
        response_bytes: 2_000 + dice.roll(9_000),
        scan_bytes_seen: input * 4,
        scan_bytes_scanned: input * 4,
        visibility: "decoded".into(),
        policy_id: "corp".into(),
        policy_version: "2026-11".into(),
        policy_sha256: [7; 32],
        policy_verdict: if dice.roll(20) == 0 {
            "unsanctioned".into()
        } else {
            "sanctioned".into()
        },
        catalog_version: "2026-11-20".into(),
        rule_pack_sha256: [8; 32],
        ..InteractionRow::unknown()
    }
}

/// Fills a store with the calls of one host.
async fn fill(client: &Client, host: &str, calls: usize) {
    let signer = Signer::from_seed(&[3; 32]);
    let mut sequencer =
        Sequencer::new(host, Uuid::from_u128(1), u64::try_from(T).expect("time")).opened(Opening::default());
    sequencer.sign_with(signer.clone());
    let key = KeyRow::first(host, ROLE_HOST, &signer, T);
    client
        .insert_rows(KeyRow::TABLE, &[&key], None)
        .await
        .expect("key");
    let mut dice = Dice(host.bytes().map(u64::from).sum());
    let (mut at, mut seals) = (T, Vec::new());
    let (mut rows, mut findings) = (Vec::with_capacity(BATCH), Vec::new());
    for n in 0..calls {
        let row = sequencer.interaction(call(&mut dice, at));
        if dice.roll(50) == 0 {
            findings.push(sequencer.finding(FindingRow {
                ts: row.ts,
                interaction_hash: row.record_hash,
                finding_type: "pii".into(),
                rule_id: "email".into(),
                severity: Severity::Medium,
                direction: "prompt".into(),
                ..FindingRow::unknown()
            }));
        }
        rows.push(row);
        // About 35 calls in each interval.
        if n % 35 == 34 || n + 1 == calls {
            let kind = if seals.is_empty() && at == T {
                SealKind::Open
            } else {
                SealKind::Interval
            };
            let interval = Interval {
                start: at,
                end: at + STEP,
                mono_start_ns: u64::try_from(at - T).expect("time"),
                mono_end_ns: u64::try_from(at - T + STEP).expect("time"),
            };
            seals.push(sequencer.seal(kind, interval, Coverage::default()));
            at += STEP;
        }
        if rows.len() == BATCH || n + 1 == calls {
            client
                .insert_rows(InteractionRow::TABLE, &rows.iter().collect::<Vec<_>>(), None)
                .await
                .expect("calls");
            client
                .insert_rows(FindingRow::TABLE, &findings.iter().collect::<Vec<_>>(), None)
                .await
                .expect("findings");
            client
                .insert_rows(SealRow::TABLE, &seals.iter().collect::<Vec<_>>(), None)
                .await
                .expect("seals");
            rows.clear();
            findings.clear();
            seals.clear();
        }
    }
}

/// Fills a store, unless it is; gives how long it took.
async fn fill_all(client: &Client, calls: usize) -> Option<std::time::Duration> {
    let there = client
        .rows::<u64>("SELECT count() FROM ai_interactions")
        .await
        .expect("count")[0];
    if there == calls as u64 {
        return None;
    }
    assert_eq!(there, 0, "the store has another number of calls");
    let started = std::time::Instant::now();
    for host in 0..10 {
        fill(client, &format!("host-{host}"), calls / 10).await;
    }
    let filled = started.elapsed();
    for table in ["ai_interactions", "ai_findings", "evidence_seals"] {
        client
            .command(&format!("OPTIMIZE TABLE {table} FINAL"))
            .await
            .ok();
    }
    Some(filled)
}

/// CPU seconds that a process used, by /proc.
fn cpu_seconds(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("stat");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .expect("fields")
        .split_whitespace()
        .collect();
    let ticks: u32 = [11, 12]
        .iter()
        .map(|n| fields[*n].parse::<u32>().expect("ticks"))
        .sum();
    f64::from(ticks) / 100.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence() {
    need_library!();
    let calls: usize = std::env::var("OBSERVER_BENCH_ROWS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(5_000);
    let directory = temporary();
    // A directory of one's own is filled once and measured again and again.
    let kept = std::env::var("OBSERVER_BENCH_STORE").ok();
    let place = kept.as_deref().map_or(directory.path(), std::path::Path::new);
    let store = Store::migrated(place).await;
    let client = store.client();
    let filled = fill_all(&client, calls).await;
    let intervals = i64::try_from(calls).expect("calls") / 350 + 2;
    let mut options = Options::new(T + intervals * STEP);
    options.stale_after = i64::MAX / 4;
    let (mut seconds, mut cpu) = (Vec::new(), Vec::new());
    let mut report = None;
    for _ in 0..3 {
        let mut source = StoreSource::new(client.clone(), Period::default(), None);
        let (started, used) = (
            std::time::Instant::now(),
            [cpu_seconds("self"), cpu_seconds(&store.child.id().to_string())],
        );
        report = Some(run(&mut source, &options, &mut ()).await.expect("verified"));
        seconds.push(started.elapsed().as_secs_f64());
        cpu.push([
            cpu_seconds("self") - used[0],
            cpu_seconds(&store.child.id().to_string()) - used[1],
        ]);
    }
    let report = report.expect("report");
    assert_eq!(report.verdict(), Verdict::Verified, "{}", report.to_json());
    seconds.sort_by(f64::total_cmp);
    cpu.sort_by(|a, b| (a[0] + a[1]).total_cmp(&(b[0] + b[1])));
    let (records, seals) = (report.total(|c| c.records), report.total(|c| c.seals));
    let show = |value: serde_json::Value| println!("BENCH {value}");
    #[expect(clippy::cast_precision_loss, reason = "three digits for people")]
    let rate = |seconds: f64| (records + seals) as f64 / seconds;
    show(serde_json::json!({
        "what": "verify: rows per second", "value": rate(seconds[1]), "unit": "rows/s", "range": [rate(seconds[2]), rate(seconds[0])],
        "note": format!("{records} records and {seals} seals of 10 hosts, 3 runs"),
    }));
    let per_million = |s: f64| 1e6 / rate(s);
    let [verifier, engine] = cpu[1];
    show(serde_json::json!({
        "what": "verify: CPU for a million rows", "value": per_million(verifier + engine), "unit": "s",
        "note": format!("{:.1} s verifier, {:.1} s engine; on 2 cores the greater one is the least time that it takes", per_million(verifier), per_million(engine)),
    }));
    show(serde_json::json!({
        "what": "verify: a million rows", "value": per_million(seconds[1]), "unit": "s", "range": [per_million(seconds[0]), per_million(seconds[2])],
        "aim": "under 10 s", "met": per_million(seconds[1]) < 10.0, "note": "engine and verifier share the cores",
    }));
    if let Some(filled) = filled {
        show(
            serde_json::json!({"what": "make, hash, seal and insert these rows", "value": filled.as_secs_f64(), "unit": "s"}),
        );
    }
    for table in ["ai_interactions", "ai_findings", "evidence_seals"] {
        let bytes = client
            .rows::<u64>(&format!("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table = '{table}' AND database = 'ai_evidence'"))
            .await
            .expect("bytes")[0];
        let rows = client
            .rows::<u64>(&format!("SELECT count() FROM {table}"))
            .await
            .expect("rows")[0];
        #[expect(clippy::cast_precision_loss, reason = "three digits for people")]
        let each = bytes as f64 / rows.max(1) as f64;
        show(
            serde_json::json!({"what": format!("on disk: {table}"), "value": each, "unit": "bytes/row", "note": format!("{rows} rows")}),
        );
    }
}
