//! The pattern of a rule: what is tried, what may stand around it, what makes the scan look.

use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};
use regex_automata::nfa::thompson::{self, NFA};
use regex_syntax::hir::{Hir, HirKind};

use super::bytes::ByteSet;
use super::head::Head;
use super::run::Run;
use super::trigger::{self, Trigger};
use super::{Context, MAX_PATTERN};

/// Budget of one compiled pattern, in bytes.
const SIZE: usize = 4 * 1024 * 1024;
/// A match may begin with this byte.
const FIRST: u8 = 1;
/// No match may begin behind this byte.
const BEFORE: u8 = 2;
/// What is said of a pattern that nothing leads to.
const TOO_SLOW: &str = "too slow: its pattern could begin nearly anywhere, and each of these places would have to be \
                        examined; put a fixed word of three letters or more into it, a digit near its begin, or a \
                        `trigger` that begins with such words";

/// What a form is made of, as written.
pub(super) struct Parts<'a> {
    /// The pattern without what may stand around it.
    pub(super) core: String,
    /// A pattern that begins before the match, or with it, and says where to look.
    pub(super) lead: Option<String>,
    /// What may not stand directly before and after it.
    pub(super) before: String,
    pub(super) after: String,
    /// Words one of which must stand before it.
    pub(super) context: Option<&'a Context>,
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    core: String,
    edges: (String, String),
    /// Its group is the value, not all of it.
    grouped: bool,
    pub(crate) before: ByteSet,
    pub(crate) after: ByteSet,
    pub(crate) first: ByteSet,
    trigger: Trigger,
    /// What must be directly before and directly behind a literal of the trigger.
    pub(crate) beside: (ByteSet, ByteSet),
    /// What must be behind a literal of the trigger.
    pub(crate) behind: Option<Run>,
    pub(crate) head: Head,
    /// Of a pattern that begins with alternatives and is looked for by a sign, the head of each: what may be at some place often
    /// depends on the one before, and all together hardly refuse anything.
    pub(crate) branches: Vec<Head>,
    /// Bytes of the longest match.
    pub(crate) longest: Option<usize>,
    /// The byte with which every match begins, where there is only one.
    only_first: Option<u8>,
    /// What each byte may be: [`FIRST`], [`BEFORE`].
    roles: Box<[u8; 256]>,
    /// Finds the group. Most rules are never tried, so it is made when it is needed.
    confirm: OnceLock<Option<Regex>>,
    /// Of each alternative how it begins, and the bytes of its longest match. Made when it is needed.
    ways: OnceLock<Vec<(Head, Option<usize>)>>,
}

impl Form {
    /// Checks the parts; what is wrong with them otherwise.
    pub(super) fn new(parts: Parts<'_>) -> Result<Self, String> {
        let hir = parse(&parts.core)?;
        let head = Head::of(&automaton(&hir)?);
        if hir.properties().minimum_len() == Some(0) {
            return Err("its pattern fits the empty text".to_owned());
        }
        let edge = |class_text: &str| match class_text {
            "any" => Ok(ByteSet::default()),
            text => class(text),
        };
        let trigger = match &parts.lead {
            Some(lead) => {
                let lead = parse(lead)?;
                trigger::of_pattern(&hir).or_else(|| trigger::of_lead(&lead))
            }
            None => trigger::of_pattern(&hir).or_else(|| parts.context.and_then(of_context)),
        };
        let trigger = trigger.ok_or(TOO_SLOW)?;
        let (first, before) = (ByteSet::first_of(&hir), edge(&parts.before)?);
        Ok(Self {
            branches: match trigger {
                Trigger::Sign(..) => heads(&hir)?,
                _ => Vec::new(),
            },
            beside: beside(&trigger, before),
            behind: behind(&trigger, &hir),
            longest: hir.properties().maximum_len(),
            grouped: hir.properties().explicit_captures_len() > 0,
            only_first: first.iter().next().filter(|_| first.len() == 1),
            roles: roles(first, before),
            before,
            after: edge(&parts.after)?,
            first,
            trigger,
            head,
            core: parts.core,
            edges: (parts.before, parts.after),
            confirm: OnceLock::new(),
            ways: OnceLock::new(),
        })
    }

    pub(crate) fn trigger(&self) -> &Trigger {
        &self.trigger
    }

    /// The trigger is a sign that cannot be looked for together with those of the other rules: literals instead.
    pub(super) fn without_sign(&mut self) -> Result<(), String> {
        let hir = parse(&self.core)?;
        self.trigger = Trigger::Inside(trigger::literals_of(&hir).ok_or(TOO_SLOW)?);
        self.beside = beside(&self.trigger, self.before);
        self.behind = behind(&self.trigger, &hir);
        Ok(())
    }

    /// The pattern that is tried.
    pub(crate) fn core(&self) -> &str {
        &self.core
    }

    /// The pattern with what may stand around it.
    pub(super) fn expression(&self) -> String {
        let edge = |class: &str, end: &str| match class {
            "any" => String::new(),
            class => format!("(?:{end}|[^{class}])"),
        };
        let (before, after) = (edge(&self.edges.0, r"\A"), edge(&self.edges.1, r"\z"));
        format!("{before}(?:{}){after}", self.core)
    }

    /// The first place in `from..=last` at which a match may begin, by its first byte and the one before it.
    pub(crate) fn next_start(&self, text: &[u8], from: usize, last: usize) -> Option<usize> {
        let before = from.checked_sub(1).and_then(|at| text.get(at));
        let mut closed = before.is_some_and(|byte| self.before.has(*byte));
        let stretch = text.get(from..text.len().min(last + 1))?;
        if let Some(only) = self.only_first {
            let mut places = memchr::memchr_iter(only, stretch).map(|at| from + at);
            return places.find(|at| at.checked_sub(1).is_none_or(|at| !self.before.has(text[at])));
        }
        let found = stretch.iter().position(|byte| {
            let role = self.roles[usize::from(*byte)];
            let begins = !closed && role & FIRST != 0;
            closed = role & BEFORE != 0;
            begins
        });
        found.map(|at| from + at)
    }

    /// Whether a match may begin behind this byte, and end before this one; `None` at the ends of the text.
    pub(crate) fn fits(&self, before: Option<u8>, after: Option<u8>) -> bool {
        before.is_none_or(|byte| !self.before.has(byte)) && after.is_none_or(|byte| !self.after.has(byte))
    }

    /// Whether the value must be looked for in a match: it is not all of it.
    pub(crate) fn is_grouped(&self) -> bool {
        self.grouped
    }

    /// Whether a longer match could begin with this one. Not told where the value is not all of a match.
    pub(crate) fn may_go_on(&self, whole: &[u8]) -> bool {
        let ways = self.ways.get_or_init(|| {
            let Ok(hir) = parse(&self.core) else {
                return Vec::new();
            };
            let longest = branches(&hir)
                .into_iter()
                .map(|one| one.properties().maximum_len());
            heads(&hir).unwrap_or_default().into_iter().zip(longest).collect()
        });
        let longer = |(head, longest): &(Head, Option<usize>)| {
            longest.is_none_or(|longest| longest > whole.len()) && head.fits(whole)
        };
        self.grouped || ways.is_empty() || ways.iter().any(longer)
    }

    /// The value in a match.
    pub(crate) fn value(&self, text: &[u8], start: usize, end: usize) -> Option<(usize, usize)> {
        if !self.grouped {
            return Some((start, end));
        }
        let confirm = self.confirm.get_or_init(|| {
            let whole = format!(r"(?:{})\z", self.core);
            let regex = RegexBuilder::new(&whole)
                .unicode(false)
                .size_limit(2 * SIZE)
                .build();
            regex.ok()
        });
        let confirm = confirm.as_ref()?;
        let mut places = confirm.capture_locations();
        confirm.captures_read_at(&mut places, &text[..end], start)?;
        places.get(1).filter(|(start, end)| end > start)
    }
}

/// The heads of all alternatives with which a pattern begins.
fn heads(hir: &Hir) -> Result<Vec<Head>, String> {
    let branches = branches(hir);
    branches
        .iter()
        .map(|hir| Ok(Head::of(&automaton(hir)?)))
        .collect()
}

/// A pattern as alternatives.
fn branches(hir: &Hir) -> Vec<Hir> {
    match hir.kind() {
        HirKind::Capture(group) => branches(&group.sub),
        HirKind::Alternation(all) => all.iter().flat_map(branches).collect(),
        HirKind::Concat(parts) => {
            let first = parts.first().map(branches).unwrap_or_default();
            let rest = parts.get(1..).unwrap_or_default();
            let whole = |one: Hir| Hir::concat([&[one], rest].concat());
            first.into_iter().map(whole).collect()
        }
        _ => vec![hir.clone()],
    }
}

/// The bytes that can be directly before and directly behind a literal of the trigger.
fn beside(trigger: &Trigger, before: ByteSet) -> (ByteSet, ByteSet) {
    let Trigger::Inside(literals) = trigger else {
        return (ByteSet::ALL, ByteSet::ALL);
    };
    let first = match (literals.least, literals.most) {
        (0, Some(0)) => before.others(),
        (0, _) => ByteSet::ALL,
        _ => literals.lead,
    };
    let least = literals.rest.properties().minimum_len();
    let last = match least {
        Some(1..) => ByteSet::first_of(&literals.rest),
        _ => ByteSet::ALL,
    };
    (first, last)
}

/// What is behind a literal of the trigger wherever there is a match.
fn behind(trigger: &Trigger, hir: &Hir) -> Option<Run> {
    match trigger {
        Trigger::Inside(literals) => Run::of(&literals.rest),
        Trigger::Before(_, span) => Run::of(hir).and_then(|run| run.within(*span)),
        Trigger::Sign(..) => None,
    }
}

fn roles(first: ByteSet, before: ByteSet) -> Box<[u8; 256]> {
    let mut roles = Box::new([0; 256]);
    for (byte, role) in (0..=u8::MAX).zip(roles.iter_mut()) {
        *role = (FIRST * u8::from(first.has(byte))) | (BEFORE * u8::from(before.has(byte)));
    }
    roles
}

/// Words that must stand before a value lead to it.
fn of_context(context: &Context) -> Option<Trigger> {
    let words = context.words.iter().chain(&context.whole);
    let alternation: Vec<String> = words.map(|word| regex_syntax::escape(word)).collect();
    let lead = parse(&format!("(?i:{})", alternation.join("|"))).ok()?;
    match trigger::of_lead(&lead)? {
        Trigger::Before(literals, _) => Some(Trigger::Before(literals, context.within)),
        other => Some(other),
    }
}

/// The syntax of a pattern, or what is wrong with it, in one line.
pub(super) fn parse(pattern: &str) -> Result<Hir, String> {
    if pattern.len() > MAX_PATTERN {
        return Err(format!("longer than {MAX_PATTERN} bytes"));
    }
    let mut parser = regex_syntax::ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .build();
    parser.parse(pattern).map_err(|error| last_line(&error))
}

/// The bytes of a class of which this is the inside.
pub(super) fn class(inside: &str) -> Result<ByteSet, String> {
    match parse(&format!("[{inside}]"))?.kind() {
        HirKind::Class(class) => ByteSet::of_class(class).ok_or("not of single bytes".to_owned()),
        HirKind::Literal(text) if text.0.len() == 1 => Ok(ByteSet::of(text.0.iter().copied())),
        _ => Err("no class of bytes".to_owned()),
    }
}

/// A library's message shows the pattern over several lines; the last one says what is wrong.
pub(super) fn last_line(error: &dyn std::fmt::Display) -> String {
    error
        .to_string()
        .lines()
        .last()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// The automaton of a pattern, which must not be too large.
fn automaton(pattern: &Hir) -> Result<NFA, String> {
    let built = NFA::compiler()
        .configure(
            thompson::Config::new()
                .utf8(false)
                .which_captures(thompson::WhichCaptures::None)
                .nfa_size_limit(Some(SIZE)),
        )
        .build_from_hir(pattern);
    built.map_err(|error| match error.size_limit() {
        Some(_) => format!("too large: more than {SIZE} bytes when compiled"),
        None => last_line(&error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(core: &str, before: &str) -> Form {
        let parts = Parts {
            core: core.to_owned(),
            lead: None,
            before: before.to_owned(),
            after: "any".to_owned(),
            context: None,
        };
        Form::new(parts).unwrap()
    }

    #[test]
    fn matches_that_may_go_on() {
        let fixed = form("gh[ps]_[a-z]{4}|ghr_[a-z]{8}", "any");
        assert!(!fixed.may_go_on(b"ghp_abcd") && !fixed.may_go_on(b"ghr_abcdefgh"));
        assert!(fixed.may_go_on(b"ghr_abcd"));
        assert!(form("sk-[a-z]{4,9}", "any").may_go_on(b"sk-abcd"));
        assert!(form("sk-[a-z]{4,}", "any").may_go_on(b"sk-abcd"));
        assert!(form("key=([a-z]{4})", "any").may_go_on(b"abcd"));
    }

    #[test]
    fn places_where_a_match_may_begin() {
        let text = b"ka kb:k akc k\nk";
        for form in [
            form("k[a-z]{0,9}=secret", "a-z"),
            form("k[a-z]{0,9}=secret", "any"),
            form("[ak][a-z]{0,9}=secret", r"\n"),
        ] {
            for from in 0..text.len() {
                for last in from..text.len() + 2 {
                    let fits = |at: &usize| {
                        let before = at.checked_sub(1).map(|at| text[at]);
                        form.first.has(text[*at]) && form.fits(before, None)
                    };
                    let plainly = (from..text.len().min(last + 1)).find(fits);
                    assert_eq!(form.next_start(text, from, last), plainly, "{from} {last}");
                }
            }
        }
        assert_eq!(form("[ak]b=secret", "any").next_start(text, 99, 100), None);
    }
}
