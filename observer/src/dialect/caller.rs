//! Which program calls, by the heads of its requests: its user agent, and the fields that SDKs add. All of it is the client's own
//! word.

use crate::exchange::{Client, ClientKind};
use crate::protocol::RequestHead;

/// Longest version kept.
const MAX_VERSION: usize = 48;

/// Where a product stands in a user agent.
enum Place {
    /// At its beginning.
    Start,
    /// Anywhere.
    Within,
}
use ClientKind::{CodingAgent, Framework, Sdk};
use Place::{Start, Within};

/// Product as it stands before the slash and the version, its name and kind. The first that fits counts.
const PRODUCTS: &[(Place, &str, &str, ClientKind)] = &[
    (Start, "claude-cli", "Claude Code", CodingAgent),
    (Start, "claude-code", "Claude Code", CodingAgent),
    (Start, "codex_cli_rs", "Codex CLI", CodingAgent),
    (Start, "codex-tui", "Codex CLI", CodingAgent),
    (Start, "codex_exec", "Codex CLI", CodingAgent),
    (Start, "codex_vscode", "Codex for VS Code", CodingAgent),
    (Within, "proxy_client=geminicli", "Gemini CLI", CodingAgent),
    (Start, "GeminiCLI", "Gemini CLI", CodingAgent),
    (Start, "CloudCodeVSCode", "Gemini Code Assist", CodingAgent),
    (Start, "GitHubCopilotChat", "GitHub Copilot Chat", CodingAgent),
    (Start, "copilot", "GitHub Copilot CLI", CodingAgent),
    (Start, "Zed", "Zed", CodingAgent),
    (Start, "Cline", "Cline", CodingAgent),
    (Start, "RooCode", "Roo Code", CodingAgent),
    (Start, "roo-code", "Roo Code", CodingAgent),
    (Start, "kilo-code", "Kilo Code", CodingAgent),
    (Start, "Charm-Crush", "Crush", CodingAgent),
    (Start, "Charm Crush", "Crush", CodingAgent),
    (Start, "opencode", "OpenCode", CodingAgent),
    (Start, "junie:", "Junie", CodingAgent),
    (Start, "factory-cli", "Factory Droid", CodingAgent),
    (Start, "Continue", "Continue", CodingAgent),
    (Start, "litellm", "LiteLLM", Framework),
    (Within, "ai-sdk", "Vercel AI SDK", Framework),
    (Within, "google-genai-sdk", "Google Gen AI SDK", Sdk),
    (Start, "speakeasy-sdk/python", "Mistral SDK for Python", Sdk),
    (Start, "cohere", "Cohere SDK", Sdk),
    (
        Start,
        "Together/v1 PythonBindings",
        "Together SDK for Python",
        Sdk,
    ),
    (Start, "replicate-python", "Replicate SDK for Python", Sdk),
    (Within, "hf_hub", "Hugging Face Hub", Sdk),
    (Start, "ollama", "Ollama", Sdk),
    (Start, "elevenlabs", "ElevenLabs SDK", Sdk),
    (Start, "deepgram-sdk", "Deepgram SDK", Sdk),
    (Within, "AssemblyAI", "AssemblyAI SDK", Sdk),
];

/// Classes of the SDKs that one generator makes: `OpenAI/Python 1.2.3`, `AsyncAnthropic/Python 0.9`.
const GENERATED: &[(&str, &str)] = &[
    ("AzureOpenAI", "OpenAI SDK"),
    ("OpenAI", "OpenAI SDK"),
    ("AnthropicBedrock", "Anthropic SDK"),
    ("AnthropicVertex", "Anthropic SDK"),
    ("AnthropicFoundry", "Anthropic SDK"),
    ("Anthropic", "Anthropic SDK"),
    ("Groq", "Groq SDK"),
    ("Cerebras", "Cerebras SDK"),
];

/// Fields that name a client whatever its user agent says.
const FIELDS: &[(&str, &str, &str)] = &[
    ("originator", "kilo-code", "Kilo Code"),
    ("copilot-integration-id", "vscode-chat", "GitHub Copilot Chat"),
    (
        "copilot-integration-id",
        "copilot-developer-cli",
        "GitHub Copilot CLI",
    ),
];

/// The client of a request; nothing where nothing is known.
pub(super) fn client(head: &RequestHead) -> Client {
    let agent = head.fields.get("user-agent").unwrap_or_default();
    let mut client = by_agent(&agent).unwrap_or_default();
    if let Some((sdk, version)) = sdk(head, &agent) {
        client.sdk = sdk;
        client.sdk_version = version;
    }
    if client.name.is_empty() {
        by_field(head, &mut client);
    }
    if client.name.is_empty() && !client.sdk.is_empty() {
        client.name.clone_from(&client.sdk);
        client.version.clone_from(&client.sdk_version);
        client.kind = Some(Sdk);
    }
    client
}

fn by_agent(agent: &str) -> Option<Client> {
    PRODUCTS.iter().find_map(|(place, product, name, kind)| {
        let at = match place {
            Start => agent.starts_with(product).then_some(0),
            Within => agent.find(product),
        }?;
        let rest = &agent[at + product.len()..];
        // `Zed/1.0` is Zed, `Zedge/1.0` is not; Gemini's name goes on with a dash.
        let ends =
            rest.is_empty() || rest.starts_with(['/', ' ', ';', '-', ')']) || product.ends_with([':', 'i']);
        ends.then(|| Client {
            name: (*name).to_owned(),
            version: version(rest.split_once('/').map_or("", |(_, version)| version)),
            kind: Some(*kind),
            ..Client::default()
        })
    })
}

/// SDK and its version: by the fields of generated SDKs, else by the user agent.
fn sdk(head: &RequestHead, agent: &str) -> Option<(String, String)> {
    let class = agent.strip_prefix("Async").unwrap_or(agent);
    let generated = GENERATED
        .iter()
        .find(|(name, _)| class.strip_prefix(name).is_some_and(|rest| rest.starts_with('/')));
    let field = |name: &str| head.fields.get(name).unwrap_or_default();
    let language = match field("x-stainless-lang").as_str() {
        "python" => " for Python",
        "js" => " for JavaScript",
        "go" => " for Go",
        "java" => " for Java",
        _ if class.contains("/Python") => " for Python",
        _ if class.contains("/JS") => " for JavaScript",
        _ => "",
    };
    let stated = field("x-stainless-package-version");
    if let Some((_, name)) = generated {
        let of_agent = class.split_whitespace().nth(1).unwrap_or_default();
        let number = if stated.is_empty() { of_agent } else { &stated };
        return Some((format!("{name}{language}"), version(number)));
    }
    if !stated.is_empty() {
        return Some((format!("generated SDK{language}"), version(&stated)));
    }
    let fern = field("x-fern-sdk-name");
    (!fern.is_empty()).then(|| (version(&fern), version(&field("x-fern-sdk-version"))))
}

fn by_field(head: &RequestHead, client: &mut Client) {
    let agent = |name: &str, version: String| Client {
        name: name.to_owned(),
        version,
        kind: Some(CodingAgent),
        ..Client::default()
    };
    let named = FIELDS
        .iter()
        .find(|(field, value, _)| head.fields.get(field).as_deref() == Some(*value));
    let cursor = head.fields.get("x-cursor-client-version");
    let target = head.fields.get("x-amz-target").unwrap_or_default();
    let found = if let Some((_, _, name)) = named {
        agent(name, String::new())
    } else if let Some(number) = cursor {
        agent("Cursor", version(&number))
    } else if head.path.starts_with("/exa.") {
        agent("Windsurf", String::new())
    } else if target.starts_with("AmazonCodeWhisperer") || target.starts_with("AmazonQDeveloper") {
        agent("Amazon Q Developer", String::new())
    } else {
        return;
    };
    let (sdk, sdk_version) = (
        std::mem::take(&mut client.sdk),
        std::mem::take(&mut client.sdk_version),
    );
    *client = Client {
        sdk,
        sdk_version,
        ..found
    };
}

/// A version or name as it may be kept: up to the first character that belongs to neither.
fn version(text: &str) -> String {
    let belongs = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    text.chars()
        .take_while(|c| belongs(*c))
        .take(MAX_VERSION)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Fields;

    fn of(path: &str, fields: &[(&str, &str)]) -> Client {
        client(&RequestHead {
            path: path.to_owned(),
            fields: Fields(
                fields
                    .iter()
                    .map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec()))
                    .collect(),
            ),
            ..RequestHead::default()
        })
    }

    #[test]
    fn user_agents() {
        let cases = [
            (
                "claude-cli/2.0.1 (external, cli)",
                "Claude Code",
                "2.0.1",
                "coding_agent",
            ),
            (
                "codex_cli_rs/0.50.0 (Debian 12; x86_64) xterm",
                "Codex CLI",
                "0.50.0",
                "coding_agent",
            ),
            (
                "GeminiCLI/0.9.0/gemini-2.5-pro (linux; x64; terminal)",
                "Gemini CLI",
                "0.9.0",
                "coding_agent",
            ),
            (
                "GeminiCLI-vscode/0.9.0/gemini-2.5-pro (linux)",
                "Gemini CLI",
                "0.9.0",
                "coding_agent",
            ),
            (
                "GitHubCopilotChat/0.30.1",
                "GitHub Copilot Chat",
                "0.30.1",
                "coding_agent",
            ),
            ("copilot/1.2", "GitHub Copilot CLI", "1.2", "coding_agent"),
            ("OpenAI/Python 1.99.1", "OpenAI SDK for Python", "1.99.1", "sdk"),
            (
                "AsyncAzureOpenAI/Python 1.2",
                "OpenAI SDK for Python",
                "1.2",
                "sdk",
            ),
            (
                "Anthropic/JS 0.60.0",
                "Anthropic SDK for JavaScript",
                "0.60.0",
                "sdk",
            ),
            ("litellm/1.80", "LiteLLM", "1.80", "framework"),
            (
                "ai-sdk/openai/2.0 runtime/node.js/22",
                "Vercel AI SDK",
                "openai",
                "framework",
            ),
            ("ollama/0.12 (amd64 linux) Go/go1.24", "Ollama", "0.12", "sdk"),
            (
                "unknown/1; hf_hub/0.30; python/3.11",
                "Hugging Face Hub",
                "0.30",
                "sdk",
            ),
            ("Zedge/3", "", "", ""),
            ("curl/8.5.0", "", "", ""),
            ("", "", "", ""),
        ];
        for (agent, name, number, kind) in cases {
            let client = of("/", &[("user-agent", agent)]);
            let got = (
                client.name.as_str(),
                client.version.as_str(),
                client.kind.map_or("", ClientKind::name),
            );
            assert_eq!(got, (name, number, kind), "{agent}");
        }
    }

    #[test]
    fn an_agent_on_an_sdk_has_both() {
        let client = of(
            "/v1/messages",
            &[
                ("user-agent", "claude-cli/2.0.1 (external, cli)"),
                ("x-stainless-lang", "js"),
                ("x-stainless-package-version", "0.60.0"),
            ],
        );
        assert_eq!(
            (client.name.as_str(), client.version.as_str()),
            ("Claude Code", "2.0.1")
        );
        assert_eq!(
            (client.sdk.as_str(), client.sdk_version.as_str()),
            ("generated SDK for JavaScript", "0.60.0")
        );
    }

    #[test]
    fn other_fields_name_a_client_too() {
        assert_eq!(
            of("/agent.v1.X/Run", &[("x-cursor-client-version", "1.7.2")]).name,
            "Cursor"
        );
        assert_eq!(
            of("/exa.language_server_pb.LanguageServerService/GetChat", &[]).name,
            "Windsurf"
        );
        assert_eq!(
            of("/", &[("copilot-integration-id", "vscode-chat")]).name,
            "GitHub Copilot Chat"
        );
        let target = "AmazonCodeWhispererStreamingService.GenerateAssistantResponse";
        assert_eq!(of("/", &[("x-amz-target", target)]).name, "Amazon Q Developer");
    }

    #[test]
    fn versions_are_bounded_words() {
        let long = format!("claude-cli/{}", "9".repeat(500));
        assert_eq!(of("/", &[("user-agent", &long)]).version.len(), MAX_VERSION);
        assert_eq!(
            of("/", &[("user-agent", "claude-cli/1.0\u{1b}[31m")]).version,
            "1.0"
        );
    }
}
