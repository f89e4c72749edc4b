//! Heads: start lines recognised from a prefix, fields parsed, body framing decided (RFC 9112 sections 2, 3, 5, 6).

use super::{MAX_FIELDS, Side};
use crate::protocol::{Fields, Incomplete, RequestHead, ResponseHead};

/// Longest method that is taken for one.
const MAX_METHOD: usize = 20;

/// What a prefix of a message says about its start line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::protocol) enum StartLine {
    /// A complete start line.
    Yes,
    /// Cannot become a start line.
    No,
    /// Could become one.
    More,
}

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// That many bytes follow (0: no body).
    Length(u64),
    /// Chunked transfer coding is the last coding.
    Chunked,
    /// Neither length nor chunked coding is given.
    Unframed,
    /// Contradictory or unreadable: nothing after the head can be trusted.
    Invalid,
}

/// Judges a prefix of a message. Only methods in upper case are accepted: it is what tells HTTP from other text.
pub(super) fn start_line(side: Side, bytes: &[u8]) -> StartLine {
    match side {
        Side::Request => request_line(bytes),
        Side::Response => status_line(bytes),
    }
}

fn request_line(bytes: &[u8]) -> StartLine {
    let method = bytes
        .iter()
        .take_while(|b| b.is_ascii_uppercase() || **b == b'-')
        .count();
    if method > MAX_METHOD || bytes.first() == Some(&b'-') {
        return StartLine::No;
    }
    let Some(after) = bytes.get(method) else {
        return StartLine::More;
    };
    if method == 0 || *after != b' ' {
        return StartLine::No;
    }
    let target = &bytes[method + 1..];
    let Some(first) = target.first() else {
        return StartLine::More;
    };
    if !(first.is_ascii_alphanumeric() || matches!(first, b'/' | b'*' | b'[')) {
        return StartLine::No;
    }
    let end = target.iter().position(|b| *b <= b' ' || *b == 0x7f);
    match end {
        None => StartLine::More,
        Some(end) if target[end] == b' ' => version(&target[end + 1..], |b| matches!(b, b'\r' | b'\n')),
        Some(_) => StartLine::No,
    }
}

fn status_line(bytes: &[u8]) -> StartLine {
    match version(bytes, |b| b == b' ') {
        StartLine::Yes => {}
        other => return other,
    }
    let status = &bytes[b"HTTP/1.1 ".len()..];
    if status.iter().take(3).any(|b| !b.is_ascii_digit()) {
        return StartLine::No;
    }
    match status.get(3) {
        None => StartLine::More,
        Some(b' ' | b'\r' | b'\n') => StartLine::Yes,
        Some(_) => StartLine::No,
    }
}

/// `HTTP/1.` and a digit, followed by a byte that `end` accepts.
fn version(bytes: &[u8], end: impl Fn(u8) -> bool) -> StartLine {
    const NAME: &[u8] = b"HTTP/1.";
    let common = bytes.len().min(NAME.len());
    if bytes[..common] != NAME[..common] {
        return StartLine::No;
    }
    match (bytes.get(NAME.len()), bytes.get(NAME.len() + 1)) {
        (None, _) => StartLine::More,
        (Some(digit), _) if !digit.is_ascii_digit() => StartLine::No,
        (Some(_), None) => StartLine::More,
        (Some(_), Some(next)) if end(*next) => StartLine::Yes,
        (Some(_), Some(_)) => StartLine::No,
    }
}

/// Where the head in `buf` ends (after its empty line). Nothing before `from` needs another look.
pub(super) fn head_end(buf: &[u8], from: usize) -> Option<usize> {
    memchr::memchr_iter(b'\n', &buf[from..]).find_map(|at| {
        let next = from + at + 1;
        match buf.get(next) {
            Some(b'\n') => Some(next + 1),
            Some(b'\r') if buf.get(next + 1) == Some(&b'\n') => Some(next + 2),
            _ => None,
        }
    })
}

/// Joins folded field lines (obs-fold, RFC 9112 section 5.2) in place: line end and blanks become spaces.
pub(super) fn unfold(head: &mut [u8]) {
    let breaks: Vec<usize> = memchr::memchr_iter(b'\n', head).collect();
    // The first line break ends the start line, which cannot be folded.
    for at in breaks.into_iter().skip(1) {
        if matches!(head.get(at + 1), Some(b' ' | b'\t')) {
            head[at] = b' ';
            if at > 0 && head[at - 1] == b'\r' {
                head[at - 1] = b' ';
            }
        }
    }
}

/// Parses a complete request head.
pub(super) fn parse_request(head: &[u8]) -> Result<(RequestHead, Framing), Incomplete> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut slots);
    let mut config = httparse::ParserConfig::default();
    config.ignore_invalid_headers_in_requests(true);
    whole(config.parse_request(&mut request, head))?;
    let fields = fields(request.headers);
    let target = request.path.unwrap_or_default();
    let method = request.method.unwrap_or_default().to_owned();
    let (authority, path, query) = split_target(&method, target);
    // RFC 9112 section 3.2.2: of a target that names its host, whoever is asked ignores `Host`.
    let host = match bare_host(authority).is_empty() {
        true => fields.get("host").unwrap_or_default(),
        false => authority.to_owned(),
    };
    let framing = match framing(&fields) {
        Framing::Unframed => Framing::Length(0),
        other => other,
    };
    let (path, query) = (path.to_owned(), query.to_owned());
    let (host, port) = (bare_host(&host), port(&host));
    Ok((
        RequestHead {
            method,
            path,
            query,
            host,
            port,
            fields,
            unknown_fields: 0,
        },
        framing,
    ))
}

/// Parses a complete response head. The framing is the one its fields give; method and status come on top.
pub(super) fn parse_response(head: &[u8]) -> Result<(ResponseHead, Framing), Incomplete> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut slots);
    let mut config = httparse::ParserConfig::default();
    config.ignore_invalid_headers_in_responses(true);
    config.allow_spaces_after_header_name_in_responses(true);
    whole(config.parse_response(&mut response, head))?;
    let fields = fields(response.headers);
    let framing = match framing(&fields) {
        // RFC 9112 section 6.3, rule 4: a response whose last coding is not chunked runs until the connection ends.
        Framing::Invalid if fields.all("transfer-encoding").next().is_some() => Framing::Unframed,
        other => other,
    };
    Ok((
        ResponseHead {
            status: response.code.unwrap_or_default(),
            fields,
            unknown_fields: 0,
        },
        framing,
    ))
}

fn whole(result: httparse::Result<usize>) -> Result<(), Incomplete> {
    match result {
        Ok(httparse::Status::Complete(_)) => Ok(()),
        Err(httparse::Error::TooManyHeaders) => Err(Incomplete::OverBudget),
        Ok(httparse::Status::Partial) | Err(_) => Err(Incomplete::Malformed),
    }
}

fn fields(headers: &[httparse::Header<'_>]) -> Fields {
    Fields(
        headers
            .iter()
            .map(|h| (h.name.to_ascii_lowercase(), h.value.to_vec()))
            .collect(),
    )
}

/// Authority (empty for the usual form), path and query of a request target (RFC 9112 section 3.2).
fn split_target<'a>(method: &str, target: &'a str) -> (&'a str, &'a str, &'a str) {
    if method == "CONNECT" {
        return (target, "", "");
    }
    let (authority, rest) = match target.find("://") {
        Some(at) if target.bytes().take(at).all(is_of_scheme) => {
            let after = &target[at + 3..];
            let end = after.find(['/', '?']).unwrap_or(after.len());
            after.split_at(end)
        }
        _ => ("", target),
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    (authority, path, query)
}

/// Whether the name of a scheme may hold this octet (RFC 3986 section 3.1).
fn is_of_scheme(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.')
}

/// Host in lower case without user information and port; brackets of an IPv6 address are kept off.
pub(in crate::protocol) fn bare_host(authority: &str) -> String {
    let authority = authority.trim();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Port of an authority, where it names one.
pub(in crate::protocol) fn port(authority: &str) -> Option<u16> {
    let (_, port) = authority.trim().rsplit_once(':')?;
    port.parse().ok()
}

/// RFC 9112 section 6.3: transfer coding wins over content length; differing lengths are an error.
fn framing(fields: &Fields) -> Framing {
    let mut codings = fields
        .all("transfer-encoding")
        .flat_map(|v| v.split(|b| *b == b','))
        .peekable();
    if codings.peek().is_some() {
        let last = codings.last().unwrap_or_default();
        return match last.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            true => Framing::Chunked,
            false => Framing::Invalid,
        };
    }
    let mut length = None;
    for value in fields.all("content-length").flat_map(|v| v.split(|b| *b == b',')) {
        match (content_length(value.trim_ascii()), length) {
            (None, _) => return Framing::Invalid,
            (Some(new), Some(old)) if new != old => return Framing::Invalid,
            (Some(new), _) => length = Some(new),
        }
    }
    length.map_or(Framing::Unframed, Framing::Length)
}

/// A length of any size: what is beyond 64 bits is as endless as `u64::MAX`.
fn content_length(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0u64, |sum, d| {
        sum.saturating_mul(10).saturating_add(u64::from(d - b'0'))
    });
    Some(value)
}
