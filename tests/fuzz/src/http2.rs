//! HTTP/2 of one connection, both directions, with holes.

use observer::protocol::{
    HttpEvent, Incomplete, Side,
    http2::{Http2Connection, sniff},
};

use crate::{
    http1::Seen,
    input::{Input, pieces},
    templates,
};

/// A frame whose parts the fuzzer chooses: every one is well framed, whatever it says.
pub fn frame(input: &mut Input<'_>) -> Vec<u8> {
    let (kind, flags, stream) = (input.byte() % 12, input.byte(), input.byte());
    let size = input.byte();
    let payload = input.bytes(usize::from(size));
    let mut out = vec![
        0,
        0,
        u8::try_from(payload.len()).unwrap_or(0),
        kind,
        flags,
        0,
        0,
        0,
        stream,
    ];
    out.extend_from_slice(payload);
    out
}

fn script(input: &mut Input<'_>) {
    let joined = input.byte();
    let mut connection = Http2Connection::new([joined & 1 != 0, joined & 2 != 0]);
    let mut seen = Seen::default();
    while !input.is_empty() {
        let op = input.byte();
        let side = if op & 1 == 0 {
            Side::Request
        } else {
            Side::Response
        };
        let mut sink = |event: HttpEvent<'_>| seen.event(&event);
        match op % 8 {
            0 | 1 => connection.push(side, input.bytes(usize::from(op >> 3)), &mut sink),
            2 | 3 => {
                let number = input.byte();
                connection.push(side, templates::http2(side, number), &mut sink);
            }
            4 | 5 => {
                let frame = frame(input);
                let _ = (sniff::opening(&frame, side), sniff::joined(&frame));
                connection.push(side, &frame, &mut sink);
            }
            _ => {
                let missing = match op >> 6 {
                    0 => None,
                    1 => Some(u64::from(input.byte())),
                    2 => Some(input.short() as u64),
                    _ => Some(input.long()),
                };
                connection.gap(side, missing, &mut sink);
            }
        }
    }
    connection.close(&mut |event| seen.event(&event));
    seen.all_over();
}

/// Events of bytes that come in pieces, joined where the pieces are. `None` where a boundary had to be looked for: where
/// a frame ends with a piece, it is found earlier.
fn events(request: &[&[u8]], response: &[&[u8]]) -> Option<Vec<String>> {
    let mut connection = Http2Connection::new([false, false]);
    let mut events: Vec<String> = Vec::new();
    let (mut body, mut lost) = ((u64::MAX, Side::Request), false);
    let mut sink = |event: HttpEvent<'_>| {
        let now = match &event {
            HttpEvent::Body { exchange, side, .. } => (*exchange, *side),
            _ => (u64::MAX, Side::Request),
        };
        let text = match &event {
            HttpEvent::RequestHead { exchange, head } => {
                format!(
                    "ask {exchange} {} {} {:?} {}",
                    head.method, head.path, head.fields, head.unknown_fields
                )
            }
            HttpEvent::ResponseHead { exchange, head } => format!("answer {exchange} {head:?}"),
            HttpEvent::Body { data, .. } => format!("body {now:?} {data:?}"),
            HttpEvent::BodyGap { exchange, side, .. } => format!("gap {exchange} {side:?}"),
            HttpEvent::Trailers { exchange, fields } => format!("trailers {exchange} {fields:?}"),
            HttpEvent::End {
                exchange,
                side,
                incomplete,
                wire_bytes,
            } => format!("end {exchange} {side:?} {incomplete:?} {wire_bytes}"),
            // How much is skipped at a time depends on the pieces.
            HttpEvent::Skipped { reason, .. } => {
                lost |= *reason == Incomplete::Malformed;
                return;
            }
            HttpEvent::Switched { .. } | HttpEvent::Tunnel { .. } | HttpEvent::TunnelGap { .. } => {
                panic!("no stream switches the connection")
            }
        };
        match (&event, events.last_mut()) {
            (HttpEvent::Body { data, .. }, Some(last)) if body == now => {
                last.pop();
                last.push_str(&format!(", {data:?}").replace(", [", ", "));
            }
            _ => events.push(text),
        }
        body = now;
    };
    request
        .iter()
        .for_each(|piece| connection.push(Side::Request, piece, &mut sink));
    response
        .iter()
        .for_each(|piece| connection.push(Side::Response, piece, &mut sink));
    connection.close(&mut sink);
    (!lost).then_some(events)
}

/// A script of pushes and gaps, or bytes of both sides in different pieces.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mode = input.byte();
    if mode & 1 == 0 {
        return script(&mut input);
    }
    let seed = input.byte();
    let (mut request, mut response) = (templates::http2(Side::Request, 0).to_vec(), Vec::new());
    while !input.is_empty() {
        let frame = frame(&mut input);
        if frame[4] & 0x80 == 0 {
            request.extend(frame);
        } else {
            response.extend(frame);
        }
    }
    let whole = events(&[&request], &[&response]);
    if whole.is_none() {
        return;
    }
    let cut = events(&pieces(&request, seed), &pieces(&response, seed));
    assert_eq!(cut, whole, "the pieces of the input matter");
}
