use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use uuid::Uuid;

use super::*;
use crate::evidence::{Coverage, FindingRow, InteractionRow, Interval, SealKind, SealRow, Sequencer};

fn options(directory: &Path) -> SpoolOptions {
    SpoolOptions {
        directory: Some(directory.to_owned()),
        segment_age: Duration::from_millis(20),
        segment_rows: 10,
        ..SpoolOptions::default()
    }
}

fn sequencer(epoch: u64) -> Sequencer {
    Sequencer::new("h", Uuid::from_u128(1), epoch)
}

fn seal(sequencer: &mut Sequencer) -> SealRow {
    let interval = Interval {
        start: 1,
        end: 2,
        mono_start_ns: 1,
        mono_end_ns: 2,
    };
    sequencer.seal(SealKind::Interval, interval, Coverage::default())
}

fn started(options: SpoolOptions) -> Spool {
    let (spool, _) = Spool::open(options).expect("spool");
    spool.start(None).expect("thread");
    spool
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// Takes everything that waits, as a store that confirms all of it.
async fn take_all(spool: &Spool) -> Vec<Row> {
    let mut rows = Vec::new();
    while spool.book().pending > 0 {
        let mut batch = tokio::time::timeout_at(soon(), spool.next()).await.expect("rows");
        for table in Table::ALL {
            rows.extend(batch.rows(table).to_vec());
            spool.stored(&mut batch, table);
        }
        spool.over(batch);
    }
    rows
}

fn numbers(rows: &[Row]) -> Vec<u64> {
    rows.iter().map(|row| row.place().2).collect()
}

fn files(path: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).expect("directory");
    let mut found: Vec<_> = entries.map(|entry| entry.expect("entry").path()).collect();
    found.retain(|path| path.to_string_lossy().ends_with(ending));
    found.sort();
    found
}

/// Waits until everything that was pushed is on disk.
async fn on_disk(spool: &Spool) {
    let deadline = soon();
    while spool.is_writing() {
        assert!(Instant::now() < deadline, "not written");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn assert_balanced(spool: &Spool) {
    let (book, stats) = (spool.book(), spool.stats());
    let pushed: u64 = Table::ALL.iter().map(|table| stats.pushed(*table)).sum();
    assert_eq!(
        pushed + book.recovered,
        book.stored + book.lost + book.pending,
        "{book:?}"
    );
}

#[tokio::test]
async fn rows_come_out_in_order_and_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let spool = started(options(&path));
    let mut seq = sequencer(1);
    for _ in 0..95 {
        spool.push(seq.finding(FindingRow::unknown()));
    }
    assert!(spool.lag() > Duration::ZERO);
    let rows = take_all(&spool).await;
    assert!(numbers(&rows).into_iter().eq(1..=95));
    assert!(spool.flush(soon()).await);
    assert_eq!(spool.lag(), Duration::ZERO);
    assert_balanced(&spool);
    spool.stop();
    assert_eq!(files(&path, ".seg"), Vec::<PathBuf>::new());
    assert_eq!(
        (spool.stats().disk_bytes(), spool.stats().pending_bytes()),
        (0, 0)
    );
}

#[tokio::test]
async fn what_was_closed_survives_and_is_delivered_before_what_is_new() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let spool = started(options(&path));
    let mut seq = sequencer(1);
    for _ in 0..25 {
        spool.push(seq.finding(FindingRow::unknown()));
    }
    spool.push(seal(&mut seq));
    let (lost, left) = spool.stop();
    assert_eq!((lost, left), (0, 26));
    drop(spool);

    let (spool, newest) = Spool::open(options(&path)).unwrap();
    assert_eq!(newest.map(|head| head.link.seal_seq), Some(1));
    assert_eq!(spool.book().recovered, 26);
    spool.start(None).unwrap();
    let mut seq = sequencer(2);
    spool.push(seq.finding(FindingRow::unknown()));
    let rows = take_all(&spool).await;
    let places: Vec<(u64, u64)> = rows
        .iter()
        .filter(|row| row.table() == Table::Findings)
        .map(|row| (row.place().1, row.place().2))
        .collect();
    let expected = (1..=25).map(|n| (1, n)).chain([(2, 1)]);
    assert!(places.into_iter().eq(expected));
    assert_balanced(&spool);
}

#[tokio::test]
async fn a_batch_that_was_not_confirmed_comes_again_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let spool = started(options(&path));
    let mut seq = sequencer(1);
    for _ in 0..10 {
        spool.push(seq.finding(FindingRow::unknown()));
    }
    let batch = tokio::time::timeout_at(soon(), spool.next()).await.unwrap();
    assert_eq!(batch.rows(Table::Findings).len(), 10);
    // The store has it, and the daemon is killed before it hears so.
    drop(batch);
    spool.stop();
    drop(spool);
    let spool = started(options(&path));
    assert!(numbers(&take_all(&spool).await).into_iter().eq(1..=10));
}

#[tokio::test]
async fn a_row_that_is_too_long_is_lost_by_name_and_the_others_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let spool = started(options(&path));
    let mut seq = sequencer(1);
    seq.sign_with(crate::evidence::Signer::from_seed(&[3; 32]));
    let long = format::tests::long_seal(&mut seq, format::MAX_ROW);
    assert_eq!(spool.push_sized(long), 0);
    assert_eq!(spool.book().pending, 0);
    assert!(spool.push_sized(seq.finding(FindingRow::unknown()).into()) > 0);
    spool.push(format::tests::long_seal(&mut seq, 1_000));
    assert_eq!(spool.stats().lost(Table::Seals, LossReason::TooLong), 1);
    let lost = Range {
        chain_epoch: 1,
        seals: (1, 1),
        lost_seals: 1,
        ..Range::unknown(LossReason::TooLong)
    };
    assert_eq!(spool.undeclared(), [lost]);
    assert_balanced(&spool);
    assert_eq!(take_all(&spool).await.len(), 2);
}

#[tokio::test]
async fn a_full_budget_gives_up_the_oldest_segments_and_seals_say_which() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let mut probe = format::Builder::new(1);
    let mut seq = sequencer(1);
    (0..10).for_each(|_| {
        probe.push(&seq.finding(FindingRow::unknown()).into());
    });
    let segment = probe.len() as u64;
    let limited = SpoolOptions {
        max_bytes: segment * 39 / 10,
        ..options(&path)
    };
    let spool = started(limited.clone());
    let mut seq = sequencer(1);
    for _ in 0..8 {
        for _ in 0..10 {
            spool.push(seq.finding(FindingRow::unknown()));
        }
        on_disk(&spool).await;
    }
    assert!(spool.stats().disk_bytes() <= limited.max_bytes);
    assert_eq!(files(&path, ".seg").len(), 3);
    assert_eq!(spool.stats().lost(Table::Findings, LossReason::OverBudget), 50);
    let lost = Range {
        chain_epoch: 1,
        records: (1, 50),
        lost_records: 50,
        ..Range::unknown(LossReason::OverBudget)
    };
    assert_eq!(spool.undeclared(), [lost]);
    assert_balanced(&spool);
    spool.stop();
    drop(spool);

    // The next start still says it, until a seal that does is stored.
    let spool = started(limited);
    assert_eq!(spool.undeclared(), [lost]);
    let mut seq = sequencer(2);
    let interval = Interval {
        start: 1,
        end: 2,
        mono_start_ns: 1,
        mono_end_ns: 2,
    };
    let coverage = Coverage {
        dropped: spool
            .undeclared()
            .iter()
            .map(crate::evidence::Dropped::from)
            .collect(),
        ..Coverage::default()
    };
    spool.push(seq.seal(SealKind::Open, interval, coverage));
    let rows = take_all(&spool).await;
    assert!(numbers(&rows)[..30].iter().copied().eq(51..=80));
    assert_eq!(spool.undeclared(), []);
    spool.stop();
    drop(spool);
    assert_eq!(started(options(&path)).undeclared(), []);
}

#[tokio::test]
async fn a_burst_larger_than_the_budget_is_on_disk_or_declared() {
    let dir = tempfile::tempdir().unwrap();
    let small = SpoolOptions {
        max_bytes: 64 << 10,
        segment_rows: 10_000,
        ..options(&dir.path().join("spool"))
    };
    let spool = started(small);
    let mut seq = sequencer(1);
    spool.push(seq.finding(FindingRow::unknown()));
    // A store that does not answer holds what is on its way.
    let _held = tokio::time::timeout_at(soon(), spool.next()).await.expect("rows");
    for _ in 0..2_000 {
        spool.push(seq.finding(FindingRow::unknown()));
    }
    on_disk(&spool).await;
    let declared: u64 = spool.undeclared().iter().map(|range| range.lost_records).sum();
    assert!(declared > 1_000, "{declared}");
    // Nothing was in memory only, where a kill would have taken it.
    assert_eq!(spool.stop(), (0, 2_001 - declared));
}

#[tokio::test]
async fn a_disk_that_takes_nothing_leaves_rows_in_memory_and_gets_them_later() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let spool = started(options(&path));
    // Not even root can write into a directory that is gone.
    let away = dir.path().join("away");
    fs::rename(&path, &away).unwrap();
    let mut seq = sequencer(1);
    for _ in 0..10 {
        spool.push(seq.finding(FindingRow::unknown()));
    }
    on_disk(&spool).await;
    assert!(spool.stats().disk_failures() > 0);
    assert_eq!(spool.take_notes(), ["spool_not_on_disk"]);
    assert_eq!(spool.take_notes(), Vec::<&str>::new());
    assert_eq!(spool.book().lost, 0);
    fs::rename(&away, &path).unwrap();
    let deadline = soon();
    while files(&path, ".seg").is_empty() {
        assert!(Instant::now() < deadline, "never written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(numbers(&take_all(&spool).await).into_iter().eq(1..=10));
    spool.stop();
    assert_eq!(files(&path, ".seg").len(), 0);
}

#[tokio::test]
async fn without_a_disk_memory_is_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let limited = SpoolOptions {
        memory_bytes: 20_000,
        ..options(&path)
    };
    let spool = started(limited);
    fs::rename(&path, dir.path().join("away")).unwrap();
    let mut seq = sequencer(1);
    for _ in 0..500 {
        spool.push(seq.finding(FindingRow::unknown()));
    }
    on_disk(&spool).await;
    assert!(
        spool.stats().pending_bytes() <= 20_000,
        "{}",
        spool.stats().pending_bytes()
    );
    let lost = spool.stats().lost(Table::Findings, LossReason::OverBudget);
    assert!(lost > 300 && spool.book().pending == 500 - lost, "{lost}");
    let declared: u64 = spool.undeclared().iter().map(|range| range.lost_records).sum();
    assert_eq!(declared, lost);
    let (at_end, left) = spool.stop();
    assert_eq!((at_end, left), (500 - lost, 0));
    assert_balanced(&spool);
}

#[tokio::test]
async fn damage_on_disk_costs_what_stands_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let spool = started(options(&path));
    let mut seq = sequencer(1);
    for _ in 0..30 {
        spool.push(seq.finding(FindingRow::unknown()));
    }
    spool.stop();
    drop(spool);
    let segments = files(&path, ".seg");
    // The second: its last row. The third: cut to nothing.
    let mut bytes = fs::read(&segments[1]).unwrap();
    let last = bytes.len() - 10;
    bytes[last] ^= 1;
    fs::write(&segments[1], bytes).unwrap();
    fs::write(&segments[2], b"").unwrap();

    let spool = started(options(&path));
    let rows = take_all(&spool).await;
    assert!(numbers(&rows).into_iter().eq(1..=19));
    assert_eq!(spool.stats().lost(Table::Findings, LossReason::Damaged), 1);
    let ranges = spool.undeclared();
    assert_eq!(
        ranges[0],
        Range::unknown(LossReason::Damaged),
        "of the third nothing is known"
    );
    assert_eq!((ranges[1].records, ranges[1].lost_records), ((20, 20), 1));
    assert_eq!(files(&path, ".damaged").len(), 2);
    assert_balanced(&spool);
}

#[test]
fn a_newer_spool_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let spool = started(options(&path));
    spool.push(sequencer(1).finding(FindingRow::unknown()));
    spool.stop();
    drop(spool);
    let segment = files(&path, ".seg").remove(0);
    let newer = segment.with_file_name("0000000000000009.seg");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[8] = 2;
    bytes[100] ^= 1;
    fs::write(&newer, &bytes).unwrap();
    fs::set_permissions(&newer, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(path.join("0000000000000010.seg.tmp"), b"half").unwrap();
    let before = files(&path, "");
    let error = format!("{:#}", Spool::open(options(&path)).unwrap_err());
    assert!(
        error.contains("0000000000000009.seg: written by a newer observer (form 2"),
        "{error}"
    );
    assert_eq!(files(&path, ""), before, "nothing was removed");
    fs::remove_file(&newer).unwrap();
    fs::write(
        path.join("losses.json"),
        r#"{"format":"observer-spool-losses","version":2}"#,
    )
    .unwrap();
    fs::set_permissions(path.join("losses.json"), fs::Permissions::from_mode(0o600)).unwrap();
    let error = format!("{:#}", Spool::open(options(&path)).unwrap_err());
    assert!(
        error.contains("losses.json: written by a newer observer"),
        "{error}"
    );
}

#[test]
fn nobody_else_may_read_or_write_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let spool = started(options(&path));
    spool.push(sequencer(1).finding(FindingRow::unknown()));
    spool.stop();
    let refused = Spool::open(options(&path)).unwrap_err();
    assert!(format!("{refused:#}").contains("`spool.dir`"), "{refused:#}");
    drop(spool);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
    let segment = files(&path, ".seg").remove(0);
    assert_eq!(fs::metadata(&segment).unwrap().mode() & 0o777, 0o600);
    fs::set_permissions(&segment, fs::Permissions::from_mode(0o640)).unwrap();
    let error = format!("{:#}", Spool::open(options(&path)).unwrap_err());
    assert!(error.contains("chmod 600") && error.contains(".seg"), "{error}");
    fs::set_permissions(&segment, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let error = format!("{:#}", Spool::open(options(&path)).unwrap_err());
    assert!(error.contains("chmod 700"), "{error}");
}

#[tokio::test]
async fn the_head_is_written_behind_the_seal_and_before_delivery() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let head = HeadFile::open(&dir.path().join("chain")).unwrap();
    let (spool, _) = Spool::open(options(&path)).unwrap();
    spool.start(Some(head)).unwrap();
    let mut seq = sequencer(1);
    spool.push(seq.interaction(InteractionRow::unknown()));
    spool.push(seal(&mut seq));
    let batch = tokio::time::timeout_at(soon(), spool.next()).await.unwrap();
    assert_eq!(batch.rows(Table::Seals).len(), 1);
    let text = fs::read_to_string(dir.path().join("chain/head.json")).unwrap();
    assert!(text.contains("\"seal_seq\":1"), "{text}");
    assert_eq!(files(&path, ".seg").len(), 1);
    drop(batch);
    // A head that cannot be written is a word of the next seal.
    fs::rename(dir.path().join("chain"), dir.path().join("away")).unwrap();
    spool.push(seal(&mut seq));
    on_disk(&spool).await;
    assert_eq!(spool.take_notes(), ["head_not_on_disk"]);
}

#[tokio::test]
async fn rows_that_are_refused_for_good_are_named() {
    let spool = Spool::in_memory(SpoolOptions::default()).unwrap();
    let mut seq = sequencer(1);
    spool.push(seq.finding(FindingRow::unknown()));
    spool.push(seq.interaction(InteractionRow::unknown()));
    spool.push(seq.finding(FindingRow::unknown()));
    spool.shared.queue().hurry = true;
    spool.shared.work.notify_one();
    let mut batch = tokio::time::timeout_at(soon(), spool.next()).await.unwrap();
    spool.refused(&mut batch, Table::Findings);
    spool.stored(&mut batch, Table::Interactions);
    spool.over(batch);
    let [range] = spool.undeclared()[..] else {
        panic!("{:?}", spool.undeclared())
    };
    assert_eq!((range.records, range.lost_records), ((1, 3), 2));
    assert_balanced(&spool);
    assert_eq!(spool.stop(), (0, 0));
    spool.push(seq.finding(FindingRow::unknown()));
    assert_eq!(spool.stats().lost(Table::Findings, LossReason::Shutdown), 1);
}
