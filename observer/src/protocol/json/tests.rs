use super::path::{Cursor, MAX_PATH_DEPTH, MAX_PATHS, PathId};
use super::*;

/// Writes events down, with the path of each value.
struct Log {
    cursor: Cursor,
    text: Vec<u8>,
    out: Vec<String>,
}

impl Log {
    fn new() -> Self {
        Self {
            cursor: Cursor::new(&["a", "b", "c"]),
            text: Vec::new(),
            out: Vec::new(),
        }
    }
    fn note(&mut self, what: &str) {
        let path = self.cursor.text(self.cursor.path());
        self.out.push(format!("{path} {what}"));
    }
}

impl JsonEvents for Log {
    fn begin(&mut self, container: Container) {
        self.cursor.begin(container);
    }
    fn end(&mut self, _: Container) {
        self.cursor.end();
        self.note("end");
    }
    fn key(&mut self, key: &[u8], cut: bool) {
        let known = self.cursor.key(key);
        if !known || cut {
            self.note(&format!("key {} {cut}", String::from_utf8_lossy(key).len()));
        }
    }
    fn string(&mut self, piece: &[u8]) {
        assert!(!piece.is_empty());
        self.text.extend_from_slice(piece);
    }
    fn string_end(&mut self) {
        let text = std::mem::take(&mut self.text);
        self.note(&format!("\"{}\"", String::from_utf8_lossy(&text)));
        self.cursor.value_end();
    }
    fn number(&mut self, text: &[u8]) {
        self.note(&String::from_utf8_lossy(text));
        self.cursor.value_end();
    }
    fn literal(&mut self, literal: Literal) {
        self.note(&format!("{literal:?}"));
        self.cursor.value_end();
    }
}

fn walk(pieces: &[&[u8]]) -> (Vec<String>, Option<JsonLoss>) {
    let (mut walker, mut log) = (JsonWalker::new(), Log::new());
    let mut loss = None;
    for piece in pieces {
        loss = loss.or(walker.push(piece, &mut log).err().map(|(loss, _)| loss));
    }
    loss = loss.or(walker.close(&mut log).err());
    (log.out, loss)
}

const DOCUMENT: &str = r#" {"a":[1,-2.5e+3,"x\n\u00e9\ud83d\ude00\ud83dz\ude00\"\\\/\b\f\r\t",[],{"b":null}],"\u0063":true,"other":false,
    "b":{"a":"","b":"\ud83d"}}
    [0] "top" 12"#;

#[test]
fn document() {
    let (events, loss) = walk(&[DOCUMENT.as_bytes()]);
    assert_eq!(loss, None);
    let expected = [
        "$.a[*] 1",
        "$.a[*] -2.5e+3",
        "$.a[*] \"x\né😀\u{fffd}z\u{fffd}\"\\/\u{8}\u{c}\r\t\"",
        "$.a[*] end",
        "$.a[*].b Null",
        "$.a[*] end",
        "$.a end",
        "$.c True",
        "$.* key 5 false",
        "$.* False",
        "$.b.a \"\"",
        "$.b.b \"\u{fffd}\"",
        "$.b end",
        "$ end",
        "$[*] 0",
        "$ end",
        "$ \"top\"",
        "$ 12",
    ];
    assert_eq!(events, expected);
}

#[test]
fn every_split_and_byte_by_byte() {
    let bytes = DOCUMENT.as_bytes();
    let expected = walk(&[bytes]);
    for cut in 0..=bytes.len() {
        assert_eq!(walk(&[&bytes[..cut], &bytes[cut..]]), expected, "cut at {cut}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(walk(&single), expected);
}

#[test]
fn numbers_of_an_array_are_the_same_at_every_split_and_counted() {
    let text =
        b"{\"a\":[1, 2\n,-3.5e+1 ,4,\r\n 123456789012, 5],\"b\":[[6,7],8 , 9],\"c\":[1,\"x\",2,null,3,{},4]}";
    let expected = walk(&[text]);
    assert_eq!(expected.1, None);
    assert_eq!(
        expected
            .0
            .iter()
            .filter(|event| event.starts_with("$.a[*]"))
            .count(),
        6
    );
    for cut in 0..=text.len() {
        assert_eq!(walk(&[&text[..cut], &text[cut..]]), expected, "cut at {cut}");
    }
    // What is no list of numbers is refused where it always was.
    for bad in ["[1,,2]", "[1,2 3]", "[1,]", "{1,2}", "[1,2,}"] {
        assert_eq!(walk(&[bad.as_bytes()]).1, Some(JsonLoss::Malformed), "{bad}");
    }
    let long = format!("[1,{},2]", "1".repeat(MAX_NUMBER + 1));
    assert_eq!(walk(&[long.as_bytes()]).1, Some(JsonLoss::OverBudget));
    let run = Numbers::at_front(b"1, -2.5 ,123 , 4").expect("a run");
    assert_eq!((run.count(), run.len(), run.longest_integer()), (3, 15, 3));
    assert_eq!(run.iter().collect::<Vec<_>>(), [&b"1"[..], b"-2.5", b"123"]);
    assert!(Numbers::at_front(b"1").is_none() && Numbers::at_front(b"x,1").is_none());
}

#[test]
fn bytes_that_are_not_utf8_and_unknown_escapes_pass() {
    struct Raw(Vec<u8>);
    impl JsonEvents for Raw {
        fn begin(&mut self, _: Container) {}
        fn end(&mut self, _: Container) {}
        fn key(&mut self, _: &[u8], _: bool) {}
        fn string(&mut self, piece: &[u8]) {
            self.0.extend_from_slice(piece);
        }
        fn string_end(&mut self) {}
        fn number(&mut self, _: &[u8]) {}
        fn literal(&mut self, _: Literal) {}
    }
    let mut raw = Raw(Vec::new());
    JsonWalker::new()
        .push(b"\"a\xff\xfe\\q\\u12G\x01\"", &mut raw)
        .unwrap();
    assert_eq!(raw.0, b"a\xff\xfe\\q\xef\xbf\xbdG\x01");
}

#[test]
fn malformed() {
    for bad in [
        "{",
        "[1,",
        "{\"a\" 1}",
        "{\"a\":1,}",
        "[1 2]",
        "}",
        "]",
        "[}",
        "tru",
        "nulL",
        "\"x",
        "{\"a\"",
        "<html>",
        "{1:2}",
        "{\"a\":1]",
        "[,1]",
    ] {
        assert_eq!(walk(&[bad.as_bytes()]).1, Some(JsonLoss::Malformed), "{bad}");
    }
    assert_eq!(walk(&[b""]).1, None);
}

#[test]
fn budgets() {
    let deep = |n: usize| walk(&["[".repeat(n).as_bytes(), "]".repeat(n).as_bytes()]).1;
    assert_eq!(deep(MAX_DEPTH), None);
    assert_eq!(deep(MAX_DEPTH + 1), Some(JsonLoss::OverBudget));
    let number = |n: usize| walk(&["1".repeat(n).as_bytes()]).1;
    assert_eq!(number(MAX_NUMBER), None);
    assert_eq!(number(MAX_NUMBER + 1), Some(JsonLoss::OverBudget));
    let key = format!("{{\"{}\":1}}", "k".repeat(3 * MAX_KEY));
    assert_eq!(walk(&[key.as_bytes()]).0[0], format!("$.* key {MAX_KEY} true"));
    // Failure is final and says where.
    let (mut walker, mut log) = (JsonWalker::new(), Log::new());
    assert_eq!(walker.push(b"[1]x", &mut log), Err((JsonLoss::Malformed, 3)));
    assert_eq!(walker.push(b"[1]", &mut log), Err((JsonLoss::Malformed, 0)));
}

#[test]
fn paths_are_bounded() {
    static KEYS: &[&str] = &["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut cursor = Cursor::new(KEYS);
    // All paths of depth four over eight keys are more than the table takes.
    for number in 0..8usize.pow(4) {
        for level in 0..4 {
            cursor.begin(Container::Object);
            cursor.key(KEYS[number >> (3 * level) & 7].as_bytes());
        }
        assert!(cursor.paths() <= MAX_PATHS);
        cursor.reset();
    }
    assert_eq!(cursor.paths(), MAX_PATHS);
    // Depth is cut, not refused.
    let mut cursor = Cursor::new(KEYS);
    (0..100).for_each(|_| cursor.begin(Container::Array));
    assert_eq!(cursor.text(cursor.path()).matches("[*]").count(), MAX_PATH_DEPTH);
    (0..100).for_each(|_| cursor.end());
    assert_eq!(cursor.path(), PathId::ROOT);
}

#[test]
fn escapes_inside_a_string() {
    let text = br#"{"k":"a\nAKIA\u0041\\n"}"#;
    for cut in 0..=text.len() {
        let (mut escapes, mut out) = (Escapes::default(), Vec::new());
        escapes.all(&text[..cut], &mut |p| out.extend_from_slice(p));
        escapes.all(&text[cut..], &mut |p| out.extend_from_slice(p));
        escapes.finish(&mut |p| out.extend_from_slice(p));
        assert_eq!(out, b"{\"k\":\"a\nAKIAA\\n\"}", "cut at {cut}");
    }
}

#[test]
fn a_path_is_the_same_whatever_came_before_it() {
    let mut cursor = Cursor::new(&["a", "b", "c"]);
    cursor.enter("$.b[*].c");
    cursor.begin(Container::Object);
    let mut seen = std::collections::HashMap::new();
    // The order changes each time, so that the key that is expected next is often another one.
    for (round, order) in ["abcxy", "yxcba", "bxaxc", "cabyx"].iter().enumerate() {
        for key in order.chars() {
            let known = cursor.key(key.to_string().as_bytes());
            assert_eq!(known, "abc".contains(key), "{key} in round {round}");
            let want = if known {
                format!("$.{key}")
            } else {
                "$.*".to_owned()
            };
            assert_eq!(cursor.text(cursor.path()), want);
            assert_eq!(*seen.entry(want).or_insert(cursor.path()), cursor.path());
            cursor.value_end();
        }
    }
}

#[test]
fn a_path_entered_beforehand_is_the_one_that_a_document_finds() {
    let mut cursor = Cursor::new(&["a", "b", "c"]);
    cursor.enter("$.b[*].c");
    let paths = cursor.paths();
    cursor.begin(Container::Object);
    cursor.key(b"b");
    cursor.begin(Container::Array);
    cursor.begin(Container::Object);
    cursor.key(b"c");
    assert_eq!(cursor.text(cursor.path()), "$.b[*].c");
    assert_eq!(cursor.paths(), paths);
}

#[test]
fn keys_below_the_deepest_path_stay_at_their_ancestor() {
    let mut cursor = Cursor::new(&["a", "b"]);
    for _ in 0..MAX_PATH_DEPTH + 4 {
        cursor.begin(Container::Object);
        cursor.key(b"a");
    }
    let deepest = cursor.text(cursor.path());
    assert_eq!(deepest.matches(".a").count(), MAX_PATH_DEPTH);
    for key in [b"b", b"a", b"b", b"a"] {
        cursor.key(key);
        assert_eq!(cursor.text(cursor.path()), deepest);
    }
}
