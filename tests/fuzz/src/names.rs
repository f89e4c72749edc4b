//! What names a connection that cannot be read: the ClientHello that begins it, and the answer of a name server before it.

use observer::protocol::{
    dns,
    tls::{HelloReader, HelloState},
};

use crate::input::{Input, pieces};

/// First byte: which of the two. Second: how the rest is cut.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (which, seed) = (input.byte(), input.byte());
    let message = input.rest();
    if which % 2 == 0 {
        hello(message, seed);
    } else {
        answer(message);
    }
}

/// The same hello for every split.
fn hello(bytes: &[u8], seed: u8) {
    let read = |pieces: &[&[u8]]| {
        let mut reader = HelloReader::default();
        let states = pieces.iter().map(|piece| reader.push(piece));
        states
            .into_iter()
            .find(|state| *state != HelloState::NeedMore)
            .unwrap_or(HelloState::NeedMore)
    };
    let whole = read(&[bytes]);
    assert_eq!(whole, read(&pieces(bytes, seed)));
    if let HelloState::Done(hello) = whole {
        hello.server_name.as_deref().into_iter().for_each(named);
    }
}

fn answer(message: &[u8]) {
    if let Some((name, addresses)) = dns::answer(message) {
        named(&name);
        // Each address takes 14 bytes or more.
        assert!(addresses.len() * 14 <= message.len());
    }
}

/// A name that may be shown.
fn named(name: &str) {
    assert!(!name.is_empty() && name.len() <= 255);
    assert!(
        name.bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    );
    assert!(!name.bytes().any(|b| b.is_ascii_uppercase()));
}
