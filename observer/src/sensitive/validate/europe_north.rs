//! Identifiers of northern Europe and the Baltic countries.

use super::Check;
use super::sums::{
    all_digits, chars, date, ddmmyy, digits, form, graded, luhn, number, two, varied, verdict, weighted,
};

/// Finnish personal identity code: day, century sign, check character by remainder of 31 (DVV).
pub(super) fn fi_hetu(value: &[u8]) -> Check {
    if value.len() != 11 {
        return Check::Reject;
    }
    let text = value.to_ascii_uppercase();
    let century = match text[6] {
        b'+' => 1800,
        b'-' | b'U'..=b'Y' => 1900,
        b'A'..=b'F' => 2000,
        _ => return Check::Reject,
    };
    let (Some(day), Some(serial)) = (digits::<6>(&text[..6]), digits::<3>(&text[7..10])) else {
        return Check::Reject;
    };
    let born = date(century + two(&day, 4), two(&day, 2), two(&day, 0));
    let rest = usize::try_from((number(&day) * 1000 + number(&serial)) % 31).unwrap_or(0);
    verdict(Some(
        born && number(&serial) >= 2 && b"0123456789ABCDEFHJKLMNPRSTUVWXY"[rest] == text[10],
    ))
}

/// Swedish personal number: day of birth (60 more for a coordination number), Luhn over ten digits (Skatteverket).
pub(super) fn se_personal(value: &[u8]) -> Check {
    let all = all_digits(value);
    let d = match all.len() {
        10 => &all[..],
        12 if matches!(two(&all, 0), 18..=20) => &all[2..],
        _ => return Check::Reject,
    };
    let day = two(d, 4) % 60;
    let year = if all.len() == 12 {
        two(&all, 0) * 100 + two(d, 0)
    } else {
        2000 + two(d, 0)
    };
    verdict(Some(date(year, two(d, 2), day) && luhn(d)))
}

/// Swedish number of organisations: third digit from 2 on, Luhn.
pub(super) fn se_organisation(value: &[u8]) -> Check {
    verdict(digits::<10>(value).map(|d| d[0] != 0 && d[2] >= 2 && varied(&d) && luhn(&d)))
}

/// Norwegian birth number: two check digits of mod 11; 40 more in the day or month for other kinds (Skatteetaten).
pub(super) fn no_birth(value: &[u8]) -> Check {
    verdict(digits::<11>(value).map(|d| {
        let day = two(&d, 0) % 40;
        let month = two(&d, 2) % 40;
        let first = weighted(&d, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]).is_multiple_of(11);
        let second = weighted(&d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11);
        varied(&d) && date(2000 + two(&d, 4), month, day) && first && second
    }))
}

/// Danish personal number: day of birth; mod 11 holds for those given out before 2007 (CPR).
pub(super) fn dk_cpr(value: &[u8]) -> Check {
    graded(
        digits::<10>(value)
            .filter(|d| ddmmyy(d, 0) && varied(d))
            .map(|d| weighted(&d, &[4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)),
    )
}

/// Icelandic identity number: day of birth, check digit in place 9, century in place 10 (Registers Iceland).
pub(super) fn is_kennitala(value: &[u8]) -> Check {
    verdict(digits::<10>(value).map(|d| {
        let day = two(&d, 0) % 40;
        let sum = weighted(&d, &[3, 2, 7, 6, 5, 4, 3, 2, 1]);
        date(2000 + two(&d, 4), two(&d, 2), day) && matches!(d[9], 0 | 8 | 9) && sum.is_multiple_of(11)
    }))
}

/// Estonian and Lithuanian personal code: century and sex, day of birth, two rounds of mod 11.
pub(super) fn baltic_code(value: &[u8]) -> Check {
    verdict(digits::<11>(value).map(|d| {
        let year = 1700 + u32::from(d[0]).div_ceil(2) * 100 + two(&d, 1);
        let first = weighted(&d, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11;
        let second = weighted(&d, &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11 % 10;
        let check = if first < 10 { first } else { second };
        matches!(d[0], 1..=8) && date(year, two(&d, 3), two(&d, 5)) && check == u32::from(d[10])
    }))
}

/// Latvian personal code: day of birth and mod 11, or 32 and no checksum since 2017.
pub(super) fn lv_code(value: &[u8]) -> Check {
    let Some(d) = digits::<11>(value) else {
        return Check::Reject;
    };
    if two(&d, 0) == 32 {
        return form(varied(&d[2..]));
    }
    let sum = weighted(&d, &[1, 6, 3, 7, 9, 10, 5, 8, 4, 2]);
    let check = (1101 - sum) % 11 % 10;
    verdict(Some(ddmmyy(&d, 0) && d[6] <= 2 && check == u32::from(d[10])))
}

/// Polish or other nine-place document: three letters, six digits, the first of which checks the rest with 7, 3, 1.
pub(super) fn pl_id_card(value: &[u8]) -> Check {
    verdict(chars::<9>(value).and_then(|t| {
        let letters = t[..3].iter().all(u8::is_ascii_uppercase);
        let d = digits::<6>(&t[3..])?;
        let rest = [&t[..3], &t[4..]].concat();
        Some(letters && super::sums::icao(&rest) == u32::from(d[0]))
    }))
}
