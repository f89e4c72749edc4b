//! Clauses and Annex A controls of ISO/IEC 42001:2023, by number and short title, with the evidence that these records are for
//! them. `docs/iso-42001.md` is written from this list. Pure.

use super::facts::Facts;

/// How far telemetry alone carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// No evidence: something else must show it.
    None,
    /// Only an input for people.
    Weak,
    /// Part of it.
    Medium,
    /// Most of it, within what was observed.
    Strong,
}

impl Strength {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Weak => "weak",
            Self::Medium => "medium",
            Self::Strong => "strong",
        }
    }
}

/// A number of this period that belongs to a control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Live {
    /// No number.
    Nothing,
    /// Systems in use, and of them unsanctioned ones.
    Systems,
    /// Findings of sensitive data.
    Findings,
    /// Coverage and its gaps.
    Coverage,
    /// Verdict on the chain.
    Verification,
    /// Changes of agent, rules and policy.
    Changes,
    /// Calls, and of them failed ones.
    Calls,
    /// Connections that were not read.
    Unread,
    /// Findings that somebody disposed of.
    Dispositions,
    /// Entries of the register, and of them those without use.
    Register,
}

/// One clause or control.
#[derive(Debug, Clone, Copy)]
pub struct Control {
    /// Number.
    pub id: &'static str,
    /// Short title.
    pub title: &'static str,
    /// What these records show.
    pub shows: &'static str,
    /// How far that carries.
    pub strength: Strength,
    /// What is still missing.
    pub limit: &'static str,
    /// Its number.
    pub live: Live,
}

const fn control(
    id: &'static str,
    title: &'static str,
    shows: &'static str,
    strength: Strength,
    limit: &'static str,
    live: Live,
) -> Control {
    Control {
        id,
        title,
        shows,
        strength,
        limit,
        live,
    }
}

use Live as L;
use Strength::{Medium, None as No, Strong, Weak};

/// All that telemetry has something to say about, and those for which it has nothing, so that nobody takes silence for
/// evidence.
pub const CONTROLS: [Control; 50] = [
    control(
        "4.1, 4.3",
        "Context; scope",
        "AI use that exists in fact, and use outside the declared scope",
        Medium,
        "only hosts that are observed",
        L::Systems,
    ),
    control(
        "5.2, 5.3",
        "AI policy; roles",
        "that a policy of this digest was evaluated",
        No,
        "the policy itself is a decision of people",
        L::Nothing,
    ),
    control(
        "6.1.2, 8.2",
        "AI risk assessment",
        "how often, with which data classes, to which providers",
        Weak,
        "an input for the assessment",
        L::Findings,
    ),
    control(
        "6.1.3, 8.3",
        "AI risk treatment; statement of applicability",
        "that monitoring as a treatment ran, and the share that was not read",
        Medium,
        "other treatments are not seen",
        L::Coverage,
    ),
    control(
        "6.1.4, 8.4",
        "AI system impact assessment",
        "which systems in fact handle personal data classes",
        Weak,
        "an input for the assessment",
        L::Findings,
    ),
    control(
        "6.2",
        "AI objectives",
        "measured values: sanctioned share, findings, coverage",
        Medium,
        "the objectives are set by people",
        L::Systems,
    ),
    control(
        "6.3",
        "Planning of changes",
        "when agent, rules, policy and catalogue changed",
        Medium,
        "why they changed is in change records",
        L::Changes,
    ),
    control(
        "7.3",
        "Awareness",
        "trend of unsanctioned use",
        Weak,
        "indirect",
        L::Systems,
    ),
    control(
        "7.5.3",
        "Control of documented information",
        "integrity and retention of these records",
        Strong,
        "for these records only",
        L::Verification,
    ),
    control(
        "8.1",
        "Operational planning and control",
        "that observation ran as planned, and which external services were used",
        Medium,
        "only what was observed",
        L::Coverage,
    ),
    control(
        "9.1",
        "Monitoring, measurement, analysis and evaluation",
        "what was measured, when, how, with what result",
        Strong,
        "the organisation decides what, when and how, and evaluates",
        L::Coverage,
    ),
    control(
        "9.2",
        "Internal audit",
        "population, a sample that can be drawn again, re-performance by observer verify",
        Medium,
        "independence is a matter of people",
        L::Verification,
    ),
    control(
        "9.3",
        "Management review",
        "trends and results as an input",
        Medium,
        "the review is held by people",
        L::Systems,
    ),
    control(
        "10.1, 10.2",
        "Improvement; nonconformity and corrective action",
        "finding, disposition, and whether it came again",
        Medium,
        "the action is taken by people",
        L::Dispositions,
    ),
    control(
        "A.2.2",
        "AI policy",
        "rate of exceptions as an input",
        Weak,
        "the policy is a document",
        L::Systems,
    ),
    control(
        "A.2.3",
        "Alignment with other policies",
        "rate of exceptions as an input",
        Weak,
        "alignment is judged by people",
        L::Nothing,
    ),
    control(
        "A.2.4",
        "Review of the AI policy",
        "rate of exceptions as an input",
        Weak,
        "the review is held by people",
        L::Nothing,
    ),
    control(
        "A.3.2",
        "AI roles and responsibilities",
        "who disposed of findings",
        Weak,
        "roles are assigned by people",
        L::Dispositions,
    ),
    control(
        "A.3.3",
        "Reporting of concerns",
        "nothing: a channel for people",
        No,
        "alerts are no such channel",
        L::Nothing,
    ),
    control(
        "A.4.2",
        "Resource documentation",
        "AI services in use, against the documented ones",
        Medium,
        "external services more than internal ones",
        L::Systems,
    ),
    control(
        "A.4.3",
        "Data resources",
        "classes of data that entered prompts",
        Weak,
        "classes, not data sets",
        L::Findings,
    ),
    control(
        "A.4.4",
        "Tooling resources",
        "clients, agents and MCP servers in use",
        Medium,
        "as far as they call",
        L::Systems,
    ),
    control(
        "A.4.5",
        "System and computing resources",
        "hosts, workloads and local model servers",
        Medium,
        "accelerators are not seen",
        L::Unread,
    ),
    control(
        "A.4.6",
        "Human resources",
        "nothing",
        No,
        "not in telemetry",
        L::Nothing,
    ),
    control(
        "A.5.2",
        "AI system impact assessment process",
        "nothing by itself",
        Weak,
        "which systems need one",
        L::Nothing,
    ),
    control(
        "A.5.3",
        "Documentation of impact assessments",
        "nothing by itself",
        Weak,
        "documents are kept elsewhere",
        L::Nothing,
    ),
    control(
        "A.5.4",
        "Impact on individuals or groups",
        "which systems handle personal data classes",
        Weak,
        "the impact is judged by people",
        L::Findings,
    ),
    control(
        "A.5.5",
        "Societal impacts",
        "nothing",
        No,
        "not in telemetry",
        L::Nothing,
    ),
    control(
        "A.6.1.2",
        "Objectives for responsible development",
        "nothing",
        No,
        "not in telemetry",
        L::Nothing,
    ),
    control(
        "A.6.1.3",
        "Processes for responsible design and development",
        "nothing",
        No,
        "not in telemetry",
        L::Nothing,
    ),
    control(
        "A.6.2.2 to A.6.2.4",
        "Requirements; design documents; verification and validation",
        "first use in production, to compare with approval",
        Weak,
        "an input only",
        L::Nothing,
    ),
    control(
        "A.6.2.5",
        "AI system deployment",
        "first use in production against the date of approval",
        Medium,
        "where the register has the system",
        L::Systems,
    ),
    control(
        "A.6.2.6",
        "AI system operation and monitoring",
        "calls, errors, latency, changes of model",
        Medium,
        "nothing about quality, drift or bias of a model",
        L::Calls,
    ),
    control(
        "A.6.2.7",
        "Technical documentation",
        "nothing by itself",
        Weak,
        "documents are kept elsewhere",
        L::Nothing,
    ),
    control(
        "A.6.2.8",
        "AI system recording of event logs",
        "each use with time, caller, model and outcome; that recording was not interrupted",
        Strong,
        "for observed traffic; beside the system, not its own log of decisions",
        L::Coverage,
    ),
    control(
        "A.7.2",
        "Data for development and enhancement",
        "nothing",
        No,
        "training is not seen",
        L::Nothing,
    ),
    control(
        "A.7.3",
        "Acquisition of data",
        "connections to hubs of models and data",
        Weak,
        "times and hosts, not contents",
        L::Unread,
    ),
    control(
        "A.7.4, A.7.6",
        "Quality of data; data preparation",
        "nothing",
        No,
        "training is not seen",
        L::Nothing,
    ),
    control(
        "A.7.5",
        "Data provenance",
        "which workload sent which class to which model",
        Weak,
        "nothing about where it came from before",
        L::Findings,
    ),
    control(
        "A.8.2, A.8.5",
        "Information for users and interested parties",
        "nothing",
        No,
        "not in telemetry",
        L::Nothing,
    ),
    control(
        "A.8.3",
        "External reporting",
        "nothing",
        No,
        "a channel for people",
        L::Nothing,
    ),
    control(
        "A.8.4",
        "Communication of incidents",
        "what happened when, and how long until it was disposed of",
        Medium,
        "the communication is made by people",
        L::Dispositions,
    ),
    control(
        "A.9.2",
        "Processes for responsible use",
        "approved against observed use; exceptions handled in time",
        Strong,
        "the operating side",
        L::Systems,
    ),
    control(
        "A.9.3",
        "Objectives for responsible use",
        "measured values for such objectives",
        Medium,
        "the objectives are set by people",
        L::Systems,
    ),
    control(
        "A.9.4",
        "Intended use",
        "use inside and outside of the register: endpoint, model, workload, data class",
        Medium,
        "as fine as the register is",
        L::Register,
    ),
    control(
        "A.10.2",
        "Allocating responsibilities",
        "third parties in use, by workload",
        Weak,
        "who is responsible is in contracts",
        L::Register,
    ),
    control(
        "A.10.3",
        "Suppliers",
        "suppliers in use in fact, declared or not",
        Medium,
        "discovery, not assurance",
        L::Systems,
    ),
    control(
        "A.10.4",
        "Customers",
        "nothing, unless AI is served to customers here",
        Weak,
        "calls that hosts answer are recorded with `capture.served_calls` only, which is off by default, and the caller is an address",
        L::Nothing,
    ),
    control(
        "27001 A.8.15, A.8.16",
        "Logging; monitoring activities (ISO/IEC 27001:2022)",
        "the same records",
        Medium,
        "for AI traffic only",
        L::Coverage,
    ),
    control(
        "27001 A.8.12",
        "Data leakage prevention (ISO/IEC 27001:2022)",
        "detection of classes of sensitive data",
        Weak,
        "detects, does not prevent",
        L::Findings,
    ),
];

impl Live {
    /// The number, in words.
    pub fn say(self, facts: &Facts) -> String {
        let coverage = &facts.coverage;
        match self {
            Self::Nothing => String::new(),
            Self::Systems => format!(
                "systems: {}, of them not sanctioned: {}",
                facts.all_systems(),
                facts.unsanctioned_systems()
            ),
            Self::Findings => format!(
                "findings: {}, of different kinds: {}",
                facts.finding_total(),
                facts.findings.len()
            ),
            Self::Coverage => format!(
                "C_time {}, C_event {}, gaps: {}",
                super::percent(coverage.c_time()),
                super::percent(coverage.c_event()),
                coverage.hosts.iter().map(|h| h.gaps.len()).sum::<usize>()
            ),
            Self::Verification => format!(
                "verdict: {}; {} seals, {} records",
                facts.verification.verdict().word().replace('_', " "),
                facts.verification.total(|c| c.seals),
                facts.verification.total(|c| c.records)
            ),
            Self::Changes => format!("versions in use: {}", facts.changes.len()),
            Self::Calls => format!("calls: {}, failed: {}", facts.calls(), facts.failed_calls()),
            Self::Unread => format!("destinations never read: {}", facts.unread.len()),
            Self::Register => format!(
                "register entries: {}, without a call: {}",
                facts.governance.register.len(),
                facts.governance.register.iter().filter(|e| e.calls == 0).count()
            ),
            Self::Dispositions => format!(
                "disposed of: {} of {} findings",
                facts.disposed(),
                facts.finding_total()
            ),
        }
    }
}

/// The table of `docs/iso-42001.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "| number | short title | what the records show | strength | limit |\n|---|---|---|---|---|\n",
    );
    for c in CONTROLS {
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} |\n",
            c.id,
            c.title,
            c.shows,
            c.strength.word(),
            c.limit
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    // Set OBSERVER_UPDATE=1 to write the table anew.
    #[test]
    fn the_documented_table_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/iso-42001.md");
        let found = std::fs::read_to_string(path).expect("docs/iso-42001.md");
        let (head, rest) = found.split_once("| number |").expect("a table");
        let tail = rest.split_once("\n\n").map_or("", |(_, tail)| tail);
        let expected = format!("{head}{}\n{tail}", markdown());
        if std::env::var_os("OBSERVER_UPDATE").is_some() {
            std::fs::write(path, &expected).expect("written");
            return;
        }
        assert!(
            found == expected,
            "run this test with OBSERVER_UPDATE=1 and commit the file"
        );
    }

    #[test]
    fn nothing_is_claimed_where_nothing_is_shown() {
        for c in CONTROLS {
            let nothing = c.shows.starts_with("nothing") || c.id == "5.2, 5.3";
            assert!(c.strength != No || nothing, "{}", c.id);
            if c.shows == "nothing" {
                assert!(c.strength == No && c.live == L::Nothing, "{}", c.id);
            }
        }
    }
}
