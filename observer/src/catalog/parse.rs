//! Reads the catalogue file: YAML in, entries or all problems at once out.

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};

use super::Problem;
use super::pattern::Pattern;

/// Classes a host can have.
pub(super) const CLASSES: &[&str] = &[
    "llm-api",
    "gateway",
    "ai-app",
    "coding-assistant",
    "agent-platform",
    "embeddings",
    "image",
    "video",
    "audio",
];

/// One host pattern with what is known about it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) pattern: Pattern,
    pub(super) provider: String,
    pub(super) class: String,
    /// Empty: every path.
    pub(super) paths: Vec<String>,
}

/// What a catalogue file says.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) version: String,
    pub(super) entries: Vec<Entry>,
}

struct Reader<'a> {
    name: &'a str,
    problems: Vec<Problem>,
    parsed: Parsed,
}

type Node<'y> = MarkedYaml<'y>;

/// Parses `text`; `name` stands in the problems.
pub(super) fn parse(text: &str, name: &str) -> Result<Parsed, Vec<Problem>> {
    let mut reader = Reader {
        name,
        problems: Vec::new(),
        parsed: Parsed::default(),
    };
    match Node::load_from_str(text) {
        Err(error) => reader.problem(error.marker().line(), format!("not YAML: {}", error.info())),
        Ok(documents) => match documents.as_slice() {
            [root] => reader.root(root),
            _ => reader.problem(1, "exactly one YAML document is expected".to_owned()),
        },
    }
    if reader.problems.is_empty() {
        Ok(reader.parsed)
    } else {
        Err(reader.problems)
    }
}

impl Reader<'_> {
    fn problem(&mut self, line: usize, message: String) {
        self.problems.push(Problem {
            name: self.name.to_owned(),
            line,
            message,
        });
    }

    fn expected(&mut self, node: &Node<'_>, what: &str) {
        self.problem(node.span.start.line(), format!("{what} is expected here"));
    }

    fn root(&mut self, root: &Node<'_>) {
        for (key, value) in self.members(root) {
            match key.as_str() {
                "version" => match text(value) {
                    Some(version) if !version.is_empty() => self.parsed.version = version,
                    _ => self.expected(value, "a version in quotes"),
                },
                "providers" => {
                    for provider in self.items(value) {
                        self.provider(provider);
                    }
                }
                _ => self.unknown(value, &key, "version, providers"),
            }
        }
        if self.parsed.version.is_empty() && self.problems.is_empty() {
            self.expected(root, "`version`");
        }
    }

    fn provider(&mut self, node: &Node<'_>) {
        let members = self.members(node);
        let name = members
            .iter()
            .find(|(key, _)| key == "name")
            .and_then(|(_, value)| text(value));
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return self.expected(node, "a provider with `name`");
        };
        for (key, value) in members {
            match key.as_str() {
                "name" => {}
                "hosts" => self.hosts(&name, value),
                "shared" => {
                    for shared in self.items(value) {
                        self.shared(&name, shared);
                    }
                }
                _ => self.unknown(value, &key, "name, hosts, shared"),
            }
        }
    }

    fn hosts(&mut self, provider: &str, node: &Node<'_>) {
        for (class, hosts) in self.members(node) {
            if !CLASSES.contains(&class.as_str()) {
                self.unknown(hosts, &class, &CLASSES.join(", "));
                continue;
            }
            for host in self.items(hosts) {
                self.entry(provider, &class, host, Vec::new());
            }
        }
    }

    fn shared(&mut self, provider: &str, node: &Node<'_>) {
        let (mut host, mut class, mut paths) = (None, None, Vec::new());
        for (key, value) in self.members(node) {
            match key.as_str() {
                "host" => host = Some(value),
                "class" => match text(value).filter(|class| CLASSES.contains(&class.as_str())) {
                    Some(name) => class = Some(name),
                    None => self.expected(value, &format!("one of {}", CLASSES.join(", "))),
                },
                "paths" => {
                    for item in self.items(value) {
                        match text(item).filter(|path| path.starts_with('/') || path.starts_with('*')) {
                            Some(path) => paths.push(path),
                            None => self.expected(item, "a path that begins with `/` or `*`"),
                        }
                    }
                }
                _ => self.unknown(value, &key, "host, class, paths"),
            }
        }
        match (host, class) {
            (Some(host), Some(class)) if !paths.is_empty() => self.entry(provider, &class, host, paths),
            _ => self.expected(node, "a shared host with `host`, `class` and `paths`"),
        }
    }

    fn entry(&mut self, provider: &str, class: &str, host: &Node<'_>, paths: Vec<String>) {
        let Some(name) = text(host) else {
            return self.expected(host, "a host pattern");
        };
        match Pattern::parse(&name) {
            Ok(pattern) => {
                let (provider, class) = (provider.to_owned(), class.to_owned());
                self.parsed.entries.push(Entry {
                    pattern,
                    provider,
                    class,
                    paths,
                });
            }
            Err(why) => self.problem(host.span.start.line(), format!("`{name}`: {why}")),
        }
    }

    fn unknown(&mut self, node: &Node<'_>, key: &str, allowed: &str) {
        self.problem(
            node.span.start.line(),
            format!("unknown key `{key}`, allowed are {allowed}"),
        );
    }

    fn members<'n, 'y>(&mut self, node: &'n Node<'y>) -> Vec<(String, &'n Node<'y>)> {
        let YamlData::Mapping(mapping) = &node.data else {
            self.expected(node, "a mapping");
            return Vec::new();
        };
        let mut members = Vec::new();
        for (key, value) in mapping {
            match text(key) {
                Some(key) => members.push((key, value)),
                None => self.expected(key, "a text key"),
            }
        }
        members
    }

    fn items<'n, 'y>(&mut self, node: &'n Node<'y>) -> &'n [Node<'y>] {
        match &node.data {
            YamlData::Sequence(items) => items,
            _ => {
                self.expected(node, "a list");
                &[]
            }
        }
    }
}

fn text(node: &Node<'_>) -> Option<String> {
    match &node.data {
        YamlData::Value(Scalar::String(text)) => Some(text.to_string()),
        _ => None,
    }
}
