//! Catalogue stage: which hosts and paths belong to which AI provider.
//!
//! The catalogue only names; whether a request is an AI call is decided by the dialects. A host that is not in it can
//! still carry AI calls.

mod builtin;
mod class;
mod explain;
mod names;
mod parse;
mod pattern;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

pub use class::Class;
pub use explain::{Explanation, Known, Standing};
use names::Names;
use parse::{Entry, Parsed, Port};
use pattern::Pattern;

use crate::config::yaml::Problem;

/// What the catalogue says about an AI request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// `gen_ai.provider.name`.
    pub provider: String,
    /// What the host is for.
    pub class: Class,
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
    /// Version of the newest built-in file.
    newest: String,
    version: String,
    digest: [u8; 32],
    exact: HashMap<String, Vec<Entry>>,
    /// `*.name` and domains, by name.
    below: HashMap<String, Vec<Entry>>,
    /// Patterns with a `*` inside, by their last two labels.
    labels: HashMap<String, Vec<(Vec<String>, Entry)>>,
    ports: Vec<Port>,
    services: HashSet<String>,
    names: Names,
}

impl Catalog {
    /// The catalogue built into the program (a test reads it: it has no problems).
    pub fn builtin() -> Self {
        let mut catalog = Self::default();
        for (name, text) in builtin::FILES {
            if let Ok(parsed) = parse::parse(text, name, false) {
                catalog.take(parsed, text);
            }
        }
        catalog
    }

    /// Parses a catalogue of one file; `name` stands in the problems, and all of them are returned.
    pub fn parse(text: &str, name: &str) -> Result<Self, Vec<Problem>> {
        let mut catalog = Self::default();
        catalog.take(parse::parse(text, name, false)?, text);
        Ok(catalog)
    }

    /// This catalogue with files of the user, as (name, text). What they say of a pattern goes before what is built in.
    ///
    /// # Errors
    /// All problems of all files: mistakes, and the same pattern for two providers.
    pub fn with_files(mut self, files: &[(String, String)]) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        for (name, text) in files {
            match parse::parse(text, name, true) {
                Ok(parsed) => {
                    problems.extend(
                        parsed
                            .entries
                            .iter()
                            .filter_map(|entry| self.contradiction(entry)),
                    );
                    self.take(parsed, text);
                }
                Err(more) => problems.extend(more),
            }
        }
        if problems.is_empty() {
            Ok(self)
        } else {
            Err(problems)
        }
    }

    /// This catalogue with more hosts: (host pattern, provider name) pairs from the configuration. They go before the
    /// catalogue's own entries for the same pattern, and the digest covers them. `line` of a problem is the position
    /// of its pair, counted from 1.
    pub fn with_extra_hosts(mut self, hosts: Vec<(String, String)>) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        for (at, (host, provider)) in hosts.into_iter().enumerate() {
            let problem = |message| Problem {
                file: "extra hosts".to_owned(),
                line: at + 1,
                column: 0,
                message,
            };
            self.digest_more(&host);
            self.digest_more(&provider);
            match Pattern::parse(&host) {
                _ if provider.is_empty() => problems.push(problem(format!("`{host}`: no provider name"))),
                Ok(pattern) => self.add(Entry {
                    pattern,
                    provider: provider.into(),
                    class: Class::LlmApi,
                    paths: Vec::new(),
                    file: "catalog.extra_hosts".into(),
                    line: at + 1,
                    own: true,
                }),
                Err(why) => problems.push(problem(format!("`{host}`: {why}"))),
            }
        }
        if problems.is_empty() {
            Ok(self)
        } else {
            Err(problems)
        }
    }

    /// The AI service at `host` (lower case, no port) and `path`. An exact name goes before a pattern with labels,
    /// that before the longest suffix; of entries for the same pattern, the user's go first, then those with paths.
    pub fn lookup(&self, host: &str, path: &str) -> Option<Match> {
        let (standing, entry) = self.decide(host, path);
        let entry = entry.filter(|_| standing == Standing::Ai)?;
        Some(Match {
            provider: entry.provider.to_string(),
            class: entry.class,
            by_path: !entry.paths.is_empty(),
        })
    }

    /// The provider whose host this is, whatever goes to this path: for a call that is AI by its form.
    pub fn owner(&self, host: &str, path: &str) -> Option<&str> {
        self.decide(host, path).1.map(|entry| entry.provider.as_ref())
    }

    /// Whether a provider itself has this name: it, or the company's domain, is listed; not one that customers choose a part of.
    pub fn is_own_name(&self, host: &str) -> bool {
        let first = self.entries(host).next();
        first.is_some_and(|entry| matches!(entry.pattern, Pattern::Exact(_) | Pattern::Domain(_)))
    }

    /// Whether `host` is there for AI, whatever the path. For the server name of a TLS handshake.
    pub fn host_is_ai(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let whole = self.entries(&host).find(|entry| entry.paths.is_empty());
        whole.is_some_and(|entry| entry.class.is_ai() && self.service(entry, &host).is_none())
    }

    /// Whether `host` is a hub of models and data sets.
    pub fn host_is_hub(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let whole = self.entries(&host).find(|entry| entry.paths.is_empty());
        whole.is_some_and(|entry| entry.class == Class::ModelHub)
    }

    /// Whether `host` carries AI and other traffic, so that only the path can tell.
    pub fn host_is_shared(&self, host: &str) -> bool {
        let by_path = |entry: &Entry| entry.class.is_ai() && !entry.paths.is_empty();
        !self.host_is_ai(host) && self.entries(&host.to_ascii_lowercase()).any(by_path)
    }

    /// Whether `spelling` is a name of `provider` (`azure-openai` of `azure.ai.openai`): itself in another spelling, or
    /// one of its aliases.
    pub fn is_name_of(&self, spelling: &str, provider: &str) -> bool {
        self.names.is_name_of(spelling, provider)
    }

    /// Version of the catalogue: that of its newest built-in file, and the first 32 bits of the digest in hexadecimal.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// SHA-256 over the texts of all files and the hosts added to them.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Host rules for a kernel table, sorted. Left out are hosts that user space must look at more closely: those whose
    /// path decides, patterns with a `*` inside, domains, and suffixes below which a host is something else.
    pub fn kernel_patterns(&self) -> Vec<HostPattern> {
        let plain = |entries: &[Entry]| {
            let whole = entries.iter().find(|entry| entry.paths.is_empty());
            whole.is_some_and(|entry| entry.class.is_ai() && !matches!(entry.pattern, Pattern::Domain(_)))
        };
        let exceptions: HashSet<&str> = self
            .exact
            .iter()
            .chain(&self.below)
            .filter(|(_, entries)| !plain(entries))
            .flat_map(|(name, _)| ancestors(name).skip(1))
            .collect();
        let exact = self.exact.iter().filter(|(_, entries)| plain(entries));
        let suffix = self
            .below
            .iter()
            .filter(|(name, entries)| plain(entries) && !exceptions.contains(name.as_str()));
        let mut patterns: Vec<HostPattern> = exact
            .map(|(host, _)| HostPattern::Exact(host.clone()))
            .chain(suffix.map(|(host, _)| HostPattern::Suffix(host.clone())))
            .collect();
        patterns.sort();
        patterns
    }

    /// What `host` and `path` are, and the entry that says so.
    fn decide(&self, host: &str, path: &str) -> (Standing, Option<&Entry>) {
        let mut needs_path = None;
        for entry in self.entries(host) {
            let fits = |rule: &String| pattern::path_match(rule, path);
            if self.service(entry, host).is_some() {
                return (Standing::Other, Some(entry));
            }
            if entry.paths.is_empty() || entry.paths.iter().any(fits) {
                return (Standing::of(entry.class), Some(entry));
            }
            if entry.class.is_ai() {
                needs_path = needs_path.or(Some(entry));
            }
        }
        match needs_path {
            Some(entry) => (Standing::NeedsPath, Some(entry)),
            None => (Standing::Unknown, None),
        }
    }

    /// Label of `host` that names a service every company has, where `entry` is the company's domain.
    fn service<'h>(&self, entry: &Entry, host: &'h str) -> Option<&'h str> {
        let Pattern::Domain(domain) = &entry.pattern else {
            return None;
        };
        let before = host.strip_suffix(domain.as_str())?;
        let named = |label: &&str| label.split('-').any(|word| self.services.contains(word));
        before.split('.').find(named)
    }

    /// Entries for `host`, most telling first.
    fn entries<'a>(&'a self, host: &str) -> impl Iterator<Item = &'a Entry> {
        let exact = self.exact.get(host).into_iter().flatten();
        let labels = self.labels.get(pattern::tail(host)).into_iter().flatten();
        let labels = labels.filter(move |(labels, _)| pattern::labels_match(labels, host));
        let covers = move |entry: &&Entry| !matches!(&entry.pattern, Pattern::Domain(name) if name == host);
        let below = ancestors(host)
            .filter_map(|name| self.below.get(name))
            .flatten()
            .filter(covers);
        exact.chain(labels.map(|(_, entry)| entry)).chain(below)
    }

    /// An entry of the user's files before this one that has the same pattern and paths for another provider.
    fn contradiction(&self, entry: &Entry) -> Option<Problem> {
        let same = |other: &&Entry| {
            other.own
                && other.pattern == entry.pattern
                && other.paths == entry.paths
                && other.provider != entry.provider
        };
        let first = self.all().find(same)?;
        Some(Problem {
            file: entry.file.to_string(),
            line: entry.line,
            column: 0,
            message: format!(
                "`{}` is said to be of `{}` here and of `{}` in {}:{}",
                entry.pattern, entry.provider, first.provider, first.file, first.line
            ),
        })
    }

    /// All entries with a host pattern.
    fn all(&self) -> impl Iterator<Item = &Entry> {
        let named = self.exact.values().chain(self.below.values()).flatten();
        named.chain(self.labels.values().flatten().map(|(_, entry)| entry))
    }

    fn take(&mut self, parsed: Parsed, text: &str) {
        self.newest = std::mem::take(&mut self.newest).max(parsed.version);
        self.digest_more(text);
        self.services.extend(parsed.services);
        self.ports.extend(parsed.ports);
        for (alias, provider) in parsed.aliases {
            self.names.add(&alias, &provider);
        }
        for entry in parsed.entries {
            self.add(entry);
        }
    }

    /// Takes a text into the digest, with its length, and the digest into the version.
    fn digest_more(&mut self, text: &str) {
        let mut digest = Sha256::new_with_prefix(self.digest);
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
        self.digest = digest.finalize().into();
        let short: String = self.digest.iter().take(4).map(|b| format!("{b:02x}")).collect();
        self.version = format!("{}+{short}", self.newest);
    }

    fn add(&mut self, entry: Entry) {
        self.names.add(&entry.provider, &entry.provider);
        let rank = |entry: &Entry| (!entry.own, entry.paths.is_empty());
        match &entry.pattern {
            Pattern::Exact(name) => {
                insert(self.exact.entry(name.clone()).or_default(), entry, rank);
            }
            Pattern::Suffix(name) | Pattern::Domain(name) => {
                insert(self.below.entry(name.clone()).or_default(), entry, rank);
            }
            Pattern::Labels(labels) => {
                let labels = labels.clone();
                let list = self
                    .labels
                    .entry(pattern::tail(&labels.join(".")).to_owned())
                    .or_default();
                insert(list, (labels, entry), |(_, entry)| rank(entry));
            }
        }
    }
}

/// Puts `item` behind all of its rank.
fn insert<T, R: Ord>(list: &mut Vec<T>, item: T, rank: impl Fn(&T) -> R) {
    let at = list.partition_point(|other| rank(other) <= rank(&item));
    list.insert(at, item);
}

/// A name and the names above it: `a.b.c`, `b.c`, `c`.
fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, rest)| rest))
}
