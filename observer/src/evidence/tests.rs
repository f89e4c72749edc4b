use super::*;

const INTERVAL: Interval = Interval {
    start: 1,
    end: 2,
    mono_start_ns: 3,
    mono_end_ns: 4,
};

const BOOK: Book = Book {
    stage: "kernel",
    seen: 2,
    delivered: 1,
    lost: 1,
    held: 0,
};

const DROPPED: Dropped = Dropped {
    reason: "over_budget",
    chain_epoch: 1,
    records: (1, 2),
    lost_records: 2,
    seals: (0, 0),
    lost_seals: 0,
};
const LOST_SEAL: Dropped = Dropped {
    lost_seals: 1,
    ..DROPPED
};

const LOSS: SealedLoss = SealedLoss {
    stage: "kernel",
    reason: "ring_full",
    events: 1,
    bytes: 2,
};

fn sequencer() -> Sequencer {
    Sequencer::new("host-a", Uuid::from_u128(7), 1_700_000_000_000_000_000)
}

#[test]
fn numbers_are_dense_over_all_tables_and_seals_cover_them() {
    let mut seq = sequencer();
    let open = seq.seal(SealKind::Open, INTERVAL, Coverage::default());
    assert_eq!((open.seal_seq, open.first_rec_seq, open.n_records), (1, 1, 0));
    assert_eq!(open.prev_seal_hash, [0; 32]);

    let a = seq.interaction(InteractionRow::unknown());
    let b = seq.finding(FindingRow {
        interaction_hash: a.record_hash,
        ..FindingRow::unknown()
    });
    let c = seq.connection(ConnectionRow::unknown());
    let d = seq.blind_spot(BlindSpotRow::unknown());
    assert_eq!([a.rec_seq, b.rec_seq, c.rec_seq, d.rec_seq], [1, 2, 3, 4]);
    assert_eq!([a.seal_seq, b.seal_seq, c.seal_seq, d.seal_seq], [2, 2, 2, 2]);
    assert_eq!(seq.records(), 4);

    let seal = seq.seal(SealKind::Interval, INTERVAL, Coverage::default());
    assert_eq!((seal.seal_seq, seal.first_rec_seq, seal.n_records), (2, 1, 4));
    assert_eq!(seal.prev_seal_hash, open.seal_hash);
    let all = [a.record_hash, b.record_hash, c.record_hash, d.record_hash]
        .map(hex::encode)
        .concat();
    assert_eq!(seal.records_digest, <[u8; 32]>::from(Sha256::digest(all)));

    let idle = seq.seal(SealKind::Close, INTERVAL, Coverage::default());
    assert_eq!((idle.first_rec_seq, idle.n_records), (5, 0));
    assert_eq!(idle.records_digest, <[u8; 32]>::from(Sha256::digest(b"")));
    assert_eq!(seq.interaction(InteractionRow::unknown()).seal_seq, 4);
}

#[test]
fn canonical_bytes_of_a_finding() {
    let mut seq = sequencer();
    let row = seq.finding(FindingRow {
        ts: 1_700_000_000_000_000_001,
        interaction_hash: [0xab; 32],
        finding_type: "secret".into(),
        rule_id: "aws-key".into(),
        rule_version: "1".into(),
        severity: Severity::High,
        confidence: "pattern".into(),
        direction: "prompt".into(),
        json_path: "$.messages[*].content".into(),
        match_count: 2,
        match_bytes: 40,
        value_hmac: vec![[1; 16]],
        ..FindingRow::unknown()
    });
    let mut bytes = Vec::new();
    row.canonical(&mut bytes);
    let expected = format!(
        "9:AIOBS-REC,1:8,6:host-a,19:1700000000000000000,1:1,1:1,19:1700000000000000001,64:{},6:secret,7:aws-key,\
         1:1,64:{},1:4,7:pattern,6:prompt,21:$.messages[*].content,1:2,2:40,1:1,32:{},0:,0:,0:,0:,0:,",
        "ab".repeat(32),
        "00".repeat(32),
        "01".repeat(16),
    );
    assert_eq!(String::from_utf8(bytes).expect("text"), expected);
    assert_eq!(row.record_hash, <[u8; 32]>::from(Sha256::digest(expected)));
}

// Fixed vectors: they change only together with CANON_V.
#[test]
fn digests_of_empty_rows() {
    let mut seq = sequencer();
    let hashes = [
        seq.interaction(InteractionRow::unknown()).record_hash,
        seq.finding(FindingRow::unknown()).record_hash,
        seq.connection(ConnectionRow::unknown()).record_hash,
        seq.blind_spot(BlindSpotRow::unknown()).record_hash,
        seq.seal(SealKind::Interval, INTERVAL, Coverage::default())
            .seal_hash,
    ];
    assert_eq!(
        hashes.map(hex::encode),
        [
            "f530e48485a1607f2c672cf2217d273e31528b07cec0b47175d12ef04b1de208",
            "2e81da5ac1ee067ba96fce1dbd56be30b45b24e88e193177fa01c3c00224cb19",
            "02b671f1e65761baebf4cf508867aeae93a37f4f4381f4ee1b392ba260b499cb",
            "4c62b9b58c598490193e16dc8bf4a181c3afb07adb5682c5364b0b6e08a31746",
            "44c70e7837ade3ce5c3e9335c8fcad6b107d9a61a5ec1fd8ed483c2a0a5369b0",
        ]
    );
}

#[test]
fn every_coverage_field_reaches_the_seal_and_its_hash() {
    let plain = sequencer().seal(SealKind::Interval, INTERVAL, Coverage::default());
    let changes: [fn(&mut Coverage); 33] = [
        |c| c.agent_version = "x".into(),
        |c| c.agent_sha256 = [1; 32],
        |c| c.config_sha256 = [1; 32],
        |c| c.rule_pack_sha256 = [1; 32],
        |c| c.catalog_version = "x".into(),
        |c| c.probes_required = 1,
        |c| c.probes_attached = 1,
        |c| c.probes_failed = vec!["x".into()],
        |c| c.policy_sha256 = [1; 32],
        |c| c.register_sha256 = [1; 32],
        |c| c.notes = vec!["x"],
        |c| c.selftest = SelfTest::Ok,
        |c| c.selftest = SelfTest::Failed,
        |c| c.books = vec![BOOK],
        |c| c.books = vec![Book { held: 1, ..BOOK }],
        |c| c.losses = vec![LOSS],
        |c| c.dropped = vec![DROPPED],
        |c| c.dropped = vec![LOST_SEAL],
        |c| c.events_seen = 1,
        |c| c.events_lost_ring = 1,
        |c| c.events_lost_user = 1,
        |c| c.bytes_truncated = 1,
        |c| c.records_dropped_spool = 1,
        |c| c.procs_net = 1,
        |c| c.procs_readable = 1,
        |c| c.procs_opaque = 1,
        |c| c.ai_flows = 1,
        |c| c.ai_flows_decoded = 1,
        |c| c.ai_flows_partial = 1,
        |c| c.ai_flows_opaque = 1,
        |c| c.unknown_flows_opaque = 1,
        |c| c.cpu_ms = 1,
        |c| c.rss_kib = 1,
    ];
    let mut seen = vec![plain.seal_hash];
    for change in changes {
        let mut coverage = Coverage::default();
        change(&mut coverage);
        let seal = sequencer().seal(SealKind::Interval, INTERVAL, coverage);
        assert!(!seen.contains(&seal.seal_hash));
        seen.push(seal.seal_hash);
    }
}

#[test]
fn unknown_is_not_zero() {
    let none = sequencer().interaction(InteractionRow::unknown());
    let zero = sequencer().interaction(InteractionRow {
        gen_ai_usage_input_tokens: Some(0),
        ..InteractionRow::unknown()
    });
    assert_ne!(none.record_hash, zero.record_hash);
    assert_eq!(none.login_uid, 4_294_967_295);
}

#[test]
fn a_seal_is_signed_and_names_its_key_inside_the_hash() {
    let signer = Signer::from_seed(&[5; 32]);
    let unsigned = sequencer().seal(SealKind::Interval, INTERVAL, Coverage::default());
    assert_eq!((unsigned.key_id.as_str(), unsigned.signature), ("", [0; 64]));
    let mut seq = sequencer();
    seq.sign_with(signer.clone());
    let signed = seq.seal(SealKind::Interval, INTERVAL, Coverage::default());
    assert_eq!(signed.key_id, signer.id());
    assert_ne!(signed.seal_hash, unsigned.seal_hash);
    assert!(verify_signature(
        &signer.public(),
        &signed.seal_hash,
        &signed.signature
    ));
    seq.sign_with(Signer::from_seed(&[6; 32]));
    let next = seq.seal(SealKind::Interval, INTERVAL, Coverage::default());
    assert_ne!(next.key_id, signed.key_id);
    assert_eq!(
        next.prev_seal_hash, signed.seal_hash,
        "a new key continues the chain"
    );
}

#[test]
fn an_epoch_names_the_last_seal_of_the_one_before_in_its_open_seal_only() {
    let last = sequencer().seal(SealKind::Close, INTERVAL, Coverage::default());
    let mut seq = Sequencer::new("host-a", Uuid::nil(), 2_000).opened(Opening {
        reason: OpenReason::Restart,
        previous: Some(Link::from(&last)),
    });
    let open = seq.seal(SealKind::Open, INTERVAL, Coverage::default());
    assert_eq!(open.prev_seal_hash, last.seal_hash);
    assert_eq!(
        (open.prev_chain_epoch, open.prev_seal_seq),
        (last.chain_epoch, last.seal_seq)
    );
    assert_eq!(open.open_reason, "restart");
    let interval = seq.seal(SealKind::Interval, INTERVAL, Coverage::default());
    assert_eq!((interval.prev_chain_epoch, interval.prev_seal_seq), (0, 0));
    assert_eq!(
        (interval.open_reason.as_str(), interval.prev_seal_hash),
        ("", open.seal_hash)
    );
}
