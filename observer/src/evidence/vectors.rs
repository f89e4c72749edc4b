//! The test vectors of `tests/vectors/evidence/`: they change only together with `CANON_V`. `OBSERVER_UPDATE=1` writes
//! them anew. `tests/vectors/evidence/check.py` checks the files without a line of this program.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::canonical::Canonical;
use super::keys::ROLE_HOST;
use super::*;

/// The key pair of RFC 8032 section 7.1, TEST 1: published, so that everybody can make these signatures.
fn published_key() -> Signer {
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    Signer::from_seed(&hex::decode(seed).unwrap().try_into().unwrap())
}

fn compare(name: &str, vector: &Value) {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/vectors/evidence/{name}.json"));
    let text = format!("{vector:#}\n");
    if std::env::var_os("OBSERVER_UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    assert!(
        found == text,
        "{name}: the canonical form changed without a new CANON_V"
    );
}

type EachField<'a> = &'a dyn Fn(&mut dyn FnMut(&'static str, &dyn Canonical));

/// Fields with their netstrings, the bytes they make together, and the digest of these.
fn form(table: &str, each_field: EachField<'_>) -> Value {
    let (mut fields, mut bytes) = (Vec::new(), Vec::new());
    each_field(&mut |name, value| {
        let start = bytes.len();
        value.put(&mut bytes);
        let netstring = String::from_utf8(bytes[start..].to_vec()).unwrap();
        fields.push(json!([name, netstring]));
    });
    json!({
        "table": table,
        "fields": fields,
        "canonical_hex": hex::encode(&bytes),
        "hash": hex::encode(Sha256::digest(&bytes)),
    })
}

fn sequencer(epoch: u64) -> Sequencer {
    let mut sequencer = Sequencer::new(
        "host-a",
        Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff),
        epoch,
    );
    sequencer.sign_with(published_key());
    sequencer
}

const EPOCH: u64 = 1_790_000_000_000_000_000;

fn interaction() -> InteractionRow {
    InteractionRow {
        ts: 1_790_000_001_123_456_789,
        duration_ns: 1_500_000_000,
        time_to_first_chunk_ns: Some(300_000_000),
        host_name: "büro-1".into(),
        process_pid: 4711,
        process_ancestry: vec!["bash".into(), "sshd".into()],
        user_id: 1000,
        server_address: "api.openai.com".into(),
        server_port: 443,
        network_peer_address: std::net::Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped(),
        tls_stack: "openssl".into(),
        tls_found_by: "symbols".into(),
        http_response_status_code: Some(200),
        gen_ai_request_model: "gpt-4o".into(),
        gen_ai_request_stream: true,
        gen_ai_response_finish_reasons: vec!["stop".into()],
        gen_ai_usage_input_tokens: Some(0),
        gen_ai_usage_output_tokens: None,
        credential_hmac: [0xab; 16],
        policy_verdict: "sanctioned".into(),
        finding_count: 1,
        ..InteractionRow::unknown()
    }
}

fn finding(of: &InteractionRow) -> FindingRow {
    FindingRow {
        ts: of.ts,
        interaction_hash: of.record_hash,
        finding_type: "secret".into(),
        rule_id: "acme_token".into(),
        severity: Severity::High,
        match_count: 2,
        value_hmac: vec![[1; 16], [2; 16]],
        ..FindingRow::unknown()
    }
}

fn connection() -> ConnectionRow {
    ConnectionRow {
        ts: 1_790_000_001_000_000_000,
        closed_ts: 1_790_000_003_000_000_000,
        connection_id: 1,
        bytes_sent: Some(1200),
        bytes_received: None,
        visibility: "decoded".into(),
        ..ConnectionRow::unknown()
    }
}

fn coverage() -> Coverage {
    Coverage {
        agent_version: "0.1.0".into(),
        config_sha256: [0xc0; 32],
        probes_required: 2,
        probes_attached: 1,
        probes_failed: vec!["SSL_read in /usr/lib/libssl.so.3: no such symbol".into()],
        selftest: SelfTest::Ok,
        books: vec![Book {
            stage: "records",
            seen: 10,
            delivered: 8,
            lost: 1,
            held: 1,
        }],
        losses: vec![SealedLoss {
            stage: "kernel",
            reason: "ring_full",
            events: 3,
            bytes: 4096,
        }],
        dropped: vec![Dropped {
            reason: "over_budget",
            chain_epoch: 1_789_999_000_000_000_000,
            records: (11, 20),
            lost_records: 10,
            seals: (3, 3),
            lost_seals: 1,
        }],
        events_seen: 10,
        ..Coverage::default()
    }
}

fn interval(number: i64) -> Interval {
    let start = 1_790_000_000_000_000_000 + number * 30_000_000_000;
    Interval {
        start,
        end: start + 30_000_000_000,
        mono_start_ns: 5,
        mono_end_ns: 30_000_000_005,
    }
}

/// Records and seals of two epochs: the second begins after a kill.
fn chain() -> (
    InteractionRow,
    FindingRow,
    ConnectionRow,
    BlindSpotRow,
    Vec<SealRow>,
) {
    let mut first = sequencer(EPOCH);
    let mut seals = vec![first.seal(SealKind::Open, interval(0), coverage())];
    let i = first.interaction(interaction());
    let f = first.finding(finding(&i));
    let c = first.connection(connection());
    let b = first.blind_spot(BlindSpotRow {
        reason: "jsse".into(),
        process_count: 3,
        ..BlindSpotRow::unknown()
    });
    seals.push(first.seal(SealKind::Interval, interval(1), coverage()));
    let mut second = sequencer(EPOCH + 90_000_000_000).opened(Opening {
        reason: OpenReason::Unclean,
        previous: Some(Link::from(&seals[1])),
    });
    seals.push(second.seal(SealKind::Open, interval(3), Coverage::default()));
    (i, f, c, b, seals)
}

#[test]
fn records() {
    let (i, f, c, b, _) = chain();
    assert_eq!(i.canon_v, CANON_V);
    compare(
        "interaction",
        &form(InteractionRow::TABLE, &|each| i.each_field(each)),
    );
    compare("finding", &form(FindingRow::TABLE, &|each| f.each_field(each)));
    compare(
        "connection",
        &form(ConnectionRow::TABLE, &|each| c.each_field(each)),
    );
    compare(
        "blind_spot",
        &form(BlindSpotRow::TABLE, &|each| b.each_field(each)),
    );
}

#[test]
fn seals_of_two_epochs() {
    let (i, f, c, b, seals) = chain();
    let key = published_key();
    let forms: Vec<Value> = seals
        .iter()
        .map(|seal| {
            let mut form = form(SealRow::TABLE, &|each| seal.each_field(each));
            form["signature"] = hex::encode(seal.signature).into();
            assert_eq!(form["hash"], hex::encode(seal.seal_hash));
            assert!(verify_signature(&key.public(), &seal.seal_hash, &seal.signature));
            form
        })
        .collect();
    let hashes = [i.record_hash, f.record_hash, c.record_hash, b.record_hash];
    compare(
        "chain",
        &json!({
            "public_key": hex::encode(key.public()),
            "key_id": key.id(),
            "record_hashes_of_the_second_seal": hashes.map(hex::encode),
            "seals": forms,
        }),
    );
}

#[test]
fn keys() {
    let old = published_key();
    let new = Signer::from_seed(&[7; 32]);
    let first = KeyRow::first("host-a", ROLE_HOST, &old, 1_790_000_000_000_000_000);
    let second = KeyRow::following("host-a", ROLE_HOST, &new, 1_790_086_400_000_000_000, &old);
    let forms: Vec<Value> = [&first, &second]
        .into_iter()
        .map(|row| {
            let mut form = form(KeyRow::TABLE, &|each| row.each_field(each));
            form["self_signature"] = hex::encode(row.self_signature).into();
            form["prev_key_signature"] = hex::encode(row.prev_key_signature).into();
            form
        })
        .collect();
    compare("keys", &json!({ "certificates": forms }));
}

#[test]
fn anchors() {
    let leaves: Vec<anchor::Leaf> = (0..3u8)
        .map(|n| (format!("host-{n}"), EPOCH, 7, [n; 32]))
        .collect();
    let hashes: Vec<merkle::Hash> = leaves.iter().map(anchor::hash_of_leaf).collect();
    let first = AnchorRow::new("notary", None, leaves, 1_790_000_000_000, &published_key());
    let mut form = form(AnchorRow::TABLE, &|each| first.each_field(each));
    form["signature"] = hex::encode(first.signature).into();
    form["leaves"] = first.to_json()["leaves"].clone();
    form["leaf_hashes"] = hashes.iter().map(hex::encode).collect();
    let proof = merkle::inclusion_proof(&hashes, 2).unwrap();
    form["inclusion_proof_of_the_last_leaf"] = proof.iter().map(hex::encode).collect();
    compare("anchor", &form);
}

#[test]
fn older_forms_are_hashed_as_they_were() {
    // From the tests of the programs that wrote forms 1 and 2: rows in which nothing is known.
    let mut seq = Sequencer::new("host-a", Uuid::from_u128(7), 1_700_000_000_000_000_000);
    let mut i = seq.interaction(InteractionRow::unknown());
    let mut f = seq.finding(FindingRow::unknown());
    let mut c = seq.connection(ConnectionRow::unknown());
    let mut b = seq.blind_spot(BlindSpotRow::unknown());
    (i.canon_v, f.canon_v, c.canon_v, b.canon_v) = (2, 2, 2, 2);
    assert_eq!(
        [i.digest(), f.digest(), c.digest(), b.digest()].map(hex::encode),
        [
            "54f19b97f6c71690fae5a527ac7a805eb5435be4ef9855b0e3c93f689474b6e9",
            "3f7d9ab28f553e9ed10788d686b8e1ac623db59a5f3bbce71f5459c49b5069c1",
            "984d9882a071601fea2353d451872e4636125ec9b9ffd5290af143b3ddf69959",
            "50645657c42dc488e7be43e8c9fa72f874ce03c4e72b26cf99c681e36d6387fe",
        ]
    );
    let mut names = Vec::new();
    i.canon_v = 1;
    i.each_field(&mut |name, _| names.push(name));
    assert!(!names.contains(&"tls_found_by") && i.is_known_form());
    i.canon_v = CANON_V + 1;
    assert!(!i.is_known_form());
}

#[test]
fn the_files_are_right_by_the_document_alone() {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/evidence/check.py");
    match std::process::Command::new("python3").arg(script).output() {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(error) => println!("SKIP: python3: {error}"),
    }
}

/// The document lists the fields as they are hashed, so that it cannot fall behind.
#[test]
fn the_document_has_the_order_of_the_fields() {
    let (i, f, c, b, seals) = chain();
    let key = KeyRow::first("h", ROLE_HOST, &published_key(), 0);
    let anchor = AnchorRow::new("n", None, vec![], 0, &published_key());
    let forms: [(&str, EachField<'_>); 7] = [
        (InteractionRow::TABLE, &|each| i.each_field(each)),
        (FindingRow::TABLE, &|each| f.each_field(each)),
        (ConnectionRow::TABLE, &|each| c.each_field(each)),
        (BlindSpotRow::TABLE, &|each| b.each_field(each)),
        (SealRow::TABLE, &|each| seals[0].each_field(each)),
        (KeyRow::TABLE, &|each| key.each_field(each)),
        (AnchorRow::TABLE, &|each| anchor.each_field(each)),
    ];
    let mut text = String::new();
    for (table, each_field) in forms {
        let mut names = Vec::new();
        each_field(&mut |name, _| names.push(format!("`{name}`")));
        text.push_str(&format!("- **`{table}`**: {}\n", names.join(", ")));
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/evidence.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once("## Order of the fields\n\n").unwrap();
    let (listed, after) = rest.split_once("\n\n").unwrap();
    if std::env::var_os("OBSERVER_UPDATE").is_some() {
        let new = format!("{before}## Order of the fields\n\n{}\n\n{after}", text.trim_end());
        return std::fs::write(&path, new).unwrap();
    }
    assert_eq!(
        listed,
        text.trim_end(),
        "docs/evidence.md; OBSERVER_UPDATE=1 writes it"
    );
}
