//! Streaming JSON walker (RFC 8259): bytes in pieces of any size in, events out; no tree is built. Several values
//! in a row (newline-delimited JSON) are fine.

mod escape;
mod numbers;
pub mod path;
#[cfg(test)]
mod tests;

pub use escape::Escapes;
pub use numbers::Numbers;

/// Deepest nesting of objects and arrays.
pub const MAX_DEPTH: usize = 128;
/// Longest object key that is kept; a longer one is cut.
pub const MAX_KEY: usize = 256;
/// Longest number.
pub const MAX_NUMBER: usize = 256;

/// Object or array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// `{}`
    Object,
    /// `[]`
    Array,
}

/// A literal name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Literal {
    /// `true`
    True,
    /// `false`
    False,
    /// `null`
    Null,
}

/// Takes what the walker finds, in document order.
pub trait JsonEvents {
    /// An object or array begins.
    fn begin(&mut self, container: Container);
    /// It ends.
    fn end(&mut self, container: Container);
    /// Key of the next value, decoded; `cut` when it was longer than `MAX_KEY`.
    fn key(&mut self, key: &[u8], cut: bool);
    /// A piece of a string value, decoded. An empty string has none.
    fn string(&mut self, piece: &[u8]);
    /// The string value is complete.
    fn string_end(&mut self);
    /// A number, as written.
    fn number(&mut self, text: &[u8]);
    /// Numbers that are items of the array around them. Who has no use for them need not look at each; how many come at
    /// once depends on how the text is cut.
    fn numbers(&mut self, run: &Numbers<'_>) {
        run.iter().for_each(|text| self.number(text));
    }
    /// `true`, `false` or `null`.
    fn literal(&mut self, literal: Literal);
}

/// Why a text is not read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonLoss {
    /// Not JSON.
    #[error("not JSON")]
    Malformed,
    /// `MAX_DEPTH` or `MAX_NUMBER` was reached.
    #[error("JSON exceeds a budget")]
    OverBudget,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A value must come (at the top: may come).
    Value,
    /// Behind `[`: a value or the end.
    FirstItem,
    /// Behind `{`: a key or the end.
    FirstKey,
    /// Behind a comma in an object.
    Key,
    Colon,
    /// Behind a value inside a container.
    Next,
    KeyText,
    Text,
    Number,
    Word(&'static [u8], Literal),
}

/// Walker over one body.
pub struct JsonWalker {
    state: State,
    stack: Vec<Container>,
    escapes: Escapes,
    /// Key or number being read; for a word, how much of it has come.
    scratch: Vec<u8>,
    cut: bool,
    failed: Option<JsonLoss>,
}

impl Default for JsonWalker {
    fn default() -> Self {
        Self::new()
    }
}

impl JsonWalker {
    /// A walker in front of a text.
    pub fn new() -> Self {
        Self {
            state: State::Value,
            stack: Vec::new(),
            escapes: Escapes::default(),
            scratch: Vec::new(),
            cut: false,
            failed: None,
        }
    }

    /// Takes the next bytes. On an error the number of bytes read before it comes too; every later push fails the same
    /// way with 0.
    pub fn push(&mut self, data: &[u8], events: &mut impl JsonEvents) -> Result<(), (JsonLoss, usize)> {
        if let Some(loss) = self.failed {
            return Err((loss, 0));
        }
        let mut at = 0;
        while at < data.len() {
            match self.step(&data[at..], events) {
                Ok(used) => at += used,
                Err(loss) => {
                    self.failed = Some(loss);
                    return Err((loss, at));
                }
            }
        }
        Ok(())
    }

    /// The text is over. An unfinished value is an error.
    pub fn close(&mut self, events: &mut impl JsonEvents) -> Result<(), JsonLoss> {
        if let Some(loss) = self.failed {
            return Err(loss);
        }
        if self.state == State::Number && self.stack.is_empty() {
            self.number_end(events);
        }
        if self.stack.is_empty() && self.state == State::Value {
            Ok(())
        } else {
            Err(JsonLoss::Malformed)
        }
    }

    /// Handles the front of `rest` (not empty); says how much of it.
    fn step(&mut self, rest: &[u8], events: &mut impl JsonEvents) -> Result<usize, JsonLoss> {
        match self.state {
            State::Text => {
                let (used, over) = self.escapes.until_quote(rest, &mut |piece| events.string(piece));
                if over {
                    events.string_end();
                    self.value_end();
                }
                return Ok(used);
            }
            State::KeyText => return Ok(self.key_text(rest, events)),
            State::Number => return self.number(rest, events),
            State::Value | State::FirstItem if self.stack.last() == Some(&Container::Array) => {
                if let Some(run) = Numbers::at_front(rest) {
                    events.numbers(&run);
                    self.state = State::Value;
                    return Ok(run.len());
                }
            }
            State::Word(word, literal) => return self.word(word, literal, rest[0], events),
            _ => {}
        }
        let byte = rest[0];
        if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            return Ok(1);
        }
        match (self.state, byte) {
            (State::FirstItem, b']') => self.pop(Container::Array, events)?,
            (State::FirstKey, b'}') => self.pop(Container::Object, events)?,
            (State::Value | State::FirstItem, _) => self.value(byte, events)?,
            (State::FirstKey | State::Key, b'"') => {
                self.scratch.clear();
                self.cut = false;
                self.state = State::KeyText;
            }
            (State::Colon, b':') => self.state = State::Value,
            (State::Next, b',') => {
                let object = self.stack.last() == Some(&Container::Object);
                self.state = if object { State::Key } else { State::Value };
            }
            (State::Next, b']') => self.pop(Container::Array, events)?,
            (State::Next, b'}') => self.pop(Container::Object, events)?,
            _ => return Err(JsonLoss::Malformed),
        }
        Ok(1)
    }

    /// First byte of a value.
    fn value(&mut self, byte: u8, events: &mut impl JsonEvents) -> Result<(), JsonLoss> {
        self.scratch.clear();
        self.state = match byte {
            b'{' => self.push_container(Container::Object, State::FirstKey, events)?,
            b'[' => self.push_container(Container::Array, State::FirstItem, events)?,
            b'"' => State::Text,
            b't' => State::Word(b"rue", Literal::True),
            b'f' => State::Word(b"alse", Literal::False),
            b'n' => State::Word(b"ull", Literal::Null),
            b'-' | b'0'..=b'9' => {
                self.scratch.push(byte);
                State::Number
            }
            _ => return Err(JsonLoss::Malformed),
        };
        Ok(())
    }

    fn push_container(
        &mut self,
        container: Container,
        state: State,
        events: &mut impl JsonEvents,
    ) -> Result<State, JsonLoss> {
        if self.stack.len() == MAX_DEPTH {
            return Err(JsonLoss::OverBudget);
        }
        self.stack.push(container);
        events.begin(container);
        Ok(state)
    }

    fn pop(&mut self, container: Container, events: &mut impl JsonEvents) -> Result<(), JsonLoss> {
        if self.stack.pop() != Some(container) {
            return Err(JsonLoss::Malformed);
        }
        events.end(container);
        self.value_end();
        Ok(())
    }

    fn value_end(&mut self) {
        self.state = if self.stack.is_empty() {
            State::Value
        } else {
            State::Next
        };
    }

    fn key_text(&mut self, rest: &[u8], events: &mut impl JsonEvents) -> usize {
        let (scratch, cut) = (&mut self.scratch, &mut self.cut);
        let (used, over) = self.escapes.until_quote(rest, &mut |piece| {
            let fits = piece.len().min(MAX_KEY - scratch.len());
            scratch.extend_from_slice(&piece[..fits]);
            *cut |= fits < piece.len();
        });
        if over {
            events.key(&self.scratch, self.cut);
            self.state = State::Colon;
        }
        used
    }

    fn number(&mut self, rest: &[u8], events: &mut impl JsonEvents) -> Result<usize, JsonLoss> {
        let len = rest.iter().take_while(|b| numbers::is_part(**b)).count();
        if self.scratch.len() + len > MAX_NUMBER {
            return Err(JsonLoss::OverBudget);
        }
        self.scratch.extend_from_slice(&rest[..len]);
        if len < rest.len() {
            self.number_end(events);
        }
        Ok(len)
    }

    fn number_end(&mut self, events: &mut impl JsonEvents) {
        events.number(&self.scratch);
        self.value_end();
    }

    fn word(
        &mut self,
        word: &'static [u8],
        literal: Literal,
        byte: u8,
        events: &mut impl JsonEvents,
    ) -> Result<usize, JsonLoss> {
        match word.split_first() {
            Some((first, [])) if *first == byte => {
                events.literal(literal);
                self.value_end();
            }
            Some((first, left)) if *first == byte => self.state = State::Word(left, literal),
            _ => return Err(JsonLoss::Malformed),
        }
        Ok(1)
    }
}
