use super::*;

fn provider(catalog: &Catalog, host: &str, path: &str) -> Option<String> {
    catalog.lookup(host, path).map(|m| m.provider)
}

fn own(text: &str) -> Vec<(String, String)> {
    vec![("own.yaml".to_owned(), text.to_owned())]
}

#[test]
fn every_builtin_file_parses_and_the_whole_is_large() {
    for (name, text) in builtin::FILES {
        let parsed = parse::parse(text, name, false);
        assert!(parsed.is_ok(), "{:#?}", parsed.err());
    }
    let catalog = Catalog::builtin();
    let providers: HashSet<&str> = catalog.all().map(|e| e.provider.as_ref()).collect();
    let patterns: HashSet<String> = catalog.all().map(|e| e.pattern.to_string()).collect();
    assert!(providers.len() >= 600, "{} providers", providers.len());
    assert!(patterns.len() >= 1_500, "{} patterns", patterns.len());
    assert!(catalog.version().starts_with("20"), "{}", catalog.version());
    assert_ne!(catalog.digest(), [0; 32]);
}

#[test]
fn no_builtin_host_is_of_two_providers_or_classes() {
    let catalog = Catalog::builtin();
    let mut seen: HashMap<(String, Vec<String>), &Entry> = HashMap::new();
    for entry in catalog.all() {
        let key = (entry.pattern.to_string(), entry.paths.clone());
        if let Some(first) = seen.insert(key, entry) {
            panic!(
                "{} stands in {}:{} and {}:{}",
                entry.pattern, first.file, first.line, entry.file, entry.line
            );
        }
    }
}

#[test]
fn no_builtin_pattern_takes_a_cloud_or_a_company_of_another_trade() {
    let catalog = Catalog::builtin();
    for host in [
        "s3.eu-west-1.amazonaws.com",
        "bedrock.eu-west-1.amazonaws.com",
        "sts.amazonaws.com",
        "lambda.us-east-1.amazonaws.com",
        "api.sagemaker.us-east-1.amazonaws.com",
        "storage.googleapis.com",
        "oauth2.googleapis.com",
        "compute.googleapis.com",
        "www.google.com",
        "accounts.google.com",
        "drive.google.com",
        "login.microsoftonline.com",
        "management.azure.com",
        "acme.blob.core.windows.net",
        "acme.vault.azure.net",
        "outlook.office.com",
        "teams.microsoft.com",
        "oss-cn-hangzhou.aliyuncs.com",
        "ecs.cn-hangzhou.aliyuncs.com",
        "cvm.tencentcloudapi.com",
        "cos.ap-guangzhou.myqcloud.com",
        "iam.cloud.ibm.com",
        "storage.yandexcloud.net",
        "compute.api.cloud.yandex.net",
        "bos.bj.baidubce.com",
        "www.baidu.com",
        "tos-cn-beijing.volces.com",
        "obs.cn-north-4.myhuaweicloud.com",
        "objectstorage.eu-frankfurt-1.oraclecloud.com",
        "auth.openai.com",
        "status.openai.com",
        "cdn.openai.com",
        "docs.anthropic.com",
        "statsig.anthropic.com",
        "login.cursor.com",
        "copilot-telemetry.githubusercontent.com",
        "raw.githubusercontent.com",
        "github.com",
        "gitlab.com",
        "huggingface.co",
        "cdn-lfs.hf.co",
        "registry.ollama.ai",
        "update.tabnine.com",
        "unleash.codeium.com",
        "api.gemini.com",
        "notopenai.com",
        "openai.com.evil.example",
        "deepseeks.com",
        "pypi.org",
        "registry.npmjs.org",
        "browser-intake-datadoghq.com",
        "slack.com",
        "www.notion.so",
        "replicate.delivery",
    ] {
        assert!(!catalog.host_is_ai(host), "{host}");
        assert_eq!(provider(&catalog, host, "/"), None, "{host}");
    }
}

#[test]
fn names_providers_by_host() {
    let catalog = Catalog::builtin();
    let vertex = "/v1/projects/p/locations/l/publishers/google/models/m:generateContent";
    let cases = [
        ("api.openai.com", "/v1/chat/completions", Some("openai")),
        ("eu.api.openai.com", "/", Some("openai")),
        ("api.openai.com", "/v1/organization/usage", None),
        ("api.anthropic.com", "/v1/messages", Some("anthropic")),
        ("api.anthropic.com", "/api/event_logging/batch", None),
        (
            "resource.openai.azure.com",
            "/openai/v1/responses",
            Some("azure.ai.openai"),
        ),
        ("openai.azure.com", "/", Some("azure.ai.openai")),
        (
            "acme.cognitiveservices.azure.com",
            "/openai/v1/responses",
            Some("azure.ai.inference"),
        ),
        ("acme.cognitiveservices.azure.com", "/anomalydetector/v1", None),
        (
            "chat.swedencentral.models.ai.azure.com",
            "/v1/chat/completions",
            Some("azure.ai.inference"),
        ),
        (
            "bedrock-runtime.eu-west-1.amazonaws.com",
            "/model/x/invoke",
            Some("aws.bedrock"),
        ),
        (
            "bedrock-runtime.ap-south-2.amazonaws.com.cn",
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
        (
            "runtime.sagemaker.eu-west-3.amazonaws.com",
            "/endpoints/llm/invocations",
            Some("amazon_sagemaker"),
        ),
        ("runtime.sagemaker.eu-west-3.amazonaws.com", "/ping", None),
        (
            "europe-west4-aiplatform.googleapis.com",
            vertex,
            Some("gcp.vertex_ai"),
        ),
        (
            "europe-west4-aiplatform.googleapis.com",
            "/v1/x/trainingPipelines",
            None,
        ),
        (
            "eu-de.ml.cloud.ibm.com",
            "/ml/v1/text/chat",
            Some("ibm.watsonx.ai"),
        ),
        ("eu-de.ml.cloud.ibm.com", "/v2/instances", None),
        ("generativelanguage.googleapis.com", "/", Some("gcp.gemini")),
        (
            "ark.ap-southeast-7.volces.com",
            "/api/v3/chat/completions",
            Some("volcengine"),
        ),
        ("hunyuan.ap-singapore.tencentcloudapi.com", "/", Some("tencent")),
        (
            "1234567890.cn-shanghai.pai-eas.aliyuncs.com",
            "/api/predict/llm",
            Some("alibaba"),
        ),
        (
            "inference.generativeai.eu-frankfurt-1.oci.oraclecloud.com",
            "/20231130/actions/chat",
            Some("oracle_oci"),
        ),
        ("api.mistral.ai", "/v1/chat/completions", Some("mistral_ai")),
        ("api.x.ai", "/v1/responses", Some("x_ai")),
        ("github.com", "/copilot/chat", Some("github_copilot")),
        ("github.com", "/rust-lang/rust", None),
        ("sub.character.ai", "/chat", Some("character_ai")),
        ("eu-auth.character.ai", "/chat", None),
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
    let found = catalog.lookup("github.com", "/copilot/x").unwrap();
    assert!(found.by_path && found.class == Class::AiApp);
    let patterns = catalog.kernel_patterns();
    let exact = |name: &str| patterns.contains(&HostPattern::Exact(name.into()));
    let suffix = |name: &str| patterns.contains(&HostPattern::Suffix(name.into()));
    assert!(exact("api.openai.com") && suffix("openai.azure.com"));
    assert!(!exact("github.com") && !exact("huggingface.co") && !exact("auth.openai.com"));
    assert!(!suffix("openai.com"), "a domain is looked at more closely");
    assert!(!suffix("githubcopilot.com"), "telemetry is below it");
    assert!(patterns.len() >= 700, "{}", patterns.len());
    let room = observer_common::maps::HOSTS_MAX as usize;
    assert!(
        patterns.len() * 2 < room / 2,
        "half of the table is for the user's: {}",
        patterns.len()
    );
}

#[test]
fn services_around_ai_are_known_but_no_ai() {
    let catalog = Catalog::builtin();
    let found = catalog.explain("cloud.langfuse.com", "/api/public/ingestion");
    assert_eq!(found.standing, Standing::Related);
    assert_eq!(found.entry.unwrap().class, Class::Observability);
    assert_eq!(
        catalog.lookup("cloud.langfuse.com", "/api/public/ingestion"),
        None
    );
    assert_eq!(
        provider(&catalog, "api.pinecone.io", "/embed").as_deref(),
        Some("pinecone")
    );
    assert_eq!(provider(&catalog, "api.pinecone.io", "/indexes"), None);
}

#[test]
fn explanations_name_the_place_and_what_is_missing() {
    let catalog = Catalog::builtin();
    let found = catalog.explain("API.cloudflare.com.", "/client/v4/zones");
    let entry = found.entry.unwrap();
    assert_eq!(found.standing, Standing::NeedsPath);
    assert_eq!(
        (entry.provider.as_str(), entry.file.as_str()),
        ("cloudflare_workers_ai", "clouds.yaml")
    );
    assert!(
        entry.line > 1 && entry.paths.iter().any(|p| p == "*/ai/run"),
        "{entry:?}"
    );
    assert!(found.others.iter().any(|other| other.class == Class::VectorDb));
    let found = catalog.explain("docs-eu.cohere.com", "/");
    assert_eq!(
        (found.standing, found.service.as_deref()),
        (Standing::Other, Some("docs-eu"))
    );
    assert_eq!(catalog.explain("nobody.example", "/").standing, Standing::Unknown);
}

#[test]
fn a_port_tells_a_local_server_with_its_path() {
    let catalog = Catalog::builtin();
    let of = |host: &str, path: &str| {
        let found = catalog.explain(host, path);
        (found.standing, found.entry.map(|entry| entry.provider))
    };
    assert_eq!(
        of("localhost:11434", "/api/chat"),
        (Standing::Ai, Some("ollama".into()))
    );
    assert_eq!(
        of("127.0.0.1:11434", "/x"),
        (Standing::NeedsPath, Some("ollama".into()))
    );
    assert_eq!(
        of("10.0.0.8:8000", "/v2/models/m/infer"),
        (Standing::Ai, Some("triton".into()))
    );
    assert_eq!(of("localhost:4", "/api/chat"), (Standing::Unknown, None));
    assert_eq!(
        of("api.openai.com:443", "/"),
        (Standing::Ai, Some("openai".into()))
    );
}

#[test]
fn files_of_the_user_go_first_and_change_version_and_digest() {
    let before = Catalog::builtin();
    let text = "version: \"mine\"\nproviders:\n  - name: house\n    hosts: {llm-api: [\"*.llm.corp.example\"]}\n    \
                shared: [{host: api.openai.com, class: gateway, paths: [/house/]}]\n    other: [grok.com]\n";
    let catalog = before.clone().with_files(&own(text)).unwrap();
    assert_eq!(
        provider(&catalog, "a.llm.corp.example", "/").as_deref(),
        Some("house")
    );
    assert_eq!(
        provider(&catalog, "api.openai.com", "/house/x").as_deref(),
        Some("house")
    );
    assert_eq!(
        provider(&catalog, "api.openai.com", "/v1/responses").as_deref(),
        Some("openai")
    );
    assert!(before.host_is_ai("grok.com") && !catalog.host_is_ai("grok.com"));
    assert_ne!(
        (catalog.digest(), catalog.version()),
        (before.digest(), before.version())
    );
}

#[test]
fn one_pattern_for_two_providers_is_a_contradiction() {
    let two = |name: &str| {
        format!("version: \"1\"\nproviders:\n  - name: {name}\n    hosts: {{llm-api: [x.example]}}\n")
    };
    let files = vec![("a.yaml".to_owned(), two("a")), ("b.yaml".to_owned(), two("b"))];
    let problems = Catalog::builtin().with_files(&files).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    let said = problems[0].to_string();
    assert!(
        said.starts_with("b.yaml:4:") && said.contains("of `a` in a.yaml:4"),
        "{said}"
    );
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
                \"a.*.b\"]\n    colour: red\n  - hosts: {}\n  - name: b\n    shared:\n      - host: x.example\n    \
                domains: {ai-app: [\"*.y.example\"]}\n    ports: [{port: 70000, paths: [x]}]\n";
    let problems = Catalog::parse(text, "my.yaml").unwrap_err();
    let lines: Vec<usize> = problems.iter().map(|p| p.line).collect();
    assert_eq!(lines, [5, 6, 6, 7, 8, 11, 12, 13, 13], "{problems:#?}");
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
    for bad in ["com", "*.a.com", "a.*.b.com"] {
        assert!(Pattern::parse_domain(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_leading_star_takes_one_label_or_more_and_an_inner_one_exactly_one() {
    let fits = |pattern: &str, host: &str| match Pattern::parse(pattern).unwrap() {
        Pattern::Labels(labels) => pattern::labels_match(&labels, host),
        other => panic!("{other:?}"),
    };
    assert!(fits("*.x.*.a.com", "t.x.eu.a.com") && fits("*.x.*.a.com", "s.t.x.eu.a.com"));
    assert!(!fits("*.x.*.a.com", "x.eu.a.com") && !fits("*.x.*.a.com", "t.x.a.b.a.com"));
    assert!(
        fits("x-*.a.com", "x-eu.a.com")
            && !fits("x-*.a.com", "x-.a.com")
            && !fits("x-*.a.com", "y.x-eu.a.com")
    );
}

#[test]
fn providers_go_by_other_spellings() {
    let catalog = Catalog::builtin();
    for (spelling, provider) in [
        ("azure-openai", "azure.ai.openai"),
        ("google", "gcp.gemini"),
        ("google", "gcp.vertex_ai"),
        ("Mistral", "mistral_ai"),
        ("xAI", "x_ai"),
        ("together-ai", "together"),
        ("amazon-bedrock", "aws.bedrock"),
    ] {
        assert!(catalog.is_name_of(spelling, provider), "{spelling} {provider}");
    }
    assert!(!catalog.is_name_of("openai", "azure.ai.openai") && !catalog.is_name_of("google", "openai"));
}
