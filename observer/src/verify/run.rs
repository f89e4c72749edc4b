//! Drives the checks: host by host, page by page.

use std::collections::{BTreeMap, BTreeSet};

use super::anchors::AnchorBook;
use super::finding::{Kind, Place};
use super::host::{HostCheck, Limits};
use super::keybook::KeyBook;
use super::report::{HostReport, Report};
use super::source::{Known, Period, Source};
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
    );
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
    for host in hosts(&known, &keys, &anchors, options) {
        progress.host(&host);
        let mut check = HostCheck::new(&host, &keys, anchors.take(&host), options.limits());
        check_host(source, &mut check, &host, progress).await?;
        check.finish(gone.get(host.as_str()).map(|ms| ms.saturating_mul(1_000_000)));
        report.hosts.push(HostReport {
            host,
            counts: check.counts,
            span: check.span,
            findings: check.findings,
        });
    }
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
        hosts.extend(anchors.hosts().map(ToOwned::to_owned));
    }
    hosts
}

async fn check_host(
    source: &mut impl Source,
    check: &mut HostCheck<'_>,
    host: &str,
    progress: &mut dyn Progress,
) -> anyhow::Result<()> {
    let mut after = None;
    loop {
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
        let upto = if open_end { None } else { end };
        let mut records = Vec::new();
        if end.is_some() || open_end {
            let mut unsaid = 0;
            source
                .records(host, begin, upto, &mut |record| {
                    records.push(record);
                    unsaid += 1;
                    if unsaid == 4096 {
                        progress.read(unsaid);
                        unsaid = 0;
                    }
                })
                .await?;
            progress.read(unsaid);
        }
        progress.read(page.seals.len() as u64);
        check.page(&page.seals, records, page.is_last);
        match end {
            Some(end) if !page.is_last => after = Some(end),
            _ => return Ok(()),
        }
    }
}
