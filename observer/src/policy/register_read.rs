//! Reads a register and looks for entries that say different things about the same exchange.

use super::attributes::Attribute;
use super::conditions;
use super::overlap;
use super::register::{Entry, MAX_ENTRIES, Register, Status};
use super::values::Budget;
use super::{dates, index::Index};
use crate::config::yaml::{self, At, Limits, Map, Node, Position, Problem, Reader, Value, shown};
use crate::sensitive::Class;

/// Largest register, in bytes and in values.
pub const LIMITS: Limits = Limits {
    bytes: 16 * 1024 * 1024,
    nodes: 600_000,
};

const ENTRY_KEYS: [&str; 13] = [
    "id",
    "system",
    "owner",
    "approval",
    "approved_by",
    "status",
    "valid_from",
    "valid_until",
    "review_date",
    "match",
    "allowed_data_classes",
    "risk_reference",
    "related_controls",
];

/// What an entry may name under `match`.
pub const MATCHES: [Attribute; 13] = [
    Attribute::Provider,
    Attribute::Host,
    Attribute::Model,
    Attribute::Operation,
    Attribute::Path,
    Attribute::Namespace,
    Attribute::Workload,
    Attribute::ServiceAccount,
    Attribute::User,
    Attribute::LoginUser,
    Attribute::Executable,
    Attribute::ExecutableSha256,
    Attribute::Account,
];

/// The register without index and digest.
pub(super) fn read(text: &str, file_name: &str) -> Result<Register, Vec<Problem>> {
    let mut reader = Reader::new(file_name);
    let root = match yaml::parse_within(file_name, text, LIMITS) {
        Ok(root) => root,
        Err(problem) => return Err(vec![problem]),
    };
    let register = read_register(&mut reader, root.as_ref());
    let Some(mut register) = register else {
        return Err(reader.finish());
    };
    let warnings = overlap::check(&mut reader, &register.entries);
    if !reader.is_clean() {
        return Err(reader.finish());
    }
    register.warnings = warnings
        .into_iter()
        .map(|(at, message)| Problem {
            file: file_name.to_owned(),
            line: at.line,
            column: at.column,
            message: format!("warning: {message}"),
        })
        .collect();
    Ok(register)
}

fn read_register(reader: &mut Reader, root: Option<&Node>) -> Option<Register> {
    let Some(root) = root else {
        reader.problem(
            Position::default(),
            "an empty register; it needs `version` and `ai_register`",
        );
        return None;
    };
    let map = reader.mapping(root, "a register", &["version", "ai_register"])?;
    let version = reader.required_text(&map, "a register", "version");
    if map.get("ai_register").is_none() {
        reader.problem(map.at, "a register needs `ai_register`, the list of its entries");
    }
    let list = map
        .get("ai_register")
        .and_then(|node| reader.sequence(node, "`ai_register`"));
    let list = list.unwrap_or_default();
    if list.len() > MAX_ENTRIES {
        let message = format!(
            "{} entries; at most {MAX_ENTRIES} are allowed. Patterns with * and ? say more with fewer",
            list.len()
        );
        reader.problem(
            map.get("ai_register").map(|node| node.at).unwrap_or_default(),
            message,
        );
        return None;
    }
    let entries = list.iter().filter_map(|node| read_entry(reader, node)).collect();
    Some(Register {
        version: version.map(|version| version.value).unwrap_or_default(),
        entries,
        index: Index::default(),
        digest: [0; 32],
        text: "".into(),
        warnings: Vec::new(),
    })
}

fn read_entry(reader: &mut Reader, node: &Node) -> Option<Entry> {
    let map = reader.mapping(node, "an entry", &ENTRY_KEYS)?;
    let id = reader.required_text(&map, "an entry", "id");
    let what = id.as_ref().map_or_else(
        || "an entry".to_owned(),
        |id| format!("entry `{}`", shown(&id.value)),
    );
    let system = reader.required_text(&map, &what, "system");
    let owner = reader.required_text(&map, &what, "owner");
    let status = read_status(reader, &map, &what);
    let text = |reader: &mut Reader, key: &str| {
        reader
            .text_of(&map, key)
            .map(|text| text.value)
            .unwrap_or_default()
    };
    let (approval, approved_by) = (text(reader, "approval"), text(reader, "approved_by"));
    if matches!(status, Some(Status::Approved | Status::Conditional)) && approval.is_empty() {
        reader.problem(
            map.at,
            format!("{what} needs `approval`, the reference of the decision that permits it"),
        );
    }
    let (valid_from, valid_until, review_date) = read_dates(reader, &map, &what);
    let allowed_data_classes = read_classes(reader, &map, &what, status);
    let conditions = read_match(reader, &map, &what);
    let related_controls = reader.texts_of(&map, "related_controls");
    Some(Entry {
        risk_reference: text(reader, "risk_reference"),
        id: id?.value,
        system: system?.value,
        owner: owner?.value,
        approval,
        approved_by,
        status: status?,
        valid_from: valid_from?,
        valid_until,
        review_date,
        allowed_data_classes,
        related_controls: related_controls
            .into_iter()
            .map(|control| control.value)
            .collect(),
        at: node.at,
        conditions: conditions?,
    })
}

fn read_status(reader: &mut Reader, map: &Map<'_>, what: &str) -> Option<Status> {
    if map.get("status").is_none() {
        let message = format!("{what} needs `status`, one of {}", Status::NAMES.join(", "));
        reader.problem(map.at, message);
    }
    let index = reader.word_of(map, "status", &Status::NAMES)?;
    Some(Status::ALL[index])
}

/// `valid_from`, `valid_until` and `review_date`.
fn read_dates(reader: &mut Reader, map: &Map<'_>, what: &str) -> (Option<i64>, i64, i64) {
    if map.get("valid_from").is_none() {
        reader.problem(
            map.at,
            format!("{what} needs `valid_from`, a date such as 2026-01-31"),
        );
    }
    let from = read_date(reader, map, what, "valid_from", dates::start);
    let until = read_date(reader, map, what, "valid_until", dates::end);
    let review = read_date(reader, map, what, "review_date", dates::start);
    if let (Some(from), Some(until)) = (&from, &until)
        && until.value <= from.value
    {
        let message = format!(
            "{what}: `valid_until` is before `valid_from` ({})",
            dates::day(from.value)
        );
        reader.problem(until.at, message);
    }
    if let (Some(from), Some(review)) = (&from, &review)
        && review.value < from.value
    {
        let message = format!(
            "{what}: `review_date` is before `valid_from` ({})",
            dates::day(from.value)
        );
        reader.problem(review.at, message);
    }
    let or_never = |date: Option<At<i64>>| date.map_or(i64::MAX, |date| date.value);
    (from.map(|date| date.value), or_never(until), or_never(review))
}

fn read_date(
    reader: &mut Reader,
    map: &Map<'_>,
    what: &str,
    key: &str,
    parse: fn(&str) -> Option<i64>,
) -> Option<At<i64>> {
    let text = reader.text_of(map, key)?;
    let value = parse(&text.value);
    if value.is_none() {
        let got = shown(&text.value);
        let message = format!(
            "{what}: `{key}` must be a date such as 2026-01-31 or a time such as 2026-01-31T08:00:00Z, not `{got}`"
        );
        reader.problem(text.at, message);
    }
    Some(At {
        at: text.at,
        value: value?,
    })
}

fn read_classes(
    reader: &mut Reader,
    map: &Map<'_>,
    what: &str,
    status: Option<Status>,
) -> Option<Vec<String>> {
    let key = "allowed_data_classes";
    if let Some(at) = map.empty(key) {
        let message = format!(
            "{what}: `{key}` names nothing; [] allows no sensitive data, without the key it is not limited"
        );
        reader.problem(at, message);
        return None;
    }
    let Some(node) = map.get(key) else {
        if status == Some(Status::Conditional) {
            let message =
                format!("{what}: a conditional entry needs `{key}`; an empty list allows no sensitive data");
            reader.problem(map.at, message);
        }
        return None;
    };
    let classes = reader.texts_of(map, key);
    for class in &classes {
        if !Class::NAMES.contains(&class.value.as_str()) {
            let message = yaml::unknown_word("value", &class.value, &format!("`{key}`"), &Class::NAMES);
            reader.problem(class.at, format!("{what}: {message}"));
        }
    }
    matches!(node.value, Value::Sequence(_)).then(|| classes.into_iter().map(|class| class.value).collect())
}

fn read_match(reader: &mut Reader, map: &Map<'_>, what: &str) -> Option<conditions::Conditions> {
    let Some(node) = map.get("match") else {
        reader.problem(map.at, format!("{what} needs `match`: which calls it is about"));
        return None;
    };
    let names = MATCHES.map(Attribute::name);
    let matches = reader.mapping(node, "`match`", &names)?;
    // No regular expressions: whether two of them meet cannot be told.
    let mut budget = Budget { regexes: 0 };
    let conditions = conditions::read(reader, &matches, what, &MATCHES, &mut budget);
    // What it names and nobody understands is told already.
    if matches.is_empty() {
        reader.problem(
            node.at,
            format!("{what}: `match` is empty, which every call would fit; name a provider or host"),
        );
    }
    Some(conditions)
}
