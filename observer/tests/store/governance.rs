//! Policies and registers in the store, and stored history judged anew.

use observer::evidence::{FindingRow, InteractionRow, Sequencer, Severity};
use observer::policy::{Judge, Policy, Register};
use observer::store::{GovernanceFile, RegisterRow, bring_file, bring_register, history};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::support::{Store, need_library, temporary};

const REGISTER: &str = "version: '7'
ai_register:
  - {id: a, system: A, owner: o, approval: X, status: conditional, valid_from: 2026-01-01, valid_until: 2026-12-31,
     allowed_data_classes: [], match: {provider: [openai], host: [\"*.openai.com\"]}, related_controls: [A.9.4]}
  - {id: b, system: B, owner: o, status: prohibited, valid_from: 2026-01-01, match: {provider: [deepseek]}}
";
const POLICY: &str =
    "version: '9'\ndefault: unsanctioned\nrules:\n  - {id: root, verdict: sanctioned, user: [root]}\n";

fn judge() -> Judge {
    Judge {
        policy: Policy::parse(POLICY, "p").expect("policy"),
        register: Some(Register::parse(REGISTER, "r").expect("register")),
    }
}

#[tokio::test]
async fn a_register_and_a_policy_are_stored_once_and_prove_themselves() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let judge = judge();
    let rows = RegisterRow::of(judge.register.as_ref().expect("register"), "h");
    for _ in 0..2 {
        bring_register(&client, &rows).await.expect("register");
        for file in GovernanceFile::of(&judge, "h") {
            bring_file(&client, &file).await.expect("file");
        }
    }
    let asked = |sql: &str| store.post("/?database=ai_evidence", sql.as_bytes()).ok();
    assert_eq!(asked("SELECT count() FROM ai_register"), "2\n");
    assert_eq!(
        asked("SELECT kind, version, SHA256(text) = sha256 FROM governance_files ORDER BY kind"),
        "policy\t9\ttrue\nregister\t7\ttrue\n".replace("true", "1")
    );
    let digest = hex::encode(Sha256::digest(REGISTER));
    let entry = "SELECT entry_id, status, toDate(valid_until), endpoint_match, matches['host'], data_classes_limited, lower(hex(register_sha256)) \
                 FROM v_register WHERE entry_id = 'a'";
    assert_eq!(
        asked(entry),
        format!(
            "a\tconditional\t2027-01-01\t^(?:.*\\\\.openai\\\\.com)$\t['*.openai.com']\ttrue\t{digest}\n"
        )
    );
    assert_eq!(
        asked("SELECT toYear(valid_until) FROM v_register WHERE entry_id = 'b'"),
        "2100\n"
    );
}

#[tokio::test]
async fn stored_history_is_judged_anew_with_its_findings_at_its_time() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let mut sequencer = Sequencer::new("h", Uuid::nil(), 1);
    // 2026-11-29 and 2027-02-01.
    let times = [1_795_910_400_000_000_000, 1_801_440_000_000_000_000];
    let mut row = |ts: i64, provider: &str, user: &str| {
        sequencer.interaction(InteractionRow {
            ts,
            gen_ai_provider_name: provider.into(),
            server_address: "api.OpenAI.com".into(),
            user_id: 7,
            user_name: user.into(),
            policy_verdict: "unknown".into(),
            ..InteractionRow::unknown()
        })
    };
    let rows = [
        row(times[0], "openai", "a"),
        row(times[0] + 1, "openai", "b"),
        row(times[1], "openai", "c"),
        row(times[0] + 2, "deepseek", "root"),
        row(times[0] + 3, "groq", "root"),
    ];
    let finding = |of: &InteractionRow, confidence: &str| FindingRow {
        ts: of.ts,
        interaction_hash: of.record_hash,
        finding_type: "secret".into(),
        severity: Severity::High,
        direction: "prompt".into(),
        confidence: confidence.into(),
        ..FindingRow::unknown()
    };
    let found = [
        finding(&rows[1], "pattern"),
        finding(&rows[0], "documented_example"),
    ];
    let found: Vec<FindingRow> = found.into_iter().map(|f| sequencer.finding(f)).collect();
    client
        .insert_rows(InteractionRow::TABLE, &rows.iter().collect::<Vec<_>>(), None)
        .await
        .expect("rows");
    client
        .insert_rows(FindingRow::TABLE, &found.iter().collect::<Vec<_>>(), None)
        .await
        .expect("findings");
    let judge = judge();
    let mut seen = Vec::new();
    history::each(&client, times[0], times[1] + 1, |row| {
        let judgement = row.judge(&judge);
        seen.push((row.user(), judgement.verdict.name(), judgement.reason.name()));
    })
    .await
    .expect("history");
    seen.sort();
    let wanted = [
        ("a", "sanctioned", "register_conditional"),
        ("b", "unsanctioned", "data_class_not_allowed"),
        ("c", "unsanctioned", "approval_expired"),
        ("root", "sanctioned", "rule"),
        ("root", "unsanctioned", "register_prohibited"),
    ];
    assert_eq!(
        seen,
        wanted.map(|(user, verdict, reason)| (user.to_owned(), verdict, reason))
    );
    let mut count = 0;
    history::each(&client, times[1], times[1] + 1, |_| count += 1)
        .await
        .expect("history");
    assert_eq!(count, 1, "the period is kept");
}
