//! Host patterns of the catalogue.

/// A parsed host pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    /// `name`
    Exact(String),
    /// `*.name`: the name and every name below it.
    Suffix(String),
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
}

/// Whether `host` fits the labels of a `Pattern::Labels`.
pub(super) fn labels_match(labels: &[String], host: &str) -> bool {
    let host: Vec<&str> = host.split('.').collect();
    match labels.split_first() {
        // A leading `*` takes whatever the other labels leave, at least one label.
        Some((first, rest)) if first == "*" => {
            host.len() > rest.len() && all_match(rest, &host[host.len() - rest.len()..])
        }
        _ => host.len() == labels.len() && all_match(labels, &host),
    }
}

fn all_match(labels: &[String], host: &[&str]) -> bool {
    labels
        .iter()
        .zip(host)
        .all(|(pattern, label)| match pattern.split_once('*') {
            None => pattern == label,
            Some((before, after)) => {
                label.len() > before.len() + after.len()
                    && label.starts_with(before)
                    && label.ends_with(after)
            }
        })
}

/// Whether `path` is one that `rule` means: it begins with the rule, or contains what follows a leading `*`.
pub(super) fn path_match(rule: &str, path: &str) -> bool {
    match rule.strip_prefix('*') {
        Some(part) => path.contains(part),
        None => path.starts_with(rule),
    }
}
