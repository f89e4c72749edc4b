//! Identifiers of central and eastern Europe and of the former Soviet Union.

use super::Check;
use super::sums::{all_digits, date, digits, luhn, mod_11_10, number, two, varied, verdict, weighted};

/// Year, month and day where the month says the century: 80, 0, 20, 40, 60 more for 1800 to 2200.
fn century_in_month(d: &[u8], first: u32) -> bool {
    let month = two(d, 2);
    let century = match month / 20 {
        0 => first,
        4 => first - 100,
        n => first + n * 100,
    };
    date(century + two(d, 0), month % 20, two(d, 4))
}

/// Polish personal number (PESEL): day of birth with century, weights 1, 3, 7, 9.
pub(super) fn pl_pesel(value: &[u8]) -> Check {
    verdict(digits::<11>(value).map(|d| {
        century_in_month(&d, 1900) && weighted(&d, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10)
    }))
}

/// Polish tax number (NIP): mod 11.
pub(super) fn pl_nip(value: &[u8]) -> Check {
    verdict(digits::<10>(value).map(|d| {
        let sum = weighted(&d, &[6, 5, 7, 2, 3, 4, 5, 6, 7]);
        d[0] != 0 && varied(&d) && sum % 11 == u32::from(d[9])
    }))
}

/// Polish register of the economy (REGON): 9 or 14 digits, mod 11.
pub(super) fn pl_regon(value: &[u8]) -> Check {
    let d = all_digits(value);
    let short = d.len() >= 9 && weighted(&d[..8], &[8, 9, 2, 3, 4, 5, 6, 7]) % 11 % 10 == u32::from(d[8]);
    let long = || weighted(&d, &[2, 4, 8, 5, 0, 9, 7, 3, 6, 1, 2, 4, 8]) % 11 % 10 == u32::from(d[13]);
    verdict(Some(
        varied(&d) && short && (d.len() == 9 || d.len() == 14 && long()),
    ))
}

/// Birth number of the Czech and Slovak republics: day of birth, whole number divisible by 11 since 1954.
pub(super) fn cz_birth(value: &[u8]) -> Check {
    let d = all_digits(value);
    let month = match two(&d, 2) {
        m @ 1..=12 => m,
        m @ 21..=32 => m - 20,
        m @ 51..=62 => m - 50,
        m @ 71..=82 => m - 70,
        _ => return Check::Reject,
    };
    if !date(2000 + two(&d, 0), month, two(&d, 4)) {
        return Check::Reject;
    }
    match d.len() {
        // Before 1954 there was no check digit.
        9 => super::sums::form(two(&d, 0) < 54 && number(&d[6..]) != 0),
        10 => {
            let old = number(&d[..9]) % 11 == 10 && d[9] == 0;
            verdict(Some(old || number(&d).is_multiple_of(11)))
        }
        _ => Check::Reject,
    }
}

/// Hungarian social insurance number (TAJ): weights 3 and 7.
pub(super) fn hu_taj(value: &[u8]) -> Check {
    verdict(
        digits::<9>(value)
            .map(|d| varied(&d) && weighted(&d, &[3, 7, 3, 7, 3, 7, 3, 7]) % 10 == u32::from(d[8])),
    )
}

/// Hungarian tax number of a person: begins with 8, weights 1 to 9.
pub(super) fn hu_tax(value: &[u8]) -> Check {
    verdict(
        digits::<10>(value)
            .map(|d| d[0] == 8 && weighted(&d, &[1, 2, 3, 4, 5, 6, 7, 8, 9]) % 11 == u32::from(d[9])),
    )
}

/// Romanian personal number (CNP): sex and century, day of birth, county, mod 11.
pub(super) fn ro_cnp(value: &[u8]) -> Check {
    verdict(digits::<13>(value).map(|d| {
        let rest = weighted(&d, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
        let county = matches!(two(&d, 7), 1..=52 | 70 | 80..=83);
        let check = if rest == 10 { 1 } else { rest };
        matches!(d[0], 1..=9)
            && date(2000 + two(&d, 1), two(&d, 3), two(&d, 5))
            && county
            && check == u32::from(d[12])
    }))
}

/// Bulgarian civil number (EGN): day of birth with century, mod 11.
pub(super) fn bg_egn(value: &[u8]) -> Check {
    verdict(digits::<10>(value).map(|d| {
        let month = match two(&d, 2) {
            m @ 1..=12 => m,
            m @ 21..=32 => m - 20,
            m @ 41..=52 => m - 40,
            _ => return false,
        };
        let sum = weighted(&d, &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10;
        date(2000 + two(&d, 0), month, two(&d, 4)) && sum == u32::from(d[9])
    }))
}

/// Croatian personal number (OIB): MOD 11,10.
pub(super) fn hr_oib(value: &[u8]) -> Check {
    verdict(digits::<11>(value).map(|d| varied(&d) && mod_11_10(&d)))
}

/// Unique citizen number of the states of former Yugoslavia (EMŠO, JMBG): day of birth, region, mod 11.
pub(super) fn yu_emso(value: &[u8]) -> Check {
    verdict(digits::<13>(value).map(|d| {
        let year = number(&d[4..7]);
        let year = u32::try_from(if year < 800 { 2000 + year } else { 1000 + year }).unwrap_or(0);
        let sum = weighted(&d, &[7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]);
        date(year, two(&d, 2), two(&d, 0)) && sum.is_multiple_of(11)
    }))
}

/// Slovenian tax number: weights 8 to 2, mod 11.
pub(super) fn si_tax(value: &[u8]) -> Check {
    verdict(digits::<8>(value).map(|d| {
        let check = 11 - weighted(&d, &[8, 7, 6, 5, 4, 3, 2]) % 11;
        d[0] != 0 && varied(&d) && check != 11 && check % 10 == u32::from(d[7])
    }))
}

/// Russian tax number (INN): 10 digits for organisations, 12 for persons.
pub(super) fn ru_inn(value: &[u8]) -> Check {
    let d = all_digits(value);
    let check = |weights: &[u32]| weighted(&d, weights) % 11 % 10;
    let right = match d.len() {
        10 => check(&[2, 4, 10, 3, 5, 9, 4, 6, 8]) == u32::from(d[9]),
        12 => {
            check(&[7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) == u32::from(d[10])
                && check(&[3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) == u32::from(d[11])
        }
        _ => false,
    };
    verdict(Some(right && varied(&d) && two(&d, 0) != 0))
}

/// Russian pension insurance number (SNILS): weights 9 to 1, mod 101.
pub(super) fn ru_snils(value: &[u8]) -> Check {
    verdict(digits::<11>(value).map(|d| {
        let sum = weighted(&d, &[9, 8, 7, 6, 5, 4, 3, 2, 1]) % 101 % 100;
        varied(&d[..9]) && sum == two(&d, 9)
    }))
}

/// Ukrainian taxpayer number (RNOKPP): days since 1900, mod 11.
pub(super) fn ua_tax(value: &[u8]) -> Check {
    verdict(digits::<10>(value).map(|d| {
        let sum = weighted(&d[1..], &[5, 7, 9, 4, 6, 10, 5, 7]) + 11 - u32::from(d[0]);
        varied(&d) && number(&d[..5]) < 60_000 && sum % 11 % 10 == u32::from(d[9])
    }))
}

/// Individual and business numbers of Kazakhstan: day of birth, two rounds of mod 11.
pub(super) fn kz_iin(value: &[u8]) -> Check {
    verdict(digits::<12>(value).map(|d| {
        let first = weighted(&d, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]) % 11;
        let second = weighted(&d, &[3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2]) % 11;
        let check = if first == 10 { second } else { first };
        date(2000 + two(&d, 0), two(&d, 2), two(&d, 4)) && d[6] <= 6 && check == u32::from(d[11])
    }))
}

/// Turkish identity number: two check digits over odd and even places.
pub(super) fn tr_id(value: &[u8]) -> Check {
    verdict(digits::<11>(value).map(|d| {
        let sum = |places: &[usize]| -> u32 { places.iter().map(|i| u32::from(d[*i])).sum() };
        let (odd, even) = (sum(&[0, 2, 4, 6, 8]), sum(&[1, 3, 5, 7]));
        let tenth = (odd * 7 + 80 - even) % 10;
        d[0] != 0 && tenth == u32::from(d[9]) && (odd + even + tenth) % 10 == u32::from(d[10])
    }))
}

/// Israeli identity number: Luhn over nine digits.
pub(super) fn il_id(value: &[u8]) -> Check {
    verdict(digits::<9>(value).map(|d| varied(&d) && luhn(&d)))
}

/// South African identity number: day of birth, citizenship, Luhn.
pub(super) fn za_id(value: &[u8]) -> Check {
    verdict(digits::<13>(value).map(|d| super::sums::yymmdd(&d, 0) && d[10] <= 2 && luhn(&d)))
}
