//! Checks on single values: checksums, structure, entropy. Bytes in, a verdict out.

/// What a check says about a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Not what the rule looks for.
    Reject,
    /// Could be; the check has no checksum to go by.
    Plausible,
    /// A checksum is right.
    Valid,
}

/// Checks that rules name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Validator {
    /// Payment card: issuer range, length of that issuer, Luhn (ISO/IEC 7812-1).
    Card,
    /// IBAN: length of the country, mod 97 (ISO 13616).
    Iban,
    /// US social security number: areas, groups and serials that are never given out.
    Ssn,
    /// E-mail address: lengths and label rules (RFC 5321, RFC 1035).
    Email,
    /// JSON Web Token: the head is base64url of a JSON object with `alg` (RFC 7515).
    Jwt,
    /// Random-looking base64: upper case, lower case and digits all occur.
    Mixed,
    /// Random-looking text: digits and letters both occur, digits more than once.
    Random,
    /// Any number with a right Luhn checksum.
    Luhn,
}

impl Validator {
    /// All names, in the order of the variants.
    pub const NAMES: [&'static str; 8] = ["card", "iban", "ssn", "email", "jwt", "mixed", "random", "luhn"];
    /// All variants, in the order of their names.
    pub const ALL: [Self; 8] = [
        Self::Card,
        Self::Iban,
        Self::Ssn,
        Self::Email,
        Self::Jwt,
        Self::Mixed,
        Self::Random,
        Self::Luhn,
    ];

    /// Checks one value as it stands in the text.
    pub fn check(self, value: &[u8]) -> Check {
        match self {
            Self::Card => card(value),
            Self::Iban => iban(value),
            Self::Ssn => ssn(value),
            Self::Email => email(value),
            Self::Jwt => jwt(value),
            Self::Mixed => mixed(value),
            Self::Random => random(value),
            Self::Luhn => any_luhn(value),
        }
    }

    /// The value without the separators that people put in, for comparison with known examples.
    pub fn normalise(self, value: &[u8]) -> Vec<u8> {
        match self {
            Self::Card | Self::Iban | Self::Ssn | Self::Luhn => {
                value.iter().copied().filter(u8::is_ascii_alphanumeric).collect()
            }
            Self::Email => value.to_ascii_lowercase(),
            Self::Jwt | Self::Mixed | Self::Random => value.to_vec(),
        }
    }
}

fn verdict(valid: bool) -> Check {
    if valid { Check::Valid } else { Check::Reject }
}

fn digits_of(value: &[u8]) -> Vec<u8> {
    value
        .iter()
        .filter(|b| b.is_ascii_digit())
        .map(|b| b - b'0')
        .collect()
}

fn any_luhn(value: &[u8]) -> Check {
    let digits = digits_of(value);
    verdict(digits.len() >= 12 && digits.iter().any(|d| *d != digits[0]) && luhn(&digits))
}

fn card(value: &[u8]) -> Check {
    let digits = digits_of(value);
    let varied = digits.iter().any(|d| *d != digits[0]);
    verdict(varied && issuer_takes(&digits) && luhn(&digits))
}

/// Whether the length fits the issuer that the first digits name. Ranges as the issuers publish them; cards of
/// issuers that are not in the list are not recognised.
fn issuer_takes(digits: &[u8]) -> bool {
    if !(12..=19).contains(&digits.len()) {
        return false;
    }
    let head = |n: usize| {
        digits[..n]
            .iter()
            .fold(0u32, |value, d| value * 10 + u32::from(*d))
    };
    let lengths: &[usize] = match (head(1), head(2), head(3), head(4), head(6)) {
        (4, ..) => &[13, 16, 19],                                                   // Visa
        (_, 51..=55, ..) | (_, _, _, 2221..=2720, _) => &[16],                      // Mastercard
        (_, 34 | 37, ..) => &[15],                                                  // American Express
        (_, _, _, 6011, _) | (_, 65, ..) | (_, _, 644..=649, ..) => &[16, 19],      // Discover
        (_, _, 300..=305, ..) | (_, _, _, 3095, _) | (_, 38 | 39, ..) => &[14, 16], // Diners Club
        (_, 36, ..) => &[14],                           // Diners Club International
        (_, _, _, 3528..=3589, _) => &[16, 17, 18, 19], // JCB
        (_, _, _, 2131 | 1800, _) => &[15],             // JCB, old
        (_, 62, ..) => &[16, 17, 18, 19],               // UnionPay
        (_, _, _, 2200..=2204, _) => &[16, 17, 18, 19], // Mir
        (_, _, _, 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763, _) => {
            &[12, 13, 14, 15, 16, 17, 18, 19]
        } // Maestro
        (.., 636_000..=636_999) => &[16],               // InterPayment, InstaPayment
        _ => &[],
    };
    lengths.contains(&digits.len())
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, d)| match (i % 2, u32::from(*d) * 2) {
            (1, doubled) if doubled > 9 => doubled - 9,
            (1, doubled) => doubled,
            _ => u32::from(*d),
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Length of an IBAN by country (IBAN registry of SWIFT).
const IBAN_LENGTHS: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

fn iban(value: &[u8]) -> Check {
    let text: Vec<u8> = value
        .iter()
        .filter(|b| b.is_ascii_alphanumeric())
        .map(u8::to_ascii_uppercase)
        .collect();
    let length = IBAN_LENGTHS
        .iter()
        .find(|(country, _)| text.starts_with(*country))
        .map(|(_, n)| *n);
    verdict(length == Some(text.len()) && mod_97(&text) == 1)
}

/// Remainder by 97 with the first four characters moved to the end and letters as 10 to 35.
fn mod_97(text: &[u8]) -> u32 {
    let (head, tail) = text.split_at(text.len().min(4));
    tail.iter().chain(head).fold(0, |rest, byte| {
        if byte.is_ascii_digit() {
            (rest * 10 + u32::from(byte - b'0')) % 97
        } else {
            (rest * 100 + u32::from(byte.to_ascii_uppercase().saturating_sub(b'A')) + 10) % 97
        }
    })
}

fn ssn(value: &[u8]) -> Check {
    let digits: Vec<u8> = value.iter().copied().filter(u8::is_ascii_digit).collect();
    if digits.len() != 9 || digits.iter().all(|d| *d == digits[0]) {
        return Check::Reject;
    }
    let (area, group, serial) = (&digits[..3], &digits[3..5], &digits[5..]);
    let never = area == b"000" || area == b"666" || area[0] == b'9' || group == b"00" || serial == b"0000";
    if never { Check::Reject } else { Check::Plausible }
}

fn email(value: &[u8]) -> Check {
    let Some(at) = value.iter().rposition(|b| *b == b'@') else {
        return Check::Reject;
    };
    let (local, domain) = (&value[..at], &value[at + 1..]);
    let dots_fit = |s: &[u8]| !s.starts_with(b".") && !s.ends_with(b".") && !s.windows(2).any(|w| w == b"..");
    let labels_fit = domain.split(|b| *b == b'.').all(|label| {
        !label.is_empty() && label.len() <= 63 && !label.starts_with(b"-") && !label.ends_with(b"-")
    });
    // What stands in code like an address but is none: images@2x.png, name@1.2.3 is excluded by the pattern.
    let file = [
        &b".png"[..],
        b".jpg",
        b".jpeg",
        b".gif",
        b".svg",
        b".webp",
        b".js",
        b".css",
    ]
    .iter()
    .any(|end| domain.to_ascii_lowercase().ends_with(end));
    let fits =
        (1..=64).contains(&local.len()) && domain.len() <= 253 && dots_fit(local) && labels_fit && !file;
    if fits { Check::Plausible } else { Check::Reject }
}

fn jwt(value: &[u8]) -> Check {
    let head = value.split(|b| *b == b'.').next().unwrap_or_default();
    let Some(json) = base64url(head) else {
        return Check::Reject;
    };
    // No strict parse: a head with one damaged character still belongs to a token that should not be here.
    let fits = json.starts_with(b"{") && memchr::memmem::find(&json, br#""alg""#).is_some();
    if fits { Check::Plausible } else { Check::Reject }
}

/// Decodes base64url without padding (RFC 4648, section 5).
fn base64url(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut bits, mut count) = (0u32, 0u32);
    for byte in text {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from((bits >> count) & 0xff).ok()?);
        }
    }
    Some(out)
}

fn mixed(value: &[u8]) -> Check {
    let has = |test: fn(&u8) -> bool| value.iter().any(test);
    let fits = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
    if fits { Check::Plausible } else { Check::Reject }
}

fn random(value: &[u8]) -> Check {
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    let letters = value.iter().filter(|b| b.is_ascii_alphabetic()).count();
    if digits >= 2 && letters >= 4 {
        Check::Plausible
    } else {
        Check::Reject
    }
}

/// Shannon entropy of the bytes of `value`, in bits per byte; 0 for nothing.
pub fn entropy(value: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for byte in value {
        counts[usize::from(*byte)] += 1;
    }
    let total = f64::from(u32::try_from(value.len()).unwrap_or(u32::MAX)).max(1.0);
    counts
        .iter()
        .filter(|n| **n > 0)
        .map(|n| f64::from(*n) / total)
        .map(|share| -share * share.log2())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_all(validator: Validator, wanted: Check, values: &[&str]) {
        for value in values {
            assert_eq!(validator.check(value.as_bytes()), wanted, "{validator:?} {value}");
        }
    }

    #[test]
    fn cards_by_issuer_length_and_luhn() {
        // Test numbers published by payment providers.
        let good = [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4242-4242-4242-4242",
            "4222222222222",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "3714 496353 98431",
            "6011111111111117",
            "30569309025904",
            "38520000023237",
            "3530111333300000",
            "6200000000000005",
            "2200770212727079",
            "4012888888881881",
        ];
        check_all(Validator::Card, Check::Valid, &good);
        let bad = [
            "4111111111111112",
            "411111111111111",
            "1234567812345670",
            "0000000000000000",
            "4444444444444444444",
            "9999999999999995",
            "",
            "4",
        ];
        check_all(Validator::Card, Check::Reject, &bad);
    }

    #[test]
    fn ibans_by_country_and_checksum() {
        let good = [
            "DE89370400440532013000",
            "DE89 3704 0044 0532 0130 00",
            "GB82 WEST 1234 5698 7654 32",
            "FR1420041010050500013M02606",
            "NO9386011117947",
            "MT84MALT011000012345MTLCAST001S",
            "CH93-0076-2011-6238-5295-7",
        ];
        check_all(Validator::Iban, Check::Valid, &good);
        let bad = [
            "DE89370400440532013001",
            "DE8937040044053201300",
            "XX89370400440532013000",
            "GB82WEST12345698765433",
            "",
            "DE",
        ];
        check_all(Validator::Iban, Check::Reject, &bad);
    }

    #[test]
    fn social_security_numbers_that_can_exist() {
        check_all(
            Validator::Ssn,
            Check::Plausible,
            &["536-90-4399", "536 90 4399", "001-01-0001", "899-99-9999"],
        );
        let bad = [
            "000-12-3456",
            "666-12-3456",
            "900-12-3456",
            "123-00-4567",
            "123-45-0000",
            "111-11-1111",
            "1-2-3",
        ];
        check_all(Validator::Ssn, Check::Reject, &bad);
    }

    #[test]
    fn addresses_of_mail() {
        check_all(
            Validator::Email,
            Check::Plausible,
            &["a@b.co", "x.y+z@sub.host.org", "o'neil@host.ie"],
        );
        let long = format!("{}@b.co", "a".repeat(65));
        check_all(
            Validator::Email,
            Check::Reject,
            &[".a@b.co", "a.@b.co", "a..b@c.de", "a@-b.co", "i@2x.png", &long],
        );
    }

    #[test]
    fn tokens_with_a_json_head() {
        let good = [
            "eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
            "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.e30.",
        ];
        check_all(Validator::Jwt, Check::Plausible, &good);
        check_all(
            Validator::Jwt,
            Check::Reject,
            &["eyJhIjoxfQ.e30.c2ln", "e*J.e30.x", "AAAA.e30.x", ""],
        );
    }

    #[test]
    fn entropy_in_bits_per_byte() {
        assert!(entropy(b"").abs() < 1e-9);
        assert!(entropy(b"aaaa").abs() < 1e-9);
        assert!((entropy(b"abcd") - 2.0).abs() < 1e-9);
        assert!((entropy(b"aabb") - 1.0).abs() < 1e-9);
    }
}
