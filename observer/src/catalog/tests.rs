use super::*;

fn provider(catalog: &Catalog, host: &str, path: &str) -> Option<String> {
    catalog.lookup(host, path).map(|m| m.provider)
}

#[test]
fn builtin_parses_and_is_large() {
    let parsed = Catalog::parse(BUILTIN, "providers.yaml").expect("builtin catalogue");
    let hosts = parsed.exact.len() + parsed.suffix.len() + parsed.labels.len();
    assert!(hosts >= 150, "{hosts} hosts");
    assert!(!parsed.version().is_empty());
    assert_eq!(Catalog::builtin().digest(), parsed.digest());
    assert_ne!(parsed.digest(), [0; 32]);
}

#[test]
fn names_providers_by_host() {
    let catalog = Catalog::builtin();
    let cases = [
        ("api.openai.com", "/v1/chat/completions", Some("openai")),
        ("eu.api.openai.com", "/", Some("openai")),
        ("api.anthropic.com", "/v1/messages", Some("anthropic")),
        (
            "resource.openai.azure.com",
            "/openai/v1/responses",
            Some("azure.ai.openai"),
        ),
        ("openai.azure.com", "/", Some("azure.ai.openai")),
        (
            "bedrock-runtime.eu-west-1.amazonaws.com",
            "/model/x/invoke",
            Some("aws.bedrock"),
        ),
        ("bedrock-runtime.a.b.amazonaws.com", "/model/x/invoke", None),
        ("bedrock-runtime.amazonaws.com", "/", None),
        (
            "vpce-1.bedrock-runtime.eu-west-1.vpce.amazonaws.com",
            "/",
            Some("aws.bedrock"),
        ),
        ("s3.eu-west-1.amazonaws.com", "/", None),
        (
            "europe-west4-aiplatform.googleapis.com",
            "/v1/x:generateContent",
            Some("gcp.vertex_ai"),
        ),
        (
            "europe-west4-aiplatform.googleapis.com",
            "/v1/x/trainingPipelines",
            None,
        ),
        ("generativelanguage.googleapis.com", "/", Some("gcp.gemini")),
        ("storage.googleapis.com", "/", None),
        ("api.mistral.ai", "/v1/chat/completions", Some("mistral_ai")),
        ("api.x.ai", "/v1/responses", Some("x_ai")),
        ("github.com", "/copilot/chat", Some("github_copilot")),
        ("github.com", "/rust-lang/rust", None),
        ("notopenai.com", "/", None),
        ("api.gemini.com", "/", None),
    ];
    for (host, path, want) in cases {
        assert_eq!(provider(&catalog, host, path).as_deref(), want, "{host}{path}");
    }
}

#[test]
fn shared_hosts_are_neither_ai_by_name_nor_in_the_kernel_table() {
    let catalog = Catalog::builtin();
    assert!(catalog.host_is_ai("API.openai.com"));
    assert!(!catalog.host_is_ai("github.com"));
    assert!(catalog.host_is_shared("github.com"));
    assert!(!catalog.host_is_shared("example.com"));
    assert!(
        catalog
            .lookup("github.com", "/copilot/x")
            .is_some_and(|m| m.by_path)
    );
    let patterns = catalog.kernel_patterns();
    assert!(patterns.contains(&HostPattern::Exact("api.openai.com".into())));
    assert!(patterns.contains(&HostPattern::Suffix("openai.azure.com".into())));
    assert!(!patterns.contains(&HostPattern::Exact("github.com".into())));
    assert!(patterns.len() >= 150);
}

#[test]
fn extra_hosts_go_first_and_change_the_digest() {
    let catalog = Catalog::builtin();
    let before = catalog.digest();
    let hosts = vec![
        ("llm.corp.example".to_owned(), "house".to_owned()),
        ("*.openai.com".into(), "mine".into()),
    ];
    let catalog = catalog.with_extra_hosts(hosts).unwrap();
    assert_eq!(
        provider(&catalog, "llm.corp.example", "/x").as_deref(),
        Some("house")
    );
    assert_eq!(
        provider(&catalog, "new.openai.com", "/x").as_deref(),
        Some("mine")
    );
    assert_eq!(
        provider(&catalog, "api.openai.com", "/x").as_deref(),
        Some("openai"),
        "an exact name stays first"
    );
    assert_ne!(catalog.digest(), before);
    let bad = vec![
        ("*".to_owned(), "a".to_owned()),
        ("ok.example".into(), String::new()),
        ("a b".into(), "c".into()),
    ];
    let problems = Catalog::builtin().with_extra_hosts(bad).unwrap_err();
    assert_eq!(problems.iter().map(|p| p.line).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn all_problems_come_at_once_with_their_lines() {
    let text = "version: 7\nproviders:\n  - name: a\n    hosts:\n      llm-apis: [x.example]\n      llm-api: [\"*\", \
                \"a.*.b\"]\n    colour: red\n  - hosts: {}\n  - name: b\n    shared:\n      - host: x.example\n";
    let problems = Catalog::parse(text, "my.yaml").unwrap_err();
    let lines: Vec<usize> = problems.iter().map(|p| p.line).collect();
    assert_eq!(lines, [5, 6, 6, 7, 8, 11], "{problems:#?}");
    assert!(
        problems[0]
            .to_string()
            .starts_with("my.yaml:5:7: unknown key `llm-apis`")
    );
    let broken = Catalog::parse("version: \"1\n", "my.yaml").unwrap_err();
    assert_eq!((broken.len(), broken[0].file.as_str()), (1, "my.yaml"));
}

#[test]
fn patterns_over_too_much_are_refused() {
    for bad in [
        "*.com", "*", "a.*", "*.*", "a.*.com", "**.a.com", "", "a..b", "a/b.com",
    ] {
        assert!(Pattern::parse(bad).is_err(), "{bad}");
    }
    for good in ["a", "a.com", "*.a.com", "x.*.a.com", "*-x.a.com", "*.x.*.a.com"] {
        assert!(Pattern::parse(good).is_ok(), "{good}");
    }
}
