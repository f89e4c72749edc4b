//! A policy: ordered rules, the first that fits decides.

use sha2::{Digest, Sha256};

use super::Verdict;
use super::attributes::{Attribute, Subject};
use super::before;
use super::conditions::{self, Conditions, FINDING_KEYS};
use super::index::Index;
use super::reach;
use super::values::{Budget, MAX_REGEXES};
use crate::config::yaml::{self, Map, Node, Position, Problem, Reader, shown};

/// Most rules in one policy.
pub const MAX_RULES: usize = 10_000;

/// A policy, valid as used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    id: String,
    version: String,
    default: Verdict,
    rules: Vec<Rule>,
    index: Index,
    digest: [u8; 32],
    text: Box<str>,
    warnings: Vec<Problem>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) at: Position,
    pub(super) verdict: Verdict,
    pub(super) conditions: Conditions,
    pub(super) enforce: Enforce,
}

/// Whether a rule stops connections, where the configuration lets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Enforce {
    /// It judges.
    #[default]
    No,
    /// It stops.
    Yes,
    /// It says what it would stop.
    DryRun,
}

impl Enforce {
    /// Words of `enforce`, in the order of the variants.
    const NAMES: [&'static str; 3] = ["false", "true", "dry_run"];
    const ALL: [Self; 3] = [Self::No, Self::Yes, Self::DryRun];
}

impl Policy {
    /// No policy: every verdict is unknown. Its identifier is `none`.
    pub fn none() -> Self {
        Self {
            id: "none".to_owned(),
            version: String::new(),
            default: Verdict::Unknown,
            rules: Vec::new(),
            index: Index::default(),
            digest: Sha256::digest(b"").into(),
            text: "".into(),
            warnings: Vec::new(),
        }
    }

    /// Whether this is [`Self::none`].
    pub fn is_none(&self) -> bool {
        self.version.is_empty()
    }

    /// Reads a policy. All problems are reported at once, each with file and line.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new(file_name);
        let policy = match yaml::parse(file_name, text) {
            Ok(root) => read_policy(&mut reader, root.as_ref()),
            Err(problem) => {
                reader.add(problem);
                None
            }
        };
        match policy {
            Some(mut policy) if reader.is_clean() => {
                policy.digest = Sha256::digest(text.as_bytes()).into();
                policy.text = text.into();
                policy.warnings = reach::warnings(&policy.rules, file_name);
                policy.warnings.extend(before::warnings(&policy.rules, file_name));
                policy.index = Index::new(policy.rules.iter().map(|rule| &rule.conditions));
                Ok(policy)
            }
            _ => Err(reader.finish()),
        }
    }

    /// The first rule that fits.
    pub(super) fn rule(&self, subject: &Subject<'_>) -> Option<&Rule> {
        self.index
            .candidates(subject)
            .map(|number| &self.rules[number as usize])
            .find(|rule| rule.conditions.fits(subject))
    }

    /// All rules in their order.
    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Verdict where no rule fits.
    pub fn default_verdict(&self) -> Verdict {
        self.default
    }

    /// Number of rules.
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// Whether a rule asks what the register says.
    pub fn asks_register(&self) -> bool {
        let asks = |rule: &Rule| {
            let on = |attribute| rule.conditions.of(attribute).is_some();
            on(Attribute::System) || on(Attribute::Register)
        };
        self.rules.iter().any(asks)
    }

    /// Identifier as stored in `policy_id`: the file's `id`, `default` where it names none, `none` without a policy.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Version as written in the file; empty without a policy.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// SHA-256 of the file's text.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is valid but cannot be meant, for example a rule that no exchange can reach.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }
}

fn read_policy(reader: &mut Reader, root: Option<&Node>) -> Option<Policy> {
    let Some(root) = root else {
        reader.problem(
            Position::default(),
            "an empty policy; it needs `version`, `default` and `rules`",
        );
        return None;
    };
    let map = reader.mapping(root, "a policy", &["id", "version", "default", "rules"])?;
    let id = reader
        .text_of(&map, "id")
        .map_or_else(|| "default".to_owned(), |id| id.value);
    let version = reader.required_text(&map, "a policy", "version");
    if let Some(version) = version.as_ref().filter(|version| version.value.is_empty()) {
        reader.problem(version.at, "`version` is empty");
    }
    let default = required_verdict(reader, &map, "a policy", "default");
    let rules = read_rules(reader, &map);
    Some(Policy {
        id,
        version: version?.value,
        default: default?,
        rules,
        index: Index::default(),
        digest: [0; 32],
        text: "".into(),
        warnings: Vec::new(),
    })
}

fn read_rules(reader: &mut Reader, map: &Map<'_>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut known = std::collections::HashSet::new();
    let mut budget = Budget { regexes: MAX_REGEXES };
    let list = map.get("rules").and_then(|node| reader.sequence(node, "`rules`"));
    for node in list.unwrap_or_default() {
        if rules.len() >= MAX_RULES {
            reader.problem(node.at, format!("more than {MAX_RULES} rules"));
            break;
        }
        let Some(rule) = read_rule(reader, node, &mut budget) else {
            continue;
        };
        if !known.insert(rule.id.clone()) {
            reader.problem(node.at, format!("rule `{}` stands twice", shown(&rule.id)));
        }
        rules.push(rule);
    }
    rules
}

fn required_verdict(reader: &mut Reader, map: &Map<'_>, what: &str, key: &str) -> Option<Verdict> {
    if map.get(key).is_none() {
        reader.problem(
            map.at,
            format!("{what} needs `{key}`, one of {}", Verdict::NAMES.join(", ")),
        );
    }
    reader
        .word_of(map, key, &Verdict::NAMES)
        .map(|index| Verdict::ALL[index])
}

fn read_rule(reader: &mut Reader, node: &Node, budget: &mut Budget) -> Option<Rule> {
    let mut keys = vec!["id", "verdict", "enforce"];
    keys.extend(Attribute::NAMES);
    keys.extend(FINDING_KEYS);
    let map = reader.mapping(node, "a rule", &keys)?;
    let id = reader.required_text(&map, "a rule", "id");
    let what = id.as_ref().map_or_else(
        || "a rule".to_owned(),
        |id| format!("rule `{}`", shown(&id.value)),
    );
    let verdict = required_verdict(reader, &map, &what, "verdict");
    let conditions = conditions::read_with_findings(reader, &map, &what, &Attribute::ALL, budget);
    if verdict == Some(Verdict::Sanctioned) {
        for (attribute, _) in conditions.iter().filter(|(attribute, _)| attribute.is_claim()) {
            let key = attribute.name();
            let at = map.get(key).map(|node| node.at).unwrap_or_default();
            let message = format!(
                "{what}: `{key}` is what somebody says of himself, and anybody can say it; a rule with the verdict \
                 sanctioned must not rest on it"
            );
            reader.problem(at, message);
        }
    }
    let enforce = reader.word_of(&map, "enforce", &Enforce::NAMES);
    let enforce = enforce.map_or(Enforce::No, |index| Enforce::ALL[index]);
    if enforce != Enforce::No {
        let at = map.get("enforce").map_or(node.at, |node| node.at);
        before::check(reader, at, &what, (verdict, &conditions));
    }
    Some(Rule {
        id: id?.value,
        at: node.at,
        verdict: verdict?,
        conditions,
        enforce,
    })
}
