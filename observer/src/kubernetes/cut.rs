//! Cuts JSON objects out of a stream, so that an answer of any length needs the memory of its largest object. Pure.

/// Longest object that is taken. A pod has 1.5 MiB at most, the limit of etcd, and JSON needs more for it.
const MAX_OBJECT: usize = 4 << 20;

/// Longest text around the objects of a list.
const MAX_REST: usize = 64 << 10;

/// Why the stream is not read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    /// A bracket closes that was not opened.
    #[error("the answer is not JSON")]
    NotJson,
    /// Too much around the objects: no list, or no answer of an API server.
    #[error("the answer is not what an API server says")]
    NoList,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Cutter {
    /// Brackets that are open around an object that is to be cut.
    level: u32,
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// The bracket that opened `level` is that of an array.
    in_list: bool,
    cutting: bool,
    object: Vec<u8>,
    /// Bytes of the object that found no room.
    over: usize,
    rest: Vec<u8>,
    skipped: u64,
}

impl Cutter {
    /// Cuts the objects of a stream of objects, as a watch answers.
    pub(super) fn stream() -> Self {
        Self::at(0)
    }

    /// Cuts the objects of the one array in an object, as a list answers; what is around them stays for [`Self::rest`].
    pub(super) fn list() -> Self {
        Self::at(2)
    }

    fn at(level: u32) -> Self {
        Self {
            level,
            depth: 0,
            in_string: false,
            escaped: false,
            in_list: false,
            cutting: false,
            object: Vec::new(),
            over: 0,
            rest: Vec::new(),
            skipped: 0,
        }
    }

    /// What stood around the objects of a list, with the array empty.
    pub(super) fn rest(&self) -> &[u8] {
        &self.rest
    }

    /// Objects that were too long to be taken, so far.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Takes the next bytes, and hands out each object that is whole with them.
    ///
    /// # Errors
    /// When this is not such a stream.
    pub(super) fn push(&mut self, chunk: &[u8], take: &mut dyn FnMut(&[u8])) -> Result<(), Broken> {
        let mut start = 0;
        for (at, byte) in chunk.iter().enumerate() {
            if self.in_string {
                self.string(*byte);
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    if *byte == b'{' && self.begins_object() {
                        self.keep(&chunk[start..at])?;
                        (self.cutting, start) = (true, at);
                    }
                    self.depth += 1;
                    if self.depth == self.level {
                        self.in_list = *byte == b'[';
                    }
                }
                b'}' | b']' => {
                    self.depth = self.depth.checked_sub(1).ok_or(Broken::NotJson)?;
                    if self.cutting && self.depth == self.level {
                        self.keep(&chunk[start..=at])?;
                        start = at + 1;
                        self.hand_out(take);
                    }
                }
                // What is left of a list must be JSON.
                b',' if self.in_list && self.depth == self.level && self.level > 0 => {
                    self.keep(&chunk[start..at])?;
                    start = at + 1;
                }
                _ => {}
            }
        }
        self.keep(&chunk[start..])
    }

    fn string(&mut self, byte: u8) {
        if self.escaped {
            self.escaped = false;
        } else if byte == b'\\' {
            self.escaped = true;
        } else if byte == b'"' {
            self.in_string = false;
        }
    }

    fn begins_object(&self) -> bool {
        !self.cutting && self.depth == self.level && (self.level == 0 || self.in_list)
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        if self.cutting {
            if self.object.len() + bytes.len() > MAX_OBJECT {
                self.over += bytes.len();
            } else {
                self.object.extend_from_slice(bytes);
            }
            return Ok(());
        }
        if self.rest.len() + bytes.len() > MAX_REST {
            return Err(Broken::NoList);
        }
        // Between the objects of a stream is nothing but white space, which says nothing.
        let keeps = self.level > 0 || !bytes.iter().all(u8::is_ascii_whitespace);
        if keeps {
            self.rest.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn hand_out(&mut self, take: &mut dyn FnMut(&[u8])) {
        if self.over == 0 {
            take(&self.object);
        } else {
            self.skipped += 1;
        }
        (self.cutting, self.over) = (false, 0);
        self.object.clear();
        // One large pod does not keep its memory for all times.
        self.object.shrink_to(MAX_REST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"kind":"PodList","metadata":{"resourceVersion":"7","x":{"y":[{"no":1}]}},"items":[ {"a":{"b":[{"c":"}\\\"]{"}]}},
      {"d":"{"} , {}]}"#;
    const OBJECTS: [&str; 3] = [r#"{"a":{"b":[{"c":"}\\\"]{"}]}}"#, r#"{"d":"{"}"#, "{}"];

    fn cut(mut cutter: Cutter, chunks: &[&[u8]]) -> (Vec<String>, Result<(), Broken>, Cutter) {
        let mut found = Vec::new();
        let mut take = |object: &[u8]| found.push(String::from_utf8_lossy(object).into_owned());
        let result = chunks.iter().try_for_each(|chunk| cutter.push(chunk, &mut take));
        (found, result, cutter)
    }

    #[test]
    fn every_split_of_a_list_gives_the_same_objects_and_a_readable_rest() {
        for at in 0..=LIST.len() {
            let (head, tail) = LIST.as_bytes().split_at(at);
            let (found, result, cutter) = cut(Cutter::list(), &[head, tail]);
            assert_eq!(
                (result, found),
                (Ok(()), OBJECTS.map(str::to_owned).to_vec()),
                "{at}"
            );
            let rest: serde_json::Value = serde_json::from_slice(cutter.rest()).unwrap();
            assert_eq!(rest["metadata"]["resourceVersion"], "7", "{at}");
            assert_eq!(rest["items"], serde_json::json!([]), "{at}");
        }
    }

    #[test]
    fn every_split_of_a_stream_gives_the_same_objects() {
        let text = OBJECTS.join("\n");
        for at in 0..=text.len() {
            let (head, tail) = text.as_bytes().split_at(at);
            let (found, result, cutter) = cut(Cutter::stream(), &[head, tail]);
            assert_eq!(
                (result, found),
                (Ok(()), OBJECTS.map(str::to_owned).to_vec()),
                "{at}"
            );
            assert!(cutter.rest().is_empty());
        }
    }

    #[test]
    fn an_object_that_is_too_long_is_left_out_and_the_next_one_is_not() {
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_OBJECT));
        let text = format!("{long}\n{{}}\n");
        let chunks: Vec<&[u8]> = text.as_bytes().chunks(1 << 16).collect();
        let (found, result, cutter) = cut(Cutter::stream(), &chunks);
        assert_eq!((result, found), (Ok(()), vec!["{}".to_owned()]));
        assert_eq!(cutter.skipped(), 1);
        assert!(cutter.object.capacity() <= MAX_REST);
    }

    #[test]
    fn what_is_no_such_answer_ends_soon() {
        assert_eq!(cut(Cutter::list(), &[b"]"]).1, Err(Broken::NotJson));
        let page = "<html>".repeat(20_000);
        for cutter in [Cutter::list(), Cutter::stream()] {
            assert_eq!(cut(cutter, &[page.as_bytes()]).1, Err(Broken::NoList));
        }
        // Space between the objects of a watch is no text, however much there is.
        let space = " ".repeat(MAX_REST);
        let spaces = [space.as_bytes(); 4];
        assert_eq!(cut(Cutter::stream(), &spaces).1, Ok(()));
    }
}
