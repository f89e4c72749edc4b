//! JSON-RPC between agents and tools: MCP (2024-11-05 to 2026-07-28) and A2A (0.2 to 1.0). Their methods and heads name
//! them; their paths are anybody's.

use super::heads::id;
use crate::exchange::Dialect;
use crate::protocol::{Fields, RequestHead};

/// Methods of MCP, requests and notifications, that nobody else has.
const MCP: &[&str] = &[
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/read",
    "resources/templates/list",
    "resources/subscribe",
    "resources/unsubscribe",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "logging/setLevel",
    "sampling/createMessage",
    "elicitation/create",
    "roots/list",
    "server/discover",
    "subscriptions/listen",
    "tasks/list",
    "tasks/result",
];
/// Methods of A2A: the first versions, then 1.0.
const A2A: &[&str] = &[
    "message/send",
    "message/stream",
    "tasks/send",
    "tasks/sendSubscribe",
    "tasks/resubscribe",
    "tasks/pushNotificationConfig/set",
    "tasks/pushNotificationConfig/get",
    "tasks/pushNotificationConfig/list",
    "tasks/pushNotificationConfig/delete",
    "agent/getAuthenticatedExtendedCard",
    "SendMessage",
    "SendStreamingMessage",
    "GetTask",
    "ListTasks",
    "CancelTask",
    "SubscribeToTask",
    "GetExtendedAgentCard",
    "CreateTaskPushNotificationConfig",
    "GetTaskPushNotificationConfig",
    "ListTaskPushNotificationConfigs",
    "DeleteTaskPushNotificationConfig",
];
/// Methods that both have.
const BOTH: &[&str] = &["tasks/get", "tasks/cancel"];
/// Longest method kept.
const MAX_METHOD: usize = 64;

/// Whether the head of a request is that of an MCP client.
pub(super) fn is_mcp(fields: &Fields) -> bool {
    ["mcp-session-id", "mcp-protocol-version", "mcp-method"]
        .iter()
        .any(|name| fields.all(name).next().is_some())
}

/// Dialect of a JSON-RPC 2.0 request with this method; `versioned`: its parameters name a protocol version.
pub(super) fn by_method(method: &str, versioned: bool, head: Option<&RequestHead>) -> Option<Dialect> {
    let fields = head.map(|head| &head.fields);
    let mcp = fields.is_some_and(is_mcp);
    let is_in = |list: &[&str]| list.contains(&method);
    // Editors speak JSON-RPC with a method of this name, too, and without a version.
    let begins = method == "initialize" && (versioned || mcp);
    if is_in(MCP) || begins || (mcp && (method == "ping" || is_in(BOTH))) || is_mcp_notification(method, mcp)
    {
        return Some(Dialect::Mcp);
    }
    (is_in(A2A) || is_in(BOTH)).then_some(Dialect::A2a)
}

fn is_mcp_notification(method: &str, mcp: bool) -> bool {
    let Some(name) = method.strip_prefix("notifications/") else {
        return false;
    };
    mcp || matches!(
        name,
        "initialized"
            | "tools/list_changed"
            | "prompts/list_changed"
            | "resources/list_changed"
            | "resources/updated"
            | "roots/list_changed"
    )
}

/// Dialect of a request of A2A's HTTP form: the verb of its path, and a head or a message that is A2A's.
pub(super) fn by_rest_path(head: &RequestHead, has_message: bool) -> bool {
    let media = head.fields.get("content-type").unwrap_or_default();
    let says = media.starts_with("application/a2a+json") || head.fields.all("a2a-version").next().is_some();
    let path = head.path.trim_end_matches('/');
    let sends = path.ends_with("/message:send") || path.ends_with("/message:stream");
    sends && (says || has_message)
}

/// A method as it may be stored: a word of the protocol.
pub(super) fn method_name(method: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'.' | b'$');
    (!method.is_empty() && method.len() <= MAX_METHOD && method.bytes().all(plain)).then(|| method.to_owned())
}

/// Name or version of a client or server of MCP as it may be stored; empty for what is no such word.
pub(super) fn product_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || " -_.:/@+()".contains(c);
    let word = text.trim();
    if word.len() <= MAX_METHOD && word.chars().all(plain) {
        word.to_owned()
    } else {
        String::new()
    }
}

/// Ends of paths of A2A over HTTP and gRPC, and the methods that they are.
const REST: &[(&str, &str)] = &[
    ("/message:stream", "message/stream"),
    ("/message:send", "message/send"),
    ("A2AService/SendStreamingMessage", "SendStreamingMessage"),
    ("A2AService/SendMessage", "SendMessage"),
];

/// Method of A2A's forms without JSON-RPC.
pub(super) fn rest_method(path: &str) -> Option<&'static str> {
    let path = path.trim_end_matches('/');
    let found = REST.iter().find(|(end, _)| path.ends_with(end));
    found.map(|(_, method)| *method)
}

/// What a call asks for, in the words of the conventions where there is one.
pub(super) fn operation(dialect: Dialect, method: &str) -> &'static str {
    match (dialect, method) {
        (Dialect::Mcp, "tools/call") => "execute_tool",
        (Dialect::Mcp, "sampling/createMessage") => "chat",
        (Dialect::Mcp, _) => "mcp",
        (
            Dialect::A2a,
            "message/send"
            | "message/stream"
            | "SendMessage"
            | "SendStreamingMessage"
            | "tasks/send"
            | "tasks/sendSubscribe",
        ) => "invoke_agent",
        (Dialect::A2a, _) => "a2a",
        (dialect, _) => dialect.operation(),
    }
}

/// Whether a request without a body asks for a stream of events: MCP's servers speak on one. Its answer tells.
pub(super) fn may_listen(head: &RequestHead) -> bool {
    let accepts = || head.fields.get("accept").unwrap_or_default();
    head.method == "GET"
        && (is_mcp(&head.fields) || accepts().trim().eq_ignore_ascii_case("text/event-stream"))
}

/// The session that the head of a request names.
pub(super) fn session(fields: &Fields) -> Option<String> {
    id(fields, "mcp-session-id")
}

/// The version that the head of a request names.
pub(super) fn version(fields: &Fields) -> Option<String> {
    id(fields, "mcp-protocol-version")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(path: &str, fields: &[(&str, &str)]) -> RequestHead {
        let fields = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        RequestHead {
            method: "POST".to_owned(),
            path: path.to_owned(),
            fields: Fields(fields.collect()),
            ..RequestHead::default()
        }
    }

    #[test]
    fn methods_of_both_protocols_and_of_others() {
        let plain = head("/mcp", &[]);
        let mcp = head("/mcp", &[("mcp-session-id", "s")]);
        let of = |method, versioned, head| by_method(method, versioned, Some(head));
        assert_eq!(of("tools/call", false, &plain), Some(Dialect::Mcp));
        assert_eq!(of("initialize", true, &plain), Some(Dialect::Mcp));
        assert_eq!(of("initialize", false, &plain), None, "a language server");
        assert_eq!(of("ping", false, &plain), None);
        assert_eq!(of("ping", false, &mcp), Some(Dialect::Mcp));
        assert_eq!(of("tasks/get", false, &mcp), Some(Dialect::Mcp));
        assert_eq!(of("tasks/get", false, &plain), Some(Dialect::A2a));
        assert_eq!(of("message/send", false, &plain), Some(Dialect::A2a));
        assert_eq!(of("notifications/initialized", false, &plain), Some(Dialect::Mcp));
        assert_eq!(of("notifications/seen", false, &plain), None);
        assert_eq!(of("eth_call", false, &plain), None);
        assert_eq!(of("textDocument/hover", false, &mcp), None);
    }

    #[test]
    fn the_http_form_needs_more_than_its_path() {
        assert!(by_rest_path(
            &head("/v1/message:send", &[("a2a-version", "1.0")]),
            false
        ));
        assert!(by_rest_path(&head("/t/message:stream", &[]), true));
        assert!(!by_rest_path(&head("/v1/message:send", &[]), false));
        assert!(!by_rest_path(&head("/v1/message", &[]), true));
    }
}
