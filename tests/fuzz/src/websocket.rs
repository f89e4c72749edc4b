//! WebSocket of one connection, both directions, with holes.

use observer::protocol::{
    Incomplete, Side,
    websocket::{Agreement, WebSocketConnection, WebSocketEvent},
};

use crate::input::{Input, pieces};

/// Messages that are being read, by side.
#[derive(Default)]
struct Seen {
    open: [bool; 2],
    closed: [bool; 2],
    content: [Vec<u8>; 2],
    messages: Vec<String>,
}

impl Seen {
    fn event(&mut self, event: &WebSocketEvent<'_>) {
        match event {
            WebSocketEvent::Begin { side, .. } => {
                assert!(!self.closed[*side as usize], "a message after the end");
                assert!(
                    !std::mem::replace(&mut self.open[*side as usize], true),
                    "a message inside a message"
                );
            }
            WebSocketEvent::Data { side, data } => {
                assert!(self.open[*side as usize], "content of no message");
                self.content[*side as usize].extend_from_slice(data);
            }
            WebSocketEvent::Gap { side } => assert!(self.open[*side as usize], "a hole in no message"),
            WebSocketEvent::End {
                side,
                incomplete,
                wire_bytes,
            } => {
                assert!(
                    std::mem::replace(&mut self.open[*side as usize], false),
                    "an end of nothing"
                );
                let mut content = std::mem::take(&mut self.content[*side as usize]);
                if matches!(incomplete, Some(Incomplete::Encoding | Incomplete::OverBudget)) {
                    // How far compressed content is read before the mistake depends on the pieces.
                    content.clear();
                }
                self.messages
                    .push(format!("{side:?} {incomplete:?} {wire_bytes} {content:?}"));
            }
            WebSocketEvent::Closed { side, .. } => {
                assert!(
                    !std::mem::replace(&mut self.closed[*side as usize], true),
                    "a side ends twice"
                );
            }
            WebSocketEvent::Skipped { side, .. } => {
                assert!(self.closed[*side as usize], "skipped before the end");
            }
        }
    }
}

/// A script of pushes and gaps, or the same bytes in different pieces.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mode = input.byte();
    let agreed = Agreement {
        deflate: mode & 2 != 0,
        client_alone: mode & 4 != 0,
        server_alone: mode & 8 != 0,
    };
    if mode & 1 == 0 {
        let seed = input.byte();
        let bytes = input.rest();
        let all = |pieces: &[&[u8]]| {
            let (mut connection, mut seen) = (WebSocketConnection::new(agreed), Seen::default());
            for piece in pieces {
                connection.push(Side::Request, piece, &mut |event| seen.event(&event));
            }
            connection.close(&mut |event| seen.event(&event));
            assert_eq!((seen.open, seen.closed), ([false; 2], [true; 2]));
            seen.messages
        };
        assert_eq!(
            all(&pieces(bytes, seed)),
            all(&[bytes]),
            "the pieces of the input matter"
        );
        return;
    }
    let (mut connection, mut seen) = (WebSocketConnection::new(agreed), Seen::default());
    while !input.is_empty() {
        let op = input.byte();
        let side = if op & 1 == 0 {
            Side::Request
        } else {
            Side::Response
        };
        match op % 8 {
            0..=5 => connection.push(side, input.bytes(usize::from(op >> 2)), &mut |event| {
                seen.event(&event)
            }),
            _ => {
                let missing = match op >> 6 {
                    0 => None,
                    1 => Some(u64::from(input.byte())),
                    _ => Some(input.long()),
                };
                connection.gap(side, missing, &mut |event| seen.event(&event));
            }
        }
    }
    connection.close(&mut |event| seen.event(&event));
    assert_eq!((seen.open, seen.closed), ([false; 2], [true; 2]));
}
