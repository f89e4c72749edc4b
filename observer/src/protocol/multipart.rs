//! Forms with files (`multipart/form-data`, RFC 7578 and RFC 2046): bytes in pieces of any size in, parts out.

#[cfg(test)]
mod tests;

use memchr::memmem;

/// Longest boundary (RFC 2046 section 5.1.1).
const MAX_BOUNDARY: usize = 70;
/// Longest head of a part; a part with a longer one is handed on as a file without a name.
const MAX_HEAD: usize = 8 * 1024;

/// A part of a form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// `name` of its disposition; empty where there is none.
    pub name: String,
    /// It is a file: it has a `filename`, or a type that is not text.
    pub file: bool,
}

/// Takes the parts of a form.
pub trait PartEvents {
    /// A part begins.
    fn begin(&mut self, part: Part);
    /// A piece of its content.
    fn content(&mut self, piece: &[u8]);
    /// It is complete.
    fn end(&mut self);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In front of the first boundary.
    Preamble,
    /// Behind a boundary: a line end, or two dashes.
    Boundary,
    Head,
    Content,
    /// Behind the last boundary.
    Over,
}

/// Decoder of one form.
pub struct MultipartDecoder {
    /// Line end, two dashes and the boundary.
    delimiter: Vec<u8>,
    state: State,
    /// Bytes that may belong to a delimiter or a head.
    buffer: Vec<u8>,
}

impl MultipartDecoder {
    /// A decoder for a body with this content type; `None` where that names no form or no boundary.
    pub fn new(content_type: &str) -> Option<Self> {
        let mut pieces = content_type.split(';').map(str::trim);
        if !pieces.next()?.eq_ignore_ascii_case("multipart/form-data") {
            return None;
        }
        let value = pieces.find_map(|piece| {
            let (name, value) = piece.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("boundary")
                .then(|| value.trim().trim_matches('"'))
        })?;
        (!value.is_empty() && value.len() <= MAX_BOUNDARY).then(|| Self {
            delimiter: [b"\r\n--", value.as_bytes()].concat(),
            state: State::Preamble,
            // The first boundary may stand at the very start.
            buffer: b"\r\n".to_vec(),
        })
    }

    /// Whether the form ended as it should.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Takes the next bytes.
    pub fn push(&mut self, data: &[u8], events: &mut dyn PartEvents) {
        self.buffer.extend_from_slice(data);
        let buffer = std::mem::take(&mut self.buffer);
        let mut rest = &buffer[..];
        while let Some(used) = self.step(rest, events) {
            rest = rest.get(used..).unwrap_or_default();
        }
        self.buffer = rest.to_vec();
    }

    /// The body is over, or broken: an open part ends with what is there.
    pub fn close(&mut self, events: &mut dyn PartEvents) {
        if self.state == State::Content {
            if !self.buffer.is_empty() {
                events.content(&self.buffer);
            }
            events.end();
        }
        self.buffer.clear();
        if self.state != State::Over {
            self.state = State::Preamble;
        }
    }

    /// Handles the front of `rest`; says how much of it, or `None` when more bytes are needed.
    fn step(&mut self, rest: &[u8], events: &mut dyn PartEvents) -> Option<usize> {
        match self.state {
            State::Preamble | State::Content => self.until_delimiter(rest, events),
            State::Boundary => {
                let two = rest.get(..2)?;
                // A form that goes on has its line end here. Anything else is its end, well-formed or not.
                self.state = if two == b"\r\n" { State::Head } else { State::Over };
                // The line end stays: a head without fields is an empty line.
                Some(0)
            }
            State::Head => self.head(rest, events),
            State::Over => (!rest.is_empty()).then_some(rest.len()),
        }
    }

    fn until_delimiter(&mut self, rest: &[u8], events: &mut dyn PartEvents) -> Option<usize> {
        let inside = self.state == State::Content;
        if let Some(at) = memmem::find(rest, &self.delimiter) {
            if inside {
                if at > 0 {
                    events.content(rest.get(..at)?);
                }
                events.end();
            }
            self.state = State::Boundary;
            return Some(at + self.delimiter.len());
        }
        // What could be the front of a delimiter is kept.
        let safe = rest.len().saturating_sub(self.delimiter.len() - 1);
        if inside && safe > 0 {
            events.content(rest.get(..safe)?);
        }
        (safe > 0).then_some(safe)
    }

    fn head(&mut self, rest: &[u8], events: &mut dyn PartEvents) -> Option<usize> {
        const END: &[u8] = b"\r\n\r\n";
        let (part, used) = match memmem::find(rest, END) {
            Some(at) => (part(rest.get(..at)?), at + END.len()),
            None if rest.len() > MAX_HEAD => {
                let file = true;
                let name = String::new();
                (Part { name, file }, rest.len() - END.len())
            }
            None => return None,
        };
        events.begin(part);
        self.state = State::Content;
        Some(used)
    }
}

/// What the head of a part says.
fn part(head: &[u8]) -> Part {
    let mut part = Part::default();
    for line in String::from_utf8_lossy(head).split("\r\n") {
        let Some((field, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        if field.trim().eq_ignore_ascii_case("content-disposition") {
            for (key, value) in value.split(';').filter_map(|piece| piece.split_once('=')) {
                match key.trim().to_ascii_lowercase().as_str() {
                    "name" => value.trim().trim_matches('"').clone_into(&mut part.name),
                    "filename" | "filename*" => part.file = true,
                    _ => {}
                }
            }
        } else if field.trim().eq_ignore_ascii_case("content-type") {
            let value = value.to_ascii_lowercase();
            part.file |= !(value.starts_with("text/") || value.contains("json"));
        }
    }
    part
}
