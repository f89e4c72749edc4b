//! Drives the checks: host by host, page by page.

use std::collections::BTreeMap;

use super::anchors::AnchorBook;
use super::batch::{Batch, Host};
use super::finding::{Kind, Place};
use super::host::{HostCheck, Limits};
use super::keybook::KeyBook;
use super::report::Report;
use super::source::{Known, Near, Period, Source};
use super::trust::Pins;
use crate::evidence::{
    AnchorRow, KeyRow,
    keys::{ROLE_HOST, ROLE_NOTARY},
};

const DAY_NS: i64 = 86_400_000_000_000;

/// How a verification runs. Times are ns.
#[derive(Debug, Clone)]
pub struct Options {
    /// When it runs, or when the rows were read, wall clock.
    pub now: i64,
    /// What is looked at.
    pub period: Period,
    /// Only this host.
    pub host: Option<String>,
    /// A chain without a closing seal may end so long before the end of what is looked at.
    pub stale_after: i64,
    /// Records are kept so many days.
    pub keep_records_days: u32,
    /// Seals are kept so many days.
    pub keep_seals_days: u32,
    /// Keys that the auditor pinned.
    pub trust: Option<Pins>,
    /// Anchors from files, with their certificates; by number.
    pub outside: Vec<(AnchorRow, Option<KeyRow>)>,
}

impl Options {
    /// The usual ones.
    pub fn new(now: i64) -> Self {
        Self {
            now,
            period: Period::default(),
            host: None,
            stale_after: 5 * 60 * 1_000_000_000,
            keep_records_days: 400,
            keep_seals_days: 1130,
            trust: None,
            outside: Vec::new(),
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            now: self.now,
            until: self.period.to.map_or(self.now, |to| to.min(self.now)),
            stale_after: self.stale_after,
            keep_records: i64::from(self.keep_records_days) * DAY_NS,
            keep_seals: i64::from(self.keep_seals_days) * DAY_NS,
            period: self.period,
        }
    }
}

/// Told how far it is.
pub trait Progress {
    /// So many rows will be read.
    fn expect(&mut self, rows: u64);
    /// So many were.
    fn read(&mut self, rows: u64);
    /// A host begins.
    fn host(&mut self, host: &str);
}

impl Progress for () {
    fn expect(&mut self, _: u64) {}
    fn read(&mut self, _: u64) {}
    fn host(&mut self, _: &str) {}
}

/// Verifies what a source has.
///
/// # Errors
/// When rows cannot be read: then nothing is known.
pub async fn run(
    source: &mut impl Source,
    options: &Options,
    progress: &mut dyn Progress,
) -> anyhow::Result<Report> {
    let known = source.known().await?;
    progress.expect(known.rows);
    let keys = certificates(&known, options);
    let mut anchors = read_anchors(source, options, &keys).await?;
    let mut report = Report {
        at: options.now,
        period: options.period,
        hosts: Vec::new(),
        anchors: anchors.count,
        general: anchors.findings.clone(),
    };
    for notary in keys.owners(ROLE_NOTARY) {
        keys.report(ROLE_NOTARY, notary, &mut report.general);
    }
    let near = match options.period == Period::default() {
        true => None,
        false => source.near().await?,
    };
    let gone: BTreeMap<&str, i64> = known.inventory.iter().map(|(h, at)| (h.as_str(), *at)).collect();
    let mut batch = Batch::new(near.is_some());
    for (id, is_expected) in hosts(&known, near.as_ref(), &keys, &anchors, options) {
        progress.host(&id);
        let gone = gone.get(id.as_str()).map(|ms| ms.saturating_mul(1_000_000));
        let check = HostCheck::new(&id, &keys, anchors.take(&id), options.limits());
        let check = if is_expected { check } else { check.unexpected() };
        let host = Host {
            id,
            check,
            gone,
            part: None,
        };
        batch.read_host(host, source, progress, &mut report).await?;
    }
    batch.end(0, source, progress, &mut report).await?;
    for damage in source.damage() {
        report
            .general
            .add(Kind::BundleDamaged, Place::default(), 1, damage);
    }
    Ok(report)
}

/// Certificates of the source and from outside, with the keys that the auditor pinned.
fn certificates(known: &Known, options: &Options) -> KeyBook {
    let outside = options.outside.iter().filter_map(|(_, key)| key.clone());
    let of_source = known.keys.iter().cloned();
    let all = of_source.chain(outside.map(|key| (key, i64::MAX)));
    KeyBook::new(all).pinned(options.trust.clone())
}

/// Anchors of the source and from outside, each notary's by their number.
async fn read_anchors(
    source: &mut impl Source,
    options: &Options,
    keys: &KeyBook,
) -> anyhow::Result<AnchorBook> {
    let mut book = AnchorBook::default();
    let mut outside: Vec<&AnchorRow> = options.outside.iter().map(|(anchor, _)| anchor).collect();
    let place = |a: &AnchorRow| (a.notary_id.clone(), a.anchor_seq, a.anchor_hash);
    outside.sort_by_key(|a| place(a));
    let mut outside = outside.into_iter().peekable();
    source
        .anchors(&mut |anchor| {
            while let Some(other) = outside.next_if(|o| place(o) <= place(&anchor)) {
                book.add(other, keys);
            }
            book.add(&anchor, keys);
        })
        .await?;
    outside.for_each(|anchor| book.add(anchor, keys));
    Ok(book)
}

/// Everyone who has rows, or of whom anything else says that there should be some; and whether that is so. Others may have had
/// something in the period.
fn hosts(
    known: &Known,
    near: Option<&Near>,
    keys: &KeyBook,
    anchors: &AnchorBook,
    options: &Options,
) -> BTreeMap<String, bool> {
    if let Some(host) = &options.host {
        return BTreeMap::from([(host.clone(), true)]);
    }
    let from_ms = options.period.from.unwrap_or(i64::MIN) / 1_000_000;
    let in_scope = known.inventory.iter().filter(|(_, gone)| *gone > from_ms);
    let in_scope = in_scope.map(|(host, _)| host.as_str());
    let mut expected: Vec<&str> = known.hosts.iter().map(String::as_str).chain(in_scope).collect();
    // Old certificates and anchors say nothing about a period.
    if options.period == Period::default() {
        expected.extend(keys.owners(ROLE_HOST));
        expected.extend(keys.pinned_owners(ROLE_HOST));
        expected.extend(anchors.hosts());
    }
    let mut hosts: BTreeMap<String, bool> = expected.into_iter().map(|h| (h.to_owned(), true)).collect();
    if let Some(near) = near {
        let rows = near.recorded.iter().chain(&near.later).map(String::as_str);
        for host in rows.chain(anchors.hosts_of(options.period)) {
            hosts.entry(host.to_owned()).or_insert(false);
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Coverage, Interval, SealKind, SealRow, Sequencer, Uuid};
    use crate::verify::{Key, Page, Record, Stretch};

    const HOSTS: usize = 300;
    const SEALS: u64 = 10_000;

    /// Hosts on which nothing happens: each has one page of seals without records.
    struct Idle {
        seal: SealRow,
        waiting: u64,
        most: u64,
    }

    impl Source for Idle {
        async fn known(&mut self) -> anyhow::Result<Known> {
            Ok(Known {
                hosts: (0..HOSTS).map(|n| format!("host-{n:03}")).collect(),
                ..Known::default()
            })
        }

        async fn anchors(&mut self, _: &mut dyn FnMut(AnchorRow)) -> anyhow::Result<()> {
            Ok(())
        }

        async fn seals(&mut self, _: &str, _: Option<Key>) -> anyhow::Result<Page> {
            self.waiting += SEALS;
            self.most = self.most.max(self.waiting);
            let seal = |seal_seq| SealRow {
                seal_seq,
                ..self.seal.clone()
            };
            Ok(Page {
                seals: (1..=SEALS).map(seal).collect(),
                is_last: true,
            })
        }

        async fn records(&mut self, _: &[Stretch], _: &mut dyn FnMut(usize, Record)) -> anyhow::Result<()> {
            self.waiting = 0;
            Ok(())
        }
    }

    #[tokio::test]
    async fn seals_without_records_do_not_fill_the_memory() {
        let interval = Interval {
            start: 0,
            end: 1,
            mono_start_ns: 0,
            mono_end_ns: 1,
        };
        let mut seal =
            Sequencer::new("", Uuid::nil(), 1).seal(SealKind::Interval, interval, Coverage::default());
        // A form that nobody knows: then there is nothing to compute, and the test is quick.
        seal.canon_v = 0;
        let mut source = Idle {
            seal,
            waiting: 0,
            most: 0,
        };
        let report = run(&mut source, &Options::new(1), &mut ()).await.unwrap();
        assert_eq!(report.total(|counts| counts.seals), HOSTS as u64 * SEALS);
        assert!(source.most <= 60_000, "{} seals waited", source.most);
    }
}
