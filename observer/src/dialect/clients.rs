//! Clients of AI services by what their heads say. The weakest evidence: it joins what a path could mean and no body
//! could tell.

use crate::protocol::Fields;

/// Beginnings of `User-Agent` of programs that only speak to AI services.
const AGENTS: &[&str] = &[
    "openai/",
    "asyncopenai/",
    "azureopenai/",
    "asyncazureopenai/",
    "anthropic/",
    "asyncanthropic/",
    "anthropicbedrock/",
    "anthropicvertex/",
    "anthropicfoundry/",
    "groq/",
    "asyncgroq/",
    "cerebras/",
    "asynccerebras/",
    "cohere/",
    "together/",
    "replicate-python/",
    "ollama/",
    "ollama-python/",
    "elevenlabs/",
    "deepgram-sdk/",
    "litellm/",
    "claude-cli/",
    "claude-code/",
    "codex_",
    "codex-",
    "geminicli",
    "githubcopilotchat/",
    "copilot/",
    "cline/",
    "roocode/",
    "roo-code/",
    "kilo-code/",
    "charm-crush/",
    "opencode/",
    "factory-cli/",
];
/// What stands somewhere in a `User-Agent` of such programs.
const PARTS: &[&str] = &["google-genai-sdk/", "ai-sdk/", "assemblyai/", "mistralai"];
/// Fields that only such programs send.
const FIELDS: &[&str] = &[
    "anthropic-version",
    "openai-beta",
    "copilot-integration-id",
    "x-cursor-client-version",
    "x-claude-code-session-id",
    "mcp-protocol-version",
    "mcp-session-id",
];

/// Whether a request with these fields comes from a client of AI services.
pub(super) fn is_ai_client(fields: &Fields) -> bool {
    let agent = fields.get("user-agent").unwrap_or_default().to_ascii_lowercase();
    AGENTS.iter().any(|start| agent.starts_with(start))
        || PARTS.iter().any(|part| agent.contains(part))
        || FIELDS.iter().any(|name| fields.all(name).next().is_some())
}
