//! What stands where in the dialects of agents, tools, web applications and inference servers. Same tables as `rules`.

use super::TextRole::{Answer, Prompt, System, ToolArguments, ToolResult};
use super::rules::{Fact, Mark, Slot};

pub(super) const REQUEST: &[(&str, Slot)] = &[
    // JSON-RPC, MCP.
    ("$.method", Slot::Fact(Fact::Method)),
    ("$.params.name", Slot::Fact(Fact::Called)),
    ("$.params.arguments", Slot::Tree(ToolArguments)),
    ("$.params.protocolVersion", Slot::Fact(Fact::ProtocolVersion)),
    ("$.params.clientInfo.name", Slot::Fact(Fact::ProductName)),
    ("$.params.clientInfo.version", Slot::Fact(Fact::ProductVersion)),
    // From 2026-07-28 on each message says it anew.
    (
        "$.params._meta.io.modelcontextprotocol/protocolVersion",
        Slot::Fact(Fact::ProtocolVersion),
    ),
    (
        "$.params._meta.io.modelcontextprotocol/clientInfo.name",
        Slot::Fact(Fact::ProductName),
    ),
    (
        "$.params._meta.io.modelcontextprotocol/clientInfo.version",
        Slot::Fact(Fact::ProductVersion),
    ),
    ("$.params.systemPrompt", Slot::Text(System)),
    ("$.params.messages[*].content.text", Slot::Text(Prompt)),
    ("$.result.content.text", Slot::Text(Answer)),
    ("$.result.model", Slot::Fact(Fact::Model)),
    // A2A.
    ("$.params.message.parts[*].text", Slot::Text(Prompt)),
    ("$.params.message.parts[*].data", Slot::Tree(Prompt)),
    ("$.params.message.parts[*].file.bytes", Slot::Media),
    ("$.params.message.contextId", Slot::Fact(Fact::Conversation)),
    ("$.message.parts[*].text", Slot::Text(Prompt)),
    ("$.message.content[*].text", Slot::Text(Prompt)),
    ("$.message.contextId", Slot::Fact(Fact::Conversation)),
    // Assistants, threads, runs, vector stores, batches.
    ("$.assistant_id", Slot::Word),
    ("$.additional_instructions", Slot::Text(System)),
    ("$.additional_messages[*].content", Slot::Text(Prompt)),
    ("$.additional_messages[*].content[*].text", Slot::Text(Prompt)),
    ("$.thread.messages[*].content", Slot::Text(Prompt)),
    ("$.thread.messages[*].content[*].text", Slot::Text(Prompt)),
    ("$.content", Slot::Text(Prompt)),
    ("$.content[*].text", Slot::Text(Prompt)),
    ("$.tool_outputs[*].output", Slot::Text(ToolResult)),
    ("$.tool_outputs[*].tool_call_id", Slot::Fact(Fact::AnswersId)),
    ("$.requests[*].params.model", Slot::Fact(Fact::Model)),
    ("$.requests[*].params.system", Slot::Text(System)),
    ("$.requests[*].params.messages[*].content", Slot::Text(Prompt)),
    (
        "$.requests[*].params.messages[*].content[*].text",
        Slot::Text(Prompt),
    ),
    ("$.endpoint", Slot::Word),
    // ChatGPT, Claude and others in the browser.
    ("$.messages[*].author.role", Slot::Fact(Fact::Role)),
    ("$.messages[*].content.parts[*]", Slot::Text(Prompt)),
    ("$.attachments[*].extracted_content", Slot::Text(Prompt)),
    ("$.query_str", Slot::Text(Prompt)),
    ("$.chat_session_id", Slot::Fact(Fact::Conversation)),
    ("$.modelName", Slot::Fact(Fact::Model)),
    ("$.model_slug", Slot::Fact(Fact::Model)),
    // Amazon Q, Kiro.
    (
        "$.conversationState.conversationId",
        Slot::Fact(Fact::Conversation),
    ),
    (
        "$.conversationState.currentMessage.userInputMessage.content",
        Slot::Text(Prompt),
    ),
    (
        "$.conversationState.currentMessage.userInputMessage.modelId",
        Slot::Fact(Fact::Model),
    ),
    ("$.conversationState.history", Slot::Tree(Prompt)),
    // KServe, Triton.
    ("$.text_input", Slot::Text(Prompt)),
    ("$.text_1", Slot::Text(Prompt)),
    ("$.text_2", Slot::Tree(Prompt)),
    // Realtime over a WebSocket: OpenAI, Gemini.
    ("$.session.model", Slot::Fact(Fact::Model)),
    ("$.session.instructions", Slot::Text(System)),
    ("$.item.content[*].text", Slot::Text(Prompt)),
    ("$.item.output", Slot::Text(ToolResult)),
    ("$.audio", Slot::Media),
    ("$.setup.model", Slot::Fact(Fact::Model)),
    ("$.setup.systemInstruction.parts[*].text", Slot::Text(System)),
    ("$.clientContent.turns[*].parts[*].text", Slot::Text(Prompt)),
    ("$.realtimeInput.text", Slot::Text(Prompt)),
    (
        "$.toolResponse.functionResponses[*].response",
        Slot::Tree(ToolResult),
    ),
    (
        "$.toolResponse.functionResponses[*].name",
        Slot::Fact(Fact::ItemName),
    ),
];

pub(super) const RESPONSE: &[(&str, Slot)] = &[
    // JSON-RPC, MCP.
    ("$.method", Slot::Fact(Fact::Method)),
    ("$.result.protocolVersion", Slot::Fact(Fact::ProtocolVersion)),
    ("$.result.serverInfo.name", Slot::Fact(Fact::ProductName)),
    ("$.result.serverInfo.version", Slot::Fact(Fact::ProductVersion)),
    (
        "$.result._meta.io.modelcontextprotocol/serverInfo.name",
        Slot::Fact(Fact::ProductName),
    ),
    (
        "$.result._meta.io.modelcontextprotocol/serverInfo.version",
        Slot::Fact(Fact::ProductVersion),
    ),
    ("$.result.content[*].text", Slot::Text(ToolResult)),
    ("$.result.structuredContent", Slot::Tree(ToolResult)),
    ("$.result.isError", Slot::Fact(Fact::ToolFailed)),
    ("$.result.contents[*].text", Slot::Text(ToolResult)),
    ("$.result.contents[*].blob", Slot::Media),
    ("$.result.messages[*].content.text", Slot::Text(ToolResult)),
    ("$.params.messages[*].content.text", Slot::Text(Prompt)),
    ("$.params.systemPrompt", Slot::Text(System)),
    // A2A.
    ("$.result.id", Slot::Fact(Fact::Task)),
    ("$.result.taskId", Slot::Fact(Fact::Task)),
    ("$.result.task.id", Slot::Fact(Fact::Task)),
    ("$.result.contextId", Slot::Fact(Fact::Conversation)),
    ("$.result.task.contextId", Slot::Fact(Fact::Conversation)),
    ("$.result.status.state", Slot::Fact(Fact::Finish)),
    ("$.result.task.status.state", Slot::Fact(Fact::Finish)),
    ("$.result.parts[*].text", Slot::Text(Answer)),
    ("$.result.message.parts[*].text", Slot::Text(Answer)),
    ("$.result.status.message.parts[*].text", Slot::Text(Answer)),
    ("$.result.artifact.parts[*].text", Slot::Text(Answer)),
    ("$.result.artifacts[*].parts[*].text", Slot::Text(Answer)),
    ("$.result.task.artifacts[*].parts[*].text", Slot::Text(Answer)),
    ("$.task.artifacts[*].parts[*].text", Slot::Text(Answer)),
    ("$.task.id", Slot::Fact(Fact::Task)),
    ("$.task.contextId", Slot::Fact(Fact::Conversation)),
    ("$.task.status.state", Slot::Fact(Fact::Finish)),
    ("$.message.parts[*].text", Slot::Text(Answer)),
    // Runs of assistants.
    ("$.delta.content[*].text.value", Slot::Delta(Answer)),
    ("$.content[*].text.value", Slot::Repeat(Answer)),
    ("$.last_error.code", Slot::Fact(Fact::ErrorCode)),
    ("$.last_error.message", Slot::ErrorText),
    (
        "$.required_action.submit_tool_outputs.tool_calls[*].function.name",
        Slot::Fact(Fact::ToolName),
    ),
    (
        "$.required_action.submit_tool_outputs.tool_calls[*].function.arguments",
        Slot::Tree(ToolArguments),
    ),
    // Steps of runs: calls in pieces, then whole.
    ("$.delta.step_details.tool_calls[*]", Slot::ToolCall),
    (
        "$.delta.step_details.tool_calls[*].index",
        Slot::Fact(Fact::ToolIndex),
    ),
    (
        "$.delta.step_details.tool_calls[*].type",
        Slot::Fact(Fact::ToolType),
    ),
    (
        "$.delta.step_details.tool_calls[*].function.name",
        Slot::Fact(Fact::ToolName),
    ),
    (
        "$.delta.step_details.tool_calls[*].function.arguments",
        Slot::Delta(ToolArguments),
    ),
    (
        "$.delta.step_details.tool_calls[*].code_interpreter.input",
        Slot::Delta(ToolArguments),
    ),
    (
        "$.delta.step_details.tool_calls[*].code_interpreter.outputs[*].logs",
        Slot::Delta(ToolResult),
    ),
    ("$.step_details.tool_calls[*].type", Slot::Fact(Fact::ToolType)),
    (
        "$.step_details.tool_calls[*].function.name",
        Slot::Fact(Fact::ToolName),
    ),
    (
        "$.step_details.tool_calls[*].function.arguments",
        Slot::Repeat(ToolArguments),
    ),
    (
        "$.step_details.tool_calls[*].code_interpreter.input",
        Slot::Repeat(ToolArguments),
    ),
    (
        "$.step_details.tool_calls[*].code_interpreter.outputs[*].logs",
        Slot::Repeat(ToolResult),
    ),
    // ChatGPT in the browser: pieces, or the whole text so far in each event.
    ("$.v", Slot::Delta(Answer)),
    ("$.v.message.metadata.model_slug", Slot::Fact(Fact::Model)),
    ("$.v.message.content.parts[*]", Slot::Delta(Answer)),
    ("$.v[*].v", Slot::Delta(Answer)),
    ("$.v.conversation_id", Slot::Fact(Fact::Conversation)),
    ("$.message.metadata.model_slug", Slot::Fact(Fact::Model)),
    ("$.message.metadata.finish_details.type", Slot::Fact(Fact::Finish)),
    ("$.message.content.parts[*]", Slot::SoFar(Answer)),
    ("$.message.author.role", Slot::Word),
    // Amazon Q, Kiro: names of events.
    ("$.conversationId", Slot::Fact(Fact::Conversation)),
    ("$.name", Slot::EventTool),
    ("$.toolUseId", Slot::Fact(Fact::EventCall)),
    (
        "$.metadataEvent.tokenUsage.outputTokens",
        Slot::Fact(Fact::Output),
    ),
    // KServe, Triton.
    ("$.model_name", Slot::Fact(Fact::Model)),
    ("$.text_output", Slot::Delta(Answer)),
    ("$.outputs[*].data[*]", Slot::Text(Answer)),
    // Realtime over a WebSocket: OpenAI, Gemini.
    ("$.session.id", Slot::Fact(Fact::Conversation)),
    ("$.session.model", Slot::Fact(Fact::Model)),
    ("$.session.instructions", Slot::Echo),
    ("$.transcript", Slot::Transcript),
    ("$.part.transcript", Slot::Repeat(Answer)),
    ("$.item.content[*].transcript", Slot::Repeat(Answer)),
    ("$.response.output[*].content[*].transcript", Slot::Repeat(Answer)),
    ("$.response.conversation_id", Slot::Fact(Fact::Conversation)),
    ("$.serverContent.modelTurn.parts[*].text", Slot::Delta(Answer)),
    ("$.serverContent.outputTranscription.text", Slot::Delta(Answer)),
    ("$.serverContent.inputTranscription.text", Slot::Text(Prompt)),
    ("$.toolCall.functionCalls[*].name", Slot::Fact(Fact::ToolName)),
    ("$.toolCall.functionCalls[*].args", Slot::Tree(ToolArguments)),
    ("$.usageMetadata.responseTokenCount", Slot::Fact(Fact::Output)),
];

pub(super) const REQUEST_MARKS: &[(&str, Mark)] = &[
    ("$.jsonrpc", Mark::JsonRpc),
    ("$.message.parts", Mark::Message),
    ("$.message.content", Mark::Message),
    ("$.assistant_id", Mark::Assistant),
    ("$.tools", Mark::Tools),
    ("$.input_file_id", Mark::Batch),
    ("$.endpoint", Mark::Batch),
    ("$.requests[*].params", Mark::Batch),
    ("$.messages[*].author", Mark::WebChat),
    ("$.inputs[*].datatype", Mark::Tensor),
    ("$.text_input", Mark::Prompt),
    ("$.text_1", Mark::Query),
    ("$.text_2", Mark::Documents),
    ("$.conversationState", Mark::ConversationState),
    ("$.tool_outputs[*]", Mark::Item),
    ("$.toolResponse.functionResponses[*]", Mark::Item),
];

pub(super) const RESPONSE_MARKS: &[(&str, Mark)] = &[
    ("$.jsonrpc", Mark::JsonRpc),
    ("$.result", Mark::RpcAnswer),
    ("$.error", Mark::RpcAnswer),
    ("$.required_action.submit_tool_outputs.tool_calls[*]", Mark::Item),
    ("$.step_details.tool_calls[*]", Mark::RepeatedItem),
    ("$.toolCall.functionCalls[*]", Mark::Item),
    ("$.serverContent.turnComplete", Mark::TurnComplete),
];
