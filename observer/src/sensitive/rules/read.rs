//! The text of one pack into its rules.

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use super::{Context, First, MAX_PATTERN, MAX_RULES, Rank, Rule, assign, spelling};
use crate::config::yaml::{At, Map, Node, Position, Problem, Reader, shown};
use crate::sensitive::validate::Validator;
use crate::sensitive::{Class, Severity};

/// Budget of one compiled pattern, in bytes.
const REGEX_SIZE: usize = 4 * 1024 * 1024;
/// What may not stand around a value where a rule says nothing.
const EDGE: &str = "A-Za-z0-9_";
/// The same after a value of an `assign` rule.
const ASSIGN_AFTER: &str = "A-Za-z0-9_-";

/// Adds the rules of one pack to `rules`, and what is wrong with single ones to `left_out`. Gives the pack's version.
pub(super) fn pack(
    reader: &mut Reader,
    file: &str,
    root: Option<&Node>,
    rules: &mut Vec<Rule>,
    left_out: &mut Vec<Problem>,
) -> Option<String> {
    let Some(root) = root else {
        reader.problem(
            Position::default(),
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
        let mut own = Reader::new(file);
        if rules.len() >= MAX_RULES {
            own.problem(
                node.at,
                format!("more than {MAX_RULES} rules; the rest is left out"),
            );
            left_out.extend(own.finish());
            break;
        }
        let rule = one_rule(&mut own, file, node);
        let twin = rule
            .as_ref()
            .and_then(|rule| rules.iter().find(|r| r.id == rule.id));
        if let (Some(rule), Some(twin)) = (&rule, twin) {
            let message = format!(
                "`{}` is there already, in {}:{}",
                rule.id, twin.file, twin.at.line
            );
            own.problem(node.at, message);
        }
        if own.is_clean() {
            rules.extend(rule);
        } else {
            left_out.extend(joined(own, node));
        }
    }
    version
}

/// All problems of one rule as one, at the place of the first, which says which rule is left out.
fn joined(reader: Reader, node: &Node) -> Option<Problem> {
    let id = identifier(node).map_or("a rule without a proper id".to_owned(), |id| {
        format!("rule `{id}`")
    });
    let mut problems = reader.finish().into_iter();
    let mut first = problems.next()?;
    first.message = format!("{id} left out: {}", first.message);
    for more in problems {
        let message = match more.line {
            line if line == first.line => format!("; {}", more.message),
            line => format!("; line {line}: {}", more.message),
        };
        first.message.push_str(&message);
    }
    Some(first)
}

fn identifier(node: &Node) -> Option<String> {
    let mut quiet = Reader::new("");
    let map = quiet.mapping(node, "", &RULE_KEYS)?;
    let id = quiet.text_of(&map, "id")?.value;
    is_identifier(&id).then_some(id)
}

const RULE_KEYS: [&str; 19] = [
    "id",
    "name",
    "class",
    "severity",
    "pattern",
    "assign",
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

fn one_rule(reader: &mut Reader, file: &str, node: &Node) -> Option<Rule> {
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
    let name = reader.required_text(&map, "it", "name");
    let class = required_word(reader, &map, "class", &Class::NAMES).map(|i| Class::ALL[i]);
    let severity = required_word(reader, &map, "severity", &Severity::NAMES).map(|i| Severity::ALL[i]);
    let validator = reader
        .word_of(&map, "validator", Validator::NAMES)
        .map(|i| Validator::ALL[i]);
    let general = reader.flag_of(&map, "fallback").unwrap_or(false);
    let entropy = reader
        .number_of(&map, "entropy", (0.0, 8.0))
        .map_or(0.0, |e| e.value);
    let context = read_context(reader, &map);
    let unless_before = read_regexes(reader, &map, "unless_before");
    let placeholders = read_regexes(reader, &map, "placeholders");
    let documented = read_regexes(reader, &map, "documented");
    let extend = reader.text_of(&map, "extend").and_then(|text| {
        let anchored = At {
            at: text.at,
            value: format!(r"\A(?:{})", text.value),
        };
        read_regex(reader, "extend", &anchored)
    });
    let examples = texts(reader, &map, "match");
    let counter_examples = texts(reader, &map, "no_match");
    let form = read_form(reader, &map)?;
    Some(Rule {
        id: id.value,
        name: name?.value,
        class: class?,
        severity: severity?,
        rank: match (general, &form.first) {
            (true, _) => Rank::General,
            (false, First::Words(_)) => Rank::Assigned,
            (false, First::Own(_)) => Rank::Special,
        },
        validator,
        entropy,
        context,
        examples,
        counter_examples,
        unless_before,
        placeholders,
        documented,
        extend,
        reach: form.reach,
        confirm: form.confirm,
        first: form.first,
        at: node.at,
        file: file.to_owned(),
    })
}

fn texts(reader: &mut Reader, map: &Map<'_>, key: &str) -> Vec<String> {
    reader.texts_of(map, key).into_iter().map(|t| t.value).collect()
}

fn is_identifier(id: &str) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (1..=64).contains(&id.len()) && id.bytes().all(letter)
}

fn required_word(reader: &mut Reader, map: &Map<'_>, key: &str, words: &[&str]) -> Option<usize> {
    if map.get(key).is_none() {
        reader.problem(map.at, format!("it needs `{key}`, one of {}", words.join(", ")));
    }
    reader.word_of(map, key, words)
}

fn read_context(reader: &mut Reader, map: &Map<'_>) -> Option<Context> {
    let keys = ["words", "whole", "within", "required", "after", "alone"];
    let inner = reader.mapping(map.get("context")?, "`context`", &keys)?;
    let mut lower = |key| -> Vec<String> {
        let words = texts(reader, &inner, key).into_iter();
        words.flat_map(|w| spelling::of(&w)).collect()
    };
    let (words, whole) = (lower("words"), lower("whole"));
    if words.is_empty() && whole.is_empty() {
        reader.problem(inner.at, "`context` needs `words` or `whole`");
        return None;
    }
    let within = reader
        .integer_of(&inner, "within", (1, 1024))
        .map_or(64, |n| n.value);
    let required = reader.flag_of(&inner, "required").unwrap_or(false);
    Some(Context {
        words,
        whole,
        after: reader.flag_of(&inner, "after").unwrap_or(false),
        alone: reader.flag_of(&inner, "alone").unwrap_or(false),
        within: usize::try_from(within).unwrap_or(1024),
        required,
    })
}

fn read_regexes(reader: &mut Reader, map: &Map<'_>, key: &str) -> Vec<Regex> {
    let texts = reader.texts_of(map, key);
    texts
        .iter()
        .filter_map(|text| read_regex(reader, key, text))
        .collect()
}

fn read_regex(reader: &mut Reader, key: &str, text: &At<String>) -> Option<Regex> {
    match build(&text.value) {
        Ok(regex) => Some(regex),
        Err(reason) => {
            reader.problem(text.at, format!("`{key}` is no valid pattern: {reason}"));
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
    regex.map_err(reason)
}

/// Several patterns, of which one asks which ones occur.
pub(super) fn build_set(patterns: &[String]) -> Result<RegexSet, String> {
    let set = RegexSetBuilder::new(patterns)
        .unicode(false)
        .size_limit(4 * REGEX_SIZE)
        .build();
    set.map_err(reason)
}

/// What is wrong, in one line. The library's message shows the pattern over several lines; the last one says it.
fn reason(error: regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => format!("too large: more than {limit} bytes when compiled"),
        error => error
            .to_string()
            .lines()
            .last()
            .unwrap_or_default()
            .trim()
            .to_owned(),
    }
}

/// How a rule looks.
struct Form {
    first: First,
    confirm: Regex,
    reach: Option<usize>,
}

fn read_form(reader: &mut Reader, map: &Map<'_>) -> Option<Form> {
    match (map.get("pattern"), map.get("assign")) {
        (Some(_), None) => read_pattern(reader, map),
        (None, Some(_)) => read_assign(reader, map),
        (None, None) => {
            reader.problem(map.at, "it needs `pattern` or `assign`");
            None
        }
        (Some(_), Some(node)) => {
            reader.problem(
                node.at,
                "`assign` stands beside `pattern`; a rule has one of them",
            );
            None
        }
    }
}

fn read_assign(reader: &mut Reader, map: &Map<'_>) -> Option<Form> {
    let (words, value) = assign::read(reader, map)?;
    let at = map.get("assign").map_or(map.at, |node| node.at);
    let value = At { at, value };
    if read_regex(reader, "value", &value)?.captures_len() > 1 {
        reader.problem(at, "the value of `assign` has a group; use (?:...)");
        return None;
    }
    if map.get("trigger").is_some() {
        reader.problem(map.at, "`assign` takes no `trigger`");
    }
    let before = edge(reader.text_of(map, "before").as_ref(), "any", r"\A");
    let after = edge(reader.text_of(map, "after").as_ref(), ASSIGN_AFTER, r"\z");
    let pattern = assign::pattern(&words, &value.value);
    let confirm = confirming(reader, at, &format!("{before}{pattern}{after}"))?;
    Some(Form {
        first: First::Words(words),
        confirm,
        reach: Some(assign::REACH),
    })
}

/// The pattern with its surroundings, for vectorscan and for confirming, and the group that holds the value.
fn read_pattern(reader: &mut Reader, map: &Map<'_>) -> Option<Form> {
    let pattern = reader.required_text(map, "it", "pattern")?;
    // On its own first: a stray bracket must not be made good by what is put around it.
    let groups = read_regex(reader, "pattern", &pattern)?.captures_len() - 1;
    if groups > 1 {
        reader.problem(
            pattern.at,
            format!("its pattern has {groups} groups; one at most, the value"),
        );
        return None;
    }
    let before = edge(reader.text_of(map, "before").as_ref(), EDGE, r"\A");
    let after = edge(reader.text_of(map, "after").as_ref(), EDGE, r"\z");
    let core = if groups == 0 {
        format!("({})", pattern.value)
    } else {
        format!("(?:{})", pattern.value)
    };
    let whole = format!("{before}{core}{after}");
    let confirm = confirming(reader, pattern.at, &whole)?;
    let reach = longest(&whole);
    let expression = match reader.text_of(map, "trigger") {
        Some(trigger) => format!("(?:{}){after}", trigger.value),
        None => whole,
    };
    Some(Form {
        first: First::Own(expression),
        confirm,
        reach,
    })
}

/// What stands at one end of a value: the end of the text, or anything but these characters.
fn edge(class: Option<&At<String>>, default: &str, end: &str) -> String {
    match class.map_or(default, |class| class.value.as_str()) {
        "any" => String::new(),
        class => format!("(?:{end}|[^{class}])"),
    }
}

fn confirming(reader: &mut Reader, at: Position, whole: &str) -> Option<Regex> {
    let value = format!(r"(?:{whole})\z");
    let confirm = read_regex(reader, "pattern", &At { at, value })?;
    if confirm.is_match(b"") {
        reader.problem(at, "its pattern fits the empty text");
        return None;
    }
    Some(confirm)
}

/// Most bytes that a match of the pattern can have.
fn longest(pattern: &str) -> Option<usize> {
    let mut parser = regex_syntax::ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .build();
    parser.parse(pattern).ok()?.properties().maximum_len()
}
