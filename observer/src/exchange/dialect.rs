//! Words of an exchange: the API shape that it has, and how that was seen.

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
