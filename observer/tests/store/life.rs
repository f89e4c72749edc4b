//! Clients that leave, signals, parents and second stores.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use observer::store::wait_ready;
use tokio::time::Instant;

use crate::support::*;

#[tokio::test]
async fn inserts_that_break_off_store_nothing() {
    need_library!();
    let directory = temporary();
    let store = Store::migrated(directory.path()).await;
    store
        .post(
            "/",
            b"CREATE TABLE ai_evidence.t (a UInt64) ENGINE = MergeTree ORDER BY a",
        )
        .ok();
    let target = format!("/?query={}", encode("INSERT INTO ai_evidence.t FORMAT TSV"));
    let mut stream = TcpStream::connect(store.address).expect("connect");
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: {}\r\nContent-Length: 1000\r\n\r\n1\n2\n3\n",
        store.address
    );
    stream.write_all(head.as_bytes()).expect("head");
    std::thread::sleep(Duration::from_millis(300));
    drop(stream);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(store.post("/", b"SELECT count() FROM ai_evidence.t").ok(), "0\n");
}

fn running(store: &Store) -> u32 {
    let sql =
        b"SELECT count() FROM system.processes WHERE query LIKE 'SELECT count() FROM system.numbers WHERE%'";
    store.post("/", sql).ok().trim().parse().expect("number")
}

#[tokio::test]
async fn queries_of_clients_that_leave_are_killed() {
    need_library!();
    let directory = temporary();
    let store = Store::start(directory.path()).await;
    let mut stream = TcpStream::connect(store.address).expect("connect");
    let sql = "SELECT count() FROM system.numbers WHERE sipHash64(number) = 1";
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{sql}",
        store.address,
        sql.len()
    );
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
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{sql}",
        store.address,
        sql.len()
    );
    query.write_all(head.as_bytes()).expect("head");
    let mut insert = TcpStream::connect(store.address).expect("connect");
    let into = encode("INSERT INTO ai_evidence.ai_findings (match_count) FORMAT TSV");
    let head = format!(
        "POST /?query={into} HTTP/1.1\r\nHost: {}\r\nContent-Length: 99\r\n\r\n1\n",
        store.address
    );
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
    second
        .child
        .stderr
        .take()
        .expect("stderr")
        .read_to_string(&mut said)
        .expect("text");
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
        .args([
            "-c",
            &format!("{PARENT}=$$ \"$0\" --exact child --nocapture & wait"),
        ])
        .arg(std::env::current_exe().expect("test binary"))
        .env(DIRECTORY, directory.path())
        .env(ADDRESS, address.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("shell");
    wait_ready(
        &format!("http://{address}"),
        Instant::now() + Duration::from_secs(60),
    )
    .await
    .expect("ready");
    shell.kill().expect("kill");
    shell.wait().expect("ends");
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_ok() {
        assert!(std::time::Instant::now() < deadline, "still there");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn a_relative_directory_works() {
    need_library!();
    let directory = temporary();
    // From the working directory up to the root, and down to the directory.
    let here = std::env::current_dir().expect("working directory");
    let up = "../".repeat(here.components().count() - 1);
    let relative = std::path::PathBuf::from(up).join(directory.path().strip_prefix("/").expect("absolute"));
    let store = Store::migrated(&relative).await;
    store
        .post(
            "/",
            b"CREATE TABLE ai_evidence.t (a UInt64) ENGINE = MergeTree ORDER BY a",
        )
        .ok();
    store.post("/", b"INSERT INTO ai_evidence.t VALUES (7)").ok();
    assert_eq!(store.post("/", b"SELECT a FROM ai_evidence.t").ok(), "7\n");
}
