//! The rule pack: YAML in, compiled rules out, every problem named with file, line and rule.
//!
//! A pattern is written once, in the syntax that vectorscan and the `regex` crate share (no look-around, no back
//! reference, ASCII classes). What may not stand directly before and after a value is said apart, in `before` and
//! `after`, as the inside of a character class: a token in the middle of a longer one is not that token.

use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};
use sha2::{Digest, Sha256};
use vectorscan_rs::{Error as HsError, Flag, Pattern, StreamingDatabase};

use super::validate::Validator;
use super::{Class, Severity};
use crate::config::yaml::{self, At, Map, Node, Problem, Reader, shown};

mod builtin;

pub use builtin::BUILTIN;

/// Most rules in one set.
pub const MAX_RULES: usize = 2_000;
/// Longest pattern, in bytes.
pub const MAX_PATTERN: usize = 4_096;
/// Bytes before a value that `unless_before` sees.
pub const BEFORE_BYTES: usize = 128;
/// Budget of one compiled confirming pattern, in bytes.
const REGEX_SIZE: usize = 4 * 1024 * 1024;

/// Words near a match that speak for it.
#[derive(Debug, Clone)]
pub struct Context {
    /// Words in lower case, at least one of which must occur before the value.
    pub words: Vec<String>,
    /// How far before the value they are looked for, in bytes.
    pub within: usize,
    /// Without a word the match does not count.
    pub required: bool,
}

/// One rule, compiled.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Identifier as stored, for example `aws_access_key_id`.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Kind of what it finds.
    pub class: Class,
    /// Severity of a real one.
    pub severity: Severity,
    /// Counts only where no other rule finds something that overlaps: a general rule beside special ones.
    pub fallback: bool,
    /// Check of the value.
    pub validator: Option<Validator>,
    /// Least entropy of the value, in bits per byte; 0 for no floor.
    pub entropy: f64,
    /// Words that speak for a match.
    pub context: Option<Context>,
    /// Texts that must be found by this rule, templates as in [`expand_example`].
    pub examples: Vec<String>,
    /// Texts that must not.
    pub counter_examples: Vec<String>,
    /// Patterns of what may not stand before a value, tried on up to [`BEFORE_BYTES`] bytes before it.
    pub(super) unless_before: Vec<Regex>,
    /// Values that are placeholders, not data: never reported.
    pub(super) placeholders: Vec<Regex>,
    /// Published example values: reported as such.
    pub(super) documented: Vec<Regex>,
    /// What belongs to the value after the match, for redaction (the rest of a key block).
    pub(super) extend: Option<Regex>,
    /// Confirms a match that ends at the end of the haystack; group 1 is the value.
    pub(super) confirm: Regex,
    /// What vectorscan compiles.
    expression: String,
    at: At<()>,
    file: String,
}

/// A set of rules with its vectorscan database. Cheap to clone, may go to another thread.
#[derive(Debug, Clone)]
pub struct Rules {
    version: String,
    digest: [u8; 32],
    rules: Vec<Arc<Rule>>,
    database: Option<Arc<StreamingDatabase>>,
}

impl Rules {
    /// The built-in packs; an error is a mistake in them that a test finds before a user does.
    pub fn builtin() -> Result<Self, Vec<Problem>> {
        let (rules, problems) = Self::load(BUILTIN, &[]);
        if problems.is_empty() {
            Ok(rules)
        } else {
            Err(problems)
        }
    }

    /// One pack. Rules with a problem are left out; the rest works.
    pub fn parse(file: &str, text: &str) -> (Self, Vec<Problem>) {
        Self::load(&[(file, text)], &[])
    }

    /// Several packs, each a file name and its text, without the rules named in `disable`. An identifier given
    /// twice is a problem; the first one stays. The version is that of each pack, each one once, joined by `+`.
    pub fn load(packs: &[(&str, &str)], disable: &[String]) -> (Self, Vec<Problem>) {
        let mut rules: Vec<Rule> = Vec::new();
        let mut versions: Vec<String> = Vec::new();
        let mut problems = Vec::new();
        let mut digest = Sha256::new();
        for (file, text) in packs {
            digest.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(text.as_bytes());
            let mut reader = Reader::new(file);
            match yaml::parse(file, text) {
                Ok(root) => {
                    let version = read_pack(&mut reader, file, root.as_ref(), &mut rules);
                    versions.extend(version.filter(|v| !versions.contains(v)));
                }
                Err(problem) => reader.add(problem),
            }
            problems.extend(reader.finish());
        }
        problems.extend(disable_rules(&mut rules, disable));
        for id in disable {
            digest.update(b"-");
            digest.update(id.as_bytes());
        }
        let database = compile(&mut rules, &mut problems);
        let rules = rules.into_iter().map(Arc::new).collect();
        (
            Self {
                version: versions.join("+"),
                digest: digest.finalize().into(),
                rules,
                database,
            },
            problems,
        )
    }

    /// Version of the pack or packs, as stored in `rule_version`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// SHA-256 over the text of all packs and the list of disabled rules, as stored in `rule_pack_sha256`.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The rules in use.
    pub fn list(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// The compiled patterns; `None` where no rule is in use. Outside of this stage only for benchmarks, which compare
    /// with vectorscan alone.
    pub fn database(&self) -> Option<Arc<StreamingDatabase>> {
        self.database.clone()
    }
}

fn disable_rules(rules: &mut Vec<Rule>, disable: &[String]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for id in disable {
        let before = rules.len();
        rules.retain(|rule| rule.id != *id);
        if rules.len() == before {
            let message = format!("rules.disable names `{}`, which is no rule", shown(id));
            problems.push(Problem {
                file: "configuration".to_owned(),
                line: 0,
                column: 0,
                message,
            });
        }
    }
    problems
}

/// Compiles all patterns together. vectorscan names one bad pattern at a time: it is left out and the rest tried
/// again.
fn compile(rules: &mut Vec<Rule>, problems: &mut Vec<Problem>) -> Option<Arc<StreamingDatabase>> {
    while !rules.is_empty() {
        let pattern = |(id, rule): (u32, &Rule)| {
            Pattern::new(rule.expression.clone().into_bytes(), Flag::default(), Some(id))
        };
        let error = match StreamingDatabase::new((0..).zip(rules.iter()).map(pattern).collect()) {
            Ok(database) => return Some(Arc::new(database)),
            Err(error) => error,
        };
        let index = match &error {
            HsError::HyperscanCompile(_, index) => usize::try_from(*index).ok().filter(|i| *i < rules.len()),
            HsError::Nul(_) | HsError::Hyperscan(..) => None,
        };
        let left_out = match index {
            Some(index) => vec![rules.remove(index)],
            None => std::mem::take(rules),
        };
        for rule in left_out {
            let message = format!(
                "rule `{}` left out: vectorscan refuses its pattern: {error}",
                rule.id
            );
            problems.push(Problem {
                file: rule.file,
                line: rule.at.at.line,
                column: rule.at.at.column,
                message,
            });
        }
    }
    None
}

fn read_pack(reader: &mut Reader, file: &str, root: Option<&Node>, rules: &mut Vec<Rule>) -> Option<String> {
    let Some(root) = root else {
        reader.problem(
            yaml::Position::default(),
            "an empty rule pack; it needs `version` and `rules`",
        );
        return None;
    };
    let map = reader.mapping(root, "a rule pack", &["version", "rules"])?;
    let version = reader
        .required_text(&map, "a rule pack", "version")
        .map(|v| v.value);
    let Some(list) = map.get("rules") else {
        reader.problem(map.at, "a rule pack needs `rules`");
        return version;
    };
    for node in reader.sequence(list, "`rules`").unwrap_or_default() {
        if rules.len() >= MAX_RULES {
            reader.problem(node.at, format!("more than {MAX_RULES} rules"));
            break;
        }
        let Some(rule) = read_rule(reader, file, node) else {
            continue;
        };
        if rules.iter().any(|r| r.id == rule.id) {
            reader.problem(
                node.at,
                format!("rule `{}` is there already; this one is left out", rule.id),
            );
        } else {
            rules.push(rule);
        }
    }
    version
}

const RULE_KEYS: [&str; 18] = [
    "id",
    "name",
    "class",
    "severity",
    "pattern",
    "trigger",
    "before",
    "after",
    "validator",
    "entropy",
    "context",
    "unless_before",
    "placeholders",
    "documented",
    "extend",
    "match",
    "no_match",
    "fallback",
];

fn read_rule(reader: &mut Reader, file: &str, node: &Node) -> Option<Rule> {
    let map = reader.mapping(node, "a rule", &RULE_KEYS)?;
    let id = reader.required_text(&map, "a rule", "id")?;
    if !is_identifier(&id.value) {
        let got = shown(&id.value);
        reader.problem(
            id.at,
            format!("`{got}`: an id is 1 to 64 lower-case letters, digits and underscores"),
        );
        return None;
    }
    let what = format!("rule `{}`", id.value);
    let name = reader.required_text(&map, &what, "name");
    let class = required_word(reader, &map, &what, "class", &Class::NAMES).map(|i| Class::ALL[i]);
    let severity = required_word(reader, &map, &what, "severity", &Severity::NAMES).map(|i| Severity::ALL[i]);
    let validator = reader
        .word_of(&map, "validator", &Validator::NAMES)
        .map(|i| Validator::ALL[i]);
    let fallback = reader.flag_of(&map, "fallback").unwrap_or(false);
    let entropy = reader
        .number_of(&map, "entropy", (0.0, 8.0))
        .map_or(0.0, |e| e.value);
    let context = read_context(reader, &map);
    let unless_before = read_regexes(reader, &map, &what, "unless_before");
    let placeholders = read_regexes(reader, &map, &what, "placeholders");
    let documented = read_regexes(reader, &map, &what, "documented");
    let extend = reader.text_of(&map, "extend").and_then(|text| {
        let anchored = At {
            at: text.at,
            value: format!(r"\A(?:{})", text.value),
        };
        read_regex(reader, &what, "extend", &anchored)
    });
    let examples = reader
        .texts_of(&map, "match")
        .into_iter()
        .map(|t| t.value)
        .collect();
    let counter_examples = reader
        .texts_of(&map, "no_match")
        .into_iter()
        .map(|t| t.value)
        .collect();
    let (expression, confirm) = read_pattern(reader, &map, &what)?;
    Some(Rule {
        id: id.value,
        name: name?.value,
        class: class?,
        severity: severity?,
        fallback,
        validator,
        entropy,
        context,
        examples,
        counter_examples,
        unless_before,
        placeholders,
        documented,
        extend,
        confirm,
        expression,
        at: At {
            at: node.at,
            value: (),
        },
        file: file.to_owned(),
    })
}

fn is_identifier(id: &str) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (1..=64).contains(&id.len()) && id.bytes().all(letter)
}

fn required_word(reader: &mut Reader, map: &Map<'_>, what: &str, key: &str, words: &[&str]) -> Option<usize> {
    if map.get(key).is_none() {
        reader.problem(
            map.at,
            format!("{what} needs `{key}`, one of {}", words.join(", ")),
        );
    }
    reader.word_of(map, key, words)
}

fn read_context(reader: &mut Reader, map: &Map<'_>) -> Option<Context> {
    let inner = reader.mapping(map.get("context")?, "`context`", &["words", "within", "required"])?;
    let words: Vec<String> = reader
        .texts_of(&inner, "words")
        .into_iter()
        .map(|w| w.value.to_ascii_lowercase())
        .collect();
    if words.is_empty() {
        reader.problem(inner.at, "`context` needs `words`");
        return None;
    }
    let within = reader
        .integer_of(&inner, "within", (1, 1024))
        .map_or(64, |n| n.value);
    let required = reader.flag_of(&inner, "required").unwrap_or(false);
    Some(Context {
        words,
        within: usize::try_from(within).unwrap_or(1024),
        required,
    })
}

fn read_regexes(reader: &mut Reader, map: &Map<'_>, what: &str, key: &str) -> Vec<Regex> {
    let texts = reader.texts_of(map, key);
    texts
        .iter()
        .filter_map(|text| read_regex(reader, what, key, text))
        .collect()
}

fn read_regex(reader: &mut Reader, what: &str, key: &str, text: &At<String>) -> Option<Regex> {
    match build(&text.value) {
        Ok(regex) => Some(regex),
        Err(reason) => {
            reader.problem(text.at, format!("{what}: `{key}` is no valid pattern: {reason}"));
            None
        }
    }
}

fn build(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > MAX_PATTERN {
        return Err(format!("longer than {MAX_PATTERN} bytes"));
    }
    let regex = RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(REGEX_SIZE)
        .build();
    // The library's message shows the pattern over several lines; the last one says what is wrong.
    regex.map_err(|e| e.to_string().lines().last().unwrap_or_default().trim().to_owned())
}

/// The pattern with its surroundings, for vectorscan and for confirming, and the group that holds the value.
fn read_pattern(reader: &mut Reader, map: &Map<'_>, what: &str) -> Option<(String, Regex)> {
    let pattern = reader.required_text(map, what, "pattern")?;
    // On its own first: a stray bracket must not be made good by what is put around it.
    let groups = read_regex(reader, &format!("{what} left out"), "pattern", &pattern)?.captures_len() - 1;
    if groups > 1 {
        reader.problem(
            pattern.at,
            format!("{what} left out: its pattern has {groups} groups; one at most, the value"),
        );
        return None;
    }
    let edge = |class: Option<At<String>>, end: &str| match class {
        None => format!("(?:{end}|[^A-Za-z0-9_])"),
        Some(class) if class.value == "any" => String::new(),
        Some(class) => format!("(?:{end}|[^{}])", class.value),
    };
    let before = edge(reader.text_of(map, "before"), r"\A");
    let after = edge(reader.text_of(map, "after"), r"\z");
    let core = if groups == 0 {
        format!("({})", pattern.value)
    } else {
        format!("(?:{})", pattern.value)
    };
    let whole = format!("{before}{core}{after}");
    let expression = match reader.text_of(map, "trigger") {
        Some(trigger) => format!("(?:{}){after}", trigger.value),
        None => whole.clone(),
    };
    let confirm = At {
        at: pattern.at,
        value: format!(r"(?:{whole})\z"),
    };
    let confirm = read_regex(reader, &format!("{what} left out"), "pattern", &confirm)?;
    if confirm.is_match(b"") {
        reader.problem(
            pattern.at,
            format!("{what} left out: its pattern fits the empty text"),
        );
        return None;
    }
    Some((expression, confirm))
}

/// Fills the templates of an example: `<alnum:20>` becomes 20 letters and digits, always the same ones for the
/// same template. So the pack holds no string that a scanner would take for a real secret.
pub fn expand_example(template: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(open) = rest.find('<') {
        let (before, from) = rest.split_at(open);
        out.push_str(before);
        let filled = from[1..]
            .split_once('>')
            .and_then(|(inside, after)| Some((fill(inside)?, after)));
        match filled {
            Some((text, after)) => {
                out.push_str(&text);
                rest = after;
            }
            None => {
                out.push('<');
                rest = &from[1..];
            }
        }
    }
    out + rest
}

fn fill(inside: &str) -> Option<String> {
    let (class, count) = inside.split_once(':')?;
    let alphabet: &[u8] = match class {
        "alnum" => b"aB3kZ9mQ2xR7tLw5YcD8vPn4HsG6jFu1eKqS",
        "alpha" => b"aBkZmQxRtLwYcDvPnHsGjFueKqbTzNd",
        "lower" => b"q7k2m9x4r8t3w6y5c1v0pnhsgjfuedb",
        "base32" => b"K7Q2M3X4R5T6WYCVPNHSGJFUEDBZL",
        "b64" => b"aB3/kZ9+mQ2xR7tLw5YcD8vPn4HsG6jFu1eKq",
        "b64url" => b"aB3_kZ9-mQ2xR7tLw5YcD8vPn4HsG6jFu1eKq",
        "hex" => b"7f3a9c0e5b2d8146",
        "digit" => b"7392058164",
        _ => return None,
    };
    let count: usize = count.parse().ok().filter(|n| *n <= 1024)?;
    // A stride that shares no factor with the length visits every letter before it repeats.
    let index = |i: usize| (i * 7 + i / alphabet.len() * 3) % alphabet.len();
    Some((0..count).map(|i| char::from(alphabet[index(i)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "version: '1'\nrules:\n  - {id: good, name: n, class: secret, severity: low, pattern: 'tok-[0-9]{4}'}\n";

    #[test]
    fn the_built_in_pack_has_no_problem() {
        let rules = Rules::builtin().unwrap();
        assert!(rules.list().len() >= 20);
        assert!(!rules.version().contains('+'), "built-in packs have one version");
        for rule in rules.list() {
            assert!(
                !rule.examples.is_empty() && !rule.counter_examples.is_empty(),
                "{} lacks examples",
                rule.id
            );
        }
    }

    #[test]
    fn the_digest_covers_text_and_disabled_rules() {
        let base = Rules::load(&[("a", RULE)], &[]).0;
        assert_ne!(
            base.digest(),
            Rules::load(&[("a", &format!("{RULE}# more"))], &[]).0.digest()
        );
        let (rules, problems) = Rules::load(&[("a", RULE)], &["good".to_owned(), "nosuch".to_owned()]);
        assert_ne!(base.digest(), rules.digest());
        assert!(rules.list().is_empty());
        assert_eq!(problems.len(), 1);
        assert!(problems[0].to_string().contains("`nosuch`"), "{problems:?}");
    }

    #[test]
    fn all_problems_at_once_and_the_rest_loads() {
        let text = "\
version: '1'
rules:
  - {id: good, name: n, class: secret, severity: low, pattern: 'tok-[0-9]{4}'}
  - {id: bad_regex, name: n, class: secret, severity: low, pattern: 'a[0-9'}
  - {id: bad_class, name: n, class: secrets, severity: low, pattern: 'aaaa'}
  - {id: Bad-Id, name: n, class: secret, severity: low, pattern: 'aaaa'}
  - {id: no_pattern, name: n, class: secret, severity: low}
  - {id: empty_fits, name: n, class: secret, severity: low, pattern: 'a*', before: any, after: any}
  - {id: bad_for_vectorscan, name: n, class: secret, severity: low, pattern: '(?:a{1,30000}b){1,30000}'}
  - {id: good, name: n, class: secret, severity: low, pattern: 'other'}
  - {id: typo, name: n, clas: secret, severity: low, pattern: 'other'}
";
        let (rules, problems) = Rules::parse("mine.yaml", text);
        assert_eq!(
            rules.list().iter().map(|r| r.id.as_str()).collect::<Vec<_>>(),
            ["good"]
        );
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let wanted = [
            ("mine.yaml:4:", "`bad_regex` left out"),
            ("mine.yaml:5:", "did you mean `secret`"),
            ("mine.yaml:6:", "Bad-Id"),
            ("mine.yaml:7:", "needs `pattern`"),
            ("mine.yaml:8:", "fits the empty text"),
            ("mine.yaml:9:", "`bad_for_vectorscan` left out"),
            ("mine.yaml:10:", "is there already"),
            ("mine.yaml:11:", "did you mean `class`"),
        ];
        for (place, words) in wanted {
            assert!(
                shown.iter().any(|s| s.starts_with(place) && s.contains(words)),
                "{place} {words}: {shown:#?}"
            );
        }
    }

    #[test]
    fn what_only_vectorscan_refuses_is_left_out_too() {
        // Valid for the regex crate, unsupported by vectorscan: a half word boundary.
        let text = format!(
            "{RULE}  - {{id: half, name: n, class: secret, severity: low, pattern: '\\b{{start}}abcd'}}\n"
        );
        let (rules, problems) = Rules::parse("mine.yaml", &text);
        assert_eq!(rules.list().len(), 1);
        assert!(
            problems[0]
                .to_string()
                .starts_with("mine.yaml:4:5: rule `half` left out"),
            "{problems:?}"
        );
    }

    #[test]
    fn templates_are_filled() {
        assert_eq!(expand_example("a<digit:3>b<x"), "a710b<x");
        assert_eq!(expand_example("<nosuch:3> <b>"), "<nosuch:3> <b>");
        assert_eq!(expand_example("<alnum:36>").len(), 36);
    }
}
