//! Schema and rows: what the writer delivers is what can be read.

use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use observer::evidence::{
    BlindSpotRow, Book, ConnectionRow, Coverage, FindingRow, InteractionRow, Interval, KeyRow, SealKind,
    SealRow, SealedLoss, SelfTest, Sequencer, Severity, Signer, Table, keys, verify_signature,
};
use observer::spool::{LossReason, Spool, SpoolOptions};
use observer::store::migrate;
use observer::store::migrate::MIGRATIONS;
use observer::store::{ErrorKind, Writer, WriterOptions};
use tokio::time::Instant;
use uuid::Uuid;

use crate::support::*;

#[tokio::test]
async fn schema_is_created_once_and_refused_when_it_does_not_fit() {
    need_library!();
    let directory = temporary();
    let store = Store::start(directory.path()).await;
    let client = store.client();
    let all: Vec<u32> = MIGRATIONS.iter().map(|m| m.version).collect();
    assert_eq!(migrate(&client).await.expect("first"), all);
    assert_eq!(migrate(&client).await.expect("second"), [0; 0]);
    let tables = client
        .rows::<String>("SELECT name FROM system.tables WHERE database = 'ai_evidence'")
        .await;
    let tables = tables.expect("tables");
    for name in [
        "ai_interactions",
        "evidence_seals",
        "blind_spots",
        "pv_findings",
        "v_records",
        "v_requests",
        "ai_usage_hourly_mv",
    ] {
        assert!(
            tables.iter().any(|t| t == name),
            "{name} is missing in {tables:?}"
        );
    }
    assert_eq!(tables.len(), 40, "{tables:?}");
    client
        .command("INSERT INTO schema_migrations (version, name, sha256) VALUES (99, 'later', unhex(repeat('00', 32)))")
        .await
        .expect("a newer program was here");
    let error = migrate(&client).await.expect_err("newer").to_string();
    assert!(error.contains("schema version 99"), "{error}");
}

fn interaction() -> InteractionRow {
    InteractionRow {
        ts: 1_790_000_000_123_456_789,
        duration_ns: 5,
        // Bytes 0a 0a in binary rows: a blank line to the engine's own parser.
        process_start_ns: 0x0a0a_0a0a_0a0a_0a0a,
        user_agent: "a\n\nb'\\\t\0c; DROP TABLE ai_interactions".into(),
        process_ancestry: vec!["bash".into(), "sshd".into()],
        server_address: "api.example".into(),
        network_peer_address: Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x0a0a, 0x0a0a),
        policy_sha256: [0x0a; 32],
        gen_ai_usage_input_tokens: Some(0),
        gen_ai_usage_output_tokens: None,
        gen_ai_usage_reasoning_output_tokens: Some(u64::MAX),
        http_response_status_code: None,
        time_to_first_chunk_ns: Some(7),
        gen_ai_request_stream: true,
        tool_names: vec!["tøol".into(), String::new()],
        tool_call_count: Some(2),
        tool_call_names: vec!["tøol".into(), String::new()],
        tool_call_bytes: vec![0x0a0a, u64::MAX],
        request_seq: 0x0a0a,
        attempt_number: Some(u16::MAX),
        ratelimit_tokens_remaining: Some(0),
        ..InteractionRow::unknown()
    }
}

fn finding(of: &InteractionRow) -> FindingRow {
    FindingRow {
        ts: of.ts,
        interaction_hash: of.record_hash,
        severity: Severity::Critical,
        value_hmac: vec![[0x0a; 16], [1; 16]],
        match_count: 2,
        ..FindingRow::unknown()
    }
}

fn connection() -> ConnectionRow {
    ConnectionRow {
        ts: 1_790_000_000_000_000_000,
        closed_ts: i64::MAX,
        tls_ech: true,
        tls_found_by: "structure".into(),
        ..ConnectionRow::unknown()
    }
}

fn blind_spot() -> BlindSpotRow {
    BlindSpotRow {
        ts: 1_790_000_000_000_000_000,
        reason: "jsse".into(),
        process_executable_path: "/opt/a\nb".into(),
        runtime: "jsse".into(),
        container_id: "c0ffee".into(),
        process_count: 3,
        flows_unknown: u32::MAX,
        bytes_sent: u64::MAX,
        ..BlindSpotRow::unknown()
    }
}

fn sequencer() -> Sequencer {
    Sequencer::new("host-1", Uuid::from_u128(0x0a0a_0a0a), 1_790_000_000_000_000_000)
}

fn seal(sequencer: &mut Sequencer) -> SealRow {
    let interval = Interval {
        start: 1_790_000_000_000_000_000,
        end: 1_790_000_030_000_000_000,
        mono_start_ns: 1,
        mono_end_ns: 2,
    };
    let coverage = Coverage {
        probes_failed: vec!["x".into()],
        events_lost_ring: 3,
        selftest: SelfTest::Failed,
        notes: vec!["a note"],
        books: vec![Book {
            stage: "kernel",
            seen: u64::MAX,
            delivered: 0x0a0a,
            lost: 0,
            held: 1,
        }],
        losses: vec![SealedLoss {
            stage: "kernel",
            reason: "ring_full",
            events: 3,
            bytes: 0,
        }],
        ..Coverage::default()
    };
    sequencer.sign_with(Signer::from_seed(&[0x0a; 32]));
    sequencer.seal(SealKind::Close, interval, coverage)
}

fn quick() -> WriterOptions {
    WriterOptions {
        min_pause: Duration::from_millis(20),
        max_pause: Duration::from_millis(200),
    }
}

fn in_memory(rows: usize) -> Arc<Spool> {
    let options = SpoolOptions {
        segment_age: Duration::from_millis(50),
        segment_rows: rows,
        memory_bytes: 8 << 20,
        ..SpoolOptions::default()
    };
    Arc::new(Spool::in_memory(options).expect("spool"))
}

#[tokio::test]
async fn rows_of_every_table_come_back_as_they_were() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let mut sequencer = sequencer();
    let i = sequencer.interaction(interaction());
    let f = sequencer.finding(finding(&i));
    let c = sequencer.connection(connection());
    let b = sequencer.blind_spot(blind_spot());
    let s = seal(&mut sequencer);
    let writer = Writer::start(client.clone(), in_memory(1000), quick());
    writer.spool().push(i.clone());
    writer.spool().push(f.clone());
    writer.spool().push(c.clone());
    writer.spool().push(b.clone());
    writer.spool().push(s.clone());
    assert!(writer.flush(soon()).await, "{:?}", writer.spool().stats());
    assert_eq!(Table::ALL.map(|t| writer.spool().stats().written(t)), [1; 5]);
    assert_eq!(writer.spool().lag(), Duration::ZERO);

    let raw = client.raw();
    let read_i: InteractionRow = raw
        .query("SELECT ?fields FROM v_interactions")
        .fetch_one()
        .await
        .expect("row");
    assert_eq!(read_i, i);
    assert_eq!(
        read_i.digest(),
        i.record_hash,
        "the hash can be checked from what is stored"
    );
    let read_f: FindingRow = raw
        .query("SELECT ?fields FROM v_findings")
        .fetch_one()
        .await
        .expect("row");
    assert_eq!(read_f, f);
    let read_c: ConnectionRow = raw
        .query("SELECT ?fields FROM v_connections")
        .fetch_one()
        .await
        .expect("row");
    assert_eq!(read_c, c);
    let read_b: BlindSpotRow = raw
        .query("SELECT ?fields FROM v_blind_spots")
        .fetch_one()
        .await
        .expect("row");
    assert_eq!(read_b, b);
    let spine = "SELECT kind, rec_seq FROM v_records ORDER BY rec_seq FORMAT TSV";
    let kinds = "interaction\t1\nfinding\t2\nconnection\t3\nblind_spot\t4\n";
    assert_eq!(store.post("/?database=ai_evidence", spine.as_bytes()).ok(), kinds);
    let found = "SELECT tls_found_by FROM pv_connections(from='2026-01-01', to='2027-01-01') FORMAT TSV";
    assert_eq!(
        store.post("/?database=ai_evidence", found.as_bytes()).ok(),
        "structure\n"
    );
    let read_s: SealRow = raw
        .query("SELECT ?fields FROM v_seals")
        .fetch_one()
        .await
        .expect("row");
    assert_eq!(read_s, s);
    assert_eq!(read_s.digest(), s.seal_hash);
    let key = Signer::from_seed(&[0x0a; 32]);
    assert!(verify_signature(
        &key.public(),
        &read_s.seal_hash,
        &read_s.signature
    ));

    let first = KeyRow::first("host-1", keys::ROLE_HOST, &key, 1_790_000_000_123_456_789);
    let next = Signer::from_seed(&[0x0b; 32]);
    let second = KeyRow::following("host-1", keys::ROLE_HOST, &next, 1_790_000_000_123_456_790, &key);
    for _ in 0..2 {
        client
            .insert_rows(KeyRow::TABLE, &[&first, &second], None)
            .await
            .expect("keys");
    }
    let read_k: Vec<KeyRow> = raw
        .query("SELECT ?fields FROM v_host_keys ORDER BY valid_from")
        .fetch_all()
        .await
        .expect("keys");
    assert_eq!(read_k, [first.clone(), second]);
    assert_eq!(read_k[1].check(Some(&first)), Ok(keys::KeyTrust::Certified));

    // The query of docs/schema.md: an auditor needs no program of ours.
    let schema = include_str!("../../../docs/schema.md");
    let audit = schema
        .split("```sql\n")
        .nth(1)
        .and_then(|s| s.split("```").next())
        .expect("the query");
    assert_eq!(store.post("/?database=ai_evidence", audit.as_bytes()).ok(), "1\n");

    let sql = "SELECT count() FROM pv_interactions(from='2026-01-01', to='2027-01-01') FORMAT TSV";
    assert_eq!(store.post("/", sql.as_bytes()).ok(), "1\n");
    let null = "SELECT gen_ai_usage_input_tokens, gen_ai_usage_output_tokens, login_uid FROM ai_interactions";
    assert_eq!(store.post("/", null.as_bytes()).ok(), "0\t\\N\t4294967295\n");
    let hourly = "SELECT uniqExactMerge(interactions) FROM ai_usage_hourly";
    assert_eq!(store.post("/", hourly.as_bytes()).ok(), "1\n");
}

#[tokio::test]
async fn every_column_is_in_the_row_types() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let columns = |table: &'static str, fields: &'static [&'static str]| {
        let client = client.clone();
        async move {
            let sql = format!(
                "SELECT name FROM system.columns WHERE database = 'ai_evidence' AND table = '{table}' \
                 AND name != 'ingested_at' ORDER BY name"
            );
            let mut fields = fields.to_vec();
            fields.sort_unstable();
            assert_eq!(
                client.rows::<String>(&sql).await.expect("columns"),
                fields,
                "{table}"
            );
        }
    };
    use clickhouse::Row;
    columns(InteractionRow::TABLE, InteractionRow::COLUMN_NAMES).await;
    columns(FindingRow::TABLE, FindingRow::COLUMN_NAMES).await;
    columns(ConnectionRow::TABLE, ConnectionRow::COLUMN_NAMES).await;
    columns(BlindSpotRow::TABLE, BlindSpotRow::COLUMN_NAMES).await;
    columns(SealRow::TABLE, SealRow::COLUMN_NAMES).await;
    let mut keys = KeyRow::COLUMN_NAMES.to_vec();
    // Written by whoever revokes a key.
    keys.push("revoked_at");
    columns(KeyRow::TABLE, keys.leak()).await;
}

#[tokio::test]
async fn many_binary_rows_arrive_whole_and_a_repeated_batch_is_stored_once() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let mut sequencer = sequencer();
    let rows: Vec<FindingRow> = (0..10_000)
        .map(|n| {
            sequencer.finding(FindingRow {
                ts: 1_790_000_000_000_000_000,
                match_count: n,
                ..FindingRow::unknown()
            })
        })
        .collect();
    let rows: Vec<&FindingRow> = rows.iter().collect();
    for _ in 0..2 {
        client
            .insert_rows(FindingRow::TABLE, &rows, Some("token-a"))
            .await
            .expect("insert");
    }
    let counted = client
        .rows::<(u64, u64)>("SELECT count(), uniqExact(match_count) FROM ai_findings")
        .await;
    assert_eq!(counted.expect("count"), [(10_000, 10_000)]);
}

#[tokio::test]
async fn rows_wait_for_a_store_that_comes_later() {
    need_library!();
    let directory = temporary();
    let address = free_address();
    // Between the first and the last migration the store refuses rows, for as long as that takes on a busy machine.
    let options = WriterOptions {
        min_pause: Duration::from_millis(100),
        max_pause: Duration::from_secs(2),
    };
    let writer = Writer::start(client(format!("http://{address}")), in_memory(1000), options);
    let mut sequencer = sequencer();
    for _ in 0..500 {
        writer.spool().push(sequencer.interaction(interaction()));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(writer.failures(ErrorKind::Unreachable) > 0);
    assert!(writer.spool().lag() >= Duration::from_millis(250));
    let store = Store::start_at(directory.path(), address).await;
    migrate(&store.client()).await.expect("schema");
    assert!(writer.flush(soon()).await, "{:?}", writer.spool().stats());
    assert_eq!(
        (
            writer.spool().stats().written(Table::Interactions),
            writer.spool().stats().lost_total()
        ),
        (500, 0)
    );
    let numbers = store
        .client()
        .rows::<u64>("SELECT rec_seq FROM ai_interactions ORDER BY rec_seq")
        .await;
    assert!(numbers.expect("rows").into_iter().eq(1..=500));
}

#[tokio::test]
async fn a_killed_store_has_all_that_it_acknowledged() {
    need_library!();
    let directory = temporary();
    let address = free_address();
    let store = Store::start_at(directory.path(), address).await;
    migrate(&store.client()).await.expect("schema");
    let writer = Writer::start(store.client(), in_memory(50), quick());
    let (stats, mut sequencer) = (writer.spool().stats(), sequencer());
    let mut push =
        |count: u32| (0..count).for_each(|_| writer.spool().push(sequencer.finding(finding(&interaction()))));
    while stats.written(Table::Findings) < 500 {
        push(100);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    store.signal("KILL");
    drop(store);
    let acknowledged = stats.written(Table::Findings);
    push(40_000);
    let over = stats.lost(Table::Findings, LossReason::OverBudget);
    assert!(over > 0, "the budget is full");

    let store = Store::start_at(directory.path(), address).await;
    let stored = store
        .client()
        .rows::<u64>("SELECT count() FROM ai_findings")
        .await
        .expect("count")[0];
    assert!(stored >= acknowledged, "{stored} of {acknowledged} acknowledged");
    assert!(
        writer.flush(Instant::now() + Duration::from_secs(60)).await,
        "{stats:?}"
    );
    let pushed = stats.pushed(Table::Findings);
    assert_eq!(stats.written(Table::Findings) + stats.lost_total(), pushed);
    let sql = "SELECT count(), uniqExact(rec_seq) FROM ai_findings";
    let (rows, different) = store.client().rows::<(u64, u64)>(sql).await.expect("count")[0];
    assert_eq!(rows, different, "a batch sent again is stored once");
    assert_eq!(rows, stats.written(Table::Findings));
}

#[tokio::test]
async fn attempts_are_folded_into_requests() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let mut sequencer = sequencer();
    // (request, attempt, class of the error): two attempts of one request, one of another, two rows of an older agent.
    let attempts = [
        (1, Some(1), "rate_limited"),
        (2, None, "overloaded"),
        (1, Some(2), ""),
        (0, None, ""),
        (0, None, ""),
    ];
    let rows: Vec<InteractionRow> = (0..)
        .zip(attempts)
        .map(|(n, (request_seq, attempt_number, class))| {
            sequencer.interaction(InteractionRow {
                ts: 1_790_000_000_000_000_000 + n,
                request_seq,
                attempt_number,
                error_class: class.to_owned(),
                ..InteractionRow::unknown()
            })
        })
        .collect();
    let rows: Vec<&InteractionRow> = rows.iter().collect();
    // The second delivery brings the same rows again.
    for token in ["a", "b"] {
        let sent = store
            .client()
            .insert_rows(InteractionRow::TABLE, &rows, Some(token))
            .await;
        sent.expect("insert");
    }
    let columns = "request_seq, attempt_number, attempts, attempts_seen, attempt_error_classes, \
                   toUnixTimestamp64Nano(first_ts) - 1790000000000000000, rec_seq";
    let want = "0\t\\N\t\\N\t1\t['']\t3\t4\n0\t\\N\t\\N\t1\t['']\t4\t5\n\
                1\t2\t2\t2\t['rate_limited','']\t0\t3\n2\t\\N\t\\N\t1\t['overloaded']\t1\t2\n";
    for view in ["v_requests", "pv_requests(from='2026-01-01', to='2027-01-01')"] {
        let sql = format!("SELECT {columns} FROM {view} ORDER BY request_seq, rec_seq FORMAT TSV");
        assert_eq!(
            store.post("/?database=ai_evidence", sql.as_bytes()).ok(),
            want,
            "{view}"
        );
    }
}
