//! A verdict by a policy of a thousand rules and a register of a thousand entries, against one by ten rules.

use std::fmt::Write;
use std::hint::black_box;

use anyhow::{Result, anyhow};
use observer::policy::{Attribute, FindingFact, Judge, Policy, Register, Subject};
use observer::sensitive::Severity;

use super::{Name, Row, Rows, cpu, number};

const REPEATS: usize = 5;
const VERDICTS: u64 = 100_000;
/// 2026-11-29.
const NOW_NS: i64 = 1_795_910_400_000_000_000;

pub(super) fn run() -> Result<Vec<Row>> {
    let mut rows = Rows::new(Name::Policy);
    let few = judge(10, 0)?;
    let (many, patterns) = (judge(1_000, 1_000)?, all_patterns(1_000)?);
    let (mut of_few, mut of_many, mut of_patterns) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        of_few.push(verdicts(&few));
        of_many.push(verdicts(&many));
        of_patterns.push(verdicts(&patterns));
    }
    rows.many("a verdict by 10 rules", &of_few, "ns");
    rows.many(
        "a verdict by 1,000 rules and 1,000 entries of a register",
        &of_many,
        "ns",
    )
    .at_most(2_000.0)
    .note("rules by host, provider, user, namespace and model; half of the calls fit none");
    rows.many(
        "a verdict by 1,000 rules without one plain value",
        &of_patterns,
        "ns",
    )
    .note("patterns with stars on both sides, which no index finds");
    let ratio: Vec<f64> = of_many
        .iter()
        .zip(&of_few)
        .map(|(many, few)| many / few)
        .collect();
    rows.many("1,000 rules and entries against 10 rules", &ratio, "times");
    Ok(rows.1)
}

fn judge(rules: usize, entries: usize) -> Result<Judge> {
    let mut text = String::from("version: '1'\ndefault: unsanctioned\nrules:\n");
    for n in 0..rules {
        let condition = match n % 5 {
            0 => format!("host: [h{n}.example.com, \"*.z{n}.example.com\"]"),
            1 => format!("provider: [p{n}], model: [\"m{n}*\"]"),
            2 => format!("provider: [openai], user: [u{n}]"),
            3 => format!("namespace: [n{n}], finding_class: [secret]"),
            _ => format!("model: [m{n}], executable: [\"/usr/bin/*\"]"),
        };
        writeln!(text, "  - {{id: r{n}, verdict: sanctioned, {condition}}}")?;
    }
    let policy = Policy::parse(&text, "policy").map_err(|problems| anyhow!("{problems:?}"))?;
    let mut text = String::from("version: '1'\nai_register:\n");
    for n in 0..entries {
        writeln!(
            text,
            "  - {{id: e{n}, system: S, owner: o, approval: A, status: approved, valid_from: 2026-01-01, match: {{host: [e{n}.example.com]}}}}"
        )?;
    }
    let register = (entries > 0)
        .then(|| Register::parse(&text, "register").map_err(|problems| anyhow!("{problems:?}")))
        .transpose()?;
    Ok(Judge { policy, register })
}

fn all_patterns(rules: usize) -> Result<Judge> {
    let mut text = String::from("version: '1'\ndefault: unsanctioned\nrules:\n");
    for n in 0..rules {
        writeln!(text, "  - {{id: r{n}, verdict: sanctioned, user: [\"*{n}x*\"]}}")?;
    }
    let policy = Policy::parse(&text, "policy").map_err(|problems| anyhow!("{problems:?}"))?;
    Ok(Judge {
        policy,
        register: None,
    })
}

/// CPU time of one verdict, ns.
fn verdicts(judge: &Judge) -> f64 {
    let findings = [FindingFact {
        class: "pii",
        rule: "email_address",
        severity: Severity::Low,
        place: "prompt",
    }];
    let hosts = [
        "h995.example.com",
        "a.z990.example.com",
        "e999.example.com",
        "api.openai.com",
    ];
    let start = cpu();
    for n in 0..VERDICTS {
        let host = hosts[usize::try_from(n % 4).unwrap_or(0)];
        let subject = Subject::at(NOW_NS, &findings)
            .with(Attribute::Provider, "openai")
            .with(Attribute::Host, host)
            .with(Attribute::Model, "gpt-4o-2024-08-06")
            .with(Attribute::Operation, "chat")
            .with(Attribute::Path, "/v1/chat/completions")
            .with(Attribute::User, "alice")
            .with(Attribute::User, "1000")
            .with(Attribute::Executable, "/usr/bin/python3.11")
            .with(Attribute::Machine, "web-1");
        black_box(judge.judge(black_box(&subject)));
    }
    (cpu() - start) * 1e9 / number(VERDICTS)
}
