//! Money: cards, accounts, bank codes.

use super::Check;
use super::sums::{all_digits, compact, digits, form, luhn, number, two, varied, verdict, weighted};

/// Any number with a right Luhn checksum.
pub(super) fn any_luhn(value: &[u8]) -> Check {
    let digits = all_digits(value);
    verdict(Some(digits.len() >= 12 && varied(&digits) && luhn(&digits)))
}

/// Payment card: issuer range, length of that issuer, Luhn (ISO/IEC 7812-1).
pub(super) fn card(value: &[u8]) -> Check {
    let digits = all_digits(value);
    verdict(Some(varied(&digits) && issuer_takes(&digits) && luhn(&digits)))
}

/// Whether the length fits the issuer that the first digits name. Ranges as the issuers publish them; cards of
/// issuers that are not in the list are not recognised.
fn issuer_takes(digits: &[u8]) -> bool {
    if !(12..=19).contains(&digits.len()) {
        return false;
    }
    let head = |n: usize| number(&digits[..n]);
    let lengths: &[usize] = match (head(1), head(2), head(3), head(4), head(6)) {
        (4, ..) => &[13, 16, 19],                                              // Visa
        (_, 51..=55, ..) | (_, _, _, 2221..=2720, _) => &[16],                 // Mastercard
        (_, 34 | 37, ..) => &[15],                                             // American Express
        (_, _, _, 6011, _) | (_, 65, ..) | (_, _, 644..=649, ..) => &[16, 19], // Discover, RuPay
        (_, _, 300..=305, ..) | (_, _, _, 3095, _) | (_, 38 | 39, ..) => &[14, 16, 19], // Diners Club
        (_, 36, ..) => &[14, 16, 19],                                          // Diners Club International
        (_, _, _, 3528..=3589, _) => &[16, 17, 18, 19],                        // JCB
        (_, _, _, 2131 | 1800, _) => &[15],                                    // JCB, old
        (_, 62, ..) => &[16, 17, 18, 19],                                      // UnionPay
        (_, _, _, 2200..=2204, _) => &[16, 17, 18, 19],                        // Mir
        (_, _, _, 2205, _) => &[16],                                           // BORICA
        (_, 60 | 81 | 82, ..) | (_, _, _, 508, _) | (_, _, 353 | 356, ..) => &[16], // RuPay
        (_, _, _, 9792, _) => &[16],                                           // Troy
        (_, _, _, 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763, _) => {
            &[12, 13, 14, 15, 16, 17, 18, 19]
        } // Maestro
        (.., 676_770 | 676_774) => &[12, 13, 14, 15, 16, 17, 18, 19], // Maestro in the United Kingdom
        (.., 636_000..=636_999) => &[16],                             // InterPayment, InstaPayment
        (.., 506_099..=506_198 | 650_002..=650_027) => &[16, 19],     // Verve
        _ => &[],
    };
    lengths.contains(&digits.len())
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

/// IBAN: length of the country, mod 97 (ISO 13616). In lower case it must not look like something else that is written so.
pub(super) fn iban(value: &[u8]) -> Check {
    let text = compact(value);
    let fits = iban_length(&text) == Some(text.len()) && mod_97(&text) == 1;
    verdict(Some(fits && !is_small_identifier(value)))
}

/// Most letters of an account number: the bank, and in some countries the currency.
const LETTERS_OF_ACCOUNT: usize = 7;

/// Whether a value in lower case is rather a part of a hash, a UUID or another identifier than an account: hexadecimal with
/// letters in it, or mostly letters.
fn is_small_identifier(value: &[u8]) -> bool {
    let letters = || value.iter().filter(|b| b.is_ascii_alphabetic());
    let behind = letters().skip(2).count();
    value.iter().any(u8::is_ascii_lowercase)
        && (behind > LETTERS_OF_ACCOUNT || behind > 0 && letters().all(u8::is_ascii_hexdigit))
}

/// A number with the check digits of an IBAN and another length than its country's.
pub(super) fn iban_other_length(value: &[u8]) -> Check {
    let text = compact(value);
    let other = iban_length(&text).is_some_and(|length| length != text.len());
    verdict(Some(other && text.len() >= 15 && mod_97(&text) == 1))
}

/// Length of an IBAN of the country with which the text begins.
fn iban_length(text: &[u8]) -> Option<usize> {
    let of_country = IBAN_LENGTHS
        .iter()
        .find(|(country, _)| text.starts_with(*country));
    of_country.map(|(_, length)| *length)
}

/// Remainder by 97 with the first four characters moved to the end and letters as 10 to 35.
pub(super) fn mod_97(text: &[u8]) -> u32 {
    let (head, tail) = text.split_at(text.len().min(4));
    tail.iter().chain(head).fold(0, |rest, byte| {
        if byte.is_ascii_digit() {
            (rest * 10 + u32::from(byte - b'0')) % 97
        } else {
            (rest * 100 + u32::from(byte.to_ascii_uppercase().saturating_sub(b'A')) + 10) % 97
        }
    })
}

/// Routing number of a bank in the United States: district of the Federal Reserve, weights 3, 7, 1 (ABA).
pub(super) fn aba(value: &[u8]) -> Check {
    verdict(digits::<9>(value).map(|d| {
        let district = matches!(two(&d, 0), 0..=12 | 21..=32 | 61..=72 | 80);
        district && varied(&d) && weighted(&d, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10)
    }))
}

/// Business identifier code: four letters of the bank, a country that exists, place, branch (ISO 9362).
pub(super) fn bic(value: &[u8]) -> Check {
    let text = compact(value);
    let fits = matches!(text.len(), 8 | 11)
        && text[..6].iter().all(u8::is_ascii_uppercase)
        && super::contact::is_country(&text[4..6]);
    form(fits)
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_all;
    use super::super::{Check, Validator};

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
        check_all(
            Validator::Iban,
            Check::Valid,
            &["de89370400440532013000", "gb33bukb20201555555555"],
        );
        let bad = [
            "DE89370400440532013001",
            "DE8937040044053201300",
            "XX89370400440532013000",
            "GB82WEST12345698765433",
            "",
            "DE",
            "be0374bf20f876ff",
            "se49p9e9xo04a2j1huorps8n",
        ];
        check_all(Validator::Iban, Check::Reject, &bad);
        check_all(
            Validator::IbanOtherLength,
            Check::Valid,
            &["GB87TDLS2868826945532"],
        );
        check_all(Validator::IbanOtherLength, Check::Reject, &good);
        check_all(Validator::IbanOtherLength, Check::Reject, &bad);
    }

    #[test]
    fn bank_codes() {
        check_all(
            Validator::Aba,
            Check::Valid,
            &["121000358", "0711-0130-7", "021000021"],
        );
        check_all(
            Validator::Aba,
            Check::Reject,
            &["121000359", "1234-0000-0", "000000000", "500000005"],
        );
        check_all(
            Validator::Bic,
            Check::Plausible,
            &["DEUTDEFF", "DEUTDEFF500", "NEDSZAJJXXX"],
        );
        check_all(
            Validator::Bic,
            Check::Reject,
            &["DEUTXXFF", "DEUT1EFF", "DEUTDEFF5"],
        );
    }
}
