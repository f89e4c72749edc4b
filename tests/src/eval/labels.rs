//! Labels of other people's material and the rules that answer them.
//!
//! A label is answered by the rule that bears its name in lower case, by those whose names begin with it, and by those
//! named here. A label that no rule answers is answered by every rule about persons.

use std::collections::BTreeSet;

use observer::sensitive::{Class, Engine};

/// Labels for which this project has no rule on purpose: names of persons, places and organisations, days that are
/// nobody's birthday, addresses of pages (docs/sensitive-data.md, "Personal data").
const OUT: &[&str] = &[
    "AGE",
    "DATE_TIME",
    "DOMAIN_NAME",
    "GPE",
    "LOCATION",
    "NRP",
    "ORGANIZATION",
    "PERSON",
    "STREET_ADDRESS",
    "TITLE",
    "URL",
    "ZIP_CODE",
];

/// Label in lower case, beginning of the names of the rules that answer it as well.
const ALSO: &[(&str, &str)] = &[
    ("credit_card", "payment_card"),
    ("iban_code", "iban"),
    ("phone", "phone_"),
    ("phone_number", "phone_"),
    ("ph_mobile_number", "phone_ph"),
    ("ph_mobile_number", "phone_international"),
    ("tr_phone_number", "phone_tr"),
    ("crypto", "crypto_"),
    ("us_bank_number", "bank_account"),
    ("aba_routing_number", "us_aba"),
    ("medical_license", "us_dea"),
    ("de_fuehrerschein", "driving_licence_de"),
    ("de_health_insurance", "de_health"),
    ("de_id_card", "de_document"),
    ("de_handelsregister", "de_company_register"),
    ("de_kfz", "vehicle_registration_de"),
    ("de_passport", "de_document"),
    ("de_plz", "de_postcode"),
    ("de_social_security", "de_pension"),
    ("de_vat_id", "eu_vat"),
    ("es_nif", "es_nie"),
    ("fi_personal_identity_code", "fi_hetu"),
    ("in_vehicle_registration", "vehicle_registration_in"),
    ("it_driver_license", "driving_licence_it"),
    ("it_vat_code", "it_vat"),
    ("it_vat_code", "eu_vat"),
    ("kr_driver_license", "driving_licence_kr"),
    ("ng_vehicle_registration", "vehicle_registration_ng"),
    ("se_organisationsnummer", "se_organisation"),
    ("se_personnummer", "se_personal"),
    ("sg_nric_fin", "sg_nric"),
    ("th_tnin", "th_id"),
    ("tr_license_plate", "vehicle_registration_tr"),
    ("tr_national_id", "tr_id"),
    ("uk_vehicle_registration", "vehicle_registration_uk"),
    ("za_id_number", "za_id"),
];

/// Ends of labels of all countries, and the beginning of the names of the rules for a country that is not known.
const ANY_COUNTRY: &[(&str, &str)] = &[
    ("_passport", "passport_number"),
    ("_driver_license", "driving_licence_number"),
    ("_driving_licence", "driving_licence_number"),
];

/// What a label of the material means here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The project has no rule for it on purpose.
    OutOfScope,
    /// These rules answer it.
    Rules(BTreeSet<String>),
}

/// The meaning of one label, or of several joined by commas: out of scope where one of them is.
pub(super) fn meaning(engine: &Engine, label: &str) -> Meaning {
    let parts: Vec<&str> = label.split(',').map(str::trim).collect();
    if parts.iter().any(|part| OUT.contains(part)) {
        return Meaning::OutOfScope;
    }
    let personal = || engine.rules().iter().filter(|rule| rule.class == Class::Pii);
    let named: BTreeSet<String> = personal()
        .filter(|rule| parts.iter().any(|part| answers(part, &rule.id)))
        .map(|rule| rule.id.clone())
        .collect();
    Meaning::Rules(if named.is_empty() {
        personal().map(|rule| rule.id.clone()).collect()
    } else {
        named
    })
}

/// Whether the rule of this name answers a label.
fn answers(label: &str, rule: &str) -> bool {
    let label = label.to_lowercase();
    let own = rule
        .strip_prefix(label.as_str())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
    let also = |(known, begin): &(&str, &str)| label == *known && rule.starts_with(begin);
    let any = |(end, begin): &(&str, &str)| label.ends_with(end) && rule.starts_with(begin);
    own || ALSO.iter().any(also) || ANY_COUNTRY.iter().any(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_answered_by_name_and_by_the_list() {
        assert!(answers("EMAIL_ADDRESS", "email_address"));
        assert!(answers("US_SSN", "us_ssn_other_form"));
        assert!(answers("CREDIT_CARD", "payment_card"));
        assert!(!answers("US_SSN", "us_ssnx"));
        assert!(!answers("", "iban"));
    }
}
