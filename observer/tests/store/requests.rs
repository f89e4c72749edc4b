//! Requests, answers and refusals.

use observer::store::{Client, ErrorKind, StoreTarget};
use uuid::Uuid;

use crate::support::*;

#[tokio::test]
async fn requests_as_curl_and_others_send_them() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    assert_eq!(store.get("/ping").ok(), "Ok.\n");
    assert_eq!(store.get("/replicas_status").ok(), "Ok.\n");
    assert_eq!(store.get("/").ok(), "Ok.\n");
    assert_eq!(store.get("/nowhere").status, 404);
    assert_eq!(
        store.get(&format!("/?query={}", encode("SELECT 1 + 1"))).ok(),
        "2\n"
    );
    assert_eq!(store.post("/?query=SELECT", b" 3").ok(), "3\n");
    assert_eq!(store.post("/", b"").ok(), "");

    let answer = store.post(
        "/?query_id=abc&default_format=JSONEachRow&max_threads=1",
        b"SELECT 1 AS a",
    );
    assert_eq!(answer.header("x-clickhouse-query-id"), Some("abc"));
    assert_eq!(answer.header("x-clickhouse-format"), Some("JSONEachRow"));
    assert!(
        answer
            .header("content-type")
            .is_some_and(|t| t.contains("ndjson")),
        "{}",
        answer.head
    );
    assert!(
        answer
            .header("x-clickhouse-summary")
            .is_some_and(|s| s.contains("\"read_rows\":\"")),
        "{}",
        answer.head
    );
    assert_eq!(answer.ok(), "{\"a\":1}\n");

    let create = "CREATE TABLE t (a UInt64, s String) ENGINE = MergeTree ORDER BY a";
    store.post("/?database=ai_evidence", create.as_bytes()).ok();
    let insert = |target: &str, body: &[u8]| store.post(target, body).ok();
    insert("/", b"INSERT INTO t VALUES (1, 'one;'), (2, 'two');");
    insert(
        &format!("/?query={}", encode("INSERT INTO t FORMAT JSONEachRow")),
        b"{\"a\":3,\"s\":\"x\"}\n\n{\"a\":4}\n",
    );
    insert("/", b"INSERT INTO ai_evidence.t FORMAT CSV\n5,\"a\n\nb\"\n");
    insert(
        &format!(
            "/?query={}&param_x=6",
            encode("INSERT INTO t VALUES ({x:UInt64}, 'p')")
        ),
        b"",
    );
    insert(&format!("/?query={}", encode("INSERT INTO t")), b"(7, 'v')");
    insert("/", b"INSERT INTO t SELECT 8, 's'");
    assert_eq!(
        insert("/", b"SELECT groupArray(a) FROM (SELECT a FROM t ORDER BY a)"),
        "[1,2,3,4,5,6,7,8]\n"
    );
    assert_eq!(
        insert("/", b"SELECT s FROM t WHERE a = 5 FORMAT JSONCompactEachRow"),
        "[\"a\\n\\nb\"]\n"
    );
}

#[tokio::test]
async fn forms_encodings_headers_and_formats() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let form = b"--b\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT {p:String}, {q:Array(UInt8)}\r\n\
        --b\r\nContent-Disposition: form-data; name=\"param_p\"\r\n\r\nit's\r\n\
        --b\r\nContent-Disposition: form-data; name=\"param_q\"\r\n\r\n[1,2]\r\n--b--\r\n";
    let multipart = [("Content-Type", "multipart/form-data; boundary=b")];
    assert_eq!(
        http(store.address, "POST", "/", &multipart, form).ok(),
        "it\\'s\t[1,2]\n"
    );

    let packed = zstd::encode_all(&b"SELECT 'zstd'"[..], 1).expect("zstd");
    assert_eq!(
        http(
            store.address,
            "POST",
            "/",
            &[("Content-Encoding", "zstd")],
            &packed
        )
        .ok(),
        "zstd\n"
    );
    for format in [
        "JSON",
        "Parquet",
        "Arrow",
        "XML",
        "CSVWithNames",
        "Pretty",
        "Native",
    ] {
        let answer = store.post(
            "/",
            format!("SELECT number AS a, toString(number) AS s FROM numbers(8) FORMAT {format}").as_bytes(),
        );
        assert!(
            answer.status == 200 && answer.body.len() > 30,
            "{format}: {}",
            answer.text()
        );
    }
    let headers = [
        ("X-ClickHouse-Database", "system"),
        ("X-ClickHouse-Format", "CSV"),
    ];
    let answer = http(store.address, "POST", "/", &headers, b"SELECT currentDatabase()");
    assert_eq!(answer.ok(), "\"system\"\n");
    assert_eq!(
        store
            .post("/", b"SHOW TABLES FROM ai_evidence LIKE 'v_seals'")
            .ok(),
        "v_seals\n"
    );
}

#[tokio::test]
async fn errors_have_the_servers_codes_and_statuses() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let code = |sql: &str| {
        let answer = store.post("/", sql.as_bytes());
        let (status, code) = answer.code();
        assert!(
            answer
                .text()
                .starts_with(&format!("Code: {code}. DB::Exception: ")),
            "{sql}: {}",
            answer.text()
        );
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
    assert_eq!(
        code("INSERT INTO ai_findings (match_count) FORMAT JSONEachRow {broken"),
        (400, 26)
    );
    assert_eq!(
        code("SELECT sleep(3) SETTINGS max_execution_time = 1, timeout_overflow_mode = 'throw'"),
        (408, 159)
    );
    assert_eq!(code("SELECT throwIf(number = 2) FROM numbers(3)"), (500, 395));
    assert_eq!(store.post("/?nosetting=1", b"SELECT 1").code(), (404, "115"));
    // A server says 81 where the grants let it say whether the database exists.
    assert_eq!(store.post("/?database=nowhere", b"SELECT 1").code(), (403, "497"));
    let many = b"SELECT number FROM system.numbers LIMIT 10 FORMAT JSON";
    assert_eq!(store.post("/?max_result_rows=5", many).code(), (500, "396"));

    // GET reads only.
    assert_eq!(
        store
            .get(&format!(
                "/?query={}",
                encode("DROP TABLE ai_evidence.ai_findings")
            ))
            .code()
            .1,
        "164"
    );
    assert_eq!(
        store
            .get(&format!(
                "/?query={}",
                encode("INSERT INTO ai_findings VALUES (1)")
            ))
            .code()
            .1,
        "164"
    );
    let undo = "DROP TABLE ai_evidence.ai_findings SETTINGS readonly = 0";
    assert_ne!(
        store.get(&format!("/?readonly=0&query={}", encode(undo))).status,
        200
    );
    assert_eq!(store.post("/", b"SELECT count() FROM ai_findings").ok(), "0\n");

    // The official client reads the same codes.
    let error = store
        .client()
        .command("SELECT * FROM nowhere")
        .await
        .expect_err("no table");
    assert_eq!((error.kind, error.code), (ErrorKind::Busy, Some(60)));
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
    assert_eq!(
        store
            .post("/", b"SELECT throwIf(1) -- { serverError 395 }")
            .code()
            .1,
        "395"
    );
    assert_eq!(
        store.post("/", b"SELECT count() FROM ai_findings").ok(),
        "0\n",
        "everything is still there"
    );

    let from_a_page = http(
        store.address,
        "POST",
        "/",
        &[("Origin", "http://evil.example")],
        b"SELECT 1",
    );
    assert_eq!(from_a_page.code(), (403, "516"));
    let rebound = http(
        store.address,
        "POST",
        "/",
        &[("Host", "evil.example")],
        b"SELECT 1",
    );
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
    observer::store::wait_until(&right, soon())
        .await
        .expect("right password");
    let wrong = Client::new(&target("wrong")).expect("client");
    let error = observer::store::wait_until(&wrong, soon())
        .await
        .expect_err("wrong password");
    assert_eq!((error.kind, error.code), (ErrorKind::Denied, Some(516)));
    assert_eq!(store.post("/", b"SELECT 1").code(), (403, "516"));
    assert_eq!(store.get("/ping").ok(), "Ok.\n");
}

#[tokio::test]
async fn results_are_the_same_streamed_and_compressed() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    let client = store.client();
    let rows = client
        .rows::<u64>("SELECT number FROM system.numbers LIMIT 300000")
        .await
        .expect("rows");
    assert!(
        rows.iter().copied().eq(0..300_000),
        "header of later pieces is taken off"
    );

    let sql = b"SELECT number, toString(number) FROM system.numbers LIMIT 100000 FORMAT Native";
    let plain = store.post("/", sql);
    let packed = store.post("/?compress=1", sql);
    assert_eq!((plain.status, packed.status), (200, 200));
    assert!(packed.body.len() < plain.body.len());
    // What the store compresses it can read: the same frames go back in.
    let create = b"CREATE TABLE ai_evidence.n (number UInt64, `toString(number)` String) ENGINE = MergeTree ORDER BY number";
    store.post("/", create).ok();
    let into = format!(
        "/?decompress=1&query={}",
        encode("INSERT INTO ai_evidence.n FORMAT Native")
    );
    store.post(&into, &packed.body).ok();
    assert_eq!(
        store
            .post("/", b"SELECT count(), sum(number) FROM ai_evidence.n")
            .ok(),
        "100000\t4999950000\n"
    );
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

    let failing = store.post(
        "/",
        b"SELECT throwIf(number = 20000000) FROM system.numbers LIMIT 30000000 FORMAT RowBinary",
    );
    let tag = failing
        .header("x-clickhouse-exception-tag")
        .expect("tag")
        .to_owned();
    assert_eq!(failing.status, 200, "the error comes behind the head");
    assert!(
        failing.text().ends_with(&format!(" {tag}\r\n__exception__\r\n")),
        "{tag}"
    );
    assert!(failing.text().contains("Code: 395. DB::Exception"));
    let waited = b"SELECT throwIf(number = 20000000) FROM system.numbers LIMIT 30000000 FORMAT RowBinary";
    assert_eq!(store.post("/?wait_end_of_query=1", waited).code(), (500, "395"));
}
