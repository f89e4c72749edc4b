//! Evidence rows as JSON, with the tables' column names and in the forms that ClickHouse's own JSON has: times as
//! text, words for enumerations, addresses as text. Digests and keyed hashes are hexadecimal.

use serde::Serialize;
use serde_json::Value;
use time::{OffsetDateTime, macros::format_description};

use super::rows::severity_name;
use crate::evidence::Severity;

/// Endings of the names of columns that hold digests or keyed hashes.
const DIGESTS: [&str; 5] = ["_hash", "_sha256", "_hmac", "_digest", "_commitment"];

/// One row. A value that serde cannot put into JSON (no row has one) gives `null`.
pub fn row<T: Serialize>(row: &T) -> Value {
    let mut value = serde_json::to_value(row).unwrap_or_default();
    if let Value::Object(columns) = &mut value {
        for (name, value) in columns {
            column(name, value);
        }
    }
    value
}

/// Rows as an array.
pub fn rows<T: Serialize>(all: &[T]) -> Value {
    all.iter().map(row).collect()
}

fn column(name: &str, value: &mut Value) {
    let replaced = match name {
        "ts" | "closed_ts" => value.as_i64().map(|ns| Value::from(timestamp(ns))),
        "severity" => severity(value).map(Value::from),
        _ if DIGESTS.iter().any(|ending| name.ends_with(ending)) => hexadecimal(value),
        _ => None,
    };
    if let Some(replaced) = replaced {
        *value = replaced;
    }
}

fn severity(value: &Value) -> Option<&'static str> {
    let number = value.as_i64().and_then(|n| i8::try_from(n).ok())?;
    Severity::try_from(number).ok().map(severity_name)
}

/// Bytes, or a list of such, as hexadecimal text.
fn hexadecimal(value: &Value) -> Option<Value> {
    let items = value.as_array()?;
    if items.iter().any(Value::is_array) {
        return items.iter().map(hexadecimal).collect();
    }
    // An empty list of hashes stays one.
    if items.is_empty() {
        return None;
    }
    let bytes: Option<Vec<u8>> = items
        .iter()
        .map(|n| n.as_u64().and_then(|n| u8::try_from(n).ok()))
        .collect();
    bytes.map(|bytes| hex::encode(bytes).into())
}

/// Nanoseconds since the Unix epoch as ClickHouse writes a `DateTime64(9)`.
pub fn timestamp(ns: i64) -> String {
    const FORM: &[time::format_description::BorrowedFormatItem<'_>] =
        format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:9]");
    let time = OffsetDateTime::from_unix_timestamp_nanos(ns.into()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(FORM).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{FindingRow, InteractionRow};

    #[test]
    fn columns_have_the_forms_of_the_store() {
        let mut finding = FindingRow::unknown();
        finding.ts = 1_764_023_700_123_456_789;
        finding.severity = Severity::High;
        finding.value_hmac = vec![[0xab; 16]];
        finding.interaction_hash = [1; 32];
        let json = row(&finding);
        assert_eq!(json["ts"], "2025-11-24 22:35:00.123456789");
        assert_eq!(json["severity"], "high");
        assert_eq!(json["value_hmac"], serde_json::json!(["ab".repeat(16)]));
        assert_eq!(json["interaction_hash"], "01".repeat(32));
        assert_eq!(row(&FindingRow::unknown())["value_hmac"], serde_json::json!([]));
    }

    #[test]
    fn unknown_tokens_are_null_and_addresses_text() {
        let json = row(&InteractionRow::unknown());
        assert!(json["gen_ai_usage_input_tokens"].is_null());
        assert_eq!(json["network_peer_address"], "::");
        assert_eq!(json["login_uid"], u32::MAX);
    }
}
