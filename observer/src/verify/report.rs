//! The result of a verification: a verdict for each host and one for all.

use serde_json::{Value, json};

use super::NOT_FOUND;
use super::finding::{Findings, Level};
use super::host::Counts;
use super::source::Period;
use crate::report::json::timestamp;

/// What came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Everything that can be checked is right.
    Verified,
    /// Something could not be checked; nothing wrong was found.
    Unverifiable,
    /// Something is wrong or missing.
    Findings,
}

impl Verdict {
    /// Word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Unverifiable => "could_not_verify",
            Self::Findings => "findings",
        }
    }

    fn of(findings: &Findings) -> Self {
        match findings.worst() {
            Some(Level::Finding) => Self::Findings,
            Some(Level::Unverifiable) => Self::Unverifiable,
            Some(Level::Remark) | None => Self::Verified,
        }
    }
}

/// One host.
#[derive(Debug, Clone)]
pub struct HostReport {
    /// Host.
    pub host: String,
    /// What was counted.
    pub counts: Counts,
    /// First and last wall time of its seals, ns.
    pub span: Option<(i64, i64)>,
    /// What was found.
    pub findings: Findings,
}

impl HostReport {
    /// Verdict on this host.
    pub fn verdict(&self) -> Verdict {
        Verdict::of(&self.findings)
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        json!({
            "host_id": self.host,
            "verdict": self.verdict().word(),
            "first": self.span.map(|(first, _)| timestamp(first)),
            "last": self.span.map(|(_, last)| timestamp(last)),
            "epochs": self.counts.epochs,
            "seals": self.counts.seals,
            "records": self.counts.records,
            "second_copies": self.counts.copies,
            "anchored_seals": self.counts.anchored,
            "counts": self.findings.counts().map(|(kind, n)| (kind.word().to_owned(), n.into())).collect::<serde_json::Map<_, _>>(),
            "findings": self.findings.kept().iter().map(super::Finding::to_json).collect::<Vec<_>>(),
        })
    }
}

/// The whole verification.
#[derive(Debug, Clone)]
pub struct Report {
    /// When it ran, wall clock, ns.
    pub at: i64,
    /// What was looked at.
    pub period: Period,
    /// Hosts, by name.
    pub hosts: Vec<HostReport>,
    /// Anchors looked at.
    pub anchors: u64,
    /// What is wrong with anchors, certificates of notaries and the place that the rows came from.
    pub general: Findings,
}

impl Report {
    /// Verdict on all.
    pub fn verdict(&self) -> Verdict {
        self.hosts
            .iter()
            .map(HostReport::verdict)
            .chain([Verdict::of(&self.general)])
            .max()
            .unwrap_or(Verdict::Verified)
    }

    /// A count over all hosts.
    pub fn total(&self, count: impl Fn(&Counts) -> u64) -> u64 {
        self.hosts.iter().map(|host| count(&host.counts)).sum()
    }

    /// Rows of the given kinds, over all.
    pub fn found(&self, kinds: &[super::Kind]) -> u64 {
        let of = |findings: &Findings| kinds.iter().map(|kind| findings.count(*kind)).sum::<u64>();
        self.hosts.iter().map(|host| of(&host.findings)).sum::<u64>() + of(&self.general)
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        json!({
            "verdict": self.verdict().word(),
            "at": timestamp(self.at),
            "from": self.period.from.map(timestamp),
            "to": self.period.to.map(timestamp),
            "verifier_version": env!("CARGO_PKG_VERSION"),
            "seals": self.total(|c| c.seals),
            "records": self.total(|c| c.records),
            "anchors": self.anchors,
            "general": self.general.kept().iter().map(super::Finding::to_json).collect::<Vec<_>>(),
            "hosts": self.hosts.iter().map(HostReport::to_json).collect::<Vec<_>>(),
            "cannot_be_found": NOT_FOUND,
        })
    }
}
