//! JSON in pieces.

use observer::protocol::json::{Container, JsonEvents, JsonLoss, JsonWalker, Literal, MAX_DEPTH, MAX_KEY};

use crate::input::{Input, pieces};

/// First byte: how the rest is cut.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let seed = input.byte();
    let text = input.rest();
    let (whole, whole_end) = walk(&[text]);
    let (cut, cut_end) = walk(&pieces(text, seed));
    assert!(whole.0 == cut.0);
    assert_eq!(whole_end, cut_end);
}

fn walk(pieces: &[&[u8]]) -> (Events, Result<(), JsonLoss>) {
    let (mut walker, mut events) = (JsonWalker::new(), Events::default());
    for piece in pieces {
        if let Err((loss, read)) = walker.push(piece, &mut events) {
            assert!(read <= piece.len());
            events.end_text();
            return (events, Err(loss));
        }
    }
    let end = walker.close(&mut events);
    events.end_text();
    (events, end)
}

/// Events as text, pieces of one string put together.
#[derive(Default)]
struct Events(Vec<String>, Vec<u8>, usize);

impl Events {
    fn end_text(&mut self) {
        let text = std::mem::take(&mut self.1);
        if !text.is_empty() {
            self.0.push(format!("string {text:?}"));
        }
    }
}

impl JsonEvents for Events {
    fn begin(&mut self, container: Container) {
        self.2 += 1;
        assert!(self.2 <= MAX_DEPTH);
        self.0.push(format!("begin {container:?}"));
    }
    fn end(&mut self, container: Container) {
        self.2 -= 1;
        self.0.push(format!("end {container:?}"));
    }
    fn key(&mut self, key: &[u8], cut: bool) {
        assert!(key.len() <= MAX_KEY);
        self.0.push(format!("key {key:?} {cut}"));
    }
    fn string(&mut self, piece: &[u8]) {
        self.1.extend_from_slice(piece);
    }
    fn string_end(&mut self) {
        self.end_text();
        self.0.push("string end".to_owned());
    }
    fn number(&mut self, text: &[u8]) {
        self.0.push(format!("number {text:?}"));
    }
    fn literal(&mut self, literal: Literal) {
        self.0.push(format!("{literal:?}"));
    }
}
