//! Files of a bundle: whoever hands one over may have written anything into it.

use std::io::BufReader;

use observer::{
    bundle::{Lines, Manifest, from_line, to_line},
    evidence::{AnchorRow, BlindSpotRow, ConnectionRow, FindingRow, InteractionRow, KeyRow, SealRow},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::input::Input;

/// First byte: which file; second: in what pieces its lines are read.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let which = input.byte();
    let piece = usize::from(input.byte()).max(1);
    let text = input.rest();
    if which % 8 == 7 {
        if let Ok(manifest) = Manifest::parse(text) {
            let again = serde_json::to_vec(&manifest).expect("JSON");
            assert_eq!(Manifest::parse(&again).as_ref(), Ok(&manifest));
        }
        return;
    }
    let mut whole = Lines::new(text);
    let mut pieces = Lines::new(BufReader::with_capacity(piece, text));
    loop {
        let line = whole.next_line().map(|line| line.map(<[u8]>::to_vec));
        let same = pieces.next_line().map(|line| line.map(<[u8]>::to_vec));
        assert_eq!(line.is_ok(), same.is_ok());
        let (Ok(Some(line)), Ok(Some(same))) = (line, same) else {
            return;
        };
        assert_eq!(line, same);
        row(which % 8, &line);
    }
}

fn row(table: u8, line: &[u8]) {
    match table {
        0 => again(line, SealRow::digest),
        1 => again(line, InteractionRow::digest),
        2 => again(line, FindingRow::digest),
        3 => again(line, ConnectionRow::digest),
        4 => again(line, BlindSpotRow::digest),
        5 => drop(serde_json::from_slice(line).map(|value| KeyRow::from_json(&value).map(|key| key.check(None)))),
        _ => drop(serde_json::from_slice(line).map(|value| AnchorRow::from_json(&value).map(|anchor| anchor.check(&[1; 32])))),
    }
}

/// What is a row stays the same row, with the same hash.
fn again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(line: &[u8], digest: impl Fn(&T) -> [u8; 32]) {
    if let Ok(row) = from_line::<T>(line) {
        let text = to_line(&row).expect("a row is JSON");
        let same: T = from_line(text.as_bytes()).expect("our own line");
        assert_eq!(same, row);
        assert_eq!(digest(&same), digest(&row));
    }
}
