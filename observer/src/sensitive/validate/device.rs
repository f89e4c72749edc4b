//! Numbers of things that belong to somebody: telephones, SIM cards, vehicles.

use super::Check;
use super::sums::{all_digits, chars, digits, form, graded, luhn, number, varied, verdict};

/// Telephone (IMEI): 15 digits, Luhn (3GPP TS 23.003, annex B).
pub(super) fn imei(value: &[u8]) -> Check {
    verdict(digits::<15>(value).map(|d| varied(&d) && luhn(&d)))
}

/// SIM card (ICCID): 89, then 17 or 18 digits, Luhn (ITU-T E.118).
pub(super) fn iccid(value: &[u8]) -> Check {
    let d = all_digits(value);
    verdict(Some(
        matches!(d.len(), 19 | 20) && d.starts_with(&[8, 9]) && luhn(&d),
    ))
}

/// Vehicle identification number: 17 places without I, O, Q; the check digit of place 9 is used in North America and
/// China only (ISO 3779, 49 CFR 565.15).
pub(super) fn vin(value: &[u8]) -> Check {
    graded(chars::<17>(value).and_then(|text| {
        const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
        let values: Option<Vec<u32>> = text.iter().map(|b| vin_value(*b)).collect();
        let sum: u32 = values?.iter().zip(WEIGHTS).map(|(v, w)| v * w).sum();
        let check = if text[8] == b'X' {
            10
        } else {
            u32::from(text[8].wrapping_sub(b'0'))
        };
        let letters = text.iter().filter(|b| b.is_ascii_alphabetic()).count();
        let shape = (3..=14).contains(&letters) && text[13..].iter().all(u8::is_ascii_digit);
        shape.then_some(sum % 11 == check)
    }))
}

fn vin_value(byte: u8) -> Option<u32> {
    match byte {
        b'0'..=b'9' => Some(u32::from(byte - b'0')),
        b'A'..=b'H' => Some(u32::from(byte - b'A') + 1),
        b'J'..=b'N' => Some(u32::from(byte - b'J') + 1),
        b'P' => Some(7),
        b'R' => Some(9),
        b'S'..=b'Z' => Some(u32::from(byte - b'S') + 2),
        _ => None,
    }
}

/// Plate in Turkey: a province of 01 to 81, up to three letters, two to five digits.
pub(super) fn tr_plate(value: &[u8]) -> Check {
    let d = all_digits(value);
    form(d.len() >= 4 && matches!(number(&d[..2]), 1..=81))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_all;
    use super::super::{Check, Validator};

    #[test]
    fn devices_and_vehicles() {
        check_all(
            Validator::Imei,
            Check::Valid,
            &["490154203237518", "49-015420-323751-8"],
        );
        check_all(
            Validator::Imei,
            Check::Reject,
            &["490154203237517", "000000000000000", "49015420323751"],
        );
        check_all(Validator::Iccid, Check::Valid, &["8991101200003204514"]);
        check_all(
            Validator::Iccid,
            Check::Reject,
            &["8991101200003204511", "7991101200003204510"],
        );
        check_all(
            Validator::Vin,
            Check::Valid,
            &["1M8GDM9AXKP042788", "1HGCM82633A004352"],
        );
        check_all(Validator::Vin, Check::Plausible, &["WVWZZZ1JZ3W386752"]);
        check_all(
            Validator::Vin,
            Check::Reject,
            &["1M8GDM9AXKP04278", "IM8GDM9AXKP042788", "11111111111111111"],
        );
        check_all(Validator::TrPlate, Check::Plausible, &["34 ABC 1234", "01 A 12"]);
        check_all(Validator::TrPlate, Check::Reject, &["00 ABC 123", "82 ABC 123"]);
    }
}
