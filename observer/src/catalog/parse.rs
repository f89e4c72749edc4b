//! Reads one catalogue file: YAML in, entries or all problems at once out.

use std::sync::Arc;

use super::class::Class;
use super::pattern::Pattern;
use crate::config::yaml::{self, At, Map, Node, Position, Problem, Reader};

/// One host pattern with what is known about it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) pattern: Pattern,
    pub(super) provider: Arc<str>,
    pub(super) class: Class,
    /// Empty: every path.
    pub(super) paths: Vec<String>,
    /// Where it is written.
    pub(super) file: Arc<str>,
    pub(super) line: usize,
    /// Written by the user, so that it goes before what is built in.
    pub(super) own: bool,
}

/// A port at which a server on this host or in this network answers.
#[derive(Debug, Clone)]
pub(super) struct Port {
    pub(super) port: u16,
    pub(super) entry: Entry,
}

/// What a catalogue file says.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) version: String,
    pub(super) entries: Vec<Entry>,
    pub(super) ports: Vec<Port>,
    /// Other spelling, provider.
    pub(super) aliases: Vec<(String, Arc<str>)>,
    pub(super) services: Vec<String>,
}

const ROOT: &[&str] = &["version", "service_names", "providers"];
const PROVIDER: &[&str] = &["name", "aliases", "hosts", "domains", "shared", "other", "ports"];

/// Parses `text`; `name` stands in the problems.
pub(super) fn parse(text: &str, name: &str, own: bool) -> Result<Parsed, Vec<Problem>> {
    let mut reader = Reader::new(name);
    let mut parsed = Parsed::default();
    match yaml::parse(name, text) {
        Ok(Some(root)) => {
            let mut file = File {
                reader: &mut reader,
                parsed: &mut parsed,
                name: Arc::from(name),
                own,
            };
            file.root(&root);
        }
        Ok(None) => reader.problem(Position::default(), "the catalogue is empty"),
        Err(problem) => reader.add(problem),
    }
    if reader.is_clean() {
        Ok(parsed)
    } else {
        Err(reader.finish())
    }
}

/// A file as it is read.
struct File<'a> {
    reader: &'a mut Reader,
    parsed: &'a mut Parsed,
    name: Arc<str>,
    own: bool,
}

impl File<'_> {
    fn root(&mut self, root: &Node) {
        let Some(map) = self.reader.mapping(root, "a catalogue", ROOT) else {
            return;
        };
        if let Some(version) = self.reader.required_text(&map, "a catalogue", "version") {
            self.parsed.version = version.value;
        }
        let services = self.reader.texts_of(&map, "service_names");
        let services = services.into_iter().map(|name| name.value.to_ascii_lowercase());
        self.parsed.services.extend(services);
        for provider in self.nodes(&map, "providers") {
            self.provider(provider);
        }
    }

    fn provider(&mut self, node: &Node) {
        let Some(map) = self.reader.mapping(node, "a provider", PROVIDER) else {
            return;
        };
        let Some(name) = self.reader.required_text(&map, "a provider", "name") else {
            return;
        };
        let name: Arc<str> = Arc::from(name.value);
        for alias in self.reader.texts_of(&map, "aliases") {
            self.parsed.aliases.push((alias.value, Arc::clone(&name)));
        }
        for (key, parse) in [
            ("hosts", Pattern::parse as fn(&str) -> _),
            ("domains", Pattern::parse_domain),
        ] {
            self.classes(&map, key, parse, &name);
        }
        for host in self.reader.texts_of(&map, "other") {
            self.host(&name, Class::Other, &host, Vec::new(), Pattern::parse);
        }
        for shared in self.nodes(&map, "shared") {
            self.shared(&name, shared);
        }
        for port in self.nodes(&map, "ports") {
            self.port(&name, port);
        }
    }

    /// `key: {class: [pattern, ...], ...}`.
    fn classes(
        &mut self,
        map: &Map<'_>,
        key: &str,
        parse: fn(&str) -> Result<Pattern, String>,
        provider: &Arc<str>,
    ) {
        let Some(node) = map.get(key) else { return };
        let Some(classes) = self.reader.mapping(node, &format!("`{key}`"), &Class::NAMES) else {
            return;
        };
        for class in Class::ALL {
            for host in self.reader.texts_of(&classes, class.name()) {
                self.host(provider, class, &host, Vec::new(), parse);
            }
        }
    }

    fn shared(&mut self, provider: &Arc<str>, node: &Node) {
        let what = "a shared host";
        let Some(map) = self
            .reader
            .mapping(node, what, &["host", "hosts", "class", "paths"])
        else {
            return;
        };
        let mut hosts = self.reader.texts_of(&map, "hosts");
        hosts.extend(self.reader.text_of(&map, "host"));
        let class = self.class(&map);
        let paths = self.paths(&map);
        if map.get("class").is_none() || map.get("paths").is_none() || hosts.is_empty() {
            let message = "a shared host needs `host` (or a list, `hosts`), `class` and `paths`";
            self.reader.problem(map.at, message);
        }
        if let Some(class) = class {
            for host in hosts {
                self.host(provider, class, &host, paths.clone(), Pattern::parse);
            }
        }
    }

    fn port(&mut self, provider: &Arc<str>, node: &Node) {
        let what = "a port";
        let Some(map) = self.reader.mapping(node, what, &["port", "paths"]) else {
            return;
        };
        let paths = self.paths(&map);
        let number = self.reader.integer_of(&map, "port", (1, u64::from(u16::MAX)));
        if map.get("port").is_none() || map.get("paths").is_none() {
            self.reader.problem(map.at, "a port needs `port` and `paths`");
        }
        let Some(port) = number.and_then(|n| u16::try_from(n.value).ok()) else {
            return;
        };
        let pattern = Pattern::Exact(format!("localhost:{port}"));
        let entry = self.entry(pattern, provider, Class::SelfHosted, paths, map.at);
        self.parsed.ports.push(Port { port, entry });
    }

    fn class(&mut self, map: &Map<'_>) -> Option<Class> {
        let index = self.reader.word_of(map, "class", &Class::NAMES)?;
        Class::ALL.get(index).copied()
    }

    fn paths(&mut self, map: &Map<'_>) -> Vec<String> {
        let mut paths = Vec::new();
        for path in self.reader.texts_of(map, "paths") {
            if path.value.starts_with(['/', '*']) && path.value.len() > 1 {
                paths.push(path.value);
            } else {
                self.reader
                    .problem(path.at, "a path must begin with `/` or `*` and be more than that");
            }
        }
        paths
    }

    fn host(
        &mut self,
        provider: &Arc<str>,
        class: Class,
        host: &At<String>,
        paths: Vec<String>,
        parse: fn(&str) -> Result<Pattern, String>,
    ) {
        match parse(&host.value) {
            Ok(pattern) => {
                let entry = self.entry(pattern, provider, class, paths, host.at);
                self.parsed.entries.push(entry);
            }
            Err(why) => {
                let message = format!("`{}`: {why}", yaml::shown(&host.value));
                self.reader.problem(host.at, message);
            }
        }
    }

    fn entry(
        &self,
        pattern: Pattern,
        provider: &Arc<str>,
        class: Class,
        paths: Vec<String>,
        at: Position,
    ) -> Entry {
        Entry {
            pattern,
            provider: Arc::clone(provider),
            class,
            paths,
            file: Arc::clone(&self.name),
            line: at.line,
            own: self.own,
        }
    }

    /// The entries of the list at `key`; none where it is absent.
    fn nodes<'n>(&mut self, map: &Map<'n>, key: &str) -> &'n [Node] {
        map.get(key)
            .and_then(|node| self.reader.sequence(node, &format!("`{key}`")))
            .unwrap_or_default()
    }
}
