//! Where people and machines are reached: mail, telephone, network addresses, countries.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Check;
use super::sums::{all_digits, compact, form, varied};

/// E-mail address: lengths and label rules (RFC 5321, RFC 1035; RFC 6531 for letters outside of ASCII).
pub(super) fn email(value: &[u8]) -> Check {
    let Some(at) = value.iter().rposition(|b| *b == b'@') else {
        return Check::Reject;
    };
    let (local, domain) = (&value[..at], &value[at + 1..]);
    let quoted = local.len() > 2 && local.starts_with(b"\"") && local.ends_with(b"\"");
    let dots_fit = quoted
        || (!local.starts_with(b".") && !local.ends_with(b".") && !local.windows(2).any(|w| w == b".."));
    let labels_fit = domain.split(|b| *b == b'.').all(|label| {
        !label.is_empty() && label.len() <= 63 && !label.starts_with(b"-") && !label.ends_with(b"-")
    });
    form((1..=64).contains(&local.len()) && domain.len() <= 253 && dots_fit && labels_fit && !is_file(domain))
}

/// What stands in code like the domain of an address but is none: `images@2x.png`.
fn is_file(domain: &[u8]) -> bool {
    let last = domain.rsplit(|b| *b == b'.').next().unwrap_or_default();
    let ends: [&[u8]; 10] = [
        b"png", b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"js", b"css", b"ts", b"html",
    ];
    ends.iter().any(|end| last.eq_ignore_ascii_case(end))
}

/// Country calling codes of one and two digits with the least and most digits of a national number (ITU-T E.164 and
/// the national numbering plans that the ITU publishes). Codes of three digits all take 6 to 11.
const CALLING_CODES: &[(&[u8], usize, usize)] = &[
    (b"1", 10, 10),
    (b"7", 10, 10),
    (b"20", 8, 10),
    (b"27", 9, 9),
    (b"30", 10, 10),
    (b"31", 8, 9),
    (b"32", 8, 9),
    (b"33", 9, 9),
    (b"34", 9, 9),
    (b"36", 8, 9),
    (b"39", 6, 11),
    (b"40", 9, 9),
    (b"41", 9, 9),
    (b"43", 6, 13),
    (b"44", 9, 10),
    (b"45", 8, 8),
    (b"46", 7, 10),
    (b"47", 8, 8),
    (b"48", 9, 9),
    (b"49", 6, 12),
    (b"51", 8, 9),
    (b"52", 10, 11),
    (b"53", 8, 8),
    (b"54", 10, 11),
    (b"55", 10, 11),
    (b"56", 9, 9),
    (b"57", 8, 10),
    (b"58", 10, 10),
    (b"60", 8, 10),
    (b"61", 9, 9),
    (b"62", 8, 12),
    (b"63", 8, 10),
    (b"64", 8, 10),
    (b"65", 8, 8),
    (b"66", 8, 9),
    (b"81", 9, 10),
    (b"82", 8, 10),
    (b"84", 9, 10),
    (b"86", 10, 11),
    (b"90", 10, 10),
    (b"91", 10, 10),
    (b"92", 9, 10),
    (b"93", 9, 9),
    (b"94", 9, 9),
    (b"95", 8, 10),
    (b"98", 10, 10),
];

/// First and last of the assigned calling codes of three digits, as the ITU lists them.
const LONG_CODES: &[(u32, u32)] = &[
    (211, 213),
    (216, 216),
    (218, 218),
    (220, 258),
    (260, 269),
    (290, 291),
    (297, 299),
    (350, 359),
    (370, 383),
    (385, 387),
    (389, 389),
    (420, 421),
    (423, 423),
    (500, 509),
    (590, 599),
    (670, 670),
    (672, 683),
    (685, 692),
    (800, 800),
    (850, 850),
    (852, 853),
    (855, 856),
    (870, 870),
    (880, 883),
    (886, 886),
    (960, 968),
    (970, 977),
    (992, 996),
    (998, 998),
];

/// The digits of a telephone number as ASCII, without an extension and without a `(0)` that is dialled only inland.
fn dialled(value: &[u8]) -> Vec<u8> {
    let end = value
        .iter()
        .position(|b| matches!(b, b'x' | b'X' | b'e' | b'E' | b'#' | b',' | b';'))
        .unwrap_or(value.len());
    let body = &value[..end];
    let zero = memchr::memmem::find(body, b"(0)");
    let skip = |i: usize| zero.is_some_and(|at| i == at + 1);
    body.iter()
        .enumerate()
        .filter(|(i, b)| b.is_ascii_digit() && !skip(*i))
        .map(|(_, b)| *b)
        .collect()
}

/// International telephone number: a calling code that exists, with as many digits as its country has (E.164).
pub(super) fn phone_international(value: &[u8]) -> Check {
    let dialled = dialled(value);
    let number = match (value.contains(&b'+'), dialled.as_slice()) {
        (true, number) => number,
        (false, [b'0', b'1', b'1', number @ ..] | [b'0', b'0', number @ ..]) => number,
        (false, _) => return Check::Reject,
    };
    form(is_international(number))
}

fn is_international(number: &[u8]) -> bool {
    let national = |code: usize, least: usize, most: usize| {
        // A trunk 0 that somebody left in is not part of the number, but in Italy it is.
        let rest = &number[code..];
        let trunk = usize::from(rest.first() == Some(&b'0') && !number.starts_with(b"39"));
        (least..=most).contains(&(rest.len() - trunk)) && varied(rest)
    };
    if let Some((code, least, most)) = CALLING_CODES.iter().find(|(code, ..)| number.starts_with(code)) {
        return national(code.len(), *least, *most);
    }
    let Some(head) = number.get(..3) else { return false };
    let code = head.iter().fold(0, |n, b| n * 10 + u32::from(b - b'0'));
    LONG_CODES
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&code))
        && national(3, 6, 11)
}

/// Number of the North American plan: an area and an exchange that can exist (NANPA). Written with parentheses or an
/// extension it is taken as it is: no other number looks so.
pub(super) fn phone_nanp(value: &[u8]) -> Check {
    let dialled = dialled(value);
    let number = match dialled.as_slice() {
        [b'0', b'0', b'1', number @ ..] => number,
        [b'1', number @ ..] if number.len() == 10 => number,
        number => number,
    };
    let telling = value.contains(&b'(') || value.iter().any(|b| matches!(b, b'x' | b'X'));
    let can_exist =
        |number: &[u8]| number[0] >= b'2' && (telling || number[3] >= b'2') && number[1..3] != *b"11";
    form(number.len() == 10 && varied(number) && (telling || can_exist(number)))
}

/// National telephone number of some country: 7 to 12 digits that are no date, no time and no amount.
pub(super) fn phone_national(value: &[u8]) -> Check {
    let digits = dialled(value);
    let groups: Vec<usize> = value
        .split(|b| !b.is_ascii_digit())
        .map(<[u8]>::len)
        .filter(|n| *n > 0)
        .collect();
    let dotted = value.contains(&b'.');
    let amount = dotted && groups.len() > 1 && groups[1..].iter().all(|n| *n == 3) && groups[0] < 3;
    form((7..=12).contains(&digits.len()) && varied(&digits) && !amount && !is_date(value, &groups))
}

/// Whether groups of digits are a day: 2024-10-31, 31.10.2024, 10/31/24.
fn is_date(value: &[u8], groups: &[usize]) -> bool {
    let year = |bytes: &[u8]| bytes.starts_with(b"19") || bytes.starts_with(b"20");
    let last = value.rsplit(|b| !b.is_ascii_digit()).next().unwrap_or_default();
    match groups {
        [4, 1 | 2, 1 | 2, ..] => year(value),
        [1 | 2, 1 | 2, 4] => year(last),
        [8] => {
            year(value)
                && super::sums::date(
                    2000,
                    super::sums::two(&all_digits(value), 4),
                    super::sums::two(&all_digits(value), 6),
                )
        }
        [1 | 2, 1 | 2, 2] => true,
        _ => false,
    }
}

/// Mobile number in the Philippines: 09 or +63 9 and nine digits.
pub(super) fn phone_ph(value: &[u8]) -> Check {
    let number = dialled(value);
    let national = match number.as_slice() {
        [b'6', b'3', rest @ ..] | [b'0', rest @ ..] => rest,
        _ => return Check::Reject,
    };
    form(national.len() == 10 && national[0] == b'9' && varied(national))
}

/// Number in Turkey: +90 or 0 or nothing, an area code of 2 to 5, seven digits.
pub(super) fn phone_tr(value: &[u8]) -> Check {
    let number = dialled(value);
    let national = match number.as_slice() {
        [b'9', b'0', rest @ ..] if rest.len() == 10 => rest,
        [b'0', rest @ ..] => rest,
        rest => rest,
    };
    form(national.len() == 10 && (b'2'..=b'5').contains(&national[0]) && varied(national))
}

/// The address without prefix length, brackets and zone.
fn ip(value: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(value).ok()?;
    let end = text.find(['/', '%']).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// Address that no network has to itself: private, shared, loopback, link-local, unspecified (RFC 6890).
fn is_local(address: IpAddr) -> bool {
    let v4 = |a: Ipv4Addr| {
        let shared = a.octets()[0] == 100 && (64..128).contains(&a.octets()[1]);
        let none = a.octets()[0] == 0 || a.octets()[0] >= 224;
        a.is_private() || a.is_loopback() || a.is_link_local() || shared || none
    };
    let v6 = |a: Ipv6Addr| match a.to_ipv4() {
        Some(inner) if !a.is_loopback() && !a.is_unspecified() => v4(inner),
        _ => {
            a.is_loopback()
                || a.is_unspecified()
                || a.is_multicast()
                || matches!(a.segments()[0], 0xfc00..=0xfdff | 0xfe80..=0xfebf)
        }
    };
    match address {
        IpAddr::V4(a) => v4(a),
        IpAddr::V6(a) => v6(a),
    }
}

/// Whether digits occur: `dead::beef` is an address and a path in a program, and is taken for the latter.
fn has_digit(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_digit)
}

/// IP address that can be reached from elsewhere (RFC 4291, RFC 5952, RFC 6890).
pub(super) fn ip_public(value: &[u8]) -> Check {
    form(has_digit(value) && ip(value).is_some_and(|a| !is_local(a)))
}

/// IP address with a meaning in one network or host only (RFC 1918, RFC 4193, RFC 6598, RFC 6890).
pub(super) fn ip_local(value: &[u8]) -> Check {
    form(has_digit(value) && ip(value).is_some_and(is_local))
}

/// Hardware address that is not empty, not the broadcast and not counted up (IEEE 802, EUI-48).
pub(super) fn mac(value: &[u8]) -> Check {
    let text = compact(value);
    form(text.len() == 12 && text.iter().any(|b| *b != text[0]))
}

/// Whether a country has these two letters (ISO 3166-1 alpha-2, and XK).
pub(super) fn is_country(letters: &[u8]) -> bool {
    const ALL: &[u8] = b"ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCRCU\
        CVCWCXCYCZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUIDIEILIMIN\
        IOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZ\
        NANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZ\
        TCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUSUYUZVAVCVEVGVIVNVUWFWSXKYEYTZAZMZW";
    letters.len() == 2 && ALL.chunks_exact(2).any(|country| country == letters)
}

/// A day that exists, in one of the orders in which people write it, in the years 1900 to 2099.
pub(super) fn day(value: &[u8]) -> Check {
    let numbers: Vec<u32> = value
        .split(|b| !b.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .map(|part| {
            part.iter().fold(0u32, |n, b| {
                n.saturating_mul(10).saturating_add(u32::from(b - b'0'))
            })
        })
        .collect();
    let named = value.iter().any(u8::is_ascii_alphabetic);
    let year = |y: u32| if y < 100 { 2000 + y } else { y };
    let known = |y: u32| (1900..2100).contains(&year(y));
    let fits = match numbers[..] {
        [a, b] if named => known(b) && (1..=31).contains(&a) || known(a) && (1..=31).contains(&b),
        [a, b, c] if a > 31 => known(a) && super::sums::date(a, b, c),
        [a, b, c] => known(c) && (super::sums::date(year(c), b, a) || super::sums::date(year(c), a, b)),
        _ => false,
    };
    form(fits)
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_all;
    use super::super::{Check, Validator};

    #[test]
    fn addresses_of_mail() {
        let good = [
            "a@b.co",
            "x.y+z@sub.host.org",
            "o'neil@host.ie",
            "jörg@müller.de",
            "\"a b\"@c.de",
        ];
        check_all(Validator::Email, Check::Plausible, &good);
        let long = format!("{}@b.co", "a".repeat(65));
        let bad = [
            ".a@b.co",
            "a.@b.co",
            "a..b@c.de",
            "a@-b.co",
            "i@2x.png",
            "a@b..de",
            "ab",
            &long,
        ];
        check_all(Validator::Email, Check::Reject, &bad);
    }

    #[test]
    fn international_numbers_of_countries_that_exist() {
        let good = [
            "+49 (0) 30 901820",
            "+39 06 678 4343",
            "+44 (20) 7123 4567",
            "+1-648-642-8616x21",
            "0044 20 7946 0018",
            "011 44 20 7946 0018",
            "+55 11 98456 5666",
            "+91 4155 550132",
            "+354 511 0000",
            "+46 (0)8 414 852 53",
        ];
        check_all(Validator::PhoneInternational, Check::Plausible, &good);
        let bad = [
            "+999 1234567",
            "+1 234",
            "+49",
            "+",
            "20 7946 0018",
            "+210 123 4567",
            "+33 1 23 45",
            "+1 0000000000",
        ];
        check_all(Validator::PhoneInternational, Check::Reject, &bad);
    }

    #[test]
    fn national_numbers_are_no_dates_and_no_amounts() {
        let nanp = [
            "(415) 555-0132",
            "552-454-3681x472",
            "1-800-555-0199",
            "001-227-754-7370",
            "(026)514-8339x354",
        ];
        check_all(Validator::PhoneNanp, Check::Plausible, &nanp);
        check_all(
            Validator::PhoneNanp,
            Check::Reject,
            &[
                "123-456-7890",
                "212-055-1234",
                "911-555-0100",
                "222-222-2222",
                "1",
            ],
        );
        check_all(
            Validator::PhoneNational,
            Check::Plausible,
            &["030 901820", "0171/1234567", "9215480870", "972-0827343"],
        );
        let bad = [
            "2024-10-31",
            "31.10.2024",
            "20241031",
            "1.234.567",
            "10/31/24",
            "123456",
            "1234567890123",
            "0000000",
        ];
        check_all(Validator::PhoneNational, Check::Reject, &bad);
        check_all(
            Validator::PhonePh,
            Check::Plausible,
            &["0917 123 4567", "+63 (917) 123 4567"],
        );
        check_all(
            Validator::PhonePh,
            Check::Reject,
            &["9171234567", "0817 123 4567"],
        );
        check_all(
            Validator::PhoneTr,
            Check::Plausible,
            &["5321234567", "0212 123 45 67", "+90 532 123 45 67"],
        );
        check_all(
            Validator::PhoneTr,
            Check::Reject,
            &["9123456789", "1234567890", "532123456"],
        );
    }

    #[test]
    fn addresses_of_networks() {
        let public = [
            "8.8.8.8",
            "2400:c401::5054:ff:fe1b:b031",
            "::ffff:8.8.8.8",
            "64:ff9b::192.0.2.1",
            "192.0.2.1",
        ];
        check_all(Validator::IpPublic, Check::Plausible, &public);
        check_all(Validator::IpLocal, Check::Reject, &public);
        let local = [
            "10.0.0.1",
            "127.0.0.1",
            "::1",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "100.64.0.1",
            "::/0",
            "0.0.0.0",
        ];
        check_all(Validator::IpLocal, Check::Plausible, &local);
        check_all(Validator::IpPublic, Check::Reject, &local);
        let none = [
            "256.1.1.1",
            "1.2.3",
            "::",
            "dead::beef",
            "2001::db8::1",
            "1:2:3:4:5:6:7",
            "",
        ];
        check_all(Validator::IpPublic, Check::Reject, &none);
        check_all(Validator::IpLocal, Check::Reject, &none);
        check_all(
            Validator::Mac,
            Check::Plausible,
            &["AA:BB:CC:DD:EE:FF", "0012.3456.789a"],
        );
        check_all(
            Validator::Mac,
            Check::Reject,
            &["00:00:00:00:00:00", "ff-ff-ff-ff-ff-ff", "AA:BB"],
        );
    }

    #[test]
    fn days_as_people_write_them() {
        let good = [
            "1985-01-03",
            "3.1.1985",
            "01/31/1985",
            "31/01/85",
            "3 January 1985",
            "Jan 3, 1985",
            "1985/1/3",
        ];
        check_all(Validator::Day, Check::Plausible, &good);
        check_all(
            Validator::Day,
            Check::Reject,
            &[
                "32.1.1985",
                "1985-13-01",
                "31.31.1985",
                "3 January 1785",
                "1985",
                "",
            ],
        );
    }
}
