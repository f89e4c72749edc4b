//! What stands where in request and response bodies. The dialects differ in their keys, so one table per side serves
//! them all, and a body can be read before its dialect is known.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::TextRole::{self, Answer, Other, Prompt, System, ToolArguments, ToolResult};
use super::texts::{Action, MAX_FACT, MAX_FRAGMENT};
use super::{agent_rules as agents, vendor_rules as vendor};

/// A fact that a value states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    Model,
    Stream,
    Conversation,
    /// The response that a request goes on from.
    Previous,
    /// A user as the client names it, perhaps with a session in it.
    User,
    /// Number of a tool call in an earlier turn.
    CallId,
    /// Number of the tool call that a result answers.
    AnswersId,
    /// Name of a tool in a request, or of whoever speaks.
    ItemName,
    /// Type of an item.
    ItemType,
    /// The server's number of the request.
    RequestId,
    /// Method of JSON-RPC.
    Method,
    /// Name of the tool, prompt or resource that a call of MCP is for.
    Called,
    /// Version of MCP.
    ProtocolVersion,
    /// Name of an MCP client or server, as it says itself.
    ProductName,
    /// Its version.
    ProductVersion,
    /// Whether a tool failed.
    ToolFailed,
    /// Task of another agent.
    Task,
    Role,
    Id,
    Object,
    Type,
    Finish,
    ToolName,
    /// Type of a tool call: of tools that the provider runs, their name.
    ToolType,
    Input,
    Output,
    CacheRead,
    CacheCreation,
    Reasoning,
    InputAudio,
    OutputAudio,
    /// Input and output together.
    Total,
    /// What a server says of itself.
    Fingerprint,
    /// Input tokens where some answers of a stream say 0: the largest counts.
    LargestInput,
    /// Input tokens as billed, for answers that count no other.
    BilledInput,
    BilledOutput,
    /// A model named by a hash.
    Version,
    ErrorType,
    ErrorCode,
    /// `code` at the top of a document.
    FlatCode,
    Status,
    ItemObject,
    /// Number of the tool call that an event is of, a word.
    EventCall,
    /// A number of the answer, where it has no other.
    OtherId,
    /// How long to wait, in the body.
    RetryDelay,
    /// `streaming`, else at once.
    ResponseMode,
    /// What a count beside it is of (`AUDIO`, `TEXT`).
    Modality,
    ModalityInput,
    ModalityOutput,
    ChoiceIndex,
    ToolIndex,
    OuterIndex,
    InnerIndex,
}

/// What a value at a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// Text with this role.
    Text(TextRole),
    /// Everything below, whatever its keys, is text with this role.
    Tree(TextRole),
    /// Text of a message: the role stated in the message decides.
    Message,
    /// A short word or identifier without content of its own.
    Word,
    /// Perhaps base64.
    Media,
    /// A fact.
    Fact(Fact),
    /// Fragment of a streamed text.
    Delta(TextRole),
    /// Fragment of a streamed text where the document has no type, else a repetition.
    Piece,
    /// Fragment of a streamed text; the type of the event says of what.
    TypedDelta,
    /// Repeats what came as fragments.
    Repeat(TextRole),
    /// The whole of a streamed text so far.
    SoFar(TextRole),
    /// What was heard or said.
    Transcript,
    /// What went wrong, in words.
    ErrorText,
    /// The same, where such words alone say that the call failed.
    Failure,
    /// Repeats the request.
    Echo,
    /// Name of a tool in an event that is a call of it, else text.
    EventTool,
    /// One choice of a streamed answer.
    Choice,
    /// One tool call of a streamed choice.
    ToolCall,
}

/// Keys whose presence tells the shape of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Mark {
    Model = 1,
    Messages = 1 << 1,
    Input = 1 << 2,
    MaxTokens = 1 << 3,
    System = 1 << 4,
    AnthropicVersion = 1 << 5,
    InputSchema = 1 << 6,
    /// Keys only responses have.
    Responses = 1 << 7,
    /// Keys only embeddings have.
    Embeddings = 1 << 8,
    /// A role that chat messages have.
    MessageRole = 1 << 9,
    Usage = 1 << 10,
    Embedding = 1 << 11,
    /// Keys of other dialects with `model` and `messages`.
    Foreign = 1 << 12,
    Prompt = 1 << 13,
    Contents = 1 << 14,
    Parts = 1 << 15,
    ChatMessage = 1 << 16,
    Query = 1 << 17,
    Documents = 1 << 18,
    Texts = 1 << 19,
    Inputs = 1 << 20,
    Text = 1 << 21,
    Version = 1 << 22,
    Candidates = 1 << 23,
    UsageMetadata = 1 << 24,
    CreatedAt = 1 << 25,
    Done = 1 << 26,
    ResponseText = 1 << 27,
    History = 1 << 28,
    /// A document to be read.
    Document = 1 << 29,
    /// The address of what is to be read or heard.
    Url = 1 << 30,
    /// How many tokens to predict.
    Predict = 1 << 31,
    /// How many tokens were evaluated.
    Evaluated = 1 << 32,
    /// An object that may be a tool call or a result: at its beginning, not by its key.
    Item = 1 << 33,
    /// The same, where it may repeat what was streamed.
    RepeatedItem = 1 << 34,
    JsonRpc = 1 << 35,
    /// A message to another agent.
    Message = 1 << 36,
    Assistant = 1 << 37,
    Tools = 1 << 38,
    /// Many requests.
    Batch = 1 << 39,
    /// Messages with an author.
    WebChat = 1 << 40,
    Tensor = 1 << 41,
    ConversationState = 1 << 42,
    /// The turn of a live session is over.
    TurnComplete = 1 << 43,
    /// Whether the answer is to be a stream, as a word.
    ResponseMode = 1 << 44,
    /// What a JSON-RPC request is answered with.
    RpcAnswer = 1 << 45,
}

/// Tables of one side.
#[derive(Debug)]
pub(super) struct Rules {
    slots: HashMap<&'static str, Slot>,
    marks: HashMap<&'static str, Mark>,
}

const REQUEST: &[(&str, Slot)] = &[
    ("$.model", Slot::Fact(Fact::Model)),
    ("$.stream", Slot::Fact(Fact::Stream)),
    ("$.type", Slot::Fact(Fact::Type)),
    ("$.previous_response_id", Slot::Fact(Fact::Previous)),
    ("$.conversation", Slot::Fact(Fact::Conversation)),
    ("$.conversation.id", Slot::Fact(Fact::Conversation)),
    ("$.conversation_id", Slot::Fact(Fact::Conversation)),
    ("$.session_id", Slot::Fact(Fact::Conversation)),
    ("$.thread_id", Slot::Fact(Fact::Conversation)),
    ("$.request.session_id", Slot::Fact(Fact::Conversation)),
    ("$.metadata.session_id", Slot::Fact(Fact::Conversation)),
    ("$.metadata.user_id", Slot::Fact(Fact::User)),
    // Tools of earlier turns.
    ("$.messages[*].tool_calls[*].id", Slot::Fact(Fact::CallId)),
    (
        "$.messages[*].tool_calls[*].function.name",
        Slot::Fact(Fact::ItemName),
    ),
    (
        "$.messages[*].tool_calls[*].custom.name",
        Slot::Fact(Fact::ItemName),
    ),
    ("$.messages[*].tool_call_id", Slot::Fact(Fact::AnswersId)),
    ("$.messages[*].name", Slot::Fact(Fact::ItemName)),
    ("$.messages[*].content[*].id", Slot::Fact(Fact::CallId)),
    ("$.messages[*].content[*].name", Slot::Fact(Fact::ItemName)),
    (
        "$.messages[*].content[*].tool_use_id",
        Slot::Fact(Fact::AnswersId),
    ),
    ("$.input[*].call_id", Slot::Fact(Fact::CallId)),
    ("$.input[*].name", Slot::Fact(Fact::ItemName)),
    ("$.input[*].type", Slot::Fact(Fact::ItemType)),
    ("$.messages[*].role", Slot::Fact(Fact::Role)),
    ("$.messages[*].content", Slot::Message),
    ("$.messages[*].content[*]", Slot::Message),
    ("$.messages[*].content[*].text", Slot::Message),
    ("$.messages[*].content[*].content", Slot::Text(ToolResult)),
    ("$.messages[*].content[*].content[*].text", Slot::Text(ToolResult)),
    ("$.messages[*].content[*].input", Slot::Tree(ToolArguments)),
    ("$.messages[*].content[*].thinking", Slot::Text(Prompt)),
    ("$.messages[*].reasoning_content", Slot::Text(Prompt)),
    (
        "$.messages[*].tool_calls[*].function.arguments",
        Slot::Tree(ToolArguments),
    ),
    (
        "$.messages[*].tool_calls[*].custom.input",
        Slot::Tree(ToolArguments),
    ),
    ("$.messages[*].function_call.arguments", Slot::Tree(ToolArguments)),
    ("$.system", Slot::Text(System)),
    ("$.system[*].text", Slot::Text(System)),
    ("$.instructions", Slot::Text(System)),
    ("$.prompt", Slot::Text(Prompt)),
    ("$.prompt.variables", Slot::Tree(Prompt)),
    ("$.input", Slot::Text(Prompt)),
    ("$.input[*]", Slot::Text(Prompt)),
    ("$.input[*].role", Slot::Fact(Fact::Role)),
    ("$.input[*].text", Slot::Text(Prompt)),
    ("$.input[*].content", Slot::Message),
    ("$.input[*].content[*].text", Slot::Message),
    ("$.input[*].arguments", Slot::Tree(ToolArguments)),
    ("$.input[*].input", Slot::Tree(ToolArguments)),
    ("$.input[*].output", Slot::Text(ToolResult)),
    ("$.input[*].output[*].text", Slot::Text(ToolResult)),
    ("$.input[*].summary[*].text", Slot::Text(Prompt)),
];

const RESPONSE: &[(&str, Slot)] = &[
    ("$.id", Slot::Fact(Fact::Id)),
    ("$.message.id", Slot::Fact(Fact::Id)),
    ("$.response.id", Slot::Fact(Fact::Id)),
    ("$.model", Slot::Fact(Fact::Model)),
    ("$.message.model", Slot::Fact(Fact::Model)),
    ("$.response.model", Slot::Fact(Fact::Model)),
    ("$.object", Slot::Fact(Fact::Object)),
    ("$.system_fingerprint", Slot::Fact(Fact::Fingerprint)),
    ("$.response.object", Slot::Fact(Fact::Object)),
    ("$.data[*].object", Slot::Fact(Fact::ItemObject)),
    ("$.type", Slot::Fact(Fact::Type)),
    ("$.status", Slot::Fact(Fact::Status)),
    ("$.response.status", Slot::Fact(Fact::Status)),
    ("$.incomplete_details.reason", Slot::Fact(Fact::Finish)),
    ("$.response.incomplete_details.reason", Slot::Fact(Fact::Finish)),
    ("$.stop_reason", Slot::Fact(Fact::Finish)),
    ("$.delta.stop_reason", Slot::Fact(Fact::Finish)),
    ("$.choices[*].finish_reason", Slot::Fact(Fact::Finish)),
    ("$.error", Slot::Failure),
    ("$.error.message", Slot::ErrorText),
    ("$.response.error.message", Slot::ErrorText),
    ("$.message", Slot::ErrorText),
    ("$.detail", Slot::ErrorText),
    ("$.detail.message", Slot::ErrorText),
    ("$.detail.status", Slot::Fact(Fact::ErrorType)),
    ("$.detail[*].msg", Slot::ErrorText),
    ("$.errors[*].message", Slot::ErrorText),
    ("$.errors[*].code", Slot::Fact(Fact::ErrorCode)),
    ("$.err_msg", Slot::ErrorText),
    ("$.err_code", Slot::Fact(Fact::ErrorType)),
    ("$.__type", Slot::Fact(Fact::ErrorType)),
    ("$.error.details[*].retryDelay", Slot::Fact(Fact::RetryDelay)),
    ("$.request_id", Slot::Fact(Fact::RequestId)),
    ("$.x_groq.id", Slot::Fact(Fact::RequestId)),
    ("$.conversation", Slot::Fact(Fact::Conversation)),
    ("$.conversation.id", Slot::Fact(Fact::Conversation)),
    ("$.response.conversation.id", Slot::Fact(Fact::Conversation)),
    ("$.conversation_id", Slot::Fact(Fact::Conversation)),
    ("$.thread_id", Slot::Fact(Fact::Conversation)),
    ("$.error.type", Slot::Fact(Fact::ErrorType)),
    ("$.error.code", Slot::Fact(Fact::ErrorCode)),
    ("$.response.error.code", Slot::Fact(Fact::ErrorCode)),
    // Realtime: how a response came to its end.
    ("$.response.status_details.reason", Slot::Fact(Fact::Finish)),
    (
        "$.response.status_details.error.type",
        Slot::Fact(Fact::ErrorType),
    ),
    (
        "$.response.status_details.error.code",
        Slot::Fact(Fact::ErrorCode),
    ),
    ("$.response.status_details.error.message", Slot::ErrorText),
    ("$.code", Slot::Fact(Fact::FlatCode)),
    // Chat completions, plain.
    ("$.choices[*]", Slot::Choice),
    ("$.choices[*].index", Slot::Fact(Fact::ChoiceIndex)),
    ("$.choices[*].message.content", Slot::Text(Answer)),
    ("$.choices[*].message.content[*].text", Slot::Text(Answer)),
    ("$.choices[*].message.reasoning_content", Slot::Text(Answer)),
    ("$.choices[*].message.reasoning", Slot::Text(Answer)),
    ("$.choices[*].message.refusal", Slot::Text(Answer)),
    ("$.choices[*].message.audio.transcript", Slot::Text(Answer)),
    (
        "$.choices[*].message.tool_calls[*].function.name",
        Slot::Fact(Fact::ToolName),
    ),
    (
        "$.choices[*].message.tool_calls[*].function.arguments",
        Slot::Tree(ToolArguments),
    ),
    (
        "$.choices[*].message.function_call.name",
        Slot::Fact(Fact::ToolName),
    ),
    (
        "$.choices[*].message.function_call.arguments",
        Slot::Tree(ToolArguments),
    ),
    // Chat completions, streamed.
    ("$.choices[*].delta.content", Slot::Delta(Answer)),
    ("$.choices[*].delta.content[*].text", Slot::Delta(Answer)),
    ("$.choices[*].delta.reasoning_content", Slot::Delta(Answer)),
    ("$.choices[*].delta.reasoning", Slot::Delta(Answer)),
    ("$.choices[*].delta.refusal", Slot::Delta(Answer)),
    ("$.choices[*].delta.audio.transcript", Slot::Delta(Answer)),
    // Speech in events.
    ("$.audio", Slot::Media),
    ("$.choices[*].delta.tool_calls[*]", Slot::ToolCall),
    (
        "$.choices[*].delta.tool_calls[*].index",
        Slot::Fact(Fact::ToolIndex),
    ),
    (
        "$.choices[*].delta.tool_calls[*].function.name",
        Slot::Fact(Fact::ToolName),
    ),
    (
        "$.choices[*].delta.tool_calls[*].function.arguments",
        Slot::Delta(ToolArguments),
    ),
    (
        "$.choices[*].delta.function_call.name",
        Slot::Fact(Fact::ToolName),
    ),
    (
        "$.choices[*].delta.function_call.arguments",
        Slot::Delta(ToolArguments),
    ),
    // Messages.
    ("$.content[*].text", Slot::Text(Answer)),
    ("$.content[*].thinking", Slot::Text(Answer)),
    ("$.content[*].input", Slot::Tree(ToolArguments)),
    ("$.content[*].name", Slot::Fact(Fact::ToolName)),
    ("$.content_block.text", Slot::Delta(Answer)),
    ("$.content_block.thinking", Slot::Delta(Answer)),
    ("$.content_block.name", Slot::Fact(Fact::ToolName)),
    ("$.content_block.input", Slot::Tree(ToolArguments)),
    ("$.index", Slot::Fact(Fact::OuterIndex)),
    ("$.delta.text", Slot::Delta(Answer)),
    ("$.delta.thinking", Slot::Delta(Answer)),
    ("$.delta.partial_json", Slot::Delta(ToolArguments)),
    // Responses, plain.
    ("$.instructions", Slot::Echo),
    ("$.tools", Slot::Echo),
    ("$.output[*].content[*].text", Slot::Text(Answer)),
    ("$.output[*].content[*].refusal", Slot::Text(Answer)),
    ("$.output[*].summary[*].text", Slot::Text(Answer)),
    ("$.output[*].arguments", Slot::Tree(ToolArguments)),
    ("$.output[*].input", Slot::Tree(ToolArguments)),
    ("$.output[*].name", Slot::Fact(Fact::ToolName)),
    ("$.output[*].type", Slot::Fact(Fact::ItemType)),
    ("$.item.type", Slot::Fact(Fact::ItemType)),
    ("$.response.output[*].type", Slot::Fact(Fact::ItemType)),
    // Responses, streamed.
    ("$.delta", Slot::TypedDelta),
    ("$.output_index", Slot::Fact(Fact::OuterIndex)),
    ("$.content_index", Slot::Fact(Fact::InnerIndex)),
    ("$.summary_index", Slot::Fact(Fact::InnerIndex)),
    ("$.text", Slot::Piece),
    ("$.refusal", Slot::Repeat(Answer)),
    ("$.arguments", Slot::Repeat(ToolArguments)),
    ("$.input", Slot::Repeat(ToolArguments)),
    ("$.part.text", Slot::Repeat(Answer)),
    ("$.item.content[*].text", Slot::Repeat(Answer)),
    ("$.item.summary[*].text", Slot::Repeat(Answer)),
    ("$.item.arguments", Slot::Repeat(ToolArguments)),
    ("$.item.input", Slot::Repeat(ToolArguments)),
    ("$.item.name", Slot::Fact(Fact::ToolName)),
    ("$.response.instructions", Slot::Echo),
    ("$.response.tools", Slot::Echo),
    ("$.response.output[*].content[*].text", Slot::Repeat(Answer)),
    ("$.response.output[*].summary[*].text", Slot::Repeat(Answer)),
    ("$.response.output[*].arguments", Slot::Repeat(ToolArguments)),
    ("$.response.output[*].input", Slot::Repeat(ToolArguments)),
    ("$.response.output[*].name", Slot::Fact(Fact::ToolName)),
];

/// Where a usage object stands, and what its members are.
const USAGE_AT: &[&str] = &[
    "$.usage",
    "$.message.usage",
    "$.response.usage",
    "$.x_groq.usage",
    // Moonshot's streams; Cloudflare; others that wrap their answers.
    "$.choices[*].usage",
    "$.result.usage",
    "$.data.usage",
];
const USAGE: &[(&str, Fact)] = &[
    ("prompt_tokens", Fact::Input),
    ("input_tokens", Fact::Input),
    ("completion_tokens", Fact::Output),
    ("output_tokens", Fact::Output),
    ("total_tokens", Fact::Total),
    ("prompt_tokens_details.cached_tokens", Fact::CacheRead),
    ("prompt_token_details.cached_tokens", Fact::CacheRead),
    ("input_token_details.cached_tokens", Fact::CacheRead),
    ("input_tokens_details.cached_tokens", Fact::CacheRead),
    ("prompt_cache_hit_tokens", Fact::CacheRead),
    ("cache_read_input_tokens", Fact::CacheRead),
    ("cache_creation_input_tokens", Fact::CacheCreation),
    ("prompt_tokens_details.cache_write_tokens", Fact::CacheCreation),
    ("input_tokens_details.cache_write_tokens", Fact::CacheCreation),
    ("reasoning_tokens", Fact::Reasoning),
    ("completion_token_details.reasoning_tokens", Fact::Reasoning),
    ("output_token_details.reasoning_tokens", Fact::Reasoning),
    ("output_tokens_details.thinking_tokens", Fact::Reasoning),
    ("completion_tokens_details.reasoning_tokens", Fact::Reasoning),
    ("prompt_tokens_details.audio_tokens", Fact::InputAudio),
    ("input_token_details.audio_tokens", Fact::InputAudio),
    ("input_tokens_details.audio_tokens", Fact::InputAudio),
    ("completion_tokens_details.audio_tokens", Fact::OutputAudio),
    ("output_token_details.audio_tokens", Fact::OutputAudio),
    ("output_tokens_details.audio_tokens", Fact::OutputAudio),
    ("output_tokens_details.reasoning_tokens", Fact::Reasoning),
];

const REQUEST_MARKS: &[(&str, Mark)] = &[
    ("$.model", Mark::Model),
    ("$.messages", Mark::Messages),
    ("$.input", Mark::Input),
    ("$.max_tokens", Mark::MaxTokens),
    ("$.system", Mark::System),
    ("$.anthropic_version", Mark::AnthropicVersion),
    ("$.tools[*].input_schema", Mark::InputSchema),
    ("$.instructions", Mark::Responses),
    ("$.previous_response_id", Mark::Responses),
    ("$.conversation", Mark::Responses),
    ("$.store", Mark::Responses),
    ("$.reasoning", Mark::Responses),
    ("$.max_output_tokens", Mark::Responses),
    ("$.encoding_format", Mark::Embeddings),
    ("$.dimensions", Mark::Embeddings),
    ("$.keep_alive", Mark::Foreign),
    ("$.options", Mark::Foreign),
    ("$.inferenceConfig", Mark::Foreign),
    ("$.messages[*]", Mark::Item),
    ("$.messages[*].content[*]", Mark::Item),
    ("$.messages[*].tool_calls[*]", Mark::Item),
    ("$.input[*]", Mark::Item),
];

const RESPONSE_MARKS: &[(&str, Mark)] = &[
    ("$.usage", Mark::Usage),
    ("$.message.usage", Mark::Usage),
    ("$.data[*].embedding", Mark::Embedding),
    ("$.choices[*].message.tool_calls[*]", Mark::Item),
    ("$.choices[*].message.function_call", Mark::Item),
    ("$.content[*]", Mark::Item),
    ("$.output[*]", Mark::Item),
    ("$.response.output[*]", Mark::RepeatedItem),
];

/// Keys whose values are words or identifiers wherever they stand.
const WORDS: &[&str] = &[
    "type",
    "role",
    "object",
    "id",
    "tool_call_id",
    "call_id",
    "item_id",
    "tool_use_id",
    "status",
];
/// Keys whose values may be base64 wherever they stand.
const MEDIA: &[&str] = &[
    "url",
    "image_url",
    "data",
    "file_data",
    "b64_json",
    "embedding",
    "signature",
    "encrypted_content",
    "result",
    "partial_image_b64",
    "obfuscation",
    "bytes",
    "thoughtSignature",
    "thought_signature",
    "audio_base64",
];
/// Keys that may appear in stored paths, besides those in the tables. A key with dots in it stands here whole, since paths are cut
/// at their dots.
const PATH_KEYS: &[&str] = &[
    "annotations",
    "citations",
    "description",
    "developer",
    "file",
    "filename",
    "format",
    "function",
    "functions",
    "input_audio",
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/serverInfo",
    "logprobs",
    "message",
    "metadata",
    "name",
    "parameters",
    "properties",
    "reason",
    "response_format",
    "source",
    "stop",
    "stop_sequences",
    "title",
    "tool_choice",
    "user",
    "user_id",
];

/// Rules for request bodies.
pub(super) static REQUEST_RULES: LazyLock<Rules> = LazyLock::new(|| Rules {
    slots: REQUEST
        .iter()
        .copied()
        .chain(vendor::request())
        .chain(agents::REQUEST.iter().copied())
        .collect(),
    marks: REQUEST_MARKS
        .iter()
        .copied()
        .chain(vendor::request_marks())
        .chain(agents::REQUEST_MARKS.iter().copied())
        .collect(),
});

/// Rules for response bodies.
pub(super) static RESPONSE_RULES: LazyLock<Rules> = LazyLock::new(|| Rules {
    slots: RESPONSE
        .iter()
        .copied()
        .chain(vendor::response())
        .chain(agents::RESPONSE.iter().copied())
        .chain(usage())
        .collect(),
    marks: RESPONSE_MARKS
        .iter()
        .copied()
        .chain(vendor::response_marks())
        .chain(agents::RESPONSE_MARKS.iter().copied())
        .collect(),
});

/// All keys that may appear in a path, sorted.
pub(super) static KNOWN_KEYS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let in_paths = REQUEST_RULES.paths().chain(RESPONSE_RULES.paths());
    let in_paths = in_paths.flat_map(|path| path.split('.'));
    let mut keys: Vec<&str> = in_paths.map(|key| key.trim_end_matches("[*]")).collect();
    keys.extend(WORDS.iter().chain(MEDIA).chain(PATH_KEYS));
    keys.retain(|key| *key != "$");
    keys.sort_unstable();
    keys.dedup();
    keys
});

fn usage() -> impl Iterator<Item = (&'static str, Slot)> {
    let here = vendor::at_each(USAGE_AT, USAGE);
    // Vendors put their own members at the usual place, and the usual members at places of their own.
    let mixed = vendor::at_each(&["$.usage"], vendor::USAGE);
    let there = vendor::at_each(vendor::USAGE_AT, vendor::USAGE);
    here.chain(mixed)
        .chain(there)
        .map(|(path, fact)| (path, Slot::Fact(fact)))
}

impl Rules {
    /// What stands at `path`, given what stands around it.
    pub(super) fn slot(&self, path: &str, parent: Slot) -> Slot {
        if let Some(slot) = self.slots.get(path) {
            return *slot;
        }
        if let Slot::Tree(_) | Slot::Echo = parent {
            return parent;
        }
        let leaf = path.rsplit('.').next().unwrap_or_default();
        if WORDS.contains(&leaf) {
            Slot::Word
        } else if MEDIA.contains(&leaf) {
            Slot::Media
        } else {
            Slot::Text(Other)
        }
    }

    /// All paths in the tables, sorted.
    pub(super) fn paths(&self) -> impl Iterator<Item = &'static str> {
        let paths = self.slots.keys().chain(self.marks.keys()).copied();
        paths.collect::<std::collections::BTreeSet<_>>().into_iter()
    }

    /// What the presence of `path` says.
    pub(super) fn mark(&self, path: &str) -> u64 {
        self.marks.get(path).map_or(0, |mark| *mark as u64)
    }
}

impl Slot {
    /// Whether a whole value here is arguments of a tool call: their size is that of the call.
    pub(super) fn is_arguments(self) -> bool {
        matches!(self, Self::Tree(ToolArguments) | Self::Repeat(ToolArguments))
    }

    /// What to do with a string here. `message` is the role for the text of the current message; `repeated` says
    /// that texts were read as fragments.
    pub(super) fn action(self, message: TextRole, repeated: bool) -> Action {
        let keep = |limit, spill| Action::Keep { limit, spill };
        match self {
            Self::Text(role) | Self::Tree(role) => Action::Text(role),
            Self::Message => Action::Text(message),
            Self::Word => keep(MAX_FACT / 4, Other),
            Self::Media => Action::Probe(Other),
            Self::Fact(_) => keep(MAX_FACT, Other),
            Self::Delta(role) | Self::SoFar(role) => keep(MAX_FRAGMENT, role),
            Self::TypedDelta | Self::Piece | Self::Transcript => keep(MAX_FRAGMENT, Answer),
            Self::Repeat(_) if repeated => Action::Skip,
            Self::Repeat(role) => Action::Text(role),
            Self::Echo => Action::Skip,
            Self::Choice | Self::ToolCall | Self::ErrorText | Self::Failure | Self::EventTool => {
                Action::Text(Other)
            }
        }
    }
}
