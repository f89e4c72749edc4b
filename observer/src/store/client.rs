//! The official `clickhouse` client, set up for one store, and its errors in a closed form.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clickhouse::{RowOwned, RowRead, RowWrite};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::Instant;

use super::sql::is_identifier;
use crate::tls::{self, with_causes};

/// An idle connection is closed before the server does (ClickHouse: 3 s in old versions, then 10 s).
const POOL_IDLE: Duration = Duration::from_secs(2);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long sending one piece of an insert may take.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one request may take as a whole.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Where the store is.
#[derive(Clone)]
pub struct StoreTarget {
    /// `http://host:port` or `https://host:port`.
    pub url: String,
    /// Database of the evidence tables.
    pub database: String,
    /// User; empty for the server's default.
    pub user: String,
    /// Password; empty for none.
    pub password: String,
    /// PEM file with the certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

// The password stays out of logs.
impl fmt::Debug for StoreTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreTarget")
            .field("url", &without_credentials(&self.url))
            .field("database", &self.database)
            .field("user", &self.user)
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

fn without_credentials(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
            format!("{scheme}://{}", host.split(['/', '?']).next().unwrap_or_default())
        }
        None => "<invalid url>".to_owned(),
    }
}

/// What went wrong, in the few kinds that decide what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The store could not be reached, or the connection broke.
    Unreachable,
    /// It did not answer in time.
    Timeout,
    /// It refused for now: too busy, out of memory, read only, disk full, a part of the cluster away; and whatever else is
    /// not about the rows.
    Busy,
    /// It refused user or password, or the right to write.
    Denied,
    /// Tables and rows do not fit each other, or the statement is wrong.
    Rejected,
    /// The client is set up wrongly.
    Setup,
}

impl ErrorKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Unreachable,
        Self::Timeout,
        Self::Busy,
        Self::Denied,
        Self::Rejected,
        Self::Setup,
    ];

    /// Name for metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
            Self::Denied => "denied",
            Self::Rejected => "rejected",
            Self::Setup => "setup",
        }
    }
}

/// An error of the store. The text never holds row values: what a server says about data is cut to its first line.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// What to do about it.
    pub kind: ErrorKind,
    /// ClickHouse's code, where the server answered.
    pub code: Option<u32>,
    message: String,
}

impl StoreError {
    fn setup(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Setup,
            code: None,
            message: message.into(),
        }
    }
}

/// Longest text taken from a server's error.
const MAX_MESSAGE: usize = 300;

impl From<clickhouse::error::Error> for StoreError {
    fn from(error: clickhouse::error::Error) -> Self {
        use clickhouse::error::Error as E;
        let text = error.to_string();
        let code = code_of(&text);
        let kind = match (&error, code) {
            (E::Network(_), _) => ErrorKind::Unreachable,
            (E::TimedOut, _) => ErrorKind::Timeout,
            (E::BadResponse(_), Some(code)) => kind_of(code),
            // An answer that is not ClickHouse's: a proxy, or the wrong port.
            (E::BadResponse(_), None) => ErrorKind::Busy,
            (E::InvalidParams(_) | E::Unsupported(_), _) => ErrorKind::Setup,
            (E::SchemaMismatch(_), _) => ErrorKind::Rejected,
            (E::Other(_), _) => ErrorKind::Unreachable,
            _ => ErrorKind::Rejected,
        };
        Self {
            kind,
            code,
            message: first_line(&with_causes(&error)),
        }
    }
}

fn first_line(text: &str) -> String {
    // A parsing error quotes the data that it could not read.
    let text = text.split(" before: ").next().unwrap_or_default();
    let text = text.split(": (at row").next().unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(MAX_MESSAGE).collect()
}

/// ClickHouse's error code in a text like `Code: 60. DB::Exception: ...`.
pub(crate) fn code_of(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("Code: ")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

/// Codes that say that rows and table, or the statement, do not fit: another attempt gives the same. Only these cost rows, so
/// whatever ClickHouse adds, and every outage inside a cluster (279 `ALL_CONNECTION_TRIES_FAILED`, 286 `UNSATISFIED_QUORUM`, 225
/// `NO_ZOOKEEPER`), is waited for.
#[rustfmt::skip]
const UNFIT: [u32; 61] = [
    // CANNOT_PARSE_TEXT, INCORRECT_NUMBER_OF_COLUMNS, THERE_IS_NO_COLUMN, SIZES_OF_COLUMNS_DOESNT_MATCH, NOT_FOUND_COLUMN_IN_BLOCK
    6, 7, 8, 9, 10,
    // SIZES_OF_COLUMNS_IN_TUPLE_DOESNT_MATCH, DUPLICATE_COLUMN, NO_SUCH_COLUMN_IN_TABLE
    13, 15, 16,
    // SIZE_OF_FIXED_STRING_DOESNT_MATCH, NUMBER_OF_COLUMNS_DOESNT_MATCH, CANNOT_PARSE_ESCAPE_SEQUENCE, CANNOT_PARSE_QUOTED_STRING
    19, 20, 25, 26,
    // CANNOT_PARSE_INPUT_ASSERTION_FAILED, CANNOT_READ_ALL_DATA (not 32 ATTEMPT_TO_READ_AFTER_EOF: so a shard that goes away is told)
    27, 33,
    // TOO_MANY_ARGUMENTS_FOR_FUNCTION, TOO_FEW_ARGUMENTS_FOR_FUNCTION, BAD_ARGUMENTS, CANNOT_PARSE_DATE, CANNOT_PARSE_DATETIME
    34, 35, 36, 38, 41,
    // NUMBER_OF_ARGUMENTS_DOESNT_MATCH, ILLEGAL_TYPE_OF_ARGUMENT, ILLEGAL_COLUMN, UNKNOWN_FUNCTION, UNKNOWN_IDENTIFIER
    42, 43, 44, 46, 47,
    // NOT_IMPLEMENTED, LOGICAL_ERROR, UNKNOWN_TYPE, EMPTY_LIST_OF_COLUMNS_QUERIED, COLUMN_QUERIED_MORE_THAN_ONCE, TYPE_MISMATCH
    48, 49, 50, 51, 52, 53,
    // SYNTAX_ERROR, UNKNOWN_AGGREGATE_FUNCTION, ARGUMENT_OUT_OF_BOUND, CANNOT_CONVERT_TYPE, CANNOT_PARSE_NUMBER, UNKNOWN_FORMAT
    62, 63, 69, 70, 72, 73,
    // FORMAT_IS_NOT_SUITABLE_FOR_INPUT, INCORRECT_DATA, CANNOT_INSERT_VALUE_OF_DIFFERENT_SIZE_INTO_TUPLE, INCOMPATIBLE_COLUMNS
    85, 117, 120, 122,
    // TOO_LARGE_ARRAY_SIZE, CANNOT_READ_ARRAY_FROM_TEXT, TOO_LARGE_STRING_SIZE, BAD_TYPE_OF_FIELD, BAD_GET, SIZES_OF_ARRAYS_DONT_MATCH
    128, 130, 131, 169, 170, 190,
    // INVALID_PARTITION_VALUE, VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE, CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN, CANNOT_PARSE_UUID
    248, 321, 349, 376,
    // NO_COMMON_TYPE, FUNCTION_THROW_IF_VALUE_IS_NON_ZERO, DECIMAL_OVERFLOW, CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING, CANNOT_PARSE_BOOL
    386, 395, 407, 441, 467,
    // VIOLATED_CONSTRAINT, UNEXPECTED_DATA_AFTER_PARSED_VALUE, CANNOT_PARSE_IPV4, CANNOT_PARSE_IPV6, UNKNOWN_ELEMENT_OF_ENUM,
    // UNEXPECTED_DATA_TYPE
    469, 632, 675, 676, 691, 728,
];

fn kind_of(code: u32) -> ErrorKind {
    match code {
        // REQUIRED_PASSWORD, UNKNOWN_USER, WRONG_PASSWORD, ACCESS_DENIED, AUTHENTICATION_FAILED
        192 | 193 | 194 | 497 | 516 => ErrorKind::Denied,
        // TIMEOUT_EXCEEDED, SOCKET_TIMEOUT
        159 | 209 => ErrorKind::Timeout,
        code if UNFIT.contains(&code) => ErrorKind::Rejected,
        // Among them UNKNOWN_TABLE and UNKNOWN_DATABASE (60, 81): the schema is still to come.
        _ => ErrorKind::Busy,
    }
}

/// A client of one store and one database. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: clickhouse::Client,
    database: String,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Client {
    /// A client for `target`. Nothing is sent yet; fails on a URL, database name or certificate file that is wrong.
    pub fn new(target: &StoreTarget) -> Result<Self, StoreError> {
        if !is_identifier(&target.database) {
            return Err(StoreError::setup(format!(
                "database name {:?}: letters, digits and _ only, not beginning with a digit, at most 64",
                target.database
            )));
        }
        let mut inner = match target.url.split_once("://").map(|(scheme, _)| scheme) {
            Some("http") => plain_client(),
            Some("https") => tls_client(target)?,
            _ => {
                let url = without_credentials(&target.url);
                return Err(StoreError::setup(format!(
                    "store URL {url}: must begin with http:// or https://"
                )));
            }
        };
        inner = inner.with_url(&target.url).with_database(&target.database);
        inner = inner.with_product_info("observer", env!("CARGO_PKG_VERSION"));
        if !target.user.is_empty() {
            inner = inner.with_user(&target.user);
        }
        if !target.password.is_empty() {
            inner = inner.with_password(&target.password);
        }
        Ok(Self {
            inner,
            database: target.database.clone(),
        })
    }

    /// Database that this client works in.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The client crate's own client, for anything not offered here.
    pub fn raw(&self) -> &clickhouse::Client {
        &self.inner
    }

    /// Runs one statement that gives no rows.
    pub async fn command(&self, sql: &str) -> Result<(), StoreError> {
        in_time(self.inner.query_raw(sql).execute()).await
    }

    /// Runs one statement outside the database, which may not exist yet.
    pub async fn command_without_database(&self, sql: &str) -> Result<(), StoreError> {
        let client = self.inner.clone().with_database("default");
        in_time(client.query_raw(sql).execute()).await
    }

    /// All rows that `sql` gives.
    pub async fn rows<T>(&self, sql: &str) -> Result<Vec<T>, StoreError>
    where
        T: RowOwned + RowRead,
    {
        in_time(self.inner.query_raw(sql).fetch_all::<T>()).await
    }

    /// Inserts `rows` in one request into a table with types that the client crate cannot check (named tuples). Fields and
    /// columns must have the same types; a test with the real engine shows it.
    pub async fn insert_unchecked<T>(&self, table: &str, rows: &[&T]) -> Result<(), StoreError>
    where
        T: RowOwned + RowWrite,
    {
        let unchecked = Self {
            inner: self.inner.clone().with_validation(false),
            database: self.database.clone(),
        };
        unchecked.insert_rows(table, rows, None).await
    }

    /// Inserts `rows` in one request. The same `token` twice is stored once (within the table's window).
    pub async fn insert_rows<T>(
        &self,
        table: &str,
        rows: &[&T],
        token: Option<&str>,
    ) -> Result<(), StoreError>
    where
        T: RowOwned + RowWrite,
    {
        let done = in_time(async {
            let mut insert = self.inner.insert::<T>(table).await?;
            if let Some(token) = token {
                insert = insert.with_setting("insert_deduplication_token", token);
            }
            // The answer must mean "stored", whatever the server's profile says. The second by its old name, which all versions know
            // (new: distributed_foreground_insert): else a Distributed table answers when the rows only wait on one server's disk.
            insert = insert
                .with_setting("async_insert", "0")
                .with_setting("insert_distributed_sync", "1")
                .with_timeouts(Some(SEND_TIMEOUT), None);
            for row in rows {
                insert.write(*row).await?;
            }
            insert.end().await
        })
        .await;
        // The table may be on its way to a newer schema: the next attempt shall see it as it is then.
        if done.as_ref().is_err_and(|e| e.kind == ErrorKind::Rejected) {
            self.forget_columns().await;
        }
        done
    }

    /// Forgets what the tables looked like: call after they changed.
    pub async fn forget_columns(&self) {
        self.inner.clear_cached_metadata().await;
    }
}

async fn in_time<T>(
    answer: impl Future<Output = Result<T, clickhouse::error::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(REQUEST_TIMEOUT, answer).await {
        Ok(result) => result.map_err(StoreError::from),
        Err(_) => Err(clickhouse::error::Error::TimedOut.into()),
    }
}

fn plain_client() -> clickhouse::Client {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_nodelay(true);
    let http = HyperClient::builder(TokioExecutor::new())
        .pool_idle_timeout(POOL_IDLE)
        .build(connector);
    clickhouse::Client::with_http_client(http)
}

fn tls_client(target: &StoreTarget) -> Result<clickhouse::Client, StoreError> {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_nodelay(true);
    connector.enforce_http(false);
    let config = tls::client_config(target.ca_file.as_deref()).map_err(StoreError::setup)?;
    let https = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only()
        .enable_http1()
        .wrap_connector(connector);
    let http = HyperClient::builder(TokioExecutor::new())
        .pool_idle_timeout(POOL_IDLE)
        .build(https);
    Ok(clickhouse::Client::with_http_client(http))
}

/// Waits until the store at `url` answers a query. `url` may name user and password only through `target`s of
/// [`Client::new`]; this is for a store that was just started on loopback.
pub async fn wait_ready(url: &str, deadline: Instant) -> Result<(), StoreError> {
    let client = Client::new(&StoreTarget {
        url: url.to_owned(),
        database: "default".to_owned(),
        user: String::new(),
        password: String::new(),
        ca_file: None,
    })?;
    wait_until(&client, deadline).await
}

/// Waits until the store answers a query of this client; gives up on errors that waiting cannot cure.
pub async fn wait_until(client: &Client, deadline: Instant) -> Result<(), StoreError> {
    let mut pause = Duration::from_millis(20);
    loop {
        let attempt = client.command_without_database("SELECT 1");
        let error = match tokio::time::timeout_at(deadline, attempt).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => return Err(clickhouse::error::Error::TimedOut.into()),
        };
        let hopeless = matches!(error.kind, ErrorKind::Denied | ErrorKind::Setup);
        if hopeless || Instant::now() + pause >= deadline {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> StoreTarget {
        StoreTarget {
            url: url.into(),
            database: "ai_evidence".into(),
            user: "u".into(),
            password: "visible-only-here".into(),
            ca_file: None,
        }
    }

    #[test]
    fn wrong_set_up_is_said_at_once() {
        let error = |target: StoreTarget| Client::new(&target).expect_err("refused");
        assert_eq!(error(target("ftp://h")).kind, ErrorKind::Setup);
        let bad = error(StoreTarget {
            database: "a b".into(),
            ..target("http://h")
        });
        assert!(bad.to_string().contains("a b"), "{bad}");
        let missing = StoreTarget {
            ca_file: Some("/nonexistent/ca.pem".into()),
            ..target("https://h")
        };
        assert!(error(missing).to_string().contains("/nonexistent/ca.pem"));
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("file");
        let target = StoreTarget {
            ca_file: Some(file.path().into()),
            ..target("https://h")
        };
        let error = Client::new(&target).expect_err("refused");
        assert!(error.to_string().contains("no certificate"), "{error}");
    }

    #[test]
    fn credentials_are_not_shown() {
        let target = target("http://name:secret@host:8123/?password=secret");
        let shown = format!("{target:?} {:?}", Client::new(&target).expect("client"));
        assert!(
            !shown.contains("secret") && !shown.contains("visible-only-here"),
            "{shown}"
        );
        assert!(shown.contains("http://host:8123"), "{shown}");
    }

    #[test]
    fn codes_decide_the_kind() {
        let error = |text: &str| StoreError::from(clickhouse::error::Error::BadResponse(text.into()));
        let memory =
            error("Code: 241. DB::Exception: Query memory limit exceeded: x. (MEMORY_LIMIT_EXCEEDED)");
        assert_eq!((memory.kind, memory.code), (ErrorKind::Busy, Some(241)));
        assert_eq!(error("Code: 516. DB::Exception: no").kind, ErrorKind::Denied);
        assert_eq!(
            error("Code: 60. DB::Exception: Unknown table").kind,
            ErrorKind::Busy,
            "migrations bring it"
        );
        assert_eq!(error("<html>bad gateway</html>").kind, ErrorKind::Busy);
        // A shard, a quorum, Keeper, names and load inside a cluster; and what nobody has heard of yet.
        for code in [279, 286, 225, 198, 745, 32, 3_000] {
            let outage = error(&format!("Code: {code}. DB::Exception: later"));
            assert_eq!((outage.kind, outage.code), (ErrorKind::Busy, Some(code)));
        }
        for code in [16, 27, 33, 53, 117, 349, 469] {
            let unfit = error(&format!("Code: {code}. DB::Exception: no"));
            assert_eq!(unfit.kind, ErrorKind::Rejected, "{code}");
        }
        let data = error("Code: 27. DB::Exception: Cannot parse input: (at row 1) the data\nmore data");
        assert!(!data.to_string().contains("the data"), "{data}");
    }

    #[tokio::test]
    async fn nobody_there_is_unreachable() {
        let deadline = Instant::now() + Duration::from_millis(300);
        let error = wait_ready("http://127.0.0.1:1", deadline)
            .await
            .expect_err("nobody there");
        assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    }
}
