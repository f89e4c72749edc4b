//! Calls in a form that only one service has, at a host of the catalogue. What the host is for says what a call with a prompt asks
//! for; beside the prompt it is not known what stands where.

use super::rules::Mark;
use crate::catalog::Class;

/// Whether a request with these marks asks a model at a host of this class. Other traffic of such hosts has no prompt.
pub(super) fn asks(class: Class, marks: u64) -> bool {
    let has = |mark: Mark| marks & mark as u64 != 0;
    let prompt = has(Mark::Prompt);
    let talk = has(Mark::Messages) && has(Mark::MessageRole);
    match class {
        Class::Image | Class::Video => prompt,
        Class::Audio => prompt || has(Mark::Text) || has(Mark::Url),
        Class::LlmApi | Class::Gateway | Class::AgentPlatform => prompt || talk,
        // The others have their own dialects, or send more than prompts.
        Class::AiApp
        | Class::CodingAssistant
        | Class::Embeddings
        | Class::SelfHosted
        | Class::VectorDb
        | Class::Observability
        | Class::ModelHub
        | Class::Other => false,
    }
}

/// Whether services of this class take a prompt as a form with files.
pub(super) fn takes_forms(class: Class) -> bool {
    matches!(class, Class::Image | Class::Video | Class::Audio)
}

/// What such a request asks for; `heard`: it sent audio as it is.
pub(super) fn operation(class: Option<Class>, marks: u64, heard: bool) -> &'static str {
    let has = |mark: Mark| marks & mark as u64 != 0;
    match class {
        Some(Class::Image) => "image_generation",
        Some(Class::Video) => "video_generation",
        Some(Class::Audio) if heard || has(Mark::Url) => "transcription",
        Some(Class::Audio) => "speech",
        _ if has(Mark::Messages) => "chat",
        _ if has(Mark::Text) && !has(Mark::Prompt) => "embeddings",
        _ => "text_completion",
    }
}
