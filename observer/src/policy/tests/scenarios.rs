//! Scenarios: facts and findings in, verdict and what decided out.

use super::super::dates::start;
use super::super::*;
use crate::sensitive::Severity;

const POLICY: &str = r#"
version: "2026-11"
default: unsanctioned
rules:
  - {id: secret-out, verdict: unsanctioned, finding_class: [secret, credential], finding_place: [prompt, tool_args], finding_severity: high}
  - {id: card-to-anyone, verdict: unsanctioned, finding_rule: ["card_*"]}
  - {id: personal-account, verdict: unsanctioned, provider: [openai], claimed_account: ["user-*"]}
  - {id: browser-agent, verdict: unsanctioned, client: [browser-agent]}
  - {id: no-shell-server, verdict: unsanctioned, mcp_server: ["*shell*"]}
  - {id: approved-server, verdict: sanctioned, mcp_server_executable: ["/usr/lib/mcp/*"]}
  - {id: own-server, verdict: sanctioned, role: [server], executable: ["/usr/bin/ollama"]}
  - {id: no-root, verdict: unsanctioned, user: [root, "0"]}
  - {id: no-root-login, verdict: unsanctioned, login_user: ["0"]}
  - {id: azure, verdict: sanctioned, provider: [azure.ai.openai], host: ["*.openai.azure.com"]}
  - {id: azure-deployment, verdict: unknown, provider: [azure.ai.openai]}
  - {id: small-models, verdict: sanctioned, provider: [openai], model: ["~gpt-(4[.]1|5)-(mini|nano)"]}
  - {id: curl-of-1000, verdict: sanctioned, provider: [groq], user: ["1000"], executable: ["/usr/bin/curl", "/usr/lib/python3*"]}
  - {id: research, verdict: unknown, namespace: ["research-*"], provider: [groq]}
  - {id: bots, verdict: sanctioned, workload: [support-bot], service_account: [bot], namespace: [prod]}
  - {id: known-binary, verdict: sanctioned, executable_sha256: ["00000000000000000000000000000000000000000000000000000000000000aa"]}
  - {id: company-key, verdict: sanctioned, account: [0123456789abcdef0123456789abcdef, org-company]}
  - {id: lab-machine, verdict: sanctioned, machine: ["lab-*"], provider: [mistral_ai]}
  - {id: embeddings, verdict: sanctioned, operation: [embeddings], path: ["/v1/embeddings"]}
  - {id: conditional-by-name, verdict: sanctioned, system: [pilot]}
  - {id: review-is-refused, verdict: unsanctioned, register: [under_review], user: [intern]}
  - {id: everything-of-cohere, verdict: sanctioned, provider: [cohere]}
"#;

const REGISTER: &str = r#"
version: "2026-11"
ai_register:
  - {id: claude, system: Claude for Work, owner: it, approval: B-1, status: approved, valid_from: 2026-01-01, valid_until: 2026-06-30,
     match: {provider: [anthropic], host: [api.anthropic.com]}}
  - {id: claude, system: Claude for Work, owner: it, approval: B-9, status: approved, valid_from: 2026-10-01,
     match: {provider: [anthropic], host: [api.anthropic.com]}}
  - {id: gemini, system: Gemini, owner: it, approval: B-2, status: conditional, valid_from: 2026-01-01, allowed_data_classes: [source_code],
     match: {provider: [gcp.gemini, gcp.vertex_ai]}}
  - {id: deepseek, system: DeepSeek, owner: sec, status: prohibited, valid_from: 2026-01-01, match: {provider: [deepseek]}}
  - {id: deepseek-lab, system: DeepSeek in the lab, owner: sec, approval: B-3, status: approved, valid_from: 2026-01-01, valid_until: 2026-09-30,
     match: {provider: [deepseek], user: [researcher], model: ["deepseek-chat*"]}}
  - {id: perplexity, system: Perplexity, owner: it, status: under_review, valid_from: 2026-01-01, match: {provider: [perplexity]}}
  - {id: cohere, system: Cohere, owner: it, approval: B-4, status: approved, valid_from: 2025-01-01, valid_until: 2025-12-31,
     match: {provider: [cohere]}}
  - {id: pilot, system: Pilot, owner: it, status: under_review, valid_from: 2026-01-01, match: {provider: [x_ai]}}
  - {id: none-allowed, system: Strict, owner: it, approval: B-5, status: conditional, valid_from: 2026-01-01, allowed_data_classes: [],
     match: {provider: [aws.bedrock], namespace: [prod]}}
  - {id: mine, system: Own server, owner: me, approval: B-6, status: approved, valid_from: 2026-01-01,
     match: {provider: [unknown], account: [feedfeedfeedfeedfeedfeedfeedfeed]}}
"#;

/// Name; facts as `key=value` with spaces between; findings as `class/rule/severity/place`; verdict, reason, rule, entry.
type Scenario = (&'static str, &'static str, &'static str, [&'static str; 4]);

/// Judged on 2026-11-29 unless a fact `at` says otherwise.
const BOTH: &[Scenario] = &[
    (
        "nothing known",
        "",
        "",
        ["unsanctioned", "not_in_register", "", ""],
    ),
    (
        "other provider",
        "provider=fireworks host=api.fireworks.ai",
        "",
        ["unsanctioned", "not_in_register", "", ""],
    ),
    (
        "approved",
        "provider=anthropic host=api.anthropic.com user=alice",
        "",
        ["sanctioned", "register_approved", "", "claude"],
    ),
    (
        "a server that calls itself a shell",
        "operation=mcp mcp_server=shell-tools mcp_server_executable=/usr/lib/mcp/shell",
        "",
        ["unsanctioned", "rule", "no-shell-server", ""],
    ),
    (
        "a server that is installed",
        "operation=mcp mcp_server=files mcp_server_executable=/usr/lib/mcp/files",
        "",
        ["sanctioned", "rule", "approved-server", ""],
    ),
    (
        "what a model server answers",
        "role=server executable=/usr/bin/ollama provider=ollama",
        "",
        ["sanctioned", "rule", "own-server", ""],
    ),
    (
        "what it asks itself",
        "role=client executable=/usr/bin/ollama provider=ollama",
        "",
        ["unsanctioned", "not_in_register", "", ""],
    ),
    (
        "a server of somebody's own",
        "operation=mcp mcp_server=files mcp_server_executable=/home/a/files",
        "",
        ["unsanctioned", "not_in_register", "", ""],
    ),
    (
        "approved in the first period",
        "provider=anthropic host=api.anthropic.com at=2026-03-01",
        "",
        ["sanctioned", "register_approved", "", "claude"],
    ),
    (
        "between two approvals",
        "provider=anthropic host=api.anthropic.com at=2026-08-01",
        "",
        ["unsanctioned", "approval_expired", "", "claude"],
    ),
    (
        "last moment of the first",
        "provider=anthropic host=api.anthropic.com at=2026-06-30T23:59:59Z",
        "",
        ["sanctioned", "register_approved", "", "claude"],
    ),
    (
        "first moment after it",
        "provider=anthropic host=api.anthropic.com at=2026-07-01",
        "",
        ["unsanctioned", "approval_expired", "", "claude"],
    ),
    (
        "before any approval",
        "provider=anthropic host=api.anthropic.com at=2025-12-31",
        "",
        ["unsanctioned", "approval_not_yet_valid", "", "claude"],
    ),
    (
        "same provider, other host",
        "provider=anthropic host=gateway.example",
        "",
        ["unsanctioned", "not_in_register", "", ""],
    ),
    (
        "approved, but a secret in the prompt",
        "provider=anthropic host=api.anthropic.com",
        "secret/aws/critical/prompt",
        ["unsanctioned", "rule", "secret-out", "claude"],
    ),
    (
        "approved, a credential in tool arguments",
        "provider=anthropic host=api.anthropic.com",
        "credential/key/high/tool_args",
        ["unsanctioned", "rule", "secret-out", "claude"],
    ),
    (
        "approved, a secret in the answer",
        "provider=anthropic host=api.anthropic.com",
        "secret/aws/critical/response",
        ["sanctioned", "register_approved", "", "claude"],
    ),
    (
        "approved, a low secret",
        "provider=anthropic host=api.anthropic.com",
        "secret/aws/medium/prompt",
        ["sanctioned", "register_approved", "", "claude"],
    ),
    (
        "approved, two findings of which one counts",
        "provider=anthropic host=api.anthropic.com",
        "pii/mail/low/prompt secret/aws/high/prompt",
        ["unsanctioned", "rule", "secret-out", "claude"],
    ),
    (
        "no single finding has all that the rule wants",
        "provider=anthropic host=api.anthropic.com",
        "secret/aws/low/prompt pii/mail/critical/prompt",
        ["sanctioned", "register_approved", "", "claude"],
    ),
    (
        "a rule for findings by name",
        "provider=anthropic host=api.anthropic.com",
        "pii/card_visa/info/response",
        ["unsanctioned", "rule", "card-to-anyone", "claude"],
    ),
    (
        "conditional, nothing found",
        "provider=gcp.gemini",
        "",
        ["sanctioned", "register_conditional", "", "gemini"],
    ),
    (
        "conditional, allowed class",
        "provider=gcp.vertex_ai",
        "source_code/rust/low/prompt",
        ["sanctioned", "register_conditional", "", "gemini"],
    ),
    (
        "conditional, other class",
        "provider=gcp.gemini",
        "pii/mail/low/prompt",
        ["unsanctioned", "data_class_not_allowed", "", "gemini"],
    ),
    (
        "conditional, one of two classes is not allowed",
        "provider=gcp.gemini",
        "source_code/rust/low/prompt pii/mail/info/response",
        ["unsanctioned", "data_class_not_allowed", "", "gemini"],
    ),
    (
        "conditional, and a rule too",
        "provider=gcp.gemini",
        "secret/aws/critical/prompt",
        ["unsanctioned", "data_class_not_allowed", "secret-out", "gemini"],
    ),
    (
        "an empty list allows no finding",
        "provider=aws.bedrock namespace=prod",
        "custom/x/info/prompt",
        ["unsanctioned", "data_class_not_allowed", "", "none-allowed"],
    ),
    (
        "an empty list, nothing found",
        "provider=aws.bedrock namespace=prod",
        "",
        ["sanctioned", "register_conditional", "", "none-allowed"],
    ),
    (
        "the entry is for one namespace",
        "provider=aws.bedrock namespace=dev",
        "",
        ["unsanctioned", "not_in_register", "", ""],
    ),
    (
        "an unknown namespace fits none",
        "provider=aws.bedrock",
        "",
        ["unsanctioned", "not_in_register", "", ""],
    ),
    (
        "prohibited",
        "provider=deepseek user=alice model=deepseek-chat",
        "",
        ["unsanctioned", "register_prohibited", "", "deepseek"],
    ),
    (
        "exception from a prohibition",
        "provider=deepseek user=researcher model=deepseek-chat-v3 at=2026-05-01",
        "",
        ["sanctioned", "register_approved", "", "deepseek-lab"],
    ),
    (
        "exception, other model",
        "provider=deepseek user=researcher model=deepseek-coder at=2026-05-01",
        "",
        ["unsanctioned", "register_prohibited", "", "deepseek"],
    ),
    (
        "exception that is over",
        "provider=deepseek user=researcher model=deepseek-chat-v3",
        "",
        ["unsanctioned", "register_prohibited", "", "deepseek"],
    ),
    (
        "a rule cannot permit what is prohibited",
        "provider=deepseek machine=lab-1 executable_sha256=00000000000000000000000000000000000000000000000000000000000000aa",
        "",
        ["unsanctioned", "register_prohibited", "known-binary", "deepseek"],
    ),
    (
        "under review",
        "provider=perplexity user=alice",
        "",
        ["unknown", "under_review", "", "perplexity"],
    ),
    (
        "under review, and a rule refuses that",
        "provider=perplexity user=intern",
        "",
        ["unsanctioned", "rule", "review-is-refused", "perplexity"],
    ),
    (
        "under review, and a rule permits the system by name",
        "provider=x_ai",
        "",
        ["sanctioned", "rule", "conditional-by-name", "pilot"],
    ),
    (
        "a rule cannot permit what is expired",
        "provider=cohere",
        "",
        [
            "unsanctioned",
            "approval_expired",
            "everything-of-cohere",
            "cohere",
        ],
    ),
    (
        "a rule permits while the approval holds",
        "provider=cohere at=2025-06-01",
        "",
        ["sanctioned", "rule", "everything-of-cohere", "cohere"],
    ),
    (
        "a rule for root goes before the register",
        "provider=anthropic host=api.anthropic.com user=root,0",
        "",
        ["unsanctioned", "rule", "no-root", "claude"],
    ),
    (
        "root by number",
        "provider=groq user=0",
        "",
        ["unsanctioned", "rule", "no-root", ""],
    ),
    (
        "su from root is seen by the login",
        "provider=groq user=alice,1000 login_user=root,0",
        "",
        ["unsanctioned", "rule", "no-root-login", ""],
    ),
    (
        "user and executable",
        "provider=groq user=bob,1000 executable=/usr/bin/curl",
        "",
        ["sanctioned", "rule", "curl-of-1000", ""],
    ),
    (
        "executable by pattern",
        "provider=groq user=1000 executable=/usr/lib/python3.11/bin/x",
        "",
        ["sanctioned", "rule", "curl-of-1000", ""],
    ),
    (
        "all conditions must fit",
        "provider=groq user=1001 executable=/usr/bin/curl",
        "",
        ["unsanctioned", "not_in_register", "", ""],
    ),
    (
        "unknown executable fits none",
        "provider=groq user=1000",
        "",
        ["unsanctioned", "not_in_register", "", ""],
    ),
    (
        "namespace by pattern",
        "provider=groq namespace=research-a",
        "",
        ["unknown", "rule", "research", ""],
    ),
    (
        "the first rule counts",
        "provider=groq namespace=research-a user=1000 executable=/usr/bin/curl",
        "",
        ["sanctioned", "rule", "curl-of-1000", ""],
    ),
    (
        "host by suffix",
        "provider=azure.ai.openai host=corp.openai.azure.com",
        "",
        ["sanctioned", "rule", "azure", ""],
    ),
    (
        "the bare domain is none of its names",
        "provider=azure.ai.openai host=openai.azure.com",
        "",
        ["unknown", "rule", "azure-deployment", ""],
    ),
    (
        "a name that only ends alike",
        "provider=azure.ai.openai host=evilopenai.azure.com",
        "",
        ["unknown", "rule", "azure-deployment", ""],
    ),
    (
        "model by expression",
        "provider=openai model=gpt-5-nano",
        "",
        ["sanctioned", "rule", "small-models", ""],
    ),
    (
        "an expression is for the whole",
        "provider=openai model=gpt-5-nano-x",
        "",
        ["unsanctioned", "not_in_register", "", ""],
    ),
    (
        "the model that answered counts too",
        "provider=openai model=alias,gpt-5-mini",
        "",
        ["sanctioned", "rule", "small-models", ""],
    ),
    (
        "personal account by its claim",
        "provider=openai model=gpt-5-mini claimed_account=user-7",
        "",
        ["unsanctioned", "rule", "personal-account", ""],
    ),
    (
        "company key",
        "provider=openai account=0123456789abcdef0123456789abcdef",
        "",
        ["sanctioned", "rule", "company-key", ""],
    ),
    (
        "organisation that the service named",
        "provider=openai account=ffff,org-company",
        "",
        ["sanctioned", "rule", "company-key", ""],
    ),
    (
        "an organisation that the client claims counts for nothing",
        "provider=openai account=ffff claimed_account=org-company",
        "",
        ["unsanctioned", "not_in_register", "", ""],
    ),
    (
        "a claimed account does not open an entry",
        "provider=unknown claimed_account=feedfeedfeedfeedfeedfeedfeedfeed",
        "",
        ["unsanctioned", "not_in_register", "", ""],
    ),
    (
        "an account opens its entry",
        "provider=unknown account=feedfeedfeedfeedfeedfeedfeedfeed",
        "",
        ["sanctioned", "register_approved", "", "mine"],
    ),
    (
        "client by its claim can only be refused",
        "provider=anthropic host=api.anthropic.com client=browser-agent",
        "",
        ["unsanctioned", "rule", "browser-agent", "claude"],
    ),
    (
        "workload with its service account",
        "provider=replicate namespace=prod workload=support-bot service_account=bot",
        "",
        ["sanctioned", "rule", "bots", ""],
    ),
    (
        "workload with another service account",
        "provider=replicate namespace=prod workload=support-bot service_account=default",
        "",
        ["unsanctioned", "not_in_register", "", ""],
    ),
    (
        "executable by digest",
        "provider=replicate executable_sha256=00000000000000000000000000000000000000000000000000000000000000aa",
        "",
        ["sanctioned", "rule", "known-binary", ""],
    ),
    (
        "machine by pattern",
        "provider=mistral_ai machine=lab-7",
        "",
        ["sanctioned", "rule", "lab-machine", ""],
    ),
    (
        "other machine",
        "provider=mistral_ai machine=web-1",
        "",
        ["unsanctioned", "not_in_register", "", ""],
    ),
    (
        "operation and path",
        "provider=together operation=embeddings path=/v1/embeddings",
        "",
        ["sanctioned", "rule", "embeddings", ""],
    ),
    (
        "operation, other path",
        "provider=together operation=embeddings path=/v2/embed",
        "",
        ["unsanctioned", "not_in_register", "", ""],
    ),
    (
        "case counts in names of users",
        "provider=anthropic host=api.anthropic.com user=Root",
        "",
        ["sanctioned", "register_approved", "", "claude"],
    ),
];

const POLICY_ALONE: &[Scenario] = &[
    (
        "default",
        "provider=anthropic",
        "",
        ["unsanctioned", "default", "", ""],
    ),
    (
        "rule",
        "provider=cohere",
        "",
        ["sanctioned", "rule", "everything-of-cohere", ""],
    ),
    (
        "finding",
        "provider=cohere",
        "secret/x/critical/prompt",
        ["unsanctioned", "rule", "secret-out", ""],
    ),
    (
        "rules that ask the register never fit",
        "provider=x_ai",
        "",
        ["unsanctioned", "default", "", ""],
    ),
];

const REGISTER_ALONE: &[Scenario] = &[
    (
        "not listed",
        "provider=cohere-like",
        "",
        ["unsanctioned", "not_in_register", "", ""],
    ),
    (
        "approved",
        "provider=anthropic host=api.anthropic.com",
        "",
        ["sanctioned", "register_approved", "", "claude"],
    ),
    (
        "expired",
        "provider=cohere",
        "",
        ["unsanctioned", "approval_expired", "", "cohere"],
    ),
    (
        "under review",
        "provider=x_ai",
        "",
        ["unknown", "under_review", "", "pilot"],
    ),
];

const NEITHER: &[Scenario] = &[("nothing", "provider=openai", "", ["unknown", "no_policy", "", ""])];

fn check(judge: &Judge, scenarios: &[Scenario]) {
    for (name, facts, findings, wanted) in scenarios {
        let findings: Vec<FindingFact<'_>> = findings.split_whitespace().map(finding).collect();
        let mut subject = Subject::at(start("2026-11-29").unwrap(), &findings);
        for (key, values) in facts.split_whitespace().map(|fact| fact.split_once('=').unwrap()) {
            if key == "at" {
                subject.at_ns = start(values).unwrap();
                continue;
            }
            let attribute = Attribute::named(key).unwrap();
            values.split(',').for_each(|value| subject.add(attribute, value));
        }
        let judgement = judge.judge(&subject);
        let entry = judgement.entry.map_or("", |entry| &entry.id);
        let got = [
            judgement.verdict.name(),
            judgement.reason.name(),
            judgement.rule_id,
            entry,
        ];
        assert_eq!(got, *wanted, "{name}");
        let explanation = judge.explain(&subject);
        assert_eq!(explanation.judgement, judgement, "{name}");
        assert!(explanation.why.len() > 20, "{name}");
    }
}

fn finding(text: &str) -> FindingFact<'_> {
    let mut parts = text.split('/');
    let (class, rule, severity) = (
        parts.next().unwrap(),
        parts.next().unwrap(),
        parts.next().unwrap(),
    );
    let severities = [
        Severity::Info,
        Severity::Low,
        Severity::Medium,
        Severity::High,
        Severity::Critical,
    ];
    FindingFact {
        class,
        rule,
        severity: *severities.iter().find(|s| s.name() == severity).unwrap(),
        place: parts.next().unwrap(),
    }
}

#[test]
fn each_scenario_has_its_verdict() {
    let policy = Policy::parse(POLICY, "policy.yaml").unwrap();
    let register = Register::parse(REGISTER, "register.yaml").unwrap();
    let judge = |policy: Option<&Policy>, register: Option<&Register>| Judge {
        policy: policy.cloned().unwrap_or_else(Policy::none),
        register: register.cloned(),
    };
    assert_eq!(
        judge(Some(&policy), Some(&register)).warnings(),
        Vec::<String>::new()
    );
    check(&judge(Some(&policy), Some(&register)), BOTH);
    check(&judge(Some(&policy), None), POLICY_ALONE);
    check(&judge(None, Some(&register)), REGISTER_ALONE);
    check(&judge(None, None), NEITHER);
    let count = BOTH.len() + POLICY_ALONE.len() + REGISTER_ALONE.len() + NEITHER.len();
    assert!(count >= 60, "{count} scenarios");
}

#[test]
fn an_explanation_says_which_rule_which_entry_and_why() {
    let judge = Judge {
        policy: Policy::parse(POLICY, "p").unwrap(),
        register: Some(Register::parse(REGISTER, "r").unwrap()),
    };
    let subject = Subject::at(start("2026-11-29").unwrap(), &[]);
    let expired = subject.clone().with(Attribute::Provider, "cohere");
    assert_eq!(
        judge.explain(&expired).why,
        "entry `cohere` of the register (Cohere) is about this call, and its approval ended on 2025-12-31, approval B-4, \
         owner it: unsanctioned, whatever the rules say"
    );
    let by_rule = subject
        .with(Attribute::Provider, "groq")
        .with(Attribute::User, "1000")
        .with(Attribute::Executable, "/usr/bin/curl");
    let explanation = judge.explain(&by_rule);
    assert!(
        explanation
            .why
            .starts_with("rule `curl-of-1000` is the first that fits: sanctioned"),
        "{}",
        explanation.why
    );
    assert!(
        explanation
            .passed
            .contains(&("no-root", "user is 1000; the rule wants 0, root".to_owned())),
        "{:?}",
        explanation.passed
    );
    assert!(explanation.passed.contains(&(
        "secret-out",
        "no finding is of the kind that the rule wants".to_owned()
    )));
}
