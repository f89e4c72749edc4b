//! Words of messages: values that are shown, and words that are near a wrong one.

/// Longest piece of a value shown in a message, in characters.
const SHOWN_CHARS: usize = 60;

/// A value cut to a length that fits a message, with control characters made visible.
pub fn shown(text: &str) -> String {
    let mut out: String = text
        .chars()
        .take(SHOWN_CHARS)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        out.push_str("...");
    }
    out
}

/// "unknown key `hots` in `x`; did you mean `host`? allowed: ...".
pub fn unknown_word(kind: &str, got: &str, what: &str, allowed: &[&str]) -> String {
    let near = allowed
        .iter()
        .map(|word| (distance(got, word), *word))
        .min()
        .filter(|(d, _)| *d <= 2);
    let hint = near
        .map(|(_, word)| format!("did you mean `{word}`? "))
        .unwrap_or_default();
    format!(
        "unknown {kind} `{}` in {what}; {hint}allowed: {}",
        shown(got),
        allowed.join(", ")
    )
}

/// Edit distance of two words (Levenshtein); words longer than 64 bytes count as far apart.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().max(b.len()) > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_near_are_suggested() {
        assert_eq!(
            unknown_word("key", "polcy", "`x`", &["policy", "host"]),
            "unknown key `polcy` in `x`; did you mean `policy`? allowed: policy, host"
        );
        assert!(!unknown_word("key", "zebra", "`x`", &["policy"]).contains("did you mean"));
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn values_shown_are_short_and_printable() {
        assert_eq!(shown("a\u{1b}[31m"), "a\\u{1b}[31m");
        assert_eq!(shown(&"x".repeat(100)).len(), SHOWN_CHARS + 3);
    }
}
