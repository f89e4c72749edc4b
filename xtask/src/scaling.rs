//! `cargo xtask scaling`: what a fleet takes, computed from what was measured (`docs/costs.md`), as the table of `docs/scaling.md`. Pure but for
//! the two files.

use anyhow::{Context, Result, bail};

use crate::bench::document;
use crate::run::{root, say};

const AREA: &str = "scaling";
const COSTS: &str = "docs/costs.md";
const DOCUMENT: &str = "docs/scaling.md";

/// What the paper hosts do. One call is one connection, which is the most that a call can cost.
const CALLS_A_DAY: f64 = 1_000.0;
const FINDINGS_A_CALL: f64 = 0.02;
const SEAL_SECONDS: [f64; 2] = [30.0, 300.0];
const HOSTS: [f64; 4] = [10.0, 100.0, 1_000.0, 10_000.0];
/// Days that records and seals are kept, by default.
const KEPT: [f64; 2] = [400.0, 1_130.0];
const DAY: f64 = 86_400.0;

/// What was measured, each by its line in `docs/costs.md`.
#[derive(Debug, PartialEq)]
struct Measured {
    /// CPU for a call, ns: pipeline, numbering and hashing, and the way to disk.
    call_ns: f64,
    /// CPU for a seal, ns.
    seal_ns: f64,
    /// Bytes of a row in the store.
    interaction: f64,
    finding: f64,
    connection: f64,
    seal: f64,
    /// Bytes of a row in the spool, and on its way to the store.
    spooled: f64,
    sent: f64,
    /// Rows verified in a second.
    verified: f64,
}

impl Measured {
    fn read(costs: &str) -> Result<Self> {
        let of = |label: &str| value(costs, label).with_context(|| format!("{COSTS} has no line {label:?}"));
        Ok(Self {
            call_ns: of("one call of 2 KiB")?
                + of("numbering and hashing an interaction")?
                + of("push of an interaction")?,
            seal_ns: of("making and signing a seal")?,
            interaction: of("on disk: ai_interactions")?,
            finding: of("on disk: ai_findings")?,
            connection: of("on disk: ai_connections")?,
            seal: of("on disk: evidence_seals")?,
            spooled: of("bytes of an interaction on disk")?,
            sent: of("sent to the store, a row")?,
            verified: of("verify: rows per second")?,
        })
    }
}

/// The number in the second column of the first line of a table that has this label.
fn value(costs: &str, label: &str) -> Option<f64> {
    costs.lines().find_map(|line| {
        let mut cells = line.split('|').map(str::trim);
        (cells.next()?.is_empty() && cells.next()? == label).then_some(())?;
        let number = cells.next()?.split(' ').next()?.replace(',', "");
        number.parse().ok()
    })
}

/// What so many hosts that seal so often come to.
struct Fleet {
    rows_a_second: f64,
    seals_a_second: f64,
    inserts_a_second: f64,
    network_bits: f64,
    day_bytes: f64,
    kept_bytes: f64,
    verify_seconds: f64,
}

impl Fleet {
    fn of(measured: &Measured, hosts: f64, seal_seconds: f64) -> Self {
        let (calls, seals) = (hosts * CALLS_A_DAY, hosts * DAY / seal_seconds);
        let records = calls * (2.0 + FINDINGS_A_CALL);
        let record_bytes =
            calls * (measured.interaction + measured.connection + FINDINGS_A_CALL * measured.finding);
        let seal_bytes = seals * measured.seal;
        // A seal closes a segment; a call comes alone as a rule, and its rows go to two tables.
        let inserts = seals + 2.0 * calls;
        Self {
            rows_a_second: (records + seals) / DAY,
            seals_a_second: seals / DAY,
            inserts_a_second: inserts / DAY,
            network_bits: 8.0 * measured.sent * (records + seals) / DAY,
            day_bytes: record_bytes + seal_bytes,
            kept_bytes: KEPT[0] * record_bytes + KEPT[1] * seal_bytes,
            verify_seconds: (records + seals) / measured.verified,
        }
    }
}

/// What one host takes, and what all of them do.
fn section(measured: &Measured) -> String {
    let cpu = CALLS_A_DAY * measured.call_ns / 1e9;
    let seals = DAY / SEAL_SECONDS[0];
    let mut text = format!(
        "One host with {CALLS_A_DAY} calls a day: {cpu:.2} s of CPU a day for its calls ({:.0} us each) and {:.2} s for {seals} seals; its rows of a \
         day take {:.1} MB in the spool if the store is away.\n\n",
        measured.call_ns / 1000.0,
        seals * measured.seal_ns / 1e9,
        (CALLS_A_DAY * (2.0 + FINDINGS_A_CALL) + seals) * measured.spooled / 1e6,
    );
    text.push_str(
        "| hosts | seal every | rows/s | of these seals/s | inserts/s, at most | network | store, a day | store, kept | verifying a day |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for hosts in HOSTS {
        for seconds in SEAL_SECONDS {
            let fleet = Fleet::of(measured, hosts, seconds);
            text.push_str(&format!(
                "| {hosts} | {seconds} s | {} | {} | {} | {}bit/s | {}B | {}B | {} s |\n",
                short(fleet.rows_a_second),
                short(fleet.seals_a_second),
                short(fleet.inserts_a_second),
                scaled(fleet.network_bits),
                scaled(fleet.day_bytes),
                scaled(fleet.kept_bytes),
                short(fleet.verify_seconds),
            ));
        }
    }
    text
}

/// Two digits that count.
fn short(value: f64) -> String {
    match value {
        v if v >= 10.0 => format!("{v:.0}"),
        v if v >= 1.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

fn scaled(value: f64) -> String {
    let steps = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let step = steps.into_iter().find(|(size, _)| value >= *size);
    let (size, prefix) = step.unwrap_or((1.0, ""));
    format!("{} {prefix}", short(value / size))
}

/// Writes the table anew; with `check` it only says whether it is as it has to be.
pub(crate) fn run(check: bool) -> Result<()> {
    let read = |file: &str| {
        std::fs::read_to_string(root().join(file)).with_context(|| format!("cannot read {file}"))
    };
    let old = read(DOCUMENT)?;
    let new = document::replace(&old, "scaling", &section(&Measured::read(&read(COSTS)?)?))?;
    if old == new {
        return Ok(());
    }
    if check {
        bail!("{DOCUMENT} is not what {COSTS} comes to: cargo xtask scaling");
    }
    std::fs::write(root().join(DOCUMENT), new).with_context(|| format!("cannot write {DOCUMENT}"))?;
    say(AREA, &format!("{DOCUMENT}: new"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_what_the_costs_come_to() {
        run(true).expect("docs/scaling.md");
    }

    #[test]
    fn a_value_is_found_by_its_label() {
        let costs =
            "# x\n| what | measured |\n| --- | --- |\n| a b | 1,234 ns (1 to 2) | | |\n| a | 5 rows | | |\n";
        assert_eq!(value(costs, "a b"), Some(1234.0));
        assert_eq!(value(costs, "a"), Some(5.0));
        assert_eq!(value(costs, "c"), None);
    }

    #[test]
    fn a_fleet_is_the_sum_of_its_hosts() {
        let measured = Measured {
            call_ns: 1e6,
            seal_ns: 1.0,
            interaction: 100.0,
            finding: 50.0,
            connection: 99.0,
            seal: 10.0,
            spooled: 1.0,
            sent: 1000.0,
            verified: 100.0,
        };
        let (one, ten) = (Fleet::of(&measured, 1.0, DAY), Fleet::of(&measured, 10.0, DAY));
        assert!((one.day_bytes - (200.0 * CALLS_A_DAY + 10.0)).abs() < 1e-6);
        assert!((ten.kept_bytes - 10.0 * one.kept_bytes).abs() < 1e-3);
        assert!((one.rows_a_second * DAY - (2.02 * CALLS_A_DAY + 1.0)).abs() < 1e-6);
        assert!((one.verify_seconds - 20.21).abs() < 1e-6);
    }

    #[test]
    fn numbers_have_two_digits() {
        assert_eq!(
            [0.123, 1.26, 12.6, 1234.0].map(short),
            ["0.12", "1.3", "13", "1234"]
        );
        assert_eq!([12.0, 1.5e3, 2e12].map(scaled), ["12 ", "1.5 k", "2.0 T"]);
    }
}
