//! Lexical level of ClickHouse SQL, as far as needed to see where statements, literals and comments end. Pure.
//!
//! Follows ClickHouse's `Lexer.cpp`: `--`, `#!`, `# ` and `/* */` comments (not nested), `'`, `"` and back-quoted
//! literals with backslash escapes and doubled quotes, typographic quotes, and `$tag$` heredocs.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Unquoted name or keyword.
    Word,
    /// Literal or quoted name, quotes included.
    Quoted,
    /// Number.
    Number,
    /// Any other single character.
    Other(u8),
}

/// A token: `text[start..end]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    /// What it is.
    pub(crate) kind: Kind,
    /// Offset of its first byte.
    pub(crate) start: usize,
    /// Offset after its last byte.
    pub(crate) end: usize,
}

/// What the lexer found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// A token.
    Token(Token),
    /// The text is over.
    End,
    /// The text ends inside a token or comment, or where more bytes could lengthen it, and more may come.
    More,
    /// A literal or comment is not closed.
    Unclosed,
}

/// Reads tokens from `text`; `complete` says that nothing comes after it.
#[derive(Debug, Clone)]
pub(crate) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    complete: bool,
}

impl<'a> Lexer<'a> {
    /// Starts at the beginning of `text`.
    pub(crate) fn new(text: &'a [u8], complete: bool) -> Self {
        Self {
            text,
            at: 0,
            complete,
        }
    }

    /// Whether nothing comes after the text.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// The bytes of a token.
    pub(crate) fn text(&self, token: Token) -> &'a [u8] {
        &self.text[token.start..token.end]
    }

    /// The next token; blanks and comments are passed over.
    pub(crate) fn next(&mut self) -> Next {
        loop {
            let rest = &self.text[self.at..];
            let Some(&first) = rest.first() else {
                return self.at_end(Next::End);
            };
            if first.is_ascii_whitespace() || first == 0x0b {
                self.at += 1;
                continue;
            }
            // The start of a comment or heredoc may be cut in two.
            if !self.complete && rest.len() < 3 && matches!(first, b'-' | b'/' | b'#' | 0xe2) {
                return Next::More;
            }
            match comment(rest) {
                Comment::None => return self.token(first),
                Comment::Ends(length) => self.at += length,
                Comment::Open { line: true } => return self.at_end(Next::End),
                Comment::Open { line: false } => return self.at_end(Next::Unclosed),
            }
        }
    }

    fn token(&mut self, first: u8) -> Next {
        let rest = &self.text[self.at..];
        let (kind, length) = match first {
            b'\'' | b'"' | b'`' => (Kind::Quoted, quoted(rest, self.complete)),
            b'$' if heredoc_tag(rest).is_some() => (Kind::Quoted, heredoc(rest)),
            0xe2 if typographic(rest).is_some() => {
                (Kind::Quoted, typographic(rest).and_then(|end| find(rest, end)))
            }
            b'$' if !self.complete && rest.iter().all(|b| is_word(*b)) => return Next::More,
            _ if is_word_start(first) => (Kind::Word, self.run(rest, is_word)),
            b'0'..=b'9' => (Kind::Number, self.run(rest, |b| is_word(b) || b == b'.')),
            other => (Kind::Other(other), Some(1)),
        };
        let Some(length) = length else {
            let unclosed = kind == Kind::Quoted;
            return self.at_end(if unclosed { Next::Unclosed } else { Next::End });
        };
        let token = Token {
            kind,
            start: self.at,
            end: self.at + length,
        };
        self.at = token.end;
        Next::Token(token)
    }

    /// Length of the run of bytes that `belongs` accepts; `None` when it may go on after the end of the text.
    fn run(&self, rest: &[u8], belongs: impl Fn(u8) -> bool) -> Option<usize> {
        match rest.iter().position(|b| !belongs(*b)) {
            Some(length) => Some(length),
            None if self.complete => Some(rest.len()),
            None => None,
        }
    }

    fn at_end(&self, end: Next) -> Next {
        if self.complete { end } else { Next::More }
    }
}

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'
}

enum Comment {
    None,
    Ends(usize),
    Open { line: bool },
}

fn comment(rest: &[u8]) -> Comment {
    let line = rest.starts_with(b"--") || rest.starts_with(b"#!") || rest.starts_with(b"# ");
    if line {
        return rest
            .iter()
            .position(|b| *b == b'\n')
            .map_or(Comment::Open { line }, |at| Comment::Ends(at + 1));
    }
    if rest.starts_with(b"/*") {
        return find(&rest[2..], b"*/").map_or(Comment::Open { line }, |end| Comment::Ends(end + 2));
    }
    Comment::None
}

/// Length of the literal at the start of `rest`. A doubled quote does not end it.
fn quoted(rest: &[u8], complete: bool) -> Option<usize> {
    let quote = rest[0];
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => match rest.get(at + 1) {
                Some(next) if *next == quote => at += 2,
                None if !complete => return None,
                _ => return Some(at + 1),
            },
            _ => at += 1,
        }
    }
    None
}

/// Closing bytes of a typographic literal at the start of `rest`.
fn typographic(rest: &[u8]) -> Option<&'static [u8]> {
    match rest {
        [0xe2, 0x80, 0x98, ..] => Some(b"\xe2\x80\x99"),
        [0xe2, 0x80, 0x9c, ..] => Some(b"\xe2\x80\x9d"),
        _ => None,
    }
}

fn heredoc_tag(rest: &[u8]) -> Option<&[u8]> {
    let length = rest[1..]
        .iter()
        .position(|b| !(b.is_ascii_alphanumeric() || *b == b'_'))?;
    (rest[1 + length] == b'$').then(|| &rest[..length + 2])
}

fn heredoc(rest: &[u8]) -> Option<usize> {
    let tag = heredoc_tag(rest)?;
    find(&rest[tag.len()..], tag).map(|end| end + tag.len())
}

/// Offset after the first `needle`.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle).map(|at| at + needle.len())
}

/// Splits a script into its statements, without the semicolons. Comments stay with the statement that follows.
/// `None` when a literal or comment is not closed.
pub(crate) fn split_script(script: &str) -> Option<Vec<&str>> {
    let mut lexer = Lexer::new(script.as_bytes(), true);
    let (mut statements, mut start, mut empty) = (Vec::new(), 0, true);
    loop {
        match lexer.next() {
            Next::Token(Token {
                kind: Kind::Other(b';'),
                start: end,
                ..
            }) => {
                if !empty {
                    statements.push(script[start..end].trim());
                }
                (start, empty) = (end + 1, true);
            }
            Next::Token(_) => empty = false,
            Next::End => {
                if !empty {
                    statements.push(script[start..].trim());
                }
                return Some(statements);
            }
            Next::More | Next::Unclosed => return None,
        }
    }
}

/// Whether `name` can be used as a database name without surprises: `[A-Za-z_][A-Za-z0-9_]*`, at most 64 bytes.
pub fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(is_word_start)
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.len() <= 64
}

/// A text as SQL writes it.
pub(crate) fn literal(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('\'');
    for c in value.chars() {
        match c {
            '\\' | '\'' => text.extend(['\\', c]),
            // A statement with a NUL in it is refused as a whole, and others are read as white space in logs.
            c if c.is_ascii_control() => text.push_str(&format!("\\x{:02X}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('\'');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_quotes() {
        assert_eq!(literal(r"a'b\"), r"'a\'b\\'");
        assert_eq!(literal("a\0\n\u{1b}é"), r"'a\x00\x0A\x1Bé'");
    }

    fn tokens(text: &str) -> Vec<&str> {
        let mut lexer = Lexer::new(text.as_bytes(), true);
        let mut out = Vec::new();
        loop {
            match lexer.next() {
                Next::Token(token) => out.push(&text[token.start..token.end]),
                Next::End => return out,
                Next::More => panic!("complete text asks for more"),
                Next::Unclosed => {
                    out.push("<unclosed>");
                    return out;
                }
            }
        }
    }

    #[test]
    fn comments_and_blanks_are_no_tokens() {
        assert_eq!(
            tokens("a -- x;\n b/* ; */c #! ;\n d # ;\n e"),
            ["a", "b", "c", "d", "e"]
        );
        assert_eq!(tokens("a - b / c"), ["a", "-", "b", "/", "c"]);
        assert_eq!(tokens("a /* b"), ["a", "<unclosed>"]);
        assert_eq!(tokens("a -- b"), ["a"]);
    }

    #[test]
    fn literals_hide_what_they_hold() {
        assert_eq!(tokens(r"'a;\';' ; `b;`"), [r"'a;\';'", ";", "`b;`"]);
        assert_eq!(tokens("'it''s;' x"), ["'it''s;'", "x"]);
        assert_eq!(tokens("$a$ ; $b$ $a$ x"), ["$a$ ; $b$ $a$", "x"]);
        assert_eq!(tokens("‘a;’ “b;” c"), ["‘a;’", "“b;”", "c"]);
        assert_eq!(tokens("'a\\"), ["<unclosed>"]);
        assert_eq!(tokens("1.5e3,x1"), ["1.5e3", ",", "x1"]);
    }

    #[test]
    fn a_cut_text_gives_the_same_tokens_or_asks_for_more() {
        let text = "INSERT /* ; */ INTO `t` -- x\n $a$;$a$ 'b' 12 ‘c’ (d)";
        let mut whole = Lexer::new(text.as_bytes(), true);
        let mut expected = Vec::new();
        while let Next::Token(token) = whole.next() {
            expected.push(token);
        }
        for cut in 0..text.len() {
            let mut lexer = Lexer::new(&text.as_bytes()[..cut], false);
            let mut got = Vec::new();
            let end = loop {
                match lexer.next() {
                    Next::Token(token) => got.push(token),
                    other => break other,
                }
            };
            assert_eq!(end, Next::More, "cut at {cut}");
            assert_eq!(got, expected[..got.len()], "cut at {cut}");
        }
    }

    #[test]
    fn scripts_are_split_at_semicolons_outside_literals() {
        let script = "-- head;\nSELECT ';';\n\n;SELECT 2 /* ; */\n";
        assert_eq!(
            split_script(script),
            Some(vec!["-- head;\nSELECT ';'", "SELECT 2 /* ; */"])
        );
        assert_eq!(split_script("SELECT 'x"), None);
    }

    #[test]
    fn identifiers() {
        assert!(is_identifier("ai_evidence") && is_identifier("_a1"));
        for bad in ["", "1a", "a-b", "a.b", "a`b", "ä", &"a".repeat(65)] {
            assert!(!is_identifier(bad), "{bad}");
        }
    }
}
