//! Who acts in the made-up month: providers, workloads, users. Flat tables.

/// An endpoint with what is said to it.
pub(super) struct Endpoint {
    pub(super) provider: &'static str,
    pub(super) host: &'static str,
    pub(super) port: u16,
    pub(super) dialect: &'static str,
    pub(super) path: &'static str,
    pub(super) operation: &'static str,
    pub(super) models: &'static [&'static str],
    /// Entry of the register; empty: nobody entered it.
    pub(super) entry: &'static str,
}

/// How the register stands to an endpoint: approved entries come first in [`ENDPOINTS`].
pub(super) const APPROVED: usize = 5;

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        provider: "openai",
        host: "api.openai.com",
        port: 443,
        dialect: "openai-responses",
        path: "/v1/responses",
        operation: "chat",
        models: &["gpt-5.2", "gpt-5.2-mini"],
        entry: "AIR-001",
    },
    Endpoint {
        provider: "anthropic",
        host: "api.anthropic.com",
        port: 443,
        dialect: "anthropic-messages",
        path: "/v1/messages",
        operation: "chat",
        models: &["claude-sonnet-4-6", "claude-haiku-4-5"],
        entry: "AIR-002",
    },
    Endpoint {
        provider: "azure.ai.openai",
        host: "contoso-prod.openai.azure.com",
        port: 443,
        dialect: "openai-chat",
        path: "/openai/deployments/{deployment}/chat/completions",
        operation: "chat",
        models: &["gpt-4.1"],
        entry: "AIR-003",
    },
    Endpoint {
        provider: "aws.bedrock",
        host: "bedrock-runtime.eu-central-1.amazonaws.com",
        port: 443,
        dialect: "bedrock-converse",
        path: "/model/{model}/converse",
        operation: "chat",
        models: &["eu.anthropic.claude-sonnet-4-6-v1:0", "amazon.nova-pro-v1:0"],
        entry: "AIR-004",
    },
    Endpoint {
        provider: "voyage",
        host: "api.voyageai.com",
        port: 443,
        dialect: "openai-embeddings",
        path: "/v1/embeddings",
        operation: "embeddings",
        models: &["voyage-3.5"],
        entry: "AIR-005",
    },
    Endpoint {
        provider: "gcp.gemini",
        host: "generativelanguage.googleapis.com",
        port: 443,
        dialect: "gemini-generate-content",
        path: "/v1beta/models/{model}:generateContent",
        operation: "generate_content",
        models: &["gemini-3-flash"],
        entry: "",
    },
    Endpoint {
        provider: "deepseek",
        host: "api.deepseek.com",
        port: 443,
        dialect: "openai-chat",
        path: "/chat/completions",
        operation: "chat",
        models: &["deepseek-chat"],
        entry: "AIR-006",
    },
    Endpoint {
        provider: "openrouter",
        host: "openrouter.ai",
        port: 443,
        dialect: "openai-chat",
        path: "/api/v1/chat/completions",
        operation: "chat",
        models: &["qwen/qwen3-coder", "x-ai/grok-4"],
        entry: "",
    },
    Endpoint {
        provider: "ollama",
        host: "localhost",
        port: 11434,
        dialect: "ollama-chat",
        path: "/api/chat",
        operation: "chat",
        models: &["llama3.3:70b"],
        entry: "",
    },
];

/// A workload with the program that talks.
pub(super) struct Workload {
    pub(super) namespace: &'static str,
    pub(super) name: &'static str,
    pub(super) comm: &'static str,
    pub(super) path: &'static str,
    pub(super) user_agent: &'static str,
    pub(super) stack: &'static str,
    /// Number in [`ENDPOINTS`] that it uses as a rule.
    pub(super) endpoint: usize,
    /// Exchanges an hour in the busiest hour, on each of its hosts.
    pub(super) busy: usize,
}

const PYTHON: (&str, &str, &str) = ("python3.12", "/usr/local/bin/python3.12", "openssl");
const NODE: (&str, &str, &str) = ("node", "/usr/local/bin/node", "openssl");
const GO: (&str, &str, &str) = ("server", "/app/server", "go");

const fn workload(
    namespace: &'static str,
    name: &'static str,
    (comm, path, stack): (&'static str, &'static str, &'static str),
    user_agent: &'static str,
    endpoint: usize,
    busy: usize,
) -> Workload {
    Workload {
        namespace,
        name,
        comm,
        path,
        user_agent,
        stack,
        endpoint,
        busy,
    }
}

const OPENAI: &str = "OpenAI/Python 2.8.1";
const ANTHROPIC: &str = "Anthropic/Python 0.74.0";
const OPENAI_JS: &str = "OpenAI/JS 6.9.0";
const BOTO: &str = "Boto3/1.41.0 Python/3.12.8";
const GOHTTP: &str = "Go-http-client/2.0";

pub(super) const WORKLOADS: &[Workload] = &[
    workload("support", "chat-assistant", PYTHON, OPENAI, 0, 9),
    workload("support", "ticket-triage", PYTHON, ANTHROPIC, 1, 7),
    workload("support", "mail-drafts", NODE, OPENAI_JS, 0, 3),
    workload("support", "voice-notes", PYTHON, OPENAI, 2, 2),
    workload("support", "kb-indexer", PYTHON, "python-requests/2.32.5", 4, 2),
    workload("sales", "lead-scoring", PYTHON, BOTO, 3, 3),
    workload("sales", "proposal-writer", NODE, OPENAI_JS, 2, 3),
    workload("sales", "crm-sync", GO, GOHTTP, 0, 1),
    workload("sales", "call-summaries", PYTHON, OPENAI, 2, 3),
    workload("sales", "quote-bot", NODE, OPENAI_JS, 0, 1),
    workload("finance", "invoice-reader", PYTHON, BOTO, 3, 5),
    workload("finance", "risk-notes", PYTHON, ANTHROPIC, 1, 2),
    workload("finance", "audit-search", PYTHON, OPENAI, 4, 1),
    workload("finance", "forecast", PYTHON, BOTO, 3, 1),
    workload("finance", "expense-check", GO, GOHTTP, 2, 1),
    workload("hr", "cv-screening", PYTHON, OPENAI, 2, 2),
    workload("hr", "policy-bot", NODE, OPENAI_JS, 2, 2),
    workload("hr", "onboarding", PYTHON, OPENAI, 2, 1),
    workload("hr", "survey-insights", PYTHON, ANTHROPIC, 1, 1),
    workload("hr", "letters", PYTHON, OPENAI, 2, 1),
    workload("search", "query-rewriter", GO, GOHTTP, 0, 8),
    workload("search", "reranker", PYTHON, "python-httpx/0.28.1", 4, 5),
    workload("search", "embedder", PYTHON, "python-httpx/0.28.1", 4, 8),
    workload("search", "answer-box", GO, GOHTTP, 1, 4),
    workload("search", "evals", PYTHON, ANTHROPIC, 1, 2),
    workload("platform", "code-review", NODE, "Anthropic/JS 0.70.0", 1, 5),
    workload("platform", "incident-notes", PYTHON, ANTHROPIC, 1, 1),
    workload("platform", "log-explainer", GO, GOHTTP, 3, 2),
    workload("platform", "doc-search", PYTHON, OPENAI, 4, 1),
    workload("platform", "release-notes", NODE, OPENAI_JS, 0, 1),
    workload("data", "labeling", PYTHON, OPENAI, 0, 4),
    workload("data", "sql-assistant", PYTHON, ANTHROPIC, 1, 3),
    workload("data", "notebooks", PYTHON, OPENAI, 0, 2),
    workload("data", "feature-text", PYTHON, BOTO, 3, 2),
    workload("data", "pipeline-docs", PYTHON, BOTO, 3, 1),
    workload("legal", "contract-review", PYTHON, ANTHROPIC, 1, 2),
    workload("legal", "clause-search", PYTHON, OPENAI, 4, 1),
    workload("legal", "redlines", NODE, OPENAI_JS, 2, 1),
    workload("legal", "dsar-helper", PYTHON, OPENAI, 2, 1),
    workload("legal", "translations", PYTHON, OPENAI, 2, 1),
    workload("labs", "agent-sandbox", NODE, "opencode/1.0.114", 7, 3),
    workload("labs", "gemini-trial", PYTHON, "google-genai-sdk/1.52.0", 5, 2),
    workload("labs", "local-llama", GO, "ollama/0.13.1", 8, 2),
    workload("labs", "prompt-fuzz", PYTHON, OPENAI, 6, 1),
    workload("labs", "side-project", NODE, OPENAI_JS, 7, 1),
    workload("ops", "runbook-bot", PYTHON, ANTHROPIC, 1, 2),
    workload("ops", "alert-summary", GO, GOHTTP, 1, 2),
    workload("ops", "change-risk", PYTHON, BOTO, 3, 1),
    workload("ops", "capacity-notes", PYTHON, OPENAI, 0, 1),
    workload(
        "ops",
        "shell-helper",
        NODE,
        "claude-cli/2.0.55 (external, cli)",
        1,
        1,
    ),
];

/// Users by number in this list plus 1001.
pub(super) const USERS: &[&str] = &["svc-app", "svc-batch", "mkeller", "jdoe", "apark", "tnovak"];

/// Rules that find something: (rule, type, severity as in the table, confidence, in the answer).
pub(super) const FINDINGS: &[(&str, &str, i8, &str, bool)] = &[
    ("email_address", "pii", 2, "pattern", false),
    ("phone_number", "pii", 2, "context", false),
    ("iban", "pii", 3, "checksum_valid", false),
    ("payment_card", "pii", 4, "checksum_valid", false),
    ("us_ssn", "pii", 4, "context", false),
    ("confidential_marking", "custom", 3, "pattern", false),
    ("source_code", "source_code", 1, "pattern", false),
    ("aws_access_key_id", "credential", 5, "pattern", false),
    ("github_token", "credential", 5, "checksum_valid", false),
    ("url_password", "secret", 4, "context", true),
];

/// Programs that cannot be read: (path, runtime, reason, host whose connections are AI or unknown).
pub(super) const BLIND: &[(&str, &str, &str, &str)] = &[
    ("/opt/java/openjdk/bin/java", "jsse", "jsse", "api.openai.com"),
    (
        "/usr/local/bin/claims-engine",
        "rustls_ring",
        "rustls_ring",
        "api.mistral.ai",
    ),
    ("/opt/google/chrome/chrome", "", "quic", "gemini.google.com"),
    ("/app/legacy-agent", "go", "go_unsupported", ""),
    ("/usr/lib/vendor/telemetryd", "", "no_probe", ""),
];
