//! Catalogue stage: which hosts and paths belong to which AI provider.

/// What the catalogue says about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// `gen_ai.provider.name`.
    pub provider: String,
    /// What the host is for (`llm-api`, `ai-app`, ...), as in the catalogue file.
    pub class: String,
    /// The host also carries other traffic, and the path decided.
    pub by_path: bool,
}

/// One thing wrong in a catalogue text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}:{line}: {message}")]
pub struct Problem {
    /// Name of the text, as given to `Catalog::parse`.
    pub name: String,
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong and what is allowed.
    pub message: String,
}

/// A host rule that a longest-prefix table over reversed names can hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// This name only.
    Exact(String),
    /// This name and every name below it.
    Suffix(String),
}

/// The catalogue, ready for look-ups.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    version: String,
    digest: [u8; 32],
}

impl Catalog {
    /// The catalogue built into the program.
    pub fn builtin() -> Self {
        Self::default()
    }

    /// Parses a catalogue text; `name` is used in the problems.
    pub fn parse(_text: &str, _name: &str) -> Result<Self, Vec<Problem>> {
        Ok(Self::default())
    }

    /// This catalogue with more hosts: (host pattern, provider name) pairs from the configuration.
    pub fn with_extra_hosts(self, _hosts: Vec<(String, String)>) -> Result<Self, Vec<Problem>> {
        Ok(self)
    }

    /// What is known about `host` (lower case, no port) and `path`.
    pub fn lookup(&self, _host: &str, _path: &str) -> Option<Match> {
        None
    }

    /// Whether `host` is an AI host for at least some paths. For the server name of a TLS handshake.
    pub fn host_is_ai(&self, _host: &str) -> bool {
        false
    }

    /// Version string of the catalogue text.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// SHA-256 over the catalogue text and the hosts added to it.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Host rules for a kernel table. Hosts whose path decides are left out.
    pub fn kernel_patterns(&self) -> Vec<HostPattern> {
        Vec::new()
    }
}
