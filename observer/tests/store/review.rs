//! Coverage and the auditor's pack, on the real engine.

use clickhouse::Row;
use observer::coverage::account::Answer;
use observer::evidence::{
    BlindSpotRow, ConnectionRow, Coverage, FindingRow, InteractionRow, Interval, SealKind, SealRow, SelfTest,
    Sequencer, Severity,
};
use observer::review::pack::{PackFile, Request, files, gather};
use observer::review::{QUERIES, Scope, coverage};
use observer::store::Client;
use observer::verify::Options;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::support::*;

const S: i64 = 1_000_000_000;
const T: i64 = 1_790_000_000 * S;
const HOUR: i64 = 3_600 * S;

/// A host that writes seals as the test wants them.
struct Host(Sequencer);

impl Host {
    fn new(id: &str, epoch: i64) -> Self {
        Self(Sequencer::new(
            id,
            Uuid::from_u128(1),
            u64::try_from(epoch).expect("time"),
        ))
    }

    async fn seal(&mut self, client: &Client, kind: SealKind, span: (i64, i64), coverage: Coverage) {
        let interval = Interval {
            start: T + span.0 * S,
            end: T + span.1 * S,
            mono_start_ns: 1,
            mono_end_ns: 2,
        };
        let row = self.0.seal(kind, interval, coverage);
        client
            .insert_rows(SealRow::TABLE, &[&row], None)
            .await
            .expect("seal");
    }

    async fn connection(&mut self, client: &Client, class: &str, visibility: &str, bytes: Option<u64>) {
        let row = self.0.connection(ConnectionRow {
            ts: T + 60 * S,
            closed_ts: T + 61 * S,
            endpoint_class: class.into(),
            visibility: visibility.into(),
            opaque_reason: if visibility == "decoded" {
                String::new()
            } else {
                "jsse".into()
            },
            server_address: "api.example".into(),
            process_comm: "java".into(),
            bytes_sent: bytes,
            bytes_received: bytes,
            plaintext_sent: 30,
            plaintext_received: 15,
            ..ConnectionRow::unknown()
        });
        client
            .insert_rows(ConnectionRow::TABLE, &[&row], None)
            .await
            .expect("connection");
    }
}

fn good() -> Coverage {
    Coverage {
        probes_required: 3,
        probes_attached: 3,
        selftest: SelfTest::Ok,
        events_seen: 100,
        ..Coverage::default()
    }
}

/// Six hosts: observed and idle; used, with all kinds of connections; with gaps; with doubts; in the inventory for a part only;
/// and one that never sealed.
async fn fleet(client: &Client) {
    let mut idle = Host::new("idle", T);
    idle.seal(client, SealKind::Open, (-10, 1_800), good()).await;
    idle.seal(client, SealKind::Interval, (1_800, 3_700), good())
        .await;

    let mut used = Host::new("used", T);
    used.connection(client, "ai_known", "decoded", Some(50)).await;
    used.connection(client, "ai_known", "partial", None).await;
    used.connection(client, "local_model", "opaque", Some(7)).await;
    used.connection(client, "unknown", "opaque", Some(1)).await;
    used.connection(client, "ai_suspected", "opaque", Some(1)).await;
    let lossy = Coverage {
        events_lost_ring: 3,
        events_lost_user: 2,
        records_dropped_spool: 1,
        ai_flows: 3,
        unknown_flows_opaque: 2,
        ..good()
    };
    used.seal(client, SealKind::Open, (0, 3_600), lossy).await;

    let mut gaps = Host::new("gaps", T);
    gaps.seal(client, SealKind::Open, (0, 600), good()).await;
    gaps.seal(client, SealKind::Interval, (700, 1_000), good()).await;
    gaps.seal(client, SealKind::Close, (1_000, 1_010), good()).await;
    let mut gaps = Host::new("gaps", T + 1_500 * S);
    gaps.seal(client, SealKind::Open, (1_500, 2_000), good()).await;
    let mut gaps = Host::new("gaps", T + 2_100 * S);
    gaps.seal(client, SealKind::Open, (2_100, 3_600), good()).await;

    let mut doubts = Host::new("doubts", T);
    let missing = Coverage {
        probes_attached: 2,
        ..good()
    };
    doubts.seal(client, SealKind::Open, (0, 1_000), missing).await;
    let failed = Coverage {
        selftest: SelfTest::Failed,
        ..good()
    };
    doubts
        .seal(client, SealKind::Interval, (1_000, 2_000), failed)
        .await;
    let untested = Coverage {
        selftest: SelfTest::NotMeasured,
        ..good()
    };
    doubts
        .seal(client, SealKind::Interval, (2_000, 3_600), untested)
        .await;

    let mut partly = Host::new("partly", T);
    partly.seal(client, SealKind::Open, (1_800, 3_600), good()).await;
    let blind = partly.0.blind_spot(BlindSpotRow {
        ts: T + 5 * S,
        flows_unknown: 1,
        reason: "jsse".into(),
        process_executable_path: "/usr/bin/java".into(),
        ..BlindSpotRow::unknown()
    });
    client
        .insert_rows(BlindSpotRow::TABLE, &[&blind], None)
        .await
        .expect("blind spot");
    client
        .command(&format!(
            "INSERT INTO host_inventory (observed_at, source, host_id, in_scope, first_seen, exclusion_reason) VALUES \
             (now64(3), 'cmdb', 'partly', true, fromUnixTimestamp64Nano({}), ''), (now64(3), 'cmdb', 'ghost', true, fromUnixTimestamp64Nano({T}), ''), \
             (now64(3), 'cmdb', 'printer', false, fromUnixTimestamp64Nano({T}), 'no <b>Linux</b>')",
            T + 1_800 * S
        ))
        .await
        .expect("inventory");
}

fn scope() -> Scope {
    Scope {
        from: T,
        to: T + HOUR,
        host: None,
        workload: None,
    }
}

const LATER: i64 = T + 10 * HOUR;

#[derive(Debug, PartialEq, Row, Serialize, Deserialize)]
struct HostNumbers {
    host_id: String,
    expected_ns: i64,
    sealed_ns: i64,
    good_ns: i64,
    events_seen: u64,
    events_lost: u64,
    unknown_opaque_flows: u64,
    c_time: Option<f64>,
    c_event: Option<f64>,
    answer: String,
}

#[derive(Debug, PartialEq, Row, Serialize, Deserialize)]
struct FlowNumbers {
    host_id: String,
    flows: u64,
    decoded: u64,
    partial: u64,
    opaque: u64,
    plain_bytes: u64,
    socket_bytes: u64,
    bytes_unknown: u64,
    unknown_opaque: u64,
    c_flow: Option<f64>,
    c_byte: Option<f64>,
}

#[derive(Debug, PartialEq, Row, Serialize, Deserialize)]
struct GapNumbers {
    host_id: String,
    gap_from: i64,
    gap_to: i64,
    cause: String,
}

/// The rows of one of the kept queries.
async fn query<T>(client: &Client, name: &str) -> Vec<T>
where
    T: clickhouse::RowOwned + clickhouse::RowRead,
{
    let text = QUERIES.iter().find(|(n, _)| *n == name).expect("query").1;
    let columns = T::COLUMN_NAMES.join(", ");
    let time = |ns: i64| observer::report::json::timestamp(ns);
    client
        .raw()
        .query_raw(&format!("SELECT {columns} FROM ({text}) ORDER BY ALL"))
        .param("from", time(T))
        .param("to", time(T + HOUR))
        .fetch_all()
        .await
        .expect(name)
}

#[tokio::test]
async fn the_queries_and_the_program_give_the_same_coverage() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    fleet(&client).await;
    let coverage = coverage(&client, &scope(), LATER).await.expect("coverage");
    let hosts: Vec<HostNumbers> = coverage
        .hosts
        .iter()
        .map(|h| HostNumbers {
            host_id: h.host.clone(),
            expected_ns: h.expected,
            sealed_ns: h.sealed,
            good_ns: h.good,
            events_seen: h.events_seen,
            events_lost: h.events_lost,
            unknown_opaque_flows: h.unknown_opaque,
            c_time: h.c_time(),
            c_event: h.c_event(),
            answer: h.answer().word().into(),
        })
        .collect();
    assert_eq!(query::<HostNumbers>(&client, "coverage_hosts").await, hosts);
    let flows: Vec<FlowNumbers> = coverage
        .hosts
        .iter()
        .filter(|h| h.flows != observer::coverage::account::Flows::default())
        .map(|h| FlowNumbers {
            host_id: h.host.clone(),
            flows: h.flows.all,
            decoded: h.flows.decoded,
            partial: h.flows.partial,
            opaque: h.flows.opaque,
            plain_bytes: h.flows.plain_bytes,
            socket_bytes: h.flows.socket_bytes,
            bytes_unknown: h.flows.bytes_unknown,
            unknown_opaque: h.flows.unknown_opaque,
            c_flow: h.flows.c_flow(),
            c_byte: h.flows.c_byte(),
        })
        .collect();
    assert_eq!(query::<FlowNumbers>(&client, "coverage_flows").await, flows);
    assert_eq!(
        (flows[0].flows, flows[0].plain_bytes, flows[0].socket_bytes),
        (3, 90, 114)
    );
    // The query shows gaps between seals; those at the ends have only one neighbour.
    let between: Vec<GapNumbers> = coverage
        .hosts
        .iter()
        .flat_map(|h| h.gaps.iter().map(|g| (h.host.clone(), *g)))
        .filter(|(_, gap)| gap.from > T && gap.to < T + HOUR)
        .map(|(host_id, gap)| GapNumbers {
            host_id,
            gap_from: gap.from,
            gap_to: gap.to,
            cause: gap.cause.into(),
        })
        .collect();
    assert_eq!(query::<GapNumbers>(&client, "coverage_gaps").await, between);
    let causes: Vec<&str> = between.iter().map(|g| g.cause.as_str()).collect();
    assert_eq!(causes, ["silent_gap", "orderly_stop", "agent_killed"]);
}

#[tokio::test]
async fn answers_are_some_none_or_unknown_and_never_guessed() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    fleet(&client).await;
    let all = coverage(&client, &scope(), LATER).await.expect("coverage");
    let answers: Vec<(&str, &str)> = all
        .hosts
        .iter()
        .map(|h| (h.host.as_str(), h.answer().word()))
        .collect();
    assert_eq!(
        answers,
        [
            ("doubts", "UNKNOWN"),
            ("gaps", "UNKNOWN"),
            ("ghost", "UNKNOWN"),
            ("idle", "OBSERVED_NONE"),
            ("partly", "UNKNOWN"),
            ("used", "OBSERVED_SOME"),
        ]
    );
    assert_eq!((all.answer(), all.unknown_opaque()), (Answer::Some, 2));
    assert_eq!(all.estimate().map(|c| c < 0.3), Some(true));
    let one = |host: &str, workload: Option<&str>| Scope {
        host: Some(host.into()),
        workload: workload.map(Into::into),
        ..scope()
    };
    let idle = coverage(&client, &one("idle", None), LATER)
        .await
        .expect("coverage");
    assert_eq!(
        (idle.answer(), idle.estimate()),
        (Answer::None, None),
        "no flows: C is not measured"
    );
    let java = coverage(&client, &one("used", Some("java")), LATER)
        .await
        .expect("coverage");
    assert_eq!((java.answer(), java.unknown_opaque()), (Answer::Some, 1));
    let other = coverage(&client, &one("used", Some("curl")), LATER)
        .await
        .expect("coverage");
    assert_eq!(other.answer(), Answer::Unknown, "events were lost on that host");
    let nowhere = coverage(&client, &one("nowhere", None), LATER)
        .await
        .expect("coverage");
    assert_eq!(nowhere.answer(), Answer::Unknown);
}

/// Text that would be markup, a formula or a turn of direction.
const HOSTILE: &str = "</td><script>alert('x')</script>\"&\u{202e}=1+1";

fn request() -> Request {
    Request {
        scope: scope(),
        statement: HOSTILE.into(),
        seed: HOSTILE.into(),
        sample: 2,
        verify: Options::new(LATER),
    }
}

/// A host whose every name is hostile, with five calls and a finding.
async fn hostile_host(client: &Client) {
    let mut host = Host::new(HOSTILE, T);
    let mut calls = Vec::new();
    for n in 0..5 {
        calls.push(host.0.interaction(InteractionRow {
            ts: T + n * S,
            server_address: HOSTILE.into(),
            gen_ai_provider_name: HOSTILE.into(),
            gen_ai_request_model: HOSTILE.into(),
            process_comm: HOSTILE.into(),
            user_name: HOSTILE.into(),
            policy_verdict: if n == 0 {
                HOSTILE.into()
            } else {
                "unsanctioned".into()
            },
            policy_rule_id: HOSTILE.into(),
            gen_ai_usage_input_tokens: (n > 1).then_some(1_000),
            ..InteractionRow::unknown()
        }));
    }
    let rows: Vec<&InteractionRow> = calls.iter().collect();
    client
        .insert_rows(InteractionRow::TABLE, &rows, None)
        .await
        .expect("calls");
    let finding = host.0.finding(FindingRow {
        ts: T,
        interaction_hash: calls[1].record_hash,
        finding_type: HOSTILE.into(),
        rule_id: HOSTILE.into(),
        severity: Severity::High,
        ..FindingRow::unknown()
    });
    client
        .insert_rows(FindingRow::TABLE, &[&finding], None)
        .await
        .expect("finding");
    let version = Coverage {
        agent_version: HOSTILE.into(),
        catalog_version: HOSTILE.into(),
        ..good()
    };
    host.seal(client, SealKind::Open, (0, 60), version).await;
}

/// Whether the page says what it must, and nothing that it must not.
fn check_page(pack: &[PackFile]) {
    let page = &pack.last().expect("page").content;
    let markup = page.replace(include_str!("../../src/review/pack/style.css"), "");
    for bad in [
        "<script",
        "</script",
        "<b>Linux",
        "\u{202e}",
        "javascript:",
        "<img",
    ] {
        assert!(!markup.contains(bad), "{bad}");
    }
    // Where long names may break.
    let markup = markup.replace("/<wbr>", "/");
    assert!(markup.contains("&lt;/td&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;"));
    for part in [
        "OBSERVED_SOME",
        "C_time",
        "agent killed",
        "ghost",
        "no &lt;b&gt;Linux",
        "A.6.2.8",
        "jsse",
        "sample",
        "/usr/bin/java",
        "sha-256",
    ] {
        assert!(markup.to_lowercase().contains(&part.to_lowercase()), "{part}");
    }
    for claim in [
        "compliant",
        "certified",
        "immutable",
        "proves",
        "prevents",
        "every prompt",
    ] {
        assert!(!markup.to_lowercase().contains(claim), "{claim}");
    }
    assert_eq!(
        markup.matches("<table").count(),
        markup.matches("</table>").count()
    );
    assert_eq!(markup.matches("<td").count(), markup.matches("</td>").count());
    assert_eq!(markup.matches("<svg").count(), 3);
}

#[tokio::test]
async fn the_pack_holds_everything_and_no_foreign_text_becomes_markup() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    fleet(&client).await;
    hostile_host(&client).await;
    let facts = gather(&client, request(), &mut ()).await.expect("facts");
    assert_eq!(
        (facts.calls(), facts.finding_total(), facts.sample.len()),
        (5, 1, 2)
    );
    assert_eq!(facts.unsanctioned_systems(), 1);
    assert_eq!(facts.excluded[0].host, "printer");
    assert_eq!(facts.findings[0].verdict, "unsanctioned");
    let pack = files(&facts);
    check_page(&pack);
    // The same seed draws the same calls; another one does not have to.
    let again = gather(&client, request(), &mut ()).await.expect("facts");
    assert_eq!(again.sample, facts.sample);
    let others: std::collections::HashSet<String> = {
        let mut drawn = std::collections::HashSet::new();
        for seed in ["a", "b", "c", "d", "e", "f"] {
            let request = Request {
                seed: seed.into(),
                sample: 1,
                ..request()
            };
            drawn.insert(
                gather(&client, request, &mut ()).await.expect("facts").sample[0]
                    .record
                    .clone(),
            );
        }
        drawn
    };
    assert!(others.len() > 1, "the seed decides");
    if let Some(out) = std::env::var_os("OBSERVER_TEST_PACK") {
        observer::review::pack::write(std::path::Path::new(&out), &pack).expect("written");
    }
}
