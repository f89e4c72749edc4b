//! An exchange: one AI request and its response, as facts. Exists only in memory; text of the bodies is not kept
//! here but handed on to the scan as it passes (see `dialect::TextSink`).

use std::collections::BTreeSet;

use crate::protocol::Incomplete;

/// API shape spoken on the wire. The string forms are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI chat completions and the servers that copy it.
    OpenAiChat,
    /// OpenAI responses.
    OpenAiResponses,
    /// OpenAI embeddings.
    OpenAiEmbeddings,
    /// OpenAI completions, the older API.
    OpenAiCompletions,
    /// OpenAI images: generations, edits, variations.
    OpenAiImages,
    /// OpenAI speech: text in, audio out.
    OpenAiSpeech,
    /// OpenAI transcriptions and translations: audio in, text out.
    OpenAiTranscriptions,
    /// OpenAI moderations.
    OpenAiModerations,
    /// Anthropic messages, on Bedrock and Vertex too.
    AnthropicMessages,
    /// Anthropic text completions, the older API.
    AnthropicComplete,
    /// Gemini and Vertex: `generateContent` and `streamGenerateContent`.
    GeminiGenerate,
    /// Gemini and Vertex: `embedContent` and `batchEmbedContents`; `predict` of embedding models.
    GeminiEmbed,
    /// Ollama `/api/chat`.
    OllamaChat,
    /// Ollama `/api/generate`.
    OllamaGenerate,
    /// Ollama `/api/embed` and `/api/embeddings`.
    OllamaEmbed,
    /// Cohere chat, version 2.
    CohereChat,
    /// Cohere chat, version 1.
    CohereChatV1,
    /// Cohere generate, version 1.
    CohereGenerate,
    /// Cohere embed, both versions.
    CohereEmbed,
    /// Rerank: Cohere's shape and those like it (Jina, Voyage, llama.cpp, vLLM).
    Rerank,
    /// Bedrock `converse` and `converse-stream`.
    BedrockConverse,
    /// Bedrock `invoke` and `invoke-with-response-stream` with a list of messages.
    BedrockInvokeChat,
    /// Bedrock `invoke` with a prompt.
    BedrockInvokeText,
    /// Bedrock `invoke` of an embedding model.
    BedrockInvokeEmbed,
    /// Text Generation Inference and the inference API of Hugging Face: `inputs`.
    HfInference,
    /// watsonx text generation.
    WatsonxGeneration,
    /// A prompt whose tokens are counted: Anthropic, Gemini, OpenAI responses.
    CountTokens,
    /// Replicate predictions.
    ReplicatePredictions,
    /// ElevenLabs text to speech.
    ElevenLabsSpeech,
    /// Mistral's reading of documents.
    MistralOcr,
    /// Videos of OpenAI and those like it.
    OpenAiVideos,
    /// Gemini and Vertex: `predict` of image models.
    GeminiImages,
    /// Gemini and Vertex: `predictLongRunning` of video models.
    GeminiVideos,
    /// Deepgram `/v1/speak`: text in, audio out.
    DeepgramSpeak,
    /// Deepgram `/v1/listen` and AssemblyAI: audio or its address in, text out.
    DeepgramListen,
    /// Agents of Bedrock.
    BedrockAgent,
    /// Aleph Alpha `/complete`, and AI21's of that time.
    AlephAlphaComplete,
    /// llama.cpp's own `/completion` and `/infill`.
    LlamaCppCompletion,
    /// Mistral conversations.
    MistralConversations,
    /// A chat over gRPC or Connect (xAI, Cursor, Windsurf): provider and sizes, text as it stands in the messages.
    GrpcChat,
    /// Content generated over gRPC (Gemini, Vertex).
    GrpcGenerate,
    /// Embeddings over gRPC.
    GrpcEmbeddings,
    /// Model Context Protocol over HTTP: an agent and its tools.
    Mcp,
    /// Agent2Agent: an agent and another.
    A2a,
    /// Files handed to OpenAI, Anthropic and those like them.
    OpenAiFiles,
    /// OpenAI batches: many requests in a file.
    OpenAiBatches,
    /// Anthropic message batches: many requests in one.
    AnthropicBatches,
    /// OpenAI assistants.
    OpenAiAssistants,
    /// OpenAI threads and their messages.
    OpenAiThreads,
    /// OpenAI runs: an assistant works on a thread.
    OpenAiRuns,
    /// OpenAI vector stores.
    OpenAiVectorStores,
    /// OpenAI realtime over a WebSocket: one exchange for each response.
    OpenAiRealtime,
    /// Gemini live over a WebSocket: one exchange for each turn.
    GeminiLive,
    /// ChatGPT in the browser.
    ChatGptWeb,
    /// Claude in the browser.
    ClaudeWeb,
    /// Gemini in the browser.
    GeminiWeb,
    /// Other chats in the browser.
    WebChat,
    /// Amazon Q and Kiro.
    AmazonQ,
    /// KServe version 2 and Triton.
    KserveInfer,
    /// SageMaker endpoints, in whatever shape their model takes.
    SageMakerInvoke,
    /// Gemini interactions.
    GeminiInteractions,
    /// Gemini batches: many requests in one.
    GeminiBatches,
    /// Agents that run on Vertex.
    VertexAgent,
    /// Bedrock's events in both directions: speech in, speech out.
    BedrockBidirectional,
    /// Applications made with Dify.
    DifyChat,
    /// LM Studio's own chat.
    LmStudioChat,
    /// DashScope's own form, for all that it offers.
    DashScope,
    /// What is asked at a service of the catalogue in a form of its own: with a prompt, and not read any further.
    Native,
}

impl Dialect {
    /// Name as stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai-chat",
            Self::OpenAiResponses => "openai-responses",
            Self::OpenAiEmbeddings => "openai-embeddings",
            Self::OpenAiCompletions => "openai-completions",
            Self::OpenAiImages => "openai-images",
            Self::OpenAiSpeech => "openai-speech",
            Self::OpenAiTranscriptions => "openai-transcriptions",
            Self::OpenAiModerations => "openai-moderations",
            Self::AnthropicMessages => "anthropic-messages",
            Self::AnthropicComplete => "anthropic-complete",
            Self::GeminiGenerate => "gemini-generate-content",
            Self::GeminiEmbed => "gemini-embed-content",
            Self::OllamaChat => "ollama-chat",
            Self::OllamaGenerate => "ollama-generate",
            Self::OllamaEmbed => "ollama-embed",
            Self::CohereChat => "cohere-v2-chat",
            Self::CohereChatV1 => "cohere-v1-chat",
            Self::CohereGenerate => "cohere-v1-generate",
            Self::CohereEmbed => "cohere-embed",
            Self::Rerank => "rerank",
            Self::BedrockConverse => "bedrock-converse",
            Self::BedrockInvokeChat | Self::BedrockInvokeText | Self::BedrockInvokeEmbed => "bedrock-invoke",
            Self::HfInference => "hf-inference",
            Self::WatsonxGeneration => "watsonx-generation",
            Self::CountTokens => "count-tokens",
            Self::ReplicatePredictions => "replicate-predictions",
            Self::ElevenLabsSpeech => "elevenlabs-speech",
            Self::MistralOcr => "mistral-ocr",
            Self::OpenAiVideos => "openai-videos",
            Self::GeminiImages => "gemini-predict-images",
            Self::GeminiVideos => "gemini-predict-videos",
            Self::DeepgramSpeak => "deepgram-speak",
            Self::DeepgramListen => "deepgram-listen",
            Self::BedrockAgent => "bedrock-agent",
            Self::AlephAlphaComplete => "aleph-alpha-complete",
            Self::LlamaCppCompletion => "llamacpp-completion",
            Self::MistralConversations => "mistral-conversations",
            Self::GrpcChat => "grpc-chat",
            Self::GrpcGenerate => "grpc-generate-content",
            Self::GrpcEmbeddings => "grpc-embeddings",
            Self::Mcp => "mcp",
            Self::A2a => "a2a",
            Self::OpenAiFiles => "openai-files",
            Self::OpenAiBatches => "openai-batches",
            Self::AnthropicBatches => "anthropic-batches",
            Self::OpenAiAssistants => "openai-assistants",
            Self::OpenAiThreads => "openai-threads",
            Self::OpenAiRuns => "openai-runs",
            Self::OpenAiVectorStores => "openai-vector-stores",
            Self::OpenAiRealtime => "openai-realtime",
            Self::GeminiLive => "gemini-live",
            Self::ChatGptWeb => "chatgpt-web",
            Self::ClaudeWeb => "claude-web",
            Self::GeminiWeb => "gemini-web",
            Self::WebChat => "web-chat",
            Self::AmazonQ => "amazon-q",
            Self::KserveInfer => "kserve-infer",
            Self::SageMakerInvoke => "sagemaker-invoke",
            Self::GeminiInteractions => "gemini-interactions",
            Self::GeminiBatches => "gemini-batches",
            Self::VertexAgent => "vertex-agent",
            Self::BedrockBidirectional => "bedrock-bidirectional",
            Self::DifyChat => "dify-chat",
            Self::LmStudioChat => "lmstudio-chat",
            Self::DashScope => "dashscope",
            Self::Native => "native",
        }
    }

    /// `gen_ai.operation.name`. Where the conventions have no word, the name of the thing asked for.
    pub fn operation(self) -> &'static str {
        match self {
            Self::OpenAiChat
            | Self::OpenAiResponses
            | Self::AnthropicMessages
            | Self::OllamaChat
            | Self::CohereChat
            | Self::CohereChatV1
            | Self::BedrockConverse
            | Self::BedrockInvokeChat
            | Self::MistralConversations
            | Self::OpenAiRealtime
            | Self::GeminiLive
            | Self::ChatGptWeb
            | Self::ClaudeWeb
            | Self::GeminiWeb
            | Self::WebChat
            | Self::AmazonQ
            | Self::BedrockBidirectional
            | Self::DifyChat
            | Self::LmStudioChat
            | Self::DashScope
            | Self::GrpcChat => "chat",
            Self::OpenAiEmbeddings
            | Self::GeminiEmbed
            | Self::OllamaEmbed
            | Self::CohereEmbed
            | Self::BedrockInvokeEmbed
            | Self::GrpcEmbeddings => "embeddings",
            Self::OpenAiCompletions
            | Self::AnthropicComplete
            | Self::OllamaGenerate
            | Self::CohereGenerate
            | Self::BedrockInvokeText
            | Self::HfInference
            | Self::WatsonxGeneration
            | Self::AlephAlphaComplete
            | Self::SageMakerInvoke
            | Self::Native
            | Self::LlamaCppCompletion => "text_completion",
            Self::GeminiGenerate
            | Self::GeminiInteractions
            | Self::ReplicatePredictions
            | Self::GrpcGenerate
            | Self::KserveInfer => "generate_content",
            Self::OpenAiImages | Self::GeminiImages => "image_generation",
            Self::OpenAiVideos | Self::GeminiVideos => "video_generation",
            Self::OpenAiSpeech | Self::ElevenLabsSpeech | Self::DeepgramSpeak => "speech",
            Self::OpenAiTranscriptions | Self::DeepgramListen => "transcription",
            Self::MistralOcr => "ocr",
            Self::BedrockAgent | Self::VertexAgent | Self::OpenAiRuns => "invoke_agent",
            Self::OpenAiAssistants => "create_agent",
            Self::OpenAiThreads => "thread",
            Self::OpenAiFiles => "file",
            Self::OpenAiBatches | Self::AnthropicBatches | Self::GeminiBatches => "batch",
            Self::OpenAiVectorStores => "vector_store",
            Self::Mcp => "mcp",
            Self::A2a => "a2a",
            Self::OpenAiModerations => "moderation",
            Self::Rerank => "rerank",
            Self::CountTokens => "count_tokens",
        }
    }
}

/// What made the recogniser take an exchange for AI, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DialectEvidence {
    /// The catalogue knows host and path.
    Host,
    /// The path ends as a known API's does.
    PathSuffix,
    /// The request body has the keys of a known API.
    RequestShape,
    /// The response body has the keys of a known API.
    ResponseShape,
    /// No body could be read, the path could be anybody's, and the head is that of a known client of AI services.
    ClientHeaders,
}

impl DialectEvidence {
    /// Name as stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::PathSuffix => "path_suffix",
            Self::RequestShape => "request_shape",
            Self::ResponseShape => "response_shape",
            Self::ClientHeaders => "client_headers",
        }
    }
}

/// Token counts as the answer states them. `None` is "the answer does not say", which is not 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// `gen_ai.usage.input_tokens`: all input tokens, cached ones included (the parts of Anthropic
    /// and Bedrock are added up).
    pub input_tokens: Option<u64>,
    /// `gen_ai.usage.output_tokens`: all output tokens, reasoning included (Gemini's thoughts are added).
    pub output_tokens: Option<u64>,
    /// `gen_ai.usage.cache_read.input_tokens`.
    pub cache_read_input_tokens: Option<u64>,
    /// `gen_ai.usage.cache_creation.input_tokens`.
    pub cache_creation_input_tokens: Option<u64>,
    /// `gen_ai.usage.reasoning.output_tokens`.
    pub reasoning_output_tokens: Option<u64>,
    /// The part of the input that is audio.
    pub input_audio_tokens: Option<u64>,
    /// The part of the output that is audio.
    pub output_audio_tokens: Option<u64>,
}

/// Most tool calls, and most tool results, that are listed one by one; further ones are counted.
pub const MAX_TOOL_USES: usize = 64;

/// A call of a tool, or the result of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolUse {
    /// Name of the tool; empty where the body does not say.
    pub name: String,
    /// Size in bytes: of the arguments as JSON text, or of the text of the result.
    pub bytes: u64,
}

/// Calls of tools, or results, of one body in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolUses {
    /// The first [`MAX_TOOL_USES`].
    pub first: Vec<ToolUse>,
    /// All of them.
    pub count: u32,
}

impl ToolUses {
    /// One more.
    pub fn push(&mut self, one: ToolUse) {
        self.count = self.count.saturating_add(1);
        if self.first.len() < MAX_TOOL_USES {
            self.first.push(one);
        }
    }
}

/// What an answer says of one limit. `None`: it does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// How much is allowed.
    pub limit: Option<u64>,
    /// How much of it is left.
    pub remaining: Option<u64>,
    /// When it is whole again, in milliseconds after the answer.
    pub reset_ms: Option<u64>,
}

/// What an answer says of limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Of requests.
    pub requests: RateLimit,
    /// Of tokens.
    pub tokens: RateLimit,
    /// How long to wait before the next attempt, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

/// What tells attempts of the same request from different requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempt {
    /// Hash of method, path and body as sent, equal in all attempts; `None` when the body was not read whole. Exists in
    /// memory only: whoever has a prompt could look for it.
    pub fingerprint: Option<u64>,
    /// Number of the attempt, counted from 1, where the client says it.
    pub stated: Option<u16>,
    /// Number that the client gave to the request and all its attempts.
    pub invocation: Option<String>,
}

/// Facts of calls between agents and tools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rpc {
    /// Method that is called; empty outside of MCP and A2A, and where none is.
    pub method: String,
    /// `mcp.session.id`.
    pub session: Option<String>,
    /// `mcp.protocol.version`.
    pub version: Option<String>,
    /// The MCP server, as it says itself.
    pub server: Product,
}

/// A program by its own word. What it does not say is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Product {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// What may tie a call to another one of the same host, of which it is a part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ties {
    /// Trace that the request belongs to (W3C traceparent).
    pub trace: Option<String>,
    /// Number that the client gave to the request.
    pub request: Option<String>,
    /// Digest of the prompt (`dialect::PromptDigest`).
    pub prompt: Option<[u8; 24]>,
    /// Digests of what the conversation said up to each of its last turns, this request's last.
    pub turns: Vec<[u8; 16]>,
}

/// Facts of one exchange. Times are nanoseconds of the clock that the records carry (CLOCK_BOOTTIME).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// API shape.
    pub dialect: Dialect,
    /// What ties it to others.
    pub ties: Ties,
    /// Why it was taken for that.
    pub evidence: DialectEvidence,
    /// `gen_ai.operation.name`: the dialect's, or what the method of the call says.
    pub operation: &'static str,
    /// What stands in a call of MCP or A2A beside the rest.
    pub rpc: Rpc,
    /// `gen_ai.provider.name`; `unknown` where neither catalogue nor host says.
    pub provider: String,
    /// Host of the request (`Host` field).
    pub host: String,
    /// `http.request.method`.
    pub method: String,
    /// `url.template`: known path suffix with variable parts as `{name}`; never the raw path.
    pub path_template: String,
    /// `gen_ai.request.model`.
    pub request_model: Option<String>,
    /// `gen_ai.response.model`.
    pub response_model: Option<String>,
    /// `gen_ai.response.id`.
    pub response_id: Option<String>,
    /// Number that the server gave to the request, for its support to find it.
    pub request_id: Option<String>,
    /// `gen_ai.conversation.id`: conversation, thread or session that request or answer names.
    pub conversation_id: Option<String>,
    /// Response that the request goes on from.
    pub previous_response_id: Option<String>,
    /// `gen_ai.request.stream`: what the request asks for; where it is silent, whether the answer was a stream.
    pub stream: bool,
    /// Token counts.
    pub usage: Usage,
    /// `gen_ai.response.finish_reasons`, each once.
    pub finish_reasons: BTreeSet<String>,
    /// Names of tools that the answer calls, each once.
    pub tool_names: BTreeSet<String>,
    /// Calls of tools in the answer; `None` where it cannot be known.
    pub tool_calls: Option<ToolUses>,
    /// Results of tools in the request, those of earlier turns included; `None` where it cannot be known.
    pub tool_results: Option<ToolUses>,
    /// `http.response.status_code`; `None` when no response head was seen.
    pub status: Option<u16>,
    /// `error.type`: provider's error type, else the status code as text; empty when there was no error.
    pub error_type: String,
    /// What kind of error it was (`dialect::errors`); empty when there was none.
    pub error_class: &'static str,
    /// Limits as the answer states them.
    pub rate_limits: RateLimits,
    /// Whether it is another attempt of a request.
    pub attempt: Attempt,
    /// `User-Agent`, at most 256 bytes.
    pub user_agent: String,
    /// Key or token that the request carries, for a keyed hash only. Never stored, never shown.
    pub credential: Option<Credential>,
    /// Whose account that is, as far as the heads say.
    pub account: Account,
    /// Which program calls, as it says itself.
    pub client: Client,
    /// First byte of the request.
    pub started_ns: u64,
    /// First byte of the response head.
    pub first_response_ns: Option<u64>,
    /// First piece of model output in a stream.
    pub first_chunk_ns: Option<u64>,
    /// Last byte of the response, or the time at which the exchange was given up.
    pub ended_ns: u64,
    /// Request bytes as sent on the connection: head and body, before any decoding.
    pub request_bytes: u64,
    /// Response bytes as received on the connection: head and body, before any decoding.
    pub response_bytes: u64,
    /// Text of the request handed to the scan, in bytes after decoding (binary parts left out).
    pub request_text_bytes: u64,
    /// Text of the response handed to the scan, in bytes after decoding (binary parts left out).
    pub response_text_bytes: u64,
    /// Base64 images, audio and files in both bodies, in bytes as written: not scanned.
    pub binary_bytes: u64,
    /// Why the request was not read whole.
    pub request_incomplete: Option<Incomplete>,
    /// Why the response was not read whole.
    pub response_incomplete: Option<Incomplete>,
}

impl Exchange {
    /// Why the exchange was not read whole: of both sides, the request counts.
    pub fn incomplete(&self) -> Option<Incomplete> {
        self.request_incomplete.or(self.response_incomplete)
    }
}

/// A credential in clear. Its `Debug` shows nothing and it has no `Display` or `Serialize`.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(pub Vec<u8>);

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// What kind of credential or account a request uses; the words of `account_kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountKind {
    /// A key that was made for programs.
    ApiKey,
    /// A token that was issued for a time and tells nothing about itself.
    OauthToken,
    /// A JSON web token.
    Jwt,
    /// Access key id of AWS; the request is signed with its secret.
    AwsAccessKey,
    /// User name and password.
    Basic,
    /// An account of ChatGPT, named beside the token.
    ChatgptAccount,
    /// An account of GitHub Copilot, named in its token.
    CopilotAccount,
}

impl AccountKind {
    /// Name as stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::OauthToken => "oauth_token",
            Self::Jwt => "jwt",
            Self::AwsAccessKey => "aws_access_key",
            Self::Basic => "basic",
            Self::ChatgptAccount => "chatgpt_account",
            Self::CopilotAccount => "copilot_account",
        }
    }
}

/// Who says what an account is called; the words of `account_organization_source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClaimSource {
    /// The client, in a field or in a token that nobody verified here.
    Client,
    /// The service, in the head of its answer.
    Service,
    /// The address that was called is the customer's own.
    Address,
}

impl ClaimSource {
    /// Name as stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "claimed",
            Self::Service => "service",
            Self::Address => "address",
        }
    }
}

/// A name and who says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The name.
    pub value: String,
    /// Who says it.
    pub source: ClaimSource,
}

/// Whose account a request uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Kind of the credential, or of the account that was named.
    pub kind: Option<AccountKind>,
    /// What names the account while tokens change, for a keyed hash only. A claim. `None`: the credential itself does.
    pub stable_id: Option<Credential>,
    /// Organisation, tenant or resource.
    pub organization: Option<Claim>,
    /// Project or deployment.
    pub project: Option<Claim>,
    /// Issuer of the token, claimed.
    pub issuer: Option<String>,
    /// Subject of the token, claimed; not kept where it is a mail address.
    pub subject: Option<String>,
    /// Plan or seat that the token names, claimed.
    pub plan: Option<String>,
}

/// What kind of program calls; the words of `client_kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientKind {
    /// Library of a provider, or one generated for it.
    Sdk,
    /// Library over several providers.
    Framework,
    /// A program that works on code by itself and starts other programs.
    CodingAgent,
}

impl ClientKind {
    /// Name as stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sdk => "sdk",
            Self::Framework => "framework",
            Self::CodingAgent => "coding_agent",
        }
    }
}

/// The program that calls, as it says itself. What is not known is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: Option<ClientKind>,
    /// SDK below it.
    pub sdk: String,
    /// Version of the SDK.
    pub sdk_version: String,
}
