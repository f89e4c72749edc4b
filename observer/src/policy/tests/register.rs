//! Reading of registers, and entries in time.

use super::super::dates::{end, start};
use super::super::register::MAX_ENTRIES;
use super::super::*;

fn messages(text: &str) -> Vec<String> {
    Register::parse(text, "register.yaml")
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// A register of these entries, each with what all need.
fn of(entries: &[&str]) -> String {
    let mut text = String::from("version: '1'\nai_register:\n");
    for entry in entries {
        text.push_str(&format!("  - {{system: S, owner: o, approval: A-1, {entry}}}\n"));
    }
    text
}

#[test]
fn all_errors_at_once() {
    let text = "\
version: '1'
ai_register:
  - id: a
    system: A
    status: aproved
    valid_from: 2026-02-30
    match: {provider: [OpenAI], hots: [x]}
  - id: b
    system: B
    owner: o
    status: approved
    valid_from: 2026-05-01
    valid_until: 2026-04-01
    review_date: 2025-01-01
    match: {host: [\"~api.*\"]}
    allowed_data_classes: [secrets]
  - id: c
    system: C
    owner: o
    status: conditional
    approval: X
    valid_from: 2026-01-01
    price: 5
";
    let shown = messages(text);
    let wanted = [
        "register.yaml:3:5: entry `a` needs `owner`",
        "register.yaml:5:13: unknown value `aproved` in `status`; did you mean `approved`?",
        "register.yaml:6:17: entry `a`: `valid_from` must be a date such as 2026-01-31",
        "register.yaml:7:24: entry `a`: `OpenAI` in `provider` unknown provider",
        "register.yaml:7:33: unknown key `hots` in `match`; did you mean `host`?",
        "register.yaml:8:5: entry `b` needs `approval`",
        "register.yaml:13:18: entry `b`: `valid_until` is before `valid_from` (2026-05-01)",
        "register.yaml:14:18: entry `b`: `review_date` is before `valid_from` (2026-05-01)",
        "register.yaml:15:20: entry `b`: `~api.*` in `host` is one regular expression too many",
        "register.yaml:16:28: entry `b`: unknown value `secrets` in `allowed_data_classes`; did you mean `secret`?",
        "register.yaml:17:5: entry `c` needs `match`",
        "register.yaml:17:5: entry `c`: a conditional entry needs `allowed_data_classes`",
        "register.yaml:23:5: unknown key `price` in an entry",
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
fn entries_that_meet_are_refused_unless_one_is_inside_the_other() {
    let cases = [
        (
            "the same calls, two answers",
            &[
                "id: a, status: approved, valid_from: 2026-01-01, match: {provider: [openai]}",
                "id: b, status: prohibited, valid_from: 2026-06-01, match: {provider: [openai]}",
            ][..],
            Some(
                "entries `a` (line 3) and `b` contradict each other: the same calls are approved by the first and prohibited by the second, both valid on 2026-06-01",
            ),
        ),
        (
            "the same calls, one answer",
            &[
                "id: a, status: approved, valid_from: 2026-01-01, match: {provider: [openai]}",
                "id: b, status: approved, valid_from: 2026-01-01, match: {provider: [openai]}",
            ],
            Some("entries `a` (line 3) and `b` overlap: both are about the same calls"),
        ),
        (
            "crossing",
            &[
                "id: a, status: approved, valid_from: 2026-01-01, match: {provider: [openai]}",
                "id: b, status: prohibited, valid_from: 2026-01-01, match: {user: [root]}",
            ],
            Some("contradict each other: some calls that fit both are approved"),
        ),
        (
            "patterns that meet",
            &[
                "id: a, status: approved, valid_from: 2026-01-01, match: {host: [\"api.*\"]}",
                "id: b, status: prohibited, valid_from: 2026-01-01, match: {host: [\"*.com\"]}",
            ],
            Some("contradict each other"),
        ),
        (
            "one inside the other",
            &[
                "id: a, status: prohibited, valid_from: 2026-01-01, match: {provider: [openai]}",
                "id: b, status: approved, valid_from: 2026-01-01, match: {provider: [openai], namespace: [research]}",
            ],
            None,
        ),
        (
            "one after the other",
            &[
                "id: a, status: approved, valid_from: 2026-01-01, valid_until: 2026-05-31, match: {provider: [openai]}",
                "id: b, status: prohibited, valid_from: 2026-06-01, match: {provider: [openai]}",
            ],
            None,
        ),
        (
            "never the same call",
            &[
                "id: a, status: approved, valid_from: 2026-01-01, match: {provider: [openai], user: [a]}",
                "id: b, status: prohibited, valid_from: 2026-01-01, match: {provider: [openai], user: [b]}",
            ],
            None,
        ),
        (
            "renewed too early",
            &[
                "id: a, status: approved, valid_from: 2026-01-01, match: {provider: [openai]}",
                "id: a, status: approved, valid_from: 2027-01-01, match: {provider: [groq]}",
            ],
            Some("entry `a` stands twice, first in line 3, and both are valid on 2027-01-01"),
        ),
    ];
    for (name, entries, wanted) in cases {
        let result = Register::parse(&of(entries), "register.yaml");
        match (wanted, result) {
            (None, Ok(_)) => {}
            (Some(wanted), Err(problems)) => {
                assert!(problems[0].to_string().contains(wanted), "{name}: {problems:#?}");
                assert_eq!((problems.len(), problems[0].line), (1, 4), "{name}");
            }
            (wanted, got) => panic!("{name}: {wanted:?} {got:?}"),
        }
    }
}

#[test]
fn a_register_of_any_size_is_read_or_refused_in_bounds() {
    let register = |count: usize| {
        let mut text = String::from("version: '1'\nai_register:\n");
        for n in 0..count {
            text.push_str(&format!(
                "- {{id: e{n}, system: S, owner: o, approval: A, status: approved, valid_from: 2026-01-01, match: {{host: [h{n}.example]}}}}\n"
            ));
        }
        text
    };
    let large = Register::parse(&register(MAX_ENTRIES), "r").unwrap();
    assert_eq!((large.entries().len(), large.warnings().len()), (MAX_ENTRIES, 0));
    let subject = Subject::at(start("2026-02-01").unwrap(), &[]).with(Attribute::Host, "h9999.example");
    assert_eq!(large.ask(&subject).1.unwrap().id, "e9999");
    assert!(messages(&register(MAX_ENTRIES + 1))[0].contains("10001 entries; at most 10000 are allowed"));
    let huge = messages(&register(100_000));
    assert!(
        huge.len() == 1 && huge[0].contains("more than") || huge[0].contains("larger than"),
        "{huge:?}"
    );
}

#[test]
fn what_cannot_be_looked_through_is_said() {
    let mut text = String::from("version: '1'\nai_register:\n");
    for n in 0..7_000 {
        text.push_str(&format!(
            "- {{id: e{n}, system: S, owner: o, approval: A, status: approved, valid_from: 2026-01-01, match: {{host: [\"h{n}.*\"]}}}}\n"
        ));
    }
    let register = Register::parse(&text, "r").unwrap();
    assert!(
        register.warnings()[0]
            .message
            .contains("too many to look through")
    );
}

#[test]
fn an_exchange_is_judged_by_the_entry_of_its_time() {
    let register = Register::parse(
        &of(&[
            "id: a, status: approved, valid_from: 2026-01-01, valid_until: 2026-03-31, review_date: 2026-02-01, match: {provider: [openai]}",
            "id: a, status: approved, valid_from: 2026-06-01, valid_until: 2026-12-31, match: {provider: [openai]}",
        ]),
        "r",
    )
    .unwrap();
    let cases = [
        ("2025-12-31T23:59:59Z", Standing::NotYetValid),
        ("2026-01-01T00:00:00Z", Standing::Approved),
        ("2026-03-31T23:59:59Z", Standing::Approved),
        ("2026-04-01T00:00:00Z", Standing::Expired),
        ("2026-06-01T00:00:00Z", Standing::Approved),
        ("2027-01-01T00:00:00Z", Standing::Expired),
    ];
    for (at, wanted) in cases {
        let subject = Subject::at(start(at).unwrap(), &[]).with(Attribute::Provider, "openai");
        assert_eq!(register.ask(&subject).0, wanted, "{at}");
    }
    let overdue = register.overdue(end("2026-02-15").unwrap());
    assert_eq!(overdue, ["entry `a`: its review was due on 2026-02-01"]);
    assert_eq!(register.overdue(start("2026-07-01").unwrap()).len(), 0, "renewed");
    assert!(register.overdue(start("2027-07-01").unwrap())[0].contains("until 2026-12-31, which is over"));
}

#[test]
fn an_exception_that_is_over_leaves_the_wider_entry() {
    let register = Register::parse(
        &of(&[
            "id: wide, status: prohibited, valid_from: 2026-01-01, match: {provider: [openai]}",
            "id: narrow, status: approved, valid_from: 2026-01-01, valid_until: 2026-03-31, match: {provider: [openai], user: [a]}",
        ]),
        "r",
    )
    .unwrap();
    for (at, user, wanted) in [
        ("2026-02-01", "a", "narrow"),
        ("2026-02-01", "b", "wide"),
        ("2026-05-01", "a", "wide"),
    ] {
        let subject = Subject::at(start(at).unwrap(), &[])
            .with(Attribute::Provider, "openai")
            .with(Attribute::User, user);
        assert_eq!(register.ask(&subject).1.unwrap().id, wanted, "{at} {user}");
    }
}

#[test]
fn a_call_that_falls_under_two_entries_is_judged_by_the_one_that_permits_least() {
    let user = |name: &str, status: &str| {
        format!(
            "id: {name}, status: {status}, valid_from: 2026-01-01, match: {{provider: [openai], user: [\"{name}\"]}}"
        )
    };
    let wide = "id: wide, status: prohibited, valid_from: 2026-01-01, match: {provider: [openai]}".to_owned();
    let model = |name: &str, status: &str| {
        format!(
            "id: {name}, status: {status}, valid_from: 2026-01-01, match: {{provider: [openai], model: [{name}]}}"
        )
    };
    let mut entries = vec![
        model("gpt-4o", "approved"),
        model("o3", "prohibited"),
        user("alice", "approved"),
        user("1000", "under_review"),
        wide,
    ];
    let subject = |attribute, values: [&'static str; 2]| {
        Subject::at(start("2026-02-01").unwrap(), &[])
            .with(Attribute::Provider, "openai")
            .with(attribute, values[0])
            .with(attribute, values[1])
    };
    for _ in 0..entries.len() {
        entries.rotate_left(1);
        // Models and users of one register would meet; each list is read by itself.
        let of_kind = |word: &str| {
            let kept = entries.iter().filter(|e| e.contains(word) || e.contains("wide"));
            let kept: Vec<&str> = kept.map(String::as_str).collect();
            Register::parse(&of(&kept), "r").unwrap()
        };
        let (models, users) = (of_kind("model"), of_kind("user"));
        let answered = subject(Attribute::Model, ["gpt-4o", "o3"]);
        assert_eq!(models.ask(&answered).1.unwrap().id, "o3", "{entries:?}");
        let narrow = subject(Attribute::Model, ["gpt-4o", "gpt-4o-2024"]);
        assert_eq!(
            models.ask(&narrow).0,
            Standing::Approved,
            "an exception from `wide`"
        );
        let both = subject(Attribute::User, ["alice", "1000"]);
        assert_eq!(users.ask(&both).0, Standing::UnderReview, "{entries:?}");
    }
}

#[test]
fn what_was_emptied_is_no_wider_and_an_empty_match_is_told_beside_other_mistakes() {
    let shown = messages(&of(&[
        "id: a, status: aproved, valid_from: 2026-01-01, match: {provider: [openai], user: }, allowed_data_classes: ",
        "id: b, status: approved, valid_from: 2026-01-01, match: {}",
    ]));
    for wanted in [
        "entry `a`: `user` names nothing",
        "entry `a`: `allowed_data_classes` names nothing",
        "entry `b`: `match` is empty",
        "unknown value `aproved`",
    ] {
        assert!(
            shown.iter().any(|line| line.contains(wanted)),
            "{wanted}\nnot in {shown:#?}"
        );
    }
}
