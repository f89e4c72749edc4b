//! Pages of seals that wait for their records, of many hosts together, and the hosts that they are of.

use std::sync::{Mutex, PoisonError};

use super::hashing::threads;
use super::host::{HostCheck, key};
use super::kept::{Kept, Part};
use super::outside;
use super::report::{HostReport, Report};
use super::run::Progress;
use super::source::{Key, Page, Source, Stretch};

/// Records of hosts are asked for together, up to so many: a query for each host would look through the tables again for each.
pub(super) const BATCH_RECORDS: u64 = 1_000_000;

/// So many pages at most, whatever is on them: their hosts are named in the query.
pub(super) const BATCH_PAGES: usize = 256;

/// Seals wait up to so many, and those of one page: a row takes about 2 KiB.
const BATCH_SEALS: usize = 50_000;

/// Hosts of a period that are over wait for what is outside of it, up to so many: they are named in the query.
const OVER_HOSTS: usize = 64;

/// And up to so many runs of missing rows of them.
const OVER_MISSING: usize = 200_000;

/// A host that is looked at.
pub(super) struct Host<'k> {
    pub(super) id: String,
    pub(super) check: HostCheck<'k>,
    /// When it left the inventory, ns.
    pub(super) gone: Option<i64>,
    /// From behind which to which seal its records were asked for.
    pub(super) part: Option<(Option<Key>, Option<Key>)>,
}

/// Pages whose records are still to be read.
pub(super) struct Batch<'k> {
    /// Hosts that are not over.
    hosts: Vec<Host<'k>>,
    pages: Vec<Waiting>,
    records: u64,
    seals: usize,
    /// Hosts whose pages are all checked.
    over: Vec<Host<'k>>,
    /// The source has more than the period.
    looks_around: bool,
}

/// A page of the host at this place.
struct Waiting {
    host: usize,
    page: Page,
    stretch: Option<Stretch>,
}

impl<'k> Batch<'k> {
    pub(super) fn new(looks_around: bool) -> Self {
        Self {
            hosts: Vec::new(),
            pages: Vec::new(),
            records: 0,
            seals: 0,
            over: Vec::new(),
            looks_around,
        }
    }

    fn is_full(&self) -> bool {
        self.records >= BATCH_RECORDS || self.pages.len() >= BATCH_PAGES || self.seals >= BATCH_SEALS
    }

    /// Reads the records of all pages that wait, and checks them.
    async fn check(&mut self, source: &mut impl Source, progress: &mut dyn Progress) -> anyhow::Result<()> {
        let stretches: Vec<Stretch> = self.pages.iter().filter_map(|p| p.stretch.clone()).collect();
        let kept = read_records(source, &stretches, self.records, progress).await?;
        let mut parts = kept.into_iter();
        let mut of_host: Vec<Vec<(Page, Part)>> = vec![Vec::new(); self.hosts.len()];
        for Waiting { host, page, stretch } in self.pages.drain(..) {
            progress.read(page.seals.len() as u64);
            let part = stretch.and_then(|_| parts.next()).unwrap_or_default();
            of_host[host].push((page, part));
        }
        self.check_pages(of_host);
        (self.records, self.seals) = (0, 0);
        Ok(())
    }

    /// Checks the pages of each host in their order; hosts side by side, since a chain hangs on no other one.
    fn check_pages(&mut self, pages: Vec<Vec<(Page, Part)>>) {
        let hosts = self.hosts.iter_mut().zip(pages);
        let work = Mutex::new(hosts.filter(|(_, pages)| !pages.is_empty()));
        let check = || loop {
            let next = work.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((host, pages)) = next else {
                return;
            };
            for (page, part) in pages {
                host.check.page(&page.seals, part.records, page.is_last);
                host.check.too_many(part.more);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..threads() {
                scope.spawn(check);
            }
        });
    }

    /// Checks what waits, and ends all hosts but the last `but`: nothing of them is to come.
    pub(super) async fn end(
        &mut self,
        but: usize,
        source: &mut impl Source,
        progress: &mut dyn Progress,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        self.check(source, progress).await?;
        let over = self.hosts.len().saturating_sub(but);
        self.over.extend(self.hosts.drain(..over));
        let missing: usize = self.over.iter().map(|host| host.check.waiting()).sum();
        if but > 0 && self.looks_around && self.over.len() < OVER_HOSTS && missing < OVER_MISSING {
            return Ok(());
        }
        while !self.over.is_empty() {
            let some = self.over.len().min(OVER_HOSTS);
            let mut hosts: Vec<Host<'_>> = self.over.drain(..some).collect();
            if self.looks_around {
                outside::look(source, &mut hosts, progress).await?;
            }
            hosts.into_iter().for_each(|host| conclude(host, report));
        }
        Ok(())
    }

    /// Reads the seals of a host, page by page.
    pub(super) async fn read_host(
        &mut self,
        host: Host<'k>,
        source: &mut impl Source,
        progress: &mut dyn Progress,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        self.hosts.push(host);
        let mut after = None;
        loop {
            if self.is_full() {
                self.end(1, source, progress, report).await?;
            }
            let place = self.hosts.len() - 1;
            let host = &mut self.hosts[place];
            let page = source.seals(&host.id, after).await?;
            let end = page.seals.last().map(key);
            if self.looks_around {
                look_around(source, host, after, &page).await?;
            }
            let stretch = stretch_of(host, after, &page);
            let is_last = page.is_last;
            let counted = page.seals.iter().map(|seal| u64::from(seal.n_records));
            self.records += counted.sum::<u64>();
            self.seals += page.seals.len();
            self.pages.push(Waiting {
                host: place,
                page,
                stretch,
            });
            match end {
                Some(end) if !is_last => after = Some(end),
                _ => return Ok(()),
            }
        }
    }
}

/// Asks for the seals next to the period: for the one before it with the first page, for the one behind it with the last.
async fn look_around(
    source: &mut impl Source,
    host: &mut Host<'_>,
    after: Option<Key>,
    page: &Page,
) -> anyhow::Result<()> {
    let (first, last) = (page.seals.first(), page.seals.last());
    if after.is_none() && host.check.begins_within() {
        let before = source.before(&host.id, first.map(key)).await?;
        host.check.begin_behind(&before, first);
    }
    if page.is_last && host.check.ends_within() {
        let reached = last.map(key).or(after).or(host.check.reached());
        let behind = source.behind(&host.id, reached).await?;
        host.check.end_before(behind);
    }
    Ok(())
}

/// The stretch of a page; `None` where no records belong to it.
fn stretch_of(host: &mut Host<'_>, after: Option<Key>, page: &Page) -> Option<Stretch> {
    let end = page.seals.last().map(key);
    // Records before the first seal of a period belong to what came before.
    let begin = match (after, page.seals.first()) {
        (None, None) if host.check.begins_within() => return None,
        (None, Some(seal)) if host.check.begins_within() => match host.check.reached() {
            Some(before) if host.check.continues(seal) => Some(before),
            _ => Some((seal.chain_epoch, seal.seal_seq.saturating_sub(1))),
        },
        _ => after,
    };
    let open_end = page.is_last && !host.check.ends_within();
    if end.is_none() && !open_end {
        return None;
    }
    let upto = if open_end { None } else { end };
    let (from, _) = host.part.unwrap_or((begin, None));
    host.part = Some((from, upto));
    Some(Stretch {
        host: host.id.clone(),
        after: begin,
        upto,
    })
}

/// Reads the records of stretches, whose seals count so many.
pub(super) async fn read_records(
    source: &mut impl Source,
    stretches: &[Stretch],
    counted: u64,
    progress: &mut dyn Progress,
) -> anyhow::Result<Vec<Part>> {
    let mut kept = Kept::new(stretches.len(), counted);
    let mut unsaid = 0;
    source
        .records(stretches, &mut |place, record| {
            kept.push(place, record);
            unsaid += 1;
            if unsaid == 4096 {
                progress.read(unsaid);
                unsaid = 0;
            }
        })
        .await?;
    progress.read(unsaid);
    Ok(kept.into_parts())
}

fn conclude(mut host: Host<'_>, report: &mut Report) {
    host.check.finish(host.gone);
    if host.check.has_news() {
        report.hosts.push(HostReport {
            host: host.id,
            counts: host.check.counts,
            span: host.check.span,
            findings: host.check.findings,
        });
    }
}
