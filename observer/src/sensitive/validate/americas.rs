//! Identifiers of Central and South America.

use super::Check;
use super::sums::{
    all_digits, base_36, chars, compact, digits, luhn, number, two, varied, verdict, weighted,
};

/// Brazilian tax number of persons (CPF): two rounds of mod 11.
pub(super) fn br_cpf(value: &[u8]) -> Check {
    verdict(digits::<11>(value).map(|d| {
        let round = |n: usize, weights: &[u32]| weighted(&d[..n], weights) * 10 % 11 % 10 == u32::from(d[n]);
        varied(&d) && round(9, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) && round(10, &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2])
    }))
}

/// Brazilian number of legal entities (CNPJ): two rounds of mod 11. The first twelve places may hold letters since July 2026, each
/// of which counts as its ASCII code less that of `0` (Receita Federal, IN 2.229/2024).
pub(super) fn br_cnpj(value: &[u8]) -> Check {
    verdict(chars::<14>(value).map(|t| {
        const WEIGHTS: [u32; 13] = [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2];
        let d = t.map(|byte| byte - b'0');
        let round = |n: usize, weights: &[u32]| {
            let rest = weighted(&d[..n], weights) % 11;
            (if rest < 2 { 0 } else { 11 - rest }) == u32::from(d[n])
        };
        varied(&d) && round(12, &WEIGHTS[1..]) && round(13, &WEIGHTS)
    }))
}

/// Argentine tax number (CUIT, CUIL): kind, weights 5 to 2 and 7 to 2, mod 11.
pub(super) fn ar_cuit(value: &[u8]) -> Check {
    verdict(digits::<11>(value).map(|d| {
        let check = 11 - weighted(&d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
        let kind = matches!(two(&d, 0), 20 | 23 | 24 | 25 | 26 | 27 | 30 | 33 | 34);
        // Where the rule gives 10, a 9 is written.
        kind && (if check == 10 { 9 } else { check % 11 }) == u32::from(d[10])
    }))
}

/// Chilean tax number (RUT): weights 2 to 7 from the right, K for 10.
pub(super) fn cl_rut(value: &[u8]) -> Check {
    let t = compact(value);
    let Some((check, body)) = t.split_last().filter(|(_, body)| matches!(body.len(), 7 | 8)) else {
        return Check::Reject;
    };
    let d = all_digits(body);
    let sum: u32 = d
        .iter()
        .rev()
        .zip([2, 3, 4, 5, 6, 7].into_iter().cycle())
        .map(|(d, w)| u32::from(*d) * w)
        .sum();
    let letter = match 11 - sum % 11 {
        11 => b'0',
        10 => b'K',
        n => u8::try_from(n).unwrap_or(0) + b'0',
    };
    verdict(Some(d.len() == body.len() && varied(&d) && letter == *check))
}

/// Colombian tax number (NIT): primes from the right, mod 11.
pub(super) fn co_nit(value: &[u8]) -> Check {
    let d = all_digits(value);
    let Some((check, body)) = d.split_last().filter(|(_, body)| matches!(body.len(), 8..=10)) else {
        return Check::Reject;
    };
    let primes = [3, 7, 13, 17, 19, 23, 29, 37, 41, 43];
    let rest = body
        .iter()
        .rev()
        .zip(primes)
        .map(|(d, p)| u32::from(*d) * p)
        .sum::<u32>()
        % 11;
    let wanted = if rest < 2 { rest } else { 11 - rest };
    verdict(Some(varied(&d) && wanted == u32::from(*check)))
}

/// Mexican population code (CURP): name, day of birth, sex, state, check digit (RENAPO).
pub(super) fn mx_curp(value: &[u8]) -> Check {
    verdict(chars::<18>(value).and_then(|t| {
        let born = digits::<6>(&t[4..10]).filter(|d| super::sums::yymmdd(d, 0));
        let shape = t[..4].iter().all(u8::is_ascii_uppercase)
            && b"HMX".contains(&t[10])
            && t[11..16].iter().all(u8::is_ascii_uppercase);
        born.filter(|_| shape)?;
        // The alphabet has Ñ between N and O, so letters from O on count one more.
        let place = |b: u8| base_36(b) + u32::from(b >= b'O' && b.is_ascii_uppercase());
        let sum: u32 = t[..17]
            .iter()
            .zip((2..=18).rev())
            .map(|(b, w)| place(*b) * w)
            .sum();
        Some((10 - sum % 10) % 10 == base_36(t[17]))
    }))
}

/// Mexican tax code (RFC): name, day, homonym key, check character over places 13 to 2, mod 11 (SAT).
pub(super) fn mx_rfc(value: &[u8]) -> Check {
    let mut t: Vec<u8> = value
        .iter()
        .filter(|b| b.is_ascii_alphanumeric() || **b == b'&')
        .map(u8::to_ascii_uppercase)
        .collect();
    if t.len() == 12 {
        t.insert(0, b' ');
    }
    if t.len() != 13 {
        return Check::Reject;
    }
    let place = |b: u8| match b {
        b'&' => 24,
        b' ' => 37,
        b'O'..=b'Z' => base_36(b) + 1,
        _ => base_36(b),
    };
    let letters = t[..4]
        .iter()
        .all(|b| b.is_ascii_uppercase() || matches!(b, b'&' | b' '));
    let born = digits::<6>(&t[4..10]).is_some_and(|d| super::sums::yymmdd(&d, 0));
    let sum: u32 = t[..12]
        .iter()
        .zip((2..=13).rev())
        .map(|(b, w)| place(*b) * w)
        .sum();
    let check = match 11 - sum % 11 {
        11 => b'0',
        10 => b'A',
        n => u8::try_from(n).unwrap_or(0) + b'0',
    };
    super::sums::graded((letters && born).then_some(check == t[12]))
}

/// As [`mx_rfc`], with a right check character: written with separators, many numbers of orders look so.
pub(super) fn mx_rfc_separated(value: &[u8]) -> Check {
    verdict(Some(mx_rfc(value) == Check::Valid))
}

/// Peruvian tax number (RUC): kind, weights 5 to 2 and 7 to 2, mod 11.
pub(super) fn pe_ruc(value: &[u8]) -> Check {
    verdict(digits::<11>(value).map(|d| {
        let check = (11 - weighted(&d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 10;
        matches!(two(&d, 0), 10 | 15..=17 | 20) && check == u32::from(d[10])
    }))
}

/// Ecuadorian identity card: province, Luhn from the left.
pub(super) fn ec_ci(value: &[u8]) -> Check {
    verdict(
        digits::<10>(value).map(|d| matches!(two(&d, 0), 1..=24 | 30) && d[2] < 6 && varied(&d) && luhn(&d)),
    )
}

/// Uruguayan identity card: weights 2, 9, 8, 7, 6, 3, 4, mod 10.
pub(super) fn uy_ci(value: &[u8]) -> Check {
    verdict(
        digits::<8>(value).map(|d| varied(&d) && weighted(&d, &[2, 9, 8, 7, 6, 3, 4, 1]).is_multiple_of(10)),
    )
}

/// Dominican identity card (cédula): Luhn over eleven digits.
pub(super) fn do_cedula(value: &[u8]) -> Check {
    verdict(digits::<11>(value).map(|d| varied(&d) && number(&d[..3]) <= 402 && luhn(&d)))
}
