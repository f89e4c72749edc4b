//! Tests of rule packs.

use super::*;

const RULE: &str =
    "version: '1'\nrules:\n  - {id: good, name: n, class: secret, severity: low, pattern: 'tok-[0-9]{4}'}\n";

#[test]
fn the_built_in_pack_has_no_problem() {
    let rules = Rules::builtin().unwrap();
    assert!(rules.list().len() >= 20);
    assert!(!rules.version().contains('+'), "built-in packs have one version");
    for rule in rules.list() {
        assert!(
            !rule.examples.is_empty() && !rule.counter_examples.is_empty(),
            "{} lacks examples",
            rule.id
        );
    }
}

#[test]
fn the_digest_covers_text_and_disabled_rules() {
    let base = Rules::load(&[("a", RULE)], &[]).0;
    assert_ne!(
        base.digest(),
        Rules::load(&[("a", &format!("{RULE}# more"))], &[]).0.digest()
    );
    let (rules, problems) = Rules::load(&[("a", RULE)], &["good".to_owned(), "nosuch".to_owned()]);
    assert_ne!(base.digest(), rules.digest());
    assert!(rules.list().is_empty());
    assert_eq!(problems.len(), 1);
    assert!(problems[0].to_string().contains("`nosuch`"), "{problems:?}");
}

#[test]
fn all_problems_at_once_and_the_rest_loads() {
    let text = "\
version: '1'
rules:
  - {id: good, name: n, class: secret, severity: low, pattern: 'tok-[0-9]{4}'}
  - {id: bad_regex, name: n, class: secret, severity: low, pattern: 'a[0-9'}
  - {id: bad_class, name: n, class: secrets, severity: low, pattern: 'aaaa'}
  - {id: Bad-Id, name: n, class: secret, severity: low, pattern: 'aaaa'}
  - {id: no_pattern, name: n, class: secret, severity: low}
  - {id: empty_fits, name: n, class: secret, severity: low, pattern: 'a*', before: any, after: any}
  - {id: bad_for_vectorscan, name: n, class: secret, severity: low, pattern: '(?:a{1,30000}b){1,30000}'}
  - {id: good, name: n, class: secret, severity: low, pattern: 'other'}
  - {id: typo, name: n, clas: secret, severity: low, pattern: 'other'}
  - {id: bad_validator, name: n, class: secret, severity: low, pattern: 'other', validator: crc99}
  - {id: everywhere, name: n, class: secret, severity: low, pattern: '[a-z]+'}
  - {id: too_large, name: n, class: secret, severity: low, pattern: 'x(?:[a-z]{1,1000}){100}'}
";
    let (rules, problems) = Rules::parse("mine.yaml", text);
    assert!(problems.is_empty(), "the file as a whole is a pack: {problems:?}");
    assert_eq!(rules.version(), "1 (11 left out)");
    assert_eq!(
        rules.list().iter().map(|r| r.id.as_str()).collect::<Vec<_>>(),
        ["good"]
    );
    let shown: Vec<String> = rules.left_out().iter().map(ToString::to_string).collect();
    let wanted = [
        ("mine.yaml:4:", "`bad_regex` left out"),
        ("mine.yaml:5:", "did you mean `secret`"),
        ("mine.yaml:6:", "Bad-Id"),
        ("mine.yaml:7:", "needs `pattern`"),
        ("mine.yaml:8:", "fits the empty text"),
        ("mine.yaml:9:", "`bad_for_vectorscan` left out"),
        ("mine.yaml:10:", "is there already"),
        ("mine.yaml:11:", "did you mean `class`"),
        ("mine.yaml:12:", "`bad_validator` left out"),
        ("mine.yaml:12:", "crc99"),
        ("mine.yaml:13:", "`everywhere` left out: too slow"),
        ("mine.yaml:14:", "`too_large` left out"),
    ];
    for (place, words) in wanted {
        assert!(
            shown.iter().any(|s| s.starts_with(place) && s.contains(words)),
            "{place} {words}: {shown:#?}"
        );
    }
}

#[test]
fn what_leads_to_a_rule_must_be_rare() {
    let text = format!(
        "{RULE}  - {{id: often, name: n, class: secret, severity: low, pattern: '(?:is|id|il|hi|li|ld|sh|si|hr|ri|di|ch|ou|me|mo|us|ow|um|ut|ve|my|be|ab)[A-Z]{{2}}'}}
  - {{id: behind_anything, name: n, class: secret, severity: low, pattern: '[A-Z]{{6}}', before: any}}
  - {{id: number_in_a_word, name: n, class: secret, severity: low, pattern: '[0-9]{{6}}', before: any}}
  - {{id: words, name: n, class: pii, severity: low, pattern: '[A-Z]{{6}}', context: {{words: [badge], required: true}}}}
  - {{id: lead, name: n, class: pii, severity: low, pattern: '[A-Z]{{6}}', trigger: 'badge .{{0,9}}[A-Z]{{6}}'}}
"
    );
    let (rules, problems) = Rules::parse("mine.yaml", &text);
    assert_eq!(problems, Vec::new());
    let left_out: Vec<String> = rules.left_out().iter().map(ToString::to_string).collect();
    let named = |id: &str| {
        left_out
            .iter()
            .any(|l| l.contains(&format!("`{id}` left out: too slow")))
    };
    assert!(
        named("often") && named("behind_anything") && named("number_in_a_word"),
        "{left_out:#?}"
    );
    let ids: Vec<&str> = rules.list().iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids, ["good", "words", "lead"]);
}

#[test]
fn text_that_is_no_pack_is_an_error() {
    for (text, wanted) in [
        ("", "an empty rule pack"),
        ("rules: [", "not valid YAML"),
        ("- a", "must be a mapping"),
        ("version: '1'", "needs `rules`"),
        ("rules: []", "needs `version`"),
        ("version: '1'\nrules: {}", "must be a list"),
    ] {
        let (rules, problems) = Rules::parse("mine.yaml", text);
        assert!(rules.list().is_empty());
        assert!(
            problems.iter().any(|p| p.message.contains(wanted)),
            "{text}: {problems:?}"
        );
    }
}

#[test]
fn an_assign_rule_knows_many_notations() {
    let text = "version: '1'\nrules:\n  - {id: acme, name: n, class: credential, severity: high, assign: {words: [acme_io], value: '[a-f0-9]{32}'}}\n";
    let (rules, problems) = Rules::parse("mine.yaml", text);
    assert_eq!((problems, rules.left_out()), (vec![], &[][..]));
    let engine = crate::sensitive::Engine::new(&rules).unwrap();
    let finds = |text: &str| {
        let text = expand_example(text);
        !crate::sensitive::scan_text(&engine, [text.as_bytes()])
            .findings
            .is_empty()
    };
    for text in [
        "ACME_IO_KEY=<hex:32>",
        "acmeIoToken = \"<hex:32>\"",
        "acme-io-token: '<hex:32>'",
        "{\"acme_io_key\": \"<hex:32>\"}",
        "var acmeIOToken string = \"<hex:32>\"",
        "acmeioToken := `<hex:32>`",
        "acmeio_TOKEN :::= \"<hex:32>\"",
        "acmeio_TOKEN ?= \"<hex:32>\"",
        "$acmeioToken .= \"<hex:32>\"",
        "'acme_io_key' => '<hex:32>',",
        "System.setProperty(\"ACME_IO_TOKEN\", \"<hex:32>\")",
        "<acmeIoToken>\n    <hex:32>\n</acmeIoToken>",
        "acme.io:\n  region: eu\n  api_key: <hex:32>\n",
        "#define ACME_IO_KEY \"<hex:32>\"",
        "client = AcmeIO(api_key=\"<hex:32>\")",
        "X-Acme-IO-Auth: Bearer <hex:32>",
        "acme_io = process.env.KEY || '<hex:32>'",
    ] {
        assert!(finds(text), "{text}");
    }
    for text in [
        "acme <hex:31>",
        "acme_io_key = <hex:33>",
        "api_key = <hex:32>",
        "acme_io is a service. See commit <hex:32>",
    ] {
        assert!(!finds(text), "{text}");
    }
}
