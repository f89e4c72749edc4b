//! Checks on single values: checksums, structure, entropy. Bytes in, a verdict out.
//!
//! One file per family. The sources are the rules that the offices publish, named at each check; where an office
//! publishes none, the check says so and gives no more than [`Check::Plausible`].

mod americas;
mod asia;
mod contact;
mod device;
mod europe_east;
mod europe_north;
mod europe_west;
mod payment;
mod secret;
mod sums;
mod token;
mod us;
mod wallet;

#[cfg(test)]
mod tests;

pub use token::entropy;

/// What a check says about a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Not what the rule looks for.
    Reject,
    /// Could be; the check has no checksum to go by.
    Plausible,
    /// A checksum is right.
    Valid,
}

/// How a value is written for comparison with known examples.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// Letters and digits only: without the separators that people put in.
    Compact,
    /// In lower case.
    Lower,
    /// As it stands.
    AsIs,
}

/// The checks that rules name: one enumeration, its names, what they do.
macro_rules! validators {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal => $check:path, $form:ident;)+) => {
        /// Checks that rules name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Validator {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Validator {
            /// All names, in the order of the variants.
            pub const NAMES: &'static [&'static str] = &[$($name),+];
            /// All variants, in the order of their names.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// What each looks at, in the order of their names.
            pub const SUMMARIES: &'static [&'static str] = &[$(concat!($($doc),+)),+];

            /// Checks one value as it stands in the text.
            pub fn check(self, value: &[u8]) -> Check {
                match self {
                    $(Self::$variant => $check(value),)+
                }
            }

            fn form(self) -> Form {
                match self {
                    $(Self::$variant => Form::$form,)+
                }
            }
        }
    };
}

impl Validator {
    /// The value without the separators that people put in, for comparison with known examples.
    pub fn normalise(self, value: &[u8]) -> Vec<u8> {
        match self.form() {
            Form::Compact => value.iter().copied().filter(u8::is_ascii_alphanumeric).collect(),
            Form::Lower => value.to_ascii_lowercase(),
            Form::AsIs => value.to_vec(),
        }
    }
}

validators! {
    /// Payment card: issuer range, length of that issuer, Luhn (ISO/IEC 7812-1).
    Card = "card" => payment::card, Compact;
    /// IBAN: length of the country, mod 97 (ISO 13616). In lower case it has few letters, and is not hexadecimal.
    Iban = "iban" => payment::iban, Compact;
    /// A number with the check digits of an IBAN and another length than its country's (mod 97).
    IbanOtherLength = "iban_other_length" => payment::iban_other_length, Compact;
    /// Any number with a right Luhn checksum.
    Luhn = "luhn" => payment::any_luhn, Compact;
    /// Routing number of a bank in the United States: district of the Federal Reserve, weights 3, 7, 1 (ABA).
    Aba = "aba" => payment::aba, Compact;
    /// Business identifier code: four letters of the bank, a country that exists, place, branch (ISO 9362).
    Bic = "bic" => payment::bic, Compact;
    /// E-mail address: lengths and label rules (RFC 5321, RFC 1035; RFC 6531 for letters outside of ASCII).
    Email = "email" => contact::email, Lower;
    /// International telephone number: a calling code that exists, with as many digits as its country has
    /// (E.164).
    PhoneInternational = "phone_international" => contact::phone_international, Compact;
    /// Number of the North American plan: an area and an exchange that can exist (NANPA). Written with
    /// parentheses or an extension it is taken as it is: no other number looks so.
    PhoneNanp = "phone_nanp" => contact::phone_nanp, Compact;
    /// National telephone number of some country: 7 to 12 digits that are no date, no time and no amount.
    PhoneNational = "phone_national" => contact::phone_national, Compact;
    /// Mobile number in the Philippines: 09 or +63 9 and nine digits.
    PhonePh = "phone_ph" => contact::phone_ph, Compact;
    /// Number in Turkey: +90 or 0 or nothing, an area code of 2 to 5, seven digits.
    PhoneTr = "phone_tr" => contact::phone_tr, Compact;
    /// IP address that can be reached from elsewhere (RFC 4291, RFC 5952, RFC 6890).
    IpPublic = "ip_public" => contact::ip_public, Lower;
    /// IP address with a meaning in one network or host only (RFC 1918, RFC 4193, RFC 6598, RFC 6890).
    IpLocal = "ip_local" => contact::ip_local, Lower;
    /// Hardware address that is not empty, not the broadcast and not counted up (IEEE 802, EUI-48).
    Mac = "mac" => contact::mac, Compact;
    /// A day that exists, in one of the orders in which people write it, in the years 1900 to 2099.
    Day = "day" => contact::day, AsIs;
    /// Address with the checksum of its currency: Base58Check, Bech32 or Bech32m (BIP 173, BIP 350), Ripple.
    Wallet = "wallet" => wallet::wallet, AsIs;
    /// Ethereum address: letters of both cases must follow the hash of the address (EIP-55); of one case it is
    /// plausible.
    Ethereum = "ethereum" => wallet::ethereum, AsIs;
    /// Telephone (IMEI): 15 digits, Luhn (3GPP TS 23.003, annex B).
    Imei = "imei" => device::imei, Compact;
    /// SIM card (ICCID): 89, then 17 or 18 digits, Luhn (ITU-T E.118).
    Iccid = "iccid" => device::iccid, Compact;
    /// Vehicle identification number: 17 places without I, O, Q; the check digit of place 9 is used in North
    /// America and China only (ISO 3779, 49 CFR 565.15).
    Vin = "vin" => device::vin, Compact;
    /// Plate in Turkey: a province of 01 to 81, up to three letters, two to five digits.
    TrPlate = "tr_plate" => device::tr_plate, Compact;
    /// US social security number: areas, groups and serials that are never given out (SSA, randomised since
    /// 2011).
    Ssn = "ssn" => us::ssn, Compact;
    /// US individual taxpayer identification number: 9, then a group that the IRS gives out.
    UsItin = "us_itin" => us::itin, Compact;
    /// US employer identification number: a prefix that the IRS gives out.
    UsEin = "us_ein" => us::ein, Compact;
    /// US national provider identifier: 1 or 2, Luhn with the prefix 80840 (45 CFR 162.406).
    UsNpi = "us_npi" => us::npi, Compact;
    /// US registration number of the DEA: kind of registrant, initial, weights 1 and 2.
    UsDea = "us_dea" => us::dea, Compact;
    /// US Medicare beneficiary identifier: 11 places, each a digit or a letter without S, L, O, I, B, Z (CMS).
    UsMbi = "us_mbi" => us::mbi, Compact;
    /// Canadian social insurance number: Luhn, not beginning with 0 or 8.
    CaSin = "ca_sin" => us::ca_sin, Compact;
    /// UK health service number: weights 10 to 2, mod 11 (NHS Data Dictionary).
    UkNhs = "uk_nhs" => europe_west::uk_nhs, Compact;
    /// UK national insurance number: prefixes that HMRC gives out, suffix A to D.
    UkNino = "uk_nino" => europe_west::uk_nino, Compact;
    /// UK unique taxpayer reference: the first digit checks the other nine (HMRC).
    UkUtr = "uk_utr" => europe_west::uk_utr, Compact;
    /// UK driving licence: five letters of the name, the date of birth, initials, check characters (DVLA).
    UkDrivingLicence = "uk_driving_licence" => europe_west::uk_driving_licence, Compact;
    /// Spanish identity number (DNI, NIF): letter by remainder of 23.
    EsNif = "es_nif" => europe_west::es_nif, Compact;
    /// Spanish number of foreigners (NIE): X, Y, Z as 0, 1, 2, letter by remainder of 23.
    EsNie = "es_nie" => europe_west::es_nie, Compact;
    /// Spanish tax number of organisations (CIF): Luhn over seven digits, as digit or letter.
    EsCif = "es_cif" => europe_west::es_cif, Compact;
    /// Italian fiscal code: date of birth, check letter over odd and even places (Decree of 23.12.1976).
    /// Letters may stand for digits where two persons would have the same code.
    ItFiscalCode = "it_fiscal_code" => europe_west::it_fiscal_code, Compact;
    /// Italian VAT number: Luhn over 11 digits, an office that exists.
    ItVat = "it_vat" => europe_west::it_vat, Compact;
    /// French number of the register of persons (NIR): sex, month, 97 minus remainder; Corsica has 2A and 2B.
    FrNir = "fr_nir" => europe_west::fr_nir, Compact;
    /// French register of companies (SIREN, SIRET): Luhn over 9 or 14 digits.
    FrSiren = "fr_siren" => europe_west::fr_siren, Compact;
    /// Dutch citizen number (BSN): weights 9 to 2 and -1, mod 11.
    NlBsn = "nl_bsn" => europe_west::nl_bsn, Compact;
    /// Belgian national number: date of birth, 97 minus remainder, with 2 before it for those born from 2000
    /// on.
    BeNational = "be_national" => europe_west::be_national, Compact;
    /// Portuguese tax number (NIF): first digits, weights 9 to 2, mod 11.
    PtNif = "pt_nif" => europe_west::pt_nif, Compact;
    /// Portuguese citizen card: Luhn over 12 places in base 36.
    PtCc = "pt_cc" => europe_west::pt_cc, Compact;
    /// German tax identification number: MOD 11,10; among the first ten digits at most one occurs more than
    /// once (BZSt).
    DeTaxId = "de_tax_id" => europe_west::de_tax_id, Compact;
    /// German pension insurance number: date of birth, initial, weights over twelve digits (VKVV, section 4).
    DePension = "de_pension" => europe_west::de_pension, Compact;
    /// German health insurance number: letter as two digits, weights 1 and 2, sums of digits (GKV-
    /// Spitzenverband).
    DeHealth = "de_health" => europe_west::de_health, Compact;
    /// German passport or identity card: letters that are used, check digit of ICAO 9303 in the last place of 9
    /// or 10.
    DeDocument = "de_document" => europe_west::de_document, Compact;
    /// German VAT number: MOD 11,10 over nine digits.
    DeVat = "de_vat" => europe_west::de_vat, Compact;
    /// German number of a physician (LANR): weights 4 and 9 over six digits (KBV).
    DeLanr = "de_lanr" => europe_west::de_lanr, Compact;
    /// German number of a medical practice (BSNR): a region that exists; it has no checksum (KBV).
    DeBsnr = "de_bsnr" => europe_west::de_bsnr, Compact;
    /// Austrian social insurance number: weights around the check digit in place 4, date of birth.
    AtSvnr = "at_svnr" => europe_west::at_svnr, Compact;
    /// Swiss social insurance number (AHV): 756, check digit of EAN-13.
    ChAhv = "ch_ahv" => europe_west::ch_ahv, Compact;
    /// Irish personal public service number: weights 8 to 2, a second letter counts 9, mod 23.
    IePps = "ie_pps" => europe_west::ie_pps, Compact;
    /// Luxembourg's national number: date of birth, Luhn and Verhoeff.
    LuNational = "lu_national" => europe_west::lu_national, Compact;
    /// Greek social security number (AMKA): date of birth, Luhn.
    GrAmka = "gr_amka" => europe_west::gr_amka, Compact;
    /// Greek tax number (AFM): powers of two, mod 11.
    GrAfm = "gr_afm" => europe_west::gr_afm, Compact;
    /// VAT number of a country of the European Union that checks by mod 97 or has no checksum here.
    EuVat = "eu_vat" => europe_west::eu_vat, Compact;
    /// Finnish personal identity code: day, century sign, check character by remainder of 31 (DVV).
    FiHetu = "fi_hetu" => europe_north::fi_hetu, Compact;
    /// Swedish personal number: day of birth (60 more for a coordination number), Luhn over ten digits
    /// (Skatteverket).
    SePersonal = "se_personal" => europe_north::se_personal, Compact;
    /// Swedish number of organisations: third digit from 2 on, Luhn.
    SeOrganisation = "se_organisation" => europe_north::se_organisation, Compact;
    /// Norwegian birth number: two check digits of mod 11; 40 more in the day or month for other kinds
    /// (Skatteetaten).
    NoBirth = "no_birth" => europe_north::no_birth, Compact;
    /// Danish personal number: day of birth; mod 11 holds for those given out before 2007 (CPR).
    DkCpr = "dk_cpr" => europe_north::dk_cpr, Compact;
    /// Icelandic identity number: day of birth, check digit in place 9, century in place 10 (Registers
    /// Iceland).
    IsKennitala = "is_kennitala" => europe_north::is_kennitala, Compact;
    /// Estonian and Lithuanian personal code: century and sex, day of birth, two rounds of mod 11.
    BalticCode = "baltic_code" => europe_north::baltic_code, Compact;
    /// Latvian personal code: day of birth and mod 11, or 32 and no checksum since 2017.
    LvCode = "lv_code" => europe_north::lv_code, Compact;
    /// Polish or other nine-place document: three letters, six digits, the first of which checks the rest with
    /// 7, 3, 1.
    PlIdCard = "pl_id_card" => europe_north::pl_id_card, Compact;
    /// Polish personal number (PESEL): day of birth with century, weights 1, 3, 7, 9.
    PlPesel = "pl_pesel" => europe_east::pl_pesel, Compact;
    /// Polish tax number (NIP): mod 11.
    PlNip = "pl_nip" => europe_east::pl_nip, Compact;
    /// Polish register of the economy (REGON): 9 or 14 digits, mod 11.
    PlRegon = "pl_regon" => europe_east::pl_regon, Compact;
    /// Birth number of the Czech and Slovak republics: day of birth, whole number divisible by 11 since 1954.
    CzBirth = "cz_birth" => europe_east::cz_birth, Compact;
    /// Hungarian social insurance number (TAJ): weights 3 and 7.
    HuTaj = "hu_taj" => europe_east::hu_taj, Compact;
    /// Hungarian tax number of a person: begins with 8, weights 1 to 9.
    HuTax = "hu_tax" => europe_east::hu_tax, Compact;
    /// Romanian personal number (CNP): sex and century, day of birth, county, mod 11.
    RoCnp = "ro_cnp" => europe_east::ro_cnp, Compact;
    /// Bulgarian civil number (EGN): day of birth with century, mod 11.
    BgEgn = "bg_egn" => europe_east::bg_egn, Compact;
    /// Croatian personal number (OIB): MOD 11,10.
    HrOib = "hr_oib" => europe_east::hr_oib, Compact;
    /// Unique citizen number of the states of former Yugoslavia (EMŠO, JMBG): day of birth, region, mod 11.
    YuEmso = "yu_emso" => europe_east::yu_emso, Compact;
    /// Slovenian tax number: weights 8 to 2, mod 11.
    SiTax = "si_tax" => europe_east::si_tax, Compact;
    /// Russian tax number (INN): 10 digits for organisations, 12 for persons.
    RuInn = "ru_inn" => europe_east::ru_inn, Compact;
    /// Russian pension insurance number (SNILS): weights 9 to 1, mod 101.
    RuSnils = "ru_snils" => europe_east::ru_snils, Compact;
    /// Ukrainian taxpayer number (RNOKPP): days since 1900, mod 11.
    UaTax = "ua_tax" => europe_east::ua_tax, Compact;
    /// Individual and business numbers of Kazakhstan: day of birth, two rounds of mod 11.
    KzIin = "kz_iin" => europe_east::kz_iin, Compact;
    /// Turkish identity number: two check digits over odd and even places.
    TrId = "tr_id" => europe_east::tr_id, Compact;
    /// Israeli identity number: Luhn over nine digits.
    IlId = "il_id" => europe_east::il_id, Compact;
    /// South African identity number: day of birth, citizenship, Luhn.
    ZaId = "za_id" => europe_east::za_id, Compact;
    /// Indian Aadhaar: not beginning with 0 or 1, no palindrome, Verhoeff (UIDAI).
    InAadhaar = "in_aadhaar" => asia::in_aadhaar, Compact;
    /// Indian permanent account number: the fourth letter says the kind of holder; its check letter is not
    /// published.
    InPan = "in_pan" => asia::in_pan, Compact;
    /// Indian goods and services tax number: a state, a PAN, check character in base 36 (GSTN).
    InGstin = "in_gstin" => asia::in_gstin, Compact;
    /// Indian registration of a vehicle: a state that exists, in the form of 1988 or an older one.
    InVehicle = "in_vehicle" => asia::in_vehicle, Compact;
    /// Chinese resident identity number: province, day of birth, ISO 7064 MOD 11-2 (GB 11643-1999).
    CnResident = "cn_resident" => asia::cn_resident, Compact;
    /// Hong Kong identity card: one or two letters, weights 9 to 1, mod 11.
    HkId = "hk_id" => asia::hk_id, Compact;
    /// Taiwanese identity card: a letter of the place, weights 1, 9 to 1, mod 10.
    TwId = "tw_id" => asia::tw_id, Compact;
    /// Thai identity number: a province that exists, weights 13 to 2, mod 11.
    ThId = "th_id" => asia::th_id, Compact;
    /// Singaporean identity number (NRIC, FIN): weights 2, 7 to 2, letter by series S, T, F, G, M.
    SgNric = "sg_nric" => asia::sg_nric, Compact;
    /// Singaporean number of an entity (UEN): business, local company or other, each with its check letter
    /// (ACRA).
    SgUen = "sg_uen" => asia::sg_uen, Compact;
    /// Korean resident number: day of birth, sex and century of a citizen; the checksum holds until October
    /// 2020.
    KrRrn = "kr_rrn" => asia::kr_rrn, Compact;
    /// Korean number of foreigners: as of residents, with 5 to 8 for sex and century.
    KrFrn = "kr_frn" => asia::kr_frn, Compact;
    /// Korean number of businesses: weights 1, 3, 7, mod 10 with a carry.
    KrBrn = "kr_brn" => asia::kr_brn, Compact;
    /// Korean driving licence: a region of 11 to 28; the rule of its check digits is not published.
    KrDrivingLicence = "kr_driving_licence" => asia::kr_driving_licence, Compact;
    /// Japanese My Number: weights 6 to 2 and 7 to 2, mod 11.
    JpMyNumber = "jp_my_number" => asia::jp_my_number, Compact;
    /// Indonesian identity number: province, day of birth (40 more for women).
    IdNik = "id_nik" => asia::id_nik, Compact;
    /// Malaysian identity card: day of birth and a place of birth that is given out.
    MyNric = "my_nric" => asia::my_nric, Compact;
    /// Pakistani identity card: a province of 1 to 7 in front.
    PkCnic = "pk_cnic" => asia::pk_cnic, Compact;
    /// Identity card of the United Arab Emirates: 784, year of birth, Luhn.
    AeId = "ae_id" => asia::ae_id, Compact;
    /// Saudi identity number: 1 for citizens, 2 for residents, Luhn.
    SaId = "sa_id" => asia::sa_id, Compact;
    /// Iranian national code: weights 10 to 2, mod 11.
    IrCode = "ir_code" => asia::ir_code, Compact;
    /// Egyptian national number: century 2 or 3, day of birth, governorate.
    EgId = "eg_id" => asia::eg_id, Compact;
    /// Philippine tax number: weights 9 to 2, mod 11; three or more digits of a branch may follow.
    PhTin = "ph_tin" => asia::ph_tin, Compact;
    /// Nigerian identity number: Verhoeff over eleven digits (NIMC).
    NgNin = "ng_nin" => asia::ng_nin, Compact;
    /// Australian tax file number: weights, mod 11 (ATO).
    AuTfn = "au_tfn" => asia::au_tfn, Compact;
    /// Australian business number: first digit less 1, mod 89 (ABR).
    AuAbn = "au_abn" => asia::au_abn, Compact;
    /// Australian company number: weights 8 to 1, mod 10 (ASIC).
    AuAcn = "au_acn" => asia::au_acn, Compact;
    /// Australian Medicare card: first digit 2 to 6, weights 1, 3, 7, 9, mod 10.
    AuMedicare = "au_medicare" => asia::au_medicare, Compact;
    /// New Zealand tax number: two rounds of mod 11 (Inland Revenue).
    NzIrd = "nz_ird" => asia::nz_ird, Compact;
    /// New Zealand health number: letters without I and O, weights 7 to 2, mod 11.
    NzNhi = "nz_nhi" => asia::nz_nhi, Compact;
    /// Brazilian tax number of persons (CPF): two rounds of mod 11.
    BrCpf = "br_cpf" => americas::br_cpf, Compact;
    /// Brazilian number of legal entities (CNPJ), with letters, too: two rounds of mod 11 (Receita Federal).
    BrCnpj = "br_cnpj" => americas::br_cnpj, Compact;
    /// Argentine tax number (CUIT, CUIL): kind, weights 5 to 2 and 7 to 2, mod 11.
    ArCuit = "ar_cuit" => americas::ar_cuit, Compact;
    /// Chilean tax number (RUT): weights 2 to 7 from the right, K for 10.
    ClRut = "cl_rut" => americas::cl_rut, Compact;
    /// Colombian tax number (NIT): primes from the right, mod 11.
    CoNit = "co_nit" => americas::co_nit, Compact;
    /// Mexican population code (CURP): name, day of birth, sex, state, check digit (RENAPO).
    MxCurp = "mx_curp" => americas::mx_curp, Compact;
    /// Mexican tax code (RFC): name, day, homonym key, check character over places 13 to 2, mod 11 (SAT).
    MxRfc = "mx_rfc" => americas::mx_rfc, Compact;
    /// Mexican tax code (RFC) as [`Self::MxRfc`], with a right check character.
    MxRfcSeparated = "mx_rfc_separated" => americas::mx_rfc_separated, Compact;
    /// Peruvian tax number (RUC): kind, weights 5 to 2 and 7 to 2, mod 11.
    PeRuc = "pe_ruc" => americas::pe_ruc, Compact;
    /// Ecuadorian identity card: province, Luhn from the left.
    EcCi = "ec_ci" => americas::ec_ci, Compact;
    /// Uruguayan identity card: weights 2, 9, 8, 7, 6, 3, 4, mod 10.
    UyCi = "uy_ci" => americas::uy_ci, Compact;
    /// Dominican identity card (cédula): Luhn over eleven digits.
    DoCedula = "do_cedula" => americas::do_cedula, Compact;
    /// JSON Web Token: the head is base64url of a JSON object with `alg` (RFC 7515).
    Jwt = "jwt" => token::jwt, AsIs;
    /// Random-looking base64: upper case, lower case and digits all occur.
    Mixed = "mixed" => token::mixed, AsIs;
    /// Random-looking text: digits and letters both occur, digits more than once.
    Random = "random" => token::random, AsIs;
    /// As [`Self::Random`], for values whose form tells them: one digit is enough where letters of both cases are mixed as no
    /// words are.
    RandomMixed = "random_mixed" => token::random_mixed, AsIs;
    /// Letters and digits of which the last six are the CRC-32 of the others in base 62 (GitHub, npm). A wrong sum
    /// is no reason to refuse it.
    Crc32Base62 = "crc32_base62" => secret::crc32_base62, AsIs;
    /// `=` and the CRC-32 of what stands before it, hexadecimal (Atlassian).
    Crc32Hex = "crc32_hex" => secret::crc32_hex, AsIs;
    /// Routable token of GitLab with its CRC-32 in base 36; other tokens are plausible.
    GitlabRoutable = "gitlab_routable" => secret::gitlab_routable, AsIs;
    /// Service account token of Grafana with its CRC-32.
    Grafana = "grafana" => secret::grafana, AsIs;
    /// Private key of a Bitcoin address in the wallet import form, Base58Check.
    Wif = "wif" => secret::wif, AsIs;
    /// Base58 with a right checksum (BIP 32 keys and others).
    Base58Check = "base58check" => secret::base58check, AsIs;
    /// Bech32 (BIP 173); with a wrong checksum it is plausible.
    Bech32 = "bech32" => secret::bech32, AsIs;
    /// Bech32 (BIP 173) with a right checksum.
    Bech32Strict = "bech32_strict" => secret::bech32_strict, AsIs;
    /// Secret seed of a Stellar account: base32 and CRC-16 (SEP-23).
    StellarSeed = "stellar_seed" => secret::stellar_seed, AsIs;
    /// JSON Web Token encoded in base64 once more.
    JwtBase64 = "jwt_base64" => secret::jwt_base64, AsIs;
    /// Letters of both cases.
    MixedCase = "mixed_case" => secret::mixed_case, AsIs;
    /// Password: no word that stands for one, no name of a variable, no call, no template.
    Password = "password" => secret::password, AsIs;
    /// Password with a digit or a sign in it, as [`Self::Password`].
    RandomPassword = "random_password" => secret::random_password, AsIs;
    /// As [`Self::Random`], for a password in a line of a configuration: one digit is enough where it is no expression of a
    /// program.
    ConfigPassword = "config_password" => secret::config_password, AsIs;
    /// As [`Self::Random`], for what stands after the last colon.
    RandomTail = "random_tail" => secret::random_tail, AsIs;
    /// Base64 in groups of four.
    Base64 = "base64" => secret::base64, AsIs;
    /// `user:password` of a command line.
    UserPassword = "user_password" => secret::user_password, AsIs;
}
