//! Calls as streams of one HTTP/2 connection (RFC 9113).

use std::collections::VecDeque;

use anyhow::Result;

use super::coding::coded;
use super::connection::{Direction, Turn};
use super::hpack::Encoder;
use super::recording::{Message, Recording};
use crate::random::Random;

/// Client connection preface (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;
/// Largest payload that needs no agreement.
const MAX_FRAME: usize = 16 * 1024;

/// What is left of a call to be sent.
struct Open<'r> {
    call: usize,
    recording: &'r Recording,
    stream: u32,
    asked: bool,
    /// Frames of the request's body, then those of the response's.
    request: VecDeque<Vec<u8>>,
    answered: bool,
    response: VecDeque<Vec<u8>>,
}

/// The turns of all calls of a connection, interleaved.
///
/// # Errors
/// As [`coded`].
pub(super) fn turns(calls: &[(usize, &Recording)], random: &mut Random) -> Result<Vec<Turn>> {
    let mut turns = vec![
        turn(Direction::Sent, [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()),
        turn(Direction::Received, frame(SETTINGS, 0, 0, &[])),
    ];
    let mut encoders = [Encoder::new(), Encoder::new()];
    let mut waiting: VecDeque<Open<'_>> = (0..)
        .zip(calls)
        .map(|(number, (call, recording))| open(*call, recording, 2 * number + 1))
        .collect();
    let mut running: Vec<Open<'_>> = Vec::new();
    while !(running.is_empty() && waiting.is_empty()) {
        let begins = running.is_empty() || random.one_in(3);
        let at = match if begins { waiting.pop_front() } else { None } {
            // Streams begin in the order of their numbers.
            Some(next) => {
                running.push(next);
                running.len() - 1
            }
            None => random.below(running.len()),
        };
        if step(&mut running[at], &mut encoders, &mut turns, random)? {
            running.remove(at);
        }
        if random.one_in(16) {
            turns.push(turn(Direction::Received, frame(PING, 0, 0, &[0; 8])));
        }
        if random.one_in(16) {
            turns.push(turn(Direction::Sent, frame(WINDOW_UPDATE, 0, 0, &[0, 0, 9, 9])));
        }
    }
    Ok(turns)
}

fn open(call: usize, recording: &Recording, stream: u32) -> Open<'_> {
    Open {
        call,
        recording,
        stream,
        asked: false,
        request: VecDeque::new(),
        answered: false,
        response: VecDeque::new(),
    }
}

/// The next frame of a call; `true` when it was the last.
fn step(
    open: &mut Open<'_>,
    encoders: &mut [Encoder; 2],
    turns: &mut Vec<Turn>,
    random: &mut Random,
) -> Result<bool> {
    let recording = open.recording;
    if !open.asked {
        open.asked = true;
        let pseudo = [
            (":method", recording.method.as_str()),
            (":scheme", "https"),
            (":authority", &recording.authority),
            (":path", &recording.target),
        ];
        let (head, body) = message(&pseudo, &recording.request, open.stream, &mut encoders[0], random)?;
        open.request = body;
        turns.push(Turn {
            direction: Direction::Sent,
            begins: Some(open.call),
            bytes: head,
        });
    } else if let Some(frame) = open.request.pop_front() {
        turns.push(turn(Direction::Sent, frame));
    } else if !open.answered {
        open.answered = true;
        let status = recording.status.to_string();
        let pseudo = [(":status", status.as_str())];
        let (head, body) = message(
            &pseudo,
            &recording.response,
            open.stream,
            &mut encoders[1],
            random,
        )?;
        open.response = body;
        turns.push(turn(Direction::Received, head));
    } else if let Some(frame) = open.response.pop_front() {
        turns.push(turn(Direction::Received, frame));
    }
    Ok(open.answered && open.response.is_empty())
}

fn turn(direction: Direction, bytes: Vec<u8>) -> Turn {
    Turn {
        direction,
        begins: None,
        bytes,
    }
}

/// The frames of a head, in one piece, and those of its body.
fn message(
    pseudo: &[(&str, &str)],
    message: &Message,
    stream: u32,
    encoder: &mut Encoder,
    random: &mut Random,
) -> Result<(Vec<u8>, VecDeque<Vec<u8>>)> {
    let mut fields: Vec<(String, String)> = pseudo
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let own = message.headers.iter();
    fields.extend(own.map(|(name, value)| (name.to_ascii_lowercase(), value.clone())));
    let (body, coding) = coded(&message.body, message.coding.as_deref())?;
    if let Some(coding) = coding.filter(|_| !body.is_empty()) {
        fields.push(("content-encoding".to_owned(), coding));
    }
    if !message.chunked && !body.is_empty() {
        fields.push(("content-length".to_owned(), body.len().to_string()));
    }
    let block = encoder.block(&fields, random);
    Ok((
        head(&block, stream, body.is_empty(), random),
        data(&body, stream, random),
    ))
}

/// HEADERS and what CONTINUATION the block needs, or gets.
fn head(block: &[u8], stream: u32, ends: bool, random: &mut Random) -> Vec<u8> {
    let most = if random.one_in(3) {
        1 + random.below(300)
    } else {
        MAX_FRAME - 64
    };
    let mut parts = block.chunks(most).peekable();
    let first = parts.next().unwrap_or_default();
    let mut flags = if ends { END_STREAM } else { 0 };
    if parts.peek().is_none() {
        flags |= END_HEADERS;
    }
    let mut payload = Vec::new();
    let padding = random.below(20);
    if random.one_in(4) {
        flags |= PADDED;
        payload.push(u8::try_from(padding).unwrap_or(0));
    }
    if random.one_in(4) {
        flags |= PRIORITY;
        payload.extend([0, 0, 0, 0, 15]);
    }
    payload.extend_from_slice(first);
    if flags & PADDED != 0 {
        payload.extend(vec![0; padding]);
    }
    let mut out = frame(HEADERS, flags, stream, &payload);
    while let Some(part) = parts.next() {
        let last = if parts.peek().is_none() { END_HEADERS } else { 0 };
        out.extend(frame(CONTINUATION, last, stream, part));
    }
    out
}

/// DATA of random sizes, padded now and then; sometimes the end comes in a frame of its own.
fn data(body: &[u8], stream: u32, random: &mut Random) -> VecDeque<Vec<u8>> {
    let mut frames = VecDeque::new();
    let pieces = random.cut(body, 6_000);
    let apart = !pieces.is_empty() && random.one_in(3);
    let count = pieces.len();
    for (number, piece) in (1..).zip(pieces) {
        let ends = if number == count && !apart { END_STREAM } else { 0 };
        if random.one_in(4) {
            let padding = random.below(200);
            let length = u8::try_from(padding).unwrap_or(0);
            let payload = [&[length], piece, &vec![0; padding]].concat();
            frames.push_back(frame(DATA, PADDED | ends, stream, &payload));
        } else {
            frames.push_back(frame(DATA, ends, stream, piece));
        }
    }
    if apart {
        frames.push_back(frame(DATA, END_STREAM, stream, &[]));
    }
    frames
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut out = length.to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}
