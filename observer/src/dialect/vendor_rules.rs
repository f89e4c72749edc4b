//! What stands where in the dialects of other vendors than OpenAI and Anthropic. Same tables as `rules`.

use super::TextRole::{Answer, Prompt, System, ToolArguments, ToolResult};
use super::rules::{Fact, Mark, Slot};

pub(super) const REQUEST: &[(&str, Slot)] = &[
    // Ollama.
    ("$.messages[*].thinking", Slot::Text(Prompt)),
    ("$.messages[*].images[*]", Slot::Media),
    ("$.images[*]", Slot::Media),
    ("$.suffix", Slot::Text(Prompt)),
    ("$.prompt[*]", Slot::Text(Prompt)),
    // Cohere.
    ("$.message", Slot::Text(Prompt)),
    ("$.preamble", Slot::Text(System)),
    ("$.chat_history[*].message", Slot::Text(Prompt)),
    ("$.documents", Slot::Tree(Prompt)),
    ("$.tool_results", Slot::Tree(ToolResult)),
    ("$.texts[*]", Slot::Text(Prompt)),
    ("$.query", Slot::Text(Prompt)),
    // Bedrock: converse, and the models' own shapes.
    (
        "$.messages[*].content[*].toolUse.input",
        Slot::Tree(ToolArguments),
    ),
    (
        "$.messages[*].content[*].toolResult.content[*].text",
        Slot::Text(ToolResult),
    ),
    (
        "$.messages[*].content[*].toolResult.content[*].json",
        Slot::Tree(ToolResult),
    ),
    (
        "$.messages[*].content[*].toolUse.toolUseId",
        Slot::Fact(Fact::CallId),
    ),
    (
        "$.messages[*].content[*].toolUse.name",
        Slot::Fact(Fact::ItemName),
    ),
    (
        "$.messages[*].content[*].toolResult.toolUseId",
        Slot::Fact(Fact::AnswersId),
    ),
    // Ollama.
    ("$.messages[*].tool_name", Slot::Fact(Fact::ItemName)),
    ("$.inputText", Slot::Text(Prompt)),
    // Hugging Face, watsonx, ElevenLabs, Replicate.
    ("$.inputs", Slot::Tree(Prompt)),
    ("$.text", Slot::Text(Prompt)),
    ("$.model_id", Slot::Fact(Fact::Model)),
    ("$.version", Slot::Fact(Fact::Version)),
    ("$.input.prompt", Slot::Text(Prompt)),
    ("$.input.system_prompt", Slot::Text(System)),
    // Documents and media.
    ("$.document.document_url", Slot::Media),
    ("$.document.image_url", Slot::Media),
    ("$.document.image_url.url", Slot::Media),
    ("$.url", Slot::Media),
    ("$.audio_url", Slot::Media),
    ("$.model_name", Slot::Fact(Fact::Model)),
    ("$.instances[*].prompt", Slot::Text(Prompt)),
    // Aleph Alpha: a prompt of parts.
    ("$.prompt[*].data", Slot::Media),
    // llama.cpp.
    ("$.input_prefix", Slot::Text(Prompt)),
    ("$.input_suffix", Slot::Text(Prompt)),
    // Gemini embeddings.
    ("$.content.parts[*].text", Slot::Text(Prompt)),
    ("$.requests[*].content.parts[*].text", Slot::Text(Prompt)),
    ("$.instances[*].content", Slot::Text(Prompt)),
    // Gemini interactions and batches.
    ("$.previous_interaction_id", Slot::Fact(Fact::Previous)),
    ("$.system_instruction", Slot::Text(System)),
    (
        "$.batch.input_config.requests.requests[*].request.contents[*].parts[*].text",
        Slot::Text(Prompt),
    ),
    (
        "$.batch.inputConfig.requests.requests[*].request.contents[*].parts[*].text",
        Slot::Text(Prompt),
    ),
    // DashScope; Perplexity's jobs.
    ("$.input.messages[*].content", Slot::Text(Prompt)),
    ("$.input.messages[*].content[*].text", Slot::Text(Prompt)),
    ("$.input.texts[*]", Slot::Text(Prompt)),
    ("$.input.query", Slot::Text(Prompt)),
    ("$.input.documents", Slot::Tree(Prompt)),
    ("$.request.model", Slot::Fact(Fact::Model)),
    ("$.request.messages[*].content", Slot::Text(Prompt)),
    // Dify.
    ("$.response_mode", Slot::Fact(Fact::ResponseMode)),
    // Agents, knowledge bases and speech of Bedrock; agents of Vertex.
    ("$.foundationModel", Slot::Fact(Fact::Model)),
    ("$.sessionId", Slot::Fact(Fact::Conversation)),
    ("$.instruction", Slot::Text(System)),
    ("$.input.text", Slot::Text(Prompt)),
    ("$.retrievalQuery.text", Slot::Text(Prompt)),
    ("$.event.textInput.content", Slot::Text(Prompt)),
    ("$.event.audioInput.content", Slot::Media),
    ("$.event.toolResult.content", Slot::Text(ToolResult)),
    ("$.input.message", Slot::Text(Prompt)),
    ("$.input.session_id", Slot::Fact(Fact::Conversation)),
    // Rerankers of NVIDIA; services with a form of their own.
    ("$.query.text", Slot::Text(Prompt)),
    ("$.passages[*].text", Slot::Text(Prompt)),
    ("$.text_prompts[*].text", Slot::Text(Prompt)),
    ("$.promptText", Slot::Text(Prompt)),
    ("$.transcript", Slot::Text(Prompt)),
];

/// Where a request of Gemini stands: at the top, or wrapped (Code Assist, counting tokens).
const GEMINI_REQUEST_AT: &[&str] = &["$", "$.request", "$.generateContentRequest"];
const GEMINI_REQUEST: &[(&str, Slot)] = &[
    ("contents[*].parts[*].text", Slot::Text(Prompt)),
    (
        "contents[*].parts[*].functionCall.args",
        Slot::Tree(ToolArguments),
    ),
    (
        "contents[*].parts[*].functionResponse.response",
        Slot::Tree(ToolResult),
    ),
    (
        "contents[*].parts[*].function_response.response",
        Slot::Tree(ToolResult),
    ),
    (
        "contents[*].parts[*].functionResponse.name",
        Slot::Fact(Fact::ItemName),
    ),
    (
        "contents[*].parts[*].function_response.name",
        Slot::Fact(Fact::ItemName),
    ),
    ("systemInstruction.parts[*].text", Slot::Text(System)),
    ("system_instruction.parts[*].text", Slot::Text(System)),
];

/// Where an answer of Gemini stands.
const GEMINI_RESPONSE_AT: &[&str] = &["$", "$.response"];
const GEMINI_RESPONSE: &[(&str, Slot)] = &[
    ("candidates[*]", Slot::Choice),
    ("candidates[*].index", Slot::Fact(Fact::ChoiceIndex)),
    ("candidates[*].finishReason", Slot::Fact(Fact::Finish)),
    ("candidates[*].content.parts[*].text", Slot::Delta(Answer)),
    (
        "candidates[*].content.parts[*].functionCall.name",
        Slot::Fact(Fact::ToolName),
    ),
    (
        "candidates[*].content.parts[*].functionCall.args",
        Slot::Tree(ToolArguments),
    ),
    ("promptFeedback.blockReason", Slot::Fact(Fact::Finish)),
    ("modelVersion", Slot::Fact(Fact::Model)),
    ("responseId", Slot::Fact(Fact::Id)),
    ("usageMetadata.promptTokenCount", Slot::Fact(Fact::Input)),
    ("usageMetadata.candidatesTokenCount", Slot::Fact(Fact::Output)),
    (
        "usageMetadata.cachedContentTokenCount",
        Slot::Fact(Fact::CacheRead),
    ),
    ("usageMetadata.thoughtsTokenCount", Slot::Fact(Fact::Reasoning)),
    (
        "usageMetadata.promptTokensDetails[*].modality",
        Slot::Fact(Fact::Modality),
    ),
    (
        "usageMetadata.promptTokensDetails[*].tokenCount",
        Slot::Fact(Fact::ModalityInput),
    ),
    (
        "usageMetadata.candidatesTokensDetails[*].modality",
        Slot::Fact(Fact::Modality),
    ),
    (
        "usageMetadata.candidatesTokensDetails[*].tokenCount",
        Slot::Fact(Fact::ModalityOutput),
    ),
    // Live sessions.
    (
        "usageMetadata.responseTokensDetails[*].modality",
        Slot::Fact(Fact::Modality),
    ),
    (
        "usageMetadata.responseTokensDetails[*].tokenCount",
        Slot::Fact(Fact::ModalityOutput),
    ),
];

pub(super) const RESPONSE: &[(&str, Slot)] = &[
    ("$.error.status", Slot::Fact(Fact::ErrorType)),
    ("$.error_type", Slot::Fact(Fact::ErrorType)),
    // Completions.
    ("$.choices[*].text", Slot::Delta(Answer)),
    ("$.data[*].revised_prompt", Slot::Text(Answer)),
    ("$.completion", Slot::Delta(Answer)),
    // Ollama.
    ("$.message.content", Slot::Delta(Answer)),
    ("$.message.thinking", Slot::Delta(Answer)),
    (
        "$.message.tool_calls[*].function.name",
        Slot::Fact(Fact::ToolName),
    ),
    (
        "$.message.tool_calls[*].function.arguments",
        Slot::Tree(ToolArguments),
    ),
    ("$.response", Slot::Delta(Answer)),
    ("$.thinking", Slot::Delta(Answer)),
    ("$.done_reason", Slot::Fact(Fact::Finish)),
    ("$.prompt_eval_count", Slot::Fact(Fact::Input)),
    ("$.eval_count", Slot::Fact(Fact::Output)),
    // Cohere, version 2.
    ("$.finish_reason", Slot::Fact(Fact::Finish)),
    ("$.delta.finish_reason", Slot::Fact(Fact::Finish)),
    ("$.message.content[*].text", Slot::Text(Answer)),
    ("$.message.content[*].thinking", Slot::Text(Answer)),
    ("$.message.tool_plan", Slot::Text(Answer)),
    ("$.delta.message.content.text", Slot::Delta(Answer)),
    ("$.delta.message.content.thinking", Slot::Delta(Answer)),
    ("$.delta.message.tool_plan", Slot::Delta(Answer)),
    (
        "$.delta.message.tool_calls.function.name",
        Slot::Fact(Fact::ToolName),
    ),
    (
        "$.delta.message.tool_calls.function.arguments",
        Slot::Delta(ToolArguments),
    ),
    // Cohere, version 1.
    ("$.generation_id", Slot::Fact(Fact::Id)),
    ("$.tool_calls[*].name", Slot::Fact(Fact::ToolName)),
    ("$.tool_calls[*].parameters", Slot::Tree(ToolArguments)),
    ("$.generations[*].text", Slot::Text(Answer)),
    ("$.generations[*].finish_reason", Slot::Fact(Fact::Finish)),
    ("$.chat_history", Slot::Echo),
    ("$.prompt", Slot::Echo),
    ("$.texts", Slot::Echo),
    ("$.response.text", Slot::Repeat(Answer)),
    ("$.response.generations[*].text", Slot::Repeat(Answer)),
    ("$.response.chat_history", Slot::Echo),
    ("$.response.prompt", Slot::Echo),
    // Bedrock converse, plain and streamed.
    ("$.output.message.content[*].text", Slot::Text(Answer)),
    (
        "$.output.message.content[*].reasoningContent.reasoningText.text",
        Slot::Text(Answer),
    ),
    (
        "$.output.message.content[*].toolUse.name",
        Slot::Fact(Fact::ToolName),
    ),
    (
        "$.output.message.content[*].toolUse.input",
        Slot::Tree(ToolArguments),
    ),
    ("$.stopReason", Slot::Fact(Fact::Finish)),
    ("$.contentBlockIndex", Slot::Fact(Fact::OuterIndex)),
    ("$.start.toolUse.name", Slot::Fact(Fact::ToolName)),
    ("$.delta.toolUse.input", Slot::Delta(ToolArguments)),
    ("$.delta.reasoningContent.text", Slot::Delta(Answer)),
    // Padding against traffic analysis.
    ("$.p", Slot::Echo),
    // Bedrock invoke: Titan, Nova, Llama, Mistral, AI21.
    ("$.outputText", Slot::Delta(Answer)),
    ("$.results[*].outputText", Slot::Delta(Answer)),
    ("$.completionReason", Slot::Fact(Fact::Finish)),
    ("$.results[*].completionReason", Slot::Fact(Fact::Finish)),
    ("$.inputTextTokenCount", Slot::Fact(Fact::Input)),
    ("$.totalOutputTextTokenCount", Slot::Fact(Fact::Output)),
    ("$.results[*].tokenCount", Slot::Fact(Fact::Output)),
    (
        "$.contentBlockDelta.contentBlockIndex",
        Slot::Fact(Fact::OuterIndex),
    ),
    ("$.contentBlockDelta.delta.text", Slot::Delta(Answer)),
    (
        "$.contentBlockDelta.delta.toolUse.input",
        Slot::Delta(ToolArguments),
    ),
    (
        "$.contentBlockStart.start.toolUse.name",
        Slot::Fact(Fact::ToolName),
    ),
    ("$.messageStop.stopReason", Slot::Fact(Fact::Finish)),
    ("$.generation", Slot::Delta(Answer)),
    ("$.prompt_token_count", Slot::Fact(Fact::Input)),
    ("$.generation_token_count", Slot::Fact(Fact::Output)),
    ("$.outputs[*].text", Slot::Delta(Answer)),
    ("$.outputs[*].stop_reason", Slot::Fact(Fact::Finish)),
    ("$.completions[*].data.text", Slot::Text(Answer)),
    ("$.completions[*].finishReason.reason", Slot::Fact(Fact::Finish)),
    (
        "$.amazon-bedrock-invocationMetrics.inputTokenCount",
        Slot::Fact(Fact::Input),
    ),
    (
        "$.amazon-bedrock-invocationMetrics.outputTokenCount",
        Slot::Fact(Fact::Output),
    ),
    // Aleph Alpha, llama.cpp.
    ("$.completions[*].completion", Slot::Delta(Answer)),
    ("$.completions[*].finish_reason", Slot::Fact(Fact::Finish)),
    ("$.num_tokens_prompt_total", Slot::Fact(Fact::Input)),
    ("$.num_tokens_generated", Slot::Fact(Fact::Output)),
    ("$.content", Slot::Delta(Answer)),
    ("$.stop_type", Slot::Fact(Fact::Finish)),
    ("$.tokens_evaluated", Slot::Fact(Fact::Input)),
    ("$.tokens_predicted", Slot::Fact(Fact::Output)),
    // Documents and speech as text.
    ("$.pages[*].markdown", Slot::Text(Answer)),
    (
        "$.results.channels[*].alternatives[*].transcript",
        Slot::Text(Answer),
    ),
    // Cloudflare.
    ("$.result.response", Slot::Text(Answer)),
    // Mistral conversations.
    ("$.outputs[*].content", Slot::Text(Answer)),
    ("$.outputs[*].model", Slot::Fact(Fact::Model)),
    // Hugging Face, watsonx, Replicate.
    ("$.generated_text", Slot::Repeat(Answer)),
    ("$.token.text", Slot::Delta(Answer)),
    ("$.details.finish_reason", Slot::Fact(Fact::Finish)),
    ("$.details.generated_tokens", Slot::Fact(Fact::Output)),
    ("$.details.input_length", Slot::Fact(Fact::Input)),
    ("$.model_id", Slot::Fact(Fact::Model)),
    ("$.results[*].generated_text", Slot::Delta(Answer)),
    ("$.results[*].stop_reason", Slot::Fact(Fact::Finish)),
    ("$.results[*].input_token_count", Slot::Fact(Fact::LargestInput)),
    ("$.results[*].generated_token_count", Slot::Fact(Fact::Output)),
    ("$.output", Slot::Text(Answer)),
    ("$.output[*]", Slot::Text(Answer)),
    ("$.metrics.input_token_count", Slot::Fact(Fact::Input)),
    ("$.metrics.output_token_count", Slot::Fact(Fact::Output)),
    // Gemini interactions.
    ("$.interaction.id", Slot::Fact(Fact::Id)),
    ("$.interaction.model", Slot::Fact(Fact::Model)),
    ("$.interaction.status", Slot::Fact(Fact::Status)),
    ("$.interaction.usage.total_tokens", Slot::Fact(Fact::Total)),
    // DashScope: pieces, or the whole text so far in each event.
    ("$.output.text", Slot::SoFar(Answer)),
    ("$.output.finish_reason", Slot::Fact(Fact::Finish)),
    ("$.output.choices[*].finish_reason", Slot::Fact(Fact::Finish)),
    ("$.output.choices[*].message.content", Slot::SoFar(Answer)),
    ("$.output.choices[*].message.content[*].text", Slot::SoFar(Answer)),
    (
        "$.output.choices[*].message.reasoning_content",
        Slot::SoFar(Answer),
    ),
    ("$.output.choices[*].message.tool_calls[*]", Slot::ToolCall),
    (
        "$.output.choices[*].message.tool_calls[*].index",
        Slot::Fact(Fact::ToolIndex),
    ),
    (
        "$.output.choices[*].message.tool_calls[*].function.name",
        Slot::Fact(Fact::ToolName),
    ),
    (
        "$.output.choices[*].message.tool_calls[*].function.arguments",
        Slot::Delta(ToolArguments),
    ),
    // LM Studio.
    ("$.output[*].content", Slot::Text(Answer)),
    ("$.response_id", Slot::Fact(Fact::OtherId)),
    ("$.model_instance_id", Slot::Fact(Fact::Model)),
    ("$.stats.input_tokens", Slot::Fact(Fact::Input)),
    ("$.stats.total_output_tokens", Slot::Fact(Fact::Output)),
    ("$.stats.reasoning_output_tokens", Slot::Fact(Fact::Reasoning)),
    ("$.result.response_id", Slot::Fact(Fact::OtherId)),
    ("$.result.model_instance_id", Slot::Fact(Fact::Model)),
    ("$.result.stats.input_tokens", Slot::Fact(Fact::Input)),
    ("$.result.stats.total_output_tokens", Slot::Fact(Fact::Output)),
    (
        "$.result.stats.reasoning_output_tokens",
        Slot::Fact(Fact::Reasoning),
    ),
    // Dify.
    ("$.answer", Slot::Delta(Answer)),
    ("$.message_id", Slot::Fact(Fact::Id)),
    ("$.metadata.usage.prompt_tokens", Slot::Fact(Fact::Input)),
    ("$.metadata.usage.completion_tokens", Slot::Fact(Fact::Output)),
    // Knowledge bases and speech of Bedrock; agents of Vertex.
    ("$.sessionId", Slot::Fact(Fact::Conversation)),
    ("$.retrievalResults[*].content.text", Slot::Text(ToolResult)),
    (
        "$.event.completionStart.sessionId",
        Slot::Fact(Fact::Conversation),
    ),
    ("$.event.textOutput.content", Slot::Delta(Answer)),
    ("$.event.audioOutput.content", Slot::Media),
    ("$.event.toolUse.toolName", Slot::Fact(Fact::ToolName)),
    ("$.event.toolUse.content", Slot::Tree(ToolArguments)),
    ("$.event.completionEnd.stopReason", Slot::Fact(Fact::Finish)),
    ("$.event.usageEvent.totalInputTokens", Slot::Fact(Fact::Input)),
    ("$.event.usageEvent.totalOutputTokens", Slot::Fact(Fact::Output)),
    (
        "$.event.usageEvent.details.total.input.speechTokens",
        Slot::Fact(Fact::InputAudio),
    ),
    (
        "$.event.usageEvent.details.total.output.speechTokens",
        Slot::Fact(Fact::OutputAudio),
    ),
    ("$.content.parts[*].text", Slot::Text(Answer)),
    // Speech that is heard, piece by piece.
    ("$.channel.alternatives[*].transcript", Slot::Text(Answer)),
];

/// Where usage objects stand besides OpenAI's and Anthropic's, and what their members are.
pub(super) const USAGE_AT: &[&str] = &[
    "$.delta.usage",
    "$.meta",
    "$.response.meta",
    "$.metadata.usage",
    "$.contentBlockDelta.usage",
    "$.interaction.usage",
];
pub(super) const USAGE: &[(&str, Fact)] = &[
    ("tokens.input_tokens", Fact::Input),
    ("tokens.output_tokens", Fact::Output),
    ("tokens.reasoning_tokens", Fact::Reasoning),
    ("billed_units.input_tokens", Fact::BilledInput),
    ("billed_units.output_tokens", Fact::BilledOutput),
    ("cached_tokens", Fact::CacheRead),
    // Gemini's interactions.
    ("total_input_tokens", Fact::Input),
    ("total_output_tokens", Fact::Output),
    ("total_cached_tokens", Fact::CacheRead),
    ("total_thought_tokens", Fact::Reasoning),
    ("total_reasoning_tokens", Fact::Reasoning),
    ("promptTokens", Fact::Input),
    ("completionTokens", Fact::Output),
    ("inputTokens", Fact::Input),
    ("outputTokens", Fact::Output),
    ("cacheReadInputTokens", Fact::CacheRead),
    ("cacheWriteInputTokens", Fact::CacheCreation),
    ("cacheReadInputTokenCount", Fact::CacheRead),
    ("cacheWriteInputTokenCount", Fact::CacheCreation),
];

pub(super) const REQUEST_MARKS: &[(&str, Mark)] = &[
    ("$.prompt", Mark::Prompt),
    ("$.contents", Mark::Contents),
    ("$.request.contents", Mark::Contents),
    ("$.generateContentRequest", Mark::Contents),
    ("$.content", Mark::Contents),
    ("$.requests", Mark::Contents),
    ("$.instances[*].content", Mark::Contents),
    ("$.contents[*].parts", Mark::Parts),
    ("$.message", Mark::ChatMessage),
    ("$.chat_history", Mark::History),
    ("$.query", Mark::Query),
    ("$.documents", Mark::Documents),
    ("$.texts", Mark::Texts),
    ("$.images", Mark::Texts),
    ("$.inputs", Mark::Inputs),
    ("$.inputText", Mark::Texts),
    ("$.text", Mark::Text),
    ("$.model_id", Mark::Model),
    ("$.version", Mark::Version),
    ("$.model_name", Mark::Model),
    ("$.instances[*].prompt", Mark::Prompt),
    ("$.document", Mark::Document),
    ("$.url", Mark::Url),
    ("$.audio_url", Mark::Url),
    ("$.n_predict", Mark::Predict),
    ("$.input_prefix", Mark::Predict),
    ("$.batch", Mark::Batch),
    ("$.batch_requests", Mark::Batch),
    ("$.response_mode", Mark::ResponseMode),
    ("$.request.model", Mark::Model),
    ("$.request.messages", Mark::Messages),
    ("$.passages", Mark::Documents),
    ("$.input.prompt", Mark::Prompt),
    ("$.text_prompts", Mark::Prompt),
    ("$.promptText", Mark::Prompt),
    ("$.transcript", Mark::Text),
    ("$.source_config", Mark::Url),
    ("$.tool_results[*]", Mark::Item),
    ("$.messages[*].content[*].toolResult", Mark::Item),
];
/// As `REQUEST_MARKS`, at each place of a request of Gemini.
const GEMINI_REQUEST_MARKS: &[(&str, Mark)] = &[
    ("contents[*].parts[*].functionResponse", Mark::Item),
    ("contents[*].parts[*].function_response", Mark::Item),
];

pub(super) const RESPONSE_MARKS: &[(&str, Mark)] = &[
    ("$.candidates", Mark::Candidates),
    ("$.promptFeedback", Mark::Candidates),
    ("$.usageMetadata", Mark::UsageMetadata),
    ("$.created_at", Mark::CreatedAt),
    ("$.done", Mark::Done),
    ("$.response", Mark::ResponseText),
    ("$.tokens_evaluated", Mark::Evaluated),
    ("$.message.tool_calls[*]", Mark::Item),
    ("$.tool_calls[*]", Mark::Item),
    ("$.output.message.content[*].toolUse", Mark::Item),
    ("$.event.toolUse", Mark::Item),
    ("$.response.tool_calls[*]", Mark::RepeatedItem),
];
/// As `RESPONSE_MARKS`, at each place of an answer of Gemini.
const GEMINI_RESPONSE_MARKS: &[(&str, Mark)] = &[("candidates[*].content.parts[*].functionCall", Mark::Item)];

/// The rules that stand at more than one place, spelled out.
pub(super) fn request() -> impl Iterator<Item = (&'static str, Slot)> {
    REQUEST
        .iter()
        .copied()
        .chain(at_each(GEMINI_REQUEST_AT, GEMINI_REQUEST))
}

/// As `request`.
pub(super) fn response() -> impl Iterator<Item = (&'static str, Slot)> {
    RESPONSE
        .iter()
        .copied()
        .chain(at_each(GEMINI_RESPONSE_AT, GEMINI_RESPONSE))
}

/// Marks that stand at more than one place, spelled out.
pub(super) fn request_marks() -> impl Iterator<Item = (&'static str, Mark)> {
    let gemini = at_each(GEMINI_REQUEST_AT, GEMINI_REQUEST_MARKS);
    REQUEST_MARKS.iter().copied().chain(gemini)
}

/// As `request_marks`.
pub(super) fn response_marks() -> impl Iterator<Item = (&'static str, Mark)> {
    let gemini = at_each(GEMINI_RESPONSE_AT, GEMINI_RESPONSE_MARKS);
    RESPONSE_MARKS.iter().copied().chain(gemini)
}

/// Members at each of some places. Leaked once per process: the static tables want static text.
pub(super) fn at_each<T: Copy>(
    at: &'static [&'static str],
    members: &'static [(&'static str, T)],
) -> impl Iterator<Item = (&'static str, T)> {
    at.iter().flat_map(move |at| {
        members.iter().map(move |(member, value)| {
            let path: &'static str = Box::leak(format!("{at}.{member}").into_boxed_str());
            (path, *value)
        })
    })
}
