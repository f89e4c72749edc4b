//! What kind of error an answer states: one closed list of words over all vendors.

/// Bytes of an error's message that are looked at.
pub(super) const MAX_MESSAGE: usize = 512;

/// The kind of an error: from what its type, code and message say, else from the status.
///
/// `words`: error type and code as the provider writes them. `message`: the beginning of its text, in clear, which is
/// looked at here and nowhere kept. Gives one of the words of `docs/schema.md`.
pub(super) fn class(status: Option<u16>, words: &[&str], message: &[u8]) -> &'static str {
    let words = words.join(" ").to_ascii_lowercase();
    let text = String::from_utf8_lossy(message).to_ascii_lowercase();
    let says = |any: &[&str]| any.iter().any(|word| words.contains(word));
    let tells = |any: &[&str]| any.iter().any(|word| text.contains(word));
    let specific = SPECIFIC
        .iter()
        .find(|(_, in_words, in_text)| says(in_words) || tells(in_text));
    if let Some((class, ..)) = specific {
        return class;
    }
    if let Some(class) = by_code(&words) {
        return class;
    }
    let by_status = status.filter(|status| *status >= 400).and_then(by_status);
    let general = || {
        GENERAL
            .iter()
            .find(|(_, in_words)| says(in_words))
            .map(|(class, _)| *class)
    };
    by_status.or_else(general).unwrap_or("other")
}

/// Kinds that a status does not tell apart: words of type and code, and words of the message.
const SPECIFIC: &[(&str, &[&str], &[&str])] = &[
    (
        "context_length",
        &[
            "context_length",
            "string_above_max_length",
            "context_window",
            "model_max_length",
        ],
        &[
            "context length",
            "context window",
            "maximum context",
            "prompt is too long",
            "input is too long",
            "too many input tokens",
            "input token count",
            "exceeds the maximum number of tokens",
            "reduce the length of",
        ],
    ),
    (
        "content_policy",
        &[
            "content_filter",
            "content_policy",
            "responsibleai",
            "moderation",
            "guardrail",
            "safety",
            "prohibited_content",
            "image_generation_user_error",
        ],
        &[
            "content management policy",
            "safety system",
            "content policy",
            "usage policies",
        ],
    ),
    (
        "quota_exceeded",
        &[
            "insufficient_quota",
            "quota_exceeded",
            "billing",
            "insufficient_balance",
            "credits",
            "usage_limit",
            "payment",
        ],
        &[
            "credit balance",
            "exceeded your current quota",
            "insufficient balance",
            "insufficient credit",
            "more credits",
            "monthly usage limit",
        ],
    ),
    ("tool_error", &["tool_error"], &[]),
    (
        "rate_limited",
        &[
            "rate_limit",
            "ratelimit",
            "throttl",
            "toomanyrequests",
            "too_many_requests",
            "resource_exhausted",
        ],
        &["rate limit", "too many requests"],
    ),
    (
        "overloaded",
        &[
            "overloaded",
            "unavailable",
            "modelnotready",
            "over_capacity",
            "engine_overloaded",
        ],
        &["overloaded", "over capacity", "high demand"],
    ),
    (
        "authentication",
        &[
            "authentication",
            "unauthenticated",
            "invalid_api_key",
            "invalid_x_api_key",
            "unrecognizedclient",
            "expiredtoken",
            "invalidsignature",
            "api_key_invalid",
            "unauthorized",
        ],
        &[
            "api key not valid",
            "invalid api key",
            "incorrect api key",
            "security token",
        ],
    ),
    ("timeout", &["timeout", "timed_out", "deadline_exceeded"], &[]),
    ("cancelled", &["cancel"], &[]),
    (
        "not_found",
        &["model_not_found", "not_found", "notfound", "deploymentnotfound"],
        &[],
    ),
    (
        "permission",
        &[
            "permission",
            "access_denied",
            "accessdenied",
            "forbidden",
            "unsupported_country",
        ],
        &[],
    ),
];

/// Codes of JSON-RPC 2.0 and of MCP.
fn by_code(words: &str) -> Option<&'static str> {
    let code = words.split(' ').find(|word| word.starts_with('-'))?;
    Some(match code {
        "-32601" | "-32001" | "-32002" => "not_found",
        "-32603" | "-32000" => "server_error",
        _ => "invalid_request",
    })
}

/// Words that count only where the status says nothing: many vendors use them for everything.
const GENERAL: &[(&str, &[&str])] = &[
    ("too_large", &["too_large"]),
    (
        "invalid_request",
        &[
            "invalid",
            "validation",
            "bad_request",
            "badrequest",
            "unprocessable",
            "out_of_range",
        ],
    ),
    (
        "server_error",
        &["internal", "server_error", "api_error", "modelerror", "unknown"],
    ),
];

fn by_status(status: u16) -> Option<&'static str> {
    Some(match status {
        401 => "authentication",
        402 => "quota_exceeded",
        403 => "permission",
        404 | 410 => "not_found",
        408 | 504 => "timeout",
        413 => "too_large",
        429 => "rate_limited",
        499 => "cancelled",
        503 | 529 => "overloaded",
        400..500 => "invalid_request",
        500..600 => "server_error",
        _ => return None,
    })
}

/// Whether a request that ended so is likely to be asked again: what clients retry (RFC 9110 section 9.2.2, and the
/// practice of the vendors' SDKs).
pub(crate) fn is_transient(status: Option<u16>, class: &str) -> bool {
    match status {
        None => true,
        Some(408 | 409 | 425 | 429) => true,
        Some(status) if status >= 500 => true,
        // Inside a stream that began well, or before a token is renewed.
        _ => matches!(
            class,
            "rate_limited" | "overloaded" | "timeout" | "server_error" | "authentication"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_real_errors() {
        let cases: &[(Option<u16>, &[&str], &str, &str)] = &[
            (Some(429), &["insufficient_quota"], "", "quota_exceeded"),
            (
                Some(429),
                &["requests", "rate_limit_exceeded"],
                "",
                "rate_limited",
            ),
            (
                Some(400),
                &["invalid_request_error", "context_length_exceeded"],
                "",
                "context_length",
            ),
            (
                Some(400),
                &["invalid_request_error"],
                "prompt is too long: 210000 tokens",
                "context_length",
            ),
            (
                Some(400),
                &["invalid_request_error"],
                "Your credit balance is too low",
                "quota_exceeded",
            ),
            (
                Some(400),
                &["invalid_request_error"],
                "temperature: too high",
                "invalid_request",
            ),
            (Some(529), &["overloaded_error"], "", "overloaded"),
            (Some(200), &["overloaded_error"], "", "overloaded"),
            (
                Some(400),
                &["INVALID_ARGUMENT"],
                "API key not valid.",
                "authentication",
            ),
            (
                Some(401),
                &["invalid_request_error", "invalid_api_key"],
                "",
                "authentication",
            ),
            (Some(404), &["DeploymentNotFound"], "", "not_found"),
            (Some(400), &["ThrottlingException"], "", "rate_limited"),
            (Some(400), &["content_filter"], "", "content_policy"),
            (Some(500), &["api_error"], "", "server_error"),
            (Some(200), &["api_error"], "", "server_error"),
            (Some(200), &["invalid_argument"], "", "invalid_request"),
            (Some(504), &["504"], "", "timeout"),
            (Some(413), &["request_too_large"], "", "too_large"),
            (None, &["strange"], "", "other"),
        ];
        for (status, words, message, want) in cases {
            assert_eq!(
                class(*status, words, message.as_bytes()),
                *want,
                "{words:?} {message}"
            );
        }
    }

    #[test]
    fn what_is_asked_again() {
        assert!(is_transient(None, "") && is_transient(Some(429), "") && is_transient(Some(529), ""));
        assert!(is_transient(Some(200), "overloaded"));
        assert!(!is_transient(Some(400), "invalid_request") && !is_transient(Some(200), ""));
    }
}
