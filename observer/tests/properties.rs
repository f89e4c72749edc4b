//! Properties of the whole pipeline under generated traffic: where records end, how flows are interleaved, what is lost
//! and what comes twice must show in the rows as what it is and as nothing else.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

#[path = "../src/pipeline/testbed.rs"]
#[expect(
    dead_code,
    reason = "shared with the unit tests of the pipeline, which use all of it"
)]
mod testbed;

/// What the test bed is made of.
mod imports {
    pub(super) use observer::{
        catalog::Catalog,
        config::Glob,
        coverage::Stage,
        evidence::{ConnectionRow, FindingRow, InteractionRow},
        identity::{Ancestor, Identity, ProcessKey},
        pipeline::{Output, Pipeline, Rulebook},
        policy::{Judge, Policy},
        sensitive::{Engine, HmacKey, Rules},
    };
    pub(super) use observer_common::{
        maps::FlowKey,
        wire::{
            Body, CLASS_UNDECIDED, Close, Connect, DIRECTION_RECEIVED, DIRECTION_SENT, Header, STACK_OPENSSL,
            TIE_IN_CALL, TRANSPORT_TCP, TlsData, TlsFree, TlsName,
        },
    };
}

use std::collections::BTreeMap;

use imports::*;
use observer::pipeline::MAX_FLOWS;
use testbed::*;

/// Small deterministic generator (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

/// One direction of a conversation: who speaks, and what.
type Turn = (u8, Vec<u8>);

fn gzip(data: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// Conversations of different kinds; each has its own texts.
fn conversation(kind: usize, number: usize) -> Vec<Turn> {
    let (sent, received) = (DIRECTION_SENT, DIRECTION_RECEIVED);
    let prompt = format!("conversation {number}: {} and 4111 1111 1111 1111", secret());
    match kind % 8 {
        0 => vec![(sent, chat(&prompt)), (received, answer(&prompt))],
        1 => vec![(sent, chat(&prompt)), (received, streamed(40))],
        2 => (0..3)
            .flat_map(|_| [(sent, chat(&prompt)), (received, answer("ok"))])
            .collect(),
        3 => {
            let body = gzip(format!(r#"{{"model":"claude-{number}","max_tokens":5,"messages":[{{"role":"user","content":"{prompt}"}}]}}"#).as_bytes());
            let mut request = format!("POST /v1/messages HTTP/1.1\r\nHost: api.anthropic.com\r\nContent-Encoding: gzip\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
            request.extend(body);
            let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#;
            let response = format!(
                "HTTP/1.1 529 Overloaded\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{error}",
                error.len()
            );
            vec![(sent, request), (received, response.into_bytes())]
        }
        4 => vec![
            (sent, b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n".to_vec()),
            (
                received,
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec(),
            ),
        ],
        5 => vec![
            (sent, [chat(&prompt), chat("second")].concat()),
            (received, [answer("a"), streamed(3)].concat()),
        ],
        6 => http2(&prompt),
        _ => websocket(&prompt),
    }
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let mut out = vec![0, length[0], length[1], kind, flags, 0, 0, 0, stream];
    out.extend_from_slice(payload);
    out
}

/// Two calls at the same time over HTTP/2; the second head refers to the table that the first one filled.
fn http2(prompt: &str) -> Vec<Turn> {
    let literal = |name: &str, value: &str| {
        let octet = |text: &str| u8::try_from(text.len()).unwrap();
        [
            &[0x40, octet(name)],
            name.as_bytes(),
            &[octet(value)],
            value.as_bytes(),
        ]
        .concat()
    };
    let head = [
        b"\x83\x87".to_vec(),
        literal(":authority", "api.openai.com"),
        literal(":path", "/v1/chat/completions"),
        literal("content-type", "application/json"),
    ]
    .concat();
    let body =
        |text: &str| format!(r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"{text}"}}]}}"#);
    let (first, second) = (body(prompt), body("second"));
    let (front, back) = first.as_bytes().split_at(40);
    let sent = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, 0, b""),
        frame(1, 0, 1, &head[..20]),
        frame(9, 4, 1, &head[20..]),
        frame(0, 0, 1, front),
        frame(1, 4, 3, b"\x83\x87\xc0\xbf\xbe"),
        frame(0, 1, 3, second.as_bytes()),
        frame(0, 9, 1, &[&[2], back, b"\0\0"].concat()),
    ];
    let stream = "data: {\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n";
    let end =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":6}}\n\ndata: [DONE]\n\n";
    let received = [
        frame(4, 0, 0, b""),
        frame(
            1,
            4,
            3,
            &[&b"\x88"[..], &literal("content-type", "text/event-stream")].concat(),
        ),
        frame(1, 4, 1, b"\x88\xbe"),
        frame(0, 0, 1, stream.as_bytes()),
        frame(0, 0, 3, stream.as_bytes()),
        frame(0, 1, 3, end.as_bytes()),
        frame(8, 0, 0, &[0, 0, 1, 0]),
        frame(0, 1, 1, end.as_bytes()),
    ];
    vec![
        (DIRECTION_SENT, sent.concat()),
        (DIRECTION_RECEIVED, received.concat()),
    ]
}

/// A call over a WebSocket.
fn websocket(prompt: &str) -> Vec<Turn> {
    let message = |first: u8, key: Option<u8>, text: &str| {
        let length = u16::try_from(text.len()).unwrap().to_be_bytes();
        let mut out = vec![
            first,
            126 | if key.is_some() { 0x80 } else { 0 },
            length[0],
            length[1],
        ];
        out.extend(key.map(|key| [key; 4]).iter().flatten());
        out.extend(text.bytes().map(|octet| octet ^ key.unwrap_or(0)));
        out
    };
    let handshake = b"GET /v1/responses HTTP/1.1\r\nHost: api.openai.com\r\nUpgrade: websocket\r\n\r\n";
    let accepted = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
    let ask = format!(r#"{{"type":"response.create","model":"gpt-5","input":"{prompt}"}}"#);
    let events = [
        r#"{"type":"response.created","response":{"id":"resp_1","object":"response","status":"in_progress","model":"m"}}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"hi"}"#,
        r#"{"type":"response.completed","response":{"id":"resp_1","object":"response","status":"completed","model":"m","usage":{"input_tokens":5,"output_tokens":6}}}"#,
    ];
    let events = events.map(|event| message(0x81, None, event));
    vec![
        (DIRECTION_SENT, handshake.to_vec()),
        (DIRECTION_RECEIVED, accepted.to_vec()),
        (DIRECTION_SENT, message(0x81, Some(7), &ask)),
        (DIRECTION_RECEIVED, events.concat()),
    ]
}

/// Cuts every turn into records of random sizes.
fn cut(turns: &[Turn], random: &mut Random, largest: usize) -> Vec<Turn> {
    let mut pieces = Vec::new();
    for (direction, bytes) in turns {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((1 + random.below(largest)).min(rest.len()));
            pieces.push((*direction, piece.to_vec()));
            rest = after;
        }
    }
    pieces
}

/// Every book balances, and what it calls lost is there by reason, once for each row that says so.
fn check_books(bed: &mut Bed) {
    let books = bed.pipeline.books();
    for book in books {
        assert_eq!(book.seen, book.delivered + book.lost + book.held, "{book:?}");
        let stages = [Stage::Flow, Stage::Protocol, Stage::Scan];
        let stage = stages
            .into_iter()
            .find(|stage| stage.name() == book.stage)
            .unwrap();
        let ledger = bed.pipeline.ledger();
        assert_eq!(book.lost, ledger.in_book(stage), "{book:?} {ledger:?}");
    }
    let mut by_reason: BTreeMap<String, u64> = BTreeMap::new();
    for row in bed.interactions() {
        if row.visibility == "partial" {
            *by_reason.entry(row.visibility_reason.clone()).or_default() += 1;
        }
    }
    assert_eq!(by_reason.values().sum::<u64>(), books[1].lost);
    for (reason, rows) in by_reason {
        assert_eq!(bed.lost(Stage::Protocol, &reason).0, rows, "{reason}");
    }
}

/// What rows say, without the times, which depend on the records.
fn facts(bed: &Bed) -> BTreeMap<u64, Vec<String>> {
    let mut all: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for output in &bed.outputs {
        match output {
            Output::Interaction(row, findings) => {
                let mut row = (**row).clone();
                let id = row.flow_id;
                (row.ts, row.duration_ns) = (0, 0);
                row.time_to_first_chunk_ns = row.time_to_first_chunk_ns.map(|_| 0);
                row.time_to_first_byte_ns = row.time_to_first_byte_ns.map(|_| 0);
                // Numbered in the order in which requests begin.
                row.request_seq = row.request_seq.min(1);
                let findings: Vec<_> = findings
                    .iter()
                    .map(|f| FindingRow { ts: 0, ..f.clone() })
                    .collect();
                all.entry(id).or_default().push(format!("{row:?} {findings:?}"));
            }
            Output::Connection(row) => {
                let mut row = (**row).clone();
                let id = row.connection_id;
                (row.ts, row.closed_ts) = (0, 0);
                all.entry(id).or_default().push(format!("{row:?}"));
            }
            Output::Decide { flow_id, class } => {
                all.entry(*flow_id)
                    .or_default()
                    .insert(0, format!("decided {class}"));
            }
            Output::Forget { .. }
            | Output::ForgetSocket { .. }
            | Output::ForgetClass { .. }
            | Output::WentDark { .. }
            | Output::Enforce(_)
            | Output::Cut { .. } => {}
        }
    }
    all
}

/// Plays conversations, each on a flow and connection of its own, record by record in random order.
fn play(conversations: &[Vec<Turn>], random: &mut Random, twice: bool) -> Bed {
    let mut bed = Bed::new();
    let mut open: Vec<(TestFlow, Vec<Turn>)> = Vec::new();
    for (number, turns) in (1u32..).zip(conversations) {
        let flow = flow(number.into(), &process(100 + number % 3));
        bed.connect(&flow);
        open.push((flow, turns.iter().rev().cloned().collect()));
    }
    while !open.is_empty() {
        let at = random.below(open.len());
        let (flow, rest) = &mut open[at];
        let Some((direction, piece)) = rest.pop() else {
            let (flow, _) = open.swap_remove(at);
            bed.free(&flow);
            bed.close(&flow, 1, 1);
            continue;
        };
        if direction == DIRECTION_SENT {
            bed.sent(flow, &piece);
        } else {
            bed.received(flow, &piece);
        }
        if twice && random.below(3) == 0 {
            let offset = flow.offset[usize::from(direction)] - piece.len() as u64;
            bed.piece(flow, direction, offset, &piece);
        }
    }
    bed.tick_after(GRACE_NS);
    bed.finish();
    check_books(&mut bed);
    bed
}

fn conversations(count: usize) -> Vec<Vec<Turn>> {
    (0..count).map(|number| conversation(number, number)).collect()
}

#[test]
fn where_records_end_and_how_flows_interleave_does_not_matter() {
    let whole = conversations(16);
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let expected = facts(&play(&whole, &mut random, false));
    // Fourteen conversations are AI: they have rows and a connection; two are not.
    assert_eq!(expected.values().filter(|rows| rows.len() > 1).count(), 14);
    for round in 0..60 {
        let largest = [1, 7, 60, 500, 3_000][round % 5];
        let pieces: Vec<_> = whole
            .iter()
            .map(|turns| cut(turns, &mut random, largest))
            .collect();
        let seen = facts(&play(&pieces, &mut random, false));
        assert!(
            seen == expected,
            "round {round}, records of up to {largest} bytes"
        );
    }
}

#[test]
fn records_that_come_twice_are_taken_once() {
    let whole = conversations(16);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let expected = facts(&play(&whole, &mut random, false));
    for round in 0..20 {
        let pieces: Vec<_> = whole.iter().map(|turns| cut(turns, &mut random, 200)).collect();
        let seen = facts(&play(&pieces, &mut random, true));
        assert!(seen == expected, "round {round}");
    }
}

/// Two tests, for two processors: streams have most of the places.
#[test]
fn every_single_cut_of_streams_gives_the_same() {
    every_single_cut(&[1, 5]);
}

#[test]
fn every_single_cut_gives_the_same() {
    every_single_cut(&[0, 3, 6, 7]);
}

/// Every single place at which a conversation can be cut in two.
fn every_single_cut(kinds: &[usize]) {
    for &kind in kinds {
        let turns = conversation(kind, kind);
        let expected = facts(&play(std::slice::from_ref(&turns), &mut Random(1), false));
        for (at, (direction, bytes)) in turns.iter().enumerate() {
            for place in 1..bytes.len() {
                let mut cut = turns.clone();
                cut.splice(
                    at..=at,
                    [
                        (*direction, bytes[..place].to_vec()),
                        (*direction, bytes[place..].to_vec()),
                    ],
                );
                let seen = facts(&play(&[cut], &mut Random(1), false));
                assert!(seen == expected, "kind {kind}, turn {at}, cut at {place}");
            }
        }
    }
}

#[test]
fn what_was_sent_is_delivered_or_booked_as_a_gap() {
    let mut random = Random(0x1234_5678_9abc_def1);
    for round in 0..60 {
        let mut bed = Bed::new();
        let (mut flows, mut lost) = (Vec::new(), 0);
        for number in 1..=6u32 {
            // Only AI conversations: what is left of others is not wanted, so not lost.
            let turns = conversation([0, 1, 2, 5][random.below(4)], 1);
            let mut flow = flow(number.into(), &process(100));
            bed.connect(&flow);
            bed.name(&flow, "api.openai.com");
            let mut missing = [0; 2];
            for (direction, piece) in cut(&turns, &mut random, 300) {
                if random.below(8) == 0 {
                    flow.offset[usize::from(direction)] += piece.len() as u64;
                    missing[usize::from(direction)] += piece.len() as u64;
                } else if direction == DIRECTION_SENT {
                    bed.sent(&mut flow, &piece);
                } else {
                    bed.received(&mut flow, &piece);
                }
            }
            bed.free(&flow);
            bed.close(&flow, 1, 1);
            lost += missing[0] + missing[1];
            flows.push((flow, missing));
        }
        bed.tick_after(GRACE_NS);
        let gaps = bed.lost(Stage::Flow, "gap").1 + bed.lost(Stage::Flow, "gap_at_end").1;
        assert_eq!(gaps, lost, "round {round}");
        check_books(&mut bed);
        for row in bed.connections() {
            let found = flows
                .iter()
                .find(|(flow, _)| flow.connection_id == row.connection_id);
            let (flow, missing) = found.unwrap();
            assert_eq!(row.plaintext_sent + missing[0], flow.offset[0], "round {round}");
            assert_eq!(
                row.plaintext_received + missing[1],
                flow.offset[1],
                "round {round}"
            );
            let whole = row.opaque_reason.is_empty();
            assert_eq!(
                whole,
                missing == &[0, 0],
                "round {round}: {} {}",
                row.visibility,
                row.opaque_reason
            );
        }
        assert_eq!(bed.connections().len(), 6);
    }
}

/// Any kind of traffic, any record lost, any end: of the flow, of the process, of the daemon.
#[test]
fn whatever_is_lost_the_books_balance_by_reason() {
    let mut random = Random(0x5bd1_e995_9d1b_58cf);
    let mut lost = 0;
    for round in 0..100 {
        let mut bed = Bed::new();
        let lose_one_of = [4, 16, usize::MAX][round % 3];
        for number in 1..=8u32 {
            let turns = conversation(random.below(8), 1);
            let mut flow = flow(number.into(), &process(100 + number));
            bed.connect(&flow);
            if random.below(2) == 0 {
                bed.name(&flow, "api.openai.com");
            }
            let pieces = cut(&turns, &mut random, 300);
            let until = random.below(2 * pieces.len());
            for (direction, piece) in pieces.into_iter().take(until) {
                if random.below(lose_one_of) == 0 {
                    flow.offset[usize::from(direction)] += piece.len() as u64;
                } else if direction == DIRECTION_SENT {
                    bed.sent(&mut flow, &piece);
                } else {
                    bed.received(&mut flow, &piece);
                }
            }
            match random.below(4) {
                0 => bed.record(&flow, &Body::Exit),
                1 => {}
                _ => bed.free(&flow),
            }
        }
        check_books(&mut bed);
        bed.finish();
        check_books(&mut bed);
        lost += bed.pipeline.books()[1].lost;
    }
    assert!(lost > 100, "only {lost} exchanges were lost");
}

#[test]
fn a_hostile_flow_does_not_change_the_rows_of_another() {
    let honest = conversations(8);
    let mut random = Random(0xdead_beef_cafe_f00d);
    let expected = facts(&play(&honest, &mut random, false));
    for round in 0..60 {
        let mut bed = Bed::new();
        let mut open: Vec<(TestFlow, Vec<Turn>)> = (1u32..)
            .zip(&honest)
            .map(|(n, turns)| {
                (
                    flow(n.into(), &process(100 + n % 3)),
                    cut(turns, &mut random, 400),
                )
            })
            .collect();
        open.iter().for_each(|(flow, _)| bed.connect(flow));
        // The hostile one is a flow of the same process as the first.
        let mut hostile = flow(1_000, &open[0].0.process);
        open.iter_mut().for_each(|(_, turns)| turns.reverse());
        while !open.is_empty() {
            harm(&mut bed, &mut hostile, &mut random);
            let at = random.below(open.len());
            let (flow, rest) = &mut open[at];
            match rest.pop() {
                Some((DIRECTION_SENT, piece)) => bed.sent(flow, &piece),
                Some((_, piece)) => bed.received(flow, &piece),
                None => {
                    bed.free(flow);
                    bed.close(flow, 1, 1);
                    open.swap_remove(at);
                }
            }
        }
        bed.tick_after(GRACE_NS);
        bed.finish();
        check_books(&mut bed);
        let mut seen = facts(&bed);
        seen.remove(&1_000);
        seen.remove(&0);
        assert!(seen == expected, "round {round}");
    }
}

/// Something that no honest client does.
fn harm(bed: &mut Bed, flow: &mut TestFlow, random: &mut Random) {
    let direction = u8::try_from(random.below(3)).unwrap();
    let noise: Vec<u8> = (0..random.below(300))
        .map(|_| u8::try_from(random.below(256)).unwrap())
        .collect();
    let side = usize::from(direction.min(1));
    match random.below(9) {
        0 => bed.piece(flow, direction, random.0, &noise),
        1 => bed.sent(flow, &noise),
        2 => bed.received(flow, &noise),
        3 => bed.sent(flow, &chat(&"[".repeat(3_000))),
        4 => bed.received(
            flow,
            b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
        ),
        5 => flow.offset[side] = flow.offset[side].wrapping_add(random.0 >> random.below(60)) >> 1,
        6 => bed.name(flow, &String::from_utf8_lossy(&noise)),
        7 => bed.connect(flow),
        _ => bed.sent(
            flow,
            b"POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        ),
    }
}

#[test]
fn twenty_thousand_open_flows_are_bounded_and_counted() {
    let mut bed = Bed::new();
    let request = chat(&"a long prompt that does not end ".repeat(60));
    let half = &request[..request.len() - 10];
    let before = resident_kib();
    let processes: Vec<_> = (0..50).map(|n| process(100 + n)).collect();
    for id in 1..=20_000u64 {
        let mut flow = flow(id, &processes[usize::try_from(id).unwrap() % 50]);
        bed.sent(&mut flow, half);
    }
    assert_eq!(bed.pipeline.open_flows(), MAX_FLOWS);
    let refused = 20_000 - MAX_FLOWS as u64;
    assert_eq!(
        bed.lost(Stage::Flow, "flow_table_full"),
        (refused, refused * half.len() as u64)
    );
    // Nothing of what was sent is kept but the state of parser and scan.
    let per_flow = resident_kib().saturating_sub(before) / MAX_FLOWS as u64;
    assert!(per_flow <= MAX_KIB_PER_FLOW, "{per_flow} KiB for each open flow");
    for process in &processes {
        bed.record(&flow(0, process), &Body::Exit);
    }
    assert_eq!(
        (bed.pipeline.open_flows(), bed.interactions().len()),
        (0, MAX_FLOWS)
    );
    check_books(&mut bed);
    let mut late = flow(30_000, &processes[0]);
    bed.call(&mut late, &chat("x"), &answer("y"));
    assert_eq!(bed.interactions().last().unwrap().visibility, "decoded");
}

/// Memory of one flow in the middle of a prompt: parser state, vectorscan's stream and its look-back window (about 27 KiB),
/// with room for what the allocator and the tests beside this one take.
const MAX_KIB_PER_FLOW: u64 = 48;

fn resident_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A streamed answer of this many events.
fn streamed(events: usize) -> Vec<u8> {
    let mut out =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let mut chunk = |text: String| {
        out.extend_from_slice(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes());
    };
    for n in 0..events {
        chunk(format!(
            "data: {{\"object\":\"chat.completion.chunk\",\"model\":\"gpt-4o-2024\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"w{n} \"}}}}]}}\n\n"
        ));
    }
    chunk(
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":6}}\n\ndata: [DONE]\n\n"
            .to_owned(),
    );
    out.extend_from_slice(b"0\r\n\r\n");
    out
}
