//! Host patterns of the catalogue.

use std::fmt;

/// A parsed host pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Pattern {
    /// `name`
    Exact(String),
    /// `*.name`: the name and every name below it.
    Suffix(String),
    /// A company's domain: every name below it, but not the services that every company has ([`super::Services`]).
    Domain(String),
    /// A `*` elsewhere: labels from the left, each exact or with one `*` for any part of it. A first label `*` stands
    /// for one or more labels.
    Labels(Vec<String>),
}

/// What is wrong with a host pattern.
pub(super) const ALLOWED: &str = "allowed are `name`, `*.name` (the name and all below it) and names with one `*` \
    in a label other than the last two";

impl Pattern {
    /// Parses a pattern; the error says what is allowed.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.to_ascii_lowercase();
        let labels: Vec<&str> = text.split('.').collect();
        let bad = |label: &&str| {
            label.is_empty()
                || label.matches('*').count() > 1
                || !label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'*'))
        };
        let stars = labels.iter().filter(|label| label.contains('*')).count();
        let open_end = labels.iter().rev().take(2).any(|label| label.contains('*'));
        if labels.iter().any(bad) || (stars > 0 && (open_end || labels.len() < 2)) {
            // `*.name` with a single label behind it (`*.google`) is a whole top-level domain, `*` in one is more.
            let whole_domain = labels.len() == 2 && labels[0] == "*" && !labels[1].contains('*');
            if !whole_domain || labels.iter().any(bad) {
                return Err(format!("not a host pattern: {ALLOWED}"));
            }
            return Err("a pattern over a whole top-level domain is not allowed".to_owned());
        }
        Ok(match (stars, text.strip_prefix("*.")) {
            (0, _) => Self::Exact(text),
            (1, Some(suffix)) => Self::Suffix(suffix.to_owned()),
            _ => Self::Labels(labels.into_iter().map(str::to_owned).collect()),
        })
    }

    /// Parses the name of a company's domain.
    pub(super) fn parse_domain(text: &str) -> Result<Self, String> {
        match Self::parse(text)? {
            Self::Exact(name) if name.contains('.') => Ok(Self::Domain(name)),
            _ => Err("a domain is a name without `*`, such as `vendor.ai`".to_owned()),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Suffix(name) => write!(f, "*.{name}"),
            Self::Domain(name) => write!(f, "below {name}"),
            Self::Labels(labels) => f.write_str(&labels.join(".")),
        }
    }
}

/// The last two labels of a name, which no pattern leaves open.
pub(super) fn tail(name: &str) -> &str {
    name.rmatch_indices('.')
        .nth(1)
        .map_or(name, |(dot, _)| &name[dot + 1..])
}

/// Whether `host` fits the labels of a `Pattern::Labels`.
pub(super) fn labels_match(labels: &[String], host: &str) -> bool {
    let mut parts = host.rsplit('.');
    let open_start = labels.first().is_some_and(|first| first == "*");
    let fixed = if open_start { &labels[1..] } else { labels };
    let all = fixed
        .iter()
        .rev()
        .all(|pattern| parts.next().is_some_and(|label| label_matches(pattern, label)));
    // A leading `*` takes whatever the other labels leave, at least one label.
    all && parts.next().is_some() == open_start
}

fn label_matches(pattern: &str, label: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == label,
        Some((before, after)) => {
            label.len() > before.len() + after.len() && label.starts_with(before) && label.ends_with(after)
        }
    }
}

/// Whether `path` is one that `rule` means: it begins with the rule, or contains what follows a leading `*`.
pub(super) fn path_match(rule: &str, path: &str) -> bool {
    match rule.strip_prefix('*') {
        Some(part) => path.contains(part),
        None => path.starts_with(rule),
    }
}
