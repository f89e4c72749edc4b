//! A request of ClickHouse's HTTP interface: what its URL, headers and form say. Pure.

use std::collections::HashMap;

use super::error::Exception;

/// URL parameters that are not settings.
const NOT_SETTINGS: [&str; 23] = [
    "query",
    "database",
    "default_format",
    "compress",
    "decompress",
    "user",
    "password",
    "query_id",
    "session_id",
    "session_timeout",
    "session_check",
    "close_session",
    "role",
    "quota_key",
    "stacktrace",
    "buffer_size",
    "wait_end_of_query",
    "client_protocol_version",
    "enable_http_compression",
    "http_zlib_compression_level",
    "add_http_cors_header",
    "http_write_exception_in_output_format",
    "http_response_headers",
];

/// Most parameters of one request.
const MAX_PARAMETERS: usize = 1000;

/// What a request asks for, without its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// SQL in the URL.
    pub(super) query: String,
    /// Current database.
    pub(super) database: Option<String>,
    /// Format of a result whose statement names none.
    pub(super) default_format: Option<String>,
    /// Settings of the session.
    pub(super) settings: Vec<(String, String)>,
    /// Values for `{name:Type}`.
    pub(super) params: Vec<(String, String)>,
    /// The answer goes in native compressed frames.
    pub(super) compress: bool,
    /// The body comes in native compressed frames.
    pub(super) decompress: bool,
    /// The client's name for the query, to be echoed.
    pub(super) query_id: Option<String>,
    /// The answer begins when the query has ended, so that errors are in its status.
    pub(super) wait_end: bool,
    /// The client speaks this revision of the native protocol (clickhouse-go).
    pub(super) protocol_version: u32,
    /// Password sent in the URL.
    pub(super) password: Option<String>,
}

impl Request {
    /// Reads the query part of a URL (without the question mark).
    pub(super) fn from_url(query: &str) -> Result<Self, Exception> {
        let mut request = Self::default();
        for (index, (name, value)) in form_urlencoded::parse(query.as_bytes()).enumerate() {
            if index >= MAX_PARAMETERS {
                return Err(Exception::new(
                    36,
                    "BAD_ARGUMENTS",
                    "too many parameters in the URL",
                ));
            }
            request.take(&name, value.into_owned());
        }
        Ok(request)
    }

    fn take(&mut self, name: &str, value: String) {
        let yes = || value == "1" || value.eq_ignore_ascii_case("true");
        match name {
            "query" => self.query = value,
            "database" => self.database = not_empty(value),
            "default_format" => self.default_format = not_empty(value),
            "compress" => self.compress = yes(),
            "decompress" => self.decompress = yes(),
            "query_id" => self.query_id = not_empty(value),
            "wait_end_of_query" => self.wait_end = yes(),
            "client_protocol_version" => self.protocol_version = value.parse().unwrap_or(0),
            "password" => self.password = not_empty(value),
            _ if NOT_SETTINGS.contains(&name) => {}
            _ => match name.strip_prefix("param_") {
                Some(param) => self.params.push((param.to_owned(), value)),
                None => self.settings.push((name.to_owned(), value)),
            },
        }
    }

    /// Adds what headers say; the URL goes before them.
    pub(super) fn headers(&mut self, header: impl Fn(&str) -> Option<String>) {
        let database = header("x-clickhouse-database").and_then(not_empty);
        self.database = self.database.take().or(database);
        let format = header("x-clickhouse-format").and_then(not_empty);
        self.default_format = self.default_format.take().or(format);
    }

    /// Adds the parts of a form: `query` and `param_*`.
    pub(super) fn form(&mut self, body: &[u8], boundary: &str) -> Result<(), Exception> {
        for (name, value) in form_parts(body, boundary)? {
            let text =
                || String::from_utf8(value.to_vec()).map_err(|_| Exception::data("form field is not UTF-8"));
            if name == "query" {
                self.query.push_str(&text()?);
            } else if let Some(param) = name.strip_prefix("param_") {
                self.params.push((param.to_owned(), text()?));
            } else {
                let message = "form fields other than query and param_* (external tables) are not supported";
                return Err(Exception::new(48, "NOT_IMPLEMENTED", message));
            }
        }
        Ok(())
    }
}

fn not_empty(value: String) -> Option<String> {
    (!value.is_empty()).then_some(value)
}

/// The boundary of a `multipart/form-data` content type.
pub(super) fn form_boundary(content_type: &str) -> Option<String> {
    let mut pieces = content_type.split(';').map(str::trim);
    if !pieces.next()?.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = pieces.find_map(|piece| {
        let (name, value) = piece.split_once('=')?;
        name.eq_ignore_ascii_case("boundary")
            .then(|| value.trim_matches('"').to_owned())
    })?;
    (1..=70).contains(&boundary.len()).then_some(boundary)
}

/// Fields of a form with their names (RFC 7578).
fn form_parts<'b>(body: &'b [u8], boundary: &str) -> Result<HashMap<String, &'b [u8]>, Exception> {
    let broken = || Exception::data("form is broken");
    let delimiter = format!("\r\n--{boundary}");
    let find = |from: usize, what: &[u8]| memchr::memmem::find(&body[from..], what).map(|at| from + at);
    let mut parts = HashMap::new();
    // The first delimiter has no line end before it.
    let mut at = find(0, &delimiter.as_bytes()[2..]).ok_or_else(broken)? + delimiter.len() - 2;
    while !body[at..].starts_with(b"--") {
        let head_end = find(at, b"\r\n\r\n").ok_or_else(broken)?;
        let head = String::from_utf8_lossy(&body[at..head_end]);
        let end = find(head_end + 2, delimiter.as_bytes()).ok_or_else(broken)?;
        let value = body.get(head_end + 4..end).unwrap_or_default();
        parts.insert(field_name(&head).ok_or_else(broken)?, value);
        if parts.len() > MAX_PARAMETERS {
            return Err(broken());
        }
        at = end + delimiter.len();
    }
    Ok(parts)
}

/// `name` of a part's `Content-Disposition`.
fn field_name(head: &str) -> Option<String> {
    let line = head
        .lines()
        .find(|l| l.to_ascii_lowercase().starts_with("content-disposition:"))?;
    let (_, rest) = line
        .split_once(" name=\"")
        .or_else(|| line.split_once(";name=\""))?;
    rest.split_once('"').map(|(name, _)| name.to_owned())
}

/// `Content-Type` of a result in this format.
pub(super) fn content_type(format: &str) -> &'static str {
    match format {
        "JSONEachRow" | "JSONStringsEachRow" | "JSONLines" | "NDJSON" | "JSONCompactEachRow" => {
            "application/x-ndjson; charset=UTF-8"
        }
        "XML" => "application/xml; charset=UTF-8",
        "Markdown" => "text/markdown; charset=UTF-8",
        f if f.starts_with("JSON") => "application/json; charset=UTF-8",
        f if f.starts_with("CSV") && f.contains("WithNames") => "text/csv; charset=UTF-8; header=present",
        f if f.starts_with("CSV") => "text/csv; charset=UTF-8; header=absent",
        f if f.starts_with("TabSeparated") || f.starts_with("TSV") || f.starts_with("TSKV") => {
            "text/tab-separated-values; charset=UTF-8"
        }
        f if f.starts_with("Pretty") || f.starts_with("Values") || f == "Vertical" || f == "SQLInsert" => {
            "text/plain; charset=UTF-8"
        }
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_tell_settings_from_the_rest() {
        let request = Request::from_url(
            "query=SELECT+%7Bx%3AString%7D&database=d&default_format=Native&param_x=a%20b&max_threads=3&compress=1\
             &decompress=0&session_id=s&query_id=&wait_end_of_query=1&client_protocol_version=54460&role=r",
        )
        .expect("fits");
        assert_eq!(request.query, "SELECT {x:String}");
        assert_eq!(request.database.as_deref(), Some("d"));
        assert_eq!(request.default_format.as_deref(), Some("Native"));
        assert_eq!(request.params, [("x".to_owned(), "a b".to_owned())]);
        assert_eq!(request.settings, [("max_threads".to_owned(), "3".to_owned())]);
        assert!(request.compress && !request.decompress && request.wait_end);
        assert_eq!((request.query_id, request.protocol_version), (None, 54460));
        assert!(Request::from_url(&"a=1&".repeat(MAX_PARAMETERS + 1)).is_err());
    }

    #[test]
    fn headers_fill_what_the_url_leaves_open() {
        let header = |name: &str| (name == "x-clickhouse-database").then(|| "h".to_owned());
        let mut request = Request::from_url("").expect("fits");
        request.headers(header);
        assert_eq!(request.database.as_deref(), Some("h"));
        let mut request = Request::from_url("database=u").expect("fits");
        request.headers(header);
        assert_eq!(request.database.as_deref(), Some("u"));
    }

    const FORM: &str = "--b\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT {x:String}\r\n\
        --b\r\ncontent-disposition: form-data; name=\"param_x\"\r\nContent-Type: text/plain\r\n\r\na\r\n\r\n--c\r\n--b--\r\n";

    #[test]
    fn forms_give_query_and_params() {
        assert_eq!(
            form_boundary("multipart/form-data; boundary=\"b\"").as_deref(),
            Some("b")
        );
        assert_eq!(form_boundary("text/plain; boundary=b"), None);
        let mut request = Request::default();
        request.form(FORM.as_bytes(), "b").expect("form");
        assert_eq!(request.query, "SELECT {x:String}");
        assert_eq!(request.params, [("x".to_owned(), "a\r\n\r\n--c".to_owned())]);
    }

    #[test]
    fn cut_forms_are_errors_and_never_panic() {
        let end = FORM.len() - "--\r\n".len();
        for cut in 0..end {
            assert!(
                Request::default().form(&FORM.as_bytes()[..cut], "b").is_err(),
                "cut at {cut}"
            );
        }
        let external = FORM.replace("param_x", "table");
        assert_eq!(
            Request::default()
                .form(external.as_bytes(), "b")
                .expect_err("table")
                .code,
            48
        );
    }
}
