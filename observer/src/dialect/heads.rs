//! Facts that stand in the heads of a call: counts of Bedrock, limits, numbers of requests and sessions, attempts.

use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

use super::response::error_word;
use super::{account, rpc};
use crate::exchange::{Attempt, RateLimit, RateLimits, Ties, Usage};
use crate::protocol::{Fields, grpc};

/// Longest identifier kept.
const MAX_ID: usize = 128;
/// Response fields with the server's number of the request, best first.
const REQUEST_IDS: &[&str] = &[
    "x-request-id",
    "request-id",
    "x-amzn-requestid",
    "apim-request-id",
    "x-ms-request-id",
    "x-ms-client-request-id",
    "mistral-correlation-id",
    "x-debug-trace-id",
    "x-global-transaction-id",
    "nvcf-reqid",
    "x-github-request-id",
    "x-cloudaicompanion-trace-id",
    "x-correlation-id",
    "dg-request-id",
    "x-fal-request-id",
    "x-litellm-call-id",
    "cf-aig-log-id",
    "cf-ray",
];
/// Request fields with the client's number of the request, best first.
const CLIENT_REQUEST_IDS: &[&str] = &[
    "x-request-id",
    "x-client-request-id",
    "x-litellm-call-id",
    "x-correlation-id",
    "request-id",
    "x-ms-client-request-id",
];
/// Request fields that name a conversation or session of the client.
const SESSIONS: &[&str] = &[
    "x-claude-code-session-id",
    "conversation-id",
    "conversation_id",
    "thread-id",
    "thread_id",
    "session-id",
    "session_id",
    "x-session-id",
    "x-conversation-id",
    "x-amzn-bedrock-agentcore-runtime-session-id",
    "x-opencode-session",
    "vscode-sessionid",
    "x-interaction-id",
    "x-grok-conv-id",
    "x-kilocode-taskid",
    "x-litellm-session-id",
    "helicone-session-id",
];

/// Facts that stand in the head of a response.
#[derive(Debug, Default)]
pub(super) struct HeadFacts {
    pub(super) usage: Usage,
    pub(super) error: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) rate_limits: RateLimits,
    /// Session that the server opened, and version that it speaks (MCP).
    pub(super) session: Option<String>,
    pub(super) version: Option<String>,
    /// Organisation as the service names it.
    pub(super) organization: Option<String>,
}

impl HeadFacts {
    pub(super) fn of(fields: &Fields) -> Self {
        let number = |name: &str| fields.get(name)?.trim().parse().ok();
        let count = |name: &str| number(&format!("x-amzn-bedrock-{name}-token-count"));
        let error = fields.get("x-amzn-errortype").or_else(|| grpc_error(fields));
        let word = |text: String| {
            text.split(':')
                .next()
                .and_then(|word| error_word(word.to_owned()))
        };
        Self {
            usage: Usage {
                // TGI says it in the head.
                input_tokens: count("input").or_else(|| number("x-prompt-tokens")),
                output_tokens: count("output").or_else(|| number("x-generated-tokens")),
                cache_read_input_tokens: count("cache-read-input"),
                cache_creation_input_tokens: count("cache-write-input"),
                ..Usage::default()
            },
            error: error.and_then(word).filter(|word| !word.is_empty()),
            request_id: REQUEST_IDS.iter().find_map(|name| id(fields, name)),
            rate_limits: rate_limits(fields),
            session: rpc::session(fields),
            version: rpc::version(fields),
            organization: account::named_by_service(fields),
        }
    }

    /// What stands behind the body (gRPC).
    pub(super) fn trailers(&mut self, fields: &Fields) {
        self.error = grpc_error(fields).or(self.error.take());
    }
}

/// How a call of gRPC failed, where its status says so.
fn grpc_error(fields: &Fields) -> Option<String> {
    let status = fields.get("grpc-status")?;
    grpc::status_name(status.trim()).map(str::to_owned)
}

/// What the head of a request says of other calls that it is a part of.
pub(super) fn ties(fields: &Fields) -> Ties {
    Ties {
        trace: fields.get("traceparent").and_then(|value| trace(&value)),
        request: CLIENT_REQUEST_IDS.iter().find_map(|name| id(fields, name)),
        prompt: None,
        turns: Vec::new(),
    }
}

/// Trace of a `traceparent` (W3C Trace Context section 3.2): version, trace, parent, flags. A trace of zeros is none.
fn trace(value: &str) -> Option<String> {
    let mut parts = value.trim().split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let is_hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let fits = version.len() == 2 && trace.len() == 32 && is_hex(version) && is_hex(trace);
    (fits && parts.next().is_some() && trace.bytes().any(|b| b != b'0')).then(|| trace.to_owned())
}

/// A field that holds an identifier, if it is one.
pub(super) fn id(fields: &Fields, name: &str) -> Option<String> {
    fields.get(name).and_then(|value| identifier(value.trim()))
}

/// An identifier as it may be stored: short, and without anything that a sentence has.
pub(super) fn identifier(text: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/=+~|".contains(&b);
    ((1..=MAX_ID).contains(&text.len()) && text.bytes().all(plain)).then(|| text.to_owned())
}

/// Whether a text stands where an identifier should, and may not be stored as one.
pub(super) fn is_no_identifier(text: &str) -> bool {
    !text.is_empty() && identifier(text).is_none()
}

/// Conversation or session that the head of a request names.
pub(super) fn session(fields: &Fields) -> Option<String> {
    SESSIONS.iter().find_map(|name| id(fields, name))
}

/// What the head of a request says of attempts: SDKs made by Stainless count those before (`x-stainless-retry-count`),
/// those of AWS number the attempt (`amz-sdk-request: attempt=2; max=3`) and the request.
pub(super) fn attempt(fields: &Fields, fingerprint: Option<u64>) -> Attempt {
    let before: Option<u16> = fields
        .get("x-stainless-retry-count")
        .and_then(|count| count.trim().parse().ok());
    let aws = fields.get("amz-sdk-request").and_then(|value| {
        let mut parts = value.split(';').map(str::trim);
        parts.find_map(|part| part.strip_prefix("attempt="))?.parse().ok()
    });
    Attempt {
        fingerprint,
        stated: before.map(|count| count.saturating_add(1)).or(aws),
        invocation: id(fields, "amz-sdk-invocation-id"),
    }
}

/// Limits that the head of a response states. Names and forms differ: a duration with units (OpenAI, Groq), a number
/// of seconds (Azure, RFC 9110), a point in time (Anthropic). A point in time counts from the answer's own `Date`.
fn rate_limits(fields: &Fields) -> RateLimits {
    let now = fields.get("date").and_then(|text| date(&text));
    let of = |names: &[[&str; 3]]| {
        let stated = names.iter().map(|[limit, remaining, reset]| RateLimit {
            limit: fields.get(limit).and_then(|text| whole(&text)),
            remaining: fields.get(remaining).and_then(|text| whole(&text)),
            reset_ms: fields.get(reset).and_then(|text| wait_ms(&text, now)),
        });
        let mut found = stated.filter(|limit| limit.limit.is_some() || limit.remaining.is_some());
        found.next()
    };
    RateLimits {
        requests: of(REQUEST_LIMITS)
            .or_else(|| structured_limit(fields))
            .unwrap_or_default(),
        tokens: of(TOKEN_LIMITS).unwrap_or_default(),
        retry_after_ms: fields
            .get("retry-after-ms")
            .and_then(|text| whole(&text))
            .or_else(|| wait_ms(&fields.get("retry-after")?, now)),
    }
}

/// The limit in one field, as the drafts of the IETF have it: `limit=100, remaining=50, reset=30`, later
/// `"default";r=50;t=30` beside `RateLimit-Policy: "default";q=100;w=60`. Seconds.
fn structured_limit(fields: &Fields) -> Option<RateLimit> {
    let (stated, policy) = (fields.get("ratelimit")?, fields.get("ratelimit-policy"));
    let value = |text: &str, name: &str| {
        let pairs = text
            .split([',', ';'])
            .filter_map(|part| part.trim().split_once('='));
        pairs
            .filter(|(key, _)| *key == name)
            .find_map(|(_, value)| whole(value))
    };
    let either = |long, short| value(&stated, long).or_else(|| value(&stated, short));
    Some(RateLimit {
        limit: value(&stated, "limit").or_else(|| value(policy.as_deref()?, "q")),
        remaining: either("remaining", "r"),
        reset_ms: either("reset", "t").map(|seconds| seconds.saturating_mul(1_000)),
    })
}

/// Fields of limit, remaining and reset, the usual ones first.
const REQUEST_LIMITS: &[[&str; 3]] = &[
    [
        "x-ratelimit-limit-requests",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests",
    ],
    [
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-requests-reset",
    ],
    [
        "x-ratelimit-limit-req-minute",
        "x-ratelimit-remaining-req-minute",
        "x-ratelimit-reset-req-minute",
    ],
    [
        "x-ratelimit-limit-requests-minute",
        "x-ratelimit-remaining-requests-minute",
        "x-ratelimit-reset-requests-minute",
    ],
    [
        "x-ratelimit-limit-requests-day",
        "x-ratelimit-remaining-requests-day",
        "x-ratelimit-reset-requests-day",
    ],
    ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"],
    ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"],
];
const TOKEN_LIMITS: &[[&str; 3]] = &[
    [
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-tokens",
    ],
    [
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
    ],
    [
        "anthropic-ratelimit-input-tokens-limit",
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-input-tokens-reset",
    ],
    [
        "x-ratelimit-limit-tokens-minute",
        "x-ratelimit-remaining-tokens-minute",
        "x-ratelimit-reset-tokens-minute",
    ],
    [
        "x-ratelimitbysize-limit-minute",
        "x-ratelimitbysize-remaining-minute",
        "ratelimitbysize-reset",
    ],
    [
        "x-tokenlimit-limit",
        "x-tokenlimit-remaining",
        "x-tokenlimit-reset",
    ],
];

/// A whole number, perhaps followed by parameters (`100, 100;w=60`), perhaps with a fraction of zero.
fn whole(text: &str) -> Option<u64> {
    let first = text.split([',', ';']).next()?.trim();
    let (digits, fraction) = first.split_once('.').unwrap_or((first, "0"));
    if fraction.bytes().any(|b| b != b'0') {
        return None;
    }
    digits.parse().ok()
}

/// Milliseconds to wait, from whatever form they are stated in; `now`: milliseconds of the answer's own clock.
pub(super) fn wait_ms(text: &str, now: Option<i128>) -> Option<u64> {
    const EPOCH_SECONDS: f64 = 1e9;
    const EPOCH_MILLIS: f64 = 1e12;
    let text = text.trim();
    let until = |at: i128| u64::try_from((at - now?).max(0)).ok();
    if let Ok(number) = text.parse::<f64>() {
        return match number {
            n if !(0.0..=1e15).contains(&n) => None,
            n if n >= EPOCH_MILLIS => until(n as i128),
            n if n >= EPOCH_SECONDS => until((n * 1000.0) as i128),
            n => Some((n * 1000.0).round() as u64),
        };
    }
    date(text).map_or_else(|| duration_ms(text), until)
}

/// A duration as Go writes it: `6m0s`, `7.66s`, `120ms`, `1d2h`.
fn duration_ms(text: &str) -> Option<u64> {
    let (mut rest, mut sum) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest
            .bytes()
            .take_while(|b| b.is_ascii_digit() || *b == b'.')
            .count();
        let (number, after) = rest.split_at_checked(digits)?;
        let letters = after
            .bytes()
            .take_while(|b| b.is_ascii_alphabetic() || !b.is_ascii())
            .count();
        let (unit, after) = after.split_at_checked(letters)?;
        let millis = match unit {
            "d" => 86_400_000.0,
            "h" => 3_600_000.0,
            "m" => 60_000.0,
            "s" => 1_000.0,
            "ms" => 1.0,
            "us" | "µs" => 0.001,
            "ns" => 0.000_001,
            _ => return None,
        };
        sum += number.parse::<f64>().ok()? * millis;
        rest = after;
    }
    (!text.is_empty() && sum < 1e15).then_some(sum.round() as u64)
}

/// A point in time (RFC 3339, or that of RFC 9110), in milliseconds since 1970.
fn date(text: &str) -> Option<i128> {
    let time = OffsetDateTime::parse(text, &Rfc3339).or_else(|_| OffsetDateTime::parse(text, &Rfc2822));
    time.ok().map(|time| time.unix_timestamp_nanos() / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        Fields(pairs.collect())
    }

    #[test]
    fn limits_in_the_forms_of_the_vendors() {
        let openai = HeadFacts::of(&fields(&[
            ("x-ratelimit-limit-requests", "10000"),
            ("x-ratelimit-remaining-requests", "9999"),
            ("x-ratelimit-reset-requests", "8.64s"),
            ("x-ratelimit-limit-tokens", "200000"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "1m0.5s"),
            ("x-request-id", "req_1"),
        ]));
        let limit = |limit, remaining, reset_ms| RateLimit {
            limit,
            remaining,
            reset_ms,
        };
        assert_eq!(
            openai.rate_limits,
            RateLimits {
                requests: limit(Some(10_000), Some(9_999), Some(8_640)),
                tokens: limit(Some(200_000), Some(0), Some(60_500)),
                retry_after_ms: None,
            }
        );
        assert_eq!(openai.request_id.as_deref(), Some("req_1"));
        let anthropic = HeadFacts::of(&fields(&[
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "1994-11-06T08:50:00Z"),
            ("retry-after", "23"),
            ("request-id", "req_2"),
        ]));
        assert_eq!(
            anthropic.rate_limits.requests,
            limit(Some(50), Some(0), Some(23_000))
        );
        assert_eq!(anthropic.rate_limits.tokens, RateLimit::default());
        assert_eq!(anthropic.rate_limits.retry_after_ms, Some(23_000));
        // Milliseconds since 1970, and no clock to compare them with.
        let router = HeadFacts::of(&fields(&[
            ("x-ratelimit-limit", "20, 20;w=60"),
            ("x-ratelimit-remaining", "19"),
            ("x-ratelimit-reset", "1790000000000"),
        ]));
        assert_eq!(router.rate_limits.requests, limit(Some(20), Some(19), None));
        // The two forms of the drafts.
        for fields in [
            fields(&[("ratelimit", "limit=100, remaining=50, reset=30")]),
            fields(&[
                ("ratelimit", "\"default\";r=50;t=30"),
                ("ratelimit-policy", "\"default\";q=100;w=60"),
            ]),
        ] {
            let drafted = HeadFacts::of(&fields).rate_limits.requests;
            assert_eq!(drafted, limit(Some(100), Some(50), Some(30_000)));
        }
    }

    #[test]
    fn what_is_no_duration_is_unknown() {
        for text in [
            "",
            "soon",
            "-5",
            "1x",
            "1",
            "nan",
            "inf",
            "99999999999999999999d",
            "1µ",
        ] {
            let want = (text == "1").then_some(1_000);
            assert_eq!(wait_ms(text, None), want, "{text}");
        }
        assert_eq!(wait_ms("2h3m4s5ms", None), Some(7_384_005));
        assert_eq!(
            wait_ms("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_776_000)),
            Some(1_000)
        );
        assert_eq!(
            wait_ms("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_999_000)),
            Some(0)
        );
    }

    #[test]
    fn attempts_as_clients_count_them() {
        let of = |pairs: &[(&str, &str)]| attempt(&fields(pairs), Some(7)).stated;
        assert_eq!(of(&[("x-stainless-retry-count", "0")]), Some(1));
        assert_eq!(of(&[("x-stainless-retry-count", "2")]), Some(3));
        assert_eq!(of(&[("amz-sdk-request", "attempt=2; max=3")]), Some(2));
        assert_eq!(of(&[("amz-sdk-request", "ttl=1; attempt=4")]), Some(4));
        assert_eq!(of(&[("amz-sdk-request", "attempt=x")]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn traces_and_numbers_of_clients() {
        let fields = |name: &str, value: &str| Fields(vec![(name.to_owned(), value.as_bytes().to_vec())]);
        let whole = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let of = |value: &str| ties(&fields("traceparent", value)).trace;
        assert_eq!(of(whole).as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6-00f067aa0ba902b7-01",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
        let number = ties(&fields("x-request-id", "call-1")).request;
        assert_eq!(number.as_deref(), Some("call-1"));
        assert_eq!(ties(&fields("x-request-id", "two words")), Ties::default());
    }

    #[test]
    fn identifiers_hold_no_sentences() {
        assert_eq!(identifier("req_01-a.B:c"), Some("req_01-a.B:c".to_owned()));
        for text in ["", "two words", "a\u{e4}", "a@b.example", &"x".repeat(129)] {
            assert_eq!(identifier(text), None, "{text}");
        }
    }
}
