//! The text of one pack into its rules.

use regex::bytes::{Regex, RegexBuilder};

use super::form::{self, Form, Parts};
use super::{Context, MAX_PATTERN, MAX_RULES, Rank, Rule, assign, spelling};
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
    let form = read_form(reader, &map, context.as_ref())?;
    Some(Rule {
        id: id.value,
        name: name?.value,
        class: class?,
        severity: severity?,
        rank: match (general, map.get("assign").is_some()) {
            (true, _) => Rank::General,
            (false, true) => Rank::Assigned,
            (false, false) => Rank::Special,
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
        form,
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
        numbers: Vec::new(),
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

/// What is wrong, in one line. The library's message shows the pattern over several lines; the last one says it.
fn reason(error: regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => format!("too large: more than {limit} bytes when compiled"),
        error => form::last_line(&error),
    }
}

fn read_form(reader: &mut Reader, map: &Map<'_>, context: Option<&Context>) -> Option<Form> {
    match (map.get("pattern"), map.get("assign")) {
        (Some(_), None) => read_pattern(reader, map, context),
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
    let (before, after) = read_edges(reader, map, ("any", ASSIGN_AFTER))?;
    let parts = Parts {
        core: assign::pattern(&words, &value.value),
        lead: Some(format!("(?i:{words})")),
        before,
        after,
        context: None,
    };
    form_of(reader, at, parts)
}

fn read_pattern(reader: &mut Reader, map: &Map<'_>, context: Option<&Context>) -> Option<Form> {
    let pattern = reader.required_text(map, "it", "pattern")?;
    // On its own: a stray bracket must not be made good by what is put around it.
    let groups = match form::parse(&pattern.value) {
        Ok(hir) => hir.properties().explicit_captures_len(),
        Err(reason) => {
            reader.problem(pattern.at, format!("`pattern` is no valid pattern: {reason}"));
            return None;
        }
    };
    if groups > 1 {
        reader.problem(
            pattern.at,
            format!("its pattern has {groups} groups; one at most, the value"),
        );
        return None;
    }
    let (before, after) = read_edges(reader, map, (EDGE, EDGE))?;
    let parts = Parts {
        core: pattern.value.clone(),
        lead: reader.text_of(map, "trigger").map(|trigger| trigger.value),
        before,
        after,
        context: context.filter(|context| context.required && !context.after && !context.alone),
    };
    form_of(reader, pattern.at, parts)
}

fn form_of(reader: &mut Reader, at: Position, parts: Parts<'_>) -> Option<Form> {
    match Form::new(parts) {
        Ok(form) => Some(form),
        Err(reason) => {
            reader.problem(at, reason);
            None
        }
    }
}

/// What may not stand at the two ends of a value, as the inside of a class; `any` for no restriction.
fn read_edges(reader: &mut Reader, map: &Map<'_>, default: (&str, &str)) -> Option<(String, String)> {
    let mut edge = |key: &str, default: &str| {
        let Some(class) = reader.text_of(map, key) else {
            return Some(default.to_owned());
        };
        if class.value != "any"
            && let Err(reason) = form::class(&class.value)
        {
            reader.problem(class.at, format!("`{key}` is no inside of a class: {reason}"));
            return None;
        }
        Some(class.value)
    };
    Some((edge("before", default.0)?, edge("after", default.1)?))
}
