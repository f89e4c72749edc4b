//! Alerts as they happen, for a SIEM or a file: findings from a severity on, and use that nobody sanctioned. Off by default.
//!
//! An alert is an OCSF event made of a row (`siem`): it says what the row says, and no text of any call. What can be sent is bounded, and
//! what cannot is counted; the rows themselves do not depend on it. `send` does output, all else is pure.

mod send;
mod syslog;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde_json::Value;
use tokio::sync::mpsc;

use crate::{
    config,
    evidence::{ConnectionRow, FindingRow, InteractionRow, Severity},
    siem,
};
pub use send::Sender;
pub(crate) use send::directory;

/// Alerts that wait for their turn; a row takes some KiB.
const WAITING: usize = 1_024;

/// What an alert is made of.
#[derive(Debug)]
pub enum Alert {
    /// Sensitive data in a call, and that call.
    Finding(Box<(FindingRow, InteractionRow)>),
    /// A call that nobody sanctioned.
    Call(Box<InteractionRow>),
    /// A connection that nobody sanctioned and nobody could read.
    Unread(Box<ConnectionRow>),
}

impl Alert {
    /// The word for its kind, as in syslog's MSGID.
    fn kind(&self) -> &'static str {
        match self {
            Self::Finding(_) => "finding",
            Self::Call(_) => "unsanctioned_call",
            Self::Unread(_) => "unsanctioned_connection",
        }
    }

    /// Time of its row, ns since the Unix epoch.
    fn ts(&self) -> i64 {
        match self {
            Self::Finding(rows) => rows.0.ts,
            Self::Call(row) => row.ts,
            Self::Unread(row) => row.ts,
        }
    }

    fn severity(&self) -> Severity {
        match self {
            Self::Finding(rows) => rows.0.severity,
            Self::Call(_) | Self::Unread(_) => Severity::Medium,
        }
    }

    fn event(&self) -> Option<Value> {
        match self {
            Self::Finding(rows) => siem::finding_alert(&rows.0, &rows.1),
            Self::Call(row) => siem::call_alert(row),
            Self::Unread(row) => siem::connection_alert(row),
        }
    }
}

/// How many alerts went which way.
#[derive(Debug, Default)]
pub struct Counts([AtomicU64; Counts::NAMES.len()]);

/// Which way an alert went.
#[derive(Debug, Clone, Copy)]
enum Way {
    Sent,
    QueueFull,
    TooLong,
    AtTheEnd,
}

impl Counts {
    /// Names for metrics, in the order of the ways: sent, no room, longer than a datagram may be, not sent when the daemon ended.
    pub const NAMES: [&'static str; 4] = ["sent", "queue_full", "too_long", "daemon_ended"];

    /// Alerts so far, by way.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        Self::NAMES.into_iter().zip(counts)
    }

    fn count(&self, way: Way, alerts: u64) {
        self.0[way as usize].fetch_add(alerts, Ordering::Relaxed);
    }
}

/// The door for rows. Never waits.
pub struct Alerts {
    /// Findings of at least this severity; none: no findings.
    least: Option<Severity>,
    unsanctioned: bool,
    queue: Option<mpsc::Sender<Alert>>,
    counts: Arc<Counts>,
}

impl Alerts {
    /// A door that leads to nobody.
    pub fn off() -> Self {
        Self {
            least: None,
            unsanctioned: false,
            queue: None,
            counts: Arc::default(),
        }
    }

    /// As the configuration says; with the other end, where there is one.
    pub fn new(config: &config::Alerts, host_name: &str) -> (Self, Option<Sender>) {
        let Some(outlet) = &config.to else {
            return (Self::off(), None);
        };
        let (queue, waiting) = mpsc::channel(WAITING);
        let counts = Arc::<Counts>::default();
        let sender = Sender::new(outlet.clone(), host_name, waiting, Arc::clone(&counts));
        let alerts = Self {
            least: config.findings.and_then(|number| Severity::try_from(number).ok()),
            unsanctioned: config.unsanctioned,
            queue: Some(queue),
            counts,
        };
        (alerts, Some(sender))
    }

    /// How many alerts went which way.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Whether findings can be alerts, so that their call is needed.
    pub fn wants_findings(&self) -> bool {
        self.queue.is_some() && self.least.is_some()
    }

    /// A finding of a call, both numbered and hashed. Published examples alarm nobody.
    pub fn finding(&self, row: &FindingRow, call: &InteractionRow) {
        let is_real = row.confidence != "documented_example";
        if is_real && self.least.is_some_and(|least| row.severity >= least) {
            self.send(|| Alert::Finding(Box::new((row.clone(), call.clone()))));
        }
    }

    /// A call, numbered and hashed.
    pub fn call(&self, row: &InteractionRow) {
        if self.unsanctioned && row.policy_verdict == "unsanctioned" {
            self.send(|| Alert::Call(Box::new(row.clone())));
        }
    }

    /// A connection, numbered and hashed. One that was read has its calls.
    pub fn connection(&self, row: &ConnectionRow) {
        if self.unsanctioned && row.policy_verdict == "unsanctioned" && row.visibility == "opaque" {
            self.send(|| Alert::Unread(Box::new(row.clone())));
        }
    }

    fn send(&self, alert: impl FnOnce() -> Alert) {
        let Some(queue) = &self.queue else { return };
        match queue.try_reserve() {
            Ok(place) => place.send(alert()),
            Err(_) => self.counts.count(Way::QueueFull, 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Outlet;

    fn counted(counts: &Counts, name: &str) -> u64 {
        counts
            .all()
            .find(|(way, _)| *way == name)
            .map_or(0, |(_, count)| count)
    }

    #[test]
    fn what_is_asked_for_goes_out_and_nothing_else_and_what_has_no_room_is_counted() {
        let config = config::Alerts {
            to: Some(Outlet::Stdout),
            findings: Some(4),
            unsanctioned: true,
        };
        let (alerts, sender) = Alerts::new(&config, "h");
        let (mut finding, mut call) = (FindingRow::unknown(), InteractionRow::unknown());
        for severity in [Severity::Medium, Severity::High] {
            finding.severity = severity;
            alerts.finding(&finding, &call);
        }
        finding.confidence = "documented_example".into();
        alerts.finding(&finding, &call);
        for verdict in ["sanctioned", "unknown", "unsanctioned"] {
            call.policy_verdict = verdict.into();
            alerts.call(&call);
        }
        let mut connection = ConnectionRow::unknown();
        connection.policy_verdict = "unsanctioned".into();
        for visibility in ["decoded", "opaque"] {
            connection.visibility = visibility.into();
            alerts.connection(&connection);
        }
        let sender = sender.unwrap();
        assert_eq!(sender.waiting(), 3);
        for _ in 0..WAITING {
            alerts.call(&call);
        }
        assert_eq!(
            (sender.waiting(), counted(&alerts.counts(), "queue_full")),
            (WAITING, 3)
        );
    }

    #[test]
    fn an_alert_names_its_row_and_says_what_the_row_says() {
        let mut row = ConnectionRow::unknown();
        (row.ts, row.record_hash, row.server_address) = (5, [7; 32], "api.openai.com".into());
        row.policy_rule_id = "shadow".into();
        let event = Alert::Unread(Box::new(row)).event().unwrap();
        assert_eq!(event["class_uid"], 2003);
        assert_eq!(event["compliance"]["control"], "shadow");
        assert_eq!(event["metadata"]["uid"], "07".repeat(32));
        let sanctioned = InteractionRow::unknown();
        assert!(Alert::Call(Box::new(sanctioned)).event().is_none());
    }
}
