//! Several exchanges on one connection, holes, joins in the middle, hostile input.

use super::*;
use crate::dialect::connection::MAX_OPEN;
use crate::exchange::DialectEvidence;

const ASK: &str = r#"{"model":"m","messages":[{"role":"user","content":"QUESTION"}]}"#;
const ANSWER: &str = r#"{"object":"chat.completion","model":"m1","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;

fn ask(text: &str) -> Vec<u8> {
    request(
        "POST /v1/chat/completions",
        "host: api.openai.com\r\n",
        &ASK.replace("QUESTION", text),
    )
}

#[test]
fn pipelined_exchanges_keep_their_texts_apart() {
    let requests: Vec<u8> = (0..5).flat_map(|n| ask(&format!("q{n}"))).collect();
    let responses: Vec<u8> = (0..5).flat_map(|_| response("200 OK", ANSWER)).collect();
    let hooks = run(
        &catalog(),
        None,
        &[(Side::Request, &requests), (Side::Response, &responses)],
        17,
    );
    assert_eq!(
        hooks.finished.iter().map(|(n, _)| *n).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4]
    );
    for n in 0..5u64 {
        assert_eq!(hooks.texts[&n].with(TextRole::Prompt), [format!("q{n}")]);
    }
}

#[test]
fn a_known_hole_in_a_prompt_leaves_the_exchange() {
    let bytes = ask(&"x".repeat(5000));
    let mut hooks = Hooks::default();
    let mut reader = ConnectionReader::new(catalog(), None);
    reader.push(Side::Request, &bytes[..300], 1, &mut hooks);
    reader.gap(Side::Request, Some(1000), 2, &mut hooks);
    reader.push(Side::Request, &bytes[1300..], 3, &mut hooks);
    reader.push(Side::Response, &response("200 OK", ANSWER), 4, &mut hooks);
    assert_eq!(hooks.finished.len(), 1, "finished without a close");
    let facts = &hooks.finished[0].1;
    assert_eq!(facts.request_incomplete, Some(Incomplete::Gap));
    assert_eq!(
        (facts.response_incomplete, facts.usage.output_tokens),
        (None, Some(2))
    );
    assert_eq!(facts.request_bytes, bytes.len() as u64, "the hole counts as sent");
    let text: usize = hooks.texts[&0]
        .all()
        .iter()
        .map(|(.., text)| text.matches('x').count())
        .sum();
    assert_eq!(text, 4000, "what came is read");
}

#[test]
fn joined_in_the_middle_the_answer_alone_is_recognised() {
    let mut hooks = Hooks::default();
    let mut reader = ConnectionReader::new(catalog(), Some("api.openai.com"));
    reader.gap(Side::Request, None, 1, &mut hooks);
    reader.push(Side::Request, b"rest of a prompt\"}]}", 1, &mut hooks);
    reader.push(Side::Response, &response("200 OK", ANSWER), 2, &mut hooks);
    assert_eq!(hooks.finished.len(), 1);
    let facts = &hooks.finished[0].1;
    assert_eq!(
        (facts.evidence, facts.provider.as_str()),
        (DialectEvidence::Host, "openai")
    );
    assert_eq!(facts.request_incomplete, Some(Incomplete::Gap));
    assert_eq!((facts.method.as_str(), facts.usage.input_tokens), ("", Some(1)));
    assert_eq!(hooks.lost, [(Side::Request, 20, Incomplete::Gap)]);
}

#[test]
fn too_many_open_exchanges_are_given_up_in_order_and_named() {
    let mut hooks = Hooks::default();
    let mut reader = ConnectionReader::new(catalog(), None);
    for n in 0..MAX_OPEN + 3 {
        reader.push(Side::Request, &ask("q"), n as u64, &mut hooks);
    }
    assert_eq!(
        hooks.finished.iter().map(|(n, _)| *n).collect::<Vec<_>>(),
        [0, 1, 2]
    );
    assert!(
        hooks
            .finished
            .iter()
            .all(|(_, f)| f.response_incomplete == Some(Incomplete::OverBudget))
    );
    reader.close(999, &mut hooks);
    assert_eq!(hooks.finished.len(), MAX_OPEN + 3, "every exchange ends");
    assert_eq!(hooks.finished[10].1.response_incomplete, Some(Incomplete::Closed));
    assert_eq!(hooks.finished[10].1.ended_ns, 999);
}

#[test]
fn what_follows_a_switch_is_counted() {
    let mut hooks = Hooks::default();
    let mut reader = ConnectionReader::new(catalog(), Some("api.openai.com"));
    reader.push(
        Side::Request,
        b"GET /v1/socket HTTP/1.1\r\nhost: api.openai.com\r\nupgrade: websocket\r\n\r\n",
        1,
        &mut hooks,
    );
    reader.push(
        Side::Response,
        b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\n\r\n\x81\x01a",
        2,
        &mut hooks,
    );
    reader.push(Side::Request, b"\x81\x81....", 3, &mut hooks);
    assert_eq!(reader.unsupported(), Some("websocket"));
    assert_eq!(
        hooks.lost,
        [
            (Side::Response, 3, Incomplete::Unsupported),
            (Side::Request, 6, Incomplete::Unsupported)
        ]
    );
}

#[test]
fn every_split_gives_the_same_facts_and_texts() {
    let requests: Vec<u8> = [ask("one \\u00e9"), ask("two")].concat();
    let body = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ab\"}}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":3}}\n\n";
    let responses = [stream("", body, 30), response("200 OK", ANSWER)].concat();
    let seen = |cut_request: usize, cut_response: usize| {
        let mut hooks = Hooks::default();
        let mut reader = ConnectionReader::new(catalog(), None);
        for (side, bytes, cut) in [
            (Side::Request, &requests, cut_request),
            (Side::Response, &responses, cut_response),
        ] {
            reader.push(side, &bytes[..cut], 1, &mut hooks);
            reader.push(side, &bytes[cut..], 1, &mut hooks);
        }
        reader.close(2, &mut hooks);
        let texts: Vec<_> = hooks.texts.values().map(Texts::all).collect();
        (hooks.finished, texts)
    };
    let whole = seen(0, 0);
    assert_eq!(whole.0.len(), 2);
    for cut in 0..=requests.len() {
        assert!(seen(cut, 0) == whole, "request cut at {cut}");
    }
    for cut in 0..=responses.len() {
        assert!(seen(0, cut) == whole, "response cut at {cut}");
    }
}

/// Small deterministic generator.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

#[test]
fn hostile_input_never_panics_and_every_exchange_ends() {
    let good = [ask("q"), ask("r")].concat();
    let body = gzip(b"data: {\"choices\":[{\"delta\":{\"content\":\"ab\"}}]}\n\n");
    let answers = [
        stream("content-encoding: gzip\r\n", &body, 9),
        response("200 OK", ANSWER),
    ]
    .concat();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..3000 {
        let mut hooks = Hooks::default();
        let mut reader = ConnectionReader::new(catalog(), Some("api.openai.com"));
        for (side, bytes) in [(Side::Request, &good), (Side::Response, &answers)] {
            let mut bytes = bytes.clone();
            for _ in 0..random.below(4) {
                if bytes.is_empty() {
                    break;
                }
                let at = random.below(bytes.len());
                match random.below(3) {
                    0 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
                    1 => drop(bytes.drain(at..(at + random.below(40)).min(bytes.len()))),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            let cut = random.below(bytes.len() + 1);
            reader.push(side, &bytes[..cut], 1, &mut hooks);
            match random.below(4) {
                0 => reader.gap(side, Some(random.below(200) as u64), 2, &mut hooks),
                1 => reader.gap(side, None, 2, &mut hooks),
                _ => {}
            }
            reader.push(side, &bytes[cut..], 3, &mut hooks);
        }
        reader.close(4, &mut hooks);
        let mut seen: Vec<u64> = hooks
            .finished
            .iter()
            .map(|(n, _)| *n)
            .chain(hooks.not_ai.iter().map(|(n, _)| *n))
            .collect();
        seen.sort_unstable();
        let before = seen.len();
        seen.dedup();
        assert_eq!(seen.len(), before, "an exchange is reported once");
        for (number, _) in &hooks.finished {
            assert!(
                hooks.texts.get(number).is_none_or(Texts::all_ended),
                "texts of a finished exchange are over"
            );
        }
    }
}
