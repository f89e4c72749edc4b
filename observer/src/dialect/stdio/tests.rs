use super::super::TextRole;
use super::super::tests::{Hooks, catalog};
use super::*;
use crate::exchange::Exchange;

const C: Side = Side::Request;
const S: Side = Side::Response;

/// A session as the TypeScript SDK speaks it (method first, identifier last) and a server of the Python SDK.
const TALK: &[(Side, &str)] = &[
    (
        C,
        "{\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{},\"clientInfo\":{\"name\":\"agent\",\"version\":\"1.2\"}},\"jsonrpc\":\"2.0\",\"id\":0}\n",
    ),
    (
        S,
        "loading\n{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocolVersion\":\"2025-03-26\",\"capabilities\":{\"tools\":{}},\"serverInfo\":{\"name\":\"weather\",\"version\":\"0.9\"}}}\n",
    ),
    (
        C,
        "{\"method\":\"notifications/initialized\",\"jsonrpc\":\"2.0\"}\n",
    ),
    (
        C,
        "{\"method\":\"tools/list\",\"jsonrpc\":\"2.0\",\"id\":1}\n{\"method\":\"tools/call\",\"params\":{\"name\":\"forecast\",\"arguments\":{\"city\":\"Ulm\"}},\"jsonrpc\":\"2.0\",\"id\":2}\n",
    ),
    (
        S,
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progress\":1}}\n",
    ),
    (
        S,
        "{\"jsonrpc\":\"2.0\",\"id\":\"s1\",\"method\":\"sampling/createMessage\",\"params\":{\"messages\":[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":\"how warm?\"}}]}}\n",
    ),
    (
        S,
        "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"12 degrees\"}],\"isError\":true}}\n",
    ),
    (
        C,
        "{\"result\":{\"role\":\"assistant\",\"model\":\"m-1\",\"content\":{\"type\":\"text\",\"text\":\"very\"}},\"jsonrpc\":\"2.0\",\"id\":\"s1\"}\n",
    ),
    (S, "{\"result\":{\"tools\":[]},\"jsonrpc\":\"2.0\",\"id\":1}\n"),
    (C, "{\"method\":\"ping\",\"jsonrpc\":\"2.0\",\"id\":3}\n"),
    (
        S,
        "{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":-32601,\"message\":\"no\"}}\n",
    ),
];

fn reader() -> StdioReader {
    StdioReader::new(catalog())
}

/// Runs a talk in pieces of this size; each message has a time of its own.
fn run(talk: &[(Side, &str)], piece: usize) -> Hooks {
    let (mut reader, mut hooks) = (reader(), Hooks::default());
    for (now, (side, text)) in (1..).zip(talk) {
        for part in text.as_bytes().chunks(piece) {
            reader.push(*side, part, now, &mut hooks);
        }
    }
    reader.close(99, &mut hooks);
    hooks
}

fn methods(hooks: &Hooks) -> Vec<&str> {
    hooks
        .finished
        .iter()
        .map(|(_, facts)| facts.rpc.method.as_str())
        .collect()
}

fn of<'a>(hooks: &'a Hooks, method: &str) -> (u64, &'a Exchange) {
    let found = hooks
        .finished
        .iter()
        .find(|(_, facts)| facts.rpc.method == method);
    let (number, facts) = found.expect("a call of this method");
    (*number, facts)
}

#[test]
fn requests_and_their_answers_are_exchanges_whoever_asks() {
    let hooks = run(TALK, 4096);
    assert_eq!(
        methods(&hooks),
        [
            "initialize",
            "notifications/initialized",
            "tools/call",
            "sampling/createMessage",
            "tools/list",
            "ping"
        ]
    );
    assert!(hooks.lost.is_empty(), "{:?}", hooks.lost);
    for (_, facts) in &hooks.finished {
        assert_eq!(facts.dialect, Dialect::Mcp);
        assert_eq!(facts.incomplete(), None, "{}", facts.rpc.method);
        assert_eq!(facts.rpc.version.as_deref(), Some("2025-03-26"));
        let server = (facts.rpc.server.name.as_str(), facts.rpc.server.version.as_str());
        assert_eq!(server, ("weather", "0.9"));
        assert_eq!((facts.client.name.as_str(), facts.status), ("agent", None));
        assert_eq!((facts.method.as_str(), facts.host.as_str()), ("", ""));
    }
    let (number, call) = of(&hooks, "tools/call");
    let uses = |uses: &Option<crate::exchange::ToolUses>| {
        let uses = uses.as_ref().expect("known");
        (uses.count, uses.first[0].name.clone(), uses.first[0].bytes)
    };
    assert_eq!(uses(&call.tool_calls), (1, "forecast".to_owned(), 14));
    assert_eq!(uses(&call.tool_results), (1, "forecast".to_owned(), 10));
    assert_eq!(
        (call.operation, call.error_type.as_str()),
        ("execute_tool", "tool_error")
    );
    assert_eq!(
        (call.started_ns, call.first_response_ns, call.ended_ns),
        (4, Some(7), 7)
    );
    let arguments = hooks.texts[&number].with(TextRole::ToolArguments);
    assert_eq!(arguments, [r#""city": "Ulm""#]);
    assert_eq!(hooks.texts[&number].with(TextRole::ToolResult), ["12 degrees"]);
    let (number, sampling) = of(&hooks, "sampling/createMessage");
    assert_eq!(sampling.operation, "chat");
    assert_eq!(hooks.texts[&number].with(TextRole::Prompt), ["how warm?"]);
    assert_eq!(of(&hooks, "ping").1.error_type, "-32601");
}

#[test]
fn every_split_gives_the_same_exchanges() {
    let whole = run(TALK, usize::MAX);
    for piece in 1..180 {
        let cut = run(TALK, piece);
        assert_eq!(cut.finished, whole.finished, "pieces of {piece}");
        let texts = |hooks: &Hooks| -> Vec<_> {
            hooks
                .texts
                .values()
                .map(super::super::tests::Texts::all)
                .collect()
        };
        assert_eq!(texts(&cut), texts(&whole), "pieces of {piece}");
        assert!(cut.texts.values().all(super::super::tests::Texts::all_ended));
    }
}

#[test]
fn a_batch_is_its_messages() {
    let talk = [
        TALK[0],
        TALK[1],
        (
            C,
            "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"},{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"prompts/list\"}]\n",
        ),
        (
            S,
            "[{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}},\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}]\n",
        ),
    ];
    assert_eq!(
        methods(&run(&talk, 7)),
        ["initialize", "prompts/list", "tools/list"]
    );
}

#[test]
fn what_is_no_mcp_is_decided_early() {
    let scope = |talk: &[(Side, &str)]| {
        let (mut reader, mut hooks) = (reader(), Hooks::default());
        for (side, text) in talk {
            reader.push(*side, text.as_bytes(), 1, &mut hooks);
        }
        assert!(hooks.finished.is_empty() && hooks.lost.is_empty());
        reader.scope()
    };
    assert_eq!(scope(&[(C, "{\"level\":\"info\"}\n")]), Scope::Other);
    assert_eq!(
        scope(&[(C, &format!("{{}}\n{}", TALK[0].1))]),
        Scope::Other,
        "for good"
    );
    assert_eq!(
        scope(&[(C, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_call\"}\n")]),
        Scope::Undecided
    );
    assert_eq!(scope(&[(C, "{\"jsonrpc\":\"2.0\"")]), Scope::Undecided);
    let call = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_call\"}\n";
    let many = call.repeat(usize::try_from(MAX_UNDECIDED).unwrap() / call.len() + 1);
    assert_eq!(scope(&[(C, &many)]), Scope::Other);
    let (mut reader, mut hooks) = (reader(), Hooks::default());
    reader.push(C, TALK[0].1.as_bytes(), 1, &mut hooks);
    assert_eq!(reader.scope(), Scope::Ai);
}

#[test]
fn joined_in_the_middle_a_call_is_read_and_an_answer_to_nothing_is_lost() {
    let answer = "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n";
    let hooks = run(&[TALK[3], (S, answer), TALK[6], TALK[8]], 50);
    assert_eq!(methods(&hooks), ["tools/call", "tools/list"]);
    assert_eq!(hooks.lost, [(S, answer.len() as u64 - 1, Incomplete::Gap)]);
    assert_eq!(of(&hooks, "tools/call").1.rpc.version, None);
}

#[test]
fn a_hole_costs_what_it_is_in() {
    let (mut reader, mut hooks) = (reader(), Hooks::default());
    for (side, text) in &TALK[..4] {
        reader.push(*side, text.as_bytes(), 1, &mut hooks);
    }
    reader.push(
        S,
        b"{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"content\":",
        2,
        &mut hooks,
    );
    reader.gap(S, 3, &mut hooks);
    reader.push(S, b"lost}}\n", 4, &mut hooks);
    reader.push(S, TALK[8].1.as_bytes(), 5, &mut hooks);
    reader.close(6, &mut hooks);
    assert_eq!(
        of(&hooks, "tools/call").1.response_incomplete,
        Some(Incomplete::Gap)
    );
    assert_eq!(of(&hooks, "tools/list").1.incomplete(), None);
    assert_eq!(hooks.lost, [(S, 6, Incomplete::Gap)]);
}

#[test]
fn what_is_open_at_the_end_had_no_answer() {
    let hooks = run(&TALK[..4], 64);
    let call = of(&hooks, "tools/call").1;
    assert_eq!(
        (call.request_incomplete, call.response_incomplete),
        (None, Some(Incomplete::Closed))
    );
}

#[test]
fn an_answer_may_be_reported_before_its_question() {
    let talk = [TALK[0], TALK[1], TALK[7], TALK[5]];
    let hooks = run(&talk, 4096);
    let sampling = of(&hooks, "sampling/createMessage").1;
    assert_eq!(sampling.incomplete(), None);
    assert!(hooks.lost.is_empty(), "{:?}", hooks.lost);
    let never = run(&talk[..3], 4096);
    assert_eq!(never.lost.len(), 1);
}

#[test]
fn requests_beyond_the_budget_are_given_up() {
    let mut talk = vec![TALK[0], TALK[1]];
    let calls: Vec<String> = (0..=MAX_OPEN)
        .map(|id| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/list\"}}\n"))
        .collect();
    talk.extend(calls.iter().map(|call| (C, call.as_str())));
    let hooks = run(&talk, 4096);
    let given_up = |why| {
        hooks
            .finished
            .iter()
            .filter(|(_, facts)| facts.response_incomplete == Some(why))
            .count()
    };
    assert_eq!(
        (given_up(Incomplete::OverBudget), given_up(Incomplete::Closed)),
        (1, MAX_OPEN)
    );
}

#[test]
fn a_result_whose_number_comes_too_late_is_read_in_part() {
    let long = "x".repeat(2 * MAX_HELD);
    let late = format!(
        "{{\"result\":{{\"content\":[{{\"type\":\"text\",\"text\":\"{long}\"}}]}},\"jsonrpc\":\"2.0\",\"id\":2}}\n"
    );
    let early = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{{\"content\":[{{\"type\":\"text\",\"text\":\"{long}\"}}]}}}}\n"
    );
    for (answer, flaw) in [(&late, Some(Incomplete::OverBudget)), (&early, None)] {
        let talk = [TALK[0], TALK[1], TALK[3], (S, answer.as_str())];
        let hooks = run(&talk, 16 * 1024);
        let call = of(&hooks, "tools/call").1;
        assert_eq!(call.response_incomplete, flaw);
        assert_eq!(call.response_bytes, answer.len() as u64 - 1);
    }
}

#[test]
fn long_arguments_before_the_version_are_mcp() {
    let long = "y".repeat(100_000);
    let call = format!(
        "{{\"method\":\"tools/call\",\"params\":{{\"name\":\"t\",\"arguments\":{{\"a\":\"{long}\"}}}},\"jsonrpc\":\"2.0\",\"id\":2}}\n"
    );
    let hooks = run(&[TALK[0], TALK[1], (C, &call), TALK[6]], 8192);
    assert_eq!(of(&hooks, "tools/call").1.incomplete(), None);
}

#[test]
fn newer_clients_say_who_they_are_in_each_message() {
    let meta = "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\"io.modelcontextprotocol/clientInfo\":{\"name\":\"agent\",\"version\":\"2\"}}";
    let server = "\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"weather\",\"version\":\"\"}}";
    let asked = |id: u8, method: &str| {
        format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{{{meta}}}}}\n")
    };
    let answer = |id: u8| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{{server}}}}}\n");
    let (first, second) = (asked(1, "server/discover"), asked(2, "tools/list"));
    let hooks = run(&[(C, &first), (S, &answer(1)), (C, &second), (S, &answer(2))], 9);
    assert_eq!(methods(&hooks), ["server/discover", "tools/list"]);
    for (_, facts) in &hooks.finished {
        assert_eq!(facts.rpc.version.as_deref(), Some("2026-07-28"));
        assert_eq!(facts.rpc.server.name, "weather");
        assert_eq!(
            (facts.client.name.as_str(), facts.client.version.as_str()),
            ("agent", "2")
        );
    }
}

#[test]
fn a_message_that_finds_no_memory_is_cut() {
    let ask = "{\"method\":\"tools/list\",\"jsonrpc\":\"2.0\",\"id\":1}\n";
    let answer = format!(
        "{{\"result\":{{\"tools\":[],\"x\":\"{}\"}},\"jsonrpc\":\"2.0\",\"id\":1}}\n",
        "y".repeat(8_000)
    );
    for (room, flaw) in [(64 * 1024, None), (2_048, Some(Incomplete::OverBudget))] {
        let others = crate::budget::testing::all_but(room);
        let hooks = run(&[TALK[0], TALK[1], (C, ask), (S, &answer)], 1_000);
        let (_, facts) = of(&hooks, "tools/list");
        assert_eq!(facts.response_incomplete, flaw, "room for {room}");
        drop(others);
    }
}
