//! Frames and header blocks for tests.

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut out = vec![length[1], length[2], length[3], kind, flags];
    out.extend(stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// A header block in literals that are put into the table (`indexed`) or not. Strings of up to 2 MiB.
pub(crate) fn block(fields: &[(&str, &str)], indexed: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(if indexed { 0x40 } else { 0 });
        for part in [name, value] {
            let length = part.len();
            if length < 127 {
                out.push(u8::try_from(length).unwrap());
            } else {
                let rest = length - 127;
                out.push(127);
                out.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
                out.push(u8::try_from(rest >> 7 & 0x7f).unwrap() | 0x80);
                out.push(u8::try_from(rest >> 14).unwrap());
            }
            out.extend_from_slice(part.as_bytes());
        }
    }
    out
}

/// A request head in one frame.
pub(crate) fn request(stream: u32, path: &str, fields: &[(&str, &str)], end: bool) -> Vec<u8> {
    let mut all = vec![
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "api.openai.com"),
        (":path", path),
    ];
    all.extend_from_slice(fields);
    frame(1, 4 | u8::from(end), stream, &block(&all, false))
}

/// A response head in one frame.
pub(crate) fn response(stream: u32, status: &str, fields: &[(&str, &str)], end: bool) -> Vec<u8> {
    let mut all = vec![(":status", status)];
    all.extend_from_slice(fields);
    frame(1, 4 | u8::from(end), stream, &block(&all, false))
}

/// Body octets in one frame.
pub(crate) fn data(stream: u32, octets: &[u8], end: bool) -> Vec<u8> {
    frame(0, u8::from(end), stream, octets)
}
