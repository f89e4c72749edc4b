//! Tokens that carry a checksum, keys of wallets, passwords.
//!
//! Where the sum of a token is right, it was given out by its service or made to look so: the confidence is
//! `checksum_valid`. Where it is wrong the token still counts, since services have changed their sums before and a
//! damaged token in a prompt is worth knowing.

use super::Check;
use super::sums::{form, graded, verdict};
use super::token::{base64url, random};
use super::wallet;

const BASE_62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE_36: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// Letters and digits after a prefix, of which the last six are the CRC-32 of those before in base 62 (GitHub, npm).
pub(super) fn crc32_base62(value: &[u8]) -> Check {
    let body = value.rsplit(|b| *b == b'_').next().unwrap_or_default();
    let Some((text, sum)) = body.len().checked_sub(6).map(|at| body.split_at(at)) else {
        return Check::Reject;
    };
    graded(Some(in_base(crc32fast::hash(text), BASE_62, 6) == sum))
}

/// `=` and the CRC-32 of what stands before it in eight hexadecimal digits (Atlassian).
pub(super) fn crc32_hex(value: &[u8]) -> Check {
    let at = value.iter().rposition(|b| *b == b'=');
    let valid = at.is_some_and(|at| {
        let sum = format!("{:08X}", crc32fast::hash(&value[..at]));
        value[at + 1..].eq_ignore_ascii_case(sum.as_bytes())
    });
    graded(Some(valid))
}

/// Routable token of GitLab: a dot, the length of the payload in base 36, and the CRC-32 of all that in base 36.
pub(super) fn gitlab_routable(value: &[u8]) -> Check {
    let valid = value.iter().rposition(|b| *b == b'.').is_some_and(|_| {
        let (text, sum) = value.split_at(value.len().saturating_sub(7));
        in_base(crc32fast::hash(text), BASE_36, 7) == sum
    });
    graded(Some(valid))
}

/// Service account token of Grafana: the CRC-32 of what stands before the last `_`, low byte first.
pub(super) fn grafana(value: &[u8]) -> Check {
    let at = value.iter().rposition(|b| *b == b'_');
    let valid = at.is_some_and(|at| {
        let sum = hex::encode(crc32fast::hash(&value[..at]).to_le_bytes());
        value[at + 1..].eq_ignore_ascii_case(sum.as_bytes())
    });
    graded(Some(valid))
}

/// A number in another base, filled with zeros on the left.
fn in_base(mut number: u32, digits: &[u8], width: usize) -> Vec<u8> {
    let base = u32::try_from(digits.len()).unwrap_or(u32::MAX);
    let mut out = vec![digits[0]; width];
    for place in out.iter_mut().rev() {
        *place = usize::try_from(number % base).map_or(digits[0], |i| digits[i]);
        number /= base;
    }
    out
}

/// Private key of a Bitcoin address in the wallet import form: version, 32 bytes, Base58Check.
pub(super) fn wif(value: &[u8]) -> Check {
    let payload = wallet::base58check(value);
    verdict(Some(payload.is_some_and(|bytes| {
        matches!(bytes.first(), Some(0x80 | 0xef)) && matches!(bytes.len(), 33 | 34)
    })))
}

/// Any text in Base58 whose last four bytes are its checksum.
pub(super) fn base58check(value: &[u8]) -> Check {
    verdict(Some(wallet::base58check(value).is_some()))
}

/// Any text in Bech32 (BIP 173) with the right checksum.
pub(super) fn bech32(value: &[u8]) -> Check {
    graded(Some(wallet::bech32(value)))
}

/// As [`bech32`]; a wrong checksum is no key.
pub(super) fn bech32_strict(value: &[u8]) -> Check {
    verdict(Some(wallet::bech32(value)))
}

/// Secret seed of a Stellar account: base32 of a version byte, 32 bytes and their CRC-16 (SEP-23).
pub(super) fn stellar_seed(value: &[u8]) -> Check {
    let valid = base32(value).is_some_and(|bytes| {
        bytes.len() == 35 && bytes[0] == 0x90 && {
            let sum = crc16_xmodem(&bytes[..33]).to_le_bytes();
            bytes[33..] == sum
        }
    });
    verdict(Some(valid))
}

fn crc16_xmodem(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ (u16::from(*byte) << 8), |sum, _| {
            let carry = sum & 0x8000 != 0;
            (sum << 1) ^ if carry { 0x1021 } else { 0 }
        })
    })
}

/// Decodes base32 without padding (RFC 4648, section 6).
fn base32(text: &[u8]) -> Option<Vec<u8>> {
    let (mut bits, mut count, mut out) = (0u32, 0u32, Vec::with_capacity(text.len()));
    for byte in text {
        let five = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'2'..=b'7' => byte - b'2' + 26,
            _ => return None,
        };
        bits = (bits << 5 | u32::from(five)) & 0xffff;
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from((bits >> count) & 0xff).ok()?);
        }
    }
    Some(out)
}

/// Letters of both cases.
pub(super) fn mixed_case(value: &[u8]) -> Check {
    form(value.iter().any(u8::is_ascii_uppercase) && value.iter().any(u8::is_ascii_lowercase))
}

/// JSON Web Token that was encoded in base64 once more.
pub(super) fn jwt_base64(value: &[u8]) -> Check {
    let plain: Vec<u8> = value
        .iter()
        .filter(|b| **b != b'=')
        .map(|b| match b {
            b'+' => b'-',
            b'/' => b'_',
            other => *other,
        })
        .collect();
    let inner = base64url(&plain);
    form(inner.is_some_and(|text| text.starts_with(b"ey") && memchr::memmem::find(&text, b".ey").is_some()))
}

/// Words that stand where a password could, and are none.
const NO_PASSWORDS: &[&str] = &[
    "password",
    "passwd",
    "passwort",
    "pass",
    "pwd",
    "secret",
    "token",
    "string",
    "text",
    "hidden",
    "none",
    "null",
    "nil",
    "true",
    "false",
    "undefined",
    "required",
    "optional",
    "invalid",
    "incorrect",
    "wrong",
    "missing",
    "forgot",
    "forgotten",
    "reset",
    "change",
    "changed",
    "confirm",
    "confirmation",
    "current",
    "new",
    "old",
    "enter",
    "test",
    "username",
    "user",
    "email",
    "login",
    "key",
    "value",
    "unset",
    "empty",
    "blank",
    "notset",
    "not-set",
    "not_set",
    "input",
    "label",
    "name",
    "type",
    "field",
    "function",
    "return",
    "const",
    "self",
    "this",
    "admin_password",
    "varchar",
    "str",
    "bytes",
    "object",
    "boolean",
    "number",
    "integer",
    "char",
    "basic",
    "bearer",
    "plain",
    "md5",
    "sha1",
    "sha256",
    "bcrypt",
    "scrypt",
    "argon2",
    "here",
    "prompt",
    "strong",
    "weak",
    "short",
    "long",
    "hash",
    "hashed",
    "encrypted",
    "plaintext",
    "credentials",
    "apikey",
    "api_key",
    "api-key",
    "access_token",
    "client_secret",
    "and",
    "for",
    "the",
    "with",
    "must",
    "should",
    "cannot",
    "not",
    "your",
    "mypassword",
    "masked",
    "redacted",
    "sensitive",
    "unknown",
    "something",
    "whatever",
    "anything",
    "autocomplete",
    "current-password",
    "new-password",
    "one-time-code",
];
/// What stands in names of variables that hold secrets.
const NAME_PARTS: &[&str] = &[
    "pass", "secret", "token", "key", "pwd", "auth", "config", "env", "user", "cred", "param", "args",
    "settings", "input", "field", "value", "var",
];

/// Password: no word that merely stands for one, no name of a variable, no call, no template.
pub(super) fn password(value: &[u8]) -> Check {
    let Ok(text) = std::str::from_utf8(value) else {
        return Check::Plausible;
    };
    let lower = text.to_ascii_lowercase();
    let template = [
        "${", "{{", "$(", "%(", "#{", "()", "<%", "getenv", "environ", "://",
    ];
    let refused = NO_PASSWORDS.contains(&lower.trim_matches(|c: char| !c.is_ascii_alphanumeric()))
        || lower.starts_with(['$', '%', '{', '<', '[', '(', '*', '&', '|'])
        || template.iter().any(|t| lower.contains(t))
        || is_name(&lower)
        || is_coded_pair_without_password(value)
        || lower.bytes().all(|b| Some(&b) == lower.as_bytes().first());
    form(!refused)
}

/// Whether a value is `user:password` in base64 (RFC 7617) with a word in the place of the password.
fn is_coded_pair_without_password(value: &[u8]) -> bool {
    let end = value.iter().rposition(|b| *b != b'=').map_or(0, |at| at + 1);
    if value.len() < 12 || !value.len().is_multiple_of(4) || value.len() > 128 {
        return false;
    }
    let Some(pair) = base64url(&value[..end]).and_then(|pair| String::from_utf8(pair).ok()) else {
        return false;
    };
    pair.split_once(':')
        .is_some_and(|(_, secret)| NO_PASSWORDS.contains(&secret.to_ascii_lowercase().as_str()))
}

/// As [`password`], with something that is no letter: no word of a sentence.
pub(super) fn random_password(value: &[u8]) -> Check {
    if value
        .iter()
        .all(|b| b.is_ascii_alphabetic() || matches!(b, b'-' | b'_' | b'.' | b'!' | b'?' | b':' | b')'))
    {
        return Check::Reject;
    }
    password(value)
}

/// What stands behind the name of a password in a line of a configuration, without quotation marks: as [`random`]; with one
/// digit where it is no expression of a program, which stands there as often, and no word with a number (`password2`,
/// `8-characters`).
pub(super) fn config_password(value: &[u8]) -> Check {
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    if digits != 1 {
        return random(value);
    }
    let joined = |b: &u8| b.is_ascii_alphabetic() || matches!(b, b'_' | b'.' | b'-' | b':' | b'+');
    let counted = match value {
        [b'0'..=b'9', rest @ ..] | [rest @ .., b'0'..=b'9'] => rest.iter().all(joined),
        _ => false,
    };
    let of_code = |b: &u8| matches!(b, b'[' | b'(' | b'/' | b'\\' | b'<' | b'=');
    let expression = value.iter().any(of_code) || is_member(value);
    let letters = value.iter().filter(|b| b.is_ascii_alphabetic()).count();
    if counted || expression || letters < 4 {
        return Check::Reject;
    }
    password(value)
}

/// Whether a value is `one.other`, with names on both sides of each dot.
fn is_member(value: &[u8]) -> bool {
    let name = |part: &[u8]| {
        part.first().is_some_and(u8::is_ascii_alphabetic)
            && part.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
    };
    value.contains(&b'.') && value.split(|b| *b == b'.').all(name)
}

/// As [`random`], for what stands after the last colon.
pub(super) fn random_tail(value: &[u8]) -> Check {
    random(value.rsplit(|b| *b == b':').next().unwrap_or_default())
}

/// Base64 in groups of four, padded to the end (RFC 4648, section 4).
pub(super) fn base64(value: &[u8]) -> Check {
    let end = value.iter().rposition(|b| *b != b'=').map_or(0, |at| at + 1);
    let letters = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    form(value.len().is_multiple_of(4) && value.len() - end <= 2 && value[..end].iter().all(letters))
}

/// Whether a text looks like the name of a variable, a field or a message: words without digits, of which one says
/// that it holds a secret, or that are joined by dots.
fn is_name(lower: &str) -> bool {
    let letters =
        |b: u8| b.is_ascii_lowercase() || matches!(b, b'_' | b'.' | b'-' | b'[' | b']' | b'/' | b':' | b'#');
    let joined = lower.bytes().any(|b| !b.is_ascii_lowercase());
    lower.bytes().all(letters)
        && (lower.contains(['.', '['])
            || (joined || lower.len() <= 12) && NAME_PARTS.iter().any(|part| lower.contains(part)))
}

/// `user:password`, as programs take it on their command line.
pub(super) fn user_password(value: &[u8]) -> Check {
    let at = value.iter().position(|b| *b == b':').unwrap_or(value.len());
    let (user, secret) = (&value[..at], value.get(at + 1..).unwrap_or_default());
    if secret.is_empty() {
        return if user.len() < 8 {
            Check::Reject
        } else {
            random(user)
        };
    }
    let port = secret.len() <= 5 && secret.iter().all(u8::is_ascii_digit) && user.contains(&b'.');
    if port || user.starts_with(b"$") || secret.len() < 3 || secret == user && user.len() < 6 {
        return Check::Reject;
    }
    password(secret)
}

#[cfg(test)]
mod tests {
    use super::super::Validator;
    use super::super::tests::check_all;
    use super::*;

    #[test]
    fn sums_of_tokens() {
        let body = "aB3kZ9mQ2xR7tLw5YcD8vPn4HsG6jF";
        let sum = in_base(crc32fast::hash(body.as_bytes()), BASE_62, 6);
        let sum = String::from_utf8(sum).unwrap();
        let right = format!("ghp_{body}{sum}");
        check_all(Validator::Crc32Base62, Check::Valid, &[&right]);
        let wrong = format!("ghp_{body}000000");
        check_all(Validator::Crc32Base62, Check::Plausible, &[&wrong]);
        check_all(Validator::Crc32Base62, Check::Reject, &["ghp_abc"]);

        let text = format!("glsa_{body}aB");
        let sum = hex::encode(crc32fast::hash(text.as_bytes()).to_le_bytes());
        check_all(Validator::Grafana, Check::Valid, &[&format!("{text}_{sum}")]);
        check_all(
            Validator::Grafana,
            Check::Plausible,
            &[&format!("{text}_00000000")],
        );

        let text = format!("glpat-{body}.01.");
        let sum = String::from_utf8(in_base(crc32fast::hash(text.as_bytes()), BASE_36, 7)).unwrap();
        check_all(
            Validator::GitlabRoutable,
            Check::Valid,
            &[&format!("{text}{sum}")],
        );
        check_all(
            Validator::GitlabRoutable,
            Check::Plausible,
            &[body, "glpat-a.01.0000000"],
        );

        let text = format!("ATATT3x{body}");
        let sum = format!("{:08X}", crc32fast::hash(text.as_bytes()));
        check_all(Validator::Crc32Hex, Check::Valid, &[&format!("{text}={sum}")]);
        check_all(
            Validator::Crc32Hex,
            Check::Plausible,
            &[&format!("{text}=00000000"), body],
        );
    }

    #[test]
    fn numbers_in_other_bases() {
        assert_eq!(in_base(0, BASE_62, 6), b"000000");
        assert_eq!(in_base(62, BASE_62, 6), b"000010");
        assert_eq!(in_base(u32::MAX, BASE_62, 6), b"4gfFC3");
    }

    #[test]
    fn keys_of_wallets() {
        // The examples of BIP 32, the Bitcoin wiki and SEP-23, put together so that no scanner takes them for real.
        let wif = ["5HueCGU8rMjxEXxiPuD5BDku", "4MkFqeZyd4dZ1jvhTVqvbTLvyTJ"].concat();
        check_all(Validator::Wif, Check::Valid, &[&wif]);
        check_all(Validator::Wif, Check::Reject, &[&wif.replace("5BD", "5BE"), ""]);
        let xprv = [
            "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChk",
            "VvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi",
        ]
        .concat();
        check_all(Validator::Base58Check, Check::Valid, &[&xprv]);
        check_all(Validator::Base58Check, Check::Reject, &[&xprv[..100]]);
        check_all(Validator::StellarSeed, Check::Reject, &["SAAA", "", "S1"]);
        assert_eq!(crc16_xmodem(b"123456789"), 0x31c3);
    }

    #[test]
    fn passwords_and_what_is_none() {
        let good = [
            "hunter2",
            "super$ecret",
            "open-sesame",
            "Tr0ub4dor&3",
            "blooberry",
            "VMware1!",
        ];
        check_all(Validator::Password, Check::Plausible, &good);
        let none = [
            "password",
            "Required",
            "${PW}",
            "$PASS",
            "{{ pw }}",
            "os.environ",
            "config.password",
            "get_password",
            "db_password",
            "getenv('X')",
            "xxxxx",
            "%PASS%",
            "<password>",
        ];
        check_all(Validator::Password, Check::Reject, &none);
        let lines = [
            "Sup3rSecret!",
            "tr0ubador&",
            "hunter22",
            "S3cret-sauce",
            "x9f2kq7v",
        ];
        check_all(Validator::ConfigPassword, Check::Plausible, &lines);
        let code = [
            "sys.argv[1]",
            "user1.password",
            "password2",
            "newPassword1",
            "opts:password",
            "/home/me2/x",
            "D:\\x\\2",
            "Optional[str]",
            "get_password",
            "AES-1",
            "8-characters",
            "str1=None",
            "20241031",
        ];
        check_all(Validator::ConfigPassword, Check::Reject, &code);
        check_all(
            Validator::UserPassword,
            Check::Plausible,
            &["elastic:hunter2", ":d2LkV78", "d2LkV78zLx:"],
        );
        check_all(
            Validator::UserPassword,
            Check::Reject,
            &["test:test", "user:password", "a.b:8080", "user:", "x"],
        );
    }
}
