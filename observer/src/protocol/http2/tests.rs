mod overtaken;

use super::testing::{block, data, frame, request, response};
use super::*;
use crate::protocol::{RequestHead, ResponseHead};

/// An event without the cuts of its input.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Request(u64, RequestHead),
    Response(u64, ResponseHead),
    Body(u64, Side, Vec<u8>),
    Gap(u64, Side, Option<u64>),
    End(u64, Side, Option<Incomplete>, u64),
    Skipped(Side, u64, Incomplete),
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
        // Tests of their own look at them.
        HttpEvent::Trailers { .. } => {}
        HttpEvent::Switched { .. } | HttpEvent::Tunnel { .. } | HttpEvent::TunnelGap { .. } => {
            panic!("no stream switches the connection")
        }
    }
}

struct Run {
    http: Http2Connection,
    seen: Vec<Seen>,
}

impl Run {
    fn new() -> Self {
        Self::joined([false, false])
    }
    fn joined(joined: [bool; 2]) -> Self {
        let http = Http2Connection::new(joined);
        Self {
            http,
            seen: Vec::new(),
        }
    }
    /// After the preface and the settings of both sides.
    fn begun() -> Self {
        let mut run = Self::new();
        run.push(Side::Request, &[PREFACE, &frame(4, 0, 0, &[])].concat());
        run.push(Side::Response, &frame(4, 0, 0, &[0, 1, 0, 0, 0x10, 0]));
        assert!(run.seen.is_empty());
        run
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
    fn body(&self, exchange: u64, side: Side) -> Vec<u8> {
        let bodies = self.seen.iter().filter_map(|s| match s {
            Seen::Body(e, s, body) if (*e, *s) == (exchange, side) => Some(body.clone()),
            _ => None,
        });
        bodies.collect::<Vec<_>>().concat()
    }
    fn skipped(&self) -> Vec<(Side, u64, Incomplete)> {
        let all = self.seen.iter().filter_map(|s| match s {
            Seen::Skipped(side, bytes, why) => Some((*side, *bytes, *why)),
            _ => None,
        });
        all.collect()
    }
    fn last_exchange(&self) -> u64 {
        let heads = self.seen.iter().rev();
        let mut exchanges = heads.filter_map(|s| match s {
            Seen::Request(exchange, _) => Some(*exchange),
            _ => None,
        });
        exchanges.next().unwrap()
    }
    fn paths(&self) -> Vec<&str> {
        let heads = self.seen.iter().filter_map(|s| match s {
            Seen::Request(_, head) => Some(head.path.as_str()),
            _ => None,
        });
        heads.collect()
    }
}

/// Two interleaved calls with everything frames can carry.
fn requests() -> Vec<u8> {
    let head = block(
        &[
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", "API.example:8443"),
            (":path", "/a?k=v"),
            ("X-Case", "1"),
        ],
        true,
    );
    // Padded, with a priority, in three frames.
    let first = [&[3][..], &[0x80, 0, 0, 0, 15], &head[..7], b"pad"].concat();
    [
        PREFACE.to_vec(),
        frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]),
        frame(8, 0, 0, &[0, 1, 0, 0]),
        frame(1, 0x8 | 0x20, 1, &first),
        frame(9, 0, 1, &head[7..20]),
        frame(9, 4, 1, &head[20..]),
        data(1, b"hel", false),
        // The second call, from the table: newest first, so the path is at 63.
        frame(1, 4 | 1, 3, &[0x83, 0x87, 0x80 | 64, 0x80 | 63]),
        frame(0, 0x8, 1, b"\x04lopad!"),
        frame(0x10, 0, 0, b"u=3"),
        frame(6, 0, 0, &[0; 8]),
        frame(0, 0x8, 1, b"\x01.x"),
        // Trailers.
        frame(1, 4 | 1, 1, &block(&[("x-sum", "1")], false)),
    ]
    .concat()
}

fn responses() -> Vec<u8> {
    let push = [
        &[0, 0, 0, 2][..],
        &block(&[(":method", "GET"), (":path", "/p")], true),
    ]
    .concat();
    [
        frame(4, 0, 0, &[]),
        frame(4, 1, 0, &[]),
        response(1, "100", &[], false),
        frame(5, 4, 1, &push),
        response(3, "204", &[], true),
        frame(1, 4, 1, &[0x88]),
        data(2, b"pushed", true),
        data(1, b"", false),
        data(1, b"answer", false),
        frame(1, 4 | 1, 1, &block(&[("grpc-status", "0")], true)),
        frame(7, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 0]),
    ]
    .concat()
}

fn whole() -> Vec<Seen> {
    let mut run = Run::new();
    run.push(Side::Request, &requests());
    run.push(Side::Response, &responses());
    run.close()
}

#[test]
fn conversation() {
    let mut run = Run::new();
    run.push(Side::Request, &requests());
    run.push(Side::Response, &responses());
    let heads: Vec<_> = run
        .seen
        .iter()
        .filter_map(|s| match s {
            Seen::Request(n, h) => Some((*n, &*h.method, &*h.host, &*h.path, &*h.query)),
            _ => None,
        })
        .collect();
    assert_eq!(
        heads,
        [
            (0, "POST", "api.example", "/a", "k=v"),
            (1, "POST", "api.example", "/a", "k=v")
        ]
    );
    assert_eq!(run.body(0, Side::Request), b"hello.");
    assert_eq!(run.body(0, Side::Response), b"answer");
    let status: Vec<_> = run
        .seen
        .iter()
        .filter_map(|s| match s {
            Seen::Response(n, h) => Some((*n, h.status)),
            _ => None,
        })
        .collect();
    assert_eq!(status, [(1, 204), (0, 200)]);
    let clean = |n, side| (n, side, None);
    assert_eq!(
        run.ends(),
        [
            clean(1, Side::Request),
            clean(0, Side::Request),
            clean(1, Side::Response),
            clean(0, Side::Response)
        ]
    );
    // The pushed stream is not read.
    assert!(run.skipped().iter().all(|(side, _, _)| *side == Side::Response));
    assert_eq!(run.http.streams.len(), 0);
    let Some(Seen::End(.., wire)) = run
        .seen
        .iter()
        .find(|s| matches!(s, Seen::End(1, Side::Request, ..)))
    else {
        panic!()
    };
    assert_eq!(*wire, 9 + 4, "frame header and block");
}

#[test]
fn every_split_and_byte_by_byte() {
    let (requests, responses) = (requests(), responses());
    let expected = whole();
    for (side, bytes) in [(Side::Request, &requests), (Side::Response, &responses)] {
        for cut in 0..=bytes.len() {
            let mut run = Run::new();
            if side == Side::Response {
                run.push(Side::Request, &requests);
            }
            run.push(side, &bytes[..cut]);
            run.push(side, &bytes[cut..]);
            if side == Side::Request {
                run.push(Side::Response, &responses);
            }
            assert_eq!(run.close(), expected, "{side:?} cut at {cut}");
        }
    }
    let mut run = Run::new();
    requests.iter().for_each(|b| run.push(Side::Request, &[*b]));
    responses.iter().for_each(|b| run.push(Side::Response, &[*b]));
    assert_eq!(run.close(), expected);
}

#[test]
fn resets_and_goaway() {
    let mut run = Run::begun();
    for stream in [1, 3, 5, 7] {
        run.push(Side::Request, &request(stream, "/a", &[], stream > 3));
    }
    let closed = Some(Incomplete::Closed);
    run.push(Side::Response, &response(1, "200", &[], false));
    run.push(Side::Request, &frame(3, 0, 1, &[0, 0, 0, 8]));
    assert_eq!(
        run.ends()[2..],
        [(0, Side::Request, closed), (0, Side::Response, closed)]
    );
    // On its way still.
    run.push(Side::Response, &data(1, b"late", true));
    run.push(Side::Response, &response(1, "200", &[], true));
    assert_eq!(run.skipped().last().unwrap().2, Incomplete::Closed);
    // A whole answer before the request was: the server stops the request.
    run.push(Side::Response, &response(3, "413", &[], true));
    run.push(Side::Response, &frame(3, 0, 3, &[0; 4]));
    assert_eq!(
        run.ends()[4..],
        [(1, Side::Response, None), (1, Side::Request, closed)]
    );
    run.push(Side::Response, &frame(7, 0, 0, &[0, 0, 0, 5, 0, 0, 0, 0]));
    assert_eq!(run.ends()[6..], [(3, Side::Response, closed)]);
    run.push(Side::Response, &response(5, "200", &[], true));
    assert_eq!(run.ends()[7..], [(2, Side::Response, None)]);
}

#[test]
fn holes_inside_data_leave_everything_else() {
    let mut run = Run::begun();
    run.push(Side::Request, &request(1, "/a", &[], true));
    run.push(
        Side::Response,
        &frame(1, 4, 1, &block(&[(":status", "200")], true)),
    );
    let bytes = data(1, b"0123456789", false);
    run.push(Side::Response, &bytes[..12]);
    run.gap(Side::Response, Some(5));
    run.push(Side::Response, &bytes[17..]);
    // The table is known still.
    run.push(Side::Response, &data(1, b"end", true));
    assert_eq!(run.body(0, Side::Response), b"01289end");
    assert!(run.seen.contains(&Seen::Gap(0, Side::Response, Some(5))));
    assert_eq!(
        run.ends().last(),
        Some(&(0, Side::Response, Some(Incomplete::Gap)))
    );
    run.push(Side::Request, &request(3, "/b", &[], true));
    run.push(Side::Response, &frame(1, 4 | 1, 3, &[0xbe]));
    assert!(matches!(&run.seen[run.seen.len() - 2], Seen::Response(1, head) if head.status == 200));
}

#[test]
fn a_hole_in_a_head_loses_the_table_and_this_head() {
    let mut run = Run::begun();
    let head = frame(1, 4, 1, &block(&[(":method", "POST"), (":path", "/a")], true));
    run.push(Side::Request, &head[..20]);
    run.gap(Side::Request, Some(4));
    run.push(Side::Request, &head[24..]);
    assert_eq!(
        run.skipped(),
        [(Side::Request, head.len() as u64, Incomplete::Gap)]
    );
    // The next head refers to what was lost.
    run.push(Side::Request, &frame(1, 4 | 1, 3, &[0x83, 0xbe]));
    let Some(Seen::Request(0, head)) = run.seen.iter().find(|s| matches!(s, Seen::Request(..))) else {
        panic!("{:?}", run.seen)
    };
    assert_eq!((&*head.method, &*head.path, head.unknown_fields), ("POST", "", 1));
}

#[test]
fn behind_other_holes_frames_are_found_again() {
    for cut in [0, 3] {
        let mut run = Run::begun();
        run.push(Side::Request, &request(1, "/a", &[], true));
        run.push(Side::Response, &response(1, "200", &[], false));
        run.push(Side::Response, &data(1, b"abc", false)[..9 + cut]);
        run.gap(Side::Response, Some(50));
        // The rest of a frame, then one that another one follows.
        let text = "text that is no frame \0\0\0\0\0";
        let rest = [text.as_bytes(), &data(1, b"xyz", false), &data(1, b"!", true)].concat();
        for byte in rest {
            run.push(Side::Response, &[byte]);
        }
        assert_eq!(run.body(0, Side::Response), [&b"abc"[..cut], b"xyz!"].concat());
        assert!(run.seen.contains(&Seen::Gap(0, Side::Response, None)));
        assert_eq!(
            run.ends().last(),
            Some(&(0, Side::Response, Some(Incomplete::Gap)))
        );
        assert_eq!(
            run.skipped(),
            [(Side::Response, text.len() as u64, Incomplete::Gap)]
        );
        // The next call is read.
        run.push(Side::Request, &request(3, "/b", &[], true));
        run.push(Side::Response, &response(3, "200", &[], true));
        assert_eq!(run.ends().last(), Some(&(1, Side::Response, None)));
    }
}

#[test]
fn a_response_head_in_a_hole_ends_the_exchange_as_partial() {
    let mut run = Run::begun();
    run.push(Side::Request, &request(1, "/a", &[], true));
    run.gap(Side::Response, Some(100));
    run.push(Side::Response, &data(1, b"xyz", true));
    assert_eq!(
        run.ends().last(),
        Some(&(0, Side::Response, Some(Incomplete::Gap)))
    );
    assert!(!run.seen.iter().any(|s| matches!(s, Seen::Response(..))));
}

#[test]
fn joined_in_the_middle() {
    let mut run = Run::joined([true, true]);
    // Method and scheme are of the static table, path and authority of one that was not seen.
    run.push(Side::Request, &frame(1, 4, 101, &[0x83, 0x87, 0xc0, 0xc1]));
    run.push(Side::Request, &data(101, b"{}", true));
    // The answer to a call that was not seen, and the one to this call.
    run.push(Side::Response, &frame(1, 4 | 1, 99, &[0x88, 0xbe]));
    run.push(Side::Response, &frame(1, 4 | 1, 101, &[0xbf]));
    run.push(Side::Response, &data(97, b"rest", true));
    let Seen::Request(0, head) = &run.seen[0] else {
        panic!()
    };
    assert_eq!(
        (&*head.method, &*head.path, &*head.host, head.unknown_fields),
        ("POST", "", "", 2)
    );
    assert_eq!(run.body(0, Side::Request), b"{}");
    let responses: Vec<_> = run
        .seen
        .iter()
        .filter_map(|s| match s {
            Seen::Response(n, h) => Some((*n, h.status, h.unknown_fields)),
            _ => None,
        })
        .collect();
    assert_eq!(responses, [(1, 200, 1), (0, 0, 1)]);
    assert!(run.ends().iter().all(|(.., why)| why.is_none()));
    assert_eq!(run.skipped(), [(Side::Response, 13, Incomplete::Gap)]);
}

#[test]
fn nonsense_is_skipped_and_counted() {
    let mut run = Run::new();
    run.push(Side::Request, b"PRI * HTTP/2.0\r\n\r\nXX");
    run.push(Side::Request, &[b'x'; 100]);
    assert_eq!(run.skipped(), [(Side::Request, 120, Incomplete::Malformed)]);
    // A frame that cannot be one; the next call is read all the same.
    let mut run = Run::begun();
    run.push(Side::Request, &request(1, "/a", &[], false));
    run.push(Side::Request, &frame(6, 0, 7, b"12345678"));
    run.push(
        Side::Request,
        &[request(3, "/b", &[], true), frame(6, 0, 0, &[0; 8])].concat(),
    );
    assert_eq!(run.paths(), ["/a", "/b"]);
    let seen = run.close();
    let flaw = Some(Incomplete::Gap);
    assert!(
        seen.iter()
            .any(|s| matches!(s, Seen::End(0, Side::Request, why, _) if *why == flaw))
    );
    // Frames between those of a header block.
    let mut run = Run::begun();
    run.push(Side::Request, &frame(1, 0, 1, &block(&[(":path", "/a")], false)));
    run.push(Side::Request, &request(3, "/b", &[], true));
    run.push(Side::Request, &frame(9, 4, 1, &[]));
    assert_eq!(run.paths(), ["/b"]);
    // Padding longer than the frame.
    run.push(Side::Request, &request(5, "/c", &[], false));
    run.push(Side::Request, &frame(0, 0x8 | 1, 5, b"\x09abc"));
    assert_eq!(run.body(1, Side::Request), b"");
    assert_eq!(run.paths(), ["/b", "/c"]);
}

#[test]
fn streams_are_bounded_and_the_rest_is_counted() {
    let mut run = Run::begun();
    let head = request(1, "/a", &[], true);
    for number in 0..10_000u32 {
        let mut head = head.clone();
        head[5..9].copy_from_slice(&(2 * number + 1).to_be_bytes());
        run.push(Side::Request, &head);
    }
    assert_eq!(run.http.streams.len(), MAX_STREAMS);
    assert_eq!(run.paths().len(), MAX_STREAMS);
    let lost = (10_000 - MAX_STREAMS) * head.len();
    assert_eq!(
        run.skipped(),
        [(Side::Request, lost as u64, Incomplete::OverBudget)]
    );
    // Answers free places.
    run.push(Side::Response, &response(1, "200", &[], true));
    run.push(Side::Request, &request(30_001, "/b", &[], true));
    assert_eq!(run.paths().last(), Some(&"/b"));
    assert_eq!(
        run.close().iter().filter(|s| matches!(s, Seen::End(..))).count(),
        2 * (MAX_STREAMS + 1)
    );
}

#[test]
fn header_blocks_are_bounded() {
    // 100,000 fields in few octets: the first ones are kept.
    let mut run = Run::begun();
    let mut many = block(&[(":method", "POST"), (":path", "/many")], false);
    many.extend(vec![0x82; 100_000]);
    let (first, rest) = many.split_at(10_000);
    run.push(Side::Request, &frame(1, 0, 1, first));
    rest.chunks(16_000)
        .for_each(|part| run.push(Side::Request, &frame(9, 0, 1, part)));
    run.push(Side::Request, &frame(9, 4, 1, &[]));
    assert_eq!(run.paths(), ["/many"]);
    run.push(Side::Request, &data(1, b"x", true));
    assert_eq!(run.ends(), [(0, Side::Request, Some(Incomplete::OverBudget))]);
    // 1 MiB in one field, and a flood of continuations.
    let mut run = Run::begun();
    let large = block(&[(":path", "/large"), ("x", &"y".repeat(1 << 20))], true);
    run.push(Side::Request, &frame(1, 0, 1, &large[..16_000]));
    for part in large[16_000..].chunks(16_000) {
        run.push(Side::Request, &frame(9, 0, 1, part));
        assert!(run.http.request.fragments.capacity() <= 2 * MAX_BLOCK);
    }
    (0..10_000).for_each(|_| run.push(Side::Request, &frame(9, 0, 1, &[])));
    run.push(Side::Request, &frame(9, 4, 1, &[]));
    let frames = 1 + (large.len() - 16_000).div_ceil(16_000) + 10_001;
    let bytes = (large.len() + 9 * frames) as u64;
    assert_eq!(run.skipped(), [(Side::Request, bytes, Incomplete::OverBudget)]);
    // The next call decodes.
    run.push(Side::Request, &request(3, "/next", &[], true));
    assert_eq!(run.paths(), ["/next"]);
    // References to one large entry are not copied without end.
    let mut run = Run::begun();
    let value = "v".repeat(4_000);
    let mut bomb = block(&[(":path", "/bomb"), ("x", &value)], true);
    bomb.extend(vec![0xbe; 200_000]);
    let (first, rest) = bomb.split_at(16_000);
    run.push(Side::Request, &frame(1, 0, 1, first));
    rest.chunks(16_000)
        .for_each(|part| run.push(Side::Request, &frame(9, 0, 1, part)));
    run.push(Side::Request, &frame(9, 4, 1, &[]));
    let Seen::Request(_, head) = &run.seen[0] else {
        panic!()
    };
    let size: usize = head.fields.0.iter().map(|(_, value)| value.len()).sum();
    assert!(size <= MAX_HEAD, "{size}");
}

#[test]
fn seeking_is_bounded() {
    let mut run = Run::joined([true, true]);
    run.gap(Side::Response, None);
    // Nothing but headers of frames that nothing good follows.
    let decoy = [
        frame(0, 0, 1, &[0; 10])[..9].to_vec(),
        b"nothing good follows".to_vec(),
    ]
    .concat();
    for _ in 0..5_000 {
        run.push(Side::Response, &decoy);
        assert!(run.http.response.kept.len() <= 2 * SEEK_PIECE + 100);
    }
    let total = (5_000 * decoy.len()) as u64;
    let kept = run.http.response.kept.len() as u64;
    let skipped: u64 = run.skipped().iter().map(|(_, bytes, _)| bytes).sum();
    assert_eq!(skipped + kept, total);
}

#[test]
fn a_header_block_that_finds_no_memory_is_over_budget() {
    let others = crate::budget::testing::all_but(2 * 1024);
    let mut run = Run::begun();
    let large = block(&[(":path", "/large"), ("x", &"y".repeat(4_000))], true);
    run.push(Side::Request, &frame(1, 0, 1, &large[..3_000]));
    run.push(Side::Request, &frame(9, 4, 1, &large[3_000..]));
    let bytes = large.len() as u64 + 18;
    assert_eq!(run.skipped(), [(Side::Request, bytes, Incomplete::OverBudget)]);
    // One that is whole at once needs no room to wait.
    run.push(
        Side::Request,
        &request(3, "/next", &[("x", &"y".repeat(4_000))], true),
    );
    assert_eq!(run.paths(), ["/next"]);
    drop(others);
}
