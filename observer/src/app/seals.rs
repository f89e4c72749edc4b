//! What each seal says: the difference of all counters since the last one, and the books.

use std::fs;

use observer_common::counters;
use rustix::time::{ClockId, clock_gettime};
use sha2::{Digest, Sha256};

use crate::{
    config::Config,
    coverage::{Ledger, Loss, Stage},
    evidence::{Book, Coverage, Interval, SealedLoss},
    kernel::probes::ProbeState,
    pipeline::{EnforcementTotals, Rulebook, Totals},
    policy::Judge,
    report::text::steers,
    spool::{LossReason, RowBook},
};

/// Most failed probes that a seal names, and the longest of these names. They come from files that anybody may write, and a seal has to
/// stay short enough for the spool.
const MAX_FAILED: usize = 64;
const MAX_FAILED_BYTES: usize = 256;

/// All counters at one moment.
pub(crate) struct Observed {
    /// Kernel counters by index; `None` where one could not be read.
    pub kernel: Vec<Option<u64>>,
    /// Entries taken out of the ring buffer.
    pub entries: u64,
    /// Records among them, as the stages after them count them.
    pub records: u64,
    pub totals: Totals,
    /// Losses of all stages.
    pub ledger: Ledger,
    /// Books of the stages inside the pipeline.
    pub pipeline: [Book; 3],
    /// Rows on their way to the store.
    pub rows: Rows,
    pub open_flows: usize,
    pub enforcement: EnforcementTotals,
    /// Pods of this node that are known.
    pub pods: usize,
    /// Changes of pods that found no room.
    pub pods_refused: u64,
    /// Every probe that is wanted, and what became of it.
    pub probes: Vec<(String, ProbeState)>,
}

/// Rows between the chain and the store, since the start.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Rows {
    /// Rows that the sequencer numbered, seals among them, and those that were refused before that.
    pub numbered: u64,
    /// Rows of earlier starts that were found on disk.
    pub recovered: u64,
    /// Rows that the store has confirmed.
    pub stored: u64,
    pub lost: u64,
    /// Rows that wait, or are on their way.
    pub pending: u64,
}

impl Observed {
    /// A kernel counter; 0 where it could not be read, which the failed read of all the others gives away.
    pub(crate) fn kernel(&self, index: u32) -> u64 {
        self.kernel.get(index as usize).copied().flatten().unwrap_or(0)
    }

    /// Events lost in user space.
    fn lost_user(&self) -> u64 {
        self.ledger.stage(Stage::Record).events + self.ledger.stage(Stage::Flow).events
    }

    /// Records that the kernel could not make, for whatever reason.
    fn lost_kernel(&self) -> u64 {
        self.ledger.stage(Stage::Kernel).events
    }

    /// The books of all stages, in the order of the flow of data.
    fn books(&self) -> Vec<Book> {
        let lost = self.lost_kernel();
        // The kernel counts a record when it is in the ring buffer already: we may have it before.
        let given = self.kernel(counters::RECORDS).max(self.entries);
        let kernel = Book {
            stage: Stage::Kernel.name(),
            seen: given + lost,
            delivered: self.entries,
            lost,
            held: given - self.entries,
        };
        let record = Book {
            stage: Stage::Record.name(),
            seen: self.entries,
            delivered: self.records,
            lost: self.ledger.stage(Stage::Record).events,
            held: 0,
        };
        let store = Book {
            stage: Stage::Store.name(),
            seen: self.rows.numbered + self.rows.recovered,
            delivered: self.rows.stored,
            lost: self.rows.lost,
            held: self.rows.pending,
        };
        let stages = [kernel, record].into_iter().chain(self.pipeline);
        stages.chain([store]).collect()
    }
}

/// Takes the kernel's losses into the ledger, and those of rows.
pub(super) fn add_ends(ledger: &mut Ledger, kernel: &[Option<u64>], rows: &RowBook) {
    for (index, unit, name) in counters::ALL {
        let (Some(reason), Some(Some(total))) = (name.strip_prefix("lost_"), kernel.get(*index as usize))
        else {
            continue;
        };
        let mut loss = ledger.of(Stage::Kernel, reason);
        if *unit == "bytes" {
            loss.bytes = *total;
        } else {
            loss.events = *total;
        }
        if loss != Loss::default() {
            ledger.set(Stage::Kernel, reason, loss);
        }
    }
    for (reason, events) in LossReason::ALL.into_iter().zip(rows.lost_by) {
        if events > 0 {
            ledger.set(Stage::Store, reason.name(), Loss { events, bytes: 0 });
        }
    }
}

/// Counters at the last seal.
#[derive(Default, Clone)]
struct Last {
    events: u64,
    lost_kernel: u64,
    lost_user: u64,
    truncated: u64,
    rows_lost: u64,
    ledger: Ledger,
    totals: Totals,
    cpu_ms: u64,
}

/// A wall clock that moves by more than this against the boot clock was set.
const CLOCK_SET_NS: i64 = 1_000_000_000;

/// Makes the statements of the seals.
pub(super) struct Seals {
    interval_ns: u64,
    last_ns: u64,
    /// What the wall clock was ahead of the boot clock at the last seal; `None` before the first.
    wall_offset_ns: Option<i64>,
    last: Last,
    /// What does not change while the daemon runs.
    constant: Coverage,
}

impl Seals {
    pub(super) fn new(config: &Config, book: &Rulebook, now_ns: u64) -> Self {
        let constant = Coverage {
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            agent_sha256: own_digest(),
            config_sha256: config.digest,
            policy_sha256: book.judge.policy.digest(),
            register_sha256: book.judge.register_digest(),
            rule_pack_sha256: book.rules_digest,
            catalog_version: book.catalog.version().to_owned(),
            ..Coverage::default()
        };
        let interval_ns = u64::try_from(config.seal_interval.as_nanos()).unwrap_or(u64::MAX);
        Self {
            interval_ns,
            last_ns: now_ns,
            wall_offset_ns: None,
            last: Last::default(),
            constant,
        }
    }

    /// From now on this judges: seals of later intervals say so.
    pub(super) fn judged_by(&mut self, judge: &Judge) {
        self.constant.policy_sha256 = judge.policy.digest();
        self.constant.register_sha256 = judge.register_digest();
    }

    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.last_ns) >= self.interval_ns
    }

    /// The word for a seal before which the wall clock was set: times of this epoch from before and from after it do not compare.
    pub(super) fn clock_note(&mut self, wall_offset_ns: i64) -> Option<&'static str> {
        let before = self.wall_offset_ns.replace(wall_offset_ns)?;
        let moved = wall_offset_ns.saturating_sub(before).saturating_abs();
        (moved > CLOCK_SET_NS).then_some("clock_set")
    }

    /// The statement of the interval that ends now.
    pub(super) fn next(
        &mut self,
        observed: &Observed,
        now_ns: u64,
        wall_offset_ns: i64,
    ) -> (Interval, Coverage) {
        let wall = |ns| {
            i64::try_from(ns)
                .unwrap_or(i64::MAX)
                .saturating_add(wall_offset_ns)
        };
        let interval = Interval {
            start: wall(self.last_ns),
            end: wall(now_ns),
            mono_start_ns: self.last_ns,
            mono_end_ns: now_ns,
        };
        let now = Last {
            events: observed.kernel(counters::RECORDS),
            lost_kernel: observed.lost_kernel(),
            lost_user: observed.lost_user(),
            truncated: observed.kernel(counters::LOST_CALL_TOO_LONG_BYTES),
            rows_lost: observed.rows.lost,
            ledger: observed.ledger.clone(),
            totals: observed.totals,
            cpu_ms: cpu_ms(),
        };
        let coverage = self.difference(&now, observed);
        self.last_ns = now_ns;
        self.last = now;
        (interval, coverage)
    }

    fn difference(&self, now: &Last, observed: &Observed) -> Coverage {
        let last = &self.last;
        let small = |now: u64, last: u64| u32::try_from(now.saturating_sub(last)).unwrap_or(u32::MAX);
        let count = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        let (probes_failed, failed) = failures(&observed.probes);
        let losses = now.ledger.since(&last.ledger).into_iter();
        let losses = losses.map(|(stage, reason, loss)| SealedLoss {
            stage: stage.name(),
            reason,
            events: loss.events,
            bytes: loss.bytes,
        });
        Coverage {
            books: observed.books(),
            losses: losses.collect(),
            probes_required: count(observed.probes.len()),
            probes_attached: count(observed.probes.len() - failed),
            probes_failed,
            events_seen: now.events - last.events,
            events_lost_ring: now.lost_kernel - last.lost_kernel,
            events_lost_user: now.lost_user - last.lost_user,
            bytes_truncated: now.truncated - last.truncated,
            records_dropped_spool: now.rows_lost - last.rows_lost,
            ai_flows: small(now.totals.ai_connections, last.totals.ai_connections),
            ai_flows_decoded: small(
                now.totals.ai_connections_decoded,
                last.totals.ai_connections_decoded,
            ),
            ai_flows_partial: small(
                now.totals.ai_connections_partial,
                last.totals.ai_connections_partial,
            ),
            ai_flows_opaque: small(
                now.totals.ai_connections_opaque,
                last.totals.ai_connections_opaque,
            ),
            unknown_flows_opaque: small(
                now.totals.unknown_connections_opaque,
                last.totals.unknown_connections_opaque,
            ),
            cpu_ms: small(now.cpu_ms, last.cpu_ms),
            rss_kib: rss_kib(),
            ..self.constant.clone()
        }
    }
}

/// The first probes that failed and why, and how many did. Where they are too many, the last entry says how many more.
fn failures(probes: &[(String, ProbeState)]) -> (Vec<String>, usize) {
    let failed = probes.iter().filter_map(|(name, state)| match state {
        ProbeState::Failed(reason) => Some((name, reason)),
        ProbeState::Attached => None,
    });
    let all = failed.clone().count();
    let mut named: Vec<String> = failed
        .take(MAX_FAILED)
        .map(|(name, reason)| {
            let most = MAX_FAILED_BYTES / 2;
            format!("{}: {}", shown(name, most), shown(reason, most - 2))
        })
        .collect();
    if all > MAX_FAILED {
        named.push(format!("and {} more", all - MAX_FAILED));
    }
    (named, all)
}

/// At most `most` bytes of a text, cut between characters, without any that steer a terminal.
fn shown(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for c in text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }) {
        if shown.len() + c.len_utf8() > most {
            break;
        }
        shown.push(c);
    }
    shown
}

fn own_digest() -> [u8; 32] {
    let Ok(mut file) = fs::File::open("/proc/self/exe") else {
        return [0; 32];
    };
    let mut hash = Sha256::new();
    match std::io::copy(&mut file, &mut hash) {
        Ok(_) => hash.finalize().into(),
        Err(_) => [0; 32],
    }
}

fn cpu_ms() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

fn rss_kib() -> u32 {
    let pages = fs::read_to_string("/proc/self/statm").ok();
    let pages: Option<u64> = pages.and_then(|text| text.split(' ').nth(1)?.parse().ok());
    let kib = pages.unwrap_or(0) * rustix::param::page_size() as u64 / 1024;
    u32::try_from(kib).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(records: u64, lost: u64) -> Observed {
        let mut kernel = vec![Some(0); counters::COUNT as usize];
        kernel[counters::RECORDS as usize] = Some(records);
        kernel[counters::LOST_RING as usize] = Some(lost);
        let mut ledger = Ledger::default();
        add_ends(&mut ledger, &kernel, &RowBook::default());
        let stages = ["flow", "protocol", "scan"];
        Observed {
            kernel,
            entries: records - 7,
            records: records - 7,
            pipeline: stages.map(|stage| Book {
                stage,
                seen: 0,
                delivered: 0,
                lost: 0,
                held: 0,
            }),
            rows: Rows::default(),
            totals: Totals {
                ai_connections: records / 10,
                ..Totals::default()
            },
            ledger,
            open_flows: 0,
            enforcement: EnforcementTotals::default(),
            pods: 0,
            pods_refused: 0,
            probes: vec![
                ("a".into(), ProbeState::Attached),
                ("b".into(), ProbeState::Failed("no".into())),
            ],
        }
    }

    fn seals() -> Seals {
        Seals {
            interval_ns: 100,
            last_ns: 0,
            wall_offset_ns: None,
            last: Last::default(),
            constant: Coverage::default(),
        }
    }

    #[test]
    fn a_seal_says_what_happened_since_the_last_one() {
        let mut seals = seals();
        assert!(!seals.is_due(99) && seals.is_due(100));
        let (_, first) = seals.next(&observed(50, 3), 100, 1000);
        assert_eq!(
            (first.events_seen, first.events_lost_ring, first.ai_flows),
            (50, 3, 5)
        );
        let (interval, second) = seals.next(&observed(80, 3), 200, 1000);
        assert_eq!(
            (second.events_seen, second.events_lost_ring, second.ai_flows),
            (30, 0, 3)
        );
        assert_eq!(
            (interval.start, interval.end, interval.mono_start_ns),
            (1100, 1200, 100)
        );
        assert_eq!((second.probes_required, second.probes_attached), (2, 1));
        assert_eq!(second.probes_failed, ["b: no"]);
    }

    #[test]
    fn failed_probes_do_not_make_a_seal_too_long() {
        let mut seals = seals();
        let mut observed = observed(50, 3);
        let name = format!(
            "aws_lc_\x1b[31m\u{202e}{}_EVP_AEAD_CTX_seal in /tmp/x",
            "ü".repeat(3_000)
        );
        for _ in 0..50_000 {
            let why = ProbeState::Failed("not\nallowed ".repeat(100));
            observed.probes.push((name.clone(), why));
        }
        let (_, coverage) = seals.next(&observed, 100, 1000);
        assert_eq!((coverage.probes_required, coverage.probes_attached), (50_002, 1));
        let failed = &coverage.probes_failed;
        assert_eq!((failed.len(), failed[0].as_str()), (MAX_FAILED + 1, "b: no"));
        assert_eq!(failed[MAX_FAILED], format!("and {} more", 50_001 - MAX_FAILED));
        assert!(failed.iter().all(|text| text.len() <= MAX_FAILED_BYTES));
        assert!(failed.iter().all(|text| !text.chars().any(steers)));
        assert!(failed[1].contains("ü: not"), "{}", failed[1]);
    }

    #[test]
    fn the_books_go_on_and_losses_are_those_of_the_interval() {
        let mut seals = seals();
        let ring_full = |events| SealedLoss {
            stage: "kernel",
            reason: "ring_full",
            events,
            bytes: 0,
        };
        let (_, first) = seals.next(&observed(50, 3), 100, 0);
        assert_eq!(first.losses, [ring_full(3)]);
        let (_, second) = seals.next(&observed(80, 3), 200, 0);
        assert_eq!(second.losses, []);
        let (_, third) = seals.next(&observed(90, 8), 300, 0);
        assert_eq!(third.losses, [ring_full(5)]);
        let stages: Vec<&str> = third.books.iter().map(|book| book.stage).collect();
        assert_eq!(stages, ["kernel", "record", "flow", "protocol", "scan", "store"]);
        for book in third.books {
            assert_eq!(book.seen, book.delivered + book.lost + book.held, "{book:?}");
        }
        assert_eq!((second.books[0].seen, second.books[0].held), (83, 7));
    }

    #[test]
    fn a_wall_clock_that_is_set_is_said_once_and_one_that_drifts_is_not() {
        let mut seals = seals();
        const HOUR: i64 = 3_600_000_000_000;
        let offsets = [5 * HOUR, 5 * HOUR + 900_000_000, 4 * HOUR, 4 * HOUR, 9 * HOUR];
        let said = offsets.map(|offset| seals.clock_note(offset));
        assert_eq!(said, [None, None, Some("clock_set"), None, Some("clock_set")]);
        // The interval has the length that the boot clock gives, whatever the wall clock did.
        let (interval, _) = seals.next(&observed(50, 3), 100, -HOUR);
        assert_eq!(interval.end - interval.start, 100);
    }
}
