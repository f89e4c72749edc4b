//! Checks of identifiers, against numbers whose checksums were computed by another program.

use super::*;

pub(super) fn check_all(validator: Validator, wanted: Check, values: &[&str]) {
    for value in values {
        assert_eq!(validator.check(value.as_bytes()), wanted, "{validator:?} {value}");
    }
}

#[test]
fn no_value_makes_a_check_fail() {
    let mut values: Vec<Vec<u8>> = vec![Vec::new(), vec![0xff; 20], b"\xc3\xa4\xc3\xb6".to_vec()];
    for length in 0..40 {
        for byte in [b'0', b'1', b'9', b'A', b'Z', b'a', b'-', b' ', b'+'] {
            values.push(vec![byte; length]);
            values.push([&b"A"[..], &vec![byte; length], b"7"].concat());
            values.push([&b"12A"[..], &vec![byte; length], b"X"].concat());
        }
        values.push(
            (0..length)
                .map(|i| b'0' + u8::try_from(i % 10).unwrap())
                .collect(),
        );
    }
    for validator in Validator::ALL {
        for value in &values {
            let _ = validator.check(value);
            let _ = validator.normalise(value);
        }
    }
}

#[test]
fn names_and_summaries_belong_to_variants() {
    assert_eq!(Validator::NAMES.len(), Validator::ALL.len());
    assert_eq!(Validator::NAMES.len(), Validator::SUMMARIES.len());
    let mut names = Validator::NAMES.to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Validator::NAMES.len());
}

/// A check, what it says of the first numbers, and numbers that it rejects. The first are examples that the offices or
/// encyclopaedias print; the rest was made at random and checked with python-stdnum 2.2.
type Case = (Validator, Check, &'static [&'static str], &'static [&'static str]);
const CASES: &[Case] = &[
    (
        Validator::JpMyNumber,
        Check::Valid,
        &["123456789018"],
        &["123456789019"],
    ),
    (Validator::HkId, Check::Valid, &["G123456(A)"], &["G123456(7)"]),
    (Validator::TwId, Check::Valid, &["A123456789"], &["A123456788"]),
    (Validator::HuTaj, Check::Valid, &["037 687 210"], &["037 687 211"]),
    (Validator::UyCi, Check::Valid, &["1.234.567-2"], &["1.234.567-3"]),
    (Validator::IrCode, Check::Valid, &["0499370899"], &["0499370898"]),
    (Validator::SaId, Check::Valid, &["1000000008"], &["1000000009"]),
    (Validator::AeId, Check::Valid, &[], &["784-1988-1234567-9"]),
    (
        Validator::SgNric,
        Check::Valid,
        &["S1234567D", "F1234567N", "G1234567X", "T1234567J", "M4332674T"],
        &["S1234567A", "B1234567Z"],
    ),
    (
        Validator::DePension,
        Check::Valid,
        &["15070649C103", "20151090B023"],
        &["15070649C100", "15070049C103"],
    ),
    (
        Validator::DeHealth,
        Check::Valid,
        &["A123456780", "C000500021"],
        &["A123456787", "1123456780"],
    ),
    (
        Validator::DeDocument,
        Check::Valid,
        &["C01X00T41", "G00000002"],
        &["F12345678", "901234567"],
    ),
    (
        Validator::DeLanr,
        Check::Valid,
        &["123456601", "999999901"],
        &["100000401", "234567601"],
    ),
    (
        Validator::DeBsnr,
        Check::Plausible,
        &["021234568"],
        &["040000000"],
    ),
    (
        Validator::UkNino,
        Check::Plausible,
        &["YZ 61 48 68 B", "tw987654a"],
        &["NT998877A", "BG123612A"],
    ),
    (
        Validator::UkDrivingLicence,
        Check::Plausible,
        &["MORGA607054SM9IJ", "SMIT9801015JK2CD", "SMITH802290AB1CD"],
        &["SMITH813310AB1CD", "SM1TH801010AB1CD", "SMITH801320AB1CD"],
    ),
    (
        Validator::UsNpi,
        Check::Valid,
        &["1234567893", "1245319599"],
        &["3234567893", "1111111112"],
    ),
    (
        Validator::UsDea,
        Check::Valid,
        &["BB1388568", "K92993548"],
        &["BG8207031"],
    ),
    (
        Validator::UsMbi,
        Check::Plausible,
        &["1EG4-TE5-MK73", "1eg4te5mk73"],
        &["1SG4-TE5-MK73", "1EG4-TE5-MI73", "1EG4TE5MK7"],
    ),
    (
        Validator::KrFrn,
        Check::Valid,
        &["9111245678906"],
        &["760413-1212134"],
    ),
    (Validator::NgNin, Check::Valid, &[], &["12345678901"]),
    (
        Validator::PhTin,
        Check::Valid,
        &["000-123-456", "000-123-456-001"],
        &["000-123-457-000", "600-000-000"],
    ),
    (
        Validator::AuMedicare,
        Check::Valid,
        &["2123456701"],
        &["2123258701"],
    ),
    (
        Validator::EuVat,
        Check::Valid,
        &["DE136695976", "de 136 695 976"],
        &["DE987654321", "XX123456789"],
    ),
    (
        Validator::KrDrivingLicence,
        Check::Plausible,
        &["11-22-123456-12"],
        &["99-22-123456-12"],
    ),
    (
        Validator::InVehicle,
        Check::Plausible,
        &["KA53ME3456", "MN2412"],
        &["ABNE123456"],
    ),
    (
        Validator::EgId,
        Check::Plausible,
        &["29001010112345"],
        &["49001010112345"],
    ),
    (
        Validator::UkNhs,
        Check::Valid,
        &["6091390996", "9078666617", "1163726516"],
        &["5260181590", "8301661318"],
    ),
    (
        Validator::UkUtr,
        Check::Valid,
        &["1895744546", "8077500186", "1081889998"],
        &["5661359640", "4790176694"],
    ),
    (
        Validator::EsNif,
        Check::Valid,
        &["98931088S", "14061883M", "43115389A"],
        &["55422091O", "85381053N"],
    ),
    (
        Validator::EsNie,
        Check::Valid,
        &["Z9682568X", "X3611299T", "Y6426710H"],
        &["X9579216F", "X8042317Q"],
    ),
    (
        Validator::EsCif,
        Check::Valid,
        &["S9317805A", "U4442790D", "D99176471"],
        &["P3448179H", "B93270515"],
    ),
    (
        Validator::ItFiscalCode,
        Check::Valid,
        &["WEAYLX76P08O233W", "QBTVZY71E28N214J", "IGQVOW22R04X771A"],
        &["UIWEUE17P10D078U", "EEKAJJ06P04Y847T"],
    ),
    (
        Validator::ItVat,
        Check::Valid,
        &["93382940356", "65628230958", "47266440776"],
        &["54176250310", "76596360999"],
    ),
    (
        Validator::FrNir,
        Check::Valid,
        &["231022991177679", "207062986684875", "287048938637168"],
        &["283023828117287", "199094003327006"],
    ),
    (
        Validator::FrSiren,
        Check::Valid,
        &["883909418", "574228144", "598074557"],
        &["929170152", "012127749"],
    ),
    (
        Validator::NlBsn,
        Check::Valid,
        &["237456278", "342267437", "597258983"],
        &["096542872", "807458221"],
    ),
    (
        Validator::BeNational,
        Check::Valid,
        &["16091404630", "64120703717", "89041875817"],
        &["87100370171", "54060575281"],
    ),
    (
        Validator::PtNif,
        Check::Valid,
        &["687011973", "317472550", "387863303", "451234561", "701234563"],
        &["519539304", "224996612", "461234560", "701234564"],
    ),
    (
        Validator::PtCc,
        Check::Valid,
        &["154137126MO3", "761335401YT0", "680489857XA8"],
        &["214938353UQ6", "787392920GJ3"],
    ),
    (
        Validator::DeTaxId,
        Check::Valid,
        &["31062904853", "96182507537", "38596727016"],
        &["49833588470", "92258440341"],
    ),
    (
        Validator::DeVat,
        Check::Valid,
        &["745551755", "477376298", "675352337"],
        &["732827251", "233457273"],
    ),
    (
        Validator::AtSvnr,
        Check::Valid,
        &["4244110204", "2659261275", "9781260681"],
        &["4264060970", "3463110567"],
    ),
    (
        Validator::ChAhv,
        Check::Valid,
        &["7560303522782", "7569357878777", "7565045512909"],
        &["7561763049537", "7569097595708"],
    ),
    (
        Validator::IePps,
        Check::Valid,
        &["5302673GW", "4278097H", "2252932MA"],
        &["0234049OA", "1905657MB"],
    ),
    (
        Validator::GrAmka,
        Check::Valid,
        &["29128397162", "27086227488", "01120086283"],
        &["26028380715", "03020215048"],
    ),
    (
        Validator::GrAfm,
        Check::Valid,
        &["958424923", "632149590", "832200497"],
        &["212247225", "137772776"],
    ),
    (
        Validator::FiHetu,
        Check::Valid,
        &["261290-617K", "160580-735P", "060602-508L"],
        &["240902-120F", "240417-883U"],
    ),
    (
        Validator::SePersonal,
        Check::Valid,
        &["570904-1759", "770419-5085", "741027-0420"],
        &["890519-3141", "630109-9621"],
    ),
    (
        Validator::SeOrganisation,
        Check::Valid,
        &["5462843656", "5966752841", "5627421851"],
        &["5349511475", "5897225630"],
    ),
    (
        Validator::NoBirth,
        Check::Valid,
        &["10011489074", "28069895109", "09069362076"],
        &["17039653199", "24039805023"],
    ),
    (
        Validator::IsKennitala,
        Check::Valid,
        &["2305761499", "0304856969", "2911614569"],
        &["3010164479", "1907673089"],
    ),
    (
        Validator::BalticCode,
        Check::Valid,
        &["30604056145", "40504101507", "39111081982"],
        &["46908239704", "47405207486"],
    ),
    (
        Validator::PlPesel,
        Check::Valid,
        &["13122844487", "93091735270", "17032251627"],
        &["98090409814", "67111268388"],
    ),
    (Validator::PlNip, Check::Valid, &[], &["9195035914", "7521590403"]),
    (
        Validator::PlRegon,
        Check::Valid,
        &["598105922", "238257708", "670892666"],
        &["134007921", "554422352"],
    ),
    (
        Validator::CzBirth,
        Check::Valid,
        &["6101232819", "6612300112", "5505111150"],
        &["1603197220", "7304258130"],
    ),
    (
        Validator::RoCnp,
        Check::Valid,
        &["1180303128314", "2530926242555", "2630721288593"],
        &["1800129466030", "2660520330969"],
    ),
    (
        Validator::BgEgn,
        Check::Valid,
        &["0805173517", "1508108033", "8904146855"],
        &["8809105106", "6004090442"],
    ),
    (
        Validator::HrOib,
        Check::Valid,
        &["39789206298", "16641969935", "48669526532"],
        &["10803947087", "71886388923"],
    ),
    (
        Validator::YuEmso,
        Check::Valid,
        &[],
        &["2807959796022", "1911968964122"],
    ),
    (
        Validator::SiTax,
        Check::Valid,
        &["19528159", "67020348", "46299254"],
        &["16048694", "20356004"],
    ),
    (
        Validator::RuInn,
        Check::Valid,
        &[],
        &["727023206688", "7106554829"],
    ),
    (
        Validator::UaTax,
        Check::Valid,
        &["3706868231", "1155185310", "1598017735"],
        &["1579170308", "2296880512"],
    ),
    (
        Validator::TrId,
        Check::Valid,
        &["49934834992", "27415483778", "47277978090"],
        &["81382595905", "41183289583"],
    ),
    (
        Validator::IlId,
        Check::Valid,
        &["509390167", "825341654", "776977514"],
        &["739541713", "769058392"],
    ),
    (
        Validator::ZaId,
        Check::Valid,
        &["9408148677186", "5902081515183", "5402053781087"],
        &["6504248969083", "9210047319087"],
    ),
    (
        Validator::InAadhaar,
        Check::Valid,
        &["767579783734", "738048014692", "875044524824"],
        &["479928512976", "673273213202"],
    ),
    (
        Validator::CnResident,
        Check::Valid,
        &["310101199709237263", "310101191302081707", "110101196004260649"],
        &[],
    ),
    (
        Validator::ThId,
        Check::Valid,
        &[],
        &["5710715046374", "7194795031251"],
    ),
    (
        Validator::SgUen,
        Check::Valid,
        &["201496625G", "S15FC5299C", "201429809R"],
        &["S78LP5672T", "90401669N"],
    ),
    (
        Validator::AuTfn,
        Check::Valid,
        &["210281061", "512465298", "697084988"],
        &["801630141", "130927908"],
    ),
    (
        Validator::AuAbn,
        Check::Valid,
        &["63343576198", "35451506613", "54938658696"],
        &["33303255052", "33548058908"],
    ),
    (
        Validator::AuAcn,
        Check::Valid,
        &["686950470", "755385990", "330342795"],
        &["782702666", "603420887"],
    ),
    (
        Validator::NzIrd,
        Check::Valid,
        &["095186556", "082051473", "045077233"],
        &["062145869", "093254222"],
    ),
    (
        Validator::BrCpf,
        Check::Valid,
        &["36525696798", "64974962892", "97959588520"],
        &["07436509658", "87990656356"],
    ),
    (
        Validator::BrCnpj,
        Check::Valid,
        &[
            "01454621419494",
            "62803682887262",
            "70854330878869",
            "12.ABC.345/01DE-35",
        ],
        &[
            "75698550680385",
            "95347284258633",
            "12.ABC.345/01DE-53",
            "12ABC34501DEAA",
        ],
    ),
    (
        Validator::ArCuit,
        Check::Valid,
        &[],
        &["23479642165", "30311359642"],
    ),
    (
        Validator::ClRut,
        Check::Valid,
        &["967632961", "251725470", "588595374"],
        &["758823797", "917889126"],
    ),
    (
        Validator::CoNit,
        Check::Valid,
        &["5427117581", "6984917930", "3190082104"],
        &["4734866884", "3240010377"],
    ),
    (
        Validator::MxCurp,
        Check::Valid,
        &["CIRA130515MOCXHY01", "FAAR870829HOCSNJ01", "MUTB920804HNLCJV01"],
        &["FUWK701225HMCDPS04", "DABV040531MOCBSP01"],
    ),
    (
        Validator::PeRuc,
        Check::Valid,
        &["10256718664", "10638647147", "10971534589"],
        &["10242851659", "10508918062"],
    ),
    (
        Validator::EcCi,
        Check::Valid,
        &["1103620975", "0537753667", "0900606781"],
        &["1744495527", "0958428587"],
    ),
    (
        Validator::DoCedula,
        Check::Valid,
        &[],
        &["20556555247", "43131582957"],
    ),
    (
        Validator::UsItin,
        Check::Plausible,
        &["955970429", "920954380", "943902034"],
        &[],
    ),
    (
        Validator::Ssn,
        Check::Plausible,
        &["414471703", "827367362", "052075233"],
        &["970639786", "991678455"],
    ),
    (Validator::Aba, Check::Valid, &[], &["305485966", "915520656"]),
    (
        Validator::UsEin,
        Check::Plausible,
        &["816768842", "803857554", "945124043"],
        &["077568189", "296946968"],
    ),
    (
        Validator::CaSin,
        Check::Valid,
        &["205773807", "327646972", "562529065"],
        &["801161252", "004475222"],
    ),
    (
        Validator::Imei,
        Check::Valid,
        &["576271935242603", "402679371061701", "964600178808698"],
        &["250474411545830", "897804070970761"],
    ),
    (
        Validator::IdNik,
        Check::Plausible,
        &["3163572205002335", "3242891809842514", "3258922806721521"],
        &[],
    ),
    (
        Validator::MyNric,
        Check::Plausible,
        &["891020140536", "691207140180", "750425142905"],
        &[],
    ),
    (
        Validator::PkCnic,
        Check::Plausible,
        &["6872383572353", "5738659057865", "1266629876557"],
        &[],
    ),
    (
        Validator::InPan,
        Check::Plausible,
        &["SUUFB6797F", "JKPJK5531X", "FJNHI8778Y"],
        &[],
    ),
    (
        Validator::InGstin,
        Check::Valid,
        &["27JVCAP6005K1Z3", "27ZMYCJ0590H1ZM", "27PHWHK4117V1ZA"],
        &[],
    ),
    (
        Validator::MxRfc,
        Check::Valid,
        &["BOGD981017K31", "BAGG931217K25", "FECF531223Q19"],
        &[],
    ),
    (
        Validator::MxRfcSeparated,
        Check::Valid,
        &["GODE-561231-GR8", "BOGD 981017 K31"],
        &["GODE-561231-GR7", "ABC-240131-A12"],
    ),
    (Validator::DkCpr, Check::Valid, &["1409938368", "0112635041"], &[]),
    (
        Validator::KrRrn,
        Check::Valid,
        &["5403082552758", "9203062897412", "5306122297641"],
        &[],
    ),
    (Validator::KrBrn, Check::Valid, &["3407431547", "2190791889"], &[]),
    (
        Validator::LvCode,
        Check::Valid,
        &["01036019016", "13027514312", "07105419310"],
        &[],
    ),
];

#[test]
fn numbers_with_right_and_with_wrong_checksums() {
    for (validator, wanted, good, bad) in CASES {
        check_all(*validator, *wanted, good);
        check_all(*validator, Check::Reject, bad);
    }
}
