//! Catalogue stage: which hosts and paths belong to which AI provider.
//!
//! The catalogue only names; whether a request is an AI call is decided by the dialects. A host that is not in it can
//! still carry AI calls.

mod parse;
mod pattern;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::config::yaml::Problem;
use parse::Entry;
use pattern::Pattern;
use sha2::{Digest, Sha256};

const BUILTIN: &str = include_str!("../../catalog/providers.yaml");

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

/// A host rule that a longest-prefix table over reversed names can hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// This name only.
    Exact(String),
    /// This name and every name below it.
    Suffix(String),
}

/// The catalogue, ready for look-ups. More than one entry can stand for a host: shared ones differ in their paths.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    version: String,
    digest: [u8; 32],
    exact: HashMap<String, Vec<Entry>>,
    suffix: HashMap<String, Vec<Entry>>,
    labels: Vec<(Vec<String>, Entry)>,
}

impl Catalog {
    /// The catalogue built into the program (a test reads it: it has no problems).
    pub fn builtin() -> Self {
        Self::parse(BUILTIN, "providers.yaml").unwrap_or_default()
    }

    /// Parses a catalogue text; `name` stands in the problems, and all of them are returned.
    pub fn parse(text: &str, name: &str) -> Result<Self, Vec<Problem>> {
        let parsed = parse::parse(text, name)?;
        let digest = Sha256::digest(text.as_bytes()).into();
        let mut catalog = Self {
            version: parsed.version,
            digest,
            ..Self::default()
        };
        for entry in parsed.entries {
            catalog.add(entry);
        }
        Ok(catalog)
    }

    /// This catalogue with more hosts: (host pattern, provider name) pairs from the configuration. They go before the
    /// catalogue's own entries for the same pattern, and the digest covers them. `line` of a problem is the position
    /// of its pair, counted from 1.
    pub fn with_extra_hosts(mut self, hosts: Vec<(String, String)>) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut digest = Sha256::new_with_prefix(self.digest);
        let any = !hosts.is_empty();
        for (at, (host, provider)) in hosts.into_iter().enumerate() {
            let problem = |message| Problem {
                file: "extra hosts".to_owned(),
                line: at + 1,
                column: 0,
                message,
            };
            digest.update((host.len() as u64).to_be_bytes());
            digest.update(&host);
            digest.update((provider.len() as u64).to_be_bytes());
            digest.update(&provider);
            match Pattern::parse(&host) {
                _ if provider.is_empty() => problems.push(problem(format!("`{host}`: no provider name"))),
                Ok(pattern) => {
                    self.add_first(Entry {
                        pattern,
                        provider,
                        class: "llm-api".into(),
                        paths: Vec::new(),
                    });
                }
                Err(why) => problems.push(problem(format!("`{host}`: {why}"))),
            }
        }
        if any {
            self.digest = digest.finalize().into();
        }
        if problems.is_empty() {
            Ok(self)
        } else {
            Err(problems)
        }
    }

    /// What is known about `host` (lower case, no port) and `path`. An exact name goes before a pattern with labels,
    /// that before the longest suffix.
    pub fn lookup(&self, host: &str, path: &str) -> Option<Match> {
        let fits = |entry: &&Entry| {
            entry.paths.is_empty() || entry.paths.iter().any(|p| pattern::path_match(p, path))
        };
        self.entries(host).find(fits).map(|entry| Match {
            provider: entry.provider.clone(),
            class: entry.class.clone(),
            by_path: !entry.paths.is_empty(),
        })
    }

    /// Whether `host` is there for AI, whatever the path. For the server name of a TLS handshake.
    pub fn host_is_ai(&self, host: &str) -> bool {
        self.entries(&host.to_ascii_lowercase())
            .any(|entry| entry.paths.is_empty())
    }

    /// Whether `host` carries AI and other traffic, so that only the path can tell.
    pub fn host_is_shared(&self, host: &str) -> bool {
        !self.host_is_ai(host) && self.entries(&host.to_ascii_lowercase()).next().is_some()
    }

    /// Version string of the catalogue text.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// SHA-256 over the catalogue text and the hosts added to it.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Host rules for a kernel table, sorted. Left out are hosts whose path decides and patterns with a `*` inside:
    /// those are looked up in user space.
    pub fn kernel_patterns(&self) -> Vec<HostPattern> {
        let whole = |entries: &Vec<Entry>| entries.iter().any(|entry| entry.paths.is_empty());
        let exact = self.exact.iter().filter(|(_, entries)| whole(entries));
        let suffix = self.suffix.iter().filter(|(_, entries)| whole(entries));
        let mut patterns: Vec<HostPattern> = exact
            .map(|(host, _)| HostPattern::Exact(host.clone()))
            .chain(suffix.map(|(host, _)| HostPattern::Suffix(host.clone())))
            .collect();
        patterns.sort();
        patterns
    }

    /// Entries for `host`, most telling first.
    fn entries<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a Entry> {
        let exact = self.exact.get(host).into_iter().flatten();
        let labels = self
            .labels
            .iter()
            .filter(|(labels, _)| pattern::labels_match(labels, host));
        let names = std::iter::successors(Some(host), |name| name.split_once('.').map(|(_, rest)| rest));
        let suffix = names.filter_map(|name| self.suffix.get(name)).flatten();
        exact.chain(labels.map(|(_, entry)| entry)).chain(suffix)
    }

    fn add(&mut self, entry: Entry) {
        match &entry.pattern {
            Pattern::Exact(host) => self.exact.entry(host.clone()).or_default().push(entry),
            Pattern::Suffix(host) => self.suffix.entry(host.clone()).or_default().push(entry),
            Pattern::Labels(labels) => self.labels.push((labels.clone(), entry)),
        }
    }

    fn add_first(&mut self, entry: Entry) {
        match &entry.pattern {
            Pattern::Exact(host) => self.exact.entry(host.clone()).or_default().insert(0, entry),
            Pattern::Suffix(host) => self.suffix.entry(host.clone()).or_default().insert(0, entry),
            Pattern::Labels(labels) => self.labels.insert(0, (labels.clone(), entry)),
        }
    }
}
