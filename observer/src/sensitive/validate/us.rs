//! Identifiers of the United States and Canada.

use super::Check;
use super::sums::{chars, digits, form, luhn, number, two, varied, verdict};

/// US social security number: areas, groups and serials that are never given out (SSA, randomised since 2011).
pub(super) fn ssn(value: &[u8]) -> Check {
    form(digits::<9>(value).is_some_and(|d| {
        let area = number(&d[..3]);
        let never = area == 0 || area == 666 || area >= 900 || two(&d, 3) == 0 || number(&d[5..]) == 0;
        varied(&d) && !never
    }))
}

/// US individual taxpayer identification number: 9, then a group that the IRS gives out.
pub(super) fn itin(value: &[u8]) -> Check {
    form(
        digits::<9>(value)
            .is_some_and(|d| d[0] == 9 && matches!(two(&d, 3), 50..=65 | 70..=88 | 90..=92 | 94..=99)),
    )
}

/// US employer identification number: a prefix that the IRS gives out.
pub(super) fn ein(value: &[u8]) -> Check {
    form(digits::<9>(value).is_some_and(|d| {
        let never =
            matches!(two(&d, 0), 0 | 7..=9 | 17..=19 | 28 | 29 | 49 | 69 | 70 | 78 | 79 | 89 | 96 | 97);
        varied(&d) && !never
    }))
}

/// US national provider identifier: 1 or 2, Luhn with the prefix 80840 (45 CFR 162.406).
pub(super) fn npi(value: &[u8]) -> Check {
    verdict(digits::<10>(value).map(|d| {
        let whole = [&[8, 0, 8, 4, 0][..], &d].concat();
        matches!(d[0], 1 | 2) && varied(&d[..9]) && luhn(&whole)
    }))
}

/// US registration number of the DEA: kind of registrant, initial, weights 1 and 2.
pub(super) fn dea(value: &[u8]) -> Check {
    verdict(chars::<9>(value).and_then(|text| {
        let kind = b"ABCDEFGHJKLMPRSTUX".contains(&text[0]);
        let initial = text[1].is_ascii_uppercase() || text[1] == b'9';
        let d: [u8; 7] = digits(&text[2..])?;
        let odd: u32 = [d[0], d[2], d[4]].iter().map(|d| u32::from(*d)).sum();
        let even: u32 = [d[1], d[3], d[5]].iter().map(|d| u32::from(*d)).sum();
        Some(kind && initial && varied(&d) && (odd + 2 * even) % 10 == u32::from(d[6]))
    }))
}

/// US Medicare beneficiary identifier: 11 places, each a digit or a letter without S, L, O, I, B, Z (CMS).
pub(super) fn mbi(value: &[u8]) -> Check {
    let letter = |b: u8| b.is_ascii_uppercase() && !b"SLOIBZ".contains(&b);
    let fits = |text: [u8; 11]| {
        text.iter().zip(b"cabdabdaadd").all(|(b, place)| match place {
            b'c' => (b'1'..=b'9').contains(b),
            b'a' => letter(*b),
            b'b' => letter(*b) || b.is_ascii_digit(),
            _ => b.is_ascii_digit(),
        })
    };
    // Places 8 and 9 are letters, 10 and 11 digits; place 3 and 6 may be either.
    form(chars::<11>(value).is_some_and(fits))
}

/// Canadian social insurance number: Luhn, not beginning with 0 or 8.
pub(super) fn ca_sin(value: &[u8]) -> Check {
    verdict(digits::<9>(value).map(|d| !matches!(d[0], 0 | 8) && varied(&d) && luhn(&d)))
}
