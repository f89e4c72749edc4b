use super::*;
use crate::evidence::{ConnectionRow, FindingRow, InteractionRow, Sequencer};
use crate::spool::{LossReason, SpoolOptions};
use crate::store::StoreTarget;
use axum::Router;
use axum::http::StatusCode;
use uuid::Uuid;

fn client(url: String) -> Client {
    let target = StoreTarget {
        url,
        database: "d".into(),
        user: String::new(),
        password: String::new(),
        ca_file: None,
    };
    Client::new(&target).expect("client")
}

fn writer(url: String) -> Writer {
    let options = WriterOptions {
        min_pause: Duration::from_millis(2),
        max_pause: Duration::from_millis(10),
    };
    writer_with(url, options)
}

fn writer_with(url: String, options: WriterOptions) -> Writer {
    let spool = Spool::in_memory(SpoolOptions {
        segment_rows: 10,
        segment_age: Duration::from_millis(20),
        ..SpoolOptions::default()
    });
    Writer::start(client(url), Arc::new(spool.expect("spool")), options)
}

fn sequencer() -> Sequencer {
    Sequencer::new("h", Uuid::nil(), 1)
}

/// A server that answers every request so.
async fn server(status: StatusCode, text: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    let app = Router::new().fallback(move || async move { (status, text) });
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

#[tokio::test]
async fn a_store_that_is_not_there_is_asked_again() {
    let writer = writer("http://127.0.0.1:1".into());
    writer.spool().push(sequencer().finding(FindingRow::unknown()));
    assert!(!writer.flush(Instant::now() + Duration::from_millis(200)).await);
    assert!(writer.failures(ErrorKind::Unreachable) > 1);
    assert_eq!(writer.last_error(), Some(ErrorKind::Unreachable));
    assert_eq!(
        (writer.spool().book().pending, writer.spool().book().lost),
        (1, 0)
    );
}

#[tokio::test]
async fn the_end_does_not_wait_for_a_pause_to_be_over() {
    let pause = Duration::from_secs(60);
    let writer = writer_with(
        "http://127.0.0.1:1".into(),
        WriterOptions {
            min_pause: pause,
            max_pause: pause,
        },
    );
    writer.spool().push(sequencer().finding(FindingRow::unknown()));
    while writer.failures(ErrorKind::Unreachable) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!writer.flush(Instant::now() + Duration::from_millis(700)).await);
    // Woken once, and not tired afterwards.
    assert!(writer.failures(ErrorKind::Unreachable) >= 3);
}

#[tokio::test]
async fn rows_that_never_fit_are_given_up() {
    let url = server(
        StatusCode::NOT_FOUND,
        "Code: 16. DB::Exception: No such column. (NO_SUCH_COLUMN_IN_TABLE)",
    )
    .await;
    let writer = writer(url);
    let mut seq = sequencer();
    for _ in 0..3 {
        writer.spool().push(seq.connection(ConnectionRow::unknown()));
    }
    assert!(writer.flush(Instant::now() + Duration::from_secs(10)).await);
    let stats = writer.spool().stats();
    assert_eq!(stats.lost(Table::Connections, LossReason::Rejected), 3);
    assert_eq!(writer.failures(ErrorKind::Rejected), u64::from(MAX_REFUSALS));
    assert_eq!(writer.spool().undeclared()[0].lost_records, 3);
}

#[tokio::test]
async fn a_store_that_is_busy_without_tables_or_without_a_shard_is_asked_again_without_giving_up() {
    for text in [
        "Code: 241. DB::Exception: memory",
        "Code: 60. DB::Exception: Unknown table",
        "Code: 279. DB::NetException: All connection tries failed. (ALL_CONNECTION_TRIES_FAILED)",
    ] {
        let writer = writer(server(StatusCode::INTERNAL_SERVER_ERROR, text).await);
        writer
            .spool()
            .push(sequencer().interaction(InteractionRow::unknown()));
        assert!(!writer.flush(Instant::now() + Duration::from_millis(800)).await);
        assert!(
            writer.failures(ErrorKind::Busy) > u64::from(MAX_REFUSALS),
            "{text}"
        );
        assert_eq!(writer.spool().book().lost, 0);
    }
}

#[tokio::test]
async fn an_answer_to_an_insert_means_stored_whatever_server_and_table_are() {
    let (heard, mut uris) = tokio::sync::mpsc::unbounded_channel();
    let app = Router::new().fallback(move |uri: axum::http::Uri, _rows: axum::body::Bytes| async move {
        heard.send(uri.to_string()).expect("the test listens");
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let row = sequencer().finding(FindingRow::unknown());
    // Without the columns, for which it would ask first.
    client(url)
        .insert_unchecked(FindingRow::TABLE, &[&row])
        .await
        .expect("taken");
    let uri = uris.recv().await.expect("a request");
    for setting in ["async_insert=0", "insert_distributed_sync=1"] {
        assert!(uri.contains(setting), "{uri}");
    }
}

#[test]
fn tokens_tell_batches_apart() {
    let mut seq = sequencer();
    let rows: Vec<Row> = (0..4)
        .map(|_| seq.finding(FindingRow::unknown()).into())
        .collect();
    let of = |rows: &[Row]| token(Table::Findings, rows);
    let tokens = [&rows[..2], &rows[2..], &rows[..], &rows[..3]].map(of);
    for (i, a) in tokens.iter().enumerate() {
        assert!(tokens[i + 1..].iter().all(|b| a != b));
    }
    assert_eq!(of(&rows), of(&rows));
}
