//! `observer policy explain`: what a call would be judged, by which rule or entry, and why.

use std::{path::PathBuf, process::ExitCode};

use serde_json::json;

use super::{super::log, Failure, Format, Source, out};
use crate::{
    kernel::clock::wall_ns,
    policy::{Attribute, Attributes, Explanation, FindingFact, Judge, ROLES, StoppedBy, Subject, parse_time},
    report::text,
    sensitive::{Class, Severity},
};

const AFTER_HELP: &str = "\
What is not given is not known, and what is not known fits no condition. Without --provider the catalogue names the
provider of --host. A finding is CLASS, CLASS:SEVERITY or CLASS:SEVERITY:PLACE.

Examples:
  observer policy explain --config observer.yaml --host api.openai.com --user alice --model gpt-4o
  observer policy explain --policy policy.yaml --host api.openai.com --finding secret:critical:prompt
  observer policy explain --register ai-register.yaml --provider anthropic --at 2026-07-01 --format json";

/// Show what a call is judged, which rule or entry of the register decides, and why.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    source: Source,
    /// Policy file instead of the configuration's.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Host name of the AI service.
    #[arg(long)]
    host: Option<String>,
    /// Provider, as the rows name it.
    #[arg(long)]
    provider: Option<String>,
    /// Model asked for.
    #[arg(long)]
    model: Option<String>,
    /// Operation: chat, embeddings, ...
    #[arg(long)]
    operation: Option<String>,
    /// Path of the request, as the rows show it.
    #[arg(long)]
    path: Option<String>,
    /// Kubernetes namespace.
    #[arg(long)]
    namespace: Option<String>,
    /// Workload.
    #[arg(long)]
    workload: Option<String>,
    /// Service account.
    #[arg(long)]
    service_account: Option<String>,
    /// User: name or number, may be given twice.
    #[arg(long)]
    user: Vec<String>,
    /// User who logged in: name or number.
    #[arg(long)]
    login_user: Vec<String>,
    /// Path of the executable.
    #[arg(long)]
    executable: Option<String>,
    /// SHA-256 of the executable.
    #[arg(long)]
    executable_sha256: Option<String>,
    /// Observed host.
    #[arg(long)]
    machine: Option<String>,
    /// Fingerprint of the account, as the rows show it.
    #[arg(long)]
    account: Vec<String>,
    /// What the client says of its account.
    #[arg(long)]
    claimed_account: Vec<String>,
    /// Client program.
    #[arg(long)]
    client: Option<String>,
    /// MCP server, as it calls itself.
    #[arg(long)]
    mcp_server: Option<String>,
    /// Path of the executable of an MCP server over standard input and output.
    #[arg(long)]
    mcp_server_executable: Option<String>,
    /// Whether the process asked or was asked.
    #[arg(long, value_parser = ROLES, default_value = ROLES[0])]
    role: String,
    /// Sensitive data in the call, may be given several times.
    #[arg(long, value_name = "CLASS[:SEVERITY[:PLACE]]")]
    finding: Vec<String>,
    /// When: a date or a time such as 2026-07-01T08:00:00Z; now without it.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Form of the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    log::start(log::QUIET);
    let loaded = args.source.load(args.policy.as_ref())?;
    let host = args.host.as_deref().unwrap_or_default().to_ascii_lowercase();
    let provider = args.provider.clone().or_else(|| {
        let path = args.path.as_deref().unwrap_or("/");
        loaded.catalog.lookup(&host, path).map(|found| found.provider)
    });
    let findings = args
        .finding
        .iter()
        .map(|text| finding(text))
        .collect::<Result<Vec<_>, _>>()?;
    let at_ns = match &args.at {
        None => wall_ns(),
        Some(at) => {
            parse_time(at).ok_or_else(|| Failure::usage(format!("--at: `{at}` is no date or time")))?
        }
    };
    let mut subject = Subject::at(at_ns, &findings);
    for (attribute, value) in facts(args, &host, provider.as_deref()) {
        subject.add(attribute, value);
    }
    let explanation = loaded.judge.explain(&subject);
    let stop = loaded.judge.stops(&subject, Attributes::default());
    let stop = stop.filter(|stop| stop.names_host || host.is_empty() || loaded.catalog.host_is_ai(&host));
    match args.format {
        Format::Table => out::print(&as_text(&explanation, &subject, stop))?,
        Format::Json => out::print_json(&as_json(&loaded.judge, &explanation, stop))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn facts<'a>(args: &'a Args, host: &'a str, provider: Option<&'a str>) -> Vec<(Attribute, &'a str)> {
    let one = [
        (Attribute::Host, Some(host)),
        (Attribute::Provider, provider),
        (Attribute::Model, args.model.as_deref()),
        (Attribute::Operation, args.operation.as_deref()),
        (Attribute::Path, args.path.as_deref()),
        (Attribute::Namespace, args.namespace.as_deref()),
        (Attribute::Workload, args.workload.as_deref()),
        (Attribute::ServiceAccount, args.service_account.as_deref()),
        (Attribute::Executable, args.executable.as_deref()),
        (Attribute::ExecutableSha256, args.executable_sha256.as_deref()),
        (Attribute::Machine, args.machine.as_deref()),
        (Attribute::Client, args.client.as_deref()),
        (Attribute::McpServer, args.mcp_server.as_deref()),
        (
            Attribute::McpServerExecutable,
            args.mcp_server_executable.as_deref(),
        ),
        (Attribute::Role, Some(&args.role)),
    ];
    let many = [
        (Attribute::User, &args.user),
        (Attribute::LoginUser, &args.login_user),
        (Attribute::Account, &args.account),
        (Attribute::ClaimedAccount, &args.claimed_account),
    ];
    let one = one
        .into_iter()
        .filter_map(|(attribute, value)| Some((attribute, value?)));
    let many = many
        .into_iter()
        .flat_map(|(attribute, values)| values.iter().map(move |v| (attribute, v.as_str())));
    one.chain(many).filter(|(_, value)| !value.is_empty()).collect()
}

fn finding(text: &str) -> Result<FindingFact<'_>, Failure> {
    let mut parts = text.split(':');
    let (class, severity, place) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let severities = [
        Severity::Info,
        Severity::Low,
        Severity::Medium,
        Severity::High,
        Severity::Critical,
    ];
    let severity = severity.unwrap_or("high");
    let severity = severities.into_iter().find(|s| s.name() == severity);
    let place = place.unwrap_or("prompt");
    let places = ["prompt", "response", "tool_args", "tool_result"];
    match severity {
        Some(severity) if Class::NAMES.contains(&class) && places.contains(&place) => Ok(FindingFact {
            class,
            rule: "",
            severity,
            place,
        }),
        _ => Err(Failure::usage(format!(
            "--finding: `{text}`: classes are {}; severities {}; places {}",
            Class::NAMES.join(", "),
            Severity::NAMES.join(", "),
            places.join(", ")
        ))),
    }
}

fn as_text(explanation: &Explanation<'_>, subject: &Subject<'_>, stop: Option<StoppedBy<'_>>) -> String {
    let judgement = &explanation.judgement;
    let known: Vec<String> = Attribute::ALL
        .into_iter()
        .flat_map(|attribute| {
            subject
                .values(attribute)
                .map(move |value| format!("{} {}", attribute.name(), text::safe(value)))
        })
        .collect();
    let mut lines = vec![
        format!("{}: {}", judgement.verdict.name(), explanation.why),
        format!(
            "known: {}",
            if known.is_empty() {
                "nothing".to_owned()
            } else {
                known.join(", ")
            }
        ),
    ];
    if let Some(stop) = stop {
        let id = text::safe(stop.rule_id);
        lines.push(if stop.dry_run {
            format!("enforcement: rule `{id}` would stop the connection (dry run)")
        } else {
            format!("enforcement: rule `{id}` stops the connection, where `enforcement.mode` is on")
        });
    }
    if !explanation.passed.is_empty() {
        lines.push("rules before that do not fit:".to_owned());
    }
    lines.extend(
        explanation
            .passed
            .iter()
            .map(|(id, why)| format!("  {}: {}", text::safe(id), text::safe(why))),
    );
    if explanation.more > 0 {
        lines.push(format!("  and {} more", explanation.more));
    }
    lines.join("\n")
}

fn as_json(judge: &Judge, explanation: &Explanation<'_>, stop: Option<StoppedBy<'_>>) -> serde_json::Value {
    let judgement = &explanation.judgement;
    let passed = explanation
        .passed
        .iter()
        .map(|(rule, why)| json!({"rule_id": rule, "why": why}));
    json!({
        "verdict": judgement.verdict.name(),
        "reason": judgement.reason.name(),
        "rule_id": judgement.rule_id,
        "enforced_by": stop.map(|stop| json!({"rule_id": stop.rule_id, "dry_run": stop.dry_run})),
        "register_entry_id": judgement.entry.map(|entry| &entry.id),
        "ai_system": judgement.entry.map(|entry| &entry.system),
        "why": explanation.why,
        "rules_before": passed.collect::<Vec<_>>(),
        "rules_before_left_out": explanation.more,
        "policy_id": judge.policy.id(),
        "policy_version": judge.policy.version(),
    })
}
