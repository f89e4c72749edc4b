//! Texts that others chose, in every column that can hold one: nothing of them may become markup, a formula, a statement or a
//! command to a terminal, and nobody may stop the verification or the report with them.

use observer::evidence::{
    BlindSpotRow, ConnectionRow, Coverage, FindingRow, InteractionRow, Interval, KeyRow, Opening, SealKind,
    SealRow, Sequencer, Signer, keys::ROLE_HOST,
};
use observer::review::Scope;
use observer::review::pack::{PackFile, Request, files, gather};
use observer::store::Client;
use observer::verify::{Options, Verdict};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::*;
use crate::verify::{STEP, T};

const TEXTS: [&str; 4] = [
    "</td></table><script>alert('x')</script><img src=x onerror=\"y\">&amp;",
    "'); DROP TABLE ai_evidence.evidence_seals; -- \\' OR 1=1 WHERE \\",
    "\u{1b}[2J\u{1b}]0;x\u{7}\u{0}\r\n\t\u{202e}gnp.exe\u{2066}\u{9b}31m",
    "=HYPERLINK(\"http://x\",\"y\"),\"a\"\"b\n@SUM(A1)",
];

/// The row with this text in every field that takes it.
fn hostile<T: Serialize + DeserializeOwned>(row: &T, text: &str) -> T {
    let mut fields = serde_json::to_value(row).expect("JSON");
    let names: Vec<String> = fields.as_object().expect("fields").keys().cloned().collect();
    let mut set = 0;
    for name in names {
        let now = fields[&name].clone();
        for value in [json!(text), json!([text, text])] {
            let fits = now.is_string() == value.is_string() && !(now.is_array() && now != json!([]));
            fields[&name] = if fits { value } else { now.clone() };
            if fits && serde_json::from_value::<T>(fields.clone()).is_ok() {
                set += 1;
                break;
            }
            fields[&name] = now.clone();
        }
    }
    assert!(set > 5, "{set} fields");
    serde_json::from_value(fields).expect("a row")
}

/// The text as a literal of SQL.
fn quoted(text: &str) -> String {
    let bytes: String = text.bytes().map(|byte| format!("\\x{byte:02X}")).collect();
    format!("'{bytes}'")
}

/// A whole chain of a host that is called by the text, with a row in each table.
async fn host(client: &Client, text: &str) {
    let signer = Signer::from_seed(&[3; 32]);
    let epoch = u64::try_from(T).expect("time");
    let mut chain = Sequencer::new(text, Uuid::from_u128(1), epoch).opened(Opening::default());
    chain.sign_with(signer.clone());
    macro_rules! store {
        ($row:ident, $number:ident $(, $field:ident = $value:literal)?) => {{
            let row = hostile(&$row::unknown(), text);
            let row = chain.$number($row { ts: T + 1, $($field: $value.into(),)? ..row });
            client
                .insert_rows($row::TABLE, &[&row], None)
                .await
                .expect("stored");
            row
        }};
    }
    let call = chain.interaction(InteractionRow {
        ts: T + 1,
        account_hmac: [1; 16],
        register_sha256: [7; 32],
        ..hostile(&InteractionRow::unknown(), text)
    });
    client
        .insert_rows(InteractionRow::TABLE, &[&call], None)
        .await
        .expect("call");
    let finding = store!(FindingRow, finding);
    store!(ConnectionRow, connection, visibility = "opaque");
    store!(BlindSpotRow, blind_spot);
    let interval = Interval {
        start: T,
        end: T + STEP,
        mono_start_ns: 0,
        mono_end_ns: u64::try_from(STEP).expect("time"),
    };
    let coverage = Coverage {
        agent_version: text.into(),
        catalog_version: text.into(),
        register_sha256: [7; 32],
        probes_failed: vec![text.into()],
        notes: vec!["policy_refused"],
        ..Coverage::default()
    };
    let seal = chain.seal(SealKind::Open, interval, coverage);
    client
        .insert_rows(SealRow::TABLE, &[&seal], None)
        .await
        .expect("seal");
    let key = KeyRow::first(text, ROLE_HOST, &signer, T);
    client
        .insert_rows(KeyRow::TABLE, &[&key], None)
        .await
        .expect("key");
    decided(client, &quoted(text), &finding).await;
}

/// What people wrote about it.
async fn decided(client: &Client, q: &str, finding: &FindingRow) {
    let hash = hex::encode(finding.record_hash);
    for statement in [
        format!(
            "INSERT INTO ai_register (valid_from, entry_id, ai_system, owner, status, risk_ref, approved_by, approval, allowed_data_classes, \
             data_classes_limited, register_version, register_sha256) VALUES (fromUnixTimestamp64Milli(0), {q}, {q}, {q}, 'approved', {q}, {q}, {q}, [{q}], \
             true, {q}, unhex(repeat('07', 32)))"
        ),
        format!(
            "INSERT INTO finding_dispositions (finding_hash, analyst, disposition, ticket, nonconformity_ref, note) VALUES (unhex('{hash}'), {q}, \
             'true_positive', {q}, {q}, {q})"
        ),
        format!(
            "INSERT INTO host_inventory (observed_at, source, host_id, in_scope, first_seen, exclusion_reason) VALUES (now64(3), {q}, \
             concat({q}, '-out'), false, fromUnixTimestamp64Milli(0), {q})"
        ),
        format!(
            "INSERT INTO verification_runs (ts, run_id, verifier_version, verdict) VALUES (fromUnixTimestamp64Milli({}), generateUUIDv4(), {q}, {q})",
            T / 1_000_000
        ),
    ] {
        client.command(&statement).await.expect("stored");
    }
}

fn request(text: &str, only: bool) -> Request {
    Request {
        scope: Scope {
            from: T,
            to: T + 2 * STEP,
            host: only.then(|| text.to_owned()),
            workload: only.then(|| text.to_owned()),
        },
        statement: text.into(),
        seed: text.into(),
        sample: 10,
        verify: Options::new(T + 2 * STEP),
    }
}

/// Fields of the lines of a CSV (RFC 4180).
fn parsed(csv: &str) -> Vec<Vec<String>> {
    let (mut lines, mut line, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut rest = csv.chars().peekable();
    let mut quoted = false;
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted && rest.peek() == Some(&'"') => field.extend(rest.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => line.push(std::mem::take(&mut field)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                line.push(std::mem::take(&mut field));
                lines.push(std::mem::take(&mut line));
            }
            c => field.push(c),
        }
    }
    lines
}

fn check(pack: &[PackFile]) {
    let steers =
        |c: char| (c.is_control() && c != '\n' && c != '\r') || ('\u{202a}'..='\u{2069}').contains(&c);
    for file in pack {
        assert!(!file.content.chars().any(steers), "{}", file.name);
        if file.name.ends_with(".csv") {
            let lines = parsed(&file.content);
            assert!(
                lines.len() > 1 || file.name == "gaps.csv",
                "{} is empty",
                file.name
            );
            for line in &lines {
                assert_eq!(line.len(), lines[0].len(), "{}: {line:?}", file.name);
                let is_formula =
                    |field: &String| field.starts_with(['=', '@', '+']) || field.starts_with("-H");
                assert!(!line.iter().any(is_formula), "{}: {line:?}", file.name);
            }
        }
        if file.name.ends_with(".json") {
            serde_json::from_str::<Value>(&file.content).expect("JSON");
        }
    }
    let page = &pack.last().expect("page").content;
    for bad in ["<script", "<img", "</table></", "onerror=\"", "=\"\"b"] {
        assert!(!page.contains(bad), "{bad}");
    }
    let count = |tag: &str| page.matches(tag).count();
    assert_eq!(count("<td"), count("</td>"));
    assert_eq!(count("<table"), count("</table>"));
}

#[tokio::test]
async fn hostile_text_in_every_field_is_only_text() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    for text in TEXTS {
        host(&client, text).await;
    }
    for text in TEXTS {
        let facts = gather(&client, request(text, false), &mut ())
            .await
            .expect("facts");
        assert_eq!(
            (facts.calls(), facts.finding_total(), facts.sample.len()),
            (4, 4, 4)
        );
        let governance = &facts.governance;
        let decided = [
            governance.register.len(),
            governance.accounts.len(),
            governance.dispositions.len(),
            governance.runs.len(),
        ];
        assert_eq!(decided, [4; 4]);
        assert!(
            governance.register.iter().all(|entry| entry.calls == 1),
            "{:?}",
            governance.register
        );
        assert_eq!((governance.notes[0].seals, governance.open()), (4, 0));
        let verdict = facts.verification.verdict();
        assert_eq!(verdict, Verdict::Verified, "{}", facts.verification.to_json());
        check(&files(&facts));
        // The same text as what is asked for.
        let facts = gather(&client, request(text, true), &mut ())
            .await
            .expect("facts");
        assert_eq!((facts.calls(), facts.coverage.hosts.len()), (1, 1), "{text:?}");
        check(&files(&facts));
    }
    let seals = client
        .rows::<u64>("SELECT count() FROM evidence_seals")
        .await
        .expect("still there");
    assert_eq!(seals, [4]);
}
