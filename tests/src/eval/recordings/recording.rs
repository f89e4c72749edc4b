//! One recorded call: what is sent again, and what it is labelled with.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::labels::Labels;

/// Fields that tell of the wire and not of the call.
const FRAMING: [&str; 10] = [
    "content-length",
    "transfer-encoding",
    "content-encoding",
    "host",
    "connection",
    "keep-alive",
    "proxy-connection",
    "upgrade",
    "te",
    "trailer",
];

/// Host named where a recording has none (RFC 2606).
const NO_HOST: &str = "host.invalid";

/// Header fields in their order; names as written.
pub(super) type Headers = Vec<(String, String)>;

/// See the module. Holds clear text, so it has no `Debug`.
pub(super) struct Recording {
    pub(super) id: String,
    pub(super) method: String,
    /// Host with the port that it was asked with.
    pub(super) authority: String,
    /// Name in the TLS handshake; none for an address, and where the recording names no host.
    pub(super) server_name: Option<String>,
    pub(super) path: String,
    /// Path and query.
    pub(super) target: String,
    pub(super) request: Message,
    pub(super) status: u16,
    pub(super) response: Message,
    pub(super) labels: Labels,
}

/// Fields without those of the framing, and the body without codings.
pub(super) struct Message {
    pub(super) headers: Headers,
    pub(super) body: Vec<u8>,
    /// Content coding that it had on the wire.
    pub(super) coding: Option<String>,
    /// It came in chunks.
    pub(super) chunked: bool,
}

impl Recording {
    /// Reads a row; `None` where it is no HTTP call.
    ///
    /// # Errors
    /// The row is no object, or a body is not base64 though it says so.
    pub(super) fn read(row: &Value) -> Result<Option<Self>> {
        let object = row.as_object().context("not a JSON object")?;
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or("");
        if !matches!(text("kind"), "" | "http") || text("method").is_empty() {
            return Ok(None);
        }
        let host = host(text("host"));
        let port = row["port"].as_u64().filter(|port| !matches!(port, 80 | 443));
        let named = !host.is_empty();
        let authority = match port {
            _ if !named => NO_HOST.to_owned(),
            Some(port) => format!("{host}:{port}"),
            None => host.clone(),
        };
        let path = match escaped(text("path")) {
            path if path.starts_with('/') => path,
            path => format!("/{path}"),
        };
        let query = escaped(text("query"));
        let target = if query.is_empty() {
            path.clone()
        } else {
            format!("{path}?{query}")
        };
        let streamed = row["streaming"] == true || !row["stream_kind"].is_null();
        Ok(Some(Self {
            id: text("id").to_owned(),
            method: text("method").to_ascii_uppercase(),
            authority,
            server_name: (named && host.parse::<std::net::IpAddr>().is_err()).then_some(host),
            path,
            target,
            request: message(row, "req", false)?,
            status: row["status"]
                .as_u64()
                .and_then(|s| u16::try_from(s).ok())
                .unwrap_or(200),
            response: message(row, "resp", streamed)?,
            labels: Labels::read(row),
        }))
    }
}

/// A host as it can stand in a field: placeholders of the recorder (`<region>`) become a label of a name.
fn host(stated: &str) -> String {
    let mut host = String::with_capacity(stated.len());
    let mut placeholder = false;
    for c in stated.trim().chars() {
        match c {
            '<' | '{' | '[' => placeholder = true,
            '>' | '}' | ']' => placeholder = false,
            '_' if placeholder => host.push('-'),
            c if c.is_ascii_graphic() => host.push(c.to_ascii_lowercase()),
            _ => {}
        }
    }
    host
}

/// What cannot stand in a request line, percent-encoded (RFC 3986 section 2.1).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// One side of a row: its keys begin with `side`.
fn message(row: &Value, side: &str, streamed: bool) -> Result<Message> {
    let key = |name: &str| format!("{side}_{name}");
    let stated = headers(&row[key("headers")]);
    let field = |name: &str| {
        let found = stated.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_ascii_lowercase())
    };
    let body = &row[key("body")];
    let body = match body.as_str() {
        Some(text) if row[key("body_b64")] == true => STANDARD
            .decode(text.split_ascii_whitespace().collect::<String>())
            .with_context(|| format!("`{}` is not base64", key("body")))?,
        Some(text) => text.as_bytes().to_vec(),
        // A recorder that kept the body as JSON.
        None if body.is_null() => Vec::new(),
        None => body.to_string().into_bytes(),
    };
    let said = |name: &str| row[key(name)].as_str().map(str::to_ascii_lowercase);
    let coding = said("encoding_actual")
        .or_else(|| said("encoding_header"))
        .or_else(|| field("content-encoding"));
    Ok(Message {
        chunked: streamed || field("transfer-encoding").is_some_and(|value| value.contains("chunked")),
        coding: coding.filter(|coding| !coding.is_empty() && coding != "identity"),
        headers: stated
            .into_iter()
            .filter(|(name, _)| !FRAMING.contains(&name.to_ascii_lowercase().as_str()))
            .collect(),
        body,
    })
}

/// Fields as pairs, or as an object of values or of lists of them.
fn headers(stated: &Value) -> Headers {
    let mut headers = Vec::new();
    let mut add = |name: &str, value: &Value| match value {
        Value::Array(values) => headers.extend(values.iter().map(|v| (name.to_owned(), plain(v)))),
        value => headers.push((name.to_owned(), plain(value))),
    };
    match stated {
        Value::Array(pairs) => {
            for pair in pairs {
                if let (Some(name), Some(value)) = (pair[0].as_str(), pair.get(1)) {
                    add(name, value);
                }
            }
        }
        Value::Object(fields) => fields.iter().for_each(|(name, value)| add(name, value)),
        _ => {}
    }
    headers.retain(|(name, _)| is_token(name));
    headers
}

fn plain(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.replace(['\r', '\n', '\0'], " ").trim().to_owned()
}

/// A field name (RFC 9110 section 5.6.2).
fn is_token(name: &str) -> bool {
    let special = b"!#$%&'*+-.^_`|~";
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || special.contains(&b))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn placeholders_become_hosts_and_targets_stay_one_word() {
        let row = json!({"kind": "http", "method": "post", "host": "runtime.<aws_region>.example", "port": 8080,
            "path": "/a b", "query": "q=ü", "req_headers": [["X", "1\r\n2"], ["Bad name", "x"]], "status": 201});
        let call = Recording::read(&row).unwrap().unwrap();
        assert_eq!(
            (&*call.method, &*call.authority, &*call.target, call.status),
            ("POST", "runtime.aws-region.example:8080", "/a%20b?q=%C3%BC", 201)
        );
        assert_eq!(call.server_name.as_deref(), Some("runtime.aws-region.example"));
        assert_eq!(call.request.headers, [("X".to_owned(), "1  2".to_owned())]);
    }

    #[test]
    fn a_body_that_is_not_base64_is_an_error_and_other_kinds_are_left_out() {
        let wrong = json!({"method": "POST", "path": "/", "req_body": "***", "req_body_b64": true});
        assert!(Recording::read(&wrong).is_err());
        assert!(
            Recording::read(&json!({"kind": "websocket", "method": "GET"}))
                .unwrap()
                .is_none()
        );
    }
}
