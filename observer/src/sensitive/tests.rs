//! Tests of the stage as a whole.

use std::io::Read as _;

use crate::dialect::{Place, TextRole, TextSink};
use crate::protocol::Side;

use super::rules::expand_example;
use super::scan::{MAX_FINDINGS, MAX_OPEN_TEXTS};
use super::*;

thread_local! {
    static ENGINE: Engine = Engine::new(&Rules::builtin().unwrap()).unwrap();
}

fn engine() -> Engine {
    ENGINE.with(Clone::clone)
}

fn place(path: &str) -> Place {
    Place {
        side: Side::Request,
        path: path.to_owned(),
        role: TextRole::Prompt,
    }
}

fn scan_pieces(pieces: &[&[u8]]) -> ScanReport {
    let mut scan = engine().open(Some(&HmacKey::from_bytes([3; 32])));
    for piece in pieces {
        scan.text(&place("$"), 1, piece);
    }
    scan.end(1);
    scan.finish()
}

pub(super) fn scan_one(text: &str) -> ScanReport {
    scan_pieces(&[text.as_bytes()])
}

pub(super) fn ids(report: &ScanReport) -> Vec<&str> {
    report.findings.iter().map(|f| f.rule_id.as_str()).collect()
}

/// A text with a dozen secrets of most kinds, assembled here so that no scanner takes this file for a leak.
fn mixture() -> String {
    let parts = [
        "key AKIA<base32:16> and AWS secret <b64:40>",
        "postgres://app:<alnum:16>@db.internal/app",
        "mail jo.doe@mail.acme-corp.co.uk, card 4539 1488 0343 6467, IBAN GB33BUKB20201555555555",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.<b64url:43>",
        "-----BEGIN RSA PRIVATE KEY-----\n<b64:64>\n<b64:64>\n-----END RSA PRIVATE KEY-----",
        "sk-proj-<b64url:74> sk-ant-api03-<b64url:95>",
        "my ssn is 536-90-4399\nghp_<alnum:36>",
    ];
    expand_example(&parts.join("\n"))
}

#[test]
fn every_rule_finds_its_examples_and_nothing_else() {
    let mut wrong = Vec::new();
    for rule in engine().rules() {
        for (texts, wanted) in [(&rule.examples, true), (&rule.counter_examples, false)] {
            for template in texts {
                let report = scan_one(&expand_example(template));
                if ids(&report).contains(&rule.id.as_str()) != wanted {
                    wrong.push(format!(
                        "{} {}: {template}",
                        rule.id,
                        if wanted { "misses" } else { "takes" }
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn where_pieces_end_does_not_matter() {
    let text = mixture();
    let bytes = text.as_bytes();
    let whole = scan_pieces(&[bytes]);
    let kinds = ids(&whole);
    for id in [
        "aws_access_key_id",
        "aws_secret_access_key",
        "database_url",
        "email_address",
        "payment_card",
        "iban",
    ] {
        assert!(kinds.contains(&id), "{id} not in {kinds:?}");
    }
    for id in [
        "jwt",
        "private_key",
        "openai_api_key",
        "anthropic_api_key",
        "us_ssn",
        "github_token",
    ] {
        assert!(kinds.contains(&id), "{id} not in {kinds:?}");
    }
    for at in 0..=bytes.len() {
        assert_eq!(scan_pieces(&[&bytes[..at], &bytes[at..]]), whole, "split at {at}");
    }
    for size in [1, 2, 3, 4, 7, 64] {
        assert_eq!(
            scan_pieces(&bytes.chunks(size).collect::<Vec<_>>()),
            whole,
            "pieces of {size}"
        );
    }
}

#[test]
fn splits_around_the_internal_buffers_do_not_matter() {
    let key = expand_example("AKIA<base32:16>");
    for before in [1_000, 1_014, 1_024, 4_090, 8_180, 32_750, 32_768, 40_000] {
        let text = format!("{} {key} {}", "x ".repeat(before / 2), "y ".repeat(20_000));
        for sizes in [1_000_000, 4_096, 1_023, 100] {
            let report = scan_pieces(&text.as_bytes().chunks(sizes).collect::<Vec<_>>());
            assert_eq!(ids(&report), ["aws_access_key_id"], "{before} {sizes}");
            assert_eq!(report.findings[0].count, 1);
            assert_eq!(report.bytes_scanned, report.bytes_seen);
        }
    }
}

#[test]
fn interleaved_texts_stay_apart() {
    let key = expand_example("AKIA<base32:16>");
    let (a, b) = (key.as_bytes(), expand_example("ghp_<alnum:36>"));
    let mut scan = engine().open(None);
    for i in 0..b.len() {
        if let Some(byte) = a.get(i..=i) {
            scan.text(&place("$.a"), 7, byte);
        }
        scan.text(&place("$.b"), 8, &b.as_bytes()[i..=i]);
    }
    scan.end(8);
    let report = scan.finish();
    let found: Vec<_> = report
        .findings
        .iter()
        .map(|f| (f.rule_id.as_str(), f.place.path.as_str()))
        .collect();
    assert_eq!(found, [("aws_access_key_id", "$.a"), ("github_token", "$.b")]);
    // The same bytes in one text are no key.
    let mixed: Vec<u8> = a.iter().zip(b.bytes()).flat_map(|(x, y)| [*x, y]).collect();
    assert!(scan_pieces(&[&mixed]).findings.is_empty());
}

#[test]
fn several_scans_at_once() {
    let (engine, key) = (engine(), expand_example("AKIA<base32:16>"));
    let mut scans: Vec<Scan> = (0..20).map(|_| engine.open(None)).collect();
    for byte in key.as_bytes() {
        for scan in &mut scans {
            scan.text(&place("$"), 0, &[*byte]);
        }
    }
    for scan in scans {
        assert_eq!(ids(&scan.finish()), ["aws_access_key_id"]);
    }
}

#[test]
fn one_finding_per_rule_and_place_examples_apart() {
    let (one, two) = (
        expand_example("AKIA<base32:16>"),
        expand_example("ASIA<base32:16>"),
    );
    let text = format!("{one} {two} {one} AKIAIOSFODNN7EXAMPLE");
    let mut scan = engine().open(Some(&HmacKey::from_bytes([1; 32])));
    for (number, path) in [
        (1, "$.messages[*].content"),
        (2, "$.messages[*].content"),
        (3, "$.system"),
    ] {
        scan.text(&place(path), number, text.as_bytes());
        scan.end(number);
    }
    let report = scan.finish();
    let row = |f: &Finding| {
        (
            f.place.path.clone(),
            f.documented_example,
            f.count,
            f.bytes,
            f.hmacs.len(),
        )
    };
    assert_eq!(
        report.findings.iter().map(row).collect::<Vec<_>>(),
        [
            ("$.messages[*].content".to_owned(), false, 6, 120, 2),
            ("$.messages[*].content".to_owned(), true, 2, 40, 1),
            ("$.system".to_owned(), false, 3, 60, 2),
            ("$.system".to_owned(), true, 1, 20, 1),
        ]
    );
    assert_eq!(report.findings[0].severity, Severity::High);
    assert_eq!(report.findings[1].severity, Severity::Info);
}

#[test]
fn the_demo_prompt_is_recognised_as_published_examples() {
    let report = scan_one("Use key AKIAIOSFODNN7EXAMPLE and charge 4111 1111 1111 1111.");
    assert_eq!(ids(&report), ["aws_access_key_id", "payment_card"]);
    assert!(
        report
            .findings
            .iter()
            .all(|f| f.documented_example && f.severity == Severity::Info)
    );
    assert_eq!(report.findings[1].confidence, Confidence::ChecksumValid);
}

#[test]
fn hashes_only_for_what_cannot_be_guessed() {
    let report = scan_one(&mixture());
    for finding in &report.findings {
        assert_eq!(
            finding.hmacs.is_empty(),
            finding.class == Class::Pii,
            "{}",
            finding.rule_id
        );
    }
    let again = scan_one(&format!("other text {}", expand_example("ghp_<alnum:36>")));
    let find = |r: &ScanReport| {
        r.findings
            .iter()
            .find(|f| f.rule_id == "github_token")
            .unwrap()
            .hmacs
            .clone()
    };
    assert_eq!(
        find(&report),
        find(&again),
        "the same value has the same hash wherever it stands"
    );
    let mut scan = engine().open(None);
    scan.text(&place("$"), 0, mixture().as_bytes());
    assert!(
        scan.finish().findings.iter().all(|f| f.hmacs.is_empty()),
        "no key, no hash"
    );
}

#[test]
fn context_raises_or_decides() {
    let confidence = |text: &str| scan_one(text).findings.first().map(|f| f.confidence);
    assert_eq!(confidence("no. 536-90-4399"), Some(Confidence::Pattern));
    assert_eq!(confidence("SSN: 536-90-4399"), Some(Confidence::Context));
    assert_eq!(confidence("no. 536904399"), None);
    assert_eq!(confidence("Social Security 536904399"), Some(Confidence::Context));
}

#[test]
fn open_texts_are_bounded_and_what_is_not_scanned_is_counted() {
    let key = expand_example("AKIA<base32:16>");
    let mut scan = engine().open(None);
    for number in 0..u64::try_from(MAX_OPEN_TEXTS).unwrap() + 10 {
        scan.text(&place("$"), number, key.as_bytes());
    }
    let report = scan.finish();
    assert_eq!(report.findings[0].count, u32::try_from(MAX_OPEN_TEXTS).unwrap());
    assert_eq!(report.bytes_seen - report.bytes_scanned, 10 * 20);
}

#[test]
fn findings_are_bounded_and_the_rest_is_counted() {
    let key = expand_example("AKIA<base32:16>");
    let mut scan = engine().open(None);
    for number in 0..MAX_FINDINGS + 7 {
        let number = u64::try_from(number).unwrap();
        scan.text(&place(&format!("$.k{number}")), number, key.as_bytes());
        scan.end(number);
    }
    let report = scan.finish();
    assert_eq!((report.findings.len(), report.dropped_matches), (MAX_FINDINGS, 7));
}

#[test]
fn ten_megabytes_on_one_line_and_thousands_of_matches() {
    let key = expand_example("AKIA<base32:16> ");
    let text = format!("{}{}", "lorem ipsum ".repeat(850_000), key.repeat(5_000));
    let report = scan_one(&text);
    assert_eq!(
        (ids(&report), report.findings[0].count),
        (vec!["aws_access_key_id"], 5_000)
    );
    assert_eq!(report.bytes_scanned, u64::try_from(text.len()).unwrap());
    assert_eq!(report.undecided_matches, 0);
}

#[test]
fn all_of_many_values_close_to_each_other() {
    let text = "a@b.cc ".repeat(40_000);
    let report = scan_one(&text);
    assert_eq!(ids(&report), ["email_address"]);
    assert_eq!((report.findings[0].count, report.undecided_matches), (40_000, 0));
}

#[test]
fn trying_has_a_budget() {
    // Every byte could be where a match begins, and each try has to look far.
    let pack = "version: '0'\nrules:\n  - {id: far, name: n, class: custom, severity: low, pattern: '[a-z]{1,2000}@[a-z@]{2000}X', before: any}\n";
    let (rules, problems) = Rules::parse("far.yaml", pack);
    assert_eq!((problems, rules.left_out()), (vec![], &[][..]));
    let engine = Engine::new(&rules).unwrap();
    let text = format!("{}@", "a".repeat(500)).repeat(400);
    let mut scan = engine.open(None);
    scan.text(&place("$"), 1, text.as_bytes());
    let report = scan.finish();
    assert!(
        report.findings.is_empty() && report.undecided_matches > 100,
        "{report:?}"
    );
    let units = engine.costs()[0].bytes / report.bytes_scanned;
    assert!(
        (10..100).contains(&units),
        "{units} bytes were looked at for each byte of text"
    );
    assert_eq!(
        redact(&engine, &text).text,
        format!("[undecided:{}]", text.len()),
        "redaction fails closed"
    );
}

#[test]
fn bytes_that_are_no_text_do_no_harm() {
    let mut hostile: Vec<u8> = (0..=255u8).cycle().take(70_000).collect();
    hostile.extend_from_slice(expand_example("\u{0}AKIA<base32:16>\u{0}").as_bytes());
    hostile.extend([0xff, 0xfe, 0x80]);
    assert!(ids(&scan_pieces(&[&hostile])).contains(&"aws_access_key_id"));
}

#[test]
fn redaction_leaves_no_value() {
    let text = mixture();
    let redacted = redact(&engine(), &text);
    assert!(
        redacted
            .text
            .contains("key [aws_access_key_id:20] and AWS secret [aws_secret_access_key:40]")
    );
    assert!(
        redacted
            .text
            .contains("postgres://app:[database_url:16]@db.internal"),
        "{}",
        redacted.text
    );
    for template in [
        "<alnum:36>",
        "<base32:16>",
        "<b64:64>",
        "<b64url:43>",
        "4539",
        "536-90",
        "jo.doe",
        "<alnum:16>",
    ] {
        assert!(
            !redacted.text.contains(&expand_example(template)),
            "{template} left in {}",
            redacted.text
        );
    }
    assert!(!redacted.text.contains("-----END"), "the whole key block goes");
    assert_eq!(
        redact(&engine(), &redacted.text).findings,
        [],
        "nothing is found twice"
    );
    assert_eq!(redact(&engine(), "nothing here: ä€😀").text, "nothing here: ä€😀");
    assert_eq!(
        redact(&engine(), "ä4111 1111 1111 1111€").text,
        "ä[payment_card:19]€"
    );
}

#[test]
fn findings_by_line() {
    let text = expand_example("one\ntwo AKIA<base32:16>\n\nghp_<alnum:36>");
    let report = scan_text(&engine(), text.as_bytes().chunks(5));
    let rows: Vec<_> = report
        .findings
        .iter()
        .map(|f| (f.line, f.rule_id.as_str(), f.bytes))
        .collect();
    assert_eq!(rows, [(2, "aws_access_key_id", 20), (4, "github_token", 40)]);
    let far = format!("{}{text}", "filler line\n".repeat(10_000));
    assert_eq!(scan_text(&engine(), [far.as_bytes()]).findings[0].line, 10_002);
}

#[test]
fn no_rules_scan_everything_and_find_nothing() {
    let (rules, problems) = Rules::parse("empty.yaml", "version: '0'\nrules: []\n");
    assert!(problems.is_empty(), "{problems:?}");
    let engine = Engine::new(&rules).unwrap();
    let mut scan = engine.open(None);
    scan.text(&place("$"), 0, mixture().as_bytes());
    let report = scan.finish();
    assert_eq!(
        (report.findings.len(), report.bytes_scanned),
        (0, report.bytes_seen)
    );
}

#[test]
fn nothing_shows_a_value() {
    let text = mixture();
    let mut scan = engine().open(Some(&HmacKey::from_bytes([3; 32])));
    scan.text(&place("$"), 1, text.as_bytes());
    let shown = format!("{scan:?} {:?} {:?}", engine(), scan_one(&text));
    for template in ["<base32:16>", "<alnum:16>", "4539", "jo.doe"] {
        assert!(!shown.contains(&expand_example(template)), "{template}");
    }
}

/// Lines of labelled material made by others; `None` with the reason printed where it is not there.
fn labelled(name: &str) -> Option<Vec<serde_json::Value>> {
    let path = format!("/work/shared/data/{name}.jsonl.gz");
    let Ok(file) = std::fs::File::open(&path) else {
        println!("skipped: {path} is not there");
        return None;
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .unwrap();
    Some(
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

#[test]
fn labelled_checksum_cases() {
    let Some(rows) = labelled("pii-checksum-cases") else {
        return;
    };
    let mut wrong = Vec::new();
    let mut seen = 0;
    for row in &rows {
        let rules: &[&str] = match row["entity"].as_str().unwrap() {
            "CREDIT_CARD" => &["payment_card"],
            "IBAN_CODE" => &["iban"],
            "EMAIL_ADDRESS" => &["email_address"],
            "US_SSN" => &["us_ssn"],
            _ => continue,
        };
        let text = row["text"].as_str().unwrap();
        // Bare numbers without dashes or any word beside them: not taken for a social security number on purpose.
        if rules == ["us_ssn"] && row["kind"] == "positive" && !text.contains("-05-") {
            continue;
        }
        seen += 1;
        let found = ids(&scan_one(text)).iter().any(|id| rules.contains(id));
        if found != (row["kind"] == "positive") {
            wrong.push(format!("{} {}: {text}", row["entity"], row["kind"]));
        }
    }
    assert!(seen > 100);
    assert!(wrong.is_empty(), "{} of {seen}: {wrong:#?}", wrong.len());
}

#[test]
fn labelled_secrets_recall() {
    let Some(rows) = labelled("secrets-labelled") else {
        return;
    };
    let verbose = std::env::var_os("OBSERVER_SHOW_MISSES").is_some();
    let (mut counts, mut missed) = ([[0u32; 2]; 2], Vec::new());
    for row in &rows {
        let text = row["text"].as_str().unwrap();
        let report = scan_one(text);
        let found = report
            .findings
            .iter()
            .any(|f| f.class != Class::Pii && !f.documented_example);
        let positive = row["kind"] == "positive";
        counts[usize::from(positive)][usize::from(found)] += 1;
        if found != positive {
            missed.push(format!(
                "{} {} {:?} {text:?}",
                row["kind"],
                row["rule_id"],
                ids(&report)
            ));
        }
    }
    let [[quiet, alarm], [miss, hit]] = counts;
    println!(
        "labelled secrets: {hit} of {} positives found, {alarm} of {} negatives too",
        hit + miss,
        quiet + alarm
    );
    if verbose {
        println!("{}", missed.join("\n"));
    }
    assert!(hit > 300, "far fewer than the kinds covered here hold");
}

#[test]
fn labelled_sentences_recall() {
    let Some(rows) = labelled("pii-sentences") else {
        return;
    };
    let kinds = [
        ("CREDIT_CARD", "payment_card"),
        ("IBAN_CODE", "iban"),
        ("EMAIL_ADDRESS", "email_address"),
        ("US_SSN", "us_ssn"),
    ];
    for (label, rule) in kinds {
        let (mut hit, mut miss, mut extra) = (0, Vec::new(), Vec::new());
        for row in &rows {
            let text = row["text"].as_str().unwrap();
            let labelled = row["spans"]
                .as_array()
                .unwrap()
                .iter()
                .any(|s| s["type"] == label);
            match (labelled, ids(&scan_one(text)).contains(&rule)) {
                (true, true) => hit += 1,
                (true, false) => miss.push(text),
                (false, true) => extra.push(text),
                (false, false) => {}
            }
        }
        println!(
            "labelled sentences, {rule}: {hit} found, {} missed, {} extra",
            miss.len(),
            extra.len()
        );
        if std::env::var_os("OBSERVER_SHOW_MISSES").is_some() {
            println!("missed {miss:#?}\nextra {extra:#?}");
        }
        assert!(hit > 0);
    }
}
