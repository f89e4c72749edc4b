//! The store end to end: the real engine in a child process, the real client, raw HTTP.
//!
//! Needs libchdb.so (`cargo xtask setup`, or OBSERVER_CHDB); without it each test prints `SKIP:` and passes.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use observer::evidence::{
    ConnectionRow, Coverage, FindingRow, InteractionRow, Interval, SealKind, SealRow, Sequencer, Severity,
};
use observer::store::embedded::{EmbeddedConfig, find_library, serve, termination};
use observer::store::migrate::MIGRATIONS;
use observer::store::{Client, ErrorKind, LossReason, StoreTarget, Table, Writer, WriterOptions};
use observer::store::{migrate, wait_ready};
use tokio::time::Instant;
use uuid::Uuid;

const DIRECTORY: &str = "OBSERVER_TEST_STORE_DIRECTORY";
const ADDRESS: &str = "OBSERVER_TEST_STORE_ADDRESS";
const PASSWORD: &str = "OBSERVER_TEST_STORE_PASSWORD";
const PARENT: &str = "OBSERVER_TEST_STORE_PARENT";

/// Not a test by itself: the child process of the others runs only this one, with the environment set.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let (Ok(directory), Ok(address)) = (std::env::var(DIRECTORY), std::env::var(ADDRESS)) else { return };
    let mut config = EmbeddedConfig::new(directory, address.parse().expect("address"));
    config.password = std::env::var(PASSWORD).ok();
    config.exit_with_parent = std::env::var(PARENT).ok().map(|pid| pid.parse().expect("pid"));
    if let Err(error) = serve(config, termination().expect("signals")).await {
        eprintln!("child: {error:#}");
        std::process::exit(3);
    }
}

fn library() -> Option<PathBuf> {
    match find_library(None) {
        Ok(path) => Some(path),
        Err(error) => {
            println!("SKIP: {error}");
            None
        }
    }
}

macro_rules! need_library {
    () => {
        if library().is_none() {
            return;
        }
    };
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port")
}

/// A store in a child process; killed when dropped.
struct Store {
    child: Child,
    address: SocketAddr,
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Store {
    fn spawn(directory: &Path, address: SocketAddr, environment: &[(&str, &str)]) -> Self {
        let child = Command::new(std::env::current_exe().expect("test binary"))
            .args(["--exact", "child", "--nocapture"])
            .env(DIRECTORY, directory)
            .env(ADDRESS, address.to_string())
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("child");
        Self { child, address }
    }

    async fn start(directory: &Path) -> Self {
        Self::start_at(directory, free_address()).await
    }

    async fn start_at(directory: &Path, address: SocketAddr) -> Self {
        let mut store = Self::spawn(directory, address, &[]);
        for _ in 0..60 {
            match wait_ready(&store.url(), Instant::now() + Duration::from_secs(1)).await {
                Ok(()) => return store,
                Err(error) => assert!(store.child.try_wait().expect("child").is_none(), "{error}: {}", store.said()),
            }
        }
        panic!("store is not ready: {}", store.said());
    }

    /// What it wrote to standard error; ends it.
    fn said(&mut self) -> String {
        let _ = self.child.kill();
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().expect("stderr");
        stderr.read_to_string(&mut said).expect("text");
        said
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn client(&self) -> Client {
        client(self.url())
    }

    async fn migrated(directory: &Path) -> Self {
        let store = Self::start(directory).await;
        migrate(&store.client()).await.expect("schema");
        store
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().expect("kill");
        assert!(status.success());
    }

    /// Ends it by SIGTERM; exit code and how long it took.
    fn terminate(mut self) -> (Option<i32>, Duration) {
        let started = std::time::Instant::now();
        self.signal("TERM");
        let status = self.child.wait().expect("ends");
        (status.code(), started.elapsed())
    }

    fn get(&self, target: &str) -> Answer {
        http(self.address, "GET", target, &[], b"")
    }

    fn post(&self, target: &str, body: &[u8]) -> Answer {
        http(self.address, "POST", target, &[], body)
    }
}

fn client(url: String) -> Client {
    let target = StoreTarget {
        url,
        database: "ai_evidence".into(),
        user: String::new(),
        password: String::new(),
        ca_file: None,
    };
    Client::new(&target).expect("client")
}

/// An answer of raw HTTP/1.0: the connection ends with the body.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    fn ok(self) -> String {
        assert_eq!(self.status, 200, "{}", self.text());
        self.text()
    }

    fn code(&self) -> (u16, &str) {
        (self.status, self.header("x-clickhouse-exception-code").unwrap_or("none"))
    }
}

fn http(address: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("timeout");
    let mut head = format!("{method} {target} HTTP/1.0\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "Host") {
        head.push_str(&format!("Host: {address}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).expect("head");
    stream.write_all(body).expect("body");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("answer");
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("head of the answer");
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("status");
    Answer { status, head, body: bytes[end + 4..].to_vec() }
}

fn encode(text: &str) -> String {
    text.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("directory")
}

#[tokio::test]
async fn schema_is_created_once_and_refused_when_it_does_not_fit() {
    need_library!();
    let directory = temporary();
    let store = Store::start(directory.path()).await;
    let client = store.client();
    let all: Vec<u32> = MIGRATIONS.iter().map(|m| m.version).collect();
    assert_eq!(migrate(&client).await.expect("first"), all);
    assert_eq!(migrate(&client).await.expect("second"), [0; 0]);
    let tables = client.rows::<String>("SELECT name FROM system.tables WHERE database = 'ai_evidence'").await;
    let tables = tables.expect("tables");
    for name in ["ai_interactions", "evidence_seals", "blind_spots", "pv_findings", "v_records", "ai_usage_hourly_mv"] {
        assert!(tables.iter().any(|t| t == name), "{name} is missing in {tables:?}");
    }
    assert_eq!(tables.len(), 24, "{tables:?}");
    client
        .command("INSERT INTO schema_migrations (version, name, sha256) VALUES (99, 'later', unhex(repeat('00', 32)))")
        .await
        .expect("a newer program was here");
    let error = migrate(&client).await.expect_err("newer").to_string();
    assert!(error.contains("schema version 99"), "{error}");
}

fn interaction() -> InteractionRow {
    InteractionRow {
        ts: 1_790_000_000_123_456_789,
        duration_ns: 5,
        // Bytes 0a 0a in binary rows: a blank line to the engine's own parser.
        process_start_ns: 0x0a0a_0a0a_0a0a_0a0a,
        user_agent: "a\n\nb'\\\t\0c; DROP TABLE ai_interactions".into(),
        process_ancestry: vec!["bash".into(), "sshd".into()],
        server_address: "api.example".into(),
        network_peer_address: Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x0a0a, 0x0a0a),
        policy_sha256: [0x0a; 32],
        gen_ai_usage_input_tokens: Some(0),
        gen_ai_usage_output_tokens: None,
        gen_ai_usage_reasoning_output_tokens: Some(u64::MAX),
        http_response_status_code: None,
        time_to_first_chunk_ns: Some(7),
        gen_ai_request_stream: true,
        tool_names: vec!["tøol".into(), String::new()],
        ..InteractionRow::unknown()
    }
}

fn finding(of: &InteractionRow) -> FindingRow {
    FindingRow {
        ts: of.ts,
        interaction_hash: of.record_hash,
        severity: Severity::Critical,
        value_hmac: vec![[0x0a; 16], [1; 16]],
        match_count: 2,
        ..FindingRow::unknown()
    }
}

fn connection() -> ConnectionRow {
    ConnectionRow { ts: 1, closed_ts: 1_790_000_000_000_000_001, tls_ech: true, ..ConnectionRow::unknown() }
}

fn sequencer() -> Sequencer {
    Sequencer::new("host-1", Uuid::from_u128(0x0a0a_0a0a), 1_790_000_000_000_000_000)
}

fn seal(sequencer: &mut Sequencer) -> SealRow {
    let interval =
        Interval { start: 1_790_000_000_000_000_000, end: 1_790_000_030_000_000_000, mono_start_ns: 1, mono_end_ns: 2 };
    let coverage = Coverage { probes_failed: vec!["x".into()], events_lost_ring: 3, ..Coverage::default() };
    sequencer.seal(SealKind::Close, interval, coverage)
}

fn quick() -> WriterOptions {
    WriterOptions {
        batch_age: Duration::from_millis(50),
        min_pause: Duration::from_millis(20),
        max_pause: Duration::from_millis(200),
        ..WriterOptions::default()
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

#[tokio::test]
async fn rows_of_every_table_come_back_as_they_were() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let mut sequencer = sequencer();
    let i = sequencer.interaction(interaction());
    let f = sequencer.finding(finding(&i));
    let c = sequencer.connection(connection());
    let s = seal(&mut sequencer);
    let writer = Writer::start(client.clone(), quick());
    writer.push(i.clone());
    writer.push(f.clone());
    writer.push(c.clone());
    writer.push(s.clone());
    assert!(writer.flush(soon()).await, "{:?}", writer.stats());
    assert_eq!(Table::ALL.map(|t| writer.stats().written(t)), [1; 4]);
    assert_eq!(writer.lag(), Duration::ZERO);

    let raw = client.raw();
    let read_i: InteractionRow = raw.query("SELECT ?fields FROM v_interactions").fetch_one().await.expect("row");
    assert_eq!(read_i, i);
    assert_eq!(read_i.digest(), i.record_hash, "the hash can be checked from what is stored");
    let read_f: FindingRow = raw.query("SELECT ?fields FROM v_findings").fetch_one().await.expect("row");
    assert_eq!(read_f, f);
    let read_c: ConnectionRow = raw.query("SELECT ?fields FROM v_connections").fetch_one().await.expect("row");
    assert_eq!(read_c, c);
    let read_s: SealRow = raw.query("SELECT ?fields FROM v_seals").fetch_one().await.expect("row");
    assert_eq!(read_s, s);

    let sql = "SELECT count() FROM pv_interactions(from='2026-01-01', to='2027-01-01') FORMAT TSV";
    assert_eq!(store.post("/", sql.as_bytes()).ok(), "1\n");
    let null = "SELECT gen_ai_usage_input_tokens, gen_ai_usage_output_tokens, login_uid FROM ai_interactions";
    assert_eq!(store.post("/", null.as_bytes()).ok(), "0\t\\N\t4294967295\n");
    let hourly = "SELECT uniqExactMerge(interactions) FROM ai_usage_hourly";
    assert_eq!(store.post("/", hourly.as_bytes()).ok(), "1\n");
}

#[tokio::test]
async fn every_column_is_in_the_row_types() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let columns = |table: &'static str, fields: &'static [&'static str]| {
        let client = client.clone();
        async move {
            let sql = format!(
                "SELECT name FROM system.columns WHERE database = 'ai_evidence' AND table = '{table}' \
                 AND name != 'ingested_at' ORDER BY name"
            );
            let mut fields = fields.to_vec();
            fields.sort_unstable();
            assert_eq!(client.rows::<String>(&sql).await.expect("columns"), fields, "{table}");
        }
    };
    use clickhouse::Row;
    columns(InteractionRow::TABLE, InteractionRow::COLUMN_NAMES).await;
    columns(FindingRow::TABLE, FindingRow::COLUMN_NAMES).await;
    columns(ConnectionRow::TABLE, ConnectionRow::COLUMN_NAMES).await;
    columns(SealRow::TABLE, SealRow::COLUMN_NAMES).await;
}

#[tokio::test]
async fn many_binary_rows_arrive_whole_and_a_repeated_batch_is_stored_once() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let mut sequencer = sequencer();
    let rows: Vec<FindingRow> = (0..10_000)
        .map(|n| sequencer.finding(FindingRow { ts: 1_790_000_000_000_000_000, match_count: n, ..FindingRow::unknown() }))
        .collect();
    let rows: Vec<&FindingRow> = rows.iter().collect();
    for _ in 0..2 {
        client.insert_rows(FindingRow::TABLE, &rows, Some("token-a")).await.expect("insert");
    }
    let counted = client.rows::<(u64, u64)>("SELECT count(), uniqExact(match_count) FROM ai_findings").await;
    assert_eq!(counted.expect("count"), [(10_000, 10_000)]);
}

#[tokio::test]
async fn requests_as_curl_and_others_send_them() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    assert_eq!(store.get("/ping").ok(), "Ok.\n");
    assert_eq!(store.get("/replicas_status").ok(), "Ok.\n");
    assert_eq!(store.get("/").ok(), "Ok.\n");
    assert_eq!(store.get("/nowhere").status, 404);
    assert_eq!(store.get(&format!("/?query={}", encode("SELECT 1 + 1"))).ok(), "2\n");
    assert_eq!(store.post("/?query=SELECT", b" 3").ok(), "3\n");
    assert_eq!(store.post("/", b"").ok(), "");

    let answer = store.post("/?query_id=abc&default_format=JSONEachRow&max_threads=1", b"SELECT 1 AS a");
    assert_eq!(answer.header("x-clickhouse-query-id"), Some("abc"));
    assert_eq!(answer.header("x-clickhouse-format"), Some("JSONEachRow"));
    assert!(answer.header("content-type").is_some_and(|t| t.contains("ndjson")), "{}", answer.head);
    assert!(answer.header("x-clickhouse-summary").is_some_and(|s| s.contains("\"read_rows\":\"")), "{}", answer.head);
    assert_eq!(answer.ok(), "{\"a\":1}\n");

    let create = "CREATE TABLE t (a UInt64, s String) ENGINE = MergeTree ORDER BY a";
    store.post("/?database=ai_evidence", create.as_bytes()).ok();
    let insert = |target: &str, body: &[u8]| store.post(target, body).ok();
    insert("/", b"INSERT INTO t VALUES (1, 'one;'), (2, 'two');");
    insert(&format!("/?query={}", encode("INSERT INTO t FORMAT JSONEachRow")), b"{\"a\":3,\"s\":\"x\"}\n\n{\"a\":4}\n");
    insert("/", b"INSERT INTO ai_evidence.t FORMAT CSV\n5,\"a\n\nb\"\n");
    insert(&format!("/?query={}&param_x=6", encode("INSERT INTO t VALUES ({x:UInt64}, 'p')")), b"");
    insert(&format!("/?query={}", encode("INSERT INTO t")), b"(7, 'v')");
    insert("/", b"INSERT INTO t SELECT 8, 's'");
    assert_eq!(insert("/", b"SELECT groupArray(a) FROM (SELECT a FROM t ORDER BY a)"), "[1,2,3,4,5,6,7,8]\n");
    assert_eq!(insert("/", b"SELECT s FROM t WHERE a = 5 FORMAT JSONCompactEachRow"), "[\"a\\n\\nb\"]\n");

    let form = b"--b\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT {p:String}, {q:Array(UInt8)}\r\n\
        --b\r\nContent-Disposition: form-data; name=\"param_p\"\r\n\r\nit's\r\n\
        --b\r\nContent-Disposition: form-data; name=\"param_q\"\r\n\r\n[1,2]\r\n--b--\r\n";
    let multipart = [("Content-Type", "multipart/form-data; boundary=b")];
    assert_eq!(http(store.address, "POST", "/", &multipart, form).ok(), "it\\'s\t[1,2]\n");

    let packed = zstd::encode_all(&b"SELECT 'zstd'"[..], 1).expect("zstd");
    assert_eq!(http(store.address, "POST", "/", &[("Content-Encoding", "zstd")], &packed).ok(), "zstd\n");
    for format in ["JSON", "Parquet", "Arrow", "XML", "CSVWithNames", "Pretty", "Native"] {
        let answer = store.post("/", format!("SELECT a, s FROM t ORDER BY a FORMAT {format}").as_bytes());
        assert!(answer.status == 200 && answer.body.len() > 30, "{format}: {}", answer.text());
    }
    let headers = [("X-ClickHouse-Database", "system"), ("X-ClickHouse-Format", "CSV")];
    let answer = http(store.address, "POST", "/", &headers, b"SELECT currentDatabase()");
    assert_eq!(answer.ok(), "\"system\"\n");
    assert_eq!(store.post("/", b"SHOW TABLES FROM ai_evidence LIKE 't'").ok(), "t\n");
}

#[tokio::test]
async fn errors_have_the_servers_codes_and_statuses() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let code = |sql: &str| {
        let answer = store.post("/", sql.as_bytes());
        let (status, code) = answer.code();
        assert!(answer.text().starts_with(&format!("Code: {code}. DB::Exception: ")), "{sql}: {}", answer.text());
        (status, code.parse::<u32>().expect("number"))
    };
    assert_eq!(code("SELECT * FROM nowhere"), (404, 60));
    assert_eq!(code("SELEC 1"), (400, 62));
    assert_eq!(code("SELECT nofunction(1)"), (404, 46));
    assert_eq!(code("SELECT 1 SETTINGS nosetting = 1"), (404, 115));
    assert_eq!(code("SELECT 1; DROP TABLE ai_findings"), (400, 62));
    assert_eq!(code("SELECT 1 FORMAT Nonsense"), (404, 73));
    assert_eq!(code("SELECT {x:UInt8}"), (500, 456));
    assert_eq!(code("INSERT INTO ai_findings (nocolumn) VALUES (1)"), (500, 16));
    assert_eq!(code("INSERT INTO ai_findings (match_count) FORMAT JSONEachRow {broken"), (400, 117));
    assert_eq!(code("SELECT sleep(3) SETTINGS max_execution_time = 1, timeout_overflow_mode = 'throw'"), (408, 159));
    assert_eq!(code("SELECT throwIf(number = 2) FROM numbers(3)"), (500, 395));
    assert_eq!(store.post("/?nosetting=1", b"SELECT 1").code(), (404, "115"));
    assert_eq!(store.post("/?database=nowhere", b"SELECT 1").code(), (404, "81"));
    assert_eq!(store.post("/?default_format=JSON&max_result_rows=1", b"SELECT 1 UNION ALL SELECT 2").code().0, 500);

    // GET reads only.
    assert_eq!(store.get(&format!("/?query={}", encode("DROP TABLE ai_evidence.ai_findings"))).code().1, "164");
    assert_eq!(store.get(&format!("/?query={}", encode("INSERT INTO ai_findings VALUES (1)"))).code().1, "164");
    let undo = "DROP TABLE ai_evidence.ai_findings SETTINGS readonly = 0";
    assert_ne!(store.get(&format!("/?readonly=0&query={}", encode(undo))).status, 200);
    assert_eq!(store.post("/", b"SELECT count() FROM ai_findings").ok(), "0\n");

    // The official client reads the same codes.
    let error = store.client().command("SELECT * FROM nowhere").await.expect_err("no table");
    assert_eq!((error.kind, error.code), (ErrorKind::Rejected, Some(60)));
}

#[tokio::test]
async fn nothing_outside_the_database_can_be_reached() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let out = directory.path().join("out");
    let name = out.display();
    let denied = [
        "SELECT * FROM file('/etc/passwd', 'LineAsString')".to_owned(),
        "SELECT * FROM `/etc/passwd`".to_owned(),
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')".to_owned(),
        format!("SELECT 1 INTO OUTFILE '{name}'"),
        format!("SELECT 1 INTO OUTFILE '{name}' FORMAT CSV; SELECT ("),
        format!("SELECT 1 INTO/**/OUTFILE '{name}' )"),
        format!("INSERT INTO FUNCTION file('{name}') SELECT 1"),
        "INSERT INTO ai_findings FROM INFILE '/etc/passwd' FORMAT CSV".to_owned(),
        "CREATE TABLE ai_evidence.f (a String) ENGINE = File(CSV, '/etc/passwd')".to_owned(),
        "CREATE USER x".to_owned(),
        "CREATE DATABASE other".to_owned(),
        "SYSTEM SHUTDOWN".to_owned(),
        format!("BACKUP TABLE ai_evidence.ai_findings TO File('{name}')"),
        "WITH x AS (SELECT 1) INSERT INTO ai_findings SELECT * FROM x".to_owned(),
        "EXPLAIN AST INSERT INTO ai_findings FORMAT CSV 1\n\nDROP TABLE ai_findings".to_owned(),
        "DROP TABLE ai_evidence.ai_findings; SELECT (".to_owned(),
        "DROP TABLE ai_evidence.ai_findings PARALLEL WITH DROP TABLE ai_evidence.ai_payloads".to_owned(),
        "\u{a0}INSERT INTO ai_evidence.schema_migrations FORMAT JSONEachRow {}\n\nDROP TABLE ai_evidence.ai_findings"
            .to_owned(),
    ];
    for sql in &denied {
        let answer = store.post("/", sql.as_bytes());
        assert_ne!(answer.status, 200, "{sql}: {}", answer.text());
    }
    assert!(!out.exists());
    for word in ["exit", "quit", "\\q", "source /etc/passwd"] {
        assert_ne!(store.post("/", word.as_bytes()).status, 200, "{word}");
    }
    assert_eq!(store.post("/", b"SELECT throwIf(1) -- { serverError 395 }").code().1, "395");
    assert_eq!(store.post("/", b"SELECT count() FROM ai_findings").ok(), "0\n", "everything is still there");

    let from_a_page = http(store.address, "POST", "/", &[("Origin", "http://evil.example")], b"SELECT 1");
    assert_eq!(from_a_page.code(), (403, "516"));
    let rebound = http(store.address, "POST", "/", &[("Host", "evil.example")], b"SELECT 1");
    assert_eq!(rebound.code(), (403, "516"));
}

#[tokio::test]
async fn passwords_are_asked_for_where_one_is_set() {
    need_library!();
    let directory = temporary();
    let address = free_address();
    let password = Uuid::new_v4().to_string();
    let store = Store::spawn(directory.path(), address, &[(PASSWORD, &password)]);
    let target = |password: &str| StoreTarget {
        url: store.url(),
        database: "ai_evidence".into(),
        user: "default".into(),
        password: password.into(),
        ca_file: None,
    };
    let right = Client::new(&target(&password)).expect("client");
    observer::store::wait_until(&right, soon()).await.expect("right password");
    let wrong = Client::new(&target("wrong")).expect("client");
    let error = observer::store::wait_until(&wrong, soon()).await.expect_err("wrong password");
    assert_eq!((error.kind, error.code), (ErrorKind::Denied, Some(516)));
    assert_eq!(store.post("/", b"SELECT 1").code(), (403, "516"));
    assert_eq!(store.get("/ping").ok(), "Ok.\n");
}

#[tokio::test]
async fn results_are_the_same_streamed_and_compressed() {
    need_library!();
    let directory = temporary();
    let store = Store::start(directory.path()).await;
    let client = store.client();
    let rows = client.rows::<u64>("SELECT number FROM system.numbers LIMIT 300000").await.expect("rows");
    assert!(rows.iter().copied().eq(0..300_000), "header of later pieces is taken off");

    let sql = b"SELECT number, toString(number) FROM system.numbers LIMIT 100000 FORMAT Native";
    let plain = store.post("/", sql);
    let packed = store.post("/?compress=1", sql);
    assert_eq!((plain.status, packed.status), (200, 200));
    assert!(packed.body.len() < plain.body.len());
    // What the store compresses it can read: the same frames go back in.
    let create = b"CREATE TABLE ai_evidence.n (number UInt64, `toString(number)` String) ENGINE = MergeTree ORDER BY number";
    migrate(&client).await.expect("schema");
    store.post("/", create).ok();
    let into = format!("/?decompress=1&query={}", encode("INSERT INTO ai_evidence.n FORMAT Native"));
    store.post(&into, &packed.body).ok();
    assert_eq!(store.post("/", b"SELECT count(), sum(number) FROM ai_evidence.n").ok(), "100000\t4999950000\n");
    let mut damaged = packed.body;
    damaged[40] ^= 1;
    assert_eq!(store.post(&into, &damaged).code(), (400, "117"));

    let empty = store.post("/?default_format=Native", b"SELECT 1 AS a, 'x' AS b WHERE 0");
    assert_eq!(empty.body, b"\x02\x00\x01a\x05UInt8\x01b\x06String");
    let named = store.post("/", b"SELECT 1 AS a WHERE 0 FORMAT Native");
    assert_eq!(named.body, b"\x01\x00\x01a\x05UInt8");
    let hello = b"SELECT displayName(), version(), revision(), timezone()";
    let answer = store.post("/?client_protocol_version=54460&default_format=Native", hello);
    assert_eq!(&answer.body[..10], [1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 4, 1]);

    let failing = store.post("/", b"SELECT throwIf(number = 250000) FROM system.numbers LIMIT 300000 FORMAT RowBinary");
    let tag = failing.header("x-clickhouse-exception-tag").expect("tag").to_owned();
    assert_eq!(failing.status, 200, "the error comes behind the head");
    assert!(failing.text().ends_with(&format!(" {tag}\r\n__exception__\r\n")), "{tag}");
    assert!(failing.text().contains("Code: 395. DB::Exception"));
    let waited = b"SELECT throwIf(number = 250000) FROM system.numbers LIMIT 300000 FORMAT RowBinary";
    assert_eq!(store.post("/?wait_end_of_query=1", waited).code(), (500, "395"));
}

#[tokio::test]
async fn inserts_that_break_off_store_nothing() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    store.post("/", b"CREATE TABLE ai_evidence.t (a UInt64) ENGINE = MergeTree ORDER BY a").ok();
    let target = format!("/?query={}", encode("INSERT INTO ai_evidence.t FORMAT TSV"));
    let mut stream = TcpStream::connect(store.address).expect("connect");
    let head = format!("POST {target} HTTP/1.1\r\nHost: {}\r\nContent-Length: 1000\r\n\r\n1\n2\n3\n", store.address);
    stream.write_all(head.as_bytes()).expect("head");
    std::thread::sleep(Duration::from_millis(300));
    drop(stream);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(store.post("/", b"SELECT count() FROM ai_evidence.t").ok(), "0\n");
}

fn running(store: &Store) -> u32 {
    let sql = b"SELECT count() FROM system.processes WHERE query LIKE 'SELECT count() FROM system.numbers WHERE%'";
    store.post("/", sql).ok().trim().parse().expect("number")
}

#[tokio::test]
async fn queries_of_clients_that_leave_are_killed() {
    need_library!();
    let directory = temporary();
    let store = Store::start(directory.path()).await;
    let mut stream = TcpStream::connect(store.address).expect("connect");
    let sql = "SELECT count() FROM system.numbers WHERE sipHash64(number) = 1";
    let head = format!("POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{sql}", store.address, sql.len());
    stream.write_all(head.as_bytes()).expect("head");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(running(&store), 1, "runs for ever");
    drop(stream);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while running(&store) > 0 {
        assert!(std::time::Instant::now() < deadline, "still running");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn it_stops_on_a_signal_with_a_query_and_an_insert_running() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let mut query = TcpStream::connect(store.address).expect("connect");
    let sql = "SELECT count() FROM system.numbers WHERE sipHash64(number) = 1";
    let head = format!("POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{sql}", store.address, sql.len());
    query.write_all(head.as_bytes()).expect("head");
    let mut insert = TcpStream::connect(store.address).expect("connect");
    let into = encode("INSERT INTO ai_evidence.ai_findings (match_count) FORMAT TSV");
    let head = format!("POST /?query={into} HTTP/1.1\r\nHost: {}\r\nContent-Length: 99\r\n\r\n1\n", store.address);
    insert.write_all(head.as_bytes()).expect("head");
    std::thread::sleep(Duration::from_millis(500));
    let (code, time) = store.terminate();
    assert_eq!(code, Some(0));
    assert!(time < Duration::from_secs(4), "{time:?}");
    let store = Store::start(directory.path()).await;
    assert_eq!(store.post("/", b"SELECT count() FROM ai_findings").ok(), "0\n");
}

#[tokio::test]
async fn a_second_store_on_the_directory_says_who_has_it() {
    need_library!();
    let directory = temporary();
    let store = Store::start(directory.path()).await;
    let mut second = Store::spawn(directory.path(), free_address(), &[]);
    let mut said = String::new();
    second.child.stderr.take().expect("stderr").read_to_string(&mut said).expect("text");
    assert_eq!(second.child.wait().expect("ends").code(), Some(3));
    let expected = format!("in use by another observer store (pid {})", store.child.id());
    assert!(said.contains(&expected), "{said}");
}

#[tokio::test]
async fn it_ends_with_its_parent() {
    need_library!();
    let directory = temporary();
    let address = free_address();
    // A shell stands between, so that there is a parent to end.
    let mut shell = Command::new("sh")
        .args(["-c", &format!("{PARENT}=$$ \"$0\" --exact child --nocapture & wait")])
        .arg(std::env::current_exe().expect("test binary"))
        .env(DIRECTORY, directory.path())
        .env(ADDRESS, address.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("shell");
    wait_ready(&format!("http://{address}"), Instant::now() + Duration::from_secs(60)).await.expect("ready");
    shell.kill().expect("kill");
    shell.wait().expect("ends");
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_ok() {
        assert!(std::time::Instant::now() < deadline, "still there");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn rows_wait_for_a_store_that_comes_later() {
    need_library!();
    let directory = temporary();
    let address = free_address();
    let writer = Writer::start(client(format!("http://{address}")), quick());
    let mut sequencer = sequencer();
    for _ in 0..500 {
        writer.push(sequencer.interaction(interaction()));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(writer.stats().failures(ErrorKind::Unreachable) > 0);
    assert!(writer.lag() >= Duration::from_millis(250));
    let store = Store::start_at(directory.path(), address).await;
    migrate(&store.client()).await.expect("schema");
    assert!(writer.flush(soon()).await, "{:?}", writer.stats());
    assert_eq!((writer.stats().written(Table::Interactions), writer.stats().lost_total()), (500, 0));
    let numbers = store.client().rows::<u64>("SELECT rec_seq FROM ai_interactions ORDER BY rec_seq").await;
    assert!(numbers.expect("rows").into_iter().eq(1..=500));
}

#[tokio::test]
async fn a_killed_store_has_all_that_it_acknowledged() {
    need_library!();
    let directory = temporary();
    let address = free_address();
    let store = Store::start_at(directory.path(), address).await;
    migrate(&store.client()).await.expect("schema");
    let options = WriterOptions { batch_rows: 50, budget_bytes: 8 << 20, ..quick() };
    let writer = Writer::start(store.client(), options);
    let (stats, mut sequencer) = (writer.stats(), sequencer());
    let mut push = |count: u32| (0..count).for_each(|_| writer.push(sequencer.finding(finding(&interaction()))));
    while stats.written(Table::Findings) < 500 {
        push(100);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    store.signal("KILL");
    drop(store);
    let acknowledged = stats.written(Table::Findings);
    push(20_000);
    let over = stats.lost(Table::Findings, LossReason::OverBudget);
    assert!(over > 0, "the budget is full");

    let store = Store::start_at(directory.path(), address).await;
    let stored = store.client().rows::<u64>("SELECT count() FROM ai_findings").await.expect("count")[0];
    assert!(stored >= acknowledged, "{stored} of {acknowledged} acknowledged");
    assert!(writer.flush(Instant::now() + Duration::from_secs(60)).await, "{stats:?}");
    let pushed = stats.pushed(Table::Findings);
    assert_eq!(stats.written(Table::Findings) + stats.lost_total(), pushed);
    let sql = "SELECT count(), uniqExact(rec_seq) FROM ai_findings";
    let (rows, different) = store.client().rows::<(u64, u64)>(sql).await.expect("count")[0];
    assert_eq!(rows, different, "a batch sent again is stored once");
    assert_eq!(rows, stats.written(Table::Findings));
}
