//! Why the catalogue says what it says about a host.

use super::class::Class;
use super::parse::Entry;
use super::{Catalog, pattern};

/// What a host and path are to the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// An AI service.
    Ai,
    /// A host that carries AI and other traffic, and this path is not one of its AI paths.
    NeedsPath,
    /// A service around AI that does not answer with a model: vectors, traces, downloads of models.
    Related,
    /// A host of an AI company for other traffic: login, telemetry, documentation, files.
    Other,
    /// Not in the catalogue.
    Unknown,
}

impl Standing {
    /// Name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ai => "ai",
            Self::NeedsPath => "needs_path",
            Self::Related => "related",
            Self::Other => "other",
            Self::Unknown => "unknown",
        }
    }

    pub(super) fn of(class: Class) -> Self {
        match class {
            Class::Other => Self::Other,
            class if class.is_ai() => Self::Ai,
            _ => Self::Related,
        }
    }
}

/// One entry of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// `gen_ai.provider.name`.
    pub provider: String,
    /// What the host is for.
    pub class: Class,
    /// Host pattern as written.
    pub pattern: String,
    /// Paths that it needs; none: whatever the path.
    pub paths: Vec<String>,
    /// File that has it.
    pub file: String,
    /// Line in that file.
    pub line: usize,
}

/// What the catalogue says about a host and path, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What it is.
    pub standing: Standing,
    /// The entry that says so.
    pub entry: Option<Known>,
    /// Label of the host that names a service every company has, which is why a domain does not cover it.
    pub service: Option<String>,
    /// Other entries for this host, most telling first: what another path would be.
    pub others: Vec<Known>,
}

impl Catalog {
    /// What is known of `host` and `path`, with the reasons. The host may have a port: it tells servers on this host or
    /// in this network.
    pub fn explain(&self, host: &str, path: &str) -> Explanation {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') => (name, port.parse::<u16>().ok()),
            _ => (host.as_str(), None),
        };
        let (standing, entry) = self.decide(name, path);
        match (standing, port) {
            (Standing::Unknown, Some(port)) => self.explain_port(port, path),
            _ => Explanation {
                standing,
                service: entry
                    .and_then(|entry| self.service(entry, name))
                    .map(str::to_owned),
                others: self
                    .entries(name)
                    .filter(|other| !entry.is_some_and(|entry| std::ptr::eq(*other, entry)))
                    .map(known)
                    .collect(),
                entry: entry.map(known),
            },
        }
    }

    /// A port says little: the path must be one of the server that has it.
    fn explain_port(&self, port: u16, path: &str) -> Explanation {
        let here = || self.ports.iter().filter(|p| p.port == port).map(|p| &p.entry);
        let fits = |entry: &&Entry| entry.paths.iter().any(|rule| pattern::path_match(rule, path));
        let (standing, entry) = match (here().find(fits), here().next()) {
            (Some(entry), _) => (Standing::Ai, Some(entry)),
            (None, Some(entry)) => (Standing::NeedsPath, Some(entry)),
            (None, None) => (Standing::Unknown, None),
        };
        Explanation {
            standing,
            entry: entry.map(known),
            service: None,
            others: here()
                .filter(|other| !entry.is_some_and(|entry| std::ptr::eq(*other, entry)))
                .map(known)
                .collect(),
        }
    }
}

fn known(entry: &Entry) -> Known {
    Known {
        provider: entry.provider.to_string(),
        class: entry.class,
        pattern: entry.pattern.to_string(),
        paths: entry.paths.clone(),
        file: entry.file.to_string(),
        line: entry.line,
    }
}
