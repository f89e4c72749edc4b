//! Evidence rows in the forms that other security tools take. `ocsf` and `otlp` are pure: one row in, one event out;
//! `write` [S] reads the store and writes files.
//!
//! An event says what its row says and nothing else: what is unknown is left out, never 0. Values of sensitive data are in no row, so in no event.
//! The hash of the row goes along, which ties the event to the evidence; the event itself proves nothing.

mod ocsf;
mod otlp;
#[cfg(test)]
mod tests;
mod write;

use serde_json::{Map, Value};

use crate::evidence::{ConnectionRow, FindingRow, InteractionRow};
pub use write::{Written, write};

/// Form of the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Open Cybersecurity Schema Framework 1.9, one event per line.
    Ocsf,
    /// OTLP/JSON logs: one `ExportLogsServiceRequest` per line.
    Otlp,
}

impl Shape {
    /// Name, as in names of files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ocsf => "ocsf",
            Self::Otlp => "otlp",
        }
    }
}

/// A row that has an event.
trait Event {
    /// OCSF events of it: one for what happened, and one more where it broke a rule.
    fn ocsf(&self) -> Vec<Value>;
    /// OTLP request with one log record.
    fn otlp(&self) -> Value;
}

/// What a finding says, as an alert: with whose call it was, since who reads it has not the other event at hand.
pub(crate) fn finding_alert(row: &FindingRow, call: &InteractionRow) -> Option<Value> {
    let mut event = row.ocsf().pop()?;
    if let (Value::Object(event), Value::Object(caller)) = (&mut event, call.caller()) {
        event.extend(caller);
    }
    Some(event)
}

/// What a call that nobody sanctioned says, as an alert; `None` of any other.
pub(crate) fn call_alert(row: &InteractionRow) -> Option<Value> {
    row.compliance_finding()
}

/// What a connection says that nobody sanctioned, and that could not be read, as an alert.
pub(crate) fn connection_alert(row: &ConnectionRow) -> Option<Value> {
    Some(row.compliance_finding())
}

/// Without what is unknown: absent members, empty texts, lists and objects. Numbers stay, 0 included: an unknown one is absent.
fn known(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, value)| (name, known(value)))
                .filter(|(_, value)| !is_empty(value))
                .collect::<Map<_, _>>(),
        ),
        Value::Array(items) => items.into_iter().map(known).collect(),
        other => other,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// An address as people write it; `None` for none. IPv4 is stored mapped.
fn address(peer: std::net::Ipv6Addr) -> Option<String> {
    (!peer.is_unspecified()).then(|| peer.to_canonical().to_string())
}
