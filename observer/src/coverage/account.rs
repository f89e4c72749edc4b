//! How much of a period was observed, from seals and connections: the ratios, the three-valued answer and the gaps of
//! `docs/evidence.md`. Pure. The queries beside this file give the same numbers from the database alone.

use super::ratio;
use crate::evidence::SealKind;

/// Between the end of one seal and the begin of the next so much may lie, ns.
pub const GAP_SLACK_NS: i64 = 1_000_000_000;

/// Cells of a period, at most so many and some.
const MAX_CELLS: i64 = 192;

const MINUTE_NS: i64 = 60_000_000_000;

const HOUR_NS: i64 = 60 * MINUTE_NS;

/// What of a seal counts here. Times are ns, wall clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealFacts {
    /// Epoch.
    pub chain_epoch: u64,
    /// Number.
    pub seal_seq: u64,
    /// Kind.
    pub kind: SealKind,
    /// Why the epoch began, in its first seal.
    pub open_reason: String,
    /// Boot of the host, as text.
    pub boot_id: String,
    /// Begin.
    pub start: i64,
    /// End.
    pub end: i64,
    /// Probes that should be attached.
    pub probes_required: u16,
    /// Probes that are.
    pub probes_attached: u16,
    /// ok, failed or not_measured.
    pub selftest: String,
    /// Events seen.
    pub events_seen: u64,
    /// Events lost: ring buffer, user space, delivery.
    pub events_lost: u64,
    /// Flows to AI.
    pub ai_flows: u64,
    /// Flows to nobody known that cannot be read.
    pub unknown_opaque: u64,
}

/// Connections to AI of one host. Bytes are those of connections whose sockets said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flows {
    /// All.
    pub all: u64,
    /// Decoded.
    pub decoded: u64,
    /// In part.
    pub partial: u64,
    /// Not readable.
    pub opaque: u64,
    /// Clear bytes, where the socket's are known.
    pub plain_bytes: u64,
    /// Bytes of the sockets.
    pub socket_bytes: u64,
    /// Connections whose bytes are not known.
    pub bytes_unknown: u64,
    /// Connections to nobody known that cannot be read.
    pub unknown_opaque: u64,
}

impl Flows {
    /// Adds those of another.
    pub fn add(&mut self, other: &Self) {
        self.all += other.all;
        self.decoded += other.decoded;
        self.partial += other.partial;
        self.opaque += other.opaque;
        self.plain_bytes = self.plain_bytes.saturating_add(other.plain_bytes);
        self.socket_bytes = self.socket_bytes.saturating_add(other.socket_bytes);
        self.bytes_unknown += other.bytes_unknown;
        self.unknown_opaque += other.unknown_opaque;
    }

    /// C_flow: decoded by all.
    pub fn c_flow(&self) -> Option<f64> {
        ratio(self.decoded, self.all)
    }

    /// C_byte: clear bytes by bytes of the sockets.
    pub fn c_byte(&self) -> Option<f64> {
        ratio(self.plain_bytes, self.socket_bytes)
    }
}

/// What can be said about AI use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// There was some.
    Some,
    /// There was none that the rule of absence leaves open.
    None,
    /// Nobody can say.
    Unknown,
}

impl Answer {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Some => "OBSERVED_SOME",
            Self::None => "OBSERVED_NONE",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// Why absence cannot be said, or content is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doubt {
    /// Time without a seal.
    NotSealed,
    /// Probes that should be attached were not.
    ProbesMissing,
    /// The self-test failed.
    SelftestFailed,
    /// The self-test was not made.
    SelftestNotMeasured,
    /// Events were lost.
    EventsLost,
    /// Flows to nobody known could not be read.
    UnknownOpaque,
    /// Programs that cannot be read had flows to nobody known.
    BlindSpots,
}

impl Doubt {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotSealed => "not_sealed",
            Self::ProbesMissing => "probes_missing",
            Self::SelftestFailed => "selftest_failed",
            Self::SelftestNotMeasured => "selftest_not_measured",
            Self::EventsLost => "events_lost",
            Self::UnknownOpaque => "unknown_opaque_flows",
            Self::BlindSpots => "blind_spots",
        }
    }
}

/// Time without a seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Begin, ns.
    pub from: i64,
    /// End, ns.
    pub to: i64,
    /// Why, as far as the seals around it show.
    pub cause: &'static str,
}

/// A part of the period, for a picture of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cell {
    /// Time expected, ns.
    pub expected: i64,
    /// Time with a seal, ns.
    pub sealed: i64,
    /// Time with a seal, all probes and a self-test that came through, ns.
    pub good: i64,
    /// Events lost.
    pub lost: u64,
    /// Flows to AI.
    pub ai_flows: u64,
    /// Flows to nobody known that cannot be read.
    pub unknown_opaque: u64,
}

impl Cell {
    /// What can be said about it; `None` where nothing was expected.
    pub fn answer(&self) -> Option<Answer> {
        if self.ai_flows > 0 {
            return Some(Answer::Some);
        }
        let observed =
            self.good + GAP_SLACK_NS >= self.expected && self.lost == 0 && self.unknown_opaque == 0;
        (self.expected > 0).then_some(if observed { Answer::None } else { Answer::Unknown })
    }
}

/// The coverage of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCoverage {
    /// Host.
    pub host: String,
    /// Time in which it should be observed, ns.
    pub expected: i64,
    /// The inventory says so; else the whole period is taken.
    pub in_inventory: bool,
    /// Of it, time with a seal.
    pub sealed: i64,
    /// Of that, time with all probes attached.
    pub probes_ok: i64,
    /// Of that, time with a self-test that came through.
    pub selftest_ok: i64,
    /// Of that, time without a self-test.
    pub selftest_not_measured: i64,
    /// Sealed, with all probes and a self-test that came through.
    pub good: i64,
    /// Seals.
    pub seals: u64,
    /// Events seen.
    pub events_seen: u64,
    /// Events lost.
    pub events_lost: u64,
    /// Flows to AI, as the seals count them.
    pub ai_flows: u64,
    /// Flows to nobody known that cannot be read, as the seals count them.
    pub unknown_opaque: u64,
    /// Connections.
    pub flows: Flows,
    /// Blind spots with flows to nobody known.
    pub blind_spots: u64,
    /// Exchanges decoded.
    pub interactions: u64,
    /// Gaps, by time.
    pub gaps: Vec<Gap>,
    /// Parts of the period.
    pub cells: Vec<Cell>,
}

impl HostCoverage {
    /// C_time.
    pub fn c_time(&self) -> Option<f64> {
        ratio(unsigned(self.good), unsigned(self.expected))
    }

    /// C_event: what was not lost.
    pub fn c_event(&self) -> Option<f64> {
        ratio(
            self.events_seen,
            self.events_seen.saturating_add(self.events_lost),
        )
    }

    /// Why absence cannot be said.
    pub fn doubts(&self) -> Vec<Doubt> {
        let probes_missing = self.sealed - self.probes_ok;
        let failed = self.sealed - self.selftest_ok - self.selftest_not_measured;
        let all = [
            (
                Doubt::NotSealed,
                self.expected == 0 || self.expected - self.sealed > GAP_SLACK_NS || self.seals == 0,
            ),
            (Doubt::ProbesMissing, probes_missing > 0),
            (Doubt::SelftestFailed, failed > 0),
            (Doubt::SelftestNotMeasured, self.selftest_not_measured > 0),
            (Doubt::EventsLost, self.events_lost > 0),
            (
                Doubt::UnknownOpaque,
                self.unknown_opaque + self.flows.unknown_opaque > 0,
            ),
            (Doubt::BlindSpots, self.blind_spots > 0),
        ];
        all.into_iter()
            .filter(|(_, is)| *is)
            .map(|(doubt, _)| doubt)
            .collect()
    }

    /// The answer: some, none, or nobody can say.
    pub fn answer(&self) -> Answer {
        if self.interactions > 0 || self.ai_flows > 0 || self.flows.all > 0 {
            Answer::Some
        } else if self.doubts().is_empty() {
            Answer::None
        } else {
            Answer::Unknown
        }
    }
}

fn unsigned(ns: i64) -> u64 {
    u64::try_from(ns).unwrap_or(0)
}

/// Takes the seals of one host, in the order of its chain.
#[derive(Debug)]
pub struct HostAccount {
    from: i64,
    to: i64,
    cell_ns: i64,
    last: Option<SealFacts>,
    /// Until when time is accounted for: seals that overlap count once.
    reached: i64,
    coverage: HostCoverage,
}

/// Width of the cells of a period, ns: five minutes, a quarter of an hour, or whole hours.
pub fn cell_width(from: i64, to: i64) -> i64 {
    let least = (to - from) / MAX_CELLS;
    match least {
        _ if least < MINUTE_NS * 5 => 5 * MINUTE_NS,
        _ if least < MINUTE_NS * 15 => 15 * MINUTE_NS,
        _ => (least / HOUR_NS + i64::from(least % HOUR_NS != 0)).max(1) * HOUR_NS,
    }
}

impl HostAccount {
    /// An account of `host` from `from` to `to`. `up` is when the inventory says that it was there.
    pub fn new(host: &str, from: i64, to: i64, up: Option<(i64, i64)>) -> Self {
        let (begin, end) = up.unwrap_or((from, to));
        let (from, to) = (begin.max(from).min(to), end.min(to).max(from));
        let cell_ns = cell_width(from, to.max(from));
        Self {
            from,
            to,
            cell_ns,
            last: None,
            reached: from,
            coverage: HostCoverage {
                host: host.to_owned(),
                expected: (to - from).max(0),
                in_inventory: up.is_some(),
                sealed: 0,
                probes_ok: 0,
                selftest_ok: 0,
                selftest_not_measured: 0,
                good: 0,
                seals: 0,
                events_seen: 0,
                events_lost: 0,
                ai_flows: 0,
                unknown_opaque: 0,
                flows: Flows::default(),
                blind_spots: 0,
                interactions: 0,
                gaps: Vec::new(),
                cells: Vec::new(),
            },
        }
    }

    /// The cells of another period than the expected one, so that hosts can be compared.
    #[must_use]
    pub fn with_cells(mut self, from: i64, to: i64) -> Self {
        self.cell_ns = cell_width(from, to);
        let count = usize::try_from((to - from + self.cell_ns - 1) / self.cell_ns).unwrap_or(0);
        self.coverage.cells = (0..count as i64)
            .map(|n| Cell {
                expected: overlap(
                    (from + n * self.cell_ns, (from + (n + 1) * self.cell_ns).min(to)),
                    (self.from, self.to),
                ),
                ..Cell::default()
            })
            .collect();
        self
    }

    /// Takes the next seal. `cells_from` is where the first cell begins.
    pub fn seal(&mut self, seal: &SealFacts, cells_from: i64) {
        // A seal that lies outside shows what came before, and counts for nothing.
        if seal.end > self.from && seal.start < self.to {
            self.gap_before(seal);
            let counted = (seal.start.max(self.reached), seal.end.min(self.to));
            self.time(seal, counted, cells_from);
            self.reached = self.reached.max(counted.1);
            self.counters(seal, cells_from);
        }
        self.last = Some(seal.clone());
    }

    fn time(&mut self, seal: &SealFacts, counted: (i64, i64), cells_from: i64) {
        let ns = (counted.1 - counted.0).max(0);
        let probes_ok = seal.probes_attached >= seal.probes_required;
        let selftest_ok = seal.selftest == "ok";
        let c = &mut self.coverage;
        c.sealed += ns;
        c.probes_ok += if probes_ok { ns } else { 0 };
        c.selftest_ok += if selftest_ok { ns } else { 0 };
        c.selftest_not_measured += if seal.selftest == "not_measured" { ns } else { 0 };
        c.good += if probes_ok && selftest_ok { ns } else { 0 };
        for (cell, begin) in c
            .cells
            .iter_mut()
            .zip((0..).map(|n| cells_from + n * self.cell_ns))
        {
            let part = overlap(counted, (begin, begin + self.cell_ns));
            cell.sealed += part;
            cell.good += if probes_ok && selftest_ok { part } else { 0 };
        }
    }

    fn counters(&mut self, seal: &SealFacts, cells_from: i64) {
        let c = &mut self.coverage;
        c.seals += 1;
        c.events_seen = c.events_seen.saturating_add(seal.events_seen);
        c.events_lost = c.events_lost.saturating_add(seal.events_lost);
        c.ai_flows = c.ai_flows.saturating_add(seal.ai_flows);
        c.unknown_opaque = c.unknown_opaque.saturating_add(seal.unknown_opaque);
        let at = (seal.start.max(cells_from) - cells_from) / self.cell_ns;
        if let Some(cell) = usize::try_from(at).ok().and_then(|at| c.cells.get_mut(at)) {
            cell.lost = cell.lost.saturating_add(seal.events_lost);
            cell.ai_flows = cell.ai_flows.saturating_add(seal.ai_flows);
            cell.unknown_opaque = cell.unknown_opaque.saturating_add(seal.unknown_opaque);
        }
    }

    fn gap_before(&mut self, seal: &SealFacts) {
        if seal.start <= self.reached.saturating_add(GAP_SLACK_NS) {
            return;
        }
        let cause = match &self.last {
            None if seal.open_reason == "first_start" => "before_first_start",
            None if seal.kind == SealKind::Open => cause_of_start(&seal.open_reason),
            None => "seals_missing",
            Some(last) => cause_between(last, seal),
        };
        self.coverage.gaps.push(Gap {
            from: self.reached,
            to: seal.start.min(self.to),
            cause,
        });
    }

    /// Ends the account. `now` is the wall clock, ns: a seal may be on its way.
    pub fn finish(mut self, now: i64) -> HostCoverage {
        let end = self.to;
        if end > self.reached.saturating_add(GAP_SLACK_NS) {
            let cause = match &self.last {
                None => "never_sealed",
                Some(last) if last.kind == SealKind::Close => "orderly_stop",
                Some(last) if now - last.end <= 2 * (last.end - last.start).max(GAP_SLACK_NS) => {
                    "not_sealed_yet"
                }
                Some(_) => "no_seal_since",
            };
            self.coverage.gaps.push(Gap {
                from: self.reached,
                to: end,
                cause,
            });
        }
        self.coverage
    }
}

/// Why there was nothing before the start of an epoch.
fn cause_of_start(open_reason: &str) -> &'static str {
    match open_reason {
        "restart" => "orderly_stop",
        "unclean" => "agent_killed",
        "unclean_reboot" => "host_reboot",
        "state_lost" => "state_lost",
        _ => "unknown",
    }
}

fn cause_between(last: &SealFacts, seal: &SealFacts) -> &'static str {
    if last.kind == SealKind::Close {
        return "orderly_stop";
    }
    if last.chain_epoch == seal.chain_epoch {
        return if last.seal_seq.saturating_add(1) == seal.seal_seq {
            "silent_gap"
        } else {
            "seals_missing"
        };
    }
    if last.boot_id == seal.boot_id {
        "agent_killed"
    } else {
        "host_reboot"
    }
}

fn overlap(a: (i64, i64), b: (i64, i64)) -> i64 {
    (a.1.min(b.1) - a.0.max(b.0)).max(0)
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
