//! Examples of rules, written so that no scanner takes a pack for a leak.

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

    #[test]
    fn templates_are_filled() {
        assert_eq!(expand_example("a<digit:3>b<x"), "a710b<x");
        assert_eq!(expand_example("<nosuch:3> <b>"), "<nosuch:3> <b>");
        assert_eq!(expand_example("<alnum:36>").len(), 36);
    }
}
