//! What a hostile text can make the scan do. Steps are counted, not time.

use crate::dialect::{Place, TextRole, TextSink};
use crate::protocol::Side;

use super::locate::{WORK_BASE, WORK_PER_BYTE};
use super::rules::expand_example;
use super::*;

/// Work of one try, at most: a match has 7 KiB, and finding the value in one costs four times its length.
const ONE_MORE: u64 = 64 * 1024;

fn scan(text: &str) -> (ScanReport, Engine) {
    let engine = Engine::new(&Rules::builtin().unwrap()).unwrap();
    let place = Place {
        side: Side::Request,
        path: "$".to_owned(),
        role: TextRole::Prompt,
    };
    let mut scan = engine.open(None);
    scan.text(&place, 1, text.as_bytes());
    scan.end(1);
    (scan.finish(), engine)
}

/// The rules that cost most, to read when a test fails.
fn costly(engine: &Engine) -> String {
    let mut costs: Vec<_> = engine.costs().into_iter().zip(engine.rules()).collect();
    costs.sort_by_key(|(cost, _)| std::cmp::Reverse(cost.bytes + 500 * cost.judged));
    let one = |(cost, rule): &(Cost, _)| format!("{} {cost:?}", AsRef::<Rule>::as_ref(rule).id);
    costs.iter().take(6).map(one).collect::<Vec<_>>().join("\n")
}

const SIZE: usize = 256 * 1024;

/// Each text is bounded, whatever it makes the scan try; and one of them is so dense that its bound is met and said.
#[test]
fn words_that_lead_to_many_rules_do_not_make_the_scan_burn() {
    let mut undecided = 0;
    for part in [
        "password=secret_key:token=",
        "token=!!!!!!!!!!!!!!!!",
        "secret_key_token_api_key_",
        "key_key_key_key_key_key_=",
        "API_KEY_SECRET_TOKEN_KEY_",
        "A_KEY=B_KEY=C_TOKEN=D_SID=",
        "passwordpasswordpassword:",
        "secret=a.b.c.d.e.f.g.h.i.j.k.l.",
        "aws_secret aws_access akia ",
        "authorization: bearer bearer ",
        "user=a password=b user=c pwd=d ",
        "--token --secret --password ",
        "://a:b://c:d@://e:f@",
        "1-2.3-4 5/6 ",
    ] {
        let text: String = part.chars().cycle().take(SIZE).collect();
        let (report, engine) = scan(&text);
        let bytes = report.bytes_scanned + report.bytes_decoded;
        let most = WORK_BASE + bytes * WORK_PER_BYTE + ONE_MORE;
        assert!(
            report.work <= most,
            "{part}: {} of {most}\n{}",
            report.work,
            costly(&engine)
        );
        undecided += report.undecided_matches;
    }
    assert!(undecided > 0, "no text reached the bound");
}

#[test]
fn a_long_list_of_real_secrets_is_decided() {
    let line = expand_example("export ACME_API_KEY=<alnum:32>\n");
    let (report, engine) = scan(&line.repeat(SIZE / line.len()));
    assert_eq!(report.undecided_matches, 0, "{}", costly(&engine));
    let found: u32 = report.findings.iter().map(|f| f.count).sum();
    assert_eq!(usize::try_from(found).unwrap(), SIZE / line.len());
}
