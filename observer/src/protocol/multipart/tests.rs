use super::*;

#[derive(Default, Debug, PartialEq, Eq)]
struct Found(Vec<(Part, Vec<u8>, bool)>);

impl PartEvents for Found {
    fn begin(&mut self, part: Part) {
        assert!(self.0.last().is_none_or(|(.., ended)| *ended));
        self.0.push((part, Vec::new(), false));
    }
    fn content(&mut self, piece: &[u8]) {
        let last = self.0.last_mut().unwrap();
        assert!(!last.2 && !piece.is_empty());
        last.1.extend_from_slice(piece);
    }
    fn end(&mut self) {
        self.0.last_mut().unwrap().2 = true;
    }
}

const KIND: &str = "multipart/form-data; charset=x; boundary=\"b1\"";
const FORM: &[u8] = b"preamble\r\n--b1\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n\
--b1\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n--b\r\n--b1x\
\r\n--b1\r\nContent-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--b1--\r\nepilogue";

fn read(pieces: &[&[u8]]) -> (Found, bool) {
    let mut decoder = MultipartDecoder::new(KIND).unwrap();
    let mut found = Found::default();
    pieces.iter().for_each(|piece| decoder.push(piece, &mut found));
    let over = decoder.is_over();
    decoder.close(&mut found);
    (found, over)
}

fn expected() -> Vec<(Part, Vec<u8>, bool)> {
    let part = |name: &str, file| Part {
        name: name.to_owned(),
        file,
    };
    vec![
        (part("model", false), b"whisper-1".to_vec(), true),
        (part("file", true), b"RIFF\r\n--b".to_vec(), true),
    ]
}

#[test]
fn parts_at_every_split() {
    let whole = read(&[FORM]);
    // A delimiter with something behind it ends the form: the specification forbids a boundary inside a part.
    assert_eq!(whole.0.0, expected());
    for at in 0..=FORM.len() {
        let (a, b) = FORM.split_at(at);
        assert_eq!(read(&[a, b]), whole, "split at {at}");
    }
}

#[test]
fn empty_parts_and_a_boundary_at_the_start() {
    let form = b"--b1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--b1\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\nx\r\n--b1--";
    for at in 0..=form.len() {
        let (a, b) = form.split_at(at);
        let (found, over) = read(&[a, b]);
        let texts: Vec<_> = found
            .0
            .iter()
            .map(|(part, text, ended)| (part.name.as_str(), &text[..], *ended))
            .collect();
        assert_eq!(
            texts,
            [("a", &b""[..], true), ("b", &b"x"[..], true)],
            "split at {at}"
        );
        assert!(over);
    }
}

#[test]
fn a_form_that_breaks_off_ends_its_part() {
    let (found, over) = read(&[&FORM[..FORM.len() / 2]]);
    assert!(!over && found.0.last().unwrap().2);
}

#[test]
fn a_head_over_budget_is_a_file() {
    let form = [
        b"--b1\r\nx: ".to_vec(),
        vec![b'y'; MAX_HEAD + 10],
        b"\r\n--b1--".to_vec(),
    ]
    .concat();
    let pieces: Vec<&[u8]> = form.chunks(100).collect();
    let (found, over) = read(&pieces);
    assert!(over && found.0.len() == 1 && found.0[0].0.file);
}

#[test]
fn content_types_without_a_form() {
    for kind in [
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=a",
    ] {
        assert!(MultipartDecoder::new(kind).is_none(), "{kind}");
    }
    assert!(MultipartDecoder::new(&format!("multipart/form-data; boundary={}", "b".repeat(71))).is_none());
}
