use super::*;
use crate::protocol::{RequestHead, ResponseHead};

/// An event without the cuts of its input: body pieces and skipped bytes of one run joined.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Request(u64, RequestHead),
    Response(u64, ResponseHead),
    Body(u64, Side, Vec<u8>),
    Gap(u64, Side, Option<u64>),
    End(u64, Side, Option<Incomplete>, u64),
    Skipped(Side, u64, Incomplete),
    Switched(u64),
    Tunnel(u64, Side, Vec<u8>),
    TunnelGap(u64, Side, Option<u64>),
}

fn note(seen: &mut Vec<Seen>, event: HttpEvent<'_>) {
    match event {
        HttpEvent::RequestHead { exchange, head } => seen.push(Seen::Request(exchange, head)),
        HttpEvent::ResponseHead { exchange, head } => seen.push(Seen::Response(exchange, head)),
        HttpEvent::Body { exchange, side, data } => match seen.last_mut() {
            Some(Seen::Body(e, s, body)) if (*e, *s) == (exchange, side) => body.extend_from_slice(data),
            _ => seen.push(Seen::Body(exchange, side, data.to_vec())),
        },
        HttpEvent::BodyGap {
            exchange,
            side,
            missing,
        } => seen.push(Seen::Gap(exchange, side, missing)),
        HttpEvent::End {
            exchange,
            side,
            incomplete,
            wire_bytes,
        } => {
            seen.push(Seen::End(exchange, side, incomplete, wire_bytes));
        }
        HttpEvent::Skipped { side, bytes, reason } => match seen.last_mut() {
            Some(Seen::Skipped(s, sum, r)) if (*s, *r) == (side, reason) => *sum += bytes,
            _ => seen.push(Seen::Skipped(side, bytes, reason)),
        },
        HttpEvent::Trailers { .. } => panic!("trailers of HTTP/1.1 are passed over"),
        HttpEvent::Switched { exchange } => seen.push(Seen::Switched(exchange)),
        HttpEvent::Tunnel { exchange, side, data } => {
            seen.push(Seen::Tunnel(exchange, side, data.to_vec()));
        }
        HttpEvent::TunnelGap {
            exchange,
            side,
            missing,
        } => {
            seen.push(Seen::TunnelGap(exchange, side, missing));
        }
    }
}

struct Run {
    http: Http1Connection,
    seen: Vec<Seen>,
}

impl Run {
    fn new() -> Self {
        Self {
            http: Http1Connection::new(),
            seen: Vec::new(),
        }
    }
    fn push(&mut self, side: Side, data: &[u8]) {
        self.http
            .push(side, data, &mut |event| note(&mut self.seen, event));
    }
    fn gap(&mut self, side: Side, missing: Option<u64>) {
        self.http
            .gap(side, missing, &mut |event| note(&mut self.seen, event));
    }
    fn close(mut self) -> Vec<Seen> {
        self.http.close(&mut |event| note(&mut self.seen, event));
        self.seen
    }
    fn ends(&self) -> Vec<(u64, Side, Option<Incomplete>)> {
        let ends = self.seen.iter().filter_map(|s| match s {
            Seen::End(exchange, side, why, _) => Some((*exchange, *side, *why)),
            _ => None,
        });
        ends.collect()
    }
    fn bodies(&self, side: Side) -> Vec<Vec<u8>> {
        let bodies = self.seen.iter().filter_map(|s| match s {
            Seen::Body(_, s, body) if *s == side => Some(body.clone()),
            _ => None,
        });
        bodies.collect()
    }
}

const REQUESTS: &[u8] = b"\r\nPOST /a?k=v HTTP/1.1\r\nHost: Example.ORG:8443\r\nContent-Length: 5\r\nX-Fold: a\r\n b\r\n\r\nhello\
    GET http://other.example/b HTTP/1.1\nhost:\n\n\
    HEAD /c HTTP/1.1\r\nHost: [::1]:80\r\n\r\n\
    POST /d HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: gzip, Chunked\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n\
    4;x=\"y\"\r\nwiki\r\n0a\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n\
    PUT /e HTTP/1.1\r\nHost: e\r\nContent-Length: 2, 2\r\n\r\nok";

const RESPONSES: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab\
    HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n\
    HTTP/1.1 200\r\nContent-Length: 1000\r\n\r\n\
    HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
    HTTP/1.0 200 OK\r\n\r\nuntil the end";

fn whole() -> Vec<Seen> {
    let mut run = Run::new();
    run.push(Side::Request, REQUESTS);
    run.push(Side::Response, RESPONSES);
    run.close()
}

#[test]
fn conversation() {
    let mut run = Run::new();
    run.push(Side::Request, REQUESTS);
    run.push(Side::Response, RESPONSES);
    assert_eq!(
        run.bodies(Side::Request),
        [b"hello".to_vec(), b"wiki0123456789".to_vec(), b"ok".to_vec()]
    );
    let seen = run.close();
    let heads: Vec<&RequestHead> = seen
        .iter()
        .filter_map(|s| {
            if let Seen::Request(_, head) = s {
                Some(head)
            } else {
                None
            }
        })
        .collect();
    let lines: Vec<_> = heads
        .iter()
        .map(|h| (&*h.method, &*h.path, &*h.query, &*h.host))
        .collect();
    assert_eq!(
        lines,
        [
            ("POST", "/a", "k=v", "example.org"),
            ("GET", "/b", "", "other.example"),
            ("HEAD", "/c", "", "::1"),
            ("POST", "/d", "", "d"),
            ("PUT", "/e", "", "e"),
        ]
    );
    assert_eq!(heads[0].fields.get("x-fold").as_deref(), Some("a   b"));
    let answers: Vec<_> = seen
        .iter()
        .filter_map(|s| match s {
            Seen::Response(n, head) => Some((*n, head.status)),
            _ => None,
        })
        .collect();
    assert_eq!(answers, [(0, 200), (1, 204), (2, 200), (3, 200), (4, 200)]);
    let ends: Vec<_> = seen
        .iter()
        .filter(|s| matches!(s, Seen::End(.., Some(_), _)))
        .collect();
    assert!(ends.is_empty(), "all end cleanly: {ends:?}");
    let wire = |side: Side| -> u64 {
        seen.iter()
            .map(|s| {
                if let Seen::End(_, s, _, wire) = s {
                    if *s == side { *wire } else { 0 }
                } else {
                    0
                }
            })
            .sum()
    };
    assert_eq!(
        wire(Side::Request),
        REQUESTS.len() as u64,
        "every byte belongs to a message"
    );
    assert_eq!(wire(Side::Response), RESPONSES.len() as u64);
    assert!(seen.contains(&Seen::Body(4, Side::Response, b"until the end".to_vec())));
}

#[test]
fn every_split_and_byte_by_byte() {
    let expected = whole();
    for (side, bytes) in [(Side::Request, REQUESTS), (Side::Response, RESPONSES)] {
        for cut in 0..=bytes.len() {
            let mut run = Run::new();
            if side == Side::Response {
                run.push(Side::Request, REQUESTS);
            }
            run.push(side, &bytes[..cut]);
            run.push(side, &bytes[cut..]);
            if side == Side::Request {
                run.push(Side::Response, RESPONSES);
            }
            assert_eq!(run.close(), expected, "{side:?} cut at {cut}");
        }
    }
    let mut run = Run::new();
    REQUESTS.iter().for_each(|b| run.push(Side::Request, &[*b]));
    RESPONSES.iter().for_each(|b| run.push(Side::Response, &[*b]));
    assert_eq!(run.close(), expected);
}

#[test]
fn framing_errors() {
    let cases: [(&[u8], Option<Incomplete>); 6] = [
        (
            b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            Some(Incomplete::Malformed),
        ),
        (
            b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            Some(Incomplete::Malformed),
        ),
        (
            b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\nx",
            Some(Incomplete::Malformed),
        ),
        (
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            Some(Incomplete::Malformed),
        ),
        (
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n",
            Some(Incomplete::Malformed),
        ),
        (
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab",
            Some(Incomplete::Malformed),
        ),
    ];
    for (bytes, want) in cases {
        let mut run = Run::new();
        run.push(Side::Request, bytes);
        assert_eq!(
            run.ends(),
            [(0, Side::Request, want)],
            "{}",
            String::from_utf8_lossy(bytes)
        );
        // The next good request is read.
        run.push(Side::Request, b"GET /next HTTP/1.1\r\n\r\n");
        assert_eq!(run.ends().last(), Some(&(1, Side::Request, None)));
    }
}

#[test]
fn absurd_lengths_are_only_numbers() {
    for length in [
        "18446744073709551615",
        "99999999999999999999999999999999",
        "9223372036854775808",
    ] {
        let mut run = Run::new();
        run.push(
            Side::Request,
            format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\nabc").as_bytes(),
        );
        run.gap(Side::Request, Some(u64::MAX - 10));
        run.push(Side::Request, b"def");
        let seen = run.close();
        assert!(seen.contains(&Seen::Body(0, Side::Request, b"abc".to_vec())));
        assert!(
            seen.iter()
                .any(|s| matches!(s, Seen::End(0, Side::Request, Some(_), _)))
        );
    }
    let mut run = Run::new();
    run.push(
        Side::Response,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc",
    );
    assert_eq!(run.bodies(Side::Response), [b"abc"]);
}

#[test]
fn budgets() {
    // A head without end.
    let mut run = Run::new();
    run.push(Side::Request, b"GET / HTTP/1.1\r\n");
    (0..MAX_HEAD / 8).for_each(|_| run.push(Side::Request, b"a: bcd\r\n"));
    assert!(
        matches!(run.seen[..], [Seen::Skipped(Side::Request, bytes, Incomplete::OverBudget)] if bytes >= MAX_HEAD as u64)
    );
    assert!(run.http.request.head.is_empty());
    // A start line without end.
    let mut run = Run::new();
    run.push(Side::Request, b"GET /");
    run.push(Side::Request, &vec![b'a'; 2 * MAX_HEAD]);
    assert_eq!(
        run.seen,
        [Seen::Skipped(
            Side::Request,
            2 * MAX_HEAD as u64 + 5,
            Incomplete::OverBudget
        )]
    );
    // Fields.
    let fields = |n: usize| {
        format!(
            "HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n",
            "a: b\r\n".repeat(n - 1)
        )
    };
    let mut run = Run::new();
    run.push(Side::Request, b"GET / HTTP/1.1\r\n\r\n");
    run.push(Side::Response, fields(MAX_FIELDS).as_bytes());
    assert_eq!(run.ends().last(), Some(&(0, Side::Response, None)));
    run.push(Side::Request, b"GET / HTTP/1.1\r\n\r\n");
    run.push(Side::Response, fields(MAX_FIELDS + 1).as_bytes());
    assert_eq!(
        run.ends().last(),
        Some(&(1, Side::Response, Some(Incomplete::OverBudget)))
    );
    // Chunk lines and trailers.
    let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (body, budget) in [("1;", MAX_CHUNK_LINE), ("0\r\nx: ", MAX_TRAILERS)] {
        let mut run = Run::new();
        run.push(Side::Request, chunked.as_bytes());
        run.push(Side::Request, body.as_bytes());
        run.push(Side::Request, &vec![b'a'; budget]);
        assert_eq!(run.ends(), [(0, Side::Request, Some(Incomplete::OverBudget))]);
    }
    // Requests without answers.
    let mut run = Run::new();
    (0..MAX_PIPELINE + 1).for_each(|_| run.push(Side::Request, b"GET / HTTP/1.1\r\n\r\n"));
    assert!(
        run.ends()
            .contains(&(0, Side::Response, Some(Incomplete::OverBudget)))
    );
    assert_eq!(run.http.awaiting.len(), MAX_PIPELINE);
}

#[test]
fn holes_inside_bodies_of_known_extent() {
    let mut run = Run::new();
    run.push(Side::Request, b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
    run.gap(Side::Request, Some(4));
    run.push(Side::Request, b"hij");
    run.push(
        Side::Response,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nab",
    );
    run.gap(Side::Response, Some(6));
    run.push(Side::Response, b"\r\n1\r\nz\r\n0\r\n\r\n");
    let gap = Some(Incomplete::Gap);
    assert_eq!(run.ends(), [(0, Side::Request, gap), (0, Side::Response, gap)]);
    assert_eq!(run.bodies(Side::Request), [b"abc", b"hij"]);
    assert_eq!(run.bodies(Side::Response), [&b"ab"[..], b"z"]);
    assert!(run.seen.contains(&Seen::Gap(0, Side::Response, Some(6))));
    // Exactly to the end of the body, and a body that runs until the end.
    run.push(Side::Request, b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n");
    run.gap(Side::Request, Some(3));
    run.push(Side::Response, b"HTTP/1.0 200 OK\r\n\r\na");
    run.gap(Side::Response, None);
    run.push(Side::Response, b"b");
    let seen = run.close();
    assert!(
        seen.iter()
            .any(|s| matches!(s, Seen::End(1, Side::Request, Some(Incomplete::Gap), _)))
    );
    assert!(
        seen.iter()
            .any(|s| matches!(s, Seen::End(1, Side::Response, Some(Incomplete::Gap), _)))
    );
}

#[test]
fn a_chunked_body_is_picked_up_behind_a_hole() {
    let mut run = Run::new();
    run.push(Side::Request, b"GET / HTTP/1.1\r\n\r\n");
    run.push(
        Side::Response,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5\r\nde",
    );
    run.gap(Side::Response, Some(20));
    run.push(Side::Response, b"2\r\nno chunk");
    run.push(Side::Response, b"tail of a chunk\r\n1\r\nx\r\n");
    run.push(Side::Response, b"4\r\nwxyz\r\n");
    run.push(Side::Response, b"0\r\n\r\n");
    assert_eq!(
        run.ends().last(),
        Some(&(0, Side::Response, Some(Incomplete::Gap)))
    );
    assert_eq!(run.bodies(Side::Response), [b"abcde".to_vec(), b"wxyz".to_vec()]);
    assert!(
        run.seen
            .contains(&Seen::Skipped(Side::Response, 34, Incomplete::Gap))
    );
    // Or the next response comes first.
    run.push(Side::Request, b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    run.push(
        Side::Response,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na",
    );
    run.gap(Side::Response, None);
    run.push(Side::Response, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(
        run.ends()[4..],
        [
            (1, Side::Response, Some(Incomplete::Gap)),
            (2, Side::Response, None)
        ]
    );
}

#[test]
fn other_holes_end_the_message_and_the_next_is_found() {
    let gap = Some(Incomplete::Gap);
    let mut run = Run::new();
    run.push(Side::Request, b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
    run.gap(Side::Request, Some(8));
    run.push(Side::Request, b"garbage GET / HTTP/1.1\r\n\r\n");
    run.push(Side::Response, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
    assert_eq!(run.ends(), [(0, Side::Request, gap), (0, Side::Response, None)]);
    assert!(
        run.seen
            .contains(&Seen::Skipped(Side::Request, 26, Incomplete::Gap))
    );
    // The start line itself comes in pieces.
    run.push(Side::Request, b"GE");
    run.push(Side::Request, b"T /2 HTTP/1.1\r\n\r\n");
    assert_eq!(run.ends().last(), Some(&(1, Side::Request, None)));
    // A hole in a response head: the answer of that request is lost, the next one pairs.
    run.push(Side::Response, b"HTTP/1.1 200 OK\r\nContent-Le");
    run.gap(Side::Response, None);
    assert_eq!(run.ends().last(), Some(&(1, Side::Response, gap)));
    run.push(Side::Request, b"GET /3 HTTP/1.1\r\n\r\n");
    run.push(Side::Response, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(run.ends().last(), Some(&(2, Side::Response, None)));
}

#[test]
fn a_response_lost_whole_does_not_shift_the_pairs() {
    let mut run = Run::new();
    run.push(Side::Request, b"GET /0 HTTP/1.1\r\n\r\n");
    run.gap(Side::Response, Some(500));
    run.push(Side::Request, b"GET /1 HTTP/1.1\r\n\r\n");
    run.push(Side::Response, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let response = |n, why| (n, Side::Response, why);
    assert_eq!(
        run.ends()[2..],
        [response(0, Some(Incomplete::Gap)), response(1, None)]
    );
    // A lost request: the response has an exchange of its own.
    run.gap(Side::Request, None);
    run.push(Side::Response, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    run.push(Side::Request, b"GET /3 HTTP/1.1\r\n\r\n");
    assert_eq!(run.ends()[4..], [response(2, None), (3, Side::Request, None)]);
}

#[test]
fn early_response_and_close_in_the_middle() {
    let mut run = Run::new();
    run.push(Side::Request, b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
    run.push(
        Side::Response,
        b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(run.ends(), [(0, Side::Response, None)]);
    run.push(Side::Response, b"HTTP/1.1 200");
    let seen = run.close();
    assert!(seen.contains(&Seen::Skipped(Side::Response, 12, Incomplete::Closed)));
    assert!(
        seen.iter()
            .any(|s| matches!(s, Seen::End(0, Side::Request, Some(Incomplete::Closed), _)))
    );
}

#[test]
fn switched_connections() {
    let mut run = Run::new();
    run.push(
        Side::Request,
        b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
    );
    run.push(
        Side::Response,
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\x16\x03\x01",
    );
    run.push(Side::Request, b"\x16\x03");
    assert!(run.seen.contains(&Seen::Switched(0)));
    assert!(
        run.seen
            .contains(&Seen::Tunnel(0, Side::Response, b"\x16\x03\x01".to_vec()))
    );
    assert_eq!(
        run.seen.last(),
        Some(&Seen::Tunnel(0, Side::Request, b"\x16\x03".to_vec()))
    );
    run.gap(Side::Request, Some(7));
    assert_eq!(run.seen.last(), Some(&Seen::TunnelGap(0, Side::Request, Some(7))));
}

#[test]
fn the_host_of_a_target_goes_before_the_field() {
    for (target, want) in [
        (
            "http://API.openai.com/v1/chat/completions",
            ("api.openai.com", None),
        ),
        (
            "http://u:p@api.openai.com:8080/v1?a=http://x/",
            ("api.openai.com", Some(8080)),
        ),
        ("https://[::1]:81?a", ("::1", Some(81))),
        // A target that names none, and one that only looks so.
        ("http:///v1", ("approved.corp", Some(90))),
        ("/v1?next=http://api.openai.com/", ("approved.corp", Some(90))),
        ("v1?next=http://api.openai.com/", ("approved.corp", Some(90))),
    ] {
        let mut run = Run::new();
        let ask = format!("POST {target} HTTP/1.1\r\nHost: approved.corp:90\r\n\r\n");
        run.push(Side::Request, ask.as_bytes());
        let Some(Seen::Request(_, head)) = run.seen.first() else {
            panic!("{target}")
        };
        assert_eq!((head.host.as_str(), head.port), want, "{target}");
    }
}

#[test]
fn a_request_that_had_begun_before_a_switch_is_counted() {
    let mut run = Run::new();
    let ask = b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
    run.push(Side::Request, ask);
    run.push(Side::Request, b"GET /nex");
    run.push(Side::Response, b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
    let seen = run.close();
    assert!(
        seen.contains(&Seen::Skipped(Side::Request, 8, Incomplete::Unsupported)),
        "{seen:?}"
    );
    assert!(seen.contains(&Seen::End(0, Side::Request, None, ask.len() as u64)));
}

#[test]
fn a_head_that_finds_no_memory_is_over_budget() {
    let others = crate::budget::testing::all_but(2 * 1024);
    let mut run = Run::new();
    run.push(
        Side::Request,
        format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(4_000)).as_bytes(),
    );
    assert_eq!(
        run.seen,
        [Seen::Skipped(Side::Request, 4_019, Incomplete::OverBudget)]
    );
    // One that is whole at once needs no room to wait.
    let whole = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(4_000));
    run.push(Side::Request, whole.as_bytes());
    assert!(matches!(run.seen[1], Seen::Request(..)));
    drop(others);
}
