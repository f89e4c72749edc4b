//! Runs one request on the engine: reads the body, decides what it is, and gives the answer piece by piece.
//! Blocking; no HTTP in it.

use std::io::{self, Read};

use super::engine::{Engine, Session, SessionOptions};
use super::error::{Exception, mid_stream};
use super::ffi::Answer;
use super::native;
use super::request::Request;
use super::statement::{Look, Statement, look};

/// Piece in which bodies are read and materialised results handed on.
const PIECE: usize = 256 << 10;

/// A result that the engine builds as a whole may read so many bytes, unless the client sets another limit: such
/// results are outside the engine's own memory limits.
const MAX_MATERIALISED: u64 = 128 << 20;

/// Formats whose streamed pieces are together what the whole result would be.
const STREAMED: [&str; 10] = [
    "Native",
    "RowBinary",
    "TabSeparated",
    "TSV",
    "CSV",
    "JSONEachRow",
    "NDJSON",
    "JSONLines",
    "TabSeparatedRaw",
    ROW_BINARY_HEADER,
];

/// Streamed too, without the header that each piece repeats.
const ROW_BINARY_HEADER: &str = "RowBinaryWithNamesAndTypes";

/// First words of statements that write. INSERT is not among them: it has its own path.
const WRITING: [&str; 13] = [
    "CREATE", "ALTER", "DROP", "TRUNCATE", "OPTIMIZE", "RENAME", "EXCHANGE", "DELETE", "UPDATE", "UNDROP",
    "SET", "USE", "KILL",
];

/// What goes before the data of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// Format of the data.
    pub(super) format: String,
    /// Rows and bytes read.
    pub(super) read: (u64, u64),
    /// Rows and bytes written.
    pub(super) written: (u64, u64),
}

/// Takes an answer. `false` means that nobody reads it any more.
pub(super) trait Output {
    /// Called once, before the data.
    fn head(&mut self, head: Head) -> bool;
    /// A piece of the data.
    fn data(&mut self, piece: &[u8]) -> bool;
    /// Asks for the right to run now; kept until the request ends.
    fn admit(&mut self, insert: bool) -> Result<(), Exception>;
}

/// A request on its way.
pub(super) struct Run<'r> {
    /// The engine.
    pub(super) engine: &'r Engine,
    /// What it asks for.
    pub(super) request: &'r Request,
    /// Database for sessions that name none.
    pub(super) default_database: &'r str,
    /// Tag by which [`Engine::kill`] finds it.
    pub(super) tag: &'r str,
    /// Announced in the head, for errors behind it.
    pub(super) exception_tag: &'r str,
    /// GET: nothing may be written.
    pub(super) read_only: bool,
}

impl Run<'_> {
    /// Runs it. An error returned comes before any data; later ones are in the data.
    pub(super) fn run(&self, mut body: impl Read, output: &mut dyn Output) -> Result<(), Exception> {
        let (text, statement) = self.read_statement(&mut body)?;
        match statement {
            Statement::Empty => {
                output.head(Head {
                    format: self.format(None).to_owned(),
                    ..Head::default()
                });
                Ok(())
            }
            Statement::Insert { head, format, data } => {
                self.insert(&text[..head], &format, &text[data..], &mut body, output)
            }
            Statement::InsertSelect => {
                output.admit(true)?;
                let mut session = self.session(false)?;
                self.refuse_several(session.classify(&text).statement_count)?;
                self.whole(&mut session, &text, None, output)
            }
            Statement::Other {
                verb,
                format,
                format_clause,
                several,
            } => {
                if several {
                    return Err(Exception::syntax("Multi-statements are not allowed"));
                }
                if self.request.protocol_version > 0 && text.trim_ascii() == native::HELLO.as_bytes() {
                    output.head(Head {
                        format: "Native".into(),
                        ..Head::default()
                    });
                    output.data(&native::hello(&self.engine.version, &self.engine.timezone));
                    return Ok(());
                }
                let without_format =
                    format_clause.map(|clause| [&text[..clause.start], &text[clause.end..]].concat());
                self.other(&text, &verb, format, without_format, output)
            }
        }
    }

    /// Reads as much of URL and body as the statement takes.
    fn read_statement(&self, body: &mut impl Read) -> Result<(Vec<u8>, Statement), Exception> {
        let mut text = self.request.query.clone().into_bytes();
        if !text.is_empty() {
            text.push(b'\n');
            if let Look::Is(statement @ Statement::Insert { .. }) = look(&text, true, true)? {
                return Ok((text, statement));
            }
        }
        // Looking again only when the text has doubled keeps the work linear.
        let mut look_at = PIECE;
        loop {
            let missing = look_at.saturating_sub(text.len()).max(1);
            let got = read_piece(body, &mut text, missing)?;
            if got == 0 {
                return match look(&text, true, false)? {
                    Look::Is(statement) => Ok((text, statement)),
                    Look::More => Err(Exception::syntax("statement is not complete")),
                };
            }
            if text.len() >= look_at {
                if let Look::Is(statement @ Statement::Insert { .. }) = look(&text, false, false)? {
                    return Ok((text, statement));
                }
                look_at *= 2;
            }
        }
    }

    fn session(&self, materialised: bool) -> Result<Session, Exception> {
        let mut settings = Vec::new();
        if materialised {
            settings.push(("max_result_bytes".to_owned(), MAX_MATERIALISED.to_string()));
            settings.push(("result_overflow_mode".to_owned(), "throw".to_owned()));
        }
        settings.extend(self.request.settings.iter().cloned());
        self.engine.session(&SessionOptions {
            database: self.request.database.as_deref(),
            default_database: self.default_database,
            settings: &settings,
            tag: self.tag,
            read_only: self.read_only,
        })
    }

    fn format<'f>(&'f self, named: Option<&'f str>) -> &'f str {
        named
            .or(self.request.default_format.as_deref())
            .unwrap_or("TabSeparated")
    }

    fn refuse_several(&self, count: u32) -> Result<(), Exception> {
        if count > 1 {
            return Err(Exception::syntax("Multi-statements are not allowed"));
        }
        Ok(())
    }

    fn insert(
        &self,
        sql: &[u8],
        format: &str,
        first: &[u8],
        body: &mut impl Read,
        output: &mut dyn Output,
    ) -> Result<(), Exception> {
        if self.read_only {
            return Err(Exception::new(
                164,
                "READONLY",
                "Cannot execute query in readonly mode",
            ));
        }
        output.admit(true)?;
        let mut session = self.session(false)?;
        let mut insert = session.insert(sql, format, &self.request.params)?;
        let mut alive = first.is_empty() || insert.append(first);
        let mut piece = vec![0; PIECE];
        while alive {
            match body.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => alive = insert.append(&piece[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // A body that broke off must not be stored in part.
                    insert.cancel();
                    return Err(body_error(&error));
                }
            }
        }
        let answer = insert.done();
        if let Some(text) = answer.error() {
            return Err(Exception::engine(text));
        }
        let written = answer.written();
        output.head(Head {
            format: format.to_owned(),
            read: written,
            written,
        });
        Ok(())
    }

    fn other(
        &self,
        text: &[u8],
        verb: &str,
        format: Option<String>,
        without_format: Option<Vec<u8>>,
        output: &mut dyn Output,
    ) -> Result<(), Exception> {
        output.admit(false)?;
        let mut session = self.session(true)?;
        let analysis = session.classify(text);
        self.refuse_several(analysis.statement_count)?;
        match analysis.query_class {
            // Reads.
            0 => {}
            // Does not parse.
            4.. => return Err(self.why_not_parsed(text)?),
            _ if !WRITING.contains(&verb) || names_a_file(text) => {
                return Err(Exception::disabled(format_args!(
                    "this statement ({verb}) is not allowed here"
                )));
            }
            _ => return self.whole(&mut session, text, format.as_deref(), output),
        }
        let name = self.format(format.as_deref()).to_owned();
        let select = matches!(verb, "SELECT" | "WITH" | "FROM" | "");
        if !select || !STREAMED.contains(&name.as_str()) || self.request.wait_end {
            return self.whole(&mut session, text, format.as_deref(), output);
        }
        // Streamed results are read as they come: the limit on whole ones does not apply.
        drop(session);
        let mut session = self.session(false)?;
        let sent = self.stream(&mut session, text, &name, output)?;
        if sent == 0 && name == "Native" {
            let columns = self.columns(&mut session, without_format.as_deref().unwrap_or(text))?;
            output.data(&native::empty_block(&columns).unwrap_or_default());
        }
        Ok(())
    }

    /// The engine's own words about a statement that does not parse. It is run for them, where it can do no harm:
    /// read only, and neither with a second statement (the caller's check) nor with a file in it.
    fn why_not_parsed(&self, text: &[u8]) -> Result<Exception, Exception> {
        if names_a_file(text) {
            return Ok(Exception::syntax(
                "statement with OUTFILE or INFILE does not parse",
            ));
        }
        let options = SessionOptions {
            read_only: true,
            tag: self.tag,
            ..SessionOptions::default()
        };
        Ok(match self.engine.session(&options)?.query(text, "Null", &[]) {
            Err(exception) => exception,
            // Words of the command line client, like `exit`, do nothing and give no error.
            Ok(_) => Exception::syntax("not a statement"),
        })
    }

    /// Columns of an empty result, as a `RowBinaryWithNamesAndTypes` header.
    fn columns(&self, session: &mut Session, sql: &[u8]) -> Result<Vec<u8>, Exception> {
        let answer = session.query(sql, ROW_BINARY_HEADER, &self.request.params)?;
        Ok(answer.bytes().to_vec())
    }

    /// Runs a statement and hands on its result when it is complete.
    fn whole(
        &self,
        session: &mut Session,
        sql: &[u8],
        format: Option<&str>,
        output: &mut dyn Output,
    ) -> Result<(), Exception> {
        let name = self.format(format);
        let answer = session.query(sql, self.format(None), &self.request.params)?;
        if !output.head(head_of(&answer, name)) {
            return Ok(());
        }
        for piece in answer.bytes().chunks(PIECE) {
            if !output.data(piece) {
                break;
            }
        }
        Ok(())
    }

    /// Runs a SELECT and hands on its result as it comes. Returns how many pieces had data.
    fn stream(
        &self,
        session: &mut Session,
        sql: &[u8],
        format: &str,
        output: &mut dyn Output,
    ) -> Result<u64, Exception> {
        let mut select = session.select(sql, self.format(None), &self.request.params)?;
        let mut pieces = 0;
        loop {
            let answer = select.next();
            if let Some(text) = answer.error() {
                let exception = Exception::engine(text);
                if pieces == 0 {
                    return Err(exception);
                }
                output.data(&mid_stream(&exception, self.exception_tag));
                return Ok(pieces);
            }
            if pieces == 0 && !output.head(head_of(&answer, format)) {
                return Ok(1);
            }
            let mut piece = answer.bytes();
            if piece.is_empty() {
                return Ok(pieces);
            }
            if pieces > 0 && format == ROW_BINARY_HEADER {
                piece = &piece[native::header_length(piece).unwrap_or(0)..];
            }
            pieces += 1;
            if !output.data(piece) {
                return Ok(pieces);
            }
        }
    }
}

fn head_of(answer: &Answer, format: &str) -> Head {
    Head {
        format: format.to_owned(),
        read: answer.read(),
        written: answer.written(),
    }
}

/// Whether the text holds OUTFILE or INFILE, also where a lexer other than the engine's would not see a word.
fn names_a_file(text: &[u8]) -> bool {
    let upper = text.to_ascii_uppercase();
    memchr::memmem::find(&upper, b"OUTFILE").is_some() || memchr::memmem::find(&upper, b"INFILE").is_some()
}

/// Appends up to `most` bytes, at most a piece; 0 at the end.
fn read_piece(body: &mut impl Read, text: &mut Vec<u8>, most: usize) -> Result<usize, Exception> {
    let before = text.len();
    text.resize(before + most.min(PIECE), 0);
    loop {
        match body.read(&mut text[before..]) {
            Ok(got) => {
                text.truncate(before + got);
                return Ok(got);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(body_error(&error)),
        }
    }
}

fn body_error(error: &io::Error) -> Exception {
    match error.kind() {
        io::ErrorKind::InvalidData => Exception::data(error),
        io::ErrorKind::TimedOut => Exception::new(209, "SOCKET_TIMEOUT", error),
        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {
            Exception::new(236, "ABORTED", error)
        }
        _ => Exception::new(3, "UNEXPECTED_END_OF_FILE", format_args!("request body: {error}")),
    }
}
