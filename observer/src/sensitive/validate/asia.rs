//! Identifiers of Asia, Australia, New Zealand and Africa.

use std::ops::RangeInclusive;

use super::Check;
use super::sums::{
    all_digits, base_36, chars, compact, date, digits, form, graded, luhn, number, two, varied, verdict,
    verhoeff, weighted, yymmdd,
};

/// Indian Aadhaar: not beginning with 0 or 1, no palindrome, Verhoeff (UIDAI).
pub(super) fn in_aadhaar(value: &[u8]) -> Check {
    verdict(digits::<12>(value).map(|d| {
        let mirrored = d.iter().eq(d.iter().rev());
        d[0] >= 2 && !mirrored && verhoeff(&d)
    }))
}

/// Indian permanent account number: the fourth letter says the kind of holder; its check letter is not published.
pub(super) fn in_pan(value: &[u8]) -> Check {
    form(chars::<10>(value).is_some_and(|t| {
        let letters = t[..5].iter().chain(&t[9..]).all(u8::is_ascii_uppercase);
        letters && t[5..9].iter().all(u8::is_ascii_digit) && t[5..9] != *b"0000"
    }))
}

/// Indian goods and services tax number: a state, a PAN, check character in base 36 (GSTN).
pub(super) fn in_gstin(value: &[u8]) -> Check {
    graded(chars::<15>(value).and_then(|t| {
        let state = t[..2]
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| (t[0] - b'0') * 10 + t[1] - b'0')?;
        let shape =
            matches!(state, 1..=38 | 97 | 99) && in_pan(&t[2..12]) == Check::Plausible && t[13] == b'Z';
        let sum: u32 = t[..14]
            .iter()
            .zip([1, 2].into_iter().cycle())
            .map(|(b, w)| base_36(*b) * w)
            .map(|n| n / 36 + n % 36)
            .sum();
        shape.then_some((36 - sum % 36) % 36 == base_36(t[14]))
    }))
}

/// Indian registration of a vehicle: a state that exists, in the form of 1988 or an older one.
pub(super) fn in_vehicle(value: &[u8]) -> Check {
    const STATES: &[u8] = b"ANAPARASBRCHCGDDDLGAGJHPHRJHJKKAKLLALDMPMHMNMLMZNLODORPYPBRJSKTNTSTRUPUKUAWB";
    let t = compact(value);
    let state = t.len() >= 4 && STATES.chunks_exact(2).any(|s| t.starts_with(s));
    let old = t.first().is_some_and(u8::is_ascii_uppercase) && matches!(t.len(), 6 | 7);
    let d = all_digits(value);
    form((state || old) && d.len() >= 4 && varied(&d))
}

/// Chinese resident identity number: province, day of birth, ISO 7064 MOD 11-2 (GB 11643-1999).
pub(super) fn cn_resident(value: &[u8]) -> Check {
    verdict(chars::<18>(value).and_then(|t| {
        let d = digits::<17>(&t[..17])?;
        let sum = weighted(&d, &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]);
        let check = usize::try_from(sum % 11).map_or(b'1', |rest| b"10X98765432"[rest]);
        let born = date(two(&d, 6) * 100 + two(&d, 8), two(&d, 10), two(&d, 12)) && matches!(two(&d, 6), 18..=20);
        let province = matches!(two(&d, 0), 11..=15 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81..=83 | 91);
        Some(province && born && check == t[17])
    }))
}

/// Hong Kong identity card: one or two letters, weights 9 to 1, mod 11.
pub(super) fn hk_id(value: &[u8]) -> Check {
    let t = compact(value);
    let letters = t.iter().take_while(|b| b.is_ascii_uppercase()).count();
    if !matches!((letters, t.len()), (1, 8) | (2, 9))
        || !t[letters..t.len() - 1].iter().all(u8::is_ascii_digit)
    {
        return Check::Reject;
    }
    // A single letter has a blank before it, which counts 36.
    let head = if letters == 1 { 36 * 9 } else { 0 };
    let body = t
        .iter()
        .rev()
        .skip(1)
        .zip(2u32..)
        .map(|(b, w)| base_36(*b) * w)
        .sum::<u32>();
    let check = if t[t.len() - 1] == b'A' {
        10
    } else {
        base_36(t[t.len() - 1])
    };
    verdict(Some(check <= 10 && (head + body + check).is_multiple_of(11)))
}

/// Taiwanese identity card: a letter of the place, weights 1, 9 to 1, mod 10.
pub(super) fn tw_id(value: &[u8]) -> Check {
    verdict(chars::<10>(value).and_then(|t| {
        let place = b"ABCDEFGHJKLMNPQRSTUVXYWZIO".iter().position(|b| *b == t[0])?;
        let place = u32::try_from(place).ok()? + 10;
        let d = digits::<9>(&t[1..])?;
        let sum = place / 10 + place % 10 * 9 + weighted(&d, &[8, 7, 6, 5, 4, 3, 2, 1, 1]);
        Some(matches!(d[0], 1 | 2 | 8 | 9) && sum.is_multiple_of(10))
    }))
}

/// Thai identity number: a province that exists, weights 13 to 2, mod 11.
pub(super) fn th_id(value: &[u8]) -> Check {
    verdict(digits::<13>(value).map(|d| {
        let province =
            matches!(two(&d, 1), 10..=27 | 30..=49 | 50..=58 | 60..=67 | 70..=77 | 80..=86 | 90..=96);
        let check = (11 - weighted(&d, &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 10;
        matches!(d[0], 1..=8) && province && check == u32::from(d[12])
    }))
}

/// Singaporean identity number (NRIC, FIN): weights 2, 7 to 2, letter by series S, T, F, G, M.
pub(super) fn sg_nric(value: &[u8]) -> Check {
    verdict(chars::<9>(value).and_then(|t| {
        let d = digits::<7>(&t[1..8])?;
        let (offset, letters) = match t[0] {
            b'S' => (0, b"JZIHGFEDCBA"),
            b'T' => (4, b"JZIHGFEDCBA"),
            b'F' => (0, b"XWUTRQPNMLK"),
            b'G' => (4, b"XWUTRQPNMLK"),
            b'M' => (3, b"XWUTRQPNJLK"),
            _ => return None,
        };
        let rest = usize::try_from((weighted(&d, &[2, 7, 6, 5, 4, 3, 2]) + offset) % 11).ok()?;
        let rest = if t[0] == b'M' { 10 - rest } else { rest };
        let letters = if t[0] == b'M' { b"KLJNPQRTUWX" } else { letters };
        Some(letters[rest] == t[8])
    }))
}

/// Singaporean number of an entity (UEN): business, local company or other, each with its check letter (ACRA).
pub(super) fn sg_uen(value: &[u8]) -> Check {
    let t = compact(value);
    let letter = |text: &[u8], weights: &[u32], alphabet: &[u8], modulus: u32, less: u32| {
        let sum: u32 = text
            .iter()
            .zip(weights)
            .map(|(b, w)| w * position(alphabet, *b))
            .sum();
        alphabet_at(alphabet, (sum + modulus - less) % modulus)
    };
    match t.len() {
        9 => verdict(digits::<8>(&t[..8]).map(|d| {
            let rest = usize::try_from(weighted(&d, &[10, 4, 9, 3, 8, 2, 7, 1]) % 11).unwrap_or(0);
            b"XMKECAWLJDB"[rest] == t[8]
        })),
        10 if t[0].is_ascii_digit() => verdict(digits::<9>(&t[..9]).map(|d| {
            let rest = usize::try_from(weighted(&d, &[10, 8, 6, 4, 9, 7, 5, 3, 1]) % 11).unwrap_or(0);
            matches!(two(&d, 0), 18..=20) && b"ZKCMDNERGWH"[rest] == t[9]
        })),
        10 => {
            const ALPHABET: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWX0123456789";
            let shape = b"RST".contains(&t[0]) && t[1..3].iter().chain(&t[5..9]).all(u8::is_ascii_digit);
            let check = letter(&t[..9], &[4, 3, 5, 3, 10, 2, 2, 5, 7], ALPHABET, 11, 5);
            verdict(Some(shape && check == Some(t[9])))
        }
        _ => Check::Reject,
    }
}

fn position(alphabet: &[u8], byte: u8) -> u32 {
    let at = alphabet.iter().position(|b| *b == byte).unwrap_or(0);
    u32::try_from(at).unwrap_or(0)
}

fn alphabet_at(alphabet: &[u8], at: u32) -> Option<u8> {
    alphabet.get(usize::try_from(at).ok()?).copied()
}

/// Korean resident number: day of birth, sex and century of a citizen; the checksum holds until October 2020.
pub(super) fn kr_rrn(value: &[u8]) -> Check {
    kr_person(value, 1..=4, 11)
}

/// Korean number of foreigners: as of residents, with 5 to 8 for sex and century.
pub(super) fn kr_frn(value: &[u8]) -> Check {
    kr_person(value, 5..=8, 13)
}

/// `sexes` are the digits for sex and century; the check digit is `base` less the sum modulo 11, modulo 10.
fn kr_person(value: &[u8], sexes: RangeInclusive<u8>, base: u32) -> Check {
    graded(
        digits::<13>(value)
            .filter(|d| yymmdd(d, 0) && sexes.contains(&d[6]))
            .map(|d| {
                let sum = weighted(&d, &[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]);
                (base - sum % 11) % 10 == u32::from(d[12])
            }),
    )
}

/// Korean number of businesses: weights 1, 3, 7, mod 10 with a carry.
pub(super) fn kr_brn(value: &[u8]) -> Check {
    verdict(digits::<10>(value).map(|d| {
        let sum = weighted(&d, &[1, 3, 7, 1, 3, 7, 1, 3, 5]) + u32::from(d[8]) * 5 / 10;
        varied(&d) && two(&d, 0) >= 10 && (10 - sum % 10) % 10 == u32::from(d[9])
    }))
}

/// Korean driving licence: a region of 11 to 28; the rule of its check digits is not published.
pub(super) fn kr_driving_licence(value: &[u8]) -> Check {
    form(digits::<12>(value).is_some_and(|d| matches!(two(&d, 0), 11..=28) && varied(&d)))
}

/// Japanese My Number: weights 6 to 2 and 7 to 2, mod 11.
pub(super) fn jp_my_number(value: &[u8]) -> Check {
    verdict(digits::<12>(value).map(|d| {
        let rest = weighted(&d, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
        let check = if rest <= 1 { 0 } else { 11 - rest };
        varied(&d) && check == u32::from(d[11])
    }))
}

/// Indonesian identity number: province, day of birth (40 more for women).
pub(super) fn id_nik(value: &[u8]) -> Check {
    form(digits::<16>(value).is_some_and(|d| {
        let province =
            matches!(two(&d, 0), 11..=21 | 31..=36 | 51..=53 | 61..=65 | 71..=76 | 81 | 82 | 91..=97);
        province && date(2000 + two(&d, 10), two(&d, 8), two(&d, 6) % 40) && number(&d[12..]) != 0
    }))
}

/// Malaysian identity card: day of birth and a place of birth that is given out.
pub(super) fn my_nric(value: &[u8]) -> Check {
    form(digits::<12>(value).is_some_and(|d| {
        yymmdd(&d, 0) && matches!(two(&d, 6), 1..=16 | 21..=68 | 71 | 72 | 74..=79 | 82..=93 | 98 | 99)
    }))
}

/// Pakistani identity card: a province of 1 to 7 in front.
pub(super) fn pk_cnic(value: &[u8]) -> Check {
    form(digits::<13>(value).is_some_and(|d| matches!(d[0], 1..=7) && varied(&d)))
}

/// Identity card of the United Arab Emirates: 784, year of birth, Luhn.
pub(super) fn ae_id(value: &[u8]) -> Check {
    verdict(
        digits::<15>(value).map(|d| d.starts_with(&[7, 8, 4]) && matches!(two(&d, 3), 19 | 20) && luhn(&d)),
    )
}

/// Saudi identity number: 1 for citizens, 2 for residents, Luhn.
pub(super) fn sa_id(value: &[u8]) -> Check {
    verdict(digits::<10>(value).map(|d| matches!(d[0], 1 | 2) && varied(&d) && luhn(&d)))
}

/// Iranian national code: weights 10 to 2, mod 11.
pub(super) fn ir_code(value: &[u8]) -> Check {
    verdict(digits::<10>(value).map(|d| {
        let rest = weighted(&d, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
        let check = if rest < 2 { rest } else { 11 - rest };
        varied(&d) && check == u32::from(d[9])
    }))
}

/// Egyptian national number: century 2 or 3, day of birth, governorate.
pub(super) fn eg_id(value: &[u8]) -> Check {
    form(digits::<14>(value).is_some_and(|d| {
        let year = (17 + u32::from(d[0])) * 100 + two(&d, 1);
        let place = matches!(two(&d, 7), 1..=4 | 11..=19 | 21..=29 | 31..=35 | 88);
        matches!(d[0], 2 | 3) && date(year, two(&d, 3), two(&d, 5)) && place
    }))
}

/// Philippine tax number: weights 9 to 2, mod 11; three or more digits of a branch may follow.
pub(super) fn ph_tin(value: &[u8]) -> Check {
    let d = all_digits(value);
    let right = || weighted(&d[..8], &[9, 8, 7, 6, 5, 4, 3, 2]) % 11 == u32::from(d[8]);
    verdict(Some(matches!(d.len(), 9 | 12..=14) && varied(&d[..9]) && right()))
}

/// Nigerian identity number: Verhoeff over eleven digits (NIMC).
pub(super) fn ng_nin(value: &[u8]) -> Check {
    verdict(digits::<11>(value).map(|d| varied(&d) && verhoeff(&d)))
}

/// Australian tax file number: weights, mod 11 (ATO).
pub(super) fn au_tfn(value: &[u8]) -> Check {
    verdict(
        digits::<9>(value)
            .map(|d| varied(&d) && weighted(&d, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11)),
    )
}

/// Australian business number: first digit less 1, mod 89 (ABR).
pub(super) fn au_abn(value: &[u8]) -> Check {
    verdict(digits::<11>(value).map(|d| {
        let sum = weighted(&d, &[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
        d[0] != 0 && sum >= 10 && (sum - 10).is_multiple_of(89)
    }))
}

/// Australian company number: weights 8 to 1, mod 10 (ASIC).
pub(super) fn au_acn(value: &[u8]) -> Check {
    verdict(digits::<9>(value).map(|d| {
        let sum = weighted(&d, &[8, 7, 6, 5, 4, 3, 2, 1]);
        varied(&d) && (10 - sum % 10) % 10 == u32::from(d[8])
    }))
}

/// Australian Medicare card: first digit 2 to 6, weights 1, 3, 7, 9, mod 10.
pub(super) fn au_medicare(value: &[u8]) -> Check {
    let d = all_digits(value);
    let right = || weighted(&d[..8], &[1, 3, 7, 9, 1, 3, 7, 9]) % 10 == u32::from(d[8]);
    verdict(Some(
        matches!(d.len(), 10 | 11) && matches!(d[0], 2..=6) && d[9] != 0 && right(),
    ))
}

/// New Zealand tax number: two rounds of mod 11 (Inland Revenue).
pub(super) fn nz_ird(value: &[u8]) -> Check {
    let mut d = all_digits(value);
    if d.len() == 8 {
        d.insert(0, 0);
    }
    let round = |weights: &[u32]| (11 - weighted(&d[..8], weights) % 11) % 11;
    let right = || {
        let first = round(&[3, 2, 7, 6, 5, 4, 3, 2]);
        let check = if first == 10 {
            round(&[7, 4, 3, 2, 5, 2, 7, 6])
        } else {
            first
        };
        check == u32::from(d[8])
    };
    verdict(Some(
        d.len() == 9 && (10_000_000..150_000_000).contains(&number(&d)) && right(),
    ))
}

/// New Zealand health number: letters without I and O, weights 7 to 2, mod 11.
pub(super) fn nz_nhi(value: &[u8]) -> Check {
    verdict(chars::<7>(value).and_then(|t| {
        const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ";
        if !t[..3].iter().all(|b| LETTERS.contains(b)) {
            return None;
        }
        let d = digits::<4>(&t[3..])?;
        let head: u32 = t[..3]
            .iter()
            .zip([7, 6, 5])
            .map(|(b, w)| (position(LETTERS, *b) + 1) * w)
            .sum();
        let rest = (head + weighted(&d[..3], &[4, 3, 2])) % 11;
        Some(rest != 0 && (11 - rest) % 10 == u32::from(d[3]))
    }))
}
