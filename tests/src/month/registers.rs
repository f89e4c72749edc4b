//! What others than the agents write: inventory, register of AI systems, dispositions, anchors, verifications.

use anyhow::Result;
use observer::evidence::{AnchorRow, KeyRow, SealRow, Signer, keys};
use observer::store::Client;
use sha2::{Digest, Sha256};

use super::talk::Place;
use super::{Filled, Plan, SECOND};

/// Entry, system, owner, status, provider, endpoint (regular expression).
const REGISTER: &[(&str, &str, &str, &str, &str, &str)] = &[
    (
        "AIR-001",
        "OpenAI platform",
        "Head of Digital",
        "approved",
        "openai",
        "^api\\.openai\\.com$",
    ),
    (
        "AIR-002",
        "Claude API",
        "Head of Engineering",
        "approved",
        "anthropic",
        "^api\\.anthropic\\.com$",
    ),
    (
        "AIR-003",
        "Azure OpenAI",
        "Head of IT",
        "approved",
        "azure.ai.openai",
        "^contoso-prod\\.openai\\.azure\\.com$",
    ),
    (
        "AIR-004",
        "Amazon Bedrock",
        "Head of Finance IT",
        "conditional",
        "aws.bedrock",
        "^bedrock-runtime\\..*",
    ),
    (
        "AIR-005",
        "Voyage embeddings",
        "Head of Search",
        "approved",
        "voyage",
        "^api\\.voyageai\\.com$",
    ),
    (
        "AIR-006",
        "DeepSeek",
        "CISO",
        "prohibited",
        "deepseek",
        "^api\\.deepseek\\.com$",
    ),
];

pub(super) async fn fill(
    client: &Client,
    plan: &Plan,
    findings: &[(i64, [u8; 32])],
    heads: &[SealRow],
    filled: Filled,
) -> Result<()> {
    inventory(client, plan).await?;
    register(client, plan).await?;
    dispositions(client, plan, findings).await?;
    anchors(client, plan, heads).await?;
    verifications(client, plan, filled).await
}

fn time(at: i64) -> String {
    format!("fromUnixTimestamp64Milli({}, 'UTC')", at / 1_000_000)
}

async fn insert(client: &Client, table: &str, columns: &str, rows: &[String]) -> Result<()> {
    for part in rows.chunks(500).filter(|part| !part.is_empty()) {
        let sql = format!(
            "INSERT INTO {table} ({columns}) SELECT * FROM ({})",
            part.join(" UNION ALL ")
        );
        client.command(&sql).await?;
    }
    Ok(())
}

async fn inventory(client: &Client, plan: &Plan) -> Result<()> {
    // One more than the hosts that seal: a node where nobody installed the agent.
    let rows: Vec<String> = (0..=plan.hosts)
        .map(|number| {
            let place = Place::new(number);
            format!(
                "SELECT {}, 'kubernetes/prod-eu', '{}', '{}', true, {}",
                time(plan.end - 600 * SECOND),
                place.host_id,
                place.host_name,
                time(plan.start()),
            )
        })
        .collect();
    let columns = "observed_at, source, host_id, k8s_node_name, in_scope, first_seen";
    insert(client, "host_inventory", columns, &rows).await
}

/// The register that was in force all month.
pub(super) fn digest() -> [u8; 32] {
    Sha256::digest("register").into()
}

async fn register(client: &Client, plan: &Plan) -> Result<()> {
    let from = time(plan.start() - 90 * 86_400 * SECOND);
    let digest = hex::encode(digest());
    let rows: Vec<String> = REGISTER
        .iter()
        .map(|(id, system, owner, status, provider, endpoint)| {
            let endpoint = endpoint.replace('\\', "\\\\");
            // One entry is overdue for its review.
            let days = if *id == "AIR-004" { -5 } else { 90 };
            let review = time(plan.end + days * 86_400 * SECOND);
            format!(
                "SELECT {from}, '{id}', '{system}', '{owner}', '{status}', '{provider}', '{endpoint}', 'CISO', {review}, \
                 unhex('{digest}')"
            )
        })
        .collect();
    let columns = "valid_from, entry_id, ai_system, owner, status, provider_match, endpoint_match, approved_by, review_date, \
         register_sha256";
    insert(client, "ai_register", columns, &rows).await
}

/// Analysts look at two findings of three within three days, and seldom at one twice.
async fn dispositions(client: &Client, plan: &Plan, findings: &[(i64, [u8; 32])]) -> Result<()> {
    let rows: Vec<String> = findings
        .iter()
        .enumerate()
        .filter(|(n, _)| n % 3 != 0)
        .filter_map(|(n, (ts, hash))| {
            let at = ts + (2 + (n as i64 * 37) % 70) * 3_600 * SECOND;
            let word = ["true_positive", "false_positive", "accepted_risk", "fixed"][n % 4];
            let who = ["apark", "tnovak"][n % 2];
            (at < plan.end).then(|| {
                format!(
                    "SELECT {}, unhex('{}'), '{who}', '{word}', 'SEC-{}'",
                    time(at),
                    hex::encode(hash),
                    1_000 + n
                )
            })
        })
        .collect();
    insert(
        client,
        "finding_dispositions",
        "ts, finding_hash, analyst, disposition, ticket",
        &rows,
    )
    .await
}

async fn anchors(client: &Client, plan: &Plan, heads: &[SealRow]) -> Result<()> {
    let signer = Signer::from_seed(&[0x6e; 32]);
    let leaves = heads
        .iter()
        .map(|s| (s.host_id.clone(), s.chain_epoch, s.seal_seq, s.seal_hash))
        .collect();
    let at = (plan.end - 1_200 * SECOND) / 1_000_000;
    let row = AnchorRow::new("notary-1", None, leaves, at, &signer);
    client.insert_unchecked(AnchorRow::TABLE, &[&row]).await?;
    let key = KeyRow::first("notary-1", keys::ROLE_NOTARY, &signer, plan.start());
    client.insert_rows(KeyRow::TABLE, &[&key], None).await?;
    Ok(())
}

async fn verifications(client: &Client, plan: &Plan, filled: Filled) -> Result<()> {
    let rows: Vec<String> = (1..=plan.days)
        .map(|day| {
            let at = plan.start() + day * 86_400 * SECOND;
            let so_far = |rows: usize| rows as i64 * day / plan.days;
            format!(
                "SELECT {}, generateUUIDv4(), '0.2.0', {}, {}, {}, {}, {}, 0, 0, 0, 0, 'verified'",
                time(at),
                time(plan.start()),
                time(at),
                plan.hosts,
                so_far(filled.seals),
                so_far(filled.interactions + filled.findings + filled.connections),
            )
        })
        .collect();
    let columns = "ts, run_id, verifier_version, range_from, range_to, hosts, seals, records, gaps, bad_hashes, \
                   bad_signatures, forks, verdict";
    insert(client, "verification_runs", columns, &rows).await
}
