//! What the embedded store reads from its clients: statements, native frames, forms and URLs.

use observer::store::embedded::fuzzing;

use crate::input::Input;

/// First byte: which of them.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let which = input.byte();
    match which % 6 {
        0 => statement(input.rest(), which & 0x80 != 0),
        1 => {
            let _ = fuzzing::frames(input.rest());
        }
        2 => {
            // A frame whose checksum is right, so that the rest is looked at.
            let method = [0x02, 0x82, 0x90, input.byte()][usize::from(which >> 6)];
            let raw = u32::try_from(input.short()).unwrap_or(0);
            let frame = fuzzing::frame(method, raw, input.rest());
            if let Some(read) = fuzzing::frames(&frame) {
                assert_eq!(read, u64::from(raw));
            }
        }
        3 => fuzzing::form("multipart/form-data; boundary=b", input.rest()),
        4 => {
            let kind = String::from_utf8_lossy(input.bytes(usize::from(which >> 2))).into_owned();
            fuzzing::form(&kind, input.rest());
        }
        _ => fuzzing::url(&String::from_utf8_lossy(input.rest())),
    }
}

/// Where data begins must not depend on how much of the text has come.
fn statement(text: &[u8], data_follows: bool) {
    let whole = fuzzing::statement(text, true, data_follows);
    if let Some(Some((head, data))) = whole {
        assert!(head <= data && data <= text.len());
    }
    let step = text.len() / 64 + 1;
    for cut in (0..text.len()).step_by(step) {
        if let Some(Some(place)) = fuzzing::statement(&text[..cut], false, data_follows) {
            assert_eq!(whole, Some(Some(place)), "cut at {cut}");
        }
    }
}
