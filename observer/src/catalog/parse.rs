//! Reads the catalogue file: YAML in, entries or all problems at once out.

use super::pattern::Pattern;
use crate::config::yaml::{self, At, Map, Node, Problem, Reader};

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

/// Parses `text`; `name` stands in the problems.
pub(super) fn parse(text: &str, name: &str) -> Result<Parsed, Vec<Problem>> {
    let mut reader = Reader::new(name);
    let mut parsed = Parsed::default();
    match yaml::parse(name, text) {
        Ok(Some(root)) => read_root(&mut reader, &root, &mut parsed),
        Ok(None) => reader.problem(yaml::Position::default(), "the catalogue is empty"),
        Err(problem) => reader.add(problem),
    }
    if reader.is_clean() {
        Ok(parsed)
    } else {
        Err(reader.finish())
    }
}

fn read_root(reader: &mut Reader, root: &Node, parsed: &mut Parsed) {
    let Some(map) = reader.mapping(root, "a catalogue", &["version", "providers"]) else {
        return;
    };
    if let Some(version) = reader.required_text(&map, "a catalogue", "version") {
        parsed.version = version.value;
    }
    for provider in nodes_of(reader, &map, "providers") {
        read_provider(reader, provider, parsed);
    }
}

fn read_provider(reader: &mut Reader, node: &Node, parsed: &mut Parsed) {
    let Some(map) = reader.mapping(node, "a provider", &["name", "hosts", "shared"]) else {
        return;
    };
    let Some(name) = reader.required_text(&map, "a provider", "name") else {
        return;
    };
    if let Some(hosts) = map.get("hosts")
        && let Some(classes) = reader.mapping(hosts, "`hosts`", CLASSES)
    {
        for class in CLASSES {
            for host in reader.texts_of(&classes, class) {
                add_entry(reader, &name.value, class, &host, Vec::new(), parsed);
            }
        }
    }
    for shared in nodes_of(reader, &map, "shared") {
        read_shared(reader, &name.value, shared, parsed);
    }
}

fn read_shared(reader: &mut Reader, provider: &str, node: &Node, parsed: &mut Parsed) {
    let what = "a shared host";
    let Some(map) = reader.mapping(node, what, &["host", "class", "paths"]) else {
        return;
    };
    let host = reader.required_text(&map, what, "host");
    let class = reader.word_of(&map, "class", CLASSES);
    let texts = reader.texts_of(&map, "paths");
    if map.get("class").is_none() || texts.is_empty() {
        reader.problem(map.at, "a shared host needs `class` and `paths`");
    }
    let mut paths = Vec::new();
    for path in texts {
        if path.value.starts_with(['/', '*']) {
            paths.push(path.value);
        } else {
            reader.problem(path.at, "a path must begin with `/` or `*`");
        }
    }
    if let (Some(host), Some(class)) = (host, class) {
        add_entry(reader, provider, CLASSES[class], &host, paths, parsed);
    }
}

fn add_entry(
    reader: &mut Reader,
    provider: &str,
    class: &str,
    host: &At<String>,
    paths: Vec<String>,
    parsed: &mut Parsed,
) {
    match Pattern::parse(&host.value) {
        Ok(pattern) => {
            let (provider, class) = (provider.to_owned(), class.to_owned());
            parsed.entries.push(Entry {
                pattern,
                provider,
                class,
                paths,
            });
        }
        Err(why) => reader.problem(host.at, format!("`{}`: {why}", yaml::shown(&host.value))),
    }
}

/// The entries of the list at `key`; none where it is absent.
fn nodes_of<'n>(reader: &mut Reader, map: &Map<'n>, key: &str) -> &'n [Node] {
    map.get(key)
        .and_then(|node| reader.sequence(node, &format!("`{key}`")))
        .unwrap_or_default()
}
