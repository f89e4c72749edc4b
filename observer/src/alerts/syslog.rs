//! Messages of syslog (RFC 5424). Pure.

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::evidence::Severity;

/// Facility "log audit".
const FACILITY: u8 = 13;
const NAME: &str = "observer";
/// Longest HOSTNAME.
const MAX_HOST: usize = 255;

/// Head of a message, in front of its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) severity: Severity,
    /// ns since the Unix epoch.
    pub(super) ts: i64,
    pub(super) host: &'a str,
    pub(super) pid: u32,
    pub(super) kind: &'a str,
}

/// The message, without a frame: `<PRI>1 TIME HOST observer PID KIND - TEXT`.
pub(super) fn message(head: &Head<'_>, text: &str) -> String {
    let priority = FACILITY * 8 + number(head.severity);
    format!(
        "<{priority}>1 {} {} {NAME} {} {} - {text}",
        time(head.ts),
        host(head.host),
        head.pid,
        head.kind
    )
}

/// The frame of a stream: its length first (RFC 6587, octet counting).
pub(super) fn framed(message: &str) -> String {
    format!("{} {message}", message.len())
}

/// Critical is "critical conditions", info is "informational".
fn number(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Info => 6,
    }
}

/// With microseconds at most; `-` for a time that no calendar has.
fn time(ts: i64) -> String {
    let micros = i128::from(ts).div_euclid(1_000) * 1_000;
    OffsetDateTime::from_unix_timestamp_nanos(micros)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| "-".to_owned())
}

/// Printable ASCII without spaces, or `-`.
fn host(name: &str) -> &str {
    let fits = (1..=MAX_HOST).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
    if fits { name } else { "-" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_as_the_standard_writes_it() {
        let mut head = Head {
            severity: Severity::High,
            ts: 1_790_000_000_123_456_789,
            host: "web-1",
            pid: 42,
            kind: "finding",
        };
        let text = message(&head, "{}");
        assert_eq!(
            text,
            "<107>1 2026-09-21T14:13:20.123456Z web-1 observer 42 finding - {}"
        );
        assert_eq!(framed("abc"), "3 abc");
        assert_eq!(framed("ü"), "2 ü", "bytes, not characters");
        (head.host, head.ts, head.severity) = ("a b\n", i64::MIN, Severity::Critical);
        assert!(
            message(&head, "").starts_with("<106>1 1677-09-21T00:12:43.145224Z - observer"),
            "{}",
            message(&head, "")
        );
    }
}
