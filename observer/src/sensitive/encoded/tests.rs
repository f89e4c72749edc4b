//! Tests of encoded parts.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::dialect::{Place, TextRole, TextSink};
use crate::protocol::Side;
use crate::sensitive::rules::expand_example;
use crate::sensitive::{Engine, Rules, ScanReport, redact, scan_text};

thread_local! {
    static ENGINE: Engine = Engine::new(&Rules::builtin().unwrap()).unwrap();
}

fn engine() -> Engine {
    ENGINE.with(Clone::clone)
}

fn scan(pieces: &[&[u8]]) -> ScanReport {
    let place = Place {
        side: Side::Request,
        path: "$".to_owned(),
        role: TextRole::Prompt,
    };
    let mut scan = engine().open(None);
    for piece in pieces {
        scan.text(&place, 1, piece);
    }
    scan.end(1);
    scan.finish()
}

fn found(text: &str) -> Vec<(String, u32)> {
    let findings = scan(&[text.as_bytes()]).findings;
    findings.iter().map(|f| (f.rule_id.clone(), f.count)).collect()
}

fn key() -> String {
    expand_example("AKIA<base32:16>")
}

/// Percent encoding of every byte that is no letter or digit.
fn percent(text: &str) -> String {
    let one = |b: u8| match b.is_ascii_alphanumeric() {
        true => char::from(b).to_string(),
        false => format!("%{b:02X}"),
    };
    text.bytes().map(one).collect()
}

#[test]
fn values_in_encoded_parts_are_found() {
    let key = key();
    let yaml = format!("access key:\n  {key}\n");
    let aws = vec![("aws_access_key_id".to_owned(), 1)];
    for text in [
        format!("https://x.example/?q={}", percent(&format!("a b/{key}"))),
        format!("the file says \\n{key}\\n, no?"),
        format!(r#"{{\"a\":\"\u000a{key}\"}}"#),
        format!("data: {} end", STANDARD.encode(&yaml)),
        format!("data:{}", URL_SAFE_NO_PAD.encode(&yaml)),
        format!("blob {}", percent(&STANDARD.encode(&yaml))),
        STANDARD.encode(STANDARD.encode(&yaml)),
        STANDARD.encode(format!("{{\"config\": \"first\\n{key}\"}}")),
    ] {
        assert_eq!(found(&text), aws, "{text}");
    }
    // Lines of 76 letters, as in MIME.
    let long = STANDARD.encode(format!(
        "{yaml}{}",
        "some more words, line after line\n".repeat(20)
    ));
    let lines: Vec<&str> = long
        .as_bytes()
        .chunks(76)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    assert_eq!(found(&lines.join("\r\n")), aws);
    assert_eq!(found(&lines.join("\n")), aws);
    assert_eq!(
        found("mail jo.doe%40mail.acme-corp.co.uk"),
        [("email_address".to_owned(), 1)]
    );
}

#[test]
fn a_number_in_groups_directly_behind_an_escape_is_found() {
    for (text, rule) in [
        (r"list:\n4539 1488 0343 6467 and more", "payment_card"),
        (r"list:\r\n4539 1488 0343 6467 is the card", "payment_card"),
        (r"my amex card:\t3782 822463 10005 expires", "payment_card"),
        (r"the account:\nCH93 0076 2011 6238 5295 7\nand more", "iban"),
    ] {
        assert_eq!(found(text), [(rule.to_owned(), 1)], "{text}");
        let bytes = text.as_bytes();
        for at in 0..=bytes.len() {
            let pieces = scan(&[&bytes[..at], &bytes[at..]]);
            assert_eq!(pieces, scan(&[bytes]), "{text} split at {at}");
        }
    }
    // What is no number ends the word at its first space, as ever.
    for text in [
        r"a\n8567 Eugenia Ferry",
        r"a\nsome more words",
        r"a\n0171 1234567",
        r"words\n12345 6789 of them",
    ] {
        let report = scan(&[text.as_bytes()]);
        assert!(
            report.bytes_decoded < 20 && report.findings.is_empty(),
            "{report:?}"
        );
    }
}

#[test]
fn a_value_counts_once() {
    let key = key();
    let text = format!("https://x.example/?a={key}&b=1%202 and {key}");
    assert_eq!(found(&text), [("aws_access_key_id".to_owned(), 2)]);
    for text in [
        format!("{key}%20x"),
        format!("x%20y/{key}\\nz"),
        format!(r#"{{\"a\":\"{key}\"}}"#),
        format!("{}%3D", STANDARD.encode(format!("key: {key}"))),
    ] {
        assert_eq!(found(&text), [("aws_access_key_id".to_owned(), 1)], "{text}");
    }
}

#[test]
fn what_is_no_encoding_is_left_alone() {
    for text in [
        "100% sure, 5%5 and %zz %",
        r"C:\users\new \u12 \q \",
        "a/very/long/path/of/folders/that/never/ends/and/has/no/dot/in/it",
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
    ] {
        let report = scan(&[text.as_bytes()]);
        assert_eq!(
            (report.findings.len(), report.bytes_scanned),
            (0, text.len() as u64)
        );
    }
}

#[test]
fn where_pieces_end_does_not_matter() {
    let key = key();
    let inner = STANDARD.encode(format!(
        "key {key} and mail jo.doe@mail.acme-corp.co.uk; \u{e4}\u{20ac}"
    ));
    let text = format!(
        "x \\n{key} https://a.example/?u={}&v=50%25 {} {inner}\n{} \\u00e4%",
        percent(&format!("/{key}/")),
        percent(&inner),
        STANDARD.encode(&inner),
    );
    let whole = scan(&[text.as_bytes()]);
    assert_eq!(
        whole.findings.iter().map(|f| f.count).sum::<u32>(),
        8,
        "{whole:?}"
    );
    let bytes = text.as_bytes();
    for at in 0..=bytes.len() {
        assert_eq!(scan(&[&bytes[..at], &bytes[at..]]), whole, "split at {at}");
    }
    for size in [1, 2, 3, 5, 24, 64] {
        assert_eq!(
            scan(&bytes.chunks(size).collect::<Vec<_>>()),
            whole,
            "pieces of {size}"
        );
    }
}

#[test]
fn nested_encodings_are_bounded_and_told() {
    let mut text = format!("key {}", key());
    for depth in 1..=20 {
        text = STANDARD.encode(&text);
        let report = scan(&[text.as_bytes()]);
        let wanted = usize::from(depth <= super::DEPTH);
        assert_eq!(report.findings.len(), wanted, "depth {depth}");
        assert_eq!(
            report.bytes_not_decoded == 0,
            depth <= super::DEPTH,
            "depth {depth}"
        );
        assert!(report.bytes_decoded < report.bytes_seen * 2);
    }
    assert_eq!(
        redact(&engine(), &text).text,
        format!("[undecided:{}]", text.len())
    );
}

#[test]
fn redaction_takes_the_encoded_part() {
    let key = key();
    let encoded = STANDARD.encode(format!("key {key}"));
    let text = format!("one {encoded} two\nand \\n{key} x%20y");
    let redacted = redact(&engine(), &text);
    assert!(
        !redacted.text.contains(&encoded) && !redacted.text.contains(&key),
        "{}",
        redacted.text
    );
    assert!(redacted.text.starts_with("one [aws_access_key_id:") && redacted.text.ends_with(" x%20y"));
    let lines: Vec<u64> = scan_text(&engine(), [text.as_bytes()])
        .findings
        .iter()
        .map(|f| f.line)
        .collect();
    assert_eq!(lines, [1, 2]);
}
