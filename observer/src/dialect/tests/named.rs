//! Values in arguments and results of tools are scanned with their names, whatever the dialect.

use super::*;
use crate::sensitive::{Engine, Finding, Rules, Scan, ScanReport};

thread_local! {
    static ENGINE: Engine = Engine::new(&Rules::builtin().unwrap()).unwrap();
}

/// Scans the texts of one exchange.
struct Scanned {
    scan: Scan,
    facts: Option<Exchange>,
}

impl ConnectionHooks for Scanned {
    fn text_sink(&mut self, _: u64) -> &mut dyn TextSink {
        &mut self.scan
    }
    fn finished(&mut self, _: u64, facts: Exchange) {
        self.facts = Some(facts);
    }
    fn not_ai(&mut self, _: u64, reason: NotAi) {
        panic!("{reason:?}");
    }
    fn lost(&mut self, _: Side, _: u64, _: Incomplete) {}
}

fn scanned_in(piece: usize, request: &[u8], response: &[u8]) -> (Exchange, ScanReport) {
    let scan = ENGINE.with(|engine| engine.open(None));
    let mut hooks = Scanned { scan, facts: None };
    let mut reader = ConnectionReader::new(catalog(), None);
    for (side, bytes) in [(Side::Request, request), (Side::Response, response)] {
        for part in bytes.chunks(piece) {
            reader.push(side, part, 1_000, &mut hooks);
        }
    }
    reader.close(1_000, &mut hooks);
    (hooks.facts.expect("an AI call"), hooks.scan.finish())
}

/// One call, the same however its bytes are cut.
fn scanned(request: &[u8], response: &[u8]) -> (Exchange, Vec<Finding>) {
    let (facts, report) = scanned_in(usize::MAX, request, response);
    for piece in [1, 2, 3, 7, 64] {
        let (again, cut) = scanned_in(piece, request, response);
        assert_eq!(cut.findings, report.findings, "pieces of {piece}");
        assert_eq!(again.request_text_bytes, facts.request_text_bytes);
        assert_eq!(again.response_text_bytes, facts.response_text_bytes);
    }
    (facts, report.findings)
}

/// (rule, path, role, count) of the findings.
fn places(findings: &[Finding]) -> Vec<(&str, &str, TextRole, u32)> {
    let place = |f: &Finding| (f.place.role, f.count);
    findings
        .iter()
        .map(|f| (f.rule_id.as_str(), f.place.path.as_str(), place(f).0, place(f).1))
        .collect()
}

const HEX: &str = "9f86d081884c7d659a2feaa0c55ad015";

fn mcp(arguments: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"deploy","arguments":{arguments}}}}}"#
    );
    request("POST /mcp", "Host: tools.corp.example\r\n", &body)
}

const DONE: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;

#[test]
fn secrets_of_mcp_arguments_and_results() {
    let arguments = format!(r#"{{"db_password":"Tr0ub4dor&3x","acme_api_key":"{HEX}","ssn":536904399}}"#);
    let result = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"structuredContent":{arguments}}}}}"#);
    let (facts, findings) = scanned(&mcp(&arguments), &response("200 OK", &result));
    let at = |path, role| {
        [
            ("password_quoted", path, role, 1),
            ("secret_assignment", path, role, 1),
            ("us_ssn_other_form", path, role, 1),
        ]
    };
    let expected = [
        at("$.params.arguments.*", TextRole::ToolArguments),
        at("$.result.structuredContent.*", TextRole::ToolResult),
    ];
    let mut expected = expected.concat();
    expected.sort();
    assert_eq!(places(&findings), expected);
    // Sizes are those of what was said.
    assert_eq!(facts.tool_calls.unwrap().first[0].bytes, arguments.len() as u64);
    let strings = ("Tr0ub4dor&3x".len() + HEX.len()) as u64;
    assert_eq!(facts.tool_results.unwrap().first[0].bytes, strings);
    let others = "536904399".len() + "2.0".len();
    assert_eq!(facts.response_text_bytes, strings + others as u64);
}

#[test]
fn secrets_of_other_dialects() {
    let tree = format!(
        r#"{{"env":[{{"name":"ACME_API_KEY","value":"{HEX}"}}],"password":{{"value":"Tr0ub4dor&3x"}}}}"#
    );
    let anthropic = format!(
        r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"assistant","content":[{{"type":"tool_use","id":"t","name":"f","input":{tree}}}]}}]}}"#
    );
    let gemini = format!(
        r#"{{"contents":[{{"role":"user","parts":[{{"functionResponse":{{"name":"f","response":{tree}}}}}]}}]}}"#
    );
    let a2a = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"message/send","params":{{"message":{{"role":"user","parts":[{{"kind":"data","data":{tree}}}]}}}}}}"#
    );
    let google = "Host: generativelanguage.googleapis.com\r\n";
    let asked = [
        request("POST /v1/messages", "Host: api.anthropic.com\r\n", &anthropic),
        request("POST /v1beta/models/g:generateContent", google, &gemini),
        request("POST /a2a", "Host: agent.corp.example\r\n", &a2a),
    ];
    for asked in asked {
        let (facts, findings) = scanned(&asked, &response("200 OK", "{}"));
        let mut rules: Vec<&str> = findings.iter().map(|f| f.rule_id.as_str()).collect();
        rules.sort_unstable();
        assert_eq!(
            rules,
            ["password_quoted", "secret_assignment"],
            "{:?}",
            facts.dialect
        );
        assert!(findings.iter().all(|f| f.count == 1));
    }
}

#[test]
fn names_make_no_findings_of_their_own() {
    let plain = r#"{"password":"","token":null,"passwords":[],"secret":{"a":"b"},"api_key_id":"42","ts":1732451234,"n":[1234567890],"max_tokens":4096}"#;
    let (_, findings) = scanned(&mcp(plain), &response("200 OK", DONE));
    assert_eq!(places(&findings), []);
    // A key that is a value is found once, however many values it names.
    let key = r#"{"jane.doe@corp.de":["a","b",{"x":"c"}]}"#;
    let (_, findings) = scanned(&mcp(key), &response("200 OK", DONE));
    let at = "$.params.arguments.*";
    assert_eq!(places(&findings), [("email_address", at, TextRole::Other, 1)]);
    // One value does not run into the next.
    let halves = format!(r#"{{"token":"","a":"{HEX}","b":["536-90","4399"]}}"#);
    let (_, findings) = scanned(&mcp(&halves), &response("200 OK", DONE));
    assert_eq!(places(&findings), []);
}

#[test]
fn a_field_that_is_nothing_but_a_value_needs_no_word() {
    let (_, findings) = scanned(
        &mcp(r#"{"customer":"44051401458","text":"44051401458"}"#),
        &response("200 OK", DONE),
    );
    let found = findings.iter().filter(|f| f.rule_id == "pl_pesel");
    assert_eq!(found.map(|f| f.count).sum::<u32>(), 2);
}

#[test]
fn what_stands_where_an_identifier_should_is_text() {
    let with = |key: &str, value: &str| {
        let body =
            format!(r#"{{"model":"m","{key}":"{value}","messages":[{{"role":"user","content":"x"}}]}}"#);
        let asked = request("POST /v1/chat/completions", "Host: api.openai.com\r\n", &body);
        let (facts, findings) = scanned(&asked, &response("200 OK", "{}"));
        let rules: Vec<String> = findings.into_iter().map(|f| f.rule_id).collect();
        (facts.conversation_id.or(facts.previous_response_id), rules)
    };
    for key in ["session_id", "conversation_id", "previous_response_id"] {
        assert_eq!(
            with(key, "jane.doe@corp.de"),
            (None, vec!["email_address".to_owned()]),
            "{key}"
        );
        assert_eq!(with(key, "resp_01-a"), (Some("resp_01-a".to_owned()), Vec::new()));
    }
}

#[test]
fn finish_reasons_are_words() {
    let reasons = |choice: &str| {
        let asked =
            r#"{"model":"m","stop":["mail jane.doe@corp.de"],"messages":[{"role":"user","content":"x"}]}"#;
        let asked = request(
            "POST /v1/chat/completions",
            "Host: vllm.corp.example:8000\r\n",
            asked,
        );
        let answer = format!(r#"{{"object":"chat.completion","choices":[{{"index":0,{choice}}}]}}"#);
        let (facts, findings) = scanned(&asked, &response("200 OK", &answer));
        let found = findings.iter().any(|f| f.place.side == Side::Response);
        (facts.finish_reasons.into_iter().collect::<Vec<_>>(), found)
    };
    let stop = r#""finish_reason":"stop","stop_reason":"mail jane.doe@corp.de""#;
    assert_eq!(reasons(stop), (vec!["stop".to_owned()], true));
    assert_eq!(
        reasons(r#""finish_reason":"stop","stop_reason":"Jane""#).0,
        ["stop"]
    );
    let said = reasons(r#""finish_reason":"said jane.doe@corp.de""#);
    assert_eq!(said, (Vec::new(), true));
}
