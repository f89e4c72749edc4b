//! The engine, safe to use: one engine per process, a session per request.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail};

use super::error::Exception;
use super::ffi::{Analysis, Answer, Api, Connection, Insert, Params, Select};
use crate::store::literal;

/// The running engine.
pub(super) struct Engine {
    api: Arc<Api>,
    arguments: Vec<CString>,
    /// Keeps the engine up: it stops with its last connection.
    anchor: Mutex<Option<Connection>>,
    /// `version()`
    pub(super) version: String,
    /// `timezone()`
    pub(super) timezone: String,
}

/// What a session begins with.
#[derive(Debug, Clone, Default)]
pub(super) struct SessionOptions<'a> {
    /// Current database; must exist.
    pub(super) database: Option<&'a str>,
    /// Current database when there is one of this name.
    pub(super) default_database: &'a str,
    /// Settings, in this order.
    pub(super) settings: &'a [(String, String)],
    /// Tag to find its statements by ([`Engine::kill`]).
    pub(super) tag: &'a str,
    /// Nothing may be written, and no setting may undo that.
    pub(super) read_only: bool,
}

impl Engine {
    /// Loads the library and opens the engine on `data`, with this configuration file.
    pub(super) fn open(library: &Path, data: &Path, config: &Path) -> anyhow::Result<Self> {
        let api = Api::load(library).with_context(|| {
            format!(
                "load {}: not a libchdb of version 26.7 for this machine?",
                library.display()
            )
        })?;
        let argument = |name: &str, path: &Path| {
            let bytes = [name.as_bytes(), path.as_os_str().as_bytes()].concat();
            CString::new(bytes).with_context(|| format!("{}: NUL in a path", path.display()))
        };
        let arguments = vec![argument("--path=", data)?, argument("--config-file=", config)?];
        let Some(anchor) = api.connect(&arguments) else {
            bail!(
                "the ClickHouse engine does not open {}: its reason is the last line on standard error",
                data.display()
            );
        };
        let mut engine = Self {
            api,
            arguments,
            anchor: Mutex::new(Some(anchor)),
            version: String::new(),
            timezone: String::new(),
        };
        engine.version = engine.ask("SELECT version()")?;
        engine.timezone = engine.ask("SELECT timezone()")?;
        Ok(engine)
    }

    fn ask(&self, sql: &str) -> anyhow::Result<String> {
        let mut session = self.bare_session()?;
        let answer = session.query(sql.as_bytes(), "TabSeparatedRaw", &[])?;
        Ok(String::from_utf8_lossy(answer.bytes()).trim_end().to_owned())
    }

    fn bare_session(&self) -> Result<Session, Exception> {
        // Under the lock, so that no session begins after `close`.
        let anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        if anchor.is_none() {
            return Err(Exception::new(236, "ABORTED", "the store is stopping"));
        }
        let connection = self.api.connect(&self.arguments);
        let refused = || Exception::new(1002, "UNKNOWN_EXCEPTION", "the engine gives no connection");
        Ok(Session {
            connection: connection.ok_or_else(refused)?,
        })
    }

    /// A session of its own: settings and database of others do not reach it.
    pub(super) fn session(&self, options: &SessionOptions<'_>) -> Result<Session, Exception> {
        let mut session = self.bare_session()?;
        session.set(options.settings)?;
        if !options.tag.is_empty() {
            session.set(&[("log_comment".into(), options.tag.into())])?;
        }
        match options.database {
            Some("default") => {}
            Some(name) => session.use_database(name)?,
            None if options.default_database.is_empty() => {}
            // Not there before the first migration; then the session stays where it is.
            None => session.use_database(options.default_database).unwrap_or_default(),
        }
        if options.read_only {
            session.set(&[("readonly".into(), "2".into())])?;
        }
        Ok(session)
    }

    /// Cancels the statements of the session with this tag (`None`: of all). Does not wait for their end.
    pub(super) fn kill(&self, tag: Option<&str>) -> Result<(), Exception> {
        let condition = match tag {
            Some(tag) => format!("Settings['log_comment'] = {}", literal(tag)),
            None => "query NOT LIKE 'KILL%'".into(),
        };
        self.bare_session()?
            .query(
                format!("KILL QUERY WHERE {condition} ASYNC").as_bytes(),
                "Null",
                &[],
            )
            .map(drop)
    }

    /// Lets no session begin any more. The engine stops when the last one ends.
    pub(super) fn close(&self) {
        self.anchor.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// A session.
pub(super) struct Session {
    connection: Connection,
}

impl Session {
    fn set(&mut self, settings: &[(String, String)]) -> Result<(), Exception> {
        if settings.is_empty() {
            return Ok(());
        }
        let mut sql = String::from("SET ");
        for (index, (name, value)) in settings.iter().enumerate() {
            if name.is_empty()
                || !name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
            {
                return Err(Exception::new(
                    115,
                    "UNKNOWN_SETTING",
                    format_args!("Unknown setting {name:?}"),
                ));
            }
            let comma = if index > 0 { ", " } else { "" };
            sql.push_str(&format!("{comma}`{name}` = {}", literal(value)));
        }
        self.query(sql.as_bytes(), "Null", &[]).map(drop)
    }

    fn use_database(&mut self, name: &str) -> Result<(), Exception> {
        let name = name.replace('\\', "\\\\").replace('`', "\\`");
        self.query(format!("USE `{name}`").as_bytes(), "Null", &[])
            .map(drop)
    }

    /// Runs one statement and waits for its whole result. Callers have made sure that it is one.
    pub(super) fn query(&mut self, sql: &[u8], format: &str, params: &Params) -> Result<Answer, Exception> {
        let answer = self.connection.query(sql, format, params);
        match answer.error() {
            Some(text) => Err(Exception::engine(text)),
            None => Ok(answer),
        }
    }

    /// Starts a SELECT whose result comes in pieces.
    pub(super) fn select(
        &mut self,
        sql: &[u8],
        format: &str,
        params: &Params,
    ) -> Result<Select<'_>, Exception> {
        let select = self.connection.select(sql, format, params);
        match select.error() {
            Some(text) => Err(Exception::engine(text)),
            None => Ok(select),
        }
    }

    /// Starts an INSERT whose data comes in pieces. `sql` has neither FORMAT nor data.
    pub(super) fn insert(
        &mut self,
        sql: &[u8],
        format: &str,
        params: &Params,
    ) -> Result<Insert<'_>, Exception> {
        let insert = self.connection.insert(sql, format, params);
        match insert.error() {
            Some(text) => Err(Exception::engine(text)),
            None => Ok(insert),
        }
    }

    /// What a statement would do.
    pub(super) fn classify(&mut self, sql: &[u8]) -> Analysis {
        self.connection.classify(sql)
    }
}
