//! Recognises AI exchanges: host, then path, then the shape of the request, then the shape of the response.

use super::rules::Mark;
use crate::exchange::Dialect;

/// Dialect of a request body with these marks. `anthropic` says that the head names an Anthropic API version.
pub(super) fn by_request(marks: u64, anthropic: bool) -> Option<Dialect> {
    let has = |mark: Mark| marks & mark as u64 != 0;
    if has(Mark::Parts) && has(Mark::Contents) {
        return Some(Dialect::GeminiGenerate);
    }
    if has(Mark::ConversationState) {
        return Some(Dialect::AmazonQ);
    }
    if has(Mark::Foreign) || has(Mark::WebChat) || has(Mark::JsonRpc) {
        return None;
    }
    // Where the model is in the path, the version stands in the body.
    if has(Mark::AnthropicVersion) && has(Mark::Messages) && has(Mark::MessageRole) {
        return Some(Dialect::AnthropicMessages);
    }
    if !has(Mark::Model) {
        return None;
    }
    if has(Mark::Messages) && has(Mark::MessageRole) {
        let messages_api = anthropic || has(Mark::InputSchema) || (has(Mark::System) && has(Mark::MaxTokens));
        return Some(if messages_api {
            Dialect::AnthropicMessages
        } else {
            Dialect::OpenAiChat
        });
    }
    if !has(Mark::Input) || has(Mark::Messages) {
        return None;
    }
    if has(Mark::Responses) || has(Mark::MessageRole) {
        return Some(Dialect::OpenAiResponses);
    }
    has(Mark::Embeddings).then_some(Dialect::OpenAiEmbeddings)
}

/// Whether a request body does not contradict the dialect its path names.
pub(super) fn agrees(dialect: Dialect, marks: u64) -> bool {
    let has = |mark: Mark| marks & mark as u64 != 0;
    let model = has(Mark::Model);
    match dialect {
        Dialect::OpenAiChat | Dialect::BedrockConverse => has(Mark::Messages),
        Dialect::AnthropicMessages => model && has(Mark::Messages) && has(Mark::MessageRole),
        Dialect::OpenAiResponses | Dialect::OpenAiModerations => model && has(Mark::Input),
        Dialect::OpenAiEmbeddings => model && (has(Mark::Input) || has(Mark::Inputs)),
        Dialect::OpenAiCompletions
        | Dialect::OpenAiImages
        | Dialect::AnthropicComplete
        | Dialect::AlephAlphaComplete
        | Dialect::OpenAiVideos
        | Dialect::CohereGenerate => model && has(Mark::Prompt),
        Dialect::OllamaEmbed => model && (has(Mark::Prompt) || has(Mark::Input)),
        Dialect::OllamaGenerate => model && has(Mark::Prompt),
        Dialect::OllamaChat | Dialect::CohereChat => model && has(Mark::Messages) && has(Mark::MessageRole),
        Dialect::CohereChatV1 => has(Mark::ChatMessage) && (model || has(Mark::History)),
        Dialect::CohereEmbed => model && (has(Mark::Texts) || has(Mark::Inputs)),
        Dialect::CountTokens => {
            let asks = [Mark::Messages, Mark::Input, Mark::Text, Mark::Prompt];
            has(Mark::Contents) || (model && asks.into_iter().any(has))
        }
        Dialect::OpenAiBatches | Dialect::AnthropicBatches => has(Mark::Batch),
        Dialect::OpenAiAssistants => model && (has(Mark::Tools) || has(Mark::Responses)),
        Dialect::OpenAiRuns => has(Mark::Assistant),
        Dialect::ChatGptWeb => has(Mark::WebChat),
        Dialect::ClaudeWeb => has(Mark::Prompt),
        Dialect::AmazonQ => has(Mark::ConversationState),
        Dialect::GeminiInteractions | Dialect::LmStudioChat => model && has(Mark::Input),
        Dialect::GeminiBatches => has(Mark::Batch),
        Dialect::DifyChat => has(Mark::Inputs) && has(Mark::ResponseMode),
        Dialect::DashScope => model && has(Mark::Input),
        Dialect::KserveInfer => has(Mark::Tensor) || has(Mark::Prompt),
        // Their heads and paths tell, not their keys.
        Dialect::Mcp
        | Dialect::A2a
        | Dialect::OpenAiFiles
        | Dialect::OpenAiThreads
        | Dialect::OpenAiVectorStores
        | Dialect::OpenAiRealtime
        | Dialect::GeminiLive
        | Dialect::GeminiWeb
        | Dialect::WebChat
        | Dialect::VertexAgent
        | Dialect::BedrockBidirectional
        | Dialect::Native
        | Dialect::SageMakerInvoke => false,
        Dialect::Rerank => {
            has(Mark::Query) && (has(Mark::Documents) || (model && (has(Mark::Texts) || has(Mark::Inputs))))
        }
        Dialect::GeminiGenerate | Dialect::GeminiEmbed => has(Mark::Contents),
        Dialect::HfInference => has(Mark::Inputs),
        Dialect::WatsonxGeneration => model && has(Mark::Input),
        Dialect::ReplicatePredictions => has(Mark::Input) && !has(Mark::Messages),
        Dialect::ElevenLabsSpeech | Dialect::DeepgramSpeak => has(Mark::Text),
        Dialect::MistralOcr => model && has(Mark::Document),
        Dialect::GeminiImages | Dialect::GeminiVideos => has(Mark::Prompt),
        Dialect::DeepgramListen => has(Mark::Url),
        Dialect::BedrockAgent => has(Mark::Texts),
        Dialect::LlamaCppCompletion => has(Mark::Prompt) && has(Mark::Predict),
        Dialect::MistralConversations => has(Mark::Inputs),
        Dialect::OpenAiSpeech => model && has(Mark::Input),
        Dialect::OpenAiTranscriptions
        | Dialect::GrpcChat
        | Dialect::GrpcGenerate
        | Dialect::GrpcEmbeddings => false,
        Dialect::BedrockInvokeChat | Dialect::BedrockInvokeText | Dialect::BedrockInvokeEmbed => true,
    }
}

/// As [`agrees`], on a host that the catalogue knows and that this path belongs to: a model may be left out there, since
/// the service has one that it takes then.
pub(super) fn agrees_at_home(dialect: Dialect, marks: u64) -> bool {
    let asks = match dialect {
        Dialect::CohereChatV1 => marks & Mark::ChatMessage as u64 != 0,
        _ => false,
    };
    asks || agrees(dialect, marks | Mark::Model as u64)
}

/// The dialect spoken behind `invoke`, which takes the shape of the model's maker.
pub(super) fn invoked(model: &str, marks: u64) -> Dialect {
    let has = |mark: Mark| marks & mark as u64 != 0;
    if has(Mark::AnthropicVersion) && has(Mark::Messages) {
        Dialect::AnthropicMessages
    } else if model.contains("embed") {
        Dialect::BedrockInvokeEmbed
    } else if model.contains("rerank") {
        Dialect::Rerank
    } else if has(Mark::Messages) {
        Dialect::BedrockInvokeChat
    } else {
        Dialect::BedrockInvokeText
    }
}

/// Dialect of a response body: its `object` and `type`, its marks, whether it names a model and
/// whether it lists embeddings.
pub(super) fn by_response(
    object: Option<&str>,
    kind: Option<&str>,
    marks: u64,
    model: bool,
    embeddings: bool,
) -> Option<Dialect> {
    let has = |mark: Mark| marks & mark as u64 != 0;
    let usage = has(Mark::Usage);
    match (object, kind) {
        (Some("chat.completion" | "chat.completion.chunk"), _) => Some(Dialect::OpenAiChat),
        (Some("response"), _) => Some(Dialect::OpenAiResponses),
        (Some("realtime.response"), _) => Some(Dialect::OpenAiRealtime),
        (Some("thread.run"), _) => Some(Dialect::OpenAiRuns),
        (Some("text_completion" | "text.completion"), _) => Some(Dialect::OpenAiCompletions),
        (Some("list"), _) if embeddings => Some(Dialect::OpenAiEmbeddings),
        (None, Some("message" | "message_start" | "message_delta" | "message_stop")) if usage => {
            Some(Dialect::AnthropicMessages)
        }
        _ if has(Mark::Candidates) && has(Mark::UsageMetadata) => Some(Dialect::GeminiGenerate),
        _ if has(Mark::Evaluated) => Some(Dialect::LlamaCppCompletion),
        _ if model && has(Mark::CreatedAt) && has(Mark::Done) => Some(match has(Mark::ResponseText) {
            true => Dialect::OllamaGenerate,
            false => Dialect::OllamaChat,
        }),
        _ => None,
    }
}
