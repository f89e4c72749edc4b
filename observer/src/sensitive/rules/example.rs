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

/// Values with a right checksum, which no stride through an alphabet gives: published test vectors and keys made of
/// counted bytes, in two parts each.
const CHECKED: [(&str, [&str; 2]); 4] = [
    ("wif", ["5HueCGU8rMjxEXxiPuD5BDku", "4MkFqeZyd4dZ1jvhTVqvbTLvyTJ"]),
    (
        "xprv",
        [
            "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChk",
            "VvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi",
        ],
    ),
    (
        "stellar",
        ["SAFTAVL2T7COSDRTLB62FR7MCE3F", "XAFFZLXRIOK6QOUM34QXHRQYNR3M"],
    ),
    (
        "nsec",
        [
            "nsec1pvc9275lcn5suv6c0k3v0mq3xedc",
            "pfw2au2rjh5r4rxly9euvxrqvxwxfv",
        ],
    ),
];

fn fill(inside: &str) -> Option<String> {
    let (class, count) = inside.split_once(':')?;
    if let Some((_, parts)) = CHECKED.iter().find(|(name, _)| *name == class) {
        return Some(parts.concat());
    }
    let alphabet: &[u8] = match class {
        "alnum" => b"aB3kZ9mQ2xR7tLw5YcD8vPn4HsG6jFu1eKqS",
        "alpha" => b"aBkZmQxRtLwYcDvPnHsGjFueKqbTzNd",
        "lower" => b"q7k2m9x4r8t3w6y5c1v0pnhsgjfuedb",
        "base32" => b"K7Q2M3X4R5T6WYCVPNHSGJFUEDBZL",
        "b64" => b"aB3/kZ9+mQ2xR7tLw5YcD8vPn4HsG6jFu1eKq",
        "b64url" => b"aB3_kZ9-mQ2xR7tLw5YcD8vPn4HsG6jFu1eKq",
        "hex" => b"7f3a9c0e5b2d8146",
        "HEX" => b"7F3A9C0E5B2D8146",
        "upper" => b"Q7K2M9X4R8T3W6Y5C1V0PNHSGJFUEDB",
        "base32l" => b"k7q2m3x4r5t6wycvpnhsgjfuedbzl",
        "bech" => b"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7",
        "b58" => b"aB3kZ9mQ2xR7tLw5YcD8vPn4HsG6jFu1eKqS",
        "uuid" => b"7f3a9c0e5b2d8146",
        "digit" => b"7392058164",
        _ => return None,
    };
    let count: usize = count.parse().ok().filter(|n| *n <= 1024)?;
    // A stride that shares no factor with the length visits every letter before it repeats.
    let index = |i: usize| (i * 7 + i / alphabet.len() * 3) % alphabet.len();
    let mut text: String = (0..count).map(|i| char::from(alphabet[index(i)])).collect();
    if class == "uuid" && count == 36 {
        for at in [8, 13, 18, 23] {
            text.replace_range(at..=at, "-");
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled() {
        assert_eq!(expand_example("a<digit:3>b<x"), "a710b<x");
        assert_eq!(expand_example("<nosuch:3> <b>"), "<nosuch:3> <b>");
        assert_eq!(expand_example("<alnum:36>").len(), 36);
        assert_eq!(expand_example("<uuid:36>").matches('-').count(), 4);
        assert_eq!(expand_example("<wif:51>").len(), 51);
    }
}
