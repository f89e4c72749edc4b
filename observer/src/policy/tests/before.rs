//! What is stopped before a connection is made.

use super::super::*;

fn policy(rules: &str) -> Policy {
    Policy::parse(
        &format!("version: \"1\"\ndefault: unknown\nrules:\n{rules}"),
        "p.yaml",
    )
    .unwrap()
}

fn judge(rules: &str) -> Judge {
    Judge {
        policy: policy(rules),
        register: None,
    }
}

const USER: Attributes = Attributes::of(&[Attribute::User]);
const NOTHING: Attributes = Attributes::of(&[]);

fn to<'a>(host: &'a str, user: &'a str) -> Subject<'a> {
    Subject::default()
        .with(Attribute::Host, host)
        .with(Attribute::User, user)
}

/// The rule that stops; empty for none.
fn stops<'j>(judge: &'j Judge, subject: &Subject<'_>, unknown: Attributes) -> &'j str {
    judge.stops(subject, unknown).map_or("", |stop| stop.rule_id)
}

const EXCEPTION: &str = "  - {id: but, verdict: sanctioned, host: [x.ai], user: [alice]}\n  - {id: no, verdict: unsanctioned, enforce: true, host: [x.ai]}\n";

#[test]
fn the_first_rule_that_fits_decides_and_only_enforced_ones_stop() {
    let judge = judge(EXCEPTION);
    assert_eq!(stops(&judge, &to("x.ai", "alice"), NOTHING), "");
    assert_eq!(stops(&judge, &to("x.ai", "bob"), NOTHING), "no");
    assert_eq!(stops(&judge, &to("y.ai", "bob"), NOTHING), "");
}

#[test]
fn whoever_is_not_known_yet_might_be_the_exception() {
    let judge = judge(EXCEPTION);
    assert_eq!(stops(&judge, &to("x.ai", ""), USER), "");
    let narrow =
        self::judge("  - {id: no, verdict: unsanctioned, enforce: true, host: [x.ai], user: [bob]}\n");
    assert_eq!(
        stops(&narrow, &to("x.ai", ""), USER),
        "",
        "it might be somebody else"
    );
    let both = self::judge(
        "  - {id: bob, verdict: unsanctioned, enforce: true, host: [x.ai], user: [bob]}\n  - {id: all, verdict: unsanctioned, enforce: dry_run, host: [x.ai]}\n",
    );
    let stop = both.stops(&to("x.ai", ""), USER).unwrap();
    assert_eq!(
        (stop.rule_id, stop.dry_run),
        ("all", true),
        "the milder of two that are possible"
    );
    assert!(!both.stops(&to("x.ai", "bob"), NOTHING).unwrap().dry_run);
    let pilot = self::judge(
        "  - {id: pilot, verdict: unsanctioned, enforce: dry_run, host: [x.ai], user: [bob]}\n  - {id: all, verdict: unsanctioned, enforce: true, host: [x.ai]}\n",
    );
    let stop = pilot.stops(&to("x.ai", ""), USER).unwrap();
    assert_eq!(
        (stop.rule_id, stop.dry_run),
        ("all", true),
        "whoever it is may be in the pilot"
    );
    assert!(!pilot.stops(&to("x.ai", "alice"), NOTHING).unwrap().dry_run);
}

#[test]
fn what_only_the_call_shows_keeps_the_door_open() {
    for late in [
        "model: [gpt-4o]",
        "finding_class: [secret]",
        "client: [x]",
        "account: [a]",
    ] {
        let verdict = if late.starts_with("client") {
            "unknown"
        } else {
            "sanctioned"
        };
        let rules = format!(
            "  - {{id: may, verdict: {verdict}, provider: [openai], {late}}}\n  - {{id: no, verdict: unsanctioned, enforce: true, provider: [openai]}}\n"
        );
        let judge = judge(&rules);
        let subject = Subject::default().with(Attribute::Provider, "openai");
        assert_eq!(stops(&judge, &subject, NOTHING), "", "{late}");
        let warnings: Vec<String> = judge.policy.warnings().iter().map(ToString::to_string).collect();
        assert!(
            warnings
                .iter()
                .any(|w| w.starts_with("p.yaml:5:") && w.contains("`no` is not enforced where rule `may`")),
            "{warnings:?}"
        );
    }
}

#[test]
fn what_the_register_says_is_enforced_where_it_is_sure() {
    let register = |more: &str| {
        let text = format!(
            "version: r\nai_register:\n  - {{id: x, system: X, owner: o, status: prohibited, valid_from: 2020-01-01, match: {{host: [\"*.x.ai\"]}}}}\n{more}"
        );
        Judge {
            policy: policy("  - {id: no, verdict: unsanctioned, enforce: true, register: [prohibited]}\n"),
            register: Some(Register::parse(&text, "r.yaml").unwrap()),
        }
    };
    let at = parse_time("2026-01-01").unwrap();
    let subject = |host| Subject::at(at, &[]).with(Attribute::Host, host);
    let plain = register("");
    assert_eq!(stops(&plain, &subject("api.x.ai"), NOTHING), "no");
    assert_eq!(stops(&plain, &subject("api.y.ai"), NOTHING), "");
    let lab = "  - {id: lab, system: X, owner: o, approval: A, status: approved, valid_from: 2020-01-01, match: {host: [\"*.x.ai\"], MORE}}\n";
    let by_account = register(&lab.replace("MORE", "account: [org-1]"));
    assert_eq!(
        stops(&by_account, &subject("api.x.ai"), NOTHING),
        "",
        "the account is not known yet"
    );
    let by_user = register(&lab.replace("MORE", "user: [alice]"));
    assert_eq!(
        stops(
            &by_user,
            &subject("api.x.ai").with(Attribute::User, "alice"),
            NOTHING
        ),
        ""
    );
    assert_eq!(
        stops(
            &by_user,
            &subject("api.x.ai").with(Attribute::User, "bob"),
            NOTHING
        ),
        "no"
    );
    assert_eq!(stops(&by_user, &subject("api.x.ai"), USER), "");
    let expired = register(
        "  - {id: y, system: Y, owner: o, approval: A, status: approved, valid_from: 2020-01-01, valid_until: 2020-12-31, match: {host: [y.ai]}}\n",
    );
    assert_eq!(
        stops(&expired, &subject("y.ai"), NOTHING),
        "",
        "the rule asks for prohibited"
    );
}

#[test]
fn wrong_uses_are_explained() {
    let check = |rule: &str| {
        let text = format!("version: \"1\"\ndefault: unknown\nrules:\n  - {{id: r, {rule}}}\n");
        let problems = Policy::parse(&text, "p.yaml").err().unwrap_or_default();
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for (rule, wanted) in [
        (
            "verdict: sanctioned, enforce: true, host: [x.ai]",
            "needs the verdict unsanctioned, not sanctioned",
        ),
        (
            "verdict: unknown, enforce: dry_run, host: [x.ai]",
            "needs the verdict unsanctioned, not unknown",
        ),
        (
            "verdict: unsanctioned, enforce: true, host: [x.ai], model: [m], finding_class: [secret]",
            "cannot go with model, finding_*, which nobody knows before",
        ),
        (
            "verdict: unsanctioned, enforce: true, host: [x.ai], executable_sha256: [\"~a.*\"]",
            "cannot go with executable_sha256",
        ),
        (
            "verdict: unsanctioned, enforce: true, user: [bob]",
            "needs `host`, `provider`, `system` or `register`",
        ),
        (
            "verdict: unsanctioned, enforce: true, host: [\"*\"]",
            "cannot go with `host: *`",
        ),
        (
            "verdict: unsanctioned, enforce: maybe, host: [x.ai]",
            "unknown value `maybe` in `enforce`; allowed: false, true, dry_run",
        ),
    ] {
        let shown = check(rule);
        assert!(
            shown.len() == 1 && shown[0].starts_with("p.yaml:4:") && shown[0].contains(wanted),
            "{rule}: {shown:?}"
        );
    }
    for right in [
        "verdict: unsanctioned, enforce: true, host: [x.ai]",
        "verdict: unsanctioned, enforce: false, model: [m]",
    ] {
        assert_eq!(check(right), <[String; 0]>::default());
    }
}

#[test]
fn those_that_rules_tell_apart_have_other_signatures() {
    let judge = judge(EXCEPTION);
    let of = |user| judge.signature(&Subject::default().with(Attribute::User, user), USER);
    assert_eq!((of("bob"), of("carol")), (vec![false], vec![false]));
    assert_eq!(of("alice"), [true]);
    let none = self::judge(
        "  - {id: no, verdict: unsanctioned, enforce: true, host: [x.ai]}\n  - {id: b, verdict: unknown, user: [bob]}\n",
    );
    let bob = Subject::default().with(Attribute::User, "bob");
    assert!(
        none.signature(&bob, USER).is_empty(),
        "nothing is enforced behind it"
    );
}
