//! Accounts, clients, agents and lineage in rows.

use std::net::IpAddr;

use super::*;
use crate::identity::Lineage;
use crate::policy::Register;

/// A chat request with these further header lines.
fn chat_with(host: &str, lines: &str) -> Vec<u8> {
    let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}"#;
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\n{lines}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn row_of(process: &Arc<Identity>, lines: &str) -> InteractionRow {
    let mut bed = Bed::new();
    let mut one = flow(1, process);
    bed.call(&mut one, &chat_with("api.openai.com", lines), &answer("yes"));
    bed.interactions()[0].clone()
}

#[test]
fn a_key_gives_a_fingerprint_and_never_itself() {
    let token = bearer();
    let row = row_of(
        &process(1),
        &format!("Authorization: Bearer {token}\r\nOpenAI-Organization: org-1\r\n"),
    );
    assert_eq!(
        row.account_hmac,
        book().key.tagged("credential", token.as_bytes())
    );
    assert_eq!(
        [
            row.account_kind.as_str(),
            &row.account_evidence,
            &row.account_organization,
            &row.account_organization_source
        ],
        ["api_key", "credential", "org-1", "claimed"]
    );
    assert_eq!(row.hmac_key_id, book().key.id());
    assert!(!format!("{row:?}").contains(&token), "the key is in the row");
    let none = row_of(&process(1), "");
    assert_eq!(
        (
            none.account_hmac,
            none.account_kind.as_str(),
            none.hmac_key_id.as_str()
        ),
        ([0; 16], "", book().key.id()),
        "the prompt has a hash, too"
    );
}

#[test]
fn an_account_stays_while_its_tokens_change() {
    let of = |token: &str| {
        row_of(
            &process(1),
            &format!("Authorization: Bearer {token}\r\nChatGPT-Account-ID: acc-7\r\n"),
        )
    };
    let (first, second) = (of("token-one-0123456789"), of("token-two-0123456789"));
    assert_eq!(first.account_hmac, second.account_hmac);
    assert_ne!(first.credential_hmac, second.credential_hmac);
    assert_eq!(
        [first.account_kind.as_str(), &first.account_evidence],
        ["chatgpt_account", "claimed"]
    );
}

#[test]
fn a_claim_of_another_account_opens_nothing() {
    let company = hex::encode(book().key.tagged("credential", b"company-key-0123456789"));
    let judge = |account: &str| {
        Judge {
        policy: Policy::none(),
        register: Some(
            Register::parse(
                &format!(
                    "version: '1'\nai_register:\n  - {{id: a, system: S, owner: o, approval: X, status: approved, valid_from: 2020-01-01, match: {{account: [{account}]}}}}\n"
                ),
                "r",
            )
            .unwrap(),
        ),
    }
    };
    let verdict = |judge: Judge, lines: &str| {
        let mut bed = Bed::new();
        bed.pipeline.set_judge(Arc::new(judge));
        bed.call(
            &mut flow(1, &process(1)),
            &chat_with("api.openai.com", lines),
            &answer("yes"),
        );
        bed.interactions()[0].policy_verdict.clone()
    };
    assert_eq!(
        verdict(
            judge(&company),
            "Authorization: Bearer company-key-0123456789\r\n"
        ),
        "sanctioned"
    );
    assert_eq!(
        verdict(judge(&company), "Authorization: Bearer other-key-0123456789\r\n"),
        "unsanctioned"
    );
    let claim = "Authorization: Bearer other-key-0123456789\r\nOpenAI-Organization: org-company\r\n";
    assert_eq!(
        verdict(judge("org-company"), claim),
        "unsanctioned",
        "a header proves nothing"
    );
}

#[test]
fn an_agent_and_its_children_are_one_session() {
    let mut bed = Bed::new();
    let agent = Arc::new(Identity {
        comm: "node".to_owned(),
        ..Identity::clone(&process(70))
    });
    let child = Arc::new(Identity {
        ancestry: vec![
            Ancestor {
                pid: 71,
                start_ticks: 3,
                comm: "bash".to_owned(),
            },
            Ancestor {
                pid: agent.key.pid,
                start_ticks: agent.key.start_ticks(),
                comm: "node".to_owned(),
            },
        ],
        ..Identity::clone(&process(72))
    });
    let of_agent = chat_with(
        "api.openai.com",
        "User-Agent: claude-cli/2.0.1 (external, cli)\r\n",
    );
    bed.call(&mut flow(1, &agent), &of_agent, &answer("yes"));
    bed.call(
        &mut flow(2, &child),
        &chat_with("api.openai.com", "User-Agent: OpenAI/Python 1.9\r\n"),
        &answer("yes"),
    );
    bed.call(&mut flow(3, &process(99)), &chat("hi"), &answer("yes"));
    let rows = bed.interactions();
    assert_eq!(
        [
            rows[0].client_name.as_str(),
            &rows[0].client_version,
            &rows[0].client_kind
        ],
        ["Claude Code", "2.0.1", "coding_agent"]
    );
    assert_eq!(
        [rows[1].client_name.as_str(), &rows[1].sdk_version],
        ["OpenAI SDK for Python", "1.9"]
    );
    let id = format!("70-{}", agent.key.start_ticks());
    for row in &rows[..2] {
        assert_eq!(
            (row.agent_name.as_str(), &row.agent_session_id),
            ("Claude Code", &id)
        );
    }
    assert_eq!(rows[2].agent_session_id, "");
    assert_eq!(bed.connections()[1].agent_session_id, id);
}

#[test]
fn who_logged_in_from_where_is_in_both_rows() {
    let process = Arc::new(Identity {
        lineage: Lineage {
            login_user: "carol".to_owned(),
            audit_session: 7,
            tty: "pts/3".to_owned(),
            ssh_client: Some(IpAddr::from([192, 0, 2, 5])),
            invoking_uid: Some(1001),
        },
        ..Identity::clone(&process(1))
    });
    process.executable_digest.set([9; 32]).unwrap();
    let mut bed = Bed::new();
    bed.call(&mut flow(1, &process), &chat("hi"), &answer("yes"));
    let (row, connection) = (bed.interactions()[0], bed.connections()[0]);
    assert_eq!(
        (
            row.login_user_name.as_str(),
            row.audit_session_id,
            row.process_tty.as_str(),
            row.ssh_client_address.as_str(),
            row.invoking_user_id
        ),
        ("carol", 7, "pts/3", "192.0.2.5", 1001)
    );
    assert_eq!(row.process_executable_sha256, [9; 32]);
    assert_eq!(
        (
            connection.login_user_name.as_str(),
            connection.ssh_client_address.as_str()
        ),
        ("carol", "192.0.2.5")
    );
}

#[test]
fn a_program_that_goes_dark_is_an_alarm() {
    let mut bed = Bed::new();
    let client = process(1);
    bed.call(&mut flow(1, &client), &chat("hi"), &answer("yes"));
    for id in 2..6 {
        let dark = flow(id, &client);
        bed.connect(&dark);
        bed.name(&dark, "api.openai.com");
        bed.free(&dark);
        bed.close(&dark, 700, 4_000);
        bed.tick_after(GRACE_NS);
    }
    let alarms: Vec<&str> = bed
        .outputs
        .iter()
        .filter_map(|output| match output {
            Output::WentDark { executable, .. } => Some(executable.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(alarms, ["/usr/bin/client"]);
}
