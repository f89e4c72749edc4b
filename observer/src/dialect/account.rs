//! Whose account a request uses: the key it carries, and what it says of organisation, project and person.
//!
//! A key proves that its holder has it. All else in a request is a claim: a token is not verified here, and anybody can write
//! any header. What the service names in its answer is not the client's word.

use serde_json::Value;

use crate::exchange::{Account, AccountKind, Claim, ClaimSource, Credential};
use crate::protocol::{Fields, RequestHead};

/// Longest credential kept.
pub(super) const MAX_CREDENTIAL: usize = 8 * 1024;
/// Longest identifier kept.
const MAX_ID: usize = 128;
/// Header fields that carry a key as they stand.
const KEY_FIELDS: &[&str] = &[
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "ocp-apim-subscription-key",
    "xi-api-key",
];
/// Header fields in which a client names its organisation, and those in which it names a project.
const ORGANIZATION_FIELDS: &[&str] = &[
    "openai-organization",
    "anthropic-organization-id",
    "x-organization-id",
];
const PROJECT_FIELDS: &[&str] = &["openai-project", "x-goog-user-project"];
/// Beginnings of tokens that were issued to a person or program for a time (OAuth), unlike keys.
const OAUTH_PREFIXES: &[&[u8]] = &[b"ya29.", b"gho_", b"ghu_", b"ghs_", b"sk-ant-oat", b"tid="];
/// Host names of Azure whose first part is the customer's resource.
const AZURE_SUFFIXES: &[&str] = &[
    ".openai.azure.com",
    ".cognitiveservices.azure.com",
    ".services.ai.azure.com",
];

/// The credential of a request, and what kind it is.
pub(super) fn credential(head: &RequestHead) -> Option<(Credential, AccountKind)> {
    let of_field = |name: &&str| head.fields.all(name).next().map(<[u8]>::to_vec);
    let key = KEY_FIELDS
        .iter()
        .find_map(of_field)
        .map(|key| (key, AccountKind::ApiKey));
    let authorization = || head.fields.all("authorization").next().and_then(authorization);
    let parameter = |name: &str| {
        let value = head.query.split('&').find_map(|pair| pair.strip_prefix(name))?;
        Some(value.as_bytes().to_vec())
    };
    let found = key
        .or_else(authorization)
        .or_else(|| parameter("key=").map(|key| (key, AccountKind::ApiKey)))
        .or_else(|| parameter("X-Amz-Credential=").and_then(|value| aws_key(&value, b"%2F")));
    found
        .filter(|(key, _)| !key.is_empty() && key.len() <= MAX_CREDENTIAL)
        .map(|(key, kind)| (Credential(key), kind))
}

fn authorization(value: &[u8]) -> Option<(Vec<u8>, AccountKind)> {
    let value = value.trim_ascii();
    let Some(at) = value.iter().position(|b| *b == b' ') else {
        // A key as it stands (AssemblyAI).
        return Some((value.to_vec(), AccountKind::ApiKey));
    };
    let (scheme, rest) = (value[..at].to_ascii_lowercase(), value[at..].trim_ascii());
    match scheme.as_slice() {
        b"bearer" => Some((rest.to_vec(), kind_of_token(rest))),
        b"basic" => Some((rest.to_vec(), AccountKind::Basic)),
        b"token" | b"key" | b"api-key" => Some((rest.to_vec(), AccountKind::ApiKey)),
        b"aws4-hmac-sha256" => {
            let parts = rest.split(|b| *b == b',').map(<[u8]>::trim_ascii);
            let credential = parts
                .filter_map(|part| part.strip_prefix(b"Credential="))
                .next()?;
            aws_key(credential, b"/")
        }
        _ => None,
    }
}

fn kind_of_token(token: &[u8]) -> AccountKind {
    if OAUTH_PREFIXES.iter().any(|prefix| token.starts_with(prefix)) {
        AccountKind::OauthToken
    } else if claims(token).is_some() {
        AccountKind::Jwt
    } else {
        AccountKind::ApiKey
    }
}

/// Access key id in a credential of AWS: `AKIA.../date/region/service/aws4_request`.
fn aws_key(credential: &[u8], separator: &[u8]) -> Option<(Vec<u8>, AccountKind)> {
    let end = credential
        .windows(separator.len())
        .position(|part| part == separator)?;
    let id = &credential[..end];
    let is_id = (16..=128).contains(&id.len()) && id.iter().all(u8::is_ascii_alphanumeric);
    is_id.then(|| (id.to_vec(), AccountKind::AwsAccessKey))
}

/// The payload of a JSON web token (RFC 7519), unverified. `None` where it is not one.
fn claims(token: &[u8]) -> Option<Value> {
    use base64::Engine as _;
    let text = std::str::from_utf8(token)
        .ok()
        .filter(|text| text.len() <= MAX_CREDENTIAL)?;
    let mut parts = text.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !text.starts_with("ey") {
        return None;
    }
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let json = engine.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&json).ok()?;
    claims.is_object().then_some(claims)
}

/// What is known of the account of this request; `named` is what the service called it.
pub(super) fn account(
    head: &RequestHead,
    credential: Option<&(Credential, AccountKind)>,
    named: Option<String>,
) -> Account {
    let mut account = Account {
        kind: credential.map(|(_, kind)| *kind),
        ..Account::default()
    };
    if let Some((Credential(token), kind)) = credential {
        match kind {
            AccountKind::Jwt => of_token(&mut account, token),
            AccountKind::OauthToken => of_copilot(&mut account, token),
            _ => {}
        }
    }
    let field = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| head.fields.get(name))
            .and_then(|text| id(&text))
    };
    let claim = |value: String| Claim {
        value,
        source: ClaimSource::Client,
    };
    if let Some(of_chatgpt) = field(&["chatgpt-account-id"]) {
        account.kind = Some(AccountKind::ChatgptAccount);
        account.stable_id = Some(Credential(of_chatgpt.into_bytes()));
    }
    if let Some(organization) = field(ORGANIZATION_FIELDS) {
        account.organization = Some(claim(organization));
    }
    if let Some(project) = field(PROJECT_FIELDS) {
        account.project = Some(claim(project));
    }
    of_address(&mut account, head);
    if let Some(named) = named.and_then(|text| id(&text)) {
        account.organization = Some(Claim {
            value: named,
            source: ClaimSource::Service,
        });
    }
    account
}

/// Organisation as a service names it in the head of its answer.
pub(super) fn named_by_service(fields: &Fields) -> Option<String> {
    ["openai-organization", "anthropic-organization-id"]
        .iter()
        .find_map(|name| fields.get(name))
}

/// Resource and deployment of Azure stand in the address: a key is good for that resource only.
fn of_address(account: &mut Account, head: &RequestHead) {
    let resource = AZURE_SUFFIXES
        .iter()
        .find_map(|suffix| head.host.strip_suffix(suffix));
    let Some(resource) = resource.and_then(id) else {
        return;
    };
    let of_address = |value| Claim {
        value,
        source: ClaimSource::Address,
    };
    account.organization = Some(of_address(resource));
    let mut parts = head
        .path
        .split('/')
        .skip_while(|part| *part != "deployments")
        .skip(1);
    if let Some(deployment) = parts.next().and_then(id) {
        account.project = Some(of_address(deployment));
    }
}

fn of_token(account: &mut Account, token: &[u8]) {
    let Some(claims) = claims(token) else { return };
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).and_then(id);
    account.issuer = text(&claims, "iss");
    let subject = text(&claims, "sub").or_else(|| text(&claims, "oid"));
    if let Some(subject) = &subject {
        let issuer = account.issuer.as_deref().unwrap_or_default();
        account.stable_id = Some(Credential(format!("{issuer}|{subject}").into_bytes()));
    }
    // A mail address names a person: only its keyed hash is kept.
    account.subject = subject.filter(|subject| !subject.contains('@'));
    let openai = claims.get("https://api.openai.com/auth").unwrap_or(&Value::Null);
    account.plan = text(openai, "chatgpt_plan_type");
    let organization = ["tid", "hd", "org_id", "organization_id"]
        .iter()
        .find_map(|name| text(&claims, name));
    account.organization = organization
        .or_else(|| text(openai, "organization_id"))
        .map(|value| Claim {
            value,
            source: ClaimSource::Client,
        });
}

/// GitHub Copilot's token is a list `tid=...;exp=...;sku=...`: its `tid` stays while the token changes.
fn of_copilot(account: &mut Account, token: &[u8]) {
    let Ok(text) = std::str::from_utf8(token) else {
        return;
    };
    if !text.starts_with("tid=") {
        return;
    }
    let value = |name: &str| {
        let part = text.split(';').find_map(|part| part.strip_prefix(name));
        part.and_then(|part| id(part.split(':').next().unwrap_or_default()))
    };
    account.kind = Some(AccountKind::CopilotAccount);
    account.stable_id = value("tid=").map(|tid| Credential(tid.into_bytes()));
    account.plan = value("sku=");
}

/// An identifier as it may be kept: bounded, one word, no control characters.
fn id(text: &str) -> Option<String> {
    let text = text.trim();
    let fits =
        (1..=MAX_ID).contains(&text.len()) && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    fn head(host: &str, path: &str, query: &str, fields: &[(&str, &str)]) -> RequestHead {
        RequestHead {
            host: host.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            fields: Fields(
                fields
                    .iter()
                    .map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec()))
                    .collect(),
            ),
            ..RequestHead::default()
        }
    }

    fn of(head: &RequestHead) -> (Option<Vec<u8>>, Account) {
        let found = credential(head);
        let account = account(head, found.as_ref(), None);
        (found.map(|(key, _)| key.0), account)
    }

    fn token(payload: &str) -> String {
        let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        format!(
            "{}.{}.{}",
            part(r#"{"alg":"none"}"#),
            part(payload),
            part("no signature")
        )
    }

    /// Query, fields, the credential and its kind.
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, Option<AccountKind>);

    #[test]
    fn keys_in_all_their_places() {
        let aws = "AWS4-HMAC-SHA256 Credential=AKIAMADEUPEXAMPLE000/20261129/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=ab";
        let cases: [Case<'_>; 11] = [
            ("", &[("x-api-key", "k1")], "k1", Some(AccountKind::ApiKey)),
            ("", &[("xi-api-key", "k1")], "k1", Some(AccountKind::ApiKey)),
            (
                "",
                &[("authorization", "Bearer  k2 ")],
                "k2",
                Some(AccountKind::ApiKey),
            ),
            (
                "",
                &[("authorization", "token k3")],
                "k3",
                Some(AccountKind::ApiKey),
            ),
            ("", &[("authorization", "k4")], "k4", Some(AccountKind::ApiKey)),
            (
                "",
                &[("authorization", "Basic dTpw")],
                "dTpw",
                Some(AccountKind::Basic),
            ),
            (
                "",
                &[("authorization", "Bearer ya29.x")],
                "ya29.x",
                Some(AccountKind::OauthToken),
            ),
            (
                "",
                &[("authorization", aws)],
                "AKIAMADEUPEXAMPLE000",
                Some(AccountKind::AwsAccessKey),
            ),
            ("a=b&key=k5", &[], "k5", Some(AccountKind::ApiKey)),
            (
                "X-Amz-Credential=ASIAMADEUPEXAMPLE000%2F20261129%2Fus",
                &[],
                "ASIAMADEUPEXAMPLE000",
                Some(AccountKind::AwsAccessKey),
            ),
            ("", &[("authorization", "Negotiate abc")], "", None),
        ];
        for (query, fields, wanted, kind) in cases {
            let (key, account) = of(&head("h", "/", query, fields));
            assert_eq!(key.unwrap_or_default(), wanted.as_bytes(), "{query} {fields:?}");
            assert_eq!(account.kind, kind, "{query} {fields:?}");
        }
        let long = "x".repeat(MAX_CREDENTIAL + 1);
        assert_eq!(of(&head("h", "/", "", &[("x-api-key", &long)])).0, None);
    }

    #[test]
    fn a_token_names_its_subject_as_a_claim() {
        let payload = r#"{"iss":"https://auth.openai.com","sub":"auth0|7","tid":"tenant","https://api.openai.com/auth":{"chatgpt_plan_type":"plus"}}"#;
        let bearer = format!("Bearer {}", token(payload));
        let (_, account) = of(&head("h", "/", "", &[("authorization", &bearer)]));
        assert_eq!(account.kind, Some(AccountKind::Jwt));
        assert_eq!(account.issuer.as_deref(), Some("https://auth.openai.com"));
        assert_eq!(account.subject.as_deref(), Some("auth0|7"));
        assert_eq!(account.plan.as_deref(), Some("plus"));
        assert_eq!(
            account.stable_id.as_ref().unwrap().0,
            b"https://auth.openai.com|auth0|7"
        );
        let organization = account.organization.unwrap();
        assert_eq!(
            (organization.value.as_str(), organization.source),
            ("tenant", ClaimSource::Client)
        );
    }

    #[test]
    fn a_mail_address_is_not_kept_in_clear() {
        let bearer = format!("Bearer {}", token(r#"{"sub":"a@example.com"}"#));
        let (_, account) = of(&head("h", "/", "", &[("authorization", &bearer)]));
        assert_eq!(account.subject, None);
        assert!(account.stable_id.is_some());
        assert!(!format!("{account:?}").contains("example.com"));
    }

    #[test]
    fn tokens_that_are_none_are_keys() {
        let cut = token(r#"{"sub":"x"}"#);
        for text in [
            "ey",
            "ey..",
            "a.b.c",
            "eyJ.!!.x",
            &cut[..cut.len() / 2],
            "ey.W10.x",
            "eyA.bnVsbA.c.d",
        ] {
            let bearer = format!("Bearer {text}");
            let (_, account) = of(&head("h", "/", "", &[("authorization", &bearer)]));
            assert_eq!(
                (account.kind, account.subject),
                (Some(AccountKind::ApiKey), None),
                "{text}"
            );
        }
        let deep = format!("Bearer {}", token(&"[".repeat(4_000)));
        assert_eq!(
            of(&head("h", "/", "", &[("authorization", &deep)])).1.kind,
            Some(AccountKind::ApiKey)
        );
    }

    #[test]
    fn organisations_projects_deployments_and_accounts() {
        let (_, account) = of(&head(
            "api.openai.com",
            "/v1/responses",
            "",
            &[
                ("authorization", "Bearer k"),
                ("openai-organization", "org-1"),
                ("openai-project", "proj_2"),
            ],
        ));
        assert_eq!(account.organization.unwrap().value, "org-1");
        assert_eq!(account.project.unwrap().source, ClaimSource::Client);
        let (_, azure) = of(&head(
            "corp.openai.azure.com",
            "/openai/deployments/gpt4/chat/completions",
            "",
            &[("api-key", "k")],
        ));
        let parts = |claim: Option<Claim>| claim.map(|c| (c.value, c.source)).unwrap();
        assert_eq!(
            parts(azure.organization),
            ("corp".to_owned(), ClaimSource::Address)
        );
        assert_eq!(parts(azure.project), ("gpt4".to_owned(), ClaimSource::Address));
        let (_, chatgpt) = of(&head(
            "chatgpt.com",
            "/",
            "",
            &[("authorization", "Bearer t"), ("chatgpt-account-id", "u-1")],
        ));
        assert_eq!(
            (chatgpt.kind, chatgpt.stable_id.unwrap().0),
            (Some(AccountKind::ChatgptAccount), b"u-1".to_vec())
        );
        let copilot = "Bearer tid=abc123;exp=1;sku=copilot_business_seat;x=y:sig";
        let (_, copilot) = of(&head(
            "api.githubcopilot.com",
            "/",
            "",
            &[("authorization", copilot)],
        ));
        assert_eq!(copilot.kind, Some(AccountKind::CopilotAccount));
        assert_eq!(copilot.stable_id.unwrap().0, b"abc123");
        assert_eq!(copilot.plan.as_deref(), Some("copilot_business_seat"));
        let (_, odd) = of(&head(
            "h",
            "/",
            "",
            &[("openai-organization", "two words"), ("openai-project", "")],
        ));
        assert_eq!((odd.organization, odd.project), (None, None));
    }

    #[test]
    fn what_the_service_says_counts_before_what_the_client_says() {
        let head = head("h", "/", "", &[("openai-organization", "org-claimed")]);
        let account = account(&head, None, Some("org-real".to_owned()));
        let organization = account.organization.unwrap();
        assert_eq!(
            (organization.value.as_str(), organization.source),
            ("org-real", ClaimSource::Service)
        );
    }
}
