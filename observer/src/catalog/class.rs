//! What a host is for.

/// What a host of the catalogue is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Models of a maker or a cloud.
    LlmApi,
    /// One address for models of many.
    Gateway,
    /// Chat and other programs for people.
    AiApp,
    /// Assistants for programmers.
    CodingAssistant,
    /// Agents, their tools and memories.
    AgentPlatform,
    /// Embeddings and rerankers.
    Embeddings,
    /// Images.
    Image,
    /// Videos.
    Video,
    /// Speech and music.
    Audio,
    /// A server on this host or in this network, known by its port and path.
    SelfHosted,
    /// Vectors and search: gets pieces of prompts and documents, answers without a model.
    VectorDb,
    /// Traces and evaluations of AI calls: gets copies of prompts.
    Observability,
    /// Models and data sets to download.
    ModelHub,
    /// A host of an AI company that carries no AI: login, telemetry, files, documentation.
    Other,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::LlmApi,
        Self::Gateway,
        Self::AiApp,
        Self::CodingAssistant,
        Self::AgentPlatform,
        Self::Embeddings,
        Self::Image,
        Self::Video,
        Self::Audio,
        Self::SelfHosted,
        Self::VectorDb,
        Self::Observability,
        Self::ModelHub,
        Self::Other,
    ];

    /// All names, in the order of [`Self::ALL`].
    pub const NAMES: [&'static str; 14] = [
        "llm-api",
        "gateway",
        "ai-app",
        "coding-assistant",
        "agent-platform",
        "embeddings",
        "image",
        "video",
        "audio",
        "self-hosted",
        "vector-db",
        "observability",
        "model-hub",
        "other",
    ];

    /// Name as in the catalogue files.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Whether a model answers there, so that a connection to such a host is use of AI.
    pub fn is_ai(self) -> bool {
        !matches!(
            self,
            Self::VectorDb | Self::Observability | Self::ModelHub | Self::Other
        )
    }
}
