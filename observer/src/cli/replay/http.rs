//! A whole HTTP call as test suites record it, framed again as HTTP/1.1 (RFC 9112) or HTTP/2. Pure.
//!
//! Such recordings are no captures: bodies are stored joined and decoded whatever their head fields say. So the
//! fields that speak of framing and coding are replaced by a length.

use serde_json::{Map, Value};

use super::{Framing, fields::Fields, http2::Framer, recording::Open};

/// A call, ready to be sent.
pub(super) struct Call {
    /// By whom and to whom.
    pub open: Open,
    /// The request as bytes.
    pub request: Vec<u8>,
    /// The response as bytes.
    pub response: Vec<u8>,
}

/// Fields that tell of the wire and not of the call.
const FRAMING: [&str; 4] = ["content-length", "transfer-encoding", "content-encoding", "host"];

/// Host named where a recording has none (RFC 2606).
const NO_HOST: &str = "host.invalid";

/// The user of a call, of which a recording says nothing: the number that no user has.
const NO_USER: u32 = u32::MAX;

/// Reads a call. Keys that are not known are labels of the recording. Where frames of HTTP/2 are cut follows from the
/// number of the call.
///
/// # Errors
/// All that is wrong in the line.
pub(super) fn read(map: &Map<String, Value>, framing: Framing, number: u64) -> Result<Call, Vec<String>> {
    let mut fields = Fields::new(map, "", None);
    let method = token(&mut fields, "method").unwrap_or("GET");
    let host = token(&mut fields, "host").unwrap_or(NO_HOST);
    let path = token(&mut fields, "path").unwrap_or("/");
    let query = token(&mut fields, "query").filter(|query| !query.is_empty());
    let target = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let body_of = |fields: &mut Fields<'_>, key: &str, flag: &str| {
        let base64 = fields.flag(flag);
        fields.bytes(key, base64).unwrap_or_default()
    };
    let request_body = body_of(&mut fields, "req_body", "req_body_b64");
    let response_body = body_of(&mut fields, "resp_body", "resp_body_b64");
    let status: u16 = fields.number("status").unwrap_or(200);
    let headers = [
        headers(&mut fields, "req_headers"),
        headers(&mut fields, "resp_headers"),
    ];
    if !fields.problems.is_empty() {
        return Err(fields.problems);
    }
    let (request, response) = match framing {
        Framing::Http1 => {
            let line = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
            // The reason phrase says nothing that the status does not.
            let status_line = format!("HTTP/1.1 {status} \r\n");
            (
                message(&line, &headers[0], &request_body),
                message(&status_line, &headers[1], &response_body),
            )
        }
        Framing::Http2 => {
            let status = status.to_string();
            let pseudo = [
                (":method", method),
                (":scheme", "https"),
                (":authority", host),
                (":path", &target),
            ];
            let mut framer = Framer::new(number + 1);
            (
                framer.request(&http2_fields(&pseudo, &headers[0]), &request_body),
                framer.response(
                    &http2_fields(&[(":status", &status)], &headers[1]),
                    &response_body,
                ),
            )
        }
    };
    let open = Open {
        pid: 1,
        uid: NO_USER,
        comm: "replay".to_owned(),
        server_name: (host != NO_HOST).then(|| host.to_owned()),
        start_ns: 1,
        ..Open::default()
    };
    Ok(Call {
        open,
        request,
        response,
    })
}

/// Pseudo-header fields, then those of the call that HTTP/2 knows (RFC 9113 section 8.2.2).
fn http2_fields<'a>(
    pseudo: &[(&'a str, &'a str)],
    headers: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    const OF_CONNECTION: [&str; 4] = ["connection", "keep-alive", "proxy-connection", "upgrade"];
    let of_call = |(name, _): &&(&str, &str)| !OF_CONNECTION.contains(&name.to_ascii_lowercase().as_str());
    pseudo
        .iter()
        .chain(headers.iter().filter(of_call))
        .copied()
        .collect()
}

/// A text that stands in the first line: spaces and line ends in it would make another line of it.
fn token<'a>(fields: &mut Fields<'a>, key: &str) -> Option<&'a str> {
    let text = fields.text(key)?;
    if text
        .bytes()
        .any(|b| b.is_ascii_whitespace() || b.is_ascii_control())
    {
        fields
            .problems
            .push(format!("`{key}` must not hold spaces or control characters"));
    }
    Some(text)
}

fn headers<'a>(fields: &mut Fields<'a>, key: &str) -> Vec<(&'a str, &'a str)> {
    let mut pairs = fields.pairs(key);
    pairs.retain(|(name, _)| !FRAMING.contains(&name.to_ascii_lowercase().as_str()));
    let breaks = |text: &str| text.contains(['\r', '\n', '\0']);
    if pairs
        .iter()
        .any(|(name, value)| name.is_empty() || breaks(name) || breaks(value))
    {
        fields.problems.push(format!("`{key}` must not hold line ends"));
    }
    pairs
}

fn message(first_line: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut out = first_line.as_bytes().to_vec();
    for (name, value) in headers {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(body);
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_value(value: &Value) -> Result<Call, Vec<String>> {
        read(value.as_object().unwrap(), Framing::Http1, 0)
    }

    #[test]
    fn a_call_is_framed_by_its_length() {
        let call = read_value(&json!({
            "id": "label", "method": "POST", "host": "api.example", "path": "/v1/x", "query": "a=b",
            "req_headers": [["Content-Type", "application/json"], ["Transfer-Encoding", "chunked"], ["Host", "other"]],
            "req_body": "{}", "req_body_b64": false, "status": 200,
            "resp_headers": [["Content-Encoding", "gzip"]], "resp_body": "AAEC", "resp_body_b64": true,
        }))
        .map_err(|p| p.join("; "))
        .unwrap();
        let request = String::from_utf8(call.request).unwrap();
        let expected = "POST /v1/x?a=b HTTP/1.1\r\nHost: api.example\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(request, expected);
        assert_eq!(
            call.response,
            b"HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\n\x00\x01\x02"
        );
        assert_eq!(call.open.server_name.as_deref(), Some("api.example"));
    }

    #[test]
    fn a_host_that_is_not_known_is_not_made_up() {
        let call = read_value(&json!({"method": "GET", "host": null, "path": "/"}))
            .map_err(|p| p.join("; "))
            .unwrap();
        assert_eq!(call.open.server_name, None);
    }

    #[test]
    fn what_would_break_the_frame_is_refused() {
        let wrong = json!({
            "method": "GET /", "host": "a\r\nb", "path": 7,
            "req_headers": [["a", "b\r\nc: d"]], "resp_headers": [["x"]], "status": 100_000,
        });
        let problems = read_value(&wrong).err().unwrap();
        assert_eq!(problems.len(), 6, "{problems:?}");
    }
}
