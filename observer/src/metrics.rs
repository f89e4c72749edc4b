//! Prometheus metrics. Names and labels are documented in `docs/operations.md`; the number of series is bounded.

use observer_common::counters;
use prometheus::{
    Encoder, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
    core::Collector,
};

use crate::{
    alerts::Counts,
    app::Observed,
    coverage::{Ledger, REASONS, Stage},
    evidence::Table,
    kernel::probes::ProbeState,
    kubernetes::{State, Status},
    pipeline::{EnforcementTotals, Totals},
    policy::Verdict,
    spool::LossReason,
    store::Writer,
};

/// Counters of the pipeline thread at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    kernel: Vec<Option<u64>>,
    totals: Totals,
    ledger: Ledger,
    enforcement: EnforcementTotals,
    open_flows: usize,
    pods: usize,
    pods_refused: u64,
    probes_attached: usize,
    probes_failed: usize,
}

impl From<&Observed> for Snapshot {
    fn from(observed: &Observed) -> Self {
        let attached = observed
            .probes
            .iter()
            .filter(|(_, state)| *state == ProbeState::Attached)
            .count();
        Self {
            kernel: observed.kernel.clone(),
            totals: observed.totals,
            ledger: observed.ledger.clone(),
            enforcement: observed.enforcement,
            open_flows: observed.open_flows,
            pods: observed.pods,
            pods_refused: observed.pods_refused,
            probes_attached: attached,
            probes_failed: observed.probes.len() - attached,
        }
    }
}

/// All metrics of the daemon.
pub struct Metrics {
    registry: Registry,
    events: IntCounter,
    lost: IntCounterVec,
    lost_bytes: IntCounterVec,
    plaintext: IntCounterVec,
    flows: IntCounter,
    open_flows: IntGauge,
    exchanges: IntCounterVec,
    verdicts: IntCounterVec,
    went_dark: IntCounter,
    enforced: IntCounterVec,
    enforcement: IntGaugeVec,
    findings: IntCounter,
    connections: IntCounterVec,
    probes: IntGaugeVec,
    rules: IntGaugeVec,
    rows: IntCounterVec,
    rows_lost: IntCounterVec,
    lag: GaugeVec,
    spool: IntGaugeVec,
    spool_failures: IntCounter,
    spool_dropped: IntCounter,
    pods: PodMetrics,
    alerts: IntCounterVec,
}

impl Metrics {
    /// Registers all metrics.
    ///
    /// # Errors
    /// When a name is not valid or used twice.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| registered(&registry, IntCounter::new(name, help));
        let counters = |name: &str, help: &str, labels: &[&str]| {
            registered(&registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let gauges = |name: &str, help: &str, label: &str| {
            registered(&registry, IntGaugeVec::new(Opts::new(name, help), &[label]))
        };
        let gauge = IntGauge::new("observer_flows_open", "TLS flows open at the moment");
        let gauge = registered(&registry, gauge)?;
        let probes = gauges("observer_probes", "Probes by state", "state")?;
        let rules = gauges("observer_rules", "Rules for sensitive data by state", "state")?;
        let (enforced, enforcement) = enforcement_metrics(&registry)?;
        let lag = lag_gauge(&registry)?;
        let [lost, lost_bytes] = loss_counters(&registry)?;
        let spool = gauges(
            "observer_spool",
            "Rows that wait: segments, bytes on disk, bytes in memory",
            "what",
        )?;
        Ok(Self {
            pods: PodMetrics::new(&registry)?,
            alerts: counters(
                "observer_alerts_total",
                "Alerts by what became of them",
                &["result"],
            )?,
            spool,
            spool_failures: counter(
                "observer_spool_write_failures_total",
                "Attempts to write to the spool that failed",
            )?,
            spool_dropped: counter(
                "observer_spool_dropped_segments_total",
                "Segments of the spool that were given up",
            )?,
            events: counter("observer_events_total", "Records from the kernel")?,
            lost,
            lost_bytes,
            plaintext: counters(
                "observer_plaintext_bytes_total",
                "Plaintext by scope of its flow",
                &["class"],
            )?,
            flows: counter("observer_flows_total", "TLS flows seen")?,
            open_flows: gauge,
            exchanges: counters(
                "observer_exchanges_total",
                "HTTP exchanges by what they were",
                &["kind"],
            )?,
            verdicts: counters(
                "observer_verdicts_total",
                "AI exchanges by verdict of register and policy",
                &["verdict"],
            )?,
            went_dark: counter(
                "observer_programs_went_dark_total",
                "Programs that were read and are not any more while they go on connecting to AI",
            )?,
            enforced,
            enforcement,
            findings: counter("observer_findings_total", "Findings of sensitive data")?,
            connections: counters(
                "observer_ai_connections_total",
                "Ended connections to AI",
                &["visibility"],
            )?,
            probes,
            rules,
            rows: counters("observer_store_rows_total", "Rows stored", &["table"])?,
            rows_lost: counters(
                "observer_store_rows_lost_total",
                "Rows not stored",
                &["table", "reason"],
            )?,
            lag,
            registry,
        })
    }

    /// Notes how many rules are in use and how many were left out for a mistake in them.
    pub fn set_rules(&self, (in_use, left_out): (usize, usize)) {
        set(&self.rules.with_label_values(&["in_use"]), in_use);
        set(&self.rules.with_label_values(&["left_out"]), left_out);
    }

    /// Text of `/metrics` (Prometheus exposition format).
    pub fn render(&self, snapshot: &Snapshot, writer: &Writer, pods: &Status, alerts: &Counts) -> String {
        self.take_kernel(snapshot);
        self.take_pipeline(snapshot);
        self.take_writer(writer);
        self.pods.take(snapshot, pods);
        for (result, total) in alerts.all() {
            raise(&self.alerts.with_label_values(&[result]), total);
        }
        let mut text = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            Ok(()) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) => format!("# {error}\n"),
        }
    }

    fn take_kernel(&self, snapshot: &Snapshot) {
        let value = |index: u32| snapshot.kernel.get(index as usize).copied().flatten();
        if let Some(records) = value(counters::RECORDS) {
            raise(&self.events, records);
        }
        for (index, unit, name) in counters::ALL {
            let Some(total) = value(*index) else { continue };
            if let Some(reason) = name.strip_prefix("lost_") {
                let vec = if *unit == "bytes" {
                    &self.lost_bytes
                } else {
                    &self.lost
                };
                raise(&vec.with_label_values(&[Stage::Kernel.name(), reason]), total);
            }
        }
        let classes = [
            ("ai", counters::DELIVERED_AI_BYTES),
            ("undecided", counters::DELIVERED_UNDECIDED_BYTES),
            ("other_skipped", counters::SKIPPED_OTHER_BYTES),
            ("undecided_skipped", counters::SKIPPED_PREFIX_BYTES),
        ];
        for (class, index) in classes {
            raise(
                &self.plaintext.with_label_values(&[class]),
                value(index).unwrap_or(0),
            );
        }
    }

    fn take_pipeline(&self, snapshot: &Snapshot) {
        for (stage, reason, loss) in snapshot.ledger.iter() {
            raise(&self.lost.with_label_values(&[stage.name(), reason]), loss.events);
            raise(
                &self.lost_bytes.with_label_values(&[stage.name(), reason]),
                loss.bytes,
            );
        }
        let totals = &snapshot.totals;
        raise(&self.flows, totals.flows);
        raise(&self.findings, totals.findings);
        raise(&self.went_dark, totals.went_dark);
        for (verdict, total) in Verdict::NAMES.into_iter().zip(totals.verdicts) {
            raise(&self.verdicts.with_label_values(&[verdict]), total);
        }
        let whole = totals.exchanges - totals.exchanges_partial;
        for (kind, total) in [
            ("decoded", whole),
            ("partial", totals.exchanges_partial),
            ("not_ai", totals.exchanges_other),
        ] {
            raise(&self.exchanges.with_label_values(&[kind]), total);
        }
        for (visibility, total) in [
            ("decoded", totals.ai_connections_decoded),
            ("partial", totals.ai_connections_partial),
            ("opaque", totals.ai_connections_opaque),
        ] {
            raise(&self.connections.with_label_values(&[visibility]), total);
        }
        self.take_enforcement(&snapshot.enforcement);
        set(&self.open_flows, snapshot.open_flows);
        set(
            &self.probes.with_label_values(&["attached"]),
            snapshot.probes_attached,
        );
        set(
            &self.probes.with_label_values(&["failed"]),
            snapshot.probes_failed,
        );
    }

    fn take_enforcement(&self, of: &EnforcementTotals) {
        for (action, total) in EnforcementTotals::ACTIONS.into_iter().zip(of.decisions) {
            raise(&self.enforced.with_label_values(&[action]), total);
        }
        let gauge = |what: &str, value: u64| {
            let gauge = self.enforcement.with_label_values(&[what]);
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        gauge("active", u64::from(of.active));
        gauge("closed_addresses", of.closed_addresses);
    }

    fn take_writer(&self, writer: &Writer) {
        let stats = writer.spool().stats();
        for (what, value) in [
            ("segments", stats.segments()),
            ("disk_bytes", stats.disk_bytes()),
            ("memory_bytes", stats.pending_bytes()),
        ] {
            let gauge = self.spool.with_label_values(&[what]);
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        raise(&self.spool_failures, stats.disk_failures());
        raise(&self.spool_dropped, stats.dropped_segments());
        for table in Table::ALL {
            raise(
                &self.rows.with_label_values(&[table.name()]),
                stats.written(table),
            );
            for reason in LossReason::ALL {
                raise(
                    &self.rows_lost.with_label_values(&[table.name(), reason.name()]),
                    stats.lost(table, reason),
                );
            }
        }
        self.lag
            .with_label_values::<&str>(&[])
            .set(writer.spool().lag().as_secs_f64());
    }
}

/// A metric, registered.
fn registered<M: Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<M>,
) -> prometheus::Result<M> {
    let metric = metric?;
    registry.register(Box::new(metric.clone())).map(|()| metric)
}

/// Losses and their bytes. Each reason has its series from the beginning: what appears with a number is no increase to Prometheus, and an
/// alert on one would not see the first burst.
fn loss_counters(registry: &Registry) -> prometheus::Result<[IntCounterVec; 2]> {
    let counters = |name: &str, help: &str| -> prometheus::Result<IntCounterVec> {
        let opts = Opts::new(name, help);
        let vec = registered(registry, IntCounterVec::new(opts, &["stage", "reason"]))?;
        for (stage, reason) in REASONS {
            vec.get_metric_with_label_values(&[stage.name(), reason])?;
        }
        Ok(vec)
    };
    Ok([
        counters("observer_lost_total", "Losses by stage and reason")?,
        counters("observer_lost_bytes_total", "Bytes of these losses")?,
    ])
}

/// Decisions by what was done, and the state of enforcement.
fn enforcement_metrics(registry: &Registry) -> prometheus::Result<(IntCounterVec, IntGaugeVec)> {
    let decisions = Opts::new(
        "observer_enforcement_decisions_total",
        "Decisions of enforcement by what was done",
    );
    let state = Opts::new(
        "observer_enforcement",
        "Enforcement: 1 while active, addresses closed to somebody",
    );
    Ok((
        registered(registry, IntCounterVec::new(decisions, &["action"]))?,
        registered(registry, IntGaugeVec::new(state, &["what"]))?,
    ))
}

fn lag_gauge(registry: &Registry) -> prometheus::Result<GaugeVec> {
    let opts = Opts::new(
        "observer_store_lag_seconds",
        "Age of the oldest row not yet stored",
    );
    registered(registry, GaugeVec::new(opts, &[]))
}

/// How asking the API server for names of pods goes.
struct PodMetrics {
    pods: IntGauge,
    skipped: IntCounter,
    state: IntGaugeVec,
    faults: IntCounterVec,
}

impl PodMetrics {
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        let pods = IntGauge::new(
            "observer_kubernetes_pods",
            "Pods of this node whose names are known",
        );
        let skipped = IntCounter::new(
            "observer_kubernetes_skipped_total",
            "Descriptions of pods that could not be read or kept",
        );
        let state = Opts::new(
            "observer_kubernetes_api",
            "1 for how asking the API server for pods goes",
        );
        let faults = Opts::new(
            "observer_kubernetes_faults_total",
            "Questions to the API server that were not answered as wanted",
        );
        Ok(Self {
            pods: registered(registry, pods)?,
            skipped: registered(registry, skipped)?,
            state: registered(registry, IntGaugeVec::new(state, &["state"]))?,
            faults: registered(registry, IntCounterVec::new(faults, &["reason"]))?,
        })
    }

    fn take(&self, snapshot: &Snapshot, status: &Status) {
        set(&self.pods, snapshot.pods);
        raise(&self.skipped, status.skipped() + snapshot.pods_refused);
        for state in State::ALL {
            let is_now = i64::from(status.state() == state);
            self.state.with_label_values(&[state.name()]).set(is_now);
        }
        for (reason, total) in status.faults() {
            raise(&self.faults.with_label_values(&[reason]), total);
        }
    }
}

/// Brings a counter up to a total that another place counts.
fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

fn set(gauge: &IntGauge, value: usize) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_of_a_loss_has_its_series_before_the_first_loss() {
        let metrics = Metrics::new().unwrap();
        let value =
            |stage: Stage, reason: &str| metrics.lost.with_label_values(&[stage.name(), reason]).get();
        let lost = |name: &str| {
            let families = metrics.registry.gather();
            let family = families.iter().find(|family| family.name() == name);
            family.map_or(0, |family| family.get_metric().len())
        };
        for name in ["observer_lost_total", "observer_lost_bytes_total"] {
            assert_eq!(lost(name), REASONS.len());
        }
        let mut snapshot = Snapshot::default();
        snapshot.ledger.lose(Stage::Flow, "gap", 10);
        metrics.take_pipeline(&snapshot);
        assert_eq!(
            (value(Stage::Flow, "gap"), value(Stage::Flow, "gap_at_end")),
            (1, 0)
        );
        assert_eq!(lost("observer_lost_total"), REASONS.len());
    }
}
