//! `observer policy replay`: what stored history would have been judged by a new policy or register.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use serde_json::json;

use super::{
    super::{log, target},
    Failure, Format, Source, out,
};
use crate::{
    kernel::clock::wall_ns,
    policy::{Judge, parse_end, parse_time},
    report::{
        table::{Value, left, render, right},
        text,
    },
    store::{Client, history},
};

const AFTER_HELP: &str = "\
A dry run before a change: the interactions of the period are taken from the store with their findings and judged anew,
each at its own time. Nothing is written. What the store does not hold cannot be judged by: a rule that asks for it
does not fit.

Examples:
  observer policy replay --config observer.yaml --from 2026-11-01 --to 2026-11-28 new-policy.yaml
  observer policy replay --config observer.yaml --register new-register.yaml --format json";

/// Judge stored history by a new policy, and show what would differ.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
    /// New policy; without it the configuration's is used, with the new register.
    #[arg(value_name = "NEW_FILE", required_unless_present = "register")]
    policy: Option<PathBuf>,
    /// From when on: a date or time; seven days before the end without it.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until when: a date (to its end) or a time; now without it.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Form of the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const WEEK_NS: i64 = 7 * 86_400_000_000_000;
/// Most different changes that are shown one by one.
const MAX_CHANGES: usize = 200;

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    log::start(log::QUIET);
    let loaded = args.source.load(args.policy.as_ref())?;
    let time = |name: &str, text: &Option<String>, parse: fn(&str) -> Option<i64>| match text {
        None => Ok(None),
        Some(text) => parse(text).map(Some).ok_or_else(|| {
            Failure::usage(format!(
                "--{name}: `{text}` is no date such as 2026-01-31 and no time"
            ))
        }),
    };
    let to_ns = time("to", &args.to, parse_end)?.unwrap_or_else(wall_ns);
    let from_ns = time("from", &args.from, parse_time)?.unwrap_or(to_ns.saturating_sub(WEEK_NS));
    if from_ns >= to_ns {
        return Err(Failure::usage("--from is not before --to"));
    }
    let client = Client::new(&target::of(&loaded.config)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut changes = Changes::default();
    runtime.block_on(history::each(&client, from_ns, to_ns, |row| {
        changes.take(&loaded.judge, row);
    }))?;
    match args.format {
        Format::Table => out::print(&changes.as_text())?,
        Format::Json => out::print_json(&changes.as_json())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A kind of change: verdict and what decided, before and after, and who is concerned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    before: [String; 2],
    after: [String; 2],
    provider: String,
    host: String,
    user: String,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    interactions: u64,
    first_ns: i64,
    last_ns: i64,
}

#[derive(Debug, Default)]
struct Changes {
    looked_at: u64,
    same: u64,
    changed: BTreeMap<Kind, Count>,
    /// By verdict before and after.
    verdicts: BTreeMap<(String, &'static str), u64>,
    /// Changes of kinds beyond the limit.
    more: u64,
}

impl Changes {
    fn take(&mut self, judge: &Judge, row: &history::Judged) {
        let judgement = row.judge(judge);
        self.looked_at += 1;
        let after = judgement.verdict.name();
        *self
            .verdicts
            .entry((row.policy_verdict.clone(), after))
            .or_default() += 1;
        if after == row.policy_verdict {
            self.same += 1;
            return;
        }
        let decided = |rule: &str, reason: &str| {
            if rule.is_empty() {
                reason.to_owned()
            } else {
                format!("rule {rule}")
            }
        };
        let reason = judgement.reason.name();
        let by_rule = if reason == "rule" { judgement.rule_id } else { "" };
        let old_rule = if matches!(row.policy_reason.as_str(), "" | "rule") {
            &*row.policy_rule_id
        } else {
            ""
        };
        let kind = Kind {
            before: [row.policy_verdict.clone(), decided(old_rule, &row.policy_reason)],
            after: [after.to_owned(), decided(by_rule, reason)],
            provider: row.gen_ai_provider_name.clone(),
            host: row.server_address.clone(),
            user: row.user(),
        };
        if self.changed.len() >= MAX_CHANGES && !self.changed.contains_key(&kind) {
            self.more += 1;
            return;
        }
        let count = self.changed.entry(kind).or_insert(Count {
            first_ns: row.ts,
            ..Count::default()
        });
        count.interactions += 1;
        count.first_ns = count.first_ns.min(row.ts);
        count.last_ns = count.last_ns.max(row.ts);
    }

    fn as_text(&self) -> String {
        let different = self.looked_at - self.same;
        let looked = self.looked_at;
        let mut out = format!("{looked} interactions judged anew, {different} with another verdict\n");
        if different == 0 {
            return out;
        }
        let mut kinds: Vec<(&Kind, &Count)> = self.changed.iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(count.interactions));
        let values = |(kind, count): &(&Kind, &Count)| -> Vec<Value> {
            vec![
                count.interactions.to_string().into(),
                text::safe(&kind.before[0]).into(),
                text::safe(&kind.before[1]).into(),
                text::safe(&kind.after[0]).into(),
                text::safe(&kind.after[1]).into(),
                text::safe(&kind.provider).into(),
                text::safe(&kind.host).into(),
                text::safe(&kind.user).into(),
            ]
        };
        let rows: Vec<Vec<Value>> = kinds.iter().map(values).collect();
        let columns = [
            right("count"),
            left("was"),
            left("by"),
            left("would be"),
            left("by"),
            left("provider"),
            left("host"),
            left("user"),
        ];
        out.push_str(&render(&columns, &rows));
        if self.more > 0 {
            out.push_str(&format!("\nand {} more of other kinds\n", self.more));
        }
        out
    }

    fn as_json(&self) -> serde_json::Value {
        let one = |(kind, count): (&Kind, &Count)| {
            json!({
                "interactions": count.interactions,
                "before": {"verdict": kind.before[0], "decided_by": kind.before[1]},
                "after": {"verdict": kind.after[0], "decided_by": kind.after[1]},
                "provider": kind.provider,
                "host": kind.host,
                "user": kind.user,
                "first_ns": count.first_ns,
                "last_ns": count.last_ns,
            })
        };
        let verdicts = self
            .verdicts
            .iter()
            .map(|((before, after), n)| json!({"before": before, "after": after, "interactions": n}));
        json!({
            "interactions": self.looked_at,
            "different": self.looked_at - self.same,
            "verdicts": verdicts.collect::<Vec<_>>(),
            "changes": self.changed.iter().map(one).collect::<Vec<_>>(),
            "changes_left_out": self.more,
        })
    }
}
