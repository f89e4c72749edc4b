//! Tests of values that are long, or stand beside others.

use super::rules::expand_example;
use super::tests::{ids, scan_one};

/// Values end where their bytes end, however long they are: the pattern could end at each of their bytes.
#[test]
fn long_values_are_found_as_a_whole() {
    let head = "eyJhbGciOiJSUzI1NiJ9";
    for (template, id, bytes) in [
        // A signature of RS256 has 342 letters.
        (
            format!("{head}.eyJzdWIiOiIxIiwiYSI6MX0.<b64url:342>"),
            "jwt",
            head.len() + 24 + 1 + 342,
        ),
        (
            "aws_session_token = <b64:800>".to_owned(),
            "aws_session_token",
            800,
        ),
        (
            format!("ghs_<alnum:12>_{head}.<b64url:240>.<b64url:300>"),
            "github_app_jwt_token",
            4 + 12 + 1 + head.len() + 242 + 300,
        ),
        (
            "\"refresh_token\": \"1.AXk<b64url:1000><alnum:100>\"".to_owned(),
            "secret_assignment",
            5 + 1_100,
        ),
        (
            "X-Amz-Security-Token: IQoJ<b64:700>".to_owned(),
            "secret_assignment",
            704,
        ),
        (
            "token: ya29.c.b0Aaekm1K<b64url:1000>..........".to_owned(),
            "gcp_oauth_access_token",
            16 + 1_000,
        ),
    ] {
        let report = scan_one(&expand_example(&template));
        assert_eq!(ids(&report), [id], "{template}");
        let found = &report.findings[0];
        assert_eq!(usize::try_from(found.bytes).unwrap(), bytes, "{template}");
        assert_eq!((found.count, report.undecided_matches), (1, 0), "{template}");
    }
}

#[test]
fn values_beyond_the_reach_are_undecided() {
    let report = scan_one(&format!(
        "refresh_token={}",
        expand_example("<alnum:1000>").repeat(9)
    ));
    assert!(
        report.findings.is_empty() && report.undecided_matches > 0,
        "{report:?}"
    );
}

/// The pattern of a name reaches to the next line.
#[test]
fn a_value_belongs_to_the_name_that_is_nearest() {
    let counts = |template: &str| -> Vec<(String, u32)> {
        let report = scan_one(&expand_example(template));
        let findings = report.findings.into_iter();
        findings.map(|f| (f.rule_id, f.count)).collect()
    };
    let one = |id: &str| (id.to_owned(), 1);
    assert_eq!(
        counts("MAILGUN_API_KEY=<hex:32>\nSPOTIFY_TOKEN=<hex:32>"),
        [one("mailgun_signing_key"), one("spotify_secret")]
    );
    assert_eq!(
        counts("SPOTIFY_TOKEN=<hex:32>\nMAILGUN_API_KEY=<hex:32>"),
        [one("mailgun_signing_key"), one("spotify_secret")]
    );
    // A secret behind a key is one of the same service, and a part of a value is none.
    assert_eq!(
        counts("Nexmo(key='<hex:8>', secret='<alnum:16>')"),
        [("vonage_secret".to_owned(), 2)]
    );
    assert_eq!(counts("CONFLUENT_SECRET=<b64:64>"), [one("confluent_key")]);
}
