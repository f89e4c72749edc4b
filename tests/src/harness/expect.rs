//! Comparing a stored row with what client and endpoint know of the call.

use std::fmt::Write;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::host::Host;
use super::record::Record;
use crate::endpoint::LoggedRequest;

/// What a stored interaction must say.
#[derive(Debug, Clone)]
pub struct Expected {
    /// `server_address`.
    pub host: &'static str,
    /// Path that was called; the stored template must be the end of it.
    pub path: &'static str,
    /// `gen_ai_provider_name`.
    pub provider: &'static str,
    /// `dialect`.
    pub dialect: &'static str,
    /// `gen_ai_operation_name`.
    pub operation: &'static str,
    /// `policy_verdict`.
    pub verdict: &'static str,
    /// `gen_ai_request_model`.
    pub model: String,
    /// `gen_ai_response_model`; empty when the answer names none.
    pub response_model: String,
    /// `gen_ai_request_stream`.
    pub stream: bool,
    /// `http_response_status_code`.
    pub status: u16,
    /// `error_type`.
    pub error: &'static str,
    /// `gen_ai_response_finish_reasons`.
    pub finish: Vec<&'static str>,
    /// `tool_names`.
    pub tools: Vec<&'static str>,
    /// `gen_ai_usage_input_tokens`; `None` is unknown and must be stored so.
    pub input_tokens: Option<u64>,
    /// `gen_ai_usage_output_tokens`; `None` is unknown and must be stored so.
    pub output_tokens: Option<u64>,
    /// `process_pid`.
    pub pid: u32,
    /// `process_executable_path`.
    pub executable: String,
    /// `tls_stack`.
    pub tls_stack: &'static str,
}

impl Expected {
    /// A chat completion with OpenAI that went well, in one piece.
    pub fn openai(pid: u32, executable: &str) -> Self {
        let model = "gpt-4o-mini";
        Self {
            host: "api.openai.com",
            path: "/v1/chat/completions",
            provider: "openai",
            dialect: "openai-chat",
            operation: "chat",
            verdict: "sanctioned",
            model: model.to_owned(),
            response_model: format!("{model}{}", crate::endpoint::SNAPSHOT),
            stream: false,
            status: 200,
            error: "",
            finish: vec!["stop"],
            tools: vec![],
            input_tokens: None,
            output_tokens: None,
            pid,
            executable: executable.to_owned(),
            tls_stack: "openssl",
        }
    }

    /// A message with Anthropic that went well, in one piece.
    pub fn anthropic(pid: u32, executable: &str) -> Self {
        let model = "claude-sonnet-4-6";
        Self {
            host: "api.anthropic.com",
            path: "/v1/messages",
            provider: "anthropic",
            dialect: "anthropic-messages",
            verdict: "unsanctioned",
            model: model.to_owned(),
            response_model: model.to_owned(),
            finish: vec!["end_turn"],
            ..Self::openai(pid, executable)
        }
    }

    /// With the token counts that the client was told.
    #[must_use]
    pub fn with_usage_of(mut self, report: &Value) -> Self {
        self.input_tokens = report["input_tokens"].as_u64();
        self.output_tokens = report["output_tokens"].as_u64();
        self
    }

    /// With this model asked, and the snapshot of it answered.
    #[must_use]
    pub fn with_model(mut self, model: &str) -> Self {
        self.model = model.to_owned();
        self.response_model = format!("{model}{}", crate::endpoint::SNAPSHOT);
        self
    }
}

/// Compares an interaction and its connection with what is expected and what the endpoint logged; an error that lists
/// every difference.
pub fn check(
    host_port: u16,
    record: &Record,
    row: &Value,
    expected: &Expected,
    logged: &LoggedRequest,
) -> Result<()> {
    let mut wrong = String::new();
    interaction(&mut wrong, row, expected, logged, host_port);
    match record.connection_of(row) {
        Ok(connection) => compare_connection(&mut wrong, connection, row, expected, logged, host_port),
        Err(error) => line(&mut wrong, &format!("{error:#}")),
    }
    if !wrong.is_empty() {
        bail!("stored row differs:\n{wrong}row: {row:#}");
    }
    Ok(())
}

fn interaction(wrong: &mut String, row: &Value, expected: &Expected, logged: &LoggedRequest, port: u16) {
    let fields = [
        ("server_address", json!(expected.host)),
        ("server_port", json!(port)),
        ("network_peer_address", json!("::ffff:127.0.0.1")),
        ("http_request_method", json!("POST")),
        ("http_response_status_code", json!(expected.status)),
        ("dialect", json!(expected.dialect)),
        ("gen_ai_provider_name", json!(expected.provider)),
        ("gen_ai_operation_name", json!(expected.operation)),
        ("gen_ai_request_model", json!(expected.model)),
        ("gen_ai_response_model", json!(expected.response_model)),
        ("gen_ai_request_stream", json!(expected.stream)),
        ("gen_ai_response_finish_reasons", json!(expected.finish)),
        ("gen_ai_usage_input_tokens", json!(expected.input_tokens)),
        ("gen_ai_usage_output_tokens", json!(expected.output_tokens)),
        ("tool_names", json!(expected.tools)),
        ("error_type", json!(expected.error)),
        ("process_pid", json!(expected.pid)),
        ("process_executable_path", json!(expected.executable)),
        ("user_id", json!(rustix::process::geteuid().as_raw())),
        ("tls_stack", json!(expected.tls_stack)),
        ("visibility", json!("decoded")),
        ("visibility_reason", json!("")),
        ("policy_verdict", json!(expected.verdict)),
        ("policy_version", json!("test-1")),
        ("request_bytes", json!(logged.request_bytes)),
        ("response_bytes", json!(logged.response_bytes)),
    ];
    for (name, value) in fields {
        equal(wrong, row, name, &value);
    }
    let template = row["url_path_template"].as_str().unwrap_or_default();
    if template.len() < 2 || !expected.path.ends_with(template) {
        line(
            wrong,
            &format!(
                "url_path_template is {template:?}, not an end of {:?}",
                expected.path
            ),
        );
    }
    for name in ["duration_ns", "process_start_ns", "process_parent_pid"] {
        if row[name].as_u64().is_none_or(|value| value == 0) {
            line(wrong, &format!("{name} is {}, expected more than 0", row[name]));
        }
    }
    for name in ["host_id", "host_name", "process_comm"] {
        if row[name].as_str().is_none_or(str::is_empty) {
            line(wrong, &format!("{name} is empty"));
        }
    }
    if row["process_ancestry"].as_array().is_none_or(Vec::is_empty) {
        line(wrong, "process_ancestry is empty");
    }
}

fn compare_connection(
    wrong: &mut String,
    connection: &Value,
    row: &Value,
    expected: &Expected,
    logged: &LoggedRequest,
    port: u16,
) {
    let fields = [
        ("server_address", json!(expected.host)),
        ("server_port", json!(port)),
        ("network_peer_address", json!("::ffff:127.0.0.1")),
        ("network_transport", json!("tcp")),
        ("network_local_port", json!(logged.client_port)),
        ("process_pid", json!(expected.pid)),
        ("process_executable_path", json!(expected.executable)),
        ("process_start_ns", row["process_start_ns"].clone()),
        ("user_id", json!(rustix::process::geteuid().as_raw())),
        ("tls_stack", json!(expected.tls_stack)),
        ("visibility", json!("decoded")),
    ];
    for (name, value) in fields {
        equal(wrong, connection, name, &value);
    }
    // TLS adds to what it carries, so the socket saw more than the probes did.
    for (socket, plain, call) in [
        ("bytes_sent", "plaintext_sent", logged.request_bytes),
        ("bytes_received", "plaintext_received", logged.response_bytes),
    ] {
        let (socket_bytes, plain_bytes) = (connection[socket].as_u64(), connection[plain].as_u64());
        if plain_bytes.is_none_or(|bytes| bytes < call) {
            line(
                wrong,
                &format!("connection: {plain} is {plain_bytes:?}, less than the call's {call}"),
            );
        }
        if socket_bytes <= plain_bytes {
            line(
                wrong,
                &format!("connection: {socket} is {socket_bytes:?}, not more than {plain} {plain_bytes:?}"),
            );
        }
    }
    if connection["exchanges_decoded"]
        .as_u64()
        .is_none_or(|count| count == 0)
    {
        line(
            wrong,
            &format!(
                "connection: exchanges_decoded is {}",
                connection["exchanges_decoded"]
            ),
        );
    }
}

fn equal(wrong: &mut String, row: &Value, name: &str, expected: &Value) {
    if row[name] != *expected {
        line(wrong, &format!("{name} is {}, expected {expected}", row[name]));
    }
}

fn line(text: &mut String, problem: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "  {problem}");
}

impl Host {
    /// The one request that the endpoint logged with this model.
    pub fn logged(&self, model: &str) -> Result<LoggedRequest> {
        let mut requests = self
            .endpoint
            .log()
            .requests()
            .into_iter()
            .filter(|request| request.model == model);
        let request = requests
            .next()
            .with_context(|| format!("the endpoint got no request for {model}"))?;
        anyhow::ensure!(
            requests.next().is_none(),
            "the endpoint got more than one request for {model}"
        );
        Ok(request)
    }
}
