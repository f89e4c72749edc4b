//! Conditions of a rule or of an entry of the register: for each attribute that is named, one of its values must fit.

use super::attributes::{Attribute, Subject};
use super::values::{Budget, Values};
use crate::config::yaml::{Map, Position, Reader, Value, shown, unknown_word};
use crate::sensitive::{Class, Severity};

/// All of these must fit; none at all fits everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Conditions {
    /// By attribute, each once.
    on: Vec<(Attribute, Values)>,
    finding: Option<FindingCondition>,
}

/// One finding must fit all of these.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FindingCondition {
    class: Option<Values>,
    rule: Option<Values>,
    place: Option<Values>,
    /// At least.
    severity: Severity,
}

/// Keys of conditions on findings.
pub(super) const FINDING_KEYS: [&str; 4] = [
    "finding_class",
    "finding_rule",
    "finding_severity",
    "finding_place",
];
/// Words of `direction`.
const PLACES: [&str; 4] = ["prompt", "response", "tool_args", "tool_result"];

/// In the order of their names.
const SEVERITIES: [Severity; Severity::NAMES.len()] = [
    Severity::Info,
    Severity::Low,
    Severity::Medium,
    Severity::High,
    Severity::Critical,
];

impl Conditions {
    /// Whether everything fits.
    pub(super) fn is_empty(&self) -> bool {
        self.on.is_empty() && self.finding.is_none()
    }

    /// Whether a finding is asked for.
    pub(super) fn asks_findings(&self) -> bool {
        self.finding.is_some()
    }

    pub(super) fn fits(&self, subject: &Subject<'_>) -> bool {
        self.on
            .iter()
            .all(|(attribute, values)| subject.values(*attribute).any(|fact| values.matches(fact)))
            && self.finding.as_ref().is_none_or(|finding| finding.fits(subject))
    }

    /// The first condition that does not fit, in words; `None` where all do.
    pub(super) fn why_not(&self, subject: &Subject<'_>) -> Option<String> {
        for (attribute, values) in &self.on {
            let facts: Vec<&str> = subject.values(*attribute).collect();
            if facts.iter().any(|fact| values.matches(fact)) {
                continue;
            }
            let (name, wanted) = (attribute.name(), values.shown());
            return Some(match facts.as_slice() {
                [] => format!("{name} is not known; the rule wants {wanted}"),
                facts => format!("{name} is {}; the rule wants {wanted}", facts.join(", ")),
            });
        }
        let finding = self.finding.as_ref()?;
        (!finding.fits(subject)).then(|| "no finding is of the kind that the rule wants".to_owned())
    }

    /// Whether every exchange that fits `other` fits these too, judged by the words alone.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let theirs = |attribute: Attribute| other.of(attribute);
        self.on
            .iter()
            .all(|(attribute, mine)| theirs(*attribute).is_some_and(|values| mine.covers(values)))
            && match (&self.finding, &other.finding) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(mine), Some(theirs)) => mine.covers(theirs),
            }
    }

    /// Whether an exchange can fit both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.on
            .iter()
            .all(|(attribute, mine)| other.of(*attribute).is_none_or(|theirs| mine.meets(theirs)))
    }

    /// Values for this attribute.
    pub(super) fn of(&self, attribute: Attribute) -> Option<&Values> {
        self.on
            .iter()
            .find(|(a, _)| *a == attribute)
            .map(|(_, values)| values)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Attribute, &Values)> {
        self.on.iter().map(|(attribute, values)| (*attribute, values))
    }

    /// The same with other values for one attribute.
    pub(super) fn with(&self, attribute: Attribute, values: Values) -> Self {
        let mut narrowed = self.clone();
        narrowed.on.retain(|(a, _)| *a != attribute);
        narrowed.on.push((attribute, values));
        narrowed
    }
}

impl FindingCondition {
    fn fits(&self, subject: &Subject<'_>) -> bool {
        let one_of = |values: &Option<Values>, word: &str| values.as_ref().is_none_or(|v| v.matches(word));
        subject.findings.iter().any(|finding| {
            finding.severity >= self.severity
                && one_of(&self.class, finding.class)
                && one_of(&self.rule, finding.rule)
                && one_of(&self.place, finding.place)
        })
    }

    fn covers(&self, other: &Self) -> bool {
        let covers = |mine: &Option<Values>, theirs: &Option<Values>| match (mine, theirs) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(mine), Some(theirs)) => mine.covers(theirs),
        };
        self.severity <= other.severity
            && covers(&self.class, &other.class)
            && covers(&self.rule, &other.rule)
            && covers(&self.place, &other.place)
    }
}

/// Reads the conditions that `map` has under the keys of these attributes; `what` is whose they are.
pub(super) fn read(
    reader: &mut Reader,
    map: &Map<'_>,
    what: &str,
    attributes: &[Attribute],
    budget: &mut Budget,
) -> Conditions {
    let mut on = Vec::new();
    for attribute in attributes {
        if let Some(values) = read_values(reader, map, what, *attribute, budget) {
            on.push((*attribute, values));
        }
    }
    Conditions { on, finding: None }
}

/// Reads the conditions on findings too.
pub(super) fn read_with_findings(
    reader: &mut Reader,
    map: &Map<'_>,
    what: &str,
    attributes: &[Attribute],
    budget: &mut Budget,
) -> Conditions {
    let mut conditions = read(reader, map, what, attributes, budget);
    let class = words(reader, map, what, "finding_class", &Class::NAMES, budget);
    let place = words(reader, map, what, "finding_place", &PLACES, budget);
    let rule = texts(reader, map, what, "finding_rule", &|_| None, budget);
    let severity = reader.word_of(map, "finding_severity", &Severity::NAMES);
    if let Some(at) = map.empty("finding_severity") {
        nothing(reader, at, what, "finding_severity");
    }
    if FINDING_KEYS.iter().any(|key| map.get(key).is_some()) {
        conditions.finding = Some(FindingCondition {
            class,
            rule,
            place,
            severity: severity.map_or(Severity::Info, |index| SEVERITIES[index]),
        });
    }
    conditions
}

fn read_values(
    reader: &mut Reader,
    map: &Map<'_>,
    what: &str,
    attribute: Attribute,
    budget: &mut Budget,
) -> Option<Values> {
    let key = attribute.name();
    match attribute {
        Attribute::Role => words(reader, map, what, key, &super::ROLES, budget),
        Attribute::Register => words(reader, map, what, key, &super::register::Standing::NAMES, budget),
        _ => texts(reader, map, what, key, &|text| fault(attribute, text), budget),
    }
}

fn words(
    reader: &mut Reader,
    map: &Map<'_>,
    what: &str,
    key: &str,
    allowed: &[&str],
    budget: &mut Budget,
) -> Option<Values> {
    let fault = |text: &str| {
        (!allowed.contains(&text)).then(|| unknown_word("value", text, &format!("`{key}`"), allowed))
    };
    texts(reader, map, what, key, &fault, budget)
}

fn texts(
    reader: &mut Reader,
    map: &Map<'_>,
    what: &str,
    key: &str,
    fault: &dyn Fn(&str) -> Option<String>,
    budget: &mut Budget,
) -> Option<Values> {
    if let Some(at) = map.empty(key) {
        nothing(reader, at, what, key);
    }
    let node = map.get(key)?;
    if matches!(&node.value, Value::Sequence(items) if items.is_empty()) {
        empty_list(reader, node.at, what, key);
    }
    let mut values = Values::default();
    for text in reader.texts_of(map, key) {
        // Host names know no case; everything else does. In a regular expression `\S` is not `\s`.
        let pattern = if key == "host" && !text.value.starts_with('~') {
            text.value.to_ascii_lowercase()
        } else {
            text.value
        };
        let added = match fault(&pattern) {
            Some(fault) => Err(fault),
            None => values.add(&pattern, budget),
        };
        if let Err(fault) = added {
            let message = format!("{what}: `{}` in `{key}` {fault}", shown(&pattern));
            reader.problem(text.at, message);
        }
    }
    (!values.is_empty()).then_some(values)
}

/// What a list is whose entries were all commented out: without the condition the rule would be about more than before.
fn nothing(reader: &mut Reader, at: Position, what: &str, key: &str) {
    let message = format!("{what}: `{key}` names nothing; leave it out for any {key}");
    reader.problem(at, message);
}

fn empty_list(reader: &mut Reader, at: Position, what: &str, key: &str) {
    let message = format!("{what}: `{key}` is an empty list, which nothing fits; leave it out for any {key}");
    reader.problem(at, message);
}

/// What is wrong with a value of this attribute, where something is.
fn fault(attribute: Attribute, text: &str) -> Option<String> {
    if text.starts_with('~') {
        return None;
    }
    let fault = match attribute {
        Attribute::Host => host_fault(text)?.to_owned(),
        Attribute::Executable if !text.starts_with(['/', '*', '?']) => {
            "must be a full path, beginning with / or *".to_owned()
        }
        Attribute::Provider if text.contains(char::is_uppercase) => {
            unknown_word("provider", text, "`provider`", &[&text.to_lowercase()])
        }
        Attribute::ExecutableSha256 if !is_sha256(text) => {
            "must be the SHA-256 of a file: 64 digits 0-9 and a-f".to_owned()
        }
        _ => return None,
    };
    Some(fault)
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn host_fault(host: &str) -> Option<&'static str> {
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    if host.contains("://") || host.contains('/') {
        Some("must be a host name, without scheme and path")
    } else if has_port && !host.contains("::") {
        Some("must be a host name, without a port")
    } else {
        None
    }
}
