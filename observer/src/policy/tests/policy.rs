//! Reading of policies.

use sha2::{Digest, Sha256};

use super::super::*;

const POLICY: &str = "version: \"2026-11-24\"\ndefault: unsanctioned\nrules:\n  - {id: a, verdict: sanctioned, provider: [openai]}\n";

fn messages(text: &str) -> Vec<String> {
    Policy::parse(text, "policy.yaml")
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn judge(policy: &Policy) -> Judge {
    Judge {
        policy: policy.clone(),
        register: None,
    }
}

#[test]
fn without_a_policy_nothing_is_judged() {
    let judge = Judge::none();
    let judgement = judge.judge(&Subject::default().with(Attribute::Provider, "openai"));
    assert_eq!(
        (judgement.verdict, judgement.reason, judgement.rule_id),
        (Verdict::Unknown, Reason::NoPolicy, "")
    );
    assert_eq!((judge.policy.id(), judge.policy.is_none()), ("none", true));
}

#[test]
fn the_digest_is_that_of_the_text() {
    let policy = Policy::parse(POLICY, "p.yaml").unwrap();
    assert_eq!(
        policy.digest(),
        <[u8; 32]>::from(Sha256::digest(POLICY.as_bytes()))
    );
    assert_ne!(
        policy.digest(),
        Policy::parse(&format!("{POLICY}# x"), "p").unwrap().digest()
    );
    assert_eq!(
        (policy.version(), policy.id(), policy.rule_count()),
        ("2026-11-24", "default", 1)
    );
}

#[test]
fn all_errors_at_once() {
    let text = "\
default: forbidden
owner: me
rules:
  - id: a
    verdict: sanctionned
    host: [\"https://api.openai.com/v1\", \"api.openai.com:443\"]
  - verdict: sanctioned
    provider: openai
  - id: a
    verdict: unknown
    executable: [curl]
    users: [root]
  - id: b
    verdict: unknown
    namespace: []
  - just text
  - id: c
    verdict: sanctioned
    client: [Claude Code]
    claimed_account: [org-1]
    finding_class: [secrets]
    finding_severity: huge
    register: [aproved]
    executable_sha256: [abc]
    model: [\"~gpt-(4\"]
";
    let shown = messages(text);
    let wanted = [
        "policy.yaml:1:1: a policy needs `version`",
        "policy.yaml:1:10: unknown value `forbidden` in `default`; allowed: sanctioned, unsanctioned, unknown",
        "policy.yaml:2:1: unknown key `owner` in a policy; allowed: id, version, default, rules",
        "policy.yaml:5:14: unknown value `sanctionned` in `verdict`; did you mean `sanctioned`?",
        "policy.yaml:6:12: rule `a`: `https://api.openai.com/v1` in `host` must be a host name",
        "policy.yaml:6:41: rule `a`: `api.openai.com:443` in `host` must be a host name, without a port",
        "policy.yaml:7:5: a rule needs `id`",
        "policy.yaml:8:15: `provider` must be a list; this is a single value",
        "policy.yaml:11:18: rule `a`: `curl` in `executable` must be a full path",
        "policy.yaml:12:5: unknown key `users` in a rule; did you mean `user`?",
        "policy.yaml:15:16: rule `b`: `namespace` is an empty list",
        "policy.yaml:16:5: a rule must be a mapping",
        "policy.yaml:19:13: rule `c`: `client` is what somebody says of himself",
        "policy.yaml:20:22: rule `c`: `claimed_account` is what somebody says of himself",
        "policy.yaml:21:21: rule `c`: `secrets` in `finding_class` unknown value `secrets` in `finding_class`; did you mean `secret`?",
        "policy.yaml:22:23: unknown value `huge` in `finding_severity`; did you mean `high`? allowed: info, low, medium, high, critical",
        "policy.yaml:23:16: rule `c`: `aproved` in `register` unknown value",
        "policy.yaml:24:25: rule `c`: `abc` in `executable_sha256` must be the SHA-256 of a file",
        "policy.yaml:25:13: rule `c`: `~gpt-(4` in `model` is no valid regular expression: unclosed group",
    ];
    for line in wanted {
        assert!(
            shown.iter().any(|s| s.starts_with(line)),
            "{line}\nnot in {shown:#?}"
        );
    }
    assert_eq!(shown.len(), wanted.len(), "{shown:#?}");
}

#[test]
fn what_was_emptied_is_an_error_and_no_mistake_hides_another() {
    let shown = messages(
        "version: '1'\ndefault: unknown\nrules:\n  - id: a\n    verdict: sanctioned\n    host:\n      # - api.openai.com\n    finding_severity:\n\
         \x20 - {id: b, verdict: unsanctoned, enforce: true, model: [x]}\n  - {id: c, id: d, verdict: unknown, hots: [x]}\n",
    );
    for wanted in [
        "policy.yaml:6:5: rule `a`: `host` names nothing",
        "policy.yaml:8:5: rule `a`: `finding_severity` names nothing",
        "unknown value `unsanctoned` in `verdict`",
        "rule `b`: `enforce` cannot go with model",
        "rule `b`: `enforce` needs `host`",
        "`id` stands twice, first in line 10",
        "unknown key `hots` in a rule",
    ] {
        assert!(
            shown.iter().any(|line| line.contains(wanted)),
            "{wanted}\nnot in {shown:#?}"
        );
    }
}

#[test]
fn a_rule_twice_is_an_error_and_files_without_sense_are_refused() {
    let twice =
        "version: '1'\ndefault: unknown\nrules: [{id: a, verdict: unknown}, {id: a, verdict: unknown}]";
    assert!(messages(twice)[0].contains("stands twice"));
    for text in [
        "",
        "- a\n",
        "version: [1]\ndefault: unknown\n",
        "version: ''\ndefault: unknown\n",
        "a: b: c\n",
        "x: &a [*a, *a]\n",
    ] {
        assert!(!messages(text).is_empty(), "{text:?}");
    }
}

#[test]
fn rules_that_cannot_be_reached_are_named() {
    let text = "\
version: '1'
default: unknown
rules:
  - {id: one, verdict: sanctioned, provider: [openai, groq]}
  - {id: two, verdict: sanctioned, provider: [groq], user: [root]}
  - {id: three, verdict: sanctioned, provider: [cohere], host: [api.cohere.com]}
  - {id: four, verdict: unsanctioned, provider: [groq, cohere], host: [api.cohere.com]}
  - {id: five, verdict: unsanctioned, provider: [openai, mistral_ai]}
  - {id: all, verdict: unsanctioned}
  - {id: late, verdict: sanctioned, provider: [cohere]}
";
    let policy = Policy::parse(text, "p.yaml").unwrap();
    let warnings: Vec<String> = policy.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "p.yaml:5:5: warning: rule `two` is never reached, because rule `one` before it takes all that it would take",
            "p.yaml:7:5: warning: rule `four` is never reached, because the rules `three`, `one` before it take all that it \
             would take",
            "p.yaml:8:5: warning: in rule `five` the value `openai` of `provider` never counts, because rule `one` before \
             it takes it: sanctioned shadows unsanctioned",
            "p.yaml:10:5: warning: rule `late` is never reached, because rule `all` before it takes every exchange: \
             unsanctioned shadows sanctioned",
        ]
    );
}

#[test]
fn a_rule_for_findings_is_not_covered_by_a_looser_one_after_it_but_by_one_before() {
    let text = "\
version: '1'
default: unknown
rules:
  - {id: secret, verdict: unsanctioned, finding_class: [secret], finding_severity: high}
  - {id: more, verdict: unsanctioned, finding_class: [secret]}
  - {id: less, verdict: unsanctioned, finding_class: [secret], finding_severity: critical}
";
    let policy = Policy::parse(text, "p.yaml").unwrap();
    assert_eq!(policy.warnings().len(), 1, "{:?}", policy.warnings());
    assert!(
        policy.warnings()[0]
            .message
            .contains("`less` is never reached, because rule `secret`")
    );
}

#[test]
fn the_index_changes_no_verdict() {
    let mut text = String::from("version: '1'\ndefault: unknown\nrules:\n");
    let hosts = ["api.openai.com", "*.openai.azure.com", "api.*", "~api[.]x[.]ai"];
    for n in 0..400 {
        let verdict = ["sanctioned", "unsanctioned", "unknown"][n % 3];
        let host = hosts[n % 4];
        text.push_str(&format!(
            "  - {{id: r{n}, verdict: {verdict}, host: [\"{host}\"], user: [u{}, u{}], model: [\"m{}*\"]}}\n",
            n % 7,
            n % 11,
            n % 13
        ));
    }
    let policy = Policy::parse(&text, "p").unwrap();
    let judge = judge(&policy);
    for n in 0..2_000u32 {
        let host = ["api.openai.com", "a.openai.azure.com", "api.x.ai", "other"][n as usize % 4];
        let (user, model) = (format!("u{}", n % 12), format!("m{}-x", n % 14));
        let subject = Subject::default()
            .with(Attribute::Host, host)
            .with(Attribute::User, &user)
            .with(Attribute::Model, &model);
        let plain = policy.rules().iter().find(|rule| rule.conditions.fits(&subject));
        assert_eq!(
            judge.judge(&subject).rule_id,
            plain.map_or("", |rule| &rule.id),
            "{host} {user} {model}"
        );
    }
}

#[test]
fn too_many_rules_and_expressions_are_refused() {
    let mut text = String::from("version: '1'\ndefault: unknown\nrules:\n");
    (0..=MAX_RULES).for_each(|n| text.push_str(&format!("  - {{id: r{n}, verdict: unknown}}\n")));
    assert!(messages(&text)[0].contains("more than 10000 rules"));
    let million = format!(
        "version: '1'\ndefault: unknown\nrules: [{{id: a, verdict: unknown, model: [\"~{}\"]}}]",
        "a|".repeat(1_000_000)
    );
    assert!(messages(&million)[0].contains("longer than 1024"));
    let many: Vec<String> = (0..300).map(|n| format!("\"~m{n}x+\"")).collect();
    let many = format!(
        "version: '1'\ndefault: unknown\nrules: [{{id: a, verdict: unknown, model: [{}]}}]",
        many.join(", ")
    );
    assert!(messages(&many)[0].contains("one regular expression too many"));
}

#[test]
fn a_rule_that_asks_a_register_warns_where_there_is_none() {
    let policy = Policy::parse(
        "version: '1'\ndefault: unknown\nrules: [{id: a, verdict: unknown, register: [expired]}]",
        "p",
    )
    .unwrap();
    assert!(judge(&policy).warnings()[0].contains("there is no register"));
}
