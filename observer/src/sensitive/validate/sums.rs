//! Arithmetic that identifiers of many countries share: digits, weights, check characters, dates.

use super::Check;

/// The digits of a value as numbers, without what stands between them; `None` unless there are exactly `N`.
pub(super) fn digits<const N: usize>(value: &[u8]) -> Option<[u8; N]> {
    let mut out = [0; N];
    let mut count = 0;
    for byte in value.iter().filter(|b| b.is_ascii_digit()) {
        *out.get_mut(count)? = byte - b'0';
        count += 1;
    }
    (count == N).then_some(out)
}

/// All digits of a value as numbers.
pub(super) fn all_digits(value: &[u8]) -> Vec<u8> {
    value
        .iter()
        .filter(|b| b.is_ascii_digit())
        .map(|b| b - b'0')
        .collect()
}

/// Letters (in upper case) and digits of a value, without what stands between them.
pub(super) fn compact(value: &[u8]) -> Vec<u8> {
    value
        .iter()
        .filter(|b| b.is_ascii_alphanumeric())
        .map(u8::to_ascii_uppercase)
        .collect()
}

/// As [`compact`]; `None` unless there are exactly `N`.
pub(super) fn chars<const N: usize>(value: &[u8]) -> Option<[u8; N]> {
    compact(value).try_into().ok()
}

/// A checksum that is right or wrong; a value of another form is no value.
pub(super) fn verdict(valid: Option<bool>) -> Check {
    if valid == Some(true) {
        Check::Valid
    } else {
        Check::Reject
    }
}

/// Valid where the checksum is right, plausible where it is not, rejected where the form is wrong.
pub(super) fn graded(valid: Option<bool>) -> Check {
    match valid {
        Some(true) => Check::Valid,
        Some(false) => Check::Plausible,
        None => Check::Reject,
    }
}

/// A form without a checksum.
pub(super) fn form(fits: bool) -> Check {
    if fits { Check::Plausible } else { Check::Reject }
}

/// Whether not all digits are the same: `000000000` passes many checksums and is no number.
pub(super) fn varied(digits: &[u8]) -> bool {
    digits.iter().any(|d| Some(d) != digits.first())
}

/// Sum of each digit times its weight.
pub(super) fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(d, w)| u32::from(*d) * w).sum()
}

/// The digits as one number.
pub(super) fn number(digits: &[u8]) -> u64 {
    digits
        .iter()
        .fold(0, |n: u64, d| n.wrapping_mul(10).wrapping_add(u64::from(*d)))
}

/// The number of two digits at `at`; 0 where there are none.
pub(super) fn two(digits: &[u8], at: usize) -> u32 {
    let digit = |i: usize| u32::from(digits.get(i).copied().unwrap_or(0));
    digit(at) * 10 + digit(at + 1)
}

/// Digit sum of a number below 100.
pub(super) fn cross(n: u32) -> u32 {
    n / 10 + n % 10
}

/// Luhn's formula over all digits, the last one being the check digit (ISO/IEC 7812-1, annex B).
pub(super) fn luhn(digits: &[u8]) -> bool {
    let double = |(i, d): (usize, &u8)| match (i % 2, u32::from(*d)) {
        (1, d) => cross(d * 2),
        (_, d) => d,
    };
    !digits.is_empty()
        && digits
            .iter()
            .rev()
            .enumerate()
            .map(double)
            .sum::<u32>()
            .is_multiple_of(10)
}

/// Verhoeff's check over all digits, the last one being the check digit (J. Verhoeff, 1969: dihedral group of order 10).
pub(super) fn verhoeff(digits: &[u8]) -> bool {
    const PERMUTE: [[u32; 10]; 8] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
        [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
        [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
        [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
        [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
        [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
        [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
    ];
    // Multiplication in D5: below 5 rotations, from 5 on reflections.
    let multiply = |a: u32, b: u32| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a - 5 + 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    };
    let step = |sum: u32, (i, d): (usize, &u8)| multiply(sum, PERMUTE[i % 8][usize::from(*d % 10)]);
    !digits.is_empty() && digits.iter().rev().enumerate().fold(0, step) == 0
}

/// ISO/IEC 7064, MOD 11,10, the last digit being the check digit.
pub(super) fn mod_11_10(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else {
        return false;
    };
    let product = body.iter().fold(10, |p, d| {
        let sum = (p + u32::from(*d)) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (product + u32::from(*check)) % 10 == 1
}

/// Value of a digit or letter in base 36: `A` is 10, `Z` is 35.
pub(super) fn base_36(byte: u8) -> u32 {
    char::from(byte).to_digit(36).unwrap_or(0)
}

/// Check digit of machine-readable travel documents: weights 7, 3, 1 over base-36 values (ICAO 9303, part 3).
pub(super) fn icao(text: &[u8]) -> u32 {
    text.iter()
        .zip([7, 3, 1].into_iter().cycle())
        .map(|(b, w)| base_36(*b) * w)
        .sum::<u32>()
        % 10
}

/// Whether the day exists. The year may be a year of a century that is not known: then 2000 stands for it.
pub(super) fn date(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let last = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return false,
    };
    (1..=last).contains(&day)
}

/// Whether six digits at `at` are year, month and day of some century.
pub(super) fn yymmdd(digits: &[u8], at: usize) -> bool {
    let year = two(digits, at);
    date(2000 + year, two(digits, at + 2), two(digits, at + 4))
}

/// Whether six digits at `at` are day, month and year of some century.
pub(super) fn ddmmyy(digits: &[u8], at: usize) -> bool {
    let year = two(digits, at + 4);
    date(2000 + year, two(digits, at + 2), two(digits, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_letters_of_a_value() {
        assert_eq!(digits::<3>(b"1-2 3"), Some([1, 2, 3]));
        assert_eq!(digits::<3>(b"1234"), None);
        assert_eq!(digits::<3>(b"12"), None);
        assert_eq!(chars::<3>(b"a-1 b"), Some(*b"A1B"));
        assert_eq!(number(&[0, 4, 2]), 42);
    }

    #[test]
    fn check_digits_of_published_examples() {
        // Wikipedia's examples of each scheme.
        assert!(luhn(&[7, 9, 9, 2, 7, 3, 9, 8, 7, 1, 3]));
        assert!(!luhn(&[7, 9, 9, 2, 7, 3, 9, 8, 7, 1, 4]));
        assert!(verhoeff(&[2, 3, 6, 3]));
        assert!(!verhoeff(&[2, 3, 6, 4]));
        assert!(mod_11_10(&[0, 7, 9, 4, 5]));
        assert!(!mod_11_10(&[0, 7, 9, 4, 6]));
        assert_eq!(icao(b"L898902C3"), 6);
        for check in [luhn, verhoeff, mod_11_10] {
            assert!(!check(&[]));
        }
    }

    #[test]
    fn verhoeff_finds_every_wrong_digit_and_every_swap() {
        let right = [1, 4, 2, 8, 5, 7, 0];
        assert!(verhoeff(&right));
        for at in 0..right.len() {
            for digit in (0..10).filter(|d| *d != right[at]) {
                let mut wrong = right;
                wrong[at] = digit;
                assert!(!verhoeff(&wrong));
            }
            if at > 0 {
                let mut wrong = right;
                wrong.swap(at, at - 1);
                assert!(!verhoeff(&wrong));
            }
        }
    }

    #[test]
    fn days_that_exist() {
        assert!(date(2000, 2, 29) && date(1996, 2, 29) && date(2023, 12, 31));
        assert!(!date(1900, 2, 29) && !date(2023, 2, 29) && !date(2023, 13, 1) && !date(2023, 4, 31));
        assert!(!date(2023, 1, 0) && !date(2023, 0, 1));
        assert!(yymmdd(&[8, 0, 0, 2, 2, 9], 0) && !yymmdd(&[8, 1, 0, 2, 2, 9], 0));
        assert!(ddmmyy(&[3, 1, 0, 1, 9, 9], 0) && !ddmmyy(&[3, 1, 0, 2, 9, 9], 0));
    }
}
