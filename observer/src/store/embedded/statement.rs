//! What a request asks for: an INSERT with data behind it, or a statement to be run as a whole. Pure.
//!
//! The engine's parser is that of clickhouse-local. It ends inline data at a blank line and runs what follows as
//! SQL, so data must never reach it inside the text. Therefore the boundary between an INSERT and its data is found
//! here, by the grammar below, and an INSERT that does not fit it is refused:
//!
//! ```text
//! INSERT [INTO] [TABLE] name[.name] [(columns)] [SETTINGS a = b, ...] ( VALUES | FORMAT name ) data
//! INSERT [INTO] [TABLE] name[.name] [(columns)] [SETTINGS a = b, ...] [(] SELECT | WITH ...
//! ```
//!
//! Where data begins is as in ClickHouse's `ParserInsertQuery`: behind VALUES at once; behind a format's name after
//! blanks and at most one line end.

use std::ops::Range;

use super::super::sql::{Kind, Lexer, Next, Token};
use super::error::Exception;

/// Longest statement, without the data of an INSERT.
pub(super) const MAX_STATEMENT: usize = 4 << 20;

/// A statement, as offsets into the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    /// Nothing but blanks and comments.
    Empty,
    /// INSERT with data.
    Insert {
        /// End of the statement without VALUES or FORMAT.
        head: usize,
        /// Format of the data.
        format: String,
        /// First byte of the data.
        data: usize,
    },
    /// INSERT … SELECT.
    InsertSelect,
    /// Anything else.
    Other {
        /// First word, in upper case; empty when the text begins with something else.
        verb: String,
        /// Format that a FORMAT clause names.
        format: Option<String>,
        /// Where this clause is, when nothing but blanks and comments follows it.
        format_clause: Option<Range<usize>>,
        /// A semicolon stands before something else.
        several: bool,
    },
}

/// Result of a look at the text so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// More text is needed.
    More,
    /// The statement.
    Is(Statement),
}

/// Finds out what `text` is; `complete` says that nothing comes after it. `data_follows` says that the text is
/// the query of a URL and that the data of an INSERT that names no format is in the body (ClickHouse: Values).
pub(super) fn look(text: &[u8], complete: bool, data_follows: bool) -> Result<Look, Exception> {
    if text.len() > MAX_STATEMENT && !complete {
        return Err(Exception::syntax(format_args!(
            "statement is longer than {MAX_STATEMENT} bytes"
        )));
    }
    let mut parser = Parser {
        lexer: Lexer::new(text, complete),
        text,
        data_follows,
    };
    match parser.statement() {
        Ok(statement) => Ok(Look::Is(statement)),
        Err(Stop::More) => Ok(Look::More),
        Err(Stop::Refused(exception)) => Err(exception),
    }
}

enum Stop {
    More,
    Refused(Exception),
}

impl From<Exception> for Stop {
    fn from(exception: Exception) -> Self {
        Self::Refused(exception)
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    text: &'a [u8],
    data_follows: bool,
}

impl<'a> Parser<'a> {
    /// The next token; `None` at the end of a complete text.
    fn next(&mut self) -> Result<Option<Token>, Stop> {
        match self.lexer.next() {
            Next::Token(token) => Ok(Some(token)),
            Next::End => Ok(None),
            Next::More => Err(Stop::More),
            Next::Unclosed => Err(Exception::syntax("a literal or comment is not closed").into()),
        }
    }

    fn is(&self, token: Token, word: &str) -> bool {
        token.kind == Kind::Word && self.lexer.text(token).eq_ignore_ascii_case(word.as_bytes())
    }

    fn word(&self, token: Token) -> String {
        String::from_utf8_lossy(self.lexer.text(token)).into_owned()
    }

    fn statement(&mut self) -> Result<Statement, Stop> {
        let Some(first) = self.next()? else {
            return Ok(Statement::Empty);
        };
        if self.is(first, "INSERT") {
            return self.insert();
        }
        self.other(first)
    }

    fn insert(&mut self) -> Result<Statement, Stop> {
        let mut token = self.expect()?;
        for optional in ["INTO", "TABLE"] {
            if self.is(token, optional) {
                token = self.expect()?;
            }
        }
        if self.is(token, "FUNCTION") {
            return Err(Exception::disabled("INSERT INTO FUNCTION is not allowed here").into());
        }
        let mut token = self.table_name(token)?;
        if let Some(open) = token.filter(|t| t.kind == Kind::Other(b'(')) {
            match self.parentheses(open)? {
                Inside::Select => return Ok(Statement::InsertSelect),
                Inside::Columns => token = self.next()?,
            }
        }
        self.settings(&mut token)?;
        self.source(token)
    }

    fn expect(&mut self) -> Result<Token, Stop> {
        Ok(self
            .next()?
            .ok_or_else(|| Exception::syntax("INSERT ends before its table"))?)
    }

    /// Reads `name[.name]`, beginning with `token`; gives the token behind it.
    fn table_name(&mut self, token: Token) -> Result<Option<Token>, Stop> {
        let mut token = token;
        loop {
            if !matches!(token.kind, Kind::Word | Kind::Quoted) {
                return Err(Exception::syntax("INSERT: expected the name of a table").into());
            }
            match self.next()? {
                Some(dot) if dot.kind == Kind::Other(b'.') => token = self.expect()?,
                behind => return Ok(behind),
            }
        }
    }

    /// Passes over balanced parentheses, which `open` begins.
    fn parentheses(&mut self, open: Token) -> Result<Inside, Stop> {
        debug_assert_eq!(open.kind, Kind::Other(b'('));
        let (mut depth, mut inside) = (1, None);
        while let Some(token) = self.next()? {
            if inside.is_none() && token.kind != Kind::Other(b'(') {
                let select = self.is(token, "SELECT") || self.is(token, "WITH");
                inside = Some(if select { Inside::Select } else { Inside::Columns });
            }
            match token.kind {
                Kind::Other(b'(') => depth += 1,
                Kind::Other(b')') => depth -= 1,
                Kind::Other(b';') => return Err(Exception::syntax("INSERT: ; inside parentheses").into()),
                _ => {}
            }
            if depth == 0 {
                return match inside {
                    Some(Inside::Select) => self.select_without_data().map(|_| Inside::Select),
                    _ => Ok(Inside::Columns),
                };
            }
        }
        Err(Exception::syntax("INSERT: parentheses are not closed").into())
    }

    /// Passes over `SETTINGS a = b, ...`; `token` becomes the token behind it.
    fn settings(&mut self, token: &mut Option<Token>) -> Result<(), Stop> {
        if !token.is_some_and(|t| self.is(t, "SETTINGS")) {
            return Ok(());
        }
        while let Some(next) = self.next()? {
            let data = ["VALUES", "FORMAT", "SELECT", "WITH"]
                .iter()
                .any(|word| self.is(next, word));
            if data {
                *token = Some(next);
                return Ok(());
            }
            if next.kind == Kind::Other(b';') || self.is(next, "FROM") {
                return Err(Exception::syntax("INSERT: unexpected text in SETTINGS").into());
            }
        }
        *token = None;
        Ok(())
    }

    /// What the rows come from.
    fn source(&mut self, token: Option<Token>) -> Result<Statement, Stop> {
        let Some(token) = token else {
            if self.data_follows {
                let end = self.text.len();
                return Ok(Statement::Insert {
                    head: end,
                    format: "Values".into(),
                    data: end,
                });
            }
            return Err(Exception::syntax("INSERT without VALUES, FORMAT or SELECT").into());
        };
        if self.is(token, "VALUES") {
            return Ok(Statement::Insert {
                head: token.start,
                format: "Values".into(),
                data: token.end,
            });
        }
        if self.is(token, "SELECT") || self.is(token, "WITH") {
            return self.select_without_data();
        }
        if self.is(token, "FROM") {
            return Err(Exception::disabled("INSERT FROM INFILE is not allowed here").into());
        }
        if !self.is(token, "FORMAT") {
            return Err(Exception::syntax("INSERT: expected VALUES, FORMAT, SETTINGS or SELECT").into());
        }
        match self.next()? {
            Some(name) if name.kind == Kind::Word => {
                let data = self.data_start(name.end)?;
                Ok(Statement::Insert {
                    head: token.start,
                    format: self.word(name),
                    data,
                })
            }
            _ => Err(Exception::syntax("INSERT: expected the name of a format").into()),
        }
    }

    /// Where the data behind a format's name begins.
    fn data_start(&self, name_end: usize) -> Result<usize, Stop> {
        let blanks = |b: &&u8| matches!(**b, b' ' | b'\t' | 0x0c);
        let mut at = name_end + self.text[name_end..].iter().take_while(blanks).count();
        if self.text.get(at) == Some(&b';') && at == name_end {
            return Err(Exception::syntax("excessive ; before the data of INSERT").into());
        }
        if self.text.get(at) == Some(&b'\r') {
            at += 1;
        }
        match self.text.get(at) {
            Some(b'\n') => Ok(at + 1),
            Some(_) => Ok(at),
            // The end of a line could be in the next piece.
            None if self.lexer.is_complete() => Ok(at),
            None => Err(Stop::More),
        }
    }

    /// The rest of INSERT … SELECT: data behind it would need `input()` and cannot be told from SQL.
    fn select_without_data(&mut self) -> Result<Statement, Stop> {
        let mut depth = 0;
        while let Some(token) = self.next()? {
            match token.kind {
                Kind::Other(b'(') => depth += 1,
                Kind::Other(b')') => depth -= 1,
                Kind::Word if depth == 0 && self.is(token, "FORMAT") => {
                    let message = "INSERT SELECT with data behind FORMAT is not supported";
                    return Err(Exception::new(48, "NOT_IMPLEMENTED", message).into());
                }
                _ => {}
            }
        }
        Ok(Statement::InsertSelect)
    }

    fn other(&mut self, first: Token) -> Result<Statement, Stop> {
        let verb = if first.kind == Kind::Word {
            self.word(first).to_ascii_uppercase()
        } else {
            String::new()
        };
        let (mut depth, mut ended, mut several) = (0, false, false);
        let (mut format, mut format_clause) = (None, None);
        let mut token = Some(first);
        while let Some(current) = token {
            several |= ended && current.kind != Kind::Other(b';');
            if verb == "EXPLAIN" && self.is(current, "INSERT") {
                return Err(Exception::disabled("EXPLAIN INSERT is not allowed here").into());
            }
            match current.kind {
                Kind::Other(b'(' | b'[' | b'{') => depth += 1,
                Kind::Other(b')' | b']' | b'}') => depth -= 1,
                Kind::Other(b';') => ended = true,
                _ => {}
            }
            if current.kind != Kind::Other(b';') {
                format_clause = None;
            }
            let next = self.next()?;
            if let (0, true, Some(name)) = (
                depth,
                self.is(current, "FORMAT"),
                next.filter(|t| t.kind == Kind::Word),
            ) {
                token = self.next()?;
                // Elsewhere the word is a name: SELECT format FROM t.
                let ends = token.is_none_or(|t| {
                    t.kind == Kind::Other(b';') || self.is(t, "SETTINGS") || self.is(t, "INTO")
                });
                if ends {
                    format = Some(self.word(name));
                    format_clause = Some(current.start..name.end);
                }
                continue;
            }
            token = next;
        }
        Ok(Statement::Other {
            verb,
            format,
            format_clause,
            several,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Columns,
    Select,
}

#[cfg(test)]
#[path = "statement_tests.rs"]
mod tests;
