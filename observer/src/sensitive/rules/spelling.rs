//! Words of context as people and programs write them.

/// A word as it is written in prose, in names of fields and in programs, in lower case: a space in it may be a space,
/// `_`, `-` or nothing. Texts are compared with the case of ASCII letters folded, so other letters are there in both.
pub(super) fn of(word: &str) -> Vec<String> {
    let lower = word.to_lowercase();
    let raise = |c: char| -> String {
        if c.is_ascii() {
            c.to_string()
        } else {
            c.to_uppercase().collect()
        }
    };
    let raised: String = lower.chars().map(raise).collect();
    let mut out = Vec::new();
    for form in [lower, raised] {
        for separator in [" ", "_", "-", ""] {
            let spelling = form.replace(' ', separator);
            if !out.contains(&spelling) {
                out.push(spelling);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_spelt_as_people_and_programs_do() {
        assert_eq!(of("PESEL"), ["pesel"]);
        assert_eq!(of("tax id"), ["tax id", "tax_id", "tax-id", "taxid"]);
        assert_eq!(of("führerschein"), ["führerschein", "fÜhrerschein"]);
    }
}
