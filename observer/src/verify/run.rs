//! Drives the checks: host by host, page by page.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::anchors::AnchorBook;
use super::finding::{Kind, Place};
use super::hashing::threads;
use super::host::{HostCheck, Limits, Record};
use super::keybook::KeyBook;
use super::report::{HostReport, Report};
use super::source::{Known, Page, Period, Source, Stretch};
use super::trust::Pins;
use crate::evidence::{
    AnchorRow, KeyRow,
    keys::{ROLE_HOST, ROLE_NOTARY},
};

const DAY_NS: i64 = 86_400_000_000_000;

/// How a verification runs. Times are ns.
#[derive(Debug, Clone)]
pub struct Options {
    /// When it runs, wall clock.
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
            until: self.period.to.map_or(self.now, |to| to.min(self.now)),
            stale_after: self.stale_after,
            keep_records: i64::from(self.keep_records_days) * DAY_NS,
            keep_seals: i64::from(self.keep_seals_days) * DAY_NS,
            from_is_given: self.period.from.is_some(),
            to_is_given: self.period.to.is_some(),
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
    let certificates = options.outside.iter().filter_map(|(_, key)| key.clone());
    let keys = KeyBook::new(
        known
            .keys
            .iter()
            .cloned()
            .chain(certificates.map(|key| (key, i64::MAX))),
    )
    .pinned(options.trust.clone());
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
    let gone: BTreeMap<&str, i64> = known.inventory.iter().map(|(h, at)| (h.as_str(), *at)).collect();
    let mut batch = Batch::default();
    for host in hosts(&known, &keys, &anchors, options) {
        progress.host(&host);
        let gone = gone.get(host.as_str()).map(|ms| ms.saturating_mul(1_000_000));
        let check = HostCheck::new(&host, &keys, anchors.take(&host), options.limits());
        batch.hosts.push((host, check, gone));
        read_host(source, &mut batch, progress, &mut report).await?;
    }
    batch.check(source, progress).await?;
    batch.end(0, &mut report);
    for damage in source.damage() {
        report
            .general
            .add(Kind::BundleDamaged, Place::default(), 1, damage);
    }
    Ok(report)
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

/// Everyone who has rows, or of whom anything else says that there should be some.
fn hosts(known: &Known, keys: &KeyBook, anchors: &AnchorBook, options: &Options) -> BTreeSet<String> {
    if let Some(host) = &options.host {
        return BTreeSet::from([host.clone()]);
    }
    let from_ms = options.period.from.unwrap_or(i64::MIN) / 1_000_000;
    let in_scope = known.inventory.iter().filter(|(_, gone)| *gone > from_ms);
    let mut hosts: BTreeSet<String> = known.hosts.iter().cloned().collect();
    hosts.extend(in_scope.map(|(host, _)| host.clone()));
    // Old certificates and anchors say nothing about a period.
    if options.period == Period::default() {
        hosts.extend(keys.owners(ROLE_HOST).map(ToOwned::to_owned));
        hosts.extend(keys.pinned_owners(ROLE_HOST).map(ToOwned::to_owned));
        hosts.extend(anchors.hosts().map(ToOwned::to_owned));
    }
    hosts
}

/// Records of hosts are asked for together, up to so many: a query for each host would look through the tables again for each.
const BATCH_RECORDS: u64 = 1_000_000;

/// So many pages at most, whatever is on them: their hosts are named in the query.
const BATCH_PAGES: usize = 256;

/// Pages whose records are still to be read.
#[derive(Default)]
struct Batch<'k> {
    /// Hosts that are not over, with the time at which they left the inventory.
    hosts: Vec<(String, HostCheck<'k>, Option<i64>)>,
    pages: Vec<Waiting>,
    records: u64,
}

/// A page of the host at this place.
struct Waiting {
    host: usize,
    page: Page,
    stretch: Option<Stretch>,
}

impl Batch<'_> {
    fn is_full(&self) -> bool {
        self.records >= BATCH_RECORDS || self.pages.len() >= BATCH_PAGES
    }

    /// Reads the records of all pages that wait, and checks them.
    async fn check(&mut self, source: &mut impl Source, progress: &mut dyn Progress) -> anyhow::Result<()> {
        let stretches: Vec<Stretch> = self.pages.iter().filter_map(|p| p.stretch.clone()).collect();
        let mut records: Vec<Vec<Record>> = vec![Vec::new(); stretches.len()];
        let mut unsaid = 0;
        source
            .records(&stretches, &mut |place, record| {
                records[place].push(record);
                unsaid += 1;
                if unsaid == 4096 {
                    progress.read(unsaid);
                    unsaid = 0;
                }
            })
            .await?;
        progress.read(unsaid);
        let mut records = records.into_iter();
        let mut of_host: Vec<Vec<(Page, Vec<Record>)>> = vec![Vec::new(); self.hosts.len()];
        for Waiting { host, page, stretch } in self.pages.drain(..) {
            progress.read(page.seals.len() as u64);
            let records = stretch.and_then(|_| records.next()).unwrap_or_default();
            of_host[host].push((page, records));
        }
        self.check_pages(of_host);
        self.records = 0;
        Ok(())
    }

    /// Checks the pages of each host in their order; hosts side by side, since a chain hangs on no other one.
    fn check_pages(&mut self, pages: Vec<Vec<(Page, Vec<Record>)>>) {
        let hosts = self.hosts.iter_mut().zip(pages);
        let work = Mutex::new(hosts.filter(|(_, pages)| !pages.is_empty()));
        let check = || loop {
            let next = work.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(((_, check, _), pages)) = next else {
                return;
            };
            for (page, records) in pages {
                check.page(&page.seals, records, page.is_last);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..threads() {
                scope.spawn(check);
            }
        });
    }

    /// Ends all hosts but the last `but`: nothing of them is to come.
    fn end(&mut self, but: usize, report: &mut Report) {
        let over = self.hosts.len().saturating_sub(but);
        for (host, mut check, gone) in self.hosts.drain(..over) {
            check.finish(gone);
            report.hosts.push(HostReport {
                host,
                counts: check.counts,
                span: check.span,
                findings: check.findings,
            });
        }
    }
}

/// Reads the seals of the last host, page by page.
async fn read_host(
    source: &mut impl Source,
    batch: &mut Batch<'_>,
    progress: &mut dyn Progress,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut after = None;
    loop {
        if batch.is_full() {
            batch.check(source, progress).await?;
            batch.end(1, report);
        }
        let Some((host, check, _)) = batch.hosts.last() else {
            return Ok(());
        };
        let page = source.seals(host, after).await?;
        let end = page.seals.last().map(|seal| (seal.chain_epoch, seal.seal_seq));
        // Records before the first seal of a period belong to what came before.
        let begin = match (after, page.seals.first()) {
            (None, Some(seal)) if check.begins_within() => {
                Some((seal.chain_epoch, seal.seal_seq.saturating_sub(1)))
            }
            _ => after,
        };
        let open_end = page.is_last && !check.ends_within();
        let stretch = (end.is_some() || open_end).then(|| Stretch {
            host: host.clone(),
            after: begin,
            upto: if open_end { None } else { end },
        });
        let is_last = page.is_last;
        batch.records += page
            .seals
            .iter()
            .map(|seal| u64::from(seal.n_records))
            .sum::<u64>();
        batch.pages.push(Waiting {
            host: batch.hosts.len() - 1,
            page,
            stretch,
        });
        match end {
            Some(end) if !is_last => after = Some(end),
            _ => return Ok(()),
        }
    }
}
