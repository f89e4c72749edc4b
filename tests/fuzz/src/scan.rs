//! The scan for sensitive data.

use observer::{
    dialect::{Place, TextRole, TextSink},
    protocol::Side,
    sensitive::{Engine, HmacKey, Rules, ScanReport, scan_text},
};

use crate::input::{Input, pieces};

thread_local! {
    static ENGINE: Engine = Engine::new(&Rules::builtin().expect("built-in rules")).expect("engine");
}

/// The engine of this thread, for the built-in rules.
pub fn engine() -> Engine {
    ENGINE.with(Clone::clone)
}

/// What a target with the engine does first: its seeds, and the engine, which takes longer under the sanitizer than an input may.
pub fn warm_up(target: &str) {
    crate::seeds::write(target);
    drop(engine());
}

/// First byte: how the rest is cut.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let seed = input.byte();
    let text = input.rest();
    let engine = engine();
    let whole = scan(&engine, &[text]);
    assert!(whole == scan(&engine, &pieces(text, seed)));
    assert!(whole.bytes_scanned <= whole.bytes_seen);
    let _ = scan_text(&engine, pieces(text, seed));
}

fn scan(engine: &Engine, pieces: &[&[u8]]) -> ScanReport {
    let place = Place {
        side: Side::Request,
        path: "$".to_owned(),
        role: TextRole::Prompt,
    };
    let mut scan = engine.open(Some(&HmacKey::from_bytes([7; 32])));
    for piece in pieces {
        scan.text(&place, 1, piece);
    }
    scan.end(1);
    scan.finish()
}
