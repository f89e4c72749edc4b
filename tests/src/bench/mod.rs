//! Benchmarks: what Observer costs, each cost against a named reference in the same run.
//!
//! Nothing here is a test: machines differ and are shared, so times are reported with their spread and with what
//! they are compared to. What must hold on any machine (rows, ledger) is counted.

mod calls;
mod dashboards;
mod dialects;
mod discovery;
mod empty;
mod flood;
mod gate;
mod hits;
mod memory;
mod pipeline;
mod policy;
mod quiet;
mod recording;
mod scan;
mod script;
mod sink;
mod soak;
mod spool;

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// One benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// A write that is not AI, against empty probes and no probes
    Gate,
    /// The same by GnuTLS, NSPR, Node, Bun and Go
    Hits,
    /// 160 keep-alive calls over 8 connections, by several clients
    Calls,
    /// 200,000 writes on one AI connection
    Flood,
    /// From the start of a program to its probes, and first calls missed
    Discovery,
    /// The stages from record to row, without a kernel
    Pipeline,
    /// Transports and dialects alone: bytes of a connection to facts, without the scan
    Dialects,
    /// A verdict by a thousand rules, against one by ten
    Policy,
    /// The sensitive-data stage, against vectorscan alone
    Scan,
    /// Hashing, sealing and writing rows to disk
    Spool,
    /// Every query of the dashboards on ten million exchanges
    Dashboards,
    /// Half an hour of steady load
    Soak,
}

impl Name {
    /// All of them but the long one, in the order in which they run.
    pub const ALL: [Self; 11] = [
        Self::Scan,
        Self::Dialects,
        Self::Pipeline,
        Self::Policy,
        Self::Spool,
        Self::Dashboards,
        Self::Gate,
        Self::Hits,
        Self::Calls,
        Self::Flood,
        Self::Discovery,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Hits => "hits",
            Self::Calls => "calls",
            Self::Flood => "flood",
            Self::Discovery => "discovery",
            Self::Pipeline => "pipeline",
            Self::Dialects => "dialects",
            Self::Policy => "policy",
            Self::Scan => "scan",
            Self::Spool => "spool",
            Self::Dashboards => "dashboards",
            Self::Soak => "soak",
        }
    }
}

/// One result.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Benchmark that it belongs to.
    pub bench: &'static str,
    /// What was measured.
    pub what: String,
    /// The median where it was measured several times.
    pub value: f64,
    /// Unit of the value.
    pub unit: &'static str,
    /// Least and greatest of the single measurements, where there were several.
    pub range: Option<(f64, f64)>,
    /// What it should be.
    pub aim: Option<String>,
    /// Whether it is.
    pub met: Option<bool>,
    /// What else has to be known about it.
    pub note: String,
}

/// Rows of one benchmark.
struct Rows(Name, Vec<Row>);

impl Rows {
    fn new(name: Name) -> Self {
        Self(name, Vec::new())
    }

    /// Adds a single value.
    fn one(&mut self, what: impl Into<String>, value: f64, unit: &'static str) -> &mut Row {
        self.many(what, &[value], unit)
    }

    /// Adds the median of several values.
    fn many(&mut self, what: impl Into<String>, values: &[f64], unit: &'static str) -> &mut Row {
        let range = (values.len() > 1).then(|| {
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            (least, values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
        });
        let row = Row {
            bench: self.0.name(),
            what: what.into(),
            value: median(values),
            unit,
            range,
            aim: None,
            met: None,
            note: String::new(),
        };
        self.1.push(row);
        let last = self.1.len() - 1;
        &mut self.1[last]
    }
}

impl Row {
    fn at_most(&mut self, most: f64) -> &mut Self {
        self.aim = Some(format!("at most {most}"));
        self.met = Some(self.value <= most);
        self
    }

    fn at_least(&mut self, least: f64) -> &mut Self {
        self.aim = Some(format!("at least {least}"));
        self.met = Some(self.value >= least);
        self
    }

    #[expect(clippy::float_cmp, reason = "counts, which are whole")]
    fn exactly(&mut self, wanted: f64) -> &mut Self {
        self.aim = Some(format!("{wanted}"));
        self.met = Some(self.value == wanted);
        self
    }

    fn note(&mut self, note: impl Into<String>) -> &mut Self {
        self.note = note.into();
        self
    }
}

/// Runs a benchmark.
pub fn run(name: Name) -> Result<Vec<Row>> {
    match name {
        Name::Gate => gate::run(),
        Name::Hits => hits::run(),
        Name::Calls => calls::run(),
        Name::Flood => flood::run(),
        Name::Discovery => discovery::run(),
        Name::Pipeline => pipeline::run(),
        Name::Dialects => dialects::run(),
        Name::Policy => policy::run(),
        Name::Scan => scan::run(),
        Name::Spool => spool::run(),
        Name::Dashboards => dashboards::run(),
        Name::Soak => soak::run(),
    }
}

/// CPU time of this thread, seconds.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "seconds of one run")]
    let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
    seconds
}

/// The middle of the values; 0 when there are none.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// A count as a number that can be divided.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
    }

    #[test]
    fn a_row_says_whether_its_aim_is_met() {
        let mut rows = Rows::new(Name::Gate);
        assert_eq!(rows.many("a", &[1.0, 1.2], "x").at_most(1.1).met, Some(true));
        assert_eq!(rows.1[0].range, Some((1.0, 1.2)));
        assert_eq!(rows.one("b", 3.0, "").exactly(4.0).met, Some(false));
        assert_eq!(rows.one("c", 3.0, "").range, None);
    }
}
