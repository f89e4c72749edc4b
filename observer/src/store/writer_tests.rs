use super::*;
use crate::evidence::Sequencer;
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

fn options() -> WriterOptions {
    WriterOptions {
        batch_rows: 10,
        batch_age: Duration::from_millis(20),
        min_pause: Duration::from_millis(2),
        max_pause: Duration::from_millis(10),
        ..WriterOptions::default()
    }
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
async fn beyond_the_budget_oldest_batches_go_and_are_counted() {
    let row_size = size_of_row(&sequencer().finding(FindingRow::unknown()).into());
    let options = WriterOptions {
        budget_bytes: row_size * 55,
        ..options()
    };
    let writer = Writer::start(client("http://127.0.0.1:1".into()), options);
    let (stats, mut seq) = (writer.stats(), sequencer());
    for _ in 0..200 {
        writer.push(seq.finding(FindingRow::unknown()));
    }
    let lost = stats.lost(Table::Findings, LossReason::OverBudget);
    assert!((140..=200).contains(&lost), "{lost}");
    assert!(
        stats.pending_bytes() <= (row_size * 60) as u64,
        "{}",
        stats.pending_bytes()
    );
    assert!(writer.lag() > Duration::ZERO);

    let left = writer.drain(Instant::now() + Duration::from_millis(200)).await;
    assert_eq!(left, stats.lost(Table::Findings, LossReason::Shutdown));
    assert_eq!(stats.pushed(Table::Findings), 200);
    assert_eq!(stats.lost_total(), 200, "every row is accounted for");
    assert!(stats.failures(ErrorKind::Unreachable) > 0);
    assert_eq!(stats.last_error(), Some(ErrorKind::Unreachable));
    assert_eq!(stats.pending_bytes(), 0);
}

#[tokio::test]
async fn a_batch_that_never_fits_is_given_up() {
    let url = server(
        StatusCode::NOT_FOUND,
        "Code: 60. DB::Exception: Unknown table. (UNKNOWN_TABLE)",
    )
    .await;
    let writer = Writer::start(client(url), options());
    let (stats, mut seq) = (writer.stats(), sequencer());
    for _ in 0..3 {
        writer.push(seq.connection(ConnectionRow::unknown()));
    }
    assert!(writer.flush(Instant::now() + Duration::from_secs(10)).await);
    assert_eq!(stats.lost(Table::Connections, LossReason::Rejected), 3);
    assert_eq!(stats.failures(ErrorKind::Rejected), u64::from(MAX_REFUSALS));
}

#[tokio::test]
async fn a_busy_store_is_asked_again_without_giving_up() {
    let url = server(
        StatusCode::INTERNAL_SERVER_ERROR,
        "Code: 241. DB::Exception: memory",
    )
    .await;
    let writer = Writer::start(client(url), options());
    let (stats, mut seq) = (writer.stats(), sequencer());
    writer.push(seq.interaction(InteractionRow::unknown()));
    assert!(!writer.flush(Instant::now() + Duration::from_millis(400)).await);
    assert!(stats.failures(ErrorKind::Busy) > u64::from(MAX_REFUSALS));
    assert_eq!(stats.lost_total(), 0);
}

#[tokio::test]
async fn rows_pushed_after_the_end_are_counted() {
    let writer = Writer::start(client("http://127.0.0.1:1".into()), options());
    let stats = writer.stats();
    writer.stop();
    writer.push(sequencer().finding(FindingRow::unknown()));
    assert_eq!(stats.lost(Table::Findings, LossReason::Shutdown), 1);
}

#[test]
fn tokens_tell_batches_apart() {
    let mut seq = sequencer();
    let rows: Vec<Row> = (0..4)
        .map(|_| seq.finding(FindingRow::unknown()).into())
        .collect();
    let batch = |rows: &[Row]| Batch {
        table: Table::Findings,
        rows: rows.to_vec(),
        bytes: 0,
        first_at: Instant::now(),
    };
    let tokens = [&rows[..2], &rows[2..], &rows[..], &rows[..3]].map(|rows| token(&batch(rows)));
    for (i, a) in tokens.iter().enumerate() {
        assert!(tokens[i + 1..].iter().all(|b| a != b));
    }
    assert_eq!(token(&batch(&rows)), token(&batch(&rows)));
}
