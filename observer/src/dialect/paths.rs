//! What the path of a request says: dialect, model, and what of it may be stored.

use super::heads::identifier;
use crate::exchange::Dialect;

/// How much a path ending says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    /// A body must agree: the ending could be anybody's.
    Body,
    /// Enough on a host that the catalogue knows; elsewhere a body must agree.
    Host,
    /// Enough on any host.
    Alone,
}

use Strength::{Alone, Body, Host};

/// Path endings, longer ones before those they end with.
const SUFFIXES: &[(&str, Dialect, Strength)] = &[
    ("/chat/completions", Dialect::OpenAiChat, Alone),
    ("/responses", Dialect::OpenAiResponses, Host),
    ("/api/embeddings", Dialect::OllamaEmbed, Body),
    ("/api/embed", Dialect::OllamaEmbed, Body),
    ("/embeddings", Dialect::OpenAiEmbeddings, Host),
    ("/v1/messages", Dialect::AnthropicMessages, Host),
    ("/messages/count_tokens", Dialect::CountTokens, Body),
    ("/responses/input_tokens", Dialect::CountTokens, Body),
    ("/count-tokens", Dialect::CountTokens, Body),
    ("/tokenize-text", Dialect::CountTokens, Body),
    ("/v1/complete", Dialect::AnthropicComplete, Body),
    ("/complete", Dialect::AlephAlphaComplete, Body),
    ("/completion", Dialect::LlamaCppCompletion, Body),
    ("/infill", Dialect::LlamaCppCompletion, Body),
    ("/multimodalembeddings", Dialect::OpenAiEmbeddings, Host),
    ("/contextualizedembeddings", Dialect::OpenAiEmbeddings, Host),
    ("/text/chatcompletion_v2", Dialect::OpenAiChat, Alone),
    ("/agents/completions", Dialect::OpenAiChat, Body),
    ("/v1/conversations", Dialect::MistralConversations, Body),
    ("/v1/ocr", Dialect::MistralOcr, Body),
    ("/v1/speak", Dialect::DeepgramSpeak, Body),
    ("/v1/listen", Dialect::DeepgramListen, Host),
    ("/v2/transcript", Dialect::DeepgramListen, Body),
    ("/speech-to-text", Dialect::OpenAiTranscriptions, Host),
    ("/completions", Dialect::OpenAiCompletions, Host),
    ("/images/generations", Dialect::OpenAiImages, Alone),
    ("/images/edits", Dialect::OpenAiImages, Alone),
    ("/images/variations", Dialect::OpenAiImages, Host),
    ("/image/generate", Dialect::OpenAiImages, Body),
    ("/image/generation", Dialect::OpenAiImages, Body),
    ("/videos/generations", Dialect::OpenAiVideos, Host),
    ("/videos", Dialect::OpenAiVideos, Body),
    ("/video/generations", Dialect::OpenAiVideos, Body),
    ("/audio/speech", Dialect::OpenAiSpeech, Alone),
    ("/audio/transcriptions", Dialect::OpenAiTranscriptions, Alone),
    ("/audio/translations", Dialect::OpenAiTranscriptions, Alone),
    ("/moderations", Dialect::OpenAiModerations, Host),
    ("/api/v1/chat", Dialect::LmStudioChat, Body),
    ("/chat-messages", Dialect::DifyChat, Body),
    ("/completion-messages", Dialect::DifyChat, Body),
    ("/workflows/run", Dialect::DifyChat, Body),
    ("/api/chat", Dialect::OllamaChat, Body),
    ("/api/generate", Dialect::OllamaGenerate, Body),
    ("/v2/chat", Dialect::CohereChat, Body),
    ("/v1/chat", Dialect::CohereChatV1, Body),
    ("/v1/generate", Dialect::CohereGenerate, Body),
    ("/v1/embed", Dialect::CohereEmbed, Body),
    ("/v2/embed", Dialect::CohereEmbed, Body),
    ("/rerank", Dialect::Rerank, Body),
    ("/reranking", Dialect::Rerank, Body),
    ("/interactions", Dialect::GeminiInteractions, Host),
    ("/converse", Dialect::BedrockConverse, Alone),
    ("/converse-stream", Dialect::BedrockConverse, Alone),
    ("/invoke", Dialect::BedrockInvokeText, Alone),
    ("/invoke-with-response-stream", Dialect::BedrockInvokeText, Alone),
    (
        "/invoke-with-bidirectional-stream",
        Dialect::BedrockBidirectional,
        Alone,
    ),
    ("/retrieveAndGenerate", Dialect::BedrockAgent, Host),
    ("/retrieveAndGenerateStream", Dialect::BedrockAgent, Host),
    ("/embed", Dialect::HfInference, Body),
    ("/embed_all", Dialect::HfInference, Body),
    ("/embed_sparse", Dialect::HfInference, Body),
    ("/generate", Dialect::HfInference, Body),
    ("/generate_stream", Dialect::HfInference, Body),
    ("/invocations", Dialect::HfInference, Body),
    ("/ml/v1/text/generation", Dialect::WatsonxGeneration, Host),
    ("/ml/v1/text/generation_stream", Dialect::WatsonxGeneration, Host),
    ("/ml/v1-beta/generation/text", Dialect::WatsonxGeneration, Host),
    (
        "/ml/v1-beta/generation/text_stream",
        Dialect::WatsonxGeneration,
        Host,
    ),
    ("/predictions", Dialect::ReplicatePredictions, Body),
    ("/text/chat", Dialect::OpenAiChat, Host),
    ("/text/chat_stream", Dialect::OpenAiChat, Host),
    ("/text/generation", Dialect::WatsonxGeneration, Host),
    ("/text/generation_stream", Dialect::WatsonxGeneration, Host),
    ("/tokenize", Dialect::CountTokens, Body),
    ("/pooling", Dialect::OpenAiEmbeddings, Body),
    ("/score", Dialect::Rerank, Body),
    ("/messages/batches", Dialect::AnthropicBatches, Host),
    ("/v1/batches", Dialect::OpenAiBatches, Host),
    ("/v1/batch/jobs", Dialect::OpenAiBatches, Host),
    ("/openai/batches", Dialect::OpenAiBatches, Host),
    ("/v1/files", Dialect::OpenAiFiles, Host),
    ("/openai/files", Dialect::OpenAiFiles, Host),
    ("/realtime", Dialect::OpenAiRealtime, Host),
    ("/StreamGenerate", Dialect::GeminiWeb, Host),
    ("/rest/sse/perplexity_ask", Dialect::WebChat, Host),
    ("/api/v0/chat/completion", Dialect::WebChat, Host),
    ("/rest/app-chat/conversations/new", Dialect::WebChat, Host),
    ("/generateAssistantResponse", Dialect::AmazonQ, Host),
    ("/SendMessageStreaming", Dialect::AmazonQ, Host),
];
/// Paths with a name in the middle: what they contain, how they end, and the dialect.
const AROUND: &[(&str, &[&str], Dialect, Strength)] = &[
    ("/agentAliases/", &["/text"], Dialect::BedrockAgent, Body),
    ("/knowledgebases/", &["/retrieve"], Dialect::BedrockAgent, Host),
    ("/runtimes/", &["/invocations"], Dialect::BedrockAgent, Host),
    (
        "/reasoningEngines/",
        &[":query", ":streamQuery"],
        Dialect::VertexAgent,
        Host,
    ),
    (
        "/services/aigc/",
        &["-synthesis", "/generation"],
        Dialect::DashScope,
        Host,
    ),
    ("/services/embeddings/", &[""], Dialect::DashScope, Host),
    ("/services/rerank/", &[""], Dialect::DashScope, Host),
    ("/services/audio/", &[""], Dialect::DashScope, Host),
    ("/v1/conversations/", &[""], Dialect::MistralConversations, Body),
    ("/v1/batches/", &["/requests"], Dialect::OpenAiBatches, Host),
    (
        "/models/",
        &["/count-tokens:rawPredict"],
        Dialect::CountTokens,
        Body,
    ),
    ("/videos/", &["/remix"], Dialect::OpenAiVideos, Host),
    ("/ai/run/", &[""], Dialect::Native, Host),
    ("/workers-ai/", &[""], Dialect::Native, Host),
    ("/v1/text-to-speech/", &[""], Dialect::ElevenLabsSpeech, Body),
    (
        "/threads/",
        &["/runs", "/submit_tool_outputs"],
        Dialect::OpenAiRuns,
        Host,
    ),
    ("/threads/", &["/messages"], Dialect::OpenAiThreads, Host),
    ("/github/chat/threads/", &["/messages"], Dialect::WebChat, Host),
    ("/rest/app-chat/", &["/responses"], Dialect::WebChat, Host),
    ("/api/chat/", &["/completion/stream"], Dialect::WebChat, Host),
    ("/v1/threads", &["/threads"], Dialect::OpenAiThreads, Host),
    ("/openai/threads", &["/threads"], Dialect::OpenAiThreads, Host),
    ("/v1/assistants", &[""], Dialect::OpenAiAssistants, Host),
    ("/openai/assistants", &[""], Dialect::OpenAiAssistants, Host),
    ("/vector_stores", &[""], Dialect::OpenAiVectorStores, Host),
    ("/backend-api/", &["/conversation"], Dialect::ChatGptWeb, Host),
    ("/backend-anon/", &["/conversation"], Dialect::ChatGptWeb, Host),
    (
        "/chat_conversations/",
        &["/completion", "/retry_completion"],
        Dialect::ClaudeWeb,
        Host,
    ),
    (
        "/v2/models/",
        &["/infer", "/generate", "/generate_stream"],
        Dialect::KserveInfer,
        Body,
    ),
    (
        "/endpoints/",
        &["/invocations", "/invocations-response-stream"],
        Dialect::SageMakerInvoke,
        Host,
    ),
    (
        "/ws/google.",
        &["BidiGenerateContent", "BidiGenerateContentConstrained"],
        Dialect::GeminiLive,
        Host,
    ),
];
/// Verbs behind the last colon of a Google path.
const VERBS: &[(&str, Dialect)] = &[
    ("generateContent", Dialect::GeminiGenerate),
    ("streamGenerateContent", Dialect::GeminiGenerate),
    ("embedContent", Dialect::GeminiEmbed),
    ("batchEmbedContents", Dialect::GeminiEmbed),
    ("predict", Dialect::GeminiEmbed),
    ("predict", Dialect::GeminiImages),
    ("predictLongRunning", Dialect::GeminiVideos),
    ("countTokens", Dialect::CountTokens),
    ("computeTokens", Dialect::CountTokens),
    ("batchGenerateContent", Dialect::GeminiBatches),
    ("asyncBatchEmbedContent", Dialect::GeminiBatches),
    ("embedText", Dialect::GeminiEmbed),
    ("generateAnswer", Dialect::GeminiGenerate),
];
/// Calls of gRPC and Connect: service and method, and whether the answer is a stream. A version stands as `*`.
const CALLS: &[(&str, &str, Dialect, bool)] = &[
    (AIPLATFORM, "GenerateContent", Dialect::GrpcGenerate, false),
    (AIPLATFORM, "StreamGenerateContent", Dialect::GrpcGenerate, true),
    (AIPLATFORM, "EmbedContent", Dialect::GrpcEmbeddings, false),
    (GENERATIVE, "GenerateContent", Dialect::GrpcGenerate, false),
    (GENERATIVE, "StreamGenerateContent", Dialect::GrpcGenerate, true),
    (GENERATIVE, "EmbedContent", Dialect::GrpcEmbeddings, false),
    (GENERATIVE, "BatchEmbedContents", Dialect::GrpcEmbeddings, false),
    ("xai_api.Chat", "GetCompletion", Dialect::GrpcChat, false),
    ("xai_api.Chat", "GetCompletionChunk", Dialect::GrpcChat, true),
    (
        "xai_api.Chat",
        "StartDeferredCompletion",
        Dialect::GrpcChat,
        false,
    ),
    ("lf.a2a.*.A2AService", "SendMessage", Dialect::A2a, false),
    ("lf.a2a.*.A2AService", "SendStreamingMessage", Dialect::A2a, true),
    ("a2a.*.A2AService", "SendMessage", Dialect::A2a, false),
    ("a2a.*.A2AService", "SendStreamingMessage", Dialect::A2a, true),
    ("xai_api.Embedder", "Embed", Dialect::GrpcEmbeddings, false),
    ("agent.v1.AgentService", "Run", Dialect::GrpcChat, true),
    (
        "aiserver.v1.ChatService",
        "StreamUnifiedChat",
        Dialect::GrpcChat,
        true,
    ),
    (
        "aiserver.v1.ChatService",
        "StreamUnifiedChatWithTools",
        Dialect::GrpcChat,
        true,
    ),
    ("aiserver.v1.AiService", "StreamChat", Dialect::GrpcChat, true),
    ("aiserver.v1.AiService", "StreamCpp", Dialect::GrpcChat, true),
    ("aiserver.v1.CppService", "StreamCpp", Dialect::GrpcChat, true),
    ("aiserver.v1.AiService", "StreamComposer", Dialect::GrpcChat, true),
    ("agent.v1.AgentService", "RunSSE", Dialect::GrpcChat, true),
    (
        "aiserver.v1.ChatService",
        "StreamUnifiedChatWithToolsSSE",
        Dialect::GrpcChat,
        true,
    ),
    (
        "exa.api_server_pb.ApiServerService",
        "GetCompletions",
        Dialect::GrpcChat,
        false,
    ),
    (
        "exa.api_server_pb.ApiServerService",
        "GetStreamingExternalChatCompletions",
        Dialect::GrpcChat,
        true,
    ),
    (
        "exa.api_server_pb.ApiServerService",
        "GetEmbeddings",
        Dialect::GrpcEmbeddings,
        false,
    ),
    (
        "inference.GRPCInferenceService",
        "ModelInfer",
        Dialect::GrpcGenerate,
        false,
    ),
    (
        "inference.GRPCInferenceService",
        "ModelStreamInfer",
        Dialect::GrpcGenerate,
        true,
    ),
    (
        "exa.api_server_pb.ApiServerService",
        "GetChatMessage",
        Dialect::GrpcChat,
        true,
    ),
    (
        "exa.api_server_pb.ApiServerService",
        "GetStreamingCompletions",
        Dialect::GrpcChat,
        true,
    ),
];
const AIPLATFORM: &str = "google.cloud.aiplatform.*.PredictionService";
const GENERATIVE: &str = "google.ai.generativelanguage.*.GenerativeService";
/// Path endings of dialects that are not read.
const FOREIGN: &[&str] = &["/fine_tuning/jobs", "/fine-tunes"];
/// Longest model name taken from a path.
const MAX_MODEL: usize = 256;
/// Segments that a model follows.
const MODEL_BEHIND: &[&str] = &[
    "model",
    "models",
    "tunedModels",
    "engines",
    "serving-endpoints",
    "endpoints",
];
/// Segments of a path that may be stored.
const SEGMENTS: &[&str] = &[
    "v1",
    "v2",
    "v3",
    "v4",
    "v1beta",
    "v1beta1",
    "v1-beta",
    "api",
    "openai",
    "anthropic",
    "apps",
    "audio",
    "agents",
    "agentAliases",
    "sessions",
    "completion",
    "infill",
    "conversations",
    "ocr",
    "speak",
    "listen",
    "transcript",
    "speech-to-text",
    "videos",
    "video",
    "multimodalembeddings",
    "contextualizedembeddings",
    "chatcompletion_v2",
    "inference",
    "compatible-mode",
    "compatibility",
    "paas",
    "coding",
    "engines",
    "model",
    "models",
    "tunedModels",
    "publishers",
    "google",
    "locations",
    "backend-api",
    "codex",
    "zen",
    "ai",
    "llm",
    "ml",
    "text",
    "deployments",
    "chat",
    "completions",
    "complete",
    "converse",
    "converse-stream",
    "count_tokens",
    "input_tokens",
    "edits",
    "embed",
    "embeddings",
    "endpoints",
    "generate",
    "generate_stream",
    "generation",
    "generation_stream",
    "generations",
    "image",
    "images",
    "invocations",
    "invoke",
    "invoke-with-response-stream",
    "messages",
    "moderations",
    "predictions",
    "projects",
    "rerank",
    "responses",
    "serving-endpoints",
    "speech",
    "text-to-speech",
    "text_stream",
    "transcriptions",
    "translations",
    "variations",
    "backend-anon",
    "f",
    "conversation",
    "chat_conversations",
    "organizations",
    "retry_completion",
    "threads",
    "runs",
    "submit_tool_outputs",
    "assistants",
    "vector_stores",
    "search",
    "files",
    "file_batches",
    "batches",
    "realtime",
    "versions",
    "infer",
    "invocations-response-stream",
    "chat_stream",
    "tokenize",
    "pooling",
    "score",
    "mcp",
    "sse",
    "rest",
    "app-chat",
    "new",
    "perplexity_ask",
    "run",
    "workers-ai",
    "interactions",
    "chat-messages",
    "completion-messages",
    "workflows",
    "services",
    "aigc",
    "text-generation",
    "multimodal-generation",
    "text2image",
    "image-synthesis",
    "video-generation",
    "video-synthesis",
    "text-embedding",
    "text-rerank",
    "embed_all",
    "embed_sparse",
    "reranking",
    "pipeline",
    "feature-extraction",
    "invoke-with-bidirectional-stream",
    "count-tokens",
    "runtimes",
    "knowledgebases",
    "retrieve",
    "retrieveAndGenerate",
    "retrieveAndGenerateStream",
    "reasoningEngines",
    "batch",
    "jobs",
    "remix",
    "v0",
    "generateAssistantResponse",
    "SendMessageStreaming",
];

/// Dialects that a path may mean, likeliest first.
pub(super) fn dialects(path: &str) -> impl Iterator<Item = (Dialect, Strength)> {
    let path = path.trim_end_matches('/');
    let named = verb(path);
    let verbs = VERBS.iter().filter(move |(name, _)| Some(*name) == named);
    // Models of all kinds are asked to predict.
    let strength = if path.contains(":predict") { Body } else { Alone };
    let verbs = verbs.map(move |(_, dialect)| (*dialect, strength));
    let call = call(path).map(|(_, _, dialect, _)| (*dialect, Alone));
    let around = AROUND.iter().filter(move |(inside, ends, ..)| {
        path.contains(inside) && ends.iter().any(|end| path.ends_with(end))
    });
    let around = around.map(|(.., dialect, strength)| (*dialect, *strength));
    let bedrock = path.contains("/model/");
    let known = !is_foreign(path);
    let suffixes = SUFFIXES.iter().filter(move |(suffix, dialect, _)| {
        // These verbs mean something only behind a model.
        let needs_model = matches!(
            dialect,
            Dialect::BedrockConverse | Dialect::BedrockInvokeText | Dialect::BedrockBidirectional
        );
        known && (!needs_model || bedrock) && path.ends_with(suffix)
    });
    let suffixes = suffixes.map(|(_, dialect, strength)| (*dialect, *strength));
    verbs.chain(call).chain(suffixes).chain(around)
}

/// Whether a path is a call of gRPC that is known.
pub(super) fn is_grpc(path: &str) -> bool {
    call(path).is_some()
}

/// The call of gRPC that a path is: `/{service}/{method}`.
fn call(path: &str) -> Option<&'static (&'static str, &'static str, Dialect, bool)> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let is = |pattern: &str| match pattern.split_once('*') {
        None => service == pattern,
        Some((before, after)) => service
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .is_some_and(|version| !version.contains('.')),
    };
    CALLS.iter().find(|(of, name, ..)| *name == method && is(of))
}

/// Whether a path belongs to a dialect that is not read.
pub(super) fn is_foreign(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    FOREIGN.iter().any(|suffix| path.ends_with(suffix))
}

/// Whether the path asks for a stream, where it says.
pub(super) fn asks_stream(path: &str) -> Option<bool> {
    let path = path.trim_end_matches('/');
    if let Some((.., stream)) = call(path) {
        return Some(*stream);
    }
    match verb(path) {
        Some("streamGenerateContent" | "streamRawPredict") => return Some(true),
        Some("generateContent" | "rawPredict") => return Some(false),
        _ => {}
    }
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| path.ends_with(suffix));
    if ends(&[
        "-stream",
        "_stream",
        "/stream",
        "AndGenerateStream",
        ":streamQuery",
    ]) {
        Some(true)
    } else {
        (path.contains("/model/") && ends(&["/converse", "/invoke"])).then_some(false)
    }
}

/// What is asked for where a dialect asks for several things: dialect, what the path contains, operation.
const OPERATIONS: &[(Dialect, &str, &str)] = &[
    (Dialect::OpenAiVectorStores, "/search", "retrieval"),
    (Dialect::BedrockAgent, "/retrieveAndGenerate", "chat"),
    (Dialect::BedrockAgent, "/retrieve", "retrieval"),
    (Dialect::HfInference, "/feature-extraction", "embeddings"),
    (Dialect::HfInference, "/sentence-similarity", "embeddings"),
    (Dialect::HfInference, "/embed", "embeddings"),
    (Dialect::HfInference, "/text-to-image", "image_generation"),
    (Dialect::HfInference, "/text-to-speech", "speech"),
    (
        Dialect::HfInference,
        "/automatic-speech-recognition",
        "transcription",
    ),
    (Dialect::DashScope, "/services/embeddings/", "embeddings"),
    (Dialect::DashScope, "/services/rerank/", "rerank"),
    (Dialect::DashScope, "/services/audio/asr/", "transcription"),
    (Dialect::DashScope, "/services/audio/", "speech"),
    (Dialect::DashScope, "video-synthesis", "video_generation"),
    (Dialect::DashScope, "/image", "image_generation"),
];

/// What a path asks for, where its dialect alone does not tell.
pub(super) fn operation(dialect: Dialect, path: &str) -> Option<&'static str> {
    let found = OPERATIONS
        .iter()
        .find(|(of, part, _)| *of == dialect && path.contains(part));
    found.map(|(.., operation)| *operation)
}

/// Beginnings of model names of Cloudflare, which hold slashes.
const CLOUDFLARE_MODELS: &[&str] = &["/@cf/", "/@hf/"];

/// Model that a path names, decoded.
pub(super) fn model(path: &str) -> Option<String> {
    if let Some(at) = CLOUDFLARE_MODELS.iter().find_map(|start| path.find(start)) {
        let name = decoded(path[at + 1..].trim_end_matches('/'))?;
        return (name.len() <= MAX_MODEL).then_some(name);
    }
    let mut segments = path.split('/');
    let before = segments.find(|segment| MODEL_BEHIND.contains(segment))?;
    let first = segments.next().filter(|segment| !segment.is_empty())?;
    let name = match verb(first) {
        Some(verb) => decoded(first.strip_suffix(verb)?.strip_suffix(':')?)?,
        None if SEGMENTS.contains(&first) => return None,
        None => decoded(first)?,
    };
    // Models of Replicate and Hugging Face have an owner: `/models/{owner}/{name}`.
    let second = segments.next().filter(|segment| {
        before == "models" && verb(first).is_none() && !segment.is_empty() && !SEGMENTS.contains(segment)
    });
    let name = match second {
        Some(second) => format!("{name}/{}", decoded(second)?),
        None => name,
    };
    (name.len() <= MAX_MODEL).then_some(name)
}

/// Model that a query names, decoded: services of speech take it from there.
pub(super) fn model_in_query(query: &str) -> Option<String> {
    let is_model = |name: &str| matches!(name, "model" | "model_id" | "speech_model");
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, name) = pairs.find(|(name, _)| is_model(name))?;
    decoded(name).filter(|name| !name.is_empty() && name.len() <= MAX_MODEL)
}

/// Segments that the name of a conversation, thread or session follows.
const CONVERSATION_BEHIND: &[&str] = &[
    "sessions",
    "threads",
    "conversations",
    "chat_conversations",
    "conversation",
];

/// Conversation, thread or session that a path names.
pub(super) fn conversation(path: &str) -> Option<String> {
    let mut segments = path.split('/');
    segments.find(|segment| CONVERSATION_BEHIND.contains(segment))?;
    let name = decoded(segments.next()?)?;
    // A word of an API is no name.
    let counted = name.bytes().any(|b| b.is_ascii_digit()) || name.contains('_');
    identifier(&name).filter(|_| counted || path.contains("/agentAliases/"))
}

/// The verb behind the last colon of a path, if it is one.
fn verb(path: &str) -> Option<&str> {
    let (_, verb) = path.rsplit_once(':')?;
    let known = ["rawPredict", "streamRawPredict"];
    (VERBS.iter().any(|(name, _)| *name == verb) || known.contains(&verb)).then_some(verb)
}

/// Percent-encoding undone (RFC 3986 section 2.1), if that gives text.
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |b: Option<u8>| char::from(b?).to_digit(16);
            let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
            out.push(u8::try_from(high << 4 | low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// A path as it may be stored: known segments stay, others become `{name}`.
pub(super) fn template(path: &str) -> String {
    if is_grpc(path) {
        return path.to_owned();
    }
    let mut template = String::new();
    let mut before = "";
    for segment in path.split('/').filter(|segment| !segment.is_empty()).take(12) {
        template.push('/');
        let known = SEGMENTS.contains(&segment);
        template.push_str(match (known, before) {
            (_, "deployments") => "{deployment}",
            (_, "model") => "{model}",
            (true, _) => segment,
            (_, "projects") => "{project}",
            (_, "locations") => "{location}",
            (_, "models" | "tunedModels" | "engines" | "serving-endpoints" | "endpoints") => "{model}",
            _ => "{name}",
        });
        if let (false, Some(verb)) = (known, verb(segment)) {
            template.push(':');
            template.push_str(verb);
        }
        before = segment;
    }
    if template.is_empty() {
        "/".to_owned()
    } else {
        template
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_in_paths() {
        let cases = [
            (
                "/v1beta/models/gemini-2.5-flash:generateContent",
                Some("gemini-2.5-flash"),
            ),
            (
                "/v1/projects/p/locations/l/publishers/google/models/m%2F1:streamGenerateContent",
                Some("m/1"),
            ),
            (
                "/model/amazon.nova-lite-v1%3A0/converse",
                Some("amazon.nova-lite-v1:0"),
            ),
            (
                "/model/us.anthropic.claude-v1:0/invoke",
                Some("us.anthropic.claude-v1:0"),
            ),
            (
                "/model/arn%3Aaws%3Abedrock%3A%3Aprofile%2Fx/converse",
                Some("arn:aws:bedrock::profile/x"),
            ),
            ("/model/%ff/converse", None),
            ("/model/%2/converse", None),
            ("/models/chat/completions", None),
            ("/v1/models/meta/llama-3/predictions", Some("meta/llama-3")),
            ("/models/org/name", Some("org/name")),
            ("/v1/chat/completions", None),
            ("/v1/models/", None),
        ];
        for (path, want) in cases {
            assert_eq!(model(path).as_deref(), want, "{path}");
        }
        assert_eq!(model(&format!("/model/{}/invoke", "m".repeat(300))), None);
    }

    #[test]
    fn templates_hold_no_names() {
        let cases = [
            (
                "/v1beta/models/secret-1:generateContent",
                "/v1beta/models/{model}:generateContent",
            ),
            ("/model/secret/converse", "/model/{model}/converse"),
            ("/model/chat/converse", "/model/{model}/converse"),
            ("/v1/text-to-speech/secret", "/v1/text-to-speech/{name}"),
            ("/x/secret:other", "/{name}/{name}"),
        ];
        for (path, want) in cases {
            assert_eq!(template(path), want, "{path}");
        }
    }

    #[test]
    fn what_a_path_says_of_streams() {
        assert_eq!(asks_stream("/v1beta/models/m:streamGenerateContent"), Some(true));
        assert_eq!(asks_stream("/v1beta/models/m:generateContent"), Some(false));
        assert_eq!(asks_stream("/model/m/converse-stream"), Some(true));
        assert_eq!(asks_stream("/model/m/invoke"), Some(false));
        assert_eq!(asks_stream("/v1/chat/completions"), None);
    }

    #[test]
    fn verbs_of_bedrock_need_a_model() {
        assert_eq!(dialects("/converse").next(), None);
        assert_eq!(dialects("/api/tool/invoke").next(), None);
        assert_eq!(
            dialects("/model/m/converse").next(),
            Some((Dialect::BedrockConverse, Alone))
        );
    }
}
